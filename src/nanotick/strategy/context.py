"""The methods of `ctx`: what a strategy may see and ask for.

Prices and quantities are integers at the instrument's scale (`ctx.best_bid()` of 150.25 at two decimals is 15025);
methods that average, such as `mid` and `microprice`, give floats *in the same units*, so `ctx.mid() + 0.5 *
ctx.tick_size()` is half a tick above the mid. `to_price`, `price_float` convert from and to the currency. `instrument`
is always optional and means the instrument of the event being handled.

Order entry writes intents. They become commands after the callback returns, one by one, if risk passes them.
"""

from __future__ import annotations

import math
from typing import Any

from nanotick.book.depth import best_price, best_qty
from nanotick.book.depth import depth_price as book_depth_price
from nanotick.book.depth import depth_qty as book_depth_qty
from nanotick.book.depth import level_qty as book_level_qty
from nanotick.book.depth import next_price as book_next_price
from nanotick.book.records import EMPTY_ASK, EMPTY_BID
from nanotick.core.instruments import Contract, instrument_at
from nanotick.core.kernel import kernel
from nanotick.core.memory import float_bits, mul_wrap, shift_right
from nanotick.core.records import BUY, SELL, CommandFlag, Kind, OrderType, TimeInForce, command_at, event_at
from nanotick.core.tape import tape_at
from nanotick.orders.open_list import order_find, order_record
from nanotick.orders.records import OrderState
from nanotick.orders.table import cancel_pending, first_open, next_open, open_count, order_reserve, side_open_qty
from nanotick.portfolio.accounts import account_of, holding_of, position_of, signed_value
from nanotick.strategy.records import (
    MAX_INTENTS,
    MAX_SIGNALS,
    MAX_TIMERS,
    NO_TIMER,
    context_at,
    timer_at,
)
from nanotick.strategy.types import METHODS, context_address, context_method

__all__ = ["METHODS", "earliest_timer"]

_LIMIT, _MARKET = int(OrderType.LIMIT), int(OrderType.MARKET)
_STOP, _STOP_LIMIT = int(OrderType.STOP), int(OrderType.STOP_LIMIT)
_GTC, _IOC = int(TimeInForce.GTC), int(TimeInForce.IOC)
_POST_ONLY, _REDUCE_ONLY = int(CommandFlag.POST_ONLY), int(CommandFlag.REDUCE_ONLY)
_NEW, _CANCEL, _REPLACE = int(Kind.NEW), int(Kind.CANCEL), int(Kind.REPLACE_ORDER)
_SIGNAL = int(Kind.SIGNAL)
_WORKING = int(OrderState.WORKING)
_INVERSE = int(Contract.INVERSE)


@kernel
def _fields(ctx: Any) -> Any:
    return context_at(context_address(ctx))


@kernel
def _which(ctx: Any, instrument: int) -> int:
    # a number that is none of the run's instruments means the present one: a read past a table would be memory at large
    fields = _fields(ctx)
    return instrument if 0 <= instrument < fields.instrument_count else fields.instrument


@kernel
def _asked(ctx: Any, instrument: int) -> int:
    # an order names its instrument as given: risk refuses one that is not there
    return _fields(ctx).instrument if instrument < 0 else instrument


# --- time and instruments -------------------------------------------------------------------------------------------


@context_method
def now(ctx: Any) -> int:
    """Local time of the event being handled, ns UTC."""
    return _fields(ctx).now


@context_method
def instrument(ctx: Any) -> int:
    """Number of the instrument the event being handled is about."""
    return _fields(ctx).instrument


@context_method
def instruments(ctx: Any) -> int:
    """How many instruments the run has."""
    return _fields(ctx).instrument_count


@context_method
def tick_size(ctx: Any, instrument: int = -1) -> int:
    """Smallest price step, price units."""
    return instrument_at(_fields(ctx).instruments_address, _which(ctx, instrument)).tick_size


@context_method
def lot_size(ctx: Any, instrument: int = -1) -> int:
    """Smallest quantity step, quantity units."""
    return instrument_at(_fields(ctx).instruments_address, _which(ctx, instrument)).lot_size


