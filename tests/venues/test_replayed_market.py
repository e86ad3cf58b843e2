"""Recorded liquidity behind a desk: the recording's book, and our orders in it."""

from __future__ import annotations

import numpy as np
import pytest

from nanotick.book import BookStore
from nanotick.book.apply import apply_events
from nanotick.cli.app import run
from nanotick.core.arena import Arena
from nanotick.core.instruments import Instrument
from nanotick.core.records import BOTH_SIDES, EVENT, Flag, Kind, TradingStatus
from nanotick.data.eventfile import EventFile, write_events
from nanotick.venues.desk import Desk
from nanotick.venues.desk_orders import DeskOrder
from nanotick.venues.desk_terms import Account, Money, VenueTerms
from nanotick.venues.paced_market import PacedMarket
from nanotick.venues.replayed import ReplayedError, ReplayedMarket
from nanotick.wire.requests import Entry
from tests.venues.hosts import ScriptedHost

SECOND = 10**9
START = 1_767_600_000 * SECOND
ITEM = Instrument("AAA", "XNAS")


def row(second, kind, side=0, price=0, qty=0, ident=0, word=0, flags=0):
    stamp = START + int(second * SECOND)
    return (
        stamp, stamp, 0, price, qty, ident, word, 0, 0, int(kind), side, int(flags) | BOTH_SIDES | int(Flag.LAST)
    )  # fmt: skip


def venue(tmp_path, rows, **settings):
    events = np.array([row(0, Kind.SYSTEM), *rows, row(100, Kind.SYSTEM)], dtype=EVENT)
    path = tmp_path / "day.nt"
    write_events(path, [events], [ITEM], {"source": "test"})
    host = ScriptedHost()
    market = PacedMarket(host, ReplayedMarket(path, **settings), warm_up=0)
    account = Account("key", balances={"USD": "1000000"})
    desk = Desk(host, market, accounts=[account], terms=VenueTerms(money=Money.MARGIN))
    desk.start()
    return host, desk, desk.accounts["key"]


BOOK = [
    row(1, Kind.ADD, 1, 4990, 100, 1), row(1, Kind.ADD, 1, 4995, 200, 2), row(1, Kind.ADD, -1, 5005, 300, 3),
    row(1, Kind.ADD, -1, 5010, 400, 4),
]  # fmt: skip


def depth(desk):
    found = desk.depth("AAA", 10)
    return found.bids, found.asks


def test_the_book_is_the_recordings_at_every_time(tmp_path):
    rows = [
        *BOOK, row(2, Kind.REDUCE, qty=50, ident=2), row(3, Kind.DELETE, ident=1),
        row(4, Kind.EXECUTE, qty=120, ident=3),
        row(5, Kind.REPLACE, price=5000, qty=70, ident=4, word=9), row(6, Kind.MODIFY, price=4995, qty=90, ident=2),
        row(7, Kind.EXECUTE, qty=70, ident=9), row(8, Kind.CLEAR),
    ]  # fmt: skip
    host, desk, _ = venue(tmp_path, rows)
    host.run(1.5)
    assert depth(desk) == ([("49.95", "200"), ("49.9", "100")], [("50.05", "300"), ("50.1", "400")])
    host.run(3)
    assert depth(desk) == ([("49.95", "150")], [("50.05", "180"), ("50.1", "400")])
    host.run(1)
    assert depth(desk)[1] == [("50", "70"), ("50.05", "180")]
    host.run(2)
    assert depth(desk) == ([("49.95", "90")], [("50.05", "180")])
    host.run(1)
    assert depth(desk) == ([], [])


def test_our_order_waits_behind_what_was_there(tmp_path):
    rows = [
        *BOOK, row(3, Kind.EXECUTE, qty=150, ident=2), row(4, Kind.EXECUTE, qty=50, ident=2),
        row(5, Kind.ADD, 1, 4995, 80, 7), row(6, Kind.EXECUTE, qty=60, ident=7),
    ]  # fmt: skip
    host, desk, me = venue(tmp_path, rows)
    host.run(2)
    order = desk.enter(me, Entry("AAA", "a", 1, "40", "49.95"))
    assert isinstance(order, DeskOrder)
    host.run(2.5)
    assert order.filled == "0"  # 200 were ahead of it, and 200 were executed
    host.run(2)
    assert (
        order.filled == "40" and order.fills[0].maker
    )  # the order that came later was executed: ours stands before it


