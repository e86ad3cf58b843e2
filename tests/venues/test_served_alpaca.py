"""A served Alpaca, asked directly: what its API and its streams answer."""

from __future__ import annotations

import json

import msgspec
import pytest

from nanotick.exchange.agents.description import description_from
from nanotick.venues.alpaca.server import TERMS, AlpacaSite
from nanotick.venues.desk import Desk
from nanotick.venues.desk_terms import Account
from nanotick.wire.alpaca import decode_frame
from nanotick.wire.alpaca_trading import decode_reply, decode_stream
from nanotick.wire.messages import Quote, Trade
from nanotick.wire.reports import Report
from nanotick.wire.requests import Entry, Request, Response
from tests.venues.hosts import ScriptedHost

MARKET = {
    "name": "small",
    "session": {"start": "2026-01-05T14:30:00Z", "hours": 0.1},
    "profiles": {"plain": {"flow": {"limit_rate": 8.0, "market_rate": 0.8, "lifetime": 5.0}}},
    "instruments": [
        {"symbol": "AAA", "venue": "XNAS", "profile": "plain", "price": "50.00", "size": 60},
        {"symbol": "BBB", "venue": "XNAS", "profile": "plain", "price": "20.00", "size": 60},
    ],
}
KEYS = (("APCA-API-KEY-ID", "key"), ("apca-api-secret-key", "secret"))


class Wire:
    """A link whose other end is a list."""

    def __init__(self):
        self.sent, self.closed_with, self.waiting = [], None, 0

    def send(self, data, binary=False):
        self.sent.append((bytes(data), binary))

    def close(self, code=1000, reason=""):
        self.closed_with = code, reason

    def take(self):
        found, self.sent = [data for data, _ in self.sent], []
        return found


class Venue:
    def __init__(self, seconds=0.5, accounts=None, **settings):
        self.host = ScriptedHost()
        accounts = accounts or [Account("key", "secret", multiplier=2)]
        self.desk = Desk(self.host, description_from(MARKET), accounts=accounts, terms=TERMS, warm_up=0.1)
        self.desk.start()
        self.site = AlpacaSite(self.desk, **{"rate_limit": 0, **settings})
        self.me = self.desk.accounts["key"]
        self.host.run(seconds)

    def ask(self, method, path, body=None, headers=KEYS):
        found: list[Response] = []
        data = b"" if body is None else json.dumps(body).encode()
        self.site.request(Request(method, path, headers, data), "test", found.append)
        assert len(found) == 1
        return found[0]

    def get(self, path, status=200):
        response = self.ask("GET", path)
        assert response.status == status, response.body
        return json.loads(response.body)

    def order(self, status=200, **fields):
        body = {"symbol": "AAA", "qty": "10", "side": "buy", "type": "market", "time_in_force": "day", **fields}
        response = self.ask("POST", "/v2/orders", {k: v for k, v in body.items() if v is not None})
        assert response.status == status, response.body
        return json.loads(response.body)

    def limit(self, away=20, status=200, **fields):
        """A limit order so many cents off the market."""
        side = fields.get("side", "buy")
        quote = self.desk.quote(fields.get("symbol", "AAA"))
        price = float(quote.bid) - away / 100 if side == "buy" else float(quote.ask) + away / 100
        return self.order(status, type="limit", limit_price=f"{price:.2f}", **fields)

    def open(self, path, headers=()):
        user = self.site.upgrade(path, headers, "test")
        assert not isinstance(user, Response)
        link = Wire()
        user.opened(link)

        def say(item, pack=False):
            data = msgspec.msgpack.encode(item) if pack else json.dumps(item).encode()
            user.message(link, data, self.host.now())

        return user, link, say

    def stream(self):
        _user, link, say = self.open("/stream")
        say({"action": "auth", "key": "key", "secret": "secret"})
        say({"action": "listen", "data": {"streams": ["trade_updates"]}})
        link.take()
        return link

    def data(self, path="/v2/sip", key="key"):
        user, link, say = self.open(path)
        say({"action": "auth", "key": key, "secret": "secret"})
        link.take()
        return user, link, say


def events(link):
    found = [json.loads(data) for data in link.take()]
    return [(item["data"]["event"], item["data"]["order"]["status"]) for item in found]


