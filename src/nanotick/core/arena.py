"""The arena: one block of memory that holds all hot state, in named, typed regions.

    offset 0      shared arenas: magic, bytes used, directory length, directory (compressed JSON of the regions)
    64 KiB        regions, each aligned to 64 bytes, large ones to 2 MiB, with huge pages asked for past the first 2 MiB

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
import sys
import zlib
from collections.abc import Iterable
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
# Python names this flag only from 3.13 on; its value is Linux's, and without it a large reservation may be refused
_NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)
_READ_SIZE = 16 << 20


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


def layout_name(dtype: np.dtype[Any]) -> str:
    """What a region's type is compared by: the code of a scalar, the digest of a record layout."""
    return dtype.str if dtype.names is None else dtype_digest(dtype)


def state_bytes(records: npt.NDArray[Any], volatile: Iterable[str]) -> memoryview:
    """Bytes of records with every field that holds an address zeroed: what hashes are made of."""
    fields = list(volatile)
    if fields:
        # bytes, not records: copying records leaves their padding undefined
        records = records.view(np.uint8).copy().view(records.dtype)
        for field in fields:
            records[field] = 0
    return records.view(np.uint8).reshape(-1).data


def state_digest(parts: Iterable[tuple[str, npt.NDArray[Any]]]) -> bytes:
    """32-byte hash of regions in use, given by name in any order."""
    total = hashlib.blake2b(digest_size=32)
    for name, records in sorted(parts, key=lambda part: part[0]):
        total.update(f"{name}|{layout_name(records.dtype)}|{len(records)}|".encode())
        total.update(state_bytes(records, volatile_fields(records.dtype)))
    return total.digest()


