"""What the edge remembers of an account at a venue: its orders, its unanswered requests, settings and counts."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

from nanotick.venues.host import Timer
from nanotick.wire.reports import Private, Used
from nanotick.wire.requests import Amend

if TYPE_CHECKING:
    from nanotick.venues.inquiry import Inquiry


class TraderState(IntEnum):
    """How far the account is from trading."""

    DOWN = 0  # not started, or no connection
    CONNECTING = 1
    RECONCILING = 2  # connected; what the venue has is being compared with what we have
    READY = 3
    BROKEN = 4  # what the venue has contradicts what we have: an operator must look


class Limiter(Protocol):
    """Rate limits of an account."""

    keyed: bool
    passes: memoryview

    def take(self, now: int, cancel: bool = False, weight: int = 1, orders: int = 0, key: str = "") -> int:
        """Use the limit if it allows; gives `now` or earlier if it did, else the time when to try again, ns UTC.

        `orders` is how many new orders are in the request, `key` the symbol where limits are by symbol.
        """
        ...

    def blocked(self, until: int) -> None:
        """The venue has said to wait."""
        ...

    def told(self, used: Iterable[Used], now: int) -> None:
        """The venue has said how much of its limits is used."""
        ...

    def spare(self, key: str = "") -> int:
        """How many more orders of weight one are sure to pass; never says so of its own accord (`look`)."""
        ...

    def look(self, now: int, key: str = "") -> None:
        """Find out for `spare`."""
        ...


class NoLimit:
    """A limiter that allows everything but what the venue itself has forbidden."""

    keyed = False

    def __init__(self) -> None:
        self.until = 0
        self.passes = memoryview(array("q", [1 << 30]))

    def take(self, now: int, cancel: bool = False, weight: int = 1, orders: int = 0, key: str = "") -> int:
        """As `Limiter.take`."""
        return max(now, self.until)

    def blocked(self, until: int) -> None:
        """As `Limiter.blocked`."""
        self.until = max(self.until, until)
        self.passes[0] = 0

    def told(self, used: Iterable[Used], now: int) -> None:
        """As `Limiter.told`: counts nothing."""

    def spare(self, key: str = "") -> int:
        """As `Limiter.spare`."""
        return self.passes[0]

    def look(self, now: int, key: str = "") -> None:
        """As `Limiter.look`."""
        self.passes[0] = 1 << 30 if self.until <= now else 0


@dataclass(slots=True)
class Working:
    """An order of ours as the edge knows it.

    Attributes
    ----------
    client : str
        Name under which the venue knows it now; `told` is the revision of the one that the engine has been told of.
    orders : list of str
        The venue's ids, where each replace gives a new one; `order` is the present one.
    revision, newest : int
        The last one given out, and the highest under which the order may be known: a refused one is not.
    since : int
        When it was sent, by the venue's clock, ns UTC.
    """

    id: int
    instrument: int
    symbol: str
    side: int
    client: str
    order: str = ""
    revision: int = 0
    newest: int = 0
    told: int = 0
    cancel_wanted: bool = False  # a cancel waits for the venue's id
    cancels: int = 0  # that were lost and sent again
    ts_sent: int = 0
    since: int = 0
    ended: int = 0  # ns UTC, 0 while it works
    inquiry: Inquiry | None = None
    adopted: bool = False
    recovered: bool = False  # of a session that was killed: what was under way with it is not
    orders: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Sent:
    """A request about an order that has not been answered."""

    request: str
    kind: int
    working: Working | None
    symbol: str
    ts_sent: int
    client: str = ""  # of a replace that renames: the new name
    amend: Amend | None = None
    timer: Timer | None = None
    done: Callable[[list[Private] | None], None] | None = None  # who wants the answer, if it is not the order itself


@dataclass
class TraderConfig:
    """Settings that all venues share; times in seconds.

    Attributes
    ----------
    order_timeout : float
        Without an answer after this, the outcome is unknown.
    reconcile_interval : float
        Between comparisons with what the venue has; 0 for only at the start and after a reconnection.
    foreign_orders : str
        `adopt`, `cancel` or `refuse`: what to do with open orders that are not of this session.
    holdings : str
        `adopt` or `refuse`: what to do with positions that this session does not know at its start. `leave`, at venues
        with balances (Binance, Coinbase, Kraken): coins that are there are nobody's position; only what is traded from
        then on is.
    """

    order_timeout: float = 5.0
    reconcile_interval: float = 60.0
    foreign_orders: str = "adopt"
    holdings: str = "adopt"


@dataclass
class Counts:
    """What an account has done."""

    sent: int = 0
    answered: int = 0
    refused: int = 0
    unknown: int = 0
    limited: int = 0
    reports: int = 0
    malformed: int = 0
    reconciled: int = 0
    strays: int = 0
    settled: dict[str, int] = field(default_factory=dict)  # how unknown outcomes ended


class NotSent(Exception):
    """A request could not be sent: certainly not done."""
