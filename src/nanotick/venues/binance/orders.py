"""Orders of a served Binance: place, test, cancel, cancel and replace. Source: binance-spot-api-docs, rest-api.md."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING, Any

from nanotick.core.records import OrderType, RejectReason
from nanotick.venues.binance.bodies import PREVENTION, Refused, cancelled_body, order_body, placed_body
from nanotick.venues.binance.rules import TYPES, Filters, number
from nanotick.venues.desk_accounts import DeskAccount
from nanotick.venues.desk_orders import DeskOrder
from nanotick.venues.desk_terms import INSUFFICIENT, Refusal
from nanotick.wire.binance_orders import TIF_NAMES, TYPE_NAMES
from nanotick.wire.requests import Entry

if TYPE_CHECKING:
    from nanotick.venues.binance.methods import Methods

Params = Mapping[str, str]
_TYPE_OF = {name: code for code, name in TYPE_NAMES.items()} | {"LIMIT_MAKER": int(OrderType.LIMIT)}
_TIF_OF = {name: code for code, name in TIF_NAMES.items()}
_CLIENT_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:/_-")
_STOPS = (int(OrderType.STOP), int(OrderType.STOP_LIMIT))
_NOT_PLACED = {
    int(RejectReason.DUPLICATE_ID): (-2010, "Duplicate order sent."),
    INSUFFICIENT: (-2010, "Account has insufficient balance for requested action."),
    int(RejectReason.POST_ONLY_WOULD_CROSS): (-2010, "Order would immediately match and take."),
    int(RejectReason.MARKET_CLOSED): (-1013, "Market is closed."),
    int(RejectReason.HALTED): (-1013, "Market is closed."),
    int(RejectReason.INVALID_PRICE): (-1013, "Filter failure: PRICE_FILTER"),
    int(RejectReason.INVALID_QUANTITY): (-1013, "Filter failure: LOT_SIZE"),
    int(RejectReason.BLOCKED): (-2010, "This action is disabled on this account."),
    int(RejectReason.UNSUPPORTED): (-1116, "Invalid orderType."),
}


def client_of(params: Params, name: str) -> str:
    """A client order id; empty if none is given.

    Raises
    ------
    Refused
    """
    text = params.get(name, "")
    if len(text) > 36 or not _CLIENT_LETTERS.issuperset(text):
        raise Refused(
            -1100, f"Illegal characters found in parameter '{name}'; legal range is '^[\\.A-Z\\:/a-z0-9_-]{{1,36}}$'."
        )
    return text


def _missing(name: str) -> Refused:
    return Refused(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


class Orders:
    """The order methods."""

    def __init__(self, methods: Methods) -> None:
        self._methods = methods
        self.desk = methods.desk
        self.filters = {
            symbol: Filters(listing, methods.limits) for symbol, listing in methods.desk.listings.items()
        }  # fmt: skip
        self.cancelling: dict[str, str] = {}  # order id -> client id of the cancel under way
        self._made = 0

    def _made_up(self, prefix: str) -> str:
        """A client id for who gave none."""
        self._made += 1
        return f"{prefix}{self._made:020d}"

    # --- placing ------------------------------------------------------------------------------------------------------

    def entry(self, account: DeskAccount, params: Params) -> Entry:
        """A new order, checked against the filters.

        Raises
        ------
        Refused
        """
        filters = self._filters(params)
        side = {"BUY": 1, "SELL": -1}.get(params.get("side", ""))
        if side is None:
            raise _missing("side") if not params.get("side") else Refused(-1117, "Invalid side.")
        name = params.get("type", "")
        if name not in TYPES:
            raise _missing("type") if not name else Refused(-1116, "Invalid orderType.")
        mode = params.get("selfTradePreventionMode", "")
        if mode and mode != PREVENTION:
            raise Refused(-1013, "This symbol does not allow the specified self-trade prevention mode.")
        order_type = _TYPE_OF[name]
        priced, stopped, timed = name.endswith(("LIMIT", "MAKER")), "STOP" in name, name in ("LIMIT", "STOP_LOSS_LIMIT")
        tif = params.get("timeInForce", "")
        if timed and not tif:
            raise _missing("timeInForce")
        if tif and not timed:
            raise Refused(-1106, "Parameter 'timeInForce' sent when not required.")
        if tif and tif not in _TIF_OF:
            raise Refused(-1115, "Invalid timeInForce.")
        if params.get("price") and not priced:
            raise Refused(-1106, "Parameter 'price' sent when not required.")
        if params.get("stopPrice") and not stopped:
            raise Refused(-1106, "Parameter 'stopPrice' sent when not required.")
        price = number(params, "price") if priced else Decimal(0)
        stop = number(params, "stopPrice") if stopped else Decimal(0)
        average = self._methods.average(filters.listing)
        qty = self._quantity(params, filters, side, name)
        if priced:
            filters.price(price)
            filters.percent(price, average)
        if stopped:
            filters.price(stop)
            self._stop_ahead(filters, side, stop)
        filters.qty(qty)
        filters.notional(qty * (price or stop or average))
        held = [order for order in account.open.values() if order.symbol == params["symbol"]]
        stops = sum(order.stop_units > 0 and not order.triggered for order in held)
        filters.counts(len(held), stops + stopped)
        return Entry(
            params["symbol"], client_of(params, "newClientOrderId") or self._made_up("x-"), side, f"{qty:f}",
            f"{price:f}" if priced else "", f"{stop:f}" if stopped else "", order_type,
            _TIF_OF[tif] if timed else _TIF_OF["IOC"] if order_type == OrderType.MARKET else _TIF_OF["GTC"],
            post_only=name == "LIMIT_MAKER",
        )  # fmt: skip

    def _filters(self, params: Params) -> Filters:
        symbol = params.get("symbol", "")
        if not symbol:
            raise _missing("symbol")
        if symbol not in self.filters:
            raise Refused(-1121, "Invalid symbol.")
        return self.filters[symbol]

    def _quantity(self, params: Params, filters: Filters, side: int, name: str) -> Decimal:
        if name != "MARKET" or not params.get("quoteOrderQty"):
            return number(params, "quantity")
        if params.get("quantity"):
            raise Refused(-1106, "Parameter 'quoteOrderQty' sent when not required.")
        left, qty = number(params, "quoteOrderQty"), Decimal(0)
        depth = self.desk.depth(filters.listing.symbol, 1000)
        for text, there in depth.asks if side > 0 else depth.bids:
            price = Decimal(text)
            take = min(Decimal(there), left / price)
            qty, left = qty + take, left - take * price
            if left <= 0:
                break
        return (qty / filters.lot).to_integral_value(ROUND_DOWN) * filters.lot

    def _stop_ahead(self, filters: Filters, side: int, stop: Decimal) -> None:
        last = Decimal(self.desk.last(filters.listing.symbol))
        if (stop <= last) if side > 0 else (stop >= last):
            raise Refused(-2010, "Stop price would trigger immediately.")

    def _enter(self, account: DeskAccount, entry: Entry) -> DeskOrder:
        counts = self._methods.order_counts(account)
        now = self.desk.host.now()
        counts.use(now)
        order = self.desk.enter(account, entry)
        if isinstance(order, Refusal):
            counts.filled(now)
            code, words = _NOT_PLACED.get(order.reason, (-2010, order.words))
            raise Refused(code, words)
        return order

    def place(self, account: DeskAccount, params: Params) -> dict[str, Any]:
        """order.place."""
        form = self._form(params)
        return placed_body(self._enter(account, self.entry(account, params)), form)

    @staticmethod
    def _form(params: Params) -> str:
        form = params.get("newOrderRespType", "") or ("FULL" if params.get("type") in ("LIMIT", "MARKET") else "ACK")
        if form not in ("ACK", "RESULT", "FULL"):
            raise Refused(-1130, "Data sent for parameter 'newOrderRespType' is not valid.")
        return form

    def test(self, account: DeskAccount, params: Params) -> dict[str, Any]:
        """order.test: everything but the order."""
        self._form(params)
        entry = self.entry(account, params)
        if params.get("computeCommissionRates") != "true":
            return {}
        rates = self._methods.rates(account)
        return {
            "standardCommissionForOrder": {"maker": rates[0], "taker": rates[1]},
            "taxCommissionForOrder": {"maker": "0.00000000", "taker": "0.00000000"},
            "discount": {"enabledForAccount": False, "enabledForSymbol": False, "discountAsset": "BNB",
                         "discount": "0.00000000"},
            "symbol": entry.symbol,
        }  # fmt: skip

    # --- cancelling ---------------------------------------------------------------------------------------------------

    def _named(self, account: DeskAccount, params: Params, order: str, client: str) -> DeskOrder | None:
        """The order that the parameters name; raises Refused if they name none."""
        number_, name = params.get(order, ""), params.get(client, "")
        if not number_ and not name:
            raise Refused(-1128, f"Param '{client}' or '{order}' must be sent, but both were empty/null!")
        found = self.desk.order(account, number_, name)
        if found is None or found.symbol != params["symbol"] or (name and number_ and found.client != name):
            return None
        return found

    def _take_off(self, account: DeskAccount, found: DeskOrder | None, cancel_client: str) -> dict[str, Any]:
        if found is None:
            raise Refused(-2011, "Unknown order sent.")
        name = cancel_client or self._made_up("c-")
        self.cancelling[found.order] = name
        try:
            done = self.desk.cancel(account, found.order)
        finally:
            del self.cancelling[found.order]
        if isinstance(done, Refusal):
            raise Refused(-2011, "Unknown order sent.")
        return cancelled_body(done, name)

    def _restricted(self, params: Params, found: DeskOrder | None) -> None:
        """Refuse to cancel an order that is not as `cancelRestrictions` says."""
        only = params.get("cancelRestrictions", "")
        if only and found is not None and found.open:
            self.desk.market.advance(self.desk.host.now())  # what it fills before this counts
            self.desk.market.tell(self.desk.exchange_number)
            wanted = {"ONLY_NEW": "new", "ONLY_PARTIALLY_FILLED": "partially_filled"}.get(only)
            if wanted is None:
                raise Refused(-1145, "Invalid cancelRestrictions")
            if found.basic != wanted:
                raise Refused(-2011, "Order was not canceled due to cancel restrictions.")

    def cancel(self, account: DeskAccount, params: Params) -> dict[str, Any]:
        """order.cancel."""
        self._filters(params)
        found = self._named(account, params, "orderId", "origClientOrderId")
        self._restricted(params, found)
        return self._take_off(account, found, client_of(params, "newClientOrderId"))

    def cancel_all(self, account: DeskAccount, params: Params) -> list[dict[str, Any]]:
        """openOrders.cancelAll."""
        self._filters(params)
        held = self.desk.orders(account, open_only=True, symbol=params["symbol"])
        if not held:
            raise Refused(-2011, "Unknown order sent.")
        return [self._take_off(account, order, "") for order in held if order.open]

    def replace(self, account: DeskAccount, params: Params) -> dict[str, Any]:
        """order.cancelReplace."""
        self._filters(params)
        mode = params.get("cancelReplaceMode", "")
        if mode not in ("STOP_ON_FAILURE", "ALLOW_FAILURE"):
            raise _missing("cancelReplaceMode")
        entry = self.entry(account, params)  # filters come before anything is done
        form = self._form(params)
        found = self._named(account, params, "cancelOrderId", "cancelOrigClientOrderId")
        data: dict[str, Any] = {"cancelResult": "SUCCESS", "newOrderResult": "SUCCESS"}
        try:
            self._restricted(params, found)
            data["cancelResponse"] = self._take_off(account, found, client_of(params, "cancelNewClientOrderId"))
        except Refused as refused:
            data |= {"cancelResult": "FAILURE", "cancelResponse": {"code": refused.code, "msg": refused.words}}
        if data["cancelResult"] == "FAILURE" and mode == "STOP_ON_FAILURE":
            data |= {"newOrderResult": "NOT_ATTEMPTED", "newOrderResponse": None}
            raise Refused(-2022, "Order cancel-replace failed.", data=data)
        try:
            data["newOrderResponse"] = placed_body(self._enter(account, entry), form)
        except Refused as refused:
            data |= {"newOrderResult": "FAILURE", "newOrderResponse": {"code": refused.code, "msg": refused.words}}
        if "FAILURE" in (data["cancelResult"], data["newOrderResult"]):
            if data["cancelResult"] == data["newOrderResult"]:
                raise Refused(-2022, "Order cancel-replace failed.", data=data)
            raise Refused(-2021, "Order cancel-replace partially failed.", 409, data)
        return data

    # --- asking -------------------------------------------------------------------------------------------------------

    def status(self, account: DeskAccount, params: Params) -> dict[str, Any]:
        """order.status."""
        self._filters(params)
        found = self._named(account, params, "orderId", "origClientOrderId")
        if found is None:
            raise Refused(-2013, "Order does not exist.")
        return order_body(found)

    def open_orders(self, account: DeskAccount, params: Params) -> list[dict[str, Any]]:
        """openOrders.status."""
        symbol = params.get("symbol", "")
        if symbol:
            self._filters(params)
        return [order_body(order) for order in self.desk.orders(account, open_only=True, symbol=symbol)]

    def all_orders(self, account: DeskAccount, params: Params) -> list[dict[str, Any]]:
        """allOrders."""
        self._filters(params)
        first, limit = _whole(params, "orderId"), _whole(params, "limit", 500)
        since, until = _whole(params, "startTime"), _whole(params, "endTime", 1 << 60)
        held = [
            order
            for order in self.desk.orders(account, symbol=params["symbol"])
            if int(order.order) >= first and since <= order.created_ns // 1_000_000 <= until
        ]
        chosen = held[:limit] if first or since else held[-limit:]
        return [order_body(order) for order in chosen[:1000]]

    def fills(self, account: DeskAccount, params: Params) -> list[Any]:
        """Executions that myTrades asks for."""
        self._filters(params)
        limit, order = min(1000, _whole(params, "limit", 500)), params.get("orderId", "")
        since, until = _whole(params, "startTime"), _whole(params, "endTime", 1 << 60)
        first = _whole(params, "fromId", -1)
        if first >= 0 and (since or params.get("endTime")):
            raise Refused(-1128, "Combination of optional parameters invalid.")
        held = [
            fill
            for fill in self.desk.fills(account, symbol=params["symbol"])
            if fill.trade >= first
            and (not order or fill.order.order == order)
            and since <= fill.ts // 1_000_000 <= until
        ]
        return held[:limit] if first >= 0 or since else held[-limit:]


def _whole(params: Params, name: str, default: int = 0) -> int:
    text = params.get(name, "")
    if not text:
        return default
    if not text.isdigit() or len(text) > 18:
        raise Refused(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
    return int(text)
