"""Worst-case exposure: what a row would hold if everything open on one side were filled.

A PAIR keeps, for a row (a strategy, or the whole account) and an instrument, the value of the position if every open
buy is filled (`up`) and if every open sell is (`down`), priced when it was last refreshed; a GUARD keeps the sums, so
that a check looks at one instrument only. Between refreshes the kept figures can only be too large, apart from price
moves and late fills: a fill turns open quantity into position, and an end takes open quantity away. `risk_refresh`
brings one instrument up to date, `risk_update` all of them.
"""

from __future__ import annotations

from typing import Any

from nanotick.core.instruments import INSTRUMENT
from nanotick.core.kernel import kernel
from nanotick.core.memory import leading_zeros, load_i32
from nanotick.core.value import OVERFLOW, add_saturating, scale, trade_value
from nanotick.orders import aggregate_of
from nanotick.portfolio import account_of, holding_of, position_of, to_micro
from nanotick.risk.market import reference_price
from nanotick.risk.records import (
    PPM,
    UNLIMITED,
    Limit,
    RiskCheck,
    guard_at,
    limits_at,
    pair_at,
    risk_at,
)

_POSITION_SHARE, _SYMBOL_SHARE = int(Limit.POSITION_SHARE), int(Limit.SYMBOL_SHARE)
_GROSS_SHARE, _NET_SHARE, _CASH_SHARE = int(Limit.GROSS_SHARE), int(Limit.NET_SHARE), int(Limit.CASH_SHARE)
_PASS, _POSITION_QTY = int(RiskCheck.PASS), int(RiskCheck.POSITION_QTY)
_OVER_POSITION, _OVER_SYMBOL = int(RiskCheck.POSITION_SHARE), int(RiskCheck.SYMBOL_SHARE)
_OVER_GROSS, _OVER_NET = int(RiskCheck.GROSS_EXPOSURE), int(RiskCheck.NET_EXPOSURE)
_NO_CASH, _OVERFLOWS = int(RiskCheck.CASH_RESERVE), int(RiskCheck.OVERFLOW)
_INSTRUMENT_SIZE = INSTRUMENT.itemsize
_SHARE_BITS = 62 - PPM.bit_length()  # a share so wide times less than a million fits 63 bits
_WHOLE_ROOM = 70  # leading zeros of two numbers whose product is far from where `scale` saturates
_PPM_ROOM = 1 + PPM.bit_length()  # leading zeros of a number that times PPM fits 63 bits


@kernel
def refuse(risk: int, check: int, found: int, limit: int, scope: int) -> int:
    """Note a refusal where the engine reads it; gives the check."""
    root = risk_at(risk)
    root.check = check
    root.found = found
    root.limit = limit
    root.scope = scope
    guard_at(root.guards_address, scope).refused += 1
    return check


@kernel
def pair_of(risk: int, row: int, instrument: int) -> Any:
    """The PAIR of a row and an instrument."""
    root = risk_at(risk)
    return pair_at(root.pairs_address, row * root.instruments + instrument)


@kernel
def order_value(risk: int, instrument: int, price: int, qty: int) -> int:
    """What a quantity (0 or more) is worth, micro units; OVERFLOW when it does not fit."""
    root = risk_at(risk)
    value = trade_value(root.instruments_address + instrument * _INSTRUMENT_SIZE, price, qty)
    if value == OVERFLOW:
        return OVERFLOW
    return to_micro(root.portfolio_address, instrument, value)


@kernel
def _signed_exposure(risk: int, instrument: int, price: int, qty: int) -> int:
    if qty == 0:
        return 0
    size = order_value(risk, instrument, price, abs(qty))
    return size if qty > 0 else -size


@kernel
def row_qty(risk: int, row: int, instrument: int) -> int:
    """Position of a row, quantity units."""
    root = risk_at(risk)
    if row == root.strategies:
        return holding_of(root.portfolio_address, instrument).qty
    return position_of(root.portfolio_address, row, instrument).qty


@kernel
def measure(risk: int, row: int, instrument: int, price: int, buy_qty: int, sell_qty: int) -> None:
    """Work out a PAIR's `next_` figures with so much more to buy or to sell."""
    root = risk_at(risk)
    pair = pair_of(risk, row, instrument)
    open_total = aggregate_of(root.orders_address, row, instrument)
    qty = row_qty(risk, row, instrument)
    buys = add_saturating(open_total.open_buy_qty, buy_qty)
    sells = add_saturating(open_total.open_sell_qty, sell_qty)
    up = _signed_exposure(risk, instrument, price, add_saturating(qty, buys))
    down = _signed_exposure(risk, instrument, price, add_saturating(qty, -sells))
    pair.next_up = up
    pair.next_down = down
    pair.next_gross = max(abs(up), abs(down))
    pair.next_buys = order_value(risk, instrument, price, buys)


@kernel
def take_over(risk: int, row: int, instrument: int) -> None:
    """Make a PAIR's `next_` figures the present ones, and carry them into the row's sums."""
    guard = guard_at(risk_at(risk).guards_address, row)
    pair = pair_of(risk, row, instrument)
    guard.up = add_saturating(guard.up, pair.next_up - pair.up)
    guard.down = add_saturating(guard.down, pair.next_down - pair.down)
    guard.gross = add_saturating(guard.gross, pair.next_gross - pair.gross)
    guard.buys = add_saturating(guard.buys, pair.next_buys - pair.buys)
    pair.up = pair.next_up
    pair.down = pair.next_down
    pair.gross = pair.next_gross
    pair.buys = pair.next_buys


