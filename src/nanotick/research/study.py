"""What every study of many runs does: share the data, run the tasks, keep what is done, say how far it is."""

from __future__ import annotations

import inspect
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from nanotick.engine.replay import run_replay
from nanotick.exchange.config import VenueConfig
from nanotick.research.backtest import Data, Inputs, load_inputs
from nanotick.research.executor import Executor
from nanotick.research.grid import check_config
from nanotick.research.job import BacktestJob, Job, Outcome, SharedData, Task
from nanotick.research.run_config import RunConfig, RunConfigError, StrategyChoice, load_strategy
from nanotick.research.scenario import Scenario
from nanotick.risk.limits import RiskLimits
from nanotick.strategies import BUILT_IN
from nanotick.strategy.base import Strategy
from nanotick.strategy.compile import compile_strategy

StudyProgress = Callable[[int, int, float, int], None]
StrategyLike = str | type[Strategy] | Strategy | StrategyChoice


def strategy_choice(item: StrategyLike) -> StrategyChoice:
    """A strategy by reference, as another process can load it: a built-in name, or path.py:Class.

    Raises
    ------
    RunConfigError
        The class was typed into an interpreter: no other process can read its source.
    """
    if isinstance(item, StrategyChoice):
        return item
    if isinstance(item, str):
        return StrategyChoice(item)
    cls = item if isinstance(item, type) else type(item)
    parameters = {} if isinstance(item, type) else dict(item._values)
    for name, (module, qualname) in BUILT_IN.items():
        if (cls.__module__, cls.__qualname__) == (module, qualname):
            return StrategyChoice(name, parameters=parameters)
    try:
        file = inspect.getsourcefile(cls)
    except TypeError:
        file = None
    if file is None or not Path(file).is_file() or "." in cls.__qualname__:
        raise RunConfigError(
            f"strategy {cls.__qualname__}: workers load a strategy from its file, and this class is in none at the top "
            "level; put it into a module, or give path.py:Class"
        )
    return StrategyChoice(f"{Path(file).resolve()}:{cls.__qualname__}", parameters=parameters)


def study_config(
    strategies: StrategyLike | Sequence[StrategyLike], config: RunConfig | None = None, **changes: Any
) -> RunConfig:
    """A run's configuration from what Python callers give; None leaves what `config` says."""
    several: list[Any] = list(strategies) if isinstance(strategies, (list, tuple)) else [strategies]
    given = {k: v for k, v in changes.items() if v is not None}
    base = config or RunConfig()
    choices = tuple(strategy_choice(s) for s in several)
    return replace(base, strategies=choices or base.strategies, **given)


def load_all(config: RunConfig) -> None:
    """Compile every strategy and the replay loop into the cache, so that no worker has to."""
    from nanotick.engine.collect import make_ready

    for choice in config.strategies:
        compile_strategy(load_strategy(choice.use))
    make_ready(run_replay)


@dataclass
class Study:
    """A study ready to run.

    Attributes
    ----------
    job : BacktestJob
    inputs : Inputs or None
        The data as opened here; None when scenarios make it.
    manifest : dict
        What identifies the study: data, code, configuration.
    """

    job: BacktestJob
    inputs: Inputs | None
    manifest: dict[str, Any]


