"""An order that has been accepted is worked: matched, cancelled, or put where it waits.

`taker` holds it. New orders, orders replaced at the loss of their priority, triggered stops and pegs that moved all
pass through here, so they obey the same rules.
"""

from __future__ import annotations

from nanotick.book.ladder import cell_rank
from nanotick.book.order_by_order import free_order, link_order, take_order, unlink_order
from nanotick.book.order_index import id_entry, index_insert
from nanotick.book.records import EMPTY_RANK, cell_at, order_at, side_at, store_at
from nanotick.core.kernel import called, inlined, kernel
from nanotick.core.records import CancelReason, CommandFlag, Kind, OrderType, TimeInForce
from nanotick.exchange.market.bands import set_phase, watch_limit_state
from nanotick.exchange.market.crossing import available, hidden_best, take
from nanotick.exchange.market.expiry import expire_later, expiry_time
from nanotick.exchange.market.feed import answer, end_message, publish_quote
from nanotick.exchange.market.records import (
    CALL,
    CALLED,
    CLOSE,
    HIDDEN,
    LIT,
    MARKET_BYTES,
    MARKET_RANK,
    NEVER,
    STOPS,
    Phase,
    Watch,
    exchange_at,
    market_at,
    market_order_at,
    participant_at,
    taker_at,
)
from nanotick.exchange.market.resting import (
    client_id,
    count_part,
    drop,
    entry_of,
    join,
    link_participant,
    link_peg,
    order_key,
    order_side,
    part_cell,
    reserve_of,
)

_CANCELLED, _TRIGGERED = int(Kind.CANCELLED), int(Kind.TRIGGERED)
_IOC_REST, _FOK_UNFILLED = int(CancelReason.IOC_REST), int(CancelReason.FOK_UNFILLED)
_NO_LIQUIDITY, _BOOK_FULL = int(CancelReason.NO_LIQUIDITY), int(CancelReason.VENUE)
_LESS_THAN_MIN, _OUT_OF_BAND = int(CancelReason.MIN_QTY), int(CancelReason.PRICE_BAND)
_LIMIT, _MARKET, _STOP, _STOP_LIMIT, _PEG_MID = 0, 1, 2, 3, 4  # OrderType
_GTC, _DAY, _IOC, _FOK, _GTD, _AT_OPEN, _AT_CLOSE = 0, 1, 2, 3, 4, 5, 6  # TimeInForce
_ICEBERG, _MIN, _HIDDEN_ORDER = int(CommandFlag.ICEBERG), int(CommandFlag.MIN_QTY), int(CommandFlag.HIDDEN)
_WATCH_QUOTES, _WATCH_PEGS = int(Watch.QUOTES), int(Watch.PEGS)
_WATCH_STOPS, _WATCH_BANDS = int(Watch.STOPS), int(Watch.BANDS)
_CONTINUOUS, _VOLATILITY = int(Phase.CONTINUOUS), int(Phase.VOLATILITY_AUCTION)
assert (int(OrderType.PEG_MID), int(TimeInForce.AT_CLOSE)) == (_PEG_MID, _AT_CLOSE)


@called
def cancel_taker(exchange: int, reason: int, now: int) -> None:
    """What is left of the order being worked is gone."""
    taker = taker_at(exchange_at(exchange).taker_address)
    left = taker.leaves
    taker.leaves = 0
    answer(
        exchange, now, taker.participant, _CANCELLED, taker.instrument, taker.side, taker.price, left, taker.id,
        reason, 0,
    )  # fmt: skip


@inlined
def lit_best(exchange: int, instrument: int, side: int) -> int:
    """Rank of the best displayed order of a side."""
    root = exchange_at(exchange)
    return side_at(store_at(root.book_address).sides_address, 2 * instrument + ((1 - side) >> 1)).best


@kernel
def opposite_best(exchange: int, instrument: int, side: int) -> int:
    """Rank of the best order, displayed or not, that an order of this side could meet."""
    best = lit_best(exchange, instrument, -side)
    if market_at(exchange_at(exchange).markets_address + instrument * MARKET_BYTES).hidden != 0:
        best = max(best, hidden_best(exchange, instrument, -side))
    return best


@inlined
def band_rank(exchange: int, instrument: int, side: int) -> int:
    """Highest rank at which an order of this side may execute."""
    market = market_at(exchange_at(exchange).markets_address + instrument * MARKET_BYTES)
    if market.band_high == 0:
        return MARKET_RANK
    if side > 0:
        return market.band_high
    return -market.band_low


