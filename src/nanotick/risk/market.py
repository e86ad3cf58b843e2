"""What risk asks of the market: a price to compare with, how old the book is, whether it is crossed."""

from __future__ import annotations

from nanotick.book import best_price
from nanotick.book.records import EMPTY_ASK, EMPTY_BID
from nanotick.core.instruments import instrument_at
from nanotick.core.kernel import kernel
from nanotick.core.records import BUY, SELL
from nanotick.core.tape import tape_at
from nanotick.risk.records import UNLIMITED, risk_at


@kernel
def book_side(risk: int, instrument: int, side: int) -> int:
    """Best price of a side of the local book; of an empty one a price so far off that it never touches the other."""
    root = risk_at(risk)
    if root.books_address == 0:
        return EMPTY_BID if side == BUY else EMPTY_ASK
    return best_price(root.books_address, instrument, side)


@kernel
def reference_price(risk: int, instrument: int) -> int:
    """The mid of the local book, rounded down; else the last trade; else the instrument's own; 0 when there is none."""
    root = risk_at(risk)
    bid = book_side(risk, instrument, BUY)
    ask = book_side(risk, instrument, SELL)
    if bid != EMPTY_BID and ask != EMPTY_ASK:
        return (bid + ask) >> 1
    last = tape_at(root.tape_address, instrument).price
    if last > 0:
        return last
    return instrument_at(root.instruments_address, instrument).reference_price


@kernel
def book_age(risk: int, instrument: int, now: int) -> int:
    """Nanoseconds since the last book event of the instrument; UNLIMITED when there was none, or a gap since."""
    tape = tape_at(risk_at(risk).tape_address, instrument)
    ts = tape.book_ts
    if ts == 0 or tape.gap != 0:
        return UNLIMITED
    return now - ts
