"""One picture of a run as an SVG file that stands alone: profit above, price with fills below. Light and dark."""

from __future__ import annotations

from html import escape
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nanotick.core.files import write_text
from nanotick.research import charts, words
from nanotick.research.report_data import ReportData

if TYPE_CHECKING:
    from nanotick.research.results import BacktestResult

WIDTH, PROFIT_HEIGHT, PRICE_HEIGHT = 960, 230, 250
_HEAD = 62


def _nested(drawing: str, y: int) -> str:
    """A chart's drawing placed inside another one, without what only a page needs."""
    opening, rest = drawing.split(">", 1)  # the crosshair's data stays behind: no script runs in a picture
    box = opening.split('viewBox="', 1)[1].split('"', 1)[0]
    width, height = box.split()[2:]
    return f'<svg x="0" y="{y}" width="{width}" height="{height}" viewBox="{box}">{rest}'


def build_picture(result: BacktestResult) -> str:
    """The picture as SVG text."""
    data = ReportData(result)
    lines = data.equity_lines()
    profit = charts.line_chart(WIDTH, PROFIT_HEIGHT, data.axis, lines, "Profit over time", zero=True)
    height = _HEAD + PROFIT_HEIGHT
    parts = [_nested(profit, _HEAD)]
    busiest = max(data.drawn, key=lambda n: result.statistics.instruments[n].fills, default=None)
    if busiest is not None:
        item = result.instruments[busiest]
        ts, bid, ask = data.quotes(busiest)
        fills = result.fills_of(instrument=busiest)
        shown = tuple(np.asarray(fills[n]) for n in ("ts_recv", "price_float", "qty_float", "side"))
        price = charts.price_chart(
            WIDTH, PRICE_HEIGHT, data.axis, ts, bid, ask, shown, "Price with fills",  # type: ignore[arg-type]
            lambda v: words.number(v, min(item.price_decimals, 8)),
        )  # fmt: skip
        caption = f"{item.symbol}: best bid to best ask, and what was bought and sold"
        parts.append(f'<text class="name" x="24" y="{height + 26}">{escape(caption)}</text>')
        parts.append(_nested(price, height + 34))
        height += 34 + PRICE_HEIGHT
    total = result.statistics.total
    title = f"Profit after fees, {data.currency}" if data.currency else "Profit after fees"
    said = f"{result.output.counters.events:,} events, {total.orders:,} orders, {total.fills:,} fills"
    x, keys = 24, []
    for line in lines:
        keys.append(f'<path class="line {line.style}" d="M{x} 47h16"/><text class="tick" x="{x + 22}" y="51">')
        keys.append(f"{escape(line.name)}</text>")
        x += 34 + round(5.7 * len(line.name))
    style = (
        resources.files("nanotick.research").joinpath("report.css").read_text("utf-8").split("@media (max-width", 1)[0]
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height + 8}" '
        f'viewBox="0 0 {WIDTH} {height + 8}" '
        f'font-family="system-ui, -apple-system, Segoe UI, Roboto, Arial, sans-serif"><style>{escape(style)}</style>'
        f'<rect width="100%" height="100%" rx="12" style="fill:var(--card)"/>'
        f'<text class="name total" style="font-size:16px" x="24" y="28">{escape(title)}</text>'
        f'<text class="tick" x="{WIDTH - 24}" y="28" text-anchor="end">{escape(said)}</text>'
        f"{''.join(keys)}{''.join(parts)}</svg>\n"
    )


def write_picture(result: BacktestResult, path: Path) -> Path:
    """Write the picture, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_text(path, build_picture(result))
