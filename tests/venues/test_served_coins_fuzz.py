"""Whatever a served Kraken or Coinbase is asked or told, it answers, and money still adds up after it."""

from __future__ import annotations

import json
import random
from typing import Any
from urllib.parse import urlencode

import pytest

from nanotick.core.secret import Secret
from nanotick.exchange.agents.description import description_from
from nanotick.venues.coinbase import bodies as coinbase
from nanotick.venues.coinbase.served import private_key
from nanotick.venues.coinbase.server import CoinbaseSite
from nanotick.venues.coinbase.tokens import Tokens
from nanotick.venues.desk import Desk
from nanotick.venues.desk_terms import Account, amount_of
from nanotick.venues.kraken import bodies as kraken
from nanotick.venues.kraken.server import KrakenSite
from nanotick.wire.coinbase_trading import BASE
from nanotick.wire.kraken_trading import rest_request
from nanotick.wire.requests import Request, Response
from nanotick.wire.signing import KrakenSigner
from tests.venues.contract import COIN
from tests.venues.hosts import ScriptedHost

ROUNDS = 1_500
SECRET = "c2VjcmV0IGZvciB0ZXN0cw=="
BALANCES = {"USDT": "1000000", "BTC": "10"}
VALUES: list[Any] = [
    "", "0", "1", "-1", "1e9", "1e60", "9" * 40, "NaN", "Infinity", "-0", "0.00001", "0.9999", "0.01", "96000", "90000",
    "95999.5", "XBTUSDT", "BTC/USDT", "BTC-USDT", "NONE", "a" * 300, "2026-01-05T14:30:00Z", "9999-12-31T23:59:59Z",
    "buy", "sell", "BUY", "SELL", "limit", "market", "stop-loss", "stop-loss-limit", "gtc", "IOC", "gtd", "+30", "post",
    "viqc", "true", "false", "\x00", "é", "' or 1", None, [], {}, ["x"], True, 5, 0.01, 96000, [{"a": 1}],
]  # fmt: skip
KRAKEN_NAMES = (
    "pair type ordertype volume price price2 timeinforce oflags expiretm cl_ord_id txid trades start end ofs count "
    "since interval timeout orders order_qty limit_price deadline validate"
).split()
STREAM_NAMES = (
    "channel symbol depth snapshot token order_type side order_qty limit_price time_in_force post_only cl_ord_id "
    "order_id deadline validate timeout orders triggers expire_time snap_trades"
).split()
METHODS = (
    "subscribe unsubscribe ping add_order amend_order cancel_order cancel_all cancel_all_orders_after batch_add x"
).split()


class Wire:
    """A link that keeps what is sent."""

    waiting = 0

    def __init__(self):
        self.sent = []

    def send(self, data, binary=False):
        self.sent.append(json.loads(bytes(data)))

    def close(self, code=1000, reason=""):
        pass


def desk_of(venue, terms, secret):
    host = ScriptedHost()
    market = {
        "name": "small", "session": {"start": "2026-01-05T14:30:00Z", "hours": 6.5},
        "profiles": {"plain": {"flow": {"limit_rate": 12.0, "market_rate": 1.5, "lifetime": 5.0}}},
        "fees": {venue: {"maker_rate": "0.001", "taker_rate": "0.002"}}, "instruments": [COIN | {"venue": venue}],
    }  # fmt: skip
    account = Account("key", secret, balances=BALANCES)
    desk = Desk(host, description_from(market), venue, [account], terms=terms, warm_up=5.0)
    desk.start()
    return host, desk


def adds_up(host, desk):
    """Everything cancelled: balances are what they were, moved by the fills."""
    me = desk.accounts["key"]
    desk.cancel_all(me)
    host.run(1)
    fills = desk.fills(me)
    listing = desk.instruments[0]
    held = {item.asset: amount_of(item.free) for item in desk.balances(me)}
    assert all(item.locked == "0" for item in desk.balances(me))
    coins = sum(f.order.side * f.qty * listing.qty_unit for f in fills)
    money = sum(f.order.side * f.price * f.qty * listing.value_unit + f.fee for f in fills)
    assert held["BTC"] == amount_of(BALANCES["BTC"]) + coins and held["USDT"] == amount_of(BALANCES["USDT"]) - money
    assert fills


def some(draw, names, most=6):
    return {draw.choice(names): draw.choice(VALUES) for _ in range(draw.randrange(most))}


def test_any_request_to_kraken_is_answered_once():
    draw = random.Random(1)
    host, desk = desk_of("KRAKEN", kraken.TERMS, SECRET)
    site, signer, said = KrakenSite(desk, tier=""), KrakenSigner("key", Secret(SECRET)), set()
    names = [*site.methods.private, "Nothing"]
    order = {"pair": "XBTUSDT", "type": "buy", "ordertype": "limit", "volume": "0.01", "price": "97000"}
    for number in range(1, ROUNDS):
        params = some(draw, KRAKEN_NAMES)
        if draw.random() < 0.3:
            name, params = "AddOrder", order | params
        else:
            name = draw.choice(names)
        if draw.random() < 0.3:
            params["txid"] = draw.choice(list(desk.accounts["key"].orders) or ["x"])
        if draw.random() < 0.3:
            query = urlencode({k: v for k, v in params.items() if v is not None})
            public = draw.choice([*site.methods.public, "x"])
            request = Request("GET", f"/0/public/{public}?{query}")
        else:
            request = rest_request(name, params, number, signer)
        found: list[Response] = []
        site.request(request, "test", found.append)
        assert len(found) == 1 and found[0].status == 200
        said |= {text.partition(":")[0] for text in json.loads(found[0].body)["error"]}
        if draw.random() < 0.05:
            host.run(0.05)
    assert {"EGeneral", "EOrder", "EQuery"} <= said
    adds_up(host, desk)