@called
def rest_taker(exchange: int, part: int, rank: int, now: int) -> int:
    """Put what is left of the order being worked into a book; cancelled when there is no room. Its slot, or 0."""
    root = exchange_at(exchange)
    taker = taker_at(root.taker_address)
    qty, reserve = taker.leaves, 0
    if taker.flags & _ICEBERG and part == LIT and taker.display < qty:
        reserve = qty - taker.display
        qty = taker.display
    key = order_key(taker.participant, taker.id)
    slot = join(exchange, part, rank, qty, reserve, now, id_entry(root.book_address, key))
    if slot == 0:
        cancel_taker(exchange, _BOOK_FULL, now)
        return 0
    taker.leaves = 0
    if taker.tif == _GTD:
        expire_later(exchange, slot, taker.expire)
    return slot


@called
def _park(exchange: int, now: int) -> None:
    """Hold a peg that has no price to follow: indexed, in no queue."""
    root = exchange_at(exchange)
    taker = taker_at(root.taker_address)
    store = root.book_address
    book = HIDDEN * root.instruments + taker.instrument
    key = order_key(taker.participant, taker.id)
    slot = take_order(store)
    if slot == 0:
        cancel_taker(exchange, _BOOK_FULL, now)
        return
    resting = order_at(store_at(store).orders_address, slot)
    resting.id = key
    resting.qty = taker.leaves
    resting.level = 0
    resting.next = 0
    resting.prev = 0
    resting.owner = 2 * book + ((1 - taker.side) >> 1)
    if not index_insert(store, book, key, slot, id_entry(store, key)):
        free_order(store, slot)
        cancel_taker(exchange, _BOOK_FULL, now)
        return
    order = market_order_at(root.orders_address, slot)
    order.ref = taker.ref
    order.price = taker.price
    order.stop = taker.stop
    order.filled = taker.filled
    order.participant = taker.participant
    order.order_type = taker.order_type
    order.tif = taker.tif
    order.flags = taker.flags
    order.part = HIDDEN
    taker.leaves = 0
    link_participant(exchange, taker.participant, slot)
    count_part(exchange, taker.instrument, HIDDEN, 1)
    link_peg(exchange, taker.instrument, slot)
    if taker.tif == _GTD:
        expire_later(exchange, slot, taker.expire)


@called
def _collect(exchange: int, now: int) -> None:
    """Outside of continuous trading an order waits for the auction."""
    taker = taker_at(exchange_at(exchange).taker_address)
    if taker.tif == _AT_CLOSE:
        rest_taker(exchange, CLOSE, taker.rank, now)
    elif taker.order_type == _MARKET or taker.tif == _AT_OPEN:
        rest_taker(exchange, CALL, taker.rank, now)
    elif taker.order_type >= _PEG_MID:
        _park(exchange, now)
    elif taker.flags & _HIDDEN_ORDER:
        rest_taker(exchange, HIDDEN, taker.rank, now)
    else:
        rest_taker(exchange, LIT, taker.rank, now)


