"""Order book imbalance: when one side of the book outweighs the other, the next move is likelier to the light side.

I = (bid - ask) / (bid + ask) of the quantity in the best `levels` levels (Cartea, Jaimungal & Penalva 2015, chapter
12; Gould & Bonart 2016, arXiv 1512.03492). The strategy takes the light side with an IOC order when |I| exceeds
`threshold`, and leaves by a resting order at the opposite best, or by crossing when the imbalance turns or time is
up. A book may stand heavy for long without saying anything; with `flow` the latest changes of the best quotes must have
pushed the same way too, which explains moves better than the standing sizes (order flow imbalance: Cont, Kukanov &
Stoikov 2014, Journal of Financial Econometrics 12(1)).
"""

from __future__ import annotations

from typing import Any

from nanotick.features import OrderFlowImbalance, each
from nanotick.strategy.base import Array, Strategy, ints

_IOC = 2
_MOST = 256  # quote updates a flow can be over


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
    flow : int
        Updates of the best quotes over which order flow must point the same way for an entry, at most 256; 0 does not
        ask.

    Examples
    --------
    >>> light = Imbalance(threshold=0.6, flow=20)
    >>> light.parameters["threshold"], light.parameters["flow"], light.parameters["levels"]
    (0.6, 20, 3)
    """

    threshold: float = 0.7
    exit: float = 0.3
    levels: int = 3
    size: int = 100
    max_spread: int = 1
    hold: int = 5_000_000_000
    cooldown: int = 250_000_000
    flow: int = 0

    order_flow: Array = each(OrderFlowImbalance(50, capacity=_MOST))
    entered_ts: Array = ints(1, per_instrument=True)
    asked_ts: Array = ints(1, per_instrument=True)

    def on_start(self, ctx: Any) -> None:
        for i in range(ctx.instruments()):
            self.order_flow[i].window = min(max(self.flow, 1), _MOST)

    def on_book(self, ctx: Any) -> None:
        i = ctx.instrument()
        if not ctx.has_book():
            return
        if self.flow > 0:
            self.order_flow[i].update(ctx.best_bid(), ctx.bid_qty(), ctx.best_ask(), ctx.ask_qty())
        position = ctx.position()
        signal = ctx.imbalance(self.levels)
        if position == 0:
            wide = ctx.spread() > self.max_spread * ctx.tick_size()
            if wide or ctx.open_orders() > 0 or ctx.now() - self.asked_ts[i] < self.cooldown:
                return
            if abs(signal) > self.threshold and self.flow > 0 and not signal * self.order_flow[i].value() > 0.0:
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
