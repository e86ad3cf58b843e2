"""What a strategy may ask for: orders, quotes, timers, and lines in the run's journal.

Order entry writes intents. They become commands after the callback returns, one by one, if risk passes them.
"""

from __future__ import annotations

from typing import Any

from nanotick.core.kernel import kernel
from nanotick.core.memory import float_bits, mul_wrap, shift_right
from nanotick.core.records import BUY, SELL, CommandFlag, Kind, OrderType, TimeInForce, command_at, event_at
from nanotick.orders.open_list import order_find, order_record
from nanotick.orders.records import OrderState
from nanotick.orders.table import cancel_pending, first_open, next_open, open_count, order_reserve, side_open_qty
from nanotick.strategy.context import asked_instrument, context_fields, which_instrument
from nanotick.strategy.records import MAX_INTENTS, MAX_SIGNALS, MAX_TIMERS, NO_TIMER, context_at, timer_at
from nanotick.strategy.types import context_address, context_method

_LIMIT, _MARKET = int(OrderType.LIMIT), int(OrderType.MARKET)
_STOP, _STOP_LIMIT = int(OrderType.STOP), int(OrderType.STOP_LIMIT)
_GTC, _IOC = int(TimeInForce.GTC), int(TimeInForce.IOC)
_POST_ONLY = int(CommandFlag.POST_ONLY)
_NEW, _CANCEL, _REPLACE = int(Kind.NEW), int(Kind.CANCEL), int(Kind.REPLACE_ORDER)
_SIGNAL, _WORKING = int(Kind.SIGNAL), int(OrderState.WORKING)


@kernel
def _intent(ctx: Any, kind: int, order_id: int, price: int, qty: int) -> bool:
    fields = context_fields(ctx)
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
    """Ask for an order; gives its client order id, or 0 when the order table or the intent list is full.

    Of flags it may have `POST_ONLY` and `REDUCE_ONLY`; risk refuses an order with any other.
    """
    fields = context_fields(ctx)
    if fields.intent_count >= MAX_INTENTS:
        fields.refused_intents += 1
        return 0
    order_id = order_reserve(
        fields.orders_address, fields.strategy, asked_instrument(ctx, instrument), side, price, qty, order_type, tif,
        flags,
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
    fields = context_fields(ctx)
    n = 0
    slot = first_open(fields.orders_address, fields.strategy, which_instrument(ctx, instrument))
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
    fields = context_fields(ctx)
    keep = 0
    slot = first_open(fields.orders_address, fields.strategy, which_instrument(ctx, instrument))
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
    fields = context_fields(ctx)
    return open_count(fields.orders_address, fields.strategy, which_instrument(ctx, instrument), side)


@context_method
def open_qty(ctx: Any, side: int, instrument: int = -1) -> int:
    """Unfilled quantity of own open orders of a side."""
    fields = context_fields(ctx)
    return side_open_qty(fields.orders_address, fields.strategy, which_instrument(ctx, instrument), side)


@context_method
def first_order(ctx: Any, instrument: int = -1) -> int:
    """Id of the first own open order of the instrument, 0 when there is none; go on with `next_order`."""
    fields = context_fields(ctx)
    slot = first_open(fields.orders_address, fields.strategy, which_instrument(ctx, instrument))
    return order_record(fields.orders_address, slot).id if slot >= 0 else 0


@context_method
def next_order(ctx: Any, order_id: int) -> int:
    """Id of the open order after this one, 0 at the end."""
    orders = context_fields(ctx).orders_address
    slot = order_find(orders, order_id)
    if slot < 0:
        return 0
    slot = next_open(orders, slot)
    return order_record(orders, slot).id if slot >= 0 else 0


@context_method
def order_price(ctx: Any, order_id: int) -> int:
    """Limit price of an own order; 0 for an unknown id."""
    orders = context_fields(ctx).orders_address
    slot = order_find(orders, order_id)
    return order_record(orders, slot).price if slot >= 0 else 0


@context_method
def order_side(ctx: Any, order_id: int) -> int:
    """Side of an own order; 0 for an unknown id."""
    orders = context_fields(ctx).orders_address
    slot = order_find(orders, order_id)
    return order_record(orders, slot).side if slot >= 0 else 0


@context_method
def order_leaves(ctx: Any, order_id: int) -> int:
    """Quantity of an own order that is not filled; 0 for an unknown id."""
    orders = context_fields(ctx).orders_address
    slot = order_find(orders, order_id)
    if slot < 0:
        return 0
    record = order_record(orders, slot)
    return record.qty - record.filled_qty


@context_method
def order_state(ctx: Any, order_id: int) -> int:
    """`OrderState` of an own order; 0 (FREE) for an unknown id."""
    orders = context_fields(ctx).orders_address
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
    fields = context_fields(ctx)
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
    fields = context_fields(ctx)
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
    fields = context_fields(ctx)
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
    fields = context_fields(ctx)
    x = fields.random_state
    x ^= shift_right(x, 12)
    x ^= mul_wrap(x, 1 << 25)
    x ^= shift_right(x, 27)
    fields.random_state = x
    return float(shift_right(mul_wrap(x, 0x2545F4914F6CDD1D), 11)) * 2.0**-53
