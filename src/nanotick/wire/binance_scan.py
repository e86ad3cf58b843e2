"""Binance recordings at speed: one kernel over many lines `<local stamp> <json>`, straight to EVENT rows.

    depthUpdate      LEVEL a level, flags LAST on the message's last; a GAP row before them when ids are missing
    bookTicker       QUOTE
    trade, aggTrade  TRADE, side of the aggressor, word the resting order's id where the venue sends it

The scan takes one message at a time with its keys in any order, and knows nothing it has not checked. Lines it does
not settle (snapshots, other messages, anything odd) stop it with a status; the caller reads that line by the general
path (`wire.binance`) and starts it again after it. Rows of a message count only once the whole line is read.

A measuring scan (`measure` = 1) reads the same lines for the decimal places of each symbol and writes no rows.
"""

from __future__ import annotations

import numpy as np

from nanotick.core.kernel import kernel
from nanotick.core.memory import copy_bytes, load_i64, load_u8, record_at, store_i64
from nanotick.core.records import BOTH_SIDES, BUY, RECORD_SIZE, SELL, Flag, Kind, event_at
from nanotick.wire.binance_chain import DROP, GAP, MARKET, market_at, next_diff
from nanotick.wire.json_scan import (
    NUMBER,
    REPEATED,
    SHAPE,
    SYNTAX,
    WIDE,
    plain_end,
    scan_decimal,
    scan_int,
    scan_places,
    skip_space,
    skip_value,
)
from nanotick.wire.json_text import EPOCH_MS_END, EPOCH_S_END, EPOCH_US_END

SCAN = np.dtype(
    [
        ("markets_address", "<i8"),  # MARKET records
        ("table_address", "<i8"),  # TABLE_SIZE int64: number of the market + 1 by hash of its name
        ("out_address", "<i8"),  # EVENT records
        ("capacity", "<i8"),  # rows of it
        ("rows", "<i8"),  # rows written
        ("position", "<i8"),  # address of the line at which the scan stopped, or the end
        ("status", "<i8"),
        ("reason", "<i8"),  # of status ODD: a negative reason of json_scan
        ("measure", "<i8"),
        ("latest", "<i8"),  # market of the latest message
        ("depth", "<i8"),  # messages read, by type
        ("levels", "<i8"),  # levels in them
        ("trade", "<i8"),
        ("agg_trade", "<i8"),
        ("book_ticker", "<i8"),
        ("duplicate_agg", "<i8"),  # aggTrade messages left out because the symbol has trade messages too
        ("empty_trades", "<i8"),  # trades of no quantity (insurance fund, liquidation markers)
        ("untimed", "<i8"),  # messages without a time of their own
    ]
)
scan_at = record_at(SCAN, "Scan")

TABLE_SIZE = 1 << 14
MAX_MARKETS = TABLE_SIZE // 2

DONE, FULL, ODD, NEW_SYMBOL = 0, 1, 2, 3

_UNKNOWN_SYMBOL = -20  # reasons of this module, beside those of json_scan
_NO_ROOM = -21

_LAST, _PRINTABLE = int(Flag.LAST), int(Flag.PRINTABLE)
_LEVEL, _GAP_KIND, _QUOTE, _TRADE = (int(k) for k in (Kind.LEVEL, Kind.GAP, Kind.QUOTE, Kind.TRADE))


def _packed(text: str) -> int:
    return int.from_bytes(text.encode()[:8], "little")


_DEPTH_UPDATE, _TRADE_NAME, _AGG_TRADE, _BOOK_TICKER, _NO_TYPE, _OTHER_TYPE = 1, 2, 3, 4, 0, -1
_DEPTH_UPD, _TRADE_WORD, _AGG_WORD, _BOOK_TICK, _MARKET_WORD = (
    _packed(name) for name in ("depthUpdate", "trade", "aggTrade", "bookTicker", "MARKET")
)
_PU, _PS = _packed("pu"), _packed("ps")
_PU_BIT, _PS_BIT = 1 << 59, 1 << 60

