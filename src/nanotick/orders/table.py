"""The order table: reserving, releasing, asking to cancel or replace, and walking what is open.

A strategy's intent takes a slot at once (`order_reserve`), so that what it asked for is visible to it; risk then
releases or refuses it. Ended orders wait in quarantine, first in first out, so that late reports still find them: a
slot serves a new order when its last one ended `quarantine_ns` ago or `quarantine_orders` others have ended since. With
neither, and every slot taken, the table is full and gives id 0.

What may still trade is kept as sums beside the orders (AGGREGATE), at worst: a pending cancel counts in full, a pending
replace with the larger quantity, an UNKNOWN outcome in full.
"""

from __future__ import annotations

from typing import Any

from nanotick.core.arena import Arena, Region
from nanotick.core.instruments import InstrumentTable
from nanotick.core.kernel import kernel
from nanotick.core.memory import clear_bytes, load_i32
from nanotick.core.records import BUY, SELL, CommandFlag
from nanotick.orders.open_list import (
    aggregate_of,
    count_intent,
    count_open,
    count_released,
    end_order,
    link_order,
    open_state,
    order_find,
    order_record,
    rests,
    widen_own_best,
)
from nanotick.orders.records import (
    ADOPTION,
    AGGREGATE,
    EXECUTION,
    FILLED,
    INTENT,
    MAX_ORDERS,
    ORDER,
    ORDERS,
    OWN_BEST,
    PENDING_NEW,
    REJECTED,
    SLOT_BITS,
    SLOT_MASK,
    OrderRequest,
    Pending,
    Seen,
    execution_at,
    order_at,
    orders_at,
)

_NEW, _CANCEL = int(Pending.NEW), int(Pending.CANCEL)
_REPLACE, _UNKNOWN = int(Pending.REPLACE), int(Pending.UNKNOWN)
_NO_INSTRUMENT = int(Seen.NO_INSTRUMENT)
_SEEN_REJECTED, _SEEN_GONE = int(Seen.REJECTED), int(Seen.CANCELLED | Seen.EXPIRED)
_OF_STRATEGY = ~int(CommandFlag.CLOSE_ALL)  # what else it cannot have, risk refuses
_CLOSING = int(CommandFlag.CLOSE_ALL | CommandFlag.REDUCE_ONLY)
_ORDER_SIZE = ORDER.itemsize
_OK, _UNKNOWN_ORDER = int(OrderRequest.OK), int(OrderRequest.UNKNOWN_ORDER)
_NOT_OPEN, _NOT_SENT = int(OrderRequest.NOT_OPEN), int(OrderRequest.NOT_SENT)
_CANCEL_PENDING, _REPLACE_PENDING = int(OrderRequest.CANCEL_PENDING), int(OrderRequest.REPLACE_PENDING)
_BAD_QUANTITY, _OUTCOME_UNKNOWN = int(OrderRequest.BAD_QUANTITY), int(OrderRequest.OUTCOME_UNKNOWN)


# --- finding and walking ----------------------------------------------------------------------------------------------


@kernel
def order_address(orders: int, order_id: int) -> int:
    """Address of an order's record, 0 when there is none of this id."""
    slot = order_find(orders, order_id)
    return 0 if slot < 0 else orders_at(orders).orders_address + slot * _ORDER_SIZE


@kernel
def first_open(orders: int, strategy: int, instrument: int) -> int:
    """Slot of the oldest open order, intents included; -1 when there is none."""
    slot = aggregate_of(orders, strategy, instrument).first
    return slot if slot != 0 else -1


@kernel
def next_open(orders: int, slot: int) -> int:
    """Slot of the open order after this one of the same strategy and instrument; -1 at the end."""
    following = order_record(orders, slot).next
    return following if following != 0 else -1


@kernel
def open_count(orders: int, strategy: int, instrument: int, side: int) -> int:
    """Number of open orders, intents included, of a side or (side 0) of both."""
    total = aggregate_of(orders, strategy, instrument)
    if side == BUY:
        return total.buys
    return total.sells if side == SELL else total.buys + total.sells


@kernel
def open_orders(orders: int, strategy: int, instrument: int) -> int:
    """Number of open orders, intents included."""
    return open_count(orders, strategy, instrument, 0)


