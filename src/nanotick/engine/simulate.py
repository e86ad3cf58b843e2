"""Simulation: strategies in a market that reacts, from a described market to a `RunOutput`.

The world of agents and its exchanges, the two queues with their latency models, and the local side lie in one arena, so
a hash of it says whether two runs did the same. The kernel runs in slices; slices change nothing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nanotick.core.arena import Arena
from nanotick.core.instruments import InstrumentTable
from nanotick.core.journal import Journal
from nanotick.core.records import COMMAND, EVENT, Kind
from nanotick.core.snapshot import SnapshotStore
from nanotick.engine.collect import Collector, make_ready
from nanotick.engine.journaling import SessionMark
from nanotick.engine.local import Capacity, LocalSide, StrategySetup
from nanotick.engine.output import DataFile, RunCounters, RunOutput
from nanotick.engine.runner import DRAIN, END, JOURNAL, STUCK, Verb
from nanotick.engine.session import SNAPSHOT_RECORDS, SNAPSHOTS, save_snapshot
from nanotick.engine.session_header import describe, open_journal
from nanotick.engine.simulate_loop import SIMULATION, run_simulation
from nanotick.exchange.agents.description import MarketDescription
from nanotick.exchange.agents.living import LivingMarket, WorldError
from nanotick.exchange.config import VenueConfig
from nanotick.exchange.market import Participant, SelfTrade
from nanotick.exchange.venue import ReplayVenue
from nanotick.risk.limits import RiskLimits

Progress = Callable[["Simulation"], None]

SLICE_ROWS = 1 << 18
_NO_SAMPLE = (1 << 63) - 1
LATENCY = VenueConfig(entry_latency=50_000, response_latency=50_000, feed_latency=50_000, feed_from="venue")


@dataclass
class Simulation:
    """A run in the making: build it, `run()` it, read its output.

    Attributes
    ----------
    market : MarketDescription
    setups : sequence of StrategySetup, or a function of the instruments that gives them
    seconds : float
        Simulated time.
    venue_config : VenueConfig, or mapping of exchange name to it
        Latency of the three paths; fees are the exchange's own.
    warm_up : float
        Seconds the market lives before strategies hear of it.
    currency, rates, time_zone
        As in `LocalSide`.
    journal : Path, optional
        Directory that takes the local side's session: what it heard and what it decided, as a live session's would.
    snapshot_records : int
        Journal records between snapshots.
    """

    market: MarketDescription
    setups: Sequence[StrategySetup] | Callable[[InstrumentTable], Sequence[StrategySetup]]
    seconds: float = 120.0
    venue_config: VenueConfig | Mapping[str, VenueConfig] = LATENCY
    limits: RiskLimits = field(default_factory=RiskLimits)
    sample_interval_ns: int = 1_000_000_000
    warm_up: float = 0.0
    capacity: Capacity = field(default_factory=Capacity)
    seed: int = 1
    currency: str = ""
    rates: Mapping[str, Any] = field(default_factory=dict)
    time_zone: str = "UTC"
    config: Mapping[str, Any] = field(default_factory=dict)
    code_hash: str = ""
    journal: Path | None = None
    snapshot_records: int = SNAPSHOT_RECORDS

    def __post_init__(self) -> None:
        started = time.perf_counter()
        self.arena = Arena(self.capacity.arena_bytes)
        self.living = LivingMarket(self.market, self.seed, arena=self.arena, outsiders=1)
        self.instruments = self.living.instruments
        self.setups = self.setups(self.instruments) if callable(self.setups) else self.setups
        self.local = LocalSide(
            self.arena, self.instruments, self.setups, self.limits, self.capacity, self.seed,
            self.currency, self.rates, self.time_zone,
        )  # fmt: skip
        # queues and latency paths; its own book and matching are not used
        self.venue = ReplayVenue(
            self.arena, self.instruments, self.venue_config, book={"max_orders": 1 << 8, "max_levels": 1 << 8}
        )
        self._lay()
        self.warm = make_ready(run_simulation)
        self.compile_seconds = time.perf_counter() - started
        self.collector = Collector(self.arena, self.instruments, self.setups, self.local)
        self.seconds_run = 0.0
        self._journal: Journal | None = None

    def _lay(self) -> None:
        arena = self.arena
        self.region = arena.region("simulation", SIMULATION, 1)
        row = self.region.view[0]
        row["engine_address"], row["venue_address"] = self.local.address, self.venue.address
        row["timer_event_address"] = arena.region("simulation.timer", EVENT, 1, transient=True).address
        row["mark_address"] = arena.region("simulation.mark", EVENT, 1, transient=True).address
        row["command_address"] = arena.region("simulation.command", COMMAND, 1, transient=True).address
        row["world_address"] = self.living.address
        row["arrivals_address"] = arena.region(
            "simulation.arrivals", np.dtype("<i8"), len(self.instruments.venues)
        ).address
        row["participant"] = self.living.participants
        for exchange in self.living.exchanges:
            if self.living.participants >= exchange.config.max_participants:
                raise WorldError(f"{self.market.name}: {self.living.participants} agents leave no room for us")
        for venue, exchange in zip(self.instruments.venues, self.living.exchanges, strict=True):
            us = Participant(self_trade=SelfTrade.CANCEL_NEWEST, fees=self.market.fees_of(venue))
            exchange.set_participant(self.living.participants, us)
        row["sample_interval"], row["next_sample"] = self.sample_interval_ns, _NO_SAMPLE
        configs = self.venue_config.values() if isinstance(self.venue_config, Mapping) else [self.venue_config]
        row["order_latency"] = min(_least(config.entry_latency) for config in configs)
        row["feed_latency"] = min(_least(config.feed_latency) for config in configs)
        self.first_ts = self.living.now
        self.start_ts = self.first_ts + round(self.warm_up * 1e9)
        self.last_ts = self.start_ts + round(self.seconds * 1e9)
        row["now"] = self.first_ts

    @property
    def now(self) -> int:
        """Local time reached, ns UTC."""
        return int(self.region.view[0]["now"])

    @property
    def rows(self) -> int:
        """Rows of market data stepped so far."""
        return int(self.region.view[0]["rows_done"])

    def run(self, progress: Progress | None = None, slice_rows: int = SLICE_ROWS) -> RunOutput:
        """Run to the end, or to Ctrl-C, which leaves what there is, marked partial.

        Parameters
        ----------
        progress : callable, optional
            `progress(simulation)` after every slice.
        slice_rows : int
            Rows of market data between looks at the outside world.
        """
        started = time.perf_counter()
        partial = False
        try:
            self.begin(slice_rows)
            self._loop(self.last_ts, progress, slice_rows)
        except KeyboardInterrupt:
            partial = True
        return self.finish(partial, time.perf_counter() - started)

    def finish(self, partial: bool = False, seconds: float = 0.0) -> RunOutput:
        """`on_stop`, the last samples, and what the run has left."""
        now = max(self.now, self.start_ts)
        self._call(Verb.STOP, now)
        self._call(Verb.SAMPLE, now)
        self.collector.drain()
        self._end_journal(now)
        return self._output(partial, seconds or self.seconds_run)

    def begin(self, slice_rows: int = SLICE_ROWS) -> None:
        """Let the market live through its warm-up unheard, then `on_start`; `run` does it by itself."""
        self._begin_journal()
        if self.start_ts > self.first_ts:
            self._mark(SessionMark.MUTE, self.first_ts)
            self.local.mute()
            self._loop(self.start_ts - 1, None, slice_rows)
            self.local.hear()
            self._mark(SessionMark.HEAR, max(self.now, self.first_ts))
        row = self.region.view[0]
        row["now"] = max(int(row["now"]), self.start_ts)
        if self.sample_interval_ns > 0:
            row["next_sample"] = self.start_ts + self.sample_interval_ns
        self._call(Verb.START, self.start_ts)

    def advance(self, until: int, slice_rows: int = SLICE_ROWS) -> None:
        """Run on to a time, ns UTC; for whoever wants to look in between (a terminal, a test)."""
        self._loop(min(until, self.last_ts), None, slice_rows)

    def _call(self, verb: Verb, argument: int) -> int:
        return int(run_simulation(self.region.address, int(verb), argument))

    def _loop(self, end: int, progress: Progress | None, slice_rows: int) -> None:
        self.region.view[0]["end"] = end
        state = -1
        while state != END:
            started = time.perf_counter()
            state = self._call(Verb.RUN, slice_rows)
            self.seconds_run += time.perf_counter() - started
            if state == DRAIN or int(self.local.engine_region.view[0]["output_count"]):
                self.collector.drain()
            self._check(state)
            self._snapshot(state)
            if progress is not None:
                progress(self)

    def _begin_journal(self) -> None:
        if self.journal is None or self._journal is not None:
            return
        header = describe(self.local, self.config, self.code_hash, self.sample_interval_ns)
        self._journal = open_journal(self.journal, header)
        self._snapshots = SnapshotStore(self.journal / SNAPSHOTS)
        self._snapshot_at = self.snapshot_records
        self.region.view[0]["journal_address"] = self._journal.address

    def _mark(self, what: SessionMark, now: int) -> None:
        if self._journal is None:
            return
        mark = np.zeros(1, EVENT)
        mark["kind"], mark["word"], mark["ts_venue"], mark["ts_recv"] = Kind.SESSION, what, now, now
        self._journal.append_array(mark)

    def _snapshot(self, state: int) -> None:
        journal = self._journal
        if journal is None:
            return
        if state == JOURNAL:
            journal.sync()  # says why, if it has stopped
            journal.roll()
        if journal.next_sequence > self._snapshot_at and state != END:
            self.collector.drain()
            save_snapshot(self._snapshots, self.local, self.local.arena.part(self.local.region_names), journal)
            self._snapshot_at = journal.next_sequence + self.snapshot_records

    def _end_journal(self, now: int) -> None:
        if self._journal is None:
            return
        self._mark(SessionMark.END, now)
        self.region.view[0]["journal_address"] = 0
        self._journal.close()
        self._journal = None

    def _check(self, state: int) -> None:
        if state == STUCK:
            raise WorldError(
                f"{self.market.name}: an exchange's feed is full of rows still on their way here; "
                "lower the feed latency or the market's activity"
            )
        if self.living.status:
            raise WorldError(f"{self.market.name}: the market stopped: {self.living.status!r}")
        if self.venue.status:
            raise WorldError(f"{self.market.name}: the queues to the exchanges overflowed: {self.venue.status!r}")

    def _output(self, partial: bool, seconds: float) -> RunOutput:
        key = f"{self.market.name}|{self.seed}|{self.first_ts}|{self.rows}"
        return self.collector.output(
            RunCounters(
                events=self.rows,
                seconds=self.seconds_run,
                compile_seconds=self.compile_seconds,
                total_seconds=self.compile_seconds + seconds,
                warm=self.warm,
                first_ts=self.start_ts,
                last_ts=self.now if partial else self.last_ts,
            ),
            config=dict(self.config),
            data=(
                DataFile(
                    f"market {self.market.name}, seed {self.seed}",
                    self.rows,
                    hashlib.blake2b(key.encode(), digest_size=16).hexdigest(),
                ),
            ),
            code_hash=self.code_hash,
            partial=partial,
            sample_interval_ns=self.sample_interval_ns,
            currency=self.local.portfolio.currency,
            rates={name: str(rate) for name, rate in self.rates.items()},
            time_zone=self.time_zone,
        )


def _least(latency: Any) -> int:
    """Least delay of a latency setting; 0 where a model could draw anything."""
    return max(0, int(latency)) if isinstance(latency, int) else 0
