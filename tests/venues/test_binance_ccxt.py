"""The served Binance and ccxt, over real sockets: nothing changed in ccxt but the addresses."""

from __future__ import annotations

import asyncio
import time

import pytest

pytest.importorskip("ccxt", reason="ccxt is not installed: pip install ccxt")

import ccxt
import ccxt.pro

from nanotick.venues.binance.limits import Limits
from nanotick.venues.binance.server import TERMS, BinanceSite
from tests.venues.ccxt_served import SYMBOL, ServedToCcxt, first_trades, small_market, soon, tells_the_time, until

MARKET = small_market("BINANCE", "0.0005", "0.001")


class ServedBinance(ServedToCcxt):
    """No futures."""

    def client(self, kind=None, **settings):
        return super().client(kind, options={"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}}, **settings)


def served_to_ccxt(limits=None):
    def rewrite(api, http, ws):
        for name, url in list(api.items()):
            if isinstance(url, str) and "://" in url:
                path = url.split("://", 1)[1].partition("/")[2]
                api[name] = f"{http}/{path}"
        if "ws" in api:  # ccxt.pro
            api["ws"]["spot"], api["ws"]["ws-api"]["spot"] = f"{ws}/ws", f"{ws}/ws-api/v3"

    def site(desk):
        return BinanceSite(desk, limits=limits or Limits(messages=0, connections=0))

    return ServedBinance(MARKET, site, TERMS, "key", "secret", ccxt.binance, rewrite)


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


def test_markets_have_their_filters(client):
    market = client.market(SYMBOL)
    assert market["spot"] and market["active"] and market["id"] == "BTCUSDT"
    assert market["precision"]["amount"] == 0.0001 and market["precision"]["price"] == 1.0
    assert market["limits"]["cost"]["min"] == 5 and market["limits"]["amount"]["min"] == 0.0001
    assert set(client.symbols) == {"BTC/USDT", "ETH/USDT"}


def test_books_tickers_trades_and_candles(client):
    book = client.fetch_order_book(SYMBOL, 20)
    assert 1 < len(book["bids"]) <= 20 and book["bids"][0][0] < book["asks"][0][0] and book["nonce"] > 0
    ticker = client.fetch_ticker(SYMBOL)
    assert ticker["bid"] < ticker["ask"] and ticker["last"] > 0
    assert set(client.fetch_tickers()) == {"BTC/USDT", "ETH/USDT"}
    assert client.fetch_bids_asks([SYMBOL])[SYMBOL]["ask"] > 0
    trades = first_trades(client)
    assert trades[-1]["side"] in ("buy", "sell") and trades[-1]["amount"] > 0
    assert client.fetch_ohlcv(SYMBOL, "1m")[-1][4] > 0
    assert tells_the_time(client)


def test_a_limit_order_rests_is_found_and_cancelled(client, low):
    order = client.create_order(SYMBOL, "limit", "buy", 0.01, low, {"newClientOrderId": "ccxt-1"})
    assert order["status"] == "open" and order["clientOrderId"] == "ccxt-1"
    assert [o["id"] for o in client.fetch_open_orders(SYMBOL)] == [order["id"]]
    held = client.fetch_balance()
    assert held["USDT"]["used"] == pytest.approx(0.01 * low)
    assert client.cancel_order(order["id"], SYMBOL)["status"] == "canceled"
    assert client.fetch_order(order["id"], SYMBOL)["status"] == "canceled"
    assert client.fetch_open_orders(SYMBOL) == []
    assert order["id"] in [o["id"] for o in client.fetch_orders(SYMBOL)]


def test_a_market_order_fills_and_its_fee_is_in_what_it_buys(client):
    before = client.fetch_balance()
    order = client.create_order(SYMBOL, "market", "buy", 0.002)
    assert order["status"] == "closed" and order["filled"] == 0.002
    assert {fee["currency"] for fee in order["fees"]} == {"BTC"}
    trades = [t for t in client.fetch_my_trades(SYMBOL) if t["order"] == order["id"]]
    assert sum(t["amount"] for t in trades) == pytest.approx(0.002) and all(
        t["takerOrMaker"] == "taker" for t in trades
    )
    fee = sum(t["fee"]["cost"] for t in trades)
    assert fee == pytest.approx(0.002 * 0.001, abs=2e-7)  # rounded up by fill
    after = client.fetch_balance()
    assert after["BTC"]["free"] - before["BTC"]["free"] == pytest.approx(0.002 - fee, abs=1e-9)
    assert before["USDT"]["free"] - after["USDT"]["free"] == pytest.approx(order["cost"], abs=1e-6)
    sold = client.create_order(SYMBOL, "market", "sell", 0.001)
    assert sold["filled"] == 0.001 and {fee["currency"] for fee in sold["fees"]} == {"USDT"}
    spent = client.create_market_buy_order_with_cost(SYMBOL, 100)
    assert 0 < spent["cost"] <= 100


@pytest.mark.parametrize("params, status", [({"timeInForce": "IOC"}, "expired"), ({"timeInForce": "FOK"}, "expired"),
                                            ({"postOnly": True}, "open")])  # fmt: skip
def test_kinds_of_limit_orders(client, low, params, status):
    order = client.create_order(SYMBOL, "limit", "buy", 0.01, low, params)
    order = client.fetch_order(order["id"], SYMBOL)
    assert order["status"] == status and order["filled"] == 0
    client.cancel_all_orders(SYMBOL) if status == "open" else None


def test_stops_wait(client):
    last = client.fetch_ticker(SYMBOL)["last"]
    far = round(last * 0.95)
    stop = client.create_order(SYMBOL, "market", "sell", 0.01, None, {"stopLossPrice": far})
    limit = client.create_order(SYMBOL, "limit", "sell", 0.01, far - 10, {"stopLossPrice": far})
    found = client.fetch_open_orders(SYMBOL)
    assert {o["id"] for o in found} == {stop["id"], limit["id"]} and all(o["triggerPrice"] == far for o in found)
    assert len(client.cancel_all_orders(SYMBOL)) == 2


def test_an_order_is_edited_by_cancel_and_replace(client, low):
    first = client.create_order(SYMBOL, "limit", "buy", 0.01, low)
    second = client.edit_order(first["id"], SYMBOL, "limit", "buy", 0.02, low + 5)
    assert second["id"] != first["id"]
    assert client.fetch_order(first["id"], SYMBOL)["status"] == "canceled"
    found = client.fetch_order(second["id"], SYMBOL)
    assert found["amount"] == 0.02 and found["price"] == low + 5
    client.cancel_order(second["id"], SYMBOL)


@pytest.mark.parametrize("what, error", [
    (lambda c, low: c.cancel_order("999", SYMBOL), ccxt.OrderNotFound),
    (lambda c, low: c.fetch_order("999", SYMBOL), ccxt.OrderNotFound),
    (lambda c, low: c.create_order(SYMBOL, "limit", "buy", 100, low), ccxt.InsufficientFunds),
    (lambda c, low: c.create_order(SYMBOL, "limit", "buy", 0.01, low * 3, {"postOnly": True}),
     ccxt.OrderImmediatelyFillable),
    (lambda c, low: c.private_post_order({"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
                                          "quantity": "0.00001", "price": str(low)}), ccxt.InvalidOrder),
    (lambda c, low: c.private_post_order({"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
                                          "quantity": "0.01", "price": f"{low}.5"}), ccxt.InvalidOrder),
    (lambda c, low: c.private_post_order({"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
                                          "quantity": "0.01", "price": "1"}), ccxt.InvalidOrder),
    (lambda c, low: c.private_post_order({"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT"}), ccxt.BadRequest),
    (lambda c, low: c.public_get_depth({"symbol": "NONE"}), ccxt.BadSymbol),
])  # fmt: skip
def test_refusals_are_ccxt_errors(client, low, what, error):
    with pytest.raises(error):
        what(client, low)


def test_keys_and_clocks_are_checked(served, client):
    other = served.client(secret="another")
    with pytest.raises(ccxt.AuthenticationError):
        other.fetch_balance()
    with pytest.raises(ccxt.AuthenticationError):
        served.client(apiKey="nobody").fetch_balance()
    late = served.client()
    late.nonce = lambda: int(time.time() * 1000) - 20_000
    with pytest.raises(ccxt.InvalidNonce):
        late.fetch_balance()


def test_too_many_requests_are_429_then_a_ban():
    venue = served_to_ccxt(Limits(weight=40))
    try:
        client = venue.client()
        said = []
        for _ in range(60):
            try:
                client.public_get_exchangeinfo()
            except ccxt.DDoSProtection as error:
                said.append(str(error))
        assert "429" in said[0] and "418" in said[-1] and "banned until" in said[-1]
        assert client.last_response_headers["Retry-After"].isdigit()
    finally:
        venue.close()


def test_ccxt_pro_follows_books_trades_orders_and_balances(served):
    async def follow():
        client = served.client(ccxt.pro.binance)
        try:
            await client.load_markets()
            for _ in range(5):
                book = await soon(client.watch_order_book(SYMBOL, 20))
            truth = await client.fetch_order_book(SYMBOL, 100)
            assert book["bids"][0][0] < book["asks"][0][0]
            assert abs(book["bids"][0][0] - truth["bids"][0][0]) < 100
            trades = await soon(client.watch_trades(SYMBOL))
            assert trades[-1]["amount"] > 0
            ticker = await soon(client.watch_ticker(SYMBOL))
            assert ticker["last"] > 0
            low = round(ticker["last"] * 0.9)
            waiting = asyncio.ensure_future(client.watch_orders(SYMBOL))
            await until(lambda: served.site.users._heard.get("key"))
            order = await client.create_order(SYMBOL, "limit", "buy", 0.01, low)
            heard = await soon(waiting)
            assert heard[-1]["id"] == order["id"] and heard[-1]["status"] == "open"
            waiting = asyncio.ensure_future(client.watch_orders(SYMBOL))
            await asyncio.sleep(0.1)
            await client.cancel_order(order["id"], SYMBOL)
            heard = await soon(waiting)
            assert heard[-1]["id"] == order["id"] and heard[-1]["status"] == "canceled"
            mine = asyncio.ensure_future(client.watch_my_trades(SYMBOL))
            await asyncio.sleep(0.2)
            await client.create_order(SYMBOL, "market", "buy", 0.001)
            filled = await soon(mine)
            assert filled[-1]["side"] == "buy"
            over_socket = await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, low)
            assert over_socket["status"] == "open"
            assert (await client.cancel_order_ws(over_socket["id"], SYMBOL))["status"] == "canceled"
        finally:
            await client.close()

    asyncio.run(follow())
