"""Nothing is allocated after the start: not by the kernels' machine code, not while a run with orders goes on."""

import ctypes
import gc
import re
import sys
from typing import Any

import numpy as np
import pytest

from nanotick.core.instruments import InstrumentTable
from nanotick.core.kernel import REGISTRY
from nanotick.core.mode import INTERPRET
from nanotick.engine.replay import run_replay
from nanotick.engine.runner import END, Verb
from nanotick.strategy.compile import compile_strategy
from tests.engine.conftest import both, run_of

if INTERPRET:
    pytest.skip("interpreted kernels are Python, which allocates", allow_module_level=True)

from numba import njit

SLICE = 5_000
MOST_SLICES = 10_000
RUNS = 5
C_BYTES, PYTHON_BLOCKS = 2_048, 8  # what is measured with; a kernel that allocated would do so every few rows
ALLOCATORS = re.compile(rb"\b(NRT_\w+|malloc|calloc|realloc|aligned_alloc|posix_memalign|mmap|_Znw\w*)\b")


class _Mallinfo2(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks",
                     "keepcost")
    ]  # fmt: skip


_mallinfo2 = getattr(ctypes.CDLL(None), "mallinfo2", None)
if _mallinfo2 is not None:
    _mallinfo2.restype = _Mallinfo2


def heap() -> int:
    """Bytes in use on the C heap, mapped blocks included."""
    if _mallinfo2 is None:
        pytest.skip("this C library does not say what is allocated (glibc 2.33 does)")
    info = _mallinfo2()
    return int(info.uordblks + info.hblkhd)


def growth(day: tuple[Any, InstrumentTable]) -> np.ndarray:
    """By how much a run grows both heaps, slice by slice: bytes of C, blocks of Python."""
    test = run_of(*day, both())
    regions = len(test.arena.regions)
    replay = test.replay_region.address
    engine = test.local.engine_region.view[0]
    test.begin()
    run = int(Verb.RUN)
    for _ in range(2):  # the first calls and measurements make what is made once: small integers, ctypes' types
        run_replay(replay, run, SLICE)
        heap(), sys.getallocatedblocks()
    gc.collect()
    gc.disable()
    state, records = -1, 0
    grown = np.zeros((MOST_SLICES, 2), np.int64)  # made before: nothing may be kept between two measurements
    n = 0
    try:
        while state != END:
            c_before, python_before = heap(), sys.getallocatedblocks()
            state = run_replay(replay, run, SLICE)
            python_after, c_after = sys.getallocatedblocks(), heap()
            grown[n, 0] = c_after - c_before
            grown[n, 1] = python_after - python_before
            n += 1
            records += int(engine["output_count"])
            engine["output_count"] = 0
    finally:
        gc.enable()
    assert records > 1_000  # orders, reports and fills went through the loop
    assert int(test.local.slots_region.view["intents"].sum()) > 300
    assert len(test.arena.regions) == regions
    return grown[:n]


def test_a_run_with_orders_leaves_both_heaps_as_they_were(day: tuple[Any, InstrumentTable]) -> None:
    worst = growth(day)
    for _ in range(RUNS - 1):
        if (worst <= (C_BYTES, PYTHON_BLOCKS)).all():
            break
        # Both figures are of the whole process: its other threads (of the test runner, of a test before) add to them
        # now and then. What the run itself allocates, it allocates in the same slices every time.
        worst = np.minimum(worst, growth(day))
    assert len(worst) > 3
    assert worst[:, 0].max() <= C_BYTES and worst[:, 1].max() <= PYTHON_BLOCKS


@pytest.mark.parametrize("strategy", both(), ids=lambda strategy: type(strategy).__name__)
def test_a_strategys_machine_code_names_no_allocator(strategy: Any) -> None:
    assert compile_strategy(type(strategy))
    from nanotick.core.kernel import _CALLBACKS

    names = {name for callback in _CALLBACKS for name in ALLOCATORS.findall(code_of(callback))}
    assert _CALLBACKS and names == set()


def test_the_replay_loops_machine_code_names_no_allocator() -> None:
    entry = REGISTRY["nanotick.engine.replay.run_replay"]
    assert ALLOCATORS.findall(entry.dispatcher._cache.machine_code(entry.signature)) == []


@njit
def _allocates(n: int) -> float:
    return float(np.zeros(n).sum())


def test_code_that_allocates_is_caught() -> None:
    _allocates(3)
    (compiled,) = _allocates.overloads.values()
    assert ALLOCATORS.findall(bytes(compiled.library._get_compiled_object()))


def code_of(callback: Any) -> bytes:
    """Object code of a compiled callback, wherever it came from."""
    try:
        return bytes(callback._library._get_compiled_object())
    except RuntimeError:  # came from the cache, and the loader has taken it
        return bytes(callback._cache.machine_code(callback._sig))
