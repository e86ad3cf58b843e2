"""The venue's side of `wire.alpaca` and `wire.alpaca_trading`: what Alpaca sends and is asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec

from nanotick.core.records import Kind, OrderType, ReportFlag, TradingStatus
from nanotick.wire import fields
from nanotick.wire.alpaca import CHANNELS
from nanotick.wire.alpaca_trading import _TIF_OF, _TYPE_OF, TIFS, TYPES
from nanotick.wire.json_text import WireError, decode, rfc3339_text
from nanotick.wire.messages import Bar, Depth, Message, Notice, Quote, Status, Trade, Void
from nanotick.wire.polygon_server import raw
from nanotick.wire.reports import Account, OrderStatus, Position, Reply, Report
from nanotick.wire.requests import Amend, Cancel, CancelAll, Entry, Login, Query, Request, Response, Subscribe

_CHANNEL_OF = {name: channel for channel, name in CHANNELS.items()}
CONNECTED, AUTHENTICATED = Notice("success", "connected"), Notice("success", "authenticated")
ERRORS = {
    400: "invalid syntax", 401: "not authenticated", 402: "auth failed", 403: "already authenticated",
    404: "auth timeout", 405: "symbol limit exceeded", 406: "connection limit exceeded", 407: "slow client",
    409: "insufficient subscription", 500: "internal error",
}  # fmt: skip
_STATUS_CODES = {
    TradingStatus.HALTED: ("H", "Trading Halt"), TradingStatus.TRADING: ("T", "Trading Resumption"),
    TradingStatus.PAUSED: ("P", "Volatility Trading Pause"), TradingStatus.QUOTE_ONLY: ("Q", "Quotation Resumption"),
}  # fmt: skip


def _levels(levels: list[tuple[str, str]]) -> list[dict[str, msgspec.Raw]]:
    return [{"p": raw(price), "s": raw(size)} for price, size in levels]


def _item(message: Message) -> dict[str, Any]:
    if isinstance(message, Notice):
        item: dict[str, Any] = {"T": message.status}
        if message.code:
            item["code"] = message.code
        return {**item, "msg": message.text}
    if not isinstance(message, Trade | Quote | Bar | Depth | Status | Void):
        raise TypeError(f"Alpaca sends no {type(message).__name__}")
    head = {"T": message.kind, "S": message.symbol}
    stamp = rfc3339_text(message.ts_venue)
    if isinstance(message, Trade):
        body: dict[str, Any] = {
            "i": message.trade_id, "x": "D", "p": raw(message.price), "s": raw(message.qty), "t": stamp,
            "c": ["@"] if message.printable else ["@", "M"], "z": "C",
        }  # fmt: skip
        if message.side:
            body["tks"] = "B" if message.side > 0 else "S"
        return {**head, **body}
    if isinstance(message, Quote):
        return {**head, "bx": "U", "bp": raw(message.bid), "bs": raw(message.bid_qty), "ax": "Q",
                "ap": raw(message.ask), "as": raw(message.ask_qty), "c": ["R"], "z": "C", "t": stamp}  # fmt: skip
    if isinstance(message, Bar):
        names = ("open", "high", "low", "close", "volume")
        prices = {key: raw(getattr(message, name)) for key, name in zip("ohlcv", names, strict=True)}
        return {**head, **prices, "t": stamp}
    if isinstance(message, Depth):
        body = {**head, "t": stamp, "b": _levels(message.bids), "a": _levels(message.asks)}
        return {**body, "r": True} if message.snapshot else body
    if isinstance(message, Status):
        code, words = _STATUS_CODES.get(TradingStatus(message.status), ("", ""))
        return {**head, "sc": code, "sm": words, "rc": message.reason, "rm": "", "t": stamp, "z": "C"}
    return {**head, "i": message.trade_id, "x": "N", "p": 0, "s": 0, "a": "C", "z": "C", "t": stamp}


def encode_messages(messages: Iterable[Message]) -> bytes:
    """One frame of the data stream.

    Raises
    ------
    TypeError
        A message that Alpaca does not send.
    """
    return msgspec.json.encode([_item(message) for message in messages])


def encode_subscription(channels: Iterable[tuple[str, str]]) -> bytes:
    """The answer to a subscription: everything that is subscribed now."""
    item: dict[str, Any] = {"T": "subscription"} | {name: [] for name in ("trades", "quotes", "bars")}
    for channel, symbol in channels:
        item.setdefault(CHANNELS[channel], []).append(symbol)
    return msgspec.json.encode([item])


def decode_stream_request(data: bytes) -> Login | Subscribe:
    """What a client asks on the data stream or the trading stream.

    Raises
    ------
    WireError
    """
    message = fields.mapping(decode(data), "request")
    action = fields.text(message, "action")
    if action in ("auth", "authenticate"):
        data_part = message.get("data")
        body = data_part if isinstance(data_part, dict) else message
        key, secret = body.get("key_id", body.get("key")), body.get("secret_key", body.get("secret"))
        if not isinstance(key, str) or not isinstance(secret, str):
            raise WireError(f"{action}: expected a key and a secret, found {fields.keys_of(body)}")
        return Login(key, secret)
    if action == "listen":
        streams = fields.sequence(fields.mapping(message.get("data"), "data").get("streams"), "streams")
        return Subscribe((("trade_updates", ""),) if "trade_updates" in streams else (), bool(streams))
    if action not in ("subscribe", "unsubscribe"):
        raise WireError(f"action: expected auth, listen, subscribe or unsubscribe, found {action[:40]!r}")
    channels = []
    for name, symbols in message.items():
        if name in _CHANNEL_OF:
            for symbol in fields.sequence(symbols, name):
                if not isinstance(symbol, str) or not 0 < len(symbol) <= 32:
                    raise WireError(f"{name}: expected symbols, found {fields.shown(symbol)}")
                channels.append((_CHANNEL_OF[name], symbol))
    return Subscribe(tuple(channels), action == "subscribe")


_EVENTS = {
    Kind.ACCEPTED: "new", Kind.REPLACED: "new", Kind.REJECTED: "rejected", Kind.CANCELLED: "canceled",
    Kind.EXPIRED: "expired", Kind.FILL: "fill", Kind.FILL_BUST: "trade_bust",
    Kind.CANCEL_REJECTED: "order_cancel_rejected",
}  # fmt: skip


def order_body(status: OrderStatus) -> dict[str, Any]:
    """An order as REST and the stream show it."""
    stamp = rfc3339_text(status.ts_venue)
    order_type = TYPES.get(OrderType(status.order_type), "limit") if status.order_type >= 0 else "limit"
    return {
        "id": status.order, "client_order_id": status.client, "created_at": stamp, "updated_at": stamp,
        "submitted_at": stamp, "filled_at": None, "expired_at": None, "canceled_at": None, "failed_at": None,
        "replaced_at": None, "replaced_by": None, "replaces": None,
        "asset_id": "904837e3-3b76-47ec-b432-046db621571b", "symbol": status.symbol, "asset_class": "us_equity",
        "notional": None, "qty": status.qty, "filled_qty": status.filled,
        "filled_avg_price": None if status.average_price == "0" else status.average_price, "order_class": "",
        "order_type": order_type, "type": order_type, "side": "buy" if status.side > 0 else "sell",
        "time_in_force": TIFS.get(status.tif, "gtc"), "limit_price": status.price or None,
        "stop_price": status.stop or None, "status": status.state, "extended_hours": False, "legs": None,
        "trail_percent": None, "trail_price": None, "hwm": None, "commission": "0", "subtag": None, "source": None,
    }  # fmt: skip


def encode_update(report: Report, status: OrderStatus, replaces: str = "", position_qty: str = "0") -> bytes:
    """A `trade_updates` frame: what happened, and the order after it.

    Parameters
    ----------
    replaces : str
        For REPLACED: the id of the order whose place this one took.
    """
    event = _EVENTS[Kind(report.kind)]
    if report.kind == Kind.CANCEL_REJECTED and report.flags & ReportFlag.OF_REPLACE:
        event = "order_replace_rejected"
    if report.kind == Kind.FILL and status.filled != status.qty:
        event = "partial_fill"
    order = order_body(status)
    if replaces:
        order["replaces"] = replaces
    data: dict[str, Any] = {"event": event, "timestamp": rfc3339_text(report.ts_venue), "order": order,
                            "execution_id": report.execution}  # fmt: skip
    if report.kind in (Kind.FILL, Kind.FILL_BUST):
        data |= {"price": report.price, "qty": report.qty, "position_qty": position_qty}
    if report.detail:
        data["reason"] = report.detail
    return msgspec.json.encode({"stream": "trade_updates", "data": data})


def encode_notice(notice: Notice) -> bytes:
    """Answer on the trading stream: authorization, or what is listened to."""
    if notice.status == "listening":
        streams = notice.text.split(",") if notice.text else []
        return msgspec.json.encode({"stream": "listening", "data": {"streams": streams}})
    data = {"status": notice.status, "action": notice.text}
    return msgspec.json.encode({"stream": "authorization", "data": data})


def _rest(item: OrderStatus | Position | Account) -> dict[str, Any]:
    if isinstance(item, OrderStatus):
        return order_body(item)
    if isinstance(item, Position):
        return {"asset_id": "904837e3-3b76-47ec-b432-046db621571b", "symbol": item.symbol, "exchange": "NASDAQ",
                "asset_class": "us_equity", "avg_entry_price": item.average_price, "qty": item.qty,
                "qty_available": item.qty, "side": "short" if item.qty.startswith("-") else "long", "market_value": "0",
                "cost_basis": "0", "unrealized_pl": "0", "unrealized_plpc": "0", "unrealized_intraday_pl": "0",
                "unrealized_intraday_plpc": "0", "current_price": "0", "lastday_price": "0",
                "change_today": "0"}  # fmt: skip
    power = item.buying_power
    return {"id": "904837e3-3b76-47ec-b432-046db621571b", "account_number": item.number, "status": "ACTIVE",
            "currency": item.currency, "cash": item.cash, "buying_power": power, "regt_buying_power": power,
            "daytrading_buying_power": power, "non_marginable_buying_power": item.cash, "portfolio_value": item.equity,
            "equity": item.equity, "last_equity": item.equity, "long_market_value": "0", "short_market_value": "0",
            "initial_margin": "0", "maintenance_margin": "0", "last_maintenance_margin": "0", "sma": "0",
            "multiplier": "4", "shorting_enabled": item.shorting, "pattern_day_trader": False, "daytrade_count": 0,
            "trading_blocked": item.blocked, "transfers_blocked": False, "account_blocked": False,
            "trade_suspended_by_user": False, "created_at": "2020-01-01T00:00:00Z"}  # fmt: skip


def encode_reply(
    items: OrderStatus | Position | Account | list[OrderStatus] | list[Position], status: int = 200
) -> Response:
    """A good answer: one thing, or a list."""
    body = [_rest(item) for item in items] if isinstance(items, list) else _rest(items)
    return Response(status, (("Content-Type", "application/json"),), msgspec.json.encode(body))


def encode_fills(reports: list[Report]) -> Response:
    """The answer of /v2/account/activities/FILL."""
    body = [
        {"activity_type": "FILL", "id": f"20200101000000000::{r.execution}",
            "transaction_time": rfc3339_text(r.ts_venue),
         "type": "fill", "price": r.price, "qty": r.qty, "side": "buy" if r.side > 0 else "sell", "symbol": r.symbol,
         "order_id": r.order, "leaves_qty": "0", "cum_qty": r.qty}
        for r in reports
    ]  # fmt: skip
    return Response(200, (("Content-Type", "application/json"),), msgspec.json.encode(body))


def encode_error(reply: Reply) -> Response:
    """An error answer; `code` is the HTTP status and perhaps Alpaca's own code after a dot (422.40010001)."""
    status, _, code = reply.code.partition(".")
    body = {"code": int(code or f"{status}10000"), "message": reply.detail}
    return Response(int(status), (("Content-Type", "application/json"),), msgspec.json.encode(body))


