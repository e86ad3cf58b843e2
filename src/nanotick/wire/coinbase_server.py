"""The venue's side of `wire.coinbase` and `coinbase_trading`: what Advanced Trade and Exchange send and are asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from nanotick.core.instruments import Instrument
from nanotick.core.records import BUY, Kind, OrderType
from nanotick.wire import fields
from nanotick.wire.coinbase_trading import _CHANNELS, _TIFS, BASE, CONFIGURATIONS, EXCHANGE_CHANNELS
from nanotick.wire.json_text import WireError, decode, rfc3339_ns, rfc3339_text
from nanotick.wire.messages import Depth, Message, Order, Trade
from nanotick.wire.reports import Balance, OrderStatus, Outcome, Reply, Report
from nanotick.wire.requests import Amend, Cancel, Entry, Login, Query, Request, Response, Subscribe

_CHANNEL_OF = {name: channel for channel, name in _CHANNELS.items()}
_EXCHANGE_CHANNEL_OF = {name: channel for channel, name in EXCHANGE_CHANNELS.items()}
_KIND_OF = {name: pair for pair, name in CONFIGURATIONS.items()}
_TIF_NAMES = {code: name for name, code in _TIFS.items()}
_JSON = (("Content-Type", "application/json"),)
_BOOK, _WORDS = {True: "bid", False: "offer"}, {True: "buy", False: "sell"}


def _envelope(channel: str, number: int, stamp: int, events: list[dict[str, Any]]) -> bytes:
    """A frame of Advanced Trade; `number` counts every frame of the connection from 0."""
    return msgspec.json.encode(
        {
            "channel": channel,
            "client_id": "",
            "timestamp": rfc3339_text(stamp),
            "sequence_num": number,
            "events": events,
        }
    )


def encode_messages(messages: list[Message], number: int) -> bytes:
    """A frame of the book (one message) or of trades of one product, Advanced Trade.

    Raises
    ------
    TypeError
        A message that Advanced Trade does not send.
    """
    first = messages[0]
    if isinstance(first, Depth) and len(messages) == 1:
        stamp = rfc3339_text(first.ts_venue)
        updates = [
            {"side": _BOOK[bid], "event_time": stamp, "price_level": price, "new_quantity": qty}
            for bid, levels in ((True, first.bids), (False, first.asks))
            for price, qty in levels
        ]
        kind = "snapshot" if first.snapshot else "update"
        event = {"type": kind, "product_id": first.symbol, "updates": updates}
        return _envelope("l2_data", number, first.ts_venue, [event])
    trades = []
    for trade in messages:
        if not isinstance(trade, Trade):
            raise TypeError(f"Coinbase sends no {type(trade).__name__} among {len(messages)} messages")
        trades.append(
            {"trade_id": str(trade.trade_id), "product_id": trade.symbol, "price": trade.price, "size": trade.qty,
             "side": "SELL" if trade.side == BUY else "BUY", "time": rfc3339_text(trade.ts_venue)}
        )  # fmt: skip
    last = messages[-1]
    assert isinstance(first, Trade) and isinstance(last, Trade)
    event = {"type": "snapshot" if first.snapshot else "update", "trades": trades}
    return _envelope("market_trades", number, last.ts_venue, [event])


def encode_heartbeat(number: int, counter: int, now: int) -> bytes:
    """A frame of the heartbeats channel."""
    return _envelope("heartbeats", number, now, [{"current_time": rfc3339_text(now), "heartbeat_counter": counter}])


def encode_orders(
    orders: Iterable[OrderStatus], fees: Iterable[str], number: int, now: int, snapshot: bool = False
) -> bytes:
    """A frame of the user channel: how orders stand, and the fees paid on each."""
    rows = []
    for status, paid in zip(orders, fees, strict=True):
        left = "0" if not status.open else f"{_decimal(status.qty) - _decimal(status.filled):f}"
        row = {
            "order_id": status.order, "client_order_id": status.client, "cumulative_quantity": status.filled,
            "leaves_quantity": left, "avg_price": status.average_price, "total_fees": paid, "status": status.state,
            "product_id": status.symbol, "creation_time": rfc3339_text(status.ts_venue),
            "order_side": "BUY" if status.side > 0 else "SELL",
            "order_type": OrderType(max(0, status.order_type)).name.replace("_", " ").capitalize(), "cancel_reason": "",
            "reject_reason": "", "time_in_force": _TIF_NAMES.get(status.tif, "GOOD_UNTIL_CANCELLED"),
        }  # fmt: skip
        if status.price:
            row["limit_price"] = status.price
        rows.append(row)
    return _envelope("user", number, now, [{"type": "snapshot" if snapshot else "update", "orders": rows}])


def _decimal(text: str) -> Any:
    from decimal import Decimal

    return Decimal(text)


def encode_exchange(message: Message) -> bytes:
    """A frame of the Exchange feed: snapshot, l2update, match, or an order of the full channel.

    Raises
    ------
    TypeError
        A message that Exchange does not send.
    """
    if isinstance(message, Depth):
        head: dict[str, Any] = {"type": "snapshot" if message.snapshot else "l2update", "product_id": message.symbol}
        if message.snapshot:
            return msgspec.json.encode(
                {**head, "bids": message.bids, "asks": message.asks, "time": rfc3339_text(message.ts_venue)}
            )
        changes = [("buy", *level) for level in message.bids] + [("sell", *level) for level in message.asks]
        return msgspec.json.encode({**head, "changes": changes, "time": rfc3339_text(message.ts_venue)})
    if isinstance(message, Trade):
        return msgspec.json.encode(
            {"type": "last_match" if message.snapshot else "match", "trade_id": message.trade_id,
                "sequence": message.seq,
             "maker_order_id": str(message.order), "taker_order_id": "0", "time": rfc3339_text(message.ts_venue),
             "product_id": message.symbol, "size": message.qty, "price": message.price,
             "side": _WORDS[message.side < 0]}
        )  # fmt: skip
    if isinstance(message, Order):
        names = {
            Kind.ADD: ("open", "remaining_size"),
            Kind.DELETE: ("done", "remaining_size"),
            Kind.MODIFY: ("change", "new_size"),
        }
        kind, size = names[Kind(message.action)]
        why = {"reason": "canceled" if message.qty.strip("0.") else "filled"} if kind == "done" else {}
        return msgspec.json.encode(
            {"type": kind, "time": rfc3339_text(message.ts_venue), "product_id": message.symbol,
                "sequence": message.seq,
             "order_id": str(message.order_id), "price": message.price, size: message.qty,
             "side": _WORDS[message.side > 0], **why}
        )  # fmt: skip
    raise TypeError(f"Coinbase Exchange sends no {type(message).__name__}")


def encode_received(order: Order) -> bytes:
    """A frame of the full channel: a limit order has come in, and is about to rest or to trade."""
    return msgspec.json.encode(
        {"type": "received", "time": rfc3339_text(order.ts_venue), "product_id": order.symbol, "sequence": order.seq,
         "order_id": str(order.order_id), "size": order.qty, "price": order.price, "side": _WORDS[order.side > 0],
         "order_type": "limit"}
    )  # fmt: skip


def encode_book(symbol_book: Mapping[str, list[list[Any]]], sequence: int, now: int) -> bytes:
    """The body of `GET /products/{id}/book`: `bids` and `asks`, best first, each with what its level shows."""
    return msgspec.json.encode(
        {**symbol_book, "sequence": sequence, "auction_mode": False, "auction": None, "time": rfc3339_text(now)}
    )


def encode_exchange_heartbeat(symbol: str, sequence: int, last_trade: int, now: int) -> bytes:
    """A frame of Exchange's heartbeat channel: how far the product's sequence has come."""
    return msgspec.json.encode(
        {"type": "heartbeat", "sequence": sequence, "last_trade_id": last_trade, "product_id": symbol,
         "time": rfc3339_text(now)}
    )  # fmt: skip


def products(instruments: Iterable[Instrument]) -> bytes:
    """The products body."""
    rows = [
        {"product_id": item.symbol, "price_increment": item.tick_size, "base_increment": item.lot_size,
         "base_min_size": item.min_qty, "base_max_size": item.max_qty, "quote_currency_id": item.currency,
         "quote_increment": item.tick_size, "status": "online", "trading_disabled": False}
        for item in instruments
    ]  # fmt: skip
    return msgspec.json.encode({"products": rows, "num_products": len(rows)})


# --- REST ---------------------------------------------------------------------------------------------------------


def order_body(status: OrderStatus) -> dict[str, Any]:
    """An order as REST shows it."""
    name = CONFIGURATIONS.get((status.order_type, status.tif), "limit_limit_gtc")
    held = {"base_size": status.qty}
    if status.price:
        held["limit_price"] = status.price
    if status.stop:
        held["stop_price"] = status.stop
    return {
        "order_id": status.order, "product_id": status.symbol, "user_id": "", "order_configuration": {name: held},
        "side": "BUY" if status.side > 0 else "SELL", "client_order_id": status.client, "status": status.state,
        "time_in_force": _TIF_NAMES.get(status.tif, "GOOD_UNTIL_CANCELLED"),
        "created_time": rfc3339_text(status.ts_venue),
        "filled_size": status.filled, "average_filled_price": status.average_price, "total_fees": "0", "fee": "",
        "number_of_fills": "0", "order_type": "LIMIT", "reject_reason": "", "last_fill_time": None,
    }  # fmt: skip


def fill_body(report: Report) -> dict[str, Any]:
    """A line of the fills list."""
    return {"entry_id": report.execution, "trade_id": report.execution, "order_id": report.order,
            "trade_time": rfc3339_text(report.ts_venue), "trade_type": "FILL", "price": report.price,
            "size": report.qty,
            "commission": report.fee, "product_id": report.symbol, "side": "BUY" if report.side > 0 else "SELL",
            "liquidity_indicator": "MAKER" if report.maker else "TAKER"}  # fmt: skip


def account_body(balance: Balance) -> dict[str, Any]:
    """A line of the accounts list."""
    asset = balance.asset
    return {"uuid": asset, "name": f"{asset} Wallet", "currency": asset, "active": True, "type": "ACCOUNT_TYPE_CRYPTO",
            "available_balance": {"value": balance.free, "currency": asset},
            "hold": {"value": balance.locked, "currency": asset}}  # fmt: skip


def encode_reply(reply: Reply, entry: Entry | None = None) -> Response:
    """The answer to an order: 200 whether it was taken or not; `detail` of a good one is the order's id."""
    body: dict[str, Any]
    if reply.outcome == Outcome.DONE:
        held = {"order_id": reply.detail}
        if entry is not None:
            held |= {
                "product_id": entry.symbol,
                "side": "BUY" if entry.side > 0 else "SELL",
                "client_order_id": entry.client,
            }
        body = {"success": True, "success_response": held}
    else:
        body = {"success": False, "error_response": {"error": reply.code, "message": reply.detail, "error_details": ""}}
    return Response(200, _JSON, msgspec.json.encode(body))


