"""What a market is: instruments, the latent world behind them and who trades, as YAML.

    name: two-names
    session: {start: "2026-01-05T14:30:00Z", hours: 6.5, open: 2.0, close: 1.5, decay: 0.08}
    factors: [market]
    profiles:
      liquid:
        flow: {limit_rate: 4.0, market_rate: 0.3, lifetime: 8.0}
        market_makers: [{count: 2, half_spread: 0.6}]
        informed: [{rate: 0.1}]
    instruments:
      - {symbol: AAA, profile: liquid, price: 42.00, volatility: 0.012, loads: {market: 0.6}}

Rates are per second at ordinary activity, times are in the unit their name ends in, sizes in lots, prices of a flow in
ticks. A key that does not exist is refused by its place and with the nearest one that does.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from nanotick.core.instruments import Instrument
from nanotick.exchange.agents.description_check import DescriptionError, check_keys, check_values, near
from nanotick.exchange.config import Fees

SUFFIX = ".yaml"


class _Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Common settings of the parts of a description."""


class Sizes(_Struct, frozen=True):
    """Order sizes in lots: lognormal, or by quantiles.

    Parameters
    ----------
    mean : float
    sigma : float
        Of the logarithm; 0: every order has the mean.
    quantiles : tuple of int
        Sizes at equally spaced probabilities, rising, instead of the lognormal.
    """

    mean: float = 1.0
    sigma: float = 0.0
    quantiles: tuple[int, ...] = ()


class Excitation(_Struct, frozen=True):
    """How events bring forth others: branching ratios on two time scales.

    Parameters
    ----------
    decay : tuple of float
        Decay of each scale, 1/s.
    same, opposite : nested tuples, shape (2, 3, 3)
        Mean number of direct offspring by scale, source (row: limit, market, cancel) and target (column), on the
        source's side of the market and on the other. The buy side is: buy limits, buy market orders, cancelled bids.
    """

    decay: tuple[float, ...]
    same: tuple[tuple[tuple[float, ...], ...], ...]
    opposite: tuple[tuple[tuple[float, ...], ...], ...]


class Flow(_Struct, frozen=True):
    """Anonymous order flow, see `flow`.

    Parameters
    ----------
    limit_rate, market_rate : float
        A second and side.
    limit_rates : tuple of float
        A second and side at distances 1, 2, ... from the opposite best; in place of limit_rate and distance_decay.
    distance_decay : float
        Rates fall as distance**-distance_decay.
    distances : int
        Farthest distance.
    lifetime : float
        Mean seconds until an order nobody takes is cancelled.
    cancel_rates : tuple of float
        A second and order at distances 1, 2, ...; the last goes on. In place of lifetime.
    limit_sizes, market_sizes : Sizes
    lean, lean_ticks : float
        How far market orders follow the fundamental, and the distance at which they follow entirely.
    inside : float
        Share of the limit orders drawn inside a wide spread that go there; the others are placed behind the best.
        1 is Cont, Stoikov & Talreja.
    sweep : float
        Share of market orders that may take more than the best price holds; the others are cut to it.
    excitation : Excitation
    cells : int
        Orders it can have resting on both sides.
    seed_depth, seed_orders : int
        Levels with orders at the start, and orders at each.
    """

    limit_rate: float = 1.0
    market_rate: float = 0.1
    limit_rates: tuple[float, ...] = ()
    distance_decay: float = 0.7
    distances: int = 20
    lifetime: float = 10.0
    cancel_rates: tuple[float, ...] = ()
    limit_sizes: Sizes = Sizes()
    market_sizes: Sizes = Sizes()
    lean: float = 0.0
    lean_ticks: float = 2.0
    inside: float = 1.0
    sweep: float = 1.0
    excitation: Excitation | None = None
    cells: int = 512
    seed_depth: int = 10
    seed_orders: int = 3


class MarketMaker(_Struct, frozen=True):
    """Market makers, see `traders`; distances in ticks, size and limit in lots."""

    count: int = 1
    rate: float = 4.0
    latency_us: float = 200.0
    half_spread: float = 1.0
    volatility_spread: float = 0.0
    weight: float = 0.5
    skew: float = 2.0
    tolerance: float = 0.5
    levels: int = 2
    step: int = 1
    size: int = 5
    limit: int = 100


class Taker(_Struct, frozen=True):
    """Traders who take: momentum, mean reversion, informed, value, noise; threshold and noise in ticks, limit in lots.

    `depth`, of value traders alone, is what all of them supply, in lots, at a mispricing of one day's volatility: it
    grows as the square of the mispricing, and what they have traded is forgotten in `slow_s`.
    """

    count: int = 1
    rate: float = 0.1
    latency_us: float = 1_000.0
    fast_s: float = 5.0
    slow_s: float = 60.0
    threshold: float = 1.0
    noise: float = 0.5
    slippage: int = 0
    limit: int = 200
    sizes: Sizes = Sizes(mean=2.0, sigma=0.8)
    depth: float = 0.0


