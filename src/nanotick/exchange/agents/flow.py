"""Anonymous order flow of one instrument: zero intelligence, excited by what happens.

The base is the Markovian order book of Cont, Stoikov & Talreja (2010): on either side limit orders arrive at a distance
of i ticks from the opposite best price at rate lambda(i), market orders at rate mu, and every resting order is
cancelled at rate theta(i) of its present distance. On top, every event raises the rates of later ones (see `hawkes`),
and the whole clock runs with the activity of the instrument. With an excitation of zero and an activity of one this is
their model, exactly.

One candidate event is scheduled at a time. Its rate bounds the total from above until it comes, because between the
flow's own events rates only fall: orders leave, excitation fades. Whatever raises a rate in between (trades of others)
draws the candidate anew, which the exponential's lack of memory allows.

Takers look before they take (Farmer et al. 2004): only a share `sweep` of market orders asks for more than the best
price holds, the others are cut to it. Where the spread is wide, a share `inside` of the limit orders that fall inside
it go there, the others queue at the best price or behind.

`lean` above zero lets the side of market orders follow the fundamental value, their number staying the same:
P(buy) = 1/2 + lean/2 * clamp((value - mid) / lean_ticks, -1, 1).
"""

from __future__ import annotations

import math
from typing import Any

from nanotick.book import best_price, best_qty
from nanotick.book.records import EMPTY_ASK, EMPTY_BID
from nanotick.core.kernel import kernel
from nanotick.core.records import Kind, OrderType, TimeInForce
from nanotick.exchange.agents.hawkes import (
    CANCEL,
    LIMIT,
    MARKET,
    excitation_fade,
    excitation_total,
    excite,
    excited_type,
)
from nanotick.exchange.agents.orders import draw_lots, hold_cell, live_cell, market_phase, pend, take_cell
from nanotick.exchange.agents.records import (
    FLOW_RECORD,
    NEVER,
    TRANSIENT_CELL,
    agent_at,
    cell_at,
    flow_at,
    link_at,
    state_at,
    world_at,
)
from nanotick.exchange.agents.schedule import schedule
from nanotick.exchange.draws import exponential, uniform
from nanotick.exchange.market import Phase

_MARKET_ORDER = int(OrderType.MARKET)
_GTC, _IOC = int(TimeInForce.GTC), int(TimeInForce.IOC)
_NEW, _CANCEL = int(Kind.NEW), int(Kind.CANCEL)
_CONTINUOUS = int(Phase.CONTINUOUS)
_FLOW_BYTES = FLOW_RECORD.itemsize


@kernel
def flow_address(world: int, agent: Any) -> int:
    """Where an agent's flow record lies."""
    return world_at(world).flows_address + agent.index * _FLOW_BYTES


@kernel
def base_rate(flow: Any, agent: Any) -> float:
    """Total rate at activity one, without excitation, 1/s."""
    resting = agent.live[0] + agent.live[1]
    return 2.0 * (flow.limit_rate + flow.market_rate) + flow.cancel_rate * resting


@kernel
def schedule_flow(world: int, number: int, now: int) -> None:
    """Draw the next candidate; the excitation must have been brought to `now`."""
    root = world_at(world)
    agent = agent_at(root.agents_address, number)
    address = flow_address(world, agent)
    flow = flow_at(address)
    flow.activity = state_at(root.states_address, agent.instrument).activity
    bound = flow.activity * base_rate(flow, agent)
    if flow.excited != 0:
        bound += excitation_total(address)
    flow.bound = bound
    if bound <= 0.0:
        schedule(world, number, NEVER)
        return
    wait = exponential(agent.key, agent.counter) / bound
    agent.counter += 1
    schedule(world, number, now + 1 + int(min(wait, 1e8) * 1e9))


@kernel
def mid_price(world: int, agent: Any) -> float:
    """Mid of the agent's book, price units; the last known while a side is empty."""
    root = world_at(world)
    book = link_at(root.links_address, agent.venue).book_address
    bid = best_price(book, agent.instrument, 1)
    ask = best_price(book, agent.instrument, -1)
    state = state_at(root.states_address, agent.instrument)
    if bid != EMPTY_BID and ask != EMPTY_ASK:
        state.mid = 0.5 * (bid + ask)
    return state.mid


@kernel
def limit_distance(flow: Any, agent: Any) -> int:
    """Ticks from the opposite best price (alias method, Walker 1977); consumes one number."""
    at = uniform(agent.key, agent.counter) * flow.distances
    agent.counter += 1
    column = min(flow.distances - 1, int(at))
    if at - column < flow.alias_chance[column]:
        return column + 1
    return flow.alias[column] + 1


