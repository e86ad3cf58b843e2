"""The engine's own records: its root, one row a strategy, and what it puts out."""

from __future__ import annotations

import numpy as np

from nanotick.core.memory import record_at

ENGINE = np.dtype(
    [
        ("context_address", "<i8"),
        ("slots_address", "<i8"),  # STRATEGY_SLOT, one a strategy
        ("masks_address", "<i8"),  # SUBSCRIPTION, one an instrument
        ("output_address", "<i8"),  # EVENT or COMMAND records the run adds, in order
        ("commands_address", "<i8"),  # commands of the present step, for the gateway
        ("refused_address", "<i8"),  # ids of orders refused in the present step
        ("marks_address", "<i8"),  # MARK_SAMPLE
        ("output_limit", "<i8"),
        ("command_limit", "<i8"),
        ("marks_limit", "<i8"),
        ("output_count", "<i8"),
        ("command_count", "<i8"),
        ("marks_count", "<i8"),
        ("markouts_address", "<i8"),  # MARKOUT, a ring a horizon
        ("markout_first", "<i8", (4,)),
        ("markout_end", "<i8", (4,)),
        ("next_markout", "<i8"),  # ns UTC, when a mark is due next
        ("markouts_lost", "<i8"),
        ("seq", "<i8"),  # journal sequence number of the last record put out
        ("events", "<i8"),  # market data events stepped
        ("unknown_orders", "<i8"),  # market data that named an order we never saw
        ("bad_events", "<i8"),  # market data the book refused
        ("book_full", "<i8"),  # of these, those it had no room for
        ("stray_reports", "<i8"),  # reports for orders that are not ours
        ("guards_address", "<i8"),  # GUARD of risk, one a strategy: where a pause is kept
        ("closing", "<i8"),  # strategies and instruments with something left to cancel or to close
        ("watching", "<i8"),  # 1: there are dynamic limits
    ]
)
engine_at = record_at(ENGINE, "Engine")

# A mark to be taken some time after a fill, so that mark-outs are exact and not of the nearest sample.
MARKOUT = np.dtype([("due", "<i8"), ("instrument", "<i8")])
markout_at = record_at(MARKOUT, "Markout")
MARKOUT_RING = 1 << 16  # a power of two
HORIZONS = 4

STRATEGY_SLOT = np.dtype(
    [
        ("self_address", "<i8"),
        ("call_function", "<i8", (8,)),  # machine address a callback, 0: not defined
        ("calls", "<i8", (8,)),
        ("intents", "<i8"),
        ("pad", "<i8", (6,)),
    ]
)
slot_at = record_at(STRATEGY_SLOT, "StrategySlot")

SUBSCRIPTION = np.dtype(
    [("mask", "<i8", (8,))]
)  # bit n: strategy n defines this callback and listens to the instrument
subscription_at = record_at(SUBSCRIPTION, "Subscription")

# most records one step can put out: a command or refusal an intent, signals, and the event's own
OUTPUT_RESERVE = 8_192
MARKS_RESERVE = 1_024
