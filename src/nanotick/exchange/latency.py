"""Latency of the three paths between here and a venue: order entry, response, market data.

Every path has one record, `LATENCY_PATH`, and one rule beside its model: no overtaking. A message arrives when its own
delay says, or with the message before it if that is later.

    constant      always `ns`
    normal        offset + ns + sd * z
    lognormal     offset + ns * exp(sigma * z), so `ns` is the median
    gamma         offset + scale * G(shape)
    interpolated  between measured rows (request sent, processed by the venue, response received)
    recorded      feed only: as the file says (`ts_recv`); any model above may be added to it

The distributions draw from a counter-based generator (`draws`): the key comes from the configured seed and the path,
the counter is in the path's record. In measured rows, a request whose processing time is zero or negative was turned
away by the venue without processing (overload); a command sent between such rows is refused, and the refusal is known
after the interpolated round trip, as hftbacktest's IntpOrderLatency does.
"""

from __future__ import annotations

import math
from enum import IntEnum
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from nanotick.core.kernel import kernel
from nanotick.core.memory import call2, mul_div, record_at
from nanotick.exchange.custom import VenueModel
from nanotick.exchange.draws import GAMMA_NUMBERS, gamma, normal
from nanotick.exchange.records import change_at


class LatencyKind(IntEnum):
    """Number of a latency model."""

    CONSTANT = 0
    NORMAL = 1
    LOGNORMAL = 2
    GAMMA = 3
    INTERPOLATED = 4
    CUSTOM = 5


LATENCY_NAMES: dict[str, LatencyKind] = {
    "constant": LatencyKind.CONSTANT,
    "normal": LatencyKind.NORMAL,
    "lognormal": LatencyKind.LOGNORMAL,
    "gamma": LatencyKind.GAMMA,
    "interpolated": LatencyKind.INTERPOLATED,
}
_CONSTANT, _NORMAL, _LOGNORMAL, _GAMMA, _INTERPOLATED, _CUSTOM = range(6)
PATH_ENTRY, PATH_RESPONSE, PATH_FEED = 0, 1, 2

LATENCY_ROW = np.dtype(
    [
        ("ts", "<i8"),  # ns, when the message left
        ("delay", "<i8"),  # ns one way; -1: refused without processing
        ("round_trip", "<i8"),  # ns
    ]
)
LATENCY_PATH = np.dtype(
    [
        ("kind", "<i8"),
        ("ns", "<i8"),
        ("minimum", "<i8"),
        ("offset", "<i8"),
        ("spread", "<f8"),  # sd in ns (normal), sigma (lognormal), scale in ns (gamma)
        ("shape", "<f8"),  # gamma
        ("key", "<i8"),
        ("draws", "<i8"),  # numbers consumed
        ("count", "<i8"),  # messages
        ("last", "<i8"),  # arrival of the message before
        ("path", "<i8"),
        ("recorded", "<i8"),  # feed: 1 start from ts_recv, 0 from ts_venue
        ("plain", "<i8"),  # feed: 1 when the file's ts_recv is taken as it is
        ("rows_address", "<i8"),
        ("rows", "<i8"),
        ("row", "<i8"),  # cursor
        ("self_address", "<i8"),
        ("change_address", "<i8"),
        ("delay_function", "<i8"),
    ]
)
path_at = record_at(LATENCY_PATH, "LatencyPath")
row_at = record_at(LATENCY_ROW, "LatencyRow")


class LatencyModel(VenueModel, protocol=True):
    """Protocol of a user's latency model: method `delay(self, change)` giving nanoseconds.

    `change.ts` is when the message leaves, `change.path` 0 for order entry, 1 for responses, 2 for the feed,
    `change.draw` counts the messages of this path (with `exchange.draws.uniform(key, draw)` it gives random numbers). A
    negative delay on order entry refuses the command; the refusal is known after its magnitude.

    Examples
    --------
    >>> class OpeningRush(LatencyModel):
    ...     calm: int = 100_000
    ...     rush: int = 900_000
    ...     def delay(self, change):
    ...         return self.rush if change.ts % 86_400_000_000_000 < 52_260_000_000_000 else self.calm
    >>> OpeningRush().values
    {'calm': 100000, 'rush': 900000}
    """

    verbs: ClassVar[tuple[str, ...]] = ("delay",)


@kernel
def _truncated(a: int, b: int, c: int) -> int:
    """a * b / c towards zero, c positive."""
    if a < 0:
        return -mul_div(-a, b, c)
    return mul_div(a, b, c)


@kernel
def interpolated_delay(path_address: int, ts: int) -> int:
    """Delay of a message that leaves at `ts`, from measured rows; negative: refused, known after the magnitude."""
    path = path_at(path_address)
    rows = path.rows_address
    i = path.row
    while i > 0 and row_at(rows, i).ts > ts:
        i -= 1
    while i + 1 < path.rows and row_at(rows, i + 1).ts <= ts:
        i += 1
    path.row = i
    row = row_at(rows, i)
    if ts < row.ts or i + 1 == path.rows:
        if row.delay < 0:
            return -row.round_trip
        return row.delay
    after = row_at(rows, i + 1)
    span = after.ts - row.ts
    if row.delay < 0 or after.delay < 0:
        return -(row.round_trip + _truncated(after.round_trip - row.round_trip, ts - row.ts, span))
    return row.delay + _truncated(after.delay - row.delay, ts - row.ts, span)


