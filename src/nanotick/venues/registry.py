"""The venues there are: what each package offers, where it connects, which keys it wants. Imported when used.

A new venue is a package `venues/NAME` with a `Feed`, a `Trader` and a served `Site`, and one row here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nanotick.core.instruments import Instrument
from nanotick.core.secret import Secret
from nanotick.core.suggest import nearest


def load_named(target: str) -> Any:
    """What is behind `module:name`."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


@dataclass(frozen=True)
class VenuePackage:
    """One venue.

    Attributes
    ----------
    name : str
        As on the command line.
    table : str
        Name of the venue in instrument tables.
    feed, trader : str
        `module:Class`, empty where the venue has none.
    feed_keys, trader_keys : mapping of str to tuple of str
        Argument of the class, and the environment variables that may hold it, the first that is set.
    endpoints : mapping of str to mapping of str to str
        By kind of account (`live`, `paper`): addresses by argument; `data` is the feed's, one or more with commas
        between them, tried in turn.
    feed_settings : mapping of str to mapping of str to value
        By kind of account: further arguments of the feed.
    secrets : frozenset of str
        Arguments that are `Secret`.
    instrument : callable, optional
        Makes an instrument of a symbol, where the venue need not be asked for its scale.
    listed : str
        `module:function` that asks the venue: `listed(host, rest, symbols, done)`.
    paths : mapping of str to str
        Of a served venue on one port: what follows the port, by argument of the trader; `data` for the feed.
    """

    name: str
    table: str
    feed: str = ""
    trader: str = ""
    feed_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    trader_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    endpoints: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset(("secret", "passphrase", "private_key"))
    instrument: Callable[[str], Instrument] | None = None
    feed_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    listed: str = ""
    paths: Mapping[str, str] = field(default_factory=lambda: {"rest": "", "stream": "/stream"})

    def load(self, what: str) -> Any:
        """What is behind `feed`, `trader` or `listed`."""
        target = getattr(self, what)
        if not target:
            raise ValueError(f"{self.name} has no {what}")
        return load_named(target)

    def keys(self, what: str, environment: Mapping[str, str], given: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Keys for a feed or trader, out of the configuration and the environment.

        Raises
        ------
        ValueError
            One is missing; the message names the variable.
        """
        found: dict[str, Any] = {}
        for argument, names in getattr(self, f"{what}_keys").items():
            value = (given or {}).get(argument) or next((environment[n] for n in names if environment.get(n)), "")
            if not value:
                wanted = " or ".join(names)
                raise ValueError(f"{self.name}: no {argument}: set {wanted} in the environment or in .env")
            found[argument] = Secret(value) if argument in self.secrets else value
        return found


def _stock(venue: str) -> Callable[[str], Instrument]:
    """US stocks: cents, and four decimals for what trades between them; whole shares."""
    return lambda symbol: Instrument(symbol, venue, 4, 0, tick_size="0.01")


_ALPACA_KEYS = {
    "key": ("ALPACA_API_KEY", "APCA_API_KEY_ID"),
    "secret": ("ALPACA_SECRET_KEY", "ALPACA_API_SECRET", "APCA_API_SECRET_KEY"),
}
PACKAGES: dict[str, VenuePackage] = {
    package.name: package
    for package in (
        VenuePackage(
            "alpaca", "ALPACA", "nanotick.venues.alpaca.feed:AlpacaFeed", "nanotick.venues.alpaca.trader:AlpacaTrader",
            _ALPACA_KEYS, _ALPACA_KEYS,
            {
                "paper": {"rest": "https://paper-api.alpaca.markets", "stream": "wss://paper-api.alpaca.markets/stream",
                          "data": "wss://stream.data.alpaca.markets"},
                "live": {"rest": "https://api.alpaca.markets", "stream": "wss://api.alpaca.markets/stream",
                         "data": "wss://stream.data.alpaca.markets"},
            },
            instrument=_stock("ALPACA"), feed_settings={"live": {"stream": "sip"}, "embedded": {"stream": "sip"}},
        ),
        VenuePackage(
            "binance", "BINANCE", "nanotick.venues.binance.feed:BinanceFeed",
            "nanotick.venues.binance.trader:BinanceTrader", {},
            {"key": ("BINANCE_API_KEY",), "secret": ("BINANCE_API_SECRET", "BINANCE_SECRET_KEY")},
            {
                "paper": {"rest": "https://testnet.binance.vision", "data": "wss://stream.testnet.binance.vision",
                          "stream": "wss://ws-api.testnet.binance.vision/ws-api/v3"},
                "live": {"rest": "https://api.binance.com",
                         "data": "wss://stream.binance.com:9443,wss://stream.binance.com:443,"
                                 "wss://data-stream.binance.vision",
                         "stream": "wss://ws-api.binance.com:443/ws-api/v3"},
            },
            listed="nanotick.venues.binance.listing:listed", paths={"rest": "", "stream": "/ws-api/v3"},
        ),
        VenuePackage(
            "coinbase", "COINBASE", "nanotick.venues.coinbase.feed:CoinbaseFeed",
            "nanotick.venues.coinbase.trader:CoinbaseTrader", {},
            {"key": ("COINBASE_API_KEY",), "secret": ("COINBASE_API_SECRET", "COINBASE_PRIVATE_KEY")},
            {"live": {"rest": "https://api.coinbase.com", "stream": "wss://advanced-trade-ws-user.coinbase.com",
                      "data": "wss://advanced-trade-ws.coinbase.com"}},
            listed="nanotick.venues.coinbase.listing:listed", paths={"rest": "", "stream": ""},
        ),
        VenuePackage(  # order by order; orders go to `coinbase`
            "coinbase-exchange", "COINBASE", "nanotick.venues.coinbase.exchange_feed:CoinbaseExchangeFeed", "", {}, {},
            {"live": {"data": "wss://ws-feed.exchange.coinbase.com"}},
            listed="nanotick.venues.coinbase.listing:listed",
        ),
        VenuePackage(
            "kraken", "KRAKEN", "nanotick.venues.kraken.feed:KrakenFeed", "nanotick.venues.kraken.trader:KrakenTrader",
            {}, {"key": ("KRAKEN_API_KEY",), "secret": ("KRAKEN_API_SECRET",)},
            {"live": {"rest": "https://api.kraken.com", "stream": "wss://ws-auth.kraken.com/v2",
                      "data": "wss://ws.kraken.com/v2"}},
            listed="nanotick.venues.kraken.listing:listed",
            paths={"rest": "", "stream": "/private/v2", "data": "/v2"},
        ),
        VenuePackage(
            "finnhub", "FINNHUB", "nanotick.venues.finnhub.feed:FinnhubFeed", "", {"key": ("FINNHUB_API_KEY",)}, {},
            {"live": {"data": "wss://ws.finnhub.io"}, "paper": {"data": "wss://ws.finnhub.io"}}, frozenset(("key",)),
            instrument=_stock("FINNHUB"),
        ),
        VenuePackage(
            "polygon", "POLYGON", "nanotick.venues.polygon.feed:PolygonFeed", "",
            {"key": ("POLYGON_API_KEY",)}, {},
            {"live": {"data": "wss://socket.polygon.io"}, "paper": {"data": "wss://socket.polygon.io"}},
            frozenset(("key",)),
            instrument=_stock("POLYGON"),
        ),
    )
}  # fmt: skip


def package(name: str) -> VenuePackage:
    """A venue by name.

    Raises
    ------
    ValueError
        There is none of that name; the message has the nearest.
    """
    if name not in PACKAGES:
        raise ValueError(f"venue: unknown {name!r}{nearest(name, PACKAGES, 0.4)} There are: {', '.join(PACKAGES)}")
    return PACKAGES[name]
