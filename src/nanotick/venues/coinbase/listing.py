"""Which products Coinbase lists, and their scales. Source: docs.cdp.coinbase.com, "List Public Products"."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from nanotick.core.instruments import Instrument
from nanotick.venues.host import Host
from nanotick.venues.listing import Listed, Rules, ask_listed, qty_room
from nanotick.wire import fields
from nanotick.wire.coinbase_trading import BASE
from nanotick.wire.json_text import decode, places
from nanotick.wire.requests import Request


@dataclass(frozen=True)
class CoinbaseRules(Rules):
    """As `Rules`, and whose book it is.

    Attributes
    ----------
    alias_to : tuple of str
        Products whose book this one is, too (USDC books and USD books).
    """

    alias_to: tuple[str, ...] = ()


def listed_in(body: bytes, venue: str = "COINBASE") -> Listed[CoinbaseRules]:
    """Instruments and rules of a products body, by product.

    Raises
    ------
    WireError
    """
    message = fields.mapping(decode(body), "products")
    found: Listed[CoinbaseRules] = {}
    for item in fields.sequence(message.get("products"), "products"):
        item = fields.mapping(item, "products")
        name = fields.text(item, "product_id")
        if fields.optional_text(item, "product_type") not in ("SPOT", ""):
            continue
        alias = tuple(str(other) for other in fields.sequence(item.get("alias_to") or [], "alias_to"))
        trading = item.get("trading_disabled") is not True and item.get("is_disabled") is not True
        base, quote = fields.text(item, "base_currency_id"), fields.text(item, "quote_currency_id")
        found[name] = _instrument(name, quote, venue, item), CoinbaseRules(base, quote, trading, alias)
    return found


def _instrument(name: str, quote: str, venue: str, item: dict[str, Any]) -> Instrument:
    tick = fields.optional_text(item, "price_increment") or fields.text(item, "quote_increment")
    lot = fields.text(item, "base_increment")
    price_decimals, least = places(tick), places(lot)
    qty_decimals = max(least, qty_room(price_decimals))
    return Instrument(
        name, venue, price_decimals, qty_decimals, tick, lot, fields.optional_text(item, "base_min_size") or lot,
        fields.optional_text(item, "base_max_size") or "0", currency=quote,
    )  # fmt: skip


def listed(
    host: Host,
    base: str,
    symbols: Iterable[str],
    done: Callable[[Listed[CoinbaseRules] | None, str], None],
    venue: str = "COINBASE",
) -> None:
    """Ask what Coinbase lists; `done(listed, "")`, or `done(None, why)`.

    Parameters
    ----------
    base : str
        REST address.
    symbols : iterable of str
        That must be there (BTC-USD).
    """
    request = Request("GET", f"{BASE}/market/products")
    hint = "symbols are written as BTC-USD"
    ask_listed(host, base, request, lambda body: listed_in(body, venue), symbols, done, hint)
