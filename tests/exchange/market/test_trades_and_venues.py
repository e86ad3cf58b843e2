"""Trades undone and corrected, pro rata by example, the best of several venues, reduce-only."""

import pytest

from nanotick.book.records import EMPTY_ASK
from nanotick.core.arena import Arena
from nanotick.core.instruments import Instrument
from nanotick.core.records import CommandFlag, Kind, RejectReason
from nanotick.exchange import Fees
from nanotick.exchange.market import (
    Allocation,
    ConsolidatedQuotes,
    ExchangeConfig,
    MarketRules,
    MatchingExchange,
    Participant,
)

SIZES = {"max_orders": 1 << 12, "max_levels": 1 << 10}


def make(arena=None, name="market", symbols=("ABC",), **config):
    arena = arena or Arena(MatchingExchange.reserve(1, **SIZES) + (8 << 20))
    return MatchingExchange(
        arena, [Instrument(s, name) for s in symbols], ExchangeConfig(**config), name=name, book=SIZES
    )


def test_a_bust_undoes_both_fills_as_they_were():
    x = make(fees=Fees(taker_rate="0.001", maker_rate="-0.0005"), participants={1: Participant(positions=True)})
    x.submit(0, 1, -1, 100, 10_000, participant=1)
    x.submit(0, 1, 1, 40, 10_000, participant=2)
    fills = [r for r in x.reports() if r["kind"] == Kind.FILL]
    x.events()
    position = x._arena["market.positions.1"].view
    assert position[0] == -40
    assert x.bust(1) and not x.bust(1) and not x.bust(2)
    owners, rows = x.owned_reports()
    assert position[0] == 0
    found = {(int(o), *(int(r[n]) for n in ("seq", "price", "qty", "word"))) for o, r in zip(owners, rows, strict=True)}
    assert all(r["kind"] == Kind.FILL_BUST for r in rows)
    wanted = {(2 if r["side"] > 0 else 1, *(int(r[n]) for n in ("seq", "price", "qty", "word"))) for r in fills}
    assert found == wanted and all(w[-1] for w in wanted)
    (event,) = x.events()
    assert (event["kind"], event["id"]) == (Kind.BREAK, 1)
    assert int(x.market(0)["volume"]) == 0


def test_a_correction_is_a_bust_and_the_trade_again():
    x = make()
    x.submit(0, 1, -1, 100, 10_000, participant=1)
    x.submit(0, 1, 1, 40, 10_000, participant=2)
    x.reports()
    x.events()
    assert x.correct(1, 9_950) == 2
    assert [int(r["kind"]) for r in x.reports()] == [Kind.FILL_BUST, Kind.FILL_BUST, Kind.FILL, Kind.FILL]
    assert [(int(e["kind"]), int(e["price"]), int(e["id"])) for e in x.events()] == [
        (Kind.BREAK, 10_000, 1),
        (Kind.TRADE, 9_950, 2),
    ]
    assert x.correct(1, 9_950) == -1
    assert x.bust(2)


def test_pro_rata_shares_a_level_and_gives_the_rest_by_time():
    x = make(rules=MarketRules(allocation=Allocation.PRO_RATA))
    for participant, qty in ((1, 100), (2, 250), (3, 50)):
        x.submit(0, 1, -1, qty, 10_000, participant=participant)
    x.reports()
    x.submit(0, 1, 1, 30, 10_000, participant=4)
    owners, rows = x.owned_reports()
    fills = [
        (int(o), int(r["qty"])) for o, r in zip(owners, rows, strict=True) if r["kind"] == Kind.FILL and r["side"] < 0
    ]
    assert fills == [(1, 7), (2, 18), (3, 3), (1, 2)]  # 7.5, 18.75, 3.75: two left over
    x.check()


def test_reduce_only_is_cut_to_the_position():
    x = make(participants={1: Participant(positions=True)})
    x.submit(0, 1, -1, 100, 10_000, participant=2)
    reduce = CommandFlag.REDUCE_ONLY
    assert x.submit(0, 1, -1, 10, 10_000, participant=1, flags=reduce) == RejectReason.REDUCE_ONLY
    x.submit(0, 2, 1, 30, 10_000, participant=1)
    x.reports()
    x.submit(0, 3, -1, 50, 10_001, participant=1, flags=reduce)
    assert int(x.reports()[0]["qty"]) == 30


def test_the_best_of_several_venues():
    arena = Arena(3 * MatchingExchange.reserve(2, **SIZES) + (32 << 20))
    a, b = make(arena, "A", ("ABC", "XYZ")), make(arena, "B", ("XYZ", "ABC"))
    best = ConsolidatedQuotes(arena, [a, b])
    assert best.best("ABC", -1) == (EMPTY_ASK, 0, -1, 0)
    a.submit(0, 1, 1, 100, 9_990)
    b.submit(1, 1, 1, 50, 9_990)
    b.submit(1, 2, -1, 70, 10_000)
    a.submit(0, 2, -1, 70, 10_010)
    assert best.best("ABC", 1) == (9_990, 150, 0, 2)
    assert best.best("ABC", -1) == (10_000, 70, 1, 1)
    assert best.best("XYZ", 1).venues == 0
    with pytest.raises(ValueError, match="scales"):
        other = MatchingExchange(arena, [Instrument("ABC", "C", price_decimals=4)], name="C", book=SIZES)
        ConsolidatedQuotes(arena, [a, other], "again")
