"""`nanotick.monte_carlo`: one strategy in many markets, with many seeds, and along many redrawn paths of one run."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nanotick import __version__
from nanotick.core.files import write_text
from nanotick.exchange.config import VenueConfig
from nanotick.research.backtest import Data
from nanotick.research.bootstrap import Distribution, Floats, Paths, bootstrap, summarise
from nanotick.research.executor import Executor, make_executor
from nanotick.research.job import BacktestJob, BacktestRunner, Outcome, Task
from nanotick.research.results import BacktestResult
from nanotick.research.run_config import RunConfig
from nanotick.research.run_log import RunLog
from nanotick.research.scenario import Scenario, scenario_from
from nanotick.research.study import StrategyLike, StudyProgress, open_study, run_tasks, study_config
from nanotick.research.summary import plain
from nanotick.research.written import Written
from nanotick.risk.limits import RiskLimits

SCHEMA = "nanotick.monte_carlo/1"
RUIN_SHARES = (0.01, 0.05, 0.1, 0.25)
SHOWN = ("net", "max_drawdown", "sharpe", "fills", "fees", "mark_out_10s")
Resampled = Literal["returns", "trades"]


@dataclass(frozen=True)
class Market:
    """The runs in one market: a scenario over its seeds, or the recorded data.

    Attributes
    ----------
    name : str
    outcomes : tuple of Outcome
        Without the failed ones.
    """

    name: str
    outcomes: tuple[Outcome, ...]

    def distribution(self, statistic: str) -> Distribution:
        """A statistic over the runs that have it."""
        values = [o.statistics.get(statistic) for o in self.outcomes]
        return Distribution(np.array([v for v in values if v is not None], np.float64))

    @property
    def error_of_mean(self) -> float:
        """Standard error of the mean profit."""
        profit = self.distribution("net")
        return profit.deviation / math.sqrt(len(profit.values)) if len(profit.values) > 1 else math.nan

    @cached_property
    def paths(self) -> Paths | None:
        """Profit over time of the runs of the most common length; None with fewer than two."""
        lengths = [len(o.values) for o in self.outcomes]
        if not lengths:
            return None
        steps = max(set(lengths), key=lambda n: (lengths.count(n), n))
        alike = [o.values for o in self.outcomes if len(o.values) == steps]
        if len(alike) < 2 or steps < 1:
            return None
        return summarise(iter([np.stack(alike)]), steps, self.outcomes[0].capital, RUIN_SHARES, np.empty(0))


@dataclass
class MonteCarloResult(Written):
    """What a Monte Carlo study found.

    Attributes
    ----------
    markets : list of Market
    resampled : Paths or None
        Bootstrap of the run over recorded data.
    resampled_of : str
        `returns` or `trades`.
    step_s : float
        Seconds of a step of the return series.
    failed : list of Outcome
    partial : bool
    runs, resumed : int
    seconds : float
    workers : int
    config : RunConfig
    capital : float
        Starting cash, currency.
    notes : list of str
    """

    markets: list[Market]
    resampled: Paths | None
    resampled_of: Resampled
    step_s: float
    failed: list[Outcome]
    partial: bool
    runs: int
    resumed: int
    seconds: float
    workers: int
    config: RunConfig
    capital: float
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The stable structure that `--json` prints (docs/research.md)."""
        return plain(  # type: ignore[no-any-return]
            {
                "schema": SCHEMA,
                "version": __version__,
                "partial": self.partial,
                "capital": self.capital,
                "markets": [
                    {
                        "name": m.name,
                        "runs": len(m.outcomes),
                        "seeds": [o.task.seed for o in m.outcomes],
                        "error_of_mean": m.error_of_mean,
                        "statistics": {name: m.distribution(name).as_dict() for name in SHOWN},
                        "ruin": [asdict(r) for r in m.paths.ruin] if m.paths else [],
                    }
                    for m in self.markets
                ],
                "bootstrap": None
                if self.resampled is None
                else {
                    "of": self.resampled_of,
                    "paths": len(self.resampled.profit.values),
                    "mean_block": self.resampled.mean_block,
                    "profit": self.resampled.profit.as_dict(),
                    "max_drawdown": self.resampled.drawdown.as_dict(),
                    "ruin": [asdict(r) for r in self.resampled.ruin],
                },
                "notes": self.notes,
                "errors": [{"scenario": o.task.scenario, "seed": o.task.seed, "error": o.error} for o in self.failed],
                "runs": {"done": self.runs, "failed": len(self.failed), "seconds": self.seconds},
            }
        )

    def write_html(self, path: str | Path, title: str | None = None) -> Path:
        """Write the report: one HTML file that needs nothing else."""
        from nanotick.research.monte_carlo_report import build_monte_carlo_report

        return write_text(Path(path), build_monte_carlo_report(self, title))

    def summary(self) -> Any:
        """Quantiles as a rich table."""
        from nanotick.research.study_tables import monte_carlo_table

        return monte_carlo_table(self)


