"""Charts as plain SVG text: every mark is a path, a rectangle or a word, coloured by classes of the page's style sheet.

A chart is a function of its data and a width, so a page can hold a wide and a narrow drawing of the same thing and show
whichever fits: text keeps its size on a phone and on paper. `report.css` defines the classes; `picture.py` carries the
same classes in a picture that stands alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.research.axes import Floats, TimeAxis, column_ranges, envelope, padded, round_ticks
from nanotick.research.words import compact

Ints = npt.NDArray[np.int64]
Write = Callable[[float], str]

LEFT, RIGHT, TOP, BOTTOM = 58, 14, 10, 24
NARROW_BELOW = 600
HOVER_POINTS = 240


@dataclass(frozen=True)
class Line:
    """A series over time.

    Attributes
    ----------
    name : str
    ts : numpy.ndarray
        ns UTC.
    values : numpy.ndarray
    style : str
        CSS class, `s0` to `s7` for series.
    filled : bool
        Fill the area to zero.
    """

    name: str
    ts: Ints
    values: Floats
    style: str = "s0"
    filled: bool = False


@dataclass(frozen=True)
class Marker:
    """A dot on a price chart: several fills close together are one."""

    place: float
    value: float
    side: int
    size: float
    title: str


class Frame:
    """The drawing area of one chart: from data to pixels, axes included."""

    def __init__(self, width: int, height: int, low: float, high: float, left: int = LEFT) -> None:
        self.width, self.height, self.low, self.high = width, height, low, high
        self.left = left if width >= NARROW_BELOW else min(left, 48)
        self.right, self.top, self.bottom = width - RIGHT, TOP, height - BOTTOM

    @property
    def pixels(self) -> int:
        """Width of the drawing area."""
        return self.right - self.left

    def x(self, place: Any) -> Any:
        """Pixels of a place from 0 to 1."""
        return self.left + np.asarray(place) * self.pixels

    def y(self, value: Any) -> Any:
        """Pixels of a value."""
        return self.bottom - (np.asarray(value) - self.low) / (self.high - self.low) * (self.bottom - self.top)

    def grid(self, write: Write, wanted: int = 4) -> str:
        """Horizontal lines with their values."""
        parts = []
        for value in round_ticks(self.low, self.high, wanted):
            y = float(self.y(value))
            style = "zero" if value == 0 else "grid"
            parts.append(f'<path class="{style}" d="M{self.left} {y:.1f}H{self.right}"/>')
            parts.append(
                f'<text class="tick" x="{self.left - 7}" y="{y + 3.5:.1f}" text-anchor="end">{write(value)}</text>'
            )
        return "".join(parts)

    def times(self, axis: TimeAxis) -> str:
        """Labels under the chart, and a thin line where one session ends and the next begins."""
        parts, last = [], -1e9
        for place, label in axis.ticks(max(2, self.pixels // 90)):
            x = float(self.x(place))
            if x - last < 44:
                continue
            last = x
            anchor = "start" if x < self.left + 16 else "end" if x > self.right - 16 else "middle"
            parts.append(f'<text class="tick" x="{x:.1f}" y="{self.height - 7}" text-anchor="{anchor}">{label}</text>')
        for start, _ in axis.sessions[1:]:
            parts.append(f'<path class="night" d="M{float(self.x(axis.place(start))):.1f} {self.top}V{self.bottom}"/>')
        return "".join(parts)

    def path(self, places: Floats, values: Floats) -> str:
        """Path data of a polyline."""
        x, y = np.round(self.x(places), 1), np.round(self.y(values), 1)
        return "M" + "L".join(f"{a:g} {b:g}" for a, b in zip(x.tolist(), y.tolist(), strict=True))

    def svg(self, body: str, label: str, extra: str = "") -> str:
        """The finished drawing."""
        return (
            f'<svg viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(label, quote=True)}"{extra}>'
            f"{body}</svg>"
        )


def empty(width: int, sentence: str) -> str:
    """What stands where there is nothing to draw."""
    return (
        f'<svg viewBox="0 0 {width} 64" role="img" aria-label="{escape(sentence, quote=True)}">'
        f'<text class="tick" x="{width / 2:g}" y="36" text-anchor="middle">{escape(sentence)}</text></svg>'
    )


def _hover(axis: TimeAxis, lines: Sequence[Line], frame: Frame, write: Write) -> str:
    """The data of a crosshair, for the page's script: one value a column and series."""
    steps = min(HOVER_POINTS, frame.pixels)
    places = (np.arange(steps) + 0.5) / steps
    times = axis.time(places)
    shown = []
    for line in lines:
        place = np.searchsorted(line.ts, times, "right") - 1
        values = [
            write(float(v)) if p >= 0 else "" for p, v in zip(place, line.values[np.maximum(place, 0)], strict=True)
        ]
        shown.append(f"{line.style}|{line.name}|" + "|".join(values))
    labels = "|".join(axis._label(int(t), "%d %b %H:%M:%S") for t in times)
    return (
        f' data-left="{frame.left}" data-right="{frame.right}" data-top="{frame.top}" data-bottom="{frame.bottom}"'
        f' data-times="{escape(labels, quote=True)}" data-lines="{escape(";;".join(shown), quote=True)}"'
    )


