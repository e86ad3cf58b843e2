"""The served Binance, request by request: keys, filters, codes and words, limits, streams and their update ids."""

from __future__ import annotations

import base64
import json
from itertools import pairwise

import pytest

from nanotick.core.secret import Secret
from nanotick.exchange.agents.description import description_from
from nanotick.venues.binance.limits import Limits
from nanotick.venues.binance.server import TERMS, BinanceSite
from nanotick.venues.desk import Desk
from nanotick.venues.desk_terms import Account
from nanotick.wire.binance_orders import rest_request
from nanotick.wire.requests import Request
from nanotick.wire.signing import BinanceHmac, sorted_text
from tests.venues.coins import MARKET, START
from tests.venues.hosts import ScriptedHost

SIGNER = BinanceHmac("key", Secret("secret"))
LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}


class Link:
    def __init__(self, user):
        self.user, self.said, self.ended, self.waiting = user, [], "", 0
        user.opened(self)

    def send(self, data, binary=False):
        self.said.append(json.loads(bytes(data)))

    def close(self, code=1000, reason=""):
        if not self.ended:
            self.ended = reason or str(code)
            self.user.closed(self, reason)

    def ask(self, host, **message):
        self.user.message(self, json.dumps(message).encode(), host.now())
        return next((m for m in reversed(self.said) if m.get("id") == message.get("id") and "e" not in m), None)


class Venue:
    def __init__(self, secret="secret", market=None, **settings):
        self.host = ScriptedHost()
        accounts = [Account("key", secret, balances=START)]
        self.desk = Desk(self.host, description_from(market or MARKET), "BINANCE", accounts, terms=TERMS, warm_up=0.1)
        self.site = BinanceSite(self.desk, **settings)
        self.site.start()
        self.host.run(0.5)
        self.account = self.desk.accounts["key"]

    def send(self, request, peer="1.2.3.4"):
        got = []
        self.site.request(request, peer, got.append)
        self.headers = dict(got[0].headers)
        return got[0].status, json.loads(got[0].body)

    def get(self, path, peer="1.2.3.4"):
        return self.send(Request("GET", path), peer)

    def signed(self, verb, path, params=None, signer=SIGNER, ahead_ms=0, window=5000):
        now = self.host.now() // 1_000_000 + ahead_ms
        return self.send(rest_request(verb, path, dict(params or {}), now, signer, window))

    def order(self, **params):
        return self.signed("POST", "/api/v3/order", {**LIMIT, "price": self.price(0.99), **params})

    def price(self, part):
        return str(round(float(self.desk.last("BTCUSDT")) * part))

    def open(self, path, peer="1.2.3.4"):
        return Link(self.site.upgrade(path, (), peer))

    def call(self, link, name, params=None, signer=SIGNER, ident="1", **more):
        params = {k: str(v) for k, v in (params or {}).items()} | {"timestamp": str(self.host.now() // 1_000_000)}
        if signer is not None:
            params["apiKey"] = signer.key
            params["signature"] = signer.sign(sorted_text(params).encode())
        return link.ask(self.host, id=ident, method=name, params=params)


@pytest.fixture(scope="module")
def shared():
    return Venue(limits=Limits(weight=0, orders_10s=0, open_orders=5))


@pytest.fixture
def venue(shared):
    shared.desk.cancel_all(shared.account)
    shared.host.run(0.05)
    return shared


# --- keys and clocks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead_ms, window, code", [
    (0, 5000, 0), (999, 5000, 0), (1000, 5000, -1021), (-5000, 5000, 0), (-5001, 5000, -1021), (-900, 500, -1021),
    (-50_000, 60_000, 0), (0, 60_001, -1131),
])  # fmt: skip
def test_time_stamps(venue, ahead_ms, window, code):
    status, body = venue.signed("GET", "/api/v3/openOrders", {}, ahead_ms=ahead_ms, window=window)
    assert (status == 200) == (code == 0) and (not code or body["code"] == code)


