"""Reading a journal: from any sequence number to the tail, in the writer's process or in another one.

    for records in JournalReader(directory).batches():   # copies, contiguous
        ...
    reader.view(first, last)                             # no copy: blocks of 7 records where they lie

A reader maps the segments for reading and looks at the commit words with acquire, so it sees a record whole or not at
all, whether it was appended a nanosecond or a year ago. Kernels follow the tail with `journal_next(reader_address)`,
which gives a record's address or 0. `inspect` and `journal_digest` say what a whole directory holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.journal_segment import (
    BLOCK,
    BLOCK_RECORDS,
    BLOCK_SIZE,
    COMMIT_LENGTH,
    HEADER_SIZE,
    WORDS_OFFSET,
    JournalCorruptionError,
    JournalError,
    Segment,
    commit_word,
    segment_path,
    segment_paths,
    slot_offset,
    word_offset,
)
from nanotick.core.kernel import kernel
from nanotick.core.memory import copy_bytes, load_acquire, record_at
from nanotick.core.records import EVENT, RECORD_SIZE

READER = np.dtype(
    [
        ("next_sequence", "<i8"),  # of the record journal_next gives next
        ("block", "<i8"),  # address of its block
        ("slot", "<i8"),  # its place there
        ("end", "<i8"),  # address after the mapped segment
        ("damaged", "<i8"),  # 1: the record there does not match its commit word
        ("pad", "<i8", (3,)),
    ]
)
reader_at = record_at(READER, "Reader")


@kernel
def journal_next(reader_address: int) -> int:
    """Address of the next committed record, or 0: none yet, the segment's end, or damage (`READER.damaged`)."""
    reader = reader_at(reader_address)
    block, slot = reader.block, reader.slot
    if block == reader.end:
        return 0
    word = load_acquire(block + WORDS_OFFSET + 8 * slot)
    if word == 0:
        return 0
    record = block + slot * RECORD_SIZE
    if word != commit_word(reader.next_sequence, record):
        reader.damaged = 1
        return 0
    slot += 1
    if slot == BLOCK_RECORDS:
        slot = 0
        reader.block = block + BLOCK_SIZE
    reader.slot = slot
    reader.next_sequence += 1
    return record


@kernel("i8(i8,i8,i8)")
def read_batch(reader_address: int, out_address: int, limit: int) -> int:
    """Copy up to `limit` committed records out; gives how many."""
    for i in range(limit):
        record = journal_next(reader_address)
        if record == 0:
            return i
        copy_bytes(out_address + i * RECORD_SIZE, record, RECORD_SIZE)
    return limit


