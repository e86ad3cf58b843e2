"""A host for tests without a network: virtual time, and links that do nothing but what the test says."""

from __future__ import annotations

import heapq
import itertools

from nanotick.venues.host import REQUEST_TIMEOUT_NS, AskedPost
from nanotick.wire.requests import Response

MS, S = 1_000_000, 1_000_000_000
START = 1_700_000_000 * S


class ScriptedTimer:
    def __init__(self, call):
        self.call = call

    def cancel(self):
        self.call = None


class ScriptedLink:
    """Our end of a link; the test plays the other."""

    def __init__(self, host, url, user, headers):
        self.host, self.url, self.user, self.headers = host, url, user, headers
        self.sent: list[bytes] = []
        self.is_open = self.is_closed = False
        self.waiting = 0

    def send(self, data, binary=False):
        if not self.is_closed:
            self.sent.append(bytes(data))

    def close(self, code=1000, reason=""):
        if not self.is_closed:
            self.is_closed = True
            self.host.at(self.host.time, lambda: self.user.closed(self, reason or f"closed {code}"))

    # the other end

    def accept(self):
        self.is_open = True
        self.user.opened(self)

    def refuse(self, reason="refused"):
        self.is_closed = True
        self.user.closed(None, reason)

    def say(self, data):
        """The other end sends; it arrives even if we have closed already, as on a real wire."""
        self.user.message(self, data if isinstance(data, bytes) else data.encode(), self.host.time)

    def drop(self, reason="connection lost"):
        self.is_closed = True
        self.user.closed(self, reason)


class ScriptedHost:
    def __init__(self):
        self.time = START
        self.draw = 0.5
        self.links: list[ScriptedLink] = []
        self.asked = []  # (base, request, answer)
        self._timers = []
        self._count = itertools.count()

    def now(self):
        return self.time

    def at(self, when, call):
        timer = ScriptedTimer(call)
        heapq.heappush(self._timers, (max(when, self.time), next(self._count), timer))
        return timer

    def uniform(self):
        return self.draw

    def connect(self, url, user, headers=()):
        self.links.append(ScriptedLink(self, url, user, headers))

    def ask(self, base, request, answer, timeout_ns=REQUEST_TIMEOUT_NS):
        self.asked.append((base, request, answer))

    def post(self, base, path, headers, timeout_ns=REQUEST_TIMEOUT_NS):
        return AskedPost(self, base, path, headers, timeout_ns)

    def answer(self, status=200, body=b"", headers=()):
        """Answer the oldest request."""
        self.asked.pop(0)[2](Response(status, headers, body))

    def run(self, span_ns=0):
        """Let time pass."""
        end = self.time + span_ns
        while self._timers and self._timers[0][0] <= end:
            when, _, timer = heapq.heappop(self._timers)
            self.time = max(self.time, when)
            if timer.call is not None:
                timer.call()
        self.time = end

    @property
    def link(self):
        """The newest link."""
        return self.links[-1]


class Delivered:
    """Keeps what a feed delivers, copied as an owner would."""

    def __init__(self):
        self.rows = []

    def __call__(self, address, count):
        import ctypes

        import numpy as np

        from nanotick.core.records import EVENT

        data = ctypes.string_at(address, count * EVENT.itemsize)
        self.rows += list(np.frombuffer(data, dtype=EVENT))

    def kinds(self):
        return [int(row["kind"]) for row in self.rows]
