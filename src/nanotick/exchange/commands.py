"""One command at the venue: new order, cancel, replace, cancel all.

A new order is checked as a venue checks it, answered ACCEPTED or REJECTED, and worked. A replace keeps the place in the
queue when only the quantity goes down; any other change of price or quantity is a new arrival at the same id, which
may trade at once. The price of a stop that is not limited is ignored.
"""

from __future__ import annotations

from nanotick.core.instruments import instrument_at
from nanotick.core.kernel import kernel
from nanotick.core.records import (
    CancelReason,
    CommandFlag,
    Kind,
    RejectReason,
    ReportFlag,
    TimeInForce,
    command_at,
    event_at,
)
from nanotick.core.value import trade_value
from nanotick.exchange.depletion import best_available
from nanotick.exchange.expiry import expiry_of
from nanotick.exchange.matching import finish, reducible_qty, work
from nanotick.exchange.records import (
    ALL_INSTRUMENTS,
    ALL_STRATEGIES,
    ARRIVING,
    BAD_INSTRUMENT,
    GONE,
    NEVER,
    NO_SLOT,
    ORDER_SLOT_MASK,
    WAITING,
    market_at,
    own_at,
    profile_at,
    venue_at,
)
from nanotick.exchange.reports import emit
from nanotick.exchange.stops import activate, is_reached, trigger_on_quote
from nanotick.exchange.working import link_stop, market_of, own_address, own_find, unlink

_NEW, _CANCEL, _REPLACE, _CANCEL_ALL = (
    int(Kind.NEW),
    int(Kind.CANCEL),
    int(Kind.REPLACE_ORDER),
    int(Kind.CANCEL_ALL),
)
_ACCEPTED, _REJECTED, _CANCELLED = int(Kind.ACCEPTED), int(Kind.REJECTED), int(Kind.CANCELLED)
_REPLACED, _CANCEL_REJECTED = int(Kind.REPLACED), int(Kind.CANCEL_REJECTED)
_OF_REPLACE = int(ReportFlag.OF_REPLACE)
_USER = int(CancelReason.USER)
_POST_ONLY, _REDUCE = int(CommandFlag.POST_ONLY), int(CommandFlag.REDUCE_ONLY)
_LIMIT, _MARKET, _STOP, _STOP_LIMIT = 0, 1, 2, 3  # OrderType
_IOC, _FOK, _GTD = int(TimeInForce.IOC), int(TimeInForce.FOK), int(TimeInForce.GTD)
_UNKNOWN_ORDER, _WOULD_CROSS = int(RejectReason.UNKNOWN_ORDER), int(RejectReason.POST_ONLY_WOULD_CROSS)
_BAD_PRICE, _BAD_QTY = int(RejectReason.INVALID_PRICE), int(RejectReason.INVALID_QUANTITY)
_CLOSED, _DUPLICATE = int(RejectReason.MARKET_CLOSED), int(RejectReason.DUPLICATE_ID)
_TOO_LATE, _OTHER = int(RejectReason.TOO_LATE), int(RejectReason.OTHER)
_REDUCE_REFUSED = int(RejectReason.REDUCE_ONLY)


@kernel
def price_fault(instrument_address: int, price: int) -> int:
    """Reason why the venue would not take this price, 0 for none."""
    instrument = instrument_at(instrument_address)
    if price % instrument.tick_size != 0 or (price <= 0 and instrument.price_low >= 0):
        return _BAD_PRICE
    if instrument.price_low != 0 and price < instrument.price_low:
        return _BAD_PRICE
    if instrument.price_high != 0 and price > instrument.price_high:
        return _BAD_PRICE
    return 0


@kernel
def qty_fault(instrument_address: int, price: int, qty: int, limited: bool) -> int:
    """Reason why the venue would not take this quantity, 0 for none."""
    instrument = instrument_at(instrument_address)
    if qty <= 0 or qty % instrument.lot_size != 0 or qty < instrument.min_qty:
        return _BAD_QTY
    if instrument.max_qty != 0 and qty > instrument.max_qty:
        return _BAD_QTY
    if (
        limited
        and instrument.min_notional != 0
        and trade_value(instrument_address, price, qty) < instrument.min_notional
    ):
        return _BAD_QTY
    return 0


