"""Which instruments Binance lists, and the rules their orders must meet: exchangeInfo.

Quantities get eight decimals where the value of a position allows it: the step an order must keep to is coarser, but
the venue publishes finer quantities now and then (191.38900600 BTC at a step of 0.00001), and balances have fees taken
off. Source: binance-spot-api-docs, filters.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from nanotick.core.instruments import Instrument
from nanotick.venues.host import Host
from nanotick.venues.listing import Listed, Rules, ask_listed, qty_room
from nanotick.wire import fields
from nanotick.wire.json_text import decode
from nanotick.wire.requests import Request


@dataclass(frozen=True)
class BinanceRules(Rules):
    """As `Rules`, and Binance's filters.

    Attributes
    ----------
    bid_up, bid_down, ask_up, ask_down : str
        PERCENT_PRICE_BY_SIDE (or PERCENT_PRICE): bounds of a price as multiples of the average; empty if none.
    max_orders : int
        Open orders at most, 0 if not told.
    max_position : str
    self_trade : str
        Mode of self-trade prevention if an order names none.
    """

    bid_up: str = ""
    bid_down: str = ""
    ask_up: str = ""
    ask_down: str = ""
    max_orders: int = 0
    max_position: str = ""
    self_trade: str = ""


def _places(step: str) -> int:
    """Decimals of a step such as 0.00100000."""
    digits = step.rstrip("0").rstrip(".") if "." in step else step
    return len(digits.partition(".")[2])


def listed_in(body: bytes, venue: str) -> Listed[BinanceRules]:
    """Instruments and rules of an exchangeInfo body, by symbol.

    Raises
    ------
    WireError
    """
    message = fields.mapping(decode(body), "exchangeInfo")
    found: Listed[BinanceRules] = {}
    for item in fields.sequence(message.get("symbols"), "symbols"):
        item = fields.mapping(item, "symbols")
        filters = {
            str(row.get("filterType")): row
            for row in fields.sequence(item.get("filters"), "filters")
            if isinstance(row, dict)
        }
        symbol = fields.text(item, "symbol")
        found[symbol] = _instrument(symbol, venue, item, filters), _rules(item, filters)
    return found


def _text(row: dict[str, Any], key: str, default: str = "0") -> str:
    value = row.get(key)
    return str(value) if isinstance(value, str) else default


def _instrument(symbol: str, venue: str, item: dict[str, Any], filters: dict[str, dict[str, Any]]) -> Instrument:
    price, lot = filters.get("PRICE_FILTER", {}), filters.get("LOT_SIZE", {})
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {}
    tick, step = _text(price, "tickSize", "0.00000001"), _text(lot, "stepSize", "0.00000001")
    price_decimals, least = _places(tick), _places(step)
    qty_decimals = max(least, qty_room(price_decimals))
    return Instrument(
        symbol, venue, price_decimals, qty_decimals, tick, step, _text(lot, "minQty"), _text(lot, "maxQty"),
        _text(notional, "minNotional"), currency=_text(item, "quoteAsset", ""),
    )  # fmt: skip


def _rules(item: dict[str, Any], filters: dict[str, dict[str, Any]]) -> BinanceRules:
    percent, plain = filters.get("PERCENT_PRICE_BY_SIDE", {}), filters.get("PERCENT_PRICE", {})
    up, down = _text(plain, "multiplierUp", ""), _text(plain, "multiplierDown", "")
    orders = filters.get("MAX_NUM_ORDERS", {})
    return BinanceRules(
        _text(item, "baseAsset", ""), _text(item, "quoteAsset", ""), item.get("status") == "TRADING",
        _text(percent, "bidMultiplierUp", up), _text(percent, "bidMultiplierDown", down),
        _text(percent, "askMultiplierUp", up), _text(percent, "askMultiplierDown", down),
        fields.whole(orders, "maxNumOrders", 0), _text(filters.get("MAX_POSITION", {}), "maxPosition", ""),
        _text(item, "defaultSelfTradePreventionMode", ""),
    )  # fmt: skip


def listed(
    host: Host,
    base: str,
    symbols: Iterable[str],
    done: Callable[[Listed[BinanceRules] | None, str], None],
    venue: str = "BINANCE",
) -> None:
    """Ask what a venue lists.

    Parameters
    ----------
    base : str
        REST address.
    symbols : iterable of str
        None of them: all.
    done : callable
        `done(listed, "")`, or `done(None, why)`.
    """
    chosen = list(symbols)
    wanted = quote(msgspec.json.encode(chosen).decode(), safe="")
    path = "/api/v3/exchangeInfo" + (f"?symbols={wanted}" if chosen else "")
    ask_listed(host, base, Request("GET", path), lambda body: listed_in(body, venue), chosen, done)
