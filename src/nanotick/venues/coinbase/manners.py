"""What the two served Coinbases ask of their clients: not too often, and reading what they are sent."""

from __future__ import annotations

from nanotick.venues.host import Host, Link
from nanotick.venues.limiter import RateLimiter, SlidingWindow

MOST_WAITING = 32 << 20  # bytes that may wait for a client that does not read
_S = 1_000_000_000


class Rates:
    """So much a second, of each who asks.

    Parameters
    ----------
    host : Host
    a_second : int
        0: without end.
    """

    def __init__(self, host: Host, a_second: int) -> None:
        self._host, self._limit = host, a_second
        self._held: dict[str, RateLimiter] = {}

    def allow(self, name: str) -> bool:
        """Count a request; False if it is one too many."""
        if not self._limit:
            return True
        limiter = self._held.get(name)
        if limiter is None:
            rule = SlidingWindow(self._limit, _S, charge="requests", reserve=0.0)
            limiter = self._held[name] = RateLimiter([rule])
        now = self._host.now()
        return limiter.take(now) <= now


def send_or_cut(link: Link | None, data: bytes) -> bool:
    """Send, unless the client reads so slowly that it is cut off instead; whether it was sent."""
    if link is None:
        return False
    if link.waiting > MOST_WAITING:
        link.close(1008, "too slow")
        return False
    link.send(data)
    return True
