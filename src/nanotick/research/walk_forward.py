"""`nanotick.walk_forward`: choose on what was known, trade on what came after, again and again; then join the tests."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick import __version__
from nanotick.core.files import write_text
from nanotick.exchange.config import VenueConfig
from nanotick.research.backtest import Data, Inputs
from nanotick.research.executor import Executor, make_executor
from nanotick.research.grid import Axis, combinations, fit_axes, make_axes
from nanotick.research.job import STATISTICS, Outcome, Task
from nanotick.research.objective import Objective
from nanotick.research.performance import max_drawdown, sharpe_ratio
from nanotick.research.run_config import RunConfig
from nanotick.research.run_log import RunLog
from nanotick.research.sharpe import minimum_track_record_length, moments, probabilistic_sharpe_ratio
from nanotick.research.splits import Window, sessions_of, walk_forward_windows
from nanotick.research.study import StrategyLike, StudyProgress, open_study, run_tasks, study_config
from nanotick.research.summary import plain
from nanotick.research.sweep_result import Configuration
from nanotick.research.written import Written
from nanotick.risk.limits import RiskLimits

SCHEMA = "nanotick.walk_forward/1"
_SAMPLED_ROWS = 1 << 16  # of each recording, to find its sessions


@dataclass(frozen=True)
class Step:
    """One step of a walk-forward.

    Attributes
    ----------
    window : Window
    chosen : Configuration
        The best inside, with its runs there.
    outside : Configuration
        The same settings on the test.
    compared : int
        Configurations it was chosen from.
    """

    window: Window
    chosen: Configuration
    outside: Configuration
    compared: int


@dataclass
class WalkForwardResult(Written):
    """What a walk-forward found.

    Attributes
    ----------
    axes : tuple of Axis
    steps : list of Step
        Those with a choice and a test.
    skipped : list of str
        Steps without, and why.
    objective : Objective
    seeds : tuple of int
    anchored : bool
    partial : bool
    failed : list of Outcome
    runs, resumed : int
    seconds : float
    workers : int
    config : RunConfig
    data : dict
    """

    axes: tuple[Axis, ...]
    steps: list[Step]
    skipped: list[str]
    objective: Objective
    seeds: tuple[int, ...]
    anchored: bool
    partial: bool
    failed: list[Outcome]
    runs: int
    resumed: int
    seconds: float
    workers: int
    config: RunConfig
    data: dict[str, str] = field(default_factory=dict)

    @cached_property
    def stitched(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Ends of steps (ns UTC) and changes of equity of all tests in order, averaged over seeds."""
        times, values = [], []
        for step in self.steps:
            good = [o for o in step.outside.outcomes if not o.error and o.returns]
            alike = [o for o in good if o.times == good[0].times]
            if alike:
                times.append(alike[0].ts)
                values.append(np.mean([o.values for o in alike], axis=0))
        if not times:
            return np.empty(0, np.int64), np.empty(0)
        return np.concatenate(times), np.concatenate(values)

    @property
    def per_year(self) -> float:
        """Steps of returns a trading year has."""
        found = [o.per_year for s in self.steps for o in s.outside.outcomes if o.per_year]
        return float(np.median(found)) if found else math.nan

    @cached_property
    def figures(self) -> dict[str, float]:
        """Figures of the stitched tests, by name; NaN where not defined.

        `efficiency` is the profit a unit of time outside over that inside (R. Pardo, "The Evaluation and Optimization
        of Trading Strategies", 2008, chapter 11).
        """
        ts, values = self.stitched
        found = moments(values)
        curve = np.concatenate([[0.0], np.cumsum(values)])
        at = np.concatenate([ts[:1], ts]) if len(ts) else np.empty(0, np.int64)
        inside = [_rate(s.chosen, s.window.train_end - s.window.train_start) for s in self.steps]
        outside = [_rate(s.outside, s.window.test_end - s.window.test_start) for s in self.steps]
        gained = float(np.mean(inside)) if inside else math.nan
        return {
            "net": sum(s.outside.mean("net") for s in self.steps),
            "sharpe": sharpe_ratio(values, self.per_year),
            "max_drawdown": max_drawdown(at, curve).amount if len(ts) else math.nan,
            "probabilistic_sharpe": probabilistic_sharpe_ratio(
                found.sharpe, found.observations, found.skewness, found.kurtosis
            ),
            "observations": float(found.observations),
            "minimum_observations": minimum_track_record_length(found.sharpe, found.skewness, found.kurtosis),
            "efficiency": float(np.mean(outside)) / gained if outside and gained > 0 else math.nan,
            "positive_steps": float(np.mean([s.outside.mean("net") > 0 for s in self.steps]))
            if self.steps
            else math.nan,
            "inside_score": float(np.mean([s.chosen.score for s in self.steps])) if self.steps else math.nan,
            "outside_score": float(np.nanmean([s.outside.score for s in self.steps]))
            if any(not math.isnan(s.outside.score) for s in self.steps)
            else math.nan,
        }

    def to_dict(self) -> dict[str, Any]:
        """The stable structure that `--json` prints (docs/research.md)."""
        return plain(  # type: ignore[no-any-return]
            {
                "schema": SCHEMA,
                "version": __version__,
                "partial": self.partial,
                "objective": self.objective.text,
                "anchored": self.anchored,
                "seeds": list(self.seeds),
                "grid": {a.name: list(a.values) for a in self.axes},
                "figures": self.figures,
                "steps": [
                    {
                        "train": [s.window.train_start, s.window.train_end],
                        "test": [s.window.test_start, s.window.test_end],
                        "settings": dict(s.chosen.settings),
                        "compared": s.compared,
                        "inside": {"score": s.chosen.score, "net": s.chosen.mean("net")},
                        "outside": {
                            "score": s.outside.score, **{name: s.outside.mean(name) for name in STATISTICS}
                        },
                    }
                    for s in self.steps
                ],
                "skipped": self.skipped,
                "runs": {"done": self.runs, "failed": len(self.failed), "seconds": self.seconds},
                "data": self.data,
            }
        )  # fmt: skip

    def write_html(self, path: str | Path, title: str | None = None) -> Path:
        """Write the report: one HTML file that needs nothing else."""
        from nanotick.research.walk_forward_report import build_walk_forward_report

        return write_text(Path(path), build_walk_forward_report(self, title))

    def summary(self) -> Any:
        """Every step as a rich table."""
        from nanotick.research.study_tables import walk_forward_table

        return walk_forward_table(self)


