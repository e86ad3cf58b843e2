"""Addresses are integers, and no compiler may take part of one for a null pointer."""

import numpy as np
import pytest

from nanotick.core.kernel import kernel
from nanotick.core.memory import record_at, store_i64

PAIR = np.dtype([("price", "<i8"), ("qty", "<i8")])
pair_at = record_at(PAIR, "Pair")


@kernel
def pair_address(row: int, level: int, side: int) -> int:
    return row + 32 * level + (16 if side > 0 else 0)


@kernel
def depth(row: int, levels: int, side: int) -> int:
    last = 0
    for k in range(levels):
        pair = pair_at(pair_address(row, k, side))
        if pair.qty <= 0 or pair.price <= 0 or pair.price > 1 << 58 or (k > 0 and side * pair.price >= last):
            return k
        last = side * pair.price
    return levels


@kernel("i8(i8,i8,i8)")
def depth_of_both_sides(row: int, levels: int, out: int) -> int:
    for i in range(2):
        store_i64(out + 8 * i, depth(row, levels, 1 - 2 * i))
    return 0


def test_an_address_with_a_conditional_offset_survives_optimisation() -> None:
    # LLVM sank the offset into the load as gep(inttoptr(16 or 0), row); with 0 that is a load from null plus something,
    # which in address space 0 is undefined, so the whole second call was deleted
    row = np.array([1000100, 10, 999900, 7, 1000200, 5, 999800, 3], dtype=np.int64)
    out = np.zeros(2, dtype=np.int64)
    depth_of_both_sides(int(row.ctypes.data), 2, int(out.ctypes.data))
    assert list(out) == [2, 2]


def test_memory_is_reached_in_an_address_space_without_a_null() -> None:
    from nanotick.core.mode import INTERPRET

    if INTERPRET:
        pytest.skip("nothing is compiled")
    from numba import njit

    from nanotick.core.memory import clear_bytes, copy_bytes

    def touch(address: int) -> int:
        copy_bytes(address, address + 64, 64)
        clear_bytes(address, 64)
        return pair_at(address).price

    compiled = njit("i8(i8)", _nrt=False)(touch)
    ir = next(iter(compiled.inspect_llvm().values())).partition("define ptr @_ZN7cpython")[0]
    assert "addrspace(1)" in ir and "load i64, ptr %" not in ir
