"""Writing down what a living market publishes, as a feed of it would have been recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nanotick.core.records import BOTH_SIDES
from nanotick.data.eventfile import EventWriter
from nanotick.exchange.agents.living import LivingMarket


def record_market(
    path: Path, living: LivingMarket, until: int, progress: Callable[[int, int], None] | None = None
) -> int:
    """Let a market live and write its public events as an event file.

    Parameters
    ----------
    until : int
        ns UTC of the market.
    progress : callable, optional
        `progress(done, total)` in ns, after every chunk.

    Returns
    -------
    int
        Events written.
    """
    description, start = living.description, living.now
    latency = int(description.feed_latency_us * 1_000)
    meta = {"source": f"market {description.name}, seed {living.seed}", "format": "nanotick market"}
    with EventWriter(path, list(living.instruments), meta) as writer:
        for events in living.run(until):
            events["ts_recv"] = events["ts_venue"] + latency
            events["flags"] |= BOTH_SIDES
            writer.append(events)
            if progress is not None:
                progress(int(events["ts_venue"][-1]) - start, until - start)
    return writer.count
