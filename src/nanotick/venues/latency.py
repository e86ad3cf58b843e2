"""How long things take, by venue and stage, in histograms that are read while they are written.

decision   frame in hand until the step has decided
send       decided until the request is with the system, an order
ack        request sent until its good answer
fill       order sent until a fill of it is known
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nanotick.core.histogram import Histogram

STAGES = ("decision", "send", "ack", "fill")


class Latencies:
    """Histograms of every venue of a run.

    Parameters
    ----------
    venues : sequence of str
        By their numbers.
    """

    def __init__(self, venues: Sequence[str]) -> None:
        self.venues = tuple(venues)
        self._histograms = {(n, stage): Histogram() for n in range(len(self.venues)) for stage in STAGES}

    def record(self, venue: int, stage: str, ns: int) -> None:
        """Count one time."""
        self._histograms[venue, stage].record(ns)

    def reset(self) -> None:
        """Forget everything."""
        for histogram in self._histograms.values():
            histogram.reset()

    def recorder(self, venue: int) -> Callable[[str, int], None]:
        """`record` of one venue."""
        return lambda stage, ns: self.record(venue, stage, ns)

    def summary(self) -> dict[str, dict[str, Any]]:
        """Count and percentiles in ns by venue and stage; stages that have not happened are left out."""
        found: dict[str, dict[str, Any]] = {}
        for (venue, stage), histogram in self._histograms.items():
            summary = histogram.summary()
            if summary["count"]:
                found.setdefault(self.venues[venue], {})[stage] = summary
        return found
