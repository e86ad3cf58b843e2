"""Indicators inside strategies: parts of the record, compiled into the callbacks, one for each instrument."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nanotick as nt
from nanotick.core.mode import INTERPRET
from nanotick.core.records import Kind
from nanotick.core.snapshot import read_snapshot, write_snapshot
from nanotick.data.synthetic import synthetic_day
from nanotick.engine.collect import final_indicators
from nanotick.features import Part
from nanotick.strategy.base import StrategyError
from nanotick.strategy.compile import compile_strategy
from tests.engine.conftest import run_of
from tests.strategy.test_errors import load

ROOT = Path(__file__).resolve().parents[2]
INSTRUMENTS = 8


class Trend(nt.Strategy):
    """Follows two averages of the trades of each instrument."""

    period: float = 12.0
    size: int = 1
    trades: int = 0
    fast: nt.EMA = nt.EMA(3)
    slow: nt.Array = nt.each(nt.SMA(50, capacity=64))
    flow: nt.Array = nt.each(nt.OrderFlowImbalance(20), INSTRUMENTS)
    vwap: nt.VWAP = nt.VWAP()
    clock: nt.TimeEMA = nt.TimeEMA(1e9)

    def on_start(self, ctx: Any) -> None:
        self.fast.period = self.period

    def on_book(self, ctx: Any) -> None:
        i = ctx.instrument()
        self.flow[i].update(ctx.best_bid(), ctx.bid_qty(), ctx.best_ask(), ctx.ask_qty())

    def on_trade(self, ctx: Any, trade: Any) -> None:
        i = ctx.instrument()
        self.slow[i].update(trade.price)
        if i != 0:
            return
        x = self.fast.update(trade.price)
        self.vwap.update(trade.price, trade.qty)
        self.clock.update(trade.ts_recv, trade.price)
        self.trades += 1
        if self.slow[i].ready() and ctx.position() == 0 and ctx.open_orders() == 0 and x > self.slow[i].value():
            ctx.buy(self.size, ctx.best_ask(), tif=nt.IOC)


def run(seconds: int = 60) -> tuple[Any, Any, Any]:
    made = synthetic_day(seed=5, seconds=seconds)
    engine = run_of(made.events, made.instruments, [Trend(period=20.0)])
    return made, engine, engine.run()


def trades_of(events: Any, instrument: int) -> Any:
    """Every print of an instrument: beside the book, or an execution of an order in it."""
    return events[np.isin(events["kind"], [int(Kind.TRADE), int(Kind.EXECUTE)]) & (events["instrument"] == instrument)]


def state(engine: Any) -> Any:
    return engine.local.selves[0]


def test_a_strategys_indicators_are_those_of_the_arrays() -> None:
    made, engine, out = run()
    events = made.events
    own = state(engine)[0]
    trades = trades_of(events, 0)
    fast, slow = nt.EMA(20), nt.SMA(50)
    assert own["trades"] == own["fast"]["count"] == own["clock"]["count"] > 60
    # a print is handed over once, whether the tape tells it beside the book or as an execution of an order in it
    assert own["trades"] == len(trades)
    prices = trades["price"].astype(float)
    assert fast.run(prices)[-1] == own["fast"]["mean"]
    slow.run(prices)
    assert Part(Trend.fields["slow"]).view(state(engine)["slow"].ctypes.data)[0].value() == slow.value()
    assert own["fast"]["period"] == 20.0
    assert {int(own["flow"][i]["seen"]) > 10 for i in range(len(made.instruments))} == {True}
    assert (out.records["kind"] == int(Kind.NEW)).any()


class Guess(nt.Indicator):
    """Its reading changes it, and divides by nothing before the first value."""

    total: float
    count: int
    asked: int

    def __init__(self) -> None:
        super().__init__()

    def update(self, x: float) -> float:
        """Take a value."""
        self.total += x
        self.count += 1
        return self.total

    def value(self) -> float:
        """The mean."""
        self.asked += 1
        return self.total / float(self.count)

    def ready(self) -> bool:
        """Whether there is one."""
        return self.count > 0


class Guessing(nt.Strategy):
    """Keeps indicators of every kind."""

    span: float = 7.0
    lone: nt.EMA = nt.EMA(3)
    never: Guess = Guess()
    mine: Guess = Guess()
    pair: nt.Array = nt.each(nt.SMA(2), 2)
    many: nt.Array = nt.each(nt.Bollinger(4))

    def on_start(self, ctx: Any) -> None:
        self.lone.period = self.span

    def on_trade(self, ctx: Any, trade: Any) -> None:
        self.many[ctx.instrument()].update(trade.price)
        if ctx.instrument() == 0:
            self.lone.update(trade.price)
            self.mine.update(trade.price)
            self.pair[1].update(trade.price)


def test_what_indicators_said_last_stands_in_the_json_and_in_the_report(tmp_path: Path) -> None:
    made = synthetic_day(seed=5, seconds=30)
    result = nt.backtest((made.events, made.instruments), Guessing())
    prices = [float(p) for p in trades_of(made.events, 0)["price"]]
    told = result.to_dict()["strategies"][0]
    found = {(i["name"], i["symbol"]): i for i in told["indicators"]}
    symbols = [i.symbol for i in made.instruments]
    assert [n for n, _ in found] == ["lone", "never", "mine", "pair[0]", "pair[1]", *(["many"] * len(symbols))]
    assert told["indicators_left_out"] == 0
    lone = nt.EMA(7)
    assert found["lone", None]["indicator"] == "EMA(period=7.0)"
    assert found["lone", None]["values"] == {"value": lone.run(prices)[-1]}
    assert found["never", None] == {
        "name": "never", "indicator": "Guess()", "symbol": None, "ready": False, "values": {"value": None},
    }  # fmt: skip
    assert found["mine", None]["values"]["value"] == pytest.approx(np.mean(prices))
    assert found["pair[1]", None]["values"]["value"] == np.mean(prices[-2:])
    for n, symbol in enumerate(symbols):
        bands = nt.Bollinger(4)
        bands.run(trades_of(made.events, n)["price"])
        assert found["many", symbol]["ready"]
        assert found["many", symbol]["values"] == bands.figures()
        assert set(bands.figures()) == {"mean", "upper", "lower", "deviation", "bandwidth", "value"}
    page = result.write_html(tmp_path / "run.html").read_text("utf-8")
    assert "Indicator at the end" in page
    assert f"lower {bands.lower():,.6g}" in page
    assert "value –" in page


def test_looking_at_indicators_changes_nothing_and_is_bounded() -> None:
    record: Any = np.zeros(1, Guessing.dtype_for(600))
    Guessing().write(record)
    before = record.tobytes()
    held, left_out = final_indicators(Guessing, record, range(600))
    assert record.tobytes() == before
    assert (len(held), left_out) == (5 + 256, 600 - 256)
    assert held[-1].instrument == 255


def test_a_snapshot_holds_them(tmp_path: Path) -> None:
    _, engine, _ = run()
    before = state(engine).tobytes()
    write_snapshot(engine.local.arena, tmp_path / "state.snap", 1)
    state(engine)["fast"]["mean"] = 0.0
    state(engine)["slow"] = 0
    assert state(engine).tobytes() != before
    read_snapshot(engine.local.arena, tmp_path / "state.snap")
    assert state(engine).tobytes() == before


SCRIPT = """
from tests.strategy.test_indicators import run
_, engine, out = run(20)
print(out.journal_hash, out.state_hash)
"""


@pytest.mark.skipif(INTERPRET, reason="there is nothing to compare with")
def test_interpreted_and_compiled_runs_agree() -> None:
    def hashes(interpret: str) -> str:
        path = f"{ROOT / 'src'}{os.pathsep}{ROOT}"
        environment = {**os.environ, "NANOTICK_INTERPRET": interpret, "PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, env=environment
        )
        return done.stdout

    assert hashes("1") == hashes("")


def test_starting_values_may_be_given() -> None:
    row: Any = np.zeros(1, Trend.dtype)
    Trend(fast=nt.EMA(99), slow=nt.each(nt.SMA(7, capacity=64))).write(row)
    assert row["fast"]["period"][0] == 99.0
    assert row["slow"]["window"].tolist() == [[7] * 256]
    assert Trend(fast=nt.EMA(99)).parameters == {"period": 12.0, "size": 1, "trades": 0}
    with pytest.raises(ValueError, match="of another size"):
        Trend(slow=nt.each(nt.SMA(7)))
    with pytest.raises(ValueError, match=r"Trend.fast is nt.EMA\(period=3.0\), found SMA"):
        Trend(fast=nt.SMA(3))


HEAD = "fast: nt.EMA = nt.EMA(12)\nmany: nt.Array = nt.each(nt.SMA(5), 4)\nhawkes: nt.Hawkes = nt.Hawkes()\n"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("self.fast.updat(1.0)", "which has no 'updat'; did you mean 'update'"),
        ("self.many[0].mean_of()", "self.many is a SMA, which has no 'mean_of'"),
        ("self.fast.mean = 1.0", "only its parameters can be assigned \\(period\\)"),
        ("self.many[0].capacity = 9", "only its parameters can be assigned \\(window\\)"),
        ("self.many[0].ring[0] = 1.0", "has no 'ring'"),
        ("self.fast._push(1.0)", "has no '_push'"),
    ],
)
def test_names_are_checked_when_the_class_is_defined(tmp_path: Path, body: str, said: str) -> None:
    with pytest.raises(StrategyError, match=said):
        load(tmp_path, f"{HEAD}def on_book(self, ctx):\n    {body}")


@pytest.mark.skipif(INTERPRET, reason="the compiler finds these")
@pytest.mark.parametrize(
    "body",
    [
        "e = self.many[0]\n    e.capacity = 9",
        "e = self.fast\n    e.count = 9",
        "e = self.many[0]\n    e.ring[0] = 1.0",
        "self.many[0].window = 2.5",
        "self.hawkes.update(2.5)",
    ],
)
def test_the_compiler_refuses_the_rest(tmp_path: Path, body: str) -> None:
    with pytest.raises(StrategyError):
        compile_strategy(load(tmp_path, f"{HEAD}def on_book(self, ctx):\n    {body}"))
