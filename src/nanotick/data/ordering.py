"""Two orders in one file: the venue's and that of arrival.

Rows lie in order of arrival (`ts_recv`). A row whose venue time is out of order relative to that is split in two: a row
with flag VENUE at its place in venue time and a row with flag LOCAL at its place of arrival. Rows with both flags are
in place in both. Whoever plays the venue reads the VENUE rows (non-decreasing in `ts_venue`), whoever plays us reads
the LOCAL rows (non-decreasing in `ts_recv`), and no file is ever sorted at replay time. The VENUE half of a split row
always comes first. The scheme is that of hftbacktest's EXCH_EVENT and LOCAL_EVENT.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.kernel import kernel
from nanotick.core.memory import copy_bytes, load_i64, load_u8, store_u8
from nanotick.core.records import EVENT, RECORD_SIZE, Flag, event_at
from nanotick.data.quality import Anomaly, QualityReport

_VENUE, _LOCAL = int(Flag.VENUE), int(Flag.LOCAL)
_BOTH = _VENUE | _LOCAL
_NOT_BOTH = 255 - _BOTH


@kernel("i8(i8,i8)")
def out_of_order(events: int, count: int) -> int:
    """How many rows step back in their order, venue rows and local rows together; 0 when the file is in order."""
    venue = local = -(1 << 62)
    found = 0
    for i in range(count):
        row = event_at(events, i)
        if row.flags & _VENUE:
            if row.ts_venue < venue:
                found += 1
            else:
                venue = row.ts_venue
        if row.flags & _LOCAL:
            if row.ts_recv < local:
                found += 1
            else:
                local = row.ts_recv
    return found


@kernel("i8(i8,i8,i8,i8,i8,i8,i8)")
def interleave(
    events: int, venue_order: int, venue_count: int, local_order: int, local_count: int, done: int, out: int
) -> int:
    """Write rows so that both orders hold; the number written (with `out` 0: only counted).

    `venue_order` and `local_order` hold row numbers (int64) sorted by time; `done` is one zeroed byte per row.
    """
    v = a = written = 0
    while v < venue_count or a < local_count:
        venue_row = load_i64(venue_order + 8 * v) if v < venue_count else -1
        local_row = load_i64(local_order + 8 * a) if a < local_count else -1
        if venue_row == local_row:
            row, side = venue_row, _BOTH
            v += 1
            a += 1
        elif local_row >= 0 and (
            venue_row < 0 or load_u8(done + local_row) != 0 or event_at(events, local_row).flags & _VENUE == 0
        ):
            row, side = local_row, _LOCAL  # its venue half is out already, or it never had one
            a += 1
        else:
            row, side = venue_row, _VENUE
            store_u8(done + venue_row, 1)
            v += 1
        if out:
            copy_bytes(out + written * RECORD_SIZE, events + row * RECORD_SIZE, RECORD_SIZE)
            target = event_at(out, written)
            target.flags = (target.flags & _NOT_BOTH) | side
        written += 1
    return written


def _address(array: npt.NDArray[Any]) -> int:
    return int(array.ctypes.data)


def in_order(events: npt.NDArray[Any]) -> bool:
    """Whether VENUE rows are non-decreasing in venue time and LOCAL rows in time of arrival."""
    return not len(events) or out_of_order(_address(events), len(events)) == 0


def order_events(
    events: npt.NDArray[Any], report: QualityReport | None = None, label: str = "events"
) -> npt.NDArray[Any]:
    """Rows in both orders, split where the two disagree.

    Parameters
    ----------
    events : numpy.ndarray
        EVENT records, shape (n,), flags VENUE and LOCAL set.
    report : QualityReport, optional
        Told how many rows were out of order.
    label : str
        Names the source in the report.

    Returns
    -------
    numpy.ndarray
        EVENT records, shape (m,), m >= n; the array itself when nothing is out of order.
    """
    if not len(events):
        return events
    found = out_of_order(_address(events), len(events))
    if not found:
        return events
    if report is not None:
        report.note(f"{label}: {found:,} rows out of order were put in place as a venue row and a local row")
    flags = events["flags"]
    arrival = np.argsort(events["ts_recv"], kind="stable")
    local = arrival[flags[arrival] & _LOCAL != 0]
    venue = arrival[flags[arrival] & _VENUE != 0]
    venue = venue[np.argsort(events["ts_venue"][venue], kind="stable")]
    arguments = (_address(events), _address(venue), len(venue), _address(local), len(local))
    done = np.zeros(len(events), dtype=np.uint8)
    size = interleave(*arguments, _address(done), 0)
    out = np.zeros(size, dtype=EVENT)
    done[:] = 0
    interleave(*arguments, _address(done), _address(out))
    return out


def merge_events(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Several sources in one order; on equal times the earlier source comes first.

    Parameters
    ----------
    parts : sequence of numpy.ndarray
        EVENT records each, instruments numbered alike.
    """
    if len(parts) == 1:
        return order_events(parts[0])
    return order_events(np.concatenate([np.asarray(part) for part in parts]) if parts else np.zeros(0, dtype=EVENT))


def clock_skew(events: npt.NDArray[Any]) -> tuple[int, int]:
    """Rows received before they were sent, and the smallest latency in ns (0 when there are no rows)."""
    timed = events[(events["ts_recv"] != 0) & (events["ts_venue"] != 0)]
    if not len(timed):
        return 0, 0
    latency = timed["ts_recv"] - timed["ts_venue"]
    return int((latency < 0).sum()), int(latency.min())


def correct_latency(
    events: npt.NDArray[Any], base_latency_ns: int, report: QualityReport, label: str = "events"
) -> npt.NDArray[Any]:
    """Where a row was received before it was sent, shift receive times: the smallest latency is then the base.

    Parameters
    ----------
    events : numpy.ndarray
        EVENT records; not changed.
    base_latency_ns : int
        Latency the fastest row is given.
    report : QualityReport
        Told of the rows and the offset.

    Returns
    -------
    numpy.ndarray
        The same array when no row needs it.
    """
    rows, smallest = clock_skew(events)
    if not rows:
        return events
    offset = base_latency_ns - smallest
    shifted = events.copy()
    shifted["ts_recv"][shifted["ts_recv"] != 0] += offset
    report.note(
        f"{label}: {rows:,} rows were received up to {-smallest:,} ns before they were sent; "
        f"{offset:,} ns were added to every receive time"
    )
    return shifted


def report_skew(events: npt.NDArray[Any], report: QualityReport, label: str) -> None:
    """Report rows received before they were sent."""
    rows, smallest = clock_skew(events)
    if rows:
        first = int(np.argmax((events["ts_recv"] < events["ts_venue"]) & (events["ts_recv"] != 0)))
        report.anomaly(
            Anomaly.CLOCK_SKEW,
            f"{label} row {first}",
            f"received up to {-smallest:,} ns before it was sent; --correct-latency NS shifts the receive times",
            rows,
        )
