"""Channels: the highest and the lowest of the last n bars, in constant time a bar on average."""

from __future__ import annotations

import math

from nanotick.features.indicator import Indicator
from nanotick.features.window import at_least


class Donchian(Indicator):
    """Donchian channel: the highest high and the lowest low of the last `window` bars; its value is the middle.

    Called with one price twice it is the range of the last `window` ticks. A breakout is a price beyond `upper` or
    `lower` as they stood before its update.

    The ring is looked back over once each time it comes round, and holds from then on the extremes from each place to
    its end; those of what came since are running ones. Two comparisons a bar for each side on average, `window` of
    them in the bar that closes the ring.

    Parameters
    ----------
    window : int
        Bars.
    capacity : int, optional
        Most bars a window set later may have; `window` by default.

    Examples
    --------
    >>> import nanotick as nt
    >>> channel = nt.Donchian(2)
    >>> channel.run([5.0, 7.0, 6.0, 4.0], [3.0, 6.0, 5.0, 2.0], output="upper").tolist()
    [5.0, 7.0, 7.0, 6.0]
    >>> channel.lower(), channel.value()
    (2.0, 4.0)

    References
    ----------
    Donchian (1960), High finance in copper, Financial Analysts Journal 16(6); van Herk (1992), A fast algorithm for
    local minimum and maximum filters, Pattern Recognition Letters 13(7), for the extremes.
    """

    channels = 2

    window: int
    head: int  # where in the ring the next bar goes
    count: int  # bars in the window
    high: float  # extremes of the ring's beginning up to head
    low: float

    def __init__(self, window: int = 20, capacity: int = 0) -> None:
        super().__init__(window=int(at_least("Donchian.window", window, 1)), capacity=max(capacity, window))

    def update(self, high: float, low: float) -> float:
        """Take a bar; gives the middle of the channel."""
        if math.isfinite(high) and math.isfinite(low):
            n = min(max(self.window, 1), self.capacity)
            at = self.head
            self.high = high if at == 0 else max(self.high, high)
            self.low = low if at == 0 else min(self.low, low)
            self.ring[2 * at] = high
            self.ring[2 * at + 1] = low
            self.count = min(self.count + 1, n)
            self.head = at + 1
            if at + 1 >= n:
                self.head = 0
                for back in range(1, n):
                    i = 2 * (n - 1 - back)
                    self.ring[i] = max(self.ring[i], self.ring[i + 2])
                    self.ring[i + 1] = min(self.ring[i + 1], self.ring[i + 3])
        return self.value()

    def upper(self) -> float:
        """The highest high; nan before the first bar."""
        if self.count == 0:
            return math.nan
        if not self.ready():
            return self.high
        rest = self.ring[2 * self.head]
        return rest if self.head == 0 else max(self.high, rest)

    def lower(self) -> float:
        """The lowest low; nan before the first bar."""
        if self.count == 0:
            return math.nan
        if not self.ready():
            return self.low
        rest = self.ring[2 * self.head + 1]
        return rest if self.head == 0 else min(self.low, rest)

    def value(self) -> float:
        """The middle between the two; nan before the first bar."""
        return 0.5 * (self.upper() + self.lower())

    def ready(self) -> bool:
        """Whether the window is full."""
        return self.count >= min(max(self.window, 1), self.capacity)
