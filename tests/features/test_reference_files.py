"""Indicators against columns that others computed: the test data of QuantConnect's LEAN, bars with expected values."""

import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import pytest

import nanotick as nt


@pytest.fixture(scope="module")
def reference(shared_data: Path) -> Callable[[str], pd.DataFrame]:
    """Reads a file of the archive; columns are named in small letters."""
    archive = shared_data / "indicator_golden" / "lean_tests_testdata.tar.xz"
    if not archive.is_file():
        pytest.skip(
            "No reference values of indicators: shared/data/indicator_golden/lean_tests_testdata.tar.xz is absent."
        )
    with tarfile.open(archive) as opened:
        held = {Path(m.name).name: opened.extractfile(m).read() for m in opened if m.isfile()}  # type: ignore[union-attr]

    def read(name: str) -> pd.DataFrame:
        rows = pd.read_csv(io.BytesIO(held[name]))
        rows.columns = [c.strip().lower() for c in rows.columns]
        return rows

    return read


@dataclass
class Case:
    """A column of a file, what gives it, how near, and how many of its rows are another recursion's start."""

    file: str
    column: str
    found: Callable[[Any], Any]
    within: float  # absolute
    skip: int = 0


def bands(output: str, scale: float = 1.0) -> Callable[[Any], Any]:
    return lambda d: nt.Bollinger(20).run(d.close, output=output) * scale


def typical(d: Any) -> Any:
    return (d.high + d.low + d.close) / 3.0


def difference(d: Any) -> Any:
    return nt.SMA(5).run(d.close) - nt.SMA(10).run(d.close)


def channel(window: int, output: str) -> Callable[[Any], Any]:
    return lambda d: nt.Donchian(window).run(d.high, d.low, output=output)


def closes(window: int, output: str = "") -> Callable[[Any], Any]:
    return lambda d: nt.Donchian(window).run(d.close, d.close, output=output)


def ema(d: Any) -> Any:
    return nt.EMA(5).run(d)


# LEAN begins an EMA with the mean of its first values and we with the first: 150 rows forget that. Tolerances are the
# files' rounding (cents of an index near 14,000, four to six decimals) or that of float64.
CASES = [
    Case("spy_with_indicators.txt", "sma14", lambda d: nt.SMA(14).run(d.close), 0.006),
    Case("spy_with_indicators.txt", "ema14", lambda d: nt.EMA(14).run(d.close), 0.006, skip=150),
    Case("spy_with_indicators.txt", "macd 12 26", lambda d: nt.MACD().run(d.close), 6e-4, skip=150),
    Case("spy_with_indicators.txt", "rsi 14 wilder", lambda d: nt.RSI(14).run(d.close), 6e-6),
    Case("spy_ema.csv", "ema14", lambda d: nt.EMA(14).run(d.close), 2e-10, skip=150),
    Case("spy_dema.txt", "dema_5", lambda d: 2 * ema(d.close) - ema(ema(d.close)), 1e-12, skip=150),
    Case("spy_with_rma.csv", "sma10", lambda d: nt.SMA(10).run(d.close), 1e-12, skip=9),
    Case("spy_with_macd.txt", "macd", lambda d: nt.MACD().run(d.close), 8e-6),
    Case("spy_with_macd.txt", "signal", lambda d: nt.MACD().run(d.close, output="signal"), 2e-5),
    Case("spy_with_macd.txt", "histogram", lambda d: nt.MACD().run(d.close, output="histogram"), 6e-6),
    Case("spy_apo.txt", "apo_5_10", difference, 1e-12),
    Case("spy_ppo.txt", "ppo_5_10", lambda d: 100.0 * difference(d) / nt.SMA(10).run(d.close), 1e-12),
    Case("spy_atr_wilder.txt", "average true range 14", lambda d: nt.ATR(14).run(d.high, d.low, d.close), 6e-6),
    Case("spy_tr.txt", "tr", lambda d: nt.ATR(1).run(d.high, d.low, d.close), 1e-13),
    Case("spy_natr.txt", "natr_5", lambda d: 100.0 * nt.ATR(5).run(d.high, d.low, d.close) / d.close, 1e-13, skip=150),
    Case("spy_cmo.txt", "cmo_5", lambda d: 2.0 * nt.RSI(5).run(d.close) - 100.0, 1e-12),
    Case("spy_bollinger_bands.txt", "moving average 20", bands("mean"), 1e-12),
    Case("spy_bollinger_bands.txt", "bollinger bands® 20 2 top", bands("upper"), 1e-4),
    Case("spy_bollinger_bands.txt", "bollinger bands® 20 2 bottom", bands("lower"), 1e-4),
    Case("spy_bollinger_bands.txt", "bandwidth", bands("bandwidth", 100.0), 2e-4),
    Case("spy_bollinger_bands.txt", "%b", bands("value"), 1e-4),
    Case("spy_sm.csv", "bb high", bands("upper"), 1e-9),
    Case("spy_sm.csv", "bb low", bands("lower"), 1e-9),
    Case("spy_var.txt", "var", lambda d: nt.ZScore(10, ddof=0).run(d.close, output="deviation") ** 2, 2e-10),
    Case("spy_with_keltner.csv", "middle band", lambda d: nt.SMA(20).run(typical(d)), 1e-4),
    Case("spy_with_vwma.csv", "vwma20", lambda d: nt.RollingVWAP(20).run(d.close, d.volume), 1e-12),
    Case(
        "spy_with_vwap.txt",
        "moving vwap 50",
        lambda d: nt.RollingVWAP(50).run((d.open + d.high + d.low + d.close) / 4.0, d.volume),
        1e-4,
    ),
    Case("spy_with_don50.txt", "donchian channels 50 top", channel(50, "upper"), 0.0),
    Case("spy_with_don50.txt", "donchian channels 50 bottom", channel(50, "lower"), 0.0),
    Case("spy_with_don50.txt", "donchian channels 50 mean", channel(50, ""), 1e-12),
    Case("spy_max.txt", "max_5", closes(5, "upper"), 0.0),
    Case("spy_min.txt", "min_5", closes(5, "lower"), 0.0),
    Case("spy_midpoint.txt", "midpoint_5", closes(5), 1e-12),
    Case("spy_midprice.txt", "midprice_5", channel(5, ""), 1e-12),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.file}-{c.column}")
