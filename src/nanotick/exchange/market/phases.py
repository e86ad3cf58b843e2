"""Trading phases: what happens when a market leaves one and enters another.

An auction is held when a market leaves an auction phase (or the pre-open) for continuous trading or the close, and when
it comes back to continuous trading from a halt or the close. A halt itself holds none: the orders wait.
"""

from __future__ import annotations

from nanotick.book.records import cell_at, order_at, side_at, store_at
from nanotick.core.kernel import called
from nanotick.core.records import CancelReason, Kind
from nanotick.exchange.market.auction import uncross
from nanotick.exchange.market.bands import set_phase
from nanotick.exchange.market.crossing import cancel_resting
from nanotick.exchange.market.records import (
    CALL,
    CLOSE,
    MARKET_BYTES,
    Phase,
    exchange_at,
    market_at,
    market_order_at,
    participant_at,
)
from nanotick.exchange.market.working import settle

_CANCELLED, _EXPIRED = int(Kind.CANCELLED), int(Kind.EXPIRED)
_DAY_END, _AUCTION_OVER = int(CancelReason.DAY_END), int(CancelReason.AUCTION_OVER)
_CONTINUOUS, _CLOSING, _HALTED, _CLOSED = (
    int(Phase.CONTINUOUS),
    int(Phase.CLOSING_AUCTION),
    int(Phase.HALTED),
    int(Phase.CLOSED),
)
_DAY = 1  # TimeInForce.DAY


@called
def _empty_part(exchange: int, instrument: int, part: int, now: int) -> None:
    """The auction these orders were for is over."""
    root = exchange_at(exchange)
    store = store_at(root.book_address)
    for side in range(2):
        line = side_at(store.sides_address, 2 * (part * root.instruments + instrument) + side)
        while line.levels != 0:
            slot = cell_at(store.cells_address, line.best_cell).head
            cancel_resting(exchange, slot, _CANCELLED, _AUCTION_OVER, now)


@called
def _end_day(exchange: int, instrument: int, now: int) -> None:
    """Day orders of an instrument end, participant by participant, newest first."""
    root = exchange_at(exchange)
    for participant in range(root.participants):
        slot = participant_at(root.participants_address, participant).first
        while slot != 0:
            order = market_order_at(root.orders_address, slot)
            following = order.next
            where = (order_at(store_at(root.book_address).orders_address, slot).owner >> 1) % root.instruments
            if order.tif == _DAY and where == instrument:
                cancel_resting(exchange, slot, _EXPIRED, _DAY_END, now)
            slot = following


@called
def exchange_phase(exchange: int, instrument: int, phase: int, now: int) -> int:
    """Put a market into a `Phase`.

    Returns
    -------
    int
        Quantity traded in the auction that ended, if any; -1 for an instrument or phase that does not exist.
    """
    root = exchange_at(exchange)
    if instrument < 0 or instrument >= root.instruments or phase < 0 or phase > _CLOSED:
        return -1
    market = market_at(root.markets_address + instrument * MARKET_BYTES)
    old = market.phase
    if old == phase:
        return 0
    start = root.feed_end
    traded = 0
    if old != _CONTINUOUS and (phase == _CONTINUOUS or (phase == _CLOSED and old != _HALTED)):
        traded = uncross(exchange, instrument, now)
        _empty_part(exchange, instrument, CALL, now)
        if old == _CLOSING:
            _empty_part(exchange, instrument, CLOSE, now)
    set_phase(exchange, instrument, phase, now)
    if phase == _CLOSED:
        _empty_part(exchange, instrument, CALL, now)
        _empty_part(exchange, instrument, CLOSE, now)
        _end_day(exchange, instrument, now)
    settle(exchange, instrument, start, now)
    return traded
