"""Streaming indicators: processor time of one update in a compiled loop that reads its inputs and keeps the value."""

from collections.abc import Callable
from typing import Any

import numpy as np

import nanotick as nt
from benchmarks.registry import benchmark
from benchmarks.timing import median_cpu_seconds

TICKS = 1_000_000


def _market() -> dict[str, Any]:
    """A random walk of quotes and trades, a tick each 1 ms on average."""
    random = np.random.default_rng(7)
    mid = 10_000.0 + np.cumsum(random.integers(-1, 2, TICKS)).astype(float)
    return {
        "ts": np.cumsum(random.exponential(1e6, TICKS).astype(np.int64)),
        "price": mid,
        "high": mid + random.integers(0, 3, TICKS),
        "low": mid - random.integers(0, 3, TICKS),
        "bid": mid - 1.0,
        "ask": mid + 1.0,
        "bid_qty": random.integers(1, 500, TICKS).astype(float),
        "ask_qty": random.integers(1, 500, TICKS).astype(float),
        "qty": random.integers(1, 100, TICKS).astype(float),
        "side": random.choice([-1, 1], TICKS),
        "signed": random.integers(-100, 101, TICKS).astype(float),
    }


_QUOTES = ("bid", "bid_qty", "ask", "ask_qty")
_CASES: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "ema": (lambda: nt.EMA(12), ("price",)),
    "time_ema": (lambda: nt.TimeEMA(1e9), ("ts", "price")),
    "sma": (lambda: nt.SMA(100), ("price",)),
    "vwap": (lambda: nt.VWAP(), ("price", "qty")),
    "rolling_vwap": (lambda: nt.RollingVWAP(100), ("price", "qty")),
    "atr": (lambda: nt.ATR(14), ("high", "low", "price")),
    "rsi": (lambda: nt.RSI(14), ("price",)),
    "macd": (lambda: nt.MACD(), ("price",)),
    "bollinger": (lambda: nt.Bollinger(20), ("price",)),
    "zscore": (lambda: nt.ZScore(100), ("price",)),
    "donchian": (lambda: nt.Donchian(100), ("high", "low")),
    "realised_volatility": (lambda: nt.RealisedVolatility(300), ("price",)),
    "clock_volatility": (lambda: nt.ClockVolatility(1_000_000_000, 300), ("ts", "price")),
    "microprice": (lambda: nt.Microprice(), _QUOTES),
    "order_flow_imbalance": (lambda: nt.OrderFlowImbalance(100), _QUOTES),
    "vpin": (lambda: nt.VPIN(1_000.0, 50), ("price", "qty", "side")),
    "vpin_bulk": (lambda: nt.VPIN(1_000.0, 50, bulk=1), ("price", "qty", "side")),
    "kyle_lambda": (lambda: nt.KyleLambda(500), ("price", "signed")),
    "hawkes": (lambda: nt.Hawkes(), ("ts",)),
}


def _declare(name: str, make: Callable[[], Any], inputs: tuple[str, ...]) -> None:
    @benchmark(f"indicator_{name}", f"{make()!r}, one update", unit="ns", reach="<= 20")
    def measure() -> float:
        market = _market()
        columns = [market[column] for column in inputs]
        return median_cpu_seconds(lambda indicator: indicator.run(*columns), make) / TICKS * 1e9


for _name, (_make, _inputs) in _CASES.items():
    _declare(_name, _make, _inputs)
