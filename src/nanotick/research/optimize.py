"""`nanotick.optimize`: search for parameters with Optuna, giving up early on what is going badly.

Each worker asks the shared study for a trial, runs it and reports the objective after each segment of the data; the
study's pruner may end it there. The study is in a file (or a database of one's own), so a search goes on where it
stopped.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from nanotick.engine.backtest import Backtest
from nanotick.exchange.config import VenueConfig
from nanotick.research.backtest import Data
from nanotick.research.executor import Executor, make_executor
from nanotick.research.grid import Axis, check_config, parameter_kind, parse_axis
from nanotick.research.job import (
    STATISTICS,
    BacktestJob,
    BacktestRunner,
    Outcome,
    Run,
    Task,
    compiled_kernels,
    describe,
    finished,
)
from nanotick.research.objective import Objective
from nanotick.research.results import BacktestResult
from nanotick.research.run_config import RunConfig, RunConfigError, with_value
from nanotick.research.run_log import RunLog
from nanotick.research.study import StrategyLike, StudyProgress, open_study, run_tasks, study_config
from nanotick.research.sweep_result import SweepResult
from nanotick.research.tables import need
from nanotick.risk.limits import RiskLimits

STUDY_NAME = "nanotick"
STORAGE_NAME = "study.journal"
PRUNED = "given up"
PrunerName = Literal["median", "hyperband", "none"]


@dataclass(frozen=True)
class Range:
    """What one parameter may be.

    Attributes
    ----------
    name : str
    low, high : float
        Ends, both allowed; unused with `choices`.
    log : bool
        Search by ratio.
    whole : bool
        Integers only.
    choices : tuple
        One of these instead.
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    choices: tuple[Any, ...] = ()

    def suggest(self, trial: Any) -> Any:
        """Ask a trial for a value."""
        if self.choices:
            return trial.suggest_categorical(self.name, self.choices)
        if self.whole:
            return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)


def parse_range(text: str) -> Range:
    """Read NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=A,B,C.

    Raises
    ------
    RunConfigError
        It is none of these.
    """
    name, equals, said = text.partition("=")
    parts = said.split(":")
    if not equals or not name.strip() or not said.strip():
        raise RunConfigError(f"--search {text}: expected NAME=LOW:HIGH or NAME=A,B,C, for example size=100:900")
    if len(parts) == 1:
        return Range(name.strip(), choices=parse_axis(text).values)
    try:
        low, high = float(parts[0]), float(parts[1])
    except ValueError:
        raise RunConfigError(f"--search {text}: expected two numbers, found {said!r}") from None
    scale = parts[2].strip() if len(parts) == 3 else "linear"
    if len(parts) > 3 or scale not in ("linear", "log"):
        raise RunConfigError(f"--search {text}: expected `log` or nothing after the ends, found {parts[2:]}")
    if not low < high or (scale == "log" and low <= 0):
        raise RunConfigError(f"--search {text}: expected a lower end below the upper one, and both positive with log")
    return Range(name.strip(), low, high, scale == "log")


def _given(name: str, values: Any) -> Range:
    """A pair is two ends, anything else a list of choices."""
    if isinstance(values, tuple) and len(values) == 2:
        return Range(name, float(values[0]), float(values[1]))
    return Range(name, choices=tuple(values))


def make_space(space: Sequence[str] | Mapping[str, Any], config: RunConfig) -> list[Range]:
    """Ranges from the command line's words, or from names with (low, high) or a list of choices; checked.

    Raises
    ------
    RunConfigError
        Unknown names, with the nearest match; values that a parameter cannot have.
    """
    if isinstance(space, Mapping):
        given = [_given(name, values) for name, values in space.items()]
    else:
        given = [parse_range(text) for text in space]
    if not given:
        raise RunConfigError("nothing to search: give --search NAME=LOW:HIGH or NAME=A,B,C, one for each parameter")
    made = []
    for item in given:
        ends = item.choices or (item.low, item.high)
        with_value(config, item.name, ends[0], f"search {item.name}")
        if not item.choices and parameter_kind(item.name, config) is int:
            item = replace(item, whole=True, low=math.ceil(item.low), high=math.floor(item.high))
            ends = (int(item.low), int(item.high))
        for value in ends:
            try:
                check_config(with_value(config, item.name, value))
            except (ValueError, TypeError) as error:
                raise RunConfigError(f"search {item.name}={value}: {error}") from error
        made.append(item)
    return made


