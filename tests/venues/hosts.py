"""A host without a network: time that tests move, for what is above sockets."""

from __future__ import annotations

import heapq
from collections.abc import Callable

START = 1_790_000_000_000_000_000


class _Timer:
    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class ScriptedHost:
    """Time passes when `run` is called, and not otherwise."""

    def __init__(self, now: int = START) -> None:
        self._now = now
        self._due: list[tuple[int, int, _Timer]] = []
        self._count = 0

    def now(self) -> int:
        return self._now

    def at(self, when: int, call: Callable[[], None]) -> _Timer:
        timer = _Timer(call)
        self._count += 1
        heapq.heappush(self._due, (max(when, self._now), self._count, timer))
        return timer

    def uniform(self) -> float:
        return 0.5

    def run(self, seconds: float) -> None:
        end = self._now + round(seconds * 1e9)
        while self._due and self._due[0][0] <= end:
            when, _, timer = heapq.heappop(self._due)
            self._now = when
            if timer.call is not None:
                timer.call()
        self._now = end

    def connect(self, *_: object) -> None:
        raise NotImplementedError

    def ask(self, *_: object) -> None:
        raise NotImplementedError
