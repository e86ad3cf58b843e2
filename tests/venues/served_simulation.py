"""The same hour at the served Alpaca: its REST, streams and market data, in front of a desk with a small market."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

from nanotick.core.secret import Secret
from nanotick.exchange.agents.description import description_from
from nanotick.venues.alpaca.feed import AlpacaFeed
from nanotick.venues.alpaca.server import TERMS, AlpacaSite
from nanotick.venues.backoff import BackoffLimits
from nanotick.venues.desk import Desk
from nanotick.venues.desk_terms import Account
from nanotick.venues.feed import Pace, State
from nanotick.venues.paced_market import PacedMarket
from nanotick.venues.virtual import SECOND
from tests.venues.simulation import ADDRESS, LiveSimulation
from tests.venues.trading import TABLE

DATA = "stream.data.alpaca.markets"
MARKET = {
    "name": "tiny",
    "session": {"start": "2026-01-05T14:30:00Z", "hours": 6.5},
    "profiles": {"calm": {"flow": {"limit_rate": 0.3, "market_rate": 0.1, "lifetime": 60.0}}},
    "instruments": [
        {"symbol": "AAPL", "venue": "XNAS", "profile": "calm", "price": "100.00", "size": 20},
    ],
}
PACE = Pace(ready_ns=8 * SECOND, backoff=BackoffLimits(cap_ns=8 * SECOND))


class Shown:
    """A desk's account, shaped as what the simulation looks at."""

    def __init__(self, desk: Desk, me: Any) -> None:
        self.desk, self.me, self.changes, self.taken = desk, me, 0, 0
        desk.follow(me, self._told)

    def _told(self, report: Any, order: Any) -> None:
        self.changes += 1

    @property
    def held(self) -> dict[str, int]:
        return {p.symbol: int(p.qty) for p in self.desk.positions(self.me)}

    @property
    def executions(self) -> list[Any]:
        return list(self.me.fills)

    @property
    def orders(self) -> dict[str, Any]:
        return self.me.orders

    def open_orders(self) -> list[Any]:
        return list(self.me.open.values())

    def cash(self) -> Decimal:
        return -sum((Decimal(f.price_text) * f.qty * f.order.side for f in self.me.fills), Decimal(0))


class ServedSimulation(LiveSimulation):
    """One run against the served venue, prices over its data stream included."""

    def _open_venue(self, there: Any, source: random.Random) -> Any:
        market = PacedMarket(there, description_from(MARKET), seed=self.seed + 1, warm_up=60.0, slice_ns=SECOND // 2)
        desk = Desk(there, market, accounts=[Account("key", "secret", multiplier=4)], terms=TERMS)
        desk.start()
        site = AlpacaSite(desk, rate_limit=source.choice([0, 200]))
        self.network.serve(ADDRESS, site, there)
        self.network.serve(DATA, site, there)
        self.network.twisted = lambda address: address == ADDRESS  # prices without numbers cannot be told in order
        return Shown(desk, desk.accounts["key"])

    def _start_trader(self, resumed: bool = False) -> None:
        self.feed = AlpacaFeed(
            self.host, TABLE, "ALPACA", self.engine.runner.deliver, key="key", secret=Secret("secret"),
            symbols=["AAPL"], pace=PACE,
        )  # fmt: skip
        self.engine.runner.add_feed(self.feed)
        super()._start_trader(resumed)

    def _quote(self) -> None:
        """Prices come over the stream."""

    def _settled(self) -> str:
        found = super()._settled()
        if not found and self.up and self.feed.state != State.LIVE:
            return f"prices: {self.feed.state.name} {self.feed.error}"
        return found


__all__ = ["ServedSimulation"]