def test_keys_and_signatures(venue):
    assert venue.get("/api/v3/account")[1]["code"] == -2014
    stranger = BinanceHmac("nobody", Secret("secret"))
    assert venue.signed("GET", "/api/v3/account", signer=stranger) == (401, {
        "code": -2015, "msg": "Invalid API-key, IP, or permissions for action."})  # fmt: skip
    forger = BinanceHmac("key", Secret("another secret"))
    assert venue.signed("GET", "/api/v3/account", signer=forger) == (400, {
        "code": -1022, "msg": "Signature for this request is not valid."})  # fmt: skip
    request = rest_request("GET", "/api/v3/account", {}, venue.host.now() // 1_000_000, SIGNER)
    tampered = request._replace(path=request.path.replace("recvWindow=5000", "recvWindow=5001"))
    assert venue.send(tampered)[1]["code"] == -1022
    assert venue.signed("GET", "/api/v3/account")[0] == 200


# --- orders -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changed, code, words", [
    ({"symbol": "NONE"}, -1121, "Invalid symbol."),
    ({"side": "HOLD"}, -1117, "Invalid side."),
    ({"type": "ICEBERG"}, -1116, "Invalid orderType."),
    ({"timeInForce": "DAY"}, -1115, "Invalid timeInForce."),
    ({"timeInForce": ""}, -1102, "Mandatory parameter 'timeInForce' was not sent, was empty/null, or malformed."),
    ({"quantity": ""}, -1102, "Mandatory parameter 'quantity' was not sent, was empty/null, or malformed."),
    ({"quantity": "abc"}, -1100, "Illegal characters found in parameter 'quantity'"),
    ({"quantity": "NaN"}, -1100, "Illegal characters found in parameter 'quantity'"),
    ({"quantity": "0.0100000001"}, -1111, "Parameter 'quantity' has too much precision."),
    ({"quantity": "0.01005"}, -1013, "Filter failure: LOT_SIZE"),
    ({"quantity": "0.00001"}, -1013, "Filter failure: LOT_SIZE"),
    ({"quantity": "99999999"}, -1013, "Filter failure: LOT_SIZE"),
    ({"quantity": "-1"}, -1013, "Invalid quantity."),
    ({"price": "95000.5"}, -1013, "Filter failure: PRICE_FILTER"),
    ({"price": "2000000"}, -1013, "Filter failure: PRICE_FILTER"),
    ({"price": "100"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
    ({"price": "20000", "quantity": "0.0001"}, -1013, "Filter failure: NOTIONAL"),
    ({"quantity": "50"}, -2010, "Account has insufficient balance for requested action."),
    ({"type": "LIMIT_MAKER", "timeInForce": "", "price": "100000"}, -2010, "Order would immediately match and take."),
    ({"type": "MARKET", "timeInForce": ""}, -1106, "Parameter 'price' sent when not required."),
    ({"newClientOrderId": "not allowed!"}, -1100, "Illegal characters found in parameter 'newClientOrderId'"),
    ({"newClientOrderId": "x" * 37}, -1100, "Illegal characters found in parameter 'newClientOrderId'"),
    ({"newOrderRespType": "SHORT"}, -1130, "Data sent for parameter 'newOrderRespType' is not valid."),
    ({"selfTradePreventionMode": "EXPIRE_BOTH"}, -1013, "This symbol does not allow the specified self-trade"),
])  # fmt: skip
def test_what_is_refused_and_why(venue, changed, code, words):
    status, body = venue.order(**changed)
    assert (status, body["code"]) == (400, code) and body["msg"].startswith(words), body
    assert venue.desk.orders(venue.account, open_only=True) == []
    tested = venue.signed("POST", "/api/v3/order/test", {**LIMIT, "price": venue.price(0.99), **changed})[1]
    assert tested.get("code") == (None if code == -2010 else code)  # what only the book and the account tell


def test_a_stop_that_would_trigger_at_once_is_refused_and_one_ahead_waits(venue):
    stop = {"type": "STOP_LOSS_LIMIT", "side": "SELL"}
    assert venue.order(**stop, stopPrice=venue.price(1.01))[1]["msg"] == "Stop price would trigger immediately."
    status, body = venue.order(**stop, stopPrice=venue.price(0.97), price=venue.price(0.96))
    assert status == 200 and "status" not in body  # ACK
    _, found = venue.signed("GET", "/api/v3/order", {"symbol": "BTCUSDT", "orderId": str(body["orderId"])})
    assert found["status"] == "NEW" and not found["isWorking"] and float(found["stopPrice"])


def test_a_client_id_is_unique_among_open_orders_only(venue):
    assert venue.order(newClientOrderId="one")[0] == 200
    assert venue.order(newClientOrderId="one")[1] == {"code": -2010, "msg": "Duplicate order sent."}
    assert venue.signed("DELETE", "/api/v3/order", {"symbol": "BTCUSDT", "origClientOrderId": "one"})[0] == 200
    assert venue.order(newClientOrderId="one")[0] == 200


def test_a_symbol_takes_so_many_orders(venue):
    for _ in range(5):
        assert venue.order()[0] == 200
    assert venue.order()[1]["msg"] == "Filter failure: MAX_NUM_ORDERS"
    status, gone = venue.signed("DELETE", "/api/v3/openOrders", {"symbol": "BTCUSDT"})
    assert status == 200 and len(gone) == 5 and {o["status"] for o in gone} == {"CANCELED"}
    assert venue.signed("DELETE", "/api/v3/openOrders", {"symbol": "BTCUSDT"})[1]["code"] == -2011


def test_unknown_orders(venue):
    name = {"symbol": "BTCUSDT", "orderId": "424242"}
    assert venue.signed("DELETE", "/api/v3/order", name) == (400, {"code": -2011, "msg": "Unknown order sent."})
    assert venue.signed("GET", "/api/v3/order", name) == (400, {"code": -2013, "msg": "Order does not exist."})
    assert venue.signed("GET", "/api/v3/order", {"symbol": "BTCUSDT"})[1]["code"] == -1128


def test_cancel_and_replace_says_which_half_failed(venue):
    first = venue.order()[1]
    replace = {**LIMIT, "price": venue.price(0.98), "cancelReplaceMode": "STOP_ON_FAILURE"}
    path = "/api/v3/order/cancelReplace"
    status, done = venue.signed("POST", path, {**replace, "cancelOrderId": str(first["orderId"])})
    assert status == 200 and done["cancelResult"] == done["newOrderResult"] == "SUCCESS"
    status, failed = venue.signed("POST", path, {**replace, "cancelOrderId": str(first["orderId"])})
    assert (status, failed["code"], failed["data"]["newOrderResult"]) == (400, -2022, "NOT_ATTEMPTED")
    status, half = venue.signed("POST", path, {**replace, "cancelOrderId": "1", "cancelReplaceMode": "ALLOW_FAILURE"})
    assert (status, half["code"], half["data"]["newOrderResponse"]["status"]) == (409, -2021, "NEW")
    second = str(done["newOrderResponse"]["orderId"])
    status, half = venue.signed("POST", path, {**replace, "quantity": "60", "cancelOrderId": second})
    assert (status, half["code"]) == (409, -2021) and half["data"]["cancelResult"] == "SUCCESS"


def test_a_fill_is_told_three_ways_and_once(venue):
    link = venue.open("/ws-api/v3")
    assert venue.call(link, "userDataStream.subscribe.signature")["result"] == {"subscriptionId": 0}
    _, placed = venue.order(type="MARKET", timeInForce="", price="", quantity="0.003")
    events = [m["event"] for m in link.said if "event" in m]
    fills = [e for e in events if e["e"] == "executionReport" and e["x"] == "TRADE"]
    told = {(f["tradeId"], f["price"], f["qty"], f["commission"]) for f in placed["fills"]}
    assert told == {(e["t"], e["L"], e["l"], e["n"]) for e in fills} and placed["status"] == "FILLED"
    _, history = venue.signed("GET", "/api/v3/myTrades", {"symbol": "BTCUSDT", "orderId": str(placed["orderId"])})
    assert told == {(t["id"], t["price"], t["qty"], t["commission"]) for t in history}
    assert float(fills[-1]["Z"]) == pytest.approx(sum(float(e["Y"]) for e in fills))
    last = max(t["id"] for t in history)
    _, later = venue.signed("GET", "/api/v3/myTrades", {"symbol": "BTCUSDT", "fromId": str(last + 1)})
    assert later == []
    positions = [e for e in events if e["e"] == "outboundAccountPosition"]
    _, account = venue.signed("GET", "/api/v3/account")
    held = {row["asset"]: row["free"] for row in account["balances"]}
    assert {row["a"]: row["f"] for row in positions[-1]["B"]} == {name: held[name] for name in ("BTC", "USDT")}


def test_a_cancel_carries_both_client_ids(venue):
    link = venue.open("/ws-api/v3")
    venue.call(link, "userDataStream.subscribe.signature")
    venue.order(newClientOrderId="mine")
    venue.signed(
        "DELETE", "/api/v3/order", {"symbol": "BTCUSDT", "origClientOrderId": "mine", "newClientOrderId": "off"}
    )
    event = [m["event"] for m in link.said if m.get("event", {}).get("x") == "CANCELED"][-1]
    assert (event["c"], event["C"], event["X"]) == ("off", "mine", "CANCELED")


def test_an_order_that_would_meet_our_own_takes_nothing(venue):
    low = venue.desk.quote("BTCUSDT").bid
    venue.order(price=str(int(float(low)) + 1), newClientOrderId="resting")
    link = venue.open("/ws-api/v3")
    venue.call(link, "userDataStream.subscribe.signature")
    _, body = venue.order(side="SELL", price=str(int(float(low)) + 1), quantity="0.01")
    found = venue.signed("GET", "/api/v3/order", {"symbol": "BTCUSDT", "orderId": str(body["orderId"])})[1]
    if found["status"] != "FILLED":  # somebody else may have been there
        assert found["status"] == "EXPIRED_IN_MATCH"
        assert any(m.get("event", {}).get("x") == "TRADE_PREVENTION" for m in link.said)


# --- the WebSocket API ------------------------------------------------------------------------------------------------


def test_requests_over_the_socket(venue):
    link = venue.open("/ws-api/v3")
    assert venue.call(link, "time", signer=None)["result"]["serverTime"] == venue.host.now() // 1_000_000
    placed = venue.call(link, "order.place", {**LIMIT, "price": venue.price(0.99)}, ident="a-1")
    assert placed["status"] == 200 and placed["rateLimits"][0]["rateLimitType"] == "REQUEST_WEIGHT"
    assert venue.call(link, "openOrders.status")["result"][0]["orderId"] == placed["result"]["orderId"]
    refused = venue.call(link, "order.cancel", {"symbol": "BTCUSDT", "orderId": 1}, ident="b")
    assert (refused["status"], refused["error"]["code"]) == (400, -2011)
    assert venue.call(link, "no.such")["error"]["code"] == -1000
    assert venue.call(link, "order.place", LIMIT, signer=BinanceHmac("key", Secret("x")))["error"]["code"] == -1022
    link.user.message(link, b"{", 0)
    assert link.said[-1]["error"]["code"] == -1135 and not link.ended
    assert venue.call(link, "session.logon")["error"]["code"] == -4056  # HMAC keys do not log on


def test_ed25519_keys_log_on():
    pytest.importorskip("cryptography", reason="Ed25519 keys need cryptography: pip install 'nanotick[live]'")
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    pem = private.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo).decode()

    class Signer:
        key = "key"

        def sign(self, payload):
            return base64.b64encode(private.sign(payload)).decode()

    venue = Venue(pem)
    link = venue.open("/ws-api/v3")
    assert venue.call(link, "userDataStream.subscribe", signer=None)["status"] == 401
    assert venue.call(link, "session.logon", signer=Signer())["result"]["apiKey"] == "key"
    assert venue.call(link, "userDataStream.subscribe", signer=None)["status"] == 200
    params = {**LIMIT, "price": venue.price(0.99)}
    assert venue.call(link, "order.place", params, signer=None)["status"] == 200
    assert venue.signed("GET", "/api/v3/account", signer=Signer())[0] == 200
    assert venue.signed("GET", "/api/v3/account")[1]["code"] == -1022


