"""A market description estimated from a recording.

What is estimated, for each instrument, over the T seconds between its first and its last event:

- limit order rate at distance i: arrivals / (2 T); cancellation rate at distance i: cancellations / (mean orders
  resting there * T), both as Cont, Stoikov & Talreja (2010, section 3.1); market order rate: market orders / (2 T);
- order sizes: quantiles of what was seen; of the market orders that took the best price whole, the share that went on;
- excitation: maximum likelihood (see `hawkes_fit`); base rates are then the rates times the share of events that
  nothing brought forth;
- volatility: mean square of mid returns over a horizon long enough for the bounce of quotes not to matter;
- the day's shape: least squares of volume through the two edges, if the recording is long enough;
- with several instruments, the load of each on one common factor: the first principal component of their returns.

Recordings without order events (quotes or trades only) give volatility, spread and market orders; the rest of their
flow is scaled to the spread and says so in the notes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from nanotick.core.instruments import Instrument
from nanotick.exchange.agents.description import (
    Excitation,
    Flow,
    InstrumentDescription,
    MarketDescription,
    Profile,
    Session,
    Sizes,
)
from nanotick.exchange.agents.facts import grid_returns
from nanotick.exchange.agents.hawkes import branching_ratio
from nanotick.exchange.agents.hawkes_fit import fit_hawkes
from nanotick.exchange.agents.observe import Observation

MIN_EVENTS = 200
MIN_HAWKES = 3_000
MAX_HAWKES = 200_000
MAX_BRANCHING = 0.95
MIN_SWEEPS = 50  # market orders that took the best price whole
_QUANTILES = 33
_U_SHAPE_SECONDS = 4 * 3_600.0
_EDGE = 0.08


class FitError(ValueError):
    """There is nothing in a recording from which a market could be estimated."""


@dataclass(frozen=True)
class InstrumentFit:
    """Figures behind the estimate of one instrument.

    Attributes
    ----------
    name : str
    events, market_orders : int
    seconds : float
    volatility : float
        Of the mid over the recording, as a fraction.
    spread_ticks : float
    branching : float
        Branching ratio of the excitation, 0: not estimated.
    notes : tuple of str
    """

    name: str
    events: int
    market_orders: int
    seconds: float
    volatility: float
    spread_ticks: float
    branching: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class MarketFit:
    """A description and what it was estimated from."""

    description: MarketDescription
    instruments: tuple[InstrumentFit, ...]
    skipped: tuple[str, ...] = field(default=())


def volatility_of(samples: npt.NDArray[Any], grid_seconds: float, seconds: float) -> float:
    """Volatility of the mid over `seconds`, as a fraction, from returns of up to a minute."""
    grid = int(grid_seconds * 1e9)
    for horizon in (60, 30, 10, 5, 1):
        steps = max(1, round(horizon / grid_seconds))
        returns = grid_returns(samples, grid, steps)
        if len(returns) >= 30:
            return math.sqrt(float(np.mean(returns * returns)) * seconds / (steps * grid_seconds))
    return 0.0


def _quantiles(qty: npt.NDArray[Any], lot: int) -> Sizes:
    lots = np.maximum(1, np.rint(qty / lot))
    levels = np.quantile(lots, np.linspace(0.0, 0.999, _QUANTILES)) if len(lots) else np.ones(2)
    return Sizes(mean=float(np.mean(lots)) if len(lots) else 1.0, quantiles=tuple(int(q) for q in levels))


def _rounded(values: Any) -> tuple[float, ...]:
    return tuple(float(f"{v:.5g}") for v in values)


def _nested(matrix: npt.NDArray[Any]) -> tuple[tuple[tuple[float, ...], ...], ...]:
    return tuple(tuple(tuple(round(float(v), 5) for v in row) for row in part) for part in matrix)


def _sweep(trades: npt.NDArray[Any]) -> float:
    """Share of the market orders for all the best price held, or more, that went on to the next price.

    Takers look before they take: left at 1, as the model without it would have it, the flow alone moves the price about
    one and a half times as much. An order for just what the best price held counts as one that was cut to it, so the
    share is a lower bound.
    """
    known = trades[(trades["best"] > 0) & (trades["side"] != 0)]
    whole = known[(known["qty"] >= known["best"]) | (known["prices"] > 1)]
    if len(whole) < MIN_SWEEPS:
        return 1.0
    return float(f"{np.mean(whole['prices'] > 1):.3g}")


def _profile_flow(
    seen: Observation, number: int, flows: npt.NDArray[Any], trades: npt.NDArray[Any], lot: int, seconds: float
) -> tuple[Flow, list[str]]:
    """Rates and sizes without excitation."""
    row = seen.observed[number]
    limits, cancels = row["limits"].astype(float), row["cancels"].astype(float)
    kinds = flows["type"] >> 1
    notes: list[str] = []
    spread = row["spread_ns"].astype(float)
    mean_spread = float(spread @ np.arange(1, len(spread) + 1) / spread.sum()) if spread.sum() else 1.0
    market_rate = len(trades) / (2 * seconds)
    market_sizes = _quantiles(trades["qty"], lot)
    if limits.sum() < MIN_EVENTS:
        notes.append("no order events in the data: limit orders are scaled to market orders and spread")
        rate = max(4 * market_rate, 0.5)
        return Flow(
            limit_rate=float(f"{rate:.5g}"),
            market_rate=float(f"{max(market_rate, 0.01):.5g}"),
            distances=int(min(60, max(10, 6 * mean_spread))),
            distance_decay=0.5,
            lifetime=6.0,
            limit_sizes=market_sizes,
            market_sizes=market_sizes,
        ), notes
    far = int(np.searchsorted(np.cumsum(limits) / limits.sum(), 0.995)) + 1
    resting = row["resting_orders"].astype(float)
    if resting.sum() < max(1, row["samples"]) and row["resting_qty"].sum() > 0:
        mean_qty = float(np.mean(flows["qty"][kinds == 0]))
        resting = row["resting_qty"].astype(float) / max(mean_qty, 1e-12)
        notes.append("price-level data: orders at a price are counted as its quantity over the mean order size")
    exposure = resting[:far] / max(1, row["samples"]) * seconds
    usable = exposure > 0.01 * max(1e-12, exposure.max())
    rates = np.where(usable, cancels[:far] / np.maximum(exposure, 1e-12), 0.0)
    mean_rate = float(cancels[:far].sum() / max(exposure.sum(), 1e-12))
    rates = np.where(usable & (rates > 0), rates, mean_rate if mean_rate > 0 else 0.1)
    return Flow(
        limit_rates=_rounded(limits[:far] / (2 * seconds)),
        cancel_rates=_rounded(rates),
        market_rate=float(f"{max(market_rate, 1e-6):.5g}"),
        limit_sizes=_quantiles(flows["qty"][kinds == 0], lot),
        market_sizes=market_sizes,
        sweep=_sweep(trades),
        cells=2_000,
        seed_depth=far,
        seed_orders=max(1, min(20, round(float(resting[:far].mean() / max(1, row["samples"]) / 2)))),
    ), notes


def _excited(flow: Flow, flows: npt.NDArray[Any], seconds: float) -> tuple[Flow, float, str]:
    """The flow with excitation, its branching ratio, and a note."""
    used = flows[:MAX_HAWKES]
    span = seconds if len(used) == len(flows) else float(used["ts"][-1] - used["ts"][0]) * 1e-9
    found = fit_hawkes(used, span)
    ratio, note = branching_ratio(found.branching.sum(axis=0)), ""
    branching = found.branching
    if ratio > MAX_BRANCHING:
        branching = branching * (MAX_BRANCHING / ratio)
        note = f"branching ratio {ratio:.3f} is cut to {MAX_BRANCHING}"
    share = found.base_share
    same, opposite = branching[:, 0::2, 0::2], branching[:, 0::2, 1::2]
    excited = msgspec.structs.replace(
        flow,
        limit_rates=_rounded(np.array(flow.limit_rates) * share[0]),
        market_rate=float(f"{flow.market_rate * share[1]:.5g}"),
        cancel_rates=_rounded(np.array(flow.cancel_rates) * share[2]),
        excitation=Excitation(decay=_rounded(found.decay), same=_nested(same), opposite=_nested(opposite)),
    )
    return excited, min(ratio, MAX_BRANCHING), note


def _day_shape(samples: npt.NDArray[Any], start: int, seconds: float) -> tuple[float, float]:
    """Extra activity at the opening and at the close, by least squares on volume."""
    if seconds < _U_SHAPE_SECONDS or samples["volume"].sum() == 0:
        return 0.0, 0.0
    bins = 39
    place = np.minimum(bins - 1, ((samples["ts"] - start) * 1e-9 / seconds * bins).astype(int))
    volume = np.bincount(np.maximum(place, 0), weights=samples["volume"], minlength=bins).astype(float)
    x = (np.arange(bins) + 0.5) / bins
    columns = np.stack([np.ones(bins), np.exp(-x / _EDGE), np.exp(-(1 - x) / _EDGE)], axis=1)
    level = np.linalg.lstsq(columns, volume / volume.mean(), rcond=None)[0]
    edges = np.clip(level[1:], 0.0, 0.45 / _EDGE)
    return float(round(edges[0], 3)), float(round(edges[1], 3))


def _loads(seen: Observation, chosen: list[int]) -> dict[int, float]:
    """Load of each instrument on the first principal component of their returns."""
    grid = int(seen.grid_seconds * 1e9)
    steps = max(1, round(10 / seen.grid_seconds))
    series: dict[int, dict[int, float]] = {}
    for number in chosen:
        samples, _, _ = seen.of(number)
        at = samples["ts"] // grid
        kept = samples[at % steps == 0]
        mids = np.log(0.5 * (kept["bid"].astype(float) + kept["ask"]))
        ticks = kept["ts"] // (grid * steps)
        series[number] = {
            int(t): float(r) for t, r, gap in zip(ticks[1:], np.diff(mids), np.diff(ticks), strict=True) if gap == 1
        }
    common = sorted(set.intersection(*(set(s) for s in series.values()))) if len(series) > 1 else []
    if len(common) < 100:
        return {}
    table = np.array([[series[n][t] for t in common] for n in chosen])
    deviation = table.std(axis=1)
    if (deviation == 0).any():
        return {}
    values, vectors = np.linalg.eigh(np.corrcoef(table))
    load = vectors[:, -1] * math.sqrt(max(0.0, float(values[-1])))
    load = load if load.sum() >= 0 else -load
    return {n: round(float(np.clip(v, -0.99, 0.99)), 3) for n, v in zip(chosen, load, strict=True)}


def _describe(
    item: Instrument, samples: npt.NDArray[Any], profile: str, volatility: float, load: float | None
) -> InstrumentDescription:
    mid = float(samples["bid"][0] + samples["ask"][0]) / 2 / 10**item.price_decimals
    return InstrumentDescription(
        symbol=item.symbol,
        venue=item.venue,
        currency=item.currency,
        profile=profile,
        price=f"{mid:.{item.price_decimals + 1}f}",
        tick=item.tick_size,
        lot=item.lot_size,
        price_decimals=item.price_decimals,
        qty_decimals=item.qty_decimals,
        multiplier=item.multiplier,
        volatility=float(f"{volatility:.5g}"),
        loads={} if load is None else {"market": load},
    )


def fit_market(seen: Observation, name: str = "fitted", *, excitation: bool = True, lean: float = 0.5) -> MarketFit:
    """Estimate a market description.

    Parameters
    ----------
    seen : Observation
        With flow rows.
    name : str
        Of the description.
    excitation : bool
        Estimate how events bring forth others, where there are enough of them.
    lean : float
        How far market orders of the description follow a fundamental with the volatility measured; 0: not at all,
        the flow alone then moves the price.

    Raises
    ------
    FitError
        No instrument has quotes on both sides and a trade or an order event.
    """
    chosen, skipped = [], []
    for number, item in enumerate(seen.instruments):
        samples, trades, flows = seen.of(number)
        if len(samples) < 30 or len(trades) + len(flows) < MIN_EVENTS:
            skipped.append(f"{item.symbol}@{item.venue}: {len(samples)} samples of the book, {len(flows)} order events")
        else:
            chosen.append(number)
    if not chosen:
        raise FitError(
            f"{name}: no instrument has both sides of a book for half a minute and {MIN_EVENTS} order events "
            f"({'; '.join(skipped[:3])}); give a longer recording with orders, price levels, or quotes and trades"
        )
    start = min(int(seen.observed[n]["first_ts"]) for n in chosen)
    total = (max(int(seen.observed[n]["last_ts"]) for n in chosen) - start) * 1e-9
    loads = _loads(seen, chosen)
    profiles, described, found = {}, [], []
    edges: list[tuple[float, float]] = []
    for number in chosen:
        item = seen.instruments[number]
        samples, trades, flows = seen.of(number)
        seconds = max(1.0, seen.seconds(number))
        flow, notes = _profile_flow(seen, number, flows, trades, item.qty(item.lot_size), seconds)
        ratio = 0.0
        if excitation and len(flows) >= MIN_HAWKES and flow.limit_rates:
            flow, ratio, note = _excited(flow, flows, seconds)
            notes += [note] if note else []
        spread = float(np.mean(samples["ask"] - samples["bid"])) / item.price(item.tick_size)
        flow = msgspec.structs.replace(flow, lean=lean, lean_ticks=round(max(1.5, 1.5 * spread), 2))
        key = f"{item.symbol}-{item.venue}".lower()
        profiles[key] = Profile(flow=flow)
        volatility = volatility_of(samples, seen.grid_seconds, total)
        described.append(_describe(item, samples, key, volatility, loads.get(number)))
        edges.append(_day_shape(samples, start, total))
        found.append(
            InstrumentFit(
                f"{item.symbol}@{item.venue}", len(flows), len(trades), seconds, volatility, spread, ratio, tuple(notes)
            )
        )
    opens = datetime.fromtimestamp(start // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    market = MarketDescription(
        name=name,
        about=f"estimated from {total / 3_600:.2f} hours of {len(chosen)} instruments",
        session=Session(
            start=opens,
            hours=round(max(total / 3_600, 0.01), 4),
            open=float(np.mean([e[0] for e in edges])),
            close=float(np.mean([e[1] for e in edges])),
            decay=_EDGE,
        ),
        factors=("market",) if loads else (),
        profiles=profiles,
        instruments=tuple(described),
    )
    return MarketFit(market, tuple(found), tuple(skipped))
