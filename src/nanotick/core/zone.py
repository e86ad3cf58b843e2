"""Time zones in kernels: when the local clock of a market changed, as a table.

ZONE rows of a zone: the first holds how many follow (`from_ts`) and the offset before the first of them; each other one
says from which moment on (ns UTC) local time is UTC + `offset`. Tables span 1970 to 2100, so a run needs no clock of
its own to know its days, and daylight saving is right on every one of them. Address 0 is UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt

from nanotick.core.arena import Arena
from nanotick.core.kernel import kernel
from nanotick.core.memory import record_at

ZONE = np.dtype([("from_ts", "<i8"), ("offset", "<i8")])  # ns UTC, ns
zone_at = record_at(ZONE, "Zone")
DAY_NS = 86_400_000_000_000
_SECOND_NS = 1_000_000_000
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@kernel
def zone_offset(zone: int, ts: int) -> int:
    """Local time less UTC at a moment, ns."""
    if zone == 0:
        return 0
    low, high = 0, zone_at(zone, 0).from_ts
    while low < high:  # the last row that is not later
        middle = (low + high + 1) >> 1
        if zone_at(zone, middle).from_ts <= ts:
            low = middle
        else:
            high = middle - 1
    return zone_at(zone, low).offset


@kernel
def local_day(zone: int, ts: int, day_offset: int) -> int:
    """Number of the local day a moment lies in, days since 1970; a day begins `day_offset` ns after midnight."""
    return (ts + zone_offset(zone, ts) - day_offset) // DAY_NS


@kernel
def next_local_time(zone: int, ts: int, time_of_day: int) -> int:
    """The next moment (ns UTC) after `ts` at which the local clock shows a time of day, ns after midnight.

    A time that the clock leaves out in spring is taken as if it had not; one that it shows twice in autumn, the
    later time.
    """
    day = local_day(zone, ts, 0) * DAY_NS
    for _ in range(3):
        local = day + time_of_day
        found = local - zone_offset(zone, local - zone_offset(zone, local))
        if found > ts:
            return found
        day += DAY_NS
    return day + time_of_day


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


@lru_cache(maxsize=64)
def zone_rows(name: str) -> npt.NDArray[np.void]:
    """ZONE rows of an IANA time zone.

    Raises
    ------
    ValueError
        There is no such zone here.
    """
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"time zone {name!r} is not known here; give an IANA name such as America/New_York "
            "(on a machine without time zone data: pip install tzdata)"
        ) from error
    week = timedelta(days=7)
    found: list[tuple[datetime, timedelta]] = []
    moment, before = _FIRST, _offset(zone, _FIRST)
    base = before
    while moment < _LAST:
        after = _offset(zone, moment + week)
        if after != before:
            low, high = moment, moment + week
            while high - low > timedelta(seconds=1):
                middle = (low + (high - low) / 2).replace(microsecond=0)
                if middle <= low:
                    middle = low + timedelta(seconds=1)
                low, high = (middle, high) if _offset(zone, middle) == before else (low, middle)
            found.append((high, after))
        moment, before = moment + week, after
    rows = np.zeros(len(found) + 1, ZONE)
    rows[0] = len(found), _ns(base)
    for row, (at, offset) in zip(rows[1:], found, strict=True):
        row["from_ts"], row["offset"] = int(at.timestamp()) * _SECOND_NS, _ns(offset)
    return rows


def _ns(offset: timedelta) -> int:
    return (offset.days * 86_400 + offset.seconds) * _SECOND_NS


def lay_zone(arena: Arena, name: str, region: str) -> int:
    """Lay a zone's table into an arena; its address, 0 for UTC."""
    if name == "UTC":
        return 0
    rows = zone_rows(name)
    laid = arena.region(region, ZONE, len(rows))
    laid.view[:] = rows
    return laid.address


def local_offsets(name: str, ts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Local time less UTC at many moments, ns."""
    ts = np.asarray(ts, np.int64)
    if name == "UTC":
        return np.zeros(ts.shape, np.int64)
    rows = zone_rows(name)
    return rows["offset"][np.searchsorted(rows["from_ts"][1:], ts, "right")].astype(np.int64)
