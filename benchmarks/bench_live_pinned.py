"""Frame in, order out in a pinned session: two hand-overs between cores instead of none.

As `bench_live_session`, but the frame's records go over a ring to the engine's thread and the order comes back over
another to the gateway, which hands its bytes to the transport; both threads spin. The feed is read in the gateway's
thread here, so that one clock sees both ends: what a pinned session gains by reading several feeds at once is not in
this figure, what its rings cost is. Its peer is the inline session in the same run.
"""

import functools
import gc
import statistics
from typing import Any

from benchmarks.bench_live_session import FRAMES, RUNS, WARM_UP, measured, percentile
from benchmarks.live_session import AlpacaBench, _clock
from benchmarks.peer import Peer
from benchmarks.registry import benchmark
from nanotick.core.arena import Arena
from nanotick.core.ring import Ring
from nanotick.venues.feed_process import RingOut
from nanotick.venues.latency import Latencies
from nanotick.venues.pinned import PinnedRunner
from nanotick.venues.runner import Runner


class FeedHere:
    """What a pinned runner knows of a feed: a ring, and a process that is this one."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self.venue = "ALPACA"

    def look(self) -> None:
        """Alive."""

    def close(self) -> None:
        """Nothing to end."""


class FedHere(PinnedRunner):
    """A pinned runner whose feed's process is this one."""

    here: FeedHere

    def add_feed(self, feed: Any) -> None:
        """As `PinnedRunner.add_feed`."""
        self.feeds.append(feed)
        self._processes.append(self.here)  # type: ignore[arg-type]


class PinnedBench(AlpacaBench):
    """An Alpaca session whose engine has a thread of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.feed.deliver = self.talk.deliver = self.out
        self.talk.turn = None
        self.out.feed = self.feed
        self.runner.run_engine()  # type: ignore[attr-defined]
        self.loop: Any = self.runner._loop  # type: ignore[attr-defined]

    def make_runner(self) -> Runner:
        """As `Bench.make_runner`."""
        self.host.spin = True
        self.ring = Ring.create(Arena(16 << 20), "feed", 1 << 12)
        self.out = RingOut(self.host, self.ring)
        runner = FedHere(self.host, self.session, spin=True, patience_s=3600.0, latency=Latencies(self.table.venues))
        runner.here = FeedHere(self.ring)
        return runner

    def frame(self) -> tuple[int, int]:
        """As `Bench.frame`."""
        data, wire, talk, runner, loop = self.text(self.count), self.wire, self.talk, self.runner, self.loop
        self.count += 1
        now, wire.at = self.host.now(), 0
        wanted = loop.taken + 1
        begin = _clock()
        talk.message(wire, data, now)  # type: ignore[arg-type]
        while loop.taken < wanted and not wire.at:
            runner._take_commands()  # type: ignore[attr-defined]
        runner._take_commands()  # type: ignore[attr-defined]
        end = _clock()
        at = wire.at
        if at:
            with runner.looking():
                self.settle()
        elif self.count % 64 == 0:
            runner._drain()
        return (at - begin if at else 0), end - begin

    def close(self) -> None:
        """As `Bench.close`."""
        self.runner.close()  # type: ignore[attr-defined]
        super().close()


@functools.cache
def pinned() -> dict[str, float]:
    """Percentiles of frames that lead to an order, in microseconds; the median of runs of one session."""
    runs: list[dict[str, float]] = []
    with PinnedBench() as bench:
        for _ in range(WARM_UP):
            bench.frame()
        gc.collect()
        gc.freeze()
        for _ in range(RUNS):
            order = [sent for sent, _ in (bench.frame() for _ in range(FRAMES)) if sent]
            if len(order) < FRAMES // 20:
                raise RuntimeError(f"{len(order)} orders of {FRAMES} frames: the session does not trade")
            runs.append({"p50": percentile(order, 0.5), "p99": percentile(order, 0.99)})
        gc.unfreeze()
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def _declare(part: str, what: str) -> None:
    peer = Peer("the same session inline", lambda: measured("alpaca")[f"order_{part}"])

    @benchmark(f"live_pinned_{part}", what, unit="us", peer=peer)
    def run() -> float:
        return pinned()[part]


_declare("p50", "frame in hand to order bytes sent, engine on a thread of its own, two rings between")
_declare("p99", "the same, 99th percentile")