_NANOS, _MICROS, _MILLIS = 1, 1_000, 1_000_000


@kernel
def epoch(value: int) -> int:
    """Nanoseconds of a stamp in s, ms, us or ns, by its size; the same rule as `json_text.epoch_ns`."""
    if value < EPOCH_S_END:
        return value * 1_000_000_000
    if value < EPOCH_MS_END:
        return value * _MILLIS
    if value < EPOCH_US_END:
        return value * _MICROS
    return value


@kernel
def _name_word(p: int, length: int) -> int:
    """The first `length` (at most 8) bytes as a little-endian integer, zero padded."""
    word = 0
    i = 0
    while i < length:
        word |= load_u8(p + i) << (8 * i)
        i += 1
    return word


@kernel
def _slot(w0: int, w1: int, w2: int, w3: int) -> int:
    mixed = w0 ^ (w1 >> 3) ^ (w2 >> 7) ^ (w3 >> 11)
    mixed ^= mixed >> 32
    mixed ^= mixed >> 16
    mixed ^= mixed >> 7
    return mixed & (TABLE_SIZE - 1)


@kernel
def find_market(s, p: int, length: int) -> int:  # type: ignore[no-untyped-def]
    """Number of the market whose name is at `p`, or -1."""
    w0 = _name_word(p, min(length, 8))
    w1 = _name_word(p + 8, min(length - 8, 8)) if length > 8 else 0
    w2 = _name_word(p + 16, min(length - 16, 8)) if length > 16 else 0
    w3 = _name_word(p + 24, min(length - 24, 8)) if length > 24 else 0
    slot = _slot(w0, w1, w2, w3)
    while True:
        number = load_i64(s.table_address + 8 * slot) - 1
        if number < 0:
            return -1
        name = market_at(s.markets_address, number).name
        if name[0] == w0 and name[1] == w1 and name[2] == w2 and name[3] == w3:
            return number
        slot = (slot + 1) & (TABLE_SIZE - 1)


@kernel("i8(i8,i8,i8)")
def locate_market(state: int, name: int, length: int) -> int:
    """`find_market` for Python: name at an address."""
    return find_market(scan_at(state), name, length)


@kernel("i8(i8,i8)")
def enter_market(state: int, number: int) -> int:
    """Put market `number`, whose name is written already, into the table; always 0."""
    s = scan_at(state)
    name = market_at(s.markets_address, number).name
    slot = _slot(name[0], name[1], name[2], name[3])
    while load_i64(s.table_address + 8 * slot) != 0:
        slot = (slot + 1) & (TABLE_SIZE - 1)
    store_i64(s.table_address + 8 * slot, number + 1)
    return 0


@kernel
def _levels(s, m, p: int, side: int, row: int) -> tuple[int, int]:  # type: ignore[no-untyped-def]
    """Levels of the list at `p` into rows from `row`; the row after them and the address after the list."""
    c = load_u8(skip_space(p + 1))
    if c == 93:
        return row, skip_space(p + 1) + 1
    measuring = s.measure != 0 or m.number < 0
    price_decimals, qty_decimals = m.price_decimals, m.qty_decimals
    out, capacity = s.out_address, s.capacity
    while True:
        p += 1  # the opening bracket of the list, or a comma
        if load_u8(p) != 91:
            p = skip_space(p)
            if load_u8(p) != 91:
                return row, SYNTAX
        p += 1
        if load_u8(p) != 34:
            p = skip_space(p)
            if load_u8(p) != 34:
                return row, SHAPE
        price, p = scan_places(p + 1) if measuring else scan_decimal(p + 1, price_decimals)
        if p < 0:
            return row, p
        p += 1
        if load_u8(p) != 44:
            p = skip_space(p)
            if load_u8(p) != 44:
                return row, SHAPE
        p += 1
        if load_u8(p) != 34:
            p = skip_space(p)
            if load_u8(p) != 34:
                return row, SHAPE
        qty, p = scan_places(p + 1) if measuring else scan_decimal(p + 1, qty_decimals)
        if p < 0:
            return row, p
        p += 1
        if load_u8(p) != 93:
            p = skip_space(p)
            if load_u8(p) != 93:
                return row, SHAPE
        p += 1
        if measuring:
            m.price_places = max(m.price_places, price)
            m.qty_places = max(m.qty_places, qty)
            row += 1
        else:
            if row >= capacity:
                return row, _NO_ROOM
            event = event_at(out, row)
            event.price = price
            event.qty = qty
            event.side = side
            row += 1
        c = load_u8(p)
        if c != 44 and c != 93:
            p = skip_space(p)
            c = load_u8(p)
        if c == 93:
            return row, p + 1
        if c != 44:
            return row, SYNTAX


