"""What a live run is told, from the command line, a YAML file, `.env` and the environment, in that order of weight.

The YAML is that of a backtest (`nanotick.research.run_config`), and besides:

    mode: paper                    # fast, balanced, production, paper, shadow, live
    venues: [alpaca]               # where orders go
    feeds: [polygon]               # where prices come from; the venue's own if left out
    duration: 3600                 # seconds of trading
    endpoints: {alpaca.rest: "http://127.0.0.1:8081"}
    state: state/us                # state directory
    flatten: true                  # close positions at the end
    heartbeat: 0                   # seconds without an operator after which everything is killed
    threading: inline              # or pinned: feeds, engine and gateway on cores of their own
    cores: {feeds: 1, engine: 2, gateway: 3}    # of a pinned session; chosen if left out
    orders: {order_timeout: 5, reconcile_interval: 60, foreign_orders: adopt, holdings: adopt}
    log_level: normal
    hft: {...}                     # the tree of feeds, order_management, strategy_engine and risk_management

Unknown keys are refused by name, with the nearest that exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from nanotick.research.run_config import RunConfig, RunConfigError, check_keys, config_from, read_yaml
from nanotick.venues.cores import ROLES, cores_from
from nanotick.venues.working import TraderConfig

EMBEDDED_MODES = ("fast", "balanced", "production")
MODES = (*EMBEDDED_MODES, "paper", "shadow", "live")
THREADING = ("inline", "pinned")
LOG_LEVELS = {"quiet": "error", "normal": "info", "verbose": "info", "debug": "debug"}
TIER_1 = ("SPY", "NVDA", "QQQ", "TSLA", "AAPL", "MSFT", "IBIT", "META", "AMZN", "GOOGL")

# Seconds of trading, whether the loop spins, simulated seconds in one, durable journal.
PROFILES: dict[str, dict[str, Any]] = {
    "fast": {"duration": 30.0, "spin": True},
    "balanced": {"duration": 60.0, "spin": False},
    "production": {"duration": 0.0, "spin": False},
    "paper": {"duration": 0.0, "spin": False},
    "shadow": {"duration": 0.0, "spin": False},
    "live": {"duration": 0.0, "spin": False},
}

_HFT: dict[str, dict[str, str]] = {
    "feeds": {
        "providers": "feeds",
        "buffer_size": "",  # nothing is buffered between a frame and the step
        "latency_threshold": "limits.max_book_age_s",
        "reconnect_interval": "",  # back-off is the venue's: its limits on connections are known
    },
    "order_management": {
        "max_orders_per_second": "limits.max_orders_per_second",
        "order_timeout": "orders.order_timeout",
        "fill_timeout": "",
        "retry_attempts": "",  # orders are never sent twice; queries go on until they are answered
    },
    "strategy_engine": {
        "max_strategies": "max_strategies",
        "signal_buffer_size": "",
        "execution_timeout": "orders.order_timeout",
        "performance_window": "sample_interval",
    },
    "risk_management": {
        "max_daily_loss": "limits.max_daily_loss_share",
        "max_drawdown": "limits.max_drawdown_share",
        "max_position_size": "limits.max_position_qty",
        "max_exposure": "limits.max_gross_exposure_share",
        "check_interval": "sample_interval",
        "violation_threshold": "",
    },
}
_LIVE_KEYS = (
    "mode", "venues", "feeds", "duration", "endpoints", "state", "flatten", "heartbeat", "orders", "log_level", "hft",
    "threading", "cores",
)  # fmt: skip


@dataclass(frozen=True)
class LiveConfig:
    """A live run as it was asked for.

    Attributes
    ----------
    run : RunConfig
        Strategies, limits, cash and the rest, as in a backtest.
    notes : tuple of str
        What was given and has no meaning here, and why.
    """

    run: RunConfig = field(default_factory=RunConfig)
    mode: str = "balanced"
    venues: tuple[str, ...] = ()
    feeds: tuple[str, ...] = ()
    duration: float | None = None
    endpoints: Mapping[str, str] = field(default_factory=dict)
    state: str = ""
    flatten: bool = False
    heartbeat: float = 0.0
    threading: str = "inline"
    cores: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    orders: TraderConfig = field(default_factory=TraderConfig)
    log_level: str = "normal"
    notes: tuple[str, ...] = ()

    @property
    def embedded(self) -> bool:
        """Whether the venue is the embedded exchange."""
        return self.mode in EMBEDDED_MODES


def read_live_config(path: Path) -> LiveConfig:
    """Read a YAML file.

    Raises
    ------
    RunConfigError
        As `read_yaml`, or with a key that does not exist.
    """
    return live_config_from(read_yaml(path), str(path), path.parent)


def live_config_from(values: Any, where: str = "configuration", folder: Path | None = None) -> LiveConfig:
    """A configuration from plain values."""
    known = [*_LIVE_KEYS, *(f.name for f in fields(RunConfig)), "from", "to"]
    given = dict(check_keys(where, values, known))
    live = {name: given.pop(name) for name in _LIVE_KEYS if name in given}
    notes: list[str] = []
    tree = live.pop("hft", None)
    if tree is not None:
        _take_tree(f"{where}: hft", tree, given, live, notes)
    most = given.pop("max_strategies", None)
    run = config_from(given, where, folder)
    if most is not None and len(run.strategies) > int(most):
        raise RunConfigError(f"{where}: {len(run.strategies)} strategies; max_strategies is {most}")
    return LiveConfig(run=run, notes=tuple(notes), **_live_values(where, live))


def _live_values(where: str, live: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in live.items():
        if name in ("venues", "feeds"):
            texts = [value] if isinstance(value, str) else value
            if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
                raise RunConfigError(f"{where}: {name}: expected names, found {value!r}")
            made[name] = tuple(texts)
        elif name == "orders":
            check_keys(f"{where}: orders", value, [f.name for f in fields(TraderConfig)])
            made[name] = trader_config(value or {}, f"{where}: orders")
        elif name == "endpoints":
            check_keys(f"{where}: endpoints", value, value or {})
            made[name] = {str(k): str(v) for k, v in (value or {}).items()}
        elif name == "cores":
            check_keys(f"{where}: cores", value, ROLES)
            try:
                made[name] = cores_from(value, f"{where}: cores")
            except ValueError as error:
                raise RunConfigError(str(error)) from error
        elif name in ("duration", "heartbeat"):
            made[name] = _number(f"{where}: {name}", value)
        elif name == "flatten":
            if not isinstance(value, bool):
                raise RunConfigError(f"{where}: flatten: expected true or false, found {value!r}")
            made[name] = value
        else:
            made[name] = str(value)
    if made.get("mode", "paper") not in MODES:
        raise RunConfigError(f"{where}: mode: expected one of {', '.join(MODES)}, found {made['mode']!r}")
    if made.get("threading", "inline") not in THREADING:
        raise RunConfigError(f"{where}: threading: expected one of {', '.join(THREADING)}, found {made['threading']!r}")
    if made.get("log_level", "normal") not in LOG_LEVELS:
        raise RunConfigError(
            f"{where}: log_level: expected one of {', '.join(LOG_LEVELS)}, found {made['log_level']!r}"
        )
    return made


def trader_config(values: Mapping[str, Any], where: str) -> TraderConfig:
    """How orders are handled.

    Raises
    ------
    RunConfigError
        A value is not of its kind.
    """
    made: dict[str, Any] = {}
    for name, value in values.items():
        if name in ("foreign_orders", "holdings"):
            allowed = ("adopt", "cancel", "refuse") if name == "foreign_orders" else ("adopt", "leave", "refuse")
            if value not in allowed:
                raise RunConfigError(f"{where}.{name}: expected one of {', '.join(allowed)}, found {value!r}")
            made[name] = value
        else:
            made[name] = _number(f"{where}.{name}", value)
    return TraderConfig(**made)


def _number(where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
        raise RunConfigError(f"{where}: expected a number of seconds, 0 or more, found {value!r}")
    return float(value)


def _take_tree(where: str, tree: Any, given: dict[str, Any], live: dict[str, Any], notes: list[str]) -> None:
    """The `hft` tree into our own keys."""
    check_keys(where, tree, ["enabled", *_HFT])
    if tree.get("enabled") is False:
        raise RunConfigError(f"{where}: enabled is false: nothing to run")
    for part, names in _HFT.items():
        values = check_keys(f"{where}.{part}", tree.get(part), names)
        for name, value in values.items():
            target = names[name]
            scope, _, inner = target.rpartition(".")
            if not target:
                notes.append(f"hft.{part}.{name} has no meaning here")
            elif scope == "limits":
                if inner.endswith("_share") and isinstance(value, (int, float)) and value > 1:
                    # an amount of money, where ours are shares of equity
                    value = str(Decimal(str(value)) / Decimal(str(given.get("cash", RunConfig.cash))))
                given["limits"] = {**(given.get("limits") or {}), inner: value}
            elif scope == "orders":
                live["orders"] = {**(live.get("orders") or {}), inner: value}
            elif target == "feeds":
                live.setdefault("feeds", value)
            else:
                given[target] = value


def with_environment(config: LiveConfig, environment: Mapping[str, str]) -> LiveConfig:
    """Lay TRADING_MODE, TRADING_SYMBOLS, MAX_POSITION_SIZE and LOG_LEVEL under what the file says.

    Raises
    ------
    RunConfigError
        A value is none of those allowed.
    """
    mode, level = environment.get("TRADING_MODE", ""), environment.get("LOG_LEVEL", "").lower()
    changes: dict[str, Any] = {}
    if mode and config.mode == LiveConfig.mode:
        if mode not in MODES:
            raise RunConfigError(f"TRADING_MODE: expected one of {', '.join(MODES)}, found {mode!r}")
        changes["mode"] = mode
    if level in LOG_LEVELS and config.log_level == LiveConfig.log_level:
        changes["log_level"] = level
    run = config.run
    if environment.get("TRADING_SYMBOLS") and not run.symbols:
        run = replace(run, symbols=tuple(s.strip() for s in environment["TRADING_SYMBOLS"].split(",") if s.strip()))
    size = environment.get("MAX_POSITION_SIZE")
    if size and "max_position_qty" not in (run.limits or {}):
        run = replace(run, limits={**(run.limits or {}), "max_position_qty": size})
    return replace(config, run=run, **changes)


def read_dotenv(path: Path) -> dict[str, str]:
    """Variables of a `.env` file: NAME=VALUE a line, `#` comments, quotes and `export` allowed.

    Raises
    ------
    RunConfigError
        A line is none of these; the message has its number and not its text, which may be a key.
    """
    found: dict[str, str] = {}
    if not path.is_file():
        return found
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        text = line.strip().removeprefix("export ").strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier():
            raise RunConfigError(f"{path}: line {number}: expected NAME=VALUE")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        else:
            value = value.partition(" #")[0].rstrip()
        found[name.strip()] = value
    return found