@kernel
def risk_refresh(risk: int, strategy: int, instrument: int) -> None:
    """Bring the exposure of a strategy and of the account in one instrument up to date: after each report."""
    root = risk_at(risk)
    price = reference_price(risk, instrument)
    if price <= 0:
        price = holding_of(root.portfolio_address, instrument).mark_price
    measure(risk, strategy, instrument, price, 0, 0)
    take_over(risk, strategy, instrument)
    measure(risk, root.strategies, instrument, price, 0, 0)
    take_over(risk, root.strategies, instrument)


@kernel
def share_of(equity: int, ppm: int) -> int:
    """A share of equity, micro units; none of an equity that is gone.

    By whole millions and the rest: an equity whose product with the share leaves 63 bits then needs no long division.
    """
    if ppm == UNLIMITED:
        return UNLIMITED
    if equity <= 0:
        return 0
    millions = equity // PPM
    if ppm >> _SHARE_BITS != 0 or leading_zeros(millions) + leading_zeros(ppm) < _WHOLE_ROOM:
        return scale(equity, ppm, PPM)
    return millions * ppm + (equity - millions * PPM) * ppm // PPM


@kernel
def tightened(limit: int, by: int) -> int:
    """A limit made smaller by so many ppm; never a larger one."""
    if by == 0 or limit == UNLIMITED:
        return limit
    return scale(limit, PPM - by, PPM)


@kernel
def exceeds_share(value: int, equity: int, ppm: int) -> bool:
    """Whether a value is above a share of equity: `value > share_of(equity, ppm)`, without a division where it fits."""
    if ppm == UNLIMITED:
        return False
    if equity <= 0 or value <= 0:
        return value > 0
    if leading_zeros(value) < _PPM_ROOM or leading_zeros(equity) + leading_zeros(ppm) < 65:
        return value > share_of(equity, ppm)
    return value * PPM > equity * ppm


@kernel
def _symbol_exposure(risk: int, row: int, instrument: int, side: int) -> int:
    """Worst case in the order's direction over all venues that list the symbol, the order included."""
    root = risk_at(risk)
    pair = pair_of(risk, row, instrument)
    total = pair.next_up if side > 0 else -pair.next_down
    other = load_i32(root.groups_address + 4 * instrument)
    while other != instrument:
        there = pair_of(risk, row, other)
        total = add_saturating(total, there.up if side > 0 else -there.down)
        other = load_i32(root.groups_address + 4 * other)
    return total


@kernel
def exposure_check(risk: int, row: int, instrument: int, side: int, price: int, qty: int) -> int:
    """Whether a row may take on so much more of a side; a RiskCheck. Leaves the PAIR's `next_` figures behind.

    Limits on position, symbol and net exposure look at the worst case on the order's own side: a buy while short is
    held against what is bought beyond flat.
    """
    root = risk_at(risk)
    limits = limits_at(root.limits_address, row)
    guard = guard_at(root.guards_address, row)
    account = account_of(root.portfolio_address, row)
    pair = pair_of(risk, row, instrument)
    open_total = aggregate_of(root.orders_address, row, instrument)
    held = row_qty(risk, row, instrument)
    buys = open_total.open_buy_qty
    sells = open_total.open_sell_qty
    size_before = max(abs(held + buys), abs(held - sells))
    if side > 0:
        buys = add_saturating(buys, qty)
        ahead = add_saturating(held, buys)
        measure(risk, row, instrument, price, qty, 0)
        directed = pair.next_up
        net = add_saturating(guard.up, pair.next_up - pair.up)
    else:
        sells = add_saturating(sells, qty)
        ahead = -add_saturating(held, -sells)
        measure(risk, row, instrument, price, 0, qty)
        directed = -pair.next_down
        net = -add_saturating(guard.down, pair.next_down - pair.down)
    largest = tightened(pair.max_position_qty, pair.tightened)
    if ahead > largest:
        return refuse(risk, _POSITION_QTY, ahead, largest, row)
    if ahead == OVERFLOW or directed == OVERFLOW:
        return refuse(risk, _OVERFLOWS, ahead, 0, row)
    equity = account.equity
    ppm = tightened(limits.values[_POSITION_SHARE], pair.tightened)
    if exceeds_share(directed, equity, ppm):
        return refuse(risk, _OVER_POSITION, directed, share_of(equity, ppm), row)
    ppm = limits.values[_SYMBOL_SHARE]
    if ppm != UNLIMITED:
        symbol = _symbol_exposure(risk, row, instrument, side)
        if exceeds_share(symbol, equity, ppm):
            return refuse(risk, _OVER_SYMBOL, symbol, share_of(equity, ppm), row)
    ppm = limits.values[_NET_SHARE]
    if exceeds_share(net, equity, ppm):
        return refuse(risk, _OVER_NET, net, share_of(equity, ppm), row)
    if max(abs(held + buys), abs(held - sells)) <= size_before:
        return _PASS  # the position can become no larger than it may already: not for gross exposure or cash to stop
    ppm = limits.values[_GROSS_SHARE]
    gross = add_saturating(guard.gross, pair.next_gross - pair.gross)
    if exceeds_share(gross, equity, ppm):
        return refuse(risk, _OVER_GROSS, gross, share_of(equity, ppm), row)
    if side > 0 and limits.values[_CASH_SHARE] != UNLIMITED:
        reserve = share_of(equity, limits.values[_CASH_SHARE])
        spent = add_saturating(guard.buys, pair.next_buys - pair.buys)
        left = add_saturating(account.cash, -spent)
        if left < reserve:
            return refuse(risk, _NO_CASH, left, reserve, row)
    return _PASS
