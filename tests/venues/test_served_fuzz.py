"""Whatever a served venue is asked or told, it answers: no request and no message raises anything."""

from __future__ import annotations

import json
import random

import msgspec
import pytest

from nanotick.wire.requests import Request, Response
from tests.venues.test_served_alpaca import KEYS, Venue, Wire
from tests.venues.test_served_polygon import Venue as PolygonVenue

ROUNDS = 4_000
PATHS = [
    "/v2/orders", "/v2/orders/{id}", "/v2/orders:by_client_order_id", "/v2/positions", "/v2/positions/AAA",
    "/v2/account", "/v2/account/activities/FILL", "/v2/account/activities", "/v2/account/portfolio/history",
    "/v2/clock", "/v2/calendar", "/v2/assets", "/v2/assets/AAA", "/v2/stocks/AAA/bars", "/v2/stocks/trades",
    "/v2/stocks/quotes/latest", "/v2/stocks/snapshots", "/v2/stocks/AAA/trades/latest", "/v2/nothing", "/", "",
]  # fmt: skip
NAMES = [
    "status", "limit", "after", "until", "direction", "symbols", "side", "nested", "client_order_id", "qty",
    "percentage", "cancel_orders", "page_token", "page_size", "date", "start", "end", "timeframe", "sort",
    "activity_types", "asset_class", "timestamp.gte", "cursor", "order", "ticker",
]  # fmt: skip
VALUES = [
    "", "0", "1", "-1", "1e9", "1e60", "9" * 40, "NaN", "Infinity", "-0", "0.00001", "0.9999", "50.001", "AAA", "ZZZ",
    "a" * 300, "2026-01-05", "2026-01-05T14:30:00Z", "0001-01-01", "9999-12-31T23:59:59Z", "2026-13-45", "all", "open",
    "closed", "asc", "desc", "true", "1Min", "7Hour", "99Min", "\x00", "%", "é", "' or 1", "1|2", "AAA|x", "buy",
]  # fmt: skip
FIELDS = {
    "symbol": ["AAA", "BBB", "ZZZ", "", None, 5, ["AAA"]], "qty": [1, "1", 0, "1.5", -1, "1e60", "nan", None, True, {}],
    "notional": [None, 100, "x"], "side": ["buy", "sell", "hold", None, 1],
    "type": ["market", "limit", "stop", "stop_limit", "trailing_stop", "x", None],
    "time_in_force": ["day", "gtc", "ioc", "fok", "cls", "opg", "x", None],
    "limit_price": [None, 50, "49.99", "0.9999", "0.00001", "1e40", "-3", "999999999999999999999", True, [1]],
    "stop_price": [None, 50, "51.00", "0.9999", "1e40", "49"], "trail_price": [None, "1", "0.001", "1e30"],
    "trail_percent": [None, "1", "1e30", "200", "0.0001"], "extended_hours": [None, True, "yes"],
    "client_order_id": [None, "x" * 200, "", 5, "same"],
    "order_class": [None, "", "simple", "bracket", "oco", "oto", "x"],
    "take_profit": [None, {}, {"limit_price": "51"}, {"limit_price": "0.9999"}, 5],
    "stop_loss": [None, {}, {"stop_price": "49"}, {"stop_price": "0.9999", "limit_price": "48"}, []],
    "trail": [None, "2", "x"],
}  # fmt: skip


def query(draw):
    return "&".join(f"{draw.choice(NAMES)}={draw.choice(VALUES)}" for _ in range(draw.choice((0, 1, 1, 2, 3, 80))))


