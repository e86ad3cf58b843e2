"""The served Kraken and ccxt, over real sockets: nothing changed in ccxt but the addresses."""

from __future__ import annotations

import asyncio
import base64
import time

import pytest

pytest.importorskip("ccxt", reason="ccxt is not installed: pip install ccxt")

import ccxt
import ccxt.pro

from nanotick.venues.kraken.server import TERMS, KrakenSite
from tests.patience import wait_until
from tests.venues.ccxt_served import (
    SYMBOL,
    ServedToCcxt,
    first_trades,
    small_market,
    soon,
    tells_the_time,
    until,
)

MARKET = small_market("KRAKEN", "0.0016", "0.0026")
SECRET = base64.b64encode(b"a secret").decode()


class ServedKraken(ServedToCcxt):
    """Nonces count up."""

    def client(self, kind=None, **settings):
        client = super().client(kind, **settings)
        if not hasattr(client, "incrementing_nonce"):  # older ones count milliseconds, which repeat on loopback
            client.nonce = lambda: time.time_ns() // 1000
        return client

    def listeners(self, channel):
        """Connections that follow a private channel."""
        return sum(channel in getattr(talk, "_follows", ()) for talk in tuple(self.site.talks))


def served_to_ccxt(tier=""):
    def rewrite(api, http, ws):
        api["public"] = api["private"] = http
        for name in list(api.get("ws", ())):  # ccxt.pro
            api["ws"][name] = f"{ws}/private/v2" if "private" in name else f"{ws}/v2"

    def site(desk):
        return KrakenSite(desk, tier=tier)

    return ServedKraken(MARKET, site, TERMS, "key", SECRET, ccxt.kraken, rewrite)


@pytest.fixture(scope="module")
def served():
    venue = served_to_ccxt()
    yield venue
    venue.close()


@pytest.fixture(scope="module")
def client(served):
    client = served.client()
    client.load_markets()
    first_trades(client)
    return client


@pytest.fixture
def low(client):
    """A price that rests, far below the market."""
    return round(client.fetch_ticker(SYMBOL)["last"] * 0.9)


def test_markets_have_their_rules(client):
    market = client.market(SYMBOL)
    assert market["id"] == "XBTUSDT" and market["wsId"] == "XBT/USDT" and market["active"]
    assert market["precision"] == {"amount": 0.0001, "price": 0.1} and market["limits"]["amount"]["min"] == 0.0001
    assert market["taker"] == 0.0026 and set(client.symbols) == {"BTC/USDT", "ETH/USDT"}
    assert client.fetch_status()["status"] == "ok" and {"BTC", "USDT"} <= set(client.fetch_currencies())


def test_books_tickers_trades_and_candles(client):
    book = client.fetch_order_book(SYMBOL, 20)
    assert 1 < len(book["bids"]) <= 20 and book["bids"][0][0] < book["asks"][0][0]
    ticker = client.fetch_ticker(SYMBOL)
    assert ticker["bid"] < ticker["ask"] and ticker["last"] > 0
    assert set(client.fetch_tickers(["BTC/USDT", "ETH/USDT"])) == {"BTC/USDT", "ETH/USDT"}
    trades = first_trades(client)
    assert trades[-1]["side"] in ("buy", "sell") and trades[-1]["amount"] > 0
    assert client.fetch_ohlcv(SYMBOL, "1m")[-1][4] > 0
    assert tells_the_time(client, coarse_ms=1000)


def test_an_order_lives_and_is_cancelled(client, low):
    before = client.fetch_balance()["USDT"]
    order = client.create_order(SYMBOL, "limit", "buy", 0.01, low, {"clientOrderId": "mine-1"})
    found = client.fetch_order(order["id"], SYMBOL)
    assert (found["status"], found["amount"], found["price"], found["side"]) == ("open", 0.01, low, "buy")
    assert found["clientOrderId"] == "mine-1" and found["symbol"] == SYMBOL
    assert [o["id"] for o in client.fetch_open_orders(SYMBOL)] == [order["id"]]
    locked = client.fetch_balance()["USDT"]
    assert locked["used"] >= 0.01 * low and abs(locked["total"] - before["total"]) < 1e-6
    client.cancel_order(order["id"], SYMBOL)
    assert client.fetch_order(order["id"], SYMBOL)["status"] == "canceled"
    assert client.fetch_open_orders(SYMBOL) == [] and client.fetch_balance()["USDT"]["used"] == 0
    assert order["id"] in [o["id"] for o in client.fetch_closed_orders(SYMBOL)]


