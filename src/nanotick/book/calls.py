"""Two entries through which Python reaches every function of a book: one that asks, one that changes.

Compiling an entry for each of thirty functions would cost seconds at the first start; a number and a jump cost nothing
against the border crossing itself. Kernels call the functions directly and never come here.
"""

from __future__ import annotations

from enum import IntEnum

from nanotick.book import check, depth, order_by_order, price_level, queue_position
from nanotick.core.kernel import kernel


class Ask(IntEnum):
    """Questions to `book_ask`."""

    BEST_PRICE = 0
    BEST_QTY = 1
    LEVEL_QTY = 2
    LEVEL_ORDERS = 3
    LEVEL_HEAD = 4
    NEXT_PRICE = 5
    DEPTH_PRICE = 6
    DEPTH_QTY = 7
    SIDE_LEVELS = 8
    SIDE_ORDERS = 9
    ORDER_FIND = 10
    ORDER_QTY = 11
    ORDER_PRICE = 12
    ORDER_SIDE = 13
    ORDER_ID = 14
    NEXT_ORDER = 15
    ORDERS_AHEAD = 16
    QTY_AHEAD = 17
    CHECK = 18


class Change(IntEnum):
    """Verbs of `book_change`."""

    LEVEL_SET = 0
    LEVEL_ADD = 1
    QUOTE_SET = 2
    CLEAR = 3
    TRUNCATE = 4
    ORDER_ADD = 5
    ORDER_REDUCE = 6
    ORDER_DELETE = 7
    ORDER_MODIFY = 8
    ORDER_REPLACE = 9


# kernels see plain integers
_BEST_PRICE, _BEST_QTY, _LEVEL_QTY, _LEVEL_ORDERS, _LEVEL_HEAD = 0, 1, 2, 3, 4
_NEXT_PRICE, _DEPTH_PRICE, _DEPTH_QTY, _SIDE_LEVELS, _SIDE_ORDERS = 5, 6, 7, 8, 9
_ORDER_FIND, _ORDER_QTY, _ORDER_PRICE, _ORDER_SIDE, _ORDER_ID = 10, 11, 12, 13, 14
_NEXT_ORDER, _ORDERS_AHEAD, _QTY_AHEAD, _CHECK = 15, 16, 17, 18


@kernel("i8(i8,i8,i8,i8,i8)")
def book_ask(store: int, what: int, instrument: int, side: int, x: int) -> int:
    """Answer one question: `x` is a price, a depth, an order id or a slot, as the question needs."""
    if what == _BEST_PRICE:
        return depth.best_price(store, instrument, side)
    if what == _BEST_QTY:
        return depth.best_qty(store, instrument, side)
    if what == _LEVEL_QTY:
        return depth.level_qty(store, instrument, side, x)
    if what == _LEVEL_ORDERS:
        return depth.level_orders(store, instrument, side, x)
    if what == _LEVEL_HEAD:
        return depth.level_head(store, instrument, side, x)
    if what == _NEXT_PRICE:
        return depth.next_price(store, instrument, side, x)
    if what == _DEPTH_PRICE:
        return depth.depth_price(store, instrument, side, x)
    if what == _DEPTH_QTY:
        return depth.depth_qty(store, instrument, side, x)
    if what == _SIDE_LEVELS:
        return depth.side_levels(store, instrument, side)
    if what == _SIDE_ORDERS:
        return depth.side_orders(store, instrument, side)
    if what == _ORDER_FIND:
        return order_by_order.order_find(store, instrument, x)
    if what == _ORDER_QTY:
        return order_by_order.order_qty(store, x)
    if what == _ORDER_PRICE:
        return order_by_order.order_price(store, x)
    if what == _ORDER_SIDE:
        return order_by_order.order_side(store, x)
    if what == _ORDER_ID:
        return order_by_order.order_id(store, x)
    if what == _NEXT_ORDER:
        return order_by_order.next_order(store, x)
    if what == _ORDERS_AHEAD:
        return queue_position.queue_orders_ahead(store, x)
    if what == _QTY_AHEAD:
        return queue_position.queue_qty_ahead(store, x)
    if what == _CHECK:
        return check.check_book(store, instrument)
    return -1


_LEVEL_SET, _LEVEL_ADD, _QUOTE_SET, _CLEAR, _TRUNCATE = 0, 1, 2, 3, 4
_ORDER_ADD, _ORDER_REDUCE, _ORDER_DELETE, _ORDER_MODIFY, _ORDER_REPLACE = 5, 6, 7, 8, 9


@kernel("i8(i8,i8,i8,i8,i8,i8,i8,i8)")
def book_change(store: int, verb: int, instrument: int, a: int, b: int, c: int, d: int, e: int) -> int:
    """Change a book: the arguments are the verb's own, in its order."""
    if not depth.in_book(store, instrument):
        return 8  # BookChange.BAD_VALUE
    if verb == _LEVEL_SET:
        return price_level.level_set(store, instrument, a, b, c, d, e)
    if verb == _LEVEL_ADD:
        return price_level.level_add(store, instrument, a, b, c, d, e)
    if verb == _QUOTE_SET:
        return price_level.quote_set(store, instrument, a, b, c, d, e)
    if verb == _CLEAR:
        return price_level.clear_book(store, instrument, a)
    if verb == _TRUNCATE:
        return price_level.truncate(store, instrument, a, b)
    if verb == _ORDER_ADD:
        return order_by_order.order_add(store, instrument, a, b, c, d, e)
    if verb == _ORDER_REDUCE:
        return order_by_order.order_reduce(store, instrument, a, b, c)
    if verb == _ORDER_DELETE:
        return order_by_order.order_delete(store, instrument, a, b)
    if verb == _ORDER_MODIFY:
        return order_by_order.order_modify(store, instrument, a, b, c, d)
    if verb == _ORDER_REPLACE:
        return order_by_order.order_replace(store, instrument, a, b, c, d, e)
    return 8


@kernel("i8(i8,i8,i8,i8,i8)")
def book_depth(store: int, instrument: int, side: int, n: int, out_address: int) -> int:
    """`copy_depth` for Python."""
    return depth.copy_depth(store, instrument, side, n, out_address)
