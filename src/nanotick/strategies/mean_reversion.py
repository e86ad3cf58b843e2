"""Mean reversion of one instrument: trade the microprice back to its own rolling mean.

Inventory of others and orders that had to be filled push a price away from where it was, and it comes back when they
are done (Grossman & Miller 1988, Journal of Finance 43(3); Nagel 2012, Evaporating liquidity, Review of Financial
Studies 25(7)). The price is the size-weighted mid (Stoikov 2018), sampled each `sample` ns; its score is

    z = (p - mean) / s

with mean and standard deviation s of the last `window` samples. Entry, exit and stop are in units of s, so they widen
and narrow with volatility. A random walk has scores of two as well, and nothing to earn, so the samples are asked first
whether they revert: von Neumann's ratio d^2 / s^2 of mean square successive difference and variance (von Neumann 1941,
Annals of Mathematical Statistics 12(4)) is 2 (1 - phi) for an autoregression of first order with coefficient phi, and
in the order of 6 / window for a random walk.

The position taken at a score z is one order size at `entry`, one more for each `step` beyond it, at most `limit`, as
long as the price paid leaves `edge` ticks to the mean. It is closed when the price is back within `leave`, and given up
when it has gone `stop` deviations (those of the entry) against its average price, or after `hold` ns. What was given up
is not entered again until the score has been within `leave`.
"""

from __future__ import annotations

import math
from typing import Any

from nanotick.features import RealisedVolatility, ZScore, each
from nanotick.strategy.base import Array, Strategy, floats, ints

_IOC = 2
_MOST = 1_024  # samples a window can hold


class MeanReversion(Strategy):
    """Buy what has fallen from its mean, sell what has risen, where prices revert.

    Parameters
    ----------
    window : int
        Samples of the mean and deviation, 8 to 1,024.
    entry, leave : float
        Deviations from the mean at which to open and to close.
    step : float
        Deviations beyond `entry` for each further order.
    stop : float
        Loss at which to give up, deviations of the price when the position was opened.
    reversion : float
        Least von Neumann ratio of the samples; 0 does not ask. At 0.1 half of a deviation is gone in 14 samples.
    edge : float
        Least distance from the price paid to the mean, ticks.
    size : int
        Order size, quantity units.
    limit : int
        Largest position of an instrument, order sizes.
    hold : int
        Longest time in a position, ns.
    sample : int
        Nanoseconds between samples.

    Examples
    --------
    >>> back = MeanReversion(entry=2.5, window=200)
    >>> back.parameters["entry"], back.parameters["window"], back.parameters["limit"]
    (2.5, 200, 3)
    """

    window: int = 400
    entry: float = 2.0
    leave: float = 0.25
    step: float = 0.5
    stop: float = 3.0
    reversion: float = 0.1
    edge: float = 0.5
    size: int = 100
    limit: int = 3
    hold: int = 60_000_000_000
    sample: int = 250_000_000

    score: Array = each(ZScore(400, capacity=_MOST))
    steps: Array = each(RealisedVolatility(400, capacity=_MOST))
    watched: Array = ints(1, per_instrument=True)  # set by the engine for the symbols that it was given
    opened_ts: Array = ints(1, per_instrument=True)
    opened_deviation: Array = floats(1, per_instrument=True)
    spent: Array = ints(1, per_instrument=True)  # given up: wait until the price has come back

    def on_start(self, ctx: Any) -> None:
        self.window = min(max(self.window, 8), _MOST)
        for i in range(ctx.instruments()):
            self.score[i].window = self.window
            self.steps[i].window = self.window - 1  # so many differences have so many prices
        ctx.every(self.sample)

    def on_timer(self, ctx: Any) -> None:
        for i in range(ctx.instruments()):
            if self.watched[i] != 0 and ctx.has_book(i):
                self.look(ctx, i)

    def look(self, ctx: Any, i: int) -> None:
        """One sample of one instrume"""
        price = ctx.microprice(i)
        z = self.score[i].update(price)
        self.steps[i].update(price)
        if abs(z) < self.leave:
            self.spent[i] = 0
        if not self.score[i].ready() or ctx.open_orders(0, i) > 0:
            return
        if ctx.position(i) != 0 and self.over(ctx, i, price, z):
            self.trade(ctx, i, -ctx.position(i))
        elif self.spent[i] == 0 and abs(z) >= self.entry:
            self.enter(ctx, i, z)

    def over(self, ctx: Any, i: int, price: float, z: float) -> bool:
        """Whether the position has done what it could, or is given up."""
        side = 1 if ctx.position(i) > 0 else -1
        if side * z > -self.leave:
            return True
        lost = side * (ctx.average_price(i) - price) > self.stop * self.opened_deviation[i]
        if lost or ctx.now() - self.opened_ts[i] > self.hold:
            self.spent[i] = 1
            return True
        return False

    def reverts(self, i: int, mean: float, deviation: float) -> bool:
        """Whether successive samples differ as those of a price that comes back do."""
        change = self.steps[i].per_return() * mean
        return change * change >= self.reversion * deviation * deviation

    def enter(self, ctx: Any, i: int, z: float) -> None:
        """Bring the position to what the score asks for."""
        side = -1 if z > 0.0 else 1
        mean = self.score[i].mean()
        deviation = self.score[i].deviation()
        paid = ctx.best_ask(i) if side > 0 else ctx.best_bid(i)
        if side * (mean - paid) < self.edge * ctx.tick_size(i) or not self.reverts(i, mean, deviation):
            return
        orders = min(1 + math.floor((abs(z) - self.entry) / self.step), self.limit)
        missing = orders * self.size - side * ctx.position(i)
        if missing <= 0:
            return
        if ctx.position(i) == 0:
            self.opened_ts[i] = ctx.now()
            self.opened_deviation[i] = deviation
        self.trade(ctx, i, side * missing)

    def trade(self, ctx: Any, i: int, qty: int) -> None:
        """Take a signed quantity at the touch."""
        side = 1 if qty > 0 else -1
        ctx.order(side, abs(qty), ctx.best_ask(i) if side > 0 else ctx.best_bid(i), 0, _IOC, 0, 0, 0, i)
