"""What agents know of their own orders, and the one door through which they reach an exchange.

Every agent owns a run of cells; a resting order's client id is `participant << 12 | cell`, so a report finds its cell
without a search. The order flow also keeps a dense list of its live orders a side, from which one is drawn at random;
leaving it is an exchange with the last. Orders that never rest share one id.

An agent's commands wait in its own places of `pending` until they arrive. Each is answered at once: the reports that it
caused are read, those of agents are booked, those of others are left where they lie.
"""

from __future__ import annotations

from typing import Any

from nanotick.core.kernel import kernel
from nanotick.core.memory import call2, copy_bytes, load_i32, store_i32
from nanotick.core.records import MAKER as MAKER_FLAG
from nanotick.core.records import RECORD_SIZE, CommandFlag, Kind, OrderType, TimeInForce, command_at, event_at
from nanotick.exchange.agents.records import (
    CELL_BITS,
    CELL_MASK,
    FLOW,
    MARKET_MAKER,
    SIZE_BINS,
    STATUS_EXCHANGE,
    TRANSIENT_CELL,
    agent_at,
    cell_at,
    link_at,
    maker_at,
    sizes_at,
    world_at,
)
from nanotick.exchange.draws import uniform
from nanotick.exchange.market import exchange_at, market_at
from nanotick.exchange.market.records import MARKET_BYTES

_NEW, _CANCEL = int(Kind.NEW), int(Kind.CANCEL)
_FILL, _CANCELLED, _EXPIRED = int(Kind.FILL), int(Kind.CANCELLED), int(Kind.EXPIRED)
_REJECTED, _CANCEL_REJECTED, _REPLACED = int(Kind.REJECTED), int(Kind.CANCEL_REJECTED), int(Kind.REPLACED)
_LIMIT, _GTC, _IOC = int(OrderType.LIMIT), int(TimeInForce.GTC), int(TimeInForce.IOC)
POST_ONLY = int(CommandFlag.POST_ONLY)


@kernel
def draw_lots(world: int, agent: Any, row: int) -> int:
    """An order size in lots: a bin of the quantile table; consumes one number."""
    bin = int(uniform(agent.key, agent.counter) * SIZE_BINS)
    agent.counter += 1
    return sizes_at(world_at(world).sizes_address, row).lots[bin]


@kernel
def market_address(world: int, agent: Any) -> int:
    """Where the exchange keeps what it knows of the agent's instrument."""
    exchange = exchange_at(link_at(world_at(world).links_address, agent.venue).exchange_address)
    return exchange.markets_address + agent.instrument * MARKET_BYTES


@kernel
def market_phase(world: int, agent: Any) -> int:
    """The trading phase of the agent's instrument."""
    return market_at(market_address(world, agent)).phase


# --- cells ----------------------------------------------------------------------------------------------------------


@kernel
def take_cell(world: int, agent: Any, side: int) -> int:
    """A free cell of the agent, or -1. It stays free until `hold_cell`."""
    root = world_at(world)
    cell = agent.cell_next
    for _ in range(agent.cell_count):
        if cell >= agent.cell_count:
            cell = 0
        if cell_at(root.cells_address, agent.cell_first + cell).leaves == 0:
            agent.cell_next = cell + 1
            return cell
        cell += 1
    return -1


@kernel
def hold_cell(world: int, agent: Any, cell: int, side: int, price: int, qty: int, place: int) -> None:
    """An order lives in a cell from now on; the order flow lists it, others say which `place` it has for them."""
    root = world_at(world)
    order = cell_at(root.cells_address, agent.cell_first + cell)
    order.price = price
    order.leaves = qty
    order.side = side
    order.place = place
    if agent.kind == FLOW:
        column = (1 - side) >> 1
        order.place = agent.live[column]
        store_i32(root.lives_address + 4 * (agent.live_first + column * agent.cell_count + order.place), cell)
        agent.live[column] = agent.live[column] + 1


@kernel
def free_cell(world: int, agent: Any, cell: int) -> None:
    """The order of a cell is gone."""
    root = world_at(world)
    order = cell_at(root.cells_address, agent.cell_first + cell)
    if order.leaves == 0:
        return
    order.leaves = 0
    if agent.kind == FLOW:
        column = (1 - order.side) >> 1
        first = root.lives_address + 4 * (agent.live_first + column * agent.cell_count)
        last = agent.live[column] - 1
        agent.live[column] = last
        moved = load_i32(first + 4 * last)
        store_i32(first + 4 * order.place, moved)
        cell_at(root.cells_address, agent.cell_first + moved).place = order.place
    elif agent.kind == MARKET_MAKER:
        maker_at(root.makers_address, agent.index).quotes[order.place] = 0


