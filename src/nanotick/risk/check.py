"""The pre-trade checks: what turns an intent into something that may be sent.

`risk_check` goes from the cheapest check to the dearest and stops at the first that refuses. An order that passes is
counted at once (rates, recent orders, exposure): the caller must then release it with `order_release`. Everything is
integers and saturates: what does not fit 63 bits is larger than any limit and is refused.
"""

from __future__ import annotations

from typing import Any

from nanotick.core.instruments import INSTRUMENT, Contract, instrument_at
from nanotick.core.kernel import kernel
from nanotick.core.records import BUY, SELL, CommandFlag, OrderType, TimeInForce, TradingStatus
from nanotick.core.value import OVERFLOW, add_saturating, trade_value
from nanotick.orders import (
    INTENT,
    SLOT_MASK,
    Pending,
    Seen,
    aggregate_of,
    first_open,
    next_open,
    order_find,
    order_record,
    orders_at,
    own_best_at,
    released_count,
    replace_allowed,
    request_allowed,
    rests,
)
from nanotick.risk.exposure import (
    exceeds_share,
    exposure_check,
    order_value,
    refuse,
    row_qty,
    share_of,
    take_over,
    tightened,
)
from nanotick.risk.guards import (
    closing_check,
    duplicate_check,
    message_rate_check,
    note_message,
    note_recent,
    order_rate_check,
    standing_check,
)
from nanotick.risk.market import book_age, book_side, reference_price
from nanotick.risk.records import SECOND_NS, UNLIMITED, Limit, RiskCheck, limits_at, pair_at, risk_at
from nanotick.risk.watch import watch_check, watch_halted, watch_note

_COLLAR, _BOOK_AGE, _ORDER_VALUE = int(Limit.COLLAR), int(Limit.BOOK_AGE), int(Limit.ORDER_VALUE)
_SELF_TRADE, _CROSSED_BOOK, _OPEN_ORDERS = int(Limit.SELF_TRADE), int(Limit.CROSSED_BOOK), int(Limit.OPEN_ORDERS)
_PASS, _REQUEST = int(RiskCheck.PASS), int(RiskCheck.REQUEST)
_NO_INSTRUMENT, _RESTRICTED = int(RiskCheck.UNKNOWN_INSTRUMENT), int(RiskCheck.RESTRICTED)
_STATUS, _INVALID, _INVALID_PRICE = (
    int(RiskCheck.INSTRUMENT_STATUS),
    int(RiskCheck.INVALID_ORDER),
    int(RiskCheck.INVALID_PRICE),
)
_TICK, _BAND, _LOT = int(RiskCheck.TICK), int(RiskCheck.PRICE_BAND), int(RiskCheck.LOT)
_MIN_QTY, _MAX_QTY, _MAX_ORDER_QTY = int(RiskCheck.MIN_QTY), int(RiskCheck.MAX_QTY), int(RiskCheck.MAX_ORDER_QTY)
_OVERFLOWS, _NO_REFERENCE = int(RiskCheck.OVERFLOW), int(RiskCheck.REFERENCE_PRICE)
_MIN_NOTIONAL, _MAX_ORDER_VALUE = int(RiskCheck.MIN_NOTIONAL), int(RiskCheck.MAX_ORDER_VALUE)
_OUTSIDE_COLLAR, _STALE, _CROSSED = int(RiskCheck.PRICE_COLLAR), int(RiskCheck.STALE_BOOK), int(RiskCheck.CROSSED_BOOK)
_WOULD_SELF_TRADE, _TOO_MANY_OPEN = int(RiskCheck.SELF_TRADE), int(RiskCheck.OPEN_ORDERS)
_NOT_REDUCING = int(RiskCheck.REDUCE_ONLY)
_LIMIT, _MARKET = int(OrderType.LIMIT), int(OrderType.MARKET)
_STOP, _STOP_LIMIT = int(OrderType.STOP), int(OrderType.STOP_LIMIT)
_IOC, _FOK, _GTD = int(TimeInForce.IOC), int(TimeInForce.FOK), int(TimeInForce.GTD)
_POST_ONLY, _REDUCE_ONLY = int(CommandFlag.POST_ONLY), int(CommandFlag.REDUCE_ONLY)
_CLOSE_ALL = int(CommandFlag.CLOSE_ALL)
_FLAGS = _POST_ONLY | _REDUCE_ONLY | _CLOSE_ALL  # what an order of ours may have
_TRADING, _INVERSE = int(TradingStatus.TRADING), int(Contract.INVERSE)
_REPLACE_PENDING, _NAMED_NONE = int(Pending.REPLACE), int(Seen.NO_INSTRUMENT)
_INSTRUMENT_SIZE = INSTRUMENT.itemsize


