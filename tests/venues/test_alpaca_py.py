"""The served Alpaca and Alpaca's own client, alpaca-py, over real sockets: nothing changed but the address."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

pytest.importorskip("alpaca", reason="alpaca-py is not installed: pip install alpaca-py")

from alpaca.common.exceptions import APIError
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.live import StockDataStream
from alpaca.data.requests import StockBarsRequest, StockLatestQuoteRequest, StockSnapshotRequest, StockTradesRequest
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderClass, OrderSide, OrderStatus, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetAssetsRequest,
    GetCalendarRequest,
    GetOrderByIdRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopLimitOrderRequest,
    StopLossRequest,
    StopOrderRequest,
    TakeProfitRequest,
    TrailingStopOrderRequest,
)
from alpaca.trading.stream import TradingStream

from nanotick.exchange.agents.description import description_from
from nanotick.venues.alpaca.server import TERMS, AlpacaSite
from nanotick.venues.desk import Desk
from nanotick.venues.desk_terms import Account
from tests.patience import wait_until
from tests.venues.threaded import ThreadedVenue

MARKET = {
    "name": "small",
    "session": {"start": "2026-01-05T14:30:00Z", "hours": 6.5},
    "profiles": {"plain": {"flow": {"limit_rate": 12.0, "market_rate": 1.5, "lifetime": 5.0}}},
    "instruments": [
        {"symbol": name, "venue": "XNAS", "profile": "plain", "price": price, "size": 60}
        for name, price in (("AAPL", "230.00"), ("MSFT", "410.00"))
    ],
}
BUY, SELL = OrderSide.BUY, OrderSide.SELL
DAY, GTC = TimeInForce.DAY, TimeInForce.GTC


def made(host, rate_limit=0):
    accounts = [Account("PKTEST", "secret", balances={"USD": "1000000"}, multiplier=2)]
    desk = Desk(host, description_from(MARKET), accounts=accounts, terms=TERMS)
    return AlpacaSite(desk, rate_limit=rate_limit)


@pytest.fixture(scope="module")
def served():
    venue = ThreadedVenue(made)
    yield venue
    venue.close()


@pytest.fixture
def client(served):
    found = TradingClient("PKTEST", "secret", paper=True, url_override=served.http)
    found.cancel_orders()
    found.close_all_positions(cancel_orders=True)
    return found


def settled(client, ident):
    """The order once it is over."""

    def over():
        order = client.get_order_by_id(ident)
        return order if order.status in (OrderStatus.FILLED, OrderStatus.CANCELED) else None

    return wait_until(over)


def price_of(served, symbol="AAPL"):
    data = StockHistoricalDataClient("PKTEST", "secret", url_override=served.http)
    quote = data.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=symbol))[symbol]
    return round((quote.bid_price + quote.ask_price) / 2, 2)


def test_every_request_class_and_time_in_force_is_taken(served, client):
    now = price_of(served)
    low, high = round(now * 0.9, 2), round(now * 1.1, 2)
    for tif in (DAY, GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.CLS):
        kept = dict(symbol="MSFT", qty=1, side=BUY, time_in_force=tif)
        assert client.submit_order(MarketOrderRequest(**kept)).time_in_force == tif
        assert client.submit_order(LimitOrderRequest(**kept, limit_price=100)).limit_price == "100"
    for tif in (DAY, GTC):
        kept = dict(symbol="AAPL", qty=1, side=BUY, time_in_force=tif)
        assert client.submit_order(StopOrderRequest(**kept, stop_price=high)).stop_price == f"{high:g}"
        order = client.submit_order(StopLimitOrderRequest(**kept, stop_price=high, limit_price=high))
        assert order.order_type == "stop_limit"
        client.submit_order(TrailingStopOrderRequest(**kept, trail_percent=5))
        assert client.submit_order(TrailingStopOrderRequest(**kept, trail_price=3.5)).trail_price == "3.5"
        order = client.submit_order(
            LimitOrderRequest(
                **kept, limit_price=low, order_class=OrderClass.BRACKET,
                take_profit=TakeProfitRequest(limit_price=high),
                stop_loss=StopLossRequest(stop_price=round(low - 5, 2)),
            )
        )  # fmt: skip
        assert order.order_class == OrderClass.BRACKET and len(order.legs) == 2
        order = client.submit_order(
            LimitOrderRequest(
                **kept, limit_price=low, order_class=OrderClass.OTO, take_profit=TakeProfitRequest(limit_price=high)
            )
        )  # fmt: skip
        assert [leg.limit_price for leg in order.legs] == [f"{high:g}"]
    with pytest.raises(APIError) as caught:
        client.submit_order(MarketOrderRequest(symbol="AAPL", qty=1, side=BUY, time_in_force=TimeInForce.OPG))
    assert caught.value.status_code == 403
    with pytest.raises(APIError) as caught:
        client.submit_order(MarketOrderRequest(symbol="AAPL", notional=100, side=BUY, time_in_force=DAY))
    assert caught.value.code == 40310000 and "not fractionable" in caught.value.message


def test_orders_are_found_replaced_and_cancelled(served, client):
    low = round(price_of(served) * 0.95, 2)
    mine = f"mine-{time.monotonic_ns()}"
    order = client.submit_order(
        LimitOrderRequest(symbol="AAPL", qty=5, side=BUY, time_in_force=DAY, limit_price=low, client_order_id=mine)
    )
    assert client.get_order_by_client_id(mine).id == order.id
    assert client.get_order_by_id(order.id, GetOrderByIdRequest(nested=True)).status == OrderStatus.NEW
    fresh = client.replace_order_by_id(order.id, ReplaceOrderRequest(qty=3, limit_price=round(low - 1, 2)))
    assert fresh.replaces == order.id and fresh.qty == "3"
    listed = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN, symbols=["AAPL"]))
    assert [item.id for item in listed] == [fresh.id]
    since = GetOrdersRequest(status=QueryOrderStatus.ALL, after=datetime.now(UTC) - timedelta(minutes=5), limit=2)
    assert [item.id for item in client.get_orders(since)] == [fresh.id, order.id]
    client.cancel_order_by_id(fresh.id)
    assert client.get_order_by_id(fresh.id).status == OrderStatus.CANCELED
    with pytest.raises(APIError) as caught:
        client.cancel_order_by_id(fresh.id)
    assert caught.value.status_code == 422 and caught.value.code == 42210000
    client.submit_order(LimitOrderRequest(symbol="AAPL", qty=1, side=BUY, time_in_force=DAY, limit_price=low))
    assert [answer.status for answer in client.cancel_orders()] == [200]


def test_positions_open_and_close(served, client):
    order = client.submit_order(MarketOrderRequest(symbol="AAPL", qty=20, side=BUY, time_in_force=DAY))
    assert settled(client, order.id).status == OrderStatus.FILLED
    position = client.get_open_position("AAPL")
    assert position.qty == "20" and float(position.cost_basis) > 0
    assert [p.symbol for p in client.get_all_positions()] == ["AAPL"]
    settled(client, client.close_position("AAPL", ClosePositionRequest(qty="5")).id)
    assert client.get_open_position("AAPL").qty == "15"
    answers = client.close_all_positions(cancel_orders=True)
    assert [answer.status for answer in answers] == [200]
    assert client.get_all_positions() == []
    with pytest.raises(APIError) as caught:
        client.get_open_position("AAPL")
    assert caught.value.code == 40410000


def test_account_clock_calendar_and_assets(client):
    account = client.get_account()
    assert account.currency == "USD" and float(account.buying_power) > 1_000_000 and account.shorting_enabled
    before = datetime.now(UTC)
    clock = client.get_clock()
    a_second = timedelta(seconds=1)  # what the venue's text leaves out, at most
    assert clock.is_open and before - a_second <= clock.timestamp <= datetime.now(UTC) + a_second
    days = client.get_calendar(GetCalendarRequest(start=datetime(2026, 1, 5).date(), end=datetime(2026, 1, 6).date()))
    assert [day.open.hour for day in days] == [9, 9]
    assert {asset.symbol for asset in client.get_all_assets(GetAssetsRequest())} == {"AAPL", "MSFT"}
    assert client.get_asset("AAPL").tradable
    assert client.get_account_configurations().fractional_trading is False
    assert client.get_portfolio_history().timeframe == "1Min"


def test_a_wrong_key_is_refused(served):
    with pytest.raises(APIError) as caught:
        TradingClient("PKTEST", "wrong", url_override=served.http).get_account()
    assert caught.value.status_code == 401


def test_too_many_requests_are_turned_away():
    venue = ThreadedVenue(lambda host: made(host, rate_limit=5))
    try:
        client = TradingClient("PKTEST", "secret", url_override=venue.http)
        client._retry = 0  # the client would wait three seconds and ask again
        with pytest.raises(APIError) as caught:
            for _ in range(6):
                client.get_clock()
        assert caught.value.status_code == 429
    finally:
        venue.close()


def run_stream(stream, until):
    """Run a stream of alpaca-py on a thread until a condition holds."""
    thread = threading.Thread(target=lambda: asyncio.run(stream._run_forever()), daemon=True)
    thread.start()
    try:
        wait_until(until)
    finally:
        stream.stop()
        thread.join(10)


def test_the_trading_stream_tells_of_fills(served, client):
    stream = TradingStream("PKTEST", "secret", paper=True, url_override=f"{served.ws}/stream")
    told = []

    async def hear(update):
        told.append(update)

    stream.subscribe_trade_updates(hear)
    orders = []

    def trade():
        while not served.site.updates._listening.get("PKTEST"):
            time.sleep(0.01)
        for side in (BUY, SELL):
            orders.append(client.submit_order(MarketOrderRequest(symbol="AAPL", qty=7, side=side, time_in_force=DAY)))

    trader = threading.Thread(target=trade, daemon=True)
    trader.start()
    run_stream(stream, lambda: len(orders) == 2 and sum(u.event == "fill" for u in told) >= 2)
    for order in orders:
        mine = [u for u in told if u.order.id == order.id]
        assert mine[0].event == "new" and mine[-1].event == "fill" and mine[-1].order.status == OrderStatus.FILLED
        assert sum(u.qty for u in mine if u.qty) == 7
    assert told[-1].position_qty == 0
    assert len({u.execution_id for u in told}) == len(told)


def test_the_data_stream_brings_trades_and_quotes(served):
    stream = StockDataStream("PKTEST", "secret", url_override=f"{served.ws}/v2/iex")
    trades, quotes, began = [], [], datetime.now(UTC)

    async def trade(item):
        trades.append(item)

    async def quote(item):
        quotes.append(item)

    stream.subscribe_trades(trade, "AAPL")
    stream.subscribe_quotes(quote, "AAPL", "MSFT")
    run_stream(stream, lambda: len(trades) >= 3 and {q.symbol for q in quotes} == {"AAPL", "MSFT"})
    assert all(t.symbol == "AAPL" and t.price > 0 and t.size > 0 for t in trades)
    assert all(q.bid_price <= q.ask_price for q in quotes if q.bid_size and q.ask_size)
    # the market's clock follows ours: what happens now is stamped so, however late it is read
    assert began - timedelta(seconds=5) <= quotes[-1].timestamp <= datetime.now(UTC) + timedelta(seconds=5)


def test_the_data_api_gives_the_past(served):
    data = StockHistoricalDataClient("PKTEST", "secret", url_override=served.http)
    trades = data.get_stock_trades(StockTradesRequest(symbol_or_symbols=["AAPL", "MSFT"]))
    assert len(trades["AAPL"]) > 0
    bars = data.get_stock_bars(StockBarsRequest(symbol_or_symbols="AAPL", timeframe=TimeFrame.Minute))
    assert bars["AAPL"][-1].volume > 0
    assert data.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols="AAPL"))["AAPL"].latest_trade.price > 0
