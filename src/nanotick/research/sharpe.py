"""How far a Sharpe ratio can be believed: probabilistic and deflated Sharpe ratio, minimum track record length.

Every Sharpe ratio here is per observation, never annualised, and kurtosis is that of Pearson (3 for a normal series).
What is not defined is NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

EULER_GAMMA = 0.5772156649015329
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Moments:
    """What the formulas here need of a series of returns.

    Attributes
    ----------
    observations : int
    sharpe : float
        Mean over standard deviation (n - 1), per observation; NaN without variance.
    skewness, kurtosis : float
        Of the population; 0 and 3 for a normal series, NaN without variance.
    """

    observations: int
    sharpe: float
    skewness: float
    kurtosis: float


def moments(values: Floats) -> Moments:
    """Moments of a series, shape (n,)."""
    count = len(values)
    if count < 2:
        return Moments(count, math.nan, math.nan, math.nan)
    mean = float(values.mean())
    apart = values - mean
    second = float(np.mean(apart**2))
    if second <= (1e-15 * float(np.abs(values).max())) ** 2:
        return Moments(count, math.nan, math.nan, math.nan)
    return Moments(
        count,
        mean / math.sqrt(second * count / (count - 1)),
        float(np.mean(apart**3)) / second**1.5,
        float(np.mean(apart**4)) / second**2,
    )


def _deviation(sharpe: float, skewness: float, kurtosis: float) -> float:
    """Standard deviation of the estimated Sharpe ratio, times the root of n - 1 (Mertens 2002)."""
    inside = 1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    return math.sqrt(inside) if inside > 0 else math.nan


def probabilistic_sharpe_ratio(
    sharpe: float, observations: int, skewness: float = 0.0, kurtosis: float = 3.0, benchmark: float = 0.0
) -> float:
    """Probability that the true Sharpe ratio exceeds `benchmark`, given an estimate from so many observations.

    Parameters
    ----------
    sharpe, benchmark : float
        Per observation.
    observations : int
    skewness, kurtosis : float
        Of the returns.

    References
    ----------
    D. H. Bailey, M. Lopez de Prado, "The Sharpe Ratio Efficient Frontier", Journal of Risk 15 (2012), equation 11.

    Examples
    --------
    Two years of monthly returns of a hedge fund (the paper's section 3.3):

    >>> round(probabilistic_sharpe_ratio(0.458, 24, -2.448, 10.164), 3)
    0.913
    """
    deviation = _deviation(sharpe, skewness, kurtosis)
    if observations < 2 or math.isnan(deviation):
        return math.nan
    return _NORMAL.cdf((sharpe - benchmark) * math.sqrt(observations - 1) / deviation)


def expected_maximum_sharpe(trials: float, variance: float) -> float:
    """Expected largest of `trials` estimated Sharpe ratios that are independent and truly zero.

    Parameters
    ----------
    trials : float
        At least 1; one trial has nothing to choose from and gives 0.
    variance : float
        Of the estimates across trials, per observation.

    References
    ----------
    D. H. Bailey, M. Lopez de Prado, "The Deflated Sharpe Ratio", Journal of Portfolio Management 40(5) (2014),
    equation 1 and appendix 1.

    Examples
    --------
    >>> round(expected_maximum_sharpe(100, 0.5 / 250), 4)
    0.1132
    """
    if trials <= 1.0:
        return 0.0 if trials == 1.0 else math.nan
    first = _NORMAL.inv_cdf(1.0 - 1.0 / trials)
    second = _NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * ((1.0 - EULER_GAMMA) * first + EULER_GAMMA * second)


def deflated_sharpe_ratio(
    sharpe: float,
    observations: int,
    trials: float,
    variance: float,
    skewness: float = 0.0,
    kurtosis: float = 3.0,
) -> float:
    """Probability that the best of several trials has a true Sharpe ratio above zero.

    The probabilistic Sharpe ratio against the best that as many trials without skill are expected to show.

    Parameters
    ----------
    sharpe : float
        Of the chosen trial, per observation.
    observations : int
    trials : float
        Independent ones; see `effective_trials`.
    variance : float
        Of the Sharpe ratios across trials, per observation.
    skewness, kurtosis : float
        Of the chosen trial's returns.

    References
    ----------
    Bailey and Lopez de Prado (2014), equation 2.

    Examples
    --------
    >>> round(deflated_sharpe_ratio(2.5 / 250**0.5, 1250, 100, 0.5 / 250, -3.0, 10.0), 4)
    0.9004
    """
    benchmark = expected_maximum_sharpe(trials, variance)
    return probabilistic_sharpe_ratio(sharpe, observations, skewness, kurtosis, benchmark)


def minimum_track_record_length(
    sharpe: float, skewness: float = 0.0, kurtosis: float = 3.0, benchmark: float = 0.0, confidence: float = 0.95
) -> float:
    """Observations needed before the probabilistic Sharpe ratio reaches `confidence`.

    Infinite when the estimate does not exceed the benchmark.

    References
    ----------
    Bailey and Lopez de Prado (2012), equation 13.

    Examples
    --------
    Years of daily returns to show that an annual Sharpe ratio of 2 is above 1 (the paper's exhibit 5):

    >>> round(minimum_track_record_length(2 / 252**0.5, benchmark=1 / 252**0.5) / 252, 2)
    2.73
    """
    deviation = _deviation(sharpe, skewness, kurtosis)
    if math.isnan(sharpe) or math.isnan(deviation):
        return math.nan
    if sharpe <= benchmark:
        return math.inf
    return 1.0 + (deviation * _NORMAL.inv_cdf(confidence) / (sharpe - benchmark)) ** 2


def effective_trials(returns: Floats) -> float:
    """Number of independent trials that correlated ones are worth: rho + (1 - rho) M, rho their mean correlation.

    Parameters
    ----------
    returns : numpy.ndarray
        Shape (observations, trials); columns without variance count as one trial in all.

    References
    ----------
    Bailey and Lopez de Prado (2014), appendix 3.
    """
    apart = returns - returns.mean(axis=0) if len(returns) else returns
    size = np.sqrt((apart**2).sum(axis=0)) if len(returns) else np.zeros(returns.shape[1])
    moving = size > 1e-15 * np.abs(returns).max(initial=0.0)
    idle = 0 if moving.all() else 1
    number = int(moving.sum())
    if number < 2:
        return float(max(1, number + idle))
    scaled = apart[:, moving] / size[moving]
    # the mean of all pairwise correlations from the squared length of the sum: no matrix of trials by trials
    total = float((scaled.sum(axis=1) ** 2).sum())
    mean = (total - number) / (number * (number - 1))
    mean = min(max(mean, 0.0), 1.0)
    return mean + (1.0 - mean) * number + idle
