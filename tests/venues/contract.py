"""A venue package at work: its own client, over real sockets, at its own served venue, with an engine behind."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from nanotick.core.arena import Arena
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import ControlAction, Kind
from nanotick.engine.local import LocalSide, StrategySetup
from nanotick.engine.session import Session
from nanotick.exchange.agents.description import description_from
from nanotick.orders.records import FILLED
from nanotick.risk.limits import RiskLimits
from nanotick.venues.faults import FaultySite, faults_from
from nanotick.venues.paced_market import PacedMarket
from nanotick.venues.registry import package
from nanotick.venues.served import Customer, served_venue
from nanotick.venues.sockets import Sockets
from nanotick.venues.trader_base import engine_orders
from nanotick.venues.working import TraderConfig, TraderState
from tests.patience import wait_until
from tests.venues.trading import SECOND, SMALL, Engine, Puppet, Recorder

KEY, SECRET = "the-key", "c2VjcmV0IGZvciB0ZXN0cw=="
COIN = {"profile": "plain", "price": "96000.0", "tick": "1", "price_decimals": 1, "lot": "0.0001", "qty_decimals": 4,
        "currency": "USDT", "size": 4, "symbol": "BTCUSDT"}  # fmt: skip
STOCK = {"symbol": "AAPL", "venue": "XNAS", "profile": "plain", "price": "150.00", "size": 100}


class Case:
    """What differs between the venues.

    Parameters
    ----------
    symbol : str
        As the venue calls it.
    row : dict
        The instrument in the market description.
    lost : sequence of dict
        Faults after which nobody tells what became of an order that was placed.
    """

    def __init__(self, name: str, symbol: str, row: dict[str, Any], lost: list[dict[str, Any]]) -> None:
        self.name, self.symbol, self.row, self.lost = name, symbol, row, lost

    def __repr__(self) -> str:
        return self.name


def coin(name: str, symbol: str, lost: list[dict[str, Any]]) -> Case:
    return Case(name, symbol, COIN | {"venue": name.upper()}, lost)


class Place:
    """The served venue on a port, and an engine with the venue's trader."""

    def __init__(self, case: Case, faults: list[dict[str, Any]] | None = None) -> None:
        self.case, self.host, self.package = case, Sockets(), package(case.name)
        market = PacedMarket(self.host, description_from({
            "name": "small", "session": {"start": "2026-01-05T14:30:00Z", "hours": 6.5},
            "profiles": {"plain": {"flow": {"limit_rate": 12.0, "market_rate": 1.5, "lifetime": 5.0}}},
            "instruments": [case.row],
        }), seed=3, warm_up=20.0)  # fmt: skip
        opened = served_venue(case.name).open(self.host, market, Customer(KEY, SECRET, limits=False))
        self.desk, site = opened.desk, opened.site
        self.account = next(iter(self.desk.accounts.values()))
        if faults:
            site = FaultySite(self.host, site, faults_from({"faults": faults}))
        market.start()
        self.port = self.host.serve(site)
        self.keys = dict(opened.keys)
        self._running: list[Any] = []
        self.table = InstrumentTable([self._instrument()])

    def _instrument(self) -> Instrument:
        """As the venue lists it, or as the package makes it."""
        if self.package.instrument is not None:
            return self.package.instrument(self.case.symbol)
        told: list[Any] = []
        self.package.load("listed")(
            self.host, f"http://127.0.0.1:{self.port}", [self.case.symbol], lambda found, why: told.append((found, why))
        )
        self.until(lambda: bool(told))
        assert told[0][0] is not None, told[0][1]
        return told[0][0][self.case.symbol][0]

    def close(self) -> None:
        for each in self._running:
            each.stop()
        self.host.run(0.05)
        self.desk.stop()
        self.host.close()
        assert self.host.errors == 0

    def until(self, condition: Any) -> None:
        wait_until(condition, lambda: self.host.run(0.01))

    def url(self, scheme: str, what: str) -> str:
        return f"{scheme}://127.0.0.1:{self.port}{self.package.paths.get(what, '')}"

    # --- our side -----------------------------------------------------------------------------------------------------

    def feed(self, deliver: Any) -> Any:
        keys = self.package.keys("feed", self.keys)
        settings = dict(self.package.feed_settings.get("embedded", {}))
        if self.case.name == "binance":
            settings["rests"] = (self.url("http", "rest"),)  # snapshots
        feed = self.package.load("feed")(
            self.host, self.table, self.package.table, deliver, (self.url("ws", "data"),), **keys, **settings
        )
        self._running.append(feed)
        return feed

    def trader(self, config: TraderConfig | None = None, **settings: Any) -> Any:
        """An engine and the venue's trader, not started."""
        engine = Engine.__new__(Engine)
        local = LocalSide(
            Arena(SMALL.arena_bytes), self.table, [StrategySetup(Puppet(), cash=10**15)], RiskLimits.unlimited(), SMALL,
            seed=1, currency=self.table[0].currency,
        )  # fmt: skip
        engine.session = Session(local, None, sample_interval_ns=10 * SECOND, sync_interval_s=None)
        engine.local, engine.host = local, self.host
        engine.runner = Recorder(self.host, engine.session, False)
        engine.reports, engine.sent = engine.runner.reports, engine.runner.sent
        keys = self.package.keys("trader", self.keys)
        engine.trader = self.package.load("trader")(
            self.host, self.table, self.package.table, 7, engine_orders(local.orders), engine.runner.deliver,
            config or TraderConfig(foreign_orders="cancel", order_timeout=2.0), position=engine.position,
            rest=self.url("http", "rest"), stream=self.url("ws", "stream"), **keys, **settings,
        )  # fmt: skip
        self._running.append(engine.trader)
        engine.runner.add_account(engine.trader.number, engine.trader)
        return engine

    def started(self, config: TraderConfig | None = None, **settings: Any) -> Any:
        engine = self.trader(config, **settings)
        engine.trader.start()
        self.until(lambda: engine.trader.state == TraderState.READY)
        self.quote(engine)
        return engine

    def quote(self, engine: Any) -> None:
        """Tell the engine the market's prices."""
        quote, item = self.desk.quote(self.case.symbol), self.table[0]
        engine.event(Kind.QUOTE, price=item.price(quote.bid), qty=1000, id=item.price(quote.ask), word=1000)

    def away(self, share: str = "0.9") -> int:
        """A price that rests."""
        item = self.table[0]
        tick = Decimal(self.case.row.get("tick", "0.01"))
        price = (Decimal(self.desk.quote(self.case.symbol).bid) * Decimal(share) // tick) * tick
        return item.price(f"{price:f}")

    def through(self) -> int:
        """A price to buy at that trades."""
        item = self.table[0]
        tick = Decimal(self.case.row.get("tick", "0.01"))
        return item.price(f"{(Decimal(self.desk.quote(self.case.symbol).ask) * Decimal('1.01') // tick) * tick:f}")

    @property
    def lots(self) -> int:
        """Quantity of a usual order, in our units."""
        item = self.table[0]
        return item.qty("10") if self.case.row is STOCK else item.qty("0.01")

    def open_there(self) -> list[Any]:
        return self.desk.orders(self.account, open_only=True)

    def bought(self) -> Decimal:
        """What the desk has booked for the account."""
        fills = self.desk.fills(self.account)
        return sum((Decimal(f.qty_text) * f.order.side for f in fills), Decimal(0))

    def ours(self, engine: Any) -> Decimal:
        """What the engine has booked of its own orders."""
        rows = engine.local.orders.orders.view[: engine.local.orders.used]
        return sum((self.table[0].qty_decimal(int(r["filled_qty"]) * int(r["side"])) for r in rows), Decimal(0))


def kill(engine: Any) -> None:
    engine.runner.control(ControlAction.KILL, reason=1)


__all__ = ["FILLED", "STOCK", "Case", "Place", "coin", "kill"]
