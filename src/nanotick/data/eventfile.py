"""The event file (.nt): recorded events as they lie in memory, mapped and read in place.

    0       magic `NTEVENTS`, version u32, offset of the events u32, number of events u64, length of the metadata u64,
            CRC-32 of the metadata u32, CRC-32 of the header before it u32
    64      metadata, JSON: instruments, source, counts, first and last time, digest of the record's dtype
    ...     zeros up to the events (a multiple of 4096; 64 KiB unless there are very many instruments)
    offset  EVENT records of 64 bytes, each on a cache line of its own

The metadata comes before the events so that a file cut short is still readable up to the cut; it is written last, into
the room kept for it. `.nt.zst` is the same bytes compressed, for rest: it is expanded into an unnamed temporary file
when opened, so opening needs disk, not memory.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.files import put_in_place
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.memory import dtype_digest
from nanotick.core.records import EVENT, RECORD_SIZE
from nanotick.data.archive import BLOCK, Source
from nanotick.data.quality import Anomaly, QualityReport

MAGIC = b"NTEVENTS"
VERSION = 1
_HEADER = struct.Struct("<8sIIQQII")
_META_AT = 64
_ROOM = 1 << 16
_DIGEST = dtype_digest(EVENT)


class EventFileError(Exception):
    """The file is no event file, or its header is damaged."""


def _header(offset: int, count: int, meta: bytes) -> bytes:
    head = _HEADER.pack(MAGIC, VERSION, offset, count, len(meta), zlib.crc32(meta), 0)
    return head[:-4] + zlib.crc32(head[:-4]).to_bytes(4, "little")


def _read_header(path: Path, head: bytes) -> tuple[int, int, int, int]:
    """Offset, count, metadata length and CRC.

    Raises
    ------
    EventFileError
    """
    if not head.startswith(MAGIC):
        raise EventFileError(
            f"{path}: expected an event file ({MAGIC!r}), found {head[:8]!r}; "
            f"nanotick data convert {path.name} -o {path.name}.nt makes one"
        )
    if len(head) < _META_AT or zlib.crc32(head[: _HEADER.size - 4]) != int.from_bytes(head[36:40], "little"):
        raise EventFileError(f"{path}: the header is damaged or cut short; convert the source again")
    _, version, offset, count, length, crc, _ = _HEADER.unpack_from(head)
    if version != VERSION:
        raise EventFileError(f"{path}: event file version {version}, this nanotick reads {VERSION}; convert it again")
    return offset, count, length, crc


class EventFile:
    """An open event file.

    Attributes
    ----------
    events : numpy.ndarray
        EVENT records, shape (n,), read-only, mapped from the file.
    instruments : InstrumentTable
        What the numbers in `events["instrument"]` mean.
    meta : dict
        Everything the header says: `source`, `format`, `messages`, `events`, `anomalies`, `first_ts`, `last_ts`, ...
    anomalies : QualityReport
        What was wrong with the event file itself (truncated).
    """

    def __init__(
        self, path: Path, events: npt.NDArray[Any], meta: dict[str, Any], report: QualityReport, mapping: Any = None
    ) -> None:
        self.path = path
        self.events = events
        self.meta = meta
        self.instruments = InstrumentTable(Instrument.from_dict(item) for item in meta["instruments"])
        self.anomalies = report
        self._mapping = mapping

    @property
    def address(self) -> int:
        """Address of the first event, for kernels; good as long as this object lives."""
        return int(self.events.ctypes.data) if len(self.events) else 0

    def __len__(self) -> int:
        return len(self.events)

    def __enter__(self) -> EventFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the mapping; `events` is empty afterwards. Views taken of it keep the mapping alive."""
        self.events = np.zeros(0, dtype=EVENT)
        self._mapping = None

    @classmethod
    def open(cls, path: Path | str, report: QualityReport | None = None) -> EventFile:
        """Open `.nt`, `.nt.zst` (any archive holding one) or a Parquet file of events.

        Parameters
        ----------
        path : Path
        report : QualityReport, optional
            Where a truncation is reported; under its `strict` that raises.

        Raises
        ------
        EventFileError
            It is none of these, or the header is damaged.
        """
        path = Path(path)
        report = report or QualityReport()
        try:
            with open(path, "rb") as file:
                head = file.read(_META_AT)
                if head.startswith(b"PAR1"):
                    from nanotick.data.parquet import read_parquet

                    return read_parquet(path, report)
                if head.startswith(MAGIC):
                    return cls._map(path, file.fileno(), head, report, "")
        except OSError as error:
            raise EventFileError(f"{path}: {error.strerror or error}") from error
        stream = Source(path, path.name, path.name, lambda: open(path, "rb")).open()
        first = stream.read(_META_AT)
        _read_header(path, first)
        with tempfile.TemporaryFile(prefix="nanotick-") as expanded:
            expanded.write(first)
            while block := stream.read(BLOCK):
                expanded.write(block)
            expanded.flush()
            return cls._map(path, expanded.fileno(), first, report, stream.cut)

    @classmethod
    def _map(cls, path: Path, handle: int, head: bytes, report: QualityReport, cut: str) -> EventFile:
        offset, count, length, crc = _read_header(path, head)
        size = os.fstat(handle).st_size
        mapping = mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
        text = mapping[_META_AT : _META_AT + length]
        if offset < _META_AT + length or offset > size or zlib.crc32(text) != crc:
            raise EventFileError(f"{path}: the metadata is damaged or cut short; convert the source again")
        meta = json.loads(text)
        if meta.get("record") != _DIGEST:
            raise EventFileError(
                f"{path}: holds records of layout {meta.get('record')}, this nanotick's is {_DIGEST}; convert it again"
            )
        here = min(count, (size - offset) // RECORD_SIZE)
        events = np.frombuffer(mapping, dtype=EVENT, count=here, offset=offset)
        if here < count or cut:
            where = f"{path.name} byte {offset + here * RECORD_SIZE}"
            report.anomaly(Anomaly.TRUNCATED, where, f"{here:,} of {count:,} events are there{': ' * bool(cut)}{cut}")
        return cls(path, events, meta, report, mapping)


class EventWriter:
    """Writes an event file: append chunks, then `finalise` (or leave the `with` block without an error).

    Until then the events are in a temporary file beside the target; an error or a crash leaves the target untouched.

    Parameters
    ----------
    path : Path
        `.nt`, `.nt.zst` (compressed) or `.parquet`, by its suffix.
    instruments : iterable of Instrument, optional
        May also be set as `instruments` any time before `finalise` (formats that find them on the way).
    meta : dict, optional
        Further metadata (`source`, `format`, report); must be JSON.
    """

    def __init__(
        self, path: Path | str, instruments: Iterable[Instrument] = (), meta: dict[str, Any] | None = None
    ) -> None:
        self.path = Path(path)
        self.instruments: Iterable[Instrument] = instruments
        self.meta: dict[str, Any] = dict(meta or {})
        self.count = 0
        self._report = QualityReport()
        self._file = tempfile.NamedTemporaryFile(
            dir=self.path.parent, prefix=f".{self.path.name}.", suffix=".tmp", delete=False
        )
        self._file.truncate(_ROOM)
        self._file.seek(_ROOM)

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None:
            self.finalise()
        else:
            self.discard()

    def append(self, events: npt.NDArray[Any]) -> None:
        """Add EVENT records, shape (n,)."""
        if events.dtype != EVENT:
            raise TypeError(f"expected an array of EVENT records, found {events.dtype}")
        if len(events):
            self._file.write(np.ascontiguousarray(events).data)
            self._report.count_events(events)
            self.count += len(events)

    def discard(self) -> None:
        """Throw away what was written."""
        self._file.close()
        if os.path.exists(self._file.name):
            os.unlink(self._file.name)

    def finalise(self) -> Path:
        """Write the header, compress or convert if the suffix asks for it, and put the file in its place."""
        counts = self._report.as_dict()
        meta = {
            "instruments": [item.as_dict() for item in self.instruments],
            "record": _DIGEST,
            **{key: counts[key] for key in ("events", "first_ts", "last_ts")},
            **{key: value for key, value in self.meta.items() if key not in ("events", "first_ts", "last_ts")},
        }
        text = json.dumps(meta, separators=(",", ":")).encode()
        try:
            offset = _ROOM
            if _META_AT + len(text) > _ROOM:
                offset = self._widen(-(-(_META_AT + len(text)) // 4096) * 4096)
            self._file.seek(0)
            self._file.write(_header(offset, self.count, text).ljust(_META_AT, b"\0") + text)
            self._file.flush()
            os.fsync(self._file.fileno())
            finished = self._file.name
            self._file.close()
            if self.path.suffix == ".zst":
                finished = _compress(Path(finished))
            elif self.path.suffix == ".parquet":
                from nanotick.data.parquet import write_parquet

                finished = write_parquet(Path(finished))
            put_in_place(finished, self.path)
        finally:
            self.discard()
        return self.path

    def _widen(self, offset: int) -> int:
        """Copy the events behind a larger header; the kernel copies, no event passes through this process."""
        wider = tempfile.NamedTemporaryFile(
            dir=self.path.parent, prefix=f".{self.path.name}.", suffix=".tmp", delete=False
        )
        self._file.flush()
        wider.truncate(offset)
        wider.seek(offset)
        source, at, end = self._file.fileno(), _ROOM, _ROOM + self.count * RECORD_SIZE
        while at < end:
            at += os.sendfile(wider.fileno(), source, at, min(end - at, 1 << 30))
        self.discard()
        self._file = wider
        return offset


def _compress(path: Path) -> str:
    import pyarrow as pa

    target = f"{path}.zst"
    with open(path, "rb") as source, pa.CompressedOutputStream(target, "zstd") as sink:
        while block := source.read(BLOCK):
            sink.write(block)
    os.unlink(path)
    return target


def write_events(
    path: Path | str,
    chunks: Iterable[npt.NDArray[Any]],
    instruments: Iterable[Instrument],
    meta: dict[str, Any] | None = None,
) -> Path:
    """Write all chunks of EVENT records as one event file."""
    with EventWriter(path, instruments, meta) as writer:
        for chunk in chunks:
            writer.append(chunk)
    return writer.path


def chunks_of(events: npt.NDArray[Any], size: int = 1 << 16) -> Iterator[npt.NDArray[Any]]:
    """Consecutive slices of an array of events."""
    for start in range(0, len(events), size):
        yield events[start : start + size]
