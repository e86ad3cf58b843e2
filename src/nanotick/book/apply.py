"""One market-data event into its book: the only door through which recorded and live data change books.

Kinds 1-9 are the book's; every other kind changes nothing. Values are checked here and below: whatever a file or a wire
says, the book stays sound and the event is refused with the reason.
"""

from __future__ import annotations

from nanotick.book.order_by_order import order_add, order_delete, order_modify, order_reduce, order_replace
from nanotick.book.price_level import clear_book, level_set, quote_set
from nanotick.book.records import BAD_VALUE, store_at
from nanotick.core.kernel import kernel
from nanotick.core.memory import store_i64
from nanotick.core.records import RECORD_SIZE, Flag, Kind, event_at

_ADD, _MODIFY, _REDUCE, _DELETE = int(Kind.ADD), int(Kind.MODIFY), int(Kind.REDUCE), int(Kind.DELETE)
_EXECUTE, _REPLACE, _LEVEL = int(Kind.EXECUTE), int(Kind.REPLACE), int(Kind.LEVEL)
_CLEAR, _QUOTE = int(Kind.CLEAR), int(Kind.QUOTE)
_HIDDEN = int(Flag.HIDDEN)


@kernel
def apply_event(store: int, event_address: int) -> int:
    """Apply a market-data event to its instrument's book.

    Parameters
    ----------
    store : int
        Address of the store.
    event_address : int
        Address of an EVENT.

    Returns
    -------
    int
        `BookChange` bits; 0 for kinds that are not the book's.
    """
    event = event_at(event_address)
    kind = event.kind
    if kind > _QUOTE:
        return 0
    instrument = event.instrument
    if instrument >= store_at(store).instruments:
        return BAD_VALUE
    ts = event.ts_venue
    if kind == _LEVEL:
        return level_set(store, instrument, event.side, event.price, event.qty, event.word, ts)
    if kind == _ADD:
        return order_add(store, instrument, event.id, event.side, event.price, event.qty, ts)
    if kind == _DELETE:
        return order_delete(store, instrument, event.id, ts)
    if kind == _REDUCE:
        return order_reduce(store, instrument, event.id, event.qty, ts)
    if kind == _EXECUTE:
        if event.flags & _HIDDEN:  # what was not displayed is not in the book
            return 0
        return order_reduce(store, instrument, event.id, event.qty, ts)
    if kind == _REPLACE:
        return order_replace(store, instrument, event.id, event.word, event.price, event.qty, ts)
    if kind == _MODIFY:
        return order_modify(store, instrument, event.id, event.price, event.qty, ts)
    if kind == _QUOTE:
        return quote_set(store, instrument, event.price, event.qty, event.id, event.word, ts)
    if kind == _CLEAR:
        return clear_book(store, instrument, event.side)
    return 0


@kernel("i8(i8,i8,i8,i8)")
def apply_events(store: int, events_address: int, count: int, changes_address: int) -> int:
    """Apply events that lie one after the other.

    Parameters
    ----------
    store, events_address, count : int
    changes_address : int
        Where to write the `BookChange` of each as int64, or 0.

    Returns
    -------
    int
        All changes, joined by or.
    """
    joined = 0
    for i in range(count):
        change = apply_event(store, events_address + i * RECORD_SIZE)
        joined |= change
        if changes_address != 0:
            store_i64(changes_address + i * 8, change)
    return joined
