"""The live terminal and a session that trades over loopback: what is shown is what is so."""

import asyncio
import threading

import pytest

from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.secret import Secret
from nanotick.engine.local import Capacity, StrategySetup
from nanotick.exchange.agents.description import read_description
from nanotick.portfolio.portfolio import MICRO
from nanotick.strategy.base import Strategy
from nanotick.terminal.app import Top
from nanotick.terminal.watcher import watch_directory
from nanotick.venues.alpaca.server import TERMS, AlpacaSite
from nanotick.venues.desk import Desk
from nanotick.venues.desk_terms import Account
from nanotick.venues.live import AccountSpec, FeedSpec, LiveSession, LiveSettings
from nanotick.venues.paced_market import PacedMarket
from nanotick.venues.registry import package
from nanotick.venues.sockets import Sockets
from tests.patience import wait_until

SMALL = Capacity(book_orders=1 << 12, book_levels=1 << 14, orders=1 << 14, output=1 << 18, arena_bytes=1 << 30)


class Taker(Strategy):
    """Buys by fives and sells by sevens, never short, so that fills open, add and close at average cost."""

    every: int = 100_000_000

    def on_start(self, ctx):
        ctx.set_timer(self.every, 1, self.every)

    def on_timer(self, ctx, timer):
        if ctx.best_bid(instrument=0) <= 0 or ctx.best_ask(instrument=0) <= 0 or ctx.open_orders(instrument=0) > 0:
            return
        if ctx.position(instrument=0) >= 10:
            ctx.sell(7, ctx.best_bid(instrument=0), instrument=0)
        else:
            ctx.buy(5, ctx.best_ask(instrument=0), instrument=0)


@pytest.fixture
def session(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    with Sockets() as host:
        paced = PacedMarket(host, read_description("us-equities").only(("SPY",)), seed=3)
        desk = Desk(host, paced, accounts=[Account("KEY", "SECRET", balances={"USD": "1000000"})], terms=TERMS)
        desk.start()
        port = host.serve(AlpacaSite(desk, rate_limit=0, symbol_limit=0, connections=8))
        keys, alpaca = {"key": "KEY", "secret": Secret("SECRET")}, package("alpaca")
        rest = {"rest": f"http://127.0.0.1:{port}", "stream": f"ws://127.0.0.1:{port}/stream"}
        settings = LiveSettings(
            directory=tmp_path / "state", capacity=SMALL, setups=[StrategySetup(Taker(), cash=10**12)],
            instruments=InstrumentTable([Instrument("SPY", "ALPACA", 4, 0, tick_size="0.01")]),
            feeds=[FeedSpec(alpaca, "ALPACA", (f"ws://127.0.0.1:{port}",), {**keys, "stream": "sip"})],
            accounts=[AccountSpec(alpaca, rest, keys)],
        )  # fmt: skip
        session = LiveSession(host, settings)
        session.start()
        yield session
        session.stop("test")
        for _ in range(200):
            if session.over:
                break
            host.run(0.05)
        session.close()


def run_until(session, condition):
    wait_until(condition, lambda: session.host.run(0.05))


def test_fills_profits_and_a_kill_by_key(session, tmp_path):
    shown, steps = [], []

    async def watch():
        app = Top(watch_directory(tmp_path / "state"), 0.1)
        async with app.run_test(size=(120, 40)) as pilot:
            while not (app.status and app.status["total"]["fills"] >= 6):
                await pilot.pause(0.05)
            await pilot.pause(0.2)
            shown.append((app.status, app.export_screenshot()))
            await pilot.press("k", "k")
            while not app.status["killed"]:
                await pilot.pause(0.05)
            steps.append("killed")
            await pilot.press("r")
            await pilot.press(*"ada", "enter")
            while app.status["killed"]:
                await pilot.pause(0.05)
            steps.append("resumed")
            await pilot.press("q")

    thread = threading.Thread(target=lambda: asyncio.run(watch()), daemon=True)
    thread.start()
    run_until(session, lambda: not thread.is_alive())
    assert steps == ["killed", "resumed"] and session.kill.operators == ["ada"]
    status, picture = shown[0]
    assert "SPY" in picture and "Taker" in picture
    run_until(session, lambda: sum(session.view.fills) >= 8)
    session.runner._drain()
    # what the lines tell of each fill is, added up, what the portfolio has realised
    told = sum(trade["profit"] for trade in session.view.trades)
    held = session.local.portfolio.positions.view[0]
    booked = (int(held["realised"]) - int(held["fees"])) / 10**4
    assert len(session.view.trades) == session.view.number
    assert told == pytest.approx(booked, abs=1e-4 * len(session.view.trades))  # the ledger rounds to value units
    assert status["risk"]["rows"][-1]["name"] == "account"
    assert int(session.local.portfolio.accounts.view[1]["equity"]) / MICRO
