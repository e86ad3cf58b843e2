"""What a strategy can be told: its parameters with their defaults and what its docstrings say of them.

Parameters of a class are those that its docstring and those of its bases name (NumPy style, section Parameters), the
class's own first. Everything else among its attributes is state.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from nanotick.strategy.base import Array, Strategy


@dataclass(frozen=True)
class Described:
    """One parameter.

    Attributes
    ----------
    name, meaning : str
    kind : str
        float, int, bool or array.
    default : Any
        A number; None for an array, which begins as zeros.
    length : int
        Of an array, else 0.
    """

    name: str
    kind: str
    default: Any
    meaning: str
    length: int = 0


def documented(doc: str) -> dict[str, str]:
    """Parameters of a NumPy-style docstring and what is said about each.

    Examples
    --------
    >>> documented('''What it is.
    ...
    ... Parameters
    ... ----------
    ... fast, slow : float
    ...     Half-lives,
    ...     seconds.
    ...
    ... Examples
    ... --------
    ... ''')
    {'fast': 'Half-lives, seconds.', 'slow': 'Half-lives, seconds.'}
    """
    found: dict[str, str] = {}
    names: list[str] = []
    inside = False
    lines = inspect.cleandoc(doc).splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        text = line.strip()
        if text and following and set(following.strip()) == {"-"}:
            inside, names = text == "Parameters", []
        elif inside and " : " in text and not line.startswith(" "):
            names = text.split(" : ")[0].split(", ")
            found.update(dict.fromkeys(names, ""))
        elif inside and text and set(text) != {"-"}:
            for name in names:
                found[name] = f"{found[name]} {text}".strip()
    return found


def described(cls: type[Strategy]) -> list[Described]:
    """Parameters of a strategy, its own before those of its bases; all scalar attributes if nothing is documented."""
    meaning: dict[str, str] = {}
    for base in cls.__mro__:
        if issubclass(base, Strategy) and base is not Strategy:
            for name, text in documented(base.__dict__.get("__doc__") or "").items():
                meaning.setdefault(name, text)
    scalars = cls().parameters
    rows = []
    for name, text in meaning.items() if meaning else ((name, "") for name in scalars):
        if name in scalars:
            rows.append(Described(name, type(scalars[name]).__name__, scalars[name], text))
        elif isinstance(cls.fields.get(name), Array):
            rows.append(Described(name, "array", None, text, cls.fields[name].length))
    return rows
