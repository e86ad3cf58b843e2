"""A session's local side to be driven by hand: a strategy that only listens, and one that sends what it is told to."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from nanotick.core.arena import Arena
from nanotick.core.instruments import Contract, Instrument, InstrumentTable
from nanotick.core.records import COMMAND, EVENT, Flag, Kind, OrderType, TimeInForce, adopted_flags
from nanotick.engine.local import Capacity, LocalSide, StrategySetup
from nanotick.engine.session import Session
from nanotick.risk.limits import RiskLimits
from nanotick.strategy.base import Strategy

SECOND = 1_000_000_000
START = 1_000 * SECOND
PRICE = 10_000  # 100.00
SMALL = Capacity(book_orders=1 << 12, book_levels=1 << 12, orders=1 << 10, output=1 << 14, arena_bytes=2 << 30)
TABLE = InstrumentTable(
    [
        Instrument("ABC", "XNAS"),
        Instrument("XYZ", "XNAS", lot_size="10", tick_size="0.05"),
        Instrument("XBT", "DERI", price_decimals=1, tick_size="0.5", contract=Contract.INVERSE, currency="BTC"),
    ]
)
CASH = 50_000_000_000


class Sender(Strategy):
    """Sends a limit order at every book event with an odd quantity at the best bid, at the best ask, or at both."""

    size: int = 10

    def on_book(self, ctx: Any) -> None:
        if ctx.bid_qty() % 2 == 1:
            ctx.buy(self.size, ctx.best_bid())
        if ctx.ask_qty() % 2 == 1:
            ctx.sell(self.size, ctx.best_ask())


class Listener(Strategy):
    """Counts what it is told of orders."""

    heard: int = 0

    def on_order(self, ctx: Any, order: Any) -> None:
        self.heard += 1


class Busy(Strategy):
    """At every book event one of: a new buy, a replace of the oldest order, a cancel of it, by turns."""

    turn: int = 0

    def on_book(self, ctx: Any) -> None:
        self.turn += 1
        what = self.turn % 4
        oldest = ctx.first_order()
        if what < 2 or oldest == 0:
            ctx.buy(10 + self.turn % 7, ctx.best_bid() - self.turn % 5)
        elif what == 2:
            ctx.replace(oldest, ctx.best_bid() - 6, 30)
        else:
            ctx.cancel(oldest)


def local_side(limits: RiskLimits | None = None, strategy: Strategy | None = None, **more: Any) -> LocalSide:
    setups = [StrategySetup(strategy or Sender(), cash=CASH), StrategySetup(Listener(), cash=CASH)]
    return LocalSide(
        Arena(SMALL.arena_bytes), TABLE, setups, limits or RiskLimits(duplicate_window_s="unlimited"), SMALL,
        currency="USD", rates={"BTC": "60000"}, **more,
    )  # fmt: skip


class Driver:
    """Events one by one into a session."""

    def __init__(self, directory: Path | None = None, limits: RiskLimits | None = None, **more: Any) -> None:
        self.session = Session(local_side(limits), directory, segment_bytes=2 << 20, **more)
        self._begin()

    @classmethod
    def over(cls, session: Session) -> "Driver":
        self = cls.__new__(cls)
        self.session = session
        self._begin()
        return self

    def _begin(self) -> None:
        self.now = max(START, self.session.now)
        self.local = self.session.local
        self.seq = self.flip = 0
        self.sent: list[Any] = []

    def event(self, kind: Kind, after: int = 1_000_000, **values: int) -> np.ndarray:
        """One event, `after` ns later; gives the commands that it led to."""
        self.now += after
        self.seq += 1
        row = np.zeros(1, EVENT)
        row["kind"], row["ts_venue"], row["ts_recv"], row["seq"] = int(kind), self.now, self.now, self.seq
        for name, value in values.items():
            row[name] = value
        before = self.session.waiting
        assert self.session.take_array(row) == 1
        made = self.session.commands()[before:].copy()
        self.sent += list(made)
        return made

    def quote(self, bid: int = 9_999, ask: int = 10_001, sizes: tuple[int, int] = (100, 100), **more: int) -> Any:
        """A quote; an odd size makes the sender trade."""
        more.setdefault("flags", int(Flag.LAST))
        self.flip = (self.flip + 2) % 6  # another size each time, or there would be no news
        return self.event(Kind.QUOTE, price=bid, qty=sizes[0] + self.flip, id=ask, word=sizes[1] + self.flip, **more)

    def adopt(self, key: int, side: int = 1, qty: int = 50, price: int = PRICE, strategy: int = 1, **more: int) -> Any:
        flags = adopted_flags(OrderType.LIMIT, TimeInForce.GTC)
        more = {"flags": flags, "word": key + 7, **more}
        return self.event(Kind.ADOPTED, id=key, side=side, qty=qty, price=price, **{"seq": strategy, **more})

    def order(self, order_id: int) -> Any:
        return self.local.orders.orders.view[order_id & 0xFFFFF]

    def drop(self) -> None:
        """Forget the commands that wait."""
        self.session._record.gateway_count = 0
        self.session.drain()

    def open_qty(self, row: int, instrument: int = 0) -> tuple[int, int]:
        total = self.local.orders.aggregates.view[row * len(TABLE) + instrument]
        return int(total["open_buy_qty"]), int(total["open_sell_qty"])

    def position(self, row: int, instrument: int = 0) -> Any:
        return self.local.portfolio.positions.view[row * len(TABLE) + instrument]

    def account(self, row: int = 2) -> Any:
        return self.local.portfolio.accounts.view[row]

    def digest(self) -> str:
        self.session.drain()
        return self.session.part.digest().hex()


def commands_of(made: np.ndarray, kind: Kind) -> list[int]:
    """Client order ids of the commands of a kind."""
    return [int(c["id"]) for c in made.view(COMMAND) if c["kind"] == int(kind)]


def micro(amount: str) -> int:
    return int(Decimal(amount) * 1_000_000)
