"""Every indicator gives what an independent library or its own formula, summed anew each time, gives."""

import math
import statistics
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nanotick as nt
from nanotick.features.microstructure import bought_share

PRICES = st.lists(st.integers(9_000, 11_000), min_size=1, max_size=80).map(lambda x: np.array(x, float) / 10.0)
WINDOWS = st.integers(2, 12)


def _transposed(rows: Any) -> list[np.ndarray]:
    return [np.array(c) for c in zip(*rows, strict=True)]


def columns(*kinds: Any) -> Any:
    return st.lists(st.tuples(*kinds), min_size=1, max_size=80).map(_transposed)


TRADES = columns(st.integers(900, 1_100).map(float), st.integers(1, 60).map(float), st.sampled_from([-1, 1]))
QUOTES = columns(
    st.integers(95, 99).map(float),
    st.integers(1, 9).map(float),
    st.integers(100, 104).map(float),
    st.integers(1, 9).map(float),
)


def same(found: Any, wanted: Any, rtol: float = 1e-9, atol: float = 1e-9) -> None:
    np.testing.assert_allclose(np.asarray(found, float), np.asarray(wanted, float), rtol=rtol, atol=atol)


@given(PRICES, st.integers(1, 30))
def test_ema_is_pandas_ewm(x: np.ndarray, period: int) -> None:
    same(nt.EMA(period).run(x), pd.Series(x).ewm(span=period, adjust=False).mean())


@given(columns(st.integers(0, 3_000_000_000), st.integers(-50, 50).map(float)), st.integers(1_000, 5_000_000_000))
def test_time_ema_is_the_weighted_sum_of_all_that_was(rows: Any, half_life: int) -> None:
    ts, x = np.cumsum(rows[0]).astype(np.int64), rows[1]
    kept = 0.5 ** (np.diff(ts) / half_life)
    wanted = []
    for i in range(len(x)):
        weights = np.array([(1.0 if j == 0 else 1.0 - kept[j - 1]) * np.prod(kept[j:i]) for j in range(i + 1)])
        assert weights.sum() == pytest.approx(1.0)
        wanted.append(weights @ x[: i + 1])
    same(nt.TimeEMA(half_life).run(ts, x), wanted)


@given(PRICES, WINDOWS)
def test_sma_and_zscore_are_pandas_rolling(x: np.ndarray, window: int) -> None:
    rolling = pd.Series(x).rolling(window, min_periods=1)
    same(nt.SMA(window).run(x), rolling.mean())
    deviation = np.array([np.std(x[max(0, i + 1 - window) : i + 1], ddof=1) if i else np.nan for i in range(len(x))])
    same(nt.ZScore(window).run(x, output="deviation"), deviation, atol=1e-7)
    with np.errstate(invalid="ignore"):
        score = np.where(deviation > 1e-9, (x - rolling.mean()) / np.where(deviation > 1e-9, deviation, 1.0), 0.0)
    score[np.isnan(deviation)] = np.nan
    same(nt.ZScore(window).run(x), score, atol=1e-6)


@given(PRICES, WINDOWS, st.floats(0.5, 3.0))
def test_bollinger_bands_are_numpy_mean_and_population_deviation(x: np.ndarray, window: int, width: float) -> None:
    parts = [x[max(0, i + 1 - window) : i + 1] for i in range(len(x))]
    same(nt.Bollinger(window, width).run(x, output="upper"), [p.mean() + width * p.std() for p in parts], atol=1e-7)
    same(nt.Bollinger(window, width).run(x, output="lower"), [p.mean() - width * p.std() for p in parts], atol=1e-7)
    same(
        nt.Bollinger(window, width).run(x),
        [0.5 + (p[-1] - p.mean()) / (2 * width * p.std()) if p.std() > 1e-9 else 0.5 for p in parts],
        atol=1e-6,
    )


@given(columns(st.integers(900, 1_100).map(float), st.integers(0, 30).map(float)), st.integers(1, 12))
def test_donchian_channel_is_pandas_rolling_max_and_min(rows: Any, window: int) -> None:
    low, high = rows[0], rows[0] + rows[1]
    top = pd.Series(high).rolling(window, min_periods=1).max()
    bottom = pd.Series(low).rolling(window, min_periods=1).min()
    same(nt.Donchian(window).run(high, low, output="upper"), top, rtol=0.0, atol=0.0)
    same(nt.Donchian(window).run(high, low, output="lower"), bottom, rtol=0.0, atol=0.0)
    same(nt.Donchian(window).run(high, low), (top + bottom) / 2.0, rtol=0.0, atol=0.0)


