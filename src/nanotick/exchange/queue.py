"""Queue models: how much is ahead of a resting order when only the total of its price level is known.

A model answers three things, for one order at a time, and keeps its answer in `order.front`:

    joined(order, change)   the order took its place behind `change.new_qty`
    traded(order, change)   `change.qty` traded at its price; `change.reached` of it got past our own orders ahead
    changed(order, change)  the level went from `change.prev_qty` to `change.new_qty`

`front` may go below zero in `traded` only: the part below zero has reached us and is filled, in whole lots.

The built-in models are those of hftbacktest's documentation. *Risk averse*: only trades advance us, and what is ahead
cannot exceed what is there. *Probability*: a decrease that trades do not explain happened behind us with probability

    power   f(back) / (f(back) + f(front))   f(x) = x^n
    power2  f(back) / f(back + front)        f(x) = x^n
    power3  1 - f(front / (front + back))    f(x) = x^n
    log     f(back) / (f(back) + f(front))   f(x) = ln(1 + x)
    log2    f(back) / f(back + front)        f(x) = ln(1 + x)

and ahead of us otherwise. What traded since the level was last told is taken off the decrease first, so that a trade
does not advance us twice (the double-count guard).

References
----------
R. Cont, S. Stoikov, R. Talreja (2010), A stochastic model for order book dynamics; E. Rigtorp (2013), Estimating order
queue position; hftbacktest, Order Fill, queue models.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import ClassVar

import numpy as np

from nanotick.core.kernel import kernel
from nanotick.core.memory import call2, record_at
from nanotick.exchange.custom import VenueModel
from nanotick.exchange.records import UNKNOWN_FRONT, change_at, own_at, venue_at


class QueueKind(IntEnum):
    """Number of a queue model."""

    RISK_AVERSE = 0
    POWER = 1
    POWER2 = 2
    POWER3 = 3
    LOG = 4
    LOG2 = 5
    CUSTOM = 6


QUEUE_NAMES: dict[str, QueueKind] = {
    "risk_averse": QueueKind.RISK_AVERSE,
    "power_prob": QueueKind.POWER,
    "power_prob2": QueueKind.POWER2,
    "power_prob3": QueueKind.POWER3,
    "log_prob": QueueKind.LOG,
    "log_prob2": QueueKind.LOG2,
}
_RISK_AVERSE, _POWER, _POWER2, _POWER3 = 0, 1, 2, 3
_LOG, _CUSTOM = int(QueueKind.LOG), int(QueueKind.CUSTOM)

QUEUE = np.dtype(
    [
        ("kind", "<i8"),
        ("power", "<f8"),
        ("self_address", "<i8"),
        ("joined_function", "<i8"),
        ("traded_function", "<i8"),
        ("changed_function", "<i8"),
    ]
)
queue_at = record_at(QUEUE, "QueueSettings")


class QueueModel(VenueModel, protocol=True):
    """Protocol of a user's queue model: methods `joined`, `traded`, `changed`, each `(self, order, change)`.

    `order` is our order (`front` is the model's answer; `memo_int` and `memo_float` are its own to use; `price`,
    `side`, `leaves` are for reading). `change` has `price`, `side`, `lot`, `tick`, `scale`, and `prev_qty`, `new_qty`,
    `qty`, `reached` as said above.

    Examples
    --------
    >>> class Share(QueueModel):
    ...     ahead_share: float = 0.5
    ...     def joined(self, order, change):
    ...         order.front = float(change.new_qty)
    ...     def traded(self, order, change):
    ...         order.front -= change.reached
    ...     def changed(self, order, change):
    ...         gone = max(0, change.prev_qty - change.new_qty)
    ...         order.front = min(order.front - self.ahead_share * gone, float(change.new_qty))
    >>> Share(ahead_share=0.25).values
    {'ahead_share': 0.25}
    """

    verbs: ClassVar[tuple[str, ...]] = ("joined", "traded", "changed")


@kernel
def _raised(x: float, power: float) -> float:
    """x to a power; the usual exponents without the library's call."""
    if power == 2.0:
        return x * x
    if power == 1.0:
        return x
    if power == 3.0:
        return x * x * x
    return math.pow(x, power)


