"""The book a LOBSTER replay keeps: orders by id, and price levels best first, each a queue of orders.

    LOBSTER         the state of a replay: where its tables are, how far it is, what it has counted
    LOBSTER_ORDER   slots found by id through an open-addressing index; a slot whose qty is 0 is an order that is gone
    LOBSTER_LEVEL   per side an array sorted best first: insertions are near its front, where an array is fastest

Every change is also written out as an event, so that whoever applies the events holds the same book.
"""

from __future__ import annotations

import numpy as np

from nanotick.core.kernel import kernel
from nanotick.core.memory import copy_bytes, load_i32, mul_wrap, record_at, shift_right, store_i32
from nanotick.core.records import BOTH_SIDES, Flag, Kind, event_at

ANONYMOUS = 1 << 60
LADDER_ROOM = 1 << 16  # levels a side remembers

LOBSTER = np.dtype(
    [
        ("messages_address", "<i8"),  # rows of time, type, order, size, price, direction
        ("book_address", "<i8"),  # rows of 4 * levels, 0: no book file
        ("orders_address", "<i8"),  # LOBSTER_ORDER, slot 0 unused
        ("index_address", "<i8"),  # i4 slots, open addressing by order id
        ("ladder_address", "<i8"),  # LOBSTER_LEVEL, two sides of LADDER_ROOM, best first
        ("before_address", "<i8"),  # price, qty of the previous row, two sides of `levels`
        ("expected_address", "<i8"),  # scratch of the same shape, levels + 1 a side
        ("events_address", "<i8"),
        ("rows", "<i8"),
        ("row", "<i8"),  # next of `rows`
        ("levels", "<i8"),
        ("order_used", "<i8"),
        ("orders_live", "<i8"),
        ("index_mask", "<i8"),
        ("count", "<i8"),
        ("capacity", "<i8"),
        ("midnight", "<i8"),
        ("instrument", "<i8"),
        ("total", "<i8"),  # rows seen
        ("matched", "<i8"),
        ("undetermined", "<i8"),
        ("mismatched", "<i8"),
        ("mismatch_row", "<i8"),  # the first
        ("deltas", "<i8"),  # visible messages with a previous row
        ("deltas_matched", "<i8"),  # of those, size at the message's price changed by exactly the message's size
        ("unknown", "<i8"),  # messages about an order that neither is known nor can be an anonymous one
        ("unknown_row", "<i8"),
        ("duplicates", "<i8"),
        ("bad", "<i8"),  # messages of unknown type or impossible values
        ("bad_row", "<i8"),
        ("levels_before", "<i8", (2,)),
        ("ladder_count", "<i8", (2,)),
    ]
)
LOBSTER_ORDER = np.dtype(
    [("id", "<i8"), ("qty", "<i8"), ("price", "<i8"), ("next", "<i4"), ("prev", "<i4")]
)  # qty 0: gone
LOBSTER_LEVEL = np.dtype([("price", "<i8"), ("known", "<i8"), ("anonymous", "<i8"), ("head", "<i4"), ("tail", "<i4")])
PAIR = np.dtype([("price", "<i8"), ("qty", "<i8")])
lobster_at = record_at(LOBSTER, "LobsterReplay")
lobster_order_at = record_at(LOBSTER_ORDER, "LobsterOrder")
lobster_level_at = record_at(LOBSTER_LEVEL, "LobsterLevel")
pair_at = record_at(PAIR, "PriceQty")

_LEVEL_SIZE, _PAIR_SIZE = LOBSTER_LEVEL.itemsize, PAIR.itemsize
_SIDE_BYTES = LADDER_ROOM * _LEVEL_SIZE
_HASH = -7046029254386353131  # 2^64 divided by the golden ratio
_DELETE, _SNAPSHOT = int(Kind.DELETE), int(Flag.SNAPSHOT)


@kernel
def emit(state: int, kind: int, identity: int, price: int, qty: int, side: int, flags: int) -> None:
    """Write an event; time and sequence are filled when the row is done."""
    s = lobster_at(state)
    event = event_at(s.events_address, s.count)
    event.kind = kind
    event.id = identity
    event.price = price
    event.qty = qty
    event.side = side
    event.word = 0
    event.flags = flags | BOTH_SIDES
    event.instrument = s.instrument
    event.venue = 0
    s.count += 1


@kernel
def anonymous_id(price: int, side: int) -> int:
    """Id of the anonymous order of a price."""
    return ANONYMOUS + 2 * price + (1 if side < 0 else 0)


