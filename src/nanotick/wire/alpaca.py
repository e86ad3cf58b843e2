"""Alpaca market data stream (IEX, SIP, crypto): trades, quotes, bars, corrections, halts, books, session messages.

Messages come in arrays; `T` is the type, `S` the symbol, `t` an RFC 3339 time. Numbers keep their digits. A correction
is the old trade made void and the new one. Source: docs.alpaca.markets, real-time stock and crypto data.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nanotick.core.records import TradingStatus
from nanotick.wire import fields
from nanotick.wire.json_text import WireError, decode, rfc3339_ns
from nanotick.wire.messages import Bar, Depth, Level, Message, Notice, Other, Quote, Status, Trade, Void
from nanotick.wire.requests import Login, Subscribe, Unsupported

VENUE = "ALPACA"
# trade conditions that do not count in volume: official open and close, corrected consolidated close
NO_VOLUME = frozenset("MQ9")
CHANNELS = {
    "trade": "trades", "quote": "quotes", "bar": "bars", "daily": "dailyBars", "updated": "updatedBars",
    "status": "statuses", "band": "lulds", "book": "orderbooks", "correction": "corrections",
    "cancel": "cancelErrors",
}  # fmt: skip
_SIDES = {"B": 1, "S": -1}  # tks of crypto trades
# status codes of both tapes (CTA digits and letters, UTP letters)
_STATUS = {
    "2": TradingStatus.HALTED, "3": TradingStatus.TRADING, "5": TradingStatus.PAUSED, "6": TradingStatus.PAUSED,
    "H": TradingStatus.HALTED, "Q": TradingStatus.QUOTE_ONLY, "T": TradingStatus.TRADING, "P": TradingStatus.PAUSED,
}  # fmt: skip


def _levels(rows: Any, key: str) -> list[Level]:
    return fields.object_levels(rows, key, "p", "s")


def _items(item: dict[str, Any]) -> list[Message]:
    kind = item.get("T")
    if kind == "t":
        conditions = item.get("c") or []
        printable = not any(code in NO_VOLUME for code in fields.sequence(conditions, "c") if isinstance(code, str))
        return [
            Trade(
                fields.text(item, "S"),
                rfc3339_ns(item.get("t"), "t"),
                fields.number(item, "p"),
                fields.number(item, "s"),
                _SIDES.get(str(item.get("tks")), 0),
                fields.ident(item.get("i", "0")),
                printable=printable,
                kind="t",
            )
        ]
    if kind == "q":
        bid, bid_qty, ask, ask_qty = (fields.number(item, key) for key in ("bp", "bs", "ap", "as"))
        return [Quote(fields.text(item, "S"), rfc3339_ns(item.get("t"), "t"), bid, bid_qty, ask, ask_qty, kind="q")]
    if kind in ("b", "d", "u"):
        opening, high, low, close, volume = (fields.number(item, key) for key in "ohlcv")
        return [Bar(fields.text(item, "S"), rfc3339_ns(item.get("t"), "t"), opening, high, low, close, volume, kind)]
    if kind == "o":
        bids, asks = _levels(item.get("b") or [], "b"), _levels(item.get("a") or [], "a")
        stamp = rfc3339_ns(item.get("t"), "t")
        return [Depth(fields.text(item, "S"), stamp, bids, asks, item.get("r") is True, kind="o")]
    if kind == "s":
        status = _STATUS.get(str(item.get("sc")), TradingStatus.UNKNOWN)
        stamp = rfc3339_ns(item.get("t"), "t")
        return [Status(fields.text(item, "S"), stamp, int(status), str(item.get("rc") or "")[:8], kind="s")]
    if kind == "x":
        return [Void(fields.text(item, "S"), rfc3339_ns(item.get("t"), "t"), fields.ident(item.get("i", "0")), "x")]
    if kind == "c":
        symbol, stamp = fields.text(item, "S"), rfc3339_ns(item.get("t"), "t")
        price, size = fields.number(item, "cp"), fields.number(item, "cs")
        new = Trade(symbol, stamp, price, size, 0, fields.ident(item.get("ci", "0")), kind="c")
        return [Void(symbol, stamp, fields.ident(item.get("oi", "0")), "c"), new]
    if kind in ("success", "error"):
        return [Notice(str(kind), str(item.get("msg") or ""), fields.whole(item, "code", 0))]
    if kind == "subscription":
        return [Notice("subscription", ",".join(f"{key}:{'+'.join(map(str, value))}" for key,
            value in sorted(item.items())
                                                if isinstance(value, list) and value))]  # fmt: skip
    if isinstance(kind, str):
        return [Other(kind if kind in ("l", "n", "i") else "unknown")]
    raise WireError(f"no Alpaca message has T={fields.shown(kind)} and {fields.keys_of(item)}")


def decode_frame(data: bytes) -> list[Message]:
    """Messages of one frame.

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
    found: list[Message] = []
    for item in message if isinstance(message, list) else [message]:
        found += _items(fields.mapping(item, "message"))
    return found


def encode(asked: Login | Subscribe) -> bytes:
    """Frame that logs in or subscribes.

    Raises
    ------
    Unsupported
        A channel that Alpaca has not.
    """
    if isinstance(asked, Login):
        return msgspec.json.encode({"action": "auth", "key": asked.key, "secret": asked.secret})
    lists: dict[str, Any] = {"action": "subscribe" if asked.on else "unsubscribe"}
    for channel, symbol in asked.channels:
        if channel not in CHANNELS:
            raise Unsupported(f"Alpaca has no channel {channel!r}; it has {', '.join(CHANNELS)}")
        lists.setdefault(CHANNELS[channel], []).append(symbol or "*")
    return msgspec.json.encode(lists)
