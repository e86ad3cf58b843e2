"""Damage and torn writes: every bit, every byte. Found, or provably harmless; never accepted in silence."""

import numpy as np
import pytest

from nanotick.core.journal import Journal, JournalError
from nanotick.core.journal_reader import JournalReader
from nanotick.core.journal_recovery import recover
from nanotick.core.journal_segment import (
    BLOCK_RECORDS,
    BLOCK_SIZE,
    HEADER_SIZE,
    SCAN,
    SPARE_OFFSET,
    scan_at,
    scan_blocks,
    segment_paths,
    slot_offset,
    word_offset,
)
from nanotick.core.kernel import kernel
from nanotick.core.memory import load_u8, store_u8
from nanotick.core.mode import INTERPRET
from tests.core.test_journal import bodies, everything


def make_journal(directory, records: int, blocks: int):
    """One segment of so many blocks with so many records, closed properly; the segment's path."""
    with Journal(directory, HEADER_SIZE + blocks * BLOCK_SIZE, sync_interval_s=None) as journal:
        journal.append_array(bodies(1, records))
    return segment_paths(directory)[0]


def recovered(directory) -> bytes | None:
    """The journal's records after recovery; None when it is refused."""
    try:
        recover(directory)
    except JournalError:
        return None
    return everything(directory)


@kernel("i8(i8,i8,i8,i8,i8)")
def count_accepted_flips(blocks: int, first_bit: int, bits: int, capacity: int, scan_address: int) -> int:
    """Flips each bit in turn; counts those after which the scan finds all records and nothing amiss."""
    scan = scan_at(scan_address)
    scan_blocks(blocks, capacity, 1, scan_address)
    good = scan.good
    accepted = 0
    for bit in range(first_bit, first_bit + bits):
        address = blocks + bit // 8
        before = load_u8(address)
        store_u8(address, before ^ (1 << (bit % 8)))
        damage = scan_blocks(blocks, capacity, 1, scan_address)
        if damage == 0 and scan.good == good and scan.torn == 0 and scan.beyond < 0:
            accepted += 1
        store_u8(address, before)
    return accepted


@pytest.mark.skipif(INTERPRET, reason="half a million scans of 64 KiB need the compiled kernel")
@pytest.mark.parametrize("records", [128 * BLOCK_RECORDS, 100 * BLOCK_RECORDS + 3])
def test_a_flip_of_any_bit_of_a_64_kib_journal_is_noticed(shm_path, records) -> None:
    path = make_journal(shm_path, records, 128)
    data = np.frombuffer(path.read_bytes()[HEADER_SIZE:], np.uint8).copy()
    assert data.size == 65_536
    scan = np.zeros(1, SCAN)
    scan_blocks(int(data.ctypes.data), 128 * BLOCK_RECORDS, 1, int(scan.ctypes.data))
    assert int(scan[0]["good"]) == records
    accepted = count_accepted_flips(int(data.ctypes.data), 0, data.size * 8, 128 * BLOCK_RECORDS, int(scan.ctypes.data))
    assert accepted == 0


