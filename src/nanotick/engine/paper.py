"""Fills on live data without an order being sent: the replay exchange beside the live loop.

The rows that a feed brings are shown to it as the venue sees them; commands reach it after the order-entry latency of
its configuration, and its reports come back after the response latency. So a paper account fills as a backtest of the
same data would: with its queue model, fees and latencies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nanotick.core.arena import Arena
from nanotick.core.instruments import InstrumentTable
from nanotick.core.kernel import kernel
from nanotick.core.memory import copy_bytes
from nanotick.core.records import EVENT, RECORD_SIZE, event_at
from nanotick.exchange.config import VenueConfig
from nanotick.exchange.records import venue_at
from nanotick.exchange.replay import venue_advance, venue_command, venue_event
from nanotick.exchange.reports import (
    command_head,
    command_head_ts,
    command_pop,
    command_push,
    report_head,
    report_head_ts,
    report_pop,
)
from nanotick.exchange.venue import ReplayVenue

PAPER_REPORTS = 1024  # handed over at once


@kernel
def _commands(venue: int, until: int) -> None:
    """Work the commands that have arrived by a time."""
    while command_head_ts(venue) <= until:
        arrived = command_head_ts(venue)
        venue_command(venue, command_head(venue), arrived)
        command_pop(venue)


@kernel("i8(i8,i8,i8,i8)")
def paper_rows(venue: int, rows_address: int, count: int, scratch: int) -> int:
    """Show rows to the venue, each at its time of receipt; gives the venue's status."""
    for i in range(count):
        copy_bytes(scratch, rows_address + i * RECORD_SIZE, RECORD_SIZE)
        event = event_at(scratch)
        # one clock for both sides: what has arrived here has happened there
        event.ts_venue = event.ts_recv
        _commands(venue, event.ts_recv - 1)  # at equal times the market is first
        venue_event(venue, scratch)
    return venue_at(venue).status


@kernel("i8(i8,i8,i8)")
def paper_send(venue: int, command_address: int, now: int) -> int:
    """A command leaves for the venue; as `command_push`."""
    return command_push(venue, command_address, now)


@kernel("i8(i8,i8,i8,i8)")
def paper_take(venue: int, now: int, out: int, most: int) -> int:
    """Let time pass, and take the reports that have arrived; gives how many are at `out`."""
    _commands(venue, now)
    venue_advance(venue, now)
    taken = 0
    while taken < most and report_head_ts(venue) <= now:
        copy_bytes(out + taken * RECORD_SIZE, report_head(venue), RECORD_SIZE)
        report_pop(venue)
        taken += 1
    return taken


@kernel("i8(i8)")
def paper_next(venue: int) -> int:
    """When something happens next by itself, ns UTC; NEVER for never."""
    return min(command_head_ts(venue), report_head_ts(venue), venue_at(venue).next_expiry)


class PaperVenue:
    """A replay exchange fed row by row.

    Parameters
    ----------
    arena : Arena
        Not that of the session: what the exchange holds is no part of the state.
    instruments : InstrumentTable
    config : VenueConfig or mapping, optional
        Latency, queue model and fees, as in a backtest.

    Attributes
    ----------
    reports : ndarray of EVENT
        Where `take` puts what it takes.
    """

    def __init__(
        self, arena: Arena, instruments: InstrumentTable, config: VenueConfig | Mapping[str, VenueConfig] | None = None,
        **sizes: Any,
    ) -> None:  # fmt: skip
        sizes.setdefault("book", {"max_orders": 1 << 20, "max_levels": 1 << 18})
        self.venue = ReplayVenue(arena, instruments, config, name="paper", **sizes)
        self.address = self.venue.address
        self.reports = arena.region("paper.taken", EVENT, PAPER_REPORTS, transient=True).view
        self._out = int(self.reports.ctypes.data)
        self._scratch = arena.region("paper.scratch", EVENT, 1, transient=True).address

    def rows(self, address: int, count: int) -> int:
        """Show market data; gives the venue's status, 0 when all is well."""
        return int(paper_rows(self.address, address, count, self._scratch))

    def send(self, address: int, now: int) -> int:
        """A COMMAND leaves for the venue; gives when it arrives, negative when it cannot be taken."""
        return int(paper_send(self.address, address, now))

    def take(self, now: int) -> int:
        """Reports that have arrived by now: how many are in `reports`, PAPER_REPORTS when there may be more."""
        return int(paper_take(self.address, now, self._out, PAPER_REPORTS))

    @property
    def next(self) -> int:
        """When something happens next by itself, ns UTC."""
        return int(paper_next(self.address))
