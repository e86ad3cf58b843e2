"""Orders that end by the clock: good till date, and DAY orders at the close of the session."""

from __future__ import annotations

from nanotick.core.kernel import kernel
from nanotick.core.records import CancelReason, Kind, TimeInForce, command_at
from nanotick.core.zone import next_local_time
from nanotick.exchange.matching import finish
from nanotick.exchange.records import NEVER, market_at, own_at, profile_at, venue_at
from nanotick.exchange.working import market_of

_EXPIRED = int(Kind.EXPIRED)
_DAY, _GTD = int(TimeInForce.DAY), int(TimeInForce.GTD)
_DAY_END, _GTD_EXPIRED = int(CancelReason.DAY_END), int(CancelReason.GTD_EXPIRED)
SECOND_NS = 1_000_000_000


@kernel
def expiry_of(profile_address: int, command_address: int, now: int) -> int:
    """When an order accepted now ends by the clock; NEVER if it does not."""
    command = command_at(command_address)
    if command.tif == _GTD:
        return command.expire_s * SECOND_NS
    profile = profile_at(profile_address)
    if command.tif == _DAY and profile.session_close >= 0:
        return next_local_time(profile.zone_address, now, profile.session_close)
    return NEVER


@kernel
def _expire_list(venue: int, first: int, due: int, day_orders: bool, now: int) -> int:
    """End what is due in one list; when the next order of it is due."""
    orders = venue_at(venue).orders_address
    following = NEVER
    at = first
    while at != 0:
        order = own_at(orders, at - 1)
        slot = at - 1
        at = order.next
        is_day = order.tif == _DAY
        if order.expire <= due or (day_orders and is_day):
            finish(venue, slot, now, _EXPIRED, _DAY_END if is_day else _GTD_EXPIRED)
        else:
            following = min(following, order.expire)
    return following


@kernel
def _expire_market(venue: int, market_address: int, due: int, day_orders: bool, now: int) -> int:
    market = market_at(market_address)
    if market.own == 0 and market.stops == 0:
        return NEVER
    following = _expire_list(venue, market.head[0], due, day_orders, now)
    following = min(following, _expire_list(venue, market.head[1], due, day_orders, now))
    return min(following, _expire_list(venue, market.stops, due, day_orders, now))


@kernel
def expire_day_orders(venue: int, market_address: int, now: int) -> None:
    """The instrument closed."""
    _expire_market(venue, market_address, -1, True, now)


@kernel
def expire_due(venue: int, now: int) -> None:
    """End every order whose time has come by now, in order of time."""
    v = venue_at(venue)
    while v.next_expiry <= now:
        due = v.next_expiry
        following = NEVER
        for instrument in range(v.instruments):
            following = min(following, _expire_market(venue, market_of(venue, instrument), due, False, due))
        v.next_expiry = following
