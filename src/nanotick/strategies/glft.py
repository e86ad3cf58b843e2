"""Market making under inventory limits (Gueant, Lehalle & Fernandez-Tapia 2013, arXiv 1105.3115).

With alpha = k gamma sigma^2 / 2, eta = A (1 + gamma/k)^-(1 + k/gamma) and inventories |q| <= Q, the long-horizon
quotes follow from the positive eigenvector v of the smallest eigenvalue of the tridiagonal matrix

    M v (q) = alpha q^2 v_q - eta (v_{q-1} + v_{q+1})       (neighbours beyond +-Q dropped)

    delta_bid(q) = ln(v_q / v_{q+1}) / k + ln(1 + gamma/k) / gamma
    delta_ask(q) = ln(v_q / v_{q-1}) / k + ln(1 + gamma/k) / gamma

The eigenvector is found once, at the start, by power iteration on c - M. Units are ticks and seconds.
"""

from __future__ import annotations

import math
from typing import Any

from nanotick.strategy.base import Array, Strategy, floats, ints

MAX_LIMIT = 100
CELLS = 2 * MAX_LIMIT + 1


class GueantLehalleFernandezTapia(Strategy):
    """Quote both sides at the optimal distances for the present inventory.

    Parameters
    ----------
    gamma : float
        Risk aversion, 1 / (ticks * sizes).
    k : float
        Decay of the fill intensity, 1 / ticks.
    intensity : float
        Fill intensity at the mid (A), 1 / second.
    sigma : float
        Volatility, ticks per square root of a second.
    limit : int
        Inventory limit Q in order sizes, 1 to 100; at the limit only the reducing side is quoted.
    size : int
        Order size, quantity units.
    interval : int
        Quotes move at most once in so many nanoseconds.
    """

    gamma: float = 0.01
    k: float = 0.3
    intensity: float = 0.9
    sigma: float = 0.3
    limit: int = 30
    size: int = 100
    interval: int = 100_000_000
    post_only: bool = True

    last_ts: Array = ints(1, per_instrument=True)
    v: Array = floats(CELLS)
    w: Array = floats(CELLS)

    def on_start(self, ctx: Any) -> None:
        self.solve()

    def solve(self) -> None:
        limit = min(max(self.limit, 1), MAX_LIMIT)
        self.limit = limit
        n = 2 * limit + 1
        alpha = 0.5 * self.k * self.gamma * self.sigma * self.sigma
        eta = self.intensity * (1.0 + self.gamma / self.k) ** (-(1.0 + self.k / self.gamma))
        shift = alpha * limit * limit + 2.0 * eta
        for i in range(n):
            self.v[i] = 1.0
        change = 1.0
        rounds = 0
        while change > 1e-14 and rounds < 200_000:
            largest = 0.0
            for i in range(n):
                q = i - limit
                below = self.v[i - 1] if i > 0 else 0.0
                above = self.v[i + 1] if i < n - 1 else 0.0
                self.w[i] = (shift - alpha * q * q) * self.v[i] + eta * (below + above)
                largest = max(largest, self.w[i])
            change = 0.0
            for i in range(n):
                scaled = self.w[i] / largest
                change = max(change, abs(scaled / self.v[i] - 1.0))
                self.v[i] = scaled
            rounds += 1

    def distance(self, q: int, step: int) -> float:
        """Optimal distance in ticks of the quote that moves inventory from q to q + step."""
        i = q + self.limit
        return math.log(self.v[i] / self.v[i + step]) / self.k + math.log(1.0 + self.gamma / self.k) / self.gamma

    def inventory(self, ctx: Any) -> int:
        q = round(ctx.position() / float(self.size))
        return min(max(q, -self.limit), self.limit)

    def on_book(self, ctx: Any) -> None:
        i = ctx.instrument()
        if ctx.now() - self.last_ts[i] < self.interval:
            return
        if not ctx.has_book():
            ctx.cancel_all()
            return
        self.last_ts[i] = ctx.now()
        tick = ctx.tick_size()
        mid = ctx.mid()
        q = self.inventory(ctx)
        if q < self.limit:
            bid = ctx.floor_price(mid - self.distance(q, 1) * tick)
            ctx.quote(1, min(bid, ctx.best_ask() - tick) if self.post_only else bid, self.size, self.post_only)
        else:
            ctx.quote(1, 0, 0)
        if q > -self.limit:
            ask = ctx.ceil_price(mid + self.distance(q, -1) * tick)
            ctx.quote(-1, max(ask, ctx.best_bid() + tick) if self.post_only else ask, self.size, self.post_only)
        else:
            ctx.quote(-1, 0, 0)
