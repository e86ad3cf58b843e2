"""How one quantity grows with another: the exponent of a power law through noisy means, with its error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_EXPONENTS = np.linspace(-1.0, 3.0, 1_601)


@dataclass(frozen=True)
class PowerLaw:
    """E[y | x] = factor * x**exponent.

    Attributes
    ----------
    exponent, error : float
        And its standard error; nan when there is no such law.
    factor : float
    mean_x, mean_y : numpy.ndarray
        Of the bins, shape (bins,).
    """

    exponent: float
    error: float
    factor: float
    mean_x: Floats
    mean_y: Floats


NO_LAW = PowerLaw(math.nan, math.nan, math.nan, np.zeros(0), np.zeros(0))


def power_law(x: npt.NDArray[Any], y: npt.NDArray[Any], bins: int = 12) -> PowerLaw:
    """The law through the means of bins of equal count, by least squares weighted with the error of each mean.

    Nothing is taken the logarithm of: means of small bins are often negative, and leaving them out would bend the law.
    The error is that of weighted least squares, made larger where the bins scatter more than their own errors say.

    Parameters
    ----------
    x : numpy.ndarray
        Positive, shape (n,).
    y : numpy.ndarray
        Shape (n,).

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x = rng.lognormal(0.0, 1.5, 4_000)
    >>> law = power_law(x, 0.8 * x**0.5 + rng.normal(0.0, 1.0, 4_000))
    >>> bool(abs(law.exponent - 0.5) < 2.5 * law.error), law.error < 0.03
    (True, True)
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(x) < 8 * bins:
        return NO_LAW
    parts = np.array_split(np.argsort(x, kind="stable"), bins)
    mean_x = np.array([float(np.mean(x[part])) for part in parts])
    mean_y = np.array([float(np.mean(y[part])) for part in parts])
    variance = np.array([float(np.var(y[part])) / len(part) for part in parts])
    if (mean_x <= 0).any() or (variance <= 0).any():
        return NO_LAW
    weight, scale = 1.0 / variance, float(np.exp(np.mean(np.log(mean_x))))
    shapes = (mean_x / scale)[None, :] ** _EXPONENTS[:, None]
    factors = (shapes * (weight * mean_y)).sum(axis=1) / (shapes * shapes * weight).sum(axis=1)
    losses = ((mean_y - factors[:, None] * shapes) ** 2 * weight).sum(axis=1)
    best = int(np.argmin(losses))
    factor, exponent = float(factors[best]), float(_EXPONENTS[best])
    if factor <= 0 or best in (0, len(_EXPONENTS) - 1):
        return NO_LAW
    slopes = np.stack([shapes[best], factor * shapes[best] * np.log(mean_x / scale)], axis=1)
    covariance = np.linalg.inv((slopes * weight[:, None]).T @ slopes)
    scatter = max(1.0, float(losses[best]) / max(1, bins - 2))
    error = math.sqrt(float(covariance[1, 1]) * scatter)
    return PowerLaw(exponent, error, factor * scale**-exponent, mean_x, mean_y)