def encode_cancelled(replies: Iterable[Reply]) -> Response:
    """The answer of a batch cancel."""
    rows = [{"success": r.outcome == Outcome.DONE, "failure_reason": r.code or "UNKNOWN_CANCEL_FAILURE_REASON",
             "order_id": r.request} for r in replies]  # fmt: skip
    return Response(200, _JSON, msgspec.json.encode({"results": rows}))


def rest_response(body: Any) -> Response:
    """A good answer."""
    return Response(200, _JSON, msgspec.json.encode(body))


RATE_LIMITED = Response(429, _JSON, b'{"errors":[{"id":"rate_limit_exceeded","message":"Too many requests"}]}')


# --- what is asked ------------------------------------------------------------------------------------------------


def _entry(item: dict[str, Any]) -> Entry:
    held = fields.mapping(item.get("order_configuration"), "order_configuration")
    if len(held) != 1 or next(iter(held)) not in _KIND_OF:
        raise WireError(f"order_configuration: expected one of {', '.join(_KIND_OF)}, found {fields.shown(held)}")
    name = next(iter(held))
    body = fields.mapping(held[name], name)
    order_type, tif = _KIND_OF[name]
    expire = rfc3339_ns(body["end_time"], "end_time") if "end_time" in body else 0
    return Entry(
        fields.text(item, "product_id"), fields.text(item, "client_order_id"), fields.side(item),
        fields.number(body, "base_size"), fields.optional_number(body, "limit_price", ""),
        fields.optional_number(body, "stop_price", ""), order_type, tif, expire, body.get("post_only") is True,
    )  # fmt: skip


