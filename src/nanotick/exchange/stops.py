"""Stops: orders that wait for a price and then are worked like any other.

A buy stop is triggered at its stop price or above, a sell stop at it or below, by trades or, by configuration, by the
best price that it would take. Stops triggered at once are worked in the order in which they came.
"""

from __future__ import annotations

from nanotick.book import best_price
from nanotick.core.kernel import kernel
from nanotick.core.records import Kind, OrderType
from nanotick.exchange.matching import work
from nanotick.exchange.records import ARRIVING, NEVER, NO_SLOT, market_at, own_at, profile_at, venue_at
from nanotick.exchange.reports import emit
from nanotick.exchange.working import own_address, unlink_stop

_TRIGGERED = int(Kind.TRIGGERED)
_STOP, _MARKET, _LIMIT = int(OrderType.STOP), int(OrderType.MARKET), int(OrderType.LIMIT)


@kernel
def activate(venue: int, slot: int, now: int) -> None:
    """A stop becomes the order it stands for."""
    order = own_at(own_address(venue, slot))
    emit(venue, now, _TRIGGERED, order.id, order.instrument, order.side, order.price, order.leaves, 0)
    order.order_type = _MARKET if order.order_type == _STOP else _LIMIT
    order.state = ARRIVING
    work(venue, slot, now)


@kernel
def is_reached(stop_price: int, side: int, high: int, low: int) -> bool:
    """Whether prices between low and high trigger a stop."""
    if side > 0:
        return high >= stop_price
    return low <= stop_price


@kernel
def trigger_stops(venue: int, market_address: int, high: int, low: int, by_quote: bool, now: int) -> None:
    """Prices moved: trigger the stops they reach."""
    orders = venue_at(venue).orders_address
    market = market_at(market_address)
    if market.blocked != 0 or (profile_at(market.profile_address).stop_on_quote != 0) != by_quote:
        return
    while True:
        found = NO_SLOT
        at = market.stops
        while at != 0:
            order = own_at(orders, at - 1)
            if is_reached(order.stop_price, order.side, high, low):
                if found == NO_SLOT or order.join < own_at(orders, found).join:
                    found = at - 1
            at = order.next
        if found == NO_SLOT:
            return
        unlink_stop(venue, market_address, found)
        activate(venue, found, now)


@kernel
def trigger_on_quote(venue: int, market_address: int, instrument: int, now: int) -> None:
    """The best prices may have moved."""
    if profile_at(market_at(market_address).profile_address).stop_on_quote == 0:
        return
    book = venue_at(venue).book_address
    ask = best_price(book, instrument, -1)
    bid = best_price(book, instrument, 1)
    high = ask if ask != NEVER else -NEVER  # an empty side triggers nothing
    low = bid if bid != -NEVER else NEVER
    trigger_stops(venue, market_address, high, low, True, now)
