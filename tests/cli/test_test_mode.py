"""The verdict of `nanotick run --test`: every check that can fail does, and a test of the whole passes."""

import json
from dataclasses import replace

import pytest

from nanotick.cli.app import USAGE, run
from nanotick.cli.test_judgement import FAIL, MARKS, PASS, WARN, Facts, judge, passed
from nanotick.cli.test_mode import verdict


def row(mean, p50=None):
    return {"count": 1000, "mean": mean, "p50": p50 or mean, "p99": 3 * mean}


GOOD = Facts(
    seconds=60.0, phase="stopped", events=50_000, signals=12, orders=900, fills=120, fill_share=0.2, rejected=3,
    refused=40, pnl=250.0, capital=1_000_000.0, exposure_most=200_000.0, target=10_000.0, learning=({"weights": 3},),
    latency={"ALPACA": {"decision": row(12e3), "send": row(70e3), "ack": row(90e3), "fill": row(2e9)}},
    utilisation={"gross_exposure": 0.3, "order_rate": 0.9},
    cut={"done": True, "recovered_s": 0.4, "messages_after": 900},
    kill={"done": True, "killed": True, "latched": True, "cleared_s": 0.2, "orders_while": 0, "lifted": True,
          "orders_after": 300},
    up_share=0.998, positions={"SPY": 100.0, "QQQ": 0.0}, venue_positions={"SPY": 100.0}, replay="", replayed=1800,
    machine=[("numa", "on", "one node")],
)  # fmt: skip


def marks(facts):
    return {check.name: check.mark for check in judge(facts)}


def test_a_session_in_which_everything_holds_passes_every_check():
    assert set(marks(GOOD).values()) == {PASS} and passed(judge(GOOD))


def changed(what, **values):
    return {what: {**getattr(GOOD, what), **values}}


@pytest.mark.parametrize(("name", "change"), [
    ("session", {"phase": "failed"}), ("session", {"interrupted": True}), ("session", {"seconds": 0.0}),
    ("market data", {"events": 0}), ("orders", {"orders": 0}), ("fills", {"fills": 0}),
    ("rejections", {"rejected": 880}),
    ("latency", {"latency": {}}),
    ("latency", {"latency": {"ALPACA": {"decision": row(10e3), "send": row(50e3)}}}),
    ("limits", {"utilisation": {}}), ("limits", {"utilisation": {"gross_exposure": 1.01}}),
    ("kill switch", {"kill": {}}), ("kill switch", changed("kill", killed=False)),
    ("kill latch", changed("kill", latched=False)), ("kill cancels", changed("kill", cleared_s=-1.0)),
    ("kill cancels", changed("kill", cleared_s=11.0)), ("kill refuses", changed("kill", orders_while=1)),
    ("kill lifted", changed("kill", lifted=False)), ("kill lifted", changed("kill", orders_after=0)),
    ("reconnection", {"cut": {}}), ("reconnection", changed("cut", recovered_s=-1.0)),
    ("reconnection", changed("cut", recovered_s=31.0)), ("reconnection", changed("cut", messages_after=0)),
    ("positions", {"venue_positions": None}), ("positions", {"venue_positions": {}}),
    ("positions", {"venue_positions": {"SPY": 99.0}}), ("positions", {"venue_positions": {"SPY": 100.0, "QQQ": 1.0}}),
    ("orders left", {"working": 2}), ("reconciliation", {"breaks": ["SPY: 5 there, 0 here"]}),
    ("journal", {"replay": None}), ("journal", {"replay": "record 17: price"}), ("journal", {"replayed": 0}),
])  # fmt: skip
def test_what_is_broken_is_marked_and_the_verdict_with_it(name, change):
    checks = judge(replace(GOOD, **change))
    assert {check.name: check.mark for check in checks}[name] == FAIL
    assert not passed(checks)
    assert "NOT fit" in verdict(checks) and MARKS[FAIL] in verdict(checks)


@pytest.mark.parametrize(("name", "change"), [
    ("signals", {"signals": 0}), ("learning", {"learning": ()}), ("P&L", {"pnl": -1.0}),
    ("daily target", {"pnl": 1.0}), ("capital use", {"exposure_most": 0.0}), ("uptime", {"up_share": 0.9}),
    ("rejections", {"rejected": 90}), ("machine: numa", {"machine": [("numa", "refused", "no")]}),
    ("latency ALPACA decision", {"latency": {"ALPACA": {"decision": row(1e9), "send": row(1e3), "ack": row(1e3)}}}),
    ("kill cancels", changed("kill", cleared_s=9.0)), ("reconnection", changed("cut", recovered_s=20.0)),
    ("latency ALPACA send", {"latency": {"ALPACA": {"decision": row(1e3), "send": row(2e5), "ack": row(1e3)}}}),
    ("latency ALPACA ack", {"latency": {"ALPACA": {"decision": row(1e3), "send": row(2e4), "ack": row(2e6)}}}),
])  # fmt: skip
def test_what_is_no_reason_to_refuse_is_a_warning(name, change):
    checks = judge(replace(GOOD, **change))
    assert {check.name: check.mark for check in checks}[name] == WARN
    assert passed(checks)


def test_nothing_checked_is_no_pass():
    assert not passed([])


def test_a_whole_test_against_the_embedded_exchange(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    code = run(["run", "--test", "--duration", "20", "--symbols", "SPY,QQQ", "--json", "-"])
    found = json.loads(capsys.readouterr().out)
    made = {check["name"]: check for check in found["checks"]}
    for name in ("session", "market data", "orders", "fills", "limits", "kill switch", "kill latch", "kill refuses",
                 "kill lifted", "positions", "reconciliation", "orders left", "journal"):  # fmt: skip
        assert made[name]["mark"] == PASS, made[name]
    assert made["reconnection"]["mark"] != FAIL and made["kill cancels"]["mark"] != FAIL  # a busy machine is slow
    assert code == (0 if found["passed"] else 1)
    assert run(["run", "--test", "--mode", "shadow", "--strategy", "momentum"]) == USAGE
