"""What several parts of a report share: the time axis, a colour for each strategy, and which instruments are drawn."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from nanotick.engine.output import MICRO
from nanotick.research.axes import Floats, TimeAxis
from nanotick.research.charts import Ints, Line
from nanotick.research.execution import mark_outs
from nanotick.research.results import together
from nanotick.research.statistics import Statistics

if TYPE_CHECKING:
    from nanotick.research.results import BacktestResult

COLOURS = 8
MOST_MARKETS = 6  # instruments with a chart of their own: those traded most
MOST_LINES = 7


class ReportData:
    """A result as its report needs it.

    Parameters
    ----------
    result : BacktestResult
    """

    def __init__(self, result: BacktestResult) -> None:
        self.result = result
        self.statistics: Statistics = result.statistics
        self.currency = self.statistics.currency
        self.local_offset: Callable[[int], int] = lambda ts: int(result.output.local_offset(np.array([ts]))[0])
        zone, fixed = result.output.time_zone, result.output.session_offset_ns
        self.zone_words = "" if zone == "UTC" and fixed else f" {zone.replace('_', ' ')}"

    @cached_property
    def groups(self) -> dict[str, list[int]]:
        """Strategies drawn as one: instances of one strategy, one a symbol, share their name without the symbol."""
        groups: dict[str, list[int]] = {}
        for number, run in enumerate(self.result.strategies):
            symbol = self.result.instruments[run.instruments[0]].symbol if len(run.instruments) == 1 else ""
            name = run.name.removesuffix(f" {symbol}") if symbol else run.name
            groups.setdefault(name, []).append(number)
        return groups

    def colour(self, strategy: int) -> str:
        """CSS class of a strategy's series."""
        place = next((i for i, members in enumerate(self.groups.values()) if strategy in members), 0)
        return f"s{place % COLOURS}"

    @cached_property
    def axis(self) -> TimeAxis:
        """Common time axis."""
        marks = self.result.output.marks["ts"]
        times = np.asarray(self.result.equity["ts"]) if not len(marks) else marks
        if not len(times):
            counters = self.result.output.counters
            times = np.array([counters.first_ts, max(counters.last_ts, counters.first_ts + 1)])
        return TimeAxis(times, self.local_offset)

    def equity_lines(self) -> list[Line]:
        """Profit over time: each group of strategies, and all together when there are several."""
        lines = []
        for name, members in list(self.groups.items())[:MOST_LINES]:
            curve = together([self.result.equity_of(n) for n in members])
            cash = sum(self.result.strategies[n].cash for n in members)
            values = (curve["equity"] - cash) / MICRO
            lines.append(Line(name, curve["ts"], values, self.colour(members[0])))
        if len(self.groups) > 1:
            curve = self.result.equity_of()
            cash = sum(s.cash for s in self.result.strategies)
            values = (np.asarray(curve["equity"]) - cash) / MICRO
            lines.append(Line("all together", np.asarray(curve["ts"]), values, "all"))
        return lines

    def group_mark_outs(self) -> list[tuple[str, str, list[float]]]:
        """Name, CSS class and mark-outs in ticks of each group that traded."""
        rows = []
        traded = np.asarray(self.result.fills["strategy"])
        for name, members in list(self.groups.items())[:COLOURS]:
            fills = self.result.fills[np.isin(traded, members)]
            if len(fills):
                ticks = [m.ticks for m in mark_outs(self.result, fills)]
                rows.append((name, self.colour(members[0]), ticks))
        return rows

    def drawdown_line(self) -> Line:
        """Drawdown of all together."""
        curve = self.result.equity_of()
        return Line("drawdown", np.asarray(curve["ts"]), np.asarray(curve["drawdown_float"]), "down", filled=True)

    @cached_property
    def drawn(self) -> list[int]:
        """Instruments with a chart: the most traded ones."""
        order = sorted(
            range(len(self.result.instruments)),
            key=lambda n: (-self.statistics.instruments[n].fills, n),
        )
        return sorted(order[:MOST_MARKETS])

    def quotes(self, instrument: int) -> tuple[Ints, Floats, Floats]:
        """Times, best bids and best asks as decimals; NaN for an empty side."""
        ts, bid, ask = self.result.marks.quotes(instrument)
        scale = 10.0 ** self.result.instruments[instrument].price_decimals
        return ts, np.where(bid > 0, bid / scale, np.nan), np.where(ask > 0, ask / scale, np.nan)

    def inventory_lines(self, instrument: int) -> list[Line]:
        """Position of each strategy over time, as decimals."""
        lines = []
        scale = 10.0 ** self.result.instruments[instrument].qty_decimals
        for strategy, number in self.result.pairs():
            if number == instrument:
                ts, held = self.result.inventory(strategy, number)
                run = self.result.strategies[strategy]
                name = next((g for g, members in self.groups.items() if strategy in members), run.name)
                lines.append(Line(name, ts, held / scale, self.colour(strategy), filled=True))
        return lines
