"""The trading day and its rules, as a description gives them to an exchange."""

from __future__ import annotations

from typing import Any

from nanotick.exchange.agents.description import Bands, MarketDescription
from nanotick.exchange.market import MarketRules, Phase

_APART_NS = 1_000  # between the auctions of two instruments, so that one step of the world holds one


def market_rules(market: MarketDescription, whole_day: bool, state: Any) -> MarketRules:
    """Rules of an instrument.

    Parameters
    ----------
    market : MarketDescription
    whole_day : bool
        With the opening auction.
    state : numpy.void
        STATE record: the fundamental at the start is the first reference price.
    """
    bands = market.bands or Bands(width=0.0)
    around = market.auctions if whole_day else None
    known = around is not None or bands.width > 0
    return MarketRules(
        phase=Phase.PRE_OPEN if around is not None else Phase.CONTINUOUS,
        reference=round(float(state["value"]) / int(state["tick"])) * int(state["tick"]) if known else 0,
        band=bands.width,
        band_auction=bands.at_once,
        limit_ns=int(bands.limit_s * 1e9),
        auction_ns=int(bands.pause_s * 1e9),
        window_ns=int(bands.window_s * 1e9),
        reference_step=bands.step,
        indicative_ns=int(around.indicative_s * 1e9) if around is not None else 0,
    )


def day_schedule(market: MarketDescription, venue: str) -> tuple[tuple[int, int, Phase], ...]:
    """When the instruments of a venue change their phase: time in ns UTC, number of the instrument, phase."""
    around = market.auctions
    assert around is not None
    calls = market.start_ns - int(around.opening_s * 1e9)
    rows = []
    numbers = [n for n, item in enumerate(market.instruments) if item.venue == venue]
    for place, number in enumerate(numbers):
        later = place * _APART_NS
        rows.append((calls + later, number, Phase.OPENING_AUCTION))
        rows.append((market.start_ns + later, number, Phase.CONTINUOUS))
        rows.append((market.end_ns + later, number, Phase.CLOSING_AUCTION))
        rows.append((market.day_ns[1] - len(numbers) * _APART_NS + later, number, Phase.CLOSED))
    return tuple(rows)
