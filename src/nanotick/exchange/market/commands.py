"""What participants ask for: NEW, CANCEL, REPLACE_ORDER, CANCEL_ALL. Every refusal has a reason.

A new order is checked in this order: participant, instrument, id, type and flags, phase, price, quantity, limits of the
participant, repeated id, room, post-only. A replace keeps its place in the queue if the price stays and the total
quantity does not grow; anything else is a new arrival under the same id. `docs/exchange.md` states the rules.
"""

from __future__ import annotations

from nanotick.book.order_index import id_entry
from nanotick.book.records import order_at, store_at
from nanotick.core.kernel import called
from nanotick.core.records import CancelReason, CommandFlag, Kind, RejectReason, command_at
from nanotick.exchange.market.checks import (
    band_price,
    order_fault,
    passive_price,
    price_fault,
    qty_fault,
    reducible,
    stop_price_fault,
    value_fault,
)
from nanotick.exchange.market.crossing import cancel_resting
from nanotick.exchange.market.feed import answer, report
from nanotick.exchange.market.plain import cancel_plain, rest_plain
from nanotick.exchange.market.records import (
    ALL_INSTRUMENTS,
    ALL_PARTICIPANTS,
    CLIENT_MASK,
    MARKET_BYTES,
    MARKET_RANK,
    NEVER,
    STOPS,
    Phase,
    exchange_at,
    market_at,
    market_order_at,
    participant_at,
    taker_at,
)
from nanotick.exchange.market.resting import find_resting, lessen, order_key, order_side, reserve_of, withdraw
from nanotick.exchange.market.working import (
    load_taker,
    settle,
    wait_for_stop,
    work,
)

_NEW, _CANCEL, _REPLACE = int(Kind.NEW), int(Kind.CANCEL), int(Kind.REPLACE_ORDER)
_CANCEL_ALL = int(Kind.CANCEL_ALL)
_ACCEPTED, _REJECTED, _CANCELLED = int(Kind.ACCEPTED), int(Kind.REJECTED), int(Kind.CANCELLED)
_REPLACED, _CANCEL_REJECTED = int(Kind.REPLACED), int(Kind.CANCEL_REJECTED)
_USER, _REPLACED_AWAY = int(CancelReason.USER), int(CancelReason.REPLACED_AWAY)
_UNKNOWN_ORDER, _WOULD_CROSS = int(RejectReason.UNKNOWN_ORDER), int(RejectReason.POST_ONLY_WOULD_CROSS)
_CLOSED_REASON, _HALTED_REASON = int(RejectReason.MARKET_CLOSED), int(RejectReason.HALTED)
_TOO_LATE, _REDUCE_REFUSED = int(RejectReason.TOO_LATE), int(RejectReason.REDUCE_ONLY)
_NO_INSTRUMENT, _NO_PARTICIPANT = int(RejectReason.UNKNOWN_INSTRUMENT), int(RejectReason.UNKNOWN_PARTICIPANT)
_UNSUPPORTED, _BLOCKED = int(RejectReason.UNSUPPORTED), int(RejectReason.BLOCKED)
_LIMIT_REACHED = int(RejectReason.LIMIT_REACHED)
_LIMIT, _MARKET, _STOP, _STOP_LIMIT, _PEG_MID = 0, 1, 2, 3, 4  # OrderType
_GTD = 4  # TimeInForce
_POST_ONLY, _REDUCE_ONLY = int(CommandFlag.POST_ONLY), int(CommandFlag.REDUCE_ONLY)
_ICEBERG, _SLIDE = int(CommandFlag.ICEBERG), int(CommandFlag.SLIDE)
_CONTINUOUS, _HALTED, _CLOSED = int(Phase.CONTINUOUS), int(Phase.HALTED), int(Phase.CLOSED)
_SECOND = 1_000_000_000


# --- new ------------------------------------------------------------------------------------------------------------


