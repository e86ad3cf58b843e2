"""A disk that refuses stops new orders at once and never a cancel; what the journal has stays good."""

import errno
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanotick.core import journal_sync, snapshot
from nanotick.core.journal import JournalError
from nanotick.core.journal_kernel import FAILED
from nanotick.core.memory import load_acquire
from nanotick.core.mode import INTERPRET
from nanotick.core.records import KillReason, Kind
from nanotick.engine.kill import KillSwitch
from nanotick.engine.session_replay import recover, replay
from nanotick.risk.limits import RiskLimits
from tests.engine.desk import Driver
from tests.engine.test_kill import Wire

CANCEL, NEW = int(Kind.CANCEL), int(Kind.NEW)


def refusing(code: int) -> Any:
    def refuse(*args: Any, **more: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return refuse


def desk_with_orders(directory: Path, **more: Any) -> Driver:
    desk = Driver(directory, RiskLimits.unlimited(), **more)
    for key in range(1, 6):
        desk.adopt(key, price=9_000 + key)
    return desk


def stopped(desk: Driver, tmp_path: Path) -> None:
    """What must hold once the disk has refused: no order any more, cancels at the gateway, a journal that verifies."""
    wire = Wire(tmp_path / "state")
    switch = KillSwitch(desk.session, tmp_path / "state", wire)
    desk.session.send(wire)
    before = len(wire.commands)
    with pytest.raises(JournalError, match=r"no order is sent|no room"):
        while True:
            desk.quote(sizes=(101, 101))
            desk.session.send(wire)
            desk.session.drain()
    journaled = len(wire.commands)
    switch.trip(KillReason.JOURNAL, "the disk refuses")
    assert switch.poll(desk.now)
    after = wire.commands[journaled:]
    ids = {desk.local.orders.adopted(key) for key in range(1, 6)}
    assert ids <= set(after["id"].tolist()) and np.all(after["kind"] == CANCEL)
    assert journaled >= before
    with pytest.raises(JournalError):
        desk.quote(sizes=(101, 101))
    assert desk.session.waiting == 0
    desk.session.close(ended=False)
    found = replay(tmp_path / "j")
    assert found.difference is None and not found.ended
    # all that a gateway saw before the refusal is in the journal
    assert found.commands + len(found.unsent) >= journaled


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EROFS])
def test_a_sync_that_fails_stops_orders_and_not_cancels(code: int, tmp_path: Path, monkeypatch: Any) -> None:
    desk = desk_with_orders(tmp_path / "j", sync_interval_s=0.001)
    journal = desk.session.journal
    assert journal is not None
    monkeypatch.setattr(journal_sync, "_msync", refusing(code))
    with suppress(JournalError):  # the sync may be quicker
        desk.quote()
    deadline = time.monotonic() + 60
    while load_acquire(journal.address + FAILED) == 0 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert journal.error is not None and journal.error.errno == code
    with pytest.raises(JournalError):
        desk.quote(sizes=(101, 101))  # the first one after it
    stopped(desk, tmp_path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_disk_without_room_for_the_next_segment_stops_orders_before_the_room_is_gone(
    code: int, tmp_path: Path, monkeypatch: Any
) -> None:
    if INTERPRET:
        pytest.skip("fills a segment record by record: the compiled mode does")
    monkeypatch.setattr(journal_sync, "create_segment", refusing(code))
    desk = desk_with_orders(tmp_path / "j", sync_interval_s=None)
    stopped(desk, tmp_path)


def test_a_snapshot_that_the_disk_refuses_costs_nothing_but_itself(tmp_path: Path, monkeypatch: Any) -> None:
    desk = desk_with_orders(tmp_path / "j", sync_interval_s=None)
    desk.drop()
    kept = desk.session.snapshot()
    faults = [(os, "fsync", errno.ENOSPC), (os, "replace", errno.EIO)]
    for module, name, code in [*faults, (snapshot, "sync_directory", errno.EIO)]:
        desk.quote()
        desk.session.drain()
        with monkeypatch.context() as patch:
            patch.setattr(module, name, refusing(code))
            with pytest.raises(OSError, match=os.strerror(code)):
                desk.session.snapshot()
    desk.quote(sizes=(101, 100))
    assert desk.session.waiting == 1  # trading goes on
    state = desk.digest()
    desk.session.close(ended=False)
    found = recover(tmp_path / "j")
    assert found.difference is None and found.state_hash == state and kept.exists()
