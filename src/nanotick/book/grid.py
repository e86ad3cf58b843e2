"""Prices on the ladder's grid, and what happens when one is not.

The unit of a book's ladder is the instrument's tick. A price between two ticks (a sub-penny print, a tick table that
changed) makes the unit shrink to the greatest common divisor and the book's two ladders are rebuilt. It happens a few
times in a book's life at most, because a divisor can only shrink. Stamps of prices without a level are forgotten then.
"""

from __future__ import annotations

from nanotick.book.ladder import (
    OFF_GRID,
    level_appears,
    make_cell,
    set_unit,
    tick_of,
)
from nanotick.book.radix import detach_side, discard_leaf
from nanotick.book.records import (
    BAD_VALUE,
    BOOK,
    CELL,
    FULL,
    KEY_BIAS,
    LEAF_BITS,
    MAX_PRICE,
    book_at,
    cell_at,
    leaf_at,
    link_at,
    order_at,
    side_at,
    store_at,
)
from nanotick.core.kernel import called, kernel
from nanotick.core.memory import copy_bytes, trailing_zeros

BOOK_BYTES = BOOK.itemsize
CELL_BYTES = CELL.itemsize


@kernel
def gcd(a: int, b: int) -> int:
    """Greatest common divisor of two numbers that are not negative."""
    while b != 0:
        a, b = b, a % b
    return a


@kernel
def grid_cell(store: int, owner: int, rank: int) -> int:
    """Cell of a rank, made if need be; minus a `BookChange` bit when it cannot be."""
    book = store_at(store).books_address + (owner >> 1) * BOOK_BYTES
    tick = tick_of(book, rank)
    if tick == OFF_GRID:
        if rank > MAX_PRICE or rank < -MAX_PRICE:
            return -BAD_VALUE
        if not refine(store, owner >> 1, gcd(book_at(book).unit, rank if rank > 0 else -rank)):
            return -FULL
        tick = tick_of(book, rank)
    cell = make_cell(store, owner, tick)
    return cell if cell != 0 else -FULL


@called
def refine(store: int, instrument: int, unit: int) -> bool:
    """Rebuild both ladders of a book on a finer unit; False (and nothing done) when the pool could not hold them."""
    root = store_at(store)
    levels = side_at(root.sides_address, 2 * instrument).levels + side_at(root.sides_address, 2 * instrument + 1).levels
    if root.leaf_capacity - root.leaf_next < levels:  # in the worst case each level gets a leaf of its own
        return False
    book = root.books_address + instrument * BOOK_BYTES
    factor = book_at(book).unit // unit
    set_unit(book, unit)
    for s in range(2):
        _move_levels(store, 2 * instrument + s, factor)
    return True


@kernel
def _move_levels(store: int, owner: int, factor: int) -> None:
    root = store_at(store)
    unit = book_at(root.books_address + (owner >> 1) * BOOK_BYTES).unit
    number = detach_side(store, owner)
    while number != 0:
        leaf = leaf_at(root.leaves_address, number)
        following = link_at(root.links_address, number).next
        occupied = leaf.occupied
        while True:
            bit = trailing_zeros(occupied)
            if bit == 64:
                break
            occupied = occupied & ~(1 << bit)
            tick = (((leaf.key - KEY_BIAS) << LEAF_BITS) + bit) * factor
            cell = make_cell(store, owner, tick)
            _move_cell(store, (number << LEAF_BITS) + bit, cell)
            level_appears(store, owner, cell, tick * unit)
        discard_leaf(store, number)
        number = following


@kernel
def _move_cell(store: int, source: int, target: int) -> None:
    root = store_at(store)
    copy_bytes(root.cells_address + target * CELL_BYTES, root.cells_address + source * CELL_BYTES, CELL_BYTES)
    slot = cell_at(root.cells_address, target).head
    while slot != 0:
        order = order_at(root.orders_address, slot)
        order.level = target
        slot = order.next
