"""Built-in strategies keep state for every instrument of a run."""

from typing import Any

import numpy as np
import pytest

import nanotick as nt
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import BOTH_SIDES, EVENT, Flag, Kind
from nanotick.engine.local import Capacity
from nanotick.risk.limits import RiskLimits
from nanotick.strategies import built_in
from nanotick.strategy.base import ROOM

COUNT = 300
TABLE = InstrumentTable([Instrument(f"S{n:03d}") for n in range(COUNT)])
SMALL = Capacity(book_orders=1 << 12, book_levels=1 << 14, orders=1 << 14, output=1 << 15, arena_bytes=4 << 30)
SECOND = 1_000_000_000


def quotes(rounds: int) -> Any:
    rows = np.zeros((rounds, COUNT), EVENT)
    rows["kind"], rows["instrument"] = int(Kind.QUOTE), np.arange(COUNT)
    rows["price"], rows["id"], rows["qty"], rows["word"] = 9_990, 10_010, 100, 100
    start = 1_780_000_000 * SECOND
    stamps = start + np.arange(rounds)[:, None] * SECOND + np.arange(COUNT)[None, :]
    rows["ts_venue"] = rows["ts_recv"] = stamps
    rows["price"] -= np.arange(rounds)[:, None] % 2  # so that every round changes the book
    rows["flags"] = BOTH_SIDES | int(Flag.LAST)
    return rows.reshape(-1)


@pytest.mark.parametrize("name", ["grid", "glft"])
def test_instruments_beyond_the_room_of_256_are_quoted_too(name: str) -> None:
    assert COUNT > ROOM
    result = nt.backtest(
        (quotes(3), TABLE), built_in(name)(size=1), cash="10000000", limits=RiskLimits.unlimited(), capacity=SMALL,
        sample_interval=60.0,
    )  # fmt: skip
    assert len(result.strategies) == 1
    assert np.unique(np.asarray(result.orders["instrument"])).tolist() == list(range(COUNT))


def test_few_sizes_of_a_record_serve_all_runs() -> None:
    cls = built_in("momentum")
    assert cls.dtype_for(1) == cls.dtype_for(ROOM) == cls.dtype
    assert cls.dtype_for(ROOM + 1) == cls.dtype_for(2 * ROOM) != cls.dtype
    assert cls.dtype_for(8_000)["channel"].shape == (8_192,)
    assert cls.dtype_for(8_000)["best_price"].shape == (8_192,)


def test_state_of_instruments_is_no_parameter() -> None:
    with pytest.raises(ValueError, match="last_ts is state of each instrument: it cannot be given"):
        built_in("glft")(last_ts=[1, 2])
