"""Many runs: how two workers compare with one, on this machine and on Ray, and whether a worker grows.

Wall time, since that is what workers are for; each figure is the median of three rounds that alternate between one and
two workers. Starting the workers is part of a sweep, so the sweep is long enough for it not to matter: what is measured
is the rate from the first finished run to the last.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.peer import PeerUnavailable
from benchmarks.registry import benchmark
from nanotick.data.eventfile import write_events
from nanotick.data.synthetic import synthetic_day
from nanotick.research.executor import Executor, LocalProcesses
from nanotick.research.job import Job, Task
from nanotick.research.run_config import RunConfig, StrategyChoice
from nanotick.research.study import open_study

ROUNDS = 3
RUNS = 40
SECONDS = 5_400.0
GROWTH_RUNS = 300


def _tasks(count: int) -> list[Task]:
    return [Task(n, (("threshold", 0.7 + 0.25 * n / count),)) for n in range(count)]


def _rate(executor: Executor, job: Job, count: int) -> float:
    """Runs a second, from the moment every worker has done one to the last."""
    started, skipped = 0.0, 0
    for done, outcome in enumerate(executor.run(job, _tasks(count)), 1):
        if outcome.error:
            raise RuntimeError(outcome.error)
        if done == 2 * executor.workers:
            started, skipped = time.perf_counter(), done
    return (count - skipped) / (time.perf_counter() - started)


def _scaling(make: Callable[[int], Executor]) -> float:
    config = RunConfig(strategies=(StrategyChoice("imbalance"),), cash="1000000")
    one, two = [], []
    with tempfile.TemporaryDirectory(prefix="nanotick-bench-") as folder:
        path = Path(folder) / "day.nt"
        day = synthetic_day(seed=11, seconds=SECONDS)
        write_events(path, [day.events], list(day.instruments))
        with open_study(config, [path]) as study:
            for _ in range(ROUNDS):
                one.append(_rate(make(1), study.job, RUNS))
                two.append(_rate(make(2), study.job, RUNS))
    return statistics.median(two) / statistics.median(one)


@benchmark("sweep_scaling", "runs a second of two workers over those of one, processes", unit="times",
           reach=">= 1.8")  # fmt: skip
def sweep_scaling() -> float:
    return _scaling(LocalProcesses)


@benchmark("sweep_scaling_ray", "runs a second of two workers over those of one, on Ray", unit="times",
           reach=">= 1.8")  # fmt: skip
def sweep_scaling_ray() -> float:
    try:
        from nanotick.research.ray_executor import RayCluster

        clusters = {n: RayCluster("auto", n) for n in (2, 1)}
    except ImportError as error:
        raise PeerUnavailable(str(error)) from error
    try:
        return _scaling(lambda n: clusters[n])
    finally:
        for cluster in clusters.values():
            cluster.close()


@benchmark("sweep_memory", "growth of a worker over 300 runs, after its first 20", unit="MiB", reach="<= 8")
def sweep_memory() -> float:
    config = RunConfig(strategies=(StrategyChoice("imbalance"),), cash="1000000")
    with tempfile.TemporaryDirectory(prefix="nanotick-bench-") as folder:
        path = Path(folder) / "day.nt"
        day = synthetic_day(seed=11, seconds=300.0)
        write_events(path, [day.events], list(day.instruments))
        with open_study(config, [path]) as study:
            # settings in one order, so that a larger run later does not look like growth
            tasks = [Task(n, (("threshold", 0.7),)) for n in range(GROWTH_RUNS)]
            peaks = [outcome.memory for outcome in LocalProcesses(1).run(study.job, tasks)]
    return (peaks[-1] - peaks[20]) / (1 << 20)
