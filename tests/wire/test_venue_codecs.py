"""Codecs of Kraken, Coinbase, Bitstamp, Bybit, Bitfinex and Binance: documented shapes, vectors, arbitrary bytes."""

import json
import lzma
from pathlib import Path

import numpy as np
import pytest

from nanotick.core.records import BUY, SELL, Kind
from nanotick.wire import binance, bitstamp, bybit, coinbase, kraken
from nanotick.wire.bitfinex import BitfinexCodec
from nanotick.wire.json_text import WireError, decode
from nanotick.wire.messages import Depth, Message, Order, Other, Trade
from tests.guarded import mutations

KRAKEN_ASKS = """45285.2/0.00100000 45286.4/1.54571953 45286.6/1.54571109 45289.6/1.54560911 45290.2/0.15890660
45291.8/1.54553491 45294.7/0.04454749 45296.1/0.35380000 45297.5/0.09945542 45299.5/0.18772827"""
KRAKEN_BIDS = """45283.5/0.10000000 45283.4/1.54582015 45282.1/0.10000000 45281.0/0.10000000 45280.3/1.54592586
45279.0/0.07990000 45277.6/0.03310103 45277.5/0.30000000 45277.3/1.54602737 45276.6/0.15445238"""


def levels(text: str) -> "list[tuple[str, str]]":
    return [tuple(level.split("/")) for level in text.split()]  # type: ignore[misc]


def test_kraken_checksum_of_the_documented_book() -> None:
    assert kraken.book_checksum(levels(KRAKEN_ASKS), levels(KRAKEN_BIDS)) == 3310070434


def test_kraken_v2_numbers_keep_their_digits() -> None:
    body = {side: ",".join(f'{{"price":{p},"qty":{q}}}' for p, q in levels(text))
            for side, text in (("asks", KRAKEN_ASKS), ("bids", KRAKEN_BIDS))}  # fmt: skip
    frame = (
        '{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD",'
        f'"bids":[{body["bids"]}],"asks":[{body["asks"]}],'
        '"checksum":3310070434,"timestamp":"2023-10-06T17:35:55.440295Z"}]}'
    )
    (depth,) = kraken.decode_frame(frame.encode())
    assert isinstance(depth, Depth) and depth.snapshot and depth.bids == levels(KRAKEN_BIDS)
    assert kraken.book_checksum(depth.asks, depth.bids) == depth.checksum


def test_kraken_book_restores_digits_that_were_lost() -> None:
    book = kraken.KrakenBook(1, 10, 1, 8)
    for side, text in ((SELL, KRAKEN_ASKS), (BUY, KRAKEN_BIDS)):
        for price, qty in levels(text):
            book.set(side, str(float(price)), f"{float(qty):.8f}".rstrip("0"))
    assert book.checksum() == 3310070434


def test_kraken_v1_message_with_both_sides_in_two_bodies() -> None:
    frame = b'[1234,{"a":[["5541.30000","2.50700000","1534614248.456738"]]},{"b":[["5541.30000","0.00000000",' \
            b'"1534614335.345903"]],"c":"974942666"},"book-10","XBT/USD"]'  # fmt: skip
    (depth,) = kraken.decode_frame(frame)
    assert isinstance(depth, Depth) and (len(depth.bids), len(depth.asks), depth.checksum) == (1, 1, 974942666)
    assert depth.ts_venue == 1534614335345903000


def test_coinbase_trades_take_the_side_opposite_to_the_maker_s() -> None:
    frame = (
        b'{"channel":"market_trades","timestamp":"2026-04-07T14:30:02.789012Z","sequence_num":5,"events":[{"type":"update",'
        b'"trades":[{"trade_id":"2","product_id":"BTC-USD","price":"2.5","size":"1","side":"SELL",'
        b'"time":"2026-04-07T14:30:02.7Z"}]}]}'
    )
    trade = coinbase.decode_frame(frame)[-1]
    assert isinstance(trade, Trade) and (trade.side, trade.trade_id) == (BUY, 2)


