"""The two queues between venue and local side: commands on their way in, reports on their way out.

Both are rings ordered by arrival. One venue's messages never overtake each other (`latency.path_arrival`); messages
of several exchanges with different latencies share the rings and are kept sorted by insertion from the end, which for
one exchange is an append. A full ring is a status, never an overwrite: the command is not taken, or the report is lost
and the venue says REPORTS_FULL for good.
"""

from __future__ import annotations

from nanotick.core.instruments import instrument_at
from nanotick.core.kernel import kernel
from nanotick.core.memory import copy_bytes, load_i64, store_i64
from nanotick.core.records import EVENT, RECORD_SIZE, Kind, RejectReason, ReportFlag, command_at, event_at
from nanotick.exchange.latency import feed_arrival, path_arrival, path_delay
from nanotick.exchange.records import (
    BAD_INSTRUMENT,
    COMMANDS_FULL,
    NEVER,
    REPORTS_FULL,
    market_at,
    profile_at,
    venue_at,
)

assert EVENT.itemsize == RECORD_SIZE
_NEW, _REJECTED, _CANCEL_REJECTED = int(Kind.NEW), int(Kind.REJECTED), int(Kind.CANCEL_REJECTED)
_CANCEL_ALL = int(Kind.CANCEL_ALL)
_OTHER = int(RejectReason.OTHER)
_REPLACE, _OF_REPLACE = int(Kind.REPLACE_ORDER), int(ReportFlag.OF_REPLACE)


# --- reports --------------------------------------------------------------------------------------------------------


@kernel
def _place_report(venue: int, arrival: int) -> int:
    """Room for a report that arrives then, in order of arrival; 0 when the ring is full."""
    v = venue_at(venue)
    if v.report_end - v.report_first > v.report_mask:
        v.status = v.status | REPORTS_FULL
        return 0
    place = v.report_end
    while place > v.report_first:
        before = v.reports_address + ((place - 1) & v.report_mask) * RECORD_SIZE
        if event_at(before).ts_recv <= arrival:
            break
        copy_bytes(v.reports_address + (place & v.report_mask) * RECORD_SIZE, before, RECORD_SIZE)
        place -= 1
    v.report_end += 1
    return v.reports_address + (place & v.report_mask) * RECORD_SIZE


@kernel
def report_at(venue: int, ts: int, arrival: int, kind: int, ident: int, instrument: int, side: int) -> int:
    """A report's record, its head filled in and the rest zero; 0 when the ring is full."""
    address = _place_report(venue, arrival)
    if address == 0:
        return 0
    report = event_at(address)
    report.ts_venue = ts
    report.ts_recv = arrival
    report.seq = 0
    report.price = 0
    report.qty = 0
    report.id = ident
    report.word = 0
    report.instrument = instrument
    report.venue = 0
    if instrument < venue_at(venue).instruments:
        market = market_at(venue_at(venue).markets_address, instrument)
        report.venue = instrument_at(market.instrument_address).venue
    report.kind = kind
    report.side = side
    report.flags = 0
    return address


@kernel
def emit(
    venue: int, ts: int, kind: int, ident: int, instrument: int, side: int, price: int, qty: int, word: int
) -> int:
    """Send a report; returns its record to be completed, or 0 when the ring is full."""
    v = venue_at(venue)
    arrival = ts
    if instrument < v.instruments:
        path = profile_at(market_at(v.markets_address, instrument).profile_address).response_address
        arrival = path_arrival(path, ts, path_delay(path, ts))
    address = report_at(venue, ts, arrival, kind, ident, instrument, side)
    if address != 0:
        report = event_at(address)
        report.price = price
        report.qty = qty
        report.word = word
    return address


@kernel
def report_head(venue: int) -> int:
    """Address of the report that arrives next, or 0."""
    v = venue_at(venue)
    if v.report_first == v.report_end:
        return 0
    return v.reports_address + (v.report_first & v.report_mask) * RECORD_SIZE


@kernel
def report_head_ts(venue: int) -> int:
    """When the next report arrives here (its `ts_recv`), NEVER for none."""
    head = report_head(venue)
    if head == 0:
        return NEVER
    return event_at(head).ts_recv


