"""A whole session over real loopback sockets at served coin venues: feed, account, engine, journal."""

import pytest

from nanotick.core.instruments import InstrumentTable
from nanotick.engine.local import StrategySetup
from nanotick.engine.session_replay import replay
from nanotick.exchange.agents.description import description_from
from nanotick.risk.limits import RiskLimits
from nanotick.strategy.base import Strategy
from nanotick.venues.faults import FaultySite, faults_from
from nanotick.venues.live import AccountSpec, FeedSpec, LiveSession, LiveSettings
from nanotick.venues.paced_market import PacedMarket
from nanotick.venues.registry import package
from nanotick.venues.served import Customer, served_venue
from nanotick.venues.sockets import Sockets
from nanotick.venues.working import TraderConfig
from tests.patience import PATIENCE_S
from tests.venues.contract import COIN
from tests.venues.live import until
from tests.venues.test_live import SMALL


class Quoter(Strategy):
    """Rests at the market on both sides, anew every 200 ms."""

    every: int = 200_000_000
    size: int = 0

    def on_start(self, ctx):
        ctx.set_timer(self.every, 1, self.every)

    def on_timer(self, ctx, timer):
        if ctx.best_bid() <= 0 or ctx.best_ask() <= 0:
            return
        if ctx.open_orders() > 2:
            ctx.cancel_all()
        else:
            ctx.buy(self.size, ctx.best_ask())
            ctx.sell(self.size, ctx.best_bid())


CASES = [("kraken", "BTC/USDT"), ("coinbase", "BTC-USDT")]
FAULTS = {
    "kraken": [{"kind": "corrupt", "path": "/v2", "match": '"book"', "after": 30, "count": 1},
               {"kind": "disconnect", "path": "/private", "match": '"trade"', "after": 2, "count": 1}],
    "coinbase": [{"kind": "drop", "match": "l2_data", "after": 40, "count": 1},
                 {"kind": "disconnect", "match": '"channel":"user"', "after": 6, "count": 1}],
}  # fmt: skip


def run(name, symbol, directory, faults):
    with Sockets() as host:
        market = PacedMarket(host, description_from({
            "name": "small", "session": {"start": "2026-01-05T14:30:00Z", "hours": 6.5},
            "profiles": {"plain": {"flow": {"limit_rate": 12.0, "market_rate": 1.5, "lifetime": 5.0}}},
            "instruments": [COIN | {"venue": name.upper()}],
        }), seed=3, warm_up=20.0)  # fmt: skip
        opened = served_venue(name).open(host, market, Customer("the-key", "c2VjcmV0IGZvciB0ZXN0cw==", limits=False))
        site = FaultySite(host, opened.site, faults_from({"faults": faults})) if faults else opened.site
        market.start()
        port, venue = host.serve(site), package(name)
        told = []
        venue.load("listed")(host, f"http://127.0.0.1:{port}", [symbol], lambda found, why: told.append(found))
        until(host, lambda: told)
        table = InstrumentTable([told[0][symbol][0]])
        quoter = Quoter(size=table[0].qty("0.0010"))
        url = f"ws://127.0.0.1:{port}"
        settings = LiveSettings(
            directory=directory, instruments=table, setups=[StrategySetup(quoter, cash=10**15)],
            feeds=[FeedSpec(venue, venue.table, (url + venue.paths.get("data", ""),))],
            accounts=[AccountSpec(venue, {"rest": f"http://127.0.0.1:{port}", "stream": url + venue.paths["stream"]},
                                  venue.keys("trader", dict(opened.keys)))],
            limits=RiskLimits(), capacity=SMALL,
            # without faults every answer comes, sooner or later: none is to be given up on a busy machine
            trader=TraderConfig(order_timeout=2.0 if faults else PATIENCE_S),
        )  # fmt: skip
        session = LiveSession(host, settings)
        session.start()
        account = next(iter(opened.desk.accounts.values()))
        feed, trader = session.runner.feeds[0], next(iter(session.runner.accounts.values()))

        def seen_enough():
            cut = not faults or (feed.status()["gaps"] >= 1 and trader.stream.reconnects >= 1)
            return cut and len(opened.desk.fills(account)) >= 2

        until(host, seen_enough)
        session.runner.stop("seen enough", patience=PATIENCE_S)
        until(host, lambda: session.over)
        rows = session.local.orders.orders.view[: session.local.orders.used]
        ours = sum(int(row["filled_qty"]) * int(row["side"]) for row in rows)
        fills = opened.desk.fills(account)
        there = sum(table[0].qty(f.qty_text) * f.order.side for f in fills)
        found = (ours, there, len(fills), len(opened.desk.orders(account, open_only=True)), session.runner.breaks())
        seen = feed.status() | {"counts": trader.counts, "stream_reconnects": trader.stream.reconnects}
        seen["price"], seen["rate"] = session.local.portfolio.mark(0), trader._rate("BTC", "USDT")
        seen["unit"], seen["fees_unconverted"] = table[0].price("1"), trader.status()["fees_unconverted"]
        session.close()
        repeated = replay(session.journal)
        assert repeated.difference is None and repeated.ended
        return found, seen


@pytest.mark.parametrize(("name", "symbol"), CASES)
def test_a_session_trades_and_every_fill_of_the_venue_is_booked(tmp_path, name, symbol):
    (ours, there, fills, left, breaks), seen = run(name, symbol, tmp_path / "state", [])
    assert fills >= 2 and ours == there and left == 0 and breaks == []
    assert seen["refused"] == 0 and seen["reconnects"] == 0 and seen["counts"].unknown == 0
    # what fees in another asset would be worth: the engine's own last price
    assert seen["price"] > 0 and seen["rate"] == (seen["price"], seen["unit"]) and seen["fees_unconverted"] == {}


@pytest.mark.parametrize(("name", "symbol"), CASES)
def test_a_session_with_faults_ends_with_the_venue_s_own_figures(tmp_path, name, symbol):
    (ours, there, fills, left, breaks), seen = run(name, symbol, tmp_path / "state", FAULTS[name])
    assert fills >= 2 and ours == there and left == 0 and breaks == []
    assert seen["gaps"] >= 1 and seen["stream_reconnects"] >= 1