@kernel
def live_cell(world: int, agent: Any, side: int, place: int) -> int:
    """The cell at a place of the list of a side."""
    column = (1 - side) >> 1
    return load_i32(world_at(world).lives_address + 4 * (agent.live_first + column * agent.cell_count + place))


# --- reports --------------------------------------------------------------------------------------------------------


@kernel
def hear_report(world: int, owner: int, report_address: int) -> None:
    """Book one report."""
    root = world_at(world)
    report = event_at(report_address)
    kind = report.kind
    if kind == _FILL and report.flags & MAKER_FLAG == 0:
        taker = True
        if owner < root.agents:
            taker = agent_at(root.agents_address, owner).kind != FLOW
        if taker:
            root.taker = report.instrument + 1
            root.taker_side = report.side
    if owner >= root.agents:
        return
    agent = agent_at(root.agents_address, owner)
    cell = report.id & CELL_MASK
    if kind == _FILL:
        agent.position += report.side * report.qty
        agent.cash -= report.side * report.price * report.qty + report.word
        agent.fills += 1
        if cell != TRANSIENT_CELL:
            order = cell_at(root.cells_address, agent.cell_first + cell)
            if report.qty >= order.leaves:
                free_cell(world, agent, cell)
            else:
                order.leaves -= report.qty
    elif cell == TRANSIENT_CELL:
        if kind == _REJECTED:
            agent.rejected += 1
    elif kind == _CANCELLED or kind == _EXPIRED or kind == _REJECTED:
        if kind == _REJECTED:
            agent.rejected += 1
        free_cell(world, agent, cell)
    elif kind == _CANCEL_REJECTED:
        agent.rejected += 1
    elif kind == _REPLACED:
        cell_at(root.cells_address, agent.cell_first + cell).price = report.price


@kernel
def hear_reports(world: int, venue: int) -> None:
    """Book every report of an exchange that has not been read."""
    root = world_at(world)
    link = link_at(root.links_address, venue)
    exchange = exchange_at(link.exchange_address)
    seen = link.reports_seen
    while seen < exchange.report_end:
        slot = seen & exchange.report_mask
        owner = load_i32(exchange.report_owners_address + 4 * slot)
        hear_report(world, owner, exchange.reports_address + RECORD_SIZE * slot)
        seen += 1
    link.reports_seen = seen
    if root.outsiders == 0:
        exchange.report_first = seen
    if exchange.status != 0:
        root.status |= STATUS_EXCHANGE


# --- commands -------------------------------------------------------------------------------------------------------


@kernel
def write_command(
    address: int, agent: Any, number: int, kind: int, cell: int, side: int, price: int, qty: int, tif: int
) -> Any:
    """Fill a command record; order type LIMIT, no flags."""
    command = command_at(address)
    command.ts = 0
    command.stop_price = 0
    command.seq = 0
    command.price = price
    command.qty = qty
    command.id = (number << CELL_BITS) | cell
    command.order_type = _LIMIT
    command.tif = tif
    command.strategy = number
    command.expire_s = 0
    command.instrument = agent.instrument
    command.venue = agent.venue
    command.kind = kind
    command.side = side
    command.flags = 0
    return command


@kernel
def pend(world: int, number: int, kind: int, cell: int, side: int, price: int, qty: int, tif: int) -> Any:
    """A command on its way: it arrives after the agent's latency."""
    root = world_at(world)
    agent = agent_at(root.agents_address, number)
    address = root.pending_address + RECORD_SIZE * (agent.pending_first + agent.pending)
    agent.pending += 1
    return write_command(address, agent, number, kind, cell, side, price, qty, tif)


@kernel
def deliver(world: int, number: int, now: int) -> None:
    """The commands on the way arrive, in the order in which they were sent, and what comes of each is booked.

    The only place where agents send anything to an exchange.
    """
    root = world_at(world)
    agent = agent_at(root.agents_address, number)
    link = link_at(root.links_address, agent.venue)
    for i in range(agent.pending):
        # the exchange may keep the command's address while it works: it gets the scratch record, like every other
        copy_bytes(root.command_address, root.pending_address + RECORD_SIZE * (agent.pending_first + i), RECORD_SIZE)
        command_at(root.command_address).ts = now
        agent.sent += 1
        root.commands += 1
        call2(link.command_function, link.exchange_address, root.command_address)
        hear_reports(world, agent.venue)
    agent.pending = 0
