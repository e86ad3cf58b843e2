"""The impact of large orders: how far the price has gone when they are done, against their share of the volume.

A large order of quantity Q in a market with volume V and volatility sigma over the same time moves the price by about
sigma * (Q / V)**d with d near one half (Toth et al. 2011: 0.5 to 0.7; Almgren et al. 2005: 0.6), whatever its duration.
The fundamental knows nothing of who trades, so its own move is taken off: that changes no mean and much of the noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.exchange.agents.description import MarketDescription
from nanotick.exchange.agents.facts import Fact, FactSheet, stylised_facts
from nanotick.exchange.agents.living import LivingMarket
from nanotick.exchange.agents.observe import Observation, observe_market
from nanotick.exchange.agents.power_law import NO_LAW, power_law

Floats = npt.NDArray[np.float64]
MIN_METAORDERS = 200
_VOLATILITY_S = 60.0


@dataclass(frozen=True)
class Impacts:
    """Large orders of one or several runs.

    Attributes
    ----------
    share : numpy.ndarray
        Q / V, shape (orders,).
    move : numpy.ndarray
        The mid's move in their direction, less the fundamental's, over the volatility.
    seconds : numpy.ndarray
        From the first to the last slice.
    """

    share: Floats
    move: Floats
    seconds: Floats


def impacts_of(metaorders: npt.NDArray[Any], seen: Observation) -> Impacts:
    """Size and impact of METAORDER records of a market, by what was observed of it.

    Orders that follow the volume alone count, if there are any.
    """
    following = metaorders[metaorders["participation"] > 0]
    chosen = following if len(following) else metaorders
    count = len(seen.instruments)
    volume, volatility = np.zeros(count), np.zeros(count)
    steps = max(1, round(_VOLATILITY_S / seen.grid_seconds))
    for number in range(count):
        samples, _, _ = seen.of(number)
        mids = 0.5 * (samples["bid"][::steps].astype(np.float64) + samples["ask"][::steps])
        volume[number] = float(samples["volume"].sum())
        volatility[number] = math.sqrt(float(np.sum(np.diff(np.log(mids)) ** 2))) if len(mids) > 1 else 0.0
    which = chosen["instrument"]
    good = (volume[which] > 0) & (volatility[which] > 0) & (chosen["start_mid"] > 0)
    chosen, which = chosen[good], which[good]
    move = np.log(chosen["end_mid"] / chosen["start_mid"]) - np.log(chosen["end_value"] / chosen["start_value"])
    return Impacts(
        chosen["qty"] / volume[which],
        chosen["side"] * move / volatility[which],
        (chosen["end"] - chosen["start"]) * 1e-9,
    )


def joined(parts: Sequence[Impacts]) -> Impacts:
    """The large orders of several runs as one."""
    columns = ([getattr(part, name) for part in parts] for name in ("share", "move", "seconds"))
    return Impacts(*(np.concatenate(column) if column else np.zeros(0) for column in columns))


def metaorder_fact(found: Impacts, curves: dict[str, tuple[Floats, Floats]] | None = None) -> Fact:
    """The exponent of their impact, with a 95 % band."""
    enough = len(found.share) >= MIN_METAORDERS
    law = power_law(found.share, found.move, 10) if enough else NO_LAW
    there = math.isfinite(law.exponent)
    if there and curves is not None:
        curves["metaorders"] = (law.mean_x, law.mean_y)
    note = f"{len(found.share)} large orders; {law.factor:.2f} volatilities for the whole volume" if there else ""
    if not enough:
        note = f"{len(found.share)} large orders, {MIN_METAORDERS} needed; simulate more seeds or a longer time"
    return Fact(
        "metaorder_exponent", law.exponent if there else None, 1.96 * law.error, 0.4, 0.7,
        "of the mid's move while a large order is worked, in its share of the volume",
        "Toth et al. 2011: 0.5 to 0.7; Almgren et al. 2005: 0.6", note,
    )  # fmt: skip


def simulated_facts(
    description: MarketDescription,
    seeds: Sequence[int],
    seconds: float | None = None,
    told: Callable[[float], None] | None = None,
) -> list[FactSheet]:
    """Live through a market once a seed and measure it.

    Parameters
    ----------
    description : MarketDescription
    seeds : sequence of int
    seconds : float, optional
        Of the market's time; the whole session by default.
    told : callable, optional
        Called with the share done, 0 to 1.

    Returns
    -------
    list of FactSheet
        One a seed; with several a last one of what is measured over all of them, the impact of large orders.
    """
    sheets: list[FactSheet] = []
    parts: list[Impacts] = []
    for run, seed in enumerate(seeds):
        living = LivingMarket(description, seed)
        start = living.now
        until = living.end_ns if seconds is None else min(living.end_ns, start + int(seconds * 1e9))

        def chunks(living: LivingMarket = living, run: int = run, start: int = start, until: int = until) -> Any:
            for events in living.run(until):
                yield events
                if told is not None:
                    told((run + (living.now - start) / (until - start)) / len(seeds))

        seen = observe_market(chunks(), living.instruments, keep_flows=False)
        sheet = stylised_facts(seen, f"{description.name}, seed {seed}")
        parts.append(impacts_of(living.metaorders, seen))
        if len(seeds) == 1:
            fact = metaorder_fact(parts[0], sheet.curves)
            sheet = FactSheet(sheet.label, (*sheet.facts, fact), sheet.curves)
        sheets.append(sheet)
    if len(seeds) > 1:
        curves: dict[str, tuple[Floats, Floats]] = {}
        fact = metaorder_fact(joined(parts), curves)
        sheets.append(FactSheet(f"{description.name}, {len(seeds)} seeds", (fact,), curves))
    return sheets
