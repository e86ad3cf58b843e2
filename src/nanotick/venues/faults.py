"""Faults on demand, in front of any served venue and over any host.

    seed: 7
    faults:
      - {kind: drop, rate: 0.01}                  # a message in a hundred is never sent
      - {kind: delay, rate: 0.1, ms: [5, 250]}    # later than those after it may be
      - {kind: reorder, rate: 0.05}               # after the next message of the link
      - {kind: duplicate, match: '"event":"fill"'}
      - {kind: corrupt, path: /ws, match: checksum, rate: 0.2}
      - {kind: gap, path: /stocks, at_s: 30, for_s: 2}
      - {kind: disconnect, path: /stream, match: partial_fill, count: 1}
      - {kind: limited, method: POST, path: /v2/orders, after: 100, count: 5, retry_after_s: 2}
      - {kind: banned, at_s: 60, for_s: 120}
      - {kind: error, method: POST, path: /v2/orders, rate: 0.02, placed: true}
      - {kind: silent, method: POST, path: /v2/orders, rate: 0.01, placed: true}
      - {kind: maintenance, at_s: 300, for_s: 60}

A fault acts on what it names and no oftener than it says: `rate` is a share of the cases, `after` lets so many of them
pass first, `count` ends it, `at_s` and `for_s` are times since the venue was opened. Whether it acts is drawn from the
seed, the fault's place in the list and the number of the case, so the same traffic meets the same faults.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from nanotick.core.kernel import python_body
from nanotick.core.memory import wrap_i64
from nanotick.core.suggest import nearest
from nanotick.exchange.draws import mix64
from nanotick.venues.host import Headers, Host, Link, LinkUser, Site
from nanotick.wire.requests import Request, Response

_mix = python_body(mix64)
_SECOND, _MS = 1_000_000_000, 1_000_000
_SPAN = 1 << 32
STREAM_KINDS = frozenset("drop delay reorder duplicate corrupt gap disconnect".split())
REQUEST_KINDS = frozenset("limited banned error silent slow".split())
KINDS = STREAM_KINDS | REQUEST_KINDS | {"maintenance"}
_RETRY_S = 1.0


class FaultError(ValueError):
    """A fault file that cannot be used."""


class Fault(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """One kind of trouble.

    Parameters
    ----------
    kind : str
        Of streams: drop, delay, reorder, duplicate, corrupt (one digit), gap (nothing in a span of time), disconnect
        (instead of the message). Of requests: limited (429), banned (418), error (`status`), silent (no answer), slow
        (`ms`). Of both: maintenance (503, links cut).
    path, method, match : str
        What it acts on: beginning of the path, method, text in the message or body. Empty: everything.
    rate : float
        Share of the cases, 0 to 1.
    after, count : int
        Cases that pass first; times it acts at most, 0: no end.
    at_s, for_s : float
        Since the venue was opened; `for_s` 0: no end.
    ms : pair of float
        Least and greatest delay.
    retry_after_s : float
        In the Retry-After header of limited and banned.
    status : int
        Of `error`.
    placed : bool
        Of `error` and `silent`: what was asked is done all the same; nobody is told.
    """

    kind: str
    path: str = ""
    method: str = ""
    match: str = ""
    rate: float = 1.0
    after: int = 0
    count: int = 0
    at_s: float = 0.0
    for_s: float = 0.0
    ms: tuple[float, float] = (1.0, 100.0)
    retry_after_s: float = _RETRY_S
    status: int = 502
    placed: bool = False


class FaultFile(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A whole file."""

    faults: tuple[Fault, ...]
    seed: int = 1


def faults_from(values: Any, where: str = "faults") -> FaultFile:
    """Faults from plain values.

    Raises
    ------
    FaultError
        Unknown keys or kinds, impossible numbers.
    """
    known = set(Fault.__struct_fields__)
    if isinstance(values, dict):
        for number, row in enumerate(values.get("faults") or []):
            for name in row if isinstance(row, dict) else ():
                if name not in known:
                    raise FaultError(f"{where}: faults[{number}]: unknown key {name!r}{nearest(str(name), known, 0.4)}")
    try:
        found = msgspec.convert(values, FaultFile)
    except msgspec.ValidationError as error:
        raise FaultError(f"{where}: {error}") from None
    for number, fault in enumerate(found.faults):
        at = f"{where}: faults[{number}]"
        if fault.kind not in KINDS:
            raise FaultError(f"{at}: unknown kind {fault.kind!r}{nearest(fault.kind, KINDS, 0.4)}")
        if not 0.0 <= fault.rate <= 1.0:
            raise FaultError(f"{at}: rate: expected 0 to 1, found {fault.rate}")
        if min(fault.after, fault.count, fault.at_s, fault.for_s, fault.retry_after_s, *fault.ms) < 0:
            raise FaultError(f"{at}: expected no negative number")
        if fault.ms[0] > fault.ms[1]:
            raise FaultError(f"{at}: ms: expected least and greatest, found {list(fault.ms)}")
        if fault.kind == "error" and not 500 <= fault.status <= 599:
            raise FaultError(f"{at}: status: expected 500 to 599, found {fault.status}")
    return found


