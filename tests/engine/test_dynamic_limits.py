"""Limits that follow what happens, through the whole step: they tighten, trip, tell, cancel, replay."""

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.mode import INTERPRET
from nanotick.core.records import CancelReason, ControlAction, Flag, KillReason, Kind, RejectReason
from nanotick.engine.risk_status import risk_status
from nanotick.engine.session_replay import replay, restore_at
from nanotick.risk import DynamicLimits, RiskCheck, RiskLimits
from nanotick.risk.dynamic import VOLATILITY_UNIT, decay_ppm, interval_volatility
from nanotick.risk.records import PPM, UNLIMITED
from nanotick.risk.watch import integer_root
from tests.engine.desk import PRICE, SECOND, Driver, commands_of

BUY, SELL = (101, 100), (100, 101)  # sizes that make the sender trade


def dynamic(**some: Any) -> RiskLimits:
    """No static limit but the drawdown, and these dynamic ones."""
    words = dict.fromkeys(RiskLimits.__dataclass_fields__, "unlimited")
    words |= {"self_trade": "allow", "crossed_book": "allow"}
    static = {name: some.pop(name) for name in list(some) if name in words}
    return RiskLimits(**{**words, **static, "dynamic": DynamicLimits(**some)})


def desk_with(**some: Any) -> Driver:
    desk = Driver(limits=dynamic(**some))
    desk.session.start(desk.now)
    desk.quote()
    return desk


def events(desk: Driver) -> list[tuple[int, int, int]]:
    """What risk has told since the last look: check, found, limit."""
    records = desk.session.drain()[0]
    desk.session._record.gateway_count = 0
    risks = records[records["kind"] == int(Kind.RISK)]
    return [(int(r["word"]), int(r["price"]), int(r["qty"])) for r in risks]


def later(desk: Driver, seconds: float) -> None:
    """Time passes: samples are taken."""
    desk.now += int(seconds * SECOND)
    desk.session.due(desk.now)


# --- how they are given -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DynamicLimits.__dataclass_fields__)
def test_a_dynamic_limit_that_makes_no_sense_is_named(name: str) -> None:
    for wrong in (None, "-1", "NaN", float("nan"), "many"):
        with pytest.raises(ValueError, match=f"dynamic.{name}"):
            Driver(limits=RiskLimits(dynamic=DynamicLimits(**{name: wrong})))


def test_they_come_from_a_mapping_too_and_others_cannot_be_set_later() -> None:
    limits = RiskLimits(dynamic={"max_rejects": 5})
    assert limits.dynamic == DynamicLimits(max_rejects=5)
    with pytest.raises(ValueError, match=r"dynamic\.rejects: there is none"):
        RiskLimits(dynamic={"rejects": 5})
    with pytest.raises(ValueError, match="expected a mapping"):
        RiskLimits(dynamic=5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="volatility_interval_s"):
        DynamicLimits(volatility_interval_s=0).scaled()
    with pytest.raises(ValueError, match="min_scale_share: expected at most 1"):
        DynamicLimits(min_scale_share="1.5").scaled()
    desk = desk_with(max_rejects=5)
    with pytest.raises(ValueError, match="set when a run starts"):
        desk.local.risk.set_limits(0, RiskLimits())


# --- tightening -------------------------------------------------------------------------------------------------------


def test_volatility_is_the_root_of_the_weighted_mean_of_squared_returns() -> None:
    desk = desk_with(target_volatility_share="0.02", volatility_half_life_s=10)
    rng = np.random.default_rng(2)
    later(desk, 1.5)
    market = desk.local.arena["risk.watch.markets"].view[0]
    variance, before = 0.0, 10_000.0
    weight = 1 - 2 ** (-0.1)
    for _ in range(60):
        price = int(10_000 + rng.integers(-80, 80))
        desk.quote(price - 1, price + 1)
        later(desk, 1)
        variance += weight * (((price - before) / before * 1e6) ** 2 - variance)
        before = price
        assert math.isclose(int(market["volatility"]) / VOLATILITY_UNIT, math.sqrt(variance), rel_tol=1e-3)
    target = 0.02 / math.sqrt(86_400) * 1e6
    scale = max(0.1, min(1, target / math.sqrt(variance)))
    tightened = int(desk.local.risk.pairs.view[0]["tightened"])
    assert math.isclose(1 - tightened / PPM, scale, rel_tol=2e-3) and 0 < tightened < PPM


