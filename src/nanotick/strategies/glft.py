"""Market making under inventory limits (Gueant, Lehalle & Fernandez-Tapia 2013, arXiv 1105.3115).

With alpha = k gamma sigma^2 / 2, eta = A (1 + gamma/k)^-(1 + k/gamma) and inventories |q| <= Q (in order sizes),

    v'_q = alpha q^2 v_q - eta (v_{q-1} + v_{q+1}),   v_q(T) = 1,       (neighbours beyond +-Q dropped)

    delta_bid(q) = ln(v_q / v_{q+1}) / k + ln(1 + gamma/k) / gamma
    delta_ask(q) = ln(v_q / v_{q-1}) / k + ln(1 + gamma/k) / gamma

are the distances from the reference price of the two quotes, in ticks and seconds. ln(v_0(0)) / k is the certainty
equivalent of quoting like this from an empty inventory: no policy does better in this model.

Far from T the ratios settle: v becomes the positive eigenvector of the smallest eigenvalue lambda of the tridiagonal
matrix. As v_q = v_{-q}, the ratios r_q = v_q / v_{q+1} follow from the limit inwards,

    r_{Q-1} = a_Q,   r_{q-1} = a_q - 1 / r_q,   a_0 = 2 / r_0,   a_q = (alpha q^2 - lambda) / eta,

and lambda in (-2 eta, 0) is the largest for which all of them are positive and a_0 r_0 >= 2: found by bisection, ten
microseconds for Q = 30, so that an estimated volatility is followed by the exact solution. With a `horizon` and a given
volatility the differential equation is solved at the start, by Taylor steps of exp(-h M).
"""

from __future__ import annotations

import math
from typing import Any

from nanotick.strategies.market_making import MarketMaking
from nanotick.strategy.base import Array, floats

MAX_LIMIT = 100
NODES = 129  # of time left at which a solution to the horizon is kept
_TERMS = 14
_BISECTIONS = 64
_STALE = 0.02  # relative change of an estimated variance after which the solution is found anew


