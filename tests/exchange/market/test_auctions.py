"""Auctions: worked examples of the rule books, no price that would trade more, phases, halts and bands."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanotick.core.arena import Arena
from nanotick.core.instruments import Instrument
from nanotick.core.records import CommandFlag, Flag, Kind, OrderType, RejectReason, TimeInForce, TradingStatus
from nanotick.exchange.market import ExchangeConfig, Feeds, MarketRules, MatchingExchange, Phase

SIZES = {"max_orders": 1 << 10, "max_levels": 1 << 9}
MARKET = None


def make(reference=0, rule=0, phase=Phase.OPENING_AUCTION, **rules):
    arena = Arena(MatchingExchange.reserve(1, **SIZES, feed=1 << 10, reports=1 << 10, trades=1 << 10) + (8 << 20))
    config = ExchangeConfig(
        rules=MarketRules(feeds=Feeds.ORDERS, phase=phase, reference=reference, auction_rule=rule, **rules),
        max_participants=8,
    )
    return MatchingExchange(
        arena, [Instrument("ABC", "SIM")], config, book=SIZES, feed=1 << 10, reports=1 << 10, trades=1 << 10
    )


def enter(x, orders):
    """Orders as (side, quantity, price or MARKET)."""
    for number, (side, qty, price) in enumerate(orders, 1):
        kind = OrderType.MARKET if price is MARKET else OrderType.LIMIT
        assert x.submit(0, number, side, qty, price or 0, order_type=kind) == RejectReason.NONE


def result(x):
    """Price and quantity of the auction's print, (0, 0) for none."""
    x.phase(0, Phase.CONTINUOUS, now=1)
    prints = [e for e in x.events() if e["kind"] == Kind.TRADE and e["flags"] & Flag.AUCTION]
    x.check()
    return (int(prints[0]["price"]), int(prints[0]["qty"])) if prints else (0, 0)


def ladder(rows):
    """Orders of a table with a row a price: (quantity to buy, price, quantity to sell)."""
    buys = [(1, bought, price) for bought, price, _ in rows if bought]
    return buys + [(-1, sold, price) for _, price, sold in rows if sold]


@pytest.mark.parametrize(
    "orders, reference, expected",
    [
        # Xetra market model equities, price determination in an auction, examples 1 to 5 and 9, with the limits and
        # quantities that the tests of hroptatyr/clob (mmod_auction_xetra_01 to _09) took from it. 1: one limit
        ([(1, 300, 200), (1, 200, 199), (1, 300, 198), (1, 100, 196), (-1, 100, 200), (-1, 300, 198), (-1, 400, 197)],
         0, (198, 700)),
        # 2: 199 and 200 trade 500 with 100 left to buy: the highest
        ([(1, 600, 200), (1, 200, 197), (-1, 400, 201), (-1, 100, 199), (-1, 100, 198), (-1, 300, 197)], 0, (200, 500)),
        # 3: 198 and 199 trade 500 with 100 left to sell: the lowest
        ([(1, 300, 202), (1, 100, 201), (1, 100, 199), (1, 400, 197), (-1, 200, 201), (-1, 600, 198)], 0, (198, 500)),
        # 4: nothing is left from 199 to 201: the reference, kept between them
        ([(1, 300, 202), (1, 200, 201), (1, 100, 197), (-1, 100, 203), (-1, 300, 199), (-1, 200, 198)], 200,
         (200, 500)),
        ([(1, 300, 202), (1, 200, 201), (1, 100, 197), (-1, 100, 203), (-1, 300, 199), (-1, 200, 198)], 204,
         (201, 500)),
        # 5: nothing can be executed
        ([(1, 100, 200), (1, 400, 199), (-1, 300, 202), (-1, 200, 201)], 200, (0, 0)),
        # 9: 199 leaves 100 to buy, 201 leaves 100 to sell: the reference, kept between them
        ([(1, 100, 202), (1, 100, 199), (1, 1_000, 198), (-1, 100, 198), (-1, 100, 201), (-1, 1_000, 202)], 200,
         (200, 100)),
        ([(1, 100, 202), (1, 100, 199), (1, 1_000, 198), (-1, 100, 198), (-1, 100, 201), (-1, 1_000, 202)], 190,
         (199, 100)),
        ([(1, 100, 202), (1, 100, 199), (1, 1_000, 198), (-1, 100, 198), (-1, 100, 201), (-1, 1_000, 202)], 210,
         (201, 100)),
        # ours, by the rule of the same book for market orders: alone, at the reference; with limits, where
        # most is executed
        ([(1, 900, MARKET), (-1, 800, MARKET)], 200, (200, 800)),
        ([(1, 900, MARKET), (-1, 800, MARKET)], 0, (0, 0)),
        ([(1, 200, MARKET), (1, 50, 199), (-1, 100, MARKET), (-1, 50, 202)], 200, (202, 150)),
        ([(1, 100, MARKET), (1, 50, 199), (-1, 200, MARKET), (-1, 50, 202)], 200, (199, 150)),
        ([(1, 100, MARKET), (1, 100, 199), (-1, 100, MARKET), (-1, 100, 202)], 200, (200, 100)),
    ],
)  # fmt: skip
def test_prices_are_those_of_the_xetra_market_model(orders, reference, expected):
    x = make(reference)
    enter(x, orders)
    assert result(x) == expected


