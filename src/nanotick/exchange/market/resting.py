"""Orders at rest: joining a book of the exchange, leaving it, changing their size, and the list of each participant.

The public hears of the displayed part only. Every function here keeps the book, the parallel MARKET_ORDER, the counts
of the market and the participant's list together.
"""

from __future__ import annotations

from nanotick.book.grid import grid_cell
from nanotick.book.ladder import cell_rank, near_cell
from nanotick.book.order_by_order import (
    free_order,
    link_order,
    remove_order,
    shrink_order,
    take_order,
    unlink_order,
)
from nanotick.book.order_index import PAGE_BITS, id_entry, index_find, index_insert, index_remove
from nanotick.book.records import MAX_PRICE, cell_at, order_at, store_at
from nanotick.core.kernel import called, inlined, kernel
from nanotick.core.records import CommandFlag, Kind, OrderType
from nanotick.exchange.market.feed import publish, publish_level, tell
from nanotick.exchange.market.records import (
    CALL,
    CLIENT_BITS,
    CLIENT_MASK,
    CLOSE,
    HIDDEN,
    LIT,
    MARKET_BYTES,
    STOPS,
    Watch,
    exchange_at,
    market_at,
    market_order_at,
    participant_at,
    taker_at,
)

_ADD, _DELETE, _REDUCE, _REPLACE = int(Kind.ADD), int(Kind.DELETE), int(Kind.REDUCE), int(Kind.REPLACE)
_PEG = int(OrderType.PEG_MID)
_ICEBERG = int(CommandFlag.ICEBERG)
_WATCH_PEGS, _WATCH_STOPS = int(Watch.PEGS), int(Watch.STOPS)
_ORDERS = 1  # Feeds.ORDERS
_LEVELS = 2  # Feeds.LEVELS
LEVEL_LIMIT = MAX_PRICE
_SPREAD = 40_503  # 2^16 / golden ratio


@inlined
def order_key(participant: int, ident: int) -> int:
    """Under what an order is indexed in its book.

    The directory of the index goes by the low bits of the page number, so each participant's ids begin elsewhere in it:
    participants who all count from 1 would otherwise share its places.
    """
    return (participant << CLIENT_BITS) | ((ident + (((participant * _SPREAD) & 0xFFFF) << PAGE_BITS)) & CLIENT_MASK)


@inlined
def client_id(key: int) -> int:
    """The client order id of an `order_key`."""
    return (key - ((((key >> CLIENT_BITS) * _SPREAD) & 0xFFFF) << PAGE_BITS)) & CLIENT_MASK


@inlined
def find_resting(exchange: int, instrument: int, key: int, entry: int) -> int:
    """Slot of a participant's order in any book of an instrument, or 0."""
    root = exchange_at(exchange)
    slot = index_find(root.book_address, instrument, key, entry)
    if slot != 0:
        return slot
    market = market_at(root.markets_address + instrument * MARKET_BYTES)
    if market.hidden + market.stops + market.calls + market.closes == 0:
        return 0
    return _find_elsewhere(exchange, instrument, key, entry)


@called
def _find_elsewhere(exchange: int, instrument: int, key: int, entry: int) -> int:
    root = exchange_at(exchange)
    for part in range(1, 5):
        slot = index_find(root.book_address, part * root.instruments + instrument, key, entry)
        if slot != 0:
            return slot
    return 0


@called
def count_part(exchange: int, instrument: int, part: int, by: int) -> None:
    """Keep the market's count of a book that is not displayed."""
    market = market_at(exchange_at(exchange).markets_address + instrument * MARKET_BYTES)
    if part == HIDDEN:
        market.hidden += by
    elif part == STOPS:
        market.stops += by
        market.watch = (market.watch | _WATCH_STOPS) if market.stops != 0 else (market.watch & ~_WATCH_STOPS)
    elif part == CALL:
        market.calls += by
    elif part == CLOSE:
        market.closes += by


# --- the participant's list -----------------------------------------------------------------------------------------


@inlined
def link_participant(exchange: int, participant: int, slot: int) -> None:
    """Put an order at the head of its participant's list."""
    root = exchange_at(exchange)
    owner = participant_at(root.participants_address, participant)
    head = owner.first
    order = market_order_at(root.orders_address, slot)
    order.next = head
    order.prev = 0
    market_order_at(root.orders_address, head).prev = slot  # slot 0 is nobody's: writing there does no harm
    owner.first = slot
    owner.orders += 1


@inlined
def unlink_participant(exchange: int, slot: int) -> None:
    """Take an order out of its participant's list."""
    root = exchange_at(exchange)
    order = market_order_at(root.orders_address, slot)
    after, before = order.next, order.prev
    market_order_at(root.orders_address, before).next = after
    market_order_at(root.orders_address, after).prev = before
    owner = participant_at(root.participants_address, order.participant)
    if before == 0:
        owner.first = after
    owner.orders -= 1


