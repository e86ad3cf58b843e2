"""Guards that remember: the kill switch, breakers, rates, recent orders.

Rates are exact sliding windows: the time stamps of the last messages that passed lie in a ring, and the n-th last one
must be a second old or more. Recent orders lie in a ring too, chained by a hash of what makes two orders equal, so that
looking for a duplicate reads only orders of the same bucket inside the window.
"""

from __future__ import annotations

from typing import Any

from nanotick.core.kernel import kernel
from nanotick.core.memory import load_i64, mul_wrap, shift_right, store_i64
from nanotick.core.value import add_saturating
from nanotick.portfolio import account_of, day_roll, held_instrument, portfolio_at, portfolio_mark
from nanotick.risk.exposure import refuse, risk_refresh, share_of
from nanotick.risk.market import reference_price
from nanotick.risk.records import (
    SECOND_NS,
    UNLIMITED,
    Closing,
    Limit,
    RiskCheck,
    guard_at,
    limits_at,
    pair_at,
    recent_at,
    risk_at,
)
from nanotick.risk.watch import (
    watch_forget_repeats,
    watch_ratio,
    watch_rebase,
    watch_resume,
    watch_row,
    watch_scales,
)

_ORDERS_PER_SECOND, _MESSAGES_PER_SECOND = int(Limit.ORDERS_PER_SECOND), int(Limit.MESSAGES_PER_SECOND)
_DUPLICATE_WINDOW = int(Limit.DUPLICATE_WINDOW)
_DAILY_LOSS_SHARE, _DRAWDOWN_SHARE = int(Limit.DAILY_LOSS_SHARE), int(Limit.DRAWDOWN_SHARE)
_PASS, _KILLED, _PAUSED = int(RiskCheck.PASS), int(RiskCheck.KILL_SWITCH), int(RiskCheck.PAUSED)
_DAILY_LOSS, _DRAWDOWN = int(RiskCheck.DAILY_LOSS), int(RiskCheck.DRAWDOWN)
_BROKEN, _DUPLICATE = int(RiskCheck.BROKEN_LEDGER), int(RiskCheck.DUPLICATE)
_DUPLICATE_MEMORY = int(RiskCheck.DUPLICATE_MEMORY)
_ORDER_RATE, _MESSAGE_RATE = int(RiskCheck.ORDER_RATE), int(RiskCheck.MESSAGE_RATE)
_FLATTENING, _FLATTEN = int(RiskCheck.FLATTENING), int(Closing.FLATTEN)
_REPEATED = int(RiskCheck.REPEATED)
_HASH = 0x2545F4914F6CDD1D


# --- kill switch, pauses, breakers ------------------------------------------------------------------------------------


@kernel
def kill(risk: int, reason: int) -> None:
    """Stop everything: no order of a strategy passes until `resume`. `reason` (1 or more) is the first one given.

    The engine cancels what is open when the command comes; an order with which it closes a position still passes.
    """
    root = risk_at(risk)
    if root.killed == 0:
        root.killed = max(1, reason)


@kernel
def resume(risk: int) -> None:
    """Lift the kill switch and all breakers; loss and drawdown are counted from the present equity on."""
    root = risk_at(risk)
    root.killed = 0
    for row in range(root.strategies + 1):
        guard = guard_at(root.guards_address, row)
        guard.breaker = 0
        equity = account_of(root.portfolio_address, row).equity
        guard.loss_base = equity
        guard.peak_base = equity
    if root.watch_address != 0:
        watch_resume(risk)


@kernel
def rebase(risk: int, strategy: int, change: int) -> None:
    """Count loss and drawdown as if equity had always been so much more: what a holding brings in is no profit."""
    root = risk_at(risk)
    own = guard_at(root.guards_address, strategy)
    own.loss_base = add_saturating(own.loss_base, change)
    own.peak_base = add_saturating(own.peak_base, change)
    whole = guard_at(root.guards_address, root.strategies)
    whole.loss_base = add_saturating(whole.loss_base, change)
    whole.peak_base = add_saturating(whole.peak_base, change)


@kernel
def pause_strategy(risk: int, strategy: int, paused: bool) -> None:
    """Let no new order or replace of a strategy pass, or let them pass again. The engine does not call it meanwhile."""
    guard_at(risk_at(risk).guards_address, strategy).paused = 1 if paused else 0
    if not paused and risk_at(risk).watch_address != 0:
        watch_forget_repeats(risk, strategy)


