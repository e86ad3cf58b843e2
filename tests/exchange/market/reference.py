"""The matching rules as plainly as they can be said: lists, sorting, no cleverness. One instrument.

Reports are tuples (participant, kind, id, side, price, qty, word), the word of a FILL left out (no fees here).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nanotick.core.records import CancelReason, CommandFlag, Kind, OrderType, RejectReason, TimeInForce
from nanotick.exchange.market.records import ALL_INSTRUMENTS, ALL_PARTICIPANTS, Part, Phase, SelfTrade

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
class Reference:
    """`settings[participant]` is (firm, SelfTrade)."""

    tick: int
    settings: dict[int, tuple[int, int]]
    participants: int
    max_id: int = (1 << 44) - 1
    phase: int = int(Phase.CONTINUOUS)
    reference_price: int = 0
    last: int = 0
    refs: int = 0
    trades: int = 0
    clock: int = 0
    orders: list[Order] = field(default_factory=list)
    reports: list[tuple[int, ...]] = field(default_factory=list)
    volume: int = 0
    pro_rata: bool = False
    stopped: int = -1

    # --- looking ---

    def find(self, participant: int, ident: int) -> Order | None:
        return next((o for o in self.orders if (o.participant, o.id) == (participant, ident)), None)

    def queue(self, part: int, side: int) -> list[Order]:
        there = [o for o in self.orders if o.part == part and o.side == side and o.rank is not None]
        return sorted(there, key=lambda o: (-(o.rank or 0), o.arrival))

    def best(self, part: int, side: int) -> int:
        return max(
            (o.rank for o in self.orders if o.part == part and o.side == side and o.rank is not None), default=NOTHING
        )

    def met(self, side: int) -> int:
        """Best rank an order of this side could meet."""
        return max(self.best(Part.LIT, -side), self.best(Part.HIDDEN, -side))

    def tell(self, o: Order, kind: Kind, price: int, qty: int, word: int = 0) -> None:
        self.reports.append((o.participant, int(kind), o.id, o.side, price, qty, word))

    def friend(self, taker: Order, other: Order) -> bool:
        firm, mode = self.settings.get(taker.participant, (taker.participant, 0))
        return mode != 0 and self.settings.get(other.participant, (other.participant, 0))[0] == firm

    def mode(self, taker: Order) -> int:
        return self.settings.get(taker.participant, (0, 0))[1]

    def tick_number(self) -> int:
        self.clock += 1
        return self.clock

    # --- resting and leaving ---

    def rest(self, o: Order, part: int, rank: int | None) -> None:
        o.part, o.rank = part, rank
        o.arrival = self.tick_number()
        o.owned = self.clock
        total = o.total
        o.leaves, o.reserve = total, 0
        if part == Part.LIT and o.flags & ICEBERG and o.display < total:
            o.leaves, o.reserve = o.display, total - o.display
        self.orders.append(o)

    def end(self, o: Order, kind: Kind, reason: int) -> None:
        self.orders.remove(o)
        self.tell(o, kind, o.price, o.total, reason)

    # --- trading ---

    def trade(self, taker: Order, maker: Order, qty: int) -> None:
        price = maker.side * (maker.rank or 0)
        self.trades += 1
        self.volume += qty
        self.last = price
        self.tell(maker, Kind.FILL, price, qty)
        self.tell(taker, Kind.FILL, price, qty)
        taker.leaves -= qty
        taker.filled += qty
        maker.filled += qty
        self.executed(maker, qty)

    def executed(self, maker: Order, qty: int) -> None:
        """Some of what is shown has gone."""
        maker.leaves -= qty
        if maker.leaves == 0:
            if maker.reserve > 0:
                maker.leaves = min(maker.display, maker.reserve)
                maker.reserve -= maker.leaves
                maker.arrival = self.tick_number()
                self.refs += 1
                maker.ref = self.refs
            else:
                self.orders.remove(maker)

    def candidates(self, taker: Order, limit: int) -> list[Order]:
        rows = [
            o
            for o in self.orders
            if o.part in (Part.LIT, Part.HIDDEN)
            and o.side == -taker.side
            and o.rank is not None
            and o.rank + limit >= 0
        ]
        return sorted(rows, key=lambda o: (-(o.rank or 0), o.part, o.arrival))

    def take(self, taker: Order, limit: int) -> int:
        """Reason that stopped it, -1 for none."""
        self.stopped = -1
        while taker.leaves > 0:
            if self.stopped >= 0:
                return self.stopped
            for maker in self.candidates(taker, limit):
                if self.friend(taker, maker):
                    stopped = self.prevent(taker, maker)
                    if stopped >= 0:
                        return stopped
                    break
                qty = min(taker.leaves, maker.leaves)
                if self.pro_rata and maker.part == Part.LIT and not self.share(taker, maker):
                    break
                if maker.part == Part.HIDDEN and maker.flags & MIN and qty < min(maker.stop, maker.leaves):
                    continue
                self.trade(taker, maker, qty)
                break
            else:
                return -1
        return self.stopped

    def share(self, taker: Order, first: Order) -> bool:
        """Share the level of its first order; True when there is nothing to share (all of it is taken by time)."""
        level = [o for o in self.queue(Part.LIT, first.side) if o.rank == first.rank]
        total, want = sum(o.leaves for o in level), taker.leaves
        friends = [o for o in level if self.friend(taker, o)]
        if want >= total:
            return True
        if friends:
            self.stopped = self.prevent(taker, friends[0])
            return False
        for o in level:
            part = want * o.leaves // total
            if part:
                self.trade(taker, o, part)
        while taker.leaves:
            o = next(o for o in self.queue(Part.LIT, first.side) if o.rank == first.rank)
            self.trade(taker, o, min(taker.leaves, o.leaves))
        return False

    def prevent(self, taker: Order, maker: Order) -> int:
        mode = self.mode(taker)
        if mode == SelfTrade.DECREMENT:
            total = maker.total
            if total > taker.leaves:
                self.lessen(maker, taker.leaves)
                self.tell(maker, Kind.REPLACED, maker.price, maker.filled + maker.total, maker.ref)
                return CancelReason.SELF_TRADE
            self.end(maker, Kind.CANCELLED, CancelReason.SELF_TRADE)
            if total == taker.leaves:
                return CancelReason.SELF_TRADE
            taker.leaves -= total
            self.tell(taker, Kind.REPLACED, taker.price, taker.filled + taker.leaves, taker.ref)
            return -1
        if mode in (SelfTrade.CANCEL_OLDEST, SelfTrade.CANCEL_BOTH):
            self.end(maker, Kind.CANCELLED, CancelReason.SELF_TRADE)
        return CancelReason.SELF_TRADE if mode in (SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_BOTH) else -1

    def lessen(self, o: Order, by: int) -> None:
        first = min(by, o.reserve)
        o.reserve -= first
        o.leaves -= by - first

    def available(self, taker: Order, limit: int) -> int:
        rows = self.candidates(taker, limit)
        if self.mode(taker) not in (0, SelfTrade.CANCEL_OLDEST):
            own = [o.rank or 0 for o in rows if self.friend(taker, o)]
            rows = [o for o in rows if not own or (o.rank or 0) > max(own)]
        return sum(o.total for o in rows if not o.flags & MIN and not self.friend(taker, o))

    # --- working ---

    def work(self, o: Order, rank: int) -> None:
        if self.phase != Phase.CONTINUOUS or o.tif >= AT_OPEN:
            if o.tif == AT_CLOSE:
                self.rest(o, Part.CLOSE, rank)
            elif o.kind == MARKET or o.tif == AT_OPEN:
                self.rest(o, Part.CALL, rank)
            elif o.kind >= PEG_MID:
                o.peg = self.tick_number()
                self.rest(o, Part.HIDDEN, None)
            else:
                self.rest(o, Part.HIDDEN if o.flags & HIDE else Part.LIT, rank)
            return
        if o.kind >= PEG_MID:
            target = self.peg_rank(o)
            if target is None:
                o.peg = self.tick_number()
                self.rest(o, Part.HIDDEN, None)
                return
            rank = target
        if self.met(o.side) + rank >= 0:
            if o.tif == FOK and self.available(o, rank) < o.leaves:
                self.tell(o, Kind.CANCELLED, o.price, o.leaves, CancelReason.FOK_UNFILLED)
                return
            if o.flags & MIN and o.filled == 0 and self.available(o, rank) < min(o.stop, o.leaves):
                self.tell(o, Kind.CANCELLED, o.price, o.leaves, CancelReason.MIN_QTY)
                return
            stopped = self.take(o, rank)
            if o.leaves == 0:
                return
            if stopped >= 0:
                self.tell(o, Kind.CANCELLED, o.price, o.leaves, stopped)
                return
        if o.tif == FOK:
            self.tell(o, Kind.CANCELLED, o.price, o.leaves, CancelReason.FOK_UNFILLED)
        elif o.kind == MARKET:
            self.tell(o, Kind.CANCELLED, o.price, o.leaves, CancelReason.NO_LIQUIDITY)
        elif o.tif == IOC:
            self.tell(o, Kind.CANCELLED, o.price, o.leaves, CancelReason.IOC_REST)
        else:
            if o.kind >= PEG_MID:
                o.peg = self.tick_number()
            self.rest(o, Part.HIDDEN if o.flags & HIDE or o.kind >= PEG_MID else Part.LIT, rank)

    def peg_rank(self, o: Order) -> int | None:
        own, other = self.best(Part.LIT, o.side), self.best(Part.LIT, -o.side)
        if own == NOTHING or (o.kind == PEG_MID and other == NOTHING):
            return None
        rank = ((own - other) // 2 if o.kind == PEG_MID else own) + o.stop
        return min(rank, o.side * o.price) if o.price else rank

    def wait(self, o: Order) -> None:
        if self.phase == Phase.CONTINUOUS and self.last and o.side * (self.last - o.stop) >= 0:
            self.trigger(o)
        else:
            self.rest(o, Part.STOPS, -o.side * o.stop)

    def trigger(self, o: Order) -> None:
        self.tell(o, Kind.TRIGGERED, o.stop, o.leaves)
        if o.kind == STOP:
            o.kind = MARKET
            o.tif = FOK if o.tif == FOK else IOC
            self.work(o, TOP)
        else:
            o.kind = LIMIT
            self.work(o, o.side * o.price)

    def settle(self) -> None:
        while self.phase == Phase.CONTINUOUS:
            stops = [
                o for o in self.orders if o.part == Part.STOPS and self.last and o.side * (self.last - o.stop) >= 0
            ]
            if stops:
                o = min(stops, key=lambda o: (-o.side, -(o.rank or 0), o.arrival))
                self.orders.remove(o)
                self.trigger(o)
            elif not self.move_pegs():
                return

    def move_pegs(self) -> bool:
        for o in sorted((o for o in self.orders if o.kind >= PEG_MID), key=lambda o: o.peg):
            rank = self.peg_rank(o)
            if rank == o.rank:
                continue
            if rank is not None and self.met(o.side) + rank >= 0:
                self.orders.remove(o)
                self.work(o, rank)
                return True
            o.rank = rank
            o.arrival = self.tick_number()
        return False

    # --- commands ---

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

    def bad_price(self, price: int) -> bool:
        return price < self.tick or price > 1 << 50 or price % self.tick != 0

    def fault(self, c: dict[str, int], now: int) -> int:
        kind, tif, flags, qty = c["order_type"], c["tif"], c["flags"], c["qty"]
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
        if not 0 < qty <= 1 << 50:
            return RejectReason.INVALID_QUANTITY
        if kind in (STOP, STOP_LIMIT) and self.bad_price(c["stop_price"]):
            return RejectReason.INVALID_PRICE
        if kind >= PEG_MID and abs(c["stop_price"]) > 1 << 50:
            return RejectReason.INVALID_PRICE
        if kind == PEG_PRIMARY and c["stop_price"] % self.tick:
            return RejectReason.INVALID_PRICE
        if kind < STOP and flags & (ICEBERG | MIN) and not 0 < c["stop_price"] <= qty:
            return RejectReason.INVALID_QUANTITY
        if self.find(c["strategy"], c["id"]):
            return RejectReason.DUPLICATE_ID
        return RejectReason.NONE

    def passive(self, side: int, price: int) -> int:
        best = self.met(side)
        if best == NOTHING or best + side * price < 0:
            return price
        rank = -best - 1
        return side * (rank - rank % self.tick)

    def command(self, c: dict[str, int], now: int) -> None:
        kind = c["kind"]
        row = (c["strategy"], c["id"], c["side"], c["price"], c["qty"])
        change = kind in (Kind.CANCEL, Kind.REPLACE_ORDER, Kind.CANCEL_ALL)

        def refuse(reason: int) -> None:
            who, ident, side, price, qty = row
            answer = Kind.CANCEL_REJECTED if change else Kind.REJECTED
            self.reports.append((who, int(answer), ident, side, price, qty, int(reason)))

        if c["strategy"] >= self.participants and not (kind == Kind.CANCEL_ALL and c["strategy"] == ALL_PARTICIPANTS):
            return refuse(RejectReason.UNKNOWN_PARTICIPANT)
        if c["instrument"] != 0 and not (kind == Kind.CANCEL_ALL and c["instrument"] == ALL_INSTRUMENTS):
            return refuse(RejectReason.UNKNOWN_INSTRUMENT)
        if kind == Kind.NEW:
            return self.new(c, now, refuse)
        if kind in (Kind.CANCEL, Kind.REPLACE_ORDER):
            o = self.find(c["strategy"], c["id"])
            if o is None:
                return refuse(RejectReason.UNKNOWN_ORDER)
            if kind == Kind.CANCEL:
                self.end(o, Kind.CANCELLED, CancelReason.USER)
                return self.settle()
            return self.replace(o, c, refuse)
        if kind == Kind.CANCEL_ALL:
            who = range(self.participants) if c["strategy"] == ALL_PARTICIPANTS else [c["strategy"]]
            for participant in who:
                while True:
                    mine = [o for o in self.orders if o.participant == participant and c["side"] in (0, o.side)]
                    if not mine:
                        break
                    self.end(max(mine, key=lambda o: o.owned), Kind.CANCELLED, CancelReason.USER)
                    self.settle()
            return None
        return refuse(RejectReason.UNSUPPORTED)

    def new(self, c, now, refuse) -> None:
        fault = self.fault(c, now)
        price, side, flags = c["price"], c["side"], c["flags"]
        if not fault and flags & POST and c["order_type"] == LIMIT and self.phase == Phase.CONTINUOUS:
            passive = self.passive(side, price)
            if passive != price and (not flags & SLIDE or passive < self.tick):
                fault = RejectReason.POST_ONLY_WOULD_CROSS
            price = passive
        if not fault and flags & REDUCE:
            fault = RejectReason.REDUCE_ONLY
        if not fault and c["tif"] == GTD and c["expire_s"] * SECOND <= now:
            fault = RejectReason.TOO_LATE
        if fault:
            return refuse(fault)
        self.refs += 1
        kind = c["order_type"]
        if kind in (MARKET, STOP):
            price = 0
        o = Order(c["strategy"], c["id"], side, kind, c["tif"], flags, price, c["stop_price"], c["qty"], self.refs)
        o.display = c["stop_price"] if flags & ICEBERG else 0
        o.expire = c["expire_s"] * SECOND if c["tif"] == GTD else TOP
        self.tell(o, Kind.ACCEPTED, price, o.leaves, self.refs)
        if kind in (STOP, STOP_LIMIT):
            self.wait(o)
        else:
            self.work(o, TOP if kind == MARKET else side * price)
        self.settle()

    def replace(self, o: Order, c, refuse) -> None:
        kind, price, stop = o.kind, c["price"], c["stop_price"]
        adjustable = o.part == Part.STOPS or kind >= PEG_MID
        if self.phase == Phase.CLOSED:
            return refuse(RejectReason.MARKET_CLOSED)
        if self.phase == Phase.HALTED:
            return refuse(RejectReason.HALTED)
        if (kind in (LIMIT, STOP_LIMIT) or (kind >= PEG_MID and price)) and self.bad_price(price):
            return refuse(RejectReason.INVALID_PRICE)
        if not 0 < c["qty"] <= 1 << 50:
            return refuse(RejectReason.INVALID_QUANTITY)
        if adjustable and kind < PEG_MID and self.bad_price(stop):
            return refuse(RejectReason.INVALID_PRICE)
        if kind >= PEG_MID and (abs(stop) > 1 << 50 or (kind == PEG_PRIMARY and stop % self.tick)):
            return refuse(RejectReason.INVALID_PRICE)
        if self.phase == Phase.CONTINUOUS and kind == LIMIT and o.flags & POST and price != o.price:
            if self.passive(o.side, price) != price:
                return refuse(RejectReason.POST_ONLY_WOULD_CROSS)
        if kind in (MARKET, STOP):
            price = o.price
        left = c["qty"] - o.filled
        if left <= 0:
            self.end(o, Kind.CANCELLED, CancelReason.REPLACED_AWAY)
        elif price == o.price and left <= o.total and (kind < STOP or stop == o.stop):
            self.lessen(o, o.total - left)
            self.tell(o, Kind.REPLACED, price, c["qty"], o.ref)
        else:
            self.orders.remove(o)
            self.refs += 1
            o.ref, o.price, o.leaves, o.reserve = self.refs, price, left, 0
            if adjustable:
                o.stop = stop
            self.tell(o, Kind.REPLACED, price, c["qty"], o.ref)
            if o.part == Part.STOPS:
                self.wait(o)
            else:
                self.work(o, TOP if kind == MARKET else o.side * price)
        self.settle()

    # --- time ---

    def expire(self, now: int) -> None:
        while True:
            due = [o for o in self.orders if o.expire <= now]
            if not due:
                return
            self.end(min(due, key=lambda o: o.expire), Kind.EXPIRED, CancelReason.GTD_EXPIRED)
            self.settle()
