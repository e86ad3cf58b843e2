"""A seeded order-by-order market of one instrument, from a generated ITCH day, in either program's records.

hftbacktest reads what Databento's market-by-order feed would say: a fill names the resting order and changes nothing,
then a cancel or a modify takes the quantity away; a trade precedes them. A replacement is a cancel and an add.
nanotick's events say an execution in one record. Both therefore see the same market; rates are counted in rows of the
former.
"""

from typing import Any

import numpy as np
from numba import njit

from benchmarks import hft_format
from benchmarks.itch_day import itch_day
from nanotick.core.records import BOTH_SIDES, EVENT, Flag, Kind

MESSAGES = 4_000_000
LIVE_MAX = 800  # a few tens of orders in a queue, as real books have
SPREAD_PERCENT = 90
SESSION_NS = 1_800 * 1_000_000_000
START_NS = 1_767_225_600 * 1_000_000_000  # 2026-01-01 00:00 UTC
FEED_LATENCY_NS = 500_000
PRICE_DECIMALS = 2
TICK = 0.01
LOT = 1.0

_ADD, _CANCEL, _MODIFY, _FILL, _TRADE = (
    hft_format.ADD_ORDER,
    hft_format.CANCEL_ORDER,
    hft_format.MODIFY_ORDER,
    hft_format.FILL,
    hft_format.TRADE,
)
_BUY, _SELL = hft_format.BUY, hft_format.SELL
_BOTH = hft_format.EXCHANGE_AND_LOCAL
_KIND_ADD, _KIND_DELETE, _KIND_REDUCE = int(Kind.ADD), int(Kind.DELETE), int(Kind.REDUCE)
_KIND_EXECUTE, _KIND_REPLACE, _KIND_TRADE = int(Kind.EXECUTE), int(Kind.REPLACE), int(Kind.TRADE)
_FLAGS, _PRINTABLE = BOTH_SIDES | int(Flag.LAST), int(Flag.PRINTABLE)


@njit(cache=True)
def _big(data: Any, at: Any, size: Any) -> Any:
    value = np.int64(0)
    for i in range(size):
        value = (value << 8) | np.int64(data[at + i])
    return value


@njit(cache=True)
def _row(rows: Any, n: Any, ev: Any, buy: Any, ts: Any, cents: Any, qty: Any, order: Any) -> Any:
    rows[n].ev = np.uint64(ev | (_BUY if buy else _SELL) | _BOTH)
    rows[n].exch_ts = ts
    rows[n].local_ts = ts + FEED_LATENCY_NS
    rows[n].px = cents / 100.0
    rows[n].qty = qty
    rows[n].order_id = np.uint64(order)
    return n + 1


@njit(cache=True)
def _event(events: Any, n: Any, kind: Any, buy: Any, ts: Any, cents: Any, qty: Any, order: Any, word: Any) -> Any:
    event = events[n]
    event.ts_venue = ts
    event.ts_recv = ts + FEED_LATENCY_NS
    event.seq = n
    event.price = cents
    event.qty = qty
    event.id = order
    event.word = word
    event.kind = kind
    event.side = 1 if buy else -1
    event.flags = _FLAGS | (_PRINTABLE if kind == _KIND_EXECUTE or kind == _KIND_TRADE else 0)
    return n + 1


@njit(cache=True)
def _convert(data: Any, rows: Any, events: Any, orders: Any) -> Any:
    """Walk the ITCH bytes once, writing both forms; `orders[reference]` is (cents, shares, is buy)."""
    at = 0
    n = 0
    k = 0
    while at < len(data):
        length = _big(data, at, 2)
        m = at + 2
        at = m + length
        kind = data[m]
        ts = START_NS + _big(data, m + 5, 6)
        if kind == 80:  # P
            cents, shares = _big(data, m + 32, 4) // 100, _big(data, m + 20, 4)
            n = _row(rows, n, _TRADE, True, ts, cents, shares, 0)
            k = _event(events, k, _KIND_TRADE, True, ts, cents, shares, _big(data, m + 36, 8), 0)
            continue
        if kind == 82 or kind == 83:  # R S
            continue
        reference = _big(data, m + 11, 8)
        order = orders[reference]
        if kind == 65 or kind == 70:  # A F
            order[0] = _big(data, m + 32, 4) // 100
            order[1] = _big(data, m + 20, 4)
            order[2] = 1 if data[m + 19] == 66 else 0
            n = _row(rows, n, _ADD, order[2], ts, order[0], order[1], reference)
            k = _event(events, k, _KIND_ADD, order[2], ts, order[0], order[1], reference, 0)
        elif kind == 68:  # D
            n = _row(rows, n, _CANCEL, order[2], ts, order[0], order[1], reference)
            k = _event(events, k, _KIND_DELETE, order[2], ts, order[0], order[1], reference, 0)
        elif kind == 85:  # U
            fresh = _big(data, m + 19, 8)
            n = _row(rows, n, _CANCEL, order[2], ts, order[0], order[1], reference)
            orders[fresh, 0] = _big(data, m + 31, 4) // 100
            orders[fresh, 1] = _big(data, m + 27, 4)
            orders[fresh, 2] = order[2]
            order = orders[fresh]
            n = _row(rows, n, _ADD, order[2], ts, order[0], order[1], fresh)
            k = _event(events, k, _KIND_REPLACE, order[2], ts, order[0], order[1], reference, fresh)
        else:  # X E C
            shares = _big(data, m + 19, 4)
            order[1] -= shares
            if kind == 88:
                k = _event(events, k, _KIND_REDUCE, order[2], ts, order[0], shares, reference, 0)
            else:
                # The aggressor is on the other side of the resting order.
                n = _row(rows, n, _TRADE, not order[2], ts, order[0], shares, 0)
                n = _row(rows, n, _FILL, order[2], ts, order[0], shares, reference)
                k = _event(events, k, _KIND_EXECUTE, order[2], ts, order[0], shares, reference, _big(data, m + 23, 8))
            if order[1] > 0:
                n = _row(rows, n, _MODIFY, order[2], ts, order[0], order[1], reference)
            else:
                n = _row(rows, n, _CANCEL, order[2], ts, order[0], 0, reference)
    return n, k


def order_by_order_market(
    messages: int = MESSAGES, session_ns: int = SESSION_NS, seed: int = 11
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Make the market.

    Parameters
    ----------
    messages : int
        ITCH messages to convert.
    session_ns : int
        Length of the session in nanoseconds.
    seed : int
        Seed of everything random.

    Returns
    -------
    rows : numpy.ndarray
        hftbacktest's records, dtype `hft_format.HFT_EVENT`.
    events : numpy.ndarray
        nanotick's, dtype `EVENT`: price at two decimals, quantity in shares.
    """
    data, _ = itch_day(messages, 1, seed, session_ns, LIVE_MAX, SPREAD_PERCENT)
    rows = np.zeros(messages * 2, hft_format.HFT_EVENT)
    events = np.zeros(messages, EVENT)
    n, k = _convert(data, rows, events, np.zeros((2 * messages + 2_000, 3), np.int64))
    return rows[:n].copy(), events[:k].copy()
