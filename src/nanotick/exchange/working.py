"""Our orders at the venue: slots by client order id, one sorted list an instrument and side, one of waiting stops.

A slot is the low bits of the client order id. A list is sorted by rank (side * price, best first), then by arrival, so
what an event can reach is at the front. Two things keep the rest of the day cheap: the rank of the best order, and a
64-bit filter with a bit for the hashed price of every order; an event whose price has no bit set is nobody's, and for
one that has, the list is entered at the first order that set it.
"""

from __future__ import annotations

from nanotick.book import best_price
from nanotick.core.instruments import instrument_at
from nanotick.core.kernel import kernel
from nanotick.core.memory import mul_wrap, shift_right
from nanotick.exchange.records import (
    GONE,
    MARKET,
    NEVER,
    NO_SLOT,
    ORDER_SLOT_MASK,
    OWN_ORDER,
    RESTING,
    UNKNOWN_FRONT,
    WAITING,
    market_at,
    own_at,
    profile_at,
    trace_at,
    venue_at,
)

_FIBONACCI = -7046029254386353131
_OWN_SIZE = OWN_ORDER.itemsize
_MARKET_SIZE = MARKET.itemsize


@kernel
def side_index(side: int) -> int:
    """0 for buy, 1 for sell."""
    return (1 - side) >> 1


@kernel
def price_place(price: int) -> int:
    """Number of the filter's bit of a price."""
    return shift_right(mul_wrap(price, _FIBONACCI), 58)


@kernel
def first_at(market_address: int, side: int, price: int) -> int:
    """The order, + 1, from which on a side's list may hold orders at this price; 0: none does."""
    return market_at(market_address).first[(side_index(side) << 6) + price_place(price)]


@kernel
def own_address(venue: int, slot: int) -> int:
    """Address of an order's record."""
    return venue_at(venue).orders_address + slot * _OWN_SIZE


@kernel
def own_find(venue: int, ident: int) -> int:
    """Slot of an order of ours that rests or waits, or NO_SLOT."""
    slot = ident & ORDER_SLOT_MASK
    if slot >= venue_at(venue).order_capacity:
        return NO_SLOT
    order = own_at(venue_at(venue).orders_address, slot)
    if order.id != ident or order.state == GONE:
        return NO_SLOT
    return slot


@kernel
def _note_expiry(venue: int, expire: int) -> None:
    v = venue_at(venue)
    if expire < v.next_expiry:
        v.next_expiry = expire


@kernel
def _rank_of(venue: int, place: int) -> int:
    """Rank of an order by its slot + 1."""
    order = own_at(venue_at(venue).orders_address, place - 1)
    return order.side * order.price


@kernel
def link_resting(venue: int, market_address: int, slot: int) -> None:
    """Put an order behind all that are as good or better."""
    v = venue_at(venue)
    market = market_at(market_address)
    order = own_at(v.orders_address, slot)
    index = side_index(order.side)
    rank = order.side * order.price
    before = 0
    after = market.head[index]
    while after != 0:
        other = own_at(v.orders_address, after - 1)
        if other.side * other.price < rank:
            break
        before = after
        after = other.next
    order.prev = before
    order.next = after
    if before != 0:
        own_at(v.orders_address, before - 1).next = slot + 1
    else:
        market.head[index] = slot + 1
        market.best[index] = rank
    if after != 0:
        own_at(v.orders_address, after - 1).prev = slot + 1
    place = price_place(order.price)
    bit = 1 << place
    at = (index << 6) + place
    if market.filter[index] & bit == 0 or rank > _rank_of(venue, market.first[at]):
        market.first[at] = slot + 1
    market.filter[index] = market.filter[index] | bit
    market.own += 1
    market.watch += 1
    v.live += 1
    order.state = RESTING
    _note_expiry(venue, order.expire)


