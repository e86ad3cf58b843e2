"""Orders whose connection, answer or knowledge is lost: nothing is sent twice or forgotten, and exposure counts."""

from __future__ import annotations

import random

import pytest

from nanotick.core.records import Kind
from nanotick.orders.records import OrderState
from nanotick.venues.faulty import Faults
from nanotick.venues.limiter import RateLimiter, SlidingWindow
from nanotick.venues.virtual import SECOND, VirtualNetwork
from nanotick.venues.virtual_link import TO_CLIENT, TO_SITE
from nanotick.venues.working import TraderConfig
from nanotick.wire.requests import Command, Response
from tests.venues.small_alpaca import SmallAlpaca
from tests.venues.trading import MID, Engine, Puppet, TraderState, alpaca

ADDRESS = "paper-api.alpaca.markets"
MS = 1_000_000
FOREIGN = "by-hand-1"


class Floor:
    """A venue, a trader, an engine and the network between them."""

    def __init__(self, seed=1, faults=None, config=None, late_ns=0, lag_ns=0, before=None, start=True, **more):
        self.network = VirtualNetwork(seed, faults=faults)
        there = self.network.host("venue")
        self.venue = SmallAlpaca(there, late_ns, lag_ns)
        self.server = self.network.serve(ADDRESS, self.venue, there)
        if before is not None:
            before(self.venue)
        self.us = self.network.host("us")
        self.engine = Engine(Puppet(), self.us)
        self.trader = alpaca(self.engine, self.us, config, **more)
        self.states = []
        told = self.trader.on_state
        self.trader.on_state = lambda trader: (self.states.append(trader.state), told(trader))
        if start:
            self.engine.runner.start()
            self.run(SECOND)
            self.engine.quote()

    @property
    def path(self):
        return self.network.path("us", ADDRESS)

    def run(self, span):
        """Let time pass; what may at worst come of the orders is counted at every moment."""
        self.network.run(self.network.time + span, self.look)

    def look(self):
        buys, sells = self.engine.exposure()
        held, open_there = self.venue.held.get("AAPL", 0), self.venue.open_orders()
        left = [(o.side, int(o.qty) - int(o.filled)) for o in open_there if o.client != FOREIGN]
        if self.states and self.states[-1] == TraderState.READY:
            assert self.engine.position() + buys >= held + sum(qty for side, qty in left if side > 0)
            assert self.engine.position() - sells <= held - sum(qty for side, qty in left if side < 0)

    def cut(self):
        for link in list(self.path.links):
            link.cut((0, 0))

    def agree(self):
        assert self.trader.state == TraderState.READY, self.trader.reason
        assert self.engine.position() == self.venue.held.get("AAPL", 0)
        here = {int(r["id"]): (int(r["qty"]), int(r["filled_qty"])) for r in self.engine.open_orders()}
        there = {self.trader.ids.decode(o.client): (int(o.qty), int(o.filled)) for o in self.venue.open_orders()}
        assert here == there and not self.trader.unknown
        states = [OrderState(int(r["state"])) for r in self.engine.open_orders()]
        assert all(state == OrderState.WORKING for state in states), states

    def news(self):
        """Client ids of the new orders that left the engine."""
        return [one for one in self.engine.sent if one["kind"] == Kind.NEW]


# --- O1: disconnected with an order in flight -------------------------------------------------------------------------

PLACES = ("before send", "after send", "before acknowledgement", "after acknowledgement")


@pytest.mark.parametrize("place", PLACES)
def test_disconnected_with_an_order_in_flight_nothing_is_doubled_and_no_fill_lost(place):
    for seed in range(100):
        source = random.Random(seed)
        floor = Floor(seed, late_ns=source.choice([0, 50 * MS]), lag_ns=source.choice([0, 2 * SECOND]))
        number = floor.engine.place(10) if place != "before send" else 0
        if place == "before send":
            floor.path.clog(TO_SITE)
            number = floor.engine.place(10)
            floor.cut()
        elif place == "after send":
            floor.run(source.randrange(1, 3 * MS))
            floor.cut()
        elif place == "before acknowledgement":
            floor.path.clog(TO_CLIENT)
            floor.run(100 * MS)
            floor.server.crash()
        else:
            floor.run(100 * MS)
            assert floor.engine.state(number) == OrderState.WORKING
            floor.cut()
        for _ in range(source.randrange(4)):  # meanwhile, unseen
            floor.run(source.randrange(SECOND))
            for order in floor.venue.open_orders():
                floor.venue.fill(order, source.randint(1, int(order.qty) - int(order.filled)))
            if source.random() < 0.3:
                floor.engine.cancel()
        floor.run(source.randrange(6 * SECOND))
        floor.network.heal()
        floor.run(40 * SECOND)
        floor.agree()
        assert floor.venue.placed <= 1 == len(floor.news()), seed
        row = floor.engine.order(number)
        if row is not None and floor.venue.placed:
            order = next(o for o in floor.venue.orders.values() if floor.trader.ids.decode(o.client) == number)
            assert int(row["filled_qty"]) == int(order.filled), seed


