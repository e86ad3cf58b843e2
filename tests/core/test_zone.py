"""Local clocks in kernels agree with zoneinfo, on every day of the year."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanotick.core.arena import Arena
from nanotick.core.kernel import kernel
from nanotick.core.zone import DAY_NS, lay_zone, local_day, local_offsets, next_local_time, zone_offset, zone_rows

ZONES = ("America/New_York", "Europe/London", "Asia/Tokyo", "Australia/Sydney", "Africa/Casablanca", "Asia/Kolkata")
SECOND = 1_000_000_000
HOUR = 3_600 * SECOND


@kernel("i8(i8,i8,i8,i8)")
def zone_call(zone: int, ts: int, what: int, argument: int) -> int:
    """The kernels of zones for a test."""
    if what == 0:
        return zone_offset(zone, ts)
    if what == 1:
        return local_day(zone, ts, argument)
    return next_local_time(zone, ts, argument)


def ns(moment: datetime) -> int:
    return int(moment.timestamp()) * SECOND


@pytest.fixture(scope="module")
def laid() -> dict[str, int]:
    arena = Arena(1 << 20)
    laid = {name: lay_zone(arena, name, name) for name in ZONES}
    laid["arena"] = arena  # type: ignore[assignment]
    return laid


@settings(max_examples=150)
@given(st.sampled_from(ZONES), st.integers(0, int(datetime(2099, 12, 30, tzinfo=UTC).timestamp())))
def test_offsets_are_those_of_zoneinfo(laid: dict[str, int], name: str, seconds: int) -> None:
    expected = datetime.fromtimestamp(seconds, ZoneInfo(name)).utcoffset()
    assert expected is not None
    found = zone_call(laid[name], seconds * SECOND, 0, 0)
    assert found == int(expected.total_seconds()) * SECOND
    assert local_offsets(name, np.array([seconds * SECOND])).tolist() == [found]


@pytest.mark.parametrize("name", ZONES)
def test_the_close_comes_at_the_same_local_time_on_every_day_of_a_year(laid: dict[str, int], name: str) -> None:
    zone, close = ZoneInfo(name), 16 * HOUR
    for day in range(366):
        at = datetime(2026, 1, 1, 16, tzinfo=zone) + timedelta(days=day)
        for before in (1, 5 * HOUR):
            assert zone_call(laid[name], ns(at) - before, 2, close) == ns(at)
        assert zone_call(laid[name], ns(at), 2, close) == ns(at + timedelta(days=1))


def test_days_begin_at_local_midnight_when_clocks_change(laid: dict[str, int]) -> None:
    zone = laid["America/New_York"]
    for month, day in ((3, 8), (11, 1), (7, 1)):  # clocks go forward, back, and not at all
        midnight = ns(datetime(2026, month, day, tzinfo=ZoneInfo("America/New_York")))
        number = zone_call(zone, midnight, 1, 0)
        assert zone_call(zone, midnight - 1, 1, 0) == number - 1
        after = ns(datetime(2026, month, day, tzinfo=ZoneInfo("America/New_York")) + timedelta(days=1))
        assert zone_call(zone, after - 1, 1, 0) == number
        assert after - midnight == {3: 23, 11: 25, 7: 24}[month] * HOUR
    assert zone_call(0, 5 * DAY_NS + 1, 1, 0) == 5


def test_a_zone_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="time zone 'America/Newyork' is not known"):
        zone_rows("America/Newyork")
