"""Cold starts on all cores: helper processes lower inner kernels into the cache while this one does the same.

Which kernels an entry reaches is read off the names in their code, and the argument types of most off their
annotations (`int`, `float`, `bool`), so kernels can be lowered callees first, in any process, before anybody has
inferred a caller. Each process walks the same graph from another side and takes what is neither there nor claimed
(`cache.claimed`); what has records for arguments follows from its callers. A wrong guess costs time and nothing else:
callers ask for the types they infer.

Helpers are new interpreters, never forks: this process may have threads. They end with the process that started them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import types as python_types
from collections.abc import Iterator, Sequence
from typing import Any

from nanotick.core.cache import cache_directory, give_up, try_claim
from nanotick.core.kernel import REGISTRY, Entry, compile_entry
from nanotick.core.mode import INTERPRET

WORTH_HELPERS = 40  # kernels to lower, below which an interpreter costs more to start than it saves
_MAX_HELPERS = 7

_HELPER = """
import sys
sys.path[:] = {path!r}
from nanotick.core.parallel import help_with
help_with({names!r}, {modules!r}, {number}, {parent})
"""


def _named(function: Any) -> Iterator[Any]:
    """The values a function's code may name: globals, members of modules among them, and what it closes over."""
    names, globals_ = function.__code__.co_names, function.__globals__
    for name in names:
        value = globals_.get(name)
        if isinstance(value, python_types.ModuleType):
            yield from (vars(value)[member] for member in names if member in vars(value))
        elif value is not None:
            yield value
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:
            continue


def reached(dispatcher: Any, backwards: bool = False) -> list[Any]:
    """The inner kernels below a compiled function, callees first; `backwards` walks each one's callees from the end."""
    from nanotick.core.inner import InnerKernel

    found: dict[Any, None] = {}
    seen: set[int] = set()

    def visit(function: Any) -> None:
        callees = [value for value in _named(function) if isinstance(value, InnerKernel)]
        for callee in reversed(callees) if backwards else callees:
            if id(callee) not in seen:
                seen.add(id(callee))
                visit(callee.py_func)
                found[callee] = None

    visit(dispatcher.py_func)
    return list(found)


def annotated(kernel: Any) -> tuple[Any, ...] | None:
    """Argument types by a kernel's annotations; None when they do not say."""
    from numba import types

    known: dict[Any, Any] = {int: types.int64, float: types.float64, bool: types.boolean}
    known |= {"int": types.int64, "float": types.float64, "bool": types.boolean}  # annotations left as text
    function = kernel.py_func
    if function.__defaults__:
        return None
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    args = tuple(known.get(function.__annotations__.get(name)) for name in names)
    return None if None in args else args


def _missing(kernels: Sequence[Any]) -> list[tuple[Any, tuple[Any, ...]]]:
    out = []
    for kernel in kernels:
        args = annotated(kernel)
        path = None if args is None else kernel._cache.path(args)
        if args is not None and path is not None and not path.exists():
            out.append((kernel, args))
    return out


def _lower(kernels: Sequence[Any], parent: int | None = None) -> None:
    """Lower what is neither in the cache nor in another process's hands."""
    from numba.core.errors import NumbaError

    for kernel, args in _missing(kernels):
        if parent is not None and os.getppid() != parent:
            os._exit(0)
        path = kernel._cache.path(args)
        if path.exists() or not try_claim(path):
            continue
        give_up(path)
        try:
            kernel.compile(args)
        except NumbaError:
            continue  # a guess that types do not bear out: its callers know better


def in_cache(entry: Entry) -> bool:
    """Whether there is a file of the entry; it may yet turn out to be damaged."""
    path = entry.dispatcher._cache.path(entry.signature)
    return path is not None and path.exists()


def helpers() -> int:
    """How many helpers this machine has cores for; none where claims are not to be had."""
    if INTERPRET or sys.platform == "win32" or not sys.executable or cache_directory() is None:
        return 0
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    return min(cores - 1, _MAX_HELPERS)


class Helpers:
    """Processes that lower and compile the given entries from the other end, while the block runs.

    Parameters
    ----------
    entries : sequence of Entry
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = [e for e in entries if e.name in REGISTRY and e.dispatcher.py_func.__module__ in sys.modules]
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> None:
        names = [entry.name for entry in self._entries]
        modules = sorted({entry.dispatcher.py_func.__module__ for entry in self._entries} - {"__main__"})
        for number in range(helpers()):
            program = _HELPER.format(path=sys.path, names=names, modules=modules, number=number, parent=os.getpid())
            try:
                process = subprocess.Popen(
                    [sys.executable, "-c", program],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            except OSError:
                return  # no memory or no permission for another process: slower, and that is all
            self._processes.append(process)

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()  # files are renamed into place: whatever it is at is lost whole
        for process in self._processes:
            process.wait()


def help_with(names: Sequence[str], modules: Sequence[str], number: int, parent: int) -> None:
    """What a helper does: lower kernels, then compile whole entries, the last of them first."""
    import importlib

    for module in modules:
        importlib.import_module(module)
    entries = [REGISTRY[name] for name in reversed(names) if name in REGISTRY]
    for entry in entries:
        _lower(reached(entry.dispatcher, backwards=number % 2 == 0), parent)
    for entry in entries[: len(entries) - 1]:  # the first is its starter's own
        if os.getppid() != parent:
            return
        path = entry.dispatcher._cache.path(entry.signature)
        if not in_cache(entry) and try_claim(path):
            compile_entry(entry)


def compile_with_helpers(entry: Entry) -> None:
    """Compile or load an entry, with the other cores' help when much is missing."""
    if INTERPRET or entry.dispatcher.signatures:
        return
    if in_cache(entry):
        compile_entry(entry)
        return
    kernels = reached(entry.dispatcher)
    if helpers() and len(_missing(kernels)) >= WORTH_HELPERS:
        with Helpers([entry]):
            _lower(kernels)
            compile_entry(entry)
    else:
        compile_entry(entry)
