"""Files as they come: plain, gzip, xz, bzip2, zstd, zip and tar, recognised by content and read as streams.

A path gives one or more *sources* (members of a zip or tar, otherwise the file). A source opens into a `Stream`, whose
`read` never raises for a damaged or truncated archive: it gives every byte before the damage and then says in `cut`
what was wrong. Members that are compressed themselves (a .gz inside a zip) are expanded too.
"""

from __future__ import annotations

import bz2
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from nanotick.data.quality import BadDataError

BLOCK = 1 << 20
_STEP = 1 << 16
_MAGIC = (
    (b"\x1f\x8b", "gz"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"BZh", "bz2"),
    (b"\x28\xb5\x2f\xfd", "zst"),
    (b"PK\x03\x04", "zip"),
)
_ERRORS = (EOFError, OSError, zlib.error, lzma.LZMAError, ValueError)


def compression(head: bytes) -> str:
    """Name of the compression a file's first bytes show, or an empty string."""
    return next((name for magic, name in _MAGIC if head.startswith(magic)), "")


class Stream:
    """Bytes of a source, in order.

    Attributes
    ----------
    name : str
        For messages: file, or file:member.
    cut : str
        Empty, or why the bytes end before the source does; known once `read` has given no more.
    """

    def __init__(self, name: str, pull: Callable[[], bytes]) -> None:
        self.name = name
        self.cut = ""
        self._pull = pull
        self._rest = b""
        self._done = False

    def read(self, size: int = -1) -> bytes:
        """Give up to `size` bytes (all if negative), fewer only at the end."""
        parts, have = [self._rest], len(self._rest)
        while not self._done and (size < 0 or have < size):
            try:
                piece = self._pull()
            except _ERRORS as error:
                self.cut = str(error) or type(error).__name__
                piece = b""
            if not piece:
                self._done = True
                break
            parts.append(piece)
            have += len(piece)
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        if size < 0 or len(data) <= size:
            self._rest = b""
            return data
        self._rest = data[size:]
        return data[:size]


def _decompressing(raw: Callable[[int], bytes], make: Callable[[], Any], empty_ok: bool) -> Callable[[], bytes]:
    """Pull function over a streaming decompressor, over concatenated members."""
    state = {"worker": make(), "begun": False}
    pending = [b""]

    def pull() -> bytes:
        while True:
            worker = state["worker"]
            # xz and bzip2 keep input beyond the bound to themselves, zlib gives it back
            full = state["begun"] and not worker.eof and not pending[0] and not getattr(worker, "needs_input", True)
            data = b"" if full else pending[0] or raw(_STEP)
            pending[0] = b""
            if not data and not full:
                if state["begun"] and not worker.eof:
                    if out := worker.decompress(b"", BLOCK):
                        return bytes(out)
                    raise EOFError("the compressed data ends before its end mark")
                return b""
            if worker.eof:  # zeros between or after members are padding
                if not data.strip(b"\0") and empty_ok:
                    continue
                worker = state["worker"] = make()
            out = worker.decompress(data, BLOCK)  # however much a few bytes expand to
            state["begun"] = True
            pending[0] = worker.unused_data if worker.eof else getattr(worker, "unconsumed_tail", b"")
            if out:
                return bytes(out)

    return pull


def _zstd(reopen: Callable[[], BinaryIO]) -> Callable[[], bytes]:
    """Pull function over zstd. After an error the last block is read again bytewise, to give all before the cut."""
    import pyarrow as pa

    state: dict[str, Any] = {
        "stream": pa.CompressedInputStream(pa.PythonFile(reopen()), "zstd"),
        "at": 0,
        "step": _STEP,
    }

    def pull() -> bytes:
        try:
            data: bytes = state["stream"].read(state["step"])
        except OSError:
            if state["step"] == 1:
                raise
            stream = pa.CompressedInputStream(pa.PythonFile(reopen()), "zstd")
            left = state["at"]
            while left:
                left -= len(stream.read(min(left, _STEP)))
            state["stream"], state["step"] = stream, 1
            data = stream.read(1)
        state["at"] += len(data)
        return data

    return pull


