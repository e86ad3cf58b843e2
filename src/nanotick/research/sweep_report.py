"""The report of a sweep: the best and whether to believe it, heat maps, the table of configurations, the best run."""

from __future__ import annotations

import itertools
import math
from html import escape

import numpy as np

from nanotick.research import charts, study_charts, words
from nanotick.research.axes import TimeAxis
from nanotick.research.charts import Line
from nanotick.research.page import document, figure, legend, section, signed, table, tiles
from nanotick.research.study_tables import credibility_sentences, robustness_sentence, score_text, value_text
from nanotick.research.sweep_result import Credibility, SweepResult

MOST_MAPS = 6
MOST_ROWS = 60
MOST_CURVES = 7
HALF = 470


def build_sweep_report(result: SweepResult, title: str | None = None) -> str:
    """The whole page as text."""
    names = ", ".join(a.name for a in result.axes)
    strategies = " and ".join(c.name or c.use.rpartition(":")[2] for c in result.config.strategies)
    heading = title or f"{result.word} of {strategies} over {names}"
    about = [
        f"{len(result.outcomes):,} runs of {len(result.configurations):,} configurations",
        f"{len(result.seeds)} seeds" if len(result.seeds) > 1 else "",
        ", ".join(list(result.data)[:6]),
        f"{result.seconds:.1f} s on {result.workers} workers",
    ]
    badge = f"partial: {len(result.outcomes):,} of {result.total:,} runs" if result.partial else ""
    parts = [
        headline(result),
        belief(result),
        curves(result),
        maps(result) if all(axis.values for axis in result.axes) else history(result),
        configurations(result),
        failures(result),
        meanings(),
    ]
    return document(heading, " · ".join(a for a in about if a), parts, badge)


def headline(result: SweepResult) -> str:
    """The best configuration and the figures one asks for first."""
    best, found = result.best, result.credibility
    if best is None:
        return section("No result", "<p>No configuration has a value of the objective.</p>")
    over = found.overfitting if found else None
    robust = result.robustness
    return tiles(
        [
            (f"Best {escape(result.objective.text)}", score_text(best.score), escape(best.text)),
            ("Net profit", signed(best.mean("net")), "of the best"),
            ("Deflated Sharpe ratio", words.number(found.deflated if found else math.nan, 3), "probability of skill"),
            ("Overfitting", words.percent(over.probability if over else math.nan, 0), "probability, by CSCV"),
            ("Kept by neighbours", words.percent(robust.kept if robust else math.nan, 0), "of the best value"),
            ("Sharpe, annualised", words.number(best.mean("sharpe")), "of the best"),
            ("Max drawdown", words.money(best.mean("max_drawdown")), "of the best"),
            ("Fills", words.number(best.mean("fills"), 0), "of the best"),
            ("Independent trials", words.number(found.independent_trials if found else math.nan, 1),
             f"of {len(result.configurations):,} configurations"),
        ]
    )  # fmt: skip


def belief(result: SweepResult) -> str:
    """Deflated Sharpe ratio and probability of overfitting, with what they rest on."""
    found = result.credibility
    said = "".join(f"<p>{escape(s)}</p>" for s in [*credibility_sentences(found), robustness_sentence(result)] if s)
    if found is None:
        return section("Can it be believed?", said)
    rows = [
        ["Sharpe ratio of the best, a step", words.number(found.sharpe, 4)],
        ["Expected best of as many without skill", words.number(found.expected_maximum, 4)],
        ["Deviation across configurations", words.number(found.sharpe_deviation, 4)],
        ["Steps of returns", words.count(found.observations)],
        ["Steps needed for 95 %, were it the only one", _steps(found.minimum_observations)],
        ["Probability of skill, were it the only one", words.number(found.probabilistic, 4)],
        ["Deflated Sharpe ratio", words.number(found.deflated, 4)],
        ["The same over independent trials", words.number(found.deflated_independent, 4)],
    ]
    return section("Can it be believed?", said + table(("", ""), rows)) + _overfitting(found)


def _steps(value: float) -> str:
    return "never" if math.isinf(value) else words.count(value)


def _overfitting(found: Credibility) -> str:
    over = found.overfitting
    if over is None:
        return ""
    logits = section(
        "Rank outside of the best inside",
        figure(
            lambda w: study_charts.even_histogram(
                w,
                190,
                over.logits,
                "Logits of the rank outside",
                lambda v: words.number(v, 1),
                marks=[(0.0, "median")],
                zero=True,
            ),
            HALF,
        ),
        f"Logit of the rank, over {over.combinations:,} ways to halve {over.blocks} blocks of time. Below zero: the "
        "choice was worse than the median.",
    )
    decay = section(
        "Performance outside against inside",
        figure(
            lambda w: study_charts.scatter(
                w, 190, over.inside, over.outside, ("inside", "outside"), "Sharpe ratio outside against inside",
                (over.intercept, over.slope),
            ),
            HALF,
        ),
        f"Sharpe ratio a step of what was chosen. Slope {words.number(over.slope)}; it lost money outside in "
        f"{words.percent(over.loss_probability, 0)} of the cases.",
    )  # fmt: skip
    return f'<div class="two">{logits}{decay}</div>'


def curves(result: SweepResult) -> str:
    """Profit of the best configurations over time, and the best run in full."""
    ts, returns, kept = result.returns
    if not len(ts) or result.best is None:
        return ""
    axis = TimeAxis(ts)
    lines = []
    for place, configuration in enumerate(c for c in result.ranked[:MOST_CURVES] if c in kept):
        profit = np.cumsum(returns[:, kept.index(configuration)])
        lines.append(Line(configuration.text, ts, profit, f"s{place}"))
    body = legend((line.name, line.style) for line in lines)
    body += figure(lambda w: charts.line_chart(w, 300 if w > 500 else 230, axis, lines, "Profit over time", zero=True))
    said = "Net of fees; mean over the seeds." if len(result.seeds) > 1 else "Net of fees."
    return section("The best over time", body, said)


