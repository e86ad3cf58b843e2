"""The event file: what is written comes back, and a cut or damaged file says so."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.instruments import Contract, Instrument
from nanotick.core.records import BOTH_SIDES, EVENT, Kind
from nanotick.data.archive import open_sources
from nanotick.data.eventfile import EventFile, EventFileError, EventWriter, write_events
from nanotick.data.format import Reading
from nanotick.data.parquet import to_frame
from nanotick.data.quality import Anomaly, BadDataError, QualityReport

INSTRUMENTS = [
    Instrument("AAPL", "XNAS", 4, 0, tick_size="0.01"),
    Instrument("BTCUSD_PERP", "BINANCE", 1, 0, "0.1", contract=Contract.INVERSE, multiplier="100", currency="BTC"),
]


def random_events(count: int, seed: int = 1) -> np.ndarray:
    """Records of random bits in every field."""
    events = np.random.default_rng(seed).integers(0, 256, count * 64, dtype=np.uint8).view(EVENT)
    events["instrument"] %= 2
    events["kind"] = events["kind"] % 18 + 1
    return events


@pytest.mark.parametrize("suffix", [".nt", ".nt.zst", ".parquet"])
@pytest.mark.parametrize("count", [0, 1, 100_000])
def test_events_and_metadata_come_back_bit_for_bit(tmp_path: Path, suffix: str, count: int) -> None:
    events = random_events(count)
    path = write_events(
        tmp_path / f"day{suffix}", [events[:7], events[7:]], INSTRUMENTS, {"source": ["x"], "messages": {"A": 3}}
    )
    with EventFile.open(path) as file:
        assert file.events.tobytes() == events.tobytes()
        assert list(file.instruments) == INSTRUMENTS
        assert file.meta["source"] == ["x"] and file.meta["messages"] == {"A": 3}
        assert sum(file.meta["events"].values()) == (events["flags"] & 12 != 8).sum()
        assert file.meta["first_ts"] == (int(events["ts_venue"].min()) if count else None)
        assert not file.anomalies.anomalies
    assert [p.name for p in tmp_path.iterdir()] == [path.name], "no temporary file is left"


def test_parquet_made_from_an_event_file_converts_back_to_the_same_file(tmp_path: Path) -> None:
    events = random_events(1000)
    first = write_events(tmp_path / "a.nt", [events], INSTRUMENTS, {"notes": ["n"]})
    with EventFile.open(first) as file:
        meta = file.meta
        second = write_events(tmp_path / "b.parquet", [file.events], file.instruments, meta)
    with EventFile.open(second) as file:
        third = write_events(tmp_path / "c.nt", [file.events], file.instruments, file.meta)
    assert first.read_bytes() == third.read_bytes()


def test_events_are_mapped_not_copied_and_lie_on_cache_lines(tmp_path: Path) -> None:
    path = write_events(tmp_path / "a.nt", [random_events(10)], INSTRUMENTS)
    file = EventFile.open(path)
    assert file.address % 64 == 0 and not file.events.flags.owndata and not file.events.flags.writeable


def test_metadata_larger_than_the_room_kept_for_it_widens_the_header(tmp_path: Path) -> None:
    many = [Instrument(f"S{i}", "XNAS", 4) for i in range(3000)]
    events = random_events(5000)
    path = write_events(tmp_path / "a.nt", [events], many)
    with EventFile.open(path) as file:
        assert len(file.instruments) == 3000
        assert file.events.tobytes() == events.tobytes()
        assert file.address % 64 == 0


def test_a_failed_writer_leaves_the_old_file_untouched(tmp_path: Path) -> None:
    path = write_events(tmp_path / "a.nt", [random_events(10)], INSTRUMENTS)
    before = path.read_bytes()
    with pytest.raises(RuntimeError), EventWriter(path, INSTRUMENTS) as writer:
        writer.append(random_events(50))
        raise RuntimeError
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


@given(cut=st.integers(0, 64 * 100))
def test_a_cut_file_gives_every_event_before_the_cut(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "a.nt"
    events = random_events(100)
    write_events(path, [events], INSTRUMENTS)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - cut])
    report = QualityReport()
    with EventFile.open(path, report) as file:
        kept = 100 - -(-cut // 64)
        assert file.events.tobytes() == events[:kept].tobytes()
        assert report.count(Anomaly.TRUNCATED) == (cut > 0)
    if cut:
        with pytest.raises(BadDataError, match="truncated"):
            EventFile.open(path, QualityReport(strict=True))


@pytest.mark.parametrize("compress", [gzip.compress, None], ids=["gz", "zst"])
def test_a_cut_compressed_file_gives_the_events_before_the_cut(tmp_path: Path, compress: object) -> None:
    events = random_events(20_000)
    path = write_events(tmp_path / ("a.nt.zst" if compress is None else "a.nt"), [events], INSTRUMENTS)
    if compress is not None:
        path = tmp_path / "a.nt.gz"
        path.write_bytes(gzip.compress((tmp_path / "a.nt").read_bytes()))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    report = QualityReport()
    with EventFile.open(path, report) as file:
        assert 10_000 < len(file) < 20_000
        assert file.events.tobytes() == events[: len(file)].tobytes()
    assert report.count(Anomaly.TRUNCATED) == 1


@given(at=st.integers(0, 500), bit=st.integers(0, 7))
def test_a_damaged_header_is_an_error_that_says_what_to_do(
    tmp_path_factory: pytest.TempPathFactory, at: int, bit: int
) -> None:
    path = tmp_path_factory.mktemp("damage") / "a.nt"
    write_events(path, [random_events(3)], INSTRUMENTS)
    data = bytearray(path.read_bytes())
    if 40 <= at < 64:
        return  # unused bytes between header and metadata
    data[at] ^= 1 << bit
    path.write_bytes(data)
    with pytest.raises(EventFileError, match=r"convert"):
        EventFile.open(path)


def test_a_file_of_another_kind_is_refused_with_the_command_that_converts_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(EventFileError, match="nanotick data convert"):
        EventFile.open(tmp_path / "a.csv")


def test_frames_carry_symbols_and_decimals(tmp_path: Path) -> None:
    events = np.zeros(2, dtype=EVENT)
    events["kind"], events["flags"], events["instrument"], events["price"] = (
        Kind.TRADE,
        BOTH_SIDES,
        [0, 1],
        [1234500, 345],
    )
    file = EventFile.open(write_events(tmp_path / "a.nt", [events], INSTRUMENTS))
    frame = to_frame(file)
    assert list(frame["symbol"]) == ["AAPL", "BTCUSD_PERP"]
    assert list(frame["price_value"]) == [123.45, 34.5]
    assert to_frame(file, "polars")["kind_name"].to_list() == ["TRADE", "TRADE"]


def test_an_event_file_is_a_source_and_symbols_are_filtered(tmp_path: Path) -> None:
    events = random_events(1000)
    path = write_events(tmp_path / "a.nt", [events], INSTRUMENTS, {"messages": {"A": 5}})
    from nanotick.data.format import Options

    reading = Reading(open_sources([path]), options=Options(symbols=("BTCUSD_PERP",)))
    found = reading.events()
    assert len(found) == (events["instrument"] == 1).sum() and (found["instrument"] == 0).all()
    assert [i.symbol for i in reading.listing] == ["BTCUSD_PERP"] and reading.report.messages == {"A": 5}
