"""The distributions drawn from counters have the moments and tails they should."""

import math

import numpy as np
import pytest

from nanotick.core.kernel import python_body
from nanotick.exchange import draws

COUNT = 4_000


def drawn(name, *arguments, step=8):
    return np.array([getattr(draws, name)(77, step * i, *arguments) for i in range(COUNT)])


def test_an_exponential_has_mean_and_deviation_one() -> None:
    x = drawn("exponential")
    assert x.min() > 0
    assert abs(x.mean() - 1) < 4 / math.sqrt(COUNT)
    assert abs(x.std() - 1) < 0.1


def test_a_lognormal_has_its_median_and_sigma() -> None:
    logs = np.log(drawn("lognormal", 5.0, 0.8))
    assert abs(np.median(logs) - math.log(5)) < 4 * 1.2533 * 0.8 / math.sqrt(COUNT)
    assert abs(logs.std() - 0.8) < 0.05


def test_a_pareto_has_its_tail_and_keeps_to_its_bounds() -> None:
    x = drawn("pareto", 2.0, 200.0, 1.5)
    assert x.min() >= 2.0 and x.max() <= 200.0
    for level in (4.0, 20.0):
        expected = ((2 / level) ** 1.5 - (2 / 200) ** 1.5) / (1 - (2 / 200) ** 1.5)
        assert abs((x > level).mean() - expected) < 4 * math.sqrt(expected / COUNT)


@pytest.mark.parametrize("mean", [0.3, 4.0])
def test_a_poisson_has_mean_equal_to_variance(mean) -> None:
    x = drawn("poisson", mean, step=64)
    assert abs(x.mean() - mean) < 4 * math.sqrt(mean / COUNT)
    assert abs(x.var() - mean) < 0.15 * mean + 0.02


@pytest.mark.parametrize("name, arguments", [("exponential", ()), ("pareto", (1.0, 9.0, 2.0)), ("poisson", (2.0,))])
def test_interpreted_and_compiled_draws_are_the_same_bits(name, arguments) -> None:
    compiled, plain = getattr(draws, name), python_body(getattr(draws, name))
    assert [compiled(3, i, *arguments) for i in range(200)] == [plain(3, i, *arguments) for i in range(200)]
