"""Built-in strategies, one file each: names as `nanotick backtest --strategy NAME` takes them."""

from __future__ import annotations

import importlib

from nanotick.core.suggest import nearest
from nanotick.strategy.base import Strategy

# name -> (module, class)
BUILT_IN: dict[str, tuple[str, str]] = {
    "avellaneda-stoikov": ("nanotick.strategies.avellaneda_stoikov", "AvellanedaStoikov"),
    "cross-venue-arbitrage": ("nanotick.strategies.cross_venue_arbitrage", "CrossVenueArbitrage"),
    "glft": ("nanotick.strategies.glft", "GueantLehalleFernandezTapia"),
    "grid": ("nanotick.strategies.grid", "Grid"),
    "iceberg": ("nanotick.strategies.iceberg", "Iceberg"),
    "imbalance": ("nanotick.strategies.imbalance", "Imbalance"),
    "implementation-shortfall": ("nanotick.strategies.implementation_shortfall", "ImplementationShortfall"),
    "latency-arbitrage": ("nanotick.strategies.latency_arbitrage", "LatencyArbitrage"),
    "mean-reversion": ("nanotick.strategies.mean_reversion", "MeanReversion"),
    "momentum": ("nanotick.strategies.momentum", "Momentum"),
    "pov": ("nanotick.strategies.pov", "PercentageOfVolume"),
    "sniper": ("nanotick.strategies.sniper", "Sniper"),
    "statistical-arbitrage": ("nanotick.strategies.statistical_arbitrage", "StatisticalArbitrage"),
    "triangular-arbitrage": ("nanotick.strategies.triangular_arbitrage", "TriangularArbitrage"),
    "twap": ("nanotick.strategies.twap", "TimeWeightedAveragePrice"),
    "vwap": ("nanotick.strategies.vwap", "VolumeWeightedAveragePrice"),
}


def built_in(name: str) -> type[Strategy]:
    """The built-in strategy of this name.

    Raises
    ------
    ValueError
        Unknown, with the nearest name.
    """
    if name not in BUILT_IN:
        raise ValueError(f"no built-in strategy {name!r}{nearest(name, BUILT_IN)}; there are {', '.join(BUILT_IN)}")
    module, cls = BUILT_IN[name]
    found: type[Strategy] = getattr(importlib.import_module(module), cls)
    return found
