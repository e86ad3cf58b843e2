"""`nanotick.simulate`: strategies in a described market that reacts to them, a result out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from nanotick.core.fixed import to_scaled
from nanotick.core.instruments import InstrumentTable
from nanotick.engine.local import Capacity, StrategySetup
from nanotick.engine.simulate import LATENCY, Progress, Simulation
from nanotick.exchange.agents.description import MarketDescription, read_description
from nanotick.exchange.config import VenueConfig
from nanotick.research.backtest import code_hash_of, setups_of
from nanotick.research.results import BacktestResult
from nanotick.risk.limits import RiskLimits
from nanotick.strategy.base import Strategy

Chooser = Callable[[InstrumentTable], Sequence[StrategySetup]]


def build_simulation(
    market: str | Path | MarketDescription,
    strategies: Strategy | str | StrategySetup | Sequence[Strategy | str | StrategySetup] | Chooser,
    *,
    seconds: float = 120.0,
    warm_up: float = 5.0,
    symbols: Iterable[str] = (),
    latency: VenueConfig | None = None,
    limits: RiskLimits | None = None,
    cash: str | int | Decimal = "50000",
    currency: str = "",
    rates: Mapping[str, Any] | None = None,
    time_zone: str = "",
    sample_interval: float = 1.0,
    seed: int = 1,
    capacity: Capacity | None = None,
    config: Mapping[str, Any] | None = None,
    journal: str | Path | None = None,
) -> Simulation:
    """The simulation behind `simulate`, not yet run: for whoever wants to look while it runs."""
    description = market if isinstance(market, MarketDescription) else read_description(market)
    wanted = tuple(symbols)
    if wanted:
        description = description.only(wanted)
    amount = to_scaled(str(cash), 6, "cash")
    chosen = (
        strategies if callable(strategies) and not isinstance(strategies, Strategy) else setups_of(strategies, amount)  # type: ignore[arg-type]
    )
    venue = latency or LATENCY
    run = Simulation(
        market=description,
        setups=chosen,  # type: ignore[arg-type]
        seconds=seconds,
        venue_config=venue,
        limits=limits or RiskLimits(),
        sample_interval_ns=int(sample_interval * 1e9),
        warm_up=warm_up,
        capacity=capacity or Capacity(book_orders=1 << 20, book_levels=1 << 18),
        seed=seed,
        currency=currency,
        rates=rates or {},
        time_zone=time_zone or venue.time_zone,
        config=config or {},
        journal=None if journal is None else Path(journal),
    )
    run.code_hash = code_hash_of(list(run.setups))  # type: ignore[arg-type]
    return run


def simulate(
    market: str | Path | MarketDescription,
    strategies: Strategy | str | StrategySetup | Sequence[Strategy | str | StrategySetup] | Chooser,
    *,
    progress: Progress | None = None,
    **options: Any,
) -> BacktestResult:
    """Run strategies in a market of agents that reacts to their orders.

    Parameters
    ----------
    market : str, path or MarketDescription
        A shipped description (`us-equities`, `crypto`, `index-future`), a YAML file, or a description.
    strategies
        As in `nanotick.backtest`.
    progress : callable, optional
        `progress(simulation)` after every slice.
    seconds : float
        Simulated time, 120 by default.
    warm_up : float
        Seconds the market lives before strategies hear of it, 5 by default.
    symbols : iterable of str
        Only these of the market.
    latency : VenueConfig, optional
        Latency of orders, responses and market data; 50 microseconds each by default. Fees are the exchanges' own.
    journal : path, optional
        Directory that takes the session's journal: `nanotick replay` repeats it, `nanotick recover` brings it back.
    limits, cash, currency, rates, time_zone, sample_interval, seed, capacity, config
        As in `nanotick.backtest`; the seed is the market's too.

    Returns
    -------
    BacktestResult
        Also after Ctrl-C, then with `partial` set.

    Raises
    ------
    ValueError
        Something about the request is wrong; the message says what would help.
    """
    return BacktestResult(build_simulation(market, strategies, **options).run(progress))
