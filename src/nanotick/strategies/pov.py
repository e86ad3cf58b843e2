"""Percentage of volume: a fixed share of what the market trades.

With V the market's volume since the start, our own included, the parent should have done rate * V; what rests joins
the near touch, and once `tolerance` of the parent is missing the far touch is taken. On recorded data our fills are
not part of the tape, so the market's volume is then V + done: `own_in_tape` says which it is. The end of the
duration ends the work, done or not, unless `complete` asks for the rest to be taken then.
"""

from __future__ import annotations

from typing import Any

from nanotick.strategies.execution import Execution


class PercentageOfVolume(Execution):
    """Take part in the market's volume at a fixed rate.

    Parameters
    ----------
    rate : float
        Share of the volume, 0 to 1.
    tolerance : float
        Part of the parent that may be missing before the spread is crossed.
    own_in_tape : bool
        Our fills print on the tape we see (live, embedded exchange): False for recorded data.
    complete : bool
        Take what is missing when the duration is over.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> order = SimpleNamespace(quantity=1_000, rate=0.1, own_in_tape=True)
    >>> PercentageOfVolume.target(order, 4_000, 0), PercentageOfVolume.target(order, 40_000, 0)
    (400.0, 1000.0)
    """

    rate: float = 0.1
    tolerance: float = 0.02
    own_in_tape: bool = True
    complete: bool = False

    volume_before: int = 0

    def prepare(self, ctx: Any) -> None:
        self.volume_before = ctx.volume(self.instrument)

    def target(self, volume: int, done: int) -> float:
        """Quantity that should be done at this volume of the tape."""
        whole = float(volume) if self.own_in_tape else float(volume + done)
        return min(self.rate * whole, float(self.quantity))

    def work(self, ctx: Any) -> None:
        done = self.done(ctx)
        over = ctx.now() - self.started >= self.duration
        if done >= self.quantity:
            self.finished = ctx.now()
        elif over and not self.complete:
            self.finished = ctx.now()
            ctx.quote(self.side, 0, 0, False, self.instrument)
        elif over:
            self.place(ctx, float(self.quantity - done), True)
        else:
            missing = self.target(ctx.volume(self.instrument) - self.volume_before, done) - done
            self.place(ctx, missing, missing > self.tolerance * self.quantity)
