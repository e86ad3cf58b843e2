"""From a strategy class to functions the engine can call.

Each callback becomes one compiled function `i8(self address, context address)`, called from the step through its
machine address, so the engine's loop is compiled once for all strategies. The cache key is the content of the source
(`Strategy.source_key`), not its place or date. Plain functions of the user's own module that a callback names are
compiled along.
"""

from __future__ import annotations

import ast
import types as python_types
from collections.abc import Callable
from typing import Any

from nanotick.core.kernel import callback, kernel
from nanotick.core.mode import INTERPRET
from nanotick.strategy import methods as _methods  # noqa: F401  declares the methods of ctx
from nanotick.strategy.base import ROOM, Strategy
from nanotick.strategy.check import Finding, StrategyError, explain, source_tree
from nanotick.strategy.records import CALLBACK_VIEWS, SCRATCH_BAR, Callback, context_at, scratch_at
from nanotick.strategy.types import as_context, strategy_at, view_at

_VIEWS: dict[Callback, Any] = {}
_COMPILED: dict[str, dict[Callback, int]] = {}


def _view(which: Callback) -> Any:
    if which not in _VIEWS:
        _VIEWS[which] = view_at(CALLBACK_VIEWS[which], which.name.capitalize())
    return _VIEWS[which]


def refuse_internals(function: Callable[..., Any], owner: str) -> None:
    """Refuse code that names a way around `ctx`: nanotick's own kernels and memory, Numba, ctypes.

    Raises
    ------
    StrategyError
        With the line that names it.
    """
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        module = value.__name__ if isinstance(value, python_types.ModuleType) else getattr(value, "__module__", None)
        module = module if isinstance(module, str) else type(value).__module__
        root = module.split(".")[0]
        own = root == "nanotick" and (module == "nanotick" or module.startswith("nanotick.strategies"))
        inside = root in ("numba", "llvmlite", "ctypes", "cffi") or (root == "nanotick" and not own)
        if value is None or not inside or isinstance(value, (int, float)):
            continue
        found = source_tree(function)
        lines, path = (found[2], found[1]) if found else ([], function.__code__.co_filename)
        line = function.__code__.co_firstlineno
        for part in ast.walk(found[0]) if found else ():
            if isinstance(part, ast.Name) and part.id == name:
                line = part.lineno
                break
        cause = f"{name!r} reaches past ctx into {module}: a strategy acts through ctx alone"
        raise StrategyError(Finding(path, line, f"{owner}.{function.__name__}", lines, cause).message)


def _with_compiled_helpers(function: Callable[..., Any], made: dict[int, Any]) -> Callable[..., Any]:
    """The function with the plain Python functions it names replaced by kernels."""
    if INTERPRET:
        return function
    globals_ = function.__globals__
    replaced: dict[str, Any] = {}
    for name in function.__code__.co_names:
        value = globals_.get(name)
        if isinstance(value, python_types.FunctionType):
            refuse_internals(value, value.__name__)
            if id(value) not in made:
                made[id(value)] = kernel(_with_compiled_helpers(value, made))
            replaced[name] = made[id(value)]
    if not replaced:
        return function
    copy = python_types.FunctionType(
        function.__code__, {**globals_, **replaced}, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__qualname__, copy.__kwdefaults__, copy.__module__ = (
        function.__qualname__,
        function.__kwdefaults__,
        function.__module__,
    )
    return copy


def _wrapper(which: Callback, body: Any, as_self: Any, arguments: int) -> Callable[[int, int], int]:
    if arguments == 2:

        def call(self_address: int, context: int) -> int:
            body(as_self(self_address), as_context(context))
            return 0

    elif which == Callback.BAR:
        view = _view(which)

        def call(self_address: int, context: int) -> int:
            body(as_self(self_address), as_context(context), view(context_at(context).scratch_address + SCRATCH_BAR))
            return 0

    elif which == Callback.ORDER:
        view = _view(which)

        def call(self_address: int, context: int) -> int:
            scratch = scratch_at(context_at(context).scratch_address)
            body(as_self(self_address), as_context(context), view(scratch.order))
            return 0

    else:
        view = _view(which)

        def call(self_address: int, context: int) -> int:
            scratch = scratch_at(context_at(context).scratch_address)
            body(as_self(self_address), as_context(context), view(scratch.event))
            return 0

    return call


def compile_strategy(cls: type[Strategy], instruments: int = ROOM) -> dict[Callback, int]:
    """Compile (or load) the callbacks of a strategy for a run with so many instruments.

    Returns
    -------
    dict
        Callback -> address for `memory.call2`.

    Raises
    ------
    StrategyError
        With the user's file, line and the cause in plain words.
    """
    key = cls.source_key(instruments)
    if key in _COMPILED:
        return _COMPILED[key]
    for function in [*cls.callbacks.values(), *cls.methods.values()]:
        refuse_internals(function, cls.__name__)
    for part in cls.parts().values():
        for function in part.indicator().methods.values():
            if function.__module__.split(".")[0] != "nanotick":
                refuse_internals(function, part.indicator().__name__)
    made: dict[int, Any] = {}
    methods = {n: _with_compiled_helpers(f, made) for n, f in cls.methods.items()}
    as_self = strategy_at(cls.dtype_for(instruments), cls.__name__, methods, cls.parts())
    addresses: dict[Callback, int] = {}
    for which, function in cls.callbacks.items():
        body = kernel(_with_compiled_helpers(function, made))
        arguments = function.__code__.co_argcount
        wrapper = _wrapper(which, body, as_self, arguments)
        wrapper.__name__ = f"{cls.__name__}_{which.name.lower()}"
        try:
            addresses[which] = callback(wrapper, f"{key}|{which.name}")
        except StrategyError:
            raise
        except Exception as error:
            raise explain(error, function, cls.__name__) from error
        _refuse_narrowing(body, function, cls)
    _COMPILED[key] = addresses
    return addresses


def _refuse_narrowing(body: Any, function: Callable[..., Any], cls: type[Strategy]) -> None:
    """A float stored in an int attribute would be cut silently: refuse it, with the line."""
    if INTERPRET:
        return
    from numba.core import ir, types

    for result in body.overloads.values():
        annotation = getattr(result, "type_annotation", None)
        if annotation is None:
            continue
        for block in annotation.blocks.values():
            for statement in block.find_insts(ir.SetAttr):
                target = annotation.typemap.get(statement.target.name)
                indicator = getattr(target, "cls", None)  # of an indicator's handle: the field is the indicator's
                kind = indicator.fields.get(statement.attr) if indicator else type(cls.fields.get(statement.attr))
                value_type = annotation.typemap.get(statement.value.name)
                if kind is int and isinstance(value_type, types.Float):
                    found = source_tree(function)
                    lines, path = (found[2], found[1]) if found else ([], function.__code__.co_filename)
                    owner = indicator.__name__ if indicator else "self"
                    cause = f"{owner}.{statement.attr} is int and is given a float: use int(...), or annotate it float"
                    name = f"{cls.__name__}.{function.__name__}"
                    raise StrategyError(Finding(path, statement.loc.line, name, lines, cause).message)