def code(body):
    return body["code"]


def test_only_who_has_the_keys_is_answered():
    venue = Venue()
    for headers in ((), KEYS[:1], (KEYS[0], ("APCA-API-SECRET-KEY", "wrong"))):
        response = venue.ask("GET", "/v2/account", headers=headers)
        assert response.status == 401 and json.loads(response.body)["code"] == 40110000


def test_a_market_order_is_taken_filled_and_told():
    venue = Venue()
    link = venue.stream()
    taken = venue.order(client_order_id="mine")
    assert taken["status"] == "pending_new" and taken["filled_qty"] == "0" and taken["client_order_id"] == "mine"
    told = events(link)
    assert told[0] == ("new", "new") and told[-1] == ("fill", "filled")
    now = venue.get(f"/v2/orders/{taken['id']}")
    assert now["status"] == "filled" and now["filled_qty"] == "10" and now["filled_at"] and now["filled_avg_price"]
    assert venue.get("/v2/orders:by_client_order_id?client_order_id=mine") == now
    position = venue.get("/v2/positions/AAA")
    assert position["qty"] == "10" and position["side"] == "long" and position["qty_available"] == "10"
    assert venue.get("/v2/positions") == [position]
    fills = venue.get("/v2/account/activities/FILL")
    assert sum(int(row["qty"]) for row in fills) == 10 and fills[0]["order_status"] == "filled"
    assert fills[0]["cum_qty"] == "10" and fills[0]["leaves_qty"] == "0"


def test_our_own_codec_reads_what_is_said():
    venue = Venue()
    link = venue.stream()
    taken = venue.order()
    reports = [r for data in link.take() for r in decode_stream(data) if isinstance(r, Report)]
    fills = venue.get("/v2/account/activities/FILL?direction=asc")
    told = [item for item in decode_reply(200, json.dumps(fills).encode()) if isinstance(item, Report)]
    assert [r.execution for r in reports if r.told in ("fill", "partial_fill")] == [r.execution for r in told]
    assert reports[0].order == taken["id"]
    _, account = decode_reply(200, json.dumps(venue.get("/v2/account")).encode())
    assert account.cash == venue.desk.balances(venue.me)[0].free


def test_every_type_and_time_in_force_is_taken_or_refused_as_alpaca_does():
    venue = Venue()
    bid, ask = float(venue.desk.quote("AAA").bid), float(venue.desk.quote("AAA").ask)
    above, below = f"{ask + 2:.2f}", f"{bid - 2:.2f}"
    for tif in ("day", "gtc", "ioc", "fok", "cls"):
        venue.order(type="limit", limit_price=below, time_in_force=tif)
        assert venue.order(time_in_force=tif)["time_in_force"] == tif
    assert code(venue.order(403, time_in_force="opg")) == 40310000
    for tif in ("day", "gtc"):
        assert venue.order(type="stop", stop_price=above, time_in_force=tif)["type"] == "stop"
        taken = venue.order(type="stop_limit", stop_price=above, limit_price=above, time_in_force=tif)
        assert (taken["type"], taken["stop_price"], taken["limit_price"]) == ("stop_limit", above, above)
        venue.order(type="trailing_stop", trail_price="1.00", time_in_force=tif)
        assert venue.order(type="trailing_stop", trail_percent="5", time_in_force=tif)["type"] == "trailing_stop"
    assert code(venue.order(422, type="stop", stop_price=above, time_in_force="ioc")) == 40010001


