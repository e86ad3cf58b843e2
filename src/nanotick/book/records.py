"""Layouts of a book store: what every kernel of this package agrees on.

    store ── books[i]            64 B   price unit of instrument i, quote stamps, bounded depth
          ── sides[2i + s]       64 B   best level, window of 8 leaves near it, root of the ladder (s: 0 bid, 1 ask)
          ── nodes               64-way radix tree over leaf keys, path-compressed, made on demand
          ── leaves, cells       64 adjacent ticks: one occupancy word, 64 level cells of 32 B
          ── orders              32 B a slot, linked into the FIFO queue of their level by index
          ── pages, table        order id -> slot (see order_index)
          ── queues, fenwick     volume ahead of an order (see queue_position)

Prices inside are *ranks*: side * price, so the best level of either side is the one of highest rank and one search
serves both. A rank divided by the instrument's unit (its tick, or the greatest common divisor of tick and prices seen)
is a *tick*. Indices are 32-bit and 1-based; 0 says none, so pools need no preparation: zero memory is an empty pool.
Memory follows the levels and orders that rest, not instruments times price range.
"""

from __future__ import annotations

from enum import IntFlag

import numpy as np

from nanotick.core.memory import record_at

EMPTY_BID = -(1 << 62)  # best bid price of an empty side
EMPTY_ASK = 1 << 62
EMPTY_RANK = -(1 << 62)
MAX_PRICE = (1 << 62) - 1  # also the largest quantity of a level

LEAF_BITS = 6
LEAF_TICKS = 1 << LEAF_BITS
KEY_BIAS = 1 << 57  # makes leaf keys positive, so that the digits of negative prices order like the prices
NODE_BITS = 6
WINDOW = 8


class BookChange(IntFlag):
    """What applying an event did."""

    NOTHING = 0
    BEST_CHANGED = 1  # price or quantity of the best level of a side
    DEPTH_CHANGED = 2  # any displayed quantity; always set together with BEST_CHANGED
    UNKNOWN_ORDER = 4  # the order id is not resting in this book; nothing was done
    BAD_VALUE = 8  # impossible price, quantity, side, instrument or a repeated order id
    FULL = 16  # a pool is exhausted; nothing was done
    CROSSED = 32  # the best bid is now above the best ask: kept as it was sent


BEST_CHANGED = int(BookChange.BEST_CHANGED)
DEPTH_CHANGED = int(BookChange.DEPTH_CHANGED)
UNKNOWN_ORDER = int(BookChange.UNKNOWN_ORDER)
BAD_VALUE = int(BookChange.BAD_VALUE)
FULL = int(BookChange.FULL)
CROSSED = int(BookChange.CROSSED)