# --- O5: no answer, 5xx -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["request_lost", "answer_lost", "error_done", "error_undone"])
@pytest.mark.parametrize("what", ["place", "cancel", "replace"])
def test_an_outcome_that_is_unknown_counts_until_the_venue_has_settled_it(fault, what):
    for seed in range(10):
        floor = Floor(seed)
        floor.run(seed * 100 * MS)
        floor.network.faults = Faults(**{fault: 1.0}) if what == "place" else Faults()
        number = floor.engine.place(10)
        if what != "place":
            floor.run(SECOND)
            floor.network.faults = Faults(**{fault: 1.0})
            floor.engine.cancel() if what == "cancel" else floor.engine.replace(20)
        floor.venue.quiet = seed % 2 == 0  # half of them must be settled by asking
        floor.run(6 * SECOND)
        floor.network.faults = Faults()
        floor.venue.quiet &= what != "cancel" or fault in ("answer_lost", "error_done")
        if floor.venue.quiet or fault in ("request_lost", "error_undone"):
            assert floor.engine.state(number) == OrderState.UNKNOWN, (fault, what, seed)
            assert floor.engine.exposure()[0] == (20 if what == "replace" else 10)
        floor.run(40 * SECOND)
        floor.agree()
        done = fault in ("answer_lost", "error_done")
        state = floor.engine.state(number)
        if what == "place":
            assert state == (OrderState.WORKING if done else OrderState.REJECTED)
            assert floor.venue.placed == int(done)
        elif what == "cancel":
            assert state == OrderState.CANCELLED  # a lost one has been sent again
        else:
            assert int(floor.engine.order(number)["qty"]) == (20 if done else 10)


