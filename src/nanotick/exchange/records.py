"""Layouts of the replay exchange: its root, one market an instrument, our orders, and what the models share.

    venue ── markets[instrument]   what we have working there, sorted lists of our orders, halt, last trade
          ── orders[id & ORDER_SLOT_MASK]   our orders, reached by the low bits of the client order id
          ── profiles[..]          the models of one exchange: queue, latency paths, fees, impact, options
          ── book                  the venue's own BookStore: the recorded book as the venue sees it
          ── arrivals[book slot]   when a recorded order joined its queue, kept only while we rest in the same queue
          ── depletions            displayed quantity that we have taken and the recording has not refreshed
          ── reports, commands     the two queues between venue and local side

Prices are compared as *ranks*, side * price: the better price of either side has the higher rank, and an order meets a
level of the other side when the sum of their ranks is not negative. Lists are sorted by rank, then by arrival.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

import numpy as np

from nanotick.core.memory import record_at
from nanotick.core.records import ALL_INSTRUMENTS as ALL_INSTRUMENTS
from nanotick.core.records import ALL_STRATEGIES as ALL_STRATEGIES

ORDER_SLOT_BITS = 20
ORDER_SLOT_MASK = (1 << ORDER_SLOT_BITS) - 1
NEVER = 1 << 62  # a time that does not come
UNKNOWN_FRONT = float(1 << 61)  # the queue at our price is not visible: its length is taken when it is
NO_SLOT = -1
HALT, IN_GAP = 1, 2  # why a market is blocked
BUST_MEMORY = 1 << 12  # fills by recorded trades that a BREAK can still undo; a power of two


class VenueStatus(IntFlag):
    """What went wrong in the venue; sticky in `VENUE.status`, and returned negative by the call that met it."""

    OK = 0
    REPORTS_FULL = 1  # a report was lost: the run cannot go on
    COMMANDS_FULL = 2  # the command was not taken
    DEPLETIONS_FULL = 4  # a taking order stopped early because what it takes could not be remembered
    BOOK_FULL = 8  # the venue's book could not hold an event
    BAD_INSTRUMENT = 16  # an event or command names an instrument this venue does not have


REPORTS_FULL = int(VenueStatus.REPORTS_FULL)
COMMANDS_FULL = int(VenueStatus.COMMANDS_FULL)
DEPLETIONS_FULL = int(VenueStatus.DEPLETIONS_FULL)
BOOK_FULL = int(VenueStatus.BOOK_FULL)
BAD_INSTRUMENT = int(VenueStatus.BAD_INSTRUMENT)


class OwnState(IntEnum):
    """Where one of our orders is at the venue."""

    GONE = 0
    RESTING = 1
    WAITING = 2  # a stop that is not triggered
    ARRIVING = 3  # being worked, in no list


GONE, RESTING, WAITING, ARRIVING = (int(s) for s in OwnState)

VENUE = np.dtype(
    [
        ("book_address", "<i8"),
        ("instruments_address", "<i8"),  # core INSTRUMENT table
        ("markets_address", "<i8"),
        ("orders_address", "<i8"),
        ("arrivals_address", "<i8"),  # int64 a book order slot
        ("depletions_address", "<i8"),
        ("reports_address", "<i8"),
        ("commands_address", "<i8"),
        ("command_times_address", "<i8"),  # int64 arrival time a command of the queue
        ("change_address", "<i8"),  # MODEL_CHANGE, scratch of calls to a user's models
        ("trace_address", "<i8"),  # QUEUE_TRACE
        ("next_expiry", "<i8"),  # ns, no order of ours expires before it
        ("instruments", "<i8"),
        ("order_capacity", "<i8"),
        ("order_used", "<i8"),  # slots ever used, high water
        ("status", "<i8"),  # VenueStatus, sticky
        ("arrival", "<i8"),  # number of the last joining of a queue
        ("orders_seen", "<i8"),  # venue order ids given
        ("executions", "<i8"),  # fills given
        ("report_mask", "<i8"),
        ("report_first", "<i8"),  # sequence number of the queue's head
        ("report_end", "<i8"),
        ("command_mask", "<i8"),
        ("command_first", "<i8"),
        ("command_end", "<i8"),
        ("depletion_capacity", "<i8"),
        ("depletion_used", "<i8"),  # high water; slot 0 is none
        ("depletion_free", "<i8"),
        ("trace_capacity", "<i8"),
        ("trace_count", "<i8"),
        ("trace_lost", "<i8"),  # rows that found the trace full
        ("live", "<i8"),  # our orders resting or waiting
        ("depleted", "<i8"),  # levels remembered as taken from
        ("trade_id", "<i8"),  # number of the recorded trade being worked, 0: none
        ("trade_fills_address", "<i8"),  # TRADE_FILL, a ring
        ("trade_fills", "<i8"),  # ever written
    ],
    align=True,
)
MARKET = np.dtype(
    [
        ("watch", "<i8"),  # own orders, stops and depletions here; 0: an event only moves the book
        ("profile_address", "<i8"),
        ("instrument_address", "<i8"),
        ("by_order", "<i4"),  # 1: order-by-order rows have come
        ("by_level", "<i4"),  # 1: LEVEL rows have come
        ("by_quote", "<i4"),  # 1: QUOTE rows have come
        ("executes", "<i4"),  # 1: EXECUTE rows have come, so TRADE rows are not the same executions again
        ("blocked", "<i4"),  # not 0: no matching; bits HALT (halt, pause, auction, closed) and IN_GAP
        ("closed", "<i4"),  # 1: no orders are taken
        ("gap", "<i4"),  # book.gap
        ("pad", "<i4"),
        ("head", "<i4", (2,)),  # best own order + 1 of a side (0 buy, 1 sell)
        ("filter", "<i8", (2,)),  # bit a hashed price at which we rest
        ("best", "<i8", (2,)),  # rank of the best own order, -NEVER: none
        ("stops", "<i4"),  # first waiting stop + 1
        ("own", "<i4"),  # own orders resting
        ("depleted", "<i4", (2,)),  # first depletion of a side of the book
        ("last_trade", "<i8"),  # price, 0: none yet
        ("position", "<i8"),  # our net fills here, quantity units
        ("impact_shift", "<f8"),  # ticks, what our taking has left behind, at impact_ts
        ("impact_ts", "<i8"),
        ("scale", "<f8"),  # 10^-qty_decimals
        ("first", "<i4", (128,)),  # for each side and bit of the filter, the first order of the list that set it, + 1
    ],
    align=True,
)
OWN_ORDER = np.dtype(
    [
        ("id", "<i8"),  # client order id
        ("price", "<i8"),
        ("leaves", "<i8"),  # quantity still working
        ("front", "<f8"),  # quantity ahead of us as the queue model estimates it
        ("ahead", "<i8"),  # quantity ahead of us, exact (order-by-order data)
        ("join", "<i8"),  # arrival number at which we joined the queue
        ("next", "<i4"),  # slot + 1
        ("prev", "<i4"),
        ("side", "i1"),
        ("order_type", "u1"),
        ("tif", "u1"),
        ("flags", "u1"),
        ("state", "u1"),  # OwnState
        ("pad", "u1", (3,)),
        ("qty", "<i8"),  # total
        ("stop_price", "<i8"),
        ("traded", "<i8"),  # traded at our price since the level's quantity was last told
        ("rebuild", "<i8"),  # what was ahead when the recording cleared the book; -1: nothing to rebuild
        ("expire", "<i8"),  # ns, NEVER: good till cancelled
        ("accepted_ts", "<i8"),
        ("ahead_start", "<i8"),  # quantity ahead when it first rested, -1: unknown, -2: has not rested
        ("venue_id", "<i8"),
        ("memo_int", "<i8"),  # for a user's queue model
        ("memo_float", "<f8"),
        ("instrument", "<u4"),
        ("strategy", "<u4"),
        ("pad2", "<i8", (5,)),
    ],
    align=True,
)
PROFILE = np.dtype(
    [
        ("queue_address", "<i8"),
        ("entry_address", "<i8"),  # LATENCY_PATH of commands
        ("response_address", "<i8"),
        ("feed_address", "<i8"),
        ("fees_address", "<i8"),
        ("impact_address", "<i8"),
        ("exact_queue", "<i8"),  # 1: order-by-order data keeps the exact queue, 0: it is read as price levels
        ("whole_fills", "<i8"),  # 1: a resting order that is reached is filled whole
        ("displayed_cross", "<i8"),  # 1: a crossing book fills us with its displayed quantity only
        ("best_left_fills", "<i8"),
        ("depletion", "<i8"),
        ("post_only_slide", "<i8"),
        ("stop_on_quote", "<i8"),  # 1: stops follow the opposite best price, 0: trades
        ("ignore_gaps", "<i8"),  # 1: a gap in the recording changes nothing
        ("zone_address", "<i8"),  # ZONE rows of the session's clock, 0: UTC
        ("session_close", "<i8"),  # ns after midnight, -1: DAY orders end when the instrument closes
    ],
    align=True,
)
TRADE_FILL = np.dtype(
    [
        ("trade", "<i8"),  # number of the recorded trade, 0: undone
        ("id", "<i8"),  # client order id
        ("seq", "<i8"),  # execution
        ("price", "<i8"),
        ("qty", "<i8"),
        ("fee", "<i8"),
        ("instrument", "<u4"),
        ("side", "<i4"),
    ],
    align=True,
)
DEPLETION = np.dtype([("price", "<i8"), ("taken", "<i8"), ("next", "<i8")], align=True)

# What a user's model is told. One record serves all four protocols; each says which fields it gets.
MODEL_CHANGE = np.dtype(
    [
        ("self_address", "<i8"),
        ("ts", "<i8"),  # ns, venue time (latency: when the message leaves)
        ("price", "<i8"),
        ("qty", "<i8"),  # quantity of the fill, the trade or the take
        ("reached", "<i8"),  # of a trade: what is left of it after our own orders ahead
        ("prev_qty", "<i8"),  # of the level
        ("new_qty", "<i8"),
        ("lot", "<i8"),
        ("tick", "<i8"),
        ("value", "<i8"),  # value units
        ("value_unit", "<i8"),  # value units in one unit of the currency
        ("scale", "<f8"),  # 10^-qty_decimals: qty * scale is the quantity as people write it
        ("side", "<i8"),
        ("maker", "<i8"),
        ("path", "<i8"),  # 0 order entry, 1 response, 2 feed
        ("draw", "<i8"),  # number of this draw on its path
    ],
    align=True,
)
QUEUE_TRACE = np.dtype(
    [
        ("id", "<i8"),
        ("ts", "<i8"),  # ns UTC, venue time of acceptance
        ("ahead_start", "<i8"),  # quantity units before us when accepted
        ("ahead_end", "<i8"),  # when filled or gone, -1 unknown
        ("distance_ticks", "<i8"),  # from our side's best price when it ended, 0: at the touch, negative: better
    ]
)

venue_at = record_at(VENUE, "Venue")
market_at = record_at(MARKET, "Market")
own_at = record_at(OWN_ORDER, "OwnOrder")
profile_at = record_at(PROFILE, "VenueProfile")
trade_fill_at = record_at(TRADE_FILL, "TradeFill")
depletion_at = record_at(DEPLETION, "Depletion")
change_at = record_at(MODEL_CHANGE, "ModelChange")
trace_at = record_at(QUEUE_TRACE, "QueueTrace")

assert OWN_ORDER.itemsize == 192, OWN_ORDER.itemsize
