"""The report of a walk-forward: the stitched tests, what was chosen when, and what became of it."""

from __future__ import annotations

import math
from html import escape

import numpy as np

from nanotick.research import charts, words
from nanotick.research.axes import TimeAxis
from nanotick.research.charts import Line
from nanotick.research.page import document, figure, section, signed, table, tiles
from nanotick.research.study_tables import score_text, value_text
from nanotick.research.walk_forward import WalkForwardResult

HALF = 470


def build_walk_forward_report(result: WalkForwardResult, title: str | None = None) -> str:
    """The whole page as text."""
    strategies = " and ".join(c.name or c.use.rpartition(":")[2] for c in result.config.strategies)
    heading = title or f"Walk-forward of {strategies}"
    about = [
        f"{len(result.steps)} steps, {'anchored' if result.anchored else 'rolling'}",
        f"{result.runs:,} runs",
        ", ".join(list(result.data)[:6]),
    ]
    parts = [headline(result), curve(result), decay(result), steps(result), skipped(result), meanings()]
    badge = "partial: stopped before the last step" if result.partial else ""
    return document(heading, " · ".join(a for a in about if a), parts, badge)


def headline(result: WalkForwardResult) -> str:
    """Figures of the stitched tests."""
    found = result.figures
    needed = found["minimum_observations"]
    return tiles(
        [
            ("Net profit, outside", signed(found["net"]), "all tests, one after the other"),
            ("Sharpe, annualised", words.number(found["sharpe"]), "of the stitched tests"),
            ("Max drawdown", words.money(found["max_drawdown"]), "of the stitched tests"),
            ("Efficiency", words.percent(found["efficiency"], 0), "profit an hour outside over inside"),
            ("Tests with a gain", words.percent(found["positive_steps"], 0), f"of {len(result.steps)}"),
            ("Probability of skill", words.number(found["probabilistic_sharpe"], 3), "probabilistic Sharpe ratio"),
            ("Steps of returns", words.count(found["observations"]),
             f"{'never' if math.isinf(needed) else words.count(needed)} needed for 95 %"),
            (f"{escape(result.objective.text)}, inside", score_text(found["inside_score"]), "mean of the chosen"),
            (f"{escape(result.objective.text)}, outside", score_text(found["outside_score"]), "mean of the tests"),
        ]
    )  # fmt: skip


def curve(result: WalkForwardResult) -> str:
    """Profit of the tests, one after the other."""
    ts, values = result.stitched
    if not len(ts):
        return section("Profit outside", "<p>No test has a return series.</p>")
    axis = TimeAxis(ts)
    line = Line("outside", ts, np.cumsum(values), "s0", filled=True)
    body = figure(lambda w: charts.line_chart(w, 300 if w > 500 else 230, axis, [line], "Profit outside", zero=True))
    return section("Profit outside", body, "Only what came after each choice; every test starts flat. Net of fees.")


def decay(result: WalkForwardResult) -> str:
    """What the objective was inside and outside, step by step."""
    if not result.steps:
        return ""
    names = [str(n) for n in range(1, len(result.steps) + 1)]
    series = [
        ("inside", "s2", [s.chosen.score for s in result.steps]),
        ("outside", "s0", [s.outside.score for s in result.steps]),
    ]
    body = '<ul class="legend"><li class="c-s2"><i></i>inside</li><li class="c-s0"><i></i>outside</li></ul>'
    body += figure(lambda w: charts.profile(w, 190, names, series, "Inside and outside", score_text), HALF)
    left = section(f"{result.objective.text}, step by step", body)
    items = [(n, s.outside.mean("net")) for n, s in zip(names, result.steps, strict=True)]
    shown = figure(lambda w: charts.columns(w, 190, items, "Net profit of each test", words.compact), HALF)
    return f'<div class="two">{left}{section("Net profit of each test", shown)}</div>'


def steps(result: WalkForwardResult) -> str:
    """Every step with what was chosen."""
    rows = []
    for number, step in enumerate(result.steps, 1):
        rows.append(
            [
                str(number),
                words.moment(step.window.test_start),
                words.moment(step.window.test_end),
                *(escape(value_text(v)) for _, v in step.chosen.settings),
                score_text(step.chosen.score),
                score_text(step.outside.score),
                signed(step.outside.mean("net")),
                words.money(step.outside.mean("max_drawdown")),
                words.number(step.outside.mean("fills"), 0),
            ]
        )
    head = (
        "Step", "Test from", "to (UTC)", *(escape(a.name) for a in result.axes), "Inside", "Outside", "Net", "Drawdown",
        "Fills",
    )  # fmt: skip
    said = (
        f"Inside and outside: {result.objective.text}. Each was chosen among {result.steps[0].compared:,}."
        if rows
        else ""
    )
    return section("Steps", table(head, rows), escape(said), long=True)


def skipped(result: WalkForwardResult) -> str:
    """Steps without a result, and runs that failed."""
    said = [*result.skipped, *(f"run {o.task.number}: {o.error}" for o in result.failed[:10])]
    if not said:
        return ""
    items = "".join(f"<li>{escape(s)}</li>" for s in said)
    return f'<section class="note"><h2>Left out</h2><ul>{items}</ul></section>'


def meanings() -> str:
    """How the figures are defined."""
    text = (
        "The data is cut into pieces of equal trading time. Each step chooses the best configuration in the pieces "
        "before its test, less what was purged, and trades it in the test. Efficiency is the profit an hour outside "
        "over that inside (Pardo 2008). The probability of skill is that of a true Sharpe ratio above zero over the "
        "stitched tests (Bailey and Lopez de Prado 2012); nothing was chosen there, so it needs no deflation."
    )
    return f"<section><details><summary>What the figures mean</summary><p>{text}</p></details></section>"
