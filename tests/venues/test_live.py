"""A whole session over real loopback sockets: a served Alpaca on one side, our feed, trader and engine on the other."""

import json
from dataclasses import replace

import pytest

from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.secret import Secret
from nanotick.engine.local import Capacity, StrategySetup
from nanotick.engine.session_replay import replay
from nanotick.exchange.agents.description import read_description
from nanotick.risk.limits import RiskLimits
from nanotick.strategy.base import Strategy
from nanotick.venues.alpaca.server import TERMS, AlpacaSite
from nanotick.venues.control import ControlClient
from nanotick.venues.desk import Desk
from nanotick.venues.desk_terms import Account
from nanotick.venues.live import AccountSpec, FeedSpec, LiveSession, LiveSettings
from nanotick.venues.paced_market import PacedMarket
from nanotick.venues.registry import package
from nanotick.venues.runner import Phase
from nanotick.venues.sockets import Sockets
from tests.venues.live import until

SMALL = Capacity(book_orders=1 << 12, book_levels=1 << 14, orders=1 << 14, output=1 << 18, arena_bytes=1 << 30)
SYMBOLS = ("SPY", "AAPL")


class Quoter(Strategy):
    """Rests a little away from the market on both sides, anew every 200 ms, and takes now and then."""

    every: int = 200_000_000
    turns: int = 0

    def on_start(self, ctx):
        ctx.set_timer(self.every, 1, self.every)

    def on_timer(self, ctx, timer):
        if ctx.best_bid(instrument=0) <= 0 or ctx.best_ask(instrument=0) <= 0:
            return
        self.turns += 1
        if ctx.open_orders(instrument=0) > 2:
            ctx.cancel_all(instrument=0)
        else:
            ctx.buy(5, ctx.best_bid(instrument=0), instrument=0)
            ctx.sell(5, ctx.best_ask(instrument=0), instrument=0)


