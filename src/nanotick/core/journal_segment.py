"""One segment of the journal: its file layout, the commit word of a record, and the scan that tells good from damaged.

A segment is a preallocated file: one header page, then blocks of 512 bytes.

    header   0     identity: magic, version, header size, first sequence, capacity, layouts of EVENT and COMMAND;
                   CRC at 504
             512   chain hash of the segment before (32 bytes) and its commit word; written when that segment closes
             1024  synced mark: (records known durable, CRC) in one 8-byte word; all other bytes are zero
    block    0     7 records of 64 bytes
             448   7 commit words of 8 bytes
             504   zero

A commit word is `72 | CRC-32C << 32` over the sequence number and the record's 64 bytes, 72 being the bytes that the
word vouches for; zero means not written. It is stored last, with release, in one aligned 8-byte store.

Why 7 records and their words share 512 bytes instead of each record being followed by its word: 512 bytes is the unit
a disk writes whole, so what is found after a crash is each block as it was at *some* moment. At no moment does a block
hold a commit word over an unfinished record, so a word that does not match its record is damage, never a torn write,
and the last record is as well protected as the first. Records keep to one cache line each. A sequence number is a
place (first sequence + index): it costs no bytes, and a record moved or copied elsewhere fails its CRC.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np

from nanotick.core.files import sync_directory
from nanotick.core.kernel import kernel
from nanotick.core.memory import crc32c_u64, dtype_digest, load_i64, mul_wrap, record_at, store_release
from nanotick.core.records import COMMAND, EVENT, RECORD_SIZE

MAGIC = b"NTJRNL01"
VERSION = 1
HEADER_SIZE = 4096
BLOCK_SIZE = 512
BLOCK_RECORDS = 7
WORDS_OFFSET = BLOCK_RECORDS * RECORD_SIZE
SPARE_OFFSET = WORDS_OFFSET + BLOCK_RECORDS * 8
CHAIN_OFFSET = 512
CHAIN_SIZE = 32
MARK_OFFSET = 1024
COMMIT_LENGTH = RECORD_SIZE + 8
SUFFIX = ".ntj"
MAX_CAPACITY = (1 << 31) - 1  # records: the synced mark counts them in 32 bits

_IDENTITY = struct.Struct("<8sIIqq12s12s")
_IDENTITY_CRC_OFFSET = 504
_HIGH = 1 << 32
_ONES = 0xFFFFFFFF

BLOCK = np.dtype([("records", EVENT, (BLOCK_RECORDS,)), ("words", "<i8", (BLOCK_RECORDS,)), ("spare", "<i8")])
assert BLOCK.itemsize == BLOCK_SIZE


class JournalError(Exception):
    """The journal cannot be used as asked."""


class JournalCorruptionError(JournalError):
    """Bytes of the journal are not what any crash can leave behind.

    Attributes
    ----------
    segment : Path
    offset : int
        Bytes from the file's start.
    sequence : int
        Record concerned; 0 when the header is.
    found, expected : str
    """

    def __init__(self, segment: Path, offset: int, sequence: int, found: str, expected: str) -> None:
        self.segment, self.offset, self.sequence = segment, offset, sequence
        self.found, self.expected = found, expected
        super().__init__(
            f"{segment}: byte {offset}" + (f", record {sequence}" if sequence else ", header") + f": found {found}, "
            f"expected {expected}; nothing was changed. Keep a copy of the directory, then restore the file from a "
            "second copy, or give up what follows with nanotick.core.journal_recovery.cut(directory, sequence)"
        )


# --- kernels ------------------------------------------------------------------------------------------------------


@kernel("i8(i8,i8)")
def commit_word(sequence: int, record_address: int) -> int:
    """The word that vouches for a record at this sequence number; never zero."""
    crc = crc32c_u64(_ONES, sequence)
    for k in range(8):
        crc = crc32c_u64(crc, load_i64(record_address + 8 * k))
    return mul_wrap(crc ^ _ONES, _HIGH) | COMMIT_LENGTH


@kernel("i8(i8,i8)")
def crc32c_words(address: int, count: int) -> int:
    """CRC-32C (Castagnoli, as in RFC 3720) of `count` 8-byte words."""
    crc = _ONES
    for k in range(count):
        crc = crc32c_u64(crc, load_i64(address + 8 * k))
    return crc ^ _ONES


@kernel("i8(i8,i8)")
def small_word(value: int, salt: int) -> int:
    """`value | CRC << 32` of a value below 2^31: header fields that change in one store."""
    crc = crc32c_u64(crc32c_u64(_ONES, value), salt)
    return mul_wrap(crc ^ _ONES, _HIGH) | value


@kernel("i8(i8,i8)")
def publish_word(address: int, word: int) -> int:
    """Store a word with release."""
    store_release(address, word)
    return 0


class Damage(IntEnum):
    """Why a slot cannot be the work of a crash."""

    NONE = 0
    MISMATCH = 1  # a commit word that is not its record's
    DISORDER = 2  # a record behind an empty slot of the same block
    STRAY = 3  # bytes where nothing was ever written


SCAN = np.dtype(
    [
        ("good", "<i8"),  # records before the first empty slot
        ("damage", "<i8"),  # Damage
        ("damaged", "<i8"),  # index of the damaged slot
        ("word", "<i8"),  # its commit word as found
        ("torn", "<i8"),  # 1: the first empty slot holds the beginning of a record
        ("beyond", "<i8"),  # index of the first slot written in a block after the first gap, -1: none
        ("lost", "<i8"),  # records committed beyond the gap
    ]
)
scan_at = record_at(SCAN, "Scan")


@kernel("i8(i8,i8)")
def or_words(address: int, count: int) -> int:
    """All bits set in `count` 8-byte words: zero when nothing was written there."""
    bits = 0
    for k in range(count):
        bits |= load_i64(address + 8 * k)
    return bits


@kernel("i8(i8,i8,i8,i8)")
def scan_blocks(blocks_address: int, capacity: int, first_sequence: int, scan_address: int) -> int:
    """Classify every slot of a segment into a `SCAN` record; gives the `Damage`, and stops at the first.

    Notes
    -----
    In each block, at whatever moment it was written back: good records, then at most one begun and not committed,
    then zeros. Whether a gap may be followed by a later block's records is for recovery to judge.
    """
    scan = scan_at(scan_address)
    good, beyond, lost, torn, damage, damaged, found = 0, -1, 0, 0, 0, -1, 0
    gap = False
    for b in range(capacity // BLOCK_RECORDS):
        block = blocks_address + b * BLOCK_SIZE
        gap_before = gap
        empty = False
        for j in range(BLOCK_RECORDS):
            i = b * BLOCK_RECORDS + j
            record = block + j * RECORD_SIZE
            word = load_i64(block + WORDS_OFFSET + 8 * j)
            if word != 0:
                if word != commit_word(first_sequence + i, record):
                    damage, damaged, found = 1, i, word
                elif empty:
                    damage, damaged, found = 2, i, word
                elif gap_before:
                    lost += 1
                    if beyond < 0:
                        beyond = i
                else:
                    good += 1
            elif empty:
                if or_words(record, 8) != 0:
                    damage, damaged = 3, i
            else:
                empty = True
                gap = True
                if or_words(record, 8) != 0:
                    if not gap_before:
                        torn = 1
                    elif beyond < 0:
                        beyond = i
            if damage != 0:
                break
        if damage == 0 and load_i64(block + SPARE_OFFSET) != 0:
            damage, damaged = 3, b * BLOCK_RECORDS
        if damage != 0:
            break
    scan.good = good
    scan.damage = damage
    scan.damaged = damaged
    scan.word = found
    scan.torn = torn
    scan.beyond = beyond
    scan.lost = lost
    return damage


# --- the file -----------------------------------------------------------------------------------------------------


def slot_offset(index: int) -> int:
    """Byte offset in the file of the record at this index of its segment."""
    return HEADER_SIZE + index // BLOCK_RECORDS * BLOCK_SIZE + index % BLOCK_RECORDS * RECORD_SIZE


def word_offset(index: int) -> int:
    """Byte offset in the file of the commit word of the record at this index."""
    return HEADER_SIZE + index // BLOCK_RECORDS * BLOCK_SIZE + WORDS_OFFSET + index % BLOCK_RECORDS * 8


def preallocate(handle: int, size: int) -> None:
    """Give a file all its blocks now: a full disk is then an error here and not a SIGBUS in the hot path."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)
        return
    zeros = bytes(1 << 20)
    for offset in range(0, size, len(zeros)):
        os.pwrite(handle, zeros[: min(len(zeros), size - offset)], offset)


