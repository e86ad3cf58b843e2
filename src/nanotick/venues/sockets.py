"""The real host: an event loop, WebSockets by picows, HTTP by httptools, TLS; and the ports that sites are served on.

    host = Sockets()
    port = host.serve(site)                          # 127.0.0.1, a free port
    host.connect(f"ws://127.0.0.1:{port}/ws", user)
    host.run()                                       # until host.stop()

uvloop is used where it is installed (the extra `live`). *Waiting*, the default, sleeps in the system until something
happens. *Spinning* never sleeps: it costs a core and saves the wake-up, and timers come to the microsecond.

All connections run on aiofastnet's transports, which picows depends on: on uvloop's own, picows 2.3.1 sends messages
out of their order when a reader falls behind. aiofastnet in turn may miss a reset that arrives together with the last
data (libuv watches a descriptor in error no more after one call), so open connections are looked at four times a
second.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
import select
import socket
import ssl
import traceback
from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns
from typing import Any

import aiofastnet
from picows import ws_connect

from nanotick.core.clock import UtcClock
from nanotick.core.log import Log, Logger
from nanotick.venues.host import REQUEST_TIMEOUT_NS, Headers, LinkUser, Site
from nanotick.venues.http_client import Pool, PooledPost, RequestError
from nanotick.venues.http_server import QUIET, Serving
from nanotick.venues.tls import client_context, server_context
from nanotick.venues.websocket import MAX_MESSAGE, MAX_WAITING, PING_S, SocketLink
from nanotick.wire.requests import Request, Response

CONNECT_S = 10.0  # name, connection, TLS and handshake together
RESYNC_S = 1.0
HEALTH_S = 0.25
BACKLOG = 1024
_NS = 1e-9


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's event loop where it is installed, else asyncio's."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class SpinTimer:
    """A timer of a spinning host."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Not any more."""
        self.call = None


