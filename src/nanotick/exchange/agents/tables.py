"""Tables from which the order flow draws sizes and distances with one random number each."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.exchange.agents import records
from nanotick.exchange.agents.description import Flow, Sizes


def size_table(sizes: Sizes, factor: float = 1.0) -> npt.NDArray[Any]:
    """Sizes in lots at the middle of SIZE_BINS equally probable bins, shape (SIZE_BINS,)."""
    middles = (np.arange(records.SIZE_BINS) + 0.5) / records.SIZE_BINS
    if sizes.quantiles:
        values = np.interp(middles, np.linspace(0.0, 1.0, len(sizes.quantiles)), np.array(sizes.quantiles, float))
        values = values * factor
    elif sizes.sigma > 0:
        z = np.array([NormalDist().inv_cdf(float(p)) for p in middles])
        values = np.exp(math.log(sizes.mean * factor) - sizes.sigma**2 / 2 + sizes.sigma * z)
    else:
        values = np.full(records.SIZE_BINS, sizes.mean * factor)
    return np.clip(np.rint(values), 1, (1 << 31) - 1).astype(np.int32)


def alias_table(weights: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Chances and aliases of the alias method (Vose 1991) for weights of any sum."""
    scaled = np.asarray(weights, float) / np.sum(weights) * len(weights)
    chance, alias = np.ones(len(scaled)), np.arange(len(scaled))
    small = [i for i, w in enumerate(scaled) if w < 1.0]
    large = [i for i, w in enumerate(scaled) if w >= 1.0]
    while small and large:
        low, high = small.pop(), large[-1]
        chance[low], alias[low] = scaled[low], high
        scaled[high] -= 1.0 - scaled[low]
        if scaled[high] < 1.0:
            small.append(large.pop())
    return chance, alias


def limit_rates(flow: Flow) -> npt.NDArray[Any]:
    """Limit order rates at distances 1, 2, ..., 1/s and side."""
    if flow.limit_rates:
        return np.array(flow.limit_rates, float)
    weights = np.arange(1, flow.distances + 1, dtype=float) ** -flow.distance_decay
    return flow.limit_rate * weights / weights.sum()
