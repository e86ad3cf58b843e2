"""Portfolio: positions at exact cost, realised and unrealised profit, accounts."""

from nanotick.portfolio.accounts import (
    account_of,
    account_refresh,
    day_roll,
    held_instrument,
    holding_of,
    portfolio_mark,
    position_of,
    signed_value,
    to_micro,
)
from nanotick.portfolio.ledger import (
    portfolio_bust,
    portfolio_fill,
    portfolio_funding,
    portfolio_open,
    position_average,
    position_qty,
    position_realised,
    position_unrealised,
)
from nanotick.portfolio.portfolio import MICRO, Portfolio
from nanotick.portfolio.records import ACCOUNT, POSITION, CostMethod, account_at, portfolio_at, position_at

__all__ = [
    "ACCOUNT",
    "MICRO",
    "POSITION",
    "CostMethod",
    "Portfolio",
    "account_at",
    "account_of",
    "account_refresh",
    "day_roll",
    "held_instrument",
    "holding_of",
    "portfolio_at",
    "portfolio_bust",
    "portfolio_fill",
    "portfolio_funding",
    "portfolio_mark",
    "portfolio_open",
    "position_at",
    "position_average",
    "position_of",
    "position_qty",
    "position_realised",
    "position_unrealised",
    "signed_value",
    "to_micro",
]
