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

import dataclasses
import difflib
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from importlib import resources
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from nanotick.core.instruments import Instrument
from nanotick.exchange.agents.records import MAX_DISTANCE, MAX_FACTORS, MAX_LEVELS, MAX_REGIMES, MAX_VENUES, SCALES
from nanotick.exchange.config import Fees

SUFFIX = ".yaml"


class DescriptionError(ValueError):
    """A market description says something that nanotick does not know or that cannot be."""


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
    """Traders who take: momentum, mean reversion, informed, noise; threshold and noise in ticks, limit in lots."""

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


class Execution(_Struct, frozen=True):
    """Large orders worked in slices; sizes in lots."""

    count: int = 1
    per_day: float = 20.0
    latency_us: float = 2_000.0
    least: float = 20.0
    most: float = 2_000.0
    exponent: float = 1.5
    slice: float = 2.0
    interval_s: float = 4.0
    flip: float = 0.5


class Profile(_Struct, frozen=True):
    """Who trades one kind of instrument."""

    flow: Flow | None = None
    market_makers: tuple[MarketMaker, ...] = ()
    momentum: tuple[Taker, ...] = ()
    mean_reversion: tuple[Taker, ...] = ()
    informed: tuple[Taker, ...] = ()
    noise: tuple[Taker, ...] = ()
    executions: tuple[Execution, ...] = ()


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
    step_ms: float = 100.0
    feed_latency_us: float = 35.0
    fees: dict[str, dict[str, str]] = {}  # by venue, names and decimals of `exchange.Fees`: what outsiders pay

    def fees_of(self, venue: str) -> Fees | None:
        """The fee schedule of a venue for participants other than agents."""
        given = self.fees.get(venue)
        return None if given is None else Fees(**given)

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
    def venues(self) -> tuple[str, ...]:
        """Names of the exchanges, in the order in which they are met."""
        return tuple(dict.fromkeys(item.venue for item in self.instruments))

    def only(self, symbols: tuple[str, ...]) -> MarketDescription:
        """The same market with these symbols (and what their fundamentals are made of)."""
        known = {item.symbol for item in self.instruments}
        for symbol in symbols:
            if symbol not in known:
                raise DescriptionError(f"{self.name}: no symbol {symbol!r}{_near(symbol, known)}")
        wanted = set(symbols)
        for item in self.instruments:
            if item.symbol in wanted:
                wanted.update(name.partition("@")[0] for name in (*item.ratio, item.same_as) if name)
        kept = tuple(item for item in self.instruments if item.symbol in wanted)
        return msgspec.structs.replace(self, instruments=kept)


def _plain(value: Any) -> str:
    return format(Decimal(str(value)), "f")


