"""A served Coinbase Exchange: market data order by order, by WebSocket and REST, in front of a desk.

    site = ExchangeSite(desk)                    # Desk(..., venue="COINBASE", terms=TERMS)
    site.start()
    port = host.serve(site)                      # REST at /products/..., one stream at /

Orders are for Advanced Trade (`coinbase.server`). `docs/served-venues.md` says what is simplified. Source:
docs.cdp.coinbase.com, Exchange WebSocket (overview, channels, rate limits, authentication) and REST (products).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

import msgspec

from nanotick.core.secret import Secret
from nanotick.venues.coinbase.exchange_books import CHANNELS, ExchangeBooks, Hear, Product
from nanotick.venues.coinbase.manners import Rates, send_or_cut
from nanotick.venues.desk import Desk
from nanotick.venues.desk_terms import Listing
from nanotick.venues.host import Headers, Link, LinkUser, Timer
from nanotick.wire.coinbase_server import (
    decode_stream_request,
    encode_book,
    encode_exchange,
    encode_exchange_heartbeat,
)
from nanotick.wire.coinbase_trading import EXCHANGE_CHANNELS
from nanotick.wire.json_text import WireError, rfc3339_text
from nanotick.wire.messages import Depth, Trade
from nanotick.wire.requests import Login, Request, Response, Subscribe
from nanotick.wire.signing import CoinbaseExchangeSigner

REQUESTS_A_SECOND, CONNECTIONS_A_SECOND = 15, 20  # bursts; the venue lets 10 and 8 pass for long
_S = 1_000_000_000
_FIRST_NS, _SKEW_S = 5 * _S, 30
_TRADES, _MOST_TRADES = 100, 1_000
_JSON = (("Content-Type", "application/json"),)
_SIGNED = frozenset(("depth",))  # channels for which one must show who one is


def _answer(status: int, body: Any) -> Response:
    return Response(status, _JSON, body if isinstance(body, bytes) else msgspec.json.encode(body))


class ExchangeTalk:
    """One WebSocket connection."""

    def __init__(self, site: ExchangeSite) -> None:
        self._site = site
        self._link: Link | None = None
        self._heard: dict[tuple[str, str], Hear] = {}  # channel and product
        self._timer: Timer | None = None

    # --- the link -----------------------------------------------------------------------------------------------------

    def opened(self, link: Link) -> None:
        """See `LinkUser`."""
        self._link = link
        self._timer = self._site.host.at(self._site.host.now() + _FIRST_NS, self._first)

    def closed(self, link: Link | None, reason: str) -> None:
        """See `LinkUser`."""
        self._leave(list(self._heard))
        self._link = None
        if self._timer is not None:
            self._timer.cancel()

    def _first(self) -> None:
        if self._link is not None and not self._heard:
            self._link.close(1008, "no subscription within five seconds")
        else:
            self._beat()

    def _send(self, data: bytes) -> None:
        send_or_cut(self._link, data)

    def _beat(self) -> None:
        """Tell how far each product has come, every second."""
        host = self._site.host
        if self._link is None:
            return
        for channel, symbol in self._heard:
            if channel == "heartbeat":
                product = self._site.books.products[symbol]
                self._send(encode_exchange_heartbeat(symbol, product.sequence, product.last_trade, host.now()))
        self._timer = host.at(host.now() + _S, self._beat)

    # --- requests -----------------------------------------------------------------------------------------------------

    def message(self, link: Link, data: bytes | memoryview, now: int) -> None:
        """See `LinkUser`."""
        try:
            asked = decode_stream_request(bytes(data))
            self._check(asked, now)
            if asked.on:
                for channel, symbol in asked.channels:
                    if (channel, symbol) not in self._heard:
                        self._subscribe(channel, symbol)
            else:
                everything = [key for key in self._heard if not any(symbol for _, symbol in asked.channels)]
                self._leave([key for key in asked.channels if key in self._heard] or everything)
            self._told()
        except WireError as error:
            self._send(msgspec.json.encode({"type": "error", "message": str(error)[:200], "reason": ""}))

    def _check(self, asked: Subscribe, now: int) -> None:
        known = asked.login is not None and self._site.knows(asked.login, now)
        if asked.login is not None and not known:
            raise WireError("Authentication Failed")
        for channel, symbol in asked.channels:
            if channel not in CHANNELS:
                raise WireError(f"channel {EXCHANGE_CHANNELS[channel]} is not served")
            if asked.on and channel in _SIGNED and not known:
                raise WireError(f"{EXCHANGE_CHANNELS[channel]} requires authentication; level2_batch does not")
            if (asked.on or symbol) and self._site.books.product(symbol) is None:
                raise WireError(f"{symbol[:40]} is not a valid product")

    def _subscribe(self, channel: str, symbol: str) -> None:
        site, hear = self._site, self._send
        product = site.books.products[symbol]
        if channel in ("depth", "depth_batch"):
            rows = site.books.book(product, 2)
            bids, asks = ([(row[0], row[1]) for row in rows[name]] for name in ("bids", "asks"))
            self._send(encode_exchange(Depth(symbol, site.host.now(), bids, asks, snapshot=True)))
        elif channel == "trade":
            for trade in site.last_trades(product, 1):
                self._send(encode_exchange(trade))
        product.heard[channel].append(hear)
        self._heard[channel, symbol] = hear

    def _leave(self, keys: Iterable[tuple[str, str]]) -> None:
        for channel, symbol in keys:
            self._site.books.products[symbol].heard[channel].remove(self._heard.pop((channel, symbol)))

    def _told(self) -> None:
        named: dict[str, list[str]] = {}
        for channel, symbol in self._heard:
            named.setdefault(EXCHANGE_CHANNELS[channel], []).append(symbol)
        channels = [{"name": name, "product_ids": symbols} for name, symbols in named.items()]
        self._send(msgspec.json.encode({"type": "subscriptions", "channels": channels}))


class ExchangeSite:
    """A `Site` that is Coinbase Exchange.

    Parameters
    ----------
    desk : Desk
        Secrets of its accounts are base64, as the venue gives them.
    limits : bool
        Rate limits as the venue has them.
    """

    def __init__(self, desk: Desk, *, limits: bool = True) -> None:
        self.desk, self.host = desk, desk.host
        self.books = ExchangeBooks(desk)
        self._requests = Rates(self.host, REQUESTS_A_SECOND if limits else 0)
        self._connections = Rates(self.host, CONNECTIONS_A_SECOND if limits else 0)
        self._signers: dict[str, CoinbaseExchangeSigner] = {}

    def start(self) -> None:
        """Let the market live."""
        self.desk.start()

    def knows(self, login: Login, now: int) -> bool:
        """Whether a subscription is signed with an account's secret, and lately."""
        account = self.desk.login(login.key)
        if account is None or not login.stamp.isdigit() or abs(int(login.stamp) - now // _S) > _SKEW_S:
            return False
        terms = account.terms
        signer = self._signers.get(login.key)
        if signer is None:
            signer = CoinbaseExchangeSigner(login.key, Secret(terms.secret), Secret(terms.passphrase))
            self._signers[login.key] = signer
        expected = signer.sign(login.stamp, "GET", "/users/self/verify")
        right = hmac.compare_digest(expected.encode(), login.proof.encode())
        return right and hmac.compare_digest(terms.passphrase.encode(), login.secret.encode())

    def last_trades(self, product: Product, most: int) -> list[Trade]:
        """The latest trades of a product, the latest first."""
        item = product.listing
        rows = self.desk.trades.of(item.number)[-most:][::-1]
        columns = [rows[name].tolist() for name in ("side", "price", "qty", "id", "word", "ts_venue")]
        return [
            Trade(item.symbol, stamp, item.price_text(price), item.qty_text(qty), side, trade, order, snapshot=True,
                  seq=product.sequence)
            for side, price, qty, trade, order, stamp in zip(*columns, strict=True)
        ]  # fmt: skip

    # --- Site ---------------------------------------------------------------------------------------------------------

    def upgrade(self, path: str, headers: Headers, peer: str) -> LinkUser | Response:
        """See `Site`."""
        if not self._connections.allow(peer):
            return _answer(429, {"message": "Public rate limit exceeded"})
        return ExchangeTalk(self)

    def request(self, request: Request, peer: str, answer: Callable[[Response], None]) -> None:
        """See `Site`."""
        if not self._requests.allow(peer):
            answer(_answer(429, {"message": "Public rate limit exceeded"}))
            return
        path, _, query = request.path.partition("?")
        parts = [part for part in path.split("/") if part]
        try:
            found = self._respond(request.method, parts, {k: v[0] for k, v in parse_qs(query).items()})
        except ValueError as error:
            found = _answer(400, {"message": str(error)})
        answer(found if found is not None else _answer(404, {"message": "NotFound"}))

    def _respond(self, method: str, parts: list[str], asked: dict[str, str]) -> Response | None:
        now = self.host.now()
        if method != "GET" or not parts or (parts[0] != "products" and parts != ["time"]):
            return None
        if parts == ["time"]:
            return _answer(200, {"iso": rfc3339_text(now), "epoch": now / _S})
        if parts == ["products"]:
            return _answer(200, [self._product(listing) for listing in self.desk.instruments])
        product = self.books.product(parts[1])
        if product is None:
            return None
        what = parts[2:]
        if not what:
            return _answer(200, self._product(product.listing))
        if what == ["book"]:
            level = asked.get("level", "1")
            if level not in ("1", "2", "3"):
                raise ValueError("Invalid level")
            return _answer(200, encode_book(self.books.book(product, int(level)), product.sequence, now))
        if what == ["trades"]:
            return self._trades(product, asked)
        return None

    def _trades(self, product: Product, asked: dict[str, str]) -> Response:
        """A page of past trades, the latest first; `after` and the header `cb-after` lead to older ones."""
        limit, after = asked.get("limit", str(_TRADES)), asked.get("after", "")
        if not limit.isdigit() or (after and not after.isdigit()):
            raise ValueError("Invalid limit or cursor")
        older = int(after) if after else 1 << 62
        found = [trade for trade in self.last_trades(product, 1 << 20) if trade.trade_id < older]
        found = found[: max(1, min(int(limit), _MOST_TRADES))]
        body = [
            {"trade_id": t.trade_id, "side": "buy" if t.side < 0 else "sell", "size": t.qty, "price": t.price,
             "time": rfc3339_text(t.ts_venue)}
            for t in found
        ]  # fmt: skip
        pages = (("CB-AFTER", str(found[-1].trade_id)), ("CB-BEFORE", str(found[0].trade_id))) if found else ()
        return Response(200, (*_JSON, *pages), msgspec.json.encode(body))

    @staticmethod
    def _product(listing: Listing) -> dict[str, Any]:
        item = listing.item
        base, _, quote = listing.symbol.partition("-")
        return {
            "id": listing.symbol, "base_currency": base, "quote_currency": quote or item.currency,
            "quote_increment": item.tick_size, "base_increment": item.lot_size, "display_name": listing.symbol,
            "min_market_funds": "1", "margin_enabled": False, "post_only": False, "limit_only": False,
            "cancel_only": False, "status": "online", "status_message": "", "trading_disabled": False,
            "auction_mode": False,
        }  # fmt: skip