@context_method
def floor_price(ctx: Any, price: float, instrument: int = -1) -> int:
    """Highest price on the tick grid that is not above `price` (price units, may be fractional)."""
    tick = tick_size(ctx, instrument)
    return math.floor(price / tick) * tick


@context_method
def ceil_price(ctx: Any, price: float, instrument: int = -1) -> int:
    """Lowest price on the tick grid that is not below `price`."""
    tick = tick_size(ctx, instrument)
    return math.ceil(price / tick) * tick


@context_method
def round_price(ctx: Any, price: float, instrument: int = -1) -> int:
    """Price on the tick grid nearest to `price`, halves upward."""
    tick = tick_size(ctx, instrument)
    return math.floor(price / tick + 0.5) * tick


@context_method
def round_qty(ctx: Any, qty: float, instrument: int = -1) -> int:
    """Largest quantity on the lot grid that is not above `qty` (quantity units)."""
    lot = lot_size(ctx, instrument)
    return math.floor(qty / lot) * lot


@context_method
def to_price(ctx: Any, value: float, instrument: int = -1) -> int:
    """Price units of a price in currency, rounded to the tick grid."""
    return round_price(
        ctx,
        value * 10.0 ** instrument_at(_fields(ctx).instruments_address, _which(ctx, instrument)).price_decimals,
        instrument,
    )


@context_method
def to_qty(ctx: Any, value: float, instrument: int = -1) -> int:
    """Quantity units of a quantity in shares, coins or contracts, rounded down to the lot grid."""
    return round_qty(
        ctx,
        value * 10.0 ** instrument_at(_fields(ctx).instruments_address, _which(ctx, instrument)).qty_decimals,
        instrument,
    )


@context_method
def price_float(ctx: Any, price: float, instrument: int = -1) -> float:
    """Price in currency of a price in price units."""
    decimals = instrument_at(_fields(ctx).instruments_address, _which(ctx, instrument)).price_decimals
    return price / 10.0**decimals


# --- the book -------------------------------------------------------------------------------------------------------


@context_method
def best_bid(ctx: Any, instrument: int = -1) -> int:
    """Best bid, price units; far below any price when there is no bid (see `has_book`)."""
    return best_price(_fields(ctx).books_address, _which(ctx, instrument), BUY)


@context_method
def best_ask(ctx: Any, instrument: int = -1) -> int:
    """Best ask, price units; far above any price when there is no ask."""
    return best_price(_fields(ctx).books_address, _which(ctx, instrument), SELL)


@context_method
def bid_qty(ctx: Any, instrument: int = -1) -> int:
    """Quantity at the best bid."""
    return best_qty(_fields(ctx).books_address, _which(ctx, instrument), BUY)


@context_method
def ask_qty(ctx: Any, instrument: int = -1) -> int:
    """Quantity at the best ask."""
    return best_qty(_fields(ctx).books_address, _which(ctx, instrument), SELL)


@context_method
def has_book(ctx: Any, instrument: int = -1) -> bool:
    """Whether both sides have a price and the book is neither crossed nor locked."""
    bid, ask = best_bid(ctx, instrument), best_ask(ctx, instrument)
    return bid != EMPTY_BID and ask != EMPTY_ASK and bid < ask


@context_method
def spread(ctx: Any, instrument: int = -1) -> int:
    """Best ask less best bid, price units; 0 without a two-sided book."""
    bid, ask = best_bid(ctx, instrument), best_ask(ctx, instrument)
    if bid == EMPTY_BID or ask == EMPTY_ASK:
        return 0
    return ask - bid


@context_method
def mid(ctx: Any, instrument: int = -1) -> float:
    """Mean of the best prices, price units; nan without a two-sided book."""
    bid, ask = best_bid(ctx, instrument), best_ask(ctx, instrument)
    if bid == EMPTY_BID or ask == EMPTY_ASK:
        return math.nan
    return 0.5 * (bid + ask)