@kernel
def standing_check(risk: int, strategy: int, reduces: bool, closes: bool) -> int:
    """Whether anything may be sent at all: kill switch, pause, breakers, ledger.

    Breakers let pass what only reduces; an order with which the engine closes a position passes all of them.
    """
    root = risk_at(risk)
    if closes:
        return _PASS
    if root.killed != 0:
        return refuse(risk, _KILLED, root.killed, 0, root.strategies)
    broken = portfolio_at(root.portfolio_address).broken
    if broken != 0:
        return refuse(risk, _BROKEN, broken, 0, root.strategies)
    own = guard_at(root.guards_address, strategy)
    if own.paused != 0:
        return refuse(risk, _PAUSED, 1, 0, strategy)
    if reduces:
        return _PASS
    if own.breaker != 0:
        return refuse(risk, own.breaker, own.breaker_found, own.breaker_limit, strategy)
    whole = guard_at(root.guards_address, root.strategies)
    if whole.breaker != 0:
        return refuse(risk, whole.breaker, whole.breaker_found, whole.breaker_limit, root.strategies)
    return _PASS


@kernel
def closing_check(risk: int, strategy: int, instrument: int) -> int:
    """Whether the position is being closed: then only the engine's own closing order passes. A RiskCheck."""
    root = risk_at(risk)
    closing = pair_at(root.pairs_address, strategy * root.instruments + instrument).closing
    if closing == _FLATTEN:
        return refuse(risk, _FLATTENING, closing, 0, strategy)
    return _PASS


@kernel
def _trip(risk: int, row: int, check: int, found: int, limit: int) -> int:
    guard = guard_at(risk_at(risk).guards_address, row)
    guard.breaker = check
    guard.breaker_found = found
    guard.breaker_limit = limit
    return _note(risk, row, check, found, limit)


@kernel
def _note(risk: int, row: int, check: int, found: int, limit: int) -> int:
    root = risk_at(risk)
    root.check = check
    root.found = found
    root.limit = limit
    root.scope = row
    return check


@kernel
def evaluate_breakers(risk: int) -> int:
    """Trip at most one breaker that is not tripped yet; gives its RiskCheck, else 0. Call it until it gives 0."""
    root = risk_at(risk)
    for row in range(root.strategies + 1):
        guard = guard_at(root.guards_address, row)
        limits = limits_at(root.limits_address, row)
        if root.watch_address != 0:
            watch_ratio(risk, row)
            check = guard.untold
            if check != 0:
                guard.untold = 0
                root.alarm -= 1
                if check == _REPEATED:
                    repeats = watch_row(root.watch_address, row).max_repeats
                    return _note(risk, row, check, repeats + 1, repeats)
                return _note(risk, row, check, guard.breaker_found, guard.breaker_limit)
        equity = account_of(root.portfolio_address, row).equity
        if equity > guard.peak_base:
            guard.peak_base = equity
        if guard.breaker == 0:
            loss = add_saturating(guard.loss_base, -equity)
            limit = share_of(guard.loss_base, limits.values[_DAILY_LOSS_SHARE])
            if loss > limit:
                return _trip(risk, row, _DAILY_LOSS, loss, limit)
            drawdown = add_saturating(guard.peak_base, -equity)
            limit = share_of(guard.peak_base, limits.values[_DRAWDOWN_SHARE])
            if drawdown > limit:
                return _trip(risk, row, _DRAWDOWN, drawdown, limit)
    return _PASS


@kernel
def risk_update(risk: int, now: int) -> int:
    """Between orders: start a new day if it is one, mark what is held to the book, refresh exposure, try breakers.

    Returns
    -------
    int
        RiskCheck of a breaker that tripped now (root: found, limit, scope), else 0. Call it again until it gives 0.
    """
    root = risk_at(risk)
    portfolio = root.portfolio_address
    for strategy in range(root.strategies):
        for n in range(account_of(portfolio, strategy).held):
            instrument = held_instrument(portfolio, strategy, n)
            price = reference_price(risk, instrument)
            if price > 0:
                portfolio_mark(portfolio, instrument, price)
    risk_day_roll(risk, now)
    for instrument in range(root.instruments):
        whole = pair_at(root.pairs_address, root.strategies * root.instruments + instrument)
        if whole.gross != 0 or whole.buys != 0:
            for strategy in range(root.strategies):
                pair = pair_at(root.pairs_address, strategy * root.instruments + instrument)
                if pair.gross != 0 or pair.buys != 0:
                    risk_refresh(risk, strategy, instrument)
    if root.watch_address != 0:
        watch_scales(risk, now)
    return evaluate_breakers(risk)


@kernel
def risk_day_roll(risk: int, now: int) -> bool:
    """Start a new trading day if it is one: today's loss is counted anew and the breaker of daily loss is lifted.

    The kill switch and the breaker of drawdown stay until `resume`.
    """
    root = risk_at(risk)
    if not day_roll(root.portfolio_address, now):
        return False
    for row in range(root.strategies + 1):
        guard = guard_at(root.guards_address, row)
        guard.loss_base = account_of(root.portfolio_address, row).equity
        if guard.breaker == _DAILY_LOSS:
            guard.breaker = 0
    if root.watch_address != 0:
        watch_rebase(risk)
    return True