@kernel
def _order_fault(venue: int, market_address: int, command_address: int, now: int) -> int:
    """Reason why the venue would not take this order, 0 for none."""
    command = command_at(command_address)
    market = market_at(market_address)
    slot = command.id & ORDER_SLOT_MASK
    if slot >= venue_at(venue).order_capacity or command.id <= 0:
        return _OTHER
    held = own_at(own_address(venue, slot))
    if held.state != GONE or held.id == command.id:
        return _DUPLICATE
    if market.closed != 0:
        return _CLOSED
    order_type, tif = command.order_type, command.tif
    if (command.side != 1 and command.side != -1) or order_type > _STOP_LIMIT or tif > _GTD:
        return _OTHER
    limited = order_type == _LIMIT or order_type == _STOP_LIMIT
    stopped = order_type == _STOP or order_type == _STOP_LIMIT
    if (limited and price_fault(market.instrument_address, command.price) != 0) or (
        stopped and price_fault(market.instrument_address, command.stop_price) != 0
    ):
        return _BAD_PRICE
    fault = qty_fault(market.instrument_address, command.price, command.qty, limited)
    if fault != 0:
        return fault
    if command.flags & _POST_ONLY and (not limited or tif == _IOC or tif == _FOK):
        return _OTHER
    if command.flags & _REDUCE and reducible_qty(market_address, command.side) == 0:
        return _REDUCE_REFUSED
    if tif == _GTD and expiry_of(market.profile_address, command_address, now) <= now:
        return _TOO_LATE
    return 0


@kernel
def passive_price(venue: int, market_address: int, instrument: int, side: int, price: int) -> int:
    """The price at which a post-only order may rest: its own, or the best that does not take."""
    opposite = best_available(venue, market_address, instrument, -side)
    if opposite == -NEVER or side * price + opposite < 0:
        return price
    tick = instrument_at(market_at(market_address).instrument_address).tick_size
    return side * (-opposite - tick)


@kernel
def new_order(venue: int, command_address: int, now: int) -> None:
    """NEW arrives."""
    v = venue_at(venue)
    command = command_at(command_address)
    instrument, side = command.instrument, command.side
    market_address = market_of(venue, instrument)
    market = market_at(market_address)
    profile = profile_at(market.profile_address)
    price = command.price
    limited = command.order_type == _LIMIT or command.order_type == _STOP_LIMIT
    fault = _order_fault(venue, market_address, command_address, now)
    if fault == 0 and command.flags & _POST_ONLY and command.order_type == _LIMIT and market.blocked == 0:
        price = passive_price(venue, market_address, instrument, side, command.price)
        if price != command.price and profile.post_only_slide == 0:
            fault = _WOULD_CROSS
    if fault != 0:
        emit(venue, now, _REJECTED, command.id, instrument, side, command.price, command.qty, fault)
        return
    slot = command.id & ORDER_SLOT_MASK
    if slot >= v.order_used:
        v.order_used = slot + 1
    v.orders_seen += 1
    order = own_at(own_address(venue, slot))
    order.id = command.id
    order.price = price if limited else 0
    order.stop_price = command.stop_price
    order.qty = command.qty
    order.leaves = command.qty
    order.side = side
    order.order_type = command.order_type
    order.tif = command.tif
    order.flags = command.flags
    order.instrument = instrument
    order.strategy = command.strategy
    order.expire = expiry_of(market.profile_address, command_address, now)
    order.accepted_ts = now
    order.ahead_start = -2
    order.ahead = 0
    order.front = 0.0
    order.traded = 0
    order.rebuild = -1
    order.venue_id = v.orders_seen
    order.memo_int = 0
    order.memo_float = 0.0
    v.arrival += 1
    order.join = v.arrival
    order.state = ARRIVING
    emit(venue, now, _ACCEPTED, command.id, instrument, side, order.price, command.qty, order.venue_id)
    if order.order_type == _STOP or order.order_type == _STOP_LIMIT:
        last = market.last_trade
        if (
            profile.stop_on_quote == 0
            and market.blocked == 0
            and last != 0
            and is_reached(order.stop_price, side, last, last)
        ):
            activate(venue, slot, now)
        else:
            link_stop(venue, market_address, slot)
            trigger_on_quote(venue, market_address, instrument, now)
    else:
        work(venue, slot, now)


@kernel
def cancel_order(venue: int, command_address: int, now: int) -> None:
    """CANCEL arrives."""
    command = command_at(command_address)
    slot = own_find(venue, command.id)
    if slot == NO_SLOT:
        emit(venue, now, _CANCEL_REJECTED, command.id, command.instrument, command.side, 0, 0, _UNKNOWN_ORDER)
    else:
        finish(venue, slot, now, _CANCELLED, _USER)


@kernel
def _refuse_replace(venue: int, command_address: int, now: int, instrument: int, side: int, fault: int) -> None:
    command = command_at(command_address)
    address = emit(venue, now, _CANCEL_REJECTED, command.id, instrument, side, command.price, command.qty, fault)
    if address != 0:
        event_at(address).flags = _OF_REPLACE


