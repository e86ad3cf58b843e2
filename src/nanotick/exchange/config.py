"""Configuration of a replay exchange: every model by name, or a user's own as an instance of its class.

A `VenueConfig` is written in Python or read from a mapping (`venue_config`); either way every name and number is
checked here, and a wrong one is refused with the nearest right one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from nanotick.core.fixed import to_scaled
from nanotick.core.suggest import nearest
from nanotick.core.zone import zone_rows
from nanotick.exchange.fees import MAX_DAYS, MAX_TIERS, FeeModel
from nanotick.exchange.impact import IMPACT_NAMES, ImpactModel
from nanotick.exchange.latency import LATENCY_NAMES, LatencyModel
from nanotick.exchange.queue import QUEUE_NAMES, QueueModel

FILL_NAMES = ("partial", "whole")
CROSS_NAMES = ("whole", "displayed")
POST_ONLY_NAMES = ("reject", "slide")
STOP_NAMES = ("trade", "quote")
FEED_NAMES = ("recorded", "venue")
GAP_NAMES = ("stop", "ignore")
ROUND_NAMES = ("up", "nearest")
Number = str | int | float | Decimal
_T = TypeVar("_T")


class ConfigError(ValueError):
    """A configuration value is not one that the replay exchange knows."""


def check_name(where: str, found: Any, known: Iterable[str]) -> str:
    """The name, if it is known.

    Raises
    ------
    ConfigError
        It is not; the message has the nearest match.
    """
    names = list(known)
    if found in names:
        return str(found)
    hint = nearest(found, names, 0.4)
    raise ConfigError(f"{where}: unknown name {found!r}, expected one of {', '.join(names)}{hint}")


def scaled(where: str, value: Number, decimals: int = 9) -> int:
    """A decimal as an integer of 10^-decimals; floats are read by their shortest text."""
    try:
        return to_scaled(str(value) if isinstance(value, float) else value, decimals, where)
    except ValueError as error:
        raise ConfigError(str(error)) from None


@dataclass(frozen=True)
class Latency:
    """Latency of one path.

    Parameters
    ----------
    model : str
        `constant`, `normal`, `lognormal`, `gamma` or `interpolated`.
    ns : int
        The constant, the mean (normal) or the median (lognormal).
    spread : float
        Standard deviation in ns (normal), sigma (lognormal), scale in ns (gamma).
    shape : float
        Shape of the gamma distribution.
    offset_ns, minimum_ns : int
        Added to every draw of a distribution; its floor.
    rows : path or array, optional
        Measured latencies for `interpolated`, see `latency.latency_rows`.
    """

    model: str = "constant"
    ns: int = 0
    spread: float = 0.0
    shape: float = 1.0
    offset_ns: int = 0
    minimum_ns: int = 0
    rows: Any = None

    def __post_init__(self) -> None:
        check_name("latency model", self.model, LATENCY_NAMES)
        if self.minimum_ns < 0 or (self.model == "constant" and self.ns < 0):
            raise ConfigError(f"latency: expected 0 ns or more, found ns={self.ns} minimum_ns={self.minimum_ns}")
        if self.spread < 0 or self.shape <= 0:
            raise ConfigError(
                f"latency: spread must be 0 or more and shape positive, found {self.spread}, {self.shape}"
            )
        if (self.model == "interpolated") != (self.rows is not None):
            raise ConfigError("latency: give measured rows with model 'interpolated', and only with it")


@dataclass(frozen=True)
class Fees:
    """Fee schedule; decimals as people write them, rebates negative. The parts add up.

    Parameters
    ----------
    maker_rate, taker_rate : decimal
        Share of the value: "0.0002" is two basis points.
    maker_per_unit, taker_per_unit : decimal
        Currency a share or contract.
    maker_flat, taker_flat : decimal
        Currency a fill.
    buy_rate, sell_rate : decimal
        Share of the value on top, by side.
    tiers : sequence of (volume, maker_rate, taker_rate)
        Rates from a traded value (in currency) on, rising.
    tier_days : int
        The volume of how many days counts, today included; 0 for all since the start.
    """

    maker_rate: Number = 0
    taker_rate: Number = 0
    maker_per_unit: Number = 0
    taker_per_unit: Number = 0
    maker_flat: Number = 0
    taker_flat: Number = 0
    buy_rate: Number = 0
    sell_rate: Number = 0
    tiers: tuple[tuple[Number, Number, Number], ...] = ()
    tier_days: int = 0

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            if item.name not in ("tiers", "tier_days"):
                scaled(f"fees.{item.name}", getattr(self, item.name))
        volumes = [scaled("fees.tiers volume", row[0], 6) for row in self.tiers]
        if len(volumes) > MAX_TIERS or volumes != sorted(set(volumes)):
            raise ConfigError(f"fees.tiers: expected at most {MAX_TIERS} tiers of rising volume, found {self.tiers}")
        if not 0 <= self.tier_days <= MAX_DAYS:
            raise ConfigError(f"fees.tier_days: expected 0 to {MAX_DAYS}, found {self.tier_days}")


@dataclass(frozen=True)
class Impact:
    """Impact of our taking, see `impact`.

    Parameters
    ----------
    model : str
        `none`, `linear` or `sqrt`.
    temporary, permanent : float
        Ticks for an order as large as the displayed best quantity.
    half_life_ns : float
        In which half of the permanent shift fades; 0: it stays.
    rounding : str
        `up` or `nearest` whole tick.
    """

    model: str = "none"
    temporary: float = 0.0
    permanent: float = 0.0
    half_life_ns: float = 0.0
    rounding: str = "up"

    def __post_init__(self) -> None:
        check_name("impact model", self.model, IMPACT_NAMES)
        check_name("impact rounding", self.rounding, ROUND_NAMES)
        if min(self.temporary, self.permanent, self.half_life_ns) < 0:
            raise ConfigError("impact: temporary, permanent and half_life_ns must be 0 or more")


@dataclass(frozen=True)
class VenueConfig:
    """How one exchange treats our orders.

    Parameters
    ----------
    queue : str or QueueModel
        Model of the queue on price-level data: `risk_averse`, `power_prob`, `power_prob2`, `power_prob3`, `log_prob`,
        `log_prob2`.
    queue_power : float
        Exponent of the power models.
    exact_queue : bool
        Order-by-order data keeps the exact first-in-first-out queue; else it is read as price levels.
    fills : str
        `partial`: a resting order that is reached is filled by what reached it; `whole`: entirely.
    cross_fills : str
        When the other side reaches a resting order's price: `whole`, or only what it has `displayed`.
    best_left_fills : bool
        A resting order that was first at the best price is filled when that price empties without a trade. For data
        without trades; optimistic otherwise.
    depletion : bool
        What we took from the display is not there for us again until the feed refreshes it.
    post_only : str
        `reject` a post-only order that would take, or `slide` it to the next price that does not.
    stop_trigger : str
        Stops follow `trade` prices or the opposite best `quote`.
    gaps : str
        `stop` matching at a gap in the recording until the book is told anew, or `ignore` gaps.
    session_close : str
        "HH:MM:SS" at which DAY orders end; "": when the instrument's status says closed.
    time_zone : str
        IANA name of the clock that `session_close` is read from, daylight saving included.
    entry_latency, response_latency : int, Latency or LatencyModel
        Integers are constant ns.
    feed_latency : int, Latency or LatencyModel, optional
        None: rows arrive as recorded.
    feed_from : str
        What the feed latency is added to: the `recorded` time of receipt or the `venue` time.
    fees : Fees or FeeModel
    impact : str, Impact or ImpactModel
    seed : int
        Of the random latencies.

    Raises
    ------
    ConfigError
        A name or number is not one that is known.
    """

    queue: str | QueueModel = "risk_averse"
    queue_power: float = 2.0
    exact_queue: bool = True
    fills: str = "partial"
    cross_fills: str = "whole"
    best_left_fills: bool = False
    depletion: bool = True
    post_only: str = "reject"
    stop_trigger: str = "trade"
    gaps: str = "stop"
    session_close: str = ""
    time_zone: str = "UTC"
    entry_latency: int | Latency | LatencyModel = 0
    response_latency: int | Latency | LatencyModel = 0
    feed_latency: int | Latency | LatencyModel | None = None
    feed_from: str = "recorded"
    fees: Fees | FeeModel = field(default_factory=Fees)
    impact: str | Impact | ImpactModel = "none"
    seed: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.queue, QueueModel):
            check_name("queue model", self.queue, QUEUE_NAMES)
        if not self.queue_power > 0:
            raise ConfigError(f"queue_power: expected a positive number, found {self.queue_power}")
        check_name("fills", self.fills, FILL_NAMES)
        check_name("cross_fills", self.cross_fills, CROSS_NAMES)
        check_name("post_only", self.post_only, POST_ONLY_NAMES)
        check_name("stop_trigger", self.stop_trigger, STOP_NAMES)
        check_name("gaps", self.gaps, GAP_NAMES)
        check_name("feed_from", self.feed_from, FEED_NAMES)
        for name in ("entry_latency", "response_latency", "feed_latency"):
            value = getattr(self, name)
            if value is None and name == "feed_latency":
                continue
            if isinstance(value, bool) or not isinstance(value, int | Latency | LatencyModel):
                raise ConfigError(f"{name}: expected ns, a Latency or a LatencyModel, found {value!r}")
            if isinstance(value, int) and value < 0:
                raise ConfigError(f"{name}: expected 0 ns or more, found {value}")
        if not isinstance(self.fees, Fees | FeeModel):
            raise ConfigError(f"fees: expected Fees or a FeeModel, found {self.fees!r}")
        if isinstance(self.impact, str):
            check_name("impact model", self.impact, IMPACT_NAMES)
        elif not isinstance(self.impact, Impact | ImpactModel):
            raise ConfigError(f"impact: expected a name, Impact or an ImpactModel, found {self.impact!r}")
        self.session_close_ns()
        try:
            zone_rows(self.time_zone)
        except ValueError as error:
            raise ConfigError(f"time_zone: {error}") from None

    def session_close_ns(self) -> int:
        """Session close in ns after midnight, -1 for none."""
        if not self.session_close:
            return -1
        parts = self.session_close.split(":")
        if len(parts) in (2, 3) and all(p.isdigit() for p in parts):
            hour, minute, second = (int(p) for p in [*parts, "0"][:3])
            if hour < 24 and minute < 60 and second < 60:
                return ((hour * 60 + minute) * 60 + second) * 1_000_000_000
        raise ConfigError(f"session_close: expected HH:MM or HH:MM:SS, found {self.session_close!r}")


def _build(cls: type[_T], values: Mapping[str, Any], where: str) -> _T:
    known = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for key in values:
        check_name(f"{where} setting", key, known)
    try:
        return cls(**values)
    except TypeError as error:
        raise ConfigError(f"{where}: {error}") from None


def venue_config(values: Mapping[str, Any], where: str = "venue") -> VenueConfig:
    """A configuration from the plain values of a configuration file; nested mappings for latencies, fees and impact.

    Raises
    ------
    ConfigError
        Unknown settings, names or impossible numbers, with the nearest match.

    Examples
    --------
    >>> venue_config({"queue": "power_prob3", "entry_latency": {"model": "gamma", "spread": 9_000.0}}).queue
    'power_prob3'
    """
    nested: dict[str, type[Any]] = {
        "entry_latency": Latency,
        "response_latency": Latency,
        "feed_latency": Latency,
        "fees": Fees,
        "impact": Impact,
    }
    built = dict(values)
    for key, cls in nested.items():
        if isinstance(built.get(key), Mapping):
            inner = dict(built[key])
            if cls is Fees and "tiers" in inner:
                inner["tiers"] = tuple(tuple(row) for row in inner["tiers"])
            built[key] = _build(cls, inner, f"{where}.{key}")
    return _build(VenueConfig, built, where)
