"""Bybit market data, v5 public streams: order book snapshots and deltas, trades, instruments.

A delta's update id `u` follows its predecessor by one; a snapshot starts anew. Levels are absolute, "0" deletes.
Source: bybit-exchange.github.io/docs/v5/websocket/public/orderbook and /trade.
"""

from __future__ import annotations

from typing import Any

from nanotick.core.records import BUY, SELL
from nanotick.wire import fields
from nanotick.wire.json_text import WireError, decode, epoch_ns
from nanotick.wire.messages import Depth, Listed, Message, Other, Trade

_SIDES = {"Buy": BUY, "Sell": SELL}
_OTHER = frozenset("tickers kline liquidation allLiquidation kline_lt tickers_lt lt insurance adl priceLimit".split())


def _trades(rows: Any) -> list[Message]:
    found: list[Message] = []
    for row in fields.sequence(rows, "data"):
        row = fields.mapping(row, "data")
        if row.get("S") not in _SIDES:
            raise WireError(f"S: expected Buy or Sell, found {fields.shown(row.get('S'))}")
        stamp = epoch_ns(fields.whole(row, "T"))
        price, qty = fields.number(row, "p"), fields.number(row, "v")
        found.append(Trade(fields.text(row, "s"), stamp, price, qty, _SIDES[row["S"]], fields.ident(row.get("i"))))
    return found


def _instruments(result: dict[str, Any]) -> list[Message]:
    found: list[Message] = []
    for item in fields.sequence(result.get("list"), "list"):
        item = fields.mapping(item, "list")
        price, lot = item.get("priceFilter") or {}, item.get("lotSizeFilter") or {}
        found.append(
            Listed(
                fields.text(item, "symbol"),
                str(price.get("tickSize") or ""),
                str(lot.get("qtyStep") or lot.get("basePrecision") or ""),
                str(lot.get("minOrderQty") or ""),
                str(lot.get("maxOrderQty") or ""),
                str(lot.get("minNotionalValue") or lot.get("minOrderAmt") or ""),
                inverse=str(item.get("contractType") or "").startswith("Inverse"),
                currency=str(item.get("settleCoin") or item.get("quoteCoin") or ""),
            )
        )
    return found


def decode_frame(data: bytes) -> list[Message]:
    """Messages of one frame, or of an instruments-info body.

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
    if "topic" not in message:
        if "op" in message or "success" in message:
            return [Other("subscription")]
        if isinstance(message.get("result"), dict) and "list" in message["result"]:
            return _instruments(message["result"])
        raise WireError(f"no Bybit message has {fields.keys_of(message)}")
    topic = fields.text(message, "topic").partition(".")[0]
    if topic == "orderbook":
        body = fields.mapping(message.get("data"), "data")
        kind = message.get("type")
        if kind not in ("snapshot", "delta"):
            raise WireError(f"type: expected snapshot or delta, found {fields.shown(kind)}")
        stamp = epoch_ns(fields.whole(message, "cts" if "cts" in message else "ts"))
        last = fields.whole(body, "u")
        bids, asks = fields.levels(body.get("b"), "b"), fields.levels(body.get("a"), "a")
        snapshot = kind == "snapshot" or last == 1  # 1: the service started again
        return [Depth(fields.text(body, "s"), stamp, bids, asks, snapshot, last, last, kind="orderbook")]
    if topic == "publicTrade":
        return _trades(message.get("data"))
    if topic in _OTHER:
        return [Other(topic)]
    raise WireError(f"no Bybit topic is called {topic[:40]!r}")
