"""What a recorded event does to our resting orders.

Price levels: trades at our price use up what the queue model holds ahead of us, and then reach us; a trade past our
price, and a level of the other side at or past it, fill us whatever the queue.

Order by order: what is ahead of us is exact. When we join a queue, everything in it is ahead. From then on every order
that joins the same queue gets an arrival number, kept beside the book by the order's slot; a slot whose number is older
than ours holds an order that is ahead of us (numbers only grow, so whatever a slot carried before is older, too, and
nothing need be kept while we are not there). An order that shrinks or leaves takes its quantity off what is ahead of us
if it is ahead, in constant time. An execution of an order that stands behind us would have been ours.
"""

from __future__ import annotations

from nanotick.book import best_price
from nanotick.core.instruments import instrument_at
from nanotick.core.kernel import kernel
from nanotick.core.memory import load_i64, store_i64
from nanotick.core.records import FillReason
from nanotick.exchange.matching import fill, fill_from_display, tell_level
from nanotick.exchange.queue import queue_changed, queue_traded, reached_qty
from nanotick.exchange.records import RESTING, market_at, own_at, profile_at, venue_at
from nanotick.exchange.working import first_at, own_address, price_place, side_index

_QUEUE_REACHED, _THROUGH = int(FillReason.QUEUE_REACHED), int(FillReason.TRADED_THROUGH)
_CROSSED, _HEAD = int(FillReason.BOOK_CROSSED), int(FillReason.QUEUE_HEAD_EXECUTED)
_BEST_LEFT, _AUCTION = int(FillReason.BEST_LEFT), int(FillReason.AUCTION)

AT_PRICE_NONE = 0  # a trade at our price says nothing about our queue
AT_PRICE_MODEL = 1  # it advances the queue model
AT_PRICE_FIRST = 2  # it reaches us when nothing is ahead of us


@kernel
def rests_at(market_address: int, side: int, price: int) -> bool:
    """Whether an order of ours may rest at this price (rarely true for nothing)."""
    return market_at(market_address).filter[side_index(side)] & (1 << price_place(price)) != 0


@kernel
def level_told(venue: int, market_address: int, side: int, price: int, prev_qty: int, new_qty: int, now: int) -> None:
    """The feed told the quantity of a level at which we rest."""
    orders = venue_at(venue).orders_address
    market = market_at(market_address)
    profile = profile_at(market.profile_address)
    rank = side * price
    tell_level(venue, market_address, side, price)
    at = first_at(market_address, side, price)
    while at != 0:
        order = own_at(orders, at - 1)
        slot = at - 1
        at = order.next
        if side * order.price < rank:
            break
        if order.price == price:
            first = order.front <= 0.0
            queue_changed(venue, profile.queue_address, own_address(venue, slot), prev_qty, new_qty)
            if profile.best_left_fills != 0 and market.blocked == 0 and first and prev_qty > 0 and new_qty == 0:
                best = side * best_price(venue_at(venue).book_address, order.instrument, side)
                if best < rank:
                    fill(venue, slot, now, order.price, order.leaves, _BEST_LEFT, 1)


@kernel
def level_reached(venue: int, market_address: int, side: int, price: int, now: int) -> None:
    """A level of `side` shows quantity at this price: our orders of the other side that it reaches are filled."""
    orders = venue_at(venue).orders_address
    market = market_at(market_address)
    displayed = profile_at(market.profile_address).displayed_cross
    rank = side * price
    if market.best[side_index(-side)] + rank < 0:
        return
    at = market.head[side_index(-side)]
    while at != 0:
        order = own_at(orders, at - 1)
        slot = at - 1
        at = order.next
        if rank - side * order.price < 0:
            break
        if displayed != 0:
            fill_from_display(venue, slot, now)
        else:
            fill(venue, slot, now, order.price, order.leaves, _CROSSED, 1)


