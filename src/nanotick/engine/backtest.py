"""Backtest: recorded events through the replay exchange and the step, from plain arrays to a `RunOutput`.

The kernel runs in slices of rows; between slices Python drains the output, reports progress and hears Ctrl-C. The
slices change nothing: the same run in one slice or in a thousand leaves the same journal and the same state.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.book.mirror import lay_mirror
from nanotick.core.arena import Arena
from nanotick.core.instruments import InstrumentTable
from nanotick.core.pages import release_pages
from nanotick.core.records import EVENT, Flag
from nanotick.engine.collect import Collector, make_ready
from nanotick.engine.local import Capacity, LocalSide, StrategySetup
from nanotick.engine.output import (
    QUEUE_SAMPLE,
    DataFile,
    RunCounters,
    RunOutput,
)
from nanotick.engine.replay import REPLAY, SEGMENT, run_replay
from nanotick.engine.runner import BUDGET, DRAIN, END, Verb
from nanotick.exchange.config import VenueConfig
from nanotick.exchange.venue import ReplayVenue
from nanotick.risk.limits import RiskLimits

Progress = Callable[[int, int, float], None]

SLICE_ROWS = 1 << 19  # 32 MiB of a recording, which is what is in memory of a mapped one
_NO_SAMPLE = (1 << 63) - 1


class VenueError(Exception):
    """The replay exchange ran out of room or met what it cannot have: the run cannot be trusted."""


@dataclass(frozen=True)
class Recording:
    """One input: events in both time orders, numbered by the run's instrument table.

    Attributes
    ----------
    events : numpy.ndarray
        Dtype EVENT, C contiguous; mapped files stay mapped.
    name : str
        For reports.
    digest : str
        What identifies the content, hexadecimal.
    """

    events: npt.NDArray[Any]
    name: str = "events"
    digest: str = ""


@dataclass
class Backtest:
    """A run in the making: build it, `run()` it, read its output.

    Attributes
    ----------
    recordings : sequence of Recording
        In order of time.
    sample_interval_ns : int
        Account and mark samples; 0: none.
    currency, rates, time_zone
        See `LocalSide`.
    start_ts : int
        Rows that arrive earlier build the book, but no strategy hears of them; 0: from the first row.
    """

    recordings: Sequence[Recording]
    instruments: InstrumentTable
    setups: Sequence[StrategySetup]
    venue_config: VenueConfig | Mapping[str, VenueConfig] = field(default_factory=VenueConfig)
    limits: RiskLimits = field(default_factory=RiskLimits)
    sample_interval_ns: int = 1_000_000_000
    start_ts: int = 0
    capacity: Capacity = field(default_factory=Capacity)
    seed: int = 1
    config: Mapping[str, Any] = field(default_factory=dict)
    code_hash: str = ""
    currency: str = ""
    rates: Mapping[str, Any] = field(default_factory=dict)
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        started = time.perf_counter()
        for recording in self.recordings:
            if recording.events.dtype != EVENT or not recording.events.flags.c_contiguous:
                raise TypeError(f"{recording.name}: expected a contiguous array of EVENT records")
        self.arena = Arena(self.capacity.arena_bytes)
        self.local = LocalSide(
            self.arena, self.instruments, self.setups, self.limits, self.capacity, self.seed,
            self.currency, self.rates, self.time_zone,
        )  # fmt: skip
        self.venue = ReplayVenue(
            self.arena,
            self.instruments,
            self.venue_config,
            book={"max_orders": self.capacity.book_orders, "max_levels": self.capacity.book_levels},
        )
        self._lay_replay()
        self.warm = make_ready(run_replay)
        self.compile_seconds = time.perf_counter() - started
        self.collector = Collector(self.arena, self.instruments, self.setups, self.local)
        self._seconds = 0.0

    def _lay_replay(self) -> None:
        parts = self._parts = [r for r in self.recordings if len(r.events)]
        self._released = (0, 0)
        self.segments = self.arena.region("replay.segments", SEGMENT, max(1, len(parts)), transient=True)
        for row, part in zip(self.segments.view, parts, strict=False):
            row["row_address"], row["rows"] = part.events.ctypes.data, len(part.events)
        self.replay_region = self.arena.region("replay", REPLAY, 1)
        replay = self.replay_region.view
        replay["engine_address"] = self.local.address
        replay["venue_address"] = self.venue.address
        replay["mirror_address"] = lay_mirror(self.arena, "replay.mirror", self.local.books, self.venue.book).address
        replay["segments_address"] = self.segments.address
        replay["timer_event_address"] = self.arena.region("replay.timer", EVENT, 1, transient=True).address
        replay["segment_count"] = len(parts)
        configs = self.venue_config.values() if isinstance(self.venue_config, Mapping) else [self.venue_config]
        replay["feed_modelled"] = any(c.feed_latency is not None or c.feed_from != "recorded" for c in configs)
        replay["sample_interval"] = self.sample_interval_ns
        replay["next_sample"] = _NO_SAMPLE
        self.rows = sum(
            int(np.count_nonzero(chunk["flags"] & int(Flag.LOCAL))) for part in parts for chunk in _chunks(part.events)
        )
        firsts = [int(p.events["ts_recv"][0]) for p in parts]
        self.first_ts = min(firsts) if firsts else 0
        self.last_ts = max(int(p.events["ts_recv"][-1]) for p in parts) if parts else 0

    def run(self, progress: Progress | None = None, slice_rows: int = SLICE_ROWS) -> RunOutput:
        """Run to the end, or to Ctrl-C, which leaves what there is, marked partial.

        Parameters
        ----------
        progress : callable, optional
            `progress(rows_done, rows, seconds)` after every slice.
        slice_rows : int
            Rows between looks at the outside world.
        """
        return self._finish(True, progress, slice_rows)

    def resume(self, progress: Progress | None = None, slice_rows: int = SLICE_ROWS) -> RunOutput:
        """Go on from a snapshot that was restored into this run's arena, to the end."""
        return self._finish(False, progress, slice_rows)

    def _finish(self, from_start: bool, progress: Progress | None, slice_rows: int) -> RunOutput:
        total_started = time.perf_counter()
        partial = False
        try:
            if from_start:
                self.begin(slice_rows)
            self._loop(progress, slice_rows, None)
        except KeyboardInterrupt:
            partial = True
        now = int(self.replay_region.view[0]["now"])
        self._call(Verb.STOP, now)
        self._call(Verb.SAMPLE, now)
        self.collector.drain()
        return self._output(partial, time.perf_counter() - total_started)

    def begin(self, slice_rows: int = SLICE_ROWS) -> None:
        """Everything before the first row that strategies hear of, `on_start` included; `run` does it by itself."""
        self._preroll(slice_rows)
        self._call(Verb.START, max(self.first_ts, self.start_ts))

    def _call(self, verb: Verb, argument: int) -> int:
        return int(run_replay(self.replay_region.address, int(verb), argument))

    def _preroll(self, slice_rows: int) -> None:
        if self.start_ts <= self.first_ts:
            self._begin_samples(self.first_ts)
            return
        self.local.mute()
        self._loop(None, slice_rows, self._rows_before(self.start_ts))
        self.local.hear()
        self._begin_samples(self.start_ts)

    def _begin_samples(self, ts: int) -> None:
        if self.sample_interval_ns > 0:
            self.replay_region.view["next_sample"] = ts + self.sample_interval_ns

    def _rows_before(self, ts: int) -> int:
        total = 0
        for recording in self.recordings:
            for chunk in _chunks(recording.events):
                local = (chunk["flags"] & int(Flag.LOCAL)) != 0
                total += int(np.count_nonzero(local & (chunk["ts_recv"] < ts)))
        return total

    def _loop(self, progress: Progress | None, slice_rows: int, stop_after: int | None) -> None:
        replay = self.replay_region.view[0]
        state = BUDGET
        while state != END:
            budget = slice_rows
            if stop_after is not None:
                budget = min(budget, stop_after - int(replay["rows_done"]))
                if budget <= 0:
                    return
            started = time.perf_counter()
            state = self._call(Verb.RUN, budget)
            self._seconds += time.perf_counter() - started
            self._release()
            if state == DRAIN or int(self.local.engine_region.view[0]["output_count"]):
                self.collector.drain()
            if self.venue.status:
                raise VenueError(
                    f"the replay exchange cannot go on after row {int(replay['rows_done']):,}: {self.venue.status!r}; "
                    "give the run a larger Capacity"
                )
            if progress is not None:
                progress(int(replay["rows_done"]), self.rows, self._seconds)

    def _release(self) -> None:
        """Give back the pages of what both cursors have passed; a sleeping venue hardly ever reads what it missed."""
        replay = self.replay_region.view[0]
        sides = ("local",) if replay["asleep"] else ("venue", "local")
        behind = min((int(replay[f"{side}_segment"]), int(replay[f"{side}_row"])) for side in sides)
        segment, row = self._released
        while segment < min(behind[0] + 1, len(self._parts)):
            events = self._parts[segment].events
            release_pages(events[row : behind[1] if segment == behind[0] else len(events)])
            segment, row = segment + 1, 0
        self._released = max(self._released, behind)

    def so_far(self) -> RunOutput:
        """What the run has left up to now, marked partial; asked for between slices, it changes nothing."""
        self.collector.drain()
        return self._output(True, self._seconds)

    def _output(self, partial: bool, seconds: float) -> RunOutput:
        counts: dict[int, int] = {}
        for recording in self.recordings:
            for chunk in _chunks(recording.events):
                for number, rows in enumerate(np.bincount(chunk["instrument"])):
                    if rows:
                        counts[number] = counts.get(number, 0) + int(rows)
        done = int(self.replay_region.view[0]["rows_done"])
        return self.collector.output(
            RunCounters(
                events=done,
                seconds=self._seconds,
                compile_seconds=self.compile_seconds,
                total_seconds=self.compile_seconds + seconds,
                warm=self.warm,
                first_ts=max(self.first_ts, self.start_ts),
                last_ts=self.last_ts if not partial else int(self.replay_region.view[0]["now"]),
                by_instrument=counts,
            ),
            queue=self.venue.trace.astype(QUEUE_SAMPLE),
            currency=self.local.portfolio.currency,
            rates={name: str(rate) for name, rate in self.rates.items()},
            time_zone=self.time_zone,
            queue_lost=self.venue.trace_lost,
            config=dict(self.config),
            data=tuple(DataFile(r.name, len(r.events), r.digest) for r in self.recordings),
            code_hash=self.code_hash,
            partial=partial,
            sample_interval_ns=self.sample_interval_ns,
        )


def _chunks(events: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Consecutive slices of a recording: columns of a mapped file are taken a piece at a time, never whole."""
    for start in range(0, len(events), SLICE_ROWS):
        chunk = events[start : start + SLICE_ROWS]
        yield chunk
        release_pages(chunk)
