"""A run without a trade says at which stage it stopped."""

from dataclasses import replace

import numpy as np

from nanotick.core.records import Kind
from nanotick.engine.output import RunCounters
from nanotick.research.results import BacktestResult
from tests.research.runs import RunBuilder


def finding(run, **options):
    [found] = BacktestResult(run.output(**options)).diagnosis.findings
    return found


def test_no_event_at_all():
    run = RunBuilder()
    found = finding(run, counters=RunCounters())
    assert found.stage == "no_data"
    assert "nanotick data inspect" in found.sentence


def test_data_of_other_symbols():
    run = RunBuilder()
    run.strategies[0] = replace(run.strategies[0], calls={})
    found = finding(run, counters=RunCounters(events=5, by_instrument={3: 5}))
    assert found.stage == "no_data"
    assert "ALFA" in found.sentence


def test_callbacks_ran_and_asked_for_nothing():
    run = RunBuilder()
    run.strategies[0] = replace(run.strategies[0], calls={"on_book": 12_345, "on_trade": 7}, intents=0)
    found = finding(run)
    assert found.stage == "no_signal"
    assert found.details[0] == "on_book 12,345 times, on_trade 7 times"
    assert "size=100" in found.details[1]


def test_refused_names_the_check_the_value_and_the_limit():
    run = RunBuilder()
    for n in range(3):
        run.report(Kind.RISK, n, 0, word=3, price=600 + n, qty=500, seq=0, side=1)
    run.report(Kind.RISK, 5, 0, word=9, price=1, qty=0, seq=0, side=1)
    found = finding(run)
    assert found.stage == "refused"
    assert "position" in found.sentence
    assert found.details[0] == "position: 3 times, last ALFA: found 602, limit 500"
    assert found.details[1].startswith("check 9: 1 times")


def test_rejected_names_the_venues_reason():
    run = RunBuilder()
    for n in range(1, 4):
        run.new(n, n, 1, 10_000, 10).report(Kind.REJECTED, n, n, word=2)
    found = finding(run)
    assert found.stage == "rejected"
    assert "post only would cross" in found.sentence


def test_never_filled_says_how_close_it_came():
    run = RunBuilder()
    for n in range(1, 4):
        run.new(n, n, 1, 10_000, 10).report(Kind.ACCEPTED, n, n).report(Kind.CANCELLED, n + 2, n)
        run.queued(n, n, 800, 300, 2)
    found = finding(run)
    assert found.stage == "never_filled"
    assert "rested 2 s" in found.details[0]
    assert "2 ticks behind the touch; quantity ahead 800 when accepted, 300 at the end" in found.details[1]


def test_never_arrived():
    found = finding(RunBuilder().new(1, 1, 1, 10_000, 10))
    assert found.stage == "never_filled"
    assert "none reached the venue" in found.sentence


def test_a_strategy_that_trades_is_not_silent():
    run = RunBuilder().new(1, 1, 1, 10_000, 10).fill(1, 1, 1, 10_000, 10)
    diagnosis = BacktestResult(run.output()).diagnosis
    assert diagnosis.silent == ()
    assert "1 fills of 1 orders" in str(diagnosis)
    assert not np.isnan(BacktestResult(run.output()).statistics.total.fees)
