"""Rows of decimal text to scaled integers, in a kernel: the number reader of every CSV-like source.

A row is a line; its fields are separated by one byte. A column is a number at a stated scale, or text, of which only
the place is noted. Numbers are exact: sign, digits, fraction and exponent are read as integers, and a value that does
not fit its scale or 64 bits makes the row bad instead of being rounded. An empty number field gives `MISSING`.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from nanotick.core.kernel import kernel
from nanotick.core.memory import load_i64, load_u8, record_at, store_i64

MISSING = -(1 << 63) + 1
TEXT = -1  # scale of a column whose place is noted: offset << 16 | length
IGNORED = -2
ROUNDED = 100  # added to a column's scale: digits beyond it are rounded, half away from zero
_LIMIT = (1 << 62) // 10


class RowStop(IntEnum):
    """Why `parse_rows` came back."""

    INPUT = 0  # no whole line is left
    OUTPUT = 1  # the table is full
    BAD = 2  # the line at `at` (to `line_end`) is not as described; `bad_column` says where


STOPPED_INPUT, STOPPED_OUTPUT, STOPPED_BAD = (int(s) for s in RowStop)

ROWS = np.dtype(
    [
        ("source_address", "<i8"),
        ("scales_address", "<i8"),  # i8 per column: decimals (perhaps + ROUNDED), TEXT or IGNORED
        ("table_address", "<i8"),  # i8, columns per row
        ("size", "<i8"),
        ("at", "<i8"),  # start of the next line
        ("columns", "<i8"),
        ("capacity", "<i8"),  # rows
        ("rows", "<i8"),  # rows read
        ("separator", "<i8"),  # byte
        ("extra", "<i8"),  # 1: fields after the last column are allowed
        ("line_end", "<i8"),  # of a bad line: the offset after it
        ("bad_column", "<i8"),
        ("stop", "<i8"),
    ]
)
rows_at = record_at(ROWS, "Rows")


@kernel
def power10(n: int) -> int:
    """10 to the n, 0 <= n <= 18."""
    value = 1
    for _ in range(n):
        value *= 10
    return value


@kernel
def parse_number(source: int, start: int, end: int, scale: int, target: int) -> int:
    """Store the decimal in bytes `start` to `end` at `10**-scale`; 1, or 0 if it is none or does not fit exactly."""
    at, negative = start, 0
    rounded = scale >= ROUNDED
    if rounded:
        scale -= ROUNDED
    if at < end and (load_u8(source + at) == 45 or load_u8(source + at) == 43):
        negative = 1 if load_u8(source + at) == 45 else 0
        at += 1
    value, digits, places, point = 0, 0, 0, 0
    while at < end:
        c = load_u8(source + at)
        if 48 <= c <= 57:
            if value > _LIMIT:
                if point == 0 or (c != 48 and not rounded):
                    return 0
            else:
                value = value * 10 + c - 48
                places += point
            digits += 1
        elif c == 46 and point == 0:
            point = 1
        else:
            break
        at += 1
    if digits == 0:
        return 0
    exponent = 0
    if at < end and (load_u8(source + at) | 32) == 101:
        at += 1
        sign = 1
        if at < end and (load_u8(source + at) == 45 or load_u8(source + at) == 43):
            sign = -1 if load_u8(source + at) == 45 else 1
            at += 1
        if at == end:
            return 0
        while at < end:
            c = load_u8(source + at)
            if not 48 <= c <= 57 or exponent > 400:
                return 0
            exponent = exponent * 10 + c - 48
            at += 1
        exponent *= sign
    if at != end:
        return 0
    shift = scale - places + exponent
    if value != 0:
        while shift < 0:
            if value % 10 != 0 and not rounded:
                return 0
            value = (value + (5 if rounded and shift == -1 else 0)) // 10
            shift += 1
        while shift > 0:
            if value > _LIMIT:
                return 0
            value *= 10
            shift -= 1
    store_i64(target, -value if negative else value)
    return 1


@kernel("i8(i8)")
def parse_rows(state: int) -> int:
    """Read whole lines into the table until the input, the table or the patience with a line ends.

    Parameters
    ----------
    state : int
        Address of a ROWS.

    Returns
    -------
    int
        `RowStop`. Empty lines are passed over; a carriage return before the line's end is not part of it.
    """
    r = rows_at(state)
    at, rows, size = r.at, r.rows, r.size
    columns, separator = r.columns, r.separator
    stop = STOPPED_INPUT
    while at < size:
        if rows >= r.capacity:
            stop = STOPPED_OUTPUT
            break
        place, column, bad, target = at, 0, -1, r.table_address + rows * columns * 8
        done = 0
        while done == 0:
            end = place
            c = 0
            while end < size:
                c = load_u8(r.source_address + end)
                if c == separator or c == 10:
                    break
                end += 1
            if end == size:  # the line is not whole
                done = 2
                break
            last = end
            if c == 10:
                done = 1
                if last > place and load_u8(r.source_address + last - 1) == 13:
                    last -= 1
                if column == 0 and last == place:
                    done = 3  # an empty line
                    place = end + 1
                    break
            if column < columns:
                scale = load_i64(r.scales_address + 8 * column)
                if scale == TEXT:
                    store_i64(target + 8 * column, place << 16 | min(last - place, 65535))
                elif scale == IGNORED:
                    store_i64(target + 8 * column, 0)
                elif last == place:
                    store_i64(target + 8 * column, MISSING)
                elif parse_number(r.source_address, place, last, scale, target + 8 * column) == 0 and bad < 0:
                    bad = column
            elif r.extra == 0 and bad < 0:
                bad = column
            column += 1
            place = end + 1
        if done == 2:
            break
        if done == 1:
            if bad < 0 and column < columns:
                bad = column
            if bad >= 0:
                r.line_end = place
                r.bad_column = bad
                stop = STOPPED_BAD
                break
            rows += 1
        at = place
    r.at = at
    r.rows = rows
    r.stop = stop
    return stop
