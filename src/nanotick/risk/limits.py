"""Limits: as people write them, as the stage keeps them, and the one place that changes them.

Every limit has a stated default; a limit that is missing (None) is an error that names it, and one that is not wanted
must be given as the word "unlimited".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from nanotick.core.instruments import instrument_at
from nanotick.core.kernel import kernel
from nanotick.core.suggest import nearest
from nanotick.core.value import scale
from nanotick.risk.amounts import Amount, scaled_amount
from nanotick.risk.dynamic import DynamicLimits, dynamic_limits
from nanotick.risk.records import (
    FIRST_OF_ORDER,
    LIMIT_COUNT,
    PPM,
    UNLIMITED,
    Limit,
    guard_at,
    limits_at,
    pair_at,
    risk_at,
)

_ORDER_QTY, _POSITION_QTY = int(Limit.ORDER_QTY), int(Limit.POSITION_QTY)
_DUPLICATE_WINDOW = int(Limit.DUPLICATE_WINDOW)
_ORDERS_PER_SECOND, _MESSAGES_PER_SECOND = int(Limit.ORDERS_PER_SECOND), int(Limit.MESSAGES_PER_SECOND)
_CANCEL_RESERVE = int(Limit.CANCEL_RESERVE)
_MICRO = 1_000_000
_SECOND_NS = 1_000_000_000
SWITCHES = {"refuse": 1, "allow": UNLIMITED}


@dataclass(frozen=True, kw_only=True)
class RiskLimits:
    """Limits of one strategy, or of the whole account.

    Amounts are decimals (text, integers or `Decimal`; a float is read as it prints) or the word "unlimited". Shares are
    fractions: "0.20" is 20 %.

    Parameters
    ----------
    max_position_share : share of equity
        Worst-case value of one position: what is held and every open order of its side.
    max_symbol_share : share of equity
        The same over all venues that list the symbol.
    max_gross_exposure_share, max_net_exposure_share : share of equity
        Sum of the sizes of all worst-case positions; their sum by sign.
    min_cash_share : share of equity
        Cash that must be left if every open buy is filled.
    max_daily_loss_share : share of the equity the day began with
    max_drawdown_share : share of the peak equity
        Breakers: above them only reduce-only orders pass, until the next day (loss) or until resumed (drawdown).
    max_orders_per_second, max_messages_per_second : int
        In any window of one second. Messages are new orders, replaces and cancels.
    cancel_reserve_share : share
        Part of the messages that only cancels may use.
    max_open_orders : int
    max_order_qty, max_position_qty : decimal
        In units of the instrument (shares, coins, contracts).
    max_order_value : decimal
        Account currency.
    price_collar_share : share
        How far from the reference price a limit price may lie, either way.
    max_book_age_s : seconds
        Age of the last book event of the instrument.
    duplicate_window_s : seconds
        Two orders of one strategy that agree in instrument, side, price and quantity must lie this far apart.
    self_trade, crossed_book : {"refuse", "allow"}
        An order that would trade with a resting order of our own; any order while best bid and ask touch or cross.
    dynamic : DynamicLimits, mapping of its fields, or "unlimited"
        What tightens these limits and stops trading by what has happened lately.
    """

    max_position_share: Amount = "0.20"
    max_symbol_share: Amount = "0.25"
    max_gross_exposure_share: Amount = "0.95"
    max_net_exposure_share: Amount = "0.95"
    min_cash_share: Amount = "0.05"
    max_daily_loss_share: Amount = "0.03"
    max_drawdown_share: Amount = "0.10"
    max_orders_per_second: Amount = 200
    max_messages_per_second: Amount = 500
    cancel_reserve_share: Amount = "0.20"
    max_open_orders: Amount = 1_000
    max_order_qty: Amount = 100_000
    max_position_qty: Amount = 1_000_000
    max_order_value: Amount = 100_000
    price_collar_share: Amount = "0.05"
    max_book_age_s: Amount = 1
    duplicate_window_s: Amount = "0.001"
    self_trade: str | None = "refuse"
    crossed_book: str | None = "refuse"
    dynamic: DynamicLimits | Mapping[str, Any] | str | None = "unlimited"

    def __post_init__(self) -> None:
        object.__setattr__(self, "dynamic", dynamic_limits(self.dynamic))

    def scaled(self) -> list[int]:
        """The limits as the stage keeps them, in the order of `Limit`.

        Raises
        ------
        ValueError
            A limit is missing, negative, no decimal, or has more decimal places than it is kept with.
        """
        if self.dynamic is None:
            raise ValueError('risk limit dynamic is missing: give DynamicLimits, or the word "unlimited"')
        values = [UNLIMITED] * LIMIT_COUNT
        for name, (limit, unit) in _FIELDS.items():
            values[limit] = scaled_amount(name, getattr(self, name), unit)
        for name, limit in _SWITCHES.items():
            chosen = getattr(self, name)
            if chosen not in SWITCHES:
                raise ValueError(f"risk limit {name}: expected 'refuse' or 'allow', found {chosen!r}")
            values[limit] = SWITCHES[chosen]
        return values

    @classmethod
    def unlimited(cls) -> RiskLimits:
        """No limit at all, said in words: for measuring strategies, never for trading."""
        words = {f.name: "unlimited" for f in fields(cls)}
        return cls(**{**words, "self_trade": "allow", "crossed_book": "allow"})


_FIELDS: dict[str, tuple[Limit, int]] = {
    "max_position_share": (Limit.POSITION_SHARE, PPM),
    "max_symbol_share": (Limit.SYMBOL_SHARE, PPM),
    "max_gross_exposure_share": (Limit.GROSS_SHARE, PPM),
    "max_net_exposure_share": (Limit.NET_SHARE, PPM),
    "min_cash_share": (Limit.CASH_SHARE, PPM),
    "max_daily_loss_share": (Limit.DAILY_LOSS_SHARE, PPM),
    "max_drawdown_share": (Limit.DRAWDOWN_SHARE, PPM),
    "max_orders_per_second": (Limit.ORDERS_PER_SECOND, 1),
    "max_messages_per_second": (Limit.MESSAGES_PER_SECOND, 1),
    "cancel_reserve_share": (Limit.CANCEL_RESERVE, PPM),
    "max_open_orders": (Limit.OPEN_ORDERS, 1),
    "max_order_qty": (Limit.ORDER_QTY, _MICRO),
    "max_position_qty": (Limit.POSITION_QTY, _MICRO),
    "max_order_value": (Limit.ORDER_VALUE, _MICRO),
    "price_collar_share": (Limit.COLLAR, PPM),
    "max_book_age_s": (Limit.BOOK_AGE, _SECOND_NS),
    "duplicate_window_s": (Limit.DUPLICATE_WINDOW, _SECOND_NS),
}
_SWITCHES: dict[str, Limit] = {"self_trade": Limit.SELF_TRADE, "crossed_book": Limit.CROSSED_BOOK}


def limit_number(name: str) -> int:
    """The `Limit` that a field of `RiskLimits` sets.

    Raises
    ------
    ValueError
        There is no such field.
    """
    if name in _SWITCHES:
        return int(_SWITCHES[name])
    if name not in _FIELDS:
        known = [*_FIELDS, *_SWITCHES]
        raise ValueError(f"limits: no limit {name!r}{nearest(name, known)} There are: {', '.join(known)}")
    return int(_FIELDS[name][0])


@kernel
def _effective(limit: int, own: int, account: int) -> int:
    """The stricter of two limits on a single order; for the window of duplicates the longer."""
    if limit == _DUPLICATE_WINDOW:
        if own == UNLIMITED or account == UNLIMITED:
            return min(own, account)
        return max(own, account)
    return min(own, account)


@kernel
def _in_quantity_units(risk: int, instrument: int, value: int) -> int:
    if value == UNLIMITED:
        return UNLIMITED
    unit = 1
    for _ in range(instrument_at(risk_at(risk).instruments_address, instrument).qty_decimals):
        unit *= 10
    return scale(value, unit, _MICRO)


@kernel
def _unreserved(messages: int, reserve: int) -> int:
    """Messages a second that new orders and replaces may use, the reserve of cancels rounded up."""
    if messages == UNLIMITED or reserve == UNLIMITED:
        return messages
    return messages - min(messages, -(-messages * reserve // PPM))


@kernel("b1(i8,i8,i8,i8)")
def set_limit(risk: int, scope: int, limit: int, value: int) -> bool:
    """Change one limit: the only writer of limits.

    Parameters
    ----------
    risk : int
        Address of the RISK root.
    scope : int
        Strategy, or their number for the whole account.
    limit : int
        A `Limit`.
    value : int
        In that limit's units, 0 or more; UNLIMITED for none.

    Returns
    -------
    bool
        False, and nothing is changed, when an argument is out of range or a rate is above what can be remembered.
    """
    root = risk_at(risk)
    rows = root.strategies + 1
    if scope < 0 or scope >= rows or limit < 0 or limit >= LIMIT_COUNT or value < 0:
        return False
    if limit == _ORDERS_PER_SECOND or limit == _MESSAGES_PER_SECOND:
        if value != UNLIMITED and value > root.times_mask:
            return False
    limits_at(root.limits_address, scope).values[limit] = value
    account = limits_at(root.limits_address, root.strategies).values[limit]
    first, last = scope, scope + 1
    if scope == root.strategies:
        first, last = 0, rows
    for row in range(first, last):
        own = limits_at(root.limits_address, row).values[limit]
        effective = own
        if limit >= FIRST_OF_ORDER:
            effective = _effective(limit, own, account)
        limits_at(root.limits_address, rows + row).values[limit] = effective
        if limit == _MESSAGES_PER_SECOND or limit == _CANCEL_RESERVE:
            values = limits_at(root.limits_address, row).values
            guard = guard_at(root.guards_address, row)
            guard.unreserved_messages = _unreserved(values[_MESSAGES_PER_SECOND], values[_CANCEL_RESERVE])
        if limit == _ORDER_QTY or limit == _POSITION_QTY:
            for instrument in range(root.instruments):
                pair = pair_at(root.pairs_address, row * root.instruments + instrument)
                qty = _in_quantity_units(risk, instrument, effective)
                if limit == _ORDER_QTY:
                    pair.max_order_qty = qty
                else:
                    pair.max_position_qty = qty
    return True
