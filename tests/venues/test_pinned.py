"""A pinned session over real loopback sockets: feeds in processes, the engine on its thread, rings between them."""

import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest

from nanotick.core.journal_reader import JournalReader
from nanotick.core.records import Kind, RejectReason, TradingStatus
from nanotick.engine.kill import read_latch
from nanotick.engine.session_replay import replay
from nanotick.risk.limits import RiskLimits
from nanotick.strategy.base import Strategy
from nanotick.venues import feed_process, pinned
from nanotick.venues.feed import State
from nanotick.venues.live import LiveSession
from nanotick.venues.pinned import PinnedRunner
from nanotick.venues.pinned_loop import ENDED, ask_engine
from nanotick.venues.runner import Phase
from tests.patience import wait_until
from tests.venues.test_live import Quoter, market, settings

__all__ = ["market"]


def run_until(host, condition):
    wait_until(condition, lambda: host.run(0.05))


@pytest.fixture
def open_session(market, tmp_path):
    """Makes pinned sessions at the served venue, and ends them whatever happens."""
    host, _, port = market
    opened = []

    def make(strategy=None, limits=None, **more):
        asked = settings(tmp_path / "state", port, strategy or Quoter(), threading="pinned", **more)
        session = LiveSession(host, replace(asked, limits=limits or asked.limits))
        opened.append(session)
        return session

    yield make
    for session in opened:
        session.runner.close()


def ended(host, session):
    """End it and close it; gives what the replay of its journal finds."""
    session.stop("test")
    run_until(host, lambda: session.over)
    session.close()
    return replay(session.journal)


def journaled(session):
    return np.concatenate(list(JournalReader(session.journal).batches()))


def test_a_pinned_session_trades_over_sockets_and_its_journal_repeats_it(market, open_session):
    host, desk, _ = market
    session = open_session(duration=4.0, flatten=True)
    assert isinstance(session.runner, PinnedRunner)
    session.start()
    run_until(host, lambda: session.runner.phase == Phase.TRADING)
    seen = session.status()
    assert seen["threading"] == "pinned" and seen["feeds"][0]["pid"] not in (0, os.getpid())
    run_until(host, lambda: session.over)
    view = session.view
    assert sum(view.orders) >= 6 and sum(view.fills) >= 1
    assert session.runner.open_orders == 0
    assert all(session.local.portfolio.position(n) == 0 for n in range(2))
    account = desk.accounts["KEY"]
    assert desk.orders(account, open_only=True) == []
    assert not [p for p in desk.positions(account) if float(p.qty)]
    assert session.runner.breaks() == []
    told = sum(int(row["fills"]) for row in session.local.orders.orders.view[: session.local.orders.used])
    assert told == len(desk.fills(account))
    assert {"decision", "send", "ack"} <= set(session.latency.summary()["ALPACA"])
    session.close()
    found = replay(session.journal)
    assert found.difference is None and found.commands == int(session.session.row["commands"]) and found.ended


