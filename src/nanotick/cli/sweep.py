"""`nanotick sweep`: every combination of parameters, on all cores or a cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def sweep(
    *data: Path,
    strategy: Annotated[tuple[str, ...], Parameter(name=["--strategy", "-s"], negative="")] = (),
    grid: Annotated[tuple[str, ...], Parameter(name=["--grid", "-g"], negative="")] = (),
    settings: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    config: Path | None = None,
    seed: Annotated[str, Parameter(name=["--seed", "--seeds"])] = "1",
    objective: str = "sharpe",
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
    """Run strategies with every combination of parameters and say which is best, and whether to believe it.

    For example:

    nanotick sweep day.nt -s imbalance --grid threshold=0.6:0.9:7 --grid size=100,200 --out sweep --html sweep.html

    nanotick sweep day.nt -s glft --grid gamma=0.001:1:7:log --grid venue.entry_latency=20000,50000 --seeds 1:5 -o out

    nanotick sweep day.nt -s mine.py:Fast --grid size=100:900:9 --objective "net - 2 * max_drawdown" --ray auto -o out

    Ctrl-C keeps what is done; --resume goes on with it, also after a crash. The folder then holds runs.parquet (one row
    a run), returns.parquet (its changes of equity) and runs.log. Exit codes: 0 done, 1 the data or every run is bad,
    2 wrong usage or configuration, 130 stopped with Ctrl-C.

    Parameters
    ----------
    data
        Event files (.nt, .nt.zst, .parquet) or recordings in any format of `nanotick data formats`.
    strategy
        A built-in strategy (`nanotick strategies` lists them) or path.py:Class; may be repeated.
    grid
        NAME=A,B,C or NAME=LOW:HIGH:COUNT, with :log for equal ratios; names as in --set; one for each parameter.
    settings
        NAME=VALUE for what stays the same: parameters, venue.NAME, limits.NAME; may be repeated.
    config
        YAML file as of `nanotick backtest`; what the command line says comes on top.
    seed
        Seeds, 1,2,5 or 1:20; each combination runs once with each and is judged by the mean.
    objective
        What is best: a statistic (sharpe, pnl, calmar, sortino, ...) or an expression over their names.
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
        Seconds of a step of the return series that deflation and overfitting are judged on.
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
    from nanotick.research.grid import make_axes
    from nanotick.research.study_tables import credibility_sentences, robustness_sentence
    from nanotick.research.sweep import run_sweep

    chosen = study.merged(
        config, data, strategy, settings, symbols, start, end, cash, sample_interval, data_format, per_symbol
    )
    axes, seeds = make_axes(grid), study.numbers(seed, "--seeds")
    to_stdout = str(json_path) == "-"
    with RunProgress("sweep", quiet or to_stdout) as progress:
        progress.waiting(cold_sentence())
        result = run_sweep(
            chosen, axes, executor=make_executor(workers, ray or None), seeds=seeds, objective=objective, out=out,
            resume=resume, return_interval=return_interval, progress=progress.runs,
        )  # fmt: skip
    if not to_stdout:
        console = Console()
        console.print(result.summary())
        study.say([*credibility_sentences(result.credibility), robustness_sentence(result)])
        ran = len(result.outcomes) - result.resumed
        before = f"; {result.resumed:,} were there before" if result.resumed else ""
        rate = ran / result.seconds if result.seconds else 0.0
        console.print(Text(f"{ran:,} runs in {result.seconds:.1f} s, {rate:,.1f} a second{before}", style="dim"))
        if out:
            print(f"runs: {out / 'runs.parquet'}")
    study.write_out(result, json_path, html, title)
    study.say_errors(result.failed)
    if result.partial:
        again = f"; --resume with --out {out} goes on" if out else "; with --out they could be resumed"
        print(f"stopped after {len(result.outcomes):,} of {result.total:,} runs{again}", file=sys.stderr)
        return study.INTERRUPTED
    return 1 if result.outcomes and len(result.failed) == len(result.outcomes) else 0
