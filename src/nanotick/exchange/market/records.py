"""Layouts of the matching engine: its root, one market an instrument, what the book does not say of an order.

    exchange ── book                     BookStore: PARTS books an instrument, see `Part`
             ── orders[book slot]        64 B: owner, public reference, reserve, type, links
             ── markets[instrument]      phase, rules, counts, last trade, published quote
             ── participants[number]     firm, self-trade prevention, limits, list of their orders
             ── feed, reports            the public and the private ring, with report_owners beside the reports
             ── trades[number & mask]    the last trades, for busts and corrections
             ── expiries                 heap of good-till-date orders by time
             ── taker                    the order being worked: what every kernel of a command shares

The book of part p of instrument i is book `p * instruments + i` of the store, so displayed orders lie under the
instrument's own number. Inside a book an order is indexed by participant and client id (`resting.order_key`); the
public sees only its *reference*, a number in sequence over the exchange. Prices are compared as *ranks*, side * price,
as in the book.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

import numpy as np

from nanotick.core.memory import record_at

CLIENT_BITS = 44
CLIENT_MASK = (1 << CLIENT_BITS) - 1
NEVER = 1 << 62  # a time that does not come
CALLED = -1  # auction_end of a market that an execution outside its band has just stopped
MARKET_RANK = (1 << 62) - 1  # limit of an order without one: meets every price
QTY_LIMIT = 1 << 50  # quantities and prices of commands stay below: sums and ranks cannot overflow
ALL_INSTRUMENTS = 0xFFFF_FFFF  # CANCEL_ALL: every instrument
AHEAD_PLACES = 32  # commands a batch may look ahead
ALL_PARTICIPANTS = 0xFFFF  # CANCEL_ALL: every participant (an operator's command)


class Part(IntEnum):
    """The books of one instrument."""

    LIT = 0  # displayed
    HIDDEN = 1  # not displayed: hidden orders and pegs
    STOPS = 2  # waiting stops by stop price: sells on the bid side, buys on the ask side
    CALL = 3  # of the auction under way: market orders, at-the-open orders
    CLOSE = 4  # at-the-close orders


PARTS = 5
LIT, HIDDEN, STOPS, CALL, CLOSE = (int(p) for p in Part)


class Phase(IntEnum):
    """Trading phase of an instrument."""

    CONTINUOUS = 0
    PRE_OPEN = 1  # orders are collected, nothing matches
    OPENING_AUCTION = 2
    VOLATILITY_AUCTION = 3
    CLOSING_AUCTION = 4
    HALTED = 5  # cancels only
    CLOSED = 6  # cancels only


class SelfTrade(IntEnum):
    """What happens when an order meets one of its own firm; the setting of the incoming order's participant decides."""

    NONE = 0  # they trade
    CANCEL_NEWEST = 1  # what is left of the incoming order is cancelled
    CANCEL_OLDEST = 2  # the resting order is cancelled
    CANCEL_BOTH = 3
    DECREMENT = 4  # both lose the smaller quantity, without a trade


class Allocation(IntEnum):
    """How a level is shared among its orders."""

    PRICE_TIME = 0
    PRO_RATA = 1  # in proportion to displayed quantity, the rest by time


class Feeds(IntFlag):
    """What an instrument publishes."""

    ORDERS = 1  # order by order
    LEVELS = 2  # by price
    QUOTES = 4  # best bid and offer
    TRADES = 8  # TRADE for displayed executions too; implied where ORDERS is not published


class ExchangeStatus(IntFlag):
    """What made the exchange unable to go on; sticky in `EXCHANGE.status`."""

    OK = 0
    FEED_FULL = 1
    REPORTS_FULL = 2
    EXPIRIES_FULL = 4
    INCONSISTENT = 8  # a kernel met what cannot be


class Watch(IntFlag):
    """What must be looked after when a command has changed a market."""

    QUOTES = 1
    PEGS = 2
    STOPS = 4
    BANDS = 8


