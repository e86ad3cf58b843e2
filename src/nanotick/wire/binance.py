"""Binance market data, general path: any valid frame to `wire.messages`, whatever its key order or spacing.

Source: github.com/binance/binance-spot-api-docs (web-socket-streams.md, rest-api.md) and the USD-M and COIN-M futures
documentation. The fast path over whole recordings is `wire.binance_scan`; it hands over here what it does not settle.

Stamps are ms, or us when the stream was opened with timeUnit=MICROSECOND. The venue's time of an update is `T` (of the
matching engine) where it is sent, else `E` (of sending); spot bookTicker has neither.
"""

from __future__ import annotations

from typing import Any

from nanotick.wire import fields
from nanotick.wire.json_text import Digits, WireError, decode, epoch_ns, integer, places
from nanotick.wire.messages import Depth, Level, Listed, Mark, Message, Notice, Other, Quote, Trade, side_of

# types of stream messages that carry no event of ours
WITHOUT_EVENTS = frozenset(
    "kline continuous_kline 24hrTicker 24hrMiniTicker 1hTicker 4hTicker 1dTicker avgPrice forceOrder compositeIndex "
    "contractInfo assetIndexUpdate indexPriceUpdate indexPrice_kline markPrice_kline "
    "executionReport outboundAccountPosition balanceUpdate listStatus listenKeyExpired externalLockUpdate "
    "eventStreamTerminated ORDER_TRADE_UPDATE ACCOUNT_UPDATE ACCOUNT_CONFIG_UPDATE MARGIN_CALL TRADE_LITE "
    "tradingSessionUpdate openInterest referencePrice blockTrade".split()
)


def _text(message: dict[str, Any], key: str) -> str:
    value = message.get(key)
    if isinstance(value, str):
        return value
    raise WireError(f"{key}: expected text, found {fields.shown(value)}")


def _symbol(message: dict[str, Any], key: str = "s") -> str:
    value = _text(message, key)
    if isinstance(value, Digits) or not 0 < len(value.encode()) <= 32:
        raise WireError(f"{key}: expected a symbol, found {value[:40]!r}")
    return value


def _int(message: dict[str, Any], key: str) -> int:
    value = message.get(key)
    if not isinstance(value, Digits):
        raise WireError(f"{key}: expected an integer, found {fields.shown(value)}")
    return integer(value, key)


def _time(message: dict[str, Any]) -> int:
    if "T" in message:
        return epoch_ns(_int(message, "T"))
    return epoch_ns(_int(message, "E")) if "E" in message else 0


def _number(message: dict[str, Any], key: str) -> str:
    value = _text(message, key)
    places(value, key)
    return str(value)


def _levels(message: dict[str, Any], key: str) -> list[Level]:
    rows = message.get(key)
    if not isinstance(rows, list):
        raise WireError(f"{key}: expected a list of levels, found {fields.shown(rows)}")
    levels: list[Level] = []
    for row in rows:
        if not (isinstance(row, list) and len(row) == 2 and isinstance(row[0], str) and isinstance(row[1], str)):
            raise WireError(f"{key}: expected levels of price and quantity, found {fields.shown(row)}")
        levels.append((str(row[0]), str(row[1])))
    return levels


def _depth(message: dict[str, Any]) -> Depth:
    previous = _int(message, "pu") if "pu" in message else -1
    bids, asks = _levels(message, "b"), _levels(message, "a")
    first, last = _int(message, "U"), _int(message, "u")
    if first > last:
        raise WireError(f"first update id {first} above last {last}")
    return Depth(_symbol(message), _time(message), bids, asks, False, first, last, previous, kind="depthUpdate")


def _trade(message: dict[str, Any]) -> Trade:
    maker = message.get("m")
    if not isinstance(maker, bool):
        raise WireError(f"m: expected true or false, found {fields.shown(maker)}")
    aggregate = message["e"] == "aggTrade"
    order = 0
    key = "b" if maker else "a"
    if not aggregate and key in message:
        order = _int(message, key)
    return Trade(
        _symbol(message),
        _time(message),
        _number(message, "p"),
        _number(message, "q"),
        side_of(maker),
        _int(message, "a" if aggregate else "t"),
        order,
        message.get("X", "MARKET") == "MARKET",
        kind=message["e"],
    )


