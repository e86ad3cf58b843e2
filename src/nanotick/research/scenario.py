"""Scenarios: markets made from a seed, so that a strategy can be tried in as many as one likes.

A scenario has a name and makes a market from a seed, the same for the same seed: the generated order-book day, which
does not react to a strategy, or a described market of the embedded exchange, which does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from nanotick.core.suggest import nearest
from nanotick.data.synthetic import DAY_SECONDS, DEFAULT_SYMBOLS, Form, synthetic_day
from nanotick.research.backtest import Data
from nanotick.research.run_config import RunConfigError


@runtime_checkable
class Scenario(Protocol):
    """What a Monte Carlo study draws markets from; plain data that can be sent to another process."""

    @property
    def name(self) -> str:
        """Unique among the scenarios of a study, parameters included."""
        ...

    def market(self, seed: int) -> Data:
        """The market of a seed: what `nanotick.backtest` takes as data."""
        ...


@dataclass(frozen=True)
class SyntheticScenario:
    """The generated order-book day, its liveliness scaled.

    Parameters
    ----------
    seconds : float
        Length of the session.
    form : {"orders", "levels"}
    volatility, arrivals, marketable : float
        Factors on the steps of the hidden value, on limit orders, and on marketable orders.
    label : str
        Name instead of one made of the parameters.
    """

    seconds: float = float(DAY_SECONDS)
    form: Form = "orders"
    volatility: float = 1.0
    arrivals: float = 1.0
    marketable: float = 1.0
    label: str = ""

    @property
    def name(self) -> str:
        """`synthetic` and what is not as usual."""
        usual = SyntheticScenario()
        changed = [f for f in fields(self) if f.name != "label" and getattr(self, f.name) != getattr(usual, f.name)]
        text = ",".join(
            f"{f.name}={getattr(self, f.name):g}" if f.name != "form" else f"form={self.form}" for f in changed
        )
        return self.label or ("synthetic:" + text if text else "synthetic")

    def market(self, seed: int) -> Data:
        """A day from a seed."""
        symbols = [
            replace(
                s,
                volatility_ticks=s.volatility_ticks * self.volatility,
                limit_rate=s.limit_rate * self.arrivals,
                market_rate=s.market_rate * self.marketable,
            )
            for s in DEFAULT_SYMBOLS
        ]
        day = synthetic_day(seed=seed, symbols=symbols, seconds=self.seconds, form=self.form)
        return day.events, day.instruments


@dataclass(frozen=True)
class MarketScenario:
    """A described market of the embedded exchange: runs are simulations, and agents react to their orders.

    Parameters
    ----------
    description : str
        A shipped description or a YAML file.
    seconds, warm_up : float
        Simulated time, and what the market lives before it.
    """

    description: str = "us-equities"
    seconds: float = 600.0
    warm_up: float = 5.0

    @property
    def name(self) -> str:
        """The description and what is not as usual."""
        return f"{self.description}:seconds={self.seconds:g},warm_up={self.warm_up:g}"

    def market(self, seed: int) -> Data:
        """What the market publishes when nobody but its agents trades in it."""
        from nanotick.exchange.agents.description import read_description
        from nanotick.exchange.agents.living import LivingMarket

        living = LivingMarket(read_description(self.description), seed)
        events = np.concatenate([np.asarray(part) for part in living.run(seconds=self.warm_up + self.seconds)])
        return events, living.instruments


# name -> what makes a scenario from parameters by name
SCENARIOS: dict[str, Callable[..., Scenario]] = {"synthetic": SyntheticScenario}


def scenario_from(text: str) -> Scenario:
    """Read NAME or NAME:PARAMETER=VALUE,PARAMETER=VALUE; NAME may be a described market or its YAML file.

    Raises
    ------
    RunConfigError
        No such scenario or parameter, with the nearest match.

    Examples
    --------
    >>> scenario_from("synthetic:volatility=2,seconds=600").name
    'synthetic:seconds=600,volatility=2'
    >>> scenario_from("us-equities:seconds=60").name
    'us-equities:seconds=60,warm_up=5'
    """
    from nanotick.exchange.agents.description import shipped

    name, _, rest = text.partition(":")
    if name in shipped() or name.endswith((".yaml", ".yml")):
        make: Any = functools.partial(MarketScenario, name)
        return _made(text, make, [f.name for f in fields(MarketScenario) if f.name != "description"], rest)
    if name not in SCENARIOS:
        hint = nearest(name, [*SCENARIOS, *shipped()], 0.4)
        raise RunConfigError(
            f"scenario {text}: no scenario {name!r}{hint} There are: {', '.join([*SCENARIOS, *shipped()])}"
        )
    return _made(text, SCENARIOS[name], [f.name for f in fields(SCENARIOS[name])], rest)  # type: ignore[arg-type]


def _made(text: str, make: Callable[..., Scenario], known: list[str], rest: str) -> Scenario:
    from nanotick.research.run_config import check_keys, parse_setting

    given = dict(parse_setting(part) for part in rest.split(",") if part)
    values = dict(check_keys(f"scenario {text}", given, known))
    for key, value in values.items():
        kind = type(getattr(make(), key))
        try:
            values[key] = kind(value)
        except (TypeError, ValueError):
            raise RunConfigError(f"scenario {text}: {key} is {kind.__name__}, found {value!r}") from None
    return make(**values)