def test_what_we_take_is_gone(tmp_path):
    rows = [*BOOK, row(3, Kind.REDUCE, qty=100, ident=3), row(4, Kind.DELETE, ident=3)]
    host, desk, me = venue(tmp_path, rows)
    host.run(2)
    taken = desk.enter(me, Entry("AAA", "a", 1, "250", order_type=1))
    assert taken.state == "filled" and taken.average_price == "50.05"
    assert depth(desk)[1] == [("50.05", "50"), ("50.1", "400")]
    host.run(1.5)
    assert depth(desk)[1] == [("50.1", "400")]  # a hundred of the fifty left were taken off
    host.run(1)
    assert depth(desk)[1] == [("50.1", "400")]


def test_levels_and_their_trades_make_a_book_too(tmp_path):
    rows = [
        row(1, Kind.LEVEL, 1, 4990, 100), row(1, Kind.LEVEL, -1, 5000, 200), row(3, Kind.TRADE, 1, 5000, 80, ident=1),
        row(3, Kind.LEVEL, -1, 5000, 120), row(4, Kind.LEVEL, -1, 5000, 150), row(5, Kind.TRADE, 1, 5000, 150, ident=2),
        row(5, Kind.LEVEL, -1, 5000, 0), row(6, Kind.LEVEL, 1, 4990, 0), row(6, Kind.LEVEL, 1, 4995, 10),
    ]  # fmt: skip
    host, desk, me = venue(tmp_path, rows)
    host.run(2)
    ours = desk.enter(me, Entry("AAA", "a", -1, "30", "50.00"))
    assert depth(desk)[1] == [("50", "230")]
    host.run(1.5)
    assert depth(desk)[1] == [("50", "150")] and ours.filled == "0"
    host.run(1)
    assert depth(desk)[1] == [("50", "180")]
    host.run(1)
    assert ours.filled == "30"
    host.run(1)
    assert depth(desk) == ([("49.95", "10")], [])


def test_quotes_make_a_book_of_one_level(tmp_path):
    rows = [
        row(1, Kind.QUOTE, price=4990, qty=5, ident=5000, word=7),
        row(2, Kind.QUOTE, price=4991, qty=6, ident=5000, word=8),
    ]
    host, desk, _ = venue(tmp_path, rows)
    host.run(1.5)
    assert depth(desk) == ([("49.9", "5")], [("50", "7")])
    host.run(1)
    assert depth(desk) == ([("49.91", "6")], [("50", "8")])


def test_a_halt_stops_trading_until_it_is_over(tmp_path):
    rows = [*BOOK, row(2, Kind.STATUS, word=TradingStatus.HALTED), row(4, Kind.STATUS, word=TradingStatus.TRADING)]
    host, desk, me = venue(tmp_path, rows)
    host.run(3)
    assert not isinstance(desk.enter(me, Entry("AAA", "a", 1, "1", order_type=1)), DeskOrder)
    host.run(2)
    assert desk.enter(me, Entry("AAA", "b", 1, "1", order_type=1)).state == "filled"


def test_the_session_ends_with_the_recording(tmp_path):
    host, desk, _ = venue(tmp_path, BOOK)
    host.run(99)
    assert desk.market.is_open
    host.run(2)
    assert not desk.market.is_open


def test_a_recording_without_the_symbol_is_refused(tmp_path):
    with pytest.raises(ReplayedError, match="no symbol 'BBB'; there are AAA@XNAS"):
        venue(tmp_path, BOOK, symbols=("BBB",))
    assert len(EventFile.open(tmp_path / "day.nt")) == 6


def test_a_recorded_day_replayed_is_the_recorded_day(shared_data, tmp_path):
    """GOOG of 2012-06-21 (LOBSTER): the exchange's book equals the book of the events, at sixty times of the day."""
    path = tmp_path / "day.nt"
    source = shared_data / "lobster" / "GOOG_2012-06-21_10.zip"
    if not source.exists():
        pytest.skip(f"{source} is not there")
    assert run(["data", "convert", str(source), "-o", str(path)]) == 0
    host, source = ScriptedHost(), ReplayedMarket(path)
    desk = Desk(host, PacedMarket(host, source, speed=100, warm_up=0), accounts=[Account("key")])
    desk.start()
    events = EventFile.open(path).events
    events = events[(events["flags"] & int(Flag.LOCAL) != 0) & (events["kind"] < 32)].copy()
    book, done = BookStore(Arena(4 << 30), "reference", 1, [1]), 0
    for _ in range(60):
        host.run(3.9)
        apply_events(book.address, events.ctypes.data + 64 * done, source.rows - done, 0)
        done = source.rows
        for side in (1, -1):
            assert desk.exchange.book.depth(0, side, 5).tolist() == book.depth(0, side, 5).tolist()
    assert done == len(events) and source.refused == 0
