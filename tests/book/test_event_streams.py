"""Events and bytes into books: interpreted equals compiled, any input leaves books sound, bytes equal events."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanotick.book import BookChange, BookStore, apply_events
from nanotick.book.itch_book import ITCH_BOOKS, build_books
from nanotick.core.arena import Arena
from nanotick.core.records import EVENT, Flag, Kind
from nanotick.wire.itch import SIZES
from nanotick.wire.itch_events import ITCH_DECODER, decode_frames
from tests.book.event_streams import INSTRUMENTS, make_books, random_events, random_itch, stream_digest

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def locate_table(symbols=INSTRUMENTS):
    table = np.full(1 << 16, -2, np.int32)
    table[1 : symbols + 1] = np.arange(symbols)
    return table


def decode(data, table, midnight=0):
    frames = np.frombuffer(data, np.uint8)
    events, counts = np.zeros(len(data) // 14 + 1, EVENT), np.zeros(256, np.int64)
    stocks = np.zeros(256, np.uint8)
    state = np.zeros(1, ITCH_DECODER)
    state["source_address"], state["size"] = frames.ctypes.data, len(frames)
    state["events_address"], state["capacity"] = events.ctypes.data, len(events)
    state["locates_address"], state["counts_address"] = table.ctypes.data, counts.ctypes.data
    state["sizes_address"], state["stocks_address"] = SIZES.ctypes.data, stocks.ctypes.data
    state["midnight"] = midnight
    decode_frames(state.ctypes.data)
    return events[: int(state["count"][0])], int(state["at"][0])


def build(books, data, table, midnight=0):
    frames, counts = np.frombuffer(data, np.uint8), np.zeros(1, ITCH_BOOKS)
    read = build_books(books.address, frames.ctypes.data, len(frames), table.ctypes.data, midnight, counts.ctypes.data)
    return int(read), counts[0]


@pytest.mark.parametrize("seed", [1, 2])
def test_interpreted_books_equal_compiled_books(seed):
    environment = {**os.environ, "NANOTICK_INTERPRET": "1", "PYTHONPATH": f"{SOURCE}/src{os.pathsep}{SOURCE}"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.book.event_streams", str(seed), "3000"],
        env=environment, cwd=SOURCE, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == stream_digest(seed, 3000)


@given(st.integers(0, 2**32))
@settings(max_examples=25)
def test_no_event_breaks_a_book(seed):
    _, books = make_books(orders=64, levels=16)  # pools that run full
    events = random_events(seed, 400)
    apply_events(books.address, events.ctypes.data, len(events), 0)
    for i in range(INSTRUMENTS):
        books.check(i)


def test_events_that_are_not_the_books_change_nothing():
    arena, books = make_books()
    before = arena.digest()
    events = np.zeros(3, EVENT)
    events["kind"] = [Kind.TRADE, Kind.STATUS, Kind.FILL]
    changes = np.full(3, 9)
    assert apply_events(books.address, events.ctypes.data, 3, changes.ctypes.data) == 0
    assert changes.tolist() == [0, 0, 0]
    assert arena.digest() == before


def test_an_execution_of_hidden_quantity_leaves_the_displayed_order_alone():
    _, books = make_books()
    books.order_add(0, 5, 1, 10, 100)
    event = np.zeros(1, EVENT)
    event["kind"], event["id"], event["qty"], event["flags"] = Kind.EXECUTE, 5, 30, Flag.HIDDEN
    assert apply_events(books.address, event.ctypes.data, 1, 0) == 0
    event["flags"] = 0
    assert apply_events(books.address, event.ctypes.data, 1, 0) & BookChange.DEPTH_CHANGED
    assert books.level_qty(0, 1, 10) == 70


@pytest.mark.parametrize("seed", range(5))
def test_books_from_itch_bytes_equal_books_from_itch_events(seed):
    data, table, midnight = random_itch(seed, 4_000), locate_table(), 1_500_000_000 * 10**9
    fused_arena, fused = make_books(ticks=100)
    read, counts = build(fused, data, table, midnight)
    events, decoded = decode(data, table, midnight)
    assert read == decoded == len(data)
    arena, books = make_books(ticks=100)
    changes = np.zeros(len(events), np.int64)
    apply_events(books.address, events.ctypes.data, len(events), changes.ctypes.data)
    assert fused_arena.digest() == arena.digest()
    assert counts["unknown_orders"] == ((changes & BookChange.UNKNOWN_ORDER) != 0).sum() > 0
    assert counts["bad_values"] == ((changes & BookChange.BAD_VALUE) != 0).sum() > 0
    for i in range(INSTRUMENTS):
        fused.check(i)
        assert fused.side_levels(i, 1) > 0


def test_books_from_bytes_in_pieces_equal_books_from_all_at_once():
    data, table = random_itch(7, 2_000), locate_table()
    arena, books = make_books(ticks=100)
    build(books, data, table)
    pieces_arena, pieces = make_books(ticks=100)
    at = 0
    for step in (1, 50, 3_000, 20_000, len(data)):
        end = min(len(data), at + step)
        at += build(pieces, data[at:end], table)[0]
    assert at == len(data)
    assert pieces_arena.digest() == arena.digest()


def test_looking_ahead_to_many_books_changes_nothing():
    data, table = random_itch(11, 3_000, symbols=600), locate_table(600)
    fused_arena, fused = make_books(600, 100)
    build(fused, data, table)
    events, _ = decode(data, table)
    arena, books = make_books(600, 100)
    apply_events(books.address, events.ctypes.data, len(events), 0)
    assert fused_arena.digest() == arena.digest()


@given(st.integers(0, 2**32), st.data())
@settings(max_examples=25)
def test_no_bytes_break_a_book(seed, data):
    frames = bytearray(random_itch(seed, 150))
    for _ in range(data.draw(st.integers(0, 8))):
        frames[data.draw(st.integers(0, len(frames) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(frames)))
    _, books = make_books(ticks=100, orders=64, levels=64)
    read, counts = build(books, bytes(frames[:cut]), locate_table())
    assert 0 <= read <= cut
    assert counts["messages"] >= counts["book_messages"] >= 0
    for i in range(INSTRUMENTS):
        books.check(i)


def test_books_of_a_real_itch_stream_never_cross_and_execute_at_the_best(shared_data):
    import lzma

    data = lzma.open(shared_data / "us_exchange_feeds/nasdaq_itch/AAPL_20191230_0935_50k.itch50.xz").read()
    table = locate_table(0)
    table[:] = 0
    events, read = decode(data, table)
    assert read == len(data)
    arena = Arena(BookStore.reserve(1, 1 << 16, 1 << 14) + (1 << 20))
    books = BookStore(arena, "book", 1, 100, max_orders=1 << 16, max_levels=1 << 14)
    crossed = states = at_best = executions = unknown = messages = 0
    orphans: set[int] = set()
    one = np.zeros(1, EVENT)
    for event in events:
        if event["kind"] == Kind.EXECUTE:
            slot = books.order_find(0, int(event["id"]))
            if slot > 0:
                executions += 1
                side = books.order_side(slot)
                at_best += books.order_price(slot) == books.best_price(0, side)
        one[0] = event
        change = int(apply_events(books.address, one.ctypes.data, 1, 0))
        if change & BookChange.UNKNOWN_ORDER:
            # orders older than the slice; not counted again under the ids that replaced them
            unknown += int(event["id"]) not in orphans
            orphans.add(int(event["word"]) if event["kind"] == Kind.REPLACE else 0)
        messages += 1
        if messages > 2_000 and books.side_levels(0, 1) and books.side_levels(0, -1):
            states += 1
            crossed += books.best_price(0, 1) >= books.best_price(0, -1)
    books.check(0)
    assert (crossed, states) == (0, 47_947)
    assert at_best == executions == 1_622 + 4  # E, and C: with a price of their own
    assert unknown == 3_904
