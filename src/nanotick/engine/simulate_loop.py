"""The simulation loop: a market that reacts, and the step, merged by time in one kernel.

Six sources of time, the earliest goes first; at equal times in this order:

    1 world          an agent acts, or an exchange does something by itself ─▶ public feed, private reports
    2 command        one of ours arriving at its exchange                   ─▶ matching ─▶ feed, reports
    3 report         a report arriving here                                 ─▶ step
    4 feed           the head of an exchange's public feed arriving here    ─▶ step ─▶ commands, with order latency
    5 timer, sample  due here                                               ─▶ step / account samples

The world may run ahead of us, but never past the first time at which something we have not decided yet could reach an
exchange: the next local event plus the least order latency, and likewise for what the world itself is about to publish
(conservative look-ahead; Chandy & Misra 1979). Where it stops inside that changes nothing.

Exchanges are those of a world of agents (`exchange.agents`). All our strategies are one participant there, so that the
exchange's self-trade prevention knows them as one.
"""

from __future__ import annotations

import numpy as np

from nanotick.core.journal_kernel import journal_append, journal_room
from nanotick.core.kernel import kernel
from nanotick.core.memory import copy_bytes, load_i32, load_i64, record_at, store_i64
from nanotick.core.records import RECORD_SIZE, Kind, command_at, event_at
from nanotick.engine.journaling import STEP_RECORDS
from nanotick.engine.records import MARKS_RESERVE, OUTPUT_RESERVE, engine_at
from nanotick.engine.runner import (
    BUDGET,
    DRAIN,
    END,
    INFINITE,
    JOURNAL,
    RUN,
    STUCK,
    Verb,
    around_run,
    do_due,
    next_due,
    send_commands,
)
from nanotick.engine.step import market_event, report_event
from nanotick.exchange.agents.records import link_at, world_at
from nanotick.exchange.agents.world import hear_outsiders, world_due, world_step
from nanotick.exchange.market.engine import exchange_command
from nanotick.exchange.market.records import exchange_at
from nanotick.exchange.records import ALL_INSTRUMENTS
from nanotick.exchange.reports import (
    command_head,
    command_head_ts,
    command_pop,
    emit,
    feed_delay,
    report_head,
    report_head_ts,
    report_pop,
)
from nanotick.strategy.records import context_at

SIMULATION = np.dtype(
    [
        *((name, RUN[name]) for name in RUN.names or ()),
        ("world_address", "<i8"),
        ("arrivals_address", "<i8"),  # int64 an exchange: when the head of its feed arrives here, 0: not drawn yet
        ("command_address", "<i8"),  # scratch COMMAND
        ("participant", "<i8"),  # who we are at the exchanges
        ("order_latency", "<i8"),  # ns, least time from a decision to its arrival at an exchange
        ("feed_latency", "<i8"),  # ns, least time from a publication to its arrival here
        ("end", "<i8"),  # ns UTC: nothing later happens
        ("wakes", "<i8"),  # things the world has done
    ]
)
simulation_at = record_at(SIMULATION, "Simulation")

_FILL, _FILL_BUST, _CANCEL_ALL = int(Kind.FILL), int(Kind.FILL_BUST), int(Kind.CANCEL_ALL)
_RUN = int(Verb.RUN)
_WAKES = 1_024


@kernel
def _collect(simulation: int) -> None:
    """Send the reports that are ours on their way; forget the others."""
    run = simulation_at(simulation)
    world = world_at(run.world_address)
    for number in range(world.venues):
        exchange = exchange_at(link_at(world.links_address, number).exchange_address)
        at = exchange.report_first
        while at < exchange.report_end:
            place = at & exchange.report_mask
            if load_i32(exchange.report_owners_address + 4 * place) == run.participant:
                source = event_at(exchange.reports_address, place)
                address = emit(
                    run.venue_address, source.ts_venue, source.kind, source.id, source.instrument, source.side,
                    source.price, source.qty, source.word,
                )  # fmt: skip
                if address != 0:
                    event_at(address).flags = source.flags
                    event_at(address).seq = source.seq
            at += 1
        exchange.report_first = at


@kernel
def _arrive(simulation: int, now: int) -> None:
    """The first of our commands reaches its exchange."""
    run = simulation_at(simulation)
    world = world_at(run.world_address)
    command = command_at(run.command_address)
    copy_bytes(run.command_address, command_head(run.venue_address), RECORD_SIZE)
    command_pop(run.venue_address)
    command.strategy = run.participant
    command.ts = now
    everywhere = command.kind == _CANCEL_ALL and command.instrument == ALL_INSTRUMENTS
    for number in range(world.venues):
        if everywhere or number == command.venue:
            exchange_command(link_at(world.links_address, number).exchange_address, run.command_address, now)
    world.now = now
    hear_outsiders(run.world_address, now)
    _collect(simulation)