def _quote(message: dict[str, Any]) -> Quote:
    return Quote(
        _symbol(message),
        _time(message),
        _number(message, "b"),
        _number(message, "B"),
        _number(message, "a"),
        _number(message, "A"),
        _int(message, "u"),
        kind="bookTicker",
    )


def _mark(message: dict[str, Any]) -> Mark:
    # T is the next funding time here, so the venue's time is E; r is empty text for contracts that pay no funding
    rate = message.get("r", "0")
    index = message.get("i", "0")
    return Mark(
        _symbol(message),
        epoch_ns(_int(message, "E")),
        _number(message, "p"),
        _number({"i": index or "0"}, "i"),
        _number({"r": rate or "0"}, "r"),
        kind="markPriceUpdate",
    )


def _snapshot(message: dict[str, Any]) -> Depth:
    return Depth(
        _symbol(message, "symbol") if "symbol" in message else "",
        _time(message),
        _levels(message, "bids"),
        _levels(message, "asks"),
        True,
        last=_int(message, "lastUpdateId"),
        kind="rest_depth_snapshot",
    )


def _filter(symbol: dict[str, Any], kind: str) -> dict[str, Any]:
    for item in symbol.get("filters") or []:
        if isinstance(item, dict) and item.get("filterType") == kind:
            return item
    return {}


def _listed(message: dict[str, Any]) -> list[Message]:
    found: list[Message] = []
    for item in message["symbols"]:
        if not isinstance(item, dict) or not isinstance(item.get("symbol"), str):
            continue
        price, lot = _filter(item, "PRICE_FILTER"), _filter(item, "LOT_SIZE")
        notional = _filter(item, "NOTIONAL") or _filter(item, "MIN_NOTIONAL")
        size = item.get("contractSize")
        found.append(
            Listed(
                item["symbol"],
                str(price.get("tickSize") or ""),
                str(lot.get("stepSize") or ""),
                str(lot.get("minQty") or ""),
                str(lot.get("maxQty") or ""),
                str(notional.get("minNotional") or notional.get("notional") or ""),
                str(size or ""),
                size is not None,
                str(item.get("marginAsset") or item.get("quoteAsset") or ""),
            )
        )
    return found


def _request(message: dict[str, Any]) -> int:
    """The id of the request that is answered, 0 if it is no number."""
    value = message.get("id")
    return int(value) if isinstance(value, Digits) and value.isdigit() and len(value) < 18 else 0


def decode_frame(data: bytes) -> list[Message]:
    """Messages of one frame: a raw stream's, a combined stream's, a REST depth snapshot or an exchangeInfo body.

    Raises
    ------
    WireError
        Not JSON, or not a message of these streams.
    """
    message = decode(data)
    if isinstance(message, dict) and "stream" in message and "data" in message:
        message = message["data"]
    if isinstance(message, list):  # all-market streams
        found: list[Message] = []
        for item in message:
            found.extend(_decode(item))
        return found
    return _decode(message)


def _decode(message: Any) -> list[Message]:
    if not isinstance(message, dict):
        raise WireError(f"expected an object, found {fields.shown(message)}")
    kind = message.get("e")
    if kind == "depthUpdate":
        return [_depth(message)]
    if kind in ("trade", "aggTrade"):
        return [_trade(message)]
    if kind == "bookTicker" or (kind is None and {"u", "s", "b", "B", "a", "A"} <= message.keys()):
        return [_quote(message)]
    if kind == "markPriceUpdate":
        return [_mark(message)]
    if kind == "serverShutdown":
        return [Notice(kind)]
    if isinstance(kind, str) and kind in WITHOUT_EVENTS:
        return [Other(kind)]
    if kind is None:
        if "lastUpdateId" in message and "bids" in message:
            return [_snapshot(message)]
        if isinstance(message.get("symbols"), list):
            return _listed(message)
        if "result" in message and "error" not in message:
            return [Notice("result", code=_request(message))]
        if "method" in message:
            return [Other("subscription")]
        if ("code" in message and "msg" in message) or "error" in message:
            held = message.get("error")
            text = (held if isinstance(held, dict) else message).get("msg")
            return [Notice("error", str(text)[:256] if isinstance(text, str) else "", _request(message), "error")]
    raise WireError(f"no Binance market data message has e={fields.shown(kind)} and {fields.keys_of(message)}")
