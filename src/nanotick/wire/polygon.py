"""Polygon (Massive) WebSocket, stocks and indices: trades, quotes, bars, index values and session messages.

Every frame is an array. Prices are JSON numbers and are taken with their digits; `t` is the SIP's time in ms. `q` rises
per ticker and feed but has holes: it orders, it does not prove completeness. Sizes are shares since November 2025 and
round lots in older recordings. Source: massive.com/docs, WebSocket, stocks and indices.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nanotick.wire import fields
from nanotick.wire.json_text import WireError, decode, epoch_ns, integer
from nanotick.wire.messages import Bar, Mark, Message, Notice, Other, Quote, Trade
from nanotick.wire.requests import Login, Subscribe, Unsupported

VENUE = "POLYGON"
# trades that do not count in volume: official open and close, corrected consolidated close
NO_VOLUME = frozenset((15, 16, 38))
_OTHER = frozenset("LULD NOI FMV XT XQ XA XAS C CA CAS XL2".split())
CHANNELS = {"trade": "T", "quote": "Q", "bar": "AM", "second": "A", "value": "V"}


def _number(item: dict[str, Any], key: str) -> str:
    """A number that may be left out where it is nought (one side of a quote)."""
    return fields.number(item, key) if key in item else "0"


def _printable(item: dict[str, Any]) -> bool:
    conditions = item.get("c")
    if conditions is None:
        return True
    return not any(integer(code, "c") in NO_VOLUME for code in fields.sequence(conditions, "c"))


def _event(item: dict[str, Any]) -> Message:
    kind = item.get("ev")
    if kind == "T":
        return Trade(
            fields.text(item, "sym"),
            epoch_ns(fields.whole(item, "t")),
            fields.number(item, "p"),
            fields.number(item, "s"),
            0,
            fields.ident(item.get("i", "0")),
            printable=_printable(item),
            kind="T",
            seq=fields.whole(item, "q", 0),
        )
    if kind == "Q":
        stamp = epoch_ns(fields.whole(item, "t"))
        bid, bid_qty, ask, ask_qty = (_number(item, key) for key in ("bp", "bs", "ap", "as"))
        return Quote(fields.text(item, "sym"), stamp, bid, bid_qty, ask, ask_qty, fields.whole(item, "q", 0), kind="Q")
    if kind in ("A", "AM"):
        opening, high, low, close, volume = (fields.number(item, key) for key in "ohlcv")
        return Bar(fields.text(item, "sym"), epoch_ns(fields.whole(item, "s")), opening, high, low, close, volume, kind)
    if kind == "V":
        return Mark(
            fields.text(item, "T"), epoch_ns(fields.whole(item, "t")), fields.number(item, "val"), "0", "0", "V"
        )
    if kind == "status":
        return Notice(fields.text(item, "status"), str(item.get("message") or ""))
    if isinstance(kind, str):
        return Other(kind[:40] if kind in _OTHER else "unknown")
    raise WireError(f"no Polygon message has ev={fields.shown(kind)} and {fields.keys_of(item)}")


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
    items = message if isinstance(message, list) else [message]
    return [_event(fields.mapping(item, "message")) for item in items]


def decode_rest(body: bytes, symbol: str) -> tuple[list[Message], str]:
    """Trades or quotes of a page of /v3/trades or /v3/quotes of a symbol, and the address of the next page.

    Raises
    ------
    WireError
    """
    page = fields.mapping(decode(body), "body")
    found: list[Message] = []
    for item in fields.sequence(page.get("results") or [], "results"):
        item = fields.mapping(item, "results")
        stamp, seq = epoch_ns(fields.whole(item, "sip_timestamp")), fields.whole(item, "sequence_number", 0)
        if "price" in item:
            price, size = fields.number(item, "price"), fields.number(item, "size")
            printable = _printable({"c": item.get("conditions")})
            trade = fields.ident(item.get("id", "0"))
            found.append(Trade(symbol, stamp, price, size, 0, trade, printable=printable, kind="T", seq=seq))
        else:
            numbers = (_number(item, key) for key in ("bid_price", "bid_size", "ask_price", "ask_size"))
            bid, bid_qty, ask, ask_qty = numbers
            found.append(Quote(symbol, stamp, bid, bid_qty, ask, ask_qty, seq, "Q"))
    return found, fields.optional_text(page, "next_url")


def encode(asked: Login | Subscribe) -> bytes:
    """Frame that logs in or subscribes.

    Raises
    ------
    Unsupported
        A channel that Polygon has not.
    """
    if isinstance(asked, Login):
        return msgspec.json.encode({"action": "auth", "params": asked.key})
    names = []
    for channel, symbol in asked.channels:
        if channel not in CHANNELS:
            raise Unsupported(f"Polygon has no channel {channel!r}; it has {', '.join(CHANNELS)}")
        names.append(f"{CHANNELS[channel]}.{symbol or '*'}")
    return msgspec.json.encode({"action": "subscribe" if asked.on else "unsubscribe", "params": ",".join(names)})