EXCHANGE = np.dtype(
    [
        ("book_address", "<i8"),
        ("instruments_address", "<i8"),  # core INSTRUMENT table
        ("markets_address", "<i8"),
        ("orders_address", "<i8"),  # MARKET_ORDER by book slot
        ("participants_address", "<i8"),
        ("feed_address", "<i8"),  # EVENT ring
        ("reports_address", "<i8"),  # EVENT ring
        ("report_owners_address", "<i8"),  # int32 beside it: participant
        ("taker_address", "<i8"),
        ("trades_address", "<i8"),
        ("expiries_address", "<i8"),
        ("expire_times_address", "<i8"),  # int64 by book slot: when a good-till-date order ends
        ("auction_address", "<i8"),  # AUCTION_ROW scratch
        ("schedule_address", "<i8"),  # SCHEDULE rows in order of time
        ("ahead_address", "<i8"),  # int64 scratch of a batch: places, then slots, of the commands ahead
        ("instruments", "<i8"),
        ("participants", "<i8"),
        ("feed_first", "<i8"),  # sequence number of the oldest unread event; consumers move it
        ("feed_end", "<i8"),
        ("feed_mask", "<i8"),
        ("report_first", "<i8"),
        ("report_end", "<i8"),
        ("report_mask", "<i8"),
        ("status", "<i8"),  # ExchangeStatus, sticky
        ("next_deadline", "<i8"),  # ns: nothing to do for `exchange_clock` before it
        ("references", "<i8"),  # last public order reference given
        ("trades", "<i8"),  # last trade (match) number given
        ("trade_mask", "<i8"),
        ("expiries", "<i8"),  # entries of the heap
        ("expiry_capacity", "<i8"),
        ("market_deadline", "<i8"),  # ns: no clock of a market is due before it
        ("schedule_next", "<i8"),
        ("schedule_end", "<i8"),
        ("auction_capacity", "<i8"),
        ("auction_price", "<i8"),  # what the auction last looked at would do
        ("auction_volume", "<i8"),
        ("auction_surplus", "<i8"),  # buys less sells
        ("refused", "<i8"),  # commands refused
        ("commands", "<i8"),  # commands worked
    ],
    align=True,
)
MARKET = np.dtype(
    [
        # first cache line: what says that a market is plain (see `plain`), asked on every command
        ("phase", "<i4"),  # Phase
        ("watch", "<i4"),  # Watch
        ("hidden", "<i4"),  # orders in part HIDDEN
        ("stops", "<i4"),
        ("calls", "<i4"),
        ("closes", "<i4"),
        ("feeds", "<i4"),  # Feeds
        ("venue", "<i4"),
        ("band_high", "<i8"),  # price band of executions, price units; 0 and 0: none
        ("notional", "<i8"),  # min_notional, value units
        ("tick", "<i8"),  # price units
        ("lot", "<i8"),  # quantity units
        # second
        ("min_qty", "<i8"),
        ("max_qty", "<i8"),  # largest order, quantity units
        ("price_low", "<i8"),  # limits of an order's price, inclusive, price units
        ("price_high", "<i8"),
        ("last_price", "<i8"),  # of the last trade, 0: none
        ("allocation", "<i4"),  # Allocation
        ("icebergs", "<i4"),  # orders with a reserve
        ("pegs", "<i4"),
        ("peg_first", "<i4"),  # slot of the peg that arrived first; list through MARKET_ORDER.reserve and .display
        ("peg_last", "<i4"),
        ("band_low", "<i8"),  # see band_high
        ("reference", "<i8"),  # reference price of bands and auctions, 0: none
        ("quote_bid", "<i8"),  # as last published
        ("quote_bid_qty", "<i8"),
        ("quote_ask", "<i8"),
        ("quote_ask_qty", "<i8"),
        ("volume", "<i8"),  # traded today
        ("band_rate", "<i8"),  # half width of the band, 1e-9 of the reference; 0: no bands
        ("band_action", "<i8"),  # 0: limit state, then a pause; 1: volatility auction at once
        ("limit_since", "<i8"),  # ns, since when the book is in a limit state; NEVER: it is not
        ("limit_ns", "<i8"),  # how long a limit state lasts before the pause
        ("auction_ns", "<i8"),  # length of a volatility auction
        ("auction_end", "<i8"),  # ns; NEVER: no auction that ends by itself; CALLED
        ("indicative_ns", "<i8"),  # between two IMBALANCE events of an auction, 0: none
        ("indicative_next", "<i8"),
        ("window_ns", "<i8"),  # of the mean that is the reference, 0: the last auction or trade
        ("window_sum", "<i8", (10,)),  # price sums of tenths of the window
        ("window_count", "<i8", (10,)),
        ("window_slot", "<i8"),  # number of the newest tenth
        ("reference_step", "<i8"),  # 1e-9: the reference moves only if the mean differs by so much
        ("auction_rule", "<i8"),  # 0: surplus, pressure, reference; 1: surplus, reference
        ("pad", "<i8"),  # to whole cache lines
    ],
    align=True,
)
MARKET_ORDER = np.dtype(
    [
        ("ref", "<i8"),  # public reference
        ("price", "<i8"),  # limit; of a peg its cap, 0: none
        ("stop", "<i8"),  # stop price, peg offset, minimum quantity
        ("reserve", "<i8"),  # quantity not displayed yet; of a peg the slot of the next peg
        ("display", "<i8"),  # quantity shown at a time, 0: all; of a peg the slot of the peg before
        ("filled", "<i8"),  # executed so far
        ("next", "<i4"),  # orders of the participant
        ("prev", "<i4"),
        ("participant", "<u2"),
        ("order_type", "u1"),
        ("tif", "u1"),
        ("flags", "u1"),  # CommandFlag
        ("part", "u1"),  # Part
        ("pad", "<u2"),
    ],
    align=True,
)
PARTICIPANT = np.dtype(
    [
        ("first", "<i4"),  # newest of its orders
        ("orders", "<i4"),  # open
        ("firm", "<i4"),
        ("self_trade", "<i4"),  # SelfTrade
        ("max_orders", "<i4"),
        ("blocked", "<i4"),  # 1: new orders and replaces are refused
        ("max_qty", "<i8"),  # of an order
        ("max_value", "<i8"),  # of an order, value units, 0: no limit
        ("fees_address", "<i8"),  # FEES, 0: none
        ("positions_address", "<i8"),  # int64 an instrument, 0: not kept
        ("session", "<i8"),  # free for whoever runs the exchange
    ],
    align=True,
)
TAKER = np.dtype(
    [
        ("rank", "<i8"),  # limit as rank, MARKET_RANK: none
        ("leaves", "<i8"),
        ("id", "<i8"),  # client order id
        ("ref", "<i8"),
        ("price", "<i8"),
        ("stop", "<i8"),
        ("filled", "<i8"),
        ("display", "<i8"),
        ("instrument", "<i8"),
        ("side", "<i8"),
        ("participant", "<i8"),
        ("self_trade", "<i8"),
        ("firm", "<i8"),
        ("order_type", "<i8"),
        ("tif", "<i8"),
        ("flags", "<i8"),
        ("stopped", "<i8"),  # CancelReason + 1 that ended its work, 0: none
        ("expire", "<i8"),  # ns
    ],
    align=True,
)
TRADE_ROW = np.dtype(
    [
        ("number", "<i8"),
        ("price", "<i8"),
        ("qty", "<i8"),
        ("taker_id", "<i8"),
        ("maker_id", "<i8"),
        ("taker_seq", "<i8"),  # of its FILL report
        ("maker_seq", "<i8"),
        ("taker_fee", "<i8"),
        ("maker_fee", "<i8"),
        ("instrument", "<u4"),
        ("taker", "<u2"),  # participants
        ("maker", "<u2"),
        ("side", "i1"),  # of the taker
        ("busted", "u1"),
        ("auction", "u1"),
        ("pad", "u1", (5,)),
    ],
    align=True,
)
EXPIRY = np.dtype([("ts", "<i8"), ("slot", "<i8")])
AUCTION_ROW = np.dtype([("rank", "<i8"), ("qty", "<i8")])  # qty at this rank and better
SCHEDULE = np.dtype([("ts", "<i8"), ("instrument", "<i8"), ("phase", "<i8")])

exchange_at = record_at(EXCHANGE, "Exchange")
market_at = record_at(MARKET, "Market")
market_order_at = record_at(MARKET_ORDER, "MarketOrder")
participant_at = record_at(PARTICIPANT, "Participant")
taker_at = record_at(TAKER, "Taker")
trade_row_at = record_at(TRADE_ROW, "TradeRow")
expiry_at = record_at(EXPIRY, "Expiry")
auction_row_at = record_at(AUCTION_ROW, "AuctionRow")
schedule_at = record_at(SCHEDULE, "Schedule")

assert MARKET_ORDER.itemsize == PARTICIPANT.itemsize == 64
assert MARKET.itemsize % 64 == 0
MARKET_BYTES = MARKET.itemsize
