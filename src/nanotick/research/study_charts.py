"""Charts of studies: heat maps over parameters, fans of many paths, even histograms, points against points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from nanotick.research.axes import Floats, padded, round_ticks
from nanotick.research.charts import NARROW_BELOW, Frame, Write, empty
from nanotick.research.words import compact

DARKEST = 0.78  # opacity of the strongest cell: its number stays readable


def heat_map(
    width: int,
    values: Floats,
    columns: Sequence[str],
    rows: Sequence[str],
    names: tuple[str, str],
    marked: tuple[int, int] | None,
    label: str,
    write: Write = compact,
) -> str:
    """Values over two parameters: gains and losses by colour, their size by its depth.

    Parameters
    ----------
    values : numpy.ndarray
        Shape (rows, columns); NaN stays blank.
    names : tuple of str
        Of the column's and the row's parameter.
    marked : (int, int), optional
        Row and column of a cell to outline.
    """
    if not values.size or np.isnan(values).all():
        return empty(width, "no values")
    left = min(130 if width >= NARROW_BELOW else 84, 18 + 7 * max(len(names[1]), *(len(r) for r in rows)))
    step = (width - left - 6) / len(columns)
    height_of_row = max(20.0, min(34.0, 420 / len(rows)))
    top = 24
    height = round(top + height_of_row * len(rows) + 40)
    most = float(np.nanmax(np.abs(values))) or 1.0
    body = [f'<text class="tick" x="{left - 8}" y="{top - 9}" text-anchor="end">{escape(names[1])}</text>']
    fits = step >= 9 + 6.4 * max(len(write(float(v))) for v in values.ravel() if not math.isnan(v))
    for i, row in enumerate(rows):
        y = top + i * height_of_row
        middle = y + height_of_row / 2 + 4
        body.append(f'<text class="tick" x="{left - 8}" y="{middle:.1f}" text-anchor="end">{escape(row)}</text>')
        for j, column in enumerate(columns):
            value = float(values[i, j])
            x = left + j * step
            if math.isnan(value):
                body.append(f'<rect class="blank" x="{x + 1:.1f}" y="{y + 1:.1f}" width="{step - 2:.1f}" '
                            f'height="{height_of_row - 2:.1f}" rx="2"/>')  # fmt: skip
                continue
            style = "gain" if value >= 0 else "loss"
            depth = 0.06 + (DARKEST - 0.06) * abs(value) / most
            edge = " marked" if marked == (i, j) else ""
            body.append(
                f'<rect class="{style}{edge}" fill-opacity="{depth:.3f}" x="{x + 1:.1f}" y="{y + 1:.1f}" '
                f'width="{step - 2:.1f}" height="{height_of_row - 2:.1f}" rx="2"><title>{escape(names[0])} '
                f"{escape(column)}, {escape(names[1])} {escape(row)}: {escape(write(value))}</title></rect>"
            )
            if fits:
                body.append(
                    f'<text class="cell" x="{x + step / 2:.1f}" y="{y + height_of_row / 2 + 4:.1f}" '
                    f'text-anchor="middle">{escape(write(value))}</text>'
                )
    every = max(1, math.ceil(7 * (max(len(c) for c in columns) + 1) / step))
    y = top + height_of_row * len(rows) + 15
    for j in range(0, len(columns), every):
        x = left + (j + 0.5) * step
        body.append(f'<text class="tick" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{escape(columns[j])}</text>')
    middle = left + (width - left) / 2
    body.append(f'<text class="tick" x="{middle:.1f}" y="{height - 6}" text-anchor="middle">{escape(names[0])}</text>')
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label, quote=True)}">{"".join(body)}</svg>'
    )


def fan_chart(
    width: int,
    height: int,
    places: Floats,
    fan: Floats,
    observed: tuple[Floats, Floats],
    ticks: Sequence[tuple[float, str]],
    label: str,
    write: Write = compact,
) -> str:
    """Quantiles of many paths as bands around their median, and the path that was observed.

    Parameters
    ----------
    places : numpy.ndarray
        0 to 1, shape (points,).
    fan : numpy.ndarray
        Quantiles from the lowest to the highest, an odd number of them, shape (quantiles, points).
    observed : tuple of numpy.ndarray
        Places and values, perhaps empty.
    ticks : sequence of (place, text)
    """
    if not fan.size:
        return empty(width, "no paths")
    low, high = min(0.0, float(fan.min()), *observed[1].tolist()), max(0.0, float(fan.max()), *observed[1].tolist())
    low, high = padded(low, high)
    frame = Frame(width, height, low, high)
    body = [frame.grid(write, max(4, height // 48))]
    bands = len(fan) // 2
    for i in range(bands):
        upper, lower = frame.path(places, fan[-1 - i]), frame.path(places[::-1], fan[i][::-1])
        body.append(f'<path class="fan" d="{upper}L{lower[1:]}Z"/>')
    body.append(f'<path class="line s0" d="{frame.path(places, fan[bands])}"/>')
    if len(observed[0]):
        body.append(f'<path class="line all" d="{frame.path(*observed)}"/>')
    for place, text in ticks:
        x = float(frame.x(place))
        anchor = "start" if x < frame.left + 16 else "end" if x > frame.right - 24 else "middle"
        body.append(f'<text class="tick" x="{x:.1f}" y="{height - 7}" text-anchor="{anchor}">{escape(text)}</text>')
    return frame.svg("".join(body), label)


def even_histogram(
    width: int,
    height: int,
    values: Floats,
    label: str,
    write: Write = compact,
    signed: bool = True,
    marks: Sequence[tuple[float, str]] = (),
    bins: int = 40,
    zero: bool = False,
) -> str:
    """Counts in bins of equal width; `marks` are lines with a word at values.

    Parameters
    ----------
    signed : bool
        Colour what is below zero as loss and what is above as gain.
    zero : bool
        Whether the axis must reach zero.
    """
    values = values[np.isfinite(values)]
    if not len(values):
        return empty(width, "nothing to show")
    low, high = float(values.min()), float(values.max())
    if zero:
        low, high = min(low, -0.1), max(high, 0.1)
    if low == high:
        low, high = padded(low, high)
    if signed and low < 0 < high:  # a bin ends at zero, so that each is of one colour
        step = (high - low) / bins
        low, high = -math.ceil(-low / step) * step, math.ceil(high / step) * step
        bins = round((high - low) / step)
    edges = np.linspace(low, high, bins + 1)
    counts = np.histogram(values, edges)[0]
    frame = Frame(width, height, 0.0, float(counts.max()) * 1.12)
    body = [frame.grid(compact, max(4, height // 48))]
    step = frame.pixels / bins
    for i, number in enumerate(counts.tolist()):
        if not number:
            continue
        y = float(frame.y(number))
        style = "plain" if not signed else "gain" if edges[i] + edges[i + 1] >= 0 else "loss"
        title = f"{write(float(edges[i]))} to {write(float(edges[i + 1]))}: {number:,}"
        body.append(
            f'<rect class="{style}" x="{frame.left + i * step + 0.5:.1f}" y="{y:.1f}" width="{max(step - 1, 0.8):.1f}" '
            f'height="{frame.bottom - y:.1f}"><title>{escape(title)}</title></rect>'
        )
    drawn = -1e9
    for value, word in marks:
        x = float(frame.x((value - low) / (high - low)))
        if low <= value <= high and x - drawn > 40:
            drawn = x
            side, gap = ("end", -5) if x > frame.right - 90 else ("start", 5)
            body.append(f'<path class="mark" d="M{x:.1f} {frame.top}V{frame.bottom}"/>')
            body.append(
                f'<text class="tick" x="{x + gap:.1f}" y="{frame.top + 9}" text-anchor="{side}">{escape(word)}</text>'
            )
    last = -1e9
    for value in round_ticks(low, high, max(2, frame.pixels // 90)):
        x = float(frame.x((value - low) / (high - low)))
        if x - last >= 40:
            last = x
            body.append(
                f'<text class="tick" x="{x:.1f}" y="{height - 7}" text-anchor="middle">{escape(write(value))}</text>'
            )
    return frame.svg("".join(body), label)


def scatter(
    width: int, height: int, x: Floats, y: Floats, names: tuple[str, str], label: str,
    line: tuple[float, float] | None = None, most: int = 1_500, best: Floats | None = None,
) -> str:  # fmt: skip
    """Points of one figure against another, with a straight line (intercept, slope) through them.

    Parameters
    ----------
    best : numpy.ndarray, optional
        A second series over the same x, drawn as a line.
    most : int
        Points drawn: of more, evenly chosen ones.
    """
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if not len(x):
        return empty(width, "nothing to show")
    chosen = np.unique(np.linspace(0, len(x) - 1, min(most, len(x))).round().astype(np.int64))
    reach = y if line is None else np.append(y, [line[0] + line[1] * float(v) for v in (x.min(), x.max())])
    (left, right), (low, high) = (padded(float(np.nanmin(v)), float(np.nanmax(v))) for v in (x, reach))
    frame = Frame(width, height, min(low, 0.0), max(high, 0.0))

    def place(value: npt.NDArray[np.float64] | float) -> Floats:
        return (np.asarray(value, np.float64) - left) / (right - left)

    body = [frame.grid(compact, max(4, height // 48))]
    dots = zip(frame.x(place(x[chosen])).tolist(), frame.y(y[chosen]).tolist(), strict=True)
    body.append('<path class="points" d="' + "".join(f"M{a:.1f} {b:.1f}h0" for a, b in dots) + '"/>')
    if line is not None and all(math.isfinite(v) for v in line):
        ends = np.array([float(x.min()), float(x.max())])
        body.append(f'<path class="line s4" d="{frame.path(place(ends), line[0] + line[1] * ends)}"/>')
    if best is not None and len(best) == len(known):
        body.append(f'<path class="line s0" d="{frame.path(place(x), best[known])}"/>')
    last = -1e9
    for value in round_ticks(left, right, max(2, frame.pixels // 110)):
        at = float(frame.x(place(value)))
        if at - last >= 40 and at < frame.right - 100:
            last = at
            body.append(
                f'<text class="tick" x="{at:.1f}" y="{height - 7}" text-anchor="middle">{compact(value)}</text>'
            )
    body.append(f'<text class="tick" x="{frame.right}" y="{height - 7}" text-anchor="end">{escape(names[0])}</text>')
    body.append(f'<text class="tick" x="{frame.left + 4}" y="{frame.top + 4}">{escape(names[1])}</text>')
    return frame.svg("".join(body), label)
