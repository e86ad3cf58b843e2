"""Oscillators and bands of technical analysis, as their authors defined them: RSI, ATR, MACD, Bollinger, z-score."""

from __future__ import annotations

import math

from nanotick.features.indicator import Indicator
from nanotick.features.window import Window, at_least


class RSI(Indicator):
    """Relative strength index, 0 to 100: `100 * up / (up + down)` of Wilder's averages of gains and losses.

    The first average is the mean of the first `period` changes, then `a = (a * (period - 1) + change) / period`. Until
    `period` changes have been seen it is over those there are; a price that never moved gives 50.

    Parameters
    ----------
    period : int
        Changes averaged.

    Examples
    --------
    >>> import nanotick as nt
    >>> nt.RSI(2).run([10.0, 11.0, 10.0, 10.5]).round(2).tolist()
    [nan, 100.0, 50.0, 66.67]

    References
    ----------
    Wilder (1978), New Concepts in Technical Trading Systems, section VI.
    """

    period: int
    last: float
    up: float
    down: float
    count: int  # prices seen

    def __init__(self, period: int = 14) -> None:
        super().__init__(period=int(at_least("RSI.period", period, 1)))

    def update(self, price: float) -> float:
        """Take a price; gives the index."""
        if math.isfinite(price):
            if self.count > 0:
                change = price - self.last
                n = float(min(self.count, max(self.period, 1)))
                self.up += (max(change, 0.0) - self.up) / n
                self.down += (max(-change, 0.0) - self.down) / n
            self.last = price
            self.count += 1
        return self.value()

    def value(self) -> float:
        """The index; nan before the second price."""
        if self.count < 2:
            return math.nan
        both = self.up + self.down
        return 100.0 * self.up / both if both > 0.0 else 50.0

    def ready(self) -> bool:
        """Whether `period` changes have been seen."""
        return self.count > self.period


class ATR(Indicator):
    """Average true range as Wilder smoothed it: the mean of `period` ranges, then `a = (a (period - 1) + r) / period`.

    The true range is max(high, previous close) - min(low, previous close), of the first bar high - low. Called with
    one price three times it is the average absolute move of a tick.

    Parameters
    ----------
    period : int
        Bars averaged.

    Examples
    --------
    >>> import nanotick as nt
    >>> nt.ATR(2).run([10.0, 12.0, 12.0], [9.0, 10.0, 11.0], [9.5, 11.0, 11.5]).tolist()
    [1.0, 1.75, 1.375]

    References
    ----------
    Wilder (1978), New Concepts in Technical Trading Systems, section III.
    """

    period: int
    close: float
    mean: float
    count: int

    def __init__(self, period: int = 14) -> None:
        super().__init__(period=int(at_least("ATR.period", period, 1)))

    def update(self, high: float, low: float, close: float) -> float:
        """Take a bar; gives the average."""
        if math.isfinite(high) and math.isfinite(low) and math.isfinite(close):
            if self.count > 0:
                high = max(high, self.close)
                low = min(low, self.close)
            self.count += 1
            self.mean += (high - low - self.mean) / float(min(self.count, max(self.period, 1)))
            self.close = close
        return self.value()

    def value(self) -> float:
        """The average; nan before the first bar."""
        return self.mean if self.count > 0 else math.nan

    def ready(self) -> bool:
        """Whether `period` bars have been seen."""
        return self.count >= self.period


class MACD(Indicator):
    """Moving average convergence/divergence: EMA(fast) - EMA(slow), its EMA(smooth) as signal, and what is between.

    The three averages are those of `EMA`, each begun with its first value. Ready after `slow + smooth - 1` values.

    Parameters
    ----------
    fast, slow, smooth : float
        Spans, ticks.

    Examples
    --------
    >>> import nanotick as nt
    >>> macd = nt.MACD(1, 3, 1)
    >>> macd.run([1.0, 3.0, 3.0]).tolist(), macd.signal()
    ([0.0, 1.0, 0.5], 0.5)

    References
    ----------
    Appel (2005), Technical Analysis: Power Tools for Active Investors, chapter 8.
    """

    fast: float
    slow: float
    smooth: float
    fast_mean: float
    slow_mean: float
    signal_mean: float
    count: int

    def __init__(self, fast: float = 12.0, slow: float = 26.0, smooth: float = 9.0) -> None:
        super().__init__(
            fast=at_least("MACD.fast", fast, 1.0),
            slow=at_least("MACD.slow", slow, 1.0),
            smooth=at_least("MACD.smooth", smooth, 1.0),
        )

    def update(self, x: float) -> float:
        """Take a value; gives the line EMA(fast) - EMA(slow)."""
        if math.isfinite(x):
            if self.count == 0:
                self.fast_mean = x
                self.slow_mean = x
            else:
                self.fast_mean += 2.0 / (self.fast + 1.0) * (x - self.fast_mean)
                self.slow_mean += 2.0 / (self.slow + 1.0) * (x - self.slow_mean)
                self.signal_mean += 2.0 / (self.smooth + 1.0) * (self.fast_mean - self.slow_mean - self.signal_mean)
            self.count += 1
        return self.value()

    def value(self) -> float:
        """The line; nan before the first value."""
        return self.fast_mean - self.slow_mean if self.count > 0 else math.nan

    def signal(self) -> float:
        """The signal line; nan before the first value."""
        return self.signal_mean if self.count > 0 else math.nan

    def histogram(self) -> float:
        """Line less signal."""
        return self.value() - self.signal()

    def ready(self) -> bool:
        """Whether the slow average and then the signal have had their spans."""
        return float(self.count) >= self.slow + self.smooth - 1.0


