"""The engine of a pinned session: one compiled loop that polls rings, on a thread and a core of its own.

    reports ring ─┐                                                  ┌─▶ commands ring ─▶ gateway
    feed ring ────┼─▶ live_event (journal, step, journal) ─▶ buffer ─┤
    feed ring ────┘   due_until (timers, samples)                    └─ what finds no room waits in the buffer

The loop holds no interpreter lock and enters no Python: from its start to its end it is one call of a kernel. Whoever
wants the session for itself (a control command, the records that have been put out, the next segment of the journal)
takes a *ticket* and waits until the loop shows the same number: between two events, within a microsecond when the loop
spins. Until the ticket is given back the loop only looks at it.

    wanted  0 run, n > 0 hold (a ticket), -1 end             written by the gateway alone
    owner   0 running, n held for that ticket, -1 ended      written by the engine alone

When a loop that waits finds nothing for `SPINS` turns it sleeps 50 us at a time. One that spins never does. Every turn
does a batch of each ring at most, so that no feed starves the reports; what is due is done after it. A gateway that
gives no sign of life for `patience` of the loop's own time is taken for dead: the loop kills the session, through the
journal like any other KILL, and goes on without a new order.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np

from nanotick.core.arena import Arena
from nanotick.core.clock import monotonic_ns
from nanotick.core.kernel import kernel
from nanotick.core.machine import Setting, pin
from nanotick.core.memory import (
    compare_exchange,
    copy_bytes,
    load_acquire,
    load_i64,
    pause,
    record_at,
    store_i64,
    store_release,
)
from nanotick.core.records import ALL_INSTRUMENTS, EVENT, RECORD_SIZE, ControlAction, KillReason, Kind, event_at
from nanotick.core.ring import Ring, spsc_peek, spsc_push, spsc_release
from nanotick.engine.runner import next_due
from nanotick.engine.session import Session
from nanotick.engine.session_loop import SessionState, due_until, live_event, session_at
from nanotick.venues.waiting import sleep_ns, wake

LOOP = np.dtype(
    [
        # what does not change while it runs
        ("session_address", "<i8"),
        ("rings_address", "<i8"),  # addresses of the rings that are polled, the reports' first
        ("commands_address", "<i8"),  # the ring to the gateway
        ("kill_address", "<i8"),  # the EVENT that kills when the gateway is gone
        ("scratch_address", "<i8"),  # a struct timespec
        ("ring_count", "<i8"),
        ("spin", "<i8"),  # 1: never sleep
        ("wake", "<i8"),  # descriptor of the pipe that wakes the gateway, -1: it spins
        # the gateway's cache line
        ("wanted", "<i8"),
        ("shift", "<i8"),  # UTC minus the monotonic clock, ns
        ("sign", "<i8"),  # of life: anything, as long as it changes
        ("patience", "<i8"),  # ns without one; 0: for ever
        ("gateway_pad", "<i8", (4,)),
        # the engine's
        ("owner", "<i8"),
        ("turns", "<i8"),
        ("state", "<i8"),  # SessionState that keeps it from taking events
        ("taken", "<i8"),  # records
        ("killed", "<i8"),  # 1: it has killed for want of a gateway
        ("silence", "<i8"),  # ns since the gateway's last sign of life
        ("seen", "<i8"),  # that sign
        ("last", "<i8"),  # monotonic time of the last turn
        # shared
        ("woken", "<i8"),  # 1: a byte is in the pipe
        ("shared_pad", "<i8", (7,)),
    ]
)
loop_at = record_at(LOOP, "PinnedLoop")
_WANTED, _SHIFT, _SIGN, _PATIENCE, _OWNER, _TURNS, _STATE, _TAKEN, _KILLED, _WOKEN = (
    int(LOOP.fields[name][1])  # type: ignore[index]
    for name in ("wanted", "shift", "sign", "patience", "owner", "turns", "state", "taken", "killed", "woken")
)
BATCH = 64  # records of one ring in one turn
SPINS = 200  # turns without anything before a loop that waits sleeps
SLEEP_NS = 50_000
ENDED = -1
_LONGEST_TURN_NS = 10_000_000  # what one turn may add to the silence: a process that was stopped has not been silent
_DONE, _GATEWAY_FULL = int(SessionState.DONE), int(SessionState.GATEWAY_FULL)
_LOOK_S = 20e-6
_PATIENCE_S = 5.0


class EngineStuck(RuntimeError):
    """The engine does not come back from a step: a strategy's code does not end."""


@kernel
def _wake_gateway(loop_address: int) -> None:
    loop = loop_at(loop_address)
    if loop.wake >= 0 and compare_exchange(loop_address + _WOKEN, 0, 1):
        wake(loop.wake, loop.scratch_address)


