"""nanotick: a high-frequency trading platform in Python.

Names are resolved on first use, so that `import nanotick` and `nanotick --help` load neither Numba nor NumPy.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Plain integers, so that compiled strategies can name them.
BUY, SELL = 1, -1
LIMIT, MARKET, STOP, STOP_LIMIT = 0, 1, 2, 3
GTC, DAY, IOC, FOK, GTD = 0, 1, 2, 3, 4
POST_ONLY, REDUCE_ONLY = 1, 2
MICROSECOND, MILLISECOND, SECOND, MINUTE = 1_000, 1_000_000, 1_000_000_000, 60_000_000_000

# public name -> module that defines it
_PUBLIC: dict[str, str] = {
    "Array": "nanotick.strategy.base",
    "Strategy": "nanotick.strategy.base",
    "StrategyError": "nanotick.strategy.base",
    "each": "nanotick.features",
    "floats": "nanotick.strategy.base",
    "ints": "nanotick.strategy.base",
    **dict.fromkeys(
        (
            "Indicator EMA TimeEMA SMA VWAP RollingVWAP ATR RSI MACD Bollinger ZScore Donchian RealisedVolatility "
            "ClockVolatility Microprice OrderFlowImbalance VPIN KyleLambda Hawkes"
        ).split(),
        "nanotick.features",
    ),
    "BacktestResult": "nanotick.research.results",
    "StrategySetup": "nanotick.engine.local",
    "backtest": "nanotick.research.backtest",
    "simulate": "nanotick.research.simulate",
    "sweep": "nanotick.research.sweep",
    "SweepResult": "nanotick.research.sweep_result",
    "optimize": "nanotick.research.optimize",
    "walk_forward": "nanotick.research.walk_forward",
    "monte_carlo": "nanotick.research.monte_carlo",
    "Contract": "nanotick.core.instruments",
    "Instrument": "nanotick.core.instruments",
    "InstrumentTable": "nanotick.core.instruments",
    "EVENT": "nanotick.core.records",
    "COMMAND": "nanotick.core.records",
    "Kind": "nanotick.core.records",
    "Flag": "nanotick.core.records",
    "EventFile": "nanotick.data.eventfile",
    "synthetic_day": "nanotick.data.synthetic",
    "VenueConfig": "nanotick.exchange.config",
    "RiskLimits": "nanotick.risk.limits",
}


def __getattr__(name: str) -> Any:
    module = _PUBLIC.get(name)
    if module is None:
        raise AttributeError(f"module 'nanotick' has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
