"""What a served Coinbase says of products, orders, fills and accounts, and how it refuses."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from nanotick.core.instruments import assets_of
from nanotick.core.records import CommandFlag, OrderType, RejectReason
from nanotick.venues.desk_orders import DeskOrder, Fill
from nanotick.venues.desk_terms import (
    INSUFFICIENT,
    ClientRule,
    FeeIn,
    Listing,
    Money,
    Refusal,
    VenueTerms,
    amount_text,
    uuid_ids,
)
from nanotick.wire.coinbase_trading import CONFIGURATIONS
from nanotick.wire.json_text import rfc3339_text
from nanotick.wire.reports import Balance
from nanotick.wire.requests import Response

TERMS = VenueTerms(
    money=Money.SPOT,
    order_id=uuid_ids,
    execution_id=uuid_ids,
    client_ids=ClientRule.EVER,
    fee_in=FeeIn.QUOTE,
    states={
        "new": "OPEN", "partially_filled": "OPEN", "filled": "FILLED", "canceled": "CANCELLED", "expired": "EXPIRED",
    },
    symbol=lambda item: "-".join(assets_of(item)),
)  # fmt: skip
_JSON = (("Content-Type", "application/json"),)
_POST_ONLY = int(CommandFlag.POST_ONLY)
_TIFS = {0: "GOOD_UNTIL_CANCELLED", 2: "IMMEDIATE_OR_CANCEL", 3: "FILL_OR_KILL", 4: "GOOD_UNTIL_DATE_TIME"}
_REFUSALS = {
    INSUFFICIENT: ("INSUFFICIENT_FUND", "Insufficient balance in source account"),
    int(RejectReason.DUPLICATE_ID): ("DUPLICATE_CLIENT_ORDER_ID", "Duplicate client order id"),
    int(RejectReason.POST_ONLY_WOULD_CROSS): ("INVALID_LIMIT_PRICE_POST_ONLY", "Post only limit price would cross"),
    int(RejectReason.INVALID_PRICE): ("INVALID_PRICE_PRECISION", "Too many decimals in order price"),
    int(RejectReason.INVALID_QUANTITY): ("INVALID_SIZE_PRECISION", "Too many decimals in order amount, or too small"),
    int(RejectReason.MARKET_CLOSED): ("TRADING_DISABLED", "Trading is disabled"),
    int(RejectReason.HALTED): ("TRADING_DISABLED", "Trading is disabled"),
    int(RejectReason.UNKNOWN_INSTRUMENT): ("INVALID_PRODUCT_ID", "Invalid product_id"),
    int(RejectReason.UNKNOWN_ORDER): ("UNKNOWN_CANCEL_ORDER", "Order not found"),
    int(RejectReason.TOO_LATE): ("UNKNOWN_CANCEL_ORDER", "Order is not open"),
    int(RejectReason.BLOCKED): ("INELIGIBLE_PAIR", "Account may not trade"),
}  # fmt: skip


class Refused(Exception):
    """A request that is not answered well.

    Parameters
    ----------
    status : int
        Of HTTP.
    """

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message)
        self.status, self.error, self.message = status, error, message

    def response(self) -> Response:
        """The answer."""
        body = {"error": self.error, "error_details": self.message, "message": self.message}
        return Response(self.status, _JSON, msgspec.json.encode(body))


def good(body: Any) -> Response:
    """A good answer."""
    return Response(200, _JSON, msgspec.json.encode(body))


def reason_of(found: Refusal) -> tuple[str, str]:
    """Coinbase's name for a desk's refusal, and its words."""
    return _REFUSALS.get(found.reason, ("UNKNOWN_FAILURE_REASON", found.words))


def not_placed(name: str, words: str) -> dict[str, Any]:
    """The answer to an order that is not taken: HTTP 200."""
    return {
        "success": False, "failure_reason": "UNKNOWN_FAILURE_REASON", "order_id": "",
        "error_response": {"error": name, "message": words, "error_details": "",
                           "preview_failure_reason": f"PREVIEW_{name}"},
    }  # fmt: skip


def placed(order: DeskOrder) -> dict[str, Any]:
    """The answer to an order that is taken."""
    return {
        "success": True, "failure_reason": "UNKNOWN_FAILURE_REASON", "order_id": order.order,
        "success_response": {"order_id": order.order, "product_id": order.symbol,
                             "side": "BUY" if order.side > 0 else "SELL", "client_order_id": order.client},
        "order_configuration": configuration_of(order),
    }  # fmt: skip


def configuration_of(order: DeskOrder) -> dict[str, Any]:
    """The order_configuration of an order."""
    name = CONFIGURATIONS.get((order.order_type, order.tif), "limit_limit_gtc")
    if order.order_type == OrderType.MARKET:
        name = "market_market_ioc"
    held: dict[str, Any] = {"base_size": order.qty}
    if order.price:
        held["limit_price"] = order.price
    if order.stop:
        held["stop_price"] = order.stop
        held["stop_direction"] = "STOP_DIRECTION_STOP_UP" if order.side > 0 else "STOP_DIRECTION_STOP_DOWN"
    if name.startswith("limit_limit_gt"):
        held["post_only"] = bool(order.flags & _POST_ONLY)
    if order.expire_ns:
        held["end_time"] = rfc3339_text(order.expire_ns)
    return {name: held}


def fees_of(order: DeskOrder) -> str:
    """Fees paid on an order, in the quote asset."""
    return amount_text(order.fees.get(order.listing.quote, 0))


def order_body(order: DeskOrder) -> dict[str, Any]:
    """An order as REST shows it."""
    names = {int(OrderType.MARKET): "MARKET", int(OrderType.LIMIT): "LIMIT", int(OrderType.STOP_LIMIT): "STOP_LIMIT"}
    share = Decimal(order.filled) / Decimal(order.qty) * 100
    last = rfc3339_text(order.fills[-1].ts) if order.fills else None
    return {
        "order_id": order.order, "product_id": order.symbol, "user_id": order.account.number,
        "order_configuration": configuration_of(order), "side": "BUY" if order.side > 0 else "SELL",
        "client_order_id": order.client, "status": order.state,
        "time_in_force": _TIFS.get(order.tif, "GOOD_UNTIL_CANCELLED"), "created_time": rfc3339_text(order.created_ns),
        "completion_percentage": f"{share:.2f}", "filled_size": order.filled,
        "average_filled_price": order.average_price, "fee": "", "number_of_fills": str(len(order.fills)),
        "filled_value": order.value_text, "pending_cancel": False, "size_in_quote": False, "total_fees": fees_of(order),
        "size_inclusive_of_fees": False, "total_value_after_fees": order.value_text, "trigger_status": "",
        "order_type": names.get(order.order_type, "LIMIT"), "reject_reason": "REJECT_REASON_UNSPECIFIED",
        "settled": order.basic == "filled", "product_type": "SPOT", "reject_message": "", "cancel_message": "",
        "last_fill_time": last,
    }  # fmt: skip


def fill_body(fill: Fill) -> dict[str, Any]:
    """A line of the fills list."""
    order = fill.order
    return {
        "entry_id": fill.execution, "trade_id": fill.execution, "order_id": order.order,
        "trade_time": rfc3339_text(fill.ts), "trade_type": "FILL", "price": fill.price_text, "size": fill.qty_text,
        "commission": fill.fee_text, "product_id": order.symbol, "sequence_timestamp": rfc3339_text(fill.ts),
        "liquidity_indicator": "MAKER" if fill.maker else "TAKER", "size_in_quote": False,
        "user_id": order.account.number, "side": "BUY" if order.side > 0 else "SELL",
    }  # fmt: skip


def account_row(item: Balance) -> dict[str, Any]:
    """A line of the accounts list."""
    asset = item.asset
    kind = "ACCOUNT_TYPE_FIAT" if asset in ("USD", "EUR", "GBP") else "ACCOUNT_TYPE_CRYPTO"
    return {
        "uuid": asset, "name": f"{asset} Wallet", "currency": asset, "default": True, "active": True, "type": kind,
        "ready": True, "available_balance": {"value": item.free, "currency": asset},
        "hold": {"value": item.locked, "currency": asset},
    }  # fmt: skip


def wallet_row(item: Balance) -> dict[str, Any]:
    """A line of the older accounts list (v2), which does not tell what is held."""
    kind = "fiat" if item.asset in ("USD", "EUR", "GBP") else "wallet"
    total = f"{Decimal(item.free) + Decimal(item.locked):f}"
    return {
        "id": item.asset, "name": f"{item.asset} Wallet", "primary": False, "type": kind,
        "currency": {"code": item.asset, "name": item.asset}, "balance": {"amount": total, "currency": item.asset},
    }  # fmt: skip


def product_body(listing: Listing, last: str) -> dict[str, Any]:
    """A product."""
    item = listing.item
    lot = item.lot_size
    return {
        "product_id": listing.symbol, "price": last, "base_increment": lot, "quote_increment": item.tick_size,
        "price_increment": item.tick_size, "quote_min_size": item.min_notional or "0", "quote_max_size": "150000000",
        "base_min_size": item.min_qty if Decimal(item.min_qty or "0") else lot, "base_max_size": "1000000",
        "base_name": listing.base, "quote_name": listing.quote, "status": "online", "cancel_only": False,
        "limit_only": False, "post_only": False, "trading_disabled": False, "auction_mode": False,
        "product_type": "SPOT", "quote_currency_id": listing.quote, "base_currency_id": listing.base,
        "base_display_symbol": listing.base, "quote_display_symbol": listing.quote, "view_only": False, "alias": "",
        "alias_to": [], "is_disabled": False, "new": False,
    }  # fmt: skip
