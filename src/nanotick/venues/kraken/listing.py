"""Which pairs Kraken lists, and their scales: AssetPairs.

Kraken's quantities have eight decimals. An instrument has as many as its value scale leaves room for; finer digits that
the venue publishes are cut, and orders are no finer. Source: docs.kraken.com, "Get Tradable Asset Pairs".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from nanotick.core.instruments import Instrument
from nanotick.venues.host import Host
from nanotick.venues.kraken.names import asset_of
from nanotick.venues.listing import Listed, Rules, ask_listed, qty_room
from nanotick.wire import fields
from nanotick.wire.json_text import WireError, decode
from nanotick.wire.requests import Request


def listed_in(body: bytes, venue: str = "KRAKEN") -> Listed[Rules]:
    """Instruments and rules of an AssetPairs body, by symbol (BTC/USD).

    Raises
    ------
    WireError
    """
    message = fields.mapping(decode(body), "AssetPairs")
    errors = message.get("error")
    if errors:
        raise WireError(fields.shown(errors[0] if isinstance(errors, list) else errors))
    found: Listed[Rules] = {}
    for item in fields.mapping(message.get("result"), "result").values():
        item = fields.mapping(item, "pair")
        base, _, quote = fields.optional_text(item, "wsname").partition("/")
        if not quote:
            continue  # dark pools
        base, quote = asset_of(base), asset_of(quote)
        found[f"{base}/{quote}"] = _instrument(f"{base}/{quote}", quote, venue, item), Rules(
            base, quote, item.get("status", "online") == "online"
        )  # fmt: skip
    return found


def _instrument(symbol: str, quote: str, venue: str, item: dict[str, Any]) -> Instrument:
    price_decimals = fields.whole(item, "pair_decimals")
    qty_decimals = max(0, min(fields.whole(item, "lot_decimals"), qty_room(price_decimals)))
    tick = fields.optional_text(item, "tick_size") or f"{10.0**-price_decimals:.{price_decimals}f}"
    lot = f"{10.0**-qty_decimals:.{qty_decimals}f}"
    return Instrument(
        symbol, venue, price_decimals, qty_decimals, tick, lot, fields.optional_text(item, "ordermin") or lot,
        min_notional=fields.optional_text(item, "costmin") or "0", currency=quote,
    )  # fmt: skip


def listed(
    host: Host,
    base: str,
    symbols: Iterable[str],
    done: Callable[[Listed[Rules] | None, str], None],
    venue: str = "KRAKEN",
) -> None:
    """Ask what Kraken lists; `done(listed, "")`, or `done(None, why)`.

    Parameters
    ----------
    base : str
        REST address.
    symbols : iterable of str
        That must be there (BTC/USD).
    """
    request = Request("GET", "/0/public/AssetPairs")
    hint = "symbols are written as BTC/USD"
    ask_listed(host, base, request, lambda body: listed_in(body, venue), symbols, done, hint)
