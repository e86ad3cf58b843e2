"""What every venue package does, whichever venue it is: its own client over real sockets at its own served venue.

A new venue is a row in `served.SERVED`, one in `registry.PACKAGES` and one in `CASES`; `docs/venues.md` says the rest.
"""

from decimal import Decimal

import pytest

from nanotick.core.records import Kind
from nanotick.orders.records import OrderState
from nanotick.venues.feed import State
from nanotick.venues.limiter import RateLimiter, SlidingWindow
from nanotick.venues.registry import PACKAGES
from nanotick.venues.served import SERVED
from nanotick.venues.working import TraderConfig, TraderState
from nanotick.wire.requests import Entry
from tests.venues.contract import FILLED, STOCK, Case, Place, coin, kill
from tests.venues.scripted import Delivered

CASES = [
    Case("alpaca", "AAPL", STOCK, [{"kind": "error", "method": "POST", "path": "/v2/orders", "count": 1,
                                    "placed": True}]),
    coin("binance", "BTCUSDT", [{"kind": "drop", "match": '"orderId"', "count": 2}]),
    coin("coinbase", "BTC-USDT", [{"kind": "error", "method": "POST", "path": "/api/v3/brokerage/orders", "count": 1,
                                   "placed": True}]),
    coin("kraken", "BTC/USDT", [{"kind": "drop", "match": '"method":"add_order"', "count": 1}]),
]  # fmt: skip
LEVEL, QUOTE, TRADE, GAP = (int(k) for k in (Kind.LEVEL, Kind.QUOTE, Kind.TRADE, Kind.GAP))
MINUTE = 60_000_000_000


def test_every_package_with_a_trader_is_held_to_it():
    trading = {name for name, package in PACKAGES.items() if package.trader}
    assert trading == {case.name for case in CASES} and trading <= SERVED.keys()


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


@pytest.fixture
def place(case):
    found = Place(case)
    yield found
    found.close()


def test_the_feed_brings_prices_and_trades_and_tells_when_it_stops(place):
    got = Delivered()
    feed = place.feed(got)
    feed.start()
    place.until(lambda: feed.state == State.LIVE)
    place.until(lambda: {TRADE} <= set(got.kinds()) and {LEVEL, QUOTE} & set(got.kinds()))
    assert feed.status()["refused"] == 0 and feed.status()["gaps"] == 0
    sides = {1: {}, -1: {}}
    for row in got.rows:
        kind, side = int(row["kind"]), int(row["side"])
        if kind == LEVEL:
            sides[side][int(row["price"])] = int(row["qty"])
        elif kind == QUOTE and int(row["price"]) > 0 and int(row["id"]) > 0:
            assert int(row["price"]) < int(row["id"])
    bids, asks = ([price for price, qty in sides[side].items() if qty] for side in (1, -1))
    assert not bids or max(bids) < min(asks)
    feed.stop()
    assert got.kinds()[-1] == GAP and feed.state == State.DOWN


def test_a_connection_that_is_lost_comes_back_and_a_gap_is_told(place):
    got = Delivered()
    feed = place.feed(got)
    feed.start()
    place.until(lambda: feed.state == State.LIVE)
    feed.current.link.close(1001, "cut")
    place.until(lambda: feed.reconnects == 1 and feed.state == State.LIVE)
    assert GAP in got.kinds()


def test_an_order_rests_is_replaced_and_is_cancelled(place):
    engine = place.started()
    price = place.away()
    number = engine.place(place.lots, price)
    place.until(lambda: engine.state(number) == OrderState.WORKING and len(place.open_there()) == 1)
    lower = place.away("0.85")
    engine.replace(2 * place.lots, lower)
    item = place.table[0]
    place.until(lambda: [item.price(o.price) for o in place.open_there()] == [lower])
    place.until(lambda: int(engine.order(number)["price"]) == lower and not int(engine.order(number)["pending"]))
    assert item.qty(place.open_there()[0].qty) == 2 * place.lots == int(engine.order(number)["qty"])
    engine.cancel()
    place.until(lambda: engine.state(number) == OrderState.CANCELLED)
    assert place.open_there() == [] and engine.exposure() == (0, 0)


def test_an_order_that_trades_is_booked_to_the_last_unit(place):
    engine = place.started()
    number = engine.place(place.lots, place.through())
    place.until(lambda: engine.state(number) == OrderState.FILLED)
    assert place.ours(engine) == place.bought() == place.table[0].qty_decimal(place.lots)
    told = len([row for row in engine.reports if row[9] == Kind.FILL])
    assert told == len(place.desk.fills(place.account))
    engine.trader.reconcile()
    place.until(lambda: engine.trader.counts.reconciled == 2)
    assert engine.trader.state == TraderState.READY and engine.trader.breaks == []