@kernel
def opposite_best(world: int, agent: Any, side: int) -> int:
    """Best price of the side opposite to `side`; where it is empty, half a tick beyond the last mid."""
    root = world_at(world)
    book = link_at(root.links_address, agent.venue).book_address
    price = best_price(book, agent.instrument, -side)
    if price == EMPTY_BID or price == EMPTY_ASK:
        state = state_at(root.states_address, agent.instrument)
        steps = math.floor(state.mid / state.tick)
        price = steps * state.tick
        if side > 0:
            price += state.tick
    return price


@kernel
def place_limit(world: int, number: int, side: int, now: int) -> None:
    """A limit order arrives."""
    root = world_at(world)
    agent = agent_at(root.agents_address, number)
    flow = flow_at(flow_address(world, agent))
    state = state_at(root.states_address, agent.instrument)
    distance = limit_distance(flow, agent)
    opposite = opposite_best(world, agent, side)
    if flow.inside > 0.0:
        book = link_at(root.links_address, agent.venue).book_address
        own = best_price(book, agent.instrument, side)
        if own != EMPTY_BID and own != EMPTY_ASK:
            spread = (opposite - own) * side // state.tick
            if distance < spread and uniform(agent.key, agent.counter) > flow.inside:
                distance += spread - 1  # joins or queues behind instead of bettering
            agent.counter += 1
    price = opposite - side * distance * state.tick
    lots = draw_lots(world, agent, flow.limit_sizes)
    cell = take_cell(world, agent, side)
    if cell < 0:
        root.dropped += 1
        return
    if price <= 0:
        price = state.tick
    hold_cell(world, agent, cell, side, price, lots * state.lot, 0)
    pend(world, number, _NEW, cell, side, price, lots * state.lot, _GTC)


@kernel
def take_market(world: int, number: int, side: int, now: int) -> None:
    """A market order arrives, if there is continuous trading."""
    root = world_at(world)
    agent = agent_at(root.agents_address, number)
    if market_phase(world, agent) != _CONTINUOUS:
        return
    flow = flow_at(flow_address(world, agent))
    state = state_at(root.states_address, agent.instrument)
    qty = draw_lots(world, agent, flow.market_sizes) * state.lot
    if flow.sweep < 1.0:
        if uniform(agent.key, agent.counter) >= flow.sweep:
            book = link_at(root.links_address, agent.venue).book_address
            qty = max(state.lot, min(qty, best_qty(book, agent.instrument, -side)))
        agent.counter += 1
    command = pend(world, number, _NEW, TRANSIENT_CELL, side, 0, qty, _IOC)
    command.order_type = _MARKET_ORDER


@kernel
def market_side(world: int, agent: Any, flow: Any, draw: float) -> int:
    """Side of a market order, `draw` uniform in 0..1."""
    buy = 0.5
    if flow.lean > 0.0:
        state = state_at(world_at(world).states_address, agent.instrument)
        gap = (state.value - mid_price(world, agent)) / (state.tick * flow.lean_ticks)
        buy = 0.5 + 0.5 * flow.lean * min(1.0, max(-1.0, gap))
    if draw < buy:
        return 1
    return -1


@kernel
def cancel_live(world: int, number: int, side: int, place: int, weighted: bool, now: int) -> bool:
    """Cancel the order at a place of the list of a side; if weighted, with the share of its distance."""
    root = world_at(world)
    agent = agent_at(root.agents_address, number)
    cell = live_cell(world, agent, side, place)
    if weighted:
        flow = flow_at(flow_address(world, agent))
        state = state_at(root.states_address, agent.instrument)
        order = cell_at(root.cells_address, agent.cell_first + cell)
        distance = (opposite_best(world, agent, side) - order.price) * side // state.tick
        distance = max(1, min(flow.distances, distance))
        chance = uniform(agent.key, agent.counter)
        agent.counter += 1
        if chance >= flow.cancel_share[distance - 1]:
            return False
    pend(world, number, _CANCEL, cell, 0, 0, 0, _GTC)
    return True


@kernel
def side_index(side: int) -> int:
    """0 for buying, 1 for selling."""
    return (1 - side) >> 1


