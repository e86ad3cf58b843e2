"""What a served Coinbase Advanced Trade can be asked over REST.

Source: docs.cdp.coinbase.com, Advanced Trade REST (products, public market data, accounts, orders, fills).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qs, unquote

from nanotick.venues.coinbase.bodies import (
    Refused,
    account_row,
    fill_body,
    good,
    not_placed,
    order_body,
    placed,
    product_body,
    reason_of,
    wallet_row,
)
from nanotick.venues.desk import Desk
from nanotick.venues.desk_accounts import DeskAccount
from nanotick.venues.desk_bars import Bars
from nanotick.venues.desk_orders import DeskOrder
from nanotick.venues.desk_terms import Listing, Refusal
from nanotick.wire import fields
from nanotick.wire.coinbase_server import decode_request
from nanotick.wire.coinbase_trading import BASE
from nanotick.wire.json_text import WireError, decode, rfc3339_ns, rfc3339_text
from nanotick.wire.messages import Depth
from nanotick.wire.requests import Amend, Cancel, Entry, Query, Request, Response

Params = dict[str, list[str]]
_S, _MINUTE_NS, _DAY_NS = 1_000_000_000, 60_000_000_000, 86_400_000_000_000
_MOST = 1_000


def whole(params: Params, name: str, default: int, most: int) -> int:
    """A parameter that is a whole number.

    Raises
    ------
    Refused
    """
    text = params.get(name, [""])[0]
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Refused(400, "INVALID_ARGUMENT", f"{name} is not a number")
    return min(int(text), most)


def instant(params: Params, name: str) -> int:
    """A parameter that is a time; ns UTC, 0 if it is not there.

    Raises
    ------
    Refused
    """
    text = params.get(name, [""])[0]
    try:
        return rfc3339_ns(text, name) if text else 0
    except WireError as error:
        raise Refused(400, "INVALID_ARGUMENT", str(error)) from None


class Methods:
    """Everything that can be asked of a desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.bars = Bars(desk, _MINUTE_NS)

    # --- public -------------------------------------------------------------------------------------------------------

    def public(self, verb: str, path: str, query: str) -> Response | None:
        """The answer to what needs no key; None for anything else.

        Raises
        ------
        Refused
        """
        if verb != "GET":
            return None
        plain: dict[str, Callable[[], Any]] = {
            f"{BASE}/time": self._time, "/v2/time": self._old_time,
            "/v2/currencies": self._money, "/v2/currencies/crypto": self._coins,
            "/v2/exchange-rates": lambda: {"data": {"currency": "USD", "rates": {}}},
        }  # fmt: skip
        if path in plain:
            return good(plain[path]())
        if path.startswith(f"{BASE}/market/"):
            return good(self._market(path.removeprefix(f"{BASE}/market/"), _params(query)))
        return None

    def _time(self) -> Any:
        now = self.desk.host.now()
        return {"iso": rfc3339_text(now), "epochSeconds": str(now // _S), "epochMillis": str(now // 1_000_000)}

    def _old_time(self) -> Any:
        now = self.desk.host.now()
        return {"data": {"iso": rfc3339_text(now), "epoch": now // _S}}

    def _assets(self) -> list[str]:
        pairs = ((listing.base, listing.quote) for listing in self.desk.instruments)
        return list(dict.fromkeys(asset for pair in pairs for asset in pair))

    def _money(self) -> Any:
        return {
            "data": [{"id": a, "name": a, "min_size": "0.01"} for a in self._assets() if a in ("USD", "EUR", "GBP")]
        }

    def _coins(self) -> Any:
        return {"data": [{"asset_id": a, "code": a, "name": a, "exponent": 8, "type": "crypto"} for a in self._assets()
                         if a not in ("USD", "EUR", "GBP")]}  # fmt: skip

    def listing(self, name: str) -> Listing:
        """A product.

        Raises
        ------
        Refused
        """
        found = self.desk.listings.get(name)
        if found is None:
            raise Refused(404, "NOT_FOUND", "valid product_id is required")
        return found

    def _market(self, rest: str, params: Params) -> Any:
        """What is under /market, and under the same names for who has a key."""
        head, _, tail = rest.partition("/")
        product, _, what = tail.partition("/")
        if rest == "products":
            kind = params.get("product_type", ["SPOT"])[0]
            rows = [self._product(item) for item in self.desk.instruments] if kind in ("SPOT", "") else []
            return {"products": rows, "num_products": len(rows)}
        if rest == "product_book":
            book = self._book(self.listing(params.get("product_id", [""])[0]), whole(params, "limit", 500, _MOST))
            return {"pricebook": book}
        if rest == "best_bid_ask":
            wanted = params.get("product_ids", [])
            listings = [self.listing(name) for name in wanted] or self.desk.instruments
            return {"pricebooks": [self._book(item, 1) for item in listings]}
        if head == "products" and product and not what:
            return self._product(self.listing(unquote(product)))
        if head == "products" and what == "ticker":
            return self._ticker(self.listing(unquote(product)), whole(params, "limit", 100, _MOST))
        if head == "products" and what == "candles":
            return self._candles(self.listing(unquote(product)), params)
        raise Refused(404, "NOT_FOUND", "not found")

    def _product(self, listing: Listing) -> dict[str, Any]:
        bars = self.bars.of(listing, self.desk.host.now() - _DAY_NS)
        volume = listing.qty_text(sum(bar.volume for bar in bars))
        return product_body(listing, self.desk.last(listing.symbol)) | {"volume_24h": volume}

    def _book(self, listing: Listing, levels: int) -> dict[str, Any]:
        depth: Depth = self.desk.depth(listing.symbol, max(1, levels))
        sides = {name: [{"price": price, "size": qty} for price, qty in rows]
                 for name, rows in (("bids", depth.bids), ("asks", depth.asks))}  # fmt: skip
        return {"product_id": listing.symbol, **sides, "time": rfc3339_text(self.desk.host.now())}

    def _ticker(self, listing: Listing, limit: int) -> dict[str, Any]:
        rows = self.desk.trades.of(listing.number)[-max(1, limit) :][::-1]
        columns: Any = [rows[name].tolist() for name in ("side", "price", "qty", "id", "ts_venue")]
        quote = self.desk.quote(listing.symbol)
        trades = [
            {"trade_id": str(ident), "product_id": listing.symbol, "price": listing.price_text(price),
             "size": listing.qty_text(qty), "time": rfc3339_text(stamp), "side": "SELL" if side > 0 else "BUY",
             "bid": "", "ask": "", "exchange": "nanotick"}
            for side, price, qty, ident, stamp in zip(*columns, strict=True)
        ]  # fmt: skip
        return {"trades": trades, "best_bid": quote.bid, "best_ask": quote.ask}

    def _candles(self, listing: Listing, params: Params) -> dict[str, Any]:
        if params.get("granularity", ["ONE_MINUTE"])[0] != "ONE_MINUTE":
            raise Refused(400, "INVALID_ARGUMENT", "granularity is not served")
        since, until = whole(params, "start", 0, 1 << 33), whole(params, "end", 1 << 33, 1 << 33)
        bars = self.bars.of(listing, since * _S, until * _S)[-350:]
        rows = [
            {"start": str(bar.start // _S), "volume": listing.qty_text(bar.volume),
             **{name: listing.price_text(getattr(bar, name)) for name in ("low", "high", "open", "close")}}
            for bar in reversed(bars)
        ]  # fmt: skip
        return {"candles": rows}

    # --- an account ---------------------------------------------------------------------------------------------------

    def private(self, account: DeskAccount, request: Request, path: str, query: str) -> Response:
        """The answer to what needs a key.

        Raises
        ------
        Refused
        """
        if request.method == "GET":
            return good(self._read(account, request, path, _params(query)))
        try:
            message = fields.mapping(decode(request.body), "body")
            if path == f"{BASE}/orders":
                return good(self._place(account, self._in_coins(request, message)))
            asked = decode_request(request)
        except WireError as error:
            raise Refused(400, "INVALID_ARGUMENT", str(error)[:200]) from None
        if isinstance(asked, list):
            return good({"results": [self._cancel(account, item) for item in asked[:100]]})
        if isinstance(asked, Amend):
            return good(self._edit(account, asked))
        raise Refused(404, "NOT_FOUND", "not found")

    def _read(self, account: DeskAccount, request: Request, path: str, params: Params) -> Any:
        name = path.removeprefix(BASE)
        if path == "/v2/accounts":
            return {"pagination": {"next_uri": None}, "data": [wallet_row(b) for b in self.desk.balances(account)]}
        if name == "/accounts":
            rows = [account_row(item) for item in self.desk.balances(account)]
            return {"accounts": rows, "has_next": False, "cursor": "", "size": len(rows)}
        if name == "/orders/historical/batch":
            return self._orders(account, params)
        if name == "/orders/historical/fills":
            return self._fills(account, params)
        if name == "/transaction_summary":
            fees = account.terms.fees or self.desk.market.source.fees_of(self.desk.venue)
            maker, taker = (0, 0) if fees is None else (fees.maker_rate, fees.taker_rate)
            tier = {"pricing_tier": "", "taker_fee_rate": str(taker), "maker_fee_rate": str(maker)}
            return {"total_volume": 0, "total_fees": 0, "fee_tier": tier}
        if name.startswith("/orders/historical/"):
            try:
                asked = decode_request(request)
            except WireError as error:
                raise Refused(400, "INVALID_ARGUMENT", str(error)[:200]) from None
            found = self.desk.order(account, asked.order) if isinstance(asked, Query) else None
            if found is None:
                raise Refused(404, "NOT_FOUND", "order with this orderID was not found")
            return {"order": order_body(found)}
        return self._market(name.removeprefix("/"), params)

    def _orders(self, account: DeskAccount, params: Params) -> Any:
        states, product = set(params.get("order_status", [])), params.get("product_id", [""])[0]
        since, until = instant(params, "start_date"), instant(params, "end_date") or 1 << 62
        found = [
            order
            for order in reversed(self.desk.orders(account, open_only=states == {"OPEN"}))
            if (not states or order.state in states)
            and (not product or order.symbol == product)
            and since <= order.created_ns <= until
        ]
        rows, cursor = _page(found, params)
        return {"orders": [order_body(o) for o in rows], "sequence": "0", "has_next": bool(cursor), "cursor": cursor}

    def _fills(self, account: DeskAccount, params: Params) -> Any:
        product, orders = params.get("product_id", [""])[0], set(params.get("order_ids", []))
        orders |= set(params.get("order_id", []))
        until = instant(params, "end_sequence_timestamp") or 1 << 62
        held = self.desk.fills(account, instant(params, "start_sequence_timestamp"), product)
        found = [f for f in reversed(held) if f.ts <= until and (not orders or f.order.order in orders)]
        rows, cursor = _page(found, params)
        return {"fills": [fill_body(fill) for fill in rows], "cursor": cursor}

    # --- orders -------------------------------------------------------------------------------------------------------

    def _in_coins(self, request: Request, message: dict[str, Any]) -> Entry:
        """The order that is asked for; a market order for so much money becomes one for what that buys now."""
        held = message.get("order_configuration")
        market = held.get("market_market_ioc") if isinstance(held, dict) else None
        if isinstance(market, dict) and "quote_size" in market and "base_size" not in market:
            listing = self.desk.listings.get(str(message.get("product_id")))
            if listing is None:
                raise WireError("product_id: no such product")
            side = fields.side(message)
            qty = self._worth(listing, side, fields.number(market, "quote_size"))
            client = fields.text(message, "client_order_id")
            return Entry(listing.symbol, client, side, qty, order_type=1, tif=2)
        asked = decode_request(request)
        assert isinstance(asked, Entry)
        return asked

    def _worth(self, listing: Listing, side: int, text: str) -> str:
        try:
            left, qty = Decimal(text), Decimal(0)
        except InvalidOperation:
            raise WireError("quote_size: not a number") from None
        depth = self.desk.depth(listing.symbol, _MOST)
        for price, there in depth.asks if side > 0 else depth.bids:
            take = min(Decimal(there), left / Decimal(price))
            qty, left = qty + take, left - take * Decimal(price)
            if left <= 0:
                break
        lot = Decimal(listing.item.lot_size)
        return f"{(qty / lot).to_integral_value(ROUND_DOWN) * lot:f}"

    def _place(self, account: DeskAccount, entry: Entry) -> dict[str, Any]:
        earlier = self.desk.order(account, "", entry.client)
        if earlier is not None:
            return placed(earlier)  # a repeat is answered with the first order
        found = self.desk.enter(account, entry)
        return not_placed(*reason_of(found)) if isinstance(found, Refusal) else placed(found)

    def _cancel(self, account: DeskAccount, asked: Cancel) -> dict[str, Any]:
        found = self.desk.cancel(account, asked.order)
        done = isinstance(found, DeskOrder)
        reason = "UNKNOWN_CANCEL_FAILURE_REASON" if done else "UNKNOWN_CANCEL_ORDER"
        return {"success": done, "failure_reason": reason, "order_id": asked.order}

    def _edit(self, account: DeskAccount, asked: Amend) -> dict[str, Any]:
        entry = asked.entry
        order = self.desk.order(account, asked.order)
        words = "ORDER_NOT_FOUND"
        if order is not None and order.open:
            found = self.desk.amend(account, asked.order, qty=entry.qty, price=entry.price)
            if not isinstance(found, Refusal):
                return {"success": True, "success_response": {"order_id": asked.order}, "errors": []}
            words = reason_of(found)[0]
        return {"success": False, "errors": [{"edit_failure_reason": words}],
                "error_response": {"error": words, "edit_failure_reason": words}}  # fmt: skip


def _params(query: str) -> Params:
    try:
        return parse_qs(query, keep_blank_values=False, max_num_fields=300)
    except ValueError:
        raise Refused(400, "INVALID_ARGUMENT", "too many parameters") from None


def _page(found: list[Any], params: Params) -> tuple[list[Any], str]:
    """A page of a list, and the cursor of the next; empty if there is none."""
    first, limit = whole(params, "cursor", 0, 1 << 30), max(1, whole(params, "limit", 100, _MOST))
    end = first + limit
    return found[first:end], str(end) if end < len(found) else ""
