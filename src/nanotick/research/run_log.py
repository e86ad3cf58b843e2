"""The log of a study: one frame a finished run, on disk before the next one is counted.

    0       magic `NTRUNS1\\n`
    then    frames: length of the payload u32, CRC-32 of kind and payload u32, kind u8, payload (MessagePack)

The first frame is the manifest (kind M): what the study is, so that another study cannot be mixed in. A frame of kind G
is a grid of times that many runs share, one of kind R a run. A frame that was cut short by a crash is dropped when the
log is opened again; everything before it counts.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from nanotick.research.job import Outcome
from nanotick.research.run_config import RunConfigError
from nanotick.research.summary import plain

MAGIC = b"NTRUNS1\n"
LOG_NAME = "runs.log"
_FRAME = struct.Struct("<IIB")
_MANIFEST, _GRID, _RUN = (ord(c) for c in "MGR")


class RunLog:
    """An open log.

    Parameters
    ----------
    folder : Path
        Made if need be.
    manifest : mapping
        What the study is; runs of another one are refused.
    resume : bool
        Go on with what is there; otherwise a log with runs is left alone.

    Attributes
    ----------
    outcomes : dict
        Finished runs by `Task.key`.
    dropped : int
        Bytes of an unfinished frame that were cut off.

    Raises
    ------
    RunConfigError
        There are runs and `resume` was not asked for, they belong to another study, or another process writes them.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any], resume: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / LOG_NAME
        self.outcomes: dict[str, Outcome] = {}
        self.dropped = 0
        self._grids: dict[bytes, bytes] = {}
        manifest = plain(manifest)
        self._file = open(self.path, "a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise RunConfigError(f"{folder}: another study is writing there; take another --out") from None
        try:
            self._read(manifest, resume)
        except BaseException:
            self._file.close()
            raise

    def _read(self, manifest: Mapping[str, Any], resume: bool) -> None:
        size = os.fstat(self._file.fileno()).st_size
        self._file.seek(0)
        if size == 0 or (size < len(MAGIC) and MAGIC.startswith(self._file.read())):
            self._file.truncate(0)
            self._file.write(MAGIC)
            self._append(_MANIFEST, msgspec.msgpack.encode(manifest))
            return
        self._file.seek(0)
        if self._file.read(len(MAGIC)) != MAGIC:
            raise RunConfigError(f"{self.path}: not a log of runs; take another --out")
        good, found = len(MAGIC), None
        while frame := self._next():
            kind, payload = frame
            good = self._file.tell()
            if kind == _MANIFEST:
                found = msgspec.msgpack.decode(payload)
                _same_study(self.path, found, manifest)
            elif kind == _GRID:
                self._grids[payload[:16]] = payload[16:]
            elif kind == _RUN:
                outcome = msgspec.msgpack.decode(payload, type=Outcome)
                outcome.times = self._grids.get(outcome.times, b"")
                self.outcomes[outcome.task.key] = outcome
        self.dropped = size - good
        self._file.truncate(good)
        self._file.seek(good)
        if found is None:
            self._append(_MANIFEST, msgspec.msgpack.encode(manifest))
        if self.outcomes and not resume:
            raise RunConfigError(
                f"{self.path.parent} holds {len(self.outcomes):,} finished runs: --resume goes on with them, "
                "another --out leaves them alone"
            )

    def _next(self) -> tuple[int, bytes] | None:
        """The next whole frame."""
        head = self._file.read(_FRAME.size)
        if len(head) < _FRAME.size:
            return None
        length, crc, kind = _FRAME.unpack(head)
        payload = self._file.read(length)
        if len(payload) < length or zlib.crc32(bytes([kind]) + payload) != crc:
            return None
        return kind, payload

    def _append(self, kind: int, payload: bytes) -> None:
        head = _FRAME.pack(len(payload), zlib.crc32(bytes([kind]) + payload), kind)
        self._file.write(head + payload)
        self._file.flush()
        os.fsync(self._file.fileno())

    def append(self, outcome: Outcome) -> None:
        """Keep a finished run; it is on disk when this returns."""
        digest = hashlib.blake2b(outcome.times, digest_size=16).digest() if outcome.times else b""
        if digest and digest not in self._grids:
            self._append(_GRID, digest + outcome.times)
            self._grids[digest] = outcome.times
        self._append(_RUN, msgspec.msgpack.encode(msgspec.structs.replace(outcome, times=digest)))
        self.outcomes[outcome.task.key] = outcome

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


def _same_study(path: Path, found: Any, wanted: Mapping[str, Any]) -> None:
    """Refuse to mix two studies; say in what they differ."""
    kept = found if isinstance(found, dict) else {}
    differ = [key for key in wanted if kept.get(key) != wanted[key]]
    if differ:
        raise RunConfigError(
            f"{path.parent} holds runs of another study (different: {', '.join(differ)}); take another --out"
        )
