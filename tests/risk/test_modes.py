"""Compiled and interpreted, orders, portfolio and risk do the same to the last byte."""

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np

from nanotick.core.mode import INTERPRET
from nanotick.core.records import CommandFlag, Kind
from nanotick.core.snapshot import read_snapshot, write_snapshot
from nanotick.risk import RiskLimits
from tests.risk.desk import NOW, UPDATE, Desk

CANCEL, REPLACE = int(Kind.CANCEL), int(Kind.REPLACE_ORDER)
REPORTS = [k for k in Kind if 32 <= k <= 40 and k != Kind.FILL]


def make_desk() -> Desk:
    return Desk(RiskLimits(max_orders_per_second=20, max_messages_per_second=30, duplicate_window_s="0.02"))


def session(seed: int, count: int) -> str:
    """A random session at a desk; gives a hash of everything that was answered and of the state it left."""
    desk = make_desk()
    answers = play(desk, random.Random(seed), NOW, [], count)[0]
    assert len(np.unique(answers[::2])) > 8
    return f"{hash(tuple(int(a) for a in answers))} {desk.arena.digest().hex()}"


def play(desk: Desk, rng: random.Random, now: int, ids: list[int], count: int) -> tuple[list[int], int]:
    """Go on for `count` random acts; gives the answers and the time after the last."""
    answers: list[int] = []
    for _ in range(count):
        now += rng.randrange(40_000_000)
        desk.stage.tape.view["book_ts"] = now - rng.randrange(1_100_000_000)
        price = rng.choice([9_000, 9_990, 9_995, 10_000, 10_005, 10_010, 10_400, 600_000])
        qty = rng.choice([-1, 1, 2, 10, 20, 100, 1_000, 1 << 62])
        number = rng.randrange(5)
        what = rng.randrange(10)
        if what < 4 or not ids:
            flags = rng.choice([0, 0, 0, int(CommandFlag.POST_ONLY), int(CommandFlag.REDUCE_ONLY)])
            answers.append(
                desk.order(
                    rng.choice([1, -1]), qty, price, number, rng.randrange(2), now, rng.randrange(4),
                    tif=rng.randrange(3), flags=flags, stop_price=rng.choice([0, 0, 10_000]),
                )
            )  # fmt: skip
            ids.append(desk.last_id)
        elif what == 4:
            answers.append(desk.do(CANCEL, now, id=rng.choice(ids)))
        elif what == 5:
            answers.append(desk.do(REPLACE, now, id=rng.choice(ids), price=price, qty=qty))
        elif what == 6:
            answers.append(desk.do(UPDATE, now))
        elif what == 7:
            order_id = rng.choice(ids)
            order = desk.orders.orders.view[order_id & 0xFFFFF]
            sure = order["id"] == order_id and order["released"] and order["state"] < 7 and abs(qty) < 1 << 40
            if sure and order["instrument"] < 4:
                desk.fill(abs(qty), abs(price), int(order["instrument"]), order_id, seq=now, fee=rng.randrange(-5, 9))
        else:
            desk.do(
                int(rng.choice(REPORTS)), now, id=rng.choice(ids), qty=abs(qty) >> rng.randrange(9), price=price,
                instrument=number, ts_venue=now, seq=now, ts_recv=now, flags=rng.randrange(4), word=rng.randrange(4),
            )  # fmt: skip
        answers.append(int(desk.root["found"]) ^ int(desk.root["limit"]))
    return answers, now


def sessions() -> list[str]:
    return [session(seed, 400) for seed in range(6)]


def test_the_other_mode_leaves_the_same_state():
    repository = Path(__file__).resolve().parents[2]
    environment = {
        **os.environ,
        "NANOTICK_INTERPRET": "" if INTERPRET else "1",
        "PYTHONPATH": os.pathsep.join([str(repository / "src"), str(repository)]),
        "PYTHONHASHSEED": "1",
    }
    script = "from tests.risk.test_modes import sessions\nprint(*sessions(), sep=chr(10))"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, cwd=repository, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == sessions()


def test_a_desk_restored_from_a_snapshot_goes_on_as_the_original(tmp_path):
    original, restored = make_desk(), make_desk()
    rng = random.Random(3)
    ids: list[int] = []
    _, now = play(original, rng, NOW, ids, 300)
    write_snapshot(original.arena, tmp_path / "state", 17)
    assert read_snapshot(restored.arena, tmp_path / "state") == 17
    state = rng.getstate()
    first = play(original, rng, now, list(ids), 300)
    rng.setstate(state)
    assert play(restored, rng, now, list(ids), 300) == first
    assert restored.arena.digest() == original.arena.digest()
