"""The tournament tree always knows the earliest agent, ties going to the lower number."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nanotick.exchange.agents import records
from nanotick.exchange.agents.schedule import due, earliest, schedule


def tree(agents):
    """A world that has nothing but a schedule."""
    leaves = 1 << max(1, (agents - 1).bit_length())
    root = np.zeros(1, records.WORLD)
    times, winners = np.full(leaves, records.NEVER), np.zeros(2 * leaves, np.int32)
    winners[leaves:] = np.arange(leaves)
    for node in range(leaves - 1, 0, -1):
        winners[node] = winners[2 * node]
    root["leaves"], root["times_address"], root["winners_address"] = leaves, times.ctypes.data, winners.ctypes.data
    return root, times, winners


@given(st.integers(1, 70), st.lists(st.tuples(st.integers(0, 69), st.integers(0, 12)), max_size=200))
def test_the_earliest_is_the_least_time_of_the_lowest_number(agents, changes) -> None:
    root, times, _winners = tree(agents)
    world = root.ctypes.data
    expected = {}
    for number, time in changes:
        number %= agents
        schedule(world, number, time)
        expected[number] = time
        best = min(expected.items(), key=lambda item: (item[1], item[0]))
        assert earliest(world) == best[0]
        assert due(world, best[0]) == best[1] == times.min()
