"""The result of a run: fills, orders, positions, equity, refusals and signals as tables, and everything built on them.

All of it is computed from the run's `RunOutput`, on first use. Money inside the tables is exact (integers at the
instrument's value scale, `10**-(price_decimals + qty_decimals)` of the currency); account figures are integers of 1e-6.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nanotick.core.records import (
    COMMAND,
    MAKER,
    CancelReason,
    FillReason,
    Kind,
    OrderType,
    RejectReason,
    TimeInForce,
)
from nanotick.engine.output import ACCOUNT, MICRO, RunOutput
from nanotick.research.marks import Floats, Ints, MarkSeries, notional, worth
from nanotick.research.tables import Table
from nanotick.research.written import Written

if TYPE_CHECKING:
    from nanotick.research.diagnosis import Diagnosis
    from nanotick.research.statistics import Statistics

FILLS = np.dtype(
    [
        ("ts_venue", "<i8"),  # ns UTC
        ("ts_recv", "<i8"),
        ("order", "<i8"),  # client order id
        ("strategy", "<i4"),
        ("instrument", "<i4"),
        ("side", "i1"),
        ("maker", "?"),
        ("reason", "u1"),  # FillReason
        ("price", "<i8"),  # price units
        ("qty", "<i8"),  # quantity units
        ("value", "<i8"),  # value units
        ("fee", "<i8"),  # value units, negative: rebate
        ("position", "<i8"),  # quantity units, after the fill
        ("realised", "<i8"),  # value units, by this fill: average price, gross of fees
        ("price_float", "<f8"),
        ("qty_float", "<f8"),
        ("value_float", "<f8"),  # currency
        ("fee_float", "<f8"),
        ("realised_float", "<f8"),
    ]
)
ORDERS = np.dtype(
    [
        ("id", "<i8"),  # client order id
        ("strategy", "<i4"),
        ("instrument", "<i4"),
        ("side", "i1"),
        ("order_type", "u1"),
        ("tif", "u1"),
        ("flags", "u1"),  # CommandFlag
        ("price", "<i8"),  # price units, as first sent
        ("qty", "<i8"),  # quantity units, as last agreed
        ("filled", "<i8"),  # quantity units
        ("maker_filled", "<i8"),
        ("value", "<i8"),  # value units, of what was filled
        ("fee", "<i8"),
        ("fills", "<i4"),
        ("replaced", "<i4"),  # times
        ("status", "u1"),  # order status at the end
        ("reason", "u1"),  # CancelReason or RejectReason, by status
        ("ts_decided", "<i8"),  # ns UTC
        ("ts_venue", "<i8"),  # accepted or rejected at the venue, 0: never
        ("ts_ack", "<i8"),  # when that was known here
        ("ts_first_fill", "<i8"),  # at the venue
        ("ts_end", "<i8"),  # at the venue, 0: still working
        ("queue_ahead", "<i8"),  # quantity before it when accepted, -1 unknown
        ("queue_ahead_end", "<i8"),
        ("distance_ticks", "<i8"),  # from our side's best when it ended
        ("price_float", "<f8"),
        ("qty_float", "<f8"),
        ("average_price", "<f8"),  # of the fills, NaN without any
    ]
)
STATUS = ("sent", "working", "filled", "cancelled", "rejected", "expired", "unknown")
_SENT, _WORKING, _FILLED, _CANCELLED, _REJECTED, _EXPIRED, _UNKNOWN = range(7)

POSITIONS = np.dtype(
    [
        ("strategy", "<i4"),
        ("instrument", "<i4"),
        ("qty", "<i8"),  # quantity units
        ("average_price", "<f8"),  # NaN when flat
        ("mark", "<f8"),  # last mid, as a decimal price
        ("cash", "<i8"),  # value units, brought by the trades, fees not taken off
        ("fees", "<i8"),  # value units
        ("realised", "<i8"),  # value units, gross
        ("gross", "<f8"),  # currency: cash plus the marked position
        ("net", "<f8"),
    ]
)
EQUITY = np.dtype(
    [
        ("ts", "<i8"),  # ns UTC, local
        ("strategy", "<i4"),  # -1: all together
        ("cash", "<i8"),  # 1e-6 currency
        ("equity", "<i8"),
        ("exposure", "<i8"),  # gross
        ("equity_float", "<f8"),
        ("drawdown_float", "<f8"),  # from the highest equity so far, never positive
    ]
)
RISK_EVENTS = np.dtype(
    [
        ("ts", "<i8"),
        ("strategy", "<i4"),
        ("instrument", "<i4"),
        ("check", "<i4"),
        ("order", "<i8"),  # client order id or 0
        ("side", "i1"),
        ("found", "<i8"),  # in the check's unit
        ("limit", "<i8"),
    ]
)
SIGNALS = np.dtype([("ts", "<i8"), ("strategy", "<i4"), ("instrument", "<i4"), ("code", "<i8"), ("value", "<f8")])


def _words(enum: Any) -> list[str]:
    names = {int(m): m.name.lower() for m in enum}
    return [names.get(i, str(i)) for i in range(max(names) + 1)]


class BacktestResult(Written):
    """What a run did, as tables and figures.

    Parameters
    ----------
    output : RunOutput
        What the run's engine left.
    """

    def __init__(self, output: RunOutput) -> None:
        self.output = output
        self.instruments = output.instruments
        self.strategies = output.strategies
        self.partial = output.partial

    def __repr__(self) -> str:
        return (
            f"BacktestResult({len(self.strategies)} strategies, {len(self.instruments)} instruments, "
            f"{self.output.counters.events:,} events, {len(self.orders):,} orders, {len(self.fills):,} fills"
            f"{', partial' if self.partial else ''})"
        )

    # --- tables ---------------------------------------------------------------------------------------------------

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        return {
            "strategy": [s.name for s in self.strategies],
            "instrument": [i.symbol for i in self.instruments],
        }

    def _of_kind(self, *kinds: Kind) -> Any:
        records = self.output.records
        return records[np.isin(records["kind"], [int(k) for k in kinds])]

    @cached_property
    def marks(self) -> MarkSeries:
        """Best bid and offer over time."""
        return MarkSeries(self.output.marks, self.instruments, self.output.sample_interval_ns)

    @cached_property
    def _commands(self) -> Any:
        return self._of_kind(Kind.NEW).view(COMMAND)

    def strategy_of(self, ids: Any) -> Ints:
        """Strategy numbers of client order ids; -1 where nobody knows."""
        ids = np.asarray(ids, np.int64)
        known = dict(zip(self._commands["id"].tolist(), self._commands["strategy"].tolist(), strict=True))
        known = {**self.output.order_strategy, **known}
        return np.array([known.get(i, -1) for i in ids.tolist()], np.int64)

    def unit(self, instrument: int) -> float:
        """Value units of an instrument in one unit of the account's currency."""
        return 10.0 ** self.instruments[instrument].value_decimals / self.output.rate(instrument)

    def worth(self, instrument: int, price: Any) -> Any:
        """What one quantity unit is worth at a price (price units), in the account's currency."""
        return worth(self.instruments[instrument], price) * self.output.rate(instrument)

    @cached_property
    def fills(self) -> Table:
        """Every fill, in journal order, with the position after it and the profit it realised."""
        rows = self._of_kind(Kind.FILL)
        busted = self._of_kind(Kind.FILL_BUST)["seq"]
        if len(busted):
            rows = rows[~np.isin(rows["seq"], busted)]
        fills = np.zeros(len(rows), FILLS)
        fills["order"] = rows["id"]
        fills["strategy"] = self.strategy_of(rows["id"])
        fills["maker"] = rows["flags"] & MAKER != 0
        fills["reason"] = rows["flags"] & (MAKER - 1)
        fills["fee"] = rows["word"]
        for name in ("ts_venue", "ts_recv", "instrument", "side", "price", "qty"):
            fills[name] = rows[name]
        self._account(fills)
        for number, item in enumerate(self.instruments):
            mine = fills["instrument"] == number
            fills["price_float"][mine] = fills["price"][mine] / 10.0**item.price_decimals
            fills["qty_float"][mine] = fills["qty"][mine] / 10.0**item.qty_decimals
            for name in ("value", "fee", "realised"):
                fills[f"{name}_float"][mine] = fills[name][mine] / self.unit(number)
        return Table(fills, {**self._names, "reason": _words(FillReason)})

    def _account(self, fills: Any) -> None:
        """Value, position and realised profit (average price) of each fill, in Python integers."""
        state: dict[tuple[int, int], list[int]] = {}  # position, cost of it
        columns = ("strategy", "instrument", "side", "price", "qty")
        values, positions, realised = [], [], []
        for strategy, number, side, price, qty in zip(*(fills[c].tolist() for c in columns), strict=True):
            value = notional(self.instruments[number], price, qty)
            account = state.setdefault((strategy, number), [0, 0])
            position, cost = account
            direction = -1 if self.instruments[number].contract else 1
            gain, signed, flow = 0, side * qty, side * value * direction
            if position * signed >= 0:
                account[0], account[1] = position + signed, cost + flow
            else:
                closed = min(abs(signed), abs(position))
                out = value if closed == qty else value * closed // qty
                part = cost if closed == abs(position) else cost * closed // abs(position)
                gain = -side * direction * out - part
                account[0], account[1] = position + signed, cost - part + (flow - side * direction * out)
            values.append(value)
            positions.append(account[0])
            realised.append(gain)
        fills["value"], fills["position"], fills["realised"] = values, positions, realised

    @cached_property
    def orders(self) -> Table:
        """Every order that was sent, with what became of it."""
        from nanotick.research.order_table import build_orders

        words = {
            **self._names,
            "order_type": _words(OrderType),
            "tif": _words(TimeInForce),
            "status": list(STATUS),
        }
        return Table(build_orders(self), words)

    def reason_word(self, order: Any) -> str:
        """Why an order ended, as a word; empty for filled and working ones."""
        status, reason = int(order["status"]), int(order["reason"])
        if status == _REJECTED:
            return _words(RejectReason)[reason] if reason < len(RejectReason) else str(reason)
        if status in (_CANCELLED, _EXPIRED):
            return _words(CancelReason)[reason] if reason < len(CancelReason) else str(reason)
        return ""

    def pairs(self) -> list[tuple[int, int]]:
        """(strategy, instrument) of everything subscribed to or traded, in order."""
        found = {(n, i) for n, s in enumerate(self.strategies) for i in s.instruments}
        found |= set(zip(self.fills["strategy"].tolist(), self.fills["instrument"].tolist(), strict=True))
        found |= set(
            zip(self.output.positions["strategy"].tolist(), self.output.positions["instrument"].tolist(), strict=True)
        )
        return sorted(found)

    def fills_of(self, strategy: int | None = None, instrument: int | None = None) -> Table:
        """The fills of one strategy, one instrument, or both."""
        chosen = np.ones(len(self.fills), bool)
        if strategy is not None:
            chosen &= np.asarray(self.fills["strategy"] == strategy)
        if instrument is not None:
            chosen &= np.asarray(self.fills["instrument"] == instrument)
        return self.fills[chosen]  # type: ignore[return-value]

    @cached_property
    def positions(self) -> Table:
        """What is held at the end, and what each position earned."""
        rows = np.zeros(len(self.pairs()), POSITIONS)
        for row, (strategy, number) in zip(rows, self.pairs(), strict=True):
            item, fills = self.instruments[number], self.fills_of(strategy, number)
            direction = -1 if item.contract else 1
            signed = (np.asarray(fills["side"], np.int64) * np.asarray(fills["qty"])).sum()
            cash = -direction * sum(s * v for s, v in zip(fills["side"].tolist(), fills["value"].tolist(), strict=True))
            mark, unit = self.marks.last_mid(number), self.unit(number)
            row["strategy"], row["instrument"], row["qty"] = strategy, number, signed
            row["cash"], row["fees"] = cash, sum(fills["fee"].tolist())
            row["realised"] = sum(fills["realised"].tolist())
            row["mark"] = mark / 10.0**item.price_decimals
            held = float(signed * self.worth(number, mark)) if signed else 0.0
            if signed and np.isnan(held):  # never quoted: worth what was paid
                held = float(signed * self.worth(number, float(fills["price"][-1])))
            row["gross"] = cash / unit + held
            row["net"] = row["gross"] - row["fees"] / unit
            row["average_price"] = self._average_price(item, int(signed), cash - int(row["realised"]))
        return Table(rows, self._names)

    @staticmethod
    def _average_price(item: Any, qty: int, cash_open: int) -> float:
        """Decimal price at which the open quantity was got: cash without the realised part, over the quantity."""
        if not qty:
            return float("nan")
        per_unit = abs(cash_open) / abs(qty)  # value units a quantity unit
        multiplier = float(item.multiplier)
        if item.contract:
            return multiplier * 10.0**item.price_decimals / per_unit if per_unit else float("nan")
        return per_unit / multiplier / 10.0**item.price_decimals

    def inventory(self, strategy: int, instrument: int) -> tuple[Ints, Ints]:
        """Position at every sample time of an instrument.

        Returns
        -------
        tuple of numpy.ndarray
            ns UTC and quantity units.
        """
        times = self.marks.times(instrument)
        fills = self.fills_of(strategy, instrument)
        held = np.concatenate([[0], np.asarray(fills["position"])])
        return times, held[np.searchsorted(_ascending(fills["ts_recv"]), times, "right")].astype(np.int64)

    def profit(self, strategy: int, instrument: int, times: Any, net: bool = True) -> Floats:
        """Profit of a position up to each time, marked at the mid, in currency.

        Parameters
        ----------
        times : array of int
            ns UTC, local: a fill counts from when it was known here.
        net : bool
            Whether fees are taken off.
        """
        item, fills = self.instruments[instrument], self.fills_of(strategy, instrument)
        times = np.asarray(times, np.int64)
        if not len(fills):
            return np.zeros(len(times))
        unit, direction = self.unit(instrument), -1 if item.contract else 1
        flows = -direction * np.asarray(fills["side"], np.int64) * np.asarray(fills["value"])
        if net:
            flows = flows - np.asarray(fills["fee"])
        place = np.searchsorted(_ascending(fills["ts_recv"]), times, "right")
        cash = np.concatenate([[0], np.cumsum(flows)])[place] / unit
        held = np.concatenate([[0], np.asarray(fills["position"])])[place]
        mids = self.marks.mids(instrument)
        if len(mids):
            mid = mids[np.maximum(np.searchsorted(self.marks.times(instrument), times, "right") - 1, 0)]
        else:
            mid = np.full(len(times), np.nan)
        paid = np.concatenate([[0], np.asarray(fills["price"])])[place]
        mid = np.where(np.isnan(mid), paid, mid)
        marked = np.where(held != 0, held * self.worth(instrument, np.where(held != 0, mid, 1)), 0.0)
        return np.asarray(cash + marked, np.float64)

    @cached_property
    def equity(self) -> Table:
        """Cash and equity over time, per strategy and (strategy -1) together: the run's own samples, else derived."""
        samples = self._of_kind(Kind.SAMPLE)
        samples = samples[samples["instrument"] == ACCOUNT]
        curves = []
        for number, strategy in enumerate(self.strategies):
            mine = samples[samples["id"] == number]
            curve = np.zeros(len(mine), EQUITY)
            if len(mine):
                curve["ts"], curve["cash"], curve["equity"] = mine["ts_recv"], mine["price"], mine["qty"]
                curve["exposure"] = mine["word"]
            else:
                curve = self._derived_equity(number, strategy.cash)
            curve["strategy"] = number
            curves.append(curve)
        curves.insert(0, together(curves))
        for curve in curves:
            curve["equity_float"] = curve["equity"] / MICRO
            if len(curve):
                curve["drawdown_float"] = (curve["equity"] - np.maximum.accumulate(curve["equity"])) / MICRO
        return Table(np.concatenate(curves), {"strategy": self._names["strategy"]})

    def _derived_equity(self, strategy: int, cash: int) -> Any:
        mine = [i for s, i in self.pairs() if s == strategy]
        grids = [self.marks.times(i) for i in mine if len(self.marks.times(i))]
        times = np.unique(np.concatenate(grids)) if grids else np.empty(0, np.int64)
        curve = np.zeros(len(times), EQUITY)
        curve["ts"], curve["cash"] = times, cash
        profit = np.zeros(len(times))
        for number in mine:
            profit += self.profit(strategy, number, times)
            place = np.searchsorted(self.marks.times(number), times, "right") - 1
            _, held = self.inventory(strategy, number)
            if len(held):
                value = np.abs(held * self.worth(number, self.marks.mids(number)))[np.maximum(place, 0)]
                curve["exposure"] += np.rint(np.nan_to_num(value) * MICRO).astype(np.int64)
        curve["equity"] = cash + np.rint(profit * MICRO).astype(np.int64)
        return curve

    def equity_of(self, strategy: int = -1) -> Table:
        """The equity curve of one strategy, or of all together."""
        return self.equity[np.asarray(self.equity["strategy"] == strategy)]  # type: ignore[return-value]

    @cached_property
    def risk_events(self) -> Table:
        """Every refusal: which check, what was found, what the limit is."""
        rows = self._of_kind(Kind.RISK)
        events = np.zeros(len(rows), RISK_EVENTS)
        events["ts"], events["order"], events["found"], events["limit"] = (
            rows["ts_recv"],
            rows["id"],
            rows["price"],
            rows["qty"],
        )
        events["strategy"], events["check"] = rows["seq"], rows["word"]
        events["instrument"], events["side"] = rows["instrument"].astype(np.int64), rows["side"]
        names = self.output.check_names
        return Table(
            events, {**self._names, "check": [names.get(i, str(i)) for i in range(max(names, default=-1) + 1)]}
        )

    @cached_property
    def signals(self) -> Table:
        """What strategies logged."""
        rows = self._of_kind(Kind.SIGNAL)
        signals = np.zeros(len(rows), SIGNALS)
        signals["ts"], signals["code"] = rows["ts_recv"], rows["id"]
        signals["value"] = np.ascontiguousarray(rows["price"]).view(np.float64)
        signals["strategy"], signals["instrument"] = rows["word"], rows["instrument"].astype(np.int64)
        return Table(signals, self._names)

    # --- what is built on them ------------------------------------------------------------------------------------

    @cached_property
    def statistics(self) -> Statistics:
        """Every figure, per strategy and instrument and together."""
        from nanotick.research.statistics import compute

        return compute(self)

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """Why there are no trades, or few."""
        from nanotick.research.diagnosis import diagnose

        return diagnose(self)

    def to_dict(self) -> dict[str, Any]:
        """The stable structure that `--json` prints (docs/backtesting.md)."""
        from nanotick.research.summary import as_dict

        return as_dict(self)

    def write_html(self, path: str | Path, title: str | None = None) -> Path:
        """Write the report: one HTML file that needs nothing else."""
        from nanotick.research.report import write_report

        return write_report(self, Path(path), title)

    def summary(self) -> Any:
        """The headline figures as a rich table."""
        from nanotick.research.summary import summary_table

        return summary_table(self)


def _ascending(ts: Any) -> Ints:
    """Times as a non-decreasing series: reports of one order may be known in another order than they happened."""
    return np.maximum.accumulate(np.asarray(ts, np.int64)) if len(ts) else np.empty(0, np.int64)


def together(curves: list[Any]) -> Any:
    """Sum of several strategies' equity curves at all their times; each counts with its latest sample."""
    filled = [np.asarray(c) for c in curves if len(c)]
    times = np.unique(np.concatenate([c["ts"] for c in filled])) if filled else np.empty(0, np.int64)
    total = np.zeros(len(times), EQUITY)
    total["ts"], total["strategy"] = times, -1
    for curve in filled:
        place = np.maximum(np.searchsorted(curve["ts"], times, "right") - 1, 0)
        for name in ("cash", "equity", "exposure"):
            total[name] += np.asarray(curve[name])[place]
    return total
