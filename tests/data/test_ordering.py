"""Both time orders hold after ordering, and no row is lost or invented."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.records import BOTH_SIDES, EVENT, Flag
from nanotick.data.ordering import clock_skew, correct_latency, in_order, merge_events, order_events
from nanotick.data.quality import QualityReport

TIMES = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), max_size=40)


def rows(times: list[tuple[int, int]], flags: int = BOTH_SIDES) -> np.ndarray:
    events = np.zeros(len(times), dtype=EVENT)
    for i, (venue, recv) in enumerate(times):
        events[i]["ts_venue"], events[i]["ts_recv"], events[i]["id"], events[i]["flags"] = venue, recv, i, flags
    return events


def check(before: np.ndarray, after: np.ndarray) -> None:
    venue = after[after["flags"] & Flag.VENUE != 0]
    local = after[after["flags"] & Flag.LOCAL != 0]
    assert (np.diff(venue["ts_venue"]) >= 0).all() and (np.diff(local["ts_recv"]) >= 0).all()
    for side, flag in ((venue, Flag.VENUE), (local, Flag.LOCAL)):
        wanted = before[before["flags"] & flag != 0]
        assert sorted(side["id"]) == sorted(wanted["id"])
    # ties keep the order of the file
    assert list(local["id"]) == [
        i for _, i in sorted((r["ts_recv"], r["id"]) for r in before if r["flags"] & Flag.LOCAL)
    ]
    places = {int(r["id"]): n for n, r in reversed(list(enumerate(after))) if r["flags"] & Flag.VENUE}
    for n, row in enumerate(after):
        if row["flags"] & BOTH_SIDES == Flag.LOCAL and int(row["id"]) in places:
            assert places[int(row["id"])] < n, "the venue half comes first"


@given(TIMES)
def test_venue_rows_and_local_rows_are_each_in_order_and_complete(times: list[tuple[int, int]]) -> None:
    before = rows(times)
    after = order_events(before)
    assert in_order(after)
    check(before, after)
    assert (after["flags"] & BOTH_SIDES != 0).all()
    assert order_events(after) is after


@given(TIMES, TIMES, TIMES)
def test_merged_sources_hold_both_orders(
    a: list[tuple[int, int]], b: list[tuple[int, int]], c: list[tuple[int, int]]
) -> None:
    parts = [order_events(rows(part)) for part in (a, b, c)]
    for offset, part in zip((0, 1000, 2000), parts, strict=True):
        part["id"] += offset
    merged = merge_events(parts)
    together = np.concatenate([rows(p) for p in (a, b, c)])
    together["id"] = np.concatenate([rows(p)["id"] + o for p, o in ((a, 0), (b, 1000), (c, 2000))])
    check(together, merged)


def test_one_late_row_splits_only_itself() -> None:
    after = order_events(rows([(1, 10), (3, 11), (4, 12), (2, 13), (5, 14)]))
    assert list(after["id"]) == [0, 3, 1, 2, 3, 4]
    assert [int(f) for f in after["flags"] & BOTH_SIDES] == [12, 4, 12, 12, 8, 12]


def test_a_recorder_clock_that_is_behind_is_shifted_by_a_stated_offset() -> None:
    events = rows([(100, 50), (200, 190), (300, 280)])
    assert clock_skew(events) == (3, -50)
    report = QualityReport()
    after = correct_latency(events, 5, report)
    assert list(after["ts_recv"]) == [105, 245, 335] and list(events["ts_recv"]) == [50, 190, 280]
    assert "55 ns were added" in report.notes[0]
    assert correct_latency(after, 5, report) is after
