"""Tardis and Binance CSV files, and hftbacktest's arrays in both directions."""

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.instruments import Instrument
from nanotick.core.records import BOTH_SIDES, EVENT, Flag, Kind
from nanotick.data.archive import open_sources
from nanotick.data.convert import convert_to_events
from nanotick.data.csv_rows import places_of
from nanotick.data.format import Options, Reading, detect_format
from nanotick.data.hftbacktest_npz import HFT_EVENT, decimal_places, to_hftbacktest, write_hftbacktest
from nanotick.data.quality import Anomaly, BadDataError

TARDIS = {
    "binance-futures_trades_BTCUSDT_2020-02-22_10k.csv": {"TRADE": 9_999},
    "binance-futures_quotes_BTCUSDT_2020-02-22_10k.csv": {"QUOTE": 9_999},
    "binance-futures_book_snapshot_25_BTCUSDT.csv": {"CLEAR": 10, "LEVEL": 500},
    "binance-futures_book_snapshot_5_BTCUSDT.csv": {"CLEAR": 10, "LEVEL": 100},
    "bitmex_trades_XBTUSD.csv": {"TRADE": 10},
    "deribit_incremental_book_L2_BTC-PERPETUAL.csv": {"CLEAR": 1, "LEVEL": 15},
    "huobi-dm-swap_quotes_BTC-USD.csv": {"QUOTE": 10},
}


@pytest.mark.parametrize("name", TARDIS)
def test_a_tardis_file_gives_its_rows(shared_data: Path, name: str) -> None:
    reading = Reading(open_sources([shared_data / "nautilus/tardis" / name]))
    events = reading.events()
    assert reading.format_names == "tardis" and dict(reading.report.events) == TARDIS[name]
    assert not reading.report.anomalies and (events["ts_recv"] > events["ts_venue"]).all()


def test_tardis_numbers_are_exact(shared_data: Path) -> None:
    path = shared_data / "nautilus/tardis/binance-futures_trades_BTCUSDT_2020-02-22_10k.csv"
    reading = Reading(open_sources([path]))
    events = reading.events()
    item = reading.listing.instruments[0]
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
    assert [int(e) for e in events["price"]] == [item.price(row[6]) for row in rows]
    assert [int(e) for e in events["qty"]] == [item.qty(row[7]) for row in rows]
    assert list(events["id"]) == [int(row[4]) for row in rows]
    assert list(events["side"]) == [1 if row[5] == "buy" else -1 for row in rows]


def test_a_tardis_message_longer_than_a_table_is_one_message(tmp_path: Path) -> None:
    header = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n"
    rows = [f"x,B,1585699200245000,1585699200355684,true,bid,{i}.5,1\n" for i in range(1, 6_001)]
    rows += [
        "x,B,1585699200245001,1585699200355685,false,ask,7000,2\n",
        "x,C,1585699200245001,1585699200355685,true,ask,1,1\n",
    ]
    path = tmp_path / "x_incremental_book_L2.csv.gz"
    path.write_bytes(gzip.compress((header + "".join(rows)).encode()))
    reading = Reading(open_sources([path]))
    events = reading.events()
    assert dict(reading.report.events) == {"CLEAR": 2, "LEVEL": 6_002}
    assert list(np.flatnonzero(events["flags"] & Flag.LAST)) == [6_000, 6_001, 6_003]
    assert [(i.symbol, i.price_decimals) for i in reading.listing] == [("B", 1), ("C", 0)]


def test_derivative_tickers_become_marks(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "exchange,symbol,timestamp,local_timestamp,funding_timestamp,funding_rate,predicted_funding_rate,open_interest,"
        "last_price,index_price,mark_price\n"
        "bitmex,XBTUSD,1585699200000000,1585699200100000,1585713600000000,-0.000123,,97000,6424.5,6424.555555555,6425.25\n"
    )
    reading = Reading(open_sources([path]), options=Options(specs={"XBTUSD": {"price_decimals": 1}}))
    (mark,) = reading.events()
    assert (mark["kind"], mark["price"], mark["id"], mark["word"]) == (Kind.MARK, 64_253, 64_246, -123_000)