@called
def _special_price(exchange: int, command_address: int) -> int:
    """Price of a limit order after post-only and band have had their say; minus 2^62 when post-only refuses it."""
    command = command_at(command_address)
    instrument, side, price = command.instrument, command.side, command.price
    market = market_at(exchange_at(exchange).markets_address + instrument * MARKET_BYTES)
    if market.phase != _CONTINUOUS:
        return price
    if market.band_high != 0 and market.band_action == 0:
        price = band_price(exchange, instrument, side, price)
    if command.flags & _POST_ONLY:
        passive = passive_price(exchange, instrument, side, price)
        if passive != price and (command.flags & _SLIDE == 0 or passive < market.price_low):
            return -NEVER
        price = passive
    return price


@called
def new_order(exchange: int, command_address: int, now: int) -> int:
    """NEW arrives. Returns the RejectReason, 0 when it was accepted."""
    root = exchange_at(exchange)
    command = command_at(command_address)
    instrument, participant, ident, side = command.instrument, command.strategy, command.id, command.side
    entry = id_entry(root.book_address, order_key(participant, ident))
    fault = order_fault(exchange, command_address, entry)
    price, qty = command.price, command.qty
    order_type, flags = command.order_type, command.flags
    market = market_at(root.markets_address + instrument * MARKET_BYTES)
    if fault == 0 and (flags & (_POST_ONLY | _REDUCE_ONLY) or market.band_high != 0):
        if order_type == _LIMIT:
            price = _special_price(exchange, command_address)
            if price == -NEVER:
                fault = _WOULD_CROSS
        if flags & _REDUCE_ONLY and fault == 0:
            qty = min(qty, reducible(exchange, participant, instrument, side))
            if qty == 0:
                fault = _REDUCE_REFUSED
    expire = NEVER
    if command.tif == _GTD:
        expire = command.expire_s * _SECOND
        if expire <= now and fault == 0:
            fault = _TOO_LATE
    if fault != 0:
        root.refused += 1
        answer(exchange, now, participant, _REJECTED, instrument, side, command.price, command.qty, ident, fault, 0)
        return fault
    owner = participant_at(root.participants_address, participant)
    root.references += 1
    taker = taker_at(root.taker_address)
    taker.leaves = qty
    taker.id = ident
    taker.ref = root.references
    taker.price = price
    taker.stop = command.stop_price
    taker.filled = 0
    taker.display = command.stop_price if flags & _ICEBERG else 0
    taker.instrument = instrument
    taker.side = side
    taker.participant = participant
    taker.self_trade = owner.self_trade
    taker.firm = owner.firm
    taker.order_type = order_type
    taker.tif = command.tif
    taker.flags = flags
    taker.expire = expire
    rank = side * price
    if order_type == _MARKET or order_type == _STOP:
        price = 0
        taker.price = 0
        rank = MARKET_RANK
    taker.rank = rank
    report(exchange, now, participant, _ACCEPTED, instrument, side, price, qty, ident, root.references, 0)
    start = root.feed_end
    if order_type == _STOP or order_type == _STOP_LIMIT:
        wait_for_stop(exchange, now)
    else:
        work(exchange, now)
    settle(exchange, instrument, start, now)
    return 0


# --- cancel, replace ------------------------------------------------------------------------------------------------


@called
def _refuse_change(exchange: int, command_address: int, reason: int, now: int) -> int:
    command = command_at(command_address)
    exchange_at(exchange).refused += 1
    flags = 1 if command.kind == _REPLACE else 0  # ReportFlag.OF_REPLACE
    answer(
        exchange, now, command.strategy, _CANCEL_REJECTED, command.instrument, command.side, command.price, command.qty,
        command.id, reason, flags,
    )  # fmt: skip
    return reason


@called
def cancel_order(exchange: int, command_address: int, now: int) -> int:
    """CANCEL arrives."""
    root = exchange_at(exchange)
    command = command_at(command_address)
    instrument, participant = command.instrument, command.strategy
    key = order_key(participant, command.id)
    entry = id_entry(root.book_address, key)
    slot = find_resting(exchange, instrument, key, entry)
    if slot == 0 or command.id <= 0 or command.id > CLIENT_MASK:
        return _refuse_change(exchange, command_address, _UNKNOWN_ORDER, now)
    start = root.feed_end
    order = market_order_at(root.orders_address, slot)
    left = order_at(store_at(root.book_address).orders_address, slot).qty + reserve_of(exchange, slot)
    side, price = order_side(exchange, slot), order.price
    withdraw(exchange, slot, now, entry)
    report(exchange, now, participant, _CANCELLED, instrument, side, price, left, command.id, _USER, 0)
    settle(exchange, instrument, start, now)
    return 0


