"""Continuous matching by example: what each kind of order does, as the feed and the reports tell it."""

import pytest

from nanotick.core.arena import Arena
from nanotick.core.instruments import Instrument
from nanotick.core.records import CancelReason, CommandFlag, Kind, OrderType, RejectReason, TimeInForce
from nanotick.exchange.market import ExchangeConfig, Feeds, MarketRules, MatchingExchange, Participant, SelfTrade

SIZES = {"max_orders": 1 << 12, "max_levels": 1 << 10}


def make(feeds=Feeds.ORDERS, **config):
    rules = config.pop("rules", MarketRules(feeds=feeds))
    arena = Arena(MatchingExchange.reserve(2, **SIZES) + (8 << 20))
    items = [Instrument("ABC", "SIM"), Instrument("XYZ", "SIM")]
    return MatchingExchange(arena, items, ExchangeConfig(rules=rules, **config), book=SIZES)


def told(exchange):
    owners, rows = exchange.owned_reports()
    return [(int(o), Kind(r["kind"]).name, int(r["price"]), int(r["qty"])) for o, r in zip(owners, rows, strict=True)]


def public(exchange):
    return [(Kind(e["kind"]).name, int(e["side"]), int(e["price"]), int(e["qty"])) for e in exchange.events()]


def test_orders_meet_in_price_then_time_priority():
    x = make()
    x.submit(0, 1, 1, 100, 9_999, participant=1)
    x.submit(0, 1, 1, 100, 10_000, participant=2)
    x.submit(0, 1, 1, 100, 10_000, participant=3)
    x.reports()
    x.submit(0, 1, -1, 250, 9_999, participant=4)
    fills = [row for row in told(x) if row[1] == "FILL"]
    assert [row for row in fills if row[0] != 4] == [
        (2, "FILL", 10_000, 100),
        (3, "FILL", 10_000, 100),
        (1, "FILL", 9_999, 50),
    ]
    assert x.book.best_qty(0, 1) == 50
    x.check()


def test_fok_is_filled_whole_or_not_at_all():
    x = make()
    x.submit(0, 1, -1, 100, 10_000, participant=1)
    x.submit(0, 1, 1, 101, 10_000, participant=2, tif=TimeInForce.FOK)
    assert told(x)[-1] == (2, "CANCELLED", 10_000, 101)
    x.submit(0, 2, 1, 100, 10_000, participant=2, tif=TimeInForce.FOK)
    assert told(x)[-1] == (2, "FILL", 10_000, 100)


def test_post_only_is_refused_or_slides():
    x = make()
    x.submit(0, 1, -1, 100, 10_000, participant=1)
    flags = int(CommandFlag.POST_ONLY)
    assert x.submit(0, 1, 1, 10, 10_000, participant=2, flags=flags) == RejectReason.POST_ONLY_WOULD_CROSS
    x.reports()
    x.submit(0, 2, 1, 10, 10_005, participant=2, flags=flags | CommandFlag.SLIDE)
    assert told(x) == [(2, "ACCEPTED", 9_999, 10)]
    assert x.book.best_price(0, 1) == 9_999


def test_replace_keeps_its_place_only_when_it_shrinks():
    x = make()
    x.submit(0, 1, 1, 100, 10_000, participant=1)
    x.submit(0, 1, 1, 100, 10_000, participant=2)
    x.events()
    x.replace(0, 1, 10_000, 60, participant=1)
    assert public(x) == [("REDUCE", 1, 10_000, 40)]
    x.reports()
    x.submit(0, 1, -1, 60, 10_000, participant=3)
    assert told(x)[1][0] == 1
    x.submit(0, 2, 1, 50, 10_000, participant=1)
    x.replace(0, 1, 10_000, 150, participant=2)
    x.reports()
    x.submit(0, 2, -1, 50, 10_000, participant=3)
    assert told(x)[1][0] == 1
    x.check()


def test_an_iceberg_shows_its_next_piece_at_the_back_of_the_queue():
    x = make()
    x.submit(0, 1, -1, 250, 10_000, participant=1, flags=CommandFlag.ICEBERG, stop_price=100)
    x.submit(0, 1, -1, 100, 10_000, participant=2)
    x.reports()
    x.events()
    x.submit(0, 1, 1, 300, 10_000, participant=3)
    makers = [row[0] for row in told(x) if row[1] == "FILL" and row[0] != 3]
    assert makers == [1, 2, 1]
    assert [row[0] for row in public(x)] == ["EXECUTE", "ADD", "EXECUTE", "EXECUTE", "ADD"]
    assert x.book.best_qty(0, -1) == 50


