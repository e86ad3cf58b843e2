"""What a venue's look-alike sends is what its client reads, message by message (P3): decode(encode(x)) = x."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.instruments import Instrument
from nanotick.core.records import BUY, SELL, Kind, TradingStatus
from nanotick.data.inferred import inferred_instrument
from nanotick.wire import (
    alpaca,
    alpaca_server,
    binance,
    binance_server,
    coinbase,
    coinbase_server,
    finnhub,
    kraken,
    kraken_server,
    polygon,
    polygon_server,
)
from nanotick.wire.client_ids import ClientIds
from nanotick.wire.messages import (
    Bar,
    Depth,
    Listed,
    Mark,
    Message,
    Notice,
    Order,
    Other,
    Quote,
    Sequence,
    Status,
    Trade,
    Void,
)
from nanotick.wire.reports import Used
from nanotick.wire.requests import Login, Subscribe, Unsupported

IDS = ClientIds(7)
MS = 1_000_000
symbols = st.sampled_from(["AAPL", "BTCUSDT", "BTC/USD", "BRK.B"])
numbers = st.integers(0, 10**15).map(lambda n: f"{n // 10**6}.{n % 10**6:06d}")
positive = st.integers(1, 10**12).map(lambda n: f"{n // 10**4}.{n % 10**4:04d}")
stamps = st.integers(1_500_000_000_000_000, 1_900_000_000_000_000)  # us
ids = st.integers(0, 10**17)
sides = st.sampled_from([BUY, SELL])
levels = st.lists(st.tuples(positive, numbers), max_size=5)


@st.composite
def trades(draw, /, kind: str, unit: int = 1000, **fixed):
    stamp = draw(stamps) * 1000 // unit * unit
    side = draw(sides) if "side" not in fixed else fixed.pop("side")
    return Trade(draw(symbols), stamp, draw(positive), draw(positive), side, draw(ids), kind=kind, **fixed)


@st.composite
def quotes(draw, /, kind: str, unit: int, numbered: bool = False):
    stamp = draw(stamps) * 1000 // unit * unit if unit else 0
    last = draw(ids) if numbered else -1
    return Quote(draw(symbols), stamp, draw(numbers), draw(numbers), draw(numbers), draw(numbers), last, kind)


# --- market data --------------------------------------------------------------------------------------------------


@given(st.lists(trades("T", MS, side=0) | quotes("Q", MS, True), min_size=1, max_size=4), st.booleans(), ids)
def test_polygon_frames_come_back(messages, printable, seq) -> None:
    if isinstance(messages[0], Trade):
        messages[0] = replace(messages[0], printable=printable, seq=seq)
    assert polygon.decode_frame(polygon_server.encode_messages(messages)) == messages


def test_polygon_bars_values_and_notices_come_back() -> None:
    messages: list[Message] = [
        Bar("AAPL", 1_700_000_000_000 * MS, "1.5", "2.25", "1.25", "2", "1000", "AM"),
        Bar("AAPL", 1_700_000_000_000 * MS, "1.5", "2.25", "1.25", "2", "1000", "A"),
        Mark("I:SPX", 1_700_000_000_000 * MS, "3988.51", "0", "0", "V"),
        polygon_server.CONNECTED, polygon_server.AUTHENTICATED, polygon_server.AUTH_FAILED,
        polygon_server.MAX_CONNECTIONS, polygon_server.NOT_AUTHENTICATED,
    ]  # fmt: skip
    assert polygon.decode_frame(polygon_server.encode_messages(messages)) == messages
    with pytest.raises(TypeError, match="sends no Depth"):
        polygon_server.encode_messages([Depth("A", 0, [], [])])


def test_polygon_requests_come_back() -> None:
    wish = Subscribe((("trade", "*"), ("quote", "AAPL"), ("value", "I:SPX")))
    for asked in (Login("KEY"), wish, replace(wish, on=False)):
        assert polygon_server.decode_request(polygon.encode(asked)) == asked
    assert polygon.encode(wish) == b'{"action":"subscribe","params":"T.*,Q.AAPL,V.I:SPX"}'
    assert polygon.encode(Login("KEY")) == b'{"action":"auth","params":"KEY"}'
    with pytest.raises(Unsupported, match="no channel 'depth'"):
        polygon.encode(Subscribe((("depth", "AAPL"),)))


@given(
    st.lists(
        st.one_of(
            trades("t"),
            quotes("q", 1),
            st.builds(lambda s, t, b, a, r: Depth(s, t * 1000, b, a, r, kind="o"), symbols, stamps, levels, levels,
                st.booleans()),
            st.builds(lambda s, t, i: Void(s, t * 1000, i, "x"), symbols, stamps, ids),
            st.builds(
                lambda s, t, state, why: Status(s, t * 1000, int(state), why, "s"), symbols, stamps,
                st.sampled_from([TradingStatus.HALTED, TradingStatus.TRADING, TradingStatus.PAUSED,
                    TradingStatus.QUOTE_ONLY]),
                st.sampled_from(["", "T12", "LUDP"]),
            ),
            st.builds(lambda s, t, n, k: Bar(s, t * 1000, n[0], n[1], n[2], n[3], n[4], k), symbols, stamps,
                st.tuples(*[positive] * 5),
                st.sampled_from("bdu")),
        ),
        min_size=1, max_size=4,
    ),
)  # fmt: skip
def test_alpaca_frames_come_back(messages) -> None:
    assert alpaca.decode_frame(alpaca_server.encode_messages(messages)) == messages


def test_alpaca_session_comes_back() -> None:
    notices = [alpaca_server.CONNECTED, alpaca_server.AUTHENTICATED]
    notices += [Notice("error", text, code) for code, text in alpaca_server.ERRORS.items()]
    assert alpaca.decode_frame(alpaca_server.encode_messages(notices)) == notices
    assert alpaca_server.encode_messages(notices[:1]) == b'[{"T":"success","msg":"connected"}]'
    wish = Subscribe((("trade", "AAPL"), ("quote", "AMD"), ("bar", "*")))
    for asked in (Login("k", "s"), wish, replace(wish, on=False)):
        assert alpaca_server.decode_stream_request(alpaca.encode(asked)) == asked
    assert alpaca.encode(wish) == b'{"action":"subscribe","trades":["AAPL"],"quotes":["AMD"],"bars":["*"]}'
    (notice,) = alpaca.decode_frame(alpaca_server.encode_subscription(wish.channels))
    assert notice == Notice("subscription", "bars:*,quotes:AMD,trades:AAPL")
    assert alpaca_server.decode_stream_request(
        b'{"action":"authenticate","data":{"key_id":"k","secret_key":"s"}}'
    ) == Login("k", "s")  # fmt: skip


@given(
    st.one_of(
        trades("trade", MS), trades("aggTrade", MS), quotes("bookTicker", 0, True),
        st.builds(lambda s, t, b, a, u: Depth(s, t // 1000 * MS, b, a, False, u, u + 3, kind="depthUpdate"),
                  symbols, stamps, levels, levels, ids),
        st.builds(lambda b, a, u: Depth("", 0, b, a, True, last=u, kind="rest_depth_snapshot"), levels, levels, ids),
    ),
    st.booleans(),
)  # fmt: skip
def test_binance_messages_come_back(message, wrapped) -> None:
    stream = "x@y" if wrapped and getattr(message, "symbol", "") else ""
    assert binance.decode_frame(binance_server.encode_message(message, stream)) == [message]


def test_binance_instruments_come_back_with_their_filters() -> None:
    item = Instrument("BTCUSDT", "BINANCE", 2, 5, "0.01", "0.00001", "0.00001", "9000", "5", currency="USDT")
    body = binance_server.exchange_info([item], [Used("REQUEST_WEIGHT", 60, 6000, 0), Used("ORDERS", 10, 100, 0)])
    (listed,) = binance.decode_frame(body)
    assert isinstance(listed, Listed)
    assert inferred_instrument(listed.symbol, "BINANCE", 0, 0, listed) == item
    assert msgspec.json.decode(body)["rateLimits"][1]["intervalNum"] == 10


@given(st.lists(trades("trade"), min_size=1, max_size=3), st.booleans())
def test_kraken_trades_come_back(messages, snapshot) -> None:
    messages = [replace(m, snapshot=snapshot) for m in messages]
    assert kraken.decode_frame(kraken_server.encode_messages(messages)) == messages


@given(symbols, stamps, levels, levels, st.booleans(), st.integers(0, 2**32 - 1))
def test_kraken_books_come_back(symbol, stamp, bids, asks, snapshot, checksum) -> None:
    message = Depth(symbol, stamp * 1000, bids, asks, snapshot, checksum=checksum, kind="book")
    assert kraken.decode_frame(kraken_server.encode_messages([message])) == [message]


@given(st.lists(trades("market_trades"), min_size=1, max_size=3), ids)
def test_coinbase_trades_come_back_latest_first(messages, number) -> None:
    frame = coinbase_server.encode_messages(messages, number)
    assert coinbase.decode_frame(frame) == [Sequence(number), *reversed(messages)]


@given(symbols, stamps, levels, levels, st.booleans(), ids)
def test_coinbase_books_come_back(symbol, stamp, bids, asks, snapshot, number) -> None:
    message = Depth(symbol, stamp * 1000, bids, asks, snapshot, kind="l2_data")
    assert coinbase.decode_frame(coinbase_server.encode_messages([message], number)) == [Sequence(number), message]


@given(
    st.one_of(
        trades("match"),
        trades("last_match", snapshot=True),
        st.builds(lambda s, t, b, a: Depth(s, t * 1000, b, a, True, kind="snapshot"), symbols, stamps, levels, levels),
        st.builds(lambda s, t, b, a: Depth(s, t * 1000, b, a, kind="l2update"), symbols, stamps, levels, levels),
        st.builds(
            lambda s, t, action, i, side, p, q: Order(s, t * 1000, action[0], i, side, p, q, kind=action[1]),
            symbols, stamps,
            st.sampled_from([(int(Kind.ADD), "open"), (int(Kind.DELETE), "done"), (int(Kind.MODIFY), "change")]),
            ids, sides, positive, numbers,
        ),
    )
)  # fmt: skip
def test_coinbase_exchange_messages_come_back(message) -> None:
    if isinstance(message, Trade | Order):
        message.seq = 5
    assert coinbase.decode_frame(coinbase_server.encode_exchange(message)) == [message]


def test_coinbase_exchange_heartbeats_tell_the_sequence() -> None:
    beat = coinbase_server.encode_exchange_heartbeat("BTC-USD", 90, 20, 1_700_000_000_000_000_000)
    assert coinbase.decode_frame(beat) == [Other("heartbeat", "BTC-USD", 90)]


def test_coinbase_products_come_back() -> None:
    item = Instrument("BTC-USD", "COINBASE", 2, 8, "0.01", "0.00000001", "0.00001", "3400", currency="USD")
    (listed,) = coinbase.decode_frame(coinbase_server.products([item]))
    assert isinstance(listed, Listed) and inferred_instrument("BTC-USD", "COINBASE", 0, 0, listed) == item


@given(st.lists(trades("trade", MS, side=0).map(lambda t: replace(t, trade_id=0)), min_size=1, max_size=3))
def test_finnhub_frames_come_back(messages) -> None:
    assert finnhub.decode_frame(finnhub.encode_messages(messages)) == messages


def test_finnhub_session_comes_back() -> None:
    error = Notice("error", "Subscribing to too many symbols")
    assert finnhub.decode_frame(finnhub.encode_messages([error])) == [error]
    asked = Subscribe((("trade", "AAPL"),))
    (frame,) = finnhub.encode(asked)
    assert frame == b'{"type":"subscribe","symbol":"AAPL"}' and finnhub.decode_request(frame) == asked
