"""Orders into a served Alpaca and back: what a venue in a process of its own answers, over loopback sockets.

The venue runs as `nanotick venue serve alpaca` would, on its core; this process is the client, on the other: plain
sockets that send a prepared order and wait for the answer, several connections side by side. Wall clock, because both
sides and the system between them are what is measured; beside it the venue's own processor time an order, which a busy
machine disturbs less.
"""

import json
import os
import selectors
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.registry import benchmark
from benchmarks.timing import median_cpu_seconds
from nanotick.venues.desk import Desk
from nanotick.venues.desk_accounts import DeskAccount
from nanotick.venues.desk_terms import Account, ClientRule, Money, VenueTerms
from nanotick.wire.requests import Entry

CONNECTIONS = 8
SECONDS = 3.0
RUNS = 3
_HEAD = (
    "POST /v2/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nAPCA-API-KEY-ID: nanotick-key\r\n"
    "APCA-API-SECRET-KEY: nanotick-secret\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
)
_BODY = (
    '{{"symbol":"AAPL","qty":"1","side":"buy","type":"limit","time_in_force":"ioc","limit_price":"100.00",'
    '"client_order_id":"{ident}"}}'
)


@contextmanager
def served() -> Iterator[tuple[int, int]]:
    """A venue in a process of its own; gives its port and process number."""
    command = [
        sys.executable, "-m", "nanotick", "venue", "serve", "alpaca", "--symbols", "AAPL", "--port", "0", "--no-limits",
        "--json",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as venue:
        assert venue.stdout is not None
        try:
            text = ""
            while not text.rstrip().endswith("]\n") and not text.endswith("\n]\n"):
                line = venue.stdout.readline()
                if not line:
                    raise RuntimeError("the venue did not start")
                text += line
            yield int(json.loads(text)[0]["port"]), venue.pid
        finally:
            venue.terminate()
            venue.wait(30)


def _order(number: int) -> bytes:
    body = _BODY.format(ident=f"bench-{time.monotonic_ns()}-{number}")
    return (_HEAD.format(size=len(body)) + body).encode()


def round_trips(port: int, seconds: float = SECONDS, connections: int = CONNECTIONS) -> tuple[float, float]:
    """Orders answered a second, and the median round trip in microseconds."""
    chooser = selectors.DefaultSelector()
    sent: dict[socket.socket, float] = {}
    done, times = 0, []
    for n in range(connections):
        link = socket.create_connection(("127.0.0.1", port))
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        chooser.register(link, selectors.EVENT_READ, link)
        sent[link] = time.perf_counter()
        link.sendall(_order(-n))
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        for ready, _ in chooser.select(1.0):
            link = ready.data
            answer = link.recv(1 << 16)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"expected an order taken, found {answer[:300]!r}")
            now = time.perf_counter()
            times.append(now - sent[link])
            done += 1
            sent[link] = now
            link.sendall(_order(done))
    elapsed = time.perf_counter() - start
    for link in sent:
        link.close()
    return done / elapsed, statistics.median(times) * 1e6


@benchmark(
    "served_alpaca_orders", "orders answered by a served Alpaca over loopback", unit="orders/s", reach=">= 10000"
)
def served_alpaca_orders() -> float:
    """Eight connections, each with one order on its way: taken, worked by the exchange, answered."""
    with served() as (port, _):
        round_trips(port, 1.0)
        return statistics.median(round_trips(port)[0] for _ in range(RUNS))


def _processor_seconds(process: int) -> float:
    """Processor time of another process so far (Linux)."""
    with open(f"/proc/{process}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@benchmark(
    "served_alpaca_cpu", "processor time of a served Alpaca for one order, sockets included", unit="us", reach="<= 100"
)
def served_alpaca_cpu() -> float:
    """User and system time of the venue's process over all orders of a run, the median of three."""
    found = []
    with served() as (port, process):
        round_trips(port, 1.0)
        for _ in range(RUNS):
            start = _processor_seconds(process)
            orders = round_trips(port)[0] * SECONDS
            found.append((_processor_seconds(process) - start) / orders * 1e6)
    return statistics.median(found)


class _Moment:
    """A host whose time stands still, so that nothing but orders is measured."""

    def now(self) -> int:
        return 1_790_000_000_000_000_000

    def at(self, when: int, call: object) -> "_Moment":
        return self

    def cancel(self) -> None:
        pass


@benchmark("desk_enter", "an order entered at a desk and resting in its exchange", unit="us", reach="<= 30")
def desk_enter() -> float:
    """Text to integers, money, the exchange, reports and texts again; process time, the median of five."""
    count = 5_000
    terms = VenueTerms(money=Money.MARGIN, client_ids=ClientRule.EVER, fees=False)

    def prepare() -> tuple[Desk, DeskAccount]:
        account = Account("key", "secret", balances={"USD": "100000000"})
        desk = Desk(_Moment(), "us-equities", accounts=[account], terms=terms, symbols=("AAPL",))  # type: ignore[arg-type]
        desk.start()
        return desk, desk.accounts["key"]

    def run(state: tuple[Desk, DeskAccount]) -> None:
        desk, account = state
        for n in range(count):
            desk.enter(account, Entry("AAPL", f"order-{n}", 1, "1", "100.25", tif=1))

    return median_cpu_seconds(run, prepare) / count * 1e6


@benchmark("served_alpaca_round_trip", "one order and its answer, served Alpaca over loopback", unit="us")
def served_alpaca_round_trip() -> float:
    """One connection, the median."""
    with served() as (port, _):
        round_trips(port, 1.0, 1)
        return statistics.median(round_trips(port, connections=1)[1] for _ in range(RUNS))
