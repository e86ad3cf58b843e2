"""A session's journal repeats it to the byte, brings it back after a kill, and says where anything differs."""

from __future__ import annotations

import json
import mmap
import os
import random
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanotick.cli.app import run as run_cli
from nanotick.core import journal_sync
from nanotick.core.arena import Arena
from nanotick.core.instruments import InstrumentTable
from nanotick.core.journal import Journal, JournalCorruptionError, JournalError
from nanotick.core.journal_kernel import FAILED
from nanotick.core.journal_reader import JournalReader, journal_digest
from nanotick.core.journal_segment import segment_paths
from nanotick.core.memory import store_release
from nanotick.core.mode import INTERPRET
from nanotick.core.records import COMMAND, EVENT, ControlAction, Kind
from nanotick.core.ring import Ring
from nanotick.engine.local import LocalSide, StrategySetup
from nanotick.engine.session import SNAPSHOTS, Session
from nanotick.engine.session_header import SessionError, header_records, read_header
from nanotick.engine.session_replay import recover, replay, restore_at
from nanotick.engine.simulate import Simulation
from nanotick.risk.limits import RiskLimits
from nanotick.strategies import built_in
from tests.engine.test_simulate import SMALL, same, simulation

SECONDS = 4.0 if INTERPRET else 12.0
NEW, CANCEL = int(Kind.NEW), int(Kind.CANCEL)


def local_hash(run: Simulation) -> str:
    return run.local.arena.part(run.local.region_names).digest().hex()


def records_of(directory: Path) -> np.ndarray:
    return np.concatenate(list(JournalReader(directory).batches()))


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Simulation, Any]:
    """A journaled simulation with a few snapshots, what it left, and its journal."""
    directory = tmp_path_factory.mktemp("session") / "journal"
    run = simulation(SECONDS, journal=directory, snapshot_records=500)
    return directory, run, run.run(slice_rows=300)


def test_a_journal_changes_nothing_about_the_run(session: Any) -> None:
    assert same(session[2], simulation(SECONDS).run())


def test_a_replay_makes_the_same_commands_and_the_same_state(session: Any) -> None:
    directory, run, out = session
    found = replay(directory)
    assert found.difference is None and found.ended and not len(found.unsent)
    assert found.state_hash == local_hash(run)
    commands = out.records[out.records["kind"] >= NEW]
    written = records_of(directory)
    assert written[written["kind"] >= NEW].tobytes() == commands.tobytes()
    assert found.commands == len(commands) > 10


def test_two_runs_leave_the_same_journal(session: Any, tmp_path: Path) -> None:
    simulation(SECONDS, journal=tmp_path / "again").run()
    assert journal_digest(session[0]) == journal_digest(tmp_path / "again")


def test_every_snapshot_and_the_tail_give_the_state_of_the_whole_run(session: Any) -> None:
    directory, run, _ = session
    snapshots = sorted((directory / SNAPSHOTS).glob("*.nts"))
    assert len(snapshots) >= 2
    for path in snapshots:
        found = restore_at(directory, path)
        assert found.state_hash == local_hash(run) and found.difference is None
    newest = recover(directory)
    assert newest.snapshot == snapshots[-1] and newest.first_sequence == int(snapshots[-1].stem) + 1
    assert newest.state_hash == local_hash(run)


def test_a_damaged_snapshot_is_passed_over_and_costs_only_time(session: Any, tmp_path: Path) -> None:
    directory = shutil.copytree(session[0], tmp_path / "copy")
    newest = sorted((directory / SNAPSHOTS).glob("*.nts"))[-1]
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    found = recover(directory)
    assert len(found.rejected) == 1 and newest.name in found.rejected[0]
    assert found.state_hash == local_hash(session[1])


def rewritten(records: np.ndarray, directory: Path) -> Path:
    with Journal(directory, 4 << 20, sync_interval_s=None) as journal:
        journal.append_array(records)
    return directory


