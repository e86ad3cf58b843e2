"""Bootstrap of one run: what its returns, drawn again in blocks, could have come to.

The stationary bootstrap joins blocks of random, geometrically distributed length, taken from random places of the
series as if it were a circle, so that the new series is stationary and keeps the dependence of the old one within
blocks. D. N. Politis, J. P. Romano, "The Stationary Bootstrap", Journal of the American Statistical Association 89
(1994).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
FAN_POINTS = 160
_CELLS = 1 << 21  # paths times steps worked on at once


def optimal_block_length(values: Floats) -> float:
    """Mean block length for the stationary bootstrap of a series, at least 1.

    References
    ----------
    D. N. Politis, H. White, "Automatic Block-Length Selection for the Dependent Bootstrap", Econometric Reviews 23
    (2004), with the correction of A. Patton, D. N. Politis, H. White, Econometric Reviews 28 (2009).
    """
    count = len(values)
    if count < 10 or float(np.ptp(values)) == 0.0:
        return 1.0
    apart = values - values.mean()
    window = max(5, math.ceil(math.log10(count)))
    most = math.ceil(math.sqrt(count)) + window
    bound = 2.0 * math.sqrt(math.log10(count) / count)
    lags = min(most + window, count - 1)
    covariance = np.array([float(apart[k:] @ apart[: count - k]) / count for k in range(lags + 1)])
    if covariance[0] <= 0:
        return 1.0
    small = np.abs(covariance[1:] / covariance[0]) < bound
    quiet = [m for m in range(1, lags - window + 2) if small[m - 1 : m - 1 + window].all()]
    width = 2 * (quiet[0] - 1) if quiet else 2 * (int(np.flatnonzero(~small).max()) + 1)
    width = min(max(width, 2), lags)
    k = np.arange(1, width + 1)
    weight = np.where(k / width <= 0.5, 1.0, 2.0 * (1.0 - k / width))  # flat-top kernel
    moment = 2.0 * float((weight * k * covariance[1 : width + 1]).sum())
    spectrum = covariance[0] + 2.0 * float((weight * covariance[1 : width + 1]).sum())
    if spectrum == 0.0:
        return 1.0
    length = (moment**2 / spectrum**2) ** (1.0 / 3.0) * count ** (1.0 / 3.0)
    return float(min(max(length, 1.0), math.ceil(min(3.0 * math.sqrt(count), count / 3.0))))


def stationary_indices(rng: np.random.Generator, count: int, paths: int, steps: int, mean_block: float) -> Ints:
    """Places of the old series that make up new ones.

    Parameters
    ----------
    count, steps : int
        Length of the old series and of the new ones.
    mean_block : float
        At least 1; 1 is the independent bootstrap.

    Returns
    -------
    numpy.ndarray
        Shape (paths, steps).
    """
    fresh = rng.random((paths, steps)) < 1.0 / mean_block
    fresh[:, 0] = True
    begin = rng.integers(0, count, (paths, steps))
    place = np.arange(steps)
    last = np.maximum.accumulate(np.where(fresh, place, 0), axis=1)
    return np.asarray((np.take_along_axis(begin, last, axis=1) + place - last) % count, np.int64)


@dataclass(frozen=True)
class Distribution:
    """A figure over many paths.

    Attributes
    ----------
    values : numpy.ndarray
        One a path.
    """

    values: Floats

    @property
    def mean(self) -> float:
        """Mean over the paths."""
        return float(self.values.mean()) if len(self.values) else math.nan

    @property
    def deviation(self) -> float:
        """Standard deviation (n - 1)."""
        return float(self.values.std(ddof=1)) if len(self.values) > 1 else math.nan

    def quantile(self, share: float) -> float:
        """Linearly interpolated quantile."""
        return float(np.quantile(self.values, share)) if len(self.values) else math.nan

    def as_dict(self) -> dict[str, float]:
        """Mean, deviation and the usual quantiles."""
        return {
            "mean": self.mean,
            "deviation": self.deviation,
            **{f"q{round(q * 100):02d}": self.quantile(q) for q in QUANTILES},
        }


@dataclass(frozen=True)
class Ruin:
    """Probability that a path at some time has lost a share of the capital.

    Attributes
    ----------
    share : float
        Of the starting capital.
    probability, error : float
        Over the paths, and its standard error.
    """

    share: float
    probability: float
    error: float


@dataclass(frozen=True)
class Paths:
    """What many paths of profit look like.

    Attributes
    ----------
    profit, drawdown : Distribution
        Profit at the end; largest fall from the highest point so far. Currency.
    ruin : tuple of Ruin
    fan : numpy.ndarray
        Quantiles of profit over time, shape (len(QUANTILES), points).
    steps : numpy.ndarray
        Step each point of the fan stands at, 0 the start, shape (points,).
    observed : numpy.ndarray
        Profit of the run itself at these steps; empty when there is none.
    mean_block : float
        NaN when nothing was resampled.
    """

    profit: Distribution
    drawdown: Distribution
    ruin: tuple[Ruin, ...]
    fan: Floats
    steps: Ints
    observed: Floats
    mean_block: float


def fan_steps(steps: int) -> Ints:
    """Steps at which a fan is drawn, ends included."""
    return np.unique(np.linspace(0, steps, min(FAN_POINTS, steps + 1)).round().astype(np.int64))


def summarise(
    parts: Iterator[Floats], steps: int, capital: float, ruin_shares: tuple[float, ...], observed: Floats,
    mean_block: float = math.nan,
) -> Paths:  # fmt: skip
    """Distributions and fan of paths that come a block at a time.

    Parameters
    ----------
    parts : iterator of numpy.ndarray
        Changes of profit, shape (paths, steps).
    capital : float
        What ruin is a share of.
    observed : numpy.ndarray
        Profit of the run itself at `fan_steps(steps)`, or empty.
    """
    points = fan_steps(steps)
    ends, falls, lows, curves = [], [], [], []
    for changes in parts:
        profit = np.concatenate([np.zeros((len(changes), 1)), np.cumsum(changes, axis=1)], axis=1)
        ends.append(profit[:, -1])
        falls.append((np.maximum.accumulate(profit, axis=1) - profit).max(axis=1))
        lows.append(profit.min(axis=1))
        curves.append(profit[:, points].astype(np.float32))  # drawn, not reckoned with
    low = np.concatenate(lows)
    ruins = []
    for share in ruin_shares:
        probability = float((low <= -share * capital).mean())
        ruins.append(Ruin(share, probability, math.sqrt(probability * (1.0 - probability) / len(low))))
    fan = np.quantile(np.concatenate(curves), QUANTILES, axis=0).astype(np.float64)
    return Paths(
        Distribution(np.concatenate(ends)), Distribution(np.concatenate(falls)), tuple(ruins), fan, points, observed,
        mean_block,
    )  # fmt: skip


def bootstrap(
    changes: Floats,
    capital: float,
    paths: int = 5_000,
    mean_block: float | None = None,
    steps: int | None = None,
    ruin_shares: tuple[float, ...] = (0.05, 0.1, 0.2, 0.5),
    seed: int = 1,
) -> Paths:
    """Stationary block bootstrap of a run's profit.

    Parameters
    ----------
    changes : numpy.ndarray
        Changes of profit over equal steps, or the profit of each trade, in order; currency, shape (n,).
    capital : float
        Starting capital.
    mean_block : float, optional
        Steps; chosen by `optimal_block_length` when left out.
    steps : int, optional
        Length of the paths; that of the run when left out.

    Raises
    ------
    ValueError
        Fewer than two changes: there is nothing to draw from.
    """
    changes = np.asarray(changes, np.float64)
    if len(changes) < 2:
        raise ValueError(f"a bootstrap draws from the run's own changes: expected 2 or more, found {len(changes)}")
    length = optimal_block_length(changes) if mean_block is None else float(mean_block)
    if length < 1.0:
        raise ValueError(f"mean block length: expected 1 or more steps, found {length:g}")
    count = len(changes) if steps is None else steps
    rng = np.random.default_rng(seed)

    def drawn() -> Iterator[Floats]:
        at_once = max(1, _CELLS // count)
        for start in range(0, paths, at_once):
            yield changes[stationary_indices(rng, len(changes), min(at_once, paths - start), count, length)]

    curve = np.concatenate([[0.0], np.cumsum(changes)])
    observed = curve[fan_steps(count)] if count == len(changes) else np.empty(0)
    return summarise(drawn(), count, capital, ruin_shares, observed, length)