@kernel
def _stamp_rows(  # type: ignore[no-untyped-def]
    s, m, row: int, end: int, kind: int, flags: int, ts_venue: int, ts_recv: int, seq: int
) -> None:
    """Fill what rows `row` to `end` of one message have in common."""
    instrument, venue, out = m.number, m.venue, s.out_address
    while row < end:
        event = event_at(out, row)
        event.ts_venue = ts_venue
        event.ts_recv = ts_recv
        event.seq = seq
        event.id = 0
        event.word = 0
        event.instrument = instrument
        event.venue = venue
        event.kind = kind
        event.flags = flags
        row += 1


@kernel
def _decimal(s, m, p: int, decimals: int) -> tuple[int, int]:  # type: ignore[no-untyped-def]
    """A price or quantity in quotes, its first digit at `p`; 0 with a wrong address when it was not sent."""
    if p == 0:
        return 0, SHAPE
    if s.measure != 0 or m.number < 0:
        return scan_places(p)
    return scan_decimal(p, decimals)


@kernel
def _time_of(s, m, sent: int, ts_recv: int) -> int:  # type: ignore[no-untyped-def]
    """Venue time of a message; without one, the latest seen before it, or the time of arrival."""
    if sent >= 0:
        stamp = epoch(sent)
        m.latest_ns = max(m.latest_ns, stamp)
        return stamp
    s.untimed += 1
    return m.latest_ns if m.latest_ns > 0 else ts_recv


@kernel
def _type_of(p: int, length: int) -> int:
    """The message type whose name is at `p`."""
    word = _name_word(p, min(length, 8))
    if word == _DEPTH_UPD and length == 11:
        return _DEPTH_UPDATE
    if word == _BOOK_TICK and length == 10:
        return _BOOK_TICKER
    if word == _TRADE_WORD:
        return _TRADE_NAME
    return _AGG_TRADE if word == _AGG_WORD and length == 8 else _OTHER_TYPE


@kernel
def _line_end(p: int, wrapped: bool) -> int:
    """Address of the line feed that must follow a message, perhaps after the wrapper's closing bracket."""
    if wrapped:
        p = skip_space(p)
        if load_u8(p) != 125:
            return SHAPE
        p += 1
    p = skip_space(p)
    return p if load_u8(p) == 10 else SHAPE


