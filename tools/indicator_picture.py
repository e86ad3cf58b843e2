"""Draw the picture of docs/indicators.md: `python -m tools.indicator_picture`; `--check` exits 1 if it is not current.

Twenty minutes of one instrument of the seeded synthetic day: its executions go through the indicators as arrays, and
every fourth second is drawn.
"""

from __future__ import annotations

import argparse
import sys
from html import escape
from importlib import resources
from pathlib import Path

import numpy as np

import nanotick as nt
from nanotick.core.records import Kind
from nanotick.data.synthetic import synthetic_day
from nanotick.research.axes import TimeAxis
from nanotick.research.charts import Line, line_chart
from nanotick.research.words import number
from tools.strategy_pages import lean

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "images" / "indicators.svg"
SEED, SECONDS, SYMBOL = 7, 1_200, "GAMA"
EVERY = 4 * nt.SECOND
WINDOW = 100
WIDTH, HEAD, HEIGHTS = 960, 40, (260, 120, 120)


def panels() -> list[tuple[str, list[Line]]]:
    """What is drawn: a caption and the lines of each chart."""
    day = synthetic_day(seed=SEED, seconds=SECONDS)
    wanted = next(n for n, item in enumerate(day.instruments) if item.symbol == SYMBOL)
    rows = day.events[(day.events["instrument"] == wanted) & (day.events["kind"] == int(Kind.EXECUTE))]
    scale = 10.0 ** day.instruments[wanted].price_decimals
    price, qty, ts = rows["price"] / scale, rows["qty"].astype(float), rows["ts_venue"].astype(np.int64)
    times = np.arange(ts[0] + EVERY, ts[-1], EVERY)
    at = np.searchsorted(ts, times, "right") - 1

    def line(name: str, values: np.ndarray, style: str) -> Line:
        return Line(name, times, values[at], style)

    upper, lower = (nt.Bollinger(WINDOW).run(price, output=o) for o in ("upper", "lower"))
    band = f"Bollinger({WINDOW})"
    return [
        (
            f"{SYMBOL}, each trade an update",
            [
                line("price", price, "all"),
                line(f"EMA({WINDOW})", nt.EMA(WINDOW).run(price), "s0"),
                line(f"{band} upper", upper, "s1"),
                line("lower", lower, "s1"),
                line(f"Donchian({WINDOW}) upper", nt.Donchian(WINDOW).run(price, price, output="upper"), "s2"),
                line("lower", nt.Donchian(WINDOW).run(price, price, output="lower"), "s2"),
            ],
        ),
        ("", [line(f"ZScore({WINDOW})", nt.ZScore(WINDOW).run(price), "s3")]),
        ("", [line("VPIN(3000, 10)", nt.VPIN(3_000.0, 10).run(price, qty, rows["side"].astype(np.int64)), "s4")]),
    ]


def keys(lines: list[Line], x: int, y: int) -> str:
    """A legend in one row; lines of one colour are named once."""
    parts, seen = [], set()
    for line in lines:
        if line.style in seen:
            continue
        seen.add(line.style)
        name = " and ".join(other.name for other in lines if other.style == line.style)
        parts.append(f'<path class="line {line.style}" d="M{x} {y - 4}h16"/>')
        parts.append(f'<text class="tick" x="{x + 22}" y="{y}">{escape(name)}</text>')
        x += 40 + round(6.0 * len(name))
    return "".join(parts)


def draw() -> str:
    """The picture as SVG text."""
    made = panels()
    axis = TimeAxis(np.concatenate([lines[0].ts for _, lines in made]))
    parts, y = [], 0
    for (caption, lines), height in zip(made, HEIGHTS, strict=True):
        left = 24
        if caption:
            parts.append(f'<text class="name" x="24" y="{y + 26}">{escape(caption)}</text>')
            left += 30 + round(6.6 * len(caption))
        parts.append(keys(lines, left, y + 26))
        y += HEAD
        chart = line_chart(WIDTH, height, axis, lines, lines[0].name, lambda v: number(v, 2))
        inner = chart.split(">", 1)[1]  # without the crosshair's data: no script runs in a picture
        parts.append(f'<svg y="{y}" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">{inner}')
        y += height
    style = resources.files("nanotick.research").joinpath("report.css").read_text("utf-8").split("@media (max-width")[0]
    return lean(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 8}" viewBox="0 0 {WIDTH} {y + 8}" '
        f'font-family="system-ui, -apple-system, Segoe UI, Roboto, Arial, sans-serif"><style>{style}</style>'
        f'<rect width="100%" height="100%" rx="12" style="fill:var(--card)"/>{"".join(parts)}</svg>\n'
    )


def current() -> bool:
    """Whether the file shows what the indicators give; its colours follow those of reports at the next drawing."""
    return PICTURE.exists() and PICTURE.read_text("utf-8").split("</style>")[1] == draw().split("</style>")[1]


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if the picture is not current")
    if parser.parse_args().check:
        if not current():
            print("docs/images/indicators.svg is not current: run python -m tools.indicator_picture")
            return 1
        return 0
    PICTURE.write_text(draw(), "utf-8")
    print(f"docs/images/indicators.svg  {PICTURE.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
