"""Every figure of a run: together, per strategy, per instrument and per both.

The formulas are in `performance.py` (equity curves) and `execution.py` (fills and orders), each with its source; here
they are applied to the run's tables. Money is in the settlement currency, as floats computed from exact integers; what
is not defined is NaN. When instruments settle in several currencies, figures that would add them are NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nanotick.engine.output import MICRO
from nanotick.research import execution, performance
from nanotick.research.execution import Attribution, Latency, MarkOut, Queue, Shortfall
from nanotick.research.performance import DAY_NS, Inventory

if TYPE_CHECKING:
    from nanotick.research.results import BacktestResult

INCREMENT_NS = 60_000_000_000  # returns are taken over one minute
HOUR_NS = 3_600_000_000_000


@dataclass(frozen=True)
class Figures:
    """The figures of one scope.

    Attributes
    ----------
    name : str
    gross, fees, net : float
        Profit before fees, fees (negative: rebates), profit after fees; open positions at the mid.
    realised, unrealised : float
        Parts of `gross`.
    capital : float
        Starting cash; NaN where several strategies share an instrument.
    return_share : float
        `net` over `capital`.
    sharpe, sortino, calmar : float
        Annualised, of one-minute increments; see `performance.increments` for what a year is.
    max_drawdown, max_drawdown_share, drawdown_longest_s : float
    hit_ratio, profit_factor : float
        Of fills that reduced a position, by average price, before fees.
    orders, fills, cancelled, rejected, refused : int
        Refused by risk before they were sent.
    turnover, turnover_ratio : float
        Traded value; over capital.
    fill_ratio : float
        Quantity filled over quantity sent.
    order_fill_ratio : float
        Orders with a fill over orders sent.
    maker_share : float
        Value filled while resting over value filled.
    inventory : Inventory or None
        Of one strategy in one instrument.
    mark_outs : tuple of MarkOut
    attribution : Attribution
    shortfall : Shortfall
    latency : Latency
    queue : Queue
    """

    name: str
    gross: float
    fees: float
    net: float
    realised: float
    unrealised: float
    capital: float
    return_share: float
    sharpe: float
    sortino: float
    calmar: float
    max_drawdown: float
    max_drawdown_share: float
    drawdown_longest_s: float
    hit_ratio: float
    profit_factor: float
    orders: int
    fills: int
    cancelled: int
    rejected: int
    refused: int
    turnover: float
    turnover_ratio: float
    fill_ratio: float
    order_fill_ratio: float
    maker_share: float
    inventory: Inventory | None
    mark_outs: tuple[MarkOut, ...]
    attribution: Attribution
    shortfall: Shortfall
    latency: Latency
    queue: Queue


@dataclass(frozen=True)
class Statistics:
    """All figures of a run.

    Attributes
    ----------
    total : Figures
    strategies, instruments : tuple of Figures
        In order of their numbers.
    pairs : mapping of (strategy, instrument) to Figures
    hours : tuple of (int, int, float)
        Strategy, hour of the local day, net profit made in it.
    currency : str
        Of the total; empty when there are several.
    notes : tuple of str
        What a reader must know to take the figures right.
    """

    total: Figures
    strategies: tuple[Figures, ...]
    instruments: tuple[Figures, ...]
    pairs: dict[tuple[int, int], Figures]
    hours: tuple[tuple[int, int, float], ...]
    currency: str
    notes: tuple[str, ...] = field(default=())


def total_figures(result: BacktestResult) -> Figures:
    """The figures of everything together, without those of each strategy and instrument."""
    return _figures(result, None, None)


def compute(result: BacktestResult) -> Statistics:
    """Compute every figure of a result."""
    pairs = {pair: _figures(result, *pair) for pair in result.pairs()}
    strategies = tuple(_figures(result, n, None) for n in range(len(result.strategies)))
    instruments = tuple(_figures(result, None, n) for n in range(len(result.instruments)))
    total = _figures(result, None, None)
    currencies = result.instruments.currencies
    return Statistics(
        total,
        strategies,
        instruments,
        pairs,
        _by_hour(result),
        result.output.currency or (currencies[0] if len(currencies) == 1 else ""),
        _notes(result, total),
    )


def _name(result: BacktestResult, strategy: int | None, instrument: int | None) -> str:
    parts = []
    if strategy is not None:
        parts.append(result.strategies[strategy].name)
    if instrument is not None and not (parts and parts[0].endswith(f" {result.instruments[instrument].symbol}")):
        parts.append(result.instruments[instrument].symbol)
    return " ".join(parts) or "total"


def _curve(
    result: BacktestResult, strategy: int | None, instrument: int | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], float]:
    """Times, equity or profit in currency, and capital of a scope."""
    if instrument is None:
        curve = result.equity_of(-1 if strategy is None else strategy)
        chosen = result.strategies if strategy is None else result.strategies[strategy : strategy + 1]
        return np.asarray(curve["ts"]), np.asarray(curve["equity_float"]), sum(s.cash for s in chosen) / MICRO
    times = result.marks.times(instrument)
    owners = [s for s, i in result.pairs() if i == instrument and strategy in (None, s)]
    profit = np.zeros(len(times))
    for owner in owners:
        profit = profit + result.profit(owner, instrument, times)
    capital = result.strategies[owners[0]].cash / MICRO if len(owners) == 1 else math.nan
    return times, capital + profit if not math.isnan(capital) else profit, capital


def _figures(result: BacktestResult, strategy: int | None, instrument: int | None) -> Figures:
    def mine(table: Any) -> Any:
        chosen = np.ones(len(table), bool)
        if strategy is not None:
            chosen &= np.asarray(table["strategy"]) == strategy
        if instrument is not None:
            chosen &= np.asarray(table["instrument"]) == instrument
        return table[chosen]

    fills, orders, positions, refusals = (
        mine(t) for t in (result.fills, result.orders, result.positions, result.risk_events)
    )
    used = {result.instruments[i].currency for i in np.unique(np.asarray(positions["instrument"])).tolist()}
    addable = 1.0 if len(used) <= 1 or result.output.currency else math.nan
    units = np.array([result.unit(n) for n in range(len(result.instruments))] or [1.0])
    gross = float(positions["gross"].sum()) * addable
    fees = float((positions["fees"] / units[positions["instrument"]]).sum()) * addable
    realised = float((positions["realised"] / units[positions["instrument"]]).sum()) * addable
    ts, equity, capital = _curve(result, strategy, instrument)
    steps = performance.increments(ts, equity, INCREMENT_NS, result.output.local_offset(ts))
    drawdown = performance.max_drawdown(ts, equity)
    turnover = float(fills["value_float"].sum()) * addable
    maker = float(fills["value_float"][np.asarray(fills["maker"])].sum())
    sent, status = float(orders["qty_float"].sum()), np.asarray(orders["status"])
    inventory = None
    if strategy is not None and instrument is not None:
        times = result.marks.times(instrument)
        scale = 10.0 ** result.instruments[instrument].qty_decimals
        inventory = _exact_inventory(result, fills, times, scale)
    net = gross - fees
    return Figures(
        name=_name(result, strategy, instrument),
        gross=gross,
        fees=fees,
        net=net,
        realised=realised,
        unrealised=gross - realised,
        capital=capital,
        return_share=net / capital if capital > 0 else math.nan,
        sharpe=performance.sharpe_ratio(steps.values, steps.per_year),
        sortino=performance.sortino_ratio(steps.values, steps.per_year),
        calmar=performance.calmar_ratio(net, steps.years, drawdown.amount),
        max_drawdown=drawdown.amount,
        max_drawdown_share=drawdown.share if capital > 0 else math.nan,
        drawdown_longest_s=drawdown.longest_ns / 1e9,
        hit_ratio=performance.hit_ratio(np.asarray(fills["realised_float"])),
        profit_factor=performance.profit_factor(np.asarray(fills["realised_float"])) * addable,
        orders=len(orders),
        fills=len(fills),
        cancelled=int((status == 3).sum()),
        rejected=int((status == 4).sum()),
        refused=len(refusals),
        turnover=turnover,
        turnover_ratio=turnover / capital if capital > 0 else math.nan,
        fill_ratio=float(fills["qty_float"].sum()) / sent if sent else math.nan,
        order_fill_ratio=float((orders["fills"] > 0).mean()) if len(orders) else math.nan,
        maker_share=maker / turnover if turnover else math.nan,
        inventory=inventory,
        mark_outs=tuple(execution.mark_outs(result, fills)),
        attribution=execution.attribution(result, fills, gross),
        shortfall=execution.implementation_shortfall(result, orders),
        latency=execution.latency(orders),
        queue=execution.queue_statistics(result, orders),
    )


def _exact_inventory(result: BacktestResult, fills: Any, times: Any, scale: float) -> Inventory:
    """Inventory from the fills themselves, between the first and the last moment of the run."""
    counters = result.output.counters
    known = np.maximum.accumulate(np.asarray(fills["ts_recv"], np.int64)) if len(fills) else np.empty(0, np.int64)
    start = counters.first_ts or (int(times[0]) if len(times) else int(known[0]) if len(known) else 0)
    end = counters.last_ts or (int(times[-1]) if len(times) else int(known[-1]) if len(known) else 0)
    ts = np.concatenate([[start], np.maximum(known, start)])
    held = np.concatenate([[0], np.asarray(fills["position"], np.int64)]) / scale
    return performance.inventory_statistics(ts, held, end)


def _by_hour(result: BacktestResult) -> tuple[tuple[int, int, float], ...]:
    """Net profit of each strategy in each hour of the local day, over all days."""
    rows: list[tuple[int, int, float]] = []
    for number in range(len(result.strategies)):
        curve = result.equity_of(number)
        ts, equity = np.asarray(curve["ts"]), np.asarray(curve["equity_float"])
        if len(ts) < 2:
            continue
        hours = ((ts[1:] + result.output.local_offset(ts[1:])) % DAY_NS) // HOUR_NS
        change = np.diff(equity)
        rows += [(number, int(h), float(change[hours == h].sum())) for h in np.unique(hours)]
    return tuple(rows)


def _notes(result: BacktestResult, total: Figures) -> tuple[str, ...]:
    notes = []
    ts, equity, _ = _curve(result, None, None)
    steps = performance.increments(ts, equity, INCREMENT_NS, result.output.local_offset(ts))
    if 0 < steps.days < 20:
        notes.append(
            f"Annualised figures rest on {steps.days} day{'s' if steps.days > 1 else ''} of one-minute changes: "
            "they compare runs, they predict nothing."
        )
    if len(result.instruments.currencies) > 1 and result.output.currency:
        rates = ", ".join(f"{name} {rate}" for name, rate in result.output.rates.items())
        notes.append(f"Money is in {result.output.currency}, at rates that do not move: {rates}.")
    elif len(result.instruments.currencies) > 1:
        notes.append(
            f"Instruments settle in {', '.join(result.instruments.currencies)}: totals across them are left out."
        )
    interval = result.output.sample_interval_ns
    if total.fills and not total.mark_outs[0].fills:
        notes.append(
            f"Marks are {interval / 1e9:g} s apart: mark-outs at shorter horizons are left out; sample more often."
        )
    if result.output.queue_lost:
        kept = len(result.output.queue)
        notes.append(
            f"Places in the queue are of the first {kept:,} orders that ended; {result.output.queue_lost:,} later "
            "ones are not in them."
        )
    if result.partial:
        notes.append("The run was stopped before the end of the data: figures cover what was run.")
    return tuple(notes)
