"""The rate limits that venues publish, as first defaults: what a venue tells at run time comes before these.

    limits = limits_of("kraken", tier="pro", symbols=["XBT/USD"], shared=path)

Binance: exchangeInfo.rateLimits (6,000 of weight a minute, 61,000 requests in five, 100 orders in ten seconds, 200,000
a day). Alpaca: 200 requests a minute. Kraken: counters a pair by tier (60, 125, 180, falling by 1, 2.34, 3.75 a
second). Coinbase Advanced Trade: 30 private requests a second; Coinbase Exchange: 15.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from nanotick.venues.limiter import Decaying, FixedWindow, RateLimiter, Rule, SlidingWindow
from nanotick.wire.reports import Used

_S = 1_000_000_000
_MINUTE, _DAY = 60 * _S, 86_400 * _S
KRAKEN_TIERS = {"starter": (60, 1.0), "intermediate": (125, 2.34), "pro": (180, 3.75)}
VENUES = ("alpaca", "binance", "coinbase", "coinbase-exchange", "kraken")
_CHARGES = {"REQUEST_WEIGHT": "weight", "RAW_REQUESTS": "requests", "ORDERS": "orders"}


def limits_of(
    venue: str, *, tier: str = "starter", symbols: Iterable[str] = (), shared: Path | None = None
) -> RateLimiter:
    """A limiter with the venue's published limits.

    Parameters
    ----------
    venue : str
        One of `VENUES`.
    tier : str
        Of a Kraken account: starter, intermediate or pro.
    symbols : iterable of str
        Kraken counts each pair by itself: the pairs that will be traded.
    shared : path, optional
        As for `RateLimiter`.

    Raises
    ------
    ValueError
        An unknown venue or tier.
    """
    rules: list[Rule]
    if venue == "binance":
        rules = [
            FixedWindow(6000, _MINUTE),
            FixedWindow(61_000, 5 * _MINUTE, charge="requests"),
            FixedWindow(100, 10 * _S, charge="orders"),
            FixedWindow(200_000, _DAY, charge="orders"),
        ]
    elif venue == "alpaca":
        rules = [SlidingWindow(200, _MINUTE, charge="requests")]
    elif venue == "coinbase":
        rules = [SlidingWindow(30, _S, charge="requests")]
    elif venue == "coinbase-exchange":
        rules = [SlidingWindow(15, _S, charge="requests")]
    elif venue == "kraken":
        if tier not in KRAKEN_TIERS:
            raise ValueError(f"tier: expected {', '.join(KRAKEN_TIERS)}, found {tier!r}")
        limit, decay = KRAKEN_TIERS[tier]
        rules = [Decaying(limit, decay, key=symbol) for symbol in symbols]
    else:
        raise ValueError(f"venue: expected {', '.join(VENUES)}, found {venue!r}")
    return RateLimiter(rules, shared)


def limits_told(told: Iterable[Used], shared: Path | None = None) -> RateLimiter:
    """A limiter with the limits that a venue tells of itself (Binance: `rateLimits` of exchangeInfo and of answers)."""
    rules = [
        FixedWindow(each.limit, each.interval_s * _S, charge=_CHARGES[each.kind])
        for each in told
        if each.kind in _CHARGES and each.limit > 0 and each.interval_s > 0
    ]
    return RateLimiter(rules, shared)
