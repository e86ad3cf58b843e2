"""Replaying a session from its journal: the proof that it can be repeated, and the way back after a crash.

    replay(directory)       from the first record, every command held to the one in the journal
    recover(directory)      from the newest snapshot that fits, then the tail

Both read the journal as another process may, without disturbing its writer, and step through it with the code that ran
live. A journal that stops in the middle of a step (the process was killed there) is not wrong: the commands that the
last input led to and that are not in the journal were never handed to the gateway. They are `unsent`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.journal_reader import JournalReader, inspect
from nanotick.core.journal_segment import JournalCorruptionError, JournalError, segment_paths
from nanotick.core.records import COMMAND, EVENT, Kind, OrderType, TimeInForce
from nanotick.core.snapshot import SnapshotStore, read_snapshot
from nanotick.engine.changes import CODE, MARKS, obey
from nanotick.engine.collect import make_ready
from nanotick.engine.journaling import SessionMark
from nanotick.engine.runner import INFINITE
from nanotick.engine.session import SNAPSHOTS
from nanotick.engine.session_header import Built, SessionError, build, header_length, read_header
from nanotick.engine.session_loop import SESSION, replay_records, session_at

Progress = Callable[[int, int], None]  # records done, last record

BATCH = 1 << 16
_FIRST_COMMAND = int(Kind.NEW)
_WORDS = {"kind": Kind, "order_type": OrderType, "tif": TimeInForce}


@dataclass(frozen=True)
class Difference:
    """Where a replay first differs from its journal.

    Attributes
    ----------
    sequence : int
        The journal record.
    field : str
        Of the command; `record` when one of the two has no command there.
    found, expected : str
        What the replay made, and what the journal holds.
    """

    sequence: int
    field: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"record {self.sequence}, {self.field}: found {self.found}, expected {self.expected} by the journal"


@dataclass
class Replay:
    """What a replay came to.

    Attributes
    ----------
    built : Built
        The local side, its state as after record `sequence`.
    header : dict
    first_sequence, sequence : int
        The first and the last record replayed.
    inputs, commands : int
        Stepped, and found to agree.
    state_hash : str
        Hash of the local side's state.
    ended : bool
        The session was closed; otherwise it was killed, or is running.
    unsent : numpy.ndarray
        Commands of the last input that are not in the journal, so that no gateway has seen them.
    difference : Difference or None
    snapshot : Path or None
        From which it started.
    rejected : list of str
        Why newer snapshots were passed over.
    next_sample : int
        Local time of the next sample; `INFINITE` when nothing replayed tells.
    now : int
        Local time of the last input.
    """

    built: Built
    header: dict[str, Any]
    first_sequence: int
    sequence: int
    inputs: int = 0
    commands: int = 0
    state_hash: str = ""
    ended: bool = False
    unsent: npt.NDArray[Any] = field(default_factory=lambda: np.empty(0, COMMAND))
    difference: Difference | None = None
    snapshot: Path | None = None
    rejected: list[str] = field(default_factory=list)
    next_sample: int = INFINITE
    now: int = 0


_MUTE, _HEAR = int(SessionMark.MUTE), int(SessionMark.HEAR)


class _Stepper:
    """The replaying kernel's record and what Python does between its calls."""

    def __init__(self, built: Built, sample_interval_ns: int, directory: Path) -> None:
        make_ready(replay_records)
        self.directory = directory
        local, arena = built.local, built.local.arena
        self.local = local
        self.region = arena.region("replay", SESSION, 1, transient=True)
        self.row = self.region.view[0]
        self.row["engine_address"] = local.address
        for name in ("timer_event_address", "mark_address"):
            self.row[name] = arena.region(f"replay.{name}", EVENT, 1, transient=True).address
        self.row["sample_interval"], self.row["next_sample"] = sample_interval_ns, INFINITE
        self.record = session_at(self.region.address)

    def step(self, records: npt.NDArray[Any]) -> int:
        """Replay consecutive records; gives how many agree."""
        marks = np.flatnonzero(records["kind"] == int(Kind.SESSION))
        done = 0
        for at in marks[np.isin(records["word"][marks], (_MUTE, _HEAR, *MARKS))].tolist():
            stopped = self._run(records[done : at + 1])
            done += stopped
            if done <= at:
                return done
            word = int(records[at]["word"])
            if word in MARKS:
                obey(self.local, records[at], self.directory)
            elif word == _MUTE:
                self.local.mute()
            else:
                self.local.hear()
        return done + self._run(records[done:])

    def _run(self, records: npt.NDArray[Any]) -> int:
        return int(replay_records(self.region.address, int(records.ctypes.data), len(records)))

    def made(self) -> npt.NDArray[Any]:
        """Commands of the last input that the journal has not shown."""
        region = self.local.arena["commands"].view
        return region[int(self.record.matched) : int(self.record.made)].copy()


