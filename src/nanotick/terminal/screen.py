"""The live screen: what the local side knows, drawn from its records a few times a second.

Nothing here touches the step: a screen reads the arena's views between two slices of a run. It fits 80 columns and 24
rows; what does not fit is left out from the bottom.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Group
from rich.table import Table
from rich.text import Text

from nanotick.core.records import Kind
from nanotick.engine.local import LocalSide
from nanotick.portfolio.portfolio import MICRO

_FILL, _NEW, _RISK = int(Kind.FILL), int(Kind.NEW), int(Kind.RISK)


def money(amount: float) -> Text:
    """A profit in green, a loss in red."""
    return Text(f"{amount:+,.2f}", style="green" if amount > 0 else "red" if amount < 0 else "dim")


class LiveScreen:
    """Accounts, positions, a depth ladder and the last trades of a run.

    Parameters
    ----------
    local : LocalSide
    title : str
    ladder : int
        Number of the instrument whose depth is shown.
    trades : int
        How many of the last fills are listed.
    """

    def __init__(self, local: LocalSide, title: str, ladder: int = 0, trades: int = 6) -> None:
        self.local = local
        self.title = title
        self.ladder = ladder
        self._trades: deque[tuple[Text, ...]] = deque(maxlen=trades)
        count = len(local.names)
        self.fills = [0] * count
        self.orders = [0] * count
        self.refused = [0] * count
        self._strategy_of: dict[int, int] = {}

    def take(self, records: npt.NDArray[Any]) -> list[tuple[Text, ...]]:
        """Read what the run has put out since the last call; gives a line for each fill."""
        lines = []
        kinds = records["kind"]
        commands = records.view(np.dtype([("head", "V50"), ("strategy", "<u2"), ("tail", "V12")]))
        for i in np.flatnonzero((kinds == _FILL) | (kinds == _NEW) | (kinds == _RISK)):
            row, kind = records[i], int(kinds[i])
            if kind == _NEW:
                strategy = int(commands[i]["strategy"])
                self._strategy_of[int(row["id"])] = strategy
                self.orders[strategy] += 1
            elif kind == _RISK:
                strategy = int(row["seq"])
                if strategy < len(self.refused):
                    self.refused[strategy] += 1
            else:
                strategy = self._strategy_of.get(int(row["id"]), 0)
                self.fills[strategy] += 1
                lines.append(self._line(row, strategy))
        self._trades.extend(lines)
        return lines

    def _line(self, row: Any, strategy: int) -> tuple[Text, ...]:
        item = self.local.instruments[int(row["instrument"])]
        buying = int(row["side"]) > 0
        return (
            Text(clock(int(row["ts_recv"])), style="dim"),
            Text(item.symbol),
            Text("buy" if buying else "sell", style="cyan" if buying else "magenta"),
            Text(f"{int(row['qty']) / 10**item.qty_decimals:,g}"),
            Text(f"{int(row['price']) / 10**item.price_decimals:,.{item.price_decimals}f}"),
            money(self.profit(strategy)),
            Text(item.venue, style="dim"),
            Text(self.local.names[strategy], style="dim"),
        )

    def profit(self, strategy: int) -> float:
        """Equity less starting cash of a strategy, or of all together for the number after the last."""
        account = self.local.portfolio.accounts.view[strategy]
        return float(int(account["equity"]) - int(account["initial_cash"])) / MICRO

    def render(self, header: str, height: int = 24) -> Group:
        """The screen; `header` says what kind of run it is and how far it is."""
        top = Text.assemble((f" {self.title} ", "bold reverse"), "  ", header)
        strategies = self._strategies()
        lower = Table.grid(padding=(0, 2))
        lower.add_row(self._depth(), self._positions(max(3, height - 14 - len(self.local.names))))
        return Group(top, Text(), strategies, Text(), lower, Text(), self._last_trades())

    def _strategies(self) -> Table:
        table = Table(box=None, padding=(0, 1), header_style="dim")
        for name, side in (("strategy", "left"), ("P&L", "right"), ("drawdown", "right"), ("exposure", "right"),
                           ("orders", "right"), ("fills", "right"), ("refused", "right")):  # fmt: skip
            table.add_column(name, justify=side)  # type: ignore[arg-type]
        accounts = self.local.portfolio.accounts.view
        for number, name in enumerate([*self.local.names, "total"]):
            account = accounts[number]
            total = number == len(self.local.names)
            table.add_row(
                Text(name, style="bold" if total else ""),
                money(self.profit(number)),
                f"{int(account['drawdown']) / MICRO:,.2f}",
                f"{int(account['gross_exposure']) / MICRO:,.0f}",
                f"{sum(self.orders) if total else self.orders[number]:,}",
                f"{sum(self.fills) if total else self.fills[number]:,}",
                f"{sum(self.refused) if total else self.refused[number]:,}",
            )
        return table

    def _positions(self, rows: int) -> Table:
        table = Table(box=None, padding=(0, 1), header_style="dim")
        for name in ("position", "quantity", "average", "mark", "unrealised"):
            table.add_column(name, justify="left" if name == "position" else "right")
        portfolio, count = self.local.portfolio, max(1, len(self.local.instruments))
        held = portfolio.positions.view
        open_rows = np.flatnonzero(held["qty"] != 0)
        size = np.abs(held["exposure_micro"][open_rows])
        for row in open_rows[np.argsort(-size, kind="stable")][:rows]:
            item = self.local.instruments[int(row % count)]
            position = held[row]
            qty, unit = int(position["qty"]), 10**item.value_decimals
            value = int(position["cost"]) / unit
            amount = qty / 10**item.qty_decimals
            mark = int(portfolio.holdings.view[int(row % count)]["mark_price"]) / 10**item.price_decimals
            table.add_row(
                item.symbol,
                f"{amount:+,g}",
                f"{abs(value / amount):,.{item.price_decimals}f}",
                f"{mark:,.{item.price_decimals}f}",
                money(amount * mark - value),
            )
        return table

    def _depth(self) -> Table:
        item = self.local.instruments[self.ladder]
        table = Table(box=None, padding=(0, 1), header_style="dim")
        table.add_column("bid", justify="right")
        table.add_column(item.symbol, justify="right", header_style="bold")
        table.add_column("ask", justify="left")
        books, scale = self.local.books, 10**item.price_decimals
        asks = list(books.depth(self.ladder, -1, 3))[::-1]
        for price, qty in ((int(r["price"]), int(r["qty"])) for r in asks):
            table.add_row("", f"{price / scale:,.{item.price_decimals}f}", Text(_qty(qty, item), style="red"))
        for price, qty in ((int(r["price"]), int(r["qty"])) for r in books.depth(self.ladder, 1, 3)):
            table.add_row(Text(_qty(qty, item), style="green"), f"{price / scale:,.{item.price_decimals}f}", "")
        return table

    def _last_trades(self) -> Table:
        table = Table(box=None, padding=(0, 1), show_header=False)
        for side in ("left", "left", "left", "right", "right", "right", "left", "left"):
            table.add_column(justify=side)  # type: ignore[arg-type]
        for line in self._trades:
            table.add_row(*line)
        return table


def clock(ts: int) -> str:
    """Time of day of a UTC stamp, to the millisecond."""
    moment = datetime.fromtimestamp(ts // 1_000_000_000, UTC)
    return f"{moment:%H:%M:%S}.{ts // 1_000_000 % 1_000:03d}"


def _qty(qty: int, item: Any) -> str:
    return f"{qty / 10**item.qty_decimals:,g}"