class Bollinger(Window):
    """Bollinger bands: mean of the last `window` values, and `width` population deviations either side of it.

    `value` is %b, where the last value lies between the lower band (0) and the upper (1); 0.5 in a flat window.

    Parameters
    ----------
    window : int
        Values.
    width : float
        Population standard deviations from the middle to a band.
    capacity : int, optional
        Most values a window set later may have; `window` by default.

    Examples
    --------
    >>> import nanotick as nt
    >>> bands = nt.Bollinger(4, 2.0)
    >>> bands.run([1.0, 2.0, 3.0, 4.0]).round(4).tolist()
    [0.5, 0.75, 0.8062, 0.8354]
    >>> round(bands.lower(), 4), bands.mean(), round(bands.upper(), 4)
    (0.2639, 2.5, 4.7361)

    References
    ----------
    Bollinger (2001), Bollinger on Bollinger Bands, part II (population deviation).
    """

    window: int
    width: float
    last: float

    def __init__(self, window: int = 20, width: float = 2.0, capacity: int = 0) -> None:
        super().__init__(
            window=int(at_least("Bollinger.window", window, 2)),
            width=at_least("Bollinger.width", width, 0.0),
            capacity=max(capacity, window),
        )

    def update(self, x: float) -> float:
        """Take a value; gives %b."""
        if self._push(x):
            self.last = x
        return self.value()

    def deviation(self) -> float:
        """Population standard deviation of the window."""
        return self._deviation(0)

    def upper(self) -> float:
        """Upper band."""
        return self.mean() + self.width * self._deviation(0)

    def lower(self) -> float:
        """Lower band."""
        return self.mean() - self.width * self._deviation(0)

    def bandwidth(self) -> float:
        """Distance of the bands over the middle."""
        return 2.0 * self.width * self._deviation(0) / self.mean()

    def value(self) -> float:
        """%b; nan before the first value."""
        half = self.width * self._deviation(0)
        if half == 0.0:
            return 0.5
        return 0.5 + 0.5 * (self.last - self.mean()) / half


class ZScore(Window):
    """How many deviations the last value lies from the mean of the last `window` values, itself among them.

    With `ddof` 1 the sample deviation (pandas' and the usual estimate), with 0 the population's. A flat window gives 0.

    Parameters
    ----------
    window : int
        Values.
    ddof : int
        0 or 1, taken from the count in the variance's denominator.
    capacity : int, optional
        Most values a window set later may have; `window` by default.

    Examples
    --------
    >>> import nanotick as nt
    >>> nt.ZScore(3).run([1.0, 2.0, 3.0, 7.0]).round(4).tolist()
    [nan, 0.7071, 1.0, 1.1339]
    """

    window: int
    ddof: int
    last: float

    def __init__(self, window: int = 100, ddof: int = 1, capacity: int = 0) -> None:
        if ddof not in (0, 1):
            raise ValueError(f"ZScore.ddof is 0 or 1, found {ddof!r}")
        super().__init__(window=int(at_least("ZScore.window", window, 2)), ddof=ddof, capacity=max(capacity, window))

    def update(self, x: float) -> float:
        """Take a value; gives its score."""
        if self._push(x):
            self.last = x
        return self.value()

    def deviation(self) -> float:
        """Standard deviation of the window; nan while there are `ddof` values or fewer."""
        return self._deviation(self.ddof)

    def value(self) -> float:
        """The last value's score; nan while there is no deviation to measure it by."""
        apart = self._deviation(self.ddof)
        if apart == 0.0:
            return 0.0
        return (self.last - self.mean()) / apart
