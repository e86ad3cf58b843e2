"""Strategies in a market that reacts: one result however it is computed, and books that agree with the exchange's."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from nanotick.core.records import COMMAND, MAKER, CancelReason, Kind
from nanotick.engine.local import Capacity, StrategySetup
from nanotick.engine.output import RunOutput
from nanotick.engine.simulate import Simulation
from nanotick.exchange.agents.description import read_description
from nanotick.exchange.config import Latency, VenueConfig
from nanotick.strategies import built_in
from nanotick.strategy.base import Strategy
from tests.strategies.markets import FREE

SMALL = Capacity(book_orders=1 << 16, book_levels=1 << 14, orders=1 << 14, output=1 << 15, arena_bytes=6 << 30)


def strategies() -> list[Strategy]:
    """A maker and a taker."""
    maker = built_in("avellaneda-stoikov")(gamma=0.01, size=10, max_inventory=5)
    return [built_in("imbalance")(threshold=0.6, size=10), maker]


def simulation(seconds: float = 10.0, symbols: tuple[str, ...] = ("SPY", "AAPL"), **more: Any) -> Simulation:
    """A simulation in the making, of two liquid symbols."""
    setups = [StrategySetup(s, cash=10**12) for s in more.pop("chosen", None) or strategies()]
    market = read_description("us-equities").only(symbols)
    return Simulation(market, setups, seconds=seconds, capacity=SMALL, warm_up=1.0, **more)


def same(one: RunOutput, other: RunOutput) -> bool:
    return one.journal_hash == other.journal_hash and one.state_hash == other.state_hash


def test_the_same_seed_gives_the_same_run_and_another_seed_another() -> None:
    first, second, other = simulation().run(), simulation().run(), simulation(seed=2).run()
    kinds = first.records["kind"]
    assert np.count_nonzero(kinds == int(Kind.FILL)) > 10
    assert same(first, second)
    assert first.journal_hash != other.journal_hash


def test_slices_change_nothing() -> None:
    whole = simulation().run()
    sliced = simulation().run(slice_rows=37)
    assert same(whole, sliced)
    looked = simulation()
    looked.begin()
    for part in range(1, 8):
        looked.advance(looked.start_ts + (looked.last_ts - looked.start_ts) * part // 7)
    assert looked.finish().journal_hash == whole.journal_hash


@pytest.mark.parametrize(
    "venue",
    [
        VenueConfig(entry_latency=80_000, response_latency=30_000, feed_latency=120_000, feed_from="venue"),
        VenueConfig(
            entry_latency=Latency("lognormal", ns=60_000, spread=0.8),
            response_latency=Latency("gamma", ns=0, spread=20_000.0, shape=2.0),
            feed_latency=Latency("lognormal", ns=40_000, spread=0.5),
            feed_from="venue",
        ),
        VenueConfig(feed_latency=0, feed_from="venue"),
    ],
)
def test_running_ahead_changes_nothing(venue: VenueConfig) -> None:
    ahead = simulation(6.0, venue_config=venue)
    step_by_step = simulation(6.0, venue_config=venue)
    step_by_step.region.view[0]["order_latency"] = 0
    step_by_step.region.view[0]["feed_latency"] = 0
    one, other = ahead.run(), step_by_step.run()
    assert np.array_equal(one.records, other.records)
    assert np.count_nonzero(one.records["kind"] == int(Kind.FILL)) > 5


def test_our_fills_are_the_exchanges_trades() -> None:
    run = simulation(10.0)
    out = run.run()
    fills = out.records[out.records["kind"] == int(Kind.FILL)]
    exchange = run.living.exchanges[0]
    # what the others hold is what we do not
    agents = run.living._regions["agents"].view["position"]
    ours = int((fills["qty"] * fills["side"]).sum())
    assert ours + int(agents.sum()) == 0
    held = run.local.portfolio.positions.view["qty"]
    assert int(held.sum()) == ours
    assert len(set(fills["seq"].tolist())) == len(fills)
    assert np.any(fills["flags"] & MAKER) and np.any((fills["flags"] & MAKER) == 0)
    exchange.check()


def test_the_local_book_is_the_exchanges_book_once_everything_has_arrived() -> None:
    run = simulation(5.0, chosen=[built_in("imbalance")(threshold=2.0)])
    run.run()
    exchange = run.living.exchanges[0]
    # what is still on its way arrives
    for row in exchange.events():
        from nanotick.engine.step import step_one

        one = np.array([row])
        step_one(run.local.address, one.ctypes.data, int(row["ts_venue"]))
    for number in range(len(run.instruments)):
        for side in (1, -1):
            found = run.local.books.depth(number, side, 50)
            assert len(found) > 3
            assert np.array_equal(found[["price", "qty"]], exchange.book.depth(number, side, 50)[["price", "qty"]])


def test_commands_reach_the_exchange_after_their_latency_and_not_before() -> None:
    out = simulation(5.0).run()
    commands = out.records[out.records["kind"] == int(Kind.NEW)].view(COMMAND)
    accepted = {int(r["id"]): r for r in out.records[out.records["kind"] == int(Kind.ACCEPTED)]}
    known = [c for c in commands if int(c["id"]) in accepted]
    assert len(known) > 10
    for command in known:
        report = accepted[int(command["id"])]
        assert int(report["ts_venue"]) == int(command["ts"]) + 50_000
        assert int(report["ts_recv"]) == int(report["ts_venue"]) + 50_000


class Crosser(Strategy):
    """Bids inside the spread when `side` is 1, and sells into that bid when it is -1."""

    side: int = 1
    placed: int = 0

    def on_start(self, ctx: Any) -> None:
        ctx.set_timer(500_000_000 if self.side > 0 else 500_400_000, 1, 1_000_000_000)

    def on_timer(self, ctx: Any) -> None:
        if not ctx.has_book():
            return
        if self.side > 0:
            ctx.cancel_all()
            ctx.buy(10, ctx.best_bid())
        else:
            ctx.sell(1_000_000, ctx.best_bid(), 2)


def test_our_strategies_do_not_trade_with_each_other() -> None:
    out = simulation(4.0, ("SPY",), chosen=[Crosser(side=1), Crosser(side=-1)], limits=FREE).run()
    gone = out.records[out.records["kind"] == int(Kind.CANCELLED)]
    assert int(CancelReason.SELF_TRADE) in gone["word"].tolist()


def test_interpreted_and_compiled_do_the_same() -> None:
    code = (
        "from tests.engine.test_simulate import simulation;"
        "o = simulation(0.3, ('SPY',)).run(); print(o.journal_hash, len(o.records))"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "NANOTICK_INTERPRET": flag}, capture_output=True,
            text=True, check=True,
        ).stdout
        for flag in ("0", "1")
    ]  # fmt: skip
    assert found[0] == found[1]
