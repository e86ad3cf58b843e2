"""Fees exact and against us, impact in whole ticks and never in our favour."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.instruments import Contract, Instrument
from nanotick.core.records import FillReason, Kind
from nanotick.exchange import ConfigError, Fees, Impact, VenueConfig
from tests.exchange.latent_day import BeyondTheBest, MinimumFee
from tests.exchange.records_of import command, event, fills, level, trade, venue

DAY = 86_400_000_000_000


def taken(place, price, qty, side=1, ts=10, ident=1):
    """Fee of one order that takes everything at one price."""
    place.events(level(ts, -side, price, qty))
    place.command(command(Kind.NEW, ident, side, price, qty), ts + 1)
    reports = place.reports()
    assert [int(r["kind"]) for r in reports] == [Kind.ACCEPTED, Kind.FILL]
    return int(reports[1]["word"])


@given(
    st.integers(1, 10**7),
    st.integers(1, 10**5),
    st.sampled_from(["0.0002", "-0.00005", "0.00055", "0.1", "-0.25"]),
    st.sampled_from([1, -1]),
)
def test_rate_is_rounded_up_to_a_value_unit(price, qty, rate, side):
    place = venue(VenueConfig(fees=Fees(taker_rate=rate, sell_rate="0.0000278")))
    exact = price * qty * (Fraction(rate) + (Fraction("0.0000278") if side < 0 else 0))
    assert taken(place, price, qty, side) == math.ceil(exact)


def test_parts_of_a_schedule_add_up():
    instrument = Instrument("X", price_decimals=4, tick_size="0.0001")
    fees = Fees(taker_rate="0.0001", taker_per_unit="0.0035", taker_flat="0.25", buy_rate="0.001")
    place = venue(VenueConfig(fees=fees), [instrument])
    # value 100.00 * 300 = 30,000: 3.00 + 30.00 by value, 1.05 by share, 0.25 flat
    assert taken(place, 1_000_000, 300) == 343_000


def test_maker_and_taker_pay_their_own():
    place = venue(VenueConfig(fees=Fees(maker_per_unit="-0.5", taker_per_unit="2", maker_flat="1")))
    assert taken(place, 100, 10) == 20
    place.command(command(Kind.NEW, 2, 1, 90, 10), 20)
    place.events(trade(21, -1, 89, 1))
    assert int(place.reports()[1]["word"]) == -5 + 1


def test_inverse_contract_pays_in_the_base_currency():
    instrument = Instrument(
        "BTCUSD", price_decimals=1, qty_decimals=0, tick_size="0.5", multiplier="100", contract=Contract.INVERSE
    )
    place = venue(VenueConfig(fees=Fees(taker_rate="0.0005", taker_per_unit="0.00000001")), [instrument])
    # ten contracts of 100 USD at 50,000: 0.02 BTC; half a thousandth of it, and ten satoshi
    assert instrument.value_decimal(taken(place, 500_000, 10)) == Decimal("0.0000101")


def test_tiers_follow_the_volume_of_their_window():
    fees = Fees(tiers=((0, 0, "0.01"), (2_000, 0, "0.005"), (5_000, 0, "0.001")), tier_days=2)
    place = venue(VenueConfig(fees=fees))
    assert taken(place, 100, 10, ts=DAY + 10, ident=1) == 10  # volume 0 before
    assert taken(place, 100, 10, ts=DAY + 20, ident=2) == 10  # 1,000
    assert taken(place, 100, 10, ts=DAY + 30, ident=3) == 5  # 2,000
    assert taken(place, 100, 30, ts=2 * DAY + 10, ident=4) == 15  # 3,000, yesterday's counts
    assert taken(place, 100, 10, ts=2 * DAY + 20, ident=5) == 1  # 6,000
    assert taken(place, 100, 10, ts=3 * DAY + 10, ident=6) == 5  # 4,000 of the day before, the first day is out
    assert taken(place, 100, 10, ts=9 * DAY, ident=7) == 10  # all out


def test_cumulative_tiers_never_forget():
    place = venue(VenueConfig(fees=Fees(tiers=((0, 0, "0.01"), (1_000, 0, 0)))))
    assert taken(place, 100, 10, ts=10, ident=1) == 10
    assert taken(place, 100, 10, ts=400 * DAY, ident=2) == 0


def test_fee_model_of_ones_own():
    instrument = Instrument("X", price_decimals=2, tick_size="0.01")
    place = venue(VenueConfig(fees=MinimumFee()), [instrument])
    assert taken(place, 100_00, 1) == 1  # a hundredth at least
    assert taken(place, 100_00, 1_000, ident=2) == 1_000  # 100,000.00 * 1e-4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"maker_rate": "a lot"}, "fees.maker_rate"),
        ({"taker_rate": "0.00000000001"}, "fees.taker_rate"),
        ({"tiers": ((10, 0, 0), (10, 0, 0))}, "rising volume"),
        ({"tier_days": 65}, "0 to 64"),
    ],
)
def test_impossible_fees_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Fees(**settings)


# --- impact -----------------------------------------------------------------------------------------------------------


def book(place, ts=1):
    for n in range(5):
        place.events(level(ts, -1, 100 + n, 10))
        place.events(level(ts, 1, 99 - n, 10))


def market(place, ident, qty, ts, side=1):
    place.command(command(Kind.NEW, ident, side, 0, qty, order_type=1), ts)
    return [price for _, price, *_ in fills(place.reports())]


@pytest.mark.parametrize(
    ("model", "qty", "ticks"), [("linear", 20, 4), ("linear", 11, 3), ("sqrt", 40, 4), ("none", 20, 0)]
)
def test_temporary_impact_worsens_taking_fills_in_whole_ticks(model, qty, ticks):
    place = venue(VenueConfig(impact=Impact(model, temporary=2.0)))
    book(place)
    shown = [100 + n for n in range(-(-qty // 10))]
    assert market(place, 1, qty, 2) == [price + ticks for price in shown]


def test_impact_never_goes_beyond_a_limit_nor_helps():
    place = venue(VenueConfig(impact=Impact("linear", temporary=3.0, permanent=4.0)))
    book(place)
    place.command(command(Kind.NEW, 1, 1, 101, 10), 2)
    assert fills(place.reports()) == [(1, 101, 10, FillReason.TOOK_LIQUIDITY, False)]
    book(place, 3)
    # our buying moved the market up by four ticks: a sale does not profit
    assert market(place, 2, 10, 4, side=-1) == [99 - 3]


def test_permanent_shift_fades_by_its_half_life():
    place = venue(VenueConfig(impact=Impact("linear", permanent=4.0, half_life_ns=100.0)))
    book(place)
    assert market(place, 1, 10, 1_000) == [100]  # the shift comes after
    book(place, 1_001)
    assert market(place, 2, 1, 1_100) == [102]  # half of four is left
    book(place, 1_101)
    assert market(place, 3, 1, 2_100)[0] == 101  # a trace of it still rounds up against us
    nearest = venue(VenueConfig(impact=Impact("linear", permanent=4.0, half_life_ns=100.0, rounding="nearest")))
    book(nearest)
    market(nearest, 1, 10, 1_000)
    book(nearest, 1_001)
    assert market(nearest, 2, 1, 2_100) == [100]


def test_resting_fills_have_no_impact():
    place = venue(VenueConfig(impact=Impact("linear", temporary=3.0)))
    book(place)
    place.command(command(Kind.NEW, 1, 1, 99, 5), 2)
    place.events(trade(3, -1, 98, 1))
    assert fills(place.reports()) == [(1, 99, 5, FillReason.TRADED_THROUGH, True)]


def test_impact_model_of_ones_own():
    place = venue(VenueConfig(impact=BeyondTheBest()))
    book(place)
    assert market(place, 1, 10, 2) == [100]
    book(place, 3)
    assert market(place, 2, 11, 4) == [101, 102]


def test_a_venue_takes_events_without_instruments_of_its_own():
    place = venue(VenueConfig())
    assert place.events(event(Kind.SYSTEM, 5, word=1)) == 0