class Segment:
    """A mapped segment file.

    Parameters
    ----------
    path : Path
    writable : bool

    Raises
    ------
    JournalCorruptionError
        The header is damaged, or the file's size is not what the header says.
    JournalError
        The header is sound but of another version or of other record layouts.
    """

    def __init__(self, path: Path, writable: bool = False) -> None:
        self.path = path
        with open(path, "r+b" if writable else "rb") as file:
            self.size = os.fstat(file.fileno()).st_size
            if self.size < HEADER_SIZE:
                raise JournalCorruptionError(path, 0, 0, f"{self.size} bytes", f"a header of {HEADER_SIZE} bytes")
            access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
            self.map = mmap.mmap(file.fileno(), self.size, access=access)
        # the array is dropped again: an exported buffer would keep the map from being closed
        self.address = int(np.frombuffer(self.map, np.uint8).ctypes.data)
        self.blocks_address = self.address + HEADER_SIZE
        try:
            self._read_header()
        except BaseException:
            self.map.close()
            raise

    def _read_header(self) -> None:
        header = self.map[:HEADER_SIZE]
        magic, version, header_size, first, capacity, event, command = _IDENTITY.unpack_from(header)
        if magic != MAGIC:
            raise JournalCorruptionError(self.path, 0, 0, repr(magic), repr(MAGIC))
        crc, stored = crc32c_words(self.address, 63), int.from_bytes(header[504:512], "little")
        if crc != stored:
            raise JournalCorruptionError(self.path, 504, 0, f"header CRC {stored:#x}", f"{crc:#x}")
        if version != VERSION or header_size != HEADER_SIZE:
            raise JournalError(f"{self.path}: found journal format {version}, this nanotick reads {VERSION}")
        ours = (dtype_digest(EVENT).encode(), dtype_digest(COMMAND).encode())
        if (event, command) != ours:
            raise JournalError(f"{self.path}: found record layouts {event!r}, {command!r}, expected {ours}")
        size = segment_size(capacity)
        if self.size != size:
            raise JournalCorruptionError(self.path, self.size, 0, f"{self.size} bytes", f"{size} bytes")
        for start, end in ((CHAIN_OFFSET + CHAIN_SIZE + 8, MARK_OFFSET), (MARK_OFFSET + 8, HEADER_SIZE)):
            if any(header[start:end]):
                at = start + next(i for i, byte in enumerate(header[start:end]) if byte)
                raise JournalCorruptionError(self.path, at, 0, f"{header[at]:#04x}", "zero")
        self.first_sequence: int = first
        self.capacity: int = capacity
        self.synced()
        self.chain_before()

    @property
    def end_sequence(self) -> int:
        """Sequence number after the last this segment can hold."""
        return self.first_sequence + self.capacity

    def synced(self) -> int:
        """Records of this segment known to be durable when the mark was written."""
        word = load_i64(self.address + MARK_OFFSET)
        count = word & _ONES
        if word != 0 and (count > self.capacity or word != small_word(count, self.first_sequence)):
            raise JournalCorruptionError(
                self.path, MARK_OFFSET, 0, f"synced mark {word & (1 << 64) - 1:#x}", "a count with its CRC"
            )
        return int(count)

    def set_synced(self, count: int) -> None:
        """Record that the first `count` records are durable."""
        if count:
            publish_word(self.address + MARK_OFFSET, small_word(count, self.first_sequence))

    def chain_before(self) -> bytes:
        """Chain hash of the segment before this one; empty until that segment was closed."""
        address = self.address + CHAIN_OFFSET
        word = load_i64(address + CHAIN_SIZE)
        chain = self.map[CHAIN_OFFSET : CHAIN_OFFSET + CHAIN_SIZE]
        if word == 0:
            return b""  # unfinished bytes before the word are a chain whose writing was cut short
        if word != small_word(CHAIN_SIZE, crc32c_words(address, CHAIN_SIZE // 8)):
            raise JournalCorruptionError(self.path, CHAIN_OFFSET, 0, f"chain hash {chain.hex()}", "one with its CRC")
        return chain

    def set_chain_before(self, chain: bytes) -> None:
        """Tie this segment to the one before it."""
        address = self.address + CHAIN_OFFSET
        self.map[CHAIN_OFFSET : CHAIN_OFFSET + CHAIN_SIZE] = chain
        publish_word(address + CHAIN_SIZE, small_word(CHAIN_SIZE, crc32c_words(address, CHAIN_SIZE // 8)))

    def chain(self) -> bytes:
        """Hash of this segment and, through the chain it carries, of all before it. For a full segment."""
        digest = hashlib.blake2b(digest_size=CHAIN_SIZE)
        digest.update(self.chain_before())
        digest.update(self.map[: _IDENTITY_CRC_OFFSET + 8])
        with memoryview(self.map) as view:
            digest.update(view[HEADER_SIZE:])
        return digest.digest()

    def scan(self) -> Any:
        """Classify all slots; a `SCAN` record."""
        out = np.zeros(1, SCAN)
        scan_blocks(self.blocks_address, self.capacity, self.first_sequence, int(out.ctypes.data))
        return out[0]

    def check_scan(self, scan: Any) -> None:
        """Raise the error that a scan's damage stands for."""
        damage = int(scan["damage"])
        if damage == Damage.NONE:
            return
        index = int(scan["damaged"])
        found = int(scan["word"]) & (1 << 64) - 1
        sequence = self.first_sequence + index
        if damage == Damage.MISMATCH:
            expected = commit_word(sequence, self.address + slot_offset(index)) & (1 << 64) - 1
            raise JournalCorruptionError(
                self.path, word_offset(index), sequence, f"commit word {found:#018x}", f"{expected:#018x} by its record"
            )
        if damage == Damage.DISORDER:
            raise JournalCorruptionError(
                self.path, slot_offset(index), sequence, "a good record behind an empty slot", "no record"
            )
        raise JournalCorruptionError(self.path, slot_offset(index), sequence, "bytes that no append wrote", "zeros")

    def close(self) -> None:
        """Unmap."""
        self.map.close()


def segment_size(capacity: int) -> int:
    """Bytes of a segment file that holds `capacity` records."""
    return HEADER_SIZE + capacity // BLOCK_RECORDS * BLOCK_SIZE


def segment_path(directory: Path, first_sequence: int) -> Path:
    """Where the segment that begins with this sequence number lies."""
    return directory / f"{first_sequence:020d}{SUFFIX}"


def create_segment(directory: Path, first_sequence: int, capacity: int) -> Segment:
    """Make a segment, durable and preallocated, under its final name only once it is whole."""
    if capacity % BLOCK_RECORDS or not 0 < capacity <= MAX_CAPACITY:
        raise ValueError(
            f"segment capacity must be a multiple of {BLOCK_RECORDS} up to {MAX_CAPACITY}, found {capacity}"
        )
    path = segment_path(directory, first_sequence)
    temporary = path.with_suffix(".tmp")
    layouts = (dtype_digest(EVENT).encode(), dtype_digest(COMMAND).encode())
    header = np.zeros(BLOCK_SIZE, np.uint8)
    identity = _IDENTITY.pack(MAGIC, VERSION, HEADER_SIZE, first_sequence, capacity, *layouts)
    header[: len(identity)] = np.frombuffer(identity, np.uint8)
    header[504:] = np.frombuffer(int(crc32c_words(int(header.ctypes.data), 63)).to_bytes(8, "little"), np.uint8)
    handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        preallocate(handle, segment_size(capacity))
        os.pwrite(handle, header.tobytes(), 0)
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(temporary, path)
    sync_directory(directory)
    return Segment(path, writable=True)


def segment_paths(directory: Path) -> list[Path]:
    """The directory's segments, oldest first."""
    return sorted(path for path in directory.glob(f"*{SUFFIX}") if path.stem.isdigit())
