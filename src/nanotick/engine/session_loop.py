"""The session's kernels: events in by the block, journaled, stepped, commands journaled and handed on; replay.

    block or ring ─▶ due before it? ─▶ journal ─▶ step ─▶ journal its commands ─▶ buffer for the gateway

`run_events` and `run_ring` stop before an event for which there is no room anywhere (journal, gateway's buffer,
output) and say so in `state`, so nothing is ever half done for want of room. When the journal fails in the middle of a
step, what it did not take is not handed on, but for cancels: they take risk off.

`replay_records` is the same step over what a journal holds. Each command there must be the next one that the step made,
byte for byte.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from nanotick.core.journal_kernel import journal_append, journal_room
from nanotick.core.kernel import kernel
from nanotick.core.memory import copy_bytes, load_i64, record_at, store_i64, store_u8
from nanotick.core.records import RECORD_SIZE, Kind, command_at, event_at
from nanotick.core.ring import spsc_peek, spsc_release
from nanotick.engine.journaling import STEP_RECORDS, SessionMark
from nanotick.engine.records import MARKS_RESERVE, OUTPUT_RESERVE, engine_at, slot_at
from nanotick.engine.runner import INFINITE, RUN, do_due, next_due
from nanotick.engine.sample import take_sample
from nanotick.engine.step import start_or_stop, step
from nanotick.strategy.records import Callback, context_at

SESSION = np.dtype(
    [
        *((name, RUN[name]) for name in RUN.names or ()),
        ("gateway_address", "<i8"),  # COMMAND records for the gateway, in order
        ("gateway_count", "<i8"),
        ("gateway_limit", "<i8"),
        ("state", "<i8"),  # SessionState: why the last block ended
        ("withheld", "<i8"),  # commands not handed on because the journal did not take them
        ("commands", "<i8"),  # handed on since the session began here
        ("made", "<i8"),  # replay: commands of the last input
        ("matched", "<i8"),  # replay: of these, how many the journal has shown so far
        ("inputs", "<i8"),  # stepped
    ]
)
session_at = record_at(SESSION, "Session")


class SessionState(IntEnum):
    """Why a block ended."""

    DONE = 0
    JOURNAL_FULL = 1  # `Journal.roll` makes room
    JOURNAL_FAILED = 2  # for good
    GATEWAY_FULL = 3  # commands wait to be sent
    OUTPUT_FULL = 4  # records wait to be drained


_DONE, _FULL, _FAILED = int(SessionState.DONE), int(SessionState.JOURNAL_FULL), int(SessionState.JOURNAL_FAILED)
_GATEWAY, _OUTPUT = int(SessionState.GATEWAY_FULL), int(SessionState.OUTPUT_FULL)
_SESSION, _PARAMETER = int(Kind.SESSION), int(Kind.PARAMETER)
_FIRST_COMMAND, _CANCEL, _CANCEL_ALL = int(Kind.NEW), int(Kind.CANCEL), int(Kind.CANCEL_ALL)
_START, _STOP = int(SessionMark.START), int(SessionMark.STOP)
_SAMPLE, _DUE = int(SessionMark.SAMPLE), int(SessionMark.DUE)
_ON_START, _ON_STOP = int(Callback.START), int(Callback.STOP)


@kernel
def _parameter(engine: int, event_address: int) -> None:
    """Set a field of a strategy's record; who made the event has checked the place."""
    event = event_at(event_address)
    root = engine_at(engine)
    if event.seq < 0 or event.seq >= context_at(root.context_address).strategy_count:
        return
    place = slot_at(root.slots_address, event.seq).self_address + event.id
    if event.side == 1:
        store_u8(place, event.word)
    else:
        store_i64(place, event.word)


@kernel
def _take(session: int, event_address: int) -> None:
    """One input through the step; its commands are left with the engine."""
    run = session_at(session)
    event = event_at(event_address)
    now = event.ts_recv
    run.now = now
    run.inputs += 1
    if event.kind == _PARAMETER:
        _parameter(run.engine_address, event_address)
    elif event.kind != _SESSION:
        step(run.engine_address, event_address, now)
    elif event.word == _DUE:
        run.next_sample = event.qty
        do_due(session, event.id, event.price)
    elif event.word == _START:
        start_or_stop(run.engine_address, _ON_START, now)
    elif event.word == _STOP:
        start_or_stop(run.engine_address, _ON_STOP, now)
    elif event.word == _SAMPLE:
        take_sample(run.engine_address, now)


@kernel
def _hand_on(session: int) -> bool:
    """Journal the step's commands and give them to the gateway's buffer; False when the journal failed."""
    run = session_at(session)
    root = engine_at(run.engine_address)
    journal = run.journal_address
    sound = True
    for i in range(root.command_count):
        command = root.commands_address + i * RECORD_SIZE
        if journal != 0 and journal_append(journal, command) <= 0:
            sound = False
            kind = command_at(command).kind
            if kind != _CANCEL and kind != _CANCEL_ALL:
                run.withheld += 1
                continue
        copy_bytes(run.gateway_address + run.gateway_count * RECORD_SIZE, command, RECORD_SIZE)
        run.gateway_count += 1
        run.commands += 1
    root.command_count = 0
    return sound


