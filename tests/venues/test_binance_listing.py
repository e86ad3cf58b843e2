"""Instruments out of exchangeInfo."""

import json

from nanotick.venues.binance.listing import listed, listed_in
from tests.venues.scripted import ScriptedHost


def info(**filters):
    rows = [{"filterType": name, **row} for name, row in filters.items()]
    return json.dumps({"timezone": "UTC", "symbols": [{
        "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT", "filters": rows,
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER"}]}).encode()  # fmt: skip


FULL = {
    "PRICE_FILTER": {"minPrice": "0.01", "maxPrice": "1000000.00", "tickSize": "0.01000000"},
    "LOT_SIZE": {"minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000"},
    "NOTIONAL": {"minNotional": "5.00000000", "applyMinToMarket": True},
    "PERCENT_PRICE_BY_SIDE": {"bidMultiplierUp": "1.2", "bidMultiplierDown": "0.2", "askMultiplierUp": "5",
                              "askMultiplierDown": "0.8", "avgPriceMins": 5},
    "MAX_NUM_ORDERS": {"maxNumOrders": 200},
}  # fmt: skip


def test_filters_become_an_instrument_and_rules():
    item, rules = listed_in(info(**FULL), "BINANCE")["BTCUSDT"]
    assert (item.price_decimals, item.qty_decimals, item.tick_size, item.lot_size) == (2, 8, "0.01000000", "0.00001000")
    assert (item.min_notional, item.max_qty, item.currency) == ("5.00000000", "9000.00000000", "USDT")
    assert (rules.base, rules.bid_up, rules.ask_down, rules.max_orders) == ("BTC", "1.2", "0.8", 200)
    assert rules.trading and rules.self_trade == "EXPIRE_MAKER"


def test_a_coin_of_tiny_price_leaves_room_for_its_value():
    filters = FULL | {"PRICE_FILTER": {"tickSize": "0.00000001"}, "LOT_SIZE": {"stepSize": "1.00", "minQty": "1.00"}}
    item, _ = listed_in(info(**filters), "BINANCE")["BTCUSDT"]
    assert (item.price_decimals, item.qty_decimals) == (8, 2)


def test_symbols_that_are_not_listed_and_bad_answers_are_said():
    host, got = ScriptedHost(), []
    listed(host, "https://rest", ["BTCUSDT", "NONEUSDT"], lambda found, why: got.append((found, why)))
    assert host.asked[0][1].path == "/api/v3/exchangeInfo?symbols=%5B%22BTCUSDT%22%2C%22NONEUSDT%22%5D"
    host.answer(200, info(**FULL))
    assert got.pop() == (None, "https://rest: lists no NONEUSDT")
    listed(host, "https://rest", [], lambda found, why: got.append((found, why)))
    host.answer(451, b"Service unavailable from a restricted location")
    assert got.pop()[1].startswith("https://rest: what it lists cannot be read: HTTP status 451")
