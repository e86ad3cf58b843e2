"""A job: what many runs have in common, opened once a process; a task: what is different in one; its outcome.

Jobs and tasks are plain data, so that a worker can be another process or another machine. Data is mapped from files:
the pages of a recording are in memory once, however many processes read them.
"""

from __future__ import annotations

import json
import math
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from nanotick.engine.backtest import Backtest
from nanotick.exchange.config import VenueConfig
from nanotick.research import performance
from nanotick.research.backtest import Inputs, load_inputs, prepare
from nanotick.research.grid import Settings
from nanotick.research.results import BacktestResult
from nanotick.research.run_config import RunConfig, build_limits, build_setups, build_venue, with_value
from nanotick.research.scenario import MarketScenario, Scenario
from nanotick.research.sharpe import moments, probabilistic_sharpe_ratio
from nanotick.research.simulate import simulate
from nanotick.research.statistics import Figures, total_figures
from nanotick.risk.limits import RiskLimits

MARK_OUT_NAMES = ("mark_out_100ms", "mark_out_1s", "mark_out_10s", "mark_out_60s")
_NESTED = ("name", "inventory", "mark_outs", "attribution", "shortfall", "latency", "queue")
STATISTICS = (
    *(f.name for f in fields(Figures) if f.name not in _NESTED),
    "spread_captured", "adverse_selection", "inventory_profit", "shortfall_bps", *MARK_OUT_NAMES,
    "observations", "step_sharpe", "skewness", "kurtosis", "probabilistic_sharpe", "events",
)  # fmt: skip


class Task(msgspec.Struct, frozen=True):
    """One run of a job.

    Attributes
    ----------
    number : int
        Place in the study.
    settings : tuple of (str, value)
        Laid on top of the job's configuration.
    seed : int
        Of the run, and of the market when a scenario makes it.
    start, end : int
        Window, ns UTC; 0 leaves it open.
    scenario : str
        Name of one of the job's scenarios; empty: the job's data.
    """

    number: int
    settings: tuple[tuple[str, Any], ...]
    seed: int = 1
    start: int = 0
    end: int = 0
    scenario: str = ""

    @property
    def key(self) -> str:
        """What the run is, whatever its number."""
        settings = sorted((name, repr(value)) for name, value in self.settings)
        return json.dumps([settings, self.seed, self.start, self.end, self.scenario])


class Outcome(msgspec.Struct):
    """What came of a task.

    Attributes
    ----------
    task : Task
    error : str
        What went wrong, in a sentence; empty when nothing did.
    statistics : dict
        By the names of `STATISTICS`; None where not defined.
    returns, times : bytes
        Changes of equity (float64, currency) and the ends of their steps (int64, ns UTC), little-endian.
    per_year : float
        Steps a trading year has.
    capital : float
        Starting cash, currency.
    seconds : float
        Wall time of the run.
    compiled : int
        Kernels that had to be compiled for it.
    worker : int
        Process.
    memory : int
        Largest resident size of that process so far, bytes.
    """

    task: Task
    error: str = ""
    statistics: dict[str, float | None] = {}
    returns: bytes = b""
    times: bytes = b""
    per_year: float = 0.0
    capital: float = 0.0
    seconds: float = 0.0
    compiled: int = 0
    worker: int = 0
    memory: int = 0

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """Changes of equity, shape (steps,)."""
        return np.frombuffer(self.returns, "<f8")

    @property
    def ts(self) -> npt.NDArray[np.int64]:
        """Ends of the steps, shape (steps,)."""
        return np.frombuffer(self.times, "<i8")


Run = Callable[[Task], Outcome]


class Job(Protocol):
    """What a worker opens once and then runs task after task."""

    def open(self) -> Run:
        """Open what all runs share."""
        ...


@dataclass(frozen=True)
class BacktestJob:
    """Backtests that differ in settings, seed, window or market.

    Attributes
    ----------
    config : RunConfig
        Strategies by reference; its data is ignored.
    inputs : tuple of str
        Event files in order; see `SharedData`.
    venue, limits : optional
        Objects given in Python instead of the configuration's values.
    scenarios : tuple of Scenario
    return_interval : float
        Seconds of a step of the return series.
    keep_returns : bool
    folder : str
        Where relative paths of strategies count from.
    """

    config: RunConfig
    inputs: tuple[str, ...] = ()
    venue: VenueConfig | None = None
    limits: RiskLimits | None = None
    scenarios: tuple[Scenario, ...] = ()
    return_interval: float = 60.0
    keep_returns: bool = True

    def open(self) -> Run:
        """Map the data; scenarios make theirs for each task."""
        return BacktestRunner(self)


