"""A backtest as a YAML file: data, strategies with their parameters and limits, and the venue's models.

    data: [monday.nt, tuesday.nt]
    symbols: [ALFA, BETA]
    cash: 100000
    currency: USD
    rates: {USDT: "0.9998"}              # USD in one of what else instruments settle in
    time_zone: America/New_York          # of trading days and of the report; the venue's may be another
    strategies:
      - use: glft                        # a built-in strategy, or path.py:Class
        per_symbol: true                 # one instance for each symbol, each with its own cash
        parameters: {size: 200}
        limits: {max_position_share: "0.5"}
      - use: my_strategy.py:Fast
    limits: {max_order_value: 250000}    # of every strategy that names none
    venue:
      queue: power_prob
      entry_latency: {model: lognormal, ns: 50000, spread: 0.3}
      fees: {maker_per_unit: "-0.002", taker_per_unit: "0.003"}

Every unknown key is refused by name, with the nearest one that exists. What the command line says comes on top.
"""

from __future__ import annotations

import importlib.util
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from nanotick.core.fixed import to_scaled
from nanotick.core.instruments import InstrumentTable
from nanotick.core.suggest import nearest
from nanotick.engine.local import StrategySetup
from nanotick.exchange.config import VenueConfig, venue_config
from nanotick.risk.limits import RiskLimits
from nanotick.strategies import BUILT_IN, built_in
from nanotick.strategy.base import Strategy


class RunConfigError(ValueError):
    """Something a configuration says is not what nanotick knows."""


def check_keys(where: str, values: Any, known: Iterable[str]) -> Mapping[str, Any]:
    """The mapping, if all of its keys are known.

    Raises
    ------
    RunConfigError
        It is no mapping, or a key is unknown; the message has the nearest match.
    """
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise RunConfigError(f"{where}: expected names and values, found {values!r}")
    names = list(known)
    for key in values:
        if key not in names:
            hint = nearest(key, names, 0.5)
            raise RunConfigError(f"{where}: unknown key {key!r}{hint} There are: {', '.join(names)}")
    return values


@dataclass(frozen=True)
class StrategyChoice:
    """One entry under `strategies`.

    Attributes
    ----------
    use : str
        Name of a built-in strategy, or path.py:Class.
    name : str
        In reports; `use` without the path when empty.
    symbols : tuple of str
        What it hears of; empty: everything.
    per_symbol : bool
        One instance a symbol, each with its own cash and limits, instead of one over all of them.
    cash : str
        Starting cash of each instance; empty: the run's.
    parameters, limits : mapping
    """

    use: str
    name: str = ""
    symbols: tuple[str, ...] = ()
    per_symbol: bool = False
    cash: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    limits: Any = None


