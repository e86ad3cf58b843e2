"""The probability of overfitting against a literal reading of the paper, without skill and with it."""

import itertools
import math

import numpy as np
import pytest

from nanotick.research.overfitting import probability_of_overfitting, usable_blocks


def literal(returns, blocks):
    """Section 3 of Bailey, Borwein, Lopez de Prado and Zhu, step by step."""
    parts = np.split(returns, blocks)
    logits = []
    for chosen in itertools.combinations(range(blocks), blocks // 2):
        inside = np.concatenate([parts[i] for i in chosen])
        outside = np.concatenate([parts[i] for i in range(blocks) if i not in chosen])
        r = inside.mean(axis=0) / inside.std(axis=0, ddof=1)
        r_bar = outside.mean(axis=0) / outside.std(axis=0, ddof=1)
        best = int(np.argmax(r))
        rank = 1 + int((r_bar < r_bar[best]).sum())
        share = rank / (returns.shape[1] + 1)
        logits.append(math.log(share / (1 - share)))
    return np.array(logits)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_is_what_the_paper_says(seed):
    returns = np.random.default_rng(seed).normal(0.01, 1, (96, 9))
    expected = literal(returns, 8)
    found = probability_of_overfitting(returns, 8)
    np.testing.assert_allclose(np.sort(found.logits), np.sort(expected))
    assert found.probability == pytest.approx((expected <= 0).mean())
    assert found.combinations == 70


def test_without_skill_the_choice_is_a_coin_toss():
    rng = np.random.default_rng(4)
    found = [probability_of_overfitting(rng.normal(0, 1, (320, 20)), 8).probability for _ in range(150)]
    # the halves mirror each other, so that it is above one half on average when there is nothing to find
    assert 0.45 < np.mean(found) < 0.65


def test_with_skill_the_best_stays_the_best():
    returns = np.random.default_rng(5).normal(0, 1, (640, 20))
    returns[:, 3] += 0.4
    found = probability_of_overfitting(returns)
    assert found.probability < 0.001
    assert found.loss_probability == 0.0
    assert found.combinations == 12_870


def test_configurations_that_rest_count_as_zero():
    returns = np.random.default_rng(6).normal(-0.3, 1, (160, 6))
    returns[:, 2] = 0.0
    found = probability_of_overfitting(returns, 8)
    assert found.probability == 0.0  # doing nothing is the best of losers, in every half
    assert not found.outside.any()


def test_what_cannot_be_judged_is_refused():
    returns = np.zeros((40, 3))
    with pytest.raises(ValueError, match="2 configurations"):
        probability_of_overfitting(returns[:, :1])
    with pytest.raises(ValueError, match="even"):
        probability_of_overfitting(returns, 5)
    with pytest.raises(ValueError, match="64 observations, found 40"):
        probability_of_overfitting(returns, 16)
    assert (usable_blocks(40), usable_blocks(7), usable_blocks(1_000)) == (10, 0, 16)
