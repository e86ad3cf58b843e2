"""The other end of `bench_live`, in a process of its own: prints its port, ends when its standard input closes.

    python -m benchmarks.live_server '{"work": "echo", "spin": false}'

Works: `ticks` (a market data frame, the next one when its order has come; prints the times, ns),
`echo` (our host), `bare` (picows alone; with a `count`: it sends, gets its message back, pauses),
`stream` (messages as fast as they are taken, or
`rate` a second; each holds the time when it was sent, in microseconds), `http` (an order's answer for each POST).
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from nanotick.venues.host import Headers, Link, LinkUser
from nanotick.venues.sockets import Sockets, new_loop
from nanotick.wire.requests import Request, Response

QUOTE = (
    b'[{"ev":"Q","sym":"MSFT","bx":4,"bp":114.125,"bs":100,"ax":7,"ap":114.128,"as":160,"c":0,"i":[604],'
    b'"t":1536036818784,"q":%d,"z":3}]'
)
ORDER_ANSWER = json.dumps(
    {"id": "904837e3-3b76-47ec-b432-046db621571b", "client_order_id": "n0000070000000001f", "symbol": "MSFT",
     "qty": "100", "filled_qty": "0", "side": "buy", "type": "limit", "limit_price": "114.12", "time_in_force": "day",
     "status": "new", "submitted_at": "2026-01-02T15:30:00.123456789Z"}
).encode()  # fmt: skip
_BATCH = 256
PAUSE_NS = 2_000_000  # uvloop has timers of whole milliseconds: a shorter one would be none
BEGIN = 1_000  # number of the first frame of `ticks`: the other end has had those before it
_MOST_WAITING = 1 << 20


class Echo:
    """Sends back what it gets."""

    def opened(self, link: Link) -> None:
        pass

    def message(self, link: Link, data: bytes | memoryview, now: int) -> None:
        link.send(data)

    def closed(self, link: Link | None, reason: str) -> None:
        pass


class _Stream:
    """The connection below a link, for frames that are written already."""

    def __init__(self, link: Any) -> None:
        self._link = link
        self.write = link._transport.underlying_transport.write

    @property
    def waiting(self) -> int:
        return int(self._link.waiting)


def _frame(data: bytes) -> bytes:
    """A text message of 126 to 65,535 bytes as a server sends it (RFC 6455, section 5.2)."""
    return b"\x81\x7e" + len(data).to_bytes(2, "big") + data


class Stream:
    """Sends `count` messages, those that are due at once in one write: each write is a system call of its own."""

    def __init__(self, host: Sockets, count: int, rate: int) -> None:
        self.host, self.count, self.rate = host, count, rate
        self.sent = self.began = 0

    def opened(self, link: Link) -> None:
        self.link, self.began = _Stream(link), time.time_ns()
        self.turn()

    def turn(self) -> None:
        now, link = time.time_ns(), self.link
        due = (now - self.began) * self.rate // 10**9 if self.rate else self.sent + _BATCH
        while self.sent < min(due, self.count) and link.waiting < _MOST_WAITING:
            count = min(due - self.sent, self.count - self.sent, _BATCH)
            link.write(b"".join(_frame(QUOTE % (time.time_ns() // 1000)) for _ in range(count)))
            self.sent += count
        if self.sent < self.count:
            self.host.at(now + 1_000_000 if self.rate else now, self.turn)

    def message(self, link: Link, data: bytes | memoryview, now: int) -> None:
        pass

    def closed(self, link: Link | None, reason: str) -> None:
        pass


class Ticks:
    """Sends a frame, waits for its order, sends the next; on standard output the times between, when all are done."""

    def __init__(self, host: Sockets, count: int, text: Callable[[int], bytes]) -> None:
        self.host = host
        self.count, self.text, self.link = count, text, None
        self.times: list[int] = []
        self.sent, self.number = 0, BEGIN

    link: Link | None

    def opened(self, link: Link) -> None:
        self.link = link

    def message(self, link: Link, data: bytes | memoryview, now: int) -> None:
        self.send()  # the other end is ready

    def send(self) -> None:
        assert self.link is not None
        data = self.text(self.number)
        self.number += 1
        self.sent = time.perf_counter_ns()
        self.link.send(data)

    def ordered(self) -> None:
        """An order has come."""
        self.times.append(time.perf_counter_ns() - self.sent)
        if len(self.times) < self.count:
            self.host.at(self.host.now() + PAUSE_NS, self.send)  # the other end does its books meanwhile
        elif len(self.times) == self.count:
            print(json.dumps(self.times), flush=True)

    def closed(self, link: Link | None, reason: str) -> None:
        pass


class Orders:
    """The connection that orders come over."""

    def __init__(self, ticks: Ticks) -> None:
        self.ticks = ticks

    def opened(self, link: Link) -> None:
        pass

    def message(self, link: Link, data: bytes | memoryview, now: int) -> None:
        self.ticks.ordered()

    def closed(self, link: Link | None, reason: str) -> None:
        pass


class Venue:
    """A site for all works."""

    def __init__(self, host: Sockets, settings: dict[str, Any]) -> None:
        self.host, self.settings = host, settings
        if settings["work"] == "ticks":
            from benchmarks.live_session import coin_quote, stock_quote

            self.ticks = Ticks(host, settings["count"], stock_quote if settings["http"] else coin_quote)

    def request(self, request: Request, peer: str, answer: Any) -> None:
        if self.settings["work"] == "ticks":
            self.host.at(0, self.ticks.ordered)
        answer(Response(200, (("Content-Type", "application/json"),), ORDER_ANSWER))

    def upgrade(self, path: str, headers: Headers, peer: str) -> LinkUser | Response:
        if self.settings["work"] == "stream":
            return Stream(self.host, self.settings["count"], self.settings.get("rate", 0))
        if self.settings["work"] == "ticks":
            return Orders(self.ticks) if path == "/orders" else self.ticks
        return Echo()


def serve(settings: dict[str, Any]) -> None:
    with Sockets(spin=settings.get("spin", False)) as host:
        port = host.serve(Venue(host, settings), certificate=settings.get("certificate"), key=settings.get("key"))
        print(port, flush=True)
        host.loop.add_reader(0, host.stop)
        host.run()


def serve_bare(settings: dict[str, Any]) -> None:
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

    class Listener(WSListener):  # type: ignore[misc]
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type == WSMsgType.CLOSE:
                transport.disconnect()
            else:
                transport.send(frame.msg_type, frame.get_payload_as_bytes())

    class BareTicks(WSListener):  # type: ignore[misc]
        def on_ws_connected(self, transport: WSTransport) -> None:
            self.transport = transport
            self.times: list[int] = []
            self.send()

        def send(self) -> None:
            self.sent = time.perf_counter_ns()
            self.transport.send(WSMsgType.TEXT, data)

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type == WSMsgType.CLOSE:
                transport.disconnect()
                return
            self.times.append(time.perf_counter_ns() - self.sent)
            if len(self.times) == settings["count"]:
                print(json.dumps(self.times), flush=True)
            elif settings.get("spin"):
                self.until = self.sent + PAUSE_NS
                self.wait()
            else:
                loop.call_later(PAUSE_NS / 1e9, self.send)

        def wait(self) -> None:
            if time.perf_counter_ns() < self.until:
                loop.call_soon(self.wait)
            else:
                self.send()

    data = QUOTE % 50_385_480
    kind = BareTicks if settings.get("count") else Listener
    loop = new_loop()
    asyncio.set_event_loop(loop)
    context = None
    if settings.get("certificate"):
        from nanotick.venues.tls import server_context

        context = server_context(settings["certificate"], settings["key"])
    server = loop.run_until_complete(ws_create_server(lambda request: kind(), "127.0.0.1", 0, ssl=context))
    print(server.sockets[0].getsockname()[1], flush=True)
    loop.add_reader(0, loop.stop)
    if settings.get("spin"):
        spin(loop)
    loop.run_forever()


def spin(loop: asyncio.AbstractEventLoop) -> None:
    """Never let a loop sleep."""

    def turn() -> None:
        loop.call_soon(turn)

    turn()


if __name__ == "__main__":
    wanted = json.loads(sys.argv[1])
    (serve_bare if wanted["work"] == "bare" else serve)(wanted)
