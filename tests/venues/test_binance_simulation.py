"""Our live side and the served Binance in virtual time: one protocol, and whatever a network does to it."""

from __future__ import annotations

import random

import pytest

from nanotick.venues.faulty import Faults, Mischief
from nanotick.venues.runner import Phase
from nanotick.venues.virtual import SECOND, VirtualNetwork
from tests.venues.coins import Coins, served

ADDRESS = "binance.test"


class Run:
    def __init__(self, seed=1, faults=None, life_s=86_400.0, **settings):
        self.network = network = VirtualNetwork(seed, faults=faults or Faults())
        there = network.host("venue")
        self.site = served(there, life_s=life_s)
        network.serve(ADDRESS, self.site, there)
        self.site.start()
        self.host = network.host("us")
        self.coins = Coins(self.host, self.site, f"https://{ADDRESS}", f"wss://{ADDRESS}", seed=seed, **settings)
        self.mischief = Mischief(network, lambda: self.host)
        self.coins.runner.start()

    def run(self, seconds):
        self.network.run(self.network.time + int(seconds * SECOND))

    def settle(self, within=40):
        """Let the faults end; everything must be as the venue has it within so many seconds."""
        coins, network = self.coins, self.network
        self.mischief.stop()
        network.heal()
        coins.be_quiet()
        healed = network.time
        self.run(2)  # what has been cut is seen to be cut
        while coins.unsettled() or network.time == healed:
            assert network.time - healed < within * SECOND, coins.unsettled()
            self.run(0.25)
        took = (network.time - healed) / SECOND
        self.site.desk.stop()
        self.run(1)
        assert coins.books_differ() == ""
        return took


def test_our_side_trades_at_our_venue():
    run = Run()
    run.run(60)
    coins = run.coins
    assert coins.runner.phase == Phase.TRADING
    assert run.settle() < 3
    status = coins.trader.status()
    assert status["sent"] > 50 and len(coins.fills()) > 10
    assert status["malformed"] == 0 and status["breaks"] == [] and coins.feed.status()["refused"] == 0
    assert coins.feed.status()["gaps"] == 0 and coins.trader.counts.unknown == 0
    assert len(coins.fills()) == len(coins.site.desk.fills(coins.account))


def test_connections_are_renewed_without_a_gap():
    run = Run()
    run.run(10)
    for _ in range(3):
        run.site.shut_down(notice_s=8)
        run.run(12)
    coins = run.coins
    assert coins.feed.status()["gaps"] == 0 and coins.trader.counts.unknown == 0
    assert coins.feed.attempts == 4 and coins.trader.stream.attempts == 4
    run.settle()
    assert len(coins.fills()) == len(coins.site.desk.fills(coins.account))


def _seeds(few, many):
    return [*range(few), *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(few, many))]


@pytest.mark.parametrize("seed", _seeds(6, 300))
def test_whatever_the_network_does_everything_settles(seed):
    faults = Faults.draw(random.Random(f"binance {seed}"))
    faults.crashes = faults.disk = 0.0
    for name in ("cuts", "half_open", "clogs", "swizzles", "venue_crashes", "clock_steps"):
        setattr(faults, name, 6 * getattr(faults, name))  # an hour's in ten minutes
    faults.delay_max_ns = 2 * SECOND
    run = Run(seed, faults)
    run.run(90)
    run.settle()
    coins = run.coins
    assert coins.trader.counts.malformed == 0
    assert len(coins.fills()) == len(coins.site.desk.fills(coins.account))
    placed = [order.client[:18] for order in coins.site.desk.orders(coins.account) if "r" not in order.client[18:]]
    assert len(placed) == len(set(placed))  # nothing was sent twice


@pytest.mark.parametrize("seed", [2, 7, *_seeds(1, 100)])
def test_a_fill_missed_in_a_cut_is_found_though_history_was_read_for_another_order(seed):
    """Cut every few seconds: what an inquiry has read of the history is not what the engine has been told."""
    faults = Faults(cuts=1200.0, delay=0.05, delay_max_ns=300_000_000, error_undone=0.1)
    run = Run(seed, faults, strategy={"share": 0.4})
    run.run(60)
    run.settle()
    coins = run.coins
    assert run.mischief.done["cuts"] > 5 and coins.trader.counts.unknown > 0
    assert len(coins.fills()) == len(coins.site.desk.fills(coins.account))
