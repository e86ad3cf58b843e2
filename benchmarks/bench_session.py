"""What journaling adds to a decision, and what it costs to count a latency."""

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.registry import benchmark
from nanotick.core.arena import Arena
from nanotick.core.histogram import Histogram, record_latencies
from nanotick.core.instruments import InstrumentTable
from nanotick.core.records import RECORD_SIZE
from nanotick.data.synthetic import synthetic_day
from nanotick.engine.local import Capacity, LocalSide, StrategySetup
from nanotick.engine.session import Session
from nanotick.risk.dynamic import DynamicLimits
from nanotick.risk.limits import RiskLimits
from nanotick.strategies import built_in

EVENTS = 40_000
_SMALL = Capacity(book_orders=1 << 16, book_levels=1 << 14, orders=1 << 14, output=1 << 17, arena_bytes=4 << 30)


class _Nowhere:
    """A gateway that forgets."""

    def send(self, commands_address: int, count: int) -> None:
        """Forget."""


def _events() -> tuple[Any, InstrumentTable]:
    day = synthetic_day(seed=3, seconds=600)
    return day.events[:EVENTS].copy(), day.instruments


# every dynamic limit is on and none is reached
_WATCHED = DynamicLimits(
    target_volatility_share=100, drawdown_start_share="0.09", max_rejects=1_000_000, max_losing_fills=1_000_000,
    max_messages_per_fill=1_000_000, max_repeats=1_000_000, max_price_move_share=10, max_silence_s=86_400,
    max_feed_silence_s=86_400,
)  # fmt: skip


def _session(table: InstrumentTable, directory: Path | None, watched: bool) -> Session:
    limits = RiskLimits(dynamic=_WATCHED if watched else "unlimited")
    setups = [StrategySetup(built_in("imbalance")(), cash=10**12)]
    local = LocalSide(Arena(_SMALL.arena_bytes), table, setups, limits, _SMALL)
    return Session(local, directory, sample_interval_ns=0)


def _ns_an_event(journaled: bool, watched: bool = False) -> float:
    """Thread time of a block of events through the whole step, the median of five sessions."""
    events, table = _events()
    samples = []
    for _ in range(5):
        directory = Path(tempfile.mkdtemp(prefix="nanotick-bench-"))
        with _session(table, directory / "journal" if journaled else None, watched) as session:
            block = events.copy()
            session.start(int(block["ts_recv"][0]))
            time.sleep(0.05)
            start = time.thread_time_ns()
            done = 0
            while done < len(block):
                done += session.take(int(block.ctypes.data) + done * RECORD_SIZE, len(block) - done)
                session.send(_Nowhere())
                session.drain()
            samples.append((time.thread_time_ns() - start) / len(block))
        shutil.rmtree(directory)
    return float(np.median(samples))


@benchmark("session_event", "an event through a journaled session, step included", unit="ns")
def session_event() -> float:
    """Journal, step, journal of the commands."""
    return _ns_an_event(True)


@benchmark("dynamic_limits", "what dynamic limits add to an event, all of them on", unit="ns", reach="<= 50")
def dynamic_limits() -> float:
    """A session with them against one without, neither journaled."""
    return max(0.0, _ns_an_event(False, True) - _ns_an_event(False))


@benchmark("session_journaling", "what the journal adds to an event and its commands", unit="ns", reach="<= 100")
def session_journaling() -> float:
    """A journaled session against one without."""
    return max(0.0, _ns_an_event(True) - _ns_an_event(False))


@benchmark("histogram_record", "a latency into its histogram, from a kernel", unit="ns", reach="<= 5")
def histogram_record() -> float:
    """A million lognormal values, process time, the median of seven."""
    values = np.random.default_rng(1).lognormal(8, 1, 1_000_000).astype(np.int64)
    histogram = Histogram()
    samples = []
    for _ in range(7):
        start = time.process_time_ns()
        record_latencies(histogram.address, values.ctypes.data, len(values))
        samples.append((time.process_time_ns() - start) / len(values))
    return sorted(samples)[3]
