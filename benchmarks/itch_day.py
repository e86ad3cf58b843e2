"""A seeded NASDAQ ITCH 5.0 day: the same bytes on every machine, written in one pass by one compiled loop.

The file is Nasdaq's own form: a 2-byte big-endian length before each message. The day has the message mix of a real one
(`MIX_*`, in messages per ten thousand); symbols are drawn by Zipf's law with exponent 0.9, so a few names carry most of
the traffic; references rise by one or two; prices lie on the cent grid; books are never crossed; an execution always
takes the front of the best queue. The order to delete, replace or reduce is drawn by an age whose logarithm is uniform:
most real orders live briefly and some live all day.

Live orders grow to about 0.19 million over 100 symbols and 1.3 million over 8,000 in ten million messages: the mix says
so, since what is added and neither deleted nor executed stays.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

# Messages per ten thousand, in this order: A F D U E X P C.
MIX_100 = (4330, 130, 3990, 780, 420, 190, 140, 20)
MIX_8K = (4920, 150, 3540, 690, 380, 170, 130, 20)
ZIPF_EXPONENT = 0.9
LADDER_TICKS = 8192  # price levels a symbol and side may use, in cents around its opening price
AGE_GLANCES = 6  # draws of an age before any resting order will do
BYTES_PER_MESSAGE_MAX = 38  # an upper bound of the mean over any mix that is mostly adds and deletes
OPEN_NS = 34_200 * 1_000_000_000  # 09:30, nanoseconds since midnight
SESSION_NS = 23_400 * 1_000_000_000

_A, _F, _D, _U, _E, _X, _P, _C = range(8)


@njit(cache=True)
def _random(state: Any) -> Any:
    """Advance a splitmix64 state and return 63 random bits as a signed integer."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64((z ^ (z >> np.uint64(31))) >> np.uint64(1))


@njit(cache=True)
def _put(out: Any, at: Any, value: Any, size: Any) -> Any:
    for i in range(size):
        out[at + i] = (value >> (8 * (size - 1 - i))) & 255
    return at + size


@njit(cache=True)
def _head(out: Any, at: Any, length: Any, kind: Any, locate: Any, ts: Any) -> Any:
    at = _put(out, at, length, 2)
    out[at] = kind
    at = _put(out, at + 1, locate, 2)
    at = _put(out, at, 0, 2)
    return _put(out, at, ts, 6)


@njit(cache=True)
def _stock(out: Any, at: Any, locate: Any) -> Any:
    """Write the name of a symbol: S and its number, padded to eight bytes."""
    out[at] = 83
    for i in range(5):
        out[at + 5 - i] = 48 + locate % 10
        locate //= 10
    out[at + 6] = 32
    out[at + 7] = 32
    return at + 8


@njit(cache=True)
def _unlink(slot: Any, level: Any, following: Any, preceding: Any, head: Any, tail: Any) -> None:
    before, after = preceding[slot], following[slot]
    if before >= 0:
        following[before] = after
    else:
        head[level] = after
    if after >= 0:
        preceding[after] = before
    else:
        tail[level] = before


