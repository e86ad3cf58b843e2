"""Memory primitives and flat records: compiled and interpreted bodies do the same, to the bit."""

import ctypes
import math
import struct

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from nanotick.core import memory
from nanotick.core.kernel import callback, kernel
from nanotick.core.memory import dtype_digest, field_code, proxy_class, record_at, wrap_i64
from nanotick.core.mode import INTERPRET

I64 = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63), 2**62, -(2**62), 2**32])
)
SIZE = 64
compiled_only = pytest.mark.skipif(INTERPRET, reason="there is one body only")


def kernel_of(name: str):
    """A kernel that calls one primitive: its compiled body."""
    primitive = getattr(memory, name)
    arity = {"pause": 0, "mul_div": 3, "compare_exchange": 3, "crc32c_u64": 2, "copy_bytes": 3}.get(name)
    if arity is None:
        arity = 2 if name.startswith(("store", "fetch", "shift", "mul", "clear", "rotate")) else 1
    body = {
        0: lambda: primitive(),
        1: lambda a: primitive(a),
        2: lambda a, b: primitive(a, b),
        3: lambda a, b, c: primitive(a, b, c),
    }[arity]
    return kernel(body)


NAMES = [name for name in memory._INTERPRETED if name != "call2"]
COMPILED = {} if INTERPRET else {name: kernel_of(name) for name in NAMES}
PURE = ["trailing_zeros", "leading_zeros", "popcount"]
LOADS = [name for name in NAMES if name.startswith("load_")]
STORES = [name for name in NAMES if name.startswith("store_") and name != "store_f64"]


@compiled_only
@given(st.sampled_from(PURE), I64)
def test_bit_counts(name, x) -> None:
    assert COMPILED[name](x) == getattr(memory, name)(x)


@compiled_only
@given(I64, I64, st.integers(0, 63), st.integers(0, 2**32 - 1))
def test_arithmetic(a, b, shift, crc) -> None:
    assert COMPILED["mul_wrap"](a, b) == memory.mul_wrap(a, b) == wrap_i64(a * b)
    assert COMPILED["shift_right"](a, shift) == memory.shift_right(a, shift)
    assert COMPILED["crc32c_u64"](crc, a) == memory.crc32c_u64(crc, a)
    turned = (crc << 64 | crc << 32) >> 32 + shift % 32 & 0xFFFF_FFFF
    assert COMPILED["rotate_right_32"](crc, shift % 32) == memory.rotate_right_32(crc, shift % 32) == turned


