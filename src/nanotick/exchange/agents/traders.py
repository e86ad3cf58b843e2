"""Agents with a purpose: market makers, momentum, mean reversion, informed and noise traders, large executions.

Each wakes after exponential times at its own rate (times the activity of its instrument), looks at the book, decides,
and its commands reach the exchange after its latency. None knows more than the book, its own position and, for
those who are informed, the fundamental value.

- *Market maker*: quotes `levels` prices on both sides of a fair price w * value + (1 - w) * mid, leaning against its
  inventory (Ho & Stoll 1981) by `skew` ticks at the position limit; the half spread widens with volatility.
- *Momentum* and *mean reversion*: trade with or against fast minus slow exponential averages of the mid (Chiarella &
  Iori 2002), when the difference passes a threshold.
- *Informed*: takes what is mispriced by more than a threshold against a noisy view of the fundamental (Kyle 1985).
- *Value*: what they have bought or sold is to be `depth` times the square of the mispricing: latent supply that grows
  linearly with the distance from the fundamental, through which a large order moves the price by the square root of its
  size (Toth et al. 2011). Past trades are forgotten: supply comes back (Donier, Bonart, Mastromatteo & Bouchaud 2015).
- *Noise*: a side at random.
- *Execution*: large orders of Pareto size, worked in slices at regular intervals, time-weighted, or of Pareto length,
  following the volume: the splitting that makes order signs remember (Lillo, Mike & Farmer 2005).
"""

from __future__ import annotations

import math
from typing import Any

from nanotick.book import best_price
from nanotick.book.records import EMPTY_ASK, EMPTY_BID
from nanotick.core.kernel import kernel
from nanotick.core.records import Kind, OrderType, TimeInForce
from nanotick.exchange.agents.callers import caller_decides, caller_goes_on
from nanotick.exchange.agents.flow import mid_price
from nanotick.exchange.agents.orders import (
    POST_ONLY,
    draw_lots,
    hold_cell,
    market_address,
    market_phase,
    pend,
    take_cell,
)
from nanotick.exchange.agents.records import (
    AUCTION,
    EXECUTION,
    INFORMED,
    MARKET_MAKER,
    MAX_LEVELS,
    MEAN_REVERSION,
    MOMENTUM,
    TRANSIENT_CELL,
    VALUE,
    agent_at,
    cell_at,
    execution_at,
    link_at,
    maker_at,
    metaorder_at,
    state_at,
    taker_at,
    world_at,
)
from nanotick.exchange.agents.schedule import schedule
from nanotick.exchange.draws import exponential, normal, pareto, uniform
from nanotick.exchange.market import Phase, market_at

_NEW, _CANCEL = int(Kind.NEW), int(Kind.CANCEL)
_GTC, _IOC = int(TimeInForce.GTC), int(TimeInForce.IOC)
_LIMIT = int(OrderType.LIMIT)
_CONTINUOUS = int(Phase.CONTINUOUS)
_MOST = 1 << 50  # quantity of a large order that ends by time
GIVE_UP_NS = 14_400_000_000_000  # a large order that is not done in four hours is given up


@kernel
def sleep(world: int, number: int, now: int) -> None:
    """Set the agent's next decision."""
    root = world_at(world)
    agent = agent_at(root.agents_address, number)
    activity = state_at(root.states_address, agent.instrument).activity
    wait = exponential(agent.key, agent.counter) / (agent.rate * max(activity, 1e-6))
    agent.counter += 1
    schedule(world, number, now + 1 + int(min(wait, 1e8) * 1e9))


# --- market makers --------------------------------------------------------------------------------------------------


@kernel
def quote(world: int, number: int, side: int, level: int, price: int, wanted: bool) -> None:
    """Bring one quote where it is wanted: new, moved, left alone or taken away."""
    root = world_at(world)
    agent = agent_at(root.agents_address, number)
    maker = maker_at(root.makers_address, agent.index)
    place = ((1 - side) >> 1) * MAX_LEVELS + level
    cell = maker.quotes[place] - 1
    if cell < 0:
        if not wanted:
            return
        cell = take_cell(world, agent, side)
        if cell < 0:
            root.dropped += 1
            return
        maker.quotes[place] = cell + 1
        hold_cell(world, agent, cell, side, price, maker.size, place)
        command = pend(world, number, _NEW, cell, side, price, maker.size, _GTC)
        command.flags = POST_ONLY
        return
    order = cell_at(root.cells_address, agent.cell_first + cell)
    if not wanted:
        pend(world, number, _CANCEL, cell, 0, 0, 0, _GTC)
        return
    tick = state_at(root.states_address, agent.instrument).tick
    if abs(order.price - price) > maker.tolerance * tick or order.leaves * 2 < maker.size:
        # a replace could cross and trade; taking the quote away first cannot
        pend(world, number, _CANCEL, cell, 0, 0, 0, _GTC)


