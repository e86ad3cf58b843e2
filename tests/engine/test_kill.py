"""Whatever pulls the kill switch: one record, every cancel at the gateway, stopped until a person lifts it."""

import ctypes
import json
import os
import signal
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanotick.cli.app import run as run_cli
from nanotick.core.journal_kernel import FAILED
from nanotick.core.journal_reader import JournalReader
from nanotick.core.memory import store_release
from nanotick.core.records import COMMAND, ControlAction, KillReason, Kind
from nanotick.engine.kill import KILL_FILE, LATCH, KillSwitch, ask_kill, ask_resume, read_latch
from nanotick.engine.session import Session
from nanotick.engine.session_replay import replay
from nanotick.risk import RiskCheck
from nanotick.risk.limits import RiskLimits
from tests.engine.desk import SECOND, Driver, commands_of

ORDERS = 1_000
CANCEL = int(Kind.CANCEL)


class Wire:
    """A gateway that keeps what it is given, and whether the latch was there by then."""

    def __init__(self, state: Path) -> None:
        self.state, self.commands = state, np.empty(0, COMMAND)
        self.latched: list[bool] = []

    def send(self, commands_address: int, count: int) -> None:
        commands = np.frombuffer(ctypes.string_at(commands_address, 64 * count), COMMAND)
        self.commands = np.concatenate([self.commands, commands])
        self.latched.append((self.state / LATCH).exists())


def made(tmp_path: Path, orders: int = 3, journal: bool = True, limits: Any = None, **more: Any) -> Any:
    """A running session with open orders, its gateway and its switch."""
    desk = Driver(tmp_path / "journal" if journal else None, limits)
    wire = Wire(tmp_path / "state")
    switch = KillSwitch(desk.session, tmp_path / "state", wire, **more)
    assert not switch.start(desk.now)
    desk.session.start(desk.now)
    for key in range(1, orders + 1):
        desk.adopt(key, qty=1, price=9_000 - key % 100)
        desk.session.drain()
    return desk, wire, switch


def kills_in(directory: Path) -> list[int]:
    """Reasons of the KILL records of a journal."""
    records = np.concatenate(list(JournalReader(directory).batches()))
    chosen = (records["kind"] == int(Kind.CONTROL)) & (records["word"] == int(ControlAction.KILL))
    return records["id"][chosen].tolist()


def by_thread(switch: KillSwitch) -> None:
    caller = threading.Thread(target=switch.trip, args=(KillReason.API, "from the terminal"))
    caller.start()
    caller.join()


TRIGGERS: dict[str, tuple[KillReason, Callable[[Any, KillSwitch, Path], Any]]] = {
    "api": (KillReason.API, lambda desk, switch, path: by_thread(switch)),
    "key": (KillReason.KEY, lambda desk, switch, path: switch.key("K")),
    "file": (KillReason.FILE, lambda desk, switch, path: (path / "state" / KILL_FILE).touch()),
    "watched": (KillReason.FILE, lambda desk, switch, path: (path / "STOP").symlink_to("nowhere")),
    "command": (KillReason.FILE, lambda desk, switch, path: run_cli(["kill", str(path / "state"), "--json"])),
    "signal": (KillReason.SIGNAL, lambda desk, switch, path: os.kill(os.getpid(), signal.SIGUSR1)),
    "dead-man": (KillReason.DEAD_MAN, lambda desk, switch, path: setattr(desk, "now", desk.now + 2 * SECOND)),
    "loss": (KillReason.LOSS, lambda desk, switch, path: lose(desk)),
}


def lose(desk: Any) -> None:
    """A position whose price falls by more than the account may lose in a day."""
    desk.event(Kind.HOLDING, id=0, instrument=0, qty=1_000, price=10_000)
    desk.quote(6_999, 7_001)
    desk.session.due(desk.now + 2 * SECOND)


