"""Alpaca trading: requests for orders, and what comes back over `trade_updates` and REST.

A replaced order is a new one with its own ids: `replaced` is told for the old order and `new`, with `replaces`, for the
one that took its place; the second becomes our REPLACED, so a replace needs a fresh client id (`ClientIds.text` with a
revision). Cancel and replace go by the venue's order id. Source: docs.alpaca.markets, Trading API (orders, positions,
account, activities) and WebSocket streaming of trade updates.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from nanotick.core.records import CancelReason, Kind, OrderType, RejectReason, ReportFlag, TimeInForce
from nanotick.wire import fields
from nanotick.wire.json_text import WireError, decode, rfc3339_ns, scaled
from nanotick.wire.messages import Notice, Other
from nanotick.wire.reports import (
    Account,
    OrderStatus,
    Outcome,
    Position,
    Private,
    Reply,
    Report,
    cancel_reason,
    http_outcome,
)
from nanotick.wire.requests import (
    AT_CLOSE,
    AT_OPEN,
    Amend,
    Cancel,
    CancelAll,
    Entry,
    Login,
    Query,
    Request,
    Subscribe,
    Unsupported,
    check_entry,
    number_text,
)

MAX_CLIENT_ID = 48
TYPES = {
    OrderType.LIMIT: "limit",
    OrderType.MARKET: "market",
    OrderType.STOP: "stop",
    OrderType.STOP_LIMIT: "stop_limit",
}
TIFS = {
    int(TimeInForce.GTC): "gtc", int(TimeInForce.DAY): "day", int(TimeInForce.IOC): "ioc", int(TimeInForce.FOK): "fok",
    AT_OPEN: "opg", AT_CLOSE: "cls",
}  # fmt: skip
_TYPE_OF = {name: int(code) for code, name in TYPES.items()}
_TIF_OF = {name: code for code, name in TIFS.items()}
_PAIRS = frozenset(
    [(int(t), tif) for t in (OrderType.LIMIT, OrderType.MARKET) for tif in TIFS]
    + [(int(t), int(tif)) for t in (OrderType.STOP, OrderType.STOP_LIMIT) for tif in (TimeInForce.GTC, TimeInForce.DAY)]
)
OPEN_STATES = frozenset(
    "new partially_filled done_for_day pending_cancel pending_replace accepted pending_new accepted_for_bidding "
    "stopped suspended calculated held".split()
)
_QUIET = frozenset(
    "pending_new pending_cancel pending_replace stopped calculated suspended done_for_day replaced restated "
    "held".split()
)
_PLACES = 9


def encode(asked: Entry | Cancel | Amend | CancelAll | Query, headers: tuple[tuple[str, str], ...] = ()) -> Request:
    """The request for what is asked; `headers` are those of `signing.alpaca_headers`.

    Raises
    ------
    Unsupported
        Alpaca has no such order.
    """
    if isinstance(asked, Entry):
        return Request("POST", "/v2/orders", headers, msgspec.json.encode(_order(asked)))
    if isinstance(asked, CancelAll):
        if asked.symbol:
            raise Unsupported("Alpaca cancels all orders of the account or one by its id, not those of a symbol")
        return Request("DELETE", "/v2/orders", headers)
    if isinstance(asked, Query):
        if asked.order:
            return Request("GET", f"/v2/orders/{quote(asked.order, safe='')}", headers)
        client = quote(asked.client, safe="")
        return Request("GET", f"/v2/orders:by_client_order_id?client_order_id={client}", headers)
    if not asked.order:
        raise Unsupported("Alpaca cancels and replaces by its own order id, which is not known yet")
    path = f"/v2/orders/{quote(asked.order, safe='')}"
    if isinstance(asked, Cancel):
        return Request("DELETE", path, headers)
    entry = asked.entry
    body = {"qty": entry.qty, "client_order_id": _client(entry.client)}
    if entry.price:
        body["limit_price"] = entry.price
    if entry.stop:
        body["stop_price"] = entry.stop
    return Request("PATCH", path, headers, msgspec.json.encode(body))


def _client(text: str) -> str:
    if not 0 < len(text) <= MAX_CLIENT_ID:
        raise Unsupported(f"a client order id of 1 to {MAX_CLIENT_ID} characters, found {len(text)}")
    return text


def _order(entry: Entry) -> dict[str, str]:
    check_entry(entry, "Alpaca", _PAIRS, False, False)
    body = {
        "symbol": entry.symbol,
        "qty": entry.qty,
        "side": "buy" if entry.side > 0 else "sell",
        "type": TYPES[OrderType(entry.order_type)],
        "time_in_force": TIFS[entry.tif],
        "client_order_id": _client(entry.client),
    }
    if entry.price:
        body["limit_price"] = entry.price
    if entry.stop:
        body["stop_price"] = entry.stop
    return body


def encode_stream(asked: Login | Subscribe) -> bytes:
    """Frame of the trading stream: authenticate, or listen to trade updates."""
    if isinstance(asked, Login):
        return msgspec.json.encode({"action": "auth", "key": asked.key, "secret": asked.secret})
    return msgspec.json.encode({"action": "listen", "data": {"streams": ["trade_updates"] if asked.on else []}})


def _left(order: dict[str, Any]) -> str:
    total = scaled(fields.optional_number(order, "qty"), _PLACES, "qty")
    return number_text(
        max(0, total - scaled(fields.optional_number(order, "filled_qty"), _PLACES, "filled_qty")), _PLACES
    )


def _update(data: dict[str, Any]) -> list[Private]:
    event = fields.text(data, "event")
    order = fields.mapping(data.get("order"), "order")
    stamp = data.get("timestamp") or data.get("at") or order.get("updated_at")
    report = Report(
        0,
        fields.text(order, "symbol"),
        rfc3339_ns(stamp, "timestamp") if stamp else 0,
        fields.optional_text(order, "client_order_id"),
        fields.text(order, "id"),
        fields.side(order),
        told=event,
    )
    if event in ("fill", "partial_fill", "trade_bust"):
        report.kind = int(Kind.FILL if event != "trade_bust" else Kind.FILL_BUST)
        report.price, report.qty = fields.number(data, "price"), fields.number(data, "qty")
        report.execution = fields.text(data, "execution_id")
    elif event in ("new", "accepted"):
        report.kind = int(Kind.REPLACED if order.get("replaces") else Kind.ACCEPTED)
        report.price = fields.optional_number(order, "limit_price")
        report.qty = fields.optional_number(order, "qty")
    elif event in ("canceled", "expired"):
        report.kind = int(Kind.CANCELLED if event == "canceled" else Kind.EXPIRED)
        report.qty = _left(order)
        if event == "canceled":
            tif = order.get("time_in_force")
            report.reason = cancel_reason(tif == "ioc", tif == "fok", CancelReason.USER)
    elif event == "rejected":
        report.kind, report.reason = int(Kind.REJECTED), int(RejectReason.OTHER)
        report.detail = fields.optional_text(data, "reason")
    elif event in ("order_cancel_rejected", "order_replace_rejected"):
        report.kind, report.reason = int(Kind.CANCEL_REJECTED), int(RejectReason.TOO_LATE)
        report.flags = int(ReportFlag.OF_REPLACE) if "replace" in event else 0
    else:
        return [Other(event if event in _QUIET else "unknown")]
    return [report]


def decode_stream(data: bytes) -> list[Private | Notice]:
    """What a frame of the trading stream says (text or, on paper, binary frames of the same JSON).

    Raises
    ------
    WireError
    """
    message = fields.mapping(decode(data), "message")
    stream = message.get("stream")
    body = fields.mapping(message.get("data"), "data") if "stream" in message else message
    if stream == "trade_updates" or (stream is None and "event" in message and "order" in message):
        return list(_update(body))
    if stream == "authorization":
        return [Notice(fields.text(body, "status"), fields.optional_text(body, "action"))]
    if stream == "listening":
        if "error" in body:
            return [Notice("error", str(body["error"])[:256])]
        return [Notice("listening", ",".join(str(s) for s in fields.sequence(body.get("streams"), "streams")))]
    if isinstance(stream, str):
        return [Other("unknown")]
    raise WireError(f"no message of Alpaca's trading stream has {fields.keys_of(message)}")


def order_status(item: dict[str, Any]) -> OrderStatus:
    """An order as REST shows it.

    Raises
    ------
    WireError
    """
    state = fields.text(item, "status")
    stamp = item.get("updated_at") or item.get("submitted_at") or item.get("created_at")
    return OrderStatus(
        fields.text(item, "symbol"),
        fields.optional_text(item, "client_order_id"),
        fields.text(item, "id"),
        fields.side(item),
        _TYPE_OF.get(str(item.get("type")), -1),
        _TIF_OF.get(str(item.get("time_in_force")), -1),
        fields.optional_number(item, "limit_price", ""),
        fields.optional_number(item, "stop_price", ""),
        fields.optional_number(item, "qty"),
        fields.optional_number(item, "filled_qty"),
        state,
        state in OPEN_STATES,
        rfc3339_ns(stamp, "updated_at") if stamp else 0,
        fields.optional_number(item, "filled_avg_price"),
    )


def _activity(item: dict[str, Any]) -> Private:
    kind = fields.text(item, "activity_type")
    if kind != "FILL":
        return Other(f"activity {kind[:16]}")
    return Report(
        int(Kind.FILL), fields.text(item, "symbol"), rfc3339_ns(item.get("transaction_time")), "",
        fields.text(item, "order_id"), fields.side({"side": str(item.get("side")).removesuffix("_short")}),
        fields.number(item, "price"), fields.number(item, "qty"),
        fields.text(item, "id").rpartition("::")[2], told="activity",
    )  # fmt: skip


def _one(item: Any) -> Private:
    item = fields.mapping(item, "item")
    if "activity_type" in item:
        return _activity(item)
    if "avg_entry_price" in item:
        return Position(fields.text(item, "symbol"), signed_qty(item), fields.number(item, "avg_entry_price"))
    if "account_number" in item:
        blocked = any(
            item.get(key) is True for key in ("trading_blocked", "account_blocked", "trade_suspended_by_user")
        )
        cash, power, equity = (fields.optional_number(item, key) for key in ("cash", "buying_power", "equity"))
        currency = fields.optional_text(item, "currency") or "USD"
        return Account(
            fields.text(item, "account_number"),
            currency,
            cash,
            power,
            equity,
            blocked,
            item.get("shorting_enabled") is True,
        )
    if "order_class" in item or "filled_qty" in item:
        return order_status(item)
    if "status" in item and "id" in item:  # a line of DELETE /v2/orders
        outcome = http_outcome(fields.whole(item, "status"))
        return Reply(fields.text(item, "id"), outcome, code=str(item["status"]), method="cancel")
    return Other("rest")


def signed_qty(item: dict[str, Any]) -> str:
    """Quantity of a position, negative for a short one."""
    qty = fields.number(item, "qty")
    return f"-{qty}" if item.get("side") == "short" and not qty.startswith("-") else qty


def refusal(status: int, text: str) -> tuple[Outcome, RejectReason]:
    """What an error answer means for the request."""
    outcome = http_outcome(status)
    words = text.lower()
    if status == 403:
        outcome = Outcome.REFUSED  # buying power, day trading or shorting: of this order, not of the key
    if status == 404:
        return outcome, RejectReason.UNKNOWN_ORDER
    if outcome != Outcome.REFUSED:
        return outcome, RejectReason.OTHER
    for needle, reason in _WORDS:
        if needle in words:
            return outcome, reason
    return outcome, RejectReason.OTHER


_WORDS = (
    ("client_order_id must be unique", RejectReason.DUPLICATE_ID),
    ("not cancelable", RejectReason.TOO_LATE),
    ("no longer cancelable", RejectReason.TOO_LATE),
    ("cannot replace", RejectReason.TOO_LATE),
    ("not found", RejectReason.UNKNOWN_ORDER),
    ("sub-penny", RejectReason.INVALID_PRICE),
    ("price", RejectReason.INVALID_PRICE),
    ("qty", RejectReason.INVALID_QUANTITY),
    ("market is not open", RejectReason.MARKET_CLOSED),
)


def decode_reply(status: int, body: bytes, request: str = "") -> list[Private]:
    """What a REST answer says: the reply itself, then what it holds.

    Raises
    ------
    WireError
        The body of a good answer is not what Alpaca sends.
    """
    if status in (204, 0) or not body:
        return [Reply(request, http_outcome(status), code=str(status))]
    if not 200 <= status < 300:
        try:
            item = decode(body)
        except WireError:
            item = None  # a proxy's page
        item = item if isinstance(item, dict) else {}
        text = fields.optional_text(item, "message")
        outcome, reason = refusal(status, text)
        return [Reply(request, outcome, reason, fields.optional_text(item, "code") or str(status), text)]
    held = decode(body)
    found: list[Private] = [Reply(request, Outcome.DONE, code=str(status))]
    return found + [_one(item) for item in (held if isinstance(held, list) else [held])]
