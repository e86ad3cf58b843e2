"""Triangular arbitrage: three pairs of three currencies whose prices do not agree.

With legs A/Q, B/Q and B/A (for example BTCUSDT, ETHUSDT, ETHBTC), one unit of B costs ask(B/Q) directly and
ask(B/A) ask(A/Q) through A. Two round trips start and end in Q:

    buy B/Q, sell B/A, sell A/Q     pays  bid(B/A) bid(A/Q) (1 - f)^3 / ask(B/Q) - 1
    buy A/Q, buy B/A, sell B/Q      pays  bid(B/Q) (1 - f)^3 / (ask(B/A) ask(A/Q)) - 1

The better one is taken when it pays more than `edge`: three immediate-or-cancel orders at once, sized by what is
displayed on all three legs and by `value`. Legs that fill unevenly leave an amount of A or B: leg risk. It is
traded back into Q at the far touch at the next look (unwinding), and no new round trip starts before both are flat.
"""

from __future__ import annotations

from typing import Any

from nanotick.strategies.legs import Legs

_IOC = 2


class TriangularArbitrage(Legs):
    """Round trips through three pairs, with the legs' risk unwound.

    Parameters
    ----------
    fee : float
        Taker fee as a share of value, a leg.
    edge : float
        Smallest profit of a round trip as a share of its value.
    value : float
        Largest value of a round trip in Q.
    interval : int
        Nanoseconds between looks while the market is silent.

    Examples
    --------
    >>> TriangularArbitrage().parameters["count"]
    3
    """

    count: int = 3
    fee: float = 0.0
    edge: float = 0.0001
    value: float = 10_000.0
    interval: int = 10_000_000

    trips: int = 0
    unwound: int = 0
    best_seen: float = -1.0

    def amount(self, ctx: Any, n: int) -> float:
        """Position of a leg in its own base currency."""
        i = self.leg(n)
        return ctx.qty_float(ctx.position(i), i)

    def lots(self, ctx: Any, amount: float, i: int) -> int:
        """Quantity units of an amount of a leg's base currency, on the lot grid."""
        return ctx.round_qty(abs(amount) / ctx.qty_float(1.0, i) + 1e-6, i)

    def on_book(self, ctx: Any) -> None:
        self.act(ctx)

    def on_start(self, ctx: Any) -> None:
        ctx.every(self.interval)  # a leg that came to nothing is not left until the market moves

    def on_timer(self, ctx: Any) -> None:
        self.act(ctx)

    def act(self, ctx: Any) -> None:
        """Unwind what is left of a round trip, else look for one."""
        if not self.ready(ctx):
            return
        for n in range(3):
            if ctx.open_orders(0, self.leg(n)) > 0:
                return
        if not self.unwind(ctx):
            self.look(ctx)

    def unwind(self, ctx: Any) -> bool:
        """Trade what is left of A and B back into Q; False when there is nothing to do."""
        b = self.amount(ctx, 1) + self.amount(ctx, 2)
        a = self.amount(ctx, 0) + ctx.trading_cash(self.leg(2))
        busy = False
        for n in range(2):
            i = self.leg(n)
            left = a if n == 0 else b
            qty = self.lots(ctx, left, i)
            if qty >= ctx.min_qty(i):
                side = -1 if left > 0.0 else 1
                if ctx.order(side, qty, self.reach(ctx, i, side), 0, _IOC, 0, 0, 0, i) != 0:
                    self.unwound += 1
                    busy = True
        return busy

    def look(self, ctx: Any) -> None:
        """Take the better round trip if it pays."""
        aq, bq, ba = self.leg(0), self.leg(1), self.leg(2)
        keep = (1.0 - self.fee) ** 3
        a_bid, a_ask = ctx.price_float(ctx.best_bid(aq), aq), ctx.price_float(ctx.best_ask(aq), aq)
        b_bid, b_ask = ctx.price_float(ctx.best_bid(bq), bq), ctx.price_float(ctx.best_ask(bq), bq)
        x_bid, x_ask = ctx.price_float(ctx.best_bid(ba), ba), ctx.price_float(ctx.best_ask(ba), ba)
        through_a = x_bid * a_bid * keep / b_ask - 1.0
        through_b = b_bid * keep / (x_ask * a_ask) - 1.0
        self.best_seen = max(self.best_seen, max(through_a, through_b))
        if max(through_a, through_b) <= self.edge:
            return
        side = 1 if through_a >= through_b else -1  # of B/Q
        if side > 0:
            shown = min(self.shown(ctx, bq, 1), min(self.shown(ctx, ba, -1), self.shown(ctx, aq, -1) / x_bid))
        else:
            shown = min(self.shown(ctx, bq, -1), min(self.shown(ctx, ba, 1), self.shown(ctx, aq, 1) / x_ask))
        amount = min(shown, self.value / b_ask)
        b_qty, x_qty = self.lots(ctx, amount, bq), self.lots(ctx, amount, ba)
        a_qty = self.lots(ctx, amount * (x_bid if side > 0 else x_ask), aq)
        if b_qty >= ctx.min_qty(bq) and x_qty >= ctx.min_qty(ba) and a_qty >= ctx.min_qty(aq):
            self.send(ctx, bq, side, b_qty)
            self.send(ctx, ba, -side, x_qty)
            self.send(ctx, aq, -side, a_qty)
            self.trips += 1

    def shown(self, ctx: Any, i: int, side: int) -> float:
        """What an order of this side finds at the far touch, in the base currency."""
        return ctx.qty_float(ctx.ask_qty(i) if side > 0 else ctx.bid_qty(i), i)

    def send(self, ctx: Any, i: int, side: int, qty: int) -> None:
        """One immediate-or-cancel order at the far touch."""
        ctx.order(side, qty, self.reach(ctx, i, side), 0, _IOC, 0, 0, 0, i)