@kernel
def open_qty(orders: int, strategy: int, instrument: int, side: int) -> int:
    """What the released orders of a side may at worst still trade, quantity units."""
    total = aggregate_of(orders, strategy, instrument)
    return total.open_buy_qty if side == BUY else total.open_sell_qty


@kernel
def pending_qty(orders: int, strategy: int, instrument: int, side: int) -> int:
    """The part of `open_qty` that has a request unanswered or an unknown outcome."""
    total = aggregate_of(orders, strategy, instrument)
    return total.pending_buy_qty if side == BUY else total.pending_sell_qty


@kernel
def side_open_qty(orders: int, strategy: int, instrument: int, side: int) -> int:
    """`open_qty` and the intents that have not been through risk."""
    total = aggregate_of(orders, strategy, instrument)
    if side == BUY:
        return total.open_buy_qty + total.intent_buy_qty
    return total.open_sell_qty + total.intent_sell_qty


@kernel
def cancel_pending(orders: int, slot: int) -> bool:
    """Whether a cancel of this order is on its way."""
    return order_record(orders, slot).pending & _CANCEL != 0


# --- slots ------------------------------------------------------------------------------------------------------------


@kernel
def _free_executions(orders: int, order: Any) -> None:
    root = orders_at(orders)
    last = order.executions
    if last == 0:
        return
    record = execution_at(root.executions_address, last)
    n = 1
    while record.next != 0:
        record = execution_at(root.executions_address, record.next)
        n += 1
    record.next = root.execution_free
    root.execution_free = order.executions
    root.executions_free += n
    order.executions = 0


@kernel
def _take_slot(orders: int, now: int) -> int:
    """A slot for a new order, its record cleared but for the generation in `id`; 0 when the table is full."""
    root = orders_at(orders)
    waiting = root.quarantine_tail - root.quarantine_head
    if waiting > 0:
        slot = load_i32(root.quarantine_address + 4 * (root.quarantine_head & root.quarantine_mask))
        order = order_at(root.orders_address, slot)
        if waiting > root.quarantine_orders or now - order.ts_last >= root.quarantine_ns:
            root.quarantine_head += 1
            _free_executions(orders, order)
            return slot
    if root.used < root.capacity:
        root.used += 1
        return root.used - 1
    return 0


@kernel
def _byte(value: int) -> int:
    return value if 0 <= value < 255 else 255


@kernel
def reserve_order(
    orders: int, strategy: int, instrument: int, side: int, price: int, qty: int, order_type: int, tif: int,
    flags: int, stop_price: int, expire_s: int, now: int,
) -> int:  # fmt: skip
    """Write an intent with any flags: for this package."""
    root = orders_at(orders)
    # fills of the orders already out must find memory: new orders stop before it is gone
    if root.executions_free <= root.open_orders or strategy < 0 or strategy >= root.strategies:
        return 0
    slot = _take_slot(orders, now)
    if slot == 0:
        return 0
    order = order_at(root.orders_address, slot)
    order_id = ((order.id >> SLOT_BITS) + 1) << SLOT_BITS | slot
    clear_bytes(root.orders_address + slot * _ORDER_SIZE, _ORDER_SIZE)
    order.id = order_id
    order.price = price
    order.qty = qty
    order.instrument = instrument
    order.strategy = strategy
    order.side = side if side == BUY or side == SELL else 0
    order.state = INTENT
    order.order_type = _byte(order_type)
    order.tif = _byte(tif)
    order.flags = flags
    order.stop_price = stop_price
    order.expire_s = expire_s
    order.ts_decided = now
    order.ts_last = now
    root.reserved += 1
    if 0 <= instrument < root.instruments:
        link_order(orders, order, slot)
        count_intent(orders, order, 1)
    else:
        order.instrument = 0  # a number that may be used as an index, whoever reads it; risk refuses the order
        order.pending_qty = instrument
        order.seen = _NO_INSTRUMENT
    return order_id


@kernel
def order_reserve(
    orders: int, strategy: int, instrument: int, side: int, price: int, qty: int, order_type: int, tif: int,
    flags: int, stop_price: int, expire_s: int, now: int,
) -> int:  # fmt: skip
    """Write an intent. Nothing is checked here: risk refuses what is wrong, an instrument out of range included.

    Returns
    -------
    int
        Client order id; 0 when the table, or its memory for executions, is full.
    """
    return reserve_order(
        orders, strategy, instrument, side, price, qty, order_type, tif, flags & _OF_STRATEGY, stop_price, expire_s, now
    )


