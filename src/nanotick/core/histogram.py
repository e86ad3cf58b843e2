"""Latency histograms: nanoseconds counted in places found from their bits, percentiles exact to 1 part in 256.

    0 1 2 ... 255 | 256 258 260 ... 510 | 512 516 ... 1020 | ...        lower bound of each bucket

Values below 256 have a bucket each; above, each power of two is cut into 128 buckets of equal width, as in HdrHistogram
(Tene). The place of a value is the exponent and the first seven mantissa bits of it as a float: one conversion and one
shift. A percentile is the middle of its bucket, which is within 1/256 of every value in it; least, greatest, count and
sum are exact. One thread records; others may look meanwhile, and see each number as it was at some moment.

    latency = Histogram()
    record_latency(latency.address, ns)                 # in a kernel
    latency.summary()                                   # {"count": ..., "p50": ..., "p99": ..., "max": ...}
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.arena import Arena
from nanotick.core.kernel import kernel
from nanotick.core.memory import clear_bytes, float_bits, load_i64, record_at, shift_right, store_i64

PRECISION = 1 / 256  # of a percentile, relative
_BITS = 7
_LARGEST_POWER = 40
LARGEST = (1 << _LARGEST_POWER) - 1  # ns, 18 minutes; longer times count as this
BUCKETS = 256 + (_LARGEST_POWER - 8) * 128
_SHIFT = 52 - _BITS
_BASE = ((1023 + _BITS) << _BITS) - 128

HISTOGRAM = np.dtype(
    [
        ("count", "<i8"),
        ("sum", "<i8"),  # ns
        ("least", "<i8"),  # ns; meaningless while count is 0
        ("greatest", "<i8"),
        ("negative", "<i8"),  # values below zero, counted as zero: a clock went back
        ("clipped", "<i8"),  # values above LARGEST, counted as it
        ("pad", "<i8", (2,)),
        ("counts", "<i8", (BUCKETS,)),
    ]
)
histogram_at = record_at(HISTOGRAM, "Histogram")
_COUNTS = int(HISTOGRAM.fields["counts"][1])  # type: ignore[index]
PERCENTILES = (("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p999", 99.9))
_PPM = 1_000_000


@kernel
def bucket_of(value: int) -> int:
    """Place of a value between 0 and LARGEST."""
    if value < 256:
        return value
    return shift_right(float_bits(float(value)), _SHIFT) - _BASE


@kernel
def bucket_low(bucket: int) -> int:
    """Least value that a bucket counts."""
    if bucket < 256:
        return bucket
    power = (bucket >> _BITS) - 1
    return (128 + (bucket & 127)) << power


@kernel
def record_latency(histogram_address: int, value: int) -> None:
    """Count a value, ns."""
    histogram = histogram_at(histogram_address)
    if value < 0:
        histogram.negative += 1
        value = 0
    if value > LARGEST:
        histogram.clipped += 1
        value = LARGEST
    if histogram.count == 0 or value < histogram.least:
        histogram.least = value
    if value > histogram.greatest:
        histogram.greatest = value
    histogram.count += 1
    histogram.sum += value
    place = histogram_address + _COUNTS + 8 * bucket_of(value)
    store_i64(place, load_i64(place) + 1)


@kernel
def percentile_ppm(histogram_address: int, ppm: int) -> int:
    """The value that `ppm` millionths of all values do not exceed, ns; 0 of nothing."""
    histogram = histogram_at(histogram_address)
    count = histogram.count
    if count == 0:
        return 0
    # the rank, from 1, of the inverted distribution function; in two parts, for count * ppm may not fit
    rank = count // _PPM * ppm + (count % _PPM * ppm + _PPM - 1) // _PPM
    rank = max(1, min(rank, count))
    seen = 0
    for bucket in range(BUCKETS):
        seen += load_i64(histogram_address + _COUNTS + 8 * bucket)
        if seen >= rank:
            low = bucket_low(bucket)
            middle = (low + bucket_low(bucket + 1) - 1) // 2
            return max(histogram.least, min(middle, histogram.greatest))
    return histogram.greatest


@kernel("i8(i8,i8,i8)")
def record_latencies(histogram_address: int, values_address: int, count: int) -> int:
    """Count consecutive int64 values."""
    for i in range(count):
        record_latency(histogram_address, load_i64(values_address + 8 * i))
    return count


@kernel("i8(i8,i8)")
def read_percentile(histogram_address: int, ppm: int) -> int:
    """`percentile_ppm`, from Python."""
    return percentile_ppm(histogram_address, ppm)


@kernel("i8(i8,i8)")
def merge_histogram(into_address: int, from_address: int) -> int:
    """Add one histogram's counts to another's; gives the count there now."""
    into, other = histogram_at(into_address), histogram_at(from_address)
    if other.count == 0:
        return into.count
    into.least = other.least if into.count == 0 else min(into.least, other.least)
    into.greatest = max(into.greatest, other.greatest)
    into.count += other.count
    into.sum += other.sum
    into.negative += other.negative
    into.clipped += other.clipped
    for bucket in range(BUCKETS):
        place = into_address + _COUNTS + 8 * bucket
        store_i64(place, load_i64(place) + load_i64(from_address + _COUNTS + 8 * bucket))
    return into.count


class Histogram:
    """A histogram of nanoseconds.

    Parameters
    ----------
    arena : Arena, optional
        Where it lies, as scratch; memory of its own otherwise.
    name : str
        Of the region.

    Attributes
    ----------
    address : int
        For kernels.

    >>> h = Histogram()
    >>> h.record(100)
    >>> h.record_many([200, 300])
    >>> h.percentile(50), h.summary()["max"]
    (200, 300)
    """

    def __init__(self, arena: Arena | None = None, name: str = "histogram") -> None:
        if arena is None:
            self._memory: npt.NDArray[Any] = np.zeros(1, HISTOGRAM)
        else:
            self._memory = arena.region(name, HISTOGRAM, 1, transient=True).view
        self.address = int(self._memory.ctypes.data)
        self._record = histogram_at(self.address)
        self._one = np.zeros(1, np.int64)

    def record(self, value: int) -> None:
        """Count a value, ns."""
        self._one[0] = value
        record_latencies(self.address, self._one.ctypes.data, 1)

    def record_many(self, values: Iterable[int] | npt.NDArray[Any]) -> None:
        """Count many."""
        array = np.ascontiguousarray(values if isinstance(values, np.ndarray) else list(values), np.int64)
        record_latencies(self.address, array.ctypes.data, len(array))

    @property
    def count(self) -> int:
        """Values counted."""
        return int(self._record.count)

    @property
    def mean(self) -> float:
        """Mean, ns; 0 of nothing."""
        return float(self._record.sum / self._record.count) if self._record.count else 0.0

    def percentile(self, percent: float) -> int:
        """The value that so many percent do not exceed, ns.

        Raises
        ------
        ValueError
            Outside of 0 to 100.
        """
        if not 0 <= percent <= 100:
            raise ValueError(f"percentile: expected 0 to 100, found {percent}")
        return int(read_percentile(self.address, round(percent * _PPM / 100)))

    def merge(self, other: Histogram) -> None:
        """Add what another has counted."""
        merge_histogram(self.address, other.address)

    def reset(self) -> None:
        """Forget everything."""
        clear_bytes(self.address, HISTOGRAM.itemsize)

    def summary(self) -> dict[str, int | float]:
        """Count, mean, least, percentiles and greatest, ns."""
        record = self._record
        return {
            "count": self.count,
            "mean": round(self.mean, 1),
            "min": int(record.least),
            **{name: self.percentile(percent) for name, percent in PERCENTILES},
            "max": int(record.greatest),
            "negative": int(record.negative),
            "clipped": int(record.clipped),
        }

    def buckets(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Least value and count of each bucket in use; two arrays of one shape."""
        counts = self._memory["counts"][0]
        used = np.flatnonzero(counts)
        lows: Any = np.array([bucket_low_of(int(bucket)) for bucket in used], np.int64)
        return lows, counts[used].copy()


def bucket_low_of(bucket: int) -> int:
    """`bucket_low`, from Python."""
    return bucket if bucket < 256 else (128 + (bucket & 127)) << ((bucket >> _BITS) - 1)
