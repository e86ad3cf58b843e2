"""What the commands of many runs share: their configuration from the command line, and how results are shown."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from nanotick.research.run_config import RunConfig

INTERRUPTED = 130


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """What every command of many runs is told.

    Parameters
    ----------
    strategy
        A built-in strategy (`nanotick strategies` lists them) or path.py:Class; may be repeated.
    settings
        NAME=VALUE for what stays the same: parameters, venue.NAME, limits.NAME; may be repeated.
    config
        YAML file as of `nanotick backtest`; what the command line says comes on top.
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
        Seconds of a step of the return series that is judged for luck and overfitting, or redrawn.
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

    strategy: Annotated[tuple[str, ...], Parameter(name=["--strategy", "-s"], negative="")] = ()
    settings: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = ()
    config: Path | None = None
    workers: int | None = None
    ray: str = ""
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None
    resume: Annotated[bool, Parameter(negative="")] = False
    symbols: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    cash: str = ""
    sample_interval: float | None = None
    return_interval: float = 60.0
    data_format: Annotated[str, Parameter(name=["--format", "-f"])] = ""
    per_symbol: bool | None = None
    json_path: Annotated[Path | None, Parameter(name="--json", allow_leading_hyphen=True)] = None
    html: Path | None = None
    title: str = ""
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False

    def merged(self, data: tuple[Path, ...], start: str = "", end: str = "") -> RunConfig:
        """The configuration file with the command line on top."""
        from nanotick.cli.backtest import merged as merged_run
        from nanotick.research import run_config as rc

        base = rc.read_config(self.config) if self.config else rc.RunConfig()
        chosen = merged_run(
            base, data, self.strategy, self.symbols, start, end, self.cash, self.sample_interval, None,
            self.data_format, self.per_symbol,
        )  # fmt: skip
        if not chosen.strategies:
            raise rc.RunConfigError(
                "no strategy: give --strategy NAME or --strategy path.py:Class; `nanotick strategies`"
            )
        return rc.with_settings(chosen, self.settings)

    @property
    def to_stdout(self) -> bool:
        """Whether standard output is for the figures alone."""
        return str(self.json_path) == "-"

    @contextmanager
    def running(self, what: str) -> Iterator[dict[str, Any]]:
        """While the runs go on: what all studies are started with besides their own."""
        from nanotick.cli.progress import RunProgress, cold_sentence
        from nanotick.research.executor import make_executor

        with RunProgress(what, self.quiet or self.to_stdout) as progress:
            progress.waiting(cold_sentence())
            yield {
                "executor": make_executor(self.workers, self.ray or None), "out": self.out, "resume": self.resume,
                "return_interval": self.return_interval, "progress": progress.runs,
            }  # fmt: skip

    def write(self, result: Any) -> None:
        """JSON and report, where they were asked for, and on standard error what failed."""
        if self.to_stdout:
            from nanotick.cli.progress import print_json

            print_json(result.to_dict())
        elif self.json_path:
            print(f"figures: {result.write_json(self.json_path)}")
        if self.html:
            where = sys.stderr if self.to_stdout else sys.stdout
            print(f"report: {result.write_html(self.html, self.title or None)}", file=where)
        say_errors(result.failed)

    def again(self, them: str) -> str:
        """How what was stopped goes on."""
        return f"; --resume with --out {self.out} goes on" if self.out else f"; with --out {them} could be resumed"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SpanOptions(StudyOptions):
    """`StudyOptions` of what may run over a part of the data.

    Parameters
    ----------
    start
        First moment strategies hear of, ISO 8601 with a time zone.
    end
        Where to stop, ISO 8601 with a time zone.
    """

    start: Annotated[str, Parameter(name="--from")] = ""
    end: Annotated[str, Parameter(name="--to")] = ""

    def span(self, data: tuple[Path, ...]) -> RunConfig:
        """As `merged`, of that part."""
        return self.merged(data, self.start, self.end)


STUDY, SPAN = StudyOptions(), SpanOptions()  # when none is given


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
