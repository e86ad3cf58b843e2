"""Small runs that the engine's tests share."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from nanotick.core.instruments import InstrumentTable
from nanotick.data.synthetic import synthetic_day
from nanotick.engine.backtest import Backtest, Recording
from nanotick.engine.local import Capacity, StrategySetup
from nanotick.exchange.config import VenueConfig
from nanotick.risk.limits import RiskLimits
from nanotick.strategies import built_in
from nanotick.strategy.base import Strategy

SMALL = Capacity(book_orders=1 << 16, book_levels=1 << 14, orders=1 << 14, output=1 << 15, arena_bytes=4 << 30)
VENUE = VenueConfig(entry_latency=200_000, response_latency=150_000)


@pytest.fixture(scope="session")
def day() -> tuple[Any, InstrumentTable]:
    """Ten minutes of the synthetic market, order by order."""
    made = synthetic_day(seed=3, seconds=600)
    return made.events, made.instruments


def run_of(
    events: np.ndarray[Any, Any],
    table: InstrumentTable,
    strategies: Sequence[Strategy],
    venue: VenueConfig = VENUE,
    limits: RiskLimits | None = None,
    **more: Any,
) -> Backtest:
    """A backtest in the making, with small capacities."""
    setups = [StrategySetup(s, cash=50_000_000_000) for s in strategies]
    return Backtest(
        [Recording(events)], table, setups, venue, limits or RiskLimits(), capacity=more.pop("capacity", SMALL), **more
    )


def both() -> list[Strategy]:
    """A maker and a taker."""
    return [
        built_in("imbalance")(),
        built_in("avellaneda-stoikov")(gamma=0.01, size=20, max_inventory=2, half_life=5.0),
    ]
