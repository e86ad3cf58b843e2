"""What it costs to journal a record: from a kernel, one at a time and many at once."""

import mmap
import shutil
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np

from benchmarks.peer import Peer
from benchmarks.registry import benchmark
from nanotick.core.clock import CounterClock, cycle_counter
from nanotick.core.journal import Journal
from nanotick.core.journal_kernel import append_many, journal_append
from nanotick.core.kernel import REGISTRY, compile_entry, kernel
from nanotick.core.memory import store_i64
from nanotick.core.records import EVENT, RECORD_SIZE

RECORDS = 50_000  # 3.7 MB of slots: within what is touched ahead, as records come in bursts
ROUNDS = 12
REST_S = 0.05


@kernel("i8(i8,i8,i8,i8)")
def append_timed(journal_address: int, records_address: int, count: int, out_address: int) -> int:
    """Append records one by one, each between two readings of the time stamp counter."""
    for i in range(count):
        before = cycle_counter()
        sequence = journal_append(journal_address, records_address + i * RECORD_SIZE)
        store_i64(out_address + 8 * i, cycle_counter() - before)
        if sequence <= 0:
            return i
    return count


def _records() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, RECORDS * RECORD_SIZE, np.uint8).view(EVENT)


def _latencies_ns() -> np.ndarray:
    """Nanoseconds of each append of several bursts, the timer's own cost included; shape (rounds, records)."""
    compile_entry(REGISTRY[f"{__name__}.append_timed"])
    directory = Path(tempfile.mkdtemp(prefix="nanotick-bench-"))
    records, clock = _records(), CounterClock(0.05)
    out = np.zeros((ROUNDS, RECORDS), np.int64)
    with Journal(directory) as journal:
        for burst in out:
            time.sleep(REST_S)
            done = append_timed(journal.address, records.ctypes.data, RECORDS, burst.ctypes.data)
            if done != RECORDS:
                raise RuntimeError(f"{directory}: the journal took {done} of {RECORDS} records: {journal.error}")
    shutil.rmtree(directory)
    return out * clock.ns_per_count


def _plain_python_ns() -> float:
    """The same in plain Python: a slice store into a mapped file, and its CRC; median of five."""
    record, samples = bytes(64), []
    with tempfile.TemporaryFile() as file:
        file.truncate(RECORDS * 72)
        mapped = mmap.mmap(file.fileno(), RECORDS * 72)
        for _ in range(6):
            start = time.process_time_ns()
            for i in range(RECORDS):
                at = i * 72
                mapped[at : at + 64] = record
                mapped[at + 64 : at + 72] = (72 | zlib.crc32(record, i) << 32).to_bytes(8, "little")
            samples.append((time.process_time_ns() - start) / RECORDS)
    return sorted(samples[1:])[2]


PLAIN = Peer("the same in plain Python", _plain_python_ns)


@benchmark("journal_append", "journal append from a kernel, a burst of 50,000", unit="ns", peer=PLAIN, reach="<= 60")
def journal_append_ns() -> float:
    """Thread time of a burst divided by its records, median of the rounds, on the disk of the temporary directory."""
    directory = Path(tempfile.mkdtemp(prefix="nanotick-bench-"))
    records, samples = _records(), []
    with Journal(directory) as journal:
        for _ in range(ROUNDS):
            time.sleep(REST_S)
            start = time.thread_time_ns()
            done = append_many(journal.address, records.ctypes.data, RECORDS)
            samples.append((time.thread_time_ns() - start) / RECORDS)
            if done != RECORDS:
                raise RuntimeError(f"{directory}: the journal took {done} of {RECORDS} records: {journal.error}")
    shutil.rmtree(directory)
    return float(np.median(samples))


@benchmark("journal_append_p50", "journal append, middle one, timer included", unit="ns", reach="<= 60")
def journal_append_p50() -> float:
    """Median over the bursts of each burst's median."""
    return float(np.median(np.percentile(_latencies_ns(), 50, axis=1)))


@benchmark("journal_append_p99", "journal append, 99th percentile, timer included", unit="ns", reach="<= 60")
def journal_append_p99() -> float:
    """Median over the bursts of each burst's 99th percentile."""
    return float(np.median(np.percentile(_latencies_ns(), 99, axis=1)))


@benchmark("journal_rate", "journal append, sustained, beside its threads", unit="records/s", reach=">= 8000000")
def journal_rate() -> float:
    """Two million records without a pause, by the clock, with page faults, syncs and new segments; best of three."""
    best = 0.0
    records = _records()
    for _ in range(3):
        directory = Path(tempfile.mkdtemp(prefix="nanotick-bench-", dir=_memory()))
        with Journal(directory) as journal:
            time.sleep(REST_S)
            start = time.perf_counter_ns()
            for _ in range(40):
                journal.append_array(records)
            best = max(best, 40 * RECORDS / (time.perf_counter_ns() - start) * 1e9)
        shutil.rmtree(directory)
    return best


def _memory() -> str | None:
    # sustained, a disk's own speed would be the figure: 8 million records a second are 585 MB/s
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
