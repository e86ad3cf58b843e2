"""Tick to order over loopback: a served venue sends a frame, our session answers with an order, the venue has it.

Both ends are processes of their own on sockets of their own; the time is taken by the venue, from sending the frame to
having the order, and so holds the network, the system and the venue's own reading besides the decision. The peer is
picows alone at both ends, in the same mode and with the same pause between two turns, which sends what it gets straight
back: it reads nothing and decides nothing. The pause matters: a process that has slept for it wakes up far more slowly
than one that is woken all the time.
"""

import asyncio
import functools
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.bench_live import _certificate
from benchmarks.live_server import BEGIN, spin
from benchmarks.live_session import AlpacaBench, Bench, BinanceBench
from benchmarks.peer import REPOSITORY, Peer
from benchmarks.registry import benchmark
from nanotick.venues.feed import Conversation
from nanotick.venues.host import Link
from nanotick.venues.sockets import Sockets, new_loop
from nanotick.venues.tls import client_context

ORDERS, WARM_UP, RUNS = 2_000, 500, 3


class _Market:
    """The market data connection: the feed's conversation, and the reports that settle what was sent."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.seen = 0

    def opened(self, link: Link) -> None:
        self.bench.talk.link = link
        strategy = self.bench.local.selves[0]
        strategy["each"] = 1 << 40  # no orders before every indicator has its values
        for _ in range(BEGIN - 1):
            self.bench.frame()
        strategy["each"] = 1
        link.send(b"go")

    def message(self, link: Link, data: bytes | memoryview, now: int) -> None:
        self.bench.talk.message(link, data, now)
        self.bench.cancel()

    def closed(self, link: Link | None, reason: str) -> None:
        pass


class _Orders:
    def __init__(self, talk: Conversation) -> None:
        self.talk = talk

    def opened(self, link: Link) -> None:
        self.talk.link = link

    def message(self, link: Link, data: bytes | memoryview, now: int) -> None:
        pass

    def closed(self, link: Link | None, reason: str) -> None:
        pass


@contextmanager
def _venue(settings: dict[str, Any], secure: bool) -> Iterator[tuple[int, Any, str | None]]:
    """A `live_server` that sends `count` frames: its port, what it prints, and the certificate it shows."""
    with _certificate(secure) as files:
        command = [sys.executable, "-m", "benchmarks.live_server", json.dumps({**settings, **files})]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, cwd=REPOSITORY, **pipes) as venue:
            assert venue.stdin is not None and venue.stdout is not None
            try:
                yield int(venue.stdout.readline()), venue.stdout, files.get("certificate")
            finally:
                venue.stdin.close()
                venue.wait(10)


def _times(http: bool, spinning: bool, secure: bool) -> list[int]:
    """ns from frame to order at the venue."""
    settings = {"work": "ticks", "count": WARM_UP + ORDERS, "http": http, "spin": spinning}
    with _venue(settings, secure) as (port, output, file), Sockets(spin=spinning, ca_file=file) as host:
        return _answered(http, host, port, secure, output)


def _bare_times(spinning: bool, secure: bool) -> list[int]:
    """ns from a message of picows alone to its echo."""
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

    class Echo(WSListener):  # type: ignore[misc]
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type == WSMsgType.CLOSE:
                transport.disconnect()
            else:
                transport.send(frame.msg_type, frame.get_payload_as_bytes())

    found: list[list[int]] = []
    with _venue({"work": "bare", "count": WARM_UP + ORDERS, "spin": spinning}, secure) as (port, output, file):
        loop = new_loop()
        asyncio.set_event_loop(loop)

        def told() -> None:
            found.append(json.loads(output.readline()))
            loop.remove_reader(output)
            loop.stop()

        loop.add_reader(output, told)
        url, context = f"{'wss' if secure else 'ws'}://localhost:{port}/", client_context(file) if secure else None
        made = loop.create_task(ws_connect(lambda *_: Echo(), url, ssl_context=context))
        if spinning:
            spin(loop)
        loop.call_later(60, loop.stop)
        loop.run_forever()
        made.result()[0].disconnect()
        loop.close()
        asyncio.set_event_loop(None)
    if not found:
        raise RuntimeError("not every message was sent back")
    return found[0][WARM_UP:]


@functools.cache
def _echo(spinning: bool, secure: bool) -> float:
    """Median microseconds of picows alone, the median of several runs."""
    return statistics.median(statistics.median(_bare_times(spinning, secure)) for _ in range(RUNS)) / 1000


def _answered(http: bool, host: Sockets, port: int, secure: bool, output: Any) -> list[int]:
    kind = AlpacaBench if http else BinanceBench
    web, plain = ("wss", "https") if secure else ("ws", "http")
    with kind(host=host, rest=f"{plain}://localhost:{port}") as bench:
        found: list[list[int]] = []

        def told() -> None:
            found.append(json.loads(output.readline()))
            host.loop.remove_reader(output)
            host.stop()

        host.loop.add_reader(output, told)
        if not http:
            host.connect(f"{web}://localhost:{port}/orders", _Orders(bench.trader.stream.current))  # type: ignore[attr-defined]
            for _ in range(200):  # one connection after the other: an order needs its own
                if bench.trader.stream.current.link is not bench.wire:  # type: ignore[attr-defined]
                    break
                host.run(0.05)
        host.connect(f"{web}://localhost:{port}/market", _Market(bench))
        host.run(60)
    if not found:
        raise RuntimeError("not every frame had its order")
    return found[0][WARM_UP:]


@functools.cache
def tick(http: bool, spinning: bool, secure: bool) -> dict[str, float]:
    """Percentiles in microseconds, each the median of several runs."""
    runs = [sorted(_times(http, spinning, secure)) for _ in range(RUNS)]
    return {
        name: statistics.median(times[int(len(times) * part)] for times in runs) / 1000
        for name, part in (("p50", 0.5), ("p99", 0.99))
    }


def _declare(name: str, what: str, http: bool, spinning: bool, secure: bool, reach: str | None, part: str) -> None:
    peer = Peer("picows alone, same turns", lambda: _echo(spinning, secure)) if part == "p50" else None

    @benchmark(name, what, unit="us", peer=peer, reach=reach)
    def run() -> float:
        return tick(http, spinning, secure)[part]


_WS, _HTTP = "frame to signed order at the venue, WebSocket", "frame to order at the venue, HTTP"
for _row in (
    ("live_tick_wait", f"{_WS}, waiting", False, False, False, "<= 1.25x", "p50"),
    ("live_tick_wait_p99", f"{_WS}, waiting, 99th percentile", False, False, False, None, "p99"),
    ("live_tick_spin", f"{_WS}, spinning", False, True, False, "<= 15", "p50"),
    ("live_tick_spin_p99", f"{_WS}, spinning, 99th percentile", False, True, False, "<= 30", "p99"),
    ("live_tick_tls", f"{_WS}, TLS, waiting", False, False, True, None, "p50"),
    ("live_tick_tls_spin", f"{_WS}, TLS, spinning", False, True, True, None, "p50"),
    ("live_tick_http", f"{_HTTP}, waiting", True, False, False, None, "p50"),
):
    _declare(*_row)