@kernel
def path_delay(path_address: int, ts: int) -> int:
    """Delay in ns of the next message of a path, leaving at `ts`."""
    path = path_at(path_address)
    kind = path.kind
    path.count += 1
    if kind == _CONSTANT:
        return path.ns
    if kind == _INTERPOLATED:
        return interpolated_delay(path_address, ts)
    if kind == _CUSTOM:
        change = change_at(path.change_address)
        change.self_address = path.self_address
        change.ts = ts
        change.path = path.path
        change.draw = path.count - 1
        return call2(path.delay_function, 0, path.change_address)
    drawn = 0.0
    if kind == _GAMMA:
        drawn = path.spread * gamma(path.key, path.draws, path.shape)
        path.draws += GAMMA_NUMBERS
    else:
        z = normal(path.key, path.draws)
        path.draws += 2
        if kind == _NORMAL:
            drawn = path.ns + path.spread * z
        else:
            drawn = path.ns * math.exp(path.spread * z)
    return max(path.minimum, path.offset + int(drawn))


@kernel
def path_arrival(path_address: int, ts: int, delay: int) -> int:
    """When a message of this delay arrives; later messages of the path do not arrive before it."""
    path = path_at(path_address)
    arrival = ts + delay
    if arrival < path.last:
        arrival = path.last
    path.last = arrival
    return arrival


@kernel
def feed_arrival(path_address: int, ts_venue: int, ts_recv: int) -> int:
    """When a row stamped so arrives here."""
    path = path_at(path_address)
    if path.plain != 0:
        return ts_recv
    ts = ts_venue
    if path.recorded != 0:
        ts = ts_recv
    return path_arrival(path_address, ts, max(0, path_delay(path_address, ts)))


def latency_rows(source: Any, path: int) -> npt.NDArray[Any]:
    """Measured latencies as the rows of one path.

    Parameters
    ----------
    source : path or numpy.ndarray
        An `.npz` or `.npy` file, or an array: a structured one with `req_ts`, `exch_ts` (or `venue_ts`), `resp_ts`, or
        one of shape (n, 3), in ns. hftbacktest's latency files are read as they are.
    path : int
        PATH_ENTRY or PATH_RESPONSE.

    Raises
    ------
    ValueError
        The file or array holds something else, or its times run backwards.
    """
    where = "latency rows"
    if isinstance(source, str | Path):
        where = f"latency file {source}"
        loaded = np.load(source, allow_pickle=False)
        source = loaded if isinstance(loaded, np.ndarray) else loaded[loaded.files[0]]
    table = np.asarray(source)
    if table.dtype.names is not None:
        venue_name = "exch_ts" if "exch_ts" in table.dtype.names else "venue_ts"
        names = ("req_ts", venue_name, "resp_ts")
        missing = [n for n in names if n not in table.dtype.names]
        if missing:
            raise ValueError(f"{where}: expected columns req_ts, exch_ts and resp_ts, found {table.dtype.names}")
        sent, done, back = (table[n].astype(np.int64) for n in names)
    else:
        if table.ndim != 2 or table.shape[1] < 3:
            raise ValueError(f"{where}: expected shape (n, 3), found {table.shape}")
        sent, done, back = (table[:, i].astype(np.int64) for i in range(3))
    if len(sent) == 0:
        raise ValueError(f"{where}: no rows; give at least one, or use latency model 'constant'")
    processed = done > 0
    if path == PATH_RESPONSE:  # what was never processed has no response of its own
        kept = np.flatnonzero(processed)
        kept = kept[np.argsort(done[kept], kind="stable")]
        sent, done, back, processed = sent[kept], done[kept], back[kept], processed[kept]
        if len(sent) == 0:
            raise ValueError(f"{where}: no row was processed by the venue (exch_ts is 0 everywhere)")
    start = done if path == PATH_RESPONSE else sent
    end = back if path == PATH_RESPONSE else done
    if np.any(np.diff(start) < 0):
        bad = int(np.argmax(np.diff(start) < 0)) + 1
        raise ValueError(f"{where}: row {bad} is earlier than the row before it; sort the rows by time")
    if np.any((end < start) & processed) or np.any(back < sent):
        bad = int(np.argmax(((end < start) & processed) | (back < sent)))
        raise ValueError(f"{where}: row {bad} has a negative latency; align the clocks of the recording first")
    rows = np.zeros(len(start), LATENCY_ROW)
    rows["ts"] = start
    rows["delay"] = np.where(processed, end - start, -1)
    rows["round_trip"] = back - sent
    return rows
