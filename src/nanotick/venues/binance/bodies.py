"""What a served Binance says of orders, fills and balances, and how it refuses. Numbers are text of eight decimals."""

from __future__ import annotations

from typing import Any

import msgspec

from nanotick.core.records import CancelReason, Kind
from nanotick.venues.desk_orders import DeskOrder, Fill
from nanotick.venues.desk_terms import FeeIn, Money, VenueTerms, number_ids
from nanotick.wire.binance_orders import TIF_NAMES, TYPE_NAMES
from nanotick.wire.reports import Balance, Report
from nanotick.wire.requests import Response, number_text

TERMS = VenueTerms(
    money=Money.SPOT,
    order_id=number_ids,
    execution_id=number_ids,
    fee_in=FeeIn.RECEIVED,
    fee_decimals=8,
    states={
        "new": "NEW", "partially_filled": "PARTIALLY_FILLED", "filled": "FILLED", "canceled": "CANCELED",
        "expired": "EXPIRED", "replaced": "CANCELED",
    },
)  # fmt: skip
PREVENTION = "EXPIRE_TAKER"  # what the desk does when an order would meet one of its own account
_JSON = (("Content-Type", "application/json;charset=UTF-8"),)
_MS = 1_000_000
_ZERO = "0.00000000"
_USER, _SELF = int(CancelReason.USER), int(CancelReason.SELF_TRADE)
_ACCEPTED, _FILL, _EXPIRED, _TRIGGERED = int(Kind.ACCEPTED), int(Kind.FILL), int(Kind.EXPIRED), int(Kind.TRIGGERED)


class Refused(Exception):
    """A request that is not done.

    Parameters
    ----------
    code : int
        Binance's error code.
    status : int
        Of HTTP, and of the WebSocket API.
    data : dict, optional
        What the error says besides.
    retry_ns : int
        Time from which requests are taken again, ns UTC.
    """

    def __init__(
        self, code: int, words: str, status: int = 400, data: dict[str, Any] | None = None, retry_ns: int = 0
    ) -> None:
        super().__init__(words)
        self.code, self.words, self.status, self.data, self.retry_ns = code, words, status, data, retry_ns


def eight(text: str) -> str:
    """Decimal text with eight decimals.

    >>> eight("95000.5"), eight("2"), eight("")
    ('95000.50000000', '2.00000000', '0.00000000')
    """
    whole, _, fraction = text.partition(".")
    return f"{whole or '0'}.{fraction:0<8}"


