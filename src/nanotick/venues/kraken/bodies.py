"""What a served Kraken says of pairs, orders, trades and balances, and how it refuses."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from nanotick.core.instruments import assets_of
from nanotick.core.records import CancelReason, CommandFlag, Kind, OrderType, RejectReason
from nanotick.venues.desk_orders import DeskOrder, Fill
from nanotick.venues.desk_terms import (
    INSUFFICIENT,
    FeeIn,
    Listing,
    Money,
    Refusal,
    VenueTerms,
    amount_text,
    kraken_ids,
)
from nanotick.venues.kraken.names import altname, asset_id, pair_id
from nanotick.wire.json_text import rfc3339_text
from nanotick.wire.kraken_trading import TIF_NAMES, TYPE_NAMES
from nanotick.wire.polygon_server import raw
from nanotick.wire.reports import Report
from nanotick.wire.requests import number_text

TERMS = VenueTerms(
    money=Money.SPOT,
    order_id=kraken_ids,
    execution_id=lambda seed, number: "T" + kraken_ids(seed, number)[1:],
    fee_in=FeeIn.QUOTE,
    fee_decimals=8,
    symbol=lambda item: "/".join(assets_of(item)),
)
_S = 1_000_000_000
_REST_STATES = {"new": "open", "partially_filled": "open", "filled": "closed"}
_POST_ONLY = int(CommandFlag.POST_ONLY)
_ACCEPTED, _FILL, _REPLACED = int(Kind.ACCEPTED), int(Kind.FILL), int(Kind.REPLACED)
_CANCELLED, _EXPIRED = int(Kind.CANCELLED), int(Kind.EXPIRED)
_STOPS = (int(OrderType.STOP), int(OrderType.STOP_LIMIT))
_REASONS = {int(CancelReason.USER): "User requested", int(CancelReason.SELF_TRADE): "Self trade prevention"}
_REFUSALS = {
    INSUFFICIENT: "EOrder:Insufficient funds",
    int(RejectReason.DUPLICATE_ID): "EOrder:Duplicate cl_ord_id",
    int(RejectReason.POST_ONLY_WOULD_CROSS): "EOrder:Post only order",
    int(RejectReason.INVALID_PRICE): "EOrder:Tick size check failed",
    int(RejectReason.INVALID_QUANTITY): "EGeneral:Invalid arguments:volume",
    int(RejectReason.MARKET_CLOSED): "EService:Market in cancel_only mode",
    int(RejectReason.HALTED): "EService:Market in cancel_only mode",
    int(RejectReason.UNKNOWN_INSTRUMENT): "EQuery:Unknown asset pair",
    int(RejectReason.UNKNOWN_ORDER): "EOrder:Unknown order",
    int(RejectReason.TOO_LATE): "EOrder:Unknown order",
    int(RejectReason.BLOCKED): "ETrade:User Locked",
    int(RejectReason.REDUCE_ONLY): "EOrder:Reduce only:No position exists",
    int(RejectReason.UNSUPPORTED): "EGeneral:Invalid arguments:ordertype",
}


class Refused(Exception):
    """A request that is not done; its text is Kraken's error."""


def refusal(found: Refusal) -> Refused:
    """Kraken's error for a desk's refusal."""
    return Refused(_REFUSALS.get(found.reason, "EGeneral:Invalid arguments"))


def digits(value: int, decimals: int) -> str:
    """Decimal text with all its decimals, as checksums are made of.

    >>> digits(50, 2), digits(5, 0)
    ('0.50', '5')
    """
    text = f"{value:0{decimals + 1}d}"
    return f"{text[:-decimals]}.{text[-decimals:]}" if decimals else text


def seconds(ns: int) -> msgspec.Raw:
    """A time as a number of seconds."""
    return raw(f"{ns // _S}.{ns % _S // 1000:06d}")


def fixed(text: str, places: int) -> str:
    """Decimal text cut or filled to so many decimals."""
    return f"{Decimal(text or '0'):.{places}f}"