@given(st.integers(0, (1 << 62) - 1))
def test_the_integer_root_is_exact(value: int) -> None:
    assert integer_root(value) == math.isqrt(value)


def test_units_of_volatility_and_decay() -> None:
    assert interval_volatility(UNLIMITED, SECOND) == UNLIMITED
    assert interval_volatility(20_000, 86_400 * SECOND) == 20_000 * VOLATILITY_UNIT
    assert interval_volatility(20_000, SECOND) == int(20_000 * VOLATILITY_UNIT / math.sqrt(86_400))
    assert (decay_ppm(SECOND, SECOND), decay_ppm(10 * SECOND, SECOND)) == (500_000, 999_023)


def test_limits_shrink_in_a_drawdown_from_its_start_to_the_breaker_and_grow_back_never_above_what_was_given() -> None:
    desk = desk_with(drawdown_start_share="0.02", max_drawdown_share="0.10", max_order_qty=100, min_scale_share="0.2")
    desk.event(Kind.HOLDING, id=0, instrument=1, qty=100_000, price=PRICE, flags=1)
    desk.quote(instrument=1)
    equity = 50_000
    # mid at which the strategy has lost so much, and the scale in ppm
    for lost, scale in ((0, PPM), (1_000, PPM), (3_000, 500_000), (4_200, 200_000), (4_900, 200_000), (0, PPM)):
        price = PRICE - lost // 1_000
        desk.quote(price - 1, price + 1, instrument=1)
        later(desk, 1)
        share = (PRICE - price) * 1_000 / equity
        expected = min(1.0, max(0.2, (0.10 - share) / 0.08))
        tightened = int(desk.local.risk.pairs.view[0]["tightened"])
        assert tightened == PPM - int(expected * PPM) or abs(PPM - tightened - expected * PPM) < 3, (lost, scale)
    assert tightened == 0


def test_what_is_tightened_is_held_to_and_reducing_orders_are_not() -> None:
    desk = desk_with(max_order_qty=10, max_position_qty=20, max_order_value=1_000, target_volatility_share="0.01")
    pairs = desk.local.risk.pairs.view
    assert commands_of(desk.quote(sizes=BUY), Kind.NEW)
    for by, refused in ((1, RiskCheck.MAX_ORDER_QTY), (0, None)):
        pairs["tightened"] = by
        events(desk)
        made = commands_of(desk.quote(9_900, 10_100, sizes=BUY), Kind.NEW)
        told = events(desk)
        assert [t[0] for t in told] == ([] if refused is None else [int(refused)])
        assert bool(made) == (refused is None)
    desk = desk_with(max_order_qty=100, max_position_qty=10, target_volatility_share="0.01")
    desk.local.risk.pairs.view["tightened"] = 1
    assert not commands_of(desk.quote(sizes=BUY), Kind.NEW)
    assert events(desk)[0] == (int(RiskCheck.POSITION_QTY), 10, 9)


# --- what trips -------------------------------------------------------------------------------------------------------


