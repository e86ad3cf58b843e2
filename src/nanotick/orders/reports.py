"""Reports of the venue, applied to the order they are about, in whatever order and however often they arrive.

What is held, for every sequence of reports (the venue's own record of the order being consistent):

- An execution is booked once: its `seq` is looked for among the executions of its order, newest first. The same `seq`
  with other contents is a BREAK and not booked.
- A fill may come before the acknowledgement, during a pending cancel or replace, and after the order has ended. Ended
  orders stay ended: a late fill takes its quantity back from what was said to be cancelled, a bust adds it to what is
  undone, and the terminal state becomes what the quantities say (CANCELLED -> FILLED when a late fill completes it,
  FILLED -> CANCELLED after a bust). No other report changes an ended order.
- CANCELLED says how much was taken off. If less than we hold open, fills are still on their way: the order stays
  PENDING_CANCEL, and counts, until they are in. A negative quantity means that the venue did not say: all of it.
- A pending replace keeps the larger total counted until REPLACED or CANCEL_REJECTED answers it, even when the old total
  has been filled or taken off meanwhile.
- What cannot be true is flagged BREAK. A fill is booked even then, for it moves the position, unless it names another
  side or instrument than the order has.
"""

from __future__ import annotations

from typing import Any

from nanotick.core.instruments import INSTRUMENT
from nanotick.core.kernel import kernel
from nanotick.core.records import Kind, RejectReason, event_at
from nanotick.core.value import add_saturating, trade_value
from nanotick.orders.open_list import (
    aggregate_of,
    count_open,
    end_order,
    largest_total,
    open_state,
    order_find,
    rests,
    terminal_state,
    widen_own_best,
    worst_leaves,
)
from nanotick.orders.records import FILLED, OrderChange, Pending, ReportFlag, Seen, execution_at, order_at, orders_at

_ACCEPTED, _REJECTED, _FILL, _CANCELLED = int(Kind.ACCEPTED), int(Kind.REJECTED), int(Kind.FILL), int(Kind.CANCELLED)
_REPLACED, _CANCEL_REJECTED = int(Kind.REPLACED), int(Kind.CANCEL_REJECTED)
_TRIGGERED, _EXPIRED, _UNKNOWN_OUTCOME = int(Kind.TRIGGERED), int(Kind.EXPIRED), int(Kind.UNKNOWN)
_FILL_BUST = int(Kind.FILL_BUST)
_NEW, _CANCEL = int(Pending.NEW), int(Pending.CANCEL)
_REPLACE, _UNKNOWN = int(Pending.REPLACE), int(Pending.UNKNOWN)
_SEEN_ACCEPTED, _SEEN_REPLACED, _SEEN_TRIGGERED = int(Seen.ACCEPTED), int(Seen.REPLACED), int(Seen.TRIGGERED)
_SEEN_REJECTED, _SEEN_CANCELLED, _SEEN_EXPIRED = int(Seen.REJECTED), int(Seen.CANCELLED), int(Seen.EXPIRED)
_OF_REPLACE, _STATUS = int(ReportFlag.OF_REPLACE), int(ReportFlag.STATUS)
_UNKNOWN_TO_VENUE = int(RejectReason.UNKNOWN_ORDER)
_NONE, _STATE, _DID_FILL, _DID_BUST = 0, int(OrderChange.STATE), int(OrderChange.FILL), int(OrderChange.BUST)
_ENDED, _DID_REPLACE, _REFUSED = int(OrderChange.ENDED), int(OrderChange.REPLACED), int(OrderChange.REFUSED)
_DUPLICATE, _LATE, _BREAK = int(OrderChange.DUPLICATE), int(OrderChange.LATE), int(OrderChange.BREAK)
_NO_ORDER, _LOST = int(OrderChange.UNKNOWN_ORDER), int(OrderChange.LOST)
_INSTRUMENT_SIZE = INSTRUMENT.itemsize


@kernel
def _settle(orders: int, order: Any, slot: int, now: int) -> int:
    """Give an open order, out of the sums, the state its quantities and requests say; back into the sums if open."""
    before = order.state
    if worst_leaves(order) == 0:
        if order.pending & _REPLACE != 0:
            # more done than the old total: the replace has taken effect, whenever its answer arrives
            order.qty = max(order.qty, order.filled_qty + order.cancelled_qty + order.busted_qty)
        end_order(orders, slot, terminal_state(order), now)
        return _STATE | _ENDED
    order.state = open_state(order)
    order.ts_last = now
    count_open(orders, order, 1)
    return _STATE if order.state != before else _NONE


