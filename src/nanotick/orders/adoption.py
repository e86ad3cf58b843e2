"""Taking in orders that are not this session's: found at the venue, by another session, another program or a person.

An ADOPTED report becomes an order like any other, working, in the sums of exposure and in the list of its strategy; so
whatever cancels orders cancels it, and its fills are booked. The number made of the venue's order id is remembered with
the client order id that the table gave: the same order told again, working or ended meanwhile, is not taken in twice,
and whoever speaks to the venue finds the one by the other. The numbers given follow from the reports alone, so they are
the same in every rerun.
"""

from __future__ import annotations

from nanotick.core.kernel import kernel
from nanotick.core.memory import load_i64, mul_wrap, shift_right, store_i64
from nanotick.core.records import BUY, SELL, OrderType, event_at
from nanotick.orders.open_list import count_open, open_state, order_find, order_record
from nanotick.orders.records import FILLED, OrderChange, Seen, adoption_at, orders_at
from nanotick.orders.table import order_release, reserve_order

_HASH = 0x2545F4914F6CDD1D
_STATE, _DUPLICATE = int(OrderChange.STATE), int(OrderChange.DUPLICATE)
_BREAK, _LOST = int(OrderChange.BREAK), int(OrderChange.LOST)
_ACCEPTED, _STOP = int(Seen.ACCEPTED), int(OrderType.STOP)


@kernel
def _bucket(orders: int, key: int) -> int:
    root = orders_at(orders)
    return root.adoption_buckets_address + 8 * (shift_right(mul_wrap(key, _HASH), 32) & root.adoption_mask)


@kernel
def order_adopted(orders: int, key: int) -> int:
    """Client order id given to the order of this key, ended or not; 0 when it was never taken in."""
    root = orders_at(orders)
    oldest = root.adopted - root.adoption_mask
    n = load_i64(_bucket(orders, key))
    while n > 0 and n >= oldest:
        adoption = adoption_at(root.adoptions_address, n & root.adoption_mask)
        if adoption.key == key:
            return adoption.order_id
        n = adoption.before
    return 0


@kernel
def order_adopt(orders: int, event_address: int) -> int:
    """Take in the order of an ADOPTED report.

    A strategy that does not exist is strategy 0: what stands at the venue has to count somewhere.

    Returns
    -------
    int
        OrderChange flags: STATE when it was taken in, DUPLICATE when it had been before, BREAK when the report makes no
        order, BREAK | LOST when there is no room for it and it counts nowhere.
    """
    root = orders_at(orders)
    event = event_at(event_address)
    key, now = event.id, event.ts_recv
    sound = event.side == BUY or event.side == SELL
    if key == 0 or event.qty <= 0 or event.price < 0 or event.instrument >= root.instruments or not sound:
        root.breaks += 1
        return _BREAK
    if order_adopted(orders, key) != 0:
        return _DUPLICATE
    n = root.adopted + 1
    adoption = adoption_at(root.adoptions_address, n & root.adoption_mask)
    held = order_find(orders, adoption.order_id)
    order_id = 0
    if held < 0 or order_record(orders, held).state >= FILLED:  # an open order is not forgotten
        strategy = event.seq if 0 <= event.seq < root.strategies else 0
        order_type = event.flags & 7
        stop_price = event.price if order_type == _STOP else 0
        order_id = reserve_order(
            orders, strategy, event.instrument, event.side, event.price - stop_price, event.qty, order_type,
            event.flags >> 3 & 7, 0, stop_price, 0, now,
        )  # fmt: skip
    if order_id == 0:
        root.breaks += 1
        return _BREAK | _LOST
    root.adopted = n
    bucket = _bucket(orders, key)
    adoption.key = key
    adoption.order_id = order_id
    adoption.before = load_i64(bucket)
    store_i64(bucket, n)
    order_release(orders, order_id, now)
    root.released -= 1  # not sent by us
    order = order_record(orders, order_find(orders, order_id))
    count_open(orders, order, -1)
    order.pending = 0
    order.seen = _ACCEPTED
    order.venue_id = event.word
    order.ts_accepted = event.ts_venue
    order.state = open_state(order)
    count_open(orders, order, 1)
    return _STATE