class GueantLehalleFernandezTapia(MarketMaking):
    """Quote both sides at the optimal distances for the present inventory.

    Parameters
    ----------
    gamma : float
        Risk aversion, 1 / (ticks * sizes).
    k : float
        Decay of the fill intensity, 1 / ticks.
    intensity : float
        Fill intensity at the reference price (A), 1 / second.
    limit : int
        Inventory limit Q in order sizes, 1 to 100; at the limit only the reducing side is quoted.
    horizon : float
        Seconds to the end (T), counted from the start of the run and again from there; 0: the end is far. Needs a given
        `sigma`.

    Examples
    --------
    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> Maker = GueantLehalleFernandezTapia
    >>> maker = SimpleNamespace(gamma=0.01, k=0.3, intensity=0.9, limit=30, bends=np.zeros(MAX_LIMIT), horizon=0.0)
    >>> maker.eta = lambda: Maker.eta(maker)
    >>> maker.shoot = lambda *arguments: Maker.shoot(maker, *arguments)
    >>> maker.bend = lambda *arguments: Maker.bend(maker, *arguments)
    >>> Maker.solve(maker, 0.3**2, 0)
    >>> [round(float(Maker.distance(maker, q, 1, 0, 0.0)), 4) for q in (0, 1, 5, 10)]  # bids; the paper's figures
    [3.313, 3.3812, 3.6535, 3.9929]
    """

    gamma: float = 0.01
    k: float = 0.3
    intensity: float = 0.9
    sigma: float = 0.3
    limit: int = 30
    horizon: float = 0.0

    bends: Array = floats(MAX_LIMIT, per_instrument=True)  # ln(v_q / v_{q+1}), q = 0, 1, ...
    solved_for: Array = floats(1, per_instrument=True)  # variance
    path: Array = floats(NODES * MAX_LIMIT)  # the same by time left, a given volatility and horizon
    v: Array = floats(MAX_LIMIT + 2)
    term: Array = floats(MAX_LIMIT + 2)
    after: Array = floats(MAX_LIMIT + 2)
    certainty_equivalent: float = 0.0  # ticks * sizes, from an empty inventory over the horizon

    def on_start(self, ctx: Any) -> None:
        self.begin(ctx)
        self.prepare(ctx.instruments())

    def prepare(self, instruments: int) -> None:
        """Solve for a given volatility."""
        self.limit = min(max(self.limit, 1), MAX_LIMIT)
        if self.sigma > 0.0:
            for i in range(instruments):
                self.solve(self.sigma * self.sigma, i)
            if self.horizon > 0.0:
                self.solve_to_horizon()

    def bound(self) -> float:
        return float(self.limit)

    def eta(self) -> float:
        """Intensity of fills at the best distance without risk, 1 / second."""
        return self.intensity * (1.0 + self.gamma / self.k) ** (-(1.0 + self.k / self.gamma))

    def shoot(self, level: float, alpha: float, eta: float, row: int) -> bool:
        """Ratios for a candidate eigenvalue; whether it is not above the smallest one."""
        ratio = (alpha * self.limit * self.limit - level) / eta
        self.bends[row + self.limit - 1] = ratio
        for q in range(self.limit - 1, 0, -1):
            ratio = (alpha * q * q - level) / eta - 1.0 / ratio
            if ratio <= 0.0:
                return False
            self.bends[row + q - 1] = ratio
        return -level * ratio >= 2.0 * eta

    def solve(self, variance: float, i: int) -> None:
        """The ratios of the long-horizon limit for a variance in ticks squared per second."""
        eta = self.eta()
        alpha = 0.5 * self.k * self.gamma * variance
        below, above = -2.0 * eta, 0.0
        for _ in range(_BISECTIONS):
            middle = 0.5 * (below + above)
            if self.shoot(middle, alpha, eta, i * MAX_LIMIT):
                below = middle
            else:
                above = middle
        self.shoot(below, alpha, eta, i * MAX_LIMIT)
        for q in range(self.limit):
            self.bends[i * MAX_LIMIT + q] = math.log(self.bends[i * MAX_LIMIT + q])

    def solve_to_horizon(self) -> None:
        """The ratios at evenly spaced times left, from 0 to the horizon, and the certainty equivalent."""
        eta = self.eta()
        alpha = 0.5 * self.k * self.gamma * self.sigma * self.sigma
        last = self.limit
        step = self.horizon / (NODES - 1)
        parts = math.ceil(step * (alpha * last * last + 2.0 * eta))
        h = step / parts
        grown = 0.0
        for q in range(last + 1):
            self.v[q] = 1.0
        for node in range(1, NODES):
            for _ in range(parts):
                for q in range(last + 1):
                    self.term[q] = self.v[q]
                for n in range(1, _TERMS):
                    for q in range(last + 1):
                        inner = self.term[q - 1] if q > 0 else self.term[1]
                        outer = self.term[q + 1] if q < last else 0.0
                        self.after[q] = (eta * (inner + outer) - alpha * q * q * self.term[q]) * h / n
                    for q in range(last + 1):
                        self.term[q] = self.after[q]
                        self.v[q] += self.after[q]
                grown += math.log(self.v[0])
                scale = 1.0 / self.v[0]
                for q in range(last + 1):
                    self.v[q] *= scale
            for q in range(last):
                self.path[node * MAX_LIMIT + q] = math.log(self.v[q] / self.v[q + 1])
        self.certainty_equivalent = grown / self.k

    def bend(self, q: int, i: int, left: float) -> float:
        """ln(v_q / v_{q+1}) for q >= 0."""
        if self.horizon <= 0.0 or self.sigma <= 0.0:
            return self.bends[i * MAX_LIMIT + q]
        at = min(max(left / self.horizon, 0.0), 1.0) * (NODES - 1)
        node = min(int(at), NODES - 2)
        share = at - node
        near = self.path[node * MAX_LIMIT + q]
        return near + share * (self.path[(node + 1) * MAX_LIMIT + q] - near)

    def distance(self, q: int, side: int, i: int, left: float) -> float:
        """Optimal distance in ticks of the quote of a side from the reference price, with so many seconds left."""
        n = q * side
        bend = self.bend(n, i, left) if n >= 0 else -self.bend(-n - 1, i, left)
        return bend / self.k + math.log(1.0 + self.gamma / self.k) / self.gamma

    def time_left(self, ctx: Any) -> float:
        """Seconds to the horizon."""
        if self.horizon <= 0.0:
            return 0.0
        return self.horizon - (ctx.now() - self.start_ts) * 1e-9 % self.horizon

    def requote(self, ctx: Any, reference: float) -> None:
        i = ctx.instrument()
        variance = self.volatility_squared(ctx)
        if self.sigma <= 0.0 and abs(variance - self.solved_for[i]) >= _STALE * self.solved_for[i]:
            self.solve(max(variance, 1e-12), i)
            self.solved_for[i] = variance
        tick = ctx.tick_size()
        held = self.inventory(ctx)
        q = min(max(round(held), -self.limit), self.limit)
        left = self.time_left(ctx)
        # at the limit the side that is not quoted has no distance: that of the last step stands in
        bid_at = reference - self.distance(min(q, self.limit - 1), 1, i, left) * tick
        ask_at = reference + self.distance(max(q, 1 - self.limit), -1, i, left) * tick
        self.place(ctx, bid_at, ask_at, held)
