"""What the tests of a served coin venue with ccxt share: a small market, and clients with the addresses changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from nanotick.exchange.agents.description import description_from
from nanotick.venues.desk import Desk
from nanotick.venues.desk_terms import Account, VenueTerms
from nanotick.venues.sockets import Sockets
from tests.patience import PATIENCE_S, wait_until
from tests.venues.threaded import ThreadedVenue

SYMBOL = "BTC/USDT"


def small_market(venue: str, maker_rate: str, taker_rate: str) -> dict[str, Any]:
    """Description of a market of two coins."""
    common = {"venue": venue, "profile": "plain", "currency": "USDT"}
    return {
        "name": "small", "session": {"start": "2026-01-05T00:00:00Z", "hours": 24},
        "profiles": {"plain": {"flow": {"limit_rate": 12.0, "market_rate": 1.5, "lifetime": 5.0}}},
        "fees": {venue: {"maker_rate": maker_rate, "taker_rate": taker_rate}},
        "instruments": [
            {"symbol": "BTCUSDT", "price": "96000.0", "tick": "1", "price_decimals": 1, "lot": "0.0001",
             "qty_decimals": 4, "size": 4, **common},
            {"symbol": "ETHUSDT", "price": "3400.00", "tick": "0.05", "price_decimals": 2, "lot": "0.001",
             "qty_decimals": 3, "size": 6, **common},
        ],
    }  # fmt: skip


class ServedToCcxt(ThreadedVenue):
    """A venue with one account, and ccxt's clients of it.

    Parameters
    ----------
    market : dict
        As `small_market`.
    site : callable
        Makes the site at a desk.
    terms : VenueTerms
    key, secret : str
        Of the account.
    kind : type
        Class of ccxt.
    rewrite : callable
        `rewrite(api, http, ws)` changes the addresses of a client.
    **settings
        Of the desk.
    """

    def __init__(
        self,
        market: dict[str, Any],
        site: Callable[[Desk], Any],
        terms: VenueTerms,
        key: str,
        secret: str,
        kind: Any,
        rewrite: Callable[[dict[str, Any], str, str], None],
        **settings: Any,
    ) -> None:
        self._key, self._secret, self._kind, self._rewrite = key, secret, kind, rewrite

        def made(host: Sockets) -> Any:
            (venue,) = market["fees"]
            account = Account(key, secret, balances={"USDT": "1000000", "BTC": "5"})
            return site(Desk(host, description_from(market), venue, [account], terms=terms, **settings))

        super().__init__(made)

    def client(self, kind: Any = None, **settings: Any) -> Any:
        """A client of the account, of ccxt or ccxt.pro; settings as ccxt has them."""
        keys = {"apiKey": self._key, "secret": self._secret}
        usual = {"enableRateLimit": False, "timeout": int(1000 * PATIENCE_S)}
        client = (kind or self._kind)({**keys, **usual, **settings})
        self._rewrite(client.urls["api"], self.http, self.ws)
        return client


def first_trades(client: Any) -> list[dict[str, Any]]:
    """Trades of the market, once there are any."""
    return list(wait_until(lambda: client.fetch_trades(SYMBOL)))


def tells_the_time(client: Any, coarse_ms: int = 1) -> bool:
    """Whether the venue's clock is ours: it was asked between two looks at ours."""
    before = time.time_ns() // 1_000_000
    told = int(client.fetch_time())
    return before - coarse_ms <= told <= time.time_ns() // 1_000_000 + coarse_ms


async def soon(waiting: Any) -> Any:
    """What comes of it, before patience ends."""
    return await asyncio.wait_for(waiting, PATIENCE_S)


async def until(done: Callable[[], bool]) -> None:
    """Wait for something the venue does on its thread."""
    async with asyncio.timeout(PATIENCE_S):
        while not done():
            await asyncio.sleep(0.01)
