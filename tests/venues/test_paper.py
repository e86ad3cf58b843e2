"""Paper accounts: the same fills, live row by row, as a backtest of those rows gives."""

import numpy as np

import nanotick as nt
from nanotick.core.arena import Arena
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import BOTH_SIDES, EVENT, Flag, Kind
from nanotick.engine.local import LocalSide, StrategySetup
from nanotick.engine.paper import PaperVenue
from nanotick.engine.session import Session
from nanotick.exchange.config import VenueConfig
from nanotick.risk.limits import RiskLimits
from nanotick.strategy.base import Strategy
from nanotick.venues.paper import PaperAccount
from nanotick.venues.runner import Phase, Runner
from tests.venues.scripted import MS, S, ScriptedHost
from tests.venues.test_runner import SMALL, Quotes, TakeOffer, quote

LATENCY = VenueConfig(entry_latency=5 * MS - 137, response_latency=3 * MS - 59)  # nothing at the same time
BOOK = {"max_orders": 1 << 10, "max_levels": 1 << 10}


def paper_run(strategy=None):
    table = InstrumentTable([Instrument("AAPL", "ALPACA", 2, 0)])
    local = LocalSide(
        Arena(SMALL.arena_bytes), table, [StrategySetup(strategy or TakeOffer(), cash=10**12)],
        RiskLimits(max_book_age_s="unlimited"), SMALL,
    )  # fmt: skip
    host = ScriptedHost()
    runner = Runner(host, Session(local))
    exchange = PaperVenue(Arena(1 << 28), table, LATENCY, book=BOOK, max_orders=1 << 10)
    account = PaperAccount(host, exchange, runner.deliver, "ALPACA")
    feed = Quotes(host, table, "ALPACA", runner.deliver_market, ["wss://prices"])
    runner.add_feed(feed)
    runner.add_account(0, account)
    runner.start()
    host.run(1)
    host.link.accept()
    host.run(200 * MS)
    return host, runner, account, local


def test_an_order_travels_rests_and_fills():
    host, runner, account, local = paper_run()
    assert runner.phase == Phase.TRADING
    host.link.say(quote(150.0, 150.01, 1, host.time))
    assert account.commands == 1 and runner.open_orders == 1
    host.run(4 * MS)
    host.link.say(quote(150.02, 150.03, 2, host.time))  # the offer has gone before the order arrives
    host.run(10 * MS)
    row = local.orders.orders.view[1]
    assert int(row["state"]) == 3 and local.portfolio.position(0) == 0
    host.link.say(quote(149.9, 150.0, 3, host.time))  # the market comes to it
    host.run(2 * MS)
    assert local.portfolio.position(0) == 0  # known here after the response latency
    host.run(2 * MS)
    assert local.portfolio.position(0) == 10
    assert int(row["filled_value"]) == 10 * 15001
    assert host.asked == []


class Flip(Strategy):
    """In at the offer, out at the bid."""

    def on_book(self, ctx):
        if ctx.open_orders() == 0:
            if ctx.position() == 0:
                ctx.buy(10, ctx.best_ask(), tif=nt.IOC)
            else:
                ctx.sell(10, ctx.best_bid())


def test_paper_fills_are_those_of_a_backtest_of_the_same_rows():
    limits = RiskLimits(max_book_age_s="unlimited")
    host, runner, _, local = paper_run(Flip())
    seen = []
    runner._on_records = lambda records, marks: seen.append(records)
    rng = np.random.default_rng(5)
    mid, rows = 15000, []
    for n in range(400):
        mid += int(rng.integers(-2, 3))
        rows.append((host.time, mid - 1, mid + 1))
        host.link.say(quote((mid - 1) / 100, (mid + 1) / 100, n + 1, host.time))
        host.run(int(rng.integers(1, 8)) * MS)
    host.run(S)
    events = np.zeros(len(rows), EVENT)
    for row, (ts, bid, ask) in zip(events, rows, strict=True):
        row["ts_venue"] = row["ts_recv"] = ts
        row["kind"], row["price"], row["qty"], row["id"], row["word"] = int(Kind.QUOTE), bid, 300, ask, 100
        row["flags"] = int(BOTH_SIDES | Flag.LAST)
    result = nt.backtest(
        (events, local.instruments), StrategySetup(Flip(), cash=10**12), venue=LATENCY, limits=limits, sample_interval=0
    )
    live = told(np.concatenate(seen))
    assert live == told(result.output.records)
    assert sum(kind == Kind.FILL for kind, *_ in live) > 10


def told(records):
    """What became of orders: reports with their times, prices and quantities."""
    reports = records[(records["kind"] >= Kind.ACCEPTED) & (records["kind"] <= Kind.FILL_BUST)]
    return [(int(r["kind"]), int(r["ts_recv"]), int(r["price"]), int(r["qty"]), int(r["side"])) for r in reports]
