"""What price and quantity are worth, in integers, and arithmetic that saturates instead of wrapping.

`trade_value` is the one place where a contract's money is computed: linear contracts exactly, inverse contracts rounded
down to the instrument's value unit. A result that could leave 63 bits is `OVERFLOW`, larger than every limit, so that
whoever compares with a limit fails closed. The tests for overflow count leading zeros: they cost a cycle and may call
a product too large that is within a factor of four of 2**63.
"""

from __future__ import annotations

from nanotick.core.instruments import Contract, instrument_at
from nanotick.core.kernel import kernel
from nanotick.core.memory import leading_zeros, mul_div

OVERFLOW = (1 << 63) - 1
_INVERSE = int(Contract.INVERSE)


@kernel
def multiply(a: int, b: int) -> int:
    """Product of two integers, 0 or more each; OVERFLOW when it may not fit (or one of them is negative)."""
    if a == 0 or b == 0:
        return 0
    if leading_zeros(a) + leading_zeros(b) < 65:
        return OVERFLOW
    return a * b


@kernel
def scale(a: int, numerator: int, denominator: int) -> int:
    """floor(a * numerator / denominator), `a` of either sign, saturating at OVERFLOW and its negative.

    `numerator` must be 0 or more and `denominator` positive.
    """
    if a == 0 or numerator == 0:
        return 0
    if a < -OVERFLOW:  # the one integer without an absolute value
        return -OVERFLOW
    size = abs(a)
    if denominator == 1:
        if leading_zeros(size) + leading_zeros(numerator) < 65:
            return OVERFLOW if a > 0 else -OVERFLOW
        return a * numerator
    # a * numerator < 2**bits; dividing by at least 2**(63 - zeros of the denominator) must leave 62 bits
    bits = 128 - leading_zeros(size) - leading_zeros(numerator)
    if bits - (63 - leading_zeros(denominator)) > 62:
        return OVERFLOW if a > 0 else -OVERFLOW
    return mul_div(a, numerator, denominator)


@kernel
def add_saturating(a: int, b: int) -> int:
    """Sum, kept at OVERFLOW or its negative when it would wrap."""
    if b > 0 and a > OVERFLOW - b:
        return OVERFLOW
    if b < 0 and a < -OVERFLOW - b:
        return -OVERFLOW
    return a + b


@kernel
def trade_value(instrument_address: int, price: int, qty: int) -> int:
    """Money that a quantity is worth at a price, value units, 0 or more.

    Linear: price * qty * multiplier. Inverse: face * qty / price in the base currency, rounded down.

    Parameters
    ----------
    instrument_address : int
        Address of the INSTRUMENT record.
    price, qty : int
        0 or more (a negative price counts by its size: the sign of money is the caller's matter).

    Returns
    -------
    int
        OVERFLOW when it does not fit, or when an inverse contract has no positive price.
    """
    instrument = instrument_at(instrument_address)
    if instrument.contract == _INVERSE:
        if price <= 0:
            return OVERFLOW
        return scale(qty, instrument.multiplier, price)
    value = multiply(abs(price), qty)
    if instrument.multiplier == 1 or value == OVERFLOW:
        return value
    return multiply(value, instrument.multiplier)
