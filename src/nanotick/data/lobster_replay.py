"""LOBSTER messages and book rows to order-by-order events, in a kernel.

The message file tells what happened inside the recorded depth to orders that came after the start; the book file
tells the depth after every message. What the messages cannot tell is taken from the book rows as *anonymous* orders,
one per price with an id of its own (`ANONYMOUS` + 2 * price + side): what rested before the first message, and levels
that slide into the recorded depth when a better one goes. Messages about orders never seen are about the anonymous one
of their price. Levels that slide out are kept as last known until the book rows show them gone.

Every row is compared with what the previous row and the message determine: `matched` if it agrees completely,
`undetermined` if it agrees as far as that goes but shows a level that slid in (and the first row, which is the seed),
`mismatched` otherwise. After each row the orders held here sum up to it exactly.
"""

from __future__ import annotations

from nanotick.core.kernel import kernel
from nanotick.core.memory import copy_bytes, load_i32, load_i64, store_i32
from nanotick.core.records import Flag, Kind, TradingStatus, event_at
from nanotick.data.lobster_book import (
    ANONYMOUS,
    LADDER_ROOM,
    PAIR,
    anonymous_id,
    drop_level,
    drop_orders,
    emit,
    empty_level,
    find_level,
    has_level,
    insert_level,
    ladder_of,
    lobster_at,
    lobster_level_at,
    lobster_order_at,
    order_cell,
    pair_at,
    unlink_order,
)

SEED = -(1 << 63) + 2  # no number of a file can be this
_PAIR_SIZE = PAIR.itemsize
_ADD, _MODIFY, _REDUCE, _DELETE = int(Kind.ADD), int(Kind.MODIFY), int(Kind.REDUCE), int(Kind.DELETE)
_EXECUTE, _TRADE, _STATUS, _CLEAR = int(Kind.EXECUTE), int(Kind.TRADE), int(Kind.STATUS), int(Kind.CLEAR)
_PRINTABLE, _HIDDEN, _AUCTION = int(Flag.PRINTABLE), int(Flag.HIDDEN), int(Flag.AUCTION)
_SNAPSHOT, _LAST = int(Flag.SNAPSHOT), int(Flag.LAST)
_HALTED, _QUOTE_ONLY, _TRADING = int(TradingStatus.HALTED), int(TradingStatus.QUOTE_ONLY), int(TradingStatus.TRADING)


# --- messages ---------------------------------------------------------------------------------------------------------


@kernel
def _new_order(state: int, identity: int, size: int, price: int, side: int) -> None:
    s = lobster_at(state)
    cell = order_cell(state, identity)
    slot = load_i32(cell)
    if slot != 0 and lobster_order_at(s.orders_address, slot).qty > 0:
        s.duplicates += 1
        return
    if slot == 0:
        slot = s.order_used
        s.order_used = slot + 1
        store_i32(cell, slot)
    place = find_level(state, side, price)
    if not has_level(state, side, place, price):
        insert_level(state, side, place, price)
    level = lobster_level_at(ladder_of(state, side), place)
    order = lobster_order_at(s.orders_address, slot)
    order.id, order.qty, order.price, order.next, order.prev = identity, size, price, 0, level.tail
    s.orders_live += 1
    if level.tail:
        lobster_order_at(s.orders_address, level.tail).next = slot
    else:
        level.head = slot
    level.tail = slot
    level.known += size
    emit(state, _ADD, identity, price, size, side, 0)


@kernel
def _take_off(state: int, kind: int, identity: int, size: int, price: int, side: int) -> None:
    """Cancel, delete or execute `size` of an order, or of the anonymous one at its price."""
    s = lobster_at(state)
    place = find_level(state, side, price)
    here = has_level(state, side, place, price)
    level = lobster_level_at(ladder_of(state, side), place)
    slot = load_i32(order_cell(state, identity))
    order = lobster_order_at(s.orders_address, slot)  # slot 0 is an order of no quantity
    told = identity
    if here and order.qty >= size and order.price == price and (kind != _DELETE or order.qty == size):
        order.qty -= size
        level.known -= size
        if order.qty == 0:
            s.orders_live -= 1
            unlink_order(state, side, place, slot)
    elif here and order.qty == 0 and level.anonymous >= size:
        told = anonymous_id(price, side)
        level.anonymous -= size
        if kind == _DELETE and level.anonymous > 0:
            kind = _REDUCE
    else:
        s.unknown += 1
        if s.unknown == 1:
            s.unknown_row = s.total
        here = False
        if s.book_address != 0:
            if kind != _EXECUTE:
                return
            kind, told = _TRADE, 0  # no book can take it off, but it traded
    traded = kind == _EXECUTE or kind == _TRADE
    emit(
        state,
        kind,
        told,
        price if traded else 0,
        0 if kind == _DELETE else size,
        -side if traded else side,
        _PRINTABLE if traded else 0,
    )
    if here and level.known + level.anonymous == 0:
        drop_level(state, side, place)


