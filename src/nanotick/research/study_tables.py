"""Studies in the terminal: rich tables and the sentences under them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nanotick.research import words

if TYPE_CHECKING:
    from nanotick.research.sweep_result import Configuration, Credibility, SweepResult


def value_text(value: Any) -> str:
    """A parameter's value for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def score_text(value: float) -> str:
    """A score with as many places as it is worth."""
    return words.number(value, 0 if abs(value) >= 10_000 else 2 if abs(value) >= 10 else 3)


def sweep_table(result: SweepResult, most: int) -> Any:
    """The best configurations, the best first."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for axis in result.axes:
        table.add_column(axis.name, justify="right", no_wrap=True)
    shown = ("net", "sharpe", "max_drawdown", "fills")
    if result.objective.text not in shown:
        table.add_column(result.objective.text[:24], justify="right", style="bold", no_wrap=True)
    for title in ("Net P&L", "Sharpe", "Drawdown", "Fills"):
        table.add_column(title, justify="right", no_wrap=True)
    for configuration in result.ranked[:most]:
        cells = [value_text(v) for _, v in configuration.settings]
        if result.objective.text not in shown:
            cells.append(score_text(configuration.score))
        table.add_row(*cells, *_figures(configuration))
    rest = len(result.ranked) - most
    if rest > 0:
        table.caption = f"{rest:,} more in the table of runs."
        table.caption_justify = "left"
    return table


def _figures(configuration: Configuration) -> list[str]:
    return [
        words.money(configuration.mean("net"), signed=True),
        words.number(configuration.mean("sharpe")),
        words.money(configuration.mean("max_drawdown")),
        words.number(configuration.mean("fills"), 0),
    ]


def credibility_sentences(found: Credibility | None) -> list[str]:
    """What the figures say, in words that claim no more than they do."""
    if found is None:
        return ["No configuration has a value of the objective: there is nothing to judge."]
    said = []
    if not math.isnan(found.deflated):
        said.append(
            f"Deflated Sharpe ratio {words.number(found.deflated, 3)}: probability that the best of "
            f"{found.trials:,} configurations has a true Sharpe ratio above zero "
            f"({words.number(found.deflated_independent, 3)} if they are worth "
            f"{words.number(found.independent_trials, 1)} independent ones; {words.number(found.probabilistic, 3)} "
            "were it the only one tried)."
        )
    if found.overfitting is not None:
        over = found.overfitting
        said.append(
            f"Probability of backtest overfitting {words.percent(over.probability, 0)}: so often was the best of one "
            f"half of the data in the worse half of the other, over {over.combinations:,} ways to halve it."
        )
    elif found.why_not:
        said.append(f"No probability of overfitting: {found.why_not}.")
    return said


def robustness_sentence(result: SweepResult) -> str:
    """The best cell and its neighbours, in a sentence; empty without a grid to speak of."""
    found = result.robustness
    if found is None or not found.neighbours:
        return ""
    text = f"Neighbours of the best keep {words.percent(found.kept, 0)} of it" if found.best > 0 else "Neighbours"
    text += f" (mean {score_text(found.mean)}, worst {score_text(found.worst)}, {found.neighbours} of them)."
    if found.on_edge:
        text += f" The best lies at the end of {', '.join(found.on_edge)}: look further."
    return text