def rest_name(listing: Listing) -> str:
    """REST's name of a pair."""
    return pair_id(listing.base, listing.quote)


def pair_body(listing: Listing, maker: str, taker: str, status: str = "online") -> dict[str, Any]:
    """A pair in AssetPairs."""
    base, quote = altname(listing.base), altname(listing.quote)
    item = listing.item
    return {
        "altname": base + quote, "wsname": f"{base}/{quote}", "aclass_base": "currency",
        "base": asset_id(listing.base), "aclass_quote": "currency", "quote": asset_id(listing.quote), "lot": "unit",
        "cost_decimals": min(10, listing.price_decimals + listing.qty_decimals),
        "pair_decimals": listing.price_decimals, "lot_decimals": listing.qty_decimals, "lot_multiplier": 1,
        "leverage_buy": [], "leverage_sell": [], "fees": [[0, raw(taker)]], "fees_maker": [[0, raw(maker)]],
        "fee_volume_currency": "ZUSD", "margin_call": 80, "margin_stop": 40, "ordermin": least_qty(listing),
        "costmin": item.min_notional or "0", "tick_size": item.tick_size, "status": status,
    }  # fmt: skip


def least_qty(listing: Listing) -> str:
    """The smallest order, decimal text."""
    least = max(Decimal(listing.item.min_qty or "0"), Decimal(listing.item.lot_size))
    return f"{least:f}"


def described(order: DeskOrder) -> str:
    """An order in words."""
    pair = altname(order.listing.base) + altname(order.listing.quote)
    kind = TYPE_NAMES.get(order.order_type, "limit")
    side = "buy" if order.side > 0 else "sell"
    head = f"{side} {digits(order.qty_units, order.listing.qty_decimals)} {pair} @ "
    price, stop = _price(order, order.price_units), _price(order, order.stop_units)
    if kind == "market":
        return head + "market"
    if kind == "limit":
        return f"{head}limit {price}"
    return f"{head}stop loss {stop}" + (f" -> limit {price}" if kind == "stop-loss-limit" else "")


def _price(order: DeskOrder, units: int) -> str:
    return digits(units, order.listing.price_decimals)


def order_body(order: DeskOrder, trades: bool = False) -> dict[str, Any]:
    """An order as OpenOrders, ClosedOrders and QueryOrders show it."""
    listing = order.listing
    kind, price = TYPE_NAMES.get(order.order_type, "limit"), _price(order, order.price_units)
    stop = _price(order, order.stop_units)
    first, second = (stop, price if kind == "stop-loss-limit" else "0") if order.stop_units else (price, "0")
    fee = amount_text(order.fees.get(listing.quote, 0))
    body: dict[str, Any] = {
        "refid": None, "userref": None, "cl_ord_id": order.client or None,
        "status": _REST_STATES.get(order.basic, order.basic), "opentm": seconds(order.created_ns), "starttm": 0,
        "expiretm": seconds(order.expire_ns) if order.expire_ns else 0,
        "descr": {"pair": altname(listing.base) + altname(listing.quote), "type": "buy" if order.side > 0 else "sell",
                  "ordertype": kind, "price": first, "price2": second, "leverage": "none", "order": described(order),
                  "close": ""},
        "vol": digits(order.qty_units, listing.qty_decimals),
        "vol_exec": digits(order.filled_units, listing.qty_decimals),
        "cost": fixed(order.value_text, 8), "fee": fixed(fee, 8), "price": fixed(order.average_price, 8),
        "stopprice": stop if order.stop_units else "0.00000", "limitprice": "0.00000", "misc": "",
        "oflags": "fciq,post" if order.flags & _POST_ONLY else "fciq",
        "timeinforce": TIF_NAMES.get(order.tif, "gtc").upper(),
    }  # fmt: skip
    if not order.open:
        body |= {"closetm": seconds(order.ended_ns), "reason": _REASONS.get(order.reason)}
    if trades and order.fills:
        body["trades"] = [fill.execution for fill in order.fills]
    return body


