"""While nothing of ours is at the venue its book sleeps: nobody may be able to tell from what comes out."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nanotick as nt
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import BOTH_SIDES, EVENT, Flag, Kind, TradingStatus
from nanotick.data.synthetic import synthetic_day
from nanotick.engine.backtest import Backtest, Recording
from nanotick.engine.local import StrategySetup
from nanotick.engine.output import RunOutput
from nanotick.engine.replay import run_replay
from nanotick.exchange.config import VenueConfig
from nanotick.risk.limits import RiskLimits
from tests.engine.conftest import SMALL

FREE = RiskLimits(**{name: "unlimited" for name in RiskLimits.__dataclass_fields__ if name.startswith("max_")})
VENUE = VenueConfig(entry_latency=40_000, response_latency=30_000)
TABLE = InstrumentTable([Instrument(f"P{n}", "V", 1, 0, "0.1", "1") for n in range(2)])


class Visitor(nt.Strategy):
    """Goes to the market now and then: takes, rests for a while, leaves again."""

    step: int = 5_000_000
    turn: int = 0
    resting: int = 0

    def on_start(self, ctx: Any) -> None:
        ctx.every(self.step)

    def on_timer(self, ctx: Any) -> None:
        if not ctx.has_book():
            return
        self.turn += 1
        if self.resting != 0:
            ctx.cancel(self.resting)
            self.resting = 0
        if self.turn % 3 == 0:
            self.resting = ctx.buy(ctx.lot_size(), ctx.best_bid())
        elif self.turn % 3 == 1:
            ctx.sell_market(ctx.lot_size())
        elif self.turn % 7 == 0:
            ctx.buy(3 * ctx.lot_size(), ctx.best_ask(), nt.IOC)


def by_level(rows: int, seed: int) -> np.ndarray[Any, Any]:
    """Price levels of two instruments with all that may come between: quotes, clears, halts, prices off the grid."""
    rng = np.random.default_rng(seed)
    out = np.zeros(rows, EVENT)
    middle = 10_000 + np.cumsum(rng.integers(-1, 2, rows)) // 2
    side = rng.choice([-1, 1], rows)
    out["kind"] = rng.choice(
        [Kind.LEVEL, Kind.TRADE, Kind.QUOTE, Kind.CLEAR, Kind.STATUS], rows, p=[0.9, 0.07, 0.02, 0.005, 0.005]
    )
    out["instrument"] = rng.integers(0, 2, rows)
    out["side"] = side
    out["price"] = middle - side * rng.geometric(0.05, rows)
    out["qty"] = rng.integers(0, 9, rows)
    quotes = out["kind"] == Kind.QUOTE
    out["price"][quotes] = middle[quotes] - 1
    out["id"][quotes], out["word"][quotes] = middle[quotes] + 1, 5
    status = np.flatnonzero(out["kind"] == Kind.STATUS)
    out["word"][status] = np.where(np.arange(len(status)) % 2, TradingStatus.TRADING, TradingStatus.HALTED)
    out["ts_venue"] = 1_000_000_000 + np.cumsum(rng.integers(0, 60_000, rows))
    out["ts_recv"] = np.maximum.accumulate(out["ts_venue"] + rng.integers(0, 200_000, rows))
    out["flags"] = BOTH_SIDES | np.where(rng.random(rows) < 0.2, int(Flag.LAST), 0)
    out["seq"] = np.arange(rows)
    return out


def clocks_apart(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A stretch of rows that are received before the venue says it sent them."""
    out = rows.copy()
    out["ts_recv"][2_000:2_400] = out["ts_recv"][2_000]
    out["ts_recv"][2_400:] = np.maximum(out["ts_recv"][2_400:], out["ts_recv"][2_000])
    return out


