"""A seeded synthetic order-book day: what `make run`, the examples and many tests trade on.

Nothing is shipped and nothing is downloaded: a day of three symbols, a few million rows, is generated in about a second
from a seed, order by order or by price level, with venue and receive stamps. The model is described in
`synthetic_flow.py`. It is no substitute for recordings: it has no auctions, no hidden icebergs and no memory beyond
a few minutes, and a strategy that earns money here has shown that it runs, not that it earns money.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.memory import wrap_i64
from nanotick.core.records import EVENT
from nanotick.data import synthetic_book as book
from nanotick.data import synthetic_flow as flow

Form = Literal["orders", "levels"]
Progress = Callable[[int, int], None]

DAY_SECONDS = 23_400  # 6.5 hours
OPENS = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
_CHUNK_ROWS = 262_144
_MASK64 = (1 << 64) - 1


@dataclass(frozen=True)
class SyntheticSymbol:
    """How one symbol's flow looks.

    Parameters
    ----------
    symbol : str
    price : str
        Opening price, decimal.
    tick_size : str
    limit_rate : float
        Limit orders a second and side at ordinary activity.
    lifetime : float
        Mean seconds an order rests if nothing takes it.
    market_rate : float
        Marketable orders a second and side at ordinary activity.
    decay : float
        Exponent with which arrivals fall with the distance from the opposite best: larger means a tighter book.
    volatility_ticks : float
        Half width of a step of the hidden value, of which there are about four a second.
    mean_lots : int
        Mean order size in round lots of 100.
    """

    symbol: str
    price: str
    tick_size: str = "0.01"
    limit_rate: float = 9.0
    lifetime: float = 6.0
    market_rate: float = 0.45
    decay: float = 1.1
    volatility_ticks: float = 0.35
    mean_lots: int = 3


# A liquid one-tick name, an ordinary one, and a dear one with a thin book.
DEFAULT_SYMBOLS = (
    SyntheticSymbol("ALFA", "42.00", limit_rate=10.0, lifetime=8.0, market_rate=0.5, decay=1.3, volatility_ticks=0.25),
    SyntheticSymbol("BETA", "118.50", limit_rate=8.0, lifetime=5.0, market_rate=0.45, decay=0.7, volatility_ticks=0.45),
    SyntheticSymbol("GAMA", "305.00", limit_rate=5.0, lifetime=3.5, market_rate=0.35, decay=0.3, volatility_ticks=0.8),
)


@dataclass(frozen=True)
class SyntheticDay:
    """Generated rows and what they are about.

    Attributes
    ----------
    events : numpy.ndarray
        Dtype `EVENT`, by venue time and by arrival at once.
    instruments : InstrumentTable
    form : str
        `orders` (ADD, REDUCE, DELETE, EXECUTE, REPLACE, hidden TRADE) or `levels` (LEVEL and TRADE).
    seed : int
    """

    events: npt.NDArray[Any]
    instruments: InstrumentTable
    form: Form
    seed: int


def _scaled(number: Decimal, bits: int) -> int:
    return int((number * (1 << bits)).to_integral_value(ROUND_HALF_EVEN))


@cache
def _exponential_table() -> tuple[list[int], int]:
    """-ln(u) at the middle of each bin, and ln of the number of bins; decimal arithmetic, so equal everywhere."""
    bins = book.EXPONENTIAL_BINS
    with localcontext() as context:
        context.prec = 30
        table = [_scaled(-((Decimal(2 * i + 1) / (2 * bins)).ln()), 20) for i in range(bins)]
        return table, _scaled(Decimal(bins).ln(), 20)


def _distance_table(decay: float) -> list[int]:
    """Distance from the opposite best for each of the bins, in proportion to i**-decay."""
    with localcontext() as context:
        context.prec = 30
        weights = [Decimal(i) ** -Decimal(str(decay)) for i in range(1, book.MAX_DISTANCE + 1)]
        total, passed = sum(weights), Decimal(0)
        table: list[int] = []
        for distance, weight in enumerate(weights, 1):
            passed += weight
            end = int((passed / total * book.DISTANCE_BINS).to_integral_value(ROUND_HALF_EVEN))
            table += [distance] * (end - len(table))
    return table


def _state(seed: int) -> int:
    """State of the generator: neighbouring seeds must not give neighbouring states, nor any seed 0 (splitmix64)."""
    z = (seed * 0x9E3779B97F4A7C15 + 0x5851F42D4C957F2D) & _MASK64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _MASK64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK64
    return wrap_i64((z ^ (z >> 31)) or 1)


def _address(array: npt.NDArray[Any]) -> int:
    return int(array.ctypes.data)


def synthetic_day(
    seed: int = 7,
    symbols: Sequence[SyntheticSymbol] = DEFAULT_SYMBOLS,
    seconds: float = DAY_SECONDS,
    form: Form = "orders",
    opens: datetime = OPENS,
    progress: Progress | None = None,
) -> SyntheticDay:
    """Generate a trading day.

    Parameters
    ----------
    seed : int
        The same seed and parameters give the same rows on every machine.
    symbols : sequence of SyntheticSymbol
    seconds : float
        Length of the session.
    form : {"orders", "levels"}
        Order by order, or the same flow by price level.
    opens : datetime
        With a time zone.
    progress : callable, optional
        Called with nanoseconds done and nanoseconds in all.

    Returns
    -------
    SyntheticDay

    References
    ----------
    R. Cont, S. Stoikov, R. Talreja, "A Stochastic Model for Order Book Dynamics", Operations Research 58 (2010).
    """
    if not symbols:
        raise ValueError("synthetic_day: expected at least one symbol")
    if form not in ("orders", "levels"):
        raise ValueError(f"synthetic_day: form must be 'orders' or 'levels', found {form!r}")
    if seconds <= 0:
        raise ValueError(f"synthetic_day: seconds must be positive, found {seconds}")
    instruments = InstrumentTable(
        Instrument(s.symbol, "SIM", price_decimals=2, tick_size=s.tick_size, lot_size="1") for s in symbols
    )
    count = len(symbols)
    market = np.zeros(1, book.MARKET)
    state = np.zeros(count, book.SYMBOL)
    orders = np.zeros(count * book.POOL, book.ORDER)
    levels = np.zeros(count * book.LADDER, book.LEVEL)
    live = np.zeros(count * 2 * book.POOL, book.LIVE)
    table, ln_bins = _exponential_table()
    exponential = np.array(table, np.int64)
    distances = np.array([_distance_table(s.decay) for s in symbols], np.int64)
    start = int(opens.timestamp()) * 1_000_000_000
    row = market[0]
    row["rng"] = _state(seed)
    row["start"], row["end"] = start, start + int(seconds * 1_000_000_000)
    row["latency"], row["jitter"] = 35_000, 9_000
    row["symbols"], row["ln_bins"] = count, ln_bins
    row["form"] = flow.ORDERS_FORM if form == "orders" else flow.LEVELS_FORM
    for name, array in (
        ("symbols", state),
        ("orders", orders),
        ("levels", levels),
        ("live", live),
        ("exponential", exponential),
        ("distance", distances),
    ):
        row[f"{name}_address"] = _address(array)
    middle = book.LADDER // 2
    for i, (symbol, instrument) in enumerate(zip(symbols, instruments, strict=True)):
        one = state[i]
        one["index"], one["ts"], one["excited_at"] = i, start, start
        one["tick"] = instrument.price(symbol.tick_size)
        one["price_base"] = instrument.price(symbol.price) - middle * int(one["tick"])
        if one["price_base"] <= 0:
            raise ValueError(
                f"synthetic symbol {symbol.symbol}: price {symbol.price} is less than {middle} ticks of "
                f"{symbol.tick_size}; choose a smaller tick or a higher price"
            )
        one["bid"], one["ask"] = middle - 1, middle + 1
        one["value"], one["regime"] = middle * book.ONE, 3
        one["sigma"] = round(symbol.volatility_ticks * book.ONE)
        one["limit_rate"] = round(symbol.limit_rate * 1_000)
        one["cancel_rate"] = round(1_000 / symbol.lifetime)
        one["market_rate"] = round(symbol.market_rate * 1_000)
        one["lean"], one["informed"] = 380, 1500
        one["lot"], one["mean_lots"] = 100, symbol.mean_lots
        pool = orders[i * book.POOL : (i + 1) * book.POOL]
        pool["next"] = np.arange(1, book.POOL + 1)
    capacity = int(sum(s.limit_rate * 7 for s in symbols) * seconds) + count * flow.MAX_ROWS_PER_ACTION + _CHUNK_ROWS
    events = np.empty(capacity, EVENT)
    done = 0
    while row["stage"] != 2:
        if done + _CHUNK_ROWS > len(events):
            events = np.concatenate([events[:done], np.empty(len(events), EVENT)])
        row["out_address"] = _address(events) + done * EVENT.itemsize
        done += int(flow.generate(_address(market), min(_CHUNK_ROWS, len(events) - done)))
        if progress is not None:
            now = int(state["ts"].min())
            progress(min(now, int(row["end"])) - start, int(row["end"]) - start)
    return SyntheticDay(events[:done], instruments, form, seed)
