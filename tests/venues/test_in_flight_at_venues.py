"""A connection lost with an order in flight, at each place of its way and at every venue that is traded.

Each venue's own client and served venue, in virtual time: nothing is sent twice, no fill is lost.
"""

from __future__ import annotations

import random

import pytest

from nanotick.core.records import Kind
from nanotick.venues.faulty import Faults
from nanotick.venues.registry import PACKAGES
from nanotick.venues.virtual import MS, SECOND
from nanotick.venues.virtual_link import TO_CLIENT, TO_SITE
from nanotick.venues.working import TraderState
from tests.venues import coin_simulation, served_simulation
from tests.venues.coin_simulation import BinanceSimulation, CoinbaseSimulation, CoinSimulation, KrakenSimulation
from tests.venues.coins import SMALL
from tests.venues.served_simulation import ServedSimulation
from tests.venues.simulation import LiveSimulation
from tests.venues.trading import Engine, Puppet

VENUES: dict[str, type[LiveSimulation]] = {
    "alpaca": ServedSimulation, "binance": BinanceSimulation, "coinbase": CoinbaseSimulation,
    "kraken": KrakenSimulation,
}  # fmt: skip
PLACES = ("before send", "after send", "before acknowledgement", "after acknowledgement")
SEEDS = 4


def by_hand(kind: type[LiveSimulation]) -> type[LiveSimulation]:
    """A simulation without prices, faults or a will of its own."""

    class ByHand(kind):  # type: ignore[valid-type, misc]  # a base that is chosen
        def _open_engine(self):
            return Engine(Puppet(), self.host, self.journal, self.seed, self.table, SMALL)

        def _start_trader(self, resumed=False):
            if issubclass(kind, CoinSimulation):
                super()._start_trader(resumed)
                self.feed.stop()
                self.engine.runner.feeds.clear()
            else:
                LiveSimulation._start_trader(self, resumed)

        def _settled(self):
            self.feed = None
            return LiveSimulation._settled(self)

    return ByHand


class Floor:
    """A venue, its client and an order to be placed."""

    def __init__(self, venue, seed):
        self.run_ = run = by_hand(VENUES[venue])(seed, Faults())
        self.network, self.engine, self.source = run.network, run.engine, random.Random(seed)
        address = served_simulation.ADDRESS if venue == "alpaca" else coin_simulation.ADDRESS
        self.path, self.server = self.network.path("us", address), self.network.servers[address]
        self.pass_(30 * SECOND)
        assert run.trader.state == TraderState.READY
        item, quote = run.item, run.venue.desk.quote(next(iter(run.venue.desk.listings)))
        bid, ask = item.price(quote.bid), item.price(quote.ask)
        self.engine.quote(bid, ask)
        tick = item.price(item.tick_size)
        # half of them trade at once, or in part
        self.price = ask + 20 * tick if self.source.random() < 0.5 else bid - 20 * tick
        self.qty = item.qty(item.lot_size) * self.source.randrange(10, 400)

    def pass_(self, span):
        """Let time pass."""
        self.network.run(self.network.time + span, self.run_.check)

    def place(self):
        return self.engine.place(self.qty, self.price)

    def cut(self):
        for link in list(self.path.links):
            link.cut((0, 0))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("venue", VENUES)
def test_disconnected_with_an_order_in_flight_nothing_is_doubled_and_no_fill_lost(venue, place):
    filled = 0
    for seed in range(SEEDS):
        floor = Floor(venue, seed)
        run = floor.run_
        if place == "before send":
            floor.path.clog(TO_SITE)
            floor.place()
            floor.cut()
        elif place == "after send":
            floor.place()
            floor.pass_(floor.source.randrange(1, 3 * MS))
            floor.cut()
        elif place == "before acknowledgement":
            floor.path.clog(TO_CLIENT)
            floor.place()
            floor.pass_(100 * MS)
            floor.server.crash()
        else:
            floor.place()
            floor.pass_(300 * MS)
            floor.cut()
        if floor.source.random() < 0.3:
            floor.engine.cancel()
        floor.pass_(floor.source.randrange(6 * SECOND))
        floor.network.heal()
        floor.pass_(60 * SECOND)
        assert run._settled() == "", (venue, place, seed)
        placed = [order for order in run.venue.orders.values() if run.trader.ids.decode(order.client) is not None]
        sent = [one for one in floor.engine.sent if int(one["kind"]) == Kind.NEW]
        assert len(placed) <= 1 == len(sent), (venue, place, seed)
        run._check_cash()
        run._check_names()
        assert len(run.booked) == len(run.venue.executions), (venue, place, seed)
        filled += len(run.booked)
        run.close()
    assert filled or place != "after acknowledgement"


def test_every_venue_that_is_traded_is_here():
    assert VENUES.keys() == {name for name, package in PACKAGES.items() if package.trader}
