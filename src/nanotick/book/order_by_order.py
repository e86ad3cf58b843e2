"""Order-by-order book: every resting order in the FIFO queue of its level.

An order is a 32-byte slot that knows its level's cell, its neighbours in the queue and its owner (instrument and side),
so removing it needs neither its price nor a search. Price and side of an order are read off its level.

Where a queue ends the neighbour is slot 0, which belongs to nobody: links are written through it without asking, for
whether an order has a neighbour is what a branch predictor cannot know.

Every function that changes the book returns `BookChange` bits and does nothing when it refuses.
"""

from __future__ import annotations

from nanotick.book.depth import crossed, in_book
from nanotick.book.grid import grid_cell
from nanotick.book.ladder import cell_rank, level_appears, level_vanishes, near_cell
from nanotick.book.order_index import id_entry, index_find, index_insert, index_remove, sure_entry
from nanotick.book.queue_position import queue_append, queue_change, queue_drop
from nanotick.book.records import (
    BAD_VALUE,
    BEST_CHANGED,
    DEPTH_CHANGED,
    FULL,
    MAX_PRICE,
    UNKNOWN_ORDER,
    cell_at,
    order_at,
    side_at,
    store_at,
)
from nanotick.core.kernel import inlined, kernel

ALL = (1 << 62) + 1  # more than can rest: `take_qty` removes the order


@inlined
def take_order(store: int) -> int:
    """A free order slot, or 0."""
    root = store_at(store)
    slot = root.order_free
    if slot != 0:
        root.order_free = order_at(root.orders_address, slot).next
        return slot
    if root.order_next >= root.order_capacity:
        return 0
    slot = root.order_next
    root.order_next = slot + 1
    return slot


@inlined
def free_order(store: int, slot: int) -> None:
    """Give a slot back. Its last content stays readable until it is taken again, but for the link."""
    root = store_at(store)
    order = order_at(root.orders_address, slot)
    order.level = 0
    order.next = root.order_free
    root.order_free = slot


@inlined
def link_order(store: int, slot: int, cell: int, owner: int, ident: int, qty: int, ts: int) -> int:
    """Put a filled-in slot at the back of a level's queue."""
    root = store_at(store)
    level = cell_at(root.cells_address, cell)
    order = order_at(root.orders_address, slot)
    tail = level.tail
    order.id = ident
    order.qty = qty
    order.level = cell
    order.next = 0
    order.prev = tail
    order.owner = owner
    order_at(root.orders_address, tail).next = slot
    level.head = slot if tail == 0 else level.head
    level.tail = slot
    level.orders += 1
    level.ts = ts
    before = level.qty
    level.qty = before + qty
    side = side_at(root.sides_address, owner)
    side.orders += 1
    if before == 0:
        level_appears(store, owner, cell, cell_rank(store, cell))
    if level.queue != 0:
        queue_append(store, cell, slot, qty)
    if cell == side.best_cell:
        return DEPTH_CHANGED | BEST_CHANGED
    return DEPTH_CHANGED


@inlined
def unlink_order(store: int, slot: int, ts: int) -> int:
    """Take an order out of its level's queue (the slot and the id stay with the caller)."""
    root = store_at(store)
    order = order_at(root.orders_address, slot)
    cell = order.level
    owner = order.owner
    level = cell_at(root.cells_address, cell)
    ahead, behind = order.prev, order.next
    if level.queue != 0:
        queue_change(store, cell, slot, -order.qty, -1)
    order_at(root.orders_address, ahead).next = behind
    order_at(root.orders_address, behind).prev = ahead
    level.head = behind if ahead == 0 else level.head
    level.tail = ahead if behind == 0 else level.tail
    level.orders -= 1
    level.ts = ts
    left = level.qty - order.qty
    level.qty = left
    side = side_at(root.sides_address, owner)
    side.orders -= 1
    change = DEPTH_CHANGED
    if cell == side.best_cell:
        change = DEPTH_CHANGED | BEST_CHANGED
    if left == 0:
        if level.queue != 0:
            queue_drop(store, cell)
        level_vanishes(store, owner, cell)
    return change