def open_storage(where: str) -> Any:
    """Optuna's storage: a journal file by its path, or a database by its address (with `://`)."""
    optuna = need("optuna", "optuna", "nanotick optimize")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if "://" in where:
        return optuna.storages.RDBStorage(where)
    backend = optuna.storages.journal.JournalFileBackend(where)
    return optuna.storages.JournalStorage(backend)


@dataclass(frozen=True)
class TrialJob:
    """Trials of a study: backtests whose settings come from it.

    Attributes
    ----------
    job : BacktestJob
    storage : str
        See `open_storage`.
    space : tuple of Range
    objective : str
    segments : int
        Parts of the data after which the objective is reported; 1: at the end only.
    pruner : {"median", "hyperband", "none"}
    """

    job: BacktestJob
    storage: str
    space: tuple[Range, ...]
    objective: str
    segments: int
    pruner: PrunerName

    def open(self) -> Run:
        """Map the data and join the study."""
        return TrialRunner(self)


class _GivenUp(Exception):
    """The pruner has seen enough."""


class TrialRunner:
    """An opened trial job.

    Parameters
    ----------
    job : TrialJob
    """

    def __init__(self, job: TrialJob) -> None:
        self._optuna = need("optuna", "optuna", "nanotick optimize")
        self._job = job
        self._runner = BacktestRunner(job.job)
        self._objective = Objective(job.objective, STATISTICS)
        self._study = self._optuna.load_study(
            study_name=STUDY_NAME, storage=open_storage(job.storage), pruner=self._pruner()
        )

    def _pruner(self) -> Any:
        pruners = self._optuna.pruners
        if self._job.pruner == "median":
            return pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1)
        if self._job.pruner == "hyperband":
            return pruners.HyperbandPruner(min_resource=1, max_resource=self._job.segments)
        return pruners.NopPruner()

    def __call__(self, task: Task) -> Outcome:
        """Run one trial; the sampler is seeded by the task, so that one worker alone repeats a search exactly."""
        state = self._optuna.trial.TrialState
        started, before = time.perf_counter(), compiled_kernels()
        self._study.sampler = self._optuna.samplers.TPESampler(seed=task.seed + task.number, constant_liar=True)
        trial = self._study.ask()
        settings = tuple((item.name, item.suggest(trial)) for item in self._job.space)
        task = Task(task.number, settings, task.seed)
        try:
            outcome = self._run(task, trial)
        except _GivenUp as at:
            self._study.tell(trial, state=state.PRUNED)
            outcome = Outcome(task, error=f"{PRUNED} {at}")
        except Exception as error:
            self._study.tell(trial, state=state.FAIL)
            outcome = Outcome(task, error=f"{type(error).__name__}: {error}")
        else:
            value = self._objective(outcome.statistics)
            if math.isnan(value):
                self._study.tell(trial, state=state.FAIL)
            else:
                self._study.tell(trial, value)
        return finished(outcome, started, before)

    def _run(self, task: Task, trial: Any) -> Outcome:
        run = self._runner.prepare(task)
        segments = self._job.segments
        seen = 0

        def report(done: int, total: int, seconds: float) -> None:
            nonlocal seen
            segment = done * segments // max(1, total)
            if segment <= seen or segment >= segments:
                return
            seen = segment
            value = self._value_so_far(run)
            if math.isnan(value):
                return
            trial.report(value, segment)
            if trial.should_prune():
                raise _GivenUp(f"after {segment} of {segments} parts")

        slice_rows = max(1, math.ceil(run.rows / segments))
        output = run.run(report if segments > 1 and self._job.pruner != "none" else None, slice_rows)
        return self._runner.outcome(task, BacktestResult(output))

    def _value_so_far(self, run: Backtest) -> float:
        statistics, _ = describe(BacktestResult(run.so_far()), self._job.job.return_interval)
        return self._objective(statistics)


