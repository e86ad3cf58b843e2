"""The replay loop: recorded events, the venue side and the local side, merged by time in one kernel.

Five sources of time, the earliest goes first; at equal times in this order, so that a decision can only use what was
known before it and an order can only meet the book as it was when it arrived:

    1 venue row      a recorded row at its venue time            ─▶ venue book, own resting orders ─▶ reports
    2 command        one of ours arriving at the venue           ─▶ matching ─▶ reports
    3 report         a report arriving here                      ─▶ step
    4 local row      the same recorded row arriving here         ─▶ step ─▶ commands, sent with order latency
    5 timer, sample  due here                                    ─▶ step / account samples

While nothing of ours is at the venue or on its way there, its book is nobody's business: it sleeps, and rows are read
once. When a command is sent it wakes: our own book, which was fed the same rows in the same order, is copied onto it
(or, where that is less work, it is given what it missed), and the rows in flight between the two follow. Rows that
carry but one of the two flags make the orders differ; from the first such row of a book on, the venue stays awake.

Where no strategy listens to rows (all act on timers and reports), nothing can be sent between two of those: the venue
then runs ahead of us to the next of them, and our side follows in one go.

Otherwise a row is read twice from the same mapped file, by a venue cursor (rows flagged VENUE, in venue-time order) and
a local cursor (rows flagged LOCAL, in order of arrival). Files follow each other as segments; each cursor crosses into
the next on its own. `run_replay` returns when its budget of rows is used up, when the output needs draining, or at the
end: that is where progress, Ctrl-C and Python live.
"""

from __future__ import annotations

import numpy as np

from nanotick.book.mirror import copy_books, mirror_bytes
from nanotick.core.kernel import kernel
from nanotick.core.memory import record_at
from nanotick.core.records import BOTH_SIDES, RECORD_SIZE, Flag, Kind, event_at
from nanotick.engine.records import MARKS_RESERVE, OUTPUT_RESERVE, engine_at, subscription_at
from nanotick.engine.runner import (
    BUDGET,
    DRAIN,
    END,
    INFINITE,
    RUN,
    Verb,
    around_run,
    do_due,
    next_due,
    send_commands,
)
from nanotick.engine.step import market_event, report_event
from nanotick.exchange.records import BOOK_FULL, venue_at
from nanotick.exchange.replay import venue_command, venue_event, venue_idle, venue_passes
from nanotick.exchange.reports import (
    command_head,
    command_head_ts,
    command_pop,
    feed_delay,
    report_head,
    report_head_ts,
    report_pop,
)
from nanotick.strategy.records import Callback, context_at

SEGMENT = np.dtype([("row_address", "<i8"), ("rows", "<i8")])
segment_at = record_at(SEGMENT, "Segment")

REPLAY = np.dtype(
    [
        *((name, RUN[name]) for name in RUN.names or ()),
        ("mirror_address", "<i8"),  # from our book to the venue's
        ("segments_address", "<i8"),
        ("segment_count", "<i8"),
        ("venue_segment", "<i8"),
        ("venue_row", "<i8"),
        ("local_segment", "<i8"),
        ("local_row", "<i8"),
        ("asleep", "<i8"),  # 1: the venue's book is as it was at venue_row, all else of it as of local_row
        ("apart", "<i8"),  # 1: the two books were not fed the same rows in the same order
        ("feed_modelled", "<i8"),  # 0: rows arrive at their recorded ts_recv; 1: ask the venue's feed model
        ("last_arrival", "<i8"),  # rows never overtake each other
        ("pending_arrival", "<i8"),  # drawn for the next local row before the kernel last returned, 0: none
    ]
)
replay_at = record_at(REPLAY, "Replay")

_VENUE, _LOCAL, _BOTH = int(Flag.VENUE), int(Flag.LOCAL), int(BOTH_SIDES)
_TRADE = int(Kind.TRADE)

_ON_BOOK, _ON_TRADE, _ON_BAR = int(Callback.BOOK), int(Callback.TRADE), int(Callback.BAR)

_LAG = 1_024  # rows the venue may be behind or ahead: 64 KiB, so that its pass finds them in the cache
_ROW_BYTES_COPIED = 64  # bytes of books that can be copied in the time of applying one row
_ROW_BITS = 44
_ROW_MASK = (1 << _ROW_BITS) - 1

_RUN = int(Verb.RUN)


