"""Probability of backtest overfitting: how often the best in one half of the data is below the median in the other.

Combinatorially symmetric cross-validation cuts the returns of all configurations into S blocks of time, takes every
choice of S/2 of them as the half to choose in, and ranks what was chosen among all configurations in the other half.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DEFAULT_BLOCKS = 16
MIN_BLOCK = 4  # observations: a Sharpe ratio of fewer says nothing
_CELLS = 1 << 21  # combinations times configurations worked on at once


@dataclass(frozen=True)
class Overfitting:
    """What cross-validation found.

    Attributes
    ----------
    probability : float
        Share of the combinations in which the best inside was at or below the median outside.
    logits : numpy.ndarray
        Of the relative rank outside, one a combination; below zero is overfitting.
    blocks, combinations, configurations, observations : int
    loss_probability : float
        Share of the combinations in which what was chosen lost money outside.
    slope, intercept : float
        Least squares of the chosen one's Sharpe ratio outside on that inside: performance degradation.
    inside, outside : numpy.ndarray
        Sharpe ratio of the chosen one, per observation, one a combination.
    """

    probability: float
    logits: Floats
    blocks: int
    combinations: int
    configurations: int
    observations: int
    loss_probability: float
    slope: float
    intercept: float
    inside: Floats
    outside: Floats


def usable_blocks(observations: int, wanted: int = DEFAULT_BLOCKS) -> int:
    """The largest even number of blocks up to `wanted` with `MIN_BLOCK` observations each; 0 if two are too many."""
    most = min(wanted, observations // MIN_BLOCK)
    return most - most % 2


def probability_of_overfitting(returns: Floats, blocks: int = DEFAULT_BLOCKS) -> Overfitting:
    """Combinatorially symmetric cross-validation with the Sharpe ratio as performance.

    Parameters
    ----------
    returns : numpy.ndarray
        Shape (observations, configurations), all over the same times. Where a configuration did not
        move its Sharpe ratio counts as zero.
    blocks : int
        S, even. Observations that do not divide evenly make some blocks one longer.

    Raises
    ------
    ValueError
        Fewer than two configurations, an odd number of blocks, or fewer observations than blocks need.

    References
    ----------
    D. H. Bailey, J. M. Borwein, M. Lopez de Prado, Q. J. Zhu, "The Probability of Backtest Overfitting", Journal of
    Computational Finance 20(4) (2017), section 3.
    """
    observations, configurations = returns.shape
    if configurations < 2:
        raise ValueError(
            f"overfitting is a question of choice: expected 2 configurations or more, found {configurations}"
        )
    if blocks < 2 or blocks % 2:
        raise ValueError(f"blocks: expected an even number of 2 or more, found {blocks}")
    if observations < blocks * MIN_BLOCK:
        raise ValueError(
            f"{blocks} blocks need {blocks * MIN_BLOCK} observations, found {observations}: "
            "take fewer blocks, more data or a shorter return interval"
        )
    edges = np.linspace(0, observations, blocks + 1).round().astype(np.int64)
    centred = returns - returns.mean(axis=0)  # sums of squares of small numbers: exact enough for variances
    counts = np.diff(edges).astype(np.float64)
    sums = np.add.reduceat(centred, edges[:-1], axis=0)
    squares = np.add.reduceat(centred**2, edges[:-1], axis=0)
    mean = returns.mean(axis=0)
    scale = np.mean(returns**2, axis=0)
    logits, inside, outside = [], [], []
    for chosen in _halves(blocks, max(1, _CELLS // configurations)):
        here = _sharpe(chosen, counts, sums, squares, mean, scale)
        there = _sharpe(1.0 - chosen, counts, sums, squares, mean, scale)
        best = here.argmax(axis=1)
        row = np.arange(len(best))
        value = there[row, best][:, None]
        # ties share the mean of their ranks, 1 to N
        rank = (there < value).sum(axis=1) + ((there == value).sum(axis=1) + 1) / 2.0
        share = rank / (configurations + 1)
        logits.append(np.log(share / (1.0 - share)))
        inside.append(here[row, best])
        outside.append(value[:, 0])
    found, x, y = np.concatenate(logits), np.concatenate(inside), np.concatenate(outside)
    spread = float(((x - x.mean()) ** 2).sum())
    slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread if spread > 0 else math.nan
    return Overfitting(
        probability=float((found <= 0).mean()),
        logits=found,
        blocks=blocks,
        combinations=len(found),
        configurations=configurations,
        observations=observations,
        loss_probability=float((y < 0).mean()),
        slope=slope,
        intercept=float(y.mean() - slope * x.mean()) if spread > 0 else math.nan,
        inside=x,
        outside=y,
    )


def _halves(blocks: int, most: int) -> Iterator[Floats]:
    """Every choice of half of the blocks as rows of zeros and ones, so many at a time."""
    choices = itertools.combinations(range(blocks), blocks // 2)
    while part := list(itertools.islice(choices, most)):
        rows = np.zeros((len(part), blocks))
        rows[np.arange(len(part))[:, None], np.array(part)] = 1.0
        yield rows


def _sharpe(chosen: Floats, counts: Floats, sums: Floats, squares: Floats, mean: Floats, scale: Floats) -> Floats:
    """Sharpe ratio of every configuration over the chosen blocks of each row, from sums of the centred returns."""
    number = (chosen @ counts)[:, None]
    total = chosen @ sums
    variance = (chosen @ squares - total**2 / number) / (number - 1)
    moving = variance > 1e-13 * scale  # less is what rounding leaves of a configuration that rested
    ratio = (total / number + mean) / np.sqrt(np.where(moving, variance, 1.0))
    return np.where(moving, ratio, 0.0)
