"""Records of the order table: what an order is, where it stands, and what a report about it did.

    ORDERS      root: addresses, pools, quarantine
    ORDER       192 bytes an order, found by its client order id in one step
    EXECUTION   one fill booked on an order, newest venue sequence first
    AGGREGATE   one a strategy and instrument, and one an instrument over all strategies: first open order, worst case
    OWN_BEST    one an instrument: a bound on our own best bid and ask, which spares most self-trade walks
    ADOPTION    one an order that was found at the venue, in a ring with a hash

A client order id is `generation << 20 | slot`: the slot finds the record, the generation tells an old id from the
present one, so an id is never given twice in a run. Links are slots or indices, 0 says none.

Quantities of an order always add up: qty = filled_qty + cancelled_qty + busted_qty + what is left, until the venue
contradicts itself (`OrderChange.BREAK`). `state` is derived: from `pending` while anything is left, from how it ended
afterwards.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

import numpy as np

from nanotick.core.memory import record_at
from nanotick.core.records import ReportFlag as ReportFlag

SLOT_BITS = 20
SLOT_MASK = (1 << SLOT_BITS) - 1
MAX_ORDERS = 1 << SLOT_BITS


class OrderState(IntEnum):
    """Where an order stands. WORKING with `filled_qty` above 0 is partially filled."""

    FREE = 0  # no order
    INTENT = 1  # written by a strategy, not yet through risk
    PENDING_NEW = 2  # sent, not answered
    WORKING = 3
    PENDING_CANCEL = 4  # still fills; counts in full until the venue says it is gone
    PENDING_REPLACE = 5  # counts with the larger of the old and the new quantity
    UNKNOWN = 6  # the outcome of a request is not known: counts in full until settled
    FILLED = 7  # this and the following are terminal
    CANCELLED = 8
    REJECTED = 9
    EXPIRED = 10


FREE, INTENT, PENDING_NEW, WORKING = 0, 1, 2, 3
PENDING_CANCEL, PENDING_REPLACE, UNKNOWN = 4, 5, 6
FILLED, CANCELLED, REJECTED, EXPIRED = 7, 8, 9, 10


class Pending(IntFlag):
    """What has been asked of the venue and not been answered."""

    NEW = 1
    CANCEL = 2
    REPLACE = 4
    UNKNOWN = 8


class Seen(IntFlag):
    """What the venue has said of an order."""

    ACCEPTED = 1
    REPLACED = 2
    TRIGGERED = 4
    REJECTED = 8
    CANCELLED = 16
    EXPIRED = 32
    NO_INSTRUMENT = 64  # not by the venue: the intent named none of ours (its number in pending_qty) and is in no list


class OrderRequest(IntEnum):
    """Whether a cancel or replace may be sent."""

    OK = 0
    UNKNOWN_ORDER = 1  # no such id, or its slot serves another order by now
    NOT_OPEN = 2  # it has ended
    NOT_SENT = 3  # it is an intent still
    CANCEL_PENDING = 4  # a cancel is on its way
    REPLACE_PENDING = 5  # a replace is on its way
    BAD_QUANTITY = 6  # the new total is not above what is filled
    OUTCOME_UNKNOWN = 7  # only a cancel may be sent for an order whose state is unknown


class OrderChange(IntFlag):
    """What a report did."""

    NONE = 0
    STATE = 1  # the state is another one
    FILL = 2  # a fill was booked: the portfolio must book it too
    BUST = 4  # a fill was undone: the portfolio must undo it
    ENDED = 8  # the order became terminal by this report
    REPLACED = 16  # price or quantity changed
    REFUSED = 32  # the venue refused the order, a cancel or a replace
    DUPLICATE = 64  # this execution, or this answer, had been booked before: nothing done
    LATE = 128  # about an order that had ended
    BREAK = 256  # contradicts what is known (overfill, bust of no fill, strange id): reconcile with the venue
    UNKNOWN_ORDER = 512  # no such order here, or none that was ever sent: nothing done; always with BREAK
    LOST = 1024  # no memory to remember an execution by: nothing done; always with BREAK


ORDER = np.dtype(
    [
        # what risk and open-order walks read
        ("id", "<i8"),  # client order id
        ("price", "<i8"),  # price units; 0 for market orders
        ("qty", "<i8"),  # total asked for, quantity units
        ("filled_qty", "<i8"),
        ("cancelled_qty", "<i8"),  # taken off by cancel, expiry or rejection
        ("busted_qty", "<i8"),  # filled and undone: it does not come back to the book
        ("next", "<i4"),  # next open order of this strategy and instrument
        ("prev", "<i4"),
        ("instrument", "<u4"),
        ("strategy", "<u2"),
        ("side", "i1"),
        ("state", "u1"),
        # what reports change
        ("pending", "u1"),  # Pending
        ("seen", "u1"),  # Seen
        ("order_type", "u1"),
        ("tif", "u1"),
        ("flags", "u1"),  # CommandFlag
        ("venue", "u1"),
        ("reason", "u1"),  # CancelReason or RejectReason, as the venue gave it
        ("pad", "u1"),
        ("pending_price", "<i8"),  # of the replace on its way
        ("pending_qty", "<i8"),
        ("stop_price", "<i8"),
        ("filled_value", "<i8"),  # value units, at the prices of the fills
        ("fees", "<i8"),  # value units, negative: rebates
        ("ts_decided", "<i8"),  # ns UTC
        ("ts_last", "<i8"),  # ns UTC, when it changed last
        # what is kept for the record
        ("venue_id", "<i8"),
        ("ts_sent", "<i8"),
        ("ts_accepted", "<i8"),  # ns UTC, the venue's stamp
        ("answer_ts", "<i8"),  # venue stamp and sequence of the last answer to a replace
        ("answer_seq", "<i8"),
        ("executions", "<i4"),  # newest execution, index
        ("fills", "<i4"),
        ("expire_s", "<u4"),
        ("released", "<u4"),  # 1 once risk has passed it
        ("cancel_answer", "<i8"),  # stamp and sequence of the last refusal of a cancel, in one number
    ],
    align=True,
)
EXECUTION = np.dtype(
    [
        ("seq", "<i8"),  # execution id: unique among the fills of one order
        ("price", "<i8"),
        ("qty", "<i8"),
        ("fee", "<i8"),
        ("next", "<i4"),  # of lower seq
        ("busted", "<i4"),
    ],
    align=True,
)
AGGREGATE = np.dtype(
    [
        ("first", "<i4"),  # oldest open order, slot; only in the rows of strategies
        ("last", "<i4"),
        ("buys", "<i4"),  # open orders, intents included
        ("sells", "<i4"),
        ("open_buy_qty", "<i8"),  # released: at worst this much may still be bought
        ("open_sell_qty", "<i8"),
        ("pending_buy_qty", "<i8"),  # the part of it that has a request unanswered or unknown
        ("pending_sell_qty", "<i8"),
        ("intent_buy_qty", "<i8"),  # not yet through risk
        ("intent_sell_qty", "<i8"),
    ],
    align=True,
)
OWN_BEST = np.dtype(
    [
        ("bid", "<i8"),  # price units: no resting buy of ours is above it; meaningless without open buys
        ("ask", "<i8"),  # no resting sell of ours is below it
    ]
)
ADOPTION = np.dtype(
    [
        ("key", "<i8"),  # made of the venue's order id
        ("order_id", "<i8"),  # client order id it was given, 0: none yet
        ("before", "<i8"),  # number of the elder adoption of the same bucket, 0: none
        ("pad", "<i8"),
    ]
)
ORDERS = np.dtype(
    [
        ("orders_address", "<i8"),
        ("executions_address", "<i8"),
        ("aggregates_address", "<i8"),
        ("own_best_address", "<i8"),
        ("counts_address", "<i8"),  # i8: released open orders of each strategy, and of all
        ("quarantine_address", "<i8"),  # ring of slots that have ended, in that order
        ("instruments_address", "<i8"),
        ("adoptions_address", "<i8"),
        ("adoption_buckets_address", "<i8"),  # i8: number of the youngest adoption of a bucket
        ("strategies", "<i8"),
        ("instruments", "<i8"),
        ("capacity", "<i8"),  # slots, slot 0 is never used
        ("used", "<i8"),  # slots ever used, slot 0 included
        ("execution_capacity", "<i8"),
        ("executions_used", "<i8"),  # ever used, index 0 included
        ("execution_free", "<i8"),  # head of the free list
        ("executions_free", "<i8"),  # how many are free, never used ones included
        ("quarantine_head", "<i8"),  # count of slots that left
        ("quarantine_tail", "<i8"),  # count of slots that entered
        ("quarantine_mask", "<i8"),  # length of the ring, a power of two, less one
        ("quarantine_ns", "<i8"),
        ("quarantine_orders", "<i8"),
        ("open_orders", "<i8"),  # intents included
        ("reserved", "<i8"),  # orders ever asked for
        ("released", "<i8"),  # orders ever sent
        ("breaks", "<i8"),  # reports that contradicted what is known
        ("adopted", "<i8"),  # orders ever adopted
        ("adoption_mask", "<i8"),
    ],
    align=True,
)
assert ORDER.itemsize == 192 and EXECUTION.itemsize == 40 and AGGREGATE.itemsize == 64

orders_at = record_at(ORDERS, "Orders")
order_at = record_at(ORDER, "Order")
execution_at = record_at(EXECUTION, "Execution")
aggregate_at = record_at(AGGREGATE, "OrderAggregate")
own_best_at = record_at(OWN_BEST, "OwnBest")
adoption_at = record_at(ADOPTION, "Adoption")