@kernel
def behind_probability(kind: int, power: float, front: float, back: float) -> float:
    """Probability that a decrease happened behind an order with `front` ahead and `back` behind, in natural units."""
    if front < 0.0:
        front = 0.0
    if back < 0.0:
        back = 0.0
    if kind == _POWER3:
        whole = front + back
        if whole <= 0.0:
            return 1.0
        return 1.0 - _raised(front / whole, power)
    if kind >= _LOG:
        f_back = math.log(1.0 + back)
        if kind == _LOG:
            total = f_back + math.log(1.0 + front)
        else:
            total = math.log(1.0 + (back + front))
    else:
        f_back = _raised(back, power)
        if kind == _POWER:
            total = f_back + _raised(front, power)
        else:
            total = _raised(back + front, power)
    if total <= 0.0:
        return 1.0
    return f_back / total


@kernel
def estimated_front(
    kind: int, power: float, scale: float, front: float, prev_qty: int, new_qty: int, gone: int
) -> float:
    """What is ahead after `gone` left the level for other reasons than trades."""
    back = prev_qty - front
    p = behind_probability(kind, power, front * scale, back * scale)
    estimate = front - (1.0 - p) * gone + min(back - p * gone, 0.0)
    if estimate < 0.0:
        estimate = 0.0
    if estimate > new_qty:
        estimate = float(new_qty)
    return estimate


@kernel
def _tell(venue: int, queue: int, function: int, order: int) -> None:
    change_at(venue_at(venue).change_address).self_address = queue_at(queue).self_address
    call2(function, order, venue_at(venue).change_address)


@kernel
def queue_joined(venue: int, queue: int, order_address: int, level_qty: int, visible: bool) -> None:
    """An order took its place at a level that shows `level_qty`."""
    order = own_at(order_address)
    order.traded = 0
    if not visible:
        order.front = UNKNOWN_FRONT
        return
    order.front = float(level_qty)
    if queue_at(queue).kind == _CUSTOM:
        change_at(venue_at(venue).change_address).new_qty = level_qty
        _tell(venue, queue, queue_at(queue).joined_function, order_address)


@kernel
def queue_traded(venue: int, queue: int, order_address: int, qty: int, reached: int) -> None:
    """A quantity traded at the order's price; `reached` of it went past our own orders ahead of this one."""
    order = own_at(order_address)
    if queue_at(queue).kind == _CUSTOM:
        change = change_at(venue_at(venue).change_address)
        change.qty = qty
        change.reached = reached
        _tell(venue, queue, queue_at(queue).traded_function, order_address)
        return
    order.front = order.front - reached
    order.traded += qty


@kernel
def queue_changed(venue: int, queue: int, order_address: int, prev_qty: int, new_qty: int) -> None:
    """The feed told the level's quantity anew."""
    order = own_at(order_address)
    settings = queue_at(queue)
    kind = settings.kind
    if kind == _CUSTOM:
        change = change_at(venue_at(venue).change_address)
        change.prev_qty = prev_qty
        change.new_qty = new_qty
        _tell(venue, queue, settings.changed_function, order_address)
        return
    gone = prev_qty - new_qty - order.traded
    order.traded = 0
    if kind == _RISK_AVERSE or gone < 0 or order.front >= UNKNOWN_FRONT:
        if order.front > new_qty:
            order.front = float(new_qty)
        return
    instrument_scale = change_at(venue_at(venue).change_address).scale
    order.front = estimated_front(kind, settings.power, instrument_scale, order.front, prev_qty, new_qty, gone)


@kernel
def reached_qty(order_address: int, lot: int) -> int:
    """Quantity, in whole lots, by which trades went past what was ahead of the order."""
    front = own_at(order_address).front
    if front >= 0.0:
        return 0
    return int(-front) // lot * lot
