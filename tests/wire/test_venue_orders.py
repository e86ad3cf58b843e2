"""Orders and reports between a client and a venue's look-alike (P3): decode(encode(x)) = x, or refused unsent."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.records import BUY, SELL, CancelReason, Kind, OrderType, TimeInForce
from nanotick.core.secret import Secret
from nanotick.wire import (
    alpaca,
    alpaca_server,
    alpaca_trading,
    binance_orders,
    binance_server,
    coinbase_server,
    coinbase_trading,
    finnhub,
    kraken_server,
    kraken_trading,
    polygon,
    polygon_server,
)
from nanotick.wire.binance_reports import UserEvents, decode_reply
from nanotick.wire.client_ids import ClientIds
from nanotick.wire.json_text import WireError
from nanotick.wire.messages import (
    Notice,
    Sequence,
)
from nanotick.wire.reports import Account, Balance, OrderStatus, Outcome, Position, Reply, Report, Used
from nanotick.wire.requests import Amend, Cancel, CancelAll, Entry, Login, Ping, Query, Request, Subscribe, Unsupported
from nanotick.wire.signing import BinanceHmac
from tests.guarded import mutations

IDS = ClientIds(7)
MS = 1_000_000
symbols = st.sampled_from(["AAPL", "BTCUSDT", "BTC/USD", "BRK.B"])
numbers = st.integers(0, 10**15).map(lambda n: f"{n // 10**6}.{n % 10**6:06d}")
positive = st.integers(1, 10**12).map(lambda n: f"{n // 10**4}.{n % 10**4:04d}")
stamps = st.integers(1_500_000_000_000_000, 1_900_000_000_000_000)  # us
ids = st.integers(0, 10**17)
sides = st.sampled_from([BUY, SELL])


# --- orders -------------------------------------------------------------------------------------------------------

SIGNER = BinanceHmac("key", Secret("secret"))
GTD = int(TimeInForce.GTD)


@st.composite
def entries(draw, /, symbol: str, pairs, post_only=(), reduce_only=()):
    order_type, tif = draw(st.sampled_from(sorted(pairs)))
    price = draw(positive) if order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT) else ""
    stop = draw(positive) if order_type in (OrderType.STOP, OrderType.STOP_LIMIT) else ""
    client = IDS.text(draw(st.integers(1, 2**62)))
    expire = draw(stamps) * 1000 if tif == GTD else 0
    post = (order_type, tif) in post_only and draw(st.booleans())
    reduce = (order_type, tif) in reduce_only and draw(st.booleans())
    return Entry(symbol, client, draw(sides), draw(positive), price, stop, order_type, tif, expire, post, reduce)


@given(entries("AAPL", alpaca_trading._PAIRS))
def test_alpaca_orders_come_back(entry) -> None:
    assert alpaca_server.decode_request(alpaca_trading.encode(entry)) == entry


def test_alpaca_requests_come_back() -> None:
    new = Entry("", IDS.text(3, 1), 0, "7", "9.5")
    for asked in (
        Cancel("", "", "a-b"),
        CancelAll(),
        Query("", "", "a-b"),
        Query("", IDS.text(3)),
        Amend("", "a-b", new),
    ):
        assert alpaca_server.decode_request(alpaca_trading.encode(asked)) == asked
    with pytest.raises(Unsupported, match="its own order id"):
        alpaca_trading.encode(Cancel("AAPL", IDS.text(3)))


_LIMITS = frozenset([(0, 0)])


@given(entries("BTCUSDT", binance_orders._PAIRS, post_only=_LIMITS))
def test_binance_orders_come_back_over_both_transports(entry) -> None:
    if entry.order_type in (OrderType.MARKET, OrderType.STOP):
        entry.tif = 0  # Binance is sent none
    request, asked, params = binance_server.decode_stream_request(
        binance_orders.encode(entry, "9", 1_700_000_000_000, SIGNER)
    )
    assert (request, asked) == ("9", entry) and params["apiKey"] == "key"
    asked, params, signed = binance_server.decode_request(binance_orders.encode_rest(entry, 1_700_000_000_000, SIGNER))
    assert asked == entry and SIGNER.sign(signed.encode()) == params["signature"]


def test_binance_requests_come_back() -> None:
    new = Entry("BTCUSDT", IDS.text(3, 1), 1, "7", "9.5")
    for asked in (Cancel("BTCUSDT", IDS.text(3)), Query("BTCUSDT", IDS.text(3)), Cancel("BTCUSDT", "", "5"),
                  CancelAll("BTCUSDT"), Amend(IDS.text(3), "", new)):  # fmt: skip
        frame = binance_orders.encode(asked, "1", 1_700_000_000_000, SIGNER)
        assert binance_server.decode_stream_request(frame)[1] == asked
        rest = binance_orders.encode_rest(asked, 1_700_000_000_000, SIGNER)
        assert binance_server.decode_request(rest)[0] == asked
    streams = Subscribe((("depth", "BTCUSDT"), ("trade", "ETHUSDT")), True, "4")
    assert binance_server.decode_stream_request(binance_orders.encode_session(streams, "4"))[1] == streams
    assert binance_server.decode_stream_request(binance_orders.encode_session(Ping(), "5"))[1] == Ping("5")
    frame = binance_orders.encode_session(Subscribe((("user", ""),)), "6", 1_700_000_000_000, SIGNER)
    user = binance_server.decode_stream_request(frame)[1]
    assert isinstance(user, Subscribe) and user.login is not None
    assert user.login.proof == SIGNER.sign(f"apiKey=key&timestamp={user.login.stamp}".encode())
    rest = binance_orders.encode_rest(Amend(IDS.text(3), "", replace(new, qty="7"), "2.5"), 1, SIGNER)
    amend = binance_server.decode_request(rest)[0]
    assert isinstance(amend, Amend) and amend.entry.qty == "4.5"  # the new order is for the rest


_KRAKEN_POST = frozenset([(0, 0), (0, GTD)])


@given(entries("BTC/USD", kraken_trading._PAIRS, _KRAKEN_POST, kraken_trading._PAIRS), ids)
def test_kraken_orders_come_back(entry, number) -> None:
    if entry.order_type == OrderType.MARKET:
        entry.tif = 0
    frame = kraken_trading.encode(entry, number, "TOKEN", 1_700_000_000_000_000_000)
    assert kraken_server.decode_stream_request(frame) == (str(number), "add_order", entry, "TOKEN")
    if number % 7 == 0:
        batch = [entry, replace(entry, client="b")]
        assert kraken_server.decode_stream_request(kraken_trading.encode_batch(batch, 1, "T"))[2] == batch


def test_kraken_requests_come_back() -> None:
    amend = Amend(IDS.text(3), "", Entry("", IDS.text(3), 0, "0.005", "30000"))
    for asked in (Cancel("", IDS.text(3)), Cancel("", "", "OABC"), CancelAll(), amend):
        assert kraken_server.decode_stream_request(kraken_trading.encode(asked, 1, "T"))[2] == asked
    assert kraken_server.decode_stream_request(kraken_trading.encode_dead_man(60, 5, "T"))[2] == 60
    wish = Subscribe((("depth", "BTC/USD"), ("depth", "ETH/USD")), True, "1", None, 25)
    (frame,) = kraken_trading.encode_session(wish, 1)
    assert kraken_server.decode_stream_request(frame)[2] == wish
    assert kraken_server.decode_stream_request(kraken_trading.encode_session(Ping(), 3)[0])[2] == Ping("3")
    known = b'{"method":"cancel_order","params":{"order_id":["OABCDE-12345-FGHIJ"],"token":"TESTTOKEN"},"req_id":44}'
    assert kraken_trading.encode(Cancel("", "", "OABCDE-12345-FGHIJ"), 44, "TESTTOKEN") == known


@given(entries("BTC-USD", coinbase_trading._PAIRS, frozenset([(0, 0), (0, GTD)])))
def test_coinbase_orders_come_back(entry) -> None:
    if entry.order_type == OrderType.MARKET:
        entry.tif = int(TimeInForce.IOC)
    assert coinbase_server.decode_request(coinbase_trading.encode(entry)) == entry


def test_coinbase_requests_come_back() -> None:
    asked = coinbase_server.decode_request(coinbase_trading.encode_cancels(["a", "b"]))
    assert asked == [Cancel("", "", "a"), Cancel("", "", "b")]
    amend = Amend("", "a", Entry("", "", 0, "2", "9.5"))
    assert coinbase_server.decode_request(coinbase_trading.encode(amend)) == amend
    assert coinbase_server.decode_request(coinbase_trading.encode(Query("", "", "a"))) == Query("", "", "a")
    wish = Subscribe((("depth", "BTC-USD"), ("depth", "ETH-USD")), True, "", Login("", proof="JWT"))
    (frame,) = coinbase_trading.encode_session(wish)
    assert coinbase_server.decode_stream_request(frame) == wish
    wish = Subscribe((("depth", "BTC-USD"), ("trade", "BTC-USD")))
    assert coinbase_server.decode_stream_request(coinbase_trading.encode_exchange_session(wish)) == wish


REFUSED = [
    (alpaca_trading.encode, Entry("A", "c", 1, "1", "2", "", 0, 0, 0, True), "no post-only"),
    (alpaca_trading.encode, Entry("A", "c", 1, "1", "2", "", 0, GTD, 9), "no limit GTD"),
    (alpaca_trading.encode, Entry("A", "c" * 49, 1, "1", "2"), "1 to 48 characters"),
    (alpaca_trading.encode, Entry("A", "c", 1, "0.00", "2"), "above 0"),
    (binance_orders.entry_params, Entry("A", "c", 1, "1", "2", "", 0, int(TimeInForce.DAY)), "no limit DAY"),
    (binance_orders.entry_params, Entry("A", "c", 1, "1", "2", "", 0, int(TimeInForce.IOC), 0, True), "only good till"),
    (binance_orders.entry_params, Entry("A", "c d", 1, "1", "2"), "A-Z a-z"),
    (binance_orders.method_of, CancelAll(), "wants a symbol"),
    (lambda e: kraken_trading.encode(e, 1, "T"), Entry("A", "c", 1, "1", "2", "", 0, int(TimeInForce.FOK)),
        "no limit FOK"),
    (lambda e: kraken_trading.encode(e, 1, "T"), Entry("A", "c" * 19, 1, "1", "2"), "18 characters or a UUID"),
    (lambda e: kraken_trading.encode(e, 1, "T"), Entry("A", "c", 1, "1", "2", "", 0, GTD), "needs its date"),
    (coinbase_trading.encode, Entry("A", "c", 1, "1", "", "2", int(OrderType.STOP)), "no stop GTC"),
    (coinbase_trading.encode, Amend("c", "o", Entry("A", "c", 1, "1", "2", "", 0, GTD, 9)), "edits only"),
    (coinbase_trading.encode, CancelAll(), "by order id"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_a_venue_has_not_is_refused_before_it_is_sent(number) -> None:
    encode, asked, words = REFUSED[number]
    with pytest.raises(Unsupported, match=words):
        encode(asked)


# --- reports ------------------------------------------------------------------------------------------------------

STAMP = 1_700_000_000_123_000_000
CLIENT = IDS.text(5)


def status(symbol: str, state: str, filled: str = "0", is_open: bool = True, **more) -> OrderStatus:
    return OrderStatus(symbol, CLIENT, "28", 1, 0, 0, "100.5", "", "10", filled, state, is_open, STAMP, **more)


def core(report: Report) -> Report:
    return replace(report, told="", detail="")


def reports(symbol: str, execution: str, order: str = "28") -> "list[Report]":
    head = (symbol, STAMP, CLIENT, order, 1)
    return [
        Report(int(Kind.ACCEPTED), *head, "100.5", "10"),
        Report(int(Kind.FILL), *head, "100.25", "4", execution),
        Report(int(Kind.CANCELLED), *head, qty="6"),
        Report(int(Kind.EXPIRED), *head, qty="6"),
    ]


STATES = {Kind.ACCEPTED: "new", Kind.FILL: "partially_filled", Kind.CANCELLED: "canceled", Kind.EXPIRED: "expired"}


@pytest.mark.parametrize("number", range(4))
def test_alpaca_reports_come_back(number) -> None:
    report = reports("AAPL", "2f63ea93-423d")[number]
    after = status("AAPL", STATES[Kind(report.kind)], "4" if number else "0")
    (found,) = alpaca_trading.decode_stream(alpaca_server.encode_update(report, after))
    assert isinstance(found, Report) and core(found) == report


def test_alpaca_replace_refusals_and_notices_come_back() -> None:
    head = ("AAPL", STAMP, CLIENT, "28", 1)
    replaced = Report(int(Kind.REPLACED), *head, "100.5", "10")
    (found,) = alpaca_trading.decode_stream(alpaca_server.encode_update(replaced, status("AAPL", "new"), replaces="27"))
    assert isinstance(found, Report) and core(found) == replaced
    for report in (Report(int(Kind.CANCEL_REJECTED), *head, reason=8), Report(int(Kind.CANCEL_REJECTED), *head,
        reason=8, flags=1),
                   Report(int(Kind.REJECTED), *head, reason=9), Report(int(Kind.FILL_BUST), *head, "1", "2",
                       "e")):  # fmt: skip
        (found,) = alpaca_trading.decode_stream(alpaca_server.encode_update(report, status("AAPL", "new")))
        assert isinstance(found, Report) and core(found) == report
    for notice in (Notice("authorized", "authenticate"), Notice("listening", "trade_updates")):
        assert alpaca_trading.decode_stream(alpaca_server.encode_notice(notice)) == [notice]


def test_alpaca_rest_bodies_come_back() -> None:
    items: list[OrderStatus | Position | Account] = [status("AAPL", "partially_filled", "4",
        average_price="100.25"), Position("AAPL", "-5", "101.5"),
             Account("PA1", "USD", "1000", "4000", "1000")]  # fmt: skip
    for item in items:
        answer = alpaca_server.encode_reply(item)
        assert alpaca_trading.decode_reply(answer.status, answer.body, "r")[1:] == [item]
    (fill,) = alpaca_trading.decode_reply(200, alpaca_server.encode_fills([reports("AAPL", "e1")[1]]).body)[1:]
    assert isinstance(fill, Report) and core(fill) == replace(reports("AAPL", "e1")[1], client="")
    answer = alpaca_server.encode_error(Reply("r", code="422.40010001", detail="client_order_id must be unique"))
    (reply,) = alpaca_trading.decode_reply(answer.status, answer.body, "r")
    assert isinstance(reply, Reply) and (reply.outcome, reply.reason, reply.code) == (Outcome.REFUSED, 7, "40010001")


BINANCE_STATES = {
    Kind.ACCEPTED: "NEW",
    Kind.FILL: "PARTIALLY_FILLED",
    Kind.CANCELLED: "CANCELED",
    Kind.EXPIRED: "EXPIRED",
}


@pytest.mark.parametrize("number", range(4))
def test_binance_reports_come_back(number) -> None:
    report = reports("BTCUSDT", "56")[number]
    after = status("BTCUSDT", BINANCE_STATES[Kind(report.kind)], "4" if number else "0")
    if report.kind == Kind.FILL:
        report = replace(report, fee="0.001", fee_asset="BNB", maker=True)
    frame = binance_server.encode_event(binance_server.execution_report(report, after, "web_1"))
    (found,) = UserEvents().decode_frame(frame)
    assert isinstance(found, Report) and core(found) == report


def test_binance_balances_queries_and_errors_come_back() -> None:
    balances = [Balance("BTC", "1.5", "0.5", STAMP), Balance("USDT", "10", "0", STAMP)]
    assert (
        UserEvents().decode_frame(binance_server.encode_event(binance_server.account_position(balances, STAMP)))
        == balances
    )
    order = replace(status("BTCUSDT", "NEW"), stop="0.00000000")
    used = (Used("ORDERS", 10, 100, 3), Used("REQUEST_WEIGHT", 60, 6000, 70))
    frame = binance_server.encode_result("q", binance_server.order_body(order), used)
    assert UserEvents().decode_frame(frame) == [Reply("q", code="200", used=used), order]
    (reply,) = UserEvents().decode_frame(
        binance_server.encode_error(Reply("q", code="-2010", detail="Duplicate order sent."))
    )
    assert isinstance(reply, Reply) and (reply.outcome, reply.reason) == (Outcome.REFUSED, 7)
    answer = binance_server.rest_error(Reply("q", code="-1003", detail="Too many requests"), 429, 7)
    (reply,) = decode_reply(answer.status, answer.body, "q", 7)
    assert isinstance(reply, Reply) and (reply.outcome, reply.retry_ns) == (Outcome.LIMITED, 7_000_000_000)
    ack = binance_server.ack_body("BTCUSDT", "28", CLIENT, STAMP)
    (_, accepted) = UserEvents().decode_frame(binance_server.encode_result("q", ack))
    assert isinstance(accepted, Report) and (accepted.kind, accepted.client) == (Kind.ACCEPTED, CLIENT)
    gone = binance_server.cancel_body(status("BTCUSDT", "CANCELED", "4"), "web_1")
    (_, cancelled) = UserEvents().decode_frame(binance_server.encode_result("q", gone))
    assert isinstance(cancelled, Report) and core(cancelled) == reports("BTCUSDT", "")[2]
    fill = replace(reports("BTCUSDT", "56")[1], fee="0.1", fee_asset="USDT")
    (_, found) = decode_reply(200, msgspec.json.encode([binance_server.fill_body(fill)]))
    assert isinstance(found, Report) and core(found) == replace(fill, client="")


def test_binance_self_trade_prevention_comes_back() -> None:
    report = replace(reports("BTCUSDT", "")[2], reason=int(CancelReason.SELF_TRADE))
    after = status("BTCUSDT", "EXPIRED_IN_MATCH", "4")
    (found,) = UserEvents().event(msgspec.json.decode(b"{}") | as_text(binance_server.execution_report(report, after)))
    assert isinstance(found, Report) and core(found) == report


def as_text(event: "dict[str, object]") -> "dict[str, object]":
    """An event as the general parser gives it."""
    from nanotick.wire.json_text import decode

    return decode(msgspec.json.encode(event))


@pytest.mark.parametrize("number", range(4))
def test_kraken_reports_come_back(number) -> None:
    report = reports("BTC/USD", "TGBB7L-HT5LX", "OABC")[number]
    if report.kind == Kind.FILL:
        report = replace(report, fee="0.3458", fee_asset="USD", maker=True)
    after = status("BTC/USD", STATES[Kind(report.kind)], "4" if number else "0")
    sequence, found = kraken_trading.Executions().decode_frame(kraken_server.encode_executions([(report, after)], 5))
    assert sequence == Sequence(5) and isinstance(found, Report) and core(found) == report


def test_kraken_snapshots_replies_and_rest_come_back() -> None:
    order = replace(status("BTC/USD", "new"), order="OABC")
    frame = kraken_server.encode_open_orders([order], 1)
    assert kraken_trading.Executions().decode_frame(frame) == [Sequence(1), order]
    refused = Reply("9", Outcome.REFUSED, 0, "EOrder", "EOrder:Insufficient funds", method="add_order")
    (reply,) = kraken_trading.Executions().decode_frame(kraken_server.encode_reply(refused, STAMP))
    assert isinstance(reply, Reply) and replace(reply, reason=0) == refused and reply.reason == 9
    done = Reply("9", detail="OABC", method="add_order")
    assert kraken_trading.Executions().decode_frame(kraken_server.encode_reply(done, STAMP, {"order_id": "OABC"})) == [
        done
    ]
    body = kraken_server.rest_response({"open": {"OABC": kraken_server.rest_order(order)}}).body
    (_, found) = kraken_trading.decode_reply(200, body)
    assert isinstance(found, OrderStatus) and replace(found, stop="") == order
    (reply,) = kraken_trading.decode_reply(200, kraken_server.rest_response(errors=["EAPI:Rate limit exceeded"]).body)
    assert isinstance(reply, Reply) and reply.outcome == Outcome.LIMITED
    (reply,) = kraken_trading.decode_reply(200, kraken_server.rest_response({"token": "T", "expires": 900}).body)
    assert isinstance(reply, Reply) and reply.detail == "T"


def test_coinbase_orders_and_replies_come_back() -> None:
    order = status("BTC-USD", "OPEN", "4", average_price="100.25")
    frame = coinbase_server.encode_orders([order], ["0"], 3, STAMP, snapshot=True)
    assert coinbase_trading.UserOrders().decode_frame(frame) == [Sequence(3), order]
    answer = coinbase_server.encode_reply(Reply("r", detail="28"))
    assert coinbase_trading.decode_reply(answer.status, answer.body, "r") == [Reply("r", detail="28")]
    answer = coinbase_server.encode_reply(Reply("r", Outcome.REFUSED, 9, "INSUFFICIENT_FUND", "no"))
    assert coinbase_trading.decode_reply(200, answer.body, "r") == [
        Reply("r", Outcome.REFUSED, 9, "INSUFFICIENT_FUND", "no")
    ]
    answer = coinbase_server.encode_cancelled([Reply("a"), Reply("b", Outcome.REFUSED, 1, "UNKNOWN_CANCEL_ORDER")])
    one, two = coinbase_trading.decode_reply(200, answer.body)
    assert isinstance(one, Reply) and isinstance(two, Reply)
    assert (one.request, one.outcome, two.request, two.reason) == ("a", Outcome.DONE, "b", 1)
    limited = coinbase_server.RATE_LIMITED
    (reply,) = coinbase_trading.decode_reply(limited.status, limited.body)
    assert isinstance(reply, Reply) and reply.outcome == Outcome.LIMITED
    rows = {"orders": [coinbase_server.order_body(order)], "fills": [coinbase_server.fill_body(reports("BTC-USD",
        "t1")[1])],
            "accounts": [coinbase_server.account_body(Balance("BTC", "1", "0"))]}  # fmt: skip
    _, found, fill, balance = coinbase_trading.decode_reply(200, coinbase_server.rest_response(rows).body)
    assert isinstance(found, OrderStatus) and found == order
    assert isinstance(fill, Report) and core(fill) == replace(reports("BTC-USD", "t1")[1], client="")
    assert balance == Balance("BTC", "1", "0")


# --- arbitrary bytes to the venue's side ----------------------------------------------------------------------------

WISHES = [
    polygon.encode(Subscribe((("trade", "*"), ("quote", "AAPL")))), alpaca.encode(Login("k", "s")),
    alpaca_trading.encode(Entry("AAPL", "c", 1, "1", "2")).body,
    binance_orders.encode(Entry("BTCUSDT", "c", 1, "1", "2"), "9", 1, SIGNER),
    binance_orders.encode_rest(Entry("BTCUSDT", "c", 1, "1", "2"), 1, SIGNER).body,
    binance_orders.encode_session(Subscribe((("depth", "BTCUSDT"),)), "4"),
    kraken_trading.encode(Entry("BTC/USD", "c", 1, "1", "2"), 1, "T"),
    kraken_trading.encode_batch([Entry("BTC/USD", "c", 1, "1", "2")] * 2, 1, "T"),
    b"nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25",
    coinbase_trading.encode(Entry("BTC-USD", "c", 1, "1", "2")).body,
    coinbase_trading.encode_session(Subscribe((("depth", "BTC-USD"),)))[0], finnhub.encode(Subscribe((("trade",
        "A"),)))[0],
]  # fmt: skip


def face(count: int, seed: int) -> None:
    for item in mutations(WISHES, count, seed):
        data = bytes(item)
        path = "/" + data[:40].decode("latin-1")
        for decode in (
            polygon_server.decode_request, alpaca_server.decode_stream_request, binance_server.decode_stream_request,
            kraken_server.decode_stream_request, coinbase_server.decode_stream_request, finnhub.decode_request,
            lambda body: alpaca_server.decode_request(Request("POST", "/v2/orders", (), body)),
            lambda body: binance_server.decode_request(Request("POST", "/api/v3/order", (), body)),
            lambda body: kraken_server.decode_request(Request("POST", "/0/private/AddOrder", (), body)),
            lambda body: coinbase_server.decode_request(Request("POST", "/api/v3/brokerage/orders", (), body)),
            lambda _, path=path: alpaca_server.decode_request(Request("GET", path)),
            lambda _, path=path: binance_server.decode_request(Request("DELETE", "/api/v3/order?" + path)),
        ):  # fmt: skip
            try:
                decode(data)
            except WireError as error:
                assert len(str(error)) < 700


def test_what_a_venue_is_asked_may_be_anything() -> None:
    face(100_000, 51)


@pytest.mark.nightly
def test_what_a_venue_is_asked_may_be_anything_many_times() -> None:
    face(1_000_000, 52)
