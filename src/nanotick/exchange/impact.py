"""Impact of our own taking, which recorded data cannot show: it worsens the prices of our taking fills, in whole ticks.

With x = quantity of the taking order / quantity displayed at the best price it takes:

    none
    linear   temporary * x, and permanent * x left behind   (Almgren & Chriss 2000)
    sqrt     temporary * x^(1/2), permanent * x^(1/2)       (square-root law: Almgren et al. 2005, Tóth et al. 2011)

`temporary` and `permanent` are in ticks. The temporary part counts for the taking order itself. The permanent part is
the shift that the market would keep; recorded data does not react, so it is kept beside the book, in the direction we
took, and fades with a half-life. A fill is worsened by the temporary part and by what is left of the shift, if that is
in the same direction; a shift that would favour us counts as zero. The sum is rounded up (or to the nearest, by choice)
to whole ticks, and a limit order is never filled beyond its limit.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import ClassVar

import numpy as np

from nanotick.core.instruments import instrument_at
from nanotick.core.kernel import kernel
from nanotick.core.memory import call2, record_at
from nanotick.exchange.custom import VenueModel
from nanotick.exchange.records import change_at, market_at


class ImpactKind(IntEnum):
    """Number of an impact model."""

    NONE = 0
    LINEAR = 1
    SQRT = 2
    CUSTOM = 3


IMPACT_NAMES: dict[str, ImpactKind] = {
    "none": ImpactKind.NONE,
    "linear": ImpactKind.LINEAR,
    "sqrt": ImpactKind.SQRT,
}
_NONE, _LINEAR, _SQRT, _CUSTOM = range(4)

IMPACT = np.dtype(
    [
        ("kind", "<i8"),
        ("temporary", "<f8"),  # ticks at x = 1
        ("permanent", "<f8"),
        ("half_life", "<f8"),  # ns, 0: the shift stays
        ("nearest", "<i8"),  # 1: round to the nearest tick, 0: up
        ("self_address", "<i8"),
        ("change_address", "<i8"),
        ("ticks_function", "<i8"),
    ]
)
impact_at = record_at(IMPACT, "ImpactSettings")


class ImpactModel(VenueModel, protocol=True):
    """Protocol of a user's impact model: method `ticks(self, change)` giving the ticks a taking order pays on top.

    `change` has `ts`, `side`, `price` and `new_qty` (of the best level it takes), `qty` (of the order), `tick`. A
    negative answer counts as zero.

    Examples
    --------
    >>> class OneTickBeyondTheBest(ImpactModel):
    ...     def ticks(self, change):
    ...         return 1 if change.qty > change.new_qty else 0
    """

    verbs: ClassVar[tuple[str, ...]] = ("ticks",)


@kernel
def remaining_shift(impact_address: int, market_address: int, ts: int) -> float:
    """What is left of the shift our taking has made, in ticks, positive upward."""
    market = market_at(market_address)
    impact = impact_at(impact_address)
    if market.impact_shift == 0.0 or impact.half_life <= 0.0:
        return market.impact_shift
    return market.impact_shift * math.pow(0.5, (ts - market.impact_ts) / impact.half_life)


@kernel
def impact_ticks(
    impact_address: int, market_address: int, ts: int, side: int, qty: int, price: int, best_qty: int
) -> int:
    """Ticks by which a taking order's fills are worsened; adds the order's own shift to the market's."""
    impact = impact_at(impact_address)
    if impact.kind == _NONE:
        return 0
    if impact.kind == _CUSTOM:
        change = change_at(impact.change_address)
        change.self_address = impact.self_address
        change.ts = ts
        change.side = side
        change.price = price
        change.qty = qty
        change.new_qty = best_qty
        change.tick = instrument_at(market_at(market_address).instrument_address).tick_size
        return max(0, call2(impact.ticks_function, 0, impact.change_address))
    share = 0.0
    if best_qty > 0:
        share = qty / best_qty
    if impact.kind == _SQRT:
        share = math.sqrt(share)
    shift = remaining_shift(impact_address, market_address, ts)
    worsened = impact.temporary * share + max(0.0, shift * side)
    market = market_at(market_address)
    market.impact_shift = shift + side * impact.permanent * share
    market.impact_ts = ts
    if impact.nearest != 0:
        return math.floor(worsened + 0.5)
    return math.ceil(worsened)
