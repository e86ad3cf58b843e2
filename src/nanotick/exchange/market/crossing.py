"""Continuous matching: the order being worked against what rests on the other side.

Priority: price; at a price displayed before hidden; among the displayed, time (or pro rata, see `allocation`); among
the hidden, time. Trades happen at the resting order's price. An order of the taker's own firm is dealt with when it is
reached, by the taker's self-trade prevention.
"""

from __future__ import annotations

from nanotick.book.ladder import cell_below, cell_rank
from nanotick.book.order_by_order import shrink_order
from nanotick.book.records import EMPTY_RANK, cell_at, order_at, side_at, store_at
from nanotick.core.instruments import INSTRUMENT
from nanotick.core.kernel import called, inlined, kernel
from nanotick.core.memory import load_i64, mul_div, store_i64
from nanotick.core.records import MAKER, CancelReason, CommandFlag, FillReason, Flag, Kind
from nanotick.exchange.fees import fill_fee
from nanotick.exchange.market.bands import note_trade
from nanotick.exchange.market.feed import answer, publish, publish_level, report, tell
from nanotick.exchange.market.records import (
    HIDDEN,
    LIT,
    MARKET_BYTES,
    Allocation,
    Feeds,
    SelfTrade,
    exchange_at,
    market_at,
    market_order_at,
    participant_at,
    taker_at,
    trade_row_at,
)
from nanotick.exchange.market.resting import client_id, drop, entry_of, lessen, order_side, refill, reserve_of, withdraw

_EXECUTE, _TRADE, _FILL = int(Kind.EXECUTE), int(Kind.TRADE), int(Kind.FILL)
_CANCELLED, _REPLACED = int(Kind.CANCELLED), int(Kind.REPLACED)
_PRINTABLE, _HIDDEN_FLAG, _AUCTION_FLAG = int(Flag.PRINTABLE), int(Flag.HIDDEN), int(Flag.AUCTION)
_TOOK, _REACHED, _AUCTION = int(FillReason.TOOK_LIQUIDITY), int(FillReason.QUEUE_HEAD_EXECUTED), int(FillReason.AUCTION)
_SELF_TRADE = int(CancelReason.SELF_TRADE)
_NEWEST, _OLDEST, _BOTH = int(SelfTrade.CANCEL_NEWEST), int(SelfTrade.CANCEL_OLDEST), int(SelfTrade.CANCEL_BOTH)
_DECREMENT = int(SelfTrade.DECREMENT)
_PRO_RATA = int(Allocation.PRO_RATA)
_MIN_QTY = int(CommandFlag.MIN_QTY)
_ORDERS, _TRADES = int(Feeds.ORDERS), int(Feeds.TRADES)
_INSTRUMENT_BYTES = INSTRUMENT.itemsize


# --- a fill's consequences ------------------------------------------------------------------------------------------


@called
def keep_position(exchange: int, participant: int, instrument: int, by: int) -> None:
    """Change the position of a participant for which the exchange keeps one."""
    positions = participant_at(exchange_at(exchange).participants_address, participant).positions_address
    if positions != 0:
        store_i64(positions + 8 * instrument, load_i64(positions + 8 * instrument) + by)


@inlined
def book_fill(
    exchange: int, participant: int, instrument: int, now: int, side: int, maker: int, price: int, qty: int
) -> int:
    """Fee of a participant's fill; its position, where one is kept."""
    owner = participant_at(exchange_at(exchange).participants_address, participant)
    if owner.positions_address | owner.fees_address == 0:
        return 0
    return _keep_account(exchange, participant, instrument, now, side, maker, price, qty)


@called
def _keep_account(
    exchange: int, participant: int, instrument: int, now: int, side: int, maker: int, price: int, qty: int
) -> int:
    root = exchange_at(exchange)
    owner = participant_at(root.participants_address, participant)
    if owner.positions_address != 0:
        keep_position(exchange, participant, instrument, side * qty)
    if owner.fees_address == 0:
        return 0
    table = root.instruments_address + instrument * _INSTRUMENT_BYTES
    return fill_fee(owner.fees_address, table, now, side, maker, price, qty)


