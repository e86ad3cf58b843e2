"""The journal: every record that can change a decision, appended to memory-mapped segments before anything acts on it.

    with Journal(directory) as journal:
        sequence = journal.append(event)             # from Python
        journal_append(journal.address, record)      # from a kernel: gives the sequence number, or JOURNAL_FULL

One thread appends. An append copies the record into its slot and stores the commit word last (`journal_segment`), with
no system call, no lock and no allocation: a killed process loses nothing it appended. Another thread (`journal_sync`)
makes the records durable in groups, prepares the next segment long before it is needed and touches its pages ahead of
the writer, so that the writer meets neither a full file nor a page fault. When the writer outruns it all the same,
`journal_append` gives JOURNAL_FULL and the caller lets Python make room with `Journal.roll`.

An error of a sync stops the journal for good: the kernel may have dropped the pages, so trying again could report
success falsely. From then on every append gives JOURNAL_FAILED.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from nanotick.core.journal_kernel import (
    FAILED,
    JOURNAL,
    JOURNAL_FAILED,
    JOURNAL_FULL,
    NEXT,
    READY,
    SYNCED,
    append_many,
    append_one,
    journal_append,
    journal_at,
    journal_room,
)
from nanotick.core.journal_recovery import WRITER_FILE, Recovery, boot_id, recover
from nanotick.core.journal_segment import (
    BLOCK_RECORDS,
    BLOCK_SIZE,
    HEADER_SIZE,
    JournalCorruptionError,
    JournalError,
    Segment,
    create_segment,
)
from nanotick.core.journal_sync import SegmentSync
from nanotick.core.memory import load_acquire, store_release
from nanotick.core.records import RECORD_SIZE

__all__ = [
    "JOURNAL_FAILED",
    "JOURNAL_FULL",
    "Journal",
    "JournalCorruptionError",
    "JournalError",
    "journal_append",
]

DEFAULT_SEGMENT_BYTES = 64 << 20
DEFAULT_SYNC_INTERVAL_S = 0.005


class Journal:
    """The writer of a journal directory; recovers it first.

    Parameters
    ----------
    directory : Path
        Made if need be. One writer at a time.
    segment_bytes : int
        Size of new segments (rounded down to whole blocks).
    sync_interval_s : float or None
        Pause between group syncs; None leaves syncing and preparing to explicit calls of `sync` and `roll`.
    power_lost : bool, optional
        See `journal_recovery.recover`.
    verify_from : int
        See `journal_recovery.recover`.

    Attributes
    ----------
    address : int
        Of the `JOURNAL` record, for kernels.
    recovery : Recovery
        What was found on opening.

    Raises
    ------
    JournalError
        Another process writes this journal.
    JournalCorruptionError
        The directory holds what no crash leaves.
    """

    def __init__(
        self,
        directory: Path,
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        sync_interval_s: float | None = DEFAULT_SYNC_INTERVAL_S,
        power_lost: bool | None = None,
        verify_from: int = 0,
    ) -> None:
        self.directory = directory
        self.capacity = (segment_bytes - HEADER_SIZE) // BLOCK_SIZE * BLOCK_RECORDS
        if self.capacity <= 0:
            raise ValueError(f"segment_bytes must be at least {HEADER_SIZE + BLOCK_SIZE}, found {segment_bytes}")
        directory.mkdir(parents=True, exist_ok=True)
        self._writer = _claim(directory)
        try:
            for leftover in sorted(directory.glob("*.tmp")):
                leftover.unlink()  # a segment whose making was cut short
            self.recovery: Recovery = recover(directory, power_lost, verify_from)
            self._writer.seek(0)
            self._writer.truncate()
            self._writer.write(f"{boot_id() or '-'} {os.getpid()}\n".encode())
            self._writer.flush()
            os.fsync(self._writer.fileno())
            # the record lies on its own cache lines: 64-byte aligned inside a larger buffer
            self._memory = np.zeros(JOURNAL.itemsize + 64, np.uint8)
            self.address = -(-int(self._memory.ctypes.data) // 64) * 64
            self._state = journal_at(self.address)
            open_segments = self._open_segments()
        except BaseException:
            self._writer.close()
            raise
        self._sync = SegmentSync(self.address, directory, self.capacity, open_segments, self._memory)
        self._sync.prepare()
        if sync_interval_s is not None:
            self._sync.start(sync_interval_s)

    def _open_segments(self) -> list[Segment]:
        """Map the segment to append to, and the prepared one after it if there is one."""
        following = self.recovery.next_sequence
        paths = [p for p in self.recovery.segments if int(p.stem) >= following] or self.recovery.segments[-1:]
        partial = [p for p in self.recovery.segments if int(p.stem) < following][-1:]
        segments = [Segment(path, writable=True) for path in dict.fromkeys(partial + paths)]
        if segments and segments[0].end_sequence == following and len(segments) > 1:
            segments.pop(0).close()  # full, and its chain hash stands in the next one's header already
        if not segments:
            segments = [create_segment(self.directory, following, self.capacity)]
        current, state = segments[0], self._state
        used = following - current.first_sequence
        state.next_sequence = following
        state.block = current.blocks_address + used // BLOCK_RECORDS * BLOCK_SIZE
        state.slot = used % BLOCK_RECORDS
        state.end = current.address + current.size
        state.synced_sequence = following - 1  # recovery has synced what it found
        if len(segments) > 1:
            state.ready_end = segments[1].address + segments[1].size
            state.ready_block = segments[1].blocks_address
        return segments

    @property
    def next_sequence(self) -> int:
        """Sequence number of the next record."""
        return int(load_acquire(self.address + NEXT))

    @property
    def synced_sequence(self) -> int:
        """All records up to this one are durable."""
        return int(load_acquire(self.address + SYNCED))

    @property
    def error(self) -> OSError | None:
        """Why the journal has stopped, or will once its segment is full; None while all is well.

        While this is not None no new risk should be taken on.
        """
        return self._sync.error

    def append(self, record: Any) -> int:
        """Append a record (an element of an EVENT or COMMAND array, or 64 bytes) and give its sequence number.

        Raises
        ------
        JournalError
            The record is not 64 bytes long, or the journal has stopped or cannot grow.
        """
        data = record if isinstance(record, bytes) else record.tobytes()
        if len(data) != RECORD_SIZE:
            raise JournalError(f"{self.directory}: a record has {RECORD_SIZE} bytes, found {len(data)}")
        buffer = np.frombuffer(data, np.uint8)
        address = int(buffer.ctypes.data)
        sequence = int(append_one(self.address, address))
        if sequence <= 0:
            self._make_room(sequence)
            sequence = int(append_one(self.address, address))
        if sequence <= 0:
            self._make_room(sequence)
        return sequence

    def append_array(self, records: Any) -> int:
        """Append all records of a contiguous EVENT or COMMAND array; gives the last sequence number."""
        data = np.ascontiguousarray(records)
        if data.dtype.itemsize != RECORD_SIZE:
            raise JournalError(f"{self.directory}: a record has {RECORD_SIZE} bytes, found {data.dtype.itemsize}")
        done = 0
        while True:
            done += int(append_many(self.address, int(data.ctypes.data) + done * RECORD_SIZE, len(data) - done))
            if done == len(data):
                return self.next_sequence - 1
            self._make_room(JOURNAL_FAILED if load_acquire(self.address + FAILED) else JOURNAL_FULL)

    def _make_room(self, code: int) -> None:
        if code == JOURNAL_FAILED:
            raise JournalError(f"{self.directory}: the journal has stopped: {self.error}") from self.error
        self.roll()

    def roll(self, records: int = 1) -> None:
        """Make the next segment ready, so that so many records can be appended.

        Raises
        ------
        JournalError
            The disk refuses, and there is less room than that.
        """
        self._sync.prepare()
        if load_acquire(self.address + READY) == 0 and journal_room(self.address) < records:
            raise JournalError(f"{self.directory}: no room for another segment: {self.error}") from self.error

    def fail(self) -> None:
        """Stop for good: from here on no append succeeds."""
        store_release(self.address + FAILED, 1)

    def sync(self) -> int:
        """Make every record appended before this call durable; gives the last one's sequence number.

        Raises
        ------
        JournalError
            The sync failed; the journal has stopped for good.
        """
        self._sync.sync()
        if load_acquire(self.address + FAILED):
            raise JournalError(f"{self.directory}: the journal has stopped: {self.error}") from self.error
        return self.synced_sequence

    def close(self) -> None:
        """Sync, stop the sync thread and unmap. No kernel may append any more."""
        if self._writer.closed:
            return
        self._sync.close()
        self._writer.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _claim(directory: Path) -> Any:
    """Hold the `writer` file for as long as it stays open."""
    path = directory / WRITER_FILE
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        pass  # Windows: the caller must see to it that there is one writer
    except OSError as error:
        owner = file.read().decode(errors="replace").split()[1:]
        file.close()
        raise JournalError(
            f"{directory}: another process{f' ({owner[0]})' if owner else ''} writes this journal; stop it first"
        ) from error
    return file
