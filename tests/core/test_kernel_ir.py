"""No hot kernel counts references or allocates: its machine code refers to nothing of Numba's runtime."""

import importlib

import numpy as np
import pytest

from nanotick.core.kernel import (
    CALLBACKS,
    REGISTRY,
    Entry,
    compile_entry,
    kernel,
    reference_count_calls,
    runtime_symbols,
)
from nanotick.core.memory import load_i64
from nanotick.core.mode import INTERPRET
from nanotick.core.warmup import KERNEL_MODULES

if INTERPRET:
    pytest.skip("interpreted kernels have no machine code", allow_module_level=True)

from numba import njit


def entries() -> list[Entry]:
    for module in KERNEL_MODULES:
        importlib.import_module(module)
    return [entry for entry in REGISTRY.values() if entry.dispatcher.py_func.__module__ in KERNEL_MODULES]


def test_every_module_named_for_warm_up_declares_an_entry() -> None:
    declared = {entry.dispatcher.py_func.__module__ for entry in entries()}
    declared |= {address.__module__ for address in CALLBACKS.values()}
    assert declared == set(KERNEL_MODULES)


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name.removeprefix("nanotick."))
def test_an_entry_counts_no_references_and_allocates_nothing(entry) -> None:
    compile_entry(entry)
    assert entry.dispatcher.overloads
    assert runtime_symbols(entry) == set()


@njit
def sum_through_a_helper(array, n):
    """What the rule forbids: an array crosses a call, another is made in the loop."""
    total = 0.0
    for _ in range(n):
        total += tail_sum(array) + np.zeros(n).sum()
    return total


@njit
def tail_sum(array):
    return array[1:].sum()


def test_a_kernel_that_does_is_caught() -> None:
    sum_through_a_helper(np.zeros(3), 2)
    found = runtime_symbols(Entry("control", "", sum_through_a_helper))
    assert {"NRT_incref", "NRT_decref"} <= found and any("alloc" in name.lower() for name in found)
    (ir,) = sum_through_a_helper.inspect_llvm().values()
    assert reference_count_calls(ir) >= 3


def test_a_kernel_that_does_not_is_clean_in_its_ir_too() -> None:
    @kernel("i8(i8,i8)")
    def total(address, count):
        result = 0
        for i in range(count):
            result += load_i64(address + 8 * i)
        return result

    total._cache.disable()  # IR exists only where the code was compiled
    compile_entry(REGISTRY.pop(next(name for name, entry in REGISTRY.items() if entry.dispatcher is total)))
    array = np.arange(10)
    assert total(int(array.ctypes.data), 10) == 45
    (ir,) = total.inspect_llvm().values()
    assert "define" in ir and reference_count_calls(ir) == 0


def test_a_kernel_called_before_it_was_compiled_is_found_where_it_was_put() -> None:
    @kernel("i8(i8)")
    def twice(x):
        return 2 * x

    entry = REGISTRY.pop(next(name for name, entry in REGISTRY.items() if entry.dispatcher is twice))
    assert twice(21) == 42
    assert twice._cache.path(entry.signature) == twice._cache.path(twice.signatures[0])
    assert runtime_symbols(entry) == set()
