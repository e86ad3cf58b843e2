"""The result of a sweep: its runs as a table, the best of them, and how far the best can be believed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from nanotick import __version__
from nanotick.core.files import beside, put_in_place, write_text
from nanotick.research.grid import Axis, Settings
from nanotick.research.job import STATISTICS, Outcome, settings_text
from nanotick.research.objective import Objective
from nanotick.research.overfitting import Overfitting, probability_of_overfitting, usable_blocks
from nanotick.research.run_config import RunConfig
from nanotick.research.sensitivity import Robustness, Surface, robustness
from nanotick.research.sharpe import (
    deflated_sharpe_ratio,
    effective_trials,
    expected_maximum_sharpe,
    minimum_track_record_length,
    moments,
    probabilistic_sharpe_ratio,
)
from nanotick.research.summary import plain
from nanotick.research.written import Written

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SCHEMA = "nanotick.sweep/1"


@dataclass(frozen=True)
class Configuration:
    """One combination of parameters, over all seeds.

    Attributes
    ----------
    settings : tuple of (str, value)
    score : float
        Mean of the objective over the seeds; NaN when no run has one.
    outcomes : tuple of Outcome
    """

    settings: Settings
    score: float
    outcomes: tuple[Outcome, ...]

    @property
    def text(self) -> str:
        """For people."""
        return settings_text(self.settings)

    def mean(self, name: str) -> float:
        """Mean of a statistic over the seeds; NaN when none has it."""
        values = [o.statistics.get(name) for o in self.outcomes if not o.error]
        known = [v for v in values if v is not None]
        return sum(known) / len(known) if known else math.nan


@dataclass(frozen=True)
class Credibility:
    """Whether the best of a sweep is more than luck. Sharpe ratios are per step of the return series.

    Attributes
    ----------
    trials : int
        Configurations compared.
    independent_trials : float
        What they are worth, given how alike their returns are.
    observations : int
    sharpe : float
        Of the chosen one.
    sharpe_deviation : float
        Standard deviation of the ratios across trials.
    expected_maximum : float
        Largest ratio that as many trials without skill are expected to show.
    probabilistic : float
        Probability of a ratio above zero, were the chosen one the only one tried.
    deflated : float
        The same, given that it is the best of all trials.
    deflated_independent : float
        The same, counting independent trials only.
    minimum_observations : float
        Steps needed to believe the ratio with 95 %, were it the only one tried; infinite for one not above zero.
    overfitting : Overfitting or None
    why_not : str
        Why there is no probability of overfitting, in a sentence.
    """

    trials: int
    independent_trials: float
    observations: int
    sharpe: float
    sharpe_deviation: float
    expected_maximum: float
    probabilistic: float
    deflated: float
    deflated_independent: float
    minimum_observations: float
    overfitting: Overfitting | None
    why_not: str


def judge(returns: Floats, chosen: int, tried: int = 0) -> Credibility:
    """Judge the choice of one column among all.

    Parameters
    ----------
    returns : numpy.ndarray
        Shape (observations, configurations).
    chosen : int
        Column.
    tried : int
        Configurations tried, when that is more than there are series of.
    """
    observations, columns = returns.shape
    trials = max(columns, tried)
    ratios = np.array([moments(column).sharpe for column in returns.T])
    known = np.nan_to_num(ratios)  # who never moved has shown a ratio of zero
    variance = float(known.var(ddof=1)) if columns > 1 else 0.0
    found = moments(returns[:, chosen])
    shape = (found.skewness, found.kurtosis)
    independent = effective_trials(returns)
    overfitting, why_not = None, ""
    blocks = usable_blocks(observations)
    if columns < 2:
        why_not = "there was only one configuration to choose from"
    elif blocks < 4:
        why_not = f"{observations} steps of returns are too few to cut into blocks: more data, or a shorter interval"
    else:
        overfitting = probability_of_overfitting(returns, blocks)
    deflated = deflated_sharpe_ratio(found.sharpe, observations, trials, variance, *shape)
    return Credibility(
        trials=trials,
        independent_trials=independent,
        observations=observations,
        sharpe=found.sharpe,
        sharpe_deviation=math.sqrt(variance),
        expected_maximum=expected_maximum_sharpe(trials, variance),
        probabilistic=probabilistic_sharpe_ratio(found.sharpe, observations, *shape),
        deflated=deflated,
        deflated_independent=deflated_sharpe_ratio(found.sharpe, observations, independent, variance, *shape),
        minimum_observations=minimum_track_record_length(found.sharpe, *shape),
        overfitting=overfitting,
        why_not=why_not,
    )


@dataclass
class SweepResult(Written):
    """What a sweep found.

    Attributes
    ----------
    axes : tuple of Axis
    outcomes : list of Outcome
        One a run, in order of the grid.
    objective : Objective
    seeds : tuple of int
    total : int
        Runs asked for; fewer outcomes than that after Ctrl-C.
    partial : bool
    seconds : float
        Wall time of this call.
    workers : int
    config : RunConfig
    data : dict
        Name and digest of each recording.
    resumed : int
        Runs that an earlier call had done.
    """

    axes: tuple[Axis, ...]
    outcomes: list[Outcome]
    objective: Objective
    seeds: tuple[int, ...]
    total: int
    partial: bool
    seconds: float
    workers: int
    config: RunConfig
    data: dict[str, str] = field(default_factory=dict)
    resumed: int = 0

    def __repr__(self) -> str:
        best = f", best {self.best.text}" if self.best else ""
        return f"SweepResult({len(self.outcomes)} of {self.total} runs, {len(self.failed)} failed{best})"

    @property
    def failed(self) -> list[Outcome]:
        """Runs that ended in an error."""
        return [o for o in self.outcomes if o.error]

    @cached_property
    def configurations(self) -> list[Configuration]:
        """Every combination that ran, in order of the grid."""
        grouped: dict[Settings, list[Outcome]] = {}
        for outcome in self.outcomes:
            grouped.setdefault(outcome.task.settings, []).append(outcome)
        made = []
        for settings, outcomes in grouped.items():
            scores = [self.objective(o.statistics) for o in outcomes if not o.error]
            known = [s for s in scores if not math.isnan(s)]
            score = sum(known) / len(known) if known else math.nan
            made.append(Configuration(settings, score, tuple(outcomes)))
        return made

    @cached_property
    def ranked(self) -> list[Configuration]:
        """The best first; those without a value last."""
        return sorted(self.configurations, key=lambda c: math.inf if math.isnan(c.score) else -c.score)

    @property
    def best(self) -> Configuration | None:
        """The configuration with the largest objective; None when no run has one."""
        return self.ranked[0] if self.ranked and not math.isnan(self.ranked[0].score) else None

    @cached_property
    def surface(self) -> Surface:
        """The objective over the grid."""
        return Surface(self.axes, {c.settings: c.score for c in self.configurations})

    @cached_property
    def robustness(self) -> Robustness | None:
        """The best cell and its neighbourhood; None without a grid."""
        return robustness(self.surface) if all(axis.values for axis in self.axes) else None

    @cached_property
    def returns(self) -> tuple[Ints, Floats, list[Configuration]]:
        """Changes of equity of the configurations that share the most common time grid, averaged over seeds.

        Returns
        -------
        tuple
            Ends of the steps, ns UTC, shape (steps,); changes in currency, shape (steps, configurations); which they
            are.
        """
        good = [o for o in self.outcomes if not o.error and o.returns]
        if not good:
            return np.empty(0, np.int64), np.empty((0, 0)), []
        times = Counter(o.times for o in good).most_common(1)[0][0]
        columns, kept = [], []
        for configuration in self.configurations:
            alike = [o.values for o in configuration.outcomes if not o.error and o.times == times]
            if alike:
                columns.append(np.mean(alike, axis=0))
                kept.append(configuration)
        return np.frombuffer(times, "<i8"), np.stack(columns, axis=1), kept

    @cached_property
    def credibility(self) -> Credibility | None:
        """Deflated Sharpe ratio and probability of overfitting of the best; None without one."""
        _, returns, kept = self.returns
        if self.best is None or self.best not in kept:
            return None
        return judge(returns, kept.index(self.best), self.tried)

    @property
    def tried(self) -> int:
        """Configurations that were looked at before the best was chosen."""
        return len(self.configurations)

    # --- out ------------------------------------------------------------------------------------------------------

    def to_arrow(self) -> Any:
        """One row a run, as a `pyarrow.Table`: number, parameters, seed, error, seconds, objective, statistics."""
        import pyarrow as pa

        columns: dict[str, Any] = {"run": pa.array([o.task.number for o in self.outcomes], pa.int64())}
        taken = {"run", "seed", "error", "seconds", "objective", *STATISTICS}
        for axis in self.axes:
            name = f"parameter_{axis.name}" if axis.name in taken else axis.name
            columns[name] = _column(pa, [dict(o.task.settings)[axis.name] for o in self.outcomes])
        columns["seed"] = pa.array([o.task.seed for o in self.outcomes], pa.int64())
        columns["error"] = pa.array([o.error or None for o in self.outcomes], pa.string())
        columns["seconds"] = pa.array([o.seconds for o in self.outcomes], pa.float64())
        scores = [math.nan if o.error else self.objective(o.statistics) for o in self.outcomes]
        columns["objective"] = pa.array([None if math.isnan(s) else s for s in scores], pa.float64())
        for name in STATISTICS:
            columns[name] = pa.array([o.statistics.get(name) for o in self.outcomes], pa.float64())
        return pa.table(columns)

    def to_pandas(self) -> Any:
        """`to_arrow` as a `pandas.DataFrame`."""
        from nanotick.research.tables import need

        need("pandas", "frames", "to_pandas()")
        return self.to_arrow().to_pandas()

    def returns_to_arrow(self) -> Any:
        """One row a run: its number, the ends of the steps, the changes of equity and the capital they started from."""
        import pyarrow as pa

        good = [o for o in self.outcomes if not o.error]
        return pa.table(
            {
                "run": pa.array([o.task.number for o in good], pa.int64()),
                "capital": pa.array([o.capital for o in good], pa.float64()),
                "ts": _lists(pa, [o.ts for o in good], pa.timestamp("ns", tz="UTC")),
                "returns": _lists(pa, [o.values for o in good], pa.float64()),
            }
        )

    def write_parquet(self, folder: str | Path) -> tuple[Path, Path]:
        """Write `runs.parquet` and `returns.parquet`, each whole or not at all."""
        import pyarrow.parquet as pq

        paths = []
        for name, table in (("runs", self.to_arrow()), ("returns", self.returns_to_arrow())):
            path = Path(folder) / f"{name}.parquet"
            temporary = beside(path)
            pq.write_table(table, temporary, compression="zstd")
            paths.append(put_in_place(temporary, path))
        return paths[0], paths[1]

    schema: ClassVar[str] = SCHEMA
    word: ClassVar[str] = "Sweep"

    def to_dict(self) -> dict[str, Any]:
        """The stable structure that `--json` prints (docs/research.md)."""
        return plain(  # type: ignore[no-any-return]
            {
                "schema": self.schema,
                "version": __version__,
                "partial": self.partial,
                "objective": self.objective.text,
                "runs": {
                    "total": self.total,
                    "done": len(self.outcomes),
                    "failed": len(self.failed),
                    "workers": self.workers,
                    "seconds": self.seconds,
                },
                "seeds": list(self.seeds),
                "grid": {a.name: list(a.values) for a in self.axes},
                "best": None if self.best is None else _entry(self.best),
                "credibility": credibility_dict(self.credibility),
                "robustness": None
                if self.robustness is None
                else {**asdict(self.robustness), "plateau": dict(self.robustness.plateau)},
                "configurations": [_entry(c) for c in self.ranked],
                "errors": [
                    {"run": o.task.number, "settings": dict(o.task.settings), "seed": o.task.seed, "error": o.error}
                    for o in self.failed
                ],
                "data": self.data,
            }
        )

    def write_html(self, path: str | Path, title: str | None = None) -> Path:
        """Write the report: one HTML file that needs nothing else."""
        from nanotick.research.sweep_report import build_sweep_report

        return write_text(Path(path), build_sweep_report(self, title))

    def summary(self, most: int = 12) -> Any:
        """The best configurations as a rich table."""
        from nanotick.research.study_tables import sweep_table

        return sweep_table(self, most)


def _column(pa: Any, values: Sequence[Any]) -> Any:
    """Numbers, truth values or words; mixed ones become words."""
    kinds = {type(v) for v in values}
    large = any(type(v) is int and not -(1 << 63) <= v < 1 << 63 for v in values)
    if kinds <= {int, float} and kinds and not large:
        return pa.array([float(v) for v in values] if float in kinds else values)
    if len(kinds) == 1 and kinds <= {bool, str}:
        return pa.array(values)
    return pa.array([str(v) for v in values], pa.string())


def _lists(pa: Any, series: Sequence[npt.NDArray[Any]], kind: Any) -> Any:
    """Series of any lengths as a column of lists."""
    offsets = np.concatenate([[0], np.cumsum([len(s) for s in series])]).astype(np.int32)
    flat = np.concatenate(series) if series else np.empty(0)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat).cast(kind))


def _entry(configuration: Configuration) -> dict[str, Any]:
    return {
        "settings": dict(configuration.settings),
        "score": configuration.score,
        "runs": [o.task.number for o in configuration.outcomes],
        "statistics": {name: configuration.mean(name) for name in STATISTICS},
    }


def credibility_dict(found: Credibility | None) -> dict[str, Any] | None:
    """Plain values of a judgement, without the series behind it."""
    if found is None:
        return None
    values = {k: v for k, v in vars(found).items() if k != "overfitting"}
    over = found.overfitting
    values["overfitting"] = over and {
        "probability": over.probability,
        "loss_probability": over.loss_probability,
        "slope": over.slope,
        "blocks": over.blocks,
        "combinations": over.combinations,
    }
    return values
