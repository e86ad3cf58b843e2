"""A pinned session: feeds, engine and gateway on a core each, joined by rings in shared memory.

    process per feed          engine thread (compiled, no interpreter)        gateway: the main thread
    Sockets ─▶ Feed ──ring──▶ journal, step, journal ──────────ring─────────▶ traders ─▶ venue
                                         ◀──────────────ring────── reports ◀── traders ◀─┘

`PinnedRunner` is a `Runner` whose session is stepped by `pinned_loop` while nobody wants it for anything else. What
runs in the inline mode between two frames (operators' commands, draining, starting, stopping, what a trader has to know
of the engine) runs here while the engine is *held*: then the session is this thread's, everything before has been taken
and sent in its order, and all of it is the code of the inline mode. So journal, step and risk are the same, and a
pinned session's journal is replayed like any other.

The gateway shares the engine's process because it reads the engine's orders and positions; the engine needs no
interpreter, so they do not wait for each other. Feeds need one, so each has a process of its own.

    a feed's process dies or hangs   GAP, its venue's instruments PAUSED, started again; trading goes on when it is LIVE
    a feed's ring is full            GAP and a new connection, counted
    the ring of commands is full     they wait in order; what is older than `MAX_AGE_NS` is refused here, cancels sent
    the gateway hangs                the engine kills the session; the latch follows when it comes back
    a strategy does not end          every account is told to cancel, the session has failed and is killed
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, cast

import numpy as np

from nanotick.core.arena import Arena
from nanotick.core.journal import JournalError
from nanotick.core.machine import pin
from nanotick.core.records import (
    ALL_INSTRUMENTS,
    COMMAND,
    EVENT,
    RECORD_SIZE,
    Kind,
    RejectReason,
    ReportFlag,
)
from nanotick.core.ring import Ring, pop_records, push_records
from nanotick.engine.session import Session
from nanotick.engine.session_loop import SessionState
from nanotick.venues.account import Account
from nanotick.venues.cores import Cores
from nanotick.venues.feed import State
from nanotick.venues.feed_process import FeedProcess
from nanotick.venues.pinned_loop import EngineLoop, EngineStuck
from nanotick.venues.runner import DRAIN_NS, Phase, Runner
from nanotick.venues.trader_base import TraderBase
from nanotick.venues.working import TraderState

MAX_AGE_NS = 1_000_000_000  # of a new order or a replace that has waited for the gateway
PATIENCE_S = 5.0  # with an engine, or a gateway, that gives no sign of life
COMMAND_RECORDS = REPORT_RECORDS = 1 << 14
_LEVELS = 8  # commands that may be under way at once: one whose sending leads to the next, and so on
_BATCH = 1024
_TS, _ID, _INSTRUMENT, _VENUE, _KIND, _SIDE = (
    int(COMMAND.fields[name][1])  # type: ignore[index]
    for name in ("ts", "id", "instrument", "venue", "kind", "side")
)
_NEW, _REPLACE, _CANCEL_ALL = int(Kind.NEW), int(Kind.REPLACE_ORDER), int(Kind.CANCEL_ALL)


class HeldSession:
    """A session whose verbs are done while the engine is held; what it shows is shown as it is."""

    def __init__(self, session: Session, runner: PinnedRunner) -> None:
        self._session, self._runner = session, runner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._session, name)
        if not callable(found):
            return found

        def held(*arguments: Any, **settings: Any) -> Any:
            with self._runner.held():
                return found(*arguments, **settings)

        return held


class PinnedRunner(Runner):
    """Parameters as in `Runner`, and besides:

    cores : Cores
        Where the engine and the gateway run.
    spin : bool
        The engine never sleeps.
    patience_s : float
        After which an engine or a gateway that gives no sign of life is dead; `PATIENCE_S` if not given.
    """

    BOOKS_LATER = False  # commands come one by one

    def __init__(
        self,
        host: Any,
        session: Session,
        *,
        cores: Cores | None = None,
        spin: bool = False,
        patience_s: float = 0.0,
        **settings: Any,
    ) -> None:
        self._depth = 1  # the session is ours until the engine runs
        self._raw = session
        self._sockets: Any = host
        super().__init__(host, cast(Session, HeldSession(session, self)), **settings)
        self.cores, self.spin = cores or Cores(), spin
        self._processes: list[FeedProcess] = []
        self._catching = False  # what is reported goes after what was reported before
        self._arena = Arena(16 << 20)
        self.reports = Ring.create(self._arena, "reports", REPORT_RECORDS)
        self.commands = Ring.create(self._arena, "commands", COMMAND_RECORDS)
        self._places = self._arena.region("levels", COMMAND, _LEVELS)
        self._bytes = self._places.view.view(np.uint8).data
        self._level = 0
        self._batch = np.zeros(_BATCH, EVENT)
        self._row = np.zeros(1, EVENT)
        self._blind: set[int] = set()  # venues of feeds whose process is gone
        self._patience_s = patience_s or PATIENCE_S
        self._pipe = (-1, -1)
        self._loop: EngineLoop | None = None
        self._moved = (0, 0)  # turns of the engine when it was last seen to move, and when that was
        self.withheld = 0  # commands that were too old to be sent
        self.on_stuck: Callable[[str], None] = lambda why: None

    # --- putting together ---------------------------------------------------------------------------------------------

    def add_account(self, venue: int, account: Account) -> None:
        """As `Runner.add_account`; a trader's questions to the engine are answered after all that it has told."""
        super().add_account(venue, account)
        if isinstance(account, TraderBase):
            adopt, hold = self._while_held(self.holdings.adopt), self._while_held(self.holdings.hold)
            account.on_foreign, account.on_holding = adopt, hold

    def add_feed(self, feed: Any) -> None:
        """Listen to a `FeedProcess`."""
        self.feeds.append(feed)
        self._processes.append(feed)
        feed.on_lost, feed.on_live = self._feed_lost, self._feed_live
        feed.emptied = self._empty

    def be_patient(self, patience_s: float) -> None:
        """Change how long the engine and this thread may give no sign of life."""
        self._patience_s = patience_s
        if self._loop is not None:
            self._loop.be_patient(patience_s)

    def settled(self, read: Callable[[int], Any]) -> Callable[[int], Any]:
        """A question to the engine's state, asked once all that was reported has been taken."""

        def look(number: int) -> Any:
            if not self._depth and len(self.reports):
                with self.held():
                    pass
            return read(number)

        return look

    def _while_held(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def held(*arguments: Any) -> Any:
            with self.held():
                return call(*arguments)

        return held

    # --- running ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """As `Runner.start`; from here on the engine runs by itself."""
        super().start()
        self.run_engine()

    def run_engine(self) -> None:
        """Give the session to the engine's thread."""
        if not self._sockets.spin:
            self._pipe = os.pipe()
            for end in self._pipe:
                os.set_blocking(end, False)
            self._sockets.loop.add_reader(self._pipe[0], self._woken)
        rings = [self.reports, *(feed.ring for feed in self._processes)]
        self._loop = EngineLoop(self._raw, rings, self.commands, self.spin, self._pipe[1], self._patience_s)
        self._loop.start(self._shift(), self.cores.engine)
        if self._loop.pinned is not None:
            self._say("info", "engine", pinning=self._loop.pinned.state, found=self._loop.pinned.found)
        if self.cores.gateway is not None:
            found = pin([self.cores.gateway])
            self._say("info", "gateway", pinning=found.state, found=found.found)
        self._depth = 0
        if self._sockets.spin:
            self._poll()

    def _shift(self) -> int:
        return self.host.now() - time.monotonic_ns()

    @contextmanager
    def held(self) -> Iterator[None]:
        """The session is ours: the engine is between two events, what it decided is sent, what it was told is taken.

        Raises
        ------
        EngineStuck
            It does not come out of a step.
        """
        if self._depth:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
            return
        if self.stuck or self._loop is None:
            raise EngineStuck("the engine is stuck in a step")
        try:
            self._loop.hold()
        except EngineStuck as error:
            self._engine_stuck(str(error))
            raise
        self._depth = 1
        try:
            self._catch_up()
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                self._loop.release()

    def _keep(self) -> None:
        """Hold the engine for good."""
        if not self._depth and self._loop is not None and not self.stuck:
            try:
                self._loop.hold()
            except EngineStuck as error:
                self._engine_stuck(str(error))
                return
            self._depth = 1
            self._catch_up()
        self._depth += 1

    def _catch_up(self) -> None:
        """What was decided before, then what was reported before, in their order; and room where it is wanted."""
        self._catching = True
        try:
            self._take_commands()
            if self._raw.waiting:
                self._raw.send(self)
        finally:
            self._catching = False
        address = int(self._batch.ctypes.data)
        while count := int(pop_records(self.reports.address, address, _BATCH)):
            super().deliver(address, count)
        state = self._loop.state if self._loop is not None else SessionState.DONE
        try:
            if state == SessionState.OUTPUT_FULL:
                self._drain()
            elif state in (SessionState.JOURNAL_FULL, SessionState.JOURNAL_FAILED):
                self._raw.make_room()
        except JournalError as error:
            self._fail(str(error))

    def deliver(self, address: int, count: int) -> None:
        """Take EVENT records of this thread: into the ring of reports, or at once while the engine is held."""
        if self._depth and not self._catching:
            super().deliver(address, count)
            return
        done = int(push_records(self.reports.address, address, count))
        if done < count:  # a ring without room delays a report, it does not lose it
            with self.held():
                super().deliver(address + done * RECORD_SIZE, count - done)

    # --- commands out -------------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        """Of a host that spins: look, and look again."""
        if self.phase == Phase.STOPPED:
            return
        self._take_commands()
        self._serve()
        self.host.at(self.host.now(), self._poll)

    def _woken(self) -> None:
        """The engine has written to the pipe."""
        try:
            os.read(self._pipe[0], 4096)
        except BlockingIOError:
            pass
        if self._loop is not None:
            self._loop.quiet()
        self._take_commands()
        self._serve()

    def _serve(self) -> None:
        """Make the room that the engine waits for."""
        state = self._loop.state if self._loop is not None and not self._depth else SessionState.DONE
        if state not in (SessionState.DONE, SessionState.GATEWAY_FULL):
            with self.held():
                pass

    def _take_commands(self) -> None:
        """Send what is in the ring, one after another: whoever comes in between goes on with the next."""
        if self._level == _LEVELS:
            return
        place = self._level * RECORD_SIZE
        address = self._places.address + place
        self._level += 1
        try:
            while pop_records(self.commands.address, address, 1):
                try:
                    self._pass_on(address, place)
                except Exception as error:
                    self._say("error", "a command was not sent", error=error)
                    raise
        finally:
            self._level -= 1

    def _pass_on(self, address: int, place: int) -> None:
        data = self._bytes
        kind, venue = data[place + _KIND], data[place + _VENUE]
        if kind == _CANCEL_ALL:
            for each in self.accounts.values():
                each.send(address)
            return
        account = self.accounts.get(venue)
        if account is None:
            return
        began = self._counter()
        age = self.host.now() - int.from_bytes(data[place + _TS : place + _TS + 8], "little", signed=True)
        if age > MAX_AGE_NS and kind in (_NEW, _REPLACE):
            self._withhold(place, age)
            return
        account.send(address)
        if self._latency is not None:
            self._latency.record(venue, "decision", max(0, age))
            self._latency.record(venue, "send", self._counter() - began)

    def _withhold(self, place: int, age: int) -> None:
        """A command that comes too late to be meant: not sent, and reported so."""
        self.withheld += 1
        command, now, row = self._places.view[place // RECORD_SIZE], self.host.now(), self._row[0]
        self._row[:] = 0
        row["ts_venue"] = row["ts_recv"] = now
        for name in ("id", "instrument", "venue", "side"):
            row[name] = command[name]
        row["kind"], row["word"] = int(Kind.REJECTED), int(RejectReason.BLOCKED)
        if command["kind"] == _REPLACE:
            row["kind"], row["flags"] = int(Kind.CANCEL_REJECTED), int(ReportFlag.OF_REPLACE)
        self._say("error", "a command waited too long and was not sent", age_ms=age // 1_000_000,
                  order=int(command["id"]))  # fmt: skip
        self.deliver(int(self._row.ctypes.data), 1)

    # --- time ---------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Signs of life both ways, feeds' processes, draining; what is due is the engine's own affair."""
        if self.phase == Phase.STOPPED:
            return
        now = self.host.now()
        self._timer = self.host.at(now + min(self._drain_ns, DRAIN_NS), self._tick)
        if self._loop is not None and not self._depth and not self.stuck:
            self._loop.sign(self._shift())
            self._take_commands()
            self._serve()
            self._watch_engine(now)
        for feed in self._processes:
            feed.look()
        self._begin()
        if now - self._drained >= self._drain_ns:
            self._drain()
            self._drained = now

    def _drain(self) -> None:
        if not self.stuck:
            with self.held():
                super()._drain()

    def _watch_engine(self, now: int) -> None:
        assert self._loop is not None
        turns, when = self._loop.turns, self._moved[1]
        if turns != self._moved[0] or not when:
            self._moved = (turns, now)
        elif now - when > self._patience_s * 1e9:
            self._engine_stuck(f"the engine has made no turn for {self._patience_s:g} s: a strategy does not end")

    def _engine_stuck(self, why: str) -> None:
        """Nothing can be asked of the engine: cancel everything past it, and trade no more."""
        if self.stuck:
            return
        self.stuck = True
        self._phase(Phase.FAILED, why)
        self._cancel_past()
        self.on_stuck(why)

    def _cancel_past(self) -> None:
        """Cancel everything at every account, without the engine."""
        row = np.zeros(1, COMMAND)
        row["ts"], row["kind"], row["instrument"] = self.host.now(), _CANCEL_ALL, ALL_INSTRUMENTS
        for account in self.accounts.values():
            account.send(int(row.ctypes.data))

    # --- feeds --------------------------------------------------------------------------------------------------------

    def _empty(self, ring: Ring) -> None:
        """What a dead producer has left, then a ring as new."""
        if self.stuck:
            return
        with self.held():
            address = int(self._batch.ctypes.data)
            while count := int(pop_records(ring.address, address, _BATCH)):
                super().deliver(address, count)
            ring.reset()

    def _feed_lost(self, feed: FeedProcess) -> None:
        venue = self._raw.local.instruments.venues.index(feed.venue)
        self._blind.add(venue)
        self._pause(venue, True)

    def _feed_live(self, feed: FeedProcess) -> None:
        venue = self._raw.local.instruments.venues.index(feed.venue)
        gone = [f for f in self._processes if f.venue == feed.venue and f is not feed and f.state == State.DOWN]
        if venue in self._blind and not gone:
            self._blind.discard(venue)
            account = self.accounts.get(venue)
            self._pause(venue, account is not None and account.state != TraderState.READY)

    def _pause(self, venue: int, paused: bool) -> None:
        super()._pause(venue, paused or venue in self._blind)

    # --- the end ------------------------------------------------------------------------------------------------------

    def _fail(self, why: str) -> None:
        if self.phase != Phase.FAILED:
            self._keep()  # the journal has stopped: nothing is stepped from here on
        super()._fail(why)

    def stop(self, reason: str = "", flatten: bool = False, patience: float = 5.0) -> None:
        """As `Runner.stop`; past an engine that is stuck."""
        if not self.stuck:
            with self.held():
                super().stop(reason, flatten, patience)
        elif self.phase not in (Phase.STOPPING, Phase.STOPPED):
            self._cancel_past()
            self._phase(Phase.STOPPING, reason)
            self._wait_until(self.host.now() + int(patience * 1e9))

    def control(self, *arguments: Any, **settings: Any) -> int:
        """As `Runner.control`."""
        with self.held():
            return super().control(*arguments, **settings)

    def _phase(self, phase: Phase, reason: str = "") -> None:
        if phase == Phase.STOPPED and self._loop is not None and not self.stuck:
            self._keep()
            if not self.stuck:
                self._loop.end()
        super()._phase(phase, reason)

    def looking(self) -> Any:
        """As `Runner.looking`: held, unless the engine cannot be."""
        return nullcontext() if self.stuck else self.held()

    def close(self) -> bool:
        """End the engine's thread and the feeds' processes, whatever the phase; whether the session may be closed."""
        if self._loop is not None and not self.stuck and self.phase != Phase.STOPPED:
            self._keep()
            if not self.stuck:
                self._loop.end()
        for feed in self._processes:
            feed.close()
        if self._pipe[0] >= 0:
            if not self._sockets.loop.is_closed():
                self._sockets.loop.remove_reader(self._pipe[0])
            if not self.stuck:
                for end in self._pipe:
                    os.close(end)
            self._pipe = (-1, -1)
        return not self.stuck

    @property
    def events(self) -> int:
        """Events taken, by the engine's thread and by this one."""
        return self._events + (self._loop.taken if self._loop is not None else 0)

    @property
    def turns(self) -> int:
        """Turns of the engine."""
        return self._turns + (self._loop.turns if self._loop is not None else 0)

    def status(self) -> dict[str, Any]:
        """As `Runner.status`, and about the rings."""
        return {
            **super().status(), "threading": "pinned", "cores": self.cores.as_dict(), "stuck": self.stuck,
            "too_old": self.withheld,
            "rings": {"reports": len(self.reports), "commands": len(self.commands), **self.commands.statistics()},
        }  # fmt: skip
