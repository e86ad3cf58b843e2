"""Alpaca: orders over REST, reports over `trade_updates`.

A cancel or replace goes by Alpaca's order id, which the answer to the order brings; a replaced order is a new one under
a fresh client id. Nothing is told again after a reconnection: open orders and fill activities are read instead. Source:
docs.alpaca.markets, Trading API and WebSocket streaming.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import numpy as np

from nanotick.core.records import COMMAND, OrderType, TimeInForce, command_at
from nanotick.core.secret import Secret
from nanotick.venues.backoff import BackoffLimits
from nanotick.venues.feed import Conversation, Pace
from nanotick.venues.host import Headers
from nanotick.venues.outlet import Outlet
from nanotick.venues.private import PrivateStream
from nanotick.venues.working import Sent, Working
from nanotick.venues.written import WritingTrader
from nanotick.wire import fields
from nanotick.wire.alpaca_trading import decode_reply, decode_stream, encode, encode_stream, order_status
from nanotick.wire.json_text import WireError, decode, rfc3339_ns, rfc3339_text
from nanotick.wire.messages import Notice
from nanotick.wire.order_text import OrderWriter
from nanotick.wire.reports import Balance, OrderStatus, Position, Private, Report
from nanotick.wire.requests import Asked, Login, Query, Request, Response, Subscribe, Unsupported
from nanotick.wire.signing import alpaca_headers

PAPER = "https://paper-api.alpaca.markets"
PAPER_STREAM = "wss://paper-api.alpaca.markets/stream"
LIVE = "https://api.alpaca.markets"
LIVE_STREAM = "wss://api.alpaca.markets/stream"
_ORDERS = "/v2/orders"
_PAGE, _FILLS_PAGE = 500, 100
_PLAIN = (
    (OrderType.LIMIT, TimeInForce.GTC), (OrderType.LIMIT, TimeInForce.IOC), (OrderType.LIMIT, TimeInForce.DAY),
    (OrderType.MARKET, TimeInForce.IOC), (OrderType.MARKET, TimeInForce.DAY),
)  # fmt: skip
_PACE = Pace(ready_ns=8_000_000_000, backoff=BackoffLimits(cap_ns=8_000_000_000))


class AlpacaTrader(WritingTrader):
    """One Alpaca account; parameters as in `Trader`.

    Parameters
    ----------
    key : str
    secret : Secret
    rest, stream : str
        Addresses; the paper account's by default.
    """

    name = "alpaca"
    renames = True
    needs_order = True

    def __init__(
        self, *args: Any, key: str, secret: Secret, rest: str = PAPER, stream: str = PAPER_STREAM, **settings: Any
    ) -> None:
        super().__init__(*args, rest=rest, **settings)
        self._key, self._secret = key, secret
        self._headers = (*alpaca_headers(key, secret), ("Content-Type", "application/json"))
        self.stream = PrivateStream(self, [stream], decode_stream, self._greet, self._heard, _PACE)
        self._writer = OrderWriter(self.instruments, self.ids, lambda entry, stamp: encode(entry).body)
        self._prepared: set[tuple[int, int, int, int]] = set()
        orders = self.host.post(rest, _ORDERS, self._headers, self._timeout)
        if orders is not None:
            self.let_out(Outlet(self._writer, orders.head), orders.send)

    # --- the clock ----------------------------------------------------------------------------------------------------

    TIME = "/v2/clock"

    def time_headers(self) -> Headers:
        """As `RestTrader.time_headers`."""
        return self._headers

    def read_time(self, body: bytes) -> int:
        """As `RestTrader.read_time`."""
        return rfc3339_ns(fields.text(fields.mapping(decode(body), "clock"), "timestamp"), "timestamp")

    # --- the stream ---------------------------------------------------------------------------------------------------

    def warm(self) -> None:
        """As `Trader.warm`: the plain kinds of orders of every instrument."""
        command = np.zeros(1, COMMAND)
        for number, item in enumerate(self.instruments):
            if item.venue != self.venue:
                continue
            for side in (1, -1):
                for order_type, tif in _PLAIN:
                    kind = (number, side, int(order_type), int(tif))
                    if kind not in self._prepared:
                        self._prepared.add(kind)
                        self._writer.prepare(*kind)
            command["instrument"], command["qty"], command["price"], command["side"] = number, 1, 1, 1
            self._writer.write(int(command.ctypes.data))

    def _greet(self, talk: Conversation) -> None:
        talk.send(encode_stream(Login(self._key, self._secret.reveal())))

    def _heard(self, talk: Conversation, notice: Notice) -> None:
        if notice.status == "authorized":
            self.stream.authenticated(talk)
            talk.send(encode_stream(Subscribe((("trade_updates", ""),))))
        elif notice.status == "listening":
            self.stream.live(talk)
        else:
            self.stream.fail(talk, f"{notice.status} {notice.text}".strip(), denied=notice.status == "unauthorized")

    # --- requests -----------------------------------------------------------------------------------------------------

    def _transmit(self, asked: Asked, sent: Sent) -> None:
        self.post(encode(asked, self._headers), sent)  # type: ignore[arg-type]

    def _transmit_written(self, address: int, sent: Sent) -> bool:
        body = self._writer.write(address)
        if body is None and not self._prepare(address):
            return False
        if body is None:
            body = self._writer.write(address)
        if body is None:
            return False
        self.post(Request("POST", _ORDERS, self._headers, bytes(body)), sent)
        return True

    def _prepare(self, address: int) -> bool:
        command = command_at(address)
        kind = (command.instrument, command.side, command.order_type, command.tif)
        if kind in self._prepared:
            return False
        self._prepared.add(kind)
        try:
            self._writer.prepare(*kind)
        except Unsupported:
            return False
        return True

    def read(self, response: Response, request: str) -> list[Private]:
        """As `RestTrader.read`."""
        return decode_reply(response.status, response.body, request)

    def query(self, working: Working, client: str, done: Callable[[list[Private] | None], None]) -> None:
        """As `Trader.query`."""
        self.get(encode(Query(working.symbol, client), self._headers), lambda r: done(self.told_by(r)))

    def query_order(self, order: str, done: Callable[[list[Private] | None], None]) -> None:
        """As `Trader.query_order`: activities name orders by Alpaca's ids alone."""
        self.get(encode(Query("", "", order), self._headers), lambda r: done(self.told_by(r)))

    # --- what the account has -----------------------------------------------------------------------------------------

    def fetch_open(self, done: Callable[[list[OrderStatus] | None], None]) -> None:
        """As `Trader.fetch_open`, page by page, oldest first."""
        self._open_page("", [], done)

    def _open_page(
        self, after: str, found: list[OrderStatus], done: Callable[[list[OrderStatus] | None], None]
    ) -> None:
        path = f"/v2/orders?status=open&limit={_PAGE}&direction=asc&nested=false"
        if after:
            path += f"&after={quote(after, safe='')}"

        def take(response: Response) -> None:
            try:
                items = self.items(response)
                found.extend(order_status(item) for item in items)
                last = fields.text(items[-1], "submitted_at") if len(items) == _PAGE else ""
            except WireError as error:
                self.note("error", "open orders cannot be read", reason=str(error))
                done(None)
                return
            if last and last != after:
                self._open_page(last, found, done)
            else:
                done(found)

        self.get(Request("GET", path, self._headers), take)

    def fetch_fills(self, since: int, done: Callable[[list[Report] | None], None]) -> None:
        """As `Trader.fetch_fills`, page by page, oldest first."""
        self._fills_page(since, "", [], done)

    def _fills_page(
        self, since: int, token: str, found: list[Report], done: Callable[[list[Report] | None], None]
    ) -> None:
        path = f"/v2/account/activities/FILL?after={quote(rfc3339_text(since), safe='')}"
        path += f"&direction=asc&page_size={_FILLS_PAGE}" + (f"&page_token={quote(token, safe='')}" if token else "")

        def take(response: Response) -> None:
            try:
                items = self.items(response)
                told = decode_reply(response.status, response.body)
                last = fields.text(items[-1], "id") if len(items) == _FILLS_PAGE else ""
            except WireError as error:
                self.note("error", "fills cannot be read", reason=str(error))
                done(None)
                return
            found.extend(item for item in told if isinstance(item, Report))
            if last and last != token:
                self._fills_page(since, last, found, done)
            else:
                done(found)

        self.get(Request("GET", path, self._headers), take)

    def fetch_holdings(self, done: Callable[[list[Position | Balance] | None], None]) -> None:
        """As `Trader.fetch_holdings`."""

        def take(response: Response) -> None:
            told = self.told_by(response)
            good = told is not None and response.status == 200
            done([item for item in told or () if isinstance(item, Position)] if good else None)

        self.get(Request("GET", "/v2/positions", self._headers), take)
