"""The price ladder of one side: leaves of 64 ticks under a path-compressed 64-way radix tree.

A leaf is found through the side's window of eight leaves around the best level, else by a walk of the tree (one step
for 4,096 ticks, two for 262,144; a far-away price costs one more node, not a path of them). A leaf whose last level has
gone stays linked, so that old news of its prices can still be recognised as old, until more such idle leaves have
gathered than half of those in use and `IDLE_MIN`; then the oldest are recycled.
"""

from __future__ import annotations

from nanotick.book.records import (
    BOOK,
    EMPTY_RANK,
    KEY_BIAS,
    LEAF_BITS,
    LEAF_TICKS,
    MAX_PRICE,
    NODE,
    WINDOW,
    book_at,
    cell_at,
    leaf_at,
    link_at,
    node_at,
    side_at,
    store_at,
)
from nanotick.core.kernel import inlined, kernel
from nanotick.core.memory import clear_bytes, leading_zeros, mul_wrap, popcount, trailing_zeros

IDLE_MIN = 1024  # idle leaves always kept, if the pool has room
BOOK_BYTES = BOOK.itemsize
NODE_BYTES = NODE.itemsize
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
def find_leaf(store: int, owner: int, key: int) -> int:
    """Leaf of a key, or 0."""
    root = store_at(store)
    side = side_at(root.sides_address, owner)
    near = 0 <= key - side.window_key < WINDOW
    if near:
        known = side.window[key & (WINDOW - 1)]
        if known != 0:
            return known
    ref = side.root
    while ref < 0:
        node = node_at(root.nodes_address, -ref)
        ref = node.child[(key >> node.shift) & 63]
    if ref == 0 or leaf_at(root.leaves_address, ref).key != key:
        return 0
    if near:
        side.window[key & (WINDOW - 1)] = ref
    return ref


@kernel
def find_cell(store: int, owner: int, tick: int) -> int:
    """Cell index of a tick, or 0 when its leaf does not exist."""
    leaf = find_leaf(store, owner, (tick >> LEAF_BITS) + KEY_BIAS)
    if leaf == 0:
        return 0
    return (leaf << LEAF_BITS) + (tick & (LEAF_TICKS - 1))


@kernel
def cell_tick(store: int, cell: int) -> int:
    """Tick of a cell."""
    leaf = leaf_at(store_at(store).leaves_address, cell >> LEAF_BITS)
    return ((leaf.key - KEY_BIAS) << LEAF_BITS) + (cell & (LEAF_TICKS - 1))


@kernel
def cell_rank(store: int, cell: int) -> int:
    """Rank (side * price) of a cell."""
    root = store_at(store)
    owner = leaf_at(root.leaves_address, cell >> LEAF_BITS).owner
    return cell_tick(store, cell) * book_at(root.books_address, owner >> 1).unit


# --- idle leaves --------------------------------------------------------------------------------------------------


@kernel
def _idle_append(store: int, leaf: int) -> None:
    root = store_at(store)
    link = link_at(root.links_address, leaf)
    link.next = 0
    link.prev = root.idle_tail
    if root.idle_tail != 0:
        link_at(root.links_address, root.idle_tail).next = leaf
    else:
        root.idle_head = leaf
    root.idle_tail = leaf
    root.idle_count += 1


@kernel
def _idle_remove(store: int, leaf: int) -> None:
    root = store_at(store)
    link = link_at(root.links_address, leaf)
    if link.prev != 0:
        link_at(root.links_address, link.prev).next = link.next
    else:
        root.idle_head = link.next
    if link.next != 0:
        link_at(root.links_address, link.next).prev = link.prev
    else:
        root.idle_tail = link.prev
    root.idle_count -= 1


# --- tree -----------------------------------------------------------------------------------------------------------


@kernel
def _ref_occupied(store: int, ref: int) -> bool:
    root = store_at(store)
    if ref > 0:
        return leaf_at(root.leaves_address, ref).occupied != 0
    return node_at(root.nodes_address, -ref).occupied != 0


