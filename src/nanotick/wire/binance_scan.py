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

from nanotick.core.kernel import kernel
from nanotick.core.memory import copy_bytes, load_u8
from nanotick.core.records import BOTH_SIDES, BUY, RECORD_SIZE, SELL, Flag, Kind, event_at
from nanotick.wire.binance_chain import DROP, GAP, market_at, next_diff
from nanotick.wire.binance_rows import NO_ROOM, decimal_of, scan_levels, stamp_rows, time_of
from nanotick.wire.binance_state import epoch, find_market, name_word, scan_at
from nanotick.wire.json_scan import (
    NUMBER,
    REPEATED,
    SHAPE,
    SYNTAX,
    WIDE,
    plain_end,
    scan_int,
    skip_space,
    skip_value,
)

DONE, FULL, ODD, NEW_SYMBOL = 0, 1, 2, 3

_UNKNOWN_SYMBOL = -20  # a reason beside those of json_scan

_LAST, _PRINTABLE = int(Flag.LAST), int(Flag.PRINTABLE)
_LEVEL, _GAP_KIND, _QUOTE, _TRADE = (int(k) for k in (Kind.LEVEL, Kind.GAP, Kind.QUOTE, Kind.TRADE))


def _packed(text: str) -> int:
    return int.from_bytes(text.encode()[:8], "little")


_DEPTH_UPDATE, _TRADE_NAME, _AGG_TRADE, _BOOK_TICKER, _NO_TYPE, _OTHER_TYPE = 1, 2, 3, 4, 0, -1
_DEPTH_UPD, _TRADE_WORD, _AGG_WORD, _BOOK_TICK, _MARKET_WORD = (
    _packed(name) for name in ("depthUpdate", "trade", "aggTrade", "bookTicker", "MARKET")
)
_DEPTH_REST, _BOOK_REST = _packed("ate"), _packed("er")
_PU, _PS = _packed("pu"), _packed("ps")
_PU_BIT, _PS_BIT = 1 << 59, 1 << 60


@kernel
def _type_of(p: int, length: int) -> int:
    """The message type whose name is at `p`."""
    word = name_word(p, min(length, 8))
    if word == _DEPTH_UPD and length == 11 and name_word(p + 8, 3) == _DEPTH_REST:
        return _DEPTH_UPDATE
    if word == _BOOK_TICK and length == 10 and name_word(p + 8, 2) == _BOOK_REST:
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
            key = -name_word(p + 1, length) if length <= 6 else 0
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
                x_letter = 1 if name_word(p, min(end - p, 8)) == _MARKET_WORD else 0
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
                row, p = scan_levels(s, market_at(s.markets_address, market), p, side, row)
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
                row, end = scan_levels(s, m, later, side, row)
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
            return NO_ROOM
        ts_venue = time_of(s, m, sent, ts_recv)
        recv = ts_recv if ts_recv > 0 else ts_venue
        action = next_diff(m, first_id, last_id, previous)
        s.depth += 1
        s.levels += row - base
        if action == DROP:
            return p
        stamp_rows(s, m, base, row, _LEVEL, BOTH_SIDES, ts_venue, recv, last_id)
        if row > base:
            last = event_at(s.out_address, row - 1)
            last.flags = BOTH_SIDES | _LAST
        if action == GAP:
            at = row
            while at > base:  # the gap comes first
                to = s.out_address + at * RECORD_SIZE
                copy_bytes(to, to - RECORD_SIZE, RECORD_SIZE)
                at -= 1
            stamp_rows(s, m, base, base + 1, _GAP_KIND, BOTH_SIDES, ts_venue, recv, m.gap_first)
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
        return NO_ROOM
    is_trade = message_type == _TRADE_NAME
    if is_trade or message_type == _AGG_TRADE:
        if maker < 0 or event_time < 0 or (is_trade and trade_id < 0) or (not is_trade and has_a == 0):
            return SHAPE
        price, end = decimal_of(s, m, p_text, m.price_decimals)
        if end < 0:
            return end
        qty, end = decimal_of(s, m, q_text, m.qty_decimals)
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
        ts_venue = time_of(s, m, sent, ts_recv)
        if qty == 0 or price == 0:
            s.empty_trades += 1
            return p
        flags = BOTH_SIDES | _LAST | (_PRINTABLE if x_letter != 0 else 0)
        stamp_rows(s, m, base, base + 1, _TRADE, flags, ts_venue, ts_recv if ts_recv > 0 else ts_venue, 0)
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
        bid, end = decimal_of(s, m, b_text, m.price_decimals)
        if end < 0:
            return end
        ask, end = decimal_of(s, m, a_text, m.price_decimals)
        if end < 0:
            return end
        bid_qty, end = decimal_of(s, m, b_size, m.qty_decimals)
        if end < 0:
            return end
        ask_qty, end = decimal_of(s, m, a_size, m.qty_decimals)
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
        ts_venue = time_of(s, m, sent, ts_recv)
        recv = ts_recv if ts_recv > 0 else ts_venue
        stamp_rows(s, m, base, base + 1, _QUOTE, BOTH_SIDES | _LAST, ts_venue, recv, last_id)
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
    """Address of the message in the combined stream's wrapper at `p`, as the venue writes it."""
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
    return _object(s, p, ts_recv)


@kernel
def _object(s, p: int, ts_recv: int) -> int:  # type: ignore[no-untyped-def]
    """Read the message at `p`, perhaps in a combined stream's wrapper, and the rest of its line."""
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
            elif after == NO_ROOM:
                s.status = FULL
            return s.rows
        p = after + 1
    s.position = p
    return s.rows


@kernel
def read_frame(state: int, begin: int, size: int, ts_recv: int) -> int:
    """Read one live frame; the rows it gave, or a negative reason of `json_scan` and nothing done.

    Parameters
    ----------
    state : int
        Address of a SCAN record; rows are written from row 0.
    begin, size : int
        The frame, which holds no line feed; the byte after it is one.
    ts_recv : int
        ns UTC.
    """
    s = scan_at(state)
    s.rows = 0
    after = _object(s, skip_space(begin), ts_recv)
    if after < 0:
        s.rows = 0
        return after
    return s.rows


@kernel("i8(i8,i8,i8,i8)")
def scan_frame(state: int, begin: int, size: int, ts_recv: int) -> int:
    """`read_frame`, for Python."""
    return read_frame(state, begin, size, ts_recv)
