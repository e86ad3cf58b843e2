"""The matching engine: 45 % limit orders, 45 % cancels, 8 % immediate and market orders, 2 % replaces.

Everything a participant or the public would see is written (order-by-order feed, execution reports) and read away
between batches. The peer is the same flow in a flat ladder that tells nobody anything (`bare_matching`), in the same
run.

How far a book of many orders is held up by memory is told in misses: the time an operation takes more than in a small
book, in units of one dependent load from as many bytes as the orders fill.
"""

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.bare_matching import BareBooks
from benchmarks.order_flow import flow
from benchmarks.peer import Peer
from benchmarks.registry import benchmark
from nanotick.core.arena import Arena
from nanotick.core.clock import monotonic_ns
from nanotick.core.instruments import Instrument
from nanotick.core.kernel import kernel
from nanotick.core.memory import load_i64, store_i64
from nanotick.exchange.market import ExchangeConfig, MatchingExchange, exchange_at, exchange_command
from nanotick.exchange.market.engine import exchange_batch

PARTICIPANTS = 16
COUNT = 1_000_000
RING = 1 << 13
RUNS = 5


def _exchange(books: int, resting: int) -> MatchingExchange:
    orders = 1 << max(16, (resting + resting // 4).bit_length())
    sizes = {"max_orders": orders, "max_levels": 1 << 17}
    arena = Arena(MatchingExchange.reserve(books, **sizes, feed=RING, reports=RING, trades=1 << 12) + (64 << 20))
    items = [Instrument(f"S{i}", "SIM") for i in range(books)]
    config = ExchangeConfig(max_participants=PARTICIPANTS)
    return MatchingExchange(arena, items, config, book=sizes, feed=RING, reports=RING, trades=1 << 12)


def _work(exchange: MatchingExchange, commands: npt.NDArray[Any]) -> None:
    root, at = exchange._root[0], 0
    while at < len(commands):
        done = int(exchange_batch(exchange.address, commands[at:].ctypes.data, len(commands) - at))
        root["feed_first"], root["report_first"] = root["feed_end"], root["report_end"]
        if root["status"]:
            raise AssertionError(f"the exchange stopped with status {root['status']}")
        at += done


def _rate(books: int, resting: int, count: int = COUNT, runs: int = RUNS) -> float:
    commands = flow(resting + count, books, PARTICIPANTS, resting, 11)
    spent = []
    for _ in range(runs):
        exchange = _exchange(books, resting)
        _work(exchange, commands[:resting])
        start = time.thread_time_ns()
        _work(exchange, commands[resting:])
        spent.append(time.thread_time_ns() - start)
    return count / float(np.median(spent)) * 1e9


def _bare(books: int, resting: int, count: int = COUNT, runs: int = RUNS) -> float:
    commands = flow(resting + count, books, PARTICIPANTS, resting, 11)
    spent = []
    for _ in range(runs):
        floor = BareBooks(books, PARTICIPANTS, resting + count)
        floor.run(commands[:resting])
        start = time.thread_time_ns()
        trades = floor.run(commands[resting:])
        spent.append(time.thread_time_ns() - start)
        if trades < count // 100:
            raise AssertionError(f"the floor traded {trades} times")
    return count / float(np.median(spent)) * 1e9


def _floor(books: int, resting: int, runs: int = RUNS) -> Peer:
    return Peer("bare ladder, no feed, reports or checks", lambda: _bare(books, resting, runs=runs))


@benchmark("matching_1", "matching engine, 1 book", unit="ops/s", peer=_floor(1, 2_000), reach=">= 30000000")
def matching_1() -> float:
    return _rate(1, 2_000)


@benchmark("matching_100", "matching engine, 100 books", unit="ops/s", peer=_floor(100, 20_000), reach=">= 30000000")
def matching_100() -> float:
    return _rate(100, 20_000)


@kernel("i8(i8,i8,i8,i8,i8)")
def time_commands(exchange: int, commands: int, count: int, spent: int, scratch: int) -> int:
    """Nanoseconds of each command, read away as it is written; the clock's own time is in them."""
    root = exchange_at(exchange)
    for i in range(count):
        start = monotonic_ns(scratch)
        exchange_command(exchange, commands + 64 * i, i)
        store_i64(spent + 8 * i, monotonic_ns(scratch) - start)
        root.feed_first = root.feed_end
        root.report_first = root.report_end
    return count


@benchmark("matching_latency", "one command at a time, without looking ahead, p99", unit="ns", reach="<= 300")
def matching_latency() -> float:
    commands = flow(202_000, 1, PARTICIPANTS, 2_000, 11)
    exchange = _exchange(1, 2_000)
    _work(exchange, commands[:2_000])
    rest = commands[2_000:].copy()
    spent, scratch = np.zeros(len(rest), np.int64), np.zeros(2, np.int64)
    time_commands(exchange.address, rest.ctypes.data, len(rest), spent.ctypes.data, scratch.ctypes.data)
    return float(np.quantile(spent, 0.99))


# --- deep books -----------------------------------------------------------------------------------------------------

LINE = 64
ORDER_LINES = 1.5  # an ORDER is half a cache line, its MARKET_ORDER a whole one


@kernel("i8(i8,i8)")
def chase(lines: int, count: int) -> int:
    """Follow a chain of offsets; each load waits for the one before."""
    at = 0
    for _ in range(count):
        at = load_i64(lines + at)
    return at


def chase_ns(orders: int) -> float:
    """Nanoseconds of a dependent load from memory as large as what so many orders fill, in pages like theirs."""
    lines = int(orders * ORDER_LINES)
    region = Arena(lines * LINE + (8 << 20)).region("chase", np.dtype("<i8"), lines * LINE // 8)
    cycle = np.random.default_rng(11).permutation(lines)
    region.view.reshape(lines, LINE // 8)[cycle, 0] = np.roll(cycle, -1) * LINE
    spent, count = [], 1_000_000
    for _ in range(RUNS):
        start = time.thread_time_ns()
        chase(region.address, count)
        spent.append(time.thread_time_ns() - start)
    return float(np.median(spent)) / count


def _misses(resting: int, runs: int) -> float:
    deep, small = 1e9 / _rate(100, resting, runs=runs), 1e9 / _rate(100, 20_000)
    return (deep - small) / chase_ns(resting)


@benchmark("chase_1m", "a dependent load from what 1 M orders fill", unit="ns")
def chase_1m() -> float:
    return chase_ns(1_000_000)


@benchmark("chase_10m", "a dependent load from what 10 M orders fill", unit="ns")
def chase_10m() -> float:
    return chase_ns(10_000_000)


@benchmark("matching_misses_1m", "1 M resting orders: time over a small book, in dependent loads", unit="loads/op")
def matching_misses_1m() -> float:
    return _misses(1_000_000, 3)


@benchmark("matching_misses_10m", "10 M resting orders: time over a small book, in dependent loads", unit="loads/op")
def matching_misses_10m() -> float:
    return _misses(10_000_000, 1)


@benchmark(
    "matching_deep_1m",
    "matching engine, 1 M resting orders",
    unit="ops/s",
    peer=_floor(100, 1_000_000, 3),
    reach=">= 5000000",
)
def matching_deep_1m() -> float:
    return _rate(100, 1_000_000, runs=3)


@benchmark("matching_deep_10m", "matching engine, 10 M resting orders", unit="ops/s", reach=">= 5000000")
def matching_deep_10m() -> float:
    return _rate(100, 10_000_000, runs=1)
