"""Why there are no trades, or few: followed from the data through the strategy, risk and the queue.

A backtest without a trade is the commonest first result and the least explained one. The stages an order passes are
looked at in order, and the first one that let nothing through is named, with what to change.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nanotick.core.fixed import from_scaled
from nanotick.engine.output import MICRO

if TYPE_CHECKING:
    from nanotick.research.results import BacktestResult


@dataclass(frozen=True)
class Finding:
    """What was found for one strategy.

    Attributes
    ----------
    strategy : str
    stage : str
        Where it ended: `no_data`, `no_signal`, `refused`, `rejected`, `never_filled`, or `traded`.
    sentence : str
    details : tuple of str
        Counts that support it.
    """

    strategy: str
    stage: str
    sentence: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Diagnosis:
    """Findings for every strategy."""

    findings: tuple[Finding, ...]

    @property
    def silent(self) -> tuple[Finding, ...]:
        """The strategies that did not trade."""
        return tuple(f for f in self.findings if f.stage != "traded")

    def __str__(self) -> str:
        return "\n".join(
            "\n".join([f"{f.strategy}: {f.sentence}", *(f"  {d}" for d in f.details)]) for f in self.findings
        )


def diagnose(result: BacktestResult) -> Diagnosis:
    """Find, for each strategy, the stage at which it stopped."""
    return Diagnosis(tuple(_diagnose(result, n) for n in range(len(result.strategies))))


def in_unit(result: BacktestResult, check: int, instrument: int, amount: int) -> str:
    """A check's found value or limit as people write it."""
    unit = result.output.check_units.get(check, "")
    item = result.instruments[instrument] if 0 <= instrument < len(result.instruments) else None
    if item is not None and unit in ("qty", "price", "value"):
        decimals = {"qty": item.qty_decimals, "price": item.price_decimals, "value": item.value_decimals}[unit]
        text = f"{from_scaled(amount, decimals):,f}"
        return f"{text} {item.currency}" if unit == "value" else text
    if unit == "micro":
        return f"{amount / MICRO:,.2f}"
    if unit == "ns":
        return f"{amount / 1e6:,.3f} ms"
    if unit == "ppm":
        return f"{amount / 1e4:,.2f} %"
    return f"{amount:,}"


def refusal_counts(result: BacktestResult, strategy: int | None = None) -> list[tuple[str, int, str]]:
    """Refusals by check: name, count, and one example with what was found and the limit, most frequent first."""
    events = np.asarray(result.risk_events)
    if strategy is not None:
        events = events[events["strategy"] == strategy]
    lines = []
    for check, count in Counter(events["check"].tolist()).most_common():
        worst = events[events["check"] == check][-1]
        number = int(worst["instrument"])
        name = result.output.check_names.get(check, f"check {check}")
        found, limit = (in_unit(result, check, number, int(worst[f])) for f in ("found", "limit"))
        symbol = result.instruments[number].symbol if 0 <= number < len(result.instruments) else "the account"
        lines.append((name, count, f"{symbol}: found {found}, limit {limit}"))
    return lines


def _diagnose(result: BacktestResult, number: int) -> Finding:
    run = result.strategies[number]
    fills, orders = result.fills_of(number), result.orders[np.asarray(result.orders["strategy"]) == number]
    calls = sum(run.calls.values())
    spoken = ", ".join(f"{name} {count:,} times" for name, count in run.calls.items() if count) or "no callback ran"
    refused = refusal_counts(result, number)
    refusals = sum(count for _, count, _ in refused)
    if len(fills):
        return Finding(run.name, "traded", f"{len(fills):,} fills of {len(orders):,} orders.")
    if not result.output.counters.events or not calls:
        return Finding(run.name, "no_data", _no_data(result, number), (spoken,))
    if not len(orders) and not refusals and not run.intents:
        return Finding(
            run.name,
            "no_signal",
            "It never asked for an order: its conditions were not met. Log what it compares with ctx.log(code, value), "
            "or loosen its parameters.",
            (spoken, "parameters: " + ", ".join(f"{k}={v}" for k, v in run.parameters.items())),
        )
    why = tuple(f"{name}: {count:,} times, last {example}" for name, count, example in refused)
    if not len(orders):
        asked = max(refusals, run.intents)
        if refused:
            sentence = f"It asked {asked:,} times and risk refused all of it, mostly by {refused[0][0]}."
        else:
            sentence = f"It asked {asked:,} times and sent no new order: it cancelled or replaced what did not exist."
        return Finding(run.name, "refused" if refused else "no_signal", sentence, why)
    status = Counter(orders["status"].tolist())
    if status[4] == len(orders):
        reasons = Counter(result.reason_word(o) for o in np.asarray(orders)).most_common(3)
        return Finding(
            run.name,
            "rejected",
            f"The venue rejected all {len(orders):,} orders, mostly for {reasons[0][0].replace('_', ' ')}.",
            tuple(f"{name}: {count:,}" for name, count in reasons),
        )
    return Finding(run.name, "never_filled", _never_filled(orders), (*_resting(result, orders), *why))


def _no_data(result: BacktestResult, number: int) -> str:
    run, counters = result.strategies[number], result.output.counters
    if not counters.events:
        return "No event was read: look at the data with `nanotick data inspect FILE`."
    names = [result.instruments[i].symbol for i in run.instruments]
    counts = [counters.by_instrument.get(i, 0) for i in run.instruments]
    if not names:
        return "It subscribed to no instrument: name one with its `instruments` or --symbols."
    if not any(counts):
        return f"The data has no event for {', '.join(names)}; it has {result.instruments.names()}."
    return f"{counters.events:,} events were read and none reached a callback it defines."


def _never_filled(orders: Any) -> str:
    venue = np.asarray(orders["ts_venue"])
    if not (venue > 0).any():
        return f"{len(orders):,} orders were sent and none reached the venue before the data ended."
    return f"{len(orders):,} orders were sent and none was filled: nothing traded at or through their prices."


def _resting(result: BacktestResult, orders: Any) -> tuple[str, ...]:
    """How close orders came: distance from the touch, quantity ahead, time resting."""
    rows = np.asarray(orders)
    lines = []
    ends = (rows["ts_end"] > 0) & (rows["ts_venue"] > 0)
    if ends.any():
        rested = np.median((rows["ts_end"] - rows["ts_venue"])[ends]) / 1e9
        lines.append(f"they rested {rested:.3g} s (median)")
    known = rows["queue_ahead"] >= 0
    if known.any():
        ticks = np.median(rows["distance_ticks"][known])
        scale = 10.0 ** result.instruments[int(rows["instrument"][0])].qty_decimals
        start, end = (np.median(rows[n][known]) / scale for n in ("queue_ahead", "queue_ahead_end"))
        where = (
            "at the touch"
            if ticks == 0
            else f"{abs(ticks):g} ticks {'behind' if ticks > 0 else 'better than'} the touch"
        )
        lines.append(
            f"when they ended they were {where}; quantity ahead {start:,g} when accepted, {end:,g} at the end (medians)"
        )
    return tuple(lines)
