"""Reading a book: best prices, levels, depth. The same for price-level and order-by-order books.

`side` is 1 for bids and -1 for asks throughout. An empty side has the best price EMPTY_BID or EMPTY_ASK, so that
comparisons with it come out right, and quantity 0.
"""

from __future__ import annotations

from nanotick.book.ladder import OFF_GRID, cell_below, cell_below_tick, cell_rank, find_cell, near_cell, tick_of
from nanotick.book.records import (
    BEST_CHANGED,
    BOOK,
    CROSSED,
    EMPTY_RANK,
    MAX_PRICE,
    book_at,
    cell_at,
    depth_row_at,
    side_at,
    store_at,
)
from nanotick.core.kernel import inlined, kernel

BOOK_BYTES = BOOK.itemsize


@inlined
def in_book(store: int, instrument: int) -> bool:
    """Whether the store holds this instrument."""
    return 0 <= instrument < store_at(store).instruments


@inlined
def crossed(store: int, instrument: int, change: int) -> int:
    """The change, with CROSSED added when a best price moved and the sides now overlap."""
    if change & BEST_CHANGED:
        sides = store_at(store).sides_address
        # ranks: bid > ask is bid + (-ask) > 0; an empty side is so low that the sum cannot be positive
        if side_at(sides, 2 * instrument).best + side_at(sides, 2 * instrument + 1).best > 0:
            return change | CROSSED
    return change


@kernel
def owner_of(instrument: int, side: int) -> int:
    """Number of one side of an instrument's book."""
    return 2 * instrument + ((1 - side) >> 1)


@kernel
def best_price(store: int, instrument: int, side: int) -> int:
    """Best price of a side; EMPTY_BID or EMPTY_ASK when nothing rests there."""
    return side * side_at(store_at(store).sides_address, owner_of(instrument, side)).best


@kernel
def best_qty(store: int, instrument: int, side: int) -> int:
    """Quantity resting at the best price, 0 when the side is empty."""
    root = store_at(store)
    cell = side_at(root.sides_address, owner_of(instrument, side)).best_cell
    return cell_at(root.cells_address, cell).qty  # cell 0 is nobody's and stays zero


@kernel
def level_find(store: int, instrument: int, side: int, price: int) -> int:
    """Cell of an occupied level, or 0."""
    root = store_at(store)
    tick = tick_of(root.books_address + instrument * BOOK_BYTES, side * price)
    if tick == OFF_GRID:
        return 0
    cell = find_cell(store, owner_of(instrument, side), tick)
    if cell == 0 or cell_at(root.cells_address, cell).qty == 0:
        return 0
    return cell


@kernel
def level_qty(store: int, instrument: int, side: int, price: int) -> int:
    """Quantity resting at a price, 0 for none."""
    return cell_at(store_at(store).cells_address, level_find(store, instrument, side, price)).qty


@inlined
def level_cell(store: int, instrument: int, side: int, price: int) -> int:
    """Where the quantity of a price near the best is kept, whether or not there is any; 0: ask `level_qty`.

    It stays there through a LEVEL event of that price.
    """
    return near_cell(store, owner_of(instrument, side), side * price)


@inlined
def cell_qty(store: int, cell: int) -> int:
    """Quantity of a level by `level_cell`."""
    return cell_at(store_at(store).cells_address, cell).qty


@kernel
def level_orders(store: int, instrument: int, side: int, price: int) -> int:
    """Number of orders at a price, as counted or as the feed says; 0 for none or unknown."""
    cell = level_find(store, instrument, side, price)
    return cell_at(store_at(store).cells_address, cell).orders


@kernel
def level_head(store: int, instrument: int, side: int, price: int) -> int:
    """Slot of the first order in a level's queue, or -1."""
    cell = level_find(store, instrument, side, price)
    slot = cell_at(store_at(store).cells_address, cell).head
    return slot if slot != 0 else -1


@kernel
def _cell_price(store: int, side: int, cell: int) -> int:
    if cell == 0:
        return side * EMPTY_RANK
    return side * cell_rank(store, cell)


@kernel
def next_cell(store: int, instrument: int, side: int, price: int) -> int:
    """Cell of the best level strictly worse than a price, which need hold nothing itself, or 0."""
    root = store_at(store)
    owner = owner_of(instrument, side)
    rank = side * price
    if rank > side_at(root.sides_address, owner).best:
        return side_at(root.sides_address, owner).best_cell
    if rank < -MAX_PRICE:
        return 0
    unit = book_at(root.books_address + instrument * BOOK_BYTES).unit
    return cell_below_tick(store, owner, -(-rank // unit))  # a price off the grid: the next multiple above it


@kernel
def next_price(store: int, instrument: int, side: int, price: int) -> int:
    """Price of the next occupied level strictly worse than a price; EMPTY_BID or EMPTY_ASK when there is none."""
    return _cell_price(store, side, next_cell(store, instrument, side, price))


@kernel
def depth_cell(store: int, instrument: int, side: int, n: int) -> int:
    """Cell of the n-th best level, 0 the best, or 0 when there are not so many."""
    line = side_at(store_at(store).sides_address, owner_of(instrument, side))
    if n < 0 or n >= line.levels:
        return 0
    cell = line.best_cell
    for _ in range(n):
        cell = cell_below(store, cell)
    return cell


@kernel
def depth_price(store: int, instrument: int, side: int, n: int) -> int:
    """Price of the n-th best level (0 the best), EMPTY_BID or EMPTY_ASK beyond the last."""
    return _cell_price(store, side, depth_cell(store, instrument, side, n))


@kernel
def depth_qty(store: int, instrument: int, side: int, n: int) -> int:
    """Quantity of the n-th best level (0 the best), 0 beyond the last."""
    return cell_at(store_at(store).cells_address, depth_cell(store, instrument, side, n)).qty


@kernel
def side_levels(store: int, instrument: int, side: int) -> int:
    """Number of occupied levels of a side."""
    return side_at(store_at(store).sides_address, owner_of(instrument, side)).levels


@kernel
def side_orders(store: int, instrument: int, side: int) -> int:
    """Number of orders of a side that are known one by one."""
    return side_at(store_at(store).sides_address, owner_of(instrument, side)).orders


@kernel
def copy_depth(store: int, instrument: int, side: int, n: int, out_address: int) -> int:
    """Write the n best levels as rows of (price, qty), best first; returns how many there were."""
    root = store_at(store)
    cell = side_at(root.sides_address, owner_of(instrument, side)).best_cell
    written = 0
    while written < n and cell != 0:
        row = depth_row_at(out_address, written)
        row.price = side * cell_rank(store, cell)
        row.qty = cell_at(root.cells_address, cell).qty
        written += 1
        cell = cell_below(store, cell)
    return written
