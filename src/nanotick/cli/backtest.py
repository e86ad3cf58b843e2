"""`nanotick backtest`: strategies over recorded data, from a terminal."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from nanotick.research.results import BacktestResult
    from nanotick.research.run_config import RunConfig

INTERRUPTED = 130
USAGE = 2


def backtest(
    *data: Path,
    strategy: Annotated[tuple[str, ...], Parameter(name=["--strategy", "-s"], negative="")] = (),
    settings: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    config: Path | None = None,
    symbols: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    start: Annotated[str, Parameter(name="--from")] = "",
    end: Annotated[str, Parameter(name="--to")] = "",
    cash: str = "",
    currency: str = "",
    rates: Annotated[tuple[str, ...], Parameter(name="--rate", negative="")] = (),
    time_zone: str = "",
    sample_interval: float | None = None,
    seed: int | None = None,
    data_format: Annotated[str, Parameter(name=["--format", "-f"])] = "",
    per_symbol: bool | None = None,
    json_path: Annotated[Path | None, Parameter(name="--json", allow_leading_hyphen=True)] = None,
    html: Path | None = None,
    title: str = "",
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
) -> int:
    """Run strategies over recorded data and say what they earned.

    For example:

    nanotick backtest day.nt --strategy imbalance --set threshold=0.8 --html report.html

    nanotick backtest mon.nt tue.nt -s glft -s mine.py:Fast --symbols AAPL,MSFT --json out.json

    nanotick backtest --config run.yaml --set venue.queue=power_prob --set limits.max_order_value=250000

    Exit codes: 0 done, 1 the data or the run is bad, 2 wrong usage or configuration, 130 stopped with Ctrl-C (what was
    run until then is reported).

    Parameters
    ----------
    data
        Event files (.nt, .nt.zst, .parquet) or recordings in any format of `nanotick data formats`.
    strategy
        A built-in strategy (`nanotick strategies` lists them) or path.py:Class; may be repeated.
    settings
        NAME=VALUE: a parameter of every strategy that has it, of one as STRATEGY.NAME, of the venue as venue.NAME, a
        limit as limits.NAME; may be repeated.
    config
        YAML file; what the command line says comes on top.
    symbols
        Only these, separated by commas.
    start
        First moment strategies hear of, ISO 8601 with a time zone. The book is built from the start of the data.
    end
        Where to stop, ISO 8601 with a time zone.
    cash
        Starting cash of each strategy.
    currency
        Of the accounts, when instruments settle in several: USD by default.
    rates
        CURRENCY=NUMBER: account currency in one unit of another settlement currency; may be repeated.
    time_zone
        IANA name (America/New_York): whose midnight begins a trading day, and of hours in the report.
    sample_interval
        Seconds between samples of equity, positions and best prices.
    seed
        Of random latencies and of strategies that draw.
    data_format
        Format of the recordings, when it is not recognised.
    per_symbol
        One instance of each strategy for each symbol, with cash and limits of its own, instead of one over all.
    json_path
        Write figures as JSON here; - prints them and nothing else.
    html
        Write the report here.
    title
        Heading of the report.
    quiet
        No progress.
    """
    from nanotick.cli.progress import RunProgress, cold_sentence
    from nanotick.research import run_config as rc
    from nanotick.research.backtest import backtest as run_backtest

    chosen = merged(
        rc.read_config(config) if config else rc.RunConfig(),
        data, strategy, symbols, start, end, cash, sample_interval, seed, data_format, per_symbol,
    )  # fmt: skip
    if not chosen.strategies:
        raise rc.RunConfigError("no strategy: give --strategy NAME or --strategy path.py:Class; `nanotick strategies`")
    if not chosen.data:
        raise rc.RunConfigError(
            "no data: name at least one file. `nanotick data synthetic -o day.nt` makes a day, "
            "`nanotick data convert SOURCE -o day.nt` converts a recording"
        )
    chosen = rc.with_rates(rc.with_settings(chosen, settings), rates)
    chosen = replace(chosen, currency=currency or chosen.currency, time_zone=time_zone or chosen.time_zone)
    with RunProgress("backtest", quiet or str(json_path) == "-") as progress:
        progress.waiting(cold_sentence())
        result = run_backtest(
            list(chosen.data),
            rc.build_setups(chosen),
            venue=rc.build_venue(chosen),
            limits=rc.build_limits(chosen.limits),
            cash=chosen.cash,
            currency=chosen.currency,
            rates=chosen.rates,
            time_zone=chosen.time_zone,
            symbols=chosen.symbols,
            start=chosen.start or None,
            end=chosen.end or None,
            sample_interval=chosen.sample_interval,
            seed=chosen.seed,
            data_format=chosen.format,
            progress=progress.events,
            config=chosen.as_dict(),
        )
    show(result, json_path, html, title)
    return INTERRUPTED if result.partial else 0


def merged(
    base: RunConfig, data: Any, strategy: Any, symbols: Any, start: str, end: str, cash: str,
    sample_interval: float | None, seed: int | None, data_format: str, per_symbol: bool | None,
) -> RunConfig:  # fmt: skip
    """The configuration with the command line on top."""
    from nanotick.research.run_config import StrategyChoice

    over: dict[str, Any] = {
        "data": tuple(str(d) for d in data),
        "symbols": tuple(s for text in symbols for s in text.split(",") if s),
        "start": start,
        "end": end,
        "cash": cash,
        "format": data_format,
        "strategies": tuple(StrategyChoice(name) for name in strategy),
    }
    merged = replace(base, **{k: v for k, v in over.items() if v})
    if sample_interval is not None:
        merged = replace(merged, sample_interval=sample_interval)
    if seed is not None:
        merged = replace(merged, seed=seed)
    if per_symbol is not None:
        merged = replace(merged, strategies=tuple(replace(s, per_symbol=per_symbol) for s in merged.strategies))
    return merged


def show(result: BacktestResult, json_path: Path | None, html: Path | None, title: str = "") -> None:
    """Print the summary, explain strategies that did not trade, write what was asked for."""
    from rich.console import Console
    from rich.text import Text

    if str(json_path) == "-":
        from nanotick.cli.progress import print_json

        print_json(result.to_dict())
    else:
        console = Console()
        console.print(result.summary())
        for finding in result.diagnosis.silent:
            console.print(Text.assemble((f"{finding.strategy} did not trade. ", "yellow"), finding.sentence))
            for detail in finding.details:
                console.print(Text(f"  {detail}", style="dim"))
        counters = result.output.counters
        speed = f"{counters.events:,} events in {counters.seconds:.2f} s, {counters.events_per_second / 1e6:,.1f} M/s"
        started = f"{counters.compile_seconds:.1f} s to {'load' if counters.warm else 'compile'}"
        console.print(Text(f"{speed}; {started}", style="dim"))
        if json_path:
            print(f"figures: {result.write_json(json_path)}")
    if html:
        print(
            f"report: {result.write_html(html, title or None)}",
            file=sys.stderr if str(json_path) == "-" else sys.stdout,
        )
    if result.partial:
        print("stopped before the end of the data: figures cover what was run", file=sys.stderr)
