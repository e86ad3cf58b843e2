"""Records of the portfolio: positions, lots, what an instrument is worth now, accounts.

    PORTFOLIO   root
    POSITION    192 bytes, one a strategy and instrument (strategy * instruments + instrument); exact, in value units
    HOLDING     64 bytes, one an instrument: mark price, who holds it, how its value becomes account currency
    LOT         one opening fill still open (FIFO only), oldest first in its position's queue
    ACCOUNT     128 bytes, one a strategy and a last one for all together; micro units (1e-6) of the account currency

Exact money lives in positions. After every event, for every position and to the unit,

    flow = realised - cost        (flow: money that trading brought, fees apart)

`cost` is signed as the position's value is: for linear contracts positive when long, for inverse ones negative when
long, because there a long position is a debt of base currency that shrinks as the price rises. Unrealised profit is
value now less cost in both. Accounts are sums of positions, each rounded down to a micro unit.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from nanotick.core.memory import record_at


class CostMethod(IntEnum):
    """Which of the open quantity is closed first."""

    AVERAGE = 0
    FIFO = 1


POSITION = np.dtype(
    [
        ("qty", "<i8"),  # quantity units, negative: short
        ("cost", "<i8"),  # value units
        ("flow", "<i8"),  # value units
        ("realised", "<i8"),  # value units, before fees and funding
        ("fees", "<i8"),  # value units paid, negative: rebates
        ("funding", "<i8"),  # value units received, negative: paid
        ("traded_qty", "<i8"),  # quantity units bought and sold
        ("turnover", "<i8"),  # value units, saturating
        ("trades", "<i8"),  # fills
        ("wins", "<i8"),  # fills that closed something at a profit, before fees
        ("losses", "<i8"),
        ("win_value", "<i8"),  # value units
        ("loss_value", "<i8"),  # value units, 0 or less
        ("max_qty", "<i8"),  # largest size ever held, quantity units
        ("ts_open", "<i8"),  # ns UTC, when it was last opened from flat
        ("ts_last", "<i8"),  # ns UTC, last fill
        ("cash_micro", "<i8"),  # flow + opening_value - fees + funding as booked in the accounts
        ("value_micro", "<i8"),  # value at the mark as booked in the accounts
        ("exposure_micro", "<i8"),  # the same, signed as the quantity
        ("lots_merged", "<i8"),  # lots joined to their elder for want of memory (FIFO)
        ("first_lot", "<i4"),
        ("last_lot", "<i4"),
        ("lots", "<i4"),
        ("held", "<i4"),  # place in the strategy's list of held instruments, from 1; 0: flat
        ("opening_qty", "<i8"),  # brought in by a HOLDING, quantity units
        ("opening_value", "<i8"),  # value units of it that were not paid from this cash
    ],
    align=True,
)
LOT = np.dtype(
    [
        ("qty", "<i8"),  # quantity units, negative: short
        ("cost", "<i8"),  # value units
        ("price", "<i8"),
        ("ts", "<i8"),
        ("next", "<i4"),  # younger lot, or the free list
        ("pad", "<i4"),
    ],
    align=True,
)
HOLDING = np.dtype(
    [
        ("mark_price", "<i8"),  # price units
        ("marked", "<i8"),  # 1 once there is a mark
        ("qty", "<i8"),  # of all strategies together
        ("holders", "<i8"),  # strategies that are not flat
        ("numerator", "<i8"),  # micro units = value units * numerator / denominator
        ("denominator", "<i8"),
        ("pad", "<i8", (2,)),
    ],
    align=True,
)
ACCOUNT = np.dtype(
    [
        ("cash", "<i8"),
        ("equity", "<i8"),  # cash and the value of all positions
        ("peak_equity", "<i8"),
        ("drawdown", "<i8"),  # peak less equity
        ("max_drawdown", "<i8"),
        ("day_start_equity", "<i8"),
        ("gross_exposure", "<i8"),  # sum of the sizes of positions at their marks
        ("net_exposure", "<i8"),  # long less short
        ("initial_cash", "<i8"),
        ("value", "<i8"),  # of all positions
        ("trades", "<i8"),
        ("held", "<i8"),  # instruments held; 0 in the account of all together
        ("pad", "<i8", (4,)),
    ],
    align=True,
)
PORTFOLIO = np.dtype(
    [
        ("positions_address", "<i8"),
        ("holdings_address", "<i8"),
        ("accounts_address", "<i8"),
        ("held_address", "<i8"),  # i4 instrument numbers, a row of `instruments` for each strategy
        ("lots_address", "<i8"),
        ("instruments_address", "<i8"),
        ("strategies", "<i8"),
        ("instruments", "<i8"),
        ("method", "<i8"),  # CostMethod
        ("lot_capacity", "<i8"),
        ("lots_used", "<i8"),  # ever used, index 0 included
        ("lot_free", "<i8"),
        ("day_offset_ns", "<i8"),  # when a trading day begins, after midnight
        ("day", "<i8"),  # local days since 1970, -1 before the first event
        ("zone_address", "<i8"),  # ZONE rows of the clock that days go by, 0: UTC
        ("broken", "<i8"),  # times money did not fit 63 bits or did not add up: the accounts cannot be trusted
    ],
    align=True,
)
assert POSITION.itemsize == 192 and LOT.itemsize == 40 and HOLDING.itemsize == 64 and ACCOUNT.itemsize == 128

portfolio_at = record_at(PORTFOLIO, "Portfolio")
position_at = record_at(POSITION, "Position")
lot_at = record_at(LOT, "Lot")
holding_at = record_at(HOLDING, "Holding")
account_at = record_at(ACCOUNT, "Account")
