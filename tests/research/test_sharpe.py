"""Published figures of the papers, and simulation: without skill the deflated ratio is modest, with skill it is not."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.research.sharpe import (
    deflated_sharpe_ratio,
    effective_trials,
    expected_maximum_sharpe,
    minimum_track_record_length,
    moments,
    probabilistic_sharpe_ratio,
)

DAILY = math.sqrt(250)


def test_the_deflated_ratio_of_the_papers_example():
    # Bailey and Lopez de Prado (2014): annual ratio 2.5 from 1,250 days, variance across trials 0.5 a year
    sharpe, variance = 2.5 / DAILY, 0.5 / 250
    assert expected_maximum_sharpe(100, variance) == pytest.approx(0.1132, abs=1e-4)
    assert deflated_sharpe_ratio(sharpe, 1250, 100, variance, -3.0, 10.0) == pytest.approx(0.9004, abs=1e-4)
    assert deflated_sharpe_ratio(sharpe, 1250, 46, variance, -3.0, 10.0) == pytest.approx(0.9505, abs=1e-4)
    assert deflated_sharpe_ratio(sharpe, 1250, 88, variance) == pytest.approx(0.9505, abs=1e-4)


def test_the_probabilistic_ratio_of_the_papers_hedge_fund():
    # Bailey and Lopez de Prado (2012), section 3.3: two years of monthly returns
    assert probabilistic_sharpe_ratio(0.458, 24) == pytest.approx(0.982, abs=5e-4)
    assert probabilistic_sharpe_ratio(0.458, 24, -2.448, 10.164) == pytest.approx(0.913, abs=5e-4)


@pytest.mark.parametrize(("per_year", "years"), [(252, 2.73), (52, 2.83), (12, 3.24)])
def test_minimum_track_record_of_the_papers_table(per_year, years):
    found = minimum_track_record_length(2 / math.sqrt(per_year), benchmark=1 / math.sqrt(per_year))
    assert found / per_year == pytest.approx(years, abs=5e-3)


@given(st.floats(0.02, 0.5), st.floats(-2, 1), st.floats(3, 12), st.floats(0.6, 0.99))
def test_the_minimum_track_record_is_where_the_probabilistic_ratio_arrives(sharpe, skewness, kurtosis, confidence):
    needed = minimum_track_record_length(sharpe, skewness, kurtosis, 0.0, confidence)
    for observations, reached in ((math.floor(needed) - 1, False), (math.ceil(needed) + 1, True)):
        if observations >= 2:
            found = probabilistic_sharpe_ratio(sharpe, observations, skewness, kurtosis)
            assert (found >= confidence) is reached


def test_moments_agree_with_their_definition():
    values = np.array([1.0, 2.0, -1.0, 4.0, 0.5, -3.0])
    found = moments(values)
    apart = values - values.mean()
    assert found.sharpe == pytest.approx(values.mean() / values.std(ddof=1))
    assert found.skewness == pytest.approx((apart**3).mean() / (apart**2).mean() ** 1.5)
    assert found.kurtosis == pytest.approx((apart**4).mean() / (apart**2).mean() ** 2)
    assert math.isnan(moments(np.full(5, 2.0)).sharpe)
    assert math.isnan(moments(np.array([1.0])).sharpe)


def test_a_track_record_below_the_benchmark_is_never_long_enough():
    assert minimum_track_record_length(0.01, benchmark=0.02) == math.inf
    assert math.isnan(minimum_track_record_length(math.nan))
    assert math.isnan(probabilistic_sharpe_ratio(0.1, 1))
    assert expected_maximum_sharpe(1, 0.3) == 0.0


def test_the_expected_maximum_is_that_of_simulated_trials_without_skill():
    rng = np.random.default_rng(5)
    for trials in (10, 100, 1_000):
        best = rng.normal(0.0, 0.2, (2_000, trials)).max(axis=1)
        assert expected_maximum_sharpe(trials, 0.04) == pytest.approx(best.mean(), rel=0.03)


def test_without_skill_the_best_of_many_is_rarely_called_good():
    rng = np.random.default_rng(6)
    called, naive = 0, 0
    for _ in range(200):
        returns = rng.normal(0, 1, (500, 50))
        ratios = returns.mean(axis=0) / returns.std(axis=0, ddof=1)
        chosen = moments(returns[:, ratios.argmax()])
        shape = (chosen.skewness, chosen.kurtosis)
        deflated = deflated_sharpe_ratio(chosen.sharpe, 500, 50, float(ratios.var(ddof=1)), *shape)
        called += deflated > 0.95
        naive += probabilistic_sharpe_ratio(chosen.sharpe, 500, *shape) > 0.95
    assert naive > 150  # the best of fifty nearly always looks good by itself
    assert called < 20


def test_trials_that_are_alike_count_as_fewer():
    rng = np.random.default_rng(7)
    common = rng.normal(0, 1, (4_000, 1))
    apart = rng.normal(0, 1, (4_000, 20))
    assert effective_trials(apart) == pytest.approx(20, abs=0.5)
    assert effective_trials(np.repeat(common, 20, axis=1)) == pytest.approx(1.0)
    # correlation one half: 0.5 + 0.5 * 20
    assert effective_trials(apart + common) == pytest.approx(10.5, abs=0.5)
    idle = np.concatenate([apart, np.zeros((4_000, 5))], axis=1)
    assert effective_trials(idle) == pytest.approx(21, abs=0.5)


def test_the_mean_correlation_is_that_of_the_matrix():
    rng = np.random.default_rng(8)
    returns = rng.normal(0, 1, (300, 7)) + rng.normal(0, 1, (300, 1))
    matrix = np.corrcoef(returns.T)
    mean = (matrix.sum() - 7) / 42
    assert effective_trials(returns) == pytest.approx(mean + (1 - mean) * 7)