@called
def trade(exchange: int, slot: int, qty: int, price: int, now: int) -> None:
    """The order being worked takes `qty` of a resting one: trade, reports, print, and the resting order's rest."""
    root = exchange_at(exchange)
    taker = taker_at(root.taker_address)
    order = market_order_at(root.orders_address, slot)
    resting = order_at(store_at(root.book_address).orders_address, slot)
    instrument, side = taker.instrument, taker.side
    market = market_at(root.markets_address + instrument * MARKET_BYTES)
    maker = order.participant
    maker_id = client_id(resting.id)
    number = root.trades + 1
    root.trades = number
    maker_fee = book_fill(exchange, maker, instrument, now, -side, 1, price, qty)
    taker_fee = book_fill(exchange, taker.participant, instrument, now, side, 0, price, qty)
    row = trade_row_at(root.trades_address, number & root.trade_mask)
    row.number = number
    row.price = price
    row.qty = qty
    row.taker_id = taker.id
    row.maker_id = maker_id
    row.maker_seq = root.report_end
    report(exchange, now, maker, _FILL, instrument, -side, price, qty, maker_id, maker_fee, _REACHED | MAKER)
    row.taker_seq = root.report_end
    report(exchange, now, taker.participant, _FILL, instrument, side, price, qty, taker.id, taker_fee, _TOOK)
    row.taker_fee = taker_fee
    row.maker_fee = maker_fee
    row.instrument = instrument
    row.taker = taker.participant
    row.maker = maker
    row.side = side
    row.busted = 0
    row.auction = 0
    taker.leaves -= qty
    taker.filled += qty
    order.filled += qty
    market.last_price = price
    market.volume += qty
    if market.band_rate != 0:
        note_trade(exchange, instrument, price, now)
    displayed = order.part == LIT
    if displayed and market.feeds & _ORDERS:
        publish(exchange, now, _EXECUTE, instrument, -side, price, qty, order.ref, number, _PRINTABLE)
    if displayed:
        if market.feeds & _TRADES:
            tell(exchange, now, _TRADE, instrument, side, price, qty, number, order.ref, _PRINTABLE)
    else:
        tell(exchange, now, _TRADE, instrument, side, price, qty, number, 0, _PRINTABLE | _HIDDEN_FLAG)
    after_fill(exchange, slot, qty, now)


@inlined
def after_fill(exchange: int, slot: int, qty: int, now: int) -> None:
    """A resting order has been executed for `qty` of what its book shows."""
    root = exchange_at(exchange)
    order = market_order_at(root.orders_address, slot)
    resting = order_at(store_at(root.book_address).orders_address, slot)
    if qty < resting.qty:
        shrink_order(root.book_address, slot, qty, now)
    elif order.part == LIT and order.reserve > 0:
        refill(exchange, slot, now)
    else:
        drop(exchange, slot, now, entry_of(exchange, slot))


# --- self-trade prevention ------------------------------------------------------------------------------------------


@called
def cancel_resting(exchange: int, slot: int, kind: int, reason: int, now: int) -> None:
    """Remove an order and tell its owner how much was taken off: CANCELLED or EXPIRED."""
    root = exchange_at(exchange)
    order = market_order_at(root.orders_address, slot)
    resting = order_at(store_at(root.book_address).orders_address, slot)
    instrument = (resting.owner >> 1) % root.instruments
    side = order_side(exchange, slot)
    left = resting.qty + reserve_of(exchange, slot)
    owner, ident, price = order.participant, client_id(resting.id), order.price
    withdraw(exchange, slot, now, entry_of(exchange, slot))
    answer(exchange, now, owner, kind, instrument, side, price, left, ident, reason, 0)


