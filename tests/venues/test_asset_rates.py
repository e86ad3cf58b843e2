"""What an asset is worth in another by the prices of a table."""

from fractions import Fraction

import pytest

from nanotick.core.instruments import Contract, Instrument, InstrumentTable
from nanotick.venues.asset_rates import AssetRates

TABLE = InstrumentTable([
    Instrument("BTCUSDT", "OTHER", 2, 5, currency="USDT"),
    Instrument("BTCUSDT", "BINANCE", 1, 5, "0.1", currency="USDT"),
    Instrument("ETH/BTC", "KRAKEN", 5, 5, "0.00001", currency="BTC"),
    Instrument("BNB-USDT", "COINBASE", 2, 5, currency="USDT"),
    Instrument("SOLUSDT", "BINANCE", 2, 5, currency="USDT", contract=Contract.INVERSE),
])  # fmt: skip
PRICES = {0: 99_000_00, 1: 100_000_0, 2: 5_000, 3: 600_00, 4: 150_00}


def rates(**changed):
    prices = PRICES | {int(number[1:]): price for number, price in changed.items()}
    return AssetRates(TABLE, "BINANCE", prices.get)


@pytest.mark.parametrize("asset, currency, worth", [
    ("BTC", "USDT", Fraction(100_000)),  # of the account's own venue, though another is listed first
    ("USDT", "BTC", Fraction(1, 100_000)),
    ("ETH", "BTC", Fraction(1, 20)),
    ("ETH", "USDT", Fraction(5_000)),
    ("BNB", "BTC", Fraction(600, 100_000)),
    ("BTC", "BNB", Fraction(100_000, 600)),
])  # fmt: skip
def test_one_instrument_or_two_lead_from_asset_to_currency(asset, currency, worth):
    over, under = rates().rate(asset, currency)
    assert type(over) is type(under) is int and under > 0 and Fraction(over, under) == worth


@pytest.mark.parametrize("asset, currency", [("HNT", "USDT"), ("BTC", "EUR"), ("SOL", "USDT"), ("BNB", "ETH")])
def test_what_no_two_instruments_connect_has_no_rate(asset, currency):
    assert rates().rate(asset, currency) is None


def test_an_instrument_without_a_price_leads_nowhere_and_another_takes_its_place():
    assert rates(n2=0).rate("ETH", "BTC") is None
    assert rates(n1=0).rate("BTC", "USDT") == (99_000_00, 100)
    assert rates(n0=0, n1=0).rate("BNB", "BTC") is None
