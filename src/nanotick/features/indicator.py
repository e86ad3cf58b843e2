"""What a streaming indicator is: a small record with a few kernels over it, the same everywhere.

    class Midrange(Indicator):
        decay: float            # a parameter: an argument of __init__
        mean: float             # state: everything else, zero at the start

        def __init__(self, decay: float = 0.1) -> None:
            super().__init__(decay=decay)

        def update(self, high: float, low: float) -> float: ...
        def value(self) -> float: ...
        def ready(self) -> bool: ...

Annotated attributes are `int` or `float`; those that `__init__` takes are parameters and come first in the record, the
rest is state. A class with `channels` keeps a ring behind its fields: `self.ring[i]`, `capacity * channels` floats. The
ring's length is fixed when an indicator is made, and every length runs the same compiled code. Methods are plain
functions of annotated numbers; `reset` is given.

One class has four faces. In a strategy, `fast: nt.EMA = nt.EMA(12)` is a part of the strategy's record and its methods
are compiled into the callbacks. In Python an instance owns its record and runs the methods' source as it stands.
`run(*arrays)` takes whole arrays through the compiled code. Kernels elsewhere take `EMA.record(address)` and call
`EMA.kernels["update"](record, x)`.
"""

from __future__ import annotations

import ctypes
import inspect
import math
import types as python_types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from nanotick.core.kernel import callback, kernel
from nanotick.core.memory import FlatArray, clear_bytes, load_f64, load_i64, store_f64
from nanotick.core.mode import INTERPRET

_CODES = {float: "f8", int: "i8"}
_LOADS = {float: load_f64, int: load_i64}
MAX_CAPACITY = 1 << 20  # floats a ring may hold: 8 MiB of a strategy's record


