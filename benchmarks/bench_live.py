"""The network as venue code has it: round trips, throughput and orders a second over loopback, two processes.

A round trip is wall time, the median of each of five runs' medians: what counts is when the answer is there, and a
process that sleeps uses no processor. The peer of a round trip is picows alone at both ends, in the same mode, which
neither reads what the message says nor makes whole messages of fragments; ours reads every echo to a record.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.live_server import QUOTE, spin
from benchmarks.peer import REPOSITORY, Peer, PeerUnavailable
from benchmarks.registry import benchmark
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.venues.host import Link
from nanotick.venues.sockets import Sockets, new_loop
from nanotick.venues.tls import client_context
from nanotick.wire.live_frames import LiveFrames
from nanotick.wire.requests import Request, Response

RUNS = 5
ROUND_TRIPS, WARM_UP = 2_000, 200
MESSAGES = 200_000
PACED, PACE = 300_000, 100_000  # messages, and messages a second
POSTS, AT_ONCE = 10_000, 4
_TABLE = InstrumentTable([Instrument("MSFT", "POLYGON", 4, 0)])
_ORDER = json.dumps({"symbol": "MSFT", "qty": "100", "side": "buy", "type": "limit", "time_in_force": "day",
                     "limit_price": "114.12", "client_order_id": "n0000070000000001f"}).encode()  # fmt: skip
_HEADERS = (("APCA-API-KEY-ID", "x" * 20), ("APCA-API-SECRET-KEY", "y" * 40), ("Content-Type", "application/json"))


@contextmanager
def _server(**settings: Any) -> Iterator[int]:
    """A `live_server` process; its port."""
    command = [sys.executable, "-m", "benchmarks.live_server", json.dumps(settings)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(10)


@contextmanager
def _certificate(wanted: bool) -> Iterator[dict[str, str]]:
    """Settings of a server with a certificate for this machine, made for the run."""
    if not wanted:
        yield {}
        return
    with tempfile.TemporaryDirectory() as directory:
        certificate, key = Path(directory) / "certificate.pem", Path(directory) / "key.pem"
        made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                "-keyout", str(key), "-out", str(certificate)]  # fmt: skip
        subprocess.run(made, check=True, capture_output=True)
        yield {"certificate": str(certificate), "key": str(key)}


class _PingPong:
    """Sends a quote, reads it to a record when it comes back, and sends it again."""

    def __init__(self, host: Sockets) -> None:
        self.host, self.frames, self.times = host, LiveFrames(_TABLE, "POLYGON", "polygon"), []
        self.data = QUOTE % 50_385_480
        self.sent = 0

    times: list[int]

    def opened(self, link: Link) -> None:
        self.sent = time.perf_counter_ns()
        link.send(self.data)

    def message(self, link: Link, data: bytes | memoryview, now: int) -> None:
        if self.frames.read(data, now) != 1:
            raise RuntimeError("the echo is no quote")
        self.times.append(time.perf_counter_ns() - self.sent)
        if len(self.times) < WARM_UP + ROUND_TRIPS:
            self.sent = time.perf_counter_ns()
            link.send(self.data)
        else:
            self.host.stop()

    def closed(self, link: Link | None, reason: str) -> None:
        self.host.stop()


def _median_us(times: list[int]) -> float:
    if len(times) != WARM_UP + ROUND_TRIPS:
        raise RuntimeError(f"{len(times)} of {WARM_UP + ROUND_TRIPS} round trips")
    return statistics.median(times[WARM_UP:]) / 1000


def _ours(spinning: bool, secure: bool) -> float:
    """Microseconds of a round trip between two of our hosts."""
    medians = []
    with _certificate(secure) as files, _server(work="echo", spin=spinning, **files) as port:
        for _ in range(RUNS):
            with Sockets(spin=spinning, ca_file=files.get("certificate")) as host:
                user = _PingPong(host)
                host.connect(f"{'wss' if secure else 'ws'}://localhost:{port}/", user)
                host.run(120)
                medians.append(_median_us(user.times))
    return statistics.median(medians)


def _bare(spinning: bool, secure: bool) -> float:
    """Microseconds of a round trip between two programs that are picows and nothing else."""
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

    data = QUOTE % 50_385_480

    class Listener(WSListener):  # type: ignore[misc]
        def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
            self.loop, self.sent = loop, 0
            self.times: list[int] = []

        def on_ws_connected(self, transport: WSTransport) -> None:
            self.sent = time.perf_counter_ns()
            transport.send(WSMsgType.TEXT, data)

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            self.times.append(time.perf_counter_ns() - self.sent)
            if len(self.times) < WARM_UP + ROUND_TRIPS:
                self.sent = time.perf_counter_ns()
                transport.send(WSMsgType.TEXT, data)
            else:
                transport.disconnect()
                self.loop.stop()

    medians = []
    with _certificate(secure) as files, _server(work="bare", spin=spinning, **files) as port:
        for _ in range(RUNS):
            loop = new_loop()
            asyncio.set_event_loop(loop)
            listener = Listener(loop)
            url = f"{'wss' if secure else 'ws'}://localhost:{port}/"
            context = client_context(files["certificate"]) if secure else None
            made = loop.create_task(ws_connect(lambda *_, made=listener: made, url, ssl_context=context))
            if spinning:
                spin(loop)
            loop.run_forever()
            made.result()
            loop.close()
            asyncio.set_event_loop(None)
            medians.append(_median_us(listener.times))
    return statistics.median(medians)


def _declare(name: str, what: str, spinning: bool, secure: bool) -> None:
    @benchmark(
        name,
        f"WebSocket round trip, {what}, each echo read to a QUOTE",
        unit="us",
        peer=Peer("picows alone at both ends", lambda: _bare(spinning, secure)),
        reach="<= 1.3x",
    )
    def round_trip() -> float:
        return _ours(spinning, secure)


_declare("live_echo_wait", "waiting", False, False)
_declare("live_echo_spin", "spinning", True, False)
_declare("live_echo_tls", "TLS, waiting", False, True)
_declare("live_echo_tls_spin", "TLS, spinning", True, True)


class _Reader:
    """Reads a stream of quotes, each holding its time of sending, and counts what is wrong."""

    def __init__(self, host: Sockets, count: int) -> None:
        self.host, self.count, self.frames = host, count, LiveFrames(_TABLE, "POLYGON", "polygon")
        self.lags: list[int] = []
        self.got = self.began = self.ended = self.cpu = 0
        self._latest = 0

    def opened(self, link: Link) -> None:
        self.began, self.cpu = time.perf_counter_ns(), time.process_time_ns()

    def message(self, link: Link, data: bytes | memoryview, now: int) -> None:
        if self.frames.read(data, now) != 1:
            raise RuntimeError("no quote")
        stamp = int(self.frames.events["seq"][0]) if self.got % 100 == 0 else self._latest
        if stamp < self._latest:
            raise RuntimeError("out of order")
        if self.got % 100 == 0:
            self.lags.append(time.time_ns() - stamp * 1000)
        self._latest = stamp
        self.got += 1
        if self.got == self.count:
            self.ended, self.cpu = time.perf_counter_ns(), time.process_time_ns() - self.cpu
            self.host.stop()

    def closed(self, link: Link | None, reason: str) -> None:
        self.host.stop()


def _stream(count: int, pace: int = 0) -> _Reader:
    with _server(work="stream", count=count, rate=pace) as port, Sockets() as host:
        reader = _Reader(host, count)
        host.connect(f"ws://127.0.0.1:{port}/", reader)
        host.run(120)
    if reader.got != count:
        raise RuntimeError(f"{reader.got:,} of {count:,} messages")
    if reader.frames.scanned != count:
        raise RuntimeError("the kernel left frames to the general path")
    return reader


@benchmark(
    "live_stream", "quotes over one WebSocket, one a message, read to records", unit="messages/s", reach=">= 100000"
)
def live_stream() -> float:
    """Messages a second from one process to another, none lost and all in order; median of five."""
    rates = []
    for _ in range(RUNS):
        reader = _stream(MESSAGES)
        rates.append(MESSAGES / (reader.ended - reader.began) * 1e9)
    return statistics.median(rates)


@benchmark("live_stream_cpu", "reader's processor time for a quote of a stream", unit="us", reach="<= 5")
def live_stream_cpu() -> float:
    """From the socket to a record in place, system calls included; median of five."""
    return statistics.median(_stream(MESSAGES).cpu / MESSAGES / 1000 for _ in range(RUNS))


@benchmark("live_stream_lag", "lag at 100,000 quotes/s, 99th percentile of the last second", unit="ms", reach="<= 50")
def live_stream_lag() -> float:
    """From sending to a record in place, at the end of three seconds: a lag that grew would show; median of five."""
    lags = []
    for _ in range(RUNS):
        reader = _stream(PACED, PACE)
        last = sorted(reader.lags[-len(reader.lags) // 3 :])
        lags.append(last[len(last) * 99 // 100] / 1e6)
    return statistics.median(lags)


def _posts(port: int, at_once: int) -> tuple[float, float]:
    """POSTs a second of wall time, and processor microseconds of each in the client."""
    with Sockets() as host:
        base, request = f"http://127.0.0.1:{port}", Request("POST", "/v2/orders", _HEADERS, _ORDER)
        left = [0]
        bad: list[Response] = []

        def answered(response: Response) -> None:
            if response.status != 200:
                bad.append(response)
            left[0] -= 1
            if left[0] >= at_once:
                host.ask(base, request, answered)
            elif left[0] == 0:
                host.stop()

        def go(count: int) -> None:
            left[0] = count
            for _ in range(at_once):
                host.ask(base, request, answered)
            host.run(120)

        go(1000)
        begin, cpu = time.perf_counter(), time.process_time()
        go(POSTS)
        seconds, used = time.perf_counter() - begin, time.process_time() - cpu
    if bad or left[0]:
        raise RuntimeError(f"{left[0]} requests without an answer, {bad[:1]}")
    return POSTS / seconds, used / POSTS * 1e6


@benchmark("live_http", "order POSTs answered by a served site, four connections", unit="requests/s", reach=">= 10000")
def live_http() -> float:
    """Round trips a second, client and server a process each; median of five."""
    with _server(work="http") as port:
        return statistics.median(_posts(port, AT_ONCE)[0] for _ in range(RUNS))


@benchmark("live_http_one", "order POST to its answer, one at a time", unit="us", reach="<= 150")
def live_http_one() -> float:
    """Microseconds of wall time; median of five."""
    with _server(work="http") as port:
        return 1e6 / statistics.median(_posts(port, 1)[0] for _ in range(RUNS))


def _aiohttp() -> float:
    """Processor microseconds of a POST by aiohttp's client, against our server."""
    try:
        import aiohttp
    except ImportError:
        raise PeerUnavailable("aiohttp is not installed beside nanotick") from None

    async def go(port: int) -> float:
        async with aiohttp.ClientSession() as session:
            gate = asyncio.Semaphore(AT_ONCE)

            async def one() -> None:
                async with (
                    gate,
                    session.post(f"http://127.0.0.1:{port}/v2/orders", data=_ORDER, headers=dict(_HEADERS)) as answer,
                ):
                    await answer.read()

            await asyncio.gather(*(one() for _ in range(1000)))
            cpu = time.process_time()
            await asyncio.gather(*(one() for _ in range(POSTS // 4)))
            return (time.process_time() - cpu) / (POSTS // 4) * 1e6

    values = []
    with _server(work="http") as port:
        for _ in range(RUNS):
            loop = new_loop()
            values.append(loop.run_until_complete(go(port)))
            loop.close()
    return statistics.median(values)


@benchmark(
    "live_http_cpu", "processor time of the client for a POST", unit="us", peer=Peer("aiohttp", _aiohttp), reach="<= 40"
)
def live_http_cpu() -> float:
    """Microseconds of processor time, encoding and parsing included; median of five."""
    with _server(work="http") as port:
        return statistics.median(_posts(port, AT_ONCE)[1] for _ in range(RUNS))
