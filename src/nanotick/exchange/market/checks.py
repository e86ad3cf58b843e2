"""Whether an order may be entered: each check gives a RejectReason, 0 for none."""

from __future__ import annotations

from nanotick.book.records import EMPTY_RANK, store_at
from nanotick.core.instruments import INSTRUMENT
from nanotick.core.kernel import called, inlined, kernel
from nanotick.core.memory import load_i64
from nanotick.core.records import CommandFlag, RejectReason, command_at
from nanotick.core.value import trade_value
from nanotick.exchange.market.records import (
    CLIENT_MASK,
    MARKET_BYTES,
    QTY_LIMIT,
    Phase,
    exchange_at,
    market_at,
    participant_at,
)
from nanotick.exchange.market.resting import find_resting, order_key
from nanotick.exchange.market.working import (
    opposite_best,
)

_BAD_PRICE, _BAD_QTY = int(RejectReason.INVALID_PRICE), int(RejectReason.INVALID_QUANTITY)
_CLOSED_REASON, _DUPLICATE = int(RejectReason.MARKET_CLOSED), int(RejectReason.DUPLICATE_ID)
_BAD_ID, _UNSUPPORTED = int(RejectReason.INVALID_ID), int(RejectReason.UNSUPPORTED)
_HALTED_REASON, _LIMIT_REACHED = int(RejectReason.HALTED), int(RejectReason.LIMIT_REACHED)
_BLOCKED, _BOOK_FULL = int(RejectReason.BLOCKED), int(RejectReason.BOOK_FULL)
_TOO_LATE = int(RejectReason.TOO_LATE)
_LIMIT, _MARKET, _STOP, _STOP_LIMIT, _PEG_MID, _PEG_PRIMARY = 0, 1, 2, 3, 4, 5  # OrderType
_IOC, _FOK, _AT_OPEN, _AT_CLOSE = 2, 3, 5, 6  # TimeInForce
_POST_ONLY, _REDUCE_ONLY = int(CommandFlag.POST_ONLY), int(CommandFlag.REDUCE_ONLY)
_ICEBERG, _MIN_QTY = int(CommandFlag.ICEBERG), int(CommandFlag.MIN_QTY)
_SLIDE, _HIDDEN = int(CommandFlag.SLIDE), int(CommandFlag.HIDDEN)
_STOP_PRICE_FLAGS = _ICEBERG | _MIN_QTY
_CONTINUOUS, _PRE_OPEN, _OPENING = int(Phase.CONTINUOUS), int(Phase.PRE_OPEN), int(Phase.OPENING_AUCTION)
_HALTED, _CLOSED = int(Phase.HALTED), int(Phase.CLOSED)
_INSTRUMENT_BYTES = INSTRUMENT.itemsize


@called
def shape_fault(command_address: int) -> int:
    """Reason why this type, time in force and flags do not go together, 0 for none."""
    command = command_at(command_address)
    order_type, tif, flags = command.order_type, command.tif, command.flags
    if order_type > _PEG_PRIMARY or tif > _AT_CLOSE or flags & 128:
        return _UNSUPPORTED
    immediate = tif == _IOC or tif == _FOK
    auction = tif >= _AT_OPEN
    if order_type >= _PEG_MID:
        if immediate or auction or flags & (_POST_ONLY | _ICEBERG | _MIN_QTY | _SLIDE | _REDUCE_ONLY):
            return _UNSUPPORTED
    elif order_type == _STOP or order_type == _STOP_LIMIT:
        if auction or flags & (_POST_ONLY | _ICEBERG | _MIN_QTY | _SLIDE | _HIDDEN):
            return _UNSUPPORTED
    elif order_type == _MARKET:
        if flags & (_POST_ONLY | _ICEBERG | _SLIDE | _HIDDEN):
            return _UNSUPPORTED
    if flags & _POST_ONLY and immediate:
        return _UNSUPPORTED
    if flags & _SLIDE and flags & _POST_ONLY == 0:
        return _UNSUPPORTED
    if flags & _ICEBERG and (flags & (_MIN_QTY | _HIDDEN) or immediate):
        return _UNSUPPORTED
    if auction and flags & (_POST_ONLY | _ICEBERG | _MIN_QTY | _HIDDEN):
        return _UNSUPPORTED
    if flags & _MIN_QTY and flags & _POST_ONLY:
        return _UNSUPPORTED
    return 0


@called
def phase_fault(phase: int, command_address: int) -> int:
    """Reason why an order of this kind cannot be entered in this phase, 0 for none."""
    command = command_at(command_address)
    tif = command.tif
    if phase == _CLOSED:
        return _CLOSED_REASON
    if phase == _HALTED:
        return _HALTED_REASON
    if tif == _AT_OPEN and phase != _PRE_OPEN and phase != _OPENING:
        return _TOO_LATE
    if phase != _CONTINUOUS and (tif == _IOC or tif == _FOK or command.flags & _MIN_QTY):
        return _UNSUPPORTED
    return 0


@kernel
def price_fault(market_address: int, price: int) -> int:
    """Whether a price is off the tick or out of the instrument's limits."""
    market = market_at(market_address)
    if price < market.price_low or price > market.price_high:
        return _BAD_PRICE
    if market.tick != 1 and price % market.tick != 0:
        return _BAD_PRICE
    return 0