@kernel
def _ref_key(store: int, ref: int) -> int:
    root = store_at(store)
    if ref > 0:
        return leaf_at(root.leaves_address, ref).key
    return node_at(root.nodes_address, -ref).key


@kernel
def _set_parent(store: int, ref: int, parent: int) -> None:
    root = store_at(store)
    if ref > 0:
        leaf_at(root.leaves_address, ref).parent = parent
    else:
        node_at(root.nodes_address, -ref).parent = parent


@kernel
def _replace_child(store: int, owner: int, parent: int, key: int, ref: int) -> None:
    """Let the parent (0: the side) point at ref where it pointed at something else with this key."""
    root = store_at(store)
    if parent == 0:
        side_at(root.sides_address, owner).root = ref
    else:
        node = node_at(root.nodes_address, parent)
        digit = (key >> node.shift) & 63
        node.child[digit] = ref
        node.present = node.present | (1 << digit)


@kernel
def mark_occupied(store: int, parent: int, key: int) -> None:
    """A leaf got its first level: say so upward, as far as it is news."""
    root = store_at(store)
    while parent != 0:
        node = node_at(root.nodes_address, parent)
        before = node.occupied
        node.occupied = before | (1 << ((key >> node.shift) & 63))
        if before != 0:
            return
        parent = node.parent


@kernel
def mark_empty(store: int, parent: int, key: int) -> None:
    """A leaf lost its last level: say so upward."""
    root = store_at(store)
    while parent != 0:
        node = node_at(root.nodes_address, parent)
        node.occupied = node.occupied & ~(1 << ((key >> node.shift) & 63))
        if node.occupied != 0:
            return
        parent = node.parent


@kernel
def _free_node(store: int, number: int) -> None:
    root = store_at(store)
    clear_bytes(root.nodes_address + number * NODE_BYTES, NODE_BYTES)
    node_at(root.nodes_address, number).parent = root.node_free
    root.node_free = number


@kernel
def detach_leaf(store: int, leaf: int) -> None:
    """Take a leaf out of its side's tree; its cells stay as they are."""
    root = store_at(store)
    record = leaf_at(root.leaves_address, leaf)
    side = side_at(root.sides_address, record.owner)
    key, owner, parent = record.key, record.owner, record.parent
    if 0 <= key - side.window_key < WINDOW:
        side.window[key & (WINDOW - 1)] = 0
    if parent == 0:
        side.root = 0
        return
    node = node_at(root.nodes_address, parent)
    digit = (key >> node.shift) & 63
    node.child[digit] = 0
    node.present = node.present & ~(1 << digit)
    node.occupied = node.occupied & ~(1 << digit)
    if popcount(node.present) == 1:  # a node has two children or is not there: nodes stay fewer than leaves
        only = node.child[trailing_zeros(node.present)]
        _set_parent(store, only, node.parent)
        _replace_child(store, owner, node.parent, key, only)
        _free_node(store, parent)


@kernel
def discard_leaf(store: int, leaf: int) -> None:
    """Wipe a detached leaf's cells and give it back."""
    root = store_at(store)
    record = leaf_at(root.leaves_address, leaf)
    touched = record.touched
    while True:
        bit = trailing_zeros(touched)
        if bit == 64:
            break
        clear_bytes(root.cells_address + ((leaf << LEAF_BITS) + bit) * 32, 32)
        touched = touched & ~(1 << bit)
    record.occupied = 0
    record.touched = 0
    record.key = 0
    record.owner = 0
    record.parent = 0
    link = link_at(root.links_address, leaf)
    link.prev = 0
    link.next = root.leaf_free
    root.leaf_free = leaf


@kernel
def detach_side(store: int, owner: int) -> int:
    """Empty a side's tree; its leaves come back as a list linked by `next`, 0 at the end, levels still in them."""
    root = store_at(store)
    side = side_at(root.sides_address, owner)
    first = 0
    while side.root != 0:
        ref = side.root
        while ref < 0:
            node = node_at(root.nodes_address, -ref)
            ref = node.child[trailing_zeros(node.present)]
        leaf = leaf_at(root.leaves_address, ref)
        if leaf.occupied == 0:
            _idle_remove(store, ref)
        else:
            root.leaves_live -= 1
        detach_leaf(store, ref)
        link = link_at(root.links_address, ref)
        link.prev = 0
        link.next = first
        first = ref
    side.best = EMPTY_RANK
    side.best_cell = 0
    side.levels = 0
    side.window_key = 0
    for i in range(WINDOW):
        side.window[i] = 0
    return first


