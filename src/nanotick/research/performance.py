"""Figures of an equity curve: return against risk. Each function takes plain arrays and says where its formula is from.

A figure that is not defined (no variance, no loss, too few samples) is NaN here and null in JSON, never 0 or infinity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DAY_NS = 86_400_000_000_000
YEAR_TRADING_DAYS = 252
YEAR_DAYS = 365
ROUND_THE_CLOCK_SHARE = 20 / 24  # of a day covered by data: from here on a market is taken never to close


@dataclass(frozen=True)
class Increments:
    """Changes of equity over equal steps.

    Attributes
    ----------
    values : numpy.ndarray
        Currency, shape (steps,).
    per_year : float
        How many such steps a trading year has.
    days : int
        Calendar days with data.
    years : float
        Length of the data in trading years.
    ts : numpy.ndarray
        ns UTC at the end of each step, shape (steps,).
    """

    values: Floats
    per_year: float
    days: int
    years: float
    ts: npt.NDArray[np.int64]


def increments(ts: npt.NDArray[np.int64], equity: Floats, step_ns: int, offset_ns: Any = 0) -> Increments:
    """Sample a curve on an even grid within each day, and say how many steps make a year.

    A market with data for 20 hours a day or more counts 365 days of 24 hours a year, any other 252 days of as many
    hours as the data covers on average. The step from one day's last sample to the next day's first is one increment of
    the first of the new day.

    Parameters
    ----------
    ts : numpy.ndarray
        ns UTC, non-decreasing.
    equity : numpy.ndarray
        Currency.
    step_ns : int
    offset_ns : int or numpy.ndarray
        Local time minus UTC, which decides what a day is; one number, or one a moment.
    """
    if len(ts) < 2:
        return Increments(np.empty(0), 0.0, min(len(ts), 1), 0.0, np.empty(0, np.int64))
    days = (ts + offset_ns) // DAY_NS
    numbers, starts = np.unique(days, return_index=True)
    ends = np.append(starts[1:], len(ts)) - 1
    covered = float((ts[ends] - ts[starts]).sum())
    sampled, times = [equity[starts[0]]], []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        grid = np.arange(ts[start] + step_ns, ts[end] + 1, step_ns)
        sampled.extend(equity[np.searchsorted(ts, grid, "right") - 1].tolist())
        times.append(grid)
    mean_day = covered / len(numbers)
    if mean_day >= ROUND_THE_CLOCK_SHARE * DAY_NS:
        year = YEAR_DAYS * float(DAY_NS)
    else:
        year = YEAR_TRADING_DAYS * mean_day
    years = covered / year if year else 0.0
    ends_of_steps = np.concatenate(times).astype(np.int64)
    return Increments(np.diff(np.array(sampled, np.float64)), year / step_ns, len(numbers), years, ends_of_steps)


def sharpe_ratio(values: Floats, per_year: float) -> float:
    """Mean over standard deviation (n - 1) of increments, times the root of the increments a year; no risk-free rate.

    W. F. Sharpe, "The Sharpe Ratio", Journal of Portfolio Management 21 (1994).
    """
    if len(values) < 2:
        return math.nan
    deviation = float(np.std(values, ddof=1))
    if deviation <= 1e-15 * float(np.abs(values).max()):
        return math.nan
    return float(np.mean(values)) / deviation * math.sqrt(per_year)


def sortino_ratio(values: Floats, per_year: float) -> float:
    """Mean over downside deviation from zero (all n increments count), annualised like `sharpe_ratio`.

    F. A. Sortino, L. N. Price, "Performance Measurement in a Downside Risk Framework", Journal of Investing 3 (1994).
    """
    if len(values) < 2:
        return math.nan
    downside = math.sqrt(float(np.mean(np.minimum(values, 0.0) ** 2)))
    return float(np.mean(values)) / downside * math.sqrt(per_year) if downside > 0 else math.nan


@dataclass(frozen=True)
class Drawdown:
    """The largest fall of a curve from its highest point so far.

    Attributes
    ----------
    amount : float
        Currency, not negative.
    share : float
        Of the peak; NaN when the peak is not positive.
    peak_ts, trough_ts : int
        ns UTC; equal when there was no fall.
    longest_ns : int
        Longest time below an earlier high.
    """

    amount: float
    share: float
    peak_ts: int
    trough_ts: int
    longest_ns: int


def max_drawdown(ts: npt.NDArray[np.int64], equity: Floats) -> Drawdown:
    """Largest peak-to-trough fall.

    M. Magdon-Ismail, A. F. Atiya, "Maximum Drawdown", Risk Magazine 17 (2004), definition 1.
    """
    if not len(equity):
        return Drawdown(0.0, math.nan, 0, 0, 0)
    peak = np.maximum.accumulate(equity)
    fall = peak - equity
    trough = int(np.argmax(fall))
    top = int(np.argmax(equity[: trough + 1]))
    under = fall > 0
    longest = 0
    if under.any():
        at_high = np.where(~under, np.arange(len(equity)), 0)
        longest = int((ts - ts[np.maximum.accumulate(at_high)])[under].max())
    share = float(fall[trough] / peak[trough]) if peak[trough] > 0 else math.nan
    return Drawdown(float(fall[trough]), share, int(ts[top]), int(ts[trough]), longest)


def calmar_ratio(profit: float, years: float, drawdown: float) -> float:
    """Yearly profit over the largest drawdown, both in currency.

    T. W. Young, "Calmar Ratio: A Smoother Tool", Futures 20 (1991).
    """
    return profit / years / drawdown if years > 0 and drawdown > 0 else math.nan


def hit_ratio(realised: Floats) -> float:
    """Share of winners among the fills that realised a gain or a loss; NaN without any."""
    decided = realised[realised != 0]
    return float((decided > 0).mean()) if len(decided) else math.nan


def profit_factor(realised: Floats) -> float:
    """Sum of gains over sum of losses; NaN without losses."""
    losses = -float(realised[realised < 0].sum())
    return float(realised[realised > 0].sum()) / losses if losses > 0 else math.nan


@dataclass(frozen=True)
class Inventory:
    """Position over time, in quantity (decimal), weighted by how long it was held."""

    mean: float
    mean_absolute: float
    largest_long: float
    largest_short: float
    deviation: float
    share_flat: float


def inventory_statistics(ts: npt.NDArray[np.int64], position: Floats, end: int) -> Inventory:
    """Time-weighted moments of a position held from each time to the next, the last one until `end`.

    Parameters
    ----------
    ts : numpy.ndarray
        ns UTC at which the position became what it is, non-decreasing; the first one opens the period.
    position : numpy.ndarray
        Decimal quantity from each time on.
    end : int
        ns UTC.
    """
    weights = np.diff(np.append(ts, max(end, int(ts[-1]) if len(ts) else end))).astype(np.float64)
    total = weights.sum()
    if not len(ts) or total <= 0:
        return Inventory(*(math.nan,) * 6)
    mean = float((position * weights).sum() / total)
    return Inventory(
        mean,
        float((np.abs(position) * weights).sum() / total),
        max(0.0, float(position.max())),
        min(0.0, float(position.min())),
        math.sqrt(float(((position - mean) ** 2 * weights).sum() / total)),
        float(weights[position == 0].sum() / total),
    )
