"""The venue's side of `wire.kraken` and `wire.kraken_trading`: what Kraken spot (WebSocket v2) sends and is asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from nanotick.core.records import Kind, OrderType
from nanotick.wire import fields
from nanotick.wire.json_text import WireError, decode, rfc3339_ns, rfc3339_text
from nanotick.wire.kraken_trading import _CHANNELS, _TIF_OF, _TYPE_OF, TIF_NAMES, TYPE_NAMES
from nanotick.wire.messages import Depth, Level, Message, Trade
from nanotick.wire.polygon_server import raw
from nanotick.wire.reports import OrderStatus, Outcome, Reply, Report
from nanotick.wire.requests import Amend, Cancel, CancelAll, Entry, Login, Ping, Request, Response, Subscribe

_CHANNEL_OF = {name: channel for channel, name in _CHANNELS.items()}


def _levels(levels: list[Level]) -> list[dict[str, msgspec.Raw]]:
    return [{"price": raw(price), "qty": raw(qty)} for price, qty in levels]


def encode_messages(messages: list[Message]) -> bytes:
    """A frame of the book (one message) or of trades of the public WebSocket.

    Raises
    ------
    TypeError
        A message that Kraken does not send.
    """
    first = messages[0]
    if isinstance(first, Depth) and len(messages) == 1:
        item: dict[str, Any] = {"symbol": first.symbol, "bids": _levels(first.bids), "asks": _levels(first.asks)}
        item |= {"checksum": first.checksum, "timestamp": rfc3339_text(first.ts_venue)}
        kind = "snapshot" if first.snapshot else "update"
        return msgspec.json.encode({"channel": "book", "type": kind, "data": [item]})
    rows = []
    for trade in messages:
        if not isinstance(trade, Trade):
            raise TypeError(f"Kraken sends no {type(trade).__name__} among {len(messages)} messages")
        rows.append(
            {"symbol": trade.symbol, "side": "buy" if trade.side > 0 else "sell", "price": raw(trade.price),
             "qty": raw(trade.qty), "ord_type": "limit", "trade_id": trade.trade_id,
             "timestamp": rfc3339_text(trade.ts_venue)}
        )  # fmt: skip
    kind = "snapshot" if isinstance(first, Trade) and first.snapshot else "update"
    return msgspec.json.encode({"channel": "trade", "type": kind, "data": rows})


def encode_status(system: str, connection: int) -> bytes:
    """The first frame of every connection."""
    item = {"system": system, "api_version": "v2", "connection_id": connection, "version": "2.0.10"}
    return msgspec.json.encode({"channel": "status", "type": "update", "data": [item]})


HEARTBEAT = b'{"channel":"heartbeat"}'


def _execution(report: Report, status: OrderStatus) -> dict[str, Any]:
    names = {Kind.ACCEPTED: "new", Kind.REPLACED: "amended", Kind.FILL: "trade", Kind.CANCELLED: "canceled",
             Kind.EXPIRED: "expired"}  # fmt: skip
    kind = names[Kind(report.kind)]
    item: dict[str, Any] = {
        "exec_type": kind, "order_id": report.order, "cl_ord_id": report.client, "symbol": report.symbol,
        "side": "buy" if report.side > 0 else "sell", "order_type": TYPE_NAMES.get(status.order_type, "limit"),
        "order_qty": raw(status.qty), "order_status": status.state, "cum_qty": raw(status.filled),
        "time_in_force": TIF_NAMES.get(status.tif, "gtc"), "timestamp": rfc3339_text(report.ts_venue),
    }  # fmt: skip
    if status.price:
        item["limit_price"] = raw(status.price)
    if kind == "trade":
        fees = [{"asset": report.fee_asset, "qty": raw(report.fee)}] if report.fee_asset else []
        item |= {"exec_id": report.execution, "trade_id": 1, "last_qty": raw(report.qty),
            "last_price": raw(report.price),
                 "liquidity_ind": "m" if report.maker else "t", "fees": fees}  # fmt: skip
    if report.detail:
        item["reason"] = report.detail
    return item


def encode_executions(reports: Iterable[tuple[Report, OrderStatus]], sequence: int) -> bytes:
    """An update of the executions channel: what happened, with the order after it."""
    rows = [_execution(report, status) for report, status in reports]
    return msgspec.json.encode({"channel": "executions", "type": "update", "sequence": sequence, "data": rows})


def encode_open_orders(orders: Iterable[OrderStatus], sequence: int) -> bytes:
    """The snapshot of the executions channel."""
    rows = []
    for status in orders:
        row: dict[str, Any] = {
            "exec_type": "status", "order_id": status.order, "cl_ord_id": status.client, "symbol": status.symbol,
            "side": "buy" if status.side > 0 else "sell", "order_type": TYPE_NAMES.get(status.order_type, "limit"),
            "order_qty": raw(status.qty), "cum_qty": raw(status.filled), "order_status": status.state,
            "time_in_force": TIF_NAMES.get(status.tif, "gtc"), "timestamp": rfc3339_text(status.ts_venue),
            "avg_price": raw(status.average_price),
        }  # fmt: skip
        if status.price:
            row["limit_price"] = raw(status.price)
        if status.stop:
            row["triggers"] = {"price": raw(status.stop)}
        rows.append(row)
    return msgspec.json.encode({"channel": "executions", "type": "snapshot", "sequence": sequence, "data": rows})


def encode_reply(reply: Reply, now: int, result: dict[str, Any] | None = None) -> bytes:
    """The reply to a request; `result` of a good one (order_id, cl_ord_id, or the subscription)."""
    stamp = rfc3339_text(now)
    body: dict[str, Any] = {"method": reply.method}
    if reply.request:
        body["req_id"] = int(reply.request)
    if reply.outcome != Outcome.DONE:
        return msgspec.json.encode(
            {**body, "success": False, "error": reply.detail, "time_in": stamp, "time_out": stamp}
        )
    if reply.method == "ping":
        return msgspec.json.encode({**body, "method": "pong", "time_in": stamp, "time_out": stamp})
    return msgspec.json.encode({**body, "success": True, "result": result or {}, "time_in": stamp, "time_out": stamp})


def rest_response(result: Any = None, errors: Iterable[str] = ()) -> Response:
    """A REST answer: Kraken says 200 and lists errors in the body."""
    body: dict[str, Any] = {"error": list(errors)}
    if result is not None:
        body["result"] = result
    return Response(200, (("Content-Type", "application/json"),), msgspec.json.encode(body))


def rest_order(status: OrderStatus) -> dict[str, Any]:
    """An order as OpenOrders and QueryOrders show it."""
    kind = TYPE_NAMES.get(status.order_type, "limit")
    price, second = (status.stop, status.price) if status.order_type == OrderType.STOP_LIMIT else (status.price, "0")
    seconds, fraction = divmod(status.ts_venue, 1_000_000_000)
    return {
        "refid": None, "userref": 0, "cl_ord_id": status.client, "status": status.state,
        "opentm": raw(f"{seconds}.{fraction:09d}"),
        "starttm": 0, "expiretm": 0, "vol": status.qty, "vol_exec": status.filled, "cost": "0", "fee": "0",
        "price": status.average_price, "stopprice": status.stop or "0", "limitprice": "0", "misc": "", "oflags": "fciq",
        "timeinforce": TIF_NAMES.get(status.tif, "gtc").upper(),
        "descr": {"pair": status.symbol, "type": "buy" if status.side > 0 else "sell", "ordertype": kind,
                  "price": price or "0", "price2": second or "0", "leverage": "none", "order": "", "close": ""},
    }  # fmt: skip


# --- what is asked ------------------------------------------------------------------------------------------------


def _entry(item: dict[str, Any], symbol: str) -> Entry:
    kind = fields.text(item, "order_type")
    tif = (fields.optional_text(item, "time_in_force") or "gtc").lower()
    if kind not in _TYPE_OF:
        raise WireError(f"order_type: expected one of {', '.join(_TYPE_OF)}, found {kind[:40]!r}")
    if tif not in _TIF_OF:
        raise WireError(f"time_in_force: expected one of {', '.join(_TIF_OF)}, found {tif[:40]!r}")
    triggers = item.get("triggers")
    stop = fields.number(triggers, "price") if isinstance(triggers, dict) else ""
    expire = rfc3339_ns(item["expire_time"], "expire_time") if "expire_time" in item else 0
    return Entry(
        symbol, fields.optional_text(item, "cl_ord_id"), fields.side(item), fields.number(item, "order_qty"),
        fields.optional_number(item, "limit_price", ""), stop, _TYPE_OF[kind], _TIF_OF[tif], expire,
        item.get("post_only") is True, item.get("reduce_only") is True,
    )  # fmt: skip


def _first(item: dict[str, Any], key: str) -> str:
    value = item.get(key)
    value = value[0] if isinstance(value, list) and value else value
    return str(value) if isinstance(value, str) else ""


Wanted = Entry | Cancel | Amend | CancelAll | Subscribe | Ping | list[Entry] | int


def decode_stream_request(data: bytes) -> tuple[str, str, Wanted, str]:
    """Request id, method, what is asked (seconds for the dead-man switch) and the token.

    Raises
    ------
    WireError
    """
    message = fields.mapping(decode(data), "request")
    method, request = fields.text(message, "method"), fields.optional_text(message, "req_id")
    params = fields.mapping(message.get("params") or {}, "params")
    token = fields.optional_text(params, "token")
    asked: Wanted
    if method == "ping":
        asked = Ping(request)
    elif method in ("subscribe", "unsubscribe"):
        name = fields.text(params, "channel")
        if name not in _CHANNEL_OF:
            raise WireError(f"channel: expected one of {', '.join(_CHANNEL_OF)}, found {name[:40]!r}")
        symbols = [str(symbol) for symbol in fields.sequence(params.get("symbol") or [], "symbol")] or [""]
        channels = tuple((_CHANNEL_OF[name], symbol) for symbol in symbols)
        login = Login("", proof=token) if token else None
        asked = Subscribe(channels, method == "subscribe", request, login, fields.whole(params, "depth", 0))
    elif method == "add_order":
        asked = _entry(params, fields.text(params, "symbol"))
    elif method == "batch_add":
        symbol = fields.text(params, "symbol")
        asked = [
            _entry(fields.mapping(item, "orders"), symbol)
            for item in fields.sequence(params.get("orders"), "orders", 2)
        ]
    elif method == "amend_order":
        number = fields.optional_number
        entry = Entry("", _first(params, "cl_ord_id"), 0, number(params, "order_qty", ""), number(params,
            "limit_price", ""),
                      number(params, "trigger_price", ""), post_only=params.get("post_only") is True)  # fmt: skip
        asked = Amend(_first(params, "cl_ord_id"), _first(params, "order_id"), entry)
    elif method == "cancel_order":
        asked = Cancel("", _first(params, "cl_ord_id"), _first(params, "order_id"))
    elif method == "cancel_all":
        asked = CancelAll()
    elif method == "cancel_all_orders_after":
        asked = fields.whole(params, "timeout")
    else:
        raise WireError(f"Kraken has no method {method[:40]!r}")
    return request, method, asked, token


def decode_request(request: Request) -> tuple[str, dict[str, str]]:
    """Name and parameters (with the nonce) of a private REST request.

    Raises
    ------
    WireError
    """
    if request.method != "POST" or not request.path.startswith("/0/private/"):
        raise WireError(f"Kraken has no {request.method} {request.path[:80]}")
    try:
        params = dict(parse_qsl(request.body.decode("ascii"), strict_parsing=True, max_num_fields=64))
    except ValueError as error:
        raise WireError(f"parameters: {error}") from None
    if not params.get("nonce", "").isdigit():
        raise WireError("EAPI:Invalid nonce")
    return request.path.removeprefix("/0/private/"), params