# --- orders by id -----------------------------------------------------------------------------------------------------


@kernel
def order_cell(state: int, identity: int) -> int:
    """Address of the index cell of an id: its slot number, or 0 where it would go."""
    s = lobster_at(state)
    i = shift_right(mul_wrap(identity, _HASH), 20) & s.index_mask
    while True:
        cell = s.index_address + 4 * i
        slot = load_i32(cell)
        if slot == 0 or lobster_order_at(s.orders_address, slot).id == identity:
            return cell
        i = (i + 1) & s.index_mask


@kernel("i8(i8)")
def index_orders(state: int) -> int:
    """Fill a new, zeroed index with all orders; their number."""
    s = lobster_at(state)
    for slot in range(1, s.order_used):
        store_i32(order_cell(state, lobster_order_at(s.orders_address, slot).id), slot)
    return s.order_used


# --- levels -----------------------------------------------------------------------------------------------------------


@kernel
def ladder_of(state: int, side: int) -> int:
    """Address of a side's levels."""
    return lobster_at(state).ladder_address + (_SIDE_BYTES if side < 0 else 0)


@kernel
def find_level(state: int, side: int, price: int) -> int:
    """Place of the first level that is not better than the price."""
    ladder = ladder_of(state, side)
    low, high = 0, lobster_at(state).ladder_count[0 if side > 0 else 1]
    while low < high:
        middle = (low + high) >> 1
        if side * lobster_level_at(ladder, middle).price > side * price:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def has_level(state: int, side: int, place: int, price: int) -> bool:
    """Whether the level at a place is that of the price."""
    i = 0 if side > 0 else 1
    return place < lobster_at(state).ladder_count[i] and lobster_level_at(ladder_of(state, side), place).price == price


@kernel
def insert_level(state: int, side: int, place: int, price: int) -> None:
    """Make an empty level at a place; the caller has seen to it that there is room."""
    s = lobster_at(state)
    i = 0 if side > 0 else 1
    ladder, count = ladder_of(state, side), s.ladder_count[i]
    k = count
    while k > place:
        copy_bytes(ladder + k * _LEVEL_SIZE, ladder + (k - 1) * _LEVEL_SIZE, _LEVEL_SIZE)
        k -= 1
    level = lobster_level_at(ladder, place)
    level.price, level.known, level.anonymous, level.head, level.tail = price, 0, 0, 0, 0
    s.ladder_count[i] = count + 1


@kernel
def drop_level(state: int, side: int, place: int) -> None:
    """Forget a level that is empty."""
    s = lobster_at(state)
    i = 0 if side > 0 else 1
    ladder, count = ladder_of(state, side), s.ladder_count[i]
    for k in range(place, count - 1):
        copy_bytes(ladder + k * _LEVEL_SIZE, ladder + (k + 1) * _LEVEL_SIZE, _LEVEL_SIZE)
    s.ladder_count[i] = count - 1


@kernel
def drop_orders(state: int, side: int, place: int, flags: int) -> None:
    """Delete all orders known one by one at a level."""
    s = lobster_at(state)
    level = lobster_level_at(ladder_of(state, side), place)
    slot = level.head
    while slot != 0:
        order = lobster_order_at(s.orders_address, slot)
        emit(state, _DELETE, order.id, 0, 0, side, flags)
        order.qty = 0
        s.orders_live -= 1
        slot = order.next
    level.head, level.tail, level.known = 0, 0, 0


@kernel
def empty_level(state: int, side: int, place: int, flags: int) -> None:
    """Delete all that rests at a level, and the level."""
    level = lobster_level_at(ladder_of(state, side), place)
    drop_orders(state, side, place, flags)
    if level.anonymous > 0:
        emit(state, _DELETE, anonymous_id(level.price, side), 0, 0, side, flags)
    drop_level(state, side, place)


@kernel
def unlink_order(state: int, side: int, place: int, slot: int) -> None:
    """Take an order out of its level's queue."""
    s = lobster_at(state)
    level = lobster_level_at(ladder_of(state, side), place)
    order = lobster_order_at(s.orders_address, slot)
    if order.prev:
        lobster_order_at(s.orders_address, order.prev).next = order.next
    else:
        level.head = order.next
    if order.next:
        lobster_order_at(s.orders_address, order.next).prev = order.prev
    else:
        level.tail = order.prev
