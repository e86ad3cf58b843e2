"""`nanotick demo`: from nothing to a report, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

INTERRUPTED = 130
CASH = "1000000"
# A fee schedule like that of a US equity exchange: cents a share, paid to whoever rests.
FEES = {"maker_per_unit": "-0.0020", "taker_per_unit": "0.0030"}
LATENCY = {"model": "lognormal", "ns": 45_000, "spread": 0.25, "minimum_ns": 15_000}


NEXT = (
    "nanotick strategies                     what is built in, and what can be set",
    "nanotick data synthetic -o day.nt       a day like this one as a file",
    "nanotick backtest day.nt -s imbalance --set threshold=0.8 --html mine.html",
    "nanotick data convert SOURCE -o real.nt your own recordings",
)


def demo_config(seed: int) -> Any:
    """What the demonstration runs: market making and imbalance on each of three symbols."""
    from nanotick.research.run_config import RunConfig, StrategyChoice

    return RunConfig(
        data=(f"synthetic day, seed {seed}",),
        cash=CASH,
        sample_interval=1.0,
        seed=seed,
        strategies=(
            StrategyChoice(
                "glft",
                name="market_making",
                per_symbol=True,
                parameters={"size": 100, "limit": 10, "gamma": 0.05, "k": 1.5, "sigma": 0.5},
            ),
            StrategyChoice("imbalance", per_symbol=True, parameters={"threshold": 0.9, "size": 100}),
        ),
        venue={"entry_latency": LATENCY, "response_latency": LATENCY, "fees": FEES},
    )


def demo(
    *,
    html: Path = Path("nanotick-demo.html"),
    json_path: Annotated[Path | None, Parameter(name="--json", allow_leading_hyphen=True)] = None,
    picture: Path | None = None,
    seed: int = 7,
    hours: float = 6.5,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
) -> int:
    """Make a synthetic order-book day, trade it with market making and imbalance, write a report.

    Nothing is downloaded. The day is the same for the same seed on every machine.

    For example:

    nanotick demo

    nanotick demo --seed 8 --html monday.html --json monday.json

    Parameters
    ----------
    html
        Where the report goes.
    json_path
        Write figures as JSON here; - prints them and nothing else.
    picture
        Also draw a picture of the run (SVG), as in the project's README.
    seed
        Of the day.
    hours
        Length of the session.
    quiet
        No progress.
    """
    from rich.console import Console
    from rich.text import Text

    from nanotick.cli.backtest import show
    from nanotick.cli.progress import RunProgress, Stopwatch, cold_sentence
    from nanotick.data.synthetic import synthetic_day
    from nanotick.research import run_config as rc
    from nanotick.research.backtest import backtest

    watch = Stopwatch()
    quiet = quiet or str(json_path) == "-"
    chosen = demo_config(seed)
    with RunProgress("making a day of order-book data", quiet) as progress:
        progress.waiting(cold_sentence())
        day = synthetic_day(seed=seed, seconds=hours * 3_600, progress=progress.share)
    symbols = ", ".join(day.instruments.symbols)
    if not quiet:
        Console().print(Text(f"{len(day.events):,} events of {symbols}, order by order, from seed {seed}"))
    with RunProgress("trading it", quiet) as progress:
        progress.waiting(cold_sentence())
        result = backtest(
            (day.events, day.instruments),
            rc.build_setups(chosen),
            venue=rc.build_venue(chosen),
            cash=chosen.cash,
            sample_interval=chosen.sample_interval,
            seed=seed,
            progress=progress.events,
            config=chosen.as_dict(),
        )
    show(result, json_path, html, "Market making and imbalance on a synthetic day")
    if picture:
        from nanotick.research.picture import write_picture

        write_picture(result, picture)
    if not quiet:
        console = Console()
        console.print(Text(f"{watch.seconds:.1f} s in all. Next:", style="bold"))
        for line in NEXT:
            console.print(f"  {line}", highlight=False, soft_wrap=True)
    return INTERRUPTED if result.partial else 0
