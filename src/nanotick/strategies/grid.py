"""Grid trading: resting orders at fixed distances on both sides of a centre, refilled as they trade.

The centre is the mid at the start and follows the mid when that has moved by more than `recentre` steps. Each level
holds one order; buying below and selling above the centre earns the step when the price comes back, and collects a
losing position when it does not, which `max_inventory` bounds.
"""

from __future__ import annotations

from typing import Any

from nanotick.strategy.base import Array, Strategy, ints


class Grid(Strategy):
    """Keep `levels` orders a side, `step` ticks apart.

    Parameters
    ----------
    step : int
        Distance between levels, ticks.
    levels : int
        Orders a side.
    size : int
        Order size, quantity units.
    max_inventory : int
        Position limit, in order sizes.
    recentre : int
        The centre follows when the mid is this many steps away.
    interval : int
        Nanoseconds between looks at the grid.

    Examples
    --------
    >>> Grid(step=3, levels=5).parameters["levels"]
    5
    """

    step: int = 5
    levels: int = 3
    size: int = 100
    max_inventory: int = 10
    recentre: int = 4
    interval: int = 500_000_000

    centre: Array = ints(1, per_instrument=True)
    last_ts: Array = ints(1, per_instrument=True)

    def on_book(self, ctx: Any) -> None:
        i = ctx.instrument()
        if ctx.now() - self.last_ts[i] < self.interval or not ctx.has_book():
            return
        self.last_ts[i] = ctx.now()
        width = self.step * ctx.tick_size()
        if self.centre[i] == 0 or abs(ctx.mid() - self.centre[i]) > self.recentre * width:
            self.centre[i] = ctx.round_price(ctx.mid())
        self.fill_side(ctx, 1, width)
        self.fill_side(ctx, -1, width)

    def fill_side(self, ctx: Any, side: int, width: int) -> None:
        """Cancel what is off the grid, ask for what is missing."""
        centre = self.centre[ctx.instrument()]
        held = 0
        nearest = ctx.best_ask() - ctx.tick_size() if side > 0 else ctx.best_bid() + ctx.tick_size()
        order_id = ctx.first_order()
        while order_id != 0:
            following = ctx.next_order(order_id)
            if ctx.order_side(order_id) == side:
                offset = side * (centre - ctx.order_price(order_id))
                level = offset // width
                if offset % width == 0 and 1 <= level <= self.levels and held & (1 << level) == 0:
                    held |= 1 << level
                else:
                    ctx.cancel(order_id)
            order_id = following
        room = self.max_inventory - side * (ctx.position() // self.size)
        for level in range(1, self.levels + 1):
            price = centre - side * level * width
            if held & (1 << level) == 0 and room > 0 and side * (nearest - price) >= 0:
                ctx.order(side, self.size, price, 0, 0, 1)
                room -= 1
