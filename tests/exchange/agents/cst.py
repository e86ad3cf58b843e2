"""Cont, Stoikov & Talreja (2010) by event simulation: the probabilities of section 4 counted from the feed's books.

The flow with their rates and unit orders trades alone in an exchange. Whenever the spread is one tick, the state is the
pair of best queues; from the moment a state is first met until the mid moves, the market is their birth-death race.
"""

import numpy as np

from nanotick.book import (
    BookStore,
    apply_event,
    best_price,
    best_qty,
    level_head,
    next_order,
    order_find,
    order_id,
)
from nanotick.core.arena import Arena
from nanotick.core.kernel import kernel
from nanotick.core.memory import call2, load_i64, store_i64
from nanotick.core.records import COMMAND, RECORD_SIZE, Kind, command_at, event_at
from nanotick.exchange.agents.description import description_from
from nanotick.exchange.agents.living import LivingMarket
from nanotick.exchange.agents.records import link_at, world_at
from nanotick.exchange.agents.schedule import due, earliest
from nanotick.exchange.agents.world import wake
from nanotick.exchange.market import exchange_at
from nanotick.exchange.market.resting import order_key

NEW, CANCEL = int(Kind.NEW), int(Kind.CANCEL)

SIDE = 5  # queues of 1 to 5
LIMITS = [1.85, 1.51, 1.09, 0.88, 0.77] + [1.92 * i**-0.52 for i in range(6, 16)]
CANCELS = [0.71, 0.81, 0.68, 0.56, 0.47]
MARKETS = 0.94


def sky_perfect(minutes, instruments=1):
    """The market of the paper's table of estimates, `instruments` times."""
    return description_from(
        {
            "name": "sky-perfect",
            "session": {"hours": minutes / 60},
            "step_ms": 60_000,
            "profiles": {
                "cst": {
                    "flow": {
                        "limit_rates": LIMITS,
                        "cancel_rates": CANCELS,
                        "market_rate": MARKETS,
                        "seed_depth": 5,
                        "seed_orders": 3,
                        "cells": 800,
                    }
                }
            },
            "instruments": [
                {"symbol": f"S{i}", "profile": "cst", "price": 10_000, "tick": 1, "price_decimals": 0, "volatility": 0}
                for i in range(instruments)
            ],
        }
    )


@kernel
def tally(seen_address, counts_address, up):
    """The mid has moved: every state met since the last move was followed by this direction."""
    for cell in range(SIDE * SIDE):
        if load_i64(seen_address + 8 * cell) != 0:
            at = counts_address + 16 * cell
            store_i64(at, load_i64(at) + 1)
            store_i64(at + 8, load_i64(at + 8) + up)
            store_i64(seen_address + 8 * cell, 0)


@kernel
def look(book, instrument, memory_address, seen_address, counts_address):
    """After an event: has the mid moved, and which state is met now?"""
    bid = best_price(book, instrument, 1)
    ask = best_price(book, instrument, -1)
    mid = bid + ask
    before = load_i64(memory_address)
    if mid != before:
        if before != 0:
            tally(seen_address, counts_address, 1 if mid > before else 0)
        store_i64(memory_address, mid)
    if ask - bid == 1:
        waiting_bid = best_qty(book, instrument, 1)
        waiting_ask = best_qty(book, instrument, -1)
        if 1 <= waiting_bid <= SIDE and 1 <= waiting_ask <= SIDE:
            store_i64(seen_address + 8 * ((waiting_bid - 1) * SIDE + waiting_ask - 1), 1)


@kernel("i8(i8,i8,i8,i8,i8,i8)")
def race(book, events_address, count, memory_address, seen_address, counts_address):
    """Rebuild the book from the public feed and count what follows the states met."""
    for i in range(count):
        address = events_address + RECORD_SIZE * i
        apply_event(book, address)
        look(book, event_at(address).instrument, memory_address, seen_address, counts_address)
    return count


@kernel
def step_once(world):
    """The next thing happens in the world; whoever reads the rings has read them."""
    root = world_at(world)
    number = earliest(world)
    now = due(world, number)
    root.now = now
    wake(world, number, now)
    exchange = exchange_at(link_at(root.links_address, 0).exchange_address)
    exchange.feed_first = exchange.feed_end
    exchange.report_first = exchange.report_end


@kernel
def tell(world, command_address, kind, participant, price):
    """The outsider's order of one unit at a price, or its cancellation."""
    root = world_at(world)
    link = link_at(root.links_address, 0)
    command = command_at(command_address)
    command.ts = root.now
    command.kind = kind
    command.id = 1
    command.strategy = participant
    command.side = 1
    command.price = price
    command.qty = 1
    call2(link.command_function, link.exchange_address, command_address)


@kernel("i8(i8,i8,i8,i8,i8,i8)")
def queue_with_everybody(world, participant, runs, command_address, seen_address, counts_address):
    """Join the best bid `runs` times while the spread is one tick, wait for a fill or for the ask to leave."""
    root = world_at(world)
    link = link_at(root.links_address, 0)
    book = link.book_address
    key = order_key(participant, 1)
    done = 0
    while done < runs:
        for _ in range(20):
            step_once(world)
        bid = best_price(book, 0, 1)
        ask = best_price(book, 0, -1)
        if ask - bid != 1 or best_qty(book, 0, 1) >= SIDE or best_qty(book, 0, -1) > SIDE + 3:
            continue
        tell(world, command_address, NEW, participant, bid)
        filled = 0
        while best_price(book, 0, -1) == ask and filled == 0:
            place = 1
            slot = level_head(book, 0, 1, bid)
            while slot >= 0 and order_id(book, slot) != key:
                place += 1
                slot = next_order(book, slot)
            waiting = best_qty(book, 0, -1)
            if place <= SIDE and waiting <= SIDE:
                store_i64(seen_address + 8 * ((place - 1) * SIDE + waiting - 1), 1)
            step_once(world)
            if order_find(book, 0, key) < 0:
                filled = 1
        tally(seen_address, counts_address, filled)
        if filled == 0:
            tell(world, command_address, CANCEL, participant, 0)
        done += 1
    return done


def next_move_is_up(hours, seed=5):
    """Counts (epochs, of these up), shape (5, 5, 2), by bid and ask queue when first met."""
    market = LivingMarket(sky_perfect(hours * 60), seed)
    book = BookStore(Arena(1 << 30), "replica", 1, 1)
    memory, seen, counts = np.zeros(1, np.int64), np.zeros(SIDE * SIDE, np.int64), np.zeros(2 * SIDE * SIDE, np.int64)
    for events in market.run(most=50_000):
        addresses = (memory.ctypes.data, seen.ctypes.data, counts.ctypes.data)
        race(book.address, events.ctypes.data, len(events), *addresses)
    return counts.reshape(SIDE, SIDE, 2)


def fills_first(runs, seed=6):
    """Counts (epochs, of these filled), shape (5, 5, 2), by own place in the bid queue and the ask queue."""
    market = LivingMarket(sky_perfect(60 * 24 * 365), seed, outsiders=1)
    command = np.zeros(1, COMMAND)
    seen, counts = np.zeros(SIDE * SIDE, np.int64), np.zeros(2 * SIDE * SIDE, np.int64)
    addresses = (command.ctypes.data, seen.ctypes.data, counts.ctypes.data)
    queue_with_everybody(market.address, market.participants, runs, *addresses)
    assert not market.status
    return counts.reshape(SIDE, SIDE, 2)
