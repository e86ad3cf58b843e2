"""Pieces of an HTML page: charts in two widths, tables, legends and titled sections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from importlib import resources

from nanotick import __version__
from nanotick.research import words

WIDE, NARROW = 1_000, 360


def figure(draw: Callable[[int], str], wide: int = WIDE) -> str:
    """A chart in both widths."""
    return f'<div class="chart wide">{draw(wide)}</div><div class="chart narrow">{draw(NARROW)}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], total: bool = False, text: Sequence[int] = ()) -> str:
    """A table of already escaped cells; the last row may be a total, the columns in `text` hold sentences."""
    body = [list(row) for row in rows]
    lines = []
    for i, row in enumerate(body):
        style = ' class="total"' if total and i == len(body) - 1 else ""
        cells = "".join(f'<td class="words">{c}</td>' if n in text else f"<td>{c}</td>" for n, c in enumerate(row))
        lines.append(f"<tr{style}>{cells}</tr>")
    words_head = "".join(
        f'<th style="text-align:left">{h}</th>' if n in text else f"<th>{h}</th>" for n, h in enumerate(head)
    )
    return (
        f'<div class="scroll"><table><thead><tr>{words_head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
    )


def legend(items: Iterable[tuple[str, str]]) -> str:
    """Names beside the colour of their series."""
    return '<ul class="legend">' + "".join(f'<li class="c-{s}"><i></i>{escape(n)}</li>' for n, s in items) + "</ul>"


def section(title: str, body: str, said: str = "", long: bool = False) -> str:
    """A titled part of the page."""
    style = ' class="long"' if long else ""
    about = f"<p>{said}</p>" if said else ""
    return f"<section{style}><h2>{escape(title)}</h2>{about}{body}</section>"


def signed(value: float, text: str | None = None) -> str:
    """Money coloured by its sign."""
    style = "gain" if value > 0 else "loss" if value < 0 else ""
    return f'<span class="{style}">{text if text is not None else words.money(value, signed=True)}</span>'


def tiles(items: Sequence[tuple[str, str, str]]) -> str:
    """Label, value and what stands under it of the figures asked for first; the first of them is large."""
    parts = []
    for i, (label, value, under) in enumerate(items):
        small = f"<small>{under}</small>" if under else ""
        parts.append(f"<div{' class=first' if i == 0 else ''}><dt>{label}</dt><dd>{value}{small}</dd></div>")
    return f'<section class="headline">{"".join(parts)}</section>'


def document(heading: str, about: str, parts: Iterable[str], badge: str = "") -> str:
    """A whole page that needs nothing else: style and script inside, nothing fetched."""
    files = resources.files("nanotick.research")
    style, script = (files.joinpath(name).read_text("utf-8") for name in ("report.css", "report.js"))
    mark = f'<span class="badge">{escape(badge)}</span>' if badge else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<meta name="generator" content="nanotick {__version__}">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(heading)} – nanotick</title><style>{style}</style></head><body><main>"
        f"<header><h1>{escape(heading)}</h1>{mark}<p>{escape(about)}</p></header>\n"
        + "\n".join(p for p in parts if p)
        + f"<footer>nanotick {__version__}</footer></main><script>{script}</script></body></html>\n"
    )
