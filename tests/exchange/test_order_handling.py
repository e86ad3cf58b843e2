"""What becomes of one order: taking, resting, stops, amendments, halts, auctions, snapshots; and why."""

import numpy as np
import pytest

from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import (
    CancelReason,
    CommandFlag,
    FillReason,
    Flag,
    Kind,
    OrderType,
    RejectReason,
    TimeInForce,
    TradingStatus,
)
from nanotick.exchange import ConfigError, VenueConfig, VenueStatus, venue_config
from tests.exchange.records_of import command, event, fills, level, told, trade, venue

TOOK = FillReason.TOOK_LIQUIDITY


def market(config=None, **sizes):
    """Bids 99, 98 and asks 101, 102 of ten each."""
    place = venue(config, **sizes)
    for n in range(2):
        place.events(level(1, 1, 99 - n, 10))
        place.events(level(1, -1, 101 + n, 10))
    return place


def new(place, ident, side, price, qty, now=5, **kwargs):
    place.command(command(Kind.NEW, ident, side, price, qty, **kwargs), now)
    return place.reports()


def test_marketable_orders_walk_the_display_and_never_beyond_it():
    place = market()
    reports = new(place, 1, 1, 0, 25, order_type=OrderType.MARKET)
    assert told(reports) == [
        ("ACCEPTED", 0, 25, 1),
        ("FILL", 101, 10, 0),
        ("FILL", 102, 10, 0),
        ("CANCELLED", 0, 5, CancelReason.NO_LIQUIDITY),
    ]
    place = market()
    reports = new(place, 1, 1, 101, 25)
    assert told(reports) == [("ACCEPTED", 101, 25, 1), ("FILL", 101, 10, 0)]
    assert new(place, 2, -1, 101, 5, order_type=OrderType.LIMIT)[-1]["word"] == CancelReason.SELF_TRADE


def test_nothing_fills_on_an_empty_side():
    place = venue()
    place.events(level(1, 1, 99, 10))
    assert told(new(place, 1, 1, 0, 5, order_type=OrderType.MARKET))[1:] == [
        ("CANCELLED", 0, 5, CancelReason.NO_LIQUIDITY)
    ]
    assert told(new(place, 2, 1, 200, 5, tif=TimeInForce.IOC))[1:] == [("CANCELLED", 200, 5, CancelReason.IOC_REST)]
    assert told(new(place, 3, 1, 200, 5, tif=TimeInForce.FOK))[1:] == [("CANCELLED", 200, 5, CancelReason.FOK_UNFILLED)]


@pytest.mark.parametrize(("depletion", "second"), [(True, []), (False, [(2, 101, 10, TOOK, False)])])
def test_displayed_quantity_is_not_taken_twice(depletion, second):
    place = market(VenueConfig(depletion=depletion))
    new(place, 1, 1, 101, 10, tif=TimeInForce.IOC)
    assert fills(new(place, 2, 1, 101, 10, tif=TimeInForce.IOC)) == second
    place.events(level(6, -1, 101, 10))  # the feed tells the level again
    assert fills(new(place, 3, 1, 101, 10, tif=TimeInForce.IOC)) == [(3, 101, 10, TOOK, False)]


def test_taken_orders_are_not_there_for_us_when_others_leave():
    place = venue()
    place.events(event(Kind.ADD, 1, 101, 10, -1, 1))
    place.events(event(Kind.ADD, 2, 101, 10, -1, 2))
    new(place, 1, 1, 101, 10, tif=TimeInForce.IOC)
    place.events(event(Kind.DELETE, 3, ident=1))  # what we took leaves the recording
    assert fills(new(place, 2, 1, 101, 20, tif=TimeInForce.IOC)) == [(2, 101, 10, TOOK, False)]


def test_a_book_without_room_for_what_was_taken_stops_the_order():
    place = market(depletions=1)
    reports = new(place, 1, 1, 0, 25, order_type=OrderType.MARKET)
    assert fills(reports) == [(1, 101, 10, TOOK, False)]
    assert place.status == VenueStatus.DEPLETIONS_FULL


