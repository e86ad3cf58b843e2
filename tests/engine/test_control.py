"""Operator commands come through the log like everything else."""

from typing import Any

import numpy as np
import pytest

from nanotick.core.instruments import InstrumentTable
from nanotick.core.records import ALL_STRATEGIES, COMMAND, EVENT, CommandFlag, ControlAction, Kind, TradingStatus
from nanotick.engine.backtest import Backtest
from nanotick.engine.runner import Verb
from nanotick.engine.step import step_one
from nanotick.risk.records import RiskCheck
from tests.engine.conftest import both, run_of

Day = tuple[Any, InstrumentTable]
OPEN = range(2, 7)  # states of released orders


def begun(day: Day, rows: int = 0) -> Backtest:
    """Both strategies, after so many rows."""
    run = run_of(*day, both())
    run.begin()
    if rows:
        run._call(Verb.RUN, rows)
    return run


def now_of(run: Backtest) -> int:
    return max(run.first_ts, int(run.replay_region.view[0]["now"]))


def open_orders(run: Backtest) -> list[tuple[int, int, int]]:
    """Client order id, strategy and instrument of what is open."""
    rows = run.local.orders.orders.view
    rows = rows[np.isin(rows["state"], OPEN)]
    return [(int(r["id"]), int(r["strategy"]), int(r["instrument"])) for r in rows]


def positions(run: Backtest) -> list[int]:
    return [int(q) for q in run.local.portfolio.positions.view["qty"]]


def commands(records: Any, kind: Kind) -> Any:
    return records[records["kind"] == int(kind)].view(COMMAND)


def until(run: Backtest, wanted: Any) -> None:
    """Go on until something holds between two slices."""
    for _ in range(400):
        if wanted():
            return
        run._call(Verb.RUN, 50)
        run.collector.drain()
    pytest.fail("the run never came there")


def test_a_kill_in_the_log_refuses_every_order_after_it(day: Day) -> None:
    run = begun(day)
    run.local.control(ControlAction.KILL, run.first_ts, reason=7)
    records = run.resume().records
    refusals = records[records["kind"] == int(Kind.RISK)]
    assert np.count_nonzero(records["kind"] == int(Kind.CONTROL)) == 1
    assert len(refusals) > 10
    assert set(refusals["word"].tolist()) == {int(RiskCheck.KILL_SWITCH)}
    assert set(refusals["price"].tolist()) == {7}
    assert not np.any(records["kind"] == int(Kind.NEW))


def test_a_kill_cancels_everything_that_is_open(day: Day) -> None:
    run = begun(day)
    until(run, lambda: len(open_orders(run)) >= 2)
    before = len(run.collector.records)
    resting = {i for i, _, _ in open_orders(run)}
    run.local.control(ControlAction.KILL, now_of(run))
    run.resume()
    after = np.concatenate(run.collector.records[before:])
    assert {int(c["id"]) for c in commands(after, Kind.CANCEL)} == resting
    assert not len(commands(after, Kind.NEW))
    assert open_orders(run) == []


def test_cancel_everything_keeps_to_its_scope(day: Day) -> None:
    run = begun(day)
    until(run, lambda: len({(s, i) for _, s, i in open_orders(run)}) >= 3)
    before = open_orders(run)
    strategy, instrument = before[0][1:]
    made = run.local.control(ControlAction.CANCEL_EVERYTHING, now_of(run), strategy, instrument)
    pending = run.local.orders.orders.view
    cancelled = {int(r["id"]) for r in pending if r["state"] == 4}
    assert cancelled == {n for n, s, i in before if (s, i) == (strategy, instrument)}
    assert made == len(cancelled)
    run.local.control(ControlAction.CANCEL_EVERYTHING, now_of(run), strategy=99)
    assert {int(r["id"]) for r in pending if r["state"] == 4} == cancelled
    run.local.control(ControlAction.CANCEL_EVERYTHING, now_of(run), ALL_STRATEGIES)
    assert {int(r["id"]) for r in pending if r["state"] == 4} == {n for n, _, _ in before}