@inlined
def remove_order(store: int, slot: int, ts: int, entry: int) -> int:
    """Unlink an order, forget its id (whose `id_entry` this is), free its slot."""
    root = store_at(store)
    order = order_at(root.orders_address, slot)
    index_remove(store, order.owner >> 1, order.id, slot, entry)
    change = unlink_order(store, slot, ts)
    free_order(store, slot)
    return change


@inlined
def shrink_order(store: int, slot: int, qty: int, ts: int) -> int:
    """Take less than all of an order's quantity off it; it keeps its place."""
    root = store_at(store)
    order = order_at(root.orders_address, slot)
    cell = order.level
    level = cell_at(root.cells_address, cell)
    if level.queue != 0:
        queue_change(store, cell, slot, -qty, 0)
    order.qty -= qty
    level.qty -= qty
    level.ts = ts
    if cell == side_at(root.sides_address, order.owner).best_cell:
        return DEPTH_CHANGED | BEST_CHANGED
    return DEPTH_CHANGED


# --- the book's verbs -----------------------------------------------------------------------------------------------
# `entry` is the id's `id_entry`: whoever looks ahead in a stream has it already


@inlined
def place_order(store: int, owner: int, ident: int, rank: int, qty: int, ts: int, entry: int) -> int:
    """Rest a new order of a valid owner at the back of its level's queue."""
    root = store_at(store)
    if qty <= 0 or qty > MAX_PRICE or index_find(store, owner >> 1, ident, entry) != 0:
        return BAD_VALUE
    cell = near_cell(store, owner, rank)
    if cell == 0:
        cell = grid_cell(store, owner, rank)
        if cell <= 0:
            return -cell
    level = cell_at(root.cells_address, cell)
    if level.qty > MAX_PRICE - qty or (level.head == 0 and level.qty != 0):
        return BAD_VALUE
    slot = take_order(store)
    if slot == 0:
        return FULL
    if not index_insert(store, owner >> 1, ident, slot, entry):
        free_order(store, slot)
        return FULL
    return link_order(store, slot, cell, owner, ident, qty, ts)


@inlined
def take_qty(store: int, instrument: int, ident: int, qty: int, ts: int, entry: int) -> int:
    """Take quantity off an order, all of it if there is no more."""
    slot = index_find(store, instrument, ident, entry)
    if slot == 0:
        return UNKNOWN_ORDER
    if qty <= 0:
        return BAD_VALUE
    resting = order_at(store_at(store).orders_address, slot).qty
    if qty < resting:
        return shrink_order(store, slot, qty, ts)
    change = remove_order(store, slot, ts, entry)
    if qty > resting:
        return change | BAD_VALUE
    return change


@inlined
def swap_order(store: int, instrument: int, old: int, new: int, price: int, qty: int, ts: int, entry: int) -> int:
    """An order leaves, a new id of the same side joins the back of a queue in its slot."""
    slot = index_find(store, instrument, old, entry)
    if slot == 0:
        return UNKNOWN_ORDER
    new_entry = id_entry(store, new)
    if qty <= 0 or qty > MAX_PRICE or (new != old and index_find(store, instrument, new, new_entry) != 0):
        return BAD_VALUE
    root = store_at(store)
    owner = order_at(root.orders_address, slot).owner
    rank = (price ^ -(owner & 1)) + (owner & 1)  # -price for asks, without a branch
    cell = near_cell(store, owner, rank)
    if cell == 0:
        cell = grid_cell(store, owner, rank)
        if cell <= 0:
            return -cell
    level = cell_at(root.cells_address, cell)
    if level.qty > MAX_PRICE - qty or (level.head == 0 and level.qty != 0):
        return BAD_VALUE
    if new != old:
        index_remove(store, instrument, old, slot, entry)
        new_entry = sure_entry(store, new, new_entry)  # the old id's page may have been given up
    change = unlink_order(store, slot, ts)
    if new != old and not index_insert(store, instrument, new, slot, new_entry):
        free_order(store, slot)
        return change | FULL
    return change | link_order(store, slot, cell, owner, new, qty, ts)