def line_chart(
    width: int,
    height: int,
    axis: TimeAxis,
    lines: Sequence[Line],
    label: str,
    write: Write = compact,
    zero: bool = False,
) -> str:
    """Series over time.

    Parameters
    ----------
    zero : bool
        Whether the value axis must reach zero.
    """
    lines = [line for line in lines if len(line.ts) and not np.isnan(line.values).all()]
    if not lines:
        return empty(width, "no samples")
    low = min(float(np.nanmin(line.values)) for line in lines)
    high = max(float(np.nanmax(line.values)) for line in lines)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    low, high = padded(low, high)
    if zero and all(float(np.nanmax(line.values)) <= 0 for line in lines):
        high = 0.0
    frame = Frame(width, height, low, high)
    body = [frame.grid(write, max(4, height // 48)), frame.times(axis)]
    for line in lines:
        places, values = envelope(axis.place(line.ts), line.values, frame.pixels)
        path = frame.path(places, values)
        if line.filled:
            base = float(frame.y(min(max(0.0, low), high)))
            ends = float(frame.x(places[-1])), float(frame.x(places[0]))
            body.append(f'<path class="area {line.style}" d="{path}L{ends[0]:.1f} {base:.1f}H{ends[1]:.1f}Z"/>')
        body.append(f'<path class="line {line.style}" d="{path}"/>')
    return frame.svg("".join(body), label, _hover(axis, lines, frame, write))


def group_fills(
    axis: TimeAxis, ts: Ints, price: Floats, qty: Floats, side: npt.NDArray[Any], columns: int
) -> list[Marker]:
    """One marker for the fills of a side within one column of the chart, at their average price."""
    markers = []
    for sign, word in ((1, "bought"), (-1, "sold")):
        mine = side == sign
        if not mine.any():
            continue
        column = np.minimum((axis.place(ts[mine]) * columns).astype(np.int64), columns - 1)
        ranking = np.argsort(column, kind="stable")
        column = column[ranking]
        starts = np.nonzero(np.diff(column, prepend=-1))[0]
        amount = np.add.reduceat(qty[mine][ranking], starts)
        value = np.add.reduceat((qty * price)[mine][ranking], starts)
        number = np.diff(np.append(starts, len(column)))
        for c, a, v, n in zip(column[starts].tolist(), amount.tolist(), value.tolist(), number.tolist(), strict=True):
            average = v / a if a else math.nan
            title = f"{word} {a:,g} at {average:,.4f}" + (f" in {n} fills" if n > 1 else "")
            markers.append(Marker((c + 0.5) / columns, average, sign, min(6.0, 2.2 + 0.55 * math.sqrt(n)), title))
    return markers


def price_chart(
    width: int,
    height: int,
    axis: TimeAxis,
    ts: Ints,
    bid: Floats,
    ask: Floats,
    fills: tuple[Ints, Floats, Floats, npt.NDArray[Any]],
    label: str,
    write: Write,
) -> str:
    """Best bid and ask as a band, fills as triangles: upward bought, downward sold.

    Parameters
    ----------
    ts, bid, ask : numpy.ndarray
        Quotes; NaN for an empty side.
    fills : tuple of numpy.ndarray
        Times, prices, quantities and sides.
    """
    if not len(ts) or np.isnan(bid).all() or np.isnan(ask).all():
        return empty(width, "no quotes")
    low, high = padded(float(np.nanmin(bid)), float(np.nanmax(ask)), 0.08)
    frame = Frame(width, height, low, high)
    places, lows, highs = column_ranges(axis.place(ts), bid, ask, frame.pixels)
    upper, lower = frame.path(places, highs), frame.path(places[::-1], lows[::-1])
    body = [frame.grid(write, max(4, height // 48)), frame.times(axis)]
    body.append(f'<path class="band" d="{upper}L{lower[1:]}Z"/>')
    for marker in group_fills(axis, *fills, columns=max(1, frame.pixels // 8)):
        x, size = float(frame.x(marker.place)), marker.size
        # buys hang under their price and sells stand on it, so that neither hides the other or the quotes
        y = float(frame.y(marker.value)) + marker.side * (size + 5)
        tip = -size if marker.side > 0 else size
        style = "buy" if marker.side > 0 else "sell"
        body.append(
            f'<path class="{style}" d="M{x:.1f} {y + tip:.1f}l{size:.1f} {-1.7 * tip:.1f}h{-2 * size:.1f}Z">'
            f"<title>{escape(marker.title)}</title></path>"
        )
    mid = Line("mid", ts, (bid + ask) / 2, "s0")
    return frame.svg("".join(body), label, _hover(axis, [mid], frame, write))


def bars(width: int, items: Sequence[tuple[str, float]], label: str, write: Write, running: bool = False) -> str:
    """Horizontal bars from a common zero; `running` makes it a waterfall whose last item is a total.

    Parameters
    ----------
    items : sequence of (str, float)
        NaN is written as a dash and drawn as nothing.
    """
    if not items:
        return empty(width, "nothing to show")
    row, top = 30, 6
    left = min(200 if width >= 440 else 136, 22 + 7 * max(len(name) for name, _ in items))
    right = 104 if width >= NARROW_BELOW else 88
    spans, at = [], 0.0
    for i, (_, value) in enumerate(items):
        value = 0.0 if math.isnan(value) else value
        if running and i < len(items) - 1:
            spans.append((at, at + value))
            at += value
        else:
            spans.append((0.0, value))
    low, high = min(0.0, *(min(s) for s in spans)), max(0.0, *(max(s) for s in spans))
    if high == low:
        high = low + 1
    height = top * 2 + row * len(items)

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * (width - left - right)

    body = [f'<path class="zero" d="M{x(0):.1f} {top}V{height - top}"/>']
    for i, ((name, value), (start, end)) in enumerate(zip(items, spans, strict=True)):
        y = top + i * row
        style = "gain" if value > 0 else "loss"
        total = " total" if running and i == len(items) - 1 else ""
        a, b = sorted((x(start), x(end)))
        shown = escape(_cut(name, left))
        body.append(f'<text class="name{total}" x="{left - 10}" y="{y + 19}" text-anchor="end">{shown}</text>')
        body.append(f'<rect class="{style}" x="{a:.1f}" y="{y + 7}" width="{max(b - a, 0.8):.1f}" height="16" rx="2"/>')
        body.append(f'<text class="value{total}" x="{width - 4}" y="{y + 19}" text-anchor="end">{write(value)}</text>')
        if running and i < len(items) - 1:
            body.append(f'<path class="grid" d="M{x(end):.1f} {y + 23}V{y + row + 7}"/>')
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label, quote=True)}">{"".join(body)}</svg>'
    )


def _cut(name: str, room: int) -> str:
    most = max(4, int((room - 12) / 6.5))
    return name if len(name) <= most else name[: most - 1] + "…"


def columns(
    width: int, height: int, items: Sequence[tuple[str, float]], label: str, write: Write, signed: bool = True
) -> str:
    """Vertical bars over named columns.

    Parameters
    ----------
    signed : bool
        Colour gains and losses; else one colour.
    """
    if not items:
        return empty(width, "nothing to show")
    low, high = min(0.0, *(v for _, v in items)), max(0.0, *(v for _, v in items))
    low, high = (0.0 if low == 0 else low * 1.06), (high * 1.06 or (1.0 if low == 0 else 0.0))
    frame = Frame(width, height, low, high)
    step = frame.pixels / len(items)
    every = max(1, math.ceil(len(items) * 7 * max(len(n) for n, _ in items) / frame.pixels))
    body = [frame.grid(write, max(4, height // 48))]
    for i, (name, value) in enumerate(items):
        a, b = sorted((float(frame.y(0.0)), float(frame.y(value))))
        x = frame.left + i * step
        style = ("gain" if value >= 0 else "loss") if signed else "plain"
        body.append(
            f'<rect class="{style}" x="{x + step * 0.12:.1f}" y="{a:.1f}" width="{step * 0.76:.1f}" '
            f'height="{max(b - a, 0.6):.1f}" rx="1.5"><title>{escape(name)}: {escape(write(value))}</title></rect>'
        )
        if i % every == 0:
            body.append(
                f'<text class="tick" x="{x + step / 2:.1f}" y="{height - 7}" text-anchor="middle">{escape(name)}</text>'
            )
    return frame.svg("".join(body), label)


def profile(
    width: int,
    height: int,
    names: Sequence[str],
    series: Sequence[tuple[str, str, Sequence[float]]],
    label: str,
    write: Write,
) -> str:
    """Points over named columns joined by lines, one line a series; NaN leaves a hole.

    Parameters
    ----------
    series : sequence of (str, str, sequence of float)
        Name, CSS class, one value a column.
    """
    known = [v for _, _, values in series for v in values if not math.isnan(v)]
    if not known:
        return empty(width, "no marks at these horizons")
    low, high = padded(min(0.0, *known), max(0.0, *known), 0.1)
    frame = Frame(width, height, low, high)
    body = [frame.grid(write, max(4, height // 48))]
    places = [(i + 0.5) / len(names) for i in range(len(names))]
    for name, place in zip(names, places, strict=True):
        x = float(frame.x(place))
        body.append(f'<text class="tick" x="{x:.1f}" y="{height - 7}" text-anchor="middle">{escape(name)}</text>')
    for name, style, values in series:
        points = [(p, v) for p, v in zip(places, values, strict=True) if not math.isnan(v)]
        if not points:
            continue
        path = frame.path(np.array([p for p, _ in points]), np.array([v for _, v in points]))
        body.append(f'<path class="line {style}" d="{path}"/>')
        for place, value in points:
            x, y = float(frame.x(place)), float(frame.y(value))
            body.append(
                f'<circle class="dot {style}" cx="{x:.1f}" cy="{y:.1f}" r="3.6">'
                f"<title>{escape(name)}: {escape(write(value))}</title></circle>"
            )
    return frame.svg("".join(body), label)


def histogram(width: int, height: int, edges: Floats, counts: Ints, label: str, write: Write) -> str:
    """Bars over bins of equal ratio, their edges written in the values' own unit."""
    if not len(counts):
        return empty(width, "nothing to show")
    frame = Frame(width, height, 0.0, float(counts.max()) * 1.08)
    step = frame.pixels / len(counts)
    body = [frame.grid(compact, max(4, height // 48))]
    for i, number in enumerate(counts.tolist()):
        y = float(frame.y(number))
        x = frame.left + i * step
        title = f"{write(float(edges[i]))} to {write(float(edges[i + 1]))}: {number:,}"
        body.append(
            f'<rect class="plain" x="{x + 0.5:.1f}" y="{y:.1f}" width="{max(step - 1, 0.8):.1f}" '
            f'height="{frame.bottom - y:.1f}"><title>{escape(title)}</title></rect>'
        )
    wanted = max(2, frame.pixels // 100)
    for i in range(wanted + 1):
        place = i / wanted
        value = float(np.exp(np.interp(place, np.linspace(0, 1, len(edges)), np.log(edges))))
        anchor = "start" if i == 0 else "end" if i == wanted else "middle"
        x = float(frame.x(place))
        body.append(
            f'<text class="tick" x="{x:.1f}" y="{height - 7}" text-anchor="{anchor}">{escape(write(value))}</text>'
        )
    return frame.svg("".join(body), label)
