"""Figures of execution: what fills were worth a while later, what orders cost, and how they fared.

Sign convention: positive is good for us in mark-outs, spread captured and adverse selection; positive is a cost in
implementation shortfall. Mids come from the run's mark series and times are local: a fill counts from when it was known
here. A mark-out for which there is no mid younger than half its horizon, or that lies past the end, is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nanotick.core.instruments import Instrument

if TYPE_CHECKING:
    from nanotick.research.results import BacktestResult

SECOND_NS = 1_000_000_000
HORIZONS_NS = (SECOND_NS // 10, SECOND_NS, 10 * SECOND_NS, 60 * SECOND_NS)
ADVERSE_HORIZON_NS = 10 * SECOND_NS
QUANTILES = (0.5, 0.9, 0.99)


@dataclass(frozen=True)
class MarkOut:
    """Mean value of fills some time after they happened.

    Attributes
    ----------
    horizon_ns : int
    fills : int
        Those with a mid at the horizon.
    ticks, bps : float
        Quantity-weighted mean of side * (mid later - fill price); of the price for bps.
    amount : float
        Sum in currency.
    """

    horizon_ns: int
    fills: int
    ticks: float
    bps: float
    amount: float


def _per_instrument(result: BacktestResult, fills: Any) -> list[tuple[int, Instrument, Any]]:
    return [
        (n, item, np.asarray(fills[np.asarray(fills["instrument"] == n)]))
        for n, item in enumerate(result.instruments)
        if (np.asarray(fills["instrument"]) == n).any()
    ]


def mark_outs(result: BacktestResult, fills: Any, horizons: Sequence[int] = HORIZONS_NS) -> list[MarkOut]:
    """Mark-outs of fills (also called markouts or realised spread to the mid), one per horizon.

    R. Huang, H. Stoll, "Dealer versus auction markets", Journal of Financial Economics 41 (1996), realised half-spread.

    Parameters
    ----------
    fills : Table
        Of dtype `FILLS`.
    horizons : sequence of int
        ns.
    """
    outs = []
    for horizon in horizons:
        ticks = bps = weight = amount = 0.0
        counted = 0
        for number, item, rows in _per_instrument(result, fills):
            later = result.marks.mid_at(number, rows["ts_recv"] + horizon, horizon // 2)
            seen = ~np.isnan(later)
            rows, later = rows[seen], later[seen]
            move = rows["side"] * (later - rows["price"])
            qty = rows["qty_float"]
            counted += len(rows)
            weight += float(qty.sum())
            ticks += float((move * qty).sum()) / item.price(item.tick_size)
            bps += float((move / rows["price"] * qty).sum()) * 1e4
            amount += float(
                (rows["side"] * rows["qty"] * (result.worth(number, later) - result.worth(number, rows["price"]))).sum()
            )
        outs.append(
            MarkOut(
                horizon,
                counted,
                ticks / weight if weight else math.nan,
                bps / weight if weight else math.nan,
                amount if counted else math.nan,
            )
        )
    return outs


@dataclass(frozen=True)
class Attribution:
    """Gross profit in three parts that add up to it, in currency.

    Attributes
    ----------
    spread : float
        Distance of fills from the mid when they were known: earned by resting, paid by taking.
    adverse_selection : float
        What the mid did until the horizon, seen from the fills: usually a loss for who rests.
    inventory : float
        The rest: what positions earned or lost after the horizon.
    horizon_ns : int
    """

    spread: float
    adverse_selection: float
    inventory: float
    horizon_ns: int


def attribution(result: BacktestResult, fills: Any, gross: float, horizon_ns: int = ADVERSE_HORIZON_NS) -> Attribution:
    """Split gross profit into spread captured, adverse selection and inventory.

    The first two are the effective half-spread and the price impact of Huang and Stoll (1996) seen from our side; a
    fill without a mid counts in `inventory`, one without a mid at the horizon uses the last there is.
    """
    spread = adverse = 0.0
    for number, _, rows in _per_instrument(result, fills):
        before = result.marks.mid_at(number, rows["ts_recv"])
        later = result.marks.mid_at(number, rows["ts_recv"] + horizon_ns)
        later = np.where(np.isnan(later), result.marks.last_mid(number), later)
        seen = ~np.isnan(before) & ~np.isnan(later)
        rows, before, later = rows[seen], before[seen], later[seen]
        signed = rows["side"] * rows["qty"]
        spread += float((signed * (result.worth(number, before) - result.worth(number, rows["price"]))).sum())
        adverse += float((signed * (result.worth(number, later) - result.worth(number, before))).sum())
    return Attribution(spread, adverse, gross - spread - adverse, horizon_ns)


@dataclass(frozen=True)
class Shortfall:
    """Implementation shortfall against the mid at the decision, summed over orders, in currency; positive is a cost.

    Attributes
    ----------
    execution : float
        Filled quantity: side * (fill price - decision mid).
    fees : float
    opportunity : float
        Unfilled quantity: side * (mid when the order ended - decision mid).
    bps : float
        Execution and fees over the filled value.
    orders : int
        Orders with a mid at the decision.
    """

    execution: float
    fees: float
    opportunity: float
    bps: float
    orders: int


def implementation_shortfall(result: BacktestResult, orders: Any) -> Shortfall:
    """Shortfall of orders.

    A. F. Perold, "The Implementation Shortfall: Paper versus Reality", Journal of Portfolio Management 14 (1988).
    """
    execution = fees = opportunity = filled_value = 0.0
    counted = 0
    for number, item, rows in _per_instrument(result, orders):
        decided = result.marks.mid_at(number, rows["ts_decided"])
        seen = ~np.isnan(decided)
        rows, decided = rows[seen], decided[seen]
        counted += len(rows)
        at_decision = result.worth(number, decided)
        traded = rows["filled"] > 0
        average = np.where(traded, rows["average_price"] * 10.0**item.price_decimals, decided)
        execution += float((rows["side"] * rows["filled"] * (result.worth(number, average) - at_decision)).sum())
        unit = result.unit(number)
        fees += float(rows["fee"].sum()) / unit
        filled_value += float(rows["value"].sum()) / unit
        ended = rows["ts_end"] > 0
        end_mid = np.where(
            ended, result.marks.mid_at(number, np.where(ended, rows["ts_end"], 0)), result.marks.last_mid(number)
        )
        end_mid = np.where(np.isnan(end_mid), result.marks.last_mid(number), end_mid)
        left = np.maximum(rows["qty"] - rows["filled"], 0)
        opportunity += float((rows["side"] * left * (result.worth(number, end_mid) - at_decision)).sum())
    bps = (execution + fees) / filled_value * 1e4 if filled_value else math.nan
    return Shortfall(execution, fees, opportunity, bps, counted)


@dataclass(frozen=True)
class Spread:
    """Distribution of times or sizes: smallest, quantiles (50, 90, 99 %), largest, mean; NaN without any."""

    count: int
    least: float
    median: float
    p90: float
    p99: float
    most: float
    mean: float


def distribution(values: npt.NDArray[Any]) -> Spread:
    """Quantiles by the lower of the two neighbours: each is a value that occurred."""
    if not len(values):
        return Spread(0, *(math.nan,) * 6)
    ranked = np.sort(np.asarray(values, np.float64))
    p50, p90, p99 = (float(ranked[int(q * (len(ranked) - 1))]) for q in QUANTILES)
    return Spread(len(ranked), float(ranked[0]), p50, p90, p99, float(ranked[-1]), float(ranked.mean()))


@dataclass(frozen=True)
class Latency:
    """Times of orders, ns: decision to venue, venue to known here, and both together."""

    to_venue: Spread
    to_ack: Spread
    round_trip: Spread


def latency(orders: Any) -> Latency:
    """Latency of the orders that the venue answered."""
    rows = orders[np.asarray(orders["ts_venue"] > 0) & np.asarray(orders["ts_ack"] > 0)]
    decided, venue, ack = (np.asarray(rows[n], np.int64) for n in ("ts_decided", "ts_venue", "ts_ack"))
    return Latency(distribution(venue - decided), distribution(ack - venue), distribution(ack - decided))


@dataclass(frozen=True)
class Queue:
    """How resting orders fared in the queue.

    Attributes
    ----------
    ahead : Spread
        Quantity before an order when accepted, as a decimal.
    time_to_fill : Spread
        ns from acceptance to the first fill, of orders that were filled.
    time_resting : Spread
        ns from acceptance to the end, of orders that never were.
    fill_by_ahead : tuple of (float, int, float)
        For the quarters of orders by quantity ahead: largest quantity ahead, orders, share of them with a fill.
    """

    ahead: Spread
    time_to_fill: Spread
    time_resting: Spread
    fill_by_ahead: tuple[tuple[float, int, float], ...]


def queue_statistics(result: BacktestResult, orders: Any) -> Queue:
    """Queue figures of orders that rested."""
    rows = np.asarray(orders)
    venue, first, end = rows["ts_venue"], rows["ts_first_fill"], rows["ts_end"]
    rested = (venue > 0) & (rows["status"] != 4) & ((first > venue) | (first == 0))
    scale = np.array([10.0**i.qty_decimals for i in result.instruments] or [1.0])
    known = rested & (rows["queue_ahead"] >= 0)
    ahead = rows["queue_ahead"][known] / scale[rows["instrument"][known]]
    hit = rows["filled"][known] > 0
    quarters = []
    if len(ahead):
        ranking = np.argsort(ahead, kind="stable")
        for part in np.array_split(ranking, min(4, len(ahead))):
            quarters.append((float(ahead[part].max()), len(part), float(hit[part].mean())))
    filled, missed = rested & (first > 0), rested & (first == 0) & (end > 0)
    return Queue(
        distribution(ahead),
        distribution(first[filled] - venue[filled]),
        distribution(end[missed] - venue[missed]),
        tuple(quarters),
    )