@kernel
def _execution(orders: int, order: Any, seq: int) -> int:
    """Index of the execution of this seq, 0 if it is new."""
    root = orders_at(orders)
    i = order.executions
    while i != 0:
        record = execution_at(root.executions_address, i)
        if record.seq <= seq:
            return i if record.seq == seq else 0
        i = record.next
    return 0


@kernel
def _remember(orders: int, order: Any, event: Any, busted: int) -> int:
    """A new execution of the order, in its place by seq; 0 when there is no memory for it."""
    root = orders_at(orders)
    i = root.execution_free
    if i != 0:
        root.execution_free = execution_at(root.executions_address, i).next
    elif root.executions_used <= root.execution_capacity:
        i = root.executions_used
        root.executions_used += 1
    else:
        return 0
    root.executions_free -= 1
    record = execution_at(root.executions_address, i)
    record.seq = event.seq
    record.price = event.price
    record.qty = event.qty
    record.fee = event.word
    record.busted = busted
    after = 0
    follower = order.executions
    while follower != 0 and execution_at(root.executions_address, follower).seq > event.seq:
        after = follower
        follower = execution_at(root.executions_address, follower).next
    record.next = follower
    if after == 0:
        order.executions = i
    else:
        execution_at(root.executions_address, after).next = i
    return i


@kernel
def _value(orders: int, order: Any, price: int, qty: int) -> int:
    return trade_value(orders_at(orders).instruments_address + order.instrument * _INSTRUMENT_SIZE, price, qty)


@kernel
def _same_execution(record: Any, event: Any) -> bool:
    return record.price == event.price and record.qty == event.qty and record.fee == event.word


@kernel
def _fill(orders: int, order: Any, slot: int, event: Any) -> int:
    if event.qty <= 0:
        return _BREAK
    known = _execution(orders, order, event.seq)
    if known != 0:
        same = _same_execution(execution_at(orders_at(orders).executions_address, known), event)
        return _DUPLICATE if same else _DUPLICATE | _BREAK
    if _remember(orders, order, event, 0) == 0:
        return _LOST | _BREAK
    ended = order.state >= FILLED
    if not ended:
        count_open(orders, order, -1)
    order.filled_qty = add_saturating(order.filled_qty, event.qty)
    order.filled_value = add_saturating(order.filled_value, _value(orders, order, event.price, event.qty))
    order.fees += event.word
    order.fills += 1
    total = largest_total(order)
    change = _DID_FILL
    if add_saturating(order.filled_qty, order.busted_qty) > total:
        change |= _BREAK
    room = max(0, total - order.filled_qty - order.busted_qty)
    if order.cancelled_qty > room:  # what was said to be taken off has been filled instead
        order.cancelled_qty = room
    if ended:
        before = order.state
        order.state = terminal_state(order)
        return change | _LATE | (_STATE if order.state != before else _NONE)
    pending = order.pending & ~_NEW
    if order.seen & _SEEN_ACCEPTED == 0:
        pending &= ~_UNKNOWN  # what was unknown is whether it had arrived
    order.pending = pending
    return change | _settle(orders, order, slot, event.ts_recv)


@kernel
def _bust(orders: int, order: Any, slot: int, event: Any) -> int:
    root = orders_at(orders)
    known = _execution(orders, order, event.seq)
    ended = order.state >= FILLED
    if known == 0:
        # the fill may still come: remembered as undone, it will not be booked then
        if event.qty <= 0:
            return _BREAK
        if _remember(orders, order, event, 1) == 0:
            return _LOST | _BREAK
        if ended:
            return _BREAK | _LATE
        count_open(orders, order, -1)
        order.busted_qty = add_saturating(order.busted_qty, event.qty)
        return _BREAK | _settle(orders, order, slot, event.ts_recv)
    record = execution_at(root.executions_address, known)
    if not _same_execution(record, event):
        return _BREAK
    if record.busted != 0:
        return _DUPLICATE
    record.busted = 1
    if not ended:
        count_open(orders, order, -1)
    order.filled_qty -= record.qty
    order.busted_qty += record.qty
    order.filled_value -= _value(orders, order, record.price, record.qty)
    order.fees -= record.fee
    if ended:
        before = order.state
        order.state = terminal_state(order)
        return _DID_BUST | _LATE | (_STATE if order.state != before else _NONE)
    return _DID_BUST | _settle(orders, order, slot, event.ts_recv)