@kernel
def order_reserve_closing(
    orders: int, strategy: int, instrument: int, side: int, price: int, qty: int, order_type: int, tif: int, now: int
) -> int:
    """Write the intent of an order with which the engine itself closes a position: exempt from rates and breakers.

    Strategies reach `order_reserve` alone, so none can claim the exemption. It is always reduce-only.
    """
    return reserve_order(orders, strategy, instrument, side, price, qty, order_type, tif, _CLOSING, 0, 0, now)


# --- through risk, and asking for changes -----------------------------------------------------------------------------


@kernel
def order_release(orders: int, order_id: int, now: int) -> bool:
    """Risk has passed the intent: it is PENDING_NEW and counts as exposure. False if it is no intent."""
    slot = order_find(orders, order_id)
    if slot < 0:
        return False
    root = orders_at(orders)
    order = order_at(root.orders_address, slot)
    if order.state != INTENT or order.seen != 0:
        return False
    count_intent(orders, order, -1)
    order.state = PENDING_NEW
    order.pending = _NEW
    order.released = 1
    order.ts_sent = now
    order.ts_last = now
    count_open(orders, order, 1)
    count_released(orders, order.strategy, 1)
    if rests(order):
        widen_own_best(orders, order.instrument, order.side, order.price)
    root.released += 1
    return True


@kernel
def order_refuse(orders: int, order_id: int, now: int) -> bool:
    """Risk has refused the intent: it is REJECTED and was never sent. False if it is no intent."""
    slot = order_find(orders, order_id)
    if slot < 0:
        return False
    root = orders_at(orders)
    order = order_at(root.orders_address, slot)
    if order.state != INTENT:
        return False
    if order.seen & _NO_INSTRUMENT == 0:
        count_intent(orders, order, -1)
    order.cancelled_qty = order.qty
    order.seen = order.seen | _SEEN_REJECTED
    end_order(orders, slot, REJECTED, now)
    return True


@kernel
def request_allowed(orders: int, order_id: int) -> int:
    """Whether a cancel may be sent (an OrderRequest)."""
    slot = order_find(orders, order_id)
    if slot < 0:
        return _UNKNOWN_ORDER
    order = order_record(orders, slot)
    if order.state >= FILLED:
        return _NOT_OPEN
    if order.state == INTENT:
        return _NOT_SENT
    return _CANCEL_PENDING if order.pending & _CANCEL != 0 else _OK


@kernel
def replace_allowed(orders: int, order_id: int, qty: int) -> int:
    """Whether a replace to a new total quantity may be sent (an OrderRequest): one at a time, not during a cancel."""
    code = request_allowed(orders, order_id)
    if code != _OK:
        return code
    order = order_record(orders, order_id & SLOT_MASK)
    if order.pending & _UNKNOWN != 0:
        return _OUTCOME_UNKNOWN
    if order.pending & _REPLACE != 0:
        return _REPLACE_PENDING
    if order.seen & _SEEN_GONE != 0:
        return _NOT_OPEN
    return _BAD_QUANTITY if qty <= order.filled_qty + order.busted_qty else _OK


@kernel
def order_cancel_sent(orders: int, order_id: int, now: int) -> int:
    """Note that a cancel goes out; gives an OrderRequest, and does nothing unless it is OK (0)."""
    code = request_allowed(orders, order_id)
    if code == _OK:
        order = order_record(orders, order_id & SLOT_MASK)
        count_open(orders, order, -1)
        order.pending = order.pending | _CANCEL
        order.state = open_state(order)
        order.ts_last = now
        count_open(orders, order, 1)
    return code


@kernel
def order_replace_sent(orders: int, order_id: int, price: int, qty: int, now: int) -> int:
    """Note that a replace goes out, `qty` the new total; gives an OrderRequest, does nothing unless it is OK (0)."""
    code = replace_allowed(orders, order_id, qty)
    if code == _OK:
        order = order_record(orders, order_id & SLOT_MASK)
        count_open(orders, order, -1)
        order.pending = order.pending | _REPLACE
        order.pending_price = price
        order.pending_qty = qty
        order.state = open_state(order)
        order.ts_last = now
        count_open(orders, order, 1)
        if rests(order):
            widen_own_best(orders, order.instrument, order.side, price)
    return code