class JournalReader:
    """Follows a journal directory.

    Parameters
    ----------
    directory : Path
    start : int, optional
        Sequence number to begin with; the oldest kept when left out.

    Attributes
    ----------
    address : int
        Of the `READER` record, for kernels; when `journal_next` gives 0, `advance` says whether to go on.
    """

    def __init__(self, directory: Path, start: int | None = None) -> None:
        self.directory = directory
        self._memory = np.zeros(1, READER)
        self.address = int(self._memory.ctypes.data)
        self._state = reader_at(self.address)
        self._segment: Segment | None = None
        paths = segment_paths(directory)
        oldest = int(paths[0].stem) if paths else 1
        self._state.next_sequence = oldest if start is None else start
        if self._state.next_sequence < oldest:
            raise JournalError(f"{directory}: begins with record {oldest}, record {start} is no longer kept")
        self.advance()

    @property
    def next_sequence(self) -> int:
        """Sequence number of the record read next."""
        return int(self._state.next_sequence)

    def advance(self) -> bool:
        """Map the next segment if the present one is read to its end; whether records can be read on.

        Raises
        ------
        JournalCorruptionError
            The next record does not match its commit word.
        """
        if self._state.damaged:
            self._raise_damage()
        if self._segment is not None and self._state.block != self._state.end:
            return True
        sequence = self.next_sequence
        found = segment_path(self.directory, sequence)
        if self._segment is None:
            below = [path for path in segment_paths(self.directory) if int(path.stem) <= sequence]
            if not below:
                return False
            found = below[-1]
        if not found.exists():
            return False
        segment = Segment(found)
        index = sequence - segment.first_sequence
        if index > segment.capacity:
            segment.close()
            raise JournalError(f"{self.directory}: ends with record {segment.end_sequence - 1}, before {sequence}")
        if self._segment is not None:
            self._segment.close()
        self._segment = segment
        self._state.block = segment.blocks_address + index // BLOCK_RECORDS * BLOCK_SIZE
        self._state.slot = index % BLOCK_RECORDS
        self._state.end = segment.address + segment.size
        return index < segment.capacity

    def _raise_damage(self) -> None:
        assert self._segment is not None
        index = self.next_sequence - self._segment.first_sequence
        at = self._segment.address
        found = load_acquire(at + word_offset(index)) & (1 << 64) - 1
        expected = commit_word(self.next_sequence, at + slot_offset(index)) & (1 << 64) - 1
        raise JournalCorruptionError(
            self._segment.path,
            word_offset(index),
            self.next_sequence,
            f"commit word {found:#018x}",
            f"{expected:#018x} by its record",
        )

    def read(self, limit: int = 4096) -> npt.NDArray[Any]:
        """Records committed and not read yet, at most `limit`, as a contiguous EVENT array (a copy).

        Commands are records too: `kind` tells them apart, `.view(COMMAND)` reads them.
        """
        out = np.empty(limit, EVENT)
        done = 0
        while done < limit:
            done += int(read_batch(self.address, int(out.ctypes.data) + done * RECORD_SIZE, limit - done))
            if done and self._state.damaged:
                break  # what stands before the damage is good; the next call says what is not
            at_end = self._segment is None or self._state.block == self._state.end
            if not (self._state.damaged or (at_end and done < limit)) or not self.advance():
                break
        return out[:done]

    def batches(self, limit: int = 65_536) -> Iterator[npt.NDArray[Any]]:
        """All records up to the tail, in arrays of up to `limit`."""
        while True:
            records = self.read(limit)
            if not len(records):
                return
            yield records

    def view(self, first: int, last: int) -> Iterator[npt.NDArray[Any]]:
        """Committed records `first` to `last`, without a copy.

        Yields
        ------
        numpy.ndarray
            EVENT records, shape (blocks, 7) for whole blocks, (1, n) for a partial one, in order and read-only. Each
            array keeps its segment mapped for as long as it lives.

        Raises
        ------
        JournalError
            A record asked for is not committed.
        """
        following = first
        for path in segment_paths(self.directory):
            segment = Segment(path)
            begin = max(first, segment.first_sequence) - segment.first_sequence
            end = min(last + 1, segment.end_sequence) - segment.first_sequence
            if begin >= end:
                segment.close()
                continue
            if load_acquire(segment.address + word_offset(end - 1)) & 0xFF != COMMIT_LENGTH:
                segment.close()
                raise JournalError(f"{path}: record {segment.first_sequence + end - 1} is not committed")
            following = segment.first_sequence + end
            # the map itself is the arrays' base, so it closes when the last of them is gone
            blocks = np.frombuffer(segment.map, BLOCK, offset=HEADER_SIZE)["records"]
            while begin < end:
                block, slot = divmod(begin, BLOCK_RECORDS)
                if slot == 0 and end - begin >= BLOCK_RECORDS:
                    whole = (end - begin) // BLOCK_RECORDS
                    yield blocks[block : block + whole]
                    begin += whole * BLOCK_RECORDS
                else:
                    count = min(BLOCK_RECORDS - slot, end - begin)
                    yield blocks[block : block + 1, slot : slot + count]
                    begin += count
        if following <= last:
            raise JournalError(f"{self.directory}: record {following} is not committed")

    def close(self) -> None:
        """Unmap. Views already handed out stay valid."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None
            self._state.block = self._state.end = 0


@dataclass(frozen=True)
class SegmentReport:
    """What one segment file holds."""

    name: str
    first_sequence: int
    capacity: int
    records: int
    synced: int
    chained: bool
    torn: bool


@dataclass(frozen=True)
class JournalReport:
    """What a journal directory holds; `damage` is empty when all of it is sound."""

    directory: str
    first_sequence: int
    next_sequence: int
    segments: list[SegmentReport] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)


def inspect(directory: Path) -> JournalReport:
    """Read every segment without changing anything, and list all that is wrong with segment, offset and sequence."""
    reports: list[SegmentReport] = []
    damage: list[str] = []
    before: Segment | None = None
    following = 0
    full_before = True
    for path in segment_paths(directory):
        try:
            segment = Segment(path)
        except JournalError as error:
            damage.append(str(error))
            full_before = False
            continue
        scan = segment.scan()
        good, chain = int(scan["good"]), segment.chain_before()
        try:
            segment.check_scan(scan)
            if following and segment.first_sequence != following:
                raise JournalCorruptionError(
                    path, 16, 0, f"first sequence {segment.first_sequence}", f"{following} after the segment before"
                )
            if (good and not full_before) or scan["beyond"] >= 0:
                index = int(max(0, scan["beyond"]))
                raise JournalCorruptionError(
                    path, slot_offset(index), segment.first_sequence + index, "bytes after a gap", "zeros"
                )
            if chain and before is not None and full_before and chain != before.chain():
                raise JournalCorruptionError(path, 512, 0, f"chain hash {chain.hex()}", f"that of {before.path.name}")
        except JournalCorruptionError as error:
            damage.append(str(error))
        reports.append(
            SegmentReport(
                path.name,
                segment.first_sequence,
                segment.capacity,
                good,
                segment.synced(),
                bool(chain),
                bool(scan["torn"]),
            )
        )
        if before is not None:
            before.close()
        before, following = segment, segment.end_sequence
        full_before = full_before and good == segment.capacity
    if before is not None:
        before.close()
    used = [r for r in reports if r.records]
    first = reports[0].first_sequence if reports else 1
    end = used[-1].first_sequence + used[-1].records if used else first
    return JournalReport(str(directory), first, end, reports, damage)


def journal_digest(directory: Path, first: int | None = None, last: int | None = None) -> str:
    """Hash of the committed records' bytes in order, whatever segments they lie in: equal runs have equal digests.

    Parameters
    ----------
    first, last : int, optional
        Sequence numbers, both included; all there is when left out. Bytes after the last record do not count.
    """
    digest = hashlib.blake2b(digest_size=32)
    reader = JournalReader(directory, first)
    for records in reader.batches():
        following = reader.next_sequence
        if last is not None and following > last:
            records = records[: max(0, len(records) - (following - 1 - last))]
        digest.update(records.tobytes())
        if last is not None and following > last:
            break
    reader.close()
    return digest.hexdigest()
