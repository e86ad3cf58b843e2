"""`nanotick venue`: venues listed, served and stopped from the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request

import pytest

from nanotick.cli.app import run
from tests.patience import PATIENCE_S


def test_venues_are_listed(capsys):
    assert run(["venue", "list", "--json"]) == 0
    names = [row["name"] for row in json.loads(capsys.readouterr().out)]
    assert {"alpaca", "polygon"} <= set(names)
    assert run(["venue", "list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in names)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["serve"], "name at least one"),
        (["serve", "alpca"], "did you mean 'alpaca'"),
        (["serve", "alpaca", "--market", "x", "--replay", "y"], "give one of them"),
        (["serve", "alpaca", "--market", "us-equitie"], "us-equities"),
        (["serve", "alpaca", "--faults", "none.yaml"], "none.yaml: cannot be read"),
        (["serve", "alpaca", "--speed", "0"], "speed: expected more than 0"),
        (["serve", "alpaca", "--balances", "USD"], "expected amounts such as USD=50000"),
        (["serve", "alpaca", "--balances", "USD=much"], "--balances USD: expected a decimal number, found 'much'"),
    ],
)
def test_what_cannot_be_served_is_said(words, found, capsys):
    assert run(["venue", *words]) == 1
    assert found in capsys.readouterr().err


def served(*words):
    command = [
        sys.executable,
        "-m",
        "nanotick",
        "venue",
        "serve",
        "alpaca",
        "polygon",
        "--symbols",
        "AAPL",
        "--port",
        "0",
    ]
    return subprocess.Popen(
        [*command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_venue_is_served_until_a_signal_and_stops_cleanly(sign, tmp_path):
    faults = tmp_path / "faults.yaml"
    faults.write_text("faults: [{kind: error, path: /v2/clock, status: 503}]\n")
    with served("--json", "--faults", str(faults), "--balances", "USD=50000") as process:
        text = ""
        while not text.endswith("\n]\n"):
            line = process.stdout.readline()
            assert line, process.stderr.read()
            text += line
        venues = {row["name"]: row for row in json.loads(text)}
        keys = venues["alpaca"]["keys"]
        request = urllib.request.Request(
            venues["alpaca"]["urls"]["trading API"] + "/v2/assets",
            headers={"APCA-API-KEY-ID": keys["ALPACA_API_KEY"], "APCA-API-SECRET-KEY": keys["ALPACA_SECRET_KEY"]},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            assert [row["symbol"] for row in json.load(answer)] == ["AAPL"]
        request.full_url = venues["alpaca"]["urls"]["trading API"] + "/v2/account"
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            assert json.load(answer)["cash"] == "50000"
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(venues["alpaca"]["urls"]["trading API"] + "/v2/clock", timeout=PATIENCE_S)
        assert caught.value.code == 503
        key = venues["polygon"]["keys"]["POLYGON_API_KEY"]
        url = venues["polygon"]["urls"]["past trades and quotes"]
        with urllib.request.urlopen(f"{url}/v1/marketstatus/now?apiKey={key}", timeout=PATIENCE_S) as answer:
            assert json.load(answer)["market"] == "open"
        process.send_signal(sign)
        assert process.wait(PATIENCE_S) == 0
        assert process.stderr.read() == ""


def test_without_json_addresses_and_keys_are_printed():
    with served("--seconds", "0.5") as process:
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert "export ALPACA_API_KEY=nanotick-key" in out and "ws://127.0.0.1:" in out and "stopped at session time" in out
