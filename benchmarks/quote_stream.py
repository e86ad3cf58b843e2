"""A seeded stream of best bids and offers: one tick wide, a random walk, one quote a millisecond.

The stream NautilusTrader and nanotick both trade on: each quote has size on both sides.
"""

from typing import Any

import numpy as np

from nanotick.core.records import BOTH_SIDES, EVENT, Flag, Kind

PRICE_DECIMALS = 2
QTY_DECIMALS = 0
START_NS = 1_767_225_600 * 1_000_000_000  # 2026-01-01 00:00 UTC
GAP_NS = 1_000_000
START_CENTS = 100_000

QUOTE = np.dtype([("ts", "<i8"), ("bid", "<i8"), ("ask", "<i8"), ("bid_qty", "<i8"), ("ask_qty", "<i8")])


def quotes(count: int, seed: int = 5) -> np.ndarray[Any, Any]:
    """Return `count` quotes (dtype `QUOTE`): time in ns UTC, prices in cents, sizes in units."""
    rng = np.random.default_rng(seed)
    out = np.zeros(count, QUOTE)
    out["ts"] = START_NS + np.arange(count) * GAP_NS
    out["bid"] = np.maximum(START_CENTS + np.cumsum(rng.integers(-1, 2, count)), 100)
    out["ask"] = out["bid"] + 1
    out["bid_qty"] = rng.integers(1, 1_000, count)
    out["ask_qty"] = rng.integers(1, 1_000, count)
    return out


def as_events(stream: np.ndarray[Any, Any], instrument: int = 0) -> np.ndarray[Any, Any]:
    """Return the quotes as nanotick events: price at two decimals, quantity at none."""
    out = np.zeros(len(stream), EVENT)
    for name, source in (("price", "bid"), ("qty", "bid_qty"), ("id", "ask"), ("word", "ask_qty")):
        out[name] = stream[source]
    out["ts_venue"] = out["ts_recv"] = stream["ts"]
    out["seq"] = np.arange(len(stream))
    out["kind"] = int(Kind.QUOTE)
    out["flags"] = BOTH_SIDES | int(Flag.LAST)
    out["instrument"] = instrument
    return out
