"""Rate limits: never exceeded in any window, cancels always served from their reserve."""

import multiprocessing
import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanotick.venues.limiter import SLACK_NS, Decaying, FixedWindow, RateLimiter, SlidingWindow
from nanotick.venues.limits import limits_of, limits_told
from nanotick.wire.reports import Used

MS, S = 1_000_000, 1_000_000_000
T0 = 1_700_000_000 * S
NEVER = (1 << 63) - 1

# gaps in ms between requests, whether each is a cancel, and its weight
TRAFFIC = st.lists(
    st.tuples(st.integers(0, 400) | st.integers(0, 20_000), st.booleans(), st.integers(1, 4)), min_size=1, max_size=200
)


def drive(limits, traffic, **cost):
    """Ask as the traffic wants; the times, weights and kinds of what was taken."""
    taken, now = [], T0
    for gap, cancel, weight in traffic:
        now += gap * MS
        if limits.take(now, cancel, weight, **cost) <= now:
            taken.append((now, weight, cancel))
    return taken


@given(TRAFFIC, st.integers(-SLACK_NS, SLACK_NS))
def test_a_fixed_window_is_never_exceeded_even_if_clocks_differ_by_the_slack(traffic, shift):
    taken = drive(RateLimiter([FixedWindow(20, 10 * S)]), traffic)
    use = {}
    for when, weight, _ in taken:
        window = (when + shift) // (10 * S)
        use[window] = use.get(window, 0) + weight
    assert all(count <= 20 for count in use.values())


@given(TRAFFIC)
def test_a_sliding_window_is_never_exceeded_wherever_it_begins(traffic):
    taken = drive(RateLimiter([SlidingWindow(20, 10 * S)]), traffic)
    for begin, _, _ in taken:
        assert sum(weight for when, weight, _ in taken if begin <= when < begin + 10 * S) <= 20


@given(TRAFFIC)
def test_a_decaying_counter_never_passes_its_limit(traffic):
    taken = drive(RateLimiter([Decaying(20, 2.34)]), traffic)
    counter, before = 0.0, T0
    for when, weight, _ in taken:
        counter = max(0.0, counter - (when - before) / S * 2.34) + weight
        before = when
        assert counter <= 20 + 1e-3


