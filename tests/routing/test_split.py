"""The split between resting and taking: the paper's table, every integer split, and the matching engine itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanotick.core.arena import Arena
from nanotick.core.instruments import Instrument
from nanotick.core.records import Kind, TimeInForce
from nanotick.exchange.market import MatchingExchange
from nanotick.routing.split import best_split, poisson_cdf, split_cost

QUEUE, SHARES = 2_000, 1_000
COSTS = {"half_spread": 0.02, "rebate": 0.002, "fee": 0.003}
# penalty -> market, limit, cost: exact optimum over all integer splits
TABLE = {
    0.020: (0, 1_000, 11.6000),
    0.024: (705, 295, 14.1129),
    0.026: (728, 272, 14.2784),
    0.030: (748, 252, 14.5306),
    0.040: (772, 228, 14.9709),
    0.050: (785, 215, 15.2820),
}
OUTFLOW = poisson_cdf(2_200)


@pytest.mark.parametrize("penalty", TABLE)
def test_the_best_split_is_the_papers(penalty: float) -> None:
    found = best_split(SHARES, QUEUE, penalty=penalty, cdf=OUTFLOW, **COSTS)
    market, limit, cost = TABLE[penalty]
    assert (found.market, found.limit) == (market, limit)
    assert found.cost == pytest.approx(cost, abs=5e-5)


def test_the_switch_to_resting_everything_is_where_the_paper_has_it() -> None:
    assert best_split(SHARES, QUEUE, penalty=0.0230, cdf=OUTFLOW, **COSTS).market == 0
    assert best_split(SHARES, QUEUE, penalty=0.0231, cdf=OUTFLOW, **COSTS).market > 0


@settings(max_examples=60, deadline=None)
@given(
    shares=st.integers(0, 60), queue=st.integers(0, 80), mean=st.floats(1, 150), penalty=st.floats(0.001, 0.2),
    half_spread=st.floats(0.001, 0.05), rebate=st.floats(0, 0.004), fee=st.floats(0, 0.004),
)  # fmt: skip
def test_no_other_split_is_cheaper(shares, queue, mean, penalty, half_spread, rebate, fee) -> None:
    cdf = poisson_cdf(mean)
    costs = [split_cost(shares, n, queue, half_spread, rebate, fee, penalty, cdf) for n in range(shares + 1)]
    found = best_split(shares, queue, half_spread, rebate, fee, penalty, cdf)
    assert found.cost <= min(costs) + 1e-9


def outcomes(limit: int, outflow: np.ndarray) -> np.ndarray:
    """Shares of `limit` that the matching engine fills behind the queue, for each outflow."""
    arena = Arena(MatchingExchange.reserve(instruments=1))
    stock = Instrument("CK", "SIM", price_decimals=2, qty_decimals=0, tick_size="0.01", lot_size="1")
    exchange = MatchingExchange(arena, [stock])
    filled = np.zeros(len(outflow), np.int64)
    for n, amount in enumerate(outflow):
        # the queue ahead, we behind it, then what leaves: half of it cancels ahead, the rest trades
        cancelled = min(int(amount) // 2, QUEUE - 1)
        exchange.submit(0, 4 * n + 1, 1, cancelled, 10_000, participant=1)
        exchange.submit(0, 4 * n + 2, 1, QUEUE - cancelled, 10_000, participant=1)
        exchange.submit(0, n + 1, 1, limit, 10_000, participant=2)
        exchange.cancel(0, 4 * n + 1, participant=1)
        exchange.submit(0, n + 1, -1, int(amount) - cancelled, 10_000, participant=3, tif=TimeInForce.IOC)
        owners, reports = exchange.owned_reports()
        ours = reports[(owners == 2) & (reports["kind"] == int(Kind.FILL))]
        filled[n] = int(ours["qty"].sum())
        exchange.cancel_all(1)
        exchange.cancel_all(2)
        exchange.reports()
        exchange.events()
    return filled


@pytest.mark.parametrize("penalty", [0.024, 0.05])
def test_the_matching_engine_charges_what_the_formula_says(penalty: float) -> None:
    market, limit, cost = TABLE[penalty]
    rng = np.random.default_rng(11)
    filled = outcomes(limit, rng.poisson(2_200, 1_500))
    h, r, f = COSTS["half_spread"], COSTS["rebate"], COSTS["fee"]
    costs = (h + f) * market - (h + r) * filled + penalty * (limit - filled)
    assert costs.mean() == pytest.approx(cost, abs=4 * costs.std() / np.sqrt(len(costs)))