def _rate(configuration: Configuration, length_ns: int) -> float:
    """Profit an hour of the window."""
    return configuration.mean("net") / (length_ns / 3.6e12)


def walk_forward(
    data: Data | Sequence[Data] = (),
    strategy: StrategyLike | Sequence[StrategyLike] = (),
    grid: Mapping[str, Iterable[Any]] | Sequence[str] = (),
    *,
    folds: int = 5,
    train: int = 2,
    anchored: bool = False,
    purge: float = 0.0,
    embargo: float = 0.0,
    seeds: Iterable[int] = (1,),
    objective: str = "sharpe",
    workers: int | None = None,
    ray: str | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    config: RunConfig | None = None,
    venue: VenueConfig | None = None,
    limits: RiskLimits | None = None,
    cash: str | None = None,
    symbols: Iterable[str] = (),
    sample_interval: float | None = None,
    return_interval: float = 60.0,
    data_format: str = "",
    progress: StudyProgress | None = None,
    executor: Executor | None = None,
) -> WalkForwardResult:
    """Choose parameters in one stretch of the data and test them in the next, step by step.

    The data is cut into `train + folds` pieces of equal trading time, of whole sessions when there are enough. Every
    run starts flat; the book is built from the start of the data.

    Parameters
    ----------
    folds : int
        Steps.
    train : int
        Pieces to choose in.
    anchored : bool
        Choose in everything before the test instead of the last `train` pieces.
    purge, embargo : float
        Seconds left out at the end of what is chosen in, and at the start of each test.
    data, strategy, grid, seeds, objective, workers, ray, out, resume, config, return_interval, progress, executor
        As for `nanotick.sweep`.

    Returns
    -------
    WalkForwardResult

    Raises
    ------
    RunConfigError, ValueError, FileNotFoundError
        Before the first run.
    """
    chosen = study_config(
        strategy, config, cash=None if cash is None else str(cash), symbols=tuple(symbols) or None,
        sample_interval=sample_interval, format=data_format or None,
    )  # fmt: skip
    return run_walk_forward(
        chosen, make_axes(grid), data, folds=folds, train=train, anchored=anchored, purge=purge, embargo=embargo,
        seeds=seeds, objective=objective, out=Path(out) if out else None, resume=resume, venue=venue, limits=limits,
        return_interval=return_interval, progress=progress, executor=executor or make_executor(workers, ray),
    )  # fmt: skip


