"""`nanotick monte-carlo`: many markets, many seeds, and one run redrawn many times."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def monte_carlo(
    *data: Path,
    strategy: Annotated[tuple[str, ...], Parameter(name=["--strategy", "-s"], negative="")] = (),
    scenario: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    seed: Annotated[str, Parameter(name=["--seed", "--seeds"])] = "",
    paths: int = 5_000,
    resample: Literal["returns", "trades"] = "returns",
    block: float | None = None,
    ruin: str = "0.01,0.05,0.1,0.25",
    settings: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    config: Path | None = None,
    workers: int | None = None,
    ray: str = "",
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    symbols: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    start: Annotated[str, Parameter(name="--from")] = "",
    end: Annotated[str, Parameter(name="--to")] = "",
    cash: str = "",
    sample_interval: float | None = None,
    return_interval: float = 60.0,
    data_format: Annotated[str, Parameter(name=["--format", "-f"])] = "",
    per_symbol: bool | None = None,
    json_path: Annotated[Path | None, Parameter(name="--json", allow_leading_hyphen=True)] = None,
    html: Path | None = None,
    title: str = "",
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
) -> int:
    """What a strategy could have come to: in made markets, with other seeds, and with its own returns in another order.

    For example:

    nanotick monte-carlo day.nt -s imbalance --set threshold=0.9 --html monte-carlo.html

    nanotick monte-carlo -s glft --scenario synthetic --scenario synthetic:volatility=2 --seeds 1:50 --html worlds.html

    Recorded data is run with each seed (one by default) and the first run is redrawn by the stationary block bootstrap;
    each scenario makes a market from each seed (1:20 by default). Exit codes: 0 done, 1 the data or every run is bad,
    2 wrong usage or configuration, 130 stopped with Ctrl-C.

    Parameters
    ----------
    data
        Event files (.nt, .nt.zst, .parquet) or recordings in any format of `nanotick data formats`.
    strategy
        A built-in strategy (`nanotick strategies` lists them) or path.py:Class; may be repeated.
    scenario
        Markets made from seeds: synthetic, or synthetic:NAME=VALUE,... with seconds, form, volatility, arrivals,
        marketable; may be repeated.
    seed
        Seeds, 1,2,5 or 1:20.
    paths
        Redrawn paths; 0 for none.
    resample
        Redraw changes of equity, or the profit of each fill that closed something.
    block
        Mean length of a block; chosen from the series when left out.
    ruin
        Shares of the capital whose loss at any time is called ruin.
    settings
        NAME=VALUE for what stays the same: parameters, venue.NAME, limits.NAME; may be repeated.
    config
        YAML file as of `nanotick backtest`; what the command line says comes on top.
    workers
        Processes; all processors when left out, 0 for none besides this one.
    ray
        Run on the Ray cluster at this address; auto: the running one, else one on this machine.
    out
        Folder of the results; each run is there as soon as it is counted.
    resume
        Go on with the runs in the folder.
    symbols
        Only these, separated by commas.
    start
        First moment strategies hear of, ISO 8601 with a time zone.
    end
        Where to stop, ISO 8601 with a time zone.
    cash
        Starting cash of each strategy.
    sample_interval
        Seconds between samples of equity, positions and best prices.
    return_interval
        Seconds of a step of the return series that is redrawn.
    data_format
        Format of the recordings, when it is not recognised.
    per_symbol
        One instance of each strategy for each symbol, instead of one over all.
    json_path
        Write figures as JSON here; - prints them and nothing else.
    html
        Write the report here.
    title
        Heading of the report.
    quiet
        No progress.
    """
    from rich.console import Console
    from rich.text import Text

    from nanotick.cli import study
    from nanotick.cli.progress import RunProgress, cold_sentence
    from nanotick.research.executor import make_executor
    from nanotick.research.monte_carlo import run_monte_carlo
    from nanotick.research.scenario import scenario_from
    from nanotick.research.study_tables import monte_carlo_table, ruin_sentences

    chosen = study.merged(
        config, data, strategy, settings, symbols, start, end, cash, sample_interval, data_format, per_symbol
    )
    seeds = study.numbers(seed or ("1:20" if scenario else "1"), "--seeds")
    to_stdout = str(json_path) == "-"
    with RunProgress("monte carlo", quiet or to_stdout) as progress:
        progress.waiting(cold_sentence())
        result = run_monte_carlo(
            chosen, executor=make_executor(workers, ray or None), scenarios=[scenario_from(s) for s in scenario],
            seeds=seeds, paths=paths, resample=resample, mean_block=block, ruin=study.shares(ruin, "--ruin"), out=out,
            resume=resume, return_interval=return_interval, progress=progress.runs,
        )  # fmt: skip
    if not to_stdout:
        console = Console()
        console.print(monte_carlo_table(result))
        study.say(ruin_sentences(result))
        console.print(Text(f"{result.runs - result.resumed:,} runs in {result.seconds:.1f} s", style="dim"))
    study.write_out(result, json_path, html, title)
    study.say_errors(result.failed)
    if result.partial:
        print("stopped before the last run: figures cover what was run", file=sys.stderr)
        return study.INTERRUPTED
    return 1 if len(result.failed) == result.runs else 0
