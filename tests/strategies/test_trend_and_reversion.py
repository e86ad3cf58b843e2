"""Momentum, mean reversion and imbalance, in markets made so that the edge is there, or is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nanotick as nt
from nanotick.exchange.config import VenueConfig
from nanotick.strategies import built_in
from tests.strategies.markets import SECOND, SHARE, START, fills, net, quote, run, trade

LATENCY = VenueConfig(entry_latency=1_000_000, response_latency=1_000_000)
STEP = SECOND // 4


def worth(out: Any, last: int, instrument: int = 0) -> float:
    """Cash of the fills and what is held at `last`, in price units times quantity."""
    rows = fills(out, instrument)
    return float(net(rows) * last - (rows["qty"] * rows["side"] * rows["price"]).sum())


def largest(out: Any, instrument: int = 0) -> int:
    """Largest absolute position on the way."""
    rows = fills(out, instrument)
    return int(np.abs(np.cumsum(rows["qty"] * rows["side"])).max(initial=0))


def quotes(mids: Any, every: int = STEP, instrument: int = 0) -> list[tuple[int, ...]]:
    """A quote a step, two ticks wide, around a path."""
    return [
        quote(n * every, round(m) - 1, 500, round(m) + 1, 500, instrument)
        for n, m in enumerate(np.asarray(mids).tolist())
    ]


# --- mean reversion ---------------------------------------------------------------------------------------------------


def pulled(seed: int, pull: float, noise: float, steps: int = 4_000) -> Any:
    """A path around 10,000 that loses the share `pull` of its distance from there a step; 0 is a random walk."""
    shocks = np.random.default_rng(seed).normal(0.0, noise, steps)
    x = np.zeros(steps)
    for n in range(1, steps):
        x[n] = (1.0 - pull) * x[n - 1] + shocks[n]
    return 10_000.0 + x


def test_a_price_that_reverts_earns_and_positions_keep_to_the_limit() -> None:
    earned = []
    for seed in range(3):
        path = pulled(seed, 0.1, 4.0)
        out = run(quotes(path), built_in("mean-reversion")(window=200, limit=3), venue=LATENCY)
        assert len(fills(out)) > 50
        assert 100 < largest(out) <= 300
        earned.append(worth(out, round(path[-1])))
    assert min(earned) > 0.0


def test_a_random_walk_is_left_alone() -> None:
    asked, unasked = 0, 0
    for seed in range(3):
        rows = quotes(pulled(seed, 0.0, 4.0))
        asked += len(fills(run(rows, built_in("mean-reversion")(window=400))))
        unasked += len(fills(run(rows, built_in("mean-reversion")(window=400, reversion=0.0))))
    assert unasked > 30
    assert asked < 0.1 * unasked


def test_no_trade_where_the_spread_eats_the_way_back() -> None:
    rows = quotes(pulled(1, 0.1, 4.0))
    wide = [quote(r[1], r[2] - 60, r[3], r[4] + 60, r[5]) for r in rows]
    assert len(fills(run(wide, built_in("mean-reversion")(window=200)))) == 0


@pytest.mark.parametrize("direction", [1, -1])
def test_what_goes_on_falling_is_given_up_at_the_stop(direction: int) -> None:
    path = 10_000.0 + direction * (pulled(3, 0.1, 4.0, 1_000) - 10_000.0)
    fall = np.concatenate([path[:600], 10_000.0 - direction * np.minimum(2.0 * np.arange(400), 120.0)])
    strategy = built_in("mean-reversion")(window=400, stop=2.0, entry=2.0, limit=1, hold=10_000 * SECOND, reversion=0.0)
    rows = fills(run(quotes(fall), strategy))
    falling = rows[rows["ts_venue"] >= START + 600 * STEP]
    assert [int(s) for s in falling["side"]] == [direction, -direction]  # in once, out once, not in again
    deviation = path[200:600].std()
    lost = direction * (falling["price"][0] - falling["price"][1])
    assert 2.0 * deviation < lost < 3.2 * deviation


def test_what_does_not_come_back_is_given_up_in_time() -> None:
    path = np.concatenate([pulled(3, 0.1, 4.0, 600), np.full(300, 10_030.0)])
    order = {"window": 400, "limit": 1, "stop": 50.0, "reversion": 0.0}
    rows = fills(run(quotes(path), built_in("mean-reversion")(hold=5 * SECOND, **order)))
    after = rows[rows["ts_venue"] >= START + 600 * STEP]
    assert [int(s) for s in after["side"]] == [-1, 1]
    assert 5 * SECOND < int(after["ts_venue"][1] - after["ts_venue"][0]) < 6 * SECOND
    patient = fills(run(quotes(path), built_in("mean-reversion")(hold=10_000 * SECOND, **order)))
    assert len(patient) == len(rows) - 1


def test_entries_widen_with_volatility() -> None:
    """A deviation of ten ticks is an entry in a calm market, and none in one four times as wild."""
    opened = []
    for noise in (2.0, 8.0):
        path = np.concatenate([pulled(4, 0.2, noise, 500)[:500], np.full(4, 10_012.0)])
        rows = fills(run(quotes(path), built_in("mean-reversion")(window=400)))
        opened.append(int((rows["ts_venue"] >= START + 500 * STEP).sum()))
    assert opened == [1, 0]


def test_each_instrument_has_its_own_mean() -> None:
    calm, wild = pulled(0, 0.1, 4.0, 2_000), pulled(1, 0.1, 6.0, 2_000) + 5_000.0
    rows = quotes(calm) + [quote(r[1] + 1_000, r[2], r[3], r[4], r[5], 1) for r in quotes(wild)]
    other = type(SHARE)("BBB", "SIM", price_decimals=2, qty_decimals=0, tick_size="0.01", lot_size="1")
    both = run(rows, built_in("mean-reversion")(window=200), [SHARE, other])
    alone = run(quotes(calm), built_in("mean-reversion")(window=200))
    assert len(fills(both, 1)) > 20
    for name in ("ts_venue", "price", "qty", "side"):
        assert fills(both, 0)[name].tolist() == fills(alone)[name].tolist()


# --- momentum ---------------------------------------------------------------------------------------------------------

QUICK = {"fast": 2.0, "slow": 10.0, "window": 20, "entry": 1.0}


def market(path: Any, volumes: Any) -> list[tuple[int, ...]]:
    """A quote a second around a path and so much volume half a second before it."""
    prints = [
        trade(n * SECOND + SECOND // 2, round(m), int(v), 1)
        for n, (m, v) in enumerate(zip(np.asarray(path).tolist(), np.asarray(volumes).tolist(), strict=True))
        if v > 0
    ]
    return quotes(path, SECOND) + prints


def trending(seed: int, drift: float, legs: int = 8) -> tuple[Any, Any]:
    """Flat and driving stretches in turns, up and down at random; volume is threefold where the price drives."""
    rng = np.random.default_rng(seed)
    moves, volumes = [], []
    for _ in range(legs):
        moves += [rng.normal(0.0, 0.7, 60), rng.choice([-1.0, 1.0]) * drift + rng.normal(0.0, 0.7, 60)]
        volumes += [rng.integers(80, 120, 60), rng.integers(240, 360, 60)]
    return 10_000.0 + np.cumsum(np.concatenate(moves)), np.concatenate(volumes)


@pytest.mark.parametrize("more", [{}, {"stop_atr": 6.0}, {"rsi": 10.0}, {"macd": True}])
def test_breakouts_that_go_on_earn(more: dict[str, Any]) -> None:
    earned = []
    for seed in range(3):
        path, volumes = trending(seed, 1.5)
        out = run(market(path, volumes), built_in("momentum")(**QUICK, **more), venue=LATENCY)
        assert len(fills(out)) >= 8
        earned.append(worth(out, round(path[-1])))
    assert min(earned) > 0.0


def test_noise_around_a_price_opens_nothing() -> None:
    rng = np.random.default_rng(0)
    path = 10_000.0 + rng.normal(0.0, 1.5, 900)
    assert len(fills(run(market(path, rng.integers(80, 120, 900)), built_in("momentum")(**QUICK)))) == 0


@pytest.mark.parametrize("direction", [1, -1])
def test_a_breakout_needs_volume_and_is_left_by_the_trailing_stop(direction: int) -> None:
    steps = np.concatenate([np.tile([0.0, 1.0], 30), 2.0 * np.arange(1, 31), 60.0 - 3.0 * np.arange(1, 11)])
    path = 10_000.0 + direction * steps
    quiet = np.full(len(path), 100)
    surge = np.where((np.arange(len(path)) >= 59) & (np.arange(len(path)) < 70), 400, 100)
    assert len(fills(run(market(path, quiet), built_in("momentum")(**QUICK)))) == 0
    order = {**QUICK, "stop": 7.0}
    rows = fills(run(market(path, surge), built_in("momentum")(**order)))
    assert [int(s) for s in rows["side"]] == [direction, -direction]
    top = START + 89 * SECOND
    assert (
        rows["ts_venue"][0] < top < rows["ts_venue"][1] <= top + 4 * SECOND
    )  # three ticks a second: the third is beyond


def test_a_stop_in_true_ranges_widens_with_them() -> None:
    """The same fall of seven ticks ends a position in a calm market and not where samples move four ticks."""
    ends = []
    for swing in (0.0, 3.0):
        rise = 2.0 * np.arange(1, 31) + np.where(np.arange(30) % 2 == 0, swing, 0.0)
        path = 10_000.0 + np.concatenate([np.tile([0.0, 1.0], 30), rise, np.full(20, rise.max() - 7.0)])
        surge = np.where((np.arange(len(path)) >= 59) & (np.arange(len(path)) < 70), 400, 100)
        rows = fills(run(market(path, surge), built_in("momentum")(**QUICK, stop_atr=3.0, size=10)))
        assert int(rows["side"][0]) == 1
        ends.append(bool((rows["ts_venue"][1:] < START + 93 * SECOND).any()))
    assert ends == [True, False]


def test_filters_refuse_what_does_not_agree() -> None:
    refused = 0
    for seed in range(4):
        path, volumes = trending(seed, 0.6)
        rows = market(path, volumes)
        mids = np.array([(r[2] + r[4]) / 2.0 for r in rows if len(r) and r[4] > 0])
        histogram, strength = nt.MACD().run(mids, output="histogram"), nt.RSI(14).run(mids)

        def entries(rows: Any = rows, **filters: Any) -> tuple[Any, Any]:
            """Samples at which a position was opened, and its side."""
            taken = fills(run(rows, built_in("momentum")(**QUICK, **filters)))
            opening = np.concatenate([[0], np.cumsum(taken["qty"] * taken["side"])[:-1]]) == 0
            return (taken["ts_venue"][opening] - START) // SECOND, taken["side"][opening].astype(int)

        at, side = entries()
        falling = (side * histogram[at] <= 0.0).any()
        weak = (side * (strength[at] - 50.0) < 30.0).any()
        refused += int(falling) + int(weak)
        at, side = entries(macd=True)
        assert (side * histogram[at] > 0.0).all()
        at, side = entries(rsi=30.0)
        assert (side * (strength[at] - 50.0) >= 29.0).all()
    assert refused >= 4


# --- imbalance --------------------------------------------------------------------------------------------------------


def leaning(seed: int, minutes: int = 20) -> list[tuple[int, ...]]:
    """A book that stands heavy on a side by habit, which tells nothing, and moves the way in which its best sizes grow.

    The habit is drawn anew every ten seconds. Every two seconds one of the sides, either with equal chance, grows for
    ten updates, and then the price goes two ticks that way.
    """
    rng = np.random.default_rng(seed)
    rows, mid, now = [], 10_000, 0
    heavy = 1
    for n in range(minutes * 30):
        if n % 5 == 0:
            heavy = int(rng.choice([-1, 1]))
        push = int(rng.choice([-1, 1]))
        size = {heavy: 2_000, -heavy: 200}
        for k in range(20):
            now += SECOND // 10
            if k >= 10:
                size[push] += 20
                size[-push] -= 5
            rows.append(quote(now, mid, size[1], mid + 1, size[-1]))
        mid += 2 * push
    return rows


def test_flow_tells_a_book_that_leans_from_one_that_pushes() -> None:
    order = {"threshold": 0.6, "levels": 1, "hold": 2 * SECOND, "exit": 2.0, "cooldown": SECOND, "size": 10}
    for seed in range(2):
        rows = leaning(seed)
        plain = run(rows, built_in("imbalance")(**order))
        asked = run(rows, built_in("imbalance")(**order, flow=4))
        mids = np.array([(r[2] + r[4]) / 2.0 for r in rows])

        def per_entry(out: Any, mids: Any = mids) -> float:
            """Mean move of the mid in the second after an entry, in its direction."""
            taken = fills(out)
            before = np.concatenate([[0], np.cumsum(taken["qty"] * taken["side"])[:-1]])
            entries = taken[before == 0]
            at = (entries["ts_venue"] - START) // (SECOND // 10) - 1
            later = np.minimum(at + 10, len(mids) - 1)
            assert len(entries) > 30
            return float(((mids[later] - mids[at]) * entries["side"]).mean())

        assert per_entry(asked) > per_entry(plain) + 0.3
