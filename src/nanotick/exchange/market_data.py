"""One recorded event at the venue: into the venue's book, then to our orders.

Without orders of ours at an instrument an event only moves the book. With some, each kind of event is worked with what
it says: see `resting`.
"""

from __future__ import annotations

from nanotick.book import (
    BookChange,
    apply_event,
    best_price,
    best_qty,
    cell_qty,
    level_cell,
    level_qty,
    order_find,
    order_price,
    order_qty,
    order_side,
)
from nanotick.core.kernel import kernel
from nanotick.core.records import Flag, Kind, TradingStatus, event_at
from nanotick.exchange.busts import bust_fills
from nanotick.exchange.depletion import refresh_level, refresh_side, shrink_level
from nanotick.exchange.expiry import expire_day_orders
from nanotick.exchange.gaps import gap_row
from nanotick.exchange.records import BOOK_FULL, HALT, IN_GAP, NEVER, market_at, profile_at, venue_at
from nanotick.exchange.resting import (
    AT_PRICE_FIRST,
    AT_PRICE_MODEL,
    AT_PRICE_NONE,
    arrival_of,
    auction_printed,
    book_cleared,
    executed,
    joined_queue,
    left_queue,
    level_reached,
    level_told,
    rests_at,
    traded,
)
from nanotick.exchange.stops import trigger_on_quote, trigger_stops
from nanotick.exchange.working import market_of, side_index

_ADD, _MODIFY, _DELETE = int(Kind.ADD), int(Kind.MODIFY), int(Kind.DELETE)
_EXECUTE, _REPLACE, _LEVEL = int(Kind.EXECUTE), int(Kind.REPLACE), int(Kind.LEVEL)
_CLEAR, _QUOTE, _TRADE, _STATUS = int(Kind.CLEAR), int(Kind.QUOTE), int(Kind.TRADE), int(Kind.STATUS)
_GAP, _BREAK = int(Kind.GAP), int(Kind.BREAK)
_AUCTION_FLAG, _HIDDEN, _SNAPSHOT = int(Flag.AUCTION), int(Flag.HIDDEN), int(Flag.SNAPSHOT)
_TRADING, _CLOSED, _UNKNOWN = int(TradingStatus.TRADING), int(TradingStatus.CLOSED), int(TradingStatus.UNKNOWN)
_CHANGED, _FULL = int(BookChange.DEPTH_CHANGED), int(BookChange.FULL)


@kernel
def note_kind(market_address: int, kind: int, price: int) -> None:
    """Remember what sort of data this instrument has, and its last trade."""
    market = market_at(market_address)
    if kind == _TRADE:
        market.last_trade = price
    elif kind == _EXECUTE:
        market.last_trade = price
        market.executes = 1
        market.by_order = 1
    elif kind < _LEVEL:
        market.by_order = 1
    elif kind == _QUOTE:
        market.by_quote = 1


@kernel
def apply_to_book(venue: int, event_address: int) -> int:
    """The event into the venue's book; a book without room is a status of the venue."""
    v = venue_at(venue)
    change = apply_event(v.book_address, event_address)
    if change & _FULL:
        v.status = v.status | BOOK_FULL
    return change


@kernel
def level_event(venue: int, market_address: int, event_address: int) -> None:
    """LEVEL with orders of ours about."""
    book = venue_at(venue).book_address
    event = event_at(event_address)
    market = market_at(market_address)
    instrument, side, price, now = event.instrument, event.side, event.price, event.ts_venue
    ours = rests_at(market_address, side, price)
    cell = 0
    prev_qty = 0
    if ours:
        cell = level_cell(book, instrument, side, price)
        prev_qty = cell_qty(book, cell) if cell != 0 else level_qty(book, instrument, side, price)
    apply_to_book(venue, event_address)
    if market.depleted[0] + market.depleted[1] != 0:
        refresh_level(venue, market_address, side, price)
    if ours:
        new_qty = cell_qty(book, cell) if cell != 0 else level_qty(book, instrument, side, price)
        level_told(venue, market_address, side, price, prev_qty, new_qty, now)
    if market.best[side_index(-side)] + side * price >= 0 and market.blocked == 0:
        if level_qty(book, instrument, side, price) > 0:  # old news, which the book ignored, reaches nobody
            level_reached(venue, market_address, side, price, now)
    if market.stops != 0:
        trigger_on_quote(venue, market_address, instrument, now)


