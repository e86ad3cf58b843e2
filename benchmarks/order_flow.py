"""Seeded flow for a matching engine: mostly limit orders and cancels, some marketable, some replaces.

The generator keeps a crude picture of what rests (a list of its own ids an instrument, cancels drawn from all of it or
from its newest), so that cancels name orders that were entered; which of them have traded meanwhile it does not know.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.kernel import kernel
from nanotick.core.memory import load_i32, mul_wrap, shift_right, store_i32
from nanotick.core.records import COMMAND, Kind, command_at

_NEW, _CANCEL, _REPLACE = int(Kind.NEW), int(Kind.CANCEL), int(Kind.REPLACE_ORDER)
MID = 100_000


@kernel
def _draw(seed: int, counter: int, below: int) -> int:
    """A number from 0 to below - 1 (below up to 2^31): SplitMix64 of the counter."""
    x = mul_wrap(seed + mul_wrap(counter, -7046029254386353131), 1)
    x = mul_wrap(x ^ shift_right(x, 30), -4658895280553007687)
    x = mul_wrap(x ^ shift_right(x, 27), -7723592293110705685)
    x = x ^ shift_right(x, 31)
    return shift_right(shift_right(x, 33) * below, 31)


@kernel("i8(i8,i8,i8,i8,i8,i8,i8)")
def write_flow(
    commands: int, count: int, instruments: int, participants: int, live: int, capacity: int, seed: int
) -> int:
    """Write `count` commands; `live` is int32, two cells (how many rest, the last id) and then the resting ids."""
    held = load_i32(live)
    ident = load_i32(live + 4)
    filling = True
    for i in range(count):
        c = command_at(commands, i)
        what = _draw(seed, 8 * i, 1000)
        c.ts = i
        c.stop_price = 0
        c.seq = 0
        c.flags = 0
        c.venue = 0
        c.order_type = 0
        c.tif = 0
        c.expire_s = 0
        if held < 64:
            what = 0
        if filling:
            what = 0
            filling = held < capacity
        if what < 530:  # 45 % resting limits, 8 % immediate or market
            ident += 1
            side = 1 - 2 * _draw(7, ident, 2)
            c.kind = _NEW
            c.id = ident // participants + 1
            c.side = side
            c.strategy = ident % participants
            c.instrument = (ident // participants) % instruments
            c.qty = 1 + _draw(seed, 8 * i + 2, 100)
            away = 1 + trailing(_draw(seed, 8 * i + 3, 1 << 20)) * 2 + _draw(seed, 8 * i + 4, 12)
            c.price = MID - side * away
            if what >= 450:
                c.price = MID + side * 3
                c.qty = 1 + _draw(seed, 8 * i + 2, 150)
                c.tif = 2
                if what >= 490:
                    c.order_type = 1
            else:
                store_i32(live + 8 + 4 * held, ident)
                held += 1
        else:
            at = _draw(seed, 8 * i + 5, held)
            old = load_i32(live + 8 + 4 * at)
            c.id = old // participants + 1
            c.side = 0
            c.strategy = old % participants
            c.instrument = (old // participants) % instruments
            c.price = 0
            c.qty = 0
            if what < 980:
                c.kind = _CANCEL
                held -= 1
                store_i32(live + 8 + 4 * at, load_i32(live + 8 + 4 * held))
            else:
                c.kind = _REPLACE
                c.price = MID - (1 - 2 * _draw(7, old, 2)) * (20 + _draw(seed, 8 * i + 3, 20))
                c.qty = 1 + _draw(seed, 8 * i + 2, 100)
    store_i32(live, held)
    store_i32(live + 4, ident)
    return ident


@kernel
def trailing(x: int) -> int:
    """Trailing zeros, at most 20."""
    n = 0
    while n < 20 and (x >> n) & 1 == 0:
        n += 1
    return n


def flow(count: int, instruments: int, participants: int, resting: int, seed: int) -> npt.NDArray[Any]:
    """`count` COMMAND records of the mix, of which the first fill the books to about `resting` orders."""
    live = np.zeros(resting + 65_536, np.int32)  # what rests wanders by a few times the square root of the count
    commands = np.zeros(count, COMMAND)
    write_flow(commands.ctypes.data, count, instruments, participants, live.ctypes.data, resting, seed)
    return commands
