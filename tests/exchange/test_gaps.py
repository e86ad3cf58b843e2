"""A gap in the recording invents no fills; a broken trade takes back what it gave."""

import pytest

from nanotick.core.records import Flag, Kind, RejectReason, ReportFlag, TimeInForce, TradingStatus
from nanotick.exchange import VenueConfig
from tests.exchange.records_of import command, event, fills, level, told, trade, venue

SNAPSHOT, LAST = int(Flag.SNAPSHOT), int(Flag.LAST)


def resting(config=None, rows=()):
    """A venue with 100 x 50 bid, 102 x 50 asked, and our bid of 10 at 100."""
    made = venue(config)
    for row in rows or (level(1, 1, 100, 50), level(1, -1, 102, 50)):
        made.events(row)
    made.command(command(Kind.NEW, 1, 1, 100, 10), 2)
    made.reports()
    return made


def gap(ts):
    return event(Kind.GAP, ts, word=3)


def snapshot(made, ts, levels):
    made.events(event(Kind.CLEAR, ts, flags=SNAPSHOT))
    for n, (side, price, qty) in enumerate(levels):
        row = level(ts, side, price, qty)
        row["flags"] = SNAPSHOT | (LAST if n == len(levels) - 1 else 0)
        made.events(row)


def test_nothing_is_filled_in_a_gap_and_the_queue_starts_anew_after_it():
    made = resting()
    assert made.ahead(1) == 50
    made.events(level(3, 1, 100, 20))
    assert made.ahead(1) == 20
    made.events(gap(4))
    for row in (trade(5, -1, 100, 500), trade(5, -1, 95, 500), level(6, -1, 99, 10), level(7, 1, 100, 1)):
        made.events(row)
    assert not len(made.reports())
    snapshot(made, 8, [(1, 100, 35), (1, 99, 5), (-1, 101, 5)])
    assert not len(made.reports())
    assert made.ahead(1) == 35
    made.events(trade(9, -1, 100, 36))
    assert [f[:3] for f in fills(made.reports())] == [(1, 100, 1)]


def test_what_the_rebuilt_book_has_reached_is_filled_at_its_limit():
    made = resting()
    made.events(gap(4))
    snapshot(made, 8, [(1, 97, 35), (-1, 99, 5)])
    assert [f[:3] for f in fills(made.reports())] == [(1, 100, 10)]


def test_differences_alone_do_not_end_a_gap():
    made = resting()
    made.events(gap(4))
    row = level(5, -1, 99, 10)
    row["flags"] = LAST
    made.events(row)
    made.events(trade(6, -1, 100, 500))
    assert not len(made.reports())


def test_orders_sent_in_a_gap_rest_or_are_cancelled_and_can_be_cancelled():
    made = resting()
    made.events(gap(4))
    made.command(command(Kind.NEW, 2, 1, 102, 10, tif=int(TimeInForce.IOC)), 5)
    made.command(command(Kind.NEW, 3, 1, 99, 10), 5)
    made.command(command(Kind.CANCEL, 1), 6)
    kinds = [t[0] for t in told(made.reports())]
    assert kinds == ["ACCEPTED", "CANCELLED", "ACCEPTED", "CANCELLED"]
    snapshot(made, 8, [(1, 99, 7), (-1, 102, 5)])
    assert made.ahead(3) == 7


def test_a_halt_within_a_gap_outlasts_it():
    made = resting()
    made.events(gap(4))
    made.events(event(Kind.STATUS, 5, word=int(TradingStatus.HALTED)))
    snapshot(made, 6, [(1, 97, 35), (-1, 99, 5)])
    assert not len(made.reports())
    made.events(event(Kind.STATUS, 7, word=int(TradingStatus.TRADING)))
    assert len(fills(made.reports())) == 1


