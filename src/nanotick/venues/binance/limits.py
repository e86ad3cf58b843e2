"""Rate limits of a served Binance: request weight and requests of an address, unfilled orders of an account.

Windows are aligned to the clock. Who goes on asking while it is told to wait (429) is banned (418), the longer the
oftener. An order that fills gives its place back. Source: binance-spot-api-docs, rest-api.md, "Limits".
"""

from __future__ import annotations

from dataclasses import dataclass

from nanotick.venues.binance.bodies import Refused
from nanotick.wire.reports import Used

_S = 1_000_000_000
_PATIENCE = 20  # requests while blocked before a ban
_BAN, _BAN_MOST = 120 * _S, 3 * 86_400 * _S
_LETTERS = {1: "S", 60: "M", 3600: "H", 86400: "D"}
_UNITS = {1: "SECOND", 60: "MINUTE", 3600: "HOUR", 86400: "DAY"}


@dataclass(frozen=True)
class Limits:
    """What is allowed; 0: anything.

    Attributes
    ----------
    weight : int
        Of requests, a minute and address.
    requests : int
        In five minutes, an address.
    orders_10s, orders_day : int
        Unfilled orders of an account.
    connections : int
        Attempts in five minutes, an address.
    messages : int
        A second on a market data connection.
    streams : int
        On a market data connection.
    open_orders, open_stops : int
        Of an account in a symbol.
    """

    weight: int = 6000
    requests: int = 61_000
    orders_10s: int = 100
    orders_day: int = 200_000
    connections: int = 300
    messages: int = 5
    streams: int = 1024
    open_orders: int = 200
    open_stops: int = 5


class Window:
    """What is used in the present window of the clock."""

    __slots__ = ("_began", "count", "length", "limit")

    def __init__(self, limit: int, length: int) -> None:
        self.limit, self.length = limit, length
        self.count = self._began = 0

    def roll(self, now: int) -> int:
        """Begin a new window if it is time; what is used."""
        began = now // (self.length * _S)
        if began != self._began:
            self._began, self.count = began, 0
        return self.count

    def ends(self, now: int) -> int:
        """ns UTC."""
        return (now // (self.length * _S) + 1) * self.length * _S


def _unit(seconds: int) -> int:
    return next(unit for unit in (86400, 3600, 60, 1) if seconds % unit == 0)


class Address:
    """Limits of one address."""

    def __init__(self, limits: Limits) -> None:
        self.weight = Window(limits.weight, 60)
        self.requests = Window(limits.requests, 300)
        self.connections = Window(limits.connections, 300)
        self.banned_until = 0
        self._bans = self._pushed = 0

    def use(self, now: int, weight: int) -> None:
        """Count a request.

        Raises
        ------
        Refused
            Too many.
        """
        if now < self.banned_until:
            raise self._ban_words()
        for window, amount, name in ((self.weight, weight, "request weight"), (self.requests, 1, "raw requests")):
            used = window.roll(now)
            if window.limit and used + amount > window.limit:
                self._pushed += 1
                if self._pushed > _PATIENCE:
                    self._pushed = 0
                    self.banned_until = now + min(_BAN << self._bans, _BAN_MOST)
                    self._bans += 1
                    raise self._ban_words()
                span = window.length // _unit(window.length)
                words = (
                    f"Too much {name} used; current limit is {window.limit} {name} per {span} "
                    f"{_UNITS[_unit(window.length)]}. Please use WebSocket Streams for live updates to avoid polling "
                    "the API."
                )
                raise Refused(-1003, words, 429, retry_ns=window.ends(now))
            window.count += amount

    def _ban_words(self) -> Refused:
        words = (
            f"Way too much request weight used; IP banned until {self.banned_until // 1_000_000}. "
            "Please use WebSocket Streams for live updates to avoid bans."
        )
        return Refused(-1003, words, 418, retry_ns=self.banned_until)

    def used(self, now: int) -> list[Used]:
        """Request weight used."""
        return [Used("REQUEST_WEIGHT", 60, self.weight.limit, self.weight.roll(now))]


class OrderCounts:
    """Unfilled orders of an account."""

    def __init__(self, limits: Limits) -> None:
        self.windows = [Window(limits.orders_10s, 10), Window(limits.orders_day, 86400)]

    def use(self, now: int) -> None:
        """Count an order.

        Raises
        ------
        Refused
            Too many.
        """
        for window in self.windows:
            if window.limit and window.roll(now) >= window.limit:
                span = window.length // _unit(window.length)
                words = (
                    f"Too many new orders; current limit is {window.limit} orders per {span} "
                    f"{_UNITS[_unit(window.length)]}."
                )
                raise Refused(-1015, words, 429, retry_ns=window.ends(now))
        for window in self.windows:
            window.count += 1

    def filled(self, now: int) -> None:
        """An order has its first fill, or was refused by the engine: it does not count."""
        for window in self.windows:
            window.count = max(0, window.roll(now) - 1)

    def used(self, now: int) -> list[Used]:
        """Orders counted."""
        return [Used("ORDERS", window.length, window.limit, window.roll(now)) for window in self.windows]


def headers(used: list[Used]) -> tuple[tuple[str, str], ...]:
    """Headers that say what is used."""
    found = []
    for use in used:
        unit = _unit(use.interval_s)
        name = "USED-WEIGHT" if use.kind == "REQUEST_WEIGHT" else "ORDER-COUNT"
        found.append((f"X-MBX-{name}-{use.interval_s // unit}{_LETTERS[unit]}", str(use.count)))
        if use.kind == "REQUEST_WEIGHT":
            found.append(("X-MBX-USED-WEIGHT", str(use.count)))
    return tuple(found)
