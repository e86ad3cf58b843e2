"""The kernel over Binance lines against the general path: the same events from any valid message."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.records import EVENT, Flag, Kind
from nanotick.data.archive import Stream, open_sources
from nanotick.data.binance_lines import BinanceReader
from nanotick.data.binance_markets import Markets
from nanotick.data.format import Listing, Options, Reading, parse_specs
from nanotick.data.quality import Anomaly, QualityReport
from nanotick.data.recorded_lines import split_line
from nanotick.wire import binance_scan as scan
from nanotick.wire.binance import decode_frame
from nanotick.wire.binance_chain import APPLY, DROP, GAP, MARKET, take_diff, take_snapshot
from nanotick.wire.json_text import WireError
from tests.guarded import Guarded, mutations

REPOSITORY = Path(__file__).resolve().parents[2]
SPEC = Options(specs=parse_specs(["*:price_decimals=2,qty_decimals=3,tick=0.01,lot=0.001"]))


def reader(options: Options = SPEC) -> BinanceReader:
    made = BinanceReader(options, QualityReport(), Listing(options))
    made._venues[0] = Markets()
    return made


def by_kernel(lines: "list[bytes]") -> "tuple[np.ndarray, QualityReport]":
    made = reader()
    body = [b"".join(line + b"\n" for line in lines)]
    chunks = made.read(("x.gz", lambda: Stream("x", lambda: body.pop() if body else b"")), 0)
    rows = [chunk.copy() for chunk in chunks]
    return np.concatenate([np.zeros(0, dtype=EVENT), *rows]), made._report


def by_general_path(lines: "list[bytes]") -> "tuple[np.ndarray, int]":
    made = reader()
    made.markets = made._venues[0]
    rows, refused = [np.zeros(0, dtype=EVENT)], 0
    for line in filter(None, lines):
        try:
            stamp, data = split_line(line)
            for message in decode_frame(data):
                rows.append(made.rows_of(message, stamp))
                made._keep(rows[-1])
        except WireError:
            refused += 1
    return np.concatenate(rows), refused


def check(lines: "list[bytes]") -> None:
    fast, report = by_kernel(lines)
    slow, refused = by_general_path(lines)
    assert fast.tobytes() == slow.tobytes()
    assert report.count(Anomaly.MALFORMED) == refused


SYMBOLS = ["BTCUSDT", "ETHUSDT", "BTCUSD_PERP", "1000SHIBUSDT"]
KINDS = "depth futures_depth trade aggTrade bookTicker futures_bookTicker mark snapshot kline reply".split()
price = st.decimals(0, 90_000, places=2).map(str)
qty = st.decimals(0, 5_000, places=3).map(str)
odd_number = st.sampled_from(
    ["1e2", "0.0001", "-1", "NaN", "", "123456789012345678901", "1.50000000000000000000", "01.5"]
)
number = st.one_of(price, price, price, price, odd_number)
size = st.one_of(qty, qty, qty, qty, odd_number)
stamp = st.integers(1_600_000_000_000, 1_800_000_000_000)
ids = st.integers(1, 60)
levels = st.lists(st.tuples(number, size).map(list), max_size=5)


@st.composite
def message(draw):
    symbol = draw(st.sampled_from(SYMBOLS))
    kind = draw(st.sampled_from(KINDS))
    first = draw(ids)
    if kind in ("depth", "futures_depth"):
        m = {"e": "depthUpdate", "E": draw(stamp), "s": symbol, "U": first, "u": first + draw(st.integers(0, 3)),
             "b": draw(levels), "a": draw(levels)}  # fmt: skip
        if kind == "futures_depth":
            m |= {"T": draw(stamp), "pu": draw(ids)}
    elif kind in ("trade", "aggTrade"):
        m = {"e": kind, "E": draw(stamp), "T": draw(stamp), "s": symbol, "p": draw(number), "q": draw(size),
             "m": draw(st.booleans()), "a": draw(ids)}  # fmt: skip
        m |= {"t": draw(ids), "b": draw(ids)} if kind == "trade" else {"f": 1, "l": 2}
        if draw(st.booleans()):
            m["X"] = draw(st.sampled_from(["MARKET", "INSURANCE_FUND", "NA"]))
    elif kind in ("bookTicker", "futures_bookTicker"):
        m = {"u": first, "s": symbol, "b": draw(number), "B": draw(size), "a": draw(number), "A": draw(size)}
        if kind == "futures_bookTicker":
            m |= {"e": "bookTicker", "T": draw(stamp), "E": draw(stamp)}
    elif kind == "mark":
        m = {"e": "markPriceUpdate", "E": draw(stamp), "s": symbol, "p": "1.23456", "i": "1.2", "r": "0.0001", "T": 5}
    elif kind == "snapshot":
        m = {"lastUpdateId": first, "symbol": symbol, "bids": draw(levels), "asks": draw(levels)}
    elif kind == "kline":
        m = {"e": "kline", "E": 1, "s": symbol, "k": {"t": 1, "o": "1"}}
    else:
        m = {"result": None, "id": 1}
    if draw(st.integers(0, 3)) == 0:  # a field unknown, missing, null, or of another type
        key = draw(st.sampled_from([*m, "zz", "Z"]))
        m[key] = draw(st.sampled_from([None, 1, "x", [], {}, [["1", "2"]], {"q": [1, {"w": '\\"'}]}, True, 1.5]))
        if draw(st.booleans()):
            del m[key]
    if draw(st.integers(0, 3)) == 0:
        m = dict(draw(st.permutations(list(m.items()))))
    text = json.dumps(m, separators=(",", ":") if draw(st.booleans()) else None)
    if draw(st.integers(0, 9)) == 0:
        text = text[: draw(st.integers(0, len(text)))]
    wrapped = draw(
        st.sampled_from(["", '{"stream":"x@y","data":%s}', '{"data":%s,"stream":"x"}', '{"stream":"x","data":%s'])
    )
    text = wrapped % text if wrapped else text
    local = draw(st.sampled_from(["", "", "1723161255030314667 ", "1680652700423575 ", "1680652700423 ", "12x "]))
    return (local + text).encode()


@given(st.lists(message(), max_size=12))
def test_kernel_and_general_path_give_the_same_events(lines: "list[bytes]") -> None:
    check(lines)


BOOK = (
    b'1723161255030314667 {"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1723161256299,"T":1723161256298,'
    b'"s":"BTCUSDT","U":10,"u":12,"pu":9,"b":[["58710.20","0.014"]],"a":[["61496.50","0.010"],["61510.90","0.000"]]}}'
)


def test_a_depth_message_becomes_levels_and_the_last_closes_it() -> None:
    rows, report = by_kernel([BOOK])
    assert [(r["side"], r["price"], r["qty"]) for r in rows] == [(1, 5871020, 14), (-1, 6149650, 10), (-1, 6151090, 0)]
    assert [bool(r["flags"] & Flag.LAST) for r in rows] == [False, False, True]
    assert set(rows["ts_venue"]) == {1723161256298 * 10**6} and set(rows["ts_recv"]) == {1723161255030314667}
    assert set(rows["seq"]) == {12} and report.messages == {"depthUpdate": 1}


def test_missing_update_ids_become_a_gap_before_the_levels() -> None:
    later = BOOK.replace(b'"U":10,"u":12,"pu":9', b'"U":20,"u":22,"pu":19')
    rows, report = by_kernel([BOOK, later])
    assert [Kind(k).name for k in rows["kind"]] == ["LEVEL"] * 3 + ["GAP"] + ["LEVEL"] * 3
    assert (rows["seq"][3], rows["word"][3]) == (13, 7) and report.count(Anomaly.GAP) == 1
    assert list(rows["price"][4:]) == [5871020, 6149650, 6151090]


def test_levels_newer_than_a_late_snapshot_are_applied_again_after_it() -> None:
    later = BOOK.replace(b'"U":10,"u":12,"pu":9', b'"U":13,"u":15,"pu":12').replace(b"0.014", b"0.020")
    snapshot = b'1723161255030314668 {"lastUpdateId":12,"bids":[["58710.20","0.014"]],"asks":[]}'
    rows, report = by_kernel([BOOK, later, snapshot])
    tail = rows[6:]
    assert [Kind(k).name for k in tail["kind"]] == ["CLEAR"] + ["LEVEL"] * 4
    assert list(tail["qty"][1:]) == [14, 20, 10, 0] and not report.anomalies
    assert set(tail["ts_recv"]) == {1723161255030314668}


def chain(mode: int, last: int, before: int = 0) -> np.ndarray:
    market = np.zeros(1, dtype=MARKET)
    market["mode"], market["last_id"], market["before_first"] = mode, last, before
    return market


def test_spot_first_diff_after_a_snapshot_must_cover_the_next_id() -> None:
    for first, last, wanted in [
        (90, 100, DROP),
        (95, 105, APPLY),
        (101, 105, APPLY),
        (102, 105, GAP),
        (100, 100, DROP),
    ]:
        market = chain(2, 100)
        assert take_diff(int(market.ctypes.data), first, last, -1) == wanted, (first, last)


def test_futures_first_diff_after_a_snapshot_starts_at_or_before_it() -> None:
    for last, previous, wanted in [
        (99, 80, DROP),
        (105, 95, APPLY),
        (105, 100, APPLY),
        (105, 101, GAP),
        (100, 90, APPLY),
    ]:
        market = chain(2, 100)
        assert take_diff(int(market.ctypes.data), 96, last, previous) == wanted, (last, previous)


def test_in_the_chain_futures_need_the_previous_id_and_spot_the_next() -> None:
    futures = [(7, 9, 5, APPLY), (7, 9, 4, GAP), (7, 9, 6, GAP), (2, 5, 1, DROP)]
    spot = [(6, 9, -1, APPLY), (7, 9, -1, GAP), (3, 9, -1, APPLY), (2, 5, -1, DROP)]
    for first, last, previous, wanted in futures + spot:
        market = chain(1, 5)
        assert take_diff(int(market.ctypes.data), first, last, previous) == wanted, (first, last, previous)


def test_a_snapshot_older_than_the_first_diff_is_a_gap() -> None:
    assert take_snapshot(int(chain(1, 50, before=20).ctypes.data), 30) == APPLY
    assert take_snapshot(int(chain(1, 50, before=40).ctypes.data), 30) == GAP


def test_a_repeated_key_is_refused_and_nothing_is_changed() -> None:
    rows, report = by_kernel([BOOK.replace(b'"pu":9', b'"pu":9,"u":13'), BOOK])
    assert len(rows) == 3 and report.count(Anomaly.MALFORMED) == 1


def test_an_endless_line_is_skipped_within_bounds() -> None:
    rows, report = by_kernel([b'{"e":"' + b"x" * (40 << 20) + b'"}', BOOK])
    assert len(rows) == 3 and report.count(Anomaly.MALFORMED) >= 1


SEEDS = [
    BOOK,
    b'1680652700441533 {"stream":"btcusdt@trade","data":{"e":"trade","E":1680652700455,"T":1680652700452,"s":"BTCUSDT",'
    b'"t":3535186032,"p":"28145.10","q":"0.002","X":"MARKET","m":true}}',
    b'1680652800004231 {"stream":"btcusdt@bookTicker","data":{"u":36090299876,"s":"BTCUSDT","b":"28165.47000000",'
    b'"B":"7.98600000","a":"28165.48000000","A":"3.26800000"}}',
]


def scanned(data: np.ndarray, guard: Guarded, out: Guarded) -> "tuple[int, int, int]":
    markets = Markets()
    markets.add("BTCUSDT")
    markets.records["price_decimals"][0], markets.records["qty_decimals"][0] = 2, 3
    state, rows = markets.state, 8
    state["out_address"], state["capacity"] = out.room(rows * 64), rows
    at = guard.put(data)
    scan.scan_lines(int(state.ctypes.data), at, at + len(data))
    return int(state["position"][0]) - at, int(state["status"][0]), int(state["rows"][0])


def test_mutated_lines_never_lead_past_the_input_or_the_output() -> None:
    guard, out = Guarded(1 << 16), Guarded(1 << 16)
    for item in mutations(SEEDS, 100_000, 11):
        data = np.concatenate([item, np.array([10], dtype=np.uint8)])
        position, status, rows = scanned(data, guard, out)
        assert 0 <= position <= len(data) and 0 <= rows <= 8
        assert status != scan.DONE or position == len(data)


def test_mutated_recordings_give_the_general_path_s_events() -> None:
    lines = [bytes(item).replace(b"\n", b"") for item in mutations(SEEDS, 1_500, 12)]
    check(lines)


@pytest.mark.nightly
def test_many_mutated_recordings_give_the_general_path_s_events() -> None:
    for seed in range(50):
        check([bytes(item).replace(b"\n", b"") for item in mutations(SEEDS, 20_000, 100 + seed)])


def test_a_line_that_expands_beyond_bounds_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "btcusdt_20240101.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(BOOK + b"\n{")
        for _ in range(100):
            file.write(b" " * (1 << 20))
        file.write(b"\n" + BOOK.replace(b'"U":10,"u":12,"pu":9', b'"U":13,"u":13,"pu":12') + b"\n")
    tracemalloc.start()
    reading = Reading(open_sources([path]), "binance")
    rows = sum(len(chunk) for chunk in reading)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 6 and reading.report.count(Anomaly.MALFORMED) >= 1
    assert peak < 120 << 20


def digest_of_mutated_lines() -> str:
    lines = [bytes(item).replace(b"\n", b"") for item in mutations(SEEDS, 300, 77)]
    for u in range(20, 60, 2):  # every other one after a gap
        numbers = b'"U":%d,"u":%d,"pu":%d' % (u + 1, u + 2, u - 7 * (u % 4 == 0))
        lines += [BOOK.replace(b'"U":10,"u":12,"pu":9', numbers), SEEDS[1], SEEDS[2]]
    rows, report = by_kernel(lines)
    assert len(rows) > 100 and report.count(Anomaly.GAP) >= 10
    return hashlib.sha256(rows.tobytes() + repr(sorted(report.messages.items())).encode()).hexdigest()


def test_interpreted_and_compiled_kernels_give_the_same_bytes() -> None:
    program = "from tests.wire.test_binance import digest_of_mutated_lines as f; print(f())"
    environment = {**os.environ, "NANOTICK_INTERPRET": "1", "PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert done.stdout.strip() == digest_of_mutated_lines()
