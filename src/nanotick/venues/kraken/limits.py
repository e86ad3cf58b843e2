"""Rate limits of Kraken: the engine's counter of a pair, and the counter of REST.

An order younger than so many seconds costs so much to cancel or amend. Source: docs.kraken.com, "Spot trading rate
limits" and "Spot REST rate limits" (Starter, Intermediate, Pro).
"""

from __future__ import annotations

from dataclasses import dataclass

THRESHOLDS = {"starter": (60, 1.0), "intermediate": (125, 2.34), "pro": (180, 3.75)}  # and the fall a second
COUNTERS = {"starter": (15, 0.33), "intermediate": (20, 0.5), "pro": (20, 1.0)}
OPEN_ORDERS = {"starter": 60, "intermediate": 80, "pro": 225}  # of a pair
COSTLY = frozenset(("TradesHistory", "Ledgers", "ClosedOrders", "QueryTrades"))  # count twice
FREE = frozenset(
    "GetWebSocketsToken AddOrder AddOrderBatch AmendOrder CancelOrder CancelOrderBatch CancelAll "
    "CancelAllOrdersAfter".split()
)
_CANCEL_COSTS = ((5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1))  # younger than s -> cost
_AMEND_COSTS = ((5, 3), (10, 2), (15, 1))
_S = 1_000_000_000


def cancel_cost(age_ns: int) -> int:
    """What cancelling an order of that age costs.

    >>> cancel_cost(0), cancel_cost(20 * 10**9), cancel_cost(300 * 10**9)
    (8, 4, 0)
    """
    return next((cost for seconds, cost in _CANCEL_COSTS if age_ns < seconds * _S), 0)


def amend_cost(age_ns: int) -> int:
    """What amending an order of that age costs.

    >>> amend_cost(0), amend_cost(60 * 10**9)
    (4, 1)
    """
    return 1 + next((cost for seconds, cost in _AMEND_COSTS if age_ns < seconds * _S), 0)


@dataclass(slots=True)
class Counter:
    """A counter that falls with time.

    >>> counter = Counter(1.0)
    >>> counter.add(0, 10), counter.at(4 * 10**9)
    (10.0, 6.0)
    """

    decay: float
    value: float = 0.0
    since: int = 0

    def at(self, now: int) -> float:
        """What it shows."""
        self.value = max(0.0, self.value - (now - self.since) / _S * self.decay)
        self.since = now
        return self.value

    def add(self, now: int, cost: int) -> float:
        """Raise it."""
        self.at(now)
        self.value += cost
        return self.value