@kernel
def recycle_idle(store: int) -> bool:
    """Free the leaf that has been without levels for longest; False when there is none."""
    root = store_at(store)
    oldest = root.idle_head
    if oldest == 0:
        return False
    _idle_remove(store, oldest)
    detach_leaf(store, oldest)
    discard_leaf(store, oldest)
    return True


@kernel
def _take_leaf(store: int) -> int:
    root = store_at(store)
    if root.leaf_free == 0 and (
        root.leaf_next >= root.leaf_capacity or root.idle_count > IDLE_MIN + (root.leaves_live >> 1)
    ):
        recycle_idle(store)
    leaf = root.leaf_free
    if leaf != 0:
        root.leaf_free = link_at(root.links_address, leaf).next
        return leaf
    if root.leaf_next >= root.leaf_capacity:
        return 0
    leaf = root.leaf_next
    root.leaf_next = leaf + 1
    return leaf


@kernel
def _take_node(store: int) -> int:
    root = store_at(store)
    number = root.node_free
    if number != 0:
        root.node_free = node_at(root.nodes_address, number).parent
        node_at(root.nodes_address, number).parent = 0
        return number
    if root.node_next >= root.node_capacity:
        return 0
    number = root.node_next
    root.node_next = number + 1
    return number


@kernel
def make_leaf(store: int, owner: int, key: int) -> int:
    """Leaf of a key, made if it is not there yet; 0 when the pool is exhausted."""
    found = find_leaf(store, owner, key)
    if found != 0:
        return found
    root = store_at(store)
    leaf = _take_leaf(store)  # first: it may recycle a leaf and reshape this very tree
    if leaf == 0:
        return 0
    record = leaf_at(root.leaves_address, leaf)
    record.key = key
    record.owner = owner
    side = side_at(root.sides_address, owner)
    parent = 0
    ref = side.root
    while ref < 0:
        node = node_at(root.nodes_address, -ref)
        if ((key ^ node.key) >> node.shift) > 63:
            break
        parent = -ref
        ref = node.child[(key >> node.shift) & 63]
    if ref == 0:
        record.parent = parent
        _replace_child(store, owner, parent, key, leaf)
    else:
        number = _take_node(store)
        if number == 0:
            link_at(root.links_address, leaf).next = root.leaf_free
            root.leaf_free = leaf
            record.key = 0
            record.owner = 0
            return 0
        other = _ref_key(store, ref)
        fork = node_at(root.nodes_address, number)
        fork.key = key
        fork.shift = (63 - leading_zeros(key ^ other)) // 6 * 6
        fork.parent = parent
        old, new = (other >> fork.shift) & 63, (key >> fork.shift) & 63
        fork.child[old] = ref
        fork.child[new] = leaf
        fork.present = (1 << old) | (1 << new)
        if _ref_occupied(store, ref):
            fork.occupied = 1 << old
        _set_parent(store, ref, number)
        record.parent = number
        _replace_child(store, owner, parent, key, -number)
    _idle_append(store, leaf)  # it has no level yet
    return leaf


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
        _idle_remove(store, number)
        root.leaves_live += 1
        mark_occupied(store, leaf.parent, leaf.key)
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
        mark_empty(store, leaf.parent, leaf.key)
        root.leaves_live -= 1
        _idle_append(store, number)
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


@kernel
def level_cell(store: int, cell: int) -> int:
    """Address of a cell's record (for parts that keep it at hand)."""
    return store_at(store).cells_address + cell * 32


@kernel
def cell_qty(store: int, cell: int) -> int:
    """Quantity resting in a cell."""
    return cell_at(store_at(store).cells_address, cell).qty
