"""Whole-store behaviour: limits, memory, bad references, far prices, snapshots."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.book import EMPTY_ASK, EMPTY_BID, BookChange, BookInvariantError, BookStore
from nanotick.core.arena import Arena


def test_orders_queue_first_in_first_out_and_best_prices_follow(make_store):
    book = make_store()
    assert (book.best_price(0, 1), book.best_price(0, -1)) == (EMPTY_BID, EMPTY_ASK)
    assert book.order_add(0, 7, 1, 100, 10) == BookChange.BEST_CHANGED | BookChange.DEPTH_CHANGED
    book.order_add(0, 8, 1, 100, 5)
    assert book.order_add(0, 9, 1, 99, 4) == BookChange.DEPTH_CHANGED
    book.order_add(0, 10, -1, 102, 3)
    assert (book.best_price(0, 1), book.best_qty(0, 1)) == (100, 15)
    slot = book.order_find(0, 8)
    assert (book.queue_orders_ahead(slot), book.queue_qty_ahead(slot)) == (1, 10)
    book.order_reduce(0, 7, 10)
    assert (book.queue_orders_ahead(slot), book.queue_qty_ahead(slot)) == (0, 0)
    book.order_delete(0, 8)
    assert (book.best_price(0, 1), book.best_qty(0, 1)) == (99, 4)
    assert book.order_add(0, 11, 1, 103, 1) & BookChange.CROSSED
    book.check(0)


def test_references_to_nothing_and_impossible_values_change_nothing(make_store):
    book = make_store()
    book.order_add(0, 1, 1, 10, 5)
    before = book.arena.digest()
    assert book.order_delete(0, 2) == BookChange.UNKNOWN_ORDER
    assert book.order_reduce(0, 2, 1) == BookChange.UNKNOWN_ORDER
    assert book.order_modify(0, 2, 10, 1) == BookChange.UNKNOWN_ORDER
    assert book.order_replace(0, 2, 3, 10, 1) == BookChange.UNKNOWN_ORDER
    assert book.order_add(0, 1, 1, 11, 5) == BookChange.BAD_VALUE  # the id rests already
    assert book.order_add(0, 2, 1, 1 << 62, 1) == BookChange.BAD_VALUE
    assert book.order_add(0, 2, 0, 10, 1) == BookChange.BAD_VALUE
    assert book.order_add(0, 2, 1, 10, 0) == BookChange.BAD_VALUE
    assert book.order_add(5, 2, 1, 10, 1) == BookChange.BAD_VALUE
    assert book.order_reduce(0, 1, 0) == BookChange.BAD_VALUE
    assert book.level_set(0, 1, 10, 7) == BookChange.BAD_VALUE  # orders rest there one by one
    assert book.arena.digest() == before


def test_full_order_pool_refuses_and_recovers(make_store):
    book = make_store(max_orders=64)
    for ident in range(64):
        assert not book.order_add(0, ident, 1, ident, 1) & BookChange.FULL
    assert book.order_add(0, 64, 1, 5, 1) == BookChange.FULL
    book.check(0)
    book.order_delete(0, 3)
    assert not book.order_add(0, 64, 1, 5, 1) & BookChange.FULL
    assert book.order_find(0, 64) > 0
    book.check(0)


def test_full_level_pool_refuses_and_recovers(make_store):
    book = make_store(max_levels=16)
    spaced = [64 * i * 1000 for i in range(2000)]  # a leaf each
    changes = [book.level_set(0, 1, price, 1) for price in spaced]
    assert BookChange.FULL in changes
    first = changes.index(BookChange.FULL)
    assert set(changes[first:]) == {BookChange.FULL}
    assert book.side_levels(0, 1) == first
    assert book.level_set(0, 1, -64_000, 0) == BookChange.NOTHING  # removing what is not there needs no room
    book.check(0)
    book.level_set(0, 1, spaced[0], 0)
    assert not book.level_set(0, 1, spaced[-1], 1) & BookChange.FULL
    book.check(0)


def test_far_and_negative_prices_cost_one_leaf_each(make_store):
    book = make_store()
    prices = [-(10**17), -1, 0, 1, 10**6, 10**12, 4 * 10**18]
    for price in prices:
        book.level_set(0, 1, price, 1)
        book.level_set(0, -1, price, 2)
    assert list(book.depth(0, 1, 99)["price"]) == prices[::-1]
    assert list(book.depth(0, -1, 99)["price"]) == prices
    assert book.next_price(0, 1, 10**9) == 10**6
    assert book.next_price(0, -1, 10**9) == 10**12
    book.check(0)
    store = book.regions["store"].view[0]
    assert store["leaf_next"] <= 2 * len(prices) + 1


def test_memory_follows_levels_and_orders_not_instruments(make_store):
    book = make_store(8_000, 100, max_orders=100_000, max_levels=50_000)
    empty = book.used_bytes()
    assert empty < 8_000 * 3 * 64 + (1 << 20)
    rng = np.random.default_rng(1)
    orders = 50_000
    instruments = rng.zipf(1.3, orders) % 8_000
    for ident, (instrument, price) in enumerate(zip(instruments, rng.integers(0, 500, orders), strict=True)):
        book.order_add(int(instrument), ident, 1, 100 * (20_000 + int(price)), 100)
    levels = sum(book.side_levels(i, 1) for i in set(instruments.tolist()))
    assert book.used_bytes() - empty <= orders * 128 + levels * 2_400 + (1 << 20)
    # once everything has left, as much again finds room in what was given back
    for ident, instrument in enumerate(instruments):
        book.order_delete(int(instrument), ident)
    grown = book.used_bytes()
    for ident, instrument in enumerate(instruments):
        book.order_add(int(instrument), orders + ident, 1, 100 * (30_000 + ident % 500), 100)
    assert book.used_bytes() <= 1.4 * grown
    for i in set(instruments.tolist()):
        book.check(i)


@given(
    st.integers(1, 1000),
    st.lists(st.tuples(st.sampled_from([1, -1]), st.integers(-10_000, 10_000), st.integers(1, 9)), max_size=30),
)
def test_prices_off_the_grid_refine_the_ladder_and_lose_nothing(tick, orders):
    arena = Arena(BookStore.reserve(1, 256, 256) + (1 << 20))
    book = BookStore(arena, "book", 1, tick, max_orders=256, max_levels=256)
    kept = {1: {}, -1: {}}
    for ident, (side, price, qty) in enumerate(orders):
        book.order_add(0, ident, side, price, qty)
        kept[side].setdefault(price, []).append((ident, qty))
    book.check(0)
    for side in (1, -1):
        rows = book.depth(0, side, 99)
        assert list(rows["price"]) == sorted(kept[side], key=lambda p: -side * p)
        for price, queue in kept[side].items():
            slot = book.level_head(0, side, price)
            for ident, qty in queue:
                assert (book.order_id(slot), book.order_qty(slot), book.order_price(slot)) == (ident, qty, price)
                slot = book.next_order(slot)
            assert slot == -1


def test_snapshot_restores_the_books_into_another_arena(make_store, tmp_path):
    book = make_store(2, [1, 5])
    for ident in range(300):
        book.order_add(ident % 2, ident * 7, 1 - ident % 3 // 2 * 2, 5 * (ident % 40), 1 + ident)
    book.queue_qty_ahead(book.order_find(0, 0))
    book.arena.snapshot(tmp_path / "books", 9)
    other = make_store(2, [1, 5])
    other.arena.restore(tmp_path / "books")
    for i in range(2):
        other.check(i)
        for side in (1, -1):
            assert (book.depth(i, side, 99) == other.depth(i, side, 99)).all()
    book.order_replace(0, 0, 10**9, 35, 1)
    other.order_replace(0, 0, 10**9, 35, 1)
    assert book.arena.digest() == other.arena.digest()


def test_a_broken_book_is_named(make_store):
    book = make_store()
    book.order_add(0, 1, 1, 10, 5)
    book.regions["orders"].view[book.order_find(0, 1)]["qty"] = 4
    with pytest.raises(BookInvariantError, match="instrument 0: broken invariant: queue qty"):
        book.check(0)


def test_sizes_out_of_range_are_refused_with_what_was_found():
    arena = Arena(1 << 28)
    with pytest.raises(ValueError, match="expected 2 tick sizes and depths, found 1, 2"):
        BookStore(arena, "book", 2, [1])
    with pytest.raises(ValueError, match="instrument 1: tick 0"):
        BookStore(arena, "book", 2, [1, 0])