# --- limits -----------------------------------------------------------------------------------------------------------


def test_weight_is_told_429_then_a_ban_that_ends():
    venue = Venue(limits=Limits(weight=100))
    for n in range(5):
        assert venue.get("/api/v3/exchangeInfo")[0] == 200 and venue.headers["X-MBX-USED-WEIGHT-1M"] == str(20 * n + 20)
    status, body = venue.get("/api/v3/exchangeInfo")
    assert (status, body["code"]) == (429, -1003)
    assert 0 < int(venue.headers["Retry-After"]) <= 60
    assert venue.get("/api/v3/time", peer="5.6.7.8")[0] == 200  # another address
    while venue.get("/api/v3/exchangeInfo")[0] == 429:
        pass
    assert venue.get("/api/v3/time")[0] == 418 and int(venue.headers["Retry-After"]) == 120
    venue.host.run(121)
    assert venue.get("/api/v3/time")[0] == 200


def test_unfilled_orders_count_and_fills_give_back():
    venue = Venue(limits=Limits(orders_10s=3))
    venue.host.run(10 - venue.host.now() / 1e9 % 10)
    for _ in range(3):
        assert venue.order(type="MARKET", timeInForce="", price="", quantity="0.001")[0] == 200
    for _ in range(3):
        assert venue.order()[0] == 200
    assert venue.headers["X-MBX-ORDER-COUNT-10S"] == "3"
    status, body = venue.order()
    assert (status, body["code"]) == (429, -1015)
    assert venue.signed("DELETE", "/api/v3/openOrders", {"symbol": "BTCUSDT"})[0] == 200  # cancels are not orders
    venue.host.run(10)
    assert venue.order()[0] == 200