def test_a_market_order_fills_and_its_trades_add_up(client):
    before = client.fetch_balance()
    order = client.create_order(SYMBOL, "market", "buy", 0.005)
    found = client.fetch_order(order["id"], SYMBOL)
    assert found["status"] == "closed" and found["filled"] == 0.005 and found["average"] > 0
    trades = [t for t in client.fetch_my_trades(SYMBOL) if t["order"] == order["id"]]
    assert abs(sum(t["amount"] for t in trades) - 0.005) < 1e-12
    cost = sum(t["price"] * t["amount"] for t in trades)
    fee = sum(t["fee"]["cost"] for t in trades)
    assert abs(fee - cost * 0.0026) < 1e-4 * len(trades) and all(t["takerOrMaker"] == "taker" for t in trades)
    after = client.fetch_balance()
    assert abs(after["BTC"]["total"] - before["BTC"]["total"] - 0.005) < 1e-9
    assert abs(before["USDT"]["total"] - after["USDT"]["total"] - cost - fee) < 1e-5
    detail = client.fetch_order_trades(order["id"], SYMBOL, params={"trades": found["trades"]})
    assert {t["id"] for t in detail} == {t["id"] for t in trades}


def test_kinds_of_orders(client, low):
    ioc = client.create_order(SYMBOL, "limit", "buy", 0.01, low, {"timeInForce": "IOC"})
    assert client.fetch_order(ioc["id"])["status"] in ("canceled", "expired")
    post = client.create_order(SYMBOL, "limit", "buy", 0.01, low, {"postOnly": True})
    found = client.fetch_order(post["id"])
    assert found["status"] == "open" and found["postOnly"]
    last = client.fetch_ticker(SYMBOL)["last"]
    stop = client.create_order(SYMBOL, "market", "sell", 0.01, None, {"stopLossPrice": round(last * 0.95)})
    held = client.fetch_order(stop["id"])
    assert held["status"] == "open" and held["stopLossPrice"] == round(last * 0.95)
    client.create_orders([
        {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 0.01, "price": low - i} for i in range(3)
    ])  # fmt: skip
    assert len(client.fetch_open_orders()) == 5
    client.cancel_all_orders()
    assert client.fetch_open_orders() == []


def test_an_order_is_amended_and_keeps_its_id(client, low):
    order = client.create_order(SYMBOL, "limit", "buy", 0.01, low)
    client.edit_order(order["id"], SYMBOL, "limit", "buy", 0.02, low + 5)
    found = client.fetch_order(order["id"])
    assert (found["amount"], found["price"]) == (0.02, low + 5)
    client.cancel_order(order["id"])


def test_the_dead_man_switch_cancels_everything(client, low):
    client.create_order(SYMBOL, "limit", "buy", 0.01, low)
    client.cancel_all_orders_after(3_600_000)
    assert len(client.fetch_open_orders()) == 1
    client.cancel_all_orders_after(1000)
    wait_until(lambda: client.fetch_open_orders() == [])


