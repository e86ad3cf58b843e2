"""The part of a trader that knows its orders and hands reports to the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from nanotick.core.instruments import InstrumentTable
from nanotick.core.log import Logger
from nanotick.core.records import EVENT, RECORD_SIZE, Kind, ReportFlag
from nanotick.orders.records import FILLED, REJECTED, SLOT_MASK
from nanotick.venues.asset_rates import AssetRates
from nanotick.venues.host import Host, Timer
from nanotick.venues.inquiry import AHEAD
from nanotick.venues.reconcile import GRACE
from nanotick.venues.working import Counts, Limiter, NoLimit, Sent, TraderConfig, TraderState, Working
from nanotick.wire.client_ids import ClientIds
from nanotick.wire.json_text import WireError
from nanotick.wire.reports import FEE_PLACES, OrderStatus, Report, ReportRows
from nanotick.wire.requests import number_text

SECOND = 1_000_000_000
_NEW, _FILL, _ACCEPTED, _REPLACED = int(Kind.NEW), int(Kind.FILL), int(Kind.ACCEPTED), int(Kind.REPLACED)
_CANCEL_REJECTED, _OF_REPLACE = int(Kind.CANCEL_REJECTED), int(ReportFlag.OF_REPLACE)
_ENDED = frozenset(map(int, (Kind.CANCELLED, Kind.EXPIRED, Kind.REJECTED)))
KEPT_NS = 120 * SECOND  # an order that has ended is remembered so long: reports may be late
_EVENTS = 1024


class TraderBase:
    """Orders of one account, and their reports on the way to the engine.

    Parameters
    ----------
    host : Host
    instruments : InstrumentTable
    venue : str
        Name of the venue in the table.
    session : int
        Number of the session, for client order ids.
    orders : callable
        Gives the engine's ORDER record of a client order id, None if it has none.
    deliver : callable
        `deliver(address, count)`: takes consecutive EVENT records.
    config : TraderConfig
    limiter : Limiter, optional
    log : Logger, optional
    position : callable
        Gives the engine's position in an instrument, over all strategies.
    price : callable
        Gives the engine's last known price of an instrument, 0 while it has none: what fees in other assets are worth.

    Attributes
    ----------
    on_foreign, on_holding : callable
        `on_foreign(status, instrument)` gives the id under which the engine has taken an order that is not of this
        session, 0 if it has not; `on_holding(instrument, quantity, average price)` takes a position in.
    on_state : callable
        Called with the trader whenever its state changes.
    on_latency : callable
        `on_latency(stage, ns)` with "ack" or "fill" and the time since the request was sent.
    """

    name = ""
    renames = False  # a replaced order gets a fresh client id
    needs_order = False  # cancels and replaces go by the venue's id

    def __init__(
        self,
        host: Host,
        instruments: InstrumentTable,
        venue: str,
        session: int,
        orders: Callable[[int], Any],
        deliver: Callable[[int, int], None],
        config: TraderConfig | None = None,
        limiter: Limiter | None = None,
        log: Logger | None = None,
        position: Callable[[int], int] = lambda number: 0,
        price: Callable[[int], int] = lambda number: 0,
    ) -> None:
        self.host, self.instruments, self.venue = host, instruments, venue
        self.number = instruments.venues.index(venue)
        self.ids = ClientIds(session)
        self._rates = AssetRates(instruments, venue, price)
        self._worthless: set[str] = set()
        self.rows = ReportRows(instruments, venue, self.ids, self._rate)
        self.config = config or TraderConfig()
        self.limiter: Limiter = limiter or NoLimit()
        self.counts = Counts()
        self.state = TraderState.DOWN
        self.reason = ""  # why it is not READY
        self.refusal = ""  # why an order was last refused here, unsent
        self.breaks: list[str] = []
        self.on_state: Callable[[Any], None] = lambda trader: None
        self.on_latency: Callable[[str, int], None] = lambda stage, ns: None
        self.on_foreign: Callable[[OrderStatus, int], int] = lambda status, instrument: 0
        self.on_holding: Callable[[int, int, str], None] = lambda instrument, qty, price: None
        self._position = position
        self.clock_ahead = 0  # of the venue's, ns
        self._since = host.now()  # of the last comparison that was whole, by the venue's clock
        self._opened = False
        self._timer: Timer | None = None
        self._log = log
        self._engine_order = orders
        self._deliver = deliver
        self._items = list(instruments)
        self._working: dict[int, Working] = {}
        self._by_order: dict[str, Working] = {}
        self._foreign_orders: dict[str, int] = {}  # the venue's ids, and how often each was asked about
        self._sent: dict[str, Sent] = {}
        self._requests = 0
        self._events = np.zeros(_EVENTS, EVENT)
        self._out = self._events.view(np.uint8).data
        self._address = int(self._events.ctypes.data)
        self._sweeper: Timer | None = None

    def inquire(self, working: Working, kind: int, sure: bool = False) -> None:
        """Find out how an order stands."""
        raise NotImplementedError

    def ready_to_cancel(self, working: Working) -> None:
        """Send the cancel that has waited for the venue's id."""
        raise NotImplementedError

    def stray(self, working: Working, order: str) -> None:
        """An order that has ended here is open at the venue."""
        raise NotImplementedError

    def _rate(self, asset: str, currency: str) -> tuple[int, int] | None:
        """What an asset that a fee was paid in is worth; said once for each of which that is not known."""
        rate = self._rates.rate(asset, currency)
        if rate is None and asset not in self._worthless:
            self._worthless.add(asset)
            self.note("warning", "a fee in an asset of no known price counts as 0; see fees_unconverted of the status. "
                      "An instrument of the asset in the table, with prices, would tell", asset=asset,
                      currency=currency)  # fmt: skip
        return rate

    # --- reports in ---------------------------------------------------------------------------------------------------

    def emit(self, reports: Iterable[Report], now: int) -> None:
        """Hand reports to the engine."""
        count = 0
        named: list[Working] = []
        for report in reports:
            working = self._of(report)
            try:
                if working is not None:
                    self._note(report, working, now)
                    if working.cancel_wanted and working.order:
                        named.append(working)
                row = self.rows.row(report, now)
            except WireError as error:
                self.counts.malformed += 1
                self.note("error", "a report that cannot be read", reason=str(error), order=report.client)
                if working is not None:
                    self.inquire(working, _NEW, True)
                continue
            if row is None:
                continue
            self._out[count * RECORD_SIZE : (count + 1) * RECORD_SIZE] = row
            count += 1
            if count == _EVENTS:
                self._flush(count)
                count = 0
        if count:
            self._flush(count)
        for working in named:
            self.ready_to_cancel(working)

    def _flush(self, count: int) -> None:
        self.counts.reports += count
        self._deliver(self._address, count)

    def _of(self, report: Report) -> Working | None:
        """The order a report is about; foreign ids of adopted orders become ours."""
        number = self.ids.decode(report.client)
        if number is not None:
            return self._working.get(number)
        working = self._by_order.get(report.order) if report.order else None
        if working is not None:
            report.client = self.ids.text(working.id)
        return working

    def _note(self, report: Report, working: Working, now: int) -> None:
        kind = report.kind
        if kind == _ACCEPTED and report.order:
            self.named(working, report.order, report.client)
            row = self._engine_order(working.id)
            if row is not None and int(row["state"]) == REJECTED:
                self.stray(working, report.order)
        elif kind == _REPLACED:
            self.named(working, report.order, report.client)
            working.told = max(working.told, self.revision(report.client))
        elif kind == _FILL and working.ts_sent:
            self.on_latency("fill", now - working.ts_sent)
        elif kind == _CANCEL_REJECTED and report.flags & _OF_REPLACE:
            working.newest = self.revision(working.client)
        if kind in _ENDED:
            working.ended = now

    # --- names of an order --------------------------------------------------------------------------------------------

    def revision(self, client: str) -> int:
        """Which revision of an order a client order id names."""
        text = self.ids.revision(client) if self.ids.decode(client) is not None else ""
        return int(text[1:], 36) if text else 0

    def named(self, working: Working, order: str, client: str = "") -> None:
        """The venue's id of an order is known, and of which of its names; an older name displaces no newer one."""
        if order and order not in working.orders:
            working.orders.append(order)
            self._by_order[order] = working
            if not client or not self.renames or self.revision(client) >= self.revision(working.client):
                working.order = order
        if client and self.renames and self.revision(client) > self.revision(working.client):
            working.client, working.order = client, order or working.order
            working.revision = max(working.revision, self.revision(client))
            working.newest = max(working.newest, working.revision)

    def names(self, working: Working) -> list[str]:
        """Client order ids under which the order may be known, the newest first."""
        if not self.renames:
            return [working.client]
        first = self.revision(working.client)
        return [self.ids.text(working.id, n) for n in range(working.newest, first, -1)] + [working.client]

    def renamed(self, working: Working) -> bool:
        """Whether the order has a name that the engine has not been told of."""
        return self.renames and self.revision(working.client) > working.told

    # --- housekeeping -------------------------------------------------------------------------------------------------

    def adopt(self, number: int, status: OrderStatus, instrument: int) -> Working:
        """Remember an order under an id that the engine has given it."""
        working = Working(number, instrument, status.symbol, status.side, status.client, adopted=True)
        working.ts_sent, working.since = self.host.now(), self.venue_time()
        self._working[number] = working
        self.named(working, status.order)
        return working

    def venue_time(self) -> int:
        """What the venue's clock shows, as far as we know, ns UTC."""
        return self.host.now() - self.clock_ahead

    def resume(self, rows: Iterable[Any], since: int, opened: bool = True) -> None:
        """Remember the open orders of a session that goes on after a crash, and that nothing is known of them.

        Parameters
        ----------
        rows : iterable of ORDER records
        since : int
            ns UTC of the session's last input: fills are asked for from then on.
        opened : bool
            Whether it had been compared with the venue before; then what the venue holds is not taken in again.
        """
        self._since = min(self._since, since)
        self._opened = opened
        for row in rows:
            number, instrument = int(row["id"]), int(row["instrument"])
            item = self._items[instrument]
            if item.venue == self.venue:
                working = Working(number, instrument, item.symbol, int(row["side"]), self.ids.text(number))
                working.ts_sent = int(row["ts_sent"])
                working.since = min(since, int(row["ts_accepted"]) or working.ts_sent)
                working.newest = AHEAD if self.renames else 0
                working.recovered = True
                self._working[number] = working
                # every fill that may be asked for later is heard of before the balances are taken for the beginning
                self._since = min(self._since, working.since)

    def open_here(self) -> list[Working]:
        """Orders that have not ended, as far as the engine knows."""
        found = []
        for working in self._working.values():
            row = self._engine_order(working.id)
            if row is not None and 2 <= int(row["state"]) < FILLED:
                found.append(working)
        return found

    def on_its_way(self, working: Working) -> bool:
        """Whether the order is so young, or a request about it unanswered, that a list may not show it as it is."""
        young = not working.recovered and self.host.now() - working.ts_sent < GRACE
        return young or any(sent.working is working for sent in self._sent.values())

    def engine_order(self, working: Working) -> Any:
        """The engine's ORDER record, None if it has forgotten the order."""
        return self._engine_order(working.id)

    def note(self, level: str, message: str, **fields: Any) -> None:
        """A line of the log."""
        if self._log is not None:
            getattr(self._log, level)(message, venue=self.venue, **fields)

    def sweep(self) -> None:
        """Forget orders that ended long ago."""
        now = self.host.now()
        for number, working in list(self._working.items()):
            row = self._engine_order(number)
            if not working.ended and (row is None or int(row["state"]) >= FILLED):
                working.ended = now
            if working.ended and now - working.ended > KEPT_NS and working.inquiry is None:
                del self._working[number]
                for order in working.orders:
                    self._by_order.pop(order, None)
        self._sweeper = self.host.at(now + KEPT_NS // 4, self.sweep)

    def end_timers(self) -> None:
        """Nothing more by itself."""
        for timer in (self._sweeper, self._timer):
            if timer is not None:
                timer.cancel()

    def _state(self, state: TraderState, reason: str = "") -> None:
        if (state, reason) != (self.state, self.reason):
            self.state, self.reason = state, reason
            self.on_state(self)

    @property
    def unknown(self) -> int:
        """Orders whose outcome is being asked for."""
        return sum(working.inquiry is not None for working in self._working.values())

    def status(self) -> dict[str, Any]:
        """For people and programs."""
        return {
            "venue": self.venue, "protocol": self.name, "state": self.state.name.lower(), "reason": self.reason,
            "orders": sum(not w.ended for w in self._working.values()), "unknown": self.unknown,
            "unanswered": len(self._sent), "breaks": list(self.breaks), "refusal": self.refusal,
            **{name: n for name, n in vars(self.counts).items() if isinstance(n, int) and name != "unknown"},
            "ever_unknown": self.counts.unknown,
            "fees_unconverted": {a: number_text(n, FEE_PLACES) for a, n in self.rows.fees_unconverted.items()},
        }  # fmt: skip


def engine_orders(table: Any) -> Callable[[int], Any]:
    """The `orders` argument of a trader, from an `OrderTable`."""
    rows = table.orders.view

    def order(number: int) -> Any:
        row = rows[number & SLOT_MASK]
        return row if int(row["id"]) == number else None

    return order