def run_walk_forward(
    config: RunConfig,
    axes: Sequence[Axis],
    data: Data | Sequence[Data] = (),
    *,
    executor: Executor,
    folds: int = 5,
    train: int = 2,
    anchored: bool = False,
    purge: float = 0.0,
    embargo: float = 0.0,
    seeds: Iterable[int] = (1,),
    objective: str = "sharpe",
    out: Path | None = None,
    resume: bool = False,
    venue: VenueConfig | None = None,
    limits: RiskLimits | None = None,
    return_interval: float = 60.0,
    progress: StudyProgress | None = None,
) -> WalkForwardResult:
    """A walk-forward from a configuration; see `walk_forward`."""
    wanted = Objective(objective, STATISTICS)
    fitted = fit_axes(axes, config)
    several = tuple(dict.fromkeys(int(s) for s in seeds))
    started = time.perf_counter()
    with open_study(
        config, data, venue=venue, limits=limits, return_interval=return_interval, folder=out,
        more={"kind": "walk_forward"},
    ) as study:  # fmt: skip
        assert study.inputs is not None  # no scenario was given, so there is data
        windows = walk_forward_windows(
            data_sessions(study.inputs), folds, train, anchored, int(purge * 1e9), int(embargo * 1e9)
        )
        grid = combinations(fitted)
        inside = [
            Task(number, settings, seed, window.train_start, window.train_end)
            for number, (window, settings, seed) in enumerate((w, g, s) for w in windows for g in grid for s in several)
        ]
        log = RunLog(out, study.manifest, resume) if out else None
        try:
            first = run_tasks(study.job, inside, executor, log, progress)
            chosen = [_best(first.outcomes, w, wanted, len(grid) * len(several)) for w in windows]
            outside = [
                Task(len(inside) + number, best.settings, seed, window.test_start, window.test_end)
                for number, (window, best, seed) in enumerate(
                    (w, b, s) for w, b in zip(windows, chosen, strict=True) if b is not None for s in several
                )
            ]
            second = run_tasks(study.job, [] if first.partial else outside, executor, log, progress)
        finally:
            if log:
                log.close()
    steps, skipped = [], []
    for number, (window, best) in enumerate(zip(windows, chosen, strict=True), 1):
        tests = [o for o in second.outcomes if o.task.start == window.test_start and not o.error]
        if best is None:
            skipped.append(f"step {number}: no configuration has a value of {objective} inside")
        elif not tests:
            skipped.append(f"step {number}: its test has no result")
        else:
            scores = [wanted(o.statistics) for o in tests]
            known = [s for s in scores if not math.isnan(s)]
            score = sum(known) / len(known) if known else math.nan
            steps.append(Step(window, best, Configuration(best.settings, score, tuple(tests)), len(grid)))
    runs = [*first.outcomes, *second.outcomes]
    return WalkForwardResult(
        axes=tuple(fitted), steps=steps, skipped=skipped, objective=wanted, seeds=several, anchored=anchored,
        partial=first.partial or second.partial, failed=[o for o in runs if o.error], runs=len(runs),
        resumed=first.resumed + second.resumed, seconds=time.perf_counter() - started, workers=executor.workers,
        config=config, data=study.manifest["data"],
    )  # fmt: skip


def _best(outcomes: list[Outcome], window: Window, objective: Objective, wanted: int) -> Configuration | None:
    """The best configuration of a window; None while runs are missing, or when none has a value."""
    mine = [o for o in outcomes if o.task.start == window.train_start and o.task.end == window.train_end]
    if len(mine) < wanted:
        return None
    grouped: dict[Any, list[Outcome]] = {}
    for outcome in mine:
        grouped.setdefault(outcome.task.settings, []).append(outcome)
    found = []
    for settings, members in grouped.items():
        scores = [objective(o.statistics) for o in members if not o.error]
        known = [s for s in scores if not math.isnan(s)]
        if known:
            found.append(Configuration(settings, sum(known) / len(known), tuple(members)))
    return max(found, key=lambda c: c.score, default=None)


def data_sessions(inputs: Inputs) -> list[tuple[int, int]]:
    """Sessions of opened data, from rows spread evenly over it and its exact ends."""
    times = []
    for recording in inputs.recordings:
        ts = recording.events["ts_recv"]
        times += [ts[:: max(1, len(ts) // _SAMPLED_ROWS)], ts[-1:]]
    return sessions_of(np.sort(np.concatenate(times)))
