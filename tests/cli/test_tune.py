"""`nanotick tune` reports, applies what it may to a command, and says what it may not."""

import json
import os
import subprocess
import sys

import pytest

from nanotick.cli.app import run
from nanotick.core import machine


def tune(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nanotick.cli.app", "tune", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )


def test_settings_are_listed_with_state_and_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tune", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["state"] for row in rows} <= {"on", "off", "refused", "unknown"}
    assert all(set(row) == {"name", "state", "found", "command"} for row in rows)
    assert run(["tune"]) == 0
    assert "huge pages" in capsys.readouterr().out


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system pins no processes")
def test_a_command_runs_pinned_and_keeps_its_exit_code() -> None:
    first = min(os.sched_getaffinity(0))
    program = "import os, sys; print(sorted(os.sched_getaffinity(0))); sys.exit(7)"
    done = tune("--apply", "--cpus", str(first), "--", sys.executable, "-c", program)
    assert done.returncode == 7, done.stderr
    assert done.stdout.strip() == str([first])
    assert "pinning" in done.stderr and "locked memory" in done.stderr


def test_what_is_refused_is_said_and_the_command_runs_all_the_same() -> None:
    done = tune("--apply", "--cpus", "4000", "--", sys.executable, "-c", "print('ran')")
    assert done.returncode == 0 and done.stdout.strip() == "ran"
    assert "refused" in done.stderr


def test_wrong_usage_is_one_sentence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "pin", lambda cpus, pid=0: pytest.fail("nothing may be set"))
    for arguments, sentence in (
        (["tune", "--cpus", "1"], "for --apply"),
        (["tune", "--apply"], "needs a command"),
        (["tune", "--apply", "--cpus", "x", "--pid", "1"], "expected numbers"),
        (["tune", "--apply", "--", "no-such-program-here"], "no program"),
    ):
        assert run(arguments) == 2
        assert sentence in capsys.readouterr().err
