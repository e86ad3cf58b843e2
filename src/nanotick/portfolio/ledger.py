"""The ledger: fills, busts and funding booked on positions, exactly, in the instrument's value units.

A fill is split into what it closes and what it opens. The closing part realises what it brought less the cost it
releases: under AVERAGE the closed share of the position's cost, rounded down and the rest left in the position; under
FIFO the cost of the oldest lots, a partly closed lot by its share. All of a position or lot releases all of its cost,
so rounding never leaves money behind. For inverse contracts the value of a fill is itself rounded down once, as a
whole, and the opening part is what the closing part leaves of it.
"""

from __future__ import annotations

from typing import Any

from nanotick.core.instruments import INSTRUMENT, Contract, instrument_at
from nanotick.core.kernel import kernel
from nanotick.core.memory import load_i32, mul_div, store_i32
from nanotick.core.value import OVERFLOW, add_saturating, scale
from nanotick.portfolio.accounts import account_of, holding_of, position_of, settle_accounts, signed_value
from nanotick.portfolio.records import CostMethod, lot_at, portfolio_at, position_at

_FIFO = int(CostMethod.FIFO)
_INVERSE = int(Contract.INVERSE)
_INSTRUMENT_SIZE = INSTRUMENT.itemsize
_RATE_UNIT = 1_000_000_000  # of a funding rate
_NAN = float("nan")


# --- lots -------------------------------------------------------------------------------------------------------------


@kernel
def _take_lot(portfolio: int) -> int:
    root = portfolio_at(portfolio)
    lot = root.lot_free
    if lot != 0:
        root.lot_free = lot_at(root.lots_address, lot).next
        return lot
    if root.lots_used <= root.lot_capacity:
        root.lots_used += 1
        return root.lots_used - 1
    return 0


@kernel
def _free_lot(portfolio: int, lot: int) -> None:
    root = portfolio_at(portfolio)
    lot_at(root.lots_address, lot).next = root.lot_free
    root.lot_free = lot


@kernel
def _push_lot(portfolio: int, instrument: int, position: Any, qty: int, cost: int, price: int, ts: int) -> None:
    root = portfolio_at(portfolio)
    linear = instrument_at(root.instruments_address, instrument).contract != _INVERSE
    last = lot_at(root.lots_address, position.last_lot)
    if position.last_lot != 0 and linear and last.price == price:
        last.qty += qty  # equal in every later respect, and shorter
        last.cost += cost
        return
    new = _take_lot(portfolio)
    if new == 0 and position.last_lot != 0:
        last.qty += qty
        last.cost += cost
        position.lots_merged += 1
        return
    if new == 0:  # not even one lot: the position is closed as one, at average cost
        position.lots_merged += 1
        return
    lot = lot_at(root.lots_address, new)
    lot.qty = qty
    lot.cost = cost
    lot.price = price
    lot.ts = ts
    lot.next = 0
    if position.last_lot != 0:
        last.next = new
    else:
        position.first_lot = new
    position.last_lot = new
    position.lots += 1


@kernel
def _drop_first_lot(portfolio: int, position: Any) -> None:
    gone = position.first_lot
    position.first_lot = lot_at(portfolio_at(portfolio).lots_address, gone).next
    if position.first_lot == 0:
        position.last_lot = 0
    position.lots -= 1
    _free_lot(portfolio, gone)


@kernel
def _release_lots(portfolio: int, position: Any, closing: int) -> int:
    """Cost of the oldest lots that make up the quantity (positive), which leave the queue."""
    root = portfolio_at(portfolio)
    cost = 0
    left = closing
    while left > 0 and position.first_lot != 0:
        lot = lot_at(root.lots_address, position.first_lot)
        size = abs(lot.qty)
        if size <= left:
            cost += lot.cost
            left -= size
            _drop_first_lot(portfolio, position)
        else:
            share = mul_div(lot.cost, left, size)
            cost += share
            lot.cost -= share
            lot.qty -= left if lot.qty > 0 else -left
            left = 0
    if left > 0:  # only when a lot was never made for want of memory
        cost += mul_div(position.cost - cost, left, abs(position.qty) - closing + left)
    return cost