@called
def work(exchange: int, now: int) -> None:
    """Work the order in `taker`: accepted, in no book."""
    root = exchange_at(exchange)
    taker = taker_at(root.taker_address)
    instrument, side = taker.instrument, taker.side
    market = market_at(root.markets_address + instrument * MARKET_BYTES)
    taker.stopped = 0
    if market.phase != _CONTINUOUS or taker.tif >= _AT_OPEN:
        _collect(exchange, now)
        return
    if taker.order_type >= _PEG_MID:
        taker.rank = peg_rank(exchange, instrument, side, taker.order_type, taker.price, taker.stop)
        if taker.rank == EMPTY_RANK:
            _park(exchange, now)
            return
    limit = min(taker.rank, band_rank(exchange, instrument, side))
    best = opposite_best(exchange, instrument, side)
    # an order that rests where the band was: to meet it would be an execution outside of where the band is
    behind = market.band_high != 0 and best > band_rank(exchange, instrument, -side)
    if best + limit < 0:
        behind = False
    elif not behind:
        if taker.tif == _FOK and available(exchange, limit, taker.leaves) < taker.leaves:
            cancel_taker(exchange, _FOK_UNFILLED, now)
            return
        if taker.flags & _MIN and taker.filled == 0:
            least = min(taker.stop, taker.leaves)
            if available(exchange, limit, least) < least:
                cancel_taker(exchange, _LESS_THAN_MIN, now)
                return
        take(exchange, limit, now)
    if taker.leaves == 0:
        return
    if taker.stopped != 0:
        cancel_taker(exchange, taker.stopped - 1, now)
        return
    beyond = behind or (limit < taker.rank and opposite_best(exchange, instrument, side) + taker.rank >= 0)
    if beyond and market.band_action == 1 and taker.tif != _IOC and taker.tif != _FOK:
        market.auction_end = CALLED  # `settle` begins the auction
        _collect(exchange, now)
    elif taker.tif == _FOK:
        cancel_taker(exchange, _FOK_UNFILLED, now)
    elif taker.order_type == _MARKET:
        cancel_taker(exchange, _OUT_OF_BAND if beyond else _NO_LIQUIDITY, now)
    elif taker.tif == _IOC or behind:
        cancel_taker(exchange, _OUT_OF_BAND if beyond else _IOC_REST, now)
    elif taker.order_type >= _PEG_MID:
        slot = rest_taker(exchange, HIDDEN, min(taker.rank, limit), now)
        if slot != 0:
            link_peg(exchange, instrument, slot)
    elif taker.flags & _HIDDEN_ORDER:
        rest_taker(exchange, HIDDEN, limit, now)
    else:
        rest_taker(exchange, LIT, limit, now)


# --- stops ----------------------------------------------------------------------------------------------------------


@kernel
def stop_reached(side: int, stop: int, last: int) -> bool:
    """Whether the last trade has reached a stop: at or above it for buys, at or below it for sells."""
    return last != 0 and side * (last - stop) >= 0


@called
def wait_for_stop(exchange: int, now: int) -> None:
    """Put the stop order in `taker` into the book of stops, or work it if it is reached already."""
    root = exchange_at(exchange)
    taker = taker_at(root.taker_address)
    market = market_at(root.markets_address + taker.instrument * MARKET_BYTES)
    side = taker.side
    if market.phase == _CONTINUOUS and stop_reached(side, taker.stop, market.last_price):
        activate_taker(exchange, now)
        return
    taker.side = -side
    rest_taker(exchange, STOPS, -side * taker.stop, now)
    taker.side = side


@called
def activate_taker(exchange: int, now: int) -> None:
    """A stop has been reached: it becomes a market or limit order."""
    taker = taker_at(exchange_at(exchange).taker_address)
    answer(
        exchange, now, taker.participant, _TRIGGERED, taker.instrument, taker.side, taker.stop, taker.leaves, taker.id,
        0, 0,
    )  # fmt: skip
    if taker.order_type == _STOP:
        taker.order_type = _MARKET
        taker.rank = MARKET_RANK
        taker.tif = _IOC if taker.tif != _FOK else _FOK
    else:
        taker.order_type = _LIMIT
        taker.rank = taker.side * taker.price
    work(exchange, now)


@called
def load_taker(exchange: int, slot: int) -> None:
    """Copy an order that rests or waits into `taker`, all of its quantity."""
    root = exchange_at(exchange)
    taker = taker_at(root.taker_address)
    order = market_order_at(root.orders_address, slot)
    resting = order_at(store_at(root.book_address).orders_address, slot)
    owner = participant_at(root.participants_address, order.participant)
    taker.instrument = (resting.owner >> 1) % root.instruments
    taker.side = order_side(exchange, slot)
    taker.leaves = resting.qty + reserve_of(exchange, slot)
    taker.id = client_id(resting.id)
    taker.ref = order.ref
    taker.price = order.price
    taker.stop = order.stop
    taker.filled = order.filled
    taker.display = order.display if order.flags & _ICEBERG else 0
    taker.participant = order.participant
    taker.self_trade = owner.self_trade
    taker.firm = owner.firm
    taker.order_type = order.order_type
    taker.tif = order.tif
    taker.flags = order.flags
    taker.stopped = 0
    taker.expire = expiry_time(exchange, slot) if order.tif == _GTD else NEVER
    taker.rank = MARKET_RANK if order.order_type == _MARKET else taker.side * order.price


