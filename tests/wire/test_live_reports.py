"""Private messages of the venues against the order state machine's needs, recorded samples, and arbitrary bytes."""

import json
import lzma
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import EVENT, MAKER, CancelReason, Kind, OrderType, RejectReason
from nanotick.wire import alpaca, alpaca_trading, binance_reports, coinbase_trading, finnhub, kraken_trading, polygon
from nanotick.wire.binance_reports import UserEvents, refusal
from nanotick.wire.client_ids import ClientIds
from nanotick.wire.json_text import WireError
from nanotick.wire.messages import Message, Other, Quote, Trade
from nanotick.wire.reports import (
    CumulativeFills,
    OrderStatus,
    Outcome,
    Private,
    Reply,
    Report,
    ReportRows,
    Used,
    http_outcome,
    settled,
)
from nanotick.wire.requests import Amend, Command, asked_of, entry_of, number_text
from nanotick.wire.rows import MarketRows
from tests.guarded import mutations

IDS = ClientIds(7)
TABLE = InstrumentTable(
    [Instrument("BTCUSDT", "BINANCE", 2, 5, lot_size="0.00001", currency="USDT"), Instrument("AAPL", "ALPACA", 4, 0)]
)
CLIENT = IDS.text(5)


def execution(**changes: object) -> bytes:
    event = {
        "e": "executionReport", "E": 1, "s": "BTCUSDT", "c": CLIENT, "S": "BUY", "o": "LIMIT", "f": "GTC",
        "q": "1.00000",
        "p": "100.10", "P": "0", "C": "", "x": "NEW", "X": "NEW", "r": "NONE", "i": 9, "l": "0", "z": "0", "L": "0",
        "n": "0", "N": None, "T": 1709654401000, "t": -1, "m": False,
    }  # fmt: skip
    return json.dumps({"subscriptionId": 0, "event": event | changes}).encode()


def row(report: Private, table: InstrumentTable = TABLE, venue: str = "BINANCE") -> "np.void":
    assert isinstance(report, Report)
    data = ReportRows(table, venue, IDS).row(report, 1_709_654_401_500_000_000)
    assert data is not None
    return np.frombuffer(data, dtype=EVENT)[0]


def test_a_fill_becomes_the_event_that_the_order_state_machine_books() -> None:
    trade = execution(x="TRADE", X="FILLED", l="1.00000", z="1.00000", L="100.05", n="0.001", N="BTC", t=77, m=True)
    (report,) = UserEvents().decode_frame(trade)
    event = row(report)
    assert (event["kind"], event["id"], event["seq"], event["price"], event["qty"]) == (
        Kind.FILL,
        5,
        77,
        10005,
        100_000,
    )
    assert event["flags"] == MAKER and event["side"] == 1 and event["instrument"] == 0
    assert event["word"] == 1_000_500  # 0.001 BTC at 100.05 is 0.10005 USDT, at 7 decimals
    assert (event["ts_venue"], event["ts_recv"]) == (1_709_654_401_000_000_000, 1_709_654_401_500_000_000)


def fee_of(
    rows: ReportRows, fee: str, asset: str, trade: int = 1, kind: Kind = Kind.FILL, symbol: str = "BTCUSDT"
) -> int:
    """Fee in the record of a fill."""
    data = rows.row(Report(int(kind), symbol, 1, CLIENT, "9", 1, "100.05", "1", f"{trade}", fee, asset), 1)
    assert data is not None
    return int(np.frombuffer(data, dtype=EVENT)[0]["word"])


def test_a_fee_in_a_third_asset_is_booked_at_what_it_was_worth_when_first_told() -> None:
    worth: dict[tuple[str, str], tuple[int, int]] = {("BNB", "USDT"): (60_025, 100)}
    rows = ReportRows(TABLE, "BINANCE", IDS, lambda asset, currency: worth.get((asset, currency)))
    assert fee_of(rows, "0.001", "BNB") == 6_002_500  # 0.60025 USDT, at 7 decimals
    worth["BNB", "USDT"] = (1, 1)
    for kind in (Kind.FILL, Kind.FILL_BUST):  # told again, and undone
        assert fee_of(rows, "0.001", "BNB", kind=kind) == 6_002_500
    assert fee_of(rows, "-0.001", "BNB", trade=2) == -10_000  # a rebate
    assert fee_of(rows, "0.00000005", "BNB", trade=3) == 1  # half a unit is one
    assert rows.fees_unconverted == {}
    worth["BNB", "USDT"] = (10**18, 1)
    with pytest.raises(WireError, match="fit 64 bits"):
        fee_of(rows, "1000", "BNB", trade=4)


