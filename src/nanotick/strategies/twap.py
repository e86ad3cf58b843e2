"""Time-weighted average price: equal quantities in equal times.

The benchmark is the plain average of the price over the interval; trading q dt = Q / T dt meets it when impact is
small and equal at all times. `randomness` moves the end of each slice by up to so much of a slice, drawn from the
run's own generator, so that the pattern is not on the clock.
"""

from __future__ import annotations

from typing import Any

from nanotick.strategies.execution import Execution


class TimeWeightedAveragePrice(Execution):
    """Spread a parent order evenly over time.

    Parameters
    ----------
    randomness : float
        Largest shift of a slice's end as a share of a slice, 0 to 0.5.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> order = SimpleNamespace(quantity=1_000, slices=4, randomness=0.0, shift=0.0)
    >>> [TimeWeightedAveragePrice.due(order, None, n / 4) for n in range(5)]
    [0.0, 250.0, 500.0, 750.0, 1000.0]
    """

    randomness: float = 0.0

    shift: float = 0.0  # of the present slice's end

    def enter_slice(self, ctx: Any) -> None:
        self.shift = min(self.randomness, 0.5) * (2.0 * ctx.random() - 1.0)

    def due(self, ctx: Any, share: float) -> float:
        if share <= 0.0 or share >= 1.0:
            return self.quantity * share
        return self.quantity * min(1.0, max(0.0, share + self.shift / self.slices))
