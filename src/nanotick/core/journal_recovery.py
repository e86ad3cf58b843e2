"""Recovery: what a directory of segments holds after a crash, and the cut that makes it fit to append to.

Two kinds of crash are told apart, because they can leave different things behind.

A killed process loses nothing that it stored: the page cache survives. Then the records end at one place, perhaps with
one begun and not committed, and all after it is zero. Anything else is damage.

A lost machine (power, kernel) keeps, of the 512-byte blocks written since the last sync, any subset, each as it was at
some moment. Then a gap may be followed by records that reached the disk by chance; they are cut too, because what
stands before them is gone. But never before the synced mark: a gap there is damage. Which kind it was is read from the
`writer` file, which names the boot the last writer ran in.

Damage raises `JournalCorruptionError` and changes nothing. No segment file is ever used twice, so nothing can be stale:
every byte after the end must be zero, and is made so before the first append.
"""

from __future__ import annotations

import itertools
import mmap
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from nanotick.core.files import sync_directory
from nanotick.core.journal_segment import (
    BLOCK_RECORDS,
    BLOCK_SIZE,
    CHAIN_OFFSET,
    HEADER_SIZE,
    MARK_OFFSET,
    WORDS_OFFSET,
    JournalCorruptionError,
    JournalError,
    Segment,
    create_segment,
    or_words,
    segment_paths,
    slot_offset,
)
from nanotick.core.memory import clear_bytes
from nanotick.core.records import RECORD_SIZE

WRITER_FILE = "writer"
LOST_SUFFIX = ".lost"


@dataclass(frozen=True)
class Recovery:
    """What recovery found.

    Attributes
    ----------
    first_sequence : int
        Oldest record kept; equal to `next_sequence` when there is none.
    next_sequence : int
        Number the next record will have.
    synced_sequence : int
        Last record known durable before recovery, by the marks.
    torn : bool
        A record had been begun and not committed; it was cleared.
    lost : int
        Committed records given up because a gap stood before them (power loss only); kept in `*.lost` files.
    power_lost : bool
        Whether the machine has been restarted since the last writer.
    segments : list of Path
    """

    first_sequence: int
    next_sequence: int
    synced_sequence: int
    torn: bool
    lost: int
    power_lost: bool
    segments: list[Path]


