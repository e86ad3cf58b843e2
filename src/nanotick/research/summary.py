"""The headline figures in the terminal, and the stable JSON of a result.

The JSON's structure is documented in docs/backtesting.md and named by `schema`; within one schema number keys are only
ever added. Figures that are not defined are null.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from nanotick import __version__
from nanotick.research import words
from nanotick.research.diagnosis import refusal_counts
from nanotick.research.statistics import Figures

if TYPE_CHECKING:
    from nanotick.research.results import BacktestResult

SCHEMA = "nanotick.backtest/1"


def plain(value: Any) -> Any:
    """A value as JSON has it: NaN and infinity become null, NumPy scalars Python numbers, unknown things text."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)


def as_dict(result: BacktestResult) -> dict[str, Any]:
    """Everything about a result except its tables."""
    output, found = result.output, result.statistics
    strategies = []
    for n, (run, figures) in enumerate(zip(result.strategies, found.strategies, strict=True)):
        strategies.append(
            {
                "name": run.name,
                "class": run.class_name,
                "parameters": run.parameters,
                "indicators": [
                    {
                        "name": i.name,
                        "indicator": i.described,
                        "symbol": result.instruments[i.instrument].symbol if i.instrument >= 0 else None,
                        "ready": i.ready,
                        "values": i.values,
                    }
                    for i in run.indicators
                ],
                "indicators_left_out": run.indicators_left_out,
                "calls": run.calls,
                "intents": run.intents,
                "figures": asdict(figures),
                "instruments": [
                    {"symbol": result.instruments[i].symbol, "figures": asdict(f)}
                    for (s, i), f in found.pairs.items()
                    if s == n
                ],
                "refusals": [
                    {"check": name, "count": count, "last": example}
                    for name, count, example in refusal_counts(result, n)
                ],
            }
        )
    return plain(  # type: ignore[no-any-return]
        {
            "schema": SCHEMA,
            "version": __version__,
            "partial": result.partial,
            "currency": found.currency,
            "counters": {**asdict(output.counters), "events_per_second": output.counters.events_per_second},
            "total": asdict(found.total),
            "strategies": strategies,
            "instruments": [
                {"symbol": i.symbol, "venue": i.venue, "currency": i.currency, "figures": asdict(f)}
                for i, f in zip(result.instruments, found.instruments, strict=True)
            ],
            "hours": [
                {"strategy": result.strategies[s].name, "hour": hour, "net": net} for s, hour, net in found.hours
            ],
            "diagnosis": [asdict(f) for f in result.diagnosis.findings],
            "notes": found.notes,
            "config": output.config,
            "data": [asdict(d) for d in output.data],
            "hashes": {"code": output.code_hash, "journal": output.journal_hash, "state": output.state_hash},
        }
    )


# label, how it is written, whether a value's sign is worth a colour
_ROWS: tuple[tuple[str, Callable[[Figures], str], Callable[[Figures], float] | None], ...] = (
    ("Net P&L", lambda f: words.money(f.net, signed=True), lambda f: f.net),
    ("Gross P&L", lambda f: words.money(f.gross, signed=True), lambda f: f.gross),
    ("Fees", lambda f: words.money(f.fees), None),
    ("Max drawdown", lambda f: words.money(f.max_drawdown), None),
    ("Sharpe (annualised)", lambda f: words.number(f.sharpe), None),
    ("Orders / fills", lambda f: f"{f.orders:,} / {f.fills:,}", None),
    ("Orders with a fill", lambda f: words.percent(f.order_fill_ratio), None),
    ("Maker share", lambda f: words.percent(f.maker_share), None),
    ("Hit ratio", lambda f: words.percent(f.hit_ratio), None),
    ("Turnover", lambda f: words.money(f.turnover), None),
    ("Spread captured", lambda f: words.money(f.attribution.spread, signed=True), None),
    ("Adverse selection", lambda f: words.money(f.attribution.adverse_selection, signed=True), None),
    ("Mark-out 1 s, ticks", lambda f: words.number(f.mark_outs[1].ticks, 3, signed=True), None),
    ("Mark-out 10 s, ticks", lambda f: words.number(f.mark_outs[2].ticks, 3, signed=True), None),
    ("Refused by risk", lambda f: words.count(f.refused), None),
)


# the same for many strategies: one line each, so fewer figures
_COLUMNS: tuple[tuple[str, Callable[[Figures], str]], ...] = (
    ("Net P&L", lambda f: words.money(f.net, signed=True)),
    ("Fees", lambda f: words.money(f.fees)),
    ("Fills", lambda f: words.count(f.fills)),
    ("Maker", lambda f: words.percent(f.maker_share, 0)),
    ("Hits", lambda f: words.percent(f.hit_ratio, 0)),
    ("Mark-out", lambda f: words.number(f.mark_outs[2].ticks, 2, signed=True)),
)
MOST_COLUMNS = 2  # strategies side by side; more are listed one below the other


def summary_table(result: BacktestResult) -> Any:
    """The headline figures as a `rich.table.Table`: strategies side by side, or one below the other when many."""
    from rich import box
    from rich.table import Table

    found = result.statistics
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    currency = f" ({found.currency})" if found.currency else ""
    columns = list(found.strategies) + ([found.total] if len(found.strategies) != 1 else [])
    table.add_column(f"{'partial run' if result.partial else 'run'}{currency}", style="dim", no_wrap=True)
    if len(found.strategies) > MOST_COLUMNS:
        table.caption = "Mark-out: ticks, 10 s after a fill."
        table.caption_justify = "left"
        for name, _ in _COLUMNS:
            table.add_column(name, justify="right", no_wrap=True)
        for number, figures in enumerate(columns):
            if number == len(columns) - 1:
                table.add_section()
            cells = [write(figures) for _, write in _COLUMNS]
            table.add_row(figures.name, _coloured(cells[0], figures.net), *cells[1:])
        return table
    for figures in columns:
        table.add_column(figures.name, justify="right", no_wrap=True)
    for label, write, colour in _ROWS:
        table.add_row(label, *(_coloured(write(f), colour(f) if colour else math.nan) for f in columns))
    return table


def _coloured(text: str, value: float) -> Any:
    from rich.text import Text

    return Text(text, style="green" if value > 0 else "red" if value < 0 else "")