@called
def _prevent(exchange: int, slot: int, now: int) -> None:
    """The order being worked has reached an order of its own firm."""
    root = exchange_at(exchange)
    taker = taker_at(root.taker_address)
    mode = taker.self_trade
    if mode == _DECREMENT:
        order = market_order_at(root.orders_address, slot)
        resting = order_at(store_at(root.book_address).orders_address, slot)
        total = resting.qty + reserve_of(exchange, slot)
        if total > taker.leaves:
            by = taker.leaves
            lessen(exchange, slot, by, now)
            whole = order.filled + total - by
            ident = client_id(resting.id)
            answer(
                exchange, now, order.participant, _REPLACED, taker.instrument, -taker.side, order.price, whole, ident,
                order.ref, 0,
            )  # fmt: skip
            taker.stopped = _SELF_TRADE + 1
            return
        cancel_resting(exchange, slot, _CANCELLED, _SELF_TRADE, now)
        if total == taker.leaves:
            taker.stopped = _SELF_TRADE + 1
            return
        taker.leaves -= total
        whole = taker.filled + taker.leaves
        answer(
            exchange, now, taker.participant, _REPLACED, taker.instrument, taker.side, taker.price, whole, taker.id,
            taker.ref, 0,
        )  # fmt: skip
        return
    if mode == _NEWEST or mode == _BOTH:
        taker.stopped = _SELF_TRADE + 1
    if mode == _OLDEST or mode == _BOTH:
        cancel_resting(exchange, slot, _CANCELLED, _SELF_TRADE, now)


@kernel
def own_firm(exchange: int, slot: int) -> bool:
    """Whether self-trade prevention keeps the order being worked from a resting one."""
    root = exchange_at(exchange)
    taker = taker_at(root.taker_address)
    if taker.self_trade == 0:
        return False
    owner = market_order_at(root.orders_address, slot).participant
    return participant_at(root.participants_address, owner).firm == taker.firm


# --- the sweep ------------------------------------------------------------------------------------------------------


@kernel
def hidden_best(exchange: int, instrument: int, side: int) -> int:
    """Rank of the best hidden order of a side."""
    root = exchange_at(exchange)
    owner = 2 * (HIDDEN * root.instruments + instrument) + ((1 - side) >> 1)
    return side_at(store_at(root.book_address).sides_address, owner).best


@called
def _take_hidden(exchange: int, cell: int, price: int, now: int) -> int:
    """Execute the first hidden order of a level whose minimum quantity is met; 0 when there is none, else 1."""
    root = exchange_at(exchange)
    taker = taker_at(root.taker_address)
    store = store_at(root.book_address)
    slot = cell_at(store.cells_address, cell).head
    while slot != 0:
        if own_firm(exchange, slot):
            _prevent(exchange, slot, now)
            return 1
        order = market_order_at(root.orders_address, slot)
        resting = order_at(store.orders_address, slot)
        qty = min(taker.leaves, resting.qty)
        if order.flags & _MIN_QTY == 0 or qty >= min(order.stop, resting.qty):
            trade(exchange, slot, qty, price, now)
            return 1
        slot = resting.next
    return 0


@called
def _share(exchange: int, cell: int, price: int, now: int) -> None:
    """Pro rata: a level with more than the taker wants gives each order its part in whole lots, and the rest by time.

    An order of the taker's firm anywhere in the level is dealt with first.
    """
    root = exchange_at(exchange)
    taker = taker_at(root.taker_address)
    store = store_at(root.book_address)
    level = cell_at(store.cells_address, cell)
    slot = level.head
    while slot != 0:
        if own_firm(exchange, slot):
            _prevent(exchange, slot, now)
            return
        slot = order_at(store.orders_address, slot).next
    want, total = taker.leaves, level.qty
    lot = market_at(root.markets_address + taker.instrument * MARKET_BYTES).lot
    slot = level.head
    while slot != 0:  # no part is a whole order, so the queue stays as it is
        resting = order_at(store.orders_address, slot)
        following = resting.next
        part = mul_div(want, resting.qty, total)
        part -= part % lot
        if part > 0:
            trade(exchange, slot, part, price, now)
        slot = following
    while taker.leaves > 0:
        slot = level.head
        trade(exchange, slot, min(taker.leaves, order_at(store.orders_address, slot).qty), price, now)


