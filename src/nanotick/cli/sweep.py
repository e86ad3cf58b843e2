"""`nanotick sweep`: every combination of parameters, on all cores or a cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from nanotick.cli.study import INTERRUPTED, SPAN, SpanOptions, numbers, say


def sweep(
    *data: Path,
    grid: Annotated[tuple[str, ...], Parameter(name=["--grid", "-g"], negative="")] = (),
    seed: Annotated[str, Parameter(name=["--seed", "--seeds"])] = "1",
    objective: str = "sharpe",
    study: SpanOptions = SPAN,
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
    grid
        NAME=A,B,C or NAME=LOW:HIGH:COUNT, with :log for equal ratios; names as in --set; one for each parameter.
    seed
        Seeds, 1,2,5 or 1:20; each combination runs once with each and is judged by the mean.
    objective
        What is best: a statistic (sharpe, pnl, calmar, sortino, ...) or an expression over their names.
    """
    from rich.console import Console
    from rich.text import Text

    from nanotick.research.grid import make_axes
    from nanotick.research.study_tables import credibility_sentences, robustness_sentence
    from nanotick.research.sweep import run_sweep

    chosen = study.span(data)
    axes, seeds = make_axes(grid), numbers(seed, "--seeds")
    with study.running("sweep") as settings:
        result = run_sweep(chosen, axes, seeds=seeds, objective=objective, **settings)
    if not study.to_stdout:
        console = Console()
        console.print(result.summary())
        say([*credibility_sentences(result.credibility), robustness_sentence(result)])
        ran = len(result.outcomes) - result.resumed
        before = f"; {result.resumed:,} were there before" if result.resumed else ""
        rate = ran / result.seconds if result.seconds else 0.0
        console.print(Text(f"{ran:,} runs in {result.seconds:.1f} s, {rate:,.1f} a second{before}", style="dim"))
        if study.out:
            print(f"runs: {study.out / 'runs.parquet'}")
    study.write(result)
    if result.partial:
        print(f"stopped after {len(result.outcomes):,} of {result.total:,} runs{study.again('they')}", file=sys.stderr)
        return INTERRUPTED
    return 1 if result.outcomes and len(result.failed) == len(result.outcomes) else 0
