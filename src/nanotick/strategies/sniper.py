"""Sniper: show nothing, take displayed size when it is cheap.

Nothing rests, so nothing is told to the market. When the far touch is within `within` ticks of the near one, and not
worse than the limit, an immediate-or-cancel order takes what is displayed there, up to what is left. What is still
missing when the time is over is taken at the far touch if `complete` asks for it.
"""

from __future__ import annotations

from typing import Any

from nanotick.strategies.execution import Execution

_IOC = 2


class Sniper(Execution):
    """Take displayed size on good terms, unseen.

    Parameters
    ----------
    within : int
        Widest spread that is taken, ticks.
    least : int
        Smallest displayed quantity worth an order, quantity units.
    rest_ns : int
        Nanoseconds between shots, so that the book can refill.
    complete : bool
        Take the rest when the duration is over.

    Examples
    --------
    >>> Sniper(within=2, complete=False).parameters["within"]
    2
    """

    within: int = 1
    least: int = 1
    rest_ns: int = 50_000_000
    complete: bool = True

    last_shot: int = 0

    def on_book(self, ctx: Any) -> None:
        i = self.instrument
        if ctx.instrument() != i or self.started == 0 or self.finished != 0 or not ctx.has_book(i):
            return
        left = self.quantity - self.done(ctx)
        if left <= 0 or ctx.open_orders(0, i) > 0 or ctx.now() - self.last_shot < self.rest_ns:
            return
        buying = self.side > 0
        price = ctx.best_ask(i) if buying else ctx.best_bid(i)
        shown = ctx.ask_qty(i) if buying else ctx.bid_qty(i)
        beyond = self.limit_price != 0 and self.side * (price - self.limit_price) > 0
        if beyond or ctx.spread(i) > self.within * ctx.tick_size(i) or shown < self.least:
            return
        self.shoot(ctx, price, min(shown, left))

    def shoot(self, ctx: Any, price: int, qty: int) -> None:
        """One immediate-or-cancel order."""
        qty = ctx.round_qty(float(qty if self.clip <= 0 else min(qty, self.clip)), self.instrument)
        if qty > 0:
            self.last_shot = ctx.now()
            ctx.order(self.side, qty, price, 0, _IOC, 0, 0, 0, self.instrument)

    def work(self, ctx: Any) -> None:
        i = self.instrument
        left = self.quantity - self.done(ctx)
        if left <= 0:
            self.finished = ctx.now()
        elif ctx.now() - self.started >= self.duration:
            if not self.complete:
                self.finished = ctx.now()
            elif ctx.has_book(i) and ctx.open_orders(0, i) == 0:
                price = ctx.best_ask(i) if self.side > 0 else ctx.best_bid(i)
                beyond = self.limit_price != 0 and self.side * (price - self.limit_price) > 0
                self.shoot(ctx, self.limit_price if beyond else price, left)
