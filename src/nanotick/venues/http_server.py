"""HTTP/1.1 server for a `Site`: requests answered in their order, kept-alive, bounded; WebSockets on the same port.

    bytes ─▶ httptools ─▶ Site.request(request, peer, answer) ─▶ bytes
                     └─ Upgrade: websocket ─▶ Site.upgrade ─▶ LinkUser: the connection becomes a `SocketLink`

The connection of an upgrade is handed to picows with the request written anew, as if picows had read it itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import httptools
from picows import WSAutoPingStrategy
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from nanotick.venues.host import Site
from nanotick.venues.websocket import Owner, SocketLink
from nanotick.wire.requests import Request, Response

MAX_HEAD = 32 << 10  # bytes of request line and headers
MAX_HEADERS = 100
MAX_BODY = 1 << 20
MAX_PIPELINED = 64  # requests sent ahead of their answers
REQUEST_S = 10.0  # from a request's first byte to its last
IDLE_S = 75.0
QUIET = logging.Logger("nanotick.websocket", logging.CRITICAL + 1)  # picows' own; what matters reaches the link's user
_REASONS = {status.value: status.phrase for status in HTTPStatus}
_BODILESS = frozenset((204, 304))


def encode_response(response: Response, keep: bool) -> bytes:
    """The bytes of an answer."""
    status = response.status
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in response.headers]
    if status not in _BODILESS:
        lines.append(f"Content-Length: {len(response.body)}\r\n")
    lines.append("\r\n" if keep else "Connection: close\r\n\r\n")
    head = "".join(lines).encode("latin-1", "replace")
    return head if status in _BODILESS else head + response.body


class Serving(asyncio.Protocol):
    """One connection to a site."""

    def __init__(self, owner: Owner, site: Site, open_: set[Any]) -> None:
        self._owner, self._site, self._open = owner, site, open_
        self._transport: Any = None
        self._peer = ""
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Request, bool]] = deque()  # with whether the connection is kept afterwards
        self._busy = self._ended = self._upgraded = False
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._fresh()

    def _fresh(self) -> None:
        self._path = b""
        self._headers: list[tuple[str, str]] = []
        self._parts: list[bytes] = []
        self._head = self._size = 0
        self._begun = self._headed = False

    # asyncio

    def connection_made(self, transport: Any) -> None:
        """Somebody connects."""
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) and peer else str(peer or "")
        self._open.add(self)
        self._owner.guard(transport)
        self._patience(IDLE_S)

    def data_received(self, data: bytes) -> None:
        """Part of a request, or several."""
        if self._ended or self._upgraded:
            return
        if not self._headed:
            self._head += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._refuse(400, f"no HTTP request: {error}")
        else:
            if not self._headed and self._head > MAX_HEAD and not self._ended:
                self._refuse(431, f"headers of more than {MAX_HEAD:,} bytes")

    def eof_received(self) -> bool:
        """The other end sends no more."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """It is gone; answers still to come go nowhere."""
        self._end()

    # httptools

    def on_message_begin(self) -> None:
        """A request begins."""
        self._begun = True
        if not self._busy:
            self._patience(REQUEST_S)

    def on_url(self, url: bytes) -> None:
        """Path and query, or a piece of them."""
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers.append((name.decode("latin-1"), value.decode("latin-1")))
        if len(self._headers) > MAX_HEADERS:
            self._refuse(431, f"more than {MAX_HEADERS} headers")

    def on_headers_complete(self) -> None:
        """All headers."""
        self._headed = True

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._size += len(body)
        if self._size > MAX_BODY:
            self._refuse(413, f"a body of more than {MAX_BODY:,} bytes")
        elif not self._ended:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        """The whole request."""
        if self._ended or (self._parser.should_upgrade() and _is_websocket(self._headers)):
            return
        method = self._parser.get_method().decode("latin-1")
        path = self._path.decode("latin-1")
        request = Request(method, path, tuple(self._headers), b"".join(self._parts))
        keep = self._parser.should_keep_alive()
        self._fresh()
        if len(self._waiting) >= MAX_PIPELINED:
            self._refuse(503, f"more than {MAX_PIPELINED} requests ahead of their answers")
            return
        self._waiting.append((request, keep))
        if not self._busy:
            self._next()

    # answers

    def _next(self) -> None:
        while self._waiting and not self._busy and not self._ended:
            request, keep = self._waiting.popleft()
            self._busy = True
            try:
                self._site.request(request, self._peer, _Answer(self, keep))
            except Exception as error:
                self._owner.broken(error)
                self._refuse(500, "the site failed")

    def answered(self, response: Response, keep: bool) -> None:
        """The site's answer to the request under way."""
        if self._ended:
            return
        self._transport.write(encode_response(response, keep))
        self._busy = False
        if not keep:
            self._end()
            return
        self._patience(IDLE_S)
        if self._waiting:
            self._next()

    def _refuse(self, status: int, reason: str) -> None:
        if self._ended:
            return
        body = f'{{"message": "{reason}"}}'.encode("latin-1", "replace")
        self._transport.write(encode_response(Response(status, (("Content-Type", "application/json"),), body), False))
        self._end()

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()
        self._open.discard(self)
        self._transport.close()

    def close(self) -> None:
        """The server stops."""
        self._end()

    def _patience(self, seconds: float) -> None:
        self._deadline = self._owner.loop.time() + seconds
        if self._timer is None or self._timer.when() > self._deadline:
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._owner.loop.call_at(self._deadline, self._late)

    def _late(self) -> None:
        self._timer = None
        if self._owner.loop.time() < self._deadline:
            self._arm()
        elif self._busy:
            self._patience(IDLE_S)  # the site takes its time
        elif self._begun:
            self._refuse(408, f"no whole request within {REQUEST_S:g} s")
        else:
            self._end()

    # WebSocket

    def _upgrade(self, rest: bytes) -> None:
        if self._ended:
            return
        headers = tuple(self._headers)
        if self._busy or self._waiting or self._parser.get_method() != b"GET" or not _is_websocket(self._headers):
            self._refuse(400, "an upgrade is a GET for websocket, and stands alone")
            return
        path = self._path.decode("latin-1")
        try:
            user = self._site.upgrade(path, headers, self._peer)
        except Exception as error:
            self._owner.broken(error)
            self._refuse(500, "the site failed")
            return
        if isinstance(user, Response):
            self._transport.write(encode_response(user, False))
            self._end()
            return
        link = SocketLink(self._owner, user)
        protocol = server_protocol(self._owner, link)
        self._upgraded = True
        if self._timer is not None:
            self._timer.cancel()
        self._open.discard(self)
        self._open.add(link)
        link.gone = lambda: self._open.discard(link)
        lines = [f"GET {path} HTTP/1.1\r\n", *(f"{name}: {value}\r\n" for name, value in headers), "\r\n"]
        data = "".join(lines).encode("latin-1") + rest
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        while data:
            room = protocol.get_buffer(len(data))
            size = min(len(room), len(data))
            room[:size] = data[:size]
            data = data[size:]
            protocol.buffer_updated(size)
        if not link.opened:
            link.lost("the handshake was refused")


class _Answer:
    """Where the answer to one request goes; a second one goes nowhere."""

    __slots__ = ("_keep", "_serving")

    def __init__(self, serving: Serving, keep: bool) -> None:
        self._serving: Serving | None = serving
        self._keep = keep

    def __call__(self, response: Response) -> None:
        serving, self._serving = self._serving, None
        if serving is not None:
            serving.answered(response, self._keep)


def _is_websocket(headers: list[tuple[str, str]]) -> bool:
    return any(name.lower() == "upgrade" and value.strip().lower() == "websocket" for name, value in headers)


def server_protocol(owner: Owner, link: SocketLink) -> WSProtocol:
    """picows' side of a served WebSocket."""
    listener: Callable[[Any], SocketLink] = lambda request: link  # noqa: E731
    return WSProtocol(
        None, None, False, listener, QUIET, True, REQUEST_S, False, 10, 10, WSAutoPingStrategy.PING_WHEN_IDLE, False,
        owner.max_message, None, 16 << 10,
    )  # fmt: skip
