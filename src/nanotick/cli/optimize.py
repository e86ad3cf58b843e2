"""`nanotick optimize`: search for parameters with Optuna."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def optimize(
    *data: Path,
    strategy: Annotated[tuple[str, ...], Parameter(name=["--strategy", "-s"], negative="")] = (),
    search: Annotated[tuple[str, ...], Parameter(name=["--search", "-g"], negative="")] = (),
    trials: Annotated[int, Parameter(name=["--trials", "-n"])] = 100,
    timeout: float | None = None,
    objective: str = "sharpe",
    pruner: Literal["median", "hyperband", "none"] = "median",
    segments: int = 8,
    storage: str = "",
    settings: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    config: Path | None = None,
    seed: int = 1,
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
    """Search for the best parameters, giving up early on what is going badly. Needs Optuna (the extra `optuna`).

    For example:

    nanotick optimize day.nt -s imbalance --search threshold=0.5:0.95 --search size=100:900 --trials 200 --out search

    nanotick optimize day.nt -s glft --search gamma=0.001:1:log --objective "net - max_drawdown" --timeout 600 -o out

    The objective so far is judged after each segment of the data. --out keeps the study: --resume goes on with it.
    Exit codes: 0 done, 1 the data or every run is bad, 2 wrong usage or configuration, 130 stopped with Ctrl-C.

    Parameters
    ----------
    data
        Event files (.nt, .nt.zst, .parquet) or recordings in any format of `nanotick data formats`.
    strategy
        A built-in strategy (`nanotick strategies` lists them) or path.py:Class; may be repeated.
    search
        NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=A,B,C; names as in --set; one for each parameter.
    trials
        In all, those of the study in the folder included.
    timeout
        Seconds after which the search stops.
    objective
        What is best: a statistic (sharpe, pnl, calmar, sortino, ...) or an expression over their names.
    pruner
        Who decides what is given up.
    segments
        Parts of the data after which the objective so far is judged; 1 for none.
    storage
        Address of a database of Optuna's instead of a file in the folder.
    settings
        NAME=VALUE for what stays the same: parameters, venue.NAME, limits.NAME; may be repeated.
    config
        YAML file as of `nanotick backtest`; what the command line says comes on top.
    seed
        Of the search and of the runs; one worker repeats a search exactly, several do not.
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
    from nanotick.research.optimize import make_space, run_optimize
    from nanotick.research.study_tables import credibility_sentences

    chosen = study.merged(
        config, data, strategy, settings, symbols, start, end, cash, sample_interval, data_format, per_symbol
    )
    space = make_space(search, chosen)
    to_stdout = str(json_path) == "-"
    with RunProgress("search", quiet or to_stdout) as progress:
        progress.waiting(cold_sentence())
        result = run_optimize(
            chosen, space, executor=make_executor(workers, ray or None), trials=trials, timeout=timeout,
            objective=objective, pruner=pruner, segments=segments, seed=seed, out=out, storage=storage or None,
            resume=resume, return_interval=return_interval, progress=progress.runs,
        )  # fmt: skip
    if not to_stdout:
        console = Console()
        console.print(result.summary())
        study.say(credibility_sentences(result.credibility))
        ran = len(result.outcomes) - result.resumed
        said = f"{ran:,} trials in {result.seconds:.1f} s, {result.pruned:,} given up early"
        console.print(Text(f"{said}; {result.resumed:,} were there before" if result.resumed else said, style="dim"))
    study.write_out(result, json_path, html, title)
    study.say_errors(result.failed)
    if result.partial:
        again = f"; --resume with --out {out} goes on" if out else "; with --out it could be resumed"
        print(f"stopped after {len(result.outcomes):,} of {result.total:,} trials{again}", file=sys.stderr)
        return study.INTERRUPTED
    return 0 if result.best is not None else 1
