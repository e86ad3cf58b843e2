"""Plays scripts on an order table: the same records drive it compiled and interpreted, a whole list in one call.

A script is an array of EVENT. Reports (kinds 32 to 41) go to `order_report`; NEW, CANCEL and REPLACE_ORDER stand for
what the engine does: reserve and release, note a cancel, note a replace. An `id` of 0 means the order made last; of a
negative number -n, the n-th order made before that.
"""

from typing import Any

import numpy as np

from nanotick.core.arena import Arena
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.kernel import kernel
from nanotick.core.memory import load_i64, record_at, store_i64
from nanotick.core.records import EVENT, Kind, event_at
from nanotick.orders import (
    OrderTable,
    open_qty,
    order_cancel_sent,
    order_find,
    order_record,
    order_release,
    order_replace_sent,
    order_report,
    order_reserve,
    worst_leaves,
)

_NEW, _CANCEL, _REPLACE = int(Kind.NEW), int(Kind.CANCEL), int(Kind.REPLACE_ORDER)

STEP = np.dtype(
    [
        ("result", "<i8"),  # OrderChange of a report, OrderRequest of a request, id of a new order
        ("id", "<i8"),
        ("state", "<i8"),
        ("qty", "<i8"),
        ("filled_qty", "<i8"),
        ("cancelled_qty", "<i8"),
        ("busted_qty", "<i8"),
        ("leaves", "<i8"),  # at worst
        ("open_qty", "<i8"),  # of its side, strategy and instrument
        ("fees", "<i8"),
        ("filled_value", "<i8"),
        ("fills", "<i8"),
    ]
)
step_at = record_at(STEP, "Step")


@kernel("i8(i8,i8,i8,i8,i8)")
def play(orders: int, script: int, count: int, steps: int, ids: int) -> int:
    """Play `count` records; each leaves a STEP. `ids` has room for the ids of the orders made; gives how many were."""
    made = 0
    for i in range(count):
        event = event_at(script, i)
        step = step_at(steps, i)
        kind = event.kind
        order_id = event.id
        if kind != _NEW and order_id <= 0:
            n = made - 1 + order_id
            order_id = load_i64(ids + 8 * n) if n >= 0 else 0
            event.id = order_id
        if kind == _NEW:
            order_id = order_reserve(
                orders, event.seq, event.instrument, event.side, event.price, event.qty, 0, 0, 0, 0, 0, event.ts_recv
            )
            order_release(orders, order_id, event.ts_recv)
            store_i64(ids + 8 * made, order_id)
            made += 1
            step.result = order_id
        elif kind == _CANCEL:
            step.result = order_cancel_sent(orders, order_id, event.ts_recv)
        elif kind == _REPLACE:
            step.result = order_replace_sent(orders, order_id, event.price, event.qty, event.ts_recv)
        else:
            step.result = order_report(orders, script + 64 * i)
        step.id = order_id
        slot = order_find(orders, order_id)
        if slot >= 0:
            order = order_record(orders, slot)
            step.state = order.state
            step.qty = order.qty
            step.filled_qty = order.filled_qty
            step.cancelled_qty = order.cancelled_qty
            step.busted_qty = order.busted_qty
            step.leaves = worst_leaves(order) if 1 < order.state < 7 else 0
            step.open_qty = open_qty(orders, order.strategy, order.instrument, order.side)
            step.fees = order.fees
            step.filled_value = order.filled_value
            step.fills = order.fills
    return made


INSTRUMENTS = (Instrument("ABC"), Instrument("XYZ"))


class Played:
    """An order table and the memory to play scripts on it."""

    def __init__(self, capacity: int = 1 << 14, strategies: int = 2, arena_size: int = 1 << 27, **options: Any) -> None:
        self.arena = Arena(arena_size)
        self.table = OrderTable(self.arena, strategies, InstrumentTable(INSTRUMENTS), capacity, **options)

    def __call__(self, script: np.ndarray) -> np.ndarray:
        """The STEP of each record of the script."""
        script = np.ascontiguousarray(script)
        steps = np.zeros(len(script), STEP)
        ids = np.zeros(len(script) + 1, np.int64)
        play(self.table.address, script.ctypes.data, len(script), steps.ctypes.data, ids.ctypes.data)
        return steps


def event(kind: Kind, **values: int) -> np.ndarray:
    """One record of a script."""
    row = np.zeros(1, EVENT)
    row["kind"] = kind
    row["side"] = 1 if kind == Kind.NEW else 0
    for name, value in values.items():
        row[name] = value
    return row
