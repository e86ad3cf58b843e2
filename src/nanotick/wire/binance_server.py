"""The venue's side of `wire.binance`, `binance_orders` and `binance_reports`: what Binance spot sends and is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from nanotick.core.instruments import Instrument
from nanotick.core.records import CancelReason, Kind
from nanotick.wire import fields
from nanotick.wire.binance_orders import METHODS, TIF_NAMES, TYPE_NAMES
from nanotick.wire.json_text import WireError, decode
from nanotick.wire.messages import Depth, Message, Quote, Trade
from nanotick.wire.reports import Balance, OrderStatus, Reply, Report, Used
from nanotick.wire.requests import Amend, Cancel, CancelAll, Entry, Login, Ping, Query, Request, Response, Subscribe

_MS = 1_000_000
_TYPE_OF = {name: code for code, name in TYPE_NAMES.items()} | {"LIMIT_MAKER": 0}
_TIF_OF = {name: code for code, name in TIF_NAMES.items()}
_CHANNEL_OF = {"trade": "trade", "aggTrade": "aggregate", "bookTicker": "quote", "depth": "depth"}
_JSON = (("Content-Type", "application/json;charset=UTF-8"),)


def _item(message: Message) -> dict[str, Any]:
    if isinstance(message, Depth):
        bids, asks = message.bids, message.asks
        if message.snapshot:
            return {"lastUpdateId": message.last, "bids": bids, "asks": asks}
        return {"e": "depthUpdate", "E": message.ts_venue // _MS, "s": message.symbol, "U": message.first,
            "u": message.last,
                "b": bids, "a": asks}  # fmt: skip
    if isinstance(message, Trade):
        stamp = message.ts_venue // _MS
        head = {"e": message.kind, "E": stamp, "s": message.symbol}
        tail = {"p": message.price, "q": message.qty}
        end = {"T": stamp, "m": message.side < 0, "M": True}
        if message.kind == "aggTrade":
            return {**head, "a": message.trade_id, **tail, "f": message.trade_id, "l": message.trade_id, **end}
        return {**head, "t": message.trade_id, **tail, **end}
    if isinstance(message, Quote):
        return {"u": message.last, "s": message.symbol, "b": message.bid, "B": message.bid_qty, "a": message.ask,
                "A": message.ask_qty}  # fmt: skip
    raise TypeError(f"Binance spot sends no {type(message).__name__}")


def encode_message(message: Message, stream: str = "") -> bytes:
    """A market data message, in a combined stream's wrapper when its name is given; a snapshot is a REST body.

    Raises
    ------
    TypeError
        A message that Binance spot does not send.
    """
    item = _item(message)
    return msgspec.json.encode({"stream": stream, "data": item} if stream else item)


def exchange_info(instruments: Iterable[Instrument], limits: Iterable[Used] = ()) -> bytes:
    """The exchangeInfo body of these instruments, with their filters."""
    symbols = []
    for item in instruments:
        tick, lot = item.tick_size, item.lot_size
        base = item.symbol.removesuffix(item.currency)
        symbols.append(
            {
                "symbol": item.symbol, "status": "TRADING", "baseAsset": base, "baseAssetPrecision": 8,
                "quoteAsset": item.currency, "quotePrecision": 8, "quoteAssetPrecision": 8,
                "baseCommissionPrecision": 8, "quoteCommissionPrecision": 8,
                "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT"],
                "icebergAllowed": False,
                "ocoAllowed": False, "quoteOrderQtyMarketAllowed": False, "allowTrailingStop": False,
                "cancelReplaceAllowed": True, "isSpotTradingAllowed": True, "isMarginTradingAllowed": False,
                "filters": [
                    {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00", "tickSize": tick},
                    {"filterType": "LOT_SIZE", "minQty": item.min_qty if item.min_qty != "0" else lot,
                     "maxQty": item.max_qty if item.max_qty != "0" else "9000000.00", "stepSize": lot},
                    {"filterType": "NOTIONAL", "minNotional": item.min_notional, "applyMinToMarket": True,
                     "maxNotional": "9000000.00", "applyMaxToMarket": False, "avgPriceMins": 5},
                    {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
                ],
                "permissions": [], "permissionSets": [["SPOT"]], "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
                "allowedSelfTradePreventionModes": ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
            }
        )  # fmt: skip
    return msgspec.json.encode({"timezone": "UTC", "serverTime": 0, "rateLimits": limit_rows(limits, False),
                                "exchangeFilters": [], "symbols": symbols})  # fmt: skip


def limit_rows(limits: Iterable[Used], counts: bool = True) -> list[dict[str, Any]]:
    """The `rateLimits` list."""
    names = {86400: "DAY", 3600: "HOUR", 60: "MINUTE", 1: "SECOND"}
    rows = []
    for use in limits:
        unit = next(seconds for seconds in names if use.interval_s % seconds == 0)
        row: dict[str, Any] = {"rateLimitType": use.kind, "interval": names[unit],
            "intervalNum": use.interval_s // unit,
                               "limit": use.limit}  # fmt: skip
        rows.append({**row, "count": use.count} if counts else row)
    return rows


_EXECUTIONS = {
    Kind.ACCEPTED: "NEW", Kind.FILL: "TRADE", Kind.CANCELLED: "CANCELED", Kind.EXPIRED: "EXPIRED",
    Kind.REJECTED: "REJECTED",
}  # fmt: skip


def execution_report(report: Report, status: OrderStatus, cancel_client: str = "") -> dict[str, Any]:
    """An executionReport event: what happened, and the order after it.

    Parameters
    ----------
    cancel_client : str
        For CANCELLED: the client id of the cancel itself.
    """
    kind = _EXECUTIONS[Kind(report.kind)]
    if report.kind == Kind.CANCELLED and report.reason != CancelReason.USER:
        kind = "TRADE_PREVENTION" if report.reason == CancelReason.SELF_TRADE else "EXPIRED"
    fill = report.kind == Kind.FILL
    stamp = report.ts_venue // _MS
    cancelled = kind == "CANCELED"
    order_type = status.order_type
    return {
        "e": "executionReport", "E": stamp, "s": report.symbol, "c": cancel_client if cancelled else report.client,
        "S": "BUY" if report.side > 0 else "SELL", "o": TYPE_NAMES.get(order_type, "LIMIT"),
        "f": TIF_NAMES.get(status.tif, "GTC"), "q": status.qty, "p": status.price or "0.00000000",
        "P": status.stop or "0.00000000", "F": "0.00000000", "g": -1, "C": report.client if cancelled else "",
        "x": kind, "X": status.state, "r": report.detail or "NONE", "i": int(report.order),
        "l": report.qty if fill else "0.00000000", "z": status.filled, "L": report.price if fill else "0.00000000",
        "n": report.fee if fill else "0", "N": report.fee_asset or None, "T": stamp,
        "t": int(report.execution) if fill else -1, "I": stamp, "w": status.open, "m": report.maker, "M": fill,
        "O": status.ts_venue // _MS, "Z": "0.00000000", "Y": "0.00000000", "Q": "0.00000000", "W": stamp, "V": "NONE",
    }  # fmt: skip


def account_position(balances: Iterable[Balance], ts_venue: int) -> dict[str, Any]:
    """An outboundAccountPosition event."""
    rows = [{"a": b.asset, "f": b.free, "l": b.locked} for b in balances]
    return {"e": "outboundAccountPosition", "E": ts_venue // _MS, "u": ts_venue // _MS, "B": rows}


def encode_event(event: Mapping[str, Any], subscription: int = 0) -> bytes:
    """A user data event as the WebSocket API sends it."""
    return msgspec.json.encode({"subscriptionId": subscription, "event": event})


def order_body(status: OrderStatus) -> dict[str, Any]:
    """An order as a query shows it."""
    stamp = status.ts_venue // _MS
    return {
        "symbol": status.symbol, "orderId": int(status.order), "orderListId": -1, "clientOrderId": status.client,
        "price": status.price or "0.00000000", "origQty": status.qty, "executedQty": status.filled,
        "cummulativeQuoteQty": "0.00000000", "status": status.state, "timeInForce": TIF_NAMES.get(status.tif, "GTC"),
        "type": TYPE_NAMES.get(status.order_type, "LIMIT"), "side": "BUY" if status.side > 0 else "SELL",
        "stopPrice": status.stop or "0.00000000", "icebergQty": "0.00000000", "time": stamp, "updateTime": stamp,
        "isWorking": status.open, "workingTime": stamp, "origQuoteOrderQty": "0.00000000",
        "selfTradePreventionMode": "NONE",
    }  # fmt: skip


def ack_body(symbol: str, order: str, client: str, ts_venue: int) -> dict[str, Any]:
    """The answer to an order that was taken (newOrderRespType ACK)."""
    return {"symbol": symbol, "orderId": int(order), "orderListId": -1, "clientOrderId": client,
            "transactTime": ts_venue // _MS}  # fmt: skip


def cancel_body(status: OrderStatus, cancel_client: str) -> dict[str, Any]:
    """The answer to a cancel that was done."""
    body = order_body(status)
    for name in ("time", "updateTime", "isWorking", "workingTime"):
        del body[name]
    return {
        **body,
        "origClientOrderId": status.client,
        "clientOrderId": cancel_client,
        "transactTime": status.ts_venue // _MS,
    }


def fill_body(report: Report) -> dict[str, Any]:
    """A line of myTrades."""
    return {"symbol": report.symbol, "id": int(report.execution), "orderId": int(report.order), "orderListId": -1,
            "price": report.price, "qty": report.qty, "quoteQty": "0", "commission": report.fee,
            "commissionAsset": report.fee_asset, "time": report.ts_venue // _MS, "isBuyer": report.side > 0,
            "isMaker": report.maker, "isBestMatch": True}  # fmt: skip


def encode_result(request: str, result: Any, limits: Iterable[Used] = ()) -> bytes:
    """A good reply of the WebSocket API."""
    return msgspec.json.encode({"id": request, "status": 200, "result": result, "rateLimits": limit_rows(limits)})


def encode_error(reply: Reply, status: int = 400, limits: Iterable[Used] = ()) -> bytes:
    """A refusing reply of the WebSocket API."""
    error: dict[str, Any] = {"code": int(reply.code), "msg": reply.detail}
    if reply.retry_ns:
        error["data"] = {"serverTime": 0, "retryAfter": reply.retry_ns // _MS}
    body = {"id": reply.request, "status": status, "error": error, "rateLimits": limit_rows(limits)}
    return msgspec.json.encode(body)


def rest_response(result: Any) -> Response:
    """A good REST answer."""
    return Response(200, _JSON, msgspec.json.encode(result))


def rest_error(reply: Reply, status: int = 400, retry_after_s: int = 0) -> Response:
    """A refusing REST answer."""
    headers = (*_JSON, ("Retry-After", str(retry_after_s))) if retry_after_s else _JSON
    return Response(status, headers, msgspec.json.encode({"code": int(reply.code), "msg": reply.detail}))


# --- what is asked ------------------------------------------------------------------------------------------------


def _entry(params: Mapping[str, str]) -> Entry:
    order_type = params.get("type", "")
    if order_type not in _TYPE_OF:
        raise WireError(f"type: expected one of {', '.join(_TYPE_OF)}, found {order_type[:40]!r}")
    tif = params.get("timeInForce", "GTC")
    if tif not in _TIF_OF:
        raise WireError(f"timeInForce: expected one of {', '.join(_TIF_OF)}, found {tif[:40]!r}")
    return Entry(
        _param(params, "symbol"), params.get("newClientOrderId", ""), fields.side(dict(params)), _param(params,
            "quantity"),
        params.get("price", ""), params.get("stopPrice", ""), _TYPE_OF[order_type], _TIF_OF[tif],
        post_only=order_type == "LIMIT_MAKER",
    )  # fmt: skip


def _param(params: Mapping[str, str], key: str) -> str:
    value = params.get(key)
    if not value or len(value) > 256:
        raise WireError(f"Mandatory parameter '{key}' was not sent, was empty/null, or malformed.")
    return value


def _asked(method: str, params: Mapping[str, str]) -> Entry | Cancel | Amend | CancelAll | Query | str:
    if method == "order.place":
        return _entry(params)
    if method == "order.cancelReplace":
        entry = _entry(params)
        return Amend(params.get("cancelOrigClientOrderId", ""), params.get("cancelOrderId", ""), entry)
    if method == "openOrders.cancelAll":
        return CancelAll(_param(params, "symbol"))
    if method in ("order.cancel", "order.status"):
        form = Cancel if method == "order.cancel" else Query
        if not params.get("origClientOrderId") and not params.get("orderId"):
            raise WireError("Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
        return form(_param(params, "symbol"), params.get("origClientOrderId", ""), params.get("orderId", ""))
    return method


def decode_stream_request(
    data: bytes,
) -> tuple[str, Entry | Cancel | Amend | CancelAll | Query | Login | Subscribe | Ping | str, dict[str, str]]:
    """Request id, what is asked (a method's name if it only reads), and the parameters as text with their signature.

    Raises
    ------
    WireError
    """
    message = fields.mapping(decode(data), "request")
    method, request = fields.text(message, "method"), fields.optional_text(message, "id")
    held = message.get("params")
    if method in ("SUBSCRIBE", "UNSUBSCRIBE"):
        channels = []
        for name in fields.sequence(held, "params"):
            symbol, _, stream = str(name).partition("@")
            channel = stream.partition("@")[0]
            if channel not in _CHANNEL_OF or not symbol:
                raise WireError(f"params: expected streams such as btcusdt@trade, found {str(name)[:40]!r}")
            channels.append((_CHANNEL_OF[channel], symbol.upper()))
        return request, Subscribe(tuple(channels), method == "SUBSCRIBE", request), {}
    params: dict[str, str] = {}
    for key, value in (held if isinstance(held, dict) else {}).items():
        if not isinstance(value, str | bool):
            raise WireError(f"{key[:40]}: expected text or a number, found {fields.shown(value)}")
        params[key] = str(value).lower() if isinstance(value, bool) else str(value)
    if method == "ping":
        return request, Ping(request), params
    if method == "session.logon":
        return (
            request,
            Login(params.get("apiKey", ""), "", params.get("signature", ""), params.get("timestamp", "")),
            params,
        )
    if method in ("userDataStream.subscribe", "userDataStream.subscribe.signature"):
        login = (
            Login(params["apiKey"], "", params.get("signature", ""), params.get("timestamp", ""))
            if params.get("apiKey")
            else None
        )
        return request, Subscribe((("user", ""),), True, request, login), params
    return request, _asked(method, params), params


def decode_request(request: Request) -> tuple[Entry | Cancel | Amend | CancelAll | Query | str, dict[str, str], str]:
    """What a REST request asks (a path if it only reads), its parameters, and the text that was signed.

    Raises
    ------
    WireError
    """
    path, _, query = request.path.partition("?")
    try:
        text = query + request.body.decode("ascii")
        params = dict(parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=64))
    except ValueError as error:
        raise WireError(f"parameters: {error}") from None
    signed = text.rpartition("&signature=")[0] or text
    for method, (verb, place) in METHODS.items():
        if (verb, place) == (request.method, path):
            return _asked(method, params), params, signed
    if request.method == "GET":
        return path, params, signed
    raise WireError(f"Binance has no {request.method} {path[:80]}")
