"""How far a venue's clock is from ours, from its own answers.

    offset = server time - (sent + received) / 2          wrong by at most half the round trip (Cristian, 1989)

The answer with the shortest round trip of the latest ones counts. The venue's stamps are whole milliseconds.
"""

from __future__ import annotations

from collections import deque

_KEPT = 8


class ServerClock:
    """Estimate of a venue's clock.

    Attributes
    ----------
    offset : int
        ns to add to our time.
    error : int
        ns by which it may be wrong; -1 before the first answer.

    >>> clock = ServerClock()
    >>> clock.sample(1_000, 3_000, 12_000); clock.offset, clock.error
    (10000, 1000)
    """

    def __init__(self) -> None:
        self.offset = 0
        self.error = -1
        self._samples: deque[tuple[int, int]] = deque(maxlen=_KEPT)  # error, offset

    def sample(self, sent: int, received: int, server: int) -> None:
        """An answer: when the request was sent and the answer received, and the venue's time in it, ns UTC."""
        self._samples.append(((received - sent) // 2, server - (sent + received) // 2))
        self.error, self.offset = min(self._samples)

    def forget(self) -> None:
        """The venue says that we are wrong: only what it answers from now on counts."""
        self._samples.clear()
