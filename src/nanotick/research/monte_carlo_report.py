"""The report of a Monte Carlo study: fans, histograms and quantiles of profit and drawdown, and the risk of ruin."""

from __future__ import annotations

import math
from html import escape

import numpy as np

from nanotick.research import study_charts, words
from nanotick.research.bootstrap import QUANTILES, Distribution, Paths
from nanotick.research.monte_carlo import SHOWN, Market, MonteCarloResult
from nanotick.research.page import document, figure, section, signed, table, tiles

HALF = 470
_NAMES = {
    "net": "Net profit", "max_drawdown": "Max drawdown", "sharpe": "Sharpe, annualised", "fills": "Fills",
    "fees": "Fees", "mark_out_10s": "Mark-out 10 s, ticks",
}  # fmt: skip


def build_monte_carlo_report(result: MonteCarloResult, title: str | None = None) -> str:
    """The whole page as text."""
    strategies = " and ".join(c.name or c.use.rpartition(":")[2] for c in result.config.strategies)
    heading = title or f"Monte Carlo of {strategies}"
    about = [
        ", ".join(m.name for m in result.markets),
        f"{result.runs:,} runs",
        f"{len(result.resampled.profit.values):,} redrawn paths" if result.resampled else "",
    ]
    parts = [headline(result), notes(result)]
    if result.resampled is not None:
        parts.append(redrawn(result, result.resampled))
    parts += [market(result, m) for m in result.markets if len(m.outcomes) > 1]
    parts.append(meanings())
    badge = "partial: stopped before the last run" if result.partial else ""
    return document(heading, " · ".join(a for a in about if a), parts, badge)


def _headline_of(result: MonteCarloResult) -> tuple[str, Distribution, Distribution, Paths | None]:
    """What the figures on top are of: redrawn paths if there are any, else the market with the most runs."""
    if result.resampled is not None:
        return "redrawn paths", result.resampled.profit, result.resampled.drawdown, result.resampled
    most = max(result.markets, key=lambda m: len(m.outcomes))
    return most.name, most.distribution("net"), most.distribution("max_drawdown"), most.paths


def headline(result: MonteCarloResult) -> str:
    """The figures one asks for first."""
    name, profit, drawdown, paths = _headline_of(result)
    if not len(profit.values):
        return section("No result", "<p>No run came to an end.</p>")
    ruin = paths.ruin[0] if paths and paths.ruin else None
    return tiles(
        [
            ("Median profit", signed(profit.quantile(0.5)), escape(name)),
            ("Mean", words.money(profit.mean, signed=True), f"± {words.money(_error(profit))}"),
            ("5 % of paths are below", words.money(profit.quantile(0.05), signed=True), "profit at the end"),
            ("5 % are above", words.money(profit.quantile(0.95), signed=True), "profit at the end"),
            ("Probability of a loss", words.percent(float((profit.values < 0).mean())), "at the end"),
            ("Median drawdown", words.money(drawdown.quantile(0.5)), "largest on a path"),
            ("Drawdown, 95 %", words.money(drawdown.quantile(0.95)), "one path in twenty is worse"),
            (f"Loses {words.percent(ruin.share, 0)}" if ruin else "Ruin",
             words.percent(ruin.probability if ruin else math.nan, 2), "of the capital, at any time"),
            ("Capital", words.compact(result.capital), "at the start"),
        ]
    )  # fmt: skip


def _error(found: Distribution) -> float:
    return found.deviation / math.sqrt(len(found.values)) if len(found.values) > 1 else math.nan


def notes(result: MonteCarloResult) -> str:
    """What a reader must know, and runs that failed."""
    said = [*result.notes, *(f"{o.task.scenario} seed {o.task.seed}: {o.error}" for o in result.failed[:10])]
    if not said:
        return ""
    return f'<section class="note"><ul>{"".join(f"<li>{escape(s)}</li>" for s in said)}</ul></section>'