def body(draw):
    found = {"symbol": "AAA", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
    for _ in range(draw.randrange(8)):
        name = draw.choice(list(FIELDS))
        found[name] = draw.choice(FIELDS[name])
    data = json.dumps({k: v for k, v in found.items() if draw.random() > 0.05}).encode()
    if draw.random() < 0.1:
        at = draw.randrange(len(data))
        data = data[:at] + bytes((draw.randrange(256),)) * draw.randrange(3) + data[at + 1 :]
    return data


@pytest.mark.parametrize("seed", range(3))
def test_any_request_to_alpaca_is_answered_once(seed):
    draw = random.Random(seed)
    venue = Venue()
    statuses = set()
    for _ in range(ROUNDS):
        ids = list(venue.me.open if draw.random() < 0.7 else venue.me.orders) or ["none"]
        path = (draw.choice(PATHS) if draw.random() < 0.8 else PATHS[1]).replace("{id}", draw.choice(ids[-20:]))
        method = draw.choice(("GET", "POST", "DELETE", "PATCH", "PUT")) if draw.random() < 0.5 else "POST"
        path = "/v2/orders" if method == "POST" and draw.random() < 0.7 else path
        found = []
        request = Request(method, f"{path}?{query(draw)}" if draw.random() < 0.5 else path, KEYS, body(draw))
        venue.site.request(request, "test", found.append)
        assert len(found) == 1, request
        assert isinstance(found[0], Response) and found[0].status < 500, (request, request.body, found)
        if found[0].body:
            json.loads(found[0].body)
        statuses.add(found[0].status)
        if draw.random() < 0.05:
            venue.host.run(0.05)
    assert {200, 204, 207, 400, 403, 404, 422} <= statuses
    ledger = venue.me.ledger
    venue.ask("DELETE", "/v2/orders")
    venue.host.run(1)
    fills = venue.desk.fills(venue.me)
    assert ledger.cash == 100_000 * 10**18 - sum(
        f.order.side * f.price * f.qty * f.order.listing.value_unit for f in fills
    )
    assert ledger._locked == 0 and all(row == [0, 0] for row in ledger._ordered.values())
    for number, listing in venue.desk.by_number.items():
        assert ledger.held(number) == sum(f.order.side * f.qty for f in fills if f.order.listing is listing)


ITEMS = [
    None,
    1,
    "x",
    [],
    {},
    ["AAA"],
    "auth",
    "subscribe",
    {"streams": ["trade_updates"]},
    {"key_id": 1},
    [None],
    ["*"],
]


def message(draw):
    found = {
        draw.choice(("action", "data", "key", "secret", "trades", "quotes", "bars", "params", "x")): draw.choice(ITEMS)
        for _ in range(draw.randrange(5))
    }
    if draw.random() < 0.5:
        found["action"] = draw.choice(("auth", "authenticate", "listen", "subscribe", "unsubscribe"))
    if draw.random() < 0.3:
        found |= {"key": "key", "secret": "secret", "params": "key"}
    return found


@pytest.mark.parametrize("path", ["/stream", "/v2/iex", "/v2/sip", "packed", "/stocks", "/indices"])
def test_any_message_on_any_stream_is_lived_through(path):
    draw = random.Random(path)
    polygon = path in ("/stocks", "/indices")
    venue = PolygonVenue() if polygon else Venue()
    headers = (("Content-Type", "application/msgpack"),) if path == "packed" else ()
    for _ in range(40):
        user = venue.site.upgrade("/v2/iex" if path == "packed" else path, headers, "test")
        link = Wire()
        user.opened(link)
        for _ in range(40):
            item = message(draw)
            data = msgspec.msgpack.encode(item) if path == "packed" else json.dumps(item).encode()
            if draw.random() < 0.2:
                at = draw.randrange(len(data))
                data = data[:at] + bytes((draw.randrange(256),)) + data[at + 1 :]
            user.message(link, memoryview(data) if draw.random() < 0.5 else data, venue.host.now())
        venue.host.run(0.02)
        user.closed(link, "gone")
    assert not any(talks for talks in (venue.site.hub.talks).values())


def test_any_request_to_polygon_is_answered_once():
    draw = random.Random(5)
    venue = PolygonVenue()
    paths = ["/v3/trades/AAA", "/v3/quotes/BBB", "/v3/trades/", "/v3/reference/tickers", "/v2/last/trade/AAA", "/x", ""]
    for _ in range(ROUNDS):
        found = []
        path = f"{draw.choice(paths)}?apiKey=key&{query(draw)}"
        venue.site.request(Request(draw.choice(("GET", "POST")), path, (("Host", "h"),)), "test", found.append)
        assert len(found) == 1 and found[0].status < 500, path
        json.loads(found[0].body)
