"""How long a kill takes, from the decision until the gateway has every cancel."""

import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.registry import benchmark
from nanotick.core.arena import Arena
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import EVENT, KillReason, Kind, OrderType, TimeInForce, adopted_flags
from nanotick.engine.kill import KillSwitch
from nanotick.engine.local import Capacity, LocalSide, StrategySetup
from nanotick.engine.session import Session
from nanotick.risk.limits import RiskLimits
from nanotick.strategies import built_in

ORDERS, KILLS = 1_000, 300
_SMALL = Capacity(book_orders=1 << 12, book_levels=1 << 12, orders=1 << 17, output=1 << 15, arena_bytes=4 << 30)


class _Clocked:
    """A gateway that counts what it is given and notes when it had it."""

    def __init__(self) -> None:
        self.cancels, self.done_ns = 0, 0

    def send(self, commands_address: int, count: int) -> None:
        self.cancels += count
        self.done_ns = time.perf_counter_ns()


def _orders(first: int, now: int) -> np.ndarray:
    rows = np.zeros(ORDERS, EVENT)
    rows["kind"], rows["qty"], rows["side"] = int(Kind.ADOPTED), 1, 1
    rows["id"] = np.arange(first, first + ORDERS)
    rows["price"] = 9_000 - np.arange(ORDERS) % 500
    rows["flags"] = adopted_flags(OrderType.LIMIT, TimeInForce.GTC)
    rows["ts_venue"] = rows["ts_recv"] = now
    return rows


def _gone(ids: np.ndarray, now: int) -> np.ndarray:
    rows = np.zeros(len(ids), EVENT)
    rows["kind"], rows["id"], rows["qty"] = int(Kind.CANCELLED), ids, 1
    rows["ts_venue"] = rows["ts_recv"] = now
    return rows


@benchmark("kill_switch_p99", "decision until 1,000 cancels are with the gateway, journaled", unit="ms", reach="<= 10")
def kill_switch_p99() -> float:
    """Three hundred kills of a journaled session with a thousand open orders; wall time."""
    directory = Path(tempfile.mkdtemp(prefix="nanotick-bench-"))
    table = InstrumentTable([Instrument("ABC", "XNAS")])
    setups = [StrategySetup(built_in("imbalance")(), cash=10**12)]
    local = LocalSide(Arena(_SMALL.arena_bytes), table, setups, RiskLimits.unlimited(), _SMALL)
    samples = []
    with Session(local, directory / "journal", sample_interval_ns=0) as session:
        gateway = _Clocked()
        switch = KillSwitch(session, directory / "state", gateway)
        now = 10**18
        switch.start(now)
        session.start(now)
        for kill in range(KILLS):
            now += 10**9
            session.take_array(_orders(1 + kill * ORDERS, now))
            session.drain()
            before = gateway.cancels
            start = time.perf_counter_ns()
            switch.trip(KillReason.API)
            switch.poll(now)  # the gateway has noted when it had the cancels; the latch comes after that
            samples.append(gateway.done_ns - start)
            if gateway.cancels - before != ORDERS:
                raise RuntimeError(f"kill {kill}: expected {ORDERS} cancels, found {gateway.cancels - before}")
            open_ids = local.orders.adoptions.view["order_id"]
            keys = local.orders.adoptions.view["key"]
            mine = open_ids[(keys > kill * ORDERS) & (keys <= (kill + 1) * ORDERS)]
            session.take_array(_gone(mine.copy(), now + 1))
            switch.resume(now + 2, "benchmark")
            session.drain()
    shutil.rmtree(directory)
    return float(np.percentile(samples, 99)) / 1e6
