"""The engine's loop on its thread, without a network: the same as a session stepped here, held at any moment."""

import random
import time

import numpy as np
import pytest

from nanotick.core.arena import Arena
from nanotick.core.journal_reader import JournalReader
from nanotick.core.records import BOTH_SIDES, COMMAND, EVENT, ControlAction, Flag, Kind
from nanotick.core.ring import Ring
from nanotick.engine.session_replay import replay
from nanotick.venues.cores import Cores, cores_from, planned
from nanotick.venues.feed_process import RingOut
from nanotick.venues.pinned_loop import EngineLoop
from tests.patience import wait_until
from tests.venues.hosts import START, ScriptedHost
from tests.venues.trading import MID, Engine, Scribbler


def quotes(count, seed=1):
    draw = random.Random(seed)
    rows = np.zeros(count, EVENT)
    rows["kind"], rows["flags"] = int(Kind.QUOTE), int(BOTH_SIDES | Flag.LAST)
    for number, row in enumerate(rows):
        mid = MID + draw.randint(-20, 20)
        row["ts_venue"] = row["ts_recv"] = START + number
        row["price"], row["id"], row["qty"], row["word"] = mid - 1, mid + 1, 1000, 1000
        row["instrument"] = draw.randint(0, 1)
    return rows


def engine(path):
    made = Engine(Scribbler(most=100_000), ScriptedHost(), path)
    made.session.start(START)
    return made


class Pinned:
    """A loop over the rings of an engine, at a time that stands still."""

    def __init__(self, engine, feeds=1, commands=1 << 12):
        self.arena = Arena(32 << 20)
        self.rings = [Ring.create(self.arena, f"ring{n}", 1 << 12) for n in range(feeds + 1)]
        self.commands = Ring.create(self.arena, "commands", commands)
        self.loop = EngineLoop(engine.session, self.rings, self.commands, spin=False, patience_s=120.0)
        self.loop.start(START - time.monotonic_ns() - 3_600_000_000_000)  # an hour ago: nothing is due by itself

    def until(self, condition):
        wait_until(condition, lambda: time.sleep(0.001))


def records(path):
    rows = np.concatenate(list(JournalReader(path).batches()))
    return rows[rows["kind"] != int(Kind.SESSION)].tobytes()


def test_the_loop_decides_as_a_session_stepped_here_however_often_it_is_held(tmp_path):
    events = quotes(4000)
    inline, pinned = engine(tmp_path / "inline"), engine(tmp_path / "pinned")
    sent = []
    for row in events.copy().reshape(-1, 1):
        inline.session.take_array(row)
        sent.append(inline.session.commands().tobytes())
        inline.session.row["gateway_count"] = 0
        inline.session.drain()
    made = Pinned(pinned)
    draw, first, got = random.Random(2), 0, []
    while first < len(events):
        first += made.rings[1].push(events[first : first + draw.randint(1, 200)])
        if draw.random() < 0.5:
            made.loop.hold()
            taken = made.loop.taken
            pinned.session.drain()
            assert made.loop.taken == taken
            made.loop.release()
        got.append(made.commands.pop().tobytes())
    made.until(lambda: made.loop.taken == len(events))
    made.until(lambda: got.append(made.commands.pop().tobytes()) or not len(made.commands))
    made.loop.end()
    assert b"".join(got) == b"".join(sent) and len(b"".join(sent)) > 64 * 100
    for each in (inline, pinned):
        each.session.close()
    assert records(tmp_path / "inline") == records(tmp_path / "pinned")
    assert replay(tmp_path / "pinned").difference is None


def test_commands_without_room_in_their_ring_wait_in_order(tmp_path):
    events = quotes(3000, 3)
    there = engine(tmp_path / "journal")
    made = Pinned(there, commands=2)
    assert made.rings[1].push(events) == len(events)
    made.until(lambda: there.session.waiting > 50 or made.loop.taken == len(events))
    assert len(made.commands) == 2 and there.session.waiting > 50
    got = []
    made.until(lambda: got.extend(made.commands.pop(1).tolist()) or made.loop.taken == len(events))
    made.until(lambda: got.extend(made.commands.pop(1).tolist()) or not (len(made.commands) or there.session.waiting))
    made.loop.end()
    there.session.close()
    rows = np.concatenate(list(JournalReader(tmp_path / "journal").batches()))
    journaled = rows[rows["kind"] >= int(Kind.NEW)].view(COMMAND)
    assert np.array_equal(np.array(got, EVENT).view(COMMAND), journaled) and len(got) > 100


