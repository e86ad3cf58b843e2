"""Our live side at a served Binance: feed, account, engine and a strategy that trades by chance, over any host."""

from __future__ import annotations

from typing import Any

import nanotick as nt
from nanotick.core.arena import Arena
from nanotick.core.instruments import InstrumentTable
from nanotick.core.secret import Secret
from nanotick.engine.local import Capacity, LocalSide, StrategySetup
from nanotick.engine.session import Session
from nanotick.exchange.agents.description import description_from
from nanotick.orders.records import FILLED
from nanotick.risk.limits import RiskLimits
from nanotick.venues.binance.feed import BinanceFeed
from nanotick.venues.binance.listing import listed_in
from nanotick.venues.binance.server import TERMS, BinanceSite
from nanotick.venues.binance.trader import BinanceTrader
from nanotick.venues.desk import Desk
from nanotick.venues.desk_terms import Account
from nanotick.venues.feed import State
from nanotick.venues.trader_base import engine_orders
from nanotick.venues.working import TraderConfig, TraderState
from nanotick.wire.requests import Request
from tests.venues.trading import Recorder

SECOND = 1_000_000_000
SMALL = Capacity(book_orders=1 << 10, book_levels=1 << 14, orders=1 << 12, output=1 << 17, arena_bytes=1 << 30)
MARKET = {
    "name": "small", "session": {"start": "2026-01-05T00:00:00Z", "hours": 24},
    "profiles": {"plain": {"flow": {"limit_rate": 8.0, "market_rate": 1.5, "lifetime": 5.0, "seed_orders": 4}}},
    "fees": {"BINANCE": {"maker_rate": "0.0005", "taker_rate": "0.001"}},
    "instruments": [
        {"symbol": "BTCUSDT", "venue": "BINANCE", "profile": "plain", "price": "96000.0", "tick": "1",
         "price_decimals": 1, "lot": "0.0001", "qty_decimals": 4, "currency": "USDT", "size": 20},
        {"symbol": "ETHUSDT", "venue": "BINANCE", "profile": "plain", "price": "3400.00", "tick": "0.05",
         "price_decimals": 2, "lot": "0.001", "qty_decimals": 3, "currency": "USDT", "size": 20},
    ],
}  # fmt: skip
START = {"USDT": "1000000", "BTC": "5", "ETH": "100"}


class Chance(nt.Strategy):
    """Places, crosses, replaces and cancels by chance."""

    most: int = 4
    share: float = 0.05  # of books after which it does something
    quiet: int = 0

    def on_book(self, ctx: Any) -> None:
        draw = ctx.random()
        if self.quiet != 0 or draw > self.share or ctx.best_bid() <= 0 or not ctx.has_book():
            return
        draw = draw / self.share
        tick = ctx.tick_size()
        lot = ctx.lot_size()
        if draw < 0.6:
            if ctx.open_orders() < self.most:
                side = 1 if ctx.random() < 0.5 else -1
                away = (int(ctx.random() * 6.0) - 2) * tick
                price = ctx.best_bid() - away if side > 0 else ctx.best_ask() + away
                ctx.order(side, lot * (5 + int(ctx.random() * 20.0)), price)
        elif draw < 0.85:
            found = ctx.first_order()
            if found != 0:
                ctx.cancel(found)
        else:
            found = ctx.first_order()
            if found != 0:
                away = int(ctx.random() * 5.0) * tick
                price = ctx.best_bid() - away if ctx.order_side(found) > 0 else ctx.best_ask() + away
                ctx.replace(found, price, ctx.order_leaves(found) + lot * (5 + int(ctx.random() * 10.0)))


def served(host: Any, secret: str = "secret", market: Any = None, **settings: Any) -> BinanceSite:
    """A Binance on a small market, not started."""
    account = Account("key", secret, balances=START)
    desk = Desk(host, description_from(market or MARKET), "BINANCE", [account], terms=TERMS)
    return BinanceSite(desk, **settings)


