"""A recording in which quotes fill with the intensities of the market-making papers.

The replayed market cannot react, but it can be drawn so that whatever rests at distance d from the mid fills with the
probability the model asks for: in every step each side prints one trade, at a distance from the mid of

    d = ln(A dt / u) / k,   u uniform on (0, 1),   so that   P(d >= delta) = min(1, A dt exp(-k delta))

An order resting at delta is traded through, or at, exactly when d >= delta. There is no displayed quantity near, so an
order is first in its queue; orders and trades have one lot, so at most one fill a side and step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.instruments import Instrument
from nanotick.core.records import BOTH_SIDES, EVENT, Flag, Kind

TICKS = 10_000  # price units in one unit of the papers' price: quotes are all but continuous
STEP_NS = 1_000_000  # market time of a step; the strategy decides at its start, trades come at its half
BASE = 1_000 * TICKS  # the papers' price 0 is put here: integer prices are positive
FAR = 900 * TICKS
INSTRUMENT = Instrument("PAPER", "SIM", price_decimals=4, qty_decimals=0, tick_size="0.0001", lot_size="1")


def recording(
    mids: npt.NDArray[np.float64], reach: npt.NDArray[np.float64], least: float = -np.inf
) -> npt.NDArray[Any]:
    """EVENT rows of steps.

    Parameters
    ----------
    mids : ndarray, shape (steps + 1,)
        The mid at the start of each step and after the last; price units of the papers.
    reach : ndarray, shape (steps, 2)
        Distance from the mid of the trade that buys (hits asks) and of the one that sells.
    least : float
        Trades at a smaller distance are left out: nobody quotes there.
    """
    steps = len(reach)
    rows = np.zeros((steps, 3), EVENT)
    at = np.rint(mids * TICKS).astype(np.int64) + BASE
    start = 1_700_000_000_000_000_000 + np.arange(steps, dtype=np.int64) * STEP_NS
    quote, buys, sells = rows[:, 0], rows[:, 1], rows[:, 2]
    quote["kind"], quote["ts_venue"] = int(Kind.QUOTE), start
    quote["price"], quote["qty"], quote["id"], quote["word"] = at[:-1] - FAR, 1, at[:-1] + FAR, 1
    far = np.int64(800 * TICKS)
    for trade, side, column in ((buys, 1, 0), (sells, -1, 1)):
        distance = np.clip(np.rint(reach[:, column] * TICKS).astype(np.int64), -far, far)
        trade["kind"], trade["ts_venue"] = int(Kind.TRADE), start + STEP_NS // 2 + (side < 0)
        trade["price"], trade["qty"], trade["side"] = at[:-1] + side * distance, 1, side
    flat = rows.reshape(-1)
    flat["ts_recv"] = flat["ts_venue"]
    flat["flags"] = BOTH_SIDES | int(Flag.LAST)
    kept = np.ones((steps, 3), np.bool_)
    kept[:, 1:] = reach >= least
    flat = flat[kept.reshape(-1)]
    flat["seq"] = np.arange(1, len(flat) + 1)
    return flat


def reaches(
    rng: np.random.Generator, steps: int, probability: float, k: float, poisson: bool = False
) -> npt.NDArray[np.float64]:
    """Trade distances, shape (steps, 2), for fills with p = `probability` exp(-k delta) a step, or 1 - exp(-p)."""
    u = rng.random((steps, 2))
    distance: npt.NDArray[np.float64] = np.log(probability / (-np.log1p(-u) if poisson else u)) / k
    return distance
