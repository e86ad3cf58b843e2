"""Replay with strategies: the whole engine (both sides, risk, orders, portfolio) over generated recordings.

Latency is half a millisecond each way, the queue model the power-probability one with exponent 2 (exact FIFO on
order-by-order data), fees by value, whole fills, as in `peers/hftbacktest_replay.py`. Accounts and marks are sampled
once a minute of market time.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import level_stream, quote_stream
from benchmarks.generate import INSTRUMENTS, input_path
from benchmarks.peer import hftbacktest, hftbacktest_kept, nautilus
from benchmarks.registry import benchmark
from benchmarks.strategies import EveryNth, Maker, Noop
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.engine.backtest import Backtest, Recording
from nanotick.engine.local import StrategySetup
from nanotick.engine.replay import run_replay
from nanotick.exchange.config import Fees, VenueConfig
from nanotick.risk.limits import RiskLimits
from nanotick.strategy.base import Strategy

RUNS = 5
LATENCY_NS = 500_000
MINUTE_NS = 60_000_000_000
ALL_ROWS = 1 << 60
LEVELS = Instrument("PERP", "BENCH", level_stream.PRICE_DECIMALS, level_stream.QTY_DECIMALS, "0.1", "0.001")
ORDERS = Instrument("STOCK", "BENCH", 2, 0, "0.01", "1")
QUOTES = Instrument("STOCK", "BENCH", quote_stream.PRICE_DECIMALS, quote_stream.QTY_DECIMALS, "0.01", "1")
VENUE = VenueConfig(
    queue="power_prob",
    queue_power=2.0,
    fills="whole",
    entry_latency=LATENCY_NS,
    response_latency=LATENCY_NS,
    fees=Fees(maker_rate="-0.00005", taker_rate="0.0007"),
)
FREE = RiskLimits(**{name: "unlimited" for name in RiskLimits.__dataclass_fields__ if name.startswith("max_")})


@functools.cache
def events(name: str) -> np.ndarray[Any, Any]:
    """A generated recording, in memory."""
    return np.load(input_path(name))


def loop_seconds(
    data: np.ndarray[Any, Any], table: InstrumentTable, make: Callable[[], Strategy], venue: VenueConfig = VENUE
) -> list[float]:
    """Processor seconds of the event loop, of each run after a first one."""
    seconds = []
    for run in range(RUNS + 1):
        setup = StrategySetup(make(), cash=10**17)
        test = Backtest([Recording(data)], table, [setup], venue, FREE, sample_interval_ns=MINUTE_NS)
        spent = 0
        test.begin()
        while True:
            start = time.process_time_ns()
            state = run_replay(test.replay_region.address, 0, ALL_ROWS)
            spent += time.process_time_ns() - start
            if state == 0:
                break
            test.collector.drain()
        if test.venue.status:
            raise RuntimeError(f"the replay exchange ran out of room: {test.venue.status!r}")
        if run:
            seconds.append(spent / 1e9)
    return seconds


def rows_per_second(name: str, table: InstrumentTable, make: Callable[[], Strategy], hft_rows: int = 0) -> float:
    data = events(name)
    return (hft_rows or len(data)) / float(np.median(loop_seconds(data, table, make)))


@benchmark("replay_noop", "price-level replay, no-op strategy each 100 ms", unit="rows/s",
           peer=hftbacktest("noop", "levels_hft"), reach=">= 2.5x")  # fmt: skip
def replay_noop() -> float:
    return rows_per_second("levels", InstrumentTable([LEVELS]), lambda: Noop(step=100_000_000))


@benchmark("replay_maker_100ms", "market maker, ten levels a side, each 100 ms", unit="rows/s",
           peer=hftbacktest("maker_100ms", "levels_hft"), reach=">= 2.5x")  # fmt: skip
def replay_maker_100ms() -> float:
    return rows_per_second("levels", InstrumentTable([LEVELS]), lambda: Maker(step=100_000_000))


@benchmark("replay_maker_10ms", "market maker, ten levels a side, each 10 ms", unit="rows/s",
           peer=hftbacktest("maker_10ms", "levels_hft"), reach=">= 4x")  # fmt: skip
def replay_maker_10ms() -> float:
    return rows_per_second("levels", InstrumentTable([LEVELS]), lambda: Maker(step=10_000_000))


@benchmark("replay_lean_100ms", "the same against hftbacktest without dictionaries", unit="rows/s",
           peer=hftbacktest("lean_100ms", "levels_hft"), reach=None)  # fmt: skip
def replay_lean_100ms() -> float:
    return replay_maker_100ms()


@benchmark("replay_lean_10ms", "the same against hftbacktest without dictionaries", unit="rows/s",
           peer=hftbacktest("lean_10ms", "levels_hft"), reach=None)  # fmt: skip
def replay_lean_10ms() -> float:
    return replay_maker_10ms()


@benchmark("replay_orders_noop", "order-by-order FIFO replay, no-op strategy each 100 ms", unit="rows/s",
           peer=hftbacktest("orders_noop", "orders_hft"), reach=">= 2.5x")  # fmt: skip
def replay_orders_noop() -> float:
    rows = len(events("orders_hft"))
    return rows_per_second("orders", InstrumentTable([ORDERS]), lambda: Noop(step=100_000_000), rows)


@benchmark("replay_orders_maker", "order-by-order FIFO replay, market maker each 100 ms", unit="rows/s",
           peer=hftbacktest("orders_maker", "orders_hft"), reach=">= 2.5x")  # fmt: skip
def replay_orders_maker() -> float:
    rows = len(events("orders_hft"))
    return rows_per_second("orders", InstrumentTable([ORDERS]), lambda: Maker(step=100_000_000), rows)


@benchmark("replay_64_kept", "share of the one-instrument rate kept with 64 in one engine", unit="share",
           peer=hftbacktest_kept(), reach=">= 0.8")  # fmt: skip
def replay_64_kept() -> float:
    data = events("many")
    table = InstrumentTable(
        [Instrument(f"PERP{n}", "BENCH", level_stream.PRICE_DECIMALS, level_stream.QTY_DECIMALS, "0.1", "0.001")
         for n in range(INSTRUMENTS)]
    )  # fmt: skip
    many = len(data) / float(np.median(loop_seconds(data, table, lambda: Noop(step=100_000_000))))
    first = data[data["instrument"] == 0]
    one_table = InstrumentTable([table[0]])
    # one instrument's rows are few: as many again as the 64 have together
    repeated = np.concatenate([_later(first, n) for n in range(INSTRUMENTS)])
    one = len(repeated) / float(np.median(loop_seconds(repeated, one_table, lambda: Noop(step=100_000_000))))
    return many / one


def _later(rows: np.ndarray[Any, Any], times: int) -> np.ndarray[Any, Any]:
    """The same rows, `times` lengths of the recording later."""
    shifted = rows.copy()
    length = int(rows["ts_recv"][-1] - rows["ts_venue"][0]) + 1_000_000
    for name in ("ts_venue", "ts_recv"):
        shifted[name] += times * length
    return shifted


@benchmark("quotes_order_each_1000", "a strategy on every quote, a market order each 1,000", unit="quotes/s",
           peer=nautilus("order_each_1000"), reach=">= 50x")  # fmt: skip
def quotes_order_each_1000() -> float:
    return _quotes(1_000)


@benchmark("quotes_order_each", "a market order on every quote: full cycles", unit="cycles/s",
           peer=nautilus("order_each"), reach=">= 250x")  # fmt: skip
def quotes_order_each() -> float:
    return _quotes(1)


def _quotes(each: int) -> float:
    data = quote_stream.as_events(events("quotes"))
    venue = VenueConfig(fees=Fees())
    seconds = loop_seconds(data, InstrumentTable([QUOTES]), lambda: EveryNth(each=each), venue)
    return len(data) / float(np.median(seconds))