@kernel
def _release_cost(portfolio: int, position: Any, closing: int) -> int:
    """Cost of a part (positive quantity) of the position."""
    size = abs(position.qty)
    cost = position.cost if closing == size else 0
    if portfolio_at(portfolio).method == _FIFO:
        released = _release_lots(portfolio, position, closing)
        return cost if closing == size else released
    return cost if closing == size else mul_div(position.cost, closing, size)


# --- positions --------------------------------------------------------------------------------------------------------


@kernel
def _move_qty(portfolio: int, strategy: int, instrument: int, position: Any, qty: int, ts: int) -> None:
    """Change a position's quantity, with the lists and sums that follow it."""
    root = portfolio_at(portfolio)
    holding = holding_of(portfolio, instrument)
    account = account_of(portfolio, strategy)
    row = root.held_address + 4 * strategy * root.instruments
    before = position.qty
    after = before + qty
    position.qty = after
    holding.qty += qty
    if abs(after) > position.max_qty:
        position.max_qty = abs(after)
    if before == 0 and after != 0:
        holding.holders += 1
        store_i32(row + 4 * account.held, instrument)
        account.held += 1
        position.held = account.held
    elif before != 0 and after == 0:
        holding.holders -= 1
        account.held -= 1
        moved = load_i32(row + 4 * account.held)
        store_i32(row + 4 * (position.held - 1), moved)
        position_at(root.positions_address, strategy * root.instruments + moved).held = position.held
        position.held = 0
    if after != 0 and (before == 0 or (before < 0) != (after < 0)):
        position.ts_open = ts


@kernel
def _book(
    portfolio: int, strategy: int, instrument: int, side: int, price: int, qty: int, value: int, ts: int
) -> int:  # fmt: skip
    """Trade a quantity whose signed value is `value`; gives what it realised."""
    position = position_of(portfolio, strategy, instrument)
    realised = 0
    closing = 0
    closing_value = 0
    if position.qty != 0 and (position.qty > 0) != (side > 0):
        closing = min(abs(position.qty), qty)
        closing_value = value
        if closing != qty:
            closing_value = signed_value(portfolio, instrument, price, side * closing)
        released = _release_cost(portfolio, position, closing)
        realised = -closing_value - released
        position.cost -= released
        position.realised += realised
    if closing != qty:
        opening_value = value - closing_value
        position.cost += opening_value
        if portfolio_at(portfolio).method == _FIFO:
            _push_lot(portfolio, instrument, position, side * (qty - closing), opening_value, price, ts)
    position.flow -= value
    _move_qty(portfolio, strategy, instrument, position, side * qty, ts)
    return realised


@kernel
def portfolio_fill(
    portfolio: int, strategy: int, instrument: int, side: int, price: int, qty: int, fee: int, ts: int
) -> int:
    """Book a fill.

    Parameters
    ----------
    side : int
        1 bought, -1 sold.
    price, qty : int
        Price units; quantity units, positive.
    fee : int
        Value units paid, negative: a rebate.
    ts : int
        ns UTC.

    Returns
    -------
    int
        Profit that it realised, value units, before the fee. When the money of the fill does not fit 63 bits the
        quantity is booked without it and `broken` is counted: nothing may trade on such accounts.
    """
    root = portfolio_at(portfolio)
    position = position_of(portfolio, strategy, instrument)
    holding = holding_of(portfolio, instrument)
    value = signed_value(portfolio, instrument, price, side * qty)
    if abs(value) == OVERFLOW or add_saturating(abs(position.flow), abs(value)) == OVERFLOW:
        root.broken += 1
        value = 0
    realised = _book(portfolio, strategy, instrument, side, price, qty, value, ts)
    position.fees += fee
    position.traded_qty = add_saturating(position.traded_qty, qty)
    position.turnover = add_saturating(position.turnover, abs(value))
    position.trades += 1
    position.ts_last = ts
    if realised > 0:
        position.wins += 1
        position.win_value += realised
    elif realised < 0:
        position.losses += 1
        position.loss_value += realised
    if holding.marked == 0:
        holding.mark_price = price
        holding.marked = 1
    account_of(portfolio, strategy).trades += 1
    account_of(portfolio, root.strategies).trades += 1
    settle_accounts(portfolio, strategy, instrument)
    return realised


