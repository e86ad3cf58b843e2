"""Mutually exciting order flow: exponential kernels on two time scales, O(1) an event.

Event type j has the intensity (Hawkes 1971)

    lambda_j(t) = mu_j(t) + sum_k sum_(events i before t) a_k[type i][j] * exp(-b_k (t - t_i)),

whose sum over k and past events is one number a (k, j): it decays by exp(-b_k dt) and is raised by a kick at an event
(Ogata 1981). Between events an intensity only falls, so its value now bounds it until the next event: a candidate drawn
with the bound is kept with probability lambda / bound. a_k[i][j] / b_k is the mean number of events of type j that one
of type i brings forth directly on scale k; the process is stationary when the largest eigenvalue of their sum over k is
below 1 (Bremaud & Massoulie 1996), and its mean rates are (I - G')^-1 mu.

Types are numbered 2 * category + (1 for sell): limit, market, cancellation.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.kernel import kernel
from nanotick.core.memory import load_f64
from nanotick.exchange.agents.records import SCALES, TYPES, flow_at

LIMIT, MARKET, CANCEL = 0, 1, 2


@kernel
def excitation_fade(flow_address: int, now: int) -> float:
    """Bring the excitation to a time, in ns; gives its sum, 1/s."""
    flow = flow_at(flow_address)
    elapsed = (now - flow.excited_at) * 1e-9
    flow.excited_at = now
    total = 0.0
    for k in range(SCALES):
        factor = math.exp(-flow.decay[k] * elapsed)
        for j in range(TYPES):
            value = flow.excitation[k * TYPES + j] * factor
            flow.excitation[k * TYPES + j] = value
            total += value
    return total


@kernel
def excite(flow_address: int, source: int) -> None:
    """An event of a type has happened at the time to which the excitation was brought."""
    flow = flow_at(flow_address)
    for k in range(SCALES):
        for j in range(TYPES):
            kick = flow.kick[(k * TYPES + source) * TYPES + j]
            flow.excitation[k * TYPES + j] = flow.excitation[k * TYPES + j] + kick


@kernel
def excitation_total(flow_address: int) -> float:
    """Sum of the excitation as it was brought to date, 1/s."""
    flow = flow_at(flow_address)
    total = 0.0
    for i in range(SCALES * TYPES):
        total += flow.excitation[i]
    return total


@kernel
def excited_type(flow_address: int, at: float) -> int:
    """The type whose share of the summed excitation holds `at` (0 to the sum)."""
    flow = flow_at(flow_address)
    passed = 0.0
    for j in range(TYPES):
        for k in range(SCALES):
            passed += flow.excitation[k * TYPES + j]
        if at < passed:
            return j
    return TYPES - 1


@kernel("f8(i8,i8,f8,f8,f8,f8)")
def log_likelihood(times_address: int, count: int, horizon: float, mu: float, alpha: float, beta: float) -> float:
    """Log-likelihood of a univariate process with kernel alpha * exp(-beta t) on [0, horizon] (Ozaki 1979).

    Parameters
    ----------
    times_address : int
        Of `count` float64 event times, rising, in the unit of 1 / mu.
    """
    excitation = 0.0
    before = 0.0
    total = 0.0
    compensator = mu * horizon
    for i in range(count):
        time = load_f64(times_address + 8 * i)
        excitation = excitation * math.exp(-beta * (time - before))
        total += math.log(mu + excitation)
        excitation += alpha
        before = time
        compensator += alpha / beta * (1.0 - math.exp(-beta * (horizon - time)))
    return total - compensator


def hawkes_log_likelihood(times: npt.NDArray[Any], horizon: float, mu: float, alpha: float, beta: float) -> float:
    """Log-likelihood of event times under a univariate Hawkes process.

    Parameters
    ----------
    times : numpy.ndarray
        Rising, in [0, horizon].
    horizon, mu, alpha, beta : float
        End of observation, base rate, and the kernel alpha * exp(-beta t).

    Examples
    --------
    >>> round(hawkes_log_likelihood(np.array([0.5, 1.0, 1.5, 4.0]), 5.0, 1.2, 0.6, 0.8), 6)
    -6.969387
    """
    times = np.ascontiguousarray(times, dtype=np.float64)
    return float(log_likelihood(int(times.ctypes.data), len(times), horizon, mu, alpha, beta))


def branching_matrix(same: npt.NDArray[Any], opposite: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The matrix over types of one by category, symmetric between buying and selling.

    Parameters
    ----------
    same, opposite : numpy.ndarray
        Shape (..., 3, 3): source category by row, target by column, on the same and the other side.

    Returns
    -------
    numpy.ndarray
        Shape (..., 6, 6).
    """
    full = np.zeros((*same.shape[:-2], TYPES, TYPES))
    full[..., 0::2, 0::2] = full[..., 1::2, 1::2] = same
    full[..., 0::2, 1::2] = full[..., 1::2, 0::2] = opposite
    return full


def branching_ratio(matrix: npt.NDArray[Any]) -> float:
    """Largest absolute eigenvalue of a branching matrix: below 1 when the process is stationary."""
    return float(np.abs(np.linalg.eigvals(matrix)).max())


def stationary_rates(base: npt.NDArray[Any], matrix: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Mean rates of a stationary process, (I - G')^-1 mu, shape (types,)."""
    return np.linalg.solve(np.eye(len(base)) - matrix.T, base)