class Execution(_Struct, frozen=True):
    """Large orders worked in slices; sizes in lots.

    With a `participation` the slices are that share of the volume traded since the order began, and an order lasts from
    `least` to `most` seconds in place of having so many lots.
    """

    count: int = 1
    per_day: float = 20.0
    latency_us: float = 2_000.0
    least: float = 20.0
    most: float = 2_000.0
    exponent: float = 1.5
    slice: float = 2.0
    interval_s: float = 4.0
    flip: float = 0.5
    participation: float = 0.0


class AuctionTrader(_Struct, frozen=True):
    """Traders who send orders into auctions and nowhere else.

    Parameters
    ----------
    count : int
    rate : float
        Orders a second while an auction collects them.
    close_rate, close_s : float
        At-the-close orders a second, and how long before the close they begin.
    latency_us : float
    market : float
        Share of orders without a limit.
    noise : float
        Standard deviation of the others' limits about the fundamental, ticks.
    sizes : Sizes
    cells : int
        Orders it can have waiting.
    """

    count: int = 1
    rate: float = 0.2
    close_rate: float = 0.1
    close_s: float = 1_800.0
    latency_us: float = 5_000.0
    market: float = 0.3
    noise: float = 5.0
    sizes: Sizes = Sizes(mean=20.0, sigma=0.8)
    cells: int = 2_000


class Profile(_Struct, frozen=True):
    """Who trades one kind of instrument."""

    flow: Flow | None = None
    market_makers: tuple[MarketMaker, ...] = ()
    momentum: tuple[Taker, ...] = ()
    mean_reversion: tuple[Taker, ...] = ()
    informed: tuple[Taker, ...] = ()
    value: tuple[Taker, ...] = ()
    noise: tuple[Taker, ...] = ()
    executions: tuple[Execution, ...] = ()
    auction: tuple[AuctionTrader, ...] = ()


class InstrumentDescription(_Struct, frozen=True):
    """One instrument at one venue.

    Parameters
    ----------
    symbol, venue, currency : str
    price : str or number
        Where the fundamental starts.
    tick, lot : str or number
    price_decimals, qty_decimals : int
    multiplier : str or number
        Of the contract.
    volatility : float
        Of the fundamental over the session, as a fraction: 0.012 is 1.2 % a day.
    loads : mapping
        Correlation with each factor; the squares sum to at most 1.
    activity, size : float
        Multiples of the profile's rates and sizes.
    profile : str
    news_per_day : float
    ratio : tuple of two symbols
        The fundamental is the first's divided by the second's.
    same_as : str
        SYMBOL@VENUE whose fundamental this one shares.
    """

    symbol: str
    profile: str
    price: str | float | int
    venue: str = "SIM"
    currency: str = "USD"
    tick: str | float | int = "0.01"
    lot: str | float | int = "1"
    price_decimals: int = 2
    qty_decimals: int = 0
    multiplier: str | float | int = "1"
    volatility: float = 0.01
    loads: dict[str, float] = {}
    activity: float = 1.0
    size: float = 1.0
    news_per_day: float = 0.0
    ratio: tuple[str, ...] = ()
    same_as: str = ""

    @property
    def name(self) -> str:
        """SYMBOL@VENUE."""
        return f"{self.symbol}@{self.venue}"

    def instrument(self) -> Instrument:
        """The instrument as the exchange knows it."""
        return Instrument(
            self.symbol,
            self.venue,
            price_decimals=self.price_decimals,
            qty_decimals=self.qty_decimals,
            tick_size=_plain(self.tick),
            lot_size=_plain(self.lot),
            multiplier=_plain(self.multiplier),
            currency=self.currency,
        )


class Session(_Struct, frozen=True):
    """When it trades, and how activity runs over the day: `open` and `close` are added at the ends of it."""

    start: str = "2026-01-05T14:30:00Z"
    hours: float = 6.5
    open: float = 0.0
    close: float = 0.0
    decay: float = 0.1


class Auctions(_Struct, frozen=True):
    """What is around continuous trading, when a whole day is simulated.

    Parameters
    ----------
    pre_open_s : float
        How long before the opening orders are collected.
    opening_s : float
        The last part of that, in which the opening auction is called.
    closing_s : float
        Length of the closing auction, which begins when continuous trading ends.
    indicative_s : float
        Between two indicative prices.
    activity : float
        Of the other agents in the meantime, as a share of what it is next to it in continuous trading.
    """

    pre_open_s: float = 300.0
    opening_s: float = 120.0
    closing_s: float = 60.0
    indicative_s: float = 5.0
    activity: float = 0.1


class Bands(_Struct, frozen=True):
    """Price bands, see `exchange.market.bands`: no trade outside, and a pause with an auction when the price presses.

    Parameters
    ----------
    width : float
        Of either side, as a share of the reference price.
    limit_s : float
        How long the book rests at the band before the pause.
    pause_s : float
        Length of the volatility auction that follows.
    window_s, step : float
        The reference is the mean of the trades of so long, moved when it differs by this share.
    at_once : bool
        A trade outside the band is not kept to it but calls the auction at once.
    """

    width: float = 0.05
    limit_s: float = 15.0
    pause_s: float = 300.0
    window_s: float = 300.0
    step: float = 0.01
    at_once: bool = False


