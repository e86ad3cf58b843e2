"""Bitstamp market data: diff order book, live orders and live trades (WebSocket v2), and the orders log of 2015.

A diff is absolute by price. Live orders give one order's life: created (ADD), changed (MODIFY, amount is what is left),
deleted (DELETE). The 2015 streams send trade prices and amounts as binary floating point printed in full
(1.7885566900000001); those are read at eight decimals.
Source: bitstamp.net/websocket/v2; for 2015 the form "<local ms> <event> <json>" of that time's Pusher streams.
"""

from __future__ import annotations

from typing import Any

from nanotick.core.records import BUY, SELL, Kind
from nanotick.wire import fields
from nanotick.wire.json_text import WireError, decode, rounded
from nanotick.wire.messages import Depth, Listed, Message, Order, Other, Trade

_ACTIONS = {"order_created": Kind.ADD, "order_changed": Kind.MODIFY, "order_deleted": Kind.DELETE}
_SIDES = {"0": BUY, "1": SELL}


def eight_places(value: str) -> str:
    """A number to the nearest 1e-8, where it was sent as binary floating point with more digits than that.

    Raises
    ------
    WireError
    """
    if "e" not in value and "E" not in value and len(value.partition(".")[2]) <= 8:
        return value
    units = rounded(value, 8)
    return f"{'-' if units < 0 else ''}{abs(units) // 10**8}.{abs(units) % 10**8:08d}"


def _time(message: dict[str, Any]) -> int:
    if "microtimestamp" in message:
        return fields.whole(message, "microtimestamp") * 1_000
    for key in ("timestamp", "datetime"):
        if key in message:
            return fields.whole(message, key) * 1_000_000_000
    return 0


def _side(message: dict[str, Any], key: str) -> int:
    value = message.get(key)
    if not isinstance(value, str) or value not in _SIDES:
        raise WireError(f"{key}: expected 0 or 1, found {fields.shown(value)}")
    return _SIDES[value]


def order_event(event: str, message: dict[str, Any], symbol: str) -> Message:
    """One of the live order events.

    Raises
    ------
    WireError
    """
    price = eight_places(fields.number(message, "price_str" if "price_str" in message else "price"))
    qty = eight_places(fields.number(message, "amount_str" if "amount_str" in message else "amount"))
    # the stamp is of the order's entry: only of a created order it is the event's
    stamp = _time(message) if event == "order_created" or "microtimestamp" in message else 0
    order = fields.whole(message, "id")
    return Order(symbol, stamp, int(_ACTIONS[event]), order, _side(message, "order_type"), price, qty, kind=event)


def trade_event(message: dict[str, Any], symbol: str) -> Message:
    """A trade; the aggressor's side where `type` is sent.

    Raises
    ------
    WireError
    """
    price = eight_places(fields.number(message, "price_str" if "price_str" in message else "price"))
    qty = eight_places(fields.number(message, "amount_str" if "amount_str" in message else "amount"))
    side = _side(message, "type") if "type" in message else 0
    maker = {BUY: "sell_order_id", SELL: "buy_order_id"}.get(side, "")
    order = fields.whole(message, maker) if maker in message else 0
    return Trade(symbol, _time(message), price, qty, side, fields.whole(message, "id"), order)


def depth_event(message: dict[str, Any], symbol: str, snapshot: bool, kind: str) -> Message:
    """A diff, or a whole book."""
    bids, asks = fields.levels(message.get("bids"), "bids"), fields.levels(message.get("asks"), "asks")
    stamp = _time(message)
    return Depth(symbol, stamp, bids, asks, snapshot, last=stamp // 1_000, kind=kind)


def decode_frame(data: bytes, symbol: str = "") -> list[Message]:
    """Messages of one frame, or of a REST order book (whose symbol the address names) or pairs body.

    Raises
    ------
    WireError
    """
    return decode_message(decode(data), symbol)


def decode_message(message: Any, symbol: str = "") -> list[Message]:
    """As `decode_frame`, of a frame whose JSON is decoded already.

    Raises
    ------
    WireError
    """
    if isinstance(message, list):
        return _pairs(message)
    message = fields.mapping(message, "message")
    if "event" not in message:
        if "bids" in message:
            return [depth_event(message, symbol, True, "rest_order_book")]
        raise WireError(f"no Bitstamp message has {fields.keys_of(message)}")
    event = fields.text(message, "event")
    if event.startswith(("bts:", "pusher")):
        return [Other(event[:40])]
    channel, _, pair = fields.text(message, "channel").rpartition("_")
    body = message.get("data")
    body = fields.mapping(decode(body.encode()) if isinstance(body, str) else body, "data")
    if event == "trade":
        return [trade_event(body, pair)]
    if event in _ACTIONS:
        return [order_event(event, body, pair)]
    if event == "data":
        if channel.startswith("detail"):
            return [Other(channel)]  # a partial book by order, beside the live orders
        if channel not in ("order_book", "diff_order_book"):
            raise WireError(f"no Bitstamp channel of books is called {channel[:40]!r}")
        return [depth_event(body, pair, channel == "order_book", channel)]
    raise WireError(f"no Bitstamp event is called {event[:40]!r}")


def decode_logged(event: str, data: bytes, symbol: str) -> list[Message]:
    """Messages of a line of the order-by-order log.

    Raises
    ------
    WireError
    """
    message = fields.mapping(decode(data), event)
    if event in _ACTIONS:
        return [order_event(event, message, symbol)]
    if event == "trade":
        return [trade_event(message, symbol)]
    if event == "order_book":
        return [Other("order_book")]  # the best twenty by price, beside the orders themselves
    raise WireError(f"no event of this log is called {event[:40]!r}")


def _pairs(items: list[Any]) -> list[Message]:
    found: list[Message] = []
    for item in items:
        if isinstance(item, dict) and "url_symbol" in item:
            price, qty = fields.whole(item, "counter_decimals"), fields.whole(item, "base_decimals")
            currency = str(item.get("name", "")).partition("/")[2]
            tick, lot = f"{10**-price:.{price}f}", f"{10**-qty:.{qty}f}"
            found.append(
                Listed(
                    fields.text(item, "url_symbol"),
                    tick,
                    lot,
                    currency=currency,
                    price_decimals=price,
                    qty_decimals=qty,
                )
            )
    return found