def test_coinbase_exchange_orders_live_and_die() -> None:
    form = '{"type":"%s","time":"2014-11-07T08:19:27.028459Z","product_id":"BTC-USD","sequence":10,"order_id":"d-1",%s}'
    found = [
        coinbase.decode_frame((form % item).encode())[0]
        for item in [
            ("open", '"price":"200.2","remaining_size":"1.00","side":"sell"'),
            ("change", '"price":"200.2","new_size":"0.50","old_size":"1.00","side":"sell"'),
            ("done", '"price":"200.2","remaining_size":"0","side":"sell","reason":"filled"'),
            ("done", '"side":"sell","reason":"filled"'),
        ]
    ]
    assert [m.action for m in found[:3] if isinstance(m, Order)] == [Kind.ADD, Kind.MODIFY, Kind.DELETE]
    assert isinstance(found[3], Other)


def test_bitstamp_floats_are_read_at_eight_places() -> None:
    assert bitstamp.eight_places("1.7885566900000001") == "1.78855669"
    assert bitstamp.eight_places("9.9999999999999995e-07") == "0.00000100"
    assert bitstamp.eight_places("236.47") == "236.47"


def test_bitfinex_knows_orders_by_channel() -> None:
    codec = BitfinexCodec()
    frames = [
        '{"event":"subscribed","channel":"book","chanId":7,"symbol":"tBTCUSD","prec":"R0"}',
        "[7,[[1,100.5,0.2],[2,101,-0.3]]]",
        "[7,[1,100.5,0.1]]",
        "[7,[3,99,1]]",
        "[7,[2,0,-1]]",
        '[7,"hb"]',
    ]
    found: list[Message] = []
    for frame in frames:
        found += codec.decode_message(decode(frame.encode()))
    orders = [(Kind(m.action).name, m.order_id, m.side) for m in found if isinstance(m, Order)]
    assert orders == [("ADD", 1, 1), ("ADD", 2, -1), ("MODIFY", 1, 1), ("ADD", 3, 1), ("DELETE", 2, -1)]
    with pytest.raises(WireError, match="never subscribed"):
        codec.decode_message(decode(b"[8,[1,2,3]]"))


def texts(path: Path) -> "list[bytes]":
    """The messages of a sample file: one document, one a line, or the wrapped form of the collections."""
    raw = lzma.open(path).read() if path.suffix == ".xz" else path.read_bytes()
    try:
        held = json.loads(raw)
    except ValueError:
        lines = [line for line in raw.splitlines() if line.strip()]
        held = []
        for line in lines:
            try:
                item = json.loads(line)
            except ValueError:
                return [raw]  # comments in it: one malformed text
            held.append(item.get("msg", item) if isinstance(item, dict) else item)
        return [json.dumps(item).encode() for item in held]
    return [json.dumps(held).encode()]


def test_every_documented_message_is_read_or_refused_with_a_reason(shared_data: Path) -> None:
    codecs = {"binance": binance.decode_frame, "kraken": kraken.decode_frame, "coinbase": coinbase.decode_frame,
              "coinbasepro": coinbase.decode_frame, "bitstamp": bitstamp.decode_frame}  # fmt: skip
    market_data = dict.fromkeys(codecs, 0)
    read = 0
    for venue, codec in codecs.items():
        for path in sorted((shared_data / "venue_messages" / venue).rglob("*")):
            if not path.is_file() or path.name == "orderbook-v1.json.xz":
                continue
            for text in texts(path):
                try:
                    messages = codec(text)
                except WireError as error:
                    assert str(error)
                    continue
                read += 1
                market_data[venue] += sum(not isinstance(m, Other) for m in messages)
    assert read > 600 and all(count >= 10 for venue, count in market_data.items() if venue != "bitstamp"), market_data


STREAM_SAMPLES = {
    "kraken/nautilus_crates/ws_book_snapshot.json": "Depth",
    "kraken/nautilus_crates/ws_book_update.json": "Depth",
    "kraken/nautilus_crates/ws_trade_update.json": "Trade",
    "kraken/nautilus_crates/ws_l3_snapshot.json": "Order",
    "kraken/nautilus_crates/ws_l3_update_modify_qty.json": "Order",
    "kraken/nautilus_crates/ws_ticker_snapshot.json": "Other",
    "kraken/nautilus_crates/ws_subscribe_response.json": "Other",
    "kraken/xchange_stream-kraken/orderBookMessageSnapshot.json": "Depth",
    "kraken/xchange_stream-kraken/orderBookMessageUpdate02.json": "Depth",
    "kraken/xchange_stream-kraken/trades.json": "Trade",
    "coinbase/nautilus_crates/ws_l2_data_snapshot.json": "Depth",
    "coinbase/nautilus_crates/ws_l2_data_update.json": "Depth",
    "coinbase/nautilus_crates/ws_market_trades.json": "Trade",
    "coinbase/nautilus_crates/ws_heartbeats.json": "Other",
    "coinbase/nautilus_crates/ws_user.json": "Other",
    "bitstamp/xchange_stream-bitstamp/order-book.json": "Depth",
}