@pytest.mark.parametrize("stop", [ControlAction.KILL, ControlAction.PAUSE_STRATEGY])
def test_a_flatten_closes_positions_though_nothing_else_may_trade(day: Day, stop: ControlAction) -> None:
    run = begun(day)
    until(run, lambda: sum(q != 0 for q in positions(run)) >= 2 and open_orders(run))
    for strategy in range(2):
        run.local.control(stop, now_of(run), strategy)
    before = len(run.collector.records)
    run.local.control(ControlAction.FLATTEN, now_of(run))
    run.resume()
    after = np.concatenate(run.collector.records[before:])
    closing = commands(after, Kind.NEW)
    assert len(closing) >= 2 and all(c["flags"] & int(CommandFlag.CLOSE_ALL) for c in closing)
    assert positions(run) == [0] * len(positions(run))
    assert open_orders(run) == []
    assert int(run.local.engine_region.view[0]["closing"]) == 0


def test_a_flatten_that_risk_refuses_says_so_once_and_closes_when_it_can(day: Day) -> None:
    run = begun(day)
    until(run, lambda: any(positions(run)))
    pair = next(n for n, q in enumerate(positions(run)) if q)
    strategy, instrument = divmod(pair, len(run.instruments))
    status = run.local.instrument_region.view
    status[instrument]["status"] = TradingStatus.HALTED
    run.local.control(ControlAction.PAUSE_STRATEGY, now_of(run), strategy)
    run.collector.drain()
    before = len(run.collector.records)
    run.local.control(ControlAction.FLATTEN, now_of(run), strategy, instrument)
    run._call(Verb.RUN, 5_000)
    run.collector.drain()
    records = np.concatenate(run.collector.records[before:])
    refusals = records[(records["kind"] == int(Kind.RISK)) & (records["seq"] == strategy)]
    assert refusals["word"].tolist() == [int(RiskCheck.INSTRUMENT_STATUS)]
    assert positions(run)[pair] != 0
    status[instrument]["status"] = TradingStatus.TRADING
    run._call(Verb.RUN, 5_000)
    assert positions(run)[pair] == 0


def test_while_a_position_is_flattened_its_strategy_may_not_add_to_it(day: Day) -> None:
    run = begun(day)
    until(run, lambda: any(positions(run)[len(run.instruments) :]))
    instrument = next(n for n, q in enumerate(positions(run)[len(run.instruments) :]) if q)
    run.local.instrument_region.view[instrument]["restricted"] = 1  # so that it stays unfinished
    run.local.control(ControlAction.FLATTEN, now_of(run), 1, instrument)
    run.local.instrument_region.view[instrument]["restricted"] = 0
    run.local.risk.pairs.view[len(run.instruments) + instrument]["close_next"] = 1 << 62
    run.collector.drain()
    before = len(run.collector.records)
    run._call(Verb.RUN, 20_000)
    run.collector.drain()
    records = np.concatenate(run.collector.records[before:])
    refusals = records[(records["kind"] == int(Kind.RISK)) & (records["seq"] == 1)]
    mine = refusals[refusals["instrument"] == instrument]
    assert len(mine) and set(mine["word"].tolist()) == {int(RiskCheck.FLATTENING)}
    new = commands(records, Kind.NEW)
    assert not np.any((new["instrument"] == instrument) & (new["strategy"] == 1))


def test_a_paused_strategy_is_not_called_and_the_other_goes_on(day: Day) -> None:
    run = begun(day)
    run.local.control(ControlAction.PAUSE_STRATEGY, run.first_ts, 1)
    assert run.local.risk.guards.view["paused"].tolist() == [0, 1, 0]
    first, second = run.resume().strategies
    assert first.calls["on_book"] > 1_000
    assert second.calls["on_book"] == 0


def test_a_command_that_names_nobody_changes_nothing(day: Day) -> None:
    run = begun(day)
    event = np.zeros(1, EVENT)
    event["kind"] = int(Kind.CONTROL)
    for action in ControlAction:
        for strategy, instrument in ((2, 0), (-1, 0), (0, 1_000)):
            event["word"], event["id"], event["instrument"] = int(action), strategy, instrument
            if action not in (ControlAction.KILL, ControlAction.RESUME) and (strategy, instrument) != (0, 1_000):
                step_one(run.local.address, event.ctypes.data, run.first_ts)
    assert run.local.risk.guards.view["paused"].tolist() == [0, 0, 0]
    assert int(run.local.engine_region.view[0]["closing"]) == 0
