"""Integer money: exact where it fits 63 bits, and OVERFLOW, larger than any limit, where it does not."""

from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.arena import Arena
from nanotick.core.instruments import Contract, Instrument, InstrumentTable
from nanotick.core.kernel import kernel
from nanotick.core.value import OVERFLOW, add_saturating, multiply, scale, trade_value
from nanotick.risk.exposure import exceeds_share, share_of
from nanotick.risk.records import PPM, UNLIMITED

_PRODUCT, _SCALE, _SUM, _VALUE = range(4)
_SHARE, _EXCEEDS = range(2)
INT64 = st.integers(-OVERFLOW - 1, OVERFLOW)
SIZE = st.one_of(st.integers(0, OVERFLOW), st.integers(0, 1 << 32))


@kernel("i8(i8,i8,i8,i8)")
def value_call(what: int, a: int, b: int, c: int) -> int:
    """Call the kernel of this number."""
    if what == _PRODUCT:
        return multiply(a, b)
    if what == _SCALE:
        return scale(a, b, c)
    if what == _SUM:
        return add_saturating(a, b)
    return trade_value(a, b, c)


@kernel("i8(i8,i8,i8,i8)")
def share_call(what: int, value: int, equity: int, ppm: int) -> int:
    """Call the kernel of this number."""
    if what == _SHARE:
        return share_of(equity, ppm)
    return int(exceeds_share(value, equity, ppm))


@given(INT64, SIZE, st.one_of(SIZE, st.integers(0, 10_000_000)))
def test_a_share_of_equity_is_exact_at_any_size(value, equity, ppm):
    if ppm >= UNLIMITED:
        return
    exact = equity * ppm // PPM
    share = share_call(_SHARE, 0, equity, ppm)
    assert share == exact or (share == OVERFLOW and exact >= 1 << 59)
    assert share_call(_EXCEEDS, value, equity, ppm) == (value > share)


@given(SIZE, SIZE)
def test_a_product_is_exact_or_overflows_and_never_wraps(a, b):
    got = value_call(_PRODUCT, a, b, 0)
    assert got == a * b or (got == OVERFLOW and a * b >= 1 << 61)


def test_a_product_of_something_negative_overflows():
    assert value_call(_PRODUCT, -1, 2, 0) == value_call(_PRODUCT, 2, -1, 0) == OVERFLOW


@given(INT64, SIZE, st.one_of(st.integers(1, OVERFLOW), st.just(1)))
def test_scaling_rounds_down_or_saturates_to_the_side_of_its_sign(a, numerator, denominator):
    exact = floor(Fraction(a * numerator, denominator))
    got = value_call(_SCALE, a, numerator, denominator)
    if abs(got) == OVERFLOW:
        assert abs(exact) >= 1 << 59 and (got > 0) == (a > 0)
    else:
        assert got == exact


@given(INT64, INT64)
def test_a_sum_saturates(a, b):
    want = a if b == 0 else max(-OVERFLOW, min(OVERFLOW, a + b))
    assert value_call(_SUM, a, b, 0) == want


CONTRACTS = (
    Instrument("LIN", multiplier="50"),
    Instrument("INV", price_decimals=1, tick_size="0.5", multiplier="100", contract=Contract.INVERSE, currency="BTC"),
)


@pytest.mark.parametrize("number", [0, 1])
@given(price=st.integers(1, 1 << 40), qty=st.integers(0, 1 << 40))
def test_a_trade_is_worth_what_its_contract_says(number, price, qty):
    item = CONTRACTS[number]
    arena = Arena(1 << 20)
    region = InstrumentTable(CONTRACTS).bind(arena)
    got = value_call(_VALUE, region.address + number * region.dtype.itemsize, price, qty)
    unit = 10**item.value_decimals
    money = Fraction(price, 10**item.price_decimals), Fraction(qty, 10**item.qty_decimals)
    exact = 50 * money[0] * money[1] if number == 0 else 100 * money[1] / money[0]
    assert got == floor(exact * unit) or (got == OVERFLOW and exact * unit >= 1 << 59)


def test_an_inverse_contract_without_a_price_overflows():
    arena = Arena(1 << 20)
    region = InstrumentTable(CONTRACTS).bind(arena)
    for price in (0, -5):
        assert value_call(_VALUE, region.address + region.dtype.itemsize, price, 10) == OVERFLOW
