"""The two records everything is made of: `event` in, `command` out. 64 bytes each, one cache line, little-endian.

The last eight bytes (instrument, venue, kind, side, flags) lie alike in both, so one journal holds both and `kind`
tells them apart: kinds 1-31 are market data, 32-63 private reports, 64-95 what the run itself does, 128-143 commands.

    event    0 ts_venue  8 ts_recv    16 seq  24 price  32 qty  40 id  48 word
    command  0 ts        8 stop_price 16 seq  24 price  32 qty  40 id  48 order_type 49 tif 50 strategy 52 expire_s
    both    56 instrument 60 venue 61 kind 62 side 63 flags

What `price`, `qty`, `id` and `word` mean for a kind is said beside the kind. Prices and quantities are integers at
the instrument's scale, times int64 nanoseconds UTC. All 64-bit fields are signed: Numba turns mixed signs into floats.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

import numpy as np

from nanotick.core.memory import record_at

EVENT = np.dtype(
    [
        ("ts_venue", "<i8"),  # ns UTC, the venue's stamp
        ("ts_recv", "<i8"),  # ns UTC, when it arrived here
        ("seq", "<i8"),  # the venue's sequence number; the journal's in a journal
        ("price", "<i8"),  # 10^-price_decimals
        ("qty", "<i8"),  # 10^-qty_decimals
        ("id", "<i8"),  # order or trade id, by kind
        ("word", "<i8"),  # by kind
        ("instrument", "<u4"),
        ("venue", "u1"),
        ("kind", "u1"),
        ("side", "i1"),  # 1 buy/bid, -1 sell/ask, 0 neither
        ("flags", "u1"),
    ]
)
COMMAND = np.dtype(
    [
        ("ts", "<i8"),  # ns UTC, when it was decided
        ("stop_price", "<i8"),
        ("seq", "<i8"),
        ("price", "<i8"),
        ("qty", "<i8"),
        ("id", "<i8"),  # client order id
        ("order_type", "u1"),
        ("tif", "u1"),
        ("strategy", "<u2"),
        ("expire_s", "<u4"),  # seconds UTC, good-till-date only
        ("instrument", "<u4"),
        ("venue", "u1"),
        ("kind", "u1"),
        ("side", "i1"),
        ("flags", "u1"),
    ]
)
RECORD_SIZE = 64
assert EVENT.itemsize == COMMAND.itemsize == RECORD_SIZE

event_at = record_at(EVENT, "Event")
command_at = record_at(COMMAND, "Command")

BUY = 1
SELL = -1
ALL_INSTRUMENTS = 0xFFFF_FFFF  # instrument of a command that means every one
ALL_STRATEGIES = 0xFFFF  # strategy of a command that means every one


class Kind(IntEnum):
    """What a record says."""

    # market data: order by order
    ADD = 1  # id order, price, qty; back of the queue
    MODIFY = 2  # id order, new price and total qty; keeps its place if the price is the same and qty not larger
    REDUCE = 3  # id order, qty taken off it
    DELETE = 4  # id order
    EXECUTE = 5  # id order, qty executed, price of execution, word match number; flags PRINTABLE if it counts in volume
    REPLACE = 6  # id old order, word new order id, price, total qty; back of the queue
    # market data: by price
    LEVEL = 7  # price, qty now resting there in total (0: none), word number of orders or 0; side
    CLEAR = 8  # the book of this instrument (side 0) or one side of it is emptied; a snapshot follows if flags SNAPSHOT
    QUOTE = 9  # best bid price, qty; id best ask price, word best ask qty
    TRADE = 10  # price, qty, id trade; side of the aggressor or 0; word order id if known
    BREAK = 11  # id of the trade that is void
    BAR = 12  # price close, qty volume, id open, word (high - max(open, close)) << 32 | (min(open, close) - low)
    # market data: about the market
    STATUS = 13  # word a TradingStatus, id the reason as 8 ASCII bytes
    IMBALANCE = 14  # auction: price reference, qty paired, word imbalance (side its side), id indicative price
    INSTRUMENT = 15  # directory: the instrument exists today
    SYSTEM = 16  # session of the whole venue: word the venue's event code
    GAP = 17  # seq first missing, word how many: the book is not to be trusted until rebuilt
    MARK = 18  # price mark, word funding rate at 1e-9, id index price
    # private reports: id client order id
    ACCEPTED = 32  # price, qty resting or working; word venue order id
    REJECTED = 33  # word RejectReason
    FILL = 34  # price, qty of this fill; word fee at the value scale (negative: rebate); flags FillReason | MAKER
    CANCELLED = 35  # qty taken off; word CancelReason
    REPLACED = 36  # new price, new total qty
    CANCEL_REJECTED = 37  # cancel or replace refused; word RejectReason
    TRIGGERED = 38  # a stop became active
    EXPIRED = 39  # qty taken off
    UNKNOWN = 40  # the outcome is not known: counts as exposure until settled
    FILL_BUST = 41  # seq of the fill undone, price, qty, word fee as it was
    # what the account holds that is not this session's
    ADOPTED = 42  # an order at the venue: id a number made of its venue order id, word that id as reports carry it,
    # price, qty left, side, seq the strategy that is to own it; flags as `adopted_flags` makes them
    HOLDING = 43  # id the strategy that is to own it, price average, qty signed; flags HoldingFlag
    # what the run adds
    TIMER = 64  # id timer, word strategy
    CONTROL = 65  # word ControlAction, side 0, id argument
    PARAMETER = 66  # id offset in the strategy's record, word value bits, seq strategy
    RISK = 67  # a refusal: word RiskCheck, price found, qty limit, id client order id
    SIGNAL = 68  # written by a strategy: id code, price value bits, word strategy
    SAMPLE = 69  # of a strategy's account: price cash, qty equity, word position, id strategy
    SESSION = 70  # start or end of a run
    # commands
    NEW = 128
    CANCEL = 129
    REPLACE_ORDER = 130
    CANCEL_ALL = 131


class Flag(IntFlag):
    """Flags of market data events."""

    LAST = 1  # the last record of what the venue sent as one: the book is consistent after it
    SNAPSHOT = 2
    VENUE = 4  # takes part in the venue's time order
    LOCAL = 8  # takes part in the order of arrival
    PRINTABLE = 16  # counts in traded volume
    IMPLIED = 32
    AUCTION = 64  # the trade is of an auction (cross)
    HIDDEN = 128  # executed against liquidity that was not displayed


BOTH_SIDES = int(Flag.VENUE | Flag.LOCAL)
MAKER = 0x80  # flag of a FILL: we were resting


class OrderType(IntEnum):
    """How an order meets the book."""

    LIMIT = 0
    MARKET = 1
    STOP = 2
    STOP_LIMIT = 3
    PEG_MID = 4  # matching engine: follows the mid; price is the cap or 0, stop_price a signed offset
    PEG_PRIMARY = 5  # matching engine: follows the best price of its own side; fields as for PEG_MID


class TimeInForce(IntEnum):
    """How long an order lives."""

    GTC = 0
    DAY = 1
    IOC = 2
    FOK = 3
    GTD = 4
    AT_OPEN = 5  # takes part in the opening auction only
    AT_CLOSE = 6  # takes part in the closing auction only


class CommandFlag(IntFlag):
    """Flags of commands."""

    POST_ONLY = 1
    REDUCE_ONLY = 2
    CLOSE_ALL = 4  # sent by the kill switch or a flatten: never refused for rate
    ICEBERG = 8  # stop_price is the displayed quantity
    MIN_QTY = 16  # stop_price is the least quantity of the first execution
    SLIDE = 32  # a post-only order that would take is priced one tick away instead of being refused
    HIDDEN = 64  # not displayed


class ReportFlag(IntFlag):
    """Flags of reports that are no fills."""

    OF_REPLACE = 1  # CANCEL_REJECTED: what was refused is the replace, not the cancel
    STATUS = 2  # ACCEPTED: the venue was asked and says that the order works


class HoldingFlag(IntFlag):
    """Flags of a HOLDING."""

    MARGINED = 1  # not paid for in full (futures, perpetuals): the account's money is worth its profit alone


class FillReason(IntEnum):
    """Why a simulated fill happened. Every fill carries one; live fills carry VENUE."""

    VENUE = 0  # the venue said so
    TOOK_LIQUIDITY = 1  # the order was marketable and took displayed quantity
    QUEUE_REACHED = 2  # the trades at our price used up the quantity ahead of us
    TRADED_THROUGH = 3  # a trade went past our price
    BOOK_CROSSED = 4  # the opposite best price reached or passed ours
    QUEUE_HEAD_EXECUTED = 5  # order by order: an execution reached us in the queue
    BEST_LEFT = 6  # the best price of our side moved behind us after we were first in the queue
    AUCTION = 7


class CancelReason(IntEnum):
    """Why an order is gone without being filled."""

    USER = 0
    IOC_REST = 1
    FOK_UNFILLED = 2
    DAY_END = 3
    GTD_EXPIRED = 4
    POST_ONLY_WOULD_CROSS = 5
    SELF_TRADE = 6
    NO_LIQUIDITY = 7
    HALTED = 8
    VENUE = 9
    REDUCE_ONLY = 10  # nothing left that the order could take off the position
    PRICE_BAND = 11  # what was left could only trade outside the price band
    MIN_QTY = 12  # less than the order's minimum was there
    AUCTION_OVER = 13  # the auction the order was for has been held
    REPLACED_AWAY = 14  # a replace left no quantity


class RejectReason(IntEnum):
    """Why the venue did not take a command."""

    NONE = 0
    UNKNOWN_ORDER = 1
    POST_ONLY_WOULD_CROSS = 2
    INVALID_PRICE = 3
    INVALID_QUANTITY = 4
    MARKET_CLOSED = 5
    NO_LIQUIDITY = 6
    DUPLICATE_ID = 7
    TOO_LATE = 8
    OTHER = 9
    REDUCE_ONLY = 10
    UNKNOWN_INSTRUMENT = 11
    UNKNOWN_PARTICIPANT = 12
    INVALID_ID = 13  # a client order id is 1 to 2^44 - 1
    UNSUPPORTED = 14  # this type, time in force, side or combination of flags does not exist here, or not in this phase
    HALTED = 15
    LIMIT_REACHED = 16  # of the participant: open orders, quantity of an order, value of an order
    BLOCKED = 17  # the participant may not enter orders
    BOOK_FULL = 18


def adopted_flags(order_type: OrderType, tif: TimeInForce) -> int:
    """Flags of an ADOPTED report: the type in the lowest three bits, the time in force in the next three.

    The price of a STOP is its stop price, that of a STOP_LIMIT its limit.
    """
    return int(order_type) | int(tif) << 3


class TradingStatus(IntEnum):
    """Trading state of an instrument."""

    UNKNOWN = 0
    TRADING = 1
    HALTED = 2
    PAUSED = 3
    QUOTE_ONLY = 4
    PRE_OPEN = 5
    AUCTION = 6
    CLOSED = 7


class ControlAction(IntEnum):
    """Operator commands in the log."""

    KILL = 1  # id the reason, 1 or more: cancels all orders, and none passes until RESUME
    RESUME = 2
    PAUSE_STRATEGY = 3  # id strategy
    RESUME_STRATEGY = 4  # id strategy
    FLATTEN = 5  # id strategy or ALL_STRATEGIES, instrument or ALL_INSTRUMENTS: cancels, then closes positions
    CANCEL_EVERYTHING = 6  # id strategy or ALL_STRATEGIES, instrument or ALL_INSTRUMENTS


class KillReason(IntEnum):
    """Why everything was stopped: `id` of a KILL."""

    COMMAND = 1  # `nanotick kill`, or a program in this process
    KEY = 2
    FILE = 3  # the watched file is there
    SIGNAL = 4
    API = 5
    DEAD_MAN = 6  # no sign of life from the operator
    LOSS = 7  # a loss limit of the account
    LOST_FEED = 8  # no market data
    JOURNAL = 9  # what happens can no longer be recorded
    LATCH = 10  # killed before, and nobody has lifted it
    LOST_GATEWAY = 11  # nothing takes the commands any more
    ENGINE = 12  # a step does not end