def test_an_order_not_found_twice_and_then_found_is_ours():
    floor = Floor()
    floor.network.faults = Faults(answer_lost=1.0)
    floor.venue.quiet = True
    number = floor.engine.place(10)
    client = floor.trader.ids.text(number)
    floor.venue.deaf.add(client)
    floor.run(6 * SECOND)
    floor.network.faults = Faults()
    while floor.trader._working[number].inquiry.absent < 2:
        assert floor.engine.state(number) == OrderState.UNKNOWN and floor.engine.exposure() == (10, 0)
        floor.run(SECOND // 10)
    floor.venue.fill(floor.venue.order(client), 4)
    floor.venue.deaf.clear()
    floor.run(10 * SECOND)
    assert floor.engine.state(number) == OrderState.WORKING and floor.engine.position() == 4
    assert floor.trader.counts.settled == {"found": 1}


def test_an_order_that_is_not_there_is_given_up_after_three_answers_and_fifteen_seconds():
    floor = Floor()
    floor.network.faults = Faults(request_lost=1.0)
    number = floor.engine.place(10)
    floor.run(5 * SECOND)
    floor.network.faults = Faults()
    began = floor.network.time
    while floor.engine.state(number) == OrderState.UNKNOWN or floor.network.time == began:
        floor.run(SECOND // 10)
        assert floor.network.time - began < 30 * SECOND
    assert floor.engine.state(number) == OrderState.REJECTED
    unknown = next(row for row in floor.engine.reports if row[9] == Kind.UNKNOWN)
    assert floor.us.now() - unknown[1] >= 15 * SECOND
    assert floor.trader.counts.settled == {"not placed": 1}


def test_an_order_given_up_that_appears_all_the_same_is_cancelled_and_its_fills_are_booked():
    floor = Floor()
    floor.network.faults = Faults(answer_lost=1.0)
    floor.venue.quiet = True
    number = floor.engine.place(10)
    floor.venue.deaf.add(floor.trader.ids.text(number))
    floor.run(5 * SECOND)
    floor.network.faults = Faults()
    while floor.engine.state(number) != OrderState.REJECTED:
        floor.network.run(floor.network.time + SECOND)
    floor.venue.quiet = False
    floor.venue.fill(floor.venue.open_orders()[0], 3)
    floor.network.run(floor.network.time + SECOND)
    assert floor.engine.position() == 3
    floor.trader.reconcile()
    floor.network.run(floor.network.time + 5 * SECOND)
    assert floor.venue.open_orders() == [] and floor.trader.counts.strays >= 1
    assert floor.engine.position() == floor.venue.held["AAPL"] == 3


def test_a_cancel_wanted_before_the_venues_id_is_known_goes_out_when_it_is():
    floor = Floor()
    floor.network.faults = Faults(answer_lost=1.0)
    floor.venue.quiet = True
    number = floor.engine.place(10)
    floor.engine.cancel()
    floor.run(6 * SECOND)
    floor.network.faults = Faults()
    floor.venue.quiet = False
    floor.run(20 * SECOND)
    assert floor.engine.state(number) == OrderState.CANCELLED and floor.venue.open_orders() == []


def test_a_kill_whose_cancels_are_lost_cancels_all_the_same():
    floor = Floor()
    for n in range(5):
        floor.engine.place(10 + n)
    floor.run(SECOND)
    floor.network.faults = Faults(request_lost=1.0)
    floor.engine.runner.kill()
    floor.run(8 * SECOND)
    assert len(floor.venue.open_orders()) == 5
    floor.network.faults = Faults()
    floor.run(20 * SECOND)
    assert floor.venue.open_orders() == [] and floor.engine.open_orders() == []


def test_a_replaced_order_is_replaced_cancelled_and_filled_under_all_its_names():
    floor = Floor()
    number = floor.engine.place(10)
    floor.run(SECOND)
    for n in range(5):
        floor.venue.fill(floor.venue.open_orders()[0], 1)
        floor.engine.replace(20 + n, MID - n)
        floor.run(SECOND)
        row = floor.engine.order(number)
        assert (int(row["qty"]), int(row["price"]), int(row["filled_qty"])) == (20 + n, MID - n, n + 1)
    assert floor.venue.open_orders()[0].client.endswith("r5")
    floor.engine.cancel()
    floor.run(SECOND)
    assert floor.engine.state(number) == OrderState.CANCELLED and floor.engine.position() == 5
    floor.agree()


def test_a_replace_confirmed_while_the_stream_was_down_is_learnt_from_the_list():
    floor = Floor(late_ns=100 * MS)
    number = floor.engine.place(10)
    floor.run(SECOND)
    floor.engine.replace(20, MID - 5)
    floor.run(50 * MS)
    floor.cut()
    floor.run(60 * MS)
    floor.venue.fill(floor.venue.open_orders()[0], 2)
    floor.run(20 * SECOND)
    row = floor.engine.order(number)
    assert (int(row["qty"]), int(row["price"]), int(row["filled_qty"])) == (20, MID - 5, 2)
    floor.agree()


def test_a_stream_lost_during_a_comparison_begins_it_again():
    floor = Floor(start=False)
    floor.path.clog(TO_CLIENT)
    floor.engine.runner.start()
    floor.run(SECOND // 2)
    floor.path.unclog(TO_CLIENT)
    while TraderState.RECONCILING not in floor.states:
        floor.run(MS)
    floor.cut()
    floor.run(10 * SECOND)
    assert floor.states.count(TraderState.RECONCILING) == 2 and floor.trader.state == TraderState.READY


def test_an_answer_that_comes_after_its_timeout_changes_nothing_twice():
    floor = Floor()
    floor.path.clog(TO_CLIENT)
    number = floor.engine.place(10)
    floor.run(7 * SECOND)
    assert floor.engine.state(number) == OrderState.UNKNOWN
    floor.path.unclog(TO_CLIENT)
    floor.run(10 * SECOND)
    assert floor.engine.state(number) == OrderState.WORKING and floor.venue.placed == 1
    floor.agree()


def test_what_is_remembered_of_orders_is_bounded():
    floor = Floor()
    for _ in range(300):
        floor.engine.place(1)
        floor.run(100 * MS)
        floor.engine.replace(2)
        floor.run(100 * MS)
        floor.venue.fill(floor.venue.open_orders()[0], 2)
        floor.run(SECOND)
    trader = floor.trader
    assert len(trader._working) < 150 and len(trader._by_order) < 350 and not trader._sent
    floor.run(200 * SECOND)
    assert not trader._working and not trader._by_order


# --- O6: too many requests --------------------------------------------------------------------------------------------


class Strict:
    """A site that allows so many requests a minute, and bans who goes on."""

    def __init__(self, site, network, limit=200):
        self.site, self.network, self.limit = site, network, limit
        self.times, self.refused, self.bans, self.until = [], 0, 0, 0

    def upgrade(self, path, headers, peer):
        return self.site.upgrade(path, headers, peer)

    def request(self, request, peer, answer):
        now = self.network.time
        self.times = [t for t in self.times if t > now - 60 * SECOND]
        if now < self.until:
            self.bans += 1
            answer(Response(418, (("Retry-After", str((self.until - now) // SECOND + 1)),), b""))
        elif len(self.times) >= self.limit:
            self.refused += 1
            self.until = now + 10 * SECOND
            answer(Response(429, (("Retry-After", "10"),), b""))
        else:
            self.times.append(now)
            self.site.request(request, peer, answer)


def test_our_own_limit_is_never_overrun_and_cancels_keep_their_reserve():
    floor = Floor(limiter=RateLimiter([SlidingWindow(200, 60 * SECOND)]))
    floor.server.site = strict = Strict(floor.venue, floor.network)
    placed = []
    for _ in range(220):  # as fast as the strategy likes
        placed.append(floor.engine.place(1))
        floor.run(10 * MS)
    refused = [n for n in placed if floor.engine.state(n) == OrderState.REJECTED]
    assert refused and floor.trader.counts.limited == len(refused)
    working = [n for n in placed if floor.engine.state(n) == OrderState.WORKING]
    assert len(working) <= 160
    floor.engine.cancel()  # the reserve
    before = len(strict.times)
    floor.engine.runner.kill()
    floor.run(SECOND)
    assert len(strict.times) - before >= 35
    floor.run(120 * SECOND)
    assert not floor.venue.open_orders() and not floor.engine.open_orders()
    assert strict.refused == strict.bans == 0


def test_no_request_before_the_time_that_a_429_names_and_the_cancel_is_not_forgotten():
    floor = Floor()
    floor.trader.watch.stop()  # a question for the time would be under way at the same moment
    number = floor.engine.place(10)
    floor.run(SECOND)
    floor.server.site = strict = Strict(floor.venue, floor.network, 0)
    floor.engine.cancel()
    floor.run(SECOND // 2)
    assert strict.refused == 1
    strict.limit = 100
    later = floor.engine.place(5)
    floor.run(9 * SECOND)
    assert strict.times == [] and strict.bans == 0
    assert floor.engine.state(later) == OrderState.REJECTED and floor.engine.state(number) == OrderState.PENDING_CANCEL
    floor.run(3 * SECOND)
    assert floor.engine.state(number) == OrderState.CANCELLED


def test_a_day_without_a_ban():
    limiter = RateLimiter([SlidingWindow(200, 60 * SECOND)])
    floor = Floor(limiter=limiter, config=TraderConfig(foreign_orders="refuse", holdings="refuse"))
    floor.server.site = strict = Strict(floor.venue, floor.network)
    source = random.Random(1)
    for _ in range(24 * 6):
        for _ in range(source.randrange(60)):
            floor.engine.place(1)
            if source.random() < 0.7:
                floor.engine.cancel()
            floor.run(source.randrange(SECOND))
        for order in floor.venue.open_orders():
            floor.venue.end(order)
        floor.network.run(floor.network.time + 540 * SECOND)
    assert strict.refused == strict.bans == 0 and floor.venue.placed > 2_000


# --- O7: what is there at the start -----------------------------------------------------------------------------------


def foreign(venue):
    venue._new("AAPL", FOREIGN, 1, "99.00", "7")


def holding(qty):
    def before(venue):
        venue.held["AAPL"] = qty

    return before


def ready_only_after(floor):
    """No order passes before the account has been compared."""
    floor.engine.runner.start()
    while floor.trader.state != TraderState.READY and floor.network.time < 1_700_000_060 * SECOND:
        floor.engine.quote()
        floor.engine.place(1)
        floor.run(5 * MS)
        if floor.trader.state != TraderState.READY:
            assert floor.venue.placed == 0
    return floor


@pytest.mark.parametrize("policy", ["adopt", "cancel", "refuse"])
def test_a_foreign_order_is_adopted_cancelled_or_a_break(policy):
    config = TraderConfig(foreign_orders=policy, holdings="adopt")
    floor = Floor(config=config, before=foreign, start=False)
    floor.engine.runner.start()
    floor.run(5 * SECOND)
    if policy == "refuse":
        assert floor.trader.state == TraderState.BROKEN and "not of this session" in floor.trader.reason
        floor.engine.quote()
        floor.engine.place(1)
        floor.run(SECOND)
        assert floor.venue.placed == 0
    elif policy == "cancel":
        assert floor.trader.state == TraderState.READY and floor.venue.open_orders() == []
    else:
        assert floor.trader.state == TraderState.READY and floor.engine.exposure() == (7, 0)
        floor.venue.fill(floor.venue.open_orders()[0], 3)
        floor.run(SECOND)
        assert floor.engine.position() == 3 and floor.engine.exposure() == (4, 0)
        floor.engine.runner.kill()
        floor.run(SECOND)
        assert floor.venue.open_orders() == [] and floor.engine.exposure() == (0, 0)


def test_what_is_adopted_has_the_same_ids_when_it_is_done_again():
    found = []
    for _ in range(2):
        config = TraderConfig(foreign_orders="adopt", holdings="adopt")
        floor = Floor(config=config, before=lambda venue: (foreign(venue), holding(-5)(venue)), start=False)
        floor.engine.runner.start()
        floor.run(5 * SECOND)
        assert floor.engine.position() == -5 and floor.engine.exposure() == (7, 0)
        found.append([row for row in floor.engine.reports if row[9] in (Kind.ADOPTED, Kind.HOLDING)])
    assert found[0] == found[1] and len(found[0]) == 2


@pytest.mark.parametrize("qty", [5, -5])
def test_a_holding_is_a_break_where_it_is_to_be_refused(qty):
    floor = Floor(before=holding(qty), start=False)
    floor.engine.runner.start()
    floor.run(20 * SECOND)
    assert floor.trader.state == TraderState.BROKEN and f"{qty} held at the venue" in floor.trader.reason


def test_no_order_passes_before_the_account_has_been_compared():
    floor = ready_only_after(Floor(start=False))
    assert floor.trader.state == TraderState.READY
    assert floor.venue.placed == len(floor.news()) == 0  # strategies have heard of nothing
    floor.engine.quote()
    floor.engine.place(1)
    floor.run(SECOND)
    assert floor.venue.placed == len(floor.news()) == 1


def test_an_account_that_is_not_ready_sends_no_order_whoever_wants_it():
    floor = Floor(start=False)
    floor.engine.runner.start()
    number = 1 << 20 | 1
    floor.trader.take(Command(0, 0, 1, MID, 10, number, 0, 0, 0, 0, 0, 0, int(Kind.NEW), 1, 0))
    floor.run(5 * SECOND)
    assert floor.venue.placed == 0 and floor.trader.counts.refused == 1
    assert [row[9] for row in floor.engine.reports if row[5] == number] == [int(Kind.REJECTED)]


@pytest.mark.parametrize("change", [3, -20])
def test_a_position_that_changes_behind_our_back_is_a_break_until_it_agrees_again(change):
    floor = Floor()
    floor.engine.place(10)
    floor.run(SECOND)
    floor.venue.fill(floor.venue.open_orders()[0], 10)
    floor.run(SECOND)
    floor.venue.held["AAPL"] += change  # by hand; -20 flips its side
    floor.network.run(floor.network.time + 90 * SECOND)
    assert floor.trader.state == TraderState.BROKEN and f"at ALPACA {10 + change}" in floor.trader.reason
    placed = floor.venue.placed
    floor.engine.quote()
    floor.engine.place(1)
    floor.network.run(floor.network.time + SECOND)
    assert floor.venue.placed == placed
    floor.venue.held["AAPL"] -= change
    floor.network.run(floor.network.time + 90 * SECOND)
    assert floor.trader.state == TraderState.READY


def test_fills_missed_while_away_are_found_at_the_start():
    floor = Floor()
    number = floor.engine.place(10)
    floor.run(SECOND)
    floor.path.clog(TO_CLIENT)
    for _ in range(4):
        floor.venue.fill(floor.venue.open_orders()[0], 2)
    floor.cut()
    floor.run(20 * SECOND)
    floor.path.unclog(TO_CLIENT)
    floor.run(20 * SECOND)
    assert floor.engine.position() == 8 and int(floor.engine.order(number)["fills"]) == 4
    floor.agree()
