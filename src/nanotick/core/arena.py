"""The arena: one block of memory that holds all hot state, in named, typed regions.

    offset 0      magic, layout digest, directory length, directory (JSON: name, dtype, offset, count, counter)
    64 KiB        regions, each aligned to 64 bytes, large ones to 2 MiB with huge pages asked for

Regions are reserved before the run and never move; untouched memory costs address space only. A region may name a
counter (an int64 elsewhere in the arena) that says how many of its records are in use: snapshots and hashes then stop
there. Fields whose name ends in `_address` hold addresses inside the arena and are relocated on restore; fields ending
in `_function` hold machine code addresses, which whoever composes the engine sets again. Neither enters a hash. All
other links are indices, so a snapshot is a copy of the bytes and another process may map a shared arena and look.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import mmap
import os
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.memory import dtype_digest

MAGIC = b"NTARENA1"
DIRECTORY_SIZE = 65_536
HUGE_PAGE = 2 << 20
_HEADER = struct.Struct("<8sQQ")  # magic, bytes used by regions, directory length
_SNAPSHOT = struct.Struct("<8sQQ32s")  # magic, last journal sequence, directory length, state digest
SNAPSHOT_MAGIC = b"NTSNAP01"


class ArenaError(Exception):
    """A region does not fit, or a snapshot or shared arena is not what it claims to be."""


@dataclass(frozen=True)
class Region:
    """A typed array inside an arena.

    Attributes
    ----------
    name : str
    dtype : numpy.dtype
    offset : int
        Bytes from the arena's start.
    count : int
        Capacity in records.
    counter : int
        Offset of the int64 that counts the records in use; 0 when all are.
    transient : bool
        Scratch: in no hash and no snapshot.
    address : int
        Where it is in this process.
    view : numpy.ndarray
        The records, shape (count,).
    """

    name: str
    dtype: np.dtype[Any]
    offset: int
    count: int
    counter: int
    transient: bool
    address: int
    view: npt.NDArray[Any]

    @property
    def volatile_fields(self) -> tuple[str, ...]:
        """Fields that hold addresses."""
        names = self.dtype.names or ()
        return tuple(n for n in names if n.endswith(("_address", "_function")))


def _is_simple(dtype: np.dtype[Any]) -> bool:
    return dtype.names is None


class Arena:
    """A block of `capacity` bytes of address space.

    Parameters
    ----------
    capacity : int
        Bytes. Reserve generously: pages are committed when first written.
    path : Path, optional
        File (for example under /dev/shm) to map shared, so that another process can look; private memory otherwise.
    """

    def __init__(self, capacity: int, path: Path | None = None) -> None:
        self.capacity = capacity
        self._regions: dict[str, Region] = {}
        self._used = DIRECTORY_SIZE
        if path is None:
            flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
            self._map = mmap.mmap(-1, capacity, flags=flags)
        else:
            with open(path, "w+b") as file:
                file.truncate(capacity)
                self._map = mmap.mmap(file.fileno(), capacity)
        self._attach()
        self._write_directory()

    def _attach(self) -> None:
        self._bytes = np.frombuffer(self._map, dtype=np.uint8)
        self.address = int(self._bytes.ctypes.data)

    @classmethod
    def open(cls, path: Path) -> Arena:
        """Map a shared arena that another process made. Changes are visible to both.

        Raises
        ------
        ArenaError
            The file is no arena.
        """
        self = cls.__new__(cls)
        with open(path, "r+b") as file:
            self.capacity = os.fstat(file.fileno()).st_size
            if self.capacity < DIRECTORY_SIZE:
                raise ArenaError(f"{path}: expected an arena of at least {DIRECTORY_SIZE} bytes, found {self.capacity}")
            self._map = mmap.mmap(file.fileno(), self.capacity)
        self._attach()
        magic, self._used, length = _HEADER.unpack_from(self._map, 0)
        if magic != MAGIC or length > DIRECTORY_SIZE - _HEADER.size:
            raise ArenaError(f"{path}: expected {MAGIC!r} at the start, found {magic!r}")
        self._regions = {}
        for entry in json.loads(self._map[_HEADER.size : _HEADER.size + length]):
            dtype = _dtype_from_json(entry["dtype"])
            self._bind(entry["name"], dtype, entry["offset"], entry["count"], entry["counter"], entry["transient"])
        return self

    def _bind(self, name: str, dtype: np.dtype[Any], offset: int, count: int, counter: int, transient: bool) -> Region:
        view = self._bytes[offset : offset + count * dtype.itemsize].view(dtype)
        region = Region(name, dtype, offset, count, counter, transient, self.address + offset, view)
        self._regions[name] = region
        return region

    def region(self, name: str, dtype: npt.DTypeLike, count: int, counter: int = 0, transient: bool = False) -> Region:
        """Reserve a region.

        Parameters
        ----------
        name : str
            Unique; `part.what` by convention (`book.local.levels`).
        dtype : dtype
            Record or scalar type.
        count : int
            Capacity in records.
        counter : int, optional
            Address (in this process) of the int64 that counts the records in use.
        transient : bool
            Keep it out of hashes and snapshots.

        Raises
        ------
        ArenaError
            The name is taken or the arena is full.
        """
        dtype = np.dtype(dtype)
        if name in self._regions:
            raise ArenaError(f"region {name!r} exists already")
        size = count * dtype.itemsize
        align = HUGE_PAGE if size >= HUGE_PAGE else 64
        offset = -(-self._used // align) * align
        if self.address % align:  # a private map is page aligned only: align the address, not the offset
            offset = -(-(self.address + self._used) // align) * align - self.address
        if offset + size > self.capacity:
            raise ArenaError(
                f"region {name!r} needs {size} bytes, the arena has {self.capacity - offset} of {self.capacity} left"
            )
        if size >= HUGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
            start = offset // mmap.PAGESIZE * mmap.PAGESIZE
            try:
                self._map.madvise(mmap.MADV_HUGEPAGE, start, size)
            except OSError:
                pass  # huge pages are a wish: kernels without them work, slower
        self._used = offset + size
        region = self._bind(name, dtype, offset, count, counter - self.address if counter else 0, transient)
        self._write_directory()
        return region

    def _write_directory(self) -> None:
        entries = [
            {
                "name": r.name,
                "dtype": r.dtype.str if _is_simple(r.dtype) else _dtype_to_json(r.dtype),
                "offset": r.offset,
                "count": r.count,
                "counter": r.counter,
                "transient": r.transient,
            }
            for r in self._regions.values()
        ]
        text = json.dumps(entries, separators=(",", ":")).encode()
        if len(text) > DIRECTORY_SIZE - _HEADER.size:
            raise ArenaError(f"the directory of {len(entries)} regions needs {len(text)} bytes of {DIRECTORY_SIZE}")
        _HEADER.pack_into(self._map, 0, MAGIC, self._used, len(text))
        self._map[_HEADER.size : _HEADER.size + len(text)] = text

    def __getitem__(self, name: str) -> Region:
        return self._regions[name]

    def __contains__(self, name: str) -> bool:
        return name in self._regions

    @property
    def regions(self) -> tuple[Region, ...]:
        """All regions, in the order they were reserved."""
        return tuple(self._regions.values())

    def used_records(self, region: Region) -> int:
        """Records of a region in use: its counter, else its capacity."""
        if not region.counter:
            return region.count
        return min(region.count, max(0, ctypes.c_int64.from_address(self.address + region.counter).value))

    def _state_bytes(self, region: Region) -> bytes | memoryview:
        used = region.view[: self.used_records(region)]
        if region.volatile_fields:
            used = used.copy()
            for field in region.volatile_fields:
                used[field] = 0
        return memoryview(used.view(np.uint8).reshape(-1))

    def digest(self) -> bytes:
        """32-byte hash of all state: equal for two runs that did the same, wherever they lie in memory."""
        total = hashlib.blake2b(digest_size=32)
        for region in sorted(self._regions.values(), key=lambda r: r.name):
            if region.transient:
                continue
            layout = region.dtype.str if _is_simple(region.dtype) else dtype_digest(region.dtype)
            total.update(f"{region.name}|{layout}|{self.used_records(region)}|".encode())
            total.update(self._state_bytes(region))
        return total.digest()

    def region_digests(self) -> dict[str, str]:
        """Hash of each region: where two runs first differ."""
        return {
            r.name: hashlib.blake2b(self._state_bytes(r), digest_size=8).hexdigest()
            for r in self._regions.values()
            if not r.transient
        }

    def snapshot(self, path: Path, sequence: int) -> bytes:
        """Write all state as it is after journal record `sequence`: temporary file, sync, rename, sync directory.

        Returns
        -------
        bytes
            The state digest, which the file carries too.
        """
        digest = self.digest()
        kept = [r for r in self._regions.values() if not r.transient]
        directory = json.dumps(
            [
                {
                    "name": r.name,
                    "layout": r.dtype.str if _is_simple(r.dtype) else dtype_digest(r.dtype),
                    "used": self.used_records(r),
                    "size": self.used_records(r) * r.dtype.itemsize,
                }
                for r in kept
            ]
            + [{"base": self.address}]
        ).encode()
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
            file.write(_SNAPSHOT.pack(SNAPSHOT_MAGIC, sequence, len(directory), digest))
            file.write(directory)
            for region in kept:
                file.write(memoryview(region.view[: self.used_records(region)].view(np.uint8).reshape(-1)))
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, path)
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        return digest

    def restore(self, path: Path) -> int:
        """Load a snapshot into an arena of the same layout. Addresses are relocated; `_function` fields keep ours.

        Returns
        -------
        int
            The journal sequence after which the snapshot was taken.

        Raises
        ------
        ArenaError
            The file is damaged, or a region is missing, differs in layout or is too small.
        """
        with open(path, "rb") as file:
            head = file.read(_SNAPSHOT.size)
            if len(head) < _SNAPSHOT.size or head[:8] != SNAPSHOT_MAGIC:
                raise ArenaError(f"{path}: expected a snapshot ({SNAPSHOT_MAGIC!r}), found {head[:8]!r}")
            _, sequence, length, digest = _SNAPSHOT.unpack(head)
            try:
                *entries, tail = json.loads(file.read(length))
                base = int(tail["base"])
            except (ValueError, KeyError, TypeError) as error:
                raise ArenaError(f"{path}: the snapshot's directory is damaged: {error}") from error
            pending: list[tuple[Region, npt.NDArray[Any]]] = []
            for entry in entries:
                region = self._regions.get(entry["name"])
                layout = None
                if region is not None:
                    layout = region.dtype.str if _is_simple(region.dtype) else dtype_digest(region.dtype)
                if region is None or layout != entry["layout"] or entry["used"] > region.count:
                    raise ArenaError(f"{path}: region {entry['name']!r} does not fit this engine (layout {layout})")
                data = file.read(entry["size"])
                if len(data) != entry["size"]:
                    raise ArenaError(f"{path}: cut short in region {entry['name']!r}")
                pending.append((region, np.frombuffer(data, dtype=region.dtype).copy()))
        shift = self.address - base
        for region, data_in in pending:
            for field in region.volatile_fields:
                if field.endswith("_function"):
                    data_in[field] = region.view[: len(data_in)][field]
                else:
                    data_in[field] = np.where(data_in[field] != 0, data_in[field] + shift, 0)
            region.view[: len(data_in)] = data_in
        if self.digest() != digest:
            raise ArenaError(f"{path}: the restored state does not hash to the snapshot's digest")
        return int(sequence)


def _dtype_to_json(dtype: np.dtype[Any]) -> dict[str, Any]:
    assert dtype.names is not None and dtype.fields is not None
    return {
        "names": list(dtype.names),
        "formats": [[dtype.fields[n][0].base.str, list(dtype.fields[n][0].shape)] for n in dtype.names],
        "offsets": [int(dtype.fields[n][1]) for n in dtype.names],
        "itemsize": dtype.itemsize,
    }


def _dtype_from_json(text: Any) -> np.dtype[Any]:
    if isinstance(text, str):
        return np.dtype(text)
    formats = [(base, tuple(shape)) if shape else base for base, shape in text["formats"]]
    return np.dtype({**text, "formats": formats})
