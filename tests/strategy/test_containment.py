"""Strategy code cannot reach a limit, a command or another strategy's orders except through risk."""

import sys
from pathlib import Path
from typing import Any

import pytest

import nanotick as nt
from nanotick.core.instruments import InstrumentTable
from nanotick.core.records import Kind
from nanotick.data.synthetic import synthetic_day
from nanotick.risk.limits import RiskLimits
from nanotick.risk.records import RiskCheck
from nanotick.strategy.base import StrategyError
from nanotick.strategy.compile import compile_strategy
from tests.engine.conftest import run_of
from tests.strategy.test_errors import load

WAYS_ROUND = [
    ("from nanotick.core.memory import store_i64", "store_i64(4096, 1)"),
    ("import nanotick.core.memory as memory", "memory.store_i64(4096, 1)"),
    ("from nanotick.risk.limits import set_limit", "set_limit(4096, 0, 0, 1)"),
    ("from nanotick.orders.table import order_release", "order_release(4096, 1, 0)"),
    ("from nanotick.engine.step import settle", "settle(4096, 0)"),
    ("from nanotick.strategy.types import context_address", "context_address(ctx)"),
    ("from numba import carray", "carray(4096, 1)"),
    ("import ctypes", "ctypes.memset(4096, 0, 8)"),
]


@pytest.mark.parametrize(("line", "call"), WAYS_ROUND)
def test_naming_a_way_round_ctx_is_refused(tmp_path: Path, line: str, call: str) -> None:
    probe = load(tmp_path, f"def on_book(self, ctx):\n    {call}")
    # what `import` at the top of the user's file would have done
    exec(line, vars(sys.modules[probe.__module__]))
    with pytest.raises(StrategyError, match="reaches past ctx"):
        compile_strategy(probe)


def test_a_helper_function_cannot_reach_round_ctx_either(tmp_path: Path) -> None:
    probe = load(tmp_path, "def on_book(self, ctx):\n    self.size = doubled(3)")
    module: Any = sys.modules[probe.__module__]
    exec("from nanotick.core.memory import load_i64\ndef doubled(x):\n    return load_i64(x)", vars(module))
    with pytest.raises(StrategyError, match="reaches past ctx"):
        compile_strategy(probe)


@pytest.mark.parametrize("name", ["risk_address", "orders_address", "intents_address", "_address", "limits"])
def test_the_context_has_no_fields(tmp_path: Path, name: str) -> None:
    with pytest.raises(StrategyError, match="ctx has no method"):
        load(tmp_path, f"def on_book(self, ctx):\n    self.size = ctx.{name}")


class Glutton(nt.Strategy):
    """Asks for far too much, far away, and for other people's orders to be cancelled."""

    size: int = 10_000_000

    def on_book(self, ctx: Any) -> None:
        ctx.buy(self.size, ctx.best_ask())
        ctx.sell(100, ctx.best_bid() // 2)
        for order_id in range(1, 64):
            ctx.cancel((1 << 20) + order_id)
            ctx.replace((1 << 20) + order_id, ctx.best_ask(), self.size)


class Quiet(nt.Strategy):
    """Keeps one modest order."""

    def on_book(self, ctx: Any) -> None:
        if ctx.has_book() and ctx.open_orders() == 0 and ctx.position() == 0:
            ctx.buy(1, ctx.best_bid() - 20 * ctx.tick_size())


def test_no_command_leaves_that_risk_has_not_passed() -> None:
    made = synthetic_day(seed=3, seconds=30)
    table: InstrumentTable = made.instruments
    out = run_of(made.events, table, [Quiet(), Glutton()], limits=RiskLimits()).run()
    commands = out.records[out.records["kind"] >= int(Kind.NEW)]
    refusals = out.records[out.records["kind"] == int(Kind.RISK)]
    # bytes 50 and 51 of a command are the strategy: the low half of the event's `word` after type and time in force
    strategy = (commands["word"] >> 16) & 0xFFFF
    assert set(strategy.tolist()) == {0}
    assert set(commands["kind"].tolist()) == {int(Kind.NEW)}
    checks = {RiskCheck(int(word)) for word in refusals["word"]}
    assert RiskCheck.MAX_ORDER_QTY in checks
    assert RiskCheck.PRICE_COLLAR in checks