@called
def _replace_fault(exchange: int, command_address: int, slot: int) -> int:
    root = exchange_at(exchange)
    command = command_at(command_address)
    order = market_order_at(root.orders_address, slot)
    instrument = command.instrument
    market_address = root.markets_address + instrument * MARKET_BYTES
    market = market_at(market_address)
    owner = participant_at(root.participants_address, command.strategy)
    if owner.blocked != 0:
        return _BLOCKED
    if market.phase == _CLOSED:
        return _CLOSED_REASON
    if market.phase == _HALTED:
        return _HALTED_REASON
    kind = order.order_type
    if kind == _LIMIT or kind == _STOP_LIMIT or (kind >= _PEG_MID and command.price != 0):
        fault = price_fault(market_address, command.price)
        if fault != 0:
            return fault
    fault = qty_fault(market_address, command.qty)
    if fault != 0:
        return fault
    stop_price = command.stop_price
    if kind >= _STOP and (order.part == STOPS or kind >= _PEG_MID):
        fault = stop_price_fault(market_address, kind, 0, stop_price, command.qty)
        if fault != 0:
            return fault
    if command.qty > owner.max_qty:
        return _LIMIT_REACHED
    if owner.max_value + market.notional != 0 and (kind == _LIMIT or kind == _STOP_LIMIT):
        fault = value_fault(exchange, instrument, command.strategy, command.price, command.qty)
        if fault != 0:
            return fault
    if market.phase == _CONTINUOUS and kind == _LIMIT and order.flags & _POST_ONLY and order.part < STOPS:
        if (
            command.price != order.price
            and passive_price(exchange, instrument, order_side(exchange, slot), command.price) != command.price
        ):
            return _WOULD_CROSS
    return 0


@called
def replace_order(exchange: int, command_address: int, now: int) -> int:
    """REPLACE_ORDER arrives: `price` and total `qty` anew, and `stop_price` of a waiting stop or a peg."""
    root = exchange_at(exchange)
    command = command_at(command_address)
    instrument, participant = command.instrument, command.strategy
    key = order_key(participant, command.id)
    entry = id_entry(root.book_address, key)
    slot = find_resting(exchange, instrument, key, entry)
    if slot == 0 or command.id <= 0 or command.id > CLIENT_MASK:
        return _refuse_change(exchange, command_address, _UNKNOWN_ORDER, now)
    fault = _replace_fault(exchange, command_address, slot)
    if fault != 0:
        return _refuse_change(exchange, command_address, fault, now)
    order = market_order_at(root.orders_address, slot)
    kind, part, filled = order.order_type, order.part, order.filled
    side = order_side(exchange, slot)
    start = root.feed_end
    left = command.qty - filled
    held = order_at(store_at(root.book_address).orders_address, slot).qty + reserve_of(exchange, slot)
    price = command.price
    if kind == _MARKET or kind == _STOP:
        price = order.price
    market = market_at(root.markets_address + instrument * MARKET_BYTES)
    if kind == _LIMIT and market.band_high != 0 and market.band_action == 0 and market.phase == _CONTINUOUS:
        price = band_price(exchange, instrument, side, price)
    if left <= 0:
        cancel_resting(exchange, slot, _CANCELLED, _REPLACED_AWAY, now)
    elif price == order.price and left <= held and (kind < _STOP or command.stop_price == order.stop):
        if left < held:
            lessen(exchange, slot, held - left, now)
        answer(exchange, now, participant, _REPLACED, instrument, side, price, command.qty, command.id, order.ref, 0)
    else:
        load_taker(exchange, slot)
        taker = taker_at(root.taker_address)
        taker.leaves = left
        taker.price = price
        root.references += 1
        taker.ref = root.references
        if kind != _MARKET and kind != _STOP:
            taker.rank = side * price
        if kind >= _STOP and (part == STOPS or kind >= _PEG_MID):
            taker.stop = command.stop_price
        withdraw(exchange, slot, now, entry)
        answer(exchange, now, participant, _REPLACED, instrument, side, price, command.qty, command.id, taker.ref, 0)
        if part == STOPS:
            wait_for_stop(exchange, now)
        else:
            work(exchange, now)
    settle(exchange, instrument, start, now)
    return 0


