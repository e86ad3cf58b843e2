"""The strategies of the benchmarks, as their peers have them."""

from typing import Any

import nanotick as nt


class Noop(nt.Strategy):
    """Look at both best prices every `step` ns."""

    step: int = 100_000_000
    seen: int = 0

    def on_start(self, ctx: Any) -> None:
        ctx.every(self.step)

    def on_timer(self, ctx: Any) -> None:
        for i in range(ctx.instruments()):
            self.seen += ctx.best_ask(i) - ctx.best_bid(i)


class Maker(nt.Strategy):
    """Keep `levels` bids from the best bid down and as many asks from the best ask up, leaning against the position."""

    step: int = 100_000_000
    levels: int = 10
    sent: int = 0

    def on_start(self, ctx: Any) -> None:
        ctx.every(self.step)

    def on_timer(self, ctx: Any) -> None:
        bid, ask = ctx.best_bid(), ctx.best_ask()
        if not ctx.has_book():
            return
        tick, lot = ctx.tick_size(), ctx.lot_size()
        # one tick of skew for every ten lots held
        lean = round(ctx.position() / (10.0 * lot)) * tick
        top_bid = min(bid, bid - lean)
        top_ask = max(ask, ask - lean)
        bids = 0
        asks = 0
        order_id = ctx.first_order()
        while order_id != 0:
            following = ctx.next_order(order_id)
            price = ctx.order_price(order_id)
            if ctx.order_side(order_id) > 0:
                level = (top_bid - price) // tick
                if 0 <= level < self.levels:
                    bids |= 1 << level
                elif ctx.order_state(order_id) == 3:
                    ctx.cancel(order_id)
            else:
                level = (price - top_ask) // tick
                if 0 <= level < self.levels:
                    asks |= 1 << level
                elif ctx.order_state(order_id) == 3:
                    ctx.cancel(order_id)
            order_id = following
        for i in range(self.levels):
            if bids & (1 << i) == 0:
                ctx.buy(lot, top_bid - i * tick, nt.GTC, True)
                self.sent += 1
            if asks & (1 << i) == 0:
                ctx.sell(lot, top_ask + i * tick, nt.GTC, True)
                self.sent += 1


class EveryNth(nt.Strategy):
    """A market order of one lot on every `each`-th quote, buying and selling in turn."""

    each: int = 1_000
    seen: int = 0
    sent: int = 0

    def on_book(self, ctx: Any) -> None:
        self.seen += 1
        if self.seen % self.each == 0:
            if self.sent & 1:
                ctx.sell_market(ctx.lot_size())
            else:
                ctx.buy_market(ctx.lot_size())
            self.sent += 1