BOOK = np.dtype(
    [
        ("unit", "<i8"),  # price units in one tick of the ladder
        ("inverse", "<i8"),  # of unit's odd part modulo 2^64: divides by multiplying
        ("tick_limit", "<i8"),  # largest tick: MAX_PRICE // unit
        ("quote_ts", "<i8", (2,)),  # ns, stamp of the last QUOTE of each side (0 bid, 1 ask), 0: none
        ("quote_rank", "<i8", (2,)),
        ("shift", "<i2"),  # power of two in unit
        ("depth_known", "<i2"),  # 1: LEVEL events have come, so levels behind a QUOTE are worth keeping
        ("max_depth", "<i4"),  # levels a side keeps, 0: all
    ],
    align=True,
)
SIDE = np.dtype(
    [
        ("best", "<i8"),  # rank of the best level, EMPTY_RANK: none
        ("window_key", "<i8"),  # window[key & 7] is the leaf of keys window_key .. window_key + 7, 0: look in the tree
        ("window", "<i4", (WINDOW,)),
        ("root", "<i4"),  # > 0 leaf, < 0 node, 0 nothing
        ("best_cell", "<i4"),
        ("levels", "<i4"),
        ("orders", "<i4"),  # resting orders, as far as they are known one by one
    ],
    align=True,
)
NODE = np.dtype(
    [
        ("occupied", "<i8"),  # children below which a level rests
        ("present", "<i8"),  # children that exist
        ("key", "<i8"),  # some leaf key below: its digits above shift are the prefix
        ("parent", "<i4"),
        ("shift", "<i4"),  # of the digit of the key that selects the child; a multiple of NODE_BITS
        ("child", "<i4", (1 << NODE_BITS,)),
    ],
    align=True,
)
LEAF = np.dtype(
    [
        ("occupied", "<i8"),  # ticks with quantity
        ("touched", "<i8"),  # ticks whose cell is not all zero
        ("key", "<i8"),  # (tick >> LEAF_BITS) + KEY_BIAS
        ("parent", "<i4"),  # node, 0: the leaf is the side's root
        ("owner", "<i4"),  # 2 * instrument + side index
    ],
    align=True,
)
LINK = np.dtype([("next", "<i4"), ("prev", "<i4")])  # free list of leaves; first-in-first-out list of empty ones
CELL = np.dtype(
    [
        ("qty", "<i8"),  # 0: no level here
        ("ts", "<i8"),  # ns, stamp of the last news of this price
        ("head", "<i4"),  # first order of the queue, 0: known by price only
        ("tail", "<i4"),
        ("orders", "<i4"),
        ("queue", "<i4"),  # queue index, 0: nobody has asked for a position
    ],
    align=True,
)
CELLS = np.dtype([("words", "<i8", (LEAF_TICKS * 4,))])  # the cells of one leaf
ORDER = np.dtype(
    [
        ("id", "<i8"),
        ("qty", "<i8"),
        ("level", "<i4"),  # cell index
        ("next", "<i4"),  # behind in the queue; the free list
        ("prev", "<i4"),
        ("owner", "<i4"),  # 2 * instrument + side index
    ],
    align=True,
)
STORE = np.dtype(
    [
        ("books_address", "<i8"),
        ("sides_address", "<i8"),
        ("nodes_address", "<i8"),
        ("leaves_address", "<i8"),
        ("cells_address", "<i8"),
        ("links_address", "<i8"),
        ("orders_address", "<i8"),
        ("places_address", "<i8"),
        ("queues_address", "<i8"),
        ("fenwick_address", "<i8"),
        ("index_address", "<i8"),
        ("instruments", "<i8"),
        # of each pool: records used so far (high water, slot 0 included), head of the free list, capacity
        ("node_next", "<i8"),
        ("node_free", "<i8"),
        ("node_capacity", "<i8"),
        ("leaf_next", "<i8"),
        ("leaf_free", "<i8"),
        ("leaf_capacity", "<i8"),
        ("leaves_live", "<i8"),  # with levels
        ("idle_head", "<i8"),  # leaves without levels, oldest first: they still know when their levels left
        ("idle_tail", "<i8"),
        ("idle_count", "<i8"),
        ("order_next", "<i8"),
        ("order_free", "<i8"),
        ("order_capacity", "<i8"),
        ("queue_next", "<i8"),
        ("queue_free", "<i8"),
        ("queue_capacity", "<i8"),
        ("fenwick_next", "<i8"),
        ("fenwick_capacity", "<i8"),
        ("fenwick_free", "<i8", (32,)),  # by binary logarithm of the block's size
    ],
    align=True,
)
DEPTH_ROW = np.dtype([("price", "<i8"), ("qty", "<i8")])

book_at = record_at(BOOK, "Book")
side_at = record_at(SIDE, "BookSide")
node_at = record_at(NODE, "LadderNode")
leaf_at = record_at(LEAF, "LadderLeaf")
link_at = record_at(LINK, "LeafLink")
cell_at = record_at(CELL, "Level")
order_at = record_at(ORDER, "RestingOrder")
store_at = record_at(STORE, "BookStore")
depth_row_at = record_at(DEPTH_ROW, "DepthRow")

assert BOOK.itemsize == SIDE.itemsize == 64
assert LEAF.itemsize == CELL.itemsize == ORDER.itemsize == 32
