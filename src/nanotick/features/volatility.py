"""Realised volatility, sampled by event and by clock.

Both are square roots of sums of squared log returns over a window (Andersen & Bollerslev 1998, Answering the skeptics,
International Economic Review 39(4); Barndorff-Nielsen & Shephard 2002, JRSS B 64(2)): no mean is subtracted, no year
assumed. Sampling every tick measures the bounce between bid and ask as well; sampling by the clock at some seconds does
less so (Ait-Sahalia, Mykland & Zhang 2005, Review of Financial Studies 18(2)).
"""

from __future__ import annotations

import math

from nanotick.features.window import Window, at_least


class RealisedVolatility(Window):
    """Realised volatility over the last `window` ticks: sqrt(sum of squared log returns), event-time sampling.

    Parameters
    ----------
    window : int
        Returns in the sum.
    capacity : int, optional
        Most returns a window set later may have; `window` by default.

    Examples
    --------
    >>> import nanotick as nt
    >>> nt.RealisedVolatility(2).run([100.0, 101.0, 100.0]).round(6).tolist()
    [nan, 0.00995, 0.014072]
    """

    last: float

    def __init__(self, window: int = 300, capacity: int = 0) -> None:
        super().__init__(window=int(at_least("RealisedVolatility.window", window, 1)), capacity=max(capacity, window))

    def update(self, price: float) -> float:
        """Take a price above 0; gives the volatility."""
        if math.isfinite(price) and price > 0.0:
            if self.last > 0.0:
                change = math.log(price / self.last)
                self._push(change * change)
            self.last = price
        return self.value()

    def value(self) -> float:
        """Volatility of the window, as a return (0.01 is one per cent); nan before the second price."""
        return math.sqrt(max(self._sum(), 0.0)) if self.count > 0 else math.nan

    def per_return(self) -> float:
        """Root mean square of one return."""
        return self.value() / math.sqrt(float(self.count))


class ClockVolatility(Window):
    """Realised volatility over the last `window` intervals of the clock, previous-tick sampling.

    The price of an interval is the last one before its end (intervals end at multiples of `interval` since the epoch).
    An interval without a tick has a return of zero. A tick after k empty intervals does min(k, window) steps, so the
    work is constant for an interval of the clock and bounded by the window for a tick.

    Parameters
    ----------
    interval : int
        Nanoseconds.
    window : int
        Intervals in the sum.
    capacity : int, optional
        Most intervals a window set later may have; `window` by default.

    Examples
    --------
    >>> import nanotick as nt
    >>> clock = nt.ClockVolatility(nt.SECOND, 10)
    >>> clock.run([0, nt.SECOND, nt.SECOND + 5, 3 * nt.SECOND], [100.0, 101.0, 102.0, 102.0]).round(6).tolist()
    [nan, nan, nan, 0.019803]
    """

    interval: int
    window: int
    last: float
    sampled: float  # price at the end of the last whole interval
    slot: int  # interval of the last tick

    def __init__(self, interval: int = 1_000_000_000, window: int = 300, capacity: int = 0) -> None:
        super().__init__(
            interval=int(at_least("ClockVolatility.interval", interval, 1)),
            window=int(at_least("ClockVolatility.window", window, 1)),
            capacity=max(capacity, window),
        )

    def update(self, ts: int, price: float) -> float:
        """Take the price of a time (ns); gives the volatility of the whole intervals before it."""
        if math.isfinite(price) and price > 0.0:
            slot = self.slot
            # dividing costs more than all the rest, and most ticks lie in the interval of the one before
            if self.last == 0.0:
                slot = ts // max(self.interval, 1)
            elif ts - self.slot * self.interval >= self.interval:
                slot = ts // max(self.interval, 1)
                if self.sampled > 0.0:
                    change = math.log(self.last / self.sampled)
                    self._push(change * change)
                for _ in range(min(slot - self.slot - 1, self.capacity)):
                    self._push(0.0)
                self.sampled = self.last
            self.slot = slot
            self.last = price
        return self.value()

    def value(self) -> float:
        """Volatility of the window, as a return; nan before the first whole return."""
        return math.sqrt(max(self._sum(), 0.0)) if self.count > 0 else math.nan

    def per_interval(self) -> float:
        """Root mean square of one interval's return."""
        return self.value() / math.sqrt(float(self.count))
