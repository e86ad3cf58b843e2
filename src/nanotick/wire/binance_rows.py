"""Rows of one Binance message: levels of a depth list, and what all rows of a message have in common."""

from __future__ import annotations

from nanotick.core.kernel import kernel
from nanotick.core.memory import load_u8
from nanotick.core.records import event_at
from nanotick.wire.binance_state import epoch
from nanotick.wire.json_scan import SHAPE, SYNTAX, scan_decimal, scan_places, skip_space

NO_ROOM = -21  # a reason beside those of json_scan


@kernel
def scan_levels(s, m, p: int, side: int, row: int) -> tuple[int, int]:  # type: ignore[no-untyped-def]
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
                return row, NO_ROOM
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
def stamp_rows(  # type: ignore[no-untyped-def]
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
def decimal_of(s, m, p: int, decimals: int) -> tuple[int, int]:  # type: ignore[no-untyped-def]
    """A price or quantity in quotes, its first digit at `p`; 0 with a wrong address when it was not sent."""
    if p == 0:
        return 0, SHAPE
    if s.measure != 0 or m.number < 0:
        return scan_places(p)
    return scan_decimal(p, decimals)


@kernel
def time_of(s, m, sent: int, ts_recv: int) -> int:  # type: ignore[no-untyped-def]
    """Venue time of a message; without one, the latest seen before it, or the time of arrival."""
    if sent >= 0:
        stamp = epoch(sent)
        m.latest_ns = max(m.latest_ns, stamp)
        return stamp
    s.untimed += 1
    return m.latest_ns if m.latest_ns > 0 else ts_recv