def _near(found: str, known: Any) -> str:
    near = difflib.get_close_matches(str(found), [str(k) for k in known], n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{hint} There are: {', '.join(str(k) for k in known)}"


def _struct_in(kind: Any) -> Any:
    """The struct in a type such as `Struct | None` or `tuple[Struct, ...]`, or None."""
    for candidate in (kind, *get_args(kind)):
        if isinstance(candidate, type) and issubclass(candidate, msgspec.Struct):
            return candidate
    return None


def _check_keys(values: Any, struct: Any, where: str) -> None:
    """Refuse unknown keys, at any depth, with their place and the nearest match."""
    if not isinstance(values, Mapping):
        raise DescriptionError(f"{where}: expected names and values, found {values!r}")
    hints = get_type_hints(struct)
    for key, value in values.items():
        at = f"{where}.{key}"
        if key not in hints:
            raise DescriptionError(f"{where}: unknown key {key!r}{_near(key, hints)}")
        inner = _struct_in(hints[key])
        if inner is None or value is None:
            continue
        if get_origin(hints[key]) is dict:
            if not isinstance(value, Mapping):
                raise DescriptionError(f"{at}: expected names and values, found {value!r}")
            for name, item in value.items():
                _check_keys(item, inner, f"{at}.{name}")
        elif isinstance(value, list):
            for number, item in enumerate(value):
                _check_keys(item, inner, f"{at}[{number}]")
        else:
            _check_keys(value, inner, at)


def description_from(values: Any, where: str = "market") -> MarketDescription:
    """A description from plain values.

    Raises
    ------
    DescriptionError
        Unknown keys or names, wrong types, impossible numbers.
    """
    _check_keys(values, MarketDescription, where)
    try:
        market = msgspec.convert(values, MarketDescription)
    except msgspec.ValidationError as error:
        raise DescriptionError(f"{where}: {error}") from None
    _check_values(market, where)
    return market


def _check_values(market: MarketDescription, where: str) -> None:
    def refuse(at: str, sentence: str) -> None:
        raise DescriptionError(f"{where}: {at}: {sentence}")

    if not market.instruments:
        refuse("instruments", "expected at least one")
    if len(market.factors) > MAX_FACTORS or len(market.regimes) > MAX_REGIMES or len(market.venues) > MAX_VENUES:
        refuse("factors, regimes, venues", f"expected at most {MAX_FACTORS}, {MAX_REGIMES} and {MAX_VENUES}")
    session = market.session
    if (session.open + session.close) * session.decay >= 1.0 or session.decay <= 0 or session.hours <= 0:
        refuse("session", "(open + close) * decay must be below 1, hours and decay positive")
    names = {item.name for item in market.instruments}
    for item in market.instruments:
        at = f"instruments.{item.name}"
        if item.profile not in market.profiles:
            refuse(at, f"unknown profile {item.profile!r}{_near(item.profile, market.profiles)}")
        for factor in item.loads:
            if factor not in market.factors:
                refuse(at, f"unknown factor {factor!r}{_near(factor, market.factors)}")
        if sum(load * load for load in item.loads.values()) > 1.0 + 1e-9:
            refuse(at, "the squares of the loads sum to more than 1")
        for name in (*item.ratio, *([item.same_as] if item.same_as else [])):
            full = name if "@" in name else f"{name}@{item.venue}"
            if full not in names:
                refuse(at, f"its fundamental needs {full}, which is not in the market")
        if item.ratio and len(item.ratio) != 2:
            refuse(at, f"ratio: expected two symbols, found {len(item.ratio)}")
        if min(item.activity, item.size, float(item.price), float(item.tick), float(item.lot)) <= 0:
            refuse(at, "price, tick, lot, activity and size must be positive")
        item.instrument()
    for name, profile in market.profiles.items():
        _check_profile(profile, f"profiles.{name}", refuse)
    known = [f.name for f in dataclasses.fields(Fees) if not f.name.startswith("tier")]
    for venue, given in market.fees.items():
        if venue not in market.venues:
            refuse("fees", f"no venue {venue!r}{_near(venue, market.venues)}")
        for name, amount in given.items():
            if name not in known:
                refuse(f"fees.{venue}", f"unknown key {name!r}{_near(name, known)}")
            try:
                Decimal(amount)
            except InvalidOperation:
                refuse(f"fees.{venue}.{name}", f'expected a decimal in quotes, like "0.0030", found {amount!r}')


def _check_profile(profile: Profile, at: str, refuse: Any) -> None:
    flow = profile.flow
    if flow is not None:
        if not 1 <= max(flow.distances, len(flow.limit_rates)) <= MAX_DISTANCE:
            refuse(f"{at}.flow", f"expected 1 to {MAX_DISTANCE} distances")
        if not 2 <= flow.cells <= 4095:
            refuse(f"{at}.flow.cells", f"expected 2 to 4095, found {flow.cells}")
        if min(flow.limit_rate, flow.market_rate, *flow.limit_rates, *flow.cancel_rates, 0.0) < 0 or flow.lifetime <= 0:
            refuse(f"{at}.flow", "rates must not be negative, the lifetime positive")
        wild = flow.excitation
        if wild is not None:
            shapes = [len(wild.decay) == SCALES]
            for matrix in (wild.same, wild.opposite):
                shapes.append(
                    len(matrix) == SCALES and all(len(m) == 3 and all(len(r) == 3 for r in m) for m in matrix)
                )
            if not all(shapes):
                refuse(f"{at}.flow.excitation", f"expected {SCALES} decays and two matrices of shape ({SCALES}, 3, 3)")
    for maker in profile.market_makers:
        if not 1 <= maker.levels <= MAX_LEVELS or maker.size < 1 or maker.limit < 1:
            refuse(f"{at}.market_makers", f"expected 1 to {MAX_LEVELS} levels, size and limit of 1 or more")


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
                f"no market {str(name)!r}{_near(str(name), shipped())}; or give the path of a {SUFFIX} file"
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
