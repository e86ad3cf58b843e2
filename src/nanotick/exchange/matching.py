"""What happens to one order of ours: it is filled, it takes displayed quantity, it rests, it ends.

Taking walks the recorded book from its best price to the order's limit and never takes more than is displayed and not
taken before. What is left rests (limit), or is cancelled with the reason. Nothing is matched during a halt.
"""

from __future__ import annotations

from nanotick.book import best_price, level_qty, next_price
from nanotick.core.instruments import instrument_at
from nanotick.core.kernel import kernel
from nanotick.core.records import (
    MAKER,
    CancelReason,
    CommandFlag,
    FillReason,
    Kind,
    OrderType,
    TimeInForce,
    event_at,
)
from nanotick.exchange.depletion import available_qty, deplete
from nanotick.exchange.fees import fill_fee
from nanotick.exchange.impact import impact_ticks
from nanotick.exchange.queue import queue_joined
from nanotick.exchange.records import (
    BUST_MEMORY,
    HALT,
    NEVER,
    change_at,
    market_at,
    own_at,
    profile_at,
    trade_fill_at,
    venue_at,
)
from nanotick.exchange.reports import emit
from nanotick.exchange.working import link_resting, market_of, own_address, qty_ahead, side_index, trace_end, unlink

_FILL, _CANCELLED = int(Kind.FILL), int(Kind.CANCELLED)
_TOOK, _CROSSED = int(FillReason.TOOK_LIQUIDITY), int(FillReason.BOOK_CROSSED)
_REDUCE_ONLY = int(CommandFlag.REDUCE_ONLY)
_MARKET = int(OrderType.MARKET)
_IOC, _FOK = int(TimeInForce.IOC), int(TimeInForce.FOK)
_IOC_REST, _FOK_UNFILLED = int(CancelReason.IOC_REST), int(CancelReason.FOK_UNFILLED)
_SELF_TRADE, _NO_LIQUIDITY = int(CancelReason.SELF_TRADE), int(CancelReason.NO_LIQUIDITY)
_HALTED = int(CancelReason.HALTED)
_WOULD_INCREASE = int(CancelReason.REDUCE_ONLY)


@kernel
def finish(venue: int, slot: int, now: int, kind: int, reason: int) -> None:
    """An order ends with what is left of it unfilled."""
    order = own_at(own_address(venue, slot))
    emit(venue, now, kind, order.id, order.instrument, order.side, order.price, order.leaves, reason)
    trace_end(venue, slot)
    unlink(venue, market_of(venue, order.instrument), slot)
    order.leaves = 0


@kernel
def reducible_qty(market_address: int, side: int) -> int:
    """How much an order of this side can take off our position."""
    return max(0, -side * market_at(market_address).position)


@kernel
def fill(venue: int, slot: int, now: int, price: int, qty: int, reason: int, maker: int) -> int:
    """Fill an order; gives the quantity filled, which a reduce-only order's room may make less than asked for."""
    v = venue_at(venue)
    order = own_at(own_address(venue, slot))
    market_address = market_of(venue, order.instrument)
    market = market_at(market_address)
    reduce_only = order.flags & _REDUCE_ONLY
    if reduce_only != 0:
        qty = min(qty, reducible_qty(market_address, order.side))
        if qty == 0:
            finish(venue, slot, now, _CANCELLED, _WOULD_INCREASE)
            return 0
    order.leaves -= qty
    market.position += order.side * qty
    v.executions += 1
    fees = profile_at(market.profile_address).fees_address
    fee = fill_fee(fees, market.instrument_address, now, order.side, maker, price, qty)
    address = emit(venue, now, _FILL, order.id, order.instrument, order.side, price, qty, fee)
    if address != 0:
        report = event_at(address)
        report.seq = v.executions
        report.flags = reason | (MAKER if maker != 0 else 0)
    if v.trade_id != 0:
        given = trade_fill_at(v.trade_fills_address, v.trade_fills & (BUST_MEMORY - 1))
        v.trade_fills += 1
        given.trade = v.trade_id
        given.id = order.id
        given.seq = v.executions
        given.price = price
        given.qty = qty
        given.fee = fee
        given.instrument = order.instrument
        given.side = order.side
    if order.leaves == 0:
        trace_end(venue, slot)
        unlink(venue, market_address, slot)
    elif reduce_only != 0 and reducible_qty(market_address, order.side) == 0:
        finish(venue, slot, now, _CANCELLED, _WOULD_INCREASE)
    return qty


@kernel
def meets_own(market_address: int, side: int, price: int) -> bool:
    """Whether an order of this side, trading at this price, would meet an order of ours that is as good or better."""
    best = market_at(market_address).best[side_index(-side)]
    return best != -NEVER and best + side * price >= 0


@kernel
def takeable_qty(venue: int, slot: int, limited: bool) -> int:
    """How much of an order could be taken at once."""
    order = own_at(own_address(venue, slot))
    market_address = market_of(venue, order.instrument)
    book = venue_at(venue).book_address
    side = order.side
    price = best_price(book, order.instrument, -side)
    found = 0
    while found < order.leaves and side * price != NEVER:
        if (limited and side * (order.price - price) < 0) or meets_own(market_address, side, price):
            break
        found += available_qty(venue, market_address, order.instrument, -side, price)
        price = next_price(book, order.instrument, -side, price)
    return found