class Coins:
    """Feed, account and engine.

    Parameters
    ----------
    host : Host
        Ours.
    site : BinanceSite
        For what is true.
    http, ws : str
        Its address.
    """

    def __init__(
        self, host: Any, site: BinanceSite, http: str, ws: str, secret: str = "secret", **settings: Any
    ) -> None:
        self.host, self.site = host, site
        told: list[bytes] = []
        site.request(Request("GET", "/api/v3/exchangeInfo"), "tests", lambda response: told.append(response.body))
        items = [item for item, _ in listed_in(told[0], "BINANCE").values()]
        self.table = InstrumentTable(items)
        self.local = LocalSide(
            Arena(SMALL.arena_bytes), self.table, [StrategySetup(Chance(**settings.pop("strategy", {})), cash=10**18)],
            RiskLimits.unlimited(), SMALL, seed=settings.pop("seed", 1), currency="USDT",
        )  # fmt: skip
        self.session = Session(self.local, None, sample_interval_ns=10 * SECOND)
        self.runner = Recorder(host, self.session, False)
        self.feed = BinanceFeed(host, self.table, "BINANCE", self.runner.deliver, [ws])
        self.trader = BinanceTrader(
            host, self.table, "BINANCE", 7, engine_orders(self.local.orders), self.runner.deliver,
            TraderConfig(holdings="adopt", foreign_orders="refuse", **settings), position=self.position,
            key="key", secret=Secret(secret), rest=http, stream=f"{ws}/ws-api/v3",
        )  # fmt: skip
        self.runner.add_feed(self.feed)
        self.runner.add_account(0, self.trader)

    @property
    def account(self) -> Any:
        """At the venue."""
        return self.site.desk.accounts["key"]

    def position(self, number: int) -> int:
        """Of the engine."""
        return int(self.local.portfolio.positions.view["qty"][number])

    def be_quiet(self) -> None:
        """Decide nothing more."""
        self.local.selves[0]["quiet"] = 1

    def open_orders(self) -> dict[int, Any]:
        """Of the engine, by id."""
        rows = self.local.orders.orders.view
        return {int(row["id"]): row for row in rows[(rows["state"] >= 2) & (rows["state"] < FILLED)]}

    def fills(self) -> set[tuple[int, int]]:
        """Executions told to the engine: instrument and trade id."""
        return {(row[7], row[2]) for row in self.runner.reports if row[9] == 34}

    def unsettled(self) -> str:
        """What differs between us and the venue; empty if nothing does."""
        trader, desk, account = self.trader, self.site.desk, self.account
        if trader.state != TraderState.READY:
            return f"account is {trader.state.name}: {trader.reason}"
        if trader.unknown or trader.unanswered:
            return f"{trader.unknown} outcomes unknown, {trader.unanswered} unanswered"
        syncing = self.feed.status()["syncing"]
        if self.feed.state not in (State.LIVE, State.STALE) or syncing:
            return f"feed is {self.feed.state.name}, {syncing} books syncing"
        here = {
            trader._working[number].order: (int(row["qty"]), int(row["filled_qty"]), int(row["price"]))
            for number, row in self.open_orders().items()
        }
        there = {}
        for order in desk.orders(account, open_only=True):
            number = next(n for n, item in enumerate(self.table) if item.symbol == order.symbol)
            item = self.table[number]
            there[order.order] = (item.qty(order.qty), item.qty(order.filled), item.price(order.price))
        if {name: (q - f, p) for name, (q, f, p) in here.items()} != {n: (q - f, p) for n, (q, f, p) in there.items()}:
            return f"open here {here}, at the venue {there}"
        for number, item in enumerate(self.table):
            base = item.symbol.removesuffix("USDT")
            held = item.qty(START[base]) + sum(
                fill.order.side * item.qty(fill.qty_text) for fill in desk.fills(account, symbol=item.symbol)
            )
            if self.position(number) != held:
                return f"{item.symbol}: position {self.position(number)}, by the venue's fills {held}"
        return ""

    def books_differ(self) -> str:
        """Where our books are not the venue's; to be asked when the market stands still."""
        for number, item in enumerate(self.table):
            book = self.site.hub.book(self.site.desk.listings[item.symbol])
            for side, levels in ((1, book.bids), (-1, book.asks)):
                rows = self.local.books.depth(number, side, 1 << 14).tolist()
                ours = {item.price_decimal(row[0]): item.qty_decimal(row[1]) for row in rows}
                listing = book.listing.item
                theirs = {listing.price_decimal(p): listing.qty_decimal(q) for p, q in levels.items()}
                if ours != theirs:
                    only = {p: (ours.get(p), theirs.get(p)) for p in ours.keys() | theirs.keys()}
                    return f"{item.symbol} {side}: {[(p, v) for p, v in only.items() if v[0] != v[1]][:5]}"
        return ""