# --- joining --------------------------------------------------------------------------------------------------------


@inlined
def part_cell(exchange: int, owner: int, rank: int, qty: int) -> int:
    """Cell where an order of one side of a book may join, or 0 when it cannot."""
    store = exchange_at(exchange).book_address
    cell = near_cell(store, owner, rank)
    if cell == 0:
        cell = grid_cell(store, owner, rank)
        if cell <= 0:
            return 0
    if cell_at(store_at(store).cells_address, cell).qty > LEVEL_LIMIT - qty:
        return 0
    return cell


@called
def join(exchange: int, part: int, rank: int, qty: int, reserve: int, now: int, entry: int) -> int:
    """Rest what is left of the order being worked: `qty` in the book, `reserve` behind it. Its slot, or 0 (no room)."""
    root = exchange_at(exchange)
    store = root.book_address
    taker = taker_at(root.taker_address)
    instrument, side, participant = taker.instrument, taker.side, taker.participant
    book = part * root.instruments + instrument
    owner = 2 * book + ((1 - side) >> 1)
    cell = part_cell(exchange, owner, rank, qty)
    if cell == 0:
        return 0
    slot = take_order(store)
    if slot == 0:
        return 0
    key = order_key(participant, taker.id)
    if not index_insert(store, book, key, slot, entry):
        free_order(store, slot)
        return 0
    link_order(store, slot, cell, owner, key, qty, now)
    order = market_order_at(root.orders_address, slot)
    order.ref = taker.ref
    order.price = taker.price
    order.stop = taker.stop
    order.reserve = reserve
    order.display = taker.display
    order.filled = taker.filled
    order.participant = participant
    order.order_type = taker.order_type
    order.tif = taker.tif
    order.flags = taker.flags
    order.part = part
    link_participant(exchange, participant, slot)
    if part == LIT:
        market = market_at(root.markets_address + instrument * MARKET_BYTES)
        feeds = market.feeds
        if reserve > 0:
            market.icebergs += 1
        if feeds & _ORDERS:
            publish(exchange, now, _ADD, instrument, side, side * rank, qty, taker.ref, 0, 0)
        if feeds & _LEVELS:
            publish_level(exchange, now, instrument, side, side * rank, cell)
    else:
        count_part(exchange, instrument, part, 1)
    return slot


# --- leaving --------------------------------------------------------------------------------------------------------


@called
def drop(exchange: int, slot: int, now: int, entry: int) -> None:
    """Remove an order from its book and from the lists, without a word to the public."""
    root = exchange_at(exchange)
    store = root.book_address
    order = market_order_at(root.orders_address, slot)
    part = order.part
    unlink_participant(exchange, slot)
    order.tif = 0  # an entry of the heap of expiries that names this slot is stale from here on
    if part == LIT:
        if order.reserve > 0:
            _iceberg_left(exchange, slot)
        remove_order(store, slot, now, entry)
    else:
        _drop_elsewhere(exchange, slot, now, entry)


@kernel
def _iceberg_left(exchange: int, slot: int) -> None:
    root = exchange_at(exchange)
    instrument = order_at(store_at(root.book_address).orders_address, slot).owner >> 1
    market_at(root.markets_address + instrument * MARKET_BYTES).icebergs -= 1


@called
def _drop_elsewhere(exchange: int, slot: int, now: int, entry: int) -> None:
    root = exchange_at(exchange)
    store = root.book_address
    order = market_order_at(root.orders_address, slot)
    resting = order_at(store_at(store).orders_address, slot)
    book = resting.owner >> 1
    count_part(exchange, book % root.instruments, order.part, -1)
    if order.order_type >= _PEG and order.part == HIDDEN:
        unlink_peg(exchange, slot)
    if resting.level != 0:
        remove_order(store, slot, now, entry)
    else:  # a peg without a price to follow lies in no queue
        index_remove(store, book, resting.id, slot, entry)
        free_order(store, slot)


@called
def withdraw(exchange: int, slot: int, now: int, entry: int) -> None:
    """Remove an order, telling the public if it was displayed."""
    root = exchange_at(exchange)
    store = root.book_address
    order = market_order_at(root.orders_address, slot)
    if order.part != LIT:
        drop(exchange, slot, now, entry)
        return
    resting = order_at(store_at(store).orders_address, slot)
    owner, cell, ref, qty = resting.owner, resting.level, order.ref, resting.qty
    instrument = owner >> 1
    feeds = market_at(root.markets_address + instrument * MARKET_BYTES).feeds
    side = 1 - 2 * (owner & 1)
    price = side * cell_rank(store, cell)
    drop(exchange, slot, now, entry)
    if feeds & _ORDERS:
        publish(exchange, now, _DELETE, instrument, side, price, qty, ref, 0, 0)
    if feeds & _LEVELS:
        publish_level(exchange, now, instrument, side, price, cell)