def _entry(item: dict[str, Any]) -> Entry:
    order_type, tif = fields.text(item, "type"), fields.text(item, "time_in_force")
    if order_type not in _TYPE_OF:
        raise WireError(f"type: expected one of {', '.join(_TYPE_OF)}, found {order_type[:40]!r}")
    if tif not in _TIF_OF:
        raise WireError(f"time_in_force: expected one of {', '.join(_TIF_OF)}, found {tif[:40]!r}")
    return Entry(
        fields.text(item, "symbol"),
        fields.optional_text(item, "client_order_id"),
        fields.side(item),
        fields.number(item, "qty"),
        fields.optional_number(item, "limit_price", ""),
        fields.optional_number(item, "stop_price", ""),
        _TYPE_OF[order_type],
        _TIF_OF[tif],
    )


def decode_request(request: Request) -> Entry | Cancel | Amend | CancelAll | Query | str:
    """What an order request asks; the path itself for GET requests that only read (positions, account, ...).

    Raises
    ------
    WireError
    """
    path, _, query = request.path.partition("?")
    path = path.rstrip("/")
    if path == "/v2/orders" and request.method == "POST":
        return _entry(fields.mapping(decode(request.body), "order"))
    if path == "/v2/orders" and request.method == "DELETE":
        return CancelAll()
    if path == "/v2/orders:by_client_order_id":
        try:
            values = parse_qs(query, max_num_fields=64).get("client_order_id")
        except ValueError as error:
            raise WireError(f"query: {error}") from None
        if not values:
            raise WireError("client_order_id: expected in the query")
        return Query("", values[0])
    head, _, order = path.rpartition("/")
    if head == "/v2/orders":
        order = unquote(order)
        if request.method == "GET":
            return Query("", "", order)
        if request.method == "DELETE":
            return Cancel("", "", order)
        if request.method == "PATCH":
            item = fields.mapping(decode(request.body), "order")
            number = fields.optional_number
            entry = Entry("", fields.optional_text(item, "client_order_id"), 0, number(item, "qty", ""),
                          number(item, "limit_price", ""), number(item, "stop_price", ""))  # fmt: skip
            return Amend("", order, entry)
    if request.method == "GET":
        return path
    raise WireError(f"Alpaca has no {request.method} {path[:80]}")
