"""How everything here is timed: processor time of the process, median of five runs after one that warms up.

Processor time leaves out what other programs do to the machine, and counts every thread a library starts behind one's
back. What a run needs beforehand (its input, a fresh engine) is prepared outside of the measured part.
"""

import statistics
import time
from collections.abc import Callable
from typing import TypeVar

RUNS = 5

State = TypeVar("State")


def median_cpu_seconds(run: Callable[[State], object], prepare: Callable[[], State], runs: int = RUNS) -> float:
    """Return the median processor seconds of `run(prepare())` over `runs` runs; one more goes first, unmeasured.

    Parameters
    ----------
    run : callable
        What is measured; takes what `prepare` returned.
    prepare : callable
        Called before each run, outside of the measurement.
    runs : int
        How many runs are measured.
    """
    run(prepare())
    seconds = []
    for _ in range(runs):
        state = prepare()
        start = time.process_time_ns()
        run(state)
        seconds.append((time.process_time_ns() - start) / 1e9)
    return statistics.median(seconds)


def rate(count: int, run: Callable[[State], object], prepare: Callable[[], State], runs: int = RUNS) -> float:
    """Return `count` divided by the median processor seconds of a run: things a second."""
    return count / median_cpu_seconds(run, prepare, runs)