@kernel
def _shape_check(risk: int, order: Any, now: int) -> int:
    """Whether the order makes sense at all: side, type, time in force, flags."""
    kind = order.order_type
    tif = order.tif
    immediate = tif == _IOC or tif == _FOK
    passive = order.flags & _POST_ONLY != 0
    if order.side != BUY and order.side != SELL:
        return refuse(risk, _INVALID, order.side, 0, order.strategy)
    if kind > _STOP_LIMIT or tif > _GTD:
        return refuse(risk, _INVALID, kind, tif, order.strategy)
    if passive and (immediate or kind == _MARKET or kind == _STOP):
        return refuse(risk, _INVALID, order.flags, tif, order.strategy)
    if order.flags & ~_FLAGS != 0:
        return refuse(risk, _INVALID, order.flags, _FLAGS, order.strategy)
    if tif == _GTD and order.expire_s * SECOND_NS <= now:
        return refuse(risk, _INVALID, order.expire_s, now // SECOND_NS, order.strategy)
    return _PASS


@kernel
def _price_check(risk: int, instrument: Any, kind: int, price: int, stop_price: int, scope: int) -> int:
    """Prices where the type has one and nowhere else, on the tick, inside the venue's band."""
    limited = kind == _LIMIT or kind == _STOP_LIMIT
    stopped = kind == _STOP or kind == _STOP_LIMIT
    if (price <= 0) if limited else (price != 0):
        return refuse(risk, _INVALID_PRICE, price, 0, scope)
    if (stop_price <= 0) if stopped else (stop_price != 0):
        return refuse(risk, _INVALID_PRICE, stop_price, 0, scope)
    if price % instrument.tick_size != 0:
        return refuse(risk, _TICK, price, instrument.tick_size, scope)
    if stopped and stop_price % instrument.tick_size != 0:
        return refuse(risk, _TICK, stop_price, instrument.tick_size, scope)
    if limited and instrument.price_low != 0 and price < instrument.price_low:
        return refuse(risk, _BAND, price, instrument.price_low, scope)
    if limited and instrument.price_high != 0 and price > instrument.price_high:
        return refuse(risk, _BAND, price, instrument.price_high, scope)
    return _PASS


@kernel
def _quantity_check(
    risk: int, instrument: Any, number: int, qty: int, scope: int, closes: bool, reduces: bool
) -> int:  # fmt: skip
    if qty <= 0 or qty % instrument.lot_size != 0:
        return refuse(risk, _LOT, qty, instrument.lot_size, scope)
    if qty < instrument.min_qty:
        return refuse(risk, _MIN_QTY, qty, instrument.min_qty, scope)
    if instrument.max_qty != 0 and qty > instrument.max_qty:
        return refuse(risk, _MAX_QTY, qty, instrument.max_qty, scope)
    root = risk_at(risk)
    pair = pair_at(root.pairs_address, scope * root.instruments + number)
    limit = pair.max_order_qty if reduces else tightened(pair.max_order_qty, pair.tightened)
    if qty > limit and not closes:
        return refuse(risk, _MAX_ORDER_QTY, qty, limit, scope)
    return _PASS


@kernel
def _value_check(risk: int, instrument: int, price: int, qty: int, scope: int, reduces: bool) -> int:
    """The order at its own price: the venue's minimum and our maximum."""
    root = risk_at(risk)
    address = root.instruments_address + instrument * _INSTRUMENT_SIZE
    value = trade_value(address, price, qty)
    if value == OVERFLOW:
        return refuse(risk, _OVERFLOWS, qty, price, scope)
    if value < instrument_at(address).min_notional:
        return refuse(risk, _MIN_NOTIONAL, value, instrument_at(address).min_notional, scope)
    micro = order_value(risk, instrument, price, qty)
    if micro == OVERFLOW:
        return refuse(risk, _OVERFLOWS, qty, price, scope)
    limit = limits_at(root.limits_address, root.strategies + 1 + scope).values[_ORDER_VALUE]
    if not reduces:
        limit = tightened(limit, pair_at(root.pairs_address, scope * root.instruments + instrument).tightened)
    if micro > limit:
        return refuse(risk, _MAX_ORDER_VALUE, micro, limit, scope)
    return _PASS


@kernel
def _collar_check(risk: int, price: int, reference: int, scope: int) -> int:
    root = risk_at(risk)
    ppm = limits_at(root.limits_address, root.strategies + 1 + scope).values[_COLLAR]
    if ppm == UNLIMITED:
        return _PASS
    if not exceeds_share(abs(price - reference), reference, ppm):
        return _PASS
    width = share_of(reference, ppm)
    bound = add_saturating(reference, -width if price < reference else width)
    return refuse(risk, _OUTSIDE_COLLAR, price, bound, scope)


@kernel
def _book_check(risk: int, instrument: int, now: int, scope: int) -> int:
    root = risk_at(risk)
    limits = limits_at(root.limits_address, root.strategies + 1 + scope)
    limit = limits.values[_BOOK_AGE]
    if limit != UNLIMITED:
        age = book_age(risk, instrument, now)
        if age > limit:
            return refuse(risk, _STALE, age, limit, scope)
    if limits.values[_CROSSED_BOOK] != UNLIMITED:
        bid = book_side(risk, instrument, BUY)
        ask = book_side(risk, instrument, SELL)
        if bid >= ask:
            return refuse(risk, _CROSSED, bid, ask, scope)
    return _PASS


@kernel
def _most_aggressive(order: Any) -> int:
    """The best price at which a resting order may stand: a pending replace may have taken effect."""
    price = order.price
    if order.pending & _REPLACE_PENDING != 0:
        other = order.pending_price
        price = max(price, other) if order.side > 0 else min(price, other)
    return price


@kernel
def _self_trade_check(risk: int, order: Any, price: int) -> int:
    """Whether the order could trade with a resting one of ours, of any strategy; `price` 0 is a market order."""
    root = risk_at(risk)
    if limits_at(root.limits_address, root.strategies + 1 + order.strategy).values[_SELF_TRADE] == UNLIMITED:
        return _PASS
    if order.flags & _POST_ONLY != 0:
        return _PASS  # it never takes, so it cannot meet our own
    orders = root.orders_address
    instrument = order.instrument
    buys = order.side > 0
    total = aggregate_of(orders, root.strategies, instrument)
    best = own_best_at(orders_at(orders).own_best_address, instrument)
    if (total.open_sell_qty if buys else total.open_buy_qty) == 0:
        return _PASS
    if price != 0 and (price < best.ask if buys else price > best.bid):
        return _PASS
    nearest = 0
    for strategy in range(root.strategies):
        slot = first_open(orders, strategy, instrument)
        while slot >= 0:
            other = order_record(orders, slot)
            if other.side != order.side and other.state != INTENT and rests(other):
                stands = _most_aggressive(other)
                if nearest == 0 or (stands < nearest if buys else stands > nearest):
                    nearest = stands
            slot = next_open(orders, slot)
    if nearest == 0:
        return _PASS
    if buys:
        best.ask = nearest  # the bound had gone stale: now it is exact
    else:
        best.bid = nearest
    if price == 0 or (price >= nearest if buys else price <= nearest):
        return refuse(risk, _WOULD_SELF_TRADE, nearest, price, order.strategy)
    return _PASS


@kernel
def _reduce_check(risk: int, order: Any, qty: int) -> int:
    """Whether the order, with everything open on its side, leaves the strategy's position on its side of flat."""
    root = risk_at(risk)
    held = row_qty(risk, order.strategy, order.instrument)
    total = aggregate_of(root.orders_address, order.strategy, order.instrument)
    room = -held - total.open_buy_qty if order.side > 0 else held - total.open_sell_qty
    if qty > room:
        return refuse(risk, _NOT_REDUCING, qty, max(0, room), order.strategy)
    return _PASS


@kernel
def _exposure_checks(risk: int, order: Any, price: int, qty: int) -> int:
    """Limits of the strategy and of the account; on passing, the exposure is taken over."""
    root = risk_at(risk)
    check = exposure_check(risk, order.strategy, order.instrument, order.side, price, qty)
    if check == _PASS:
        check = exposure_check(risk, root.strategies, order.instrument, order.side, price, qty)
    if check == _PASS:
        take_over(risk, order.strategy, order.instrument)
        take_over(risk, root.strategies, order.instrument)
    return check


@kernel
def _rate_checks(risk: int, row: int, now: int) -> int:
    """Rates of new orders and the number of open ones, of a strategy or the account."""
    root = risk_at(risk)
    check = order_rate_check(risk, row, now)
    if check == _PASS:
        check = message_rate_check(risk, row, now, False)
    if check == _PASS:
        limit = limits_at(root.limits_address, row).values[_OPEN_ORDERS]
        count = released_count(root.orders_address, row)
        if count >= limit:
            return refuse(risk, _TOO_MANY_OPEN, count + 1, limit, row)
    return check


@kernel
def _valuation_price(instrument: Any, price: int, reference: int) -> int:
    """At which price exposure counts: the dearer of the order's and the reference (the cheaper when inverse)."""
    return min(price, reference) if instrument.contract == _INVERSE else max(price, reference)


@kernel
def _tradable_check(risk: int, order: Any, scope: int) -> int:
    """Whether the instrument exists, is not restricted and trades."""
    root = risk_at(risk)
    number = order.instrument
    if order.seen & _NAMED_NONE != 0 or number >= root.instruments:
        return refuse(risk, _NO_INSTRUMENT, order.pending_qty, root.instruments, scope)
    instrument = instrument_at(root.instruments_address, number)
    if instrument.restricted != 0:
        return refuse(risk, _RESTRICTED, instrument.restricted, 0, scope)
    if instrument.status != _TRADING:
        return refuse(risk, _STATUS, instrument.status, _TRADING, scope)
    return _PASS


@kernel
def _own_price(kind: int, price: int, stop_price: int, reference: int) -> int:
    """At which price an order is worth what it is worth."""
    if kind == _MARKET:
        return reference
    return stop_price if kind == _STOP else price


@kernel
def _market_checks(
    risk: int, order: Any, price: int, qty: int, reference: int, is_new: bool, now: int
) -> int:  # fmt: skip
    """The order against the market, and a new one against those passed lately."""
    kind = order.order_type
    scope = order.strategy
    number = order.instrument
    if reference <= 0:
        return refuse(risk, _NO_REFERENCE, reference, 0, scope)
    reduces = order.flags & _REDUCE_ONLY != 0
    check = _value_check(risk, number, _own_price(kind, price, order.stop_price, reference), qty, scope, reduces)
    if check == _PASS and kind == _LIMIT:
        check = _collar_check(risk, price, reference, scope)
    if check == _PASS and kind == _STOP_LIMIT:
        check = _collar_check(risk, price, order.stop_price, scope)
    if check == _PASS:
        check = _book_check(risk, number, now, scope)
    if check == _PASS and is_new:
        check = duplicate_check(risk, order, now)
    return check


@kernel
def risk_check(risk: int, order_id: int, now: int) -> int:
    """Check the intent of a new order.

    Parameters
    ----------
    risk : int
        Address of the RISK root.
    order_id : int
        Of an order in state INTENT.
    now : int
        ns UTC.

    Returns
    -------
    int
        RiskCheck; 0 when it passes, and then it must be released. On a refusal the root says what was found, the limit
        and whose it is.
    """
    root = risk_at(risk)
    root.checked += 1
    slot = order_find(root.orders_address, order_id)
    if slot < 0:
        return refuse(risk, _REQUEST, order_id, 0, root.strategies)
    order = order_record(root.orders_address, slot)
    scope = order.strategy
    if order.state != INTENT:
        return refuse(risk, _REQUEST, order.state, INTENT, scope)
    closes = order.flags & _CLOSE_ALL != 0
    reduces = order.flags & _REDUCE_ONLY != 0
    number = order.instrument
    kind, price, qty = order.order_type, order.price, order.qty
    check = standing_check(risk, scope, reduces, closes)
    if check == _PASS:
        check = _tradable_check(risk, order, scope)
    if check == _PASS and not closes:
        check = closing_check(risk, scope, number)
        if check == _PASS and root.watch_address != 0:
            check = watch_check(risk, order, reduces, now)
    if check != _PASS:
        return check
    instrument = instrument_at(root.instruments_address, number)
    check = _shape_check(risk, order, now)
    if check == _PASS:
        check = _price_check(risk, instrument, kind, price, order.stop_price, scope)
    if check == _PASS:
        check = _quantity_check(risk, instrument, number, qty, scope, closes, reduces)
    if check != _PASS:
        return check
    reference = reference_price(risk, number)
    if not closes:
        check = _market_checks(risk, order, price, qty, reference, True, now)
    if check == _PASS and (kind == _LIMIT or kind == _MARKET):
        check = _self_trade_check(risk, order, price)
    if check == _PASS and not closes:
        check = _rate_checks(risk, scope, now)
        if check == _PASS:
            check = _rate_checks(risk, root.strategies, now)
    if check != _PASS:
        return check
    if reduces:
        check = _reduce_check(risk, order, qty)
    else:
        at = _valuation_price(instrument, _own_price(kind, price, order.stop_price, reference), reference)
        check = _exposure_checks(risk, order, at, qty)
    if check == _PASS:
        note_message(risk, scope, now, True)
        note_message(risk, root.strategies, now, True)
        note_recent(risk, order, now)
        if root.watch_address != 0:
            watch_note(risk, order, now)
    return check


@kernel
def risk_check_replace(risk: int, order_id: int, price: int, qty: int, now: int) -> int:
    """Check a change of an open order's price and total quantity; a RiskCheck, 0 when it passes."""
    root = risk_at(risk)
    root.checked += 1
    slot = order_find(root.orders_address, order_id)
    if slot < 0:
        return refuse(risk, _REQUEST, order_id, 0, root.strategies)
    order = order_record(root.orders_address, slot)
    scope = order.strategy
    request = replace_allowed(root.orders_address, order_id, qty)
    if request != 0:
        return refuse(risk, _REQUEST, request, 0, scope)
    number = order.instrument
    kind = order.order_type
    reduces = order.flags & _REDUCE_ONLY != 0
    check = standing_check(risk, scope, reduces, False)
    if check == _PASS:
        check = _tradable_check(risk, order, scope)
    if check == _PASS:
        check = closing_check(risk, scope, number)
    if check == _PASS and root.watch_address != 0:
        check = watch_halted(risk, order, reduces, now)
    if check != _PASS:
        return check
    instrument = instrument_at(root.instruments_address, number)
    check = _price_check(risk, instrument, kind, price, order.stop_price, scope)
    if check == _PASS:
        check = _quantity_check(risk, instrument, number, qty, scope, False, reduces)
    if check != _PASS:
        return check
    reference = reference_price(risk, number)
    check = _market_checks(risk, order, price, qty, reference, False, now)
    if check == _PASS and kind == _LIMIT:
        check = _self_trade_check(risk, order, price)
    if check == _PASS:
        check = message_rate_check(risk, scope, now, False)
    if check == _PASS:
        check = message_rate_check(risk, root.strategies, now, False)
    more = qty - order.qty
    if check == _PASS and more > 0:
        if reduces:
            check = _reduce_check(risk, order, more)
        else:
            at = _valuation_price(instrument, _own_price(kind, price, order.stop_price, reference), reference)
            check = _exposure_checks(risk, order, at, more)
    if check == _PASS:
        note_message(risk, scope, now, False)
        note_message(risk, root.strategies, now, False)
    return check


@kernel
def risk_check_cancel(risk: int, order_id: int, now: int) -> int:
    """Check a cancel: only that there is something to cancel, and the message rate with its reserve. A RiskCheck.

    No breaker, pause or kill switch stands in the way; after a kill not even the rate does.
    """
    root = risk_at(risk)
    root.checked += 1
    slot = order_find(root.orders_address, order_id)
    scope = root.strategies if slot < 0 else order_record(root.orders_address, slot).strategy
    request = request_allowed(root.orders_address, order_id)
    if request != 0:
        return refuse(risk, _REQUEST, request, 0, scope)
    if root.killed == 0:
        check = message_rate_check(risk, scope, now, True)
        if check == _PASS:
            check = message_rate_check(risk, root.strategies, now, True)
        if check != _PASS:
            return check
    note_message(risk, scope, now, False)
    note_message(risk, root.strategies, now, False)
    return _PASS


@kernel
def risk_force_cancel(risk: int, order_id: int, now: int) -> int:
    """Check a cancel of the engine's own (cancel everything, flatten): `risk_check_cancel` without rates."""
    root = risk_at(risk)
    request = request_allowed(root.orders_address, order_id)
    if request != 0:
        return refuse(risk, _REQUEST, request, 0, root.strategies)
    note_message(risk, order_record(root.orders_address, order_id & SLOT_MASK).strategy, now, False)
    note_message(risk, root.strategies, now, False)
    return _PASS