@kernel
def _hand_over(loop_address: int) -> None:
    """Commands from the session's buffer into the ring; what finds no room stays, in order."""
    loop = loop_at(loop_address)
    session = session_at(loop.session_address)
    count, passed = session.gateway_count, 0
    buffer = session.gateway_address
    while passed < count and spsc_push(loop.commands_address, buffer + passed * RECORD_SIZE):
        passed += 1
    if passed == 0:
        return
    for i in range(passed, count):
        copy_bytes(buffer + (i - passed) * RECORD_SIZE, buffer + i * RECORD_SIZE, RECORD_SIZE)
    session.gateway_count = count - passed
    _wake_gateway(loop_address)


@kernel
def _take_ring(loop_address: int, ring_address: int) -> int:
    """A batch of a ring; gives how many were taken, `state` of the session says why not all."""
    loop = loop_at(loop_address)
    session = session_at(loop.session_address)
    for i in range(BATCH):
        record = spsc_peek(ring_address)
        if record == 0:
            return i
        session.state = live_event(loop.session_address, record)
        if session.state != _DONE:
            return i
        spsc_release(ring_address, record)
        if session.gateway_count != 0:
            _hand_over(loop_address)
    return BATCH


@kernel
def _watch_gateway(loop_address: int, monotonic: int, now: int) -> None:
    """Kill when the gateway has been silent for too long."""
    loop = loop_at(loop_address)
    sign = load_acquire(loop_address + _SIGN)
    if sign != loop.seen:
        loop.seen = sign
        loop.silence = 0
        loop.killed = 0
    else:
        loop.silence += min(monotonic - loop.last, _LONGEST_TURN_NS)
    loop.last = monotonic
    patience = load_acquire(loop_address + _PATIENCE)
    if patience != 0 and loop.silence > patience and loop.killed == 0:
        event = event_at(loop.kill_address)
        event.ts_venue = now
        event.ts_recv = now
        session_at(loop.session_address).state = live_event(loop.session_address, loop.kill_address)
        if session_at(loop.session_address).state == _DONE:
            loop.killed = 1


@kernel
def _turn(loop_address: int) -> int:
    """A batch of every ring, and what is due; gives the records taken."""
    loop = loop_at(loop_address)
    session = session_at(loop.session_address)
    session.state = _DONE
    done = 0
    for i in range(loop.ring_count):
        done += _take_ring(loop_address, load_i64(loop.rings_address + 8 * i))
        if session.state != _DONE:
            break
    monotonic = monotonic_ns(loop.scratch_address)
    now = monotonic + load_acquire(loop_address + _SHIFT)
    if session.state == _DONE and next_due(loop.session_address) <= now:
        session.state = due_until(loop.session_address, now)
    if session.state == _DONE or session.state == _GATEWAY_FULL:
        _watch_gateway(loop_address, monotonic, now)
    if session.gateway_count != 0:
        _hand_over(loop_address)
    if session.state != loop.state:
        store_release(loop_address + _STATE, session.state)
        if session.state != _DONE and session.state != _GATEWAY_FULL:
            _wake_gateway(loop_address)
    return done


@kernel
def _rest(loop_address: int, idle: int) -> None:
    loop = loop_at(loop_address)
    if loop.spin == 0 and idle > SPINS:
        sleep_ns(loop.scratch_address, SLEEP_NS)
    else:
        pause()


@kernel("i8(i8)")
def run_pinned(loop_address: int) -> int:
    """Poll until told to end; gives the turns that were made."""
    idle = 0
    turns = 0
    while True:
        wanted = load_acquire(loop_address + _WANTED)
        if wanted != 0:
            store_release(loop_address + _OWNER, wanted)
            if wanted == ENDED:
                return turns
            waited = 0
            while load_acquire(loop_address + _WANTED) == wanted:
                waited += 1
                _rest(loop_address, waited)
            store_release(loop_address + _OWNER, 0)
            loop_at(loop_address).last = monotonic_ns(loop_at(loop_address).scratch_address)
            continue
        done = _turn(loop_address)
        turns += 1
        store_release(loop_address + _TURNS, turns)
        store_release(loop_address + _TAKEN, load_i64(loop_address + _TAKEN) + done)
        idle = idle + 1 if done == 0 else 0
        _rest(loop_address, idle)


@kernel("i8(i8,i8,i8)")
def ask_engine(loop_address: int, wanted: int, looks: int) -> int:
    """Write what is wanted and look so often whether the engine shows it; 1 if it does."""
    store_release(loop_address + _WANTED, wanted)
    for _ in range(looks):
        if load_acquire(loop_address + _OWNER) == wanted:
            return 1
        pause()
    return 0