@kernel
def _seek(replay: int, segment: int, row: int, flag: int) -> int:
    """Segment and row, packed, of the first row from here on that takes part in a side's order; -1 at the end."""
    run = replay_at(replay)
    while segment < run.segment_count:
        part = segment_at(run.segments_address, segment)
        while row < part.rows:
            event = event_at(part.row_address, row)
            if event.flags & flag != 0:
                return (segment << _ROW_BITS) | row
            if event.flags & _BOTH != 0 and event.kind < _TRADE:
                run.apart = 1
            row += 1
        segment += 1
        row = 0
    return -1


@kernel
def _place(replay: int, segment: int, row_address: int) -> int:
    """Number of the row at an address, within its segment."""
    return (row_address - segment_at(replay_at(replay).segments_address, segment).row_address) // RECORD_SIZE


@kernel
def _row_address(replay: int, packed: int) -> int:
    if packed < 0:
        return 0
    return (
        segment_at(replay_at(replay).segments_address, packed >> _ROW_BITS).row_address
        + (packed & _ROW_MASK) * RECORD_SIZE
    )


@kernel
def _segment_end(replay: int, packed: int) -> int:
    if packed < 0:
        return 0
    part = segment_at(replay_at(replay).segments_address, packed >> _ROW_BITS)
    return part.row_address + part.rows * RECORD_SIZE


@kernel
def _wake(replay: int, segment: int, venue_row: int, local_row: int) -> bool:
    """The venue's book is needed again. True: it now is as ours before `local_row`; False: it must run up to there."""
    run = replay_at(replay)
    run.asleep = 0
    missed = (local_row - venue_row) // RECORD_SIZE
    if missed == 0 or mirror_bytes(run.mirror_address) > missed * _ROW_BYTES_COPIED:
        return False
    copy_books(run.mirror_address)
    if engine_at(run.engine_address).book_full != 0:
        v = venue_at(run.venue_address)
        v.status = v.status | BOOK_FULL
    return True


@kernel
def _deaf(engine: int) -> bool:
    """Whether no strategy hears of rows."""
    root = engine_at(engine)
    listening = 0
    for instrument in range(context_at(root.context_address).instrument_count):
        mask = subscription_at(root.masks_address, instrument).mask
        listening |= mask[_ON_BOOK] | mask[_ON_TRADE] | mask[_ON_BAR]
    return listening == 0


