"""Studies from the command line: what they print, what they write, how they fail."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nanotick.cli.app import DONE, INTERRUPTED, USAGE, run
from nanotick.research.run_log import LOG_NAME
from tests.research.studies import write_day

SOURCE = Path(__file__).resolve().parents[2] / "src"
TAKER = Path(__file__).resolve().parents[1] / "research" / "studies.py"


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    return str(write_day(tmp_path_factory.mktemp("studies"), seconds=120.0))


def printed(capsys):
    return " ".join(capsys.readouterr().out.split())


def test_a_sweep_says_which_is_best_and_whether_to_believe_it(day, tmp_path, capsys):
    out, html = tmp_path / "out", tmp_path / "sweep.html"
    arguments = ["sweep", day, "-s", f"{TAKER}:Taker", "--grid", "wait=1,4", "--grid", "size=100:200:2",
                 "--objective", "net", "--workers", "0", "--return-interval", "5", "-o", str(out), "-q"]  # fmt: skip
    assert run([*arguments, "--html", str(html)]) == DONE
    text = printed(capsys)
    assert "Deflated Sharpe ratio" in text and "Probability of backtest overfitting" in text
    assert {p.name for p in out.iterdir()} == {"runs.parquet", "returns.parquet", LOG_NAME}
    assert html.read_text().startswith("<!doctype html>")
    assert run(arguments) == USAGE
    assert "--resume goes on" in " ".join(capsys.readouterr().err.split())
    assert run([*arguments, "--resume", "--json", "-"]) == DONE
    assert json.loads(capsys.readouterr().out)["runs"]["done"] == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--grid", "thresold=1"], "did you mean 'threshold'"),
        (["--grid", "size=a"], "size is int"),
        ([], "no grid"),
        (["--grid", "size=100", "--objective", "sharp"], "did you mean 'sharpe'"),
        (["--grid", "size=100", "--seeds", "one"], "expected numbers such as 1,2,5"),
    ],
)
def test_wrong_usage_is_answered_with_what_would_help(arguments, said, day, capsys):
    assert run(["sweep", day, "-s", "imbalance", *arguments]) in (1, USAGE)
    assert said in " ".join(capsys.readouterr().err.split())


def test_ctrl_c_keeps_what_is_done_and_a_kill_does_too(day, tmp_path):
    def begin(*more):
        command = [sys.executable, "-m", "nanotick.cli.app", "sweep", day, "-s", "imbalance", "--workers", "1",
                   "--grid", "threshold=0.5:0.9:2000", "-o", str(tmp_path), *more]  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
        # a shell's background job ignores interrupts, and so would what it starts
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip

    def wait_for(size):
        log, ends = tmp_path / LOG_NAME, time.monotonic() + 240
        while time.monotonic() < ends and not (log.exists() and log.stat().st_size > size):
            time.sleep(0.05)
        return log.stat().st_size

    running = begin()
    size = wait_for(6_000)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == INTERRUPTED and "--resume" in said
    import pyarrow.parquet as pq

    kept = pq.read_table(tmp_path / "runs.parquet").num_rows
    assert kept >= 2
    running = begin("--resume")
    wait_for(size + 6_000)
    running.kill()
    running.communicate(timeout=60)
    from nanotick.research.run_log import _RUN, RunLog

    frames = []
    reader = RunLog.__new__(RunLog)
    reader._file = open(tmp_path / LOG_NAME, "rb")
    reader._file.read(8)
    while frame := reader._next():
        frames.append(frame)
    reader.close()
    import msgspec

    keys = [msgspec.msgpack.decode(p)["task"]["settings"][0][1] for kind, p in frames if kind == _RUN]
    assert len(keys) > kept and len(set(keys)) == len(keys)  # nothing was run twice


def test_a_search_walks_and_worlds_from_the_command_line(day, tmp_path, capsys):
    pytest.importorskip("optuna", reason="Optuna is not installed: pip install 'nanotick[optuna]'")
    common = ["--workers", "0", "--return-interval", "5", "-q"]
    net = ["--objective", "net"]
    assert run(["optimize", day, "-s", f"{TAKER}:Taker", "--search", "wait=1:9", "-n", "3", *net, *common]) == DONE
    assert "3 trials" in printed(capsys)
    assert run(["walk-forward", day, "-s", f"{TAKER}:Taker", "--grid", "size=100,200", "--folds", "2", "--train", "1",
                *net,
                *common]) == DONE  # fmt: skip
    assert "all tests together" in printed(capsys)
    assert run(["monte-carlo", "-s", f"{TAKER}:Taker", "--scenario", "synthetic:seconds=30", "--seeds", "1:2",
                *common, "--json", "-"]) == DONE  # fmt: skip
    assert json.loads(capsys.readouterr().out)["markets"][0]["runs"] == 2
