"""An instrument from what a recording shows of it: the venue's own directory, else the digits that were sent."""

from __future__ import annotations

from typing import Any

from nanotick.core.instruments import Contract, Instrument
from nanotick.wire.json_text import places
from nanotick.wire.messages import Listed


def inferred_instrument(
    symbol: str, venue: str, price_places: int, qty_places: int, listed: Listed | None = None, **fields: Any
) -> Instrument:
    """The instrument of a symbol.

    Parameters
    ----------
    symbol, venue : str
    price_places, qty_places : int
        Decimal places that the digits seen need; the directory's steps may need more.
    listed : Listed, optional
        What the venue's directory says; it goes before `fields`.
    **fields
        Further `Instrument` fields, from what is known of the venue.

    Returns
    -------
    Instrument
        Tick and lot are the smallest steps of the scales where no directory names them.
    """
    if listed is not None:
        for name in ("tick_size", "lot_size", "min_qty", "max_qty", "min_notional", "multiplier", "currency"):
            if value := getattr(listed, name):
                fields[name] = value
        if listed.inverse:
            fields["contract"] = Contract.INVERSE
        price_places = max(price_places, places(listed.tick_size or "0"))
        qty_places = max(qty_places, places(listed.lot_size or "0"))
    if price_places + qty_places > 18:
        qty_places = max(0, 18 - price_places)
    fields.setdefault("tick_size", f"{10**-price_places:.{price_places}f}")
    fields.setdefault("lot_size", f"{10**-qty_places:.{qty_places}f}")
    for name, room in (("min_qty", qty_places), ("max_qty", qty_places), ("min_notional", price_places + qty_places)):
        if name in fields and places(fields[name]) > room:
            del fields[name]
    return Instrument(symbol, venue, price_places, qty_places, **fields)
