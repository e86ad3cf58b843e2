"""Connections of a virtual network: paths between machines, and the two ends of a WebSocket over one."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from nanotick.venues.host import LinkUser

if TYPE_CHECKING:
    from nanotick.venues.virtual import VirtualHost, VirtualNetwork

MS, SECOND = 1_000_000, 1_000_000_000
CLOSE_NS = 5 * SECOND  # after this a connection that is closed is gone, whatever the other end says
TO_SITE, TO_CLIENT = 0, 1

Call = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Latency:
    """One way, ns: at least `base`, plus an exponential part of this mean."""

    base: int = 2 * MS
    jitter: int = MS

    def draw(self, source: random.Random) -> int:
        """One message's."""
        return self.base + (int(source.expovariate(1.0 / self.jitter)) if self.jitter else 0)


class Path:
    """Between one machine and one address."""

    def __init__(self, network: VirtualNetwork, machine: str, address: str, latency: Latency) -> None:
        self.network, self.machine, self.address, self.latency = network, machine, address, latency
        self.clogged = [False, False]  # TO_SITE, TO_CLIENT
        self.links: list[VirtualLink] = []  # our ends
        self._held: list[list[Call]] = [[], []]

    def carry(self, direction: int, launch: Call) -> None:
        """Begin a journey now, or once the path is open."""
        if self.clogged[direction]:
            self._held[direction].append(launch)
        else:
            launch()

    def clog(self, direction: int) -> None:
        """Hold from now on what is sent this way."""
        self.clogged[direction] = True

    def unclog(self, direction: int) -> None:
        """Let through what was held, in order, and what follows."""
        self.clogged[direction] = False
        held, self._held[direction] = self._held[direction], []
        for launch in held:
            launch()

    def trip(self) -> int:
        """Duration of one message's journey, with the delays that are among the faults."""
        network = self.network
        faults, source = network.faults, network.random
        delay = self.latency.draw(source)
        if faults.delay and source.random() < faults.delay:
            delay += int(source.random() * faults.delay_max_ns)
        return delay


class VirtualLink:
    """One end of a connection."""

    def __init__(self, path: Path, host: VirtualHost, direction: int) -> None:
        self.path, self.host, self.direction = path, host, direction
        self.user: LinkUser | None = None
        self.peer: VirtualLink = self
        self.gone = False  # closed() has been called, or never will be
        self.closing = False
        self.waiting = 0
        self._ready = 0  # arrival of the last message sent
        self._deaf_from = 0  # what arrives here after this is lost; 0: nothing is
        self._kept: bytes | None = None  # a message that another overtakes

    def send(self, data: bytes | bytearray | memoryview, binary: bool = False) -> None:
        """As `Link.send`."""
        if self.gone or self.closing:
            return
        copy = bytes(data)
        network = self.host.network
        if self.direction == TO_CLIENT and network.faults.told and network.twisted(self.path.address):
            for message in self._twist(copy):
                self._carry(message)
        else:
            self._carry(copy)

    def _twist(self, data: bytes) -> list[bytes]:
        """What a venue says more than once, or in another order."""
        faults, source = self.host.network.faults, self.host.network.random
        kept, self._kept = self._kept, None
        out = [data]
        if faults.duplicate and source.random() < faults.duplicate:
            out.append(data)
        if kept is not None:
            out.append(kept)
        elif faults.reorder and source.random() < faults.reorder:
            self._kept = data
            self.host.at(self.host.now() + int(source.random() * SECOND), self._say_kept)
            out.pop()
        return out

    def _say_kept(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None and not self.gone and not self.closing:
            self._carry(kept)

    def _carry(self, data: bytes) -> None:
        self.waiting += len(data)
        self.path.carry(self.direction, lambda: self._fly(data))

    def _fly(self, data: bytes) -> None:
        self.waiting -= len(data)
        self.arrive(lambda: self.peer._take(data))

    def arrive(self, call: Call) -> None:
        """Call when a message sent now arrives at the other end, after all sent before it."""
        network = self.host.network
        self._ready = max(self._ready, network.time + self.path.trip())
        network.schedule(self._ready, call)

    def _take(self, data: bytes) -> None:
        network = self.host.network
        if self.gone or (self._deaf_from and network.time > self._deaf_from) or self.user is None:
            return
        network.trace(self.direction, data)
        buffer = bytearray(data)
        self.user.message(self, memoryview(buffer), self.host.now())
        buffer[:] = b"\xff" * len(buffer)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """As `Link.close`."""
        if self.gone or self.closing:
            return
        self.closing = True
        words = f"closed {code} {reason}".strip()
        self.path.carry(self.direction, lambda: self.arrive(lambda: self.peer._answer_close(words)))
        self.host.network.schedule(self.host.network.time + CLOSE_NS, lambda: self.end(words))

    def _answer_close(self, words: str) -> None:
        if not self.gone:
            other = self.peer
            self.path.carry(self.direction, lambda: self.arrive(lambda: other.end(words)))
            self.end(words)

    def end(self, reason: str) -> None:
        """This end learns that the connection is gone."""
        if self.gone:
            return
        self.gone = True
        if self.direction == TO_SITE and self in self.path.links:
            self.path.links.remove(self)
        self.host.network.trace(self.direction, reason.encode())
        if self.user is not None and self.host.alive:
            self.user.closed(self, reason)

    @property
    def deaf(self) -> bool:
        """Whether the connection is broken, and this end has not noticed."""
        return bool(self._deaf_from) and not self.gone

    def cut(self, notice: tuple[int, int] | None = None) -> None:
        """Break the connection: both ends go deaf, and learn of it after these times (ns, this end and the other)."""
        network = self.host.network
        source = network.random
        times = notice or (int(source.random() * SECOND), int(source.random() * SECOND))
        for end, delay in ((self, times[0]), (self.peer, times[1])):
            if not end._deaf_from:
                end._deaf_from = network.time + int(source.random() * min(delay, 2 * self.path.latency.base) + 1)
                network.schedule(max(network.time + delay, end._deaf_from), partial(end.end, "connection lost"))
