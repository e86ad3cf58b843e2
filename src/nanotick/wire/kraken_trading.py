"""Kraken spot trading: requests of WebSocket v2 and REST, the `executions` channel, and replies.

An amend keeps the order's ids, so a replace needs no fresh client id. An execution update may name an order by its id
alone; `Executions` remembers symbol, side, client id and totals of each open order for that. Fills are told apart by
`exec_id`; `sequence` rises by one a message and is given as a `Sequence`. A `deadline` on a new order is the cleanest
protection against orders of unknown outcome: too late is a definite no. Source: docs.kraken.com, WebSocket v2 (user
trading, executions) and REST authentication.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import msgspec

from nanotick.core.records import CancelReason, Kind, OrderType, RejectReason, TimeInForce
from nanotick.wire import fields
from nanotick.wire.json_text import WireError, decode, epoch_ns, rfc3339_ns, rfc3339_text, scaled
from nanotick.wire.messages import Other, Sequence
from nanotick.wire.reports import (
    ALL_OF_IT,
    Balance,
    OrderStatus,
    Outcome,
    Private,
    Reply,
    Report,
    cancel_reason,
    http_outcome,
    plain,
)
from nanotick.wire.requests import (
    Amend,
    Cancel,
    CancelAll,
    Entry,
    Ping,
    Query,
    Request,
    Subscribe,
    Unsupported,
    check_entry,
    number_text,
)
from nanotick.wire.signing import KrakenSigner

MAX_FREE_ID = 18
TYPE_NAMES = {
    int(OrderType.LIMIT): "limit", int(OrderType.MARKET): "market", int(OrderType.STOP): "stop-loss",
    int(OrderType.STOP_LIMIT): "stop-loss-limit",
}  # fmt: skip
TIF_NAMES = {int(TimeInForce.GTC): "gtc", int(TimeInForce.IOC): "ioc", int(TimeInForce.GTD): "gtd"}
_TYPE_OF = {name: code for code, name in TYPE_NAMES.items()}
_TIF_OF = {name: code for code, name in TIF_NAMES.items()}
_RESTING = (OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT)
_PAIRS = frozenset(
    [(int(t), tif) for t in _RESTING for tif in TIF_NAMES if tif != TimeInForce.IOC or t == OrderType.LIMIT]
    + [(int(OrderType.MARKET), int(TimeInForce.GTC)), (int(OrderType.MARKET), int(TimeInForce.IOC))]
)
OPEN_STATES = frozenset(("pending_new", "new", "partially_filled", "pending", "open"))
_QUIET = frozenset("pending_new filled iceberg_refill status restated".split())
_PLACES = 10
_WORDS = (
    ("rate limit", Outcome.LIMITED, RejectReason.OTHER),
    ("too many requests", Outcome.LIMITED, RejectReason.OTHER),
    ("deadline elapsed", Outcome.REFUSED, RejectReason.TOO_LATE),
    ("unknown order", Outcome.REFUSED, RejectReason.UNKNOWN_ORDER),
    ("order not found", Outcome.REFUSED, RejectReason.UNKNOWN_ORDER),
    ("post only", Outcome.REFUSED, RejectReason.POST_ONLY_WOULD_CROSS),
    ("duplicate", Outcome.REFUSED, RejectReason.DUPLICATE_ID),
    ("already exists", Outcome.REFUSED, RejectReason.DUPLICATE_ID),
    ("invalid price", Outcome.REFUSED, RejectReason.INVALID_PRICE),
    ("tick size", Outcome.REFUSED, RejectReason.INVALID_PRICE),
    ("minimum not met", Outcome.REFUSED, RejectReason.INVALID_QUANTITY),
    ("reduce only", Outcome.REFUSED, RejectReason.REDUCE_ONLY),
    ("cancel_only", Outcome.REFUSED, RejectReason.MARKET_CLOSED),
    ("post_only mode", Outcome.REFUSED, RejectReason.MARKET_CLOSED),
    ("maintenance", Outcome.REFUSED, RejectReason.MARKET_CLOSED),
    ("invalid key", Outcome.DENIED, RejectReason.OTHER),
    ("invalid signature", Outcome.DENIED, RejectReason.OTHER),
    ("invalid nonce", Outcome.DENIED, RejectReason.OTHER),
    ("permission denied", Outcome.DENIED, RejectReason.OTHER),
    ("invalid session", Outcome.DENIED, RejectReason.OTHER),
    ("internal error", Outcome.UNKNOWN, RejectReason.OTHER),
    ("timeout", Outcome.UNKNOWN, RejectReason.OTHER),
    ("unavailable", Outcome.UNKNOWN, RejectReason.OTHER),
    ("busy", Outcome.UNKNOWN, RejectReason.OTHER),
)


def refusal(text: str) -> tuple[Outcome, RejectReason]:
    """What an error text means for the request."""
    words = text.lower()
    for needle, outcome, reason in _WORDS:
        if needle in words:
            return outcome, reason
    return Outcome.REFUSED, RejectReason.OTHER


def _raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def check_client(text: str) -> str:
    """The client id, refused when Kraken would not take it: up to 18 characters, or a UUID.

    Raises
    ------
    Unsupported
    """
    if not text or (len(text) > MAX_FREE_ID and len(text) not in (32, 36)) or not text.isascii():
        raise Unsupported(f"a client order id of 1 to {MAX_FREE_ID} characters or a UUID, found {text[:40]!r}")
    return text


def _order(entry: Entry) -> dict[str, Any]:
    check_entry(entry, "Kraken spot", _PAIRS, True, True)
    params: dict[str, Any] = {
        "order_type": TYPE_NAMES[entry.order_type],
        "side": "buy" if entry.side > 0 else "sell",
        "order_qty": _raw(entry.qty),
    }
    if entry.price:
        params["limit_price"] = _raw(entry.price)
    if entry.stop:
        params["triggers"] = {"reference": "last", "price": _raw(entry.stop), "price_type": "static"}
    if entry.order_type != OrderType.MARKET:
        params["time_in_force"] = TIF_NAMES[entry.tif]
    if entry.tif == TimeInForce.GTD:
        params["expire_time"] = rfc3339_text(entry.expire_ns)
    if entry.post_only:
        params["post_only"] = True
    if entry.reduce_only:
        params["reduce_only"] = True
    params["cl_ord_id"] = check_client(entry.client)
    return params


def encode(
    asked: Entry | Cancel | Amend | CancelAll, request: int, token: str, deadline_ns: int = 0, validate: bool = False
) -> bytes:
    """A frame of the private WebSocket.

    Parameters
    ----------
    request : int
        `req_id`, which the reply carries.
    token : str
        Of GetWebSocketsToken.
    deadline_ns : int
        For new orders and amends: when the engine must have it, ns UTC; 0 for the venue's own 5 s.
    validate : bool
        For new orders: check only.

    Raises
    ------
    Unsupported
    """
    if isinstance(asked, Entry):
        method, params = "add_order", {**_order(asked), "symbol": asked.symbol}
        if validate:
            params["validate"] = True
    elif isinstance(asked, Amend):
        entry = asked.entry
        method, params = "amend_order", {**_named(asked.client, asked.order, False), "order_qty": _raw(entry.qty)}
        if entry.price:
            params["limit_price"] = _raw(entry.price)
        if entry.stop:
            params["trigger_price"] = _raw(entry.stop)
        if entry.post_only:
            params["post_only"] = True
    elif isinstance(asked, Cancel):
        method, params = "cancel_order", _named(asked.client, asked.order, True)
    else:
        if asked.symbol:
            raise Unsupported("Kraken cancels all orders of the account, not those of a symbol")
        method, params = "cancel_all", {}
    if deadline_ns and method in ("add_order", "amend_order"):
        params["deadline"] = rfc3339_text(deadline_ns)
    params["token"] = token
    return msgspec.json.encode({"method": method, "params": params, "req_id": request})


def _named(client: str, order: str, listed: bool) -> dict[str, Any]:
    key, value = ("order_id", order) if order else ("cl_ord_id", check_client(client))
    return {key: [value] if listed else value}


def encode_batch(entries: list[Entry], request: int, token: str, deadline_ns: int = 0) -> bytes:
    """2 to 15 new orders of one symbol in one frame.

    Raises
    ------
    Unsupported
    """
    if not 2 <= len(entries) <= 15 or len({entry.symbol for entry in entries}) != 1:
        raise Unsupported(f"a batch at Kraken is 2 to 15 orders of one symbol, found {len(entries)}")
    params: dict[str, Any] = {"symbol": entries[0].symbol, "orders": [_order(entry) for entry in entries]}
    if deadline_ns:
        params["deadline"] = rfc3339_text(deadline_ns)
    return msgspec.json.encode({"method": "batch_add", "params": {**params, "token": token}, "req_id": request})


def encode_dead_man(timeout_s: int, request: int, token: str) -> bytes:
    """cancel_all_orders_after: all orders go when this is not renewed in time; 0 switches it off."""
    params = {"timeout": timeout_s, "token": token}
    return msgspec.json.encode({"method": "cancel_all_orders_after", "params": params, "req_id": request})


_CHANNELS = {"depth": "book", "trade": "trade", "user": "executions", "instrument": "instrument", "balance": "balances"}


def encode_session(asked: Subscribe | Ping, request: int) -> list[bytes]:
    """Frames that subscribe (one a channel) or ping. The token of the `user` channel is `login.proof`.

    Raises
    ------
    Unsupported
    """
    if isinstance(asked, Ping):
        return [msgspec.json.encode({"method": "ping", "req_id": request})]
    frames: list[bytes] = []
    for channel in dict.fromkeys(name for name, _ in asked.channels):
        if channel not in _CHANNELS:
            raise Unsupported(f"Kraken has no channel {channel!r}; it has {', '.join(_CHANNELS)}")
        params: dict[str, Any] = {"channel": _CHANNELS[channel]}
        symbols = [symbol for name, symbol in asked.channels if name == channel and symbol]
        if symbols:
            params["symbol"] = symbols
        if channel == "depth":
            params["depth"] = asked.depth or 10
        if channel == "user":
            params |= {"snap_orders": True, "snap_trades": True}
        if asked.login is not None:
            params["token"] = asked.login.proof
        method = "subscribe" if asked.on else "unsubscribe"
        frames.append(msgspec.json.encode({"method": method, "params": params, "req_id": request + len(frames)}))
    return frames


@dataclass(slots=True)
class _Known:
    symbol: str
    side: int
    client: str
    qty: str
    filled: str
    tif: str


class Executions:
    """Decoder of the executions channel and of replies on the private WebSocket."""

    def __init__(self) -> None:
        self._orders: dict[str, _Known] = {}

    def decode_frame(self, data: bytes) -> list[Private | Sequence]:
        """What a frame says.

        Raises
        ------
        WireError
        """
        message = fields.mapping(decode(data), "message")
        channel = message.get("channel")
        if channel == "executions":
            found: list[Private | Sequence] = (
                [Sequence(fields.whole(message, "sequence"))] if "sequence" in message else []
            )
            snapshot = message.get("type") == "snapshot"
            for item in fields.sequence(message.get("data"), "data"):
                found.append(self._execution(fields.mapping(item, "data"), snapshot))
            return found
        if channel == "balances":
            rows = (fields.mapping(row, "data") for row in fields.sequence(message.get("data"), "data"))
            return [Balance(fields.text(row, "asset"), fields.number(row, "balance"), "0") for row in rows]
        if "method" in message:
            return list(decode_stream_reply(message))
        if isinstance(channel, str):
            return [Other(channel if channel in ("status", "heartbeat") else "unknown")]
        raise WireError(f"no message of Kraken's private channels has {fields.keys_of(message)}")

    def _known(self, item: dict[str, Any]) -> _Known:
        order = fields.text(item, "order_id")
        known = self._orders.get(order)
        if known is None:
            known = _Known(fields.text(item, "symbol"), 0, "", "", "0", "")
            self._orders[order] = known
        if "side" in item:
            known.side = fields.side(item)
        known.client = fields.optional_text(item, "cl_ord_id") or known.client
        known.qty = fields.optional_number(item, "order_qty", known.qty)
        known.filled = fields.optional_number(item, "cum_qty", known.filled)
        known.tif = fields.optional_text(item, "time_in_force").lower() or known.tif
        return known

    def _execution(self, item: dict[str, Any], snapshot: bool) -> Private:
        kind = fields.text(item, "exec_type")
        order = fields.text(item, "order_id")
        if "symbol" not in item and order not in self._orders:
            return Other("update of an order never announced")
        known = self._known(item)
        stamp = rfc3339_ns(item.get("timestamp"), "timestamp")
        report = Report(0, known.symbol, stamp, known.client, order, known.side, told=kind)
        if kind == "trade":
            report.kind = int(Kind.FILL)
            report.price, report.qty = fields.number(item, "last_price"), fields.number(item, "last_qty")
            report.execution = fields.text(item, "exec_id")
            report.maker = item.get("liquidity_ind") == "m"
            report.fee, report.fee_asset = _fees(item)
            return report
        if snapshot:
            return _snapshot_status(item, known, order, stamp)
        if kind in ("new", "amended"):
            report.kind = int(Kind.ACCEPTED if kind == "new" else Kind.REPLACED)
            report.price = fields.optional_number(item, "limit_price")
            report.qty = known.qty or "0"
            return report
        if kind in ("canceled", "expired"):
            report.kind = int(Kind.CANCELLED)
            report.reason = cancel_reason(known.tif == "ioc", False, CancelReason.USER)
            if kind == "expired":
                report.reason = int(CancelReason.IOC_REST)
                if known.tif != "ioc":
                    report.kind, report.reason = int(Kind.EXPIRED), 0
            report.qty = _left(known.qty, known.filled) if known.qty else ALL_OF_IT
            report.detail = fields.optional_text(item, "reason")
            self._orders.pop(order, None)
            return report
        if kind == "filled":
            self._orders.pop(order, None)
        return Other(kind if kind in _QUIET else "unknown")


def _left(total: str, done: str) -> str:
    return number_text(max(0, scaled(total, _PLACES, "order_qty") - scaled(done, _PLACES, "cum_qty")), _PLACES)


def _fees(item: dict[str, Any]) -> tuple[str, str]:
    rows = [fields.mapping(row, "fees") for row in fields.sequence(item.get("fees") or [], "fees")]
    if not rows:
        return "0", ""
    asset = fields.text(rows[0], "asset")
    total = sum((Decimal(number_text(scaled(fields.number(row, "qty"), 12, "fee", signed=True), 12)) for row in rows
                 if row.get("asset") == asset), Decimal(0))  # fmt: skip
    return plain(total), asset


def _snapshot_status(item: dict[str, Any], known: _Known, order: str, stamp: int) -> OrderStatus:
    state = fields.optional_text(item, "order_status") or fields.text(item, "exec_type")
    kind, tif = _TYPE_OF.get(str(item.get("order_type")), -1), _TIF_OF.get(known.tif, 0)
    triggers = item.get("triggers")
    stop = fields.optional_number(triggers, "price", "") if isinstance(triggers, dict) else ""
    price = fields.optional_number(item, "limit_price", "")
    return OrderStatus(
        known.symbol, known.client, order, known.side, kind, tif, price, stop, known.qty or "0", known.filled, state,
        state in OPEN_STATES, stamp, fields.optional_number(item, "avg_price"),
    )  # fmt: skip


def decode_stream_reply(message: dict[str, Any]) -> list[Private]:
    """What the reply to a request on the private WebSocket says.

    Raises
    ------
    WireError
    """
    method = fields.text(message, "method")
    request = fields.optional_text(message, "req_id")
    reply = Reply(request, method=method)
    if message.get("success") is False:
        text = fields.optional_text(message, "error")
        reply.outcome, reply.reason = refusal(text)
        reply.code, reply.detail = text.partition(":")[0], text
        return [reply]
    result = message.get("result")
    found: list[Private] = [reply]
    if isinstance(result, dict):
        reply.detail = fields.optional_text(result, "order_id")
        for item in result.get("orders") or [] if method == "batch_add" else []:
            item = fields.mapping(item, "orders")
            text = fields.optional_text(item, "error")
            outcome, reason = refusal(text) if text else (Outcome.DONE, RejectReason.NONE)
            client = fields.optional_text(item, "cl_ord_id")
            found.append(Reply(client, outcome, reason, text.partition(":")[0], text, method="add_order"))
    return found


# --- REST ---------------------------------------------------------------------------------------------------------


def rest_request(name: str, params: dict[str, str], nonce: int, signer: KrakenSigner) -> Request:
    """A signed request of /0/private/NAME; the nonce must rise with every one."""
    path = f"/0/private/{name}"
    body = urlencode({"nonce": str(nonce), **params}).encode()
    headers = (
        ("API-Key", signer.key),
        ("API-Sign", signer.sign(path, nonce, body)),
        ("Content-Type", "application/x-www-form-urlencoded"),
    )
    return Request("POST", path, headers, body)


def encode_query(asked: Query, nonce: int, signer: KrakenSigner) -> Request:
    """Ask how an order stands."""
    key, value = ("txid", asked.order) if asked.order else ("cl_ord_id", asked.client)
    return rest_request("QueryOrders", {key: value, "trades": "true"}, nonce, signer)


def _rest_order(order: str, item: dict[str, Any]) -> OrderStatus:
    descr = fields.mapping(item.get("descr"), "descr")
    kind, state = str(descr.get("ordertype")), fields.text(item, "status")
    stamp = item.get("opentm")
    return OrderStatus(
        fields.text(descr, "pair"), fields.optional_text(item, "cl_ord_id"), order, fields.side(descr, "type"),
        _TYPE_OF.get(kind, -1), _TIF_OF.get(str(item.get("timeinforce")).lower(), 0),
        fields.optional_number(descr, "price2" if kind == "stop-loss-limit" else "price", ""),
        fields.optional_number(item, "stopprice", ""), fields.number(item, "vol"), fields.number(item, "vol_exec"),
        state,
        state in OPEN_STATES, scaled(stamp, 9, "opentm") if isinstance(stamp, str) else 0,
        fields.optional_number(item, "price"),
    )  # fmt: skip


def decode_reply(status: int, body: bytes, request: str = "") -> list[Private]:
    """What a REST answer says: the reply itself, then orders, fills or balances. A token is the reply's detail.

    Raises
    ------
    WireError
        The body of a good answer is not what Kraken sends.
    """
    if http_outcome(status) != Outcome.DONE:
        return [Reply(request, http_outcome(status), code=str(status))]
    message = fields.mapping(decode(body), "body")
    errors = [str(text) for text in fields.sequence(message.get("error", []), "error")]
    if errors:
        outcome, reason = refusal(errors[0])
        return [Reply(request, outcome, reason, errors[0].partition(":")[0], "; ".join(errors)[:256])]
    reply = Reply(request)
    result = message.get("result")
    if not isinstance(result, dict):
        return [reply]
    found: list[Private] = [reply]
    if "token" in result:
        reply.detail = fields.text(result, "token")
    elif isinstance(result.get("txid"), list):
        reply.detail = ",".join(map(str, result["txid"]))
    elif isinstance(result.get("trades"), dict):
        for execution, item in result["trades"].items():
            item = fields.mapping(item, "trades")
            stamp = scaled(fields.number(item, "time"), 9, "time")
            found.append(
                Report(
                    int(Kind.FILL), fields.text(item, "pair"), epoch_ns(stamp), "", fields.text(item, "ordertxid"),
                    fields.side(item, "type"), fields.number(item, "price"), fields.number(item, "vol"), execution,
                    fields.number(item, "fee"), "", item.get("maker") is True, told="history",
                )
            )  # fmt: skip
    else:
        open_orders = result.get("open", result.get("closed"))
        orders = open_orders if isinstance(open_orders, dict) else result
        for name, item in orders.items():
            if isinstance(item, dict) and "descr" in item:
                found.append(_rest_order(name, item))
            elif isinstance(item, str) and orders is result and len(name) <= 12:
                found.append(Balance(name, fields.number(result, name), "0"))
    return found
