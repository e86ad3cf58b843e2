"""What a served Alpaca says: orders, positions, account, assets, fills, errors, as REST and streams show them.

Numbers of money and quantity are text, as at Alpaca. Source: docs.alpaca.markets, Trading API.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from nanotick.core.records import OrderType
from nanotick.venues.desk_accounts import DeskAccount, MarginLedger
from nanotick.venues.desk_orders import DeskOrder, Fill
from nanotick.venues.desk_terms import Listing, amount_text
from nanotick.venues.stamps import stamp
from nanotick.wire.alpaca_trading import TIFS, TYPES
from nanotick.wire.requests import Response, number_text

JSON = (("Content-Type", "application/json; charset=UTF-8"),)
_STOPPED = (int(OrderType.STOP), int(OrderType.STOP_LIMIT))
_RATIO_PLACES = 10
_TYPE_NAMES = {int(code): name for code, name in TYPES.items()}
_ENDED_AT = {"filled": "filled_at", "canceled": "canceled_at", "expired": "expired_at", "replaced": "replaced_at"}
_encode = msgspec.json.encode


class Extra:
    """What Alpaca knows of an order beyond the desk: its class and legs, trailing, flags."""

    __slots__ = (
        "created", "created_ns", "extended", "hwm", "legs", "order_class", "parent", "status",
        "trail_percent", "trail_price",
    )  # fmt: skip

    def __init__(self, created_ns: int) -> None:
        self.created_ns, self.created = created_ns, stamp(created_ns)
        self.order_class = ""
        self.extended = False
        self.legs: list[Any] = []  # DeskOrder, or Held for those that wait
        self.parent: Any = None
        self.trail_percent = self.trail_price = self.hwm = ""
        self.status = ""  # said instead of the order's own, for instance pending_new in the answer to its request


def identity(*parts: object) -> str:
    """A UUID made of names: assets and accounts have the same in every run."""
    text = hashlib.blake2b(":".join(map(str, parts)).encode(), digest_size=16).hexdigest()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:]}"


_ASSETS: dict[str, str] = {}


def asset_id(symbol: str) -> str:
    """Of a symbol."""
    found = _ASSETS.get(symbol)
    if found is None:
        found = _ASSETS[symbol] = identity("asset", symbol)
    return found


def extra_of(order: DeskOrder) -> Extra:
    """The extra of an order, made at first use; of one that replaces another, made from that one's."""
    extra: Extra | None = order.tag
    if extra is None or extra.created_ns != order.created_ns:
        old, extra = extra, Extra(order.created_ns)
        if old is not None:
            for name in ("extended", "hwm", "legs", "order_class", "parent", "trail_percent", "trail_price"):
                setattr(extra, name, getattr(old, name))
        order.tag = extra
    return extra


def order_body(order: DeskOrder, nested: bool = True) -> dict[str, Any]:
    """An order."""
    extra = extra_of(order)
    trailing = bool(extra.trail_percent or extra.trail_price)
    kind = "trailing_stop" if trailing else _TYPE_NAMES.get(order.order_type, "limit")
    updated = extra.created if order.updated_ns == order.created_ns else stamp(order.updated_ns)
    basic = order.basic
    ended = _ENDED_AT.get(basic)
    body: dict[str, Any] = {
        "id": order.order, "client_order_id": order.client, "created_at": extra.created, "updated_at": updated,
        "submitted_at": extra.created, "filled_at": None, "expired_at": None, "canceled_at": None, "failed_at": None,
        "replaced_at": None, "replaced_by": order.replaced_by or None, "replaces": order.replaces or None,
        "asset_id": asset_id(order.symbol), "symbol": order.symbol, "asset_class": "us_equity", "notional": None,
        "qty": order.qty, "filled_qty": order.filled,
        "filled_avg_price": order.average_price if order.filled_units else None, "order_class": extra.order_class,
        "order_type": kind, "type": kind, "side": "buy" if order.side > 0 else "sell",
        "time_in_force": TIFS.get(order.tif, "gtc"), "limit_price": order.price or None,
        "stop_price": order.stop or None, "status": extra.status or order.state, "extended_hours": extra.extended,
        "legs": None, "trail_percent": extra.trail_percent or None, "trail_price": extra.trail_price or None,
        "hwm": extra.hwm or None, "subtag": None, "source": None,
    }  # fmt: skip
    if ended is not None:
        body[ended] = stamp(order.ended_ns)
    if nested and extra.legs:
        body["legs"] = [order_body(leg) if isinstance(leg, DeskOrder) else leg.body() for leg in extra.legs]
    return body


def good(body: Any, status: int = 200) -> Response:
    """An answer with a body."""
    return Response(status, JSON, _encode(body))


def error(status: int, code: int, message: str, **more: Any) -> Response:
    """An error; `more` are fields Alpaca adds to this one."""
    return Response(status, JSON, _encode({"code": code, "message": message, **more}))


def update(event: str, order: DeskOrder, now: int, execution: str, fill: Fill | None = None) -> bytes:
    """A `trade_updates` frame."""
    data: dict[str, Any] = {
        "at": stamp(now), "event": event, "event_id": identity(order.order, event, now, execution),
        "execution_id": execution, "order": order_body(order), "timestamp": stamp(now),
    }  # fmt: skip
    if fill is not None:
        listing = order.listing
        data["price"], data["qty"] = listing.price_text(fill.price), listing.qty_text(fill.qty)
        data["position_qty"] = listing.qty_text(fill.position)
    return _encode({"stream": "trade_updates", "data": data})


