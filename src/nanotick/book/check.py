"""Invariants of a book, checked by walking all of it. For tests, and for an operator in doubt: O(levels + orders)."""

from __future__ import annotations

from enum import IntEnum

from nanotick.book.ladder import cell_below, cell_rank, find_cell, highest_cell, tick_of
from nanotick.book.order_index import id_entry, index_find
from nanotick.book.queue_position import FENWICK_BYTES, fenwick_at, queue_at
from nanotick.book.records import (
    BOOK,
    EMPTY_RANK,
    LEAF_BITS,
    WINDOW,
    cell_at,
    leaf_at,
    node_at,
    order_at,
    side_at,
    store_at,
)
from nanotick.core.kernel import kernel
from nanotick.core.memory import load_i32, popcount

BOOK_BYTES = BOOK.itemsize


class Invariant(IntEnum):
    """What must hold of every book at every moment; `check_book` names the first that does not."""

    SOUND = 0
    BEST_LEVEL = 1  # best price and cell are those of the highest level, or empty
    LEVEL_ORDER = 2  # walking down the levels, prices get strictly worse
    LEVEL_COUNT = 3  # as many levels as counted
    LEVEL_QTY = 4  # each level has positive quantity
    QUEUE_LINKS = 5  # next and prev agree, head and tail are the ends
    QUEUE_QTY = 6  # a queue's orders sum to the level's quantity
    QUEUE_COUNT = 7  # and number as many as it says
    ORDER_OWNER = 8  # an order knows its level, instrument and side
    ORDER_ID = 9  # an order is found by its id
    ORDER_COUNT = 10  # as many orders as the side says
    WINDOW_LEAF = 11  # the leaves near the touch are those of the tree
    TREE_LINKS = 12  # parents, children and occupancy agree
    CELL_FOUND = 13  # a level is found by its price
    QUEUE_INDEX = 14  # a queue's Fenwick tree sums to its quantity


(
    _BEST_LEVEL,
    _LEVEL_ORDER,
    _LEVEL_COUNT,
    _LEVEL_QTY,
    _QUEUE_LINKS,
    _QUEUE_QTY,
    _QUEUE_COUNT,
    _ORDER_OWNER,
    _ORDER_ID,
    _ORDER_COUNT,
    _WINDOW_LEAF,
    _TREE_LINKS,
    _CELL_FOUND,
    _QUEUE_INDEX,
) = (int(i) for i in list(Invariant)[1:])


@kernel
def _check_queue(store: int, owner: int, cell: int) -> int:
    root = store_at(store)
    level = cell_at(root.cells_address, cell)
    total, count, before = 0, 0, 0
    slot = level.head
    while slot != 0:
        order = order_at(root.orders_address, slot)
        if order.prev != before or count > level.orders:
            return _QUEUE_LINKS
        if order.level != cell or order.owner != owner or order.qty <= 0:
            return _ORDER_OWNER
        if index_find(store, owner >> 1, order.id, id_entry(store, order.id)) != slot:
            return _ORDER_ID
        total += order.qty
        count += 1
        before = slot
        slot = order.next
    if level.tail != before:
        return _QUEUE_LINKS
    if total != level.qty:
        return _QUEUE_QTY
    if count != level.orders:
        return _QUEUE_COUNT
    if level.queue != 0:
        record = queue_at(root.queues_address, level.queue)
        base = root.fenwick_address + record.block * FENWICK_BYTES
        place, indexed = record.used, 0
        while place > 0:
            indexed += fenwick_at(base, place).qty
            place -= place & -place
        if indexed != level.qty or load_i32(root.places_address + level.tail * 4) > record.used:
            return _QUEUE_INDEX
    return 0


@kernel
def _check_path(store: int, owner: int, cell: int) -> int:
    root = store_at(store)
    leaf = leaf_at(root.leaves_address, cell >> LEAF_BITS)
    ref, parent = cell >> LEAF_BITS, leaf.parent
    while parent != 0:
        node = node_at(root.nodes_address, parent)
        digit = (leaf.key >> node.shift) & 63
        if node.child[digit] != ref or (node.occupied >> digit) & 1 == 0 or (node.present >> digit) & 1 == 0:
            return _TREE_LINKS
        if popcount(node.present) < 2 or (node.key ^ leaf.key) >> node.shift > 63:
            return _TREE_LINKS
        ref, parent = -parent, node.parent
    if side_at(root.sides_address, owner).root != ref:
        return _TREE_LINKS
    return 0


@kernel
def check_side(store: int, owner: int) -> int:
    """First broken invariant of one side, or 0."""
    root = store_at(store)
    side = side_at(root.sides_address, owner)
    if side.levels == 0:
        if side.best != EMPTY_RANK or side.best_cell != 0:
            return _BEST_LEVEL
        return _ORDER_COUNT if side.orders != 0 else 0
    cell = highest_cell(store, side.root)
    if side.best_cell != cell or side.best != cell_rank(store, cell):
        return _BEST_LEVEL
    levels, orders, last = 0, 0, -EMPTY_RANK
    while cell != 0:
        level = cell_at(root.cells_address, cell)
        rank = cell_rank(store, cell)
        if rank >= last or leaf_at(root.leaves_address, cell >> LEAF_BITS).owner != owner:
            return _LEVEL_ORDER
        if level.qty <= 0:
            return _LEVEL_QTY
        if find_cell(store, owner, tick_of(root.books_address + (owner >> 1) * BOOK_BYTES, rank)) != cell:
            return _CELL_FOUND
        broken = _check_path(store, owner, cell)
        if broken != 0:
            return broken
        if level.head != 0:
            broken = _check_queue(store, owner, cell)
            if broken != 0:
                return broken
            orders += level.orders
        last = rank
        levels += 1
        if levels > side.levels:
            return _LEVEL_COUNT
        cell = cell_below(store, cell)
    if levels != side.levels:
        return _LEVEL_COUNT
    if orders != side.orders:
        return _ORDER_COUNT
    for i in range(WINDOW):
        number = side.window[i]
        if number != 0:
            leaf = leaf_at(root.leaves_address, number)
            if leaf.owner != owner or leaf.key & (WINDOW - 1) != i or not 0 <= leaf.key - side.window_key < WINDOW:
                return _WINDOW_LEAF
    return 0


@kernel
def check_book(store: int, instrument: int) -> int:
    """First broken `Invariant` of an instrument's book, 0 when it is sound."""
    broken = check_side(store, 2 * instrument)
    if broken != 0:
        return broken
    return check_side(store, 2 * instrument + 1)
