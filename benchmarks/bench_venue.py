"""What the venue side of a replay costs a recorded row: the book alone, and with one and with ten orders of ours in it.

The input is the seeded price-level market of `level_stream`. Every 5,000 rows (about ten seconds of it) our orders are
cancelled and placed anew within five ticks of the touch, so that they keep meeting level changes and trades.
"""

from functools import cache
from typing import Any

import numpy as np

from benchmarks.level_stream import as_events, market_rows
from benchmarks.registry import benchmark
from benchmarks.timing import median_cpu_seconds
from nanotick.book import BookStore
from nanotick.book.apply import apply_events
from nanotick.core.arena import Arena
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import COMMAND, RECORD_SIZE, Kind
from nanotick.exchange import ALL_STRATEGIES, ReplayVenue, VenueConfig

ROWS = 2_000_000
CHUNK = 5_000


@cache
def _events() -> np.ndarray[Any, Any]:
    return as_events(market_rows(ROWS))


def _command(kind: Kind, ident: int = 0, side: int = 0, price: int = 0) -> np.ndarray[Any, Any]:
    row = np.zeros(1, COMMAND)
    row["kind"], row["id"], row["side"], row["price"], row["qty"] = kind, ident, side, price, 1
    row["strategy"] = ALL_STRATEGIES if kind == Kind.CANCEL_ALL else 0
    return row


def _venue() -> ReplayVenue:
    instrument = Instrument("BENCH", price_decimals=1, qty_decimals=3, tick_size="0.1", lot_size="0.001")
    return ReplayVenue(
        Arena(4 << 30), InstrumentTable([instrument]), VenueConfig(queue="power_prob3"), max_orders=1 << 14
    )


def _replay(venue: ReplayVenue, orders: int) -> int:
    events = _events()
    ident, generation = 0, 0
    for start in range(0, len(events), CHUNK):
        if orders:
            now = int(events[start]["ts_venue"])
            venue.command(_command(Kind.CANCEL_ALL), now)
            bid, ask = venue.book.best_price(0, 1), venue.book.best_price(0, -1)
            generation += 1
            for i in range(orders if start else 0):
                ident = (generation << 20) | i
                side = 1 if i % 2 == 0 else -1
                price = bid - i // 2 if side == 1 else ask + i // 2
                venue.command(_command(Kind.NEW, ident, side, price), now)
            venue.reports()
        chunk = events[start : start + CHUNK]
        if venue.events(chunk):
            raise RuntimeError(f"venue status {venue.status!r}")
    return len(venue.reports())


def _ns_a_row(orders: int) -> float:
    return median_cpu_seconds(lambda venue: _replay(venue, orders), _venue) / ROWS * 1e9


@benchmark("venue_book", "the book alone, price-level rows", unit="ns/row")
def venue_book() -> float:
    events = _events()

    def prepare() -> BookStore:
        return BookStore(Arena(4 << 30), "book", 1)

    def run(book: BookStore) -> None:
        apply_events(book.address, events.ctypes.data, len(events), 0)

    assert events.itemsize == RECORD_SIZE
    return median_cpu_seconds(run, prepare) / ROWS * 1e9


@benchmark("venue_0", "venue side of a replay, no orders of ours", unit="ns/row")
def venue_0() -> float:
    return _ns_a_row(0)


@benchmark("venue_1", "venue side of a replay, one order of ours", unit="ns/row")
def venue_1() -> float:
    return _ns_a_row(1)


@benchmark("venue_10", "venue side of a replay, ten orders of ours", unit="ns/row")
def venue_10() -> float:
    return _ns_a_row(10)
