"""The plain case, which is nearly every command: a limit order that rests, and the cancel of a displayed order.

A market is plain while it trades continuously, publishes order by order and has no bands, pegs, stops, hidden or
auction orders, so nothing has to be looked after when a command has been worked. What decides it lies in the first
cache line of MARKET and is asked in one test. Both functions here first look, without changing anything, whether the
command, its participant, its market and its place in the index are the plain ones; if one is not, they say so and
`commands` works the command, naming the reason where it is refused. They write to the bit what `commands` would.
"""

from __future__ import annotations

from nanotick.book.ladder import BOOK_BYTES, cell_rank, near_cell
from nanotick.book.order_by_order import link_order, remove_order, take_order
from nanotick.book.order_index import DIRECTORY, PAGE_BITS, PAGE_IDS, find_hashed, index_at, page_at
from nanotick.book.records import book_at, cell_at, order_at, side_at, store_at
from nanotick.core.kernel import inlined
from nanotick.core.memory import load_i32, load_i64, store_i32, store_i64
from nanotick.core.records import BOTH_SIDES, RECORD_SIZE, CancelReason, Flag, Kind, command_at
from nanotick.exchange.market.feed import event_tail, write_event
from nanotick.exchange.market.records import (
    CLIENT_MASK,
    MARKET_BYTES,
    MARKET_ORDER,
    Feeds,
    exchange_at,
    market_at,
    market_order_at,
    participant_at,
)
from nanotick.exchange.market.resting import LEVEL_LIMIT, link_participant, order_key, unlink_participant

_ADD, _DELETE = int(Kind.ADD), int(Kind.DELETE)
_ACCEPTED, _CANCELLED = int(Kind.ACCEPTED), int(Kind.CANCELLED)
_USER = int(CancelReason.USER)
_ORDERS = int(Feeds.ORDERS)
_LAST = int(Flag.LAST) | BOTH_SIDES
_TYPE_AND_TIF, _RESTING = 48, 0xFEFF  # of a command: type limit and time in force GTC or DAY, in one word
_FORM = MARKET_ORDER.fields["participant"][1]  # type: ignore[index]
_ORDER_BYTES = MARKET_ORDER.itemsize


@inlined
def _no_room(exchange: int) -> bool:
    """Whether one of the rings is full."""
    root = exchange_at(exchange)
    return root.feed_end - root.feed_first > root.feed_mask or root.report_end - root.report_first > root.report_mask


@inlined
def _tell_both(
    exchange: int, now: int, owner: int, instrument: int, side: int, qty: int, kind: int, price: int, ident: int,
    word: int, feed_kind: int, feed_price: int, ref: int,
) -> None:  # fmt: skip
    """One report and one event of the feed, the last of its message; the rings have room."""
    root = exchange_at(exchange)
    where = event_tail(instrument, market_at(root.markets_address + instrument * MARKET_BYTES).venue, 0, side, 0)
    end = root.report_end
    place = end & root.report_mask
    write_event(root.reports_address + place * RECORD_SIZE, now, end, price, qty, ident, word, where | (kind << 40))
    store_i32(root.report_owners_address + place * 4, owner)
    root.report_end = end + 1
    end = root.feed_end
    place = root.feed_address + (end & root.feed_mask) * RECORD_SIZE
    write_event(place, now, end, feed_price, qty, ref, 0, where | (feed_kind << 40) | (_LAST << 56))
    root.feed_end = end + 1


