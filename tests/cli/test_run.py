"""`nanotick run` as a user runs it: another process serves Polygon and Alpaca, this one trades."""

import json

import pytest

from nanotick.cli.app import DONE, run
from nanotick.engine.session_replay import replay


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path


def test_the_embedded_exchange_over_loopback(home, capsys):
    state = home / "state"
    asked = ["run", "--mode", "balanced", "--duration", "6", "--symbols", "SPY,QQQ", "--state", str(state)]
    assert run([*asked, "--json", "-", "--html", str(home / "report.html")]) == DONE
    found = json.loads(capsys.readouterr().out)
    assert found["total"]["orders"] > 0
    assert (home / "report.html").stat().st_size > 10_000
    session = replay(state / "sessions" / "0001")
    assert session.difference is None and session.ended and session.commands > 0
    log = (state / "nanotick.log").read_text()
    assert '"phase":"TRADING"' in log and '"phase":"STOPPED"' in log
    assert run(["status"]) != DONE  # nothing runs any more, and it says so
    assert "no session is running" in " ".join(capsys.readouterr().err.split())