@kernel
def scan_message(s, p: int, ts_recv: int, wrapped: bool) -> int:  # type: ignore[no-untyped-def]
    """Read the message object at `p` and the rest of its line into rows; the line's end, or a negative reason."""
    message_type = _NO_TYPE
    event_time = trade_time = first_id = last_id = previous = trade_id = -1
    buyer_order = seller_order = 0  # b and a as numbers: order ids of a trade, or a the aggTrade's id
    b_text = a_text = b_size = a_size = p_text = q_text = 0
    b_later = a_later = 0  # lists of levels that came before the symbol
    has_a = 0
    maker = x_letter = other_venue = -1
    market = -1
    base = s.rows
    row = base
    seen = 0
    p = skip_space(p + 1)
    while True:
        if load_u8(p) != 34:
            return SYNTAX
        key = load_u8(p + 1)
        if 65 <= key <= 122 and key != 92 and load_u8(p + 2) == 34:
            bit = 1 << (key & 63)
            p += 3
        else:
            end = plain_end(p + 1)
            if end < 0:
                return end
            length = end - p - 1
            key = -_name_word(p + 1, length) if length <= 6 else 0
            bit = _PU_BIT if key == -_PU else (_PS_BIT if key == -_PS else 0)
            p = end + 1
        if seen & bit:
            return REPEATED
        seen |= bit
        if load_u8(p) != 58:
            p = skip_space(p)
            if load_u8(p) != 58:
                return SYNTAX
        p += 1
        c = load_u8(p)
        if c == 32:
            p = skip_space(p)
            c = load_u8(p)
        if c == 34 and key > 0:
            p += 1
            end = plain_end(p)
            if end < 0:
                return end
            if key == 101:  # e
                message_type = _type_of(p, end - p)
            elif key == 115:  # s
                if end - p > 32 or end == p:
                    return SHAPE
                market = find_market(s, p, end - p)
                if market < 0:
                    return _UNKNOWN_SYMBOL
            elif key == 98:
                b_text = p
            elif key == 97:
                a_text = p
            elif key == 66:
                b_size = p
            elif key == 65:
                a_size = p
            elif key == 112:
                p_text = p
            elif key == 113:
                q_text = p
            elif key == 88:
                x_letter = 1 if _name_word(p, min(end - p, 8)) == _MARKET_WORD else 0
            elif key == 69 or key == 84 or key == 85 or key == 117 or key == 116 or key == 109:
                return NUMBER  # E T U u t m are numbers and a truth value
            p = end + 1
        elif key == 69:
            event_time, p = scan_int(p)
        elif key == 84:
            trade_time, p = scan_int(p)
        elif key == 85:
            first_id, p = scan_int(p)
        elif key == 117:
            last_id, p = scan_int(p)
        elif key == -_PU:
            previous, p = scan_int(p)
        elif key == 116:
            trade_id, p = scan_int(p)
        elif (key == 98 or key == 97) and 48 <= c <= 57:
            number, p = scan_int(p)
            if key == 98:
                buyer_order = number
            else:
                seller_order = number
                has_a = 1
        elif (key == 98 or key == 97) and c == 91:
            if market >= 0:
                side = BUY if key == 98 else SELL
                row, p = _levels(s, market_at(s.markets_address, market), p, side, row)
                if key == 98:
                    b_later = 1
                else:
                    a_later = 1
            else:
                if key == 98:
                    b_later = p
                else:
                    a_later = p
                p = skip_value(p)
        elif key == 109:
            if c == 116:
                maker = 1
            elif c == 102:
                maker = 0
            else:
                return SHAPE
            p = skip_value(p)
        elif key == 101 or key == 115 or key == 66 or key == 65 or key == 112 or key == 113 or key == 88:
            return SHAPE  # these are text, and lists or numbers of other messages
        else:
            if key == -_PS:
                other_venue = 1
            p = skip_value(p)
        if p < 0:
            return p
        c = load_u8(p)
        if c != 44 and c != 125:
            p = skip_space(p)
            c = load_u8(p)
        if c == 125:
            break
        if c != 44:
            return SYNTAX
        p += 1
        if load_u8(p) == 32:
            p = skip_space(p)
    p = _line_end(p + 1, wrapped)
    if p < 0:
        return p
    if market < 0:
        return SHAPE
    m = market_at(s.markets_address, market)
    sent = trade_time if trade_time >= 0 else event_time
    skipped = m.number < 0
    if message_type == _DEPTH_UPDATE:
        if first_id < 0 or last_id < first_id or b_later == 0 or a_later == 0:
            return SHAPE
        later, side = b_later, BUY
        while side >= SELL:
            if later > 1:
                row, end = _levels(s, m, later, side, row)
                if end < 0:
                    return end
            later, side = a_later, side - (BUY - SELL)
        s.latest = market
        if s.measure != 0 or skipped:
            if previous >= 0:
                m.futures |= 1
            if other_venue == 1:
                m.futures |= 2
            if s.measure == 0:
                s.depth += 1
                s.levels += row - base
            return p
        if row >= s.capacity:
            return _NO_ROOM
        ts_venue = _time_of(s, m, sent, ts_recv)
        recv = ts_recv if ts_recv > 0 else ts_venue
        action = next_diff(m, first_id, last_id, previous)
        s.depth += 1
        s.levels += row - base
        if action == DROP:
            return p
        _stamp_rows(s, m, base, row, _LEVEL, BOTH_SIDES, ts_venue, recv, last_id)
        if row > base:
            last = event_at(s.out_address, row - 1)
            last.flags = BOTH_SIDES | _LAST
        if action == GAP:
            at = row
            while at > base:  # the gap comes first
                to = s.out_address + at * RECORD_SIZE
                copy_bytes(to, to - RECORD_SIZE, RECORD_SIZE)
                at -= 1
            _stamp_rows(s, m, base, base + 1, _GAP_KIND, BOTH_SIDES, ts_venue, recv, m.gap_first)
            gap = event_at(s.out_address, base)
            gap.price = 0
            gap.qty = 0
            gap.side = 0
            gap.word = m.gap_count
            row += 1
        s.rows = row
        return p
    if b_later != 0 or a_later != 0:
        return SHAPE
    if base >= s.capacity and s.measure == 0:
        return _NO_ROOM
    is_trade = message_type == _TRADE_NAME
    if is_trade or message_type == _AGG_TRADE:
        if maker < 0 or event_time < 0 or (is_trade and trade_id < 0) or (not is_trade and has_a == 0):
            return SHAPE
        price, end = _decimal(s, m, p_text, m.price_decimals)
        if end < 0:
            return end
        qty, end = _decimal(s, m, q_text, m.qty_decimals)
        if end < 0:
            return end
        s.latest = market
        if s.measure != 0 or skipped:
            m.price_places = max(m.price_places, price)
            m.qty_places = max(m.qty_places, qty)
            m.trades |= 1 if is_trade else 2
            if s.measure == 0:
                s.trade += 1 if is_trade else 0
                s.agg_trade += 0 if is_trade else 1
            return p
        if is_trade:
            s.trade += 1
        else:
            s.agg_trade += 1
            if m.trades & 1:
                s.duplicate_agg += 1
                return p
        ts_venue = _time_of(s, m, sent, ts_recv)
        if qty == 0 or price == 0:
            s.empty_trades += 1
            return p
        flags = BOTH_SIDES | _LAST | (_PRINTABLE if x_letter != 0 else 0)
        _stamp_rows(s, m, base, base + 1, _TRADE, flags, ts_venue, ts_recv if ts_recv > 0 else ts_venue, 0)
        event = event_at(s.out_address, base)
        event.price = price
        event.qty = qty
        event.id = trade_id if is_trade else seller_order
        event.side = SELL if maker == 1 else BUY
        if is_trade:
            event.word = buyer_order if maker == 1 else seller_order
        s.rows = base + 1
        return p
    if message_type == _BOOK_TICKER or message_type == _NO_TYPE:  # spot sends it without a type
        if last_id < 0:
            return SHAPE
        bid, end = _decimal(s, m, b_text, m.price_decimals)
        if end < 0:
            return end
        ask, end = _decimal(s, m, a_text, m.price_decimals)
        if end < 0:
            return end
        bid_qty, end = _decimal(s, m, b_size, m.qty_decimals)
        if end < 0:
            return end
        ask_qty, end = _decimal(s, m, a_size, m.qty_decimals)
        if end < 0:
            return end
        s.latest = market
        if s.measure != 0 or skipped:
            m.price_places = max(m.price_places, max(bid, ask))
            m.qty_places = max(m.qty_places, max(bid_qty, ask_qty))
            if trade_time >= 0:
                m.futures |= 1
            if other_venue == 1:
                m.futures |= 2
            if s.measure == 0:
                s.book_ticker += 1
            return p
        s.book_ticker += 1
        ts_venue = _time_of(s, m, sent, ts_recv)
        recv = ts_recv if ts_recv > 0 else ts_venue
        _stamp_rows(s, m, base, base + 1, _QUOTE, BOTH_SIDES | _LAST, ts_venue, recv, last_id)
        event = event_at(s.out_address, base)
        event.price = bid
        event.qty = bid_qty
        event.side = 0
        event.id = ask
        event.word = ask_qty
        s.rows = base + 1
        return p
    return SHAPE


