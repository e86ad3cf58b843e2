"""Breakout momentum with volume confirmation.

Two averages of the mid cross and say that there is a trend, a channel says that it goes where the price has not been,
volume says that others trade it (Donchian 1960, Financial Analysts Journal 16(6), for the channel; Brock, Lakonishok &
LeBaron 1992, Journal of Finance 47(5), for both rules; Moskowitz, Ooi & Pedersen 2012, Journal of Financial Economics
104(2), for momentum of a price of its own; Karpoff 1987, JFQA 22(1), for volume and the size of moves). A position
opens when the fast average is `entry` ticks beyond the slow one, the mid lies outside the last `window` samples and
they bring `surge` times the usual volume. It closes when the averages cross back, or the mid falls from its best since
entry by `stop` ticks or, with `stop_atr`, by so many average true ranges (Wilder 1978), which widens the stop in a
wild market. RSI and MACD can be asked to agree.
"""

from __future__ import annotations

from typing import Any

from nanotick.features import ATR, MACD, RSI, Donchian, TimeEMA, each
from nanotick.strategy.base import Array, Strategy, floats, ints

_IOC = 2
_MOST = 256  # samples a channel can hold


class Momentum(Strategy):
    """Follow breakouts that trade.

    Parameters
    ----------
    fast, slow : float
        Half-lives of the averages, seconds.
    entry : float
        Distance of the averages that counts as a trend, ticks.
    window : int
        Samples over which a price is a new high or low, 2 to 256.
    surge : float
        Volume of a sample against its slow average that confirms.
    stop : float
        Trailing stop, ticks.
    stop_atr : float
        Trailing stop in average true ranges of 14 samples instead, if above 0.
    rsi : float
        An entry needs the RSI of 14 samples so far beyond 50 on its side; 0 does not ask.
    macd : bool
        An entry needs the MACD (12, 26, 9 samples) beyond its signal on its side.
    size : int
        Order size, quantity units.
    sample : int
        Nanoseconds between samples.

    Examples
    --------
    >>> follow = Momentum(entry=1.0, stop_atr=3.0)
    >>> follow.parameters["entry"], follow.parameters["stop_atr"], follow.parameters["window"]
    (1.0, 3.0, 60)
    """

    fast: float = 5.0
    slow: float = 60.0
    entry: float = 2.0
    window: int = 60
    surge: float = 1.5
    stop: float = 6.0
    stop_atr: float = 0.0
    rsi: float = 0.0
    macd: bool = False
    size: int = 100
    sample: int = 1_000_000_000

    fast_mean: Array = each(TimeEMA())
    slow_mean: Array = each(TimeEMA())
    volume_mean: Array = each(TimeEMA())
    channel: Array = each(Donchian(60, capacity=_MOST))
    true_range: Array = each(ATR(14))
    strength: Array = each(RSI(14))
    convergence: Array = each(MACD())
    volume_seen: Array = ints(1, per_instrument=True)
    watched: Array = ints(1, per_instrument=True)  # set by the engine for the symbols that it was given
    best_price: Array = floats(1, per_instrument=True)

    def on_start(self, ctx: Any) -> None:
        self.window = min(max(self.window, 2), _MOST)
        for i in range(ctx.instruments()):
            self.fast_mean[i].half_life = self.fast * 1e9
            self.slow_mean[i].half_life = self.slow * 1e9
            self.volume_mean[i].half_life = self.slow * 1e9
            self.channel[i].window = self.window
        ctx.every(self.sample)

    def on_timer(self, ctx: Any) -> None:
        for i in range(ctx.instruments()):
            if self.watched[i] != 0 and ctx.has_book(i):
                self.look(ctx, i)

    def look(self, ctx: Any, i: int) -> None:
        """One sample of one instrument: a breakout is out of what was before it."""
        mid = ctx.mid(i)
        volume = float(ctx.volume(i) - self.volume_seen[i])
        self.volume_seen[i] = ctx.volume(i)
        known = self.channel[i].ready()
        surging = volume > self.surge * self.volume_mean[i].value()
        side = 0
        if mid > self.channel[i].upper():
            side = 1
        elif mid < self.channel[i].lower():
            side = -1
        fast = self.fast_mean[i].update(ctx.now(), mid)
        trend = (fast - self.slow_mean[i].update(ctx.now(), mid)) / ctx.tick_size(i)
        self.volume_mean[i].update(ctx.now(), volume)
        self.channel[i].update(mid, mid)
        self.true_range[i].update(mid, mid, mid)
        self.strength[i].update(mid)
        self.convergence[i].update(mid)
        if not known or ctx.open_orders(0, i) > 0:
            return
        if ctx.position(i) != 0:
            self.follow(ctx, i, mid, trend)
        elif side != 0 and side * trend > self.entry and surging and self.agreed(i, side):
            self.best_price[i] = mid
            ctx.order(side, self.size, ctx.best_ask(i) if side > 0 else ctx.best_bid(i), 0, _IOC, 0, 0, 0, i)

    def agreed(self, i: int, side: int) -> bool:
        """Whether the filters that are asked confirm."""
        if self.rsi > 0.0 and side * (self.strength[i].value() - 50.0) < self.rsi:
            return False
        return not self.macd or side * self.convergence[i].histogram() > 0.0

    def follow(self, ctx: Any, i: int, mid: float, trend: float) -> None:
        """Stay with a position while it runs."""
        position = ctx.position(i)
        side = 1 if position > 0 else -1
        self.best_price[i] = side * max(side * self.best_price[i], side * mid)
        allowed = self.stop * ctx.tick_size(i)
        if self.stop_atr > 0.0:
            allowed = self.stop_atr * self.true_range[i].value()
        if side * (self.best_price[i] - mid) > allowed or side * trend < 0.0:
            price = ctx.best_bid(i) if side > 0 else ctx.best_ask(i)
            ctx.order(-side, abs(position), price, 0, _IOC, 0, 0, 0, i)
