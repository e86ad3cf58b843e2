"""Bitfinex raw order book (channel book, precision R0: one entry per order) and trades, WebSocket v2.

    [chanId, [[id, price, amount], ...]]    snapshot        [chanId, [id, price, amount]]    one order
    price 0 deletes; amount above 0 is a bid, below an ask; an id seen before is changed

Channel numbers are given out per connection by "subscribed" events, so this codec remembers them. The feed has no
times; rows take the time of arrival. Source: docs.bitfinex.com/reference/ws-public-raw-books.
"""

from __future__ import annotations

from typing import Any

from nanotick.core.records import BUY, SELL, Kind
from nanotick.wire import fields
from nanotick.wire.json_text import WireError, epoch_ns
from nanotick.wire.messages import Depth, Level, Message, Order, Other, Trade


class BitfinexCodec:
    """Messages of one connection."""

    def __init__(self) -> None:
        self._channels: dict[str, tuple[str, str, str]] = {}  # number: channel, symbol, precision
        self._orders: dict[str, set[int]] = {}

    def decode_message(self, message: Any) -> list[Message]:
        """Messages of one decoded frame.

        Raises
        ------
        WireError
        """
        if isinstance(message, dict):
            event = fields.text(message, "event")
            if event == "subscribed":
                channel = fields.number(message, "chanId")
                symbol = message.get("symbol") or message.get("pair") or ""
                self._channels[channel] = (fields.text(message, "channel"), str(symbol), str(message.get("prec", "")))
                self._orders[channel] = set()
            return [Other(event[:40])]
        message = fields.sequence(message, "message", 2)
        if message[1] == "hb":
            return [Other("heartbeat")]
        if str(message[0]) not in self._channels:
            raise WireError(f"channel {fields.shown(message[0])} was never subscribed to")
        channel = str(message[0])
        name, symbol, precision = self._channels[channel]
        body = message[1]
        if isinstance(body, str) and not isinstance(body, list):
            if body in ("te", "fte") and len(message) > 2:
                return [_trade(symbol, message[2])]
            return [Other({"hb": "heartbeat", "cs": "checksum", "tu": "trade update"}.get(str(body), str(body)[:40]))]
        body = fields.sequence(body, "message")
        if name == "trades":
            return [Other("trade snapshot")]
        if name != "book":
            return [Other(name)]
        if precision == "R0":
            if body and isinstance(body[0], list):
                self._orders[channel].clear()
                begin = Depth(symbol, 0, [], [], True, kind="raw book snapshot")
                return [begin, *(self._order(channel, symbol, row, True) for row in body)]
            return [self._order(channel, symbol, body, False)]
        snapshot = bool(body) and isinstance(body[0], list)
        sides: dict[int, list[Level]] = {BUY: [], SELL: []}
        for row in body if snapshot else [body]:
            price, count, amount = _three(row)
            side = SELL if amount.startswith("-") else BUY
            sides[side].append((price, "0" if count.strip("0") == "" else amount.lstrip("-")))
        return [Depth(symbol, 0, sides[BUY], sides[SELL], snapshot, kind="book")]

    def _order(self, channel: str, symbol: str, row: Any, snapshot: bool) -> Message:
        ident, price, amount = _three(row)
        order = fields.whole({"id": ident}, "id")
        side = SELL if amount.startswith("-") else BUY
        known = self._orders[channel]
        if not price.strip("0."):
            known.discard(order)
            return Order(symbol, 0, int(Kind.DELETE), order, side, "0", "0", kind="order delete")
        action = Kind.MODIFY if order in known else Kind.ADD
        known.add(order)
        kind = "raw book snapshot" if snapshot else "order set"
        return Order(symbol, 0, int(action), order, side, price, amount.lstrip("-"), snapshot, kind)


def _three(row: Any) -> tuple[str, str, str]:
    row = fields.sequence(row, "row", 3)
    if not all(isinstance(value, str) for value in row[:3]):
        raise WireError(f"row: expected three numbers, found {fields.shown(row)}")
    return str(row[0]), str(row[1]), str(row[2])


def _trade(symbol: str, row: Any) -> Message:
    row = fields.sequence(row, "trade", 4)
    amount = fields.number({"amount": row[2]}, "amount")
    stamp = epoch_ns(fields.whole({"time": row[1]}, "time"))
    side = SELL if amount.startswith("-") else BUY
    price = fields.number({"price": row[3]}, "price")
    return Trade(symbol, stamp, price, amount.lstrip("-"), side, fields.whole({"id": row[0]}, "id"))
