"""A user's own model: a Python class whose methods are compiled and reached from the venue by address.

A model class derives from one of the protocols (`QueueModel`, `LatencyModel`, `FeeModel`, `ImpactModel`). Annotated
attributes with defaults are its parameters and its state: int, float or bool, laid out as one record in the arena, so
they are in snapshots and in the state hash. Each protocol's methods become functions `i8(subject address, change
address)`; `change` is a `MODEL_CHANGE` record, whose fields the protocol explains.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from typing import Any, ClassVar, get_type_hints

import numpy as np

from nanotick.core.arena import Arena
from nanotick.core.kernel import callback, kernel
from nanotick.core.memory import record_at
from nanotick.exchange.records import change_at

_CODES: dict[Any, str] = {int: "<i8", float: "<f8", bool: "?"}
_COMPILED: dict[str, dict[str, int]] = {}


class VenueModel:
    """Base of the four protocols; not derived from directly.

    Parameters
    ----------
    **parameters
        Values for the annotated attributes.

    Raises
    ------
    TypeError
        An attribute is neither int, float nor bool, has no default, or a parameter is unknown.
    """

    verbs: ClassVar[tuple[str, ...]] = ()
    fields: ClassVar[dict[str, Any]] = {}
    dtype: ClassVar[np.dtype[Any]] = np.dtype([("empty", "<i8")])

    def __init_subclass__(cls, protocol: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if protocol:
            return
        fields: dict[str, Any] = {}
        for name, kind in get_type_hints(cls).items():
            if name in ("verbs", "fields", "dtype", "returns"):
                continue
            if kind not in _CODES:
                raise TypeError(f"{cls.__name__}.{name}: expected int, float or bool, found {kind}")
            if name not in vars(cls) and not any(name in vars(base) for base in cls.__mro__):
                raise TypeError(f"{cls.__name__}.{name}: give it a default value")
            fields[name] = kind
        cls.fields = fields
        cls.dtype = np.dtype([(n, _CODES[k]) for n, k in fields.items()] or [("empty", "<i8")], align=True)
        for verb in cls.verbs:
            if not callable(getattr(cls, verb, None)):
                raise TypeError(f"{cls.__name__} needs a method {verb}(self, ...)")

    def __init__(self, **parameters: Any) -> None:
        unknown = sorted(set(parameters) - set(self.fields))
        if unknown:
            known = ", ".join(self.fields) or "none"
            raise TypeError(f"{type(self).__name__} has no parameter {unknown[0]!r}; it has: {known}")
        self.values = {n: kind(parameters.get(n, getattr(type(self), n))) for n, kind in self.fields.items()}

    def lay(self, arena: Arena, name: str) -> int:
        """Put the model's record into an arena; its address."""
        region = arena.region(name, self.dtype, 1)
        for field, value in self.values.items():
            region.view[0][field] = value
        return region.address


def _source_of(function: Any) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        code = function.__code__
        return f"{code.co_code!r}{code.co_consts!r}{code.co_names!r}"


def compile_model(model: VenueModel, subject_at: Any, returns_value: bool) -> dict[str, int]:
    """Compile a model's verbs.

    Parameters
    ----------
    model : VenueModel
    subject_at : callable or None
        Accessor of the verb's first record; None when the protocol has only the change.
    returns_value : bool
        The verbs give an integer.

    Returns
    -------
    dict
        Verb to the address for `core.memory.call2`.
    """
    cls = type(model)
    text = "".join(_source_of(getattr(cls, verb)) for verb in cls.verbs)
    digest = hashlib.blake2b(f"{text}|{cls.dtype}".encode(), digest_size=12).hexdigest()
    key = f"{cls.__module__}.{cls.__qualname__}|{digest}"
    if key not in _COMPILED:
        self_at = record_at(cls.dtype, cls.__name__)
        addresses = {}
        for verb in cls.verbs:
            entry = _entry(kernel(getattr(cls, verb)), self_at, subject_at, returns_value)
            entry.__name__ = f"{cls.__name__}_{verb}"
            addresses[verb] = callback(entry, f"{key}|{verb}")
        _COMPILED[key] = addresses
    return _COMPILED[key]


def _entry(body: Any, self_at: Any, subject_at: Any, returns_value: bool) -> Callable[[int, int], int]:
    if subject_at is None:

        def entry(subject: int, change: int) -> int:
            told = change_at(change)
            return int(body(self_at(told.self_address), told))

    elif returns_value:

        def entry(subject: int, change: int) -> int:
            told = change_at(change)
            return int(body(self_at(told.self_address), subject_at(subject), told))

    else:

        def entry(subject: int, change: int) -> int:
            told = change_at(change)
            body(self_at(told.self_address), subject_at(subject), told)
            return 0

    return entry