# --- streams ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("speed", ["@100ms", ""])
def test_diffs_follow_the_snapshot_and_give_the_book(speed):
    venue = Venue()
    link = venue.open(f"/stream?streams=btcusdt@depth{speed}")
    venue.host.run(1.5)
    _, snapshot = venue.get("/api/v3/depth?symbol=BTCUSDT&limit=5000")
    book = {("b", p): q for p, q in snapshot["bids"]} | {("a", p): q for p, q in snapshot["asks"]}
    last = snapshot["lastUpdateId"]
    venue.host.run(20)
    diffs = [m["data"] for m in link.said]
    assert len(diffs) > (100 if speed else 10) and diffs[0]["U"] <= last + 1
    for before, after in pairwise(diffs):
        assert after["U"] == before["u"] + 1
    for data in diffs:
        if data["u"] > last:
            for side in ("b", "a"):
                for price, qty in data[side]:
                    book.pop((side, price), None) if not float(qty) else book.update({(side, price): qty})
    _, now = venue.get("/api/v3/depth?symbol=BTCUSDT&limit=5000")
    if now["lastUpdateId"] == diffs[-1]["u"]:
        assert book == {("b", p): q for p, q in now["bids"]} | {("a", p): q for p, q in now["asks"]}
    else:
        assert now["lastUpdateId"] > diffs[-1]["u"]  # the next diff is not due yet


