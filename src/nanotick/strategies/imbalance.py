"""Order book imbalance: when one side of the book outweighs the other, the next move is likelier to the light side.

I = (bid - ask) / (bid + ask) of the quantity in the best `levels` levels (Cartea, Jaimungal & Penalva 2015, chapter
12; Gould & Bonart 2016, arXiv 1512.03492). The strategy takes the light side with an IOC order when |I| exceeds
`threshold`, and leaves by a resting order at the opposite best, or by crossing when the imbalance turns or time is
up.
"""

from __future__ import annotations

from typing import Any

from nanotick.strategy.base import Array, Strategy, ints

_IOC = 2


class Imbalance(Strategy):
    """Follow the imbalance, a few ticks at a time.

    Parameters
    ----------
    threshold : float
        Imbalance that opens a position, 0 to 1.
    exit : float
        The position is closed by crossing when the imbalance points this far against it.
    levels : int
        Levels a side that are weighed.
    size : int
        Order size, quantity units.
    max_spread : int
        No entry when the spread is wider, ticks.
    hold : int
        Longest time in a position, ns.
    cooldown : int
        Shortest time between entries, ns.

    Examples
    --------
    >>> Imbalance(threshold=0.9).parameters["threshold"]
    0.9
    """

    threshold: float = 0.7
    exit: float = 0.3
    levels: int = 3
    size: int = 100
    max_spread: int = 1
    hold: int = 5_000_000_000
    cooldown: int = 250_000_000

    entered_ts: Array = ints(1, per_instrument=True)
    asked_ts: Array = ints(1, per_instrument=True)

    def on_book(self, ctx: Any) -> None:
        i = ctx.instrument()
        if not ctx.has_book():
            return
        position = ctx.position()
        signal = ctx.imbalance(self.levels)
        if position == 0:
            wide = ctx.spread() > self.max_spread * ctx.tick_size()
            if wide or ctx.open_orders() > 0 or ctx.now() - self.asked_ts[i] < self.cooldown:
                return
            if signal > self.threshold:
                self.asked_ts[i] = ctx.now()
                ctx.buy(self.size, ctx.best_ask(), _IOC)
            elif signal < -self.threshold:
                self.asked_ts[i] = ctx.now()
                ctx.sell(self.size, ctx.best_bid(), _IOC)
            return
        side = 1 if position > 0 else -1
        if signal * side < -self.exit or ctx.now() - self.entered_ts[i] > self.hold:
            if ctx.open_orders() > 0:
                ctx.cancel_all()
            elif ctx.now() - self.asked_ts[i] >= self.cooldown:
                self.asked_ts[i] = ctx.now()
                price = ctx.best_bid() if side > 0 else ctx.best_ask()
                ctx.order(-side, abs(position), price, 0, _IOC)
        elif ctx.open_orders() == 0:
            price = ctx.best_ask() if side > 0 else ctx.best_bid()
            ctx.order(-side, abs(position), price, 0, 0, 1)

    def on_fill(self, ctx: Any, fill: Any) -> None:
        i = ctx.instrument()
        if ctx.position() != 0 and self.entered_ts[i] < self.asked_ts[i]:
            self.entered_ts[i] = ctx.now()
