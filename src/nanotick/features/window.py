"""Rolling windows: sums over the last n values that do not drift, in constant time a value.

The obvious running sum, add the new value and subtract the one that leaves, gathers rounding for ever: after 10^8
ticks a variance may be noise. Here a second, *fresh* sum is started whenever the ring comes round to its beginning.
When the ring is full again it holds exactly the window, has been added up from nothing, and takes the old sum's place.
So no value's rounding outlives two windows, and no tick pays for it with a loop.

Values enter the sums as differences from a *base*, the mean when the sum was started, so that the variance of prices
near 10^6 keeps its digits (the shifted-data algorithm: Chan, Golub & LeVeque 1983, Algorithms for computing the sample
variance, The American Statistician 37(3)).
"""

from __future__ import annotations

import math

from nanotick.features.indicator import Indicator

# sums of squares below so many rounding errors of their parts are none: a flat window has no deviation
_NOISE = 16.0 * 2.0**-53


def at_least(name: str, value: float, least: float) -> float:
    """The value, or a ValueError that names the parameter."""
    if not (math.isfinite(value) and value >= least):
        raise ValueError(f"{name} is at least {least:g}, found {value!r}")
    return value


class Window(Indicator):
    """Mean and deviation of the last `window` values; the base of all indicators over a window of one series."""

    channels = 1

    window: int
    head: int  # where in the ring the next value goes
    count: int  # values in the window
    base: float
    total: float  # sum of x - base over the window
    squares: float  # sum of (x - base)^2
    fresh_base: float
    fresh_total: float  # the same two over the ring's beginning up to head
    fresh_squares: float

    def _push(self, x: float) -> bool:
        if not math.isfinite(x):
            return False
        n = min(max(self.window, 1), self.capacity)
        at = self.head
        if self.count == 0:
            self.base = x
            self.fresh_base = x
        if self.count >= n:
            old = self.ring[at] - self.base
            self.total -= old
            self.squares -= old * old
        else:
            self.count += 1
        new = x - self.base
        self.total += new
        self.squares += new * new
        fresh = x - self.fresh_base
        self.fresh_total += fresh
        self.fresh_squares += fresh * fresh
        self.ring[at] = x
        self.head = at + 1
        if at + 1 >= n:
            self.head = 0
            self.base = self.fresh_base
            self.total = self.fresh_total
            self.squares = self.fresh_squares
            self.fresh_base = self.base + self.total / float(n)
            self.fresh_total = 0.0
            self.fresh_squares = 0.0
        return True

    def mean(self) -> float:
        """Mean of the window; nan before the first value."""
        return self.base + self.total / float(self.count) if self.count > 0 else math.nan

    def _sum(self) -> float:
        return self.base * float(self.count) + self.total

    def _deviation(self, ddof: int) -> float:
        n = self.count
        if n <= ddof:
            return math.nan
        apart = self.squares - self.total * self.total / float(n)
        if apart <= _NOISE * self.squares:
            return 0.0
        return math.sqrt(apart / float(n - ddof))

    def ready(self) -> bool:
        """Whether the window is full."""
        return self.count >= min(self.window, self.capacity)


class PairWindow(Indicator):
    """Sums, squares and products of the last `window` pairs (x, y); y enters as its difference from a base."""

    channels = 2

    window: int
    head: int
    count: int
    y_base: float
    x_sum: float
    y_sum: float
    xx_sum: float
    xy_sum: float
    fresh_y_base: float
    fresh_x: float
    fresh_y: float
    fresh_xx: float
    fresh_xy: float

    def _push(self, x: float, y: float) -> bool:
        if not (math.isfinite(x) and math.isfinite(y)):
            return False
        n = min(max(self.window, 1), self.capacity)
        at = self.head
        if self.count == 0:
            self.y_base = y
            self.fresh_y_base = y
        if self.count >= n:
            old_x, old_y = self.ring[2 * at], self.ring[2 * at + 1] - self.y_base
            self.x_sum -= old_x
            self.y_sum -= old_y
            self.xx_sum -= old_x * old_x
            self.xy_sum -= old_x * old_y
        else:
            self.count += 1
        new = y - self.y_base
        self.x_sum += x
        self.y_sum += new
        self.xx_sum += x * x
        self.xy_sum += x * new
        fresh = y - self.fresh_y_base
        self.fresh_x += x
        self.fresh_y += fresh
        self.fresh_xx += x * x
        self.fresh_xy += x * fresh
        self.ring[2 * at] = x
        self.ring[2 * at + 1] = y
        self.head = at + 1
        if at + 1 >= n:
            self.head = 0
            self.y_base = self.fresh_y_base
            self.x_sum = self.fresh_x
            self.y_sum = self.fresh_y
            self.xx_sum = self.fresh_xx
            self.xy_sum = self.fresh_xy
            self.fresh_y_base = self.y_base + self.y_sum / float(n)
            self.fresh_x = 0.0
            self.fresh_y = 0.0
            self.fresh_xx = 0.0
            self.fresh_xy = 0.0
        return True

    def ready(self) -> bool:
        """Whether the window is full."""
        return self.count >= min(self.window, self.capacity)
