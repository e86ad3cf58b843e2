"""Quotes and trades of Polygon and Alpaca straight from the frame: arrays of flat objects with short keys.

    Polygon  [{"ev":"Q","sym":"MSFT","bx":4,"bp":114.125,"bs":100,"ax":7,"ap":114.128,"as":160,"c":0,"t":...,"q":...}]
    Alpaca   [{"T":"q","S":"AMD","bx":"U","bp":87.66,"bs":1,"ax":"Q","ap":87.68,"as":4,"t":"2021-02-22T15:51:45.33Z"}]

One kernel reads both: keys in any order, numbers exact at the instrument's scale. Frames with anything else (other
messages, escapes, exponents, a scale too coarse) are left to the general path as a whole, so that both give the same
records: a property test holds them equal. Symbols that are not in the table are counted and skipped.
"""

from __future__ import annotations

import numpy as np

from nanotick.core.kernel import kernel
from nanotick.core.memory import load_u8, record_at
from nanotick.core.records import BOTH_SIDES, Flag, Kind, event_at
from nanotick.wire.binance_chain import market_at
from nanotick.wire.binance_rows import NO_ROOM
from nanotick.wire.binance_state import epoch, find_market, name_word
from nanotick.wire.json_scan import (
    NUMBER,
    REPEATED,
    SHAPE,
    SYNTAX,
    number_end,
    plain_end,
    scan_int,
    scan_number,
    skip_space,
)

POLYGON, ALPACA = 0, 1

EQUITIES = np.dtype(
    [
        ("markets_address", "<i8"),  # MARKET records
        ("table_address", "<i8"),
        ("out_address", "<i8"),  # EVENT records
        ("capacity", "<i8"),  # rows of it
        ("dialect", "<i8"),
        ("trades", "<i8"),  # messages read
        ("quotes", "<i8"),
        ("unlisted", "<i8"),
    ]
)
equities_at = record_at(EQUITIES, "Equities")

_LAST, _PRINTABLE = int(Flag.LAST), int(Flag.PRINTABLE)
_QUOTE, _TRADE = int(Kind.QUOTE), int(Kind.TRADE)


def _packed(text: str) -> int:
    return int.from_bytes(text.encode(), "little")


_EV, _SYM, _TKS = _packed("ev"), _packed("sym"), _packed("tks")
_BP, _BS, _AP, _AS, _BX, _AX = (_packed(name) for name in ("bp", "bs", "ap", "as", "bx", "ax"))
_I, _X, _Z, _P, _S, _C, _T, _Q = (ord(name) for name in "ixzpsctq")
_UPPER_T, _UPPER_S = ord("T"), ord("S")
_TYPE_BIT, _SYMBOL_BIT, _PRICE_BIT, _SIZE_BIT = 1, 2, 4, 8
_BID_BIT, _BID_SIZE_BIT, _ASK_BIT, _ASK_SIZE_BIT = 16, 32, 64, 128
_TIME_BIT, _SEQ_BIT, _ID_BIT, _CODES_BIT = 256, 512, 1024, 2048
_X_BIT, _Z_BIT, _BX_BIT, _AX_BIT = 4096, 8192, 16384, 32768


@kernel
def _bit(word: int, dialect: int) -> int:
    """The bit of a key, 0 for one that does not matter."""
    if word == _BP:
        return _BID_BIT
    if word == _BS:
        return _BID_SIZE_BIT
    if word == _AP:
        return _ASK_BIT
    if word == _AS:
        return _ASK_SIZE_BIT
    if word == _P:
        return _PRICE_BIT
    if word == _S:
        return _SIZE_BIT
    if word == _T:
        return _TIME_BIT
    if word == _C:
        return _CODES_BIT
    if word == _I:
        return _ID_BIT
    if word == _X:
        return _X_BIT
    if word == _Z:
        return _Z_BIT
    if word == _BX:
        return _BX_BIT
    if word == _AX:
        return _AX_BIT
    if dialect == POLYGON:
        if word == _EV:
            return _TYPE_BIT
        if word == _SYM:
            return _SYMBOL_BIT
        return _SEQ_BIT if word == _Q else 0
    if word == _UPPER_T:
        return _TYPE_BIT
    return _SYMBOL_BIT if word == _UPPER_S else 0


