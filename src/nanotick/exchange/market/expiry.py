"""Good-till-date orders: a binary heap of (time, slot).

When an order ends otherwise its entry stays; it is recognised as stale when its time comes, or when the heap is full
and swept: `expire_times` holds the time of the order now in a slot, and an order that has left has no time in force.
An entry left by an earlier order of the same slot and the same time does no harm: the order there ends then too.
"""

from __future__ import annotations

from nanotick.core.kernel import called, kernel
from nanotick.core.memory import copy_bytes, load_i64, store_i64
from nanotick.exchange.market.records import (
    EXPIRY,
    NEVER,
    ExchangeStatus,
    exchange_at,
    expiry_at,
    market_order_at,
)

_BYTES = EXPIRY.itemsize
_EXPIRIES_FULL = int(ExchangeStatus.EXPIRIES_FULL)
_GTD = 4  # TimeInForce.GTD


@kernel
def _is_live(exchange: int, i: int) -> bool:
    root = exchange_at(exchange)
    entry = expiry_at(root.expiries_address, i)
    order = market_order_at(root.orders_address, entry.slot)
    return order.tif == _GTD and load_i64(root.expire_times_address + 8 * entry.slot) == entry.ts


@kernel
def _rise(heap: int, i: int, ts: int, slot: int) -> None:
    """Put an entry at place i or above it."""
    while i > 0:
        parent = (i - 1) >> 1
        above = expiry_at(heap, parent)
        if above.ts < ts or (above.ts == ts and above.slot <= slot):
            break
        copy_bytes(heap + i * _BYTES, heap + parent * _BYTES, _BYTES)
        i = parent
    entry = expiry_at(heap, i)
    entry.ts = ts
    entry.slot = slot


@kernel
def _sink(heap: int, count: int, ts: int, slot: int) -> None:
    """Put an entry at the top or below it."""
    i = 0
    while True:
        child = 2 * i + 1
        if child >= count:
            break
        below = expiry_at(heap, child)
        if child + 1 < count:
            other = expiry_at(heap, child + 1)
            if other.ts < below.ts or (other.ts == below.ts and other.slot < below.slot):
                child += 1
                below = other
        if ts < below.ts or (ts == below.ts and slot <= below.slot):
            break
        copy_bytes(heap + i * _BYTES, heap + child * _BYTES, _BYTES)
        i = child
    entry = expiry_at(heap, i)
    entry.ts = ts
    entry.slot = slot


@called
def _sweep(exchange: int) -> None:
    """Drop the stale entries."""
    root = exchange_at(exchange)
    heap, count, kept = root.expiries_address, root.expiries, 0
    for i in range(count):
        if _is_live(exchange, i):
            entry = expiry_at(heap, i)
            ts, slot = entry.ts, entry.slot
            _rise(heap, kept, ts, slot)  # writes at or above `kept`, which is not after i
            kept += 1
    root.expiries = kept


@called
def expire_later(exchange: int, slot: int, ts: int) -> None:
    """An order that has just come to rest ends at `ts`."""
    root = exchange_at(exchange)
    store_i64(root.expire_times_address + 8 * slot, ts)
    if root.expiries >= root.expiry_capacity:
        _sweep(exchange)
        if root.expiries >= root.expiry_capacity:
            root.status = root.status | _EXPIRIES_FULL
            return
    _rise(root.expiries_address, root.expiries, ts, slot)
    root.expiries += 1
    if ts < root.next_deadline:
        root.next_deadline = ts


@kernel
def expiry_time(exchange: int, slot: int) -> int:
    """When a good-till-date order ends."""
    return load_i64(exchange_at(exchange).expire_times_address + 8 * slot)


@kernel
def first_expiry(exchange: int) -> int:
    """Time of the earliest entry, NEVER for none."""
    root = exchange_at(exchange)
    return expiry_at(root.expiries_address, 0).ts if root.expiries != 0 else NEVER


@called
def pop_expired(exchange: int, now: int) -> int:
    """Slot of an order that ends by now, its entry removed; 0 when there is none."""
    root = exchange_at(exchange)
    heap = root.expiries_address
    while root.expiries != 0 and expiry_at(heap, 0).ts <= now:
        live = _is_live(exchange, 0)
        slot = expiry_at(heap, 0).slot
        last = expiry_at(heap, root.expiries - 1)
        ts, moved = last.ts, last.slot
        root.expiries -= 1
        if root.expiries != 0:
            _sink(heap, root.expiries, ts, moved)
        if live:
            return slot
    return 0
