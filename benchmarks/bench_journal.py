"""Appending to the journal: what one record costs a kernel, beside the same in plain Python.

Records are appended by a kernel into segments made before, with the sync thread running as in production; the processor
time is the whole process's, syncing included.
"""

import mmap
import struct
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np

from benchmarks.peer import Peer
from benchmarks.registry import benchmark
from nanotick.core.journal import Journal
from nanotick.core.journal_kernel import append_many
from nanotick.core.kernel import REGISTRY, compile_entry
from nanotick.core.records import EVENT

RECORDS = 500_000
RUNS = 5
SEGMENT_BYTES = 64 << 20


def _median_ns(append: "_Append") -> float:
    samples = sorted(append() for _ in range(RUNS))
    return samples[RUNS // 2]


class _Append:
    """One run: append RECORDS records to a fresh journal and return nanoseconds a record."""

    def __call__(self) -> float:
        records = np.zeros(RECORDS, EVENT)
        records["seq"] = np.arange(RECORDS)
        with (
            tempfile.TemporaryDirectory(prefix="nanotick-bench-journal-") as directory,
            Journal(Path(directory), SEGMENT_BYTES) as journal,
        ):
            start = time.process_time_ns()
            done = append_many(journal.address, int(records.ctypes.data), RECORDS)
            spent = time.process_time_ns() - start
            if done != RECORDS:
                raise RuntimeError(f"the journal took {done} of {RECORDS} records")
        return spent / RECORDS


class _AppendInPython(_Append):
    """The same in plain Python: pack into a mapped file, CRC-32, then length and CRC."""

    def __call__(self) -> float:
        count = RECORDS // 10
        record = bytes(64)
        tail = struct.Struct("<II")
        with tempfile.TemporaryFile() as file:
            file.truncate(count * 96)
            with mmap.mmap(file.fileno(), count * 96) as target:
                start = time.process_time_ns()
                for sequence in range(count):
                    at = sequence * 96
                    body = sequence.to_bytes(8, "little") + record
                    target[at : at + 72] = body
                    tail.pack_into(target, at + 88, 72, zlib.crc32(body))
                return (time.process_time_ns() - start) / count


PYTHON = Peer("plain Python, mapped file and CRC-32", lambda: _median_ns(_AppendInPython()))


@benchmark("journal_append", "one record appended from a kernel", unit="ns", peer=PYTHON, reach="<= 60")
def journal_append() -> float:
    """Nanoseconds of processor time a record, median of five."""
    compile_entry(REGISTRY["nanotick.core.journal_kernel.append_many"])
    _Append()()
    return _median_ns(_Append())


@benchmark("journal_rate", "records appended in a second", unit="records/s", reach=">= 8000000")
def journal_rate() -> float:
    """The same as a rate."""
    return 1e9 / journal_append()