def test_a_stop_waits_until_the_market_trades_there():
    x = make()
    x.submit(0, 1, -1, 100, 10_002, participant=1)
    x.submit(0, 1, 1, 10, 0, participant=2, order_type=OrderType.STOP, stop_price=10_001)
    assert public(x) == [("ADD", -1, 10_002, 100)]
    x.submit(0, 2, -1, 10, 10_001, participant=1)
    x.reports()
    x.submit(0, 1, 1, 10, 10_001, participant=3)
    assert (2, "TRIGGERED", 10_001, 10) in (rows := told(x))
    assert (2, "FILL", 10_002, 10) in rows


@pytest.mark.parametrize(
    "mode, expected",
    [
        (SelfTrade.NONE, [(1, "FILL", 10_000, 60), (2, "FILL", 10_000, 60)]),
        (SelfTrade.CANCEL_NEWEST, [(2, "CANCELLED", 10_000, 60)]),
        (SelfTrade.CANCEL_OLDEST, [(1, "CANCELLED", 10_000, 100)]),
        (SelfTrade.CANCEL_BOTH, [(1, "CANCELLED", 10_000, 100), (2, "CANCELLED", 10_000, 60)]),
        (SelfTrade.DECREMENT, [(1, "REPLACED", 10_000, 40), (2, "CANCELLED", 10_000, 60)]),
    ],
)
def test_self_trade_prevention(mode, expected):
    x = make(participants={1: Participant(firm=7), 2: Participant(firm=7, self_trade=mode)})
    x.submit(0, 1, -1, 100, 10_000, participant=1)
    x.submit(0, 1, 1, 60, 10_000, participant=2)
    assert told(x)[2:] == expected
    x.check()


def test_pegs_follow_the_market_unseen():
    x = make()
    x.submit(0, 1, 1, 100, 9_990, participant=1)
    x.submit(0, 2, -1, 100, 10_010, participant=1)
    x.events()
    x.submit(0, 1, 1, 100, 0, participant=2, order_type=OrderType.PEG_MID)
    assert public(x) == []
    x.submit(0, 3, 1, 100, 9_996, participant=1)
    x.reports()
    x.events()
    x.submit(0, 1, -1, 30, 10_000, participant=3)
    assert told(x)[1] == (2, "FILL", 10_003, 30)
    assert public(x) == [("TRADE", -1, 10_003, 30)]
    x.check()


def test_good_till_date_ends_by_the_clock():
    x = make()
    x.submit(0, 1, 1, 100, 9_990, participant=1, tif=TimeInForce.GTD, expire_s=10)
    x.submit(0, 2, 1, 100, 9_990, participant=1, tif=TimeInForce.GTD, expire_s=5)
    assert x.next_deadline == 5_000_000_000
    x.reports()
    assert x.clock(4_999_999_999) == 0
    assert x.clock(5_000_000_000) == 1
    rows = x.reports()
    assert int(rows[0]["id"]) == 2 and int(rows[0]["word"]) == CancelReason.GTD_EXPIRED
    assert x.next_deadline == 10_000_000_000


def test_min_qty_holds_for_the_first_execution():
    x = make()
    x.submit(0, 1, -1, 40, 10_000, participant=1)
    x.submit(0, 1, 1, 100, 10_000, participant=2, flags=CommandFlag.MIN_QTY, stop_price=50)
    assert told(x)[-1] == (2, "CANCELLED", 10_000, 100)
    x.submit(0, 2, -1, 40, 10_000, participant=1)
    x.submit(0, 2, 1, 100, 10_000, participant=2, flags=CommandFlag.MIN_QTY, stop_price=50)
    assert x.book.best_qty(0, 1) == 20


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"instrument": 2}, RejectReason.UNKNOWN_INSTRUMENT),
        ({"participant": 5_000}, RejectReason.UNKNOWN_PARTICIPANT),
        ({"ident": 0}, RejectReason.INVALID_ID),
        ({"ident": 1 << 44}, RejectReason.INVALID_ID),
        ({"side": 0}, RejectReason.UNSUPPORTED),
        ({"price": 0}, RejectReason.INVALID_PRICE),
        ({"qty": 0}, RejectReason.INVALID_QUANTITY),
        ({"qty": -1}, RejectReason.INVALID_QUANTITY),
        ({"order_type": 6}, RejectReason.UNSUPPORTED),
        ({"flags": 1, "tif": TimeInForce.IOC}, RejectReason.UNSUPPORTED),
        ({"tif": TimeInForce.GTD, "expire_s": 0}, RejectReason.TOO_LATE),
        ({"ident": 99}, RejectReason.DUPLICATE_ID),
        ({"flags": 2}, RejectReason.REDUCE_ONLY),
    ],
)
def test_every_refusal_has_its_reason(change, reason):
    x = make()
    x.submit(0, 99, 1, 10, 9_000)
    x.reports()
    order = {"instrument": 0, "ident": 1, "side": 1, "qty": 10, "price": 10_000, **change}
    assert x.submit(**order) == reason
    (row,) = x.reports()
    assert (row["kind"], row["word"]) == (Kind.REJECTED, reason)
