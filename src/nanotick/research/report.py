"""The report: one HTML file that needs nothing else, to be read on a screen, on a phone, on paper, or by an investor.

No script is needed to read it, nothing is fetched, and every word that comes from outside (names, parameters, paths) is
escaped. Charts are drawn twice, wide and narrow, and the style sheet shows the one that fits.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nanotick.core.files import write_text
from nanotick.research import report_sections as sections
from nanotick.research import words
from nanotick.research.page import document
from nanotick.research.report_data import ReportData

if TYPE_CHECKING:
    from nanotick.research.results import BacktestResult


def build_report(result: BacktestResult, title: str | None = None) -> str:
    """The whole page as text.

    Parameters
    ----------
    title : str, optional
        The names of the strategies by default.
    """
    data = ReportData(result)
    names = [name.replace("_", " ") for name in data.groups]
    heading = title or (" and ".join(names) if len(names) <= 3 else f"{len(names)} strategies") or "backtest"
    heading = heading[:1].upper() + heading[1:]
    symbols = [i.symbol for i in result.instruments]
    shown = ", ".join(symbols[:8]) + (f" and {len(symbols) - 8} more" if len(symbols) > 8 else "")
    counters, zone = result.output.counters, data.zone_words
    period = ""
    if counters.first_ts:
        first, last = (words.moment(ts, data.local_offset(ts)) for ts in (counters.first_ts, counters.last_ts))
        period = f"{first} to {last}{zone}"
    about = " · ".join(part for part in (shown, period, f"{counters.events:,} events") if part)
    badge = "partial: stopped before the end of the data" if result.partial else ""
    parts = [
        sections.headline(data),
        sections.silence(data),
        sections.equity(data),
        sections.strategies(data),
        sections.attribution(data),
        sections.markets(data),
        sections.quality(data),
        sections.orders(data),
        sections.refusals(data),
        sections.parameters(data),
        sections.provenance(data),
        sections.meanings(data),
    ]
    return document(heading, about, parts, badge)


def write_report(result: BacktestResult, path: Path, title: str | None = None) -> Path:
    """Write the report, whole or not at all."""
    return write_text(path, build_report(result, title))
