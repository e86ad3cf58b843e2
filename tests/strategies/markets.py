"""Small hand-made markets that the tests of built-in strategies share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import BOTH_SIDES, EVENT, Flag, Kind
from nanotick.engine.backtest import Backtest, Recording
from nanotick.engine.local import Capacity, StrategySetup
from nanotick.engine.output import RunOutput
from nanotick.exchange.config import VenueConfig
from nanotick.risk.limits import RiskLimits
from nanotick.strategy.base import Strategy

START = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
FREE = RiskLimits(
    **{
        name: "allow" if name in ("self_trade", "crossed_book") else "unlimited"
        for name in RiskLimits.__dataclass_fields__
        if name != "cancel_reserve_share"
    }
)
CAPACITY = Capacity(book_orders=1 << 12, book_levels=1 << 14, orders=1 << 14, arena_bytes=4 << 30)
SHARE = Instrument("AAA", "SIM", price_decimals=2, qty_decimals=0, tick_size="0.01", lot_size="1")


def quote(ts: int, bid: int, bid_qty: int, ask: int, ask_qty: int, instrument: int = 0) -> tuple[int, ...]:
    """A best bid and offer, `ts` in ns from the start."""
    return (int(Kind.QUOTE), ts, bid, bid_qty, ask, ask_qty, 0, instrument)


def trade(ts: int, price: int, qty: int, side: int, instrument: int = 0) -> tuple[int, ...]:
    """A trade on the tape."""
    return (int(Kind.TRADE), ts, price, qty, 0, 0, side, instrument)


def recording(rows: Sequence[tuple[int, ...]]) -> npt.NDArray[Any]:
    """EVENT rows, in order of time."""
    rows = sorted(rows, key=lambda row: row[1])
    events = np.zeros(len(rows), EVENT)
    for n, name in enumerate(("kind", "ts_venue", "price", "qty", "id", "word", "side", "instrument")):
        events[name] = [row[n] for row in rows]
    events["ts_venue"] += START
    events["ts_recv"] = events["ts_venue"]
    events["flags"] = BOTH_SIDES | int(Flag.LAST)
    events["seq"] = np.arange(1, len(rows) + 1)
    return events


def run(
    rows: Sequence[tuple[int, ...]],
    strategy: Strategy,
    instruments: Sequence[Instrument] = (SHARE,),
    venue: VenueConfig | None = None,
    **more: Any,
) -> RunOutput:
    """Replay a hand-made market with one strategy and no limits."""
    setup = StrategySetup(strategy, cash=10**17)
    test = Backtest(
        [Recording(recording(rows))],
        InstrumentTable(list(instruments)),
        [setup],
        venue or VenueConfig(),
        FREE,
        0,
        capacity=CAPACITY,
        **more,
    )
    return test.run()


def fills(out: RunOutput, instrument: int | None = None) -> npt.NDArray[Any]:
    """The run's fills, of one instrument if given."""
    rows = out.records[out.records["kind"] == int(Kind.FILL)]
    return rows if instrument is None else rows[rows["instrument"] == instrument]


def net(rows: npt.NDArray[Any]) -> int:
    """Signed quantity of fills."""
    return int((rows["qty"] * rows["side"]).sum())
