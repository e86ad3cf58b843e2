"""The served Coinbase and ccxt, over real sockets: nothing changed in ccxt but the addresses."""

from __future__ import annotations

import asyncio
import time

import pytest

pytest.importorskip("ccxt", reason="ccxt is not installed: pip install ccxt")

import ccxt
import ccxt.pro

from nanotick.venues.coinbase.served import private_key
from nanotick.venues.coinbase.server import TERMS, CoinbaseSite
from tests.venues.ccxt_served import SYMBOL, ServedToCcxt, first_trades, small_market, soon, tells_the_time, until

MARKET = small_market("COINBASE", "0.004", "0.006")
KEY, SECRET = "organizations/o/apiKeys/k", private_key("a secret")


def served_to_ccxt(limits=False):
    def rewrite(api, http, ws):
        api["rest"] = http
        if "ws" in api:  # ccxt.pro
            api["ws"] = ws

    def site(desk):
        return CoinbaseSite(desk, limits=limits)

    return ServedToCcxt(MARKET, site, TERMS, KEY, SECRET, ccxt.coinbase, rewrite, warm_up=20.0)


@pytest.fixture(scope="module")
def served():
    venue = served_to_ccxt()
    yield venue
    venue.close()


@pytest.fixture(scope="module")
def client(served):
    client = served.client()
    client.load_markets()
    return client


@pytest.fixture
def low(client):
    """A price that rests, far below the market."""
    return round(client.fetch_ticker(SYMBOL)["bid"] * 0.9)


def test_markets_have_their_rules(client):
    market = client.market(SYMBOL)
    assert market["id"] == "BTC-USDT" and market["active"] and market["spot"]
    assert market["precision"] == {"amount": 0.0001, "price": 1.0} and market["limits"]["amount"]["min"] == 0.0001
    assert market["taker"] == 0.006 and set(client.symbols) == {"BTC/USDT", "ETH/USDT"}


def test_books_tickers_trades_and_candles(client):
    book = client.fetch_order_book(SYMBOL, 20)
    assert 1 < len(book["bids"]) <= 20 and book["bids"][0][0] < book["asks"][0][0]
    trades = first_trades(client)
    assert trades[-1]["side"] in ("buy", "sell") and trades[-1]["amount"] > 0
    ticker = client.fetch_ticker(SYMBOL)
    assert ticker["bid"] < ticker["ask"] and ticker["last"] > 0
    assert set(client.fetch_bids_asks()) == {"BTC/USDT", "ETH/USDT"}
    assert client.fetch_ohlcv(SYMBOL, "1m")[-1][4] > 0
    assert tells_the_time(client, coarse_ms=1000)  # v2 tells seconds


def test_an_order_lives_and_is_cancelled(client, low):
    before = client.fetch_balance()["USDT"]  # of v2, which knows totals only
    order = client.create_order(SYMBOL, "limit", "buy", 0.01, low, {"client_order_id": "mine-1"})
    found = client.fetch_order(order["id"], SYMBOL)
    assert (found["status"], found["amount"], found["price"], found["side"]) == ("open", 0.01, low, "buy")
    assert found["clientOrderId"] == "mine-1" and found["symbol"] == SYMBOL
    assert [o["id"] for o in client.fetch_open_orders(SYMBOL)] == [order["id"]]
    locked = client.fetch_balance({"v3": True})["USDT"]
    assert locked["used"] >= 0.01 * low and abs(locked["total"] - before["total"]) < 1e-6
    again = client.create_order(SYMBOL, "limit", "buy", 0.01, low, {"client_order_id": "mine-1"})
    assert again["id"] == order["id"] and len(client.fetch_open_orders(SYMBOL)) == 1  # a repeat is the first
    client.cancel_order(order["id"], SYMBOL)
    assert client.fetch_order(order["id"], SYMBOL)["status"] == "canceled"
    assert client.fetch_open_orders(SYMBOL) == [] and client.fetch_balance({"v3": True})["USDT"]["used"] == 0
    assert order["id"] in [o["id"] for o in client.fetch_canceled_orders(SYMBOL)]


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_a_market_order_fills_and_its_trades_add_up(client, side):
    before = client.fetch_balance()
    price = client.fetch_ticker(SYMBOL)["ask"]
    order = client.create_order(SYMBOL, "market", side, 0.005, price)
    found = client.fetch_order(order["id"], SYMBOL)
    assert found["status"] == "closed" and 0 < found["filled"] <= 0.0051 and found["average"] > 0
    trades = [t for t in client.fetch_my_trades(SYMBOL) if t["order"] == order["id"]]
    assert abs(sum(t["amount"] for t in trades) - found["filled"]) < 1e-12
    cost = sum(t["price"] * t["amount"] for t in trades)
    fee = sum(t["fee"]["cost"] for t in trades)
    assert abs(fee - cost * 0.006) < 1e-3 and abs(float(found["fee"]["cost"]) - fee) < 1e-9
    after, sign = client.fetch_balance(), 1 if side == "buy" else -1
    assert abs(after["BTC"]["total"] - before["BTC"]["total"] - sign * found["filled"]) < 1e-9
    assert abs(before["USDT"]["total"] - after["USDT"]["total"] - sign * cost - fee) < 1e-5