@njit(cache=True)
def _write_day(
    out: Any,
    messages: Any,
    symbols: Any,
    mix: Any,
    cumulative: Any,
    seed: Any,
    opening: Any,
    session_ns: Any,
    shape: Any,
) -> Any:
    """Fill `out` with a day and return (bytes, peak of live orders, counts of A F D U E X P C)."""
    width = LADDER_TICKS
    state = np.array([seed], np.uint64)
    capacity = messages + 1
    reference = np.zeros(capacity, np.int64)
    qty = np.zeros(capacity, np.int32)
    level_of = np.zeros(capacity, np.int32)
    following = np.full(capacity, -1, np.int32)
    preceding = np.full(capacity, -1, np.int32)
    live_at = np.zeros(capacity, np.int32)
    live = np.zeros(capacity, np.int32)
    # level = (symbol * 2 + side) * width + tick; side 0 bids, 1 asks
    head = np.full(symbols * 2 * width, -1, np.int32)
    tail = np.full(symbols * 2 * width, -1, np.int32)
    best = np.zeros(symbols * 2, np.int32)
    resting = np.zeros(symbols * 2, np.int64)
    counts = np.zeros(8, np.int64)

    at = np.int64(0)
    ts = np.int64(OPEN_NS) - 1_000_000_000
    at = _put(out, _head(out, at, 12, 83, 0, ts), 79, 1)  # S: O
    for s in range(symbols):
        at = _stock(out, _head(out, at, 39, 82, s + 1, ts), s + 1)
        at = _put(out, at, 0x514E, 2)  # Q N
        at = _put(out, at, 100, 4)
        at = _put(out, at, 0x4E43, 2)  # N C
        at = _put(out, at, 0x5A20, 2)  # Z, space
        at = _put(out, at, 0x504E4E31, 4)  # P N N 1
        at = _put(out, at, 0x4E, 1)
        at = _put(out, at, 0, 4)
        at = _put(out, at, 0x4E, 1)
    at = _put(out, _head(out, at, 12, 83, 0, ts), 81, 1)  # S: Q

    entered = 0  # slots used so far
    living = 0
    peak = 0
    next_reference = np.int64(1_000)
    match_number = np.int64(1)
    todo = messages - symbols - 3
    step = session_ns // max(todo, 1)
    ts = np.int64(OPEN_NS)
    for _ in range(todo):
        ts += _random(state) % (2 * step) + 1
        draw = _random(state) % 10_000
        kind = 0
        while kind < 7 and draw >= mix[kind]:
            draw -= mix[kind]
            kind += 1

        slot = -1
        symbol = 0
        side = 0
        if kind == _D or kind == _U or kind == _X:
            for _try in range(4):
                if living == 0:
                    break
                bits = 0
                while (entered >> bits) > 1:
                    bits += 1
                for _glance in range(AGE_GLANCES):
                    age = _random(state) % (np.int64(1) << (_random(state) % (bits + 1)))
                    if qty[entered - 1 - age] > 0:
                        slot = entered - 1 - age
                        break
                if slot < 0:
                    slot = live[_random(state) % living]
                if kind != _X or qty[slot] > 1:
                    break
                slot = -1
            if slot < 0:
                kind = _A
        if kind == _E or kind == _C or kind == _A or kind == _F or kind == _P:
            symbol = np.searchsorted(cumulative, (_random(state) >> 10) * (1.0 / 9007199254740992.0), side="right")
            symbol = min(symbol, symbols - 1)
            side = _random(state) & 1
            if kind == _E or kind == _C:
                if resting[symbol * 2 + side] == 0:
                    kind = _A
                else:
                    slot = head[(symbol * 2 + side) * width + best[symbol * 2 + side]]
        if (kind == _A or kind == _F) and living >= shape[0]:
            slot = live[_random(state) % living]
            kind = _D
        counts[kind] += 1

        # A replacement keeps its side and symbol and takes a new price like an addition.
        if kind == _U:
            book = level_of[slot] // width
            symbol = book >> 1
            side = book & 1
        if kind == _P:
            at = _head(out, at, 44, 80, symbol + 1, ts)
            at = _put(out, at, 0, 8)
            out[at] = 66
            at = _put(out, at + 1, 100 * (1 + _random(state) % 5), 4)
            at = _stock(out, at, symbol + 1)
            tick = best[symbol * 2] if resting[symbol * 2] else width >> 1
            at = _put(out, at, (opening[symbol] + tick - (width >> 1)) * 100, 4)
            at = _put(out, at, match_number, 8)
            match_number += 1
            continue

        removed = False
        old_reference = np.int64(0)
        if slot >= 0:
            level = level_of[slot]
            book = level // width
            old_reference = reference[slot]
            if kind == _X:
                cut = 1 + _random(state) % (qty[slot] - 1)
                qty[slot] -= cut
                at = _head(out, at, 23, 88, (book >> 1) + 1, ts)
                at = _put(out, _put(out, at, old_reference, 8), cut, 4)
            elif kind == _E or kind == _C:
                done = qty[slot]
                if _random(state) % 100 < 36 and done > 1:
                    done = 1 + _random(state) % (done - 1)
                qty[slot] -= done
                removed = qty[slot] == 0
                at = _head(out, at, 31 if kind == _E else 36, 69 if kind == _E else 67, symbol + 1, ts)
                at = _put(out, _put(out, at, old_reference, 8), done, 4)
                at = _put(out, at, match_number, 8)
                match_number += 1
                if kind == _C:
                    out[at] = 89
                    at = _put(out, at + 1, (opening[symbol] + level % width - (width >> 1)) * 100, 4)
            else:
                removed = True
                if kind == _D:
                    at = _put(out, _head(out, at, 19, 68, (book >> 1) + 1, ts), old_reference, 8)
            if removed:
                qty[slot] = 0
                _unlink(slot, level, following, preceding, head, tail)
                living -= 1
                moved = live[living]
                live[live_at[slot]] = moved
                live_at[moved] = live_at[slot]
                resting[book] -= 1
                if resting[book] and head[level] < 0 and level % width == best[book]:
                    walk = np.int64(level)
                    towards = 1 if book & 1 else -1
                    while head[walk] < 0:
                        walk += towards
                    best[book] = walk % width

        if kind == _A or kind == _F or kind == _U:
            # Distance from the other side's best: most of it close, a little of it deep.
            book = symbol * 2 + side
            other = symbol * 2 + 1 - side
            distance = np.int64(0)
            while distance < 60 and _random(state) % 100 < shape[1]:
                distance += 1
            if _random(state) % 100 < 4:
                distance += _random(state) % 300
            if resting[other]:
                tick = best[other] + (1 + distance if side else -1 - distance)
            elif resting[book]:
                tick = best[book] + (distance if side else -distance)
            else:
                tick = (width >> 1) + (1 + distance if side else -1 - distance)
            tick = min(max(tick, 64 if side else 0), width - 1 if side else width - 65)
            # At the ladder's ends the clamp could cross the book; the far side then takes the order.
            if resting[other] and ((side == 1 and tick <= best[other]) or (side == 0 and tick >= best[other])):
                tick = best[other] + (1 if side else -1)
            shares = 100 * (1 + _random(state) % 5) if _random(state) & 3 else 1 + _random(state) % 500
            slot = entered
            entered += 1
            reference[slot] = next_reference
            next_reference += 1 + (_random(state) & 1)
            qty[slot] = shares
            level = np.int64(book) * width + tick
            level_of[slot] = level
            following[slot] = -1
            preceding[slot] = tail[level]
            if tail[level] >= 0:
                following[tail[level]] = slot
            else:
                head[level] = slot
            tail[level] = slot
            live[living] = slot
            live_at[slot] = living
            living += 1
            peak = max(peak, living)
            if resting[book] == 0 or (tick < best[book] if side else tick > best[book]):
                best[book] = tick
            resting[book] += 1
            price = (opening[symbol] + tick - (width >> 1)) * 100
            if kind == _U:
                at = _head(out, at, 35, 85, symbol + 1, ts)
                at = _put(out, _put(out, at, old_reference, 8), reference[slot], 8)
                at = _put(out, _put(out, at, shares, 4), price, 4)
            else:
                at = _head(out, at, 36 if kind == _A else 40, 65 if kind == _A else 70, symbol + 1, ts)
                at = _put(out, at, reference[slot], 8)
                out[at] = 83 if side else 66
                at = _put(out, at + 1, shares, 4)
                at = _stock(out, at, symbol + 1)
                at = _put(out, at, price, 4)
                if kind == _F:
                    at = _put(out, at, 0x4E4F4E45, 4)  # MPID
    at = _put(out, _head(out, at, 12, 83, 0, ts + 1), 67, 1)  # S: C
    return at, peak, counts


