"""What the commands of many runs share: their configuration from the command line, and how results are shown."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nanotick.research.run_config import RunConfig

INTERRUPTED = 130


def merged(
    config: Path | None, data: tuple[Path, ...], strategy: tuple[str, ...], settings: tuple[str, ...],
    symbols: tuple[str, ...], start: str, end: str, cash: str, sample_interval: float | None, data_format: str,
    per_symbol: bool | None = None,
) -> RunConfig:  # fmt: skip
    """The configuration file with the command line on top."""
    from nanotick.cli.backtest import merged as merged_run
    from nanotick.research import run_config as rc

    base = rc.read_config(config) if config else rc.RunConfig()
    chosen = merged_run(base, data, strategy, symbols, start, end, cash, sample_interval, None, data_format, per_symbol)
    if not chosen.strategies:
        raise rc.RunConfigError("no strategy: give --strategy NAME or --strategy path.py:Class; `nanotick strategies`")
    return rc.with_settings(chosen, settings)


def numbers(text: str, option: str) -> tuple[int, ...]:
    """Read `1,2,5` or `1:20`, ends included.

    Raises
    ------
    RunConfigError
        It is neither.
    """
    from nanotick.research.run_config import RunConfigError

    found: list[int] = []
    try:
        for part in text.split(","):
            low, colon, high = part.partition(":")
            found += range(int(low), int(high) + 1) if colon else [int(low)]
    except ValueError:
        found = []
    if not found:
        raise RunConfigError(f"{option} {text}: expected numbers such as 1,2,5 or a range such as 1:20")
    return tuple(found)


def shares(text: str, option: str) -> tuple[float, ...]:
    """Read `0.05,0.1`: shares between 0 and 1.

    Raises
    ------
    RunConfigError
        It is none.
    """
    from nanotick.research.run_config import RunConfigError

    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < share <= 1 for share in found):
        raise RunConfigError(f"{option} {text}: expected shares between 0 and 1, for example 0.05,0.1")
    return found


def write_out(result: Any, json_path: Path | None, html: Path | None, title: str = "") -> None:
    """JSON and report, where they were asked for."""
    to_stdout = str(json_path) == "-"
    if to_stdout:
        from nanotick.cli.progress import print_json

        print_json(result.to_dict())
    elif json_path:
        print(f"figures: {result.write_json(json_path)}")
    if html:
        print(f"report: {result.write_html(html, title or None)}", file=sys.stderr if to_stdout else sys.stdout)


def say(sentences: list[str]) -> None:
    """Sentences under a table."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for sentence in sentences:
        if sentence:
            console.print(Text(sentence))


def say_errors(failed: list[Any], most: int = 3) -> None:
    """The first of the runs that failed, on standard error."""
    from nanotick.research.job import settings_text

    for outcome in failed[:most]:
        print(
            f"failed: {settings_text(outcome.task.settings)} seed {outcome.task.seed}: {outcome.error}", file=sys.stderr
        )
    if len(failed) > most:
        print(f"and {len(failed) - most:,} more; each is a row with its error", file=sys.stderr)