# --- the table --------------------------------------------------------------------------------------------------------


class OrderTable:
    """The order table of a run, laid out in an arena.

    Parameters
    ----------
    arena : Arena
    strategies : int
        Number of strategies, 1 or more.
    instruments : InstrumentTable
        Bound into the arena as region `instruments` if it is not yet.
    capacity : int
        Slots, 16 to 2**20; one is never used.
    executions : int, optional
        Fills that can be remembered at once; twice the slots by default. New orders stop while fewer are free than
        orders are open.
    quarantine_ns, quarantine_orders : int
        How long an ended order is kept for late reports: until it ended that long ago, or that many others have ended
        since, whichever is first. The count is at most half the slots.
    adoptions : int
        Orders found at the venue that are remembered, so that none is taken in twice.
    name : str
        Prefix of the regions.

    Attributes
    ----------
    address : int
        Of the root record, for kernels.
    """

    def __init__(
        self,
        arena: Arena,
        strategies: int,
        instruments: InstrumentTable,
        capacity: int = MAX_ORDERS,
        executions: int = 0,
        quarantine_ns: int = 60_000_000_000,
        quarantine_orders: int = 65_536,
        adoptions: int = 4_096,
        name: str = "orders",
    ) -> None:
        if not 16 <= capacity <= MAX_ORDERS:
            raise ValueError(f"order table: expected a capacity of 16 to {MAX_ORDERS} orders, found {capacity}")
        if not 1 <= strategies < 65_535:
            raise ValueError(f"order table: expected 1 to 65534 strategies, found {strategies}")
        executions = executions or 2 * capacity
        ring = 1 << (capacity - 1).bit_length()
        pairs = max(1, len(instruments))
        self._root = arena.region(f"{name}.root", ORDERS, 1)
        root = self._root.view[0]
        self.address = self._root.address

        def counter(field: str) -> int:
            assert ORDERS.fields is not None
            return self.address + int(ORDERS.fields[field][1])

        self.orders: Region = arena.region(f"{name}.orders", ORDER, capacity, counter("used"))
        self.executions: Region = arena.region(
            f"{name}.executions", EXECUTION, executions + 1, counter("executions_used")
        )
        self.aggregates: Region = arena.region(f"{name}.aggregates", AGGREGATE, (strategies + 1) * pairs)
        best = arena.region(f"{name}.own_best", OWN_BEST, pairs)
        counts = arena.region(f"{name}.counts", "<i8", strategies + 1)
        quarantine = arena.region(f"{name}.quarantine", "<i4", ring)
        ring_of_adoptions = 1 << max(3, (adoptions - 1).bit_length())
        self.adoptions: Region = arena.region(f"{name}.adoptions", ADOPTION, ring_of_adoptions)
        buckets = arena.region(f"{name}.adoption_buckets", "<i8", ring_of_adoptions)
        bound = arena["instruments"] if "instruments" in arena else instruments.bind(arena)
        root["adoptions_address"], root["adoption_buckets_address"] = self.adoptions.address, buckets.address
        root["adoption_mask"] = ring_of_adoptions - 1
        root["orders_address"] = self.orders.address
        root["executions_address"] = self.executions.address
        root["aggregates_address"] = self.aggregates.address
        root["own_best_address"] = best.address
        root["counts_address"] = counts.address
        root["quarantine_address"] = quarantine.address
        root["instruments_address"] = bound.address
        root["strategies"], root["instruments"] = strategies, len(instruments)
        root["capacity"], root["used"] = capacity, 1
        root["execution_capacity"] = root["executions_free"] = executions
        root["executions_used"] = 1
        root["quarantine_mask"] = ring - 1
        root["quarantine_ns"] = quarantine_ns
        root["quarantine_orders"] = min(quarantine_orders, capacity // 2)

    def adopted(self, key: int) -> int:
        """Client order id of the order that an ADOPTED report with this `id` was about; 0 when none was taken in."""
        rows = self.adoptions.view
        found = rows["order_id"][(rows["key"] == key) & (rows["order_id"] != 0)]
        return int(found[-1]) if len(found) else 0

    @property
    def open(self) -> int:
        """Orders that have not ended, intents included."""
        return int(self._root.view[0]["open_orders"])

    @property
    def used(self) -> int:
        """Slots ever used, the one that never is included."""
        return int(self._root.view[0]["used"])
