"""Coinbase market data: Advanced Trade (l2_data, market_trades) and Exchange (snapshot, l2update, match, full channel).

The side that both feeds publish with a trade is the maker's: against the quotes of the same recording, trades marked
SELL lie above the middle. The aggressor is the other one. Advanced Trade counts every message of a connection in
`sequence_num`; Exchange counts messages of a product in `sequence`.
Source: docs.cdp.coinbase.com, Advanced Trade WebSocket channels and Exchange WebSocket channels.
"""

from __future__ import annotations

from typing import Any

from nanotick.core.records import BUY, SELL, Kind
from nanotick.wire import fields
from nanotick.wire.json_text import WireError, decode, rfc3339_ns
from nanotick.wire.messages import Depth, Level, Listed, Message, Notice, Order, Other, Sequence, Trade

_OTHER = frozenset("subscriptions ticker ticker_batch candles heartbeats status user futures_balance_summary".split())
_EXCHANGE_OTHER = frozenset(
    "subscriptions ticker heartbeat status received activate error auctioninfo rfq_match".split()
)


def _l2_event(event: dict[str, Any], stamp: int) -> Message:
    bids: list[Level] = []
    asks: list[Level] = []
    for update in fields.sequence(event.get("updates"), "updates"):
        update = fields.mapping(update, "updates")
        level = fields.number(update, "price_level"), fields.number(update, "new_quantity")
        (bids if fields.side(update) == BUY else asks).append(level)
    snapshot = event.get("type") == "snapshot"
    return Depth(fields.text(event, "product_id"), stamp, bids, asks, snapshot, kind="l2_data")


def _trades(event: dict[str, Any]) -> list[Message]:
    snapshot = event.get("type") == "snapshot"
    found: list[Message] = []
    for trade in fields.sequence(event.get("trades"), "trades"):
        trade = fields.mapping(trade, "trades")
        found.append(
            Trade(
                fields.text(trade, "product_id"),
                rfc3339_ns(trade.get("time")),
                fields.number(trade, "price"),
                fields.number(trade, "size"),
                -fields.side(trade),
                fields.ident(trade.get("trade_id")),
                snapshot=snapshot,
                kind="market_trades",
            )
        )
    if not snapshot:
        found.reverse()  # the latest comes first in the message
    return found


def _advanced(message: dict[str, Any]) -> list[Message]:
    channel = fields.text(message, "channel")
    found: list[Message] = []
    if "sequence_num" in message:
        found.append(Sequence(fields.whole(message, "sequence_num")))
    if channel in ("l2_data", "market_trades"):
        stamp = rfc3339_ns(message.get("timestamp"), "timestamp")
        for event in fields.sequence(message.get("events"), "events"):
            event = fields.mapping(event, "events")
            found += [_l2_event(event, stamp)] if channel == "l2_data" else _trades(event)
    elif channel in _OTHER:
        found.append(Other(channel))
    else:
        raise WireError(f"no Coinbase channel is called {fields.shown(channel)}")
    return found


def _exchange(message: dict[str, Any]) -> list[Message]:
    kind = message["type"]
    if kind == "error":
        text = fields.optional_text(message, "message") or fields.optional_text(message, "reason")
        return [Notice("error", text, kind="error")]
    seq = fields.whole(message, "sequence", 0)
    if not isinstance(kind, str) or kind in _EXCHANGE_OTHER:
        return [Other(str(kind)[:40], fields.optional_text(message, "product_id"), seq)]
    symbol = fields.text(message, "product_id")
    if kind == "snapshot":
        bids, asks = fields.levels(message.get("bids"), "bids"), fields.levels(message.get("asks"), "asks")
        return [Depth(symbol, rfc3339_ns(message["time"]) if "time" in message else 0, bids, asks, True, kind=kind)]
    if kind == "l2update":
        sides: dict[int, list[Level]] = {BUY: [], SELL: []}
        for change in fields.sequence(message.get("changes"), "changes"):
            change = fields.sequence(change, "changes", 3)
            row = {"side": change[0], "price": change[1], "size": change[2]}
            sides[fields.side(row)].append((fields.number(row, "price"), fields.number(row, "size")))
        return [Depth(symbol, rfc3339_ns(message.get("time")), sides[BUY], sides[SELL], kind=kind)]
    stamp = rfc3339_ns(message.get("time"))
    if kind in ("match", "last_match"):
        order = fields.ident(message["maker_order_id"]) if "maker_order_id" in message else 0
        price, size = fields.number(message, "price"), fields.number(message, "size")
        trade = fields.ident(message.get("trade_id"))
        return [
            Trade(
                symbol,
                stamp,
                price,
                size,
                -fields.side(message),
                trade,
                order,
                snapshot=kind == "last_match",
                kind=kind,
                seq=seq,
            )
        ]
    if kind in ("open", "done", "change"):
        order = fields.ident(fields.text(message, "order_id"))
        action = {"open": Kind.ADD, "done": Kind.DELETE, "change": Kind.MODIFY}[kind]
        if "price" not in message:
            return [Other(f"{kind} without a price", symbol, seq)]  # a market order, never in the book
        size = message.get({"open": "remaining_size", "done": "remaining_size", "change": "new_size"}[kind], "0")
        qty = fields.number({"size": size}, "size")
        side, price = fields.side(message), fields.number(message, "price")
        return [Order(symbol, stamp, int(action), order, side, price, qty, kind=kind, seq=seq)]
    raise WireError(f"no Coinbase message has type {kind[:40]!r}")


def decode_book(body: bytes, symbol: str) -> tuple[list[Message], int]:
    """The order-by-order book of Exchange (`GET /products/{id}/book?level=3`), and its sequence number.

    What the full channel sent up to that number is in it already. The orders of a price stand in their queue's order.

    Raises
    ------
    WireError
    """
    book = fields.mapping(decode(body), "body")
    found: list[Message] = []
    for key, side in (("bids", BUY), ("asks", SELL)):
        for row in fields.sequence(book.get(key), key):
            price, qty, order = (fields.text_or_number(item, key) for item in fields.sequence(row, key, 3)[:3])
            found.append(Order(symbol, 0, int(Kind.ADD), fields.ident(order), side, price, qty, True, "book"))
    return found, fields.whole(book, "sequence")


def _products(items: list[Any]) -> list[Message]:
    found: list[Message] = []
    for item in items:
        if isinstance(item, dict) and isinstance(item.get("product_id") or item.get("id"), str):
            found.append(
                Listed(
                    item.get("product_id") or item["id"],
                    str(item.get("price_increment") or item.get("quote_increment") or ""),
                    str(item.get("base_increment") or ""),
                    str(item.get("base_min_size") or ""),
                    str(item.get("base_max_size") or ""),
                    currency=str(item.get("quote_currency_id") or item.get("quote_currency") or ""),
                )
            )
    return found


def decode_frame(data: bytes) -> list[Message]:
    """Messages of one frame of either feed, or of a products body.

    Raises
    ------
    WireError
    """
    return decode_message(decode(data))


def decode_message(message: Any) -> list[Message]:
    """As `decode_frame`, of a frame whose JSON is decoded already.

    Raises
    ------
    WireError
    """
    if isinstance(message, list):
        return _products(message)
    message = fields.mapping(message, "message")
    if "channel" in message:
        return _advanced(message)
    if "type" in message:
        return _exchange(message)
    if isinstance(message.get("products"), list):
        return _products(message["products"])
    raise WireError(f"no Coinbase message has {fields.keys_of(message)}")