@pytest.mark.parametrize(
    "rows, reference, expected",
    [
        # BNB Beacon Chain, "Match Steps and Examples" (maximum volume, minimum surplus, market pressure, reference),
        # examples 1 to 4, 5.1 and 6.2. 1 and 2: the largest execution
        ([(150, 100, 0), (150, 98, 250), (0, 97, 50)], 0, (98, 300)),
        ([(150, 100, 0), (50, 99, 0), (300, 97, 200), (0, 96, 100)], 0, (97, 300)),
        # 3 and 4: the least surplus
        ([(300, 102, 0), (100, 100, 0), (200, 99, 0), (300, 98, 250), (0, 97, 250), (0, 96, 1_000)], 0, (96, 900)),
        ([(30, 102, 0), (10, 101, 0), (50, 99, 0), (0, 98, 10), (0, 97, 50), (15, 96, 0), (0, 95, 50)], 0, (97, 90)),
        # 5.1: all left to sell, the lowest
        ([(10, 102, 0), (10, 97, 0), (0, 95, 50)], 80, (95, 20)),
        # 6.2: 97 and below leave 25 to buy, 98 and above 25 to sell; last trade 97
        ([(25, 100, 0), (0, 98, 25), (25, 97, 0), (0, 95, 25)], 97, (97, 25)),
        # MarketGrid, "Single-Price Auction": 290 at 12 400
        (
            [
                (0, 13_100, 35), (45, 13_000, 50), (95, 12_900, 10), (25, 12_800, 15), (35, 12_700, 10),
                (25, 12_600, 20), (55, 12_500, 90), (200, 12_400, 155), (80, 12_300, 125), (60, 12_200, 10),
            ],
            0,
            (12_400, 290),
        ),
        # London Stock Exchange, Guide to the Trading System (MIT201): the four steps in that order; the numbers are
        # ours. 1: most volume (101: 800, 100: 700, 102: 500)
        ([(500, 102, 300), (400, 101, 100), (0, 100, 400), (0, 99, 300)], 0, (101, 800)),
        # 2: 100 and 101 trade 500, with 200 and 100 left
        ([(600, 101, 0), (100, 100, 0), (0, 99, 500)], 0, (101, 500)),
        # 3: pressure of sellers at 100 and 101, the lowest; of buyers, the highest, wherever the reference is
        ([(500, 101, 0), (0, 100, 600)], 101, (100, 500)),
        ([(600, 101, 0), (0, 100, 500)], 100, (101, 500)),
        # 4: no surplus from 98 to 102, the reference
        ([(500, 102, 0), (0, 98, 500)], 99, (99, 500)),
        ([(500, 102, 0), (0, 98, 500)], 97, (98, 500)),
        # Euronext, auction price of the trading manual: most volume, then the last traded price; numbers ours
        ([(1_000, 50, 0), (500, 49, 0), (0, 48, 1_000), (700, 47, 0)], 49, (50, 1_000)),
        ([(1_000, 50, 0), (0, 48, 1_000), (700, 47, 0)], 49, (49, 1_000)),
        # NASDAQ opening and closing cross, 4752(d)(2) and 4754(b)(2): most shares, least imbalance, the entered price
        # at which shares remain unexecuted (201, of the buys at 201), the midpoint; numbers ours
        ([(400, 202, 0), (200, 201, 0), (0, 199, 300), (0, 198, 200)], 199, (201, 500)),
        ([(500, 202, 0), (0, 198, 500)], 200, (200, 500)),
    ],
)  # fmt: skip
def test_prices_are_those_of_other_rule_books(rows, reference, expected):
    x = make(reference)
    enter(x, ladder(rows))
    assert result(x) == expected


