"""What every loop that drives the step shares: the head of its record, sending commands, timers, samples, its verbs.

A loop's record begins with the fields of `RUN`, so the kernels here take its address whichever loop it is.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from nanotick.core.kernel import kernel
from nanotick.core.memory import record_at
from nanotick.core.records import RECORD_SIZE, Kind, event_at
from nanotick.engine.control import watch_alarm, watch_breakers
from nanotick.engine.journaling import SessionMark, journal_commands, journal_mark
from nanotick.engine.records import engine_at
from nanotick.engine.sample import take_markouts, take_sample
from nanotick.engine.step import start_or_stop, timer_event
from nanotick.exchange.records import NEVER
from nanotick.exchange.reports import command_push
from nanotick.strategy.order_entry import earliest_timer
from nanotick.strategy.records import Callback, context_at, timer_at

INFINITE = NEVER

RUN = np.dtype(
    [
        ("engine_address", "<i8"),
        ("venue_address", "<i8"),
        ("timer_event_address", "<i8"),  # scratch EVENT
        ("now", "<i8"),  # latest local time
        ("sample_interval", "<i8"),  # ns, 0: none
        ("next_sample", "<i8"),
        ("rows_done", "<i8"),  # market data rows stepped
        ("journal_address", "<i8"),  # of the session's journal, 0: none is kept
        ("mark_address", "<i8"),  # scratch EVENT
    ]
)
run_at = record_at(RUN, "Run")

_TIMER = int(Kind.TIMER)
_LONG_GAP = 600  # samples

END, BUDGET, DRAIN, STUCK, JOURNAL = 0, 1, 2, 3, 4


class Verb(IntEnum):
    """What a loop's entry does; one entry for all, so that what they share is compiled once."""

    RUN = 0  # argument: how many local rows at most
    START = 1  # argument: local time
    STOP = 2  # argument: local time
    SAMPLE = 3  # argument: local time


_START, _STOP, _SAMPLE = int(Verb.START), int(Verb.STOP), int(Verb.SAMPLE)
_MARK_START, _MARK_STOP = int(SessionMark.START), int(SessionMark.STOP)
_MARK_SAMPLE, _MARK_DUE = int(SessionMark.SAMPLE), int(SessionMark.DUE)
_ON_START, _ON_STOP = int(Callback.START), int(Callback.STOP)


@kernel
def send_commands(runner: int, now: int) -> None:
    """Hand the step's commands to the venue, stamped with the order-entry latency."""
    run = run_at(runner)
    root = engine_at(run.engine_address)
    if run.journal_address != 0:
        journal_commands(run.journal_address, run.engine_address)
    for i in range(root.command_count):
        # a venue that cannot take it answers so, and keeps it in its status, which ends the run
        command_push(run.venue_address, root.commands_address + i * RECORD_SIZE, now)
    root.command_count = 0


@kernel
def next_due(runner: int) -> int:
    """When a timer, a sample or a mark-out is due next."""
    run = run_at(runner)
    root = engine_at(run.engine_address)
    return min(context_at(root.context_address).next_timer, run.next_sample, root.next_markout)


@kernel
def do_due(runner: int, due: int, next_row: int) -> None:
    """Do what is due at a time that has come; `next_row` is when the next row arrives."""
    run = run_at(runner)
    root = engine_at(run.engine_address)
    run.now = max(run.now, due)
    if run.journal_address != 0:
        journal_mark(run.journal_address, run.mark_address, _MARK_DUE, run.now, due, next_row, run.next_sample)
    if root.next_markout <= due:
        take_markouts(run.engine_address, run.now)
    elif context_at(root.context_address).next_timer <= due:
        _fire_timers(runner, run.now)
    else:
        _sample(runner, next_row)
    if root.watching != 0:
        watch_alarm(run.engine_address, run.now)


@kernel
def _fire_timers(runner: int, now: int) -> None:
    run = run_at(runner)
    root = engine_at(run.engine_address)
    context = context_at(root.context_address)
    i = 0
    while i < context.timer_count:
        timer = timer_at(context.timers_address, i)
        if timer.due > now:
            i += 1
            continue
        event = event_at(run.timer_event_address)
        event.ts_venue = timer.due
        event.ts_recv = timer.due
        event.kind = _TIMER
        event.id = timer.id
        event.word = timer.strategy
        if timer.interval > 0:
            timer.due += timer.interval
            i += 1
        else:
            last = timer_at(context.timers_address, context.timer_count - 1)
            timer.due = last.due
            timer.interval = last.interval
            timer.strategy = last.strategy
            timer.id = last.id
            context.timer_count -= 1
        timer_event(run.engine_address, run.timer_event_address, now)
    context.next_timer = earliest_timer(root.context_address)


@kernel
def _sample(runner: int, next_row: int) -> None:
    run = run_at(runner)
    watch_breakers(run.engine_address, run.now)
    take_sample(run.engine_address, run.next_sample)
    run.next_sample += run.sample_interval
    if next_row != INFINITE and next_row - run.next_sample > _LONG_GAP * run.sample_interval:
        # a night or a halt: nothing moves, so nothing is sampled until just before it ends
        run.next_sample += (next_row - run.next_sample) // run.sample_interval * run.sample_interval


@kernel
def around_run(runner: int, verb: int, now: int) -> None:
    """Start, stop or sample: every verb but RUN."""
    run = run_at(runner)
    engine, journal = run.engine_address, run.journal_address
    if verb == _START:
        if journal != 0:
            journal_mark(journal, run.mark_address, _MARK_START, now, 0, 0, 0)
        start_or_stop(engine, _ON_START, now)
        send_commands(runner, now)
    elif verb == _STOP:
        if journal != 0:
            journal_mark(journal, run.mark_address, _MARK_STOP, now, 0, 0, 0)
        start_or_stop(engine, _ON_STOP, now)
        if journal != 0:
            journal_commands(journal, engine)
        engine_at(engine).command_count = 0
    elif verb == _SAMPLE:
        if journal != 0:
            journal_mark(journal, run.mark_address, _MARK_SAMPLE, now, 0, 0, 0)
        take_sample(engine, now)