def test_the_first_difference_is_shown_with_place_field_found_and_expected(session: Any, tmp_path: Path) -> None:
    records = records_of(session[0])
    at = int(np.flatnonzero(records["kind"] == NEW)[3])
    changed = records.copy()
    changed["qty"][at] += 1
    found = replay(rewritten(changed, tmp_path / "changed")).difference
    assert found is not None
    assert (found.sequence, found.field) == (at + 1, "qty")
    assert (found.found, found.expected) == (str(records["qty"][at]), str(records["qty"][at] + 1))
    lacking = replay(rewritten(np.delete(records, at), tmp_path / "lacking")).difference
    assert lacking is not None and (lacking.sequence, lacking.field) == (at + 1, "record")
    assert "command 128 (NEW)" in lacking.found and "no further command" in lacking.expected
    added = replay(rewritten(np.insert(records, at, records[at]), tmp_path / "added")).difference
    assert added is not None and added.sequence == at + 2


def test_a_damaged_record_is_refused_with_its_place(session: Any, tmp_path: Path, capsys: Any) -> None:
    directory = shutil.copytree(session[0], tmp_path / "copy")
    path = segment_paths(directory)[0]
    with open(path, "r+b") as file:
        file.seek(4096 + 512 * 30 + 70)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 4]))
    with pytest.raises(JournalCorruptionError, match="212"):
        replay(directory)
    assert run_cli(["replay", str(directory), "--verify"]) == 1
    assert "212" in capsys.readouterr().err
    assert run_cli(["replay", str(directory), "--verify", "--json"]) == 1
    assert "212" in json.loads(capsys.readouterr().out)["damage"][0]


