"""A served Coinbase Advanced Trade: REST and WebSocket in front of a desk.

    site = CoinbaseSite(desk)                    # Desk(..., venue="COINBASE", terms=TERMS)
    site.start()
    port = host.serve(site)                      # REST under /api/v3/brokerage, one stream at /

Market data and the user channel share one stream here. `docs/served-venues.md` says what is simplified.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from nanotick.venues.coinbase.bodies import TERMS, Refused
from nanotick.venues.coinbase.manners import Rates
from nanotick.venues.coinbase.methods import Methods
from nanotick.venues.coinbase.public import PublicHub
from nanotick.venues.coinbase.talk import Talk
from nanotick.venues.desk import Desk
from nanotick.venues.desk_accounts import DeskAccount
from nanotick.venues.host import Headers, LinkUser
from nanotick.wire.coinbase_server import RATE_LIMITED
from nanotick.wire.json_text import WireError, decode, integer
from nanotick.wire.requests import Request, Response

REQUESTS_A_SECOND, CONNECTIONS_A_SECOND = 30, 8
_S = 1_000_000_000
_SKEW_S, _LIFE_S = 5, 120

__all__ = ["TERMS", "CoinbaseSite"]


def _part(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Gate:
    """Checks tokens: JWT signed ES256 with an account's key; the secret of an account is the private key in PEM."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._keys: dict[str, Any] = {}

    def account(self, token: str, uri: str) -> DeskAccount:
        """Whose token it is.

        Parameters
        ----------
        uri : str
            Method, space and path of a request, empty for a subscription; the token has the host too.

        Raises
        ------
        Refused
        """
        denied = Refused(401, "unauthorized", "Unauthorized")
        try:
            head, body, signature = token.split(".")
            claims, signed = decode(_part(body)), _part(signature)
        except (ValueError, WireError, binascii.Error):
            raise denied from None
        account = self._desk.login(str(claims.get("sub"))) if isinstance(claims, dict) else None
        if account is None or len(signed) != 64 or not self._good(account, f"{head}.{body}".encode(), signed):
            raise denied
        now = self._desk.host.now() // _S
        try:
            begins, ends = integer(claims.get("nbf"), "nbf"), integer(claims.get("exp"), "exp")
        except WireError:
            raise denied from None
        if not begins - _SKEW_S <= now < ends or ends - begins > _LIFE_S:
            raise Refused(401, "unauthorized", "request timestamp expired")
        if uri:
            method, _, path = uri.partition(" ")
            named = str(claims.get("uri"))
            if not (named.startswith(method + " ") and named.endswith(path)):
                raise denied
        return account

    def _good(self, account: DeskAccount, payload: bytes, signature: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        key = self._keys.get(account.key)
        if key is None:
            private: Any = load_pem_private_key(account.terms.secret.encode(), None)
            key = self._keys[account.key] = private.public_key()
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        try:
            key.verify(utils.encode_dss_signature(r, s), payload, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


class CoinbaseSite:
    """A `Site` that is Coinbase Advanced Trade.

    Parameters
    ----------
    desk : Desk
        With `TERMS`; the secrets of its accounts are private keys in PEM.
    limits : bool
        Rate limits as the venue has them.
    """

    def __init__(self, desk: Desk, *, limits: bool = True) -> None:
        self.desk, self.host = desk, desk.host
        self.hub = PublicHub(desk)
        self.gate = Gate(desk)
        self.methods = Methods(desk)
        self._requests = Rates(self.host, REQUESTS_A_SECOND if limits else 0)
        self._connections = Rates(self.host, CONNECTIONS_A_SECOND if limits else 0)

    def start(self) -> None:
        """Let the market live."""
        self.desk.start()

    # --- Site ---------------------------------------------------------------------------------------------------------

    def upgrade(self, path: str, headers: Headers, peer: str) -> LinkUser | Response:
        """See `Site`."""
        if not self._connections.allow(peer):
            return RATE_LIMITED
        return Talk(self)

    def request(self, request: Request, peer: str, answer: Callable[[Response], None]) -> None:
        """See `Site`."""
        try:
            answer(self._respond(request, peer))
        except Refused as refused:
            answer(refused.response())

    def _respond(self, request: Request, peer: str) -> Response:
        path, _, query = request.path.partition("?")
        found = self.methods.public(request.method, path, query)
        if found is not None:
            return found if self._requests.allow(peer) else RATE_LIMITED
        bearer = next((value for name, value in request.headers if name.lower() == "authorization"), "")
        account = self.gate.account(bearer.removeprefix("Bearer "), f"{request.method} {path}")
        if not self._requests.allow(account.key):
            return RATE_LIMITED
        return self.methods.private(account, request, path, query)
