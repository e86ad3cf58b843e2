"""Implementation shortfall: the cheapest schedule for a given dislike of risk (Almgren & Chriss 2000, J. Risk 3(2)).

Selling X shares in N periods of length tau = T / N, with permanent impact gamma v, temporary impact eps + eta v of
the trading rate v, and volatility sigma, the schedule that minimises E + lambda V leaves

    x_j = X sinh(kappa (T - j tau)) / sinh(kappa T),      kappa = arccosh(k2 tau^2 / 2 + 1) / tau,
    k2 = lambda sigma^2 / (eta - gamma tau / 2)

shares after period j; lambda = 0 gives the straight line, lambda < 0 replaces sinh by sin. Between the ends of
periods the schedule is the same function of continuous time. `expected_cost` and `cost_variance` give E and V of
any schedule:

    E = gamma X^2 / 2 + eps X + (eta - gamma tau / 2) / tau * sum n_j^2,     V = sigma^2 tau sum x_j^2
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from nanotick.strategies.execution import Execution


class ImplementationShortfall(Execution):
    """Work a parent order along the optimal liquidation trajectory.

    Parameters
    ----------
    risk_aversion : float
        lambda, 1 / currency; 0 trades evenly.
    sigma : float
        Volatility of the price, currency per square root of a day.
    eta : float
        Temporary impact, currency per (share per day).
    gamma : float
        Permanent impact, currency per share.
    day : float
        Seconds of trading in a day.

    Examples
    --------
    >>> [round(x) for x in trajectory(1e6, 5.0, 5, 1e-6, 0.95, 2.5e-6, 2.5e-7)]
    [1000000, 541956, 289854, 147897, 62142, 0]
    >>> left = trajectory(1e6, 5.0, 5, 1e-6, 0.95, 2.5e-6, 2.5e-7)
    >>> round(expected_cost(left, 5.0, 0.0625, 2.5e-6, 2.5e-7))
    911227
    """

    risk_aversion: float = 1e-6
    sigma: float = 0.95
    eta: float = 2.5e-6
    gamma: float = 2.5e-7
    day: float = 23_400.0

    kappa: float = 0.0  # 1 / share of the duration; negative: of the sine

    def prepare(self, ctx: Any) -> None:
        self.kappa = rate(self.duration * 1e-9 / self.day, self.slices, self.risk_aversion, self.sigma, self.eta,
                          self.gamma)  # fmt: skip

    def due(self, ctx: Any, share: float) -> float:
        return self.quantity * (1.0 - left_share(self.kappa, share))


def rate(days: float, periods: int, risk_aversion: float, sigma: float, eta: float, gamma: float) -> float:
    """kappa T of the optimal trajectory; minus the angle when risk is liked."""
    tau = days / periods
    moved = risk_aversion * sigma * sigma / (eta - 0.5 * gamma * tau) * tau * tau / 2.0 + 1.0
    if moved >= 1.0:
        return math.acosh(moved) * periods
    return -math.acos(max(moved, -1.0)) * periods


def left_share(kappa: float, share: float) -> float:
    """Share of the parent left after a share of the time, for kappa T as `rate` gives it."""
    if share >= 1.0:
        return 0.0
    if abs(kappa) < 1e-9:
        return 1.0 - share
    if kappa < 0.0:
        return math.sin(kappa * (1.0 - share)) / math.sin(kappa)
    # sinh(k (1 - s)) / sinh(k) without overflow for large k
    return math.exp(-kappa * share) * (1.0 - math.exp(-2.0 * kappa * (1.0 - share))) / (1.0 - math.exp(-2.0 * kappa))


def trajectory(
    shares: float, days: float, periods: int, risk_aversion: float, sigma: float, eta: float, gamma: float
) -> list[float]:
    """Shares left at the start and after each period."""
    kappa = rate(days, periods, risk_aversion, sigma, eta, gamma)
    return [shares * left_share(kappa, j / periods) for j in range(periods + 1)]


def expected_cost(left: Sequence[float], days: float, spread: float, eta: float, gamma: float) -> float:
    """Expected shortfall of a schedule, currency: `left` shares at the start and after each equal period."""
    tau = days / (len(left) - 1)
    traded = [a - b for a, b in itertools.pairwise(left)]
    squares = sum(n * n for n in traded)
    whole = sum(abs(n) for n in traded)
    return 0.5 * gamma * left[0] ** 2 + spread * whole + (eta - 0.5 * gamma * tau) / tau * squares


def cost_variance(left: Sequence[float], days: float, sigma: float) -> float:
    """Variance of the shortfall of a schedule, currency squared."""
    tau = days / (len(left) - 1)
    return sigma * sigma * tau * sum(x * x for x in left[1:])