def response(body: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """A REST answer."""
    return Response(status, (*_JSON, *headers), msgspec.json.encode(body))


def refusal(refused: Refused, now: int, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """A REST answer that refuses."""
    if refused.retry_ns:
        headers = (*headers, ("Retry-After", str(max(1, -(-(refused.retry_ns - now) // 10**9)))))
    body: dict[str, Any] = {"code": refused.code, "msg": refused.words}
    if refused.data is not None:
        body["data"] = refused.data
    return response(body, refused.status, headers)


def type_of(order: DeskOrder) -> str:
    """Binance's name of an order's type."""
    return "LIMIT_MAKER" if order.flags & 1 else TYPE_NAMES.get(order.order_type, "LIMIT")


def state_of(order: DeskOrder) -> str:
    """Binance's name of an order's state."""
    if order.basic == "canceled" and order.reason != _USER:
        return "EXPIRED_IN_MATCH" if order.reason == _SELF else "EXPIRED"
    return order.state


def value_of(order: DeskOrder) -> str:
    """Amount of the quote asset traded, cut to eight decimals."""
    return number_text(order.value // 10**10, 8)


def order_body(order: DeskOrder) -> dict[str, Any]:
    """An order as a query shows it."""
    return {
        "symbol": order.symbol, "orderId": int(order.order), "orderListId": -1, "clientOrderId": order.client,
        "price": eight(order.price), "origQty": eight(order.qty), "executedQty": eight(order.filled),
        "cummulativeQuoteQty": eight(value_of(order)), "status": state_of(order),
        "timeInForce": TIF_NAMES.get(order.tif, "GTC"), "type": type_of(order), "side": side_of(order.side),
        "stopPrice": eight(order.stop), "icebergQty": _ZERO, "time": order.created_ns // _MS,
        "updateTime": order.updated_ns // _MS, "isWorking": is_working(order), "workingTime": order.created_ns // _MS,
        "origQuoteOrderQty": _ZERO, "selfTradePreventionMode": PREVENTION,
    }  # fmt: skip


def is_working(order: DeskOrder) -> bool:
    """Whether an order is, or was, in the book: a stop is not before it has triggered."""
    return not order.stop_units or order.triggered


def side_of(side: int) -> str:
    """BUY or SELL."""
    return "BUY" if side > 0 else "SELL"


def ack_body(order: DeskOrder) -> dict[str, Any]:
    """The answer to a new order that says least."""
    return {"symbol": order.symbol, "orderId": int(order.order), "orderListId": -1, "clientOrderId": order.client,
            "transactTime": order.created_ns // _MS}  # fmt: skip


def placed_body(order: DeskOrder, form: str) -> dict[str, Any]:
    """The answer to a new order: ACK, RESULT or FULL."""
    body = ack_body(order)
    if form == "ACK":
        return body
    body |= {
        "price": eight(order.price), "origQty": eight(order.qty), "executedQty": eight(order.filled),
        "origQuoteOrderQty": _ZERO, "cummulativeQuoteQty": eight(value_of(order)), "status": state_of(order),
        "timeInForce": TIF_NAMES.get(order.tif, "GTC"), "type": type_of(order), "side": side_of(order.side),
        "workingTime": order.created_ns // _MS, "selfTradePreventionMode": PREVENTION,
    }  # fmt: skip
    if order.stop:
        body["stopPrice"] = eight(order.stop)
    if form == "FULL":
        body["fills"] = [
            {"price": eight(fill.price_text), "qty": eight(fill.qty_text), "commission": fee_text(fill),
             "commissionAsset": fill.fee_asset, "tradeId": fill.trade}
            for fill in order.fills
        ]  # fmt: skip
    return body


def cancelled_body(order: DeskOrder, cancel_client: str) -> dict[str, Any]:
    """The answer to a cancel."""
    body = placed_body(order, "RESULT")
    del body["workingTime"]
    return body | {
        "origClientOrderId": order.client, "clientOrderId": cancel_client, "transactTime": order.updated_ns // _MS,
    }  # fmt: skip


def fee_text(fill: Fill) -> str:
    """Commission."""
    return eight(fill.fee_text)


def fill_body(fill: Fill) -> dict[str, Any]:
    """A line of myTrades."""
    order, listing = fill.order, fill.order.listing
    return {
        "symbol": order.symbol, "id": fill.trade, "orderId": int(order.order), "orderListId": -1,
        "price": eight(fill.price_text), "qty": eight(fill.qty_text),
        "quoteQty": eight(number_text(fill.price * fill.qty * listing.value_unit // 10**10, 8)),
        "commission": fee_text(fill), "commissionAsset": fill.fee_asset, "time": fill.ts // _MS,
        "isBuyer": order.side > 0, "isMaker": fill.maker, "isBestMatch": True,
    }  # fmt: skip


def execution_report(report: Report, order: DeskOrder, cancel_client: str) -> dict[str, Any] | None:
    """The event of something that happened to an order; None for what Binance does not tell."""
    kind, state = report.kind, state_of(order)
    fill = order.fills[-1] if kind == _FILL else None
    if kind == _TRIGGERED:
        name = "NEW"  # a stop enters the book
    elif fill is not None:
        name = "TRADE"
    elif kind == _ACCEPTED:
        name, state = "NEW", "NEW"
    elif kind == int(Kind.CANCELLED) or kind == _EXPIRED:
        name = {"EXPIRED_IN_MATCH": "TRADE_PREVENTION", "CANCELED": "CANCELED"}.get(state, "EXPIRED")
    else:
        return None
    cancelled = name == "CANCELED" and bool(cancel_client)
    stamp = report.ts_venue // _MS
    quote = _ZERO if fill is None else eight(number_text(fill.price * fill.qty * order.listing.value_unit // 10**10, 8))
    return {
        "e": "executionReport", "E": stamp, "s": order.symbol, "c": cancel_client if cancelled else order.client,
        "S": side_of(order.side), "o": type_of(order), "f": TIF_NAMES.get(order.tif, "GTC"), "q": eight(order.qty),
        "p": eight(order.price), "P": eight(order.stop), "F": _ZERO, "g": -1, "C": order.client if cancelled else "",
        "x": name, "X": state, "r": "NONE", "i": int(order.order), "l": eight(fill.qty_text) if fill else _ZERO,
        "z": eight(order.filled), "L": eight(fill.price_text) if fill else _ZERO, "n": fee_text(fill) if fill else "0",
        "N": fill.fee_asset if fill else None, "T": stamp, "t": fill.trade if fill else -1,
        "I": order.number * 100 + len(order.fills), "w": is_working(order) and order.open,
        "m": fill.maker if fill else False, "M": fill is not None, "O": order.created_ns // _MS,
        "Z": eight(value_of(order)), "Y": quote, "Q": _ZERO, "W": order.created_ns // _MS, "V": PREVENTION,
    }  # fmt: skip


def account_position(balances: list[Balance], now: int) -> dict[str, Any]:
    """An outboundAccountPosition event."""
    rows = [{"a": item.asset, "f": cut(item.free), "l": cut(item.locked)} for item in balances]
    return {"e": "outboundAccountPosition", "E": now // _MS, "u": now // _MS, "B": rows}


def cut(text: str) -> str:
    """Decimal text cut to eight decimals."""
    return eight(text)[: eight(text).index(".") + 9]
