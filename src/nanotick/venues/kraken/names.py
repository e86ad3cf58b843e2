"""Names of assets and pairs: BTC is XBT or XXBT over REST, BTC/USD is XBTUSD, XXBTZUSD or XBT/USD.

Kraken put X before coins and Z before state money until some year, and keeps these names for the assets of that time.
Source: docs.kraken.com, "Asset Name Aliases" (Assets, AssetPairs: altname, wsname).
"""

from __future__ import annotations

from collections.abc import Iterable

_ALIASES = {"BTC": "XBT", "DOGE": "XDG"}
_REAL = {alias: name for name, alias in _ALIASES.items()}
_COINS = frozenset("XBT XDG ETH ETC LTC MLN REP XLM XMR XRP ZEC".split())  # with an X before them
_MONEY = frozenset("AUD CAD EUR GBP JPY USD".split())  # with a Z


def altname(asset: str) -> str:
    """REST's short name.

    >>> altname("BTC"), altname("USDT")
    ('XBT', 'USDT')
    """
    return _ALIASES.get(asset, asset)


def asset_id(asset: str) -> str:
    """REST's own name.

    >>> asset_id("BTC"), asset_id("USD"), asset_id("SOL")
    ('XXBT', 'ZUSD', 'SOL')
    """
    short = altname(asset)
    return f"X{short}" if short in _COINS else f"Z{short}" if short in _MONEY else short


def asset_of(name: str) -> str:
    """The asset of any of its names; staked and rewarded amounts (`.S`, `.F`) keep their endings.

    >>> asset_of("XXBT"), asset_of("ZUSD"), asset_of("XBT"), asset_of("USDT"), asset_of("XTZ")
    ('BTC', 'USD', 'BTC', 'USDT', 'XTZ')
    """
    if len(name) == 4 and ((name[0] == "X" and name[1:] in _COINS) or (name[0] == "Z" and name[1:] in _MONEY)):
        name = name[1:]
    return _REAL.get(name, name)


def pair_id(base: str, quote: str) -> str:
    """REST's own name of a pair: with the old names where both assets have one.

    >>> pair_id("BTC", "USD"), pair_id("BTC", "USDT"), pair_id("ETH", "BTC")
    ('XXBTZUSD', 'XBTUSDT', 'XETHXXBT')
    """
    if altname(base) in _COINS and (altname(quote) in _COINS or quote in _MONEY):
        return asset_id(base) + asset_id(quote)
    return altname(base) + altname(quote)


def symbols_of(symbols: Iterable[str]) -> dict[str, str]:
    """The symbol (BTC/USD) of every name that a pair has.

    >>> symbols_of(["BTC/USD"])["XXBTZUSD"]
    'BTC/USD'
    """
    found = {}
    for symbol in symbols:
        base, _, quote = symbol.partition("/")
        bases = {base, altname(base), asset_id(base)}
        quotes = {quote, altname(quote), asset_id(quote)}
        for first in bases:
            for second in quotes:
                found[first + second] = found[f"{first}/{second}"] = symbol
    return found
