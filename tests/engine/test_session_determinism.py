"""Live, replayed, run again, interpreted, under any hash seed: one log is one sequence of commands and one state."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from nanotick.core.journal_reader import journal_digest
from nanotick.core.mode import INTERPRET
from nanotick.engine.session_replay import replay
from nanotick.risk.limits import RiskLimits
from tests.engine.desk import Driver
from tests.engine.test_dynamic_limits import EVERYTHING, dynamic, random_session

LOGS = 20 if INTERPRET else 200
TURNS = 30


def live(seed: int, directory: Path) -> str:
    """A random session; gives the hash of its journal and of its state."""
    limits = dynamic(**EVERYTHING) if seed % 2 else RiskLimits()
    desk = Driver(directory, limits, sync_interval_s=None)
    random_session(desk, seed, TURNS)
    state = desk.digest()
    desk.session.close()
    return f"{journal_digest(directory)} {state}"


def logs(first: int, count: int) -> list[str]:
    """The same sessions in whatever process."""
    with tempfile.TemporaryDirectory(prefix="nanotick-test-") as place:
        return [live(seed, Path(place) / str(seed)) for seed in range(first, first + count)]


def held(seed: int, tmp_path: Path) -> None:
    """A session, the same again, and its replay."""
    first = live(seed, tmp_path / f"{seed}-first")
    assert live(seed, tmp_path / f"{seed}-second") == first
    found = replay(tmp_path / f"{seed}-first")
    assert found.difference is None and found.ended and not len(found.unsent)
    assert found.state_hash == first.split()[1]


@pytest.mark.parametrize("part", range(4))
def test_logs_repeat_bit_for_bit(part: int, tmp_path: Path) -> None:
    for seed in range(part * LOGS // 4, (part + 1) * LOGS // 4):
        held(seed, tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(100))
def test_ten_thousand_logs_repeat_bit_for_bit(part: int, tmp_path: Path) -> None:
    for seed in range(100_000 + part * 100, 100_000 + (part + 1) * 100):
        held(seed, tmp_path)


@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
@pytest.mark.parametrize("interpreted", ["", "1"])
def test_other_processes_hash_seeds_and_modes_come_to_the_same(hash_seed: str, interpreted: str) -> None:
    repository = Path(__file__).resolve().parents[2]
    environment = {
        **os.environ,
        "NANOTICK_INTERPRET": interpreted,
        "PYTHONPATH": os.pathsep.join([str(repository / "src"), str(repository)]),
        "PYTHONHASHSEED": hash_seed,
    }
    script = "from tests.engine.test_session_determinism import logs\nprint(*logs(0, 6), sep=chr(10))"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, cwd=repository, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == logs(0, 6)
