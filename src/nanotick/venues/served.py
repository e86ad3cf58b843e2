"""The venues that can be served, by name, and how one is opened; each one's code is imported when it is asked for.

A venue's module defines

    def open_site(host: Host, market: PacedMarket, customer: Customer) -> Opened

which makes its desk (with the account of `customer`) on the market and puts its protocol in front of it. What a client
is given stands in `Opened.addresses`: a label, `http` or `ws`, and the path. The market may have other venues on it
too; it is started by the caller when all of them are open.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nanotick.exchange.agents.description_check import near
from nanotick.venues.desk import Desk
from nanotick.venues.host import Host, Site
from nanotick.venues.paced_market import PacedMarket


@dataclass(frozen=True)
class Customer:
    """Who the venue is served for.

    Parameters
    ----------
    key, secret, passphrase : str
        What the client shows; venues that need no secret ignore it.
    limits : bool
        Rate limits as the venue has them; without them a benchmark can run.
    seed : int
        Makes the ids.
    balances : mapping of asset to decimal text
        Instead of what the venue gives a new account.
    """

    key: str
    secret: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)
    limits: bool = True
    seed: int = 1
    balances: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Opened:
    """A venue that is ready for a port.

    Parameters
    ----------
    site : Site
    desk : Desk
    addresses : tuple of (label, scheme, path)
        Scheme is `http` or `ws`.
    keys : tuple of (name, value)
        What the client needs, under the names it knows them by (environment variables).
    """

    site: Site
    desk: Desk
    addresses: tuple[tuple[str, str, str], ...]
    keys: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ServedVenue:
    """A venue that can be served.

    Parameters
    ----------
    module : str
        Where `open_site` is.
    market : str
        The market description behind it by default.
    exchange : str
        Name of the exchange in that market; empty: its first.
    about : str
    """

    module: str
    market: str
    exchange: str
    about: str

    def open(self, host: Host, market: PacedMarket, customer: Customer) -> Opened:
        """Import and open it."""
        found: Any = importlib.import_module(self.module)
        opened: Opened = found.open_site(host, market, customer)
        return opened


SERVED: dict[str, ServedVenue] = {
    "alpaca": ServedVenue(
        "nanotick.venues.alpaca.served", "us-equities", "XNAS",
        "US stocks: trading API, trade updates, market data stream and API",
    ),
    "binance": ServedVenue(
        "nanotick.venues.binance.served", "crypto", "BINANCE",
        "coins: REST, market streams, WebSocket API with orders and the user's events",
    ),
    "coinbase": ServedVenue(
        "nanotick.venues.coinbase.served", "crypto", "COINBASE",
        "coins: Advanced Trade REST, market data and the user channel",
    ),
    "coinbase-exchange": ServedVenue(
        "nanotick.venues.coinbase.exchange_served", "crypto", "COINBASE",
        "coins, order by order: full channel, matches, levels, and books by REST",
    ),
    "kraken": ServedVenue(
        "nanotick.venues.kraken.served", "crypto", "KRAKEN",
        "coins: REST, market streams with checksums, private stream with orders and executions",
    ),
    "polygon": ServedVenue(
        "nanotick.venues.polygon.served", "us-equities", "XNAS",
        "US stocks: trades, quotes and bars by WebSocket, past trades and quotes by REST",
    ),
}  # fmt: skip


def served_venue(name: str) -> ServedVenue:
    """A venue by name.

    Raises
    ------
    ValueError
        There is none.
    """
    found = SERVED.get(name)
    if found is None:
        raise ValueError(f"no venue {name!r} to serve{near(name, SERVED)}; `nanotick venue list` shows them")
    return found


def exchange_of(market: PacedMarket, wanted: str) -> str:
    """The exchange of a market that a venue shows: the one by its usual name, else the first."""
    venues = market.instruments.venues
    return wanted if wanted in venues else venues[0]