REFUSED = [
    (422, 40010001, {"symbol": None}, "symbol is required"),
    (422, 42210000, {"symbol": "ZZZ"}, 'asset "ZZZ" not found'),
    (422, 40010001, {"qty": None}, "qty or notional is required"),
    (422, 40010001, {"qty": 0}, "qty must be > 0"),
    (422, 40010001, {"qty": "-1"}, "qty must be > 0"),
    (422, 40010001, {"qty": "abc"}, "invalid qty"),
    (403, 40310000, {"qty": "0.5"}, 'asset "AAA" is not fractionable'),
    (403, 40310000, {"qty": None, "notional": "100"}, 'asset "AAA" is not fractionable'),
    (422, 40010001, {"side": "hold"}, "invalid side"),
    (422, 40010001, {"type": "iceberg"}, "invalid order type"),
    (422, 40010001, {"time_in_force": "gtx"}, "invalid time_in_force"),
    (422, 40010001, {"limit_price": "5"}, "market orders require no stop or limit price"),
    (422, 40010001, {"type": "limit"}, "limit orders require limit price"),
    (422, 40010001, {"type": "limit", "limit_price": 0}, "limit price must be > 0"),
    (422, 42210000, {"type": "limit", "limit_price": "20.005"},
     "invalid limit_price 20.005. sub-penny increment does not fulfill minimum pricing criteria"),
    (422, 40010001, {"type": "stop"}, "stop orders require stop price"),
    (422, 42210000, {"type": "stop", "stop_price": "1"}, "stop price must be greater than current price"),
    (422, 42210000, {"type": "stop", "stop_price": "99", "side": "sell"}, "stop price must be less than current price"),
    (422, 40010001, {"client_order_id": "x" * 129}, "client_order_id must be no more than 128 characters"),
    (422, 40010001, {"extended_hours": True}, 'only type="limit" is allowed for extended hours orders'),
    (422, 40010001, {"type": "trailing_stop"}, "trailing stop orders must specify one of trail_price or trail_percent"),
    (422, 40010001, {"order_class": "bracket"}, "bracket orders require take_profit.limit_price"),
    (403, 40310000, {"qty": "100000"}, "insufficient buying power"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "number", "fields", "words"), REFUSED)
def test_a_bad_order_is_refused_with_alpacas_code_and_words(status, number, fields, words):
    venue = Venue()
    body = venue.order(status, **fields)
    assert (body["code"], body["message"]) == (number, words)
    assert venue.get("/v2/orders?status=all") == []


def test_a_body_that_is_no_json_is_refused():
    venue = Venue()
    found = []
    venue.site.request(Request("POST", "/v2/orders", KEYS, b'{"symbol": "AAA", '), "test", found.append)
    assert found[0].status == 400 and json.loads(found[0].body)["code"] == 40010000


def test_selling_more_than_is_held_says_what_is_available():
    venue = Venue()
    venue.order()
    venue.limit(side="sell", qty="4")
    body = venue.order(403, side="sell", qty="7")
    assert body["message"] == "insufficient qty available for order (requested: 7, available: 6)"
    assert (body["existing_qty"], body["held_for_orders"], body["available"]) == ("10", "4", "6")
    assert len(body["related_orders"]) == 1


def test_client_ids_are_unique_for_ever():
    venue = Venue()
    venue.order(client_order_id="a")
    assert venue.order(422, client_order_id="a")["message"] == "client_order_id must be unique"


def test_orders_that_might_trade_with_each_other_are_refused():
    venue = Venue()
    mine = venue.limit(side="buy", away=5)
    body = venue.order(403, side="sell", qty="1")
    assert body["existing_order_id"] == mine["id"]
    assert body["reject_reason"] == "opposite side limit order exists"
    venue.limit(side="sell", away=50)  # far enough apart


def test_a_replaced_order_is_a_new_one_and_both_are_told():
    venue = Venue()
    link = venue.stream()
    old = venue.limit(qty="10")
    link.take()
    response = venue.ask("PATCH", f"/v2/orders/{old['id']}", {"qty": "4", "client_order_id": "fresh"})
    new = json.loads(response.body)
    assert response.status == 200 and new["replaces"] == old["id"] and new["qty"] == "4" and new["id"] != old["id"]
    assert events(link) == [("replaced", "replaced"), ("new", "new")]
    assert venue.get(f"/v2/orders/{old['id']}")["replaced_by"] == new["id"]
    again = venue.ask("PATCH", f"/v2/orders/{old['id']}", {"qty": "3"})
    assert again.status == 422 and "already replaced" in json.loads(again.body)["message"]
    same = venue.ask("PATCH", f"/v2/orders/{new['id']}", {"qty": "4"})
    assert json.loads(same.body)["message"] == "order parameters are not changed"
    gone = venue.ask("PATCH", "/v2/orders/00000000-0000-4000-8000-000000000000", {"qty": "3"})
    assert gone.status == 404


