"""Real and damaged ITCH day files: exact counts, and every byte accounted for."""

from pathlib import Path

import numpy as np
import pytest

from nanotick.core.records import Kind
from nanotick.data.archive import open_sources
from nanotick.data.format import Options, Reading
from nanotick.data.quality import Anomaly, BadDataError, QualityReport
from nanotick.wire.itch import SIZES, frame
from tests.guarded import mutations

FILES = {
    "20191230_first1000_directory.itch50": dict(S=1, R=993, H=3, Y=3),
    "2019_first4096bytes_truncated.itch50": dict(S=1, R=98, H=1, Y=1),
    "AAPL_20191230_0935_50k.itch50.xz": dict(A=22121, F=1, D=24150, U=1130, E=2162, X=98, C=4, P=281),
}


@pytest.mark.parametrize("name", FILES)
def test_a_real_file_has_exactly_the_messages_its_provenance_states(shared_data: Path, name: str) -> None:
    reading = Reading(open_sources([shared_data / "us_exchange_feeds/nasdaq_itch" / name]))
    events = reading.events()
    assert reading.format_names == "itch" and dict(reading.report.messages) == FILES[name]
    assert len(events) == sum(FILES[name].values()) - FILES[name].get("Y", 0)
    wanted = {"truncated": 1} if "truncated" in name else {}
    assert {kind: places.count for kind, places in reading.report.anomalies.items()} == wanted
    assert list(events["seq"]) == sorted(events["seq"])


def test_the_apple_slice_has_its_day_its_symbol_and_its_prices(shared_data: Path) -> None:
    reading = Reading(open_sources([shared_data / "us_exchange_feeds/nasdaq_itch/AAPL_20191230_0935_50k.itch50.xz"]))
    events = reading.events()
    assert [i.symbol for i in reading.listing] == ["AAPL"]
    from datetime import UTC, datetime

    first = datetime.fromtimestamp(int(events["ts_venue"][0]) // 10**9, UTC)
    assert str(first) == "2019-12-30 14:35:00+00:00", "09:35 in New York"
    near = events[(events["kind"] == Kind.EXECUTE) & (events["price"] > 0)]["price"]
    assert ((near > 2_800_000) & (near < 2_950_000)).all()


def test_zero_length_fields_are_tolerated(shared_data: Path) -> None:
    path = shared_data / "us_exchange_feeds/nasdaq_itch/ritch_synthetic_ex20101224.TEST_ITCH_50.gz"
    reading = Reading(open_sources([path]))
    assert len(reading.events()) == 12_012 and not reading.report.anomalies
    assert sum((2 + int(SIZES[ord(k)])) * n for k, n in reading.report.messages.items()) == 465_048


def apple(shared_data: Path) -> bytes:
    path = shared_data / "us_exchange_feeds/nasdaq_itch/AAPL_20191230_0935_50k.itch50.xz"
    return open_sources([path])[0].open().read()


def read(path: Path, data: bytes, strict: bool = False) -> tuple[Reading, np.ndarray]:
    path.write_bytes(data)
    reading = Reading(open_sources([path]), "itch", report=QualityReport(strict))
    return reading, reading.events()


def test_a_damaged_stretch_is_skipped_with_its_place_and_nothing_else_is_lost(
    tmp_path: Path, shared_data: Path
) -> None:
    data = apple(shared_data)
    at = sum(2 + int(SIZES[data[0 + 2]]) for _ in range(1))
    for junk in (b"\xff" * 37, b"\0\x09?12345678", b"\0\0\0\0"):
        reading, events = read(tmp_path / "x", data[:at] + junk + data[at:])
        assert len(events) == 49_947
        (places,) = reading.report.anomalies.values()
        assert (
            places.first[0]["where"] == f"x byte {at}"
            and f"{len(junk)} bytes were skipped" in places.first[0]["reason"]
        )
        with pytest.raises(BadDataError, match=f"byte {at}"):
            read(tmp_path / "x", data[:at] + junk + data[at:], strict=True)


@pytest.mark.parametrize("cut", [1, 2, 3, 10, 37])
def test_a_cut_file_gives_all_before_the_cut(tmp_path: Path, shared_data: Path, cut: int) -> None:
    data = apple(shared_data)
    reading, events = read(tmp_path / "x", data[:-cut])
    assert 49_945 <= len(events) <= 49_946 and reading.report.count(Anomaly.TRUNCATED) == 1


def test_orders_of_an_unknown_locate_get_the_name_that_comes_later(tmp_path: Path) -> None:
    delete = b"D" + (9).to_bytes(2, "big") + bytes(8) + (5).to_bytes(8, "big")
    add = b"A" + (9).to_bytes(2, "big") + bytes(8) + (6).to_bytes(8, "big") + b"B\0\0\0\x01" + b"IBM     " + bytes(4)
    reading, events = read(tmp_path / "x", frame(delete) + frame(add) + frame(delete))
    assert [i.symbol for i in reading.listing] == ["IBM"] and list(events["instrument"]) == [0, 0, 0]
    path = tmp_path / "x"
    wanted = Reading(open_sources([path]), "itch", Options(symbols=("IBM",))).events()
    assert list(wanted["id"]) == [6, 5]
    assert len(Reading(open_sources([path]), "itch", Options(symbols=("AAPL",))).events()) == 0


def test_thousands_of_damaged_files_are_read_to_their_end(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    whole = [
        frame(bytes([letter]) + bytes(4) + random.integers(0, 60, int(SIZES[letter]) - 5, dtype=np.uint8).tobytes())
        for letter in np.flatnonzero(SIZES)
    ]
    seeds = [b"".join(whole), b"".join(whole[::-1]) * 3, *whole]
    for item in mutations(seeds, 3000, seed=5):
        reading, events = read(tmp_path / "x", item.tobytes())
        decoded = sum((2 + int(SIZES[ord(k)])) * n for k, n in reading.report.messages.items())
        skipped = len(item) - decoded
        assert skipped >= 0 and (skipped == 0 or reading.report.anomalies), "no byte disappears unreported"
        assert len(events) <= sum(reading.report.messages.values())
