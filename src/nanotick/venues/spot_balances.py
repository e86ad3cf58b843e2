"""Balances of a spot account as positions.

A spot account has balances, not positions. What an asset's balance should be follows from the balance at the session's
start and our fills since, fees in their own asset included:

    expected = balance at the start + bought - sold - paid for others - fees in this asset

The first instrument of the table with the asset as its base carries the difference, if it is more than a lot: a balance
that something else has changed is a break.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from decimal import ROUND_DOWN, Decimal

from nanotick.core.instruments import InstrumentTable
from nanotick.venues.desk_terms import assets_of
from nanotick.wire.reports import Position, Report

FILLS_KEPT = 1 << 16


class SpotBalances:
    """What the balances of an account should be.

    Parameters
    ----------
    instruments : InstrumentTable
    venue : str
        Name of the venue in the table.
    position : callable
        Gives the engine's position in an instrument.
    """

    def __init__(self, instruments: InstrumentTable, venue: str, position: Callable[[int], int]) -> None:
        self._instruments, self._venue, self._position = instruments, venue, position
        self._fills: set[tuple[str, str]] = set()
        self._order: deque[tuple[str, str]] = deque()
        self._start: dict[str, Decimal] = {}
        self._moved: dict[str, Decimal] = {}
        self._assets: dict[str, tuple[str, str]] = {}  # symbol -> base, quote
        self._carries: dict[str, int] = {}  # base asset -> instrument that carries its balance
        for number, item in enumerate(instruments):
            if item.venue == venue:
                base, quote = assets_of(item)
                self._assets[item.symbol] = base, quote
                self._carries.setdefault(base, number)

    def count(self, fill: Report) -> None:
        """Move balances by a fill, once. A fee without an asset is in the quote asset."""
        name = fill.symbol, fill.execution
        if name in self._fills or fill.symbol not in self._assets:
            return
        self._fills.add(name)
        self._order.append(name)
        if len(self._order) > FILLS_KEPT:
            self._fills.discard(self._order.popleft())
        base, quote = self._assets[fill.symbol]
        qty = fill.side * Decimal(fill.qty)
        self._move(base, qty)
        self._move(quote, -qty * Decimal(fill.price))
        self._move(fill.fee_asset or quote, -Decimal(fill.fee or "0"))

    def _move(self, asset: str, amount: Decimal) -> None:
        self._moved[asset] = self._moved.get(asset, Decimal(0)) + amount

    def positions(self, held: Mapping[str, Decimal], opened: bool) -> list[Position]:
        """Positions that the balances amount to.

        Parameters
        ----------
        held : mapping of asset to Decimal
            Free and locked together.
        opened : bool
            Whether the session has been compared before: then only what our fills do not explain differs.
        """
        if not opened:
            self._start, self._moved = dict(held), {}
        found = []
        for number, item in enumerate(self._instruments):
            if item.venue != self._venue:
                continue
            base, _ = self._assets[item.symbol]
            known = item.qty_decimal(self._position(number))
            if self._carries[base] != number:
                qty = known
            elif not opened:
                qty = held.get(base, Decimal(0))
            else:
                expected = self._start.get(base, Decimal(0)) + self._moved.get(base, Decimal(0))
                differs = held.get(base, Decimal(0)) - expected
                qty = known + differs if abs(differs) > Decimal(item.lot_size) else known
            qty = qty.quantize(Decimal(1).scaleb(-item.qty_decimals), ROUND_DOWN)
            found.append(Position(item.symbol, f"{qty:f}"))
        return found
