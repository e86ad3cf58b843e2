"""Orders and holdings that a session finds in its account: counted, booked once, cancelled like its own, repeatable."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanotick.core.mode import INTERPRET
from nanotick.core.records import ControlAction, HoldingFlag, Kind, OrderType, TimeInForce, adopted_flags
from nanotick.core.value import OVERFLOW
from nanotick.engine.session import Session
from nanotick.engine.session_replay import recover, replay, restore_at
from nanotick.orders import OrderState
from nanotick.risk.limits import RiskLimits
from tests.engine.desk import CASH, PRICE, SECOND, Driver, commands_of, micro

WIDE = RiskLimits.unlimited()


def test_a_foreign_order_counts_is_found_again_and_its_fills_are_booked() -> None:
    desk = Driver()
    desk.adopt(77, side=1, qty=50)
    order_id = desk.local.orders.adopted(77)
    order = desk.order(order_id)
    assert (order["id"], order["state"], order["qty"]) == (order_id, OrderState.WORKING, 50)
    assert (order["strategy"], order["venue_id"], order["released"]) == (1, 84, 1)
    assert desk.open_qty(1) == desk.open_qty(2) == (50, 0) and desk.open_qty(0) == (0, 0)
    assert int(desk.local.risk.guards.view[2]["up"]) == micro("5000")
    assert desk.local.selves[1]["heard"][0] == 1
    desk.event(Kind.FILL, id=order_id, side=1, qty=20, price=PRICE)
    assert desk.position(1)["qty"] == 20 and desk.open_qty(2) == (30, 0)
    desk.event(Kind.CANCELLED, id=order_id, qty=30)
    assert desk.open_qty(2) == (0, 0) and desk.order(order_id)["state"] == OrderState.CANCELLED
    assert desk.local.orders.adopted(78) == 0


def test_the_same_order_is_adopted_once_even_after_it_has_ended() -> None:
    desk = Driver()
    desk.adopt(77)
    order_id = desk.local.orders.adopted(77)
    desk.adopt(77, qty=60)
    desk.event(Kind.CANCELLED, id=order_id, qty=50)
    desk.adopt(77)
    assert desk.local.orders.adopted(77) == order_id and desk.open_qty(2) == (0, 0)
    assert int(desk.local.arena["orders.root"].view[0]["adopted"]) == 1


@pytest.mark.parametrize(
    "wrong", [{"side": 0}, {"qty": 0}, {"qty": -5}, {"price": -1}, {"instrument": 3}, {"instrument": 1 << 31}]
)
def test_what_makes_no_order_is_not_adopted_and_is_counted(wrong: dict[str, int]) -> None:
    desk = Driver()
    desk.adopt(5, **wrong)
    desk.adopt(0)
    assert desk.local.orders.adopted(5) == 0 and desk.open_qty(2) == (0, 0)
    assert int(desk.local.engine_region.view[0]["stray_reports"]) == 2


def test_an_order_of_nobody_is_strategy_0s() -> None:
    desk = Driver()
    desk.adopt(5, strategy=9)
    assert desk.open_qty(0) == (50, 0)


def test_an_adopted_stop_has_its_stop_price_and_a_self_trade_with_an_adopted_order_is_refused() -> None:
    desk = Driver()
    desk.adopt(5, price=10_100, flags=adopted_flags(OrderType.STOP, TimeInForce.DAY))
    order = desk.order(desk.local.orders.adopted(5))
    assert (order["price"], order["stop_price"], order["tif"]) == (0, 10_100, TimeInForce.DAY)
    desk.adopt(6, side=-1, price=9_999)
    assert not len(desk.quote(sizes=(101, 100)))  # the buy at 9,999 would meet it
    assert len(desk.quote(bid=9_998, sizes=(101, 100))) == 1


def test_when_there_is_no_room_to_remember_one_more_the_open_ones_stay_and_the_new_one_is_counted_stray() -> None:
    desk = Driver(limits=WIDE)
    room = len(desk.local.orders.adoptions.view)
    # the table is smaller than the memory here: fill it with orders that end, but for the first
    for key in range(1, room + 1):
        desk.adopt(key, qty=1)
        if key > 1:
            desk.event(Kind.CANCELLED, id=desk.local.orders.adopted(key), qty=1)
            desk.now += 61 * SECOND
        desk.drop()
    assert desk.local.orders.adopted(1) and desk.open_qty(2) == (1, 0)
    stray = int(desk.local.engine_region.view[0]["stray_reports"])
    desk.adopt(room + 1, qty=1)
    assert desk.local.orders.adopted(room + 1) == 0 and desk.local.orders.adopted(1)
    assert int(desk.local.engine_region.view[0]["stray_reports"]) == stray + 1
    desk.event(Kind.CANCELLED, id=desk.local.orders.adopted(1), qty=1)
    desk.adopt(room + 1, qty=1)
    assert desk.local.orders.adopted(room + 1) and desk.local.orders.adopted(1) == 0


@pytest.mark.parametrize("action", [ControlAction.KILL, ControlAction.CANCEL_EVERYTHING, ControlAction.FLATTEN])
def test_adopted_orders_are_cancelled_with_everything(action: ControlAction) -> None:
    desk = Driver()
    for key in range(1, 6):
        desk.adopt(key, strategy=key % 2, price=PRICE - key)
    desk.session.control(action, desk.now + 1)
    ids = sorted(desk.local.orders.adopted(key) for key in range(1, 6))
    assert sorted(commands_of(desk.session.commands(), Kind.CANCEL)) == ids


def test_an_order_found_while_everything_is_stopped_is_cancelled_at_once() -> None:
    desk = Driver()
    desk.session.control(ControlAction.KILL, desk.now + 1)
    made = desk.adopt(5)
    assert commands_of(made, Kind.CANCEL) == [desk.local.orders.adopted(5)]


# --- holdings ---------------------------------------------------------------------------------------------------------


def test_a_holding_is_booked_without_touching_cash_and_a_loss_counts_from_what_it_was_worth() -> None:
    desk = Driver()
    desk.quote()
    desk.event(Kind.HOLDING, id=1, instrument=0, qty=100, price=9_500)
    position, account = desk.position(1), desk.account(1)
    assert (position["qty"], position["cost"], position["trades"]) == (100, 950_000, 0)
    assert account["cash"] == account["initial_cash"] == CASH
    assert account["equity"] == account["peak_equity"] == CASH + micro("10000")  # at the mark
    assert (account["drawdown"], account["max_drawdown"]) == (0, 0)
    assert account["day_start_equity"] == account["equity"]
    guard = desk.local.risk.guards.view[1]
    assert guard["loss_base"] == guard["peak_base"] == account["equity"]
    desk.quote(9_899, 9_901)
    assert account["drawdown"] == micro("100")
    whole = desk.account()
    assert whole["cash"] == 2 * CASH and whole["equity"] == 2 * CASH + micro("9900")
    assert int(desk.local.portfolio.root["broken"]) == 0


def test_a_holding_told_again_is_booked_once_and_one_that_is_closed_pays_in_cash() -> None:
    desk = Driver(limits=WIDE)
    desk.quote()
    for price, qty in ((9_500, 100), (9_500, 100), (9_600, 70)):
        desk.event(Kind.HOLDING, id=0, instrument=0, qty=qty, price=price)
    assert desk.position(0)["qty"] == 100
    desk.adopt(3, side=-1, qty=100, strategy=0)
    desk.event(Kind.FILL, id=desk.local.orders.adopted(3), side=-1, qty=100, price=PRICE)
    assert (desk.position(0)["qty"], desk.position(0)["realised"]) == (0, 50_000)
    assert desk.account(0)["cash"] == desk.account(0)["equity"] == CASH + micro("10000")


@pytest.mark.parametrize("qty", [300, -300])
def test_margined_holdings_and_inverse_contracts_bring_their_profit_alone(qty: int) -> None:
    desk = Driver()
    desk.quote()
    desk.event(Kind.HOLDING, id=0, instrument=0, qty=qty, price=9_500, flags=int(HoldingFlag.MARGINED))
    assert desk.account(0)["equity"] == CASH + (1 if qty > 0 else -1) * micro("1500")
    desk.quote(600_000, 600_010, instrument=2)
    before = int(desk.account()["equity"])
    desk.event(Kind.HOLDING, id=1, instrument=2, qty=60_000, price=500_000)
    # 60,000 dollars bought at 50,000 and worth 60,000 a coin: 0.2 coins more
    gained = int(desk.account()["equity"]) - before
    assert abs(gained - micro("12000")) < micro("2")
    assert desk.account()["drawdown"] == 0


def test_a_holding_whose_value_does_not_fit_breaks_the_ledger_and_stops_trading() -> None:
    desk = Driver()
    desk.event(Kind.HOLDING, id=0, instrument=0, qty=OVERFLOW // 2, price=PRICE)
    assert int(desk.local.portfolio.root["broken"]) >= 1
    assert not len(desk.quote(sizes=(101, 100)))


# --- what stays true whatever comes -----------------------------------------------------------------------------------

ACTS = st.lists(
    st.tuples(
        st.sampled_from(["adopt", "fill", "cancel", "hold", "quote"]), st.integers(1, 6), st.sampled_from([1, -1]),
        st.integers(1, 40), st.integers(9_500, 10_500), st.integers(0, 1),
    ),
    max_size=30,
)  # fmt: skip


def play(acts: Any) -> str:
    """Go through acts beside a model in dictionaries; gives what was sent and the state's hash."""
    desk = Driver(limits=WIDE)
    desk.quote()
    left: dict[int, list[int]] = {}  # key: strategy, side, quantity left
    held, opened = [0, 0], set()
    cash = [CASH // 10_000, CASH // 10_000]  # in cents
    for what, key, side, qty, price, strategy in acts:
        if what == "adopt":
            desk.adopt(key, side, qty, price, strategy)
            left.setdefault(key, [strategy, side, qty])
        elif what == "quote":
            desk.quote(price - 1, price + 1)
        elif what == "hold":
            desk.event(Kind.HOLDING, id=strategy, qty=side * qty, price=price)
            if strategy not in opened:
                opened.add(strategy)
                held[strategy] += side * qty
        elif key in left:
            owner, of, rest = left[key]
            order_id = desk.local.orders.adopted(key)
            taken = min(qty, rest)
            if what == "fill" and taken:
                desk.event(Kind.FILL, id=order_id, side=of, qty=taken, price=price)
                held[owner] += of * taken
                cash[owner] -= of * taken * price
                left[key][2] -= taken
            elif what == "cancel":
                desk.event(Kind.CANCELLED, id=order_id, qty=rest)
                left[key][2] = 0
    for row in (0, 1):
        buys, sells = (sum(q for s, d, q in left.values() if (s, d) == (row, way)) for way in (1, -1))
        assert desk.open_qty(row) == (buys, sells)
        position, account = desk.position(row), desk.account(row)
        assert position["qty"] == held[row]
        assert account["cash"] == cash[row] * 10_000
        mark = int(desk.local.portfolio.holdings.view[0]["mark_price"])
        assert account["equity"] == account["cash"] + held[row] * mark * 10_000
        assert position["flow"] == position["realised"] - position["cost"]
    assert int(desk.local.portfolio.root["broken"]) == 0
    assert [sum(x) for x in zip(desk.open_qty(0), desk.open_qty(1), strict=True)] == list(desk.open_qty(2))
    keys = [(key, desk.local.orders.adopted(key)) for key in range(1, 7)]
    return f"{keys} {desk.digest()}"


@settings(max_examples=15 if INTERPRET else 40, deadline=None)
@given(ACTS)
def test_money_and_exposure_are_conserved_and_a_rerun_is_identical(acts: Any) -> None:
    assert play(acts) == play(acts)


def fixed_plays() -> list[str]:
    """The same acts in every process."""
    rng = np.random.default_rng(5)
    kinds = ["adopt", "fill", "cancel", "hold", "quote"]
    return [
        play([
            (kinds[rng.integers(5)], int(rng.integers(1, 7)), int(rng.choice([1, -1])), int(rng.integers(1, 40)),
             int(rng.integers(9_500, 10_500)), int(rng.integers(2)))
            for _ in range(40)
        ])
        for _ in range(3)
    ]  # fmt: skip


def test_compiled_and_interpreted_come_to_the_same_bytes() -> None:
    repository = Path(__file__).resolve().parents[2]
    environment = {
        **os.environ,
        "NANOTICK_INTERPRET": "" if INTERPRET else "1",
        "PYTHONPATH": os.pathsep.join([str(repository / "src"), str(repository)]),
        "PYTHONHASHSEED": "7",
    }
    script = "from tests.engine.test_opening import fixed_plays\nprint(*fixed_plays(), sep=chr(10))"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, cwd=repository, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == fixed_plays()


def test_sessions_with_both_replay_go_on_and_start_again_from_a_snapshot(tmp_path: Path) -> None:
    desk = Driver(tmp_path / "j")
    desk.quote()
    desk.event(Kind.HOLDING, id=1, instrument=1, qty=-200, price=PRICE)
    desk.adopt(5)
    desk.adopt(6, side=-1, price=10_100, strategy=0)
    desk.drop()
    path = desk.session.snapshot()
    desk.adopt(5)
    desk.adopt(8, price=9_900)
    desk.event(Kind.FILL, id=desk.local.orders.adopted(5), side=1, qty=50, price=PRICE)
    desk.session.control(ControlAction.KILL, desk.now + 1)
    state, keys = desk.digest(), [desk.local.orders.adopted(k) for k in (5, 6, 8)]
    made = desk.session.commands()["id"].tolist()
    assert sorted(made) == sorted(keys[1:])
    desk.session.close(ended=False)
    again = replay(tmp_path / "j")
    assert again.difference is None and again.state_hash == state
    assert restore_at(tmp_path / "j", path).state_hash == state
    assert recover(tmp_path / "j").snapshot == path
    resumed = Session.resume(tmp_path / "j", segment_bytes=2 << 20)
    assert [resumed.local.orders.adopted(k) for k in (5, 6, 8)] == keys
    desk = Driver.over(resumed)
    desk.adopt(8)
    assert desk.local.orders.adopted(8) == keys[2] and desk.open_qty(2) == (50, 50)
    resumed.close()
