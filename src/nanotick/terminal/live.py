"""Watching a simulation: at a multiple of real time on a terminal, at full speed and in plain lines without one."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live

from nanotick.engine.output import RunOutput
from nanotick.engine.simulate import Simulation
from nanotick.engine.view import RunView
from nanotick.terminal.screen import LiveScreen, clock

_FRAMES = 10  # a second
_LINES = 12  # of a run without a terminal


class SimulationView:
    """Runs a simulation and shows it.

    Parameters
    ----------
    simulation : Simulation
    title : str
    speed : float
        Simulated seconds in one second; 0 runs as fast as it can, and draws what it can.
    live : bool, optional
        Draw a screen; by default if standard output is a terminal.
    quiet : bool
        Show nothing.
    ladder : int
        Instrument whose depth is shown.
    """

    def __init__(
        self, simulation: Simulation, title: str, speed: float = 10.0, live: bool | None = None, quiet: bool = False,
        ladder: int = 0,
    ) -> None:  # fmt: skip
        self.simulation = simulation
        self.console = Console()
        self.live = (self.console.is_terminal if live is None else live) and not quiet
        self.speed = speed
        self.quiet = quiet
        self.view = RunView(simulation.local)
        self.screen = LiveScreen(self.view, title, ladder)
        self._live: Live | None = None
        self._seen = 0
        self._shown = 0

    def __enter__(self) -> SimulationView:
        if self.live:
            self._live = Live(console=self.console, refresh_per_second=_FRAMES, transient=True, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def run(self) -> RunOutput:
        """Run to the end, or to Ctrl-C."""
        run = self.simulation
        partial = False
        try:
            run.begin()
            started = time.perf_counter()
            parts = round(run.seconds * _FRAMES / self.speed) if self.live and self.speed > 0 else _LINES
            for part in range(1, max(parts, 1) + 1):
                run.advance(run.start_ts + (run.last_ts - run.start_ts) * part // max(parts, 1))
                self._draw(started)
                ahead = started + part / _FRAMES - time.perf_counter()
                if self.live and self.speed > 0 and ahead > 0:
                    time.sleep(ahead)
        except KeyboardInterrupt:
            partial = True
        return run.finish(partial)

    def _draw(self, started: float) -> None:
        collected = self.simulation.collector.records
        for records in collected[self._seen :]:
            self.view.take(records)
        self._seen = len(collected)
        if self.quiet:
            return
        header = self.header(time.perf_counter() - started)
        if self._live is not None:
            self._live.update(self.screen.render(header, self.console.height), refresh=True)
        else:
            total = self.view.profit(len(self.simulation.local.names))
            fills = sum(self.view.fills)
            print(f"{header}  P&L {total:+,.2f}  {fills:,} fills", file=sys.stderr, flush=True)

    def header(self, elapsed: float) -> str:
        """How far the run is, and how fast."""
        run = self.simulation
        done = max(0.0, (run.now - run.start_ts) / 1e9)
        speed = done / run.seconds_run if run.seconds_run > 0 else 0.0
        return f"{clock(run.now)}  {done:,.0f} of {run.seconds:,.0f} s  {run.rows:,} events  {speed:,.0f}x real time"


def watch(simulation: Simulation, title: str, **options: Any) -> RunOutput:
    """Run a simulation under a `SimulationView`."""
    with SimulationView(simulation, title, **options) as view:
        return view.run()
