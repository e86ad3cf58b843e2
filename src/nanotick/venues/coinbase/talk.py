"""One WebSocket connection of a served Coinbase Advanced Trade: every message numbered, whatever its channel.

Source: docs.cdp.coinbase.com, Advanced Trade WebSocket (subscriptions, heartbeats, level2, market_trades, user).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from nanotick.venues.coinbase.bodies import Refused, fees_of
from nanotick.venues.coinbase.manners import send_or_cut
from nanotick.venues.desk_accounts import DeskAccount
from nanotick.venues.desk_orders import DeskOrder
from nanotick.venues.host import Link, Timer
from nanotick.wire.coinbase_server import decode_stream_request, encode_heartbeat, encode_messages, encode_orders
from nanotick.wire.json_text import WireError, rfc3339_text
from nanotick.wire.messages import Depth, Trade
from nanotick.wire.reports import Report
from nanotick.wire.requests import Subscribe

if TYPE_CHECKING:
    from nanotick.venues.coinbase.server import CoinbaseSite

_BEAT_NS, _FIRST_NS = 1_000_000_000, 5_000_000_000
_SERVED = {"depth": "level2", "trade": "market_trades", "heartbeat": "heartbeats", "user": "user"}
_PAGE = 50  # orders of a snapshot message


class Talk:
    """A connection."""

    def __init__(self, site: CoinbaseSite) -> None:
        self._site = site
        self._link: Link | None = None
        self._number = self._beats = 0
        self._subscribed: dict[str, set[str]] = {}  # channel -> products
        self._stop_user: Callable[[], None] | None = None
        self._timer: Timer | None = None

    # --- the link -----------------------------------------------------------------------------------------------------

    def opened(self, link: Link) -> None:
        """See `LinkUser`."""
        self._link = link
        host = self._site.host
        self._timer = host.at(host.now() + _FIRST_NS, self._first)

    def closed(self, link: Link | None, reason: str) -> None:
        """See `LinkUser`."""
        self._site.hub.leave(self)
        self._link = None
        if self._stop_user is not None:
            self._stop_user()
        if self._timer is not None:
            self._timer.cancel()

    def _first(self) -> None:
        if self._link is not None and not self._subscribed:
            self._link.close(1008, "no subscription within five seconds")

    def _send(self, data: bytes) -> None:
        self._number += send_or_cut(self._link, data)

    def _beat(self) -> None:
        host = self._site.host
        if self._link is None or "heartbeats" not in self._subscribed:
            return
        self._send(encode_heartbeat(self._number, self._beats, host.now()))
        self._beats += 1
        self._timer = host.at(host.now() + _BEAT_NS, self._beat)

    # --- requests -----------------------------------------------------------------------------------------------------

    def message(self, link: Link, data: bytes | memoryview, now: int) -> None:
        """See `LinkUser`."""
        try:
            asked = decode_stream_request(bytes(data))
            for channel, _ in asked.channels:
                if channel not in _SERVED:
                    raise WireError(f"channel {channel} is not served")
            channel = asked.channels[0][0]
            account = self._account(asked, channel)
            products = [product for _, product in asked.channels if product]
            for product in products:
                if product not in self._site.desk.listings:
                    raise WireError(f"{product[:40]} is not a valid product")
            if asked.on:
                self._subscribe(channel, products, account, now)
            else:
                self._unsubscribe(channel, products, now)
        except (WireError, Refused) as error:
            words = error.message if isinstance(error, Refused) else str(error)
            if self._link is not None:
                self._link.send(msgspec.json.encode({"type": "error", "message": words[:200]}))

    def _account(self, asked: Subscribe, channel: str) -> DeskAccount | None:
        token = asked.login.proof if asked.login is not None else ""
        if token:
            return self._site.gate.account(token, "")
        if channel == "user":
            raise Refused(401, "unauthorized", "authentication failure")
        return None

    def _told(self, now: int) -> None:
        shown = {name: sorted(products) or ["heartbeats"] for name, products in self._subscribed.items()}
        body = {"channel": "subscriptions", "client_id": "", "timestamp": rfc3339_text(now),
                "sequence_num": self._number, "events": [{"subscriptions": shown}]}  # fmt: skip
        self._send(msgspec.json.encode(body))

    def _subscribe(self, channel: str, products: list[str], account: DeskAccount | None, now: int) -> None:
        name, site = _SERVED[channel], self._site
        held = self._subscribed.setdefault(name, set())
        fresh = [product for product in dict.fromkeys(products) if product not in held]
        if channel in ("depth", "trade") and not products:
            fresh = [product for product in site.desk.listings if product not in held]
        held |= set(fresh)
        for product in fresh if channel in ("depth", "trade") else ():
            listing = site.desk.listings[product]
            if channel == "depth":
                self._send(encode_messages([site.hub.snapshot(listing)], self._number))
                site.hub.depth.setdefault(listing.number, []).append(self)
            else:
                trades = site.hub.last_trades(listing)
                if trades:
                    self._send(encode_messages(list(trades), self._number))
                site.hub.trades.setdefault(listing.number, []).append(self)
        self._told(now)
        if channel == "heartbeat" and self._beats == 0:
            if self._timer is not None:
                self._timer.cancel()
            self._beat()
        if account is not None and channel == "user":
            if self._stop_user is not None:
                self._stop_user()
            orders = site.desk.orders(account, open_only=True)
            for begin in range(0, max(1, len(orders)), _PAGE):
                self._orders(orders[begin : begin + _PAGE], True)
            self._stop_user = site.desk.follow(account, self._report)

    def _unsubscribe(self, channel: str, products: list[str], now: int) -> None:
        name = _SERVED[channel]
        held = self._subscribed.get(name, set())
        gone = set(products) if products else set(held)
        self._site.hub.leave(self, {self._site.desk.listings[p].number for p in gone}, channel)
        held -= gone
        if not held:
            self._subscribed.pop(name, None)
        if channel == "user" and self._stop_user is not None:
            self._stop_user()
            self._stop_user = None
        self._told(now)

    # --- what is told -------------------------------------------------------------------------------------------------

    def depth(self, told: Depth) -> None:
        """Levels have changed."""
        self._send(encode_messages([told], self._number))

    def traded(self, trades: list[Trade]) -> None:
        """Trades of one product, the latest first."""
        self._send(encode_messages(list(trades), self._number))

    def _orders(self, orders: list[DeskOrder], snapshot: bool) -> None:
        fees = [fees_of(order) for order in orders]
        self._send(encode_orders(orders, fees, self._number, self._site.host.now(), snapshot))

    def _report(self, report: Report, order: DeskOrder) -> None:
        self._orders([order], False)
