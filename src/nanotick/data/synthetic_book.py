"""The books of the synthetic day: chance, FIFO queues on a ladder, and the rows that tell of them.

    SYMBOL   one a symbol: best levels, counts, hidden value, regime, parameters
    ORDER    pool a symbol: id, quantity, level, queue links, place in the list of live orders of its side
    LEVEL    ladder a symbol: quantity, count, head and tail of the queue; a level's side follows from the best prices
    LIVE     two lists a symbol: the live orders of each side, for choosing one at random

It is not `nanotick.book`: a generator must draw a random resting order and never sees a price outside its ladder, and
a generator that shared the code under test would share its mistakes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nanotick.core.kernel import kernel
from nanotick.core.memory import load_i64, mul_wrap, record_at, shift_right
from nanotick.core.records import BOTH_SIDES, Kind, event_at

LADDER = 8_192  # price levels a symbol; the hidden value is kept away from the ends
POOL = 8_192  # orders a symbol may have resting
MAX_DISTANCE = 24  # ticks from the opposite best price at which limit orders arrive
EXPONENTIAL_BINS = 4_096
DISTANCE_BINS = 1_024
ONE = 1_024  # unit of factors and of the hidden value's ticks

_MULTIPLIER = 2685821657736338717  # of xorshift64* (Vigna 2016, An experimental exploration of xorshift generators)

MARKET = np.dtype(
    [
        ("rng", "<i8"),  # state of the generator, never 0
        ("start", "<i8"),  # ns UTC
        ("end", "<i8"),
        ("recv", "<i8"),  # ns UTC, latest arrival: the feed does not overtake itself
        ("latency", "<i8"),  # ns, smallest feed latency
        ("jitter", "<i8"),  # ns, mean of what comes on top
        ("next_id", "<i8"),
        ("match", "<i8"),
        ("seq", "<i8"),
        ("rows", "<i8"),  # written by this call
        ("symbols", "<i8"),
        ("form", "<i8"),
        ("stage", "<i8"),  # 0 before the open, 1 open, 2 closed
        ("ln_bins", "<i8"),  # ln(EXPONENTIAL_BINS) in 2^-20
        ("out_address", "<i8"),
        ("symbols_address", "<i8"),
        ("orders_address", "<i8"),
        ("levels_address", "<i8"),
        ("live_address", "<i8"),
        ("exponential_address", "<i8"),  # int64 x EXPONENTIAL_BINS, 2^-20
        ("distance_address", "<i8"),  # int64 x DISTANCE_BINS a symbol, ticks
    ],
    align=True,
)
SYMBOL = np.dtype(
    [
        ("ts", "<i8"),  # ns UTC, of its next action
        ("excited_at", "<i8"),
        ("price_base", "<i8"),  # price units at level 0
        ("tick", "<i8"),  # price units
        ("value", "<i8"),  # hidden value, levels in 1/ONE
        ("sigma", "<i8"),  # half width of a step of it
        ("regime", "<i8"),  # 0 to 7
        ("bid", "<i8"),  # best level
        ("ask", "<i8"),
        ("live", "<i8", (2,)),  # orders resting: bids, asks
        ("excitement", "<i8", (2,)),  # of buying and selling market orders, 1/1000 Hz
        ("free", "<i8"),  # head of the list of free orders
        ("limit_rate", "<i8"),  # 1/1000 Hz a side
        ("cancel_rate", "<i8"),  # an order
        ("market_rate", "<i8"),  # a side
        ("lean", "<i8"),  # how strongly resting orders follow the hidden value, 1/ONE a tick
        ("informed", "<i8"),  # how strongly market orders do
        ("lot", "<i8"),
        ("mean_lots", "<i8"),
        ("index", "<i8"),
    ],
    align=True,
)
ORDER = np.dtype(
    [("id", "<i8"), ("qty", "<i8"), ("level", "<i4"), ("side", "<i4"), ("prev", "<i4"), ("next", "<i4"), ("at", "<i8")],
    align=True,
)
LEVEL = np.dtype([("qty", "<i8"), ("count", "<i8"), ("head", "<i4"), ("tail", "<i4")], align=True)
LIVE = np.dtype([("slot", "<i8")])

market_at = record_at(MARKET, "SyntheticMarket")
symbol_at = record_at(SYMBOL, "SyntheticSymbol")
order_at = record_at(ORDER, "SyntheticOrder")
level_at = record_at(LEVEL, "SyntheticLevel")
live_at = record_at(LIVE, "SyntheticLive")

# plain integers: an IntEnum member is an object to the compiler
_LEVEL = int(Kind.LEVEL)


# --- chance -------------------------------------------------------------------------------------------------------


@kernel
def draw(market: Any) -> int:
    """63 random bits (xorshift64*): shifts and one wrapping product, because a signed sum that wraps is undefined."""
    x = market.rng
    x ^= shift_right(x, 12)
    x ^= mul_wrap(x, 1 << 25)
    x ^= shift_right(x, 27)
    market.rng = x
    return shift_right(mul_wrap(x, _MULTIPLIER), 1)


@kernel
def below(market: Any, n: int) -> int:
    """Integer in [0, n), n below 2^31."""
    return ((draw(market) >> 32) * n) >> 31


@kernel
def exponential(market: Any) -> int:
    """Exponential of mean 1 in 2^-20; the lowest bin of the table is redrawn, because the tail looks like the whole."""
    far = 0
    i = below(market, EXPONENTIAL_BINS)
    while i == 0:
        far += market.ln_bins
        i = below(market, EXPONENTIAL_BINS)
    return far + load_i64(market.exponential_address + 8 * i)


@kernel
def order_qty(market: Any, symbol: Any) -> int:
    """Whole lots, geometric; one in twelve is an odd lot, one in forty a block."""
    lots = 1 + ((exponential(market) * (symbol.mean_lots - 1)) >> 20)
    chance = below(market, 120)
    if chance < 10:
        return max(1, below(market, symbol.lot))
    if chance < 13:
        lots = lots * 8
    return lots * symbol.lot


# --- rows ---------------------------------------------------------------------------------------------------------


@kernel
def write(
    market: Any, symbol: Any, kind: int, level: int, qty: int, order_id: int, word: int, side: int, flags: int
) -> None:
    """Append one row stamped with the action's times."""
    row = event_at(market.out_address, market.rows)
    row.ts_venue = symbol.ts
    row.ts_recv = market.recv
    market.seq = market.seq + 1
    row.seq = market.seq
    row.price = symbol.price_base + level * symbol.tick
    row.qty = qty
    row.id = order_id
    row.word = word
    row.instrument = symbol.index
    row.venue = 0
    row.kind = kind
    row.side = side
    row.flags = BOTH_SIDES | flags
    market.rows = market.rows + 1