@context_method
def microprice(ctx: Any, instrument: int = -1) -> float:
    """Size-weighted mid (bid * ask size + ask * bid size) / (sum of sizes), price units."""
    bid, ask = best_bid(ctx, instrument), best_ask(ctx, instrument)
    if bid == EMPTY_BID or ask == EMPTY_ASK:
        return math.nan
    b, a = bid_qty(ctx, instrument), ask_qty(ctx, instrument)
    return (float(bid) * a + float(ask) * b) / float(a + b)


@context_method
def imbalance(ctx: Any, levels: int = 1, instrument: int = -1) -> float:
    """Order book imbalance (bid - ask) / (bid + ask) of the quantity in the best `levels` levels, -1 to 1."""
    books, i = _fields(ctx).books_address, _which(ctx, instrument)
    b = best_qty(books, i, BUY)
    a = best_qty(books, i, SELL)
    for n in range(1, levels):
        b += book_depth_qty(books, i, BUY, n)
        a += book_depth_qty(books, i, SELL, n)
    if a + b == 0:
        return 0.0
    return (b - a) / float(a + b)


@context_method
def depth_price(ctx: Any, side: int, n: int, instrument: int = -1) -> int:
    """Price of the n-th best level of a side (0 is the best)."""
    return book_depth_price(_fields(ctx).books_address, _which(ctx, instrument), side, n)


@context_method
def depth_qty(ctx: Any, side: int, n: int, instrument: int = -1) -> int:
    """Quantity of the n-th best level of a side."""
    return book_depth_qty(_fields(ctx).books_address, _which(ctx, instrument), side, n)


@context_method
def level_qty(ctx: Any, side: int, price: int, instrument: int = -1) -> int:
    """Quantity resting at a price."""
    return book_level_qty(_fields(ctx).books_address, _which(ctx, instrument), side, price)


@context_method
def next_price(ctx: Any, side: int, price: int, instrument: int = -1) -> int:
    """The next occupied price of a side that is worse than `price`."""
    return book_next_price(_fields(ctx).books_address, _which(ctx, instrument), side, price)


@context_method
def book_age(ctx: Any, instrument: int = -1) -> int:
    """Nanoseconds since the book last heard of the venue."""
    fields = _fields(ctx)
    return fields.now - tape_at(fields.tape_address, _which(ctx, instrument)).book_ts


@context_method
def last_price(ctx: Any, instrument: int = -1) -> int:
    """Price of the last trade; 0 before the first."""
    return tape_at(_fields(ctx).tape_address, _which(ctx, instrument)).price


@context_method
def last_qty(ctx: Any, instrument: int = -1) -> int:
    """Quantity of the last trade."""
    return tape_at(_fields(ctx).tape_address, _which(ctx, instrument)).qty


@context_method
def last_side(ctx: Any, instrument: int = -1) -> int:
    """Side of the last trade's aggressor: 1, -1, or 0 if unknown."""
    return tape_at(_fields(ctx).tape_address, _which(ctx, instrument)).side


@context_method
def volume(ctx: Any, instrument: int = -1) -> int:
    """Quantity traded in the market since the run began."""
    return tape_at(_fields(ctx).tape_address, _which(ctx, instrument)).volume


# --- position and account -------------------------------------------------------------------------------------------


@kernel
def _position(ctx: Any, instrument: int) -> Any:
    fields = _fields(ctx)
    return position_of(fields.portfolio_address, fields.strategy, _which(ctx, instrument))


@context_method
def position(ctx: Any, instrument: int = -1) -> int:
    """This strategy's position, quantity units, negative when short."""
    return _position(ctx, instrument).qty


@context_method
def average_price(ctx: Any, instrument: int = -1) -> float:
    """Average entry price of the position, price units; nan when flat."""
    held = _position(ctx, instrument)
    if held.qty == 0 or held.cost == 0:
        return math.nan
    terms = instrument_at(_fields(ctx).instruments_address, _which(ctx, instrument))
    face = float(held.qty) * float(terms.multiplier)
    if terms.contract == _INVERSE:
        return abs(face * 10.0 ** (terms.price_decimals - terms.qty_decimals) / held.cost)
    return held.cost / face


