"""The market-making papers' own figures, from the shipped strategies trading in the matching exchange."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from nanotick.core.mode import INTERPRET

if INTERPRET:
    pytest.skip("hundreds of thousands of orders: compiled only", allow_module_level=True)

from nanotick.core.records import Kind
from nanotick.strategy.base import Strategy
from tests.strategy.paper_exchange import BASE, FAR, STEP_NS, TICKS, run
from tests.strategy.paper_market import reaches
from tests.strategy.test_papers import (
    FREE,
    PaperLimits,
    PaperMaker,
    check_avellaneda_stoikov,
    check_certainty_equivalent,
)

WIDE = 2 * FAR
PATHS = 500  # of one run


class Maker(PaperMaker):
    """Decides once a step, when the maker of reference liquidity behind its own quotes has moved both of its orders."""

    seen: float = 0.0

    def on_book(self, ctx: Any) -> None:
        bid, ask = ctx.best_bid(), ctx.best_ask()
        if ctx.open_orders(1) > 0:
            bid = ctx.depth_price(1, 1)
        if ctx.open_orders(-1) > 0:
            ask = ctx.depth_price(-1, 1)
        mid = 0.5 * (bid + ask)
        if ask - bid == WIDE and mid != self.seen:
            self.seen = mid
            self.go_on(ctx, mid)


class Limits(PaperLimits):
    """As `Maker`."""

    seen: float = 0.0

    def on_book(self, ctx: Any) -> None:
        bid, ask = ctx.best_bid(), ctx.best_ask()
        if ctx.open_orders(1) > 0:
            bid = ctx.depth_price(1, 1)
        if ctx.open_orders(-1) > 0:
            ask = ctx.depth_price(-1, 1)
        mid = 0.5 * (bid + ask)
        if ask - bid == WIDE and mid != self.seen:
            self.seen = mid
            self.go_on(ctx, mid)


def outcomes(
    strategy: Strategy,
    rng: np.random.Generator,
    sigma: float,
    dt: float,
    steps: int,
    probability: float,
    k: float,
    count: int = PATHS,
    poisson: bool = False,
    least: float = -np.inf,
) -> tuple[np.ndarray[Any, Any], ...]:
    """Profit, final inventory and fills of `count` paths, in the paper's units."""
    moves = rng.choice([-1.0, 1.0], (count, steps)) * sigma * math.sqrt(dt)
    paths = 100.0 + np.concatenate([np.zeros((count, 1)), np.cumsum(moves, axis=1)], axis=1)
    mids = np.concatenate([paths[:, :-1].reshape(-1), paths[-1:, -1]])
    records, start = run(strategy, FREE, mids, reaches(rng, count * steps, probability, k, poisson), least)
    fills = records[records["kind"] == int(Kind.FILL)]
    path = (fills["ts_venue"] - start) // (steps * STEP_NS)
    signed = fills["qty"] * fills["side"]
    price = (fills["price"] - BASE) / TICKS
    cash = np.bincount(path, weights=-signed * price, minlength=count)
    q = np.bincount(path, weights=signed, minlength=count)
    return cash + q * paths[:, -1], q, np.bincount(path, minlength=count)


@pytest.mark.parametrize("symmetric", [False, True])
def test_avellaneda_stoikov_reaches_the_exact_figures(symmetric: bool) -> None:
    check_avellaneda_stoikov(0.1, symmetric, 4, Maker, outcomes)


@pytest.mark.nightly
@pytest.mark.parametrize("gamma", [0.1, 0.01, 1.0])
@pytest.mark.parametrize("symmetric", [False, True])
def test_avellaneda_stoikov_reaches_the_exact_figures_with_20000_paths(gamma: float, symmetric: bool) -> None:
    check_avellaneda_stoikov(gamma, symmetric, 40, Maker, outcomes)


def test_glft_earns_the_certainty_equivalent() -> None:
    check_certainty_equivalent(0, 2, Limits, outcomes)


@pytest.mark.nightly
@pytest.mark.parametrize("number", range(3))
def test_glft_earns_the_certainty_equivalent_over_many_paths(number: int) -> None:
    check_certainty_equivalent(number, 60, Limits, outcomes)
