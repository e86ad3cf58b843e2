"""Breakout momentum with volume confirmation.

Two exponential averages of the mid, `fast` and `slow`, measure the trend; traded volume per second against its own
slow average confirms it. A long position opens when the fast average is `entry` ticks above the slow one, the mid
is a new high of the last `window` samples and volume runs above `surge` times its average; it closes when the
averages cross back or the price falls `stop` ticks from its best since entry. Shorts mirror it.
"""

from __future__ import annotations

import math
from typing import Any

from nanotick.strategy.base import Array, Strategy, floats, ints

_IOC = 2
_SLOTS = 256


class Momentum(Strategy):
    """Follow breakouts that trade.

    Parameters
    ----------
    fast, slow : float
        Half-lives of the averages, seconds.
    entry : float
        Distance of the averages that counts as a trend, ticks.
    window : int
        Samples over which a price is a new high or low, at most 256.
    surge : float
        Volume rate against its average that confirms.
    stop : float
        Trailing stop, ticks.
    size : int
        Order size, quantity units.
    sample : int
        Nanoseconds between samples.

    Examples
    --------
    The averages' step for a half-life of one sample:

    >>> from types import SimpleNamespace
    >>> round(Momentum.blend(SimpleNamespace(sample=1_000_000_000), 10.0, 20.0, 1.0), 9)
    15.0
    """

    fast: float = 5.0
    slow: float = 60.0
    entry: float = 2.0
    window: int = 60
    surge: float = 1.5
    stop: float = 6.0
    size: int = 100
    sample: int = 1_000_000_000

    fast_mean: Array = floats(1, per_instrument=True)
    slow_mean: Array = floats(1, per_instrument=True)
    rate: Array = floats(1, per_instrument=True)
    volume_seen: Array = ints(1, per_instrument=True)
    samples: Array = ints(1, per_instrument=True)
    best_price: Array = floats(1, per_instrument=True)
    mids: Array = floats(_SLOTS, per_instrument=True)

    def on_start(self, ctx: Any) -> None:
        self.window = min(max(self.window, 2), _SLOTS)
        ctx.every(self.sample)

    def on_timer(self, ctx: Any) -> None:
        for i in range(ctx.instruments()):
            if ctx.has_book(i):
                self.look(ctx, i)

    def blend(self, mean: float, value: float, half_life: float) -> float:
        weight = 1.0 - math.exp(-self.sample * 1e-9 * math.log(2.0) / half_life)
        return mean + weight * (value - mean)

    def look(self, ctx: Any, i: int) -> None:
        """One sample of one instrument."""
        mid = ctx.mid(i)
        volume = float(ctx.volume(i) - self.volume_seen[i])
        self.volume_seen[i] = ctx.volume(i)
        if self.samples[i] == 0:
            self.fast_mean[i] = mid
            self.slow_mean[i] = mid
            self.rate[i] = volume
        surging = volume > self.surge * self.rate[i]
        highest = -math.inf
        lowest = math.inf
        for n in range(min(self.samples[i], self.window)):
            highest = max(highest, self.mids[i * _SLOTS + n])
            lowest = min(lowest, self.mids[i * _SLOTS + n])
        self.fast_mean[i] = self.blend(self.fast_mean[i], mid, self.fast)
        self.slow_mean[i] = self.blend(self.slow_mean[i], mid, self.slow)
        self.rate[i] = self.blend(self.rate[i], volume, self.slow)
        self.mids[i * _SLOTS + self.samples[i] % self.window] = mid
        self.samples[i] += 1
        if self.samples[i] > self.window and ctx.open_orders(0, i) == 0:
            self.decide(ctx, i, mid, highest, lowest, surging)

    def decide(self, ctx: Any, i: int, mid: float, highest: float, lowest: float, surging: bool) -> None:
        """Enter a breakout, follow it, leave when it is over."""
        trend = (self.fast_mean[i] - self.slow_mean[i]) / ctx.tick_size(i)
        position = ctx.position(i)
        if position == 0:
            if trend > self.entry and mid > highest and surging:
                self.best_price[i] = mid
                ctx.buy(self.size, ctx.best_ask(i), _IOC, False, i)
            elif trend < -self.entry and mid < lowest and surging:
                self.best_price[i] = mid
                ctx.sell(self.size, ctx.best_bid(i), _IOC, False, i)
            return
        side = 1 if position > 0 else -1
        if side * mid > side * self.best_price[i]:
            self.best_price[i] = mid
        fallen = side * (self.best_price[i] - mid) / ctx.tick_size(i)
        if fallen > self.stop or side * trend < 0.0:
            price = ctx.best_bid(i) if side > 0 else ctx.best_ask(i)
            ctx.order(-side, abs(position), price, 0, _IOC, 0, 0, 0, i)