class Regime(_Struct, frozen=True):
    """A state of the whole market."""

    name: str
    volatility: float = 1.0
    activity: float = 1.0
    minutes: float = 60.0


class News(_Struct, frozen=True):
    """Jumps of the fundamental; size in days of volatility, activity added by a jump of one size."""

    per_day: float = 0.0
    size: float = 0.2
    activity: float = 3.0
    fade_s: float = 120.0


class Clusters(_Struct, frozen=True):
    """Log volatility of each instrument: stationary standard deviation and the time in which it forgets."""

    size: float = 0.0
    minutes: float = 30.0


class MarketDescription(_Struct, frozen=True):
    """A whole market; see the module's docstring."""

    name: str
    instruments: tuple[InstrumentDescription, ...]
    profiles: dict[str, Profile]
    about: str = ""
    session: Session = Session()
    factors: tuple[str, ...] = ()
    regimes: tuple[Regime, ...] = ()
    news: News = News()
    clusters: Clusters = Clusters()
    auctions: Auctions | None = None
    bands: Bands | None = None
    step_ms: float = 100.0
    feed_latency_us: float = 35.0
    fees: dict[str, dict[str, str]] = {}  # by venue, names and decimals of `exchange.Fees`: what outsiders pay

    def fees_of(self, venue: str) -> Fees | None:
        """The fee schedule of a venue for participants other than agents."""
        given = self.fees.get(venue)
        return None if given is None else Fees(**{str(k): v for k, v in given.items()})  # type: ignore[arg-type]

    @property
    def start_ns(self) -> int:
        """Opening, ns UTC."""
        stamp = datetime.fromisoformat(self.session.start.replace("Z", "+00:00"))
        stamp = stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)
        return int(stamp.timestamp()) * 1_000_000_000

    @property
    def end_ns(self) -> int:
        """Close, ns UTC."""
        return self.start_ns + int(self.session.hours * 3_600e9)

    @property
    def day_ns(self) -> tuple[int, int]:
        """From when orders are collected before the opening to when the closing auction is over, ns UTC."""
        around = self.auctions or Auctions(pre_open_s=0.0, closing_s=0.0)
        return self.start_ns - int(around.pre_open_s * 1e9), self.end_ns + int(around.closing_s * 1e9)

    @property
    def venues(self) -> tuple[str, ...]:
        """Names of the exchanges, in the order in which they are met."""
        return tuple(dict.fromkeys(item.venue for item in self.instruments))

    def only(self, symbols: tuple[str, ...]) -> MarketDescription:
        """The same market with these symbols (and what their fundamentals are made of)."""
        known = {item.symbol for item in self.instruments}
        for symbol in symbols:
            if symbol not in known:
                raise DescriptionError(f"{self.name}: no symbol {symbol!r}{near(symbol, known)}")
        wanted = set(symbols)
        for item in self.instruments:
            if item.symbol in wanted:
                wanted.update(name.partition("@")[0] for name in (*item.ratio, item.same_as) if name)
        kept = tuple(item for item in self.instruments if item.symbol in wanted)
        return msgspec.structs.replace(self, instruments=kept)


def _plain(value: Any) -> str:
    return format(Decimal(str(value)), "f")


def description_from(values: Any, where: str = "market") -> MarketDescription:
    """A description from plain values.

    Raises
    ------
    DescriptionError
        Unknown keys or names, wrong types, impossible numbers.
    """
    check_keys(values, MarketDescription, where)
    try:
        market = msgspec.convert(values, MarketDescription)
    except msgspec.ValidationError as error:
        raise DescriptionError(f"{where}: {error}") from None
    check_values(market, where)
    return market


def read_description(name: str | Path) -> MarketDescription:
    """A shipped description by name, or one from a YAML file.

    Raises
    ------
    DescriptionError
        There is neither, or it is not a valid description.
    """
    import yaml

    path = Path(name)
    if path.suffix not in (SUFFIX, ".yml"):
        if str(name) not in shipped():
            raise DescriptionError(
                f"no market {str(name)!r}{near(str(name), shipped())}; or give the path of a {SUFFIX} file"
            )
        text = (_folder() / f"{name}{SUFFIX}").read_text("utf-8")
    else:
        try:
            text = path.read_text("utf-8")
        except OSError as error:
            raise DescriptionError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DescriptionError(f"{name}: not YAML: {error}") from error
    return description_from(values, str(name))


def _folder() -> Any:
    return resources.files("nanotick.exchange") / "descriptions"


def shipped() -> tuple[str, ...]:
    """Names of the descriptions that come with nanotick."""
    return tuple(sorted(p.name[: -len(SUFFIX)] for p in _folder().iterdir() if p.name.endswith(SUFFIX)))


def description_text(market: MarketDescription) -> str:
    """A description as YAML; what is as by default is left out."""
    import yaml

    plain = msgspec.to_builtins(market)
    return yaml.safe_dump(plain, sort_keys=False, default_flow_style=None, width=120)
