"""What runs beside the journal's writer: group sync, the synced mark, chain hashes, and the room ahead.

One thread syncs what was appended (one `msync` a segment), advances the watermark, and closes segments that are full
and durable by writing their chain hash into the next one's header. Another goes ahead of the writer: it makes the next
segment when the last one made has been begun, and touches the pages to be written next. The writer waits for neither.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from nanotick.core.journal_kernel import FAILED, NEXT, READY, SYNCED, journal_at
from nanotick.core.journal_segment import BLOCK_RECORDS, BLOCK_SIZE, HEADER_SIZE, Segment, create_segment
from nanotick.core.kernel import kernel
from nanotick.core.memory import compare_exchange, load_acquire, store_release

AHEAD_INTERVAL_S = 0.002
TOUCH_AHEAD_BYTES = 8 << 20  # 14 ms of eight million records a second: seven rounds
_LIBC = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
_MS_SYNC = 0x10 if sys.platform == "darwin" else 4


@kernel("i8(i8,i8,i8)")
def touch_pages(address: int, size: int, page: int) -> int:
    """Fault pages in for writing, harmless beside a writer: a word is exchanged for itself, or left alone."""
    for offset in range(0, size, page):
        # an addition of zero would not do: the compiler makes a mere load of it
        word = load_acquire(address + offset)
        compare_exchange(address + offset, word, word)
    return size


def _msync(segment: Segment, size: int) -> None:
    """Make the first `size` bytes of a segment durable; the interpreter's lock is free meanwhile."""
    if _LIBC is None:
        segment.map.flush(0, size)
    elif _LIBC.msync(ctypes.c_void_p(segment.address), ctypes.c_size_t(size), _MS_SYNC) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(segment.path))


class SegmentSync:
    """Keeps the segments of one open journal.

    Parameters
    ----------
    journal_address : int
        The `JOURNAL` record.
    directory : Path
    capacity : int
        Records of a new segment.
    segments : list of Segment
        The one being written and, if it exists, the one prepared after it.
    memory : object
        Owner of the record's memory: the threads outlive a journal that was dropped without being closed.
    """

    def __init__(
        self, journal_address: int, directory: Path, capacity: int, segments: list[Segment], memory: object
    ) -> None:
        self.error: OSError | None = None
        self._memory = memory
        self._address = journal_address
        self._state = journal_at(journal_address)
        self._directory = directory
        self._capacity = capacity
        self._segments = segments
        self._synced = {s.first_sequence: self._committed(s) for s in segments}
        self._touched: dict[int, int] = {}  # first sequence: address up to which pages are in
        self._preparing = threading.Lock()
        self._syncing = threading.Lock()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def _committed(self, segment: Segment) -> int:
        appended = load_acquire(self._address + NEXT) - segment.first_sequence
        return max(0, min(segment.capacity, int(appended)))

    def start(self, interval_s: float) -> None:
        """Work in two threads, for a slow sync must not keep the writer without pages."""
        for work, pause_s in ((self._go_ahead, AHEAD_INTERVAL_S), (self.sync, interval_s)):
            thread = threading.Thread(target=self._repeat, args=(work, pause_s), name="journal", daemon=True)
            thread.start()
            self._threads.append(thread)

    def _repeat(self, work: Callable[[], None], pause_s: float) -> None:
        while not self._stop.wait(pause_s):
            work()

    def _go_ahead(self) -> None:
        self.prepare()
        self.touch()

    def prepare(self) -> None:
        """Make the next segment, unless one is ready. A disk that refuses is remembered in `error` and tried again."""
        with self._preparing:
            if load_acquire(self._address + READY) != 0 or load_acquire(self._address + FAILED) != 0:
                return
            try:
                segment = create_segment(self._directory, self._segments[-1].end_sequence, self._capacity)
            except OSError as error:
                self.error = error
                return
            self.error = None
            self._segments.append(segment)
            self._state.ready_end = segment.address + segment.size
            store_release(self._address + READY, segment.blocks_address)

    def touch(self) -> None:
        """Fault in the pages that the writer comes to next."""
        with self._preparing:
            budget = TOUCH_AHEAD_BYTES
            for segment in self._segments:
                used = self._committed(segment)
                if used == segment.capacity:
                    continue
                start = segment.blocks_address + used // BLOCK_RECORDS * BLOCK_SIZE
                end = min(start + budget, segment.address + segment.size)
                fresh = max(start, self._touched.get(segment.first_sequence, 0))
                if fresh < end:
                    touch_pages(fresh, end - fresh, mmap.PAGESIZE)
                    self._touched[segment.first_sequence] = end
                budget -= end - start
                if budget <= 0:
                    return

    def sync(self) -> None:
        """Make durable what was appended before the call."""
        with self._syncing:
            if load_acquire(self._address + FAILED) != 0:
                return
            # read once: a segment that fills up behind this pass must not be passed by the mark of the one after it
            appended = load_acquire(self._address + NEXT) - 1
            try:
                for segment in list(self._segments):
                    self._sync_segment(segment, appended)
                while len(self._segments) > 1 and self._is_done(self._segments[0]):
                    self._close_segment(self._segments[0], self._segments[1])
            except OSError as error:
                self.error = error
                store_release(self._address + FAILED, 1)

    def _sync_segment(self, segment: Segment, appended: int) -> None:
        count = min(segment.capacity, appended + 1 - segment.first_sequence)
        if count <= self._synced.get(segment.first_sequence, 0):
            return
        _msync(segment, HEADER_SIZE + -(-count // BLOCK_RECORDS) * BLOCK_SIZE)
        self._synced[segment.first_sequence] = count
        segment.set_synced(count)  # durable with the next sync: it never says more than is true
        store_release(self._address + SYNCED, segment.first_sequence + count - 1)

    def _is_done(self, segment: Segment) -> bool:
        return self._synced.get(segment.first_sequence, 0) == segment.capacity

    def _close_segment(self, segment: Segment, following: Segment) -> None:
        following.set_chain_before(segment.chain())
        _msync(segment, HEADER_SIZE)
        with self._preparing:
            self._segments.remove(segment)
            self._touched.pop(segment.first_sequence, None)
            segment.close()
        del self._synced[segment.first_sequence]

    def close(self) -> None:
        """Stop the thread, sync once more and unmap."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self.sync()
        if self.error is None and self._segments:
            try:
                for segment in self._segments:
                    _msync(segment, HEADER_SIZE)  # the last synced mark
            except OSError as error:
                self.error = error
        store_release(self._address + FAILED, 1)  # a kernel that still held the address must not write
        for segment in self._segments:
            segment.close()
        self._segments.clear()