@kernel
def _message(state: int, address: int) -> int:
    """Events of one message; what it adds at its price (negative: takes off)."""
    s = lobster_at(state)
    kind, identity = load_i64(address + 8), load_i64(address + 16)
    size, price, side = load_i64(address + 24), load_i64(address + 32), load_i64(address + 40)
    if kind == 7:
        status = _HALTED if price == -1 else (_QUOTE_ONLY if price == 0 else _TRADING)
        emit(state, _STATUS, 0, 0, 0, 0, 0)
        event_at(s.events_address, s.count - 1).word = status
        return 0
    if kind < 1 or kind > 6 or size <= 0 or price <= 0 or price > ANONYMOUS >> 2 or (side != 1 and side != -1):
        s.bad += 1
        if s.bad == 1:
            s.bad_row = s.total
        return 0
    if kind == 1:
        _new_order(state, identity, size, price, side)
        return size
    if kind == 5:
        emit(state, _TRADE, 0, price, size, -side, _PRINTABLE | _HIDDEN)
        return 0
    if kind == 6:
        emit(state, _TRADE, 0, price, size, 0, _PRINTABLE | _AUCTION)
        return 0
    taken = _REDUCE if kind == 2 else (_DELETE if kind == 3 else _EXECUTE)
    _take_off(state, taken, identity, size, price, side)
    return -size


# --- book rows --------------------------------------------------------------------------------------------------------


@kernel
def _row_pair(row: int, level: int, side: int) -> int:
    """Address of price and size of a level in a book row: ask price, ask size, bid price, bid size for each level."""
    return row + 32 * level + (16 if side > 0 else 0)


@kernel
def _row_depth(row: int, levels: int, side: int) -> int:
    """Levels of a side that are there: the rest of a row is dummies of size 0, or of a damaged row out of order."""
    last = 0
    for k in range(levels):
        pair = pair_at(_row_pair(row, k, side))
        if pair.qty <= 0 or pair.price <= 0 or pair.price > ANONYMOUS >> 2 or (k > 0 and side * pair.price >= last):
            return k
        last = side * pair.price
    return levels


@kernel
def _row_qty(base: int, stride: int, depth: int, price: int) -> int:
    for k in range(depth):
        if pair_at(base + stride * k).price == price:
            return pair_at(base + stride * k).qty
    return 0


@kernel
def _expect(state: int, side: int, price: int, delta: int) -> int:
    """Write what the previous row and the message determine of a side; its levels, or -1 if they contradict."""
    s = lobster_at(state)
    i = 0 if side > 0 else 1
    before = s.before_address + i * s.levels * _PAIR_SIZE
    target = s.expected_address + i * (s.levels + 1) * _PAIR_SIZE
    count, placed, wrong = 0, delta == 0, False
    for k in range(s.levels_before[i]):
        pair = pair_at(before, k)
        qty = pair.qty
        if not placed and side * price >= side * pair.price:
            placed = True
            if pair.price == price:
                qty += delta
            elif delta > 0:
                new = pair_at(target, count)
                new.price, new.qty = price, delta
                count += 1
            else:
                wrong = True
        if qty < 0:
            wrong = True
        elif qty > 0:
            kept = pair_at(target, count)
            kept.price, kept.qty = pair.price, qty
            count += 1
    if not placed:
        if delta < 0:
            wrong = True
        elif count <= s.levels:
            new = pair_at(target, count)
            new.price, new.qty = price, delta
            count += 1
    if wrong:
        return -1
    return min(count, s.levels)


@kernel
def _compare(state: int, row: int, side: int, price: int, delta: int) -> int:
    """0 the side of the row is as determined, 1 it shows a level more that slid in, 2 it differs."""
    s = lobster_at(state)
    i = 0 if side > 0 else 1
    expected = _expect(state, side, price, delta)
    depth = _row_depth(row, s.levels, side)
    if expected < 0 or depth < expected:
        return 2
    base = s.expected_address + i * (s.levels + 1) * _PAIR_SIZE
    for k in range(expected):
        want, found = pair_at(base, k), pair_at(_row_pair(row, k, side))
        if want.price != found.price or want.qty != found.qty:
            return 2
    if depth == expected:
        return 0
    return 1 if s.levels_before[i] == s.levels and depth == expected + 1 else 2


@kernel
def _settle_level(state: int, side: int, place: int, qty: int) -> None:
    """Make a level hold `qty`, with as little change to what is known as possible."""
    level = lobster_level_at(ladder_of(state, side), place)
    identity = anonymous_id(level.price, side)
    held = level.known + level.anonymous
    if qty > held:
        level.anonymous += qty - held
        kind = _ADD if level.anonymous == qty - held else _MODIFY
        emit(state, kind, identity, level.price, level.anonymous, side, _SNAPSHOT)
    elif qty < held and level.anonymous >= held - qty:
        level.anonymous -= held - qty
        if level.anonymous == 0:
            emit(state, _DELETE, identity, 0, 0, side, _SNAPSHOT)
        else:
            emit(state, _REDUCE, identity, 0, held - qty, side, _SNAPSHOT)
    elif qty < held:  # some of the known orders went unseen, and nobody says which
        drop_orders(state, side, place, _SNAPSHOT)
        if level.anonymous != qty:
            kind = _ADD if level.anonymous == 0 else _MODIFY
            level.anonymous = qty
            emit(state, kind, identity, level.price, qty, side, _SNAPSHOT)


