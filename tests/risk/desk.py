"""A desk to test risk on: order table, portfolio, book and risk stage in one arena, driven through one entry."""

from dataclasses import replace
from decimal import Decimal

import numpy as np

from nanotick.book import BookStore
from nanotick.core.arena import Arena
from nanotick.core.instruments import Contract, Instrument, InstrumentTable
from nanotick.core.kernel import kernel
from nanotick.core.records import COMMAND, EVENT, Kind, command_at, event_at
from nanotick.orders import (
    OrderTable,
    order_cancel_sent,
    order_find,
    order_record,
    order_refuse,
    order_release,
    order_replace_sent,
    order_report,
    order_reserve,
    order_reserve_closing,
)
from nanotick.portfolio import Portfolio, portfolio_fill, portfolio_mark
from nanotick.risk import (
    RiskCheck,
    RiskLimits,
    RiskStage,
    kill,
    pause_strategy,
    resume,
    risk_check,
    risk_check_cancel,
    risk_check_replace,
    risk_force_cancel,
    risk_refresh,
    risk_update,
)

_NEW, _CANCEL, _REPLACE, _FILL = int(Kind.NEW), int(Kind.CANCEL), int(Kind.REPLACE_ORDER), int(Kind.FILL)
CLOSE, FORCE_CANCEL, UPDATE, KILL, RESUME, PAUSE, MARK, CHECK = 200, 201, 202, 203, 204, 205, 206, 207
SECOND = 1_000_000_000
NOW = 100 * SECOND
BID, ASK = 9_999, 10_001  # so the reference is 10,000 price units, 100 dollars
PRICE = 10_000

INSTRUMENTS = (
    Instrument("ABC", "XNAS", min_qty="2", max_qty="50000", min_notional="150"),
    Instrument("ABC", "BATS"),
    Instrument("XYZ", "XNAS", lot_size="10", tick_size="0.05"),
    Instrument("XBT", "DERI", price_decimals=1, tick_size="0.5", contract=Contract.INVERSE, currency="BTC"),
)


@kernel("i8(i8,i8,i8,i8,i8,i8)")
def act(risk: int, orders: int, portfolio: int, what: int, address: int, now: int) -> int:
    """Do one thing as the engine does it; gives the RiskCheck, or 0."""
    command = command_at(address)
    order_id = command.id
    if what == _NEW or what == CLOSE:
        if what == CLOSE:
            order_id = order_reserve_closing(
                orders, command.strategy, command.instrument, command.side, command.price, command.qty,
                command.order_type, command.tif, now,
            )  # fmt: skip
        else:
            order_id = order_reserve(
                orders, command.strategy, command.instrument, command.side, command.price, command.qty,
                command.order_type, command.tif, command.flags, command.stop_price, command.expire_s, now,
            )  # fmt: skip
        command.id = order_id
        check = risk_check(risk, order_id, now)
        if check == 0:
            order_release(orders, order_id, now)
        else:
            order_refuse(orders, order_id, now)
        return check
    if what == _REPLACE:
        check = risk_check_replace(risk, order_id, command.price, command.qty, now)
        if check == 0:
            order_replace_sent(orders, order_id, command.price, command.qty, now)
        return check
    if what == _CANCEL or what == FORCE_CANCEL:
        if what == _CANCEL:
            check = risk_check_cancel(risk, order_id, now)
        else:
            check = risk_force_cancel(risk, order_id, now)
        if check == 0:
            order_cancel_sent(orders, order_id, now)
        return check
    if what == CHECK:
        return risk_check(risk, order_id, now)
    if what == UPDATE:
        return risk_update(risk, now)
    if what == KILL:
        kill(risk, order_id)
    elif what == RESUME:
        resume(risk)
    elif what == PAUSE:
        pause_strategy(risk, command.strategy, order_id != 0)
    elif what == MARK:
        portfolio_mark(portfolio, command.instrument, command.price)
    else:
        event = event_at(address)
        order_report(orders, address)
        slot = order_find(orders, event.id)
        if slot >= 0:
            order = order_record(orders, slot)
            if what == _FILL:
                portfolio_fill(
                    portfolio, order.strategy, order.instrument, order.side, event.price, event.qty, event.word, now
                )
            risk_refresh(risk, order.strategy, order.instrument)
    return 0