def test_subscriptions_and_their_refusals(venue):
    link = venue.open("/ws")
    asked = link.ask(venue.host, id=1, method="SUBSCRIBE", params=["btcusdt@trade", "btcusdt@bookTicker"])
    assert asked == {"result": None, "id": 1}
    assert link.ask(venue.host, id=2, method="LIST_SUBSCRIPTIONS")["result"] == ["btcusdt@trade", "btcusdt@bookTicker"]
    venue.host.run(5)
    kinds = {message.get("e", "bookTicker") for message in link.said if "id" not in message}
    assert kinds == {"trade", "bookTicker"}
    assert link.ask(venue.host, id=3, method="UNSUBSCRIBE", params=["btcusdt@trade"]) == {"result": None, "id": 3}
    assert link.ask(venue.host, id=4, method="DANCE")["error"]["code"] == 2
    assert link.ask(venue.host, id=5, method="SUBSCRIBE", params=["trade"])["error"]["code"] == 2
    for number in range(6, 12):
        link.ask(venue.host, id=number, method="LIST_SUBSCRIPTIONS")
    assert link.ended == "Too many requests"


def test_microseconds_where_they_are_asked_for(venue):
    for path, least in (("/ws/btcusdt@trade", 10**12), ("/stream?streams=btcusdt@trade&timeUnit=MICROSECOND", 10**15)):
        link = venue.open(path)
        venue.host.run(10)
        data = link.said[-1].get("data", link.said[-1])
        assert least < data["T"] <= data["E"] < 10 * least
        link.close()


def test_maintenance_is_announced_and_connections_have_an_end():
    venue = Venue(life_s=3600)
    stream, api = venue.open("/ws/btcusdt@trade"), venue.open("/ws-api/v3")
    venue.site.shut_down(notice_s=60)
    assert stream.said[-1]["e"] == "serverShutdown" and api.said[-1]["event"]["e"] == "serverShutdown"
    venue.host.run(30)
    late = venue.open("/ws/btcusdt@bookTicker")
    assert not stream.ended
    venue.host.run(31)
    assert stream.ended and api.ended and not late.ended
    venue.desk.stop()
    venue.host.run(3600)
    assert late.ended == "24 hours"
