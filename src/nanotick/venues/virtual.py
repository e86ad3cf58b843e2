"""A network in virtual time: the `Host` under which live trading is simulated, with every fault a network has.

    client ── VirtualHost ──┐                        ┌── VirtualHost ── venue
              (its clock)   ├── VirtualNetwork ──────┤
    Link, ask ──▶ Path ─────┘   heap of (time, number)└──▶ Site.request, Site.upgrade

One heap of (time, number) orders everything, so a seed gives the same run whatever machine it runs on. A connection
behaves as TCP does: what arrives, arrives whole and in order; a cut loses what was in flight, and each end learns of it
at a time of its own, or only when its pings have failed. A `Path` lies between one machine and one address; a clogged
path holds what is sent over it until it is opened again. Which faults there are, and how often, `Faults` says.

A view handed to a callback is overwritten when the callback returns: whoever keeps one reads noise.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from zlib import crc32

from nanotick.core.clock import UtcClock
from nanotick.venues.faulty import Faults
from nanotick.venues.host import REQUEST_TIMEOUT_NS, AskedPost, Headers, LinkUser, Site
from nanotick.venues.virtual_link import MS, SECOND, TO_CLIENT, TO_SITE, Call, Latency, Path, VirtualLink
from nanotick.wire.requests import Request, Response

START = 1_700_000_000 * SECOND
PINGS_FAIL_NS = 40 * SECOND  # by then both ends of a dead connection have noticed


class VirtualTimer:
    """A call that is due at some time."""

    __slots__ = ("call",)

    def __init__(self, call: Call) -> None:
        self.call: Call | None = call

    def cancel(self) -> None:
        """As `Timer.cancel`."""
        self.call = None


class VirtualHost:
    """One machine's time and network (`venues.host.Host`).

    Parameters
    ----------
    network : VirtualNetwork
    name : str

    Attributes
    ----------
    alive : bool
        Whether its process runs; nothing calls into one that does not.
    """

    def __init__(self, network: VirtualNetwork, name: str) -> None:
        self.network, self.name = network, name
        self.alive = True
        self.offset = 0  # of the system's UTC from the network's time
        self._clock = UtcClock(lambda: network.time + self.offset, lambda: network.time)
        self._random = random.Random(f"{network.seed} {name} {network.time}")
        self.links: list[VirtualLink] = []

    def now(self) -> int:
        """As `Host.now`."""
        return self._clock.now()

    def step_clock(self, change_ns: int) -> None:
        """Step the system's UTC; `now` follows as `UtcClock` does."""
        self.offset += change_ns
        self._clock.resync()

    def at(self, when: int, call: Call) -> VirtualTimer:
        """As `Host.at`; what remains until `when` is measured once, by the monotonic clock."""
        delay = max(0, when - self.now())
        return self.network.schedule(self.network.time + delay, lambda: call() if self.alive else None)

    def uniform(self) -> float:
        """As `Host.uniform`."""
        return self._random.random()

    def crash(self) -> None:
        """Kill the process: its timers and callbacks are gone, the other ends see connections reset."""
        self.alive = False
        network = self.network
        for link in self.links:
            if not link.gone:
                link.gone = True
                if link in link.path.links:
                    link.path.links.remove(link)
                link.path.carry(link.direction, partial(link.arrive, partial(link.peer.end, "reset")))
        self.links.clear()
        network.trace(0, b"crash")

    # --- WebSockets ---------------------------------------------------------------------------------------------------

    def connect(self, url: str, user: LinkUser, headers: Headers = ()) -> None:
        """As `Host.connect`."""
        address, path_text = _split(url)
        path = self.network.path(self.name, address)

        def refuse(reason: str) -> None:
            path.carry(TO_CLIENT, lambda: self.network.schedule(self.network.time + path.trip(), lambda: fail(reason)))

        def fail(reason: str) -> None:
            if self.alive:
                user.closed(None, reason)

        def arrive() -> None:
            network = self.network
            server = network.servers.get(address)
            if server is None or not server.up or network.hit(network.faults.refuse):
                refuse("connection refused")
                return
            taken = server.site.upgrade(path_text, headers, self.name)
            if isinstance(taken, Response):
                refuse(f"HTTP status {taken.status}")
                return
            ours, theirs = VirtualLink(path, self, TO_SITE), VirtualLink(path, server.host, TO_CLIENT)
            ours.peer, theirs.peer, theirs.user = theirs, ours, taken
            server.links.append(theirs)
            path.carry(TO_CLIENT, lambda: theirs.arrive(lambda: stand(ours)))
            taken.opened(theirs)

        def stand(ours: VirtualLink) -> None:
            if not self.alive:
                ours.gone = True
                ours.peer.end("reset")
            elif ours.peer.gone:
                user.closed(None, "connection lost")
            else:
                ours.user = user
                path.links.append(ours)
                self.links = [link for link in self.links if not link.gone]
                self.links.append(ours)
                user.opened(ours)

        path.carry(TO_SITE, lambda: self.network.schedule(self.network.time + path.trip(), arrive))

    # --- HTTP ---------------------------------------------------------------------------------------------------------

    def post(self, base: str, path: str, headers: Headers, timeout_ns: int = REQUEST_TIMEOUT_NS) -> AskedPost:
        """As `Host.post`."""
        return AskedPost(self, base, path, headers, timeout_ns)

    def ask(
        self, base: str, request: Request, answer: Callable[[Response], None], timeout_ns: int = REQUEST_TIMEOUT_NS
    ) -> None:
        """As `Host.ask`."""
        address, _ = _split(base)
        network, path = self.network, self.network.path(self.name, address)
        over = False

        def give(response: Response) -> None:
            nonlocal over
            if not over and self.alive:
                over = True
                timer.cancel()
                network.trace(response.status, response.body)
                answer(response)

        def back(response: Response) -> None:
            path.carry(TO_CLIENT, lambda: network.schedule(network.time + path.trip(), lambda: give(response)))

        def answered(response: Response) -> None:
            faults = network.faults
            if network.hit(faults.answer_lost):
                if network.hit(0.5):  # the connection is reset; otherwise nothing is heard
                    back(Response(0, (), b"connection lost"))
            elif network.hit(faults.error_done):
                back(Response(502, (), b"<html>Bad Gateway</html>"))
            else:
                back(response)

        def arrive() -> None:
            faults, server = network.faults, network.servers.get(address)
            if server is None or not server.up:
                back(Response(0, (), b"connection refused"))
            elif network.hit(faults.limited):
                back(Response(429, (("Retry-After", "2"),), b'{"code": 42910000, "message": "rate limit exceeded"}'))
            elif network.hit(faults.error_undone):
                back(Response(503, (), b"Service Unavailable"))
            else:
                server.asked(request, self.name, answered)

        def depart() -> None:
            network.schedule(network.time + path.trip(), arrive)

        timer = network.schedule(network.time + timeout_ns, lambda: give(Response(0, (), b"no answer in time")))
        if network.hit(network.faults.request_lost):
            if network.hit(0.5):
                back(Response(0, (), b"connection lost"))
            return
        # a request that still waits to be sent when its time is over is never sent: the connection is closed
        path.carry(TO_SITE, lambda: None if over else depart())


