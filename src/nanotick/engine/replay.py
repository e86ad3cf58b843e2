"""The replay loop: recorded events, the venue side and the local side, merged by time in one kernel.

Five sources of time, the earliest goes first; at equal times in this order, so that a decision can only use what was
known before it and an order can only meet the book as it was when it arrived:

    1 venue row      a recorded row at its venue time            ─▶ venue book, own resting orders ─▶ reports
    2 command        one of ours arriving at the venue           ─▶ matching ─▶ reports
    3 report         a report arriving here                      ─▶ step
    4 local row      the same recorded row arriving here         ─▶ step ─▶ commands, sent with order latency
    5 timer, sample  due here                                    ─▶ step / account samples

A row is read twice from the same mapped file, by a venue cursor (rows flagged VENUE, in venue-time order) and a local
cursor (rows flagged LOCAL, in order of arrival). Files follow each other as segments; each cursor crosses into the next
on its own. `run_replay` returns when its budget of rows is used up, when the output needs draining, or at the end: that
is where progress, Ctrl-C and Python live.
"""

from __future__ import annotations

import numpy as np

from nanotick.core.kernel import kernel
from nanotick.core.memory import record_at
from nanotick.core.records import RECORD_SIZE, Flag, Kind, event_at
from nanotick.engine.records import MARKS_RESERVE, OUTPUT_RESERVE, engine_at
from nanotick.engine.sample import take_markouts, take_sample
from nanotick.engine.step import market_event, report_event, timer_event
from nanotick.exchange.records import NEVER
from nanotick.exchange.replay import venue_command, venue_event
from nanotick.exchange.reports import (
    command_head,
    command_head_ts,
    command_pop,
    command_push,
    feed_delay,
    report_head,
    report_head_ts,
    report_pop,
)
from nanotick.risk.guards import risk_update
from nanotick.strategy.context import earliest_timer
from nanotick.strategy.records import context_at, timer_at

INFINITE = NEVER

SEGMENT = np.dtype([("row_address", "<i8"), ("rows", "<i8")])
segment_at = record_at(SEGMENT, "Segment")

REPLAY = np.dtype(
    [
        ("engine_address", "<i8"),
        ("venue_address", "<i8"),
        ("segments_address", "<i8"),
        ("timer_event_address", "<i8"),  # scratch EVENT
        ("segment_count", "<i8"),
        ("venue_segment", "<i8"),
        ("venue_row", "<i8"),
        ("local_segment", "<i8"),
        ("local_row", "<i8"),
        ("feed_modelled", "<i8"),  # 0: rows arrive at their recorded ts_recv; 1: ask the venue's feed model
        ("last_arrival", "<i8"),  # rows never overtake each other
        ("pending_arrival", "<i8"),  # drawn for the next local row before the kernel last returned, 0: none
        ("now", "<i8"),  # latest local time
        ("venue_now", "<i8"),
        ("sample_interval", "<i8"),  # ns, 0: none
        ("next_sample", "<i8"),
        ("rows_done", "<i8"),  # local rows stepped
        ("commands_lost", "<i8"),
    ]
)
replay_at = record_at(REPLAY, "Replay")

_VENUE, _LOCAL = int(Flag.VENUE), int(Flag.LOCAL)
_TIMER = int(Kind.TIMER)

_LONG_GAP = 600  # samples

END, BUDGET, DRAIN = 0, 1, 2


@kernel
def _next_row(replay: int, segment: int, row: int, flag: int) -> int:
    """Segment and row, packed, of the first row from here on that takes part in a side's order; -1 at the end."""
    run = replay_at(replay)
    while segment < run.segment_count:
        part = segment_at(run.segments_address, segment)
        while row < part.rows:
            if event_at(part.row_address, row).flags & flag != 0:
                return (segment << 44) | row
            row += 1
        segment += 1
        row = 0
    return -1


@kernel
def _row_address(replay: int, packed: int) -> int:
    part = segment_at(replay_at(replay).segments_address, packed >> 44)
    return part.row_address + (packed & ((1 << 44) - 1)) * RECORD_SIZE


@kernel
def _send_commands(replay: int, now: int) -> None:
    """Hand the step's commands to the venue, stamped with the order-entry latency."""
    run = replay_at(replay)
    root = engine_at(run.engine_address)
    for i in range(root.command_count):
        if command_push(run.venue_address, root.commands_address + i * RECORD_SIZE, now) < 0:
            run.commands_lost += 1
    root.command_count = 0


@kernel
def _fire_timers(replay: int, now: int) -> None:
    run = replay_at(replay)
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