@kernel
def qty_fault(market_address: int, qty: int) -> int:
    """Whether a quantity is off the lot or out of the instrument's limits."""
    market = market_at(market_address)
    if qty <= 0 or qty < market.min_qty or qty > market.max_qty:
        return _BAD_QTY
    if market.lot != 1 and qty % market.lot != 0:
        return _BAD_QTY
    return 0


@called
def stop_price_fault(market_address: int, order_type: int, flags: int, stop_price: int, qty: int) -> int:
    """Whether the field that is stop price, peg offset, displayed or minimum quantity holds what it may."""
    market = market_at(market_address)
    if order_type == _STOP or order_type == _STOP_LIMIT:
        return price_fault(market_address, stop_price)
    if order_type >= _PEG_MID:
        if stop_price > QTY_LIMIT or stop_price < -QTY_LIMIT:
            return _BAD_PRICE
        if order_type == _PEG_PRIMARY and stop_price % market.tick != 0:
            return _BAD_PRICE
        return 0
    if flags & _STOP_PRICE_FLAGS:
        if stop_price <= 0 or stop_price > qty or stop_price % market.lot != 0:
            return _BAD_QTY
    return 0


@called
def value_fault(exchange: int, instrument: int, participant: int, price: int, qty: int) -> int:
    """Least value of the instrument, largest value of the participant; orders without a price are not valued."""
    root = exchange_at(exchange)
    market = market_at(root.markets_address + instrument * MARKET_BYTES)
    value = trade_value(root.instruments_address + instrument * _INSTRUMENT_BYTES, price, qty)
    if value < market.notional:
        return _BAD_QTY
    limit = participant_at(root.participants_address, participant).max_value
    if limit != 0 and value > limit:
        return _LIMIT_REACHED
    return 0


@inlined
def order_fault(exchange: int, command_address: int, key_entry: int) -> int:
    """Reason why a new order of a known instrument and participant is refused, 0 for none."""
    root = exchange_at(exchange)
    command = command_at(command_address)
    instrument, participant, ident = command.instrument, command.strategy, command.id
    market_address = root.markets_address + instrument * MARKET_BYTES
    market = market_at(market_address)
    owner = participant_at(root.participants_address, participant)
    if owner.blocked != 0:
        return _BLOCKED
    if ident <= 0 or ident > CLIENT_MASK:
        return _BAD_ID
    order_type, flags, qty = command.order_type, command.flags, command.qty
    if command.side != 1 and command.side != -1:
        return _UNSUPPORTED
    plain = order_type == _LIMIT and flags == 0 and command.tif < _AT_OPEN
    if not plain:
        fault = shape_fault(command_address)
        if fault != 0:
            return fault
    if market.phase != _CONTINUOUS or command.tif == _AT_OPEN:
        fault = phase_fault(market.phase, command_address)
        if fault != 0:
            return fault
    if order_type == _LIMIT or order_type == _STOP_LIMIT or (order_type >= _PEG_MID and command.price != 0):
        fault = price_fault(market_address, command.price)
        if fault != 0:
            return fault
    fault = qty_fault(market_address, qty)
    if fault != 0:
        return fault
    if not plain:
        fault = stop_price_fault(market_address, order_type, flags, command.stop_price, qty)
        if fault != 0:
            return fault
    if qty > owner.max_qty or owner.orders >= owner.max_orders:
        return _LIMIT_REACHED
    if owner.max_value + market.notional != 0 and (order_type == _LIMIT or order_type == _STOP_LIMIT):
        fault = value_fault(exchange, instrument, participant, command.price, qty)
        if fault != 0:
            return fault
    if find_resting(exchange, instrument, order_key(participant, ident), key_entry) != 0:
        return _DUPLICATE
    store = store_at(root.book_address)
    if store.order_free == 0 and store.order_next >= store.order_capacity:
        return _BOOK_FULL
    return 0


@called
def passive_price(exchange: int, instrument: int, side: int, price: int) -> int:
    """The price at which a post-only order may rest: its own, or the best that does not take."""
    best = opposite_best(exchange, instrument, side)
    if best == EMPTY_RANK or best + side * price < 0:
        return price
    tick = market_at(exchange_at(exchange).markets_address + instrument * MARKET_BYTES).tick
    rank = -best - 1
    return side * (rank - rank % tick)


@called
def band_price(exchange: int, instrument: int, side: int, price: int) -> int:
    """A price beyond the band is moved to it (LULD)."""
    market = market_at(exchange_at(exchange).markets_address + instrument * MARKET_BYTES)
    if side > 0 and price > market.band_high:
        return market.band_high
    if side < 0 and price < market.band_low:
        return market.band_low
    return price


@called
def reducible(exchange: int, participant: int, instrument: int, side: int) -> int:
    """How much an order may take off its participant's position."""
    owner = participant_at(exchange_at(exchange).participants_address, participant)
    if owner.positions_address == 0:
        return 0
    return max(0, -side * load_i64(owner.positions_address + 8 * instrument))
