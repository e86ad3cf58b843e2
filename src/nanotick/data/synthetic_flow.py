"""The order flow behind the synthetic day: one kernel that keeps a book per symbol and writes what happens to it.

The model is the Markovian order book of Cont, Stoikov and Talreja (2010): limit orders arrive at a distance of i ticks
from the opposite best price at a rate falling with i, every resting order is cancelled at the same rate (so a queue's
cancellations grow with its length), market orders take the front of the queue. Three things are added to make it
tradable rather than merely stationary:

- a hidden value follows a random walk whose steps grow and shrink with a volatility regime; the further it is from the
  mid, the more flow leans to its side, so queue imbalance tells something about the next move (and the informed side of
  the flow hurts whoever quotes against it);
- market orders excite further ones of their side and frighten quotes of the other away, and both fade within a second;
- the clock of the whole flow runs faster at the open and the close and in volatile regimes.

Everything is integers, exponential waiting times included (a table and the memoryless property), so that a seed gives
the same day on every machine.
"""

from __future__ import annotations

from typing import Any

from nanotick.core.kernel import kernel
from nanotick.core.memory import load_i64
from nanotick.core.records import BUY, SELL, Flag, Kind, TradingStatus, event_at
from nanotick.data.synthetic_book import (
    DISTANCE_BINS,
    LADDER,
    ONE,
    POOL,
    below,
    draw_live,
    exponential,
    level_at,
    market_at,
    order_at,
    order_qty,
    rest,
    symbol_at,
    take_off,
    write,
    write_level,
)

MAX_ROWS_PER_ACTION = 256
MAX_EXECUTIONS_PER_SWEEP = 100
ORDERS_FORM = 0
LEVELS_FORM = 1

_ADD, _REDUCE, _DELETE, _CLEAR = int(Kind.ADD), int(Kind.REDUCE), int(Kind.DELETE), int(Kind.CLEAR)
_EXECUTE, _REPLACE, _TRADE, _STATUS = int(Kind.EXECUTE), int(Kind.REPLACE), int(Kind.TRADE), int(Kind.STATUS)
_LAST, _PRINTABLE, _HIDDEN = int(Flag.LAST), int(Flag.PRINTABLE), int(Flag.HIDDEN)
_TRADING, _CLOSED = int(TradingStatus.TRADING), int(TradingStatus.CLOSED)