@kernel
def order_find(store: int, instrument: int, ident: int) -> int:
    """Slot of a resting order, or -1."""
    slot = index_find(store, instrument, ident, id_entry(store, ident))
    return slot if slot != 0 else -1


@kernel
def order_add(store: int, instrument: int, ident: int, side: int, price: int, qty: int, ts: int) -> int:
    """Rest a new order at the back of its level's queue."""
    if not in_book(store, instrument) or (side != 1 and side != -1):
        return BAD_VALUE
    owner = 2 * instrument + ((1 - side) >> 1)
    change = place_order(store, owner, ident, side * price, qty, ts, id_entry(store, ident))
    return crossed(store, instrument, change)


@kernel
def order_delete(store: int, instrument: int, ident: int, ts: int) -> int:
    """Remove an order."""
    return take_qty(store, instrument, ident, ALL, ts, id_entry(store, ident)) & ~BAD_VALUE


@kernel
def order_reduce(store: int, instrument: int, ident: int, qty: int, ts: int) -> int:
    """Take quantity off an order; all of it (or more, which is also flagged as a bad value) removes it."""
    return take_qty(store, instrument, ident, qty, ts, id_entry(store, ident))


@kernel
def order_execute(store: int, instrument: int, ident: int, qty: int, ts: int) -> int:
    """Execute part or all of an order: the book changes as by `order_reduce`."""
    return order_reduce(store, instrument, ident, qty, ts)


@kernel
def order_modify(store: int, instrument: int, ident: int, price: int, qty: int, ts: int) -> int:
    """Give an order a new price and total quantity. Same price and no more quantity keeps its place in the queue."""
    slot = index_find(store, instrument, ident, id_entry(store, ident))
    if slot == 0:
        return UNKNOWN_ORDER
    if qty <= 0 or qty > MAX_PRICE:
        return BAD_VALUE
    root = store_at(store)
    order = order_at(root.orders_address, slot)
    owner = order.owner
    rank = (price ^ -(owner & 1)) + (owner & 1)  # -price for asks, without a branch
    if rank == cell_rank(store, order.level) and qty <= order.qty:
        if qty == order.qty:
            return 0
        return shrink_order(store, slot, order.qty - qty, ts)
    cell = grid_cell(store, owner, rank)  # before anything is undone: it may be refused
    if cell <= 0:
        return -cell
    level = cell_at(root.cells_address, cell)
    if level.qty > MAX_PRICE - qty or (level.head == 0 and level.qty != 0):
        return BAD_VALUE
    change = unlink_order(store, slot, ts)
    return crossed(store, owner >> 1, change | link_order(store, slot, cell, owner, order.id, qty, ts))


@kernel
def order_replace(store: int, instrument: int, old: int, new: int, price: int, qty: int, ts: int) -> int:
    """An order leaves, another id of the same side joins the back of a queue."""
    return crossed(store, instrument, swap_order(store, instrument, old, new, price, qty, ts, id_entry(store, old)))


# --- what an order is -----------------------------------------------------------------------------------------------


@kernel
def order_qty(store: int, slot: int) -> int:
    """Resting quantity of a slot."""
    return order_at(store_at(store).orders_address, slot).qty


@kernel
def order_id(store: int, slot: int) -> int:
    """Id of a slot."""
    return order_at(store_at(store).orders_address, slot).id


@kernel
def order_side(store: int, slot: int) -> int:
    """Side of a slot: 1 bid, -1 ask."""
    return 1 - 2 * (order_at(store_at(store).orders_address, slot).owner & 1)


@kernel
def order_price(store: int, slot: int) -> int:
    """Price of a slot."""
    order = order_at(store_at(store).orders_address, slot)
    return (1 - 2 * (order.owner & 1)) * cell_rank(store, order.level)


@kernel
def next_order(store: int, slot: int) -> int:
    """Slot behind this one in its queue, or -1."""
    behind = order_at(store_at(store).orders_address, slot).next
    return behind if behind != 0 else -1
