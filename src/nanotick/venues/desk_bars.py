"""Bars of a desk's trades: open, high, low, close, volume, count and mean price of every second or minute."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from nanotick.core.records import Kind
from nanotick.venues.desk import Desk
from nanotick.venues.desk_terms import Listing
from nanotick.wire.requests import number_text

SECOND, MINUTE = 1_000_000_000, 60_000_000_000
KEPT = 10_000  # of each instrument
_TRADE = int(Kind.TRADE)
_MEAN_PLACES = 4


class Bar:
    """One interval of one instrument; prices and volume are integers at its scales."""

    __slots__ = ("close", "count", "high", "listing", "low", "open", "start", "value", "volume")

    def __init__(self, listing: Listing, start: int, price: int) -> None:
        self.listing, self.start = listing, start
        self.open = self.high = self.low = self.close = price
        self.volume = self.count = self.value = 0

    def add(self, price: int, qty: int) -> None:
        """A trade."""
        self.high, self.low, self.close = max(self.high, price), min(self.low, price), price
        self.volume += qty
        self.count += 1
        self.value += price * qty

    @property
    def mean_text(self) -> str:
        """Volume-weighted mean price."""
        places = self.listing.price_decimals + _MEAN_PLACES
        return number_text(self.value * 10**_MEAN_PLACES // max(1, self.volume), places)


class Bars:
    """Bars of all instruments.

    Parameters
    ----------
    desk : Desk
    length : int
        Of an interval, ns; intervals are aligned to the host's clock.
    """

    def __init__(self, desk: Desk, length: int = MINUTE) -> None:
        self.length = length
        self._desk = desk
        self._now: dict[int, Bar] = {}
        self._kept: dict[int, deque[Bar]] = {}
        self._hears: list[Callable[[list[Bar]], None]] = []
        desk.watch(None, self._rows)
        self._next()

    def watch(self, callback: Callable[[list[Bar]], None]) -> None:
        """Hear all bars of an interval when it is over."""
        self._hears.append(callback)

    def of(self, listing: Listing, since: int = 0, until: int = 1 << 62) -> list[Bar]:
        """Bars that begin in a span of time, both ends included, oldest first, with the one under way."""
        found = [bar for bar in self._kept.get(listing.number, ()) if since <= bar.start <= until]
        now = self._now.get(listing.number)
        if now is not None and since <= now.start <= until:
            found.append(now)
        return found

    def last(self, listing: Listing) -> Bar | None:
        """The latest bar that is over, else the one under way."""
        kept = self._kept.get(listing.number)
        return kept[-1] if kept else self._now.get(listing.number)

    def _rows(self, rows: npt.NDArray[Any]) -> None:
        chosen = rows[rows["kind"] == _TRADE]
        if not len(chosen):
            return
        listings, length = self._desk.by_number, self.length
        for number, stamp, price, qty in zip(
            chosen["instrument"].tolist(), chosen["ts_venue"].tolist(), chosen["price"].tolist(),
            chosen["qty"].tolist(), strict=True,
        ):  # fmt: skip
            bar = self._now.get(number)
            if bar is None:
                bar = self._now[number] = Bar(listings[number], stamp - stamp % length, price)
            bar.add(price, qty)

    def _next(self) -> None:
        now = self._desk.host.now()
        self._desk.host.at(now - now % self.length + self.length, self._over)

    def _over(self) -> None:
        done = list(self._now.values())
        self._now.clear()
        for bar in done:
            self._kept.setdefault(bar.listing.number, deque(maxlen=KEPT)).append(bar)
        if done:
            for callback in self._hears:
                callback(done)
        self._next()
