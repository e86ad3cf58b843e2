"""`nanotick optimize`: search for parameters with Optuna."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from nanotick.cli.study import INTERRUPTED, SPAN, SpanOptions, say


def optimize(
    *data: Path,
    search: Annotated[tuple[str, ...], Parameter(name=["--search", "-g"], negative="")] = (),
    trials: Annotated[int, Parameter(name=["--trials", "-n"])] = 100,
    timeout: float | None = None,
    objective: str = "sharpe",
    pruner: Literal["median", "hyperband", "none"] = "median",
    segments: int = 8,
    storage: str = "",
    seed: int = 1,
    study: SpanOptions = SPAN,
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
    seed
        Of the search and of the runs; one worker repeats a search exactly, several do not.
    """
    from rich.console import Console
    from rich.text import Text

    from nanotick.research.optimize import make_space, run_optimize
    from nanotick.research.study_tables import credibility_sentences

    chosen = study.span(data)
    space = make_space(search, chosen)
    with study.running("search") as settings:
        result = run_optimize(
            chosen,
            space,
            trials=trials,
            timeout=timeout,
            objective=objective,
            pruner=pruner,
            segments=segments,
            seed=seed,
            storage=storage or None,
            **settings,
        )
    if not study.to_stdout:
        console = Console()
        console.print(result.summary())
        say(credibility_sentences(result.credibility))
        ran = len(result.outcomes) - result.resumed
        said = f"{ran:,} trials in {result.seconds:.1f} s, {result.pruned:,} given up early"
        console.print(Text(f"{said}; {result.resumed:,} were there before" if result.resumed else said, style="dim"))
    study.write(result)
    if result.partial:
        print(f"stopped after {len(result.outcomes):,} of {result.total:,} trials{study.again('it')}", file=sys.stderr)
        return INTERRUPTED
    return 0 if result.best is not None else 1