@kernel
def maker_decides(world: int, number: int, now: int) -> None:
    """Where the quotes should be, against where they are."""
    root = world_at(world)
    agent = agent_at(root.agents_address, number)
    maker = maker_at(root.makers_address, agent.index)
    state = state_at(root.states_address, agent.instrument)
    book = link_at(root.links_address, agent.venue).book_address
    tick = state.tick
    mid = mid_price(world, agent)
    fair = (maker.weight * state.value + (1.0 - maker.weight) * mid) / tick
    load = agent.position / maker.limit
    fair -= maker.skew * min(1.0, max(-1.0, load))
    half = maker.half_spread + maker.volatility_spread * state.volatility * state.value / tick
    best_bid = best_price(book, agent.instrument, 1)
    best_ask = best_price(book, agent.instrument, -1)
    for level in range(maker.levels):
        away = half + level * maker.step
        bid = math.floor(fair - away) * tick
        ask = math.ceil(fair + away) * tick
        if best_ask != EMPTY_ASK:
            bid = min(bid, best_ask - tick)
        if best_bid != EMPTY_BID:
            ask = max(ask, best_bid + tick)
        quote(world, number, 1, level, bid, load < 1.0 and bid > 0)
        quote(world, number, -1, level, ask, load > -1.0)


# --- takers ---------------------------------------------------------------------------------------------------------


@kernel
def take_up_to(world: int, number: int, side: int, slippage: int, lots: int) -> None:
    """Pend an order that takes up to some ticks beyond the opposite best price; none outside continuous trading."""
    root = world_at(world)
    agent = agent_at(root.agents_address, number)
    state = state_at(root.states_address, agent.instrument)
    book = link_at(root.links_address, agent.venue).book_address
    best = best_price(book, agent.instrument, -side)
    if best == EMPTY_BID or best == EMPTY_ASK or lots <= 0 or market_phase(world, agent) != _CONTINUOUS:
        return
    price = best + side * slippage * state.tick
    if price > 0:
        command = pend(world, number, _NEW, TRANSIENT_CELL, side, price, lots * state.lot, _IOC)
        command.order_type = _LIMIT


@kernel
def value_decides(world: int, number: int, mid: float, elapsed: float) -> None:
    """Bring what is held to what the mispricing asks for."""
    root = world_at(world)
    agent = agent_at(root.agents_address, number)
    taker = taker_at(root.takers_address, agent.index)
    state = state_at(root.states_address, agent.instrument)
    taker.held = taker.held * math.exp(-taker.slow * elapsed) + (agent.position - taker.seen)
    taker.seen = agent.position
    gap = state.value - mid + taker.noise * state.tick * normal(agent.key, agent.counter)
    agent.counter += 2
    lots = draw_lots(world, agent, taker.sizes)
    wanted = 0.0
    if abs(gap) > taker.threshold * state.tick:
        wanted = taker.depth * gap * abs(gap)
    wanted -= taker.held
    if abs(wanted) < lots * state.lot:
        return
    side = 1 if wanted > 0 else -1
    room = (taker.limit - side * agent.position) // state.lot
    take_up_to(world, number, side, taker.slippage, min(lots, room))


@kernel
def taker_decides(world: int, number: int, now: int) -> None:
    """Momentum, mean reversion, informed, value and noise traders."""
    root = world_at(world)
    agent = agent_at(root.agents_address, number)
    taker = taker_at(root.takers_address, agent.index)
    state = state_at(root.states_address, agent.instrument)
    mid = mid_price(world, agent)
    elapsed = (now - taker.last) * 1e-9
    if taker.last == 0:
        taker.fast_mid = mid
        taker.slow_mid = mid
    else:
        taker.fast_mid = mid + (taker.fast_mid - mid) * math.exp(-taker.fast * elapsed)
        taker.slow_mid = mid + (taker.slow_mid - mid) * math.exp(-taker.slow * elapsed)
    taker.last = now
    if agent.kind == VALUE:
        value_decides(world, number, mid, elapsed)
        return
    trend = (taker.fast_mid - taker.slow_mid) / state.tick
    signal = 0.0
    if agent.kind == MOMENTUM:
        signal = trend
    elif agent.kind == MEAN_REVERSION:
        signal = -trend
    elif agent.kind == INFORMED:
        book = link_at(root.links_address, agent.venue).book_address
        view = state.value / state.tick + taker.noise * normal(agent.key, agent.counter)
        agent.counter += 2
        ask = best_price(book, agent.instrument, -1)
        bid = best_price(book, agent.instrument, 1)
        if ask != EMPTY_ASK and view > ask / state.tick:
            signal = view - ask / state.tick
        elif bid != EMPTY_BID and view < bid / state.tick:
            signal = view - bid / state.tick
    else:
        signal = taker.threshold + 1.0
        if uniform(agent.key, agent.counter) < 0.5:
            signal = -signal
        agent.counter += 1
    if abs(signal) <= taker.threshold:
        return
    side = 1 if signal > 0 else -1
    lots = draw_lots(world, agent, taker.sizes)
    room = (taker.limit - side * agent.position) // state.lot
    take_up_to(world, number, side, taker.slippage, min(lots, room))


