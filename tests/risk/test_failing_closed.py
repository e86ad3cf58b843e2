"""The rare ways through the checks: what cannot be judged is refused, what is noticed late is still acted on."""

import numpy as np
import pytest

from nanotick.core.arena import Arena
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import CommandFlag, Kind, OrderType
from nanotick.risk import DynamicLimits, Limit, RiskCheck, RiskLimits, RiskStage
from nanotick.risk.records import PPM, Closing
from nanotick.risk.watch import integer_root
from tests.risk.desk import CHECK, FORCE_CANCEL, NOW, PRICE, RESUME, SECOND, UPDATE, Desk, free

PASS = RiskCheck.PASS
CANCEL, REPLACE = int(Kind.CANCEL), int(Kind.REPLACE_ORDER)
MARKET, STOP, STOP_LIMIT = int(OrderType.MARKET), int(OrderType.STOP), int(OrderType.STOP_LIMIT)
REDUCE = int(CommandFlag.REDUCE_ONLY)
INT64_MIN = -(1 << 63)  # what a float that is no number becomes as an integer
MICRO = 1_000_000


@pytest.mark.parametrize(
    ("values", "check"),
    [
        ({"price": INT64_MIN}, RiskCheck.INVALID_PRICE),
        ({"price": 0, "kind": STOP, "stop_price": INT64_MIN}, RiskCheck.INVALID_PRICE),
        ({"kind": STOP_LIMIT, "stop_price": INT64_MIN}, RiskCheck.INVALID_PRICE),
        ({"price": INT64_MIN, "kind": MARKET}, RiskCheck.INVALID_PRICE),
        ({"qty": INT64_MIN}, RiskCheck.LOT),
        ({"side": -128}, RiskCheck.INVALID_ORDER),
        ({"instrument": 0xFFFF_FFFF}, RiskCheck.UNKNOWN_INSTRUMENT),
        ({"kind": 255}, RiskCheck.INVALID_ORDER),
        ({"tif": 255}, RiskCheck.INVALID_ORDER),
    ],
)
@pytest.mark.parametrize("limits", [free(), RiskLimits()])
def test_what_no_number_becomes_is_refused_and_leaves_no_exposure(values, check, limits):
    desk = Desk(limits)
    assert desk.order(**values) == check
    assert desk.arena["orders.root"].view[0]["open_orders"] == 0
    assert not desk.stage.guards.view["up"].any() and not desk.stage.guards.view["down"].any()


@pytest.mark.parametrize(("price", "qty"), [(INT64_MIN, 10), (PRICE, INT64_MIN), (INT64_MIN, INT64_MIN)])
def test_a_replace_with_no_number_is_refused(price, qty):
    desk = Desk()
    assert desk.order() == PASS
    assert desk.do(REPLACE, id=desk.last_id, price=price, qty=qty) != PASS
    assert desk.orders.orders.view[desk.last_id & 0xFFFFF]["pending_qty"] == 0


def test_an_id_that_is_no_intent_is_refused_by_the_check_itself():
    desk = Desk()
    assert desk.do(CHECK, id=99) == RiskCheck.REQUEST
    assert desk.found == (99, 0, 2)
    assert desk.order() == PASS
    assert desk.do(CHECK, id=desk.last_id) == RiskCheck.REQUEST  # sent already: it would count twice
    for what in (CANCEL, FORCE_CANCEL):
        assert desk.do(what, id=INT64_MIN) == RiskCheck.REQUEST


def test_money_that_fits_its_currency_and_not_the_accounts_is_refused():
    desk = Desk()
    assert desk.order(qty=12_000_000_000_000, price=600_000, instrument=3) == RiskCheck.OVERFLOW


def test_two_orders_whose_sum_does_not_fit_are_one_too_many():
    desk = Desk()
    assert desk.order(qty=40_000_000_000, instrument=1) == PASS
    assert desk.order(qty=40_000_000_000, instrument=1) == RiskCheck.OVERFLOW


def test_shares_far_beyond_equity_are_exact_too():
    desk = Desk(free(), [free(max_position_share="5000000"), free()])
    assert desk.order(qty=2_500_000_000, instrument=1) == PASS
    assert desk.order(qty=1, instrument=1) == RiskCheck.POSITION_SHARE
    assert desk.found == (2_500_000_001 * 100 * MICRO, 2_500_000_000 * 100 * MICRO, 0)


def test_an_order_meets_none_of_ours_that_rests():
    desk = Desk(free(self_trade="refuse"))
    assert desk.order(-1, price=0, kind=STOP, stop_price=9_900) == PASS
    assert desk.order(1, price=10_010) == PASS  # the stop waits and does not rest


def test_while_a_position_is_closed_by_the_engine_nothing_else_passes():
    desk = Desk()
    assert desk.order() == PASS
    resting = desk.last_id
    desk.stage.pairs.view[0]["closing"] = int(Closing.FLATTEN)
    assert desk.order(price=9_990) == desk.order(-1, flags=REDUCE) == RiskCheck.FLATTENING
    assert desk.do(REPLACE, id=resting, price=9_990, qty=10) == RiskCheck.FLATTENING
    assert desk.order(strategy=1) == desk.do(CANCEL, id=resting) == PASS