def volatile_fields(dtype: np.dtype[Any]) -> tuple[str, ...]:
    """Fields that hold addresses."""
    return tuple(n for n in dtype.names or () if n.endswith(("_address", "_function")))


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
        self._shared = path is not None
        self._entries: list[str] = []  # the directory of a shared arena, region by region
        if path is None:
            if hasattr(mmap, "MAP_PRIVATE"):
                self._map = mmap.mmap(-1, capacity, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE)
            else:
                self._map = mmap.mmap(-1, capacity)  # Windows commits all of it
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
        self._shared, self._entries = True, []
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
        for entry in json.loads(zlib.decompress(self._map[_HEADER.size : _HEADER.size + length])):
            dtype = dtype_from_json(entry["dtype"])
            self._bind(entry["name"], dtype, entry["offset"], entry["count"], entry["counter"], entry["transient"])
        return self

    def _bind(self, name: str, dtype: np.dtype[Any], offset: int, count: int, counter: int, transient: bool) -> Region:
        view = self._bytes[offset : offset + count * dtype.itemsize].view(dtype)
        region = Region(name, dtype, offset, count, counter, transient, self.address + offset, view)
        self._regions[name] = region
        if self._shared:
            entry = {
                "name": name,
                "dtype": dtype_to_json(dtype),
                "offset": offset,
                "count": count,
                "counter": counter,
                "transient": transient,
            }
            self._entries.append(json.dumps(entry, separators=(",", ":")))
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
        if size > HUGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
            # The first stretch stays in small pages: most pools are reserved for the worst case and hold a few records,
            # and each would take a whole huge page for them. What grows past it is large and gets them.
            start = -(-(offset + HUGE_PAGE) // mmap.PAGESIZE) * mmap.PAGESIZE
            try:
                self._map.madvise(mmap.MADV_HUGEPAGE, start, offset + size - start)
            except OSError:
                pass  # huge pages are a wish: kernels without them work, slower
        self._used = offset + size
        region = self._bind(name, dtype, offset, count, counter - self.address if counter else 0, transient)
        self._write_directory()
        return region

    def _write_directory(self) -> None:
        if not self._shared:
            return  # nobody else looks
        text = zlib.compress(f"[{','.join(self._entries)}]".encode(), 1)
        if len(text) > DIRECTORY_SIZE - _HEADER.size:
            raise ArenaError(
                f"the directory of {len(self._entries)} regions needs {len(text)} bytes of {DIRECTORY_SIZE}"
            )
        self._map[_HEADER.size : _HEADER.size + len(text)] = text
        _HEADER.pack_into(self._map, 0, MAGIC, self._used, len(text))

    def __getitem__(self, name: str) -> Region:
        return self._regions[name]

    def __contains__(self, name: str) -> bool:
        return name in self._regions

    @property
    def regions(self) -> tuple[Region, ...]:
        """All regions, in the order they were reserved."""
        return tuple(self._regions.values())

    def part(self, names: Iterable[str]) -> Arena:
        """The same memory seen as an arena of some of its regions, for a snapshot or a hash of these alone.

        Raises
        ------
        KeyError
            There is no such region.
        """
        part = Arena.__new__(Arena)
        part.__dict__.update(self.__dict__)
        part._regions = {name: self._regions[name] for name in names}
        part._used = part.capacity  # regions are reserved in the whole
        return part

    def used_records(self, region: Region) -> int:
        """Records of a region in use: its counter, else its capacity."""
        if not region.counter:
            return region.count
        return min(region.count, max(0, ctypes.c_int64.from_address(self.address + region.counter).value))

    def used_view(self, region: Region) -> npt.NDArray[Any]:
        """The records of a region in use, shape (used,)."""
        return region.view[: self.used_records(region)]

    @property
    def state_regions(self) -> tuple[Region, ...]:
        """Regions that belong to the state: all but scratch."""
        return tuple(r for r in self._regions.values() if not r.transient)

    def digest(self) -> bytes:
        """32-byte hash of all state: equal for two runs that did the same, wherever they lie in memory."""
        return state_digest((r.name, self.used_view(r)) for r in self.state_regions)

    def region_digests(self) -> dict[str, str]:
        """Hash of each region: where two runs first differ."""
        return {
            r.name: hashlib.blake2b(state_bytes(self.used_view(r), volatile_fields(r.dtype)), digest_size=8).hexdigest()
            for r in self.state_regions
        }

    def clear_unused(self, region: Region, used: int) -> None:
        """Zero the records from `used` on, giving whole pages back where the system can."""
        start = region.offset + used * region.dtype.itemsize
        end = region.offset + region.count * region.dtype.itemsize
        first_page = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
        after_pages = end // mmap.PAGESIZE * mmap.PAGESIZE
        if not self._shared and sys.platform == "linux" and first_page < after_pages:
            # private anonymous pages given back read as zero, and those never touched stay untouched
            self._map.madvise(mmap.MADV_DONTNEED, first_page, after_pages - first_page)
            stretches = [(start, first_page), (after_pages, end)]
        else:
            stretches = [(at, min(at + _READ_SIZE, end)) for at in range(start, end, _READ_SIZE)]
        for begin, stop in stretches:
            if self._bytes[begin:stop].any():
                self._bytes[begin:stop] = 0

    def snapshot(self, path: Path, sequence: int) -> bytes:
        """Write all state as it is after journal record `sequence`; see `snapshot.write_snapshot`."""
        from nanotick.core.snapshot import write_snapshot

        return write_snapshot(self, path, sequence)

    def restore(self, path: Path) -> int:
        """Load a snapshot into an arena of the same layout; see `snapshot.read_snapshot`."""
        from nanotick.core.snapshot import read_snapshot

        return read_snapshot(self, path)


def dtype_to_json(dtype: np.dtype[Any]) -> Any:
    """A dtype as plain values."""
    if dtype.names is None or dtype.fields is None:
        return dtype.str
    return {
        "names": list(dtype.names),
        # the base of a record inside a record is such a description again
        "formats": [[dtype_to_json(dtype.fields[n][0].base), list(dtype.fields[n][0].shape)] for n in dtype.names],
        "offsets": [int(dtype.fields[n][1]) for n in dtype.names],
        "itemsize": dtype.itemsize,
    }


def dtype_from_json(text: Any) -> np.dtype[Any]:
    """Inverse of `dtype_to_json`."""
    if isinstance(text, str):
        return np.dtype(text)
    bases = [(dtype_from_json(base), tuple(shape)) for base, shape in text["formats"]]
    formats = [(base, shape) if shape else base for base, shape in bases]
    layout: Any = {**text, "formats": formats}
    return np.dtype(layout)