@pytest.mark.parametrize("name", TRIGGERS)
def test_every_trigger_ends_in_one_record_all_cancels_and_a_latch(name: str, tmp_path: Path) -> None:
    reason, pull = TRIGGERS[name]
    desk, wire, switch = made(tmp_path, watch=tmp_path / "STOP", heartbeat_ns=SECOND)
    switch.catch()
    try:
        switch.beat(desk.now)
        assert not switch.key("k") and not switch.poll(desk.now)
        pull(desk, switch, tmp_path)
        switch.beat(desk.now if name != "dead-man" else 0)
        assert switch.poll(desk.now + SECOND // 5)
        assert not switch.poll(desk.now + SECOND // 5) and switch.killed
    finally:
        switch.release()
    ids = {desk.local.orders.adopted(key) for key in (1, 2, 3)}
    assert {int(c["id"]) for c in wire.commands if c["kind"] == CANCEL} == ids
    assert kills_in(tmp_path / "journal") == [int(reason)]
    latch = tmp_path / "state" / LATCH
    assert stat.S_IMODE(latch.stat().st_mode) == 0o600
    found = read_latch(tmp_path / "state")
    assert found is not None and found.reason == (reason.name if name != "command" else "COMMAND")
    assert not len(desk.quote(sizes=(101, 101)))
    state = desk.digest()
    desk.session.close()
    assert replay(tmp_path / "journal").state_hash == state


def test_a_thousand_orders_are_cancelled_in_one_step_before_the_disk_is_touched(tmp_path: Path) -> None:
    desk, wire, switch = made(tmp_path, ORDERS, limits=RiskLimits.unlimited())
    switch.trip()
    assert switch.poll(desk.now)
    assert len(wire.commands) == ORDERS == len(set(wire.commands["id"].tolist()))
    assert np.all(wire.commands["kind"] == CANCEL) and not any(wire.latched)
    records = np.concatenate(list(JournalReader(tmp_path / "journal").batches()))
    assert records[records["kind"] == CANCEL].tobytes() == wire.commands.tobytes()


@pytest.mark.parametrize("full", [False, True])
def test_what_waits_goes_out_first_and_a_full_output_does_not_hold_up_a_kill(full: bool, tmp_path: Path) -> None:
    desk, wire, switch = made(tmp_path, limits=RiskLimits.unlimited())
    desk.quote(sizes=(101, 101))
    engine = desk.local.engine_region.view[0]
    if full:
        engine["output_count"] = engine["output_limit"]
    before = int(engine["output_count"])
    switch.trip()
    assert switch.poll(desk.now)
    assert (int(engine["output_count"]) > before) != full  # whoever reads the output loses nothing unless it must be
    assert wire.commands["kind"].tolist() == [int(Kind.NEW)] * 2 + [CANCEL] * 5


def test_a_gateway_that_raises_is_given_nothing_twice(tmp_path: Path) -> None:
    desk, wire, _ = made(tmp_path)
    desk.quote(sizes=(101, 101))
    waiting = desk.session.waiting
    assert waiting > 0

    class Broken(Wire):
        def send(self, commands_address: int, count: int) -> None:
            super().send(commands_address, count)
            raise OSError("gone")

    broken = Broken(tmp_path / "state")
    with pytest.raises(OSError, match="gone"):
        desk.session.send(broken)
    assert len(broken.commands) == waiting and desk.session.send(wire) == 0 and not len(wire.commands)
    desk.session.close(ended=False)


def test_a_journal_that_has_failed_does_not_keep_cancels_back(tmp_path: Path) -> None:
    desk, wire, switch = made(tmp_path)
    store_release(desk.session.journal.address + FAILED, 1)
    switch.trip(KillReason.JOURNAL, "disk")
    assert switch.poll(desk.now) and switch.killed
    assert wire.commands["kind"].tolist() == [CANCEL] * 3
    assert read_latch(tmp_path / "state").reason == "JOURNAL"  # type: ignore[union-attr]
    desk.session.journal.close()


@pytest.mark.parametrize("damage", ["none", "cut", "empty", "unreadable"])
def test_a_session_that_starts_where_one_was_killed_starts_killed(damage: str, tmp_path: Path) -> None:
    desk, _, switch = made(tmp_path / "first")
    switch.trip(KillReason.API, "wrong prices")
    switch.poll(desk.now)
    desk.session.close()
    latch = tmp_path / "first" / "state" / LATCH
    if damage == "unreadable":
        latch.unlink()
        latch.mkdir()
    elif damage != "none":
        latch.write_bytes(latch.read_bytes()[: 9 if damage == "cut" else 0])
    desk = Driver(tmp_path / "second")
    wire = Wire(tmp_path / "first" / "state")
    switch = KillSwitch(desk.session, tmp_path / "first" / "state", wire)
    assert switch.start(desk.now)
    desk.session.start(desk.now)
    assert not len(desk.quote(sizes=(101, 101)))
    assert kills_in(tmp_path / "second") == [int(KillReason.LATCH)]
    if damage == "unreadable":
        latch.rmdir()
    with pytest.raises(ValueError, match="name of who"):
        switch.resume(desk.now, " ")
    switch.resume(desk.now, "A. Example")
    assert not switch.killed and switch.operators == ["A. Example"] and not latch.exists()
    assert len(desk.quote(sizes=(101, 100))) == 1
    assert not switch.poll(desk.now + SECOND)


def test_a_session_killed_by_its_own_step_is_latched_and_one_resumed_from_its_journal_stays_killed(
    tmp_path: Path,
) -> None:
    desk, _, switch = made(tmp_path)
    desk.session.control(ControlAction.KILL, desk.now, reason=int(KillReason.LOST_FEED))
    assert not switch.poll(desk.now)  # it was killed already
    assert read_latch(tmp_path / "state").reason == "LOST_FEED"  # type: ignore[union-attr]
    desk.session.close(ended=False)
    (tmp_path / "state" / LATCH).unlink()  # as if the power had gone before it was durable
    resumed = Session.resume(tmp_path / "journal", segment_bytes=2 << 20)
    switch = KillSwitch(resumed, tmp_path / "state", Wire(tmp_path / "state"))
    assert switch.start(resumed.now + 1) and read_latch(tmp_path / "state") is not None
    assert len(kills_in(tmp_path / "journal")) == 1
    resumed.close()


def test_the_commands_kill_and_resume_reach_a_running_session_and_one_that_starts(tmp_path: Path, capsys: Any) -> None:
    state = tmp_path / "state"
    assert run_cli(["kill", str(state)]) == 1 and "expected the state directory" in capsys.readouterr().err
    desk, _, switch = made(tmp_path)
    assert run_cli(["resume", str(state), "--operator", "A"]) == 1
    assert "nothing here is killed" in capsys.readouterr().err
    assert run_cli(["kill", str(state), "--reason", "a test", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reason"] == "a test"
    assert switch.poll(desk.now + SECOND)
    with pytest.raises(ValueError, match="still there"):
        switch.resume(desk.now, "A")
    with pytest.raises(ValueError, match="name of who"):
        ask_resume(state, "")
    assert run_cli(["resume", str(state), "--operator", "A. Example"]) == 0
    assert not switch.poll(desk.now + 2 * SECOND) and not switch.killed
    assert switch.operators == ["A. Example"] and read_latch(state) is None
    desk.session.close()
    ask_kill(state, "later")
    desk = Driver(tmp_path / "next")
    assert KillSwitch(desk.session, state, Wire(state)).start(desk.now)
    desk.session.close()
    ask_resume(state, "B")
    desk = Driver(tmp_path / "last")
    assert not KillSwitch(desk.session, state, Wire(state)).start(desk.now)


def test_policies_of_signals(tmp_path: Path) -> None:
    desk, _, switch = made(tmp_path, journal=False)
    before = signal.getsignal(signal.SIGUSR2)
    with pytest.raises(ValueError, match="kill-stop"):
        switch.catch({int(signal.SIGUSR2): "explode"})
    for policy, kills, stops in (("stop", False, True), ("kill", True, False), ("kill-stop", True, True)):
        switch.stop_requested = False
        switch.catch({int(signal.SIGUSR2): policy})
        os.kill(os.getpid(), signal.SIGUSR2)
        switch.release()
        assert (switch.poll(desk.now), switch.stop_requested) == (kills, stops)
        if kills:
            switch.resume(desk.now, "A")
    assert signal.getsignal(signal.SIGUSR2) == before


def test_an_order_while_killed_is_refused_with_the_reason(tmp_path: Path) -> None:
    desk, _, switch = made(tmp_path)
    switch.trip(KillReason.KEY)
    switch.poll(desk.now)
    desk.session.drain()
    desk.quote(sizes=(101, 100))
    records = desk.session.drain()[0]
    refusals = records[records["kind"] == int(Kind.RISK)]
    assert refusals["word"].tolist() == [int(RiskCheck.KILL_SWITCH)] and refusals["price"].tolist() == [KillReason.KEY]
    assert commands_of(desk.session.commands(), Kind.NEW) == []


def test_a_clock_that_steps_back_puts_off_neither_files_nor_the_dead_man(tmp_path: Path) -> None:
    desk, _, switch = made(tmp_path, journal=False, heartbeat_ns=SECOND)
    early = desk.now - 3_600 * SECOND
    assert not switch.poll(desk.now)
    assert not switch.poll(early) and not switch.poll(early + SECOND)
    assert switch.poll(early + SECOND + 1)
    switch.resume(desk.now, "A")
    assert not switch.poll(desk.now)
    (tmp_path / "state" / KILL_FILE).touch()
    assert switch.poll(early)