# --- cancel all -----------------------------------------------------------------------------------------------------


@called
def _cancel_of(exchange: int, participant: int, instrument: int, side: int, now: int) -> int:
    """Cancel a participant's orders, newest first, of one instrument or all, of one side or both (0)."""
    root = exchange_at(exchange)
    done = 0
    slot = participant_at(root.participants_address, participant).first
    while slot != 0:
        order = market_order_at(root.orders_address, slot)
        following = order.next
        resting = order_at(store_at(root.book_address).orders_address, slot)
        where = (resting.owner >> 1) % root.instruments
        if (instrument == ALL_INSTRUMENTS or where == instrument) and (side == 0 or order_side(exchange, slot) == side):
            start = root.feed_end
            cancel_resting(exchange, slot, _CANCELLED, _USER, now)
            done += 1
            settle_quietly(exchange, where, start, now)
            # what the cancel set off (a peg that moved) may have taken the next order: begin again
            market = market_at(root.markets_address + where * MARKET_BYTES)
            if market.watch != 0:
                following = participant_at(root.participants_address, participant).first
        slot = following
    return done


@called
def settle_quietly(exchange: int, instrument: int, start: int, now: int) -> None:
    """`settle`, as a call."""
    settle(exchange, instrument, start, now)


@called
def cancel_all(exchange: int, command_address: int, now: int) -> int:
    """CANCEL_ALL arrives: of one instrument or ALL_INSTRUMENTS, one side or 0, one participant or ALL_PARTICIPANTS."""
    root = exchange_at(exchange)
    command = command_at(command_address)
    if command.strategy == ALL_PARTICIPANTS:
        for participant in range(root.participants):
            _cancel_of(exchange, participant, command.instrument, command.side, now)
    else:
        _cancel_of(exchange, command.strategy, command.instrument, command.side, now)
    return 0


@called
def work_command(exchange: int, command_address: int, now: int) -> int:
    """Work one command of any content. Returns the RejectReason, 0 when it was done."""
    root = exchange_at(exchange)
    command = command_at(command_address)
    kind = command.kind
    root.commands += 1
    if command.strategy >= root.participants or command.instrument >= root.instruments:
        fault = _stray_fault(exchange, command_address)
        if fault != 0:
            return refuse(exchange, command_address, fault, now)
    if kind == _NEW:
        if rest_plain(exchange, command_address, now):
            return 0
        return new_order(exchange, command_address, now)
    if kind == _CANCEL:
        if cancel_plain(exchange, command_address, now):
            return 0
        return cancel_order(exchange, command_address, now)
    if kind == _REPLACE:
        return replace_order(exchange, command_address, now)
    if kind == _CANCEL_ALL:
        return cancel_all(exchange, command_address, now)
    return refuse(exchange, command_address, _UNSUPPORTED, now)


@called
def _stray_fault(exchange: int, command_address: int) -> int:
    root = exchange_at(exchange)
    command = command_at(command_address)
    everyone = command.kind == _CANCEL_ALL and command.strategy == ALL_PARTICIPANTS
    everything = command.kind == _CANCEL_ALL and command.instrument == ALL_INSTRUMENTS
    if command.strategy >= root.participants and not everyone:
        return _NO_PARTICIPANT
    if command.instrument >= root.instruments and not everything:
        return _NO_INSTRUMENT
    return 0


@called
def refuse(exchange: int, command_address: int, reason: int, now: int) -> int:
    """Turn a command away: REJECTED for what is no cancel or replace."""
    command = command_at(command_address)
    if command.kind == _CANCEL or command.kind == _REPLACE or command.kind == _CANCEL_ALL:
        return _refuse_change(exchange, command_address, reason, now)
    exchange_at(exchange).refused += 1
    answer(
        exchange, now, command.strategy, _REJECTED, command.instrument, command.side, command.price, command.qty,
        command.id, reason, 0,
    )  # fmt: skip
    return reason
