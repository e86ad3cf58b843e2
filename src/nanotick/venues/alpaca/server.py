"""A served Alpaca: the trading API, its streams and the market data API in front of a desk.

    site = AlpacaSite(desk)
    port = host.serve(site)      # REST under /v2, trade updates at /stream, market data at /v2/iex and /v2/sip

One port carries what Alpaca has on three hosts; the paths do not collide. Requests are those of docs.alpaca.markets;
`docs/served-venues.md` says what is simplified.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote

from nanotick.venues.alpaca import market_data, orders, reading
from nanotick.venues.alpaca.advanced import Advanced
from nanotick.venues.alpaca.bodies import error
from nanotick.venues.alpaca.data_stream import DataHub, DataTalk
from nanotick.venues.alpaca.requests import Refused, refuse
from nanotick.venues.alpaca.trading_stream import TradingTalk, Updates
from nanotick.venues.desk import Desk
from nanotick.venues.desk_accounts import DeskAccount, MarginLedger
from nanotick.venues.desk_bars import Bars
from nanotick.venues.desk_terms import ClientRule, Money, VenueTerms
from nanotick.venues.host import Headers, LinkUser
from nanotick.venues.stamps import stamp
from nanotick.wire.json_text import WireError
from nanotick.wire.requests import Request, Response

TERMS = VenueTerms(money=Money.MARGIN, client_ids=ClientRule.EVER, fees=False)
DATA_PATHS = ("/v2/iex", "/v2/sip", "/v2/delayed_sip", "/v2/test")
REQUESTS_A_MINUTE = 200
FREE_SYMBOLS = 30
_MINUTE = 60_000_000_000
_HISTORY = 10_000
_NOT_AUTHORIZED = error(401, 40110000, "request is not authorized")

Query = dict[str, str]


class AlpacaSite:
    """A `Site` that is Alpaca.

    Parameters
    ----------
    desk : Desk
        With `TERMS`.
    rate_limit : int
        Requests a minute and account, 0: as many as one likes.
    symbol_limit : int
        Symbols of trades and quotes together on the free feed (/v2/iex), 0: all.
    connections : int
        Market data connections of an account.
    paper : bool
        Trade updates come in binary frames, as paper accounts get them.
    """

    def __init__(
        self,
        desk: Desk,
        *,
        rate_limit: int = REQUESTS_A_MINUTE,
        symbol_limit: int = FREE_SYMBOLS,
        connections: int = 1,
        paper: bool = True,
    ) -> None:
        self.desk = desk
        self.host = desk.host
        self.rate_limit, self.symbol_limit, self.connections, self.paper = rate_limit, symbol_limit, connections, paper
        self.created = stamp(desk.host.now())
        self.opening = {listing.number: desk.mark(listing.number) for listing in desk.listings.values()}
        self.updates = Updates(desk, paper)
        self.bars = Bars(desk)
        self.hub = DataHub(desk, self.bars)
        self.advanced = Advanced(desk, self.updates)
        self.equity: dict[str, deque[tuple[int, int]]] = {}
        self.opening_equity: dict[str, int] = {}
        self._used: dict[str, list[int]] = {}
        for account in desk.accounts.values():
            self.opening_equity[account.key] = self._equity_of(account)
        self._sample()

    def _equity_of(self, account: DeskAccount) -> int:
        ledger = account.ledger
        assert isinstance(ledger, MarginLedger), "Alpaca's accounts are margin accounts: Desk(terms=TERMS)"
        return ledger.equity()

    def _sample(self) -> None:
        """Once a minute: the equity of every account, for the portfolio history."""
        now = self.host.now()
        for account in self.desk.accounts.values():
            held = self.equity.setdefault(account.key, deque(maxlen=_HISTORY))
            held.append((now, self._equity_of(account)))
        self.host.at(now + _MINUTE, self._sample)

    # --- Site -------------------------------------------------------------------------------------------------------

    def upgrade(self, path: str, headers: Headers, peer: str) -> LinkUser | Response:
        """See `Site`."""
        where = path.partition("?")[0].rstrip("/")
        if where == "/stream":
            return TradingTalk(self.desk, self.updates, self.paper)
        if where in DATA_PATHS:
            packed = any(n.lower() == "content-type" and "msgpack" in v for n, v in headers)
            limit = self.symbol_limit if where == "/v2/iex" else 0
            return DataTalk(self.desk, self.hub, packed, limit, self.connections)
        return error(404, 40410000, "endpoint not found")

    def request(self, request: Request, peer: str, answer: Callable[[Response], None]) -> None:
        """See `Site`."""
        key = secret = ""
        for name, value in request.headers:
            size = len(name)
            if size == 15 and name.lower() == "apca-api-key-id":
                key = value
            elif size == 19 and name.lower() == "apca-api-secret-key":
                secret = value
        account = self.desk.login(key, secret)
        if account is None:
            answer(_NOT_AUTHORIZED)
            return
        limits = self._limit(account.key) if self.rate_limit else ()
        if limits is None:
            answer(self._over(account.key))
            return
        try:
            response = self._respond(account, request)
        except Refused as refused:
            response = refused.response
        except WireError as fault:  # a number finer or larger than the asset's scale
            response = error(422, 42210000, str(fault))
        if limits:
            response = Response(response.status, response.headers + limits, response.body)
        answer(response)

    def _limit(self, key: str) -> Headers | None:
        """Count a request; the headers that tell so, None when there were too many."""
        now = self.host.now()
        used = self._used.setdefault(key, [now, 0])
        if now - used[0] >= _MINUTE:
            used[0], used[1] = now, 0
        if used[1] >= self.rate_limit:
            return None
        used[1] += 1
        return self._limit_headers(used)

    def _limit_headers(self, used: list[int]) -> Headers:
        return (
            ("X-RateLimit-Limit", str(self.rate_limit)),
            ("X-RateLimit-Remaining", str(self.rate_limit - used[1])),
            ("X-RateLimit-Reset", str((used[0] + _MINUTE) // 1_000_000_000)),
        )

    def _over(self, key: str) -> Response:
        response = error(429, 42910000, "rate limit exceeded")
        return Response(429, response.headers + self._limit_headers(self._used[key]), response.body)

    # --- routes -----------------------------------------------------------------------------------------------------

    def _respond(self, account: DeskAccount, request: Request) -> Response:
        method = request.method
        path, _, query = request.path.partition("?")
        if path == "/v2/orders" and method == "POST":
            return orders.submit(self, account, request.body)
        try:
            asked: Query = dict(parse_qsl(query, max_num_fields=64)) if query else {}
        except ValueError:
            raise refuse(400, 40010000, "query is invalid") from None
        parts = path.strip("/").split("/")
        if len(parts) < 2 or parts[0] != "v2":
            raise refuse(404, 40410000, "endpoint not found")
        name = unquote(parts[2]) if len(parts) > 2 else ""
        route = parts[1]
        found: Any = None
        if route == "orders":
            found = self._orders(account, method, name, asked, request.body)
        elif route == "orders:by_client_order_id" and method == "GET":
            found = orders.by_client(self, account, asked)
        elif route == "positions":
            found = self._positions(account, method, name, asked)
        elif route == "account" and method == "GET":
            found = self._account(account, parts[2:], asked)
        elif route == "assets" and method == "GET":
            found = reading.asset(self, name) if name else reading.assets(self, asked)
        elif route == "clock" and method == "GET":
            found = reading.clock(self)
        elif route == "calendar" and method == "GET":
            found = reading.calendar(self, asked)
        elif route == "stocks" and method == "GET":
            found = market_data.respond(self.desk, self.bars, parts[2:], asked)
        if found is None:
            raise refuse(404, 40410000, "endpoint not found")
        return found

    def _orders(self, account: DeskAccount, method: str, name: str, asked: Query, body: bytes) -> Response | None:
        if not name:
            if method == "GET":
                return orders.listing(account, asked)
            return orders.cancel_all(self, account) if method == "DELETE" else None
        if method == "GET":
            return orders.one(self, account, name)
        if method == "PATCH":
            return orders.change(self, account, name, body)
        return orders.cancel(self, account, name) if method == "DELETE" else None

    def _positions(self, account: DeskAccount, method: str, name: str, asked: Query) -> Response | None:
        if method == "GET":
            return reading.position(self, account, name) if name else reading.positions(self, account)
        if method == "DELETE":
            return orders.close(self, account, name, asked) if name else orders.close_all(self, account, asked)
        return None

    def _account(self, account: DeskAccount, rest: list[str], asked: Query) -> Response | None:
        if not rest:
            return reading.account(self, account)
        if rest[0] == "activities":
            return reading.activities(account, rest[1] if len(rest) > 1 else "", asked)
        if rest == ["portfolio", "history"]:
            return reading.history(self, account)
        return reading.configuration(account) if rest == ["configurations"] else None