@pytest.mark.parametrize("path", ["/v2", "/private/v2"])
def test_any_message_to_kraken_is_lived_through(path):
    draw = random.Random(path)
    host, desk = desk_of("KRAKEN", kraken.TERMS, SECRET)
    site = KrakenSite(desk, tier="")
    token = site.methods.private["GetWebSocketsToken"](desk.accounts["key"], {})["token"]
    order = {"order_type": "limit", "side": "buy", "order_qty": 0.01, "symbol": "BTC/USDT", "limit_price": 97000}
    for _ in range(30):
        user, link = site.upgrade(path, (), "test"), Wire()
        user.opened(link)
        for _ in range(40):
            method = draw.choice(METHODS)
            params = some(draw, STREAM_NAMES) | {"token": token}
            if method == "subscribe":
                params |= {"channel": draw.choice(["book", "trade", "executions", "balances"])}
                params |= {"symbol": ["BTC/USDT"]} if draw.random() < 0.7 else {}
            if method == "add_order" and draw.random() < 0.6:
                params = order | {k: v for k, v in params.items() if draw.random() < 0.5} | {"token": token}
            data = json.dumps({"method": method, "params": params, "req_id": draw.choice(VALUES)}).encode()
            if draw.random() < 0.2:
                at = draw.randrange(len(data))
                data = data[:at] + bytes((draw.randrange(256),)) + data[at + 1 :]
            user.message(link, memoryview(data) if draw.random() < 0.5 else data, host.now())
        host.run(0.02)
        user.closed(link, "gone")
    assert not site.talks and not any(site.hub.books.values()) and not any(site.hub.trades.values())
    if path != "/v2":
        adds_up(host, desk)


def test_any_request_to_coinbase_is_answered_once():
    draw = random.Random(2)
    secret = private_key("x")
    host, desk = desk_of("COINBASE", coinbase.TERMS, secret)
    site, tokens, seen = CoinbaseSite(desk, limits=False), Tokens(host, "key", Secret(secret)), set()
    paths = [
        "/accounts", "/orders", "/orders/batch_cancel", "/orders/edit", "/orders/historical/batch",
        "/orders/historical/fills", "/orders/historical/{id}", "/market/products", "/market/products/BTC-USDT/ticker",
        "/market/products/BTC-USDT/candles", "/market/product_book", "/product_book", "/best_bid_ask", "/products/x",
        "/transaction_summary", "/market/", "/", "",
    ]  # fmt: skip
    names = ["limit", "cursor", "order_status", "product_id", "start_date", "order_ids", "start", "end", "granularity",
             "start_sequence_timestamp", "product_type"]  # fmt: skip
    for number in range(ROUNDS):
        ids = list(desk.accounts["key"].orders) or ["none"]
        path = BASE + draw.choice(paths).replace("{id}", draw.choice(ids))
        query = urlencode({k: v for k, v in some(draw, names).items() if v is not None})
        body = some(draw, ["order_ids", "order_id", "size", "price", "product_id", "side", "order_configuration"])
        method = draw.choice(("GET", "POST", "DELETE"))
        if draw.random() < 0.3:
            method, path = "POST", f"{BASE}/orders"
            held = {"base_size": draw.choice(["0.01", "0.02", *VALUES]), "limit_price": draw.choice(["97000", *VALUES])}
            kind = draw.choice(
                ["limit_limit_gtc", "sor_limit_ioc", "market_market_ioc", "stop_limit_stop_limit_gtc", "x"]
            )
            body = {"client_order_id": f"c{number}", "product_id": "BTC-USDT", "side": "BUY",
                    "order_configuration": {kind: held}} | (body if draw.random() < 0.2 else {})  # fmt: skip
        if draw.random() < 0.2:
            body |= {"order_ids": [draw.choice(ids)], "order_id": draw.choice(ids)}
        request = Request(method, f"{path}?{query}" if query else path, (), json.dumps(body).encode())
        found: list[Response] = []
        site.request(tokens.authorize(request) if draw.random() < 0.95 else request, "test", found.append)
        assert len(found) == 1 and found[0].status in (200, 400, 401, 404), (request, found)
        json.loads(found[0].body)
        seen.add(found[0].status)
        if draw.random() < 0.05:
            host.run(0.05)
    assert seen == {200, 400, 401, 404}
    adds_up(host, desk)


def test_any_message_to_coinbase_is_lived_through():
    draw = random.Random(3)
    secret = private_key("x")
    host, desk = desk_of("COINBASE", coinbase.TERMS, secret)
    site, tokens = CoinbaseSite(desk, limits=False), Tokens(host, "key", Secret(secret))
    for _ in range(30):
        user, link = site.upgrade("/", (), "test"), Wire()
        user.opened(link)
        for _ in range(30):
            item = some(draw, ["type", "channel", "product_ids", "jwt", "channels", "signature", "key"])
            if draw.random() < 0.7:
                item |= {"type": draw.choice(["subscribe", "unsubscribe"]), "product_ids": ["BTC-USDT"],
                         "channel": draw.choice(["level2", "market_trades", "user", "heartbeats", "x"])}  # fmt: skip
                item["jwt"] = tokens.token() if draw.random() < 0.8 else "x.y.z"
            data = json.dumps(item).encode()
            if draw.random() < 0.2:
                at = draw.randrange(len(data))
                data = data[:at] + bytes((draw.randrange(256),)) + data[at + 1 :]
            user.message(link, data, host.now())
        host.run(0.02)
        user.closed(link, "gone")
        numbers = [message["sequence_num"] for message in link.sent if "sequence_num" in message]
        assert numbers == list(range(len(numbers)))
    assert not any(site.hub.depth.values()) and not any(site.hub.trades.values())
