"""Rows of decimals: exact, or refused; equal to Python's own decimals, and in bounds whatever comes."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.wire.decimal_rows import MISSING, ROUNDED, ROWS, TEXT, RowStop, parse_rows
from tests.guarded import Guarded, mutations


def parse(text: bytes, scales: list[int], capacity: int = 50, extra: int = 0) -> tuple[list[list[int]], int]:
    buffer = np.frombuffer(text or b"\0", dtype=np.uint8)
    table, wanted = np.zeros((capacity, len(scales)), dtype=np.int64), np.array(scales, dtype=np.int64)
    record = np.zeros(1, dtype=ROWS)
    record["source_address"], record["size"], record["extra"] = buffer.ctypes.data, len(text), extra
    record["scales_address"], record["table_address"] = wanted.ctypes.data, table.ctypes.data
    record["columns"], record["capacity"], record["separator"] = len(scales), capacity, ord(",")
    stop = parse_rows(int(record.ctypes.data))
    return table[: int(record["rows"][0])].tolist(), stop


NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=5, min_value=-(10**9), max_value=10**9)


@given(st.lists(NUMBERS, min_size=1, max_size=5), st.booleans())
def test_numbers_are_those_of_python(numbers: list[Decimal], carriage: bool) -> None:
    line = ",".join(format(n, "f") for n in numbers) + ("\r\n" if carriage else "\n")
    rows, stop = parse(line.encode(), [5] * len(numbers))
    assert rows == [[int(n.scaleb(5)) for n in numbers]] and stop == RowStop.INPUT


@pytest.mark.parametrize(
    ("text", "scale", "value"),
    [
        ("1.5", 1, 15), ("-0.25", 2, -25), ("+7", 0, 7), (".5", 1, 5), ("5.", 1, 50), ("1e3", 0, 1000),
        ("1.25E-1", 3, 125),
        ("1.5000000000000000000000", 1, 15), ("0", 18, 0), ("35821.088778456004", ROUNDED + 9, 35821088778456),
        ("2.5", ROUNDED, 3), ("-2.5", ROUNDED, -3), ("2.4", ROUNDED, 2),
        ("1.55", 1, None), ("1e400", 0, None), ("1e-400", 0, None), ("9999999999999999999", 0, None), ("abc", 0, None),
        ("1.2.3", 1, None), ("-", 0, None), ("1e", 0, None), ("0x10", 0, None), (" 1", 0, None), ("1_0", 0, None),
        ("nan", 0, None), ("99999999999", 9, None),
    ],
)  # fmt: skip
def test_a_number_is_exact_or_refused(text: str, scale: int, value: int | None) -> None:
    rows, stop = parse(f"{text}\n".encode(), [scale])
    assert (rows, stop) == (([[value]], RowStop.INPUT) if value is not None else ([], RowStop.BAD))


def test_fields_text_and_empty_lines() -> None:
    rows, stop = parse(b"1,abc,2\n\n\r\n3,,\n4,x", [0, TEXT, 0])
    assert rows == [[1, 2 << 16 | 3, 2], [3, 13 << 16, MISSING]] and stop == RowStop.INPUT
    assert parse(b"1,2,3\n", [0, 0])[1] == RowStop.BAD and parse(b"1\n", [0, 0])[1] == RowStop.BAD
    assert parse(b"1,2,3\n", [0, 0], extra=1)[0] == [[1, 2]]


def test_a_hundred_thousand_damaged_inputs_stay_in_bounds() -> None:
    seeds = [
        b"34200.0,1,1,10,1000100,-1\n",
        b"1.5,x,2\n3e5,y,4\n",
        b",,,,,\n",
        b"12345678901234567890,1e99,-\r\n1,2,3\n",
    ]
    source, target = Guarded(4096), Guarded(4096)
    scales = np.array([9, TEXT, 0], dtype=np.int64)
    record = np.zeros(1, dtype=ROWS)
    address = int(record.ctypes.data)
    record["scales_address"], record["table_address"] = scales.ctypes.data, target.room(2 * 3 * 8)
    record["columns"], record["capacity"], record["separator"] = 3, 2, ord(",")
    for data in mutations(seeds, 100_000, seed=8):
        record["source_address"], record["size"], record["at"], record["rows"] = source.put(data), len(data), 0, 0
        stop = parse_rows(address)
        at, rows = int(record["at"][0]), int(record["rows"][0])
        assert 0 <= at <= len(data) and 0 <= rows <= 2
        if stop == RowStop.BAD:
            assert at < int(record["line_end"][0]) <= len(data) and 0 <= record["bad_column"][0] <= len(data)
