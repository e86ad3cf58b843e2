"""Strategies over several legs, in markets made so that the edge is there, or is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nanotick.core.instruments import Instrument
from nanotick.exchange.config import VenueConfig
from nanotick.strategies import built_in
from tests.strategies.markets import SECOND, START, fills, net, quote, run, trade

LATENCY = VenueConfig(entry_latency=1_000_000, response_latency=1_000_000)


def share(symbol: str, venue: str = "SIM") -> Instrument:
    return Instrument(symbol, venue, price_decimals=2, qty_decimals=0, tick_size="0.01", lot_size="1")


def profit(out: Any, instruments: int) -> float:
    """Cash of all fills plus positions at their last fill's price: enough where positions end flat."""
    found = fills(out)
    cash = -float((found["qty"] * found["side"] * found["price"]).sum())
    assert all(net(fills(out, i)) == 0 for i in range(instruments))
    return cash


def pair(rng: np.random.Generator, beta: float, pull: float, steps: int = 3_000) -> list[tuple[int, ...]]:
    """Two log prices: x a random walk, y = beta x + an AR(1) residual that is pulled back by `pull` a step."""
    x = np.log(100.0) + np.cumsum(rng.normal(0, 2e-4, steps))
    residual = np.zeros(steps)
    noise = rng.normal(0, 6e-4, steps)
    for n in range(1, steps):
        residual[n] = (1 - pull) * residual[n - 1] + noise[n]
    y = beta * (x - x[0]) + np.log(200.0) + residual
    rows = []
    for n in range(steps):
        for leg, level in ((0, y[n]), (1, x[n])):
            mid = round(float(np.exp(level)) * 100)
            rows.append(quote(n * SECOND // 4 + leg * 1_000, mid - 1, 500, mid + 1, 500, leg))
    return rows


def test_a_pair_that_reverts_earns_and_its_hedge_ratio_is_found() -> None:
    order = {"memory": 100.0, "warm_up": 400, "entry": 1.5, "leave": 0.2, "stop": 6.0, "value": 20_000.0}
    cash = []
    for seed in range(3):
        rows = pair(np.random.default_rng(seed), 0.8, 0.05)
        out = run(rows, built_in("statistical-arbitrage")(**order), [share("YYY"), share("XXX")], LATENCY)
        found = fills(out)
        last = {i: rows[-2 + i][2] + 1 for i in (0, 1)}
        worth = sum(net(fills(out, i)) * last[i] for i in (0, 1))
        cash.append(worth - float((found["qty"] * found["side"] * found["price"]).sum()))
        assert len(found) > 20
        y, x = fills(out, 0), fills(out, 1)
        # each opening sells beta's worth of x against y: 20,000 a leg of y, 0.8 of it of x
        assert float(np.median(x["qty"] * x["price"])) == pytest.approx(0.8 * 2e6, rel=0.35)
        assert float(np.median(y["qty"] * y["price"])) == pytest.approx(2e6, rel=0.3)
    assert sum(cash) > 0
    assert sum(c > 0 for c in cash) >= 2


def test_a_pair_that_has_come_apart_is_given_up() -> None:
    apart = 900  # the sample at which y jumps by 1.5 %, some fifteen deviations, and stays there
    moved = []
    for row in pair(np.random.default_rng(5), 1.0, 0.2, 1_100):
        jump = 300 if row[7] == 0 and row[1] * 4 // SECOND >= apart else 0
        moved.append(quote(row[1], row[2] + jump, row[3], row[4] + jump, row[5], row[7]))
    order = {"memory": 200.0, "warm_up": 300, "entry": 0.6, "leave": 0.0, "stop": 4.0}
    out = run(moved, built_in("statistical-arbitrage")(**order), [share("YYY"), share("XXX")])
    jumped = START + apart * SECOND // 4
    before = fills(out, 0)[fills(out, 0)["ts_venue"] < jumped]
    after = fills(out, 0)[fills(out, 0)["ts_venue"] >= jumped]
    assert net(before) != 0
    assert net(after) == -net(before)
    assert int(after["ts_venue"][-1]) - jumped < 2 * SECOND  # and nothing was opened again


def two_venues(gap: int, steps: int = 400) -> list[tuple[int, ...]]:
    """One share on two venues; in one sample of twenty the second bids `gap` ticks above the first's offer."""
    rows = []
    for n in range(steps):
        rich = gap if n % 20 == 10 else -1
        rows.append(quote(n * SECOND // 10, 10_000, 300, 10_002, 150 + n % 2, 0))  # new size: what was taken is back
        rows.append(quote(n * SECOND // 10 + 1_000, 10_002 + rich, 150, 10_004 + rich, 300, 1))
        rows.append(quote(n * SECOND // 10 + SECOND // 20, 10_001, 150, 10_003, 300, 1))
    return rows


def test_crossed_venues_are_bought_low_and_sold_high() -> None:
    out = run(
        two_venues(4),
        built_in("cross-venue-arbitrage")(size=150, edge=2, limit=450, interval=1_000 * SECOND),
        [share("AAA", "ONE"), share("AAA", "TWO")],
    )
    low, high = fills(out, 0), fills(out, 1)
    assert net(low) == 450
    assert net(high) == -450
    assert set(low["price"]) == {10_002}
    assert set(high["price"]) == {10_006}


def test_no_edge_no_trade() -> None:
    venues = [share("AAA", "ONE"), share("AAA", "TWO")]
    assert len(fills(run(two_venues(1), built_in("cross-venue-arbitrage")(edge=2), venues))) == 0
    assert len(fills(run(two_venues(4), built_in("cross-venue-arbitrage")(edge=1, fee=0.001), venues))) == 0


def test_a_leg_that_was_missed_is_evened_out() -> None:
    rows = []
    for n in range(200):
        rich = n == 100  # gone again before an order can arrive
        rows.append(quote(n * SECOND // 10, 10_000, 300, 10_002, 200, 0))
        rows.append(quote(n * SECOND // 10 + 1_000, 10_006 if rich else 10_001, 150, 10_009, 300, 1))
        rows.append(quote(n * SECOND // 10 + 500_000, 10_001, 150, 10_009, 300, 1))
    out = run(
        rows, built_in("cross-venue-arbitrage")(size=100, edge=2), [share("AAA", "ONE"), share("AAA", "TWO")], LATENCY
    )
    assert net(fills(out)) == 0
    assert len(fills(out)) == 2
    assert fills(out)["price"].tolist() == [10_002, 10_001]


def test_the_stale_quote_is_taken_and_given_back() -> None:
    rows = []
    for n in range(400):
        level = 10_000 + 10 * (n // 100)
        late = 10_000 + 10 * ((n - 5) // 100 if n >= 5 else 0)
        rows.append(quote(n * SECOND // 50, level, 300, level + 2, 300, 0))
        rows.append(quote(n * SECOND // 50 + 1_000, late, 300, late + 2, 300, 1))
    order = built_in("latency-arbitrage")(trigger=4.0, edge=2.0, size=100, window=60_000_000, patience=2 * SECOND)
    out = run(rows, order, [share("AAA", "FAST"), share("AAA", "SLOW")], LATENCY)
    assert len(fills(out, 0)) == 0
    slow = fills(out, 1)
    assert slow["side"].tolist() == [1, -1] * 3
    assert profit(out, 2) == 3 * 100 * (10 - 2)


def test_a_follower_that_never_catches_up_costs_patience_only() -> None:
    rows = []
    for n in range(400):
        level = 10_000 if n < 200 else 10_010
        rows.append(quote(n * SECOND // 50, level, 300, level + 2, 300, 0))
        rows.append(quote(n * SECOND // 50 + 1_000, 10_000, 300, 10_002, 300, 1))
    order = built_in("latency-arbitrage")(trigger=4.0, edge=2.0, size=100, patience=SECOND, window=60_000_000)
    out = run(rows, order, [share("AAA", "FAST"), share("AAA", "SLOW")])
    slow = fills(out, 1)
    assert slow["side"].tolist() == [1, -1]
    assert SECOND <= int(slow["ts_venue"][1] - slow["ts_venue"][0]) < 2 * SECOND


def coin(symbol: str, decimals: int) -> Instrument:
    return Instrument(
        symbol, "SIM", price_decimals=decimals, qty_decimals=5, tick_size=str(10**-decimals) if decimals < 5 else
        "0.00001", lot_size="0.00001",
    )  # fmt: skip


COINS = (coin("BTCUSDT", 2), coin("ETHUSDT", 2), coin("ETHBTC", 5))


def triangle(rich: float, steps: int = 300, vanish: bool = False) -> list[tuple[int, ...]]:
    """BTC at 50,000, ETH at 2,500; for a moment each 50 steps ETHBTC is bid `rich` above its parity of 0.05."""
    rows = []
    for n in range(steps):
        at = n * SECOND // 10
        rows.append(quote(at, 5_000_000 - 100, 100_000, 5_000_000 + 100, 100_000, 0))
        rows.append(quote(at + 1_000, 250_000 - 10, 1_000_000, 250_000 + 10, 1_000_000, 1))
        bid = round(5_000 * (1 + (rich if n % 50 == 25 else 0.0)))
        rows.append(quote(at + 2_000, bid - 1, 300_000, bid + 1, 300_000, 2))
        if vanish and n % 50 == 25:
            rows.append(quote(at + 100_000, 4_999, 300_000, 5_001, 300_000, 2))
    return rows


def assets(out: Any) -> tuple[float, float, float]:
    """USDT, BTC and ETH that all fills have brought."""
    amount = {i: float((fills(out, i)["qty"] * fills(out, i)["side"]).sum()) / 1e5 for i in range(3)}
    cash = {
        i: -float((fills(out, i)["qty"] * fills(out, i)["side"] * fills(out, i)["price"]).sum()) / 1e5 / 10 ** d
        for i, d in ((0, 2), (1, 2), (2, 5))
    }  # fmt: skip
    return cash[0] + cash[1], amount[0] + cash[2], amount[1] + amount[2]


@pytest.mark.parametrize("rich", [0.004, -0.004])
def test_triangles_are_closed_at_a_profit(rich: float) -> None:
    out = run(triangle(rich), built_in("triangular-arbitrage")(edge=0.001, value=5_000.0), COINS)
    usdt, btc, eth = assets(out)
    assert len(fills(out)) >= 9
    assert usdt > 6 * 5_000 * 0.002
    assert abs(btc) < 2e-5
    assert abs(eth) < 2e-5


def test_a_triangle_whose_leg_vanished_is_unwound() -> None:
    out = run(triangle(0.004, vanish=True), built_in("triangular-arbitrage")(edge=0.001, value=5_000.0), COINS, LATENCY)
    usdt, btc, eth = assets(out)
    assert abs(btc) < 2e-5
    assert abs(eth) < 2e-5
    assert len(fills(out, 2)) == 0
    assert -60.0 < usdt < 0.0


def test_no_triangle_no_trade() -> None:
    rows = triangle(0.0) + [trade(SECOND, 250_000, 100, 1, 1)]
    assert len(fills(run(rows, built_in("triangular-arbitrage")(), COINS))) == 0