@kernel
def unlink_resting(venue: int, market_address: int, slot: int) -> None:
    """Take an order out of its list."""
    v = venue_at(venue)
    market = market_at(market_address)
    order = own_at(v.orders_address, slot)
    index = side_index(order.side)
    if order.prev != 0:
        own_at(v.orders_address, order.prev - 1).next = order.next
    else:
        market.head[index] = order.next
    if order.next != 0:
        own_at(v.orders_address, order.next - 1).prev = order.prev
    at = market.head[index]
    market.best[index] = _rank_of(venue, at) if at != 0 else -NEVER
    place = price_place(order.price)
    if market.first[(index << 6) + place] == slot + 1:
        at = order.next
        while at != 0:
            other = own_at(v.orders_address, at - 1)
            if price_place(other.price) == place:
                break
            at = other.next
        market.first[(index << 6) + place] = at
        if at == 0:
            market.filter[index] = market.filter[index] & ~(1 << place)
    market.own -= 1
    market.watch -= 1
    v.live -= 1
    order.state = GONE


@kernel
def link_stop(venue: int, market_address: int, slot: int) -> None:
    """Put a stop at the front of the instrument's waiting stops."""
    v = venue_at(venue)
    market = market_at(market_address)
    order = own_at(v.orders_address, slot)
    order.prev = 0
    order.next = market.stops
    if market.stops != 0:
        own_at(v.orders_address, market.stops - 1).prev = slot + 1
    market.stops = slot + 1
    market.watch += 1
    v.live += 1
    order.state = WAITING
    _note_expiry(venue, order.expire)


@kernel
def unlink_stop(venue: int, market_address: int, slot: int) -> None:
    """Take a stop out of the list."""
    v = venue_at(venue)
    market = market_at(market_address)
    order = own_at(v.orders_address, slot)
    if order.prev != 0:
        own_at(v.orders_address, order.prev - 1).next = order.next
    else:
        market.stops = order.next
    if order.next != 0:
        own_at(v.orders_address, order.next - 1).prev = order.prev
    market.watch -= 1
    v.live -= 1
    order.state = GONE


@kernel
def unlink(venue: int, market_address: int, slot: int) -> None:
    """Take an order out of whichever list holds it; it is then in none."""
    state = own_at(venue_at(venue).orders_address, slot).state
    if state == RESTING:
        unlink_resting(venue, market_address, slot)
    elif state == WAITING:
        unlink_stop(venue, market_address, slot)
    else:
        own_at(venue_at(venue).orders_address, slot).state = GONE


@kernel
def market_of(venue: int, instrument: int) -> int:
    """Address of an instrument's market."""
    return venue_at(venue).markets_address + instrument * _MARKET_SIZE


@kernel
def qty_ahead(venue: int, slot: int) -> int:
    """Quantity ahead of a resting order in its queue: exact or estimated, -1 unknown."""
    v = venue_at(venue)
    order = own_at(v.orders_address, slot)
    market = market_at(v.markets_address, order.instrument)
    if market.by_order != 0 and profile_at(market.profile_address).exact_queue != 0:
        return order.ahead
    if order.front >= UNKNOWN_FRONT:
        return -1
    if order.front <= 0.0:
        return 0
    return int(order.front)


@kernel
def order_ahead(venue: int, ident: int) -> int:
    """Quantity ahead of one of our orders by client order id; -1 when it does not rest or is not known."""
    slot = own_find(venue, ident)
    if slot == NO_SLOT or own_at(venue_at(venue).orders_address, slot).state != RESTING:
        return -1
    return qty_ahead(venue, slot)


@kernel
def trace_end(venue: int, slot: int) -> None:
    """Write where in the queue an order stood when it was accepted and now that it ends."""
    v = venue_at(venue)
    order = own_at(v.orders_address, slot)
    if order.ahead_start < -1 or v.trace_capacity == 0:
        return
    if v.trace_count >= v.trace_capacity:
        v.trace_lost += 1
        return
    row = trace_at(v.trace_address, v.trace_count)
    v.trace_count += 1
    market = market_at(v.markets_address, order.instrument)
    best = best_price(v.book_address, order.instrument, order.side)
    distance = 0
    if best != -order.side * NEVER:
        distance = order.side * (best - order.price) // instrument_at(market.instrument_address).tick_size
    row.id = order.id
    row.ts = order.accepted_ts
    row.ahead_start = order.ahead_start
    row.ahead_end = qty_ahead(venue, slot)
    row.distance_ticks = distance
