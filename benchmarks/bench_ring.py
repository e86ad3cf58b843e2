"""Rings between two pinned threads: how long one record takes to cross, and how many cross in a second.

Two kernels run without the interpreter's lock on two processors. The crossing is half of a round trip through two
rings, median of many; the rate is of a producer that pushes as fast as it can into a ring of 4,096 records while the
other side drains it in batches. Both are taken by wall clock, since two processors work at once; a machine with other
work on its processors shows that, not the ring.
"""

import os
import statistics
import threading
import time
from collections.abc import Callable

import numpy as np

from benchmarks.peer import published
from benchmarks.registry import benchmark
from nanotick.core.arena import Arena
from nanotick.core.clock import cycle_counter
from nanotick.core.kernel import REGISTRY, compile_entry, kernel
from nanotick.core.memory import pause, store_i64
from nanotick.core.records import RECORD_SIZE
from nanotick.core.ring import Ring, spsc_pop, spsc_pop_batch, spsc_push

ROUND_TRIPS = 100_000
MESSAGES = 20_000_000
CAPACITY = 4_096
BATCH = 256


@kernel("i8(i8,i8,i8,i8)")
def echo(inward: int, outward: int, record: int, count: int) -> int:
    """Send back `count` records, one at a time."""
    for _ in range(count):
        while not spsc_pop(inward, record):
            pause()
        spsc_push(outward, record)
    return count


@kernel("i8(i8,i8,i8,i8,i8)")
def ping(outward: int, inward: int, record: int, cycles: int, count: int) -> int:
    """Make `count` round trips and write the processor cycles of each."""
    for i in range(count):
        start = cycle_counter()
        spsc_push(outward, record)
        while not spsc_pop(inward, record):
            pause()
        store_i64(cycles + 8 * i, cycle_counter() - start)
    return count


@kernel("i8(i8,i8,i8)")
def produce(ring: int, record: int, count: int) -> int:
    """Push `count` records, waiting while the ring is full."""
    for _ in range(count):
        while not spsc_push(ring, record):
            pause()
    return count


@kernel("i8(i8,i8,i8,i8)")
def drain(ring: int, records: int, limit: int, count: int) -> int:
    """Pop `count` records in batches of up to `limit`."""
    taken = 0
    while taken < count:
        popped = spsc_pop_batch(ring, records, limit)
        if popped == 0:
            pause()
        taken += popped
    return taken


def _pinned_pair(first: Callable[[], object], second: Callable[[], object]) -> float:
    """Run both at once, each on a processor of its own where there are two; return the seconds until both are done."""
    processors = sorted(os.sched_getaffinity(0))

    def run(work: Callable[[], object], processor: int) -> None:
        os.sched_setaffinity(0, {processor})
        work()

    threads = [
        threading.Thread(target=run, args=(work, processors[i % len(processors)]))
        for i, work in enumerate((first, second))
    ]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


def _compile() -> None:
    for name in ("echo", "ping", "produce", "drain"):
        compile_entry(REGISTRY[f"{__name__}.{name}"])


def _cycles_per_ns() -> float:
    start, cycles = time.perf_counter_ns(), cycle_counter()
    time.sleep(0.1)
    return float(cycle_counter() - cycles) / (time.perf_counter_ns() - start)


@benchmark(
    "ring_one_way",
    "a record handed from one pinned thread to another",
    unit="ns",
    peer=published("C++, one cache line between two cores", 43.0),
    reach="<= 1.2x",
)
def ring_one_way() -> float:
    """Half of the median round trip, best of five runs: virtual processors move between core complexes."""
    _compile()
    arena = Arena(1 << 20)
    there, back = Ring.create(arena, "there", CAPACITY), Ring.create(arena, "back", CAPACITY)
    cycles = np.zeros(ROUND_TRIPS, np.int64)
    records = np.zeros((2, RECORD_SIZE), np.uint8)
    mine, theirs = (int(row.ctypes.data) for row in records)
    rate = _cycles_per_ns()
    halves = []
    for _ in range(5):
        _pinned_pair(
            lambda: ping(there.address, back.address, mine, int(cycles.ctypes.data), ROUND_TRIPS),
            lambda: echo(there.address, back.address, theirs, ROUND_TRIPS),
        )
        halves.append(float(np.median(cycles)) / rate / 2)
    return min(halves)


@benchmark(
    "ring_rate",
    "64-byte records from one pinned thread to another",
    unit="records/s",
    peer=published("C++ ring, worst placement of two cores", 30e6),
    reach=">= 30000000",
)
def ring_rate() -> float:
    """Median of five."""
    _compile()
    arena = Arena(1 << 20)
    ring = Ring.create(arena, "ring", CAPACITY)
    record = np.zeros(RECORD_SIZE, np.uint8)
    taken = np.zeros((BATCH, RECORD_SIZE), np.uint8)
    seconds = [
        _pinned_pair(
            lambda: produce(ring.address, int(record.ctypes.data), MESSAGES),
            lambda: drain(ring.address, int(taken.ctypes.data), BATCH, MESSAGES),
        )
        for _ in range(5)
    ]
    return MESSAGES / statistics.median(seconds)