@kernel
def _stamp(p: int) -> tuple[int, int]:
    """Value of the local stamp at `p`, of up to 19 digits, and the address of the space after it."""
    value = 0
    start = p
    c = load_u8(p) - 48
    while 0 <= c <= 9:
        if p - start >= 18 and (p - start > 18 or value >= 900_000_000_000_000_000):
            return 0, WIDE
        value = value * 10 + c
        p += 1
        c = load_u8(p) - 48
    if c != -16:
        return 0, SHAPE
    return value, p


@kernel
def _unwrap(p: int) -> int:
    """Address of the inner message of `{"stream":"...","data":{...}}` as the venue sends it, from the bracket at `p`."""
    if load_u8(p + 5) != 101 or load_u8(p + 6) != 97 or load_u8(p + 7) != 109 or load_u8(p + 8) != 34:
        return SHAPE
    if load_u8(p + 9) != 58 or load_u8(p + 10) != 34:
        return SHAPE
    p = plain_end(p + 11)
    if p < 0:
        return p
    if load_u8(p + 1) != 44 or load_u8(p + 2) != 34 or load_u8(p + 3) != 100 or load_u8(p + 4) != 97:
        return SHAPE
    if load_u8(p + 5) != 116 or load_u8(p + 6) != 97 or load_u8(p + 7) != 34 or load_u8(p + 8) != 58:
        return SHAPE
    return p + 9 if load_u8(p + 9) == 123 else SHAPE


