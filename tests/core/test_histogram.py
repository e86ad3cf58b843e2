"""Percentiles of a histogram are numpy's within the stated precision, whatever the values are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.arena import Arena
from nanotick.core.histogram import BUCKETS, LARGEST, PRECISION, Histogram, bucket_low_of, bucket_of
from nanotick.core.kernel import python_body

SHAPES = {
    "lognormal": lambda rng: rng.lognormal(8, 1.5, 20_000),
    "uniform": lambda rng: rng.uniform(0, 1e6, 20_000),
    "two peaks": lambda rng: np.concatenate([rng.normal(900, 30, 19_000), rng.normal(5e6, 1e5, 1_000)]),
    "small": lambda rng: rng.integers(0, 300, 5_000),
    "one value": lambda rng: np.full(1000, 123_456_789),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_percentiles_are_numpys_within_the_precision(shape: str) -> None:
    values = np.clip(SHAPES[shape](np.random.default_rng(5)), 0, LARGEST).astype(np.int64)
    histogram = Histogram()
    histogram.record_many(values)
    for percent in (0.1, 1, 10, 25, 50, 75, 90, 99, 99.9, 99.99, 100):
        # numpy multiplies in floats: 99.9 % of 20,000 would be the 19,981st value
        expected = np.percentile(values, percent - 1e-9, method="inverted_cdf")
        assert abs(histogram.percentile(percent) - expected) <= expected * PRECISION + 0.5, percent
    summary = histogram.summary()
    assert (summary["count"], summary["min"], summary["max"]) == (len(values), values.min(), values.max())
    assert summary["mean"] == pytest.approx(values.mean(), abs=0.1)


@given(st.integers(0, LARGEST))
def test_a_value_lies_in_its_bucket(value: int) -> None:
    bucket = python_body(bucket_of)(value)
    assert 0 <= bucket < BUCKETS
    low, following = bucket_low_of(bucket), bucket_low_of(bucket + 1)
    assert low <= value < following
    assert following - low <= max(1, low * 2 * PRECISION)


def test_merging_is_recording_both() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.integers(0, 10**7, 5_000), rng.integers(10**5, 10**9, 3_000)
    arena = Arena(1 << 20)
    first, second, both = Histogram(arena, "a"), Histogram(arena, "b"), Histogram()
    first.record_many(one)
    second.record_many(other)
    both.record_many(np.concatenate([one, other]))
    first.merge(second)
    first.merge(Histogram())
    assert first.summary() == both.summary()
    assert all(np.array_equal(a, b) for a, b in zip(first.buckets(), both.buckets(), strict=True))
    empty = Histogram()
    empty.merge(both)
    assert empty.summary() == both.summary()
    first.reset()
    assert first.count == 0 and first.percentile(99) == 0 and first.summary()["max"] == 0


def test_what_cannot_be_a_latency_is_counted_and_said() -> None:
    histogram = Histogram()
    histogram.record_many([-5, LARGEST + 1, 7])
    summary = histogram.summary()
    assert (summary["negative"], summary["clipped"], summary["min"], summary["max"]) == (1, 1, 0, LARGEST)
    with pytest.raises(ValueError, match="0 to 100"):
        histogram.percentile(101)