def test_a_feed_of_quotes_is_whole_with_its_next_quote():
    made = resting(rows=[event(Kind.QUOTE, 1, 100, 50, ident=102, word=50)])
    made.events(gap(4))
    made.events(trade(5, -1, 99, 500))
    assert not len(made.reports())
    made.events(event(Kind.QUOTE, 6, 100, 80, ident=102, word=50))
    assert made.ahead(1) == 80
    made.events(trade(7, -1, 99, 500))
    assert len(fills(made.reports())) == 1


def test_exact_queues_start_anew_after_a_gap():
    made = resting(rows=[event(Kind.ADD, 1, 100, 50, 1, ident=7), event(Kind.ADD, 1, 102, 50, -1, ident=8)])
    made.events(event(Kind.REDUCE, 3, qty=45, ident=7))
    assert made.ahead(1) == 5
    made.events(gap(4))
    made.events(event(Kind.CLEAR, 5, flags=SNAPSHOT))
    made.events(event(Kind.ADD, 5, 100, 30, 1, ident=9, flags=SNAPSHOT | LAST))
    assert made.ahead(1) == 30
    made.events(event(Kind.EXECUTE, 6, 100, 30, ident=9))
    assert not fills(made.reports())
    made.events(event(Kind.ADD, 7, 100, 5, 1, ident=10))
    made.events(event(Kind.EXECUTE, 8, 100, 5, ident=10))
    assert [f[:3] for f in fills(made.reports())] == [(1, 100, 5)]


def test_gaps_can_be_ignored_by_name():
    made = resting(VenueConfig(gaps="ignore"))
    made.events(gap(4))
    made.events(trade(5, -1, 99, 500))
    assert len(fills(made.reports())) == 1


@pytest.mark.parametrize("kind", [Kind.TRADE, Kind.EXECUTE])
def test_a_broken_trade_takes_back_the_fills_it_gave_and_no_others(kind):
    made = resting(rows=[event(Kind.ADD, 1, 100, 50, 1, ident=7), event(Kind.ADD, 1, 102, 50, -1, ident=8)])
    made.events(event(Kind.DELETE, 3, ident=7))
    made.events(event(Kind.ADD, 4, 100, 50, 1, ident=9))
    for number in (41, 42):
        if kind == Kind.TRADE:
            made.events(event(Kind.TRADE, 5, 99, 3, -1, ident=number))
            break
        made.events(event(Kind.EXECUTE, 5, 100, 3, ident=9, word=number))
    given = [r for r in made.reports() if r["kind"] == Kind.FILL]
    broken = 41
    made.events(event(Kind.BREAK, 6, ident=99))
    assert not len(made.reports())
    made.events(event(Kind.BREAK, 6, ident=broken))
    made.events(event(Kind.BREAK, 7, ident=broken))
    (bust,) = made.reports()
    assert bust["kind"] == Kind.FILL_BUST
    for name in ("id", "seq", "price", "qty", "word", "side", "instrument"):
        assert bust[name] == given[0][name]
    assert made.address and int(made._arena["venue.markets"].view[0]["position"]) == sum(
        int(g["qty"]) for g in given[1:]
    )


def test_a_fill_by_taking_belongs_to_no_recorded_trade():
    made = resting()
    made.events(trade(3, 1, 102, 1))
    made.command(command(Kind.NEW, 2, 1, 102, 5), 4)
    assert len(fills(made.reports())) == 1
    made.events(event(Kind.BREAK, 5, ident=0))
    assert not len(made.reports())


def test_a_refused_replace_says_that_it_was_one():
    made = resting()
    made.command(command(Kind.REPLACE_ORDER, 1, 1, -5, 10), 3)
    made.command(command(Kind.REPLACE_ORDER, 77, 1, 100, 10), 3)
    made.command(command(Kind.CANCEL, 78, 1), 3)
    rows = made.reports()
    assert [int(r["kind"]) for r in rows] == [int(Kind.CANCEL_REJECTED)] * 3
    assert [int(r["flags"]) for r in rows] == [ReportFlag.OF_REPLACE, ReportFlag.OF_REPLACE, 0]
    assert [int(r["word"]) for r in rows][1:] == [int(RejectReason.UNKNOWN_ORDER)] * 2