@dataclass(frozen=True)
class RunConfig:
    """A whole configuration; see the module's docstring."""

    data: tuple[str, ...] = ()
    format: str = ""
    symbols: tuple[str, ...] = ()
    start: str = ""
    end: str = ""
    cash: str = "50000"
    currency: str = ""
    rates: Mapping[str, str] = field(default_factory=dict)
    time_zone: str = ""
    sample_interval: float = 1.0
    seed: int = 1
    strategies: tuple[StrategyChoice, ...] = ()
    limits: Any = None
    venue: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the report."""
        chosen = [{f.name: getattr(s, f.name) for f in fields(s)} for s in self.strategies]
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "strategies"}
        return {**plain, "strategies": {s["name"] or s["use"]: s for s in chosen}}


_KEYS = {"from": "start", "to": "end"}


def read_yaml(path: Path) -> Any:
    """Plain values of a YAML file.

    Raises
    ------
    RunConfigError
        Not readable, or not YAML.
    """
    import yaml

    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise RunConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RunConfigError(f"{path}: not YAML: {error}") from error


def read_config(path: Path) -> RunConfig:
    """Read a YAML configuration.

    Raises
    ------
    RunConfigError
        As `read_yaml`, or with a key that does not exist.
    """
    return config_from(read_yaml(path), str(path), path.parent)


def config_from(values: Any, where: str = "configuration", folder: Path | None = None) -> RunConfig:
    """A configuration from plain values; relative paths of data and strategies count from `folder`."""
    names = [f.name for f in fields(RunConfig)] + list(_KEYS)
    given = {_KEYS.get(k, k): v for k, v in check_keys(where, values, names).items()}
    strategies = given.pop("strategies", [])
    if not isinstance(strategies, list):
        raise RunConfigError(f"{where}: strategies: expected a list, found {strategies!r}")
    choices = []
    for number, entry in enumerate(strategies):
        at = f"{where}: strategies[{number}]"
        entry = {"use": entry} if isinstance(entry, str) else entry
        inner = dict(check_keys(at, entry, [f.name for f in fields(StrategyChoice)]))
        if not inner.get("use"):
            raise RunConfigError(f"{at}: expected `use: NAME` or `use: path.py:Class`")
        inner["symbols"] = _texts(at, "symbols", inner.get("symbols", ()))
        inner["cash"] = str(inner.get("cash", ""))
        if folder and ":" in inner["use"] and not Path(inner["use"]).is_absolute():
            inner["use"] = str(folder / inner["use"])
        check_keys(f"{at}.parameters", inner.get("parameters"), inner.get("parameters") or {})
        inner["parameters"] = dict(inner.get("parameters") or {})
        choices.append(StrategyChoice(**inner))
    for key in ("data", "symbols"):
        if key in given:
            given[key] = _texts(where, key, given[key])
    if folder and "data" in given:
        given["data"] = tuple(p if Path(p).is_absolute() else str(folder / p) for p in given["data"])
    rates = check_keys(f"{where}: rates", given.get("rates"), given.get("rates") or {})
    given["rates"] = {str(name): str(rate) for name, rate in rates.items()}
    for key in ("start", "end", "cash", "currency", "time_zone"):
        if key in given:
            given[key] = str(given[key])
    try:
        given["sample_interval"] = float(given.get("sample_interval", 1.0))
        given["seed"] = int(given.get("seed", 1))
    except (TypeError, ValueError) as error:
        raise RunConfigError(f"{where}: sample_interval and seed must be numbers: {error}") from error
    given["venue"] = dict(check_keys(f"{where}: venue", given.get("venue"), [f.name for f in fields(VenueConfig)]))
    return RunConfig(strategies=tuple(choices), **given)


def _texts(where: str, key: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, (list, tuple)):
        raise RunConfigError(f"{where}: {key}: expected a list, found {value!r}")
    return tuple(str(v) for v in value)


def parse_setting(text: str) -> tuple[str, Any]:
    """NAME=VALUE with the value read as YAML reads it: 5 and 0.5 are numbers, true is a bool, the rest is text."""
    import yaml

    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise RunConfigError(f"--set {text}: expected NAME=VALUE, for example --set size=200")
    try:
        return name.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RunConfigError(f"--set {text}: the value is not readable: {error}") from error


def with_settings(config: RunConfig, settings: Sequence[str]) -> RunConfig:
    """Lay `--set` on top: `venue.NAME`, `limits.NAME`, `STRATEGY.NAME`, or NAME for every strategy that has it.

    Raises
    ------
    RunConfigError
        No strategy of the run has such a parameter.
    """
    for text in settings:
        name, value = parse_setting(text)
        config = with_value(config, name, value, f"--set {text}")
    return config


def with_value(config: RunConfig, name: str, value: Any, said: str = "") -> RunConfig:
    """Lay one value on top, named as in `with_settings`.

    Parameters
    ----------
    said : str
        How the user said it, for the error; `name` when left out.

    Raises
    ------
    RunConfigError
        No strategy of the run has such a parameter.
    """
    scope, dot, inner = name.rpartition(".")
    if (dot and scope in ("venue", "limits")) or scope.startswith("venue."):
        return replace(config, **_nested(config, name.split("."), value))
    choices, hit = [], False
    for choice in config.strategies:
        has = inner in load_strategy(choice.use).fields
        if has and (not dot or scope in (choice.name, short_name(choice.use))):
            choice, hit = replace(choice, parameters={**choice.parameters, inner: value}), True
        choices.append(choice)
    if not hit:
        known = sorted({f for c in config.strategies for f in load_strategy(c.use).fields})
        hint = nearest(inner, known, 0.5)
        raise RunConfigError(
            f"{said or name}: no strategy has a parameter {name!r}{hint} There are: {', '.join(known)}"
        )
    return replace(config, strategies=tuple(choices))


def _nested(config: RunConfig, path: list[str], value: Any) -> dict[str, Any]:
    """The top-level field with one value inside it replaced."""
    top = getattr(config, path[0])
    root: dict[str, Any] = dict(top) if isinstance(top, Mapping) else {}
    at = root
    for key in path[1:-1]:
        at[key] = dict(at.get(key) or {}) if isinstance(at.get(key), Mapping) or key not in at else {}
        at = at[key]
    at[path[-1]] = value
    return {path[0]: root}


def with_rates(config: RunConfig, texts: Sequence[str]) -> RunConfig:
    """Lay `--rate CURRENCY=NUMBER` on top.

    Raises
    ------
    RunConfigError
        A text is not of that form.
    """
    rates = dict(config.rates)
    for text in texts:
        name, equals, rate = text.partition("=")
        if not equals or not name.strip() or not rate.strip():
            raise RunConfigError(f"--rate {text}: expected CURRENCY=NUMBER, for example --rate USDT=0.9998")
        rates[name.strip()] = rate.strip()
    return replace(config, rates=rates)


def short_name(use: str) -> str:
    """What a strategy is called in reports: the built-in name, or the class."""
    return use.rpartition(":")[2] if ":" in use else use


def load_strategy(use: str) -> type[Strategy]:
    """The class behind a built-in name or path.py:Class.

    Raises
    ------
    RunConfigError
        No such name, file or class.
    """
    path, colon, cls = use.rpartition(":")
    if not colon and not use.endswith(".py"):
        try:
            return built_in(use)
        except ValueError as error:
            raise RunConfigError(f"{error}; a strategy of your own is given as path.py:Class") from error
    path = path or use
    file = Path(path).resolve()
    if not file.is_file():
        raise RunConfigError(f"strategy {use}: there is no file {path}; built-in are {', '.join(BUILT_IN)}")
    module = _module(file)
    own = {
        name: item
        for name, item in vars(module).items()
        if isinstance(item, type) and issubclass(item, Strategy) and item.__module__ == module.__name__
    }
    if not colon and len(own) == 1:
        return next(iter(own.values()))
    if cls not in own or not colon:
        hint = nearest(cls, own, 0.4)
        raise RunConfigError(
            f"strategy {use}: {file.name} defines {', '.join(own) or 'no class derived from nanotick.Strategy'}"
            f"{', not ' + repr(cls) if colon else ': name one as path.py:Class'}{hint}"
        )
    return own[cls]


def _module(file: Path) -> Any:
    name = f"nanotick_user_{file.stem}_{zlib.crc32(str(file).encode()):08x}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise RunConfigError(f"{file}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        sys.modules.pop(name, None)
        raise RunConfigError(f"{file}:{error.lineno}: {error.msg}") from error
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def build_limits(values: Any, where: str = "limits") -> RiskLimits | None:
    """Limits from plain values: a mapping, the word `unlimited`, or nothing."""
    if values is None:
        return None
    if values == "unlimited":
        return RiskLimits.unlimited()
    return RiskLimits(**check_keys(where, values, [f.name for f in fields(RiskLimits)]))


def build_venue(config: RunConfig) -> VenueConfig:
    """The venue's models."""
    return venue_config(config.venue)