@context_method
def realised(ctx: Any, instrument: int = -1) -> float:
    """Realised profit before fees, in the settlement currency."""
    terms = instrument_at(_fields(ctx).instruments_address, _which(ctx, instrument))
    return _position(ctx, instrument).realised / float(terms.value_unit)


@context_method
def unrealised(ctx: Any, instrument: int = -1) -> float:
    """Unrealised profit of the position at the current mark, in the settlement currency."""
    held = _position(ctx, instrument)
    if held.qty == 0:
        return 0.0
    fields = _fields(ctx)
    i = _which(ctx, instrument)
    mark = holding_of(fields.portfolio_address, i).mark_price
    value = signed_value(fields.portfolio_address, i, mark, held.qty)
    return (value - held.cost) / float(instrument_at(fields.instruments_address, i).value_unit)


@context_method
def equity(ctx: Any) -> float:
    """This strategy's cash and the value of its positions, account currency."""
    fields = _fields(ctx)
    return account_of(fields.portfolio_address, fields.strategy).equity * 1e-6


@context_method
def cash(ctx: Any) -> float:
    """This strategy's cash, account currency."""
    fields = _fields(ctx)
    return account_of(fields.portfolio_address, fields.strategy).cash * 1e-6


# --- orders ---------------------------------------------------------------------------------------------------------


@kernel
def _intent(ctx: Any, kind: int, order_id: int, price: int, qty: int) -> bool:
    fields = _fields(ctx)
    n = fields.intent_count
    if n >= MAX_INTENTS:
        fields.refused_intents += 1
        return False
    intent = command_at(fields.intents_address, n)
    intent.ts = fields.now
    intent.id = order_id
    intent.kind = kind
    intent.price = price
    intent.qty = qty
    intent.strategy = fields.strategy
    fields.intent_count = n + 1
    return True


@context_method
def order(
    ctx: Any,
    side: int,
    qty: int,
    price: int,
    order_type: int = _LIMIT,
    tif: int = _GTC,
    flags: int = 0,
    stop_price: int = 0,
    expire_s: int = 0,
    instrument: int = -1,
) -> int:
    """Ask for an order; gives its client order id, or 0 when the order table or the intent list is full."""
    fields = _fields(ctx)
    if fields.intent_count >= MAX_INTENTS:
        fields.refused_intents += 1
        return 0
    order_id = order_reserve(
        fields.orders_address, fields.strategy, _asked(ctx, instrument), side, price, qty, order_type, tif, flags,
        stop_price, expire_s, fields.now,
    )  # fmt: skip
    if order_id != 0:
        _intent(ctx, _NEW, order_id, price, qty)
    return order_id


@context_method
def buy(ctx: Any, qty: int, price: int, tif: int = _GTC, post_only: bool = False, instrument: int = -1) -> int:
    """Ask for a limit buy; gives the client order id."""
    return order(ctx, BUY, qty, price, _LIMIT, tif, _POST_ONLY if post_only else 0, 0, 0, instrument)


@context_method
def sell(ctx: Any, qty: int, price: int, tif: int = _GTC, post_only: bool = False, instrument: int = -1) -> int:
    """Ask for a limit sell; gives the client order id."""
    return order(ctx, SELL, qty, price, _LIMIT, tif, _POST_ONLY if post_only else 0, 0, 0, instrument)


@context_method
def buy_market(ctx: Any, qty: int, instrument: int = -1) -> int:
    """Ask for a market buy: takes the visible asks, what is left is cancelled."""
    return order(ctx, BUY, qty, 0, _MARKET, _IOC, 0, 0, 0, instrument)


@context_method
def sell_market(ctx: Any, qty: int, instrument: int = -1) -> int:
    """Ask for a market sell."""
    return order(ctx, SELL, qty, 0, _MARKET, _IOC, 0, 0, 0, instrument)


@context_method
def stop(ctx: Any, side: int, qty: int, stop_price: int, limit_price: int = 0, instrument: int = -1) -> int:
    """Ask for a stop order (market when triggered), or a stop-limit when `limit_price` is given."""
    kind = _STOP if limit_price == 0 else _STOP_LIMIT
    return order(ctx, side, qty, limit_price, kind, _GTC, 0, stop_price, 0, instrument)