@kernel
def _undo_from_lot(portfolio: int, position: Any, side: int, price: int, qty: int, value: int) -> int:
    """Take a busted fill out of the youngest lot that can be it; gives the cost removed, OVERFLOW if there is none."""
    root = portfolio_at(portfolio)
    found = 0
    before = 0
    behind = 0
    i = position.first_lot
    while i != 0:
        lot = lot_at(root.lots_address, i)
        if lot.price == price and lot.qty * side >= qty:
            found = i
            behind = before
        before = i
        i = lot.next
    if found == 0:
        return OVERFLOW
    lot = lot_at(root.lots_address, found)
    if lot.qty * side > qty:
        lot.qty -= side * qty
        lot.cost -= value
        return value
    cost = lot.cost
    if behind == 0:
        _drop_first_lot(portfolio, position)
        return cost
    lot_at(root.lots_address, behind).next = lot.next
    if position.last_lot == found:
        position.last_lot = behind
    position.lots -= 1
    _free_lot(portfolio, found)
    return cost


@kernel
def _undo_from_average(position: Any, side: int, qty: int, value: int) -> int:
    """Cost to take out of a position for a busted fill that can have opened it, OVERFLOW if it cannot have."""
    size = position.qty * side
    if size < qty:
        return OVERFLOW
    if size == qty:
        return position.cost
    rest = position.cost - value
    # a cost of the other sign would be an average price below zero: the fill was closed against meanwhile
    return value if rest != 0 and (rest < 0) == (value < 0) else OVERFLOW


@kernel
def portfolio_bust(
    portfolio: int, strategy: int, instrument: int, side: int, price: int, qty: int, fee: int, ts: int
) -> int:
    """Undo a fill that the venue has declared void; the arguments are those of its `portfolio_fill`.

    Cash, quantity, fees and total profit are then as if it had never been. The split between realised and unrealised is
    restored exactly while the position still holds the fill (FIFO: a lot at its price of at least its size; AVERAGE: a
    position of its side and at least its size); otherwise the fill is closed at its own price. Counts of wins and
    losses stay.

    Returns
    -------
    int
        Change of realised profit, value units.
    """
    root = portfolio_at(portfolio)
    position = position_of(portfolio, strategy, instrument)
    value = signed_value(portfolio, instrument, price, side * qty)
    if abs(value) == OVERFLOW:
        root.broken += 1
        value = 0
    if root.method == _FIFO:
        cost = _undo_from_lot(portfolio, position, side, price, qty, value)
    else:
        cost = _undo_from_average(position, side, qty, value)
    if cost == OVERFLOW:
        realised = _book(portfolio, strategy, instrument, -side, price, qty, -value, ts)
    else:
        realised = value - cost
        position.cost -= cost
        position.flow += value
        position.realised += realised
        _move_qty(portfolio, strategy, instrument, position, -side * qty, ts)
    position.fees -= fee
    position.traded_qty -= qty
    position.turnover -= abs(value)
    position.trades -= 1
    account_of(portfolio, strategy).trades -= 1
    account_of(portfolio, root.strategies).trades -= 1
    settle_accounts(portfolio, strategy, instrument)
    return realised


@kernel
def _raise_marks(account: Any, equity: int, peak: int, day_start: int, max_drawdown: int) -> int:
    """Move an account's high and day's start by what its equity has changed; gives the change."""
    change = add_saturating(account.equity, -equity)
    account.peak_equity = add_saturating(peak, change)
    account.day_start_equity = add_saturating(day_start, change)
    account.drawdown = add_saturating(account.peak_equity, -account.equity)
    account.max_drawdown = max_drawdown
    return change


