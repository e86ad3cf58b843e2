"""The live loop: what feeds and traders deliver goes through the session, what it decides goes to the traders.

    feed ───deliver──▶┐                          ┌──▶ trader of its venue ──▶ venue
    trader ─deliver──▶┴─▶ Session.take (journal, ├──▶ trader
                          step, journal) ────────┘

Everything happens in the callback that brought the bytes (inline): no queue and no thread lies between a frame and the
order it leads to. What a trader tells while its commands are being taken waits until they are, so that the step sees
one event after another. Timers, samples and draining run between callbacks.

Strategies start when every account has been compared with its venue and every feed is live. While an account is not
READY the instruments of its venue are PAUSED for the step, so that risk refuses what could not be sent.
"""

from __future__ import annotations

import ctypes
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.journal import JournalError
from nanotick.core.log import Logger
from nanotick.core.records import (
    ALL_INSTRUMENTS,
    ALL_STRATEGIES,
    EVENT,
    RECORD_SIZE,
    ControlAction,
    Kind,
)
from nanotick.engine.session import STATE, Session
from nanotick.engine.session_loop import SessionState
from nanotick.strategy.base import Strategy
from nanotick.venues.account import Account, Latency
from nanotick.venues.feed import Feed, State
from nanotick.venues.holdings import Holdings
from nanotick.venues.host import Host, Timer
from nanotick.venues.outlet import Outlets
from nanotick.venues.paper import PaperAccount
from nanotick.venues.trader_base import TraderBase
from nanotick.venues.turn import FrameTurn, frame_turn
from nanotick.venues.working import TraderState
from nanotick.venues.written import WritingTrader

SECOND = 1_000_000_000
DRAIN_NS = SECOND // 10
UNKNOWN_PATIENCE_NS = 25 * SECOND
AGAIN_NS = SECOND  # after which what still works is cancelled once more: a venue may refuse that during a replace
_VENUE = 60  # offset of the venue's number in a command
_KIND = 61
_CANCEL_ALL = int(Kind.CANCEL_ALL)
_OUTPUT_FULL, _DONE = int(SessionState.OUTPUT_FULL), int(SessionState.DONE)


class Phase(IntEnum):
    """Where a live session is."""

    CONNECTING = 0
    TRADING = 1
    STOPPING = 2
    STOPPED = 3
    FAILED = 4  # the journal has stopped: cancels only