class Desk:
    """Two strategies with 50,000 each, so 100,000 for the account, on four instruments at 100."""

    def __init__(self, limits: RiskLimits | None = None, strategy_limits=None, cash=(50_000, 50_000), **stage) -> None:
        self.table = InstrumentTable(INSTRUMENTS)
        self.arena = Arena(1 << 26)
        self.orders = OrderTable(self.arena, 2, self.table, 1 << 10)
        money = [int(Decimal(c) * 1_000_000) for c in cash]
        self.portfolio = Portfolio(self.arena, 2, self.table, money, rates={"BTC": "60000"})
        self.books = BookStore(self.arena, "book", len(INSTRUMENTS), max_orders=64, max_levels=256)
        self.stage = RiskStage(self.arena, 2, self.table, limits or free(), strategy_limits, **stage)
        self.stage.connect(self.orders, self.portfolio, self.books.address)
        self.root = self.arena["risk.root"].view[0]
        self.instruments = self.arena["instruments"].view
        for number in range(3):
            self.books.quote_set(number, BID, 100, ASK, 100)
        self.books.quote_set(3, 600_000, 100, 600_005, 100)
        self.stage.tape.view["book_ts"] = NOW
        self.last_id = 0

    def do(self, what: int, now: int = NOW, **values: int) -> RiskCheck:
        row = np.zeros(1, EVENT if what < int(Kind.NEW) else COMMAND)
        if what < int(Kind.NEW):
            row["kind"] = what
        for name, value in values.items():
            row[name] = value
        check = act(self.stage.address, self.orders.address, self.portfolio.address, what, row.ctypes.data, now)
        if what in (int(Kind.NEW), CLOSE):
            self.last_id = int(row["id"][0])
        return RiskCheck(check)

    def order(self, side=1, qty=10, price=PRICE, instrument=0, strategy=0, now=NOW, kind=0, **values) -> RiskCheck:
        return self.do(
            int(Kind.NEW), now, side=side, qty=qty, price=price, instrument=instrument, strategy=strategy,
            order_type=kind, **values,
        )  # fmt: skip

    def fill(self, qty, price=PRICE, instrument=0, order_id=None, seq=None, fee=0) -> None:
        self._seq = getattr(self, "_seq", 0) + 1
        self.do(
            int(Kind.FILL), id=order_id or self.last_id, qty=qty, price=price, instrument=instrument,
            seq=seq or self._seq, word=fee,
        )  # fmt: skip

    def hold(self, qty, instrument=0, strategy=0, price=PRICE) -> None:
        """Come to hold a position, whatever the limits say."""
        side = 1 if qty > 0 else -1
        before = self.stage.limits.view.copy(), self.stage.pairs.view.copy()
        open_all = RiskLimits.unlimited()
        for scope in range(3):
            self.stage.set_limits(scope, replace(open_all, dynamic=self.stage._dynamic[scope]))
        assert self.order(side, abs(qty), price, instrument, strategy, now=NOW - 50 * SECOND) == RiskCheck.PASS
        self.fill(abs(qty), price, instrument)
        self.stage.limits.view[:] = before[0]
        for field in ("max_order_qty", "max_position_qty"):
            self.stage.pairs.view[field] = before[1][field]
        for scope in range(3):
            guard = self.stage.guards.view[scope]
            messages = int(before[0][scope]["values"][10])
            guard["unreserved_messages"] = messages if messages > 1 << 40 else messages - messages // 5

    @property
    def found(self) -> tuple[int, int, int]:
        return int(self.root["found"]), int(self.root["limit"]), int(self.root["scope"])


def free(**some) -> RiskLimits:
    """No limits but the ones given."""
    words = dict.fromkeys(RiskLimits.__dataclass_fields__, "unlimited")
    return RiskLimits(**{**words, "self_trade": "allow", "crossed_book": "allow", **some})
