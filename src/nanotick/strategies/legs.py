"""What strategies over several instruments share: legs, the position wanted in each, and orders that bring them there.

Legs of one trade never fill together. `chase` compares what is wanted in each leg with what is held and sends one
immediate-or-cancel order a leg at the far touch, so that a leg which filled less is tried again at the next look,
at the price there is then. A strategy that would rather undo than pay on sets what is wanted to what can be hedged.
"""

from __future__ import annotations

from typing import Any

from nanotick.strategy.base import Array, Strategy, ints

MAX_LEGS = 8
_IOC = 2


class Legs(Strategy):
    """Positions in up to eight instruments, brought to what is wanted.

    Parameters
    ----------
    first : int
        Number of the first leg's instrument; the others follow it, unless `legs` names them.
    count : int
        How many legs, 2 to 8.
    legs : Array
        Instrument numbers of the legs, one more than the number (0: `first` plus the leg's place).
    slip : int
        Ticks beyond the far touch that an order may pay.
    """

    first: int = 0
    count: int = 2
    legs: Array = ints(MAX_LEGS)
    slip: int = 0

    wanted: Array = ints(MAX_LEGS)  # position, quantity units

    @classmethod
    def bound_to(cls, instruments: tuple[int, ...], parameters: dict[str, Any]) -> dict[str, Any]:
        """The legs are the instruments chosen, in the run's order, unless they were named."""
        if "legs" in parameters or "first" in parameters:
            return parameters
        if not 2 <= len(instruments) <= MAX_LEGS:
            raise ValueError(f"{cls.__name__} takes 2 to {MAX_LEGS} instruments as its legs, found {len(instruments)}")
        legs = [n + 1 for n in instruments] + [0] * (MAX_LEGS - len(instruments))
        return {"count": len(instruments), **parameters, "legs": legs}

    def leg(self, n: int) -> int:
        """Instrument of a leg."""
        return self.legs[n] - 1 if self.legs[n] > 0 else self.first + n

    def ready(self, ctx: Any) -> bool:
        """Every leg has a two-sided book."""
        if self.first + self.count > ctx.instruments() and self.legs[self.count - 1] == 0:
            return False
        for n in range(self.count):
            if not ctx.has_book(self.leg(n)):
                return False
        return True

    def settled(self, ctx: Any) -> bool:
        """No leg has an order under way or a position other than the one wanted."""
        for n in range(self.count):
            i = self.leg(n)
            if ctx.open_orders(0, i) > 0 or ctx.round_qty(abs(self.wanted[n] - ctx.position(i)), i) > 0:
                return False
        return True

    def flat(self, ctx: Any) -> bool:
        """No leg holds anything."""
        for n in range(self.count):
            if ctx.position(self.leg(n)) != 0:
                return False
        return True

    def chase(self, ctx: Any) -> int:
        """Send what the legs are short of; gives how many orders."""
        sent = 0
        for n in range(self.count):
            i = self.leg(n)
            if ctx.open_orders(0, i) > 0 or not ctx.has_book(i):
                continue
            missing = self.wanted[n] - ctx.position(i)
            side = 1 if missing > 0 else -1
            qty = ctx.round_qty(abs(missing), i)
            if qty > 0:
                ctx.order(side, qty, self.reach(ctx, i, side), 0, _IOC, 0, 0, 0, i)
                sent += 1
        return sent

    def reach(self, ctx: Any, i: int, side: int) -> int:
        """The far touch and `slip` ticks beyond it."""
        touch = ctx.best_ask(i) if side > 0 else ctx.best_bid(i)
        return touch + side * self.slip * ctx.tick_size(i)
