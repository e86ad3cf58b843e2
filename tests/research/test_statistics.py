"""Every figure against an independent computation, and what each is where it is not defined."""

import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nanotick.core.records import Kind
from nanotick.research import execution, performance
from nanotick.research.results import BacktestResult
from tests.research.runs import SECOND, START, RunBuilder

changes = arrays(np.float64, st.integers(2, 60), elements=st.floats(-1e4, 1e4, width=32))
MINUTE = 60 * SECOND


@given(changes)
def test_sharpe_and_sortino_agree_with_pandas(values):
    series = pd.Series(values)
    assume(series.std() > 1e-9)
    expected = series.mean() / series.std() * np.sqrt(1234.0)
    assert performance.sharpe_ratio(values, 1234.0) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    losses = series.clip(upper=0)
    downside = np.sqrt((losses**2).mean())
    found = performance.sortino_ratio(values, 1234.0)
    if downside > 0:
        assert found == pytest.approx(series.mean() / downside * np.sqrt(1234.0), rel=1e-9)
    else:
        assert math.isnan(found)


@given(changes)
def test_max_drawdown_agrees_with_the_quadratic_definition(values):
    equity = np.cumsum(values)
    ts = np.arange(len(equity), dtype=np.int64)
    found = performance.max_drawdown(ts, equity)
    falls = [max(equity[: j + 1]) - equity[j] for j in range(len(equity))]
    assert found.amount == pytest.approx(max(falls))
    assert equity[found.peak_ts] - equity[found.trough_ts] == pytest.approx(found.amount)
    longest = max(
        (
            j - i
            for j in range(len(equity))
            for i in [max(k for k in range(j + 1) if equity[k] == max(equity[: j + 1]))]
        ),
        default=0,
    )
    assert found.longest_ns == longest


@pytest.mark.parametrize("values", [np.empty(0), np.array([1.0]), np.array([3.0, 3.0, 3.0]), np.zeros(5)])
def test_ratios_without_variance_are_not_defined(values):
    assert math.isnan(performance.sharpe_ratio(values, 252.0))
    assert math.isnan(performance.sortino_ratio(values, 252.0))


def test_ratios_of_profit_are_not_defined_without_a_loss():
    assert math.isnan(performance.calmar_ratio(5.0, 1.0, 0.0))
    assert math.isnan(performance.calmar_ratio(5.0, 0.0, 1.0))
    assert math.isnan(performance.hit_ratio(np.zeros(3)))
    assert math.isnan(performance.profit_factor(np.array([1.0])))
    assert performance.calmar_ratio(5.0, 0.5, 2.0) == 5.0
    assert performance.hit_ratio(np.array([1.0, -2.0, 3.0, 0.0])) == pytest.approx(2 / 3)
    assert performance.profit_factor(np.array([1.0, -2.0, 3.0])) == 2.0


def test_drawdown_as_a_share_needs_a_positive_peak():
    ts = np.arange(3, dtype=np.int64)
    assert performance.max_drawdown(ts, np.array([200.0, 150.0, 160.0])).share == 0.25
    assert math.isnan(performance.max_drawdown(ts, np.array([0.0, -5.0, -1.0])).share)
    assert performance.max_drawdown(ts[:0], np.empty(0)).amount == 0.0


def test_a_year_is_252_sessions_as_long_as_the_datas():
    ts = START + np.arange(0, 23_401) * SECOND
    steps = performance.increments(ts, np.arange(len(ts), dtype=float), MINUTE)
    assert len(steps.values) == 390
    np.testing.assert_allclose(steps.values, 60.0)
    assert steps.per_year == pytest.approx(252 * 390)
    assert steps.years == pytest.approx(1 / 252)