def test_without_market_pressure_the_reference_decides():
    # Quedex, auction: most volume, least difference of the two sides, nearest to the last price; numbers ours
    x = make(reference=200, rule=1)
    enter(x, [(1, 400, 202), (1, 200, 201), (-1, 300, 199), (-1, 200, 198)])
    assert result(x) == (200, 500)


def test_a_refill_does_not_cost_an_iceberg_its_place_in_an_auction():
    x = make()
    x.submit(0, 1, 1, 500, 10_000, participant=1, flags=CommandFlag.ICEBERG, stop_price=100)
    x.submit(0, 2, 1, 200, 10_000, participant=2)
    x.submit(0, 3, -1, 150, 10_000, participant=3)
    x.submit(0, 4, -1, 450, 10_000, participant=4)
    assert result(x) == (10_000, 600)
    owners, rows = x.owned_reports()
    bought = {1: 0, 2: 0}
    for owner, row in zip(owners, rows, strict=True):
        if row["kind"] == Kind.FILL and row["side"] > 0:
            bought[int(owner)] += int(row["qty"])
    assert bought == {1: 500, 2: 100}


order = st.tuples(st.sampled_from([1, -1]), st.integers(1, 9), st.one_of(st.none(), st.integers(95, 105)))


def volume_at(orders, price):
    buys = sum(q for s, q, p in orders if s == 1 and (p is MARKET or p >= price))
    sells = sum(q for s, q, p in orders if s == -1 and (p is MARKET or p <= price))
    return min(buys, sells), abs(buys - sells)


@settings(max_examples=300, deadline=None)
@given(st.lists(order, min_size=1, max_size=25), st.integers(0, 110), st.sampled_from([0, 1]))
def test_no_other_price_trades_more(orders, reference, rule):
    x = make(reference, rule)
    enter(x, orders)
    price, qty = result(x)
    most = max(volume_at(orders, p)[0] for p in range(94, 107))
    if any(p is not MARKET for _, _, p in orders) or reference:
        limits = {p for _, _, p in orders if p is not MARKET} or {reference}
        assert qty == max(volume_at(orders, p)[0] for p in limits)
        if price and limits:
            assert volume_at(orders, price)[0] == qty >= (most if limits != {reference} else 0)
            least = min(volume_at(orders, p)[1] for p in limits if volume_at(orders, p)[0] == qty)
            assert volume_at(orders, price)[1] <= least
    rows = x.reports()
    fills = [r for r in rows if r["kind"] == Kind.FILL]
    assert sum(int(r["qty"]) * int(r["side"]) for r in fills) == 0
    assert sum(int(r["qty"]) for r in fills if r["side"] == 1) == qty
    assert all(r["price"] == price for r in fills)


def test_auction_orders_wait_for_theirs():
    x = make(phase=Phase.PRE_OPEN)
    x.submit(0, 1, 1, 100, 10_000, tif=TimeInForce.AT_OPEN)
    x.submit(0, 2, 1, 100, 10_000, tif=TimeInForce.AT_CLOSE)
    x.submit(0, 3, -1, 150, 10_000)
    x.phase(0, Phase.OPENING_AUCTION)
    x.phase(0, Phase.CONTINUOUS)
    fills = [(int(r["id"]), int(r["qty"])) for r in x.reports() if r["kind"] == Kind.FILL]
    assert fills == [(1, 100), (3, 100)]
    assert x.submit(0, 4, 1, 10, 10_000, tif=TimeInForce.AT_OPEN) == RejectReason.TOO_LATE
    x.phase(0, Phase.CLOSING_AUCTION)
    x.phase(0, Phase.CLOSED)
    fills = [(int(r["id"]), int(r["qty"])) for r in x.reports() if r["kind"] == Kind.FILL]
    assert fills == [(2, 50), (3, 50)]
    assert x.submit(0, 5, 1, 10, 10_000) == RejectReason.MARKET_CLOSED
    x.check()