def ratio(amount: int, base: int) -> str:
    """A quotient of two amounts as text."""
    if base == 0:
        return "0"
    scaled = amount * 10**_RATIO_PLACES // base
    return number_text(scaled, _RATIO_PLACES)


def position_body(ledger: MarginLedger, listing: Listing, mark: int, opening: int) -> dict[str, Any]:
    """A position; `mark` is the price now and `opening` that of the day's beginning, in price units."""
    qty, cost = ledger.positions[listing.number]
    unit = listing.value_unit
    value = qty * mark * unit
    signed_cost = cost if qty > 0 else -cost
    profit = value - signed_cost
    mean = cost * 10**18 // (abs(qty) * listing.qty_unit) // 10**10 * 10**10
    available = ledger.available(listing.number)
    return {
        "asset_id": asset_id(listing.symbol), "symbol": listing.symbol, "exchange": "NASDAQ",
        "asset_class": "us_equity", "asset_marginable": True, "qty": listing.qty_text(qty),
        "avg_entry_price": amount_text(mean), "side": "long" if qty > 0 else "short",
        "market_value": amount_text(value), "cost_basis": amount_text(signed_cost),
        "unrealized_pl": amount_text(profit), "unrealized_plpc": ratio(profit, cost),
        "unrealized_intraday_pl": amount_text(profit), "unrealized_intraday_plpc": ratio(profit, cost),
        "current_price": listing.price_text(mark), "lastday_price": listing.price_text(opening),
        "change_today": ratio((mark - opening) * unit, opening * unit),
        "qty_available": listing.qty_text(available if qty > 0 else -available),
    }  # fmt: skip


def account_body(account: DeskAccount, created: str, opening_equity: int) -> dict[str, Any]:
    """The account."""
    ledger = account.ledger
    assert isinstance(ledger, MarginLedger)
    long, short = ledger.exposure()
    equity = ledger.cash + long - short
    power = amount_text(max(0, ledger.power()))
    cash, gross = amount_text(ledger.cash), long + short
    blocked = account.terms.blocked
    return {
        "id": identity("account", account.number), "admin_configurations": {}, "user_configurations": None,
        "account_number": account.number, "status": "ACTIVE", "crypto_status": "INACTIVE", "currency": "USD",
        "buying_power": power, "regt_buying_power": power, "daytrading_buying_power": power,
        "effective_buying_power": power, "non_marginable_buying_power": amount_text(max(0, ledger.cash)),
        "options_buying_power": "0", "options_approved_level": 0, "options_trading_level": 0, "cash": cash,
        "accrued_fees": "0", "pending_transfer_in": "0", "portfolio_value": amount_text(equity),
        "pattern_day_trader": False, "trading_blocked": blocked, "transfers_blocked": False, "account_blocked": blocked,
        "created_at": created, "trade_suspended_by_user": False, "multiplier": str(account.terms.multiplier),
        "shorting_enabled": account.terms.shorting, "equity": amount_text(equity),
        "last_equity": amount_text(opening_equity), "long_market_value": amount_text(long),
        "short_market_value": amount_text(-short), "position_market_value": amount_text(gross),
        "initial_margin": amount_text(gross // 2), "maintenance_margin": amount_text(gross * 3 // 10),
        "last_maintenance_margin": "0", "sma": "0", "daytrade_count": 0,
        "balance_asof": created[:10], "crypto_tier": 0, "intraday_adjustments": "0", "pending_reg_taf_fees": "0",
    }  # fmt: skip


def asset_body(listing: Listing) -> dict[str, Any]:
    """An asset."""
    return {
        "id": asset_id(listing.symbol), "class": "us_equity", "exchange": "NASDAQ", "symbol": listing.symbol,
        "name": f"{listing.symbol} Common Stock", "status": "active", "tradable": True, "marginable": True,
        "maintenance_margin_requirement": 30, "margin_requirement_long": "30", "margin_requirement_short": "30",
        "shortable": True, "easy_to_borrow": True, "fractionable": False, "attributes": [],
    }  # fmt: skip


def activity_id(fill: Fill) -> str:
    """Of a fill: its time to the millisecond, and the execution."""
    digits = "".join(c for c in stamp(fill.ts)[:19] if c.isdigit())
    return f"{digits}{fill.ts // 1_000_000 % 1_000:03d}::{fill.execution}"


def activity_body(account: DeskAccount, fill: Fill) -> dict[str, Any]:
    """A fill as an activity."""
    order, listing = fill.order, fill.order.listing
    left = order.qty_units - fill.filled
    side = "buy" if order.side > 0 else "sell" if fill.position >= 0 else "sell_short"
    return {
        "id": activity_id(fill), "account_id": identity("account", account.number), "activity_type": "FILL",
        "transaction_time": stamp(fill.ts), "type": "fill" if left <= 0 else "partial_fill",
        "price": fill.price_text, "qty": fill.qty_text, "side": side, "symbol": order.symbol,
        "leaves_qty": listing.qty_text(max(0, left)), "order_id": order.order, "cum_qty": listing.qty_text(fill.filled),
        "order_status": "filled" if left <= 0 else "partially_filled",
    }  # fmt: skip