def test_kinds_of_orders(client, low):
    ioc = client.create_order(SYMBOL, "limit", "buy", 0.01, low, {"timeInForce": "IOC"})
    assert client.fetch_order(ioc["id"])["status"] == "canceled"
    post = client.create_order(SYMBOL, "limit", "buy", 0.01, low, {"postOnly": True})
    found = client.fetch_order(post["id"])
    assert found["status"] == "open" and found["postOnly"]
    stop = client.create_order(SYMBOL, "limit", "sell", 0.01, low - 10, {"stopLossPrice": low})
    held = client.fetch_order(stop["id"])
    assert held["status"] == "open" and held["triggerPrice"] == low
    assert len(client.fetch_open_orders()) == 2
    client.cancel_orders([post["id"], stop["id"]])
    assert client.fetch_open_orders() == []


def test_an_order_is_edited_and_keeps_its_id(client, low):
    order = client.create_order(SYMBOL, "limit", "buy", 0.01, low)
    client.edit_order(order["id"], SYMBOL, "limit", "buy", 0.02, low + 5)
    found = client.fetch_order(order["id"])
    assert (found["amount"], found["price"]) == (0.02, low + 5)
    client.cancel_order(order["id"])


def test_lists_come_in_pages(client, low):
    made = [client.create_order(SYMBOL, "limit", "buy", 0.001, low - i)["id"] for i in range(5)]
    found = client.fetch_open_orders(SYMBOL, None, 2)
    assert [o["id"] for o in found] == made[:2:-1] or {o["id"] for o in found} <= set(made)
    page = client.v3_private_get_brokerage_orders_historical_batch({"order_status": "OPEN", "limit": 2})
    rest = client.v3_private_get_brokerage_orders_historical_batch({"order_status": "OPEN", "cursor": page["cursor"]})
    assert [o["order_id"] for o in page["orders"] + rest["orders"]] == made[::-1] and not rest["has_next"]
    client.cancel_orders(made)


@pytest.mark.parametrize("what, error", [
    (lambda c, low: c.cancel_order("5f0c4f9a-0000-4000-8000-000000000001"), ccxt.BadRequest),
    (lambda c, low: c.fetch_order("5f0c4f9a-0000-4000-8000-000000000001"), ccxt.ExchangeError),
    (lambda c, low: c.create_order(SYMBOL, "limit", "buy", 100, low), ccxt.InsufficientFunds),
    (lambda c, low: c.create_order(SYMBOL, "limit", "buy", 0.01, low * 3, {"postOnly": True}), ccxt.ExchangeError),
    (lambda c, low: c.v3_private_post_brokerage_orders({
        "client_order_id": "x1", "product_id": "BTC-USDT", "side": "BUY",
        "order_configuration": {"limit_limit_gtc": {"base_size": "0.01", "limit_price": f"{low}.55"}}}),
     ccxt.ExchangeError),
    (lambda c, low: c.v3_private_post_brokerage_orders({"product_id": "BTC-USDT"}), ccxt.ExchangeError),
    (lambda c, low: c.v3_public_get_brokerage_market_product_book({"product_id": "NONE"}), ccxt.ExchangeError),
])  # fmt: skip
def test_refusals_are_ccxt_errors(client, low, what, error):
    with pytest.raises(error):
        what(client, low)


def test_keys_and_tokens_are_checked(served):
    with pytest.raises(ccxt.AuthenticationError):
        served.client(apiKey="organizations/o/apiKeys/other").fetch_balance()
    with pytest.raises(ccxt.AuthenticationError):
        served.client(secret=private_key("another")).fetch_balance()
    late = served.client()
    late.seconds = lambda: int(time.time()) - 500
    with pytest.raises(ccxt.AuthenticationError):
        late.fetch_balance()


def test_too_many_requests_are_429():
    venue = served_to_ccxt(limits=True)
    try:
        client = venue.client()
        with pytest.raises(ccxt.RateLimitExceeded):
            for _ in range(60):
                client.fetch_time()
    finally:
        venue.close()


def test_ccxt_pro_follows_books_trades_and_orders(served):
    async def follow():
        client = served.client(ccxt.pro.coinbase)
        try:
            await client.load_markets()
            for _ in range(5):
                book = await soon(client.watch_order_book(SYMBOL))
            assert book["bids"][0][0] < book["asks"][0][0]
            truth = await client.fetch_order_book(SYMBOL, 10)
            assert abs(book["bids"][0][0] - truth["bids"][0][0]) < 100
            trades = await soon(client.watch_trades(SYMBOL))
            assert trades[-1]["amount"] > 0
            low = round(truth["bids"][0][0] * 0.9)
            waiting = asyncio.ensure_future(client.watch_orders(SYMBOL))
            await until(lambda: served.desk.accounts[KEY].followers)
            order = await client.create_order(SYMBOL, "limit", "buy", 0.01, low)
            heard = await soon(waiting)
            assert heard[-1]["id"] == order["id"] and heard[-1]["status"] == "open"
            await client.cancel_order(order["id"], SYMBOL)
        finally:
            await client.close()

    asyncio.run(follow())
