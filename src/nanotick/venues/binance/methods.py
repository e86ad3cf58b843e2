"""What a served Binance can be asked, over REST and the WebSocket API alike: one table, one function each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from nanotick.venues.binance.bodies import Refused, cut, eight, fill_body
from nanotick.venues.binance.limits import Limits, OrderCounts
from nanotick.venues.binance.orders import Orders
from nanotick.venues.binance.public import PublicHub
from nanotick.venues.desk import Desk
from nanotick.venues.desk_accounts import DeskAccount
from nanotick.venues.desk_bars import Bar, Bars
from nanotick.venues.desk_terms import Listing
from nanotick.wire.binance_server import limit_rows
from nanotick.wire.json_text import WireError, decode
from nanotick.wire.reports import Used
from nanotick.wire.requests import number_text

Params = Mapping[str, str]
_MS, _DAY_NS, _MINUTE = 1_000_000, 86_400_000_000_000, 60_000_000_000
_AVERAGE_NS = 5 * _MINUTE
_DEPTH_WEIGHTS = ((100, 5), (500, 25), (1000, 50), (5000, 250))
NONE, KEY, SIGNED = 0, 1, 2


@dataclass(frozen=True)
class Method:
    """One thing that can be asked.

    Attributes
    ----------
    verb, path : str
        Over REST.
    answer : callable
        `answer(account, parameters)`; account None for what is public.
    weight : int
    security : int
        NONE, KEY (the key alone) or SIGNED.
    """

    verb: str
    path: str
    answer: Callable[[Any, Params], Any]
    weight: int = 1
    security: int = NONE


class Methods:
    """Everything that a served Binance can be asked.

    Attributes
    ----------
    by_name : dict of str to Method
        Names of the WebSocket API; what it has not begins with `rest:`.
    by_path : dict of (verb, path) to Method
    """

    def __init__(self, desk: Desk, hub: PublicHub, limits: Limits) -> None:
        self.desk, self.hub, self.limits = desk, hub, limits
        self.bars = Bars(desk, _MINUTE)
        self.orders = Orders(self)
        self._counts: dict[str, OrderCounts] = {}
        orders = self.orders
        api = "/api/v3/"
        self.by_name = {
            "ping": Method("GET", api + "ping", lambda account, params: {}),
            "time": Method("GET", api + "time", lambda account, params: {"serverTime": desk.host.now() // _MS}),
            "exchangeInfo": Method("GET", api + "exchangeInfo", self._info, 20),
            "depth": Method("GET", api + "depth", self._depth, 5),
            "trades.recent": Method("GET", api + "trades", self._trades, 25),
            "trades.aggregate": Method("GET", api + "aggTrades", self._aggregates, 4),
            "klines": Method("GET", api + "klines", self._klines, 2),
            "avgPrice": Method("GET", api + "avgPrice", self._average_price, 2),
            "ticker.24hr": Method("GET", api + "ticker/24hr", self._each(self.day), 2),
            "ticker.price": Method("GET", api + "ticker/price", self._each(self._price), 2),
            "ticker.book": Method("GET", api + "ticker/bookTicker", self._each(self._book), 2),
            "order.place": Method("POST", api + "order", orders.place, 1, SIGNED),
            "order.test": Method("POST", api + "order/test", orders.test, 1, SIGNED),
            "order.status": Method("GET", api + "order", orders.status, 4, SIGNED),
            "order.cancel": Method("DELETE", api + "order", orders.cancel, 1, SIGNED),
            "order.cancelReplace": Method("POST", api + "order/cancelReplace", orders.replace, 1, SIGNED),
            "openOrders.status": Method("GET", api + "openOrders", orders.open_orders, 6, SIGNED),
            "openOrders.cancelAll": Method("DELETE", api + "openOrders", orders.cancel_all, 1, SIGNED),
            "allOrders": Method("GET", api + "allOrders", orders.all_orders, 20, SIGNED),
            "myTrades": Method("GET", api + "myTrades", self._fills, 20, SIGNED),
            "account.status": Method("GET", api + "account", self._account, 20, SIGNED),
            "account.rateLimits.orders": Method("GET", api + "rateLimit/order", self._order_limits, 40, SIGNED),
            "account.commission": Method("GET", api + "account/commission", self._commission, 20, SIGNED),
            "rest:margin": Method("GET", "/sapi/v1/margin/allPairs", lambda account, params: [], 1, KEY),
            "rest:isolated": Method("GET", "/sapi/v1/margin/isolated/allPairs", lambda account, params: [], 1, KEY),
            "rest:coins": Method("GET", "/sapi/v1/capital/config/getall", self._coins, 10, SIGNED),
        }  # fmt: skip
        self.by_path = {(method.verb, method.path): method for method in self.by_name.values()}

    def weight(self, method: Method, params: Params) -> int:
        """What a request costs."""
        path = method.path
        if path.endswith("/depth"):
            levels = params.get("limit", "100")
            limit = int(levels) if levels.isdigit() and len(levels) < 6 else 100
            return next((weight for most, weight in _DEPTH_WEIGHTS if limit <= most), 250)
        if path.endswith("/openOrders") and method.verb == "GET" and not params.get("symbol"):
            return 80
        if path.endswith("/ticker/24hr") and not params.get("symbol"):
            return 80
        if "/ticker/" in path and not params.get("symbol"):
            return 4
        return 5 if path.endswith("/myTrades") and params.get("orderId") else method.weight

    def order_counts(self, account: DeskAccount) -> OrderCounts:
        """Unfilled orders of an account."""
        counts = self._counts.get(account.key)
        if counts is None:
            counts = self._counts[account.key] = OrderCounts(self.limits)
        return counts

    def listing(self, params: Params) -> Listing:
        """The instrument that `symbol` names.

        Raises
        ------
        Refused
        """
        symbol = params.get("symbol", "")
        if not symbol:
            raise Refused(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
        found = self.desk.listings.get(symbol)
        if found is None:
            raise Refused(-1121, "Invalid symbol.")
        return found

    def _chosen(self, params: Params) -> list[Listing] | None:
        """Instruments that `symbols` names; None if it is not sent."""
        text = params.get("symbols", "")
        if not text:
            return None
        try:
            names = decode(text.encode())
        except WireError:
            names = None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise Refused(-1100, "Illegal characters found in parameter 'symbols'.")
        return [self.listing({"symbol": str(name)}) for name in names]

    def _limit(self, params: Params, default: int, most: int) -> int:
        text = params.get("limit", "")
        if text and not (text.isdigit() and len(text) < 7):
            raise Refused(-1100, "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'.")
        return min(int(text) if text else default, most)

    # --- market data --------------------------------------------------------------------------------------------------

    def _info(self, account: None, params: Params) -> dict[str, Any]:
        chosen = [self.listing(params)] if params.get("symbol") else self._chosen(params)
        listings = self.desk.instruments if chosen is None else chosen
        limits = self.limits
        uses = [Used("REQUEST_WEIGHT", 60, limits.weight, 0), Used("ORDERS", 10, limits.orders_10s, 0),
                Used("ORDERS", 86400, limits.orders_day, 0), Used("RAW_REQUESTS", 300, limits.requests, 0)]  # fmt: skip
        return {
            "timezone": "UTC", "serverTime": self.desk.host.now() // _MS, "rateLimits": limit_rows(uses, False),
            "exchangeFilters": [], "symbols": [self.orders.filters[listing.symbol].body() for listing in listings],
        }  # fmt: skip

    def _depth(self, account: None, params: Params) -> dict[str, Any]:
        return self.hub.snapshot(self.listing(params), self._limit(params, 100, 5000))

    def _trade_rows(self, params: Params) -> list[dict[str, Any]]:
        listing = self.listing(params)
        rows = self.desk.trades.of(listing.number)[-self._limit(params, 500, 1000) :]
        found = []
        for row in rows:
            price, qty = int(row["price"]), int(row["qty"])
            value = number_text(price * qty * listing.value_unit // 10**10, 8)
            found.append(
                {"id": int(row["id"]), "price": eight(listing.price_text(price)), "qty": eight(listing.qty_text(qty)),
                 "quoteQty": eight(value), "time": int(row["ts_venue"]) // _MS, "isBuyerMaker": bool(row["side"] < 0),
                 "isBestMatch": True}
            )  # fmt: skip
        return found

    def _trades(self, account: None, params: Params) -> list[dict[str, Any]]:
        return self._trade_rows(params)

    def _aggregates(self, account: None, params: Params) -> list[dict[str, Any]]:
        return [
            {"a": row["id"], "p": row["price"], "q": row["qty"], "f": row["id"], "l": row["id"], "T": row["time"],
             "m": row["isBuyerMaker"], "M": True}
            for row in self._trade_rows(params)
        ]  # fmt: skip

    def _klines(self, account: None, params: Params) -> list[list[Any]]:
        listing = self.listing(params)
        if params.get("interval") != "1m":
            raise Refused(-1120, "Invalid interval.")
        return [kline(bar) for bar in self.bars.of(listing)[-self._limit(params, 500, 1000) :]]

    def average(self, listing: Listing) -> Decimal:
        """Mean price of the last five minutes, else the last price."""
        bars = self.bars.of(listing, self.desk.host.now() - _AVERAGE_NS)
        volume = sum(bar.volume for bar in bars)
        if not volume:
            return Decimal(self.desk.last(listing.symbol))
        return Decimal(sum(bar.value for bar in bars)) / volume / 10**listing.price_decimals

    def _average_price(self, account: None, params: Params) -> dict[str, Any]:
        return {"mins": 5, "price": f"{self.average(self.listing(params)):.8f}",
                "closeTime": self.desk.host.now() // _MS}  # fmt: skip

    def _each(self, one: Callable[[Listing], dict[str, Any]]) -> Callable[[None, Params], Any]:
        def answer(account: None, params: Params) -> Any:
            if params.get("symbol"):
                return one(self.listing(params))
            chosen = self._chosen(params)
            return [one(listing) for listing in (self.desk.instruments if chosen is None else chosen)]

        return answer

    def _price(self, listing: Listing) -> dict[str, Any]:
        return {"symbol": listing.symbol, "price": eight(self.desk.last(listing.symbol))}

    def _book(self, listing: Listing) -> dict[str, Any]:
        quote = self.desk.quote(listing.symbol)
        return {"symbol": listing.symbol, "bidPrice": eight(quote.bid), "bidQty": eight(quote.bid_qty),
                "askPrice": eight(quote.ask), "askQty": eight(quote.ask_qty)}  # fmt: skip

    def day(self, listing: Listing) -> dict[str, Any]:
        """Figures of the last 24 hours."""
        return self.hub.day(listing, self.bars.of(listing, self.desk.host.now() - _DAY_NS))

    # --- accounts -----------------------------------------------------------------------------------------------------

    def rates(self, account: DeskAccount) -> tuple[str, str]:
        """Rates of commission, maker and taker."""
        fees = account.terms.fees or self.desk.market.source.fees_of(self.desk.venue)
        if fees is None:
            return eight("0"), eight("0")
        return eight(str(fees.maker_rate)), eight(str(fees.taker_rate))

    def _fills(self, account: DeskAccount, params: Params) -> list[dict[str, Any]]:
        return [fill_body(fill) for fill in self.orders.fills(account, params)]

    def _account(self, account: DeskAccount, params: Params) -> dict[str, Any]:
        maker, taker = self.rates(account)
        rows = [
            {"asset": item.asset, "free": cut(item.free), "locked": cut(item.locked)}
            for item in self.desk.balances(account)
            if params.get("omitZeroBalances") != "true" or item.free != "0" or item.locked != "0"
        ]
        return {
            "makerCommission": int(Decimal(maker) * 10_000), "takerCommission": int(Decimal(taker) * 10_000),
            "buyerCommission": 0, "sellerCommission": 0,
            "commissionRates": {"maker": maker, "taker": taker, "buyer": eight("0"), "seller": eight("0")},
            "canTrade": not account.terms.blocked, "canWithdraw": False, "canDeposit": False, "brokered": False,
            "requireSelfTradePrevention": False, "preventSor": False, "updateTime": self.desk.host.now() // _MS,
            "accountType": "SPOT", "balances": rows, "permissions": ["SPOT"], "uid": int(account.number[2:]),
        }  # fmt: skip

    def _order_limits(self, account: DeskAccount, params: Params) -> list[dict[str, Any]]:
        return limit_rows(self.order_counts(account).used(self.desk.host.now()))

    def _commission(self, account: DeskAccount, params: Params) -> dict[str, Any]:
        listing, (maker, taker) = self.listing(params), self.rates(account)
        none = {"maker": eight("0"), "taker": eight("0"), "buyer": eight("0"), "seller": eight("0")}
        return {
            "symbol": listing.symbol,
            "standardCommission": {**none, "maker": maker, "taker": taker},
            "taxCommission": none,
            "discount": {"enabledForAccount": False, "enabledForSymbol": False, "discountAsset": "BNB",
                         "discount": eight("0")},
        }  # fmt: skip

    def _coins(self, account: DeskAccount, params: Params) -> list[dict[str, Any]]:
        """Assets, none of which can be moved in or out."""
        return [
            {"coin": item.asset, "name": item.asset, "depositAllEnable": False, "withdrawAllEnable": False,
             "free": cut(item.free), "locked": cut(item.locked), "freeze": "0", "withdrawing": "0", "ipoing": "0",
             "ipoable": "0", "storage": "0", "isLegalMoney": False, "trading": True, "networkList": []}
            for item in self.desk.balances(account)
        ]  # fmt: skip


def kline(bar: Bar) -> list[Any]:
    """A line of klines."""
    listing = bar.listing
    price = [eight(listing.price_text(p)) for p in (bar.open, bar.high, bar.low, bar.close)]
    value = eight(number_text(bar.value * listing.value_unit // 10**10, 8))
    return [bar.start // _MS, *price, eight(listing.qty_text(bar.volume)), bar.start // _MS + 59_999, value, bar.count,
            eight("0"), eight("0"), "0"]  # fmt: skip