def test_an_order_that_cannot_be_paid_is_rejected(place):
    engine = place.started()
    number = engine.place(10**7 * place.lots, place.away())
    place.until(lambda: engine.state(number) == OrderState.REJECTED)
    assert engine.exposure() == (0, 0) and place.open_there() == [] and engine.trader.unknown == 0


def test_an_order_whose_answer_is_lost_is_unknown_and_then_settled(case):
    place = Place(case, case.lost)
    try:
        engine = place.started()
        number = engine.place(place.lots, place.away())
        place.until(lambda: any(row[9] == Kind.UNKNOWN for row in engine.reports))
        place.until(lambda: engine.trader.unknown == 0 and engine.state(number) == OrderState.WORKING)
        assert len(place.open_there()) == 1 and len(place.desk.orders(place.account)) == 1
        engine.cancel()
        place.until(lambda: engine.state(number) == OrderState.CANCELLED)
    finally:
        place.close()


def test_what_happens_while_the_line_is_down_is_known_after(place):
    engine = place.started()
    first = engine.place(place.lots, place.away())
    second = engine.place(place.lots, place.away("0.88"))
    place.until(lambda: {engine.state(n) for n in (first, second)} == {OrderState.WORKING})
    engine.trader.stream.current.link.close(1001, "cut")
    place.until(lambda: engine.trader.state == TraderState.CONNECTING)
    held = {place.table[0].price(order.price): order for order in place.open_there()}
    place.desk.cancel(place.account, held[int(engine.order(first)["price"])].order)
    place.until(lambda: engine.trader.state == TraderState.READY)
    place.until(lambda: int(engine.order(first)["state"]) > FILLED)
    assert engine.state(second) == OrderState.WORKING and len(place.open_there()) == 1
    assert engine.trader.breaks == []


@pytest.mark.parametrize("policy", ["cancel", "refuse"])
def test_an_order_that_is_not_of_this_session_is_seen(place, policy):
    listing = place.desk.listings[next(iter(place.desk.listings))]
    item = place.table[0]
    entry = Entry(listing.symbol, "5f0c4f9a-0000-4000-8000-000000000001", 1, item_text(place, place.lots),
                  f"{item.price_decimal(place.away())}")  # fmt: skip
    assert place.desk.enter(place.account, entry).open
    engine = place.trader(TraderConfig(foreign_orders=policy))
    engine.trader.start()
    if policy == "cancel":
        place.until(lambda: engine.trader.state == TraderState.READY and place.open_there() == [])
    else:
        place.until(lambda: engine.trader.state == TraderState.BROKEN)
        assert "not of this session" in engine.trader.reason and len(place.open_there()) == 1


@pytest.mark.parametrize("case", [case for case in CASES if case.row is not STOCK], ids=str)
def test_coins_that_are_there_can_be_left_alone(place):
    base = place.desk.listings[next(iter(place.desk.listings))].base
    before = next(Decimal(held.free) for held in place.desk.balances(place.account) if held.asset == base)
    engine = place.started(TraderConfig(holdings="leave", order_timeout=2.0))
    assert before > 0 and engine.position(0) == 0
    number = engine.place(place.lots, place.through())
    place.until(lambda: engine.state(number) == OrderState.FILLED)
    engine.trader.reconcile()
    place.until(lambda: engine.trader.counts.reconciled == 2)
    assert engine.trader.state == TraderState.READY and engine.trader.breaks == []
    assert engine.position(0) == place.lots


def item_text(place, units):
    return f"{place.table[0].qty_decimal(units)}"


def test_orders_beyond_our_own_limit_are_not_sent_and_cancels_are(place):
    engine = place.started(limiter=RateLimiter([SlidingWindow(20, MINUTE, charge="orders", reserve=0.2)]))
    price = place.away()
    for _ in range(20):
        engine.place(place.lots, price)
    place.until(lambda: len(place.open_there()) == 16)
    assert engine.trader.counts.limited == 4
    kill(engine)
    place.until(lambda: place.open_there() == [])


def test_a_kill_cancels_everything_and_nothing_passes_after_it(place):
    engine = place.started()
    for share in ("0.9", "0.89", "0.88"):
        engine.place(place.lots, place.away(share))
    place.until(lambda: len(place.open_there()) == 3)
    kill(engine)
    place.until(lambda: place.open_there() == [] and engine.exposure() == (0, 0))
    before = len(place.desk.orders(place.account))
    engine.place(place.lots, place.away())
    place.host.run(0.3)
    assert len(place.desk.orders(place.account)) == before
    assert engine.open_orders() == []