def test_post_only_rejects_or_slides():
    assert told(new(market(), 1, 1, 101, 5, flags=CommandFlag.POST_ONLY)) == [
        ("REJECTED", 101, 5, RejectReason.POST_ONLY_WOULD_CROSS)
    ]
    place = market(VenueConfig(post_only="slide"))
    assert told(new(place, 1, 1, 102, 5, flags=CommandFlag.POST_ONLY)) == [("ACCEPTED", 100, 5, 1)]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"price": 0}, RejectReason.INVALID_PRICE),
        ({"qty": 0}, RejectReason.INVALID_QUANTITY),
        ({"side": 0}, RejectReason.OTHER),
        ({"order_type": 7}, RejectReason.OTHER),
        ({"tif": TimeInForce.GTD, "expire_s": 0}, RejectReason.TOO_LATE),
        ({"flags": CommandFlag.REDUCE_ONLY}, RejectReason.REDUCE_ONLY),
        ({"flags": CommandFlag.POST_ONLY, "tif": TimeInForce.IOC}, RejectReason.OTHER),
        ({"ident": (1 << 20) - 1}, RejectReason.OTHER),
        ({"order_type": OrderType.STOP, "stop": 0}, RejectReason.INVALID_PRICE),
    ],
)
def test_impossible_orders_are_rejected(fields, reason):
    asked = {"ident": 1, "side": 1, "price": 95, "qty": 5, **fields}
    place = market()
    place.command(command(Kind.NEW, **asked), 5)
    reports = place.reports()
    assert [(int(r["kind"]), int(r["word"])) for r in reports] == [(Kind.REJECTED, reason)]


def test_instrument_rules_are_the_venues():
    instrument = Instrument(
        "X", price_decimals=0, tick_size="5", lot_size="2", min_qty="4", max_qty="8", min_notional="500"
    )
    place = venue(None, [instrument])
    for ident, (price, qty, reason) in enumerate(
        [(101, 4, RejectReason.INVALID_PRICE), (100, 5, RejectReason.INVALID_QUANTITY),
         (100, 2, RejectReason.INVALID_QUANTITY), (100, 10, RejectReason.INVALID_QUANTITY),
         (100, 4, RejectReason.INVALID_QUANTITY), (100, 6, 1)], 1,
    ):  # fmt: skip
        assert int(new(place, ident, 1, price, qty)[0]["word"]) == reason


def test_ids_are_not_used_again():
    place = market()
    new(place, 1, 1, 99, 5)
    assert told(new(place, 1, 1, 98, 5))[0][3] == RejectReason.DUPLICATE_ID
    assert told(new(place, 1 | 1 << 20, 1, 98, 5))[0][3] == RejectReason.DUPLICATE_ID  # the slot is held
    place.command(command(Kind.CANCEL, 1), 6)
    assert told(place.reports()) == [("CANCELLED", 99, 5, CancelReason.USER)]
    assert told(new(place, 1, 1, 98, 5))[0][3] == RejectReason.DUPLICATE_ID
    assert told(new(place, 1 | 1 << 20, 1, 98, 5))[0][0] == "ACCEPTED"


def test_amending_keeps_the_place_only_for_less_quantity():
    place = market()
    new(place, 1, 1, 99, 10)
    place.events(level(6, 1, 99, 30))
    for qty, ahead in ((8, 10), (12, 30)):
        place.command(command(Kind.REPLACE_ORDER, 1, price=99, qty=qty), 7)
        assert told(place.reports()) == [("REPLACED", 99, qty, 1)]
        assert place.ahead(1) == ahead
    place.command(command(Kind.REPLACE_ORDER, 1, price=98, qty=12), 8)
    assert place.ahead(1) == 10


