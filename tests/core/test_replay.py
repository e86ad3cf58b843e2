"""The same journal gives the same state and the same commands: live, replayed, from a snapshot; compiled, interpreted;
whatever the hash seed."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nanotick.core.arena import Arena
from nanotick.core.journal import Journal, journal_append
from nanotick.core.journal_reader import JournalReader, journal_digest
from nanotick.core.kernel import kernel
from nanotick.core.memory import load_i64, mul_div, mul_wrap, record_at, shift_right, store_i64
from nanotick.core.mode import INTERPRET
from nanotick.core.records import COMMAND, EVENT, Kind, command_at, event_at
from nanotick.core.snapshot import SnapshotStore

LEVELS = 64
TOY = np.dtype(
    [
        ("position", "<i8"),
        ("ema", "<f8"),
        ("used", "<i8"),
        ("last_price", "<i8"),
        ("sent", "<i8"),
        ("levels_address", "<i8"),
        ("command", "<i8", (8,)),
    ]
)
toy_at = record_at(TOY, "Toy")
_TRADE, _NEW = int(Kind.TRADE), int(Kind.NEW)


@kernel
def toy_step(toy_address, event_address):
    """A step as small as one can be: a float feature, integer money, a pool that grows, now and then a command."""
    toy = toy_at(toy_address)
    event = event_at(event_address)
    if event.kind != _TRADE:
        return 0
    toy.ema = 0.9 * toy.ema + 0.1 * event.price
    toy.last_price = event.price
    toy.position += event.side * mul_div(event.qty, event.price, 1000)
    level = shift_right(mul_wrap(event.price, -7046029254386353131), 58)
    while toy.used <= level:
        toy.used += 1
    at = toy.levels_address + 8 * level
    store_i64(at, load_i64(at) + event.qty)
    if event.price > toy.ema and load_i64(at) % 3 == 0:
        toy.sent += 1
        command = command_at(toy_address + 48)
        command.kind = _NEW
        command.price = event.price
        command.qty = event.qty
        command.id = toy.sent
        command.instrument = event.instrument
        return toy_address + 48
    return 0


@kernel("i8(i8,i8,i8,i8)")
def run_live(toy_address, journal_address, events_address, count):
    """Journal each event, step, journal its command before it could be sent."""
    for i in range(count):
        event = events_address + 64 * i
        if journal_append(journal_address, event) <= 0:
            return i
        command = toy_step(toy_address, event)
        if command != 0 and journal_append(journal_address, command) <= 0:
            return -1
    return count


@kernel("i8(i8,i8,i8,i8)")
def run_replay(toy_address, records_address, count, out_address):
    """Step through a journal's records; commands go out one after the other, gives how many."""
    commands = 0
    for i in range(count):
        record = records_address + 64 * i
        if event_at(record).kind >= 128:
            continue
        command = toy_step(toy_address, record)
        if command != 0:
            for k in range(8):
                store_i64(out_address + 64 * commands + 8 * k, load_i64(command + 8 * k))
            commands += 1
    return commands


def build() -> tuple[Arena, int]:
    arena = Arena(1 << 20)
    toy = arena.region("toy", TOY, 1)
    levels = arena.region("levels", "<i8", LEVELS, counter=toy.address + 16)
    toy.view["levels_address"] = levels.address
    return arena, toy.address


def market(seed: int, count: int) -> np.ndarray:
    choose = random.Random(seed)
    events = np.zeros(count, EVENT)
    for event in events:
        event["kind"] = choose.choice([Kind.TRADE, Kind.TRADE, Kind.QUOTE])
        event["price"] = choose.randrange(9_000, 11_000)
        event["qty"] = choose.randrange(1, 2**40)
        event["side"] = choose.choice([-1, 1])
    return events


def replay(arena: Arena, toy: int, directory: Path, start: int) -> bytes:
    """Commands given by stepping through the journal from a sequence number on."""
    reader = JournalReader(directory, start)
    found = b""
    for records in reader.batches(1000):
        out = np.zeros(len(records), COMMAND)
        count = run_replay(toy, int(records.ctypes.data), len(records), int(out.ctypes.data))
        found += out[:count].tobytes()
    reader.close()
    return found


def live(directory: Path, seed: int, count: int) -> dict[str, str]:
    """Run live, then replay the journal from the start and from each snapshot; what all of them came to."""
    events = market(seed, count)
    arena, toy = build()
    store = SnapshotStore(directory / "snapshots", keep=100)
    snapshots = sorted(random.Random(seed + 1).sample(range(count), 3))
    with Journal(directory / "journal", segment_bytes=1 << 20, sync_interval_s=None) as journal:
        for first, last in zip([0, *snapshots], [*snapshots, count], strict=True):
            data = events[first:last].copy()
            assert run_live(toy, journal.address, int(data.ctypes.data), len(data)) == len(data)
            if last < count:
                store.save(arena, journal.next_sequence - 1, journal.sync())
    state = arena.digest().hex()
    everything = np.concatenate(list(JournalReader(directory / "journal").batches()))
    commands = everything[everything["kind"] >= 128].tobytes()
    assert commands, "a run without commands proves nothing"
    again, toy_again = build()
    assert replay(again, toy_again, directory / "journal", 1) == commands
    assert again.digest().hex() == state
    for path in store.paths():
        restored, toy_restored = build()
        restored.restore(path)
        tail = replay(restored, toy_restored, directory / "journal", int(path.stem) + 1)
        assert commands.endswith(tail) and restored.digest().hex() == state
    return {"state": state, "journal": journal_digest(directory / "journal")}


def test_live_replay_and_snapshot_plus_tail_agree_on_two_hundred_logs(make_shm_path) -> None:
    for seed in range(20 if INTERPRET else 200):
        live(make_shm_path(), seed, 120)


@pytest.mark.nightly
def test_ten_thousand_logs_agree(make_shm_path) -> None:
    for seed in range(10_000):
        live(make_shm_path(), seed, 120)


@pytest.mark.skipif(INTERPRET, reason="the compiled run starts the interpreted ones")
def test_hash_seeds_and_interpretation_change_nothing(make_shm_path) -> None:
    expected = live(make_shm_path(), 77, 2000)
    for seed, interpret in (("0", "1"), ("1", "0"), ("random", "1")):
        program = (
            "import json, pathlib, sys; from tests.core.test_replay import live; "
            f"print(json.dumps(live(pathlib.Path({str(make_shm_path())!r}), 77, 2000)))"
        )
        run = subprocess.run(
            [sys.executable, "-c", program],
            env={
                **os.environ,
                "PYTHONHASHSEED": seed,
                "NANOTICK_INTERPRET": interpret,
                "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *(p for p in sys.path if p)]),
            },
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
        assert json.loads(run.stdout) == expected