@kernel
def write_level(market: Any, symbol: Any, level: int, side: int) -> None:
    """In the price-level form: what now rests at a level."""
    cell = level_at(market.levels_address, symbol.index * LADDER + level)
    write(market, symbol, _LEVEL, level, cell.qty, 0, cell.count, side, 0)


# --- the book -----------------------------------------------------------------------------------------------------


@kernel
def live_list(market: Any, symbol: Any, side: int) -> int:
    """Address of the list of live orders of a side."""
    return market.live_address + (symbol.index * 2 + (1 if side < 0 else 0)) * POOL * 8


@kernel
def rest(market: Any, symbol: Any, level: int, side: int, qty: int, order_id: int) -> None:
    """Put an order at the back of a level's queue."""
    slot = symbol.free
    order = order_at(market.orders_address, symbol.index * POOL + slot)
    symbol.free = order.next
    cell = level_at(market.levels_address, symbol.index * LADDER + level)
    order.id = order_id
    order.qty = qty
    order.level = level
    order.side = side
    order.next = -1
    order.prev = cell.tail
    if cell.count == 0:
        order.prev = -1
        cell.head = slot
    else:
        order_at(market.orders_address, symbol.index * POOL + cell.tail).next = slot
    cell.tail = slot
    cell.count = cell.count + 1
    cell.qty = cell.qty + qty
    ask = 1 if side < 0 else 0
    order.at = symbol.live[ask]
    live_at(live_list(market, symbol, side), symbol.live[ask]).slot = slot
    symbol.live[ask] = symbol.live[ask] + 1
    if side > 0 and level > symbol.bid:
        symbol.bid = level
    if side < 0 and level < symbol.ask:
        symbol.ask = level


@kernel
def take_off(market: Any, symbol: Any, slot: int) -> None:
    """Unlink an order and find the best level again if its own is now empty. Its side must not become empty."""
    base = symbol.index * POOL
    order = order_at(market.orders_address, base + slot)
    cell = level_at(market.levels_address, symbol.index * LADDER + order.level)
    if order.prev >= 0:
        order_at(market.orders_address, base + order.prev).next = order.next
    else:
        cell.head = order.next
    if order.next >= 0:
        order_at(market.orders_address, base + order.next).prev = order.prev
    else:
        cell.tail = order.prev
    cell.count = cell.count - 1
    cell.qty = cell.qty - order.qty
    ask = 1 if order.side < 0 else 0
    last = symbol.live[ask] - 1
    symbol.live[ask] = last
    live = live_list(market, symbol, order.side)
    moved = live_at(live, last).slot
    live_at(live, order.at).slot = moved
    order_at(market.orders_address, base + moved).at = order.at
    order.next = symbol.free
    symbol.free = slot
    if cell.count == 0:
        step = -order.side
        level = order.level
        best = symbol.bid if order.side > 0 else symbol.ask
        if level == best:
            while level_at(market.levels_address, symbol.index * LADDER + level).count == 0:
                level += step
            if order.side > 0:
                symbol.bid = level
            else:
                symbol.ask = level


@kernel
def draw_live(market: Any, symbol: Any, side: int) -> int:
    """Slot of a resting order of a side, each as likely as the other."""
    count = symbol.live[1 if side < 0 else 0]
    return live_at(live_list(market, symbol, side), below(market, count)).slot