class Indicator:
    """Base of every indicator; see the module for what a subclass declares.

    Attributes
    ----------
    parameters : tuple of str
        Fields that `__init__` sets and a strategy may set in `on_start`, before the first update (or before `reset`).
    fields : dict
        Field -> int or float, in the record's order.
    kernels : dict
        Method -> kernel over a record.
    record : callable
        Accessor `f(address, index=0)` for kernels.
    """

    __slots__ = ("_address", "_buffer", "_length")

    channels: ClassVar[int] = 0
    parameters: ClassVar[tuple[str, ...]] = ()
    fields: ClassVar[dict[str, type]] = {}
    methods: ClassVar[dict[str, Callable[..., Any]]] = {}
    header: ClassVar[np.dtype[Any]]
    kernels: ClassVar[dict[str, Any]] = {}
    record: ClassVar[Any]
    handle: ClassVar[Any] = None  # Numba type under which strategies hold it
    _runs: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        hints: dict[str, type] = {}
        for base in reversed(cls.__mro__):
            if base is not Indicator and issubclass(base, Indicator):
                known = typing.get_type_hints(base)
                own = (n for n in inspect.get_annotations(base) if n != "ring")
                hints.update({n: known[n] for n in own if typing.get_origin(known[n]) is not ClassVar})
        for name, kind in hints.items():
            if kind not in _CODES:
                raise TypeError(f"{cls.__name__}.{name} is annotated {kind!r}; a field of an indicator is int or float")
        asked = [n for n in inspect.signature(cls.__init__).parameters if n in hints]
        cls.parameters = tuple(n for n in asked if n != "capacity")
        state = [n for n in hints if n not in cls.parameters and n != "capacity"]
        ring = ["capacity"] if cls.channels else []
        cls.fields = {n: int if n == "capacity" else hints[n] for n in [*cls.parameters, *ring, *state]}
        layout: list[Any] = [(n, _CODES[k]) for n, k in cls.fields.items()]
        # the ring lies last, so that one compiled function serves every length: here it has length 1
        cls.header = np.dtype(layout + ([("ring", "f8", (1,))] if cls.channels else []))
        for name, kind in cls.fields.items():
            setattr(cls, name, _field(8 * list(cls.fields).index(name), kind))
        if cls.channels:
            cls.ring = _ring(8 * len(cls.fields))  # type: ignore[attr-defined]
        fixed = 8 * (len(cls.parameters) + len(ring))
        setattr(cls, "reset", _reset(fixed, 8 * len(cls.fields) - fixed))  # noqa: B010
        found: dict[str, Callable[..., Any]] = {"reset": cls.reset}
        for base in reversed(cls.__mro__):
            if base is not Indicator and issubclass(base, Indicator):
                plain = {n: f for n, f in vars(base).items() if isinstance(f, python_types.FunctionType)}
                found.update({n: f for n, f in plain.items() if not n.startswith("__") and n != "reset"})
        cls.methods = found
        cls._runs = {}
        if INTERPRET:
            cls.kernels, cls.record = (
                dict(found),
                # static: a plain function here would pass for a method of the classes derived from this one
                staticmethod(lambda address, index=0: cls.at(address + index * cls.header.itemsize)),
            )
        else:
            from nanotick.features.lowering import declare

            cls.kernels = {n: kernel(f) for n, f in found.items()}
            cls.record, cls.handle = declare(cls)

    def __init__(self, *, capacity: int = 0, **parameters: float) -> None:
        self._length = 0
        if self.channels:
            self._length = int(capacity)
            if not 1 <= self._length * self.channels <= MAX_CAPACITY:
                raise ValueError(
                    f"{type(self).__name__} keeps 1 to {MAX_CAPACITY // self.channels} values, found {capacity}"
                )
        for name in self.parameters:
            if not parameters[name] == parameters[name]:
                raise ValueError(f"{type(self).__name__}.{name} is not a number")
        self._buffer = np.zeros(1, self.dtype)
        self._address = self._buffer.ctypes.data
        for name, value in parameters.items():
            setattr(self, name, self.fields[name](value))
        if self.channels:
            setattr(self, "capacity", self._length)  # noqa: B010

    @classmethod
    def at(cls, address: int) -> Self:
        """A live view of a record that lies elsewhere (a strategy's state in the arena, a snapshot)."""
        made = object.__new__(cls)
        made._address, made._buffer, made._length = address, None, 0  # type: ignore[assignment]
        if cls.channels:
            made._length = made.capacity
        return made

    @property
    def dtype(self) -> np.dtype[Any]:
        """The record's layout, ring included."""
        ring = [("ring", "f8", (self._length * self.channels,))] if self.channels else []
        return np.dtype([(n, _CODES[k]) for n, k in self.fields.items()] + ring)

    def blank(self) -> np.ndarray[Any, Any]:
        """A record (shape (1,)) with these parameters that has seen nothing."""
        row = np.zeros(1, self.dtype)
        for name in [*self.parameters, *(["capacity"] if self.channels else [])]:
            row[name] = getattr(self, name)
        return row

    def settings(self) -> dict[str, float]:
        """The parameters and their values."""
        return {n: getattr(self, n) for n in self.parameters}

    def figures(self) -> dict[str, float]:
        """Everything it can be asked for without arguments, as it stands; nan where nothing can be computed."""
        found = {}
        for name in readings(type(self)):
            if name != "ready":
                try:
                    found[name] = float(getattr(self, name)())
                except (ArithmeticError, ValueError):  # where compiled code divides by nothing and gives nan
                    found[name] = math.nan
        return found

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v in self.settings().items())})"

    if typing.TYPE_CHECKING:
        capacity: int
        ring: Any

        def reset(self) -> None:
            """Forget everything but the parameters."""

    def run(self, *inputs: Any, output: str = "") -> np.ndarray[Any, Any]:
        """Take arrays through the compiled `update`, one element of each at a time, from the state as it is.

        Parameters
        ----------
        *inputs : array_like, shape (n,)
            What `update` takes, in its order.
        output : str, optional
            The method whose value is kept after each update, instead of what `update` returns.

        Returns
        -------
        ndarray, shape (n,), float64

        Raises
        ------
        ValueError
            For another number of inputs than `update` takes, or inputs of different lengths.
        """
        kinds = arguments_of(self.methods["update"])
        names = list(inspect.signature(self.methods["update"]).parameters)[1:]
        if len(inputs) != len(kinds):
            raise ValueError(f"{type(self).__name__}.run takes {', '.join(names)}; found {len(inputs)} arrays")
        if output and (output not in self.methods or arguments_of(self.methods[output])):
            raise ValueError(f"{type(self).__name__} has no value {output!r}; it has {', '.join(readings(type(self)))}")
        columns = [np.ascontiguousarray(x, dtype=_CODES[k]) for x, k in zip(inputs, kinds, strict=True)]
        lengths = {c.shape for c in columns}
        if len(lengths) != 1 or columns[0].ndim != 1:
            raise ValueError(
                f"inputs of one length are needed, found shapes {', '.join(str(c.shape) for c in columns)}"
            )
        result = np.empty(len(columns[0]))
        arguments = np.array([len(result), result.ctypes.data, *(c.ctypes.data for c in columns)], np.int64)
        self._run(output)(self._address, arguments.ctypes.data)
        return result

    def _run(self, output: str) -> Any:
        cls = type(self)
        if output not in cls._runs:
            loads = [_LOADS[k] for k in arguments_of(cls.methods["update"])]
            read = kernel(_reading(cls.kernels[output]) if output else _returned)
            body = _LOOPS[len(loads)](cls.record, cls.kernels["update"], read, *loads)
            body.__name__ = f"{cls.__name__}_run_{output or 'update'}"
            if INTERPRET:
                cls._runs[output] = body
            else:
                address = callback(body, f"indicator|{cls.__module__}.{cls.__qualname__}|{output}|{source_of(cls)}")
                cls._runs[output] = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)(address)
        return cls._runs[output]


