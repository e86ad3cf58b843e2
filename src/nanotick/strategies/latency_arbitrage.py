"""Latency arbitrage: one venue has moved, the other still shows its old price.

The first leg leads, the second follows. When the leader's mid has moved by `trigger` ticks within `window`, and the
follower's touch on that side is still worse than the leader's by `edge` ticks and fees, the stale quote is taken.
The position is given back at the near touch when the follower has caught up with the leader, or after `patience`,
at the far touch (Wah & Wellman 2013; Budish, Cramton & Shim 2015 for why such quotes exist).
"""

from __future__ import annotations

from typing import Any

from nanotick.strategies.legs import Legs
from nanotick.strategy.base import Array, floats, ints

_IOC = 2
_RING = 64


class LatencyArbitrage(Legs):
    """Take the slow venue's stale quote after the fast one has moved.

    Parameters
    ----------
    trigger : float
        Move of the leader's mid, ticks.
    window : int
        Nanoseconds within which it must have moved.
    edge : float
        Ticks that must be left between the leader's mid and the stale price, after fees.
    fee : float
        Taker fee as a share of value.
    patience : int
        Nanoseconds until the position is given up.
    size : int
        Order size, quantity units.
    interval : int
        Nanoseconds between looks at an open position while the market is silent.

    Examples
    --------
    >>> LatencyArbitrage(trigger=3.0).parameters["trigger"]
    3.0
    """

    trigger: float = 2.0
    window: int = 50_000_000
    edge: float = 1.0
    fee: float = 0.0
    patience: int = 1_000_000_000
    size: int = 100
    interval: int = 10_000_000

    mids: Array = floats(_RING)
    times: Array = ints(_RING)
    seen: int = 0
    entered: int = 0

    def on_start(self, ctx: Any) -> None:
        ctx.every(self.interval)

    def on_timer(self, ctx: Any) -> None:
        follower = self.leg(1)
        if self.ready(ctx) and ctx.open_orders(0, follower) == 0 and ctx.position(follower) != 0:
            self.give_back(ctx, self.leg(0), follower)

    def on_book(self, ctx: Any) -> None:
        leader, follower = self.leg(0), self.leg(1)
        if ctx.instrument() == leader and ctx.has_book(leader):
            at = self.seen % _RING
            self.mids[at] = ctx.mid(leader)
            self.times[at] = ctx.now()
            self.seen += 1
        if not self.ready(ctx) or ctx.open_orders(0, follower) > 0:
            return
        if ctx.position(follower) != 0:
            self.give_back(ctx, leader, follower)
        else:
            self.pounce(ctx, leader, follower)

    def moved(self, ctx: Any) -> float:
        """Largest move of the leader's mid to its present value within the window, price units."""
        last = self.mids[(self.seen - 1) % _RING]
        largest = 0.0
        for back in range(1, min(self.seen, _RING)):
            at = (self.seen - 1 - back) % _RING
            if abs(last - self.mids[at]) > abs(largest):
                largest = last - self.mids[at]
            if ctx.now() - self.times[at] > self.window:
                break  # this one was in force when the window began
        return largest

    def pounce(self, ctx: Any, leader: int, follower: int) -> None:
        """Take the stale quote if the leader's move makes it cheap."""
        if self.seen == 0:
            return
        move = self.moved(ctx)
        tick = ctx.tick_size(leader)
        if abs(move) < self.trigger * tick:
            return
        side = 1 if move > 0.0 else -1
        price = ctx.best_ask(follower) if side > 0 else ctx.best_bid(follower)
        shown = ctx.ask_qty(follower) if side > 0 else ctx.bid_qty(follower)
        if side * (ctx.mid(leader) - price) > self.edge * tick + 2.0 * self.fee * price:
            qty = ctx.round_qty(float(min(self.size, shown)), follower)
            if qty > 0:
                ctx.order(side, qty, price, 0, _IOC, 0, 0, 0, follower)
                self.entered = ctx.now()

    def give_back(self, ctx: Any, leader: int, follower: int) -> None:
        """Close once the follower has caught up, or patience is over."""
        held = ctx.position(follower)
        side = 1 if held > 0 else -1
        caught_up = side * (ctx.mid(leader) - ctx.mid(follower)) <= 0.5 * ctx.tick_size(follower)
        if caught_up or ctx.now() - self.entered > self.patience:
            price = ctx.best_bid(follower) if side > 0 else ctx.best_ask(follower)
            ctx.order(-side, abs(held), price - side * self.slip * ctx.tick_size(follower), 0, _IOC, 0, 0, 0, follower)