@given(TRADES, WINDOWS)
def test_vwap_is_value_over_volume(rows: Any, window: int) -> None:
    price, qty, _ = rows
    same(nt.VWAP().run(price, qty), np.cumsum(price * qty) / np.cumsum(qty))
    first = [max(0, i + 1 - window) for i in range(len(price))]
    same(
        nt.RollingVWAP(window).run(price, qty),
        [np.average(price[f : i + 1], weights=qty[f : i + 1]) for i, f in enumerate(first)],
    )


def wilder(x: np.ndarray, period: int) -> np.ndarray:
    """The mean of the first `period`, then pandas' EMA of weight 1 / period."""
    if len(x) <= period:
        return np.cumsum(x) / np.arange(1, len(x) + 1)
    begin = np.cumsum(x[:period]) / np.arange(1, period + 1)
    rest = pd.Series([begin[-1], *x[period:]]).ewm(alpha=1.0 / period, adjust=False).mean()
    return np.concatenate([begin, rest[1:]])


@given(PRICES, st.integers(1, 20))
def test_rsi_is_wilders(x: np.ndarray, period: int) -> None:
    change = np.diff(x)
    up, down = wilder(np.maximum(change, 0.0), period), wilder(np.maximum(-change, 0.0), period)
    both = up + down
    wanted = np.where(both > 1e-12, 100.0 * up / np.where(both > 1e-12, both, 1.0), 50.0)
    found = nt.RSI(period).run(x)
    assert math.isnan(found[0])
    same(found[1:], wanted, atol=1e-6)


@given(PRICES, st.integers(1, 20), st.randoms(use_true_random=False))
def test_atr_is_wilders(close: np.ndarray, period: int, random: Any) -> None:
    high = close + [random.randint(0, 9) for _ in close]
    low = close - [random.randint(0, 9) for _ in close]
    before = np.concatenate([[np.nan], close[:-1]])
    ranges = np.fmax(high - low, np.fmax(abs(high - before), abs(low - before)))
    same(nt.ATR(period).run(high, low, close), wilder(ranges, period))


@given(PRICES)
def test_macd_is_three_pandas_ewms(x: np.ndarray) -> None:
    def ewm(values: Any, span: int) -> Any:
        return pd.Series(values).ewm(span=span, adjust=False).mean()

    line = ewm(x, 12) - ewm(x, 26)
    same(nt.MACD().run(x), line)
    same(nt.MACD().run(x, output="signal"), ewm(line, 9))
    same(nt.MACD().run(x, output="histogram"), line - ewm(line, 9))


@given(PRICES, WINDOWS)
def test_realised_volatility_is_the_root_of_summed_squares(x: np.ndarray, window: int) -> None:
    squares = np.diff(np.log(x)) ** 2
    found = nt.RealisedVolatility(window).run(x)
    assert math.isnan(found[0])
    same(found[1:], [math.sqrt(squares[max(0, i + 1 - window) : i + 1].sum()) for i in range(len(squares))])