@kernel("i8(i8,i8)")
def run_replay(replay: int, budget: int) -> int:
    """Run until `budget` local rows are done, the output needs draining, or everything is over.

    Returns
    -------
    int
        END, BUDGET or DRAIN.
    """
    run = replay_at(replay)
    engine, venue = run.engine_address, run.venue_address
    root = engine_at(engine)
    context = context_at(root.context_address)
    output_full = root.output_limit - OUTPUT_RESERVE
    marks_full = root.marks_limit - context.instrument_count - MARKS_RESERVE
    venue_next = _next_row(replay, run.venue_segment, run.venue_row, _VENUE)
    local_next = _next_row(replay, run.local_segment, run.local_row, _LOCAL)
    venue_row = _row_address(replay, venue_next) if venue_next >= 0 else 0
    local_row = _row_address(replay, local_next) if local_next >= 0 else 0
    t_venue = event_at(venue_row).ts_venue if venue_next >= 0 else INFINITE
    t_local = INFINITE
    if local_next >= 0:
        t_local = run.pending_arrival if run.pending_arrival != 0 else _arrival(replay, local_row)
    done = 0
    state = END
    while True:
        if root.output_count >= output_full or root.marks_count >= marks_full:
            state = DRAIN
            break
        t_command = command_head_ts(venue)
        t_report = report_head_ts(venue)
        t_timer = min(context.next_timer, run.next_sample, root.next_markout)
        if t_venue <= t_local and t_venue <= t_command and t_venue <= t_report and t_venue <= t_timer:
            if t_venue == INFINITE:
                break
            run.venue_now = max(run.venue_now, t_venue)
            venue_event(venue, venue_row)
            part = segment_at(run.segments_address, venue_next >> 44)
            venue_next += 1
            venue_row += RECORD_SIZE
            if venue_next & ((1 << 44) - 1) >= part.rows or event_at(venue_row).flags & _VENUE == 0:
                venue_next = _next_row(replay, venue_next >> 44, venue_next & ((1 << 44) - 1), _VENUE)
                venue_row = _row_address(replay, venue_next) if venue_next >= 0 else 0
            t_venue = event_at(venue_row).ts_venue if venue_next >= 0 else INFINITE
        elif t_command <= t_report and t_command <= t_local and t_command <= t_timer:
            run.venue_now = max(run.venue_now, t_command)
            venue_command(venue, command_head(venue), t_command)
            command_pop(venue)
        elif t_report <= t_local and t_report <= t_timer:
            run.now = max(run.now, t_report)
            report_event(engine, report_head(venue), run.now)
            report_pop(venue)
            if root.command_count > 0:
                _send_commands(replay, run.now)
        elif t_local <= t_timer:
            if done >= budget:
                state = BUDGET
                break
            run.now = max(run.now, t_local)
            run.last_arrival = t_local
            market_event(engine, local_row, run.now)
            if root.command_count > 0:
                _send_commands(replay, run.now)
            done += 1
            part = segment_at(run.segments_address, local_next >> 44)
            local_next += 1
            local_row += RECORD_SIZE
            if local_next & ((1 << 44) - 1) >= part.rows or event_at(local_row).flags & _LOCAL == 0:
                local_next = _next_row(replay, local_next >> 44, local_next & ((1 << 44) - 1), _LOCAL)
                local_row = _row_address(replay, local_next) if local_next >= 0 else 0
            t_local = _arrival(replay, local_row) if local_next >= 0 else INFINITE
        else:
            # after the last row, timers and samples go on only while something of ours is still under way
            if t_venue == INFINITE and t_local == INFINITE and t_command == INFINITE and t_report == INFINITE:
                break
            run.now = max(run.now, t_timer)
            if root.next_markout <= t_timer:
                take_markouts(engine, run.now)
            elif context.next_timer <= t_timer:
                _fire_timers(replay, run.now)
                if root.command_count > 0:
                    _send_commands(replay, run.now)
            else:
                risk_update(context.risk_address, run.now)
                take_sample(engine, run.next_sample)
                run.next_sample += run.sample_interval
                if t_local != INFINITE and t_local - run.next_sample > _LONG_GAP * run.sample_interval:
                    # a night or a halt: nothing moves, so nothing is sampled until just before it ends
                    run.next_sample += (t_local - run.next_sample) // run.sample_interval * run.sample_interval
    run.rows_done += done
    if venue_next >= 0:
        run.venue_segment = venue_next >> 44
        run.venue_row = venue_next & ((1 << 44) - 1)
    else:
        run.venue_segment = run.segment_count
        run.venue_row = 0
    if local_next >= 0:
        run.local_segment = local_next >> 44
        run.local_row = local_next & ((1 << 44) - 1)
        run.pending_arrival = t_local
    else:
        run.local_segment = run.segment_count
        run.local_row = 0
        run.pending_arrival = 0
    return state


@kernel
def _arrival(replay: int, row: int) -> int:
    run = replay_at(replay)
    recorded = event_at(row).ts_recv if run.feed_modelled == 0 else feed_delay(run.venue_address, row)
    return max(recorded, run.last_arrival)