def test_too_many_refusals_and_rejections_trip_within_the_window_and_cancel() -> None:
    desk = desk_with(max_rejects=3, reject_window_s=10, max_order_qty=10)
    desk.adopt(5, strategy=0, price=9_000)
    ids = [commands_of(desk.quote(sizes=BUY), Kind.NEW)[0] for _ in range(2)]
    for order_id in ids:
        desk.event(Kind.REJECTED, id=order_id, word=int(RejectReason.OTHER))
    desk.local.risk.pairs.view["max_order_qty"] = 5
    events(desk)
    desk.now += 9 * SECOND
    desk.quote(sizes=BUY)
    assert [e[0] for e in events(desk)] == [RiskCheck.MAX_ORDER_QTY]
    made = desk.quote(sizes=BUY)  # the fourth within ten seconds
    assert events(desk) == [(RiskCheck.MAX_ORDER_QTY, 10, 5), *[(RiskCheck.REJECT_RATE, 4, 3)] * 2]  # strategy, account
    assert commands_of(made, Kind.CANCEL) == [desk.local.orders.adopted(5)]
    desk.local.risk.pairs.view["max_order_qty"] = 100
    assert not commands_of(desk.quote(sizes=BUY), Kind.NEW)
    assert [e[0] for e in events(desk)] == [RiskCheck.REJECT_RATE]
    desk.session.control(ControlAction.RESUME, desk.now)
    assert commands_of(desk.quote(sizes=BUY), Kind.NEW)


def test_rejections_further_apart_than_the_window_trip_nothing() -> None:
    desk = desk_with(max_rejects=2, reject_window_s=10, max_order_qty=5)
    for _ in range(8):
        desk.quote(sizes=BUY)
        desk.now += 5 * SECOND
    assert {e[0] for e in events(desk)} == {RiskCheck.MAX_ORDER_QTY}


def fill(desk: Driver, key: int, side: int, price: int, qty: int = 10) -> None:
    desk.adopt(key, side=side, qty=qty, price=price, strategy=0)
    desk.event(Kind.FILL, id=desk.local.orders.adopted(key), side=side, qty=qty, price=price)


def test_losing_fills_in_a_row_trip_and_a_winning_one_ends_the_row() -> None:
    desk = desk_with(max_losing_fills=2)
    key = 0
    for prices in ((10_000, 9_990), (10_000, 9_990), (10_000, 10_010), (10_000, 9_990), (10_000, 9_990)):
        for side, price in zip((1, -1), prices, strict=True):
            key += 1
            fill(desk, key, side, price)
    assert not events(desk)
    fill(desk, 90, 1, 10_000)
    fill(desk, 91, -1, 9_990)
    assert events(desk) == [(RiskCheck.LOSING_FILLS, 3, 2), (RiskCheck.LOSING_FILLS, 3, 2)]  # strategy and account


def test_too_many_messages_for_each_fill_trip_once_there_are_enough_to_judge() -> None:
    desk = desk_with(max_messages_per_fill=4, ratio_messages=10)
    fill(desk, 1, 1, 10_000)
    fill(desk, 2, 1, 10_000)
    for n in range(9):
        desk.quote(9_990 - n, 10_010, sizes=BUY)
    later(desk, 1)
    assert not events(desk)
    desk.quote(9_900, 10_010, sizes=BUY)
    later(desk, 1)
    told = events(desk)
    assert (RiskCheck.ORDER_TO_FILL, 5, 4) in told and told[0][0] == RiskCheck.ORDER_TO_FILL
    desk = desk_with(max_messages_per_fill=20, ratio_messages=2)
    for n in range(8):
        desk.quote(9_990 - n, 10_010, sizes=BUY)
    later(desk, 1)
    assert not events(desk)


def test_a_strategy_that_repeats_itself_is_off_until_a_person_turns_it_on() -> None:
    desk = desk_with(max_repeats=3, repeat_window_s=10)
    made = [commands_of(desk.quote(sizes=BUY), Kind.NEW) for _ in range(4)]
    assert all(made) and not events(desk)
    stopped = desk.quote(sizes=BUY)
    assert commands_of(stopped, Kind.NEW) == [] and len(commands_of(stopped, Kind.CANCEL)) == 4
    assert events(desk) == [(RiskCheck.REPEATED, 4, 3), (RiskCheck.REPEATED, 4, 3)]
    assert desk.local.risk.guards.view["paused"].tolist() == [1, 0, 0]
    assert not len(desk.quote(sizes=BUY))
    desk.session.control(ControlAction.RESUME_STRATEGY, desk.now, 0)
    assert commands_of(desk.quote(sizes=BUY), Kind.NEW)


