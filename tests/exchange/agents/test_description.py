"""Market descriptions: shipped ones are whole, mistakes are refused by place and with the nearest right name."""

import pytest

from nanotick.exchange.agents.description import (
    description_from,
    description_text,
    read_description,
    shipped,
)
from nanotick.exchange.agents.description_check import DescriptionError

TIER_1 = "SPY NVDA QQQ TSLA AAPL MSFT IBIT META AMZN GOOGL".split()
TIER_2 = (
    "TQQQ SQQQ SOXL SOXS AMD TSM AVGO INTC QCOM MU BAC WFC JPM XLF FBTC COIN MSTR ETHA UNH LLY JNJ PFE XLV WMT HD V "
    "MA IWM XLK GLD SLV XOM CVX XLE VXX UVXY SVXY SMCI PLTR UPST ROKU XBI ARKQ IYR XRT TLT HYG UUP EFA EEM USO UNG DIA "
    "NFLX PYPL CRM ORCL ARKK ARM"
).split()


def small(**changes):
    values = {
        "name": "small",
        "factors": ["market"],
        "profiles": {"liquid": {"flow": {"limit_rate": 4.0}, "market_makers": [{"count": 2}]}},
        "instruments": [{"symbol": "AAA", "profile": "liquid", "price": "42.00", "loads": {"market": 0.5}}],
    }
    return {**values, **changes}


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_description_is_valid_and_survives_being_written(name, tmp_path) -> None:
    market = read_description(name)
    path = tmp_path / "copy.yaml"
    path.write_text(description_text(market))
    assert read_description(path) == market


def test_the_us_market_has_the_69_symbols_of_both_tiers() -> None:
    market = read_description("us-equities")
    assert [item.symbol for item in market.instruments] == TIER_1 + TIER_2
    assert len(market.instruments) == 69


def test_the_crypto_market_has_a_triangle_at_three_exchanges() -> None:
    market = read_description("crypto")
    assert len(market.venues) == 3
    for venue in market.venues:
        here = {item.symbol for item in market.instruments if item.venue == venue}
        assert {"BTCUSDT", "ETHUSDT", "ETHBTC", "SOLUSDT"} <= here


@pytest.mark.parametrize(
    "values, place, hint",
    [
        (small(sesion={}), "small", "'session'"),
        (small(profiles={"liquid": {"flow": {"limit_rte": 1}}}), "profiles.liquid.flow", "'limit_rate'"),
        (small(profiles={"liquid": {"market_makers": [{"halfspread": 1}]}}), "market_makers[0]", "'half_spread'"),
        (small(instruments=[{"symbol": "A", "profile": "liqid", "price": 1}]), "A@SIM", "'liquid'"),
        (
            small(instruments=[{"symbol": "A", "profile": "liquid", "price": 1, "loads": {"markt": 1}}]),
            "A@SIM",
            "'market'",
        ),
    ],
)
def test_an_unknown_name_is_refused_with_its_place_and_the_nearest(values, place, hint) -> None:
    with pytest.raises(DescriptionError) as refused:
        description_from(values, "small")
    assert place in str(refused.value) and f"did you mean {hint}" in str(refused.value)


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"instruments": []}, "at least one"),
        ({"session": {"open": 9.0, "decay": 0.2}}, "below 1"),
        ({"profiles": {"liquid": {"flow": {"distances": 99}}}}, "distances"),
        ({"profiles": {"liquid": {"flow": {"lifetime": 0}}}}, "lifetime"),
        ({"profiles": {"liquid": {"flow": {"limit_rate": "fast"}}}}, "Expected `float`"),
    ],
)
def test_an_impossible_value_is_refused(changes, sentence) -> None:
    with pytest.raises(DescriptionError, match=sentence):
        description_from(small(**changes), "small")


def test_an_unknown_market_names_the_nearest_shipped_one() -> None:
    with pytest.raises(DescriptionError, match="did you mean 'us-equities'"):
        read_description("us-equity")


def test_choosing_symbols_keeps_what_their_value_is_made_of() -> None:
    chosen = read_description("crypto").only(("ETHBTC",))
    assert {item.symbol for item in chosen.instruments} == {"BTCUSDT", "ETHUSDT", "ETHBTC"}
    with pytest.raises(DescriptionError, match="no symbol 'ETHBT'"):
        read_description("crypto").only(("ETHBT",))
