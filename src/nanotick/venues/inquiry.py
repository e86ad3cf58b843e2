"""Finding out what became of an order whose outcome is not known.

1. The order stays UNKNOWN in the engine: its full size counts as exposure, and nothing is sent that assumes failure.
2. The private stream is listened to all the while; whatever it says is applied.
3. The venue is asked by client order id, with back-off. An answer that knows the order settles it: missing fills are
   fetched first, then its state is told.
4. "Not found" settles nothing at first, for reads may lag the matching engine: at least three times, and for at least
   15 s after the request. Then a cancel by client order id is sent, where the venue has one: accepted or "unknown
   order" both settle it.
5. Only then the order is REJECTED. A later report of it is still applied.

A venue that does not answer at all is asked for as long as it takes, at most every 16 s.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from nanotick.core.records import CancelReason, Kind, RejectReason, ReportFlag
from nanotick.orders.records import FILLED, Seen
from nanotick.wire.json_text import scaled
from nanotick.wire.reports import ALL_OF_IT, OrderStatus, Outcome, Private, Reply, Report
from nanotick.wire.requests import Cancel

if TYPE_CHECKING:
    from nanotick.venues.trader import Trader
    from nanotick.venues.working import Sent, Working

SECOND = 1_000_000_000
DELAYS = (SECOND // 2, 2 * SECOND, 5 * SECOND, 10 * SECOND, 16 * SECOND)  # since the inquiry began
LEAST_ANSWERS = 3
LEAST_TIME = 15 * SECOND
BEFORE = 2 * SECOND  # fills are fetched from so long before the order was sent: clocks differ
_NEW, _CANCEL, _REPLACE = int(Kind.NEW), int(Kind.CANCEL), int(Kind.REPLACE_ORDER)


class Inquiry:
    """One order's. Lives in `working.inquiry` until it is settled.

    Parameters
    ----------
    kind : int
        Kind of the command whose outcome is not known.
    sent : Sent, optional
        Its request; needed for a replace.
    """

    def __init__(self, trader: Trader, working: Working, kind: int, sent: Sent | None = None) -> None:
        self.trader, self.working = trader, working
        self.kinds = {kind}
        self.replace = sent if kind == _REPLACE else None
        self.started = trader.host.now()
        self.asked = self.absent = 0
        self._over = False
        self._next()

    def widen(self, kind: int, sent: Sent | None) -> None:
        """Another request of the same order is in doubt."""
        self.kinds.add(kind)
        if kind == _REPLACE:
            self.replace = sent
        self.absent = 0
        self.started = self.trader.host.now()

    def _next(self) -> None:
        now = self.trader.host.now()
        if self.asked < len(DELAYS):
            when = max(self.started + DELAYS[self.asked], now)
        else:
            when = now + DELAYS[-1]
        self.trader.host.at(when, self._ask)

    def _ask(self) -> None:
        if self._over or self.working.inquiry is not self:
            return
        if self._settled_meanwhile():
            self._end("stream")
            return
        self.asked += 1
        renamed = self.replace.client if self.replace is not None and self.trader.renames else ""
        self.trader.query(self.working, renamed or self.working.client, self._told)

    def _settled_meanwhile(self) -> bool:
        """Whether the stream has said all: the engine holds nothing pending or unknown of the order."""
        row = self.trader.engine_order(self.working)
        return (
            row is None
            or int(row["state"]) >= FILLED
            or (int(row["pending"]) == 0 and self.absent == 0 and self.asked > 0)
        )

    def _told(self, told: list[Private] | None) -> None:
        if self._over:
            return
        status = next((item for item in told or () if isinstance(item, OrderStatus)), None)
        if status is not None:
            self._found(status)
            return
        reply = next((item for item in told or () if isinstance(item, Reply)), None)
        if reply is not None and (
            reply.outcome == Outcome.DONE
            or (reply.outcome == Outcome.REFUSED and reply.reason == RejectReason.UNKNOWN_ORDER)
        ):
            self._not_found()
        else:
            self._next()

    # --- it is there --------------------------------------------------------------------------------------------------

    def _found(self, status: OrderStatus) -> None:
        trader, working = self.trader, self.working
        if not (self.replace is not None and trader.renames):
            trader.named(working, status.order)
        row = trader.engine_order(working)
        if row is None:
            self._end("forgotten")
            return
        filled = scaled(status.filled or "0", trader.instruments[working.instrument].qty_decimals, "filled")
        if filled > int(row["filled_qty"]) + int(row["busted_qty"]):
            since = max(0, (working.ts_sent or int(row["ts_sent"])) - BEFORE)
            trader.fetch_fills(since, lambda fills: self._fills(fills, status, filled))
        else:
            self._conclude(status)

    def _fills(self, fills: list[Report] | None, status: OrderStatus, filled: int) -> None:
        if self._over:
            return
        trader, working = self.trader, self.working
        own = [fill for fill in fills or () if fill.order == status.order or fill.client == status.client]
        for fill in own:
            fill.client = trader.ids.text(working.id)
        trader.emit(own, trader.host.now())
        row = trader.engine_order(working)
        if row is not None and int(row["filled_qty"]) + int(row["busted_qty"]) < filled:
            self._next()  # the history lags the order's state
        else:
            self._conclude(status)

    def _conclude(self, status: OrderStatus) -> None:
        trader, working = self.trader, self.working
        now = trader.host.now()
        client = trader.ids.text(working.id)
        base = Report(0, working.symbol, status.ts_venue or now, client, status.order, working.side)
        reports = []
        if _REPLACE in self.kinds:
            reports.append(self._of_replace(status, base))
        if status.open:
            told = _like(base, Kind.ACCEPTED)
            told.flags = int(ReportFlag.STATUS)
            reports.append(told)
        elif Decimal(status.filled or "0") < Decimal(status.qty or "0"):
            ended = _like(base, Kind.REJECTED if "reject" in status.state.lower() else Kind.CANCELLED)
            ended.qty = ALL_OF_IT if ended.kind == Kind.CANCELLED else "0"
            ended.reason = int(CancelReason.VENUE if ended.kind == Kind.CANCELLED else RejectReason.OTHER)
            reports.append(ended)
        trader.emit([report for report in reports if report is not None], now)
        self._end("found")

    def _of_replace(self, status: OrderStatus, base: Report) -> Report | None:
        """What the order's state says of a replace."""
        trader, sent = self.trader, self.replace
        wanted = sent.amend.entry if sent is not None and sent.amend is not None else None
        if wanted is None:
            return None
        item = trader.instruments[self.working.instrument]
        same = trader.renames or (
            _equal(status.price, wanted.price, item.price_decimals)
            and _equal(status.qty, wanted.qty, item.qty_decimals)
        )
        if same:
            told = _like(base, Kind.REPLACED)
            told.price, told.qty = wanted.price or "0", wanted.qty
            told.client = sent.client if sent is not None and trader.renames else base.client
            return told
        told = _like(base, Kind.CANCEL_REJECTED)
        told.reason, told.flags = int(RejectReason.OTHER), int(ReportFlag.OF_REPLACE)
        return told

    # --- it is not there ----------------------------------------------------------------------------------------------

    def _not_found(self) -> None:
        self.absent += 1
        waited = self.trader.host.now() - self.started
        if self.absent < LEAST_ANSWERS or waited < LEAST_TIME:
            self._next()
        elif self.replace is not None and self.trader.renames:
            self._not_replaced()
        elif self.trader.needs_order:
            self._gone()
        else:
            working = self.working
            self.trader.ask_about(Cancel(working.symbol, working.client, working.order), working, self._cancelled)

    def _not_replaced(self) -> None:
        """The new order never came to be: the replace was refused, and the old order is the question now."""
        trader, working = self.trader, self.working
        now = trader.host.now()
        told = Report(int(Kind.CANCEL_REJECTED), working.symbol, now, trader.ids.text(working.id), working.order)
        told.reason, told.flags = int(RejectReason.OTHER), int(ReportFlag.OF_REPLACE)
        self.kinds.discard(_REPLACE)
        self.kinds.add(_CANCEL)
        self.replace = None
        self.asked = self.absent = 0
        self.started = now
        trader.emit([told], now)
        self._next()

    def _cancelled(self, told: list[Private] | None) -> None:
        """The answer to the cancel that settles it."""
        if self._over:
            return
        reply = next((item for item in told or () if isinstance(item, Reply)), None)
        if reply is None or reply.outcome in (Outcome.UNKNOWN, Outcome.LIMITED, Outcome.DENIED):
            self._next()
        elif reply.outcome == Outcome.DONE:  # it was there after all, and is not any more: its fills, then its end
            self.asked = self.absent = 0
            self._next()
        else:
            self._gone()

    def _gone(self) -> None:
        """The venue has no such order. If it ever had it, fills may be all that is left of it."""
        since = max(0, self.working.ts_sent - BEFORE)
        self.trader.fetch_fills(since, self._last_fills)

    def _last_fills(self, fills: list[Report] | None) -> None:
        if self._over:
            return
        if fills is None:
            self._next()
            return
        trader, working = self.trader, self.working
        now = trader.host.now()
        client = trader.ids.text(working.id)
        own = [f for f in fills if f.client == working.client or (working.order and f.order == working.order)]
        for fill in own:
            fill.client = client
        trader.emit(own, now)
        row = trader.engine_order(working)
        known = row is not None and (int(row["seen"]) & int(Seen.ACCEPTED) or int(row["filled_qty"]))
        kind = Kind.CANCELLED if known else Kind.REJECTED
        told = Report(int(kind), working.symbol, now, client, working.order, working.side)
        told.qty = ALL_OF_IT if known else "0"
        told.reason = int(CancelReason.VENUE if known else RejectReason.UNKNOWN_ORDER)
        trader.emit([told], now)
        self._end("not placed")

    def _end(self, how: str) -> None:
        self._over = True
        self.working.inquiry = None
        settled = self.trader.counts.settled
        settled[how] = settled.get(how, 0) + 1


def _like(base: Report, kind: Kind) -> Report:
    return Report(int(kind), base.symbol, base.ts_venue, base.client, base.order, base.side)


def _equal(one: str, other: str, decimals: int) -> bool:
    return scaled(one or "0", decimals, "number") == scaled(other or "0", decimals, "number")
