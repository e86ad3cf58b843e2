"""A served Kraken spot: REST and WebSocket v2, public and private, in front of a desk.

    site = KrakenSite(desk)                      # Desk(..., venue="KRAKEN", terms=TERMS)
    site.start()
    port = host.serve(site)                      # REST under /0, public stream at /v2, private at /private/v2

One port carries what Kraken has on three hosts. `docs/served-venues.md` says what is simplified.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from nanotick.core.secret import Secret
from nanotick.venues.desk import Desk
from nanotick.venues.desk_accounts import DeskAccount
from nanotick.venues.host import Headers, LinkUser
from nanotick.venues.kraken.bodies import TERMS, Refused
from nanotick.venues.kraken.limits import COSTLY, COUNTERS, FREE, Counter
from nanotick.venues.kraken.methods import Methods, Params, parameters
from nanotick.venues.kraken.orders import SYSTEMS, Orders
from nanotick.venues.kraken.public import PublicHub
from nanotick.venues.kraken.talk import Talk
from nanotick.wire.kraken_server import rest_response
from nanotick.wire.requests import Request, Response
from nanotick.wire.signing import KrakenSigner

ATTEMPTS, WINDOW_NS = 150, 600_000_000_000  # connections of an address
_NONCE_MOST = 1 << 64

__all__ = ["TERMS", "KrakenSite", "secret_of"]


def secret_of(text: str) -> str:
    """A secret as Kraken's are, base64: itself if it is that already.

    >>> secret_of("c2VjcmV0"), secret_of("a secret")
    ('c2VjcmV0', 'YSBzZWNyZXQ=')
    """
    try:
        if base64.b64decode(text, validate=True):
            return text
    except (binascii.Error, ValueError):
        pass
    return base64.b64encode(text.encode()).decode()


class KrakenSite:
    """A `Site` that is Kraken spot.

    Parameters
    ----------
    desk : Desk
        With `TERMS`; secrets of accounts are base64.
    tier : str
        `starter`, `intermediate` or `pro`: whose limits hold; empty: none.
    """

    def __init__(self, desk: Desk, *, tier: str = "intermediate") -> None:
        if tier and tier not in COUNTERS:
            raise ValueError(f"tier: expected one of {', '.join(COUNTERS)} or nothing, found {tier!r}")
        self.desk, self.host, self.tier = desk, desk.host, tier
        self.hub = PublicHub(desk)
        self.orders = Orders(desk, tier)
        self.methods = Methods(desk, self.orders)
        self.talks: set[Any] = set()
        self._made = 0
        self._nonces: dict[str, int] = {}
        self._signers: dict[str, KrakenSigner] = {}
        self._counters: dict[str, Counter] = {}
        self._attempts: dict[str, list[int]] = {}

    def start(self) -> None:
        """Let the market live."""
        self.desk.start()

    def set_system(self, system: str) -> None:
        """Change the venue's state and tell it to all: online, post_only, cancel_only, maintenance.

        Raises
        ------
        ValueError
        """
        if system not in SYSTEMS:
            raise ValueError(f"system: expected one of {', '.join(SYSTEMS)}, found {system!r}")
        self.orders.system = system
        for talk in tuple(self.talks):
            talk.status()

    # --- Site ---------------------------------------------------------------------------------------------------------

    def upgrade(self, path: str, headers: Headers, peer: str) -> LinkUser | Response:
        """See `Site`."""
        now = self.host.now()
        recent = [when for when in self._attempts.get(peer, []) if now - when < WINDOW_NS]
        self._attempts[peer] = [*recent, now]
        if self.tier and len(recent) >= ATTEMPTS:
            return Response(429, (("Retry-After", "600"),), b"too many connections")
        where = path.partition("?")[0].rstrip("/")
        if where in ("/v2", "/private/v2"):
            self._made += 1
            return Talk(self, where == "/private/v2", self._made)
        return Response(404, (), b"not found")

    def request(self, request: Request, peer: str, answer: Callable[[Response], None]) -> None:
        """See `Site`."""
        try:
            answer(rest_response(self._respond(request)))
        except Refused as refused:
            answer(rest_response(errors=[str(refused)]))

    def _respond(self, request: Request) -> Any:
        path, _, query = request.path.partition("?")
        _, _, rest = path.partition("/0/")
        kind, _, name = rest.partition("/")
        if self.orders.system == "maintenance" and name not in ("Time", "SystemStatus"):
            raise Refused("EService:Unavailable")
        if kind == "public" and name in self.methods.public and path.startswith("/0/"):
            try:
                params: Params = dict(parse_qsl(query, True, max_num_fields=100))
                params |= parse_qsl(request.body.decode("ascii"), True, max_num_fields=100)
            except ValueError:
                raise Refused("EGeneral:Invalid arguments") from None
            return self.methods.public[name](params)
        if kind != "private" or name not in self.methods.private or request.method != "POST":
            raise Refused("EGeneral:Unknown method")
        account, params = self._signed(request, path)
        self._count(account, name)
        return self.methods.private[name](account, params)

    def _signed(self, request: Request, path: str) -> tuple[DeskAccount, Params]:
        """Whose request it is: key, signature, and a nonce above all before it."""
        held = {name.lower(): value for name, value in request.headers}
        account = self.desk.login(held.get("api-key", ""))
        if account is None:
            raise Refused("EAPI:Invalid key")
        params = parameters(request.body, held.get("content-type", ""))
        text = str(params.get("nonce") or "")
        if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) < _NONCE_MOST):
            raise Refused("EAPI:Invalid nonce")
        signer = self._signers.get(account.key)
        if signer is None:
            signer = KrakenSigner(account.key, Secret(account.terms.secret))
            self._signers[account.key] = signer
        good = signer.sign(path, int(text), request.body)
        if not hmac.compare_digest(good.encode(), held.get("api-sign", "").encode()):
            raise Refused("EAPI:Invalid signature")
        if int(text) <= self._nonces.get(account.key, -1):
            raise Refused("EAPI:Invalid nonce")
        self._nonces[account.key] = int(text)
        return account, params

    def _count(self, account: DeskAccount, name: str) -> None:
        """The REST counter of an account."""
        if not self.tier or name in FREE:
            return
        limit, decay = COUNTERS[self.tier]
        counter = self._counters.setdefault(account.key, Counter(decay))
        cost, now = 2 if name in COSTLY else 1, self.host.now()
        if counter.at(now) + cost > limit:
            raise Refused("EAPI:Rate limit exceeded")
        counter.add(now, cost)