@kernel
def lean_to(symbol: Any, side: int, strength: int) -> int:
    """How far the hidden value is on this side of the mid: a factor around ONE for flow of the side."""
    gap = symbol.value - (symbol.bid + symbol.ask) * (ONE // 2)
    gap = max(-2 * ONE, min(2 * ONE, gap * side))
    return max(ONE // 4, ONE + ((gap * strength) >> 10))


@kernel
def choose_level(market: Any, symbol: Any, side: int) -> int:
    """Where a new limit order goes: some ticks from the opposite best, more daring when the hidden value agrees."""
    distance = load_i64(market.distance_address + 8 * (symbol.index * DISTANCE_BINS + below(market, DISTANCE_BINS)))
    spread = symbol.ask - symbol.bid
    if distance < spread and below(market, 2 * ONE) > lean_to(symbol, side, symbol.lean):
        distance = spread + below(market, 2)
    if side > 0:
        return max(1, symbol.ask - distance)
    return min(LADDER - 2, symbol.bid + distance)


@kernel
def new_id(market: Any) -> int:
    """The venue numbers orders upward, leaving gaps for other symbols."""
    market.next_id = market.next_id + 1 + below(market, 3)
    return market.next_id


@kernel
def add_limit(market: Any, symbol: Any, side: int) -> None:
    """A limit order arrives."""
    ask = 1 if side < 0 else 0
    if symbol.live[ask] >= POOL // 2 - 1:
        return
    level = choose_level(market, symbol, side)
    qty = order_qty(market, symbol)
    order_id = new_id(market)
    rest(market, symbol, level, side, qty, order_id)
    if market.form == ORDERS_FORM:
        write(market, symbol, _ADD, level, qty, order_id, 0, side, 0)
    else:
        write_level(market, symbol, level, side)


@kernel
def cancel_one(market: Any, symbol: Any, side: int) -> None:
    """One order of a side, each as likely as the other, is cancelled, reduced or replaced."""
    ask = 1 if side < 0 else 0
    if symbol.live[ask] <= 2:
        return
    slot = draw_live(market, symbol, side)
    order = order_at(market.orders_address, symbol.index * POOL + slot)
    order_id = order.id
    level = order.level
    qty = order.qty
    what = below(market, 16)
    if what == 0 and qty > symbol.lot:
        off = qty // 2 // symbol.lot * symbol.lot
        if off <= 0:
            off = symbol.lot
        order.qty = qty - off
        cell = level_at(market.levels_address, symbol.index * LADDER + level)
        cell.qty = cell.qty - off
        if market.form == ORDERS_FORM:
            write(market, symbol, _REDUCE, level, off, order_id, 0, side, 0)
        else:
            write_level(market, symbol, level, side)
        return
    take_off(market, symbol, slot)
    if what <= 2:
        replacement = choose_level(market, symbol, side)
        new = new_id(market)
        rest(market, symbol, replacement, side, qty, new)
        if market.form == ORDERS_FORM:
            write(market, symbol, _REPLACE, replacement, qty, order_id, new, side, 0)
        else:
            write_level(market, symbol, level, side)
            if replacement != level:
                write_level(market, symbol, replacement, side)
    elif market.form == ORDERS_FORM:
        write(market, symbol, _DELETE, level, qty, order_id, 0, side, 0)
    else:
        write_level(market, symbol, level, side)


@kernel
def take(market: Any, symbol: Any, side: int) -> None:
    """A marketable order takes the front of the opposite queue; some are sized to the queue, a few sweep levels."""
    other = 0 if side < 0 else 1
    best = symbol.ask if side > 0 else symbol.bid
    shown = level_at(market.levels_address, symbol.index * LADDER + best).qty
    chance = below(market, 1_000)
    qty = order_qty(market, symbol)
    if chance < 4:
        qty = shown * (2 + below(market, 4))
    elif chance < 300:
        qty = shown
    else:
        qty = min(qty, shown)
    if chance >= 970 and symbol.ask - symbol.bid >= 2:
        market.match = market.match + 1
        write(market, symbol, _TRADE, symbol.bid + 1, qty, market.match, 0, side, _PRINTABLE | _HIDDEN)
        return
    executions = 0
    while qty > 0 and symbol.live[other] > 3 and executions < MAX_EXECUTIONS_PER_SWEEP:
        best = symbol.ask if side > 0 else symbol.bid
        cell = level_at(market.levels_address, symbol.index * LADDER + best)
        slot = cell.head
        order = order_at(market.orders_address, symbol.index * POOL + slot)
        traded = min(qty, order.qty)
        qty -= traded
        executions += 1
        market.match = market.match + 1
        if market.form == ORDERS_FORM:
            write(market, symbol, _EXECUTE, best, traded, order.id, market.match, -side, _PRINTABLE)
        else:
            write(market, symbol, _TRADE, best, traded, market.match, order.id, side, _PRINTABLE)
        if traded == order.qty:
            take_off(market, symbol, slot)
        else:
            order.qty = order.qty - traded
            cell.qty = cell.qty - traded
        now = symbol.ask if side > 0 else symbol.bid
        if market.form == LEVELS_FORM and (
            now != best or qty == 0 or symbol.live[other] <= 3 or executions == MAX_EXECUTIONS_PER_SWEEP
        ):
            write_level(market, symbol, best, -side)
    symbol.excitement[1 - other] = symbol.excitement[1 - other] + symbol.market_rate // 2


@kernel
def activity(market: Any, symbol: Any) -> int:
    """How fast the flow's clock runs, in 1/ONE: a U over the day times the regime's factor."""
    phase = (symbol.ts - market.start) * 2_048 // (market.end - market.start) - 1_024
    day = 700 + ((phase * phase * 1_400) >> 20)
    return (day * (400 + 60 * symbol.regime * symbol.regime)) >> 10


@kernel
def move_value(market: Any, symbol: Any) -> None:
    """The hidden value takes a step, the regime perhaps another level; news is rare and large."""
    width = (symbol.sigma * (3 + 2 * symbol.regime)) >> 3
    step = below(market, 2 * width + 1) - width
    if below(market, 12_000) == 0:
        size = (4 + below(market, 12)) * ONE
        step = size if below(market, 2) == 0 else -size
        symbol.regime = 7
    low = LADDER * ONE // 8
    symbol.value = max(low, min(7 * low, symbol.value + step))
    if below(market, 240) == 0:
        up = below(market, 8) >= symbol.regime + 1
        symbol.regime = min(7, symbol.regime + 1) if up else max(0, symbol.regime - 1)


@kernel
def calm(symbol: Any) -> None:
    """Excitement fades with a time constant of 0.4 s."""
    passed = min(400_000_000, symbol.ts - symbol.excited_at)
    symbol.excited_at = symbol.ts
    for side in range(2):
        symbol.excitement[side] = symbol.excitement[side] - symbol.excitement[side] * passed // 400_000_000


@kernel
def act(market: Any, symbol: Any) -> None:
    """One action, chosen by its present rate; then the time of the next one."""
    calm(symbol)
    up, down = lean_to(symbol, BUY, symbol.lean), lean_to(symbol, SELL, symbol.lean)
    limit_bid = (symbol.limit_rate * up) >> 10
    limit_ask = (symbol.limit_rate * down) >> 10
    cancel_bid = ((symbol.live[0] * symbol.cancel_rate * down) >> 10) + symbol.excitement[1] * 2
    cancel_ask = ((symbol.live[1] * symbol.cancel_rate * up) >> 10) + symbol.excitement[0] * 2
    buy = ((symbol.market_rate * lean_to(symbol, BUY, symbol.informed)) >> 10) + symbol.excitement[0] // 3
    sell = ((symbol.market_rate * lean_to(symbol, SELL, symbol.informed)) >> 10) + symbol.excitement[1] // 3
    step = 4_000
    total = limit_bid + limit_ask + cancel_bid + cancel_ask + buy + sell + step
    market.recv = max(market.recv, symbol.ts + market.latency + ((exponential(market) * market.jitter) >> 20))
    first = market.rows
    pick = below(market, total)
    if pick < limit_bid + limit_ask:
        add_limit(market, symbol, BUY if pick < limit_bid else SELL)
    else:
        pick -= limit_bid + limit_ask
        if pick < cancel_bid + cancel_ask:
            cancel_one(market, symbol, BUY if pick < cancel_bid else SELL)
        elif pick < cancel_bid + cancel_ask + buy + sell:
            take(market, symbol, BUY if pick < cancel_bid + cancel_ask + buy else SELL)
        else:
            move_value(market, symbol)
    if market.rows > first:
        row = event_at(market.out_address, market.rows - 1)
        row.flags = row.flags | _LAST
    mean_ns = 1_000_000_000_000 // total * ONE // activity(market, symbol)
    symbol.ts = symbol.ts + max(1_000, (exponential(market) * mean_ns) >> 20)


@kernel
def open_symbol(market: Any, symbol: Any) -> None:
    """Trading starts: the book of the day before is gone, a status row, and the orders that rest already."""
    market.recv = max(market.recv, symbol.ts + market.latency)
    write(market, symbol, _CLEAR, 0, 0, 0, 0, 0, _LAST)
    write(market, symbol, _STATUS, 0, 0, 0, _TRADING, 0, _LAST)
    for distance in range(12):
        for _ in range(4):
            for side in (BUY, SELL):
                level = symbol.bid - distance if side > 0 else symbol.ask + distance
                qty = order_qty(market, symbol)
                order_id = new_id(market)
                rest(market, symbol, level, side, qty, order_id)
                if market.form == ORDERS_FORM:
                    write(market, symbol, _ADD, level, qty, order_id, 0, side, _LAST)
                else:
                    write_level(market, symbol, level, side)
                    row = event_at(market.out_address, market.rows - 1)
                    row.flags = row.flags | _LAST


@kernel("i8(i8,i8)")
def generate(market_address: int, capacity: int) -> int:
    """Write rows until `capacity` is nearly full or the day is over; call again with a new `out_address` for more.

    Parameters
    ----------
    market_address : int
        Of a `MARKET` record.
    capacity : int
        Rows at `out_address`.

    Returns
    -------
    int
        Rows written; `market.stage` is 2 once the day is over.
    """
    market = market_at(market_address)
    market.rows = 0
    if market.stage == 0:
        if capacity < market.symbols * MAX_ROWS_PER_ACTION:
            return 0
        for i in range(market.symbols):
            open_symbol(market, symbol_at(market.symbols_address, i))
        for i in range(market.symbols):
            opened = symbol_at(market.symbols_address, i)
            opened.ts = opened.ts + 1_000_000 * (i + 1)
        market.stage = 1
    while market.stage == 1 and market.rows + MAX_ROWS_PER_ACTION <= capacity:
        earliest = 0
        for i in range(1, market.symbols):
            if symbol_at(market.symbols_address, i).ts < symbol_at(market.symbols_address, earliest).ts:
                earliest = i
        symbol = symbol_at(market.symbols_address, earliest)
        if symbol.ts >= market.end:
            for i in range(market.symbols):
                closing = symbol_at(market.symbols_address, i)
                closing.ts = market.end
                market.recv = max(market.recv, market.end + market.latency)
                write(market, closing, _STATUS, 0, 0, 0, _CLOSED, 0, _LAST)
            market.stage = 2
        else:
            act(market, symbol)
    return market.rows
