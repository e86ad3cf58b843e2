"""Handing records from one core to another: a ring beside the bare floor of two cache lines, in the same run.

Two kernels run without the interpreter's lock, each pinned to a core. Every round trip and every chunk of records is
timed by the counter and the median taken, so what other programs do to the machine costs single trips and not the
figure; floor and ring take turns, for the hypervisor moves virtual cores about.
"""

import os
import threading
from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.peer import Peer
from benchmarks.registry import benchmark
from nanotick.core.arena import Arena
from nanotick.core.clock import CounterClock, cycle_counter
from nanotick.core.kernel import REGISTRY, compile_entry, kernel
from nanotick.core.memory import load_acquire, store_i64, store_release
from nanotick.core.records import EVENT, Kind
from nanotick.core.ring import Ring, spsc_peek, spsc_pop_batch, spsc_push, spsc_release

HOPS = 200_000
CAPACITY = 4096
CHUNK = 16_384
CHUNKS = 1_000


@kernel("i8(i8,i8,i8,i8)")
def floor_there(a: int, b: int, cycles: int, rounds: int) -> int:
    """The floor: one word there, one word back; writes the cycles of each round trip."""
    for i in range(1, rounds + 1):
        start = cycle_counter()
        store_release(a, i)
        while load_acquire(b) != i:
            pass
        store_i64(cycles + 8 * i - 8, cycle_counter() - start)
    return rounds


@kernel("i8(i8,i8,i8)")
def floor_back(a: int, b: int, rounds: int) -> int:
    """Its other end."""
    for i in range(1, rounds + 1):
        while load_acquire(a) != i:
            pass
        store_release(b, i)
    return rounds


@kernel("i8(i8,i8,i8,i8,i8)")
def ring_there(there: int, back: int, record: int, cycles: int, rounds: int) -> int:
    """A record through one ring, another back through a second; writes the cycles of each round trip."""
    for i in range(rounds):
        start = cycle_counter()
        spsc_push(there, record)
        reply = spsc_peek(back)
        while reply == 0:
            reply = spsc_peek(back)
        spsc_release(back, reply)
        store_i64(cycles + 8 * i, cycle_counter() - start)
    return rounds


@kernel("i8(i8,i8,i8)")
def ring_back(there: int, back: int, rounds: int) -> int:
    """Its other end: sends each record back."""
    for _ in range(rounds):
        record = spsc_peek(there)
        while record == 0:
            record = spsc_peek(there)
        spsc_push(back, record)
        spsc_release(there, record)
    return rounds


@kernel("i8(i8,i8,i8)")
def produce(ring: int, record: int, count: int) -> int:
    """Push as fast as there is room."""
    for i in range(count):
        store_i64(record, i)
        while not spsc_push(ring, record):
            pass
    return count


@kernel("i8(i8,i8,i8,i8)")
def consume(ring: int, out: int, cycles: int, chunks: int) -> int:
    """Pop in batches of up to 64; writes the cycles of each chunk of CHUNK records."""
    for i in range(chunks):
        start = cycle_counter()
        done = 0
        while done < CHUNK:
            done += spsc_pop_batch(ring, out, min(64, CHUNK - done))
        store_i64(cycles + 8 * i, cycle_counter() - start)
    return chunks


def _on_two_cores(first: Callable[[], object], second: Callable[[], object]) -> None:
    """Run two functions at once, each pinned to a core of its own where the machine has two."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

    def pinned(work: Callable[[], object], core: int) -> None:
        if len(cores) > 1:
            os.sched_setaffinity(0, {cores[core]})
        work()

    threads = [threading.Thread(target=pinned, args=(work, i)) for i, work in enumerate((first, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _compile() -> None:
    for name in ("floor_there", "floor_back", "ring_there", "ring_back", "produce", "consume"):
        compile_entry(REGISTRY[f"{__name__}.{name}"])


def _record(arena: Arena) -> int:
    """Address of a trade."""
    record = arena.region("record", EVENT, 1)
    record.view["kind"] = Kind.TRADE
    return record.address


def _floor_ns(clock: CounterClock) -> float:
    lines = Arena(1 << 20).region("lines", "<i8", 64)
    a, b, cycles = lines.address, lines.address + 256, np.zeros(HOPS, np.int64)
    _on_two_cores(partial(floor_there, a, b, int(cycles.ctypes.data), HOPS), partial(floor_back, a, b, HOPS))
    return float(np.median(cycles)) * clock.ns_per_count / 2


def _ring_ns(clock: CounterClock) -> float:
    arena = Arena(1 << 20)
    there, back = (Ring.create(arena, name, 64).address for name in ("there", "back"))
    record, cycles = _record(arena), np.zeros(HOPS, np.int64)
    _on_two_cores(
        partial(ring_there, there, back, record, int(cycles.ctypes.data), HOPS), partial(ring_back, there, back, HOPS)
    )
    return float(np.median(cycles)) * clock.ns_per_count / 2


_PAIRS: list[tuple[float, float]] = []


def _pairs() -> list[tuple[float, float]]:
    """Floor and ring in turn: where the hypervisor has put the two cores changes from second to second."""
    if not _PAIRS:
        _compile()
        clock = CounterClock(0.05)
        _PAIRS.extend((_floor_ns(clock), _ring_ns(clock)) for _ in range(7))
    return _PAIRS


@benchmark(
    "ring_one_way",
    "64-byte record handed to another core, one way",
    unit="ns",
    peer=Peer("bare cache line between the same threads", lambda: min(floor for floor, _ in _pairs())),
    reach="<= 1.2x",
)
def ring_one_way() -> float:
    """Median round trip halved, best of seven runs, each beside its floor."""
    return min(ring for _, ring in _pairs())


@benchmark("ring_rate", "64-byte records through a ring between two cores", unit="records/s", reach=">= 30000000")
def ring_rate() -> float:
    """Median chunk of each run, best of five runs."""
    _compile()
    clock, chunk_ns = CounterClock(0.05), []
    for _ in range(5):
        arena = Arena(1 << 20)
        ring = Ring.create(arena, "ring", CAPACITY).address
        record, room, cycles = _record(arena), arena.region("room", EVENT, 64).address, np.zeros(CHUNKS, np.int64)
        _on_two_cores(
            partial(produce, ring, record, CHUNKS * CHUNK),
            partial(consume, ring, room, int(cycles.ctypes.data), CHUNKS),
        )
        chunk_ns.append(float(np.median(cycles)) * clock.ns_per_count)
    return CHUNK / min(chunk_ns) * 1e9
