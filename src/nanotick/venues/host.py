"""What venue code stands on: time, WebSocket links and HTTP requests, without a socket in sight.

Clients and served venues are callbacks over a `Host`. There are two: `venues.sockets` with real sockets and an event
loop, and `venues.virtual` with a virtual clock and a virtual network that loses, delays, repeats and cuts as a seed
says. What is proven over the second is the code that runs over the first.

Rules of the game: callbacks run one at a time and never block; nothing here reads a clock or draws a random number but
through its host; a view handed to a callback is valid until it returns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from nanotick.wire.requests import Request, Response

Headers = tuple[tuple[str, str], ...]
REQUEST_TIMEOUT_NS = 5_000_000_000
TIMER_EARLY_NS = 2_000_000  # uvloop rounds a delay to the nearest and its clock down to a whole millisecond


class Timer(Protocol):
    """Something that will be called."""

    def cancel(self) -> None:
        """Not any more; no error if it has been called."""
        ...


class Link(Protocol):
    """One end of a WebSocket connection."""

    def send(self, data: bytes | bytearray | memoryview, binary: bool = False) -> None:
        """Send one message; taken or copied before this returns. Nothing happens on a link that is closed."""
        ...

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it; `closed` of both users follows, later."""
        ...

    @property
    def waiting(self) -> int:
        """Bytes that the system has not taken yet: the other end reads too slowly."""
        ...


class LinkUser(Protocol):
    """Who uses a link: a client's conversation, or a server's."""

    def opened(self, link: Link) -> None:
        """The connection stands."""
        ...

    def message(self, link: Link, data: bytes | memoryview, now: int) -> None:
        """A whole text or binary message, and when it was received, ns UTC."""
        ...

    def closed(self, link: Link | None, reason: str) -> None:
        """The connection is gone, or (link None) could not be opened. Called once."""
        ...


class Post(Protocol):
    """A request that comes again and again: a POST of which nothing but the body changes.

    Attributes
    ----------
    head : bytes
        What every request begins with, up to the length of its body.
    """

    head: bytes

    def send(self, data: bytes | memoryview, answer: Callable[[Response], None]) -> bool:
        """Send head, length, an empty line and body, as they are to stand on the wire.

        Taken or copied before this returns; the answer is handed over as by `Host.ask`, later and once. False if no
        connection is free: nothing has been done then.
        """
        ...


class Host(Protocol):
    """Time and network."""

    def now(self) -> int:
        """Nanoseconds UTC; never goes back."""
        ...

    def at(self, when: int, call: Callable[[], None]) -> Timer:
        """Call at a time, ns UTC; at the next opportunity if it has passed.

        A loop that counts whole milliseconds may be up to `TIMER_EARLY_NS` before the time.
        """
        ...

    def uniform(self) -> float:
        """A number from 0 to below 1, for jitter."""
        ...

    def connect(self, url: str, user: LinkUser, headers: Headers = ()) -> None:
        """Open a WebSocket; `opened` or `closed` of the user follows, later."""
        ...

    def ask(
        self, base: str, request: Request, answer: Callable[[Response], None], timeout_ns: int = REQUEST_TIMEOUT_NS
    ) -> None:
        """Send an HTTP request to `base` (scheme, host and port) and hand over the answer, later and once.

        No answer in time, or a connection that is lost before the whole answer is here, is `Response(0)`; the reason
        stands in its body. Nothing is sent a second time.
        """
        ...

    def post(self, base: str, path: str, headers: Headers, timeout_ns: int = REQUEST_TIMEOUT_NS) -> Post | None:
        """A request to be sent often; None where `ask` would have nobody to send it to."""
        ...


class AskedPost:
    """A `Post` of a host that has nothing shorter than `ask`."""

    __slots__ = ("_arguments", "_host", "head")

    def __init__(self, host: Host, base: str, path: str, headers: Headers, timeout_ns: int) -> None:
        self._host, self._arguments = host, (base, path, headers, timeout_ns)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        self.head = f"POST {path} HTTP/1.1\r\n{lines}Content-Length: ".encode()

    def send(self, data: bytes | memoryview, answer: Callable[[Response], None]) -> bool:
        """As `Post.send`."""
        base, path, headers, timeout_ns = self._arguments
        body = bytes(data).partition(b"\r\n\r\n")[2]
        self._host.ask(base, Request("POST", path, headers, body), answer, timeout_ns)
        return True


class Site(Protocol):
    """What a served venue puts on a port."""

    def request(self, request: Request, peer: str, answer: Callable[[Response], None]) -> None:
        """Answer an HTTP request, at once or later; `peer` names the other machine."""
        ...

    def upgrade(self, path: str, headers: Headers, peer: str) -> LinkUser | Response:
        """Who talks to a WebSocket that is being opened (path with query), or why it is refused."""
        ...
