"""How much of an order to rest and how much to take (Cont & Kukanov 2017, Quantitative Finance 17(1), arXiv 1210.1625).

To buy S shares before a deadline, M are taken at the far touch at h + f each (half spread and taker fee) and L = S - M
rest behind a queue of Q, earning h + r each if filled (half spread and rebate). The outflow xi of the queue by then, by
cancels ahead and trades, fills (xi - Q)^+ of the L; what is still missing is bought at a penalty of u a share more than
the mid. The expected cost is

    C(L) = (h + f)(S - L) - (h + r) E[min((xi - Q)^+, L)] + u E[(L - (xi - Q)^+)^+]

and is least where F(Q + L) = (2h + f + r) / (u + h + r), F being the distribution of xi.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Split:
    """An order in two parts.

    Attributes
    ----------
    market, limit : int
        Shares taken now, and shares rested.
    cost : float
        Expected cost against the mid, currency; negative when the spread is earned.
    """

    market: int
    limit: int
    cost: float


def split_cost(
    shares: int, limit: int, queue: int, half_spread: float, rebate: float, fee: float, penalty: float,
    cdf: Callable[[int], float],
) -> float:  # fmt: skip
    """Expected cost of resting `limit` of `shares`, currency.

    Parameters
    ----------
    shares, limit, queue : int
        Shares to buy, of them rested, and shares ahead in the queue.
    half_spread, rebate, fee, penalty : float
        Currency a share: h, r, f and u above.
    cdf : callable
        Probability that the queue's outflow is at most so many shares.
    """
    # E[min((xi - Q)^+, L)] is the sum of P(xi - Q >= k) over k = 1..L
    filled = sum(1.0 - cdf(queue + k - 1) for k in range(1, limit + 1))
    return (half_spread + fee) * (shares - limit) - (half_spread + rebate) * filled + penalty * (limit - filled)


def best_split(
    shares: int, queue: int, half_spread: float, rebate: float, fee: float, penalty: float,
    cdf: Callable[[int], float],
) -> Split:  # fmt: skip
    """The split of least expected cost, whole shares.

    One more rested share costs less than a taken one as long as the chance that it is not filled, F(Q + L), is below
    (2h + f + r) / (u + h + r): that chance only grows with L, so the first share that fails is where to stop.

    Raises
    ------
    ValueError
        Negative shares or queue, or a rested share that can only lose.

    Examples
    --------
    >>> best_split(1_000, 2_000, 0.02, 0.002, 0.003, 0.026, poisson_cdf(2_200))  # doctest: +ELLIPSIS
    Split(market=728, limit=272, cost=14.278...)
    """
    if shares < 0 or queue < 0:
        raise ValueError(f"expected shares and queue of 0 or more, found {shares} and {queue}")
    if penalty + half_spread + rebate <= 0:
        raise ValueError("penalty + half spread + rebate must be positive: a missed fill would be a gain")
    threshold = (2 * half_spread + fee + rebate) / (penalty + half_spread + rebate)
    low, high = 0, shares
    while low < high:  # the largest L whose last share is worth resting: F(Q + L - 1) < threshold
        middle = (low + high + 1) // 2
        if cdf(queue + middle - 1) < threshold:
            low = middle
        else:
            high = middle - 1
    return Split(shares - low, low, split_cost(shares, low, queue, half_spread, rebate, fee, penalty, cdf))


def poisson_cdf(mean: float) -> Callable[[int], float]:
    """Distribution function of a Poisson number, tabulated once."""
    if mean <= 0:
        raise ValueError(f"expected a positive mean, found {mean}")
    top = int(mean + 12.0 * math.sqrt(mean) + 20.0)
    table, total = [], 0.0
    for k in range(top + 1):
        total += math.exp(k * math.log(mean) - mean - math.lgamma(k + 1))
        table.append(min(total, 1.0))

    def cdf(k: int) -> float:
        return 0.0 if k < 0 else table[k] if k <= top else 1.0

    return cdf
