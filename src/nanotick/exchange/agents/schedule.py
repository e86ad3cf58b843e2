"""Who acts next: a tournament tree over the agents' next times.

Every agent has exactly one next time, so a heap's insertions and removals are not needed: changing one time replays the
matches on the path to the root, at most log2(agents) of them, and the root is the winner (Knuth 1998, 5.4.1).
Equal times are won by the lower number: the order never depends on history.

    winners[1] the earliest of all; winners[i] the earlier of winners[2i] and winners[2i + 1]; winners[leaves + k] = k
"""

from __future__ import annotations

from nanotick.core.kernel import kernel
from nanotick.core.memory import load_i32, load_i64, store_i32, store_i64
from nanotick.exchange.agents.records import world_at


@kernel
def earliest(world: int) -> int:
    """Number of the agent whose time comes first."""
    return load_i32(world_at(world).winners_address + 4)


@kernel
def due(world: int, number: int) -> int:
    """An agent's next time, ns UTC."""
    return load_i64(world_at(world).times_address + 8 * number)


@kernel
def schedule(world: int, number: int, time: int) -> None:
    """Set an agent's next time, ns UTC."""
    root = world_at(world)
    times = root.times_address
    winners = root.winners_address
    store_i64(times + 8 * number, time)
    node = (number + root.leaves) >> 1
    while node != 0:
        left = load_i32(winners + 8 * node)
        right = load_i32(winners + 8 * node + 4)
        winner = left
        if load_i64(times + 8 * right) < load_i64(times + 8 * left):
            winner = right
        if load_i32(winners + 4 * node) == winner and winner != number:
            break  # the agent has not won here before or now: nothing above changes
        store_i32(winners + 4 * node, winner)
        node >>= 1
