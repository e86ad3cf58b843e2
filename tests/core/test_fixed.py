"""Decimal text to scaled integers and back, exactly or not at all."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.fixed import INT64_MAX, POW10, decimals_of, from_scaled, to_scaled


@given(st.integers(-INT64_MAX - 1, INT64_MAX), st.integers(0, 18))
def test_round_trip_is_exact(value, decimals) -> None:
    number = from_scaled(value, decimals)
    assert number * POW10[decimals] == value or len(str(abs(value))) > 28
    assert to_scaled(str(number), decimals) == value
    assert to_scaled(number, decimals) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1.005", "more than 2 decimal places"),
        ("x", "expected a decimal number, found 'x'"),
        ("", "expected a decimal number"),
        ("nan", "expected a decimal number"),
        ("inf", "expected a decimal number"),
        ("1e30", "does not fit 64 bits"),
        ("92233720368547758.08", "does not fit 64 bits"),
        ("1e999999999", "does not fit 64 bits"),
        ("1e-999999999", "more than 2 decimal places"),
        ("1.0000000000000000000000000000000001", "more than 2 decimal places"),
    ],
)
def test_what_is_not_exact_is_refused_with_its_name(text, message) -> None:
    with pytest.raises(ValueError, match=f"price of X: .*{message}|price of X: {message}"):
        to_scaled(text, 2, "price of X")


@given(st.text(max_size=20), st.integers(0, 18))
def test_any_text_is_a_number_or_a_value_error(text, decimals) -> None:
    try:
        value = to_scaled(text, decimals)
    except ValueError:
        return
    assert from_scaled(value, decimals) == Decimal(text)


@pytest.mark.parametrize(("step", "decimals"), [("0.0100", 2), ("1", 0), ("1e-8", 8), ("10", 0), ("0.5", 1)])
def test_decimals_of_a_step(step, decimals) -> None:
    assert decimals_of(step) == decimals


def test_zeros_and_long_tails_of_zeros_are_exact() -> None:
    assert to_scaled("0e999999999", 2) == to_scaled("-0", 2) == to_scaled("0.00000", 2) == 0
    assert to_scaled("1.5" + "0" * 100, 1) == 15
    assert to_scaled("-92233720368547758.08", 2) == -(2**63)


def test_decimals_of_infinity_is_an_error() -> None:
    with pytest.raises(ValueError, match="finite"):
        decimals_of(Decimal("inf"))
