"""The bootstrap keeps what it must keep, and its block length follows the series' memory."""

import math

import numpy as np
import pytest

from nanotick.research.bootstrap import QUANTILES, bootstrap, optimal_block_length, stationary_indices


def autoregression(rho, count, seed):
    noise = np.random.default_rng(seed).normal(0, 1, count)
    values = np.empty(count)
    values[0] = noise[0]
    for i in range(1, count):
        values[i] = rho * values[i - 1] + noise[i]
    return values


@pytest.mark.parametrize("rho", [0.3, 0.6, 0.8])
def test_block_length_is_that_of_theory_for_an_autoregression(rho):
    # Politis and White (2004): (2 rho / (1 - rho^2))^(2/3) n^(1/3) for the stationary bootstrap
    count = 20_000
    theory = (2 * rho / (1 - rho**2)) ** (2 / 3) * count ** (1 / 3)
    found = np.mean([optimal_block_length(autoregression(rho, count, seed)) for seed in range(8)])
    assert found == pytest.approx(theory, rel=0.2)


def test_white_noise_needs_no_blocks():
    lengths = [optimal_block_length(np.random.default_rng(s).normal(0, 1, 2_000)) for s in range(20)]
    assert np.median(lengths) < 4
    assert optimal_block_length(np.zeros(50)) == optimal_block_length(np.ones(3)) == 1.0


def test_blocks_are_as_long_as_asked_and_go_on_where_they_are():
    places = stationary_indices(np.random.default_rng(1), 500, 400, 1_000, 8.0)
    assert places.min() >= 0 and places.max() < 500
    goes_on = (np.diff(places, axis=1) % 500) == 1
    # a fresh start lands on the next place by chance once in 500
    assert goes_on.mean() == pytest.approx(1 - 1 / 8 + 1 / 8 / 500, abs=0.002)
    assert np.bincount(places.ravel(), minlength=500).std() / 800 < 0.2  # every place alike


def test_profit_has_the_mean_and_the_deviation_of_the_series():
    changes = np.random.default_rng(2).normal(0.5, 3.0, 400)
    found = bootstrap(changes, 1_000.0, paths=20_000, mean_block=1.0, seed=3)
    assert found.profit.mean == pytest.approx(changes.sum(), abs=3 * 3 * 20 / math.sqrt(20_000) * 1.2)
    assert found.profit.deviation == pytest.approx(changes.std() * 20, rel=0.03)
    assert found.observed[-1] == pytest.approx(changes.sum())
    assert found.fan.shape == (len(QUANTILES), len(found.steps))
    assert (np.diff(found.fan, axis=0) >= 0).all()
    np.testing.assert_allclose(found.fan[:, -1], [found.profit.quantile(q) for q in QUANTILES], rtol=1e-5)


def test_long_blocks_keep_the_risk_that_single_draws_lose():
    values = autoregression(0.9, 4_000, 4)
    values -= values.mean()
    alone = bootstrap(values, 1.0, 4_000, mean_block=1.0).profit.deviation
    blocks = bootstrap(values, 1.0, 4_000).profit.deviation
    # the sum of an AR(1) series deviates by 1 / (1 - rho) of its noise; drawn singly by its own deviation
    truth = math.sqrt(4_000) / (1 - 0.9)
    assert alone < 0.4 * truth
    assert 0.6 * truth < blocks < 1.2 * truth


def test_ruin_of_a_random_walk_is_what_the_reflection_principle_says():
    changes = np.random.default_rng(5).choice([-1.0, 1.0], 2_000)
    changes -= changes.mean()
    found = bootstrap(changes, 100.0, 20_000, mean_block=1.0, ruin_shares=(0.3, 0.6), seed=6)
    for ruin in found.ruin:
        # P(min of a Brownian path <= -a) = 2 P(end <= -a)
        expected = math.erfc(ruin.share * 100 / math.sqrt(2_000) / math.sqrt(2))
        assert ruin.probability == pytest.approx(expected, abs=0.025)
        assert ruin.error == pytest.approx(math.sqrt(ruin.probability * (1 - ruin.probability) / 20_000))


def test_the_same_seed_gives_the_same_paths_and_another_one_others():
    changes = np.random.default_rng(7).normal(0, 1, 100)
    one, two = (bootstrap(changes, 10.0, 500, seed=8) for _ in range(2))
    other = bootstrap(changes, 10.0, 500, seed=9)
    np.testing.assert_array_equal(one.profit.values, two.profit.values)
    assert not np.array_equal(one.profit.values, other.profit.values)


def test_there_must_be_something_to_draw_from():
    with pytest.raises(ValueError, match="found 1"):
        bootstrap(np.array([1.0]), 10.0)
    with pytest.raises(ValueError, match="block length"):
        bootstrap(np.zeros(10), 10.0, mean_block=0.5)