def test_a_held_instrument_without_any_price_keeps_its_mark():
    desk = Desk()
    desk.hold(100)
    before = int(desk.portfolio.accounts.view[0]["equity"])
    desk.books.clear(0)
    desk.stage.tape.view["price"] = 0
    assert desk.do(UPDATE) == PASS
    assert desk.portfolio.accounts.view[0]["equity"] == before
    assert desk.order() == RiskCheck.REFERENCE_PRICE


def test_without_books_the_last_trade_is_the_reference():
    desk = Desk(free(price_collar_share="0.01", crossed_book="refuse"))
    desk.stage.connect(desk.orders, desk.portfolio)
    assert desk.order() == RiskCheck.REFERENCE_PRICE
    desk.stage.tape.view["price"] = 8_000
    assert (desk.order(price=8_080), desk.order(price=8_081)) == (PASS, RiskCheck.PRICE_COLLAR)


def test_quantities_of_limits_are_in_the_instruments_own_units():
    table = InstrumentTable([Instrument("BTC", "X", price_decimals=2, qty_decimals=3), Instrument("ABC", "X")])
    stage = RiskStage(Arena(1 << 24), 1, table, free(max_order_qty="1.5"))
    assert stage.pairs.view["max_order_qty"][:2].tolist() == [1_500, 1]


def test_a_stage_needs_the_limits_of_each_strategy_and_rates_it_can_remember():
    table = InstrumentTable([Instrument("ABC", "X")])
    with pytest.raises(ValueError, match="each of 2 strategies, found 1"):
        RiskStage(Arena(1 << 24), 2, table, free(), [free()])
    with pytest.raises(ValueError, match="orders_per_second"):
        Desk().stage.set_limits(0, free(max_orders_per_second=5_000))


# --- dynamic limits at a desk -----------------------------------------------------------------------------------------


def watched(**some):
    return Desk(free(dynamic=DynamicLimits(**some)))


def test_a_paused_instrument_takes_no_replace_that_adds_and_lets_reducing_ones_pass():
    desk = watched(max_price_move_share="0.01")
    desk.hold(50)
    assert desk.order(price=9_990) == PASS
    adding = desk.last_id
    assert desk.order(-1, qty=20, price=10_010, flags=REDUCE) == PASS
    reducing = desk.last_id
    desk.arena["risk.watch.markets"].view["halted_until"] = NOW + 5
    assert desk.order(price=9_980) == RiskCheck.MOVE_PAUSE
    assert desk.found == (5, 300 * SECOND, 0)
    assert desk.do(REPLACE, id=adding, price=9_985, qty=10) == RiskCheck.MOVE_PAUSE
    assert desk.do(REPLACE, id=reducing, price=10_020, qty=20) == PASS
    assert desk.order(-1, qty=10, flags=REDUCE) == PASS
    assert desk.do(CANCEL, id=adding) == PASS
    assert desk.order(price=9_980, now=NOW + 5) == PASS


def test_a_strategy_that_repeats_itself_in_one_breath_is_noted_once():
    desk = watched(max_repeats=0)
    assert desk.order() == PASS
    assert desk.order() == RiskCheck.REPEATED
    desk.stage.guards.view["paused"] = 0
    assert desk.order() == RiskCheck.REPEATED
    assert desk.root["alarm"] == 1
    assert [desk.do(UPDATE), desk.do(UPDATE)] == [RiskCheck.REPEATED, PASS]
    desk.do(RESUME)
    desk.stage.guards.view["paused"] = 0
    assert desk.order() == PASS


def test_a_new_day_counts_messages_and_fills_anew():
    desk = watched(max_messages_per_fill=2, ratio_messages=1)
    for n in range(3):
        assert desk.order(price=9_900 + n) == PASS
    rows = desk.arena["risk.watch.rows"].view
    tomorrow = NOW + 86_400 * SECOND
    assert [desk.do(UPDATE) for _ in range(3)] == [RiskCheck.ORDER_TO_FILL] * 2 + [PASS]  # strategy, account
    assert desk.order() == RiskCheck.ORDER_TO_FILL
    desk.do(RESUME)
    assert rows["base_messages"].tolist() == [3, 0, 3]
    desk.stage.tape.view["book_ts"] = tomorrow
    assert desk.order() == PASS
    desk.do(UPDATE, now=tomorrow)
    assert rows["base_messages"].tolist() == [4, 0, 4]


def test_limits_of_equity_that_is_gone_are_as_small_as_they_get():
    limits = free(max_position_share="0.5", dynamic=DynamicLimits(drawdown_start_share="0.01", min_scale_share="0.25"))
    desk = Desk(limits, cash=(0, 50_000))
    desk.do(UPDATE)
    width = len(desk.table)
    assert desk.stage.pairs.view["tightened"].tolist() == [PPM * 3 // 4] * width + [0] * 2 * width


@pytest.mark.parametrize("limit", [int(limit) for limit in (Limit.ORDER_QTY, Limit.ORDER_VALUE, Limit.POSITION_QTY)])
def test_an_unlimited_limit_stays_so_when_limits_shrink(limit):
    desk = watched(target_volatility_share="0.01")
    desk.stage.pairs.view["tightened"] = PPM
    assert desk.stage.limits.view["values"][0][limit] == (1 << 63) - 1
    assert desk.order(qty=40_000) == PASS


def test_integer_roots_where_floats_round_up():
    for base in (94_906_267, 1_518_500_249, 2_147_483_647):
        assert [integer_root(base * base - 1), integer_root(base * base)] == [base - 1, base]
    assert np.all([integer_root(n) == int(n**0.5) for n in range(100)])
