"""Which products Coinbase lists, and their scales. Source: docs.cdp.coinbase.com, "List Public Products"."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from nanotick.core.instruments import Instrument
from nanotick.venues.host import REQUEST_TIMEOUT_NS, Host
from nanotick.wire import fields
from nanotick.wire.coinbase_trading import BASE
from nanotick.wire.json_text import WireError, decode, places
from nanotick.wire.requests import Request, Response

_SCALES = 10  # decimals of price and quantity together: values to 900 million
_FINEST = 8


@dataclass(frozen=True)
class Rules:
    """What an instrument's record has no field for.

    Attributes
    ----------
    base, quote : str
        Assets.
    trading : bool
    alias_to : tuple of str
        Products whose book this one is, too (USDC books and USD books).
    """

    base: str
    quote: str
    trading: bool
    alias_to: tuple[str, ...] = ()


Listed = dict[str, tuple[Instrument, Rules]]


def listed_in(body: bytes, venue: str = "COINBASE") -> Listed:
    """Instruments and rules of a products body, by product.

    Raises
    ------
    WireError
    """
    message = fields.mapping(decode(body), "products")
    found: Listed = {}
    for item in fields.sequence(message.get("products"), "products"):
        item = fields.mapping(item, "products")
        name = fields.text(item, "product_id")
        if fields.optional_text(item, "product_type") not in ("SPOT", ""):
            continue
        alias = tuple(str(other) for other in fields.sequence(item.get("alias_to") or [], "alias_to"))
        trading = item.get("trading_disabled") is not True and item.get("is_disabled") is not True
        base, quote = fields.text(item, "base_currency_id"), fields.text(item, "quote_currency_id")
        found[name] = _instrument(name, quote, venue, item), Rules(base, quote, trading, alias)
    return found


def _instrument(name: str, quote: str, venue: str, item: dict[str, Any]) -> Instrument:
    tick = fields.optional_text(item, "price_increment") or fields.text(item, "quote_increment")
    lot = fields.text(item, "base_increment")
    price_decimals, least = places(tick), places(lot)
    qty_decimals = max(least, min(_FINEST, _SCALES - price_decimals))
    return Instrument(
        name, venue, price_decimals, qty_decimals, tick, lot, fields.optional_text(item, "base_min_size") or lot,
        fields.optional_text(item, "base_max_size") or "0", currency=quote,
    )  # fmt: skip


def listed(
    host: Host,
    base: str,
    symbols: Iterable[str],
    done: Callable[[Listed | None, str], None],
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
    chosen = list(symbols)

    def take(response: Response) -> None:
        try:
            if response.status != 200:
                raise WireError(f"HTTP status {response.status} {response.body[:200].decode(errors='replace')}")
            found = listed_in(response.body, venue)
        except (WireError, ValueError) as error:
            done(None, f"{base}: what it lists cannot be read: {error}")
            return
        missing = [symbol for symbol in chosen if symbol not in found]
        if missing:
            done(None, f"{base}: lists no {', '.join(missing)}; symbols are written as BTC-USD")
        else:
            done(found, "")

    host.ask(base, Request("GET", f"{BASE}/market/products"), take, 4 * REQUEST_TIMEOUT_NS)
