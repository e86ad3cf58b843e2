"""Open orders: their lists, their states and the sums of what they may still trade.

Everything here keeps three things in step: the doubly linked list of a strategy's open orders in an instrument (oldest
first, intents included), the sums in the AGGREGATE of that pair and of the instrument over all strategies, and the
state shown for an order. Whoever changes a released order takes it out of the sums first and puts it back afterwards.
"""

from __future__ import annotations

from typing import Any

from nanotick.core.kernel import kernel
from nanotick.core.memory import load_i64, store_i32, store_i64
from nanotick.core.records import OrderType, TimeInForce
from nanotick.orders.records import (
    CANCELLED,
    EXPIRED,
    FILLED,
    PENDING_CANCEL,
    PENDING_NEW,
    PENDING_REPLACE,
    REJECTED,
    SLOT_MASK,
    UNKNOWN,
    WORKING,
    Pending,
    Seen,
    aggregate_at,
    order_at,
    orders_at,
    own_best_at,
)

_NEW, _CANCEL = int(Pending.NEW), int(Pending.CANCEL)
_REPLACE, _UNKNOWN = int(Pending.REPLACE), int(Pending.UNKNOWN)
_SEEN_REJECTED, _SEEN_EXPIRED = int(Seen.REJECTED), int(Seen.EXPIRED)
_SEEN_GONE, _SEEN_TRIGGERED = int(Seen.CANCELLED | Seen.EXPIRED), int(Seen.TRIGGERED)
_NO_INSTRUMENT = int(Seen.NO_INSTRUMENT)
_LIMIT, _STOP_LIMIT = int(OrderType.LIMIT), int(OrderType.STOP_LIMIT)
_IOC, _FOK = int(TimeInForce.IOC), int(TimeInForce.FOK)


@kernel
def order_find(orders: int, order_id: int) -> int:
    """Slot of an order, ended ones in quarantine included; -1 when there is none of this id."""
    root = orders_at(orders)
    slot = order_id & SLOT_MASK
    if slot == 0 or slot >= root.used or order_at(root.orders_address, slot).id != order_id:
        return -1
    return slot


@kernel
def order_record(orders: int, slot: int) -> Any:
    """The ORDER record of a slot."""
    return order_at(orders_at(orders).orders_address, slot)


@kernel
def aggregate_of(orders: int, strategy: int, instrument: int) -> Any:
    """The AGGREGATE of a strategy and instrument; `strategy` equal to their number means all of them together."""
    root = orders_at(orders)
    return aggregate_at(root.aggregates_address, strategy * root.instruments + instrument)


@kernel
def largest_total(order: Any) -> int:
    """Total quantity of an order; of the old and the new one the larger while a replace is pending."""
    if order.pending & _REPLACE != 0 and order.pending_qty > order.qty:
        return order.pending_qty
    return order.qty


@kernel
def worst_leaves(order: Any) -> int:
    """What an order may at worst still trade."""
    left = largest_total(order) - order.filled_qty - order.cancelled_qty - order.busted_qty
    return left if left > 0 else 0


@kernel
def _add_open(total: Any, buy: bool, qty: int, pending: int) -> None:
    if buy:
        total.open_buy_qty += qty
        total.pending_buy_qty += pending
    else:
        total.open_sell_qty += qty
        total.pending_sell_qty += pending


@kernel
def count_open(orders: int, order: Any, sign: int) -> None:
    """Put a released order's worst case into the sums (sign 1), or take it out (-1) before it is changed."""
    root = orders_at(orders)
    qty = sign * worst_leaves(order)
    pending = qty if order.pending != 0 else 0
    buy = order.side > 0
    _add_open(aggregate_of(orders, order.strategy, order.instrument), buy, qty, pending)
    _add_open(aggregate_of(orders, root.strategies, order.instrument), buy, qty, pending)


@kernel
def _count_order(total: Any, buy: bool, sign: int) -> None:
    if buy:
        total.buys += sign
    else:
        total.sells += sign


@kernel
def _add_intent(total: Any, buy: bool, qty: int) -> None:
    if buy:
        total.intent_buy_qty += qty
    else:
        total.intent_sell_qty += qty


