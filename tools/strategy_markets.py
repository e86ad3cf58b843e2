"""Seeded markets in which strategies over several instruments have something to do.

Each is a stretch of best bids and offers, drawn with integers only, so that a seed gives the same rows on every
machine. They hold the one effect a strategy lives on and nothing else: what is earned in them shows that the strategy
runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import BOTH_SIDES, EVENT, Flag, Kind

START = 1_767_623_400_000_000_000  # 2026-01-05 14:30 UTC
STEP = 100_000_000  # ns between rounds of quotes
Ints = npt.NDArray[np.int64]
Market = tuple[npt.NDArray[Any], InstrumentTable]


def reverting(rng: np.random.Generator, steps: int, pull: int) -> Ints:
    """An integer walk that goes a step back to zero once in `pull` rounds."""
    moves, back = rng.integers(-1, 2, steps), rng.integers(0, pull, steps) == 0
    out, at = np.zeros(steps, np.int64), 0
    for n in range(steps):
        at += int(moves[n])
        if back[n] and at:
            at -= 1 if at > 0 else -1
        out[n] = at
    return out


def quotes(instrument: int, at: Ints, bid: Ints, ask: Ints, bid_qty: Ints, ask_qty: Ints) -> npt.NDArray[Any]:
    """EVENT rows of best bids and offers, `at` in ns from the start."""
    rows = np.zeros(len(at), EVENT)
    rows["kind"], rows["instrument"], rows["flags"] = int(Kind.QUOTE), instrument, BOTH_SIDES | int(Flag.LAST)
    rows["ts_venue"] = rows["ts_recv"] = at + START
    rows["price"], rows["qty"], rows["id"], rows["word"] = bid, bid_qty, ask, ask_qty
    return rows


def market(instruments: list[Instrument], rows: list[npt.NDArray[Any]]) -> Market:
    """All rows in order of time, numbered."""
    events = np.concatenate(rows)
    events = events[np.argsort(events["ts_venue"], kind="stable")]
    events["seq"] = np.arange(1, len(events) + 1)
    return events, InstrumentTable(instruments)


def share(symbol: str, venue: str = "SIM") -> Instrument:
    """A share with ticks of a cent."""
    return Instrument(symbol, venue, price_decimals=2, qty_decimals=0, tick_size="0.01", lot_size="1")


def two_venues(seed: int, steps: int = 6_000) -> Market:
    """One share on two venues; their prices stray from each other by some ticks and come back."""
    rng = np.random.default_rng(seed)
    level = 10_000 + np.cumsum(rng.integers(-1, 2, steps))
    apart = reverting(rng, steps, 2)
    rows = []
    for leg, bid in enumerate((level, level + apart)):
        sizes = rng.integers(1, 6, (2, steps)) * 100
        rows.append(quotes(leg, np.arange(steps) * STEP + leg * 1_000, bid, bid + 2, sizes[0], sizes[1]))
    return market([share("AAA", "ONE"), share("AAA", "TWO")], rows)


def leader_and_follower(seed: int, steps: int = 6_000) -> Market:
    """A share that jumps on one venue, and on the other 30 ms later."""
    rng = np.random.default_rng(seed)
    jumps = rng.integers(-6, 7, steps) * (rng.integers(0, 25, steps) == 0)
    level = 10_000 + np.cumsum(jumps + rng.integers(-1, 2, steps) * (rng.integers(0, 3, steps) == 0))
    rows = []
    for leg in (0, 1):
        sizes = rng.integers(1, 6, (2, steps)) * 100
        rows.append(quotes(leg, np.arange(steps) * STEP + leg * 30_000_000, level, level + 2, sizes[0], sizes[1]))
    return market([share("AAA", "FAST"), share("AAA", "SLOW")], rows)


def pair(seed: int, steps: int = 12_000) -> Market:
    """A share X that walks, and a share Y that follows it at 1.6 times the move, but for a residual that reverts."""
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.integers(-1, 2, steps))
    y = (16 * x) // 10 + 2 * reverting(rng, steps, 12)
    rows = []
    for leg, bid in enumerate((20_000 + y, 10_000 + x)):
        sizes = rng.integers(5, 20, (2, steps)) * 100
        rows.append(quotes(leg, np.arange(steps) * STEP + leg * 1_000, bid, bid + 1, sizes[0], sizes[1]))
    return market([share("YYY"), share("XXX")], rows)


def triangle(seed: int, steps: int = 6_000) -> Market:
    """BTC and ETH against dollars, and ETH in BTC, whose price strays from what the other two say."""
    rng = np.random.default_rng(seed)
    btc = 5_000_000 + 200 * np.cumsum(rng.integers(-1, 2, steps))
    eth = 250_000 + 10 * np.cumsum(rng.integers(-1, 2, steps))
    cross = (eth * 100_000 + btc // 2) // btc + reverting(rng, steps, 2)
    rows = []
    for leg, (price, half, least) in enumerate(((btc, 50, 20_000), (eth, 5, 200_000), (cross, 1, 200_000))):
        sizes = rng.integers(1, 6, (2, steps)) * least
        rows.append(quotes(leg, np.arange(steps) * STEP + leg * 1_000, price - half, price + half, sizes[0], sizes[1]))

    def coin(symbol: str, decimals: int, tick: str, currency: str) -> Instrument:
        return Instrument(
            symbol, price_decimals=decimals, qty_decimals=5, tick_size=tick, lot_size="0.00001", currency=currency
        )

    coins = [coin("BTCUSD", 2, "0.01", "USD"), coin("ETHUSD", 2, "0.01", "USD"), coin("ETHBTC", 5, "0.00001", "BTC")]
    return market(coins, rows)


MARKETS: dict[str, Callable[[int], Market]] = {
    "cross-venue-arbitrage": two_venues,
    "latency-arbitrage": leader_and_follower,
    "statistical-arbitrage": pair,
    "triangular-arbitrage": triangle,
}
