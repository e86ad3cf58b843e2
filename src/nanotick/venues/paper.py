"""A paper account: decisions on live data, fills by the replay exchange, nothing sent.

It takes the place of a trader. `shadow` runs use it beside a venue's live data; `paper` runs of venues that have no
paper accounts of their own do, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nanotick.core.records import command_at, event_at
from nanotick.engine.paper import PAPER_REPORTS, PaperVenue
from nanotick.venues.host import Host, Timer
from nanotick.venues.working import TraderState


class PaperAccount:
    """An account whose fills are simulated; as `Trader` towards the runner.

    Parameters
    ----------
    host : Host
    exchange : PaperVenue
    deliver : callable
        Takes report EVENTs.
    venue : str
        Name of the venue in the table.
    """

    def __init__(self, host: Host, exchange: PaperVenue, deliver: Callable[[int, int], None], venue: str) -> None:
        self.host, self.exchange, self.venue = host, exchange, venue
        self.state = TraderState.DOWN
        self.reason = ""
        self.on_state: Callable[[Any], None] = lambda account: None
        self.commands = self.reports = 0
        self._deliver = deliver
        self._address = int(exchange.reports.ctypes.data)
        self._timer: Timer | None = None
        self._due = 0

    def start(self) -> None:
        """READY at once."""
        self.state = TraderState.READY
        self.on_state(self)

    def stop(self) -> None:
        """Nothing more by itself."""
        self.state = TraderState.DOWN
        if self._timer is not None:
            self._timer.cancel()

    def market(self, address: int, count: int) -> None:
        """Market data as it comes, before the session sees it; what was due before it is told first."""
        self.catch_up(int(event_at(address).ts_recv))
        if self.exchange.rows(address, count):
            self.reason = f"the paper exchange stopped: {self.exchange.venue.status!r}"
            self.state = TraderState.BROKEN
            self.on_state(self)
        self._plan()

    def send(self, address: int) -> None:
        """Take one COMMAND record."""
        self.commands += 1
        self.exchange.send(address, int(command_at(address).ts))  # decided then, however late the loop is
        self._plan()

    def _plan(self) -> None:
        """A timer for what happens next."""
        upcoming = self.exchange.next
        if self._timer is not None:
            if self._due <= upcoming:
                return
            self._timer.cancel()
            self._timer = None
        if upcoming < 1 << 62:
            self._due = upcoming
            self._timer = self.host.at(upcoming, self._take)

    def _take(self) -> None:
        self._timer = None
        self.catch_up(self.host.now())
        self._plan()

    def catch_up(self, until: int) -> None:
        """Tell what has arrived by a time, ns UTC."""
        while self.state != TraderState.DOWN:
            count = self.exchange.take(until)
            if count:
                self.reports += count
                self._deliver(self._address, count)
            if count < PAPER_REPORTS:
                break

    def status(self) -> dict[str, Any]:
        """For people and programs."""
        return {
            "venue": self.venue, "protocol": "paper", "state": self.state.name.lower(), "reason": self.reason,
            "sent": self.commands, "reports": self.reports, "orders": 0, "unknown": 0, "unanswered": 0, "breaks": [],
            "refusal": "",
        }  # fmt: skip