class Sockets:
    """The `Host` with real sockets.

    Parameters
    ----------
    ca_file : path, optional
        PEM file of one more authority to trust.
    spin : bool
        Never sleep.
    ping_s : float
        Silence after which a link is pinged, and after as much again cut.
    max_message, max_waiting : int
        Bytes of one message, and bytes that may wait for a slow reader before it is cut off.
    log : Log or Logger, optional
        Where errors of callbacks go; standard error if not given.
    loop : AbstractEventLoop, optional
        One that exists already.

    Attributes
    ----------
    errors : int
        Callbacks that raised.
    """

    def __init__(
        self,
        *,
        ca_file: Path | str | None = None,
        spin: bool = False,
        ping_s: float = PING_S,
        max_message: int = MAX_MESSAGE,
        max_waiting: int = MAX_WAITING,
        log: Log | Logger | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.loop = loop or new_loop()
        self.ping_s, self.max_message, self.max_waiting = ping_s, max_message, max_waiting
        self.spin, self.errors = spin, 0
        self.clock = UtcClock()
        self._shift: int | None = None  # of our time to the monotonic clock, while it is constant
        self._random = random.SystemRandom()
        self._context = client_context(ca_file)
        self._log = log
        self._pools: dict[str, Pool] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[Any] = []
        self._open: set[Any] = set()  # links and served connections
        self._due: list[tuple[int, int, SpinTimer]] = []
        self._numbers = itertools.count()
        self._stopping = False
        self._watched: dict[Any, int] = {}  # transports, and how often each was just seen in error
        self._periodic: dict[str, asyncio.TimerHandle] = {}

    # Host

    def now(self) -> int:
        """Nanoseconds UTC; never goes back."""
        shift = self._shift
        if shift is not None:
            return monotonic_ns() + shift
        now = self.clock.now()
        self._shift = self.clock.shift_ns
        return now

    def at(self, when: int, call: Callable[[], None]) -> Any:
        """Call at a time, ns UTC; at the next opportunity if it has passed."""
        if self.spin:
            timer = SpinTimer(call)
            heapq.heappush(self._due, (when, next(self._numbers), timer))
            return timer
        late = when - self.now()
        if late <= 0:
            return self.loop.call_soon(self._guarded, call)
        return self.loop.call_later(late * _NS, self._guarded, call)

    def uniform(self) -> float:
        """A number from 0 to below 1."""
        return self._random.random()

    def connect(self, url: str, user: LinkUser, headers: Headers = ()) -> None:
        """Open a WebSocket; `opened` or `closed` of the user follows, later."""
        self._task(self._connect(url, user, headers))

    def ask(
        self, base: str, request: Request, answer: Callable[[Response], None], timeout_ns: int = REQUEST_TIMEOUT_NS
    ) -> None:
        """Send an HTTP request and hand over the answer, later and once."""
        pool = self._pools.get(base)
        if pool is None:
            try:
                pool = self._pool(base)
            except RequestError as error:
                self.loop.call_soon(self._guarded, answer, Response(0, body=f"not sent: {error}".encode()))
                return
        pool.ask(request, answer, timeout_ns)

    def post(self, base: str, path: str, headers: Headers, timeout_ns: int = REQUEST_TIMEOUT_NS) -> PooledPost | None:
        """As `Host.post`."""
        try:
            return PooledPost(self._pools.get(base) or self._pool(base), path, headers, timeout_ns)
        except (RequestError, UnicodeEncodeError):
            return None

    def _pool(self, base: str) -> Pool:
        pool = self._pools[base] = Pool(self, base, self._context, self._dial)
        return pool

    # serving

    def serve(
        self,
        site: Site,
        port: int = 0,
        address: str = "127.0.0.1",
        certificate: Path | str | None = None,
        key: Path | str | None = None,
    ) -> int:
        """Put a site on a port, for HTTP and WebSockets alike; give the port's number.

        Raises
        ------
        OSError
            The port is taken, or a file cannot be read.
        ssl.SSLError
            Certificate and key do not belong together.
        """
        context: ssl.SSLContext | None = None
        if certificate is not None:
            context = server_context(certificate, key if key is not None else certificate)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((address, port))
            listening.listen(BACKLOG)
            listening.setblocking(False)
        except OSError:
            listening.close()
            raise
        self._task(self._serve(site, listening, context))
        return int(listening.getsockname()[1])

    # running

    def run(self, seconds: float | None = None) -> None:
        """Run until `stop`, or for so long."""
        handle = None if seconds is None else self.loop.call_later(seconds, self.stop)
        self._stopping = False
        self._resync()
        self._look()
        if self.spin:
            self.loop.call_soon(self._turn)
        try:
            self.loop.run_forever()
        finally:
            self._stopping = True
            for timer in self._periodic.values():
                timer.cancel()
            if handle is not None:
                handle.cancel()

    def stop(self) -> None:
        """Let `run` return."""
        self._stopping = True
        self.loop.stop()

    def close(self) -> None:
        """Close every link, connection and port; `closed` of their users is called."""
        if self.loop.is_closed():
            return
        for pool in self._pools.values():
            pool.close()
        for server in self._servers:
            server.close()
        for task in tuple(self._tasks):
            task.cancel()
        for each in tuple(self._open):
            each.close()
        for _ in range(200):
            if not self._open and not self._tasks:
                break
            self.run(0.01)
        for each in tuple(self._open):
            if isinstance(each, SocketLink):
                each.cut()
        self.run(0.01)
        self.loop.close()

    def __enter__(self) -> Sockets:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def broken(self, error: BaseException) -> None:
        """A callback raised: count it and say so; everything else goes on."""
        self.errors += 1
        if self._log is not None:
            self._log.error("callback failed", error=error)
        else:
            traceback.print_exception(error)

    def guard(self, transport: Any) -> None:
        """Watch a connection for resets."""
        self._watched[transport] = 0

    # inside

    async def _connect(self, url: str, user: LinkUser, headers: Headers) -> None:
        link = SocketLink(self, user)
        reason = "closed"
        try:
            making = ws_connect(
                lambda *_: link,
                url,
                ssl_context=self._context,
                logger_name=QUIET,
                websocket_handshake_timeout=CONNECT_S,
                enable_auto_pong=False,
                max_frame_size=self.max_message,
                extra_headers=headers,
                max_redirects=0,
                use_aiofastnet=True,
            )
            self._open.add(link)
            link.gone = lambda: self._open.discard(link)
            await asyncio.wait_for(making, CONNECT_S)
        except TimeoutError:
            reason = f"not connected within {CONNECT_S:g} s"
        except Exception as error:
            reason = f"{error or type(error).__name__}"
        finally:
            if not link.opened:
                link.lost(reason)
            elif reason != "closed":
                link.cut()

    async def _dial(self, *arguments: Any, **options: Any) -> Any:
        return await aiofastnet.create_connection(self.loop, *arguments, **options)

    async def _serve(self, site: Site, listening: socket.socket, context: ssl.SSLContext | None) -> None:
        server = await aiofastnet.create_server(
            self.loop, lambda: Serving(self, site, self._open), sock=listening, ssl=context
        )
        self._servers.append(server)

    def _task(self, work: Any) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.broken(task.exception())  # type: ignore[arg-type]

    def _guarded(self, call: Callable[..., None], *arguments: Any) -> None:
        try:
            call(*arguments)
        except Exception as error:
            self.broken(error)

    def _resync(self) -> None:
        self._periodic["resync"] = self.loop.call_later(RESYNC_S, self._resync)
        self.clock.resync()
        self._shift = None

    def _look(self) -> None:
        self._periodic["look"] = self.loop.call_later(HEALTH_S, self._look)
        if not self._watched:
            return
        poll, numbers = select.poll(), {}
        for transport in tuple(self._watched):
            if transport.is_closing():
                del self._watched[transport]
                continue
            number = transport.get_extra_info("socket").fileno()
            numbers[number] = transport
            poll.register(number, 0)  # errors and hang-ups are always told
        failed = {number for number, _ in poll.poll(0)}
        for number, transport in numbers.items():
            seen = self._watched[transport] = self._watched[transport] + 1 if number in failed else 0
            if seen > 1:  # twice: its turn to notice by itself has passed
                transport.abort()

    def _turn(self) -> None:
        """One turn of a spinning loop."""
        due = self._due
        if due and due[0][0] <= self.now():
            _, _, timer = heapq.heappop(due)
            if timer.call is not None:
                self._guarded(timer.call)
        if not self._stopping:
            self.loop.call_soon(self._turn)
