"""Pairs and baskets: trade the residual of a rolling regression back to its mean.

The log price of the first leg is explained by those of the others and a constant,

    y_t = b_0 + sum_k b_k x_k,t + e_t,

by recursive least squares with forgetting (half-life `memory`): a pair is one other leg, b_1 its rolling hedge
ratio (Gatev, Goetzmann & Rouwenhorst 2006; Avellaneda & Lee 2010 for baskets; Haykin, Adaptive Filter Theory, ch. 9
for the recursion). The residual is judged before the sample updates the coefficients; z is the residual against its
own exponentially weighted mean and deviation. A position of `value` in the first leg against -b_k `value` in the
others opens beyond `entry`, closes inside `leave`, and is given up beyond `stop`: a relation that widens so far is
likely over, and nothing is opened again until z has been inside `leave`.
"""

from __future__ import annotations

import math
from typing import Any

from nanotick.strategies.legs import MAX_LEGS, Legs
from nanotick.strategy.base import Array, floats, ints

_N = MAX_LEGS  # a constant takes the place of the first leg


class StatisticalArbitrage(Legs):
    """Mean reversion of a pair or basket under a rolling hedge ratio.

    Parameters
    ----------
    entry, leave, stop : float
        Deviations of the residual at which to open, close, and give up.
    memory : float
        Half-life of the regression and of the residual's mean, seconds.
    warm_up : int
        Samples before the first trade.
    value : float
        Of the first leg's position, currency.
    sample : int
        Nanoseconds between samples.

    Examples
    --------
    >>> pair = StatisticalArbitrage(entry=2.5, count=2)
    >>> pair.parameters["entry"], pair.parameters["count"]
    (2.5, 2)
    """

    entry: float = 2.0
    leave: float = 0.5
    stop: float = 4.0
    memory: float = 60.0
    warm_up: int = 120
    value: float = 5_000.0
    sample: int = 250_000_000

    samples: int = 0
    z: float = 0.0
    side: int = 0  # of the first leg's position: 1 long, -1 short, 0 none
    spent: bool = False  # stopped out: wait until the residual has come back
    mean: float = 0.0
    variance: float = 0.0
    b: Array = floats(_N)
    x: Array = floats(_N)
    gain: Array = floats(_N)
    p: Array = floats(_N * _N)  # inverse of the weighted moment matrix
    origin: Array = floats(_N)  # log prices at the start: regress on differences, which are better conditioned
    opened: Array = ints(_N)

    def on_start(self, ctx: Any) -> None:
        self.count = min(max(self.count, 2), MAX_LEGS)
        for k in range(self.count):
            self.p[k * _N + k] = 1e6
        ctx.every(self.sample)

    def on_timer(self, ctx: Any) -> None:
        if not self.ready(ctx):
            return
        self.learn(ctx)
        if self.samples > self.warm_up:
            self.decide(ctx)
        self.chase(ctx)

    def log_price(self, ctx: Any, n: int) -> float:
        """Log mid of a leg, from its value at the start."""
        return math.log(ctx.mid(self.leg(n))) - self.origin[n]

    def learn(self, ctx: Any) -> None:
        """One sample: judge the residual, then update coefficients, mean and deviation."""
        if self.samples == 0:
            for n in range(self.count):
                self.origin[n] = math.log(ctx.mid(self.leg(n)))
        self.samples += 1
        forget = math.exp(-self.sample * 1e-9 * math.log(2.0) / self.memory)
        self.x[0] = 1.0
        for k in range(1, self.count):
            self.x[k] = self.log_price(ctx, k)
        residual = self.log_price(ctx, 0)
        for k in range(self.count):
            residual -= self.b[k] * self.x[k]
        deviation = math.sqrt(self.variance)
        self.z = (residual - self.mean) / deviation if deviation > 0.0 else 0.0
        self.regress(residual, forget)
        weight = max(1.0 - forget, 1.0 / self.samples)
        away = residual - self.mean
        self.mean += weight * away
        self.variance = (1.0 - weight) * (self.variance + weight * away * away)

    def regress(self, residual: float, forget: float) -> None:
        """Recursive least squares: gain, coefficients, inverse moments."""
        n = self.count
        scale = forget
        for i in range(n):
            total = 0.0
            for j in range(n):
                total += self.p[i * _N + j] * self.x[j]
            self.gain[i] = total
            scale += total * self.x[i]
        for i in range(n):
            self.b[i] += self.gain[i] / scale * residual
        trace = 0.0
        for i in range(n):
            for j in range(i + 1):
                updated = (self.p[i * _N + j] - self.gain[i] * self.gain[j] / scale) / forget
                self.p[i * _N + j] = updated
                self.p[j * _N + i] = updated
            trace += self.p[i * _N + i]
        if trace > 1e9:  # still prices excite nothing: without a bound the inverse grows with every sample
            for i in range(n * _N):
                self.p[i] *= 1e9 / trace

    def decide(self, ctx: Any) -> None:
        """Open, close or give up."""
        if abs(self.z) < self.leave:
            self.spent = False
        if self.side != 0:
            if -self.side * self.z < self.leave or -self.side * self.z > self.stop:
                self.spent = -self.side * self.z > self.stop
                self.side = 0
                for n in range(self.count):
                    self.wanted[n] = 0
        elif not self.spent and self.settled(ctx) and self.entry < abs(self.z) < self.stop:
            self.side = -1 if self.z > 0.0 else 1
            for n in range(self.count):
                i = self.leg(n)
                share = 1.0 if n == 0 else -self.b[n]
                units = ctx.to_qty(abs(share) * self.value / ctx.price_float(ctx.mid(i), i), i)
                self.wanted[n] = units * self.side if share > 0.0 else -units * self.side