def _named(name: str, value: Any) -> str:
    words = _WORDS.get(name)
    try:
        return f"{int(value)} ({words(int(value)).name})" if words else str(int(value))
    except ValueError:
        return str(int(value))


def _told(command: Any) -> str:
    kind = _named("kind", command["kind"])
    return f"command {kind} of order {int(command['id'])}, price {int(command['price'])}, qty {int(command['qty'])}"


def _difference(sequence: int, record: npt.NDArray[Any], made: npt.NDArray[Any]) -> Difference:
    if record["kind"][0] < _FIRST_COMMAND:
        kind = int(record["kind"][0])
        return Difference(sequence, "record", _told(made[0]), f"no further command, but the next input (kind {kind})")
    expected = record.view(COMMAND)[0]
    if not len(made):
        return Difference(sequence, "record", "no command", _told(expected))
    for name in COMMAND.names or ():
        if made[0][name] != expected[name]:
            return Difference(sequence, name, _named(name, made[0][name]), _named(name, expected[name]))
    return Difference(sequence, "padding", "other bytes", "these")


def _reader(directory: Path, start: int | None = None) -> JournalReader:
    if not directory.is_dir() or not segment_paths(directory):
        raise SessionError(
            f"{directory}: no journal here; `nanotick simulate --journal DIRECTORY` and live sessions write one"
        )
    return JournalReader(directory, start)


def last_record(directory: Path) -> npt.NDArray[Any] | None:
    """The last record of a session's journal (shape (1,), dtype EVENT); None when it has none."""
    report = inspect(directory)
    if report.next_sequence <= report.first_sequence:
        return None
    reader = JournalReader(directory, report.next_sequence - 1)
    try:
        found = reader.read(1)
        return found if len(found) else None
    finally:
        reader.close()


def session_header(directory: Path) -> dict[str, Any]:
    """The header of a session's journal.

    Raises
    ------
    SessionError
        There is no journal, or it does not begin with a header.
    JournalCorruptionError
        A record of it is damaged.
    """
    reader = _reader(directory)
    try:
        first = reader.read(1)
        rest = reader.read(max(0, header_length(first[0]) - 1)) if len(first) else first
        return read_header(np.concatenate([first, rest]), directory)
    finally:
        reader.close()


def replay(
    directory: Path,
    to: int | None = None,
    progress: Progress | None = None,
    changed_code: bool = False,
    last: int | None = None,
) -> Replay:
    """Replay a session from its first record and hold every command to the journal's.

    Parameters
    ----------
    directory : Path
    to : int, optional
        Last record to replay.
    progress : callable, optional
        `progress(records done, last record)`.
    changed_code : bool
        See `session_header.build`.
    last : int, optional
        The journal's last record, for progress, when the caller knows.

    Raises
    ------
    SessionError
        The journal holds no session, or one that cannot be built again.
    JournalCorruptionError
        A record is damaged.
    """
    header = session_header(directory)
    built = build(header, directory, changed_code)
    return _go(directory, Replay(built, header, 1, 0), 1, to, progress, last)


