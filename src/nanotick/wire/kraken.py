"""Kraken spot market data, WebSocket v1 and v2, and the checksum that every book message carries.

v1 messages are lists `[channel id, body..., "book-10", pair]` with prices and sizes as text of fixed digits; v2
messages are objects whose prices and sizes are JSON numbers, to be taken with the digits as sent. The checksum is
CRC-32 over the ten best asks (low to high), then the ten best bids (high to low), each price and size without its
point and without leading zeros. Source: docs.kraken.com, "Book" and "Spot WebSockets Book Checksum" (v1 and v2).
"""

from __future__ import annotations

import zlib
from bisect import bisect_left, insort
from typing import Any

from nanotick.core.records import BUY, SELL, Kind
from nanotick.wire import fields
from nanotick.wire.json_text import WireError, decode, rfc3339_ns, scaled
from nanotick.wire.messages import Depth, Level, Listed, Message, Notice, Order, Other, Quote, Trade

CHECKED_LEVELS = 10
_V2_OTHER = frozenset("heartbeat ticker ohlc instrument executions balances".split())


def digits(value: str) -> str:
    """A number as it enters the checksum: without point, without leading zeros."""
    return value.replace(".", "", 1).lstrip("0")


def book_checksum(asks: list[Level], bids: list[Level]) -> int:
    """CRC-32 of the best ten of each side, best first, with digits as sent.

    >>> book_checksum([("0.05005", "0.00000500")], [("0.05000", "0.00000500")])
    3851508195
    """
    best = asks[:CHECKED_LEVELS] + bids[:CHECKED_LEVELS]
    return zlib.crc32("".join(digits(price) + digits(qty) for price, qty in best).encode())


class KrakenBook:
    """One pair's book at the subscribed depth, with the venue's digits.

    Parameters
    ----------
    price_decimals, qty_decimals : int
        Scale by which prices are compared.
    depth : int
        Levels a side; what falls out of it is dropped, since the venue does not update it any more.
    """

    def __init__(self, price_decimals: int, depth: int, price_places: int = -1, qty_places: int = -1) -> None:
        self.depth = depth
        self._decimals = price_decimals
        self._places = (price_places, qty_places)
        self._prices: dict[int, list[int]] = {BUY: [], SELL: []}  # ascending; bids are kept negated
        self._levels: dict[int, dict[int, Level]] = {BUY: {}, SELL: {}}

    def clear(self) -> None:
        """Empty the book."""
        for side in (BUY, SELL):
            self._prices[side].clear()
            self._levels[side].clear()

    def _padded(self, value: str, places: int) -> str:
        """The number with the venue's own count of decimals, for feeds whose digits were lost on the way."""
        if places < 0:
            return value
        whole, _, fraction = value.partition(".")
        if "e" in value or "E" in value or len(fraction) > places:
            return value
        return f"{whole}.{fraction.ljust(places, '0')}" if places else whole

    def set(self, side: int, price: str, qty: str) -> None:
        """One level, absolute."""
        key = scaled(price, self._decimals, "price") * -side
        prices, held = self._prices[side], self._levels[side]
        if not qty.replace(".", "", 1).strip("0"):
            if held.pop(key, None) is not None:
                del prices[bisect_left(prices, key)]
            return
        if key not in held:
            insort(prices, key)
        held[key] = (self._padded(price, self._places[0]), self._padded(qty, self._places[1]))

    def truncate(self) -> list[tuple[int, int]]:
        """Drop what lies beyond the depth; (side, scaled price) of each level dropped."""
        dropped: list[tuple[int, int]] = []
        for side in (BUY, SELL):
            prices, held = self._prices[side], self._levels[side]
            while len(prices) > self.depth:
                key = prices.pop()
                del held[key]
                dropped.append((side, abs(key)))
        return dropped

    def best(self, side: int) -> list[Level]:
        """The best ten levels, best first."""
        held = self._levels[side]
        return [held[key] for key in self._prices[side][:CHECKED_LEVELS]]

    def checksum(self) -> int:
        """The checksum of the book as it stands."""
        return book_checksum(self.best(SELL), self.best(BUY))


def _seconds_ns(value: Any, what: str) -> int:
    if not isinstance(value, str):
        raise WireError(f"{what}: expected a time in seconds, found {fields.shown(value)}")
    return scaled(value, 9, what)


def _v1_levels(rows: Any, key: str) -> tuple[list[Level], int]:
    found = fields.levels(rows, key, 3)
    return found, max([0, *(_seconds_ns(row[2], key) for row in rows)])


def _v1_book(bodies: list[Any], name: str, pair: str) -> Message:
    bids: list[Level] = []
    asks: list[Level] = []
    stamp, checksum, snapshot = 0, -1, False
    for body in bodies:
        for key, rows in fields.mapping(body, "book").items():
            if key in ("as", "bs", "a", "b"):
                found, latest = _v1_levels(rows, key)
                (asks if key[0] == "a" else bids).extend(found)
                stamp = max(stamp, latest)
                snapshot = snapshot or len(key) == 2
            elif key == "c":
                checksum = fields.whole(body, "c")
    return Depth(pair, stamp, bids, asks, snapshot, checksum=checksum, kind=name)


