"""What we have taken from the displayed book and the recording still shows.

Recorded data does not react: after we buy 50 at 100 the next snapshot of the recording shows the same 50. A depletion
remembers them, so that they are not taken twice. On price-level data it lasts until the feed tells the level's quantity
again; on order-by-order data it shrinks by what leaves the level and new orders add to what is to be had.
"""

from __future__ import annotations

from nanotick.book import best_price, level_qty, next_price
from nanotick.core.kernel import kernel
from nanotick.exchange.records import DEPLETIONS_FULL, NEVER, depletion_at, market_at, venue_at
from nanotick.exchange.working import side_index


@kernel
def taken_at(venue: int, market_address: int, side: int, price: int) -> int:
    """Quantity of a displayed level that is ours already."""
    at = market_at(market_address).depleted[side_index(side)]
    while at != 0:
        entry = depletion_at(venue_at(venue).depletions_address, at)
        if entry.price == price:
            return entry.taken
        at = entry.next
    return 0


@kernel
def available_qty(venue: int, market_address: int, instrument: int, side: int, price: int) -> int:
    """Displayed quantity of a level that we have not taken."""
    shown = level_qty(venue_at(venue).book_address, instrument, side, price)
    if market_at(market_address).depleted[side_index(side)] == 0:
        return shown
    return max(0, shown - taken_at(venue, market_address, side, price))


@kernel
def best_available(venue: int, market_address: int, instrument: int, side: int) -> int:
    """Rank of the best level that still has something for us, -NEVER for none."""
    book = venue_at(venue).book_address
    price = best_price(book, instrument, side)
    while side * price != -NEVER and available_qty(venue, market_address, instrument, side, price) == 0:
        price = next_price(book, instrument, side, price)
    return side * price


@kernel
def deplete(venue: int, market_address: int, side: int, price: int, qty: int) -> bool:
    """Remember that we took quantity from a level; False when there is no room to."""
    v = venue_at(venue)
    market = market_at(market_address)
    index = side_index(side)
    at = market.depleted[index]
    while at != 0:
        entry = depletion_at(v.depletions_address, at)
        if entry.price == price:
            entry.taken += qty
            return True
        at = entry.next
    slot = v.depletion_free
    if slot != 0:
        v.depletion_free = depletion_at(v.depletions_address, slot).next
    elif v.depletion_used < v.depletion_capacity:
        slot = v.depletion_used
        v.depletion_used += 1
    else:
        v.status = v.status | DEPLETIONS_FULL
        return False
    entry = depletion_at(v.depletions_address, slot)
    entry.price = price
    entry.taken = qty
    entry.next = market.depleted[index]
    market.depleted[index] = slot
    market.watch += 1
    v.depleted += 1
    return True


@kernel
def _drop(venue: int, market_address: int, index: int, before: int, at: int) -> int:
    """Remove an entry from its list; the one after it."""
    v = venue_at(venue)
    market = market_at(market_address)
    entry = depletion_at(v.depletions_address, at)
    after = entry.next
    if before != 0:
        depletion_at(v.depletions_address, before).next = after
    else:
        market.depleted[index] = after
    entry.price = 0
    entry.taken = 0
    entry.next = v.depletion_free
    v.depletion_free = at
    market.watch -= 1
    v.depleted -= 1
    return after


@kernel
def refresh_level(venue: int, market_address: int, side: int, price: int) -> None:
    """The feed told this level anew: nothing of it is taken."""
    index = side_index(side)
    before = 0
    at = market_at(market_address).depleted[index]
    while at != 0:
        entry = depletion_at(venue_at(venue).depletions_address, at)
        if entry.price == price:
            _drop(venue, market_address, index, before, at)
            return
        before = at
        at = entry.next


@kernel
def refresh_side(venue: int, market_address: int, instrument: int, side: int, from_rank: int) -> None:
    """Forget what was taken at this rank and better, and where nothing is shown any more."""
    index = side_index(side)
    before = 0
    at = market_at(market_address).depleted[index]
    while at != 0:
        entry = depletion_at(venue_at(venue).depletions_address, at)
        gone = (
            side * entry.price >= from_rank
            or level_qty(venue_at(venue).book_address, instrument, side, entry.price) == 0
        )
        if gone:
            at = _drop(venue, market_address, index, before, at)
        else:
            before = at
            at = entry.next


@kernel
def shrink_level(venue: int, market_address: int, side: int, price: int, removed: int, shown: int) -> None:
    """Orders left a level: what we took leaves with them, and no more is taken than is shown."""
    index = side_index(side)
    before = 0
    at = market_at(market_address).depleted[index]
    while at != 0:
        entry = depletion_at(venue_at(venue).depletions_address, at)
        if entry.price == price:
            entry.taken = min(entry.taken - removed, shown)
            if entry.taken <= 0:
                _drop(venue, market_address, index, before, at)
            return
        before = at
        at = entry.next
