"""Rings: nothing lost, invented, repeated or reordered; between threads without the lock and between processes."""

import multiprocessing
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.arena import Arena
from nanotick.core.kernel import kernel
from nanotick.core.memory import load_i64, pause, store_i64
from nanotick.core.mode import INTERPRET
from nanotick.core.records import EVENT
from nanotick.core.ring import MPMC, SPSC, Ring, mpmc_pop, mpmc_push, spsc_pop, spsc_push

# threads that spin take turns of milliseconds on a machine with fewer processors: the counts are kept small
COUNT = 2_000 if INTERPRET else 40_000


def numbered(first: int, count: int) -> np.ndarray:
    """Records whose eight words are all their number plus one: the last word of a record is not zero."""
    return np.repeat(np.arange(first + 1, first + count + 1, dtype=np.int64), 8).view(EVENT)


def numbers(records: np.ndarray) -> list[int]:
    words = records.view(np.int64).reshape(-1, 8)
    assert (words == words[:, :1]).all(), "a record was torn"
    return (words[:, 0] - 1).tolist()


@given(
    st.sampled_from([SPSC, MPMC]),
    st.sampled_from([2, 4, 16]),
    st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=60),
)
def test_a_ring_is_a_bounded_first_in_first_out_list(kind, capacity, steps) -> None:
    ring = Ring.create(Arena(1 << 18), "ring", capacity, kind)
    waiting: list[int] = []
    pushed = popped = 0
    for push, count in steps:
        if push:
            done = ring.push(numbered(pushed, count))
            assert done == min(count, capacity - len(waiting))
            waiting += range(pushed, pushed + done)
            pushed += done
        else:
            found = numbers(ring.pop(count))
            assert found == waiting[:count]
            waiting = waiting[count:]
            popped += len(found)
        assert len(ring) == len(waiting)
    counted = ring.statistics()
    assert (counted["pushed"], counted["popped"]) == (pushed, popped)


@kernel("i8(i8,i8,i8,i8,i8)")
def produce(ring: int, scratch: int, first: int, count: int, many: int) -> int:
    for number in range(first, first + count):
        for k in range(8):
            store_i64(scratch + 8 * k, number + 1)
        while not (mpmc_push(ring, scratch) if many else spsc_push(ring, scratch)):
            pause()
    return count


@kernel("i8(i8,i8,i8,i8)")
def consume(ring: int, out: int, count: int, many: int) -> int:
    """Pops `count` records, writes each number to `out`; gives how many records were torn."""
    torn = 0
    scratch = out + 8 * count
    for i in range(count):
        while not (mpmc_pop(ring, scratch) if many else spsc_pop(ring, scratch)):
            pause()
        number = load_i64(scratch)
        for k in range(8):
            if load_i64(scratch + 8 * k) != number:
                torn += 1
        store_i64(out + 8 * i, number - 1)
    return torn


def run_threads(work) -> None:
    threads = [threading.Thread(target=f, args=a) for f, a in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("capacity", [2, 64])
def test_one_producer_and_one_consumer_in_threads_keep_every_record_whole_and_in_order(capacity) -> None:
    ring = Ring.create(Arena(1 << 20), "ring", capacity)
    scratch, out = np.zeros(8, np.int64), np.zeros(COUNT + 8, np.int64)
    torn = []
    count = COUNT if capacity > 2 else COUNT // 100
    run_threads(
        [
            (produce, (ring.address, int(scratch.ctypes.data), 0, count, 0)),
            (lambda: torn.append(consume(ring.address, int(out.ctypes.data), count, 0)), ()),
        ]
    )
    assert torn == [0]
    assert (out[:count] == np.arange(count)).all()
    assert ring.statistics()["pushed"] == ring.statistics()["popped"] == count


@pytest.mark.skipif(INTERPRET, reason="interpreted exchanges are not atomic between threads")
def test_many_producers_and_consumers_pass_each_record_once_and_each_producers_in_order() -> None:
    ring = Ring.create(Arena(1 << 20), "ring", 32, MPMC)
    producers, consumers, each = 3, 2, 4_000
    scratch = [np.zeros(8, np.int64) for _ in range(producers)]
    share = producers * each // consumers
    outs = [np.zeros(share + 8, np.int64) for _ in range(consumers)]
    torn: list[int] = []
    run_threads(
        [(produce, (ring.address, int(scratch[p].ctypes.data), p * each, each, 1)) for p in range(producers)]
        + [
            (lambda c=c: torn.append(consume(ring.address, int(outs[c].ctypes.data), share, 1)), ())
            for c in range(consumers)
        ]
    )
    assert torn == [0] * consumers
    assert sorted(np.concatenate([out[:share] for out in outs]).tolist()) == list(range(producers * each))
    for out in outs:
        for p in range(producers):
            mine = out[:share][out[:share] // each == p]
            assert (np.diff(mine) > 0).all()


def _produce_in_child(path: Path, kind: int, first: int, count: int) -> None:
    ring = Ring.attach(Arena.open(path), "ring")
    scratch = np.zeros(8, np.int64)
    produce(ring.address, int(scratch.ctypes.data), first, count, int(kind == MPMC))


@pytest.mark.parametrize(("kind", "children"), [(SPSC, 1), (MPMC, 2)])
def test_a_ring_in_a_shared_file_passes_records_between_processes(shm_path, kind, children) -> None:
    if INTERPRET and kind == MPMC:
        pytest.skip("interpreted exchanges are not atomic between processes")
    path = shm_path / "arena"
    ring = Ring.create(Arena(1 << 20, path), "ring", 64, kind)
    each = COUNT // 4
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_produce_in_child, args=(path, kind, c * each, each)) for c in range(children)]
    for process in processes:
        process.start()
    out = np.zeros(children * each + 8, np.int64)
    assert consume(ring.address, int(out.ctypes.data), children * each, int(kind == MPMC)) == 0
    for process in processes:
        process.join()
    found = out[: children * each]
    assert sorted(found.tolist()) == list(range(children * each))
    if kind == SPSC:
        assert (np.diff(found) == 1).all()


def test_a_ring_of_a_wrong_size_or_kind_is_refused() -> None:
    arena = Arena(1 << 20)
    with pytest.raises(ValueError, match="power of two of at least 2, found 3"):
        Ring.create(arena, "ring", 3)
    with pytest.raises(ValueError, match="SPSC"):
        Ring.create(arena, "ring", 4, 7)
    with pytest.raises(ValueError, match="64 bytes, found 8"):
        Ring.create(arena, "ring", 4).push(np.zeros(2, np.int64))


def test_a_record_without_a_kind_is_refused() -> None:
    ring = Ring.create(Arena(1 << 20), "ring", 4)
    nothing = np.zeros(1, EVENT)
    with pytest.raises(ValueError, match="without a kind"):
        ring.push(nothing)
    assert not spsc_push(ring.address, int(nothing.ctypes.data))
    assert len(ring) == 0 and ring.pop().size == 0


def test_rings_are_in_no_hash() -> None:
    arena = Arena(1 << 20)
    ring = Ring.create(arena, "ring", 4)
    before = arena.digest()
    ring.push(numbered(1, 3))
    assert arena.digest() == before
