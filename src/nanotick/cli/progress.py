"""Progress on standard error: what is being compiled, events done, events per second, time left."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class RunProgress:
    """A bar for one run; without a terminal, a line when it begins and nothing more.

    Parameters
    ----------
    what : str
        What runs, in a word or two.
    quiet : bool
        Show nothing.
    """

    def __init__(self, what: str, quiet: bool = False) -> None:
        self._console = Console(stderr=True)
        self._shown = not quiet
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=quiet or not self._console.is_terminal,
        )
        self._what = what
        self._task = self._bar.add_task(what, total=None, detail="")

    def __enter__(self) -> RunProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def waiting(self, sentence: str) -> None:
        """Say what takes time before the count begins."""
        self._bar.update(self._task, description=sentence, total=None)
        if self._shown and not self._console.is_terminal and sentence.startswith("compiling"):
            print(sentence, file=sys.stderr, flush=True)

    def events(self, done: int, total: int, seconds: float) -> None:
        """Events done of all, and the seconds spent on them: what `nanotick.backtest` reports."""
        rate = done / seconds if seconds > 0 else 0.0
        left = (total - done) / rate if rate else 0.0
        detail = f"{done / 1e6:,.1f} of {total / 1e6:,.1f} M events  {rate / 1e6:,.1f} M/s  {_left(left)}"
        self._bar.update(self._task, description=self._what, total=total, completed=done, detail=detail)

    def runs(self, done: int, total: int, seconds: float, failed: int = 0) -> None:
        """Runs done of all, how many of them failed: what studies of many runs report."""
        rate = done / seconds if seconds > 0 else 0.0
        detail = f"{done:,} of {total:,} runs"
        if rate:
            detail += f"  {rate:,.1f} runs/s  {_left((total - done) / rate)}"
        if failed:
            detail += f"  {failed:,} failed"
        self._bar.update(self._task, description=self._what, total=total, completed=done, detail=detail)

    def share(self, done: int, total: int) -> None:
        """Plain progress without a rate."""
        self._bar.update(self._task, description=self._what, total=total, completed=done, detail=f"{done / total:.0%}")

    def item(self, name: str, number: int, total: int) -> None:
        """One of several named items."""
        short = name.rpartition("nanotick.")[2]
        self._bar.update(self._task, total=total, completed=number, detail=f"{number}/{total} {short}"[:70])


def _left(seconds: float) -> str:
    if seconds < 1:
        return "under 1 s left"
    return f"{seconds:.0f} s left" if seconds < 120 else f"{seconds / 60:.0f} min left"


def cold_sentence(kernel: str = "run_replay") -> str:
    """What is done before the first event: loading compiled code, or compiling it once."""
    from nanotick.core.cache import is_ready

    if is_ready(kernel):
        return "loading compiled code"
    return "compiling, once per version and processor: half a minute, more on a busy machine"


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self._started


def print_json(value: Any) -> None:
    """One JSON document on standard output and nothing else."""
    import json

    print(json.dumps(value, indent=1))
