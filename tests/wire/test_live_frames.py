"""Live frames: the kernel and the general path give the same records, frame by frame; Binance chains; Kraken books."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.kernel import kernel
from nanotick.core.memory import store_i64
from nanotick.core.records import Kind
from nanotick.wire import binance, coinbase, kraken
from nanotick.wire.equity_scan import scan_rfc3339
from nanotick.wire.json_scan import REASONS, scan_number
from nanotick.wire.json_text import WireError, rfc3339_ns, rfc3339_text, scaled
from nanotick.wire.kraken import KrakenBook
from nanotick.wire.live_frames import MAX_FRAME, LiveFrames
from nanotick.wire.messages import Notice, Order
from tests.guarded import Guarded, mutations

TABLE = InstrumentTable(
    [
        Instrument("MSFT", "POLYGON", 4, 0), Instrument("AMD", "ALPACA", 4, 0), Instrument("AAPL", "ALPACA", 2, 2),
        Instrument("BNBUSDT", "BINANCE", 8, 8, currency="USDT"), Instrument("AAPL", "POLYGON", 3, 0),
        Instrument("BTC/USD", "KRAKEN", 1, 8, "0.1"), Instrument("BTC-USD", "COINBASE", 2, 8), Instrument("AAPL",
            "FINNHUB", 4, 4),
    ]
)  # fmt: skip
RECV = 1_700_000_000_000_000_001
GUARD = Guarded(1 << 12)
OUT = np.zeros(1, dtype=np.int64)


@kernel("i8(i8,i8,i8)")
def number_one(p: int, decimals: int, out: int) -> int:
    value, end = scan_number(p, decimals)
    store_i64(out, value)
    return end


@kernel("i8(i8,i8)")
def stamp_one(p: int, out: int) -> int:
    value, end = scan_rfc3339(p)
    store_i64(out, value)
    return end


def put(text: str) -> int:
    return GUARD.put(np.frombuffer(text.encode() + b"\n", dtype=np.uint8))


@given(
    st.from_regex(r"\A(0|[1-9][0-9]{0,19})(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,2})?[,\]} ]", fullmatch=True),
    st.integers(0, 9),
)
def test_a_bare_number_is_exact_or_left_to_the_general_path(text, decimals) -> None:
    at = put(text)
    end = number_one(at, decimals, int(OUT.ctypes.data))
    digits = text[:-1]
    if end < 0:
        assert end in REASONS
        whole = digits.partition(".")[0]
        if "e" not in digits.lower() and len(whole) + decimals <= 18:
            with pytest.raises(WireError, match="decimal places"):
                scaled(digits, decimals)
    else:
        assert end == at + len(digits) and int(OUT[0]) == scaled(digits, decimals)


@given(st.integers(0, 7_000_000_000_000_000_000), st.integers(0, 9), st.booleans())
def test_a_time_is_read_as_the_general_path_reads_it(ns, places, wrong) -> None:
    text = rfc3339_text(ns)
    text = text[:19] + (f".{text[20 : 20 + places]}" if places else "") + "Z"
    if wrong:
        text = text.replace(text[5:7], f"{(ns // 7) % 99:02d}", 1)
    at = put(text + '"')
    end = stamp_one(at, int(OUT.ctypes.data))
    try:
        expected = rfc3339_ns(text)
    except WireError:
        assert end < 0
        return
    if end >= 0:
        assert int(OUT[0]) == expected and end == at + len(text)
    else:
        assert not 1970 <= int(text[:4]) < 2200


SEEDS = {
    "polygon": [
        b'[{"ev":"Q","sym":"MSFT","bx":4,"bp":114.125,"bs":100,"ax":7,"ap":114.128,"as":160,"c":0,"i":[604],'
        b'"t":1536036818784,"q":50385480,"z":3}]',
        b'[{"ev":"T","sym":"MSFT","x":4,"i":"12345","z":3,"p":114.125,"s":100,"c":[0,15],"t":1536036818784,"q":3681328},'
        b'{"ev":"T","sym":"AAPL","i":8310,"p":156.979,"s":3,"t":1577818283019,"trfi":202,"trft":1577818283019}]',
        b'[{"ev":"Q","sym":"UFO","bp":26.4,"t":1577818659363},{"ev":"Q","sym":"AAPL","ap":26.47,"as":3,"t":1577818659363}]',
        b'[{"ev":"status","status":"connected","message":"Connected Successfully"}]',
    ],
    "alpaca": [
        b'[{"T":"q","S":"AMD","bx":"U","bp":87.66,"bs":1,"ax":"Q","ap":87.68,"as":4,"t":"2021-02-22T15:51:45.335689322Z",'
        b'"c":["R"],"z":"C"}]',
        b'[{"T":"t","i":96921,"S":"AAPL","x":"D","p":126.55,"s":1,"t":"2021-02-22T15:51:44.208Z","c":["@","I"],"z":"C"},'
        b'{"T":"t","i":7,"S":"AAPL","x":"D","p":126.5,"s":1.25,"t":"2021-02-22T15:51:44Z","c":["@","M"],"z":"C"}]',
        b'[{"T":"success","msg":"connected"}]',
    ],
    "binance": [
        b'{"stream":"bnbusdt@bookTicker","data":{"u":400900217,"s":"BNBUSDT","b":"25.35190000","B":"31.21000000",'
        b'"a":"25.36520000","A":"40.66000000"}}',
        b'{"e":"depthUpdate","E":1672515782136,"s":"BNBUSDT","U":157,"u":160,"b":[["0.0024","10"]],"a":[["0.0026","100"]]}',
        b'{"e":"trade","E":1672515782136,"s":"BNBUSDT","t":12345,"p":"0.001","q":"100","T":1672515782136,"m":true,"M":true}',
        b'{"e":"aggTrade","E":1672515782136,"s":"BNBUSDT","a":12345,"p":"0.001","q":"100","f":1,"l":2,"T":1672515782136,'
        b'"m":false,"M":true}',
    ],
}  # fmt: skip


def outcome(frames: LiveFrames, data: bytes) -> "bytes | None":
    try:
        return frames.events[: frames.read(data, RECV)].tobytes()
    except WireError as error:
        assert str(error).startswith(f"{frames.venue}: ") and len(str(error)) < 500
        return None


def compare(protocol: str, count: int, seed: int) -> int:
    fast, slow = (LiveFrames(TABLE, protocol.upper(), protocol, kernel=use) for use in (True, False))
    same = 0
    for n, item in enumerate(mutations(SEEDS[protocol], count, seed)):
        # every other one stays printable, so that more of them remain JSON
        data = bytes(item) if n % 2 else bytes(b if 32 <= b < 127 else 32 + b % 95 for b in bytes(item))
        one, two = outcome(fast, data), outcome(slow, data)
        assert one == two, data
        same += one is not None and len(one) > 0
    assert fast.refused == slow.refused and slow.scanned == 0 and fast.scanned > count // 100
    return same


@pytest.mark.parametrize("protocol", SEEDS)
def test_kernel_and_general_path_give_the_same_records_of_mutated_frames(protocol) -> None:
    assert compare(protocol, 34_000, 41) > 300


@pytest.mark.nightly
@pytest.mark.parametrize("protocol", SEEDS)
def test_kernel_and_general_path_give_the_same_records_of_many_mutated_frames(protocol) -> None:
    assert compare(protocol, 1_000_000, 42) > 300


members = st.fixed_dictionaries(
    {"T": st.sampled_from("tq"), "S": st.sampled_from(["AAPL", "AMD", "ZZZ"]), "t": st.integers(0,
        2**62).map(rfc3339_text)},
    optional={name: st.one_of(st.integers(0, 10**7), st.decimals(0, 10**5, places=3).map(float), st.none())
              for name in ("p", "s", "bp", "bs", "ap", "as", "i", "zz", "n")}
    | {"c": st.lists(st.sampled_from(["@", "M", "9", "Q", "I"]), max_size=3), "x": st.sampled_from(["D", "é", "\\"])},
)  # fmt: skip


@given(st.lists(members, max_size=3), st.sampled_from([(",", ":"), (", ", ": ")]), st.randoms(use_true_random=False))
def test_any_alpaca_frame_is_read_alike_by_both_paths(items, separators, random) -> None:
    shuffled = [dict(random.sample(sorted(item.items(), key=str), len(item))) for item in items]
    data = json.dumps(shuffled, separators=separators, ensure_ascii=False).encode()
    fast, slow = (LiveFrames(TABLE, "ALPACA", "alpaca", 64, kernel=use) for use in (True, False))
    assert outcome(fast, data) == outcome(slow, data)


def test_the_documented_messages_are_read_by_the_kernel_alone() -> None:
    for protocol, seeds in SEEDS.items():
        frames = LiveFrames(TABLE, protocol.upper(), protocol)
        for seed in seeds:
            frames.read(seed, RECV)
        assert frames.scanned == {"polygon": 3, "alpaca": 2, "binance": 4}[protocol] and frames.refused == 0
    frames = LiveFrames(TABLE, "POLYGON", "polygon")
    assert frames.read(SEEDS["polygon"][0], RECV) == 1
    event = frames.events[0]
    assert (event["kind"], event["price"], event["qty"], event["id"], event["word"]) == (
        Kind.QUOTE,
        1_141_250,
        100,
        1_141_280,
        160,
    )
    assert (event["ts_venue"], event["ts_recv"], event["seq"], event["instrument"]) == (
        1_536_036_818_784_000_000, RECV, 50_385_480, 0)  # fmt: skip
    assert frames.read(SEEDS["polygon"][3], RECV) == 0 and frames.notices[0].status == "connected"


def diff(first: int, last: int, qty: str = "1") -> bytes:
    return json.dumps({"e": "depthUpdate", "E": 1672515782136, "s": "BNBUSDT", "U": first, "u": last,
                       "b": [["1.5", qty]], "a": []}, separators=(",", ":")).encode()  # fmt: skip


@pytest.mark.parametrize("kernel_too", [True, False])
def test_a_hole_in_a_binance_chain_is_a_gap_and_an_old_diff_is_dropped(kernel_too) -> None:
    frames = LiveFrames(TABLE, "BINANCE", "binance", kernel=kernel_too)
    told = []
    for first, last in ((10, 12), (13, 13), (12, 13), (16, 18), (19, 20)):
        count = frames.read(diff(first, last), RECV)
        told.append([(Kind(e["kind"]).name, int(e["seq"]), int(e["word"])) for e in frames.events[:count]])
    assert told == [
        [("LEVEL", 12, 0)], [("LEVEL", 13, 0)], [], [("GAP", 14, 2), ("LEVEL", 18, 0)], [("LEVEL", 20, 0)]
    ]  # fmt: skip


def test_kraken_books_keep_the_digits_that_the_checksum_needs() -> None:
    frames = LiveFrames(TABLE, "KRAKEN", "kraken")
    count = frames.read(
        b'{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":45283.5,"qty":0.10000000}],'
        b'"asks":[{"price":45285.2,"qty":0.00100000}],"checksum":1,"timestamp":"2023-10-06T17:35:55.440295Z"}]}', RECV
    )  # fmt: skip
    assert [Kind(e["kind"]) for e in frames.events[:count]] == [Kind.CLEAR, Kind.LEVEL, Kind.LEVEL]
    book = KrakenBook(1, 10)
    book.set(1, "45283.5", "0.10000000")
    assert book.best(1) == [("45283.5", "0.10000000")]


def test_the_other_protocols_go_the_general_way() -> None:
    advanced = LiveFrames(TABLE, "COINBASE", "coinbase")
    count = advanced.read(
        b'{"channel":"l2_data","timestamp":"2026-04-07T14:30:00.123456Z","sequence_num":4,"events":[{"type":"update",'
        b'"product_id":"BTC-USD","updates":[{"side":"bid","price_level":"1.0","new_quantity":"2"}]}]}', RECV
    )  # fmt: skip
    assert count == 1 and advanced.sequences == [4]
    finnhub = LiveFrames(TABLE, "FINNHUB", "finnhub")
    assert finnhub.read(b'{"type":"trade","data":[{"s":"AAPL","p":129.58,"t":1672348887666,"v":1}]}', RECV) == 1
    with pytest.raises(ValueError, match="protocol: expected one of"):
        LiveFrames(TABLE, "FINNHUB", "fix")


def test_the_full_channel_of_coinbase_executes_and_removes_each_order_once() -> None:
    frames = LiveFrames(TABLE, "COINBASE", "coinbase", by_order=True)
    form = '{"type":"%s","time":"2014-11-07T08:19:27.028459Z","product_id":"BTC-USD","sequence":%d,%s}'
    told, numbers = [], []
    for n, (kind, rest) in enumerate(
        [("received", '"order_id":"1","side":"sell"'),
         ("open", '"order_id":"1","price":"200.2","remaining_size":"2","side":"sell"'),
         ("match", '"maker_order_id":"1","trade_id":9,"size":"2","price":"200.2","side":"sell"'),
         ("done", '"order_id":"1","price":"200.2","remaining_size":"0","side":"sell","reason":"filled"'),
         ("open", '"order_id":"2","price":"200.3","remaining_size":"1","side":"sell"'),
         ("done", '"order_id":"2","price":"200.3","remaining_size":"1","side":"sell","reason":"canceled"')], 50
    ):  # fmt: skip
        frame = (form % (kind, n, rest)).encode()
        for event in frames.events[: frames.read(frame, RECV)]:
            told.append((Kind(event["kind"]).name, int(event["id"]), int(event["side"])))
        numbers += [message.seq for message in coinbase.decode_frame(frame)]  # type: ignore[union-attr]
    assert told == [("ADD", 1, -1), ("EXECUTE", 1, -1), ("ADD", 2, -1), ("DELETE", 2, -1)]
    assert numbers == list(range(50, 56))
    book, sequence = coinbase.decode_book(
        b'{"sequence":3,"bids":[["295.96","4.39","7"]],"asks":[["296","1","8"]]}', "B"
    )
    assert sequence == 3 and [(o.order_id, o.side) for o in book if isinstance(o, Order)] == [(7, 1), (8, -1)]


def test_what_venues_say_of_themselves_becomes_a_notice() -> None:
    online = b'{"channel":"status","type":"update","data":[{"system":"cancel_only","api_version":"v2"}]}'
    assert kraken.decode_frame(online) == [Notice("cancel_only", kind="status")]
    refused = b'{"method":"subscribe","success":false,"error":"Currency pair not supported","req_id":1}'
    assert kraken.decode_frame(refused) == [Notice("error", "Currency pair not supported", kind="error")]
    error = b'{"type":"error","message":"Failed to subscribe","reason":"no"}'
    assert coinbase.decode_frame(error) == [Notice("error", "Failed to subscribe", kind="error")]
    invalid = b'{"error":{"code":2,"msg":"Invalid request"},"id":1}'
    assert binance.decode_frame(invalid) == [Notice("error", "Invalid request", 1, "error")]
    assert binance.decode_frame(b'{"result":null,"id":7}') == [Notice("result", code=7)]
    assert binance.decode_frame(b'{"e":"serverShutdown","E":1770123456789}') == [Notice("serverShutdown")]


HOSTILE = [b"[" * 100_000, b'[{"T":' * 50_000, b"x" * (MAX_FRAME + 1), b'[{"T":"t","S":"' + b"A" * 100_000,
    b'"' * 9999, b"",
           b"[" + b"{}," * 100_000 + b"{}]", b'[{"T":"q","bp":1e999999}]', b'[{"T":"q","bp":NaN}]',
           b"\xff\xfe"]  # fmt: skip


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_frames_are_refused_by_venue_and_reason(number) -> None:
    for protocol in ("polygon", "alpaca", "binance"):
        frames = LiveFrames(TABLE, protocol.upper(), protocol)
        with pytest.raises(WireError, match=f"^{protocol.upper()}: "):
            frames.read(HOSTILE[number], RECV)
