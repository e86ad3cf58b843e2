"""What only a book can tell about events: crossed and locked books, orders nobody knows, quantities that cannot be.

Events are applied to a store of books; when an event completes what the venue sent as one (LAST), the best prices are
looked at. A book that becomes crossed or locked is counted once, not for every event until it is not any more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.book import EMPTY_ASK, EMPTY_BID, BookChange, BookStore, apply_event, best_price
from nanotick.core.arena import Arena
from nanotick.core.kernel import kernel
from nanotick.core.memory import load_u8, record_at, store_u8
from nanotick.core.records import BOTH_SIDES, Flag, event_at
from nanotick.data.quality import Anomaly, QualityReport

INSTRUMENTS = 1 << 14
_LOCAL, _LAST = int(Flag.LOCAL), int(Flag.LAST)
_UNKNOWN, _BAD, _FULL = int(BookChange.UNKNOWN_ORDER), int(BookChange.BAD_VALUE), int(BookChange.FULL)
_CROSSED_STATE, _LOCKED_STATE = 2, 1

BOOK_CHECK = np.dtype(
    [
        ("row", "<i8"),  # events seen
        ("instruments", "<i8"),
        ("crossed", "<i8"),  # how often, and the first event after which
        ("crossed_row", "<i8"),
        ("locked", "<i8"),
        ("locked_row", "<i8"),
        ("unknown", "<i8"),
        ("unknown_row", "<i8"),
        ("bad", "<i8"),
        ("bad_row", "<i8"),
        ("full", "<i8"),
        ("beyond", "<i8"),  # events of instruments the store has no room for
    ]
)
book_check_at = record_at(BOOK_CHECK, "BookCheck")


@kernel("i8(i8,i8,i8,i8,i8)")
def check_books(state: int, books: int, events: int, count: int, states: int) -> int:
    """Apply `count` events to the books and count what is wrong with them; always 0.

    `states` holds one byte per instrument: whether its book is locked or crossed now.
    """
    c = book_check_at(state)
    for i in range(count):
        address = events + 64 * i
        event = event_at(address)
        c.row += 1
        if event.flags & BOTH_SIDES == _LOCAL:
            continue  # the other half of a row that was split
        instrument = event.instrument
        if instrument >= c.instruments:
            c.beyond += 1
            continue
        change = apply_event(books, address)
        if change & _UNKNOWN:
            if c.unknown == 0:
                c.unknown_row = c.row
            c.unknown += 1
        if change & _BAD:
            if c.bad == 0:
                c.bad_row = c.row
            c.bad += 1
        if change & _FULL:
            c.full += 1
        if event.flags & _LAST:
            bid, ask = best_price(books, instrument, 1), best_price(books, instrument, -1)
            now = 0
            if bid != EMPTY_BID and ask != EMPTY_ASK and bid >= ask:
                now = _CROSSED_STATE if bid > ask else _LOCKED_STATE
            before = load_u8(states + instrument)
            if now != before:
                store_u8(states + instrument, now)
                if now == _CROSSED_STATE:
                    if c.crossed == 0:
                        c.crossed_row = c.row
                    c.crossed += 1
                elif now == _LOCKED_STATE:
                    if c.locked == 0:
                        c.locked_row = c.row
                    c.locked += 1
    return 0


class BookCheck:
    """The books of a stream: `feed` every chunk, then `finish`.

    Attributes
    ----------
    books : BookStore
        As the events fed so far have made them.
    """

    def __init__(self, report: QualityReport, instruments: int = INSTRUMENTS) -> None:
        self._report = report
        self._arena = Arena(4 << 30)
        self.books = BookStore(self._arena, "book.check", instruments, max_orders=1 << 22, max_levels=1 << 20)
        self._state = np.zeros(1, dtype=BOOK_CHECK)
        self._state["instruments"] = instruments
        self._states = np.zeros(instruments, dtype=np.uint8)

    def feed(self, events: npt.NDArray[Any]) -> None:
        """Apply the next events, shape (n,)."""
        if len(events):
            events = np.ascontiguousarray(events)
            addresses = (int(events.ctypes.data), len(events), int(self._states.ctypes.data))
            check_books(int(self._state.ctypes.data), self.books.address, *addresses)

    def finish(self) -> None:
        """Report what was found."""
        found = self._state[0]
        for name, kind, reason in (
            ("crossed", Anomaly.CROSSED, "the best bid is above the best ask"),
            ("locked", Anomaly.LOCKED, "the best bid is the best ask"),
            ("unknown", Anomaly.UNKNOWN_REFERENCE, "an order that is not in the book"),
            (
                "bad",
                Anomaly.MALFORMED,
                "an impossible price, quantity or side, or an order id twice",
            ),
        ):
            # a reader that knows what it cannot resolve (LOBSTER without its book file) has said so already
            if found[name] and not (kind == Anomaly.UNKNOWN_REFERENCE and self._report.count(kind)):
                self._report.anomaly(kind, f"event {int(found[f'{name}_row'])}", reason, int(found[name]))
        if found["full"]:
            self._report.note(f"{int(found['full']):,} events found the checking books full: incomplete from there")
        if found["beyond"]:
            self._report.note(f"{int(found['beyond']):,} events of instruments beyond the checking books were left out")
