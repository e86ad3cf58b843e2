"""Which faults a simulated network has, how often, and what goes wrong from time to time: drawn by a seed.

Swarm testing (Groce et al., "Swarm Testing", ISSTA 2012): each run has a random subset of the kinds of fault switched
on, at random rates. A run with everything on hides what only shows when most things work.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nanotick.venues.virtual import VirtualHost, VirtualNetwork
    from nanotick.venues.virtual_link import VirtualLink

SECOND = 1_000_000_000
PER_HOUR = 3600 * SECOND


@dataclass
class Faults:
    """Chance of each fault, 0 to 1, and events per hour.

    Attributes
    ----------
    refuse : float
        A connection is refused.
    request_lost, answer_lost : float
        An HTTP request is lost before, or after, the venue has done it.
    error_done, error_undone : float
        502 although it was done; 503 because it was not.
    limited : float
        429 with Retry-After.
    duplicate, reorder : float
        A venue's message is told twice, or after a later one.
    delay : float
        A message takes up to `delay_max_ns` longer.
    cuts, half_open, clogs, swizzles, venue_crashes, clock_steps, crashes, disk : float
        An hour: a connection cut; one of which nobody learns until pings fail; a path that holds everything for a
        while; all paths clogged one by one and opened in another order; the venue's door falling over; our clock
        stepping; our process killed; our disk failing.
    """

    refuse: float = 0.0
    request_lost: float = 0.0
    answer_lost: float = 0.0
    error_done: float = 0.0
    error_undone: float = 0.0
    limited: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay: float = 0.0
    delay_max_ns: int = 10 * SECOND
    cuts: float = 0.0
    half_open: float = 0.0
    clogs: float = 0.0
    swizzles: float = 0.0
    venue_crashes: float = 0.0
    clock_steps: float = 0.0
    crashes: float = 0.0
    disk: float = 0.0

    @property
    def told(self) -> bool:
        """Whether messages may be repeated or reordered."""
        return bool(self.duplicate or self.reorder)

    @classmethod
    def draw(cls, source: random.Random) -> Faults:
        """A swarm's: about half the kinds, each at a rate from rare to often."""
        faults = cls()
        for name, most in _MOST.items():
            if source.random() < 0.5:
                setattr(faults, name, most * source.random() ** 2)
        return faults

    def shown(self) -> str:
        """Those that are on, for people."""
        on = [f"{f.name} {getattr(self, f.name):.3g}" for f in fields(self) if f.name in _MOST]
        return ", ".join(text for text in on if not text.endswith(" 0")) or "none"


_MOST = {
    "refuse": 0.5, "request_lost": 0.3, "answer_lost": 0.3, "error_done": 0.2, "error_undone": 0.2, "limited": 0.1,
    "duplicate": 0.5, "reorder": 0.3, "delay": 0.1, "cuts": 60.0, "half_open": 10.0, "clogs": 30.0, "swizzles": 6.0,
    "venue_crashes": 6.0, "clock_steps": 6.0, "crashes": 6.0, "disk": 1.0,
}  # fmt: skip
_STEPS = (SECOND, -SECOND, 3600 * SECOND, -3600 * SECOND, 50_000_000, -50_000_000)


class Mischief:
    """Does from time to time what `Faults` allows an hour, until it is told to stop.

    Parameters
    ----------
    network : VirtualNetwork
    ours : callable
        Gives the host of the process that trades.
    actions : mapping
        What this module cannot do by itself: `crashes` and `disk`.
    """

    def __init__(
        self,
        network: VirtualNetwork,
        ours: Callable[[], VirtualHost],
        actions: Mapping[str, Callable[[], None]] | None = None,
    ) -> None:
        self.network, self._ours = network, ours
        self.done: dict[str, int] = {}
        self._source = random.Random(f"{network.seed} mischief")
        self._stopped = False
        kinds: dict[str, Callable[[], None]] = {
            "cuts": self._cut, "half_open": self._half_open, "clogs": self._clog, "swizzles": self.swizzle,
            "venue_crashes": self._venue_crash, "clock_steps": self._clock_step, **(actions or {}),
        }  # fmt: skip
        for name, act in kinds.items():
            rate = getattr(network.faults, name)
            if rate > 0:
                self._wait(name, rate, act)

    def stop(self) -> None:
        """Nothing more."""
        self._stopped = True

    def _wait(self, name: str, rate: float, act: Callable[[], None]) -> None:
        def now() -> None:
            if not self._stopped:
                self.done[name] = self.done.get(name, 0) + 1
                act()
                self._wait(name, rate, act)

        wait = int(self._source.expovariate(rate / PER_HOUR))
        self.network.schedule(self.network.time + wait, now)

    def _link(self) -> VirtualLink | None:
        links = [link for path in self.network.paths.values() for link in path.links]
        return self._source.choice(links) if links else None

    def _cut(self) -> None:
        link = self._link()
        if link is not None:
            link.cut()

    def _half_open(self) -> None:
        from nanotick.venues.virtual import PINGS_FAIL_NS

        link = self._link()
        if link is not None:
            link.cut((int(PINGS_FAIL_NS * self._source.random()), int(PINGS_FAIL_NS * self._source.random())))

    def _clog(self) -> None:
        if self.network.paths:
            path = self._source.choice(list(self.network.paths.values()))
            direction, span = self._source.randrange(2), int(self._source.random() * 20 * SECOND)
            path.clog(direction)
            self.network.schedule(self.network.time + span, lambda: path.unclog(direction))

    def swizzle(self) -> None:
        """Clog all paths one by one in random order, then open them in another (FoundationDB's swizzle-clog)."""
        ways = [(path, direction) for path in self.network.paths.values() for direction in (0, 1)]
        span = int(self._source.random() * 10 * SECOND)
        now = self.network.time
        for when, name in ((now, "clog"), (now + span, "unclog")):
            self._source.shuffle(ways)
            for place, (path, direction) in enumerate(ways):
                act = partial(getattr(path, name), direction)
                self.network.schedule(when + span * (place + 1) // len(ways), act)

    def _venue_crash(self) -> None:
        servers = list(self.network.servers.values())
        if servers:
            server = self._source.choice(servers)
            server.crash()
            self.network.schedule(self.network.time + int(self._source.random() * 20 * SECOND), server.restart)

    def _clock_step(self) -> None:
        self._ours().step_clock(self._source.choice(_STEPS))