def test_a_market_that_never_closes_has_365_days_of_24_hours():
    ts = np.arange(START // performance.DAY_NS * performance.DAY_NS, START + 3 * performance.DAY_NS, MINUTE)
    steps = performance.increments(ts, np.zeros(len(ts)), MINUTE)
    assert steps.per_year == pytest.approx(365 * 1440)


def test_the_night_is_one_step():
    day = np.arange(0, 601, 60) * SECOND
    ts = np.concatenate([START + day, START + performance.DAY_NS + day])
    equity = np.concatenate([np.zeros(11), np.full(11, 7.0)])
    values = performance.increments(ts, equity, MINUTE).values
    assert len(values) == 20
    assert values.tolist() == [0.0] * 10 + [7.0] + [0.0] * 9


@given(st.lists(st.tuples(st.integers(1, 100), st.integers(-50, 50)), min_size=1, max_size=30), st.integers(1, 50))
def test_inventory_is_weighted_by_time(steps, rest):
    ts = np.cumsum([wait for wait, _ in steps]).astype(np.int64)
    held = np.array([position for _, position in steps], float)
    found = performance.inventory_statistics(ts, held, int(ts[-1]) + rest)
    second_by_second = np.repeat(held, np.append(np.diff(ts), rest))
    assert found.mean == pytest.approx(second_by_second.mean())
    assert found.mean_absolute == pytest.approx(np.abs(second_by_second).mean())
    assert found.deviation == pytest.approx(second_by_second.std())
    assert found.share_flat == pytest.approx((second_by_second == 0).mean())
    assert found.largest_long == max(0, *second_by_second)
    assert found.largest_short == min(0, *second_by_second)


def made_run(rows, path):
    """Fills at the given seconds on a mid that follows `path`, one mark a second."""
    run = RunBuilder()
    for second, mid in enumerate(path):
        run.mark(second, mid - 1, mid + 1)
    for n, (second, side, offset, qty) in enumerate(rows, 1):
        t = second + 0.5
        run.new(t - 0.2, n, side, path[second] - side * offset, qty)
        run.report(Kind.ACCEPTED, t - 0.1, n, t - 0.05)
        run.fill(t, n, side, path[second] - side * offset, qty, fee=qty)
    return run


paths = st.lists(st.integers(-5, 5), min_size=90, max_size=90).map(lambda s: (10_000 + np.cumsum(s)).tolist())
fill_rows = st.lists(
    st.tuples(st.integers(1, 20), st.sampled_from([1, -1]), st.integers(-3, 3), st.integers(1, 400)),
    min_size=1,
    max_size=15,
).map(sorted)


@settings(max_examples=30)
@given(fill_rows, paths)
def test_mark_outs_are_the_quantity_weighted_move_from_price_to_later_mid(rows, path):
    outs = BacktestResult(made_run(rows, path).output()).statistics.total.mark_outs
    assert [o.horizon_ns for o in outs] == [SECOND // 10, SECOND, 10 * SECOND, 60 * SECOND]
    assert outs[0].fills == 0 and math.isnan(outs[0].ticks)  # marks a second apart cannot tell
    weight = sum(qty for *_, qty in rows)
    for out in outs[1:]:
        ahead = out.horizon_ns // SECOND
        moves = [
            (side * (path[second + ahead] - (path[second] - side * offset)), qty) for second, side, offset, qty in rows
        ]
        assert out.fills == len(rows)
        assert out.ticks == pytest.approx(float(Fraction(sum(m * q for m, q in moves), weight)), abs=1e-9)
        assert out.amount == pytest.approx(sum(m * q for m, q in moves) / 100, abs=1e-6)


@settings(max_examples=30)
@given(fill_rows, paths)
def test_attribution_adds_up_to_gross_profit(rows, path):
    total = BacktestResult(made_run(rows, path).output()).statistics.total
    parts = total.attribution
    assert parts.spread + parts.adverse_selection + parts.inventory == pytest.approx(total.gross, abs=1e-6)
    assert parts.spread == pytest.approx(sum(offset * qty for _, _, offset, qty in rows) / 100, abs=1e-6)
    adverse = sum(side * qty * (path[second + 10] - path[second]) for second, side, _, qty in rows) / 100
    assert parts.adverse_selection == pytest.approx(adverse, abs=1e-6)
    assert total.net == pytest.approx(total.gross - sum(qty for *_, qty in rows) / 100)


def test_mark_outs_past_the_end_of_the_data_are_left_out():
    run = made_run([(1, 1, 1, 100), (78, 1, 1, 100)], [10_000] * 90)
    outs = BacktestResult(run.output()).statistics.total.mark_outs
    assert [o.fills for o in outs] == [0, 2, 2, 1]


def test_shortfall_charges_fills_against_the_decision_and_the_rest_against_the_end():
    run = RunBuilder()
    for second, mid in enumerate([10_000, 10_000, 10_004, 10_010, 10_020, 10_020]):
        run.mark(second, mid - 1, mid + 1)
    run.new(1.5, 1, 1, 10_005, 300).fill(2.5, 1, 1, 10_005, 100, fee=200, maker=False)
    run.report(Kind.CANCELLED, 4.5, 1)
    found = BacktestResult(run.output()).statistics.total.shortfall
    assert found.execution == pytest.approx(5 * 100 / 100)
    assert found.opportunity == pytest.approx(20 * 200 / 100)
    assert found.fees == 2.0
    assert found.bps == pytest.approx((5.0 + 2.0) / (100.05 * 100) * 1e4)


def test_latency_is_split_at_the_venue():
    run = RunBuilder()
    for n in range(1, 102):
        run.new(n, n, 1, 10_000, 1)
        run.report(Kind.ACCEPTED, n + n * 1e-6, n, n + n * 3e-6)
    found = BacktestResult(run.output()).statistics.total.latency
    assert found.to_venue.count == 101
    assert (found.to_venue.median, found.to_venue.p90, found.to_venue.p99) == (51_000, 91_000, 100_000)
    assert found.to_ack.median == 102_000
    assert found.round_trip.most == 303_000
    assert found.round_trip.mean == pytest.approx(153_000)


def test_queue_figures_tell_filled_from_missed_orders():
    run = RunBuilder()
    for n, (ahead, wait, hit) in enumerate([(0, 1, True), (100, 2, True), (500, 4, False), (900, 8, False)], 1):
        run.new(n, n, 1, 10_000, 10).report(Kind.ACCEPTED, n, n).queued(n, n, ahead, 0, 1)
        if hit:
            run.fill(n + wait, n, 1, 10_000, 10)
        else:
            run.report(Kind.CANCELLED, n + wait, n)
    found = BacktestResult(run.output()).statistics.total.queue
    assert found.ahead.count == 4 and found.ahead.most == 900
    assert found.fill_by_ahead == ((0.0, 1, 1.0), (100.0, 1, 1.0), (500.0, 1, 0.0), (900.0, 1, 0.0))
    assert (found.time_to_fill.least, found.time_to_fill.most) == (SECOND, 2 * SECOND)
    assert (found.time_resting.least, found.time_resting.most) == (4 * SECOND, 8 * SECOND)


def test_ratios_of_orders_and_value():
    run = RunBuilder().mark(0, 9_999, 10_001).mark(9, 9_999, 10_001)
    run.new(1, 1, 1, 10_000, 100).fill(2, 1, 1, 10_000, 100, fee=-30)
    run.new(1, 2, -1, 10_000, 300).fill(2, 2, -1, 10_000, 100, fee=90, maker=False)
    run.new(1, 3, -1, 10_000, 100).report(Kind.CANCELLED, 3, 3)
    run.new(1, 4, -1, 10_000, 100).report(Kind.REJECTED, 3, 4)
    total = BacktestResult(run.output()).statistics.total
    assert total.fill_ratio == pytest.approx(200 / 600)
    assert total.order_fill_ratio == 0.5
    assert total.maker_share == 0.5
    assert (total.orders, total.fills, total.cancelled, total.rejected) == (4, 2, 1, 1)
    assert (total.turnover, total.fees, total.capital) == (20_000.0, 0.6, 100_000.0)
    assert total.turnover_ratio == 0.2


def test_profit_by_hour_adds_up_to_the_curve():
    run = RunBuilder()
    for minute in range(0, 180, 5):
        run.mark(minute * 60, 9_999 + minute, 10_001 + minute)
    run.new(1, 1, 1, 10_000, 100).fill(2, 1, 1, 10_000, 100)
    result = BacktestResult(run.output())
    hours = result.statistics.hours
    assert [h for _, h, _ in hours] == [14, 15, 16, 17]
    assert sum(p for *_, p in hours) == pytest.approx(result.statistics.total.net)


def test_several_currencies_are_not_added():
    from nanotick.core.instruments import Instrument

    run = RunBuilder([Instrument("A", "SIM"), Instrument("B", "SIM", currency="EUR")])
    run.mark(0, 99, 101).mark(0, 99, 101, instrument=1).mark(9, 99, 101).mark(9, 99, 101, instrument=1)
    for n in (0, 1):
        run.new(1, n + 1, 1, 90, 100, instrument=n).fill(2, n + 1, 1, 90, 100, instrument=n)
    found = BacktestResult(run.output()).statistics
    assert math.isnan(found.total.net) and found.currency == ""
    assert [f.net for f in found.instruments] == [10.0, 10.0]
    assert any("USD, EUR" in note for note in found.notes)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=200))
def test_quantiles_are_values_that_occurred(values):
    found = execution.distribution(np.array(values))
    ranked = sorted(values)
    assert (found.least, found.most, found.count) == (ranked[0], ranked[-1], len(ranked))
    for quantile, value in zip((0.5, 0.9, 0.99), (found.median, found.p90, found.p99), strict=True):
        assert value == np.percentile(ranked, quantile * 100, method="lower")
