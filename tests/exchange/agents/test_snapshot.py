"""A market saved in mid-run goes on, elsewhere in memory and in another process, as if nothing had happened."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nanotick.core.arena import Arena
from nanotick.core.mode import INTERPRET
from nanotick.core.records import OrderType, TimeInForce
from nanotick.core.snapshot import SnapshotError
from nanotick.exchange.agents.living import LivingMarket
from tests.exchange.agents.test_world import small

BEFORE, AFTER = (5, 5) if INTERPRET else (60, 60)


def outcome(market: LivingMarket, seconds: float = AFTER) -> list[str]:
    """Hashes of what the market publishes and reports from now on, and of where it ends."""
    events, reports = hashlib.sha256(), hashlib.sha256()
    end = market.now + int(seconds * 1e9)
    for part in market.run(end):
        events.update(part.tobytes())
        for exchange in market.exchanges:
            owners, rows = exchange.owned_reports()
            reports.update(rows[owners >= market.participants].tobytes())
    return [events.hexdigest(), reports.hexdigest(), market.digest().hex()]


def traded(seed: int = 3) -> LivingMarket:
    """A market in which an outsider has traded and has orders resting."""
    market = LivingMarket(small(), seed, outsiders=1)
    for _ in market.run(seconds=BEFORE):
        for exchange in market.exchanges:
            exchange.owned_reports()
    me = market.participants
    exchange = market.exchanges[0]
    now = market.now
    for ident, side, offset in ((1, 1, -3), (2, -1, 3), (3, 1, -1), (4, -1, 1)):
        exchange.submit(0, ident, side, 20, 4_200 + offset, participant=me, now=now)
    exchange.submit(1, 5, 1, 30, participant=me, order_type=OrderType.MARKET, tif=TimeInForce.IOC, now=now)
    return market


def test_a_restored_market_goes_on_like_the_one_that_was_saved(tmp_path) -> None:
    whole = traded()
    path = tmp_path / "market.nts"
    digest = whole.save(path, 7)
    assert digest == whole.digest()
    expected = outcome(whole)
    # in an arena where something else lies first: every address is another; and its own past is forgotten
    arena = Arena(20 << 30)
    arena.region("stranger", "<i8", 12_345)
    later = LivingMarket(small(), 99, arena=arena, outsiders=1)
    later.skip(later.now + 3_000_000_000)
    stranger = arena["stranger"].view
    stranger[:] = 5
    assert later.restore(path) == 7
    assert later.digest() == digest
    assert outcome(later) == expected
    assert (stranger == 5).all()
    for exchange in later.exchanges:
        exchange.check()


@pytest.mark.skipif(INTERPRET, reason="compares processes by their machine code")
def test_another_process_goes_on_too(tmp_path) -> None:
    whole = traded()
    path = tmp_path / "market.nts"
    whole.save(path)
    code = (
        "import json, sys, pathlib; from tests.exchange.agents.test_snapshot import *;"
        "market = LivingMarket(small(), 1, outsiders=1); market.restore(pathlib.Path(sys.argv[1]));"
        "print(json.dumps(outcome(market)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(out.stdout) == outcome(whole)


def test_a_saved_market_holds_no_code_of_its_process(tmp_path) -> None:
    market = LivingMarket(small(), 3)
    links = market.arena["world.links"].view
    path: Path = tmp_path / "market.nts"
    right = links["command_function"].copy()
    links["command_function"] = links["clock_function"] = 1  # what another process may have had there
    market.save(path)
    links["command_function"] = links["clock_function"] = right
    other = LivingMarket(small(), 3)
    other.restore(path)
    assert (other.arena["world.links"].view["command_function"] == right).all()


def test_a_snapshot_of_another_market_is_refused_and_changes_nothing(tmp_path) -> None:
    market = LivingMarket(small(), 3)
    path = tmp_path / "market.nts"
    market.save(path)
    other = LivingMarket(small(cells=100), 3)
    before = other.digest()
    with pytest.raises(SnapshotError, match=r"world\.cells"):
        other.restore(path)
    assert other.digest() == before