# --- execution ------------------------------------------------------------------------------------------------------


@kernel
def execution_waits(world: int, number: int, now: int) -> None:
    """Set the arrival of the next large order."""
    root = world_at(world)
    agent = agent_at(root.agents_address, number)
    execution = execution_at(root.executions_address, agent.index)
    wait = exponential(agent.key, agent.counter) / execution.arrival
    agent.counter += 1
    schedule(world, number, now + 1 + int(min(wait, 1e8) * 1e9))


@kernel
def traded_volume(world: int, agent: Any) -> int:
    """Quantity of the agent's instrument traded so far."""
    return market_at(market_address(world, agent)).volume


@kernel
def execution_starts(world: int, number: int, now: int) -> None:
    """A large order arrives."""
    root = world_at(world)
    agent = agent_at(root.agents_address, number)
    execution = execution_at(root.executions_address, agent.index)
    side = execution.last_side
    if side == 0:
        side = 1
    if uniform(agent.key, agent.counter) < execution.flip:
        side = -side
    lots = pareto(agent.key, agent.counter + 1, execution.least, execution.most, execution.exponent)
    agent.counter += 2
    state = state_at(root.states_address, agent.instrument)
    execution.side = side
    execution.last_side = side
    execution.total = int(lots) * state.lot
    if execution.participation > 0.0:
        execution.total = _MOST
        execution.horizon = now + int(lots * 1e9)
        execution.volume = traded_volume(world, agent)
    execution.left = execution.total
    execution.start = now
    execution.position = agent.position
    execution.start_mid = mid_price(world, agent)
    execution.start_value = state.value
    execution.cash_before = agent.cash


@kernel
def execution_ends(world: int, number: int, now: int) -> None:
    """A large order is done: note what it did."""
    root = world_at(world)
    agent = agent_at(root.agents_address, number)
    execution = execution_at(root.executions_address, agent.index)
    done = execution.total - max(0, execution.left)
    if done > 0:
        if root.metaorder_count < root.metaorder_capacity:
            row = metaorder_at(root.metaorders_address, root.metaorder_count)
            row.start = execution.start
            row.end = now
            row.instrument = agent.instrument
            row.side = execution.side
            row.qty = done
            row.start_mid = execution.start_mid
            row.end_mid = mid_price(world, agent)
            row.start_value = execution.start_value
            row.end_value = state_at(root.states_address, agent.instrument).value
            row.paid = execution.cash_before - agent.cash
            row.participation = execution.participation
        root.metaorder_count += 1
    execution.side = 0


@kernel
def execution_decides(world: int, number: int, now: int) -> None:
    """One slice of the large order."""
    root = world_at(world)
    agent = agent_at(root.agents_address, number)
    execution = execution_at(root.executions_address, agent.index)
    state = state_at(root.states_address, agent.instrument)
    if execution.side == 0:
        execution_starts(world, number, now)
    lots = 0.5 * execution.slice + uniform(agent.key, agent.counter) * execution.slice
    agent.counter += 1
    want = min(max(1, int(lots + 0.5)), execution.left // state.lot)
    if execution.participation > 0.0:
        share = execution.participation * (traded_volume(world, agent) - execution.volume)
        want = int((share - (execution.total - execution.left)) / state.lot)
    take_up_to(world, number, execution.side, 0, want)


@kernel
def execution_goes_on(world: int, number: int, now: int) -> None:
    """The slice has been worked: the next one, or the end."""
    root = world_at(world)
    agent = agent_at(root.agents_address, number)
    execution = execution_at(root.executions_address, agent.index)
    state = state_at(root.states_address, agent.instrument)
    execution.left -= (agent.position - execution.position) * execution.side
    execution.position = agent.position
    done = execution.left < state.lot or now > execution.start + GIVE_UP_NS
    if done or (execution.participation > 0.0 and now > execution.horizon):
        execution_ends(world, number, now)
        execution_waits(world, number, now)
        return
    jitter = 0.5 + uniform(agent.key, agent.counter)
    agent.counter += 1
    pause = execution.interval * jitter / max(state.activity, 1e-3)
    schedule(world, number, now + 1 + int(pause * 1e9))


# --- deciding -------------------------------------------------------------------------------------------------------


@kernel
def trader_decides(world: int, number: int, now: int) -> None:
    """An agent with a purpose looks at the market and pends its commands."""
    kind = agent_at(world_at(world).agents_address, number).kind
    if kind == MARKET_MAKER:
        maker_decides(world, number, now)
    elif kind == EXECUTION:
        execution_decides(world, number, now)
    elif kind == AUCTION:
        caller_decides(world, number, now)
    else:
        taker_decides(world, number, now)


@kernel
def trader_goes_on(world: int, number: int, now: int) -> None:
    """The commands have arrived, or there were none."""
    kind = agent_at(world_at(world).agents_address, number).kind
    if kind == EXECUTION:
        execution_goes_on(world, number, now)
    elif kind == AUCTION:
        caller_goes_on(world, number, now)
    else:
        sleep(world, number, now)
