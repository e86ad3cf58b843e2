"""Limits as people write them: decimals read exactly, or the word "unlimited"."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from nanotick.risk.records import UNLIMITED

Amount = str | int | float | Decimal | None


def scaled_amount(name: str, value: Amount, unit: int) -> int:
    """A limit in units of `1 / unit`.

    Raises
    ------
    ValueError
        It is missing, negative, no decimal, or has more decimal places than it is kept with.
    """
    if value is None:
        raise ValueError(f'risk limit {name} is missing: give a number, or the word "unlimited" if you mean it')
    if value == "unlimited":
        return UNLIMITED
    try:
        number = Decimal(str(value)) * unit
    except InvalidOperation:
        raise ValueError(f'risk limit {name}: expected a decimal or "unlimited", found {value!r}') from None
    if not number.is_finite() or number < 0:
        raise ValueError(f"risk limit {name}: expected 0 or more, found {value!r}")
    if number != int(number):
        raise ValueError(f"risk limit {name}: {value!r} has more decimal places than it is kept with (1/{unit})")
    if number >= UNLIMITED:
        raise ValueError(f'risk limit {name}: {value!r} is too large; say "unlimited" if you mean it')
    return int(number)
