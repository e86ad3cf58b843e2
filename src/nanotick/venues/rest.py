"""Traders whose requests go over HTTP, or some of them."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

from nanotick.venues.clock import ClockState, ClockWatch, Told, VenueClock
from nanotick.venues.host import REQUEST_TIMEOUT_NS, Headers
from nanotick.venues.private import PrivateStream
from nanotick.venues.trader import Trader
from nanotick.venues.trader_base import SECOND
from nanotick.venues.working import Sent, TraderState
from nanotick.wire import fields
from nanotick.wire.json_text import WireError, decode
from nanotick.wire.reports import Private, Reply
from nanotick.wire.requests import Request, Response

_LONGEST_WAIT_S = 3 * 86_400  # of a Retry-After
_READ_TIMEOUT_NS = 2 * REQUEST_TIMEOUT_NS


class RestTrader(Trader):
    """Base of traders that have a REST address.

    Parameters
    ----------
    rest : str
        Scheme, host and port.
    """

    answers_by_stream = False
    stream: PrivateStream
    TIME = ""  # where the venue tells its time, if it does
    TIME_STEP_NS = 0  # of the stamps there

    def __init__(self, *args: Any, rest: str, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.rest = rest
        self.clock = VenueClock()
        self.watch = ClockWatch(self.host, self.ask_time, self.clock, self._clock_changed)
        self._timeout = int(self.config.order_timeout * 1e9)

    def start(self) -> None:
        """As `Trader.start`."""
        self._state(TraderState.CONNECTING)
        self.stream.start()
        self.sweep()
        self.start_clock()

    def stop(self) -> None:
        """As `Trader.stop`."""
        self._state(TraderState.DOWN, "stopped")
        self.stream.stop()
        self.end_timers()

    # --- the venue's clock --------------------------------------------------------------------------------------------

    def start_clock(self) -> None:
        """Watch the venue's clock from now on."""
        if self.TIME:
            self.watch.start()

    def end_timers(self) -> None:
        """As `Trader.end_timers`."""
        super().end_timers()
        self.watch.stop()

    def time_headers(self) -> Headers:
        """Headers of the question for the time."""
        return ()

    def read_time(self, body: bytes) -> int:
        """The venue's time in an answer, ns UTC. Raises WireError."""
        raise NotImplementedError

    def ask_time(self, told: Told) -> None:
        """Ask the venue for its time, once, as `clock.Question`; not while the limits let nothing pass."""
        sent = self.host.now()
        if self.limiter.take(sent) > sent:
            return

        def take(response: Response) -> None:
            self._head(response)
            try:
                server = self.read_time(response.body) if response.status == 200 else 0
            except (WireError, ValueError):
                server = 0
            told(sent, server, self.TIME_STEP_NS)

        self.host.ask(self.rest, Request("GET", self.TIME, self.time_headers()), take)

    def _clock_changed(self, state: ClockState) -> None:
        far = state in (ClockState.ALARM, ClockState.STOPPED)
        found = self.clock.status(self.host.now())
        self.note("error" if far else "info", "the venue's clock", **found)

    def status(self) -> dict[str, Any]:
        """As `Trader.status`."""
        return {**super().status(), "clock": self.watch.status()} if self.TIME else super().status()

    # --- requests -----------------------------------------------------------------------------------------------------

    def read(self, response: Response, request: str) -> list[Private]:
        """What an answer says. Raises WireError."""
        raise NotImplementedError

    def post(self, request: Request, sent: Sent) -> None:
        """Send a request that changes something: once, and its answer settles `sent`."""
        self.host.ask(self.rest, request, lambda response: self._posted(response, sent), self._timeout)

    def _posted(self, response: Response, sent: Sent) -> None:
        self._head(response)
        try:
            self.answer(sent, self.read(response, sent.request))
        except WireError as error:
            self.note("error", "an answer that cannot be read", reason=str(error), order=sent.client)
            self.answer(sent, None)

    def get(self, request: Request, done: Callable[[Response], None]) -> None:
        """Send a request that only reads."""
        now = self.host.now()
        when = self.limiter.take(now)
        if when <= now:
            self.host.ask(self.rest, request, lambda response: self._got(response, done), _READ_TIMEOUT_NS)
        else:
            self.host.at(when, lambda: self.get(request, done))

    def _got(self, response: Response, done: Callable[[Response], None]) -> None:
        self._head(response)
        done(response)

    def _head(self, response: Response) -> None:
        """What the headers say of the venue's clock, and of waiting."""
        now = self.host.now()
        for name, value in response.headers:
            which = name.lower()
            if which == "date":
                try:
                    there = int(parsedate_to_datetime(value).timestamp()) * SECOND
                except (ValueError, OverflowError):
                    continue
                self.clock_ahead = now - there - SECOND // 2  # it shows whole seconds
            elif which == "retry-after" and response.status in (418, 429, 503) and value.strip().isdigit():
                self.limiter.blocked(now + min(int(value), _LONGEST_WAIT_S) * SECOND)

    def told_by(self, response: Response) -> list[Private] | None:
        """What an answer to a request that only reads says; None if it cannot be read or says nothing for now."""
        try:
            told = self.read(response, "")
        except WireError as error:
            self.note("error", "an answer that cannot be read", reason=str(error))
            return None
        reply = told[0] if told and isinstance(told[0], Reply) else None
        if reply is not None and reply.retry_ns:
            self.limiter.blocked(reply.retry_ns if reply.retry_absolute else self.host.now() + reply.retry_ns)
        return told

    def items(self, response: Response) -> list[Any]:
        """The list in a good answer. Raises WireError."""
        if response.status != 200:
            raise WireError(f"HTTP status {response.status}")
        return list(fields.sequence(decode(response.body), "answer"))