def itch_day(
    messages: int,
    symbols: int,
    seed: int = 2017,
    session_ns: int = SESSION_NS,
    live_max: int = 1 << 31,
    spread_percent: int = 72,
) -> tuple[np.ndarray[Any, Any], dict[str, int]]:
    """Make an ITCH 5.0 day.

    Parameters
    ----------
    messages : int
        Messages in the file, the directory (one R per symbol) and three system events included.
    symbols : int
        Symbols, numbered from 1 as stock locate and named S00001 onwards; at most 65,535.
    seed : int
        Seed of everything random.
    session_ns : int
        Length of the session in nanoseconds; messages are spread evenly over it.
    live_max : int
        From this many resting orders on, an order is deleted where one would have been added.
    spread_percent : int
        Chance in a hundred that a new order lies one tick further from the touch, and so on: 72 keeps most of a queue
        within a few ticks, 90 spreads it over some twenty.

    Returns
    -------
    bytes : numpy.ndarray
        The file's content, uint8, shape (size,).
    facts : dict
        Counts by message type, and `live_peak`, the largest number of resting orders.
    """
    if not 0 < symbols <= 65_535 or messages < symbols + 3:
        raise ValueError(f"a day of {messages} messages cannot hold the directory of {symbols} symbols")
    weights = np.arange(1, symbols + 1) ** -ZIPF_EXPONENT
    cumulative = np.cumsum(weights) / weights.sum()
    # Opening prices in cents, from 50 to 500 dollars: the ladder's half width keeps below every one of them.
    opening = 5_000 + np.random.default_rng(seed).integers(0, 45_000, symbols)
    mix = np.array(MIX_8K if symbols >= 1_000 else MIX_100, np.int64)
    out = np.empty(messages * BYTES_PER_MESSAGE_MAX + symbols * 41 + 4_096, np.uint8)
    size, peak, counts = _write_day(
        out,
        messages,
        symbols,
        mix,
        cumulative,
        np.uint64(seed),
        opening,
        session_ns,
        np.array([live_max, spread_percent]),
    )
    facts = dict(zip("AFDUEXPC", (int(count) for count in counts), strict=True))
    return out[:size], {**facts, "S": 3, "R": symbols, "live_peak": int(peak)}


def write_itch_day(path: Path, messages: int, symbols: int) -> dict[str, int]:
    """Write a day to a file and return its facts (see `itch_day`)."""
    content, facts = itch_day(messages, symbols)
    content.tofile(path)
    return facts