@kernel
def _room(session: int) -> int:
    """Whether a whole step fits everywhere."""
    run = session_at(session)
    root = engine_at(run.engine_address)
    if run.gateway_limit - run.gateway_count < OUTPUT_RESERVE:
        return _GATEWAY
    marks_full = root.marks_limit - context_at(root.context_address).instrument_count - MARKS_RESERVE
    if root.output_count >= root.output_limit - OUTPUT_RESERVE or root.marks_count >= marks_full:
        return _OUTPUT
    if run.journal_address != 0:
        room = journal_room(run.journal_address)
        if room < STEP_RECORDS:
            return _FAILED if room == 0 else _FULL
    return _DONE


@kernel
def due_until(session: int, until: int) -> int:
    """Do what is due up to a time; `do_due` journals each thing as a mark."""
    run = session_at(session)
    due = next_due(session)
    while due <= until:
        state = _room(session)
        if state != _DONE:
            return state
        run.inputs += 1
        do_due(session, due, INFINITE)
        if not _hand_on(session):
            return _FAILED
        due = next_due(session)
    return _DONE


@kernel
def live_event(session: int, event_address: int) -> int:
    """What is due before an event, then the event."""
    run = session_at(session)
    event = event_at(event_address)
    event.ts_recv = max(run.now, event.ts_recv)
    state = due_until(session, event.ts_recv)
    if state == _DONE:
        state = _room(session)
    if state != _DONE:
        return state
    if run.journal_address != 0 and journal_append(run.journal_address, event_address) <= 0:
        return _FAILED
    _take(session, event_address)
    return _DONE if _hand_on(session) else _FAILED


@kernel
def take_events(session: int, events_address: int, count: int) -> int:
    """Run the step over consecutive events; gives how many were taken, `state` says why not all."""
    run = session_at(session)
    run.state = _DONE
    for i in range(count):
        run.state = live_event(session, events_address + i * RECORD_SIZE)
        if run.state != _DONE:
            return i
    return count


@kernel("i8(i8,i8,i8)")
def run_events(session: int, events_address: int, count: int) -> int:
    """`take_events`, from Python."""
    return take_events(session, events_address, count)


@kernel("i8(i8,i8,i8)")
def run_ring(session: int, ring_address: int, limit: int) -> int:
    """As `run_events`, over at most `limit` records of a ring, where they lie."""
    run = session_at(session)
    run.state = _DONE
    for i in range(limit):
        record = spsc_peek(ring_address)
        if record == 0:
            return i
        run.state = live_event(session, record)
        if run.state != _DONE:
            return i
        spsc_release(ring_address, record)
    return limit


@kernel("i8(i8,i8)")
def run_due(session: int, now: int) -> int:
    """Do what is due by a time, for when no event comes; gives the state."""
    run = session_at(session)
    run.state = due_until(session, now)
    return run.state


@kernel("i8(i8)")
def run_next(session: int) -> int:
    """When something is due next, ns UTC; INFINITE for never."""
    return next_due(session)


@kernel("i8(i8,i8)")
def run_unjournaled(session: int, event_address: int) -> int:
    """An event past a journal that has failed: only cancels are handed on. Gives how many."""
    run = session_at(session)
    before = run.gateway_count
    event = event_at(event_address)
    event.ts_recv = max(run.now, event.ts_recv)
    _take(session, event_address)
    _hand_on(session)
    run.state = _FAILED
    return run.gateway_count - before


@kernel
def _equal(one: int, other: int) -> bool:
    for k in range(8):
        if load_i64(one + 8 * k) != load_i64(other + 8 * k):
            return False
    return True


@kernel("i8(i8,i8,i8)")
def replay_records(session: int, records_address: int, count: int) -> int:
    """Step through records of a journal and compare their commands.

    Returns
    -------
    int
        How many agree: `count`, or the place of the first that is not what it should be. A command that differs stands
        beside the one made at `matched`; an input where a command is due means that the journal lacks one.
    """
    run = session_at(session)
    root = engine_at(run.engine_address)
    for i in range(count):
        record = records_address + i * RECORD_SIZE
        if event_at(record).kind >= _FIRST_COMMAND:
            if run.matched >= run.made or not _equal(root.commands_address + run.matched * RECORD_SIZE, record):
                return i
            run.matched += 1
            continue
        if run.matched < run.made:
            return i
        _take(session, record)
        run.made = root.command_count
        run.matched = 0
        root.command_count = 0
        root.output_count = 0
        root.marks_count = 0
    return count
