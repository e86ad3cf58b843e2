"""What the market makers share: reference price, volatility, fees, sizes and the patience that keeps a place."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanotick.core.records import Kind
from nanotick.strategies.avellaneda_stoikov import AvellanedaStoikov
from nanotick.strategies.glft import GueantLehalleFernandezTapia
from tests.strategies.markets import SECOND, fills, quote, run, trade

STILL = dict(gamma=0.01, k=1.0, sigma=0.001, size=100, interval=0)  # half a spread of about one tick


def asked(out: Any, side: int) -> list[tuple[int, int]]:
    """Price and quantity of every order and replacement asked for on a side."""
    wanted = (int(Kind.NEW), int(Kind.REPLACE_ORDER))
    rows = out.records[np.isin(out.records["kind"], wanted)]
    rows = rows[rows["side"] == side]
    return list(zip(rows["price"].tolist(), rows["qty"].tolist(), strict=True))


def wide(bids: list[int], sizes: tuple[int, int] = (300, 300)) -> list[tuple[int, ...]]:
    """A market 20 ticks wide whose bid moves as told, once a second; every look finds something changed."""
    return [quote(n * SECOND, bid, sizes[0], bid + 20, sizes[1] + n % 2) for n, bid in enumerate(bids)]


def test_quotes_follow_the_microprice_by_its_weight() -> None:
    rows = wide([10_000], (900, 100))  # mid 10010, microprice 10018
    for weight, centre in ((0.0, 10_010), (0.5, 10_014), (1.0, 10_018)):
        out = run(rows, AvellanedaStoikov(microprice=weight, **STILL))
        (bid, _), (ask, _) = asked(out, 1)[0], asked(out, -1)[0]
        assert (bid + ask) / 2 == centre


def test_small_moves_keep_the_order_and_its_place() -> None:
    bids = [10_000, 10_001, 10_002, 10_001, 10_003, 10_000]
    assert len(asked(run(wide(bids), AvellanedaStoikov(**STILL)), 1)) == 6
    patient = asked(run(wide(bids), AvellanedaStoikov(tolerance=2, **STILL)), 1)
    assert [price for price, _ in patient] == [patient[0][0], patient[0][0] + 3, patient[0][0]]


def test_a_partly_filled_order_is_refilled_when_asked() -> None:
    rows = wide([10_000] * 6)
    rows += [trade(2 * SECOND + SECOND // 2, 10_009, 30, -1)]
    at_once = run(rows, AvellanedaStoikov(**STILL))
    later = run(rows, AvellanedaStoikov(refill=0.5, **STILL))
    assert [int(f["qty"]) for f in fills(at_once)] == [int(f["qty"]) for f in fills(later)] == [30]
    assert [qty for _, qty in asked(at_once, 1)] == [100, 130]
    assert [qty for _, qty in asked(later, 1)] == [100]


def test_what_does_not_pay_its_fee_is_not_quoted() -> None:
    rows = wide([10_000] * 5)
    assert asked(run(rows, AvellanedaStoikov(min_edge=2.0, **STILL)), 1)
    assert not asked(run(rows, AvellanedaStoikov(min_edge=5.0, **STILL)), 1)
    assert not asked(run(rows, AvellanedaStoikov(maker_fee=0.001, **STILL)), 1)
    assert asked(run(rows, AvellanedaStoikov(maker_fee=-0.001, min_edge=15.0, **STILL)), 1)
    assert not asked(run(rows, AvellanedaStoikov(min_spread=21, **STILL)), 1)


def test_inventory_is_still_reduced_where_quoting_does_not_pay() -> None:
    rows = [quote(n * SECOND, 10_000, 300, 10_020 if n < 3 else 10_004, 300) for n in range(8)]
    rows += [trade(2 * SECOND + SECOND // 2, 10_000, 100, -1)]  # buys 100, then the market narrows
    out = run(rows, AvellanedaStoikov(min_spread=10, **STILL))
    assert fills(out)["qty"].tolist() == [100]
    last = out.records[out.records["kind"] == int(Kind.NEW)]
    assert len(asked(out, 1)) == 1
    assert int(last["side"][-1]) == -1


@pytest.mark.parametrize("maker", [AvellanedaStoikov, GueantLehalleFernandezTapia])
def test_sizes_shrink_and_positions_stay_within_the_limit(maker: Any) -> None:
    rows = wide([10_000] * 12)
    rows += [trade(n * SECOND + SECOND // 2, 9_990, 1_000, -1) for n in range(1, 11)]  # sellers only
    limit: dict[str, Any] = {"max_inventory": 3} if maker is AvellanedaStoikov else {"limit": 3, "intensity": 1.0}
    full = fills(run(rows, maker(**limit, **STILL)))
    assert full["qty"].tolist() == [100, 100, 100]
    shrinking = fills(run(rows, maker(**limit, size_decay=0.5, **STILL)))["qty"].tolist()
    held = 0
    for qty in shrinking:
        assert qty == min(math.floor(100 * math.exp(-0.5 * held / 100) + 1e-6), 300 - held)
        held += qty
    assert held <= 300


def test_skew_moves_both_quotes_against_the_inventory() -> None:
    rows = wide([10_000] * 6)
    rows += [trade(2 * SECOND + SECOND // 2, 10_000, 100, -1)]
    plain, skewed = (run(rows, AvellanedaStoikov(skew=s, **STILL)) for s in (0.0, 3.0))
    assert asked(skewed, 1)[-1][0] == asked(plain, 1)[-1][0] - 3
    assert asked(skewed, -1)[-1][0] == asked(plain, -1)[-1][0] - 3


class Estimate(AvellanedaStoikov):
    """Log the variance in use at every look."""

    def requote(self, ctx: Any, reference: float) -> None:
        ctx.log(1, self.volatility_squared(ctx))


def test_volatility_is_estimated_over_its_half_life_and_not_before() -> None:
    rng = np.random.default_rng(3)
    steps = 40_000
    bids = 100_000 + np.cumsum(rng.choice([-2, 2], steps))  # 4 ticks squared a tenth of a second: 40 a second
    rows = [quote(n * SECOND // 10, int(bid), 300, int(bid) + 2, 300) for n, bid in enumerate(bids)]
    out = run(rows, Estimate(half_life=30.0, interval=0))
    said = out.records[out.records["kind"] == int(Kind.SIGNAL)]
    assert int(said["ts_venue"][0] - out.records["ts_venue"].min()) >= 0
    assert len(said) == steps - 301  # a first mid, then half a minute
    assert said["price"].view("<f8") == pytest.approx(np.full(len(said), 40.0))
    floored = run(rows[:1_000], Estimate(half_life=30.0, sigma_floor=10.0, interval=0))
    said = floored.records[floored.records["kind"] == int(Kind.SIGNAL)]
    assert set(said["price"].view("<f8").tolist()) == {100.0}


def test_glft_follows_an_estimated_volatility_with_the_exact_solution() -> None:
    rng = np.random.default_rng(3)
    bids = 100_000 + np.cumsum(rng.choice([-2, 2], 2_000))
    rows = [quote(n * SECOND // 10, int(bid), 300, int(bid) + 200, 300) for n, bid in enumerate(bids)]
    given: dict[str, Any] = dict(gamma=0.001, k=0.02, intensity=1.0, limit=5, size=1, interval=0)
    estimated = asked(run(rows, GueantLehalleFernandezTapia(sigma=0.0, **given)), 1)
    known = asked(run(rows, GueantLehalleFernandezTapia(sigma=math.sqrt(40.0), **given)), 1)
    assert len(estimated) > 1_000
    assert estimated[-1_000:] == known[-1_000:]


INTERPRETED = """
import hashlib, sys
sys.path[:0] = [{source!r}, {root!r}]
from nanotick.strategies.glft import GueantLehalleFernandezTapia
from tests.strategies.test_market_making import jumpy, run
out = run(jumpy(), GueantLehalleFernandezTapia(**{given!r}))
print(hashlib.blake2b(out.records.tobytes(), digest_size=16).hexdigest(), len(out.records))
"""


def jumpy() -> list[tuple[int, ...]]:
    """A hundred seconds of a market that moves, trades and changes its sizes."""
    rng = np.random.default_rng(11)
    rows, bid = [], 10_000
    for n in range(1_000):
        bid += int(rng.integers(-1, 2))
        sizes = rng.integers(1, 9, 2) * 100
        rows.append(quote(n * SECOND // 10, bid, int(sizes[0]), bid + 3, int(sizes[1])))
        if n % 4 == 0:
            side = int(rng.choice([-1, 1]))
            rows.append(trade(n * SECOND // 10 + 7, bid if side < 0 else bid + 3, 60, side))
    return rows


def test_every_option_at_once_gives_the_same_run_compiled_and_interpreted() -> None:
    given: dict[str, Any] = dict(
        sigma=0.0, half_life=5.0, sigma_floor=0.2, microprice=0.7, skew=0.3, maker_fee=-0.00001, min_edge=1.0,
        min_spread=2, size=90, size_decay=0.2, tolerance=1, refill=0.4, limit=4, gamma=0.05, k=1.2, interval=0,
    )  # fmt: skip
    root = Path(__file__).resolve().parents[2]
    code = INTERPRETED.format(source=str(root / "src"), root=str(root), given=given)
    said = {}
    for mode in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "NANOTICK_INTERPRET": mode}
        )
        assert done.returncode == 0, done.stderr[-2000:]
        said[mode] = done.stdout
    assert said["0"] == said["1"]
    assert len(fills(run(jumpy(), GueantLehalleFernandezTapia(**given)))) > 10
