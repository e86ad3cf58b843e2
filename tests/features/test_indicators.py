"""What holds for every indicator: warm-up, reset, bad values, capacity, drift, and one result in every mode."""

import math
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nanotick as nt
from nanotick.core.mode import INTERPRET
from nanotick.features import INDICATORS, Indicator, arguments_of

ROOT = Path(__file__).resolve().parents[2]
TICKS = 2_000


def inputs(cls: type[Indicator], count: int = TICKS, seed: int = 1) -> list[np.ndarray[Any, Any]]:
    """Columns for `update`, by the names of its arguments."""
    random = np.random.default_rng(seed)
    mid = 1_000.0 + np.cumsum(random.normal(size=count))
    made = {
        "x": mid, "price": mid, "close": mid, "high": mid + 1.0, "low": mid - 1.0, "bid": mid - 1.0, "ask": mid + 1.0,
        "qty": random.integers(1, 90, count).astype(float),
        "bid_qty": random.integers(1, 90, count).astype(float),
        "ask_qty": random.integers(1, 90, count).astype(float),
        "signed_qty": random.integers(-90, 90, count).astype(float),
        "side": random.choice([-1, 1], count),
        "ts": np.cumsum(random.integers(1, 400_000_000, count)),
    }  # fmt: skip
    return [
        made[n] for n in cls.methods["update"].__code__.co_varnames[1 : 1 + len(arguments_of(cls.methods["update"]))]
    ]


every = pytest.mark.parametrize("cls", INDICATORS, ids=lambda cls: cls.__name__)


@every
def test_source_and_compiled_code_agree_to_the_bit(cls: type[Indicator]) -> None:
    columns = inputs(cls)
    compiled, stepped = cls(), cls()
    found = compiled.run(*columns)
    wanted = [stepped.update(*(c[i].item() for c in columns)) for i in range(TICKS)]  # type: ignore[attr-defined]
    assert np.array_equal(found, wanted, equal_nan=True)
    assert compiled._buffer.tobytes() == stepped._buffer.tobytes()


@every
def test_reset_forgets_all_but_the_parameters(cls: type[Indicator]) -> None:
    columns = inputs(cls)
    used = cls()
    assert not used.ready()  # type: ignore[attr-defined]
    first = used.run(*columns)
    assert used.ready()  # type: ignore[attr-defined]
    assert math.isfinite(first[-1])
    used.reset()
    assert not used.ready()  # type: ignore[attr-defined]
    assert np.array_equal(used.run(*columns), first, equal_nan=True)
    assert used.settings() == cls().settings()


@every
def test_values_that_are_not_finite_are_passed_over(cls: type[Indicator]) -> None:
    columns = inputs(cls)
    floats = [i for i, c in enumerate(columns) if c.dtype == float]
    if not floats:
        pytest.skip("takes times only")
    spoiled = [np.repeat(c, 2) for c in columns]
    for i in floats:
        spoiled[i][1::2] = math.nan
    assert np.array_equal(cls().run(*spoiled)[1::2], cls().run(*columns), equal_nan=True)


@every
def test_arrays_may_come_in_pieces(cls: type[Indicator]) -> None:
    columns = inputs(cls)
    whole, pieces = cls(), cls()
    found = [pieces.run(*(c[a:b] for c in columns)) for a, b in ((0, 7), (7, 8), (8, TICKS))]
    assert np.array_equal(np.concatenate(found), whole.run(*columns), equal_nan=True)


def test_a_window_may_be_set_up_to_the_capacity() -> None:
    x = inputs(nt.SMA)[0]
    narrow = nt.SMA(5, capacity=40)
    narrow.window = 30
    assert np.array_equal(narrow.run(x), nt.SMA(30).run(x))
    beyond = nt.SMA(5, capacity=40)
    beyond.window = 1_000_000  # must not write behind the ring
    assert np.array_equal(beyond.run(x), nt.SMA(40).run(x))
    assert beyond.ready()


