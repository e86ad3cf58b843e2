"""Watching what happens: volatility, drawdown, rejections, losses, repeats, price moves, silence.

All of it is off, and costs a comparison, unless the stage was given `DynamicLimits`. What is noticed between the checks
of orders is noted on the row's GUARD (`untold`) and the root (`alarm`); the engine then tells it and cancels what has
to be cancelled, before the next event.
"""

from __future__ import annotations

import math
from typing import Any

from nanotick.book.records import EMPTY_ASK, EMPTY_BID
from nanotick.core.kernel import kernel
from nanotick.core.memory import load_i64, store_i64
from nanotick.core.records import BUY, SELL
from nanotick.core.tape import tape_at
from nanotick.core.value import add_saturating, scale
from nanotick.orders import aggregate_of, released_count
from nanotick.portfolio import account_of
from nanotick.risk.dynamic import MOVE_BUCKETS, VOLATILITY_UNIT, watch_at, watch_market_at, watch_pair_at, watch_row_at
from nanotick.risk.exposure import exceeds_share, refuse
from nanotick.risk.market import book_side
from nanotick.risk.records import PPM, UNLIMITED, Limit, RiskCheck, guard_at, limits_at, pair_at, risk_at

_PASS, _REJECT_RATE, _LOSING = int(RiskCheck.PASS), int(RiskCheck.REJECT_RATE), int(RiskCheck.LOSING_FILLS)
_RATIO, _REPEATED = int(RiskCheck.ORDER_TO_FILL), int(RiskCheck.REPEATED)
_PRICE_MOVE, _MOVE_PAUSE = int(RiskCheck.PRICE_MOVE), int(RiskCheck.MOVE_PAUSE)
_SILENCE, _LOST = int(RiskCheck.FEED_SILENCE), int(RiskCheck.FEED_LOST)
_DRAWDOWN_SHARE = int(Limit.DRAWDOWN_SHARE)
_LARGEST_RETURN = 4 * PPM  # five times the price: its square still fits


@kernel
def watch_row(watch: int, row: int) -> Any:
    """The WATCH_ROW of a strategy, or (their number) of the account."""
    return watch_row_at(watch_at(watch).rows_address, row)


@kernel
def watch_market_of(watch: int, instrument: int) -> Any:
    """The WATCH_MARKET of an instrument."""
    return watch_market_at(watch_at(watch).markets_address, instrument)


@kernel
def trip_later(risk: int, row: int, check: int, found: int, limit: int) -> None:
    """Trip a breaker now; the engine tells it and cancels behind the step."""
    root = risk_at(risk)
    guard = guard_at(root.guards_address, row)
    if guard.breaker == 0 and guard.untold == 0:
        guard.breaker = check
        guard.breaker_found = found
        guard.breaker_limit = limit
        guard.untold = check
        root.alarm += 1


# --- rejections, losses, ratios ---------------------------------------------------------------------------------------


@kernel
def _reject_of_row(risk: int, row: int, now: int) -> None:
    watch = risk_at(risk).watch_address
    own = watch_row(watch, row)
    limit = own.max_rejects
    if limit == UNLIMITED:
        return
    mask = watch_at(watch).times_mask
    times = watch_at(watch).reject_times_address + 8 * row * (mask + 1)
    store_i64(times + 8 * (own.rejects & mask), now)
    own.rejects += 1
    if own.rejects > limit and now - load_i64(times + 8 * ((own.rejects - limit - 1) & mask)) < own.reject_window:
        trip_later(risk, row, _REJECT_RATE, limit + 1, limit)


@kernel
def watch_reject(risk: int, strategy: int, now: int) -> None:
    """An order was refused here or rejected by the venue."""
    _reject_of_row(risk, strategy, now)
    _reject_of_row(risk, risk_at(risk).strategies, now)


@kernel
def _fill_of_row(risk: int, row: int, realised: int) -> None:
    own = watch_row(risk_at(risk).watch_address, row)
    if realised > 0:
        own.losing = 0
    elif realised < 0:
        own.losing += 1
        if own.losing > own.max_losing:
            trip_later(risk, row, _LOSING, own.losing, own.max_losing)