@kernel
def count_intent(orders: int, order: Any, sign: int) -> None:
    """Put an intent's quantity into the sums (sign 1) or take it out (-1)."""
    buy = order.side > 0
    _add_intent(aggregate_of(orders, order.strategy, order.instrument), buy, sign * order.qty)
    _add_intent(aggregate_of(orders, orders_at(orders).strategies, order.instrument), buy, sign * order.qty)


@kernel
def link_order(orders: int, order: Any, slot: int) -> None:
    """Append an order to its list."""
    root = orders_at(orders)
    total = aggregate_of(orders, order.strategy, order.instrument)
    order.prev = total.last
    order.next = 0
    if total.last != 0:
        order_at(root.orders_address, total.last).next = slot
    else:
        total.first = slot
    total.last = slot
    buy = order.side > 0
    _count_order(total, buy, 1)
    _count_order(aggregate_of(orders, root.strategies, order.instrument), buy, 1)
    root.open_orders += 1


@kernel
def unlink_order(orders: int, order: Any) -> None:
    """Take an order out of its list."""
    root = orders_at(orders)
    total = aggregate_of(orders, order.strategy, order.instrument)
    if order.prev != 0:
        order_at(root.orders_address, order.prev).next = order.next
    else:
        total.first = order.next
    if order.next != 0:
        order_at(root.orders_address, order.next).prev = order.prev
    else:
        total.last = order.prev
    order.prev = 0
    order.next = 0
    buy = order.side > 0
    _count_order(total, buy, -1)
    _count_order(aggregate_of(orders, root.strategies, order.instrument), buy, -1)
    root.open_orders -= 1


@kernel
def rests(order: Any) -> bool:
    """Whether the order can stand in the book at its price: a limit, or a stop-limit that was triggered."""
    if order.tif == _IOC or order.tif == _FOK:
        return False
    return order.order_type == _LIMIT or (order.order_type == _STOP_LIMIT and order.seen & _SEEN_TRIGGERED != 0)


@kernel
def widen_own_best(orders: int, instrument: int, side: int, price: int) -> None:
    """Let the bound on our own best price cover one more; call it while the order is in the sums."""
    root = orders_at(orders)
    best = own_best_at(root.own_best_address, instrument)
    total = aggregate_of(orders, root.strategies, instrument)
    if side > 0:
        if total.buys == 1 or price > best.bid:
            best.bid = price
    elif total.sells == 1 or price < best.ask:
        best.ask = price


@kernel
def released_count(orders: int, strategy: int) -> int:
    """Number of open orders that have been sent, over all instruments; `strategy` equal to their number: of all."""
    return load_i64(orders_at(orders).counts_address + 8 * strategy)


@kernel
def count_released(orders: int, strategy: int, sign: int) -> None:
    """One more (1) or less (-1) released open order."""
    root = orders_at(orders)
    counts = root.counts_address
    store_i64(counts + 8 * strategy, load_i64(counts + 8 * strategy) + sign)
    store_i64(counts + 8 * root.strategies, load_i64(counts + 8 * root.strategies) + sign)


@kernel
def end_order(orders: int, slot: int, state: int, now: int) -> None:
    """Give an open order its terminal state and put its slot into quarantine."""
    root = orders_at(orders)
    order = order_at(root.orders_address, slot)
    if order.seen & _NO_INSTRUMENT == 0:
        unlink_order(orders, order)
    if order.released != 0:
        count_released(orders, order.strategy, -1)
    order.state = state
    order.pending = 0
    order.ts_last = now
    store_i32(root.quarantine_address + 4 * (root.quarantine_tail & root.quarantine_mask), slot)
    root.quarantine_tail += 1


@kernel
def terminal_state(order: Any) -> int:
    """The state of an order with nothing left, from how it ended."""
    if order.filled_qty >= order.qty:
        return FILLED
    if order.seen & _SEEN_REJECTED != 0 and order.filled_qty == 0:
        return REJECTED
    return EXPIRED if order.seen & _SEEN_EXPIRED != 0 else CANCELLED


@kernel
def open_state(order: Any) -> int:
    """The state of an open, released order, from what is pending."""
    if order.pending & _UNKNOWN != 0:
        return UNKNOWN
    if order.pending & _CANCEL != 0 or (order.seen & _SEEN_GONE != 0 and order.pending & _REPLACE == 0):
        return PENDING_CANCEL
    if order.pending & _REPLACE != 0:
        return PENDING_REPLACE
    return PENDING_NEW if order.pending & _NEW != 0 else WORKING