def expand(name: str, reopen: Callable[[], BinaryIO]) -> Stream:
    """Stream of a file object, expanded as often as its content shows a compression (a .gz in a .zip)."""
    raw = reopen()
    head = raw.read(8)
    kind = compression(head)
    raw.seek(0)
    if kind == "gz":
        pull = _decompressing(raw.read, lambda: zlib.decompressobj(31), True)
    elif kind == "xz":
        pull = _decompressing(raw.read, lzma.LZMADecompressor, True)
    elif kind == "bz2":
        pull = _decompressing(raw.read, bz2.BZ2Decompressor, False)
    elif kind == "zst":
        raw.close()
        pull = _zstd(reopen)
    else:
        return Stream(name, lambda: raw.read(BLOCK))
    return Stream(name, pull)


@dataclass(frozen=True)
class Source:
    """Something to read: a file or a member of an archive.

    Attributes
    ----------
    path : Path
        The file on disk.
    name : str
        Its own name, or the member's; what format detection by name looks at.
    label : str
        For messages.
    reopen : callable
        Gives the stored (perhaps compressed) bytes from the start, each time it is called.
    """

    path: Path
    name: str
    label: str
    reopen: Callable[[], BinaryIO]
    size: int = 0  # stored bytes, for progress
    cut: str = ""  # why the archive's directory is not complete, on the last member found

    def open(self) -> Stream:
        """The expanded bytes."""
        stream = expand(self.label, self.reopen)
        stream.cut = self.cut
        return stream

    def head(self, size: int = 4096) -> bytes:
        """The first expanded bytes."""
        return self.open().read(size)


def open_sources(paths: Iterable[Path | str]) -> list[Source]:
    """All sources of the files, in the order given, members in archive order.

    Raises
    ------
    BadDataError
        A file is missing, is a directory, or an archive without a readable member.
    """
    sources: list[Source] = []
    for path in map(Path, paths):
        if not path.is_file():
            found = "a directory" if path.is_dir() else "nothing"
            raise BadDataError(f"{path}: expected a file, found {found}; check the path")
        sources.extend(_members(path))
    return sources


def _members(path: Path) -> list[Source]:
    with open(path, "rb") as file:
        head = file.read(8)
    if compression(head) == "zip":
        return _zip_members(path)
    plain = Source(path, path.name, path.name, lambda: open(path, "rb"), path.stat().st_size)
    if plain.head(512)[257:262] == b"ustar":
        return _tar_members(path)
    return [plain]


def _from_memory(body: bytes) -> Callable[[], BinaryIO]:
    return lambda: io.BytesIO(body)


def _zip_members(path: Path) -> list[Source]:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        return _cut_zip_members(path, str(error))
    infos = [info for info in archive.infolist() if not info.is_dir()]
    if not infos:
        raise BadDataError(f"{path}: the zip holds no file")

    def opener(info: zipfile.ZipInfo) -> Callable[[], BinaryIO]:
        return lambda: archive.open(info)  # type: ignore[return-value]

    return [
        Source(path, i.filename.rsplit("/", 1)[-1], f"{path.name}:{i.filename}", opener(i), i.file_size) for i in infos
    ]