@context_method
def cancel(ctx: Any, order_id: int) -> bool:
    """Ask for an order to be cancelled."""
    return _intent(ctx, _CANCEL, order_id, 0, 0)


@context_method
def replace(ctx: Any, order_id: int, price: int, qty: int) -> bool:
    """Ask for an order's price and total quantity to be changed."""
    return _intent(ctx, _REPLACE, order_id, price, qty)


@context_method
def cancel_all(ctx: Any, side: int = 0, instrument: int = -1) -> int:
    """Ask for all own orders of the instrument (of one side if given) to be cancelled; gives how many."""
    fields = _fields(ctx)
    n = 0
    slot = first_open(fields.orders_address, fields.strategy, _which(ctx, instrument))
    while slot >= 0:
        record = order_record(fields.orders_address, slot)
        if (side == 0 or record.side == side) and not cancel_pending(fields.orders_address, slot):
            if _intent(ctx, _CANCEL, record.id, 0, 0):
                n += 1
        slot = next_open(fields.orders_address, slot)
    return n


@context_method
def quote(ctx: Any, side: int, price: int, qty: int, post_only: bool = True, instrument: int = -1) -> int:
    """Keep exactly one order on a side, working `qty` at `price`: the call to make on every event.

    An order that is right is left alone, so it keeps its place; a wrong one is replaced; more than one, or `qty` 0, is
    cancelled. While a request of ours is unanswered nothing new is asked for, so the side never holds twice the size.
    Gives the id of the side's order, or 0.
    """
    fields = _fields(ctx)
    keep = 0
    slot = first_open(fields.orders_address, fields.strategy, _which(ctx, instrument))
    while slot >= 0:
        record = order_record(fields.orders_address, slot)
        following = next_open(fields.orders_address, slot)
        if record.side == side:
            settled = record.state == _WORKING
            leaves = record.qty - record.filled_qty - record.cancelled_qty
            if keep != 0 or qty <= 0:
                if not cancel_pending(fields.orders_address, slot):
                    _intent(ctx, _CANCEL, record.id, 0, 0)
                if keep == 0:
                    keep = record.id
            else:
                keep = record.id
                if settled and (record.price != price or leaves != qty):
                    _intent(ctx, _REPLACE, record.id, price, record.qty - leaves + qty)
        slot = following
    if keep != 0 or qty <= 0:
        return keep
    return order(ctx, side, qty, price, _LIMIT, _GTC, _POST_ONLY if post_only else 0, 0, 0, instrument)


@context_method
def open_orders(ctx: Any, side: int = 0, instrument: int = -1) -> int:
    """Number of own orders that are asked for, sent or working (of one side if given)."""
    fields = _fields(ctx)
    return open_count(fields.orders_address, fields.strategy, _which(ctx, instrument), side)


@context_method
def open_qty(ctx: Any, side: int, instrument: int = -1) -> int:
    """Unfilled quantity of own open orders of a side."""
    fields = _fields(ctx)
    return side_open_qty(fields.orders_address, fields.strategy, _which(ctx, instrument), side)


@context_method
def first_order(ctx: Any, instrument: int = -1) -> int:
    """Id of the first own open order of the instrument, 0 when there is none; go on with `next_order`."""
    fields = _fields(ctx)
    slot = first_open(fields.orders_address, fields.strategy, _which(ctx, instrument))
    return order_record(fields.orders_address, slot).id if slot >= 0 else 0


@context_method
def next_order(ctx: Any, order_id: int) -> int:
    """Id of the open order after this one, 0 at the end."""
    orders = _fields(ctx).orders_address
    slot = order_find(orders, order_id)
    if slot < 0:
        return 0
    slot = next_open(orders, slot)
    return order_record(orders, slot).id if slot >= 0 else 0


@context_method
def order_price(ctx: Any, order_id: int) -> int:
    """Limit price of an own order; 0 for an unknown id."""
    orders = _fields(ctx).orders_address
    slot = order_find(orders, order_id)
    return order_record(orders, slot).price if slot >= 0 else 0