def test_an_iceberg_takes_part_with_its_reserve():
    x = make()
    x.submit(0, 1, 1, 500, 10_000, flags=CommandFlag.ICEBERG, stop_price=100)
    x.submit(0, 2, -1, 350, 10_000)
    assert result(x) == (10_000, 350)
    assert x.book.best_qty(0, 1) == 100
    x.cancel(0, 1)
    assert int(x.reports()[-1]["qty"]) == 150


def test_day_orders_end_with_the_day():
    x = make(phase=Phase.CONTINUOUS)
    x.submit(0, 1, 1, 100, 10_000, tif=TimeInForce.DAY)
    x.submit(0, 2, 1, 100, 10_000)
    x.reports()
    x.phase(0, Phase.CLOSED)
    assert [(int(r["kind"]), int(r["id"])) for r in x.reports()] == [(Kind.EXPIRED, 1)]
    assert x.book.best_qty(0, 1) == 100


def test_a_halt_takes_cancels_only():
    x = make(phase=Phase.CONTINUOUS)
    x.submit(0, 1, 1, 100, 10_000)
    x.phase(0, Phase.HALTED)
    assert x.submit(0, 2, 1, 100, 10_000) == RejectReason.HALTED
    assert x.replace(0, 1, 9_000, 10) == RejectReason.HALTED
    assert x.cancel(0, 1) == RejectReason.NONE


def test_nothing_trades_outside_the_band_and_a_limit_state_pauses_the_market():
    x = make(reference=10_000, phase=Phase.CONTINUOUS, band=0.01, limit_ns=15, auction_ns=100)
    x.submit(0, 1, -1, 100, 10_050)
    x.submit(0, 2, -1, 100, 10_150)
    x.reports()
    x.submit(0, 3, 1, 150, 10_200, now=1)
    rows = x.reports()
    assert [(int(r["kind"]), int(r["price"]), int(r["qty"])) for r in rows] == [
        (Kind.ACCEPTED, 10_100, 150),
        (Kind.FILL, 10_050, 100),
        (Kind.FILL, 10_050, 100),
    ]
    assert x.book.best_price(0, 1) == 10_100
    assert x.next_deadline == 16
    x.events()
    x.clock(16)
    assert x.market(0)["phase"] == Phase.VOLATILITY_AUCTION
    (event,) = x.events()
    assert (event["kind"], event["word"]) == (Kind.STATUS, TradingStatus.PAUSED)
    x.submit(0, 4, 1, 100, 10_150, now=20)
    x.clock(116)
    assert x.market(0)["phase"] == Phase.CONTINUOUS
    assert x.market(0)["last_price"] == 10_150


def test_an_execution_outside_the_band_calls_an_auction():
    x = make(reference=10_000, phase=Phase.CONTINUOUS, band=0.01, band_auction=True, auction_ns=100)
    x.submit(0, 1, -1, 100, 10_050)
    x.submit(0, 2, -1, 100, 10_150)
    x.submit(0, 3, 1, 150, 10_200, now=1)
    assert x.market(0)["phase"] == Phase.VOLATILITY_AUCTION
    assert x.book.best_price(0, 1) == 10_200
    x.clock(101)
    assert x.market(0)["last_price"] == 10_150
    assert x.book.best_price(0, -1) == 10_150
    x.check()


def test_the_schedule_and_indicative_prices_run_by_the_clock():
    x = MatchingExchange(
        Arena(MatchingExchange.reserve(1, **SIZES) + (8 << 20)),
        [Instrument("ABC", "SIM")],
        ExchangeConfig(
            rules=MarketRules(phase=Phase.PRE_OPEN, indicative_ns=5),
            schedule=((10, -1, Phase.OPENING_AUCTION), (22, 0, Phase.CONTINUOUS)),
        ),
        book=SIZES,
    )
    x.submit(0, 1, 1, 100, 10_000)
    x.submit(0, 2, -1, 60, 9_990)
    times = []
    while x.next_deadline < 1 << 60:
        due = x.next_deadline
        if x.clock(due):
            times.append(due)
    assert times == [10, 15, 20, 22]
    rows = [(Kind(e["kind"]).name, int(e["qty"]), int(e["id"]), int(e["word"])) for e in x.events()]
    assert rows.count(("IMBALANCE", 60, 10_000, 40)) == 2
    assert ("TRADE", 60, 1, 0) in rows