def test_a_fee_in_an_asset_of_no_known_price_is_0_and_counted_once_per_fill() -> None:
    rows = ReportRows(TABLE, "BINANCE", IDS)
    for trade in (1, 2, 1, 2):
        assert fee_of(rows, "0.5", "BNB", trade) == 0
    assert fee_of(rows, "0.25", "HNT", 3) == 0
    assert rows.fees_unconverted == {"BNB": 10**12, "HNT": 10**12 // 4}


def test_an_asset_whose_name_begins_a_symbol_is_not_its_base() -> None:
    table = InstrumentTable([Instrument("BNBUPUSDT", "BINANCE", 2, 5, currency="USDT")])
    rows = ReportRows(table, "BINANCE", IDS, lambda asset, currency: (600, 1) if asset == "BNB" else None)
    assert fee_of(rows, "0.01", "BNB", symbol="BNBUPUSDT") == 6 * 10**7
    assert fee_of(rows, "0.01", "BNBUP", 2, symbol="BNBUPUSDT") == 10_005_000


@given(st.integers(-(10**15), 10**15), st.integers(1, 10**12), st.integers(1, 10**12))
def test_a_converted_fee_is_the_nearest_unit(amount: int, over: int, under: int) -> None:
    rows = ReportRows(TABLE, "BINANCE", IDS, lambda asset, currency: (over, under))
    exactly = Fraction(amount, 10**12) * Fraction(over, under) * 10**7
    if abs(exactly) < 2**62:
        found = fee_of(rows, f"{amount}e-12", "BNB")
        assert abs(found - exactly) <= Fraction(1, 2)
        assert abs(found - exactly) < Fraction(1, 2) or abs(found) > abs(exactly)


def test_reports_of_others_and_of_unknown_symbols_are_counted_apart() -> None:
    rows = ReportRows(TABLE, "BINANCE", IDS)
    for client, symbol in (("web-1", "BTCUSDT"), (ClientIds(8).text(5), "BTCUSDT"), (CLIENT, "ETHUSDT")):
        assert rows.row(Report(int(Kind.ACCEPTED), symbol, 1, client), 1) is None
    assert (rows.foreign, rows.unlisted) == (2, 1)
    with pytest.raises(WireError, match="more than 2 decimal places"):
        rows.row(Report(int(Kind.ACCEPTED), "BTCUSDT", 1, CLIENT, price="0.001"), 1)
    with pytest.raises(WireError, match="execution id"):
        rows.row(Report(int(Kind.FILL), "BTCUSDT", 1, CLIENT, price="1", qty="1"), 1)


ENDS = [
    (dict(x="CANCELED", X="CANCELED", C=CLIENT, c="web_1", z="0.4"), Kind.CANCELLED, CancelReason.USER, 60_000),
    (dict(x="EXPIRED", X="EXPIRED", f="IOC", z="0.4"), Kind.CANCELLED, CancelReason.IOC_REST, 60_000),
    (dict(x="EXPIRED", X="EXPIRED", f="FOK"), Kind.CANCELLED, CancelReason.FOK_UNFILLED, 100_000),
    (dict(x="EXPIRED", X="EXPIRED", o="MARKET"), Kind.CANCELLED, CancelReason.NO_LIQUIDITY, 100_000),
    (dict(x="EXPIRED", X="EXPIRED"), Kind.EXPIRED, 0, 100_000),
    (dict(x="TRADE_PREVENTION", X="EXPIRED_IN_MATCH", z="1"), Kind.CANCELLED, CancelReason.SELF_TRADE, 0),
    (dict(x="TRADE_PREVENTION", X="NEW"), Kind.UNKNOWN, 0, 0),
    (dict(x="REJECTED", X="REJECTED", r="INSUFFICIENT_BALANCE"), Kind.REJECTED, RejectReason.OTHER, 0),
]


@pytest.mark.parametrize("number", range(len(ENDS)))
def test_how_a_binance_order_ends(number) -> None:
    changes, kind, reason, qty = ENDS[number]
    (report,) = UserEvents().decode_frame(execution(**changes))
    event = row(report)
    assert (event["kind"], event["word"], event["qty"], event["id"]) == (kind, reason, qty, 5)


def test_a_binance_replace_is_one_report_with_the_right_total() -> None:
    events = UserEvents()
    for old, new, done in ((CLIENT, IDS.text(5, 1), "0.25"), (IDS.text(5, 1), IDS.text(5, 2), "0.5")):
        for _ in range(2):  # told twice, it counts once
            (quiet,) = events.decode_frame(execution(x="CANCELED", X="CANCELED", C=old, c="." + old, z=done))
            assert isinstance(quiet, Other)
        (report,) = events.decode_frame(execution(c=new, q="2.00000", p="99"))
        assert isinstance(report, Report) and report.kind == Kind.REPLACED and IDS.decode(report.client) == 5
        assert report.qty == {"0.25": "2.25", "0.5": "2.75"}[done]


CODES = [
    (-1007, "Timeout waiting for response from backend server.", Outcome.UNKNOWN, RejectReason.OTHER),
    (-1003, "Too many requests", Outcome.LIMITED, RejectReason.OTHER),
    (-1021, "Timestamp for this request is outside of the recvWindow.", Outcome.DENIED, RejectReason.OTHER),
    (-1013, "Filter failure: PRICE_FILTER", Outcome.REFUSED, RejectReason.INVALID_PRICE),
    (-1013, "Filter failure: LOT_SIZE", Outcome.REFUSED, RejectReason.INVALID_QUANTITY),
    (-1013, "Filter failure: NOTIONAL", Outcome.REFUSED, RejectReason.INVALID_QUANTITY),
    (-2010, "Order would immediately match and take.", Outcome.REFUSED, RejectReason.POST_ONLY_WOULD_CROSS),
    (-2010, "Duplicate order sent.", Outcome.REFUSED, RejectReason.DUPLICATE_ID),
    (-2011, "Unknown order sent.", Outcome.REFUSED, RejectReason.UNKNOWN_ORDER),
    (-2013, "Order does not exist.", Outcome.REFUSED, RejectReason.UNKNOWN_ORDER),
    (-1121, "Invalid symbol.", Outcome.REFUSED, RejectReason.OTHER),
]


@pytest.mark.parametrize("number", range(len(CODES)))
def test_binance_codes_mean_refused_unknown_limited_or_denied(number) -> None:
    code, text, outcome, reason = CODES[number]
    assert refusal(code, text) == (outcome, reason)
    body = json.dumps({"code": code, "msg": text}).encode()
    (reply,) = binance_reports.decode_reply(400, body, "r")
    assert isinstance(reply, Reply) and (reply.outcome, reply.reason) == (outcome, reason)
    (reply,) = binance_reports.decode_reply(503, body, "r")
    assert isinstance(reply, Reply) and reply.outcome == Outcome.UNKNOWN  # 5xx: it may have been done


def test_every_documented_binance_code_has_an_outcome(shared_data: Path) -> None:
    codes = json.loads((shared_data / "venue_messages" / "binance" / "error_codes.json").read_bytes())
    outcomes = {item["code"]: refusal(item["code"], item["messages"][0])[0] for item in codes}
    assert len(outcomes) >= 100
    unsure = {code for code, outcome in outcomes.items() if outcome == Outcome.UNKNOWN}
    assert unsure == {-1000, -1001, -1006, -1007}


def test_binance_headers_say_how_much_of_a_limit_is_used() -> None:
    headers = [("x-mbx-used-weight-1m", "70"), ("X-MBX-ORDER-COUNT-10S", "3"), ("Content-Type", "x"),
               ("X-MBX-USED-WEIGHT-", "1"), ("X-MBX-USED-WEIGHT-1M", "many")]  # fmt: skip
    assert binance_reports.used_of_headers(headers) == (Used("REQUEST_WEIGHT", 60, 0, 70), Used("ORDERS", 10, 0, 3))


def test_a_lost_reply_is_unknown_and_a_refusal_names_what_was_refused() -> None:
    unknown = settled(Reply("r", http_outcome(0)), Kind.NEW, "BTCUSDT", CLIENT, 1)
    assert unknown is not None and unknown.kind == Kind.UNKNOWN
    refused = settled(Reply("r", Outcome.LIMITED), Kind.NEW, "BTCUSDT", CLIENT, 1)
    assert refused is not None and (refused.kind, refused.reason) == (Kind.REJECTED, RejectReason.OTHER)
    late = settled(Reply("r", Outcome.REFUSED, RejectReason.TOO_LATE), Kind.REPLACE_ORDER, "BTCUSDT", CLIENT, 1)
    assert late is not None and (late.kind, late.flags, late.reason) == (Kind.CANCEL_REJECTED, 1, RejectReason.TOO_LATE)
    assert settled(Reply("r"), Kind.NEW, "BTCUSDT", CLIENT, 1) is None
    assert [http_outcome(s) for s in (200, 418, 429, 401, 422, 500, 0)] == [0, 3, 3, 4, 1, 2, 2]


def test_cumulative_states_become_fills_once() -> None:
    fills = CumulativeFills()
    assert fills.next("o", "0", "0", "0", 2) is None
    assert fills.next("o", "0.4", "100", "0.1", 2) == ("0.4", "100", "0.1", "o:0.4")
    assert fills.next("o", "0.4", "100", "0.1", 2) is None
    assert fills.next("o", "1", "100.6", "0.25", 2) == ("0.6", "101", "0.15", "o:1")
    with pytest.raises(WireError, match="after 1"):
        fills.next("o", "0.5", "100", "0", 2)


def test_coinbase_user_states_become_reports() -> None:
    orders = coinbase_trading.UserOrders(2)
    form = (
        '{"channel":"user","client_id":"","timestamp":"2026-04-07T14:30:06Z","sequence_num":%d,"events":[{"type":"update",'
        '"orders":[{"order_id":"a","client_order_id":"%s","cumulative_quantity":"%s","leaves_quantity":"%s","avg_price":"%s",'
        '"total_fees":"%s","status":"%s","product_id":"BTC-USD","order_side":"BUY","order_type":"Limit"}]}]}'
    )
    told = []
    for n, state in enumerate(
        [("0", "1", "0", "0", "PENDING"), ("0", "1", "0", "0", "OPEN"), ("0.4", "0.6", "100", "0.1", "OPEN"),
         ("0.4", "0.6", "100", "0.1", "CANCEL_QUEUED"), ("0.4", "0", "100", "0.1", "CANCELLED")]
    ):  # fmt: skip
        _, *found = orders.decode_frame((form % (n, CLIENT, *state)).encode())
        told += [(Kind(r.kind).name, r.qty, r.price) for r in found if isinstance(r, Report)]
    assert told == [("ACCEPTED", "1", "0"), ("FILL", "0.4", "100"), ("CANCELLED", "0.6", "0")]


def test_a_coinbase_state_told_again_after_the_end_is_no_second_fill() -> None:
    orders = coinbase_trading.UserOrders(2)
    frame = (
        b'{"channel":"user","timestamp":"2026-04-07T14:30:06Z","sequence_num":1,"events":[{"type":"update","orders":[{"order_id":'
        b'"a","client_order_id":"c","cumulative_quantity":"1","leaves_quantity":"0","avg_price":"100","total_fees":"0.1",'
        b'"status":"FILLED","product_id":"BTC-USD","order_side":"BUY"}]}]}'
    )
    first, second = ([Kind(r.kind) for r in orders.decode_frame(frame) if isinstance(r, Report)] for _ in range(2))
    assert first == [Kind.ACCEPTED, Kind.FILL] and second == []
    fills = CumulativeFills()
    fills.KEPT = 2
    assert [fills.ended(order) for order in "aabcd"] == ["", "", "", "a", "b"]


def test_a_binance_replace_that_only_cancelled_leaves_nothing_working() -> None:
    old = {"symbol": "BTCUSDT", "origClientOrderId": CLIENT, "orderId": 3, "clientOrderId": "." + CLIENT,
           "transactTime": 1684804350068, "price": "1", "origQty": "10", "executedQty": "4", "status": "CANCELED",
           "timeInForce": "GTC", "type": "LIMIT", "side": "SELL"}  # fmt: skip
    data: dict[str, object] = {"cancelResult": "SUCCESS", "newOrderResult": "FAILURE", "cancelResponse": old,
            "newOrderResponse": {"code": -2010, "msg": "Order would immediately match and take."}}  # fmt: skip
    error = {"code": -2021, "msg": "Order cancel-replace partially failed.", "data": data}
    frame = json.dumps({"id": "r", "status": 409, "error": error, "rateLimits": []}).encode()
    reply, refused, gone = UserEvents().decode_frame(frame)
    assert isinstance(reply, Reply) and reply.outcome == Outcome.REFUSED
    assert isinstance(refused, Report) and (refused.kind, refused.flags) == (Kind.CANCEL_REJECTED, 1)
    assert isinstance(gone, Report) and (gone.kind, gone.qty, gone.client) == (Kind.CANCELLED, "6", CLIENT)
    data |= {"cancelResult": "FAILURE", "newOrderResult": "NOT_ATTEMPTED",
             "cancelResponse": {"code": -2011, "msg": "Unknown order sent."}, "newOrderResponse": None}  # fmt: skip
    (reply,) = binance_reports.decode_reply(400, json.dumps(error | {"code": -2022}).encode(), "r")
    assert isinstance(reply, Reply) and reply.reason == RejectReason.UNKNOWN_ORDER


def test_kraken_updates_that_name_only_the_order_find_it() -> None:
    executions = kraken_trading.Executions()
    tail = '"order_id":"O1","timestamp":"2026-04-07T14:30:06Z"'
    frame = '{"channel":"executions","type":"update","sequence":%d,"data":[{%s,' + tail + "}]}"
    new = f'"exec_type":"new","cl_ord_id":"{CLIENT}","symbol":"BTC/USD","side":"sell","order_qty":2,"limit_price":10.5'
    new += ',"time_in_force":"gtc"'
    _, accepted = executions.decode_frame((frame % (1, new)).encode())
    _, quiet = executions.decode_frame((frame % (2, '"exec_type":"restated"')).encode())
    gone = '"exec_type":"canceled","cum_qty":0.5'
    _, cancelled = executions.decode_frame((frame % (3, gone)).encode())
    assert isinstance(accepted, Report) and isinstance(cancelled, Report) and isinstance(quiet, Other)
    assert (cancelled.symbol, cancelled.side, cancelled.client, cancelled.qty) == ("BTC/USD", -1, CLIENT, "1.5")
    _, again = executions.decode_frame((frame % (4, gone)).encode())
    assert again == Other("update of an order never announced")


def test_commands_become_entries_exactly() -> None:
    item = TABLE[0]
    command = Command(1, 0, 0, 10_012, 150_000, 5, int(OrderType.LIMIT), 0, 1, 0, 0, 0, int(Kind.NEW), -1, 1)
    assert Command.of(command.record()) == command and len(command.record()) == 64
    entry = entry_of(command, item, CLIENT)
    assert (entry.price, entry.qty, entry.side, entry.post_only) == ("100.12", "1.5", -1, True)
    amend = asked_of(command._replace(kind=int(Kind.REPLACE_ORDER)), item, CLIENT, "9", IDS.text(5, 1))
    assert isinstance(amend, Amend) and (amend.client, amend.entry.client) == (CLIENT, IDS.text(5, 1))
    assert [number_text(v, 3) for v in (0, 5, -5, 1000, 1_234_500)] == ["0", "0.005", "-0.005", "1", "1234.5"]


# --- recordings ---------------------------------------------------------------------------------------------------


def samples(path: Path) -> "list[bytes]":
    """Messages of a sample file, verbatim where it holds one document a line."""
    raw = lzma.open(path).read() if path.suffix == ".xz" else path.read_bytes()
    if ".jsonl" in path.name:
        return [json.dumps(json.loads(line)["msg"]).encode() for line in raw.splitlines() if line.strip()]
    return [raw]


def decoded(data: bytes, codecs) -> "list[Message | Private] | str":
    reason = ""
    for codec in codecs:
        try:
            return list(codec(data))
        except WireError as error:
            reason = str(error)
    return reason


def test_every_recorded_alpaca_polygon_and_finnhub_message_is_read_or_refused_with_a_reason(shared_data: Path) -> None:
    root = shared_data / "venue_messages"
    codecs = {
        "alpaca": (alpaca.decode_frame, alpaca_trading.decode_stream, lambda data: alpaca_trading.decode_reply(200,
            data)),
        "polygon": (polygon.decode_frame,), "finnhub": (finnhub.decode_frame,),
    }  # fmt: skip
    kinds: dict[str, int] = {}
    for venue, each in codecs.items():
        for path in sorted((root / venue).glob("*.jsonl")):
            for data in samples(path):
                found = decoded(data, each)
                assert found or data in (b"[]", b"{}"), data[:200]
                for message in [] if isinstance(found, str) else found:
                    name = f"{venue} {type(message).__name__}"
                    kinds[name] = kinds.get(name, 0) + 1
    assert kinds["alpaca Trade"] >= 5 and kinds["alpaca Quote"] >= 6 and kinds["alpaca Report"] >= 3, kinds
    assert kinds["alpaca OrderStatus"] >= 30 and kinds["alpaca Position"] >= 5 and kinds["alpaca Account"] >= 5, kinds
    assert kinds["polygon Trade"] >= 4 and kinds["polygon Quote"] >= 3 and kinds["finnhub Trade"] >= 10, kinds


def test_recorded_execution_reports_of_binance_spot_are_read(shared_data: Path) -> None:
    folder = shared_data / "venue_messages" / "binance"
    kinds: dict[str, int] = {}
    with lzma.open(folder / "binance_spot_api_docs_examples.jsonl.xz") as lines:
        texts = [json.dumps(message).encode() for line in lines if isinstance(message := json.loads(line)["msg"], dict)
                 and ("executionReport" in line.decode() or "orderId" in line.decode())]  # fmt: skip
    texts += [p.read_bytes() for p in sorted((folder / "nautilus_crates" / "user_data_json").glob("*.json"))]
    for data in texts:
        found = decoded(data, (UserEvents().decode_frame, lambda text: binance_reports.decode_reply(200, text)))
        assert found
        for message in [] if isinstance(found, str) else found:
            name = f"{type(message).__name__} {Kind(message.kind).name if isinstance(message, Report) else ''}"
            kinds[name] = kinds.get(name, 0) + 1
    for name in ("ACCEPTED", "FILL", "CANCELLED"):  # the EXPIRED among them are of market and immediate orders
        assert kinds[f"Report {name}"] >= 3, kinds
    assert kinds["OrderStatus "] >= 3 and kinds["Balance "] >= 1, kinds


# --- arbitrary bytes ----------------------------------------------------------------------------------------------

SEEDS = [
    b'[{"ev":"T","sym":"AAPL","i":"5096","x":10,"p":161.87,"s":300,"c":[14,41],"t":1651684192462,"q":4009402,"z":3}]',
    b'[{"ev":"Q","sym":"UFO","c":1,"bx":8,"ax":12,"bp":26.4,"ap":26.47,"bs":1,"as":3,"t":1577818659363,"z":3}]',
    b'[{"T":"q","S":"AMD","bx":"U","bp":87.66,"bs":1,"ax":"Q","ap":87.68,"as":4,"t":"2021-02-22T15:51:45.335689322Z"}]',
    b'[{"T":"t","i":96921,"S":"AAPL","x":"D","p":126.55,"s":1,"t":"2021-02-22T15:51:44.208-05:00","c":["@","I"],"z":"C"}]',
    b'{"stream":"trade_updates","data":{"event":"fill","execution_id":"2f63","order":{"id":"a","symbol":"AAPL","side":"buy",'
    b'"qty":"10","filled_qty":"4","client_order_id":"c"},"price":"105.89","qty":"4","timestamp":"2022-04-19T13:45:04Z"}}',
    b'{"id":"a","client_order_id":"c","symbol":"AAPL","status":"new","side":"buy","type":"limit","filled_qty":"0"}',
    execution(x="TRADE", X="FILLED", l="1.00000", z="1.00000", L="100.05", n="0.001", N="BTC", t=77),
    b'{"id":"x","status":400,"error":{"code":-2010,"msg":"Duplicate order sent."},"rateLimits":[]}',
    b'{"channel":"executions","type":"update","sequence":5,"data":[{"exec_type":"trade","order_id":"O","exec_id":"T","symbol":'
    b'"BTC/USD","side":"sell","last_qty":0.005,"last_price":26599.9,"cum_qty":0.005,"fees":[{"asset":"USD","qty":0.3}],'
    b'"timestamp":"2026-05-05T10:00:05Z"}]}',
    b'{"channel":"user","client_id":"","timestamp":"2026-04-07T14:30:06Z","sequence_num":1,"events":[{"type":"update","orders":'
    b'[{"order_id":"a","client_order_id":"c","cumulative_quantity":"0.4","leaves_quantity":"0.6","avg_price":"100",'
    b'"total_fees":"0.1","status":"OPEN","product_id":"B","order_side":"BUY","order_type":"Limit"}]}]}',
    b'{"data":[{"c":null,"p":7296.89,"s":"BINANCE:BTCUSDT","t":1575526691134,"v":0.011467}],"type":"trade"}',
]  # fmt: skip


def survive(count: int, seed: int) -> None:
    market = MarketRows(TABLE, "ALPACA")
    for item in mutations(SEEDS, count, seed):
        data = bytes(item)
        for codec in (polygon.decode_frame, alpaca.decode_frame, finnhub.decode_frame):
            try:
                market.write(codec(data), 1)
            except WireError as error:
                assert len(str(error)) < 500
        rows = ReportRows(TABLE, "BINANCE", IDS)
        for private in (
            alpaca_trading.decode_stream, UserEvents().decode_frame, kraken_trading.Executions().decode_frame,
            coinbase_trading.UserOrders().decode_frame, lambda text: alpaca_trading.decode_reply(200, text),
            lambda text: binance_reports.decode_reply(200, text), lambda text: kraken_trading.decode_reply(200, text),
            lambda text: coinbase_trading.decode_reply(200, text), lambda text: alpaca_trading.decode_reply(422, text),
        ):  # fmt: skip
            try:
                for message in private(data):
                    if isinstance(message, Report):
                        rows.row(message, 1)
            except WireError as error:
                assert len(str(error)) < 500


def test_codecs_survive_mutated_frames() -> None:
    survive(100_000, 31)


@pytest.mark.nightly
def test_codecs_survive_many_mutated_frames() -> None:
    survive(1_000_000, 32)


def test_market_rows_keep_the_good_messages_of_a_frame() -> None:
    rows = MarketRows(TABLE, "ALPACA")
    messages: list[Message] = [
        Trade("AAPL", 5, "1.5", "2", 0, 9, seq=3), Trade("AAPL", 5, "1.00001", "2", 0), Quote("AAPL", 6, "1", "2",
            "3", "4"),
        Trade("MSFT", 5, "1", "1", 0), Other("x"), Trade("AAPL", 5, "1", "1", 0, snapshot=True),
    ]  # fmt: skip
    events = np.frombuffer(rows.write(messages, 7), dtype=EVENT)
    assert list(events["kind"]) == [Kind.TRADE, Kind.QUOTE] and list(events["instrument"]) == [1, 1]
    assert (events["price"][0], events["qty"][0], events["seq"][0], events["ts_recv"][0]) == (15000, 2, 3, 7)
    assert sum(rows.refused.values()) == 1 and rows.unlisted == 1 and rows.counts["trade"] == 4
    assert struct.calcsize("<7qIBBbB") == EVENT.itemsize


def test_an_order_status_of_a_query_is_no_report() -> None:
    (_, found) = alpaca_trading.decode_reply(200, SEEDS[5])
    assert isinstance(found, OrderStatus) and found.open


def test_polygon_pages_of_trades_and_quotes_are_read(shared_data: Path) -> None:
    kinds: dict[str, int] = {}
    for path in sorted((shared_data / "venue_messages" / "polygon" / "rest_mocks" / "v3").glob("*s/*.json")):
        if path.parent.name in ("trades", "quotes"):
            found, _ = polygon.decode_rest(path.read_bytes(), "AAPL")
            for message in found:
                kinds[type(message).__name__] = kinds.get(type(message).__name__, 0) + 1
                assert isinstance(message, Trade | Quote) and message.ts_venue > 1_600_000_000_000_000_000
    assert kinds.keys() == {"Trade", "Quote"}, kinds


def test_the_page_of_the_codecs_states_what_the_samples_give(shared_data: Path) -> None:
    from tools.wire_counts import rows

    page = (Path(__file__).parents[2] / "docs" / "wire.md").read_text()
    for line in rows(shared_data / "venue_messages"):
        assert line in page, f"docs/wire.md lacks: {line}"
