"""Every pre-trade check: at the limit it passes, above by one it refuses and says what it found; it fails closed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.records import CommandFlag, Kind, OrderType, TimeInForce, TradingStatus
from nanotick.orders import OrderState
from nanotick.risk import CHECK_NAMES, CHECK_UNITS, Limit, RiskCheck, RiskLimits, set_limit
from nanotick.risk.records import UNLIMITED
from tests.risk.desk import (
    CLOSE,
    FORCE_CANCEL,
    KILL,
    MARK,
    NOW,
    PAUSE,
    PRICE,
    RESUME,
    SECOND,
    UPDATE,
    Desk,
    free,
)

PASS = RiskCheck.PASS
INT64_MAX = (1 << 63) - 1
MICRO = 1_000_000
CANCEL, REPLACE = int(Kind.CANCEL), int(Kind.REPLACE_ORDER)
MARKET, STOP, STOP_LIMIT = int(OrderType.MARKET), int(OrderType.STOP), int(OrderType.STOP_LIMIT)


# --- the limits themselves --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RiskLimits.__dataclass_fields__)
def test_a_missing_limit_is_an_error_that_names_it(name):
    with pytest.raises(ValueError, match=name):
        Desk(RiskLimits(**{name: None}))


@pytest.mark.parametrize("value", ["-1", "NaN", "Infinity", "many", "", "1e30", float("nan"), -0.5, "0.0000000001"])
def test_a_limit_that_is_no_sensible_number_is_an_error_that_names_it(value):
    with pytest.raises(ValueError, match="max_position_share"):
        RiskLimits(max_position_share=value).scaled()


def test_the_defaults_are_those_of_the_documentation():
    values = RiskLimits().scaled()
    assert values[Limit.POSITION_SHARE] == 200_000
    assert values[Limit.SYMBOL_SHARE] == 250_000
    assert values[Limit.GROSS_SHARE] == values[Limit.NET_SHARE] == 950_000
    assert values[Limit.CASH_SHARE] == 50_000
    assert values[Limit.DAILY_LOSS_SHARE] == 30_000
    assert values[Limit.ORDERS_PER_SECOND] == 200
    assert UNLIMITED not in values
    assert set(CHECK_UNITS) | {0} == set(CHECK_NAMES)


def test_a_limit_out_of_range_is_not_set():
    desk = Desk()
    address = desk.stage.address
    before = desk.stage.limits.view.copy()
    for scope, limit, value in ((-1, 0, 5), (3, 0, 5), (0, -1, 5), (0, len(Limit), 5), (0, 0, -1), (0, 9, 1 << 20)):
        assert not set_limit(address, scope, limit, value)
    assert (desk.stage.limits.view == before).all()


def test_on_a_single_order_the_stricter_of_strategy_and_account_counts():
    desk = Desk(free(max_order_qty=20), [free(max_order_qty=30), free(max_order_qty=10)])
    assert (desk.order(qty=20), desk.order(qty=21)) == (PASS, RiskCheck.MAX_ORDER_QTY)
    assert desk.order(qty=11, strategy=1) == RiskCheck.MAX_ORDER_QTY
    assert desk.found == (11, 10, 1)


# --- the order and the instrument -------------------------------------------------------------------------------------

SHAPES = [
    ({}, PASS),
    ({"side": 0}, RiskCheck.INVALID_ORDER),
    ({"side": 2}, RiskCheck.INVALID_ORDER),
    ({"kind": 4}, RiskCheck.INVALID_ORDER),
    ({"tif": 5}, RiskCheck.INVALID_ORDER),
    ({"tif": int(TimeInForce.IOC), "flags": 1}, RiskCheck.INVALID_ORDER),
    ({"kind": MARKET, "price": 0, "flags": 1}, RiskCheck.INVALID_ORDER),
    ({"flags": int(CommandFlag.HIDDEN)}, RiskCheck.INVALID_ORDER),
    ({"flags": int(CommandFlag.ICEBERG | CommandFlag.POST_ONLY)}, RiskCheck.INVALID_ORDER),
    ({"tif": int(TimeInForce.GTD), "expire_s": NOW // SECOND}, RiskCheck.INVALID_ORDER),
    ({"tif": int(TimeInForce.GTD), "expire_s": NOW // SECOND + 1}, PASS),
    ({"price": 0}, RiskCheck.INVALID_PRICE),
    ({"price": -PRICE}, RiskCheck.INVALID_PRICE),
    ({"kind": MARKET}, RiskCheck.INVALID_PRICE),
    ({"kind": MARKET, "price": 0}, PASS),
    ({"kind": STOP, "price": 0, "stop_price": 10_100}, PASS),
    ({"kind": STOP, "price": 0}, RiskCheck.INVALID_PRICE),
    ({"kind": STOP, "price": PRICE, "stop_price": 10_100}, RiskCheck.INVALID_PRICE),
    ({"stop_price": PRICE}, RiskCheck.INVALID_PRICE),
    ({"kind": STOP_LIMIT, "stop_price": 10_100}, PASS),
    ({"kind": STOP_LIMIT, "stop_price": -1}, RiskCheck.INVALID_PRICE),
    ({"qty": 0}, RiskCheck.LOT),
    ({"qty": -10}, RiskCheck.LOT),
    ({"qty": -INT64_MAX}, RiskCheck.LOT),
    ({"qty": 2}, PASS),
    ({"qty": 1}, RiskCheck.MIN_QTY),
    ({"qty": 50_000}, PASS),
    ({"qty": 50_001}, RiskCheck.MAX_QTY),
    ({"qty": INT64_MAX}, RiskCheck.MAX_QTY),
    ({"qty": INT64_MAX, "instrument": 1}, RiskCheck.OVERFLOW),
    ({"qty": INT64_MAX // PRICE, "instrument": 1}, RiskCheck.OVERFLOW),
    ({"price": INT64_MAX, "instrument": 1}, RiskCheck.OVERFLOW),
    ({"kind": MARKET, "price": 0, "qty": INT64_MAX, "instrument": 1}, RiskCheck.OVERFLOW),
    ({"price": 7_500, "qty": 2}, PASS),
    ({"price": 7_499, "qty": 2}, RiskCheck.MIN_NOTIONAL),
    ({"instrument": 2, "price": 10_005}, PASS),
    ({"instrument": 2, "price": 10_004}, RiskCheck.TICK),
    ({"instrument": 2, "price": 10_000, "qty": 15}, RiskCheck.LOT),
    ({"instrument": 2, "kind": STOP, "price": 0, "stop_price": 10_004}, RiskCheck.TICK),
    ({"instrument": 4}, RiskCheck.UNKNOWN_INSTRUMENT),
    ({"instrument": 4_000_000_000}, RiskCheck.UNKNOWN_INSTRUMENT),
]


@pytest.mark.parametrize(("values", "check"), SHAPES)
def test_an_order_must_make_sense_and_meet_the_venues_rules(values, check):
    desk = Desk()
    assert desk.order(**values) == check
    slot = desk.last_id & 0xFFFFF
    state = desk.orders.orders.view[slot]["state"]
    assert state == (OrderState.PENDING_NEW if check == PASS else OrderState.REJECTED)
    assert (desk.arena["orders.root"].view[0]["open_orders"] == 0) == (check != PASS)
    if check != PASS:
        assert desk.root["check"] == check


def test_an_unknown_order_and_one_that_is_no_intent_are_refused():
    desk = Desk()
    assert desk.do(CANCEL, id=77) == RiskCheck.REQUEST
    assert desk.do(REPLACE, id=77, qty=5, price=PRICE) == RiskCheck.REQUEST
    assert desk.do(FORCE_CANCEL, id=77) == RiskCheck.REQUEST


def test_price_band_restriction_and_trading_status():
    desk = Desk()
    desk.instruments[0]["price_low"], desk.instruments[0]["price_high"] = 9_900, 10_100
    assert [desk.order(price=p) for p in (9_900, 9_899, 10_100, 10_101)] == [
        PASS, RiskCheck.PRICE_BAND, PASS, RiskCheck.PRICE_BAND,
    ]  # fmt: skip
    assert desk.found == (10_101, 10_100, 0)
    desk.instruments[1]["restricted"] = 1
    assert desk.order(instrument=1) == RiskCheck.RESTRICTED
    for status in TradingStatus:
        desk.instruments[2]["status"] = status
        want = PASS if status == TradingStatus.TRADING else RiskCheck.INSTRUMENT_STATUS
        assert desk.order(instrument=2) == want


def test_order_quantity_and_value():
    desk = Desk(free(max_order_qty="12", max_order_value="1300"))
    assert (desk.order(qty=12), desk.order(qty=13)) == (PASS, RiskCheck.MAX_ORDER_QTY)
    assert desk.found == (13, 12, 0)
    assert desk.order(qty=12, price=10_833) == PASS
    assert desk.order(qty=12, price=10_834) == RiskCheck.MAX_ORDER_VALUE
    assert desk.found == (1_300_080_000, 1_300_000_000, 0)
    assert desk.order(qty=12, price=0, kind=MARKET) == PASS  # at the reference
    assert desk.order(qty=12, price=0, stop_price=11_000, kind=STOP) == RiskCheck.MAX_ORDER_VALUE


def test_an_inverse_order_is_worth_its_coins_in_account_currency():
    # 1 contract is 1 dollar's worth: 50,000 contracts at 60,000 are 0.8333333333 coins, worth 49,999.999998 dollars
    desk = Desk(free(max_order_value="49999.999998"))
    assert desk.order(qty=50_000, price=600_000, instrument=3) == PASS
    assert desk.order(qty=50_001, price=600_000, instrument=3) == RiskCheck.MAX_ORDER_VALUE


# --- the market -------------------------------------------------------------------------------------------------------


def test_the_collar_holds_either_way():
    desk = Desk(free(price_collar_share="0.05"))
    assert [desk.order(price=p) for p in (9_500, 9_499, 10_500, 10_501)] == [
        PASS, RiskCheck.PRICE_COLLAR, PASS, RiskCheck.PRICE_COLLAR,
    ]  # fmt: skip
    assert desk.found == (10_501, 10_500, 0)
    assert desk.order(price=0, kind=MARKET) == PASS
    assert desk.order(price=10_500, stop_price=10_000, kind=STOP_LIMIT) == PASS
    assert desk.order(price=12_600, stop_price=12_000, kind=STOP_LIMIT) == PASS
    assert desk.order(price=12_601, stop_price=12_000, kind=STOP_LIMIT) == RiskCheck.PRICE_COLLAR


def test_the_reference_is_the_mid_then_the_last_trade_then_the_instruments_and_without_one_nothing_passes():
    desk = Desk(free(price_collar_share="0.01"))
    desk.books.clear(0)
    assert desk.order() == RiskCheck.REFERENCE_PRICE
    desk.instruments[0]["reference_price"] = 5_000
    assert (desk.order(price=5_050), desk.order(price=5_051)) == (PASS, RiskCheck.PRICE_COLLAR)
    desk.stage.tape.view[0]["price"] = 8_000
    assert (desk.order(price=8_080), desk.order(price=8_081)) == (PASS, RiskCheck.PRICE_COLLAR)
    desk.books.quote_set(0, 9_999, 1, 10_001, 1)
    assert (desk.order(price=10_100), desk.order(price=10_101)) == (PASS, RiskCheck.PRICE_COLLAR)


def test_a_stale_book_stops_orders_and_one_that_never_came_does_too():
    desk = Desk(free(max_book_age_s="1"))
    assert desk.order(now=NOW + SECOND) == PASS
    assert desk.order(now=NOW + SECOND + 1) == RiskCheck.STALE_BOOK
    assert desk.found == (SECOND + 1, SECOND, 0)
    desk.stage.tape.view[1]["book_ts"] = 0
    assert desk.order(instrument=1) == RiskCheck.STALE_BOOK


@pytest.mark.parametrize(("bid", "ask"), [(10_001, 10_001), (10_005, 10_001)])
def test_a_locked_or_crossed_book_stops_orders(bid, ask):
    desk = Desk(free(crossed_book="refuse"))
    assert desk.order() == PASS
    desk.books.clear(0)
    desk.books.quote_set(0, bid, 1, ask, 1)
    best = desk.books.best_price(0, 1), desk.books.best_price(0, -1)
    if best[0] >= best[1]:
        assert desk.order() == RiskCheck.CROSSED_BOOK
        assert desk.found == (*best, 0)
    else:
        pytest.fail("the book did not keep the crossed quote")


# --- our own orders ---------------------------------------------------------------------------------------------------


def test_an_equal_order_within_the_window_is_a_duplicate():
    desk = Desk(free(duplicate_window_s="0.001"))
    assert desk.order() == PASS
    later = NOW + 1_000_000
    assert desk.order(now=later - 1) == RiskCheck.DUPLICATE
    assert desk.found == (999_999, 1_000_000, 0)
    for other in ({"price": 10_001}, {"qty": 11}, {"side": -1}, {"instrument": 1}, {"strategy": 1}):
        assert desk.order(now=later - 1, **other) == PASS
    assert desk.order(now=later) == PASS
    assert desk.order(now=later + 1) == RiskCheck.DUPLICATE


def test_more_orders_in_the_window_than_can_be_remembered_are_refused():
    desk = Desk(free(duplicate_window_s="1"), recent_orders=16)
    checks = [desk.order(qty=10 + i) for i in range(17)]
    assert checks == [PASS] * 16 + [RiskCheck.DUPLICATE_MEMORY]
    assert desk.order(qty=99, now=NOW + SECOND) == PASS


def test_an_order_that_would_meet_our_own_is_refused_across_strategies():
    desk = Desk(free(self_trade="refuse"))
    assert desk.order(-1, price=10_010, strategy=1) == PASS
    assert desk.order(1, price=10_009) == PASS
    assert desk.order(1, price=10_010) == RiskCheck.SELF_TRADE
    assert desk.found == (10_010, 10_010, 0)
    assert desk.order(1, price=0, kind=MARKET) == RiskCheck.SELF_TRADE
    assert desk.order(1, price=10_010, flags=int(CommandFlag.POST_ONLY)) == PASS
    assert desk.order(1, price=10_010, instrument=1) == PASS
    assert desk.order(-1, price=10_009) == RiskCheck.SELF_TRADE


def test_self_trade_follows_ends_and_replaces():
    desk = Desk(free(self_trade="refuse"))
    desk.order(-1, price=10_010)
    first = desk.last_id
    desk.order(-1, price=10_020)
    second = desk.last_id
    assert desk.do(REPLACE, id=second, price=10_015, qty=10) == PASS
    desk.do(int(Kind.CANCELLED), id=first, qty=10)
    assert desk.order(1, price=10_014) == PASS
    assert desk.order(1, price=10_015) == RiskCheck.SELF_TRADE  # the replace may have taken effect
    desk.do(int(Kind.CANCEL_REJECTED), id=second, ts_venue=1)
    assert desk.order(1, price=10_019) == PASS
    assert desk.do(REPLACE, id=desk.last_id, price=10_020, qty=10) == RiskCheck.SELF_TRADE


@given(
    st.lists(st.tuples(st.sampled_from([1, -1]), st.integers(95, 105), st.integers(0, 1), st.booleans()), max_size=40)
)
def test_self_trade_agrees_with_looking_at_every_order(rows):
    desk = Desk(free(self_trade="refuse"))
    resting: list[tuple[int, int, int]] = []
    for side, price, strategy, ends in rows:
        crosses = any(s != side and (price - p) * side >= 0 for s, p, _ in resting)
        check = desk.order(side, price=price * 100, strategy=strategy)
        assert check == (RiskCheck.SELF_TRADE if crosses else PASS)
        if check == PASS:
            resting.append((side, price, desk.last_id))
        if ends and resting:
            desk.do(int(Kind.CANCELLED), id=resting.pop(0)[2], qty=10)


def test_order_rate_is_an_exact_sliding_second_and_refused_orders_do_not_count():
    desk = Desk(free(max_orders_per_second=5))
    times = [NOW + 100_000_000 * i for i in range(5)]
    assert all(desk.order(now=t) == PASS for t in times)
    assert desk.order(now=NOW + SECOND - 1) == RiskCheck.ORDER_RATE
    assert desk.found == (6, 5, 0)
    assert desk.order(now=NOW + SECOND) == PASS
    assert desk.order(now=NOW + SECOND) == RiskCheck.ORDER_RATE
    assert desk.order(now=NOW + SECOND + 100_000_000) == PASS
    assert desk.order(now=NOW, strategy=1) == RiskCheck.ORDER_RATE  # the account's, and a clock that went back
    assert desk.found[2] == 2


@given(st.lists(st.integers(0, 400), max_size=60), st.integers(0, 6))
def test_order_rate_agrees_with_counting(gaps, limit):
    desk = Desk(free(), [free(max_orders_per_second=limit), free()])
    now, passed = NOW, []
    for gap in gaps:
        now += gap * 1_000_000
        fits = sum(now - t < SECOND for t in passed) < limit
        assert desk.order(now=now) == (PASS if fits else RiskCheck.ORDER_RATE)
        if fits:
            passed.append(now)


def test_the_message_rate_keeps_a_reserve_that_only_cancels_may_use():
    desk = Desk(free(max_messages_per_second=10, cancel_reserve_share="0.2"))
    ids = []
    for i in range(8):
        assert desk.order(qty=10 + i) == PASS
        ids.append(desk.last_id)
    assert desk.order() == RiskCheck.MESSAGE_RATE
    assert desk.found == (9, 8, 0)
    assert desk.do(REPLACE, id=ids[0], price=PRICE, qty=5) == RiskCheck.MESSAGE_RATE
    assert [desk.do(CANCEL, id=i) for i in ids[:3]] == [PASS, PASS, RiskCheck.MESSAGE_RATE]
    assert desk.do(FORCE_CANCEL, id=ids[2]) == PASS
    desk.do(KILL, id=1)
    assert desk.do(CANCEL, id=ids[3]) == PASS  # after a kill no rate stands in the way of a cancel


def test_open_orders_are_counted_and_given_back():
    desk = Desk(free(), [free(max_open_orders=2), free()])
    assert [desk.order() for _ in range(3)] == [PASS, PASS, RiskCheck.OPEN_ORDERS]
    assert desk.found == (3, 2, 0)
    desk.do(int(Kind.CANCELLED), id=desk.last_id, qty=10)  # the refused one: no report can be about it
    assert desk.order() == RiskCheck.OPEN_ORDERS
    assert desk.order(strategy=1) == PASS


# --- standing guards --------------------------------------------------------------------------------------------------


def test_the_kill_switch_stops_everything_but_cancels_and_closing_and_stays_until_resumed():
    desk = Desk()
    desk.hold(20)
    desk.order(price=9_000)
    working = desk.last_id
    desk.do(KILL, id=7)
    desk.do(KILL, id=8)
    reducing = {"side": -1, "flags": int(CommandFlag.REDUCE_ONLY)}
    assert desk.order() == desk.order(**reducing) == RiskCheck.KILL_SWITCH
    assert desk.found == (7, 0, 2)
    assert desk.do(REPLACE, id=working, price=9_000, qty=5) == RiskCheck.KILL_SWITCH
    assert desk.do(CANCEL, id=working) == PASS
    assert desk.do(CLOSE, side=-1, qty=21, order_type=MARKET) == RiskCheck.REDUCE_ONLY
    assert desk.do(CLOSE, side=-1, qty=20, order_type=MARKET) == PASS
    desk.do(RESUME)
    assert desk.order() == PASS


def test_a_strategy_cannot_claim_to_be_closing():
    desk = Desk()
    desk.do(KILL, id=1)
    assert desk.order(flags=int(CommandFlag.CLOSE_ALL | CommandFlag.REDUCE_ONLY)) == RiskCheck.KILL_SWITCH


def test_a_paused_strategy_sends_nothing_and_the_other_goes_on():
    desk = Desk()
    desk.do(PAUSE, strategy=1, id=1)
    assert (desk.order(strategy=1), desk.order(strategy=0)) == (RiskCheck.PAUSED, PASS)
    desk.do(PAUSE, strategy=1, id=0)
    assert desk.order(strategy=1) == PASS


def lose(desk, dollars, strategy=0):
    """A position of 100 whose mark falls by so much in all."""
    desk.hold(100, instrument=1, strategy=strategy)
    desk.books.clear(1)
    mid = PRICE - dollars
    desk.books.quote_set(1, mid - 1, 1, mid + 1, 1)


@pytest.mark.parametrize(
    ("name", "check"), [("max_daily_loss_share", RiskCheck.DAILY_LOSS), ("max_drawdown_share", RiskCheck.DRAWDOWN)]
)
def test_a_breaker_trips_above_its_share_and_lets_only_reducing_orders_pass(name, check):
    desk = Desk(free(), [free(**{name: "0.03"}), free()])
    lose(desk, 1_500)
    assert desk.do(UPDATE) == PASS
    assert desk.order() == PASS
    desk.books.clear(1)
    desk.books.quote_set(1, 8_498, 1, 8_500, 1)
    assert desk.do(UPDATE) == check
    assert desk.found == (1_501 * MICRO, 1_500 * MICRO, 0)
    assert desk.do(UPDATE) == PASS  # told once
    assert desk.order() == check
    assert desk.found == (1_501 * MICRO, 1_500 * MICRO, 0)
    assert desk.order(strategy=1) == PASS
    assert desk.order(-1, qty=100, instrument=1, price=8_500, flags=int(CommandFlag.REDUCE_ONLY)) == PASS
    desk.do(RESUME)
    assert desk.do(UPDATE) == PASS
    assert desk.order() == PASS


def test_a_new_day_lifts_the_daily_loss_and_not_the_drawdown():
    desk = Desk(free(), [free(max_daily_loss_share="0.01"), free(max_drawdown_share="0.01")])
    lose(desk, 600)
    desk.hold(100, instrument=1, strategy=1)
    assert [desk.do(UPDATE) for _ in range(3)] == [RiskCheck.DAILY_LOSS, RiskCheck.DRAWDOWN, PASS]
    assert (desk.order(), desk.order(strategy=1)) == (RiskCheck.DAILY_LOSS, RiskCheck.DRAWDOWN)
    tomorrow = NOW + 86_400 * SECOND
    desk.stage.tape.view["book_ts"] = tomorrow
    desk.do(UPDATE, now=tomorrow)
    assert desk.order(now=tomorrow) == PASS
    assert desk.order(now=tomorrow, strategy=1) == RiskCheck.DRAWDOWN


def test_the_accounts_breaker_stops_every_strategy():
    desk = Desk(free(max_drawdown_share="0.01"), [free(), free()])
    lose(desk, 1_001)
    assert desk.do(UPDATE) == RiskCheck.DRAWDOWN
    assert desk.found[2] == 2
    assert desk.order(strategy=1) == RiskCheck.DRAWDOWN


def test_accounts_whose_money_did_not_fit_stop_trading():
    desk = Desk()
    desk.arena["portfolio.root"].view[0]["broken"] = 1
    assert desk.order() == RiskCheck.BROKEN_LEDGER


# --- positions and exposure -------------------------------------------------------------------------------------------


def test_position_quantity_counts_what_is_open_on_the_orders_side():
    desk = Desk(free(), [free(max_position_qty=100), free()])
    desk.hold(40)
    assert desk.order(qty=50) == PASS
    assert (desk.order(qty=11), desk.order(qty=10)) == (RiskCheck.POSITION_QTY, PASS)
    assert (desk.order(-1, qty=141), desk.order(-1, qty=140)) == (RiskCheck.POSITION_QTY, PASS)
    assert desk.order(-1, qty=2) == RiskCheck.POSITION_QTY


SHARES = [
    ("max_position_share", RiskCheck.POSITION_SHARE),
    ("max_symbol_share", RiskCheck.SYMBOL_SHARE),
    ("max_gross_exposure_share", RiskCheck.GROSS_EXPOSURE),
    ("max_net_exposure_share", RiskCheck.NET_EXPOSURE),
]


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("name", "check"), SHARES)
def test_shares_of_equity_at_the_limit_and_above_by_one(name, check, side):
    desk = Desk(free(), [free(**{name: "0.20"}), free()])
    assert desk.order(side, qty=60, instrument=0) == PASS
    assert desk.order(side, qty=41, instrument=0) == check
    assert desk.found == (10_100 * MICRO, 10_000 * MICRO, 0)
    assert desk.order(side, qty=40, instrument=0) == PASS
    assert desk.order(side, qty=2, instrument=0) == check
    other = desk.order(side, qty=10, instrument=2)
    assert other == (PASS if check in (RiskCheck.POSITION_SHARE, RiskCheck.SYMBOL_SHARE) else check)
    same_symbol = desk.order(side, qty=1, instrument=1)
    assert same_symbol == (PASS if check == RiskCheck.POSITION_SHARE else check)


@pytest.mark.parametrize(("name", "check"), SHARES)
def test_shares_of_the_account_add_up_the_strategies(name, check):
    desk = Desk(free(**{name: "0.10"}), [free(), free()])
    assert desk.order(qty=60) == PASS
    assert desk.order(qty=41, strategy=1) == check
    assert desk.found == (10_100 * MICRO, 10_000 * MICRO, 2)
    assert desk.order(qty=40, strategy=1) == PASS


def test_gross_exposure_adds_sizes_and_net_exposure_signs():
    desk = Desk(free(), [free(max_gross_exposure_share="0.40"), free(max_net_exposure_share="0.20")])
    assert [desk.order(1, 100, instrument=0), desk.order(-1, 100, instrument=2)] == [PASS, PASS]
    assert desk.order(-1, qty=10, instrument=2) == RiskCheck.GROSS_EXPOSURE
    own = {"strategy": 1}
    assert [desk.order(1, 100, instrument=0, **own), desk.order(-1, 100, instrument=2, **own)] == [PASS, PASS]
    desk.fill(100, instrument=2)
    assert desk.order(1, 100, instrument=1, **own) == PASS  # long 200, short 100
    assert desk.order(1, 10, instrument=1, **own) == RiskCheck.NET_EXPOSURE


def test_exposure_counts_open_in_flight_and_unknown_orders_until_they_end():
    desk = Desk(free(), [free(max_gross_exposure_share="0.20"), free()])
    assert desk.order(qty=100) == PASS
    ident = desk.last_id
    for kind, done in (
        (Kind.ACCEPTED, False), (Kind.UNKNOWN, False), (Kind.CANCEL_REJECTED, False), (Kind.CANCELLED, True),
    ):  # fmt: skip
        desk.do(int(kind), id=ident, qty=100, price=PRICE)
        check = desk.order(qty=10, instrument=2)
        assert check == (PASS if done else RiskCheck.GROSS_EXPOSURE), kind


def test_a_position_above_its_limit_may_be_made_smaller():
    limits = dict.fromkeys(("max_position_share", "max_symbol_share", "max_gross_exposure_share"), "0.10")
    desk = Desk(free(), [free(**limits, min_cash_share="0.90"), free()])
    desk.hold(100)
    assert desk.order(1, qty=2) == RiskCheck.POSITION_SHARE
    assert desk.order(-1, qty=100) == PASS
    desk = Desk(free(), [free(**limits, min_cash_share="0.99"), free()])
    desk.hold(-100)
    assert desk.order(-1, qty=2) == RiskCheck.POSITION_SHARE
    assert desk.order(1, qty=100) == PASS


def test_the_cash_reserve_stays_if_every_open_buy_is_filled():
    desk = Desk(free(), [free(min_cash_share="0.05"), free()])
    assert desk.order(qty=400) == PASS
    assert desk.order(qty=80, instrument=2) == RiskCheck.CASH_RESERVE
    assert desk.found == (2_000 * MICRO, 2_500 * MICRO, 0)
    assert desk.order(qty=76, instrument=1) == RiskCheck.CASH_RESERVE
    assert desk.order(qty=75, instrument=1) == PASS
    assert desk.order(-1, qty=400, instrument=2) == PASS


def test_nothing_increases_when_equity_is_gone():
    desk = Desk(free(), [free(max_position_share="0.20"), free()], cash=(0, 50_000))
    assert desk.order(qty=2) == RiskCheck.POSITION_SHARE
    assert desk.found == (200 * MICRO, 0, 0)


def test_reduce_only_never_goes_through_flat_in_the_worst_case():
    flags = int(CommandFlag.REDUCE_ONLY)
    desk = Desk()
    assert desk.order(-1, flags=flags) == RiskCheck.REDUCE_ONLY
    desk.hold(50)
    assert desk.order(1, flags=flags) == RiskCheck.REDUCE_ONLY
    assert desk.order(-1, qty=30, flags=flags) == PASS
    assert desk.order(-1, qty=21, flags=flags) == RiskCheck.REDUCE_ONLY
    assert desk.found == (21, 20, 0)
    ident = desk.last_id
    assert desk.order(-1, qty=20, flags=flags) == PASS
    ident = desk.last_id
    assert desk.do(REPLACE, id=ident, price=PRICE, qty=21) == RiskCheck.REDUCE_ONLY
    assert desk.do(REPLACE, id=ident, price=PRICE + 1, qty=20) == PASS


def test_a_replace_meets_the_same_limits_for_what_it_adds():
    desk = Desk(free(), [free(max_position_share="0.20", price_collar_share="0.05", max_order_qty=100), free()])
    assert desk.order(qty=60) == PASS
    first = desk.last_id
    assert desk.order(qty=30, price=9_990) == PASS
    assert desk.do(REPLACE, id=first, price=PRICE, qty=71) == RiskCheck.POSITION_SHARE
    assert desk.do(REPLACE, id=first, price=10_501, qty=60) == RiskCheck.PRICE_COLLAR
    assert desk.do(REPLACE, id=first, price=PRICE, qty=101) == RiskCheck.MAX_ORDER_QTY
    assert desk.do(REPLACE, id=first, price=-5, qty=60) == RiskCheck.INVALID_PRICE
    assert desk.do(REPLACE, id=first, price=PRICE, qty=INT64_MAX) == RiskCheck.MAX_QTY
    assert desk.do(REPLACE, id=first, price=PRICE, qty=70) == PASS
    assert desk.do(REPLACE, id=first, price=PRICE, qty=70) == RiskCheck.REQUEST
    assert desk.order(qty=2) == RiskCheck.POSITION_SHARE  # the pending replace counts with its larger total


def test_marks_move_equity_and_with_it_every_share():
    desk = Desk(free(), [free(max_position_share="0.20"), free()])
    desk.hold(100, instrument=2)
    desk.do(MARK, instrument=2, price=20_000)
    assert (desk.order(qty=121), desk.order(qty=120)) == (RiskCheck.POSITION_SHARE, PASS)
