"""Mutually exciting flow: the published log-likelihood, O(1) updates against sums over the past, and stationarity."""

import math

import numpy as np
import pytest

from nanotick.exchange.agents import records
from nanotick.exchange.agents.hawkes import (
    branching_matrix,
    branching_ratio,
    excitation_fade,
    excitation_total,
    excite,
    excited_type,
    hawkes_log_likelihood,
    stationary_rates,
)
from nanotick.exchange.draws import exponential, uniform

SAME = np.array([[[0.1, 0.02, 0.05], [0.3, 0.2, 0.1], [0.1, 0.0, 0.1]], [[0.05, 0.0, 0.0], [0.1, 0.1, 0.1], [0, 0, 0]]])
OPPOSITE = np.array([[[0.02, 0, 0.05], [0.1, 0.02, 0.3], [0.05, 0, 0.02]], [[0, 0, 0], [0.1, 0.05, 0], [0, 0, 0.03]]])
DECAY = np.array([8.0, 0.5])


def flow_record():
    flow = np.zeros(1, records.FLOW_RECORD)
    flow["decay"][0] = DECAY
    flow["kick"][0] = (branching_matrix(SAME, OPPOSITE) * DECAY[:, None, None]).reshape(-1)
    return flow


def test_the_log_likelihood_is_that_of_the_published_case() -> None:
    times = np.array([0.5, 1.0, 1.5, 4.0])
    assert hawkes_log_likelihood(times, 5.0, 1.2, 0.6, 0.8) == pytest.approx(-6.969387, abs=1e-6)


def test_the_recursion_is_the_sum_over_the_past() -> None:
    flow, rng = flow_record(), np.random.default_rng(3)
    address = flow.ctypes.data
    matrix = branching_matrix(SAME, OPPOSITE)
    past: list[tuple[int, int]] = []
    now = 0
    for _ in range(40):
        now += int(rng.exponential(0.2) * 1e9)
        total = excitation_fade(address, now)
        direct = np.zeros(records.TYPES)
        for then, source in past:
            for k in range(records.SCALES):
                direct += matrix[k, source] * DECAY[k] * math.exp(-DECAY[k] * (now - then) * 1e-9)
        found = flow["excitation"][0].reshape(records.SCALES, records.TYPES).sum(axis=0)
        assert found == pytest.approx(direct, abs=1e-9)
        assert total == pytest.approx(direct.sum(), abs=1e-9)
        source = int(rng.integers(records.TYPES))
        excite(address, source)
        past.append((now, source))


def test_the_simulated_rates_are_those_of_theory() -> None:
    """Ogata's thinning with the flow's kernels: 40,000 events of six types against (I - G')^-1 mu."""
    flow, matrix = flow_record(), branching_matrix(SAME, OPPOSITE).sum(axis=0)
    base = np.array([2.0, 1.5, 0.4, 0.4, 0.8, 1.0])
    assert branching_ratio(matrix) < 0.8
    address, now, counter = flow.ctypes.data, 0, 0
    counts = np.zeros(records.TYPES)
    cumulative = np.cumsum(base)
    while counts.sum() < 40_000:
        bound = base.sum() + excitation_total(address)
        now += 1 + int(exponential(11, counter) / bound * 1e9)
        excitation = excitation_fade(address, now)
        at = uniform(11, counter + 1) * bound
        counter += 2
        if at < base.sum():
            kind = int(np.searchsorted(cumulative, at, side="right"))
        elif at < base.sum() + excitation:
            kind = excited_type(address, at - base.sum())
        else:
            continue
        counts[kind] += 1
        excite(address, kind)
    rates = counts / (now * 1e-9)
    assert rates == pytest.approx(stationary_rates(base, matrix), rel=0.06)
    # the share of events that have a parent is the branching ratio seen by the events
    assert 1 - base.sum() / rates.sum() == pytest.approx(
        1 - base.sum() / stationary_rates(base, matrix).sum(), abs=0.02
    )


def test_the_mean_rate_of_one_type_is_base_over_one_minus_branching() -> None:
    assert stationary_rates(np.array([1.2]), np.array([[0.6 / 0.8]]))[0] == pytest.approx(4.8)
    assert branching_ratio(np.array([[0.75]])) == pytest.approx(0.75)
