"""HTTP/1.1 client: a few kept-alive connections to each base, one request at a time on each, nothing ever sent twice.

    ask ─▶ Pool ─▶ idle connection, or a new one, or the queue ─▶ Connection ─▶ httptools ─▶ answer(Response)

A request whose answer does not come whole is `Response(0)` with the reason as its body: whether the venue has acted on
it is unknown, and only its sender knows how to find out. So an idle connection is dropped well before a server's usual
patience ends, rather than losing the next request to a closing that was under way.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httptools

from nanotick.venues.host import Headers
from nanotick.venues.websocket import Owner
from nanotick.wire.requests import Request, Response

Answer = Callable[[Response], None]
MAX_CONNECTIONS = 8  # to one base
MAX_QUEUED = 4096  # requests that wait for one of them
MAX_HEAD = 64 << 10  # bytes of status line and headers
MAX_BODY = 64 << 20
IDLE_S = 45.0  # less than the minute that load balancers keep an idle connection
CONNECT_S = 10.0
_NS = 1e-9
_LATE = b"not sent: no connection was free in time"
_EMPTY = b"0\r\n\r\n"
_BODIES = frozenset(("POST", "PUT", "PATCH"))


class RequestError(ValueError):
    """A request that is none: a base that is no address, a line feed in a header."""


def split_base(base: str) -> tuple[bool, str, int, str]:
    """Whether TLS, host, port and the text of the Host header of `https://host[:port]`.

    Raises
    ------
    RequestError

    >>> split_base("https://api.example:8443")
    (True, 'api.example', 8443, 'api.example:8443')
    """
    try:
        parts = urlsplit(base)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise RequestError(f"{base!r} is no address: {error}") from None
    if parts.scheme not in ("http", "https") or not host or parts.path not in ("", "/") or parts.query:
        raise RequestError(f"expected a base such as https://api.example:443, found {base!r}")
    secure = parts.scheme == "https"
    return secure, host, port or (443 if secure else 80), parts.netloc.rpartition("@")[2]


def encode_request(request: Request, fixed: str) -> bytes:
    """The bytes of a request; `fixed` are the header lines that all requests of a base share.

    Raises
    ------
    RequestError
        A line feed or blank where it would make another request of it.
    """
    method, path, headers, body = request
    lines = [f"{method} {path} HTTP/1.1\r\n{fixed}"]
    lines += [f"{name}: {value}\r\n" for name, value in headers]
    expected = len(headers) + fixed.count("\n") + 1
    if body or method in _BODIES:
        lines.append(f"Content-Length: {len(body)}\r\n")
        expected += 1
    head = "".join(lines)
    if head.count("\n") != expected or head.count("\r") != expected or " " in path or " " in method or not path:
        raise RequestError(f"{method} {path.partition('?')[0]!r}: a blank or line feed in the path or in a header")
    return head.encode("latin-1") + b"\r\n" + body


class Connection(asyncio.Protocol):
    """One connection: idle, or with one request under way."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._transport: Any = None
        self._answer: Answer | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._status, self._keep = 0, False
        self._parser = httptools.HttpResponseParser(self)
        self._fresh()

    def _fresh(self) -> None:
        self._headers: list[tuple[str, str]] = []
        self._parts: list[bytes] = []
        self._size = self._head = 0
        self._headed = self._sized = self._whole = self._more = False

    # asyncio

    def connection_made(self, transport: Any) -> None:
        """It stands."""
        self._transport = transport
        self._pool.owner.guard(transport)

    def data_received(self, data: bytes) -> None:
        """Part of an answer."""
        if self._answer is None:
            self.end("bytes that nobody asked for")
            return
        if not self._headed:
            self._head += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.end(f"no HTTP: {error}")
            return
        if self._whole:
            self._finish(self._keep and not self._more)
        elif not self._headed and self._head > MAX_HEAD:
            self.end(f"headers of more than {MAX_HEAD:,} bytes")

    def eof_received(self) -> bool:
        """The other end is done: an answer of unstated length ends here."""
        if self._answer is not None and self._headed and not self._sized:
            self._status = self._parser.get_status_code()
            self._finish(False)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """It is gone."""
        self.end(f"connection lost before the whole answer{f': {error}' if error else ''}")

    # httptools

    def on_message_begin(self) -> None:
        """An answer begins; a second one at once was not asked for."""
        self._more = self._whole

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        if not self._whole:
            self._headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """All headers."""
        if self._whole:
            return
        self._headed = True
        names = {name.lower() for name, _ in self._headers}
        self._sized = "content-length" in names or "transfer-encoding" in names

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._size += len(body)
        if self._size > MAX_BODY:
            self.end(f"a body of more than {MAX_BODY:,} bytes")
        elif not self._closed and not self._whole:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        """The whole answer."""
        if self._whole or self._closed:
            return
        if 100 <= self._parser.get_status_code() < 200:
            self._fresh()
        else:
            self._status, self._keep = self._parser.get_status_code(), self._parser.should_keep_alive()
            self._whole = True

    # the pool

    def send(self, data: bytes, answer: Answer, deadline: float) -> None:
        """Send a request whose answer is wanted by `deadline`, loop time."""
        self._answer = answer
        self._transport.write(data)
        self._last(deadline)

    def hurry(self, data: bytes | memoryview, answer: Answer, timeout: float) -> None:
        """Send a request whose answer is wanted in so many seconds; the clock is read when it is on its way."""
        self._answer = answer
        self._transport.write(data)
        self._last(self._pool.loop.time() + timeout)

    def rest(self, until: float) -> None:
        """Stay open without a request until then."""
        self._last(until)

    def _last(self, deadline: float) -> None:
        self._deadline = deadline
        if self._timer is None or self._timer.when() > deadline:
            self._arm(deadline)

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._pool.loop.call_at(when, self._late)

    def _late(self) -> None:
        # requests come and go by the thousand: one timer follows their deadlines at its leisure
        self._timer = None
        if self._pool.loop.time() < self._deadline:
            self._arm(self._deadline)
        else:
            self.end("no answer in time")

    def _finish(self, keep: bool) -> None:
        answer, self._answer = self._answer, None
        assert answer is not None
        response = Response(self._status, tuple(self._headers), b"".join(self._parts))
        if keep and not self._transport.is_closing():
            self._fresh()
            self._pool.free(self)
        else:
            self.end("")
        self._pool.tell(answer, response)

    def end(self, reason: str) -> None:
        """Close it; a request under way has no answer."""
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        answer, self._answer = self._answer, None
        self._pool.gone(self)
        if answer is not None:
            self._pool.tell(answer, Response(0, body=reason.encode()))