def test_orders_that_differ_or_lie_apart_repeat_nothing() -> None:
    desk = desk_with(max_repeats=1, repeat_window_s=1)
    for n in range(12):
        desk.quote(9_990 + n % 2, 10_010, sizes=BUY)
    for _ in range(6):
        desk.now += 2 * SECOND
        desk.quote(sizes=BUY)
    for _ in range(2):  # the other side counts for itself
        desk.quote(9_000, 10_010, sizes=(101, 101))
    assert not events(desk)
    desk.quote(9_000, 10_010, sizes=(101, 101))
    assert RiskCheck.REPEATED in {e[0] for e in events(desk)}


def test_a_jump_cancels_there_and_pauses_new_risk_there_alone() -> None:
    desk = desk_with(max_price_move_share="0.01", price_move_window_s=8, price_move_pause_s=60)
    desk.quote(instrument=1)
    desk.adopt(3, price=9_000, strategy=0)
    desk.adopt(4, price=9_000, strategy=1, instrument=1)
    for price in (10_040, 10_080, 10_100):
        desk.now += SECOND
        desk.quote(price - 1, price + 1)
    assert not events(desk)
    made = desk.quote(10_100, 10_102)  # 10,101 is more than 1 % above 10,000
    assert events(desk) == [(RiskCheck.PRICE_MOVE, 10_100, 10_000)]
    assert commands_of(made, Kind.CANCEL) == [desk.local.orders.adopted(3)]
    assert not commands_of(desk.quote(10_100, 10_102, sizes=BUY), Kind.NEW)
    check, left, pause = events(desk)[0]
    assert (check, pause) == (RiskCheck.MOVE_PAUSE, 60 * SECOND) and 59 * SECOND < left <= 60 * SECOND
    assert commands_of(desk.quote(9_995, 10_005, instrument=1, sizes=BUY), Kind.NEW)
    desk.now += 60 * SECOND
    assert commands_of(desk.quote(10_100, 10_102, sizes=BUY), Kind.NEW)


def test_a_slow_move_is_no_jump() -> None:
    desk = desk_with(max_price_move_share="0.01", price_move_window_s=8)
    for n in range(60):
        desk.now += 2 * SECOND
        desk.quote(10_000 + 20 * n, 10_002 + 20 * n)
    assert not events(desk)


def test_a_book_that_is_rebuilt_is_no_jump() -> None:
    desk = desk_with(max_price_move_share="0.01", target_volatility_share="0.02")
    desk.event(Kind.TRADE, price=5_000, qty=1, side=1)  # long ago, far away
    desk.quote()
    later(desk, 2)
    for flags in (int(Flag.LAST), 0):
        desk.event(Kind.CLEAR, flags=flags)
        desk.event(Kind.LEVEL, price=9_000, qty=5, side=1, flags=0)
        desk.event(Kind.LEVEL, price=10_001, qty=5, side=-1, flags=0)
        later(desk, 1)
        desk.event(Kind.LEVEL, price=9_999, qty=5, side=1, flags=int(Flag.LAST))
        later(desk, 1)
    for price in (9_000, 9_999):
        desk.event(Kind.LEVEL, price=price, qty=0, side=1, flags=int(Flag.LAST))  # one side alone
    desk.event(Kind.TRADE, price=8_000, qty=1, side=-1)
    desk.event(Kind.GAP, seq=5, word=3, flags=int(Flag.LAST))
    desk.event(Kind.LEVEL, price=9_000, qty=5, side=-1, flags=int(Flag.LAST))
    assert not events(desk)


def test_trades_alone_make_a_price_too() -> None:
    desk = desk_with(max_price_move_share="0.01")
    desk.event(Kind.TRADE, price=PRICE, qty=1, side=1, instrument=1)
    desk.event(Kind.TRADE, price=10_105, qty=1, side=1, instrument=1)
    assert events(desk) == [(RiskCheck.PRICE_MOVE, 10_500, 10_000)]


