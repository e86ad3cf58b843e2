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
        self.go_on(ctx, ctx.mid())

    def go_on(self, ctx: Any, mid: float) -> None:
        if self.step % self.steps == 0:
            self.flat_at = ctx.position()
        if self.symmetric > 0.0:
            half = 0.5 * self.symmetric * ctx.tick_size()
            self.place(ctx, mid - half, mid + half, 0.0)
        else:
            self.requote(ctx, mid)
        self.step += 1


def outcomes(
    strategy: Strategy,
    rng: np.random.Generator,
    sigma: float,
    dt: float,
    steps: int,
    probability: float,
    k: float,
    count: int = PATHS,
    poisson: bool = False,
    least: float = -np.inf,
) -> tuple[np.ndarray[Any, Any], ...]:
    """Profit, final inventory and fills of `count` paths, in the paper's units."""
    moves = rng.choice([-1.0, 1.0], (count, steps)) * sigma * math.sqrt(dt)
    paths = 100.0 + np.concatenate([np.zeros((count, 1)), np.cumsum(moves, axis=1)], axis=1)
    mids = np.concatenate([paths[:, :-1].reshape(-1), paths[-1:, -1]])
    events = recording(mids, reaches(rng, count * steps, probability, k, poisson), least)
    setup = StrategySetup(strategy, cash=10**17)
    run = Backtest(
        [Recording(events)], InstrumentTable([INSTRUMENT]), [setup], VenueConfig(), FREE, 0, capacity=CAPACITY
    )
    out = run.run()
    fills = out.records[out.records["kind"] == int(Kind.FILL)]
    path = (fills["ts_venue"] - events["ts_venue"][0]) // (steps * STEP_NS)
    signed = fills["qty"] * fills["side"]
    price = (fills["price"] - BASE) / TICKS
    cash = np.bincount(path, weights=-signed * price, minlength=count)
    q = np.bincount(path, weights=signed, minlength=count)
    return cash + q * paths[:, -1], q, np.bincount(path, minlength=count)


# gamma: inventory and symmetric strategy: mean profit, its deviation, deviation of the final inventory, fills a run
EXACT = {
    0.1: ((64.89, 6.54, 2.930, 96.97), (68.22, 13.44, 8.396, 91.47)),
    0.01: ((68.40, 8.96, 5.210, 102.21), (68.66, 13.66, 8.709, 101.80)),
    1.0: ((31.45, 4.84, 1.641, 56.05), (43.68, 10.73, 5.167, 28.82)),
}


def check_avellaneda_stoikov(
    gamma: float, symmetric: bool, rounds: int, maker_of: type[PaperMaker] = PaperMaker, run: Any = outcomes
) -> None:
    sigma, k, steps, dt = 2.0, 1.5, 200, 0.005
    spread = gamma * sigma**2 * np.mean(1.0 - np.arange(steps) * dt) + 2.0 / gamma * math.log(1.0 + gamma / k)
    rng = np.random.default_rng(17)
    results = []
    for _ in range(rounds):
        maker = maker_of(
            gamma=gamma / TICKS,
            k=k / TICKS,
            sigma=sigma * TICKS,
            size=1,
            max_inventory=10_000,
            post_only=False,
            symmetric=float(spread * TICKS) if symmetric else 0.0,
        )
        results.append(run(maker, rng, sigma, dt, steps, 140.0 * dt, k))
    profit, q, fills = (np.concatenate([r[i] for r in results]) for i in range(3))
    mean, std, std_q, per_run = EXACT[gamma][int(symmetric)]
    n = len(profit)
    print(
        f"gamma {gamma}, symmetric {symmetric}, {n} paths: mean {profit.mean():.3f}, std {profit.std():.3f}, ", end=""
    )
    print(f"std q {q.std():.3f}, fills {fills.mean():.3f}")
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
        self.prepare(1)
        ctx.log(1, self.certainty_equivalent)
        for q in range(-self.limit, self.limit + 1):
            if q < self.limit:
                ctx.log(1000 + q, self.distance(q, 1, 0, self.horizon))
            if q > -self.limit:
                ctx.log(2000 + q, self.distance(q, -1, 0, self.horizon))

    def on_book(self, ctx: Any) -> None:
        return


# sigma, A, k: distances at inventories 0, 1, 5, 10 (bid, ask); Gueant, Lehalle & Fernandez-Tapia, T = 600, Q = 30
GLFT = [
    ((0.3, 0.9, 0.3), {0: (3.31305, 3.31305), 1: (3.38117, 3.24492), 5: (3.65348, 2.97252), 10: (3.99293, 2.63280)}),
    ((0.6, 0.9, 0.9), {0: (1.14447, 1.14447), 1: (1.22340, 1.06549), 5: (1.53659, 0.75110), 10: (1.91562, 0.36863)}),
    ((1.0, 0.2, 0.3), {0: (3.52565, 3.52565), 1: (4.01755, 3.03231), 5: (5.91852, 1.10024), 10: (8.02275, -1.07218)}),
]


def said(strategy: Strategy) -> dict[int, float]:
    """What a strategy logs when it starts."""
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
    return {int(code): float(value) for code, value in zip(signals["id"], signals["price"].view("<f8"), strict=True)}


