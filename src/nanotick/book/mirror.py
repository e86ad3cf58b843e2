"""Bring one book store level with another of the same layout by copying what is in use.

Two stores that were fed the same events in the same order are equal byte for byte, addresses aside. Where one of them
lags far behind, copying the other's memory is cheaper than applying what it has missed; the result is the same.

    mirror ── pieces[..]   from, to, record size, and where the number of records in use is counted
"""

from __future__ import annotations

import numpy as np

from nanotick.book.records import store_at
from nanotick.book.store import BookStore
from nanotick.core.arena import Arena, Region, volatile_fields
from nanotick.core.kernel import kernel
from nanotick.core.memory import copy_bytes, load_i64, record_at

MIRROR = np.dtype(
    [
        ("source_address", "<i8"),  # STORE
        ("target_address", "<i8"),
        ("pieces_address", "<i8"),
        ("level_pieces", "<i8"),  # what price levels use comes first
        ("pieces", "<i8"),
    ]
)
MIRROR_PIECE = np.dtype(
    [
        ("source_address", "<i8"),
        ("target_address", "<i8"),
        ("counter_address", "<i8"),  # of the source: int64, records in use
        ("fixed", "<i8"),  # bytes; 0: as many records as are counted
        ("record_size", "<i8"),
    ]
)
mirror_at = record_at(MIRROR, "BookMirror")
piece_at = record_at(MIRROR_PIECE, "MirrorPiece")

_LEVEL_PARTS = ("store", "books", "sides", "leaves", "cells", "links", "nodes")


def lay_mirror(arena: Arena, name: str, source: BookStore, target: BookStore) -> Region:
    """Lay the plan by which `target` can be made equal to `source`.

    Parameters
    ----------
    arena : Arena
        Where both stores lie.
    name : str
        Of the region of the MIRROR record that `mirror_bytes` and `mirror` take.
    source, target : BookStore
        Of equal capacities.

    Raises
    ------
    ValueError
        The stores differ in layout.
    """
    parts = [p for p in source.regions if not source.regions[p].transient]
    parts.sort(key=lambda p: p not in _LEVEL_PARTS)  # stable: the order in which they were laid otherwise
    rows: list[tuple[int, int, int, int, int]] = []
    level_pieces = 0
    for part in parts:
        ours, theirs = source.regions[part], target.regions.get(part)
        if theirs is None or theirs.dtype != ours.dtype or theirs.count != ours.count:
            raise ValueError(f"{name}: expected equal stores, but {part!r} of {source.name} and {target.name} differ")
        size = ours.dtype.itemsize
        if ours.counter:
            rows.append((ours.address, theirs.address, arena.address + ours.counter, 0, size))
        else:
            for start, end in _plain_runs(ours.dtype, ours.count):
                rows.append((ours.address + start, theirs.address + start, 0, end - start, size))
        if part in _LEVEL_PARTS:
            level_pieces = len(rows)
    pieces = arena.region(f"{name}.pieces", MIRROR_PIECE, len(rows))
    region = arena.region(name, MIRROR, 1)
    for row, values in zip(pieces.view, rows, strict=True):
        for field, value in zip(MIRROR_PIECE.names or (), values, strict=True):
            row[field] = value
    root = region.view[0]
    root["source_address"], root["target_address"] = source.address, target.address
    root["pieces_address"], root["level_pieces"], root["pieces"] = pieces.address, level_pieces, len(rows)
    return region


def _plain_runs(dtype: np.dtype[np.void], count: int) -> list[tuple[int, int]]:
    """Stretches of bytes of such records between their addresses, which stay each store's own."""
    if not volatile_fields(dtype):
        return [(0, dtype.itemsize * count)]
    assert dtype.fields is not None
    runs = []
    for number in range(count):
        start = number * dtype.itemsize
        for field in volatile_fields(dtype):
            at = number * dtype.itemsize + dtype.fields[field][1]
            if at > start:
                runs.append((start, at))
            start = at + 8
        if (number + 1) * dtype.itemsize > start:
            runs.append((start, (number + 1) * dtype.itemsize))
    return runs


@kernel
def _piece_count(mirror_address: int) -> int:
    mirror = mirror_at(mirror_address)
    if store_at(mirror.source_address).order_next == 1:
        return mirror.level_pieces  # no order was ever known by itself: the rest is as it was laid, in both
    return mirror.pieces


@kernel
def _piece_bytes(mirror_address: int, number: int) -> int:
    piece = piece_at(mirror_at(mirror_address).pieces_address, number)
    if piece.fixed != 0:
        return piece.fixed
    return load_i64(piece.counter_address) * piece.record_size


@kernel
def mirror_bytes(mirror_address: int) -> int:
    """How many bytes `copy_books` would copy now."""
    total = 0
    for number in range(_piece_count(mirror_address)):
        total += _piece_bytes(mirror_address, number)
    return total


@kernel
def copy_books(mirror_address: int) -> None:
    """Make the target equal to the source."""
    for number in range(_piece_count(mirror_address)):
        piece = piece_at(mirror_at(mirror_address).pieces_address, number)
        copy_bytes(piece.target_address, piece.source_address, _piece_bytes(mirror_address, number))