@kernel
def flow_event(world: int, number: int, now: int) -> int:
    """What the candidate at `now` turns out to be: the type of the event that happened, -1 for none."""
    root = world_at(world)
    agent = agent_at(root.agents_address, number)
    address = flow_address(world, agent)
    flow = flow_at(address)
    excitation = 0.0
    if flow.excited != 0:
        excitation = excitation_fade(address, now)
    at = uniform(agent.key, agent.counter) * flow.bound
    agent.counter += 1
    limit = flow.activity * flow.limit_rate
    market = flow.activity * flow.market_rate
    if at < 2.0 * limit:
        side = 1 if at < limit else -1
        place_limit(world, number, side, now)
        return 2 * LIMIT + side_index(side)
    at -= 2.0 * limit
    if at < 2.0 * market:
        side = market_side(world, agent, flow, at / (2.0 * market))
        take_market(world, number, side, now)
        return 2 * MARKET + side_index(side)
    at -= 2.0 * market
    resting = agent.live[0] + agent.live[1]
    one = flow.activity * flow.cancel_rate
    if at < one * resting:
        place = min(resting - 1, int(at / one))
        side = 1
        if place >= agent.live[0]:
            place -= agent.live[0]
            side = -1
        if cancel_live(world, number, side, place, True, now):
            return 2 * CANCEL + side_index(side)
        return -1
    at -= one * resting
    if at >= excitation:
        return -1
    kind = excited_type(address, at)
    side = 1 - 2 * (kind & 1)
    if kind >> 1 == LIMIT:
        place_limit(world, number, side, now)
    elif kind >> 1 == MARKET:
        take_market(world, number, side, now)
    else:
        if agent.live[kind & 1] == 0:
            return -1
        place = int(uniform(agent.key, agent.counter) * agent.live[kind & 1])
        agent.counter += 1
        cancel_live(world, number, side, place, False, now)
    return kind


@kernel
def flow_decides(world: int, number: int, now: int) -> None:
    """The flow's candidate has come."""
    agent = agent_at(world_at(world).agents_address, number)
    flow = flow_at(flow_address(world, agent))
    flow.event = -1
    if flow.seeds != 0:
        seed_order(world, number)
    else:
        flow.event = flow_event(world, number, now)


@kernel
def flow_goes_on(world: int, number: int, now: int) -> None:
    """The event has happened: count it, be excited by it, and draw the next candidate."""
    agent = agent_at(world_at(world).agents_address, number)
    address = flow_address(world, agent)
    flow = flow_at(address)
    if flow.seeds != 0:
        return  # the opening goes on at the same time
    if flow.event >= 0:
        flow.counts[flow.event] = flow.counts[flow.event] + 1
        if flow.excited != 0:
            excite(address, flow.event)
    schedule_flow(world, number, now)


@kernel
def flow_hears_trade(world: int, instrument: int, side: int, now: int) -> None:
    """Somebody else has taken liquidity: the flow is excited by it as by a market order of its own."""
    root = world_at(world)
    number = state_at(root.states_address, instrument).flow
    if number < 0:
        return
    address = flow_address(world, agent_at(root.agents_address, number))
    flow = flow_at(address)
    if flow.excited == 0:
        return
    excitation_fade(address, now)
    excite(address, 2 * MARKET + side_index(side))
    schedule_flow(world, number, now)


@kernel
def seed_order(world: int, number: int) -> None:
    """One of the orders that rest at the start: some on each of the first levels around the fundamental, best first."""
    root = world_at(world)
    agent = agent_at(root.agents_address, number)
    flow = flow_at(flow_address(world, agent))
    state = state_at(root.states_address, agent.instrument)
    done = 2 * flow.seed_depth * flow.seed_orders - flow.seeds
    flow.seeds -= 1
    level = done // (2 * flow.seed_orders)
    side = 1 - 2 * (done & 1)
    centre = math.floor(state.value / state.tick) * state.tick
    price = centre - level * state.tick if side > 0 else centre + (level + 1) * state.tick
    qty = draw_lots(world, agent, flow.limit_sizes) * state.lot
    cell = take_cell(world, agent, side)
    if cell >= 0 and price > 0:
        hold_cell(world, agent, cell, side, price, qty, 0)
        pend(world, number, _NEW, cell, side, price, qty, _GTC)


@kernel
def flow_opens(world: int, number: int, now: int) -> None:
    """Trading opens with a book of first orders; nothing excites yet."""
    root = world_at(world)
    agent = agent_at(root.agents_address, number)
    flow = flow_at(flow_address(world, agent))
    state = state_at(root.states_address, agent.instrument)
    state.mid = state.value
    flow.excited_at = now
    flow.seeds = 2 * flow.seed_depth * flow.seed_orders
    schedule(world, number, now)
