"""The radix tree over the leaves of one side, and the pools of leaves and nodes.

Nodes have 64 children and stand only where keys part (path compression): a node has two children at least, so there are
fewer nodes than leaves, and a far-away price costs one more node, not a path of them. Each node knows which children
lead to levels (`occupied`) apart from which exist (`present`): a leaf whose last level has gone stays linked as idle,
so that old news of its prices is still recognised as old, until more idle leaves have gathered than half of those in
use and `IDLE_MIN`; then the oldest are recycled.
"""

from __future__ import annotations

from nanotick.book.records import (
    EMPTY_RANK,
    LEAF_BITS,
    NODE,
    WINDOW,
    leaf_at,
    link_at,
    node_at,
    side_at,
    store_at,
)
from nanotick.core.kernel import kernel
from nanotick.core.memory import clear_bytes, leading_zeros, popcount, trailing_zeros

IDLE_MIN = 1024  # idle leaves kept in any case, if the pool has room
NODE_BYTES = NODE.itemsize


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


# --- idle leaves --------------------------------------------------------------------------------------------------


@kernel
def idle_append(store: int, leaf: int) -> None:
    """A leaf has no levels (any more): it is the last to be recycled."""
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
def idle_remove(store: int, leaf: int) -> None:
    """An idle leaf has a level again, or is about to go."""
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
            idle_remove(store, ref)
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
    idle_remove(store, oldest)
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
    idle_append(store, leaf)  # it has no level yet
    return leaf
