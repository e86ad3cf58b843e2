"""The order-by-order book against dictionaries and lists, step by step."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nanotick.book import EMPTY_ASK, EMPTY_BID, BookChange, BookStore
from nanotick.core.arena import Arena
from tests.book.references import OrderReference

SIDES = st.sampled_from([1, -1])
PRICES = st.one_of(st.integers(-40, 40), st.integers(-(10**6), 10**6), st.integers(-(10**17), 10**17))
QTYS = st.integers(1, 50)
# near-sequential ids, ids that collide in their low bits, and anything
IDS = st.one_of(st.integers(0, 300), st.integers(0, 300).map(lambda n: n << 20), st.integers(-(1 << 63), (1 << 63) - 1))
REFUSED = BookChange.BAD_VALUE | BookChange.FULL | BookChange.UNKNOWN_ORDER


class OrderByOrderMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        arena = Arena(BookStore.reserve(2, 1024, 1024) + (1 << 20))
        self.book = BookStore(arena, "book", 2, [1, 5], max_orders=1024, max_levels=1024)
        self.reference = [OrderReference(), OrderReference()]
        self.touched = 0

    def pick(self, instrument, data):
        return data.draw(st.sampled_from(sorted(self.reference[instrument].orders)))

    @rule(instrument=st.integers(0, 1), ident=IDS, side=SIDES, price=PRICES, qty=QTYS)
    def add(self, instrument, ident, side, price, qty):
        price *= (1, 5)[instrument]
        known = ident in self.reference[instrument].orders
        change = self.book.order_add(instrument, ident, side, price, qty)
        assert bool(change & REFUSED) == known
        self.reference[instrument].add(ident, side, price, qty)
        self.touched = instrument

    @rule(instrument=st.integers(0, 1), ident=IDS, count=st.integers(10, 60), price=st.integers(-3, 3), qty=QTYS)
    def join_one_queue(self, instrument, ident, count, price, qty):
        """Queues long enough to be indexed."""
        for n in range(count):
            self.book.order_add(instrument, ident // 2 + n, 1, 5 * price, qty + n)
            self.reference[instrument].add(ident // 2 + n, 1, 5 * price, qty + n)
        self.touched = instrument

    @rule(instrument=st.integers(0, 1), data=st.data(), qty=QTYS)
    def reduce_or_execute(self, instrument, data, qty):
        if self.reference[instrument].orders:
            ident = self.pick(instrument, data)
            resting = self.reference[instrument].orders[ident][2]
            change = self.book.order_reduce(instrument, ident, qty)
            assert bool(change & BookChange.BAD_VALUE) == (qty > resting)
            self.reference[instrument].reduce(ident, qty)
            self.touched = instrument

    @rule(instrument=st.integers(0, 1), data=st.data())
    def delete(self, instrument, data):
        if self.reference[instrument].orders:
            ident = self.pick(instrument, data)
            assert not self.book.order_delete(instrument, ident) & REFUSED
            self.reference[instrument].remove(ident)
            assert self.book.order_delete(instrument, ident) == BookChange.UNKNOWN_ORDER
            self.touched = instrument

    @rule(instrument=st.integers(0, 1), data=st.data(), price=PRICES, keep=st.booleans(), qty=QTYS)
    def modify(self, instrument, data, price, keep, qty):
        if self.reference[instrument].orders:
            ident = self.pick(instrument, data)
            price = self.reference[instrument].orders[ident][1] if keep else price * 5
            assert not self.book.order_modify(instrument, ident, price, qty) & REFUSED
            self.reference[instrument].modify(ident, price, qty)
            self.touched = instrument

    @rule(instrument=st.integers(0, 1), data=st.data(), new=IDS, price=PRICES, qty=QTYS)
    def replace(self, instrument, data, new, price, qty):
        if self.reference[instrument].orders:
            ident = self.pick(instrument, data)
            taken = new != ident and new in self.reference[instrument].orders
            change = self.book.order_replace(instrument, ident, new, 5 * price, qty)
            assert bool(change & REFUSED) == taken
            self.reference[instrument].replace(ident, new, 5 * price, qty)
            self.touched = instrument

    @precondition(lambda self: len(self.reference[0].orders) > 20)
    @rule(side=st.integers(-1, 1))
    def clear(self, side):
        self.book.clear(0, side)
        self.reference[0].clear(side)
        self.touched = 0

    @rule(instrument=st.integers(0, 1), side=SIDES, depth=st.integers(1, 6))
    def truncate(self, instrument, side, depth):
        self.book.truncate(instrument, side, depth)
        self.reference[instrument].truncate(side, depth)
        self.touched = instrument

    @rule(instrument=st.integers(0, 1), data=st.data())
    def ask_for_queue_positions(self, instrument, data):
        reference = self.reference[instrument]
        if reference.orders:
            ident = self.pick(instrument, data)
            side, price, qty = reference.orders[ident]
            queue = reference.levels[side][price]
            ahead = queue[: queue.index(ident)]
            slot = self.book.order_find(instrument, ident)
            assert self.book.queue_orders_ahead(slot) == len(ahead)
            assert self.book.queue_qty_ahead(slot) == sum(reference.orders[i][2] for i in ahead)
            assert (self.book.order_price(slot), self.book.order_side(slot)) == (price, side)
            assert self.book.order_qty(slot) == qty

    @rule(side=SIDES, price=st.integers(-250, 250))
    def ask_for_the_next_level(self, side, price):
        worse = [p for p in self.reference[1].prices(side) if side * p < side * price]
        assert self.book.next_price(1, side, price) == (worse[0] if worse else EMPTY_BID * side)

    @invariant()
    def same_book(self):
        i = self.touched
        self.book.check(i)
        for side in (1, -1):
            rows = self.reference[i].rows(side)
            assert [tuple(row) for row in self.book.depth(i, side, 10**6).tolist()] == rows
            assert self.book.best_price(i, side) == (rows[0][0] if rows else (EMPTY_BID, EMPTY_ASK)[side < 0])
            assert self.book.best_qty(i, side) == (rows[0][1] if rows else 0)
            for price, qty in rows[:3]:
                queue = self.reference[i].levels[side][price]
                assert self.book.level_qty(i, side, price) == qty
                assert self.book.level_orders(i, side, price) == len(queue)
                slot, found = self.book.level_head(i, side, price), []
                while slot != -1:
                    found.append(self.book.order_id(slot))
                    slot = self.book.next_order(slot)
                assert found == queue


TestOrderByOrder = OrderByOrderMachine.TestCase
TestOrderByOrder.settings = settings(max_examples=40, stateful_step_count=40)