def arguments_of(method: Callable[..., Any]) -> list[type]:
    """Types of what a method takes besides itself, in order."""
    hints = typing.get_type_hints(method)
    return [hints[n] for n in list(inspect.signature(method).parameters)[1:]]


def readings(cls: type[Indicator]) -> list[str]:
    """Methods that give a number and take nothing."""
    return [n for n, f in cls.methods.items() if n != "reset" and not n.startswith("_") and not arguments_of(f)]


def source_of(cls: type[Indicator]) -> str:
    """What its compiled code depends on, for the keys of caches."""
    parts = [str(cls.header)]
    for name, function in sorted(cls.methods.items()):
        code = function.__code__
        constants = [c for c in code.co_consts if not inspect.iscode(c)]
        numbers = {n: v for n in code.co_names if isinstance(v := function.__globals__.get(n), (int, float))}
        parts.append(f"{name}:{code.co_code.hex()}:{constants!r}:{code.co_names}:{numbers}")
    return "|".join(parts)


def _field(offset: int, kind: type) -> property:
    ctype = ctypes.c_double if kind is float else ctypes.c_int64

    def get(self: Indicator) -> Any:
        return ctype.from_address(self._address + offset).value

    def set_(self: Indicator, value: Any) -> None:
        ctype.from_address(self._address + offset).value = value

    return property(get, set_)


def _ring(offset: int) -> property:
    return property(lambda self: FlatArray(self._address + offset, "f8"))


def _reset(start: int, size: int) -> Callable[[Any], None]:
    def reset(self: Any) -> None:
        """Forget everything but the parameters."""
        clear_bytes(address_of(self) + start, size)

    return reset


if INTERPRET:

    def address_of(record: Any) -> int:
        """Where an indicator's record lies."""
        return int(record._address)

else:
    from nanotick.features.lowering import address_of as address_of


# --- loops over arrays, one for each number of inputs; behind `arguments` lie count, output and the inputs ------------


def _returned(me: Any, x: float) -> float:
    return float(x)


def _reading(method: Any) -> Any:
    def read(me: Any, x: float) -> float:
        return float(method(me))

    return read


def _loop1(record: Any, update: Any, read: Any, load_a: Any) -> Any:
    def run(address: int, arguments: int) -> int:
        me, out, a = record(address), load_i64(arguments + 8), load_i64(arguments + 16)
        for i in range(load_i64(arguments)):
            x = read(me, update(me, load_a(a + 8 * i)))
            store_f64(out + 8 * i, x)
        return 0

    return run


