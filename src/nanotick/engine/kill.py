"""The kill switch of a live session: many ways to pull it, one thing that happens.

    command, file ──┐
    key press ──────┤
    signal ─────────┼─▶ poll ─▶ CONTROL KILL in the log ─▶ cancels to the gateway ─▶ latch in the state directory
    API call ───────┤
    dead-man timer ─┤
    loss limit ─────┘

`trip` only leaves a note, so that a signal handler and another thread may call it; the session's own thread finds it
with `poll`. The cancels go out before anything touches the disk. The latch is a file for its owner alone: while it is
there every session that starts in this directory starts killed. Only an operator lifts it, by `resume` or by the
command `nanotick resume`; a latch that cannot be read counts as one.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from nanotick.core.files import remove_durable, write_durable
from nanotick.core.journal_segment import JournalError
from nanotick.core.records import ControlAction, KillReason
from nanotick.engine.session import Gateway, Session
from nanotick.engine.session_header import SessionError
from nanotick.risk.records import RiskCheck

LATCH, KILL_FILE, RESUME_FILE = "killed.json", "kill", "resume"
LOOK_NS = 100_000_000  # between looks at the files
_LOSSES = (int(RiskCheck.DAILY_LOSS), int(RiskCheck.DRAWDOWN))


@dataclass(frozen=True)
class Latched:
    """What a latch says.

    Attributes
    ----------
    reason : str
        Name of the `KillReason`; empty when the latch cannot be read.
    text : str
        In the words of whoever killed.
    ts : int
        Session time, ns UTC; 0 when it did not run.
    """

    reason: str = ""
    text: str = ""
    ts: int = 0


def read_latch(directory: Path) -> Latched | None:
    """The latch of a state directory; None when there is none."""
    try:
        data = (directory / LATCH).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        return Latched(text=f"{directory / LATCH}: {error.strerror}")
    try:
        found = json.loads(data)
        return Latched(str(found["reason"]), str(found["text"]), int(found["ts"]))
    except (ValueError, KeyError, TypeError):
        return Latched(text=f"{directory / LATCH}: cannot be read, which counts as killed")


def write_latch(directory: Path, reason: KillReason, text: str, ts: int) -> None:
    """Keep a kill for the sessions to come; the first reason stays."""
    if read_latch(directory) is None:
        directory.mkdir(parents=True, exist_ok=True)
        write_durable(directory / LATCH, json.dumps(asdict(Latched(reason.name, text, ts))).encode())


def ask_kill(directory: Path, text: str) -> Path:
    """Kill the session of a state directory, running or not, from another process."""
    write_latch(directory, KillReason.COMMAND, text, 0)
    write_durable(directory / KILL_FILE, text.encode())
    return directory / KILL_FILE


def ask_resume(directory: Path, operator: str) -> Path:
    """Lift the kill of a state directory: a running session does it at its next look, another one when it starts.

    Raises
    ------
    ValueError
        Nobody is named, or there is nothing to lift.
    """
    who = operator.strip()
    if not who:
        raise ValueError("operator: expected the name of who lifts the kill, found nothing")
    if read_latch(directory) is None and not (directory / KILL_FILE).exists():
        raise ValueError(f"{directory}: nothing here is killed (expected {LATCH} or {KILL_FILE})")
    remove_durable(directory / KILL_FILE)
    write_durable(directory / RESUME_FILE, who.encode())
    return directory / RESUME_FILE


class KillSwitch:
    """What stops a session, and keeps it stopped.

    Parameters
    ----------
    session : Session
    directory : Path
        State directory: of the latch, and of the files that `nanotick kill` and `nanotick resume` leave.
    gateway : Gateway
        Gets the cancels at once.
    watch : Path, optional
        Another file whose being there kills.
    heartbeat_ns : int
        The longest time without a `beat` of the operator; 0: none is asked for.
    key : str
        The key that kills.
    loss_kills : bool
        Whether a loss limit of the account kills for good, rather than until the next day or `resume` alone.

    Attributes
    ----------
    stop_requested : bool
        A signal has asked the runner to end.
    operators : list of str
        Who has lifted a kill of this session.
    """

    def __init__(
        self,
        session: Session,
        directory: Path,
        gateway: Gateway,
        *,
        watch: Path | None = None,
        heartbeat_ns: int = 0,
        key: str = "K",
        loss_kills: bool = True,
    ) -> None:
        if heartbeat_ns < 0:
            raise ValueError(f"heartbeat_ns: expected 0 or more, found {heartbeat_ns}")
        directory.mkdir(parents=True, exist_ok=True)
        self.session, self.directory, self.gateway = session, directory, gateway
        self.watched = tuple(path for path in (directory / KILL_FILE, watch) if path is not None)
        self.heartbeat_ns, self.kill_key, self.loss_kills = heartbeat_ns, key, loss_kills
        self.stop_requested = False
        self.operators: list[str] = []
        self._noted: tuple[KillReason, str] | None = None
        self._last_beat = 0
        self._next_look = 0
        self._latched = False
        self._text = ""
        self._root = session.local.arena["risk.root"].view[0]
        self._account = session.local.risk.guards.view[-1]
        self._handlers: dict[int, Any] = {}

    # --- pulling it ---------------------------------------------------------------------------------------------------

    def trip(self, reason: KillReason = KillReason.API, text: str = "") -> None:
        """Ask for a kill, from anywhere; `poll` does it."""
        if self._noted is None:
            self._noted = (reason, text)

    def key(self, pressed: str) -> bool:
        """A key of the terminal; True if it was the one."""
        if pressed == self.kill_key:
            self.trip(KillReason.KEY, f"key {pressed}")
        return pressed == self.kill_key

    def beat(self, now: int) -> None:
        """The operator is there."""
        self._last_beat = now

    def catch(self, policies: Mapping[int, str] | None = None) -> None:
        """Handle signals, in the main thread, until `release`.

        Parameters
        ----------
        policies : mapping of signal number to {"kill", "stop", "kill-stop"}
            `stop` asks the runner to end in its own way, `kill-stop` to end after a kill. By default SIGUSR1 kills and
            SIGTERM is `kill-stop`.
        """
        chosen = {int(signal.SIGUSR1): "kill", int(signal.SIGTERM): "kill-stop"} if policies is None else policies
        for number, policy in chosen.items():
            if policy not in ("kill", "stop", "kill-stop"):
                raise ValueError(f"signal {number}: expected 'kill', 'stop' or 'kill-stop', found {policy!r}")

        def handle(number: int, frame: FrameType | None) -> None:
            if chosen[number] != "stop":
                self.trip(KillReason.SIGNAL, signal.Signals(number).name)
            self.stop_requested |= chosen[number] != "kill"

        for number in chosen:
            self._handlers[number] = signal.signal(number, handle)

    def release(self) -> None:
        """Give signals back to whoever had them."""
        while self._handlers:
            signal.signal(*self._handlers.popitem())

    # --- what happens -------------------------------------------------------------------------------------------------

    @property
    def killed(self) -> bool:
        """Whether the session is stopped."""
        return int(self._root["killed"]) != 0

    def start(self, now: int) -> bool:
        """Before `Session.start`: kill at once if the latch is there or the session was killed; gives whether it is."""
        self.beat(now)
        self._resume_if_asked(now)
        found = read_latch(self.directory)
        if found is not None and not self.killed:
            self._kill(KillReason.LATCH, found.text or found.reason, now)
        self._keep(now)
        return self.killed

    def poll(self, now: int) -> bool:
        """Look whether anything kills, and do it; True if everything was stopped by this call.

        `now` is in ns; files are looked at every `LOOK_NS`. A clock that steps back begins both waits again, one that
        jumps ahead may kill: it cannot be told from an operator who is gone.
        """
        self._last_beat = min(self._last_beat, now)
        if not self._next_look - LOOK_NS <= now < self._next_look:
            self._next_look = now + LOOK_NS
            for path in self.watched:
                if os.path.lexists(path):
                    self.trip(KillReason.FILE, str(path))
            self._resume_if_asked(now)
        if not self.killed:
            if self.loss_kills and int(self._account["breaker"]) in _LOSSES:
                self.trip(KillReason.LOSS, RiskCheck(int(self._account["breaker"])).name.lower())
            if 0 < self.heartbeat_ns < now - self._last_beat:
                self.trip(KillReason.DEAD_MAN, f"no sign of the operator for {(now - self._last_beat) // 10**6} ms")
        noted, self._noted = self._noted, None
        done = noted is not None and not self.killed
        if noted is not None and not self.killed:
            self._kill(*noted, now)
        self._keep(now)
        return done

    def _kill(self, reason: KillReason, text: str, now: int) -> None:
        self._text = text
        session = self.session
        session.send(self.gateway)
        try:
            try:
                session.control(ControlAction.KILL, now, reason=int(reason))
            except SessionError:
                # the output is full: its records follow from the journal, and a kill does not wait for their reader
                session.drain()
                session.control(ControlAction.KILL, now, reason=int(reason))
        except JournalError:
            session.cancel_everything(now, reason=int(reason))
        session.send(self.gateway)

    def _keep(self, now: int) -> None:
        """Let the latch follow, whoever killed: the step does it, too."""
        if self.killed and not self._latched:
            number = int(self._root["killed"])
            known = number in KillReason.__members__.values()
            reason = KillReason(number) if known else KillReason.COMMAND
            write_latch(self.directory, reason, self._text or f"reason {number}", now)
            self._latched = True

    def resume(self, now: int, operator: str) -> None:
        """Lift the kill and the latch, for an operator, who is named.

        Raises
        ------
        ValueError
            Nobody is named, or a watched file is still there.
        """
        if not operator.strip():
            raise ValueError("operator: expected the name of who lifts the kill, found nothing")
        for path in self.watched:
            if os.path.lexists(path):
                raise ValueError(f"{path} is still there and would kill again: remove it first")
        remove_durable(self.directory / LATCH)
        self._latched, self._text, self._noted = False, "", None
        self.operators.append(operator.strip())
        self.beat(now)
        if self.killed:
            self.session.control(ControlAction.RESUME, now)

    def _resume_if_asked(self, now: int) -> None:
        path = self.directory / RESUME_FILE
        if any(os.path.lexists(watched) for watched in self.watched):
            return
        try:
            operator = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return
        remove_durable(path)
        if operator.strip():
            self.resume(now, operator)