def test_cancelling_ends_an_order_once():
    venue = Venue()
    link = venue.stream()
    order = venue.limit()
    path = f"/v2/orders/{order['id']}"
    assert venue.ask("DELETE", path) == Response(204)
    assert events(link) == [("new", "new"), ("canceled", "canceled")]
    again = venue.ask("DELETE", path)
    assert again.status == 422 and json.loads(again.body)["message"] == 'order is already in "canceled" state'
    assert venue.ask("DELETE", "/v2/orders/nope").status == 404
    ids = {venue.limit()["id"], venue.limit(symbol="BBB")["id"]}
    response = venue.ask("DELETE", "/v2/orders")
    assert response.status == 207 and {(r["id"], r["status"]) for r in json.loads(response.body)} == {
        (i, 200) for i in ids
    }
    assert venue.get("/v2/orders") == []


def test_orders_are_listed_as_asked():
    venue = Venue()
    made = []
    for n in range(6):
        made.append(venue.limit(symbol="AAA" if n % 2 else "BBB", client_order_id=f"c{n}"))
        venue.host.run(0.01)
    venue.ask("DELETE", f"/v2/orders/{made[0]['id']}")

    def clients(query):
        return [row["client_order_id"] for row in venue.get(f"/v2/orders?{query}")]

    assert clients("") == ["c5", "c4", "c3", "c2", "c1"]
    assert clients("status=closed") == ["c0"]
    assert clients("status=all&direction=asc&limit=2") == ["c0", "c1"]
    assert clients("symbols=AAA,ZZZ&direction=asc") == ["c1", "c3", "c5"]
    assert clients(f"status=all&direction=asc&after={made[3]['submitted_at']}") == ["c4", "c5"]
    assert clients(f"status=all&until={made[2]['submitted_at']}") == ["c1", "c0"]
    venue.get("/v2/orders?status=maybe", 422)
    venue.get("/v2/orders?limit=x", 422)


def test_positions_are_closed():
    venue = Venue()
    venue.order(qty="10")
    venue.order(symbol="BBB", qty="6", side="sell")
    assert json.loads(venue.ask("DELETE", "/v2/positions/AAA?percentage=50").body)["qty"] == "5"
    assert venue.get("/v2/positions/AAA")["qty"] == "5"
    venue.limit(side="sell", qty="5")
    response = venue.ask("DELETE", "/v2/positions?cancel_orders=true")
    rows = json.loads(response.body)
    assert response.status == 207 and [(r["symbol"], r["status"]) for r in rows] == [("AAA", 200), ("BBB", 200)]
    assert venue.get("/v2/positions") == []
    assert venue.ask("DELETE", "/v2/positions/AAA").status == 404


def test_fills_come_page_by_page():
    venue = Venue()
    for n in range(7):
        venue.order(qty="1", client_order_id=f"c{n}")
        venue.host.run(0.01)
    rows = venue.get("/v2/account/activities/FILL?direction=asc")
    assert len(rows) >= 7
    first = venue.get("/v2/account/activities/FILL?direction=asc&page_size=3")
    second = venue.get(f"/v2/account/activities/FILL?direction=asc&page_size=3&page_token={first[-1]['id']}")
    assert first + second == rows[:6]
    after = rows[4]["transaction_time"]
    assert venue.get(f"/v2/account/activities?activity_types=FILL&direction=asc&after={after}") == rows[5:]
    assert venue.get("/v2/account/activities/DIV") == []


def test_requests_are_limited_and_said_to_be():
    venue = Venue(rate_limit=3)
    left = [dict(venue.ask("GET", "/v2/clock").headers)["X-RateLimit-Remaining"] for _ in range(3)]
    assert left == ["2", "1", "0"]
    over = venue.ask("GET", "/v2/clock")
    assert over.status == 429 and json.loads(over.body)["code"] == 42910000
    wait = int(dict(over.headers)["X-RateLimit-Reset"]) - venue.host.now() // 10**9
    assert 0 < wait <= 60
    venue.host.run(60)
    assert venue.ask("GET", "/v2/clock").status == 200


