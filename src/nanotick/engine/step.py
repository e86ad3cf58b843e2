"""The step: one event in, the state changed, commands out.

    event ─ market data ─▶ book, tape, marks ─▶ on_book / on_trade / on_bar ─┐
          ├ report ──────▶ order, portfolio ──▶ on_fill, on_order ───────────┤
          ├ timer ───────────────────────────▶ on_timer ─────────────────────┤
          └ control ─────▶ risk                                              ▼
                                            intents ─▶ risk ─▶ commands, refusals

Every callback is followed by `settle`: the intents it wrote pass risk one by one, in order, each against a state that
already holds the ones before it. Nothing else writes commands. All records the step adds (commands, reports, refusals,
signals) go to the output in that order under one sequence of numbers: they are the run's journal.
"""

from __future__ import annotations

from nanotick.book.bbo import mark_price
from nanotick.book.store import apply_event, order_find as book_order_find, order_price as book_order_price
from nanotick.core.kernel import kernel
from nanotick.core.memory import bits_float, call2, copy_bytes, float_bits, trailing_zeros
from nanotick.core.records import (
    MAKER,
    RECORD_SIZE,
    ControlAction,
    Flag,
    Kind,
    command_at,
    event_at,
)
from nanotick.engine.records import engine_at, slot_at, subscription_at
from nanotick.orders.records import order_at
from nanotick.strategy.records import Callback, context_at, scratch_at, tape_at

_ADD, _EXECUTE, _QUOTE, _TRADE = int(Kind.ADD), int(Kind.EXECUTE), int(Kind.QUOTE), int(Kind.TRADE)
_BAR, _STATUS, _MARK, _GAP = int(Kind.BAR), int(Kind.STATUS), int(Kind.MARK), int(Kind.GAP)
_FILL, _FILL_BUST, _TIMER, _CONTROL = int(Kind.FILL), int(Kind.FILL_BUST), int(Kind.TIMER), int(Kind.CONTROL)
_NEW, _CANCEL, _REPLACE, _RISK = int(Kind.NEW), int(Kind.CANCEL), int(Kind.REPLACE_ORDER), int(Kind.RISK)
_LAST, _PRINTABLE = int(Flag.LAST), int(Flag.PRINTABLE)
