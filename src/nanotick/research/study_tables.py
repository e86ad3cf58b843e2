"""Studies in the terminal: rich tables and the sentences under them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nanotick.research import words

if TYPE_CHECKING:
    from nanotick.research.monte_carlo import MonteCarloResult
    from nanotick.research.sweep_result import Configuration, Credibility, SweepResult
    from nanotick.research.walk_forward import WalkForwardResult


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


def walk_forward_table(result: WalkForwardResult) -> Any:
    """Every step: what was chosen, and what it came to inside and outside."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("Test from (UTC)", style="dim", no_wrap=True)
    for axis in result.axes:
        table.add_column(axis.name, justify="right", no_wrap=True)
    for title in ("Inside", "Outside", "Net P&L", "Fills"):
        table.add_column(title, justify="right", no_wrap=True)
    for step in result.steps:
        table.add_row(
            words.moment(step.window.test_start),
            *(value_text(v) for _, v in step.chosen.settings),
            score_text(step.chosen.score),
            score_text(step.outside.score),
            words.money(step.outside.mean("net"), signed=True),
            words.number(step.outside.mean("fills"), 0),
        )
    table.caption = f"Inside and outside: {result.objective.text}."
    table.caption_justify = "left"
    return table


def walk_forward_sentences(result: WalkForwardResult) -> list[str]:
    """The stitched tests, in a sentence or two."""
    if not result.steps:
        return ["No step has a result.", *result.skipped]
    found = result.figures
    said = (
        f"Outside, all tests together: {words.money(found['net'], signed=True)}, Sharpe "
        f"{words.number(found['sharpe'])}, largest drawdown {words.money(found['max_drawdown'])}; "
        f"{words.percent(found['positive_steps'], 0)} of {len(result.steps)} tests gained. "
        f"Probability of skill {words.number(found['probabilistic_sharpe'], 3)}."
    )
    efficiency = found["efficiency"]
    if not math.isnan(efficiency):
        said += f" Profit an hour outside is {words.percent(efficiency, 0)} of that inside."
    return [said, *result.skipped]


def monte_carlo_table(result: MonteCarloResult) -> Any:
    """Quantiles of profit and drawdown of every market and of the redrawn paths."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("", style="dim")
    for title in ("Paths", "Mean", "5 %", "Median", "95 %"):
        table.add_column(title, justify="right", no_wrap=True)
    rows = [(m.name, name, m.distribution(key)) for m in result.markets for name, key in _DRAWN]
    if result.resampled is not None:
        said = f"redrawn {result.resampled_of}"
        rows += [(said, "net", result.resampled.profit), (said, "drawdown", result.resampled.drawdown)]
    for name, what, found in rows:
        cells = [found.mean, *(found.quantile(q) for q in (0.05, 0.5, 0.95))]
        table.add_row(
            f"{name}, {what}", f"{len(found.values):,}", *(words.money(v, signed=what == "net") for v in cells)
        )
    return table


_DRAWN = (("net", "net"), ("drawdown", "max_drawdown"))


def ruin_sentences(result: MonteCarloResult) -> list[str]:
    """Risk of ruin of the redrawn paths."""
    if result.resampled is None:
        return list(result.notes)
    parts = [f"{words.percent(r.share, 0)}: {words.percent(r.probability, 2)}" for r in result.resampled.ruin]
    block = words.number(result.resampled.mean_block, 1)
    return [f"Probability to lose, at some time, of the capital {', '.join(parts)} (blocks of {block}).", *result.notes]
