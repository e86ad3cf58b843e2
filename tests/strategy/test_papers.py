"""The market-making papers' own figures, from the shipped strategies in the replay exchange."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from nanotick.core.instruments import InstrumentTable
from nanotick.core.records import Kind
from nanotick.engine.backtest import Backtest, Recording
from nanotick.engine.local import Capacity, StrategySetup
from nanotick.exchange.config import VenueConfig
from nanotick.risk.limits import RiskLimits
from nanotick.strategies.avellaneda_stoikov import AvellanedaStoikov
from nanotick.strategies.glft import GueantLehalleFernandezTapia
from nanotick.strategy.base import Strategy
from tests.strategy.paper_market import BASE, INSTRUMENT, STEP_NS, TICKS, reaches, recording

FREE = RiskLimits(
    **{
        name: "allow" if name in ("self_trade", "crossed_book") else "unlimited"
        for name in RiskLimits.__dataclass_fields__
        if name != "cancel_reserve_share"
    }
)
CAPACITY = Capacity(book_orders=1 << 12, book_levels=1 << 14, orders=1 << 14, arena_bytes=4 << 30)
PATHS = 500  # of one recording


class PaperMaker(AvellanedaStoikov):
    """The shipped strategy on consecutive paths, each flat at its full horizon; `symmetric` quotes round the mid."""

    steps: int = 200
    dt: float = 0.005
    symmetric: float = 0.0
    step: int = 0
    flat_at: int = 0

    def inventory(self, ctx: Any) -> float:
        return float(ctx.position() - self.flat_at)

    def time_left(self, ctx: Any) -> float:
        return (self.steps - self.step % self.steps) * self.dt

    def on_book(self, ctx: Any) -> None:
        if self.step % self.steps == 0:
            self.flat_at = ctx.position()
        if self.symmetric > 0.0:
            half = 0.5 * self.symmetric * ctx.tick_size()
            self.place(ctx, ctx.mid() - half, ctx.mid() + half, 0.0)
        else:
            self.requote(ctx, ctx.mid())
        self.step += 1


def outcomes(
    strategy: Strategy, rng: np.random.Generator, sigma: float, dt: float, steps: int, probability: float, k: float
) -> tuple[np.ndarray[Any, Any], ...]:
    """Profit, final inventory and fills of `PATHS` paths, in the paper's units."""
    moves = rng.choice([-1.0, 1.0], (PATHS, steps)) * sigma * math.sqrt(dt)
    paths = 100.0 + np.concatenate([np.zeros((PATHS, 1)), np.cumsum(moves, axis=1)], axis=1)
    mids = np.concatenate([paths[:, :-1].reshape(-1), paths[-1:, -1]])
    events = recording(mids, reaches(rng, PATHS * steps, probability, k))
    setup = StrategySetup(strategy, cash=10**17)
    run = Backtest(
        [Recording(events)], InstrumentTable([INSTRUMENT]), [setup], VenueConfig(), FREE, 0, capacity=CAPACITY
    )
    out = run.run()
    fills = out.records[out.records["kind"] == int(Kind.FILL)]
    path = (fills["ts_venue"] - events["ts_venue"][0]) // (steps * STEP_NS)
    signed = fills["qty"] * fills["side"]
    price = (fills["price"] - BASE) / TICKS
    cash = np.bincount(path, weights=-signed * price, minlength=PATHS)
    q = np.bincount(path, weights=signed, minlength=PATHS)
    return cash + q * paths[:, -1], q, np.bincount(path, minlength=PATHS)


# gamma: inventory and symmetric strategy: mean profit, its deviation, deviation of the final inventory, fills a run
EXACT = {
    0.1: ((64.89, 6.54, 2.930, 96.97), (68.22, 13.44, 8.396, 91.47)),
    0.01: ((68.40, 8.96, 5.210, 102.21), (68.66, 13.66, 8.709, 101.80)),
    1.0: ((31.45, 4.84, 1.641, 56.05), (43.68, 10.73, 5.167, 28.82)),
}