# --- size -----------------------------------------------------------------------------------------------------------


@called
def lessen(exchange: int, slot: int, by: int, now: int) -> None:
    """Take quantity off an order, less than it has: the reserve first, then what is displayed. It keeps its place."""
    root = exchange_at(exchange)
    store = root.book_address
    order = market_order_at(root.orders_address, slot)
    resting = order_at(store_at(store).orders_address, slot)
    if order.order_type < _PEG and order.reserve > 0:
        hidden = min(by, order.reserve)
        order.reserve -= hidden
        by -= hidden
        if order.reserve == 0 and order.part == LIT:
            _iceberg_left(exchange, slot)
    if by == 0:
        return
    if resting.level == 0:
        resting.qty -= by
        return
    shrink_order(store, slot, by, now)
    if order.part == LIT:
        instrument = resting.owner >> 1
        side = 1 - 2 * (resting.owner & 1)
        price = side * cell_rank(store, resting.level)
        if market_at(root.markets_address + instrument * MARKET_BYTES).feeds & _ORDERS:
            tell(exchange, now, _REDUCE, instrument, side, price, by, order.ref, 0, 0)
        publish_level(exchange, now, instrument, side, price, resting.level)


@called
def refill(exchange: int, slot: int, now: int) -> None:
    """Show the next piece of an iceberg whose displayed quantity is gone: a new reference at the back of the queue."""
    root = exchange_at(exchange)
    store = root.book_address
    order = market_order_at(root.orders_address, slot)
    resting = order_at(store_at(store).orders_address, slot)
    cell, owner = resting.level, resting.owner
    shown = min(order.display, order.reserve)
    side = 1 - 2 * (owner & 1)
    price = side * cell_rank(store, cell)
    unlink_order(store, slot, now)
    order.reserve -= shown
    if order.reserve == 0:
        _iceberg_left(exchange, slot)
    # the level may have gone with its last order: its cell is found again
    joined = grid_cell(store, owner, side * price)
    link_order(store, slot, joined, owner, resting.id, shown, now)
    root.references += 1
    order.ref = root.references
    if market_at(root.markets_address + (owner >> 1) * MARKET_BYTES).feeds & _ORDERS:
        tell(exchange, now, _ADD, owner >> 1, side, price, shown, order.ref, 0, 0)


# --- pegs -----------------------------------------------------------------------------------------------------------


@called
def link_peg(exchange: int, instrument: int, slot: int) -> None:
    """Put a peg at the end of its market's list: the order of arrival."""
    root = exchange_at(exchange)
    market = market_at(root.markets_address + instrument * MARKET_BYTES)
    order = market_order_at(root.orders_address, slot)
    order.reserve = 0
    order.display = market.peg_last
    if market.peg_last != 0:
        market_order_at(root.orders_address, market.peg_last).reserve = slot
    else:
        market.peg_first = slot
    market.peg_last = slot
    market.pegs += 1
    market.watch = market.watch | _WATCH_PEGS


@called
def unlink_peg(exchange: int, slot: int) -> None:
    """Take a peg out of its market's list."""
    root = exchange_at(exchange)
    instrument = (order_at(store_at(root.book_address).orders_address, slot).owner >> 1) % root.instruments
    market = market_at(root.markets_address + instrument * MARKET_BYTES)
    order = market_order_at(root.orders_address, slot)
    after, before = order.reserve, order.display
    if before != 0:
        market_order_at(root.orders_address, before).reserve = after
    else:
        market.peg_first = after
    if after != 0:
        market_order_at(root.orders_address, after).display = before
    else:
        market.peg_last = before
    order.reserve = 0
    order.display = 0
    market.pegs -= 1
    if market.pegs == 0:
        market.watch = market.watch & ~_WATCH_PEGS


@kernel
def entry_of(exchange: int, slot: int) -> int:
    """Index place of a resting order's id."""
    store = exchange_at(exchange).book_address
    return id_entry(store, order_at(store_at(store).orders_address, slot).id)


@kernel
def order_side(exchange: int, slot: int) -> int:
    """Side of an order: in the book of stops it lies on the other one."""
    root = exchange_at(exchange)
    side = 1 - 2 * (order_at(store_at(root.book_address).orders_address, slot).owner & 1)
    if market_order_at(root.orders_address, slot).part == STOPS:
        return -side
    return side


@kernel
def reserve_of(exchange: int, slot: int) -> int:
    """Quantity of an order that its book does not show."""
    order = market_order_at(exchange_at(exchange).orders_address, slot)
    return order.reserve if order.part == LIT else 0
