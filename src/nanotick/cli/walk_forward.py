"""`nanotick walk-forward`: choose on what was known, test on what came after."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def walk_forward(
    *data: Path,
    strategy: Annotated[tuple[str, ...], Parameter(name=["--strategy", "-s"], negative="")] = (),
    grid: Annotated[tuple[str, ...], Parameter(name=["--grid", "-g"], negative="")] = (),
    folds: int = 5,
    train: int = 2,
    anchored: Annotated[bool, Parameter(negative="")] = False,
    purge: float = 0.0,
    embargo: float = 0.0,
    settings: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    config: Path | None = None,
    seed: Annotated[str, Parameter(name=["--seed", "--seeds"])] = "1",
    objective: str = "sharpe",
    workers: int | None = None,
    ray: str = "",
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    symbols: Annotated[tuple[str, ...], Parameter(negative="")] = (),
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
    """Choose parameters in one stretch of the data, test them in the next, and join the tests.

    For example:

    nanotick walk-forward day.nt -s imbalance --grid threshold=0.6:0.9:7 --folds 6 --train 2 --html walk.html

    nanotick walk-forward mon.nt tue.nt wed.nt thu.nt -s glft --grid gamma=0.01,0.1 --train 2 --folds 2 --anchored

    The data is cut into train + folds pieces of equal trading time, of whole sessions when there are enough. Exit
    codes: 0 done, 1 the data or every run is bad, 2 wrong usage or configuration, 130 stopped with Ctrl-C.

    Parameters
    ----------
    data
        Event files (.nt, .nt.zst, .parquet) or recordings in any format of `nanotick data formats`.
    strategy
        A built-in strategy (`nanotick strategies` lists them) or path.py:Class; may be repeated.
    grid
        NAME=A,B,C or NAME=LOW:HIGH:COUNT, with :log for equal ratios; names as in --set; one for each parameter.
    folds
        Steps, each with a test of its own.
    train
        Pieces before each test to choose in.
    anchored
        Choose in everything before the test.
    purge
        Seconds left out at the end of what is chosen in: as long as a position may be held.
    embargo
        Seconds left out at the start of each test.
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
    from nanotick.research.study_tables import walk_forward_sentences
    from nanotick.research.walk_forward import run_walk_forward

    chosen = study.merged(
        config, data, strategy, settings, symbols, "", "", cash, sample_interval, data_format, per_symbol
    )
    axes, seeds = make_axes(grid), study.numbers(seed, "--seeds")
    to_stdout = str(json_path) == "-"
    with RunProgress("walk-forward", quiet or to_stdout) as progress:
        progress.waiting(cold_sentence())
        result = run_walk_forward(
            chosen, axes, executor=make_executor(workers, ray or None), folds=folds, train=train, anchored=anchored,
            purge=purge, embargo=embargo, seeds=seeds, objective=objective, out=out, resume=resume,
            return_interval=return_interval, progress=progress.runs,
        )  # fmt: skip
    if not to_stdout:
        console = Console()
        console.print(result.summary())
        study.say(walk_forward_sentences(result))
        console.print(Text(f"{result.runs - result.resumed:,} runs in {result.seconds:.1f} s", style="dim"))
    study.write_out(result, json_path, html, title)
    study.say_errors(result.failed)
    if result.partial:
        again = f"; --resume with --out {out} goes on" if out else "; with --out it could be resumed"
        print(f"stopped before the last step{again}", file=sys.stderr)
        return study.INTERRUPTED
    return 0 if result.steps else 1