def test_windows_do_not_drift_over_two_million_ticks() -> None:
    random = np.random.default_rng(2)
    x = 1e6 + np.cumsum(random.normal(size=2_000_000)) * 0.01
    x[700_000:700_050] += 1e9  # a glitch that a plain running sum of squares would never get over
    window = 1_000
    tail = [Fraction(float(v)) for v in x[-window:]]
    mean = sum(tail) / window
    variance = sum((v - mean) ** 2 for v in tail) / (window - 1)
    score = nt.ZScore(window)
    score.run(x)
    assert score.mean() == pytest.approx(float(mean), rel=1e-15)
    assert score.deviation() == pytest.approx(math.sqrt(variance), rel=1e-9)
    plain = np.cumsum(x)
    assert abs((plain[-1] - plain[-1 - window]) / window - float(mean)) > 1e3 * abs(score.mean() - float(mean))


def test_vwap_keeps_every_digit_of_two_million_trades() -> None:
    random = np.random.default_rng(3)
    price, qty = random.uniform(99.0, 101.0, 2_000_000), random.uniform(0.001, 1e6, 2_000_000)
    exact = math.fsum((price * qty).tolist()) / math.fsum(qty.tolist())
    assert nt.VWAP().run(price, qty)[-1] == pytest.approx(exact, rel=3e-16)


def test_a_flat_window_has_no_deviation_after_a_noisy_past() -> None:
    x = np.concatenate([np.random.default_rng(4).normal(1e4, 5.0, 333), np.full(300, 10_001.3)])
    score = nt.ZScore(50)
    assert score.run(x)[-1] == 0.0
    assert score.deviation() == 0.0


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: nt.EMA(0.5), "EMA.period is at least 1"),
        (lambda: nt.EMA(math.nan), "EMA.period"),
        (lambda: nt.SMA(0), "SMA.window"),
        (lambda: nt.SMA(10, capacity=1 << 21), "keeps 1 to"),
        (lambda: nt.ZScore(10, ddof=2), "ddof is 0 or 1"),
        (lambda: nt.VPIN(0.0), "VPIN.bucket"),
        (lambda: nt.EMA(3).run([1.0], [2.0]), "takes x; found 2 arrays"),
        (lambda: nt.VWAP().run([1.0], [2.0, 3.0]), "one length"),
        (lambda: nt.MACD().run([1.0], output="signl"), "has no value 'signl'"),
        (lambda: nt.each(nt.EMA(3), -1), "found -1"),
    ],
)
def test_mistakes_are_named(make: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make()


class Range(nt.Indicator):
    """An indicator of one's own: decaying distance of highs and lows."""

    decay: float
    mean: float
    count: int

    def __init__(self, decay: float = 0.5) -> None:
        super().__init__(decay=decay)

    def update(self, high: float, low: float) -> float:
        """Take a bar."""
        self.mean += self.decay * (high - low - self.mean)
        self.count += 1
        return self.value()

    def value(self) -> float:
        """The decayed range."""
        return self.mean

    def ready(self) -> bool:
        """Whether a bar was seen."""
        return self.count > 0


def test_an_indicator_of_ones_own_works_like_the_others() -> None:
    assert Range(0.5).run([3.0, 5.0], [1.0, 1.0]).tolist() == [1.0, 2.5]
    assert Range.parameters == ("decay",)


DIGEST = """
import hashlib, sys
sys.path.insert(0, {root!r})
from tests.features.test_indicators import inputs
from nanotick.features import INDICATORS
h = hashlib.sha256()
for cls in INDICATORS:
    made = cls()
    h.update(made.run(*inputs(cls, 200)).tobytes() + made._buffer.tobytes())
print(h.hexdigest())
"""


@pytest.mark.skipif(INTERPRET, reason="there is nothing to compare with")
def test_interpreted_and_compiled_processes_agree() -> None:
    def digest(interpret: str) -> str:
        environment = {**os.environ, "NANOTICK_INTERPRET": interpret, "PYTHONPATH": str(ROOT / "src")}
        code = DIGEST.format(root=str(ROOT))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
        return done.stdout

    assert digest("1") == digest("")