def maps(result: SweepResult) -> str:
    """The objective over every pair of parameters, the others held at the best; over one, as a line."""
    surface, best = result.surface, result.surface.best
    if best is None:
        return ""
    labels = [[value_text(v) for v in axis.values] for axis in result.axes]
    shown = [i for i, axis in enumerate(result.axes) if len(axis.values) > 1]
    if len(shown) == 1:
        [x] = shown
        values = surface.line(x, best).tolist()
        body = figure(
            lambda w: charts.profile(
                w, 240, labels[x], [(result.objective.text, "s0", values)], "Objective over the parameter", score_text
            )
        )
        return section(f"{result.objective.text} over {result.axes[x].name}", body)
    parts = []
    for x, y in list(itertools.combinations(shown, 2))[:MOST_MAPS]:
        values_xy = surface.slice(x, y, best)
        names = (result.axes[x].name, result.axes[y].name)
        others = [
            f"{a.name} {value_text(a.values[best[i]])}"
            for i, a in enumerate(result.axes)
            if i in shown and i not in (x, y)
        ]

        def draw(w: int, v: object = values_xy, x: int = x, y: int = y, names: tuple[str, str] = names) -> str:
            return study_charts.heat_map(
                w, v, labels[x], labels[y], names, (best[y], best[x]), "Heat map", score_text,  # type: ignore[arg-type]
            )  # fmt: skip

        body = figure(draw)
        said = f"The best is outlined{'; ' + ', '.join(others) + ' held' if others else ''}."
        parts.append(section(f"{result.objective.text} over {names[0]} and {names[1]}", body, said))
    left_out = len(shown) * (len(shown) - 1) // 2 - len(parts)
    if left_out > 0:
        parts.append(f'<p class="said">{left_out} further pairs of parameters are not drawn.</p>')
    return "".join(parts)


def history(result: SweepResult) -> str:
    """The objective of every finished run in order, and the best so far: for searches, which have no grid."""
    scores = [math.nan if o.error else result.objective(o.statistics) for o in result.outcomes]
    known = np.array([s for s in scores if not math.isnan(s)])
    if not len(known):
        return ""
    at = np.arange(1.0, len(known) + 1)
    best = [*np.maximum.accumulate(known).tolist()]
    body = figure(
        lambda w: study_charts.scatter(
            w, 240, at, known, ("run", result.objective.text), "Objective of each run", best=np.array(best)
        )
    )
    return section("The search", body, "Every run that was not given up, in order; the line is the best so far.")


def configurations(result: SweepResult) -> str:
    """The best configurations as a table."""
    rows = []
    for configuration in result.ranked[:MOST_ROWS]:
        rows.append(
            [
                *(escape(value_text(v)) for _, v in configuration.settings),
                score_text(configuration.score),
                signed(configuration.mean("net")),
                words.number(configuration.mean("sharpe")),
                words.number(configuration.mean("sortino")),
                words.money(configuration.mean("max_drawdown")),
                words.number(configuration.mean("fills"), 0),
                words.percent(configuration.mean("maker_share")),
                words.percent(configuration.mean("hit_ratio")),
                words.number(configuration.mean("probabilistic_sharpe"), 3),
            ]
        )
    head = (
        *(escape(a.name) for a in result.axes), escape(result.objective.text), "Net", "Sharpe", "Sortino", "Drawdown",
        "Fills", "Maker", "Hits", "PSR",
    )  # fmt: skip
    rest = len(result.configurations) - MOST_ROWS
    said = f"The best {MOST_ROWS} of {len(result.configurations):,}." if rest > 0 else ""
    return section("Configurations", table(head, rows), said, long=True)


def failures(result: SweepResult) -> str:
    """Runs that ended in an error."""
    if not result.failed:
        return ""
    rows = [
        [
            " ".join(f"{escape(k)} {escape(value_text(v))}" for k, v in o.task.settings),
            str(o.task.seed),
            escape(o.error),
        ]
        for o in result.failed[:20]
    ]
    said = (
        f"{len(result.failed):,} of {len(result.outcomes):,} runs{'; the first 20' if len(result.failed) > 20 else ''}."
    )
    return section("Failed", table(("Settings", "Seed", "Error"), rows, text=(2,)), said)


_MEANINGS = (
    (
        "Deflated Sharpe ratio",
        "Probability that the true Sharpe ratio of the best is above zero, given how many were tried and how much they "
        "differ, the length of the data, skewness and kurtosis. Bailey and Lopez de Prado (2014). Above 0.95 is the "
        "usual demand. Configurations that resemble each other are worth fewer independent trials; both counts are "
        "given, the plain one is the stricter.",
    ),
    (
        "Probability of backtest overfitting",
        "The returns are cut into blocks of time; for every choice of half of them the best there is ranked in the "
        "other half. The share of choices that end at or below the median. Bailey, Borwein, Lopez de Prado and Zhu "
        "(2017). One half is a coin toss.",
    ),
    (
        "Kept by neighbours",
        "Mean of the cells one step away over the best value: near 100 % the best stands on a plateau, near 0 % on a "
        "spike.",
    ),
    ("PSR", "Probabilistic Sharpe ratio: probability of a true ratio above zero, taken by itself."),
)  # fmt: skip


def meanings() -> str:
    """How the figures are defined."""
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in _MEANINGS)
    inner = f'<summary>What the figures mean</summary><dl class="meaning">{items}</dl>'
    return f"<section><details>{inner}</details></section>"
