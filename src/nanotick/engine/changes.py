"""What an operator changes while a session runs, besides parameters: limits, and the code of a strategy.

Both are marks in the journal, obeyed by a replay at the same place. Code lies beside the journal as source, one file
for each version that ran, so that a session repeats whatever the user's own file says by then. New code takes the state
as it is: it may differ in what it does, not in the fields it has.
"""

from __future__ import annotations

import importlib.util
import inspect
import linecache
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanotick.core.files import write_durable
from nanotick.core.records import Kind
from nanotick.engine.journaling import SessionMark
from nanotick.risk.limits import RiskLimits, limit_number
from nanotick.strategy.base import Strategy
from nanotick.strategy.compile import compile_strategy
from nanotick.strategy.records import Callback

if TYPE_CHECKING:
    from nanotick.engine.local import LocalSide

CODE = "code"
_ID_DIGITS = 15  # of the digest: 60 bits
_LIMIT, _CODE = int(SessionMark.LIMIT), int(SessionMark.CODE)
MARKS = (_LIMIT, _CODE)


def code_id(cls: type[Strategy]) -> int:
    """Number of a version of a strategy's code, for a CODE mark."""
    return int(cls.source_key()[:_ID_DIGITS], 16)


def keep_code(directory: Path, cls: type[Strategy]) -> Path | None:
    """Keep the source of a user's strategy beside the journal; nanotick's own is named by its version."""
    if cls.__module__.startswith("nanotick."):
        return None
    try:
        file = inspect.getsourcefile(cls)
    except TypeError:
        return None  # typed into a prompt
    if file is None or not Path(file).is_file():
        return None
    folder = directory / CODE
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{cls.source_key()}-{cls.__qualname__}.py"
    if not path.exists():
        write_durable(path, Path(file).read_bytes())
    return path


def kept_code(directory: Path, key: str, module: str) -> type[Strategy] | None:
    """The class of a version that was kept, by the beginning of its digest; None if it was not."""
    for path in sorted((directory / CODE).glob(f"{key}*-*.py")):
        return load_class(path, path.stem.partition("-")[2], module)
    return None


def load_class(file: Path, name: str, module: str) -> type[Strategy]:
    """A strategy class, freshly read from a file.

    Raises
    ------
    ValueError
        The file does not define it.
    """
    spec = importlib.util.spec_from_file_location(module, file)
    if spec is None or spec.loader is None:
        raise ValueError(f"{file}: not a Python file")
    made = importlib.util.module_from_spec(spec)
    sys.modules[module] = made  # where inspect looks for the source of a class
    linecache.checkcache(str(file))
    spec.loader.exec_module(made)
    found: Any = made
    for part in name.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise ValueError(f"{file}: defines no strategy {name}")
    return found


def swap_code(local: LocalSide, number: int, cls: type[Strategy]) -> None:
    """Let a strategy go on with other code.

    Raises
    ------
    ValueError
        The new code has other fields.
    """
    count = max(1, len(local.instruments))
    setup = local.setups[number]
    now, new = local.selves[number].dtype, cls.dtype_for(count)
    if now != new:
        ours, theirs = set(now.names or ()), set(new.names or ())
        changed = ", ".join(sorted(ours ^ theirs)) or "their types"
        raise ValueError(
            f"{local.names[number]}: new code must have the fields of the old ({changed} differ); restart for that"
        )
    callbacks = compile_strategy(cls, count)
    muted = local.muted
    slot = local.slots_region.view[number]
    hears = setup.instruments or range(count)
    bit = 1 << number
    for which in Callback:
        slot["call_function"][which] = callbacks.get(which, 0)
        for instrument in hears:
            mask = int(local.masks[instrument, which])
            mask = mask | bit if which in callbacks else mask & ~bit
            local.masks[instrument, which] = mask - (1 << 64) if mask >= 1 << 63 else mask
    if not muted:
        local.hear()
    local.callbacks[number] = callbacks
    setups = list(local.setups)
    setups[number] = replace(setup, strategy=cls(**setup.strategy.parameters))
    local.setups = setups


def limit_value(local: LocalSide, scope: int, name: str, value: Any) -> tuple[RiskLimits, int, int]:
    """A scope's limits with one changed, which one that is, and its value in its own units.

    Raises
    ------
    ValueError
        There is no such limit, or it cannot have that value.
    """
    own = local.limits if scope >= len(local.setups) else local.setups[scope].limits or local.limits
    limit = limit_number(name)
    changed = replace(own, **{name: value})
    return changed, limit, changed.scaled()[limit]


def keep_limits(local: LocalSide, scope: int, limits: RiskLimits) -> None:
    """Remember a scope's limits as they are now."""
    if scope >= len(local.setups):
        local.limits = limits
    else:
        setups = list(local.setups)
        setups[scope] = replace(setups[scope], limits=limits)
        local.setups = setups


def obey(local: LocalSide, record: Any, directory: Path) -> None:
    """Do what a mark of a journal says, in a replay.

    Raises
    ------
    ValueError
        Code that ran is not beside the journal.
    """
    if int(record["kind"]) != Kind.SESSION:
        return
    number = int(record["seq"])
    if int(record["word"]) == _LIMIT:
        local.risk.set_one(number, int(record["id"]), int(record["price"]))
    elif int(record["word"]) == _CODE:
        key = f"{int(record['id']):0{_ID_DIGITS}x}"
        cls = kept_code(directory, key, type(local.setups[number].strategy).__module__)
        if cls is None:
            raise ValueError(f"{directory / CODE}: the code {key} that ran here is not kept")
        swap_code(local, number, cls)
