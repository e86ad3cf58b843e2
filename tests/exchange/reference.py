"""The replay exchange again, slow and plain: lists, dictionaries and fractions. Zero latency, no impact.

On order-by-order data our orders stand in the recorded queues themselves, as entries that the recording never touches,
so what is ahead of us is simply what stands before us.
"""

import math
from dataclasses import dataclass, field
from fractions import Fraction

from nanotick.core.records import CancelReason, CommandFlag, FillReason, Kind, OrderType, RejectReason, TimeInForce

DAY = 86_400_000_000_000
MAKER = 128


@dataclass(eq=False)
class Own:
    """One order of ours."""

    id: int
    side: int
    type: int
    tif: int
    flags: int
    price: int
    stop: int
    qty: int
    leaves: int
    expire: float
    arrival: int
    strategy: int
    venue_id: int
    state: str = "arriving"
    front: float = 0.0
    traded: int = 0

    @property
    def rank(self):
        return self.side * self.price


@dataclass
class Options:
    """What the configuration says, in the reference's own words."""

    queue: str = "risk_averse"
    power: float = 2.0
    exact: bool = True
    whole: bool = False
    displayed_cross: bool = False
    best_left: bool = False
    depletion: bool = True
    slide: bool = False
    stop_on_quote: bool = False
    close_ns: int = -1
    maker: Fraction = Fraction(0)
    taker: Fraction = Fraction(0)
    tick: int = 1
    lot: int = 1


def behind(queue, n, front, back):
    """The documented probability that a decrease happened behind us."""
    front, back = max(front, 0.0), max(back, 0.0)
    if queue == "power_prob3":
        return 1.0 if front + back == 0 else 1.0 - math.pow(front / (front + back), n)
    f = (lambda x: math.log(1.0 + x)) if queue.startswith("log") else (lambda x: math.pow(x, n))
    whole = f(back + front) if queue.endswith("2") else f(back) + f(front)
    return 1.0 if whole <= 0 else f(back) / whole


