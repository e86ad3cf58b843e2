"""The engine against the plain reference: every report, every public reference, and each public feed's book, always."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nanotick.book import BookStore, apply_events
from nanotick.core.arena import Arena
from nanotick.core.instruments import Instrument
from nanotick.core.mode import INTERPRET
from nanotick.core.records import COMMAND, Kind, OrderType
from nanotick.exchange.market import Allocation, ExchangeConfig, Feeds, MarketRules, MatchingExchange, Part, Participant
from tests.exchange.market.reference import Reference

SIZES = {"max_orders": 1 << 14, "max_levels": 1 << 10}
PARTICIPANTS = 6
ROOM = 1 << 16
SECOND = 1_000_000_000


def flow(rng, count, variety, step):
    """Commands of all kinds around a price; `variety` from 0 (limit and cancel) to 1 (everything)."""
    rows = np.zeros(count, COMMAND)
    rows["ts"] = np.cumsum(rng.integers(0, 2, count) * step)
    rows["kind"] = rng.choice(
        [Kind.NEW, Kind.CANCEL, Kind.REPLACE_ORDER, Kind.CANCEL_ALL, 5], count, p=[0.6, 0.24, 0.15, 0.008, 0.002]
    )
    rows["id"] = rng.integers(1, 30, count)
    rows["side"] = rng.choice([1, -1], count)
    rows["price"] = 5 * rng.integers(195, 206, count)
    rows["qty"] = rng.integers(1, 40, count)
    rows["strategy"] = rng.integers(1, PARTICIPANTS, count)
    odd = rng.random(count) < variety
    rows["order_type"] = np.where(odd, rng.integers(0, 6, count), 0)
    rows["tif"] = np.where(odd, rng.choice(7, count, p=[0.4, 0.1, 0.2, 0.1, 0.1, 0.05, 0.05]), 0)
    flags = rng.choice([0, 1, 2, 8, 16, 16 | 64, 33, 64, 65], count)
    rows["flags"] = np.where(odd & (rng.random(count) < 0.6), flags, 0)
    stops = rows["order_type"] >= OrderType.STOP
    rows["stop_price"] = np.where(stops, 5 * rng.integers(195, 206, count), rng.integers(1, 15, count))
    pegs = rows["order_type"] >= OrderType.PEG_MID
    rows["stop_price"] = np.where(pegs, 5 * rng.integers(-2, 2, count), rows["stop_price"])
    rows["price"] = np.where(pegs & (rng.random(count) < 0.7), 0, rows["price"])
    # times to end at are all different: which of two orders of one second ends first is nobody's business
    rows["expire_s"] = rows["ts"] // SECOND + 1 + np.arange(count) * (step // SECOND if step >= SECOND else 0)
    return rows


def follower(name, arena):
    return BookStore(arena, name, 1, 5, max_orders=1 << 14, max_levels=1 << 10)


def levels(book, side):
    return [(int(r["price"]), int(r["qty"])) for r in book.depth(0, side, 1_000)]


ORDER_KINDS = {Kind.ADD, Kind.EXECUTE, Kind.REDUCE, Kind.DELETE, Kind.REPLACE}


class Pair:
    """Engine, reference, and one book a public feed."""

    def __init__(self, settings_of, allocation=Allocation.PRICE_TIME):
        arena = Arena(
            MatchingExchange.reserve(1, **SIZES, feed=ROOM, reports=ROOM, trades=1 << 10)
            + 3 * BookStore.reserve(1, 1 << 14, 1 << 10)
            + (16 << 20)
        )
        config = ExchangeConfig(
            rules=MarketRules(feeds=Feeds(15), allocation=allocation),
            participants={n: Participant(firm=f, self_trade=m) for n, (f, m) in settings_of.items()},
            max_participants=PARTICIPANTS,
        )
        items = [Instrument("ABC", "SIM", tick_size="0.05")]
        self.engine = MatchingExchange(arena, items, config, book=SIZES, feed=ROOM, reports=ROOM, trades=1 << 10)
        self.plain = Reference(5, settings_of, PARTICIPANTS, pro_rata=allocation == Allocation.PRO_RATA)
        self.by_order = follower("orders", arena)
        self.by_level = follower("levels", arena)
        self.by_quote = follower("quotes", arena)
        self.bought = self.sold = 0

    def run(self, commands):
        assert self.engine.batch(commands) == len(commands)
        now = int(commands["ts"][-1])
        for row in commands:
            c = {name: int(row[name]) for name in COMMAND.names}
            self.plain.expire(c["ts"])
            self.plain.command(c, c["ts"])
        self.compare()
        events = self.engine.events()
        for book, kinds in (
            (self.by_order, ORDER_KINDS),
            (self.by_level, {Kind.LEVEL}),
            (self.by_quote, {Kind.QUOTE}),
        ):
            mine = np.ascontiguousarray(events[np.isin(events["kind"], list(kinds))])
            joined = apply_events(book.address, mine.ctypes.data, len(mine), 0)
            assert joined & 28 == 0
        self.compare_books()
        return now

    def compare(self):
        owners, rows = self.engine.owned_reports()
        said = [
            (int(o), int(r["kind"]), int(r["id"]), int(r["side"]), int(r["price"]), int(r["qty"]), int(r["word"]))
            for o, r in zip(owners, rows, strict=True)
        ]
        expected = self.plain.reports
        for place, (found, wanted) in enumerate(zip(said, expected, strict=False)):
            assert found == wanted, (
                place,
                Kind(found[1]).name,
                Kind(wanted[1]).name,
                expected[max(0, place - 4) : place],
            )
        assert len(said) == len(expected)
        self.plain.reports = []
        fills = rows[rows["kind"] == Kind.FILL]
        assert int((fills["qty"] * fills["side"]).sum()) == 0
        assert int((fills["qty"] * fills["side"] * fills["price"]).sum()) == 0

    def compare_books(self):
        self.engine.check()
        for side in (1, -1):
            queue = self.plain.queue(Part.LIT, side)
            shown: dict[int, int] = {}
            for o in queue:
                shown[side * o.rank] = shown.get(side * o.rank, 0) + o.leaves
            wanted = list(shown.items())
            assert levels(self.engine.book, side) == wanted
            assert levels(self.by_level, side) == wanted
            assert levels(self.by_order, side) == wanted
            ids = []
            for price in shown:
                slot = self.by_order.level_head(0, side, price)
                while slot >= 0:
                    ids.append(self.by_order.order_id(slot))
                    slot = self.by_order.next_order(slot)
            assert ids == [o.ref for o in queue]
            best = wanted[0] if wanted else (self.engine.book.best_price(0, side), 0)
            assert (self.by_quote.best_price(0, side), self.by_quote.best_qty(0, side)) == best


STEPS = 4 if INTERPRET else 12
SIZE = 40 if INTERPRET else 250
modes = st.tuples(st.integers(1, 3), st.integers(0, 4))


@settings(max_examples=8 if INTERPRET else 25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    allocation=st.sampled_from(list(Allocation)),
    variety=st.sampled_from([0.0, 0.3, 1.0]),
    each=st.fixed_dictionaries(dict.fromkeys(range(1, PARTICIPANTS), modes)),
)
def test_continuous_trading_is_that_of_the_reference(seed, allocation, variety, each):
    rng = np.random.default_rng(seed)
    pair = Pair(each, allocation)
    ts = 0
    for _ in range(STEPS):
        commands = flow(rng, SIZE, variety, 0)
        commands["ts"] += ts
        ts = pair.run(commands)


@settings(max_examples=4 if INTERPRET else 12, deadline=None)
@given(seed=st.integers(0, 2**32), each=st.fixed_dictionaries(dict.fromkeys(range(1, PARTICIPANTS), modes)))
def test_one_command_at_a_time_every_feed_agrees(seed, each):
    rng = np.random.default_rng(seed)
    pair = Pair(each)
    for command in flow(rng, 150, 0.8, 0):
        pair.run(np.array([command]))


@settings(max_examples=3 if INTERPRET else 20, deadline=None)
@given(st.binary(min_size=64, max_size=64 * 40), st.integers(0, 2**32))
def test_arbitrary_bytes_leave_the_exchange_sound(data, seed):
    rng = np.random.default_rng(seed)
    count = 400
    raw = rng.integers(0, 256, (count, 64), dtype=np.uint8)
    raw[: len(data) // 64] = np.frombuffer(data[: len(data) // 64 * 64], np.uint8).reshape(-1, 64)
    commands = raw.reshape(-1).view(COMMAND)
    sane = flow(rng, count, 1.0, 0)
    # most fields as they may be, a few as they come: bytes without any sense are refused at the first check
    for name in COMMAND.names:
        keep = rng.random(count) < 0.9
        commands[name][keep] = sane[name][keep]
    commands["ts"] = np.arange(count)
    commands["strategy"][commands["strategy"] == 0xFFFF] = 1
    pair = Pair({})
    for command in commands:
        before = int(pair.engine._root[0]["report_end"])
        pair.engine.batch(np.array([command]))
        assert int(pair.engine._root[0]["report_end"]) > before or command["kind"] == Kind.CANCEL_ALL
    pair.engine.check()


def test_nothing_is_executed_out_of_its_turn():
    rng = np.random.default_rng(7)
    pair = Pair({})
    pair.engine.batch(flow(rng, 4_000, 0.0, 0))
    queue: dict[int, list[int]] = {}  # reference: side, rank, place, quantity
    executed = 0
    for event in pair.engine.events():
        kind, ref, qty = event["kind"], int(event["id"]), int(event["qty"])
        if kind == Kind.ADD:
            queue[ref] = [int(event["side"]), int(event["side"] * event["price"]), int(event["seq"]), qty]
        elif kind in (Kind.DELETE, Kind.EXECUTE, Kind.REDUCE):
            if kind == Kind.EXECUTE:
                executed += 1
                side, rank, place, _ = queue[ref]
                assert all((r, -p) <= (rank, -place) for s, r, p, _ in queue.values() if s == side)
            queue[ref][3] -= qty
            if queue[ref][3] == 0:
                del queue[ref]
    assert executed > 500
    assert len(queue) == pair.engine.book.side_orders(0, 1) + pair.engine.book.side_orders(0, -1)
