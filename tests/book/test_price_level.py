"""The price-level book against dictionaries: absolute levels, bounded depth, streams of different age fused."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nanotick.book import EMPTY_ASK, EMPTY_BID, BookChange, BookStore
from nanotick.core.arena import Arena
from tests.book.references import LevelReference

SIDES = st.sampled_from([1, -1])
PRICES = st.one_of(st.integers(-30, 30), st.integers(-30, 30).map(lambda p: p * 10**9))
QTYS = st.sampled_from([0, 1, 2, 90])
AGES = st.sampled_from([0, 0, 0, 1, 7, 40, None])  # None: no stamp


class FusedBookMachine(RuleBasedStateMachine):
    max_depth = 0

    def __init__(self):
        super().__init__()
        arena = Arena(BookStore.reserve(1, 64, 512) + (1 << 20))
        self.book = BookStore(arena, "book", 1, 1, max_orders=64, max_levels=512, max_depth=self.max_depth)
        self.reference = LevelReference(self.max_depth)
        self.now = 1000

    def stamp(self, age):
        self.now += 1
        return 0 if age is None else self.now - age

    @rule(side=SIDES, price=PRICES, qty=QTYS, age=AGES)
    def level(self, side, price, qty, age):
        ts = self.stamp(age)
        before = self.reference.rows(side)
        change = self.book.level_set(0, side, price, qty, 1, ts)
        self.reference.set(side, price, qty, ts)
        after = self.reference.rows(side)
        assert bool(change & BookChange.DEPTH_CHANGED) == (before != after)
        assert bool(change & BookChange.BEST_CHANGED) == (before[:1] != after[:1])

    @rule(bid=PRICES, bid_qty=QTYS, ask=PRICES, ask_qty=QTYS, age=AGES)
    def quote(self, bid, bid_qty, ask, ask_qty, age):
        ts = self.stamp(age)
        change = self.book.quote_set(0, bid, bid_qty, ask, ask_qty, ts)
        self.reference.quote(1, bid, bid_qty, ts)
        self.reference.quote(-1, ask, ask_qty, ts)
        bids, asks = self.reference.rows(1), self.reference.rows(-1)
        if change & BookChange.CROSSED:
            assert bids[0][0] > asks[0][0]

    @rule(side=st.integers(-1, 1))
    def clear(self, side):
        self.book.clear(0, side)
        self.reference.clear(side)

    @invariant()
    def same_book(self):
        self.book.check(0)
        for side in (1, -1):
            rows = self.reference.rows(side)
            assert [tuple(row) for row in self.book.depth(0, side, 10**6).tolist()] == rows
            assert self.book.best_price(0, side) == (rows[0][0] if rows else (EMPTY_BID, EMPTY_ASK)[side < 0])
            assert self.book.best_qty(0, side) == (rows[0][1] if rows else 0)


class BoundedBookMachine(FusedBookMachine):
    max_depth = 3

    quote: Any = None  # bounded feeds have no separate best bid and offer


TestFusedBook = FusedBookMachine.TestCase
TestFusedBook.settings = settings(max_examples=60, stateful_step_count=50)
TestBoundedBook = BoundedBookMachine.TestCase
TestBoundedBook.settings = settings(max_examples=30, stateful_step_count=40)


@given(st.lists(st.tuples(SIDES, st.integers(-9, 9), st.integers(-20, 20), st.integers(-2, 2)), max_size=40))
def test_differences_add_up_and_never_go_below_zero(steps):
    arena = Arena(BookStore.reserve(1, 64, 64) + (1 << 20))
    book = BookStore(arena, "book", 1, 1, max_orders=64, max_levels=64)
    kept = {}
    for side, price, qty, orders in steps:
        total = kept.get((side, price), (0, 0))[0] + qty
        number = max(0, kept.get((side, price), (0, 0))[1] + orders)
        change = book.level_add(0, side, price, qty, orders)
        assert bool(change & BookChange.BAD_VALUE) == (total < 0)
        kept[side, price] = (total, number) if total > 0 else (0, 0)
    book.check(0)
    for (side, price), (qty, number) in kept.items():
        assert (book.level_qty(0, side, price), book.level_orders(0, side, price)) == (qty, number)


def test_a_newer_best_bid_removes_stale_better_levels_and_refuses_their_late_news(make_store):
    book = make_store()
    book.level_set(0, 1, 100, 5, 1, ts=10)
    book.level_set(0, 1, 99, 5, 1, ts=10)
    book.level_set(0, 1, 101, 5, 1, ts=30)
    book.quote_set(0, 99, 7, 105, 1, ts=20)
    assert [tuple(r) for r in book.depth(0, 1, 9).tolist()] == [(101, 5), (99, 7)]  # 101 is newer than the quote
    assert book.level_set(0, 1, 100, 4, 1, ts=15) == BookChange.NOTHING
    assert book.level_set(0, 1, 99, 4, 1, ts=15) == BookChange.NOTHING
    assert book.level_set(0, 1, 98, 4, 1, ts=15) == BookChange.DEPTH_CHANGED  # the quote says nothing of what is worse
    assert book.level_set(0, 1, 100, 4, 1, ts=25) & BookChange.DEPTH_CHANGED


def test_quotes_alone_keep_one_level_a_side(make_store):
    book = make_store()
    for n, (bid, ask) in enumerate([(100, 102), (101, 103), (99, 101), (95, 110)]):
        book.quote_set(0, bid, 1 + n, ask, 2 + n, ts=n + 1)
        assert [tuple(r) for r in book.depth(0, 1, 9).tolist()] == [(bid, 1 + n)]
        assert [tuple(r) for r in book.depth(0, -1, 9).tolist()] == [(ask, 2 + n)]


def test_crossed_input_is_kept_and_reported(make_store):
    book = make_store()
    book.level_set(0, -1, 100, 1)
    assert not book.level_set(0, 1, 100, 1) & BookChange.CROSSED  # locked is not crossed
    assert book.level_set(0, 1, 101, 1) & BookChange.CROSSED
    assert (book.best_price(0, 1), book.best_price(0, -1)) == (101, 100)