@pytest.mark.parametrize("what, error", [
    (lambda c, low: c.cancel_order("OAAAAA-BBBBB-CCCCCC"), ccxt.OrderNotFound),
    (lambda c, low: c.create_order(SYMBOL, "limit", "buy", 100, low), ccxt.InsufficientFunds),
    (lambda c, low: c.create_order(SYMBOL, "limit", "buy", 0.01, low * 3, {"postOnly": True}), ccxt.ExchangeError),
    (lambda c, low: c.private_post_addorder({"pair": "XBTUSDT", "type": "buy", "ordertype": "limit",
                                             "volume": "0.00001", "price": str(low)}), ccxt.InvalidOrder),
    (lambda c, low: c.private_post_addorder({"pair": "XBTUSDT", "type": "buy", "ordertype": "limit",
                                             "volume": "0.01", "price": f"{low}.55"}), ccxt.ExchangeError),
    (lambda c, low: c.private_post_addorder({"pair": "XBTUSDT", "type": "buy", "ordertype": "limit",
                                             "volume": "x", "price": str(low)}), ccxt.InvalidOrder),
    (lambda c, low: c.public_get_depth({"pair": "NONE"}), ccxt.ExchangeError),
])  # fmt: skip
def test_refusals_are_ccxt_errors(client, low, what, error):
    with pytest.raises(error):
        what(client, low)


def test_keys_nonces_and_signatures_are_checked(served, client):
    with pytest.raises(ccxt.AuthenticationError):
        served.client(apiKey="nobody").fetch_balance()
    with pytest.raises(ccxt.ExchangeError, match="EAPI:Invalid signature"):
        served.client(secret=base64.b64encode(b"another").decode()).fetch_balance()
    client.fetch_balance()
    late = served.client()
    late.incrementing_nonce = late.nonce = lambda: 5
    with pytest.raises(ccxt.InvalidNonce):
        late.fetch_balance()


def test_states_of_the_venue(served, client, low):
    order = client.create_order(SYMBOL, "limit", "buy", 0.01, low)
    served.site.set_system("cancel_only")
    try:
        with pytest.raises(ccxt.OnMaintenance):
            client.create_order(SYMBOL, "limit", "buy", 0.01, low)
        client.cancel_order(order["id"])
        served.site.set_system("post_only")
        with pytest.raises(ccxt.OnMaintenance):
            client.create_order(SYMBOL, "limit", "buy", 0.01, low)
        posted = client.create_order(SYMBOL, "limit", "buy", 0.01, low, {"postOnly": True})
        served.site.set_system("maintenance")
        with pytest.raises(ccxt.ExchangeNotAvailable):
            client.fetch_balance()
        assert client.fetch_status()["status"] == "maintenance"
    finally:
        served.site.set_system("online")
    client.cancel_order(posted["id"])


def test_counters_refuse_what_is_too_much():
    venue = served_to_ccxt(tier="starter")
    try:
        client = venue.client()
        client.load_markets()
        low = round(client.fetch_ticker(SYMBOL)["last"] * 0.9)
        with pytest.raises(ccxt.DDoSProtection):  # orders cost 1 and fast cancels 8 of 60
            for _ in range(20):
                order = client.create_order(SYMBOL, "limit", "buy", 0.001, low)
                client.cancel_order(order["id"])
        with pytest.raises(ccxt.DDoSProtection):
            for _ in range(30):
                client.fetch_balance()
    finally:
        venue.close()


def test_ccxt_pro_follows_books_trades_orders_and_fills(served):
    async def follow():
        client = served.client(ccxt.pro.kraken)
        try:
            await client.load_markets()
            for _ in range(20):
                book = await soon(client.watch_order_book(SYMBOL, 10))
            assert book["bids"][0][0] < book["asks"][0][0]
            truth = await client.fetch_order_book(SYMBOL, 10)
            assert abs(book["bids"][0][0] - truth["bids"][0][0]) < 100
            trades = await soon(client.watch_trades(SYMBOL))
            assert trades[-1]["amount"] > 0
            low = round(truth["bids"][0][0] * 0.9)
            waiting = asyncio.ensure_future(client.watch_orders(SYMBOL))
            await until(lambda: served.listeners("executions") == 1)
            order = await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, low)
            heard = await soon(waiting)
            assert heard[-1]["id"] == order["id"]
            await client.cancel_order_ws(order["id"])
            mine = asyncio.ensure_future(client.watch_my_trades(SYMBOL))
            await asyncio.sleep(0.2)
            await client.create_order(SYMBOL, "market", "buy", 0.001)
            filled = await soon(mine)
            assert filled[-1]["side"] == "buy"
        finally:
            await client.close()

    asyncio.run(follow())
