"""Instruments: integer prices and quantities, the rules of each, and the table that numbers them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.arena import Arena
from nanotick.core.instruments import Contract, Instrument, InstrumentTable, instrument_at
from nanotick.core.memory import mul_div
from nanotick.core.records import TradingStatus

STOCK = Instrument("ACME", "XNAS")
SWAP = Instrument("BTCUSDT", "BINANCE", 2, 3, "0.10", "0.001", "0.001", "1000", "5", currency="USDT")
INVERSE = Instrument("XBTUSD", "BITMEX", 1, 0, "0.5", "1", multiplier="1", contract=Contract.INVERSE, currency="XBT")


def test_prices_and_quantities_are_integers_of_the_instruments_scale() -> None:
    assert STOCK.price("12.34") == 1234 and STOCK.qty(100) == 100
    assert SWAP.price("42000.1") == 4_200_010 and SWAP.qty("0.005") == 5
    assert SWAP.value_decimals == 5
    # price times quantity is exact money at the value scale: 42000.10 * 0.005 = 210.0005
    assert SWAP.value_decimal(4_200_010 * 5) == Decimal("210.0005")
    with pytest.raises(ValueError, match=r"price of ACME: '12.345' has more than 2"):
        STOCK.price("12.345")
    with pytest.raises(ValueError, match="quantity of ACME"):
        STOCK.qty("0.5")


@given(st.integers(-(10**15), 10**15))
def test_scaled_and_decimal_are_inverse(value) -> None:
    assert SWAP.price(SWAP.price_decimal(value)) == value
    assert SWAP.qty(SWAP.qty_decimal(value)) == value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"price_decimals": 10, "qty_decimals": 9}, "together at most 18"),
        ({"price_decimals": -1}, "must be 0 or more"),
        ({"tick_size": "0"}, "tick_size must be positive, found 0"),
        ({"tick_size": "0.001"}, "tick_size: '0.001' has more than 2"),
        ({"lot_size": "-1"}, "lot_size must be positive, found -1"),
        ({"lot_size": "many"}, "lot_size: expected a decimal number, found 'many'"),
    ],
)
def test_an_impossible_instrument_is_refused_by_name(changes, message) -> None:
    with pytest.raises(ValueError, match=f"instrument ODD@SIM.*{message}"):
        Instrument("ODD", **changes)


def test_plain_values_and_back() -> None:
    for item in (STOCK, SWAP, INVERSE):
        assert Instrument.from_dict(item.as_dict()) == item
    assert STOCK.with_tick("0.05").tick_size == "0.05"


def test_the_table_numbers_instruments_in_order_and_finds_them() -> None:
    other = Instrument("ACME", "BATS")
    table = InstrumentTable([STOCK, SWAP, other])
    assert [table.number("ACME", "XNAS"), table.number("BTCUSDT"), table.number("ACME", "BATS")] == [0, 1, 2]
    assert table[1] == SWAP and list(table) == [STOCK, SWAP, other] and len(table) == 3
    with pytest.raises(KeyError, match="several venues list ACME"):
        table.number("ACME")
    with pytest.raises(KeyError, match=r"no instrument NONE; there are ACME@XNAS, BTCUSDT@BINANCE, ACME@BATS"):
        table.number("NONE")
    with pytest.raises(KeyError, match="no instrument ACME@NYSE"):
        table.number("ACME", "NYSE")
    with pytest.raises(ValueError, match="ACME@XNAS is listed twice"):
        InstrumentTable([STOCK, STOCK])


def test_the_table_in_an_arena_is_what_kernels_read() -> None:
    table = InstrumentTable([STOCK, SWAP, Instrument("ACME", "BATS"), INVERSE])
    region = table.bind(Arena(1 << 20))
    swap = instrument_at(region.address, 1)
    assert (swap.tick_size, swap.lot_size, swap.min_qty, swap.max_qty) == (10, 1, 1, 1_000_000)
    assert (swap.min_notional, swap.value_unit, swap.multiplier) == (500_000, 100_000, 1)
    assert (swap.price_decimals, swap.qty_decimals, swap.status) == (2, 3, TradingStatus.TRADING)
    rows = [instrument_at(region.address, i) for i in range(4)]
    assert [row.group for row in rows] == [0, 1, 0, 2]  # ACME at two venues is one group
    assert [row.venue for row in rows] == [0, 1, 2, 3]
    assert [row.currency for row in rows] == [0, 1, 0, 2]
    assert rows[3].contract == Contract.INVERSE
    # one contract of 1 USD at 50,000.0 is worth 0.00002 XBT
    assert INVERSE.value_decimal(mul_div(1, rows[3].multiplier, INVERSE.price("50000.0"))) == Decimal("0.00002")
