"""NautilusTrader 1.221.0 trading on generated quotes; runs in the peers' environment and prints one line of JSON.

    nautilus_quotes.py WORK FILE.npy

WORK is one of
    order_each_1000   a strategy sees every quote and sends a market order on each thousandth; value in quotes a second
    order_each        a market order on every quote, buying and selling in turn: submit, risk, match, fill, position,
                      account; value in cycles a second
    latency_p50, latency_p99
                      from the quote's entry into the data engine to the order's arrival at the execution engine's
                      endpoint, which is where the risk engine sends what it has passed; value in nanoseconds

Rates are processor time of the engine's run without its analysis afterwards, median of five; latency is the percentile
over all orders after a warm-up, by the performance counter, and the median of five runs.
"""

import json
import statistics
import sys
import time
from decimal import Decimal
from typing import Any

import numpy as np
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, RiskEngineConfig
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import Venue
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy

RUNS = 5
QUOTES = {"order_each_1000": 200_000, "order_each": 10_000, "latency_p50": 5_000, "latency_p99": 5_000}
WARM_QUOTES = 1_000


class EveryNth(Strategy):
    """Send a market order of one share on every `each`-th quote, buying and selling in turn."""

    def __init__(self, instrument: Any, each: int) -> None:
        super().__init__()
        self.instrument = instrument
        self.each = each
        self.seen = 0
        self.sent = 0
        self.one = Quantity.from_int(1)

    def on_start(self) -> None:
        self.subscribe_quote_ticks(self.instrument.id)

    def on_quote_tick(self, tick: QuoteTick) -> None:
        self.seen += 1
        if self.seen % self.each == 0:
            side = OrderSide.SELL if self.sent & 1 else OrderSide.BUY
            self.sent += 1
            self.submit_order(self.order_factory.market(self.instrument.id, side, self.one))


def make_quotes(stream: np.ndarray, instrument_id: Any) -> list[QuoteTick]:
    return [
        QuoteTick(
            instrument_id,
            Price(bid / 100, 2),
            Price(ask / 100, 2),
            Quantity(bid_qty, 0),
            Quantity(ask_qty, 0),
            ts,
            ts,
        )
        for ts, bid, ask, bid_qty, ask_qty in stream.tolist()
    ]


def make_engine(quotes: list[QuoteTick], instrument: Any, each: int) -> tuple[BacktestEngine, EveryNth]:
    engine = BacktestEngine(
        BacktestEngineConfig(
            logging=LoggingConfig(bypass_logging=True),
            risk_engine=RiskEngineConfig(max_order_submit_rate="1000000/00:00:01"),
            run_analysis=False,
        )
    )
    engine.add_venue(
        venue=Venue("XNAS"),
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        base_currency=USD,
        starting_balances=[Money(100_000_000, USD)],
        default_leverage=Decimal(1),
    )
    engine.add_instrument(instrument)
    engine.add_data(quotes)
    strategy = EveryNth(instrument, each)
    engine.add_strategy(strategy)
    return engine, strategy


def replay_seconds(quotes: list[QuoteTick], instrument: Any, each: int) -> float:
    engine, strategy = make_engine(quotes, instrument, each)
    start = time.process_time_ns()
    engine.run(streaming=True)
    spent = (time.process_time_ns() - start) / 1e9
    fills = len([order for order in engine.cache.orders() if order.is_closed])
    if strategy.seen != len(quotes) or strategy.sent != len(quotes) // each or fills < strategy.sent - 1:
        raise SystemExit(f"{len(quotes)} quotes gave {strategy.seen} callbacks, {strategy.sent} orders, {fills} fills")
    engine.end()
    engine.dispose()
    return spent


def latencies_ns(quotes: list[QuoteTick], instrument: Any) -> np.ndarray:
    """Feed quotes into the running engine by hand and time each order up to the execution engine's endpoint."""
    engine, _ = make_engine(quotes[:WARM_QUOTES], instrument, 1)
    engine.run(streaming=True)
    bus, data, execution = engine.kernel.msgbus, engine.kernel.data_engine, engine.kernel.exec_engine
    arrived = []
    now = time.perf_counter_ns

    def at_endpoint(command: Any) -> None:
        arrived.append(now())
        execution.execute(command)

    bus.deregister(endpoint="ExecEngine.execute", handler=execution.execute)
    bus.register(endpoint="ExecEngine.execute", handler=at_endpoint)
    started = []
    for quote in quotes[WARM_QUOTES:]:
        started.append(now())
        data.process(quote)
    if len(arrived) != len(started):
        raise SystemExit(f"{len(started)} quotes gave {len(arrived)} orders past risk")
    engine.dispose()
    return np.array(arrived) - np.array(started)


def main() -> None:
    work, path = sys.argv[1:3]
    count = QUOTES[work]
    instrument = TestInstrumentProvider.equity("AAPL", "XNAS")
    quotes = make_quotes(np.load(path)[:count], instrument.id)
    if work.startswith("latency_"):
        percentile = float(work.removeprefix("latency_p"))
        runs = [float(np.percentile(latencies_ns(quotes, instrument), percentile)) for _ in range(RUNS + 1)]
        print(json.dumps({"value": statistics.median(runs[1:]), "unit": "ns"}))
        return
    each = 1_000 if work == "order_each_1000" else 1
    runs = [replay_seconds(quotes, instrument, each) for _ in range(RUNS + 1)]
    print(json.dumps({"value": count / statistics.median(runs[1:]), "unit": "quotes/s", "quotes": count}))


if __name__ == "__main__":
    main()