@dataclass
class Reference:
    """A venue of one instrument."""

    options: Options
    levels: dict = field(default_factory=lambda: {1: {}, -1: {}})  # side -> price -> quantity (price-level data)
    queues: dict = field(default_factory=lambda: {1: {}, -1: {}})  # side -> price -> [[id, quantity] or Own]
    orders: dict = field(default_factory=dict)  # recorded order id -> (side, price)
    own: dict = field(default_factory=dict)  # client order id -> Own, for ever
    taken: dict = field(default_factory=dict)  # (side, price) -> quantity
    reports: list = field(default_factory=list)
    position: int = 0
    arrivals: int = 0
    executions: int = 0
    venue_ids: int = 0
    last_trade: int = 0
    blocked: bool = False
    closed: bool = False
    by_order: bool = False
    executes: bool = False

    # --- the recorded book ---

    def shown(self, side, price):
        market = sum(e[1] for e in self.queues[side].get(price, []) if not isinstance(e, Own))
        return market + self.levels[side].get(price, 0)

    def prices(self, side):
        every = {p for p in self.levels[side] if self.levels[side][p]} | set(self.queues[side])
        return sorted((p for p in every if self.shown(side, p)), key=lambda p: -side * p)

    def available(self, side, price):
        return max(0, self.shown(side, price) - self.taken.get((side, price), 0))

    # --- our orders ---

    def resting(self, side):
        mine = [o for o in self.own.values() if o.state == "resting" and o.side == side]
        return sorted(mine, key=lambda o: (-o.rank, o.arrival))

    def waiting(self):
        return sorted((o for o in self.own.values() if o.state == "waiting"), key=lambda o: o.linked, reverse=True)

    def ahead(self, o):
        """Exact quantity ahead."""
        total = 0
        for entry in self.queues[o.side].get(o.price, []):
            if entry is o:
                break
            if not isinstance(entry, Own):
                total += entry[1]
        return total

    def say(self, now, kind, o, price, qty, word=0, flags=0, seq=0):
        self.reports.append((int(kind), now, o.id, o.side, price, qty, int(word), int(flags), seq))

    def gone(self, o):
        o.state = "gone"
        queue = self.queues[o.side].get(o.price, [])
        if o in queue:
            queue.remove(o)

    def end(self, o, now, kind, reason):
        self.say(now, kind, o, o.price, o.leaves, reason)
        self.gone(o)
        o.leaves = 0

    def fill(self, o, now, price, qty, reason, maker):
        if o.flags & CommandFlag.REDUCE_ONLY:
            qty = min(qty, self.room(o.side))
            if qty == 0:
                self.end(o, now, Kind.CANCELLED, CancelReason.REDUCE_ONLY)
                return 0
        o.leaves -= qty
        self.position += o.side * qty
        self.executions += 1
        rate = self.options.maker if maker else self.options.taker
        fee = math.ceil(price * qty * rate)
        self.say(now, Kind.FILL, o, price, qty, fee, reason | (MAKER if maker else 0), self.executions)
        if o.leaves == 0:
            self.gone(o)
        elif o.flags & CommandFlag.REDUCE_ONLY and self.room(o.side) == 0:
            self.end(o, now, Kind.CANCELLED, CancelReason.REDUCE_ONLY)
        return qty

    def room(self, side):
        return max(0, -side * self.position)

    # --- taking and resting ---

    def reachable(self, o, limited):
        """Prices of the other side that an order may take, best first, up to an order of our own."""
        mine = self.resting(-o.side)
        for price in self.prices(-o.side):
            if limited and o.side * (o.price - price) < 0:
                return
            if mine and mine[0].rank + o.side * price >= 0:
                return
            yield price

    def deplete(self, side, price, qty):
        if self.options.depletion:
            self.taken[side, price] = self.taken.get((side, price), 0) + qty

    def work(self, o, now):
        limited = o.type != OrderType.MARKET
        if self.blocked:
            if not limited or o.tif in (TimeInForce.IOC, TimeInForce.FOK):
                self.end(o, now, Kind.CANCELLED, CancelReason.HALTED)
            else:
                self.rest(o)
            return
        if o.tif == TimeInForce.FOK:
            if sum(self.available(-o.side, p) for p in self.reachable(o, limited)) < o.leaves:
                self.end(o, now, Kind.CANCELLED, CancelReason.FOK_UNFILLED)
                return
        for price in list(self.reachable(o, limited)):
            qty = min(self.available(-o.side, price), o.leaves)
            if qty == 0:
                continue
            if o.flags & CommandFlag.REDUCE_ONLY:
                qty = min(qty, self.room(o.side))
            if qty:
                self.deplete(-o.side, price, qty)
            self.fill(o, now, price, qty, FillReason.TOOK_LIQUIDITY, False)
            if o.leaves == 0:
                return
        mine = self.resting(-o.side)
        if mine and (not limited or mine[0].rank + o.rank >= 0):
            reason = CancelReason.SELF_TRADE
        elif o.tif == TimeInForce.FOK:
            reason = CancelReason.FOK_UNFILLED
        elif not limited:
            reason = CancelReason.NO_LIQUIDITY
        elif o.tif == TimeInForce.IOC:
            reason = CancelReason.IOC_REST
        else:
            self.rest(o)
            return
        self.end(o, now, Kind.CANCELLED, reason)

    def rest(self, o):
        self.arrivals += 1
        o.arrival = self.arrivals
        o.front = float(self.shown(o.side, o.price))
        o.traded = 0
        o.state = "resting"
        self.queues[o.side].setdefault(o.price, []).append(o)

    # --- what reaches our resting orders ---

    def level_told(self, side, price, before, after, now):
        for o in self.resting(side):
            if o.price != price:
                continue
            first = o.front <= 0
            gone = before - after - o.traded
            o.traded = 0
            if self.options.queue == "risk_averse" or gone < 0:
                o.front = min(o.front, float(after))
            else:
                back = before - o.front
                p = behind(self.options.queue, self.options.power, o.front, back)
                estimate = o.front - (1.0 - p) * gone + min(back - p * gone, 0.0)
                o.front = min(max(estimate, 0.0), float(after))
            if self.options.best_left and not self.blocked and first and before > 0 and after == 0:
                better = [p for p in self.prices(side) if side * p >= o.rank]
                if not better:
                    self.fill(o, now, o.price, o.leaves, FillReason.BEST_LEFT, True)

    def level_reached(self, side, price, now):
        for o in self.resting(-side):
            if o.rank + side * price < 0:
                continue
            if not self.options.displayed_cross:
                self.fill(o, now, o.price, o.leaves, FillReason.BOOK_CROSSED, True)
                continue
            for p in self.prices(side):
                if o.leaves and o.rank + side * p >= 0 and self.available(side, p):
                    qty = min(self.available(side, p), o.leaves)
                    self.deplete(side, p, qty)
                    self.fill(o, now, o.price, qty, FillReason.BOOK_CROSSED, True)

    def traded(self, aggressor, price, qty, at_price, now):
        used = 0
        for o in self.resting(-aggressor):
            if o.side * o.price > o.side * price:
                used += self.fill(o, now, o.price, o.leaves, FillReason.TRADED_THROUGH, True)
            elif o.price == price and at_price != "nothing":
                left = max(0, qty - used)
                reached = 0
                if at_price == "model":
                    o.front -= left
                    o.traded += qty
                    reached = int(-o.front) // self.options.lot * self.options.lot if o.front < 0 else 0
                elif self.ahead(o) == 0:
                    reached = left // self.options.lot * self.options.lot
                if reached > 0:
                    lot = self.options.lot
                    wanted = o.leaves if self.options.whole else min(reached, -(-left // lot) * lot, o.leaves)
                    if wanted:
                        filled = self.fill(o, now, o.price, wanted, FillReason.QUEUE_REACHED, True)
                        used += filled
                        o.front += filled

    def trigger(self, high, low, by_quote, now):
        if self.blocked or self.options.stop_on_quote != by_quote:
            return
        while True:
            hit = [o for o in self.waiting() if (high >= o.stop if o.side > 0 else low <= o.stop)]
            if not hit:
                return
            self.activate(min(hit, key=lambda o: o.arrival), now)

    def activate(self, o, now):
        self.say(now, Kind.TRIGGERED, o, o.price, o.leaves)
        o.type = OrderType.MARKET if o.type == OrderType.STOP else OrderType.LIMIT
        o.state = "arriving"
        self.work(o, now)

    def trigger_on_quote(self, now):
        asks, bids = self.prices(-1), self.prices(1)
        self.trigger(asks[0] if asks else -math.inf, bids[0] if bids else math.inf, True, now)

    # --- recorded events ---

    def level(self, side, price, qty, now):
        before = self.shown(side, price)
        self.levels[side][price] = qty
        self.taken.pop((side, price), None)
        self.level_told(side, price, before, qty, now)
        if qty and not self.blocked:
            self.level_reached(side, price, now)
        self.trigger_on_quote(now)

    def trade(self, side, price, qty, hidden, now):
        self.last_trade = price
        if not self.blocked:
            at_price = "model"
            if hidden:
                at_price = "nothing"
            elif self.by_order and self.options.exact:
                at_price = "nothing" if self.executes else "first"
            for aggressor in (1, -1):
                if side in (0, aggressor):
                    self.traded(aggressor, price, qty, at_price, now)
        self.trigger(price, price, False, now)

    def order_event(self, kind, ident, now, side=0, price=0, qty=0, new_id=0):
        self.by_order = True
        if kind == Kind.EXECUTE:
            self.last_trade, self.executes = price, True
        joins, old_price, removed, found, old_queue = kind == Kind.ADD, None, 0, None, None
        if kind != Kind.ADD:
            side, old_price = self.orders[ident]
            old_queue = self.queues[side][old_price]
            found = next(e for e in old_queue if not isinstance(e, Own) and e[0] == ident)
        before_old = self.shown(side, old_price)
        before_new = self.shown(side, price)
        reached = []
        if found is not None:
            if kind in (Kind.EXECUTE, Kind.REDUCE):
                removed = min(qty, found[1])
            elif kind == Kind.MODIFY and price == old_price and qty <= found[1]:
                removed = found[1] - qty
            else:
                removed = found[1]
                joins = kind in (Kind.MODIFY, Kind.REPLACE)
            through = [o for o in self.resting(side) if o.rank > side * old_price]
            place = old_queue.index(found)
            reached = through + [e for e in old_queue[:place] if isinstance(e, Own)]
            found[1] -= removed
            if found[1] == 0:
                old_queue.remove(found)
                del self.orders[ident]
        if joins:
            joining = new_id if kind == Kind.REPLACE else ident
            self.queues[side].setdefault(price, []).append([joining, qty])
            self.orders[joining] = (side, price)
            self.arrivals += bool([o for o in self.resting(side) if o.price == price])
        if removed:
            shown = self.shown(side, old_price)
            if (side, old_price) in self.taken:
                left = min(self.taken[side, old_price] - removed, shown)
                self.taken.pop((side, old_price))
                if left > 0:
                    self.taken[side, old_price] = left
            if not self.options.exact:
                if kind == Kind.EXECUTE and not self.blocked:
                    self.traded(-side, old_price, removed, "model", now)
                if not (joins and price == old_price):
                    self.level_told(side, old_price, before_old, shown, now)
            elif kind == Kind.EXECUTE and not self.blocked:
                left = removed
                for o in reached:
                    if left <= 0 and not self.options.whole:
                        break
                    reason = FillReason.QUEUE_HEAD_EXECUTED if o.price == old_price else FillReason.TRADED_THROUGH
                    wanted = o.leaves if self.options.whole else min(left, o.leaves)
                    left -= self.fill(o, now, o.price, wanted, reason, True)
        if joins:
            if not self.options.exact:
                self.level_told(side, price, before_new, self.shown(side, price), now)
            if not self.blocked:
                self.level_reached(side, price, now)
        if kind == Kind.EXECUTE:
            self.trigger(price, price, False, now)
        self.trigger_on_quote(now)

    def clear(self, side):
        for s in (1, -1):
            if side in (0, s):
                self.levels[s].clear()
                for queue in self.queues[s].values():
                    queue[:] = [e for e in queue if isinstance(e, Own)]
                self.orders = {i: at for i, at in self.orders.items() if at[0] != s}
                self.taken = {at: q for at, q in self.taken.items() if at[0] != s}

    def status(self, trading, closed, now):
        was = self.blocked
        self.blocked, self.closed = not trading, closed
        if closed:
            self.expire(lambda o: o.tif == TimeInForce.DAY, now)
        elif was and trading:
            for side in (1, -1):
                if self.prices(side):
                    self.level_reached(side, self.prices(side)[0], now)

    # --- time ---

    def expire(self, due, now):
        for o in self.resting(1) + self.resting(-1) + self.waiting():
            if due(o):
                reason = CancelReason.DAY_END if o.tif == TimeInForce.DAY else CancelReason.GTD_EXPIRED
                self.end(o, now, Kind.EXPIRED, reason)

    def advance(self, now):
        while True:
            live = [o.expire for o in self.own.values() if o.state in ("resting", "waiting")]
            if not live or min(live) > now:
                return
            at = min(live)
            self.expire(lambda o, at=at: o.expire <= at, at)

    # --- commands ---

    def passive(self, side, price):
        for p in self.prices(-side):
            if self.available(-side, p):
                return price if side * (price - p) < 0 else p - side * self.options.tick
        return price

    def new(self, ident, side, price, qty, type_, tif, flags, stop, expire_s, strategy, now):
        limited = type_ in (OrderType.LIMIT, OrderType.STOP_LIMIT)
        stopped = type_ in (OrderType.STOP, OrderType.STOP_LIMIT)
        expire = math.inf
        if tif == TimeInForce.GTD:
            expire = expire_s * 10**9
        elif tif == TimeInForce.DAY and self.options.close_ns >= 0:
            expire = now // DAY * DAY + self.options.close_ns
            expire += DAY if expire <= now else 0
        fault, asked = None, price
        if ident in self.own:
            fault = RejectReason.DUPLICATE_ID
        elif self.closed:
            fault = RejectReason.MARKET_CLOSED
        elif (limited and price <= 0) or (stopped and stop <= 0):
            fault = RejectReason.INVALID_PRICE
        elif qty <= 0 or qty % self.options.lot:
            fault = RejectReason.INVALID_QUANTITY
        elif flags & CommandFlag.POST_ONLY and (not limited or tif in (TimeInForce.IOC, TimeInForce.FOK)):
            fault = RejectReason.OTHER
        elif flags & CommandFlag.REDUCE_ONLY and self.room(side) == 0:
            fault = RejectReason.REDUCE_ONLY
        elif expire <= now:
            fault = RejectReason.TOO_LATE
        elif flags & CommandFlag.POST_ONLY and type_ == OrderType.LIMIT and not self.blocked:
            price = self.passive(side, price)
            if price != asked and not self.options.slide:
                fault = RejectReason.POST_ONLY_WOULD_CROSS
        o = Own(ident, side, type_, tif, flags, price if limited else 0, stop, qty, qty, expire, 0, strategy, 0)
        if fault is not None:
            self.say(now, Kind.REJECTED, o, asked, qty, fault)
            return
        self.own[ident] = o
        self.venue_ids += 1
        self.arrivals += 1
        o.venue_id, o.arrival = self.venue_ids, self.arrivals
        self.say(now, Kind.ACCEPTED, o, o.price, qty, o.venue_id)
        if stopped:
            self.wait(o, now)
        else:
            self.work(o, now)

    def wait(self, o, now):
        last = self.last_trade
        at_once = last and (last >= o.stop if o.side > 0 else last <= o.stop)
        if at_once and not self.options.stop_on_quote and not self.blocked:
            self.activate(o, now)
            return
        if o.state != "waiting":
            o.state, o.linked = "waiting", self.arrivals
        self.trigger_on_quote(now)

    def cancel(self, ident, now):
        o = self.own.get(ident)
        if o is None or o.state == "gone":
            nobody = o or Own(ident, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
            self.reports.append(
                (int(Kind.CANCEL_REJECTED), now, nobody.id, 0, 0, 0, int(RejectReason.UNKNOWN_ORDER), 0, 0)
            )
            return
        self.end(o, now, Kind.CANCELLED, CancelReason.USER)

    def replace(self, ident, price, qty, stop, now):
        o = self.own.get(ident)
        if o is None or o.state == "gone":
            kind, reason, replace = (int(n) for n in (Kind.CANCEL_REJECTED, RejectReason.UNKNOWN_ORDER, 1))
            self.reports.append((kind, now, o.id if o else ident, 0, price, qty, reason, replace, 0))
            return
        limited = o.type in (OrderType.LIMIT, OrderType.STOP_LIMIT)
        waiting, asked = o.state == "waiting", price
        price = price if limited else 0
        fault = None
        if self.closed:
            fault = RejectReason.MARKET_CLOSED
        elif (limited and price <= 0) or (waiting and stop <= 0):
            fault = RejectReason.INVALID_PRICE
        elif qty <= 0 or qty % self.options.lot:
            fault = RejectReason.INVALID_QUANTITY
        filled = o.qty - o.leaves
        keeps = price == o.price and qty <= o.qty
        if fault is None and o.flags & CommandFlag.POST_ONLY and not waiting and not keeps and not self.blocked:
            passive = self.passive(o.side, price)
            if passive != price and not self.options.slide:
                fault = RejectReason.POST_ONLY_WOULD_CROSS
            price = passive
        if fault is not None:
            self.say(now, Kind.CANCEL_REJECTED, o, asked, qty, fault, 1)
        elif qty <= filled:
            self.end(o, now, Kind.CANCELLED, CancelReason.USER)
        else:
            self.say(now, Kind.REPLACED, o, price, qty, o.venue_id)
            o.qty, o.leaves = qty, qty - filled
            if waiting:
                o.price, o.stop = price, stop
                self.wait(o, now)
            elif not keeps:
                self.gone(o)
                o.price, o.state = price, "arriving"
                self.arrivals += 1
                o.arrival = self.arrivals
                self.work(o, now)

    def cancel_all(self, side, strategy, now):
        for o in self.resting(1) + self.resting(-1) + self.waiting():
            if side in (0, o.side) and strategy in (0xFFFF, o.strategy):
                self.end(o, now, Kind.CANCELLED, CancelReason.USER)
