"""Kernels: functions of the hot path, compiled by Numba or left interpreted, and the registry that warm-up walks.

    @kernel                        # a part of other kernels: compiled into whoever calls it
    def best(book): ...

    @kernel("i8(i8,i8)")           # an entry from Python: one signature, registered, cached on disk
    def run(state_address, count): ...

Every kernel is compiled without Numba's runtime (`_nrt=False`): it cannot allocate and it cannot count references, so
the fast path stays fast by construction; `tests/core/test_kernel_ir.py` holds the IR to it. Division by zero follows
NumPy (zero for integers, inf or nan for floats) instead of raising, because a kernel has nobody to raise to.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nanotick.core.memory import register_function
from nanotick.core.mode import INTERPRET


@dataclass(frozen=True)
class Entry:
    """A kernel that Python calls: what warm-up compiles and the IR test inspects."""

    name: str
    signature: Any  # Numba's notation, or a tuple of its types
    dispatcher: Any


REGISTRY: dict[str, Entry] = {}
CALLBACKS: dict[str, Callable[[], int]] = {}  # by key: gives the address, compiling what warm-up has not
_CALLBACKS: list[Any] = []  # compiled callbacks live as long as the process: engines hold their bare addresses

_OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True, "_nrt": False}


def kernel(target: Any = None) -> Any:
    """Declare a kernel; with a signature, an entry from Python.

    Parameters
    ----------
    target : callable or str
        The function (bare decorator), or the Numba signature of an entry, for example `"i8(i8,i8)"`.
    """
    if isinstance(target, str):
        return lambda function: entry(function, target, f"{function.__module__}.{function.__qualname__}")
    if INTERPRET:
        return target
    from nanotick.core.inner import InnerKernel

    return InnerKernel(target, _OPTIONS)


def inlined(function: Any) -> Any:
    """Declare a kernel that is always inlined into its callers: for the few lines a hot loop runs on every message."""
    if INTERPRET:
        return function
    from nanotick.core.inner import InnerKernel

    return InnerKernel(function, {"forceinline": True, **_OPTIONS})


def called(function: Any) -> Any:
    """Declare a kernel that is never inlined: for large parts, which would make one function too large to optimise."""
    if INTERPRET:
        return function
    from nanotick.core.inner import InnerKernel

    # said, because Numba hands the option down: what is first reached from an inlined kernel would be inlined by force
    return InnerKernel(function, {"forceinline": False, **_OPTIONS}, called=True)


def entry(function: Callable[..., Any], signature: Any, name: str) -> Any:
    """Register a function as compiled for one signature and cached under a name."""
    if INTERPRET:
        REGISTRY[name] = Entry(name, signature, function)
        return function
    from numba import njit

    from nanotick.core.cache import KernelCache
    from nanotick.core.entry import EntryCompiler

    dispatcher = njit(pipeline_class=EntryCompiler, **_OPTIONS)(function)
    dispatcher._cache = KernelCache(function, name)
    REGISTRY[name] = Entry(name, signature, dispatcher)
    return dispatcher


def compile_entry(entry: Entry) -> None:
    """Compile (or load from the cache) an entry, and let no second type signature ever be compiled by accident."""
    if INTERPRET or entry.dispatcher.signatures:
        return
    from nanotick.core.cache import claimed

    with claimed(entry.dispatcher._cache.path(entry.signature)):
        entry.dispatcher.compile(entry.signature)
    entry.dispatcher.disable_compile()


def callback(function: Callable[[int, int], int], key: str) -> int:
    """Compile `i8(i8, i8)` code that kernels call through `call2`; the address is good for the process's life.

    Parameters
    ----------
    function : callable
        Free function of two integers (addresses) giving an integer.
    key : str
        What identifies its content for the cache: change it whenever the code would. Code of nanotick itself that it
        reaches is identified without it.

    Returns
    -------
    int
        Machine address, or the interpreted handle.

    Notes
    -----
    Also usable as a decorator body for entries by C signature: the address follows the C calling convention.
    """
    if INTERPRET:
        return register_function(function)
    from numba import types
    from numba.core.ccallback import CFunc

    from nanotick.core.cache import KernelCache
    from nanotick.core.entry import EntryCompiler

    signature = ((types.int64, types.int64), types.int64)
    options = {k: v for k, v in _OPTIONS.items() if k != "nogil"}
    compiled = CFunc(function, signature, {}, {"nopython": True, **options}, pipeline_class=EntryCompiler)
    compiled._cache = KernelCache(function, f"callback|{key}", known=True)
    compiled.compile()
    _CALLBACKS.append(compiled)
    return int(compiled.address)


def lasting_callback(key: str) -> Callable[[Callable[[int, int], int]], Callable[[], int]]:
    """Declare a `callback` of nanotick's own: it becomes what gives its address, and warm-up compiles it.

    Parameters
    ----------
    key : str
        As in `callback`.
    """

    def declare(function: Callable[[int, int], int]) -> Callable[[], int]:
        @functools.cache
        @functools.wraps(function, assigned=("__module__", "__qualname__", "__doc__"))
        def address() -> int:
            return callback(function, key)

        CALLBACKS[key] = address
        return address

    return declare


def reference_count_calls(ir: str) -> int:
    """Number of reference-count and allocation calls in LLVM IR; zero in every hot kernel."""
    return sum(ir.count(f"call {kind}") for kind in ("void @NRT_incref", "void @NRT_decref", "ptr @NRT_MemInfo"))


def runtime_symbols(entry: Entry) -> set[str]:
    """Names of Numba's runtime (reference counts, allocation) that the entry's machine code refers to.

    Unlike the IR, machine code can also be looked at when it came from the cache.
    """
    symbols: set[str] = set()
    for overload in entry.dispatcher.overloads.values():
        try:
            code = overload.library._get_compiled_object()
        except RuntimeError:  # came from the cache, and the loader has taken it
            code = entry.dispatcher._cache.machine_code(entry.signature)
        symbols.update(name.decode() for name in re.findall(rb"NRT_\w+", code))
    return symbols


def python_body(function: Any) -> Callable[..., Any]:
    """The interpreted body of a kernel."""
    body = inspect.unwrap(getattr(function, "py_func", function))
    assert callable(body)
    return body