def test_a_column_of_lean_is_reproduced(reference: Callable[[str], pd.DataFrame], case: Case) -> None:
    rows = reference(case.file)
    wanted = pd.to_numeric(rows[case.column], errors="coerce").to_numpy(float)
    found = np.asarray(case.found(rows), float)
    known = np.flatnonzero(~np.isnan(wanted))[case.skip :]
    assert len(known) > 180
    np.testing.assert_allclose(found[known], wanted[known], rtol=0.0, atol=case.within)


def test_an_ema_begun_with_leans_value_goes_on_as_leans(reference: Callable[[str], pd.DataFrame]) -> None:
    rows = reference("spy_ema.csv")
    first = int(rows["ema14"].first_valid_index())  # type: ignore[arg-type]
    continued = [rows["ema14"][first], *rows["close"][first + 1 :]]
    np.testing.assert_allclose(nt.EMA(14).run(continued), rows["ema14"][first:], rtol=1e-14)


def test_value_at_risk_is_a_quantile_of_the_rolling_normal(reference: Callable[[str], pd.DataFrame]) -> None:
    rows = reference("spy_valueatrisk.csv")
    returns = rows["returns"].to_numpy(float)
    mean, deviation = nt.ZScore(252).run(returns, output="mean"), nt.ZScore(252).run(returns, output="deviation")
    for level in (1, 5, 10):
        wanted = rows[f"var_{100 - level}"].to_numpy(float)
        known = ~np.isnan(wanted)
        found = mean + NormalDist().inv_cdf(level / 100.0) * deviation
        np.testing.assert_allclose(found[known], wanted[known], rtol=1e-12)


def test_kyles_slope_times_variance_is_the_covariance(reference: Callable[[str], pd.DataFrame]) -> None:
    rows = reference("spy_qqq_cov.csv")
    spy, qqq = (rows[rows["symbol"] == s].set_index("date") for s in ("SPY", "QQQ"))
    both = pd.DataFrame({"x": spy["close"], "y": qqq["close"], "wanted": spy["covariance"]}).dropna(subset=["x", "y"])
    x, y = (both[c].pct_change().fillna(0.0).to_numpy() for c in ("x", "y"))
    slope = nt.KyleLambda(252).run(np.cumsum(y), x)
    variance = nt.ZScore(252).run(x, output="deviation") ** 2
    np.testing.assert_allclose((slope * variance)[300:], both["wanted"].to_numpy()[300:], rtol=1e-9)