def test_the_clock_the_calendar_assets_and_account():
    venue = Venue()
    clock = venue.get("/v2/clock")
    assert clock["is_open"] and clock["timestamp"] < clock["next_close"] < clock["next_open"]
    days = venue.get("/v2/calendar?start=2026-01-01&end=2026-01-11")
    assert [day["date"][8:] for day in days] == ["01", "02", "05", "06", "07", "08", "09"]
    assets = venue.get("/v2/assets")
    assert [asset["symbol"] for asset in assets] == ["AAA", "BBB"]
    assert venue.get(f"/v2/assets/{assets[0]['id']}") == venue.get("/v2/assets/AAA")
    account = venue.get("/v2/account")
    assert account["buying_power"] == "200000" and account["status"] == "ACTIVE"
    assert venue.get("/v2/account/portfolio/history")["equity"] == [100000.0]
    venue.get("/v2/nothing", 404)
    venue.host.run(400)
    clock = venue.get("/v2/clock")
    assert not clock["is_open"] and clock["timestamp"] < clock["next_open"] < clock["next_close"]


def test_the_stream_wants_authentication_first():
    venue = Venue()
    _, link, say = venue.open("/stream")
    say({"action": "listen", "data": {"streams": ["trade_updates"]}})
    say({"action": "authenticate", "data": {"key_id": "key", "secret_key": "bad"}})
    say({"action": "authenticate", "data": {"key_id": "key", "secret_key": "secret"}})
    say({"action": "listen", "data": {"streams": ["trade_updates"]}})
    assert all(binary for _, binary in link.sent)
    said = [json.loads(data)["data"] for data in link.take()]
    assert [item.get("status", item.get("streams")) for item in said] == [
        "unauthorized", "unauthorized", "authorized", ["trade_updates"]]  # fmt: skip