@kernel
def _two(p: int) -> int:
    """The number of two digits at `p`, or -1."""
    tens, ones = load_u8(p) - 48, load_u8(p + 1) - 48
    if tens < 0 or tens > 9 or ones < 0 or ones > 9:
        return -1
    return tens * 10 + ones


@kernel
def scan_rfc3339(p: int) -> tuple[int, int]:
    """Nanoseconds UTC of `2021-02-22T15:51:45.335689322Z` up to the closing quote, and the address of that quote.

    Years 1970 to 2199; other forms (offsets, more than nine decimals) are refused with SHAPE.
    """
    century = _two(p)
    if century != 19 and century != 20 and century != 21:
        return 0, SHAPE
    year = _two(p + 2)
    if year < 0 or load_u8(p + 4) != 45:
        return 0, SHAPE
    year += century * 100
    if year < 1970:
        return 0, SHAPE
    month = _two(p + 5)
    if month < 1 or month > 12 or load_u8(p + 7) != 45:
        return 0, SHAPE
    day = _two(p + 8)
    if day < 1 or load_u8(p + 10) != 84:
        return 0, SHAPE
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days_in_month = 31
    if month == 2:
        days_in_month = 29 if leap else 28
    elif month == 4 or month == 6 or month == 9 or month == 11:
        days_in_month = 30
    if day > days_in_month:
        return 0, SHAPE
    hour = _two(p + 11)
    if hour < 0 or hour > 23 or load_u8(p + 13) != 58:
        return 0, SHAPE
    minute = _two(p + 14)
    if minute < 0 or minute > 59 or load_u8(p + 16) != 58:
        return 0, SHAPE
    second = _two(p + 17)
    if second < 0 or second > 59:
        return 0, SHAPE
    p += 19
    fraction = 0
    if load_u8(p) == 46:
        p += 1
        start = p
        c = load_u8(p) - 48
        while 0 <= c <= 9:
            fraction = fraction * 10 + c
            p += 1
            c = load_u8(p) - 48
            if p - start > 9:
                return 0, SHAPE
        digits = p - start
        if digits == 0:
            return 0, SHAPE
        while digits < 9:
            fraction *= 10
            digits += 1
    if load_u8(p) != 90 or load_u8(p + 1) != 34:
        return 0, SHAPE
    # days since 1970-01-01 by Howard Hinnant's days_from_civil, the year beginning in March
    y = year - 1 if month <= 2 else year
    era = y // 400
    of_era = y - era * 400
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    days = era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
    seconds = days * 86400 + hour * 3600 + minute * 60 + second
    return seconds * 1_000_000_000 + fraction, p + 1


@kernel
def _codes(p: int, dialect: int) -> tuple[int, int]:
    """Whether a trade with the conditions in the list at `p` counts in volume, and the address after the list."""
    printable = 1
    p = skip_space(p + 1)
    if load_u8(p) == 93:
        return printable, p + 1
    while True:
        if dialect == POLYGON:
            code, p = scan_int(p)
            if p < 0:
                return 0, p
            if code == 15 or code == 16 or code == 38:
                printable = 0
        else:
            if load_u8(p) != 34:
                return 0, SHAPE
            end = plain_end(p + 1)
            if end < 0:
                return 0, end
            letter = load_u8(p + 1)
            if end == p + 2 and (letter == 77 or letter == 81 or letter == 57):
                printable = 0
            p = end + 1
        p = skip_space(p)
        c = load_u8(p)
        if c == 93:
            return printable, p + 1
        if c != 44:
            return 0, SYNTAX
        p = skip_space(p + 1)


@kernel
def _plain_value(p: int) -> int:
    """Address after a plain string, a number, true, false or null; what else there may be is refused with SHAPE."""
    c = load_u8(p)
    if c == 34:
        p = plain_end(p + 1)
        return p if p < 0 else p + 1
    if c == 45 or 48 <= c <= 57:
        return number_end(p)
    if c == 116 and load_u8(p + 1) == 114 and load_u8(p + 2) == 117 and load_u8(p + 3) == 101:
        return p + 4
    if c == 110 and load_u8(p + 1) == 117 and load_u8(p + 2) == 108 and load_u8(p + 3) == 108:
        return p + 4
    if c == 102 and load_u8(p + 1) == 97 and load_u8(p + 2) == 108 and load_u8(p + 3) == 115:
        return p + 5 if load_u8(p + 4) == 101 else SHAPE
    return SHAPE


