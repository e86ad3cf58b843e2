"""Accounts: what positions are worth in the account's currency, kept as running sums.

Every change of a position or of a mark moves the strategy's account and the account of all by the difference, so
reading an account costs nothing and nothing drifts: an account's cash is its initial cash plus, for each position, the
exact cash rounded down to a micro unit.
"""

from __future__ import annotations

from typing import Any

from nanotick.core.instruments import INSTRUMENT, Contract, instrument_at
from nanotick.core.kernel import kernel
from nanotick.core.memory import load_i32
from nanotick.core.value import OVERFLOW, add_saturating, scale, trade_value
from nanotick.core.zone import local_day
from nanotick.portfolio.records import account_at, holding_at, portfolio_at, position_at

_INVERSE = int(Contract.INVERSE)
_INSTRUMENT_SIZE = INSTRUMENT.itemsize


@kernel
def position_of(portfolio: int, strategy: int, instrument: int) -> Any:
    """The POSITION of a strategy in an instrument."""
    root = portfolio_at(portfolio)
    return position_at(root.positions_address, strategy * root.instruments + instrument)


@kernel
def holding_of(portfolio: int, instrument: int) -> Any:
    """The HOLDING of an instrument."""
    return holding_at(portfolio_at(portfolio).holdings_address, instrument)


@kernel
def account_of(portfolio: int, strategy: int) -> Any:
    """The ACCOUNT of a strategy; `strategy` equal to their number means all of them together."""
    return account_at(portfolio_at(portfolio).accounts_address, strategy)


@kernel
def signed_value(portfolio: int, instrument: int, price: int, qty: int) -> int:
    """Value of a signed quantity at a price, value units, signed as `cost` is; OVERFLOW of either sign if too large."""
    address = portfolio_at(portfolio).instruments_address + instrument * _INSTRUMENT_SIZE
    value = trade_value(address, price, abs(qty))
    negative = (qty < 0) != (price < 0)
    if instrument_at(address).contract == _INVERSE:
        negative = qty >= 0
    return -value if negative else value


@kernel
def to_micro(portfolio: int, instrument: int, value: int) -> int:
    """Account currency, micro units rounded down, of value units; saturating."""
    holding = holding_of(portfolio, instrument)
    return scale(value, holding.numerator, holding.denominator)


@kernel
def _watermark(account: Any) -> None:
    equity = add_saturating(account.cash, account.value)
    account.equity = equity
    if equity > account.peak_equity:
        account.peak_equity = equity
    drawdown = add_saturating(account.peak_equity, -equity)
    account.drawdown = drawdown
    if drawdown > account.max_drawdown:
        account.max_drawdown = drawdown


@kernel
def _shift_account(account: Any, cash: int, value: int, gross: int, net: int) -> None:
    account.cash = add_saturating(account.cash, cash)
    account.value = add_saturating(account.value, value)
    account.gross_exposure = add_saturating(account.gross_exposure, gross)
    account.net_exposure = add_saturating(account.net_exposure, net)
    _watermark(account)


@kernel
def position_cash(position: Any) -> int:
    """Money that a position has brought, fees and funding included, value units."""
    return position.flow + position.opening_value - position.fees + position.funding


@kernel
def settle_accounts(portfolio: int, strategy: int, instrument: int) -> None:
    """Carry a position's present cash and value into its account and the account of all."""
    root = portfolio_at(portfolio)
    position = position_of(portfolio, strategy, instrument)
    cash = to_micro(portfolio, instrument, position_cash(position))
    value = 0
    exposure = 0
    if position.qty != 0:
        value = to_micro(
            portfolio, instrument, signed_value(portfolio, instrument, holding_of(portfolio, instrument).mark_price,
                                                position.qty)
        )  # fmt: skip
        exposure = abs(value) if position.qty > 0 else -abs(value)
    if abs(cash) == OVERFLOW or abs(value) == OVERFLOW or position.flow != position.realised - position.cost:
        root.broken += 1
    d_cash, d_value = cash - position.cash_micro, value - position.value_micro
    d_net = exposure - position.exposure_micro
    d_gross = abs(exposure) - abs(position.exposure_micro)
    position.cash_micro = cash
    position.value_micro = value
    position.exposure_micro = exposure
    _shift_account(account_of(portfolio, strategy), d_cash, d_value, d_gross, d_net)
    _shift_account(account_of(portfolio, root.strategies), d_cash, d_value, d_gross, d_net)


@kernel
def portfolio_mark(portfolio: int, instrument: int, mark_price: int) -> None:
    """Value an instrument at a new price. Two comparisons when the mark is the old one or nobody holds it."""
    holding = holding_of(portfolio, instrument)
    if holding.mark_price == mark_price and holding.marked != 0:
        return
    holding.mark_price = mark_price
    holding.marked = 1
    if holding.holders == 0:
        return
    for strategy in range(portfolio_at(portfolio).strategies):
        if position_of(portfolio, strategy, instrument).qty != 0:
            settle_accounts(portfolio, strategy, instrument)


@kernel
def held_instrument(portfolio: int, strategy: int, n: int) -> int:
    """Number of the n-th instrument a strategy holds; there are `account_of(...).held`, in no particular order."""
    root = portfolio_at(portfolio)
    return load_i32(root.held_address + 4 * (strategy * root.instruments + n))


@kernel
def account_refresh(portfolio: int, strategy: int) -> int:
    """Value everything a strategy holds at the present marks; gives its equity, micro units.

    With `strategy` equal to their number, of all of them.
    """
    root = portfolio_at(portfolio)
    first, last = strategy, strategy + 1
    if strategy >= root.strategies:
        first, last = 0, root.strategies
    for s in range(first, last):
        for n in range(account_of(portfolio, s).held):
            settle_accounts(portfolio, s, held_instrument(portfolio, s, n))
    return account_of(portfolio, strategy).equity


@kernel
def day_roll(portfolio: int, ts: int) -> bool:
    """Start a new trading day if `ts` (ns UTC) lies in another one than the last; True if it does.

    The first call only notes the day.
    """
    root = portfolio_at(portfolio)
    day = local_day(root.zone_address, ts, root.day_offset_ns)
    if day == root.day:
        return False
    first = root.day < 0
    root.day = day
    for s in range(root.strategies + 1):
        account = account_of(portfolio, s)
        account.day_start_equity = account.equity
    return not first