@dataclass
class BacktestRunner:
    """An opened job."""

    job: BacktestJob
    shared: Inputs | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.job.inputs:
            self.shared = load_inputs(list(self.job.inputs))

    def scenario(self, task: Task) -> Scenario | None:
        """The scenario of a task, if it has one."""
        return next((s for s in self.job.scenarios if s.name == task.scenario), None) if task.scenario else None

    def inputs(self, task: Task) -> Inputs:
        """The market of a task."""
        found = self.scenario(task)
        if found is not None:
            return load_inputs(found.market(task.seed), self.job.config.symbols)
        if self.shared is None:
            raise ValueError("no data: the job has neither files nor a scenario")
        return self.shared

    def config(self, task: Task) -> RunConfig:
        """The job's configuration with the task's settings on top."""
        config = self.job.config
        for name, value in task.settings:
            config = with_value(config, name, value)
        return config

    def run(self, task: Task) -> BacktestResult:
        """Run a task: over data, or in a market that reacts."""
        found = self.scenario(task)
        if not isinstance(found, MarketScenario):
            return BacktestResult(self.prepare(task).run())
        config = self.config(task)
        return simulate(
            found.description, build_setups(config), seconds=found.seconds, warm_up=found.warm_up,
            latency=self.job.venue or (build_venue(config) if config.venue else None),
            limits=self.job.limits or build_limits(config.limits), symbols=config.symbols, cash=config.cash,
            currency=config.currency, rates=config.rates, time_zone=config.time_zone,
            sample_interval=config.sample_interval, seed=task.seed,
        )  # fmt: skip

    def prepare(self, task: Task) -> Backtest:
        """The run of a task over data, ready to go."""
        config = self.config(task)
        return prepare(
            self.inputs(task).until(task.end),
            build_setups(config),
            venue=self.job.venue or build_venue(config),
            limits=self.job.limits or build_limits(config.limits),
            cash=config.cash,
            currency=config.currency,
            rates=config.rates,
            time_zone=config.time_zone,
            start=task.start or config.start or None,
            sample_interval=config.sample_interval,
            seed=task.seed,
        )

    def __call__(self, task: Task) -> Outcome:
        """Run a task; whatever goes wrong is its outcome."""
        started, before = time.perf_counter(), compiled_kernels()
        try:
            outcome = self.outcome(task, self.run(task))
        except Exception as error:
            outcome = Outcome(task, error=f"{type(error).__name__}: {error}")
        return finished(outcome, started, before)

    def outcome(self, task: Task, result: BacktestResult) -> Outcome:
        """Statistics and returns of a result."""
        statistics, steps = describe(result, self.job.return_interval)
        kept = self.job.keep_returns
        return Outcome(
            task,
            statistics=statistics,
            returns=np.ascontiguousarray(steps.values, "<f8").tobytes() if kept else b"",
            times=np.ascontiguousarray(steps.ts, "<i8").tobytes() if kept else b"",
            per_year=steps.per_year,
            capital=sum(s.cash for s in result.strategies) / 1e6,
        )


def finished(outcome: Outcome, started: float, compiled_before: int) -> Outcome:
    """Fill in what the run cost."""
    outcome.seconds = time.perf_counter() - started
    outcome.compiled = compiled_kernels() - compiled_before
    outcome.worker = os.getpid()
    outcome.memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return outcome


def compiled_kernels() -> int:
    """Kernels this process had to compile so far."""
    from nanotick.core.mode import INTERPRET

    if INTERPRET:
        return 0
    from nanotick.core.cache import KernelCache

    return KernelCache.compiled


def describe(result: BacktestResult, interval: float) -> tuple[dict[str, float | None], performance.Increments]:
    """Statistics by name and the return series of a result.

    Parameters
    ----------
    interval : float
        Seconds of a step.
    """
    total = total_figures(result)
    curve = result.equity_of()
    steps = performance.increments(
        np.asarray(curve["ts"]), np.asarray(curve["equity_float"]), int(interval * 1e9), result.output.session_offset_ns
    )
    found = moments(steps.values)
    numbers: dict[str, float] = {
        f.name: float(getattr(total, f.name)) for f in fields(Figures) if f.name not in _NESTED
    }
    numbers |= {
        "spread_captured": total.attribution.spread,
        "adverse_selection": total.attribution.adverse_selection,
        "inventory_profit": total.attribution.inventory,
        "shortfall_bps": total.shortfall.bps,
        **{name: mark.ticks for name, mark in zip(MARK_OUT_NAMES, total.mark_outs, strict=True)},
        "observations": found.observations,
        "step_sharpe": found.sharpe,
        "skewness": found.skewness,
        "kurtosis": found.kurtosis,
        "probabilistic_sharpe": probabilistic_sharpe_ratio(
            found.sharpe, found.observations, found.skewness, found.kurtosis
        ),
        "events": result.output.counters.events,
    }
    return {k: float(v) if math.isfinite(v) else None for k, v in numbers.items()}, steps


class SharedData:
    """Data as event files that every worker can map: what is none yet is written once into a folder.

    Parameters
    ----------
    inputs : Inputs
        As opened in this process.
    sources : sequence of paths or arrays
        What they were opened from.
    folder : Path
        For what has to be written: recordings in other formats, compressed files, chosen symbols, arrays.
    """

    def __init__(self, inputs: Inputs, sources: list[Any], folder: Path) -> None:
        self.inputs = inputs
        self.paths: list[str] = []
        direct = [Path(s) for s in sources if isinstance(s, (str, Path)) and str(s).endswith(".nt")]
        if len(direct) == len(sources) and _maps_alike(inputs, direct):
            self.paths = [str(p.resolve()) for p in direct]
            return
        from nanotick.data.eventfile import chunks_of, write_events

        folder.mkdir(parents=True, exist_ok=True)
        for number, recording in enumerate(inputs.recordings):
            path = folder / f"data-{number}.nt"
            write_events(path, chunks_of(recording.events), list(inputs.instruments), {"source": recording.name})
            self.paths.append(str(path.resolve()))

    @property
    def digests(self) -> dict[str, str]:
        """Name and content of each recording."""
        return {r.name: r.digest for r in self.inputs.recordings}


def _maps_alike(inputs: Inputs, paths: list[Path]) -> bool:
    """Whether opening the files again gives just these recordings, all rows of all symbols."""
    from nanotick.data.eventfile import EventFile

    rows = 0
    for path in paths:
        with EventFile.open(path) as file:
            rows += len(file.events)
    return rows == sum(len(r.events) for r in inputs.recordings)


def settings_text(settings: Settings | Mapping[str, Any]) -> str:
    """Settings for people: `size=100 threshold=0.8`."""
    pairs = settings.items() if isinstance(settings, Mapping) else settings
    return " ".join(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in pairs)