@kernel
def _accepted(orders: int, order: Any, slot: int, event: Any) -> int:
    first = order.seen & _SEEN_ACCEPTED == 0
    if first:
        order.seen = order.seen | _SEEN_ACCEPTED
        order.ts_accepted = event.ts_venue
    if event.word != 0:
        order.venue_id = event.word
    if order.state >= FILLED:
        return _LATE
    if not first and event.flags & _STATUS == 0:
        return _DUPLICATE
    count_open(orders, order, -1)
    cleared = _NEW | _UNKNOWN
    if event.flags & _STATUS != 0:
        cleared |= _CANCEL
    order.pending = order.pending & ~cleared
    change = _NONE
    # a venue may take an order at another price (post-only slides); a confirmed replace is newer than that
    if first and order.price != 0 and event.price != 0 and event.price != order.price:
        if order.seen & _SEEN_REPLACED == 0:
            order.price = event.price
            change = _DID_REPLACE
            if rests(order):
                widen_own_best(orders, order.instrument, order.side, event.price)
    return change | _settle(orders, order, slot, event.ts_recv)


@kernel
def _rejected(orders: int, order: Any, slot: int, event: Any) -> int:
    if order.state >= FILLED:
        return _LATE
    count_open(orders, order, -1)
    if order.filled_qty != 0 or order.busted_qty != 0:
        order.pending = order.pending | _UNKNOWN  # filled and refused cannot both be: ask the venue
        return _BREAK | _settle(orders, order, slot, event.ts_recv)
    order.reason = event.word
    order.seen = order.seen | _SEEN_REJECTED
    order.pending = 0
    order.cancelled_qty = order.qty
    return _REFUSED | _settle(orders, order, slot, event.ts_recv)


@kernel
def _gone(orders: int, order: Any, slot: int, event: Any, seen: int) -> int:
    """CANCELLED or EXPIRED."""
    if order.state >= FILLED:
        return _LATE
    if order.seen & (_SEEN_CANCELLED | _SEEN_EXPIRED) != 0:
        return _DUPLICATE
    count_open(orders, order, -1)
    order.reason = event.word
    order.seen = order.seen | seen
    order.pending = order.pending & ~(_NEW | _CANCEL | _UNKNOWN)
    change = _NONE
    left = worst_leaves(order)
    taken = event.qty
    if taken < 0:
        order.pending = 0
        left = worst_leaves(order)
        taken = left
    elif taken > left:
        change = _BREAK
        taken = left
    order.cancelled_qty += taken
    return change | _settle(orders, order, slot, event.ts_recv)


@kernel
def _old_answer(order: Any, event: Any) -> bool:
    """Whether an answer to a replace is no newer than the last one."""
    if order.seen & _SEEN_REPLACED == 0 and order.answer_ts == 0:
        return False
    if event.ts_venue == order.answer_ts:
        return event.seq == order.answer_seq
    return event.ts_venue < order.answer_ts


@kernel
def _replaced(orders: int, order: Any, slot: int, event: Any) -> int:
    if _old_answer(order, event):
        return _DUPLICATE
    if event.qty <= 0:
        return _BREAK
    if order.state >= FILLED:
        if event.qty != order.qty:
            return _LATE | _BREAK
        order.price = event.price
        return _LATE
    count_open(orders, order, -1)
    order.answer_ts = event.ts_venue
    order.answer_seq = event.seq
    order.seen = order.seen | _SEEN_REPLACED
    pending = order.pending & ~_NEW
    if pending & _REPLACE != 0:
        pending &= ~(_REPLACE | _UNKNOWN)
    order.pending = pending
    order.price = event.price
    # a fill that crossed the replace may have gone past the new total: what is filled is the total then
    done = order.filled_qty + order.cancelled_qty + order.busted_qty
    order.qty = max(event.qty, done)
    if rests(order):
        widen_own_best(orders, order.instrument, order.side, event.price)
    return _DID_REPLACE | _settle(orders, order, slot, event.ts_recv)


@kernel
def _names_replace(order: Any, event: Any) -> bool:
    """Whether a refusal that does not say of what carries the price and total of the replace on its way."""
    if event.price == order.price and event.qty == order.qty:
        return False
    return event.price == order.pending_price and event.qty == order.pending_qty


