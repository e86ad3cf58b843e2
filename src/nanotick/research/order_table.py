"""The order table: one row an order, put together from commands, reports and queue samples without a Python loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nanotick.core.records import Kind

if TYPE_CHECKING:
    from nanotick.research.results import BacktestResult

_ENDS = {Kind.CANCELLED: 3, Kind.REJECTED: 4, Kind.EXPIRED: 5, Kind.UNKNOWN: 6}  # kind -> status


def build_orders(result: BacktestResult) -> npt.NDArray[Any]:
    """Rows of dtype `ORDERS`, in the order in which the orders were sent."""
    from nanotick.research.results import ORDERS

    records, commands = result.output.records, result._commands
    _, first = np.unique(commands["id"], return_index=True)
    commands = commands[np.sort(first)]
    orders = np.zeros(len(commands), ORDERS)
    for name in ("id", "strategy", "instrument", "side", "order_type", "tif", "flags", "price", "qty"):
        orders[name] = commands[name]
    orders["ts_decided"] = commands["ts"]
    orders["queue_ahead"] = orders["queue_ahead_end"] = -1
    sorting = np.argsort(orders["id"], kind="stable")
    ids = orders["id"][sorting]

    def find(rows: Any) -> tuple[Any, npt.NDArray[np.int64]]:
        """The rows whose order is in the table, and its place."""
        if not len(ids):
            return rows[:0], np.empty(0, np.int64)
        place = np.minimum(np.searchsorted(ids, rows["id"]), len(ids) - 1)
        known = ids[place] == rows["id"]
        return rows[known], sorting[place[known]]

    def of_kind(kind: Kind) -> tuple[Any, npt.NDArray[np.int64]]:
        return find(records[records["kind"] == int(kind)])

    # numpy keeps the last of several assignments to one place: go backward where the first report counts
    for kind in (Kind.REJECTED, Kind.ACCEPTED):
        rows, place = of_kind(kind)
        orders["ts_venue"][place[::-1]] = rows["ts_venue"][::-1]
        orders["ts_ack"][place[::-1]] = rows["ts_recv"][::-1]
        if kind == Kind.ACCEPTED:
            orders["status"][place] = 1
    rows, place = of_kind(Kind.REPLACED)
    np.add.at(orders["replaced"], place, 1)
    orders["qty"][place] = rows["qty"]

    fills, place = find_fills(result, find)
    for name, amount in (("filled", fills["qty"]), ("value", fills["value"]), ("fee", fills["fee"]), ("fills", 1)):
        np.add.at(orders[name], place, amount)
    np.add.at(orders["maker_filled"], place, np.where(fills["maker"], fills["qty"], 0))
    orders["ts_first_fill"][place[::-1]] = fills["ts_venue"][::-1]
    # immediate orders may be filled without being accepted first: the fill is then the venue's answer
    unseen = (orders["ts_venue"] == 0) & (orders["ts_first_fill"] > 0)
    last = np.zeros(len(orders), np.int64)
    known = np.zeros(len(orders), np.int64)
    last[place] = fills["ts_venue"]
    known[place[::-1]] = fills["ts_recv"][::-1]
    orders["ts_venue"][unseen], orders["ts_ack"][unseen] = orders["ts_first_fill"][unseen], known[unseen]
    orders["status"][unseen] = 1
    complete = (orders["filled"] >= orders["qty"]) & (orders["fills"] > 0)
    orders["status"][complete], orders["ts_end"][complete] = 2, last[complete]
    for kind, status in _ENDS.items():
        rows, place = of_kind(kind)
        open_ = ~complete[place]
        rows, place = rows[open_], place[open_]
        orders["status"][place], orders["reason"][place] = status, rows["word"].astype(np.uint8)
        orders["ts_end"][place] = rows["ts_venue"]
    queue, place = find(result.output.queue)
    orders["queue_ahead"][place], orders["queue_ahead_end"][place] = queue["ahead_start"], queue["ahead_end"]
    orders["distance_ticks"][place] = queue["distance_ticks"]
    _floats(result, orders)
    return orders


def find_fills(result: BacktestResult, find: Any) -> tuple[Any, npt.NDArray[np.int64]]:
    """The result's fills keyed like reports (`id`), and the places of their orders."""
    fills = np.asarray(result.fills)
    keyed = np.zeros(len(fills), [("id", "<i8"), ("row", "<i8")])
    keyed["id"], keyed["row"] = fills["order"], np.arange(len(fills))
    found, place = find(keyed)
    return fills[found["row"]], place


def _floats(result: BacktestResult, orders: npt.NDArray[Any]) -> None:
    orders["average_price"] = np.nan
    for number, item in enumerate(result.instruments):
        mine = orders["instrument"] == number
        orders["price_float"][mine] = orders["price"][mine] / 10.0**item.price_decimals
        orders["qty_float"][mine] = orders["qty"][mine] / 10.0**item.qty_decimals
        traded = mine & (orders["filled"] > 0)
        per_unit = orders["value"][traded] / orders["filled"][traded]
        multiplier = float(item.multiplier)
        if item.contract:
            orders["average_price"][traded] = multiplier * 10.0**item.price_decimals / per_unit
        else:
            orders["average_price"][traded] = per_unit / multiplier / 10.0**item.price_decimals
