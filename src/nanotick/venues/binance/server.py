"""A served Binance spot: REST, market streams and the WebSocket API in front of a desk.

    site = BinanceSite(desk)                     # Desk(..., venue="BINANCE", terms=TERMS)
    site.start()
    port = host.serve(site)                      # REST under /api, streams at /ws and /stream, the API at /ws-api/v3

One port carries what Binance has on three hosts; the paths do not collide. Requests are those of
binance-spot-api-docs; `docs/served-venues.md` says what is simplified.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import parse_qsl

from nanotick.venues.binance.api_talk import ApiTalk
from nanotick.venues.binance.authentication import Gate
from nanotick.venues.binance.bodies import (
    TERMS,
    Refused,
    account_position,
    execution_report,
    refusal,
    response,
)
from nanotick.venues.binance.limits import Address, Limits, headers
from nanotick.venues.binance.methods import NONE, SIGNED, Methods
from nanotick.venues.binance.public import PublicHub, encode_item
from nanotick.venues.binance.stream_talk import StreamTalk
from nanotick.venues.desk import Desk
from nanotick.venues.desk_accounts import DeskAccount
from nanotick.venues.desk_orders import DeskOrder
from nanotick.venues.host import Headers, LinkUser
from nanotick.wire.reports import Report
from nanotick.wire.requests import Request, Response

LIFE_S = 86_400.0
_KEPT_MESSAGES = 64
_STREAM_PATHS = ("/ws", "/stream")

__all__ = ["TERMS", "BinanceSite"]


class Talk(Protocol):
    """A connection of either kind."""

    def shut_down(self, now: int) -> None:
        """Say that this server will be gone."""
        ...

    def cut(self) -> None:
        """End the connection."""
        ...


class UserStreams:
    """Events of the accounts, to whom subscribed."""

    def __init__(self, site: BinanceSite) -> None:
        self._site = site
        self._desk = site.desk
        self._heard: dict[str, list[tuple[ApiTalk, int]]] = {}
        self._followed: set[str] = set()

    def follow(self, account: DeskAccount, talk: ApiTalk, number: int) -> None:
        """A connection subscribes."""
        self._heard.setdefault(account.key, []).append((talk, number))

    def leave(self, key: str, talk: ApiTalk, number: int) -> None:
        """Not any more."""
        heard = self._heard.get(key, [])
        if (talk, number) in heard:
            heard.remove((talk, number))

    def watch(self, account: DeskAccount) -> None:
        """Begin to follow an account: its fills free order counts even when nobody listens."""
        if account.key not in self._followed:
            self._followed.add(account.key)
            self._desk.follow(account, lambda report, order: self._told(account, report, order))

    def _told(self, account: DeskAccount, report: Report, order: DeskOrder) -> None:
        if order.fills and len(order.fills) == 1 and order.fills[0].ts == report.ts_venue:
            self._site.methods.order_counts(account).filled(self._site.host.now())
        heard = self._heard.get(account.key)
        if not heard:
            return
        event = execution_report(report, order, self._site.methods.orders.cancelling.get(order.order, ""))
        if event is None:
            return
        listing = order.listing
        assets = {listing.base, listing.quote, report.fee_asset}
        balances = [item for item in self._desk.balances(account) if item.asset in assets]
        position = account_position(balances, report.ts_venue)
        for talk, number in tuple(heard):
            talk.tell(number, event)
            talk.tell(number, position)


class BinanceSite:
    """A `Site` that is Binance spot.

    Parameters
    ----------
    desk : Desk
        With `TERMS`.
    limits : Limits
    life_s : float
        After which a WebSocket connection is cut, 0: never.
    """

    def __init__(self, desk: Desk, *, limits: Limits | None = None, life_s: float = LIFE_S) -> None:
        self.desk, self.host = desk, desk.host
        self.limits = limits or Limits()
        self.life_ns = int(life_s * 1e9)
        self.hub = PublicHub(desk)
        self.methods = Methods(desk, self.hub, self.limits)
        self.hub.day_of = self.methods.day
        self.gate = Gate(desk)
        self.users = UserStreams(self)
        self.talks: set[Any] = set()
        self._addresses: dict[str, Address] = {}
        self._written: dict[tuple[int, bool, bool], tuple[Any, bytes]] = {}
        for account in desk.accounts.values():
            self.users.watch(account)

    def start(self) -> None:
        """Let the market live, and publish it."""
        self.desk.start()
        self.hub.start()

    def shut_down(self, notice_s: float = 600.0) -> None:
        """Announce maintenance to every connection, and cut those that are still there after the notice."""
        now = self.host.now()
        talks: list[Talk] = list(self.talks)
        for talk in talks:
            talk.shut_down(now)

        def cut() -> None:
            for talk in talks:
                if talk in self.talks:
                    talk.cut()

        self.host.at(now + int(notice_s * 1e9), cut)

    def address(self, peer: str) -> Address:
        """Limits of an address."""
        found = self._addresses.get(peer)
        if found is None:
            found = self._addresses[peer] = Address(self.limits)
        return found

    def written(self, stream: str, item: Any, combined: bool, micros: bool) -> bytes:
        """A stream's message as bytes, written once for all who hear it."""
        key = id(item), combined, micros
        held = self._written.get(key)
        if held is not None and held[0] is item:
            return held[1]
        data = encode_item(item, stream if combined else "", micros)
        if len(self._written) > _KEPT_MESSAGES:
            self._written.clear()
        self._written[key] = item, data
        return data

    # --- Site ---------------------------------------------------------------------------------------------------------

    def upgrade(self, path: str, headers: Headers, peer: str) -> LinkUser | Response:
        """See `Site`."""
        now, connections = self.host.now(), self.address(peer).connections
        if connections.limit and connections.roll(now) >= connections.limit:
            return refusal(Refused(-1034, "Too many connections", 429, retry_ns=connections.ends(now)), now)
        connections.count += 1
        where = path.partition("?")[0].rstrip("/")
        if where == "/ws-api/v3":
            return ApiTalk(self, path, peer)
        if where in _STREAM_PATHS or where.startswith("/ws/"):
            return StreamTalk(self, path)
        return response({"code": -1000, "msg": "not found"}, 404)

    def request(self, request: Request, peer: str, answer: Callable[[Response], None]) -> None:
        """See `Site`."""
        now = self.host.now()
        account: DeskAccount | None = None
        try:
            body, account = self._respond(request, peer, now)
            answer(response(body, headers=self._used(peer, account, now)))
        except Refused as refused:
            answer(refusal(refused, now, self._used(peer, account, now)))

    def _used(self, peer: str, account: DeskAccount | None, now: int) -> Headers:
        used = self.address(peer).used(now)
        if account is not None:
            used += self.methods.order_counts(account).used(now)
        return headers(used)

    def _respond(self, request: Request, peer: str, now: int) -> tuple[Any, DeskAccount | None]:
        path, _, query = request.path.partition("?")
        method = self.methods.by_path.get((request.method, path))
        if method is None:
            self.address(peer).use(now, 1)
            raise Refused(-1000, f"{request.method} {path[:80]} is not served", 404)
        try:
            form = request.body.decode("ascii") if request.body else ""
            texts = [part for part in (query, form) if part]
            params = {name: value for text in texts for name, value in parse_qsl(text, True, max_num_fields=64)}
        except ValueError:
            raise Refused(-1101, "Too many parameters, or not ASCII.") from None
        self.address(peer).use(now, self.methods.weight(method, params))
        if method.security == NONE:
            return method.answer(None, params), None
        key = next((value for name, value in request.headers if name.lower() == "x-mbx-apikey"), "")
        account = self.gate.account(key)
        if method.security == SIGNED:
            signature = params.pop("signature", "")
            self.gate.signed(account, _signed_text(query, form).encode(), signature)
            self.gate.timely(params, now)
        return method.answer(account, params), account if path.startswith("/api/v3/order") else None


def _signed_text(query: str, form: str) -> str:
    """What was signed: the query and the body as sent, without the signature."""
    parts = [part for part in query.split("&") if part and not part.startswith("signature=")]
    rest = [part for part in form.split("&") if part and not part.startswith("signature=")]
    return "&".join(parts) + "&".join(rest)