def test_amend_that_crosses_executes():
    place = market()
    new(place, 1, 1, 99, 15)
    place.command(command(Kind.REPLACE_ORDER, 1, price=101, qty=15), 7)
    assert told(place.reports()) == [("REPLACED", 101, 15, 1), ("FILL", 101, 10, 0)]
    place.command(command(Kind.REPLACE_ORDER, 1, price=101, qty=10), 8)  # no more than is filled
    assert told(place.reports()) == [("CANCELLED", 101, 5, CancelReason.USER)]


def test_unknown_orders_cannot_be_cancelled_or_amended():
    place = market()
    place.command(command(Kind.CANCEL, 3), 5)
    place.command(command(Kind.REPLACE_ORDER, 3, price=99, qty=1), 6)
    assert [(k, w) for k, _, _, w in told(place.reports())] == [("CANCEL_REJECTED", RejectReason.UNKNOWN_ORDER)] * 2


def test_stop_waits_for_its_price_then_takes():
    place = market()
    assert told(new(place, 1, 1, 0, 15, order_type=OrderType.STOP, stop=103)) == [("ACCEPTED", 0, 15, 1)]
    place.events(trade(6, 1, 102, 1))
    assert len(place.reports()) == 0
    place.events(trade(7, 1, 103, 1))
    assert told(place.reports()) == [
        ("TRIGGERED", 0, 15, 0), ("FILL", 101, 10, 0), ("FILL", 102, 5, 0),
    ]  # fmt: skip


def test_stop_limit_rests_and_a_reached_stop_acts_at_once():
    place = market()
    place.events(trade(2, -1, 99, 1))
    reports = new(place, 1, -1, 100, 5, order_type=OrderType.STOP_LIMIT, stop=99)
    assert told(reports) == [("ACCEPTED", 100, 5, 1), ("TRIGGERED", 100, 5, 0)]
    place.events(trade(6, 1, 100, 4))
    assert fills(place.reports()) == [(1, 100, 4, FillReason.QUEUE_REACHED, True)]


def test_stops_may_follow_quotes():
    place = market(VenueConfig(stop_trigger="quote"))
    new(place, 1, -1, 0, 5, order_type=OrderType.STOP, stop=98)
    place.events(trade(6, -1, 97, 1))
    assert len(place.reports()) == 0
    place.events(level(7, 1, 99, 0))
    assert fills(place.reports()) == [(1, 98, 5, TOOK, False)]


def test_halt_stops_all_matching_and_its_end_matches_what_crosses():
    place = market()
    new(place, 1, 1, 99, 5)
    place.events(event(Kind.STATUS, 6, word=TradingStatus.HALTED))
    assert told(new(place, 2, 1, 0, 5, order_type=OrderType.MARKET))[1:] == [("CANCELLED", 0, 5, CancelReason.HALTED)]
    new(place, 3, 1, 102, 5)
    place.events(trade(7, -1, 90, 100))
    place.events(level(8, -1, 95, 1))
    place.command(command(Kind.CANCEL, 1), 9)
    assert told(place.reports()) == [("CANCELLED", 99, 5, CancelReason.USER)]
    place.events(event(Kind.STATUS, 10, word=TradingStatus.TRADING))
    assert fills(place.reports()) == [(3, 102, 5, FillReason.BOOK_CROSSED, True)]


def test_closed_instruments_take_no_orders_and_end_the_day():
    place = market()
    new(place, 1, 1, 99, 5, tif=TimeInForce.DAY)
    new(place, 2, 1, 98, 5)
    place.events(event(Kind.STATUS, 6, word=TradingStatus.CLOSED))
    assert told(place.reports()) == [("EXPIRED", 99, 5, CancelReason.DAY_END)]
    assert told(new(place, 3, 1, 98, 5))[0][3] == RejectReason.MARKET_CLOSED


