"""Cont & Kukanov (2017), how much by limit and how much by market order: the paper's costs, paid in the exchange.

Buy S by a market order of M, which pays h + f a share, and a limit order of S - M behind a queue of Q, which earns
h + r for what is executed. Sell orders of xi in all, Poisson, come to the queue; what is not executed costs lambda a
share.
"""

import numpy as np
import pytest

from nanotick.core.arena import Arena
from nanotick.core.instruments import Instrument
from nanotick.core.mode import INTERPRET
from nanotick.core.records import Kind, OrderType, TimeInForce
from nanotick.exchange.market import ExchangeConfig, MatchingExchange
from nanotick.exchange.market.records import ALL_PARTICIPANTS

QUEUE, WANTED, OUTFLOW = 2_000, 1_000, 2_200
HALF, REBATE, FEE = 2, 0.002, 0.003  # half a spread in ticks of 0.01
MID = 10_000
# cost of a share that is missing -> market part of the optimum, its expected cost in dollars
OPTIMA = {0.020: (0, 11.6), 0.024: (705, 14.1129), 0.026: (728, 14.2784), 0.030: (748, 14.5306),
          0.040: (772, 14.9709), 0.050: (785, 15.2820)}  # fmt: skip
SIZES = {"max_orders": 1 << 6, "max_levels": 1 << 6}


def make():
    rings = {"feed": 1 << 8, "reports": 1 << 8, "trades": 1 << 8}
    arena = Arena(MatchingExchange.reserve(1, **SIZES, **rings) + (8 << 20))
    config = ExchangeConfig(max_participants=4)
    return MatchingExchange(arena, [Instrument("ABC", "SIM")], config, book=SIZES, **rings)


def costs(x, market, missing, outflows):
    """Cost of each run, dollars, from the fills of participant 1."""
    found = np.zeros(len(outflows))
    for number, outflow in enumerate(outflows.tolist()):
        x.submit(0, 1, 1, QUEUE, MID - HALF, participant=2)
        x.submit(0, 1, 1, WANTED - market, MID - HALF, participant=1)
        if market:
            x.submit(0, 2, -1, market, MID + HALF, participant=2)
            x.submit(0, 2, 1, market, participant=1, order_type=OrderType.MARKET)
        x.submit(0, 1, -1, outflow, MID - HALF, participant=3, tif=TimeInForce.IOC)
        owners, rows = x.owned_reports()
        mine = rows[(owners == 1) & (rows["kind"] == Kind.FILL)]
        paid = mine["price"] - MID
        had = int(mine["qty"].sum())
        fees = np.where(paid > 0, FEE, -REBATE)
        found[number] = (mine["qty"] * (paid * 0.01 + fees)).sum() + missing * (WANTED - had)
        x.events()
        x.cancel_all(ALL_PARTICIPANTS)
        x.events()
        x.reports()
    return found


def check(runs):
    x = make()
    for missing, (market, cost) in OPTIMA.items():
        outflows = np.random.default_rng(round(missing * 1_000)).poisson(OUTFLOW, runs)
        found = costs(x, market, missing, outflows)
        assert abs(found.mean() - cost) < 4 * found.std() / np.sqrt(runs), (missing, found.mean())
        for other in (market - 100, market + 100):
            if 0 <= other < WANTED:  # on the same draws a split elsewhere costs more
                more = costs(x, other, missing, outflows) - found
                assert more.mean() > -4 * more.std() / np.sqrt(runs)
    x.check()


def test_the_split_costs_what_the_paper_says():
    check(20 if INTERPRET else 400)


@pytest.mark.nightly
def test_the_split_costs_what_the_paper_says_over_many_runs():
    check(30_000)
