"""The matching rules as plainly as they can be said: lists, sorting, no cleverness. One instrument.

Reports are tuples (participant, kind, id, side, price, qty, word), the word of a FILL left out (no fees here). Public
events are tuples (kind, side, price, qty, id, word, flags): by order, with trades. `reference_day.py` adds the phases.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nanotick.core.records import CancelReason, Flag, Kind, RejectReason
from nanotick.exchange.market.records import ALL_INSTRUMENTS, ALL_PARTICIPANTS, Part, Phase, SelfTrade
from tests.exchange.market.reference_checks import (
    AT_CLOSE,
    AT_OPEN,
    FOK,
    GTD,
    HIDE,
    ICEBERG,
    IOC,
    LIMIT,
    MARKET,
    MIN,
    NOTHING,
    PEG_MID,
    PEG_PRIMARY,
    POST,
    REDUCE,
    SECOND,
    SLIDE,
    STOP,
    STOP_LIMIT,
    TOP,
    Checks,
    Order,
    Trade,
)


@dataclass
class Reference(Checks):
    """`settings[participant]` is (firm, SelfTrade)."""

    reference_price: int = 0
    last: int = 0
    refs: int = 0
    trades: int = 0
    clock: int = 0
    reports: list[tuple[int, ...]] = field(default_factory=list)
    volume: int = 0
    pro_rata: bool = False
    stopped: int = -1
    positions: dict[int, int] = field(default_factory=dict)  # of those for whom the exchange keeps one
    feed: list[tuple[int, ...]] = field(default_factory=list)
    prints: bool = False  # TRADE for displayed executions too
    said: int = 0
    log: dict[int, Trade] = field(default_factory=dict)
    band: tuple[int, int] | None = None
    band_auction: bool = False
    called: bool = False

    # --- looking ---

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
        self.say(o.participant, kind, o.id, o.side, price, qty, word)

    def say(self, who: int, kind: Kind, ident: int, side: int, price: int, qty: int, word: int) -> None:
        self.reports.append((who, int(kind), ident, side, price, qty, int(word)))
        self.said += 1

    def show(self, kind: Kind, side: int, price: int, qty: int, ident: int, word: int = 0, flags: int = 0) -> None:
        self.feed.append((int(kind), side, price, qty, ident, word, int(flags)))

    def fill(self, who: int, ident: int, side: int, price: int, qty: int) -> tuple[int, int, int, int]:
        if who in self.positions:
            self.positions[who] += side * qty
        self.say(who, Kind.FILL, ident, side, price, qty, 0)
        return who, ident, side, self.said - 1

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
        if part == Part.LIT:
            self.show(Kind.ADD, o.side, o.side * (rank or 0), o.leaves, o.ref)

    def leave(self, o: Order) -> None:
        self.orders.remove(o)
        if o.part == Part.LIT:
            self.show(Kind.DELETE, o.side, o.side * (o.rank or 0), o.leaves, o.ref)

    def end(self, o: Order, kind: Kind, reason: int) -> None:
        self.leave(o)
        self.tell(o, kind, o.price, o.total, reason)

    # --- trading ---

    def trade(self, taker: Order, maker: Order, qty: int) -> None:
        price = maker.side * (maker.rank or 0)
        self.trades += 1
        self.volume += qty
        self.last = price
        made = self.fill(maker.participant, maker.id, maker.side, price, qty)
        took = self.fill(taker.participant, taker.id, taker.side, price, qty)
        self.log[self.trades] = Trade(price, qty, [took, made])
        taker.leaves -= qty
        taker.filled += qty
        maker.filled += qty
        self.note_trade(price)
        if maker.part == Part.LIT:
            self.show(Kind.EXECUTE, maker.side, price, qty, maker.ref, self.trades, Flag.PRINTABLE)
            if self.prints:
                self.show(Kind.TRADE, taker.side, price, qty, self.trades, maker.ref, Flag.PRINTABLE)
        else:
            self.show(Kind.TRADE, taker.side, price, qty, self.trades, 0, Flag.PRINTABLE | Flag.HIDDEN)
        self.executed(maker, qty)

    def note_trade(self, price: int) -> None:
        """What a trade does to the band."""

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
                self.show(Kind.ADD, maker.side, maker.side * (maker.rank or 0), maker.leaves, maker.ref)
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
            part = want * o.leaves // total // self.lot * self.lot
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
        if o.part == Part.LIT and by > first:
            self.show(Kind.REDUCE, o.side, o.side * (o.rank or 0), by - first, o.ref)

    def available(self, taker: Order, limit: int) -> int:
        rows = self.candidates(taker, limit)
        if self.mode(taker) not in (0, SelfTrade.CANCEL_OLDEST):
            own = [o.rank or 0 for o in rows if self.friend(taker, o)]
            rows = [o for o in rows if not own or (o.rank or 0) > max(own)]
        return sum(o.total for o in rows if not o.flags & MIN and not self.friend(taker, o))

    # --- working ---

    def collect(self, o: Order, rank: int) -> None:
        """It waits for the auction."""
        if o.tif == AT_CLOSE:
            self.rest(o, Part.CLOSE, rank)
        elif o.kind == MARKET or o.tif == AT_OPEN:
            self.rest(o, Part.CALL, rank)
        elif o.kind >= PEG_MID:
            o.peg = self.tick_number()
            self.rest(o, Part.HIDDEN, None)
        else:
            self.rest(o, Part.HIDDEN if o.flags & HIDE else Part.LIT, rank)

    def work(self, o: Order, rank: int) -> None:
        if self.phase != Phase.CONTINUOUS or o.tif >= AT_OPEN:
            self.collect(o, rank)
            return
        if o.kind >= PEG_MID:
            target = self.peg_rank(o)
            if target is None:
                o.peg = self.tick_number()
                self.rest(o, Part.HIDDEN, None)
                return
            rank = target
        limit = min(rank, self.band_rank(o.side))
        behind = False  # the band has left the best order of the other side behind
        if self.met(o.side) + limit >= 0:
            behind = self.band is not None and self.met(o.side) > self.band_rank(-o.side)
            if not behind:
                if o.tif == FOK and self.available(o, limit) < o.leaves:
                    self.tell(o, Kind.CANCELLED, o.price, o.leaves, CancelReason.FOK_UNFILLED)
                    return
                if o.flags & MIN and o.filled == 0 and self.available(o, limit) < min(o.stop, o.leaves):
                    self.tell(o, Kind.CANCELLED, o.price, o.leaves, CancelReason.MIN_QTY)
                    return
                stopped = self.take(o, limit)
                if o.leaves == 0:
                    return
                if stopped >= 0:
                    self.tell(o, Kind.CANCELLED, o.price, o.leaves, stopped)
                    return
        beyond = behind or (limit < rank and self.met(o.side) + rank >= 0)
        if beyond and self.band_auction and o.tif not in (IOC, FOK):
            self.called = True
            self.collect(o, rank)
        elif o.tif == FOK:
            self.tell(o, Kind.CANCELLED, o.price, o.leaves, CancelReason.FOK_UNFILLED)
        elif o.kind == MARKET:
            reason = CancelReason.PRICE_BAND if beyond else CancelReason.NO_LIQUIDITY
            self.tell(o, Kind.CANCELLED, o.price, o.leaves, reason)
        elif o.tif == IOC or behind:
            reason = CancelReason.PRICE_BAND if beyond else CancelReason.IOC_REST
            self.tell(o, Kind.CANCELLED, o.price, o.leaves, reason)
        else:
            if o.kind >= PEG_MID:
                o.peg = self.tick_number()
            self.rest(o, Part.HIDDEN if o.flags & HIDE or o.kind >= PEG_MID else Part.LIT, limit)

    def band_rank(self, side: int) -> int:
        """Highest rank at which an order of a side may execute."""
        return TOP if self.band is None else (self.band[1] if side > 0 else -self.band[0])

    def peg_rank(self, o: Order) -> int | None:
        own, other = self.best(Part.LIT, o.side), self.best(Part.LIT, -o.side)
        if own == NOTHING or (o.kind == PEG_MID and other == NOTHING):
            return None
        rank = ((own - other) // 2 if o.kind == PEG_MID else own) + o.stop
        rank = min(rank, o.side * o.price) if o.price else rank
        return min(rank, self.band_rank(o.side))

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
        while self.phase == Phase.CONTINUOUS and not self.called:
            stops = [
                o for o in self.orders if o.part == Part.STOPS and self.last and o.side * (self.last - o.stop) >= 0
            ]
            if stops:
                o = min(stops, key=lambda o: (-o.side, -(o.rank or 0), o.arrival))
                self.orders.remove(o)
                self.trigger(o)
            elif not self.move_pegs():
                break
        self.after_settling()

    def after_settling(self) -> None:
        """Auctions that were called, limit states."""

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
            self.say(who, answer, ident, side, price, qty, reason)

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
        price, side, flags, qty = c["price"], c["side"], c["flags"], c["qty"]
        if not fault and c["order_type"] == LIMIT and self.phase == Phase.CONTINUOUS:
            price = self.in_band(side, price)
            if flags & POST:
                passive = self.passive(side, price)
                if passive != price and (not flags & SLIDE or passive < self.tick):
                    fault = RejectReason.POST_ONLY_WOULD_CROSS
                price = passive
        if not fault and flags & REDUCE:
            qty = min(qty, max(0, -side * self.positions.get(c["strategy"], 0)))
            if qty == 0:
                fault = RejectReason.REDUCE_ONLY
        if not fault and c["tif"] == GTD and c["expire_s"] * SECOND <= now:
            fault = RejectReason.TOO_LATE
        if fault:
            return refuse(fault)
        self.refs += 1
        kind = c["order_type"]
        if kind in (MARKET, STOP):
            price = 0
        o = Order(c["strategy"], c["id"], side, kind, c["tif"], flags, price, c["stop_price"], qty, self.refs)
        o.display = c["stop_price"] if flags & ICEBERG else 0
        o.expire = c["expire_s"] * SECOND if c["tif"] == GTD else TOP
        self.tell(o, Kind.ACCEPTED, price, o.leaves, self.refs)
        if kind in (STOP, STOP_LIMIT):
            self.wait(o)
        else:
            self.work(o, TOP if kind == MARKET else side * price)
        self.settle()

    def in_band(self, side: int, price: int) -> int:
        if self.band is None or self.band_auction:
            return price
        return side * min(side * price, self.band_rank(side))

    def replace(self, o: Order, c, refuse) -> None:
        kind, price, stop = o.kind, c["price"], c["stop_price"]
        adjustable = o.part == Part.STOPS or kind >= PEG_MID
        if o.participant in self.blocked:
            return refuse(RejectReason.BLOCKED)
        if self.phase == Phase.CLOSED:
            return refuse(RejectReason.MARKET_CLOSED)
        if self.phase == Phase.HALTED:
            return refuse(RejectReason.HALTED)
        if (kind in (LIMIT, STOP_LIMIT) or (kind >= PEG_MID and price)) and self.bad_price(price):
            return refuse(RejectReason.INVALID_PRICE)
        if self.bad_qty(c["qty"]):
            return refuse(RejectReason.INVALID_QUANTITY)
        if adjustable and kind < PEG_MID and self.bad_price(stop):
            return refuse(RejectReason.INVALID_PRICE)
        if kind >= PEG_MID and (abs(stop) > 1 << 50 or (kind == PEG_PRIMARY and stop % self.tick)):
            return refuse(RejectReason.INVALID_PRICE)
        if c["qty"] > self.max_qty.get(o.participant, 1 << 50):
            return refuse(RejectReason.LIMIT_REACHED)
        waits = o.part in (Part.CALL, Part.CLOSE, Part.STOPS)
        if self.phase == Phase.CONTINUOUS and kind == LIMIT and o.flags & POST and price != o.price and not waits:
            if self.passive(o.side, price) != price:
                return refuse(RejectReason.POST_ONLY_WOULD_CROSS)
        if kind in (MARKET, STOP):
            price = o.price
        if kind == LIMIT and self.phase == Phase.CONTINUOUS:
            price = self.in_band(o.side, price)
        left = c["qty"] - o.filled
        if left <= 0:
            self.end(o, Kind.CANCELLED, CancelReason.REPLACED_AWAY)
        elif price == o.price and left <= o.total and (kind < STOP or stop == o.stop):
            self.lessen(o, o.total - left)
            self.tell(o, Kind.REPLACED, price, c["qty"], o.ref)
        else:
            self.leave(o)
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
