"""From a market event to the command it causes: book, tape, mark, strategy, risk, order table, COMMAND record.

The clock is read before the step is given the event and after it has returned with the command; what two readings in a
row show is taken off. The strategy sends a post-only order on every change of the book, with every limit at its
default, while ten orders a side rest far from the market. Each measured order is then accepted and cancelled, by
reports that go through the step too, outside of the measurement.

`event_command` steps through one instrument's book events one after another, `event_command_64` through those of 64
instruments. `event_command_cold` walks through twice the second-level cache before every event besides, so that books,
orders, limits and code come from further away, as after a pause in the market.
"""

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

import nanotick as nt
from benchmarks import level_stream
from benchmarks.bench_intent import clock_cost, now_ns
from benchmarks.generate import INSTRUMENTS, input_path
from benchmarks.peer import nautilus
from benchmarks.registry import benchmark
from nanotick.core.arena import Arena
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.kernel import REGISTRY, compile_entry, kernel
from nanotick.core.memory import load_i64, store_i64
from nanotick.core.records import EVENT, RECORD_SIZE, Kind, command_at, event_at
from nanotick.engine.control import watch_breakers
from nanotick.engine.local import Capacity, LocalSide, StrategySetup
from nanotick.engine.records import engine_at
from nanotick.engine.step import step
from nanotick.risk.limits import RiskLimits

ROWS = 500_000
COLD_ROWS = 200_000
WARM_ORDERS = 1_000
RESTING = 20
STEP_NS = 10_000_000  # an event each 10 ms: the default rates are then never reached
START_NS = 1_000_000_000_000
LOOK_EACH = 10  # events between two looks at the breakers
STIRRED = 2 << 20  # bytes walked through before an event: twice a second-level cache
CASH = 10**12  # micro units: a million
_ACCEPTED, _CANCELLED = int(Kind.ACCEPTED), int(Kind.CANCELLED)


class QuoteEach(nt.Strategy):
    """A post-only order near the touch on every change of the book; the first `resting` far from it."""

    resting: int = RESTING
    sent: int = 0

    def on_book(self, ctx: Any) -> None:
        if not ctx.has_book():
            return
        away = 1 + self.sent % 7
        if self.sent < self.resting:
            away = 1_000 + 10 * self.sent
        offset = away * ctx.tick_size()
        if self.sent & 1:
            ctx.buy(ctx.lot_size(), ctx.best_bid() - offset, nt.GTC, True)
        else:
            ctx.sell(ctx.lot_size(), ctx.best_ask() + offset, nt.GTC, True)
        self.sent += 1


@kernel
def _report(engine: int, event_address: int, command_address: int, kind: int, now: int) -> None:
    event = event_at(event_address)
    command = command_at(command_address)
    event.kind = kind
    event.id = command.id
    event.instrument = command.instrument
    event.qty = command.qty
    event.ts_recv = now
    step(engine, event_address, now)


@kernel("i8(i8,i8,i8,i8,i8,i8,i8,i8)")
def events_to_commands(
    engine: int, rows: int, count: int, report: int, samples: int, scratch: int, stirred: int, stirred_bytes: int
) -> int:
    """Step through rows; `samples` gets the ns of each that made a command. Gives how many did."""
    root = engine_at(engine)
    taken, resting, stir = 0, 0, 0
    for i in range(count):
        now = START_NS + i * STEP_NS
        for at in range(0, stirred_bytes, 64):
            stir += load_i64(stirred + at)
        started = now_ns(scratch)
        step(engine, rows + i * RECORD_SIZE, now)
        spent = now_ns(scratch) - started
        if root.command_count == 1:
            store_i64(samples + 8 * taken, spent)
            taken += 1
            command = root.commands_address
            _report(engine, report, command, _ACCEPTED, now)
            if resting < RESTING:
                resting += 1
            else:
                _report(engine, report, command, _CANCELLED, now)
        root.command_count = 0
        root.output_count = 0
        if i % LOOK_EACH == 0:
            watch_breakers(engine, now)
    store_i64(scratch, stir)
    return taken


@functools.cache
def _measure(name: str, count: int, instruments: int, stirred_bytes: int) -> npt.NDArray[np.int64]:
    """Nanoseconds of each event that made a command, the clock's own median cost taken off."""
    for entry in (events_to_commands, clock_cost):
        compile_entry(REGISTRY[f"{entry.__module__}.{entry.__name__}"])
    events = np.array(np.load(input_path(name), mmap_mode="r")[:count])
    table = InstrumentTable(
        [
            Instrument(f"PERP{n}", "BENCH", level_stream.PRICE_DECIMALS, level_stream.QTY_DECIMALS, "0.1", "0.001")
            for n in range(instruments)
        ]
    )
    setup = StrategySetup(QuoteEach(), cash=CASH)
    local = LocalSide(Arena(Capacity().arena_bytes), table, [setup], RiskLimits())
    report, scratch = np.zeros(1, EVENT), np.zeros(2, np.int64)
    stirred = np.ones(STIRRED // 8, np.int64)
    samples, empty = np.zeros(count, np.int64), np.zeros(count, np.int64)
    taken = int(
        events_to_commands(
            local.address, events.ctypes.data, count, report.ctypes.data, samples.ctypes.data,
            scratch.ctypes.data, stirred.ctypes.data, stirred_bytes,
        )
    )  # fmt: skip
    sent = int(local.selves[0]["sent"].item())
    if taken != sent or taken < 2 * WARM_ORDERS:
        raise RuntimeError(f"{taken} commands of {sent} intents: this benchmark measures orders that pass")
    clock_cost(empty.ctypes.data, count, scratch.ctypes.data)
    return samples[WARM_ORDERS:taken] - int(np.median(empty))


def _one(percent: float) -> float:
    return float(np.percentile(_measure("levels", ROWS, 1, 0), percent))


def _many(percent: float) -> float:
    return float(np.percentile(_measure("many", ROWS, INSTRUMENTS, 0), percent))


def _cold(percent: float) -> float:
    return float(np.percentile(_measure("many", COLD_ROWS, INSTRUMENTS, STIRRED), percent))


@benchmark("event_command_p50", "market event in arena -> risk-passed command, whole step", unit="ns",
           peer=nautilus("latency_p50"), reach="<= 500")  # fmt: skip
def event_command_p50() -> float:
    """Median, one instrument."""
    return _one(50)


@benchmark("event_command_p99", "market event in arena -> risk-passed command, whole step, p99", unit="ns",
           peer=nautilus("latency_p99"), reach="<= 1500")  # fmt: skip
def event_command_p99() -> float:
    """99th percentile, one instrument."""
    return _one(99)


@benchmark("event_command_64_p50", "the same over 64 instruments", unit="ns", reach="<= 500")
def event_command_64_p50() -> float:
    """Median, 64 instruments."""
    return _many(50)


@benchmark("event_command_64_p99", "the same over 64 instruments, p99", unit="ns", reach="<= 1500")
def event_command_64_p99() -> float:
    """99th percentile, 64 instruments."""
    return _many(99)


@benchmark("event_command_cold_p50", "over 64 instruments, second-level cache lost before each event", unit="ns")
def event_command_cold_p50() -> float:
    """Median, 64 instruments, caches stirred."""
    return _cold(50)


@benchmark("event_command_cold_p99", "over 64 instruments, second-level cache lost before each event, p99", unit="ns")
def event_command_cold_p99() -> float:
    """99th percentile, 64 instruments, caches stirred."""
    return _cold(99)