@given(columns(st.integers(0, 300), st.integers(900, 1_100).map(float)), WINDOWS)
def test_clock_volatility_samples_the_last_price_of_each_interval(rows: Any, window: int) -> None:
    interval = 100
    ts, price = np.cumsum(rows[0]).astype(np.int64), rows[1]
    wanted = []
    for i in range(len(ts)):
        # a tick at an interval's end is after it
        ends = [k * interval for k in range(ts[0] // interval + 1, ts[i] // interval + 1)]
        sampled = [price[: i + 1][ts[: i + 1] < end][-1] for end in ends]
        squares = np.diff(np.log(sampled)) ** 2 if sampled else np.empty(0)
        wanted.append(math.sqrt(squares[-window:].sum()) if len(squares) else np.nan)
    same(nt.ClockVolatility(interval, window).run(ts, price), wanted)


@given(QUOTES, WINDOWS)
def test_microprice_and_order_flow_imbalance_are_their_formulas(rows: Any, window: int) -> None:
    b, qb, a, qa = rows
    share = qb / (qb + qa)
    same(nt.Microprice().run(*rows), share * a + (1.0 - share) * b)
    e = (
        (b[1:] >= b[:-1]) * qb[1:]
        - (b[1:] <= b[:-1]) * qb[:-1]
        - (a[1:] <= a[:-1]) * qa[1:]
        + (a[1:] >= a[:-1]) * qa[:-1]
    )
    found = nt.OrderFlowImbalance(window).run(*rows)
    assert math.isnan(found[0])
    same(found[1:], [e[max(0, i + 1 - window) : i + 1].sum() for i in range(len(e))])


@given(columns(st.integers(900, 1_100).map(float), st.integers(-50, 50).map(float)), WINDOWS)
def test_kyles_lambda_is_a_linear_regression(rows: Any, window: int) -> None:
    price, qty = rows
    change = np.diff(price)
    slope, at_zero = nt.KyleLambda(window), nt.KyleLambda(window)
    found, intercept = slope.run(price, qty), at_zero.run(price, qty, output="intercept")
    for i in range(len(price)):
        q, d = qty[1 : i + 1][-window:], change[:i][-window:]
        if len(q) < 2 or np.ptp(q) == 0.0:
            assert math.isnan(found[i])
        else:
            line = statistics.linear_regression(q, d)
            same([found[i], intercept[i]], [line.slope, line.intercept], rtol=1e-7, atol=1e-7)


@given(TRADES, WINDOWS, st.integers(5, 80))
def test_vpin_is_the_mean_of_imbalances_lot_by_lot(rows: Any, window: int, bucket: int) -> None:
    price, qty, side = rows
    lots: list[int] = []
    wanted = []
    for n, s in zip(qty, side, strict=True):
        lots += [int(s)] * int(n)  # one by one, buckets are slices
        full = [abs(sum(lots[i : i + bucket])) / bucket for i in range(0, len(lots) - bucket + 1, bucket)]
        wanted.append(np.mean(full[-window:]) if full else np.nan)
    same(nt.VPIN(bucket, window).run(price, qty, side), wanted)


@given(columns(st.integers(900, 1_100).map(float), st.integers(1, 40).map(float)), st.integers(50, 200))
def test_vpin_bulk_splits_by_the_normal_distribution(rows: Any, bucket: int) -> None:
    price, qty = rows
    change = np.diff(price)
    share = [0.5]
    for i in range(len(change)):
        apart = np.std(change[: i + 1], ddof=1) if i else 0.0
        share.append(statistics.NormalDist().cdf(change[i] / apart) if apart > 0 else 0.5)
    edges = np.concatenate([[0.0], np.cumsum(qty)])
    bought = np.concatenate([[0.0], np.cumsum(qty * share)])
    whole = int(edges[-1] // bucket)
    at = np.interp(np.arange(whole + 1) * bucket, edges, bought)
    imbalance = abs(2.0 * np.diff(at) - bucket) / bucket
    vpin = nt.VPIN(bucket, 10, bulk=1)
    found = vpin.run(price, qty, np.zeros(len(price)))
    if whole:
        same(found[-1], imbalance[-10:].mean(), atol=1e-6)
    else:
        assert math.isnan(found[-1])


def test_the_normal_shares_of_bulk_classification_are_within_3e_7() -> None:
    for z in np.linspace(-9.0, 9.0, 20_001).tolist():
        assert abs(bought_share(z) - 0.5 * math.erfc(-z * math.sqrt(0.5))) < 1.6e-7
    assert bought_share(0.0) == 0.5
    assert [bought_share(z) for z in (-1e9, 1e9)] == [0.0, 1.0]


@given(st.lists(st.integers(0, 2_000_000_000), min_size=1, max_size=60), st.floats(0.1, 3.0), st.floats(0.1, 9.0))
def test_hawkes_is_the_sum_over_all_events(gaps: list[int], alpha: float, beta: float) -> None:
    ts = np.cumsum(gaps).astype(np.int64)
    hawkes = nt.Hawkes(0.7, alpha, beta)
    found = hawkes.run(ts)
    same(found, [0.7 + alpha * np.exp(-beta * 1e-9 * (t - ts[: i + 1])).sum() for i, t in enumerate(ts)])
    later = int(ts[-1]) + 300_000_000
    same(hawkes.intensity(later), 0.7 + alpha * np.exp(-beta * 1e-9 * (later - ts)).sum())
