"""From ITCH 5.0 bytes to books in one loop, for whole days: the same books as decoding to events and applying each.

    message n + 48   order id -> its place in the id page            prefetch the place
    message n + 32   place -> order slot                             prefetch the slot
    message n + 16   slot -> level cell; stock locate -> book        prefetch the cell, the book and its sides
    message n        apply

Each message of a day touches an order, a level and a book that are in memory at random; what is read first is known
long before, because all messages that name an order (A F E C X D U) carry its id at the same offset, 11. So the loop
looks ahead without asking what the messages are: the ones that are no orders prefetch nonsense, which costs less than
a mispredicted branch. A ring of the last 64 messages carries what one stage found to the next.
"""

from __future__ import annotations

import numpy as np

from nanotick.book.order_by_order import ALL, place_order, swap_order, take_qty
from nanotick.book.order_index import likely_entry, sure_entry
from nanotick.book.records import (
    BAD_VALUE,
    BOOK,
    CELL,
    KEY_BIAS,
    LEAF,
    LEAF_BITS,
    LEAF_TICKS,
    ORDER,
    SIDE,
    WINDOW,
    book_at,
    cell_at,
    order_at,
    side_at,
    store_at,
)
from nanotick.core.kernel import inlined, kernel
from nanotick.core.memory import (
    load_be16,
    load_be32,
    load_be64,
    load_i32,
    load_u8,
    mul_wrap,
    prefetch,
    record_at,
)

AHEAD_PLACE = 96
AHEAD_SLOT = 72
AHEAD_CELL = 48
AHEAD_NEW = 24
AHEAD_TAIL = 12
RING = 128
CACHED_BOOKS = 512  # so few books and their best levels stay in the cache by themselves
PEEK = 36  # bytes looked at ahead of time, whatever the message; near the input's end the store stands in
MESSAGE_MIN = 11  # type, locate, tracking number, time
_TIME_MASK = (1 << 48) - 1
_A, _B, _C, _D, _E, _F, _S, _U, _X = (ord(c) for c in "ABCDEFSUX")

AHEAD = np.dtype([("message", "<i8"), ("entry", "<i8"), ("peek", "<i8"), ("cell", "<i8")])
ahead_at = record_at(AHEAD, "LookAhead")
ITCH_BOOKS = np.dtype(
    [
        ("messages", "<i8"),  # frames read
        ("book_messages", "<i8"),  # of them A F E C X D U of wanted instruments
        ("unknown_orders", "<i8"),
        ("bad_values", "<i8"),
        ("full", "<i8"),
        ("consumed", "<i8"),  # bytes of whole frames read
        ("ring", "<i8", (RING * 4,)),
    ]
)
itch_books_at = record_at(ITCH_BOOKS, "ItchBooks")
RING_OFFSET = 48
BOOK_BYTES, SIDE_BYTES, LEAF_BYTES = BOOK.itemsize, SIDE.itemsize, LEAF.itemsize
CELL_BYTES, ORDER_BYTES = CELL.itemsize, ORDER.itemsize


@inlined
def _likely_cell(store: int, message: int, instrument: int) -> int:
    """Cell where a message's new order (if it is A or F) will likely rest; some cell of the pool in any case."""
    root = store_at(store)
    ask = (load_u8(message + 19) >> 4) & 1
    rank = (load_be32(message + 32) ^ -ask) + ask
    number = instrument if 0 <= instrument < root.instruments else 0
    book = book_at(root.books_address, number)
    tick = mul_wrap(rank, book.inverse) >> book.shift
    leaf = side_at(root.sides_address, 2 * number + ask).window[((tick >> LEAF_BITS) + KEY_BIAS) & (WINDOW - 1)]
    return (leaf << LEAF_BITS) + (tick & (LEAF_TICKS - 1))


@inlined
def _apply_message(store: int, message: int, length: int, instrument: int, midnight: int, entry: int) -> int:
    letter = load_u8(message)
    if letter == _A or letter == _F:
        side = load_u8(message + 19)
        if length < 36 or (side != _B and side != _S):
            return BAD_VALUE
        ask = (side >> 4) & 1  # B is 0x42, S 0x53: a branch here would be mispredicted every other time
        price = (load_be32(message + 32) ^ -ask) + ask
        ts = midnight + (load_be64(message + 3) & _TIME_MASK)
        return place_order(
            store, 2 * instrument + ask, load_be64(message + 11), price, load_be32(message + 20), ts, entry
        )
    if letter == _U:
        if length < 35:
            return BAD_VALUE
        ts = midnight + (load_be64(message + 3) & _TIME_MASK)
        old, new = load_be64(message + 11), load_be64(message + 19)
        return swap_order(store, instrument, old, new, load_be32(message + 31), load_be32(message + 27), ts, entry)
    if length < 19:
        return BAD_VALUE
    ts = midnight + (load_be64(message + 3) & _TIME_MASK)
    qty = ALL
    if letter != _D:
        if length < 23:
            return BAD_VALUE
        qty = load_be32(message + 19)
    change = take_qty(store, instrument, load_be64(message + 11), qty, ts, entry)
    if letter == _D:
        return change & ~BAD_VALUE
    return change