def _v1_trades(rows: Any, pair: str) -> list[Message]:
    found: list[Message] = []
    for row in fields.sequence(rows, "trade"):
        row = fields.sequence(row, "trade", 4)
        if (
            not isinstance(row[3], str)
            or row[3] not in fields.SIDES
            or not isinstance(row[0], str)
            or not isinstance(row[1], str)
        ):
            raise WireError(f"trade: expected price, volume, time and side, found {fields.shown(row)}")
        found.append(Trade(pair, _seconds_ns(row[2], "time"), str(row[0]), str(row[1]), fields.SIDES[row[3]]))
    return found


def _v1_list(message: list[Any]) -> list[Message]:
    if len(message) < 4 or not isinstance(message[-1], str) or not isinstance(message[-2], str):
        raise WireError(f"expected [channel, data, name, pair], found {fields.shown(message)}")
    name, pair = message[-2], message[-1]
    if name.startswith("book"):
        return [_v1_book(message[1:-2], name, pair)]
    if name == "trade":
        return _v1_trades(message[1], pair)
    if name == "spread":
        row = fields.sequence(message[1], "spread", 5)
        bid, ask, bid_qty, ask_qty = (fields.number({"spread": row[i]}, "spread") for i in (0, 1, 3, 4))
        return [Quote(pair, _seconds_ns(row[2], "time"), bid, bid_qty, ask, ask_qty, kind="spread")]
    if name == "ticker" or name.startswith("ohlc"):
        return [Other(name.partition("-")[0])]
    raise WireError(f"no Kraken channel is called {name[:40]!r}")


def _v2_orders(item: dict[str, Any], symbol: str, snapshot: bool) -> list[Message]:
    actions = {"add": Kind.ADD, "modify": Kind.MODIFY, "delete": Kind.DELETE}
    found: list[Message] = []
    for key, side in (("bids", BUY), ("asks", SELL)):
        for row in fields.sequence(item.get(key, []), key):
            row = fields.mapping(row, key)
            event = row.get("event", "add")
            if event not in actions:
                raise WireError(f"event: expected add, modify or delete, found {fields.shown(event)}")
            price, qty = fields.number(row, "limit_price"), fields.number(row, "order_qty")
            order = fields.ident(fields.text(row, "order_id"))
            stamp = rfc3339_ns(row.get("timestamp"), "timestamp")
            found.append(Order(symbol, stamp, int(actions[event]), order, side, price, qty, snapshot, "level3"))
    return found


def _v2(message: dict[str, Any]) -> list[Message]:
    channel = fields.text(message, "channel")
    if channel == "status":
        items = [fields.mapping(item, "data") for item in fields.sequence(message.get("data"), "data")]
        return [Notice(fields.text(item, "system"), kind="status") for item in items]
    if channel not in ("book", "trade", "level3"):
        if channel in _V2_OTHER:
            return [Other(channel)]
        raise WireError(f"no Kraken channel is called {fields.shown(channel)}")
    snapshot = message.get("type") == "snapshot"
    found: list[Message] = []
    for item in fields.sequence(message.get("data"), "data"):
        item = fields.mapping(item, "data")
        symbol = fields.text(item, "symbol")
        if channel == "level3":
            found += _v2_orders(item, symbol, snapshot)
            continue
        if channel == "trade":
            side = fields.SIDES.get(str(item.get("side")), 0)
            stamp = rfc3339_ns(item.get("timestamp"), "timestamp")
            price, qty = fields.number(item, "price"), fields.number(item, "qty")
            found.append(Trade(symbol, stamp, price, qty, side, fields.whole(item, "trade_id"), snapshot=snapshot))
            continue
        stamp = rfc3339_ns(item["timestamp"]) if "timestamp" in item else 0
        bids, asks = (
            fields.object_levels(item.get("bids", []), "bids", "price", "qty"),
            fields.object_levels(item.get("asks", []), "asks", "price", "qty"),
        )
        checksum = fields.whole(item, "checksum", -1)
        found.append(Depth(symbol, stamp, bids, asks, snapshot, checksum=checksum, kind="book"))
    return found


def _pairs(result: dict[str, Any]) -> list[Message]:
    found: list[Message] = []
    for item in result.values():
        if not (isinstance(item, dict) and isinstance(item.get("wsname"), str) and "pair_decimals" in item):
            continue  # dark pools have no name on the WebSocket
        lot = fields.whole(item, "lot_decimals")
        price = fields.whole(item, "pair_decimals")
        tick = str(item.get("tick_size") or f"{10**-price:.{price}f}")
        found.append(
            Listed(
                item["wsname"], tick, f"{10**-lot:.{lot}f}", str(item.get("ordermin") or ""),
                currency=str(item.get("quote") or "").removeprefix("Z"), price_decimals=price, qty_decimals=lot,
            )
        )  # fmt: skip
    return found


def decode_frame(data: bytes) -> list[Message]:
    """Messages of one frame of either version, or of an AssetPairs body.

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
        return _v1_list(message)
    message = fields.mapping(message, "message")
    if "channel" in message:
        return _v2(message)
    if "method" in message and message.get("success") is False:
        return [Notice("error", fields.optional_text(message, "error"), kind="error")]
    if "event" in message or "method" in message:
        return [Other(str(message.get("event") or message.get("method"))[:40])]
    if isinstance(message.get("result"), dict):
        return _pairs(message["result"]) or [Other("rest")]
    raise WireError(f"no Kraken message has {fields.keys_of(message)}")
