"""Market making around a reservation price (Avellaneda & Stoikov 2008, Quantitative Finance 8(3), 217-224).

With inventory q (in order sizes), volatility sigma, risk aversion gamma, fill intensity A exp(-k delta) and time left
T - t, everything in ticks and seconds:

    reservation price   r = mid - q gamma sigma^2 (T - t)
    total spread        s = gamma sigma^2 (T - t) + (2 / gamma) ln(1 + gamma / k)
    quotes              r - s/2 and r + s/2

A long position shifts both quotes down, so that selling is likelier than buying. Rounding is away from the mid. At
`max_inventory` the side that would add to the position is not quoted.
"""

from __future__ import annotations

import math
from typing import Any

from nanotick.strategy.base import Array, Strategy, floats, ints


class AvellanedaStoikov(Strategy):
    """Quote both sides around an inventory-dependent reservation price.

    Parameters
    ----------
    gamma : float
        Risk aversion, 1 / (ticks * sizes). Larger: wider quotes, harder push back to flat.
    k : float
        Decay of the fill intensity with distance from the mid, 1 / ticks.
    sigma : float
        Volatility, ticks per square root of a second; 0: estimated from the mid, `half_life` seconds.
    horizon : float
        Seconds over which inventory is a risk (T). With `rolling` the time left is always this, else it runs down to
        zero from the start of the run and begins again.
    size : int
        Order size, quantity units.
    max_inventory : int
        Position limit, in order sizes.
    interval : int
        Quotes move at most once in so many nanoseconds.
    """

    gamma: float = 0.05
    k: float = 0.8
    sigma: float = 0.0
    horizon: float = 60.0
    rolling: bool = True
    size: int = 100
    max_inventory: int = 10
    interval: int = 100_000_000
    half_life: float = 30.0
    post_only: bool = True

    start_ts: int = 0
    last_ts: Array = ints(1, per_instrument=True)
    last_mid: Array = floats(1, per_instrument=True)
    variance: Array = floats(1, per_instrument=True)

    def on_start(self, ctx: Any) -> None:
        self.start_ts = ctx.now()

    def inventory(self, ctx: Any) -> float:
        return ctx.position() / float(self.size)

    def time_left(self, ctx: Any) -> float:
        if self.rolling:
            return self.horizon
        elapsed = (ctx.now() - self.start_ts) * 1e-9
        return self.horizon - elapsed % self.horizon

    def volatility_squared(self, ctx: Any) -> float:
        return self.sigma * self.sigma if self.sigma > 0.0 else self.variance[ctx.instrument()]

    def observe(self, ctx: Any, mid: float, seconds: float) -> None:
        """Exponentially weighted variance of the mid per second."""
        i = ctx.instrument()
        if self.last_mid[i] != 0.0 and seconds > 0.0:
            move = (mid - self.last_mid[i]) / ctx.tick_size()
            weight = 1.0 - math.exp(-seconds * math.log(2.0) / self.half_life)
            self.variance[i] += weight * (move * move / seconds - self.variance[i])
        self.last_mid[i] = mid

    def on_book(self, ctx: Any) -> None:
        i = ctx.instrument()
        if ctx.now() - self.last_ts[i] < self.interval:
            return
        if not ctx.has_book():
            ctx.cancel_all()
            return
        self.observe(ctx, ctx.mid(), (ctx.now() - self.last_ts[i]) * 1e-9)
        self.last_ts[i] = ctx.now()
        self.requote(ctx, ctx.mid())

    def requote(self, ctx: Any, mid: float) -> None:
        """Move both quotes to where the inventory wants them."""
        tick = ctx.tick_size()
        q = self.inventory(ctx)
        risk = self.gamma * self.volatility_squared(ctx) * self.time_left(ctx)
        reservation = mid - q * risk * tick
        half = 0.5 * (risk + 2.0 / self.gamma * math.log(1.0 + self.gamma / self.k)) * tick
        self.place(ctx, reservation - half, reservation + half, q)

    def place(self, ctx: Any, bid_at: float, ask_at: float, q: float) -> None:
        """Quote at these prices, rounded away from the mid; never cross, and never add to a full inventory."""
        tick = ctx.tick_size()
        bid = ctx.floor_price(bid_at)
        ask = ctx.ceil_price(ask_at)
        if self.post_only:
            bid = min(bid, ctx.best_ask() - tick)
            ask = max(ask, ctx.best_bid() + tick)
        ctx.quote(1, bid, self.size if q < self.max_inventory else 0, self.post_only)
        ctx.quote(-1, ask, self.size if q > -self.max_inventory else 0, self.post_only)
