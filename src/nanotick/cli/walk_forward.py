"""`nanotick walk-forward`: choose on what was known, test on what came after."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from nanotick.cli.study import INTERRUPTED, STUDY, StudyOptions, numbers, say


def walk_forward(
    *data: Path,
    grid: Annotated[tuple[str, ...], Parameter(name=["--grid", "-g"], negative="")] = (),
    folds: int = 5,
    train: int = 2,
    anchored: Annotated[bool, Parameter(negative="")] = False,
    purge: float = 0.0,
    embargo: float = 0.0,
    seed: Annotated[str, Parameter(name=["--seed", "--seeds"])] = "1",
    objective: str = "sharpe",
    study: StudyOptions = STUDY,
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
    seed
        Seeds, 1,2,5 or 1:20; each combination runs once with each and is judged by the mean.
    objective
        What is best: a statistic (sharpe, pnl, calmar, sortino, ...) or an expression over their names.
    """
    from rich.console import Console
    from rich.text import Text

    from nanotick.research.grid import make_axes
    from nanotick.research.study_tables import walk_forward_sentences
    from nanotick.research.walk_forward import run_walk_forward

    chosen = study.merged(data)
    axes, seeds = make_axes(grid), numbers(seed, "--seeds")
    with study.running("walk-forward") as settings:
        result = run_walk_forward(
            chosen,
            axes,
            folds=folds,
            train=train,
            anchored=anchored,
            purge=purge,
            embargo=embargo,
            seeds=seeds,
            objective=objective,
            **settings,
        )
    if not study.to_stdout:
        console = Console()
        console.print(result.summary())
        say(walk_forward_sentences(result))
        console.print(Text(f"{result.runs - result.resumed:,} runs in {result.seconds:.1f} s", style="dim"))
    study.write(result)
    if result.partial:
        print(f"stopped before the last step{study.again('it')}", file=sys.stderr)
        return INTERRUPTED
    return 0 if result.steps else 1
