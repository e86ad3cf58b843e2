"""The venue's side of `wire.polygon`: frames that Polygon sends, and what it is asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from nanotick.wire import fields
from nanotick.wire.json_text import WireError, decode
from nanotick.wire.messages import Bar, Mark, Message, Notice, Quote, Trade
from nanotick.wire.polygon import CHANNELS
from nanotick.wire.requests import Login, Subscribe

_NAMES = {code: name for name, code in CHANNELS.items()}
_MS = 1_000_000
CONNECTED = Notice("connected", "Connected Successfully")
AUTHENTICATED = Notice("auth_success", "authenticated")
AUTH_FAILED = Notice("auth_failed", "Your API Key is not valid.")
NOT_AUTHENTICATED = Notice("auth_failed", "authentication required")
MAX_CONNECTIONS = Notice("max_connections", "Maximum number of websocket connections exceeded.")


def raw(text: str) -> msgspec.Raw:
    """A number written with the digits of its text."""
    return msgspec.Raw(text.encode())


def _item(message: Message) -> dict[str, Any]:
    if isinstance(message, Trade):
        item: dict[str, Any] = {
            "ev": "T", "sym": message.symbol, "x": 4, "i": str(message.trade_id), "z": 3, "p": raw(message.price),
            "s": raw(message.qty), "t": message.ts_venue // _MS, "q": message.seq,
        }  # fmt: skip
        if not message.printable:
            item["c"] = [15]
        return item
    if isinstance(message, Quote):
        return {
            "ev": "Q", "sym": message.symbol, "bx": 4, "bp": raw(message.bid), "bs": raw(message.bid_qty), "ax": 7,
            "ap": raw(message.ask), "as": raw(message.ask_qty), "c": 0, "t": message.ts_venue // _MS, "q": message.last,
            "z": 3,
        }  # fmt: skip
    if isinstance(message, Bar):
        prices = {key: raw(getattr(message, name)) for key, name in zip("ohlcv", ("open", "high", "low", "close",
            "volume"), strict=True)}  # fmt: skip
        start = message.ts_venue // _MS
        return {"ev": message.kind, "sym": message.symbol, **prices, "s": start,
                "e": start + (1000 if message.kind == "A" else 60_000)}  # fmt: skip
    if isinstance(message, Mark):
        return {"ev": "V", "val": raw(message.mark), "T": message.symbol, "t": message.ts_venue // _MS}
    if isinstance(message, Notice):
        return {"ev": "status", "status": message.status, "message": message.text}
    raise TypeError(f"Polygon sends no {type(message).__name__}")


def encode_messages(messages: Iterable[Message]) -> bytes:
    """One frame of trades, quotes, bars, index values and notices.

    Raises
    ------
    TypeError
        A message that Polygon does not send.
    """
    return msgspec.json.encode([_item(message) for message in messages])


def decode_request(data: bytes) -> Login | Subscribe:
    """What a client asks.

    Raises
    ------
    WireError
    """
    message = fields.mapping(decode(data), "request")
    action = fields.text(message, "action")
    params = message.get("params")
    if not isinstance(params, str):
        raise WireError(f"params: expected text, found {fields.shown(params)}")
    if action == "auth":
        return Login(params)
    if action not in ("subscribe", "unsubscribe"):
        raise WireError(f"action: expected auth, subscribe or unsubscribe, found {action[:40]!r}")
    channels = []
    for name in params.split(","):
        code, dot, symbol = name.strip().partition(".")
        if not dot or code not in _NAMES or not symbol:
            raise WireError(f"params: expected channels such as T.AAPL or Q.*, found {name[:40]!r}")
        channels.append((_NAMES[code], symbol))
    return Subscribe(tuple(channels), action == "subscribe")
