"""Fixed-point numbers at the edges: decimal text and decimals to scaled integers and back, never through a float."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

POW10: tuple[int, ...] = tuple(10**n for n in range(19))
INT64_MAX = (1 << 63) - 1


def to_scaled(value: str | int | Decimal, decimals: int, what: str = "value") -> int:
    """Integer at scale `10**-decimals` of an exact decimal.

    Raises
    ------
    ValueError
        The text is no finite decimal, has more than `decimals` places, or does not fit int64.
    """
    try:
        number = Decimal(value)
    except (InvalidOperation, ValueError) as error:
        raise ValueError(f"{what}: expected a decimal number, found {value!r}") from error
    if not number.is_finite():
        raise ValueError(f"{what}: expected a decimal number, found {value!r}")
    # by hand, since Decimal's own arithmetic rounds to 28 digits and would multiply out an exponent of any size
    if number and number.adjusted() + decimals > 18:
        raise ValueError(f"{what}: {value!r} at {decimals} decimals does not fit 64 bits")
    sign, digits, exponent = number.as_tuple()
    places = int(exponent) + decimals
    kept = len(digits) + min(0, places)
    if any(digits[max(0, kept) :]):
        raise ValueError(f"{what}: {value!r} has more than {decimals} decimal places")
    exact = int("".join(map(str, digits[: max(0, kept)])) or "0") * 10 ** max(0, places if number else 0)
    exact = -exact if sign else exact
    if not -INT64_MAX - 1 <= exact <= INT64_MAX:
        raise ValueError(f"{what}: {value!r} at {decimals} decimals does not fit 64 bits")
    return exact


def from_scaled(value: int, decimals: int) -> Decimal:
    """Exact decimal of an integer at scale `10**-decimals`."""
    return Decimal(int(value)).scaleb(-decimals)


def decimals_of(step: str | Decimal) -> int:
    """Decimal places that a tick or lot size needs: 0.0100 needs 2."""
    exponent = Decimal(step).normalize().as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"expected a finite decimal, found {step!r}")
    return max(0, -exponent)
