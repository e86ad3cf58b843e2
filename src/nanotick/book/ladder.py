"""The price ladder of one side: levels in leaves of 64 adjacent ticks, found by price and searched in order.

A leaf is found through the side's window of eight leaves around the best level, else by a walk of the radix tree: one
step for 4,096 ticks, two for 262,144. The next level is found in the leaf's occupancy word, else up and down the tree.
The best level of each side is kept at every change.
"""

from __future__ import annotations

from nanotick.book.radix import find_leaf, idle_append, idle_remove, make_leaf, mark_empty, mark_occupied
from nanotick.book.records import (
    BOOK,
    EMPTY_RANK,
    KEY_BIAS,
    LEAF_BITS,
    LEAF_TICKS,
    MAX_PRICE,
    WINDOW,
    book_at,
    leaf_at,
    node_at,
    side_at,
    store_at,
)
from nanotick.core.kernel import inlined, kernel
from nanotick.core.memory import leading_zeros, mul_wrap, trailing_zeros

BOOK_BYTES = BOOK.itemsize
OFF_GRID = 1 << 62  # tick_of: not a multiple of the unit, or out of range


@kernel
def set_unit(book_address: int, unit: int) -> None:
    """Give a book its ladder unit, with the constants that divide by it."""
    book = book_at(book_address)
    shift = trailing_zeros(unit)
    odd = unit >> shift
    inverse = odd  # correct to 3 bits; each Newton step doubles them
    for _ in range(5):
        inverse = mul_wrap(inverse, 2 - mul_wrap(odd, inverse))
    book.unit = unit
    book.inverse = inverse
    book.shift = shift
    book.tick_limit = MAX_PRICE // unit


@inlined
def tick_of(book_address: int, rank: int) -> int:
    """Rank in ladder units, or OFF_GRID. Exact division as a multiplication (Hacker's Delight, 10-16)."""
    book = book_at(book_address)
    product = mul_wrap(rank, book.inverse)
    tick = product >> book.shift
    limit = book.tick_limit
    if (tick << book.shift) != product or tick > limit or tick < -limit:
        return OFF_GRID
    return tick


@inlined
def near_cell(store: int, owner: int, rank: int) -> int:
    """Cell of a rank whose leaf is in its side's window, else 0 (which does not say that there is none)."""
    root = store_at(store)
    tick = tick_of(root.books_address + (owner >> 1) * BOOK_BYTES, rank)
    key = (tick >> LEAF_BITS) + KEY_BIAS
    side = side_at(root.sides_address, owner)
    if not 0 <= key - side.window_key < WINDOW:
        return 0
    leaf = side.window[key & (WINDOW - 1)]
    if leaf == 0:
        return 0
    return (leaf << LEAF_BITS) + (tick & (LEAF_TICKS - 1))


@kernel
def find_cell(store: int, owner: int, tick: int) -> int:
    """Cell index of a tick, or 0 when its leaf does not exist."""
    leaf = find_leaf(store, owner, (tick >> LEAF_BITS) + KEY_BIAS)
    if leaf == 0:
        return 0
    return (leaf << LEAF_BITS) + (tick & (LEAF_TICKS - 1))


@inlined
def cell_tick(store: int, cell: int) -> int:
    """Tick of a cell."""
    leaf = leaf_at(store_at(store).leaves_address, cell >> LEAF_BITS)
    return ((leaf.key - KEY_BIAS) << LEAF_BITS) + (cell & (LEAF_TICKS - 1))


@inlined
def cell_rank(store: int, cell: int) -> int:
    """Rank (side * price) of a cell."""
    root = store_at(store)
    owner = leaf_at(root.leaves_address, cell >> LEAF_BITS).owner
    return cell_tick(store, cell) * book_at(root.books_address, owner >> 1).unit


@kernel
def make_cell(store: int, owner: int, tick: int) -> int:
    """Cell index of a tick, its leaf made if need be; 0 when the pool is exhausted."""
    leaf = make_leaf(store, owner, (tick >> LEAF_BITS) + KEY_BIAS)
    if leaf == 0:
        return 0
    return (leaf << LEAF_BITS) + (tick & (LEAF_TICKS - 1))


# --- search ---------------------------------------------------------------------------------------------------------


@kernel
def highest_cell(store: int, ref: int) -> int:
    """Cell of the highest level below a tree reference that has one."""
    root = store_at(store)
    while ref < 0:
        node = node_at(root.nodes_address, -ref)
        ref = node.child[63 - leading_zeros(node.occupied)]
    return (ref << LEAF_BITS) + 63 - leading_zeros(leaf_at(root.leaves_address, ref).occupied)


@kernel
def lowest_cell(store: int, owner: int) -> int:
    """Cell of a side's worst level, or 0."""
    root = store_at(store)
    side = side_at(root.sides_address, owner)
    if side.levels == 0:
        return 0
    ref = side.root
    while ref < 0:
        node = node_at(root.nodes_address, -ref)
        ref = node.child[trailing_zeros(node.occupied)]
    return (ref << LEAF_BITS) + trailing_zeros(leaf_at(root.leaves_address, ref).occupied)