@pytest.mark.parametrize("name", STREAM_SAMPLES)
def test_a_stream_message_becomes_its_kind(shared_data: Path, name: str) -> None:
    data = (shared_data / "venue_messages" / name).read_bytes()
    codec = {"kraken": kraken, "coinbase": coinbase, "bitstamp": bitstamp}[name.partition("/")[0]]
    assert type(codec.decode_frame(data)[-1]).__name__ == STREAM_SAMPLES[name]


SEEDS = [
    b'[336,{"b":[["27119.90000","13.54109952","1693415330.621700"]],"c":"3572756970"},"book-10","XBT/USD"]',
    b'[0,[["5541.20000","0.15850568","1534614057.321597","s","l",""]],"trade","XBT/USD"]',
    b'{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":1.2,"qty":0.2}],"asks":[],"checksum":1}]}',
    b'{"channel":"l2_data","timestamp":"2026-04-07T14:30:00.123456Z","sequence_num":0,"events":[{"type":"update",'
    b'"product_id":"B","updates":[{"side":"bid","price_level":"1.0","new_quantity":"2"}]}]}',
    b'{"type":"l2update","product_id":"B","changes":[["buy","1.8","0.16"]],"time":"2026-04-07T14:30:00.123456Z"}',
    b'{"type":"match","trade_id":10,"sequence":50,"maker_order_id":"x","time":"2014-11-07T08:19:27.028459Z",'
    b'"product_id":"B","size":"5.2","price":"400.23","side":"sell"}',
    b'{"data":{"microtimestamp":"1641343691244908","bids":[["1.1","9"]],"asks":[]},"channel":"diff_order_book_x","event":"data"}',
    b'{"topic":"orderbook.50.B","type":"delta","ts":1733011200691,"data":{"s":"B","b":[["1.9","6"]],"a":[],"u":7}}',
    b'{"e":"trade","E":1,"T":2,"s":"B","t":3,"p":"1","q":"2","m":true}',
    b'{"lastUpdateId":1,"bids":[["1","2"]],"asks":[]}',
]


CODECS = [module.decode_frame for module in (kraken, coinbase, bitstamp, bybit, binance)]


def survive(count: int, seed: int) -> None:
    bitfinex = BitfinexCodec()
    codecs = [*CODECS, lambda text: bitfinex.decode_message(decode(text))]
    bitfinex.decode_message({"event": "subscribed", "channel": "book", "chanId": "336", "symbol": "B", "prec": "R0"})
    for item in mutations(SEEDS, count, seed):
        data = bytes(item)
        for codec in codecs:
            try:
                for message in codec(data):
                    assert message.kind
            except WireError as error:
                assert len(str(error)) < 400


def test_codecs_survive_mutated_frames() -> None:
    survive(100_000, 21)


@pytest.mark.nightly
def test_codecs_survive_many_mutated_frames() -> None:
    survive(1_000_000, 22)


HOSTILE = [
    b'{"e":"trade","p":NaN}', b'{"e":"trade","E":1e400,"s":"B","t":1,"p":"1","q":"1","m":true}', b"[" * 100_000,
    b'{"a":' * 100_000, b'"' + b"x" * (10 << 20) + b'"', b'{"e":"\xff\xfe"}', b'{"e":1,"e":2}', b'{"channel":"book"',
    b"[" + b"1," * (1 << 17) + b"1]", b"1" * 10_000, b'{"type":"match","product_id":{}}',
    b"null", b"", b'{"channel":[]}',
    b'{"type":[]}', b'{"event":[],"channel":1}', b'{"topic":7}', b'{"stream":1,"data":[1,[2]]}',
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_texts_are_refused_in_bounded_time(number: int) -> None:
    import time

    codecs = CODECS
    started = time.process_time()
    for codec in codecs:
        try:
            assert not any(isinstance(m, Depth | Trade | Order) for m in codec(HOSTILE[number]))
        except WireError:
            continue
    assert time.process_time() - started < 10.0
    assert np.isfinite(started)
