"""The same hour at a served venue for coins: its listing, market data, orders and balances, in front of a desk."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import nanotick as nt
from nanotick.core.instruments import InstrumentTable
from nanotick.exchange.agents.description import description_from
from nanotick.venues.faulty import Faults
from nanotick.venues.feed import State
from nanotick.venues.paced_market import PacedMarket
from nanotick.venues.registry import package
from nanotick.venues.served import Customer, served_venue
from nanotick.venues.trader_base import engine_orders
from nanotick.venues.virtual import SECOND
from nanotick.venues.working import TraderConfig
from tests.venues.coins import SMALL
from tests.venues.served_simulation import Shown
from tests.venues.simulation import LiveSimulation
from tests.venues.trading import Engine

ADDRESS = "coins.test"
SYMBOLS = {"binance": "BTCUSDT", "coinbase": "BTC-USDT", "kraken": "BTC/USDT"}
BALANCES = {"USDT": "1000000", "BTC": "10"}
KEY, SECRET = "the-key", "c2VjcmV0IGZvciB0ZXN0cw=="
COIN = {
    "symbol": "BTCUSDT", "profile": "calm", "price": "96000.0", "tick": "1", "price_decimals": 1, "lot": "0.0001",
    "qty_decimals": 4, "currency": "USDT", "size": 20,
}  # fmt: skip


class Dabbler(nt.Strategy):
    """Places, crosses, replaces and cancels by chance."""

    most: int = 4
    share: float = 0.3  # of books after which it does something

    def on_book(self, ctx: Any) -> None:
        draw = ctx.random()
        if draw > self.share or ctx.best_bid() <= 0 or not ctx.has_book():
            return
        draw = draw / self.share
        tick = ctx.tick_size()
        lot = ctx.lot_size()
        if draw < 0.5:
            if ctx.open_orders() < self.most:
                side = 1 if ctx.random() < 0.5 else -1
                away = (int(ctx.random() * 6.0) - 1) * tick
                price = ctx.best_bid() - away if side > 0 else ctx.best_ask() + away
                ctx.order(side, lot * (5 + int(ctx.random() * 20.0)), price)
        elif draw < 0.8:
            found = ctx.first_order()
            if found != 0:
                ctx.cancel(found)
        else:
            found = ctx.first_order()
            if found != 0:
                away = int(ctx.random() * 5.0) * tick
                price = ctx.best_bid() - away if ctx.order_side(found) > 0 else ctx.best_ask() + away
                ctx.replace(found, price, ctx.order_leaves(found) + lot * (5 + int(ctx.random() * 10.0)))


class ShownCoins(Shown):
    """A spot account: what is held is what its fills have brought, and what it began with where that counts."""

    def __init__(self, desk: Any, me: Any, item: Any, began: int) -> None:
        super().__init__(desk, me)
        self.item, self.began = item, began

    @property
    def held(self) -> dict[str, int]:
        brought = sum(fill.order.side * self.item.qty(fill.qty_text) for fill in self.me.fills)
        return {self.item.symbol: self.began + brought}

    def cash(self) -> Decimal:
        return -sum((Decimal(f.price_text) * Decimal(f.qty_text) * f.order.side for f in self.me.fills), Decimal(0))


class CoinSimulation(LiveSimulation):
    """One run against a served venue for coins, process crashes included."""

    name = ""

    def _open_venue(self, there: Any, source: random.Random) -> Any:
        self.package = package(self.name)
        market = PacedMarket(there, description_from({
            "name": "tiny", "session": {"start": "2026-01-05T00:00:00Z", "hours": 24},
            "profiles": {"calm": {"flow": {"limit_rate": 0.3, "market_rate": 0.1, "lifetime": 60.0,
                                           "seed_orders": 4}}},
            "fees": {self.name.upper(): {"maker_rate": "0.0005", "taker_rate": "0.001"}},
            "instruments": [COIN | {"venue": self.name.upper()}],
        }), seed=self.seed + 1, warm_up=60.0, slice_ns=SECOND // 2)  # fmt: skip
        customer = Customer(KEY, SECRET, limits=source.random() < 0.5, balances=BALANCES)
        opened = served_venue(self.name).open(there, market, customer)
        self.keys = dict(opened.keys)
        market.start()
        self.network.serve(ADDRESS, opened.site, there)
        self.network.twisted = lambda address: False  # these streams are numbered, or repeat nothing
        self.holdings = source.choice(["adopt", "leave"])
        self.table = InstrumentTable([self._listed()])
        item = self.table[0]
        me = next(iter(opened.desk.accounts.values()))
        return ShownCoins(opened.desk, me, item, item.qty(BALANCES["BTC"]) if self.holdings == "adopt" else 0)

    def _listed(self) -> Any:
        """The instrument as the venue lists it, asked for before anything goes wrong."""
        network, told = self.network, []
        network.faults = Faults()
        symbol = SYMBOLS[self.name]
        self.package.load("listed")(
            network.host("before"), self._url("https", "rest"), [symbol], lambda found, why: told.append((found, why))
        )
        network.run(network.time + SECOND)
        network.faults = self.faults
        assert told and told[0][0], told
        return told[0][0][symbol][0]

    def _url(self, scheme: str, what: str) -> str:
        return f"{scheme}://{ADDRESS}{self.package.paths.get(what, '')}"

    def _open_engine(self) -> Engine:
        return Engine(Dabbler(), self.host, self.journal, self.seed, self.table, SMALL)

    def _start_trader(self, resumed: bool = False) -> None:
        engine, package = self.engine, self.package
        settings: dict[str, Any] = {"rests": (self._url("https", "rest"),)} if self.name == "binance" else {}
        self.feed = package.load("feed")(
            self.host, self.table, package.table, engine.runner.deliver, (self._url("wss", "data"),),
            **package.keys("feed", self.keys), **settings,
        )  # fmt: skip
        engine.runner.add_feed(self.feed)
        self.trader = package.load("trader")(
            self.host, self.table, package.table, 7, engine_orders(engine.local.orders), engine.runner.deliver,
            TraderConfig(foreign_orders="refuse", holdings=self.holdings), position=engine.position,
            rest=self._url("https", "rest"), stream=self._url("wss", "stream"), **package.keys("trader", self.keys),
        )  # fmt: skip
        engine.trader = self.trader
        engine.runner.add_account(self.trader.number, self.trader)
        if resumed:
            self.trader.resume(engine.open_orders(), engine.session.now)
        engine.runner.start()

    def _quote(self) -> None:
        """Prices come over the stream."""

    def _true(self) -> int:
        return super()._true() - self.venue.began + self._adopted

    def _settled(self) -> str:
        found = super()._settled()
        if not found and self.up and self.feed.state not in (State.LIVE, State.STALE):
            return f"prices: {self.feed.state.name} {self.feed.error}"
        return found


class BinanceSimulation(CoinSimulation):
    name = "binance"


class KrakenSimulation(CoinSimulation):
    name = "kraken"
    # once its REST counter is full it lets a question pass every three to six seconds, and to settle an order that is
    # not there takes five
    settled_ns = 90 * SECOND


class CoinbaseSimulation(CoinSimulation):
    name = "coinbase"

    def _rounding(self) -> int:
        """The user channel tells a mean price, of which a fill's is made: half a step of the price by fill."""
        return sum(qty for _, qty, _ in self.booked.values())


__all__ = ["BinanceSimulation", "CoinbaseSimulation", "KrakenSimulation"]
