"""Every order type in every phase: the engine against the plain reference, one operation at a time.

After each operation the reports and the public feed by order are those of the reference, the books rebuilt from each
of the three public feeds are the engine's, and what must always hold does: quantity and cash are conserved, nothing is
executed out of its turn, nothing outside the band, the continuous book is not crossed.
"""

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanotick.book.records import EMPTY_ASK, EMPTY_BID
from nanotick.core.arena import Arena
from nanotick.core.instruments import Instrument
from nanotick.core.mode import INTERPRET
from nanotick.core.records import (
    BOTH_SIDES,
    COMMAND,
    EVENT,
    CancelReason,
    CommandFlag,
    Flag,
    Kind,
    OrderType,
    RejectReason,
    TimeInForce,
)
from nanotick.exchange.market import Allocation, ExchangeConfig, Feeds, MarketRules, MatchingExchange, Part, Participant
from nanotick.exchange.market.records import ALL_PARTICIPANTS, Phase
from tests.exchange.market.reference_day import ReferenceDay

SIZES = {"max_orders": 1 << 10, "max_levels": 1 << 9}
PARTICIPANTS = 7
KEEPS_POSITION = (1, 2)
SECOND = 1_000_000_000
KEPT_TRADES = 64
NAMES = ("kind", "side", "price", "qty", "id", "word", "flags")
FIELDS = list(EVENT.names or ())
PLACES = [FIELDS.index(name) for name in NAMES]
ORDER_FEED = {
    int(k)
    for k in (
        Kind.ADD, Kind.EXECUTE, Kind.REDUCE, Kind.DELETE, Kind.REPLACE, Kind.TRADE, Kind.BREAK, Kind.STATUS,
        Kind.IMBALANCE,
    )
}  # fmt: skip
REPORTED = {
    int(k)
    for k in (
        Kind.ACCEPTED, Kind.REJECTED, Kind.FILL, Kind.CANCELLED, Kind.CANCEL_REJECTED, Kind.REPLACED, Kind.EXPIRED,
        Kind.TRIGGERED, Kind.FILL_BUST,
    )
}  # fmt: skip
PHASES = [int(p) for p in Phase]
TIFS = [int(t) for t in TimeInForce]
FLAGS = [0, 1, 2, 8, 16, 16 | 64, 33, 64, 65, 1 | 8, 2 | 8]
RULES = st.fixed_dictionaries(
    {
        "allocation": st.sampled_from(list(Allocation)),
        "reference": st.sampled_from([0, 1_000, 1_003]),
        "band": st.sampled_from([0.0, 0.015, 0.03]),
        "band_auction": st.booleans(),
        "window_ns": st.sampled_from([0, 4 * SECOND, 40 * SECOND]),
        "reference_step": st.sampled_from([0.0, 0.01]),
        "indicative_ns": st.sampled_from([0, 1_700_000_000]),
        "auction_rule": st.sampled_from([0, 1]),
        "phase": st.sampled_from([Phase.CONTINUOUS, Phase.PRE_OPEN]),
    }
)
SELF_TRADES = st.fixed_dictionaries(
    dict.fromkeys(range(1, PARTICIPANTS), st.tuples(st.integers(1, 3), st.integers(0, 4)))
)


