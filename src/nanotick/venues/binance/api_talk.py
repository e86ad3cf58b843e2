"""The WebSocket API of a served Binance: requests with ids, sessions, and the user's events.

Source: binance-spot-api-docs, web-socket-api.md and user-data-stream.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from nanotick.venues.binance.bodies import Refused
from nanotick.venues.binance.methods import NONE
from nanotick.venues.desk_accounts import DeskAccount
from nanotick.venues.host import Link, Timer
from nanotick.wire.binance_server import limit_rows
from nanotick.wire.json_text import Digits, WireError, decode
from nanotick.wire.signing import sorted_text

if TYPE_CHECKING:
    from nanotick.venues.binance.server import BinanceSite

_MS = 1_000_000


class ApiTalk:
    """One connection."""

    def __init__(self, site: BinanceSite, path: str, peer: str) -> None:
        self._site, self._peer = site, peer
        self._micros = "timeunit=microsecond" in path.lower()
        self._link: Link | None = None
        self._account: DeskAccount | None = None  # logged on
        self._logged_on_ns = 0
        self._subscriptions: dict[int, str] = {}  # id -> account's key
        self._next = 0
        self._life: Timer | None = None

    def opened(self, link: Link) -> None:
        """See `LinkUser`."""
        self._link = link
        self._site.talks.add(self)
        if self._site.life_ns:
            host = self._site.host
            self._life = host.at(host.now() + self._site.life_ns, lambda: link.close(1008, "24 hours"))

    def closed(self, link: Link | None, reason: str) -> None:
        """See `LinkUser`."""
        self._site.talks.discard(self)
        for number in list(self._subscriptions):
            self._leave(number)
        self._link = None
        if self._life is not None:
            self._life.cancel()

    def shut_down(self, now: int) -> None:
        """Say that this server will be gone."""
        self._send({"event": {"e": "serverShutdown", "E": now // _MS}})

    def cut(self) -> None:
        """End the connection."""
        if self._link is not None:
            self._link.close(1001, "server shutdown")

    def _send(self, body: dict[str, Any]) -> None:
        if self._link is not None:
            self._link.send(msgspec.json.encode(body))

    def tell(self, number: int, event: dict[str, Any]) -> None:
        """An event of the account that a subscription is for."""
        self._send({"subscriptionId": number, "event": event})

    # --- requests -----------------------------------------------------------------------------------------------------

    def message(self, link: Link, data: bytes | memoryview, now: int) -> None:
        """See `LinkUser`."""
        try:
            asked = decode(bytes(data))
        except WireError as error:
            self._refuse(None, Refused(-1135, f"Invalid JSON: {error}"))
            return
        if not isinstance(asked, dict):
            self._refuse(None, Refused(-1135, "Invalid JSON"))
            return
        ident: Any = asked.get("id")
        ident = int(ident) if isinstance(ident, Digits) and ident.isdigit() and len(ident) < 19 else ident
        try:
            params = _params(asked.get("params"))
            method = asked.get("method")
            if not isinstance(method, str):
                raise Refused(-1102, "Mandatory parameter 'method' was not sent, was empty/null, or malformed.")
            self._answer(ident, self._do(method, params))
        except Refused as refused:
            self._refuse(ident, refused)

    def _do(self, name: str, params: dict[str, str]) -> Any:
        site, now = self._site, self._site.host.now()
        address = site.address(self._peer)
        if name.startswith(("session.", "userDataStream.")):
            address.use(now, 2)
            return self._session(name, params)
        method = site.methods.by_name.get(name)
        if method is None or name.startswith("rest:"):
            raise Refused(-1000, f"Unknown method '{name[:60]}'")
        address.use(now, site.methods.weight(method, params))
        account = None
        if method.security != NONE:
            account = self._signed(params)
        return method.answer(account, params)

    def _signed(self, params: dict[str, str]) -> DeskAccount:
        """Whose request it is: signed, or of a session that has logged on."""
        gate, now = self._site.gate, self._site.host.now()
        if self._account is not None and "apiKey" not in params and "signature" not in params:
            gate.timely(params, now)
            return self._account
        account = gate.account(params.get("apiKey", ""))
        signature = params.pop("signature", "")
        gate.signed(account, sorted_text(params).encode(), signature)
        gate.timely(params, now)
        return account

    def _session(self, name: str, params: dict[str, str]) -> Any:
        now = self._site.host.now()
        if name == "session.logon":
            account = self._signed(params)
            if not self._site.gate.logs_on(account):
                raise Refused(-4056, "HMAC_SHA256 API key is not supported.")
            self._account, self._logged_on_ns = account, now
        elif name == "session.logout":
            self._account = None
        elif name == "userDataStream.subscribe":
            if self._account is None:
                raise Refused(-2015, "Invalid API-key, IP, or permissions for action.", 401)
            return {"subscriptionId": self._subscribe(self._account)}
        elif name == "userDataStream.subscribe.signature":
            return {"subscriptionId": self._subscribe(self._signed(params))}
        elif name == "userDataStream.unsubscribe":
            number = params.get("subscriptionId", "")
            for held in [int(number)] if number.isdigit() else list(self._subscriptions):
                self._leave(held)
            return {}
        elif name != "session.status":
            raise Refused(-1000, f"Unknown method '{name[:60]}'")
        return {
            "apiKey": self._account.key if self._account else None,
            "authorizedSince": self._logged_on_ns // _MS if self._account else None,
            "connectedSince": None, "returnRateLimits": True, "serverTime": now // _MS,
            "userDataStream": bool(self._subscriptions),
        }  # fmt: skip

    def _subscribe(self, account: DeskAccount) -> int:
        if account.key in self._subscriptions.values():
            raise Refused(-2035, "User Data Stream subscription already active.")
        number, self._next = self._next, self._next + 1
        self._subscriptions[number] = account.key
        self._site.users.follow(account, self, number)
        return number

    def _leave(self, number: int) -> None:
        key = self._subscriptions.pop(number, None)
        if key is not None:
            self._site.users.leave(key, self, number)

    # --- answers ------------------------------------------------------------------------------------------------------

    def _limits(self) -> list[dict[str, Any]]:
        return limit_rows(self._site.address(self._peer).used(self._site.host.now()))

    def _answer(self, ident: Any, result: Any) -> None:
        self._send({"id": ident, "status": 200, "result": result, "rateLimits": self._limits()})

    def _refuse(self, ident: Any, refused: Refused) -> None:
        error: dict[str, Any] = {"code": refused.code, "msg": refused.words}
        if refused.data is not None:
            error["data"] = refused.data
        if refused.retry_ns:
            error["data"] = {"serverTime": self._site.host.now() // _MS, "retryAfter": refused.retry_ns // _MS}
        self._send({"id": ident, "status": refused.status, "error": error, "rateLimits": self._limits()})


def _params(held: Any) -> dict[str, str]:
    """Parameters as text, as they are signed."""
    if held is None:
        return {}
    if not isinstance(held, dict):
        raise Refused(-1135, "Invalid 'params' in JSON request; expected an object.")
    params = {}
    for name, value in held.items():
        if isinstance(value, bool):
            params[name] = str(value).lower()
        elif isinstance(value, str):
            params[name] = str(value)
        elif isinstance(value, list):
            params[name] = msgspec.json.encode(value).decode()
        elif value is not None:
            raise Refused(-1100, f"Illegal characters found in parameter '{name[:40]}'.")
    return params
