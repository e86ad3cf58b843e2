"""The best bid and offer of one symbol over several exchanges.

A table of rows (address of a book store, number of the instrument there), grouped by symbol. It is read off the
displayed books when asked: there is no copy that could lag. What a participant sees late is the runner's to model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nanotick.book import best_price, best_qty
from nanotick.book.records import EMPTY_RANK
from nanotick.core.arena import Arena
from nanotick.core.kernel import kernel, python_body
from nanotick.core.memory import record_at
from nanotick.exchange.market.exchange import MatchingExchange

PLACE = np.dtype([("store_address", "<i8"), ("instrument", "<i8"), ("venue", "<i8")])
GROUP = np.dtype([("first", "<i8"), ("count", "<i8")])
CONSOLIDATED = np.dtype(
    [
        ("places_address", "<i8"),
        ("groups_address", "<i8"),
        ("groups", "<i8"),
        ("price", "<i8"),  # of the last answer; EMPTY_BID or EMPTY_ASK when no venue has any
        ("qty", "<i8"),  # at that price, all venues together
        ("venue", "<i8"),  # first of the venues that show it
        ("venues", "<i8"),  # how many show it
    ]
)
place_at = record_at(PLACE, "ConsolidatedPlace")
group_at = record_at(GROUP, "ConsolidatedGroup")
consolidated_at = record_at(CONSOLIDATED, "Consolidated")


@kernel
def consolidated_best(table: int, group: int, side: int) -> int:
    """Best price of a side of a symbol over its venues; the other facts are then in the CONSOLIDATED record."""
    root = consolidated_at(table)
    row = group_at(root.groups_address, group)
    best, qty, venue, venues = EMPTY_RANK, 0, -1, 0
    for i in range(row.count):
        place = place_at(root.places_address, row.first + i)
        rank = side * best_price(place.store_address, place.instrument, side)
        if rank > best:
            best, qty, venue, venues = rank, 0, place.venue, 0
        if rank == best and rank != EMPTY_RANK:
            qty += best_qty(place.store_address, place.instrument, side)
            venues += 1
    root.price = side * best
    root.qty = qty
    root.venue = venue
    root.venues = venues
    return root.price


class Best(NamedTuple):
    """Best price over the venues, the quantity they show there together, the first of them and how many."""

    price: int
    qty: int
    venue: int
    venues: int


class ConsolidatedQuotes:
    """Consolidated best bid and offer of the symbols that some exchanges list.

    Parameters
    ----------
    arena : Arena
    exchanges : sequence of MatchingExchange
        Numbered as venues in the order given. A symbol is one thing where its name, scales and currency agree.
    name : str
        Prefix of the regions.

    Raises
    ------
    ValueError
        The same symbol has different scales at two exchanges: its prices cannot be compared.
    """

    def __init__(self, arena: Arena, exchanges: Sequence[MatchingExchange], name: str = "consolidated") -> None:
        self.symbols: dict[str, int] = {}
        places: list[list[tuple[int, int, int]]] = []
        scales: list[tuple[int, int, str]] = []
        for venue, exchange in enumerate(exchanges):
            for number, item in enumerate(exchange.instruments):
                scale = (item.price_decimals, item.qty_decimals, item.currency)
                group = self.symbols.setdefault(item.symbol, len(places))
                if group == len(places):
                    places.append([])
                    scales.append(scale)
                if scales[group] != scale:
                    raise ValueError(
                        f"{item.symbol}: expected the scales and currency {scales[group]} as elsewhere, found {scale} "
                        f"at {exchange.name}; list it under another symbol"
                    )
                places[group].append((exchange.book.address, number, venue))
        rows = [row for group in places for row in group]
        table = arena.region(f"{name}.places", PLACE, max(1, len(rows)))
        groups = arena.region(f"{name}.groups", GROUP, max(1, len(places)))
        root = arena.region(f"{name}.root", CONSOLIDATED, 1)
        for record, row in zip(table.view, rows, strict=False):
            record["store_address"], record["instrument"], record["venue"] = row
        first = 0
        for record, group_rows in zip(groups.view, places, strict=False):
            record["first"], record["count"] = first, len(group_rows)
            first += len(group_rows)
        root.view["places_address"], root.view["groups_address"] = table.address, groups.address
        root.view["groups"] = len(places)
        self.address = root.address
        self._root = root.view

    def best(self, symbol: str, side: int) -> Best:
        """Best bid (side 1) or offer (-1) of a symbol."""
        python_body(consolidated_best)(self.address, self.symbols[symbol], side)
        row = self._root[0]
        return Best(int(row["price"]), int(row["qty"]), int(row["venue"]), int(row["venues"]))
