"""Seeded streams for the tests of whole streams: events of every kind, and ITCH messages, sound and unsound.

Run as a program it applies events to a store and prints a digest of everything that came of it.
"""

import random
import sys

import numpy as np

from nanotick.book import BookStore, apply_events
from nanotick.core.arena import Arena
from nanotick.core.records import EVENT, Kind
from nanotick.wire.itch import encode

INSTRUMENTS = 3


def make_books(instruments=INSTRUMENTS, ticks=1, orders=2048, levels=2048):
    arena = Arena(BookStore.reserve(instruments, orders, levels) + (1 << 20))
    return arena, BookStore(arena, "book", instruments, ticks, max_orders=orders, max_levels=levels)


def random_events(seed, count):
    """Mostly sensible events of all kinds, with one field in twenty replaced by anything at all."""
    rng = random.Random(seed)
    events = np.zeros(count, EVENT)
    kinds = [Kind.ADD] * 8 + [Kind.LEVEL] * 6 + list(Kind)[:9] * 2 + list(Kind)
    for n, row in enumerate(events):
        row["kind"] = rng.choice(kinds)
        row["instrument"] = rng.randrange(INSTRUMENTS)
        row["side"] = rng.choice([1, -1])
        row["price"] = rng.randint(-60, 60)
        row["qty"] = rng.randint(0 if row["kind"] in (Kind.LEVEL, Kind.QUOTE) else 1, 40)
        row["id"] = rng.randint(max(0, n - 100), n)
        row["word"] = rng.randint(max(0, n - 100), n + 5)
        row["ts_venue"] = 1_000 + n - rng.choice([0, 0, 0, 30])
        if row["kind"] == Kind.CLEAR and rng.random() < 0.9:
            row["kind"] = Kind.TRADE
        if rng.random() < 0.05:
            field = rng.choice(["price", "qty", "id", "word", "instrument", "side", "kind", "flags", "ts_venue"])
            low, high = np.iinfo(EVENT[field]).min, np.iinfo(EVENT[field]).max
            row[field] = rng.choice([low, high, rng.randint(low, high), 0])
    return events


def random_itch(seed, count, symbols=INSTRUMENTS):
    """ITCH frames of all message types that touch orders and some that do not."""
    rng = random.Random(seed)
    out, next_id, known = bytearray(), 10, [10]
    for n in range(count):
        values = {"stock_locate": rng.randint(1, symbols), "tracking_number": 0, "timestamp": 34_200 * 10**9 + n}
        letter = rng.choice("AAAAAAFDDDDUUEEXCPSQHR" if rng.random() < 0.97 else "NYB")
        order = rng.choice(known[-200:]) if rng.random() < 0.97 else rng.getrandbits(64)
        shares = rng.randint(1, 300) if rng.random() < 0.99 else 0
        price = 100 * rng.randint(9_900, 10_100) if rng.random() < 0.99 else rng.getrandbits(32)
        values |= {"type": letter, "order": order, "shares": shares, "price": price, "match": n}
        if letter in "AFU":
            next_id += rng.choice([1, 1, 2, 3])
            new = next_id if rng.random() < 0.95 else order
            known.append(new)
            values["new_order" if letter == "U" else "order"] = new
        values |= {"side": rng.choice([b"B", b"S"]) if rng.random() < 0.99 else b"?", "stock": b"X       "}
        values |= {"attribution": b"NONE", "printable": b"Y", "event_code": b"Q", "cross_type": b"O"}
        values |= {"trading_state": b"T", "reserved": b" ", "reason": b"    ", "interest": b"N", "reg_sho_action": b"0"}
        if letter == "R":
            out += len(message := b"R" + bytes(38)).to_bytes(2, "big") + message
            continue
        message = encode(values)
        out += len(message).to_bytes(2, "big") + message
    return bytes(out)


def stream_digest(seed, count):
    arena, books = make_books()
    events, changes = random_events(seed, count), np.zeros(count, np.int64)
    apply_events(books.address, events.ctypes.data, count, changes.ctypes.data)
    for i in range(INSTRUMENTS):
        books.check(i)
    return f"{arena.digest().hex()} {changes.tobytes().hex()}"


if __name__ == "__main__":
    print(stream_digest(int(sys.argv[1]), int(sys.argv[2])))
