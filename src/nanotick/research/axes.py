"""Axes of charts: round numbers, times of day, sessions without the nights between, what one pixel can show."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DAY_NS = 86_400_000_000_000
SESSION_GAP_NS = 3_600_000_000_000  # an hour without data ends a session
_TIME_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400)


def round_ticks(low: float, high: float, wanted: int) -> list[float]:
    """About `wanted` numbers 1, 2 or 5 times a power of ten apart, within [low, high]."""
    if not math.isfinite(low) or not math.isfinite(high) or high <= low:
        return [low] if math.isfinite(low) else []
    raw = (high - low) / max(1, wanted)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def padded(low: float, high: float, share: float = 0.06) -> tuple[float, float]:
    """A range with some air around it; never empty."""
    if high <= low:
        size = abs(low) or 1.0
        return low - 0.5 * size, high + 0.5 * size
    air = (high - low) * share
    return low - air, high + air


class TimeAxis:
    """Times of one or several sessions laid end to end.

    Parameters
    ----------
    ts : numpy.ndarray
        ns UTC of everything that may be drawn; gaps longer than an hour are cut out.
    offset_ns : int or callable
        Local time minus UTC, for labels; of a moment when it is a function.
    """

    def __init__(self, ts: npt.NDArray[np.int64], offset_ns: int | Callable[[int], int] = 0) -> None:
        self._offset_ns = offset_ns
        ts = np.unique(np.asarray(ts, np.int64))
        if not len(ts):
            ts = np.array([0, 1], np.int64)
        cuts = np.nonzero(np.diff(ts) > SESSION_GAP_NS)[0]
        starts = ts[np.concatenate([[0], cuts + 1])]
        ends = ts[np.concatenate([cuts, [len(ts) - 1]])]
        self.sessions = list(zip(starts.tolist(), ends.tolist(), strict=True))
        self._origin = int(starts[0])
        lengths = np.maximum(ends - starts, 1)
        self._knots = np.stack([starts, starts + lengths], axis=1).reshape(-1) - self._origin
        reach = np.concatenate([[0], np.cumsum(lengths)])
        self._places = np.stack([reach[:-1], reach[1:]], axis=1).reshape(-1) / reach[-1]

    def place(self, ts: Any) -> Floats:
        """Where times lie, from 0 to 1."""
        return np.interp(np.asarray(ts, np.int64) - self._origin, self._knots, self._places)

    def time(self, place: Any) -> npt.NDArray[np.int64]:
        """Inverse of `place`."""
        return np.rint(np.interp(place, self._places, self._knots)).astype(np.int64) + self._origin

    def ticks(self, wanted: int) -> list[tuple[float, str]]:
        """Places and labels: times of day within one session, dates over several."""
        if len(self.sessions) > 1:
            shown = self.sessions[:: max(1, -(-len(self.sessions) // wanted))]
            return [(float(self.place(start)), self._label(start, "%d %b")) for start, _ in shown]
        start, end = self.sessions[0]
        seconds = (end - start) / 1e9
        step = next((s for s in _TIME_STEPS_S if seconds / s <= wanted), 86_400)
        form = "%H:%M:%S" if step < 60 else "%H:%M" if seconds <= 172_800 else "%d %b"
        offset = self.offset(start)
        first = -(-(start + offset) // (step * 10**9)) * step * 10**9 - offset
        return [(float(self.place(ts)), self._label(ts, form)) for ts in range(first, end + 1, step * 10**9)]

    def offset(self, ts: int) -> int:
        """Local time minus UTC at a moment, ns."""
        return self._offset_ns if isinstance(self._offset_ns, int) else self._offset_ns(ts)

    def _label(self, ts: int, form: str) -> str:
        return datetime.fromtimestamp((ts + self.offset(ts)) / 1e9, UTC).strftime(form)


def envelope(places: Floats, values: Floats, pixels: int) -> tuple[Floats, Floats]:
    """At most two points a pixel column, its smallest and its largest value in the order they came.

    A line through them covers the same pixels as a line through all points, at any length of the series.

    Parameters
    ----------
    places : numpy.ndarray
        Non-decreasing, 0 to 1.
    values : numpy.ndarray
        Same shape; NaN is left out.
    pixels : int

    Returns
    -------
    tuple of numpy.ndarray
        Places and values.
    """
    known = ~np.isnan(values)
    places, values = places[known], values[known]
    if len(values) <= 2 * pixels:
        return places, values
    column = np.minimum((places * pixels).astype(np.int64), pixels - 1)
    starts = np.nonzero(np.diff(column, prepend=-1))[0]
    low, high = _extreme(values, starts, np.minimum), _extreme(values, starts, np.maximum)
    # the ends of the series stay, so that the line starts and stops where the data does
    chosen = np.unique(np.concatenate([low, high, [0, len(values) - 1]]))
    return places[chosen], values[chosen]


def _extreme(values: Floats, starts: npt.NDArray[np.int64], which: Any) -> npt.NDArray[np.int64]:
    """Index of the first extreme value of each run of columns."""
    best = np.repeat(which.reduceat(values, starts), np.diff(np.append(starts, len(values))))
    hits = np.nonzero(values == best)[0]
    return hits[np.searchsorted(hits, starts)]


def column_ranges(places: Floats, low: Floats, high: Floats, pixels: int) -> tuple[Floats, Floats, Floats]:
    """Per pixel column that has data: its place, the smallest of `low` and the largest of `high`."""
    known = ~(np.isnan(low) | np.isnan(high))
    places, low, high = places[known], low[known], high[known]
    if not len(places):
        return places, low, high
    column = np.minimum((places * pixels).astype(np.int64), pixels - 1)
    starts = np.nonzero(np.diff(column, prepend=-1))[0]
    return (column[starts] + 0.5) / pixels, np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)


def log_histogram(values: Sequence[float] | Floats, bins: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Counts in bins of equal ratio; from values without spread, one bin.

    Returns
    -------
    tuple of numpy.ndarray
        Edges, shape (n + 1,), and counts, shape (n,).
    """
    data = np.asarray(values, np.float64)
    data = data[data > 0]
    if not len(data):
        return np.empty(0), np.empty(0, np.int64)
    low, high = float(data.min()), float(data.max())
    if high / low < 1.0001:
        return np.array([low * 0.9, low * 1.1]), np.array([len(data)])
    edges = np.geomspace(low, high, bins + 1)
    edges[0], edges[-1] = low, high
    return edges, np.histogram(data, edges)[0]
