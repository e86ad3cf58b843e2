"""Operator commands come through the log like everything else."""

from typing import Any

import numpy as np

from nanotick.core.instruments import InstrumentTable
from nanotick.core.records import EVENT, ControlAction, Kind
from nanotick.engine.backtest import Backtest
from nanotick.engine.step import step_one
from nanotick.risk.records import RiskCheck
from tests.engine.conftest import both, run_of

Day = tuple[Any, InstrumentTable]


def control(run: Backtest, action: ControlAction, argument: int) -> None:
    event = np.zeros(1, EVENT)
    event["kind"], event["word"], event["id"] = int(Kind.CONTROL), int(action), argument
    step_one(run.local.address, event.ctypes.data, run.first_ts)


def test_a_kill_in_the_log_refuses_every_order_after_it(day: Day) -> None:
    run = run_of(*day, both())
    run.begin()
    control(run, ControlAction.KILL, 7)
    records = run.resume().records
    refusals = records[records["kind"] == int(Kind.RISK)]
    assert np.count_nonzero(records["kind"] == int(Kind.CONTROL)) == 1
    assert len(refusals) > 10
    assert set(refusals["word"].tolist()) == {int(RiskCheck.KILL_SWITCH)}
    assert not np.any(records["kind"] == int(Kind.NEW))


def test_a_paused_strategy_is_not_called_and_the_other_goes_on(day: Day) -> None:
    run = run_of(*day, both())
    run.begin()
    control(run, ControlAction.PAUSE_STRATEGY, 1)
    first, second = run.resume().strategies
    assert first.calls["on_book"] > 1_000
    assert second.calls["on_book"] == 0
