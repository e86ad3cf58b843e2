"""Price-level book: quantities by price, absolute or incremental, from feeds of different depth and rate.

Fusing. A venue publishes the best bid and offer at once and deep levels every 100 ms; both describe the same book at
different times. Each level remembers the stamp of the news it holds: older news of it is ignored, also after the level
has gone. A best bid and offer (QUOTE) proves that nothing better rests: better levels whose news is not newer are
removed, and older news of better prices that comes later is ignored. This is the idea of hftbacktest's fused depth.
Stamp 0 means unknown and is always believed.

A book fed by QUOTE alone keeps one level a side: what lies behind is not known.

Nothing is repaired in silence: crossed input is kept and reported (`BookChange.CROSSED`).
"""

from __future__ import annotations

from nanotick.book.depth import crossed, in_book, owner_of
from nanotick.book.grid import grid_cell
from nanotick.book.ladder import (
    cell_below,
    cell_rank,
    leaf_turned,
    level_appears,
    level_vanishes,
    lowest_cell,
    near_cell,
    touch,
)
from nanotick.book.order_by_order import free_order, remove_order
from nanotick.book.order_index import id_entry, index_remove
from nanotick.book.queue_position import queue_drop
from nanotick.book.radix import detach_side, discard_leaf
from nanotick.book.records import (
    BAD_VALUE,
    BEST_CHANGED,
    BOOK,
    DEPTH_CHANGED,
    EMPTY_RANK,
    FULL,
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
from nanotick.core.kernel import inlined, kernel
from nanotick.core.memory import trailing_zeros

BOOK_BYTES = BOOK.itemsize


@kernel
def _store_level(store: int, owner: int, cell: int, rank: int, qty: int, orders: int, ts: int) -> int:
    """Write news into a cell, with what follows from it."""
    root = store_at(store)
    level = cell_at(root.cells_address, cell)
    side = side_at(root.sides_address, owner)
    before = level.qty
    level.orders = orders if qty != 0 else 0
    if ts != 0:
        level.ts = ts
    if qty == before:
        if qty == 0:
            touch(store, cell)
        return 0
    level.qty = qty
    was_best = side.best_cell == cell
    if before == 0:
        level_appears(store, owner, cell, rank)
        if side.best_cell != cell:
            return DEPTH_CHANGED
        return DEPTH_CHANGED | BEST_CHANGED
    if qty == 0:
        level_vanishes(store, owner, cell)
    if was_best:
        return DEPTH_CHANGED | BEST_CHANGED
    return DEPTH_CHANGED


@inlined
def _store_behind(store: int, owner: int, cell: int, qty: int, orders: int, ts: int) -> int:
    """Write news into a cell behind the best level: most of all news, so nothing here branches on quantities.

    Whether a level comes, stays or goes is as good as random and a wrong guess costs more than all of this; only a
    leaf's first and last level, which are rare, take a branch.
    """
    root = store_at(store)
    level = cell_at(root.cells_address, cell)
    leaf = leaf_at(root.leaves_address, cell >> LEAF_BITS)
    before = level.qty
    stays = int(qty != 0)
    level.qty = qty
    level.orders = orders * stays
    level.ts = ts if ts != 0 else level.ts
    bit = 1 << (cell & 63)
    was_empty = int(leaf.occupied == 0)
    leaf.touched = leaf.touched | bit
    leaf.occupied = (leaf.occupied & ~bit) | (stays << (cell & 63))
    side_at(root.sides_address, owner).levels += stays - int(before != 0)
    if was_empty != int(leaf.occupied == 0):
        leaf_turned(store, cell >> LEAF_BITS)
    return DEPTH_CHANGED * int(qty != before)


@kernel
def level_set(store: int, instrument: int, side: int, price: int, qty: int, orders: int, ts: int) -> int:
    """Total quantity now resting at a price (0: none). Older news than the level holds is ignored."""
    if not in_book(store, instrument) or side * side != 1 or qty < 0 or qty > MAX_PRICE:
        return BAD_VALUE
    root = store_at(store)
    owner = owner_of(instrument, side)
    rank = side * price
    book = book_at(root.books_address, instrument)
    if ts != 0 and ts < book.quote_ts[owner & 1] and rank > book.quote_rank[owner & 1]:
        return 0
    cell = near_cell(store, owner, rank)
    if cell == 0:
        cell = grid_cell(store, owner, rank)
        if cell <= 0:
            return 0 if qty == 0 and cell == -FULL else -cell
    level = cell_at(root.cells_address, cell)
    if ts != 0 and ts < level.ts:
        return 0
    if level.head != 0:
        return BAD_VALUE
    book.depth_known = 1
    line = side_at(root.sides_address, owner)
    if rank < line.best:
        change = _store_behind(store, owner, cell, qty, orders & 0x7FFFFFFF, ts)
    else:
        change = crossed(store, instrument, _store_level(store, owner, cell, rank, qty, orders & 0x7FFFFFFF, ts))
    if book.max_depth != 0 and line.levels > book.max_depth:
        truncate_owner(store, owner, book.max_depth)
        if level.qty == 0:
            return 0  # the news itself was beyond the bound
    return change


@kernel
def level_add(store: int, instrument: int, side: int, price: int, qty: int, orders: int, ts: int) -> int:
    """Change a level's quantity and number of orders by a difference; falling to zero or below empties it."""
    if not in_book(store, instrument) or (side != 1 and side != -1) or qty > MAX_PRICE or qty < -MAX_PRICE:
        return BAD_VALUE
    root = store_at(store)
    owner = owner_of(instrument, side)
    cell = grid_cell(store, owner, side * price)
    if cell <= 0:
        return -cell
    level = cell_at(root.cells_address, cell)
    if level.head != 0 or level.qty + qty > MAX_PRICE:
        return BAD_VALUE
    book = book_at(root.books_address, instrument)
    book.depth_known = 1
    total = level.qty + qty
    number = level.orders + orders
    flaw = 0
    if total < 0:
        total = 0
        flaw = BAD_VALUE
    if total == 0 or number < 0:
        number = 0
    change = _store_level(store, owner, cell, side * price, total, number & 0x7FFFFFFF, ts)
    if book.max_depth != 0 and side_at(root.sides_address, owner).levels > book.max_depth:
        truncate_owner(store, owner, book.max_depth)
    return crossed(store, instrument, change) | flaw


@inlined
def _move_only_level(store: int, owner: int, cell: int, rank: int, qty: int, ts: int) -> int:
    """The one level of a side fed by QUOTE alone is now in this cell of its leaf, perhaps as before."""
    root = store_at(store)
    line = side_at(root.sides_address, owner)
    source = line.best_cell
    old = cell_at(root.cells_address, source)
    before = old.qty
    old.qty = 0
    old.ts = ts if ts != 0 else old.ts
    level = cell_at(root.cells_address, cell)
    level.qty = qty
    level.ts = ts if ts != 0 else level.ts
    leaf = leaf_at(root.leaves_address, cell >> LEAF_BITS)
    leaf.occupied = 1 << (cell & 63)
    leaf.touched = leaf.touched | (1 << (cell & 63))
    line.best = rank
    line.best_cell = cell
    return (DEPTH_CHANGED | BEST_CHANGED) * int(((source ^ cell) | (before ^ qty)) != 0)


@kernel
def level_quote(store: int, instrument: int, side: int, price: int, qty: int, ts: int) -> int:
    """The best level of a side as a QUOTE states it; quantity 0 or an empty price says the side is empty."""
    if not in_book(store, instrument) or (side != 1 and side != -1) or qty < 0 or qty > MAX_PRICE:
        return BAD_VALUE
    root = store_at(store)
    owner = owner_of(instrument, side)
    rank = side * price
    if qty == 0 or rank == EMPTY_RANK:
        rank = EMPTY_RANK
    line = side_at(root.sides_address, owner)
    if line.orders != 0:
        return 0  # the orders themselves are known: a summary adds nothing
    book = book_at(root.books_address, instrument)
    if ts != 0:
        if ts < book.quote_ts[owner & 1]:
            return 0
    cell = 0
    if rank != EMPTY_RANK:
        cell = near_cell(store, owner, rank)
        if cell == 0:
            cell = grid_cell(store, owner, rank)
            if cell <= 0:
                return -cell
    book.quote_ts[owner & 1] = ts
    book.quote_rank[owner & 1] = rank
    if book.depth_known == 0 and line.levels == 1 and cell >> LEAF_BITS == line.best_cell >> LEAF_BITS:
        newest = max(cell_at(root.cells_address, cell).ts, cell_at(root.cells_address, line.best_cell).ts)
        if ts == 0 or newest <= ts:
            return _move_only_level(store, owner, cell, rank, qty, ts)
    change = 0
    if line.best_cell != cell or (book.depth_known == 0 and line.levels > 1):
        better = line.best_cell
        while better != 0 and line.best > rank and cell_rank(store, better) > rank:
            following = cell_below(store, better)
            stamp = cell_at(root.cells_address, better).ts
            if ts == 0 or stamp <= ts:
                change |= _store_level(store, owner, better, 0, 0, 0, ts)
            better = following
        if book.depth_known == 0:
            worse = line.best_cell
            while worse != 0:
                following = cell_below(store, worse)
                if worse != cell:
                    change |= _store_level(store, owner, worse, 0, 0, 0, ts)
                worse = following
    if cell != 0:
        level = cell_at(root.cells_address, cell)
        if ts == 0 or level.ts <= ts:
            orders = level.orders if level.qty == qty else 0
            change |= _store_level(store, owner, cell, rank, qty, orders, ts)
    return change


@kernel
def quote_set(store: int, instrument: int, bid: int, bid_qty: int, ask: int, ask_qty: int, ts: int) -> int:
    """Best bid and offer at once."""
    change = level_quote(store, instrument, 1, bid, bid_qty, ts)
    change |= level_quote(store, instrument, -1, ask, ask_qty, ts)
    return crossed(store, instrument, change)


# --- less of a book -------------------------------------------------------------------------------------------------


@kernel
def drop_level(store: int, owner: int, cell: int) -> None:
    """Remove a level, and the orders in it if they are known."""
    root = store_at(store)
    level = cell_at(root.cells_address, cell)
    if level.head == 0:
        _store_level(store, owner, cell, 0, 0, 0, 0)
        return
    ts = level.ts
    while level.head != 0:
        order = order_at(root.orders_address, level.head)
        remove_order(store, level.head, ts, id_entry(store, order.id))


@kernel
def truncate_owner(store: int, owner: int, depth: int) -> int:
    """Remove levels from the worst end until at most `depth` are left."""
    root = store_at(store)
    side = side_at(root.sides_address, owner)
    change = 0
    while side.levels > depth:
        drop_level(store, owner, lowest_cell(store, owner))
        change = DEPTH_CHANGED
    if change != 0 and side.levels == 0:
        change |= BEST_CHANGED
    return change


@kernel
def truncate(store: int, instrument: int, side: int, depth: int) -> int:
    """Keep only the `depth` best levels of a side (feeds of bounded depth, such as Kraken's, expect it)."""
    if not in_book(store, instrument) or (side != 1 and side != -1) or depth < 0:
        return BAD_VALUE
    return truncate_owner(store, owner_of(instrument, side), depth)


@kernel
def _clear_owner(store: int, owner: int) -> int:
    root = store_at(store)
    side = side_at(root.sides_address, owner)
    change = 0
    if side.levels != 0:
        change = DEPTH_CHANGED | BEST_CHANGED
    number = detach_side(store, owner)
    while number != 0:
        following = link_at(root.links_address, number).next
        occupied = leaf_at(root.leaves_address, number).occupied
        while True:
            bit = trailing_zeros(occupied)
            if bit == 64:
                break
            occupied = occupied & ~(1 << bit)
            cell = (number << LEAF_BITS) + bit
            level = cell_at(root.cells_address, cell)
            if level.queue != 0:
                queue_drop(store, cell)
            slot = level.head
            while slot != 0:
                order = order_at(root.orders_address, slot)
                behind = order.next
                index_remove(store, owner >> 1, order.id, slot, id_entry(store, order.id))
                free_order(store, slot)
                slot = behind
        discard_leaf(store, number)
        number = following
    side.orders = 0
    book = book_at(root.books_address, owner >> 1)
    book.quote_ts[owner & 1] = 0
    book.quote_rank[owner & 1] = 0
    return change


@kernel
def clear_book(store: int, instrument: int, side: int) -> int:
    """Empty a book (side 0) or one side of it, with all it remembers of past levels."""
    if not in_book(store, instrument) or side < -1 or side > 1:
        return BAD_VALUE
    change = 0
    if side >= 0:
        change |= _clear_owner(store, 2 * instrument)
    if side <= 0:
        change |= _clear_owner(store, 2 * instrument + 1)
    return change