def test_an_account_hears_only_of_its_own_orders():
    accounts = [Account("key", "secret"), Account("other", "secret")]
    venue = Venue(accounts=accounts)
    link = venue.stream()
    other = (("APCA-API-KEY-ID", "other"), KEYS[1])
    body = {"symbol": "AAA", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
    assert venue.ask("POST", "/v2/orders", body, other).status == 200
    assert link.take() == [] and venue.get("/v2/orders?status=all") == []


def test_market_data_flows_to_who_subscribed():
    venue = Venue()
    _user, link, say = venue.data()
    say({"action": "subscribe", "trades": ["AAA"], "quotes": ["*"]})
    answer = json.loads(link.take()[0])[0]
    assert answer["trades"] == ["AAA"] and answer["quotes"] == ["*"] and answer["cancelErrors"] == ["AAA"]
    venue.host.run(5)
    messages = [m for data in link.take() for m in decode_frame(data)]
    assert {m.symbol for m in messages if isinstance(m, Trade)} == {"AAA"}
    quotes = [m for m in messages if isinstance(m, Quote)]
    assert {m.symbol for m in quotes} == {"AAA", "BBB"}
    last = next(m for m in reversed(quotes) if m.symbol == "AAA")
    now = venue.desk.quote("AAA")
    assert (last.bid, last.bid_qty, last.ask, last.ask_qty) == (now.bid, now.bid_qty, now.ask, now.ask_qty)
    say({"action": "unsubscribe", "trades": ["AAA"], "quotes": ["*"]})
    link.take()
    venue.host.run(1)
    assert link.take() == []


def test_market_data_in_messagepack_is_the_same():
    venue = Venue()
    _, packed, say_packed = venue.open("/v2/sip", (("Content-Type", "application/msgpack"),))
    say_packed({"action": "auth", "key": "key", "secret": "secret"}, pack=True)
    say_packed({"action": "subscribe", "quotes": ["AAA"]}, pack=True)
    venue.site.hub.talks.clear()
    _, plain, say = venue.data()
    say({"action": "subscribe", "quotes": ["AAA"]})
    packed.take(), plain.take()
    venue.host.run(2)
    first = [item for data in packed.take() for item in msgspec.msgpack.decode(data)]
    second = [item for data in plain.take() for item in json.loads(data)]
    assert len(first) == len(second) > 5
    for one, two in zip(first, second, strict=True):
        assert {k: v for k, v in one.items() if k != "t"} == {k: v for k, v in two.items() if k != "t"}


def test_minute_bars_agree_with_the_trades():
    venue = Venue()
    _user, link, say = venue.data()
    say({"action": "subscribe", "trades": ["AAA"], "bars": ["AAA"]})
    venue.host.run(130)
    items = [item for data in link.take() for item in json.loads(data)]
    bars = [item for item in items if item["T"] == "b"]
    assert len(bars) >= 2
    bar = bars[1]
    minute = bar["t"][:16]
    trades = [item for item in items if item["T"] == "t" and item["t"][:16] == minute]
    prices = [item["p"] for item in trades]
    assert (bar["o"], bar["h"], bar["l"], bar["c"]) == (prices[0], max(prices), min(prices), prices[-1])
    assert bar["v"] == sum(item["s"] for item in trades) and bar["n"] == len(trades)
    past = venue.get("/v2/stocks/AAA/bars?timeframe=1Min")["bars"]
    assert past[1]["c"] == bar["c"]


def test_the_data_stream_says_its_errors():
    venue = Venue()
    user, link, say = venue.open("/v2/iex")
    say({"action": "subscribe", "trades": ["AAA"]})
    say({"action": "auth", "key": "key", "secret": "bad"})
    say({"action": "auth", "key": "key", "secret": "secret"})
    say({"action": "auth", "key": "key", "secret": "secret"})
    say({"action": "subscribe", "trades": [f"S{n}" for n in range(31)]})
    say({"action": "subscribe", "quotes": ["*"]})
    say({"action": "jump"})
    user.message(link, b"{", 0)
    said = [json.loads(data)[0] for data in link.take()]
    assert [item.get("code", item.get("msg")) for item in said] == [
        "connected", 401, 402, "authenticated", 403, 405, 405, 400, 400]  # fmt: skip
    _, second, say_second = venue.open("/v2/iex")
    say_second({"action": "auth", "key": "key", "secret": "secret"})
    assert json.loads(second.take()[-1])[0]["code"] == 406 and second.closed_with
    user.closed(link, "gone")
    _, third, say_third = venue.open("/v2/iex")
    say_third({"action": "auth", "key": "key", "secret": "secret"})
    assert json.loads(third.take()[-1])[0]["msg"] == "authenticated"
    _late, fourth, _ = venue.open("/v2/iex")
    venue.host.run(11)
    assert json.loads(fourth.take()[-1])[0]["code"] == 404 and fourth.closed_with


def test_a_reader_that_is_too_slow_is_cut_off():
    venue = Venue()
    _, link, say = venue.data()
    say({"action": "subscribe", "quotes": ["AAA"]})
    link.take()
    link.waiting = 1 << 30
    venue.host.run(2)
    assert json.loads(link.take()[0])[0]["code"] == 407 and link.closed_with


def test_market_data_is_there_on_request():
    venue = Venue(seconds=3)
    quote = venue.get("/v2/stocks/quotes/latest?symbols=AAA,BBB")["quotes"]
    assert set(quote) == {"AAA", "BBB"} and str(quote["AAA"]["bp"]) == f"{float(venue.desk.quote('AAA').bid):g}"
    trades = venue.get("/v2/stocks/trades?symbols=AAA,BBB&limit=3")
    again = venue.get(f"/v2/stocks/trades?symbols=AAA,BBB&limit=1000&page_token={trades['next_page_token']}")
    whole = venue.get("/v2/stocks/trades?symbols=AAA,BBB")["trades"]
    assert trades["trades"]["AAA"] + again["trades"].get("AAA", []) == whole["AAA"]
    assert venue.get("/v2/stocks/AAA/trades/latest")["trade"] == whole["AAA"][-1]
    assert venue.get("/v2/stocks/snapshots?symbols=AAA")["AAA"]["latestTrade"] == whole["AAA"][-1]
    venue.get("/v2/stocks/bars?symbols=AAA&timeframe=1Fortnight", 400)


def pair(venue, **fields):
    now = float(venue.desk.last("AAA"))
    return {
        "take_profit": {"limit_price": f"{now + 0.03:.2f}"}, "stop_loss": {"stop_price": f"{now - 0.03:.2f}"}, **fields
    }  # fmt: skip


def test_a_bracket_enters_and_one_exit_cancels_the_other():
    venue = Venue()
    link = venue.stream()
    parent = venue.order(order_class="bracket", **pair(venue))
    venue.host.run(0.01)
    legs = venue.get(f"/v2/orders/{parent['id']}")["legs"]
    assert [leg["type"] for leg in legs] == ["limit", "stop"] and legs[1]["status"] == "held"
    assert legs[0]["side"] == "sell" and venue.get(f"/v2/orders/{legs[1]['id']}")["status"] == "held"
    venue.host.run(120)
    legs = venue.get(f"/v2/orders/{parent['id']}")["legs"]
    assert sorted(leg["status"] for leg in legs) == ["canceled", "filled"], legs
    assert venue.get("/v2/positions") == []
    assert ("fill", "filled") in events(link)


def test_an_oco_pair_ends_together():
    venue = Venue()
    venue.order()
    parent = venue.order(
        order_class="oco", type="limit", side="sell", limit_price=None, **pair(venue, take_profit={"limit_price": "60"})
    )
    assert parent["limit_price"] == "60" and len(parent["legs"]) == 1
    assert venue.ask("DELETE", f"/v2/orders/{parent['id']}").status == 204
    assert venue.get(f"/v2/orders/{parent['id']}")["legs"][0]["status"] == "canceled"
    again = venue.order(
        order_class="oco", type="limit", side="sell", limit_price=None, **pair(venue, take_profit={"limit_price": "60"})
    )
    assert venue.ask("DELETE", f"/v2/orders/{again['legs'][0]['id']}").status == 204
    assert venue.get(f"/v2/orders/{again['id']}")["status"] == "canceled"


def test_a_trailing_stop_follows_the_best_price():
    whales = [Account(name, "", balances={"USD": "100000000"}) for name in ("bull", "bear")]
    venue = Venue(accounts=[Account("key", "secret"), *whales])
    link = venue.stream()

    def push(side, qty):
        whale = venue.desk.accounts["bull" if side > 0 else "bear"]
        venue.desk.enter(whale, Entry("AAA", "", side, qty, order_type=1, tif=1))
        venue.host.run(0.1)
        return venue.get(f"/v2/orders/{order['id']}")

    venue.order()
    order = venue.order(type="trailing_stop", side="sell", trail_price="0.05")
    before, after = order["stop_price"], push(1, "4000")
    high = max(row["p"] for row in venue.get("/v2/stocks/AAA/trades")["trades"])
    assert float(after["hwm"]) == high and float(after["stop_price"]) == pytest.approx(high - 0.05)
    assert float(after["stop_price"]) > float(before) and after["status"] == "new"
    assert push(-1, "300")["status"] == "filled"
    assert events(link)[2:] == [("new", "new"), ("fill", "filled")]


def test_an_undone_trade_is_told_on_both_streams_and_leaves_the_activities():
    venue = Venue()
    link = venue.stream()
    _, data, say = venue.data()
    say({"action": "subscribe", "trades": ["AAA"]})
    before = venue.get("/v2/account")["cash"]
    order = venue.order(qty="5")
    fills = venue.desk.fills(venue.me)
    link.take()
    for fill in fills:
        assert venue.desk.bust(fill.trade)
    told = [json.loads(item)["data"] for item in link.take()]
    assert [(item["event"], item["execution_id"]) for item in told] == [("trade_bust", f.execution) for f in fills]
    assert sum(float(item["qty"]) for item in told) == 5
    venue.host.run(0.01)
    voids = [item for frame in data.take() for item in json.loads(frame) if item["T"] == "x"]
    assert [item["i"] for item in voids] == [fill.trade for fill in fills]
    assert venue.get("/v2/account/activities/FILL") == [] and venue.get("/v2/positions") == []
    assert venue.get("/v2/account")["cash"] == before
    assert venue.get(f"/v2/orders/{order['id']}")["filled_qty"] == "0"


def test_an_order_for_the_close_trades_in_the_closing_auction():
    venue = Venue()
    order = venue.order(time_in_force="cls", qty="3")
    assert venue.get(f"/v2/orders/{order['id']}")["status"] == "new"
    venue.host.run(400)
    assert venue.get(f"/v2/orders/{order['id']}")["status"] == "filled"
    refused = venue.order(403, qty="1")
    assert refused["message"] == "market is not open"
