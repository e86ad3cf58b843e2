"""The shipped markets show the facts that the literature reports, over several seeds, large orders among them."""

import numpy as np
import pytest

from nanotick.core.mode import INTERPRET
from nanotick.exchange.agents.description import read_description
from nanotick.exchange.agents.metaorders import Impacts, metaorder_fact, simulated_facts
from nanotick.exchange.agents.records import AgentKind

if INTERPRET:
    pytest.skip("days of trading take hours when interpreted", allow_module_level=True)

TEN = ("SPY", "AAPL", "QQQ", "META", "SQQQ", "LLY", "PFE", "COIN", "XLF", "IYR")


@pytest.mark.parametrize(
    ("name", "symbols", "seeds"), [("us-equities", TEN, (7, 8, 9)), ("index-future", (), (1, 2, 3))]
)
def test_the_facts_of_a_shipped_market_are_the_reported_ones(name, symbols, seeds) -> None:
    market = read_description(name)
    sheets = simulated_facts(market.only(symbols) if symbols else market, seeds)
    outside = [
        (sheet.label, fact.name, fact.value, fact.note) for sheet in sheets for fact in sheet.facts if not fact.holds
    ]
    assert not outside, outside


def test_the_exponent_of_large_orders_is_found_and_needs_enough_of_them() -> None:
    rng = np.random.default_rng(3)
    share = np.exp(rng.uniform(np.log(1e-4), np.log(5e-2), 1_500))
    move = 0.7 * share**0.6 + rng.normal(size=len(share)) * np.sqrt(share) * 0.5
    fact = metaorder_fact(Impacts(share, move, share))
    assert fact.value == pytest.approx(0.6, abs=1.5 * fact.error) and fact.error < 0.15 and fact.holds
    fact = metaorder_fact(Impacts(share[:50], move[:50], share[:50]))
    assert fact.value is None and "200 needed" in fact.note


def test_value_traders_hold_the_square_of_the_mispricing() -> None:
    """With nobody else who knows the value, what they hold is `depth` times the square of the gap, on its side."""
    from nanotick.exchange.agents.description import description_from
    from nanotick.exchange.agents.living import LivingMarket

    depth, day = 40_000.0, 0.02
    market = LivingMarket(
        description_from(
            {
                "name": "latent",
                "session": {"hours": 6.5},
                "step_ms": 1e9,  # the value stands still
                "profiles": {
                    "all": {
                        "flow": {"limit_rate": 3.0, "market_rate": 0.4, "lifetime": 8.0},
                        "value": [{"rate": 2.0, "depth": depth, "noise": 0.0, "threshold": 0.0, "slow_s": 1e9,
                                   "limit": 10_000_000, "sizes": {"mean": 3}}],
                    }
                },
                "instruments": [{"symbol": "AAA", "profile": "all", "price": 100, "volatility": day}],
            }
        ),
        5,
    )  # fmt: skip
    trader = int(np.flatnonzero(market.agents["kind"] == AgentKind.VALUE)[0])
    state = market.arena["world.states"].view[0]
    rows = []
    for _ in range(600):
        market.skip(market.now + 30_000_000_000)
        book = market.exchanges[0].book
        gap = state["value"] - 0.5 * (book.best_price(0, 1) + book.best_price(0, -1))
        if abs(gap) > 1_000:  # a side is empty
            continue
        rows.append((market.agents[trader]["position"], depth * gap * abs(gap) / (day * 10_000) ** 2))
    held, wanted = np.array(rows).T
    assert len(held) > 500 and np.abs(held).max() > 500
    assert np.corrcoef(held, wanted)[0, 1] > 0.8
    assert np.abs(held - wanted).mean() < 0.4 * np.abs(held).mean()