def read_faults(path: Path, seed: int | None = None) -> FaultFile:
    """Faults from a YAML file; `seed` instead of the file's.

    Raises
    ------
    FaultError
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise FaultError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FaultError(f"{path}: not YAML: {error}") from None
    found = faults_from(values, str(path))
    return found if seed is None or "seed" in (values or {}) else msgspec.structs.replace(found, seed=seed)


class _Running:
    """A fault with what it has done."""

    def __init__(self, fault: Fault, number: int, seed: int) -> None:
        self.fault = fault
        self.acted = self.seen = 0
        self._key = wrap_i64(_mix(wrap_i64(_mix(wrap_i64(seed)) ^ (number + 1))))
        self._match = fault.match.encode()

    def draw(self, which: int) -> float:
        """From 0 to below 1: number `which` of this case."""
        value = wrap_i64(_mix(wrap_i64(self._key ^ (self.seen * 4 + which))))
        return (value & (_SPAN - 1)) / _SPAN

    def due(self, since_ns: int) -> bool:
        """Whether it is its time."""
        fault = self.fault
        if since_ns < fault.at_s * _SECOND:
            return False
        return not fault.for_s or since_ns < (fault.at_s + fault.for_s) * _SECOND

    def acts(self, since_ns: int, path: str, data: bytes | memoryview, method: str = "") -> bool:
        """Count a case; whether the fault acts on it."""
        fault = self.fault
        if fault.path and not path.startswith(fault.path):
            return False
        if fault.method and method and fault.method.upper() != method:
            return False
        if self._match and self._match not in bytes(data):
            return False
        if not self.due(since_ns) or (fault.count and self.acted >= fault.count):
            return False
        self.seen += 1
        if self.seen <= fault.after or (fault.rate < 1.0 and self.draw(0) >= fault.rate):
            return False
        self.acted += 1
        return True

    def delay_ns(self) -> int:
        """A delay of this case."""
        low, high = self.fault.ms
        return int((low + (high - low) * self.draw(1)) * _MS)


class FaultySite:
    """A site behind which another one has faults.

    Parameters
    ----------
    host : Host
    site : Site
    faults : FaultFile

    Attributes
    ----------
    done : dict of str to int
        How often each kind has acted.
    """

    def __init__(self, host: Host, site: Site, faults: FaultFile) -> None:
        self.host, self.site = host, site
        self._opened = host.now()
        self.running = [_Running(fault, n, faults.seed) for n, fault in enumerate(faults.faults)]
        self.stream = [r for r in self.running if r.fault.kind in STREAM_KINDS]
        self._requests = [r for r in self.running if r.fault.kind in REQUEST_KINDS]
        self._down = [r for r in self.running if r.fault.kind == "maintenance"]
        self.links: list[FaultyLink] = []
        for running in self._down:
            at = self._opened + int(running.fault.at_s * _SECOND)
            host.at(at, lambda: self._cut("maintenance"))

    @property
    def done(self) -> dict[str, int]:
        """How often each kind has acted."""
        found: dict[str, int] = {}
        for running in self.running:
            found[running.fault.kind] = found.get(running.fault.kind, 0) + running.acted
        return found

    def since(self) -> int:
        """ns since it was opened."""
        return self.host.now() - self._opened

    def _cut(self, reason: str) -> None:
        for running in self._down:
            if running.due(self.since()):
                running.acted += 1
                for link in tuple(self.links):
                    link.cut(1012, reason)
                return

    def _closed(self) -> Response | None:
        if any(running.due(self.since()) for running in self._down):
            return Response(503, (("Content-Type", "application/json"),), b'{"message":"the venue is in maintenance"}')
        return None

    # --- Site -------------------------------------------------------------------------------------------------------

    def request(self, request: Request, peer: str, answer: Callable[[Response], None]) -> None:
        """See `Site`."""
        down = self._closed()
        if down is not None:
            answer(down)
            return
        for running in self._requests:
            fault = running.fault
            if not running.acts(self.since(), request.path, request.body, request.method):
                continue
            if fault.kind in ("limited", "banned"):
                retry = ("Retry-After", str(max(1, round(fault.retry_after_s))))
                body = b'{"code":-1003,"message":"too many requests","msg":"Too many requests."}'
                status = 429 if fault.kind == "limited" else 418
                answer(Response(status, (retry, ("Content-Type", "application/json")), body))
                return
            if fault.kind == "slow":
                later = self.host.now() + running.delay_ns()
                answer = self._later(later, answer)
                continue
            if fault.placed:
                self.site.request(request, peer, _nobody)
            if fault.kind == "error":
                answer(Response(fault.status, (("Content-Type", "text/html"),), b"<html>bad gateway</html>"))
            return
        self.site.request(request, peer, answer)

    def _later(self, when: int, answer: Callable[[Response], None]) -> Callable[[Response], None]:
        def hand_over(response: Response) -> None:
            self.host.at(when, lambda: answer(response))

        return hand_over

    def upgrade(self, path: str, headers: Headers, peer: str) -> LinkUser | Response:
        """See `Site`."""
        down = self._closed()
        if down is not None:
            return down
        user = self.site.upgrade(path, headers, peer)
        return user if isinstance(user, Response) else FaultyUser(self, user, path)


def _nobody(response: Response) -> None:
    """An answer that is lost."""


class FaultyLink:
    """A link on which some of what the venue sends goes wrong."""

    def __init__(self, site: FaultySite, link: Link, path: str) -> None:
        self._site, self._link, self._path = site, link, path
        self._held: tuple[bytes, bool] | None = None
        self._open = True

    @property
    def waiting(self) -> int:
        """See `Link`."""
        return self._link.waiting

    def close(self, code: int = 1000, reason: str = "") -> None:
        """See `Link`."""
        self._link.close(code, reason)

    def cut(self, code: int, reason: str) -> None:
        """The venue breaks it off."""
        self._open = False
        self._link.close(code, reason)

    def gone(self) -> None:
        """It is closed: nothing that is late is sent any more."""
        self._open = False

    def send(self, data: bytes | bytearray | memoryview, binary: bool = False) -> None:
        """See `Link`."""
        if not self._open:
            return
        message, times, delay = bytes(data), 1, 0
        for running in self._site.stream:
            if not running.acts(self._site.since(), self._path, message):
                continue
            kind = running.fault.kind
            if kind in ("drop", "gap"):
                return
            if kind == "disconnect":
                self.cut(1006, "connection lost")
                return
            if kind == "duplicate":
                times += 1
            elif kind == "corrupt":
                message = _corrupted(message, running.draw(1))
            elif kind == "delay":
                delay += running.delay_ns()
            elif self._held is None:  # reorder
                self._held = message, binary
                return
        host = self._site.host
        if delay:
            host.at(host.now() + delay, lambda: self._deliver(message, binary, times))
        else:
            self._deliver(message, binary, times)

    def _deliver(self, message: bytes, binary: bool, times: int) -> None:
        if not self._open:
            return
        for _ in range(times):
            self._link.send(message, binary)
        held, self._held = self._held, None
        if held is not None:
            self._link.send(*held)


def _corrupted(message: bytes, draw: float) -> bytes:
    """The message with one of its digits another one."""
    places = [n for n, byte in enumerate(message) if 0x30 <= byte <= 0x39]
    if not places:
        return message
    at = places[int(draw * len(places))]
    digit = (message[at] - 0x30 + 1 + int(draw * 1e6) % 8) % 10
    if digit == 0 and (at == 0 or not 0x30 <= message[at - 1] <= 0x39):
        digit = 9 if message[at] != 0x39 else 8  # a number may not begin with a nought
    return message[:at] + bytes((0x30 + digit,)) + message[at + 1 :]


class FaultyUser:
    """The venue's conversation over a link with faults."""

    def __init__(self, site: FaultySite, user: LinkUser, path: str) -> None:
        self._site, self._user, self._path = site, user, path
        self._link: FaultyLink | None = None

    def opened(self, link: Link) -> None:
        """See `LinkUser`."""
        self._link = FaultyLink(self._site, link, self._path)
        self._site.links.append(self._link)
        self._user.opened(self._link)

    def message(self, link: Link, data: bytes | memoryview, now: int) -> None:
        """See `LinkUser`."""
        if self._link is not None:
            self._user.message(self._link, data, now)

    def closed(self, link: Link | None, reason: str) -> None:
        """See `LinkUser`."""
        if self._link is not None:
            self._link.gone()
            if self._link in self._site.links:
                self._site.links.remove(self._link)
        self._user.closed(self._link, reason)