def monte_carlo(
    data: Data | Sequence[Data] = (),
    strategy: StrategyLike | Sequence[StrategyLike] = (),
    *,
    scenarios: Iterable[Scenario | str] = (),
    seeds: Iterable[int] = range(1, 21),
    paths: int = 5_000,
    resample: Resampled = "returns",
    mean_block: float | None = None,
    ruin: tuple[float, ...] = RUIN_SHARES,
    workers: int | None = None,
    ray: str | None = None,
    out: str | Path | None = None,
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
) -> MonteCarloResult:
    """Distributions of profit, drawdown and ruin: over made markets, over seeds, and by redrawing a run's own returns.

    Parameters
    ----------
    data : as for `nanotick.backtest`, optional
        Recorded data: run with every seed; the first of these runs is redrawn by the stationary block bootstrap.
    scenarios : iterable of Scenario or str
        Markets made from each seed, for example `synthetic` or `synthetic:volatility=2`.
    seeds : iterable of int
    paths : int
        Redrawn paths; 0: none.
    resample : {"returns", "trades"}
        Redraw the changes of equity over `return_interval`, or the profit of each fill that was realised.
    mean_block : float, optional
        Mean length of the blocks in steps; chosen from the series when left out.
    ruin : tuple of float
        Shares of the capital whose loss at any time is called ruin.
    strategy, workers, ray, out, resume, config, return_interval, progress, executor
        As for `nanotick.sweep`.

    Returns
    -------
    MonteCarloResult

    Raises
    ------
    RunConfigError, ValueError, FileNotFoundError
        Before the first run.
    """
    chosen = study_config(
        strategy, config, cash=None if cash is None else str(cash), symbols=tuple(symbols) or None, start=start,
        end=end, sample_interval=sample_interval, format=data_format or None,
    )  # fmt: skip
    return run_monte_carlo(
        chosen, data, scenarios=[scenario_from(s) if isinstance(s, str) else s for s in scenarios], seeds=seeds,
        paths=paths, resample=resample, mean_block=mean_block, ruin=ruin, out=Path(out) if out else None, resume=resume,
        venue=venue, limits=limits, return_interval=return_interval, progress=progress,
        executor=executor or make_executor(workers, ray),
    )  # fmt: skip


def run_monte_carlo(
    config: RunConfig,
    data: Data | Sequence[Data] = (),
    *,
    executor: Executor,
    scenarios: Sequence[Scenario] = (),
    seeds: Iterable[int] = range(1, 21),
    paths: int = 5_000,
    resample: Resampled = "returns",
    mean_block: float | None = None,
    ruin: tuple[float, ...] = RUIN_SHARES,
    out: Path | None = None,
    resume: bool = False,
    venue: VenueConfig | None = None,
    limits: RiskLimits | None = None,
    return_interval: float = 60.0,
    progress: StudyProgress | None = None,
) -> MonteCarloResult:
    """A Monte Carlo study from a configuration; see `monte_carlo`."""
    several = tuple(dict.fromkeys(int(s) for s in seeds))
    if not several:
        raise ValueError("seeds: expected one or more")
    names = [s.name for s in scenarios]
    if len(set(names)) < len(names):
        raise ValueError(f"two scenarios are called {next(n for n in names if names.count(n) > 1)!r}")
    started = time.perf_counter()
    with open_study(
        config, data, venue=venue, limits=limits, scenarios=scenarios, return_interval=return_interval, folder=out,
        more={"kind": "monte_carlo"},
    ) as study:  # fmt: skip
        places = [*([""] if study.inputs is not None else []), *names]
        pairs = [(place, seed) for place in places for seed in several]
        tasks = [Task(n, (), seed, scenario=place) for n, (place, seed) in enumerate(pairs)]
        log = RunLog(out, study.manifest, resume) if out else None
        try:
            ran = run_tasks(study.job, tasks, executor, log, progress)
        finally:
            if log:
                log.close()
        good = [o for o in ran.outcomes if not o.error]
        markets = [
            Market(place or "recorded data", tuple(o for o in good if o.task.scenario == place)) for place in places
        ]
        notes: list[str] = []
        first = next((o for o in good if not o.task.scenario), None)
        redrawn = None
        if first is not None and paths > 0:
            changes = first.values if resample == "returns" else _trades(study.job, first.task)
            if len(changes) >= 2:
                redrawn = bootstrap(changes, first.capital, paths, mean_block, None, ruin, several[0])
            else:
                notes.append(f"Nothing to redraw: the run has {len(changes)} {resample}.")
    for market in markets:
        profits = set(market.distribution("net").values.tolist())
        if len(several) > 1 and len(profits) == 1 and market.name == "recorded data":
            notes.append("Every seed gave the same over recorded data: nothing in this run is drawn at random.")
    return MonteCarloResult(
        markets=markets, resampled=redrawn, resampled_of=resample, step_s=return_interval,
        failed=[o for o in ran.outcomes if o.error], partial=ran.partial, runs=len(ran.outcomes), resumed=ran.resumed,
        seconds=time.perf_counter() - started, workers=executor.workers, config=config,
        capital=good[0].capital if good else math.nan, notes=notes,
    )  # fmt: skip


def _trades(job: BacktestJob, task: Task) -> Floats:
    """Profit of each fill that closed something, net of the fees paid since the one before."""
    result = BacktestResult(BacktestRunner(job).prepare(task).run())
    fills = result.fills
    realised = np.asarray(fills["realised_float"], np.float64)
    paid = np.cumsum(np.asarray(fills["fee_float"], np.float64))
    closing = np.flatnonzero(realised != 0)
    return realised[closing] - np.diff(np.concatenate([[0.0], paid[closing]])) if len(closing) else np.empty(0)
