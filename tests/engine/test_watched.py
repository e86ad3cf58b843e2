"""A strategy that acts on a timer leaves alone the symbols that it was not given."""

import pytest

from nanotick.core.arena import Arena
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.engine.local import Capacity, LocalSide, StrategySetup
from nanotick.risk.limits import RiskLimits
from nanotick.strategies.mean_reversion import MeanReversion
from nanotick.strategies.momentum import Momentum

TABLE = InstrumentTable([Instrument(name, "XNAS") for name in ("A", "B", "C")])
SMALL = Capacity(book_orders=1 << 8, book_levels=1 << 8, orders=1 << 8, output=1 << 15, arena_bytes=1 << 28)


@pytest.mark.parametrize("strategy", [Momentum, MeanReversion])
@pytest.mark.parametrize(("given", "watched"), [((1,), [0, 1, 0]), ((0, 2), [1, 0, 1]), ((), [1, 1, 1])])
def test_the_symbols_it_was_given_are_watched(strategy, given, watched):
    setups = [StrategySetup(strategy(), given)]
    local = LocalSide(Arena(SMALL.arena_bytes), TABLE, setups, RiskLimits.unlimited(), SMALL, currency="USD")
    assert local.selves[0]["watched"][0, :3].tolist() == watched
