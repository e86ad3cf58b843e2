"""Averages: exponential by tick and by time, simple over a window, volume-weighted over a session and over a window.

A value that is not finite (the mid of a one-sided book) is passed over by every indicator: it neither counts nor spoils
what was there.
"""

from __future__ import annotations

import math

from nanotick.features.indicator import Indicator
from nanotick.features.window import PairWindow, Window, at_least

_LN2 = math.log(2.0)


class EMA(Indicator):
    """Exponential moving average by tick: `m += a * (x - m)` with `a = 2 / (period + 1)`, the first value as its start.

    The same as pandas' `ewm(span=period, adjust=False).mean()`. Ready after `period` values.

    Parameters
    ----------
    period : float
        Span, ticks; the centre of mass lies `(period - 1) / 2` ticks back.

    Examples
    --------
    >>> import nanotick as nt
    >>> nt.EMA(3).run([1.0, 2.0, 4.0]).tolist()
    [1.0, 1.5, 2.75]

    References
    ----------
    Roberts (1959), Control chart tests based on geometric moving averages, Technometrics 1(3).
    """

    period: float
    mean: float
    count: int

    def __init__(self, period: float = 12.0) -> None:
        super().__init__(period=at_least("EMA.period", period, 1.0))

    def update(self, x: float) -> float:
        """Take a value; gives the average."""
        if math.isfinite(x):
            if self.count == 0:
                self.mean = x
            else:
                self.mean += 2.0 / (self.period + 1.0) * (x - self.mean)
            self.count += 1
        return self.value()

    def value(self) -> float:
        """The average; nan before the first value."""
        return self.mean if self.count > 0 else math.nan

    def ready(self) -> bool:
        """Whether `period` values have been seen."""
        return self.count >= self.period


class TimeEMA(Indicator):
    """Exponential moving average by time: `m = x + 2^(-dt / half_life) * (m - x)`.

    What was there loses half its weight every `half_life` nanoseconds however many ticks fall into them ("next point"
    interpolation). Ready once `half_life` has passed since the first value.

    Parameters
    ----------
    half_life : float
        Nanoseconds.

    Examples
    --------
    >>> import nanotick as nt
    >>> nt.TimeEMA(nt.SECOND).run([0, nt.SECOND, 3 * nt.SECOND], [8.0, 4.0, 4.0]).tolist()
    [8.0, 6.0, 4.5]

    References
    ----------
    Mueller (2001), Specially weighted moving averages with repeated application of the EMA operator, Olsen; Eckner
    (2019), Algorithms for unevenly spaced time series, section 3.
    """

    half_life: float
    mean: float
    count: int
    first_ts: int
    ts: int

    def __init__(self, half_life: float = 1e9) -> None:
        super().__init__(half_life=at_least("TimeEMA.half_life", half_life, 1e-3))

    def update(self, ts: int, x: float) -> float:
        """Take the value of a time (ns); gives the average."""
        if math.isfinite(x):
            if self.count == 0:
                self.mean = x
                self.first_ts = ts
            else:
                kept = math.exp(-_LN2 * float(max(ts - self.ts, 0)) / self.half_life)
                self.mean = x + kept * (self.mean - x)
            self.ts = ts
            self.count += 1
        return self.value()

    def value(self) -> float:
        """The average as of the last value; nan before the first."""
        return self.mean if self.count > 0 else math.nan

    def ready(self) -> bool:
        """Whether a half-life has passed since the first value."""
        return self.count > 0 and float(self.ts - self.first_ts) >= self.half_life


class SMA(Window):
    """Simple moving average: the mean of the last `window` values, of fewer until there are so many.

    The same as pandas' `rolling(window, min_periods=1).mean()`. Ready when the window is full.

    Parameters
    ----------
    window : int
        Values averaged.
    capacity : int, optional
        Most values a window set later may have; `window` by default.

    Examples
    --------
    >>> import nanotick as nt
    >>> nt.SMA(2).run([1.0, 3.0, 5.0]).tolist()
    [1.0, 2.0, 4.0]
    """

    def __init__(self, window: int = 20, capacity: int = 0) -> None:
        super().__init__(window=int(at_least("SMA.window", window, 1)), capacity=max(capacity, window))

    def update(self, x: float) -> float:
        """Take a value; gives the mean."""
        self._push(x)
        return self.mean()

    def value(self) -> float:
        """The mean; nan before the first value."""
        return self.mean()


class VWAP(Indicator):
    """Volume-weighted average price since the start (or the last `reset`): sum(price * qty) / sum(qty).

    Both sums are compensated (Neumaier 1974), so a day of trades loses nothing. Ready after the first trade.

    Examples
    --------
    >>> import nanotick as nt
    >>> nt.VWAP().run([10.0, 20.0], [1.0, 3.0]).tolist()
    [10.0, 17.5]

    References
    ----------
    Berkowitz, Logue & Noser (1988), The total cost of transactions on the NYSE, Journal of Finance 43(1).
    """

    value_sum: float
    value_lost: float
    qty_sum: float
    qty_lost: float

    def __init__(self) -> None:
        super().__init__()

    def update(self, price: float, qty: float) -> float:
        """Take a trade; gives the average price."""
        x = price * qty
        if math.isfinite(x) and qty > 0.0:
            total = self.value_sum + x
            big = abs(self.value_sum) >= abs(x)
            self.value_lost += (self.value_sum - total) + x if big else (x - total) + self.value_sum
            self.value_sum = total
            volume = self.qty_sum + qty
            self.qty_lost += (self.qty_sum - volume) + qty if self.qty_sum >= qty else (qty - volume) + self.qty_sum
            self.qty_sum = volume
        return self.value()

    def value(self) -> float:
        """The average price; nan before the first trade."""
        volume = self.qty_sum + self.qty_lost
        return (self.value_sum + self.value_lost) / volume if volume > 0.0 else math.nan

    def volume(self) -> float:
        """Quantity traded."""
        return self.qty_sum + self.qty_lost

    def ready(self) -> bool:
        """Whether anything has traded."""
        return self.qty_sum > 0.0


class RollingVWAP(PairWindow):
    """Volume-weighted average price of the last `window` trades. Ready when the window is full.

    Parameters
    ----------
    window : int
        Trades averaged.
    capacity : int, optional
        Most trades a window set later may have; `window` by default.

    Examples
    --------
    >>> import nanotick as nt
    >>> nt.RollingVWAP(2).run([10.0, 20.0, 30.0], [1.0, 3.0, 1.0]).tolist()
    [10.0, 17.5, 22.5]
    """

    def __init__(self, window: int = 100, capacity: int = 0) -> None:
        super().__init__(window=int(at_least("RollingVWAP.window", window, 1)), capacity=max(capacity, window))

    def update(self, price: float, qty: float) -> float:
        """Take a trade; gives the average price."""
        if qty > 0.0:
            self._push(qty, price)
        return self.value()

    def value(self) -> float:
        """The average price; nan before the first trade."""
        if self.count == 0 or self.x_sum <= 0.0:
            return math.nan
        return self.y_base + self.xy_sum / self.x_sum