def test_operators_talk_to_it_while_the_engine_runs(market, open_session):
    host, desk, _ = market
    session = open_session()
    session.start()
    run_until(host, lambda: sum(session.view.orders) >= 2)
    handlers = session._handlers()
    handlers["set"]({"strategy": "Quoter", "name": "every", "value": 5})
    handlers["limit"]({"name": "max_open_orders", "value": 50})
    assert session.view.parameters(0)["every"] == 5
    assert handlers["kill"]({"reason": "a test"})["killed"]
    run_until(host, lambda: session.runner.open_orders == 0)
    assert desk.orders(desk.accounts["KEY"], open_only=True) == []
    before, taken = int(session.session.row["commands"]), session.runner.events
    run_until(host, lambda: session.runner.events > taken + 50)  # the market goes on, and nothing is sent
    assert int(session.session.row["commands"]) == before
    assert read_latch(session.settings.directory) is not None
    assert not handlers["resume"]({"operator": "tester"})["killed"]
    run_until(host, lambda: int(session.session.row["commands"]) > before)
    assert handlers["pause"]({})["strategies"] == ["Quoter"]
    handlers["flatten"]({})
    run_until(host, lambda: session.runner.open_orders == 0 and not any(map(session.local.portfolio.position, (0, 1))))
    assert ended(host, session).difference is None


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_feed_that_dies_or_hangs_is_a_gap_and_a_pause_until_it_is_back(how, market, open_session):
    host, _, _ = market
    session = open_session()
    session.start()
    run_until(host, lambda: sum(session.view.orders) >= 2)
    (feed,) = session.runner.feeds
    first = feed.status()["pid"]
    os.kill(first, how)
    patience, feed._silent_ns = feed._silent_ns, 2_000_000_000 if how == signal.SIGSTOP else feed._silent_ns
    run_until(host, lambda: feed.losses >= 1)
    feed._silent_ns = patience
    assert feed.error
    orders = int(session.session.row["commands"])
    run_until(host, lambda: feed.state == State.LIVE and feed.starts >= 2)
    most = 4  # orders of the quoter that are open at once: so many commands may all be cancels
    run_until(host, lambda: int(session.session.row["commands"]) > orders + most)
    assert feed.status()["pid"] not in (0, first)
    assert ended(host, session).difference is None
    rows = journaled(session)
    status = rows["kind"] == int(Kind.STATUS)
    gap = np.flatnonzero(rows["kind"] == int(Kind.GAP))[0]
    begun = gap + np.flatnonzero((status & (rows["word"] == int(TradingStatus.PAUSED)))[gap:])[0]
    resumed = begun + np.flatnonzero((status & (rows["word"] == int(TradingStatus.TRADING)))[begun:])[0]
    new = rows["kind"] == int(Kind.NEW)
    assert not np.any(new[gap:resumed]) and np.any(new[resumed:])


def test_a_ring_without_room_is_a_gap_and_a_new_connection(market, open_session, monkeypatch):
    host, _, _ = market
    monkeypatch.setattr(feed_process, "RING_RECORDS", 64)
    session = open_session()
    session.start()
    run_until(host, lambda: sum(session.view.orders) >= 2)
    (feed,) = session.runner.feeds
    with session.runner.held():  # an engine that takes nothing
        before = feed.status()
        lost = session.session.sequence
        run_until(host, lambda: feed.status()["ring_full"] > before["ring_full"])
        assert len(feed.ring) == 64
    run_until(host, lambda: feed.status()["reconnects"] > before["reconnects"] and feed.state == State.LIVE)
    orders = int(session.session.row["commands"])
    run_until(host, lambda: int(session.session.row["commands"]) > orders)
    assert feed.losses == 0 and feed.status()["dropped"] > 0
    assert ended(host, session).difference is None
    rows = journaled(session)
    assert {0, 1} <= set(rows["instrument"][lost:][rows["kind"][lost:] == int(Kind.GAP)].tolist())


def test_a_journal_that_stops_cancels_everything(market, open_session):
    host, desk, _ = market
    session = open_session()
    session.start()
    run_until(host, lambda: len(desk.orders(desk.accounts["KEY"], open_only=True)) >= 1)
    session.session.journal.fail()
    run_until(host, lambda: session.runner.phase == Phase.FAILED)
    run_until(host, lambda: desk.orders(desk.accounts["KEY"], open_only=True) == [])
    session.stop("test")
    run_until(host, lambda: session.over)
    session.close()


def test_a_connection_that_is_cut_comes_back_in_the_same_process(market, open_session):
    host, _, _ = market
    session = open_session()
    session.start()
    run_until(host, lambda: session.runner.phase == Phase.TRADING)
    (feed,) = session.runner.feeds
    process = feed.status()["pid"]
    feed.cut()
    run_until(host, lambda: feed.reconnects >= 1 and feed.state == State.LIVE)
    assert feed.status()["pid"] == process and feed.losses == 0
    assert ended(host, session).difference is None
    assert np.any(journaled(session)["kind"] == int(Kind.GAP))


