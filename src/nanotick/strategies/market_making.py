"""What the market makers share: a reference price, a volatility, and two quotes held where a model wants them.

The reference is the mid, or moves towards the microprice, the mid weighted by the sizes at the touch (the weighted mid
of Stoikov 2018, Quantitative Finance 18(12)). Volatility is given, or estimated while running: the mean of (change of
the mid)^2 / dt between looks, exponentially weighted by time, the mid and not the microprice because sizes are not
risk. Until one half-life of it has been seen nothing is quoted, and what happens over a gap of the feed is left out.

A model gives the two prices for the inventory q, counted in order sizes. What is done with them is the same for all:
rounding away from each other, the skew, fees, sizes that shrink with inventory, limits, and the patience that lets an
order keep its place in the queue.
"""

from __future__ import annotations

import math
from typing import Any

from nanotick.features import TimeEMA, each
from nanotick.strategy.base import Array, Strategy, floats, ints


class MarketMaking(Strategy):
    """Two quotes around a reference price; a subclass says at which distances.

    Parameters
    ----------
    sigma : float
        Volatility, ticks per square root of a second; 0: estimated from the mid.
    half_life : float
        Seconds after which a move counts half in the estimate.
    sigma_floor : float
        The estimate is never taken to be lower, ticks per square root of a second.
    microprice : float
        Weight of the microprice in the reference price: 0 is the mid, 1 the microprice.
    skew : float
        Ticks by which both quotes are moved against the inventory for each order size held, beyond what the model asks.
    maker_fee : float
        Paid for a resting fill as a share of its value; negative: a rebate.
    min_edge : float
        Ticks that buying at one quote and selling at the other must leave after both fees; else only the side that
        reduces the inventory is quoted.
    min_spread : int
        The market's spread below which only the reducing side is quoted, ticks.
    size : int
        Order size, quantity units.
    size_decay : float
        The side that adds to an inventory of q sizes quotes size exp(-size_decay |q|) (Fushimi, Gonzalez Rojas &
        Herman 2018); 0: always the full size.
    tolerance : int
        An order that is at most so many ticks from where it should be stays, and keeps its place in the queue.
    refill : float
        A partly filled order is brought back to its size when less than this share is left of it; 1: at once.
    interval : int
        Quotes move at most once in so many nanoseconds.
    post_only : bool
        Never cross: a quote beyond the opposite best is put one tick before it.
    through_flat : bool
        An order may turn the position over. Without it the side that reduces an inventory quotes no more than is held,
        for venues that net an account and refuse a sale from long to short.
    """

    sigma: float = 0.0
    half_life: float = 30.0
    sigma_floor: float = 0.0
    microprice: float = 0.0
    skew: float = 0.0
    maker_fee: float = 0.0
    min_edge: float = 0.0
    min_spread: int = 0
    size: int = 100
    size_decay: float = 0.0
    tolerance: int = 0
    refill: float = 1.0
    interval: int = 100_000_000
    post_only: bool = True
    through_flat: bool = True

    start_ts: int = 0
    last_ts: Array = ints(1, per_instrument=True)
    last_mid: Array = floats(1, per_instrument=True)
    variance: Array = each(TimeEMA(30e9))

    def on_start(self, ctx: Any) -> None:
        self.begin(ctx)

    def begin(self, ctx: Any) -> None:
        """What every market maker does once."""
        self.start_ts = ctx.now()
        for i in range(ctx.instruments()):
            self.variance[i].half_life = max(self.half_life, 1e-3) * 1e9

    def bound(self) -> float:
        """Position limit in order sizes; a subclass gives its own."""
        return 0.0

    def requote(self, ctx: Any, reference: float) -> None:
        """Move both quotes; a subclass computes the prices and calls `place`."""
        return

    def inventory(self, ctx: Any) -> float:
        """Position of the event's instrument in order sizes."""
        return ctx.position() / float(self.size)

    def reference(self, ctx: Any) -> float:
        """The price quotes are centred on, price units."""
        mid = ctx.mid()
        return mid if self.microprice == 0.0 else mid + self.microprice * (ctx.microprice() - mid)

    def knows_volatility(self, ctx: Any) -> bool:
        """Whether volatility is given or has been watched for long enough."""
        return self.sigma > 0.0 or self.variance[ctx.instrument()].ready()

    def volatility_squared(self, ctx: Any) -> float:
        """Variance of the price, ticks squared per second."""
        if self.sigma > 0.0:
            return self.sigma * self.sigma
        return max(self.variance[ctx.instrument()].value(), self.sigma_floor * self.sigma_floor)

    def observe(self, ctx: Any, mid: float, seconds: float) -> None:
        """Let the estimate of volatility see a mid, so many seconds after the last one."""
        i = ctx.instrument()
        if self.last_mid[i] != 0.0 and seconds > 0.0:
            move = (mid - self.last_mid[i]) / ctx.tick_size()
            self.variance[i].update(ctx.now(), move * move / seconds)
        self.last_mid[i] = mid

    def on_book(self, ctx: Any) -> None:
        i = ctx.instrument()
        if ctx.now() - self.last_ts[i] < self.interval:
            return
        if not ctx.has_book():
            self.last_mid[i] = 0.0
            ctx.cancel_all()
            return
        if self.sigma <= 0.0:
            self.observe(ctx, ctx.mid(), (ctx.now() - self.last_ts[i]) * 1e-9)
        self.last_ts[i] = ctx.now()
        if self.knows_volatility(ctx):
            self.requote(ctx, self.reference(ctx))

    def place(self, ctx: Any, bid_at: float, ask_at: float, q: float) -> None:
        """Quote at these prices (price units, fractional) as far as inventory, fees and the market allow."""
        tick = ctx.tick_size()
        shift = self.skew * q * tick
        bid = ctx.floor_price(bid_at - shift)
        ask = ctx.ceil_price(ask_at - shift)
        if self.post_only:
            bid = min(bid, ctx.best_ask() - tick)
            ask = max(ask, ctx.best_bid() + tick)
        left = (ask - bid) - self.maker_fee * (ask + bid)
        pays = left >= self.min_edge * tick and ctx.spread() >= self.min_spread * tick
        self.hold(ctx, 1, bid, self.quantity(ctx, 1, q, pays))
        self.hold(ctx, -1, ask, self.quantity(ctx, -1, q, pays))

    def quantity(self, ctx: Any, side: int, q: float, pays: bool) -> int:
        """What a side may quote, quantity units: no more than the limit leaves, nothing new where it does not pay."""
        adding = side * q >= 0.0
        if adding and not pays:
            return 0
        wanted = float(self.size)
        if adding and self.size_decay > 0.0:
            wanted *= math.exp(-self.size_decay * abs(q))
        if not self.through_flat and not adding:
            wanted = min(wanted, abs(q) * self.size)
        return max(0, ctx.round_qty(min(wanted, (self.bound() - side * q) * self.size) + 1e-6))

    def hold(self, ctx: Any, side: int, price: int, qty: int) -> None:
        """Keep one order on a side, the one that is there if it is near enough."""
        if self.tolerance > 0 or self.refill < 1.0:
            order_id = ctx.first_order()
            while order_id != 0 and ctx.order_side(order_id) != side:
                order_id = ctx.next_order(order_id)
            if order_id != 0 and qty > 0:
                if abs(ctx.order_price(order_id) - price) <= self.tolerance * ctx.tick_size():
                    price = ctx.order_price(order_id)
                    leaves = ctx.order_leaves(order_id)
                    if self.refill * qty <= leaves < qty:
                        qty = leaves
        ctx.quote(side, price, qty, self.post_only)
