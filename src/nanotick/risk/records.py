"""Records of the risk stage: limits, what guards remember, worst-case exposure.

    RISK     root: addresses of what risk reads, the kill switch, the last refusal
    LIMITS   one a strategy, one for the whole account (the last row), and as many *effective* rows behind them, in
             which the limits on a single order are the stricter of the strategy's and the account's
    GUARD    one a row: breakers, rates, sums of exposure
    PAIR     one a row and instrument: exposure at worst, limits in quantity units
    RECENT   orders passed lately, to find duplicates

Everything is integers: money in micro units (1e-6) of the account currency, shares in parts per million, time in ns.
Only kernels of this package write these records, and only `limits.set_limit` writes a limit. No strategy is given their
address.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from nanotick.core.memory import record_at

UNLIMITED = (1 << 63) - 1
PPM = 1_000_000
SECOND_NS = 1_000_000_000


class RiskCheck(IntEnum):
    """Which check refused. 0: none did."""

    PASS = 0
    KILL_SWITCH = 1  # found: the reason given
    PAUSED = 2  # the strategy is paused
    DAILY_LOSS = 3  # breaker; found loss since the day began, limit
    DRAWDOWN = 4  # breaker; found loss since the peak, limit
    BROKEN_LEDGER = 5  # found: fills whose money did not fit 63 bits
    REQUEST = 6  # found: OrderRequest, or the state of an order that is no intent
    UNKNOWN_INSTRUMENT = 7
    RESTRICTED = 8
    INSTRUMENT_STATUS = 9  # found: TradingStatus, limit TRADING
    INVALID_ORDER = 10  # side, type, time in force or flags make no order
    INVALID_PRICE = 11  # not positive, or given where the type has none
    TICK = 12  # found price, limit tick size
    PRICE_BAND = 13  # found price, limit: the band it lies outside of
    LOT = 14  # found quantity, limit lot size; also a quantity that is not positive
    MIN_QTY = 15  # the venue's
    MAX_QTY = 16  # the venue's
    MAX_ORDER_QTY = 17
    OVERFLOW = 18  # the order's value does not fit 63 bits
    REFERENCE_PRICE = 19  # no price to compare with
    MIN_NOTIONAL = 20
    MAX_ORDER_VALUE = 21
    PRICE_COLLAR = 22  # found price, limit: the bound it lies outside of
    STALE_BOOK = 23  # found age of the last book event, limit
    CROSSED_BOOK = 24  # found best bid, limit best ask
    DUPLICATE = 25  # found age of the equal order, limit window
    DUPLICATE_MEMORY = 26  # more orders in the window than can be remembered
    SELF_TRADE = 27  # found the price of our own resting order, limit this order's
    ORDER_RATE = 28  # per second
    MESSAGE_RATE = 29  # per second
    OPEN_ORDERS = 30
    REDUCE_ONLY = 31  # found quantity, limit what it may reduce
    POSITION_QTY = 32
    POSITION_SHARE = 33
    SYMBOL_SHARE = 34
    GROSS_EXPOSURE = 35
    NET_EXPOSURE = 36
    CASH_RESERVE = 37  # found cash left at worst, limit reserve
    FLATTENING = 38  # the position is being closed by the operator: nothing else may be sent for it
    REJECT_RATE = 39  # breaker; found refusals and rejections within the window, limit
    LOSING_FILLS = 40  # breaker; found losing fills in a row, limit
    ORDER_TO_FILL = 41  # breaker; found messages for each fill, limit
    REPEATED = 42  # found repeats of the same order, limit; the strategy is paused
    PRICE_MOVE = 43  # found share of the price that it moved within the window, limit; orders there are cancelled
    FEED_SILENCE = 44  # found ns without market data of an instrument, limit; its orders are cancelled
    FEED_LOST = 45  # found ns without any market data, limit; everything is killed
    MOVE_PAUSE = 46  # the instrument's price has moved too far: found ns until orders pass again, limit the pause


class Closing(IntEnum):
    """What the operator, a breaker or the kill switch has asked for of a strategy in an instrument."""

    NONE = 0
    CANCEL = 1  # its orders are to be cancelled
    FLATTEN = 2  # and then its position closed; no other order passes until it is flat


# what `found` and `limit` are
CHECK_UNITS: dict[int, str] = {
    int(check): unit
    for unit, checks in {
        "count": (
            RiskCheck.KILL_SWITCH, RiskCheck.PAUSED, RiskCheck.BROKEN_LEDGER, RiskCheck.REQUEST,
            RiskCheck.UNKNOWN_INSTRUMENT, RiskCheck.RESTRICTED, RiskCheck.INSTRUMENT_STATUS, RiskCheck.INVALID_ORDER,
            RiskCheck.OVERFLOW, RiskCheck.REFERENCE_PRICE, RiskCheck.DUPLICATE_MEMORY, RiskCheck.ORDER_RATE,
            RiskCheck.MESSAGE_RATE, RiskCheck.OPEN_ORDERS, RiskCheck.FLATTENING, RiskCheck.REJECT_RATE,
            RiskCheck.LOSING_FILLS, RiskCheck.ORDER_TO_FILL, RiskCheck.REPEATED,
        ),
        "ppm": (RiskCheck.PRICE_MOVE,),
        "price": (
            RiskCheck.INVALID_PRICE, RiskCheck.TICK, RiskCheck.PRICE_BAND, RiskCheck.PRICE_COLLAR,
            RiskCheck.CROSSED_BOOK, RiskCheck.SELF_TRADE,
        ),
        "qty": (
            RiskCheck.LOT, RiskCheck.MIN_QTY, RiskCheck.MAX_QTY, RiskCheck.MAX_ORDER_QTY, RiskCheck.REDUCE_ONLY,
            RiskCheck.POSITION_QTY,
        ),
        "value": (RiskCheck.MIN_NOTIONAL,),
        "ns": (
            RiskCheck.STALE_BOOK, RiskCheck.DUPLICATE, RiskCheck.FEED_SILENCE, RiskCheck.FEED_LOST,
            RiskCheck.MOVE_PAUSE,
        ),
        "micro": (
            RiskCheck.DAILY_LOSS, RiskCheck.DRAWDOWN, RiskCheck.MAX_ORDER_VALUE, RiskCheck.POSITION_SHARE,
            RiskCheck.SYMBOL_SHARE, RiskCheck.GROSS_EXPOSURE, RiskCheck.NET_EXPOSURE, RiskCheck.CASH_RESERVE,
        ),
    }.items()
    for check in checks
}  # fmt: skip
CHECK_NAMES: dict[int, str] = {int(check): check.name.lower() for check in RiskCheck}


class Limit(IntEnum):
    """Place of a limit in LIMITS."""

    POSITION_SHARE = 0  # ppm of equity, one strategy and instrument
    SYMBOL_SHARE = 1  # ppm of equity, a symbol over all venues
    GROSS_SHARE = 2  # ppm of equity
    NET_SHARE = 3  # ppm of equity
    CASH_SHARE = 4  # ppm of equity that stays cash; UNLIMITED: no reserve
    DAILY_LOSS_SHARE = 5  # ppm of the equity the day began with
    DRAWDOWN_SHARE = 6  # ppm of the peak equity
    POSITION_QTY = 7  # 1e-6 units of the instrument
    OPEN_ORDERS = 8
    ORDERS_PER_SECOND = 9
    MESSAGES_PER_SECOND = 10
    CANCEL_RESERVE = 11  # ppm of the messages that only cancels may use
    # limits on a single order: the effective row holds the stricter of strategy and account
    ORDER_QTY = 12  # 1e-6 units of the instrument
    ORDER_VALUE = 13  # micro units
    COLLAR = 14  # ppm of the reference price
    BOOK_AGE = 15  # ns
    # windows and switches: UNLIMITED is off, the effective row holds the stricter
    DUPLICATE_WINDOW = 16  # ns; UNLIMITED: no check
    SELF_TRADE = 17  # 1: refuse; UNLIMITED: allow
    CROSSED_BOOK = 18  # 1: refuse; UNLIMITED: allow


FIRST_OF_ORDER = int(Limit.ORDER_QTY)
LIMIT_COUNT = len(Limit)

LIMITS = np.dtype([("values", "<i8", (LIMIT_COUNT,))])
GUARD = np.dtype(
    [
        ("breaker", "<i8"),  # RiskCheck that tripped, 0: none; latched
        ("breaker_found", "<i8"),
        ("breaker_limit", "<i8"),
        ("paused", "<i8"),
        ("loss_base", "<i8"),  # micro: equity from which today's loss is counted
        ("peak_base", "<i8"),  # micro: equity from which drawdown is counted
        # sums over the row's PAIRs, micro
        ("gross", "<i8"),
        ("up", "<i8"),
        ("down", "<i8"),
        ("buys", "<i8"),
        ("orders", "<i8"),  # new orders passed
        ("messages", "<i8"),  # messages passed
        ("refused", "<i8"),
        ("last_ts", "<i8"),  # ns, of the last message passed
        ("unreserved_messages", "<i8"),  # messages a second that are not kept for cancels
        ("untold", "<i8"),  # RiskCheck that has tripped and that the engine has yet to tell and act on
    ],
    align=True,
)
PAIR = np.dtype(
    [
        ("up", "<i8"),  # micro: position if every open buy is filled
        ("down", "<i8"),  # micro: position if every open sell is filled
        ("gross", "<i8"),  # micro: the larger size of the two
        ("buys", "<i8"),  # micro: what the open buys may still cost
        # the same with the order being checked, taken over when it passes
        ("next_up", "<i8"),
        ("next_down", "<i8"),
        ("next_gross", "<i8"),
        ("next_buys", "<i8"),
        ("max_order_qty", "<i8"),  # quantity units; of the effective row
        ("max_position_qty", "<i8"),  # quantity units
        # written by the engine, rows of strategies only
        ("closing", "<i8"),  # Closing
        ("closing_check", "<i8"),  # RiskCheck that last refused the closing order
        ("cancel_next", "<i8"),  # ns, not before it cancels are sent again
        ("close_next", "<i8"),  # ns, not before it a closing order is sent again
        ("tightened", "<i8"),  # ppm by which limits on position and order are smaller than they were given
        ("pad", "<i8"),
    ],
    align=True,
)
RECENT = np.dtype(
    [
        ("ts", "<i8"),
        ("price", "<i8"),
        ("qty", "<i8"),
        ("key", "<i8"),  # instrument, strategy and side
        ("before", "<i8"),  # number of the elder order of the same bucket, 0: none
    ]
)
RISK = np.dtype(
    [
        ("instruments_address", "<i8"),
        ("orders_address", "<i8"),
        ("portfolio_address", "<i8"),
        ("books_address", "<i8"),
        ("tape_address", "<i8"),
        ("limits_address", "<i8"),
        ("guards_address", "<i8"),
        ("pairs_address", "<i8"),
        ("groups_address", "<i8"),  # i4: next instrument of the same symbol, in a circle
        ("order_times_address", "<i8"),  # i8 rings of a row each: when orders passed
        ("message_times_address", "<i8"),
        ("recent_address", "<i8"),
        ("buckets_address", "<i8"),  # i8: number of the youngest RECENT of a bucket
        ("strategies", "<i8"),
        ("instruments", "<i8"),
        ("times_mask", "<i8"),
        ("recent_mask", "<i8"),
        ("bucket_mask", "<i8"),
        ("recent_count", "<i8"),
        ("killed", "<i8"),  # reason, 0: not; latched
        ("watch_address", "<i8"),  # of WATCH, 0: no dynamic limits
        ("alarm", "<i8"),  # rows with something `untold`
        # the last refusal or tripped breaker
        ("check", "<i8"),
        ("found", "<i8"),
        ("limit", "<i8"),
        ("scope", "<i8"),  # strategy, or their number for the whole account
        ("checked", "<i8"),  # new orders, cancels and replaces looked at
    ],
    align=True,
)
assert GUARD.itemsize == PAIR.itemsize == 128

risk_at = record_at(RISK, "Risk")
limits_at = record_at(LIMITS, "Limits")
guard_at = record_at(GUARD, "Guard")
pair_at = record_at(PAIR, "ExposurePair")
recent_at = record_at(RECENT, "RecentOrder")
