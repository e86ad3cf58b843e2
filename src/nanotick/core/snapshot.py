"""Snapshots: the arena's state in a file, and the directory of them from which a crashed run starts again.

    header       magic, schema version, journal sequence, directory length, state digest (blake2b-256)
    directory    JSON: name, dtype and records in use of each region; the arena's address when written
    regions      their records in use, one after the other
    end          blake2b-256 of everything before

A snapshot says after which journal record it was taken; state is restored by loading it and stepping through the
journal from the next record on. A file is written beside its place, synced and renamed, so a killed writer leaves the
older snapshots as they were. A file is checked whole before the first byte of the arena changes.

Fields ending in `_address` are moved by the distance their region has moved; `_function` fields keep what the engine
has put there. State layouts carry a version, `STATE_SCHEMA`: who changes the layout of a region raises it by one and
registers, with `@migration(old_version)`, how the old arrays become the new ones. The last three versions load.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.arena import (
    Arena,
    ArenaError,
    dtype_from_json,
    dtype_to_json,
    layout_name,
    state_digest,
    volatile_fields,
)
from nanotick.core.crash_points import crash_point
from nanotick.core.files import sync_directory

MAGIC = b"NTSNAP01"
STATE_SCHEMA = 1
KEPT_SCHEMAS = 3
SUFFIX = ".nts"
_HEADER = struct.Struct("<8sIIQQ32s")  # magic, schema, zero, sequence, directory length, state digest
_DIGEST_SIZE = 32

Regions = dict[str, npt.NDArray[Any]]
Migration = Callable[[Regions], Regions]
MIGRATIONS: dict[int, Migration] = {}


class SnapshotError(ArenaError):
    """A snapshot is damaged, or of a state that this engine cannot take."""


def migration(version: int) -> Callable[[Migration], Migration]:
    """Register how regions of this schema version become those of the next.

    The function gets the regions in use by name, each in the layout it was written with, and gives them back changed.
    """

    def register(function: Migration) -> Migration:
        MIGRATIONS[version] = function
        return function

    return register


def write_snapshot(arena: Arena, path: Path, sequence: int) -> bytes:
    """Write all state as it is after journal record `sequence`: temporary file, sync, rename, sync directory.

    Returns
    -------
    bytes
        The state digest, which the file carries too.
    """
    digest = arena.digest()
    regions = [
        {"name": r.name, "dtype": dtype_to_json(r.dtype), "used": arena.used_records(r)} for r in arena.state_regions
    ]
    starts = [[r.name, r.address] for r in arena.regions]  # scratch too: addresses may point at it
    directory = json.dumps({"starts": starts, "regions": regions}, separators=(",", ":")).encode()
    header = _HEADER.pack(MAGIC, STATE_SCHEMA, 0, sequence, len(directory), digest)
    total = hashlib.blake2b(digest_size=_DIGEST_SIZE)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, suffix=".tmp", delete=False) as file:
        pieces: list[Any] = [header, directory]
        pieces += [arena.used_view(r).view(np.uint8).reshape(-1).data for r in arena.state_regions]
        for piece in pieces:
            total.update(piece)
            file.write(piece)
        file.write(total.digest())
        file.flush()
        os.fsync(file.fileno())
    crash_point("snapshot.written")
    os.replace(file.name, path)
    crash_point("snapshot.renamed")
    sync_directory(path.parent)
    return digest


@dataclass(frozen=True)
class Snapshot:
    """A snapshot file, read and found whole."""

    path: Path
    schema: int
    sequence: int
    starts: dict[str, int]  # address of each region in the arena that was saved
    digest: bytes
    regions: Regions


def load_snapshot(path: Path) -> Snapshot:
    """Read a snapshot file and check it.

    Raises
    ------
    SnapshotError
        It is not a snapshot, is cut short, or a bit of it has changed.
    """
    data = path.read_bytes()
    if data[:8] != MAGIC or len(data) < _HEADER.size + _DIGEST_SIZE:
        raise SnapshotError(f"{path}: expected a snapshot ({MAGIC!r}), found {len(data)} bytes from {data[:8]!r}")
    body = memoryview(data)[:-_DIGEST_SIZE]
    found, expected = hashlib.blake2b(body, digest_size=_DIGEST_SIZE).digest(), data[-_DIGEST_SIZE:]
    if found != expected:
        raise SnapshotError(
            f"{path}: damaged or cut short: its {len(body)} bytes hash to {found.hex()[:16]}, expected "
            f"{expected.hex()[:16]}; an older snapshot and the journal give the same state"
        )
    _, schema, _, sequence, length, digest = _HEADER.unpack_from(data)
    directory = json.loads(bytes(body[_HEADER.size : _HEADER.size + length]))
    regions: Regions = {}
    offset = _HEADER.size + length
    for entry in directory["regions"]:
        dtype = dtype_from_json(entry["dtype"])
        size = entry["used"] * dtype.itemsize
        # bytes, not records: copying records leaves their padding undefined, and padding is hashed
        regions[entry["name"]] = np.frombuffer(body, np.uint8, size, offset).copy().view(dtype)
        offset += size
    return Snapshot(path, schema, sequence, dict(directory["starts"]), digest, regions)


def migrate(snapshot: Snapshot, schema: int = STATE_SCHEMA) -> Regions:
    """The snapshot's regions in the layout of a schema version.

    Raises
    ------
    SnapshotError
        The snapshot is newer, too old, or a step is not registered.
    """
    where, regions = snapshot.path, snapshot.regions
    if not schema - KEPT_SCHEMAS <= snapshot.schema <= schema:
        raise SnapshotError(
            f"{where}: state schema {snapshot.schema}; this nanotick reads {max(1, schema - KEPT_SCHEMAS)} to {schema}"
        )
    for version in range(snapshot.schema, schema):
        if version not in MIGRATIONS:
            raise SnapshotError(f"{where}: state schema {version} has no migration to {version + 1}")
        regions = MIGRATIONS[version](regions)
    return regions


def read_snapshot(arena: Arena, path: Path, schema: int = STATE_SCHEMA) -> int:
    """Load a snapshot into an arena whose regions have been reserved. The arena is untouched when it does not fit.

    Returns
    -------
    int
        The journal sequence after which the snapshot was taken.

    Raises
    ------
    SnapshotError
        The file is damaged, of an unknown schema, or a region is missing, differs in layout or is too small.
    """
    snapshot = load_snapshot(path)
    regions = migrate(snapshot, schema)
    targets = {r.name: r for r in arena.state_regions}
    if targets.keys() != regions.keys():
        odd = sorted(targets.keys() ^ regions.keys())
        raise SnapshotError(f"{path}: regions {odd} are on one side only; the engine must be built as it was then")
    for name, records in regions.items():
        region, found = targets[name], layout_name(records.dtype)
        if found != layout_name(region.dtype):
            raise SnapshotError(f"{path}: region {name!r} has layout {found}, expected {layout_name(region.dtype)}")
        if len(records) > region.count or (len(records) < region.count and not region.counter):
            raise SnapshotError(f"{path}: region {name!r} holds {len(records)} records, room is for {region.count}")
    if snapshot.schema == schema and state_digest(regions.items()) != snapshot.digest:
        raise SnapshotError(f"{path}: its state does not hash to the digest it carries")
    moves = sorted((start, arena[name].address - start) for name, start in snapshot.starts.items() if name in arena)
    starts, shifts = (np.array(column, np.int64) for column in zip(*moves, strict=True))
    for name, records in regions.items():
        region = targets[name]
        for field in volatile_fields(region.dtype):
            if field.endswith("_function"):
                records[field] = region.view[: len(records)][field]
            else:
                # regions are aligned by address, so each has its own distance between the two arenas
                shift = shifts[np.searchsorted(starts, records[field], side="right") - 1]
                records[field] = np.where(records[field] != 0, records[field] + shift, 0)
        region.view[: len(records)] = records
        # what an earlier run left behind the part in use would come to light as the pool grows
        arena.clear_unused(region, len(records))
    return snapshot.sequence


@dataclass(frozen=True)
class Restored:
    """Where a restored state stands.

    Attributes
    ----------
    sequence : int
        Journal record after which it was taken; step on from the next. 0: no snapshot, start from the beginning.
    path : Path or None
    rejected : list of str
        Why newer snapshots were passed over.
    """

    sequence: int
    path: Path | None
    rejected: list[str]


class SnapshotStore:
    """A directory of the newest snapshots.

    Parameters
    ----------
    directory : Path
        Made if need be.
    keep : int
        How many to keep; at least 2, so that damage to the newest costs only a longer replay.
    """

    def __init__(self, directory: Path, keep: int = 3) -> None:
        if keep < 2:
            raise ValueError(f"{directory}: at least 2 snapshots must be kept, found {keep}")
        self.directory = directory
        self.keep = keep
        directory.mkdir(parents=True, exist_ok=True)

    def paths(self) -> list[Path]:
        """The snapshots, oldest first."""
        return sorted(path for path in self.directory.glob(f"*{SUFFIX}") if path.stem.isdigit())

    def save(self, arena: Arena, sequence: int, synced_sequence: int) -> Path:
        """Write a snapshot and drop the oldest beyond `keep`.

        Parameters
        ----------
        synced_sequence : int
            Last durable journal record: a snapshot must not be ahead of the journal it continues.

        Raises
        ------
        SnapshotError
            The journal has not been synced up to `sequence`.
        """
        if sequence > synced_sequence:
            raise SnapshotError(
                f"{self.directory}: state after record {sequence} while the journal is durable up to "
                f"{synced_sequence}; call Journal.sync() first"
            )
        path = self.directory / f"{sequence:020d}{SUFFIX}"
        write_snapshot(arena, path, sequence)
        crash_point("snapshot.kept")
        for old in self.paths()[: -self.keep]:
            old.unlink()
        for leftover in sorted(self.directory.glob("*.tmp")):
            leftover.unlink()
        return path

    def restore(self, arena: Arena, last_sequence: int) -> Restored:
        """Load the newest snapshot that is whole, fits, and is not ahead of the journal's last record."""
        rejected: list[str] = []
        for path in reversed(self.paths()):
            if int(path.stem) > last_sequence:
                rejected.append(f"{path}: ahead of the journal, which ends with record {last_sequence}")
                continue
            try:
                return Restored(read_snapshot(arena, path), path, rejected)
            except (SnapshotError, OSError) as error:
                rejected.append(str(error))
        return Restored(0, None, rejected)
