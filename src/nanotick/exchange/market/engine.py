"""The doors of the matching engine: for other kernels by name, for Python one call and one batch.

A batch is worked with a look ahead, because a command names its order long before it is worked:

    command n + 24   its id -> place in the id page               prefetch the place
    command n + 16   place -> order slot                          prefetch the order and its MARKET_ORDER
    command n + 8    slot -> level, neighbours; price -> level    prefetch the levels and the neighbours

Prefetching for what turns out otherwise costs little; asking first would cost a mispredicted branch.
"""

from __future__ import annotations

from enum import IntEnum

from nanotick.book.order_index import likely_entry
from nanotick.book.records import (
    CELL,
    KEY_BIAS,
    LEAF_BITS,
    LEAF_TICKS,
    ORDER,
    WINDOW,
    book_at,
    cell_at,
    order_at,
    side_at,
    store_at,
)
from nanotick.core.kernel import inlined, kernel
from nanotick.core.memory import load_i32, load_i64, mul_wrap, prefetch, store_i64
from nanotick.core.records import RECORD_SIZE, command_at
from nanotick.exchange.market.clock import exchange_clock
from nanotick.exchange.market.commands import work_command
from nanotick.exchange.market.phases import exchange_phase
from nanotick.exchange.market.records import AHEAD_PLACES, MARKET_ORDER, exchange_at, market_order_at
from nanotick.exchange.market.resting import order_key
from nanotick.exchange.market.trades import exchange_bust, exchange_correct

AHEAD_PLACE = 24
AHEAD_SLOT = 16
AHEAD_LEVEL = 8
_RING = AHEAD_PLACES - 1
_LINES_AHEAD = 24 * RECORD_SIZE  # of the commands themselves
assert AHEAD_PLACE < AHEAD_PLACES
_ORDER_BYTES, _CELL_BYTES, _META_BYTES = ORDER.itemsize, CELL.itemsize, MARKET_ORDER.itemsize


@kernel
def exchange_command(exchange: int, command_address: int, now: int) -> int:
    """Work a command of any content.

    Parameters
    ----------
    exchange, command_address : int
        Addresses of the EXCHANGE and of a COMMAND; `command.strategy` is the participant.
    now : int
        ns, not before any time the exchange was told earlier.

    Returns
    -------
    int
        RejectReason, 0 when the command was taken.
    """
    return work_command(exchange, command_address, now)


class Call(IntEnum):
    """What `exchange_call` is asked to do."""

    COMMAND = 0  # a address of a COMMAND
    CLOCK = 1
    PHASE = 2  # a instrument, b Phase
    BUST = 3  # a number of the trade
    CORRECT = 4  # a number of the trade, b price


@kernel("i8(i8,i8,i8,i8,i8)")
def exchange_call(exchange: int, call: int, a: int, b: int, now: int) -> int:
    """Do one thing for Python: see `Call`."""
    if call == 0:
        return work_command(exchange, a, now)
    if call == 1:
        return exchange_clock(exchange, now)
    if call == 2:
        return exchange_phase(exchange, a, b, now)
    if call == 3:
        return exchange_bust(exchange, a, now)
    if call == 4:
        return exchange_correct(exchange, a, b, now)
    return -1


# --- looking ahead --------------------------------------------------------------------------------------------------


@inlined
def _place_ahead(ahead: int, store: int, commands: int, i: int) -> None:
    """Find the likely place of a command's id and remember it."""
    address = commands + i * RECORD_SIZE
    prefetch(address + _LINES_AHEAD)
    command = command_at(address)
    entry = likely_entry(store, order_key(command.strategy, command.id))
    prefetch(entry)
    store_i64(ahead + ((i & _RING) << 3), entry)


@inlined
def _order_ahead(ahead: int, exchange: int, books: int, i: int) -> None:
    """Read the slot at the place, and remember it instead: once for each time the place was remembered."""
    at = ahead + ((i & _RING) << 3)
    slot = load_i32(load_i64(at))
    store_i64(at, slot)
    prefetch(books + slot * _ORDER_BYTES)
    prefetch(exchange_at(exchange).orders_address + slot * _META_BYTES)


@inlined
def _level_ahead(ahead: int, exchange: int, books: int, commands: int, i: int) -> None:
    """From the order its level and neighbours; from the command's own price the end of the queue it may join."""
    root, store = exchange_at(exchange), store_at(books)
    slot = load_i64(ahead + ((i & _RING) << 3))
    order = order_at(store.orders_address, slot)
    meta = market_order_at(root.orders_address, slot)
    prefetch(store.cells_address + order.level * _CELL_BYTES)
    prefetch(store.orders_address + order.next * _ORDER_BYTES)
    prefetch(store.orders_address + order.prev * _ORDER_BYTES)
    prefetch(root.orders_address + meta.next * _META_BYTES)
    prefetch(root.orders_address + meta.prev * _META_BYTES)
    command = command_at(commands + i * RECORD_SIZE)
    cell = _likely_cell(books, command.instrument, command.side, command.price)
    prefetch(store.orders_address + cell_at(store.cells_address, cell).tail * _ORDER_BYTES)


@inlined
def _likely_cell(store: int, instrument: int, side: int, price: int) -> int:
    """Cell where a price of a side lies if it is near the best; some cell of the pool in any case."""
    root = store_at(store)
    ask = (1 - side) >> 1
    number = instrument if 0 <= instrument < root.instruments else 0
    book = book_at(root.books_address, number)
    tick = mul_wrap((price ^ -(ask & 1)) + (ask & 1), book.inverse) >> book.shift
    leaf = side_at(root.sides_address, 2 * number + (ask & 1)).window[((tick >> LEAF_BITS) + KEY_BIAS) & (WINDOW - 1)]
    return (leaf << LEAF_BITS) + (tick & (LEAF_TICKS - 1))


@kernel("i8(i8,i8,i8)")
def exchange_batch(exchange: int, commands_address: int, count: int) -> int:
    """Work commands that lie one after the other, each at its own `ts` (or the time reached, if that is later).

    Returns
    -------
    int
        How many were worked: fewer than `count` when a ring is half full (read it and go on), or on a bad status.
    """
    root = exchange_at(exchange)
    store = root.book_address
    orders = store_at(store).orders_address
    ahead = root.ahead_address
    last = count - 1
    for i in range(min(AHEAD_PLACE, count)):
        _place_ahead(ahead, store, commands_address, i)
    for i in range(min(AHEAD_SLOT, count)):
        _order_ahead(ahead, exchange, orders, i)
    for i in range(min(AHEAD_LEVEL, count)):
        _level_ahead(ahead, exchange, store, commands_address, i)
    now = 0
    for i in range(count):
        if (
            2 * (root.feed_end - root.feed_first) > root.feed_mask
            or 2 * (root.report_end - root.report_first) > root.report_mask
            or root.status != 0
        ):
            return i
        _place_ahead(ahead, store, commands_address, min(i + AHEAD_PLACE, last))
        _order_ahead(ahead, exchange, orders, min(i + AHEAD_SLOT, last))
        _level_ahead(ahead, exchange, store, commands_address, min(i + AHEAD_LEVEL, last))
        address = commands_address + i * RECORD_SIZE
        now = max(now, command_at(address).ts)
        if root.next_deadline <= now:
            exchange_clock(exchange, now)
        work_command(exchange, address, now)
    return count
