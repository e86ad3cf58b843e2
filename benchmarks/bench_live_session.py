"""Frame in, order out: what the live path itself takes, with a session that is real but for the socket.

Times are of the wall clock from the moment a frame's bytes are in hand: until its order's bytes are handed to the
transport, or, for a frame without an order, until the next frame could be taken. Each frame goes through decoding, the
book, ten indicators, the strategy, and each tenth through risk, the order table, the journal, the limiter and the
order's text as well. Several runs, the median of their percentiles: one that is interrupted does not decide.
"""

import functools
import gc
import statistics

from benchmarks.live_session import AlpacaBench, Bench, BinanceBench
from benchmarks.peer import Peer
from benchmarks.registry import benchmark

FRAMES, WARM_UP, RUNS = 6_000, 2_000, 5
KINDS: dict[str, type[Bench]] = {"alpaca": AlpacaBench, "binance": BinanceBench}


def percentile(times: list[int], part: float) -> float:
    """In microseconds."""
    return sorted(times)[min(len(times) - 1, int(len(times) * part))] / 1000


@functools.cache
def measured(venue: str, short: bool = True) -> dict[str, float]:
    """Percentiles of a venue's session, in microseconds; each run is a part of one session."""
    runs: list[dict[str, float]] = []
    with KINDS[venue]() as bench:
        if not short:
            bench.talk.turn = None
        for _ in range(WARM_UP):
            bench.frame()
        gc.collect()
        gc.freeze()
        for _ in range(RUNS):
            plain: list[int] = []
            order: list[int] = []
            for _ in range(FRAMES):
                until_sent, until_done = bench.frame()
                if until_sent:
                    order.append(until_sent)
                else:
                    plain.append(until_done)
            runs.append({
                "plain_p50": percentile(plain, 0.5), "plain_p99": percentile(plain, 0.99),
                "order_p50": percentile(order, 0.5), "order_p99": percentile(order, 0.99),
            })  # fmt: skip
        gc.unfreeze()
        if bench.talk.frames.scanned != WARM_UP + RUNS * FRAMES:
            raise RuntimeError("the kernel left frames to the general path")
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def _declare(name: str, what: str, venue: str, figure: str, reach: str) -> None:
    peer = Peer("the same, a border to cross for each part", lambda: measured(venue, False)[figure])

    @benchmark(name, what, unit="us", peer=peer, reach=reach)
    def run() -> float:
        return measured(venue)[figure]


_ROWS: tuple[tuple[str, str, str, str, str], ...] = (
    ("live_frame_p50", "a frame without an order, to done", "alpaca", "plain_p50", "<= 2"),
    ("live_frame_p99", "a frame without an order, to done, 99th percentile", "alpaca", "plain_p99", "<= 5"),
    ("live_order_p50", "frame in hand to order bytes sent, HTTP (Alpaca)", "alpaca", "order_p50", "<= 2"),
    ("live_order_p99", "frame in hand to order bytes sent, HTTP, 99th percentile", "alpaca", "order_p99", "<= 5"),
    ("live_signed_p50", "frame in hand to signed order bytes sent, WebSocket (Binance)", "binance", "order_p50",
     "<= 6"),
    ("live_signed_p99", "frame in hand to signed order sent, 99th percentile", "binance", "order_p99", "<= 15"),
)  # fmt: skip
for _row in _ROWS:
    _declare(*_row)
