"""Gaps in the recording: no order of ours is matched until the book has been told anew.

What was traded in a gap is unknown, so nothing is matched in it: not by trades that are heard of all the same, not by
levels that no longer hold. Orders stay, and can be cancelled. When the book is whole again, whatever it has reached
meanwhile is filled at its own limit (the other side stands at or past it, so it cannot still rest), and everything else
is put at the back of its queue: all that is displayed at its price is ahead of it.
"""

from __future__ import annotations

from nanotick.book import best_price
from nanotick.book.gap import TRUSTED, gap_after
from nanotick.core.kernel import kernel
from nanotick.core.records import event_at
from nanotick.exchange.matching import take_place
from nanotick.exchange.records import IN_GAP, NEVER, market_at, own_at, profile_at, venue_at
from nanotick.exchange.resting import level_reached
from nanotick.exchange.stops import trigger_on_quote


@kernel
def _requeue(venue: int, market_address: int, index: int) -> None:
    orders = venue_at(venue).orders_address
    at = market_at(market_address).head[index]
    while at != 0:
        slot = at - 1
        at = own_at(orders, slot).next
        take_place(venue, market_address, slot)


@kernel
def _rebuilt(venue: int, market_address: int, instrument: int, now: int) -> None:
    market = market_at(market_address)
    _requeue(venue, market_address, 0)
    _requeue(venue, market_address, 1)
    if market.blocked != 0:
        return
    book = venue_at(venue).book_address
    for index in range(2):
        side = 1 - 2 * index
        best = best_price(book, instrument, side)
        if side * best != -NEVER:
            level_reached(venue, market_address, side, best, now)
    if market.stops != 0:
        trigger_on_quote(venue, market_address, instrument, now)


@kernel
def gap_row(venue: int, market_address: int, event_address: int) -> None:
    """A GAP, or an event of an instrument whose book is not to be trusted, after it went into the book."""
    market = market_at(market_address)
    if profile_at(market.profile_address).ignore_gaps != 0:
        return
    event = event_at(event_address)
    before = market.gap
    quotes_only = market.by_quote != 0 and market.by_level == 0 and market.by_order == 0
    market.gap = gap_after(before, event_address, quotes_only)
    if before == TRUSTED and market.gap != TRUSTED:
        market.watch += 1  # so that rows come here, whether or not we have orders
        market.blocked = market.blocked | IN_GAP
    elif before != TRUSTED and market.gap == TRUSTED:
        market.watch -= 1
        market.blocked = market.blocked & ~IN_GAP
        _rebuilt(venue, market_address, event.instrument, event.ts_venue)