@kernel("i8(i8,i8,i8,i8,i8,i8)")
def build_books(store: int, source: int, size: int, locates: int, midnight: int, counts: int) -> int:
    """Apply length-prefixed ITCH 5.0 messages to the books of a store.

    Parameters
    ----------
    store : int
        Address of the store.
    source, size : int
        Address and bytes of the frames: two-byte big-endian length, message.
    locates : int
        Address of 65,536 int32: instrument by stock locate, negative for those not wanted.
    midnight : int
        ns UTC of the day's midnight in New York.
    counts : int
        Address of an ITCH_BOOKS record; its counts go on from what they are.

    Returns
    -------
    int
        Bytes of whole frames read: less than `size` if the last one is cut short or a length is impossible.
    """
    root = store_at(store)
    state = itch_books_at(counts)
    ring = counts + RING_OFFSET
    for i in range(RING):
        ahead = ahead_at(ring, i)
        ahead.entry = likely_entry(store, 0)
        ahead.peek = store
        ahead.cell = 0
    walk, seen, read = 0, 0, 0
    many = root.instruments > CACHED_BOOKS
    book_messages, unknown, bad, full = 0, 0, 0, 0
    while True:
        while seen < read + AHEAD_PLACE:
            if walk + 2 > size:
                break
            message = source + walk + 2
            length = load_be16(message - 2)
            if length < MESSAGE_MIN or walk + 2 + length > size:
                break
            ident = 0
            if walk + 21 <= size:
                ident = load_be64(message + 11)
            entry = likely_entry(store, ident)
            prefetch(entry)
            ahead = ahead_at(ring, seen & (RING - 1))
            ahead.message = message
            ahead.entry = entry
            ahead.peek = message if walk + 2 + PEEK <= size else store
            ahead.cell = 0
            walk += length + 2
            seen += 1
        if read == seen:
            break
        # past the end the ring holds old messages: prefetching for them is harmless
        slot = load_i32(ahead_at(ring, (read + AHEAD_SLOT) & (RING - 1)).entry)
        prefetch(root.orders_address + slot * ORDER_BYTES)

        ahead = ahead_at(ring, (read + AHEAD_CELL) & (RING - 1))
        order = order_at(root.orders_address, load_i32(ahead.entry))
        prefetch(root.cells_address + order.level * CELL_BYTES)
        prefetch(root.orders_address + order.next * ORDER_BYTES)
        prefetch(root.orders_address + order.prev * ORDER_BYTES)
        if many:
            prefetch(root.leaves_address + (order.level >> LEAF_BITS) * LEAF_BYTES)
            instrument = load_i32(locates + 4 * load_be16(ahead.peek + 1))
            prefetch(root.books_address + instrument * BOOK_BYTES)
            prefetch(root.sides_address + instrument * 2 * SIDE_BYTES)
            prefetch(root.sides_address + instrument * 2 * SIDE_BYTES + SIDE_BYTES)
            ahead = ahead_at(ring, (read + AHEAD_NEW) & (RING - 1))
            cell = _likely_cell(store, ahead.peek, load_i32(locates + 4 * load_be16(ahead.peek + 1)))
            prefetch(root.cells_address + cell * CELL_BYTES)
            ahead.cell = cell
            cell = ahead_at(ring, (read + AHEAD_TAIL) & (RING - 1)).cell
            prefetch(root.orders_address + cell_at(root.cells_address, cell).tail * ORDER_BYTES)

        ahead = ahead_at(ring, read & (RING - 1))
        read += 1
        message = ahead.message
        letter = load_u8(message)
        instrument = load_i32(locates + 4 * load_be16(message + 1))
        if instrument < 0 or instrument >= root.instruments:
            continue
        if letter == _A or letter == _F or letter == _D or letter == _U or letter == _E or letter == _X or letter == _C:
            entry = sure_entry(store, load_be64(message + 11), ahead.entry)
            change = _apply_message(store, message, load_be16(message - 2), instrument, midnight, entry)
            book_messages += 1
            unknown += (change >> 2) & 1
            bad += (change >> 3) & 1
            full += (change >> 4) & 1
    state.messages += read
    state.book_messages += book_messages
    state.unknown_orders += unknown
    state.bad_values += bad
    state.full += full
    state.consumed += walk
    return walk
