"""Market making around a reservation price (Avellaneda & Stoikov 2008, Quantitative Finance 8(3), 217-224).

With inventory q (in order sizes), volatility sigma, risk aversion gamma, fill intensity A exp(-k delta) and time left
T - t, everything in ticks and seconds:

    reservation price   r = s - q gamma sigma^2 (T - t)
    total spread        w = gamma sigma^2 (T - t) + (2 / gamma) ln(1 + gamma / k)
    quotes              r - w/2 and r + w/2

where s is the reference price. A long position shifts both quotes down, so that selling is likelier than buying.
Rounding is away from the reference. At `max_inventory` the side that would add to the position is not quoted.
"""

from __future__ import annotations

import math
from typing import Any

from nanotick.strategies.market_making import MarketMaking


class AvellanedaStoikov(MarketMaking):
    """Quote both sides around an inventory-dependent reservation price.

    Parameters
    ----------
    gamma : float
        Risk aversion, 1 / (ticks * sizes). Larger: wider quotes, harder push back to flat.
    k : float
        Decay of the fill intensity with distance from the reference price, 1 / ticks.
    horizon : float
        Seconds over which inventory is a risk (T).
    rolling : bool
        The time left is always the horizon; else it runs down to zero from the start of the run and begins again.
    max_inventory : int
        Position limit, in order sizes.

    Examples
    --------
    The reservation price and spread of a long position of two sizes:

    >>> from types import SimpleNamespace
    >>> maker = SimpleNamespace(gamma=0.1, k=1.5)
    >>> low, high = (AvellanedaStoikov.distance(maker, 2.0, side, 4.0) for side in (1, -1))
    >>> round(low + high, 6), round((high - low) / 2, 6)
    (1.69077, -0.8)
    """

    gamma: float = 0.05
    k: float = 0.8
    horizon: float = 60.0
    rolling: bool = True
    max_inventory: int = 10

    def bound(self) -> float:
        return float(self.max_inventory)

    def time_left(self, ctx: Any) -> float:
        """Seconds to the horizon."""
        if self.rolling:
            return self.horizon
        elapsed = (ctx.now() - self.start_ts) * 1e-9
        return self.horizon - elapsed % self.horizon

    def distance(self, q: float, side: int, variance: float) -> float:
        """Ticks from the reference price to the quote of a side, for a variance to the horizon in ticks squared."""
        risk = self.gamma * variance
        return side * q * risk + 0.5 * (risk + 2.0 / self.gamma * math.log(1.0 + self.gamma / self.k))

    def requote(self, ctx: Any, reference: float) -> None:
        tick = ctx.tick_size()
        q = self.inventory(ctx)
        variance = self.volatility_squared(ctx) * self.time_left(ctx)
        bid_at = reference - self.distance(q, 1, variance) * tick
        ask_at = reference + self.distance(q, -1, variance) * tick
        self.place(ctx, bid_at, ask_at, q)
