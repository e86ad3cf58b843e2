"""Tokens of Coinbase Advanced Trade: a new one for every request and subscription.

Source: docs.cdp.coinbase.com, "Coinbase App API key authentication" (JWT, ES256).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from nanotick.core.secret import Secret
from nanotick.venues.host import Host
from nanotick.wire.coinbase_trading import authorized
from nanotick.wire.requests import Request
from nanotick.wire.signing import CoinbaseSigner

_S = 1_000_000_000


class Tokens:
    """Tokens of one API key.

    Parameters
    ----------
    key : str
        Its name, `organizations/.../apiKeys/...`.
    secret : Secret
        Its private key in PEM; line ends may be written as `\\n`, as in environment files.
    time : callable, optional
        The venue's time, ns UTC, as far as it is known; the host's by default.
    """

    def __init__(self, host: Host, key: str, secret: Secret, time: Callable[[], int] | None = None) -> None:
        self._host, self._time = host, time or host.now
        self._signer = CoinbaseSigner(key, Secret(secret.reveal().replace("\\n", "\n")))
        self._made = 0

    def _nonce(self) -> str:
        """Never the same twice: the time, how many there were, and the host's own draw."""
        self._made += 1
        seen = f"{self._host.now()}.{self._made}.{self._host.uniform()}"
        return hashlib.blake2b(seen.encode(), digest_size=16).hexdigest()

    def token(self) -> str:
        """For a subscription."""
        return self._signer.token(self._time() // _S, self._nonce())

    def authorize(self, request: Request) -> Request:
        """The request with a token of its own."""
        return authorized(request, self._signer, self._time() // _S, self._nonce())
