"""The reference's day: phases, auctions, bands, the clock, trades undone."""

from __future__ import annotations

from dataclasses import dataclass, field

from nanotick.core.records import CancelReason, Flag, Kind, TradingStatus
from nanotick.exchange.market.records import NEVER, Part, Phase
from tests.exchange.market.reference import Reference
from tests.exchange.market.reference_checks import DAY, PEG_MID, TOP, Order, Trade

CALLS = (Phase.PRE_OPEN, Phase.OPENING_AUCTION, Phase.VOLATILITY_AUCTION, Phase.CLOSING_AUCTION)
STATUS = {
    Phase.CONTINUOUS: TradingStatus.TRADING,
    Phase.PRE_OPEN: TradingStatus.PRE_OPEN,
    Phase.VOLATILITY_AUCTION: TradingStatus.PAUSED,
    Phase.HALTED: TradingStatus.HALTED,
    Phase.CLOSED: TradingStatus.CLOSED,
}
AFTER_LIT = [Part.LIT, Part.CALL, Part.CLOSE, Part.HIDDEN]  # priority in an auction, at a price
BILLION = 1_000_000_000


@dataclass
class ReferenceDay(Reference):
    now: int = 0
    reference: int = 0
    rate: int = 0  # half width of the band, 1e-9 of the reference
    step: int = 0  # 1e-9
    window_ns: int = 0
    limit_ns: int = 0
    auction_ns: int = 0
    indicative_ns: int = 0
    auction_rule: int = 0
    kept: int = 1 << 62  # trades that can be undone
    limit_since: int = NEVER
    auction_end: int = NEVER
    indicative_next: int = NEVER
    window: list[tuple[int, int]] = field(default_factory=list)  # tenth of the window, price

    # --- bands ---

    def set_reference(self, price: int) -> None:
        self.reference = price
        if self.rate and price > 0:
            half = price * self.rate // BILLION
            low, high = price - half, price + half
            self.band = (low + -low % self.tick, high - high % self.tick)

    def note_trade(self, price: int) -> None:
        if not self.rate:
            return
        if not self.reference:
            self.set_reference(price)
        elif self.window_ns:
            tenth = self.now // (self.window_ns // 10)
            self.window = [row for row in self.window if row[0] > tenth - 10]
            self.window.append((tenth, price))
            mean = sum(p for _, p in self.window) // len(self.window)
            if abs(mean - self.reference) >= self.reference * self.step // BILLION:
                self.set_reference(mean)

    def after_settling(self) -> None:
        if self.called:
            self.enter(Phase.VOLATILITY_AUCTION)
        if self.phase != Phase.CONTINUOUS or self.band is None or self.band_auction:
            self.limit_since = NEVER
            return
        bid, ask = self.best(Part.LIT, 1), -self.best(Part.LIT, -1)
        if bid > self.band[1] - self.tick or ask < self.band[0] + self.tick:
            self.limit_since = min(self.limit_since, self.now)
        else:
            self.limit_since = NEVER

    # --- phases ---

    def enter(self, phase: int) -> None:
        self.phase = int(phase)
        self.called = False
        self.limit_since = self.auction_end = self.indicative_next = NEVER
        if phase != Phase.CONTINUOUS:
            for o in self.orders:
                if o.kind >= PEG_MID:
                    o.rank = None
        if phase in CALLS and self.indicative_ns:
            self.indicative_next = self.now + self.indicative_ns
        if phase == Phase.VOLATILITY_AUCTION and self.auction_ns:
            self.auction_end = self.now + self.auction_ns
        self.show(Kind.STATUS, 0, 0, 0, 0, STATUS.get(Phase(phase), TradingStatus.AUCTION))

    def change(self, phase: int, now: int) -> None:
        self.now = now
        old = self.phase
        if old == phase:
            return
        if old != Phase.CONTINUOUS and (phase == Phase.CONTINUOUS or (phase == Phase.CLOSED and old in CALLS)):
            self.uncross()
            self.drop(Part.CALL)
            if old == Phase.CLOSING_AUCTION:
                self.drop(Part.CLOSE)
        self.enter(phase)
        if phase == Phase.CLOSED:
            self.drop(Part.CALL)
            self.drop(Part.CLOSE)
            for o in sorted((o for o in self.orders if o.tif == DAY), key=lambda o: (o.participant, -o.owned)):
                self.end(o, Kind.EXPIRED, CancelReason.DAY_END)
        self.settle()

    def drop(self, part: Part) -> None:
        for side in (1, -1):
            for o in self.queue(part, side):
                self.end(o, Kind.CANCELLED, CancelReason.AUCTION_OVER)

    # --- auctions ---

    def takes_part(self, side: int) -> list[Order]:
        """Orders of a side in the order in which an auction executes them."""
        parts = AFTER_LIT if self.phase == Phase.CLOSING_AUCTION else [p for p in AFTER_LIT if p != Part.CLOSE]
        rows = [o for o in self.orders if o.side == side and o.part in parts and o.rank is not None]
        return sorted(rows, key=lambda o: (-(o.rank or 0), AFTER_LIT.index(Part(o.part)), o.arrival))

    def auction(self) -> tuple[int, int, int]:
        """Price, volume and surplus to buy of an auction now."""
        buys, sells = self.takes_part(1), self.takes_part(-1)
        anchor = self.reference or self.last
        limits = sorted({o.side * (o.rank or 0) for o in buys + sells if o.rank != TOP})

        def at(price: int) -> tuple[int, int]:
            demand = sum(o.total for o in buys if (o.rank or 0) >= price)
            supply = sum(o.total for o in sells if -(o.rank or 0) <= price)
            return min(demand, supply), demand - supply

        if not limits:
            demand, supply = sum(o.total for o in buys), sum(o.total for o in sells)
            if not anchor or not demand or not supply:
                return 0, 0, 0
            return anchor - anchor % self.tick, min(demand, supply), demand - supply
        volume = max(at(p)[0] for p in limits)
        if volume == 0:
            return 0, 0, 0
        most = [p for p in limits if at(p)[0] == volume]
        least = min(abs(at(p)[1]) for p in most)
        best = [p for p in most if abs(at(p)[1]) == least]
        to_buy, to_sell = [p for p in best if at(p)[1] > 0], [p for p in best if at(p)[1] < 0]
        if self.auction_rule == 0 and to_buy and not to_sell:
            return max(best), volume, least
        if self.auction_rule == 0 and to_sell and not to_buy:
            return min(best), volume, -least
        low, high = (max(to_buy), min(to_sell)) if to_buy and to_sell else (min(best), max(best))
        anchor = anchor or (low + high) // 2
        price = max(low, min(high, anchor - anchor % self.tick))
        assert at(price)[0] == volume
        return price, volume, at(price)[1]

    def uncross(self) -> None:
        price, volume, _ = self.auction()
        if not volume:
            return
        buys, sells = self.takes_part(1), self.takes_part(-1)
        left = volume
        while left:
            buy, sell = buys[0], sells[0]
            qty = min(buy.total, sell.total, left)
            left -= qty
            self.trades += 1
            bought = self.fill(buy.participant, buy.id, 1, price, qty)
            sold = self.fill(sell.participant, sell.id, -1, price, qty)
            self.log[self.trades] = Trade(price, qty, [bought, sold], auction=True)
            for o, line in ((buy, buys), (sell, sells)):
                o.filled += qty
                shown = min(qty, o.leaves)
                if o.part == Part.LIT:
                    self.show(Kind.EXECUTE, o.side, price, shown, o.ref, self.trades, Flag.AUCTION)
                o.reserve -= qty - shown
                self.executed(o, shown)
                if o.total == 0:
                    line.remove(o)
        self.last = price
        self.volume += volume
        self.show(Kind.TRADE, 0, price, volume, self.trades, 0, Flag.PRINTABLE | Flag.AUCTION)
        self.set_reference(price)

    # --- time ---

    def pass_time(self, now: int) -> None:
        self.now = now
        self.expire(now)
        if self.indicative_next <= now:
            price, volume, surplus = self.auction()
            side = (surplus > 0) - (surplus < 0)
            self.show(Kind.IMBALANCE, side, self.reference, volume, price, abs(surplus))
            self.settle()
            self.indicative_next = now + self.indicative_ns
        if self.auction_end <= now:
            self.change(Phase.CONTINUOUS, now)
        if self.limit_since + self.limit_ns <= now:
            self.change(Phase.VOLATILITY_AUCTION, now)

    # --- trades undone ---

    def bust(self, number: int) -> bool:
        trade = self.log.get(number)
        if trade is None or trade.busted or self.trades - number >= self.kept:
            return False
        trade.busted = True
        for who, ident, side, _ in trade.sides:
            if who in self.positions:
                self.positions[who] -= side * trade.qty
            self.say(who, Kind.FILL_BUST, ident, side, trade.price, trade.qty, 0)
        self.volume -= trade.qty
        self.show(Kind.BREAK, 0, trade.price, trade.qty, number)
        return True

    def correct(self, number: int, price: int) -> int:
        trade = self.log.get(number)
        if trade is None or price < self.tick or price > 1 << 50 or not self.bust(number):
            return -1
        self.trades += 1
        sides = [self.fill(who, ident, side, price, trade.qty) for who, ident, side, _ in trade.sides]
        self.log[self.trades] = Trade(price, trade.qty, sides, trade.auction)
        self.volume += trade.qty
        self.show(Kind.TRADE, sides[0][2], price, trade.qty, self.trades, 0, Flag.PRINTABLE)
        return self.trades
