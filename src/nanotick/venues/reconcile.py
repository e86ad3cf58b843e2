"""Comparing what a venue has with what the engine has: before trading, after every reconnection, and on a timer.

    fills ─▶ open orders ─▶ orders of ours that are not open there ─▶ positions or balances ─▶ READY, or what is wrong

Missed fills are told to the engine, which books each once. An open order that is not of this session is adopted,
cancelled or refused, as configured. An order that the engine holds open and the venue does not is inquired about. A
position that differs is looked at again before it counts, for fills may have been under way between two answers; what
differs twice is a break, and no order is sent until an operator has looked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nanotick.core.records import Kind, ReportFlag
from nanotick.orders.records import Pending
from nanotick.wire.json_text import WireError, scaled
from nanotick.wire.reports import Balance, OrderStatus, Position, Report

if TYPE_CHECKING:
    from nanotick.venues.trader import Trader
    from nanotick.venues.working import Working

SECOND = 1_000_000_000
OVERLAP = 5 * SECOND  # fills are fetched from so long before the last comparison
GRACE = 2 * SECOND  # an order younger than this may be missing in a list that lags
AGAIN = 2 * SECOND  # between two looks at what differs
RETRIES = (1, 2, 5, 10, 20)  # s, between tries of a fetch that failed
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
        self.inquired = self.fills = 0
        self.cash = ""
        self._tries = 0
        self._differs: Held = {}
        self._numbers = {
            item.symbol: number for number, item in enumerate(trader.instruments) if item.venue == trader.venue
        }
        self.over = False
        self._fetch_fills()

    def stop(self) -> None:
        """Not any more: the connection is gone."""
        self.over = True

    def _retry(self, what: str, again: Callable[[], None]) -> None:
        if self._tries >= len(RETRIES):
            self.breaks.append(f"{what} could not be read in {self._tries} tries")
            self._finish()
            return
        delay = RETRIES[self._tries] * SECOND
        self._tries += 1
        self.trader.host.at(self.trader.host.now() + delay, again)

    # --- fills --------------------------------------------------------------------------------------------------------

    def _fetch_fills(self) -> None:
        if not self.over:
            self.trader.fetch_fills(max(0, self._since - OVERLAP), self._take_fills)

    def _take_fills(self, fills: list[Report] | None) -> None:
        if self.over:
            return
        if fills is None:
            self._retry("fills", self._fetch_fills)
            return
        self._tries = 0
        self.fills = len(fills)
        self.trader.emit(fills, self.trader.host.now())
        self._fetch_open()

    # --- open orders --------------------------------------------------------------------------------------------------

    def _fetch_open(self) -> None:
        if not self.over:
            self.trader.fetch_open(self._take_open)

    def _take_open(self, statuses: list[OrderStatus] | None) -> None:
        if self.over:
            return
        if statuses is None:
            self._retry("open orders", self._fetch_open)
            return
        self._tries = 0
        trader = self.trader
        seen: set[int] = set()
        for status in statuses:
            working = trader.find(status)
            if working is None:
                self.foreign.append(status)
                continue
            seen.add(working.id)
            self._open_there(working, status)
        for working in trader.open_here():
            if working.id not in seen and working.ts_sent < self.started - GRACE and working.inquiry is None:
                self.inquired += 1
                trader.inquire(working, _NEW)
        self._fetch_holdings()

    def _open_there(self, working: Working, status: OrderStatus) -> None:
        trader = self.trader
        row = trader.engine_order(working)
        if row is None:
            self.breaks.append(f"order {status.client}: open at the venue, forgotten here")
            return
        trader.named(working, status.order)
        decimals = trader.instruments[working.instrument].qty_decimals
        filled = scaled(status.filled or "0", decimals, "filled")
        if filled > int(row["filled_qty"]) + int(row["busted_qty"]):
            self.inquired += 1
            trader.inquire(working, _NEW)
            return
        if int(row["pending"]) & _UNHEARD:  # not acknowledged, or unknown: it is there
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
            self._retry("positions", self._fetch_holdings)
            return
        self._tries = 0
        prices: dict[int, str] = {}
        there: Held = dict.fromkeys(self._numbers.values(), 0)
        for item in held:
            self._hold(item, there, prices)
        differs = {number: qty for number, qty in there.items() if qty != self._position(number)}
        if self.opening:
            self.holdings = {
                number: (qty - self._position(number), prices.get(number, "0")) for number, qty in differs.items()
            }
        elif differs and (self._differs != differs or self.trader.unknown):
            self._differs = differs  # a fill may have been under way, or an outcome be unknown: look again
            self.trader.host.at(self.trader.host.now() + AGAIN, self._fetch_holdings)
            return
        else:
            for number, qty in differs.items():
                instrument = self.trader.instruments[number]
                self.breaks.append(
                    f"{instrument.symbol}: position here {instrument.qty_decimal(self._position(number))}, "
                    f"at {self.trader.venue} {instrument.qty_decimal(qty)}"
                )
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
        self.over = True
        self._done(self)
