"""The checks find what is there, and the real ITCH slice and LOBSTER samples hold in the engine's own books."""

from pathlib import Path

import numpy as np
import pytest

from nanotick.core.records import BOTH_SIDES, EVENT, Flag, Kind
from nanotick.data.archive import open_sources
from nanotick.data.bookcheck import BookCheck
from nanotick.data.checks import EventChecks
from nanotick.data.format import Reading
from nanotick.data.quality import Anomaly, BadDataError, QualityReport


def rows(*items: dict) -> np.ndarray:
    events = np.zeros(len(items), dtype=EVENT)
    events["flags"] = BOTH_SIDES | Flag.LAST
    for event, item in zip(events, items, strict=True):
        for name, value in item.items():
            event[name] = value
    return events


def add(identity: int, side: int, price: int, qty: int = 5) -> dict:
    return {"kind": Kind.ADD, "id": identity, "side": side, "price": price, "qty": qty}


def test_crossed_and_locked_books_are_counted_once_each_and_unknown_orders_every_time() -> None:
    report = QualityReport()
    check = BookCheck(report, instruments=4)
    events = rows(
        add(1, 1, 100), add(2, -1, 101), add(3, -1, 100), add(4, -1, 99), add(5, -1, 98),
        {"kind": Kind.DELETE, "id": 77}, {"kind": Kind.DELETE, "id": 1}, {"kind": Kind.EXECUTE, "id": 78, "qty": 1},
        add(6, 1, 98), add(6, 1, 97),
    )  # fmt: skip
    for cut in np.split(events, [3, 6]):
        check.feed(cut)
    check.finish()
    found = {kind: places.count for kind, places in report.anomalies.items()}
    assert found == {"locked": 2, "crossed": 1, "unknown_reference": 2, "malformed": 1}
    assert report.anomalies["crossed"].first[0]["where"] == "event 4"


def test_a_book_between_the_parts_of_one_event_is_not_judged() -> None:
    report = QualityReport(strict=True)
    check = BookCheck(report, instruments=1)
    events = rows(add(1, 1, 100), add(2, -1, 99), {"kind": Kind.DELETE, "id": 1})
    events["flags"][1] = BOTH_SIDES
    check.feed(events)
    check.finish()
    assert not report.anomalies


def test_steps_back_in_time_and_silences_are_told() -> None:
    report = QualityReport()
    checks = EventChecks(report, stale_after_ns=100)
    events = rows(*({"ts_venue": v, "ts_recv": r} for v, r in ((10, 20), (9, 21), (11, 300), (12, 299), (13, 301))))
    checks.feed(events[:2])
    checks.feed(events[2:])
    checks.finish()
    assert {k: p.count for k, p in report.anomalies.items()} == {"disorder": 2, "stale": 1}


def test_strict_stops_at_an_error_and_not_at_an_observation() -> None:
    report = QualityReport(strict=True)
    report.anomaly(Anomaly.LOCKED, "event 1", "a fact")
    with pytest.raises(BadDataError, match="event 2"):
        report.anomaly(Anomaly.GAP, "event 2", "a fault")


def check_of(path: Path) -> tuple[Reading, BookCheck]:
    reading = Reading(open_sources([path]))
    check = BookCheck(reading.report, instruments=16)
    for chunk in reading:
        check.feed(chunk)
    check.finish()
    return reading, check


def test_the_real_itch_slice_never_crosses_and_knows_its_orders_but_the_older_ones(shared_data: Path) -> None:
    path = shared_data / "us_exchange_feeds/nasdaq_itch/AAPL_20191230_0935_50k.itch50.xz"
    reading, _ = check_of(path)
    known: dict[int, int] = {}
    older = 0
    for event in Reading(open_sources([path])).events():
        identity = int(event["id"])
        if event["kind"] == Kind.ADD:
            known[identity] = int(event["qty"])
        elif event["kind"] in (Kind.DELETE, Kind.REDUCE, Kind.EXECUTE, Kind.REPLACE):
            older += identity not in known
            if event["kind"] == Kind.REPLACE and known.pop(identity, 0):
                known[int(event["word"])] = int(event["qty"])
            elif event["kind"] in (Kind.REDUCE, Kind.EXECUTE) and known.get(identity, 0) > event["qty"]:
                known[identity] -= int(event["qty"])
            else:
                known.pop(identity, None)
    # 3,904 orders older than the slice and those that replaced them, whose side nobody says
    assert reading.report.count(Anomaly.UNKNOWN_REFERENCE) == older >= 3904
    assert reading.report.count(Anomaly.MALFORMED) == 0


@pytest.mark.parametrize("name", ["GOOG_2012-06-21_10.zip", "AMZN_2012-06-21_1.zip"])
def test_lobster_events_fit_the_engines_books_without_a_contradiction(shared_data: Path, name: str) -> None:
    reading, check = check_of(shared_data / "lobster" / name)
    assert set(reading.report.anomalies) <= {"locked", "crossed"}, reading.report.as_dict()["anomalies"]
    source = next(s for s in open_sources([shared_data / "lobster" / name]) if "orderbook" in s.name)
    last = [int(x) for x in source.open().read().rstrip(b"\n").rpartition(b"\n")[2].split(b",")]
    assert [check.books.best_price(0, -1), check.books.best_price(0, 1)] == [last[0], last[2]]