@inlined
def rest_plain(exchange: int, command_address: int, now: int) -> bool:
    """Rest a limit order that meets nothing; False, and nothing done, for any other NEW.

    Instrument and participant are known to be there.
    """
    root = exchange_at(exchange)
    command = command_at(command_address)
    store = root.book_address
    books = store_at(store)
    instrument, participant, ident = command.instrument, command.strategy, command.id
    side, price, qty = command.side, command.price, command.qty
    market_address = root.markets_address + instrument * MARKET_BYTES
    market = market_at(market_address)
    owner = participant_at(root.participants_address, participant)
    special = load_i64(market_address) | load_i64(market_address + 8) | load_i64(market_address + 16)
    special = special | (market.feeds ^ _ORDERS) | market.band_high | market.notional
    special = special | owner.max_value | owner.blocked | command.flags
    special = special | (load_i64(command_address + _TYPE_AND_TIF) & _RESTING) | (side * side - 1)
    if (
        special != 0
        or price < market.price_low
        or price > market.price_high
        or qty < market.min_qty
        or qty > min(market.max_qty, owner.max_qty)
        or ident <= 0
        or ident > CLIENT_MASK
        or owner.orders >= owner.max_orders
        or market.tick != book_at(books.books_address + instrument * BOOK_BYTES).unit
        or (market.lot != 1 and qty % market.lot != 0)
    ):
        return False
    ask = (1 - side) >> 1
    line = 2 * instrument + ask
    rank = (price ^ -ask) + ask
    cell = near_cell(store, line, rank)  # 0 for a price off the tick as well
    if cell == 0 or side_at(books.sides_address, line ^ 1).best + rank >= 0:
        return False
    index = index_at(books.index_address)
    key = order_key(participant, ident)
    number = load_i32(index.directory_address + (((key >> PAGE_BITS) & (DIRECTORY - 1)) << 2))
    entry = index.slots_address + (((number << PAGE_BITS) + (key & (PAGE_IDS - 1))) << 2)
    page = page_at(index.pages_address, number)
    level = cell_at(books.cells_address, cell)
    if (
        page.number != key >> PAGE_BITS
        or load_i32(entry) | level.queue != 0
        or (page.spilled != 0 and find_hashed(store, instrument, key) != 0)
        or level.qty > LEVEL_LIMIT - qty
        or _no_room(exchange)
    ):
        return False
    slot = take_order(store)
    if slot == 0:
        return False
    store_i32(entry, slot)
    page.live += 1
    page.seen += 1
    link_order(store, slot, cell, line, key, qty, now)
    ref = root.references + 1
    root.references = ref
    order = market_order_at(root.orders_address, slot)
    order.ref = ref
    order.price = price
    order.stop = command.stop_price
    order.reserve = 0
    order.display = 0
    order.filled = 0
    store_i64(root.orders_address + slot * _ORDER_BYTES + _FORM, participant | (command.tif << 24))
    link_participant(exchange, participant, slot)
    _tell_both(exchange, now, participant, instrument, side, qty, _ACCEPTED, price, ident, ref, _ADD, price, ref)
    return True


@inlined
def cancel_plain(exchange: int, command_address: int, now: int) -> bool:
    """Cancel a displayed order without a reserve; False, and nothing done, for any other CANCEL.

    Instrument and participant are known to be there.
    """
    root = exchange_at(exchange)
    command = command_at(command_address)
    store = root.book_address
    books = store_at(store)
    index = index_at(books.index_address)
    instrument, participant, ident = command.instrument, command.strategy, command.id
    market = market_at(root.markets_address + instrument * MARKET_BYTES)
    key = order_key(participant, ident)
    number = load_i32(index.directory_address + (((key >> PAGE_BITS) & (DIRECTORY - 1)) << 2))
    entry = index.slots_address + (((number << PAGE_BITS) + (key & (PAGE_IDS - 1))) << 2)
    slot = load_i32(entry)
    resting = order_at(books.orders_address, slot)
    order = market_order_at(root.orders_address, slot)
    if (
        slot == 0
        or page_at(index.pages_address, number).number != key >> PAGE_BITS
        or resting.owner >> 1 != instrument
        or order.reserve | market.watch | (market.feeds ^ _ORDERS) != 0
        or ident <= 0
        or ident > CLIENT_MASK
        or _no_room(exchange)
    ):
        return False
    qty, price, ref = resting.qty, order.price, order.ref
    side = 1 - 2 * (resting.owner & 1)
    shown = side * cell_rank(store, resting.level)
    unlink_participant(exchange, slot)
    order.tif = 0  # an entry of the heap of expiries that names this slot is stale from here on
    remove_order(store, slot, now, entry)
    _tell_both(exchange, now, participant, instrument, side, qty, _CANCELLED, price, ident, _USER, _DELETE, shown, ref)
    return True