@kernel
def report_pop(venue: int) -> None:
    """Drop the report at the head."""
    v = venue_at(venue)
    if v.report_first != v.report_end:
        v.report_first += 1


# --- commands -------------------------------------------------------------------------------------------------------


@kernel
def _refuse(venue: int, command_address: int, now: int, round_trip: int) -> None:
    """The venue turned the command away unprocessed: say so when the round trip is over."""
    v = venue_at(venue)
    command = command_at(command_address)
    kind = _CANCEL_REJECTED
    if command.kind == _NEW:
        kind = _REJECTED
    path = profile_at(market_at(v.markets_address, command.instrument).profile_address).response_address
    arrival = path_arrival(path, now, round_trip)
    address = report_at(venue, now, arrival, kind, command.id, command.instrument, command.side)
    if address != 0:
        report = event_at(address)
        report.price = command.price
        report.qty = command.qty
        report.word = _OTHER
        if command.kind == _REPLACE:
            report.flags = _OF_REPLACE


@kernel
def command_push(venue: int, command_address: int, now: int) -> int:
    """A command leaves for the venue.

    Parameters
    ----------
    venue : int
    command_address : int
        A COMMAND; it is copied.
    now : int
        Local time, ns.

    Returns
    -------
    int
        Arrival time at the venue; NEVER when an overloaded venue refuses it unprocessed (the refusal is reported);
        minus a `VenueStatus` when the queue is full or the instrument unknown.
    """
    v = venue_at(venue)
    instrument = command_at(command_address).instrument
    if instrument >= v.instruments:
        if command_at(command_address).kind != _CANCEL_ALL:
            v.status = v.status | BAD_INSTRUMENT
            return -BAD_INSTRUMENT
        instrument = 0
    if v.command_end - v.command_first > v.command_mask:
        v.status = v.status | COMMANDS_FULL
        return -COMMANDS_FULL
    path = profile_at(market_at(v.markets_address, instrument).profile_address).entry_address
    delay = path_delay(path, now)
    if delay < 0:
        if command_at(command_address).kind != _CANCEL_ALL:
            _refuse(venue, command_address, now, -delay)
            return NEVER
        delay = -delay
    arrival = path_arrival(path, now, delay)
    place = v.command_end
    while place > v.command_first:
        before = (place - 1) & v.command_mask
        stamp = load_i64(v.command_times_address + before * 8)
        if stamp <= arrival:
            break
        to = place & v.command_mask
        store_i64(v.command_times_address + to * 8, stamp)
        copy_bytes(v.commands_address + to * RECORD_SIZE, v.commands_address + before * RECORD_SIZE, RECORD_SIZE)
        place -= 1
    to = place & v.command_mask
    store_i64(v.command_times_address + to * 8, arrival)
    copy_bytes(v.commands_address + to * RECORD_SIZE, command_address, RECORD_SIZE)
    v.command_end += 1
    return arrival


@kernel
def command_head(venue: int) -> int:
    """Address of the command that arrives next, or 0."""
    v = venue_at(venue)
    if v.command_first == v.command_end:
        return 0
    return v.commands_address + (v.command_first & v.command_mask) * RECORD_SIZE


@kernel
def command_head_ts(venue: int) -> int:
    """When the next command arrives at the venue, NEVER for none."""
    v = venue_at(venue)
    if v.command_first == v.command_end:
        return NEVER
    return load_i64(v.command_times_address + (v.command_first & v.command_mask) * 8)


@kernel
def command_pop(venue: int) -> None:
    """Drop the command at the head (after `venue_command`)."""
    v = venue_at(venue)
    if v.command_first != v.command_end:
        v.command_first += 1


# --- market data ----------------------------------------------------------------------------------------------------


@kernel
def feed_delay(venue: int, event_address: int) -> int:
    """When a recorded row arrives here.

    Call it once a row, in the order in which the venue sent them (rows as recorded: any order). With the feed as
    recorded it is the file's `ts_recv`; with a model, no row overtakes the one before.
    """
    event = event_at(event_address)
    v = venue_at(venue)
    if event.instrument >= v.instruments:
        return event.ts_recv
    path_address = profile_at(market_at(v.markets_address, event.instrument).profile_address).feed_address
    return feed_arrival(path_address, event.ts_venue, event.ts_recv)
