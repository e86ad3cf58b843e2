"""Breakout momentum with volume confirmation.

Two exponential averages of the mid, `fast` and `slow`, measure the trend; traded volume per second against its own slow
average confirms it. A long position opens when the fast average is `entry` ticks above the slow one, the mid is a new
high of the last `window` samples and volume runs above `surge` times its average; it closes when the averages cross
back or the price falls `stop` ticks from its best since entry. Shorts mirror it.
"""

from __future__ import annotations

import math
from typing import Any

from nanotick.strategy.base import Array, Strategy, floats

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
    """

    fast: float = 5.0
    slow: float = 60.0
    entry: float = 2.0
    window: int = 60
    surge: float = 1.5
    stop: float = 6.0
    size: int = 100
    sample: int = 1_000_000_000

    fast_mean: float = 0.0
    slow_mean: float = 0.0
    rate: float = 0.0
    volume_seen: int = 0
    samples: int = 0
    best_price: float = 0.0
    asked_ts: int = 0
    mids: Array = floats(_SLOTS)

    def on_start(self, ctx: Any) -> None:
        self.window = min(max(self.window, 2), _SLOTS)
        ctx.every(self.sample)

    def blend(self, mean: float, value: float, half_life: float) -> float:
        weight = 1.0 - math.exp(-self.sample * 1e-9 * math.log(2.0) / half_life)
        return mean + weight * (value - mean)

    def on_timer(self, ctx: Any) -> None:
        if not ctx.has_book():
            return
        mid = ctx.mid()
        volume = float(ctx.volume() - self.volume_seen)
        self.volume_seen = ctx.volume()
        if self.samples == 0:
            self.fast_mean = mid
            self.slow_mean = mid
            self.rate = volume
        surging = volume > self.surge * self.rate
        highest = -math.inf
        lowest = math.inf
        for i in range(min(self.samples, self.window)):
            highest = max(highest, self.mids[i])
            lowest = min(lowest, self.mids[i])
        self.fast_mean = self.blend(self.fast_mean, mid, self.fast)
        self.slow_mean = self.blend(self.slow_mean, mid, self.slow)
        self.rate = self.blend(self.rate, volume, self.slow)
        self.mids[self.samples % self.window] = mid
        self.samples += 1
        if self.samples <= self.window or ctx.open_orders() > 0:
            return
        trend = (self.fast_mean - self.slow_mean) / ctx.tick_size()
        position = ctx.position()
        if position == 0:
            if trend > self.entry and mid > highest and surging:
                self.best_price = mid
                ctx.buy(self.size, ctx.best_ask(), _IOC)
            elif trend < -self.entry and mid < lowest and surging:
                self.best_price = mid
                ctx.sell(self.size, ctx.best_bid(), _IOC)
            return
        side = 1 if position > 0 else -1
        if side * mid > side * self.best_price:
            self.best_price = mid
        fallen = side * (self.best_price - mid) / ctx.tick_size()
        if fallen > self.stop or side * trend < 0.0:
            ctx.order(-side, abs(position), ctx.best_bid() if side > 0 else ctx.best_ask(), 0, _IOC)