def flips_refused_or_harmless(directory, chosen_bits) -> None:
    records = 10  # the second block holds three: a slot that may be torn, unwritten ones, a spare word
    path = make_journal(directory, records, 2)
    original, expected = path.read_bytes(), bodies(1, records).tobytes()
    harmless = set()
    for bit in chosen_bits:
        data = bytearray(original)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        after = recovered(directory)
        if after is not None:
            assert after == expected, f"bit {bit} was accepted in silence"
            assert bit // 8 in range(512, 544) or path.read_bytes() == original, f"bit {bit} was left behind"
            harmless.add(bit // 8)
        path.write_bytes(original)
    # what may be repaired is the slot that comes next, where a killed writer leaves the beginning of a record, and the
    # place of a chain hash that was not finished: both count for nothing until their commit word is stored
    next_slot = slot_offset(records)
    assert harmless <= {*range(next_slot, next_slot + 64), *range(512, 544)}


SMALL_BYTES = HEADER_SIZE + 2 * BLOCK_SIZE
USED_HEADER = (*range(56), *range(504, 560), *range(1024, 1032))


def test_flips_are_refused_by_recovery_or_change_no_record(shm_path) -> None:
    bits = {byte * 8 + byte % 8 for byte in range(HEADER_SIZE if INTERPRET else 0, SMALL_BYTES)}
    if not INTERPRET:
        bits |= {byte * 8 + bit for byte in USED_HEADER for bit in range(8)}
    flips_refused_or_harmless(shm_path, sorted(bits))


@pytest.mark.nightly
def test_a_flip_of_any_bit_of_a_small_journal_is_refused_by_recovery_or_changes_no_record(shm_path) -> None:
    flips_refused_or_harmless(shm_path, range(SMALL_BYTES * 8))


def test_a_write_torn_at_any_byte_of_the_last_three_records_is_cut_or_refused(shm_path) -> None:
    for records in (3, 7, 9, 13, 14):
        directory = shm_path / str(records)
        path = make_journal(directory, records, 3)
        original = path.read_bytes()
        for last in range(records - 2, records + 1):
            index = last - 1
            slot, word = slot_offset(index), word_offset(index)
            # the writer's order: 64 bytes of the record, then its word; nothing after the tear has been written
            for written in range(73):
                data = bytearray(original)
                data[1024:1032] = bytes(8)  # not synced yet
                for later in range(index, records):
                    data[slot_offset(later) : slot_offset(later) + 64] = bytes(64)
                    data[word_offset(later) : word_offset(later) + 8] = bytes(8)
                data[slot : slot + min(written, 64)] = original[slot : slot + min(written, 64)]
                data[word : word + max(0, written - 64)] = original[word : word + max(0, written - 64)]
                path.write_bytes(data)
                after = recovered(directory)
                if written == 72:
                    assert after == bodies(1, last).tobytes()
                elif written <= 64:
                    assert after == bodies(1, last - 1).tobytes()
                    assert path.read_bytes()[slot : slot + 64] == bytes(64)
                else:  # half a commit word: no aligned store can leave that
                    assert after is None
        path.write_bytes(original)


def test_a_good_record_after_a_gap_is_corruption_and_never_skipped(shm_path) -> None:
    path = make_journal(shm_path, 14, 2)
    original = path.read_bytes()
    for gap in range(13):
        data = bytearray(original)
        data[1024:1032] = bytes(8)
        data[slot_offset(gap) : slot_offset(gap) + 64] = bytes(64)
        data[word_offset(gap) : word_offset(gap) + 8] = bytes(8)
        path.write_bytes(data)
        with pytest.raises(JournalError, match=r"record \d+: found (a good record|bytes after record)"):
            recover(shm_path)
        reader = JournalReader(shm_path)
        assert reader.read(100).tobytes() == bodies(1, gap).tobytes()
        reader.close()
        path.write_bytes(original)


def test_a_record_moved_to_another_place_is_refused(shm_path) -> None:
    path = make_journal(shm_path, 14, 2)
    data = bytearray(path.read_bytes())
    data[HEADER_SIZE + BLOCK_SIZE :] = data[HEADER_SIZE : HEADER_SIZE + BLOCK_SIZE]
    path.write_bytes(data)
    with pytest.raises(JournalError, match="record 8: found commit word"):
        recover(shm_path)


def test_files_of_any_length_are_refused_or_read(shm_path) -> None:
    path = make_journal(shm_path, 14, 2)
    original = path.read_bytes()
    for size in (*range(0, HEADER_SIZE, 97), HEADER_SIZE, HEADER_SIZE + BLOCK_SIZE, len(original) - 1):
        path.write_bytes(original[:size])
        assert recovered(shm_path) is None
    path.write_bytes(original + bytes(512))
    assert recovered(shm_path) is None


def test_random_bytes_are_refused(shm_path) -> None:
    random = np.random.default_rng(7)
    path = make_journal(shm_path, 14, 2)
    original = path.read_bytes()
    for _ in range(300):
        data = bytearray(original)
        start = int(random.integers(0, len(data)))
        size = int(random.integers(1, 600))
        noise = random.integers(0, 256, size, np.uint8).tobytes()[: len(data) - start]
        data[start : start + len(noise)] = noise
        path.write_bytes(data)
        after = recovered(shm_path)
        assert after is None or after == bodies(1, 14).tobytes()
    assert SPARE_OFFSET == 504
