"""The same log gives the same journal and the same state, to the bit, however it is run."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanotick.core.instruments import InstrumentTable
from nanotick.core.records import Kind
from nanotick.engine.backtest import Backtest, Recording
from nanotick.engine.local import StrategySetup
from nanotick.engine.replay import run_replay
from tests.engine.conftest import SMALL, VENUE, both, run_of

Day = tuple[Any, InstrumentTable]

SCRIPT = """
import sys
from nanotick.data.synthetic import synthetic_day
from tests.engine.conftest import both, run_of
day = synthetic_day(seed=5, seconds=20)
out = run_of(day.events, day.instruments, both()).run()
print(out.journal_hash, out.state_hash, len(out.records))
"""


def hashes_of_a_process(**environment: str) -> str:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}", **environment},
    )
    return done.stdout.split("\n")[-2]


def test_a_run_repeats_itself(day: Day) -> None:
    first, second = (run_of(*day, both()).run() for _ in range(2))
    assert len(first.records) > 1_000
    assert first.journal_hash == second.journal_hash
    assert first.state_hash == second.state_hash


def test_slices_change_nothing(day: Day) -> None:
    whole = run_of(*day, both()).run()
    sliced = run_of(*day, both()).run(slice_rows=997)
    assert np.array_equal(whole.records, sliced.records)
    assert np.array_equal(whole.marks, sliced.marks)
    assert whole.state_hash == sliced.state_hash


def test_hash_seeds_and_interpretation_change_nothing() -> None:
    compiled = hashes_of_a_process(PYTHONHASHSEED="0")
    assert int(compiled.split()[2]) > 50
    assert hashes_of_a_process(PYTHONHASHSEED="random") == compiled
    assert hashes_of_a_process(PYTHONHASHSEED="1", NANOTICK_INTERPRET="1") == compiled


def test_segments_are_one_recording(day: Day) -> None:
    events, table = day
    whole = run_of(events, table, both()).run()
    cut = len(events) // 3
    parts = [Recording(events[:cut]), Recording(events[cut : cut + 7]), Recording(events[cut + 7 :])]
    setups = [StrategySetup(s, cash=50_000_000_000) for s in both()]
    assert Backtest(parts, table, setups, VENUE, capacity=SMALL).run().journal_hash == whole.journal_hash


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_snapshot_and_tail_are_the_whole_run(day: Day, tmp_path: Path, share: float) -> None:
    whole = run_of(*day, both()).run()
    first = run_of(*day, both())
    first.begin()
    rows = int(share * first.rows)
    while int(first.replay_region.view[0]["rows_done"]) < rows:
        run_replay(first.replay_region.address, 0, rows - int(first.replay_region.view[0]["rows_done"]))
    path = tmp_path / "half.snapshot"
    first.arena.snapshot(path, rows)
    first.collector.drain()
    head = np.concatenate(first.collector.records)
    second = run_of(*day, both())
    assert second.arena.restore(path) == rows
    second.local.engine_region.view["output_count"] = 0
    tail = second.resume()
    assert np.array_equal(np.concatenate([head, tail.records]), whole.records)
    assert tail.state_hash == whole.state_hash


def test_every_command_answers_an_event_that_was_known(day: Day) -> None:
    out = run_of(*day, both()).run()
    kinds = out.records["kind"]
    commands = out.records[kinds >= int(Kind.NEW)]
    reports = out.records[(kinds >= int(Kind.ACCEPTED)) & (kinds <= int(Kind.FILL_BUST))]
    assert len(commands) > 30
    first_report: dict[int, int] = {}
    for row in reports:
        first_report.setdefault(int(row["id"]), int(row["ts_recv"]))
    latency = VENUE.entry_latency + VENUE.response_latency  # type: ignore[operator]
    # the first eight bytes of a command are the time of its decision
    sent = {int(c["id"]): int(c["ts_venue"]) for c in commands[::-1]}
    assert all(first_report[i] >= sent[i] + latency for i in first_report)
