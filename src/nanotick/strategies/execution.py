"""What the execution strategies share: one parent order, worked as one resting or crossing child at a time.

A parent order buys or sells `quantity` over `duration`. Time is cut into slices; a subclass says with `due` how
much should be done after a share of the time. Inside a slice the missing part rests at the near touch; when it is
overdue, or `patience` of the slice is over, the same order is moved to the far touch. As there is never more than
one child, and it never holds more than is left, no race between a fill and a replacement can make more than the
parent's quantity: a replaced order keeps its total, and the venue counts what was filled meanwhile.

Cost is measured against the arrival price, the mid when work began (implementation shortfall, Perold 1988).
"""

from __future__ import annotations

from typing import Any

from nanotick.strategy.base import Strategy


class Execution(Strategy):
    """Work a parent order along a schedule.

    Parameters
    ----------
    instrument : int
        Number of the instrument in the run.
    side : int
        1 buys, -1 sells.
    quantity : int
        Of the parent order, quantity units; a multiple of the lot.
    delay, duration : int
        Nanoseconds from the start of the run to the start of the work, and to its end from there.
    slices : int
        Parts into which the time is cut.
    patience : float
        Share of a slice in which its quantity waits at the near touch; 0 crosses the spread at once, 1 only when the
        slice is over.
    limit_price : int
        Never pay worse, price units; 0 is no limit.
    slip : int
        Ticks beyond the far touch that a crossing child may pay.
    clip : int
        Largest child order, quantity units; 0 is no bound.
    interval : int
        Nanoseconds between looks.
    """

    instrument: int = 0
    side: int = 1
    quantity: int = 10_000
    delay: int = 0
    duration: int = 300_000_000_000
    slices: int = 20
    patience: float = 0.7
    limit_price: int = 0
    slip: int = 0
    clip: int = 0
    interval: int = 100_000_000

    born: int = 0  # ns, start of the run
    started: int = 0  # ns, 0: not yet
    held: int = 0  # position when work began
    arrival: float = 0.0  # mid when work began, price units
    finished: int = 0  # ns when the last of it was done, 0: not yet
    slice_number: int = -1

    @classmethod
    def bound_to(cls, instruments: tuple[int, ...], parameters: dict[str, Any]) -> dict[str, Any]:
        """The parent is in the first instrument chosen, unless one was named."""
        return {"instrument": instruments[0] if instruments else 0, **parameters}

    def on_start(self, ctx: Any) -> None:
        self.slices = max(self.slices, 1)
        self.born = ctx.now()
        ctx.every(max(self.interval, 1_000))

    def on_timer(self, ctx: Any) -> None:
        if self.started == 0:
            self.begin(ctx)
        if self.started > 0 and self.finished == 0:
            self.work(ctx)

    def begin(self, ctx: Any) -> None:
        """Work starts at the first look at which there is a market."""
        if ctx.now() - self.born >= self.delay and ctx.has_book(self.instrument):
            self.started = ctx.now()
            self.held = ctx.position(self.instrument)
            self.arrival = ctx.mid(self.instrument)
            self.prepare(ctx)

    def prepare(self, ctx: Any) -> None:
        """Whatever a subclass needs once, when work begins."""
        return

    def enter_slice(self, ctx: Any) -> None:
        """Whatever a subclass does when a slice begins."""
        return

    def due(self, ctx: Any, share: float) -> float:
        """Quantity that should be done when this share of the time is over."""
        return self.quantity * share

    def done(self, ctx: Any) -> int:
        """Quantity executed so far."""
        return self.side * (ctx.position(self.instrument) - self.held)

    def time_share(self, ctx: Any) -> float:
        """Share of the duration that is over, at most 1."""
        return min(1.0, (ctx.now() - self.started) / max(self.duration, 1))

    def work(self, ctx: Any) -> None:
        """Bring the one child to what the schedule asks for now."""
        share = self.time_share(ctx)
        number = min(int(share * self.slices), self.slices - 1)
        if number != self.slice_number:
            self.slice_number = number
            self.enter_slice(ctx)
        done = self.done(ctx)
        if done >= self.quantity:
            self.finished = ctx.now()
            return
        goal = self.due(ctx, (number + 1) / self.slices)
        overdue = self.due(ctx, number / self.slices)
        inside = share * self.slices - number
        crossing = inside >= self.patience or ctx.round_qty(overdue - done, self.instrument) > 0
        self.place(ctx, goal - done, crossing)

    def place(self, ctx: Any, wanted: float, crossing: bool) -> None:
        """Keep one child for what is wanted, at the near or the far touch; nothing where the limit forbids it."""
        i = self.instrument
        qty = min(ctx.round_qty(wanted + 1e-6, i), self.quantity - self.done(ctx))
        if self.clip > 0:
            qty = min(qty, self.clip)
        if not ctx.has_book(i) or qty <= 0:
            ctx.quote(self.side, 0, 0, False, i)
            return
        buying = self.side > 0
        price = ctx.best_ask(i) if buying == crossing else ctx.best_bid(i)
        if crossing:
            price += self.side * self.slip * ctx.tick_size(i)
        if self.limit_price != 0 and self.side * (price - self.limit_price) > 0:
            price = self.limit_price
        ctx.quote(self.side, price, qty, False, i)

    def on_stop(self, ctx: Any) -> None:
        ctx.log(self.side, self.done(ctx) / max(self.quantity, 1))