@pytest.mark.parametrize(("parameters", "expected"), GLFT)
def test_glft_distances_are_the_papers(
    parameters: tuple[float, float, float], expected: dict[int, tuple[float, float]]
) -> None:
    sigma, intensity, k = parameters
    found = said(Distances(gamma=0.01, sigma=sigma, intensity=intensity, k=k, limit=30))
    assert len(found) == 121
    for q, (bid, ask) in expected.items():
        assert found[1000 + q] == pytest.approx(bid, abs=1e-4)
        assert found[2000 + q] == pytest.approx(ask, abs=1e-4)
    for q in range(-29, 30):
        assert found[2000 + q] == pytest.approx(found[1000 - q], abs=1e-9)


# exact certainty equivalents of the optimal policy over 60 and 600 seconds, (1/k) ln v_0(0)
CERTAINTY = [(129.7925, 1290.6251), (42.7529, 424.0756), (27.9064, 270.0059)]


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("horizon", [60.0, 600.0])
def test_glft_solves_to_a_horizon(number: int, horizon: float) -> None:
    (sigma, intensity, k), expected = GLFT[number]
    found = said(Distances(gamma=0.01, sigma=sigma, intensity=intensity, k=k, limit=30, horizon=horizon))
    assert found[1] == pytest.approx(CERTAINTY[number][horizon > 60.0], abs=1e-4)
    if horizon > 60.0:
        for q, (bid, ask) in expected.items():
            assert found[1000 + q] == pytest.approx(bid, abs=1e-4)
            assert found[2000 + q] == pytest.approx(ask, abs=1e-4)


class PaperLimits(GueantLehalleFernandezTapia):
    """The shipped strategy on consecutive paths, each flat at its full horizon."""

    steps: int = 6_000
    step: int = 0
    flat_at: int = 0

    def inventory(self, ctx: Any) -> float:
        return float(ctx.position() - self.flat_at)

    def time_left(self, ctx: Any) -> float:
        return self.horizon * (1.0 - (self.step % self.steps) / self.steps)

    def on_book(self, ctx: Any) -> None:
        self.go_on(ctx, ctx.mid())

    def go_on(self, ctx: Any, mid: float) -> None:
        if self.step % self.steps == 0:
            self.flat_at = ctx.position()
        self.requote(ctx, mid)
        self.step += 1


# 2e5 paths with steps of 0.01: certainty equivalent and its error; mean, deviation, deviation of the inventory, fills
SIMULATED = {0: (129.62, 0.05, 132.19, 22.85, 5.77, 40.2), 2: (27.92, 0.04, 29.26, 16.56, 2.43, 8.7)}


def check_certainty_equivalent(
    number: int, rounds: int, maker_of: type[PaperLimits] = PaperLimits, run: Any = outcomes
) -> None:
    (sigma, intensity, k), _ = GLFT[number]
    gamma, horizon, steps = 0.01, 60.0, 6_000
    dt = horizon / steps
    rng = np.random.default_rng(29)
    results = []
    for _ in range(rounds):
        maker = maker_of(
            gamma=gamma / TICKS,
            k=k / TICKS,
            sigma=sigma * TICKS,
            intensity=intensity,
            horizon=horizon,
            limit=30,
            size=1,
            post_only=False,
        )
        # no inventory that is reached is quoted 8 ticks beyond the mid
        results.append(run(maker, rng, sigma, dt, steps, intensity * dt, k, 100, True, -8.0))
    profit, q, fills = (np.concatenate([r[i] for r in results]) for i in range(3))
    n = len(profit)
    utility = np.exp(-gamma * profit)
    equivalent = -math.log(utility.mean()) / gamma
    error = utility.std() / utility.mean() / math.sqrt(n) / gamma
    print(f"set {number}, {n} paths: {equivalent:.3f} +- {error:.3f}, mean {profit.mean():.3f}, ", end="")
    print(f"std {profit.std():.3f}, std q {q.std():.3f}, fills {fills.mean():.3f}")
    assert equivalent < CERTAINTY[number][0] + 4.0 * error  # nothing is above the optimum
    assert abs(q).max() <= 30
    if number not in SIMULATED:
        # a step in which two fills of a side would fall into one loses about half of its fill probability
        assert abs(equivalent - CERTAINTY[number][0]) < 4.0 * error + 0.2
        return
    expected, its_error, mean, std, std_q, per_run = SIMULATED[number]
    loose = max(0.03, 2.0 * math.sqrt(2.0 / n) * 1.5)
    assert abs(equivalent - expected) < 4.0 * math.hypot(error, its_error)
    assert abs(profit.mean() - mean) < 4.0 * std / math.sqrt(n) + 0.01
    assert abs(profit.std() / std - 1.0) < loose
    assert abs(q.std() / std_q - 1.0) < loose
    assert abs(fills.mean() - per_run) < 4.0 * fills.std() / math.sqrt(n) + 0.05


def test_glft_earns_the_certainty_equivalent() -> None:
    check_certainty_equivalent(0, 4)


@pytest.mark.nightly
@pytest.mark.parametrize("number", range(3))
def test_glft_earns_the_certainty_equivalent_over_many_paths(number: int) -> None:
    check_certainty_equivalent(number, 60)
