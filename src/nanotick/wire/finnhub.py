"""Finnhub trades over WebSocket: last prices only, without sequence numbers or replay. Both sides of the protocol.

The token goes into the address (`wss://ws.finnhub.io?token=...`). Source: finnhub.io/docs/api/websocket-trades.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nanotick.wire import fields
from nanotick.wire.json_text import WireError, decode, epoch_ns
from nanotick.wire.messages import Message, Notice, Other, Trade
from nanotick.wire.requests import Subscribe, Unsupported

VENUE = "FINNHUB"
_MS = 1_000_000


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
    message = fields.mapping(message, "message")
    kind = message.get("type")
    if kind == "trade":
        rows = (fields.mapping(row, "data") for row in fields.sequence(message.get("data"), "data"))
        return [
            Trade(
                fields.text(row, "s"),
                epoch_ns(fields.whole(row, "t")),
                fields.number(row, "p"),
                fields.number(row, "v"),
                0,
            )
            for row in rows
        ]
    if kind == "error":
        return [Notice("error", fields.optional_text(message, "msg"))]
    if isinstance(kind, str):
        return [Other(kind if kind in ("ping", "news") else "unknown")]
    raise WireError(f"no Finnhub message has type={fields.shown(kind)} and {fields.keys_of(message)}")


def encode(asked: Subscribe) -> list[bytes]:
    """Frames that subscribe, one a symbol.

    Raises
    ------
    Unsupported
        Anything but trades of a symbol.
    """
    for channel, symbol in asked.channels:
        if channel != "trade" or not symbol:
            raise Unsupported(f"Finnhub streams trades of single symbols, not {channel!r} of {symbol!r}")
    kind = "subscribe" if asked.on else "unsubscribe"
    return [msgspec.json.encode({"type": kind, "symbol": symbol}) for _, symbol in asked.channels]


def encode_messages(messages: list[Message]) -> bytes:
    """The venue's frame of trades, or of one notice.

    Raises
    ------
    TypeError
        A message that Finnhub does not send.
    """
    if len(messages) == 1 and isinstance(messages[0], Notice):
        return msgspec.json.encode({"type": messages[0].status, "msg": messages[0].text})
    rows = []
    for trade in messages:
        if not isinstance(trade, Trade):
            raise TypeError(f"Finnhub sends no {type(trade).__name__}")
        price, size = msgspec.Raw(trade.price.encode()), msgspec.Raw(trade.qty.encode())
        rows.append({"c": None, "p": price, "s": trade.symbol, "t": trade.ts_venue // _MS, "v": size})
    return msgspec.json.encode({"data": rows, "type": "trade"})


def decode_request(data: bytes) -> Subscribe:
    """What a client asks.

    Raises
    ------
    WireError
    """
    message = fields.mapping(decode(data), "request")
    kind = fields.text(message, "type")
    if kind not in ("subscribe", "unsubscribe"):
        raise WireError(f"type: expected subscribe or unsubscribe, found {kind[:40]!r}")
    return Subscribe((("trade", fields.text(message, "symbol")),), kind == "subscribe")