@kernel
def _request_refused(orders: int, order: Any, slot: int, event: Any) -> int:
    if order.state >= FILLED:
        return _LATE | _REFUSED
    pending = order.pending
    of_replace = event.flags & _OF_REPLACE != 0
    answer = (event.ts_venue << 8) ^ event.seq
    if not of_replace:
        if answer != 0 and answer == order.cancel_answer:
            return _DUPLICATE
        of_replace = pending & _REPLACE != 0 and (pending & _CANCEL == 0 or _names_replace(order, event))
    if of_replace and _old_answer(order, event):
        return _DUPLICATE
    count_open(orders, order, -1)
    if of_replace:
        order.answer_ts = event.ts_venue
        order.answer_seq = event.seq
        pending &= ~_REPLACE
    else:
        order.cancel_answer = answer
        pending &= ~_CANCEL
    # the venue knows the order, so nothing about it is unknown any more; if it does not, only asking again can tell
    if order.seen & _SEEN_ACCEPTED != 0 and event.word != _UNKNOWN_TO_VENUE:
        pending &= ~_UNKNOWN
    order.pending = pending
    change = _REFUSED
    if order.filled_qty + order.busted_qty > largest_total(order):
        change |= _BREAK
    return change | _settle(orders, order, slot, event.ts_recv)


@kernel
def _triggered(orders: int, order: Any, slot: int, event: Any) -> int:
    if order.state >= FILLED:
        return _LATE
    if order.seen & _SEEN_TRIGGERED != 0:
        return _DUPLICATE
    order.seen = order.seen | _SEEN_TRIGGERED
    order.ts_last = event.ts_recv
    if rests(order):
        widen_own_best(orders, order.instrument, order.side, order.price)
    return _STATE


@kernel
def _outcome_unknown(orders: int, order: Any, slot: int, event: Any) -> int:
    if order.state >= FILLED:
        return _LATE
    count_open(orders, order, -1)
    order.pending = order.pending | _UNKNOWN
    return _settle(orders, order, slot, event.ts_recv)


@kernel
def _apply(orders: int, order: Any, slot: int, event: Any) -> int:
    kind = event.kind
    if kind == _FILL:
        return _fill(orders, order, slot, event)
    if kind == _ACCEPTED:
        return _accepted(orders, order, slot, event)
    if kind == _CANCELLED:
        return _gone(orders, order, slot, event, _SEEN_CANCELLED)
    if kind == _EXPIRED:
        return _gone(orders, order, slot, event, _SEEN_EXPIRED)
    if kind == _REPLACED:
        return _replaced(orders, order, slot, event)
    if kind == _CANCEL_REJECTED:
        return _request_refused(orders, order, slot, event)
    if kind == _REJECTED:
        return _rejected(orders, order, slot, event)
    if kind == _TRIGGERED:
        return _triggered(orders, order, slot, event)
    if kind == _UNKNOWN_OUTCOME:
        return _outcome_unknown(orders, order, slot, event)
    if kind == _FILL_BUST:
        return _bust(orders, order, slot, event)
    return _BREAK


@kernel
def order_report(orders: int, event_address: int) -> int:
    """Apply a private report to the order it names.

    Parameters
    ----------
    orders : int
        Address of the ORDERS root.
    event_address : int
        Address of an EVENT whose kind is a private report. `id` is our client order id; the `seq` of a FILL is its
        execution id, unique among the fills of the order.

    Returns
    -------
    int
        OrderChange flags. The portfolio books exactly the fills for which FILL is set, and undoes exactly those for
        which BUST is.
    """
    root = orders_at(orders)
    event = event_at(event_address)
    slot = order_find(orders, event.id)
    change = _NO_ORDER | _BREAK
    if slot >= 0:
        order = order_at(root.orders_address, slot)
        if order.released != 0:
            wrong_side = event.side != 0 and event.side != order.side
            change = _BREAK
            if event.instrument == order.instrument and not wrong_side:
                change = _apply(orders, order, slot, event)
            total = aggregate_of(orders, root.strategies, order.instrument)
            if total.open_buy_qty < 0 or total.open_sell_qty < 0 or order.filled_qty < 0:
                change |= _BREAK  # cannot happen; if it does, nothing about exposure can be trusted
    if change & _BREAK != 0:
        root.breaks += 1
    return change
