"""Iceberg: rest at the near touch, show a little, refill.

For venues without icebergs of their own. `display` is shown; when it is filled the next one follows, its size drawn
within `randomness` of `display` so that refills do not look alike, and the price follows the near touch, never
beyond the limit. Every refill joins the back of the queue, which is the price of not being seen (Esser & Monch 2007
weigh the two). What is missing at the end is taken at the far touch if `complete` asks for it.
"""

from __future__ import annotations

from typing import Any

from nanotick.strategies.execution import Execution


class Iceberg(Execution):
    """Work a parent order passively, a small part shown at a time.

    Parameters
    ----------
    display : int
        Quantity shown, quantity units.
    randomness : float
        Largest relative deviation of a refill's size, 0 to 0.9.
    complete : bool
        Take the rest when the duration is over.

    Examples
    --------
    >>> Iceberg(quantity=5_000, display=200).parameters["display"]
    200
    """

    display: int = 500
    randomness: float = 0.2
    complete: bool = True

    shown_until: int = 0  # done at which the present part is used up
    refills: int = 0

    def refill(self, ctx: Any, done: int) -> None:
        """Choose the size of the next part."""
        spread = min(self.randomness, 0.9) * (2.0 * ctx.random() - 1.0)
        part = max(ctx.round_qty(self.display * (1.0 + spread), self.instrument), ctx.lot_size(self.instrument))
        self.shown_until = min(done + part, self.quantity)
        self.refills += 1

    def work(self, ctx: Any) -> None:
        done = self.done(ctx)
        over = ctx.now() - self.started >= self.duration
        if done >= self.quantity:
            self.finished = ctx.now()
        elif over:
            if not self.complete:
                self.finished = ctx.now()
                ctx.quote(self.side, 0, 0, False, self.instrument)
            else:
                self.place(ctx, float(self.quantity - done), True)
        else:
            if done >= self.shown_until:
                self.refill(ctx, done)
            self.place(ctx, float(self.shown_until - done), False)

    def on_fill(self, ctx: Any) -> None:
        if self.started > 0 and self.finished == 0:
            self.work(ctx)