@kernel
def replace_order(venue: int, command_address: int, now: int) -> None:
    """REPLACE_ORDER arrives: `price` and total `qty` anew (and `stop_price` of a waiting stop)."""
    v = venue_at(venue)
    command = command_at(command_address)
    slot = own_find(venue, command.id)
    if slot == NO_SLOT:
        _refuse_replace(venue, command_address, now, command.instrument, command.side, _UNKNOWN_ORDER)
        return
    order = own_at(own_address(venue, slot))
    instrument, side = order.instrument, order.side
    market_address = market_of(venue, instrument)
    market = market_at(market_address)
    limited = order.order_type == _LIMIT or order.order_type == _STOP_LIMIT
    waiting = order.state == WAITING
    price = command.price if limited else 0
    stop_price = command.stop_price if waiting else order.stop_price
    fault = 0
    if market.closed != 0:
        fault = _CLOSED
    elif (limited and price_fault(market.instrument_address, price) != 0) or (
        waiting and price_fault(market.instrument_address, stop_price) != 0
    ):
        fault = _BAD_PRICE
    else:
        fault = qty_fault(market.instrument_address, price, command.qty, limited)
    filled = order.qty - order.leaves
    keeps_place = price == order.price and command.qty <= order.qty
    if fault == 0 and order.flags & _POST_ONLY and not waiting and not keeps_place and market.blocked == 0:
        passive = passive_price(venue, market_address, instrument, side, price)
        if passive != price and profile_at(market.profile_address).post_only_slide == 0:
            fault = _WOULD_CROSS
        price = passive
    if fault != 0:
        _refuse_replace(venue, command_address, now, instrument, side, fault)
        return
    if command.qty <= filled:
        finish(venue, slot, now, _CANCELLED, _USER)
        return
    emit(venue, now, _REPLACED, command.id, instrument, side, price, command.qty, order.venue_id)
    order.qty = command.qty
    order.leaves = command.qty - filled
    if waiting:
        order.price = price
        order.stop_price = stop_price
        last = market.last_trade
        by_trade = profile_at(market.profile_address).stop_on_quote == 0 and market.blocked == 0 and last != 0
        if by_trade and is_reached(stop_price, side, last, last):
            unlink(venue, market_address, slot)
            activate(venue, slot, now)
        else:
            trigger_on_quote(venue, market_address, instrument, now)
    elif not keeps_place:
        unlink(venue, market_address, slot)
        order.price = price
        order.state = ARRIVING
        v.arrival += 1
        order.join = v.arrival
        work(venue, slot, now)


@kernel
def _cancel_list(venue: int, first: int, side: int, strategy: int, now: int) -> None:
    orders = venue_at(venue).orders_address
    at = first
    while at != 0:
        order = own_at(orders, at - 1)
        slot = at - 1
        at = order.next
        if (side == 0 or order.side == side) and (strategy == ALL_STRATEGIES or order.strategy == strategy):
            finish(venue, slot, now, _CANCELLED, _USER)


@kernel
def cancel_all(venue: int, command_address: int, now: int) -> None:
    """CANCEL_ALL arrives: of one instrument or ALL_INSTRUMENTS, one side or 0, one strategy or ALL_STRATEGIES."""
    command = command_at(command_address)
    first, last = command.instrument, command.instrument + 1
    if command.instrument == ALL_INSTRUMENTS:
        first, last = 0, venue_at(venue).instruments
    for instrument in range(first, last):
        market = market_at(market_of(venue, instrument))
        if market.own != 0 or market.stops != 0:
            _cancel_list(venue, market.head[0], command.side, command.strategy, now)
            _cancel_list(venue, market.head[1], command.side, command.strategy, now)
            _cancel_list(venue, market.stops, command.side, command.strategy, now)


@kernel
def market_command(venue: int, command_address: int, now: int) -> int:
    """Work a command, no expiry being due; minus a `VenueStatus` when its instrument is unknown."""
    command = command_at(command_address)
    kind = command.kind
    known = command.instrument < venue_at(venue).instruments
    if not known and not (kind == _CANCEL_ALL and command.instrument == ALL_INSTRUMENTS):
        venue_at(venue).status = venue_at(venue).status | BAD_INSTRUMENT
        return -BAD_INSTRUMENT
    if kind == _NEW:
        new_order(venue, command_address, now)
    elif kind == _CANCEL:
        cancel_order(venue, command_address, now)
    elif kind == _REPLACE:
        replace_order(venue, command_address, now)
    elif kind == _CANCEL_ALL:
        cancel_all(venue, command_address, now)
    return 0