# --- rates ------------------------------------------------------------------------------------------------------------


@kernel
def _window_full(times: int, mask: int, count: int, limit: int, now: int) -> bool:
    """Whether `limit` messages have passed within the last second."""
    if limit == UNLIMITED or count < limit:
        return False
    if limit == 0:
        return True
    return now - load_i64(times + 8 * ((count - limit) & mask)) < SECOND_NS


@kernel
def _order_times(risk: int, row: int) -> int:
    root = risk_at(risk)
    return root.order_times_address + 8 * row * (root.times_mask + 1)


@kernel
def _message_times(risk: int, row: int) -> int:
    root = risk_at(risk)
    return root.message_times_address + 8 * row * (root.times_mask + 1)


@kernel
def order_rate_check(risk: int, row: int, now: int) -> int:
    """Whether one more new order fits a row's rate; a RiskCheck."""
    root = risk_at(risk)
    guard = guard_at(root.guards_address, row)
    limit = limits_at(root.limits_address, row).values[_ORDERS_PER_SECOND]
    if _window_full(_order_times(risk, row), root.times_mask, guard.orders, limit, max(now, guard.last_ts)):
        return refuse(risk, _ORDER_RATE, limit + 1, limit, row)
    return _PASS


@kernel
def message_rate_check(risk: int, row: int, now: int, cancels: bool) -> int:
    """Whether one more message fits a row's rate; only cancels may use the reserve. A RiskCheck."""
    root = risk_at(risk)
    guard = guard_at(root.guards_address, row)
    limit = guard.unreserved_messages
    if cancels:
        limit = limits_at(root.limits_address, row).values[_MESSAGES_PER_SECOND]
    if _window_full(_message_times(risk, row), root.times_mask, guard.messages, limit, max(now, guard.last_ts)):
        return refuse(risk, _MESSAGE_RATE, limit + 1, limit, row)
    return _PASS


@kernel
def note_message(risk: int, row: int, now: int, is_order: bool) -> None:
    """Count a message that passes."""
    root = risk_at(risk)
    guard = guard_at(root.guards_address, row)
    ts = max(now, guard.last_ts)  # a clock that steps back must not open a window early
    guard.last_ts = ts
    store_i64(_message_times(risk, row) + 8 * (guard.messages & root.times_mask), ts)
    guard.messages += 1
    if is_order:
        store_i64(_order_times(risk, row) + 8 * (guard.orders & root.times_mask), ts)
        guard.orders += 1


# --- recent orders ----------------------------------------------------------------------------------------------------


@kernel
def _key(order: Any) -> int:
    return order.instrument << 20 | order.strategy << 1 | (1 if order.side > 0 else 0)


@kernel
def _bucket(risk: int, order: Any) -> int:
    root = risk_at(risk)
    h = mul_wrap(mul_wrap(order.price, _HASH) ^ order.qty, _HASH) ^ _key(order)
    return root.buckets_address + 8 * (shift_right(mul_wrap(h, _HASH), 32) & root.bucket_mask)


@kernel
def duplicate_check(risk: int, order: Any, now: int) -> int:
    """Whether an equal order has passed within the window, or more than can be remembered have; a RiskCheck."""
    root = risk_at(risk)
    rows = root.strategies + 1
    window = limits_at(root.limits_address, rows + order.strategy).values[_DUPLICATE_WINDOW]
    if window == UNLIMITED or window == 0:
        return _PASS
    key = _key(order)
    oldest = root.recent_count - root.recent_mask  # number of the oldest order that is still remembered
    n = load_i64(_bucket(risk, order))
    while n >= oldest and n > 0:
        other = recent_at(root.recent_address, n & root.recent_mask)
        if now - other.ts >= window:
            break
        if other.key == key and other.price == order.price and other.qty == order.qty:
            return refuse(risk, _DUPLICATE, now - other.ts, window, order.strategy)
        n = other.before
    if oldest > 0 and now - recent_at(root.recent_address, oldest & root.recent_mask).ts < window:
        return refuse(risk, _DUPLICATE_MEMORY, root.recent_mask + 1, root.recent_mask + 1, order.strategy)
    return _PASS


@kernel
def note_recent(risk: int, order: Any, now: int) -> None:
    """Remember an order that passes."""
    root = risk_at(risk)
    n = root.recent_count + 1
    root.recent_count = n
    bucket = _bucket(risk, order)
    recent = recent_at(root.recent_address, n & root.recent_mask)
    recent.ts = now
    recent.price = order.price
    recent.qty = order.qty
    recent.key = _key(order)
    recent.before = load_i64(bucket)
    store_i64(bucket, n)