def test_silence_of_an_instrument_cancels_its_orders_once_until_it_speaks_again() -> None:
    desk = desk_with(max_silence_s=2)
    desk.quote(instrument=1)
    desk.adopt(3, price=9_000, strategy=0)
    desk.adopt(4, price=9_000, strategy=1, instrument=1)
    later(desk, 1.5)
    desk.quote(instrument=1)
    later(desk, 1.5)
    made = desk.session.commands()
    assert commands_of(made, Kind.CANCEL) == [desk.local.orders.adopted(3)]
    assert [e[0] for e in events(desk)] == [RiskCheck.FEED_SILENCE]
    desk.quote(instrument=1)
    later(desk, 1)
    assert not events(desk)
    desk.event(Kind.CANCELLED, id=desk.local.orders.adopted(3), qty=50, word=int(CancelReason.USER))
    desk.quote()
    desk.adopt(6, price=9_000, strategy=0)
    for _ in range(3):
        later(desk, 1)
        desk.quote(instrument=1)
    assert [e[0] for e in events(desk)] == [RiskCheck.FEED_SILENCE]


def test_when_nothing_is_heard_any_more_everything_is_killed() -> None:
    desk = desk_with(max_feed_silence_s=3)
    later(desk, 10)
    assert not events(desk)  # no order is open: nothing to protect
    desk.quote()
    desk.adopt(3, price=9_000)
    later(desk, 2)
    assert not events(desk)
    later(desk, 2)
    assert commands_of(desk.session.commands(), Kind.CANCEL) == [desk.local.orders.adopted(3)]
    assert [e[0] for e in events(desk)] == [RiskCheck.FEED_LOST]
    assert int(desk.local.arena["risk.root"].view[0]["killed"]) == KillReason.LOST_FEED
    desk.quote(sizes=BUY)
    assert [e[0] for e in events(desk)] == [RiskCheck.KILL_SWITCH]


# --- what is shown, and that it repeats -------------------------------------------------------------------------------


def test_the_score_is_the_largest_utilisation() -> None:
    desk = Driver(limits=RiskLimits(max_open_orders=10, dynamic=DynamicLimits(max_rejects=8)))
    desk.session.start(desk.now)
    desk.quote()
    status = risk_status(desk.local, desk.now)
    assert (status["score"], status["killed"]) == (0, "") and len(status["rows"]) == 3
    for key in range(1, 4):
        desk.adopt(key, qty=1, strategy=0)
    own, other, account = risk_status(desk.local, desk.now)["rows"]
    assert own["utilisation"]["open_orders"] == account["utilisation"]["open_orders"] == 0.3
    assert (own["score"], own["tightest"], other["score"]) == (30, "open_orders", 0)
    desk.event(Kind.HOLDING, id=1, instrument=0, qty=-50, price=PRICE)
    other = risk_status(desk.local, desk.now)["rows"][1]
    assert other["tightest"] == "position" and other["score"] == 56  # 5,000 of a fifth of 45,000
    desk.session.control(ControlAction.PAUSE_STRATEGY, desk.now, 1)
    assert risk_status(desk.local, desk.now)["rows"][1]["score"] == 100
    desk.session.control(ControlAction.KILL, desk.now, reason=int(KillReason.KEY))
    status = risk_status(desk.local, desk.now)
    assert (status["score"], status["killed"]) == (100, "key")
    assert status["instruments"][0]["scale_ppm"] == PPM