def _cut_zip_members(path: Path, why: str) -> list[Source]:
    """Members of a zip whose directory (at its end) is missing: walk the local headers as far as they go."""
    data = path.read_bytes()
    sources, at = [], 0
    while data[at : at + 4] == b"PK\x03\x04" and at + 30 <= len(data):
        method = int.from_bytes(data[at + 8 : at + 10], "little")
        stored = int.from_bytes(data[at + 18 : at + 22], "little")
        names = int.from_bytes(data[at + 26 : at + 28], "little")
        extra = int.from_bytes(data[at + 28 : at + 30], "little")
        name = data[at + 30 : at + 30 + names].decode("utf-8", "replace")
        start = at + 30 + names + extra
        body = data[start : start + stored] if stored else data[start:]
        if method == 8:
            worker = zlib.decompressobj(-15)
            try:
                body = worker.decompress(body)
            except zlib.error:
                break
            used = len(data) - start - len(worker.unused_data) if not stored else stored
        else:
            used = stored
        if name and not name.endswith("/"):
            label = f"{path.name}:{name}"
            sources.append(Source(path, name.rsplit("/", 1)[-1], label, _from_memory(body), len(body), why))
        at = start + used
        if data[at : at + 4] == b"PK\x07\x08":
            at += 16
        if not used:
            break
    if not sources:
        raise BadDataError(f"{path}: not a readable zip: {why}")
    return sources


class _TarBytes(io.RawIOBase):
    """The expanded bytes of a tar, for tarfile; a cut ends them."""

    def __init__(self, path: Path) -> None:
        self._stream = expand(path.name, lambda: open(path, "rb"))
        self._at = 0

    @property
    def cut(self) -> str:
        return self._stream.cut

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._at += len(data)
        return data

    def tell(self) -> int:
        return self._at


def _tar_members(path: Path) -> list[Source]:
    """Members of a tar, read once, in order, into memory: tars of recordings are collections of small files."""
    sources: list[Source] = []
    raw = _TarBytes(path)
    cut = ""
    try:
        with tarfile.open(fileobj=raw, mode="r|") as archive:
            for member in archive:
                if not member.isfile():
                    continue
                file = archive.extractfile(member)
                body = file.read() if file else b""
                label = f"{path.name}:{member.name}"
                sources.append(Source(path, member.name.rsplit("/", 1)[-1], label, _from_memory(body), len(body)))
    except (tarfile.TarError, *_ERRORS) as error:
        cut = str(error) or type(error).__name__
    cut = raw.cut or cut
    if not sources:
        raise BadDataError(f"{path}: the tar holds no readable file{': ' + cut if cut else ''}")
    if cut:
        sources[-1] = replace(sources[-1], cut=cut)
    return sources


class Blocks:
    """A stream as successive byte arrays for kernels: what one call did not consume is the start of the next.

    Attributes
    ----------
    data : numpy.ndarray
        uint8, the bytes at hand.
    address : int
        Where they are in memory.
    size : int
        How many there are.
    position : int
        Offset in the stream of the first of them.
    """

    def __init__(self, stream: Stream, size: int = BLOCK) -> None:
        self._stream = stream
        self._block = size
        self._buffer: npt.NDArray[np.uint8] = np.zeros(2 * size, dtype=np.uint8)
        self.size = 0
        self.position = 0

    @property
    def name(self) -> str:
        """Name of the stream."""
        return self._stream.name

    @property
    def cut(self) -> str:
        """Why the stream ended early, if it did."""
        return self._stream.cut

    @property
    def data(self) -> npt.NDArray[np.uint8]:
        """The bytes at hand."""
        return self._buffer[: self.size]

    @property
    def address(self) -> int:
        """Address of the first byte at hand."""
        return int(self._buffer.ctypes.data)

    def advance(self, consumed: int) -> bool:
        """Drop `consumed` bytes and read on.

        Returns
        -------
        bool
            Whether new bytes came; False at the end of the stream, with the unconsumed ones still at hand.
        """
        kept = self.size - consumed
        self._buffer[:kept] = self._buffer[consumed : self.size].copy()
        self.position += consumed
        self.size = kept
        new = self._stream.read(self._block)
        if kept + len(new) > len(self._buffer):
            grown = np.zeros(2 * (kept + len(new)), dtype=np.uint8)
            grown[:kept] = self._buffer[:kept]
            self._buffer = grown
        self._buffer[kept : kept + len(new)] = np.frombuffer(new, dtype=np.uint8)
        self.size = kept + len(new)
        return bool(new)
