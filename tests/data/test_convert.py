"""Conversions: several sources become one file in both time orders, and clocks are corrected only when asked."""

from pathlib import Path

import numpy as np
import pytest

import nanotick.data
from nanotick.core.instruments import Instrument
from nanotick.core.records import BOTH_SIDES, EVENT, Flag, Kind
from nanotick.data import (
    Anomaly,
    BadDataError,
    EventFile,
    QualityReport,
    Reading,
    convert_to_events,
    open_sources,
    write_events,
)
from nanotick.data.ordering import in_order


def part(path: Path, symbol: str, times: list[tuple[int, int]]) -> Path:
    events = np.zeros(len(times), dtype=EVENT)
    events["kind"], events["flags"] = Kind.TRADE, BOTH_SIDES | Flag.LAST
    events["ts_venue"], events["ts_recv"] = np.array(times).T
    return write_events(path, [events], [Instrument(symbol)])


def convert(paths: list[Path], target: Path, base: int | None = None, strict: bool = False) -> Reading:
    reading = Reading(open_sources(paths), report=QualityReport(strict))
    convert_to_events(reading, reading, target, base)
    return reading


@pytest.mark.parametrize("suffix", [".nt", ".nt.zst", ".parquet"])
def test_several_files_merge_in_both_orders_with_instruments_of_their_own(tmp_path: Path, suffix: str) -> None:
    paths = [
        part(tmp_path / "a.nt", "A", [(10, 20), (12, 22), (30, 40)]),
        part(tmp_path / "b.nt", "B", [(11, 13), (12, 25), (29, 60)]),
    ]
    target = tmp_path / f"out{suffix}"
    convert(paths, target)
    with EventFile.open(target) as file:
        assert [i.symbol for i in file.instruments] == ["A", "B"] and in_order(file.events.copy())
        assert file.meta["events"] == {"TRADE": 6}, "a split row is one event"
        local = file.events[file.events["flags"] & Flag.LOCAL != 0]
        assert list(local["ts_recv"]) == [13, 20, 22, 25, 40, 60]
    assert len(list(tmp_path.iterdir())) == 3, "no temporary file is left"


def test_a_clock_that_is_behind_is_reported_and_corrected_only_when_asked(tmp_path: Path) -> None:
    path = part(tmp_path / "a.nt", "A", [(100, 50), (200, 180)])
    reading = convert([path], tmp_path / "b.nt")
    assert reading.report.count(Anomaly.CLOCK_SKEW) == 2
    assert list(EventFile.open(tmp_path / "b.nt").events["ts_recv"]) == [50, 180]
    reading = convert([path], tmp_path / "c.nt", base=5)
    assert not reading.report.anomalies and "55 ns were added" in reading.report.notes[0]
    assert list(EventFile.open(tmp_path / "c.nt").events["ts_recv"]) == [105, 235]
    with pytest.raises(BadDataError, match="clock_skew"):
        convert([path], tmp_path / "d.nt", strict=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nt", "b.nt", "c.nt"]


def test_sources_without_events_write_nothing(tmp_path: Path) -> None:
    path = part(tmp_path / "a.nt", "A", [(1, 2)])
    write_events(path, [], [Instrument("A")])
    with pytest.raises(BadDataError, match="no event"):
        convert([path], tmp_path / "b.nt")
    with pytest.raises(BadDataError, match=r"\.nt"):
        convert([path], tmp_path / "b.txt")


def test_every_public_name_is_there() -> None:
    for name in nanotick.data._PUBLIC:
        assert getattr(nanotick.data, name) is not None
    with pytest.raises(AttributeError):
        nanotick.data.nothing
