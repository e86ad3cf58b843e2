"""The replay exchange: our orders against recorded data that does not react. Its kernels, laid into an arena.

The runner owns the loop and merges times; between its calls nothing happens here:

    command_push(venue, command, now)     a command leaves the local side       -> arrival time at the venue
    venue_event(venue, event)             a recorded event, in venue-time order
    venue_command(venue, command, now)    the command at the head of the queue arrives (then `command_pop`)
    venue_advance(venue, now)             time passes: expiries (`next_expiry_ts` says when there is one)
    report_head(venue), report_pop        what the venue answers, in order of arrival here
    feed_delay(venue, event)              when a recorded event is known here

Reports are EVENTs: `ts_venue` when it happened, `ts_recv` when it is known here, `id` the client order id; a FILL
carries the fee in `word`, FillReason | MAKER in `flags` and its execution number in `seq`.
"""

from __future__ import annotations

from enum import IntEnum

from nanotick.core.kernel import kernel
from nanotick.core.records import RECORD_SIZE, event_at
from nanotick.exchange.commands import market_command
from nanotick.exchange.expiry import expire_due
from nanotick.exchange.market_data import market_event, unwatched_event
from nanotick.exchange.records import BAD_INSTRUMENT, venue_at
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
from nanotick.exchange.working import order_ahead


@kernel
def venue_event(venue: int, event_address: int) -> int:
    """One recorded market-data event, in the venue's order of time.

    Returns
    -------
    int
        0, or minus the venue's sticky `VenueStatus` bits: the run cannot be trusted any longer.
    """
    v = venue_at(venue)
    event = event_at(event_address)
    if event.instrument >= v.instruments:
        v.status = v.status | BAD_INSTRUMENT
        return -v.status
    if event.ts_venue >= v.next_expiry:
        expire_due(venue, event.ts_venue)
    market_event(venue, event_address)
    return -v.status


@kernel
def venue_passes(venue: int, event_address: int) -> None:
    """One recorded event while nothing of ours is at the venue: what `venue_event` does, the book left as it is."""
    v = venue_at(venue)
    event = event_at(event_address)
    if event.instrument >= v.instruments:
        v.status = v.status | BAD_INSTRUMENT
        return
    if event.ts_venue >= v.next_expiry:
        expire_due(venue, event.ts_venue)
    unwatched_event(venue, event_address)


@kernel
def venue_idle(venue: int) -> bool:
    """Whether nothing of ours is at the venue or on its way there, and nothing of its book is remembered as taken."""
    v = venue_at(venue)
    return v.live + v.depleted == 0 and v.command_first == v.command_end


@kernel
def venue_command(venue: int, command_address: int, now: int) -> int:
    """One command arrives at the venue at time `now`; 0, or minus the sticky `VenueStatus` bits."""
    v = venue_at(venue)
    if now >= v.next_expiry:
        expire_due(venue, now)
    market_command(venue, command_address, now)
    return -v.status


@kernel
def venue_advance(venue: int, now: int) -> int:
    """Time passes without an event; 0, or minus the sticky `VenueStatus` bits."""
    if now >= venue_at(venue).next_expiry:
        expire_due(venue, now)
    return -venue_at(venue).status


@kernel
def next_expiry_ts(venue: int) -> int:
    """No order of ours expires before this venue time; NEVER for none."""
    return venue_at(venue).next_expiry


class Verb(IntEnum):
    """What `venue_call` does."""

    EVENTS = 0  # x: address of EVENTs, y: how many
    COMMAND = 1  # x: address of a COMMAND, y: now
    ADVANCE = 2  # y: now
    COMMAND_PUSH = 3  # x: address of a COMMAND, y: now
    COMMAND_HEAD = 4
    COMMAND_HEAD_TS = 5
    COMMAND_POP = 6
    REPORT_HEAD = 7
    REPORT_HEAD_TS = 8
    REPORT_POP = 9
    FEED_DELAY = 10  # x: address of an EVENT
    ORDER_AHEAD = 11  # x: client order id


_COMMAND, _ADVANCE, _COMMAND_PUSH, _COMMAND_HEAD, _COMMAND_HEAD_TS = (int(Verb(n)) for n in range(1, 6))
_COMMAND_POP, _REPORT_HEAD, _REPORT_HEAD_TS, _REPORT_POP, _FEED_DELAY = (int(Verb(n)) for n in range(6, 11))


@kernel("i8(i8,i8,i8,i8)")
def venue_call(venue: int, verb: int, x: int, y: int) -> int:
    """Every kernel of the venue for callers in Python, one entry, so that it is compiled once."""
    if verb == 0:
        status = 0
        for i in range(y):
            status = venue_event(venue, x + i * RECORD_SIZE)
            if status != 0:
                return status
        return status
    if verb == _COMMAND:
        return venue_command(venue, x, y)
    if verb == _ADVANCE:
        return venue_advance(venue, y)
    if verb == _COMMAND_PUSH:
        return command_push(venue, x, y)
    if verb == _COMMAND_HEAD:
        return command_head(venue)
    if verb == _COMMAND_HEAD_TS:
        return command_head_ts(venue)
    if verb == _COMMAND_POP:
        command_pop(venue)
        return 0
    if verb == _REPORT_HEAD:
        return report_head(venue)
    if verb == _REPORT_HEAD_TS:
        return report_head_ts(venue)
    if verb == _REPORT_POP:
        report_pop(venue)
        return 0
    if verb == _FEED_DELAY:
        return feed_delay(venue, x)
    return order_ahead(venue, x)
