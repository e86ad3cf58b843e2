"""The living market in motion: what is due next, and doing everything due up to a time.

`world_next` and `world_step` are all a runner needs. Nothing depends on how time is sliced: an agent's randomness is
its own key and counter, ties go to the lower number, and a step ends between two wakes.
"""

from __future__ import annotations

from nanotick.core.kernel import kernel
from nanotick.core.memory import call2
from nanotick.exchange.agents.callers import caller_goes_on
from nanotick.exchange.agents.environment import environment_step
from nanotick.exchange.agents.flow import flow_decides, flow_goes_on, flow_hears_trade, flow_opens
from nanotick.exchange.agents.orders import deliver, hear_reports
from nanotick.exchange.agents.records import (
    AUCTION,
    ENVIRONMENT,
    EXECUTION,
    FLOW,
    STATUS_CLOCK,
    agent_at,
    environment_at,
    link_at,
    world_at,
)
from nanotick.exchange.agents.schedule import due, earliest, schedule
from nanotick.exchange.agents.traders import execution_waits, sleep, trader_decides, trader_goes_on
from nanotick.exchange.market import exchange_at

FEED_ROOM = 4_096  # rows that one wake may write: with less room the step ends


@kernel
def decide(world: int, number: int, now: int) -> None:
    """An agent acts: it pends commands, or it moves the latent world."""
    kind = agent_at(world_at(world).agents_address, number).kind
    if kind == FLOW:
        flow_decides(world, number, now)
    elif kind == ENVIRONMENT:
        environment_step(world, number, now)
    else:
        trader_decides(world, number, now)


@kernel
def go_on(world: int, number: int, now: int) -> None:
    """Set an agent's next time, its commands having arrived."""
    root = world_at(world)
    kind = agent_at(root.agents_address, number).kind
    if kind == FLOW:
        flow_goes_on(world, number, now)
    elif kind == ENVIRONMENT:
        schedule(world, number, now + environment_at(root.environment_address).step_ns)
    else:
        trader_goes_on(world, number, now)


@kernel
def hear_trade(world: int, now: int) -> None:
    """If somebody else than the flow has taken liquidity, the flow hears of it."""
    root = world_at(world)
    if root.taker != 0:
        instrument = root.taker - 1
        root.taker = 0
        flow_hears_trade(world, instrument, root.taker_side, now)


@kernel
def wake(world: int, number: int, now: int) -> None:
    """An agent decides, or what it has decided arrives; both at once for who has no latency."""
    agent = agent_at(world_at(world).agents_address, number)
    if agent.pending == 0:
        decide(world, number, now)
        if agent.pending != 0 and agent.latency_ns > 0:
            schedule(world, number, now + agent.latency_ns)
            return
    deliver(world, number, now)
    hear_trade(world, now)
    go_on(world, number, now)


@kernel
def venues_due(world: int) -> int:
    """When the first exchange has something of its own to do (expiries, auctions), ns UTC."""
    root = world_at(world)
    first = 1 << 62
    for venue in range(root.venues):
        first = min(first, exchange_at(link_at(root.links_address, venue).exchange_address).next_deadline)
    return first


@kernel
def venues_have_room(world: int) -> bool:
    """Whether every feed can take what one wake may write."""
    root = world_at(world)
    for venue in range(root.venues):
        exchange = exchange_at(link_at(root.links_address, venue).exchange_address)
        if exchange.feed_mask + 1 - (exchange.feed_end - exchange.feed_first) < FEED_ROOM:
            return False
        if root.outsiders != 0:
            if exchange.report_mask + 1 - (exchange.report_end - exchange.report_first) < FEED_ROOM:
                return False
    return True


@kernel
def hear_outsiders(world: int, now: int) -> None:
    """Book what others have done to the agents' orders since the last step."""
    root = world_at(world)
    for venue in range(root.venues):
        hear_reports(world, venue)
        hear_trade(world, now)


@kernel
def world_due(world: int) -> int:
    """Time of the next thing, ns UTC."""
    return min(due(world, earliest(world)), venues_due(world))


@kernel("i8(i8)")
def world_next(world: int) -> int:
    """Time of the next thing that happens in the world, ns UTC."""
    return world_due(world)


@kernel("i8(i8,i8,i8)")
def world_step(world: int, until: int, most: int) -> int:
    """Do everything due up to a time, in order.

    Parameters
    ----------
    world : int
        Address of the world's root.
    until : int
        ns UTC, included.
    most : int
        Wakes to stop after.

    Returns
    -------
    int
        Wakes done. Fewer than asked for, with `world_next` still due: a feed needs draining, or the status is not OK.
    """
    root = world_at(world)
    done = 0
    if root.outsiders != 0:
        hear_outsiders(world, root.now)
    while done < most and root.status == 0:
        number = earliest(world)
        now = due(world, number)
        deadline = venues_due(world)
        if min(now, deadline) > until or not venues_have_room(world):
            break
        if deadline <= now:
            root.now = deadline
            for venue in range(root.venues):
                link = link_at(root.links_address, venue)
                if exchange_at(link.exchange_address).next_deadline <= deadline:
                    call2(link.clock_function, link.exchange_address, deadline)
            hear_outsiders(world, deadline)
            done += 1
            continue
        if now < root.now:
            root.status |= STATUS_CLOCK
            break
        root.now = now
        wake(world, number, now)
        done += 1
    root.wakes += done
    return done


@kernel("i8(i8)")
def world_open(world: int) -> int:
    """Open the market: the books' first orders, everybody's first time.

    Returns
    -------
    int
        The world's status.
    """
    root = world_at(world)
    now = root.now
    for number in range(root.agents):
        agent = agent_at(root.agents_address, number)
        if agent.kind == ENVIRONMENT:
            environment_step(world, number, now)
            schedule(world, number, now + environment_at(root.environment_address).step_ns)
    for number in range(root.agents):
        agent = agent_at(root.agents_address, number)
        if agent.kind == FLOW:
            flow_opens(world, number, now)
    for number in range(root.agents):
        agent = agent_at(root.agents_address, number)
        if agent.kind == EXECUTION:
            execution_waits(world, number, now)
        elif agent.kind == AUCTION:
            caller_goes_on(world, number, now)
        elif agent.kind != FLOW and agent.kind != ENVIRONMENT:
            sleep(world, number, now)
    return root.status