def _loop2(record: Any, update: Any, read: Any, load_a: Any, load_b: Any) -> Any:
    def run(address: int, arguments: int) -> int:
        me, out, a, b = record(address), load_i64(arguments + 8), load_i64(arguments + 16), load_i64(arguments + 24)
        for i in range(load_i64(arguments)):
            x = read(me, update(me, load_a(a + 8 * i), load_b(b + 8 * i)))
            store_f64(out + 8 * i, x)
        return 0

    return run


def _loop3(record: Any, update: Any, read: Any, load_a: Any, load_b: Any, load_c: Any) -> Any:
    def run(address: int, arguments: int) -> int:
        me, out = record(address), load_i64(arguments + 8)
        a, b, c = load_i64(arguments + 16), load_i64(arguments + 24), load_i64(arguments + 32)
        for i in range(load_i64(arguments)):
            x = read(me, update(me, load_a(a + 8 * i), load_b(b + 8 * i), load_c(c + 8 * i)))
            store_f64(out + 8 * i, x)
        return 0

    return run


def _loop4(record: Any, update: Any, read: Any, load_a: Any, load_b: Any, load_c: Any, load_d: Any) -> Any:
    def run(address: int, arguments: int) -> int:
        me, out = record(address), load_i64(arguments + 8)
        a, b = load_i64(arguments + 16), load_i64(arguments + 24)
        c, d = load_i64(arguments + 32), load_i64(arguments + 40)
        for i in range(load_i64(arguments)):
            x = read(me, update(me, load_a(a + 8 * i), load_b(b + 8 * i), load_c(c + 8 * i), load_d(d + 8 * i)))
            store_f64(out + 8 * i, x)
        return 0

    return run


_LOOPS: dict[int, Callable[..., Any]] = {1: _loop1, 2: _loop2, 3: _loop3, 4: _loop4}


@dataclass(frozen=True)
class Each:
    """An attribute of many indicators alike, one an instrument; `nt.each(nt.EMA(12))` makes one."""

    indicator: Indicator
    length: int = 0  # 0 for one for every instrument of the run

    def __getitem__(self, i: int) -> Any:
        raise TypeError("indicators of a strategy have values only inside a run")

    @property
    def dtype(self) -> np.dtype[Any]:
        """Layout of all of them."""
        return np.dtype((self.indicator.dtype, (self.length,)))


class Row:
    """The interpreted face of an `Each`: index it for one indicator."""

    __slots__ = ("_address", "_cls", "_size")

    def __init__(self, address: int, each: Each) -> None:
        self._address, self._cls = address, type(each.indicator)
        self._size = each.indicator.dtype.itemsize

    def __getitem__(self, i: int) -> Any:
        return self._cls.at(self._address + i * self._size)


def each(indicator: Indicator, length: int = 0) -> Any:
    """Indicators with the same parameters, one for every instrument of the run, or `length` of them.

    They are reached by number: `self.fast[ctx.instrument()].value()`.
    """
    if length < 0:
        raise ValueError(f"each makes one indicator an instrument (0) or a number of them, found {length}")
    return Each(indicator, int(length))


class Part:
    """How a record that holds an indicator (or a row of them) gets at it: its compiled type, and its view in Python."""

    def __init__(self, value: Indicator | Each) -> None:
        self.value = value

    def indicator(self) -> type[Indicator]:
        """The class of the indicator, or of each of them."""
        return type(self.value.indicator if isinstance(self.value, Each) else self.value)

    def describe(self) -> str:
        """What it is, as its author wrote it."""
        if isinstance(self.value, Each):
            return f"nt.each(nt.{self.value.indicator!r}{f', {self.value.length}' if self.value.length else ''})"
        return f"nt.{self.value!r}"

    def view(self, address: int) -> Any:
        """Live view in Python."""
        if isinstance(self.value, Each):
            return Row(address, self.value)
        return type(self.value).at(address)

    def compiled(self) -> Any:
        """Numba type."""
        if isinstance(self.value, Each):
            from nanotick.features.lowering import RowType

            return RowType(type(self.value.indicator), self.value.indicator.dtype.itemsize)
        return self.value.handle
