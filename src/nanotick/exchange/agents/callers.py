"""Auction traders: orders for the opening, the closing and volatility auctions.

While an auction collects orders, each trader sends them at its own rate: at-the-open orders before the opening, limit
orders in a volatility auction. From `close_ns` before the close on at-the-close orders wait at the exchange until the
closing auction. Some have no limit; the others' limits lie about the fundamental, so that demand falls and supply rises
with the price and their crossing is where the value is (Mendelson 1982). What an auction does not execute the exchange
cancels, but for the limit orders of a volatility auction, which stay in the book.
"""

from __future__ import annotations

from typing import Any

from nanotick.core.kernel import kernel
from nanotick.core.records import Kind, OrderType, TimeInForce
from nanotick.exchange.agents.orders import draw_lots, hold_cell, market_phase, pend, take_cell
from nanotick.exchange.agents.records import NEVER, agent_at, caller_at, environment_at, state_at, world_at
from nanotick.exchange.agents.schedule import schedule
from nanotick.exchange.draws import exponential, normal, uniform
from nanotick.exchange.market import Phase

_NEW = int(Kind.NEW)
_MARKET_ORDER = int(OrderType.MARKET)
_DAY, _AT_OPEN, _AT_CLOSE = int(TimeInForce.DAY), int(TimeInForce.AT_OPEN), int(TimeInForce.AT_CLOSE)
_CONTINUOUS, _HALTED, _CLOSED = int(Phase.CONTINUOUS), int(Phase.HALTED), int(Phase.CLOSED)
_PRE_OPEN, _OPENING = int(Phase.PRE_OPEN), int(Phase.OPENING_AUCTION)
_VOLATILITY, _CLOSING = int(Phase.VOLATILITY_AUCTION), int(Phase.CLOSING_AUCTION)
_LOOK_NS = 10_000_000_000  # between two looks for an auction during continuous trading


@kernel
def call_time_in_force(world: int, agent: Any, now: int) -> int:
    """The time in force of an order that would now go into an auction, -1 when there is none to come."""
    phase = market_phase(world, agent)
    if phase == _PRE_OPEN or phase == _OPENING:
        return _AT_OPEN
    if phase == _VOLATILITY:
        return _DAY
    if phase == _CLOSING:
        return _AT_CLOSE
    if phase == _CONTINUOUS:
        root = world_at(world)
        before = caller_at(root.callers_address, agent.index).close_ns
        if before > 0 and now >= environment_at(root.environment_address).end - before:
            return _AT_CLOSE
    return -1


@kernel
def caller_decides(world: int, number: int, now: int) -> None:
    """An order for the auction that collects them, if one does."""
    root = world_at(world)
    agent = agent_at(root.agents_address, number)
    caller = caller_at(root.callers_address, agent.index)
    state = state_at(root.states_address, agent.instrument)
    tif = call_time_in_force(world, agent, now)
    if tif < 0:
        return
    side = 1 if uniform(agent.key, agent.counter) < 0.5 else -1
    bare = uniform(agent.key, agent.counter + 1) < caller.market
    limit = state.value / state.tick + caller.noise * normal(agent.key, agent.counter + 2)
    agent.counter += 4
    qty = draw_lots(world, agent, caller.sizes) * state.lot
    cell = take_cell(world, agent, side)
    if cell < 0:
        root.dropped += 1
        return
    if bare and tif != _DAY:
        hold_cell(world, agent, cell, side, 0, qty, 0)
        command = pend(world, number, _NEW, cell, side, 0, qty, tif)
        command.order_type = _MARKET_ORDER
        return
    price = max(1, int(limit)) * state.tick
    hold_cell(world, agent, cell, side, price, qty, 0)
    pend(world, number, _NEW, cell, side, price, qty, tif)


@kernel
def caller_goes_on(world: int, number: int, now: int) -> None:
    """Set the next order, or the next look for an auction."""
    root = world_at(world)
    agent = agent_at(root.agents_address, number)
    caller = caller_at(root.callers_address, agent.index)
    phase = market_phase(world, agent)
    if phase == _CLOSED and now >= environment_at(root.environment_address).end:
        schedule(world, number, NEVER)
        return
    rate = caller.rate
    if phase == _CONTINUOUS:
        rate = caller.close_rate
    if phase == _HALTED or rate <= 0.0 or call_time_in_force(world, agent, now) < 0:
        schedule(world, number, now + _LOOK_NS)
        return
    wait = exponential(agent.key, agent.counter) / rate
    agent.counter += 1
    schedule(world, number, now + 1 + int(min(wait, 1e8) * 1e9))