@kernel
def _next_feed(simulation: int) -> int:
    """The exchange whose feed's head arrives first, -1 when nothing is on its way."""
    run = simulation_at(simulation)
    world = world_at(run.world_address)
    first = -1
    soonest = INFINITE
    for number in range(world.venues):
        exchange = exchange_at(link_at(world.links_address, number).exchange_address)
        if exchange.feed_first == exchange.feed_end:
            continue
        place = run.arrivals_address + 8 * number
        if load_i64(place) == 0:
            row = exchange.feed_address + (exchange.feed_first & exchange.feed_mask) * RECORD_SIZE
            event_at(row).ts_recv = event_at(row).ts_venue
            event_at(row).ts_recv = feed_delay(run.venue_address, row)
            store_i64(place, event_at(row).ts_recv)
        if load_i64(place) < soonest:
            first, soonest = number, load_i64(place)
    return first


@kernel
def _hear(simulation: int, number: int) -> None:
    """The head of an exchange's feed arrives."""
    run = simulation_at(simulation)
    exchange = exchange_at(link_at(world_at(run.world_address).links_address, number).exchange_address)
    row = exchange.feed_address + (exchange.feed_first & exchange.feed_mask) * RECORD_SIZE
    run.now = max(run.now, load_i64(run.arrivals_address + 8 * number))
    event_at(row).ts_recv = run.now
    if run.journal_address != 0:
        journal_append(run.journal_address, row)
    market_event(run.engine_address, row, run.now)
    exchange.feed_first += 1
    store_i64(run.arrivals_address + 8 * number, 0)


@kernel
def run_market(simulation: int, budget: int) -> int:
    """Run until `budget` rows of market data are done, the output needs draining, or the end is reached.

    Returns
    -------
    int
        END, BUDGET, DRAIN, JOURNAL: the session's journal needs room, or STUCK: the world cannot go on before a feed is
        read that is not due yet.
    """
    run = simulation_at(simulation)
    root = engine_at(run.engine_address)
    world = world_at(run.world_address)
    output_full = root.output_limit - OUTPUT_RESERVE
    marks_full = root.marks_limit - context_at(root.context_address).instrument_count - MARKS_RESERVE
    done = 0
    state = END
    while True:
        if root.output_count >= output_full or root.marks_count >= marks_full:
            state = DRAIN
            break
        if done >= budget:
            state = BUDGET
            break
        if run.journal_address != 0 and journal_room(run.journal_address) < STEP_RECORDS:
            state = JOURNAL
            break
        number = _next_feed(simulation)
        t_feed = load_i64(run.arrivals_address + 8 * number) if number >= 0 else INFINITE
        t_report = report_head_ts(run.venue_address)
        t_timer = next_due(simulation)
        t_command = command_head_ts(run.venue_address)
        t_world = world_due(run.world_address)
        t_local = min(t_feed, t_report, t_timer)
        if min(t_world, t_command, t_local) > run.end or world.status != 0:
            break
        ahead = min(t_command, t_local + run.order_latency, run.end)
        if t_world <= ahead:
            until = min(ahead, t_world + run.feed_latency + run.order_latency)
            wakes = world_step(run.world_address, until, _WAKES)
            run.wakes += wakes
            _collect(simulation)
            if wakes > 0:
                continue
            if world.status != 0:
                break
            if t_local > t_world:  # a feed has no room for what a wake may publish, and is not due here
                state = STUCK
                break
        if t_command <= t_local:
            _arrive(simulation, t_command)
        elif t_report <= t_feed and t_report <= t_timer:
            run.now = max(run.now, t_report)
            report = report_head(run.venue_address)
            event_at(report).ts_recv = run.now
            if run.journal_address != 0:
                journal_append(run.journal_address, report)
            report_event(run.engine_address, report, run.now)
            report_pop(run.venue_address)
        elif t_feed <= t_timer:
            _hear(simulation, number)
            done += 1
        else:
            do_due(simulation, t_timer, t_feed)
        if root.command_count > 0:
            send_commands(simulation, run.now)
    run.rows_done += done
    return state


@kernel("i8(i8,i8,i8)")
def run_simulation(simulation: int, verb: int, argument: int) -> int:
    """The simulation loop and what goes with it (`Verb`); END, BUDGET, DRAIN, STUCK or JOURNAL, else 0."""
    if verb == _RUN:
        return run_market(simulation, argument)
    around_run(simulation, verb, argument)
    return 0
