"""The journal in good health: what is appended is read, in order, by anyone, across segments and reopenings."""

import gc
import hashlib
import multiprocessing
import os
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core import journal_sync
from nanotick.core.journal import JOURNAL_FAILED, JOURNAL_FULL, Journal, JournalCorruptionError, JournalError
from nanotick.core.journal_kernel import append_many, append_one
from nanotick.core.journal_reader import JournalReader, inspect, journal_digest
from nanotick.core.journal_recovery import cut, recover
from nanotick.core.journal_segment import BLOCK_SIZE, HEADER_SIZE, segment_paths, slot_offset
from nanotick.core.memory import crc32c_table
from nanotick.core.records import EVENT
from tests.patience import PATIENCE_S

TINY = HEADER_SIZE + 2 * BLOCK_SIZE  # segments of 14 records


def body(sequence: int) -> bytes:
    return hashlib.blake2b(sequence.to_bytes(8, "little"), digest_size=64).digest()


def bodies(first: int, last: int) -> np.ndarray:
    return np.frombuffer(b"".join(body(s) for s in range(first, last + 1)), EVENT)


def everything(directory: Path) -> bytes:
    reader = JournalReader(directory)
    found = b"".join(records.tobytes() for records in reader.batches(100))
    reader.close()
    return found


def open_tiny(directory: Path, **options) -> Journal:
    return Journal(directory, segment_bytes=TINY, sync_interval_s=None, **options)


@given(st.lists(st.lists(st.integers(1, 40), max_size=4), min_size=1, max_size=4), st.integers(1, 4))
def test_what_was_appended_is_read_in_order_across_segments_and_reopenings(make_shm_path, sessions, blocks) -> None:
    directory = make_shm_path()
    last = 0
    for batches in sessions:
        with Journal(directory, HEADER_SIZE + blocks * BLOCK_SIZE, sync_interval_s=None) as journal:
            assert journal.next_sequence == last + 1
            for count in batches:
                assert journal.append_array(bodies(last + 1, last + count)) == last + count
                last += count
            if last:
                assert journal.append(body(last + 1)) == last + 1
                last += 1
    assert everything(directory) == b"".join(body(s) for s in range(1, last + 1))
    report = inspect(directory)
    assert (report.next_sequence, report.damage) == (last + 1, [])


@given(st.integers(1, 60), st.integers(0, 59), st.integers(0, 59))
def test_views_show_the_records_where_they_lie(make_shm_path, count, a, b) -> None:
    directory = make_shm_path()
    first, last = sorted((a % count + 1, b % count + 1))
    with open_tiny(directory) as journal:
        journal.append_array(bodies(1, count))
        reader = JournalReader(directory)
        views = list(reader.view(first, last))
        assert b"".join(view.tobytes() for view in views) == bodies(first, last).tobytes()
        assert all(view.base is not None and not view.flags.writeable for view in views)
        with pytest.raises(JournalError, match="not committed"):
            list(reader.view(1, count + 1))
        reader.close()


def test_commit_word_is_the_standard_crc32c(shm_path) -> None:
    with open_tiny(shm_path) as journal:
        journal.append(body(1))
    crc = 0xFFFFFFFF
    for byte in (1).to_bytes(8, "little") + body(1):
        crc = crc >> 8 ^ crc32c_table()[(crc ^ byte) & 0xFF]
    data = segment_paths(shm_path)[0].read_bytes()
    assert int.from_bytes(data[HEADER_SIZE + 448 : HEADER_SIZE + 456], "little") == (crc ^ 0xFFFFFFFF) << 32 | 72
    check = 0xFFFFFFFF
    for byte in b"123456789":
        check = check >> 8 ^ crc32c_table()[(check ^ byte) & 0xFF]
    assert check ^ 0xFFFFFFFF == 0xE3069283  # the catalogue's check value


def test_a_reader_follows_the_tail_of_a_writer_in_another_thread(shm_path) -> None:
    last = 20_000
    journal = Journal(shm_path, segment_bytes=HEADER_SIZE + 64 * BLOCK_SIZE, sync_interval_s=0.001)
    records = bodies(1, last)

    def write() -> None:
        for start in range(0, last, 100):
            journal.append_array(records[start : start + 100])

    thread = threading.Thread(target=write)
    reader, found = JournalReader(shm_path), b""
    thread.start()
    deadline = time.monotonic() + PATIENCE_S
    while len(found) < last * 64 and time.monotonic() < deadline:
        found += reader.read(1000).tobytes()
    thread.join()
    assert found == records.tobytes()
    assert reader.read().size == 0
    assert journal.sync() == last
    journal.close()
    reader.close()


