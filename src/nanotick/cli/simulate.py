"""`nanotick simulate`: strategies in a market of agents, from a terminal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

INTERRUPTED = 130


def simulate(
    market: str = "us-equities",
    *,
    strategy: Annotated[tuple[str, ...], Parameter(name=["--strategy", "-s"], negative="")] = (),
    settings: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    config: Path | None = None,
    symbols: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    seconds: float = 120.0,
    warm_up: float = 5.0,
    speed: float = 10.0,
    cash: str = "",
    currency: str = "",
    rates: Annotated[tuple[str, ...], Parameter(name="--rate", negative="")] = (),
    seed: int | None = None,
    per_symbol: bool | None = None,
    journal: Path | None = None,
    live: bool | None = None,
    json_path: Annotated[Path | None, Parameter(name="--json", allow_leading_hyphen=True)] = None,
    html: Path | None = None,
    title: str = "",
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
) -> int:
    """Run strategies in the embedded exchange, among agents that react to them.

    For example:

    nanotick simulate us-equities --strategy imbalance --symbols AAPL,MSFT --seconds 300

    nanotick simulate crypto -s triangular-arbitrage --set edge=0.0002 --rate BTC=50000 --html crypto.html

    nanotick market list    which markets are described

    Exit codes: 0 done, 1 the run is bad, 2 wrong usage or configuration, 130 stopped with Ctrl-C (what was run until
    then is reported).

    Parameters
    ----------
    market
        A shipped description or a YAML file.
    strategy
        A built-in strategy (`nanotick strategies` lists them) or path.py:Class; may be repeated.
    settings
        NAME=VALUE: a parameter of every strategy that has it, of one as STRATEGY.NAME, a limit as limits.NAME.
    config
        YAML file as of `nanotick backtest`, its data left out.
    symbols
        Only these, separated by commas.
    seconds
        Simulated time.
    warm_up
        Seconds the market lives before strategies hear of it.
    speed
        Simulated seconds in one second on the live screen; 0 for as fast as it can.
    cash
        Starting cash of each strategy.
    currency
        Of the accounts, when instruments settle in several.
    rates
        CURRENCY=NUMBER: account currency in one unit of another settlement currency; may be repeated.
    seed
        Of the market, of latencies and of strategies that draw.
    per_symbol
        One instance of each strategy for each symbol.
    journal
        Directory for the session's journal, of which `nanotick replay` proves that it can be repeated.
    live
        Draw the live screen; by default on a terminal.
    json_path
        Write figures as JSON here; - prints them and nothing else.
    html
        Write the report here.
    title
        Heading of the report.
    quiet
        No progress.
    """
    from nanotick.cli.backtest import merged, show
    from nanotick.cli.progress import RunProgress, cold_sentence
    from nanotick.research import run_config as rc
    from nanotick.research.results import BacktestResult
    from nanotick.research.simulate import build_simulation
    from nanotick.terminal.live import watch

    base = rc.read_config(config) if config else rc.RunConfig()
    chosen = merged(base, (), strategy, symbols, "", "", cash, None, seed, "", per_symbol)
    if not chosen.strategies:
        raise rc.RunConfigError("no strategy: give --strategy NAME or --strategy path.py:Class; `nanotick strategies`")
    chosen = rc.with_rates(rc.with_settings(chosen, settings), rates)
    chosen = replace(chosen, currency=currency or chosen.currency, data=(f"market {market}",))
    quiet = quiet or str(json_path) == "-"
    with RunProgress("opening the market", quiet) as progress:
        progress.waiting(cold_sentence("run_simulation"))
        run = build_simulation(
            market, rc.build_setups(chosen), **simulation_options(chosen, seconds, warm_up), journal=journal
        )
    result = BacktestResult(watch(run, market, speed=speed, live=live, quiet=quiet))
    show(result, json_path, html, title or f"{market}, {seconds:g} s, seed {chosen.seed}")
    return INTERRUPTED if result.partial else 0


def simulation_options(chosen: Any, seconds: float, warm_up: float) -> dict[str, Any]:
    """What `build_simulation` takes of a run's configuration."""
    from nanotick.research import run_config as rc

    return {
        "seconds": seconds,
        "warm_up": warm_up,
        "symbols": chosen.symbols,
        "latency": rc.build_venue(chosen) if chosen.venue else None,
        "limits": rc.build_limits(chosen.limits),
        "cash": chosen.cash,
        "currency": chosen.currency,
        "rates": chosen.rates,
        "time_zone": chosen.time_zone,
        "sample_interval": chosen.sample_interval,
        "seed": chosen.seed,
        "config": chosen.as_dict(),
    }