@kernel
def _quoted_int(p: int) -> tuple[int, int]:
    """Value of a string of 1 to 18 digits whose first is at `p`, and the address after its quote."""
    start = p
    value = 0
    c = load_u8(p) - 48
    while 0 <= c <= 9:
        value = value * 10 + c
        p += 1
        c = load_u8(p) - 48
        if p - start > 18:
            return 0, SHAPE
    if p == start or c != -14:
        return 0, SHAPE
    return value, p + 1


@kernel
def _message(s, p: int, ts_recv: int, row: int) -> tuple[int, int]:  # type: ignore[no-untyped-def]
    """Read the object at `p` into row `row`; the row after it and the address after it, or a reason."""
    dialect = s.dialect
    seen = kind = 0
    market = -2  # not named yet
    price_at = size_at = bid_at = bid_size_at = ask_at = ask_size_at = 0
    stamp = seq = trade_id = 0
    printable, codes_list, id_list = 1, 1, 0
    other_0 = other_1 = other_2 = other_3 = others = 0
    p = skip_space(p + 1)
    while True:
        if load_u8(p) != 34:
            return row, SYNTAX
        end = plain_end(p + 1)
        if end < 0:
            return row, end
        length = end - p - 1
        if length > 8 or length == 0:
            return row, SHAPE
        word = name_word(p + 1, length)
        bit = _bit(word, dialect)
        if seen & bit:
            return row, REPEATED
        seen |= bit
        p = skip_space(end + 1)
        if load_u8(p) != 58:
            return row, SYNTAX
        p = skip_space(p + 1)
        c = load_u8(p)
        if bit & (_PRICE_BIT | _SIZE_BIT | _BID_BIT | _BID_SIZE_BIT | _ASK_BIT | _ASK_SIZE_BIT):
            if c < 48 or c > 57:
                return row, NUMBER
            if bit == _BID_BIT:
                bid_at = p
            elif bit == _BID_SIZE_BIT:
                bid_size_at = p
            elif bit == _ASK_BIT:
                ask_at = p
            elif bit == _ASK_SIZE_BIT:
                ask_size_at = p
            elif bit == _PRICE_BIT:
                price_at = p
            else:
                size_at = p
            p = number_end(p)
        elif bit == _TYPE_BIT or bit == _SYMBOL_BIT:
            if c != 34:
                return row, SHAPE
            end = plain_end(p + 1)
            if end < 0:
                return row, end
            length = end - p - 1
            if bit == _TYPE_BIT:
                letter = load_u8(p + 1) | 32  # T, Q or t, q
                lower = load_u8(p + 1) & 32
                if length != 1 or (dialect == POLYGON and lower != 0) or (dialect == ALPACA and lower == 0):
                    return row, SHAPE
                kind = letter
            else:
                if length == 0 or length > 32:
                    return row, SHAPE
                market = find_market(s, p + 1, length)
            p = end + 1
        elif bit == _TIME_BIT:
            if dialect == POLYGON:
                stamp, p = scan_int(p)
                stamp = epoch(stamp)
            else:
                if c != 34:
                    return row, SHAPE
                stamp, p = scan_rfc3339(p + 1)
                p = p if p < 0 else p + 1
        elif bit == _SEQ_BIT:
            seq, p = scan_int(p)
        elif bit == _CODES_BIT and c == 91:
            printable, p = _codes(p, dialect)
        elif bit == _ID_BIT and c == 34:
            trade_id, p = _quoted_int(p + 1)
        elif bit == _ID_BIT and 48 <= c <= 57:
            trade_id, p = scan_int(p)
        elif bit == _ID_BIT and c == 91:
            id_list = 1
            _, p = _codes(p, dialect)
        else:
            if bit == _CODES_BIT:
                codes_list = 0
            elif bit == _ID_BIT or word == _TKS:
                return row, SHAPE
            elif bit == 0:
                if word == other_0 or word == other_1 or word == other_2 or word == other_3:
                    return row, REPEATED
                if others == 0:
                    other_0 = word
                elif others == 1:
                    other_1 = word
                elif others == 2:
                    other_2 = word
                elif others == 3:
                    other_3 = word
                else:
                    return row, SHAPE
                others += 1
            p = _plain_value(p)
        if p < 0:
            return row, p
        p = skip_space(p)
        c = load_u8(p)
        if c == 125:
            p += 1
            break
        if c != 44:
            return row, SYNTAX
        p = skip_space(p + 1)
    if market == -2 or seen & _TIME_BIT == 0:
        return row, SHAPE
    if kind == _T:
        if price_at == 0 or size_at == 0 or id_list != 0 or codes_list == 0:
            return row, SHAPE
        s.trades += 1
    elif kind == _Q:
        every = _BID_BIT | _BID_SIZE_BIT | _ASK_BIT | _ASK_SIZE_BIT
        if dialect == ALPACA and seen & every != every:
            return row, SHAPE
        s.quotes += 1
    else:
        return row, SHAPE
    if market < 0:
        s.unlisted += 1
        return row, p
    if row >= s.capacity:
        return row, NO_ROOM
    m = market_at(s.markets_address, market)
    price_decimals, qty_decimals = m.price_decimals, m.qty_decimals
    price = qty = ask = ask_qty = end = 0
    if kind == _T:
        price, end = scan_number(price_at, price_decimals)
        if end < 0:
            return row, end
        qty, end = scan_number(size_at, qty_decimals)
        if end < 0:
            return row, end
    else:
        if bid_at != 0:
            price, end = scan_number(bid_at, price_decimals)
            if end < 0:
                return row, end
        if bid_size_at != 0:
            qty, end = scan_number(bid_size_at, qty_decimals)
            if end < 0:
                return row, end
        if ask_at != 0:
            ask, end = scan_number(ask_at, price_decimals)
            if end < 0:
                return row, end
        if ask_size_at != 0:
            ask_qty, end = scan_number(ask_size_at, qty_decimals)
            if end < 0:
                return row, end
    event = event_at(s.out_address, row)
    event.ts_venue = stamp if stamp != 0 else ts_recv
    event.ts_recv = ts_recv
    event.seq = seq
    event.price = price
    event.qty = qty
    event.id = trade_id if kind == _T else ask
    event.word = 0 if kind == _T else ask_qty
    event.instrument = m.number
    event.venue = m.venue
    event.kind = _TRADE if kind == _T else _QUOTE
    event.side = 0
    event.flags = BOTH_SIDES | _LAST | (_PRINTABLE if kind == _T and printable != 0 else 0)
    return row + 1, p


