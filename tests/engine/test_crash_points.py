"""kill -9 at every labelled place: the session goes on, and asking the venue leaves both with the same orders."""

import ctypes
import mmap
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nanotick.core.crash_points import CRASH_POINTS, VARIABLE, arm
from nanotick.core.journal import Journal
from nanotick.core.journal_reader import JournalReader
from nanotick.core.mode import INTERPRET
from nanotick.core.records import COMMAND, EVENT, Flag, Kind, RejectReason, ReportFlag
from nanotick.engine.session import Session
from nanotick.engine.session_replay import recover, replay
from nanotick.orders import OrderState
from nanotick.risk.limits import RiskLimits
from tests.engine.desk import START, Busy, local_side

NEW, CANCEL, REPLACE = int(Kind.NEW), int(Kind.CANCEL), int(Kind.REPLACE_ORDER)
TURNS, ROOM = 60, 4_096
LIMITS = RiskLimits.unlimited()


class Venue:
    """A venue in memory that outlives the session: what it was sent, in order, and what follows from that."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, 64 * ROOM)
        self.rows = np.frombuffer(self.memory, COMMAND)

    @property
    def count(self) -> int:
        return int(self.rows["ts"][ROOM - 1])

    def send(self, commands_address: int, count: int) -> None:
        taken = self.count
        ctypes.memmove(int(self.rows.ctypes.data) + 64 * taken, commands_address, 64 * count)
        self.rows["ts"][ROOM - 1] = taken + count

    def commands(self) -> np.ndarray:
        return self.rows[: self.count]

    def reports(self) -> tuple[list[tuple[int, dict[str, int]]], dict[int, list[int]]]:
        """Everything it says of the commands in order, and each order's quantity filled and left."""
        said: list[tuple[int, dict[str, int]]] = []
        orders: dict[int, list[int]] = {}  # id: filled, left
        seen: set[tuple[int, int]] = set()
        for n, command in enumerate(self.commands()):
            order_id, kind, qty = int(command["id"]), int(command["kind"]), int(command["qty"])
            if kind == NEW:
                if order_id in orders:
                    continue  # an id it has seen is no second order
                orders[order_id] = [0, qty]
                said.append((order_id, {"kind": int(Kind.ACCEPTED), "price": int(command["price"]), "qty": qty}))
                if (order_id & 0xFFFFF) % 3 == 0:
                    orders[order_id] = [qty // 2, qty - qty // 2]
                    fill = {"kind": int(Kind.FILL), "price": int(command["price"]), "qty": qty // 2, "side": 1}
                    said.append((order_id, {**fill, "seq": order_id}))
            elif order_id in orders and orders[order_id][1] > 0 and (order_id, kind) not in seen:
                seen.add((order_id, kind))
                filled, left = orders[order_id]
                if kind == CANCEL:
                    orders[order_id][1] = 0
                    said.append((order_id, {"kind": int(Kind.CANCELLED), "qty": left}))
                else:
                    orders[order_id][1] = qty - filled
                    told = {"kind": int(Kind.REPLACED), "qty": qty, "price": int(command["price"])}
                    said.append((order_id, {**told, "ts_venue": n + 1, "seq": n}))
        return said, orders


def tell(session: Session, order_id: int, values: dict[str, int]) -> None:
    row = np.zeros(1, EVENT)
    row["id"] = order_id
    for name, value in values.items():
        row[name] = value
    row["ts_recv"] = session.now + 1
    assert session.take_array(row) == 1


def trade(session: Session, venue: Venue, turns: int, snapshots: bool) -> None:
    """Quotes, what they lead to, and the venue's answers; two quotes a block, so that one step's commands wait."""
    rng = random.Random(3)
    told = 0
    for turn in range(turns):
        rows = np.zeros(2, EVENT)
        rows["kind"], rows["flags"], rows["qty"], rows["word"] = int(Kind.QUOTE), int(Flag.LAST), 100, 100
        rows["price"] = 9_999 - rng.randrange(3) + np.array([0, 1])
        rows["id"] = rows["price"] + 2
        rows["ts_venue"] = rows["ts_recv"] = max(session.now, START) + 1_000_000
        session.take_array(rows)
        session.send(venue)
        said = venue.reports()[0]
        for order_id, values in said[told:]:
            tell(session, order_id, values)
        told = len(said)
        session.send(venue)
        session.drain()
        if snapshots and turn % 7 == 6:
            session.snapshot()


def begun(directory: Path) -> Session:
    return Session(local_side(LIMITS, Busy()), directory, segment_bytes=2 << 20, sync_interval_s=None)


def settled(session: Session, venue: Venue, directory: Path) -> None:
    """Hand on what waits, ask the venue about everything else, and compare the two."""
    journaled = [c for c in records_of(directory).view(COMMAND) if c["kind"] >= NEW]
    # whatever the venue has, the journal had before it
    assert set(map(bytes, venue.commands())) <= {bytes(c) for c in journaled}
    session.send(venue)
    session.drain()
    had = set(map(bytes, venue.commands()))
    table = session.local.orders.orders.view
    for command in journaled:
        if bytes(command) in had:
            continue
        order = table[int(command["id"]) & 0xFFFFF]
        kind = int(command["kind"])
        if order["state"] >= OrderState.FILLED:
            continue  # the venue has never heard of the order itself, which was settled just now
        # nothing was heard about it, and the record says that an answer is due: this is what a trader asks about
        assert order["pending"] & {NEW: 1, CANCEL: 2, REPLACE: 4}[kind]
        answer = {"kind": int(Kind.REJECTED if kind == NEW else Kind.CANCEL_REJECTED), "ts_venue": 10**9}
        if kind == REPLACE:
            answer["flags"] = int(ReportFlag.OF_REPLACE)
        tell(session, int(command["id"]), {**answer, "word": int(RejectReason.UNKNOWN_ORDER)})
    said, orders = venue.reports()
    for order_id, values in said:  # all of it again: what was booked before is not booked twice
        tell(session, order_id, values)
    session.send(venue)
    said, orders = venue.reports()
    for order_id, values in said:
        tell(session, order_id, values)
    held = 0
    for order_id, (filled, left) in orders.items():
        order = table[order_id & 0xFFFFF]
        assert order["id"] == order_id and order["filled_qty"] == filled and order["pending"] == 0
        assert order["qty"] - order["filled_qty"] - order["cancelled_qty"] == left
        held += filled
    assert session.local.portfolio.positions.view[0]["qty"] == held
    known = {int(r["id"]) for r in table if 2 <= r["state"] <= 6}
    assert known == {order_id for order_id, (_, left) in orders.items() if left}
    session.drain()
    state = session.part.digest().hex()
    session.close()
    found = replay(directory)
    assert found.difference is None and found.state_hash == state


def records_of(directory: Path) -> np.ndarray:
    return np.concatenate(list(JournalReader(directory).batches()))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The journal of a session that nobody killed; its kernels are loaded before anything forks."""
    directory = tmp_path_factory.mktemp("whole") / "j"
    session = begun(directory)
    venue = Venue()
    trade(session, venue, TURNS, True)
    settled(session, venue, directory)
    recover(directory)
    records = records_of(directory)
    kinds = records["kind"]
    assert all(np.count_nonzero(kinds == kind) > 5 for kind in (NEW, CANCEL, REPLACE, int(Kind.FILL)))
    return records


def cut_journal(records: np.ndarray, end: int, directory: Path) -> Path:
    with Journal(directory, 2 << 20, sync_interval_s=None) as journal:
        journal.append_array(records[:end])
    return directory


def kill_at(label: str, count: int, directory: Path, whole: np.ndarray) -> Venue:
    """A session that dies at the `count`-th arrival at a label; gives the venue it leaves behind."""
    venue = Venue()
    if label.startswith("resume"):
        made = np.flatnonzero(whole["kind"] == NEW)
        cut_journal(whole, int(made[count % len(made)]), directory)
        before = records_of(directory)
        sent = before[before["kind"] >= NEW]
        venue.send(int(np.ascontiguousarray(sent).ctypes.data), len(sent)) if len(sent) else None
    child = os.fork()
    if child == 0:
        try:
            if label.startswith("resume"):
                arm(label)
                Session.resume(directory, segment_bytes=2 << 20, sync_interval_s=None)
            else:
                session = begun(directory)
                arm(label, count)
                trade(session, venue, 4 * TURNS, True)  # it dies long before that
        finally:
            os._exit(3)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, f"{label} was not reached {count} times"
    return venue


def killed_and_settled(label: str, count: int, directory: Path, whole: np.ndarray) -> None:
    venue = kill_at(label, count, directory, whole)
    found = recover(directory)
    assert found.difference is None and found.state_hash == replay(directory).state_hash
    session = Session.resume(directory, segment_bytes=2 << 20, sync_interval_s=None)
    assert session.waiting == len(found.unsent)
    settled(session, venue, directory)


@pytest.mark.parametrize("label", CRASH_POINTS)
def test_a_session_killed_at_a_label_ends_up_as_the_venue_says(label: str, tmp_path: Path, whole: np.ndarray) -> None:
    for count in (1,) if INTERPRET else (1, 4):
        killed_and_settled(label, count, tmp_path / str(count), whole)


@pytest.mark.nightly
@pytest.mark.parametrize("label", CRASH_POINTS)
def test_a_session_killed_at_a_label_twenty_times(label: str, tmp_path: Path, whole: np.ndarray) -> None:
    for count in range(1, 9 if label.startswith("snapshot") else 21):
        killed_and_settled(label, count, tmp_path / str(count), whole)


def test_cut_between_any_two_records_the_rest_of_the_step_waits_to_be_sent(tmp_path: Path, whole: np.ndarray) -> None:
    """The instants inside the kernel: after each append, and before each."""
    commands = whole["kind"] >= NEW
    ends = range(len(whole) - (20 if INTERPRET else 30), len(whole))
    for end in ends:
        directory = cut_journal(whole, end, tmp_path / str(end))
        found = recover(directory)
        following = end
        while following < len(whole) and commands[following]:
            following += 1
        assert found.unsent.tobytes() == whole[end:following].tobytes()
        session = Session.resume(directory, segment_bytes=2 << 20, sync_interval_s=None)
        assert session.commands().tobytes() == whole[end:following].tobytes()
        assert records_of(directory).tobytes() == whole[:following].tobytes()
        session.close(ended=False)


def test_a_label_is_armed_from_the_environment_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    script = (
        "from nanotick.core.crash_points import crash_point\n"
        "crash_point('snapshot.written'); print('once', flush=True)\n"
        "crash_point('new.sent'); crash_point('snapshot.written'); print('twice')"
    )
    environment = {**os.environ, VARIABLE: "snapshot.written=2"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL and done.stdout == "once\n"
    with pytest.raises(ValueError, match=r"snapshot\.written.*found 'nowhere'"):
        arm("nowhere")
