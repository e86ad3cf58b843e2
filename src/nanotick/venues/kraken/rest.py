"""Private REST of Kraken: one request at a time, for nonces must arrive in the order they were given out.

Source: docs.kraken.com, "Spot REST Authentication", "Rate limits" (REST counter 15/20/20 falling by 0.33/0.5/1 a second
for Starter/Intermediate/Pro; ledger and trade history cost 2).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from nanotick.venues.host import REQUEST_TIMEOUT_NS, Host, Timer
from nanotick.venues.kraken.limits import COSTLY, COUNTERS, FREE
from nanotick.venues.limiter import Decaying, RateLimiter
from nanotick.venues.working import Limiter
from nanotick.wire.kraken_trading import rest_request
from nanotick.wire.requests import Response
from nanotick.wire.signing import KrakenSigner

_TRIES = 3  # of a request whose nonce was overtaken
_US = 1_000

Answer = Callable[[Response], None]


class PrivateRest:
    """Requests of one key.

    Parameters
    ----------
    base : str
        Scheme, host and port.
    tier : str
        `starter`, `intermediate` or `pro`: how much may be asked.
    """

    def __init__(self, host: Host, base: str, signer: KrakenSigner, tier: str) -> None:
        self._host, self._base, self._signer = host, base, signer
        limit, decay = COUNTERS[tier]
        self.limiter: Limiter = RateLimiter([Decaying(limit, decay, reserve=0.0)])
        self._waiting: deque[tuple[str, Mapping[str, str], Answer, int]] = deque()
        self._busy = False
        self._timer: Timer | None = None
        self._nonce = 0

    def ask(self, name: str, params: Mapping[str, str], answer: Answer, urgent: bool = False) -> None:
        """Send a request as soon as those before it are answered and the counter allows."""
        entry = (name, params, answer, 0)
        self._waiting.appendleft(entry) if urgent else self._waiting.append(entry)
        self._next()

    def _next(self) -> None:
        if self._busy or not self._waiting:
            return
        name, params, answer, tries = self._waiting[0]
        now = self._host.now()
        if name not in FREE:
            when = self.limiter.take(now, weight=2 if name in COSTLY else 1)
            if when > now:
                if self._timer is None:
                    self._timer = self._host.at(when, self._again)
                return
        self._waiting.popleft()
        self._busy = True
        self._nonce = max(self._nonce + 1, now // _US)
        request = rest_request(name, dict(params), self._nonce, self._signer)

        def take(response: Response) -> None:
            self._busy = False
            if response.status == 200 and b"EAPI:Invalid nonce" in response.body[:200] and tries < _TRIES:
                self._waiting.appendleft((name, params, answer, tries + 1))
            else:
                if response.status == 200 and b"EAPI:Rate limit exceeded" in response.body[:200]:
                    self.limiter.blocked(self._host.now() + REQUEST_TIMEOUT_NS)
                answer(response)
            self._next()

        self._host.ask(self._base, request, take, 2 * REQUEST_TIMEOUT_NS)

    def _again(self) -> None:
        self._timer = None
        self._next()