def random_session(desk: Driver, seed: int, turns: int) -> set[int]:
    """Quotes that walk and jump, orders, fills, rejections, operators; time passes unevenly. Gives what risk told."""
    told: set[int] = set()
    rng = np.random.default_rng(seed)
    price, key = 10_000, 0
    desk.session.start(desk.now)
    for _ in range(turns):
        price += int(rng.integers(2)) * int(rng.integers(-15, 16))
        price += int(rng.integers(-300, 300)) if rng.random() < 0.02 else 0
        desk.now += int(rng.integers(1, SECOND // 2))
        what = int(rng.integers(8))
        commands = desk.session.commands().copy()
        if what < 4:
            desk.quote(price - 1, price + 1, (100 + int(rng.integers(2)), 100 + int(rng.integers(2))))
        elif what == 4:
            key += 1
            desk.adopt(key, int(rng.choice([1, -1])), 10, price, int(rng.integers(2)))
        elif len(commands) and what < 7:
            command = commands[int(rng.integers(len(commands)))]
            kind = Kind.REJECTED if what == 5 else Kind.FILL
            more = {"side": int(command["side"]), "qty": int(command["qty"]), "price": price} if what == 6 else {}
            if command["kind"] == int(Kind.NEW):
                desk.event(kind, id=int(command["id"]), instrument=int(command["instrument"]), **more)
        elif rng.random() < 0.3:
            desk.session.control(ControlAction.RESUME, desk.now)
            desk.session.control(ControlAction.RESUME_STRATEGY, desk.now, 0)
        if desk.session.waiting > 2_000:
            desk.drop()
        records = desk.session.drain()[0]
        told |= set(records["word"][records["kind"] == int(Kind.RISK)].tolist())
    return told


EVERYTHING: dict[str, Any] = {
    "target_volatility_share": "0.05", "volatility_half_life_s": 5, "drawdown_start_share": "0.001",
    "max_drawdown_share": "0.01", "max_order_qty": 60, "min_scale_share": "0.2", "max_rejects": 6,
    "max_losing_fills": 1, "max_messages_per_fill": 2, "ratio_messages": 20, "max_repeats": 1,
    "max_price_move_share": "0.02", "price_move_pause_s": 3, "max_silence_s": 3, "max_feed_silence_s": 20,
}  # fmt: skip


def test_sessions_with_everything_on_replay_and_go_on_from_snapshots(tmp_path: Path) -> None:
    told: set[int] = set()
    for seed in range(2 if INTERPRET else 6):
        directory = tmp_path / str(seed)
        desk = Driver(directory, dynamic(**EVERYTHING))
        told |= random_session(desk, seed, 150)
        desk.drop()
        path = desk.session.snapshot()
        told |= random_session(desk, seed + 100, 100)
        state = desk.digest()
        desk.session.close()
        found = replay(directory)
        assert found.difference is None and found.state_hash == state
        assert restore_at(directory, path).state_hash == state
    assert len(told & set(range(RiskCheck.REJECT_RATE, RiskCheck.MOVE_PAUSE + 1))) >= (4 if INTERPRET else 5)


@given(st.integers(0, 10_000))
def test_limits_are_never_loosened(seed: int) -> None:
    desk = Driver(limits=dynamic(**EVERYTHING))
    for part in range(3):
        random_session(desk, seed * 3 + part, 15)
        tightened = desk.local.risk.pairs.view["tightened"]
        assert np.all((tightened >= 0) & (tightened <= PPM * 8 // 10))


def fixed_sessions() -> list[str]:
    """State hashes of the same sessions in every process."""
    made = []
    for seed in range(3):
        desk = Driver(limits=dynamic(**EVERYTHING))
        random_session(desk, seed, 150)
        made.append(desk.digest())
    return made


def test_compiled_and_interpreted_come_to_the_same_bytes() -> None:
    repository = Path(__file__).resolve().parents[2]
    environment = {
        **os.environ,
        "NANOTICK_INTERPRET": "" if INTERPRET else "1",
        "PYTHONPATH": os.pathsep.join([str(repository / "src"), str(repository)]),
        "PYTHONHASHSEED": "3",
    }
    script = "from tests.engine.test_dynamic_limits import fixed_sessions\nprint(*fixed_sessions(), sep=chr(10))"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, cwd=repository, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == fixed_sessions()