def test_binance_depth_files_keep_their_chain(shared_data: Path) -> None:
    folder = shared_data / "nautilus/binance"
    reading = Reading(open_sources([folder / "btcusdt-depth-snap.csv"]))
    assert len(reading.events()) == 101 and dict(reading.report.events) == {"CLEAR": 1, "LEVEL": 100}
    reading = Reading(open_sources([folder / "btcusdt-depth-update.csv"]))
    assert len(reading.events()) == 100 and not reading.report.anomalies


ROWS = {
    "BTCUSDT-trades-2023-11-14.csv": "1,23.5,0.10,2.35,{t},true,true\n2,23.51,0.25,5.8775,{u},false,true\n",
    "BTCUSDT-aggTrades-2023-11-14.csv": "1,23.5,0.10,1,3,{t},true,true\n2,23.51,0.25,4,4,{u},false,true\n",
}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize(
    "header", ["", "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"]
)
@pytest.mark.parametrize("unit", [1, 1_000])
def test_public_trades_with_and_without_header(tmp_path: Path, name: str, header: str, unit: int) -> None:
    if header and "agg" not in name:
        header = "id,price,qty,quote_qty,time,is_buyer_maker\n"
    body = ROWS[name].format(t=1_700_000_000_123 * unit, u=1_700_000_000_223 * unit)
    if header:
        body = body.replace(",true\n", "\n")
    path = tmp_path / f"{name}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, header + body)
    reading = Reading(open_sources([path]))
    events = reading.events()
    assert reading.format_names == "binance-csv" and not reading.report.anomalies
    assert list(events["price"]) == [2350, 2351] and list(events["qty"]) == [10, 25] and list(events["side"]) == [-1, 1]
    assert list(events["ts_venue"]) == [1_700_000_000_123_000_000, 1_700_000_000_223_000_000]
    assert reading.listing.instruments[0].venue == ("BINANCE_USDM" if header else "BINANCE")