class Followers:
    """Books rebuilt from the public feed alone, in plain Python, and the rules the public can see."""

    def __init__(self, tick):
        self.tick = tick
        self.orders = {}  # reference: [side, price, quantity], in order of arrival
        self.levels = {1: {}, -1: {}}
        self.quote = ((EMPTY_BID, 0), (EMPTY_ASK, 0))
        self.seq = 0
        self.moved = set()  # references shown during this operation

    def side(self, side):
        book = {}
        for s, price, qty in self.orders.values():
            if s == side:
                book[price] = book.get(price, 0) + qty
        return sorted(book.items(), key=lambda row: -side * row[0])

    def follow(self, row, continuous, fair):
        kind, side, price, qty, ident, _word, flags = row
        if kind == Kind.ADD:
            assert ident not in self.orders and qty > 0 and side in (1, -1)
            self.orders[ident] = [side, price, qty]
        elif kind in (Kind.EXECUTE, Kind.REDUCE, Kind.DELETE):
            order = self.orders[ident]
            assert order[0] == side and 0 < qty <= order[2]
            assert kind == Kind.EXECUTE or order[1] == price
            if kind == Kind.EXECUTE:
                self.in_turn(ident, order, continuous, fair, price)
            order[2] -= qty
            assert kind != Kind.DELETE or order[2] == 0
            if order[2] == 0:
                del self.orders[ident]
        elif kind == Kind.TRADE and flags & Flag.HIDDEN and continuous:
            # who is displayed comes first at a price
            assert all(s == side or -side * price > s * p for s, p, _ in self.orders.values())

    def in_turn(self, ident, order, continuous, fair, price):
        side, rank = order[0], order[0] * order[1]
        mine = [(number, o) for number, o in self.orders.items() if o[0] == side]
        assert all(side * o[1] <= rank for _, o in mine), "a better price was passed over"
        if not continuous:
            assert side * price <= rank
        elif fair:
            assert next(number for number, o in mine if o[1] == order[1]) == ident, "an earlier order was passed over"
            assert price == order[1]

    def level(self, row):
        _, side, price, qty, _, orders, _ = row
        assert (qty == 0) == (orders == 0)
        if qty:
            self.levels[side][price] = qty
        else:
            self.levels[side].pop(price, None)


class Ledger:
    """Quantity and cash, from the private reports alone."""

    def __init__(self):
        self.open = {}  # (participant, id): [left, executed]
        self.positions = Counter()
        self.cash = Counter()

    def read(self, row):
        who, kind, ident, side, price, qty, _word = row
        key = who, ident
        if kind == Kind.ACCEPTED:
            assert key not in self.open and qty > 0
            self.open[key] = [qty, 0]
        elif kind in (Kind.FILL, Kind.FILL_BUST):
            sign = 1 if kind == Kind.FILL else -1
            self.positions[who] += sign * side * qty
            self.cash[who] -= sign * side * qty * price
            if kind == Kind.FILL and not self.corrected:
                order = self.open[key]
                order[0] -= qty
                order[1] += qty
                assert order[0] >= 0, "more was executed than was ordered"
                if order[0] == 0:
                    del self.open[key]
        elif kind == Kind.REPLACED:
            order = self.open[key]
            order[0] = qty - order[1]
            assert order[0] > 0
        elif kind in (Kind.CANCELLED, Kind.EXPIRED):
            assert self.open.pop(key)[0] == qty, "what was cancelled is not what was left"

    corrected = False

    def balanced(self):
        assert sum(self.positions.values()) == 0
        assert sum(self.cash.values()) == 0