@kernel
def _quote_side(venue: int, market_address: int, instrument: int, side: int, price: int, old: int, old_qty: int,
                prev_qty: int, now: int) -> None:  # fmt: skip
    """One side of a QUOTE, after it went into the book: `old` best price and quantity, `prev_qty` what `price` had."""
    book = venue_at(venue).book_address
    refresh_side(venue, market_address, instrument, side, side * price)
    if rests_at(market_address, side, price):
        level_told(venue, market_address, side, price, prev_qty, level_qty(book, instrument, side, price), now)
    if side * price < side * old and rests_at(market_address, side, old):  # the old best level is gone
        level_told(venue, market_address, side, old, old_qty, level_qty(book, instrument, side, old), now)


@kernel
def quote_event(venue: int, market_address: int, event_address: int) -> None:
    """QUOTE with orders of ours about."""
    book = venue_at(venue).book_address
    event = event_at(event_address)
    market = market_at(market_address)
    instrument, now = event.instrument, event.ts_venue
    bid, ask = event.price, event.id
    old_bid, old_bid_qty = best_price(book, instrument, 1), best_qty(book, instrument, 1)
    old_ask, old_ask_qty = best_price(book, instrument, -1), best_qty(book, instrument, -1)
    prev_bid_qty = level_qty(book, instrument, 1, bid)
    prev_ask_qty = level_qty(book, instrument, -1, ask)
    apply_to_book(venue, event_address)
    if event.qty > 0:
        _quote_side(venue, market_address, instrument, 1, bid, old_bid, old_bid_qty, prev_bid_qty, now)
    if event.word > 0:
        _quote_side(venue, market_address, instrument, -1, ask, old_ask, old_ask_qty, prev_ask_qty, now)
    if market.blocked == 0:
        if event.qty > 0:
            level_reached(venue, market_address, 1, bid, now)
        if event.word > 0:
            level_reached(venue, market_address, -1, ask, now)
    if market.stops != 0:
        trigger_on_quote(venue, market_address, instrument, now)


@kernel
def trade_event(venue: int, market_address: int, event_address: int) -> None:
    """TRADE, or an execution against what was not displayed, with orders of ours about."""
    event = event_at(event_address)
    market = market_at(market_address)
    now, price, qty = event.ts_venue, event.price, event.qty
    if event.flags & _AUCTION_FLAG:
        auction_printed(venue, market_address, price, qty, now)
    elif market.blocked == 0:
        at_price = AT_PRICE_MODEL
        if event.kind == _EXECUTE or event.flags & _HIDDEN:
            at_price = AT_PRICE_NONE
        elif market.by_order != 0 and profile_at(market.profile_address).exact_queue != 0:
            at_price = AT_PRICE_FIRST
            if market.executes != 0:
                at_price = AT_PRICE_NONE
        aggressor = event.side
        if event.kind == _EXECUTE:
            aggressor = -event.side
        if aggressor >= 0:
            traded(venue, market_address, 1, price, qty, at_price, now)
        if aggressor <= 0:
            traded(venue, market_address, -1, price, qty, at_price, now)
    if market.stops != 0:
        trigger_stops(venue, market_address, price, price, False, now)


@kernel
def order_event(venue: int, market_address: int, event_address: int) -> None:
    """ADD, MODIFY, REDUCE, DELETE, EXECUTE or REPLACE with orders of ours about."""
    v = venue_at(venue)
    book = v.book_address
    event = event_at(event_address)
    market = market_at(market_address)
    kind, instrument, now = event.kind, event.instrument, event.ts_venue
    exact = profile_at(market.profile_address).exact_queue != 0
    side, old_price, old_qty, arrival = event.side, 0, 0, 0
    joins, joining_id = kind == _ADD, event.id
    if kind != _ADD:
        slot = order_find(book, instrument, event.id)
        if slot < 0:
            apply_to_book(venue, event_address)
            return
        side, old_price, old_qty = order_side(book, slot), order_price(book, slot), order_qty(book, slot)
        arrival = arrival_of(venue, slot)
    old_level_qty = level_qty(book, instrument, side, old_price)
    new_level_qty = level_qty(book, instrument, side, event.price)
    if not apply_to_book(venue, event_address) & _CHANGED:
        return
    removed = 0
    if kind == _MODIFY:
        joins = event.price != old_price or event.qty > old_qty
        removed = old_qty if joins else old_qty - event.qty
    elif kind == _REPLACE:
        joins, joining_id, removed = True, event.word, old_qty
    elif kind == _DELETE:
        removed = old_qty
    elif kind != _ADD:
        removed = min(event.qty, old_qty)
    if removed > 0:
        shown = level_qty(book, instrument, side, old_price)
        if market.depleted[0] + market.depleted[1] != 0:
            shrink_level(venue, market_address, side, old_price, removed, shown)
        if not exact:
            if kind == _EXECUTE and market.blocked == 0:
                traded(venue, market_address, -side, old_price, removed, AT_PRICE_MODEL, now)
            if rests_at(market_address, side, old_price) and not (joins and event.price == old_price):
                level_told(venue, market_address, side, old_price, old_level_qty, shown, now)
        elif kind == _EXECUTE:
            executed(venue, market_address, side, old_price, removed, arrival, now)
        elif rests_at(market_address, side, old_price):
            left_queue(venue, market_address, side, old_price, removed, arrival)
    if joins:
        if rests_at(market_address, side, event.price):
            joined = order_find(book, instrument, joining_id)
            if joined >= 0:
                snapshot = event.flags & _SNAPSHOT != 0
                joined_queue(venue, market_address, joined, side, event.price, event.qty, snapshot)
            if not exact:
                shown = level_qty(book, instrument, side, event.price)
                level_told(venue, market_address, side, event.price, new_level_qty, shown, now)
        if market.blocked == 0:
            level_reached(venue, market_address, side, event.price, now)
    if market.stops != 0:
        if kind == _EXECUTE:
            trigger_stops(venue, market_address, event.price, event.price, False, now)
        trigger_on_quote(venue, market_address, instrument, now)


