"""The strategy class: an ordinary Python class whose annotated attributes become a record in the arena.

    class Imbalance(nt.Strategy):
        threshold: float = 0.6
        size: int = 100

        def on_book(self, ctx): ...

`int`, `float` and `bool` attributes and fixed arrays (`history: nt.Array = nt.floats(64)`) are both parameters and
state; their values can be given when the class is instantiated. Indicators (`fast: nt.EMA = nt.EMA(12)`) are records
inside the record; `nt.each(nt.EMA(12))` is one for every instrument. Defining the class checks its names;
compiling it (once per source, then cached) happens when an engine is built.
"""

from __future__ import annotations

import hashlib
import inspect
import types as python_types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from nanotick.core.suggest import nearest
from nanotick.features import Each, Indicator, Part
from nanotick.strategy.check import StrategyError, check_method, explain
from nanotick.strategy.records import CALLBACK_VIEWS, CALLBACKS, SCRATCH_BAR, Callback


@dataclass(frozen=True)
class Array:
    """A fixed-size array attribute; `nt.floats(n)` and `nt.ints(n)` make one, indexing reads and writes it."""

    code: str
    length: int
    per_instrument: bool = False

    def __getitem__(self, i: int) -> Any:
        raise TypeError("an array attribute has elements only inside a run")

    def __setitem__(self, i: int, value: Any) -> None:
        raise TypeError("an array attribute has elements only inside a run")


def floats(length: int, per_instrument: bool = False) -> Array:
    """An array attribute of `length` floats, or of so many for each instrument of the run, zero at the start."""
    return Array("f8", length, per_instrument)


def ints(length: int, per_instrument: bool = False) -> Array:
    """An array attribute of `length` integers, or of so many for each instrument of the run, zero at the start."""
    return Array("i8", length, per_instrument)


ROOM = 256  # instruments that arrays have room for; runs with more take the next power of two


_CODES: dict[Any, str] = {float: "f8", int: "i8", bool: "?"}


