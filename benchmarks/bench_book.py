"""Books: ITCH bytes to order-by-order books of a whole day, and events applied to price-level and order books.

A day is timed in pieces of a few milliseconds, each piece by the least processor time it took in five runs, so that
what other programs do to the caches meanwhile counts as little as it can. Memory is committed before the session.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.generate import input_path
from benchmarks.peer import published
from benchmarks.registry import benchmark
from nanotick.book import BookStore, apply_events
from nanotick.book.itch_book import ITCH_BOOKS, build_books
from nanotick.core.arena import Arena
from nanotick.core.kernel import kernel
from nanotick.core.memory import load_be16, load_i64, load_u8, store_i64
from nanotick.core.records import EVENT, Kind

RUNS = 5
PIECE_BYTES = 4 << 20
PIECE_EVENTS = 100_000
MAX_ORDERS, MAX_LEVELS = 1 << 22, 1 << 19


@kernel("i8(i8,i8,i8)")
def walk_frames(source: int, size: int, counts: int) -> int:
    """Hop from length to length and count message types: the floor under anything that reads the file."""
    at, messages = 0, 0
    while at < size:
        counter = counts + 8 * load_u8(source + at + 2)
        store_i64(counter, load_i64(counter) + 1)
        at += load_be16(source + at) + 2
        messages += 1
    return messages


def _books(instruments: int, ticks: int, orders: int, levels: int) -> BookStore:
    arena = Arena(BookStore.reserve(instruments, MAX_ORDERS, MAX_LEVELS) + (1 << 20))
    books = BookStore(arena, "book", instruments, ticks, max_orders=MAX_ORDERS, max_levels=MAX_LEVELS)
    books.prefault(orders, levels)
    return books


def _least(pieces: Callable[[], list[int]]) -> float:
    """Sum over the pieces of a run of each one's least nanoseconds in `RUNS` runs."""
    pieces()
    return float(np.min([pieces() for _ in range(RUNS)], axis=0).sum())


def _itch_ns(name: str, symbols: int, orders: int, levels: int) -> float:
    data = np.fromfile(input_path(name), np.uint8)
    locates = np.full(1 << 16, -1, np.int32)
    locates[1 : symbols + 1] = np.arange(symbols)
    messages = 0

    def pieces() -> list[int]:
        nonlocal messages
        books = _books(symbols, 100, orders, levels)
        counts = np.zeros(1, ITCH_BOOKS)
        spent, at = [], 0
        while at < len(data):
            size = min(PIECE_BYTES, len(data) - at)
            start = time.thread_time_ns()
            read = build_books(books.address, data.ctypes.data + at, size, locates.ctypes.data, 0, counts.ctypes.data)
            spent.append(time.thread_time_ns() - start)
            if read == 0:
                raise AssertionError(f"{name}: no frame at byte {at}")
            at += int(read)
        facts = counts[0]
        if facts["unknown_orders"] or facts["bad_values"] or facts["full"]:
            raise AssertionError(f"{name}: {facts}")
        messages = int(facts["messages"])
        return spent

    return _least(pieces) / messages


@benchmark("itch_walk", "ITCH file walked, message types counted (the floor)", unit="ns/message")
def itch_walk() -> float:
    data = np.fromfile(input_path("itch_10m"), np.uint8)
    messages = 0

    def pieces() -> list[int]:
        nonlocal messages
        counts = np.zeros(256, np.int64)
        start = time.thread_time_ns()
        messages = int(walk_frames(data.ctypes.data, len(data), counts.ctypes.data))
        return [time.thread_time_ns() - start]

    return _least(pieces) / messages


@benchmark(
    "itch_book_100",
    "ITCH bytes to order-by-order books, 100 symbols",
    unit="ns/message",
    peer=published("CppTrader, full book", 141.0),
    reach="<= 24",
)
def itch_book_100() -> float:
    return _itch_ns("itch_10m", 100, 1_000_000, 3_000)


@benchmark(
    "itch_book_8k",
    "ITCH bytes to order-by-order books, 8,000 symbols",
    unit="ns/message",
    peer=published("CppTrader, full book", 343.0),
    reach="<= 40",
)
def itch_book_8k() -> float:
    return _itch_ns("itch_10m_8k", 8_000, 1_500_000, 90_000)


def _event_ns(events: np.ndarray[Any, Any], instruments: int) -> float:
    def pieces() -> list[int]:
        books = _books(instruments, 1, 500_000, 20_000)
        spent = []
        for first in range(0, len(events), PIECE_EVENTS):
            piece = events[first : first + PIECE_EVENTS]
            start = time.thread_time_ns()
            apply_events(books.address, piece.ctypes.data, len(piece), 0)
            spent.append(time.thread_time_ns() - start)
        return spent

    return _least(pieces) / len(events)


@benchmark("level_events", "price-level events applied to a book, from memory", unit="ns/event")
def level_events() -> float:
    events = np.load(input_path("levels"), mmap_mode="r")
    return _event_ns(np.ascontiguousarray(events[events["kind"] == Kind.LEVEL]), 1)


@benchmark("level_events_cached", "price-level events applied to a book, events in the cache", unit="ns/event")
def level_events_cached() -> float:
    events = np.load(input_path("levels"), mmap_mode="r")
    few = np.ascontiguousarray(events[:20_000][events[:20_000]["kind"] == Kind.LEVEL][:4_000])
    books = _books(1, 1, 1_000, 1_000)

    def pieces() -> list[int]:
        start = time.thread_time_ns()
        for _ in range(50):
            apply_events(books.address, few.ctypes.data, len(few), 0)
        return [time.thread_time_ns() - start]

    return _least(pieces) / (50 * len(few))


@benchmark("order_events", "order-by-order events applied to a book, from memory", unit="ns/event")
def order_events() -> float:
    events = np.array(np.load(input_path("orders"), mmap_mode="r"))
    assert events.dtype == EVENT
    return _event_ns(events, int(events["instrument"].max()) + 1)