def recover(
    directory: Path,
    to: int | None = None,
    progress: Progress | None = None,
    changed_code: bool = False,
    last: int | None = None,
) -> Replay:
    """The state a session had reached: its newest snapshot that fits, and the journal's tail, which is verified too.

    Parameters and errors as of `replay`.
    """
    header = session_header(directory)
    built = build(header, directory, changed_code)
    found = Replay(built, header, 1, 0)
    end = last_sequence(directory) if to is None else to
    snapshots = directory / SNAPSHOTS
    start = 0
    if snapshots.is_dir():
        restored = SnapshotStore(snapshots).restore(built.arena, end)
        start, found.snapshot, found.rejected = restored.sequence, restored.path, restored.rejected
        _take_code_up(directory, found, start)
    found.first_sequence = start + 1
    return _go(directory, found, start + 1, to, progress, last or end)


def restore_at(directory: Path, snapshot: Path, to: int | None = None) -> Replay:
    """As `recover`, from one snapshot: whether each of them leads to the same state."""
    header = session_header(directory)
    found = Replay(build(header, directory), header, 1, 0, snapshot=snapshot)
    start = read_snapshot(found.built.arena, snapshot)
    _take_code_up(directory, found, start)
    found.first_sequence = start + 1
    return _go(directory, found, start + 1, to, None, None)


def _take_code_up(directory: Path, found: Replay, start: int) -> None:
    """Code that was changed before a snapshot: the snapshot holds the state, not the functions."""
    kept = len(sorted((directory / CODE).glob("*.py")))
    if start <= 0 or kept <= sum(bool(entry["file"]) for entry in found.header["strategies"]):
        return
    reader = _reader(directory)
    try:
        while reader.next_sequence <= start:
            records = reader.read(min(BATCH, start - reader.next_sequence + 1))
            if not len(records):
                return
            for at in np.flatnonzero((records["kind"] == int(Kind.SESSION)) & (records["word"] == SessionMark.CODE)):
                obey(found.built.local, records[at], directory)
    finally:
        reader.close()


def _is_end(record: Any) -> bool:
    return (int(record["kind"]), int(record["word"])) == (int(Kind.SESSION), int(SessionMark.END))


def _go(
    directory: Path, found: Replay, start: int, to: int | None, progress: Progress | None, last: int | None
) -> Replay:
    stepper = _Stepper(found.built, found.header["sample_interval_ns"], directory)
    sequence = start - 1
    # a snapshot may stand behind the last record, so that nothing is left to read
    reader = _reader(directory, max(1, sequence))
    try:
        if sequence > 0:
            found.ended = _is_end(reader.read(1)[-1])
        while to is None or sequence < to:
            records = reader.read(BATCH if to is None else min(BATCH, to - sequence))
            if not len(records):
                break
            agreed = stepper.step(records)
            found.commands += int(np.count_nonzero(records["kind"][:agreed] >= _FIRST_COMMAND))
            sequence += agreed
            if agreed < len(records):
                found.difference = _difference(sequence + 1, records[agreed : agreed + 1], stepper.made())
                break
            found.ended = _is_end(records[-1])
            if progress is not None:
                progress(sequence, max(last or sequence, sequence))
    finally:
        reader.close()
    found.sequence = sequence
    found.inputs = int(stepper.record.inputs)
    found.next_sample = int(stepper.record.next_sample)
    found.now = int(stepper.record.now)
    if found.difference is None:
        found.unsent = stepper.made()
        if found.ended and len(found.unsent):
            found.difference = Difference(sequence, "record", _told(found.unsent[0]), "the end of the session")
    found.state_hash = found.built.arena.digest().hex()
    return found


def last_sequence(directory: Path) -> int:
    """Number of the journal's last record, found by reading to the tail.

    Raises
    ------
    JournalCorruptionError
        A record is damaged.
    """
    reader = _reader(directory)
    try:
        for _ in reader.batches():
            pass
        return reader.next_sequence - 1
    finally:
        reader.close()


def synced_sequence(directory: Path, sequence: int) -> int:
    """Make the journal durable up to a record that can be read, whoever writes it; gives that record's number."""
    for path in segment_paths(directory):
        with open(path, "rb+") as file:
            os.fsync(file.fileno())  # pages of a shared mapping are the file's own
    return sequence


__all__ = [
    "Difference",
    "JournalCorruptionError",
    "JournalError",
    "Replay",
    "last_sequence",
    "recover",
    "replay",
    "restore_at",
    "session_header",
    "synced_sequence",
]
