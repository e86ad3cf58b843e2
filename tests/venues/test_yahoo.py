"""Yahoo's bars: from the chart interface's JSON, from yfinance as its frames look, into an event file."""

import json
import sys
import types
from datetime import UTC, date, datetime

import pytest

from nanotick.core.instruments import Instrument
from nanotick.core.records import Kind
from nanotick.data.eventfile import EventFile
from nanotick.venues.yahoo.history import HistoryError, Price, decode_chart, fetch, history, write_bars

S = 1_000_000_000
START = 1_700_058_600  # 2023-11-15 14:30 UTC
AAPL, MSFT = Instrument("AAPL", price_decimals=4), Instrument("MSFT", price_decimals=2)
LATER = (START + 10 * 86_400) * S


def chart(rows, symbol="AAPL"):
    columns = list(zip(*rows, strict=True)) or [[]] * 6
    names = ("open", "high", "low", "close", "volume")
    quote = {name: list(column) for name, column in zip(names, columns[1:], strict=True)}
    result = {
        "meta": {"symbol": symbol, "currency": "USD"},
        "timestamp": list(columns[0]),
        "indicators": {"quote": [quote]},
    }
    return json.dumps({"chart": {"result": [result], "error": None}}).encode()


ROWS = [
    (START, 187.84500122070312, 188.1300048828125, 187.77999877929688, 188.02999877929688, 2_000_000),
    (START + 60, None, None, None, None, None),
    (START + 120, 188.0, 188.0, 187.5, 187.75, 1_500_000),
]


def read(path):
    with EventFile.open(path) as file:
        return file.events.copy(), list(file.instruments), dict(file.meta)


def test_a_saved_chart_becomes_an_event_file_stamped_at_the_ends_of_its_bars(tmp_path):
    symbol, prices = decode_chart(chart(ROWS))
    assert symbol == "AAPL" and len(prices) == 2
    count, left_out = write_bars(tmp_path / "bars.nt", {AAPL: prices}, "1m", LATER)
    events, instruments, meta = read(tmp_path / "bars.nt")
    assert count == 2 and not left_out and instruments[0].venue == "YAHOO" and meta["interval"] == "1m"
    assert [int(kind) for kind in events["kind"]] == [int(Kind.BAR)] * 2
    assert events["ts_venue"].tolist() == events["ts_recv"].tolist() == [(START + 60) * S, (START + 180) * S]
    first = events[0]
    assert (int(first["id"]), int(first["price"]), int(first["qty"])) == (1_878_450, 1_880_300, 2_000_000)
    assert int(first["word"]) >> 32 == 1000 and int(first["word"]) & 0xFFFFFFFF == 650  # above and below the body


def test_bars_of_several_symbols_are_in_the_order_of_time_and_each_at_its_own_scale(tmp_path):
    aapl = [Price((START + 60 * n) * S, 10.0, 11.0, 9.0, 10.5, 5.0) for n in range(3)]
    msft = [Price((START + 60 * n) * S, 20.005, 21.0, 19.0, 20.5, 7.0) for n in range(3)]
    write_bars(tmp_path / "bars.nt", {AAPL: aapl, MSFT: msft}, "1m", LATER)
    events, _, _ = read(tmp_path / "bars.nt")
    assert events["instrument"].tolist() == [0, 1] * 3 and (events["ts_recv"][1:] >= events["ts_recv"][:-1]).all()
    assert {int(v) for v in events["price"][events["instrument"] == 1]} == {2050}


def test_bars_that_cannot_be_are_left_out_and_counted(tmp_path):
    good = Price(START * S, 10.0, 11.0, 9.0, 10.5, 5.0)
    prices = [
        good,
        good,  # again
        good._replace(start=(START + 60) * S, close=float("nan")),
        good._replace(start=(START + 120) * S, open=0.0),
        good._replace(start=(START + 180) * S, high=10.1),  # below its close
        good._replace(start=(START + 240) * S, volume=float("nan")),
        good._replace(start=LATER - 30 * S),
    ]
    count, left_out = write_bars(tmp_path / "bars.nt", {AAPL: prices}, "1m", LATER)
    assert count == 2 and left_out["without prices"] == 2 and left_out["not ended"] == 1
    assert left_out["not after the one before"] == 1 and sum(left_out.values()) == 5
    with pytest.raises(HistoryError, match="no bar to write"):
        write_bars(tmp_path / "none.nt", {AAPL: []}, "1m", LATER)
    assert not (tmp_path / "none.nt").exists()


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"chart":{"result":null}}', chart(ROWS).replace(b'"volume"', b'"vol"')]
)
def test_what_is_no_chart_is_refused(body):
    with pytest.raises(HistoryError, match="chart interface"):
        decode_chart(body)