@kernel
def run_rows(replay: int, budget: int) -> int:
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
    exchange = venue_at(venue)
    output_full = root.output_limit - OUTPUT_RESERVE
    marks_full = root.marks_limit - context.instrument_count - MARKS_RESERVE
    found = _seek(replay, run.venue_segment, run.venue_row, _VENUE)
    venue_segment, venue_row, venue_end = found >> _ROW_BITS, _row_address(replay, found), _segment_end(replay, found)
    t_venue = event_at(venue_row).ts_venue if found >= 0 else INFINITE
    found = _seek(replay, run.local_segment, run.local_row, _LOCAL)
    local_segment, local_row, local_end = found >> _ROW_BITS, _row_address(replay, found), _segment_end(replay, found)
    t_local = INFINITE
    if found >= 0:
        t_local = run.pending_arrival if run.pending_arrival != 0 else _arrival(replay, local_row, run.last_arrival)
    last_arrival = run.last_arrival
    deaf = run.feed_modelled == 0 and _deaf(engine)  # a feed model of the user's may share what it knows with others
    done = 0
    behind = 0  # local rows done since the venue was last level with us
    state = END
    while True:
        if root.output_count >= output_full or root.marks_count >= marks_full:
            state = DRAIN
            break
        idle = venue_idle(venue) and t_local != INFINITE
        met = local_row == venue_row and run.apart == 0
        if run.asleep != 0 and (not idle or event_at(local_row).ts_venue > t_local):
            if _wake(replay, local_segment, venue_row, local_row):
                venue_row = local_row
                t_venue = event_at(venue_row).ts_venue
        elif run.asleep == 0 and idle and met and t_venue <= t_local:
            run.asleep = 1
        asleep = run.asleep != 0
        t_command = command_head_ts(venue)
        t_report = report_head_ts(venue)
        t_timer = next_due(replay)
        # an idle venue may lag where it must not sleep: its rows then run in tight batches
        level = not idle or (behind >= _LAG and not asleep)
        horizon = min(t_command, t_report, t_timer)
        until = horizon if deaf and not idle and root.closing == 0 else min(horizon, t_local)
        ahead = 0
        last_local = min(t_command - 1, t_report - 1, t_timer)
        reports = exchange.report_end
        timer_before = context.next_timer
        output_before = root.output_count
        while level and t_venue <= until and t_venue != INFINITE and ahead < _LAG:
            venue_event(venue, venue_row)
            ahead += 1
            venue_row += RECORD_SIZE
            if venue_row == venue_end or event_at(venue_row).flags & _VENUE == 0:
                found = _seek(replay, venue_segment, _place(replay, venue_segment, venue_row), _VENUE)
                venue_segment, venue_row = found >> _ROW_BITS, _row_address(replay, found)
                venue_end = _segment_end(replay, found)
                t_venue = event_at(venue_row).ts_venue if found >= 0 else INFINITE
            else:
                t_venue = event_at(venue_row).ts_venue
            if exchange.report_end != reports:
                break
        if exchange.report_end != reports:
            continue
        if level:
            behind = 0
        before = done
        flags = _BOTH if asleep else _LOCAL
        while t_local <= last_local and (t_venue > t_local or not level) and t_local != INFINITE and done < budget:
            if asleep:
                venue_passes(venue, local_row)
            market_event(engine, local_row, t_local)
            last_arrival = t_local
            done += 1
            local_row += RECORD_SIZE
            if local_row == local_end or event_at(local_row).flags & flags != flags:
                found = _place(replay, local_segment, local_row)
                if asleep and _wake(replay, local_segment, venue_row, local_row):
                    place = _seek(replay, local_segment, found, _VENUE)
                    venue_segment, venue_row = place >> _ROW_BITS, _row_address(replay, place)
                    venue_end = _segment_end(replay, place)
                    t_venue = event_at(venue_row).ts_venue if place >= 0 else INFINITE
                found = _seek(replay, local_segment, found, _LOCAL)
                local_segment, local_row = found >> _ROW_BITS, _row_address(replay, found)
                local_end = _segment_end(replay, found)
                t_local = _arrival(replay, local_row, last_arrival) if found >= 0 else INFINITE
                if asleep:
                    break
            else:
                t_local = _arrival(replay, local_row, last_arrival)
            if asleep:
                # a report (of a trade undone) must not wait for the end of the batch
                if event_at(local_row).ts_venue > t_local or exchange.report_end != reports:
                    break
            elif local_row == venue_row:
                break
            if root.output_count != output_before or context.next_timer != timer_before or done - before >= _LAG:
                break
        if done > before:
            run.now = max(run.now, last_arrival)
            behind = 0 if asleep else behind + done - before
        if root.command_count > 0:
            send_commands(replay, run.now)
        if done > before:
            if done >= budget:
                state = BUDGET
                break
            continue
        if level and t_venue <= t_local and t_venue <= horizon and t_venue != INFINITE:
            continue
        if t_command <= t_report and t_command <= t_local and t_command <= t_timer:
            if t_command == INFINITE:
                break
            venue_command(venue, command_head(venue), t_command)
            command_pop(venue)
        elif t_report <= t_local and t_report <= t_timer:
            run.now = max(run.now, t_report)
            report_event(engine, report_head(venue), run.now)
            report_pop(venue)
        elif t_local <= t_timer:
            state = BUDGET
            break
        else:
            # after the last row, timers and samples go on only while something of ours is still under way
            if t_local == INFINITE and t_command == INFINITE and t_report == INFINITE:
                break
            do_due(replay, t_timer, t_local)
        if root.command_count > 0:
            send_commands(replay, run.now)
    run.rows_done += done
    run.last_arrival = last_arrival
    run.venue_segment = venue_segment if venue_row != 0 else run.segment_count
    run.venue_row = _place(replay, venue_segment, venue_row) if venue_row != 0 else 0
    run.local_segment = local_segment if local_row != 0 else run.segment_count
    run.local_row = _place(replay, local_segment, local_row) if local_row != 0 else 0
    run.pending_arrival = t_local if local_row != 0 else 0
    return state


@kernel
def _arrival(replay: int, row: int, last: int) -> int:
    run = replay_at(replay)
    recorded = event_at(row).ts_recv if run.feed_modelled == 0 else feed_delay(run.venue_address, row)
    return max(recorded, last)


@kernel("i8(i8,i8,i8)")
def run_replay(replay: int, verb: int, argument: int) -> int:
    """The replay loop and what goes with it (`Verb`); END, BUDGET or DRAIN of a run, else 0."""
    if verb == _RUN:
        return run_rows(replay, argument)
    around_run(replay, verb, argument)
    return 0