@kernel
def _settle_side(state: int, row: int, side: int) -> None:
    """Make a side hold exactly the row's levels; deeper ones are kept if the row shows no more than its depth."""
    s = lobster_at(state)
    i = 0 if side > 0 else 1
    depth = _row_depth(row, s.levels, side)
    k = place = 0
    while k < depth or (depth < s.levels and place < s.ladder_count[i]):
        here = place < s.ladder_count[i]
        gap = -1
        if here:
            shown = side * pair_at(_row_pair(row, k, side)).price if k < depth else -ANONYMOUS
            gap = side * lobster_level_at(ladder_of(state, side), place).price - shown
        if gap > 0:  # the row would show it if it were there
            empty_level(state, side, place, _SNAPSHOT)
            continue
        pair = pair_at(_row_pair(row, k, side))
        if gap < 0:
            insert_level(state, side, place, pair.price)
        _settle_level(state, side, place, pair.qty)
        k += 1
        place += 1


@kernel
def _check_row(state: int, row: int, message: int, delta: int) -> int:
    """Count a row as matched, undetermined or mismatched; the sides to settle (1 bid, 2 ask)."""
    s = lobster_at(state)
    price, direction = load_i64(message + 32), load_i64(message + 40)
    sides, worst = 0, 0
    for i in range(2):
        side = 1 - 2 * i
        found = _compare(state, row, side, price, delta if direction == side else 0)
        worst = max(worst, found)
        if found != 0:
            sides |= 1 << i
    if s.total == 0:
        s.undetermined += 1
        return 3
    if worst == 0:
        s.matched += 1
    elif worst == 1:
        s.undetermined += 1
    else:
        s.mismatched += 1
        if s.mismatched == 1:
            s.mismatch_row = s.total
    if delta != 0:
        i = 0 if direction > 0 else 1
        had = _row_qty(s.before_address + i * s.levels * _PAIR_SIZE, _PAIR_SIZE, s.levels_before[i], price)
        s.deltas += 1
        if _row_qty(_row_pair(row, 0, direction), 32, s.levels, price) == had + delta:
            s.deltas_matched += 1
    return sides


@kernel("i8(i8)")
def replay_rows(state: int) -> int:
    """Turn rows into events until they or the room for events run out.

    A message of type `SEED` is none: its book row is the book before the first message.

    Parameters
    ----------
    state : int
        Address of a LOBSTER. The index must have twice as many cells as orders can become.

    Returns
    -------
    int
        0 done; 1 the room ran out: take the events, enlarge it if there were none, and call again; 2 more levels than
        a ladder holds.
    """
    s = lobster_at(state)
    while s.row < s.rows:
        # in the worst case every order and every level of the book is deleted, and a row written anew
        if s.count + s.orders_live + s.ladder_count[0] + s.ladder_count[1] + 8 * s.levels + 16 > s.capacity:
            return 1
        if max(s.ladder_count[0], s.ladder_count[1]) + s.levels + 1 >= LADDER_ROOM:
            return 2
        message = s.messages_address + s.row * 48
        row = s.book_address + s.row * s.levels * 32
        first, unknown = s.count, s.unknown
        seed = load_i64(message + 8) == SEED
        sides = 3
        if seed:
            emit(state, _CLEAR, 0, 0, 0, 0, _SNAPSHOT)
        else:
            delta = _message(state, message)
            if s.book_address != 0:
                sides = _check_row(state, row, message, delta)
            if s.unknown != unknown:  # an order came while its level was out of sight; one that is held went
                sides = 3
        if s.book_address != 0:
            for i in range(2):
                side = 1 - 2 * i
                if (sides >> i) & 1:
                    _settle_side(state, row, side)
                depth = _row_depth(row, s.levels, side)
                s.levels_before[i] = depth
                for k in range(depth):
                    target = s.before_address + (i * s.levels + k) * _PAIR_SIZE
                    copy_bytes(target, _row_pair(row, k, side), _PAIR_SIZE)
        stamp = s.midnight + load_i64(message)
        for k in range(first, s.count):
            event = event_at(s.events_address, k)
            event.ts_venue = stamp
            event.ts_recv = stamp
            event.seq = s.total + (0 if seed else 1)
        if s.count > first:
            last = event_at(s.events_address, s.count - 1)
            last.flags = last.flags | _LAST
        if not seed:
            s.total += 1
        s.row += 1
    return 0