def test_yahoos_own_error_is_told():
    body = (
        b'{"chart":{"result":null,"error":{"code":"Not Found","description":"No data found, symbol may be delisted"}}}'
    )
    with pytest.raises(HistoryError, match="Not Found: No data found"):
        decode_chart(body)


def fake(monkeypatch, frame=None, error=None):
    """A yfinance that answers with one frame and remembers what it was asked."""
    asked = []

    class Ticker:
        def __init__(self, symbol):
            self.symbol = symbol

        def history(self, **settings):
            asked.append((self.symbol, settings))
            if error is not None:
                raise error
            return frame

    module = types.ModuleType("yfinance")
    module.Ticker = Ticker
    monkeypatch.setitem(sys.modules, "yfinance", module)
    return asked


def test_yfinance_is_asked_for_unadjusted_prices_and_its_frame_is_read(monkeypatch, tmp_path):
    pandas = pytest.importorskip("pandas")
    index = pandas.DatetimeIndex(pandas.to_datetime([START, START + 60], unit="s", utc=True)).tz_convert(
        "America/New_York"
    )
    columns = {"Open": [10.0, 10.5], "High": [11.0, 11.5], "Low": [9.0, 9.5], "Close": [10.5, 11.0],
               "Adj Close": [1.0, 1.0], "Volume": [100, 200]}  # fmt: skip
    asked = fake(monkeypatch, pandas.DataFrame(columns, index=index))
    now = datetime(2024, 1, 1, tzinfo=UTC)
    count, _ = history(tmp_path / "bars.nt", [AAPL], "1m", date(2023, 11, 15), date(2023, 11, 16), now)
    events, _, _ = read(tmp_path / "bars.nt")
    assert count == 2 and events["price"].tolist() == [105_000, 110_000]
    assert events["ts_recv"].tolist() == [(START + 60) * S, (START + 120) * S]
    symbol, settings = asked[0]
    assert symbol == "AAPL" and settings["auto_adjust"] is False and settings["start"] == "2023-11-15"


def test_what_yahoo_refuses_is_told_with_what_to_do(monkeypatch):
    pandas = pytest.importorskip("pandas")
    fake(monkeypatch, error=RuntimeError("Too Many Requests"))
    with pytest.raises(HistoryError, match=r"AAPL: Yahoo gave no 1m bars.*Too Many Requests.*try later"):
        fetch("AAPL", "1m", date(2023, 11, 15), date(2023, 11, 16))
    fake(monkeypatch, pandas.DataFrame())
    with pytest.raises(HistoryError, match="has no 1d bars"):
        fetch("AAPL", "1d", date(2023, 11, 15), date(2023, 11, 16))
    with pytest.raises(HistoryError, match="interval: expected one of 1m"):
        fetch("AAPL", "3s", date(2023, 11, 15), date(2023, 11, 16))


def test_without_yfinance_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "yfinance", None)
    with pytest.raises(ImportError, match=r"nanotick\[yahoo\]"):
        fetch("AAPL", "1m", date(2023, 11, 15), date(2023, 11, 16))


def test_the_command_writes_a_file_and_says_what_it_did(monkeypatch, tmp_path, capsys):
    from nanotick.cli.yahoo import yahoo

    pandas = pytest.importorskip("pandas")
    index = pandas.to_datetime([START], unit="s", utc=True)
    columns = {"Open": [10.0], "High": [11.0], "Low": [9.0], "Close": [10.5], "Volume": [100]}
    fake(monkeypatch, pandas.DataFrame(columns, index=index))
    days = {"start": date(2023, 11, 15), "end": date(2023, 11, 16)}
    assert yahoo("AAPL", "MSFT", output=tmp_path / "bars.nt", as_json=True, **days) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["events"] == 2 and found["symbols"] == ["AAPL", "MSFT"] and found["left_out"] == {}
    assert yahoo(output=tmp_path / "none.nt", **days) == 2
    monkeypatch.setitem(sys.modules, "yfinance", None)
    assert yahoo("AAPL", output=tmp_path / "none.nt", **days) == 1
    assert "nanotick[yahoo]" in capsys.readouterr().err