def decode_request(request: Request) -> Entry | list[Cancel] | Amend | Query | str:
    """What a REST request asks; the path itself for those that only read.

    Raises
    ------
    WireError
    """
    path = request.path.partition("?")[0]
    if request.method == "GET":
        head, _, order = path.rpartition("/")
        if head == f"{BASE}/orders/historical" and order not in ("batch", "fills"):
            return Query("", "", unquote(order))
        return path
    if request.method == "POST" and path.startswith(BASE):
        item = fields.mapping(decode(request.body), "body")
        if path == f"{BASE}/orders":
            return _entry(item)
        if path == f"{BASE}/orders/batch_cancel":
            orders = fields.sequence(item.get("order_ids"), "order_ids", 1)
            return [Cancel("", "", fields.text({"order_ids": order}, "order_ids")) for order in orders]
        if path == f"{BASE}/orders/edit":
            entry = Entry("", "", 0, fields.number(item, "size"), fields.number(item, "price"))
            return Amend("", fields.text(item, "order_id"), entry)
    raise WireError(f"Coinbase has no {request.method} {path[:80]}")


def decode_stream_request(data: bytes) -> Subscribe:
    """A subscription of Advanced Trade (one channel, its token in `login.proof`) or of Exchange (several, signed).

    Raises
    ------
    WireError
    """
    message = fields.mapping(decode(data), "request")
    kind = fields.text(message, "type")
    if kind not in ("subscribe", "unsubscribe"):
        raise WireError(f"type: expected subscribe or unsubscribe, found {kind[:40]!r}")
    products = [str(p) for p in fields.sequence(message.get("product_ids") or [], "product_ids")] or [""]
    if "channels" in message:
        names, known = fields.sequence(message["channels"], "channels", 1), _EXCHANGE_CHANNEL_OF
        names = [name.get("name") if isinstance(name, dict) else name for name in names]
        login = None
        if "signature" in message:
            login = Login(fields.text(message, "key"), fields.optional_text(message, "passphrase"),
                          fields.text(message, "signature"), fields.optional_text(message, "timestamp"))  # fmt: skip
    else:
        names, known = [fields.text(message, "channel")], _CHANNEL_OF
        jwt = message.get("jwt")
        login = Login("", proof=str(jwt)) if isinstance(jwt, str) else None
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise WireError(f"channel: expected one of {', '.join(known)}, found {fields.shown(name)}")
    channels = tuple((known[name], product) for name in names for product in products)
    return Subscribe(channels, kind == "subscribe", "", login)