@kernel
def clear_event(venue: int, market_address: int, event_address: int) -> None:
    """CLEAR with orders of ours about."""
    event = event_at(event_address)
    market = market_at(market_address)
    apply_to_book(venue, event_address)
    for index in range(2):
        side = 1 - 2 * index
        if event.side == 0 or event.side == side:
            refresh_side(venue, market_address, event.instrument, side, -NEVER)
            if market.by_order != 0:
                book_cleared(venue, market_address, side)


@kernel
def status_event(venue: int, market_address: int, event_address: int) -> None:
    """STATUS: halts stop all matching, the end of one matches what crosses, the close ends DAY orders."""
    event = event_at(event_address)
    market = market_at(market_address)
    now, instrument, status = event.ts_venue, event.instrument, event.word
    before = market.blocked
    halted = 0 if status == _TRADING or status == _UNKNOWN else HALT
    market.blocked = halted | (before & IN_GAP)
    market.closed = 1 if status == _CLOSED else 0
    if market.watch == 0:
        return
    if market.closed != 0:
        expire_day_orders(venue, market_address, now)
    elif before != 0 and market.blocked == 0:
        book = venue_at(venue).book_address
        for index in range(2):
            side = 1 - 2 * index
            best = best_price(book, instrument, side)
            if side * best != -NEVER:
                level_reached(venue, market_address, side, best, now)


@kernel
def unwatched_event(venue: int, event_address: int) -> None:
    """What an event leaves behind besides the book, where nothing of ours is."""
    event = event_at(event_address)
    kind = event.kind
    market_address = market_of(venue, event.instrument)
    market = market_at(market_address)
    if kind == _LEVEL:
        if market.by_level == 0:
            market.by_level = 1
    elif kind == _STATUS:
        status_event(venue, market_address, event_address)
    elif kind == _BREAK:
        bust_fills(venue, event_address)
    else:
        note_kind(market_address, kind, event.price)
    if market.gap != 0 or kind == _GAP:
        gap_row(venue, market_address, event_address)


@kernel
def market_event(venue: int, event_address: int) -> None:
    """A recorded event of an instrument this venue has, no expiry being due."""
    event = event_at(event_address)
    kind = event.kind
    market_address = market_of(venue, event.instrument)
    market = market_at(market_address)
    if market.watch == 0:
        unwatched_event(venue, event_address)
        if kind < _TRADE:
            apply_to_book(venue, event_address)
        return
    if kind == _LEVEL:
        if market.by_level == 0:
            market.by_level = 1
        level_event(venue, market_address, event_address)
        if market.gap != 0:
            gap_row(venue, market_address, event_address)
        return
    if kind == _STATUS:
        status_event(venue, market_address, event_address)
        return
    if kind == _GAP:
        gap_row(venue, market_address, event_address)
        return
    if kind == _BREAK:
        bust_fills(venue, event_address)
        return
    note_kind(market_address, kind, event.price)
    if kind == _TRADE or kind == _EXECUTE:
        venue_at(venue).trade_id = event.id if kind == _TRADE else event.word
    if kind == _TRADE:
        trade_event(venue, market_address, event_address)
    elif kind == _EXECUTE and event.flags & _HIDDEN:
        trade_event(venue, market_address, event_address)
    elif kind < _LEVEL:
        order_event(venue, market_address, event_address)
    elif kind == _QUOTE:
        quote_event(venue, market_address, event_address)
    elif kind == _CLEAR:
        clear_event(venue, market_address, event_address)
    venue_at(venue).trade_id = 0
    if market.gap != 0:
        gap_row(venue, market_address, event_address)