@kernel
def cell_below(store: int, cell: int) -> int:
    """Cell of the next level worse than this cell (which need not hold a level), or 0."""
    root = store_at(store)
    number = cell >> LEAF_BITS
    leaf = leaf_at(root.leaves_address, number)
    lower = leaf.occupied & ((1 << (cell & 63)) - 1)
    if lower != 0:
        return (number << LEAF_BITS) + 63 - leading_zeros(lower)
    key = leaf.key
    parent = leaf.parent
    while parent != 0:
        node = node_at(root.nodes_address, parent)
        lower = node.occupied & ((1 << ((key >> node.shift) & 63)) - 1)
        if lower != 0:
            return highest_cell(store, node.child[63 - leading_zeros(lower)])
        parent = node.parent
    return 0


@kernel
def cell_below_tick(store: int, owner: int, tick: int) -> int:
    """Cell of the best level strictly worse than a tick that need not exist, or 0."""
    root = store_at(store)
    side = side_at(root.sides_address, owner)
    if side.levels == 0:
        return 0
    key = (tick >> LEAF_BITS) + KEY_BIAS
    candidate = 0  # tree reference to the left of the path whose highest level is the answer if the path has none
    ref = side.root
    while ref < 0:
        node = node_at(root.nodes_address, -ref)
        if ((key ^ node.key) >> node.shift) > 63:
            if node.key < key and node.occupied != 0:
                candidate = ref
            ref = 0
        else:
            digit = (key >> node.shift) & 63
            lower = node.occupied & ((1 << digit) - 1)
            if lower != 0:
                candidate = node.child[63 - leading_zeros(lower)]
            ref = node.child[digit]
    if ref > 0:
        leaf = leaf_at(root.leaves_address, ref)
        lower = 0
        if leaf.key == key:
            lower = leaf.occupied & ((1 << (tick & 63)) - 1)
        elif leaf.key < key:
            lower = leaf.occupied
        if lower != 0:
            return (ref << LEAF_BITS) + 63 - leading_zeros(lower)
    if candidate == 0:
        return 0
    return highest_cell(store, candidate)


# --- levels come and go ---------------------------------------------------------------------------------------------


@kernel
def follow_best(store: int, owner: int, cell: int, rank: int) -> None:
    """A side's best level is now this cell; keep the window of leaves around it."""
    root = store_at(store)
    side = side_at(root.sides_address, owner)
    side.best = rank
    side.best_cell = cell
    if cell != 0:
        key = leaf_at(root.leaves_address, cell >> LEAF_BITS).key
        place = key - side.window_key
        if place < 3 or place >= WINDOW:
            side.window_key = key - 6
            for i in range(WINDOW):
                side.window[i] = 0
            side.window[key & (WINDOW - 1)] = cell >> LEAF_BITS


@kernel
def leaf_turned(store: int, number: int) -> None:
    """A leaf has got its first level, or lost its last one: let the tree above it know."""
    root = store_at(store)
    leaf = leaf_at(root.leaves_address, number)
    if leaf.occupied != 0:
        idle_remove(store, number)
        root.leaves_live += 1
        mark_occupied(store, leaf.parent, leaf.key)
    else:
        mark_empty(store, leaf.parent, leaf.key)
        root.leaves_live -= 1
        idle_append(store, number)


@kernel
def level_appears(store: int, owner: int, cell: int, rank: int) -> None:
    """A cell has got its first quantity."""
    root = store_at(store)
    number = cell >> LEAF_BITS
    leaf = leaf_at(root.leaves_address, number)
    bit = 1 << (cell & 63)
    before = leaf.occupied
    leaf.occupied = before | bit
    leaf.touched = leaf.touched | bit
    if before == 0:
        leaf_turned(store, number)
    side = side_at(root.sides_address, owner)
    side.levels += 1
    if rank > side.best:
        follow_best(store, owner, cell, rank)


@kernel
def level_vanishes(store: int, owner: int, cell: int) -> None:
    """A cell has lost its last quantity."""
    root = store_at(store)
    number = cell >> LEAF_BITS
    leaf = leaf_at(root.leaves_address, number)
    leaf.occupied = leaf.occupied & ~(1 << (cell & 63))
    if leaf.occupied == 0:
        leaf_turned(store, number)
    side = side_at(root.sides_address, owner)
    side.levels -= 1
    if cell == side.best_cell:
        below = cell_below(store, cell)
        rank = EMPTY_RANK
        if below != 0:
            rank = cell_rank(store, below)
        follow_best(store, owner, below, rank)


@kernel
def touch(store: int, cell: int) -> None:
    """A cell without quantity has got something to remember."""
    leaf = leaf_at(store_at(store).leaves_address, cell >> LEAF_BITS)
    leaf.touched = leaf.touched | (1 << (cell & 63))