class Day:
    """An exchange, its reference, those who follow it, and a generator of operations."""

    def __init__(self, seed, rules, each, lot, prints):
        self.rng = np.random.default_rng(seed)
        self.lot, self.rules = lot, rules
        feeds = Feeds(15 if prints else 7)
        timing = {"limit_ns": 3 * SECOND, "auction_ns": 4 * SECOND}
        entries = {n: {"firm": f, "self_trade": m, "positions": n in KEEPS_POSITION} for n, (f, m) in each.items()}
        entries[5] |= {"max_orders": 8, "max_qty": 30 * lot}
        entries[6] |= {"blocked": True}
        config = ExchangeConfig(
            rules=MarketRules(feeds=feeds, **rules, **timing),
            participants={n: Participant(**entry) for n, entry in entries.items()},
            max_participants=PARTICIPANTS,
        )
        self.arena = arena = Arena(
            MatchingExchange.reserve(1, **SIZES, feed=1 << 12, reports=1 << 12, trades=64) + (8 << 20)
        )
        items = [Instrument("ABC", "SIM", tick_size="0.05", lot_size=str(lot))]
        self.engine = MatchingExchange(
            arena, items, config, book=SIZES, feed=1 << 12, reports=1 << 12, trades=KEPT_TRADES
        )
        self.plain = ReferenceDay(
            5, each, PARTICIPANTS, phase=int(rules["phase"]), lot=lot, max_orders={5: 8}, max_qty={5: 30 * lot},
            blocked={6}, pro_rata=rules["allocation"] == Allocation.PRO_RATA, prints=prints,
            positions=dict.fromkeys(KEEPS_POSITION, 0), band_auction=rules["band_auction"],
            rate=round(rules["band"] * 1e9), step=round(rules["reference_step"] * 1e9), window_ns=rules["window_ns"],
            indicative_ns=rules["indicative_ns"], auction_rule=rules["auction_rule"], kept=KEPT_TRADES, **timing,
        )  # fmt: skip
        self.plain.set_reference(rules["reference"])
        self.public, self.ledger = Followers(5), Ledger()
        self.now = 1_000 * SECOND
        self.ends = set()
        self.done = 0
        self.seen = Counter()
        self.told = hashlib.blake2b(digest_size=16)  # all reports and events
        self.fill_seq = {}  # the seq a report of the engine had, by its number
        self.positions = {n: arena[f"market.positions.{n}"].view for n in KEEPS_POSITION}

    # --- operations ---

    def pick(self, options, weights=None):
        if weights is None:
            return options[int(self.rng.integers(len(options)))]
        return options[int(np.searchsorted(np.cumsum(weights), self.rng.random() * sum(weights), side="right"))]

    def command(self):
        rng, pick = self.rng, self.pick
        c = dict.fromkeys(COMMAND.names, 0)
        c["ts"] = self.now
        c["kind"] = int(
            pick([Kind.NEW, Kind.CANCEL, Kind.REPLACE_ORDER, Kind.CANCEL_ALL, 5], [0.65, 0.16, 0.18, 0.008, 0.002])
        )
        c["strategy"] = pick([1, 2, 3, 4, 5, 6, PARTICIPANTS], [20, 20, 20, 20, 15, 1, 0.2])
        c["instrument"] = pick([0, 1], [500, 1])
        c["id"] = int(rng.integers(1, 15)) if rng.random() < 0.995 else pick([0, -1, 1 << 44])
        c["side"] = pick([1, -1, 0], [500, 500, 1])
        c["price"] = 5 * int(rng.integers(192, 209)) + (rng.random() < 0.01)
        c["qty"] = self.lot * int(rng.integers(1, 40)) + (rng.random() < 0.01)
        c["order_type"] = pick([0, 1, 2, 3, 4, 5, 6], [55, 12, 8, 8, 8, 8, 0.1])
        c["tif"] = pick([*TIFS, 7], [40, 12, 10, 6, 14, 6, 8, 0.1])
        if rng.random() < 0.5:
            c["flags"] = pick(FLAGS)
        if c["order_type"] in (OrderType.STOP, OrderType.STOP_LIMIT):
            c["stop_price"] = 5 * int(rng.integers(192, 209)) + (rng.random() < 0.01)
        elif c["order_type"] >= OrderType.PEG_MID:
            c["stop_price"] = 5 * int(rng.integers(-3, 3))
            c["price"] *= int(rng.random() < 0.3)
        else:
            c["stop_price"] = self.lot * int(rng.integers(1, 12)) + (rng.random() < 0.01)
        if c["kind"] == Kind.REPLACE_ORDER:
            self.aim(c)
        if c["kind"] == Kind.CANCEL_ALL and rng.random() < 0.3:
            c["strategy"] = ALL_PARTICIPANTS
        # seconds at which two orders end are different: which of the two ends first is nobody's business
        if c["tif"] == TimeInForce.GTD:
            end = self.now // SECOND + int(rng.integers(0, 12))
            while end in self.ends and end > self.now // SECOND:
                end += 1
            self.ends.add(end)
            c["expire_s"] = end
        return c

    def aim(self, c):
        """A replace that the order there can make something of, more often than not."""
        o = self.plain.find(c["strategy"], c["id"])
        if o is None or self.rng.random() < 0.2:
            return
        if self.rng.random() < 0.5:
            c["price"] = o.price
        if o.part == Part.STOPS or o.kind >= OrderType.PEG_MID:
            c["stop_price"] = o.stop if self.rng.random() < 0.5 else c["stop_price"]

    def step(self):
        """One operation on both."""
        engine, plain, rng = self.engine, self.plain, self.rng
        self.now += self.pick([0, 1_000_000, 300_000_000, SECOND], [60, 20, 15, 5])
        plain.pass_time(self.now)
        if engine.next_deadline <= self.now:
            engine.clock(self.now)
            self.done += 1
        self.compare()
        draw = rng.random()
        if draw < (0.25 if plain.phase in (Phase.HALTED, Phase.CLOSED) else 0.03):
            phase = self.pick(PHASES, [30, 6, 6, 6, 8, 6, 6])
            self.seen[f"{Phase(plain.phase).name} to {Phase(phase).name}"] += 1
            engine.phase(0, Phase(phase), self.now)
            plain.change(phase, self.now)
        elif draw > 0.985:
            self.ledger.corrected = True
            number = max(0, plain.trades - int(rng.integers(-1, 80)))
            if draw > 0.993:
                assert engine.bust(number, self.now) == plain.bust(number)
            else:
                price = 5 * int(rng.integers(192, 209)) * int(rng.random() < 0.95)
                assert engine.correct(number, price, self.now) == plain.correct(number, price)
        else:
            c = self.command()
            phase = plain.phase
            row = np.zeros(1, COMMAND)
            for name, value in c.items():
                row[0][name] = value
            answer = engine.command(row[0], self.now)
            plain.command(c, self.now)
            self.seen[answer.name] += 1
            if answer == RejectReason.NONE and c["kind"] == Kind.NEW:
                self.seen[OrderType(c["order_type"]).name, Phase(phase).name] += 1
                self.seen[TimeInForce(c["tif"]).name, Phase(phase).name] += 1
                for flag in CommandFlag:
                    self.seen[flag.name, Phase(phase).name] += bool(c["flags"] & flag)
        self.done += 1
        self.compare()
        self.ledger.corrected = False

    # --- what must hold ---

    def compare(self):
        engine, plain = self.engine, self.plain
        owners, rows = engine.owned_reports()
        public = engine.events()
        for part in (owners, rows, public):
            self.told.update(part.tobytes())
        said = []
        for owner, row in zip(owners.tolist(), rows.tolist(), strict=True):
            kind, side, price, qty, ident, word, _ = (row[i] for i in PLACES)
            said.append((owner, kind, ident, side, price, qty, word))
        assert said == plain.reports, (self.done, said, plain.reports)
        self.check_sequence(rows, plain)
        continuous = plain.phase == Phase.CONTINUOUS
        fair = not plain.pro_rata
        for row in said:
            self.ledger.read(row)
            self.seen["report", Kind(row[1]).name] += 1
            if row[1] in (Kind.CANCELLED, Kind.EXPIRED):
                self.seen["gone", CancelReason(row[6]).name] += 1
        self.ledger.balanced()
        self.check_open_orders()
        events = [tuple(row[i] for i in PLACES) for row in public.tolist()]
        mine = [(*row[:6], row[6] & ~BOTH_SIDES & ~Flag.LAST) for row in events if row[0] in ORDER_FEED]
        assert mine == plain.feed, (self.done, mine, plain.feed)
        if events:
            assert events[-1][6] & Flag.LAST
        auction = any(row[6] & Flag.AUCTION for row in events)
        for row in events:
            kind = row[0]
            self.seen["event", Kind(kind).name] += 1
            if kind == Kind.LEVEL:
                self.public.level(row)
            elif kind == Kind.QUOTE:
                self.public.quote = ((row[2], row[3]), (row[4], row[5]))
            else:
                self.public.follow(row, continuous and not auction, fair)
        plain.reports, plain.feed = [], []
        self.compare_books(continuous)

    def check_sequence(self, rows, plain):
        number = plain.said - len(rows)
        for i, row in enumerate(rows.tolist()):
            if row[FIELDS.index("kind")] == Kind.FILL_BUST:
                ident, price, qty = row[5], row[3], row[4]
                assert self.fill_seq[row[2]] == (ident, price, qty)
            else:
                assert row[2] == number + i
                if row[FIELDS.index("kind")] == Kind.FILL:
                    self.fill_seq[row[2]] = (row[5], row[3], row[4])

    def check_open_orders(self):
        held = {(o.participant, o.id): [o.total, o.filled] for o in self.plain.orders}
        assert held == self.ledger.open
        for number, view in self.positions.items():
            assert view[0] == self.ledger.positions[number]

    def compare_books(self, continuous):
        book = self.engine.book
        best = []
        for side in (1, -1):
            depth = [(int(price), int(qty)) for price, qty in book.depth(0, side, 99)[["price", "qty"]].tolist()]
            assert self.public.side(side) == depth
            assert sorted(self.public.levels[side].items(), key=lambda row: -side * row[0]) == depth
            best.append(depth[0] if depth else (book.best_price(0, side), 0))
        assert self.public.quote == tuple(best)
        if continuous and best[0][1] and best[1][1]:
            assert best[0][0] < best[1][0], "the book is crossed"

    def end(self):
        """Whatever is left can be cancelled, and nothing stays."""
        self.engine.check()
        c = dict.fromkeys(COMMAND.names, 0) | {"kind": int(Kind.CANCEL_ALL), "strategy": ALL_PARTICIPANTS}
        self.engine.cancel_all(ALL_PARTICIPANTS, 0, now=self.now)
        self.plain.command(c, self.now)
        self.compare()
        assert not self.ledger.open
        self.engine.check()


