"""What a strategy sees: the context record behind `ctx`, and read-only views of trades, bars, fills and orders.

The views lie over the 64 bytes of an event (or over an order's record) under the names a strategist uses. The compiled
types have no way to write: a strategy changes the world by `ctx` methods alone.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np

from nanotick.core.memory import record_at
from nanotick.core.records import EVENT
from nanotick.orders.records import ORDER

MAX_STRATEGIES = 64  # one bit each in a subscription mask
MAX_TIMERS = 256
MAX_INTENTS = 1024  # new, cancel and replace intents of one callback
MAX_SIGNALS = 1024

CONTEXT = np.dtype(
    [
        ("now", "<i8"),  # ns UTC, local time of the event being handled
        ("instrument", "<i8"),  # of the event being handled, 0 outside market data and reports
        ("strategy", "<i8"),  # whose callback runs
        ("strategy_count", "<i8"),
        ("instrument_count", "<i8"),
        ("instruments_address", "<i8"),
        ("books_address", "<i8"),
        ("orders_address", "<i8"),
        ("portfolio_address", "<i8"),
        ("risk_address", "<i8"),
        ("tape_address", "<i8"),
        ("intents_address", "<i8"),
        ("signals_address", "<i8"),
        ("timers_address", "<i8"),
        ("scratch_address", "<i8"),
        ("intent_count", "<i8"),
        ("signal_count", "<i8"),
        ("timer_count", "<i8"),
        ("next_timer", "<i8"),  # ns UTC, when the earliest timer is due
        ("refused_intents", "<i8"),  # intents lost for want of room
        ("random_state", "<i8"),
    ]
)
context_at = record_at(CONTEXT, "ContextRecord")

# transient: addresses that only mean something while one event is handled
SCRATCH = np.dtype(
    [
        ("event", "<i8"),  # address of the event being handled
        ("order", "<i8"),  # address of the order a callback is about
        ("bar_ts", "<i8"),  # from here on a BAR_VIEW record, the bar being handled
        ("bar_open", "<i8"),
        ("bar_high", "<i8"),
        ("bar_low", "<i8"),
        ("bar_close", "<i8"),
        ("bar_volume", "<i8"),
        ("bar_instrument", "<i8"),
        ("bar_pad", "<i8"),
        ("trade", "<i8", (8,)),  # an EVENT: the trade that an execution of a resting order amounts to
    ]
)
scratch_at = record_at(SCRATCH, "Scratch")
SCRATCH_BAR = 16  # offset of the bar in SCRATCH
SCRATCH_TRADE = 80

TIMER = np.dtype([("due", "<i8"), ("interval", "<i8"), ("strategy", "<i8"), ("id", "<i8")])
timer_at = record_at(TIMER, "Timer")

NO_TIMER = (1 << 63) - 1


class Callback(IntEnum):
    """Which of a strategy's methods the engine calls; its place in the tables of masks and functions."""

    START = 0
    BOOK = 1
    TRADE = 2
    BAR = 3
    ORDER = 4
    FILL = 5
    TIMER = 6
    STOP = 7


CALLBACKS: dict[str, Callback] = {f"on_{c.name.lower()}": c for c in Callback}


def _overlay(base: np.dtype[Any], names: dict[str, str]) -> np.dtype[Any]:
    """A dtype over the same bytes in which `names` maps our name to the base's field."""
    assert base.fields is not None
    return np.dtype(
        {
            "names": list(names),
            "formats": [base.fields[f][0] for f in names.values()],
            "offsets": [base.fields[f][1] for f in names.values()],
            "itemsize": base.itemsize,
        }
    )


_COMMON = {"ts_venue": "ts_venue", "ts_recv": "ts_recv", "seq": "seq", "instrument": "instrument", "flags": "flags"}
TRADE_VIEW = _overlay(EVENT, {**_COMMON, "price": "price", "qty": "qty", "side": "side", "trade_id": "id"})
FILL_VIEW = _overlay(
    EVENT, {**_COMMON, "price": "price", "qty": "qty", "side": "side", "order_id": "id", "fee": "word"}
)
TIMER_VIEW = _overlay(EVENT, {"ts": "ts_recv", "id": "id"})
BAR_VIEW = np.dtype(
    [
        ("ts", "<i8"),
        ("open", "<i8"),
        ("high", "<i8"),
        ("low", "<i8"),
        ("close", "<i8"),
        ("volume", "<i8"),
        ("instrument", "<i8"),
        ("pad", "<i8"),
    ]
)
bar_at = record_at(BAR_VIEW, "Bar")
ORDER_VIEW: np.dtype[Any] = ORDER

# what the third argument of a callback is, where there is one
CALLBACK_VIEWS: dict[Callback, np.dtype[Any]] = {
    Callback.TRADE: TRADE_VIEW,
    Callback.BAR: BAR_VIEW,
    Callback.ORDER: ORDER_VIEW,
    Callback.FILL: FILL_VIEW,
    Callback.TIMER: TIMER_VIEW,
}