class Eager(Strategy):
    """An order that rests, every 100 ms, whatever became of the one before."""

    def on_start(self, ctx):
        ctx.set_timer(100_000_000, 1, 100_000_000)

    def on_timer(self, ctx, timer):
        if ctx.best_bid(instrument=0) > 0:
            ctx.buy(1, ctx.best_bid(instrument=0) - 100, instrument=0)


def stalled(condition):
    """Nothing runs in this thread, gateway and market included, until the engine's thread has got so far."""
    wait_until(condition)


def test_an_order_that_waited_too_long_for_the_gateway_is_not_sent(market, open_session):
    host, desk, _ = market
    session = open_session(Eager(), RiskLimits(max_book_age_s=3600))
    session.start()
    run_until(host, lambda: sum(session.view.orders) >= 2)
    runner, commands = session.runner, int(session.session.row["commands"])
    stalled(lambda: int(session.session.row["commands"]) >= commands + 2)
    told = time.monotonic()
    stalled(lambda: time.monotonic() > told + 1.5 * pinned.MAX_AGE_NS / 1e9)
    run_until(host, lambda: runner.withheld >= 1)
    rows = journaled(session)
    refused = rows[(rows["kind"] == int(Kind.REJECTED)) & (rows["word"] == int(RejectReason.BLOCKED))]
    assert len(refused) >= 1
    clients = {order.client for order in desk.orders(desk.accounts["KEY"])}
    ids = next(iter(runner.accounts.values())).ids
    assert not clients & {ids.text(int(number)) for number in refused["id"]}
    assert ended(host, session).difference is None


def test_an_engine_without_a_gateway_kills_itself_and_the_latch_follows(market, open_session):
    host, desk, _ = market
    session = open_session(Eager())
    session.start()
    run_until(host, lambda: sum(session.view.orders) >= 2)
    assert not session.kill.killed
    session.runner.be_patient(1.0)
    stalled(lambda: session.kill.killed)
    commands = int(session.session.row["commands"])
    run_until(host, lambda: session.runner.open_orders == 0)
    assert read_latch(session.settings.directory).reason == "LOST_GATEWAY"
    assert desk.orders(desk.accounts["KEY"], open_only=True) == []
    rows = journaled(session)
    assert not np.any(rows["kind"][np.flatnonzero(rows["kind"] == int(Kind.CONTROL))[0] :] == int(Kind.NEW))
    assert int(session.session.row["commands"]) >= commands
    assert ended(host, session).difference is None


class Stuck(Quoter):
    """Counts for many seconds when told to."""

    count: int = 0
    seed: int = 1

    def on_timer(self, ctx, timer):
        n, x = 0, self.seed
        while n < self.count:
            x = (x ^ (x >> 3)) * 5 & 0xFFFFFFFF
            n += 1
        self.seed = x | 1
        if ctx.best_bid(instrument=0) > 0 and ctx.open_orders(instrument=0) < 2:
            ctx.buy(1, ctx.best_bid(instrument=0) - 100, instrument=0)


def test_orders_are_cancelled_past_an_engine_that_does_not_come_back(market, open_session):
    host, desk, _ = market
    session = open_session(Stuck())
    session.start()
    account = desk.accounts["KEY"]
    run_until(host, lambda: len(desk.orders(account, open_only=True)) >= 1)
    session.runner.set_parameter(0, "count", 1_000_000_000)
    session.runner.be_patient(0.5)
    run_until(host, lambda: session.runner.stuck)
    assert session.runner.phase == Phase.FAILED
    run_until(host, lambda: desk.orders(account, open_only=True) == [])
    assert read_latch(session.settings.directory).reason == "ENGINE"
    assert session.status()["stuck"]
    session.stop("test")
    run_until(host, lambda: session.over)
    session.close()
    loop = session.runner._loop
    stalled(lambda: ask_engine(loop.address, ENDED, 1))  # it does come back, for nobody


def test_a_gateway_that_spins_does_the_same(market, open_session):
    host, _, _ = market
    host.spin = True
    try:
        session = open_session(duration=2.0)
        session.start()
        run_until(host, lambda: session.over)
        assert sum(session.view.orders) >= 2
        session.close()
        assert replay(session.journal).difference is None
    finally:
        host.spin = False
