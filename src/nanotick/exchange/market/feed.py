"""The two rings an exchange writes: the public feed and the private reports.

Both hold EVENT records under consecutive `seq`. `ts_venue` is the exchange's time; `ts_recv` stays 0 for whoever
carries them on. A full ring is a sticky status and the event is lost: the run cannot go on.
"""

from __future__ import annotations

from nanotick.book.records import cell_at, side_at, store_at
from nanotick.core.kernel import called, inlined
from nanotick.core.memory import store_i32, store_i64
from nanotick.core.records import BOTH_SIDES, EVENT, RECORD_SIZE, Flag, Kind, event_at
from nanotick.exchange.market.records import MARKET_BYTES, ExchangeStatus, Feeds, exchange_at, market_at

_FEED_FULL, _REPORTS_FULL = int(ExchangeStatus.FEED_FULL), int(ExchangeStatus.REPORTS_FULL)
_LEVEL, _QUOTE = int(Kind.LEVEL), int(Kind.QUOTE)
_LAST = int(Flag.LAST)
_LEVELS = int(Feeds.LEVELS)
_TAIL = EVENT.fields["instrument"][1]  # type: ignore[index]


@inlined
def event_tail(instrument: int, venue: int, kind: int, side: int, flags: int) -> int:
    """The last eight bytes of an EVENT: one store instead of five."""
    return instrument | (venue << 32) | (kind << 40) | ((side & 0xFF) << 48) | (flags << 56)


@inlined
def write_event(place: int, now: int, seq: int, price: int, qty: int, ident: int, word: int, tail: int) -> None:
    """Fill in an EVENT of a ring; `tail` is its `event_tail`."""
    event = event_at(place)
    event.ts_venue = now
    event.ts_recv = 0
    event.seq = seq
    event.price = price
    event.qty = qty
    event.id = ident
    event.word = word
    store_i64(place + _TAIL, tail)


@inlined
def publish(
    exchange: int, now: int, kind: int, instrument: int, side: int, price: int, qty: int, ident: int, word: int,
    flags: int,
) -> None:  # fmt: skip
    """Append an event to the public feed."""
    root = exchange_at(exchange)
    end = root.feed_end
    if end - root.feed_first > root.feed_mask:
        root.status = root.status | _FEED_FULL
        return
    venue = market_at(root.markets_address + instrument * MARKET_BYTES).venue
    tail = event_tail(instrument, venue, kind, side, flags | BOTH_SIDES)
    write_event(root.feed_address + (end & root.feed_mask) * RECORD_SIZE, now, end, price, qty, ident, word, tail)
    root.feed_end = end + 1


@inlined
def report(
    exchange: int, now: int, owner: int, kind: int, instrument: int, side: int, price: int, qty: int, ident: int,
    word: int, flags: int,
) -> None:  # fmt: skip
    """Append an execution report for a participant; `id` is its own order id."""
    root = exchange_at(exchange)
    end = root.report_end
    if end - root.report_first > root.report_mask:
        root.status = root.status | _REPORTS_FULL
        return
    place = end & root.report_mask
    venue = 0
    if instrument < root.instruments:
        venue = market_at(root.markets_address + instrument * MARKET_BYTES).venue
    tail = event_tail(instrument, venue, kind, side, flags)
    write_event(root.reports_address + place * RECORD_SIZE, now, end, price, qty, ident, word, tail)
    store_i32(root.report_owners_address + place * 4, owner)
    root.report_end = end + 1


@called
def tell(
    exchange: int, now: int, kind: int, instrument: int, side: int, price: int, qty: int, ident: int, word: int,
    flags: int,
) -> None:  # fmt: skip
    """`publish` as a call, for what does not happen on every command: the machine code stays small."""
    publish(exchange, now, kind, instrument, side, price, qty, ident, word, flags)


@called
def answer(
    exchange: int, now: int, owner: int, kind: int, instrument: int, side: int, price: int, qty: int, ident: int,
    word: int, flags: int,
) -> None:  # fmt: skip
    """`report` as a call."""
    report(exchange, now, owner, kind, instrument, side, price, qty, ident, word, flags)


@called
def publish_level(exchange: int, now: int, instrument: int, side: int, price: int, cell: int) -> None:
    """What now rests at a price, if the instrument publishes by price."""
    root = exchange_at(exchange)
    if market_at(root.markets_address + instrument * MARKET_BYTES).feeds & _LEVELS == 0:
        return
    level = cell_at(store_at(root.book_address).cells_address, cell)
    tell(exchange, now, _LEVEL, instrument, side, price, level.qty, 0, level.orders, 0)


@called
def publish_quote(exchange: int, now: int, instrument: int) -> None:
    """The best bid and offer, if they are not as last published."""
    root = exchange_at(exchange)
    market = market_at(root.markets_address + instrument * MARKET_BYTES)
    store = store_at(root.book_address)
    bids, asks = side_at(store.sides_address, 2 * instrument), side_at(store.sides_address, 2 * instrument + 1)
    bid, ask = bids.best, -asks.best
    bid_qty = cell_at(store.cells_address, bids.best_cell).qty
    ask_qty = cell_at(store.cells_address, asks.best_cell).qty
    if (
        bid == market.quote_bid
        and ask == market.quote_ask
        and bid_qty == market.quote_bid_qty
        and ask_qty == market.quote_ask_qty
    ):
        return
    market.quote_bid = bid
    market.quote_bid_qty = bid_qty
    market.quote_ask = ask
    market.quote_ask_qty = ask_qty
    tell(exchange, now, _QUOTE, instrument, 0, bid, bid_qty, ask, ask_qty, 0)


@inlined
def end_message(exchange: int, start: int) -> None:
    """Mark the last event written since `start`: after it the book is consistent."""
    root = exchange_at(exchange)
    if root.feed_end != start:
        event = event_at(root.feed_address + ((root.feed_end - 1) & root.feed_mask) * RECORD_SIZE)
        event.flags = event.flags | _LAST