@kernel
def scan_line(s, p: int) -> int:  # type: ignore[no-untyped-def]
    """Read the line at `p`; the address of its line feed, or a negative reason."""
    ts_recv = 0
    if 48 <= load_u8(p) <= 57:
        stamp, p = _stamp(p)
        if p < 0:
            return p
        ts_recv = epoch(stamp)
        p = skip_space(p)
    if load_u8(p) != 123:
        return SHAPE
    wrapped = False
    if load_u8(p + 1) == 34 and load_u8(p + 2) == 115 and load_u8(p + 3) == 116 and load_u8(p + 4) == 114:
        p = _unwrap(p)
        if p < 0:
            return p
        wrapped = True
    return scan_message(s, p, ts_recv, wrapped)


@kernel("i8(i8,i8,i8)")
def scan_lines(state: int, begin: int, end: int) -> int:
    """Read lines until the end, or until one that stops the scan; the rows written so far.

    Parameters
    ----------
    state : int
        Address of a SCAN record; `status` and `position` say how and where the scan stopped.
    begin, end : int
        Addresses of the first byte and after the last; the last byte must be a line feed.
    """
    s = scan_at(state)
    s.status = DONE
    s.reason = 0
    p = begin
    if end <= begin or load_u8(end - 1) != 10:
        s.position = begin
        return s.rows
    while p < end:
        after = p if load_u8(p) == 10 else scan_line(s, p)
        if after < 0:
            s.position = p
            s.reason = after
            s.status = ODD
            if after == _UNKNOWN_SYMBOL:
                s.status = NEW_SYMBOL
            elif after == _NO_ROOM:
                s.status = FULL
            return s.rows
        p = after + 1
    s.position = p
    return s.rows