def trade_body(fill: Fill) -> dict[str, Any]:
    """A trade as TradesHistory and QueryTrades show it."""
    order, listing = fill.order, fill.order.listing
    cost = number_text(fill.price * fill.qty * listing.value_unit, 18)
    return {
        "ordertxid": order.order, "postxid": fill.execution, "pair": rest_name(listing), "time": seconds(fill.ts),
        "type": "buy" if order.side > 0 else "sell", "ordertype": TYPE_NAMES.get(order.order_type, "limit"),
        "price": digits(fill.price, listing.price_decimals), "cost": fixed(cost, 8), "fee": fixed(fill.fee_text, 8),
        "vol": digits(fill.qty, listing.qty_decimals), "margin": "0.00000000", "leverage": "0", "misc": "",
        "trade_id": fill.trade, "maker": fill.maker,
    }  # fmt: skip


# --- executions ---------------------------------------------------------------------------------------------------


def _head(order: DeskOrder, kind: str, state: str, now: int) -> dict[str, Any]:
    item: dict[str, Any] = {
        "exec_type": kind, "order_id": order.order, "symbol": order.symbol,
        "side": "buy" if order.side > 0 else "sell", "order_type": TYPE_NAMES.get(order.order_type, "limit"),
        "order_qty": raw(order.qty), "order_status": state, "cum_qty": raw(order.filled),
        "cum_cost": raw(order.value_text), "avg_price": raw(order.average_price),
        "time_in_force": TIF_NAMES.get(order.tif, "gtc"), "timestamp": rfc3339_text(now),
    }  # fmt: skip
    if order.client:
        item["cl_ord_id"] = order.client
    if order.price:
        item["limit_price"] = raw(order.price)
    if order.flags & _POST_ONLY:
        item["post_only"] = True
    if order.stop:
        item["triggers"] = {"reference": "last", "price": raw(order.stop), "price_type": "static"}
    return item


def execution_rows(report: Report, order: DeskOrder) -> list[list[dict[str, Any]]]:
    """What the executions channel says of a report: the rows of each of its messages, none for what it does not say.

    A trade may complete its order and still say `partially_filled`; `filled` follows in a message of its own.
    """
    now = report.ts_venue
    if report.kind == _ACCEPTED:
        return [[_head(order, "pending_new", "pending_new", now)], [_head(order, "new", "new", now)]]
    if report.kind == _REPLACED:
        return [[_head(order, "amended", "partially_filled" if order.filled_units else "new", now)]]
    if report.kind == _FILL:
        fill = next(fill for fill in reversed(order.fills) if fill.execution == report.execution)
        item = _head(order, "trade", "partially_filled", now)
        item |= {
            "exec_id": fill.execution, "trade_id": fill.trade, "last_qty": raw(report.qty),
            "last_price": raw(report.price), "liquidity_ind": "m" if report.maker else "t",
            "cost": raw(number_text(fill.price * fill.qty * order.listing.value_unit, 18)),
            "fees": [{"asset": report.fee_asset, "qty": raw(report.fee)}] if report.fee_asset else [],
        }  # fmt: skip
        done = [[_head(order, "filled", "filled", now)]] if order.basic == "filled" else []
        return [[item], *done]
    if report.kind in (_CANCELLED, _EXPIRED):
        kind = "canceled" if report.kind == _CANCELLED else "expired"
        item = _head(order, kind, kind, now)
        item["reason"] = _REASONS.get(report.reason, "Order canceled")
        return [[item]]
    return []


def executions(kind: str, rows: Iterable[dict[str, Any]], sequence: int) -> bytes:
    """A frame of the executions channel."""
    return msgspec.json.encode({"channel": "executions", "type": kind, "data": list(rows), "sequence": sequence})


def open_order_row(order: DeskOrder, now: int) -> dict[str, Any]:
    """An open order in the snapshot."""
    return _head(order, "status", order.basic, now)