@contextmanager
def open_study(
    config: RunConfig,
    data: Data | Sequence[Data] = (),
    *,
    venue: VenueConfig | None = None,
    limits: RiskLimits | None = None,
    scenarios: Iterable[Scenario] = (),
    return_interval: float = 60.0,
    folder: Path | None = None,
    more: Mapping[str, Any] | None = None,
) -> Iterator[Study]:
    """Check a configuration, open and share its data, compile its strategies.

    Parameters
    ----------
    folder : Path, optional
        Of the study: data that is no event file yet is written there while it runs; else a temporary one.
    more : mapping, optional
        Further parts of the manifest.

    Raises
    ------
    RunConfigError, ValueError, FileNotFoundError
        What is wrong is said before the first run.
    """
    if not config.strategies:
        raise RunConfigError("no strategy: give --strategy NAME or --strategy path.py:Class; `nanotick strategies`")
    if return_interval <= 0:
        raise RunConfigError(f"return interval: expected seconds, found {return_interval:g}")
    # workers stand elsewhere: what is relative here must not be relative there
    choices = tuple(replace(c, use=_absolute(c.use)) for c in config.strategies)
    config = replace(config, strategies=choices)
    check_config(config)
    scenarios = tuple(scenarios)
    sources: list[Any] = [data] if isinstance(data, (str, Path, tuple)) and data != () else list(data)
    sources = sources or list(config.data)
    if not sources and not scenarios:
        raise RunConfigError(
            "no data: name at least one file. `nanotick data synthetic -o day.nt` makes a day, "
            "`nanotick data convert SOURCE -o day.nt` converts a recording"
        )
    with ExitStack() as stack:
        inputs: Inputs | None = None
        paths: tuple[str, ...] = ()
        digests: dict[str, str] = {}
        if sources:
            inputs = load_inputs(sources, config.symbols, config.end or None, config.format)
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=".data-", dir=_made(folder))))
            shared = SharedData(inputs, sources, scratch)
            paths, digests = tuple(shared.paths), shared.digests
        load_all(config)
        job = BacktestJob(config, paths, venue, limits, scenarios, return_interval)
        manifest = {
            "data": digests,
            "scenarios": [s.name for s in scenarios],
            "code": {c.use: load_strategy(c.use).source_key() for c in choices},
            "configuration": {k: str(v) for k, v in config.as_dict().items() if k not in ("data", "seed")},
            "venue": repr(venue),
            "limits": repr(limits),
            "return_interval": return_interval,
            **(more or {}),
        }
        yield Study(job, inputs, manifest)


def _made(folder: Path | None) -> Path | None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _absolute(use: str) -> str:
    path, colon, cls = use.rpartition(":")
    if not colon and not use.endswith(".py"):
        return use
    return f"{Path(path).resolve()}:{cls}" if colon else str(Path(use).resolve())


class Log(Protocol):
    """Where finished runs are kept; `RunLog` is one."""

    outcomes: dict[str, Outcome]

    def append(self, outcome: Outcome) -> None:
        """Keep a finished run."""
        ...


@dataclass(frozen=True)
class Ran:
    """What came of a study's tasks.

    Attributes
    ----------
    outcomes : list of Outcome
        In order of their tasks.
    partial : bool
        Ctrl-C left some out.
    resumed : int
        Runs that were in the log before.
    """

    outcomes: list[Outcome]
    partial: bool
    resumed: int


def run_tasks(
    job: Job,
    tasks: Sequence[Task],
    executor: Executor,
    log: Log | None = None,
    progress: StudyProgress | None = None,
) -> Ran:
    """Run what is not done yet.

    Parameters
    ----------
    log : Log, optional
        Has what was done before, and is given what is done now.
    progress : callable, optional
        `progress(done, total, seconds, failed)`, of the runs of this call.

    Returns
    -------
    Ran
    """
    before = log.outcomes if log else {}
    found = {
        t.number: _numbered(before[t.key], t) for t in tasks if t.key in before and not before[t.key].error
    }  # what failed before is tried again
    todo = [t for t in tasks if t.number not in found]
    started, failed, partial = time.perf_counter(), 0, False
    runs = executor.run(job, todo)
    try:
        if progress:
            progress(0, len(todo), 0.0, 0)
        for done, outcome in enumerate(runs, 1):
            found[outcome.task.number] = outcome
            failed += bool(outcome.error)
            if log:
                log.append(outcome)
            if progress:
                progress(done, len(todo), time.perf_counter() - started, failed)
    except KeyboardInterrupt:
        partial = True
    finally:
        close = getattr(runs, "close", None)
        if close:
            close()
    return Ran([found[number] for number in sorted(found)], partial, len(tasks) - len(todo))


def _numbered(outcome: Outcome, task: Task) -> Outcome:
    """A run of an earlier call under its number in this one."""
    outcome.task = task
    return outcome