@kernel
def watch_fill(risk: int, strategy: int, realised: int) -> None:
    """A fill has realised so much, value units; a fill that only opens realises nothing and ends no streak."""
    _fill_of_row(risk, strategy, realised)
    _fill_of_row(risk, risk_at(risk).strategies, realised)


@kernel
def watch_ratio(risk: int, row: int) -> None:
    """Messages of the day for each fill."""
    root = risk_at(risk)
    own = watch_row(root.watch_address, row)
    messages = guard_at(root.guards_address, row).messages - own.base_messages
    if own.max_messages_per_fill == UNLIMITED or messages < own.ratio_messages:
        return
    fills = max(1, account_of(root.portfolio_address, row).trades - own.base_fills)
    if messages > scale(own.max_messages_per_fill, fills, 1):
        trip_later(risk, row, _RATIO, messages // fills, own.max_messages_per_fill)


@kernel
def watch_rebase(risk: int) -> None:
    """Count messages and fills anew: a day begins, or an operator has resumed."""
    root = risk_at(risk)
    for row in range(root.strategies + 1):
        own = watch_row(root.watch_address, row)
        own.base_messages = guard_at(root.guards_address, row).messages
        own.base_fills = account_of(root.portfolio_address, row).trades


@kernel
def watch_resume(risk: int) -> None:
    """An operator lifts everything: streaks, windows, halts and repeats are forgotten."""
    root = risk_at(risk)
    watch = root.watch_address
    watch_rebase(risk)
    mask = watch_at(watch).times_mask
    for row in range(root.strategies + 1):
        own = watch_row(watch, row)
        own.losing = 0
        own.rejects = 0
        times = watch_at(watch).reject_times_address + 8 * row * (mask + 1)
        for i in range(mask + 1):
            store_i64(times + 8 * i, 0)
        guard_at(root.guards_address, row).untold = 0
    for instrument in range(root.instruments):
        market = watch_market_of(watch, instrument)
        market.halted_until = 0
        for b in range(MOVE_BUCKETS):
            market.low[b] = 0
            market.high[b] = 0
    for strategy in range(root.strategies):
        watch_forget_repeats(risk, strategy)
    root.alarm = 0


# --- repeated orders --------------------------------------------------------------------------------------------------


@kernel
def watch_forget_repeats(risk: int, strategy: int) -> None:
    """A person has let the strategy go on."""
    root = risk_at(risk)
    for instrument in range(root.instruments):
        pair = watch_pair_at(watch_at(root.watch_address).pairs_address, strategy * root.instruments + instrument)
        for way in range(2):
            pair.repeats[way] = 0
            pair.ts[way] = 0  # the next order repeats none


@kernel
def _repeats(pair: Any, own: Any, order: Any, way: int, now: int) -> int:
    """How often the order would repeat the one before it."""
    same = pair.price[way] == order.price and pair.qty[way] == order.qty and pair.ts[way] != 0
    return pair.repeats[way] + 1 if same and now - pair.ts[way] <= own.repeat_window else 0


@kernel
def watch_check(risk: int, order: Any, reduces: bool, now: int) -> int:
    """Whether a new order repeats itself too often, or its instrument is halted after a jump; a RiskCheck."""
    root = risk_at(risk)
    watch = root.watch_address
    until = watch_market_of(watch, order.instrument).halted_until
    if now < until and not reduces:
        return refuse(risk, _MOVE_PAUSE, until - now, watch_at(watch).move_pause, order.strategy)
    own = watch_row(watch, order.strategy)
    if own.max_repeats == UNLIMITED:
        return _PASS
    pair = watch_pair_at(watch_at(watch).pairs_address, order.strategy * root.instruments + order.instrument)
    repeats = _repeats(pair, own, order, 1 if order.side > 0 else 0, now)
    if repeats <= own.max_repeats:
        return _PASS
    guard = guard_at(root.guards_address, order.strategy)
    guard.paused = 1
    if guard.untold == 0:
        guard.untold = _REPEATED
        root.alarm += 1
    return refuse(risk, _REPEATED, repeats, own.max_repeats, order.strategy)


@kernel
def watch_halted(risk: int, order: Any, reduces: bool, now: int) -> int:
    """Whether an order's instrument is halted after a jump: of a replace. A RiskCheck."""
    watch = risk_at(risk).watch_address
    until = watch_market_of(watch, order.instrument).halted_until
    if now < until and not reduces:
        return refuse(risk, _MOVE_PAUSE, until - now, watch_at(watch).move_pause, order.strategy)
    return _PASS


@kernel
def watch_note(risk: int, order: Any, now: int) -> None:
    """Remember an order that passes."""
    root = risk_at(risk)
    watch = root.watch_address
    own = watch_row(watch, order.strategy)
    pair = watch_pair_at(watch_at(watch).pairs_address, order.strategy * root.instruments + order.instrument)
    way = 1 if order.side > 0 else 0
    pair.repeats[way] = _repeats(pair, own, order, way, now)
    pair.price[way] = order.price
    pair.qty[way] = order.qty
    pair.ts[way] = now


# --- the market -------------------------------------------------------------------------------------------------------


@kernel
def _market_price(risk: int, instrument: int) -> int:
    """The mid of a whole book; where there is no book the last trade; 0 while a book is being rebuilt or has one side.

    The reference of the checks falls back on old trades when the book is empty, which would look like a jump.
    """
    tape = tape_at(risk_at(risk).tape_address, instrument)
    if tape.gap != 0:
        return 0
    bid = book_side(risk, instrument, BUY)
    ask = book_side(risk, instrument, SELL)
    if bid != EMPTY_BID and ask != EMPTY_ASK:
        return (bid + ask) >> 1
    if bid != EMPTY_BID or ask != EMPTY_ASK or tape.depth != 0:
        return 0
    return tape.price if tape.ts >= tape.book_ts else 0


@kernel
def watch_price(risk: int, instrument: int, whole: bool, now: int) -> int:
    """Market data has come: gives PRICE_MOVE when the price has moved further within the window than it may.

    `whole` says that the book is consistent after this event.
    """
    root = risk_at(risk)
    watch = watch_at(root.watch_address)
    watch.market_ts = now
    market = watch_market_of(root.watch_address, instrument)
    market.silent = 0
    if watch.max_move == UNLIMITED or not whole:
        return _PASS
    price = _market_price(risk, instrument)
    if price <= 0:
        return _PASS
    bucket = now // watch.move_bucket
    if bucket != market.bucket:
        for b in range(max(market.bucket + 1, bucket - MOVE_BUCKETS + 1), bucket + 1):
            market.low[b % MOVE_BUCKETS] = 0
            market.high[b % MOVE_BUCKETS] = 0
        market.bucket = max(market.bucket, bucket)
    here = market.bucket % MOVE_BUCKETS
    known = market.low[here]
    market.low[here] = price if known == 0 else min(known, price)
    market.high[here] = max(market.high[here], price)
    low = price
    high = price
    for b in range(MOVE_BUCKETS):
        if market.low[b] != 0:
            low = min(low, market.low[b])
            high = max(high, market.high[b])
    rise = exceeds_share(price - low, low, watch.max_move)
    if not rise and not exceeds_share(high - price, high, watch.max_move):
        return _PASS
    base = low if rise else high
    fresh = now >= market.halted_until
    market.halted_until = add_saturating(now, watch.move_pause)
    for b in range(MOVE_BUCKETS):  # the next move is measured from here
        market.low[b] = 0
        market.high[b] = 0
    market.low[here] = price
    market.high[here] = price
    if not fresh:
        return _PASS
    return refuse(risk, _PRICE_MOVE, scale(abs(price - base), PPM, base), watch.max_move, root.strategies)


@kernel
def integer_root(value: int) -> int:
    """Largest integer whose square is not above a value of less than 2**62."""
    root = int(math.sqrt(value))
    # below 2**62 the float's root is never too small: what its 53 bits lose is less than half a step of the root
    while root * root > value:
        root -= 1
    return root


@kernel
def _take_return(risk: int, instrument: int) -> None:
    root = risk_at(risk)
    price = _market_price(risk, instrument)
    if price <= 0:
        return
    market = watch_market_of(root.watch_address, instrument)
    before = market.price
    market.price = price
    if before == 0:
        return
    change = scale(price - before, PPM * VOLATILITY_UNIT, before)
    change = max(-_LARGEST_RETURN, min(_LARGEST_RETURN, change))
    decay = watch_at(root.watch_address).decay
    market.variance += scale(change * change - market.variance, decay, PPM)
    market.volatility = integer_root(max(0, market.variance))


@kernel
def _drawdown_scale(risk: int, row: int) -> int:
    root = risk_at(risk)
    start = watch_row(root.watch_address, row).drawdown_start
    if start == UNLIMITED:
        return PPM
    guard = guard_at(root.guards_address, row)
    lost = add_saturating(guard.peak_base, -account_of(root.portfolio_address, row).equity)
    if guard.peak_base <= 0:
        return 0
    share = scale(max(0, lost), PPM, guard.peak_base)
    if share <= start:
        return PPM
    end = min(PPM, limits_at(root.limits_address, row).values[_DRAWDOWN_SHARE])
    return max(0, end - share) * PPM // (end - start) if end > start else 0


@kernel
def _scale_of(risk: int, row: int, instrument: int) -> int:
    """What is left of a row's limits in an instrument, ppm."""
    watch = risk_at(risk).watch_address
    own = watch_row(watch, row)
    left = own.drawdown_scale
    volatility = watch_market_of(watch, instrument).volatility
    if volatility > own.target_volatility:
        left = left * (own.target_volatility * PPM // volatility) // PPM
    return min(PPM, max(own.min_scale, left))


@kernel
def watch_scales(risk: int, now: int) -> None:
    """Take the returns that are due, and let limits follow volatility and drawdown."""
    root = risk_at(risk)
    watch = watch_at(root.watch_address)
    if watch.tightens == 0:
        return
    if now >= watch.next_return:
        # what was missed is no return of an interval: the next one is due from now on
        watch.next_return = now - now % watch.interval + watch.interval
        for instrument in range(root.instruments):
            _take_return(risk, instrument)
    for row in range(root.strategies + 1):
        watch_row(root.watch_address, row).drawdown_scale = _drawdown_scale(risk, row)
    for instrument in range(root.instruments):
        whole = PPM - _scale_of(risk, root.strategies, instrument)
        pair_at(root.pairs_address, root.strategies * root.instruments + instrument).tightened = whole
        for strategy in range(root.strategies):
            own = PPM - _scale_of(risk, strategy, instrument)
            pair_at(root.pairs_address, strategy * root.instruments + instrument).tightened = max(own, whole)


@kernel
def watch_silence(risk: int, instrument: int, now: int) -> int:
    """Whether an instrument with open orders has had no market data for too long, told once; a RiskCheck."""
    root = risk_at(risk)
    limit = watch_at(root.watch_address).max_silence
    market = watch_market_of(root.watch_address, instrument)
    total = aggregate_of(root.orders_address, root.strategies, instrument)
    if limit == UNLIMITED or market.silent != 0 or total.buys + total.sells == 0:
        return _PASS
    tape = tape_at(root.tape_address, instrument)
    silence = now - max(tape.book_ts, tape.ts)
    if silence <= limit and tape.gap == 0:
        return _PASS
    market.silent = 1
    return refuse(risk, _SILENCE, silence, limit, root.strategies)


@kernel
def watch_feed(risk: int, now: int) -> int:
    """Whether nothing at all has been heard for too long while orders are open; a RiskCheck."""
    root = risk_at(risk)
    watch = watch_at(root.watch_address)
    limit = watch.max_feed_silence
    if limit == UNLIMITED or root.killed != 0 or now - watch.market_ts <= limit:
        return _PASS
    if released_count(root.orders_address, root.strategies) == 0:
        return _PASS
    return refuse(risk, _LOST, now - watch.market_ts, limit, root.strategies)
