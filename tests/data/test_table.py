"""Tables of quotes, trades and bars: real files of five origins, and mappings said by hand."""

import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nanotick.core.records import Kind
from nanotick.data.archive import open_sources
from nanotick.data.format import Options, Reading
from nanotick.data.quality import Anomaly, BadDataError


def read(path: Path, **settings: str) -> tuple[Reading, np.ndarray]:
    reading = Reading(open_sources([path]), "", Options(settings=settings))
    return reading, reading.events()


@pytest.mark.parametrize(
    ("name", "rows", "kind", "symbol"),
    [
        ("equity/usa/tick/spy/20131008_trade.zip", 451_545, Kind.TRADE, "SPY"),
        ("equity/usa/tick/ibm/20131007_quote.zip", 109_067, Kind.QUOTE, "IBM"),
        ("taq_highfrequency/sampleTDataRaw.csv.xz", 77_263, Kind.TRADE, "XXX"),
        ("taq_highfrequency/sampleQDataRaw.csv.xz", 131_401, Kind.QUOTE, "XXX"),
        ("equity/usa/minute/spy/20131009_trade.zip", None, Kind.BAR, "SPY"),
    ],
)
def test_real_files_give_every_row(shared_data: Path, name: str, rows: int | None, kind: Kind, symbol: str) -> None:
    reading, events = read(shared_data / "equity_ticks_bars" / name)
    assert not reading.report.anomalies, reading.report.as_dict()["anomalies"]
    assert (events["kind"] == kind).all() and [i.symbol for i in reading.listing] == [symbol]
    assert rows is None or len(events) == rows
    assert (np.diff(events["ts_venue"]) >= 0).all()


def test_lean_prices_times_and_bars_are_exact(shared_data: Path) -> None:
    _, events = read(shared_data / "equity_ticks_bars/equity/usa/minute/spy/20131009_trade.zip")
    first = events[0]  # 14400000,1659800,1660000,1659800,1659900,800: four in the morning, New York
    assert first["ts_venue"] == 1381305600 * 10**9 + 60 * 10**9, "08:00 UTC and the bar's minute"
    assert (first["id"], first["price"], first["qty"]) == (1_659_800, 1_659_900, 800)
    assert first["word"] == (1_660_000 - 1_659_900) << 32 | 0
    _, quotes = read(shared_data / "equity_ticks_bars/equity/usa/tick/ibm/20131007_quote.zip")
    row = quotes[2]  # 14400241,0,0,1818000,3000,P after 14400241,1800100,300,0,0,P
    assert (row["price"], row["qty"], row["id"], row["word"]) == (1_800_100, 300, 1_818_000, 3000)


def test_a_mapping_said_by_hand(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("w;ignored\n")
    (tmp_path / "x.csv").write_text("when,what,cost,amount_sold\n1000,X,1.25,3\n2000,Y,1.5,4\n")
    with pytest.raises(BadDataError, match="format recognises"):
        read(tmp_path / "x.csv")
    reading = Reading(
        open_sources([tmp_path / "x.csv"]),
        "table",
        Options(settings={"kind": "trades", "time": "when", "price": "cost", "size": "amount_sold", "symbol": "what"}),
    )
    events = reading.events()
    assert list(events["price"]) == [125, 150] and list(events["ts_venue"]) == [10**12, 2 * 10**12]
    assert list(events["qty"]) == [3, 4]


def test_iso_times_offsets_and_fractions(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text(
        "timestamp,bid,ask\n2013-01-01 22:00:00.295000+00:00,86.655,86.728\n"
        "2013-01-01T23:00:00.000000001+01:00,86.6,86.7\n"
    )
    _, events = read(tmp_path / "q.csv")
    assert list(events["ts_venue"]) == [1357077600 * 10**9 + 295 * 10**6, 1357077600 * 10**9 + 1]
    assert list(events["price"]) == [86655, 86600] and list(events["id"]) == [86728, 86700]


def test_bad_rows_are_reported_and_the_rest_kept(tmp_path: Path) -> None:
    rows = [
        "time,price,size",
        "1600000000,1.5,2",
        "1600000001,abc,2",
        "nonsense,1.5,2",
        "1600000002,,2",
        "1600000003,-1,2",
    ]
    (tmp_path / "t.csv").write_text("\n".join([*rows, "1600000004,2.5,9"]))
    reading, events = read(tmp_path / "t.csv")
    assert list(events["qty"]) == [2, 9] and reading.report.count(Anomaly.MALFORMED) == 4


def test_an_impossible_bar_is_reported(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("date,open,high,low,close,volume\n2020-01-02,5,4,3,4,10\n2020-01-03,5,6,4,5.5,10\n")
    reading, events = read(tmp_path / "b.csv", bar="86400")
    assert len(events) == 1 and reading.report.count(Anomaly.MALFORMED) == 1
    assert events[0]["word"] == 50 << 32 | 100


def test_parquet_tables(tmp_path: Path, shared_data: Path) -> None:
    table = pa.table({"timestamp": pa.array([1, 2], pa.timestamp("us", "UTC")), "price": [1.25, 1.5], "qty": [3, 4]})
    pq.write_table(table, tmp_path / "x.parquet")
    reading, events = read(tmp_path / "x.parquet", unit="ns")
    assert list(events["price"]) == [125, 150] and list(events["ts_venue"]) == [1000, 2000]
    assert reading.format_names == "table"


def test_every_bar_file_of_the_collection_reads(shared_data: Path) -> None:
    files = sorted((shared_data / "equity_ticks_bars").glob("bars_2026/*_1[md].csv.xz"))
    assert files
    for path in files[:6]:
        reading, events = read(path)
        assert (events["kind"] == Kind.BAR).all() and len(events) > 100, path
        assert not reading.report.anomalies, (path, reading.report.as_dict()["anomalies"])


def test_members_of_one_zip_are_one_reading(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.csv", "time,price,size\n1600000000,1.5,2\n")
        archive.writestr("readme.txt", "nothing here")
    reading, events = read(tmp_path / "x.zip")
    assert len(events) == 1 and any("readme" in note for note in reading.report.notes)
