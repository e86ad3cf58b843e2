"""`nanotick run`: strategies on live data, against the embedded exchange, on paper, in the shadow or for real."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from nanotick.cli.live_config import LiveConfig

INTERRUPTED, BAD, USAGE = 130, 1, 2
MARKET = "us-equities"


def run(
    *,
    mode: str = "",
    venue: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    feed: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    symbols: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    strategy: Annotated[tuple[str, ...], Parameter(name=["--strategy", "-s"], negative="")] = (),
    settings: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    duration: float | None = None,
    config: Path | None = None,
    state: Path | None = None,
    cash: str = "",
    seed: int | None = None,
    per_symbol: bool | None = None,
    numa_node: int | None = None,
    threading: str = "",
    log_level: str = "",
    skip_backtest: Annotated[bool, Parameter(negative="")] = False,
    real_money: Annotated[bool, Parameter(name="--i-understand-this-trades-real-money", negative="")] = False,
    live: bool | None = None,
    test: Annotated[bool, Parameter(negative="")] = False,
    daily_target: float = 0.0,
    json_path: Annotated[Path | None, Parameter(name="--json", allow_leading_hyphen=True)] = None,
    html: Path | None = None,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
) -> int:
    """Trade.

    For example:

    nanotick run                                            the embedded exchange over loopback, for a minute

    nanotick run --mode paper --venue alpaca --feed polygon --symbols SPY,QQQ -s glft

    nanotick run --mode shadow --venue binance --symbols BTCUSDT -s my_strategy.py:Fast --duration 3600

    nanotick run --test                                     is this machine, this installation fit to trade?

    nanotick status, nanotick kill, nanotick set: talk to it while it runs

    Exit codes: 0 done, 1 the session failed, 2 wrong usage or configuration, 130 stopped with
    Ctrl-C (orders are cancelled and connections closed first; a second Ctrl-C ends at once).

    Parameters
    ----------
    mode
        fast, balanced or production: the embedded exchange behind Alpaca's and Polygon's protocols, on real sockets
        (fast: 30 s and a loop that never sleeps; balanced: 60 s; production: until stopped). paper: the venue's paper
        account, or fills simulated here where it has none. shadow: decisions on live data, nothing sent. live: real
        orders. balanced by default.
    venue
        Where orders go; may be repeated.
    feed
        Where prices come from; the venue's own by default; may be repeated.
    symbols
        Separated by commas.
    strategy
        A built-in strategy or path.py:Class; may be repeated.
    settings
        NAME=VALUE: a parameter of every strategy that has it, of one as STRATEGY.NAME, a limit as limits.NAME.
    duration
        Seconds of trading; 0 for until stopped.
    config
        YAML file.
    state
        State directory: journals, log, kill switch. One a desk.
    cash
        Starting cash of each strategy.
    seed
        Of the embedded market and of strategies that draw.
    per_symbol
        One instance of each strategy for each symbol.
    numa_node
        Run on the cores of this NUMA node.
    threading
        inline: everything in the callback that brings the bytes, the fastest for one feed. pinned: feeds, engine and
        gateway on cores of their own, which `cores:` of the configuration may name. inline by default.
    log_level
        quiet, normal, verbose or debug.
    skip_backtest
        No backtest before the embedded exchange opens.
    real_money
        Needed for --mode live.
    live
        Draw the live screen; by default on a terminal.
    test
        A minute (or --duration) against the embedded exchange that checks everything: connections cut and back, kill
        switch pulled and lifted, latencies, limits, positions, replay. Exit code 0 when nothing is broken, else 1.
    daily_target
        Profit of a day that --test compares with; 1 % of capital by default.
    json_path
        Write the session's figures as JSON here; - prints them and nothing else.
    html
        Write the report here.
    quiet
        No lines, no progress.
    """
    from nanotick.cli import live_config as lc
    from nanotick.cli.backtest import merged
    from nanotick.research import run_config as rc

    environment = {**lc.read_dotenv(Path(".env")), **os.environ}
    asked = lc.with_environment(lc.read_live_config(config) if config else lc.LiveConfig(), environment)
    base = merged(asked.run, (), strategy, symbols, "", "", cash, None, seed, "", per_symbol)
    over = {
        "mode": mode, "venues": venue, "feeds": feed, "duration": duration, "state": str(state or ""),
        "log_level": log_level, "threading": threading,
    }  # fmt: skip
    asked = replace(asked, run=base, **{k: v for k, v in over.items() if v or v == 0.0})  # type: ignore[arg-type]
    if asked.mode not in lc.MODES:
        raise rc.RunConfigError(f"--mode: expected one of {', '.join(lc.MODES)}, found {asked.mode!r}")
    if asked.threading not in lc.THREADING:
        raise rc.RunConfigError(f"--threading: expected one of {', '.join(lc.THREADING)}, found {asked.threading!r}")
    if asked.log_level not in lc.LOG_LEVELS:
        raise rc.RunConfigError(f"--log-level: expected one of {', '.join(lc.LOG_LEVELS)}, found {asked.log_level!r}")
    if asked.mode == "live" and not real_money:
        raise rc.RunConfigError(
            "live trades real money: try --mode paper or --mode shadow first; if it is meant, add "
            "--i-understand-this-trades-real-money"
        )
    if numa_node is not None:
        _bind(numa_node)
    asked = with_default_strategies(asked)
    asked = replace(asked, run=rc.with_settings(asked.run, settings))
    from nanotick.cli.run_session import LiveRun

    quiet = quiet or str(json_path) == "-" or asked.log_level == "quiet"
    if test:
        from nanotick.cli.test_mode import TestMode

        if not asked.embedded:
            raise rc.RunConfigError(f"--test: against the embedded exchange only, and --mode is {asked.mode}")
        return TestMode(asked, environment, quiet, daily_target).run(json_path, html)
    return LiveRun(asked, environment, live, quiet, not skip_backtest).run(json_path, html)


def with_default_strategies(asked: LiveConfig) -> LiveConfig:
    """The demonstration's strategies on the most liquid names, where none were asked for in the embedded market."""
    from nanotick.cli.demo import CASH, demo_config
    from nanotick.cli.live_config import TIER_1
    from nanotick.research.run_config import RunConfig, RunConfigError

    if asked.run.strategies:
        return asked
    if not asked.embedded:
        raise RunConfigError("no strategy: give --strategy NAME or --strategy path.py:Class; `nanotick strategies`")
    shown = demo_config(asked.run.seed)
    symbols = asked.run.symbols or TIER_1
    chosen = tuple(
        replace(s, symbols=tuple(x for x in s.symbols if x in symbols), parameters=_plain(s.use, s.parameters))
        for s in shown.strategies
        if len([x for x in s.symbols if x in symbols]) >= (2 if "arbitrage" in s.use else 1)
    )
    if len(symbols) >= 2 * len(chosen):
        chosen = _apart(chosen)
    if not chosen:
        raise RunConfigError(f"no default strategy trades {', '.join(symbols)}: give --strategy")
    cash = asked.run.cash if asked.run.cash != RunConfig.cash else CASH
    return replace(asked, run=replace(asked.run, strategies=chosen, symbols=tuple(symbols), cash=cash))


def _apart(chosen: tuple[Any, ...]) -> tuple[Any, ...]:
    """Each symbol for one strategy: a venue nets an account, and refuses a sale that would cross from long to short."""
    pairs = [s for s in chosen if "arbitrage" in s.use]
    others = [s for s in chosen if "arbitrage" not in s.use]
    taken = {x for s in pairs for x in s.symbols}
    left = [x for x in others[0].symbols if x not in taken] if others else []
    mine = {s.name: tuple(left[n :: len(others)]) for n, s in enumerate(others)}
    return tuple(replace(s, symbols=mine.get(s.name, s.symbols)) for s in chosen)


def _plain(use: str, parameters: Any) -> dict[str, Any]:
    """Parameters for a venue that has no post-only orders and refuses one that would cross from long to short."""
    return {**parameters, "post_only": False, "through_flat": False} if use == "glft" else dict(parameters)


def _bind(node: int) -> None:
    """Run on the cores of a NUMA node."""
    from nanotick.core.machine import numa_cores

    cores = numa_cores(node)
    os.sched_setaffinity(0, cores)
    print(f"NUMA node {node}: cores {', '.join(map(str, sorted(cores)))}", file=sys.stderr)
