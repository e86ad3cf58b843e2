"""What the best bid and offer say: mid, spread, microprice, imbalance, and order-flow imbalance between two quotes.

Prices keep to the instrument's integer scale; a mid may lie between two of its units, so it is given doubled
(`mid_x2`), exactly. Ratios are floats: they feed models, never money. An empty side makes every measure 0 or nan, as
said; ask `two_sided` first where that matters.

References
----------
Cont, Kukanov, Stoikov (2014), The price impact of order book events, J. Financial Econometrics 12(1), equation 3.
Stoikov (2018), The micro-price, Quantitative Finance 18(12); here its size-weighted mid.
"""

from __future__ import annotations

import math

from nanotick.book.depth import best_price, best_qty
from nanotick.book.records import EMPTY_ASK, EMPTY_BID
from nanotick.core.kernel import kernel

_NAN = math.nan


@kernel
def two_sided(store: int, instrument: int) -> bool:
    """Whether both sides have a level."""
    return best_price(store, instrument, 1) != EMPTY_BID and best_price(store, instrument, -1) != EMPTY_ASK


@kernel
def spread(store: int, instrument: int) -> int:
    """Best ask minus best bid, price units; negative when crossed, 0 when a side is empty."""
    if not two_sided(store, instrument):
        return 0
    return best_price(store, instrument, -1) - best_price(store, instrument, 1)


@kernel
def mid_x2(store: int, instrument: int) -> int:
    """Twice the mid price, price units; 0 when a side is empty."""
    if not two_sided(store, instrument):
        return 0
    return best_price(store, instrument, -1) + best_price(store, instrument, 1)


@kernel
def imbalance(store: int, instrument: int) -> float:
    """(bid quantity - ask quantity) / (sum of both) at the best prices, -1 to 1; 0.0 when the book is empty."""
    bid, ask = best_qty(store, instrument, 1), best_qty(store, instrument, -1)
    if bid + ask == 0:
        return 0.0
    return (float(bid) - float(ask)) / (float(bid) + float(ask))


@kernel
def microprice(store: int, instrument: int) -> float:
    """Mid weighted by the size on the other side, price units; nan when a side is empty."""
    if not two_sided(store, instrument):
        return _NAN
    bid_qty, ask_qty = float(best_qty(store, instrument, 1)), float(best_qty(store, instrument, -1))
    bid, ask = float(best_price(store, instrument, 1)), float(best_price(store, instrument, -1))
    return (bid * ask_qty + ask * bid_qty) / (bid_qty + ask_qty)


@kernel
def flow_imbalance(
    bid_before: int, bid_qty_before: int, ask_before: int, ask_qty_before: int,
    bid: int, bid_qty: int, ask: int, ask_qty: int,
) -> int:  # fmt: skip
    """Contribution e_n of one change of the best bid and offer to order-flow imbalance, quantity units.

    A bid that rises or grows and an ask that rises or shrinks are demand (positive); their sum over a window is its
    order-flow imbalance. Empty sides enter with `EMPTY_BID` or `EMPTY_ASK` and quantity 0, which is what
    `best_price` and `best_qty` give.
    """
    flow = 0
    if bid >= bid_before:
        flow += bid_qty
    if bid <= bid_before:
        flow -= bid_qty_before
    if ask <= ask_before:
        flow -= ask_qty
    if ask >= ask_before:
        flow += ask_qty_before
    return flow
