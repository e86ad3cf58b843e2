"""From a strategy's intent to a command that risk has passed: reserve, every check, release.

A market maker with ten orders on each side of a live book, two strategies, every limit at its default. Each measured
order is then acknowledged and cancelled, outside of the measurement, so that the state stays as it is.
"""

import numpy as np
import numpy.typing as npt
from numba import types

from benchmarks.registry import benchmark
from nanotick.book import BookStore
from nanotick.core.arena import Arena
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.kernel import REGISTRY, compile_entry, kernel
from nanotick.core.memory import load_i64, store_i64
from nanotick.core.records import EVENT, Kind, event_at
from nanotick.core.tape import tape_at
from nanotick.orders import OrderTable, order_release, order_report, order_reserve
from nanotick.portfolio import Portfolio
from nanotick.risk import RiskLimits, RiskStage, risk_check, risk_refresh, risk_update

ORDERS = 200_000
LEVELS = 10
MID = 10_000
STEP_NS = 10_000_000  # an order each 10 ms: the default rates are then never reached
UPDATE_EACH = 10  # orders between two updates of marks and breakers
START_NS = 1_000_000_000
_CASH = [50_000_000_000] * 2
_ACCEPTED, _CANCELLED = int(Kind.ACCEPTED), int(Kind.CANCELLED)
_MONOTONIC = 1
_clock_gettime = types.ExternalFunction("clock_gettime", types.int32(types.int32, types.int64))


@kernel
def now_ns(scratch: int) -> int:
    """The monotonic clock, through sixteen bytes of scratch."""
    _clock_gettime(_MONOTONIC, scratch)
    return load_i64(scratch) * 1_000_000_000 + load_i64(scratch + 8)


@kernel
def _report(orders: int, event_address: int, order_id: int, kind: int, qty: int, now: int) -> None:
    event = event_at(event_address)
    event.kind = kind
    event.id = order_id
    event.qty = qty
    event.ts_recv = now
    order_report(orders, event_address)


@kernel
def _send(risk: int, orders: int, side: int, price: int, now: int) -> int:
    """Intent to command; gives the order's id, or the check that refused it, negative."""
    order_id = order_reserve(orders, 0, 0, side, price, 1, 0, 0, 0, 0, 0, now)
    check = risk_check(risk, order_id, now)
    if check != 0:
        return -check
    order_release(orders, order_id, now)
    return order_id


@kernel("i8(i8,i8,i8,i8,i8)")
def rest(risk: int, orders: int, tape: int, event: int, levels: int) -> int:
    """Put the resting orders in place; gives how many were refused."""
    refused = 0
    for i in range(2 * levels):
        side = 1 if i & 1 else -1
        now = START_NS + i * STEP_NS
        tape_at(tape).book_ts = now
        order_id = _send(risk, orders, side, MID - side * (20 + (i >> 1)), now)
        if order_id < 0:
            refused += 1
        else:
            _report(orders, event, order_id, _ACCEPTED, 1, now)
    return refused


@kernel("i8(i8,i8,i8,i8,i8,i8,i8)")
def intents(risk: int, orders: int, tape: int, event: int, count: int, samples: int, scratch: int) -> int:
    """Send `count` orders, acknowledged and cancelled afterwards; `samples` gets the ns of each. Gives refusals."""
    refused = 0
    for i in range(count):
        now = 10 * START_NS + i * STEP_NS
        side = 1 if i & 1 else -1
        price = MID - side * (1 + i % 7)
        tape_at(tape).book_ts = now
        started = now_ns(scratch)
        order_id = _send(risk, orders, side, price, now)
        store_i64(samples + 8 * i, now_ns(scratch) - started)
        if order_id < 0:
            refused += 1
        else:
            _report(orders, event, order_id, _ACCEPTED, 1, now)
            _report(orders, event, order_id, _CANCELLED, 1, now)
            risk_refresh(risk, 0, 0)
        if i % UPDATE_EACH == 0:
            risk_update(risk, now)
    return refused


@kernel("i8(i8,i8,i8)")
def clock_cost(samples: int, count: int, scratch: int) -> int:
    """What two readings of the clock in a row show: the part of each sample that is not ours."""
    for i in range(count):
        started = now_ns(scratch)
        store_i64(samples + 8 * i, now_ns(scratch) - started)
    return count


_samples: list[npt.NDArray[np.int64]] = []


def _measure() -> npt.NDArray[np.int64]:
    """Nanoseconds of each order, the clock's own median cost taken off; measured once."""
    if _samples:
        return _samples[0]
    for entry in (rest, intents, clock_cost):
        compile_entry(REGISTRY[f"{entry.__module__}.{entry.__name__}"])
    table = InstrumentTable([Instrument("ABC"), Instrument("XYZ")])
    arena = Arena(1 << 30)
    orders = OrderTable(arena, 2, table)
    portfolio = Portfolio(arena, 2, table, _CASH)
    books = BookStore(arena, "book.local", 2, max_orders=1_024, max_levels=1_024)
    books.quote_set(0, MID, 100, MID + 1, 100)
    stage = RiskStage(arena, 2, table, RiskLimits())
    stage.connect(orders, portfolio, books.address)
    event = np.zeros(1, EVENT)
    scratch = np.zeros(2, np.int64)
    samples = np.zeros(ORDERS, np.int64)
    tape = stage.tape.address
    refused = rest(stage.address, orders.address, tape, event.ctypes.data, LEVELS)
    refused += intents(
        stage.address, orders.address, tape, event.ctypes.data, ORDERS, samples.ctypes.data, scratch.ctypes.data
    )
    if refused:
        raise RuntimeError(f"{refused} of {ORDERS} orders were refused: this benchmark measures orders that pass")
    empty = np.zeros(ORDERS, np.int64)
    clock_cost(empty.ctypes.data, ORDERS, scratch.ctypes.data)
    _samples.append(samples - int(np.median(empty)))
    return _samples[0]


@benchmark("intent_command_p50", "intent in arena -> risk-passed command, all checks", unit="ns", reach="<= 300")
def intent_command_p50() -> float:
    """Median."""
    return float(np.percentile(_measure(), 50))


@benchmark("intent_command_p99", "intent in arena -> risk-passed command, all checks, p99", unit="ns", reach="<= 1000")
def intent_command_p99() -> float:
    """99th percentile."""
    return float(np.percentile(_measure(), 99))