def test_a_public_book_ticker_file(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-bookTicker-2023-11-14.csv"
    path.write_text("update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time\n"
                    "5,23.5,0.10,23.6,3,1700000000123,1700000000124\n")  # fmt: skip
    reading = Reading(open_sources([path]))
    (quote,) = reading.events()
    assert [int(quote[f]) for f in ("seq", "price", "qty", "id", "word")] == [5, 235, 1, 236, 30]


def test_a_bad_csv_row_is_named_and_skipped(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-trades-2023-11-14.csv"
    path.write_text(ROWS["BTCUSDT-trades-2023-11-14.csv"].format(t=1_700_000_000_123, u="x"))
    reading = Reading(open_sources([path]))
    assert len(reading.events()) == 1 and reading.report.count(Anomaly.MALFORMED) == 1


@given(st.lists(st.integers(-(10**12), 10**12), max_size=6), st.integers(0, 8))
def test_places_are_the_fewest_that_hold_all_values(values: "list[int]", wide: int) -> None:
    places = places_of(np.array(values, dtype=np.int64), wide)
    assert all(v % 10 ** (wide - places) == 0 for v in values)
    assert places == 0 or not all(v % 10 ** (wide - places + 1) == 0 for v in values)


BOOK = Instrument("BTC", "X", 2, 3, tick_size="0.01", lot_size="0.001")


@st.composite
def recorded(draw):
    kinds = [Kind.LEVEL, Kind.TRADE, Kind.CLEAR, Kind.ADD, Kind.MODIFY, Kind.DELETE, Kind.EXECUTE]
    count = draw(st.integers(1, 30))
    rows = np.zeros(count, dtype=EVENT)
    ts = 1_700_000_000_000_000_000
    for row in rows:
        ts += draw(st.integers(1, 10**9))
        kind = draw(st.sampled_from(kinds))
        row["ts_venue"], row["ts_recv"], row["kind"] = ts, ts + draw(st.integers(0, 10**6)), kind
        row["side"] = draw(st.sampled_from([-1, 1])) if kind != Kind.CLEAR else draw(st.sampled_from([-1, 0, 1]))
        flags = draw(st.sampled_from([4, 8, 12])) | int(Flag.LAST)
        if kind == Kind.CLEAR or (kind == Kind.LEVEL and draw(st.booleans())):
            flags |= int(Flag.SNAPSHOT)
        if kind in (Kind.TRADE, Kind.EXECUTE):
            flags |= int(Flag.PRINTABLE)
        row["flags"] = flags
        if kind != Kind.CLEAR:
            row["price"], row["qty"] = draw(st.integers(1, 10**9)), draw(st.integers(0, 10**9))
        if kind in (Kind.ADD, Kind.MODIFY, Kind.DELETE, Kind.EXECUTE):
            row["id"] = draw(st.integers(1, 2**62))
    return rows


@given(recorded())
def test_events_survive_the_way_to_hftbacktest_and_back(tmp_path_factory, events) -> None:
    path = write_hftbacktest(tmp_path_factory.mktemp("npz") / "btc.npz", events, BOOK)
    specs = {"BTC": {"price_decimals": 2, "qty_decimals": 3, "tick_size": "0.01", "lot_size": "0.001"}}
    reading = Reading(open_sources([path]), options=Options(specs=specs))
    back = reading.events()
    assert reading.format_names == "hftbacktest"
    assert back.tobytes() == events.tobytes()


def test_a_recording_converts_to_an_array_in_both_time_orders(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "hftbacktest/usdm/btcusdt_20230404.dat.gz"
    reading = Reading(open_sources([source]))
    held = np.load(convert_to_events(reading, reading, tmp_path / "btcusdt.npz"))["data"]
    assert held.dtype == HFT_EVENT
    for bit, stamp in ((1 << 31, "exch_ts"), (1 << 30, "local_ts")):
        assert (np.diff(held[stamp][held["ev"] & bit != 0]) >= 0).all()
    assert set(np.unique(held["ev"] & 0xFF)) == {1, 2, 3, 4}
    both = shared_data / "hftbacktest/spot/btcusdt_20230405.dat.gz"
    reading = Reading(open_sources([source, both]))
    with pytest.raises(BadDataError, match="one instrument"):
        convert_to_events(reading, reading, tmp_path / "two.npz")


def test_reduced_and_replaced_orders_are_told_by_what_is_left() -> None:
    rows = np.zeros(5, dtype=EVENT)
    rows["kind"] = [Kind.ADD, Kind.REDUCE, Kind.REPLACE, Kind.EXECUTE, Kind.QUOTE]
    rows["id"] = [7, 7, 7, 8, 1]
    rows["word"] = [0, 0, 8, 0, 0]
    rows["qty"] = [5_000, 2_000, 4_000, 4_000, 1]
    rows["price"] = [100, 0, 200, 200, 1]
    rows["side"] = [1, 0, 0, 0, 0]
    rows["flags"] = int(BOTH_SIDES)
    out = to_hftbacktest(rows, BOOK)
    assert [int(e) & 0xFF for e in out["ev"]] == [10, 12, 11, 10, 13]
    assert list(out["qty"]) == [5.0, 3.0, 3.0, 4.0, 4.0] and list(out["order_id"]) == [7, 7, 7, 8, 8]
    assert all(int(e) & (1 << 29) for e in out["ev"])


def test_a_truncated_array_gives_the_records_before_the_cut(tmp_path: Path) -> None:
    data = np.zeros(1_000, dtype=HFT_EVENT)
    data["ev"], data["px"], data["qty"], data["exch_ts"], data["local_ts"] = (3 << 30) | 1, 1.5, 2.0, 5, 6
    path = tmp_path / "btc.npy"
    np.save(path, data)
    path.write_bytes(path.read_bytes()[:-100])
    reading = Reading(open_sources([path]))
    assert len(reading.events()) == 998 and reading.report.count(Anomaly.TRUNCATED) == 1


def test_arrays_of_objects_are_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "evil.npy"
    data = np.zeros(1, dtype=[("ev", "O"), ("exch_ts", "<i8"), ("local_ts", "<i8")])
    np.save(path, data, allow_pickle=True)
    (source,) = open_sources([path])
    with pytest.raises(Exception, match="expected one dimension of records"):
        Reading([source], "hftbacktest").events()


def test_floats_are_taken_as_their_shortest_decimals() -> None:
    assert decimal_places(np.array([0.1, 61800.2, 5.0])) == 1
    assert decimal_places(np.array([0.1 + 0.2])) > 10


def test_detection_of_vendor_files(shared_data: Path) -> None:
    path = shared_data / "nautilus/binance/btcusdt-depth-snap.csv"
    assert detect_format(open_sources([path])[0]).name == "binance-csv"
