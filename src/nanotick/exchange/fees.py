"""Fees and rebates of a fill, in the instrument's value units, exact in integers and rounded against us.

    rate        share of the value, in 1e-9 (1 basis point is 100_000), by maker and taker; negative: a rebate
    per_unit    currency per share or contract, by maker and taker
    flat        currency per fill, by maker and taker
    by side     a further share of the value for buys and for sells (stamp duty, transaction tax)
    tiers       the rates of a volume band; volume is traded value, since the start or over the last days

All parts add up, each rounded up to the next value unit: a fee is never too small, a rebate never too large.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar

import numpy as np

from nanotick.core.instruments import instrument_at
from nanotick.core.kernel import kernel
from nanotick.core.memory import call2, mul_div, record_at
from nanotick.core.value import trade_value
from nanotick.exchange.custom import VenueModel
from nanotick.exchange.records import change_at

RATE_UNIT = 1_000_000_000  # rates are integers of 1e-9
AMOUNT_UNIT = 1_000_000_000  # amounts of currency are integers of 1e-9
VOLUME_UNIT = 1_000_000  # volumes are integers of 1e-6 of the currency
MAX_TIERS = 16
MAX_DAYS = 64
_DAY = 86_400_000_000_000


class FeeKind(IntEnum):
    """Number of a fee model."""

    SCHEDULE = 0  # all built-in parts
    CUSTOM = 1


_CUSTOM = int(FeeKind.CUSTOM)

FEES = np.dtype(
    [
        ("kind", "<i8"),
        ("maker_rate", "<i8"),  # 1e-9 of value
        ("taker_rate", "<i8"),
        ("buy_rate", "<i8"),
        ("sell_rate", "<i8"),
        ("maker_unit", "<i8"),  # 1e-9 currency a share or contract
        ("taker_unit", "<i8"),
        ("maker_flat", "<i8"),  # 1e-9 currency a fill
        ("taker_flat", "<i8"),
        ("tiers", "<i8"),
        ("tier_volume", "<i8", (MAX_TIERS,)),  # from this volume (1e-6 currency) on
        ("tier_maker_rate", "<i8", (MAX_TIERS,)),
        ("tier_taker_rate", "<i8", (MAX_TIERS,)),
        ("volume", "<i8"),  # 1e-6 currency, of the window
        ("days", "<i8"),  # length of the window, 0: since the start
        ("day", "<i8"),  # day number of the newest bucket
        ("day_volume", "<i8", (MAX_DAYS,)),
        ("self_address", "<i8"),
        ("change_address", "<i8"),
        ("fee_function", "<i8"),
    ]
)
fees_at = record_at(FEES, "FeeSchedule")


class FeeModel(VenueModel, protocol=True):
    """Protocol of a user's fee model: method `fee(self, change)` giving value units (negative: a rebate).

    `change` has `ts`, `side`, `maker` (0 or 1), `price`, `qty`, `scale`, `value` (of the fill, in value units) and
    `value_unit` (value units in one unit of the currency). The class may keep state in its attributes.

    Examples
    --------
    >>> class TenthOfACentAShare(FeeModel):
    ...     def fee(self, change):
    ...         return -(-change.qty * change.value_unit // 1000)
    """

    verbs: ClassVar[tuple[str, ...]] = ("fee",)


@kernel
def power_of_ten(n: int) -> int:
    """10^n of a small n."""
    result = 1
    for _ in range(n):
        result = result * 10
    return result


@kernel
def _roll(fees_address: int, day: int) -> None:
    """Forget the days that left the window."""
    fees = fees_at(fees_address)
    if fees.days == 0 or day <= fees.day:
        return
    steps = min(day - fees.day, fees.days)
    for i in range(steps):
        slot = (day - i) % fees.days
        fees.volume -= fees.day_volume[slot]
        fees.day_volume[slot] = 0
    fees.day = day


@kernel
def fill_fee(fees_address: int, instrument_address: int, ts: int, side: int, maker: int, price: int, qty: int) -> int:
    """Fee of a fill in value units, and the fill's part in the volume of the tiers."""
    fees = fees_at(fees_address)
    instrument = instrument_at(instrument_address)
    value = trade_value(instrument_address, price, qty)
    if fees.kind == _CUSTOM:
        change = change_at(fees.change_address)
        change.self_address = fees.self_address
        change.ts = ts
        change.side = side
        change.maker = maker
        change.price = price
        change.qty = qty
        change.value = value
        change.value_unit = instrument.value_unit
        return call2(fees.fee_function, 0, fees.change_address)
    rate = fees.taker_rate
    unit = fees.taker_unit
    flat = fees.taker_flat
    if maker != 0:
        rate = fees.maker_rate
        unit = fees.maker_unit
        flat = fees.maker_flat
    if fees.tiers > 0:
        _roll(fees_address, ts // _DAY)
        for i in range(fees.tiers):
            if fees.volume >= fees.tier_volume[i]:
                rate = fees.tier_taker_rate[i]
                if maker != 0:
                    rate = fees.tier_maker_rate[i]
        traded = mul_div(value, VOLUME_UNIT, instrument.value_unit)
        fees.volume += traded
        if fees.days > 0:
            fees.day_volume[fees.day % fees.days] += traded
    if side > 0:
        rate += fees.buy_rate
    else:
        rate += fees.sell_rate
    # each part rounded up by dividing its negative down
    fee = -mul_div(-value, rate, RATE_UNIT)
    if unit != 0:
        fee -= mul_div(-qty, unit * (instrument.value_unit // power_of_ten(instrument.qty_decimals)), AMOUNT_UNIT)
    if flat != 0:
        fee -= mul_div(-flat, instrument.value_unit, AMOUNT_UNIT)
    return fee