EXAMPLES, STEPS = (3, 150) if INTERPRET else (48, 2_200)
COLLECTED = ["PRE_OPEN", "OPENING_AUCTION", "VOLATILITY_AUCTION", "CLOSING_AUCTION"]
ANY_PHASE = [
    *(t.name for t in OrderType), "GTC", "DAY", "GTD", "AT_CLOSE", "POST_ONLY", "SLIDE", "ICEBERG", "HIDDEN",
    "REDUCE_ONLY",
]  # fmt: skip


def run_days(examples, steps):
    """Operations worked, and what was seen in them."""
    total = Counter()

    @settings(max_examples=examples, deadline=None)
    @given(st.integers(0, 2**32), RULES, SELF_TRADES, st.sampled_from([1, 10]), st.booleans())
    def days(seed, rules, each, lot, prints):
        day = Day(seed, rules, each, lot, prints)
        for _ in range(steps):
            day.step()
        day.end()
        total.update(day.seen)
        total["operations"] += day.done

    days()
    return total


def test_every_order_type_in_every_phase_is_that_of_the_reference():
    seen = run_days(EXAMPLES, STEPS)
    if INTERPRET:
        return
    assert seen["operations"] >= 100_000
    wanted = [(name, phase) for name in ANY_PHASE for phase in ["CONTINUOUS", *COLLECTED]]
    wanted += [(name, "CONTINUOUS") for name in ("IOC", "FOK", "MIN_QTY")]
    wanted += [("AT_OPEN", phase) for phase in COLLECTED[:2]]
    wanted += [f"{before.name} to {after.name}" for before in Phase for after in Phase if after != before]
    wanted += [r.name for r in RejectReason if r.name not in ("NO_LIQUIDITY", "OTHER", "BOOK_FULL")]
    wanted += [("report", Kind(k).name) for k in REPORTED]
    never = ("POST_ONLY_WOULD_CROSS", "HALTED", "VENUE", "REDUCE_ONLY")
    wanted += [("gone", r.name) for r in CancelReason if r.name not in never]
    assert not [name for name in wanted if not seen[name]]
    assert seen["report", "FILL"] > 20_000


@pytest.mark.nightly
def test_many_days():
    assert run_days(960, STEPS)["operations"] >= 2_000_000
