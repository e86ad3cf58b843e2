"""Cross-venue arbitrage: the same thing bid for more on one venue than it is offered at on another.

The legs are one instrument on several venues. When the best bid b of one less the best ask a of another is worth more
than both taker fees and `edge`,

    b - a > fee (a + b) + edge * tick,

both are taken at once, in the smaller displayed quantity. Buying here and selling there leaves one long and one
short position that cancel; they are closed against each other when the spread turns, or held up to `limit`. What
one leg fills more than the others is leg risk: the difference is traded away at the best price anywhere, at once.
"""

from __future__ import annotations

from typing import Any

from nanotick.strategies.legs import Legs

_IOC = 2


class CrossVenueArbitrage(Legs):
    """Buy where it is offered low, sell where it is bid high.

    Parameters
    ----------
    fee : float
        Taker fee as a share of value, a leg.
    edge : int
        Ticks that must be left after fees.
    size : int
        Largest order, quantity units.
    limit : int
        Largest position of one leg, quantity units.
    interval : int
        Nanoseconds between looks while the market is silent.

    Examples
    --------
    >>> CrossVenueArbitrage(count=3, edge=2).parameters["edge"]
    2
    """

    fee: float = 0.0
    edge: int = 1
    size: int = 100
    limit: int = 1_000
    interval: int = 10_000_000

    pairs: int = 0  # pairs of orders sent
    repaired: int = 0  # orders sent to even out the legs

    def on_book(self, ctx: Any) -> None:
        self.act(ctx)

    def on_start(self, ctx: Any) -> None:
        ctx.every(self.interval)  # a leg that came to nothing is not left until the market moves

    def on_timer(self, ctx: Any) -> None:
        self.act(ctx)

    def act(self, ctx: Any) -> None:
        """Even out what the legs hold on balance, else look for a pair."""
        if not self.ready(ctx):
            return
        net = 0
        for n in range(self.count):
            i = self.leg(n)
            if ctx.open_orders(0, i) > 0:
                return
            net += ctx.position(i)
        if ctx.round_qty(abs(net), self.leg(0)) > 0:
            self.even_out(ctx, net)
            return
        self.look(ctx)

    def look(self, ctx: Any) -> None:
        """Take the best pair of venues if it pays."""
        buy, sell = 0, 0
        for n in range(1, self.count):
            if ctx.best_ask(self.leg(n)) < ctx.best_ask(self.leg(buy)):
                buy = n
            if ctx.best_bid(self.leg(n)) > ctx.best_bid(self.leg(sell)):
                sell = n
        i, j = self.leg(buy), self.leg(sell)
        ask, bid = ctx.best_ask(i), ctx.best_bid(j)
        if i == j or bid - ask <= self.fee * (ask + bid) + self.edge * ctx.tick_size(i):
            return
        room = min(self.limit - ctx.position(i), self.limit + ctx.position(j))
        qty = ctx.round_qty(float(min(self.size, min(ctx.ask_qty(i), ctx.bid_qty(j)), room)), i)
        if qty > 0:
            ctx.order(1, qty, ask, 0, _IOC, 0, 0, 0, i)
            ctx.order(-1, qty, bid, 0, _IOC, 0, 0, 0, j)
            self.pairs += 1

    def even_out(self, ctx: Any, net: int) -> None:
        """Trade away what the legs hold on balance, where it is cheapest."""
        best = 0
        for n in range(1, self.count):
            i, j = self.leg(n), self.leg(best)
            better = ctx.best_bid(i) > ctx.best_bid(j) if net > 0 else ctx.best_ask(i) < ctx.best_ask(j)
            if better:
                best = n
        i = self.leg(best)
        side = -1 if net > 0 else 1
        ctx.order(side, ctx.round_qty(abs(net), i), self.reach(ctx, i, side), 0, _IOC, 0, 0, 0, i)
        self.repaired += 1
