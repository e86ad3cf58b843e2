"""An hour of live trading a seed under drawn faults: the invariants hold after every event, and all settles at the end.

A seed that fails is played alone by `python -m tools.simulate_live --seed N`.
"""

from __future__ import annotations

import pytest

from nanotick.venues.faulty import Faults
from tests.venues.coin_simulation import BinanceSimulation, CoinbaseSimulation, KrakenSimulation
from tests.venues.served_simulation import ServedSimulation
from tests.venues.simulation import LiveSimulation

EACH, NIGHTLY, COINS_NIGHTLY = 10, 10_000, 500
COINS = {"binance": BinanceSimulation, "coinbase": CoinbaseSimulation, "kraken": KrakenSimulation}
VENUES = {"small": LiveSimulation, "alpaca": ServedSimulation, **COINS}


def play(seed: int, venue: str = "small", hours: float = 1.0) -> dict:
    try:
        found = VENUES[venue](seed, hours=hours).run()
    except Exception as error:
        alone = f"python -m tools.simulate_live --venue {venue} --seed {seed} --hours {hours}"
        raise AssertionError(f"seed {seed}: {error}\nalone: {alone}") from error
    assert found["events"] >= 2_000 and found["orders"] > 50 * hours
    return found


@pytest.mark.parametrize("first", range(0, 170, EACH))
def test_an_hour_under_faults_keeps_the_invariants_and_settles(first):
    found = [play(seed) for seed in range(first, first + EACH)]
    assert sum(bool(run["mischief"]) for run in found) > EACH // 2
    assert sum(run["fills"] for run in found) > 50 * EACH


@pytest.mark.parametrize("first", range(0, 30, EACH))
def test_an_hour_at_the_served_alpaca_keeps_the_invariants_and_settles(first):
    found = [play(seed, "alpaca") for seed in range(first, first + EACH)]
    assert sum(run["fills"] for run in found) > 30 * EACH


@pytest.mark.parametrize("venue", COINS)
@pytest.mark.parametrize("first", range(0, 8, 4))
def test_a_while_at_a_served_venue_for_coins_keeps_the_invariants_and_settles(first, venue):
    found = [play(seed, venue, 0.25) for seed in range(first, first + 4)]
    assert sum(run["fills"] for run in found) > 40


@pytest.mark.parametrize("venue", COINS)
def test_a_process_that_is_killed_often_goes_on_at_a_venue_for_coins(venue):
    found = COINS[venue](1, Faults(crashes=60.0, cuts=30.0), hours=0.2).run()
    assert found["crashes"] > 5 and found["fills"] > 5


@pytest.mark.nightly
@pytest.mark.parametrize("venue", COINS)
@pytest.mark.parametrize("first", range(200, 200 + COINS_NIGHTLY, 50))
def test_many_more_hours_at_the_venues_for_coins(first, venue):
    for seed in range(first, first + 50):
        play(seed, venue, 0.5)


@pytest.mark.nightly
@pytest.mark.parametrize("venue", ["small", "alpaca"])
@pytest.mark.parametrize("first", range(200, 200 + NIGHTLY // 2, 100))
def test_many_more_hours_under_faults(first, venue):
    for seed in range(first, first + 100):
        play(seed, venue)


def test_a_seed_gives_the_same_run_and_another_a_different_one():
    one, other = LiveSimulation(11, hours=0.3).run(), LiveSimulation(11, hours=0.3).run()
    assert one == other
    assert LiveSimulation(12, hours=0.3).run()["digest"] != one["digest"]


@pytest.mark.parametrize("kind", ["crashes", "disk", "clock_steps", "venue_crashes", "half_open", "swizzles"])
def test_a_fault_that_strikes_often_is_survived(kind):
    found = LiveSimulation(1, Faults(**{kind: 60.0}), hours=0.5).run()
    assert found["mischief"][kind] > 10
    assert found["crashes"] > 5 or kind not in ("crashes", "disk")


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(0, 1_000, 50))
def test_swizzled_and_clogged_links(first):
    for seed in range(first, first + 50):
        assert LiveSimulation(seed, Faults(swizzles=30.0, clogs=30.0), hours=0.5).run()["settled_s"] <= 30
