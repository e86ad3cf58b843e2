"""Instruments, symbols and venues: what an integer price means, and the rules an order must meet.

An instrument is a symbol at a venue. Its number is its place in the table and in every per-instrument array. Prices
are integers of `10**-price_decimals`, quantities of `10**-qty_decimals`, money of the instrument's *value scale*: for
linear contracts `10**-(price_decimals + qty_decimals)`, so that price times quantity is exact, for inverse ones
`10**-10` of the base currency, because a quotient has no exact scale.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from enum import IntEnum
from typing import Any

import numpy as np

from nanotick.core.arena import Arena, Region
from nanotick.core.fixed import from_scaled, to_scaled
from nanotick.core.memory import record_at
from nanotick.core.records import TradingStatus

INVERSE_VALUE_DECIMALS = 10


class Contract(IntEnum):
    """How price and quantity make money."""

    LINEAR = 0  # value = price * quantity * multiplier, in the quote currency
    INVERSE = 1  # value = quantity * multiplier / price, in the base currency


INSTRUMENT = np.dtype(
    [
        ("tick_size", "<i8"),  # price units
        ("lot_size", "<i8"),  # quantity units
        ("min_qty", "<i8"),  # quantity units
        ("max_qty", "<i8"),  # quantity units, 0: the venue states none
        ("min_notional", "<i8"),  # value units
        ("multiplier", "<i8"),  # linear: contract multiplier; inverse: value units * price units in one quantity unit
        ("value_unit", "<i8"),  # 10^value_decimals: value units in one unit of the currency
        ("status", "<i8"),  # TradingStatus
        ("reference_price", "<i8"),  # price units: the collar's reference until the book has a mid
        ("price_low", "<i8"),  # price band, price units, 0: none
        ("price_high", "<i8"),
        ("currency", "<i4"),  # number of the settlement currency
        ("group", "<i4"),  # number of the symbol: equal for the same symbol at several venues
        ("venue", "u1"),
        ("contract", "u1"),  # Contract
        ("price_decimals", "i1"),
        ("qty_decimals", "i1"),
        ("restricted", "u1"),  # 1: orders are refused
        ("pad", "u1", (3,)),
    ],
    align=True,
)
instrument_at = record_at(INSTRUMENT, "Instrument")


@dataclass(frozen=True)
class Instrument:
    """One symbol at one venue, in decimals as people write them.

    Parameters
    ----------
    symbol : str
    venue : str
        Name of the venue, for example `XNAS`.
    price_decimals, qty_decimals : int
        Decimal places of the integer scales, 0 to 12 together at most 18.
    tick_size, lot_size : str
        Smallest steps, as decimals.
    min_qty, max_qty, min_notional : str
        Venue limits, as decimals; "0" for none.
    multiplier : str
        Contract multiplier (linear) or face value of one contract (inverse).
    contract : Contract
    currency : str
        In which profit is paid.
    """

    symbol: str
    venue: str = "SIM"
    price_decimals: int = 2
    qty_decimals: int = 0
    tick_size: str = "0.01"
    lot_size: str = "1"
    min_qty: str = "0"
    max_qty: str = "0"
    min_notional: str = "0"
    multiplier: str = "1"
    contract: Contract = Contract.LINEAR
    currency: str = "USD"

    def __post_init__(self) -> None:
        where = f"instrument {self.symbol}@{self.venue}"
        if not 0 <= self.price_decimals + self.qty_decimals <= 18 or min(self.price_decimals, self.qty_decimals) < 0:
            raise ValueError(f"{where}: price and quantity decimals must be 0 or more and together at most 18")
        if to_scaled(self.tick_size, self.price_decimals, f"{where} tick_size") <= 0:
            raise ValueError(f"{where}: tick_size must be positive, found {self.tick_size}")
        if to_scaled(self.lot_size, self.qty_decimals, f"{where} lot_size") <= 0:
            raise ValueError(f"{where}: lot_size must be positive, found {self.lot_size}")

    @property
    def value_decimals(self) -> int:
        """Decimal places of the value scale."""
        if self.contract == Contract.INVERSE:
            return INVERSE_VALUE_DECIMALS
        return self.price_decimals + self.qty_decimals

    def price(self, value: str | int | Decimal) -> int:
        """Scaled integer of a decimal price."""
        return to_scaled(value, self.price_decimals, f"price of {self.symbol}")

    def qty(self, value: str | int | Decimal) -> int:
        """Scaled integer of a decimal quantity."""
        return to_scaled(value, self.qty_decimals, f"quantity of {self.symbol}")

    def price_decimal(self, scaled: int) -> Decimal:
        """Decimal of a scaled price."""
        return from_scaled(scaled, self.price_decimals)

    def qty_decimal(self, scaled: int) -> Decimal:
        """Decimal of a scaled quantity."""
        return from_scaled(scaled, self.qty_decimals)

    def value_decimal(self, scaled: int) -> Decimal:
        """Decimal of money at the value scale."""
        return from_scaled(scaled, self.value_decimals)

    def with_tick(self, tick_size: str) -> Instrument:
        """The same instrument with another tick."""
        return replace(self, tick_size=tick_size)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for event files and reports."""
        return {**asdict(self), "contract": int(self.contract)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Instrument:
        """Inverse of `as_dict`."""
        return cls(**{**values, "contract": Contract(values.get("contract", 0))})


def assets_of(item: Instrument) -> tuple[str, str]:
    """Base and quote asset of a pair.

    >>> assets_of(Instrument("ETHBTC", "BINANCE", currency="BTC")), assets_of(Instrument("AAPL", "XNAS"))
    (('ETH', 'BTC'), ('AAPL', 'USD'))
    """
    symbol = item.symbol.replace("/", "-")
    if "-" in symbol:
        base, _, quote = symbol.partition("-")
        return base, quote
    if symbol.endswith(item.currency) and len(symbol) > len(item.currency):
        return symbol[: -len(item.currency)], item.currency
    return symbol, item.currency


class InstrumentTable:
    """The instruments of a run, numbered from 0 in the order given.

    Raises
    ------
    ValueError
        The same symbol is listed twice at one venue.
    """

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._list = list(instruments)
        self._numbers: dict[tuple[str, str], int] = {}
        self.venues: list[str] = []
        self.symbols: list[str] = []
        self.currencies: list[str] = []
        for number, item in enumerate(self._list):
            if (item.symbol, item.venue) in self._numbers:
                raise ValueError(f"instrument {item.symbol}@{item.venue} is listed twice")
            self._numbers[item.symbol, item.venue] = number
            for names, name in (
                (self.venues, item.venue),
                (self.symbols, item.symbol),
                (self.currencies, item.currency),
            ):
                if name not in names:
                    names.append(name)

    def __len__(self) -> int:
        return len(self._list)

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self._list)

    def __getitem__(self, number: int) -> Instrument:
        return self._list[number]

    def number(self, symbol: str, venue: str | None = None) -> int:
        """Number of a symbol (at a venue, which may be left out when only one lists it).

        Raises
        ------
        KeyError
            Unknown, or listed at several venues and none was named.
        """
        if venue is not None:
            try:
                return self._numbers[symbol, venue]
            except KeyError:
                raise KeyError(f"no instrument {symbol}@{venue}; there are {self.names()}") from None
        found = [n for (s, _), n in self._numbers.items() if s == symbol]
        if len(found) == 1:
            return found[0]
        problem = "no instrument" if not found else "several venues list"
        raise KeyError(f"{problem} {symbol}; there are {self.names()}")

    def names(self) -> str:
        """All instruments, for messages."""
        return ", ".join(f"{i.symbol}@{i.venue}" for i in self._list[:20]) + (" ..." if len(self._list) > 20 else "")

    def bind(self, arena: Arena, name: str = "instruments") -> Region:
        """Lay the table into an arena."""
        region = arena.region(name, INSTRUMENT, max(1, len(self._list)))
        for row, item in zip(region.view, self._list, strict=False):
            linear = item.contract == Contract.LINEAR
            row["tick_size"] = item.price(item.tick_size)
            row["lot_size"] = item.qty(item.lot_size)
            row["min_qty"] = item.qty(item.min_qty)
            row["max_qty"] = item.qty(item.max_qty)
            row["min_notional"] = to_scaled(item.min_notional, item.value_decimals, "min_notional")
            # inverse: value = face * qty / price, with every scale folded into the one multiplier
            scale = 0 if linear else item.value_decimals + item.price_decimals - item.qty_decimals
            row["multiplier"] = to_scaled(item.multiplier, scale, "multiplier")
            row["value_unit"] = 10**item.value_decimals
            row["status"] = TradingStatus.TRADING
            row["currency"] = self.currencies.index(item.currency)
            row["group"] = self.symbols.index(item.symbol)
            row["venue"] = self.venues.index(item.venue)
            row["contract"] = item.contract
            row["price_decimals"], row["qty_decimals"] = item.price_decimals, item.qty_decimals
        return region
