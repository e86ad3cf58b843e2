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
    BOOK,
    CELL,
    KEY_BIAS,
    LEAF_BITS,
    LEAF_TICKS,
    ORDER,
    SIDE,
    WINDOW,
    book_at,
    cell_at,
    order_at,
    side_at,
    store_at,
)
from nanotick.core.kernel import inlined, kernel
from nanotick.core.memory import load_i32, mul_wrap, prefetch
from nanotick.core.records import RECORD_SIZE, Kind, command_at
from nanotick.exchange.market.clock import exchange_clock
from nanotick.exchange.market.commands import work_command
from nanotick.exchange.market.phases import exchange_phase
from nanotick.exchange.market.records import MARKET_ORDER, exchange_at, market_order_at
from nanotick.exchange.market.resting import order_key
from nanotick.exchange.market.trades import exchange_bust, exchange_correct

AHEAD_PLACE = 24
AHEAD_SLOT = 16
AHEAD_LEVEL = 8
_NEW = int(Kind.NEW)
_ORDER_BYTES, _CELL_BYTES, _META_BYTES = ORDER.itemsize, CELL.itemsize, MARKET_ORDER.itemsize
_BOOK_BYTES, _SIDE_BYTES = BOOK.itemsize, SIDE.itemsize


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


@inlined
def _key_of(command_address: int) -> int:
    command = command_at(command_address)
    return order_key(command.strategy, command.id)


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
    books = store_at(store)
    now = 0
    for i in range(count):
        if (
            2 * (root.feed_end - root.feed_first) > root.feed_mask
            or 2 * (root.report_end - root.report_first) > root.report_mask
            or root.status != 0
        ):
            return i
        ahead = min(i + AHEAD_PLACE, count - 1)
        prefetch(likely_entry(store, _key_of(commands_address + ahead * RECORD_SIZE)))
        ahead = min(i + AHEAD_SLOT, count - 1)
        slot = load_i32(likely_entry(store, _key_of(commands_address + ahead * RECORD_SIZE)))
        prefetch(books.orders_address + slot * _ORDER_BYTES)
        prefetch(root.orders_address + slot * _META_BYTES)
        address = commands_address + min(i + AHEAD_LEVEL, count - 1) * RECORD_SIZE
        slot = load_i32(likely_entry(store, _key_of(address)))
        order = order_at(books.orders_address, slot)
        meta = market_order_at(root.orders_address, slot)
        prefetch(books.cells_address + order.level * _CELL_BYTES)
        prefetch(books.orders_address + order.next * _ORDER_BYTES)
        prefetch(books.orders_address + order.prev * _ORDER_BYTES)
        prefetch(root.orders_address + meta.next * _META_BYTES)
        prefetch(root.orders_address + meta.prev * _META_BYTES)
        command = command_at(address)
        cell = _likely_cell(store, command.instrument, command.side, command.price)
        prefetch(books.orders_address + cell_at(books.cells_address, cell).tail * _ORDER_BYTES)

        address = commands_address + i * RECORD_SIZE
        now = max(now, command_at(address).ts)
        if root.next_deadline <= now:
            exchange_clock(exchange, now)
        work_command(exchange, address, now)
    return count
