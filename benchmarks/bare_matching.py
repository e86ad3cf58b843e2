"""The floor under a matching engine: the same commands in a flat ladder, with nothing told to anybody.

No participants, feed, reports, checks or rules of instruments; ids index an array, prices lie in a fixed window.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.kernel import inlined, kernel
from nanotick.core.memory import leading_zeros, load_i32, load_i64, record_at, store_i32, store_i64, trailing_zeros
from nanotick.core.records import Kind, command_at

WIDTH = 1 << 10  # ticks of a book
WORDS = WIDTH // 64
BASE = 100_000 - WIDTH // 2
_NEW, _CANCEL = int(Kind.NEW), int(Kind.CANCEL)

ORDER = np.dtype(
    [("id", "<i4"), ("qty", "<i4"), ("cell", "<i4"), ("side", "<i4"), ("next", "<i4"), ("prev", "<i4"), ("pad", "<i8")]
)
CELL = np.dtype([("qty", "<i8"), ("head", "<i4"), ("tail", "<i4")])
BARE = np.dtype(
    [
        ("orders_address", "<i8"),
        ("cells_address", "<i8"),
        ("bits_address", "<i8"),  # int64 [books][2][WORDS]
        ("best_address", "<i8"),  # int64 [books][2]: place, -1 and WIDTH for none
        ("index_address", "<i8"),  # int32 by participant and id
        ("span", "<i8"),  # ids a participant
        ("free", "<i8"),
        ("used", "<i8"),
        ("trades", "<i8"),
        ("volume", "<i8"),
    ]
)
order_at = record_at(ORDER, "BareOrder")
cell_at = record_at(CELL, "BareCell")
bare_at = record_at(BARE, "Bare")


@inlined
def _higher(bits: int, place: int) -> int:
    """First level at a place or above, WIDTH for none."""
    word = place >> 6
    if word >= WORDS:
        return WIDTH
    x = load_i64(bits + word * 8) & (-1 << (place & 63))
    while x == 0:
        word += 1
        if word >= WORDS:
            return WIDTH
        x = load_i64(bits + word * 8)
    return (word << 6) + trailing_zeros(x)


@inlined
def _lower(bits: int, place: int) -> int:
    """First level at a place or below, -1 for none."""
    word = place >> 6
    if word < 0:
        return -1
    x = load_i64(bits + word * 8)
    if place & 63 != 63:
        x = x & ((1 << ((place & 63) + 1)) - 1)
    while x == 0:
        word -= 1
        if word < 0:
            return -1
        x = load_i64(bits + word * 8)
    return (word << 6) + 63 - leading_zeros(x)


@inlined
def _leave(bare: int, book: int, slot: int) -> None:
    root = bare_at(bare)
    order = order_at(root.orders_address, slot)
    cell = cell_at(root.cells_address, order.cell)
    cell.qty -= order.qty
    before, after = order.prev, order.next
    order_at(root.orders_address, before).next = after
    order_at(root.orders_address, after).prev = before
    if before == 0:
        cell.head = after
    if after == 0:
        cell.tail = before
    if cell.head == 0:
        side, place = order.side, order.cell & (WIDTH - 1)
        bits = root.bits_address + (2 * book + side) * WORDS * 8
        word = bits + (place >> 6) * 8
        store_i64(word, load_i64(word) & ~(1 << (place & 63)))
        best = root.best_address + (2 * book + side) * 8
        if load_i64(best) == place:
            store_i64(best, _lower(bits, place) if side == 0 else _higher(bits, place))
    store_i32(root.index_address + 4 * order.id, 0)
    order.next = root.free
    root.free = slot


@inlined
def _enter(bare: int, book: int, key: int, side: int, place: int, qty: int, rests: bool) -> None:
    root = bare_at(bare)
    best = root.best_address + (2 * book + 1 - side) * 8
    while qty > 0:
        there = load_i64(best)
        if (side == 0 and there > place) or (side == 1 and there < place):
            break
        slot = cell_at(root.cells_address, book * WIDTH + there).head
        order = order_at(root.orders_address, slot)
        root.trades += 1
        if order.qty <= qty:
            qty -= order.qty
            root.volume += order.qty
            _leave(bare, book, slot)
        else:
            root.volume += qty
            order.qty -= qty
            cell_at(root.cells_address, book * WIDTH + there).qty -= qty
            qty = 0
    if qty == 0 or not rests:
        return
    slot = root.free
    if slot != 0:
        root.free = order_at(root.orders_address, slot).next
    else:
        root.used += 1
        slot = root.used
    number = book * WIDTH + place
    cell = cell_at(root.cells_address, number)
    order = order_at(root.orders_address, slot)
    order.id = key
    order.qty = qty
    order.cell = number
    order.side = side
    order.next = 0
    order.prev = cell.tail
    order_at(root.orders_address, cell.tail).next = slot
    if cell.head == 0:
        cell.head = slot
        word = root.bits_address + (2 * book + side) * WORDS * 8 + (place >> 6) * 8
        store_i64(word, load_i64(word) | (1 << (place & 63)))
        own = root.best_address + (2 * book + side) * 8
        if (side == 0 and place > load_i64(own)) or (side == 1 and place < load_i64(own)):
            store_i64(own, place)
    cell.tail = slot
    cell.qty += qty
    store_i32(root.index_address + 4 * key, slot)


@kernel("i8(i8,i8,i8)")
def match_bare(bare: int, commands: int, count: int) -> int:
    """Work the commands; returns the number of trades so far."""
    root = bare_at(bare)
    for i in range(count):
        command = command_at(commands, i)
        key = command.strategy * root.span + command.id
        book = command.instrument
        if command.kind == _NEW:
            side = (1 - command.side) >> 1
            place = command.price - BASE
            if command.order_type != 0:
                place = WIDTH - 1 if side == 0 else 0
            _enter(bare, book, key, side, place, command.qty, command.tif == 0 and command.order_type == 0)
        else:
            slot = load_i32(root.index_address + 4 * key)
            if slot != 0:
                side = order_at(root.orders_address, slot).side
                _leave(bare, book, slot)
                if command.kind != _CANCEL:
                    _enter(bare, book, key, side, command.price - BASE, command.qty, True)
    return root.trades


class BareBooks:
    """Memory of the floor for some books, participants and commands."""

    def __init__(self, books: int, participants: int, commands: int) -> None:
        span = commands // participants + 2
        self.orders = np.zeros(commands + 1, ORDER)
        self.cells = np.zeros(books * WIDTH, CELL)
        self.bits = np.zeros(books * 2 * WORDS, np.int64)
        self.best = np.tile(np.array([-1, WIDTH], np.int64), books)
        self.index = np.zeros(participants * span + 1, np.int32)
        self.root = np.zeros(1, BARE)
        for name, array in (
            ("orders", self.orders),
            ("cells", self.cells),
            ("bits", self.bits),
            ("best", self.best),
            ("index", self.index),
        ):
            self.root[f"{name}_address"] = array.ctypes.data
        self.root["span"] = span

    def run(self, commands: npt.NDArray[Any]) -> int:
        """Work COMMAND records; returns the number of trades so far."""
        return int(match_bare(self.root.ctypes.data, commands.ctypes.data, len(commands)))