@given(I64, I64, I64)
@example(-(2**63), 1, -1)
@example(-(2**63), -(2**63), -1)
@example(2**63 - 1, 2**63 - 1, 1)
@example(-(2**63), -(2**63), -(2**63))
@example(7, 1, 0)
def test_mul_div_is_the_exact_floor_modulo_2_to_the_64(a, b, c) -> None:
    exact = wrap_i64(a * b // c) if c else 0
    assert memory.mul_div(a, b, c) == exact
    if not INTERPRET:
        assert COMPILED["mul_div"](a, b, c) == exact


@compiled_only
@given(st.floats(width=64))
def test_floats_and_their_bits(x) -> None:
    bits = COMPILED["float_bits"](x)
    assert bits == memory.float_bits(x) == struct.unpack("<q", struct.pack("<d", x))[0]
    again = COMPILED["bits_float"](bits)
    assert again == x or (math.isnan(again) and math.isnan(x))


OPERATIONS = st.one_of(
    st.tuples(st.sampled_from(STORES), st.integers(0, SIZE - 8), I64),
    st.tuples(st.just("store_f64"), st.integers(0, SIZE - 8), st.floats(allow_nan=False)),
    st.tuples(st.sampled_from(LOADS), st.integers(0, SIZE - 8), st.just(0)),
    st.tuples(st.just("fetch_add"), st.integers(0, SIZE // 8 - 1).map(lambda i: 8 * i), I64),
    st.tuples(st.just("compare_exchange"), st.integers(0, SIZE // 8 - 1).map(lambda i: 8 * i), st.tuples(I64, I64)),
    st.tuples(st.just("copy_bytes"), st.integers(0, 20), st.tuples(st.integers(40, 44), st.integers(0, 20))),
    st.tuples(st.just("clear_bytes"), st.integers(0, 30), st.integers(0, 34)),
    st.tuples(st.just("prefetch"), st.integers(0, SIZE), st.just(0)),
)


def apply(functions, base: int, operation) -> object:
    name, offset, value = operation
    function = functions[name]
    if name.startswith("load") or name == "prefetch":
        return function(base + offset)
    if name == "compare_exchange":
        return function(base + offset, *value)
    if name == "copy_bytes":
        return function(base + offset, base + value[0], value[1])
    return function(base + offset, value)


@compiled_only
@given(st.binary(min_size=SIZE, max_size=SIZE), st.lists(OPERATIONS, max_size=30))
def test_loads_stores_atomics_and_copies(start, operations) -> None:
    buffers = [np.zeros(SIZE + 64, np.uint8) for _ in range(2)]
    bases = [-(-int(b.ctypes.data) // 8) * 8 for b in buffers]
    for base in bases:
        ctypes.memmove(base, start, SIZE)
    interpreted = {name: getattr(memory, name) for name in NAMES}
    for operation in operations:
        aligned = operation[1] % 8 == 0 or operation[0] not in ("load_acquire", "store_release")
        assume(aligned)  # atomic words are aligned
        results = [apply(f, b, operation) for f, b in zip((COMPILED, interpreted), bases, strict=True)]
        assert results[0] == results[1] or results[0] != results[0]
        assert ctypes.string_at(bases[0], SIZE) == ctypes.string_at(bases[1], SIZE)


def test_call2_reaches_a_callback() -> None:
    def subtract(a, b):
        return a - 2 * b

    address = callback(subtract, "tests.subtract")

    @kernel
    def through(function, a, b):
        return memory.call2(function, a, b)

    assert through(address, 50, 4) == 42


WIDE = np.dtype(
    [
        ("i1", "i1"), ("u1", "u1"), ("i2", "<i2"), ("u2", "<u2"), ("i4", "<i4"), ("u4", "<u4"), ("i8", "<i8"),
        ("u8", "<u8"), ("f4", "<f4"), ("f8", "<f8"), ("flag", "?"), ("bytes", "u1", (3,)), ("words", "<i8", (2,)),
        ("halves", "<i2", (2,)), ("reals", "<f4", (2,)), ("marks", "?", (2,)),
    ]
)  # fmt: skip
wide_at = record_at(WIDE, "Wide")
assert not WIDE.isalignedstruct and WIDE.fields is not None and WIDE.fields["i8"][1] % 8  # fields straddle words


@kernel
def write_wide(address, index, x, real, flag):
    record = wide_at(address, index)
    record.i1 = x
    record.u1 = x
    record.i2 = x
    record.u2 = x
    record.i4 = x
    record.u4 = x
    record.i8 = x
    record.u8 = x
    record.f4 = real
    record.f8 = real
    record.flag = flag
    record.bytes[2] = x
    record.words[1] = x
    record.halves[0] = x
    record.reals[1] = real
    record.marks[1] = flag
    return 0


@kernel
def sum_wide(address, index):
    """A value that differs if any field is read otherwise."""
    r = wide_at(address, index)
    a = r.i1 + 3 * r.u1 + 5 * r.i2 + 7 * r.u2 + 11 * r.i4 + 13 * r.u4
    b = memory.mul_wrap(r.i8, 17) ^ memory.mul_wrap(r.u8, 19)
    c = r.bytes[2] + 3 * r.halves[0] + (5 if r.flag else 0) + (7 if r.marks[1] else 0)
    d = memory.float_bits(r.f4 + r.reals[1]) ^ memory.float_bits(r.f8) ^ r.words[1]
    return a ^ b ^ d ^ memory.mul_wrap(c, 1000003)


@compiled_only
@given(st.integers(0, 2), I64, st.floats(-(2.0**100), 2.0**100), st.booleans())
def test_record_fields_of_every_width_are_read_and_written_alike(index, x, real, flag) -> None:
    arrays = [np.zeros(3, WIDE) for _ in range(2)]
    write_wide(int(arrays[0].ctypes.data), index, x, real, flag)
    write_wide.py_func(int(arrays[1].ctypes.data), index, x, real, flag)
    assert arrays[0].tobytes() == arrays[1].tobytes()
    row = arrays[0][index]
    assert (int(row["i2"]), int(row["u4"])) == (wrap_i64(x << 48) >> 48, x & 0xFFFFFFFF)
    for array in arrays:
        address = int(array.ctypes.data)
        assert sum_wide(address, index) == sum_wide.py_func(address, index)


def test_interpreted_records_are_live_views() -> None:
    array = np.zeros(2, WIDE)
    record = proxy_class(WIDE, "Wide")(int(array.ctypes.data) + WIDE.itemsize)
    record.u8 = -1
    record.halves[1] = -2
    assert array[1]["u8"] == 2**64 - 1 and array[1]["halves"].tolist() == [0, -2]
    assert record.u8 == -1 and "u8=-1" in repr(record)


def test_layout_digests_tell_layouts_apart() -> None:
    base = np.dtype([("a", "<i8"), ("b", "<i4")])
    others = [
        np.dtype([("a", "<i8"), ("b", "<u4")]),
        np.dtype([("a", "<i8"), ("c", "<i4")]),
        np.dtype([("b", "<i4"), ("a", "<i8")]),
        np.dtype([("a", "<i8"), ("b", "<i4", (1,))]),
        np.dtype([("a", "<i8"), ("b", "<i4")], align=True),
    ]
    assert len({dtype_digest(d) for d in [base, *others]}) == 6
    assert dtype_digest(base) == dtype_digest(np.dtype([("a", "<i8"), ("b", "<i4")]))


def test_fields_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(TypeError, match="integers, floats and bools, not"):
        field_code(np.dtype("U3"))