@dataclass
class OptimizeResult(SweepResult):
    """What a search found: a `SweepResult` whose runs were chosen one after the other.

    Attributes
    ----------
    pruned : int
        Trials given up early, of this and earlier calls.
    trials_before : int
        Trials the storage had at the start.
    """

    schema: ClassVar[str] = "nanotick.optimize/1"
    word: ClassVar[str] = "Search"
    pruned: int = 0
    trials_before: int = field(default=0)

    @property
    def failed(self) -> list[Outcome]:
        """Runs that ended in an error, without those given up."""
        return [o for o in self.outcomes if o.error and not o.error.startswith(PRUNED)]

    def to_dict(self) -> dict[str, Any]:
        """As of a sweep, with `pruned`, without a grid."""
        found = super().to_dict()
        found["pruned"] = self.pruned
        del found["grid"]
        return found


def optimize(
    data: Data | Sequence[Data] = (),
    strategy: StrategyLike | Sequence[StrategyLike] = (),
    space: Mapping[str, Any] | Sequence[str] = (),
    *,
    trials: int = 100,
    timeout: float | None = None,
    objective: str = "sharpe",
    pruner: PrunerName = "median",
    segments: int = 8,
    seed: int = 1,
    workers: int | None = None,
    ray: str | None = None,
    out: str | Path | None = None,
    storage: str | None = None,
    resume: bool = False,
    config: RunConfig | None = None,
    venue: VenueConfig | None = None,
    limits: RiskLimits | None = None,
    cash: str | None = None,
    symbols: Iterable[str] = (),
    start: str | None = None,
    end: str | None = None,
    sample_interval: float | None = None,
    return_interval: float = 60.0,
    data_format: str = "",
    progress: StudyProgress | None = None,
    executor: Executor | None = None,
) -> OptimizeResult:
    """Search for the parameters with the largest objective (Optuna's tree-structured Parzen estimator).

    Parameters
    ----------
    space : mapping, or sequence of str
        (low, high) or a list of choices by name; or `NAME=LOW:HIGH[:log]`, `NAME=A,B,C`.
    trials : int
        In all, those of an earlier call with the same `out` included.
    timeout : float, optional
        Seconds after which no trial is begun and what runs is stopped.
    pruner : {"median", "hyperband", "none"}
    segments : int
        Parts of the data after which the objective so far is judged.
    seed : int
        Of the search; one worker repeats it exactly, several do not.
    storage : str, optional
        Address of a database of Optuna's instead of a file in `out`.
    data, strategy, objective, workers, ray, out, resume, config, return_interval, progress, executor
        As for `nanotick.sweep`.

    Raises
    ------
    RunConfigError, ValueError, FileNotFoundError
        Before the first run.
    ImportError
        Optuna is not installed; the message says how to install it.
    """
    chosen = study_config(
        strategy, config, cash=None if cash is None else str(cash), symbols=tuple(symbols) or None, start=start,
        end=end, sample_interval=sample_interval, format=data_format or None,
    )  # fmt: skip
    return run_optimize(
        chosen, make_space(space, chosen), data, trials=trials, timeout=timeout, objective=objective, pruner=pruner,
        segments=segments, seed=seed, out=Path(out) if out else None, storage=storage, resume=resume, venue=venue,
        limits=limits, return_interval=return_interval, progress=progress,
        executor=executor or make_executor(workers, ray),
    )  # fmt: skip