@context_method
def order_side(ctx: Any, order_id: int) -> int:
    """Side of an own order; 0 for an unknown id."""
    orders = _fields(ctx).orders_address
    slot = order_find(orders, order_id)
    return order_record(orders, slot).side if slot >= 0 else 0


@context_method
def order_leaves(ctx: Any, order_id: int) -> int:
    """Quantity of an own order that is not filled; 0 for an unknown id."""
    orders = _fields(ctx).orders_address
    slot = order_find(orders, order_id)
    if slot < 0:
        return 0
    record = order_record(orders, slot)
    return record.qty - record.filled_qty


@context_method
def order_state(ctx: Any, order_id: int) -> int:
    """`OrderState` of an own order; 0 (FREE) for an unknown id."""
    orders = _fields(ctx).orders_address
    slot = order_find(orders, order_id)
    return order_record(orders, slot).state if slot >= 0 else 0


# --- timers, log, chance ----------------------------------------------------------------------------------------------


@kernel
def earliest_timer(context: int) -> int:
    """When the first timer is due, NO_TIMER when none is set."""
    fields = context_at(context)
    due = NO_TIMER
    for i in range(fields.timer_count):
        due = min(due, timer_at(fields.timers_address, i).due)
    return due


@context_method
def set_timer(ctx: Any, delay: int, id: int = 0, interval: int = 0) -> bool:
    """Call `on_timer` once after `delay` ns, and then every `interval` ns if that is given.

    A timer of this strategy with the same id is set anew. False when all timers are taken.
    """
    fields = _fields(ctx)
    n = fields.timer_count
    for i in range(n):
        timer = timer_at(fields.timers_address, i)
        if timer.strategy == fields.strategy and timer.id == id:
            n = i
            break
    if n >= MAX_TIMERS:
        return False
    timer = timer_at(fields.timers_address, n)
    timer.due = fields.now + max(delay, 0)
    timer.interval = interval
    timer.strategy = fields.strategy
    timer.id = id
    if n == fields.timer_count:
        fields.timer_count = n + 1
    fields.next_timer = earliest_timer(context_address(ctx))
    return True


@context_method
def every(ctx: Any, interval: int, id: int = 0) -> bool:
    """Call `on_timer` every `interval` ns from now on."""
    return set_timer(ctx, interval, id, interval)


@context_method
def cancel_timer(ctx: Any, id: int = 0) -> bool:
    """Forget a timer; False when there is none of this id."""
    fields = _fields(ctx)
    for i in range(fields.timer_count):
        timer = timer_at(fields.timers_address, i)
        if timer.strategy == fields.strategy and timer.id == id:
            last = timer_at(fields.timers_address, fields.timer_count - 1)
            timer.due = last.due
            timer.interval = last.interval
            timer.strategy = last.strategy
            timer.id = last.id
            fields.timer_count -= 1
            fields.next_timer = earliest_timer(context_address(ctx))
            return True
    return False


@context_method
def log(ctx: Any, code: int, value: float) -> bool:
    """Write a signal (a code of your choosing and a number) into the run's journal; False when the list is full."""
    fields = _fields(ctx)
    n = fields.signal_count
    if n >= MAX_SIGNALS:
        return False
    record = event_at(fields.signals_address, n)
    record.ts_venue = fields.now
    record.ts_recv = fields.now
    record.id = code
    record.price = float_bits(float(value))
    record.word = fields.strategy
    record.instrument = fields.instrument
    record.kind = _SIGNAL
    fields.signal_count = n + 1
    return True


@context_method
def random(ctx: Any) -> float:
    """Uniform number in [0, 1): part of the state, so equal in every replay (xorshift64*, Vigna 2016)."""
    fields = _fields(ctx)
    x = fields.random_state
    x ^= shift_right(x, 12)
    x ^= mul_wrap(x, 1 << 25)
    x ^= shift_right(x, 27)
    fields.random_state = x
    return float(shift_right(mul_wrap(x, 0x2545F4914F6CDD1D), 11)) * 2.0**-53
