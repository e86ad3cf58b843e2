"""The desk: an exchange with accounts, in a venue's terms."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.records import Kind, OrderType, RejectReason, TimeInForce
from nanotick.exchange.agents.description import description_from
from nanotick.exchange.config import Fees
from nanotick.venues.desk import Desk, units
from nanotick.venues.desk_accounts import MarginLedger, SpotLedger
from nanotick.venues.desk_orders import DeskOrder
from nanotick.venues.desk_terms import (
    Account,
    ClientRule,
    FeeIn,
    Money,
    Refusal,
    VenueTerms,
    amount_of,
    kraken_ids,
    number_ids,
)
from nanotick.venues.paced_market import PacedMarket
from nanotick.wire.json_text import WireError, scaled
from nanotick.wire.requests import Entry
from tests.venues.hosts import ScriptedHost

MARKET = {
    "name": "small",
    "session": {"start": "2026-01-05T14:30:00Z", "hours": 0.01},
    "profiles": {"plain": {"flow": {"limit_rate": 5.0, "market_rate": 0.4, "lifetime": 5.0}}},
    "fees": {"SIM": {"taker_rate": "0.001", "maker_rate": "0.0005"}},
    "instruments": [
        {"symbol": "AAA", "profile": "plain", "price": "50.00", "size": 60},
        {"symbol": "BTCUSDT", "profile": "plain", "price": "90000.0", "tick": "0.5", "price_decimals": 1,
         "lot": "0.001", "qty_decimals": 3, "currency": "USDT", "size": 300},
    ],
}  # fmt: skip
STOCKS = VenueTerms(money=Money.MARGIN, client_ids=ClientRule.EVER, fees=False)
COINS = VenueTerms(money=Money.SPOT, client_ids=ClientRule.OPEN, order_id=number_ids)
_DAY, _IOC, _GTD = int(TimeInForce.DAY), int(TimeInForce.IOC), int(TimeInForce.GTD)
_MARKET, _STOP = int(OrderType.MARKET), int(OrderType.STOP)


def desk_of(terms=STOCKS, account=None, **settings):
    host = ScriptedHost()
    if account is None:
        account = Account("key", "secret", multiplier=2)
    desk = Desk(host, description_from(MARKET), accounts=[account], terms=terms, warm_up=0.1, **settings)
    desk.start()
    host.run(0.5)
    return host, desk, desk.accounts["key"]


def coins(**settings):
    terms = VenueTerms(money=Money.SPOT, client_ids=ClientRule.OPEN, order_id=number_ids, **settings)
    return desk_of(terms, Account("key", "secret", balances={"USDT": "1000000", "BTC": "2"}))


def market_buy(desk, me, qty="10", client="", symbol="AAA", side=1):
    order = desk.enter(me, Entry(symbol, client, side, qty, order_type=_MARKET, tif=_DAY))
    assert isinstance(order, DeskOrder), order
    return order


def far(desk, symbol, side, ticks=20):
    quote, listing = desk.quote(symbol), desk.listings[symbol]
    best = listing.item.price(quote.bid if side > 0 else quote.ask)
    return listing.price_text(best - side * ticks * listing.tick)


def test_a_market_order_fills_at_once_and_everybody_hears_of_it_in_order():
    host, desk, me = desk_of()
    heard, rows = [], []
    desk.follow(me, lambda report, order: heard.append((Kind(report.kind), order.state, order.filled)))
    desk.watch(["AAA"], lambda found: rows.extend(found[found["kind"] == Kind.TRADE]["id"].tolist()))
    order = market_buy(desk, me)
    assert order.state == "filled" and order.filled == "10" and not order.open
    assert heard[0] == (Kind.ACCEPTED, "new", "0") and heard[-1] == (Kind.FILL, "filled", "10")
    host.run(0.01)
    assert {fill.trade for fill in order.fills} <= set(rows)
    assert sum(fill.qty for fill in desk.fills(me)) == 10
    assert desk.positions(me)[0].qty == "10"


def test_cash_is_what_the_fills_say_to_the_last_digit():
    host, desk, me = desk_of(VenueTerms(money=Money.MARGIN))
    paid = 0
    for n in range(20):
        order = market_buy(desk, me, "7", f"c{n}", side=1 if n % 3 else -1)
        paid += order.side * order.value + sum(order.fees.values())
        host.run(0.05)
    assert amount_of(desk.balances(me)[0].free) == amount_of("100000") - paid
    held = sum(fill.order.side * fill.qty for fill in desk.fills(me))
    assert me.ledger.held(0) == held


def test_coins_move_and_the_open_order_locks_what_it_may_cost():
    _, desk, me = coins()
    price = far(desk, "BTCUSDT", 1)
    order = desk.enter(me, Entry("BTCUSDT", "a", 1, "0.5", price))
    usdt = next(b for b in desk.balances(me) if b.asset == "USDT")
    locked = amount_of(price) // 2 * 1001 // 1000  # with the taker's fee, rounded up for each of 500 units
    assert locked <= amount_of(usdt.locked) <= locked + 500 * 10**14
    assert amount_of(usdt.free) + amount_of(usdt.locked) == amount_of("1000000")
    desk.cancel(me, client="a")
    assert order.state == "canceled"
    assert next(b for b in desk.balances(me) if b.asset == "USDT").locked == "0"
    bought = market_buy(desk, me, "0.1", symbol="BTCUSDT")
    ledger = me.ledger
    assert isinstance(ledger, SpotLedger)
    assert ledger.free["BTC"] == amount_of("2.1")
    assert ledger.free["USDT"] == amount_of("1000000") - bought.value - bought.fees["USDT"]
    assert bought.fees["USDT"] >= bought.value // 1000


@pytest.mark.parametrize("seed", range(4))
def test_no_balance_is_ever_below_nought_whatever_is_ordered(seed):
    host, desk, me = coins()
    draw, ledger = random.Random(seed), me.ledger
    for n in range(150):
        side = draw.choice((1, -1))
        asset = "USDT" if side > 0 else "BTC"
        price = amount_of(desk.last("BTCUSDT"))
        most = ledger.free[asset] * 10**18 // price if side > 0 else ledger.free[asset]
        qty = most * draw.choice((1, 2, 5, 9, 10)) // 10 // 10**15
        kind = draw.choice((0, 0, _MARKET))
        away = far(desk, "BTCUSDT", side, draw.choice((0, 1, 3, -5)))
        desk.enter(me, Entry("BTCUSDT", f"c{n}", side, f"{qty}e-3" if qty else "0.001", "" if kind else away, "", kind))
        host.run(0.2)
        if n % 5 == 4:
            desk.cancel_all(me)
        assert min(*ledger.free.values(), *ledger.locked.values()) >= 0, ledger.free
    desk.cancel_all(me)
    assert not any(ledger.locked.values())
    moved = sum(f.order.side * f.qty * f.order.listing.qty_unit for f in desk.fills(me))
    assert ledger.free["BTC"] == 2 * 10**18 + moved
    paid = sum(f.order.side * f.price * f.qty * f.order.listing.value_unit + f.fee for f in desk.fills(me))
    assert ledger.free["USDT"] == 10**24 - paid and len(desk.fills(me)) > 20


def test_a_fee_in_what_is_received_comes_off_the_coins():
    _, desk, me = coins(fee_in=FeeIn.RECEIVED)
    bought = market_buy(desk, me, "0.1", symbol="BTCUSDT")
    fee = bought.fees["BTC"]
    assert amount_of("0.0001") <= fee < amount_of("0.0001") + 10**10 * len(bought.fills)
    assert me.ledger.free["BTC"] == amount_of("2.1") - fee
    assert me.ledger.free["USDT"] == amount_of("1000000") - bought.value


def test_what_is_not_there_cannot_be_ordered():
    _, desk, me = coins()
    refused = desk.enter(me, Entry("BTCUSDT", "", -1, "2.001", far(desk, "BTCUSDT", -1)))
    assert isinstance(refused, Refusal) and (refused.asset, refused.needed, refused.available) == ("BTC", "2.001", "2")
    refused = desk.enter(me, Entry("BTCUSDT", "", 1, "100", order_type=_MARKET))
    assert isinstance(refused, Refusal) and refused.reason == RejectReason.LIMIT_REACHED
    assert desk.orders(me) == [] and me.ledger.locked["BTC"] == 0


def test_buying_power_counts_what_is_held_and_ordered():
    _, desk, me = desk_of()
    assert desk.account(me).buying_power == "200000"
    price = far(desk, "AAA", 1)
    desk.enter(me, Entry("AAA", "a", 1, "1000", price, tif=_DAY))
    left = 2 * amount_of("100000") - 1000 * amount_of(price)
    assert amount_of(desk.account(me).buying_power) == left
    refused = desk.enter(me, Entry("AAA", "b", 1, "4000", price, tif=_DAY))
    assert isinstance(refused, Refusal) and refused.asset == "buying power"


def test_no_more_is_sold_than_is_held_and_not_ordered_away():
    _, desk, me = desk_of()
    market_buy(desk, me, "10")
    desk.enter(me, Entry("AAA", "a", -1, "6", far(desk, "AAA", -1), tif=_DAY))
    refused = desk.enter(me, Entry("AAA", "b", -1, "5", far(desk, "AAA", -1), tif=_DAY))
    assert isinstance(refused, Refusal) and (refused.needed, refused.available) == ("5", "4")
    assert isinstance(desk.enter(me, Entry("AAA", "c", -1, "4", far(desk, "AAA", -1), tif=_DAY)), DeskOrder)


def test_short_sales_need_permission_and_make_a_negative_position():
    _, desk, me = desk_of(account=Account("key", "secret", shorting=False))
    refused = desk.enter(me, Entry("AAA", "a", -1, "5", order_type=_MARKET, tif=_DAY))
    assert isinstance(refused, Refusal) and refused.reason == RejectReason.BLOCKED
    _, desk, me = desk_of()
    market_buy(desk, me, "5", side=-1)
    assert desk.positions(me)[0].qty == "-5"
    market_buy(desk, me, "5")
    assert desk.positions(me) == []


def test_client_ids_are_unique_as_the_venue_says():
    _, desk, me = desk_of()
    market_buy(desk, me, "1", "a")
    refused = desk.enter(me, Entry("AAA", "a", 1, "1", order_type=_MARKET, tif=_DAY))
    assert isinstance(refused, Refusal) and refused.reason == RejectReason.DUPLICATE_ID
    _, desk, me = coins()
    price = far(desk, "BTCUSDT", 1)
    desk.enter(me, Entry("BTCUSDT", "a", 1, "0.001", price))
    assert isinstance(desk.enter(me, Entry("BTCUSDT", "a", 1, "0.001", price)), Refusal)
    desk.cancel(me, client="a")
    again = desk.enter(me, Entry("BTCUSDT", "a", 1, "0.001", price))
    assert isinstance(again, DeskOrder) and desk.order(me, client="a") is again


def test_an_amended_order_is_renewed_or_stays_as_the_venue_does_it():
    _, desk, me = desk_of()
    price = far(desk, "AAA", 1)
    old = desk.enter(me, Entry("AAA", "a", 1, "100", price, tif=_DAY))
    new = desk.amend(me, old.order, qty="40", renew=True, new_client="b")
    assert (old.state, old.replaced_by, old.open) == ("replaced", new.order, False)
    assert (new.replaces, new.client, new.qty, new.state) == (old.order, "b", "40", "new")
    assert [o.order for o in desk.orders(me, open_only=True)] == [new.order]
    same = desk.amend(me, new.order, price=far(desk, "AAA", 1, 30))
    assert same is new and new.price == far(desk, "AAA", 1, 30)
    assert amount_of(desk.account(me).buying_power) == 2 * amount_of("100000") - 40 * amount_of(new.price)


def test_what_is_filled_counts_in_the_order_that_takes_its_place():
    host, desk, me = desk_of()
    bear = desk.open_account(Account("bear", balances={"USD": "1000000"}))
    listing, item = desk.listings["AAA"], desk.listings["AAA"].item
    while item.price(desk.quote("AAA").ask) - item.price(desk.quote("AAA").bid) < 2:
        host.run(0.05)  # until there is room inside the spread
    best = listing.price_text(item.price(desk.quote("AAA").ask) - 1)
    old = desk.enter(me, Entry("AAA", "a", 1, "10", best, tif=_DAY))
    assert market_buy(desk, bear, "4", side=-1).filled == "4" and old.filled == "4"
    assert old.state == "partially_filled"
    assert desk.amend(me, old.order, qty="4").reason == RejectReason.INVALID_QUANTITY
    new = desk.amend(me, old.order, qty="6", renew=True)
    assert (new.filled, new.left, new.state, new.client) == ("4", "2", "partially_filled", "a")
    assert amount_of(desk.account(me).buying_power) == (
        2 * amount_of(desk.account(me).equity) - 4 * amount_of(desk.last("AAA")) - 2 * amount_of(best)
    )
    market_buy(desk, bear, "5", side=-1)
    assert new.state == "filled" and new.average_price == best and me.ledger.held(0) == 6
    assert [fill.order.order for fill in desk.fills(me)] == [old.order, new.order]
    assert me.ledger._locked == 0


def test_an_order_in_the_way_of_the_market_is_filled_by_it_later():
    host, desk, me = desk_of()
    heard = []
    desk.follow(me, lambda report, order: heard.append(report))
    order = desk.enter(me, Entry("AAA", "a", 1, "5", desk.quote("AAA").bid, tif=_DAY))
    host.run(20)
    assert order.state == "filled" and heard[-1].maker
    assert heard[-1].ts_venue <= host.now()


def test_what_cannot_be_is_refused_with_a_reason_and_leaves_nothing():
    _, desk, me = desk_of()
    for entry, reason in (
        (Entry("ZZZ", "a", 1, "1", "5"), RejectReason.UNKNOWN_INSTRUMENT),
        (Entry("AAA", "a", 1, "1.5", "5"), RejectReason.INVALID_QUANTITY),
        (Entry("AAA", "a", 1, "0", "5"), RejectReason.INVALID_QUANTITY),
        (Entry("AAA", "a", 1, "1", "5.001"), RejectReason.INVALID_PRICE),
        (Entry("AAA", "a", 1, "1", "nan"), RejectReason.INVALID_PRICE),
        (Entry("AAA", "a", 1, "1", "500", post_only=True), RejectReason.POST_ONLY_WOULD_CROSS),
        (Entry("AAA", "a", 1, "1", "5", tif=_GTD, expire_ns=1), RejectReason.TOO_LATE),
    ):
        refused = desk.enter(me, entry)
        assert isinstance(refused, Refusal) and refused.reason == reason, (entry, refused)
    assert desk.orders(me) == [] and desk.account(me).buying_power == "200000"
    assert desk.cancel(me, "nope").reason == RejectReason.UNKNOWN_ORDER
    done = market_buy(desk, me)
    assert desk.cancel(me, done.order).reason == RejectReason.TOO_LATE


def test_cancel_all_takes_one_symbol_or_everything():
    _, desk, me = desk_of(
        VenueTerms(money=Money.SPOT), Account("key", "", balances={"USD": "9999", "USDT": "99999"})
    )  # fmt: skip
    desk.enter(me, Entry("AAA", "a", 1, "1", far(desk, "AAA", 1)))
    desk.enter(me, Entry("BTCUSDT", "b", 1, "0.001", far(desk, "BTCUSDT", 1)))
    assert [o.client for o in desk.cancel_all(me, "AAA")] == ["a"]
    assert [o.client for o in desk.cancel_all(me)] == ["b"]


def test_an_undone_trade_gives_everything_back():
    host, desk, me = coins()
    before = dict(me.ledger.free)
    order = market_buy(desk, me, "0.1", symbol="BTCUSDT")
    heard, rows = [], []
    desk.follow(me, lambda report, order: heard.append((Kind(report.kind), report.execution)))
    desk.watch(None, lambda found: rows.extend(found["kind"].tolist()))
    for fill in order.fills:
        assert desk.bust(fill.trade)
        assert not desk.bust(fill.trade)
    assert me.ledger.free == before
    assert heard == [(Kind.FILL_BUST, fill.execution) for fill in order.fills]
    host.run(0.01)
    assert rows.count(Kind.BREAK) == len(order.fills)
    assert desk.fills(me) == []


def test_a_good_till_date_order_ends_at_its_host_time():
    host, desk, me = coins()
    order = desk.enter(
        me, Entry("BTCUSDT", "a", 1, "0.001", far(desk, "BTCUSDT", 1, 900), tif=_GTD, expire_ns=host.now() + 3 * 10**9)
    )  # fmt: skip
    host.run(1.5)
    assert order.open
    host.run(3)
    assert order.state == "expired" and me.ledger.locked["USDT"] == 0


def test_day_orders_end_with_the_session_and_cancels_still_work():
    host, desk, me = desk_of()
    day = desk.enter(me, Entry("AAA", "a", 1, "1", far(desk, "AAA", 1, 900), tif=_DAY))
    good = desk.enter(me, Entry("AAA", "b", 1, "1", far(desk, "AAA", 1, 900)))
    host.run(60)
    assert day.state == "expired" and good.open and not desk.market.is_open
    refused = desk.enter(me, Entry("AAA", "c", 1, "1", "49"))
    assert refused.reason == RejectReason.MARKET_CLOSED
    assert isinstance(desk.cancel(me, good.order), DeskOrder)


def test_speed_makes_the_session_pass_faster():
    host, desk, _ = desk_of(speed=10)
    before = desk.market.time
    host.run(1)
    assert abs(desk.market.time - before - 10 * 10**9) < 10**8


def test_a_market_that_cannot_keep_up_says_so_and_goes_on():
    host = ScriptedHost()
    busy = {**MARKET, "session": {**MARKET["session"], "hours": 24}}
    desk = Desk(host, description_from(busy), accounts=[Account("key", "s")], terms=STOCKS, speed=100_000)
    desk.start()
    host.run(0.05)
    assert desk.market.status.dilated_ns > 0
    order = market_buy(desk, desk.accounts["key"], "1")
    assert order.state == "filled" and order.updated_ns <= host.now()


def run_once(seed):
    host, desk, me = desk_of(seed=seed)
    rows = []
    desk.watch(None, lambda found: rows.append(found.tobytes()))
    orders = [market_buy(desk, me, "3", f"c{n}") for n in range(5) if not host.run(0.3)]
    return b"".join(rows), [(o.order, o.average_price, [f.execution for f in o.fills]) for o in orders]


def test_the_same_seed_and_times_give_the_same_venue():
    assert run_once(3) == run_once(3)
    assert run_once(3) != run_once(4)


def test_two_desks_share_a_market():
    host = ScriptedHost()
    market = PacedMarket(host, description_from(MARKET), warm_up=0.1)
    first, second = (Desk(host, market, accounts=[Account("key", "s")], terms=STOCKS) for _ in range(2))
    first.start()
    second.start()
    host.run(0.1)
    ask = first.quote("AAA").ask
    mine = first.enter(first.accounts["key"], Entry("AAA", "a", -1, "1", ask, tif=_DAY))
    assert first.accounts["key"].participant != second.accounts["key"].participant
    assert mine.open and second.orders(second.accounts["key"]) == []
    with pytest.raises(ValueError, match="shared market"):
        Desk(host, market, warm_up=1)


def test_a_secret_is_checked_and_never_shown():
    _, desk, me = desk_of()
    assert desk.login("key", "secret") is me
    assert desk.login("key", "secreT") is None and desk.login("other", "secret") is None
    assert "secret" not in repr(me.terms)


def test_fees_of_one_account_may_differ():
    _, desk, _ = desk_of(VenueTerms(money=Money.MARGIN), Account("key", "", fees=Fees(taker_flat="1.25")))
    order = market_buy(desk, desk.accounts["key"], "1")
    assert order.fees["USD"] == amount_of("1.25") * len(order.fills)
    assert isinstance(desk.accounts["key"].ledger, MarginLedger)


def test_order_ids_are_of_the_venues_form():
    assert [number_ids(2, n) for n in (1, 2)] == ["2000001", "2000002"]
    assert len({kraken_ids(1, n) for n in range(1000)}) == 1000


@given(st.text("0123456789.-+eE _\u0663", max_size=24) | st.decimals(allow_nan=False).map(str), st.integers(0, 12))
def test_the_short_way_to_integers_gives_what_the_long_one_does(text, decimals):
    def told(function):
        try:
            return function(text, decimals, "x")
        except WireError as error:
            return str(error)

    assert told(units) == told(scaled)