@called
def _next_stop(exchange: int, instrument: int) -> int:
    """Slot of the stop to be triggered next: buys first, each side by stop price, then time; 0 for none."""
    root = exchange_at(exchange)
    store = store_at(root.book_address)
    last = market_at(root.markets_address + instrument * MARKET_BYTES).last_price
    if last == 0:
        return 0
    book = STOPS * root.instruments + instrument
    buys = side_at(store.sides_address, 2 * book + 1)
    if buys.levels != 0 and last + buys.best >= 0:
        return head_of(exchange, buys.best_cell)
    sells = side_at(store.sides_address, 2 * book)
    if sells.levels != 0 and sells.best >= last:
        return head_of(exchange, sells.best_cell)
    return 0


@kernel
def head_of(exchange: int, cell: int) -> int:
    """First order of a level."""
    store = store_at(exchange_at(exchange).book_address)
    return cell_at(store.cells_address, cell).head


# --- pegs -----------------------------------------------------------------------------------------------------------


@called
def peg_rank(exchange: int, instrument: int, side: int, order_type: int, cap: int, offset: int) -> int:
    """Rank of a peg now; EMPTY_RANK when what it follows is not there.

    A primary peg follows the best displayed price of its own side, a mid peg the middle of both, rounded to the price
    unit away from the market. A positive offset is more aggressive on either side; cap and band are limits.
    """
    own = lit_best(exchange, instrument, side)
    if own == EMPTY_RANK:
        return EMPTY_RANK
    rank = own
    if order_type == _PEG_MID:
        other = lit_best(exchange, instrument, -side)
        if other == EMPTY_RANK:
            return EMPTY_RANK
        rank = (own - other) >> 1
    rank += offset
    if cap != 0:
        rank = min(rank, side * cap)
    return min(rank, band_rank(exchange, instrument, side))


@called
def _move_pegs(exchange: int, instrument: int, now: int) -> bool:
    """Move the pegs whose price has changed, in order of arrival; True when one of them has traded.

    A peg that moves goes to the back of its new level's queue, and trades if it meets an order there.
    """
    root = exchange_at(exchange)
    store = root.book_address
    market = market_at(root.markets_address + instrument * MARKET_BYTES)
    slot = market.peg_first
    while slot != 0:
        order = market_order_at(root.orders_address, slot)
        resting = order_at(store_at(store).orders_address, slot)
        following = order.reserve
        side = 1 - 2 * (resting.owner & 1)
        rank = peg_rank(exchange, instrument, side, order.order_type, order.price, order.stop)
        before = EMPTY_RANK
        if resting.level != 0:
            before = cell_rank(store, resting.level)
        if rank != before:
            if rank != EMPTY_RANK and opposite_best(exchange, instrument, side) + rank >= 0:
                load_taker(exchange, slot)
                drop(exchange, slot, now, entry_of(exchange, slot))
                work(exchange, now)
                return True
            if resting.level != 0:
                unlink_order(store, slot, now)
                resting.level = 0
            if rank != EMPTY_RANK:
                cell = part_cell(exchange, resting.owner, rank, resting.qty)
                if cell != 0:
                    link_order(store, slot, cell, resting.owner, resting.id, resting.qty, now)
        slot = following
    return False


# --- after a command ------------------------------------------------------------------------------------------------


@called
def look_after(exchange: int, instrument: int, now: int) -> None:
    """What a change of the market sets off: stops, pegs, bands, the published quote."""
    root = exchange_at(exchange)
    market = market_at(root.markets_address + instrument * MARKET_BYTES)
    if market.phase == _CONTINUOUS:
        busy = True
        while busy and market.auction_end != CALLED:
            busy = False
            if market.watch & _WATCH_STOPS:
                slot = _next_stop(exchange, instrument)
                if slot != 0:
                    load_taker(exchange, slot)
                    drop(exchange, slot, now, entry_of(exchange, slot))
                    activate_taker(exchange, now)
                    busy = True
                    continue
            if market.watch & _WATCH_PEGS:
                busy = _move_pegs(exchange, instrument, now)
    if market.auction_end == CALLED:
        set_phase(exchange, instrument, _VOLATILITY, now)
    if market.watch & _WATCH_BANDS:
        watch_limit_state(exchange, instrument, now)
    if market.watch & _WATCH_QUOTES:
        publish_quote(exchange, now, instrument)


@inlined
def settle(exchange: int, instrument: int, start: int, now: int) -> None:
    """End of a command on an instrument whose feed began at `start`."""
    root = exchange_at(exchange)
    if market_at(root.markets_address + instrument * MARKET_BYTES).watch != 0:
        look_after(exchange, instrument, now)
    end_message(exchange, start)
