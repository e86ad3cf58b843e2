"""How a result depends on its parameters: values over a grid, and whether the best stands on a plateau or a spike."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.research.grid import Axis, Settings

Floats = npt.NDArray[np.float64]


class Surface:
    """Values of an objective over a grid.

    Parameters
    ----------
    axes : sequence of Axis
    values : mapping
        By settings; what is missing is NaN.
    """

    def __init__(self, axes: Sequence[Axis], values: Mapping[Settings, float]) -> None:
        self.axes = list(axes)
        self.cells: Floats = np.full([len(a.values) for a in axes], np.nan)
        names = [a.name for a in axes]
        places = [{v: i for i, v in enumerate(a.values)} for a in axes]
        for settings, value in values.items():
            given = dict(settings)
            self.cells[tuple(places[i][given[n]] for i, n in enumerate(names))] = value

    @property
    def best(self) -> tuple[int, ...] | None:
        """Index of the largest value, the first of equals; None when nothing is known."""
        if np.isnan(self.cells).all():
            return None
        return tuple(int(i) for i in np.unravel_index(int(np.nanargmax(self.cells)), self.cells.shape))

    def settings(self, cell: Sequence[int]) -> Settings:
        """What a cell stands for."""
        return tuple((a.name, a.values[i]) for a, i in zip(self.axes, cell, strict=True))

    def slice(self, x: int, y: int, through: Sequence[int]) -> Floats:
        """Values over two axes, the others held at a cell; shape (values of y, values of x)."""
        place: list[Any] = list(through)
        place[x] = place[y] = slice(None)
        found = self.cells[tuple(place)]
        return found.T if x < y else found

    def line(self, axis: int, through: Sequence[int]) -> Floats:
        """Values over one axis, the others held at a cell."""
        place: list[Any] = list(through)
        place[axis] = slice(None)
        return np.asarray(self.cells[tuple(place)])

    def neighbours(self, cell: Sequence[int]) -> list[tuple[int, ...]]:
        """Cells at most one step away on every axis, without the cell itself and those outside the grid."""
        found = []
        for step in itertools.product((-1, 0, 1), repeat=len(cell)):
            place = tuple(i + s for i, s in zip(cell, step, strict=True))
            if any(step) and all(0 <= i < n for i, n in zip(place, self.cells.shape, strict=True)):
                found.append(place)
        return found


@dataclass(frozen=True)
class Robustness:
    """The best cell and those around it.

    Attributes
    ----------
    best : float
    neighbours : int
        With a value.
    mean, worst : float
        Of the neighbours.
    kept : float
        Mean of the neighbours over the best; NaN unless the best is positive. Near 1 is a plateau, near 0 a spike.
    positive : float
        Share of the neighbours above zero.
    on_edge : tuple of str
        Axes at whose end the best lies: better values may lie outside the grid.
    plateau : tuple
        Settings of the cell with the best mean of itself and its neighbours.
    plateau_value : float
        That cell's own value.
    """

    best: float
    neighbours: int
    mean: float
    worst: float
    kept: float
    positive: float
    on_edge: tuple[str, ...]
    plateau: Settings
    plateau_value: float


def robustness(surface: Surface) -> Robustness | None:
    """Judge the best cell of a surface; None when there is none."""
    best = surface.best
    if best is None:
        return None
    value = float(surface.cells[best])
    around = np.array([surface.cells[n] for n in surface.neighbours(best)])
    around = around[~np.isnan(around)]
    mean = float(around.mean()) if len(around) else math.nan
    smooth = _smoothed(surface)
    plateau = tuple(int(i) for i in np.unravel_index(int(np.nanargmax(smooth)), smooth.shape))
    edges = [
        a.name for a, i in zip(surface.axes, best, strict=True) if len(a.values) > 2 and i in (0, len(a.values) - 1)
    ]
    return Robustness(
        best=value,
        neighbours=len(around),
        mean=mean,
        worst=float(around.min()) if len(around) else math.nan,
        kept=mean / value if value > 0 else math.nan,
        positive=float((around > 0).mean()) if len(around) else math.nan,
        on_edge=tuple(edges),
        plateau=surface.settings(plateau),
        plateau_value=float(surface.cells[plateau]),
    )


def _smoothed(surface: Surface) -> Floats:
    """Mean of every cell and its neighbours, NaN where the cell itself has no value: sums over shifted copies."""
    known = ~np.isnan(surface.cells)
    total, count = np.where(known, surface.cells, 0.0), known.astype(np.float64)
    for axis in range(total.ndim):
        total, count = _with_next(total, axis), _with_next(count, axis)
    return np.where(known, total / np.maximum(count, 1.0), np.nan)


def _with_next(values: Floats, axis: int) -> Floats:
    """Each value plus those before and after it along an axis."""
    padding = [(0, 0)] * values.ndim
    padding[axis] = (1, 1)
    wide = np.pad(values, padding)
    length = values.shape[axis]
    return np.asarray(sum(np.take(wide, range(start, start + length), axis=axis) for start in range(3)))
