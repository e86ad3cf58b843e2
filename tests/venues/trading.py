"""The engine behind a trader, as a runner connects them: reports go into the session, its commands to the trader."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np

import nanotick as nt
from nanotick.core.arena import Arena
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import BOTH_SIDES, COMMAND, EVENT, RECORD_SIZE, Flag, Kind
from nanotick.core.secret import Secret
from nanotick.engine.local import Capacity, LocalSide, StrategySetup
from nanotick.engine.session import Session
from nanotick.orders.records import FILLED, OrderState
from nanotick.risk.limits import RiskLimits
from nanotick.venues.alpaca.trader import AlpacaTrader
from nanotick.venues.runner import Runner
from nanotick.venues.trader_base import engine_orders
from nanotick.venues.working import TraderConfig, TraderState

SECOND = 1_000_000_000
TABLE = InstrumentTable([Instrument("AAPL", "ALPACA"), Instrument("MSFT", "ALPACA")])
SMALL = Capacity(book_orders=1 << 10, book_levels=1 << 12, orders=1 << 12, output=1 << 15, arena_bytes=1 << 30)
MID = 10_000
_NEW, _CANCEL, _REPLACE = 1, 2, 3


class Puppet(nt.Strategy):
    """Does what trades on the tape say: price and quantity, the id 1 to place, 2 to cancel, 3 to replace."""

    last: int = 0

    def on_trade(self, ctx: Any, trade: Any) -> None:
        what = ctx.last_qty() % 10
        qty = ctx.last_qty() // 10
        if what == 1:
            self.last = ctx.order(ctx.last_side(), qty, ctx.last_price())
        elif what == 2:
            ctx.cancel(self.last)
        elif what == 3:
            ctx.replace(self.last, ctx.last_price(), qty)


class Scribbler(nt.Strategy):
    """Places, replaces and cancels by chance."""

    most: int = 4

    def on_book(self, ctx: Any) -> None:
        draw = ctx.random()
        if draw < 0.4:
            if ctx.open_orders() < self.most:
                side = 1 if ctx.random() < 0.5 - 0.002 * ctx.position() else -1
                away = int(ctx.random() * 5.0)
                price = ctx.best_bid() - away if side > 0 else ctx.best_ask() + away
                ctx.order(side, 1 + int(ctx.random() * 20.0), price)
        elif draw < 0.6:
            found = ctx.first_order()
            if found != 0:
                ctx.cancel(found)
        elif draw < 0.7:
            found = ctx.first_order()
            if found != 0:
                away = int(ctx.random() * 5.0)
                price = ctx.best_bid() - away if ctx.order_side(found) > 0 else ctx.best_ask() + away
                ctx.replace(found, price, ctx.order_leaves(found) + int(ctx.random() * 10.0) + 1)


class Recorder(Runner):
    """A runner that keeps what went in and out."""

    def __init__(self, host: Any, session: Session, resumed: bool) -> None:
        super().__init__(host, session, counter=lambda: 0, drain_ns=5 * SECOND, resumed=resumed)
        self.reports: list[tuple[int, ...]] = []
        self.sent: list[np.ndarray] = []
        self.gone = False

    def _turn(self, address: int, count: int) -> None:
        data = ctypes.string_at(address, count * RECORD_SIZE)
        self.reports += [row for row in np.frombuffer(data, EVENT).tolist() if 32 <= row[9] < 64]
        super()._turn(address, count)

    def _send_written(self, began: int, written: int) -> bool:
        at = len(self.sent)
        self.sent.append(np.frombuffer(bytes(self._commands[:RECORD_SIZE]), COMMAND)[0])
        done = super()._send_written(began, written)
        if not done:
            del self.sent[at]
        return done

    def send(self, commands_address: int, count: int) -> None:
        data = ctypes.string_at(commands_address, count * RECORD_SIZE)
        self.sent += list(np.frombuffer(data, COMMAND))
        super().send(commands_address, count)


class Engine:
    """A session and its runner.

    With `journal` the session is kept; `Engine.again` goes on with one that was dropped.
    """

    def __init__(
        self, strategy: Any, host: Any, journal: Path | None = None, seed: int = 1,
        table: InstrumentTable = TABLE, capacity: Capacity = SMALL,
    ) -> None:  # fmt: skip
        local = LocalSide(
            Arena(capacity.arena_bytes), table, [StrategySetup(strategy, cash=10**18)], RiskLimits.unlimited(),
            capacity, seed=seed, currency=table[0].currency,
        )  # fmt: skip
        session = Session(local, journal, sample_interval_ns=10 * SECOND, segment_bytes=1 << 20, sync_interval_s=None)
        self._connect(session, host)

    @classmethod
    def again(cls, journal: Path, host: Any) -> Engine:
        """From the journal of a session that was killed."""
        self = cls.__new__(cls)
        self._connect(Session.resume(journal, 1 << 20, None), host, True)
        return self

    def _connect(self, session: Session, host: Any, resumed: bool = False) -> None:
        self.session, self.local, self.host = session, session.local, host
        self.runner = Recorder(host, session, resumed)
        self.reports, self.sent = self.runner.reports, self.runner.sent
        self.trader: Any = None

    def event(self, kind: Kind, **values: int) -> None:
        row = np.zeros(1, EVENT)
        row["kind"], row["ts_venue"], row["ts_recv"] = kind, self.host.now(), self.host.now()
        row["flags"] = BOTH_SIDES | Flag.LAST | Flag.PRINTABLE
        for name, value in values.items():
            row[name] = value
        self.runner.deliver(int(row.ctypes.data), 1)
        self.session.drain()

    def quote(self, bid: int = MID - 1, ask: int = MID + 1, instrument: int = 0) -> None:
        self.event(Kind.QUOTE, price=bid, qty=1000, id=ask, word=1000, instrument=instrument)

    def place(self, qty: int = 10, price: int = MID, side: int = 1) -> int:
        """A limit order by the puppet; gives its id."""
        self.event(Kind.TRADE, price=price, qty=qty * 10 + _NEW, side=side)
        return int(self.local.selves[0]["last"][0])

    def cancel(self) -> None:
        self.event(Kind.TRADE, price=MID, qty=_CANCEL, side=1)

    def replace(self, qty: int, price: int = MID) -> None:
        self.event(Kind.TRADE, price=price, qty=qty * 10 + _REPLACE, side=1)

    # what it knows

    def order(self, number: int) -> Any:
        row = engine_orders(self.local.orders)(number)
        return row

    def state(self, number: int) -> OrderState:
        return OrderState(int(self.order(number)["state"]))

    def position(self, number: int = 0) -> int:
        return int(self.local.portfolio.positions.view["qty"][number])

    def open_orders(self) -> list[Any]:
        table = self.local.orders
        rows = table.orders.view[: int(table._root.view["used"][0])]
        found = np.flatnonzero((rows["state"] >= 2) & (rows["state"] < FILLED))
        return [rows[i] for i in found]

    def exposure(self, instrument: int = 0) -> tuple[int, int]:
        """What may at worst still be bought and sold, by the engine's own sums."""
        total = self.local.orders.aggregates.view[len(self.local.instruments) + instrument]  # over all strategies
        return int(total["open_buy_qty"]), int(total["open_sell_qty"])


def alpaca(engine: Engine, host: Any, config: TraderConfig | None = None, **more: Any) -> AlpacaTrader:
    """The trader of an engine, not started."""
    trader = AlpacaTrader(
        host, TABLE, "ALPACA", 7, engine_orders(engine.local.orders), engine.runner.deliver,
        config or TraderConfig(foreign_orders="refuse", holdings="refuse"), position=engine.position,
        key="key", secret=Secret("secret"), **more,
    )  # fmt: skip
    engine.trader = trader
    engine.runner.add_account(trader.number, trader)
    return trader


__all__ = ["MID", "SECOND", "TABLE", "Engine", "Puppet", "Scribbler", "TraderState", "alpaca"]
