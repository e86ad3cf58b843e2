"""The curves behind stylised facts as one SVG file: a panel a fact, a colour a market."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nanotick.exchange.agents.facts import FactSheet

Floats = npt.NDArray[np.float64]
COLOURS = ("#1f6feb", "#d9480f", "#2b8a3e")
_WIDE, _HIGH, _COLUMNS, _HEAD = 300, 210, 3, 44
_PANELS = (
    ("tail", "Tail of |returns|", "standard deviations", True, True),
    ("returns", "Autocorrelation of returns", "lag, s", False, False),
    ("volatility", "Autocorrelation of |returns|", "lag, s", False, False),
    ("signs", "Autocorrelation of order signs", "lag, market orders", True, False),
    ("impact", "Impact of signed volume", "volume over its mean", True, True),
    ("spread", "Time at a spread", "ticks", True, True),
    ("depth", "Mean book", "ticks from the opposite best", False, False),
    ("volume", "Volume over the day", "thirteenth of the session", False, False),
)


def _scaled(values: Floats, low: float, high: float, length: float, logarithmic: bool) -> Floats:
    if logarithmic:
        values, low, high = np.log(values), np.log(low), np.log(high)
    return (values - low) / max(1e-12, high - low) * length


def _panel(sheets: Sequence[FactSheet], key: str, title: str, axis: str, log_x: bool, log_y: bool) -> str:
    curves: list[tuple[int, Floats, Floats]] = []
    for number, sheet in enumerate(sheets):
        if key not in sheet.curves:
            continue
        x, y = sheet.curves[key]
        good = np.isfinite(x) & np.isfinite(y) & ((x > 0) | (not log_x)) & ((y > 0) | (not log_y))
        if good.sum() > 1:
            step = max(1, int(good.sum()) // 400)
            curves.append((number, x[good][::step], y[good][::step]))
    frame = f'<rect x="40" y="24" width="{_WIDE - 56}" height="{_HIGH - 64}" fill="none" stroke="#9aa4b2"/>'
    text = f'<text x="40" y="16" font-weight="600">{escape(title)}</text>'
    text += f'<text x="{_WIDE // 2}" y="{_HIGH - 12}" text-anchor="middle" fill="#5b6472">{escape(axis)}</text>'
    if not curves:
        return text + frame + f'<text x="{_WIDE // 2}" y="{_HIGH // 2}" text-anchor="middle">too little data</text>'
    low_x, high_x = min(float(c[1].min()) for c in curves), max(float(c[1].max()) for c in curves)
    low_y, high_y = min(float(c[2].min()) for c in curves), max(float(c[2].max()) for c in curves)
    if not log_y:
        low_y = min(0.0, low_y)
    body = []
    for number, x, y in curves:
        across = 40 + _scaled(x, low_x, high_x, _WIDE - 56, log_x)
        down = _HIGH - 40 - _scaled(y, low_y, high_y, _HIGH - 64, log_y)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, down, strict=True))
        colour = COLOURS[number % len(COLOURS)]
        body.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
    for value, place in ((low_y, _HIGH - 40), (high_y, 32)):
        body.append(f'<text x="36" y="{place}" text-anchor="end" fill="#5b6472">{value:.2g}</text>')
    for value, place in ((low_x, 40), (high_x, _WIDE - 16)):
        body.append(f'<text x="{place}" y="{_HIGH - 26}" text-anchor="middle" fill="#5b6472">{value:.3g}</text>')
    return text + frame + "".join(body)


def facts_picture(sheets: Sequence[FactSheet]) -> str:
    """The picture as SVG text.

    Parameters
    ----------
    sheets : sequence of FactSheet
        One or more markets; each keeps its colour in every panel.
    """
    rows = -(-len(_PANELS) // _COLUMNS)
    width, height = _COLUMNS * _WIDE + 16, rows * _HIGH + _HEAD
    parts = []
    for number, sheet in enumerate(sheets):
        colour = COLOURS[number % len(COLOURS)]
        parts.append(
            f'<text x="{40 + 300 * number}" y="26" fill="{colour}" font-weight="600">{escape(sheet.label)}</text>'
        )
    for number, (key, title, axis, log_x, log_y) in enumerate(_PANELS):
        x, y = number % _COLUMNS * _WIDE, _HEAD + number // _COLUMNS * _HIGH
        parts.append(f'<g transform="translate({x} {y})">{_panel(sheets, key, title, axis, log_x, log_y)}</g>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="system-ui, Segoe UI, Roboto, Arial, sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


def write_facts_picture(sheets: Sequence[FactSheet], path: Path) -> Path:
    """Write the picture, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(facts_picture(sheets), encoding="utf-8")
    os.replace(temporary, path)
    return path