def test_commands_print_what_they_found(session: Any, capsys: Any) -> None:
    directory, run, _ = session
    assert run_cli(["replay", str(directory), "--verify", "--quiet"]) == 0
    assert "VERIFIED" in capsys.readouterr().out
    assert run_cli(["recover", str(directory), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["state"] == local_hash(run) and found["verified"] and found["unsent"] == 0
    assert run_cli(["replay", str(directory), "--to", "900", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sequence"] == 900 and not found["ended"]
    assert run_cli(["replay", str(directory / SNAPSHOTS)]) == 1
    assert "no journal here" in capsys.readouterr().err


def test_a_killed_session_is_recovered_and_has_lost_nothing(session: Any, tmp_path: Path) -> None:
    """kill -9 at random instants: the journal left is the beginning of the whole one, and the state that of it."""
    whole = records_of(session[0]).tobytes()
    begun = mmap.mmap(-1, mmap.PAGESIZE)
    seen = np.frombuffer(begun, np.int64)
    choose, cut_short = random.Random(1), 0
    for kill in range(2 if INTERPRET else 8):
        directory = tmp_path / str(kill)
        run = simulation(SECONDS, journal=directory, snapshot_records=500)
        seen[0] = 0
        child = os.fork()
        if child == 0:
            try:

                def note(current: Simulation) -> None:
                    seen[0] = current.rows
                    time.sleep(0.0005)

                run.run(note, slice_rows=50)
                time.sleep(10)
            finally:
                os._exit(3)
        target = choose.randrange(1, 4_000 if not INTERPRET else 1_000)
        deadline = time.monotonic() + 60
        while seen[0] < target and time.monotonic() < deadline and run.rows == 0:
            time.sleep(0.0002)
            if seen[0] >= target or os.waitpid(child, os.WNOHANG)[0]:
                break
        time.sleep(choose.random() * 0.002)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        left = records_of(directory).tobytes()
        assert whole.startswith(left)
        found = recover(directory)
        assert found.difference is None and found.sequence == len(left) // 64
        cut_short += not found.ended
        assert found.state_hash == replay(session[0], to=found.sequence).state_hash
        if len(found.unsent):
            following = whole[len(left) : len(left) + found.unsent.nbytes]
            assert found.unsent.tobytes() == following
    assert cut_short > 0


# --- event by event, as a live runner does it -------------------------------------------------------------------------


def inputs_of(directory: Path) -> np.ndarray:
    """Market data of a journal: what a session without an exchange can be given."""
    records = records_of(directory)
    return records[records["kind"] < 32]


def fresh(table: InstrumentTable, directory: Path | None = None, **more: Any) -> Session:
    setups = [StrategySetup(built_in("imbalance")(threshold=0.6, size=10), cash=10**12)]
    local = LocalSide(Arena(SMALL.arena_bytes), table, setups, RiskLimits(max_book_age_s="unlimited"), SMALL)
    return Session(local, directory, segment_bytes=2 << 20, **more)


class Blocks:
    """A source of blocks of an array."""

    def __init__(self, events: np.ndarray, block: int) -> None:
        self.events, self.block, self.done = events, block, 0
        self.address = 0

    def poll(self) -> int:
        self.address = int(self.events.ctypes.data) + 64 * self.done
        count = min(self.block, len(self.events) - self.done)
        self.done += count
        return count


class Kept:
    """A gateway that keeps what it is given, and sees that the journal has it already."""

    def __init__(self, session: Session) -> None:
        self.session, self.commands = session, b""

    def send(self, commands_address: int, count: int) -> None:
        commands = self.session.commands()
        assert int(commands.ctypes.data) == commands_address and len(commands) == count
        journal = self.session.journal
        if journal is not None:
            tail = records_of(journal.directory)
            assert tail[tail["kind"] >= NEW].tobytes().endswith(commands.tobytes())
        self.commands += commands.tobytes()


def live(session: Session, events: np.ndarray, block: int) -> bytes:
    source, gateway = Blocks(events.copy(), block), Kept(session)
    session.start(int(events["ts_recv"][0]))
    while source.done < len(events):
        session.pump(source, gateway, session.now)
        session.drain()
    session.stop(session.now + 1)
    session.send(gateway)
    session.drain()
    return gateway.commands


def test_blocks_of_any_size_and_a_ring_give_the_same_commands(session: Any, tmp_path: Path) -> None:
    events, table = inputs_of(session[0])[:3000], session[1].instruments
    digests = set()
    for block in (1, 7, 5_000):
        directory = tmp_path / str(block)
        with fresh(table, directory) as run:
            commands = live(run, events, block)
            state = run.part.digest().hex()
        assert np.frombuffer(commands, COMMAND)["kind"].tolist().count(NEW) > 0
        found = replay(directory)
        assert found.difference is None and found.state_hash == state and found.ended
        digests.add((commands, state, journal_digest(directory)))
    with fresh(table, tmp_path / "ring") as run:
        ring = Ring.create(run.local.arena, "feed", 1 << 12)
        gateway = Kept(run)
        run.start(int(events["ts_recv"][0]))
        for first in range(0, len(events), 1_000):
            assert ring.push(events[first : first + 1_000]) == len(events[first : first + 1_000])
            assert run.take_ring(ring.address) == len(events[first : first + 1_000])
            run.send(gateway)
            run.drain()
        run.stop(run.now + 1)
        run.send(gateway)
        run.drain()
        digests.add((gateway.commands, run.part.digest().hex(), ""))
    digests.add((gateway.commands, found.state_hash, ""))
    assert len({d[:2] for d in digests}) == 1 and len({d[2] for d in digests}) == 2


def test_operators_and_parameters_are_part_of_the_journal(session: Any, tmp_path: Path) -> None:
    events, table = inputs_of(session[0])[:3000].copy(), session[1].instruments
    with fresh(table, tmp_path / "j") as run:
        run.start(int(events["ts_recv"][0]))
        run.take_array(events[:1500])
        run.set_parameter(0, "threshold", 0.95, run.now)
        assert run.local.selves[0]["threshold"][0] == 0.95
        with pytest.raises(ValueError, match="no parameter 'nothing'"):
            run.set_parameter(0, "nothing", 1, run.now)
        with pytest.raises(ValueError, match="size"):
            run.set_parameter(0, "size", 1.5, run.now)
        run.take_array(events[1500:2200])
        before = run.waiting
        run.control(ControlAction.KILL, run.now, reason=9)
        assert np.all(run.commands()["kind"][before:] == CANCEL)
        killed = run.waiting
        run.take_array(events[2200:])
        assert not np.any(run.commands()["kind"][killed:] == NEW)
        run.stop(run.now)
        run.drain()
        state = run.part.digest().hex()
    found = replay(tmp_path / "j")
    assert found.difference is None and found.state_hash == state


@pytest.mark.parametrize("cut", [0, 1])
def test_a_killed_session_goes_on_as_if_nothing_had_happened(
    session: Any, tmp_path: Path, capsys: Any, cut: int
) -> None:
    """Cut behind an input, or behind it and before its command."""
    events, table = inputs_of(session[0])[:3000], session[1].instruments
    with fresh(table, tmp_path / "whole") as run:
        commands = live(run, events, 3000)
        state = run.part.digest().hex()
    whole = records_of(tmp_path / "whole")
    made = np.flatnonzero(whole["kind"] >= NEW)
    end = int(made[0]) + 1 - cut
    directory = rewritten(whole[:end], tmp_path / "killed")
    run = Session.resume(directory, segment_bytes=2 << 20)
    assert run.waiting == cut
    gateway = Kept(run)
    run.send(gateway)
    left = int(np.count_nonzero(whole["kind"][:end] < 32))
    run.take_array(events[left:].copy())
    run.stop(run.now + 1)
    run.send(gateway)
    run.drain()
    assert commands.endswith(gateway.commands) and len(gateway.commands) > 0
    assert len(commands) - len(gateway.commands) == 64 * int(np.count_nonzero(whole["kind"][:end] >= NEW))
    assert run.part.digest().hex() == state
    run.close()
    assert journal_digest(directory) == journal_digest(tmp_path / "whole")
    assert run_cli(["recover", str(directory), "--snapshot", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["written"].endswith(f"{len(whole):020d}.nts")
    assert recover(directory).ended
    with pytest.raises(SessionError, match="was closed"):
        Session.resume(directory)


def test_a_stalled_disk_holds_up_no_decision(session: Any, tmp_path: Path, monkeypatch: Any) -> None:
    events, table = inputs_of(session[0])[:3000].copy(), session[1].instruments
    gate, stalled = threading.Event(), threading.Event()
    sync = journal_sync._msync

    def stall(segment: Any, size: int) -> None:
        stalled.set()
        gate.wait(60)
        sync(segment, size)

    with fresh(table, tmp_path / "j") as run:
        assert run.journal is not None
        monkeypatch.setattr(journal_sync, "_msync", stall)
        run.start(int(events["ts_recv"][0]))
        assert stalled.wait(60)
        done = run.take_array(events)  # every decision is made while the disk stands still
        assert done == len(events) and run.waiting > 0
        assert run.journal.synced_sequence < run.sequence
        gate.set()
        run.drain()
    found = replay(tmp_path / "j")
    assert found.difference is None and found.commands == run.waiting


def test_a_failed_journal_sends_no_order_but_cancels(session: Any, tmp_path: Path) -> None:
    events, table = inputs_of(session[0])[:3000].copy(), session[1].instruments
    run = fresh(table, tmp_path / "j")
    run.start(int(events["ts_recv"][0]))
    run.take_array(events[:1500])
    opened = int(np.count_nonzero(run.commands()["kind"] == NEW))
    assert opened and run.journal is not None
    waiting = run.waiting
    store_release(run.journal.address + FAILED, 1)
    with pytest.raises(JournalError, match="no order is sent"):
        run.take_array(events[1500:])
    assert run.waiting == waiting
    run.cancel_everything(run.now)
    assert np.all(run.commands()["kind"][waiting:] == CANCEL)
    run.journal.close()


def test_a_second_session_in_the_same_place_and_a_foreign_journal_are_refused(session: Any, tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="holds a session"):
        fresh(session[1].instruments, session[0])
    events = np.zeros(3, EVENT)
    events["kind"] = int(Kind.TRADE)
    with pytest.raises(SessionError, match="expected a session's header as record 1, found kind 10"):
        replay(rewritten(events, tmp_path / "other"))
    header = header_records({"schema": 1, "text": "x" * 5000, "noise": random.Random(1).random()})
    with pytest.raises(SessionError, match="died before its first event"):
        replay(rewritten(header[:-1], tmp_path / "short"))
    with pytest.raises(SessionError, match="schema 9"):
        read_header(header_records({"schema": 9}), tmp_path)