class Pool:
    """The connections to one base.

    Parameters
    ----------
    owner : Owner
        The host.
    base : str
        Scheme, host and port.
    context : SSLContext
        Of clients.
    connect : coroutine function
        As `loop.create_connection`.

    Raises
    ------
    RequestError
        The base is no address.
    """

    def __init__(self, owner: Owner, base: str, context: ssl.SSLContext, connect: Callable[..., Any]) -> None:
        self.owner, self.loop, self.base = owner, owner.loop, base
        secure, self._host, self._port, name = split_base(base)
        self._context = context if secure else None
        self._fixed = f"Host: {name}\r\nAccept-Encoding: identity\r\n"
        self._connect = connect
        self._kept: tuple[str, Any, bytes] = ("", None, b"")  # path, headers and head of the last POST
        self.idle: list[Connection] = []  # this list, as long as the pool lives
        self._open: set[Connection] = set()
        self._opening = 0
        self._queue: deque[tuple[bytes, Answer, float]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweep: asyncio.TimerHandle | None = None

    def ask(self, request: Request, answer: Answer, timeout_ns: int) -> None:
        """Send a request and hand over its answer, later and once."""
        try:
            data = self._encode(request)
        except (RequestError, UnicodeEncodeError) as error:
            self.loop.call_soon(self.tell, answer, Response(0, body=f"not sent: {error}".encode()))
            return
        deadline = self.loop.time() + timeout_ns * _NS
        if self.idle:
            self.idle.pop().send(data, answer, deadline)
            return
        if len(self._queue) >= MAX_QUEUED:
            reason = f"not sent: {MAX_QUEUED:,} requests wait for {self.base}".encode()
            self.loop.call_soon(self.tell, answer, Response(0, body=reason))
            return
        self._queue.append((data, answer, deadline))
        if len(self._open) + self._opening < MAX_CONNECTIONS and self._opening < len(self._queue):
            self._opening += 1
            task = self.loop.create_task(self._start())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._sweep is None or self._sweep.when() > deadline:
            self._watch_queue()

    def _encode(self, request: Request) -> bytes:
        """As `encode_request`; the head of a POST that comes again and again is kept."""
        method, path, headers, body = request
        if method != "POST":
            return encode_request(request, self._fixed)
        kept_path, kept_headers, head = self._kept
        if path != kept_path or headers is not kept_headers:
            head = self.head(path, headers)
            self._kept = path, headers, head
        return b"%b%d\r\n\r\n%b" % (head, len(body), body)

    def head(self, path: str, headers: Headers) -> bytes:
        """What a POST begins with, up to the length of its body. Raises RequestError."""
        whole = encode_request(Request("POST", path, headers), self._fixed)
        return whole[: whole.rindex(_EMPTY)]

    def free(self, connection: Connection) -> None:
        """A connection has done its request."""
        now = self.loop.time()
        while self._queue:
            data, answer, deadline = self._queue.popleft()
            if deadline > now:
                connection.send(data, answer, deadline)
                return
            self.tell(answer, Response(0, body=_LATE))
        self.idle.append(connection)
        connection.rest(now + IDLE_S)

    def gone(self, connection: Connection) -> None:
        """A connection is closed."""
        self._open.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)

    def tell(self, answer: Answer, response: Response) -> None:
        """Hand an answer over."""
        try:
            answer(response)
        except Exception as error:
            self.owner.broken(error)

    async def _start(self) -> None:
        reason = ""
        try:
            making = self._connect(
                lambda: Connection(self),
                self._host,
                self._port,
                ssl=self._context,
                server_hostname=self._host if self._context is not None else None,
            )
            _, connection = await asyncio.wait_for(making, CONNECT_S)
        except (OSError, TimeoutError, ValueError) as error:
            reason = f"not sent: cannot connect to {self.base}: {error or type(error).__name__}"
        self._opening -= 1
        if not reason:
            self._open.add(connection)
            self.free(connection)
        elif not self._open and not self._opening:
            # nobody is left who would take them
            waiting, self._queue = self._queue, deque()
            for _, answer, _ in waiting:
                self.tell(answer, Response(0, body=reason.encode()))

    def _watch_queue(self) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        now = self.loop.time()
        late = [each for each in self._queue if each[2] <= now]
        if late:
            self._queue = deque(each for each in self._queue if each[2] > now)
        if self._queue:
            self._sweep = self.loop.call_at(min(each[2] for each in self._queue), self._watch_queue)
        for _, answer, _ in late:
            self.tell(answer, Response(0, body=_LATE))

    def close(self) -> None:
        """Close every connection; requests under way have no answer."""
        if self._sweep is not None:
            self._sweep.cancel()
        for task in tuple(self._tasks):
            task.cancel()
        for connection in tuple(self._open):
            connection.end("closed")
        waiting, self._queue = self._queue, deque()
        for _, answer, _ in waiting:
            self.tell(answer, Response(0, body=b"not sent: closed"))


class PooledPost:
    """A `Post` over the connections of a pool; parameters as in `Host.post`.

    Raises
    ------
    RequestError
    """

    __slots__ = ("_idle", "_timeout", "head")

    def __init__(self, pool: Pool, path: str, headers: Headers, timeout_ns: int) -> None:
        self._idle, self._timeout, self.head = pool.idle, timeout_ns * _NS, pool.head(path, headers)

    def send(self, data: bytes | memoryview, answer: Answer) -> bool:
        """As `Post.send`."""
        if not self._idle:
            return False
        self._idle.pop().hurry(data, answer, self._timeout)
        return True
