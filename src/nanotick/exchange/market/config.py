"""How a matching exchange is set up: its rules an instrument, its participants, its fees, its day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nanotick.core.arena import Arena
from nanotick.exchange.config import Fees, scaled
from nanotick.exchange.fees import FEES
from nanotick.exchange.market.records import QTY_LIMIT, Allocation, Feeds, Phase, SelfTrade


@dataclass(frozen=True)
class MarketRules:
    """Rules of one instrument.

    Parameters
    ----------
    phase : Phase
        At the start.
    feeds : Feeds
        What is published.
    allocation : Allocation
        How a level is shared.
    price_low, price_high : int, optional
        Least and greatest price of an order, price units; by default one tick and no limit. A negative `price_low`
        allows negative prices.
    reference : int
        Reference price of bands and auctions at the start, price units, 0: none.
    band : float
        Half width of the price band as a share of the reference, 0: no band (the reference also has to be known).
    band_auction : bool
        An execution outside the band begins a volatility auction at once; else the price is kept to the band, and a
        book that rests at it for `limit_ns` is paused into an auction (LULD).
    limit_ns, auction_ns : int
        Length of a limit state before the pause, and of a volatility auction.
    window_ns : int
        The reference is the mean of the trades of so long, 0: of the last auction (or the first trade).
    reference_step : float
        The reference moves only if the mean differs from it by this share.
    indicative_ns : int
        Time between two IMBALANCE events of an auction, 0: none.
    auction_rule : int
        0: volume, surplus, pressure, reference (Xetra, LSE, NASDAQ); 1: volume, surplus, reference.
    """

    phase: Phase = Phase.CONTINUOUS
    feeds: Feeds = Feeds.ORDERS
    allocation: Allocation = Allocation.PRICE_TIME
    price_low: int | None = None
    price_high: int | None = None
    reference: int = 0
    band: float = 0.0
    band_auction: bool = False
    limit_ns: int = 15_000_000_000
    auction_ns: int = 300_000_000_000
    window_ns: int = 300_000_000_000
    reference_step: float = 0.01
    indicative_ns: int = 0
    auction_rule: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.band < 1.0 or not 0.0 <= self.reference_step < 1.0:
            raise ValueError(f"market rules: expected band and reference_step from 0 to 1, found {self}")
        if min(self.limit_ns, self.auction_ns, self.window_ns, self.indicative_ns) < 0 or self.auction_rule not in (
            0,
            1,
        ):
            raise ValueError(
                f"market rules: expected times of 0 ns or more and an auction rule of 0 or 1, found {self}"
            )
        for name in ("price_low", "price_high", "reference"):
            value = getattr(self, name)
            if value is not None and abs(value) > QTY_LIMIT:
                raise ValueError(f"market rules: {name} must be within 2^50, found {value}")


@dataclass(frozen=True)
class Participant:
    """What the exchange knows of one participant.

    Parameters
    ----------
    firm : int, optional
        Participants of one firm do not trade with each other if self-trade prevention is on; by default each its own.
    self_trade : SelfTrade
        What its incoming orders do when they meet one of its firm.
    max_orders, max_qty, max_value : int
        Open orders, quantity of an order (quantity units), value of an order (value units, 0: no limit).
    blocked : bool
        New orders and replaces are refused.
    fees : Fees, optional
        Instead of the exchange's own.
    positions : bool
        The exchange keeps its net position, which REDUCE_ONLY orders need.
    """

    firm: int | None = None
    self_trade: SelfTrade = SelfTrade.NONE
    max_orders: int = (1 << 31) - 1
    max_qty: int = QTY_LIMIT
    max_value: int = 0
    blocked: bool = False
    fees: Fees | None = None
    positions: bool = False


@dataclass(frozen=True)
class ExchangeConfig:
    """A matching exchange.

    Parameters
    ----------
    rules : MarketRules
        Of every instrument that `symbols` does not name.
    symbols : mapping of str to MarketRules
    participants : mapping of int to Participant
        By number; all numbers below `max_participants` may trade, with the defaults of `Participant`.
    max_participants : int
    fees : Fees, optional
        Of participants without their own.
    schedule : sequence of (ns, instrument, Phase)
        Phases that `exchange_clock` enters; instrument -1 is every one.
    """

    rules: MarketRules = field(default_factory=MarketRules)
    symbols: Mapping[str, MarketRules] = field(default_factory=dict)
    participants: Mapping[int, Participant] = field(default_factory=dict)
    max_participants: int = 1024
    fees: Fees | None = None
    schedule: tuple[tuple[int, int, Phase], ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.max_participants < 1 << 16:
            raise ValueError(f"exchange: expected 1 to 65535 participants, found {self.max_participants}")
        for number in self.participants:
            if not 0 <= number < self.max_participants:
                raise ValueError(
                    f"exchange: participant {number} is not below max_participants {self.max_participants}"
                )

    def rules_of(self, symbol: str) -> MarketRules:
        """Rules of an instrument."""
        return self.symbols.get(symbol, self.rules)


def lay_fees(arena: Arena, fees: Fees, name: str) -> int:
    """Lay a fee schedule into an arena; returns its address."""
    region = arena.region(name, FEES, 1)
    row = region.view[0]
    for target, source in (
        ("maker_rate", "maker_rate"),
        ("taker_rate", "taker_rate"),
        ("buy_rate", "buy_rate"),
        ("sell_rate", "sell_rate"),
        ("maker_unit", "maker_per_unit"),
        ("taker_unit", "taker_per_unit"),
        ("maker_flat", "maker_flat"),
        ("taker_flat", "taker_flat"),
    ):
        row[target] = scaled(f"fees.{source}", getattr(fees, source))
    row["tiers"], row["days"] = len(fees.tiers), fees.tier_days
    for i, (volume, maker, taker) in enumerate(fees.tiers):
        row["tier_volume"][i] = scaled("fees.tiers volume", volume, 6)
        row["tier_maker_rate"][i] = scaled("fees.tiers maker_rate", maker)
        row["tier_taker_rate"][i] = scaled("fees.tiers taker_rate", taker)
    return region.address
