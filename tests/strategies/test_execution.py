"""The execution strategies: schedules against their formulas, parents against a market that does not react."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanotick.core.instruments import Instrument
from nanotick.exchange.config import Impact, VenueConfig
from nanotick.strategies import built_in
from nanotick.strategies.implementation_shortfall import (
    ImplementationShortfall,
    cost_variance,
    expected_cost,
    trajectory,
)
from nanotick.strategies.vwap import VolumeWeightedAveragePrice
from tests.strategies.markets import SECOND, START, fills, net, quote, run, trade

PAPER = {"sigma": 0.95, "eta": 2.5e-6, "gamma": 2.5e-7}
# Almgren & Chriss 2000: lambda -> shares left after days 1 to 4, expected cost, variance
TABLE = {
    2e-6: ((428_599, 182_933, 76_296, 27_643), 1_140_715, 2.0193e11),
    1e-6: ((541_956, 289_854, 147_897, 62_142), 911_227, 3.6413e11),
    1e-7: ((757_882, 544_564, 351_940, 172_689), 670_057, 9.2472e11),
    0.0: ((800_000, 600_000, 400_000, 200_000), 662_500, 1.0830e12),
    -2e-7: ((910_056, 750_949, 534_769, 277_946), 717_958, 1.5842e12),
}


def calm(seconds: int, bid: int = 10_000, ask: int = 10_002, qty: int = 5_000) -> list[tuple[int, ...]]:
    """A market that stands still, told ten times a second."""
    return [quote(n * SECOND // 10, bid, qty, ask, qty) for n in range(10 * seconds)]


@pytest.mark.parametrize("dislike", TABLE)
def test_trajectories_and_costs_are_the_papers(dislike: float) -> None:
    left, cost, variance = TABLE[dislike]
    found = trajectory(1e6, 5.0, 5, dislike, **PAPER)
    assert [round(x) for x in found] == pytest.approx([1_000_000, *left, 0], abs=1)
    assert expected_cost(found, 5.0, 0.0625, PAPER["eta"], PAPER["gamma"]) == pytest.approx(cost, abs=0.6)
    assert cost_variance(found, 5.0, PAPER["sigma"]) == pytest.approx(variance, rel=5e-5)


def test_all_at_once_costs_what_the_paper_says() -> None:
    assert expected_cost([1e6, 0, 0, 0, 0, 0], 5.0, 0.0625, PAPER["eta"], PAPER["gamma"]) == pytest.approx(2_562_500)


@pytest.mark.parametrize("dislike", TABLE)
def test_the_shipped_strategy_pays_the_papers_cost_under_linear_impact(dislike: float) -> None:
    # the paper's market: 50 dollars, half a spread of 1/16, a million shares shown, so that a child of n shares is
    # n / 1e6 of it: eta / tau = 2.5 dollars and gamma = 0.25 dollars at a million
    day = 10 * SECOND
    stock = Instrument("ACX", "SIM", price_decimals=6, qty_decimals=0, tick_size="0.000001", lot_size="1")
    mid, half = 50_000_000, 62_500
    rows = [quote(n * SECOND // 10, mid - half, 1_000_000, mid + half, 1_000_000) for n in range(505)]
    order = ImplementationShortfall(
        side=-1, quantity=1_000_000, duration=5 * day, slices=5, patience=0.0, day=10.0, slip=5_000_000,
        risk_aversion=dislike, **PAPER
    )  # fmt: skip
    impact = Impact("linear", temporary=2_500_000, permanent=250_000, rounding="nearest")
    out = run(rows, order, [stock], VenueConfig(impact=impact, depletion=False))
    sold = fills(out)
    assert net(sold) == -1_000_000
    spent = 1_000_000 * 50.0 - float((sold["qty"] * sold["price"]).sum()) / 1e6
    left, cost, variance = TABLE[dislike]
    assert spent == pytest.approx(cost, rel=1e-5)
    days = (sold["ts_venue"] - sold["ts_venue"][0]) // day
    held = 1_000_000 - np.cumsum(np.bincount(days.astype(np.int64), weights=sold["qty"], minlength=5))
    assert held[:4] == pytest.approx(left, abs=1)
    assert cost_variance([1e6, *held], 5.0, PAPER["sigma"]) == pytest.approx(variance, rel=5e-5)


def test_twap_follows_the_clock() -> None:
    out = run(calm(110), built_in("twap")(quantity=1_000, duration=100 * SECOND, slices=10, patience=0.5))
    rows = fills(out)
    assert net(rows) == 1_000
    # nothing trades at the bid of a market that stands still, so each slice crosses at half its time
    at = (rows["ts_venue"] - START) / SECOND
    assert np.all(np.abs(at - (5.0 + 10.0 * np.arange(10))) < 0.5)
    assert set(rows["price"]) == {10_002}


def test_twap_waits_at_the_near_touch_and_is_filled_there() -> None:
    rows = calm(110)
    rows += [trade(n * SECOND + 55_000_000, 10_000, 10_000, -1) for n in range(2, 110, 10)]
    out = run(rows, built_in("twap")(quantity=1_000, duration=100 * SECOND, slices=10, patience=0.5))
    assert net(fills(out)) == 1_000
    assert set(fills(out)["price"]) == {10_000}


def test_a_randomised_twap_differs_by_seed_and_is_done_in_time() -> None:
    order = {"quantity": 1_000, "duration": 100 * SECOND, "slices": 10, "randomness": 0.5, "patience": 0.2}
    outs = [run(calm(110), built_in("twap")(**order), seed=seed) for seed in (1, 1, 2)]
    assert all(net(fills(out)) == 1_000 for out in outs)
    quantities = [fills(out)["qty"].tolist() for out in outs]
    assert quantities[0] == quantities[1] != quantities[2]


def test_vwap_follows_the_u_shape() -> None:
    out = run(calm(110), built_in("vwap")(quantity=100_000, duration=100 * SECOND, slices=20, patience=0.0, u=0.6))
    rows = fills(out)
    x = np.arange(1, 21) / 20
    by = x + 0.3 * ((2 * x - 1) ** 3 + 1 - 2 * x)
    done = np.cumsum(rows["qty"])
    assert done[-1] == 100_000
    slices = ((rows["ts_venue"] - START) // (5 * SECOND)).astype(int)
    reached = [int(rows["qty"][slices <= n].sum()) for n in range(20)]
    assert reached == pytest.approx(100_000 * by, abs=2)


def test_vwap_follows_a_curve_of_ones_own() -> None:
    curve = np.zeros(48)
    curve[:12] = 3.0
    curve[36:] = 1.0
    order = built_in("vwap")(quantity=4_000, duration=96 * SECOND, slices=48, patience=0.0, curve=curve)
    rows = fills(run(calm(110), order))
    at = (rows["ts_venue"] - START) / SECOND
    assert int(rows["qty"][at < 24].sum()) == pytest.approx(3_000, abs=1)
    assert not np.any((at > 26) & (at < 70))
    assert net(rows) == 4_000


@settings(max_examples=200, deadline=None)
@given(u=st.floats(0, 1), a=st.floats(0, 0.9), width=st.floats(0.05, 1), n=st.integers(1, 50))
def test_vwap_never_runs_backwards(u: float, a: float, width: float, n: int) -> None:
    order: Any = SimpleNamespace(quantity=1_000, u=u, session_from=a, session_to=min(1.0, a + width), total=0.0)
    order.by = lambda x: VolumeWeightedAveragePrice.by(order, x)
    due = [VolumeWeightedAveragePrice.due(order, None, i / n) for i in range(n + 1)]
    assert due[0] == pytest.approx(0, abs=1e-6)
    assert due[-1] == pytest.approx(1_000)
    assert all(later >= earlier - 1e-9 for earlier, later in itertools.pairwise(due))


@settings(max_examples=200, deadline=None)
@given(dislike=st.floats(-1e-7, 1e-3), periods=st.integers(1, 100))
def test_optimal_trajectories_beat_the_straight_line(dislike: float, periods: int) -> None:
    best = trajectory(1e6, 5.0, periods, dislike, **PAPER)
    line = [1e6 * (1 - j / periods) for j in range(periods + 1)]

    def utility(left: list[float]) -> float:
        return expected_cost(left, 5.0, 0.0625, PAPER["eta"], PAPER["gamma"]) + dislike * cost_variance(left, 5.0, 0.95)

    assert utility(best) <= utility(line) * (1 + 1e-12)
    assert best[0] == pytest.approx(1e6)
    assert math.isclose(best[-1], 0.0, abs_tol=1e-9)


@pytest.mark.parametrize("own_in_tape", [True, False])
def test_pov_takes_its_share(own_in_tape: bool) -> None:
    rows = calm(60)
    rows += [trade(n * SECOND // 2 + 1_000_000, 10_001, 400, 1) for n in range(110)]
    order = built_in("pov")(quantity=100_000, duration=50 * SECOND, rate=0.1, tolerance=0.0, own_in_tape=own_in_tape)
    done = net(fills(run(rows, order)))
    volume = 400 * 100
    expected = 0.1 * volume if own_in_tape else volume * 0.1 / 0.9
    assert done == pytest.approx(expected, rel=0.03)


def test_the_sniper_shoots_only_at_cheap_size() -> None:
    rows: list[tuple[int, ...]] = []
    for n in range(300):
        tight = n % 50 == 25
        rows.append(quote(n * SECOND // 10, 10_000, 900, 10_001 if tight else 10_004, 300 if tight else 900))
    order = built_in("sniper")(quantity=1_000, duration=25 * SECOND, within=1, least=100, complete=False)
    found = fills(run(rows, order))
    assert set(found["price"]) == {10_001}
    assert found["qty"].tolist() == [300, 300, 300, 100]


def test_the_iceberg_shows_a_part_and_never_more() -> None:
    rows = calm(60, qty=100)
    rows += [trade(n * SECOND // 2 + 1_000_000, 10_000, 300, -1) for n in range(2, 110)]
    out = run(rows, built_in("iceberg")(quantity=3_000, display=200, randomness=0.3, duration=50 * SECOND))
    found = fills(out)
    assert net(found) == 3_000
    commands = out.records[out.records["kind"] == 128]
    assert int(commands["qty"].max()) <= 260
    assert set(found["price"]) == {10_000}


@pytest.mark.parametrize("name", ["twap", "vwap", "pov", "implementation-shortfall", "sniper", "iceberg"])
def test_no_parent_is_ever_overfilled_or_paid_beyond_its_limit(name: str) -> None:
    rng = np.random.default_rng(7)
    rows: list[tuple[int, ...]] = []
    bid = 10_000
    for n in range(1_200):
        bid += int(rng.integers(-1, 2))
        rows.append(quote(n * SECOND // 20, bid, int(rng.integers(1, 400)), bid + int(rng.integers(1, 4)),
                          int(rng.integers(1, 400))))  # fmt: skip
        if n % 3 == 0:
            side = int(rng.choice([-1, 1]))
            rows.append(trade(n * SECOND // 20 + 1, bid if side < 0 else bid + 2, int(rng.integers(1, 300)), side))
    latency: dict[str, Any] = {"entry_latency": 30_000_000, "response_latency": 40_000_000}
    order = built_in(name)(quantity=2_000, duration=45 * SECOND, limit_price=10_003)
    found = fills(run(rows, order, venue=VenueConfig(**latency)))
    assert 0 < net(found) <= 2_000
    assert int(found["price"].max()) <= 10_003