def test_reports_go_before_feeds_and_no_feed_starves_another(tmp_path):
    there = engine(tmp_path / "journal")
    made = Pinned(there, feeds=2)
    made.loop.hold()
    rows = quotes(3000)
    for n, ring in enumerate(made.rings):
        part = rows[1000 * n : 1000 * (n + 1)].copy()
        part["seq"] = n + 1
        assert ring.push(part) == 1000
    made.loop.release()
    made.until(lambda: made.loop.taken == 3000)
    made.loop.end()
    there.session.close()
    taken = np.concatenate(list(JournalReader(tmp_path / "journal").batches()))
    order = taken["seq"][taken["kind"] == int(Kind.QUOTE)]
    assert order[0] == 1
    assert all(set(order[i : i + 3 * 64].tolist()) == {1, 2, 3} for i in range(0, 2500, 64))


def test_a_held_engine_takes_nothing_and_a_kill_lands_between_two_events(tmp_path):
    there = engine(tmp_path / "journal")
    made = Pinned(there)
    made.loop.hold()
    assert made.rings[1].push(quotes(100)) == 100
    before = made.loop.taken
    time.sleep(0.05)
    assert made.loop.taken == before
    there.session.control(ControlAction.KILL, START)
    made.loop.release()
    made.until(lambda: made.loop.taken == before + 100)
    made.loop.end()
    there.session.close()
    rows = np.concatenate(list(JournalReader(tmp_path / "journal").batches()))
    assert not np.any(rows["kind"] == int(Kind.NEW))
    assert replay(tmp_path / "journal").difference is None


class _Feed:
    symbols = ("A", "B")
    current, successor = "talk", None

    def __init__(self, out):
        self.out, self.failed = out, []

    def tell_gap(self, symbols):
        rows = np.zeros(len(symbols), EVENT)
        rows["kind"], rows["instrument"] = int(Kind.GAP), range(len(symbols))
        self.out(int(rows.ctypes.data), len(rows))

    def fail(self, talk, reason):
        self.failed.append((talk, reason))


def test_what_finds_no_room_is_counted_and_made_good_by_a_gap_and_a_new_connection():
    host, ring = ScriptedHost(), Ring.create(Arena(1 << 20), "ring", 64)
    out = RingOut(host, ring)
    out.feed = feed = _Feed(out)
    rows = quotes(100)
    out(int(rows.ctypes.data), 50)
    out(int(rows[50:].ctypes.data), 20)
    assert (len(ring), out.dropped, out.full) == (64, 6, 1)
    ring.pop(10)
    out(int(rows[70:].ctypes.data), 5)  # there would be room: but the middle is missing
    assert (len(ring), out.dropped, out.full) == (54, 11, 1)
    host.run(1.0)
    assert not feed.failed
    assert ring.pop(40)["ts_venue"].tolist() == list(range(START + 10, START + 50))
    host.run(0.01)
    assert [talk for talk, _ in feed.failed] == ["talk"] and "11 records" in feed.failed[0][1]
    left = ring.pop()
    assert left["kind"][-2:].tolist() == [int(Kind.GAP)] * 2 and len(left) == 16
    out(int(rows.ctypes.data), 3)
    assert len(ring) == 3


def test_a_ring_of_a_dead_producer_is_as_new_after_a_reset():
    ring = Ring.create(Arena(1 << 20), "ring", 8)
    rows = quotes(8)
    ring.push(rows)
    ring.pop(3)
    ring._state.tail -= 1  # it died between the record and its counter
    ring.reset()
    assert len(ring) == 0 and len(ring.pop()) == 0
    assert ring.push(rows) == 8 and np.array_equal(ring.pop(), rows)


def test_cores_are_chosen_where_there_are_enough_and_said_where_not():
    assert planned({}, 2, range(8), [6, 7]) == (Cores((5, 4), 7, 6), [])
    assert planned({}, 1, range(4), []) == (Cores((1,), 3, 2), [])
    chosen, notes = planned({}, 1, range(2), [])
    assert chosen == Cores() and "want 4 cores, this process may use 2" in notes[0] and not chosen.alone
    chosen, notes = planned({"engine": (9,), "feeds": (1,)}, 1, range(2), [])
    assert chosen == Cores() and "processors 9 were asked for" in notes[0] and "0-1" in notes[0]
    chosen, notes = planned({"engine": (1,), "feeds": (0,), "gateway": (0,)}, 1, range(2), [])
    assert chosen == Cores((0,), 1, 0) and not chosen.alone and "share cores" in notes[0]
    chosen, notes = planned({"engine": (3,), "feeds": (1, 2), "gateway": (0,)}, 3, range(4), [])
    assert chosen.alone and not notes and [chosen.feed(n) for n in range(3)] == [1, 2, 1]


@pytest.mark.parametrize(
    "values", [{"engine": -1}, {"engine": [1, 2]}, {"feeds": []}, {"gateway": "x"}, {"feeds": True}]
)
def test_cores_that_are_none_are_refused_by_name(values):
    with pytest.raises(ValueError, match=rf"cores\.{next(iter(values))}: expected a processor's number"):
        cores_from(values, "cores")


def test_cores_of_a_configuration():
    assert cores_from({"feeds": [1, 2], "engine": 3}, "cores") == {"feeds": (1, 2), "engine": (3,)}
