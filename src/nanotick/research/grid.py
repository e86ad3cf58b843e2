"""The grid of a sweep: names with their values, and every combination of them.

    threshold=0.6,0.7,0.8      these values
    size=100:500:5             five values from 100 to 500, evenly apart
    gamma=0.001:1:7:log        seven values in equal ratio

Names are those of `--set`: a parameter of every strategy that has it, `STRATEGY.NAME`, `venue.NAME`, `limits.NAME`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nanotick.research.run_config import (
    RunConfig,
    RunConfigError,
    build_limits,
    build_venue,
    load_strategy,
    parse_setting,
    short_name,
    with_value,
)

Settings = tuple[tuple[str, Any], ...]
MAX_COMBINATIONS = 1_000_000


@dataclass(frozen=True)
class Axis:
    """One parameter and its values, in the order given.

    Attributes
    ----------
    name : str
    values : tuple
    ranged : bool
        Computed from its ends: may be rounded to fit an integer parameter.
    """

    name: str
    values: tuple[Any, ...]
    ranged: bool = False


def parse_axis(text: str) -> Axis:
    """Read NAME=A,B,C, NAME=LOW:HIGH:COUNT or NAME=LOW:HIGH:COUNT:log.

    Raises
    ------
    RunConfigError
        It is none of these.

    Examples
    --------
    >>> parse_axis("size=100:300:3").values
    (100, 200, 300)
    """
    name, equals, said = text.partition("=")
    name = name.strip()
    if not equals or not name or not said.strip():
        raise RunConfigError(f"--grid {text}: expected NAME=A,B,C or NAME=LOW:HIGH:COUNT, for example size=100:500:5")
    if ":" in said:
        return Axis(name, _range(text, said.split(":")), ranged=True)
    values = tuple(parse_setting(f"{name}={part.strip()}")[1] for part in said.split(","))
    return _checked(Axis(name, values), f"--grid {text}")


def _range(text: str, parts: list[str]) -> tuple[Any, ...]:
    try:
        low, high, count = float(parts[0]), float(parts[1]), int(parts[2])
        scale = parts[3].strip() if len(parts) > 3 else "linear"
    except (ValueError, IndexError):
        raise RunConfigError(f"--grid {text}: expected LOW:HIGH:COUNT, for example 0.1:0.5:5") from None
    if scale not in ("linear", "log") or len(parts) > 4:
        raise RunConfigError(f"--grid {text}: expected `log` or nothing after the count, found {':'.join(parts[3:])!r}")
    if count < 1 or not math.isfinite(low) or not math.isfinite(high) or (count == 1 and low != high):
        raise RunConfigError(f"--grid {text}: expected two values or more between two different ends, found {count}")
    if scale == "log" and not (low > 0 and high > 0):
        raise RunConfigError(f"--grid {text}: ends of a log range must be positive, found {low:g} and {high:g}")
    share = [i / max(1, count - 1) for i in range(count)]
    if scale == "log":
        values = [low * (high / low) ** s for s in share]
    else:
        values = [low + (high - low) * s for s in share]
    values = [float(f"{v:.12g}") for v in values]  # 0.3, not 0.30000000000000004
    whole = all(v.is_integer() for v in values) and "." not in parts[0] + parts[1]
    return tuple(int(v) for v in values) if whole else tuple(values)


def _checked(axis: Axis, said: str) -> Axis:
    for value in axis.values:
        if value is None or isinstance(value, (dict, list)):
            raise RunConfigError(f"{said}: expected numbers, words or true and false, found {value!r}")
    twice = [v for i, v in enumerate(axis.values) if v in axis.values[:i]]
    if twice or not axis.values:
        raise RunConfigError(f"{said}: {'value ' + str(twice[0]) + ' is there twice' if twice else 'no values'}")
    return axis


def make_axes(grid: Sequence[str] | Mapping[str, Iterable[Any]]) -> list[Axis]:
    """Axes from the command line's words, or from names with their values."""
    if isinstance(grid, Mapping):
        axes = [_checked(Axis(name, tuple(_plain(v) for v in values)), f"grid {name}") for name, values in grid.items()]
    else:
        axes = [parse_axis(text) for text in grid]
    names = [axis.name for axis in axes]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise RunConfigError(f"grid: {twice[0]!r} is there twice; give all its values at once")
    if not axes:
        raise RunConfigError("no grid: give --grid NAME=A,B,C or --grid NAME=LOW:HIGH:COUNT, one for each parameter")
    return axes


def _plain(value: Any) -> Any:
    """A NumPy scalar as a Python number."""
    return value.item() if hasattr(value, "item") else value


def fit_axes(axes: Sequence[Axis], config: RunConfig) -> list[Axis]:
    """Axes as the run's strategies take them: checked, ranges of integer parameters rounded.

    Raises
    ------
    RunConfigError
        An unknown name, with the nearest match, or a value that its parameter cannot have.
    """
    fitted = []
    for axis in axes:
        with_value(config, axis.name, axis.values[0], f"grid {axis.name}")
        kind = parameter_kind(axis.name, config)
        if axis.ranged and kind is int:
            axis = replace(axis, values=tuple(dict.fromkeys(round(v) for v in axis.values)))
        for value in axis.values:
            try:
                check_config(with_value(config, axis.name, value))
            except RunConfigError:
                raise
            except (ValueError, TypeError) as error:
                raise RunConfigError(f"grid {axis.name}={value}: {error}") from error
        fitted.append(axis)
    combinations = math.prod(len(axis.values) for axis in fitted)
    if combinations > MAX_COMBINATIONS:
        raise RunConfigError(
            f"grid: {combinations:,} combinations, at most {MAX_COMBINATIONS:,}; take fewer values, or search with "
            "`nanotick optimize`"
        )
    return fitted


def parameter_kind(name: str, config: RunConfig) -> type:
    """Type of a strategy's parameter; float for what is none."""
    scope, _, inner = name.rpartition(".")
    for choice in config.strategies:
        fields = load_strategy(choice.use).fields
        if inner in fields and scope in ("", choice.name, short_name(choice.use)):
            return type(fields[inner])
    return float


def check_config(config: RunConfig) -> None:
    """Make everything a run needs but its data, so that what is wrong is said before the first run."""
    for choice in config.strategies:
        load_strategy(choice.use)(**choice.parameters)
        build_limits(choice.limits, f"limits of {choice.use}")
    build_venue(config)
    build_limits(config.limits)


def combinations(axes: Sequence[Axis]) -> list[Settings]:
    """Every combination; the last axis moves fastest."""
    names = [axis.name for axis in axes]
    return [tuple(zip(names, values, strict=True)) for values in itertools.product(*(a.values for a in axes))]