def redrawn(result: MonteCarloResult, paths: Paths) -> str:
    """The bootstrap of the run over recorded data."""
    what = "minutes" if result.step_s == 60.0 else f"steps of {result.step_s:g} s"
    what = what if result.resampled_of == "returns" else "closing fills"
    said = (
        f"{len(paths.profit.values):,} paths of {int(paths.steps[-1]):,} {what}, drawn from the run's own in blocks of "
        f"{words.number(paths.mean_block, 1)} on average. The black line is the run itself; the bands hold 50, 90 and "
        "98 % of the paths."
    )
    fan = section("Redrawn profit", _fan(result, paths, result.resampled_of == "returns"), said)
    return fan + _histograms(paths.profit, paths.drawdown) + _ruin(paths)


def _fan(result: MonteCarloResult, paths: Paths, timed: bool) -> str:
    last = max(1, int(paths.steps[-1]))
    places = paths.steps / last
    observed = (places, paths.observed) if len(paths.observed) else (np.empty(0), np.empty(0))
    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    ticks = [(s, _elapsed(s * last * result.step_s) if timed else f"{s * last:,.0f}") for s in shares]
    return figure(
        lambda w: study_charts.fan_chart(
            w, 300 if w > 500 else 230, places, paths.fan, observed, ticks if w > 500 else ticks[::2], "Fan of profit"
        )
    )


def _elapsed(seconds: float) -> str:
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.1f} h"


def _histograms(profit: Distribution, drawdown: Distribution) -> str:
    marks = [(profit.quantile(0.05), "5 %"), (profit.quantile(0.5), "median")]
    left = section(
        "Profit at the end",
        figure(lambda w: study_charts.even_histogram(w, 200, profit.values, "Profit at the end", marks=marks), HALF),
    )
    deep = [(drawdown.quantile(0.95), "95 %")]
    right = section(
        "Largest drawdown",
        figure(
            lambda w: study_charts.even_histogram(
                w, 200, drawdown.values, "Largest drawdown", signed=False, marks=deep
            ),
            HALF,
        ),
    )
    return f'<div class="two">{left}{right}</div>'


def _ruin(paths: Paths) -> str:
    rows = [
        [words.percent(r.share, 0), words.percent(r.probability, 2), f"± {words.percent(r.error, 2)}"]
        for r in paths.ruin
    ]
    quantiles = [
        [
            words.percent(q, 0),
            words.money(paths.profit.quantile(q), signed=True),
            words.money(paths.drawdown.quantile(q)),
        ]
        for q in QUANTILES
    ]
    left = section("Risk of ruin", table(("Share of the capital lost", "Probability", "Error"), rows))
    right = section("Quantiles", table(("Share of paths below", "Profit", "Drawdown"), quantiles))
    return f'<div class="two top">{left}{right}</div>'


def market(result: MonteCarloResult, found: Market) -> str:
    """The runs of one market."""
    rows = []
    for name in SHOWN:
        spread = found.distribution(name)
        if len(spread.values):
            places = 0 if name == "fills" else 2
            cells = [spread.mean, spread.deviation, *(spread.quantile(q) for q in (0.05, 0.5, 0.95))]
            rows.append([_NAMES[name], *(words.number(v, places) for v in cells)])
    head = ("", "Mean", "Deviation", "5 %", "Median", "95 %")
    said = f"{len(found.outcomes):,} runs, seeds {found.outcomes[0].task.seed} to {found.outcomes[-1].task.seed}."
    body = section(found.name, table(head, rows), said)
    if found.paths is not None and np.ptp(found.distribution("net").values) > 0:  # else every run was the same
        body += section(
            "Profit over time", _fan(result, found.paths, True), "The bands hold 50, 90 and 98 % of the runs."
        )
        body += _histograms(found.distribution("net"), found.distribution("max_drawdown"))
    return body


def meanings() -> str:
    """How the figures are defined."""
    text = (
        "Redrawn paths come from the stationary bootstrap (Politis and Romano 1994): blocks of random length from "
        "random places of the run's own series, their mean length after Politis and White (2004). They show what the "
        "same returns in another order could have come to, not what another market would have brought; for that there "
        "are scenarios. Ruin: at some time on the path that share of the starting capital was lost."
    )
    return f"<section><details><summary>What the figures mean</summary><p>{text}</p></details></section>"
