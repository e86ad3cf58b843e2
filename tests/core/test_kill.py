"""kill -9 at any moment of appending, syncing, rotating and snapshotting: nothing acknowledged is lost, nothing is
invented or reordered, and the restored state equals a replay from the first record."""

import functools
import mmap
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from nanotick.core.arena import Arena
from nanotick.core.journal import Journal
from nanotick.core.journal_reader import JournalReader, inspect
from nanotick.core.journal_segment import BLOCK_SIZE, HEADER_SIZE
from nanotick.core.mode import INTERPRET
from nanotick.core.snapshot import SnapshotStore
from tests.core.test_journal import bodies

RECORDS = bodies(1, 20_000)
SEGMENT = HEADER_SIZE + 16 * BLOCK_SIZE  # rotates every 112 records
KILLS_PER_DIRECTORY = 25


POWERS = np.cumprod(np.r_[np.uint64(1), np.full(len(RECORDS), 31, np.uint64)])  # of 31, modulo 2^64


def step(state: np.ndarray, records: np.ndarray) -> None:
    """A state machine that notices a record lost, repeated or out of place: count, sum, and a hash of the order."""
    words = records.view(np.uint64).reshape(-1, 8)[:, 0]
    count, unsigned = len(words), state.view(np.uint64)
    unsigned[0:1] += np.uint64(count)
    unsigned[1:2] += words.sum(keepdims=True)
    unsigned[2:3] = unsigned[2:3] * POWERS[count] + (words * POWERS[:count][::-1]).sum(keepdims=True)


@functools.cache
def states() -> np.ndarray:
    """The state after each record, by a replay from the first; shape (records + 1, 8)."""
    out = np.zeros((len(RECORDS) + 1, 8), np.int64)
    for i in range(len(RECORDS)):
        out[i + 1] = out[i]
        step(out[i + 1], RECORDS[i : i + 1])
    return out


def write_until_killed(directory: Path, acknowledged: mmap.mmap, seed: int) -> None:
    """The victim. Acknowledges a record by storing its number in a shared page after the append has returned."""
    choose = random.Random(seed)
    ack = np.frombuffer(acknowledged, np.int64)
    arena = Arena(1 << 20)
    state = arena.region("state", "<i8", 8).view
    store = SnapshotStore(directory / "snapshots", keep=2)
    with Journal(directory / "journal", SEGMENT, sync_interval_s=choose.choice([None, 0.0005])) as journal:
        last = journal.next_sequence - 1
        assert last >= ack[0], f"{ack[0] - last} acknowledged records are lost"
        reader = JournalReader(directory / "journal", store.restore(arena, last).sequence + 1)
        for records in reader.batches():
            step(state, records)
        reader.close()
        ack[1] += 1  # has recovered
        while last < len(RECORDS):
            count = choose.randrange(1, 12)
            batch = RECORDS[last : last + count]
            if choose.random() < 0.5:
                for record in batch:
                    last = journal.append(record)
                    ack[0] = last
            else:
                last = journal.append_array(batch)
                ack[0] = last
            step(state, batch)
            if choose.random() < 0.05:
                journal.sync()
            if choose.random() < 0.05:
                store.save(arena, last, journal.sync())


def fork_and_kill(directory: Path, acknowledged: mmap.mmap, seed: int) -> None:
    """Start a victim and kill it after a random while, counted from a random one of its stages."""
    wait_s = random.Random(seed).random() * 0.004
    from_recovery = seed % 3 != 0
    ack = np.frombuffer(acknowledged, np.int64)
    recovered = int(ack[1])
    child = os.fork()
    if child == 0:
        try:
            write_until_killed(directory, acknowledged, seed)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(3)
    while from_recovery and ack[1] == recovered:
        time.sleep(0.0001)
        if os.waitpid(child, os.WNOHANG)[0]:
            pytest.fail(f"the writer of seed {seed} stopped by itself")
    time.sleep(wait_s)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"the writer of seed {seed} stopped by itself"


def check(directory: Path, acknowledged: int) -> int:
    """The reference: what is there now is RECORDS up to some number, at least the acknowledged one."""
    journal = Journal(directory / "journal", SEGMENT, sync_interval_s=None)
    last = journal.next_sequence - 1
    assert last >= acknowledged, f"{acknowledged - last} acknowledged records are lost"
    journal.close()
    found = b"".join(records.tobytes() for records in JournalReader(directory / "journal").batches())
    assert found == RECORDS[:last].tobytes()
    arena = Arena(1 << 20)
    state = arena.region("state", "<i8", 8).view
    start = SnapshotStore(directory / "snapshots", keep=2).restore(arena, last)
    assert not start.rejected
    step(state, RECORDS[start.sequence : last])
    assert state.tolist() == states()[last].tolist()
    return last


def load_kernels(directory: Path) -> None:
    """Victims inherit loaded kernels: a kill while they load would test nothing."""
    with Journal(directory, SEGMENT, sync_interval_s=0.0005) as journal:
        journal.append_array(RECORDS[:300])
        journal.append(RECORDS[300])
        time.sleep(0.01)
    assert journal.recovery.next_sequence == 1
    assert sum(len(records) for records in JournalReader(directory).batches()) == 301


def run_kills(make_path, kills: int, first_seed: int = 0) -> None:
    load_kernels(make_path())
    acknowledged = mmap.mmap(-1, mmap.PAGESIZE)
    ack = np.frombuffer(acknowledged, np.int64)
    directory, snapshots, rotations = make_path(), 0, 0
    for kill in range(kills):
        if kill % KILLS_PER_DIRECTORY == 0:
            directory = make_path()
            ack[0] = 0
        fork_and_kill(directory, acknowledged, first_seed + kill)
        # each victim has checked its predecessor's acknowledgements; what was invented or reordered stays to be seen
        if kill % KILLS_PER_DIRECTORY == KILLS_PER_DIRECTORY - 1:
            check(directory, int(ack[0]))
            report = inspect(directory / "journal")
            assert not report.damage
            rotations += len(report.segments)
            snapshots += len(SnapshotStore(directory / "snapshots").paths())
    assert kills < KILLS_PER_DIRECTORY or (rotations > kills // 5 and snapshots > 0)


def test_a_thousand_kills_lose_invent_and_reorder_nothing(make_shm_path) -> None:
    run_kills(make_shm_path, 50 if INTERPRET else 1000)


@pytest.mark.nightly
def test_ten_thousand_kills_lose_invent_and_reorder_nothing(make_shm_path) -> None:
    run_kills(make_shm_path, 10_000, first_seed=1_000_000)