def test_orders_expire_at_their_second_also_without_events():
    place = market(VenueConfig(session_close="20:00"))
    new(place, 1, 1, 99, 5, tif=TimeInForce.GTD, expire_s=3)
    new(place, 2, 1, 99, 5, tif=TimeInForce.DAY)
    place.advance(2_999_999_999)
    assert len(place.reports()) == 0
    place.advance(86_400 * 10**9)
    reports = place.reports()
    assert told(reports) == [("EXPIRED", 99, 5, CancelReason.GTD_EXPIRED), ("EXPIRED", 99, 5, CancelReason.DAY_END)]
    assert reports["ts_venue"].tolist() == [3 * 10**9, 72_000 * 10**9]


def test_reduce_only_never_turns_a_position():
    place = market()
    new(place, 1, 1, 101, 6, tif=TimeInForce.IOC)
    assert told(new(place, 2, -1, 99, 9, flags=CommandFlag.REDUCE_ONLY))[1:] == [
        ("FILL", 99, 6, 0),
        ("CANCELLED", 99, 3, CancelReason.REDUCE_ONLY),
    ]


def test_auction_fills_better_limits_at_its_price_as_far_as_it_goes():
    place = market()
    new(place, 1, 1, 99, 5)
    new(place, 2, 1, 98, 5)
    new(place, 3, 1, 97, 5)
    place.events(trade(6, 0, 97, 7, flags=Flag.AUCTION))
    assert fills(place.reports()) == [(1, 97, 5, FillReason.AUCTION, True), (2, 97, 2, FillReason.AUCTION, True)]


def test_execution_behind_us_and_past_us_is_ours():
    place = venue()
    place.events(event(Kind.ADD, 1, 100, 10, 1, 1))
    place.events(event(Kind.ADD, 1, 99, 10, 1, 4))
    new(place, 1, 1, 100, 5)
    new(place, 2, 1, 100, 5)
    place.events(event(Kind.ADD, 6, 100, 10, 1, 2))
    assert place.ahead(1) == 10
    place.events(event(Kind.EXECUTE, 7, 100, 4, 1, 1))
    assert place.ahead(1) == 6
    place.events(event(Kind.EXECUTE, 8, 100, 7, 1, 2))
    assert fills(place.reports()) == [
        (1, 100, 5, FillReason.QUEUE_HEAD_EXECUTED, True),
        (2, 100, 2, FillReason.QUEUE_HEAD_EXECUTED, True),
    ]
    place.events(event(Kind.EXECUTE, 9, 99, 1, 1, 4))
    assert fills(place.reports()) == [(2, 100, 1, FillReason.TRADED_THROUGH, True)]


def test_hidden_executions_fill_only_what_they_went_past():
    place = venue()
    place.events(event(Kind.ADD, 1, 100, 10, 1, 1))
    new(place, 1, 1, 100, 5)
    place.events(event(Kind.EXECUTE, 6, 100, 50, 1, 9, flags=Flag.HIDDEN))
    assert len(place.reports()) == 0
    place.events(event(Kind.EXECUTE, 7, 99, 50, 1, 9, flags=Flag.HIDDEN))
    assert fills(place.reports()) == [(1, 100, 5, FillReason.TRADED_THROUGH, True)]


def test_place_in_the_queue_survives_a_snapshot():
    place = venue()
    for ident in (1, 2):
        place.events(event(Kind.ADD, 1, 100, 10, 1, ident))
    new(place, 1, 1, 100, 5)
    place.events(event(Kind.ADD, 6, 100, 10, 1, 3))
    place.events(event(Kind.CLEAR, 7, flags=Flag.SNAPSHOT))
    for ident in (1, 2, 3):
        place.events(event(Kind.ADD, 8, 100, 10, 1, ident, flags=Flag.SNAPSHOT))
    assert place.ahead(1) == 20
    place.events(event(Kind.DELETE, 9, ident=2))
    assert place.ahead(1) == 10
    place.events(event(Kind.EXECUTE, 10, 100, 10, 1, 3))
    assert fills(place.reports()) == [(1, 100, 5, FillReason.QUEUE_HEAD_EXECUTED, True)]


