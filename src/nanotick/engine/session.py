"""The session: the step as it runs live, with a journal before everything it does.

    with Session(local, directory) as session:
        session.start(clock.now())
        while running:
            session.pump(source, gateway, clock.now())
        session.stop(clock.now())

A `Source` has events (a venue's client, a recording), a `Gateway` takes commands. Between them one kernel runs a
block of events: each is journaled, stepped, and its commands journaled before the gateway can see them. Making the
journal durable, preparing its next segment and touching its pages is other threads' work: the disk may stall and no
decision waits. All addresses are fixed at the start and nothing is allocated after it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nanotick.core.arena import Arena
from nanotick.core.crash_points import ARMED, crash_point
from nanotick.core.journal import DEFAULT_SEGMENT_BYTES, DEFAULT_SYNC_INTERVAL_S, Journal, JournalError
from nanotick.core.records import ALL_INSTRUMENTS, ALL_STRATEGIES, COMMAND, EVENT, ControlAction, Kind
from nanotick.core.snapshot import SnapshotStore
from nanotick.engine.changes import code_id, keep_code, keep_limits, limit_value, swap_code
from nanotick.engine.journaling import STEP_RECORDS, SessionMark
from nanotick.engine.local import LocalSide
from nanotick.engine.records import OUTPUT_RESERVE
from nanotick.engine.runner import INFINITE
from nanotick.engine.session_header import SessionError, describe, open_journal
from nanotick.engine.session_loop import (
    SESSION,
    SessionState,
    run_due,
    run_events,
    run_next,
    run_ring,
    run_unjournaled,
    session_at,
)
from nanotick.strategy.base import Strategy

GATEWAY_RECORDS = 4 * OUTPUT_RESERVE
SNAPSHOT_RECORDS = 5_000_000  # a second or two of replay
SNAPSHOTS = "snapshots"
STATE, _COUNT = (int(SESSION.fields[name][1]) // 8 for name in ("state", "gateway_count"))  # type: ignore[index]
_CRASH_NAMES = {int(Kind.NEW): "new", int(Kind.CANCEL): "cancel", int(Kind.REPLACE_ORDER): "replace"}


class Source(Protocol):
    """Where events come from."""

    address: int  # of consecutive EVENT records

    def poll(self) -> int:
        """How many events are at `address`, in order; they may be overwritten by the next call."""
        ...


class Gateway(Protocol):
    """Where commands go."""

    def send(self, commands_address: int, count: int) -> None:
        """Take consecutive COMMAND records: all of them, in order, before returning."""
        ...


def save_snapshot(store: SnapshotStore, local: LocalSide, part: Arena, journal: Journal) -> Path:
    """Write the local side's state as it is after the journal's last record; waits for the disk.

    The output must have been drained and no command be left to journal.
    """
    engine = local.engine_region.view[0]
    if engine["output_count"] or engine["marks_count"] or engine["command_count"]:
        raise SessionError("a snapshot is taken between two steps, with the output drained")
    last = journal.next_sequence - 1
    return store.save(part, last, journal.sync())


class Session:
    """A local side that runs event by event.

    Parameters
    ----------
    local : LocalSide
    directory : Path, optional
        Of the journal; without one nothing is kept and nothing can be recovered.
    config : mapping
        What the run was asked to do, for the header.
    code_hash : str
    sample_interval_ns : int
        Between samples of the accounts; 0 for none. Breakers are looked at with every sample.
    segment_bytes, sync_interval_s
        As in `Journal`.

    Attributes
    ----------
    address : int
        Of the `SESSION` record, for kernels.
    commands_address : int
        Of the commands that wait for the gateway.
    begun : bool
        `start` has been called, in this process or in the one before.

    Raises
    ------
    SessionError
        The directory holds a session already.
    """

    begun = False

    def __init__(
        self,
        local: LocalSide,
        directory: Path | None = None,
        *,
        config: Mapping[str, Any] | None = None,
        code_hash: str = "",
        sample_interval_ns: int = 1_000_000_000,
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        sync_interval_s: float | None = DEFAULT_SYNC_INTERVAL_S,
    ) -> None:
        self.local = local
        self.directory = directory
        self.part = local.arena.part(local.region_names)
        self.journal: Journal | None = None
        header = describe(local, config or {}, code_hash, sample_interval_ns)
        self._lay(sample_interval_ns)
        if directory is not None:
            self._keep(open_journal(directory, header, segment_bytes, sync_interval_s))
            for setup in local.setups:
                keep_code(directory, type(setup.strategy))

    @classmethod
    def resume(
        cls,
        directory: Path,
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        sync_interval_s: float | None = DEFAULT_SYNC_INTERVAL_S,
    ) -> Session:
        """Go on with a session that was killed, in its journal, from the state it had reached.

        Commands that its last input led to and that no gateway has seen are journaled and wait for `send`. Of those
        before them it is not known whether they arrived: ask the venue by client order id before anything else.

        Raises
        ------
        SessionError
            The session was closed, or its journal is not what the step makes.
        JournalError
            Another process writes the journal.
        """
        from nanotick.engine.session_replay import recover

        journal = Journal(directory, segment_bytes, sync_interval_s)
        try:
            found = recover(directory)
            if found.difference is not None:
                raise SessionError(f"{directory}: {found.difference}; `nanotick replay {directory} --verify` shows it")
            if found.ended:
                raise SessionError(f"{directory}: the session was closed; begin another in a directory of its own")
            self = cls.__new__(cls)
            self.local, self.part, self.directory = found.built.local, found.built.arena, directory
            interval = int(found.header["sample_interval_ns"])
            self._lay(interval)
            self.row["now"], self.row["next_sample"] = found.now, found.next_sample
            self.begun = (interval == 0 or found.next_sample != INFINITE) and not self.local.muted
            if interval > 0 and found.next_sample == INFINITE:
                self.row["next_sample"] = found.now + interval
            if len(found.unsent):
                journal.append_array(found.unsent)
                crash_point("resume.journaled")
                self._gateway.view[: len(found.unsent)] = found.unsent
                self.row["gateway_count"] = len(found.unsent)
            self._keep(journal)
        except BaseException:
            journal.close()
            raise
        return self

    def _keep(self, journal: Journal) -> None:
        self.journal = journal
        self.row["journal_address"] = journal.address

    def _lay(self, sample_interval_ns: int) -> None:
        arena = self.local.arena
        self.region = arena.region("session", SESSION, 1, transient=True)
        self.row = self.region.view[0]
        self.address = self.region.address
        self.row["engine_address"] = self.local.address
        for name in ("timer_event_address", "mark_address"):
            self.row[name] = arena.region(f"session.{name}", EVENT, 1, transient=True).address
        self._gateway = arena.region("session.gateway", COMMAND, GATEWAY_RECORDS, transient=True)
        self.commands_address = self._gateway.address
        self.row["gateway_address"], self.row["gateway_limit"] = self._gateway.address, GATEWAY_RECORDS
        self.row["sample_interval"], self.row["next_sample"] = sample_interval_ns, INFINITE
        self._record = session_at(self.address)
        self.commands_bytes = self._gateway.view.view(np.uint8).data  # all the room for those that wait
        self.words = self.region.view.view(np.int64).data  # for what is looked at after every frame
        self._one = np.zeros(1, EVENT)

    @property
    def state(self) -> SessionState:
        """Why the last block ended."""
        return SessionState(self._record.state)

    @property
    def now(self) -> int:
        """Local time of the last input, ns UTC."""
        return int(self._record.now)

    @property
    def sequence(self) -> int:
        """Number of the journal's last record; 0 without a journal."""
        return 0 if self.journal is None else self.journal.next_sequence - 1

    # --- events in ----------------------------------------------------------------------------------------------------

    def take(self, events_address: int, count: int) -> int:
        """Run the step over consecutive events whose `ts_recv` is the local time; gives how many were taken.

        All of them, unless commands wait for the gateway or the output for `drain` (see `state`): then send or drain,
        and go on with the rest. Room in the journal is made here.

        Raises
        ------
        JournalError
            The journal has stopped. What it did not take is not handed on but for cancels; send those, then
            `cancel_everything`.
        """
        if ARMED.label:
            self._crash_among(events_address, count, "take.before", "fill.before")
        done = 0
        while done < count:
            done += int(run_events(self.address, events_address + done * EVENT.itemsize, count - done))
            if done < count and not self.make_room():
                break
        if ARMED.label:
            self._crash_among(events_address, done, "take.journaled", "fill.booked")
        return done

    @staticmethod
    def _crash_among(events_address: int, count: int, label: str, of_fill: str) -> None:
        events = np.frombuffer(ctypes.string_at(events_address, count * EVENT.itemsize), EVENT)
        crash_point(label)
        if np.any(events["kind"] == int(Kind.FILL)):
            crash_point(of_fill)

    def take_array(self, events: npt.NDArray[Any]) -> int:
        """`take`, from a contiguous EVENT array; its `ts_recv` may be moved forward to the session's time."""
        return self.take(int(events.ctypes.data), len(events))

    def take_ring(self, ring_address: int, limit: int = 4096) -> int:
        """`take`, from a ring filled by another thread or process."""
        done = int(run_ring(self.address, ring_address, limit))
        if self._record.state:
            self.make_room()
        return done

    def due(self, now: int) -> None:
        """Let time pass: timers, samples and breakers that are due."""
        while run_due(self.address, now) and self.make_room():
            pass

    @property
    def next_due(self) -> int:
        """When a timer, sample or mark-out is due next, ns UTC."""
        return int(run_next(self.address))

    def make_room(self) -> bool:
        """Make the room in the journal that the last block ended for want of; whether going on at once is worth it."""
        state = self._record.state
        if state == SessionState.JOURNAL_FULL and self.journal is not None:
            self.journal.roll(STEP_RECORDS)
            return True
        if state == SessionState.JOURNAL_FAILED and self.journal is not None:
            error = self.journal.error
            raise JournalError(f"{self.directory}: the journal has stopped: {error}; no order is sent") from error
        return False

    def pump(self, source: Source, gateway: Gateway, now: int) -> int:
        """One turn of a runner: take what has come, do what is due, send what was decided; gives the events taken."""
        count, done = source.poll(), 0
        while True:
            done += self.take(source.address + done * EVENT.itemsize, count - done)
            if done == count:
                self.due(now)
            self.send(gateway)
            if done == count and not self._record.state:
                return count
            if self._record.state == SessionState.OUTPUT_FULL:
                raise SessionError(f"the output holds {self.local.capacity.output} records; drain it between turns")

    def _mark(self, what: SessionMark, now: int) -> None:
        self._one[:] = 0
        self._one["kind"], self._one["word"] = int(Kind.SESSION), int(what)
        self._put(now)

    def _put(self, now: int) -> None:
        self._one["ts_venue"] = self._one["ts_recv"] = now
        if not self.take_array(self._one):
            raise SessionError(f"{self.state.name.lower().replace('_', ' ')}: send and drain first, then go on")

    def mute(self, now: int) -> None:
        """Let strategies hear nothing until `start`; books and accounts are kept all the same."""
        self._mark(SessionMark.MUTE, now)
        self.local.mute()

    def start(self, now: int) -> None:
        """`on_start` of every strategy; what it does not hear of before."""
        self.begun = True
        if self.local.muted:
            self._mark(SessionMark.HEAR, now)
            self.local.hear()
        if self.row["sample_interval"] > 0:
            self.row["next_sample"] = now + self.row["sample_interval"]
        self._mark(SessionMark.START, now)

    def stop(self, now: int) -> None:
        """`on_stop` of every strategy, and a last sample; what `on_stop` asks for is still to be sent."""
        self._mark(SessionMark.STOP, now)
        self._mark(SessionMark.SAMPLE, now)

    def control(
        self,
        action: ControlAction,
        now: int,
        strategy: int = ALL_STRATEGIES,
        instrument: int = ALL_INSTRUMENTS,
        reason: int = 1,
    ) -> None:
        """An operator's command, as in `LocalSide.control`, journaled."""
        self._fill_control(action, strategy, instrument, reason)
        self._put(now)

    def _fill_control(self, action: ControlAction, strategy: int, instrument: int, reason: int) -> None:
        self._one[:] = 0
        self._one["kind"], self._one["word"] = int(Kind.CONTROL), int(action)
        self._one["id"] = reason if action == ControlAction.KILL else strategy
        self._one["instrument"] = instrument

    def set_parameter(self, strategy: int, name: str, value: float | bool, now: int) -> None:
        """Change a parameter of a running strategy.

        Raises
        ------
        ValueError
            It has no such parameter, or the value is of another type.
        """
        chosen = self.local.setups[strategy].strategy
        if name not in chosen.parameters:
            raise ValueError(
                f"{self.local.names[strategy]} has no parameter {name!r}; it has {list(chosen.parameters)}"
            )
        field, offset = self.local.selves[strategy].dtype.fields[name][:2]  # type: ignore[index]
        made = np.zeros(1, field)
        made[0] = value
        if made[0] != value:
            raise ValueError(f"{self.local.names[strategy]}.{name}: expected {field.name}, found {value!r}")
        self._one[:] = 0
        self._one["kind"], self._one["seq"], self._one["id"] = int(Kind.PARAMETER), strategy, offset
        self._one["word"] = int(made.view(np.uint8)[0]) if field.itemsize == 1 else made.view(np.int64)[0]
        self._one["side"] = 1 if field.itemsize == 1 else 0
        self._put(now)

    def set_limit(self, scope: int, name: str, value: Any, now: int) -> None:
        """Change a limit of a strategy, or (scope: how many there are) of the account.

        Raises
        ------
        ValueError
            There is no such limit, or it cannot have that value.
        """
        limits, limit, number = limit_value(self.local, scope, name, value)
        self._change(SessionMark.LIMIT, scope, limit, number, now)
        self.local.risk.set_one(scope, limit, number)
        keep_limits(self.local, scope, limits)

    def reload(self, strategy: int, cls: type[Strategy], now: int) -> None:
        """Let a strategy go on with other code, from the next event on.

        Raises
        ------
        ValueError
            The new code has other fields.
        """
        swap_code(self.local, strategy, cls)  # first, for it may refuse; nothing is stepped in between
        if self.directory is not None:
            keep_code(self.directory, cls)
        self._change(SessionMark.CODE, strategy, code_id(cls), 0, now)

    def _change(self, what: SessionMark, scope: int, which: int, value: int, now: int) -> None:
        self._one[:] = 0
        self._one["kind"], self._one["word"], self._one["seq"] = int(Kind.SESSION), int(what), scope
        self._one["id"], self._one["price"] = which, value
        self._put(now)

    def cancel_everything(self, now: int, reason: int = 1) -> int:
        """Kill without the journal, for when it has stopped or has no room; gives how many cancels wait to be sent.

        The journal takes nothing after this: what is done here is not in it.
        """
        if self.journal is not None:
            self.journal.fail()
        self._fill_control(ControlAction.KILL, 0, ALL_INSTRUMENTS, reason)
        self._one["ts_venue"] = self._one["ts_recv"] = now
        return int(run_unjournaled(self.address, self._one.ctypes.data))

    # --- commands and records out -------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Commands that wait for the gateway."""
        return self.words[_COUNT]

    def commands(self) -> npt.NDArray[Any]:
        """The commands that wait for the gateway (a view, dtype COMMAND)."""
        return self._gateway.view[: self.waiting]

    def send(self, gateway: Gateway, sent: int = 0) -> int:
        """Give the gateway what waits, but for as many as have been sent already; gives how many waited.

        Nothing is given twice: not even when the gateway raises, for who knows what has left by then.
        """
        count: int = self.words[_COUNT]
        if count:
            if ARMED.label:
                self._crash_at_commands("before")
            try:
                gateway.send(self.commands_address + sent * COMMAND.itemsize, count - sent)
                if ARMED.label:
                    self._crash_at_commands("sent")
            finally:
                self.words[_COUNT] = 0
        return count

    def _crash_at_commands(self, where: str) -> None:
        for kind in np.unique(self.commands()["kind"]).tolist():
            if kind in _CRASH_NAMES:
                crash_point(f"{_CRASH_NAMES[kind]}.{where}")

    def drain(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Take the records and the marks put out since the last call."""
        return self.local.drain(), self.local.drain_marks()

    def snapshot(self) -> Path:
        """Write the state after the last input, for a shorter recovery. Waits for the disk: call it when idle.

        Another process can do it without any wait here: `nanotick recover DIRECTORY --snapshot`.
        """
        if self.journal is None or self.directory is None:
            raise SessionError("a session without a journal cannot be recovered, so it has no snapshots")
        return save_snapshot(SnapshotStore(self.directory / SNAPSHOTS), self.local, self.part, self.journal)

    def close(self, ended: bool = True) -> None:
        """Make all of the session durable, with its end if it has ended as it should."""
        if self.journal is None:
            return
        journal, self.journal = self.journal, None
        try:
            if ended and journal.error is None:
                self._one[:] = 0
                self._one["kind"], self._one["word"] = int(Kind.SESSION), int(SessionMark.END)
                self._one["ts_venue"] = self._one["ts_recv"] = self.now
                journal.append(self._one[0])
        finally:
            self.row["journal_address"] = 0
            journal.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(ended=kind is None)