def check_avellaneda_stoikov(gamma: float, symmetric: bool, rounds: int) -> None:
    sigma, k, steps, dt = 2.0, 1.5, 200, 0.005
    spread = gamma * sigma**2 * np.mean(1.0 - np.arange(steps) * dt) + 2.0 / gamma * math.log(1.0 + gamma / k)
    rng = np.random.default_rng(17)
    results = []
    for _ in range(rounds):
        maker = PaperMaker(
            gamma=gamma / TICKS,
            k=k / TICKS,
            sigma=sigma * TICKS,
            size=1,
            max_inventory=10_000,
            post_only=False,
            symmetric=float(spread * TICKS) if symmetric else 0.0,
        )
        results.append(outcomes(maker, rng, sigma, dt, steps, 140.0 * dt, k))
    profit, q, fills = (np.concatenate([r[i] for r in results]) for i in range(3))
    mean, std, std_q, per_run = EXACT[gamma][int(symmetric)]
    n = len(profit)
    # of a sample of n: the mean to 4 standard errors, a deviation to 4 of its own (2 sqrt(2/n), some 3 % at 20,000)
    loose = max(0.03, 2.0 * math.sqrt(2.0 / n) * 1.5)
    assert abs(profit.mean() - mean) < 4.0 * std / math.sqrt(n) + 0.01
    assert abs(profit.std() / std - 1.0) < loose
    assert abs(q.std() / std_q - 1.0) < loose
    assert abs(fills.mean() / per_run - 1.0) < 0.02


@pytest.mark.parametrize("symmetric", [False, True])
def test_avellaneda_stoikov_reaches_the_exact_figures(symmetric: bool) -> None:
    check_avellaneda_stoikov(0.1, symmetric, 4)


@pytest.mark.nightly
@pytest.mark.parametrize("gamma", [0.1, 0.01, 1.0])
@pytest.mark.parametrize("symmetric", [False, True])
def test_avellaneda_stoikov_reaches_the_exact_figures_with_20000_paths(gamma: float, symmetric: bool) -> None:
    check_avellaneda_stoikov(gamma, symmetric, 40)


class Distances(GueantLehalleFernandezTapia):
    """Log the strategy's distances when it starts."""

    def on_start(self, ctx: Any) -> None:
        self.solve()
        for q in range(-self.limit, self.limit + 1):
            if q < self.limit:
                ctx.log(1000 + q, self.distance(q, 1))
            if q > -self.limit:
                ctx.log(2000 + q, self.distance(q, -1))

    def on_book(self, ctx: Any) -> None:
        return


# sigma, A, k: distances at inventories 0, 1, 5, 10 (bid, ask); Gueant, Lehalle & Fernandez-Tapia, T = 600, Q = 30
GLFT = [
    ((0.3, 0.9, 0.3), {0: (3.31305, 3.31305), 1: (3.38117, 3.24492), 5: (3.65348, 2.97252), 10: (3.99293, 2.63280)}),
    ((0.6, 0.9, 0.9), {0: (1.14447, 1.14447), 1: (1.22340, 1.06549), 5: (1.53659, 0.75110), 10: (1.91562, 0.36863)}),
    ((1.0, 0.2, 0.3), {0: (3.52565, 3.52565), 1: (4.01755, 3.03231), 5: (5.91852, 1.10024), 10: (8.02275, -1.07218)}),
]


@pytest.mark.parametrize(("parameters", "expected"), GLFT)
def test_glft_distances_are_the_papers(
    parameters: tuple[float, float, float], expected: dict[int, tuple[float, float]]
) -> None:
    sigma, intensity, k = parameters
    strategy = Distances(gamma=0.01, sigma=sigma, intensity=intensity, k=k, limit=30)
    events = recording(np.array([100.0, 100.1]), np.ones((1, 2)))
    run = Backtest(
        [Recording(events)],
        InstrumentTable([INSTRUMENT]),
        [StrategySetup(strategy, cash=10**12)],
        VenueConfig(),
        FREE,
        0,
        capacity=CAPACITY,
    )
    signals = run.run().records
    signals = signals[signals["kind"] == int(Kind.SIGNAL)]
    found = {int(code): float(value) for code, value in zip(signals["id"], signals["price"].view("<f8"), strict=True)}
    assert len(found) == 120
    for q, (bid, ask) in expected.items():
        assert found[1000 + q] == pytest.approx(bid, abs=1e-4)
        assert found[2000 + q] == pytest.approx(ask, abs=1e-4)
    for q in range(-29, 30):
        assert found[2000 + q] == pytest.approx(found[1000 - q], abs=1e-9)