@called
def take(exchange: int, limit: int, now: int) -> None:
    """Work the order in `taker` against the other side, to prices of rank -`limit` or better, until nothing is left.

    Ends with `taker.leaves` 0, no more to take, or `taker.stopped` set.
    """
    root = exchange_at(exchange)
    taker = taker_at(root.taker_address)
    store = store_at(root.book_address)
    instrument, side = taker.instrument, taker.side
    market = market_at(root.markets_address + instrument * MARKET_BYTES)
    opposite = (1 + side) >> 1
    line = side_at(store.sides_address, 2 * instrument + opposite)
    hidden_owner = 2 * (HIDDEN * root.instruments + instrument) + opposite
    touched, touched_price = 0, 0
    skipped = -EMPTY_RANK  # hidden levels from here up have nothing that we may have
    while taker.leaves > 0 and taker.stopped == 0:
        best = line.best
        if market.hidden != 0:
            cell = side_at(store.sides_address, hidden_owner).best_cell
            while cell != 0 and cell_rank(root.book_address, cell) >= skipped:
                cell = cell_below(root.book_address, cell)
            if cell != 0:
                rank = cell_rank(root.book_address, cell)
                if rank > best and rank + limit >= 0:
                    if _take_hidden(exchange, cell, -side * rank, now) == 0:
                        skipped = rank
                    continue
        if best + limit < 0:
            break
        cell = line.best_cell
        if cell != touched:
            if touched != 0:
                publish_level(exchange, now, instrument, -side, touched_price, touched)
            touched, touched_price = cell, -side * best
        slot = cell_at(store.cells_address, cell).head
        if own_firm(exchange, slot):
            _prevent(exchange, slot, now)
            continue
        if market.allocation == _PRO_RATA and taker.leaves < cell_at(store.cells_address, cell).qty:
            _share(exchange, cell, touched_price, now)
            continue
        trade(exchange, slot, min(taker.leaves, order_at(store.orders_address, slot).qty), touched_price, now)
    if touched != 0:
        publish_level(exchange, now, instrument, -side, touched_price, touched)


# --- what could be had ----------------------------------------------------------------------------------------------


@called
def available(exchange: int, limit: int, need: int) -> int:
    """Quantity the order in `taker` is sure to execute at once, counted up to `need`.

    Reserves count: they would be shown and taken. Where self-trade prevention would end or shrink the order, the price
    of the first order of its own firm and what is worse does not count. Hidden orders with a minimum do not count.
    """
    root = exchange_at(exchange)
    taker = taker_at(root.taker_address)
    hidden = market_at(root.markets_address + taker.instrument * MARKET_BYTES).hidden != 0
    barrier = EMPTY_RANK
    if taker.self_trade != 0 and taker.self_trade != _OLDEST:
        barrier = _own_rank(exchange, LIT, limit)
        if hidden:
            barrier = max(barrier, _own_rank(exchange, HIDDEN, limit))
    found = _available_in(exchange, LIT, limit, barrier, need)
    if hidden and found < need:
        found += _available_in(exchange, HIDDEN, limit, barrier, need - found)
    return found


@called
def _own_rank(exchange: int, part: int, limit: int) -> int:
    """Rank of the best order of the taker's firm on the other side, within its limit; EMPTY_RANK for none."""
    root = exchange_at(exchange)
    taker = taker_at(root.taker_address)
    store = store_at(root.book_address)
    owner = 2 * (part * root.instruments + taker.instrument) + ((1 + taker.side) >> 1)
    cell = side_at(store.sides_address, owner).best_cell
    while cell != 0:
        rank = cell_rank(root.book_address, cell)
        if rank + limit < 0:
            break
        slot = cell_at(store.cells_address, cell).head
        while slot != 0:
            if own_firm(exchange, slot):
                return rank
            slot = order_at(store.orders_address, slot).next
        cell = cell_below(root.book_address, cell)
    return EMPTY_RANK


@called
def _available_in(exchange: int, part: int, limit: int, barrier: int, need: int) -> int:
    root = exchange_at(exchange)
    taker = taker_at(root.taker_address)
    store = store_at(root.book_address)
    owner = 2 * (part * root.instruments + taker.instrument) + ((1 + taker.side) >> 1)
    cell = side_at(store.sides_address, owner).best_cell
    found = 0
    while cell != 0 and found < need:
        rank = cell_rank(root.book_address, cell)
        if rank + limit < 0 or rank <= barrier:
            break
        slot = cell_at(store.cells_address, cell).head
        while slot != 0 and found < need:
            order = market_order_at(root.orders_address, slot)
            if order.flags & _MIN_QTY == 0 and not own_firm(exchange, slot):
                found += order_at(store.orders_address, slot).qty + reserve_of(exchange, slot)
            slot = order_at(store.orders_address, slot).next
        cell = cell_below(root.book_address, cell)
    return found