def one_sided(kinds: list[int]) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """Rows of these kinds arrive here later than some that the venue sent after them: they stand there twice."""

    def change(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        parts, at = [], 0
        for late in np.flatnonzero(np.isin(rows["kind"], kinds))[40:-40:150]:
            if late < at:
                continue
            first = rows[late : late + 1].copy()
            last = first.copy()
            first["flags"] &= 0xFF - int(Flag.LOCAL)
            last["flags"] &= 0xFF - int(Flag.VENUE)
            last["ts_recv"] = rows["ts_recv"][late + 2]
            parts += [rows[at:late], first, rows[late + 1 : late + 3], last]
            at = late + 3
        return np.concatenate([*parts, rows[at:]])

    return change


def by_order(rows: int, seed: int) -> np.ndarray[Any, Any]:
    return synthetic_day(seed=seed, seconds=600).events[:rows]


def outcome(test: Backtest, sliced: int, awake: bool) -> tuple[RunOutput, dict[str, str], int]:
    """What came out, the hashes of all regions but the loop's own, how often the venue's book was seen asleep."""
    test.replay_region.view["apart"] = int(awake)
    asleep = 0
    test.begin()
    while run_replay(test.replay_region.address, 0, sliced):
        asleep += int(test.replay_region.view[0]["asleep"])
        test.collector.drain()
    out = test.resume()
    regions = test.arena.region_digests()
    return out, {name: digest for name, digest in regions.items() if name != "replay"}, asleep


def same(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return rows


@pytest.mark.parametrize(
    "make, change, table, sleeps",
    [
        (by_level, same, TABLE, True),
        (by_level, clocks_apart, TABLE, True),
        (by_level, one_sided([Kind.TRADE]), TABLE, True),
        (by_level, one_sided([Kind.LEVEL]), TABLE, False),
        (by_order, same, synthetic_day(seed=4, seconds=1).instruments, True),
    ],
    ids=["levels", "clocks", "trades-late", "levels-late", "orders"],
)
@pytest.mark.parametrize("visits", [50, 500])
def test_a_sleeping_venue_wakes_as_if_it_had_watched(
    make: Any, change: Any, table: InstrumentTable, sleeps: bool, visits: int
) -> None:
    rows = change(make(40_000, 4))
    parts = [Recording(rows[: len(rows) // 3]), Recording(rows[len(rows) // 3 :])]
    step = int(rows["ts_recv"][-1] - rows["ts_recv"][0]) // visits

    def run(sliced: int, awake: bool) -> tuple[RunOutput, dict[str, str], int]:
        setup = StrategySetup(Visitor(step=step), cash=10**15)
        return outcome(Backtest(parts, table, [setup], VENUE, FREE, capacity=SMALL), sliced, awake)

    watched, state, never = run(1 << 40, True)
    slept, state_slept, _ = run(1 << 40, False)
    sliced, state_sliced, asleep = run(97, False)
    assert never == 0
    assert (asleep > 0) == sleeps
    assert np.count_nonzero(watched.records["kind"] == int(Kind.FILL)) > visits // 25
    assert watched.journal_hash == slept.journal_hash == sliced.journal_hash
    assert state == state_slept == state_sliced
    assert slept.state_hash == sliced.state_hash


@pytest.mark.parametrize("make", [by_level, by_order])
def test_an_awakened_book_is_ours(make: Any) -> None:
    table = TABLE if make is by_level else synthetic_day(seed=4, seconds=1).instruments
    test = Backtest([Recording(make(30_000, 9))], table, [StrategySetup(Visitor(step=1 << 60))], VENUE, capacity=SMALL)
    _, regions, _ = outcome(test, 10_000, False)
    ours = {n.removeprefix("book.local."): d for n, d in regions.items() if n.startswith("book.local.")}
    theirs = {n.removeprefix("venue.book."): d for n, d in regions.items() if n.startswith("venue.book.")}
    assert ours == theirs
    assert int(test.replay_region.view[0]["asleep"]) == 0


class Resident(nt.Strategy):
    """Rests on both sides of both instruments at several prices, two orders at some, and moves them at each timer."""

    step: int = 5_000_000
    turn: int = 0

    def on_start(self, ctx: Any) -> None:
        ctx.every(self.step)

    def on_timer(self, ctx: Any) -> None:
        self.turn += 1
        for i in range(ctx.instruments()):
            if not ctx.has_book(i) or ctx.best_bid(i) >= ctx.best_ask(i):
                continue
            order_id = ctx.first_order(i)
            while order_id != 0:
                following = ctx.next_order(order_id)
                if self.turn % 4 == 0 or (order_id + self.turn) % 3 == 0:
                    ctx.cancel(order_id)
                order_id = following
            tick, lot = ctx.tick_size(i), ctx.lot_size(i)
            for n in range(4):
                ctx.buy(lot, ctx.best_bid(i) - (n + 1) // 2 * tick, nt.GTC, True, i)
                ctx.sell(lot, ctx.best_ask(i) + (n + 1) // 2 * tick, nt.GTC, True, i)


class Listening(Resident):
    """The same, but it hears of every row, so that the venue may not run ahead of it."""

    def on_book(self, ctx: Any) -> None:
        pass

    def on_trade(self, ctx: Any) -> None:
        pass


@pytest.mark.parametrize("make", [by_level, by_order])
@pytest.mark.parametrize("change", [same, clocks_apart, one_sided([Kind.TRADE]), one_sided([Kind.LEVEL])])
def test_a_venue_that_runs_ahead_does_what_it_did_in_step(make: Any, change: Any) -> None:
    table = TABLE if make is by_level else synthetic_day(seed=4, seconds=1).instruments
    rows = change(make(40_000, 5))
    step = int(rows["ts_recv"][-1] - rows["ts_recv"][0]) // 400

    def run(cls: type[Resident], sliced: int) -> tuple[RunOutput, dict[str, str]]:
        setup = StrategySetup(cls(step=step), cash=10**15)
        test = Backtest([Recording(rows)], table, [setup], VENUE, FREE, capacity=SMALL)
        out, regions, _ = outcome(test, sliced, False)
        parts = ("venue.", "book.", "orders", "portfolio", "risk")
        return out, {name: digest for name, digest in regions.items() if name.startswith(parts)}

    in_step, state = run(Listening, 1 << 40)
    ahead, state_ahead = run(Resident, 1 << 40)
    sliced, state_sliced = run(Resident, 97)
    assert np.count_nonzero(in_step.records["kind"] == int(Kind.FILL)) > 100
    assert {name.split(".")[0] for name in state} >= {"venue", "book", "orders", "portfolio", "risk"}
    assert in_step.journal_hash == ahead.journal_hash == sliced.journal_hash
    assert state == state_ahead == state_sliced