class Server:
    """A site at an address, up or down."""

    def __init__(self, host: VirtualHost, site: Site) -> None:
        self.host, self.site = host, site
        self.up = True
        self.links: list[VirtualLink] = []
        self._life = 0

    def asked(self, request: Request, peer: str, answer: Callable[[Response], None]) -> None:
        """Hand a request to the site; what it answers after it has crashed is lost."""
        life = self._life

        def dated(response: Response) -> None:
            if life == self._life:
                date = format_datetime(datetime.fromtimestamp(self.host.now() // SECOND, UTC), usegmt=True)
                answer(response._replace(headers=(*response.headers, ("Date", date))))

        self.site.request(request, peer, dated)

    def crash(self) -> None:
        """The venue's door falls over; what it has matched it remembers."""
        self.up = False
        self._life += 1
        links, self.links = self.links, []
        for link in links:
            if not link.gone:
                link.cut((int(self.host.network.random.random() * SECOND), 0))

    def restart(self) -> None:
        """Take connections again."""
        self.up = True


class VirtualNetwork:
    """All machines and addresses of one run.

    Parameters
    ----------
    seed : int
        Of everything random.
    start : int
        ns UTC.
    faults : Faults, optional
        None by default.

    Attributes
    ----------
    time : int
        True time, ns UTC; machines have clocks of their own.
    events : int
        How many have been run.
    digest : int
        CRC-32 over what has been received and when: equal for equal runs.
    """

    def __init__(self, seed: int = 1, start: int = START, faults: Faults | None = None) -> None:
        self.seed, self.time, self.faults = seed, start, faults or Faults()
        self.random = random.Random(seed)
        self.latency = Latency()
        self.servers: dict[str, Server] = {}
        self.paths: dict[tuple[str, str], Path] = {}
        self.events = self.digest = 0
        self.twisted: Callable[[str], bool] = lambda address: True  # whose messages may be repeated and reordered
        self._heap: list[tuple[int, int, VirtualTimer]] = []
        self._number = 0

    def host(self, name: str) -> VirtualHost:
        """A machine; the same name again is the same machine with a new process on it."""
        return VirtualHost(self, name)

    def serve(self, address: str, site: Site, host: VirtualHost) -> Server:
        """Put a site on an address (`host:port`, or a host name)."""
        self.servers[address] = server = Server(host, site)
        return server

    def path(self, machine: str, address: str) -> Path:
        """Between a machine and an address."""
        found = self.paths.get((machine, address))
        if found is None:
            found = self.paths[machine, address] = Path(self, machine, address, self.latency)
        return found

    def hit(self, rate: float) -> bool:
        """Whether a fault of this rate happens now."""
        return rate > 0 and self.random.random() < rate

    def trace(self, what: int, data: bytes) -> None:
        """Count something received into the digest."""
        self.digest = crc32(data, crc32(b"%d %d" % (self.time, what), self.digest))

    def schedule(self, when: int, call: Call) -> VirtualTimer:
        """Call at a true time."""
        self._number += 1
        timer = VirtualTimer(call)
        heapq.heappush(self._heap, (max(when, self.time), self._number, timer))
        return timer

    def step(self, until: int) -> bool:
        """Run the next event if it is due by `until`; whether there was one."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            when, _, timer = heapq.heappop(heap)
            call = timer.call
            if call is None:
                continue
            timer.call = None
            self.time = when
            self.events += 1
            call()
            return True
        return False

    def run(self, until: int, after: Call | None = None) -> None:
        """Run until a true time; `after` is called after every event."""
        while self.step(until):
            if after is not None:
                after()
        self.time = max(self.time, until)

    def heal(self) -> None:
        """No fault from now on: paths open, servers up, and what has been cut is seen to be cut."""
        self.faults = Faults()
        for host_link in [link for path in self.paths.values() for link in path.links]:
            for end in (host_link, host_link.peer):
                if end.deaf:
                    self.schedule(self.time + SECOND, partial(end.end, "connection lost"))
        for path in self.paths.values():
            path.unclog(TO_SITE)
            path.unclog(TO_CLIENT)
        for server in self.servers.values():
            server.restart()


def _split(url: str) -> tuple[str, str]:
    """Address and path with query of a URL."""
    rest = url.partition("://")[2] or url
    address, slash, path = rest.partition("/")
    return address, slash + path


__all__ = ["MS", "SECOND", "START", "Latency", "Path", "Server", "VirtualHost", "VirtualLink", "VirtualNetwork"]