@kernel("i8(i8)")
def quiet_pipe(loop_address: int) -> int:
    """The gateway has read its pipe: whatever comes from now on wakes it again."""
    return 1 if compare_exchange(loop_address + _WOKEN, 1, 0) else 0


class EngineLoop:
    """The loop's record, its thread, and the tickets.

    Parameters
    ----------
    session : Session
    rings : sequence of Ring
        Polled in this order; the reports' first.
    commands : Ring
    spin : bool
    wake : int
        Descriptor of the pipe that wakes the gateway; -1 for one that spins.
    patience_s : float
        After which a gateway that gives no sign of life is dead, and after which an engine is stuck.
    """

    def __init__(
        self,
        session: Session,
        rings: Sequence[Ring],
        commands: Ring,
        spin: bool,
        wake: int = -1,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._arena = Arena(1 << 20)
        self._record = self._arena.region("loop", LOOP, 1)
        self.address = self._record.address
        row = self._record.view[0]
        addresses = self._arena.region("rings", np.int64, max(1, len(rings)))
        addresses.view[: len(rings)] = [ring.address for ring in rings]
        kill = self._arena.region("kill", EVENT, 1)
        kill.view["kind"], kill.view["word"] = int(Kind.CONTROL), int(ControlAction.KILL)
        kill.view["id"], kill.view["instrument"] = int(KillReason.LOST_GATEWAY), ALL_INSTRUMENTS
        row["session_address"], row["rings_address"] = session.address, addresses.address
        row["ring_count"], row["commands_address"] = len(rings), commands.address
        row["kill_address"] = kill.address
        row["scratch_address"] = self._arena.region("scratch", np.int64, 2).address
        row["spin"], row["wake"], row["patience"] = int(spin), wake, int(patience_s * 1e9)
        self._patience_s = patience_s
        self._tickets = 0
        self._thread: threading.Thread | None = None
        self.pinned: Setting | None = None
        self._kept = (session, list(rings), commands)

    def start(self, shift: int, core: int | None = None) -> None:
        """Begin to poll; `core` is where, if anywhere."""
        self.sign(shift)
        store_i64(self.address + _WANTED, 0)
        ready = threading.Event()

        def run() -> None:
            if core is not None:
                self.pinned = pin([core])
            ready.set()
            run_pinned(self.address)

        self._thread = threading.Thread(target=run, name="engine", daemon=True)
        self._thread.start()
        ready.wait()

    def sign(self, shift: int) -> None:
        """The gateway lives, and this is UTC minus the monotonic clock."""
        store_release(self.address + _SHIFT, shift)
        store_release(self.address + _SIGN, load_i64(self.address + _SIGN) + 1)

    def be_patient(self, patience_s: float) -> None:
        """Change `patience_s`."""
        self._patience_s = patience_s
        store_release(self.address + _PATIENCE, int(patience_s * 1e9))

    def hold(self) -> None:
        """Take the session: the engine is between two events, and stays there until `release`.

        Raises
        ------
        EngineStuck
            It does not come.
        """
        self._tickets += 1
        self._ask(self._tickets)

    def release(self) -> None:
        """Give the session back."""
        store_release(self.address + _WANTED, 0)

    def end(self) -> None:
        """End the loop and its thread; the session is the caller's again."""
        if self._thread is None:
            return
        self._ask(ENDED)
        self._thread.join()
        self._thread = None

    def _ask(self, wanted: int) -> None:
        if ask_engine(self.address, wanted, 20_000):
            return
        deadline = time.monotonic() + self._patience_s
        while not ask_engine(self.address, wanted, 1):
            if time.monotonic() > deadline:
                raise EngineStuck(
                    f"the engine has been in one step for {self._patience_s:g} s: a strategy does not end"
                )
            time.sleep(_LOOK_S)

    def quiet(self) -> None:
        """As `quiet_pipe`."""
        quiet_pipe(self.address)

    @property
    def state(self) -> SessionState:
        """What keeps the engine from taking events."""
        return SessionState(load_acquire(self.address + _STATE))

    @property
    def killed(self) -> bool:
        """Whether it has killed because the gateway gave no sign of life."""
        return load_acquire(self.address + _KILLED) != 0

    @property
    def taken(self) -> int:
        """Records taken from rings."""
        return int(load_acquire(self.address + _TAKEN))

    @property
    def turns(self) -> int:
        """Turns of the loop."""
        return int(load_acquire(self.address + _TURNS))


ENTRIES = (run_pinned, ask_engine, quiet_pipe)
