"""What the reference knows of an order, and which it refuses (`docs/exchange.md`, order of checks)."""

from __future__ import annotations

from dataclasses import dataclass, field

from nanotick.core.records import CommandFlag, OrderType, RejectReason, TimeInForce
from nanotick.exchange.market.records import Phase

TOP = (1 << 62) - 1
NOTHING = -(1 << 62)
LIMIT, MARKET, STOP, STOP_LIMIT, PEG_MID, PEG_PRIMARY = (int(t) for t in OrderType)
IOC, FOK, GTD = int(TimeInForce.IOC), int(TimeInForce.FOK), int(TimeInForce.GTD)
AT_OPEN, AT_CLOSE, DAY = int(TimeInForce.AT_OPEN), int(TimeInForce.AT_CLOSE), int(TimeInForce.DAY)
POST, REDUCE, ICEBERG = int(CommandFlag.POST_ONLY), int(CommandFlag.REDUCE_ONLY), int(CommandFlag.ICEBERG)
MIN, SLIDE, HIDE = int(CommandFlag.MIN_QTY), int(CommandFlag.SLIDE), int(CommandFlag.HIDDEN)
SECOND = 1_000_000_000


@dataclass
class Order:
    participant: int
    id: int
    side: int
    kind: int
    tif: int
    flags: int
    price: int
    stop: int
    leaves: int  # shown part
    ref: int
    reserve: int = 0
    display: int = 0
    filled: int = 0
    part: int = -1
    rank: int | None = None  # None: parked
    arrival: int = 0  # in its queue
    peg: int = 0  # in the list of pegs
    owned: int = 0  # in the participant's list
    expire: int = 0

    @property
    def total(self) -> int:
        return self.leaves + self.reserve


@dataclass
class Trade:
    price: int
    qty: int
    sides: list[tuple[int, int, int, int]]  # taker (buyer), maker (seller): participant, id, side, number of its report
    auction: bool = False
    busted: bool = False


@dataclass
class Checks:
    tick: int
    settings: dict[int, tuple[int, int]]
    participants: int
    max_id: int = (1 << 44) - 1
    phase: int = int(Phase.CONTINUOUS)
    lot: int = 1
    max_orders: dict[int, int] = field(default_factory=dict)
    max_qty: dict[int, int] = field(default_factory=dict)
    blocked: set[int] = field(default_factory=set)
    orders: list[Order] = field(default_factory=list)

    def find(self, participant: int, ident: int) -> Order | None:
        return next((o for o in self.orders if (o.participant, o.id) == (participant, ident)), None)

    def friend(self, taker: Order, other: Order) -> bool:
        firm, mode = self.settings.get(taker.participant, (taker.participant, 0))
        return mode != 0 and self.settings.get(other.participant, (other.participant, 0))[0] == firm

    def mode(self, taker: Order) -> int:
        return self.settings.get(taker.participant, (0, 0))[1]

    def shape_fault(self, c: dict[str, int]) -> bool:
        kind, tif, flags = c["order_type"], c["tif"], c["flags"]
        now, auction = tif in (IOC, FOK), tif >= AT_OPEN
        if kind > PEG_PRIMARY or tif > AT_CLOSE or flags & 128:
            return True
        if kind >= PEG_MID and (now or auction or flags & (POST | ICEBERG | MIN | SLIDE | REDUCE)):
            return True
        if kind in (STOP, STOP_LIMIT) and (auction or flags & (POST | ICEBERG | MIN | SLIDE | HIDE)):
            return True
        if kind == MARKET and flags & (POST | ICEBERG | SLIDE | HIDE):
            return True
        return bool(
            (flags & POST and (now or flags & MIN))
            or (flags & SLIDE and not flags & POST)
            or (flags & ICEBERG and (flags & (MIN | HIDE) or now))
            or (auction and flags & (POST | ICEBERG | MIN | HIDE))
        )

    def bad_qty(self, qty: int) -> bool:
        return qty <= 0 or qty > 1 << 50 or qty % self.lot != 0

    def bad_price(self, price: int) -> bool:
        return price < self.tick or price > 1 << 50 or price % self.tick != 0

    def fault(self, c: dict[str, int], now: int) -> int:
        kind, tif, flags, qty = c["order_type"], c["tif"], c["flags"], c["qty"]
        if c["strategy"] in self.blocked:
            return RejectReason.BLOCKED
        if not 0 < c["id"] <= self.max_id:
            return RejectReason.INVALID_ID
        if c["side"] not in (1, -1) or self.shape_fault(c):
            return RejectReason.UNSUPPORTED
        if self.phase == Phase.CLOSED:
            return RejectReason.MARKET_CLOSED
        if self.phase == Phase.HALTED:
            return RejectReason.HALTED
        if tif == AT_OPEN and self.phase not in (Phase.PRE_OPEN, Phase.OPENING_AUCTION):
            return RejectReason.TOO_LATE
        if self.phase != Phase.CONTINUOUS and (tif in (IOC, FOK) or flags & MIN):
            return RejectReason.UNSUPPORTED
        if (kind in (LIMIT, STOP_LIMIT) or (kind >= PEG_MID and c["price"])) and self.bad_price(c["price"]):
            return RejectReason.INVALID_PRICE
        if self.bad_qty(qty):
            return RejectReason.INVALID_QUANTITY
        if kind in (STOP, STOP_LIMIT) and self.bad_price(c["stop_price"]):
            return RejectReason.INVALID_PRICE
        if kind >= PEG_MID and abs(c["stop_price"]) > 1 << 50:
            return RejectReason.INVALID_PRICE
        if kind == PEG_PRIMARY and c["stop_price"] % self.tick:
            return RejectReason.INVALID_PRICE
        if kind < STOP and flags & (ICEBERG | MIN) and (self.bad_qty(c["stop_price"]) or c["stop_price"] > qty):
            return RejectReason.INVALID_QUANTITY
        who = c["strategy"]
        if qty > self.max_qty.get(who, 1 << 50):
            return RejectReason.LIMIT_REACHED
        if sum(o.participant == who for o in self.orders) >= self.max_orders.get(who, 1 << 31):
            return RejectReason.LIMIT_REACHED
        if self.find(c["strategy"], c["id"]):
            return RejectReason.DUPLICATE_ID
        return RejectReason.NONE