@given(TRAFFIC)
def test_all_limits_hold_at_once(traffic):
    limits = RateLimiter([FixedWindow(30, 10 * S), SlidingWindow(12, 3 * S), Decaying(15, 3.0)])
    taken = drive(limits, traffic)
    assert all(sum(w for t, w, _ in taken if b <= t < b + 3 * S) <= 12 for b, _, _ in taken)
    use = {}
    for when, weight, _ in taken:
        use[when // (10 * S)] = use.get(when // (10 * S), 0) + weight
    assert all(count <= 30 for count in use.values())


@pytest.mark.parametrize(
    "make", [lambda: FixedWindow(20, 10 * S), lambda: SlidingWindow(20, 10 * S), lambda: Decaying(20, 2.0)]
)
@given(TRAFFIC)
def test_cancels_find_their_reserve_whatever_else_was_asked(make, traffic):
    limits, now, cancels = RateLimiter([make()]), T0, []
    for gap, cancel, weight in traffic:
        now += gap * MS
        recent = [when for when in cancels if when > now - 11 * S]
        if cancel and len(recent) < 4:  # a fifth of twenty in any stretch that a window may count
            assert limits.take(now, cancel=True) == now
            cancels.append(now)
        elif not cancel:
            limits.take(now, weight=weight)


@given(TRAFFIC)
def test_orders_alone_use_the_limit_of_orders(traffic):
    limits = RateLimiter([FixedWindow(1000, 60 * S), FixedWindow(5, 10 * S, charge="orders")])
    now, orders = T0, []
    for gap, cancel, _ in traffic:
        now += gap * MS
        when = limits.take(now, cancel, orders=0 if cancel else 1)
        assert not cancel or when == now
        if not cancel and when == now:
            orders.append(now // (10 * S))
    assert all(orders.count(window) <= 5 for window in set(orders))


@given(TRAFFIC)
def test_nothing_is_taken_when_it_is_refused_and_waiting_always_ends(traffic):
    limits = RateLimiter([FixedWindow(6, 10 * S), SlidingWindow(8, 10 * S), Decaying(7, 0.5)])
    now = T0
    for gap, cancel, weight in traffic:
        now += gap * MS
        before = [rule["used"] for rule in limits.status(now)]
        when = limits.take(now, cancel, weight)
        if when > now:
            assert [rule["used"] for rule in limits.status(now)] == before
            for _ in range(4):
                now, when = when, limits.take(when, cancel, weight)
                if when == now:
                    break
            assert when == now


def test_what_is_above_the_limit_by_itself_is_never_allowed():
    limits = RateLimiter([FixedWindow(10, S)])
    assert limits.take(T0, weight=9) == NEVER and limits.take(T0, cancel=True, weight=9) == T0
    assert limits.take(T0, cancel=True, weight=11) == NEVER


def test_a_ban_holds_for_everything_until_it_ends():
    limits = RateLimiter([SlidingWindow(100, S)])
    limits.blocked(T0 + 120 * S)
    limits.blocked(T0 + 5 * S)
    assert limits.take(T0) == limits.take(T0, cancel=True) == T0 + 120 * S
    assert limits.take(T0 + 120 * S) == T0 + 120 * S and limits.blocked_until == T0 + 120 * S


def test_the_venues_own_count_raises_ours_and_never_lowers_it():
    limits = RateLimiter([FixedWindow(100, 60 * S), FixedWindow(10, 10 * S, charge="orders")])
    now = T0 + 5 * S - T0 % (60 * S)
    limits.take(now, weight=30, orders=2)
    limits.told([Used("REQUEST_WEIGHT", 60, 0, 75), Used("ORDERS", 10, 0, 1), Used("ORDERS", 86400, 0, 9)], now)
    assert [rule["used"] for rule in limits.status(now)] == [75, 2]
    assert limits.take(now, weight=10) > now and limits.take(now, weight=5) == now
    assert limits.status(now + 60 * S)[0]["used"] == 0


def test_counters_of_pairs_are_apart():
    limits = RateLimiter([Decaying(10, 1.0, key="XBT/USD"), Decaying(10, 1.0, key="ETH/USD")])
    assert limits.take(T0, weight=8, key="XBT/USD") == T0 and limits.take(T0, weight=1, key="XBT/USD") > T0
    assert limits.take(T0, weight=8, key="ETH/USD") == T0
    limits.count("ETH/USD", 10, T0)
    assert limits.take(T0, cancel=True, key="ETH/USD") == T0 + S


def test_settings_that_make_no_sense_are_refused():
    for settings_ in ({"limit": 0}, {"limit": 5, "charge": "calls"}, {"limit": 5, "reserve": 1.0}):
        with pytest.raises(ValueError, match="expected a limit"):
            SlidingWindow(window_ns=S, **settings_)
    with pytest.raises(ValueError, match="decay"):
        Decaying(5, 0.0)


def test_time_that_goes_back_allows_no_more():
    limits = RateLimiter([FixedWindow(10, S), SlidingWindow(10, S), Decaying(10, 1.0)])
    assert sum(limits.take(T0 + 5 * S) <= T0 + 5 * S for _ in range(20)) == 8
    assert limits.take(T0) > T0 and limits.take(T0 + 4 * S) > T0 + 4 * S


def _rush(path, start, total):
    limits = RateLimiter(_shared_rules(), path)
    start.wait()
    taken = sum(limits.take(T0 + 20 * S) <= T0 + 20 * S for _ in range(500))
    with total.get_lock():
        total.value += taken


def _shared_rules():
    return [FixedWindow(1000, 60 * S), SlidingWindow(900, 60 * S), FixedWindow(10**6, 60 * S, charge="orders")]


def test_processes_share_the_limits_of_a_file(tmp_path):
    path = tmp_path / "limits" / "account"
    context = multiprocessing.get_context("fork")
    start, total = context.Event(), context.Value("q", 0)
    workers = [context.Process(target=_rush, args=(path, start, total)) for _ in range(4)]
    for worker in workers:
        worker.start()
    start.set()
    for worker in workers:
        worker.join(30)
    assert total.value == 720  # four fifths of the tighter one
    later = RateLimiter(_shared_rules(), path)
    assert later.take(T0 + 20 * S) > T0 + 20 * S and later.take(T0 + 20 * S, cancel=True) == T0 + 20 * S
    assert os.stat(path).st_mode & 0o777 == 0o600
    later.blocked(T0 + 100 * S)
    assert RateLimiter(_shared_rules(), path).blocked_until == T0 + 100 * S
    later.close()
    with pytest.raises(ValueError, match="counts of other limits"):
        RateLimiter([FixedWindow(5, S)], path)


@settings(max_examples=20)
@given(TRAFFIC)
def test_a_shared_limiter_decides_as_a_private_one(tmp_path_factory, traffic):
    rules = [FixedWindow(20, 10 * S), SlidingWindow(15, 5 * S), Decaying(18, 2.0)]
    shared = RateLimiter(rules, tmp_path_factory.mktemp("limits") / "file")
    assert drive(shared, traffic) == drive(RateLimiter(rules), traffic)
    shared.close()


class StrictVenue:
    """Counts what arrives, by its own clock, and bans whoever is over a limit."""

    def __init__(self, ahead):
        self.ahead, self.bans, self.counts = ahead, 0, {}

    def arrives(self, when, weight, orders):
        for name, limit, window, amount in (
            ("weight", 6000, 60 * S, weight), ("orders", 100, 10 * S, orders), ("day", 200_000, 86_400 * S, orders)
        ):  # fmt: skip
            key = (name, (when + self.ahead) // window)
            self.counts[key] = self.counts.get(key, 0) + amount
            self.bans += self.counts[key] > limit


@pytest.mark.parametrize("hours", [1, pytest.param(24, marks=pytest.mark.nightly)])
def test_a_soak_at_many_times_the_limits_earns_no_ban_and_strands_no_cancel(hours):
    limits, venue = limits_of("binance"), StrictVenue(ahead=37 * MS)
    draw, now, stranded, until = random.Random(11), T0, 0, 0
    while now < T0 + hours * 3600 * S:
        now += draw.randrange(0, 60 * MS)
        if draw.random() < 1e-4:  # 429 with Retry-After
            until = max(until, now + draw.randrange(1, 30) * S)
            limits.blocked(until)
        cancel = draw.random() < 0.02
        weight = 1 if cancel else draw.choice((1, 1, 4, 20, 250))
        if limits.take(now, cancel, weight, orders=0 if cancel else 1) <= now:
            assert now >= until
            venue.arrives(now + draw.randrange(60 * MS), weight, 0 if cancel else 1)
        else:
            stranded += cancel and now >= until
    assert venue.bans == 0 and stranded == 0


def test_the_limits_that_venues_publish():
    assert [rule.limit for rule in limits_of("binance").rules] == [6000, 61_000, 100, 200_000]
    kraken = limits_of("kraken", tier="pro", symbols=["XBT/USD", "ETH/USD"])
    assert sum(kraken.take(T0, key="XBT/USD") <= T0 for _ in range(300)) == 144
    alpaca = limits_of("alpaca")
    assert sum(alpaca.take(T0) <= T0 for _ in range(300)) == 160
    for wrong in ({"venue": "nyse"}, {"venue": "kraken", "tier": "gold"}):
        with pytest.raises(ValueError, match="expected"):
            limits_of(**wrong)
    told = limits_told([Used("ORDERS", 10, 50, 3), Used("REQUEST_WEIGHT", 60, 1200, 1), Used("ELSE", 1, 1, 1)])
    assert [(rule.limit, rule.charge) for rule in told.rules] == [(50, "orders"), (1200, "weight")]


def _count_along(path, joined, leave):
    limits = RateLimiter([FixedWindow(20, 10 * S)], path)
    joined.set()
    leave.wait(60)
    limits.close()


def test_who_counts_alone_in_a_file_knows_what_passes_until_somebody_comes(tmp_path):
    path = tmp_path / "limits"
    limits = RateLimiter([FixedWindow(20, 10 * S)], path)
    limits.look(T0)
    assert limits.spare() == 8
    spawn = multiprocessing.get_context("spawn")
    joined, leave = spawn.Event(), spawn.Event()
    other = spawn.Process(target=_count_along, args=(path, joined, leave))
    other.start()
    assert joined.wait(60)
    assert limits.spare() == 0  # without having looked
    limits.look(T0)
    assert limits.spare() == 0
    leave.set()
    other.join(60)
    limits.look(T0)
    assert limits.spare() == 8
    limits.close()


def test_two_limiters_of_one_process_are_two_who_count(tmp_path):
    path = tmp_path / "limits"
    one, other = (RateLimiter([FixedWindow(20, 10 * S)], path) for _ in range(2))
    for limits in (one, other):
        limits.look(T0)
        assert limits.spare() == 0
    other.close()
    one.look(T0)
    assert one.spare() == 8
    one.close()


def test_a_user_that_is_killed_counts_no_more(tmp_path):
    path = tmp_path / "limits"
    limits = RateLimiter([FixedWindow(20, 10 * S)], path)
    spawn = multiprocessing.get_context("spawn")
    joined, never = spawn.Event(), spawn.Event()
    other = spawn.Process(target=_count_along, args=(path, joined, never))
    other.start()
    assert joined.wait(60)
    other.kill()
    other.join(60)
    limits.look(T0)
    assert limits.spare() == 8
    limits.close()