class Strategy:
    """Base of every strategy. Keyword arguments set parameters; unknown names are refused with the nearest match."""

    fields: ClassVar[dict[str, Any]] = {}  # attribute -> default (a number, or an Array)
    dtype: ClassVar[np.dtype[Any]]
    methods: ClassVar[dict[str, Callable[..., Any]]] = {}  # own functions that are no callbacks
    callbacks: ClassVar[dict[Callback, Callable[..., Any]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.fields = _fields_of(cls)
        cls.dtype = cls.dtype_for(ROOM)
        functions: dict[str, Callable[..., Any]] = {}
        for base in reversed(cls.__mro__):
            if base not in (Strategy, object):
                functions.update({n: f for n, f in vars(base).items() if isinstance(f, python_types.FunctionType)})
        cls.callbacks = {CALLBACKS[n]: f for n, f in functions.items() if n in CALLBACKS}
        cls.methods = {n: f for n, f in functions.items() if n not in CALLBACKS and not n.startswith("__")}
        for name, function in functions.items():
            if name.startswith("on_") and name not in CALLBACKS:
                raise StrategyError(
                    f"{_place(function)}: {cls.__name__}.{name} is no callback"
                    f"{nearest(name, CALLBACKS)}; there are {', '.join(CALLBACKS)}"
                )
            if not name.startswith("__"):
                check_method(function, cls.__name__, cls.fields, cls.methods, _views_of(name, function))
                if name in CALLBACKS:
                    _check_signature(cls, name, function)

    def __init__(self, **parameters: Any) -> None:
        self._values: dict[str, Any] = {}
        for name, value in parameters.items():
            if name not in self.fields:
                raise ValueError(
                    f"{type(self).__name__} has no parameter {name!r}{nearest(name, self.fields)}; "
                    f"it has {', '.join(self.fields) or 'none'}"
                )
            self._values[name] = _converted(type(self).__name__, name, self.fields[name], value)

    @classmethod
    def bound_to(cls, instruments: tuple[int, ...], parameters: dict[str, Any]) -> dict[str, Any]:
        """Parameters for working on certain instruments of a run; strategies that name instruments fill them in."""
        return parameters

    @property
    def name(self) -> str:
        """The class's name."""
        return type(self).__name__

    @property
    def parameters(self) -> dict[str, Any]:
        """Scalar attributes and their starting values."""
        inside = (Array, Indicator, Each)
        return {n: self._values.get(n, v) for n, v in self.fields.items() if not isinstance(v, inside)}

    @classmethod
    def parts(cls) -> dict[str, Part]:
        """Attributes that are indicators, or rows of them."""
        return {n: Part(v) for n, v in cls.fields.items() if isinstance(v, (Indicator, Each))}

    def write(self, row: np.ndarray[Any, Any]) -> None:
        """Lay the starting values into a record (shape (1,) of `dtype`)."""
        for name, default in self.fields.items():
            value = self._values.get(name, default)
            if isinstance(value, Indicator):
                row[name] = value.blank()
            elif isinstance(value, Each):
                row[name] = np.repeat(value.indicator.blank(), row[name].shape[-1])
            elif not isinstance(default, Array):
                row[name] = value
            elif name in self._values:
                row[name] = self._values[name]

    @classmethod
    def dtype_for(cls, instruments: int) -> np.dtype[Any]:
        """The record of a run with so many instruments.

        Arrays that have so much for each instrument get room for 256 of them, or for the next power of two: strategies
        are compiled for a record, so few sizes mean few compilations.
        """
        room = max(ROOM, 1 << (instruments - 1).bit_length())
        rows: list[Any] = []
        for name, value in cls.fields.items():
            if isinstance(value, Array):
                rows.append((name, value.code, (value.length * (room if value.per_instrument else 1),)))
            elif isinstance(value, Each):
                rows.append((name, value.indicator.dtype, (value.length or room,)))
            else:
                rows.append((name, value.dtype if isinstance(value, Indicator) else _CODES[type(value)]))
        return np.dtype(rows or [("empty", "i8")], align=True)

    @classmethod
    def source_key(cls, instruments: int = ROOM) -> str:
        """Digest of everything the compiled code depends on: source of the classes and of the helpers they name."""
        digest = hashlib.blake2b(digest_size=12)
        digest.update(f"{cls.__module__}.{cls.__qualname__}|{cls.dtype_for(instruments)}".encode())
        seen: set[str] = set()
        for function in [*cls.callbacks.values(), *cls.methods.values()]:
            _digest_function(function, digest, seen)
        for part in cls.parts().values():
            for function in part.indicator().methods.values():
                _digest_function(function, digest, seen)
        return digest.hexdigest()


def _digest_function(function: Callable[..., Any], digest: Any, seen: set[str]) -> None:
    code = function.__code__
    key = f"{code.co_filename}:{code.co_name}:{code.co_firstlineno}"
    if key in seen:
        return
    seen.add(key)
    digest.update(code.co_code + repr([c for c in code.co_consts if not inspect.iscode(c)]).encode())
    digest.update("|".join(code.co_names).encode())
    if key.startswith(str(Path(__file__).resolve().parent.parent)):
        return  # nanotick's own source is in the cache directory's name
    for name in code.co_names:
        value = function.__globals__.get(name)
        if isinstance(value, (int, float, bool)):
            digest.update(f"{name}={value!r}".encode())
        elif isinstance(value, python_types.FunctionType) and not value.__module__.startswith("nanotick."):
            _digest_function(value, digest, seen)


def _fields_of(cls: type) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base in (Strategy, object):
            continue
        try:
            hints = typing.get_type_hints(base, include_extras=True)
        except NameError as error:
            raise StrategyError(f"{cls.__name__}: an annotation cannot be resolved: {error}") from error
        for name in vars(base).get("__annotations__", {}):
            hint, default = hints[name], vars(base).get(name)
            if isinstance(default, (Array, Indicator, Each)):
                fields[name] = default
            elif hint in _CODES:
                fields[name] = hint(0 if default is None else default)
            else:
                raise StrategyError(
                    f"{cls.__name__}.{name} is annotated {hint!r}; an attribute is int, float, bool, an indicator "
                    "(nt.EMA(12)), or nt.Array with nt.floats(n), nt.ints(n) or nt.each(indicator) as its value"
                )
            if name.startswith("_"):
                raise StrategyError(f"{cls.__name__}.{name}: attribute names begin with a letter")
    return fields


def _converted(owner: str, name: str, default: Any, value: Any) -> Any:
    if isinstance(default, (Indicator, Each)):
        if type(value) is not type(default) or Part(value).indicator() is not Part(default).indicator():
            raise ValueError(f"{owner}.{name} is {Part(default).describe()}, found {value!r}")
        if value.dtype != default.dtype:
            raise ValueError(
                f"{owner}.{name} keeps {Part(default).describe()}: a record of another size was given; "
                "declare the attribute with the capacity (and length) wanted"
            )
        return value
    if isinstance(default, Array):
        if default.per_instrument:
            raise ValueError(f"{owner}.{name} is state of each instrument: it cannot be given")
        array = np.asarray(value, dtype=default.code)
        if array.shape != (default.length,):
            raise ValueError(f"{owner}.{name} takes {default.length} numbers, found shape {array.shape}")
        return array
    kind = type(default)
    try:
        if kind is bool and isinstance(value, str):
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[value.lower()]
        converted = kind(value)
        if kind is int and float(value) != converted:
            raise ValueError(value)
    except (TypeError, ValueError, KeyError):
        raise ValueError(f"{owner}.{name} is {kind.__name__}, found {value!r}") from None
    return converted


def _views_of(name: str, function: Callable[..., Any]) -> dict[str, list[str]]:
    callback = CALLBACKS.get(name)
    view = None if callback is None else CALLBACK_VIEWS.get(callback)
    arguments = inspect.signature(function).parameters
    if view is None or len(arguments) < 3:
        return {}
    return {list(arguments)[2]: list(view.names or ())}


# what the third argument of a callback is called where there is one
_THIRD = {
    Callback.TRADE: "trade",
    Callback.BAR: "bar",
    Callback.ORDER: "order",
    Callback.FILL: "fill",
    Callback.TIMER: "timer",
}


def _place(function: Callable[..., Any]) -> str:
    return f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}"


def _check_signature(cls: type, name: str, function: Callable[..., Any]) -> None:
    count = len(inspect.signature(function).parameters)
    extra = _THIRD.get(CALLBACKS[name])
    allowed = (2,) if extra is None else (2, 3)
    if count not in allowed:
        expected = "(self, ctx)" + (f" or (self, ctx, {extra})" if extra else "")
        raise StrategyError(f"{_place(function)}: {cls.__name__}.{name} takes {expected}")


__all__ = ["SCRATCH_BAR", "Array", "Strategy", "StrategyError", "explain", "floats", "ints"]
