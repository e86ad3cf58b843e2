"""Comparing what a venue has with what the engine has: before trading, after every reconnection, and on a timer.

    open orders ─▶ fills ─▶ orders of ours that are not open there ─▶ positions or balances ─▶ READY, or what is wrong

Missed fills are told to the engine, which books each once. An open order that is not of this session is adopted,
cancelled or refused, as configured. An order that the engine holds open and the venue does not is inquired about. A
position that differs is looked at again, fills and orders with it, for some may have been under way between two answers
and histories lag; what goes on to differ in the same way is a break, and no order is sent until an operator has looked
or a later comparison finds nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nanotick.core.records import Kind, ReportFlag
from nanotick.orders.records import FILLED, Pending
from nanotick.wire.json_text import WireError, scaled
from nanotick.wire.reports import Balance, OrderStatus, Position, Report

if TYPE_CHECKING:
    from nanotick.venues.trader import Trader
    from nanotick.venues.working import Working

SECOND = 1_000_000_000
OVERLAP = 5 * SECOND  # fills are fetched from so long before the last comparison
GRACE = 5 * SECOND  # an order younger than this may be missing in a list that lags
AGAIN = 2 * SECOND  # between two looks at what differs
LOOKS = 4  # what differs as often and in the same way is a break
FRESH = 10 * SECOND  # orders open longer ago than this may be gone: what a list says of foreign ones is asked again
RETRIES = (1, 2, 3, 5)  # s, between tries of a fetch that failed
_NEW = int(Kind.NEW)
_UNHEARD = int(Pending.NEW | Pending.UNKNOWN)

Held = dict[int, int]  # quantity by number of the instrument
Engine = Callable[[int], int]


class Reconciliation:
    """One comparison; `done(self)` when it is over.

    Parameters
    ----------
    position : callable
        Gives the engine's position in an instrument.
    since : int
        ns UTC of the last comparison, or of the session's start.
    opening : bool
        Nothing has been traded yet: foreign orders and holdings are as the configuration says.

    Attributes
    ----------
    breaks : list of str
        What differs and cannot be explained.
    foreign : list of OrderStatus
        Open orders that are not of this session.
    skipped : int
        Orders that were too young to be judged.
    holdings : dict of int to (int, str)
        Position and average price that the venue states and the engine does not, by instrument; at the opening only.
    """

    def __init__(
        self,
        trader: Trader,
        position: Engine,
        since: int,
        done: Callable[[Reconciliation], None],
        opening: bool = False,
    ) -> None:
        self.trader, self._position, self._since, self._done, self.opening = trader, position, since, done, opening
        self.started = trader.host.now()
        self.breaks: list[str] = []
        self.foreign: list[OrderStatus] = []
        self.holdings: dict[int, tuple[int, str]] = {}
        self.inquired = self.fills = self.skipped = 0
        self.cash = ""
        self.since = since  # for the next comparison
        self._tries = self._rounds = 0
        self._statuses: list[OrderStatus] = []
        self._listed = self.started
        self._differs: Held = {}
        self._numbers = {
            item.symbol: number for number, item in enumerate(trader.instruments) if item.venue == trader.venue
        }
        self.over = False
        self._fetch_open()

    def stop(self) -> None:
        """Not any more: the connection is gone."""
        self.over = True

    def _retry(self, again: Callable[[], None]) -> None:
        """The venue does not answer: try again, for as long as it takes."""
        delay = RETRIES[min(self._tries, len(RETRIES) - 1)] * SECOND
        self._tries += 1
        self.trader.host.at(self.trader.host.now() + delay, again)

    # --- open orders, then fills --------------------------------------------------------------------------------------

    def _fetch_open(self) -> None:
        if not self.over:
            self.trader.fetch_open(self._take_open)

    def _take_open(self, statuses: list[OrderStatus] | None) -> None:
        if self.over:
            return
        if statuses is None:
            self._retry(self._fetch_open)
            return
        self._tries = 0
        self._statuses, self._listed = statuses, self.trader.host.now()
        self.since = self.trader.venue_time()
        for status in statuses:
            working = self.trader.find(status)
            if working is not None:
                self.trader.named(working, status.order, status.client)
        self._fetch_fills()

    def _fetch_fills(self) -> None:
        if not self.over:
            self.trader.fills(self._since - OVERLAP, self._take_fills)

    def _take_fills(self, fills: list[Report] | None) -> None:
        if self.over:
            return
        if fills is None:
            self._retry(self._fetch_fills)
            return
        self._tries = 0
        self.fills = len(fills)
        self.trader.emit(fills, self.trader.host.now())
        self._compare_orders()
        self._fetch_holdings()

    # --- orders -------------------------------------------------------------------------------------------------------

    def _compare_orders(self) -> None:
        trader = self.trader
        seen: set[int] = set()
        self.foreign = []
        for status in self._statuses:
            working = trader.find(status)
            if working is None:
                self.foreign.append(status)
                continue
            seen.add(working.id)
            self._open_there(working, status)
        for working in trader.open_here():
            if working.id in seen or working.inquiry is not None:
                continue
            if trader.on_its_way(working):
                self.skipped += 1
            else:
                self.inquired += 1
                trader.inquire(working, _NEW, True)

    def _open_there(self, working: Working, status: OrderStatus) -> None:
        trader = self.trader
        row = trader.engine_order(working)
        if row is None or int(row["state"]) > FILLED:
            if status.order in working.orders[-1:]:
                trader.stray(working, status.order)
            return
        decimals = trader.instruments[working.instrument].qty_decimals
        filled = scaled(status.filled or "0", decimals, "filled")
        pending = int(row["pending"])
        young = bool(pending) and trader.on_its_way(working)
        self.skipped += young
        doubtful = (
            filled > int(row["filled_qty"]) + int(row["busted_qty"])
            or trader.renamed(working)
            or (pending and not young)
        )
        if not doubtful or working.inquiry is not None:
            return
        if pending & ~_UNHEARD or filled > int(row["filled_qty"]) or trader.renamed(working):
            self.inquired += 1
            trader.inquire(working, _NEW, True)
        else:  # not acknowledged, or unknown: it is there
            told = Report(
                int(Kind.ACCEPTED), working.symbol, status.ts_venue or trader.host.now(), trader.ids.text(working.id),
                status.order, working.side, flags=int(ReportFlag.STATUS),
            )  # fmt: skip
            trader.emit([told], trader.host.now())

    # --- positions and balances ---------------------------------------------------------------------------------------

    def _fetch_holdings(self) -> None:
        if not self.over:
            self.trader.fetch_holdings(self._take_holdings)

    def _take_holdings(self, held: list[Position | Balance] | None) -> None:
        if self.over:
            return
        if held is None:
            self._retry(self._fetch_holdings)
            return
        self._tries = 0
        prices: dict[int, str] = {}
        there: Held = dict.fromkeys(self._numbers.values(), 0)
        for item in held:
            self._hold(item, there, prices)
        differs = {number: qty - self._position(number) for number, qty in there.items()}
        differs = {number: qty for number, qty in differs.items() if qty}
        if not differs:
            self._finish()
        elif self.opening and not self.trader.counts.sent:
            self._take_in(differs, prices)
        elif self._rounds < LOOKS or self.trader.unknown or self._differs != differs:
            # a fill may be under way, a history lag or an outcome be unknown: everything once more
            self._rounds += 1
            self._differs = differs
            self.trader.host.at(self.trader.host.now() + AGAIN, self._fetch_open)
        elif self.opening:
            self._take_in(differs, prices)
        else:
            for number, qty in differs.items():
                instrument, here = self.trader.instruments[number], self._position(number)
                self.breaks.append(
                    f"{instrument.symbol}: position here {instrument.qty_decimal(here)}, "
                    f"at {self.trader.venue} {instrument.qty_decimal(here + qty)}"
                )
            self._finish()

    def _take_in(self, differs: Held, prices: dict[int, str]) -> None:
        self.holdings = {number: (qty, prices.get(number, "0")) for number, qty in differs.items()}
        self._finish()

    def _hold(self, item: Position | Balance, there: Held, prices: dict[int, str]) -> None:
        if isinstance(item, Position):
            number = self._numbers.get(item.symbol)
            if number is None:
                return
            try:
                there[number] = scaled(item.qty, self.trader.instruments[number].qty_decimals, "position", signed=True)
            except WireError as error:
                self.breaks.append(f"{item.symbol}: {error}")
                del there[number]
                return
            prices[number] = item.average_price
        else:
            self.trader.hold_balance(item, there)

    def _finish(self) -> None:
        if self.foreign and self.trader.host.now() - self._listed > FRESH:
            self.breaks.clear()
            self._fetch_open()  # what came after took long: an order of ours that has ended since may be forgotten
            return
        self.over = True
        self._done(self)
