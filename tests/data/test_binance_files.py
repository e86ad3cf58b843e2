"""Real Binance recordings: exact counts, unbroken update ids, and a book that agrees with bookTicker."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from nanotick.core.records import EVENT, Flag, Kind
from nanotick.data.archive import open_sources
from nanotick.data.convert import convert_to_events, validate_sources
from nanotick.data.eventfile import EventFile
from nanotick.data.format import Options, Reading
from nanotick.data.quality import Anomaly

ROW = re.compile(r"\| (\S+gz) \| \d+ \| (\d+) \| \S+ \| (.*?) \| (\d+) \|")
PER_COMMIT = {"usdm/btcusdt_20230404.dat.gz", "spot/btcusdt_20230405.dat.gz", "cm/ethusd_perp_20240808.gz"}


def stated(shared_data: Path) -> "dict[str, tuple[int, dict[str, int], int]]":
    """Lines, messages and depth levels of every Binance file, from the table that came with them."""
    found = {}
    for line in (shared_data / "hftbacktest/PROVENANCE.md").read_text().splitlines():
        row = ROW.match(line)
        if row and not row[1].startswith("hyperliquid"):
            messages = {}
            for part in row[3].split(", "):
                kind, count = part.rsplit(" ", 1)
                stream = kind.partition("@")[0]
                name = {"depth": "depthUpdate", "markPrice": "markPriceUpdate"}.get(stream, stream)
                messages[name] = int(count)
            found[row[1]] = (int(row[2]), messages, int(row[4]))
    return found


def check_file(shared_data: Path, name: str) -> None:
    lines, messages, levels = stated(shared_data)[name]
    reading = Reading(open_sources([shared_data / "hftbacktest" / name]))
    events = reading.events()
    assert dict(reading.report.messages) == messages and sum(messages.values()) == lines
    assert reading.report.checks["depth_levels"] == levels
    assert not reading.report.anomalies, "not one update id is missing"
    kinds = reading.report.events
    assert kinds["QUOTE"] == messages["bookTicker"] and kinds["TRADE"] == messages["trade"]
    assert kinds.get("CLEAR", 0) == messages.get("rest_depth_snapshot", 0)
    assert set(events["instrument"]) == {0} and (events["price"][events["kind"] != Kind.CLEAR] > 0).all()
    assert (
        reading.listing.instruments[0].venue
        == {"usdm": "BINANCE_USDM", "spot": "BINANCE", "cm": "BINANCE_COINM"}[name.partition("/")[0]]
    )


@pytest.mark.parametrize("name", sorted(PER_COMMIT))
def test_a_file_has_the_messages_and_levels_its_provenance_states(shared_data: Path, name: str) -> None:
    check_file(shared_data, name)


@pytest.mark.nightly
def test_every_file_has_the_messages_and_levels_its_provenance_states(shared_data: Path) -> None:
    for name in stated(shared_data):
        check_file(shared_data, name)


def test_consecutive_days_join_without_a_gap(shared_data: Path) -> None:
    folder = shared_data / "hftbacktest/usdm"
    reading = Reading(open_sources([folder / "btcusdt_20240718.gz", folder / "btcusdt_20240719.gz"]))
    total = sum(len(chunk) for chunk in reading)
    assert total > 460_000 and reading.report.count(Anomaly.GAP) == 0 and len(reading.listing) == 1


def test_a_day_taken_out_of_the_middle_is_a_gap(shared_data: Path, tmp_path: Path) -> None:
    lines = gzip.open(shared_data / "hftbacktest/spot/btcusdt_20230405.dat.gz").read().splitlines(keepends=True)
    depth = [i for i, line in enumerate(lines) if b"depthUpdate" in line]
    target = tmp_path / "btcusdt.log"
    target.write_bytes(b"".join(line for i, line in enumerate(lines) if i != depth[100]))
    reading = Reading(open_sources([target]))
    events = reading.events()
    assert reading.report.count(Anomaly.GAP) == 1 and (events["kind"] == Kind.GAP).sum() == 1


def test_a_recorder_s_clock_behind_the_venue_is_reported_and_corrected(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "hftbacktest/usdm/btcusdt_20240718.gz"
    reading = Reading(open_sources([source]))
    with EventFile.open(convert_to_events(reading, reading, tmp_path / "raw.nt")) as file:
        median = float(np.median(file.events["ts_recv"] - file.events["ts_venue"]))
    assert -1.53e9 < median < -1.50e9
    assert reading.report.count(Anomaly.CLOCK_SKEW) > 0 and any("clock was behind" in n for n in reading.report.notes)
    reading = Reading(open_sources([source]))
    with EventFile.open(convert_to_events(reading, reading, tmp_path / "right.nt", 1_000_000)) as file:
        both = file.events[file.events["flags"] & 12 == 12]
        assert (both["ts_recv"] - both["ts_venue"]).min() >= 1_000_000


def test_markets_of_one_symbol_are_instruments_of_their_own(shared_data: Path) -> None:
    folder = shared_data / "hftbacktest"
    paths = [folder / "spot/btcusdt_20230405.dat.gz", folder / "usdm/btcusdt_20230404.dat.gz"]
    reading = Reading(open_sources(paths), options=Options(symbols=("BTCUSDT",)))
    events = reading.events()
    assert [(i.symbol, i.venue) for i in reading.listing] == [("BTCUSDT", "BINANCE"), ("BTCUSDT", "BINANCE_USDM")]
    assert set(events["venue"]) == {0, 1} and set(events["instrument"]) == {0, 1}


def validated(shared_data: Path, *names: str) -> "tuple[dict, bool]":
    reading = Reading(open_sources([shared_data / "hftbacktest" / name for name in names]))
    return validate_sources(reading, reading)


@pytest.mark.parametrize(
    ("name", "depth"), [("spot/btcusdt_20240808.gz", 3_450), ("cm/ethusd_perp_20240808.gz", 22_880)]
)
def test_the_rebuilt_book_s_best_is_book_ticker_s_after_every_depth_message(
    shared_data: Path, name: str, depth: int
) -> None:
    result, good = validated(shared_data, name)
    assert good and (result["gaps"], result["best_agrees"], result["best_differs"]) == (0, depth, 0)


def test_a_level_changed_in_a_recording_makes_validation_fail(shared_data: Path, tmp_path: Path) -> None:
    lines = gzip.open(shared_data / "hftbacktest/spot/btcusdt_20240808.gz").read().splitlines(keepends=True)
    snapshot = next(i for i, line in enumerate(lines) if b"lastUpdateId" in line)
    assert b'"3.78826000"' in lines[snapshot]
    lines[snapshot] = lines[snapshot].replace(b'"3.78826000"', b'"3.78827000"', 1)
    path = tmp_path / "btcusdt_20240808.log"
    path.write_bytes(b"".join(lines))
    reading = Reading(open_sources([path]))
    result, _ = validate_sources(reading, reading)
    assert result["best_differs"] > 0 and result["gaps"] == 0
    assert any("bookTicker" in note for note in result["notes"])


@pytest.mark.nightly
def test_books_of_all_recordings_agree_over_both_days(shared_data: Path) -> None:
    agreed = 0
    recorded: dict[str, list[tuple[str, ...]]] = {
        "usdm": [
            ("btcusdt_20230404.dat", "btcusdt_20230405.dat"),
            ("btcusdt_20240718", "btcusdt_20240719"),
            ("ethusdt_20240718", "ethusdt_20240719"),
            ("btcusdt_20240808",),
            ("ethusdt_20240808",),
        ],
        "spot": [("btcusdt_20240808", "btcusdt_20240809"), ("ethusdt_20240808", "ethusdt_20240809")],
        "cm": [("btcusd_perp_20240808", "btcusd_perp_20240809"), ("ethusd_perp_20240808", "ethusd_perp_20240809")],
    }
    for market, pairs in recorded.items():
        for days in pairs:
            result, good = validated(shared_data, *(f"{market}/{day}.gz" for day in days))
            assert good and result["gaps"] == 0 and result["best_differs"] <= 2 * (market == "spot"), (market, days)
            agreed += result["best_agrees"]
    assert agreed > 130_000


def test_a_symbol_not_asked_for_gives_no_events(shared_data: Path) -> None:
    path = shared_data / "hftbacktest/spot/btcusdt_20230405.dat.gz"
    reading = Reading(open_sources([path]), options=Options(symbols=("ETHUSDT",)))
    assert len(reading.events()) == 0 and reading.report.messages["trade"] == 3144


def test_levels_of_one_message_end_with_the_flag(shared_data: Path) -> None:
    path = shared_data / "hftbacktest/usdm/btcusdt_20230405.dat.gz"
    events = Reading(open_sources([path])).events()
    levels = events[(events["kind"] == Kind.LEVEL) & (events["flags"] & Flag.SNAPSHOT == 0)]
    last = levels["flags"] & Flag.LAST != 0
    assert (levels["seq"][1:][last[:-1]] >= levels["seq"][:-1][last[:-1]]).all()
    assert (levels["seq"][1:][~last[:-1]] == levels["seq"][:-1][~last[:-1]]).all(), "a message's levels lie together"
    assert events.dtype == EVENT


def test_a_truncated_archive_gives_everything_before_the_cut(shared_data: Path, tmp_path: Path) -> None:
    whole = (shared_data / "hftbacktest/usdm/btcusdt_20230404.dat.gz").read_bytes()
    cut = tmp_path / "btcusdt_20230404.dat.gz"
    cut.write_bytes(whole[: len(whole) // 2])
    reading = Reading(open_sources([cut]))
    events = reading.events()
    assert len(events) > 20_000 and reading.report.count(Anomaly.TRUNCATED) == 1
    assert reading.report.count(Anomaly.MALFORMED) == 0