@pytest.fixture
def market(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    with Sockets() as host:
        paced = PacedMarket(host, read_description("us-equities").only(SYMBOLS), seed=3)
        desk = Desk(host, paced, accounts=[Account("KEY", "SECRET", balances={"USD": "1000000"})], terms=TERMS)
        desk.start()
        port = host.serve(AlpacaSite(desk, rate_limit=0, symbol_limit=0, connections=8))
        yield host, desk, port


def settings(directory, port, strategy, duration=0.0, **more):
    keys = {"key": "KEY", "secret": Secret("SECRET")}
    alpaca = package("alpaca")
    table = InstrumentTable([Instrument(s, "ALPACA", 4, 0, tick_size="0.01") for s in SYMBOLS])
    return LiveSettings(
        directory=directory, instruments=table, setups=[StrategySetup(strategy, cash=10**12)],
        feeds=[FeedSpec(alpaca, "ALPACA", (f"ws://127.0.0.1:{port}",), {**keys, "stream": "sip"})],
        accounts=[AccountSpec(alpaca, {"rest": f"http://127.0.0.1:{port}", "stream": f"ws://127.0.0.1:{port}/stream"},
                              keys)],
        limits=RiskLimits(), capacity=SMALL, duration=duration, **more,
    )  # fmt: skip


def test_a_session_trades_over_sockets_and_its_journal_repeats_it(market, tmp_path):
    host, desk, port = market
    session = LiveSession(host, settings(tmp_path / "state", port, Quoter(), duration=4.0, flatten=True))
    session.start()
    until(host, lambda: session.over)
    view = session.view
    assert sum(view.orders) >= 6 and sum(view.fills) >= 1
    assert session.runner.open_orders == 0
    assert all(session.local.portfolio.position(n) == 0 for n in range(2))  # flattened
    account = desk.accounts["KEY"]
    assert desk.orders(account, open_only=True) == []
    assert not [p for p in desk.positions(account) if float(p.qty)]
    assert sum(session.runner.breaks() != [] for _ in (1,)) == 0
    # every fill of the venue is booked here, once
    told = sum(int(row["fills"]) for row in session.local.orders.orders.view[: session.local.orders.used])
    assert told == len(desk.fills(account))
    latency = session.latency.summary()["ALPACA"]
    assert {"decision", "send", "ack"} <= set(latency)
    session.close()
    found = replay(session.journal)
    assert found.difference is None and found.commands == int(session.session.row["commands"]) and found.ended


def test_operators_talk_to_it_while_it_runs(market, tmp_path):
    host, desk, port = market
    session = LiveSession(host, settings(tmp_path / "state", port, Quoter()))
    session.start()
    until(host, lambda: sum(session.view.orders) >= 2)
    handlers = session._handlers()
    seen = json.loads(json.dumps(session.status(), default=str))
    assert seen["phase"] == "trading" and seen["accounts"][0]["state"] == "ready"
    assert {"symbol", "bids", "asks"} <= set(seen["ladder"])
    handlers["set"]({"strategy": "Quoter", "name": "every", "value": 5})
    assert session.view.parameters(0)["every"] == 5
    with pytest.raises(ValueError, match="has no parameter"):
        handlers["set"]({"strategy": "Quoter", "name": "evry", "value": 5})
    assert handlers["kill"]({"reason": "a test"})["killed"]
    until(host, lambda: session.runner.open_orders == 0)
    assert desk.orders(desk.accounts["KEY"], open_only=True) == []
    before = sum(session.view.orders)
    host.run(0.5)
    assert sum(session.view.orders) == before
    with pytest.raises(ValueError, match="operator"):
        handlers["resume"]({})
    assert not handlers["resume"]({"operator": "tester"})["killed"]
    until(host, lambda: sum(session.view.orders) > before)
    session.stop("test")
    until(host, lambda: session.over)
    session.close()


def test_a_crashed_session_goes_on_and_knows_what_it_missed(market, tmp_path):
    host, desk, port = market
    first = LiveSession(host, settings(tmp_path / "state", port, Quoter()))
    first.start()
    until(host, lambda: sum(first.view.fills) >= 1 and first.runner.open_orders >= 1)
    # the process dies: sockets close, nothing is said to anybody, the journal is as it lies on the disk
    for feed in first.runner.feeds:
        feed.stop()
    for account in first.runner.accounts.values():
        account._deliver = lambda address, count: None  # a dead process hears nothing
        account.stream.stop()
        account.end_timers()
    first.runner.phase = Phase.STOPPED
    first.control.close()
    first.session.row["journal_address"] = 0
    first.session.journal.close()
    first.session.journal = None
    held = [first.local.portfolio.position(n) for n in range(2)]
    host.run(1.5)  # the market goes on, and with it our resting orders
    again = LiveSession(host, settings(tmp_path / "state", port, Quoter()))
    assert again.resumed and again.journal == first.journal
    assert [again.local.portfolio.position(n) for n in range(2)] == held
    again.start()
    until(host, lambda: again.runner.phase == Phase.TRADING)
    until(host, lambda: next(iter(again.runner.accounts.values())).unknown == 0)
    account = desk.accounts["KEY"]

    def equal():
        there = {p.symbol: int(float(p.qty)) for p in desk.positions(account)}
        return all(again.local.portfolio.position(n) == there.get(symbol, 0) for n, symbol in enumerate(SYMBOLS))

    until(host, equal)
    again.stop("test")
    until(host, lambda: again.over)
    assert desk.orders(account, open_only=True) == []
    again.close()
    assert replay(again.journal).difference is None


def test_a_kill_outlives_the_session(market, tmp_path):
    host, _, port = market
    directory = tmp_path / "state"
    first = LiveSession(host, settings(directory, port, Quoter()))
    first.start()
    until(host, lambda: first.runner.phase == Phase.TRADING)
    first._handlers()["kill"]({"reason": "enough"})
    first.stop("test")
    until(host, lambda: first.over)
    first.close()
    second = LiveSession(host, settings(directory, port, Quoter()))
    assert not second.resumed and second.number != first.number
    second.start()
    until(host, lambda: second.runner.phase == Phase.TRADING)
    host.run(1.0)
    assert second.kill.killed and sum(second.view.orders) == 0
    second.stop("test")
    until(host, lambda: second.over)
    second.close()


def test_the_control_socket_answers_a_program(market, tmp_path):
    import threading

    host, _, port = market
    directory = tmp_path / "state"
    session = LiveSession(host, settings(directory, port, Quoter()))
    session.start()
    answers = []

    def ask():
        with ControlClient(directory) as client:
            answers.append(client.ask("status"))
            answers.append(client.ask("strategies"))

    thread = threading.Thread(target=ask)
    thread.start()
    until(host, lambda: not thread.is_alive())
    assert answers[0]["mode"] == "paper" and answers[1]["strategies"][0]["name"] == "Quoter"
    session.stop()
    until(host, lambda: session.over)
    session.close()


def test_published_limits_are_kept_and_counted_in_one_place(market, tmp_path):
    host, _, port = market
    asked = settings(tmp_path / "state", port, Quoter())
    asked.accounts = [replace(asked.accounts[0], limited=True)]
    session = LiveSession(host, asked)
    trader = next(iter(session.runner.accounts.values()))
    now = host.now()
    taken = sum(trader.limiter.take(now) <= now for _ in range(300))
    assert 100 <= taken < 200  # 200 a minute, a fifth of them kept for cancels
    assert trader.limiter.take(now, True) <= now
    assert (tmp_path / "state" / "limits-alpaca").exists()
    session.runner.phase = Phase.STOPPED
    session.close()
