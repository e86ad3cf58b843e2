"""Volume-weighted average price: quantity in proportion to the volume expected at each time of the day.

Intraday volume is U-shaped (Admati & Pfleiderer 1988; Jain & Joh 1988). Without a `curve` of one's own the share of
the day's volume traded by the share x of the session is

    V(x) = x + u ((2x - 1)^3 + 1 - 2x) / 2,        v(x) = V'(x) = 1 + u (3 (2x - 1)^2 - 1),    0 <= u <= 1,

whose rate at the open and the close is 1 + 2u against 1 - u in the middle. Over a
window from a to b of the session the parent's share is (V(a + (b - a) s) - V(a)) / (V(b) - V(a)). Following the
expected curve minimises the expected difference from VWAP when the rest of the day is not known (Konishi 2002).
"""

from __future__ import annotations

from typing import Any

from nanotick.strategies.execution import Execution
from nanotick.strategy.base import Array, floats

BUCKETS = 48


class VolumeWeightedAveragePrice(Execution):
    """Spread a parent order along the day's volume.

    Parameters
    ----------
    u : float
        Depth of the U, 0 (flat) to 1.
    session_from, session_to : float
        The window as shares of the session, 0 to 1.
    curve : Array
        Expected volume of 48 equal parts of the window; all zero: the U shape is used.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> order = SimpleNamespace(quantity=1_000, u=0.5, session_from=0.0, session_to=1.0, total=0.0)
    >>> order.by = lambda x: VolumeWeightedAveragePrice.by(order, x)
    >>> [VolumeWeightedAveragePrice.due(order, None, n / 4) for n in range(5)]
    [0.0, 343.75, 500.0, 656.25, 1000.0]
    """

    u: float = 0.5
    session_from: float = 0.0
    session_to: float = 1.0
    curve: Array = floats(BUCKETS)

    total: float = 0.0

    def prepare(self, ctx: Any) -> None:
        self.total = 0.0
        for n in range(BUCKETS):
            self.curve[n] = max(self.curve[n], 0.0)
            self.total += self.curve[n]

    def by(self, x: float) -> float:
        """Share of the session's volume traded by the share x of the session."""
        return x + 0.5 * self.u * ((2.0 * x - 1.0) ** 3 + 1.0 - 2.0 * x)

    def due(self, ctx: Any, share: float) -> float:
        if self.total > 0.0:
            whole = min(int(share * BUCKETS), BUCKETS)
            volume = 0.0
            for n in range(whole):
                volume += self.curve[n]
            if whole < BUCKETS:
                volume += self.curve[whole] * (share * BUCKETS - whole)
            return self.quantity * volume / self.total
        first = self.by(self.session_from)
        now = self.by(self.session_from + share * (self.session_to - self.session_from))
        return self.quantity * (now - first) / (self.by(self.session_to) - first)