@kernel
def read_equities(state: int, begin: int, size: int, ts_recv: int) -> int:
    """Read one frame; the rows it gave, or a negative reason and nothing that counts.

    Parameters
    ----------
    state : int
        Address of an EQUITIES record; rows are written from row 0.
    begin, size : int
        The frame; the byte after it is a line feed.
    ts_recv : int
        ns UTC.
    """
    s = equities_at(state)
    trades, quotes, unlisted = s.trades, s.quotes, s.unlisted
    p = skip_space(begin)
    row = 0
    after = SHAPE
    if load_u8(p) == 91:
        p = skip_space(p + 1)
        while True:
            if load_u8(p) != 123:
                after = SHAPE
                break
            row, after = _message(s, p, ts_recv, row)
            if after < 0:
                break
            p = skip_space(after)
            c = load_u8(p)
            if c == 93:
                after = skip_space(p + 1)
                break
            if c != 44:
                after = SYNTAX
                break
            p = skip_space(p + 1)
    if after == begin + size:
        return row
    s.trades = trades
    s.quotes = quotes
    s.unlisted = unlisted
    return after if after < 0 else SHAPE


@kernel("i8(i8,i8,i8,i8)")
def scan_equities(state: int, begin: int, size: int, ts_recv: int) -> int:
    """`read_equities`, for Python."""
    return read_equities(state, begin, size, ts_recv)