def test_a_reader_follows_a_writer_in_another_process(shm_path) -> None:
    with open_tiny(shm_path) as journal:
        journal.append_array(bodies(1, 5))
    child = multiprocessing.get_context("fork").Process(target=_append_after_five, args=(shm_path, 200))
    reader, found = JournalReader(shm_path), b""
    child.start()
    deadline = time.monotonic() + PATIENCE_S
    while len(found) < 200 * 64 and time.monotonic() < deadline:
        found += reader.read(64).tobytes()
    child.join()
    reader.close()
    assert found == bodies(1, 200).tobytes()


def _append_after_five(directory: Path, last: int) -> None:
    with Journal(directory, segment_bytes=TINY, sync_interval_s=0.001) as journal:
        for sequence in range(6, last + 1):
            journal.append(body(sequence))


def test_a_second_writer_is_refused(shm_path) -> None:
    with open_tiny(shm_path), pytest.raises(JournalError, match=f"another process \\({os.getpid()}\\)"):
        open_tiny(shm_path)


def test_the_kernel_says_full_and_python_makes_room(shm_path) -> None:
    with open_tiny(shm_path) as journal:
        records = bodies(1, 60)
        address = int(records.ctypes.data)
        assert append_many(journal.address, address, 60) == 28  # the open segment and the prepared one
        assert append_one(journal.address, address) == JOURNAL_FULL
        journal.roll()
        assert append_one(journal.address, address + 28 * 64) == 29
        assert journal.append_array(records[29:]) == 60
    assert everything(shm_path) == records.tobytes()


def test_a_failed_sync_stops_the_journal_for_good(shm_path, monkeypatch) -> None:
    journal = open_tiny(shm_path)
    journal.append(body(1))
    journal.sync()
    journal.append(body(2))

    def fail(segment, size) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(journal_sync, "_msync", fail)
    with pytest.raises(JournalError, match=r"stopped.*Input/output"):
        journal.sync()
    monkeypatch.undo()  # the disk recovers, the journal does not
    with pytest.raises(JournalError, match="stopped"):
        journal.append(body(3))
    with pytest.raises(JournalError, match="stopped"):
        journal.sync()
    assert append_one(journal.address, int(bodies(3, 3).ctypes.data)) == JOURNAL_FAILED
    assert journal.synced_sequence == 1
    journal.close()
    assert everything(shm_path) == bodies(1, 2).tobytes()


def test_a_full_disk_is_known_before_the_segment_is_full(shm_path, monkeypatch) -> None:
    journal = open_tiny(shm_path)

    def refuse(handle, size) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nanotick.core.journal_segment.preallocate", refuse)
    journal.append_array(bodies(1, 15))  # begins the prepared segment
    with pytest.raises(JournalError, match="No space left"):
        journal.append_array(bodies(16, 60))
    assert journal.next_sequence == 29 and isinstance(journal.error, OSError)
    monkeypatch.undo()
    assert journal.append_array(bodies(29, 60)) == 60
    assert journal.error is None
    journal.close()
    assert everything(shm_path) == bodies(1, 60).tobytes()


def test_chain_hashes_tie_closed_segments_and_an_edit_is_found(shm_path) -> None:
    with open_tiny(shm_path) as journal:
        journal.append_array(bodies(1, 50))
    assert all(s.chained for s in inspect(shm_path).segments[1:-1])
    # somebody who can compute CRCs replaces record 3 by another one
    with open_tiny(shm_path / "forged") as journal:
        journal.append_array(bodies(1, 2))
        journal.append(body(99))
        journal.append_array(bodies(4, 14))
    forged = segment_paths(shm_path / "forged")[0].read_bytes()
    original = segment_paths(shm_path)[0]
    data = bytearray(original.read_bytes())
    data[HEADER_SIZE:] = forged[HEADER_SIZE:]
    original.write_bytes(data)
    with pytest.raises(JournalCorruptionError, match="chain hash"):
        recover(shm_path)
    assert any("chain hash" in line for line in inspect(shm_path).damage)


def test_the_digest_depends_on_the_records_and_nothing_else(shm_path) -> None:
    for name, blocks in (("a", 2), ("b", 5)):
        with Journal(shm_path / name, HEADER_SIZE + blocks * BLOCK_SIZE, sync_interval_s=None) as journal:
            journal.append_array(bodies(1, 40))
    digests = {journal_digest(shm_path / name) for name in "ab"}
    assert digests == {hashlib.blake2b(bodies(1, 40).tobytes(), digest_size=32).hexdigest()}
    assert journal_digest(shm_path / "a", 5, 20) == hashlib.blake2b(bodies(5, 20).tobytes(), digest_size=32).hexdigest()


