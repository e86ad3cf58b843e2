"""Result tables: what happened to every order and what every fill earned, checked against plain sums."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.instruments import Contract, Instrument
from nanotick.core.records import Kind
from nanotick.engine.output import ACCOUNT, RunOutput
from nanotick.research.results import BacktestResult
from tests.research.runs import START, RunBuilder


def test_an_order_is_followed_from_decision_to_its_last_fill():
    run = RunBuilder().mark(0, 9999, 10001).mark(10, 9999, 10001)
    run.new(1.0, 7, 1, 9999, 300)
    run.report(Kind.ACCEPTED, 1.001, 7, 1.002)
    run.fill(2, 7, 1, 9999, 100, fee=-20).fill(3, 7, 1, 9999, 200, fee=-40)
    run.queued(1.001, 7, 500, 0, 0)
    [order] = BacktestResult(run.output()).orders
    assert (order["filled"], order["maker_filled"], order["fills"], order["fee"]) == (300, 300, 2, -60)
    assert order["ts_decided"] == run.at(1.0)
    assert (order["ts_venue"], order["ts_ack"]) == (run.at(1.001), run.at(1.002))
    assert (order["ts_first_fill"], order["ts_end"]) == (run.at(2), run.at(3))
    assert order["queue_ahead"] == 500
    assert order["average_price"] == 99.99
    assert BacktestResult(run.output()).orders.column_words("status") == ["filled"]


@pytest.mark.parametrize(
    ("kind", "word", "status", "reason"),
    [
        (Kind.CANCELLED, 1, "cancelled", "ioc_rest"),
        (Kind.REJECTED, 2, "rejected", "post_only_would_cross"),
        (Kind.EXPIRED, 3, "expired", "day_end"),
        (Kind.UNKNOWN, 0, "unknown", ""),
    ],
)
def test_every_end_of_an_order_is_told_apart(kind, word, status, reason):
    run = RunBuilder().new(1, 7, -1, 10000, 10).report(kind, 2, 7, word=word)
    result = BacktestResult(run.output())
    assert result.orders.column_words("status") == [status]
    assert result.reason_word(result.orders[0]) == reason


def test_an_order_nobody_answered_is_sent_and_an_answered_one_works():
    run = RunBuilder().new(1, 1, 1, 10000, 10).new(1, 2, 1, 10000, 10).report(Kind.ACCEPTED, 2, 2)
    assert BacktestResult(run.output()).orders.column_words("status") == ["sent", "working"]


def test_the_first_acceptance_counts_and_the_last_quantity_stands():
    run = RunBuilder().new(1, 5, 1, 10000, 10)
    run.report(Kind.ACCEPTED, 2, 5).report(Kind.REPLACED, 3, 5, qty=40).report(Kind.ACCEPTED, 4, 5)
    [order] = BacktestResult(run.output()).orders
    assert (order["ts_venue"], order["qty"], order["replaced"]) == (run.at(2), 40, 1)


def test_a_busted_fill_leaves_no_trace():
    run = RunBuilder().mark(0, 9999, 10001).new(1, 5, 1, 10000, 10)
    run.fill(2, 5, 1, 10000, 4)
    run.report(Kind.FILL_BUST, 3, 5, seq=2, qty=4, price=10000)
    result = BacktestResult(run.output())
    assert len(result.fills) == 0
    assert result.positions["qty"].tolist() == [0]


def test_fills_of_orders_sent_before_the_records_find_their_strategy():
    run = RunBuilder(strategies=("first", "second")).fill(2, 99, 1, 10000, 4)
    assert BacktestResult(run.output(order_strategy={99: 1})).fills["strategy"].tolist() == [1]


trades = st.lists(
    st.tuples(st.sampled_from([1, -1]), st.integers(1, 500), st.integers(9_000, 11_000), st.integers(-50, 50)),
    min_size=1,
    max_size=60,
)


@given(trades, st.integers(9_000, 11_000))
def test_profit_is_what_the_trades_paid_and_brought_to_the_cent(rows, bid):
    run = RunBuilder().mark(0, 10_000, 10_002)
    for n, (side, qty, price, fee) in enumerate(rows, 1):
        run.new(n, n, side, price, qty).fill(n, n, side, price, qty, fee)
    run.mark(len(rows) + 1, bid, bid + 3)
    result = BacktestResult(run.output())
    mid = Fraction(2 * bid + 3, 2)
    held = sum(side * qty for side, qty, _, _ in rows)
    gross = (sum(-side * qty * price for side, qty, price, _ in rows) + held * mid) / 100
    fees = Fraction(sum(fee for *_, fee in rows), 100)
    [position] = result.positions
    assert position["qty"] == held
    assert position["gross"] == pytest.approx(float(gross), abs=1e-9)
    assert position["net"] == pytest.approx(float(gross - fees), abs=1e-9)
    assert result.equity_of(0)["equity"][-1] == 100_000_000_000 + round((gross - fees) * 1_000_000)
    assert result.fills["position"].tolist()[-1] == held


@given(trades)
def test_realised_profit_and_open_cost_add_up_to_cash(rows):
    run = RunBuilder()
    for n, (side, qty, price, _) in enumerate(rows, 1):
        run.new(n, n, side, price, qty).fill(n, n, side, price, qty)
    result = BacktestResult(run.output())
    [position] = result.positions
    open_cost = position["realised"] - position["cash"]
    if position["qty"] == 0:
        assert open_cost == 0
    else:
        assert np.sign(open_cost) == np.sign(position["qty"])
        # an average of prices paid lies between the lowest and the highest of them; flooring moves it by cents
        prices = [price for _, _, price, _ in rows]
        assert min(prices) - 1 - len(rows) <= abs(open_cost / position["qty"]) <= max(prices) + 1 + len(rows)
        assert position["average_price"] == pytest.approx(abs(open_cost / position["qty"]) / 100)


def test_a_round_trip_realises_its_difference_on_the_closing_fill():
    run = RunBuilder().new(1, 1, 1, 10_000, 100).fill(1, 1, 1, 10_000, 100)
    run.new(2, 2, -1, 10_010, 150).fill(2, 2, -1, 10_010, 150)
    run.new(3, 3, 1, 10_000, 50).fill(3, 3, 1, 10_000, 50)
    fills = BacktestResult(run.output()).fills
    assert fills["realised"].tolist() == [0, 1_000, 500]
    assert fills["position"].tolist() == [100, -50, 0]


@given(
    st.lists(
        st.tuples(st.sampled_from([1, -1]), st.integers(1, 50), st.integers(20_000, 60_000)), min_size=1, max_size=20
    )
)
def test_inverse_contracts_pay_in_the_base_currency(rows):
    coin = Instrument("XBTUSD", "SIM", 1, 0, "0.5", multiplier="100", contract=Contract.INVERSE, currency="XBT")
    run = RunBuilder([coin]).mark(0, 300_000, 300_010)
    for n, (side, qty, price) in enumerate(rows, 1):
        run.new(n, n, side, price * 10, qty).fill(n, n, side, price * 10, qty)
    run.mark(len(rows) + 1, 299_990, 300_010)
    expected = sum(side * qty * 100 * (Fraction(1, price) - Fraction(1, 30_000)) for side, qty, price in rows)
    assert BacktestResult(run.output()).positions["gross"][0] == pytest.approx(
        float(expected), abs=(len(rows) + 1) * 2e-10
    )


def test_the_runs_own_account_samples_are_the_equity_curve():
    run = RunBuilder().mark(0, 9_999, 10_001).mark(1, 9_999, 10_001)
    for t, equity in ((1, 100), (2, 90), (3, 120)):
        run._row(
            np.dtype(run.output().records.dtype), ts_recv=run.at(t), kind=Kind.SAMPLE, instrument=ACCOUNT,
            price=equity, qty=equity * 10**6, word=5, id=0,
        )  # fmt: skip
    curve = BacktestResult(run.output()).equity_of(0)
    assert curve["equity_float"].tolist() == [100.0, 90.0, 120.0]
    assert curve["drawdown_float"].tolist() == [0.0, -10.0, 0.0]


def test_equity_of_all_is_the_sum_of_the_strategies():
    run = RunBuilder(strategies=("a", "b")).mark(0, 9_999, 10_001)
    run.new(1, 1, 1, 10_000, 10, strategy=0).fill(1, 1, 1, 10_000, 10)
    run.new(1, 2, -1, 10_000, 30, strategy=1).fill(1, 2, -1, 10_000, 30)
    run.mark(2, 10_099, 10_101)
    result = BacktestResult(run.output())
    assert result.equity_of(0)["equity_float"][-1] == 100_010.0
    assert result.equity_of(1)["equity_float"][-1] == 99_970.0
    assert result.equity_of()["equity_float"][-1] == 199_980.0


def test_refusals_and_signals_are_readable():
    run = RunBuilder()
    run.report(Kind.RISK, 1, 0, word=3, price=600, qty=500, seq=0, side=1)
    run.report(Kind.SIGNAL, 2, 17, price=np.float64(1.25).view(np.int64), word=0)
    result = BacktestResult(run.output())
    assert result.risk_events.column_words("check") == ["position"]
    assert (result.risk_events["found"][0], result.risk_events["limit"][0]) == (600, 500)
    assert (result.signals["code"][0], result.signals["value"][0]) == (17, 1.25)


def test_tables_convert_in_one_call_with_the_same_columns():
    run = RunBuilder().new(1, 1, 1, 10_000, 10).fill(1, 1, 1, 10_000, 10, fee=3)
    fills = BacktestResult(run.output()).fills
    arrow, pandas, polars = fills.to_arrow(), fills.to_pandas(), fills.to_polars()
    assert arrow.column_names == list(pandas.columns) == polars.columns == list(fills.columns)
    assert pandas["strategy"][0] == polars["strategy"][0] == "maker"
    assert pandas["ts_venue"][0].value == START + 10**9
    assert polars["price"][0] == 10_000
    assert arrow["reason"].to_pylist() == ["queue_reached"]
    assert fills[fills["qty"] > 10].to_arrow().num_rows == 0


def test_a_missing_library_is_a_sentence_with_the_line_that_installs_it(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match=r"pip install 'nanotick\[frames\]'"):
        BacktestResult(RunBuilder().output()).fills.to_polars()


def test_a_run_of_nothing_has_empty_tables_and_undefined_figures():
    result = BacktestResult(RunBuilder().output())
    assert [len(t) for t in (result.fills, result.orders, result.equity, result.risk_events, result.signals)] == [0] * 5
    total = result.statistics.total
    assert total.net == 0.0
    assert np.isnan([total.sharpe, total.hit_ratio, total.fill_ratio, total.maker_share, total.calmar]).all()


def test_an_output_of_the_wrong_layout_is_refused():
    with pytest.raises(TypeError, match=r"RunOutput\.records"):
        RunOutput(np.zeros(1), RunBuilder().instruments, ())
