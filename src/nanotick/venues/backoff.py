"""When to try a connection again: exponential back-off with full jitter, and the venue's own limit of attempts.

Full jitter (Brooker, "Exponential Backoff and Jitter", 2015): the wait is uniform between nought and a ceiling that
doubles with each failure, so that the clients of a venue that fell over do not come back in step.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_MS = 1_000_000
_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class BackoffLimits:
    """How fast attempts may follow each other.

    Attributes
    ----------
    floor_ns, cap_ns : int
        Shortest wait after a failure, and what the ceiling grows to.
    base_ns : int
        Ceiling of the first wait.
    attempts, window_ns : int
        At most so many attempts in any window of that length; 0: no such limit.
    """

    floor_ns: int = 100 * _MS
    base_ns: int = 500 * _MS
    cap_ns: int = 30 * _S
    attempts: int = 0
    window_ns: int = 0


class Backoff:
    """Times of attempts.

    >>> backoff = Backoff(BackoffLimits(floor_ns=1, base_ns=100, cap_ns=1000))
    >>> backoff.failed(); backoff.next(0, 0.5), backoff.next(0, 0.0)
    (50, 1)
    >>> for _ in range(9): backoff.failed()
    >>> backoff.next(0, 0.5)
    500
    """

    def __init__(self, limits: BackoffLimits | None = None) -> None:
        self.limits = limits or BackoffLimits()
        self.failures = 0
        self._started: deque[int] = deque(maxlen=self.limits.attempts or 1)

    def next(self, now: int, uniform: float) -> int:
        """The earliest time of the next attempt, ns UTC; `uniform` is from 0 to below 1."""
        limits, when = self.limits, now
        if self.failures:
            ceiling = min(limits.cap_ns, limits.base_ns << min(self.failures - 1, 40))
            when += max(limits.floor_ns, int(uniform * ceiling))
        if limits.attempts and len(self._started) == limits.attempts:
            when = max(when, self._started[0] + limits.window_ns)
        return when

    def started(self, now: int) -> None:
        """An attempt is made."""
        self._started.append(now)

    def failed(self) -> None:
        """The attempt came to nothing, or what it gave was lost at once."""
        self.failures += 1

    def succeeded(self) -> None:
        """What the attempt gave has lasted; the next wait is short again."""
        self.failures = 0
