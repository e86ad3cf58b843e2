"""One WebSocket connection of a served Kraken (v2), public or private.

Source: docs.kraken.com, WebSocket v2: status, heartbeat, ping, book, trade, executions, balances, user trading.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from nanotick.venues.desk_accounts import DeskAccount
from nanotick.venues.desk_orders import DeskOrder
from nanotick.venues.host import Link, Timer
from nanotick.venues.kraken.bodies import Refused, execution_rows, executions, open_order_row
from nanotick.venues.kraken.public import DEPTHS, Hear
from nanotick.wire import fields
from nanotick.wire.json_text import Digits, WireError, decode, rfc3339_ns, rfc3339_text
from nanotick.wire.kraken_server import HEARTBEAT, decode_stream_request, encode_status
from nanotick.wire.polygon_server import raw
from nanotick.wire.reports import Report
from nanotick.wire.requests import Amend, Entry

if TYPE_CHECKING:
    from nanotick.venues.kraken.server import KrakenSite

_BEAT_NS = 1_000_000_000
_IDLE_NS = 60 * _BEAT_NS
_SLOW = 16 << 20  # bytes that may wait for a client that does not read
_MOST_SYMBOLS = 1000


class Talk:
    """A connection.

    Parameters
    ----------
    private : bool
        It takes tokens, orders and the account's channels; without it the market's.
    number : int
        Of the connection.
    """

    def __init__(self, site: KrakenSite, private: bool, number: int) -> None:
        self._site, self._private, self._number = site, private, number
        self._link: Link | None = None
        self._books: dict[str, int] = {}  # symbol -> depth
        self._trades: set[str] = set()
        self._follows: dict[str, Callable[[], None]] = {}  # channel -> how to stop
        self._tokens: dict[str, DeskAccount] = {}
        self._sequence = 0
        self._sent_ns = self._heard_ns = 0
        self._beat: Timer | None = None
        self._methods: dict[str, Callable[[DeskAccount, dict[str, Any], bytes], list[Any]]] = {
            "add_order": self._add, "amend_order": self._amend, "cancel_order": self._cancel,
            "cancel_all": self._cancel_all, "cancel_all_orders_after": self._cancel_after, "batch_add": self._batch,
        }  # fmt: skip

    # --- the link -----------------------------------------------------------------------------------------------------

    def opened(self, link: Link) -> None:
        """See `LinkUser`."""
        self._link = link
        self._site.talks.add(self)
        self._heard_ns = self._site.host.now()
        self.status()
        self._tick()

    def closed(self, link: Link | None, reason: str) -> None:
        """See `LinkUser`."""
        self._site.talks.discard(self)
        self._link = None
        if self._beat is not None:
            self._beat.cancel()
        for stop in self._follows.values():
            stop()
        hub, listings = self._site.hub, self._site.desk.listings
        for symbol, depth in self._books.items():
            hub.leave_book(listings[symbol], depth, self._hear)
        for symbol in self._trades:
            hub.leave_trades(listings[symbol], self._hear)
        self._books, self._trades, self._follows = {}, set(), {}

    def status(self) -> None:
        """Say how the venue is."""
        self._send(encode_status(self._site.orders.system, self._number))

    def cut(self, reason: str = "maintenance") -> None:
        """End the connection."""
        if self._link is not None:
            self._link.close(1001, reason)

    def _send(self, data: bytes) -> None:
        if self._link is None:
            return
        if self._link.waiting > _SLOW:
            self._link.close(1008, "too slow")
            return
        self._sent_ns = self._site.host.now()
        self._link.send(data)

    def _hear(self, data: bytes) -> None:
        self._send(data)

    def _tick(self) -> None:
        now = self._site.host.now()
        subscribed = bool(self._books or self._trades or self._follows)
        if subscribed and now - self._sent_ns >= _BEAT_NS:
            self._send(HEARTBEAT)
        elif not subscribed and now - max(self._heard_ns, self._sent_ns) > _IDLE_NS:
            self.cut("nothing is subscribed")
        self._beat = self._site.host.at(now + _BEAT_NS, self._tick)

    # --- requests -----------------------------------------------------------------------------------------------------

    def message(self, link: Link, data: bytes | memoryview, now: int) -> None:
        """See `LinkUser`."""
        self._heard_ns = now
        method, number = "", None
        try:
            asked = decode(bytes(data))
            if not isinstance(asked, dict) or not isinstance(asked.get("method"), str):
                raise Refused("EGeneral:Invalid arguments:method")
            method, number = asked["method"], asked.get("req_id")
            number = int(number) if isinstance(number, Digits) and number.isdigit() and len(number) < 19 else None
            params = asked.get("params")
            params = params if isinstance(params, dict) else {}
            if method == "ping":
                self._answer(now, "pong", number)
            elif method in ("subscribe", "unsubscribe"):
                self._subscription(method == "subscribe", params, number, now)
            elif method in self._methods and self._private:
                account = self._account(str(params.get("token") or ""))
                for result in self._methods[method](account, params, bytes(data)):
                    self._result(now, method, number, result)
            else:
                raise Refused(f"EGeneral:Unknown method {method[:40]}")
        except Refused as refused:
            self._result(now, method, number, refused)
        except WireError as error:
            self._result(now, method, number, Refused(f"EGeneral:Invalid arguments:{str(error)[:100]}"))

    def _account(self, token: str) -> DeskAccount:
        """Whose token it is; one that has subscribed is good for as long as its connection, however old it gets."""
        return self._tokens.get(token) or self._site.methods.account_of(token)

    def _answer(self, now: int, method: str, number: int | None, **body: Any) -> None:
        answer: dict[str, Any] = {"method": method} | ({} if number is None else {"req_id": number}) | body
        answer |= {"time_in": rfc3339_text(now), "time_out": rfc3339_text(self._site.host.now())}
        self._send(msgspec.json.encode(answer))

    def _result(self, now: int, method: str, number: int | None, result: Any, **more: Any) -> None:
        if isinstance(result, Refused):
            self._answer(now, method, number, success=False, error=str(result), **more)
        else:
            self._answer(now, method, number, success=True, result=result, **more)

    # --- subscriptions ------------------------------------------------------------------------------------------------

    def _subscription(self, on: bool, params: dict[str, Any], number: int | None, now: int) -> None:
        method, channel = ("subscribe" if on else "unsubscribe"), fields.optional_text(params, "channel")
        if channel in ("executions", "balances") and self._private:
            self._account_channel(on, channel, params, number, now)
            return
        if channel not in ("book", "trade") or self._private:
            raise Refused(f"Channel {channel[:40]} is not served")
        symbols = params.get("symbol")
        if not isinstance(symbols, list) or not symbols or len(symbols) > _MOST_SYMBOLS:
            raise Refused("EGeneral:Invalid arguments:symbol")
        depth = fields.whole(params, "depth", 10)
        if depth not in DEPTHS:
            raise Refused("Subscription depth not supported")
        for symbol in symbols:
            listing = self._site.desk.listings.get(symbol) if isinstance(symbol, str) else None
            more = {"symbol": str(symbol)[:40]}
            if listing is None:
                self._result(now, method, number, Refused(f"Currency pair not supported {more['symbol']}"), **more)
                continue
            held = symbol in (self._books if channel == "book" else self._trades)
            if held == on:
                words = "Already subscribed" if on else "Subscription Not Found"
                self._result(now, method, number, Refused(words), **more)
                continue
            result: dict[str, Any] = {"channel": channel, "symbol": symbol}
            if channel == "book":
                result["depth"] = depth if on else self._books[symbol]
            snapshot = params.get("snapshot") is not False
            self._result(now, method, number, result | ({"snapshot": snapshot} if on else {}))
            self._market_channel(on, channel, listing, depth, snapshot)

    def _market_channel(self, on: bool, channel: str, listing: Any, depth: int, snapshot: bool) -> None:
        hub, symbol = self._site.hub, listing.symbol
        hear: Hear = self._hear
        if channel == "book" and on:
            self._books[symbol] = depth
            data: bytes | None = hub.hear_book(listing, depth, hear)
        elif channel == "book":
            hub.leave_book(listing, self._books.pop(symbol), hear)
            return
        elif on:
            self._trades.add(symbol)
            data = hub.hear_trades(listing, hear)
        else:
            self._trades.discard(symbol)
            hub.leave_trades(listing, hear)
            return
        if snapshot and data is not None:
            self._send(data)

    def _account_channel(self, on: bool, channel: str, params: dict[str, Any], number: int | None, now: int) -> None:
        token = str(params.get("token") or "")
        account = self._account(token)
        if on == (channel in self._follows):
            raise Refused("Already subscribed" if on else "Subscription Not Found")
        self._result(now, "subscribe" if on else "unsubscribe", number, {"channel": channel})
        self._tokens[token] = account
        if not on:
            self._follows.pop(channel)()
            return
        desk = self._site.desk
        if channel == "balances":
            self._balances(account, "snapshot")
            self._follows[channel] = desk.follow(account, lambda report, order: self._balances(account, "update"))
            return
        self._sequence = 0
        self._follows[channel] = desk.follow(account, self._told)
        rows = [open_order_row(order, order.ts_venue) for order in desk.orders(account, open_only=True)]
        if params.get("snap_orders") is False:
            rows = []
        if params.get("snap_trades") is True:
            for fill in desk.fills(account)[-50:]:
                report = fill_report(fill)
                rows += execution_rows(report, fill.order)[0]
        self._executions("snapshot", rows)

    def _executions(self, kind: str, rows: list[dict[str, Any]]) -> None:
        self._sequence += 1
        self._send(executions(kind, rows, self._sequence))

    def _told(self, report: Report, order: DeskOrder) -> None:
        for rows in execution_rows(report, order):
            self._executions("update", rows)

    def _balances(self, account: DeskAccount, kind: str) -> None:
        rows = [
            {"asset": item.asset, "balance": raw(item.free if item.locked == "0" else _sum(item.free, item.locked))}
            for item in self._site.desk.balances(account)
        ]
        self._send(msgspec.json.encode({"channel": "balances", "type": kind, "data": rows}))

    # --- orders -------------------------------------------------------------------------------------------------------

    @staticmethod
    def _deadline(params: dict[str, Any]) -> int:
        return rfc3339_ns(params["deadline"], "deadline") if "deadline" in params else 0

    @staticmethod
    def _ids(order: DeskOrder) -> dict[str, str]:
        return {"order_id": order.order} | ({"cl_ord_id": order.client} if order.client else {})

    def _add(self, account: DeskAccount, params: dict[str, Any], data: bytes) -> list[Any]:
        entry = decode_stream_request(data)[2]
        assert isinstance(entry, Entry)
        order = self._site.orders.place(account, entry, self._deadline(params), params.get("validate") is True)
        return [{} if order is None else self._ids(order)]

    def _batch(self, account: DeskAccount, params: dict[str, Any], data: bytes) -> list[Any]:
        entries, found = decode_stream_request(data)[2], []
        assert isinstance(entries, list)
        if len(entries) > 15:
            raise Refused("EGeneral:Invalid arguments:orders")
        for entry in entries:
            try:
                order = self._site.orders.place(account, entry, self._deadline(params), params.get("validate") is True)
                found.append({} if order is None else self._ids(order))
            except Refused as refused:
                found.append({"error": str(refused)} | ({"cl_ord_id": entry.client} if entry.client else {}))
        return [{"orders": found}]

    def _amend(self, account: DeskAccount, params: dict[str, Any], data: bytes) -> list[Any]:
        asked = decode_stream_request(data)[2]
        assert isinstance(asked, Amend)
        order = self._site.orders.named(account, asked.order, asked.client)
        entry = asked.entry
        self._site.orders.amend(
            account, order, entry.qty, entry.price, entry.stop, entry.post_only, self._deadline(params)
        )
        return [{"amend_id": self._site.methods.amendment(order), **self._ids(order)}]

    def _cancel(self, account: DeskAccount, params: dict[str, Any], data: bytes) -> list[Any]:
        found: list[Any] = []
        for key in ("order_id", "cl_ord_id"):
            names = params.get(key) or []
            for name in names if isinstance(names, list) else [names]:
                order, client = (str(name), "") if key == "order_id" else ("", str(name))
                try:
                    found.append(self._ids(self._site.orders.cancel(account, order, client)))
                except Refused as refused:
                    found.append(refused)
        if not found or len(found) > 50:
            raise Refused("EGeneral:Invalid arguments:order_id")
        return found

    def _cancel_all(self, account: DeskAccount, params: dict[str, Any], data: bytes) -> list[Any]:
        return [{"count": self._site.orders.cancel_all(account)}]

    def _cancel_after(self, account: DeskAccount, params: dict[str, Any], data: bytes) -> list[Any]:
        return [self._site.methods.switch(account, min(86_400, fields.whole(params, "timeout")))]


def _sum(first: str, second: str) -> str:
    from decimal import Decimal

    return f"{Decimal(first) + Decimal(second):f}"


def fill_report(fill: Any) -> Report:
    """The report that a fill was told by."""
    from nanotick.core.records import Kind

    order = fill.order
    return Report(
        int(Kind.FILL), order.symbol, fill.ts, order.client, order.order, order.side, fill.price_text, fill.qty_text,
        fill.execution, fill.fee_text, fill.fee_asset, fill.maker,
    )  # fmt: skip
