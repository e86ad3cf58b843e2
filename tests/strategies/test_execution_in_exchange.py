"""Almgren & Chriss in the matching exchange: the impact is that of a book, walked and laid anew, and no formula."""

from __future__ import annotations

import numpy as np
import pytest

from nanotick.core.memory import load_i64, store_i64
from nanotick.core.mode import INTERPRET
from nanotick.core.records import COMMAND, Kind, command_at
from nanotick.exchange.market import exchange_command
from nanotick.exchange.market.records import exchange_at, market_at, participant_at
from nanotick.strategies.implementation_shortfall import ImplementationShortfall, cost_variance
from tests.strategies.markets import FREE, SECOND, fills, net
from tests.strategies.test_execution import PAPER, TABLE
from tests.strategy.paper_exchange import MAKER, simulation

DAY = 10 * SECOND
# price units of 1e-6 dollars: 50 dollars, half a spread of 1/16; eta / tau = 2.5e-6 dollars a share
START_PRICE, HALF = 50_000_000, 62_500
RUNG = 2_500  # shares at each price of the ladder
STEP = 5 * RUNG  # 2 eta / tau a share: who sells n pays half of it on average, eta / tau n
RUNGS = 401
NEW, CANCEL_ALL = int(Kind.NEW), int(Kind.CANCEL_ALL)


def _relay(exchange: int, now: int) -> int:
    """Clock of the exchange: its maker lays the ladder of bids anew, under where what was sold has brought the price.

    Memory at participant 0's session: address of a scratch COMMAND, last id used, time of the next call.
    """
    root = exchange_at(exchange)
    memory = participant_at(root.participants_address, 0).session
    address = load_i64(memory)
    ident = load_i64(memory + 8)
    command = command_at(address)
    command.ts = now
    command.strategy = MAKER
    command.kind = CANCEL_ALL
    command.side = 0
    exchange_command(exchange, address, now)
    # gamma = 2.5e-7 dollars a share: a price unit for four shares
    price = START_PRICE - (market_at(root.markets_address).volume >> 2)
    command.kind = NEW
    for number in range(RUNGS):
        ident += 1
        command.id = ident
        command.side = 1
        command.qty = RUNG
        command.price = price - HALF - STEP * number - (STEP >> 1)
        if number == RUNGS - 1:
            command.side = -1
            command.price = price + HALF
        exchange_command(exchange, address, now)
    store_i64(memory + 8, ident)
    following = load_i64(memory + 16) + DAY
    store_i64(memory + 16, following)
    root.next_deadline = following
    return 0


@pytest.mark.skipif(INTERPRET, reason="ten thousand orders a case: compiled only")
@pytest.mark.parametrize("dislike", TABLE)
def test_the_shipped_strategy_pays_the_papers_cost_to_a_book(dislike: float) -> None:
    order = ImplementationShortfall(
        side=-1, quantity=1_000_000, duration=5 * DAY, slices=5, patience=0.0, day=10.0, slip=8_000_000,
        risk_aversion=dislike, **PAPER
    )  # fmt: skip
    scratch, memory = np.zeros(1, COMMAND), np.zeros(3, np.int64)
    made, root = simulation(order, FREE, 51.0, _relay, memory, price=50, tick="0.000001", price_decimals=6)
    # the first ladder lies before the work begins, the next ones half a day after each sale
    memory[:] = scratch.ctypes.data, 0, made.start_ts - DAY // 2
    root["next_deadline"] = made.start_ts + SECOND // 100
    out = made.run()
    sold = fills(out)
    assert net(sold) == -1_000_000
    left, cost, variance = TABLE[dislike]
    days = (sold["ts_venue"] - sold["ts_venue"][0]) // DAY
    held = 1_000_000 - np.cumsum(np.bincount(days.astype(np.int64), weights=sold["qty"], minlength=5))
    assert held[:4] == pytest.approx(left, abs=1)
    spent = 1_000_000 * 50.0 - float((sold["qty"] * sold["price"]).sum()) / 1e6
    # a rung is one price: a sale that ends inside it pays up to STEP RUNG / 8 more or less; prices are whole units
    assert spent == pytest.approx(cost, abs=5 * STEP * RUNG / 8e6 + 2.0)
    assert cost_variance([1e6, *held], 5.0, PAPER["sigma"]) == pytest.approx(variance, rel=5e-5)