@kernel
def portfolio_open(
    portfolio: int, strategy: int, instrument: int, qty: int, price: int, margined: bool, ts: int
) -> int:  # fmt: skip
    """Book what the account held before the session, once for each strategy and instrument.

    Its value at the average price is no profit and no loss, and not paid from this cash: equity grows by the value, and
    peak and day's start with it, so that no loss is hidden behind it. Margined positions and inverse contracts are
    worth their profit alone, so their cash goes against their value as in a trade.

    Parameters
    ----------
    qty : int
        Quantity units, negative: short.
    price : int
        Average, price units.
    margined : bool
    ts : int
        ns UTC.

    Returns
    -------
    int
        By how much equity has changed, micro units; 0 when a holding was booked before, and nothing is done then.
    """
    root = portfolio_at(portfolio)
    position = position_of(portfolio, strategy, instrument)
    if qty == 0 or position.opening_qty != 0:
        return 0
    value = signed_value(portfolio, instrument, price, qty)
    if abs(value) == OVERFLOW or add_saturating(abs(position.flow), abs(value)) == OVERFLOW:
        root.broken += 1
        value = 0
    holding = holding_of(portfolio, instrument)
    if holding.marked == 0:
        holding.mark_price = price
        holding.marked = 1
    own = account_of(portfolio, strategy)
    whole = account_of(portfolio, root.strategies)
    equity, peak, start, drawdown = own.equity, own.peak_equity, own.day_start_equity, own.max_drawdown
    equity_all, peak_all, start_all = whole.equity, whole.peak_equity, whole.day_start_equity
    drawdown_all = whole.max_drawdown
    _book(portfolio, strategy, instrument, 1 if qty > 0 else -1, price, abs(qty), value, ts)
    position.opening_qty = qty
    if not margined and instrument_at(root.instruments_address, instrument).contract != _INVERSE:
        position.opening_value = value
    settle_accounts(portfolio, strategy, instrument)
    _raise_marks(whole, equity_all, peak_all, start_all, drawdown_all)
    return _raise_marks(own, equity, peak, start, drawdown)


@kernel
def portfolio_funding(portfolio: int, instrument: int, rate: int, mark_price: int) -> None:
    """Pay funding on every position of an instrument: longs pay shorts when `rate` (units of 1e-9) is positive.

    Each payment is rounded down, against the holder.
    """
    root = portfolio_at(portfolio)
    if holding_of(portfolio, instrument).holders == 0:
        return
    for strategy in range(root.strategies):
        position = position_of(portfolio, strategy, instrument)
        if position.qty != 0:
            value = abs(signed_value(portfolio, instrument, mark_price, position.qty))
            receives = (position.qty < 0) == (rate > 0)
            amount = scale(value if receives else -value, abs(rate), _RATE_UNIT)
            if abs(amount) == OVERFLOW:
                root.broken += 1
                amount = 0
            position.funding += amount
            settle_accounts(portfolio, strategy, instrument)


# --- reading ----------------------------------------------------------------------------------------------------------


@kernel
def position_qty(portfolio: int, strategy: int, instrument: int) -> int:
    """Position of a strategy, quantity units, negative when short."""
    return position_of(portfolio, strategy, instrument).qty


@kernel
def position_realised(portfolio: int, strategy: int, instrument: int) -> int:
    """Realised profit before fees and funding, value units."""
    return position_of(portfolio, strategy, instrument).realised


@kernel
def position_unrealised(portfolio: int, strategy: int, instrument: int) -> int:
    """Profit of the open quantity at the present mark, value units; 0 when flat or never marked."""
    position = position_of(portfolio, strategy, instrument)
    holding = holding_of(portfolio, instrument)
    if position.qty == 0 or holding.marked == 0:
        return 0
    return add_saturating(signed_value(portfolio, instrument, holding.mark_price, position.qty), -position.cost)


@kernel
def position_average(portfolio: int, strategy: int, instrument: int) -> float:
    """Average entry price of the open quantity, price units; nan when flat."""
    position = position_of(portfolio, strategy, instrument)
    record = instrument_at(portfolio_at(portfolio).instruments_address, instrument)
    if position.qty == 0 or record.multiplier == 0:
        return _NAN
    if record.contract == _INVERSE:
        return -float(record.multiplier) * float(position.qty) / float(position.cost)
    return float(position.cost) / (float(position.qty) * float(record.multiplier))
