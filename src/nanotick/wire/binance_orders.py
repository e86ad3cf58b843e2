"""Binance spot orders: what is asked, over the WebSocket API or REST, signed.

    order.place, order.cancel, order.cancelReplace, order.status, openOrders.cancelAll     WebSocket API
    POST, DELETE, GET /api/v3/order, POST /api/v3/order/cancelReplace, DELETE openOrders    REST

A replace is cancelReplace: the new order has a fresh client id (`ClientIds.text` with a revision) and only what is left
to fill; the cancel inside it carries the old id with `.` before it, by which its report is told from a real cancel.
Source: binance-spot-api-docs, rest-api.md and web-socket-api.md (trading requests, request security).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from nanotick.core.records import OrderType, TimeInForce
from nanotick.wire.requests import (
    Amend,
    Cancel,
    CancelAll,
    Entry,
    Login,
    Ping,
    Query,
    Request,
    Subscribe,
    Unsupported,
    check_entry,
    quantity_left,
)
from nanotick.wire.signing import BinanceSigner, query_text, sorted_text

MAX_CLIENT_ID = 36
REPLACING = "."  # before the client id of a cancel that is half of a replace
_GTC, _IOC, _FOK = int(TimeInForce.GTC), int(TimeInForce.IOC), int(TimeInForce.FOK)
TIF_NAMES = {_GTC: "GTC", _IOC: "IOC", _FOK: "FOK"}
TYPE_NAMES = {
    int(OrderType.LIMIT): "LIMIT", int(OrderType.MARKET): "MARKET", int(OrderType.STOP): "STOP_LOSS",
    int(OrderType.STOP_LIMIT): "STOP_LOSS_LIMIT",
}  # fmt: skip
_TIMED = frozenset(("LIMIT", "STOP_LOSS_LIMIT"))
_PAIRS = frozenset(
    [(int(t), tif) for t in (OrderType.LIMIT, OrderType.STOP_LIMIT) for tif in TIF_NAMES]
    + [(int(OrderType.MARKET), _GTC), (int(OrderType.MARKET), _IOC), (int(OrderType.STOP), _GTC)]
)
METHODS = {
    "order.place": ("POST", "/api/v3/order"),
    "order.cancel": ("DELETE", "/api/v3/order"),
    "order.status": ("GET", "/api/v3/order"),
    "order.cancelReplace": ("POST", "/api/v3/order/cancelReplace"),
    "openOrders.cancelAll": ("DELETE", "/api/v3/openOrders"),
    "openOrders.status": ("GET", "/api/v3/openOrders"),
    "account.status": ("GET", "/api/v3/account"),
    "myTrades": ("GET", "/api/v3/myTrades"),
}
_WHOLE = frozenset(("recvWindow", "timestamp", "orderId", "cancelOrderId", "limit", "fromId", "startTime", "endTime"))
CHANNELS = {"trade": "trade", "aggregate": "aggTrade", "quote": "bookTicker", "depth": "depth@100ms"}


def check_client(text: str) -> str:
    """The client id, refused when Binance would not take it.

    Raises
    ------
    Unsupported
    """
    if not 0 < len(text) <= MAX_CLIENT_ID or not all(c.isascii() and (c.isalnum() or c in ".:/_-") for c in text):
        raise Unsupported(f"a client order id of 1 to {MAX_CLIENT_ID} of A-Z a-z 0-9 . : / _ -, found {text[:40]!r}")
    return text


def entry_params(entry: Entry, client_key: str = "newClientOrderId", self_trade: str = "") -> dict[str, str]:
    """Parameters of a new order.

    Raises
    ------
    Unsupported
        Binance spot has no such order.
    """
    check_entry(entry, "Binance spot", _PAIRS, True, False)
    if entry.post_only and entry.tif != _GTC:
        raise Unsupported("Binance spot has post-only orders (LIMIT_MAKER) only good till cancelled")
    name = "LIMIT_MAKER" if entry.post_only else TYPE_NAMES[entry.order_type]
    params = {"symbol": entry.symbol, "side": "BUY" if entry.side > 0 else "SELL", "type": name}
    if name in _TIMED:
        params["timeInForce"] = TIF_NAMES[entry.tif]
    params["quantity"] = entry.qty
    if entry.price:
        params["price"] = entry.price
    if entry.stop:
        params["stopPrice"] = entry.stop
    params[client_key] = check_client(entry.client)
    params["newOrderRespType"] = "ACK"
    if self_trade:
        params["selfTradePreventionMode"] = self_trade
    return params


def method_of(asked: Entry | Cancel | Amend | CancelAll | Query, self_trade: str = "") -> tuple[str, dict[str, str]]:
    """Method of the WebSocket API and parameters, before security.

    Parameters
    ----------
    self_trade : str
        Mode of self-trade prevention of new orders (EXPIRE_TAKER, EXPIRE_MAKER, EXPIRE_BOTH, NONE); empty: the
        symbol's own.

    Raises
    ------
    Unsupported
    """
    if isinstance(asked, Entry):
        return "order.place", entry_params(asked, self_trade=self_trade)
    if isinstance(asked, CancelAll):
        if not asked.symbol:
            return _every("openOrders.cancelAll")
        return "openOrders.cancelAll", {"symbol": asked.symbol}
    if isinstance(asked, Amend):
        entry = replace(asked.entry, qty=quantity_left(asked))
        params = {"symbol": entry.symbol, "cancelReplaceMode": "STOP_ON_FAILURE", "cancelRestrictions": "ONLY_NEW"}
        if asked.order:
            params["cancelOrderId"] = asked.order
        else:
            params["cancelOrigClientOrderId"] = asked.client
        params["cancelNewClientOrderId"] = check_client(REPLACING + asked.client)
        return "order.cancelReplace", {**params, **entry_params(entry, self_trade=self_trade)}
    params = {"symbol": asked.symbol}
    if asked.order:
        params["orderId"] = asked.order
    else:
        params["origClientOrderId"] = check_client(asked.client)
    return ("order.cancel" if isinstance(asked, Cancel) else "order.status"), params


def _every(method: str) -> tuple[str, dict[str, str]]:
    raise Unsupported(f"Binance's {method} wants a symbol; send one for each")


def encode(
    asked: Entry | Cancel | Amend | CancelAll | Query,
    request: str,
    now_ms: int,
    signer: BinanceSigner | None,
    recv_window_ms: int = 5000,
    self_trade: str = "",
) -> bytes:
    """A frame of the WebSocket API.

    Parameters
    ----------
    request : str
        Its id, which the reply carries.
    now_ms : int
        The venue's time, ms UTC.
    signer : BinanceHmac or BinanceEd25519, optional
        None on a connection that has logged on.
    self_trade : str
        As in `method_of`.

    Raises
    ------
    Unsupported
    """
    method, params = method_of(asked, self_trade)
    return encode_method(method, params, request, now_ms, signer, recv_window_ms)


def encode_method(
    method: str,
    params: dict[str, str],
    request: str,
    now_ms: int,
    signer: BinanceSigner | None,
    recv_window_ms: int = 5000,
) -> bytes:
    """As `encode`, for any signed method."""
    params["recvWindow"] = str(recv_window_ms)
    params["timestamp"] = str(now_ms)
    if signer is not None:
        params["apiKey"] = signer.key
        params["signature"] = signer.sign(sorted_text(params).encode())
    sent: dict[str, Any] = {name: int(value) if name in _WHOLE else value for name, value in params.items()}
    return msgspec.json.encode({"id": request, "method": method, "params": sent})


def encode_rest(
    asked: Entry | Cancel | Amend | CancelAll | Query,
    now_ms: int,
    signer: BinanceSigner,
    recv_window_ms: int = 5000,
    self_trade: str = "",
) -> Request:
    """The same over REST.

    Raises
    ------
    Unsupported
    """
    method, params = method_of(asked, self_trade)
    return rest_request(*METHODS[method], params, now_ms, signer, recv_window_ms)


def rest_request(
    verb: str, path: str, params: dict[str, str], now_ms: int, signer: BinanceSigner, recv_window_ms: int = 5000
) -> Request:
    """A signed REST request, its parameters in the query (GET, DELETE) or the body (POST)."""
    text = query_text({**params, "recvWindow": str(recv_window_ms), "timestamp": str(now_ms)})
    signature = query_text({"signature": signer.sign(text.encode())})
    text = f"{text}&{signature}"
    headers = (("X-MBX-APIKEY", signer.key),)
    if verb == "POST":
        form = ("Content-Type", "application/x-www-form-urlencoded")
        return Request(verb, path, (*headers, form), text.encode())
    return Request(verb, f"{path}?{text}", headers)


def encode_session(
    asked: Login | Subscribe | Ping, request: str, now_ms: int = 0, signer: BinanceSigner | None = None
) -> bytes:
    """Log on (Ed25519 keys), subscribe to the user's events or to market streams, or ask for the time.

    Market streams are channels `trade`, `aggregate`, `quote`, `depth` with symbols; the user's events are the channel
    `user`, signed with any key.

    Raises
    ------
    Unsupported
    """
    if isinstance(asked, Ping):
        return msgspec.json.encode({"id": request, "method": "ping"})
    if isinstance(asked, Login) or asked.channels == (("user", ""),):
        if signer is None:
            raise Unsupported("logging on to Binance needs a signer")
        method = "session.logon" if isinstance(asked, Login) else "userDataStream.subscribe.signature"
        params = {"apiKey": signer.key, "timestamp": str(now_ms)}
        signature = signer.sign(sorted_text(params).encode())
        sent = {"apiKey": signer.key, "timestamp": now_ms, "signature": signature}
        return msgspec.json.encode({"id": request, "method": method, "params": sent})
    streams = []
    for channel, symbol in asked.channels:
        if channel not in CHANNELS or not symbol:
            raise Unsupported(
                f"Binance has no channel {channel!r} of {symbol!r}; it has {', '.join(CHANNELS)} of a symbol"
            )
        streams.append(f"{symbol.lower()}@{CHANNELS[channel]}")
    verb = "SUBSCRIBE" if asked.on else "UNSUBSCRIBE"
    number: Any = int(request) if request.isdigit() else request
    return msgspec.json.encode({"method": verb, "params": streams, "id": number})