def test_a_missing_segment_is_named(shm_path) -> None:
    with open_tiny(shm_path) as journal:
        journal.append_array(bodies(1, 60))
    segment_paths(shm_path)[1].unlink()
    with pytest.raises(JournalCorruptionError, match="a segment that begins with 15"):
        recover(shm_path)


def test_old_segments_may_be_taken_away(shm_path) -> None:
    with open_tiny(shm_path) as journal:
        journal.append_array(bodies(1, 60))
    segment_paths(shm_path)[0].unlink()
    with open_tiny(shm_path) as journal:
        assert journal.recovery.first_sequence == 15
        assert journal.append(body(61)) == 61
    with pytest.raises(JournalError, match="begins with record 15"):
        JournalReader(shm_path, 3)
    assert everything(shm_path) == bodies(15, 61).tobytes()


def test_damage_names_segment_offset_sequence_found_and_expected_and_a_person_may_cut(shm_path) -> None:
    with open_tiny(shm_path) as journal:
        journal.append_array(bodies(1, 60))
    path = segment_paths(shm_path)[1]
    data = bytearray(path.read_bytes())
    data[slot_offset(8) + 5] ^= 16
    path.write_bytes(data)
    with pytest.raises(JournalCorruptionError, match=r"byte 5064, record 23: found commit word 0x\w+, expected 0x\w+"):
        open_tiny(shm_path)
    reader = JournalReader(shm_path)
    assert reader.read(1000).tobytes() == bodies(1, 22).tobytes()
    with pytest.raises(JournalCorruptionError, match="record 23"):
        reader.read(1000)
    assert path.read_bytes() == data
    cut(shm_path, 23)
    assert path.with_suffix(".lost").read_bytes() == data
    with open_tiny(shm_path) as journal:
        assert journal.append_array(bodies(23, 70)) == 70
    assert everything(shm_path) == bodies(1, 70).tobytes()


def test_segments_that_a_snapshot_stands_for_need_not_be_read(shm_path) -> None:
    with open_tiny(shm_path) as journal:
        journal.append_array(bodies(1, 60))
    path = segment_paths(shm_path)[0]
    data = bytearray(path.read_bytes())
    data[slot_offset(3)] ^= 1
    path.write_bytes(data)
    with pytest.raises(JournalCorruptionError, match="record 4"):
        recover(shm_path)
    with open_tiny(shm_path, verify_from=20) as journal:
        assert journal.append(body(61)) == 61
    with pytest.raises(JournalCorruptionError, match="record 4"):
        open_tiny(shm_path, verify_from=14)
    assert any("record 4" in line for line in inspect(shm_path).damage)


def test_segment_sizes_may_change_between_openings(shm_path) -> None:
    last = 0
    for blocks in (1, 5, 2, 3):
        with Journal(shm_path, HEADER_SIZE + blocks * BLOCK_SIZE, sync_interval_s=None) as journal:
            last = journal.append_array(bodies(last + 1, last + 50))
    assert everything(shm_path) == bodies(1, 200).tobytes()
    assert not inspect(shm_path).damage


def test_a_segment_whose_header_is_damaged_can_be_cut_away(shm_path) -> None:
    with open_tiny(shm_path) as journal:
        journal.append_array(bodies(1, 60))
    path = segment_paths(shm_path)[2]
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)
    with pytest.raises(JournalCorruptionError, match="header CRC"):
        open_tiny(shm_path)
    cut(shm_path, 29)
    with open_tiny(shm_path) as journal:
        assert journal.append(body(29)) == 29
    assert everything(shm_path) == bodies(1, 29).tobytes()


def test_the_threads_of_a_journal_dropped_unclosed_keep_its_memory(tmp_path):
    """They go on writing their marks: into memory that is still theirs."""
    journal = Journal(tmp_path, sync_interval_s=0.001)
    memory = weakref.ref(journal._memory)
    sync = journal._sync
    del journal
    gc.collect()
    assert memory() is not None
    sync.close()
    del sync


def test_the_mark_never_passes_records_of_a_segment_that_filled_up_during_a_sync(shm_path, monkeypatch) -> None:
    """Else it would say that records are durable which are not, and fall back at the next sync."""
    journal = Journal(shm_path, segment_bytes=TINY, sync_interval_s=None)
    capacity = journal.capacity
    journal.append_array(bodies(1, capacity - 1))
    real = journal_sync._msync

    def append_meanwhile(segment, size) -> None:
        real(segment, size)
        if journal.next_sequence == capacity:
            journal.append_array(bodies(1, 3))  # fills this segment and begins the next

    monkeypatch.setattr(journal_sync, "_msync", append_meanwhile)
    assert journal.sync() == capacity - 1
    assert journal.next_sequence == capacity + 3
    assert journal.sync() == capacity + 2
    journal.close()