def run_optimize(
    config: RunConfig,
    space: Sequence[Range],
    data: Data | Sequence[Data] = (),
    *,
    executor: Executor,
    trials: int = 100,
    timeout: float | None = None,
    objective: str = "sharpe",
    pruner: PrunerName = "median",
    segments: int = 8,
    seed: int = 1,
    out: Path | None = None,
    storage: str | None = None,
    resume: bool = False,
    venue: VenueConfig | None = None,
    limits: RiskLimits | None = None,
    return_interval: float = 60.0,
    progress: StudyProgress | None = None,
) -> OptimizeResult:
    """A search from a configuration; see `optimize`."""
    wanted = Objective(objective, STATISTICS)
    if trials < 1 or segments < 1:
        raise ValueError(f"expected one trial and one segment or more, found {trials} and {segments}")
    optuna = need("optuna", "optuna", "nanotick optimize")
    started = time.perf_counter()
    with ExitStack() as stack:
        more = {"kind": "optimize", "objective": wanted.text, "space": repr(list(space))}
        study = stack.enter_context(
            open_study(config, data, venue=venue, limits=limits, return_interval=return_interval, folder=out, more=more)
        )
        log = stack.enter_context(RunLog(out, study.manifest, resume)) if out else None
        folder = out or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nanotick-study-")))
        where = storage or str((folder / STORAGE_NAME).resolve())
        shared = optuna.create_study(
            study_name=STUDY_NAME, storage=open_storage(where), direction="maximize", load_if_exists=True
        )
        _end_abandoned(optuna, shared)
        before = len(shared.get_trials(deepcopy=False))
        job = TrialJob(study.job, where, tuple(space), wanted.text, segments, pruner)
        tasks = [Task(number, (), seed) for number in range(before, max(before, trials))]
        # what the log has is keyed by settings, which a trial has only once it ran: all of these are new
        ran = run_tasks(job, tasks, _Timed(executor, timeout), None if log is None else _Appending(log), progress)
        _end_abandoned(optuna, shared)
        earlier = [o for o in (log.outcomes.values() if log else ()) if o.task.number < before]
        outcomes = sorted([*earlier, *ran.outcomes], key=lambda o: o.task.number)
        pruned = len(shared.get_trials(deepcopy=False, states=(optuna.trial.TrialState.PRUNED,)))
    result = OptimizeResult(
        axes=tuple(Axis(item.name, ()) for item in space), outcomes=outcomes, objective=wanted, seeds=(seed,),
        total=trials, partial=ran.partial, seconds=time.perf_counter() - started, workers=executor.workers,
        config=config, data=study.manifest["data"], resumed=len(earlier), pruned=pruned, trials_before=before,
    )  # fmt: skip
    if out:
        result.write_parquet(out)
    return result


class _Appending:
    """A log that only takes: no trial is found in it beforehand."""

    def __init__(self, log: RunLog) -> None:
        self._log = log
        self.outcomes: dict[str, Outcome] = {}

    def append(self, outcome: Outcome) -> None:
        """Keep a finished run."""
        self._log.append(outcome)


class _Timed:
    """An executor that stops after a while."""

    def __init__(self, inner: Executor, timeout: float | None) -> None:
        self._inner, self._timeout, self.workers = inner, timeout, inner.workers

    def run(self, job: Any, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Run the tasks until time is up."""
        ends = math.inf if self._timeout is None else time.monotonic() + self._timeout
        runs = self._inner.run(job, tasks)
        try:
            for outcome in runs:
                yield outcome
                if time.monotonic() >= ends:
                    return
        finally:
            close = getattr(runs, "close", None)
            if close:
                close()


def _end_abandoned(optuna: Any, study: Any) -> None:
    """Trials whose worker was stopped count as failed, not as running for ever."""
    state = optuna.trial.TrialState
    for trial in study.get_trials(deepcopy=False, states=(state.RUNNING,)):
        study.tell(trial.number, state=state.FAIL)
