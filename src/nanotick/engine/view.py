"""What a running session looks like from outside: plain values for screens, programs and logs.

Nothing here touches the step: a view reads the arena between two events, and the records that the step has put out. A
snapshot holds text, numbers and lists only, so it goes through JSON unchanged.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.instruments import Contract, Instrument
from nanotick.core.records import MAKER, Kind, OrderType, TimeInForce
from nanotick.engine.local import LocalSide
from nanotick.orders.records import FILLED, OrderState
from nanotick.portfolio.portfolio import MICRO

_FILL, _NEW, _RISK, _REJECTED = int(Kind.FILL), int(Kind.NEW), int(Kind.RISK), int(Kind.REJECTED)
TRADES = 100  # the last ones are kept
ORDERS = 50  # working orders in a snapshot
_COMMAND = np.dtype([("head", "V50"), ("strategy", "<u2"), ("tail", "V12")])


class RunView:
    """Counts what a run puts out and reads its accounts, positions, orders and books.

    Parameters
    ----------
    local : LocalSide

    Attributes
    ----------
    orders, fills, refused, rejected : list of int
        By strategy: sent, filled, refused by risk, rejected by a venue.
    trades : deque of dict
        The last fills, oldest first.
    """

    def __init__(self, local: LocalSide) -> None:
        self.local = local
        count = len(local.names)
        self.orders, self.fills = [0] * count, [0] * count
        self.refused, self.rejected = [0] * count, [0] * count
        self.trades: deque[dict[str, Any]] = deque(maxlen=TRADES)
        self.number = 0  # of fills ever: tells which of `trades` are new
        self._strategy_of: dict[int, int] = {}
        self._held: dict[tuple[int, int], tuple[int, int]] = {}  # of (strategy, instrument): quantity, cost
        self._remember()

    def take(self, records: npt.NDArray[Any]) -> list[dict[str, Any]]:
        """Read what the run has put out since the last call; gives the new fills."""
        made = []
        kinds = records["kind"]
        commands = records.view(_COMMAND)
        wanted = (kinds == _FILL) | (kinds == _NEW) | (kinds == _RISK) | (kinds == _REJECTED)
        for i in np.flatnonzero(wanted):
            row, kind = records[i], int(kinds[i])
            if kind == _NEW:
                strategy = int(commands[i]["strategy"])
                self._strategy_of[int(row["id"])] = strategy
                self.orders[strategy] += 1
            elif kind == _RISK:
                strategy = int(row["seq"])
                if strategy < len(self.refused):
                    self.refused[strategy] += 1
            elif kind == _REJECTED:
                self.rejected[self._strategy_of.get(int(row["id"]), 0)] += 1
            else:
                strategy = self._strategy_of.get(int(row["id"]), 0)
                self.fills[strategy] += 1
                self.number += 1
                made.append(self._trade(row, strategy))
        self.trades.extend(made)
        self._remember()
        if len(self._strategy_of) > 1 << 17:  # the oldest orders have ended long ago
            for number in list(self._strategy_of)[: 1 << 16]:
                del self._strategy_of[number]
        return made

    def _trade(self, row: Any, strategy: int) -> dict[str, Any]:
        number = int(row["instrument"])
        item = self.local.instruments[number]
        side, qty, price = int(row["side"]), int(row["qty"]), int(row["price"])
        fee = int(row["word"]) / 10**item.value_decimals
        realised = self._realise(strategy, number, side * qty, price) / 10**item.value_decimals
        return {
            "number": self.number,
            "ts": int(row["ts_recv"]),
            "symbol": item.symbol,
            "venue": item.venue,
            "strategy": self.local.names[strategy],
            "side": "buy" if side > 0 else "sell",
            "qty": qty / 10**item.qty_decimals,
            "price": price / 10**item.price_decimals,
            "decimals": item.price_decimals,
            "fee": fee,
            "maker": bool(int(row["flags"]) & MAKER),
            "profit": realised - fee,
            "pnl": self.profit(strategy),
            "total": self.profit(len(self.local.names)),
            "order": int(row["id"]),
        }

    def _remember(self) -> None:
        """Positions as they are now that everything put out has been read: what the next fills trade against."""
        held = self.local.portfolio.positions.view
        count = max(1, len(self.local.instruments))
        self._held = {
            divmod(int(row), count): (int(held["qty"][row]), int(held["cost"][row]))
            for row in np.flatnonzero(held["qty"] != 0)
        }

    def _realise(self, strategy: int, instrument: int, change: int, price: int) -> float:
        """Profit that a fill realises at average cost, value units, before its fee; 0 where it opens a position."""
        qty, cost = self._held.get((strategy, instrument), (0, 0))
        closed = min(abs(change), abs(qty)) if qty * change < 0 else 0
        sign = 1 if qty > 0 else -1
        released = cost * closed / abs(qty) if closed else 0.0
        opened = change + sign * closed  # what the fill adds, of the side it goes to
        item = self.local.instruments[instrument]
        each = float(item.multiplier)
        if item.contract == Contract.INVERSE:  # worth -multiplier / price of the coin, a contract
            scale = item.value_decimals + item.price_decimals - item.qty_decimals
            each = -each * 10**scale / float(price) ** 2
        self._held[strategy, instrument] = qty + change, round(cost - released + opened * price * each)
        return sign * closed * price * each - released

    def profit(self, strategy: int) -> float:
        """Equity less starting cash of a strategy, or of all together for the number after the last."""
        account = self.local.portfolio.accounts.view[strategy]
        return float(int(account["equity"]) - int(account["initial_cash"])) / MICRO

    def snapshot(self, ladder: int = 0, depth: int = 10, trades: int = 20) -> dict[str, Any]:
        """Everything at once.

        Parameters
        ----------
        ladder : int
            Instrument whose depth is given.
        depth : int
            Levels of it a side.
        trades : int
            How many of the last fills.
        """
        last = list(self.trades)
        return {
            "currency": self.local.portfolio.currency,
            "strategies": self.strategies(),
            "total": self._account(len(self.local.names), "total"),
            "positions": self.positions(),
            "orders": self.working(),
            "open_orders": self.local.orders.open,
            "ladder": self.ladder(ladder, depth),
            "trades": last[len(last) - min(trades, len(last)) :],
            "trade_number": self.number,
        }

    def strategies(self) -> list[dict[str, Any]]:
        """One row a strategy: account and counts."""
        guards = self.local.risk.guards.view
        rows = []
        for number, name in enumerate(self.local.names):
            row = self._account(number, name)
            row["paused"] = bool(guards[number]["paused"])
            row["parameters"] = self.parameters(number)
            rows.append(row)
        return rows

    def parameters(self, strategy: int) -> dict[str, Any]:
        """Parameters of a strategy as they are now."""
        chosen, row = self.local.setups[strategy].strategy, self.local.selves[strategy][0]
        return {name: row[name].item() for name in chosen.parameters if np.ndim(row[name]) == 0}

    def _account(self, number: int, name: str) -> dict[str, Any]:
        account = self.local.portfolio.accounts.view[number]
        every = number == len(self.local.names)
        count = max(1, len(self.local.instruments))
        held = self.local.portfolio.positions.view
        held = held if every else held[number * count : (number + 1) * count]
        return {
            "name": name,
            "cash": int(account["cash"]) / MICRO,
            "equity": int(account["equity"]) / MICRO,
            "pnl": self.profit(number),
            "drawdown": int(account["drawdown"]) / MICRO,
            "max_drawdown": int(account["max_drawdown"]) / MICRO,
            "exposure": int(account["gross_exposure"]) / MICRO,
            "net_exposure": int(account["net_exposure"]) / MICRO,
            "wins": int(held["wins"].sum()),
            "losses": int(held["losses"].sum()),
            **{
                what: sum(counts) if every else counts[number]
                for what, counts in (
                    ("orders", self.orders), ("fills", self.fills), ("refused", self.refused),
                    ("rejected", self.rejected),
                )
            },
        }  # fmt: skip

    def positions(self) -> list[dict[str, Any]]:
        """Open positions of every strategy, largest first."""
        portfolio, count = self.local.portfolio, max(1, len(self.local.instruments))
        held = portfolio.positions.view
        open_rows = np.flatnonzero(held["qty"] != 0)
        size = np.abs(held["exposure_micro"][open_rows])
        rows = []
        for row in open_rows[np.argsort(-size, kind="stable")]:
            number = int(row % count)
            item, position = self.local.instruments[number], held[row]
            cost = int(position["cost"]) / 10**item.value_decimals
            amount = int(position["qty"]) / 10**item.qty_decimals
            mark = int(portfolio.holdings.view[number]["mark_price"]) / 10**item.price_decimals
            rows.append(
                {
                    "symbol": item.symbol, "venue": item.venue, "strategy": self.local.names[int(row // count)],
                    "qty": amount, "average": abs(cost / amount), "mark": mark, "decimals": item.price_decimals,
                    "value": amount * mark, "unrealised": amount * mark - cost,
                    "realised": int(position["realised"]) / 10**item.value_decimals,
                }
            )  # fmt: skip
        return rows

    def working(self, most: int = ORDERS) -> list[dict[str, Any]]:
        """Open orders, newest first."""
        table = self.local.orders.orders.view
        used = int(self.local.orders.used)
        states = table["state"][:used]
        found = np.flatnonzero((states != OrderState.FREE) & (states < FILLED))
        newest = found[np.argsort(-table["ts_decided"][found], kind="stable")][:most]
        return [self._order(table[slot]) for slot in newest]

    def _order(self, row: Any) -> dict[str, Any]:
        item = self.local.instruments[int(row["instrument"])]
        return {
            "id": int(row["id"]),
            "symbol": item.symbol,
            "venue": item.venue,
            "strategy": self.local.names[int(row["strategy"])],
            "side": "buy" if int(row["side"]) > 0 else "sell",
            "type": OrderType(int(row["order_type"])).name.lower(),
            "tif": TimeInForce(int(row["tif"])).name,
            "qty": int(row["qty"]) / 10**item.qty_decimals,
            "filled": int(row["filled_qty"]) / 10**item.qty_decimals,
            "price": int(row["price"]) / 10**item.price_decimals,
            "decimals": item.price_decimals,
            "state": OrderState(int(row["state"])).name.lower(),
            "ts": int(row["ts_decided"]),
        }

    def ladder(self, instrument: int, depth: int = 10) -> dict[str, Any]:
        """Levels of a book, best first, and our own orders in it."""
        item = self.local.instruments[instrument]
        sides = {}
        for name, side in (("bids", 1), ("asks", -1)):
            levels = self.local.books.depth(instrument, side, depth)
            sides[name] = [[_price(level["price"], item), _qty(level["qty"], item)] for level in levels]
        own = [order for order in self.working() if order["symbol"] == item.symbol and order["venue"] == item.venue]
        return {
            "symbol": item.symbol, "venue": item.venue, "decimals": item.price_decimals, **sides,
            "own": [[order["side"], order["price"], order["qty"] - order["filled"]] for order in own],
        }  # fmt: skip


def _price(price: Any, item: Instrument) -> float:
    return int(price) / 10**item.price_decimals


def _qty(qty: Any, item: Instrument) -> float:
    return int(qty) / 10**item.qty_decimals
