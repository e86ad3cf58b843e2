"""Update ids of Binance depth streams: which diff is next, which is stale, and where some are missing.

Spot: a diff covers ids U..u and follows the one that ended at U - 1; futures send the previous diff's u as `pu`. After
a REST snapshot with `lastUpdateId`, spot takes the first diff with U <= lastUpdateId + 1 <= u and futures the first
with u >= lastUpdateId and pu <= lastUpdateId; what ended before is in the snapshot already and is dropped.
Source: binance-spot-api-docs, "How to manage a local order book correctly"; the same page of the futures documentation.
"""

from __future__ import annotations

import numpy as np

from nanotick.core.kernel import kernel
from nanotick.core.memory import record_at

MAX_SYMBOL = 32  # bytes

# one symbol of a recording: its name, its scales, and where its update ids stand
MARKET = np.dtype(
    [
        ("name", "<i8", (4,)),  # ASCII, zero padded
        ("number", "<i8"),  # in the listing; -1: not asked for
        ("price_decimals", "<i8"),
        ("qty_decimals", "<i8"),
        ("venue", "<i8"),
        ("mode", "<i8"),  # NEW, IN_CHAIN, AFTER_SNAPSHOT
        ("last_id", "<i8"),
        ("before_first", "<i8"),  # id after which the first diff seen starts
        ("gap_first", "<i8"),  # of the latest gap: first id missing
        ("gap_count", "<i8"),  # and how many
        ("gaps", "<i8"),
        ("stale", "<i8"),  # diffs dropped
        ("latest_ns", "<i8"),  # latest venue time seen
        ("price_places", "<i8"),  # found by a measuring scan
        ("qty_places", "<i8"),
        ("futures", "<i8"),  # 1: pu or a bookTicker with T was seen, 2: ps was seen (COIN-M)
        ("trades", "<i8"),  # bit 0: trade messages seen, bit 1: aggTrade messages seen
    ]
)
market_at = record_at(MARKET, "Market")

NEW, IN_CHAIN, AFTER_SNAPSHOT = 0, 1, 2
APPLY, DROP, GAP = 0, 1, 2


@kernel
def next_diff(m, first: int, last: int, previous: int) -> int:  # type: ignore[no-untyped-def]
    """Take the next diff of market `m` into its chain; `previous` is -1 on spot.

    Returns
    -------
    int
        APPLY, DROP (the book has it), or GAP (apply it, but `gap_count` ids from `gap_first` are missing; futures ids
        are shared between symbols, so the count is an upper bound there).
    """
    if m.mode == NEW:
        m.mode = IN_CHAIN
        m.last_id = last
        m.before_first = previous if previous >= 0 else first - 1
        return APPLY
    known = m.last_id
    if last < known or (last == known and (previous < 0 or m.mode == IN_CHAIN)):
        m.stale += 1
        return DROP
    m.last_id = last
    if previous >= 0:
        missing = previous - known
        whole = missing == 0 or (m.mode == AFTER_SNAPSHOT and missing < 0)
        m.gap_first = known + 1
    else:
        missing = first - known - 1
        whole = missing <= 0
        m.gap_first = known + 1
    m.mode = IN_CHAIN
    if whole:
        return APPLY
    m.gap_count = missing if missing > 0 else 0
    m.gaps += 1
    return GAP


@kernel("i8(i8,i8,i8,i8)")
def take_diff(market: int, first: int, last: int, previous: int) -> int:
    """`next_diff` of the market record at an address, for Python."""
    return next_diff(market_at(market), first, last, previous)


@kernel("i8(i8,i8)")
def take_snapshot(market: int, last: int) -> int:
    """A snapshot with this lastUpdateId replaces the book of the market record at an address.

    Returns
    -------
    int
        APPLY, or GAP when diffs between the snapshot and the first one seen are missing. Diffs seen before the snapshot
        that end after `last` must be applied again after it; the chain then goes on from them.
    """
    m = market_at(market)
    if m.mode == IN_CHAIN and m.last_id > last:
        if m.before_first <= last:
            return APPLY
        m.gap_first = last + 1
        m.gap_count = m.before_first - last
        m.gaps += 1
        return GAP
    m.mode = AFTER_SNAPSHOT
    m.last_id = last
    return APPLY