def boot_id() -> str:
    """Name of this boot of the machine; empty where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def machine_restarted(directory: Path) -> bool:
    """Whether the last writer ran in another boot. Unknown counts as no: then a gap is damage, and a person decides."""
    try:
        return (directory / WRITER_FILE).read_text().split()[0] not in ("-", boot_id())
    except (OSError, IndexError):
        return False


def recover(directory: Path, power_lost: bool | None = None, verify_from: int = 0) -> Recovery:
    """Find the end of the journal and clear what lies beyond it.

    Parameters
    ----------
    directory : Path
    power_lost : bool, optional
        Whether gaps beyond the synced mark may be explained by a lost machine; found out when left out.
    verify_from : int
        Closed segments that end before this sequence number are not read (a snapshot stands for them). The chain is
        checked from there on.

    Raises
    ------
    JournalCorruptionError
        The bytes are not what a crash leaves. Nothing has been changed.
    """
    if power_lost is None:
        power_lost = machine_restarted(directory)
    segments = _open_all(directory)
    try:
        return _recover(directory, segments, power_lost, verify_from)
    finally:
        for segment in segments:
            segment.close()


def _open_all(directory: Path) -> list[Segment]:
    segments: list[Segment] = []
    try:
        for path in segment_paths(directory):
            segment = Segment(path, writable=True)
            segments.append(segment)
            named = int(path.stem)
            if segment.first_sequence != named:
                raise JournalCorruptionError(
                    path, 16, 0, f"first sequence {segment.first_sequence}", f"{named} by name"
                )
            if len(segments) > 1 and segments[-2].end_sequence != named:
                expected = f"a segment that begins with {segments[-2].end_sequence}"
                raise JournalCorruptionError(path, 16, 0, f"first sequence {named}", expected)
    except BaseException:
        for segment in segments:
            segment.close()
        raise
    return segments


def _recover(directory: Path, segments: list[Segment], power_lost: bool, verify_from: int) -> Recovery:
    if not segments:
        return Recovery(1, 1, 0, False, 0, power_lost, [])
    end: int | None = None  # the first missing record, once a segment is found not full
    synced = segments[0].first_sequence - 1
    torn, clear, lost, cut_segment = False, False, 0, None
    beyond: list[Segment] = []
    checked: list[Segment] = []
    for segment in segments:
        if segment.end_sequence <= verify_from and segment is not segments[-1]:
            synced = segment.end_sequence - 1
            continue
        scan = segment.scan()
        segment.check_scan(scan)
        good, mark = int(scan["good"]), segment.synced()
        dirty = bool(good or scan["lost"] or scan["torn"] or scan["beyond"] >= 0)
        if end is None:
            checked.append(segment)
            if good < segment.capacity:
                end, cut_segment, torn = segment.first_sequence + good, segment, bool(scan["torn"])
                dirty = bool(scan["beyond"] >= 0)
                clear = torn or dirty
                lost += int(scan["lost"])
        else:
            lost += int(scan["lost"]) + good
            if segment.chain_before():
                found = f"the chain hash of a segment that ends before its record {end}"
                raise JournalCorruptionError(segment.path, CHAIN_OFFSET, 0, found, "zeros")
        first_beyond = int(scan["beyond"]) if segment is cut_segment else 0
        if mark and end is not None and segment.first_sequence + mark > end:
            index = end - segment.first_sequence if segment is cut_segment else 0
            raise JournalCorruptionError(
                segment.path,
                slot_offset(index),
                end,
                "no record",
                f"one, for {segment.first_sequence + mark - 1} is synced",
            )
        if mark:
            synced = segment.first_sequence + mark - 1
        if end is not None and dirty:
            if not power_lost:
                raise JournalCorruptionError(
                    segment.path,
                    slot_offset(first_beyond),
                    segment.first_sequence + first_beyond,
                    f"bytes after record {end - 1}, the last before a gap",
                    "zeros, as the machine has not been restarted since they were written",
                )
            if segment is not cut_segment:
                beyond.append(segment)
    _check_chain(checked)
    if end is None:
        end = segments[-1].end_sequence
    after_cut = [segment for segment in segments if segment.first_sequence > end] if beyond else []
    for segment in reversed(after_cut):  # the newest first: a crash meanwhile leaves no segment missing in between
        if segment in beyond:
            os.replace(segment.path, segment.path.with_suffix(LOST_SUFFIX))
        else:
            segment.path.unlink()
    if cut_segment is not None and clear:
        if lost:
            shutil.copyfile(cut_segment.path, cut_segment.path.with_suffix(LOST_SUFFIX))
        _clear_from(cut_segment, end)
    if beyond or clear:
        sync_directory(directory)
    for segment in checked:  # what a killed writer left in the page cache becomes durable before anything builds on it
        good = min(end, segment.end_sequence) - segment.first_sequence
        if segment.synced() < good:
            segment.map.flush()
            segment.set_synced(good)
    kept = [segment.path for segment in segments if segment not in after_cut]
    return Recovery(segments[0].first_sequence, end, synced, torn, lost, power_lost, kept)


def _check_chain(segments: list[Segment]) -> None:
    """Every chain hash present must be right; only the newest may be missing, for they are written after the fact."""
    missing: Segment | None = None
    for before, segment in itertools.pairwise(segments):
        found = segment.chain_before()
        if not found:
            missing = missing or segment
            continue
        if missing is not None:
            raise JournalCorruptionError(
                missing.path, CHAIN_OFFSET, 0, "no chain hash", "one, as later segments have theirs"
            )
        expected = before.chain()
        if found != expected:
            raise JournalCorruptionError(
                segment.path, CHAIN_OFFSET, 0, f"chain hash {found.hex()}", f"{expected.hex()} of {before.path.name}"
            )
    for before, segment in itertools.pairwise(segments):
        if not segment.chain_before():
            segment.set_chain_before(before.chain())


def _clear_from(segment: Segment, sequence: int) -> None:
    """Zero every slot from this record on, durably."""
    block_number, slot = divmod(sequence - segment.first_sequence, BLOCK_RECORDS)
    block = segment.blocks_address + block_number * BLOCK_SIZE
    end = segment.address + segment.size
    clear_bytes(block + slot * RECORD_SIZE, (BLOCK_RECORDS - slot) * RECORD_SIZE)
    clear_bytes(block + WORDS_OFFSET + slot * 8, BLOCK_SIZE - WORDS_OFFSET - slot * 8)
    for address in range(block + BLOCK_SIZE, end, mmap.PAGESIZE):
        size = min(mmap.PAGESIZE, end - address)
        if or_words(address, size // 8):  # a fresh page must not be written just to be zero again
            clear_bytes(address, size)
    segment.map.flush()


def cut(directory: Path, sequence: int) -> None:
    """Give up this record and all after it, whatever state they are in: a person's decision after damage.

    The files concerned are kept beside the journal with the suffix `.lost`.

    Raises
    ------
    JournalError
        No segment holds this sequence number.
    """
    for path in reversed(segment_paths(directory)):
        first, size = int(path.stem), path.stat().st_size
        blocks = (size - HEADER_SIZE) // BLOCK_SIZE
        kept = path.with_suffix(LOST_SUFFIX)
        if sequence >= first + blocks * BLOCK_RECORDS:
            break
        if first >= sequence:
            os.replace(path, kept)
            if first == sequence:
                create_segment(directory, first, blocks * BLOCK_RECORDS).close()
                return
            continue
        shutil.copyfile(path, kept)
        with open(path, "r+b") as file:
            file.seek(MARK_OFFSET)
            file.write(bytes(8))  # what it says of records now given up would be called damage
        segment = Segment(path, writable=True)
        _clear_from(segment, sequence)
        segment.close()
        sync_directory(directory)
        return
    raise JournalError(f"{directory}: no segment holds record {sequence}")