@kernel
def traded(venue: int, market_address: int, aggressor: int, price: int, qty: int, at_price: int, now: int) -> None:
    """A trade: our orders of the passive side that it went past or reached."""
    orders = venue_at(venue).orders_address
    market = market_at(market_address)
    side = -aggressor
    rank = side * price
    if market.best[side_index(side)] < rank:
        return
    profile = profile_at(market.profile_address)
    whole = profile.whole_fills
    lot = instrument_at(market.instrument_address).lot_size
    tell_level(venue, market_address, side, price)
    used = 0
    at = market.head[side_index(side)]
    while at != 0:
        order = own_at(orders, at - 1)
        slot = at - 1
        at = order.next
        if side * order.price < rank:
            break
        if side * order.price > rank:
            used += fill(venue, slot, now, order.price, order.leaves, _THROUGH, 1)
            continue
        left = max(0, qty - used)
        reached = 0
        if at_price == AT_PRICE_MODEL:
            own = own_address(venue, slot)
            queue_traded(venue, profile.queue_address, own, qty, left)
            reached = reached_qty(own, lot)
        elif at_price == AT_PRICE_FIRST and order.ahead == 0:
            reached = left // lot * lot
        if reached > 0:
            wanted = order.leaves
            if whole == 0:  # parts of a lot left over from earlier trades may complete one now
                wanted = min(min(reached, (left + lot - 1) // lot * lot), order.leaves)
            if wanted > 0:
                filled = fill(venue, slot, now, order.price, wanted, _QUEUE_REACHED, 1)
                used += filled
                order.front = order.front + filled


@kernel
def auction_printed(venue: int, market_address: int, price: int, qty: int, now: int) -> None:
    """An auction traded: orders of ours with a better limit than its price took part, as far as its quantity goes."""
    orders = venue_at(venue).orders_address
    market = market_at(market_address)
    for index in range(2):
        side = 1 - 2 * index
        left = qty
        at = market.head[index]
        while at != 0 and left > 0:
            order = own_at(orders, at - 1)
            slot = at - 1
            at = order.next
            if side * order.price <= side * price:
                break
            left -= fill(venue, slot, now, price, min(left, order.leaves), _AUCTION, 1)


# --- order by order -------------------------------------------------------------------------------------------------


@kernel
def executed(venue: int, market_address: int, side: int, price: int, qty: int, arrival: int, now: int) -> None:
    """A resting order at this limit price, which joined at `arrival`, was executed."""
    orders = venue_at(venue).orders_address
    market = market_at(market_address)
    rank = side * price
    whole = profile_at(market.profile_address).whole_fills
    left = qty
    at = market.head[side_index(side)]
    while at != 0:
        order = own_at(orders, at - 1)
        slot = at - 1
        at = order.next
        own_rank = side * order.price
        if own_rank < rank:
            break
        if own_rank == rank and arrival <= order.join:
            order.ahead = max(0, order.ahead - qty)
            continue
        if market.blocked != 0 or (left <= 0 and whole == 0):
            continue
        reason = _HEAD if own_rank == rank else _THROUGH
        wanted = order.leaves
        if whole == 0:
            wanted = min(left, order.leaves)
        left -= fill(venue, slot, now, order.price, wanted, reason, 1)


@kernel
def left_queue(venue: int, market_address: int, side: int, price: int, qty: int, arrival: int) -> None:
    """An order that joined at `arrival` took quantity off its level without trading."""
    orders = venue_at(venue).orders_address
    at = first_at(market_address, side, price)
    while at != 0:
        order = own_at(orders, at - 1)
        at = order.next
        if side * order.price < side * price:
            break
        if order.price == price and arrival <= order.join:
            order.ahead = max(0, order.ahead - qty)


@kernel
def joined_queue(
    venue: int, market_address: int, book_slot: int, side: int, price: int, qty: int, snapshot: bool
) -> None:
    """A recorded order joined a queue in which we rest; in a snapshot, what was ahead of us is ahead again."""
    v = venue_at(venue)
    v.arrival += 1
    store_i64(v.arrivals_address + book_slot * 8, v.arrival)
    if not snapshot:
        return
    at = first_at(market_address, side, price)
    while at != 0:
        order = own_at(v.orders_address, at - 1)
        at = order.next
        if side * order.price < side * price:
            break
        if order.price == price and order.ahead < order.rebuild:
            order.ahead = min(order.ahead + qty, order.rebuild)
            order.join = v.arrival


@kernel
def arrival_of(venue: int, book_slot: int) -> int:
    """When the recorded order of a slot joined its queue, as far as it matters."""
    return load_i64(venue_at(venue).arrivals_address + book_slot * 8)


@kernel
def book_cleared(venue: int, market_address: int, side: int) -> None:
    """The recording empties its queues: remember how much was ahead of us, for the snapshot that may follow."""
    v = venue_at(venue)
    at = market_at(market_address).head[side_index(side)]
    while at != 0:
        order = own_at(v.orders_address, at - 1)
        at = order.next
        if order.state == RESTING:
            order.rebuild = max(order.rebuild, order.ahead)
            order.ahead = 0
            v.arrival += 1
            order.join = v.arrival
