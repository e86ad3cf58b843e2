"""A replay venue and its reference, given the same and compared after every step."""

from fractions import Fraction

from nanotick.core.instruments import Instrument
from nanotick.core.records import Flag, Kind, OrderType, TimeInForce, TradingStatus
from nanotick.exchange import Fees, VenueConfig
from nanotick.exchange.queue import QUEUE_NAMES
from tests.exchange.records_of import command, event, venue
from tests.exchange.reference import Options, Own, Reference

SECOND = 1_000_000_000
LOT = 2
COMPARED = ("kind", "ts_venue", "id", "side", "price", "qty", "word", "flags", "seq")
QUEUES = sorted(QUEUE_NAMES)


class Pair:
    """Both venues of one instrument, with the same options."""

    def __init__(self, exact=True, queue="risk_averse", power=2.0, whole=False, displayed=False, best_left=False,
                 depletion=True, slide=False, quote_stops=False, close=-1):  # fmt: skip
        config = VenueConfig(
            queue=queue,
            queue_power=power,
            exact_queue=exact,
            fills="whole" if whole else "partial",
            cross_fills="displayed" if displayed else "whole",
            best_left_fills=best_left,
            depletion=depletion,
            post_only="slide" if slide else "reject",
            stop_trigger="quote" if quote_stops else "trade",
            session_close="" if close < 0 else f"00:{close // 60:02}:{close % 60:02}",
            fees=Fees(maker_rate="-0.0003", taker_rate="0.0011"),
        )
        self.exact = exact
        self.reference = Reference(
            Options(queue, power, exact, whole, displayed, best_left, depletion, slide, quote_stops,
                    close * SECOND if close >= 0 else -1, Fraction(-3, 10_000), Fraction(11, 10_000), 1, LOT)
        )  # fmt: skip
        instrument = Instrument("TEST", price_decimals=0, tick_size="1", lot_size=str(LOT))
        self.venue = venue(config, [instrument], reports=1 << 12)
        self.now = SECOND
        self.compared = 0
        self.filled, self.ended, self.bought = {}, {}, 0
        self.market_ident = 1 << 21

    # --- commands ---

    def new(self, ident, side, price, qty, order_type=0, tif=0, flags=0, stop=100, expire=0, strategy=0):
        self.command(command(Kind.NEW, ident, side, price, qty, order_type, tif, flags, stop, expire, strategy))
        self.reference.new(ident, side, price, qty, OrderType(order_type), TimeInForce(tif), flags, stop, expire,
                           strategy, self.now)  # fmt: skip

    def cancel(self, ident):
        self.command(command(Kind.CANCEL, ident))
        self.reference.cancel(ident, self.now)

    def replace(self, ident, price, qty, stop=100):
        self.command(command(Kind.REPLACE_ORDER, ident, 0, price, qty, stop=stop))
        self.reference.replace(ident, price, qty, stop, self.now)

    def cancel_all(self, side, strategy, everywhere):
        instrument = 0xFFFF_FFFF if everywhere else 0
        self.command(command(Kind.CANCEL_ALL, 0, side, strategy=strategy, instrument=instrument))
        self.reference.cancel_all(side, strategy, self.now)

    def command(self, row):
        assert self.venue.command(row, self.now) == 0
        self.reference.advance(self.now)

    # --- the market ---

    def wait(self, seconds, tell):
        self.now += seconds * SECOND
        if tell:
            assert self.venue.advance(self.now) == 0
            self.reference.advance(self.now)

    def status(self, status):
        self.event(event(Kind.STATUS, self.now, word=status))
        self.reference.status(status == TradingStatus.TRADING, status == TradingStatus.CLOSED, self.now)

    def trade(self, aggressor, price, qty, hidden=False):
        self.event(event(Kind.TRADE, self.now, price, qty, aggressor, flags=Flag.HIDDEN if hidden else 0))
        self.reference.trade(aggressor, price, qty, hidden, self.now)

    def clear(self, side):
        self.event(event(Kind.CLEAR, self.now, side=side))
        self.reference.clear(side)

    def level(self, side, price, qty):
        self.event(event(Kind.LEVEL, self.now, price, qty, side))
        self.reference.level(side, price, qty, self.now)

    def add(self, side, price, qty):
        self.market_ident += 1
        self.event(event(Kind.ADD, self.now, price, qty, side, self.market_ident))
        self.reference.order_event(Kind.ADD, self.market_ident, self.now, side, price, qty)

    def less(self, kind, ident, qty):
        """EXECUTE, REDUCE or DELETE a recorded order, of no more than it has."""
        side, price = self.reference.orders[ident]
        resting = next(e[1] for e in self.reference.queues[side][price] if not isinstance(e, Own) and e[0] == ident)
        qty = min(qty, resting)
        self.event(event(kind, self.now, price, qty, side, ident))
        self.reference.order_event(kind, ident, self.now, side, price, qty)

    def change(self, kind, ident, price, qty):
        """MODIFY or REPLACE a recorded order; price 0: the same."""
        side, old = self.reference.orders[ident]
        self.market_ident += 1
        self.event(event(kind, self.now, price or old, qty, side, ident, self.market_ident))
        self.reference.order_event(kind, ident, self.now, side, price or old, qty, self.market_ident)

    def event(self, row):
        self.reference.advance(self.now)
        assert self.venue.events(row) == 0

    # --- what must hold after every step ---

    def check(self):
        found = [tuple(int(r[f]) for f in COMPARED) for r in self.venue.reports()]
        expected = self.reference.reports[self.compared :]
        assert found == expected
        self.compared += len(expected)
        for kind, _, ident, side, _, qty, _, _, _ in expected:
            if kind == Kind.FILL:
                self.filled[ident] = self.filled.get(ident, 0) + qty
                self.bought += side * qty
            elif kind in (Kind.CANCELLED, Kind.EXPIRED):
                self.ended[ident] = self.ended.get(ident, 0) + qty
        # quantity is conserved, order by order and over all
        assert self.reference.position == self.bought
        for order in self.reference.own.values():
            assert order.qty == self.filled.get(order.id, 0) + self.ended.get(order.id, 0) + order.leaves
            if order.state == "resting":
                exact = self.exact and self.reference.by_order
                ahead = self.reference.ahead(order) if exact else int(max(order.front, 0))
                assert self.venue.ahead(order.id) == ahead