@kernel
def take(venue: int, slot: int, now: int, limited: bool) -> None:
    """Take displayed quantity, best price first, up to the limit, an order of our own, or the end of the book."""
    order = own_at(own_address(venue, slot))
    instrument, side = order.instrument, order.side
    market_address = market_of(venue, instrument)
    market = market_at(market_address)
    profile = profile_at(market.profile_address)
    tick = instrument_at(market.instrument_address).tick_size
    book = venue_at(venue).book_address
    worsened = -1
    price = best_price(book, instrument, -side)
    while order.leaves > 0 and side * price != NEVER:
        if limited and side * (order.price - price) < 0:
            break
        if meets_own(market_address, side, price):
            break
        shown = available_qty(venue, market_address, instrument, -side, price)
        if shown > 0:
            if worsened < 0:
                worsened = impact_ticks(profile.impact_address, market_address, now, side, order.leaves, price, shown)
            qty = min(shown, order.leaves)
            if order.flags & _REDUCE_ONLY:
                qty = min(qty, reducible_qty(market_address, side))
            if qty > 0 and profile.depletion != 0 and not deplete(venue, market_address, -side, price, qty):
                break
            paid = price + side * worsened * tick
            if limited and side * (paid - order.price) > 0:
                paid = order.price
            fill(venue, slot, now, paid, qty, _TOOK, 0)
        price = next_price(book, instrument, -side, price)


@kernel
def fill_from_display(venue: int, slot: int, now: int) -> None:
    """Fill a resting order that the other side has reached, with what that side displays and no more, at our price."""
    order = own_at(own_address(venue, slot))
    instrument, side = order.instrument, order.side
    market_address = market_of(venue, instrument)
    depletion = profile_at(market_at(market_address).profile_address).depletion
    book = venue_at(venue).book_address
    limit = order.price
    price = best_price(book, instrument, -side)
    while order.leaves > 0 and side * price != NEVER and side * (limit - price) >= 0:
        shown = available_qty(venue, market_address, instrument, -side, price)
        if shown > 0:
            qty = min(shown, order.leaves)
            if depletion != 0 and not deplete(venue, market_address, -side, price, qty):
                return
            fill(venue, slot, now, limit, qty, _CROSSED, 1)
        price = next_price(book, instrument, -side, price)


@kernel
def take_place(venue: int, market_address: int, slot: int) -> None:
    """An order goes to the back of its level's queue: all that is displayed there is ahead of it."""
    v = venue_at(venue)
    own = own_address(venue, slot)
    order = own_at(own)
    market = market_at(market_address)
    shown = level_qty(v.book_address, order.instrument, order.side, order.price)
    v.arrival += 1
    order.join = v.arrival
    order.ahead = shown
    order.rebuild = -1
    visible = True
    if market.by_quote != 0 and market.by_level == 0 and market.by_order == 0:
        # a feed of best quotes shows the queue at the best price only
        best = best_price(v.book_address, order.instrument, order.side)
        visible = order.side * (order.price - best) >= 0
    tell_level(venue, market_address, order.side, order.price)
    queue_joined(venue, profile_at(market.profile_address).queue_address, own, shown, visible)


@kernel
def rest(venue: int, slot: int) -> None:
    """An order rests at the back of its level's queue."""
    order = own_at(own_address(venue, slot))
    market_address = market_of(venue, order.instrument)
    take_place(venue, market_address, slot)
    if order.ahead_start == -2:
        order.ahead_start = qty_ahead(venue, slot)
    link_resting(venue, market_address, slot)


@kernel
def tell_level(venue: int, market_address: int, side: int, price: int) -> None:
    """Fill in what queue models may want to know of the level."""
    market = market_at(market_address)
    change = change_at(venue_at(venue).change_address)
    instrument = instrument_at(market.instrument_address)
    change.side = side
    change.price = price
    change.lot = instrument.lot_size
    change.tick = instrument.tick_size
    change.scale = market.scale


@kernel
def work(venue: int, slot: int, now: int) -> None:
    """Work an active order: take what it may, then rest or end."""
    order = own_at(own_address(venue, slot))
    market_address = market_of(venue, order.instrument)
    limited = order.order_type != _MARKET
    at_once = not limited or order.tif == _IOC or order.tif == _FOK
    if market_at(market_address).blocked != 0:
        if at_once:
            halted = market_at(market_address).blocked & HALT != 0
            finish(venue, slot, now, _CANCELLED, _HALTED if halted else _NO_LIQUIDITY)
        else:
            rest(venue, slot)
        return
    if order.tif == _FOK and takeable_qty(venue, slot, limited) < order.leaves:
        finish(venue, slot, now, _CANCELLED, _FOK_UNFILLED)
        return
    take(venue, slot, now, limited)
    if order.leaves == 0:
        return
    best_own = market_at(market_address).best[side_index(-order.side)]
    if best_own != -NEVER and (not limited or best_own + order.side * order.price >= 0):
        finish(venue, slot, now, _CANCELLED, _SELF_TRADE)
    elif order.tif == _FOK:
        finish(venue, slot, now, _CANCELLED, _FOK_UNFILLED)
    elif not limited:
        finish(venue, slot, now, _CANCELLED, _NO_LIQUIDITY)
    elif order.tif == _IOC:
        finish(venue, slot, now, _CANCELLED, _IOC_REST)
    else:
        rest(venue, slot)
