"""Compiled and interpreted the engine does the same: reports, public feed and state, to the byte."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nanotick.core.mode import INTERPRET
from nanotick.exchange.market import Allocation
from nanotick.exchange.market.records import Phase
from tests.exchange.market.test_whole_day import SECOND, Day

STEPS = 700
SELF_TRADES = {1: (1, 0), 2: (1, 1), 3: (1, 2), 4: (2, 3), 5: (2, 4), 6: (3, 0)}
QUIET = {
    "allocation": Allocation.PRICE_TIME,
    "reference": 1_000,
    "band": 0.0,
    "band_auction": False,
    "window_ns": 0,
    "reference_step": 0.0,
    "indicative_ns": 0,
    "auction_rule": 0,
    "phase": Phase.PRE_OPEN,
}
BANDS = {"band": 0.015, "window_ns": 40 * SECOND, "indicative_ns": 1_700_000_000}
DAYS = [
    QUIET,
    QUIET | BANDS | {"allocation": Allocation.PRO_RATA},
    QUIET | BANDS | {"band_auction": True, "auction_rule": 1, "reference": 1_003},
]


def days():
    """A line a day: hash of what was told, hash of the state, fills, phases that took orders."""
    for seed, rules in enumerate(DAYS):
        day = Day(seed, rules, SELF_TRADES, 1 + 9 * (seed % 2), True)
        for _ in range(STEPS):
            day.step()
        phases = ",".join(sorted({name[1] for name in day.seen if name[0] == "GTC"}))
        yield f"{day.told.hexdigest()} {day.arena.digest().hex()} {day.seen['report', 'FILL']} {phases}"


@pytest.mark.skipif(INTERPRET, reason="this process has nothing compiled to compare with")
def test_compiled_and_interpreted_engines_do_the_same_to_the_byte():
    root = Path(__file__).resolve().parents[3]
    script = "from tests.exchange.market.test_modes import days\nprint(*days(), sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
        env=os.environ | {"PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}", "NANOTICK_INTERPRET": "1"},
    )
    compiled = list(days())
    assert done.stdout.splitlines() == compiled
    assert all(int(line.split()[2]) > 80 for line in compiled), compiled
    assert len({phase for line in compiled for phase in line.split()[3].split(",")}) == 5, compiled