def _bound(cls: type[Strategy], name: str, instruments: tuple[int, ...], choice: StrategyChoice) -> dict[str, Any]:
    try:
        return cls.bound_to(instruments, dict(choice.parameters))
    except ValueError as error:
        raise RunConfigError(f"strategy {name}: {error}; give it `symbols`") from None


def build_setups(config: RunConfig) -> Callable[[InstrumentTable], list[StrategySetup]]:
    """Strategies with their instruments, once these are known.

    Returns
    -------
    callable
        What `nanotick.backtest` takes as `strategies`.
    """

    def setups(table: InstrumentTable) -> list[StrategySetup]:
        made: list[StrategySetup] = []
        for choice in config.strategies:
            cls = load_strategy(choice.use)
            name = choice.name or short_name(choice.use)
            cash = to_scaled(choice.cash or config.cash, 6, f"cash of {name}")
            limits = build_limits(choice.limits, f"limits of {name}")
            numbers = [n for n, item in enumerate(table) if not choice.symbols or item.symbol in choice.symbols]
            unknown = [s for s in choice.symbols if s not in table.symbols]
            if unknown:
                raise RunConfigError(f"strategy {name}: no symbol {', '.join(unknown)} in the data: {table.names()}")
            groups = [(n,) for n in numbers] if choice.per_symbol and len(numbers) > 1 else [tuple(numbers)]
            for group in groups:
                label = f"{name} {table[group[0]].symbol}" if len(groups) > 1 else name
                made.append(StrategySetup(cls(**_bound(cls, name, group, choice)), group, cash, limits, label))
        names = [s.name for s in made]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise RunConfigError(f"two strategies are called {twice[0]!r}: give each a `name`")
        return made

    return setups
