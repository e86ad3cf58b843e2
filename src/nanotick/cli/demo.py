"""`nanotick demo`: from nothing to a report, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

INTERRUPTED = 130
CASH = "1000000"
MARKET = "us-equities"
LIQUID = ("SPY", "QQQ", "NVDA", "TSLA", "AAPL", "MSFT", "META", "AMZN", "GOOGL", "IBIT")

NEXT = (
    "nanotick strategies                     what is built in, and what can be set",
    "nanotick market list                    markets to trade in; `nanotick market show us-equities`",
    "nanotick simulate crypto -s cross-venue-arbitrage --seconds 300 --html crypto.html",
    "nanotick data convert SOURCE -o real.nt your own recordings, then nanotick backtest real.nt -s imbalance",
)


def demo_config(seed: int) -> Any:
    """What the demonstration runs: market making, momentum and a pair, in the US market."""
    from nanotick.research.run_config import RunConfig, StrategyChoice

    return RunConfig(
        data=(f"market {MARKET}, seed {seed}",),
        cash=CASH,
        sample_interval=1.0,
        seed=seed,
        strategies=(
            StrategyChoice(
                "glft",
                name="market_making",
                symbols=LIQUID,
                parameters={
                    "limit": 5,
                    "gamma": 0.02,
                    "k": 0.4,
                    "sigma": 1.0,
                    "microprice": 1.0,
                    "interval": 1_000_000,
                },
            ),
            StrategyChoice(
                "momentum",
                symbols=LIQUID,
                parameters={"fast": 1.0, "slow": 10.0, "window": 50, "sample": 200_000_000, "size": 100},
            ),
            StrategyChoice(
                "statistical-arbitrage",
                name="pair SPY QQQ",
                symbols=("SPY", "QQQ"),
                parameters={"memory": 20.0, "warm_up": 60, "entry": 1.5, "value": 100_000.0},
            ),
        ),
    )


def demo(
    *,
    html: Path = Path("nanotick-demo.html"),
    json_path: Annotated[Path | None, Parameter(name="--json", allow_leading_hyphen=True)] = None,
    picture: Path | None = None,
    seed: int = 7,
    seconds: float = 120.0,
    speed: float = 10.0,
    live: bool | None = None,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
) -> int:
    """Open the embedded exchange with 69 US symbols, trade two minutes in it, write a report.

    Nothing is downloaded and no account is needed: agents make the market, and react to what the strategies do. The
    market is the same for the same seed on every machine.

    For example:

    nanotick demo

    nanotick demo --seed 8 --speed 0 --html monday.html --json monday.json

    Parameters
    ----------
    html
        Where the report goes.
    json_path
        Write figures as JSON here; - prints them and nothing else.
    picture
        Also draw a picture of the run (SVG), as in the project's README.
    seed
        Of the market.
    seconds
        Simulated time.
    speed
        Simulated seconds in one second on the live screen; 0 for as fast as it can.
    live
        Draw the live screen; by default on a terminal.
    quiet
        No progress.
    """
    from rich.console import Console
    from rich.text import Text

    from nanotick.cli.backtest import show
    from nanotick.cli.progress import RunProgress, Stopwatch, cold_sentence
    from nanotick.cli.simulate import simulation_options
    from nanotick.research import run_config as rc
    from nanotick.research.results import BacktestResult
    from nanotick.research.simulate import build_simulation
    from nanotick.terminal.live import watch

    stopwatch = Stopwatch()
    quiet = quiet or str(json_path) == "-"
    chosen = demo_config(seed)
    with RunProgress("opening the market", quiet) as progress:
        progress.waiting(cold_sentence("run_simulation"))
        run = build_simulation(MARKET, rc.build_setups(chosen), **simulation_options(chosen, seconds, 5.0))
    if not quiet:
        Console().print(Text(f"{len(run.instruments)} US symbols, {run.living.participants:,} agents, seed {seed}"))
    ladder = run.instruments.symbols.index("SPY")
    result = BacktestResult(watch(run, "nanotick demo", speed=speed, live=live, quiet=quiet, ladder=ladder))
    show(result, json_path, html, "Market making, momentum and a pair in the embedded exchange")
    if picture:
        from nanotick.research.picture import write_picture

        write_picture(result, picture)
    if not quiet:
        console = Console()
        console.print(Text(f"{stopwatch.seconds:.1f} s in all. Next:", style="bold"))
        for line in NEXT:
            console.print(f"  {line}", highlight=False, soft_wrap=True)
    return INTERRUPTED if result.partial else 0