class Runner:
    """Feeds, a session and accounts, joined.

    Parameters
    ----------
    host : Host
    session : Session
    log : Logger, optional
    latency : Latency, optional
    counter : callable
        Nanoseconds for measuring; of no consequence to what is decided.
    on_records : callable, optional
        `on_records(records, marks)` with what the step has put out.
    drain_ns : int
        How often that is taken; ten times a second if not given.
    resumed : bool
        The session goes on after a crash: its strategies have started before.

    Attributes
    ----------
    feeds : list of Feed
    accounts : dict of int to Account
        By number of the venue in the table.
    phase : Phase
    on_phase : callable
        Called with the runner when its phase changes.
    """

    stuck = False  # the engine does not come back from a step: seen where it has a thread of its own

    BOOKS_LATER = True  # orders are booked when all commands of a turn are on their way

    def __init__(
        self,
        host: Host,
        session: Session,
        *,
        log: Logger | None = None,
        latency: Latency | None = None,
        counter: Callable[[], int] = time.perf_counter_ns,
        on_records: Callable[[npt.NDArray[Any], npt.NDArray[Any]], None] | None = None,
        drain_ns: int = DRAIN_NS,
        resumed: bool = False,
    ) -> None:
        self.host, self.session, self.resumed = host, session, resumed
        self.feeds: list[Feed] = []
        self.accounts: dict[int, Account] = {}
        self.papers: list[PaperAccount] = []
        self.outlets = Outlets()
        self._writers: dict[int, WritingTrader] = {}
        self.phase = Phase.CONNECTING
        self.reason = ""
        self.on_phase: Callable[[Runner], None] = lambda runner: None
        self.counter = counter
        self._log, self._latency, self._counter, self._on_records = log, latency, counter, on_records
        self._events = self._turns = 0
        self._short: list[FrameTurn] = []
        self._inside = False
        self._held: deque[npt.NDArray[Any]] = deque()
        self._timer: Timer | None = None
        self._deadline: Timer | None = None
        self._commands = session.commands_bytes
        self._drained, self._drain_ns, self._duration = 0, drain_ns, 0
        self._flatten = False
        self.holdings = Holdings(self._now, session.local, self.deliver, log)
        self._paused: set[int] = set()  # venues whose instruments are paused for want of a connection

    # --- putting together ---------------------------------------------------------------------------------------------

    def add_account(self, venue: int, account: Account) -> None:
        """Send the commands of a venue's instruments to an account."""
        self.accounts[venue] = account
        account.on_state = lambda _: self._account_changed(venue)
        if isinstance(account, TraderBase):
            account.on_foreign, account.on_holding = self.holdings.adopt, self.holdings.hold
        if isinstance(account, PaperAccount):
            self.papers.append(account)
        if isinstance(account, WritingTrader):
            self._writers[venue] = account
            account.books_later = self.BOOKS_LATER
            if account.outlet is not None:
                self.outlets.put(venue, account.outlet)

    def add_feed(self, feed: Feed) -> None:
        """Listen to a feed made with `deliver` of this runner, or `deliver_market` where an account is paper."""
        self.feeds.append(feed)
        if feed.deliver == self.deliver:
            feed.turns = self._short_way

    def _short_way(self, frames: Any) -> FrameTurn | None:
        """For a new connection of a feed: frame to commands in one compiled call."""
        turn = frame_turn(self, frames)
        if turn is not None:
            self._short.append(turn)
        return turn

    @property
    def events(self) -> int:
        """Events taken."""
        return self._events + sum(turn.done[1] for turn in self._short)

    @property
    def turns(self) -> int:
        """Times that events came, one or many."""
        return self._turns + sum(turn.done[0] for turn in self._short)

    def settled(self, read: Callable[[int], Any]) -> Callable[[int], Any]:
        """A trader's question to the engine's state, answered after all that the trader has told."""
        return read

    def looking(self) -> AbstractContextManager[None]:
        """While the state is looked at as a whole."""
        return nullcontext()

    def start(self) -> None:
        """Connect everything; trading begins by itself, and strategies hear of nothing before."""
        if not self.resumed and not self.session.local.muted:
            self.session.mute(self._now())
        for venue in self.accounts:
            self._pause(venue, True)
        for feed in self.feeds:
            feed.start()
        for account in self.accounts.values():
            account.start()
        self._tick()

    def trade_at_most(self, seconds: float, flatten: bool = False) -> None:
        """Stop by itself after so long a time of trading, with every position closed if asked to."""
        self._duration, self._flatten = int(seconds * SECOND), flatten

    # --- events in ----------------------------------------------------------------------------------------------------

    def deliver(self, address: int, count: int) -> None:
        """Take consecutive EVENT records, and send what they lead to before returning."""
        if self._inside:
            self._held.append(np.frombuffer(bytearray(ctypes.string_at(address, count * RECORD_SIZE)), EVENT))
            return
        self._inside = True
        try:
            self._turn(address, count)
            while self._held:
                self._turn_held()
        finally:
            self._inside = False

    def deliver_market(self, address: int, count: int) -> None:
        """As `deliver`, for feeds: paper accounts see market data first."""
        for account in self.papers:
            account.market(address, count)
        self.deliver(address, count)

    def _turn_held(self) -> None:
        events = self._held.popleft()
        self._turn(int(events.ctypes.data), len(events))

    def _turn(self, address: int, count: int) -> None:
        session, done = self.session, 0
        began, self._turns, self._events = self._counter(), self._turns + 1, self._events + count
        try:
            while True:
                done += session.take(address + done * RECORD_SIZE, count - done)
                if session.waiting:
                    self._send(began)
                elif done == count:
                    return
                state = session.words[STATE]
                if state == _OUTPUT_FULL:
                    self._drain()
                if done == count and state == _DONE:
                    return
        except JournalError as error:
            self._fail(str(error))

    def finish(self, address: int, count: int, began: int, written: int = 0) -> None:
        """After a compiled turn: send what it has led to, and take the `count` events that it left.

        Of the first command the request may have been `written` to its account's outlet: its size.
        """
        self._inside = True
        try:
            if self.session.waiting and not (written and self._send_written(began, written)):
                self._send(began)
            if count:
                self._turn(address, count)
            while self._held:
                self._turn_held()
        finally:
            self._inside = False

    def _send_written(self, began: int, written: int) -> bool:
        """Hand over the request of the first command, then the others; False if it must go the general way."""
        decided, venue, taken = self._counter(), self._commands[_VENUE], True
        try:
            taken = self._writers[venue].send_written(self._commands, written)
        finally:
            sent = self._counter()
            if taken:  # also when it has raised, for who knows whether it has left: not once more
                self.session.send(self, 1)
        if taken:
            self._measured(venue, began, decided, sent, 1)
        return taken

    def _send(self, began: int) -> None:
        decided = self._counter()
        venue = self._commands[_VENUE]
        count = self.session.send(self)
        self._measured(venue, began, decided, self._counter(), count)

    def _measured(self, venue: int, began: int, decided: int, sent: int, count: int) -> None:
        if self._latency is not None:
            self._latency.record(venue, "decision", decided - began)
            self._latency.record(venue, "send", (sent - decided) // count)

    def send(self, commands_address: int, count: int) -> None:
        """As `Gateway.send`: each command to the account of its venue; books when all are on their way."""
        commands = self._commands
        begin = commands_address - self.session.commands_address
        for address in range(commands_address, commands_address + count * RECORD_SIZE, RECORD_SIZE):
            account = self.accounts.get(commands[begin + _VENUE])
            if commands[begin + _KIND] == _CANCEL_ALL:
                for each in self.accounts.values():
                    each.send(address)
            elif account is not None:
                account.send(address)
            begin += RECORD_SIZE
        for writer in self._writers.values():
            writer.keep_books()

    # --- time ---------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """What is due; again when the next thing is."""
        if self.phase == Phase.STOPPED:
            return
        self._begin()
        now = self._now()
        if self.phase != Phase.FAILED:
            try:
                began = self._counter()
                self.session.due(now)
                if self.session.waiting:
                    self._send(began)
            except JournalError as error:
                self._fail(str(error))
        if now - self._drained >= self._drain_ns:
            self._drain()
            self._drained = now
        upcoming = min(max(self.session.next_due, now + 100_000), now + self._drain_ns)
        self._timer = self.host.at(upcoming, self._tick)

    def _now(self) -> int:
        """The present, for what goes into the session: paper accounts tell first what has reached us by then."""
        now = self.host.now()
        for account in self.papers:
            account.catch_up(now)
        return now

    def _drain(self) -> None:
        records, marks = self.session.drain()
        if self._on_records is not None and (len(records) or len(marks)):
            self._on_records(records, marks)

    # --- accounts and phases ------------------------------------------------------------------------------------------

    def _account_changed(self, venue: int) -> None:
        account = self.accounts[venue]
        ready = account.state == TraderState.READY
        self._say("info" if ready else "warning", "account", state=account.state.name, of=account.venue)
        if self.phase in (Phase.CONNECTING, Phase.TRADING):
            self._pause(venue, not ready)
            self._begin()

    def _begin(self) -> None:
        """Start the strategies once everything stands."""
        if self.phase != Phase.CONNECTING:
            return
        if all(account.state == TraderState.READY for account in self.accounts.values()) and all(
            feed.state == State.LIVE for feed in self.feeds
        ):
            self._phase(Phase.TRADING)
            if not self.resumed:
                self.session.start(self._now())
            if self._duration:
                ends = self.host.now() + self._duration
                self._deadline = self.host.at(ends, lambda: self.stop("the time asked for is over", self._flatten))
            self._flush()

    def _pause(self, venue: int, paused: bool) -> None:
        """Tell the step that a venue's instruments cannot be traded for now, or can again."""
        if paused == (venue in self._paused):
            return
        (self._paused.add if paused else self._paused.discard)(venue)
        self.holdings.tradable(venue, not paused)

    def _phase(self, phase: Phase, reason: str = "") -> None:
        self.phase, self.reason = phase, reason
        self._say("info", "session", phase=phase.name, reason=reason)
        self.on_phase(self)

    def _fail(self, why: str) -> None:
        """The journal has stopped: cancels only, and then nothing."""
        if self.phase == Phase.FAILED:
            return
        self._phase(Phase.FAILED, why)
        self.session.cancel_everything(self.host.now())
        self.session.send(self)

    # --- operators ----------------------------------------------------------------------------------------------------

    def control(
        self,
        action: ControlAction,
        strategy: int = ALL_STRATEGIES,
        instrument: int = ALL_INSTRUMENTS,
        reason: int = 1,
    ) -> int:
        """An operator's command through the log; gives how many commands it led to."""
        before = int(self.session.row["commands"])
        if self.phase == Phase.FAILED:
            self.session.cancel_everything(self.host.now(), reason)
        else:
            self.session.control(action, self._now(), strategy, instrument, reason)
        self._flush()
        return int(self.session.row["commands"]) - before

    def kill(self, reason: int = 1) -> int:
        """Cancel everything everywhere and refuse every order until `RESUME`."""
        self._say("error", "kill", reason=reason)
        return self.control(ControlAction.KILL, reason=reason)

    def set_parameter(self, strategy: int, name: str, value: float | bool) -> None:
        """Change a parameter of a running strategy; see `Session.set_parameter`."""
        self.session.set_parameter(strategy, name, value, self._now())
        self._flush()

    def set_limit(self, scope: int, name: str, value: Any) -> None:
        """Change a limit; see `Session.set_limit`."""
        self.session.set_limit(scope, name, value, self._now())
        self._say("warning", "limit changed", scope=scope, limit=name, value=str(value))
        self._flush()

    def reload(self, strategy: int, cls: type[Strategy]) -> None:
        """Let a strategy go on with other code; see `Session.reload`."""
        self.session.reload(strategy, cls, self._now())
        self._say("warning", "code changed", strategy=self.session.local.names[strategy], code=cls.source_key())
        self._flush()

    def _flush(self) -> None:
        """Send what a call that was no event has led to."""
        if self._inside:
            return
        self._inside = True
        try:
            while self.session.waiting or self._held:
                self.session.send(self)
                if self._held:
                    self._turn_held()
        finally:
            self._inside = False

    # --- the end ------------------------------------------------------------------------------------------------------

    def stop(self, reason: str = "", flatten: bool = False, patience: float = 5.0) -> None:
        """Stop: `on_stop`, every order cancelled (or every position closed), then the connections.

        Parameters
        ----------
        patience : float
            Seconds to wait until nothing works any more; orders whose outcome is unknown are given 30 s, for that is
            how long it may take to settle one.
        """
        if self.phase in (Phase.STOPPING, Phase.STOPPED):
            return
        if self._deadline is not None:
            self._deadline.cancel()
        failed = self.phase == Phase.FAILED
        trading = self.phase == Phase.TRADING
        self._phase(Phase.STOPPING, reason)
        if not failed:
            if trading:
                self.session.stop(self._now())
                self._flush()
                for number in range(len(self.session.local.names)):  # what is to be closed must not be opened again
                    self.control(ControlAction.PAUSE_STRATEGY, number)
            self.control(ControlAction.FLATTEN if flatten else ControlAction.CANCEL_EVERYTHING)
        again = 0 if failed or flatten else self.host.now() + AGAIN_NS
        self._wait_until(self.host.now() + int(patience * SECOND), again)

    def _wait_until(self, deadline: int, again: int = 0) -> None:
        working = self.open_orders + int(self.session.local.engine_region.view[0]["closing"])
        unknown = any(account.status()["unknown"] for account in self.accounts.values())
        if working and self.host.now() < deadline + (UNKNOWN_PATIENCE_NS if unknown else 0):
            if again and self.host.now() >= again:
                self.control(ControlAction.CANCEL_EVERYTHING)
                again = self.host.now() + AGAIN_NS
            self.host.at(self.host.now() + SECOND // 20, lambda: self._wait_until(deadline, again))
            return
        if working:
            self._say("error", "orders still work at the venue", count=working)
        for account in self.accounts.values():
            account.stop()
        for feed in self.feeds:
            feed.stop()
        self._drain()
        self._phase(Phase.STOPPED, self.reason)

    @property
    def open_orders(self) -> int:
        """Orders that have not ended, intents included."""
        return self.session.local.orders.open

    def breaks(self) -> list[str]:
        """What an operator has to look at before this account trades again."""
        return [words for account in self.accounts.values() for words in account.status()["breaks"]]

    def status(self) -> dict[str, Any]:
        """For people and programs."""
        return {
            "phase": self.phase.name.lower(), "reason": self.reason, "events": self.events, "turns": self.turns,
            "open_orders": self.open_orders, "sequence": self.session.sequence,
            "commands": int(self.session.row["commands"]), "withheld": int(self.session.row["withheld"]),
            "feeds": [feed.status() for feed in self.feeds],
            "accounts": [account.status() for account in self.accounts.values()],
        }  # fmt: skip

    def _say(self, level: str, message: str, **fields: Any) -> None:
        if self._log is not None:
            getattr(self._log, level)(message, **fields)