def test_bids_that_empty_may_count_as_traded_where_there_are_no_trades():
    for fills_then in (False, True):
        place = market(VenueConfig(best_left_fills=fills_then))
        new(place, 1, 1, 99, 5)
        place.events(level(6, 1, 99, 0))
        assert place.reports().size == 0  # ten were ahead
        place.events(level(7, 1, 99, 3))
        place.events(level(8, 1, 99, 0))
        expected = [(1, 99, 5, FillReason.BEST_LEFT, True)] if fills_then else []
        assert fills(place.reports()) == expected


def test_reports_name_instrument_and_venue():
    table = InstrumentTable([Instrument("A", "ONE", price_decimals=0, tick_size="1"),
                             Instrument("B", "TWO", price_decimals=0, tick_size="1")])  # fmt: skip
    place = venue(VenueConfig(), table)
    place.command(command(Kind.NEW, 1, 1, 100, 5, instrument=1), 3)
    report = place.reports()[0]
    assert (report["instrument"], report["venue"]) == (1, 1)


def test_trace_tells_where_ended_orders_stood():
    place = market()
    new(place, 1, 1, 99, 5)
    place.events(trade(6, -1, 99, 15))
    new(place, 2, 1, 98, 5, now=7)
    place.command(command(Kind.CANCEL, 2), 8)
    assert [tuple(int(x) for x in row) for row in place.trace] == [(1, 5, 10, 0, 0), (2, 7, 10, 10, 1)]


def test_arbitrary_command_bytes_do_no_harm():
    rng = np.random.default_rng(5)
    place = market(reports=1 << 12)
    for _ in range(300):
        row = command(Kind.NEW).view(np.uint8)
        row[:] = rng.integers(0, 256, 64, np.uint8)
        row = row.view(command(Kind.NEW).dtype)
        row["kind"] = rng.choice([128, 129, 130, 131])
        row["instrument"] = rng.choice([0, 0, 0, 5])
        place.command(row, 5)
        place.reports()
    place.events(level(9, 1, 99, 4))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"queue": "power_prop"}, "did you mean 'power_prob'"),
        ({"fills": "partly"}, "did you mean 'partial'"),
        ({"fils": "partial"}, "did you mean 'fills'"),
        ({"entry_latency": {"nss": 4}}, "did you mean 'ns'"),
        ({"entry_latency": "fast"}, "entry_latency: expected ns"),
        ({"entry_latency": -1}, "0 ns or more"),
        ({"session_close": "25:00"}, "HH:MM"),
        ({"impact": "lineal"}, "did you mean 'linear'"),
        ({"fees": 3}, "expected Fees"),
        ({"queue_power": 0}, "positive"),
    ],
)
def test_wrong_configuration_is_refused_with_the_nearest_right_one(values, message):
    with pytest.raises(ConfigError, match=message):
        venue_config(values)


def test_configuration_reads_plain_values():
    config = venue_config(
        {
            "queue": "log_prob2",
            "entry_latency": {"model": "lognormal", "ns": 100, "spread": 0.5},
            "fees": {"maker_rate": -0.0001, "tiers": [[0, 0, 0.001], [5, 0, 0]]},
            "impact": {"model": "sqrt", "temporary": 1.0},
        }
    )
    assert config.fees.tiers[1][0] == 5
    assert venue(config).status == VenueStatus.OK


def test_every_exchange_needs_a_configuration():
    table = InstrumentTable([Instrument("A", "ONE"), Instrument("B", "TWO")])
    with pytest.raises(ConfigError, match="TWO"):
        venue({"ONE": VenueConfig()}, table)
    with pytest.raises(ConfigError, match="THREE"):
        venue({"ONE": VenueConfig(), "TWO": VenueConfig(), "THREE": VenueConfig()}, table)
