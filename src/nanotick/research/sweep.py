"""`nanotick.sweep`: one strategy over every combination of parameters, on all cores or on a cluster."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from nanotick.exchange.config import VenueConfig
from nanotick.research.backtest import Data
from nanotick.research.executor import Executor, make_executor
from nanotick.research.grid import Axis, combinations, fit_axes, make_axes
from nanotick.research.job import STATISTICS, Task
from nanotick.research.objective import Objective
from nanotick.research.run_config import RunConfig
from nanotick.research.run_log import RunLog
from nanotick.research.study import StrategyLike, StudyProgress, open_study, run_tasks, study_config
from nanotick.research.sweep_result import SweepResult
from nanotick.risk.limits import RiskLimits

DEFAULT_OBJECTIVE = "sharpe"


def sweep(
    data: Data | Sequence[Data] = (),
    strategy: StrategyLike | Sequence[StrategyLike] = (),
    grid: Mapping[str, Iterable[Any]] | Sequence[str] = (),
    *,
    seeds: Iterable[int] = (1,),
    objective: str = DEFAULT_OBJECTIVE,
    workers: int | None = None,
    ray: str | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    config: RunConfig | None = None,
    venue: VenueConfig | None = None,
    limits: RiskLimits | None = None,
    cash: str | int | Decimal | None = None,
    symbols: Iterable[str] = (),
    start: str | None = None,
    end: str | None = None,
    sample_interval: float | None = None,
    return_interval: float = 60.0,
    data_format: str = "",
    progress: StudyProgress | None = None,
    executor: Executor | None = None,
) -> SweepResult:
    """Run a strategy with every combination of parameters.

    Parameters
    ----------
    data : path, (events, InstrumentTable), or a sequence of them
        As for `nanotick.backtest`. Workers map it; what is no event file yet is written as one for the time being.
    strategy : name, path.py:Class, Strategy class or instance, or several
        A class must be at the top level of a file: workers load it from there.
    grid : mapping, or sequence of str
        Values by name, or `NAME=A,B,C` and `NAME=LOW:HIGH:COUNT[:log]`. Names as in `--set`: `size`, `glft.gamma`,
        `venue.entry_latency`, `limits.max_order_value`.
    seeds : iterable of int
        Every combination runs once with each; it is judged by the mean over them.
    objective : str
        What the best is best in: a statistic, or an expression over their names.
    workers : int, optional
        Processes; as many as there are processors when left out, 0 for this process.
    ray : str, optional
        Run on a Ray cluster instead: its address, or `auto`.
    out : path, optional
        Folder: each run is on disk when it is counted, and `runs.parquet`, `returns.parquet` are written at the end.
    resume : bool
        Go on with the runs in `out`.
    config : RunConfig, optional
        A whole configuration; the other arguments come on top.
    return_interval : float
        Seconds of a step of the return series, on which deflation and overfitting are judged.
    progress : callable, optional
        `progress(done, total, seconds, failed)`.
    executor : Executor, optional
        One of your own instead of `workers` and `ray`.

    Returns
    -------
    SweepResult
        Also after Ctrl-C, then with `partial` set.

    Raises
    ------
    RunConfigError, ValueError, FileNotFoundError
        Before the first run: unknown names (with the nearest match), values a parameter cannot have, no data. A run
        that fails is a row with its error.
    """
    chosen = study_config(
        strategy, config, cash=None if cash is None else str(cash), symbols=tuple(symbols) or None, start=start,
        end=end, sample_interval=sample_interval, format=data_format or None,
    )  # fmt: skip
    return run_sweep(
        chosen, make_axes(grid), data, seeds=seeds, objective=objective, out=Path(out) if out else None, resume=resume,
        venue=venue, limits=limits, return_interval=return_interval, progress=progress,
        executor=executor or make_executor(workers, ray),
    )  # fmt: skip


def run_sweep(
    config: RunConfig,
    axes: Sequence[Axis],
    data: Data | Sequence[Data] = (),
    *,
    executor: Executor,
    seeds: Iterable[int] = (1,),
    objective: str = DEFAULT_OBJECTIVE,
    out: Path | None = None,
    resume: bool = False,
    venue: VenueConfig | None = None,
    limits: RiskLimits | None = None,
    return_interval: float = 60.0,
    progress: StudyProgress | None = None,
) -> SweepResult:
    """A sweep from a configuration; see `sweep`."""
    wanted = Objective(objective, STATISTICS)
    fitted = fit_axes(axes, config)
    several = tuple(dict.fromkeys(int(s) for s in seeds))
    if not several:
        raise ValueError("seeds: expected one or more")
    tasks = [
        Task(number, settings, seed)
        for number, (settings, seed) in enumerate((c, s) for c in combinations(fitted) for s in several)
    ]
    started = time.perf_counter()
    with open_study(
        config, data, venue=venue, limits=limits, return_interval=return_interval, folder=out, more={"kind": "sweep"}
    ) as study:
        log = RunLog(out, study.manifest, resume) if out else None
        try:
            ran = run_tasks(study.job, tasks, executor, log, progress)
        finally:
            if log:
                log.close()
        result = SweepResult(
            axes=tuple(fitted),
            outcomes=ran.outcomes,
            objective=wanted,
            seeds=several,
            total=len(tasks),
            partial=ran.partial,
            seconds=time.perf_counter() - started,
            workers=executor.workers,
            config=config,
            data=study.manifest["data"],
            resumed=ran.resumed,
        )
    if out:
        result.write_parquet(out)
    return result
