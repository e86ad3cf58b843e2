"""Balances of a spot account as positions.

A spot account has balances, not positions. What an asset's balance should be follows from the balance at the session's
start and our fills since, fees in their own asset included:

    expected = balance at the start + bought - sold - paid for others - fees in this asset

The first instrument of the table with the asset as its base carries the difference, if it is more than a lot: a balance
that something else has changed is a break. Coins that were there at the start are a position, or nobody's (`leave`).

A session that goes on after a crash no longer knows the balance it began with, nor the fees it paid in coins. Once what
it has missed is booked, a balance near its positions is taken for the beginning (`begin_again`); one that is not is a
break. Where coins are left alone nothing can be compared with, so that any balance is taken for the beginning.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from decimal import ROUND_DOWN, Decimal

from nanotick.core.instruments import InstrumentTable, assets_of
from nanotick.wire.json_text import WireError
from nanotick.wire.reports import Balance, Position, Private, Report

FILLS_KEPT = 1 << 16
FEES_SHARE = Decimal("0.01")  # of a balance: what fees in coins may have come to before a crash


def begin_again(held: Mapping[str, Decimal], ours: Mapping[str, Decimal], moved: Mapping[str, Decimal],
                lots: Mapping[str, Decimal]) -> dict[str, Decimal] | None:  # fmt: skip
    """Balances to begin with after a crash; None when one of them is too far from the positions.

    Parameters
    ----------
    held : mapping of asset to Decimal
        As the venue has them.
    ours : mapping of asset to Decimal
        Positions of the engine, of the assets that can be checked.
    moved : mapping of asset to Decimal
        By the fills counted since the restart.
    lots : mapping of asset to Decimal
        Smallest amount that is a difference.
    """
    for asset, known in ours.items():
        there = held.get(asset, Decimal(0))
        if abs(there - known) > lots[asset] + FEES_SHARE * max(abs(there), abs(known)):
            return None
    assets = held.keys() | moved.keys()
    return {asset: held.get(asset, Decimal(0)) - moved.get(asset, Decimal(0)) for asset in assets}


def checked_positions(
    instruments: InstrumentTable, venue: str, position: Callable[[int], int], assets: Mapping[str, tuple[str, str]]
) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """Positions of the engine by asset, and their lots; assets that also pay for others are left out."""
    ours: dict[str, Decimal] = {}
    lots: dict[str, Decimal] = {}
    paying = {quote for _, quote in assets.values()}
    for number, item in enumerate(instruments):
        base, _ = assets.get(item.symbol, ("", ""))
        if item.venue == venue and base not in paying:
            ours[base] = ours.get(base, Decimal(0)) + item.qty_decimal(position(number))
            lots[base] = max(lots.get(base, Decimal(0)), Decimal(item.lot_size))
    return ours, lots


def held_of(told: Iterable[Private], asset_of: Callable[[str], str] = str) -> dict[str, Decimal]:
    """Balances by asset, free and locked together; `asset_of` gives the asset of a name that the venue has for it."""
    held: dict[str, Decimal] = {}
    for item in told:
        if isinstance(item, Balance):
            name = asset_of(item.asset)
            held[name] = held.get(name, Decimal(0)) + Decimal(item.free) + Decimal(item.locked)
    return held


class SpotBalances:
    """What the balances of an account should be.

    Parameters
    ----------
    instruments : InstrumentTable
    venue : str
        Name of the venue in the table.
    position : callable
        Gives the engine's position in an instrument.
    leave : bool
        Coins that are there at the start are nobody's position: only what is traded from then on counts.
    """

    def __init__(
        self, instruments: InstrumentTable, venue: str, position: Callable[[int], int], leave: bool = False
    ) -> None:
        self._instruments, self._venue, self._position, self._leave = instruments, venue, position, leave
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
        """Move balances by a fill, once. A fee without an asset is in the quote asset.

        Raises
        ------
        WireError
            A figure of it is no number, or beyond all bounds.
        """
        name = fill.symbol, fill.execution
        if name in self._fills or fill.symbol not in self._assets:
            return
        self._fills.add(name)
        self._order.append(name)
        if len(self._order) > FILLS_KEPT:
            self._fills.discard(self._order.popleft())
        base, quote = self._assets[fill.symbol]
        try:
            qty = fill.side * Decimal(fill.qty)
            paid, fee = qty * Decimal(fill.price), Decimal(fill.fee or "0")
        except ArithmeticError as error:
            raise WireError(f"fill {fill.execution[:40]}: {error}") from None
        self._move(base, qty)
        self._move(quote, -paid)
        self._move(fill.fee_asset or quote, -fee)

    def counted(self, symbol: str, execution: str) -> bool:
        """Whether a fill has moved the balances, as far back as is remembered."""
        return (symbol, execution) in self._fills

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
        elif not self._start and self._leave:
            self._start = {asset: amount - self._moved.get(asset, Decimal(0)) for asset, amount in held.items()}
        elif not self._start:
            ours, lots = checked_positions(self._instruments, self._venue, self._position, self._assets)
            self._start = begin_again(held, ours, self._moved, lots) or {}
        found = []
        for number, item in enumerate(self._instruments):
            if item.venue != self._venue:
                continue
            base, _ = self._assets[item.symbol]
            known = item.qty_decimal(self._position(number))
            if self._carries[base] != number or (self._leave and not opened):
                qty = known
            elif not opened or not self._start:
                qty = held.get(base, Decimal(0))
            else:
                expected = self._start.get(base, Decimal(0)) + self._moved.get(base, Decimal(0))
                differs = held.get(base, Decimal(0)) - expected
                qty = known + differs if abs(differs) > Decimal(item.lot_size) else known
            qty = qty.quantize(Decimal(1).scaleb(-item.qty_decimals), ROUND_DOWN)
            found.append(Position(item.symbol, f"{qty:f}"))
        return found
