"""A seeded price-level market: depth updates and trades of one liquid instrument, in either program's records.

A one-tick-wide market like a large perpetual future: best ask at tick `m`, best bid at `m - 1`. Messages come about
every 18 ms; three in four are depth messages that change about ten levels each (their distance from the touch is
log-uniform up to 200 ticks), one in four is a burst of trades that eats into the best level and moves the market when
it is gone. That makes about 500 rows a second of market time. Receive stamps are half a millisecond and some noise
behind and never overtake each other.
"""

from typing import Any

import numpy as np
from numba import njit

from benchmarks import hft_format
from benchmarks.itch_day import _random
from nanotick.core.records import BOTH_SIDES, EVENT, Flag, Kind

TICK = 0.1
LOT = 0.001
PRICE_DECIMALS = 1
QTY_DECIMALS = 3
START_NS = 1_767_225_600 * 1_000_000_000  # 2026-01-01 00:00 UTC
START_TICK = 600_000
WINDOW_TICKS = 1 << 16  # the market stays within this many ticks around its start
MESSAGE_GAP_NS = 18_000_000
DEEPEST_TICKS = 200

# One row of the market, before it becomes a record of either program; prices in ticks, quantities in lots.
ROW = np.dtype(
    [
        ("ts_venue", "<i8"),
        ("ts_recv", "<i8"),
        ("tick", "<i8"),
        ("lots", "<i8"),
        ("trade", "i1"),
        ("side", "i1"),
        ("last", "i1"),
    ]
)


@njit(cache=True)
def _draw_lots(state: Any) -> Any:
    return 1 + _random(state) % (np.int64(1) << (2 + _random(state) % 11))


@njit(cache=True)
def _emit(rows: Any, n: Any, ts: Any, recv: Any, tick: Any, lots: Any, trade: Any, side: Any) -> Any:
    if n < len(rows):
        rows[n].ts_venue = ts
        rows[n].ts_recv = recv
        rows[n].tick = tick
        rows[n].lots = lots
        rows[n].trade = trade
        rows[n].side = side
        rows[n].last = 0
        n += 1
    return n


@njit(cache=True)
def _fill(rows: Any, seed: Any) -> Any:
    """Fill `rows` with a market; `levels[side]` are lots by tick, side 0 bids and 1 asks."""
    state = np.array([seed], np.uint64)
    base = START_TICK - WINDOW_TICKS // 2
    levels = np.zeros((2, WINDOW_TICKS), np.int64)
    dirty = np.zeros(64, np.int64)  # side * window + tick, of levels a trade or a move has changed
    dirty_count = 0
    m = np.int64(WINDOW_TICKS // 2)
    ts = np.int64(START_NS)
    recv = ts + 500_000
    n = 0
    for k in range(2 * DEEPEST_TICKS):
        levels[0, m - 1 - k] = _draw_lots(state)
        levels[1, m + k] = _draw_lots(state)
        n = _emit(rows, n, ts, recv, base + m - 1 - k, levels[0, m - 1 - k], 0, 1)
        n = _emit(rows, n, ts, recv, base + m + k, levels[1, m + k], 0, -1)
    if n:
        rows[n - 1].last = 1
    while n < len(rows):
        ts += 1 + _random(state) % (2 * MESSAGE_GAP_NS)
        recv = max(recv, ts + 500_000 + _random(state) % 200_000)
        before = n
        if dirty_count < 48 and _random(state) % 4 == 0:
            side = _random(state) & 1  # the side that is eaten
            for _ in range(1 + _random(state) % 3):
                at = m if side else m - 1
                lots = min(_draw_lots(state), levels[side, at])
                n = _emit(rows, n, ts, recv, base + at, lots, 1, 1 if side else -1)
                levels[side, at] -= lots
                dirty[dirty_count] = side * WINDOW_TICKS + at
                dirty_count += 1
                if levels[side, at] == 0:
                    # The next level becomes the best, and the other side follows into the gap.
                    m += 1 if side else -1
                    fresh = m - 1 if side else m
                    levels[1 - side, fresh] = _draw_lots(state)
                    dirty[dirty_count] = (1 - side) * WINDOW_TICKS + fresh
                    dirty_count += 1
                    best = m if side else m - 1
                    if levels[side, best] == 0:
                        levels[side, best] = _draw_lots(state)
                        dirty[dirty_count] = side * WINDOW_TICKS + best
                        dirty_count += 1
                    break
        else:
            for k in range(dirty_count):
                side = dirty[k] // WINDOW_TICKS
                at = dirty[k] % WINDOW_TICKS
                n = _emit(rows, n, ts, recv, base + at, levels[side, at], 0, -1 if side else 1)
            dirty_count = 0
            for _ in range(4 + _random(state) % 14):
                side = _random(state) & 1
                away = _random(state) % (np.int64(1) << (_random(state) % 9))
                away = min(away, DEEPEST_TICKS - 1)
                at = m + away if side else m - 1 - away
                lots = _draw_lots(state)
                if away > 0 and _random(state) % 8 == 0:
                    lots = 0
                levels[side, at] = lots
                n = _emit(rows, n, ts, recv, base + at, lots, 0, -1 if side else 1)
        if n > before:
            rows[n - 1].last = 1


def market_rows(count: int, seed: int = 7) -> np.ndarray[Any, Any]:
    """Return `count` rows (dtype `ROW`) of one instrument's market."""
    rows = np.zeros(count, ROW)
    _fill(rows, np.uint64(seed))
    return rows


def as_hft(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the rows as hftbacktest's records."""
    out = np.zeros(len(rows), hft_format.HFT_EVENT)
    kind = np.where(rows["trade"] == 1, hft_format.TRADE, hft_format.DEPTH)
    side = np.where(rows["side"] == 1, hft_format.BUY, hft_format.SELL)
    out["ev"] = (kind | side | hft_format.EXCHANGE_AND_LOCAL).astype(np.uint64)
    out["exch_ts"] = rows["ts_venue"]
    out["local_ts"] = rows["ts_recv"]
    # The price a reader of the venue's decimal text would get, not a product with its own rounding error.
    out["px"] = rows["tick"] / 10**PRICE_DECIMALS
    out["qty"] = rows["lots"] / 10**QTY_DECIMALS
    return out


def as_events(rows: np.ndarray[Any, Any], instrument: int = 0) -> np.ndarray[Any, Any]:
    """Return the rows as nanotick events, prices at one decimal and quantities at three."""
    out = np.zeros(len(rows), EVENT)
    out["kind"] = np.where(rows["trade"] == 1, int(Kind.TRADE), int(Kind.LEVEL))
    out["flags"] = BOTH_SIDES | np.where(rows["last"] == 1, int(Flag.LAST), 0)
    for name, source in (
        ("ts_venue", "ts_venue"),
        ("ts_recv", "ts_recv"),
        ("price", "tick"),
        ("qty", "lots"),
        ("side", "side"),
    ):
        out[name] = rows[source]
    out["seq"] = np.arange(len(rows))
    out["instrument"] = instrument
    return out
