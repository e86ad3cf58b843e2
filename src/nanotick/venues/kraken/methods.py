"""What a served Kraken can be asked over REST: public market data, and an account's orders, trades and balances.

Source: docs.kraken.com, Spot REST API.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Any

from nanotick.venues.desk import Desk
from nanotick.venues.desk_accounts import DeskAccount
from nanotick.venues.desk_bars import Bar, Bars
from nanotick.venues.desk_orders import DeskOrder
from nanotick.venues.desk_terms import Listing
from nanotick.venues.kraken.bodies import (
    Refused,
    described,
    digits,
    fixed,
    order_body,
    pair_body,
    rest_name,
    seconds,
    trade_body,
)
from nanotick.venues.kraken.names import altname, asset_id, symbols_of
from nanotick.venues.kraken.orders import Orders, form_entry
from nanotick.wire.json_text import WireError, decode, rfc3339_ns, rfc3339_text

Params = dict[str, Any]
_S, _MINUTE_NS, _DAY_NS = 1_000_000_000, 60_000_000_000, 86_400_000_000_000
_PAGE = 50
_TOKEN_NS = 900 * _S


@dataclass(slots=True)
class Token:
    """For the private WebSocket."""

    account: DeskAccount
    until: int


def whole(params: Params, name: str, default: int, most: int) -> int:
    """A parameter that is a whole number.

    Raises
    ------
    Refused
    """
    text = str(params.get(name) or "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Refused(f"EGeneral:Invalid arguments:{name}")
    return min(int(text), most)


def instant(params: Params, name: str, default: int) -> int:
    """A parameter that is a time in seconds; ns UTC.

    Raises
    ------
    Refused
    """
    text = str(params.get(name) or "")
    if not text:
        return default
    whole_part, _, fraction = text.partition(".")
    if not (whole_part + fraction).isdigit() or not (whole_part + fraction).isascii() or len(whole_part) > 10:
        raise Refused(f"EGeneral:Invalid arguments:{name}")
    return int(whole_part or "0") * _S + int(fraction[:9].ljust(9, "0"))


class Methods:
    """Everything that can be asked.

    Attributes
    ----------
    public, private : dict of name to callable
        `answer(parameters)` and `answer(account, parameters)`.
    """

    def __init__(self, desk: Desk, orders: Orders) -> None:
        self.desk, self.orders = desk, orders
        self.bars = Bars(desk, _MINUTE_NS)
        self._pairs = symbols_of(desk.listings)
        self._tokens: dict[str, Token] = {}
        self._made = 0
        self.public: dict[str, Callable[[Params], Any]] = {
            "Time": self._time, "SystemStatus": self._system, "Assets": self._assets, "AssetPairs": self._asset_pairs,
            "Ticker": self._ticker, "Depth": self._depth, "Trades": self._trades, "OHLC": self._candles,
        }  # fmt: skip
        self.private: dict[str, Callable[[DeskAccount, Params], Any]] = {
            "Balance": self._balance, "BalanceEx": self._balance_full, "OpenOrders": self._open_orders,
            "ClosedOrders": self._closed_orders, "QueryOrders": self._query_orders,
            "TradesHistory": self._history, "QueryTrades": self._query_trades, "AddOrder": self._add,
            "AddOrderBatch": self._add_batch, "AmendOrder": self._amend, "CancelOrder": self._cancel,
            "CancelOrderBatch": self._cancel_batch, "CancelAll": self._cancel_all,
            "CancelAllOrdersAfter": self._cancel_after, "GetWebSocketsToken": self._token,
        }  # fmt: skip

    # --- public -------------------------------------------------------------------------------------------------------

    def listing(self, params: Params) -> Listing:
        """The instrument that `pair` names.

        Raises
        ------
        Refused
        """
        symbol = self._pairs.get(str(params.get("pair") or ""))
        if symbol is None:
            raise Refused("EQuery:Unknown asset pair")
        return self.desk.listings[symbol]

    def _listings(self, params: Params) -> list[Listing]:
        names = str(params.get("pair") or "")
        if not names:
            return self.desk.instruments
        return [self.listing({"pair": name}) for name in names.split(",")[:200]]

    def _time(self, params: Params) -> Any:
        now = self.desk.host.now()
        return {"unixtime": now // _S, "rfc1123": rfc3339_text(now)[:19]}

    def _system(self, params: Params) -> Any:
        return {"status": self.orders.system, "timestamp": rfc3339_text(self.desk.host.now())[:19] + "Z"}

    def _assets(self, params: Params) -> Any:
        names = dict.fromkeys(asset for listing in self.desk.instruments for asset in (listing.base, listing.quote))
        return {
            asset_id(name): {"aclass": "currency", "altname": altname(name), "decimals": 10, "display_decimals": 8,
                             "status": "enabled"}
            for name in names
        }  # fmt: skip

    def _asset_pairs(self, params: Params) -> Any:
        fees = self.desk.market.source.fees_of(self.desk.venue)
        maker, taker = (0, 0) if fees is None else (fees.maker_rate, fees.taker_rate)
        first, second = (f"{Decimal(str(rate)) * 100:f}" for rate in (maker, taker))
        status = self.orders.system
        return {rest_name(listing): pair_body(listing, first, second, status) for listing in self._listings(params)}

    def _ticker(self, params: Params) -> Any:
        return {rest_name(listing): self._tick(listing) for listing in self._listings(params)}

    def _tick(self, listing: Listing) -> dict[str, Any]:
        desk, decimals = self.desk, listing.price_decimals
        quote, last = desk.quote(listing.symbol), desk.mark(listing.number)
        bars = self.bars.of(listing, desk.host.now() - _DAY_NS)
        volume, value = sum(bar.volume for bar in bars), sum(bar.value for bar in bars)
        mean = digits(value // volume if volume else last, decimals)
        amount = digits(volume, listing.qty_decimals)
        high = digits(max([bar.high for bar in bars], default=last), decimals)
        low = digits(min([bar.low for bar in bars], default=last), decimals)
        rows = desk.trades.of(listing.number)
        last_qty = digits(int(rows["qty"][-1]) if len(rows) else 0, listing.qty_decimals)
        count = sum(bar.count for bar in bars)
        return {
            "a": [quote.ask, "1", quote.ask_qty], "b": [quote.bid, "1", quote.bid_qty],
            "c": [digits(last, decimals), last_qty], "v": [amount, amount], "p": [mean, mean], "t": [count, count],
            "l": [low, low], "h": [high, high], "o": digits(bars[0].open if bars else last, decimals),
        }  # fmt: skip

    def _depth(self, params: Params) -> Any:
        listing = self.listing(params)
        book = self.desk.exchange.book
        now = self.desk.host.now() // _S
        limit = max(1, whole(params, "count", 100, 500))
        sides = {}
        for name, side in (("asks", -1), ("bids", 1)):
            sides[name] = [
                [digits(price, listing.price_decimals), digits(qty, listing.qty_decimals), now]
                for price, qty in book.depth(listing.number, side, limit).tolist()
            ]
        return {rest_name(listing): sides}

    def _trades(self, params: Params) -> Any:
        listing = self.listing(params)
        since = instant(params, "since", 0) if len(str(params.get("since") or "")) < 14 else whole(
            params, "since", 0, 1 << 62
        )  # fmt: skip
        rows = self.desk.trades.of(listing.number, since + 1)
        limit = max(1, whole(params, "count", 1000, 1000))
        rows = rows[:limit] if since else rows[-limit:]
        columns = (rows[name].tolist() for name in ("price", "qty", "ts_venue", "side", "id"))
        found = [
            [digits(price, listing.price_decimals), digits(qty, listing.qty_decimals), seconds(stamp),
             "b" if side > 0 else "s", "l", "", ident]
            for price, qty, stamp, side, ident in zip(*columns, strict=True)
        ]  # fmt: skip
        last = str(int(rows["ts_venue"][-1])) if len(rows) else str(since)
        return {rest_name(listing): found, "last": last}

    def _candles(self, params: Params) -> Any:
        listing = self.listing(params)
        if whole(params, "interval", 1, 21600) != 1:
            raise Refused("EGeneral:Invalid arguments:interval")
        bars = self.bars.of(listing, instant(params, "since", 0))[-720:]
        last = bars[-2].start // _S if len(bars) > 1 else 0
        return {rest_name(listing): [self._candle(bar) for bar in bars], "last": last}

    @staticmethod
    def _candle(bar: Bar) -> list[Any]:
        decimals = bar.listing.price_decimals
        mean = digits(bar.value // bar.volume if bar.volume else bar.close, decimals)
        prices = [digits(price, decimals) for price in (bar.open, bar.high, bar.low, bar.close)]
        return [bar.start // _S, *prices, mean, digits(bar.volume, bar.listing.qty_decimals), bar.count]

    # --- an account ---------------------------------------------------------------------------------------------------

    def _balance(self, account: DeskAccount, params: Params) -> Any:
        return {
            asset_id(item.asset): fixed(f"{Decimal(item.free) + Decimal(item.locked):f}", 10)
            for item in self.desk.balances(account)
        }

    def _balance_full(self, account: DeskAccount, params: Params) -> Any:
        return {
            asset_id(item.asset): {"balance": fixed(f"{Decimal(item.free) + Decimal(item.locked):f}", 10),
                                   "hold_trade": fixed(item.locked, 10)}
            for item in self.desk.balances(account)
        }  # fmt: skip

    @staticmethod
    def _wants_trades(params: Params) -> bool:
        return str(params.get("trades")).lower() == "true"

    def _chosen(self, account: DeskAccount, params: Params, open_only: bool) -> list[DeskOrder]:
        client = str(params.get("cl_ord_id") or "")
        found = self.desk.orders(account, open_only=open_only)
        return [order for order in found if order.open == open_only and (not client or order.client == client)]

    def _open_orders(self, account: DeskAccount, params: Params) -> Any:
        with_trades = self._wants_trades(params)
        return {"open": {o.order: order_body(o, with_trades) for o in self._chosen(account, params, True)}}

    def _closed_orders(self, account: DeskAccount, params: Params) -> Any:
        since, until = instant(params, "start", 0), instant(params, "end", 1 << 62)
        found = [o for o in self._chosen(account, params, False) if since < o.ended_ns <= until]
        found.reverse()
        first = whole(params, "ofs", 0, 1 << 30)
        with_trades = self._wants_trades(params)
        page = {o.order: order_body(o, with_trades) for o in found[first : first + _PAGE]}
        return {"closed": page, "count": len(found)}

    def _query_orders(self, account: DeskAccount, params: Params) -> Any:
        names = str(params.get("txid") or "")
        if not names:
            raise Refused("EGeneral:Invalid arguments:txid")
        with_trades = self._wants_trades(params)
        found = {}
        for name in names.split(",")[:50]:
            order = self.desk.order(account, name)
            if order is None:
                raise Refused("EOrder:Invalid order")
            found[name] = order_body(order, with_trades)
        return found

    def _history(self, account: DeskAccount, params: Params) -> Any:
        since, until = instant(params, "start", 0), instant(params, "end", 1 << 62)
        found = [fill for fill in self.desk.fills(account, since + 1 if since else 0) if fill.ts <= until]
        found.reverse()
        first = whole(params, "ofs", 0, 1 << 30)
        return {"trades": {f.execution: trade_body(f) for f in found[first : first + _PAGE]}, "count": len(found)}

    def _query_trades(self, account: DeskAccount, params: Params) -> Any:
        names = set(str(params.get("txid") or "").split(",")[:20])
        return {fill.execution: trade_body(fill) for fill in self.desk.fills(account) if fill.execution in names}

    # --- orders -------------------------------------------------------------------------------------------------------

    def _worth(self, symbol: str, side: int, money: Decimal) -> Decimal:
        """Quantity that so much money takes off the book now."""
        depth = self.desk.depth(symbol, 1000)
        qty, left = Decimal(0), money
        for text, there in depth.asks if side > 0 else depth.bids:
            take = min(Decimal(there), left / Decimal(text))
            qty, left = qty + take, left - take * Decimal(text)
            if left <= 0:
                break
        lot = Decimal(self.desk.listings[symbol].item.lot_size)
        return (qty / lot).to_integral_value(ROUND_DOWN) * lot

    @staticmethod
    def _deadline(params: Params) -> int:
        if not params.get("deadline"):
            return 0
        try:
            return rfc3339_ns(params["deadline"], "deadline")
        except WireError:
            raise Refused("EGeneral:Invalid arguments:deadline") from None

    def _place(self, account: DeskAccount, params: Params, symbol: str) -> DeskOrder | None:
        entry = form_entry(params, symbol, self.desk.host.now(), self._worth)
        validate = str(params.get("validate")).lower() == "true"
        return self.orders.place(account, entry, self._deadline(params), validate)

    def _add(self, account: DeskAccount, params: Params) -> Any:
        order = self._place(account, params, self.listing(params).symbol)
        if order is None:
            words = f"{params.get('type')} {params.get('volume')} {params.get('pair')} @ {params.get('ordertype')}"
            return {"descr": {"order": words}}
        return {"descr": {"order": described(order)}, "txid": [order.order]}

    def _add_batch(self, account: DeskAccount, params: Params) -> Any:
        listing, items = self.listing(params), params.get("orders")
        if not isinstance(items, list) or not 2 <= len(items) <= 15 or not all(isinstance(i, dict) for i in items):
            raise Refused("EGeneral:Invalid arguments:orders")
        found = []
        for item in items:
            try:
                order = self._place(account, item, listing.symbol)
                found.append({"txid": order.order, "descr": {"order": described(order)}} if order else {"descr": {}})
            except Refused as refused:
                found.append({"error": str(refused)})
        return {"orders": found}

    def _amend(self, account: DeskAccount, params: Params) -> Any:
        order = self.orders.named(account, str(params.get("txid") or ""), str(params.get("cl_ord_id") or ""))
        self.orders.amend(
            account, order, str(params.get("order_qty") or ""), str(params.get("limit_price") or ""),
            str(params.get("trigger_price") or ""), str(params.get("post_only")).lower() == "true",
            self._deadline(params),
        )  # fmt: skip
        return {"amend_id": self.amendment(order)}

    def amendment(self, order: DeskOrder) -> str:
        """Id of an amendment."""
        self._made += 1
        text = hashlib.blake2b(f"{order.order}.{self._made}".encode(), digest_size=9).hexdigest()[:16].upper()
        return f"T{text[:5]}-{text[5:10]}-{text[10:16]}"

    def _cancel(self, account: DeskAccount, params: Params) -> Any:
        self.orders.cancel(account, str(params.get("txid") or ""), str(params.get("cl_ord_id") or ""))
        return {"count": 1}

    def _cancel_batch(self, account: DeskAccount, params: Params) -> Any:
        names = params.get("orders")
        if not isinstance(names, list) or not names or len(names) > 50:
            raise Refused("EGeneral:Invalid arguments:orders")
        count = 0
        for name in names:
            try:
                self.orders.cancel(account, str(name))
                count += 1
            except Refused:
                continue
        if not count:
            raise Refused("EOrder:Unknown order")
        return {"count": count}

    def _cancel_all(self, account: DeskAccount, params: Params) -> Any:
        return {"count": self.orders.cancel_all(account)}

    def _cancel_after(self, account: DeskAccount, params: Params) -> Any:
        return self.switch(account, whole(params, "timeout", 0, 86_400))

    def switch(self, account: DeskAccount, timeout_s: int) -> dict[str, str]:
        """Set the dead-man switch; what is answered."""
        when = self.orders.cancel_all_after(account, timeout_s)
        now = self.desk.host.now()
        return {"currentTime": rfc3339_text(now), "triggerTime": rfc3339_text(when) if when else "0"}

    # --- tokens -------------------------------------------------------------------------------------------------------

    def _token(self, account: DeskAccount, params: Params) -> Any:
        now = self.desk.host.now()
        self._tokens = {name: token for name, token in self._tokens.items() if token.until > now}
        self._made += 1
        made = hashlib.blake2b(f"{account.key}.{account.terms.secret}.{now}.{self._made}".encode(), digest_size=30)
        text = made.hexdigest()
        self._tokens[text] = Token(account, now + _TOKEN_NS)
        return {"token": text, "expires": _TOKEN_NS // _S}

    def account_of(self, token: str) -> DeskAccount:
        """Whose token it is.

        Raises
        ------
        Refused
        """
        found = self._tokens.get(token)
        if found is None or found.until <= self.desk.host.now():
            raise Refused("ESession:Invalid session")
        return found.account


def parameters(body: bytes, kind: str) -> Params:
    """Parameters of a private request, form or JSON.

    Raises
    ------
    Refused
    """
    from urllib.parse import parse_qsl

    try:
        if "json" in kind:
            found = decode(body)
            if not isinstance(found, dict):
                raise ValueError("no object")
            return found
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=100))
    except (ValueError, WireError):
        raise Refused("EGeneral:Invalid arguments") from None
