"""Scenarios: markets made from a seed, so that a strategy can be tried in as many as one likes.

A scenario has a name and makes a market from a seed, the same for the same seed. The generated order-book day is the
first; a described market of the embedded exchange is to be another one.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, runtime_checkable

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


# name -> what makes a scenario from parameters by name
SCENARIOS: dict[str, Callable[..., Scenario]] = {"synthetic": SyntheticScenario}


def scenario_from(text: str) -> Scenario:
    """Read NAME or NAME:PARAMETER=VALUE,PARAMETER=VALUE.

    Raises
    ------
    RunConfigError
        No such scenario or parameter, with the nearest match.

    Examples
    --------
    >>> scenario_from("synthetic:volatility=2,seconds=600").name
    'synthetic:seconds=600,volatility=2'
    """
    from nanotick.research.run_config import check_keys, parse_setting

    name, _, rest = text.partition(":")
    if name not in SCENARIOS:
        near = difflib.get_close_matches(name, SCENARIOS, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise RunConfigError(f"scenario {text}: no scenario {name!r}{hint} There are: {', '.join(SCENARIOS)}")
    make: Any = SCENARIOS[name]
    given = dict(parse_setting(part) for part in rest.split(",") if part)
    known = [f.name for f in fields(make)]
    values = dict(check_keys(f"scenario {text}", given, known))
    for key, value in values.items():
        kind = type(getattr(make(), key))
        try:
            values[key] = kind(value)
        except (TypeError, ValueError):
            raise RunConfigError(f"scenario {text}: {key} is {kind.__name__}, found {value!r}") from None
    return make(**values)  # type: ignore[no-any-return]
