"""Coinbase Advanced Trade orders: REST requests, the `user` channel and replies; sign-in of both WebSocket feeds.

The user channel tells how an order stands, not its fills: `UserOrders` makes fills of the change of quantity, average
price and fees. Cancels and edits go by the venue's order id; an edit keeps it. Placing is answered 200 whether taken or
not. Source: docs.cdp.coinbase.com, Advanced Trade REST (orders) and WebSocket (user); Exchange WebSocket (auth).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from nanotick.core.records import CancelReason, Kind, OrderType, RejectReason, TimeInForce
from nanotick.wire import fields
from nanotick.wire.json_text import WireError, decode, rfc3339_ns, rfc3339_text, scaled
from nanotick.wire.messages import Other, Sequence
from nanotick.wire.reports import (
    Balance,
    CumulativeFills,
    OrderStatus,
    Outcome,
    Private,
    Reply,
    Report,
    cancel_reason,
    http_outcome,
)
from nanotick.wire.requests import (
    Amend,
    Cancel,
    CancelAll,
    Entry,
    Query,
    Request,
    Subscribe,
    Unsupported,
    check_entry,
    number_text,
)
from nanotick.wire.signing import CoinbaseExchangeSigner, CoinbaseSigner

HOST = "api.coinbase.com"
BASE = "/api/v3/brokerage"
_GTC, _GTD, _IOC, _FOK = (int(t) for t in (TimeInForce.GTC, TimeInForce.GTD, TimeInForce.IOC, TimeInForce.FOK))
_LIMIT, _MARKET, _STOP_LIMIT = int(OrderType.LIMIT), int(OrderType.MARKET), int(OrderType.STOP_LIMIT)
CONFIGURATIONS = {
    (_MARKET, _IOC): "market_market_ioc",
    (_LIMIT, _GTC): "limit_limit_gtc",
    (_LIMIT, _GTD): "limit_limit_gtd",
    (_LIMIT, _FOK): "limit_limit_fok",
    (_LIMIT, _IOC): "sor_limit_ioc",
    (_STOP_LIMIT, _GTC): "stop_limit_stop_limit_gtc",
    (_STOP_LIMIT, _GTD): "stop_limit_stop_limit_gtd",
}
_PAIRS = frozenset((*CONFIGURATIONS, (_MARKET, _GTC)))
_TYPES = {"limit": _LIMIT, "market": _MARKET, "stop_limit": _STOP_LIMIT, "stop limit": _STOP_LIMIT}
_TIFS = {
    "GOOD_UNTIL_CANCELLED": _GTC, "GOOD_UNTIL_DATE_TIME": _GTD, "IMMEDIATE_OR_CANCEL": _IOC, "FILL_OR_KILL": _FOK,
}  # fmt: skip
OPEN_STATES = frozenset(("PENDING", "OPEN", "QUEUED", "CANCEL_QUEUED", "EDIT_QUEUED"))
_JSON = ("Content-Type", "application/json")
_WORDS = (
    ("UNKNOWN_CANCEL_ORDER", RejectReason.UNKNOWN_ORDER),
    ("ORDER_NOT_FOUND", RejectReason.UNKNOWN_ORDER),
    ("NOT_FOUND", RejectReason.UNKNOWN_ORDER),
    ("DUPLICATE_CLIENT_ORDER_ID", RejectReason.DUPLICATE_ID),
    ("DUPLICATE_CANCEL", RejectReason.TOO_LATE),
    ("ORDER_IS_FULLY_FILLED", RejectReason.TOO_LATE),
    ("POST_ONLY", RejectReason.POST_ONLY_WOULD_CROSS),
    ("INVALID_LIMIT_PRICE", RejectReason.INVALID_PRICE),
    ("PRICE", RejectReason.INVALID_PRICE),
    ("SIZE", RejectReason.INVALID_QUANTITY),
    ("MARKET_CLOSED", RejectReason.MARKET_CLOSED),
    ("TRADING_DISABLED", RejectReason.MARKET_CLOSED),
)


def refusal(text: str) -> tuple[Outcome, RejectReason]:
    """What an error name means for the request."""
    words = text.upper()
    if "RATE_LIMIT" in words:
        return Outcome.LIMITED, RejectReason.OTHER
    if "UNAUTHORIZED" in words or "PERMISSION" in words:
        return Outcome.DENIED, RejectReason.OTHER
    for needle, reason in _WORDS:
        if needle in words:
            return Outcome.REFUSED, reason
    return Outcome.REFUSED, RejectReason.OTHER


def configuration(entry: Entry) -> dict[str, Any]:
    """The order_configuration of an order.

    Raises
    ------
    Unsupported
        Advanced Trade has no such order.
    """
    check_entry(entry, "Coinbase Advanced Trade", _PAIRS, True, False)
    if entry.post_only and entry.tif not in (_GTC, _GTD):
        raise Unsupported("Coinbase Advanced Trade has post-only orders only good till cancelled or till a date")
    tif = _IOC if entry.order_type == _MARKET else entry.tif
    name = CONFIGURATIONS[entry.order_type, tif]
    body: dict[str, Any] = {"base_size": entry.qty}
    if entry.price:
        body["limit_price"] = entry.price
    if entry.stop:
        body["stop_price"] = entry.stop
        body["stop_direction"] = "STOP_DIRECTION_STOP_UP" if entry.side > 0 else "STOP_DIRECTION_STOP_DOWN"
    if tif == _GTD:
        body["end_time"] = rfc3339_text(entry.expire_ns)
    if entry.order_type == _LIMIT and tif in (_GTC, _GTD):
        body["post_only"] = entry.post_only
    return {name: body}


def encode(asked: Entry | Cancel | Amend | CancelAll | Query) -> Request:
    """The request for what is asked, without its token (`authorized` adds it).

    Raises
    ------
    Unsupported
    """
    if isinstance(asked, Entry):
        if not asked.client:
            raise Unsupported("Coinbase demands a client order id")
        body: dict[str, Any] = {"client_order_id": asked.client, "product_id": asked.symbol,
                                "side": "BUY" if asked.side > 0 else "SELL",
                                "order_configuration": configuration(asked)}  # fmt: skip
        return _post("/orders", body)
    if isinstance(asked, CancelAll):
        raise Unsupported("Coinbase Advanced Trade cancels by order id; list the open orders and cancel those")
    if not asked.order:
        raise Unsupported("Coinbase Advanced Trade finds orders by its own order id, which is not known yet")
    if isinstance(asked, Query):
        return Request("GET", f"{BASE}/orders/historical/{quote(asked.order, safe='')}")
    if isinstance(asked, Cancel):
        return encode_cancels([asked.order])
    entry = asked.entry
    if (entry.order_type, entry.tif) != (_LIMIT, _GTC):
        raise Unsupported("Coinbase Advanced Trade edits only limit orders good till cancelled")
    return _post("/orders/edit", {"order_id": asked.order, "price": entry.price, "size": entry.qty})


def encode_cancels(orders: list[str]) -> Request:
    """One request that cancels several orders."""
    return _post("/orders/batch_cancel", {"order_ids": orders})


def _post(path: str, body: dict[str, Any]) -> Request:
    return Request("POST", BASE + path, (_JSON,), msgspec.json.encode(body))


def authorized(request: Request, signer: CoinbaseSigner, now_s: int, nonce: str) -> Request:
    """The request with a token of its own."""
    uri = f"{request.method} {HOST}{request.path.partition('?')[0]}"
    bearer = ("Authorization", f"Bearer {signer.token(now_s, nonce, uri)}")
    return request._replace(headers=(*request.headers, bearer))


_CHANNELS = {"depth": "level2", "trade": "market_trades", "heartbeat": "heartbeats", "user": "user", "ticker": "ticker",
             "status": "status"}  # fmt: skip


def encode_session(asked: Subscribe) -> list[bytes]:
    """Frames that subscribe, one a channel; the token is `login.proof`.

    Raises
    ------
    Unsupported
    """
    frames: list[bytes] = []
    for channel in dict.fromkeys(name for name, _ in asked.channels):
        if channel not in _CHANNELS:
            raise Unsupported(f"Coinbase has no channel {channel!r}; it has {', '.join(_CHANNELS)}")
        products = [symbol for name, symbol in asked.channels if name == channel and symbol]
        body: dict[str, Any] = {"type": "subscribe" if asked.on else "unsubscribe"}
        if products:
            body["product_ids"] = products
        body["channel"] = _CHANNELS[channel]
        if asked.login is not None:
            body["jwt"] = asked.login.proof
        frames.append(msgspec.json.encode(body))
    return frames


EXCHANGE_CHANNELS = {"depth": "level2", "depth_batch": "level2_batch", "trade": "matches", "orders": "full",
                      "heartbeat": "heartbeat", "user": "user"}  # fmt: skip


def encode_exchange_session(asked: Subscribe, signer: CoinbaseExchangeSigner | None = None, seconds: str = "") -> bytes:
    """A subscription of the Exchange feed, signed when a signer is given.

    Raises
    ------
    Unsupported
    """
    unknown = [name for name, _ in asked.channels if name not in EXCHANGE_CHANNELS]
    if unknown:
        raise Unsupported(f"Coinbase Exchange has no channel {unknown[0]!r}; it has {', '.join(EXCHANGE_CHANNELS)}")
    products = list(dict.fromkeys(symbol for _, symbol in asked.channels if symbol))
    channels = list(dict.fromkeys(EXCHANGE_CHANNELS[name] for name, _ in asked.channels))
    body: dict[str, Any] = {"type": "subscribe" if asked.on else "unsubscribe", "product_ids": products,
                            "channels": channels}  # fmt: skip
    if signer is not None:
        key, sign, stamp, phrase = (value for _, value in signer.headers(seconds, "GET", "/users/self/verify"))
        body |= {"signature": sign, "key": key, "passphrase": phrase, "timestamp": stamp}
    return msgspec.json.encode(body)


# --- what comes back ----------------------------------------------------------------------------------------------


class UserOrders:
    """Decoder of the user channel: cumulative states into acceptances, fills and ends.

    Parameters
    ----------
    price_decimals : int
        To which derived fill prices are rounded.
    """

    def __init__(self, price_decimals: int = 8) -> None:
        self._fills = CumulativeFills()
        self._decimals = price_decimals
        self._sizes: dict[str, str] = {}  # total of each open order
        self._told: set[str] = set()

    def decode_frame(self, data: bytes) -> list[Private | Sequence]:
        """What a frame of the user channel says; its `Sequence` first.

        Raises
        ------
        WireError
        """
        message = fields.mapping(decode(data), "message")
        channel = message.get("channel")
        if channel != "user":
            if isinstance(channel, str):
                return [Other(channel if channel in ("heartbeats", "subscriptions") else "unknown")]
            if message.get("type") == "error":
                return [
                    Reply("", Outcome.REFUSED, RejectReason.OTHER, "error", fields.optional_text(message, "message"))
                ]
            raise WireError(f"no Coinbase user message has {fields.keys_of(message)}")
        found: list[Private | Sequence] = [Sequence(fields.whole(message, "sequence_num"))]
        stamp = rfc3339_ns(message.get("timestamp"), "timestamp")
        for event in fields.sequence(message.get("events"), "events"):
            event = fields.mapping(event, "events")
            for item in fields.sequence(event.get("orders") or [], "orders"):
                item = fields.mapping(item, "orders")
                if event.get("type") == "snapshot":
                    self._remember(item)
                    found.append(_state(item, stamp))
                else:
                    found += self._update(item, stamp)
        return found

    def _remember(self, item: dict[str, Any]) -> None:
        """What was filled before the snapshot is told by `OrderStatus`, not as fills."""
        order = fields.text(item, "order_id")
        self._told.add(order)
        self._sizes[order] = _total(item)
        total, average, fees = _filled(item)
        self._fills.next(order, total, average, fees, self._decimals)

    def _update(self, item: dict[str, Any], stamp: int) -> list[Private | Sequence]:
        order, state = fields.text(item, "order_id"), fields.text(item, "status")
        head = (fields.text(item, "product_id"), stamp, fields.optional_text(item, "client_order_id"), order,
                fields.side(item, "order_side"))  # fmt: skip
        found: list[Private | Sequence] = []
        if state in OPEN_STATES and state != "PENDING":
            self._sizes[order] = _total(item)
        if order not in self._told and state in ("OPEN", "FILLED", "CANCELLED", "EXPIRED"):
            self._told.add(order)
            price = fields.optional_number(item, "limit_price")
            found.append(Report(int(Kind.ACCEPTED), *head, price=price, qty=_total(item), told=state))
        filled = self._fills.next(order, *_filled(item), self._decimals)
        if filled is not None:
            qty, price, fee, execution = filled
            found.append(Report(int(Kind.FILL), *head, price=price, qty=qty, execution=execution, fee=fee, told=state))
        if state in OPEN_STATES or state == "FILLED":
            if state == "FILLED":
                self._forget(order)
            return found or [Other(state.lower())]
        if state == "FAILED":
            detail = fields.optional_text(item, "reject_reason") or fields.optional_text(item, "reject_Reason")
            found.append(Report(int(Kind.REJECTED), *head, reason=int(refusal(detail)[1]), detail=detail, told=state))
        elif state in ("CANCELLED", "EXPIRED"):
            tif = _TIFS.get(str(item.get("time_in_force")), _GTC)
            kind = int(Kind.CANCELLED if state == "CANCELLED" or tif in (_IOC, _FOK) else Kind.EXPIRED)
            reason = cancel_reason(tif == _IOC, tif == _FOK, CancelReason.USER) if kind == Kind.CANCELLED else 0
            size = self._sizes.get(order)
            left = "-1" if size is None else _difference(size, fields.optional_number(item, "cumulative_quantity"))
            detail = fields.optional_text(item, "cancel_reason")
            found.append(Report(kind, *head, qty=left, reason=reason, detail=detail, told=state))
        else:
            return found or [Other("unknown")]
        self._forget(order)
        return found

    def _forget(self, order: str) -> None:
        self._sizes.pop(order, None)
        self._told.discard(self._fills.ended(order))


def _filled(item: dict[str, Any]) -> tuple[str, str, str]:
    return (fields.optional_number(item, "cumulative_quantity"), fields.optional_number(item, "avg_price"),
            fields.optional_number(item, "total_fees"))  # fmt: skip


def _total(item: dict[str, Any]) -> str:
    """Total of an order; leaves_quantity is nought once it has ended."""
    both = (scaled(fields.optional_number(item, key), 12, key) for key in ("cumulative_quantity", "leaves_quantity"))
    return number_text(sum(both), 12)


def _difference(total: str, done: str) -> str:
    return number_text(max(0, scaled(total, 12, "size") - scaled(done, 12, "cumulative_quantity")), 12)


def _state(item: dict[str, Any], stamp: int) -> OrderStatus:
    state = fields.text(item, "status")
    return OrderStatus(
        fields.text(item, "product_id"), fields.optional_text(item, "client_order_id"), fields.text(item, "order_id"),
        fields.side(item, "order_side"), _TYPES.get(str(item.get("order_type")).lower(), -1),
        _TIFS.get(str(item.get("time_in_force")), -1), fields.optional_number(item, "limit_price", ""),
        fields.optional_number(item, "stop_price", ""), _total(item),
        fields.optional_number(item, "cumulative_quantity"), state, state in OPEN_STATES, stamp,
        fields.optional_number(item, "avg_price"),
    )  # fmt: skip


def order_status(item: dict[str, Any]) -> OrderStatus:
    """An order as REST shows it.

    Raises
    ------
    WireError
    """
    held = fields.mapping(item.get("order_configuration") or {}, "order_configuration")
    name, body = next(iter(held.items()), ("", {}))
    body = fields.mapping(body, "order_configuration")
    kind, tif = next((pair for pair, known in CONFIGURATIONS.items() if known == name), (-1, -1))
    state = fields.text(item, "status")
    stamp = item.get("last_fill_time") or item.get("created_time")
    return OrderStatus(
        fields.text(item, "product_id"), fields.optional_text(item, "client_order_id"), fields.text(item, "order_id"),
        fields.side(item), kind, tif, fields.optional_number(body, "limit_price", ""),
        fields.optional_number(body, "stop_price", ""), fields.optional_number(body, "base_size"),
        fields.optional_number(item, "filled_size"), state, state in OPEN_STATES,
        rfc3339_ns(stamp, "created_time") if stamp else 0, fields.optional_number(item, "average_filled_price"),
    )  # fmt: skip


def _fill(item: dict[str, Any]) -> Report:
    return Report(
        int(Kind.FILL), fields.text(item, "product_id"), rfc3339_ns(item.get("trade_time")), "",
        fields.text(item, "order_id"), fields.side(item), fields.number(item, "price"), fields.number(item, "size"),
        fields.text(item, "trade_id"), fields.optional_number(item, "commission"), "",
        item.get("liquidity_indicator") == "MAKER", told="fills",
    )  # fmt: skip


def decode_reply(status: int, body: bytes, request: str = "") -> list[Private]:
    """What a REST answer says: a reply for the request (for each order of a batch cancel), then what it holds.

    Raises
    ------
    WireError
        The body of a good answer is not what Coinbase sends.
    """
    outcome = http_outcome(status)
    if outcome != Outcome.DONE:
        try:
            item = decode(body)
        except WireError:
            item = None
        text = (
            fields.optional_text(item, "error") or fields.optional_text(item, "message")
            if isinstance(item, dict)
            else ""
        )
        reason = refusal(text)[1] if outcome == Outcome.REFUSED else RejectReason.OTHER
        if status == 404:
            reason = RejectReason.UNKNOWN_ORDER
        return [Reply(request, outcome, reason, str(status), text)]
    message = fields.mapping(decode(body), "body")
    if "success" in message:
        if message["success"] is True:
            held = message.get("success_response")
            return [Reply(request, detail=fields.optional_text(held, "order_id") if isinstance(held, dict) else "")]
        held = message.get("error_response") or message.get("errors") or {}
        held = held[0] if isinstance(held, list) and held else held
        held = fields.mapping(held or {}, "error_response")
        name = next((value for key in ("error", "edit_failure_reason", "preview_failure_reason")
                     if (value := fields.optional_text(held, key))), "")  # fmt: skip
        found, why = refusal(name)
        return [Reply(request, found, why, name, fields.optional_text(held, "message") or name)]
    if isinstance(message.get("results"), list):
        replies: list[Private] = []
        for item in message["results"]:
            item = fields.mapping(item, "results")
            failure = fields.optional_text(item, "failure_reason")
            done = item.get("success") is True
            found, why = (Outcome.DONE, RejectReason.NONE) if done else refusal(failure)
            replies.append(Reply(fields.text(item, "order_id"), found, why, "" if done else failure, method="cancel"))
        return replies
    answer: list[Private] = [Reply(request)]
    if isinstance(message.get("order"), dict):
        answer.append(order_status(message["order"]))
    for item in fields.sequence(message.get("orders") or [], "orders"):
        answer.append(order_status(fields.mapping(item, "orders")))
    for item in fields.sequence(message.get("fills") or [], "fills"):
        answer.append(_fill(fields.mapping(item, "fills")))
    for item in fields.sequence(message.get("accounts") or [], "accounts"):
        item = fields.mapping(item, "accounts")
        free, hold = (fields.mapping(item.get(key), key) for key in ("available_balance", "hold"))
        answer.append(
            Balance(fields.text(item, "currency"), fields.number(free, "value"), fields.number(hold, "value"))
        )
    return answer
