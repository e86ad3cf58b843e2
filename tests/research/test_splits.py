"""Nothing of the test set is learned from; every observation is tested as often as promised."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.research.splits import (
    backtest_paths,
    combinatorial_purged,
    cut_times,
    purged_k_fold,
    sessions_of,
    walk_forward_windows,
)

HOUR = 3_600_000_000_000


@st.composite
def observations(draw):
    count = draw(st.integers(12, 60))
    starts = np.cumsum(draw(st.lists(st.integers(0, 5), min_size=count, max_size=count)))
    lengths = draw(st.lists(st.integers(0, 12), min_size=count, max_size=count))
    return starts.astype(np.int64), (starts + np.array(lengths)).astype(np.int64)


@given(observations(), st.integers(3, 6), st.integers(1, 2), st.integers(0, 8))
def test_no_training_observation_overlaps_a_test_or_follows_it_closely(times, groups, tested, embargo):
    starts, ends = times
    parts = np.array_split(np.arange(len(starts)), groups)
    for split in combinatorial_purged(starts, ends, groups, tested, embargo):
        assert not set(split.train) & set(split.test)
        np.testing.assert_array_equal(split.test, np.concatenate([parts[g] for g in split.groups]))
        for i in split.train:
            for group in split.groups:
                first, last = starts[parts[group][0]], ends[parts[group]].max()
                assert ends[i] < first or starts[i] > last + embargo
        # and nothing else is left out
        blocks = [parts[g] for g in split.groups]
        for i in set(range(len(starts))) - set(split.train) - set(split.test):
            assert any(ends[i] >= starts[b[0]] and starts[i] <= ends[b].max() + embargo for b in blocks)


def test_every_group_is_tested_in_every_path_once():
    splits = list(combinatorial_purged(np.arange(60), np.arange(60), 6, 2))
    paths = backtest_paths(6, 2)
    assert (len(splits), len(paths)) == (15, 5)
    used = [(split, group) for path in paths for group, split in enumerate(path)]
    assert len(set(used)) == len(used) == 15 * 2
    for split, group in used:
        assert group in splits[split].groups
    assert len(backtest_paths(10, 3)) == math.comb(10, 3) * 3 // 10


def test_k_fold_is_the_case_of_one_group():
    starts = np.arange(0, 100, 10)
    splits = list(purged_k_fold(starts, starts + 15, 5, embargo=10))
    assert [s.test.tolist() for s in splits] == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    # 20 to 45 is tested: 10 to 25 overlaps, 40 overlaps, 50 is within the embargo; 60 is not
    assert splits[1].train.tolist() == [0, 6, 7, 8, 9]


def test_bad_observations_are_refused():
    with pytest.raises(ValueError, match="not decrease"):
        list(purged_k_fold(np.array([2, 1, 3]), np.array([3, 3, 3]), 2))
    with pytest.raises(ValueError, match="test groups"):
        list(combinatorial_purged(np.arange(4), np.arange(4), 5, 2))


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(2, 9)), min_size=1, max_size=12), st.integers(1, 6),
    st.integers(1, 4), st.booleans(),
)  # fmt: skip
def test_walk_forward_never_looks_ahead_and_tests_everything_after_the_first_pieces(days, folds, train, anchored):
    sessions, at = [], 0
    for length, night in days:
        sessions.append((at, at + length * HOUR))
        at += (length + night) * HOUR
    windows = walk_forward_windows(sessions, folds, train, anchored)
    assert len(windows) == folds
    for window in windows:
        assert window.train_start < window.train_end <= window.test_start < window.test_end
        assert not anchored or window.train_start == 0
    for before, after in itertools.pairwise(windows):
        assert before.test_end <= after.test_start
    assert windows[-1].test_end == sessions[-1][1] + 1


def test_purge_and_embargo_leave_a_gap():
    [window] = walk_forward_windows([(0, 9 * HOUR - 1)], folds=1, train=2, purge_ns=HOUR, embargo_ns=HOUR // 2)
    assert (window.train_start, window.train_end) == (0, 5 * HOUR)
    assert (window.test_start, window.test_end) == (6 * HOUR + HOUR // 2, 9 * HOUR)
    with pytest.raises(ValueError, match="leave nothing"):
        walk_forward_windows([(0, 9 * HOUR)], folds=1, train=2, purge_ns=7 * HOUR)


def test_whole_sessions_are_kept_together_when_there_are_enough():
    sessions = [(24 * HOUR * day, 24 * HOUR * day + 6 * HOUR) for day in range(6)]
    assert cut_times(sessions, 3) == [(sessions[a][0], sessions[b][1] + 1) for a, b in ((0, 1), (2, 3), (4, 5))]


def test_sessions_end_where_data_pauses():
    ts = np.array([0, 1, 2, 3 * HOUR, 3 * HOUR + 5])
    assert sessions_of(ts) == [(0, 2), (3 * HOUR, 3 * HOUR + 5)]
