"""Splits of time into what is learned from and what is tested on, without leaks between the two.

An observation begins at one time and its outcome is known at a later one. *Purging* takes out of the training set
whatever overlaps the test set; the *embargo* takes out what follows the test set closely, because serial correlation
carries over. Sources: M. Lopez de Prado, "Advances in Financial Machine Learning" (2018), chapters 7 and 12.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
SESSION_GAP_NS = 3_600_000_000_000  # an hour without data ends a session


@dataclass(frozen=True)
class Split:
    """One division of the observations.

    Attributes
    ----------
    train, test : numpy.ndarray
        Indices, ascending.
    groups : tuple of int
        Numbers of the groups in the test set.
    """

    train: Ints
    test: Ints
    groups: tuple[int, ...]


def _spans(starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
    starts, ends = np.asarray(starts, np.int64), np.asarray(ends, np.int64)
    if starts.shape != ends.shape or starts.ndim != 1:
        raise ValueError(f"starts and ends: expected two series of one length, found {starts.shape} and {ends.shape}")
    if (np.diff(starts) < 0).any() or (ends < starts).any():
        raise ValueError("starts must not decrease, and no observation may end before it starts")
    return starts, ends


def _train(starts: Ints, ends: Ints, tests: Sequence[Ints], embargo: int) -> Ints:
    """Everything that neither overlaps a block of the test set nor starts within the embargo after it."""
    kept = np.ones(len(starts), bool)
    for block in tests:
        first, last = int(starts[block[0]]), int(ends[block].max())
        kept &= (ends < first) | (starts > last + embargo)
        kept[block] = False
    return np.flatnonzero(kept)


def combinatorial_purged(
    starts: Ints, ends: Ints, groups: int = 6, test_groups: int = 2, embargo: int = 0
) -> Iterator[Split]:
    """Combinatorial purged cross-validation: every choice of `test_groups` of the groups of time as the test set.

    Parameters
    ----------
    starts, ends : numpy.ndarray
        When each observation begins and when its outcome is known, ns or any other unit, shape (n,).
    groups, test_groups : int
        N and k; there are N choose k splits.
    embargo : int
        Same unit as the times; training observations that begin so soon after the test set are left out.

    References
    ----------
    Lopez de Prado (2018), section 12.4.
    """
    starts, ends = _spans(starts, ends)
    if not 1 <= test_groups < groups <= len(starts):
        raise ValueError(
            f"expected 1 <= test groups < groups <= observations, found {test_groups}, {groups}, {len(starts)}"
        )
    parts = np.array_split(np.arange(len(starts)), groups)
    for chosen in itertools.combinations(range(groups), test_groups):
        # neighbouring groups are one block: nothing is purged between them
        blocks: list[Ints] = []
        for number in chosen:
            if blocks and parts[number][0] == blocks[-1][-1] + 1:
                blocks[-1] = np.concatenate([blocks[-1], parts[number]])
            else:
                blocks.append(parts[number])
        yield Split(_train(starts, ends, blocks, embargo), np.concatenate(blocks), chosen)


def purged_k_fold(starts: Ints, ends: Ints, folds: int = 5, embargo: int = 0) -> Iterator[Split]:
    """K-fold cross-validation in order of time, purged and embargoed (Lopez de Prado 2018, section 7.4)."""
    return combinatorial_purged(starts, ends, folds, 1, embargo)


def backtest_paths(groups: int, test_groups: int) -> list[tuple[int, ...]]:
    """How the test sets of `combinatorial_purged` join to whole paths.

    Returns
    -------
    list of tuple of int
        One entry a path: for each group the number of the split its outcome is taken from. There are
        k/N times (N choose k) paths, and every tested group of every split is in exactly one.
    """
    found: list[list[int]] = [[] for _ in range(groups)]
    for number, chosen in enumerate(itertools.combinations(range(groups), test_groups)):
        for group in chosen:
            found[group].append(number)
    paths = math.comb(groups, test_groups) * test_groups // groups
    return [tuple(found[group][path] for group in range(groups)) for path in range(paths)]


@dataclass(frozen=True)
class Window:
    """What one step of a walk-forward chooses in and is tested on, ns UTC; ends are exclusive."""

    train_start: int
    train_end: int
    test_start: int
    test_end: int


def sessions_of(ts: Ints, gap_ns: int = SESSION_GAP_NS) -> list[tuple[int, int]]:
    """First and last time of each stretch of data without a gap; `ts` ascending, ns UTC."""
    cuts = np.flatnonzero(np.diff(ts) > gap_ns)
    first = np.concatenate([[0], cuts + 1])
    last = np.concatenate([cuts, [len(ts) - 1]])
    return [(int(ts[a]), int(ts[b])) for a, b in zip(first.tolist(), last.tolist(), strict=True)]


def cut_times(sessions: Sequence[tuple[int, int]], pieces: int) -> list[tuple[int, int]]:
    """Equal pieces of trading time as (start, end), end exclusive: whole sessions when there are enough of them."""
    if pieces < 1:
        raise ValueError(f"expected one piece or more, found {pieces}")
    if len(sessions) >= pieces:
        parts = np.array_split(np.arange(len(sessions)), pieces)
        return [(sessions[int(p[0])][0], sessions[int(p[-1])][1] + 1) for p in parts]
    lengths = np.array([end - start + 1 for start, end in sessions], np.int64)
    reach = np.concatenate([[0], np.cumsum(lengths)])
    cuts: list[tuple[int, int]] = []
    for piece in range(pieces):
        low = int(reach[-1]) * piece // pieces
        high = int(reach[-1]) * (piece + 1) // pieces
        a = int(np.searchsorted(reach, low, "right")) - 1
        b = int(np.searchsorted(reach, high, "left")) - 1
        cuts.append((sessions[a][0] + low - int(reach[a]), sessions[b][0] + high - int(reach[b])))
    return cuts


def walk_forward_windows(
    sessions: Sequence[tuple[int, int]],
    folds: int = 5,
    train: int = 2,
    anchored: bool = False,
    purge_ns: int = 0,
    embargo_ns: int = 0,
) -> list[Window]:
    """Steps of a walk-forward over data with these sessions.

    The data is cut into `train + folds` equal pieces. Step i is tested on piece `train + i` and chooses in the `train`
    pieces before it, or in all of them when `anchored`.

    Parameters
    ----------
    purge_ns : int
        Left out at the end of what is chosen in: as long as a position may be held.
    embargo_ns : int
        Left out at the start of each test as well, so that nothing the choice has seen is still at work.

    Raises
    ------
    ValueError
        Nothing would be left of a piece.
    """
    if folds < 1 or train < 1:
        raise ValueError(f"expected one fold and one training piece or more, found {folds} and {train}")
    pieces = cut_times(sessions, train + folds)
    windows = []
    for fold in range(folds):
        first = 0 if anchored else fold
        begin, end = pieces[first][0], pieces[train + fold - 1][1] - purge_ns
        test_begin, test_end = pieces[train + fold]
        if end <= begin or test_begin + embargo_ns >= test_end:
            raise ValueError(
                f"step {fold + 1}: a purge of {purge_ns / 1e9:g} s and an embargo of {embargo_ns / 1e9:g} s leave "
                "nothing of its pieces; take fewer folds, more data, or shorter ones"
            )
        windows.append(Window(begin, end, test_begin + embargo_ns, test_end))
    return windows
