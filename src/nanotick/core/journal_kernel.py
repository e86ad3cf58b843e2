"""Appending to the journal from a kernel: the writer's record and the append itself.

`journal_append` copies 64 bytes into the next slot, computes their CRC on the way and stores the commit word last. It
makes no system call; when a segment ends it goes on in the one that the sync thread has prepared.
"""

from __future__ import annotations

import numpy as np

from nanotick.core.journal_segment import (
    BLOCK_RECORDS,
    BLOCK_SIZE,
    COMMIT_LENGTH,
    WORDS_OFFSET,
)
from nanotick.core.kernel import kernel
from nanotick.core.memory import (
    crc32c_u64,
    load_acquire,
    load_i64,
    mul_wrap,
    record_at,
    store_i64,
    store_release,
)
from nanotick.core.records import RECORD_SIZE

JOURNAL_FULL = 0  # what journal_append gives when the next segment is not there yet
JOURNAL_FAILED = -1  # and when the journal has stopped for good

JOURNAL = np.dtype(
    [
        # the appending thread's cache line
        ("next_sequence", "<i8"),  # published with release: what followers in this process may read up to
        ("block", "<i8"),  # address of the block being filled
        ("slot", "<i8"),  # records in it, 0 to 6
        ("end", "<i8"),  # address after the segment's last block
        ("writer_pad", "<i8", (4,)),
        # the sync thread's cache line
        ("ready_block", "<i8"),  # first block of the segment prepared next, 0: none
        ("ready_end", "<i8"),
        ("synced_sequence", "<i8"),  # all records up to this one are durable
        ("failed", "<i8"),  # 1: stopped for good
        ("sync_pad", "<i8", (4,)),
    ]
)
journal_at = record_at(JOURNAL, "Journal")
NEXT, READY, SYNCED, FAILED = (
    int(JOURNAL.fields[name][1])  # type: ignore[index]
    for name in ("next_sequence", "ready_block", "synced_sequence", "failed")
)
_HIGH = 1 << 32
_ONES = 0xFFFFFFFF


@kernel
def _begin_prepared(journal_address: int) -> bool:
    ready = load_acquire(journal_address + READY)
    if ready == 0:
        return False
    journal = journal_at(journal_address)
    journal.block = ready
    journal.end = journal.ready_end
    store_release(journal_address + READY, 0)
    return True


@kernel
def journal_append(journal_address: int, record_address: int) -> int:
    """Append the 64-byte record at an address.

    Returns
    -------
    int
        Its sequence number; `JOURNAL_FULL` when the segment is full and no other prepared (call `Journal.roll` and
        try again); `JOURNAL_FAILED` when the journal has stopped.
    """
    if load_acquire(journal_address + FAILED) != 0:
        return JOURNAL_FAILED
    journal = journal_at(journal_address)
    if journal.block == journal.end and not _begin_prepared(journal_address):
        return JOURNAL_FULL
    block, slot, sequence = journal.block, journal.slot, journal.next_sequence
    target = block + slot * RECORD_SIZE
    crc = crc32c_u64(_ONES, sequence)
    for k in range(8):
        word = load_i64(record_address + 8 * k)
        store_i64(target + 8 * k, word)
        crc = crc32c_u64(crc, word)
    store_release(block + WORDS_OFFSET + 8 * slot, mul_wrap(crc ^ _ONES, _HIGH) | COMMIT_LENGTH)
    slot += 1
    if slot == BLOCK_RECORDS:
        slot = 0
        journal.block = block + BLOCK_SIZE
    journal.slot = slot
    store_release(journal_address + NEXT, sequence + 1)
    return sequence


@kernel
def journal_room(journal_address: int) -> int:
    """How many records can be appended before Python has to make room (`Journal.roll`); 0 when the journal has failed.

    For who must append several records or none.
    """
    if load_acquire(journal_address + FAILED) != 0:
        return 0
    journal = journal_at(journal_address)
    room = (journal.end - journal.block) // BLOCK_SIZE * BLOCK_RECORDS - journal.slot
    ready = load_acquire(journal_address + READY)
    return room if ready == 0 else room + (journal.ready_end - ready) // BLOCK_SIZE * BLOCK_RECORDS


@kernel("i8(i8,i8)")
def append_one(journal_address: int, record_address: int) -> int:
    """`journal_append`, from Python."""
    return journal_append(journal_address, record_address)


@kernel("i8(i8,i8,i8)")
def append_many(journal_address: int, records_address: int, count: int) -> int:
    """Append consecutive records; gives how many were appended before the journal was full or failed."""
    for i in range(count):
        if journal_append(journal_address, records_address + i * RECORD_SIZE) <= 0:
            return i
    return count
