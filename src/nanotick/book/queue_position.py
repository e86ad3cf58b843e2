"""How many orders and how much quantity stand ahead of an order in its level's queue.

Nobody asks about most levels, and those must not pay. So a level gets an index only when a position on it is first
asked for: its orders are numbered in queue order and a Fenwick tree (Fenwick 1994) over the numbers holds quantities
and counts. From then on each change of that level costs O(log n), each question O(log n). Nothing is ever inserted in
the middle of a FIFO queue, so numbers stay valid until they run out; the tree is then dropped and built again, with
room for as many newcomers as there are orders, by the next question: amortised O(1) an arrival. A level that changes
more often than the tree has places without being asked about loses its index too.

If the pool of trees is exhausted the answer is still right: it is found by walking the queue.
"""

from __future__ import annotations

import numpy as np

from nanotick.book.records import cell_at, order_at, store_at
from nanotick.core.kernel import kernel
from nanotick.core.memory import clear_bytes, leading_zeros, load_i32, record_at, store_i32

MIN_BITS = 4
MAX_BITS = 30
WALK = 8  # queues this short are walked: an index would cost more

QUEUE = np.dtype(
    [
        ("block", "<i8"),  # first entry of its tree in the pool; free list
        ("updates", "<i8"),  # changes since the last question
        ("bits", "<i4"),  # binary logarithm of the number of places
        ("used", "<i4"),  # places given out
    ]
)
FENWICK = np.dtype([("qty", "<i8"), ("orders", "<i8")])  # entry i of a tree: places i - lowbit(i) + 1 .. i
queue_at = record_at(QUEUE, "QueueIndex")
fenwick_at = record_at(FENWICK, "FenwickEntry")
FENWICK_BYTES = FENWICK.itemsize


@kernel
def _take_block(store: int, bits: int) -> int:
    root = store_at(store)
    block = root.fenwick_free[bits]
    if block != 0:
        root.fenwick_free[bits] = fenwick_at(root.fenwick_address, block).qty
        return block
    block = root.fenwick_next
    if block + (1 << bits) > root.fenwick_capacity:
        return 0
    root.fenwick_next = block + (1 << bits)
    return block


@kernel
def _take_queue(store: int) -> int:
    root = store_at(store)
    number = root.queue_free
    if number != 0:
        root.queue_free = queue_at(root.queues_address, number).block
        return number
    if root.queue_next >= root.queue_capacity:
        return 0
    number = root.queue_next
    root.queue_next = number + 1
    return number


@kernel
def queue_drop(store: int, cell: int) -> None:
    """Give up a level's index."""
    root = store_at(store)
    level = cell_at(root.cells_address, cell)
    number = level.queue
    level.queue = 0
    record = queue_at(root.queues_address, number)
    entry = fenwick_at(root.fenwick_address, record.block)
    entry.qty = root.fenwick_free[record.bits]
    entry.orders = 0
    root.fenwick_free[record.bits] = record.block
    record.block = root.queue_free
    record.updates = 0
    record.bits = 0
    record.used = 0
    root.queue_free = number


@kernel
def _build(store: int, cell: int) -> bool:
    root = store_at(store)
    level = cell_at(root.cells_address, cell)
    bits = 64 - leading_zeros(2 * level.orders)
    if bits < MIN_BITS:
        bits = MIN_BITS
    if bits > MAX_BITS:
        return False
    block = _take_block(store, bits)
    if block == 0:
        return False
    number = _take_queue(store)
    if number == 0:
        fenwick_at(root.fenwick_address, block).qty = root.fenwick_free[bits]
        root.fenwick_free[bits] = block
        return False
    # a tree of 2^bits entries has places 1 .. 2^bits - 1; entry 0 is unused
    base = root.fenwick_address + block * FENWICK_BYTES
    size = 1 << bits
    clear_bytes(base, size * FENWICK_BYTES)
    place = 0
    slot = level.head
    while slot != 0:
        order = order_at(root.orders_address, slot)
        place += 1
        store_i32(root.places_address + slot * 4, place)
        entry = fenwick_at(base, place)
        entry.qty = order.qty
        entry.orders = 1
        slot = order.next
    for i in range(1, size):
        above = i + (i & -i)
        if above < size:
            entry, parent = fenwick_at(base, i), fenwick_at(base, above)
            parent.qty += entry.qty
            parent.orders += entry.orders
    record = queue_at(root.queues_address, number)
    record.block = block
    record.bits = bits
    record.used = place
    record.updates = 0
    level.queue = number
    return True


@kernel
def queue_change(store: int, cell: int, slot: int, qty: int, orders: int) -> None:
    """The quantity and count at a slot's place on an indexed level change by these differences."""
    root = store_at(store)
    level = cell_at(root.cells_address, cell)
    record = queue_at(root.queues_address, level.queue)
    size = 1 << record.bits
    record.updates += 1
    if record.updates > size:
        queue_drop(store, cell)
        return
    base = root.fenwick_address + record.block * FENWICK_BYTES
    place = load_i32(root.places_address + slot * 4)
    while place < size:
        entry = fenwick_at(base, place)
        entry.qty += qty
        entry.orders += orders
        place += place & -place


@kernel
def queue_append(store: int, cell: int, slot: int, qty: int) -> None:
    """An order has joined the back of an indexed level."""
    root = store_at(store)
    level = cell_at(root.cells_address, cell)
    record = queue_at(root.queues_address, level.queue)
    place = record.used + 1
    if place >= 1 << record.bits:
        queue_drop(store, cell)
        return
    record.used = place
    store_i32(root.places_address + slot * 4, place)
    queue_change(store, cell, slot, qty, 1)


@kernel
def _ahead(store: int, slot: int, want_qty: bool) -> int:
    root = store_at(store)
    order = order_at(root.orders_address, slot)
    cell = order.level
    if cell == 0:
        return -1
    level = cell_at(root.cells_address, cell)
    total = 0
    if level.queue == 0 and (level.orders <= WALK or not _build(store, cell)):
        ahead = order.prev
        while ahead != 0:
            before = order_at(root.orders_address, ahead)
            total += before.qty if want_qty else 1
            ahead = before.prev
        return total
    record = queue_at(root.queues_address, level.queue)
    record.updates = 0
    base = root.fenwick_address + record.block * FENWICK_BYTES
    place = load_i32(root.places_address + slot * 4) - 1
    while place > 0:
        entry = fenwick_at(base, place)
        total += entry.qty if want_qty else entry.orders
        place -= place & -place
    return total


@kernel
def queue_orders_ahead(store: int, slot: int) -> int:
    """Orders ahead of a resting order on its level; -1 for a free slot."""
    return _ahead(store, slot, False)


@kernel
def queue_qty_ahead(store: int, slot: int) -> int:
    """Quantity ahead of a resting order on its level; -1 for a free slot."""
    return _ahead(store, slot, True)
