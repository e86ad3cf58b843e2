"""`nanotick monte-carlo`: many markets, many seeds, and one run redrawn many times."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from nanotick.cli.study import INTERRUPTED, SPAN, SpanOptions, numbers, say, shares


def monte_carlo(
    *data: Path,
    scenario: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    seed: Annotated[str, Parameter(name=["--seed", "--seeds"])] = "",
    paths: int = 5_000,
    resample: Literal["returns", "trades"] = "returns",
    block: float | None = None,
    ruin: str = "0.01,0.05,0.1,0.25",
    study: SpanOptions = SPAN,
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
    """
    from rich.console import Console
    from rich.text import Text

    from nanotick.research.monte_carlo import run_monte_carlo
    from nanotick.research.scenario import scenario_from
    from nanotick.research.study_tables import monte_carlo_table, ruin_sentences

    chosen = study.span(data)
    seeds = numbers(seed or ("1:20" if scenario else "1"), "--seeds")
    with study.running("monte carlo") as settings:
        result = run_monte_carlo(
            chosen,
            scenarios=[scenario_from(s) for s in scenario],
            seeds=seeds,
            paths=paths,
            resample=resample,
            mean_block=block,
            ruin=shares(ruin, "--ruin"),
            **settings,
        )
    if not study.to_stdout:
        console = Console()
        console.print(monte_carlo_table(result))
        say(ruin_sentences(result))
        console.print(Text(f"{result.runs - result.resumed:,} runs in {result.seconds:.1f} s", style="dim"))
    study.write(result)
    if result.partial:
        print("stopped before the last run: figures cover what was run", file=sys.stderr)
        return INTERRUPTED
    return 1 if len(result.failed) == result.runs else 0
