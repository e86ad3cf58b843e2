"""hftbacktest 2.4.4 replaying generated data; runs in the peers' environment and prints one line of JSON.

    hftbacktest_replay.py WORK FILE.npy BOOK

WORK is one of
    noop          step every 100 ms, look at both best prices, do nothing
    maker_100ms   every 100 ms, ten post-only bids and ten asks, one tick apart from the touch outwards
    maker_10ms    the same every 10 ms
    lean_100ms, lean_10ms   the same orders, written with arithmetic where hftbacktest's tutorials use dictionaries
    orders_noop   as noop, on order-by-order data with the exact FIFO queue
    orders_maker, orders_lean   as maker_100ms and lean_100ms, on order-by-order data
    many_noop     as noop, on the 64 instruments of one file cut in 64 equal parts
    one_noop      as noop, on the first of those 64 instruments, repeated as one backtest after the other

BOOK is `vector` (ROIVectorMarketDepth) or `hash` (HashMapMarketDepth). Latency is half a millisecond each way, the
queue model the power-probability one with exponent 2, fills are whole. The market maker is written twice: as
hftbacktest's tutorial on grid trading writes it (the orders wanted go into a dictionary, the working ones are compared
with it), and lean. Both send the same orders. The value is rows a second of processor time, median of five, after a run
that compiles.
"""

import json
import statistics
import sys
import time
from typing import Any

import numpy as np
from hftbacktest import GTX, LIMIT, BacktestAsset, HashMapMarketDepthBacktest, ROIVectorMarketDepthBacktest
from hftbacktest.order import BUY, SELL
from numba import njit, types, uint64
from numba.typed import Dict

RUNS = 5
LEVELS = 10
LATENCY_NS = 500_000
INSTRUMENTS = 64


@njit
def noop(hbt: Any, step_ns: Any, lot: Any) -> Any:
    seen = 0.0
    steps = 0
    while hbt.elapse(step_ns) == 0:
        for asset in range(hbt.num_assets):
            depth = hbt.depth(asset)
            seen += depth.best_ask - depth.best_bid
        steps += 1
    return steps, seen


@njit
def maker(hbt: Any, step_ns: Any, lot: Any) -> Any:
    """Keep LEVELS bids from the best bid down and LEVELS asks from the best ask up, leaning against the position."""
    orders_sent = 0
    steps = 0
    while hbt.elapse(step_ns) == 0:
        steps += 1
        hbt.clear_inactive_orders(0)
        depth = hbt.depth(0)
        bid, ask, tick = depth.best_bid_tick, depth.best_ask_tick, depth.tick_size
        if bid <= 0 or ask <= bid or ask > 1_000_000_000:
            continue
        # One tick of skew for every ten lots held.
        lean = int(np.round(hbt.position(0) / (10.0 * lot)))
        top_bid = min(bid, bid - lean)
        top_ask = max(ask, ask - lean)
        new_bids = Dict.empty(types.uint64, types.float64)
        new_asks = Dict.empty(types.uint64, types.float64)
        for i in range(LEVELS):
            new_bids[uint64(2 * (top_bid - i))] = (top_bid - i) * tick
            new_asks[uint64(2 * (top_ask + i) + 1)] = (top_ask + i) * tick
        orders = hbt.orders(0)
        values = orders.values()
        while values.has_next():
            order = values.get()
            if order.cancellable and (
                (order.side == BUY and order.order_id not in new_bids)
                or (order.side == SELL and order.order_id not in new_asks)
            ):
                hbt.cancel(0, order.order_id, False)
        for order_id, price in new_bids.items():
            if order_id not in orders:
                hbt.submit_buy_order(0, order_id, price, lot, GTX, LIMIT, False)
                orders_sent += 1
        for order_id, price in new_asks.items():
            if order_id not in orders:
                hbt.submit_sell_order(0, order_id, price, lot, GTX, LIMIT, False)
                orders_sent += 1
    return steps, float(orders_sent)


@njit
def lean_maker(hbt: Any, step_ns: Any, lot: Any) -> Any:
    """Send the orders of `maker` without its dictionaries."""
    orders_sent = 0
    steps = 0
    while hbt.elapse(step_ns) == 0:
        steps += 1
        hbt.clear_inactive_orders(0)
        depth = hbt.depth(0)
        bid, ask, tick = depth.best_bid_tick, depth.best_ask_tick, depth.tick_size
        if bid <= 0 or ask <= bid or ask > 1_000_000_000:
            continue
        # One tick of skew for every ten lots held.
        lean = int(np.round(hbt.position(0) / (10.0 * lot)))
        top_bid = min(bid, bid - lean)
        top_ask = max(ask, ask - lean)
        orders = hbt.orders(0)
        values = orders.values()
        while values.has_next():
            order = values.get()
            if order.cancellable:
                at = order.price_tick
                if order.side == BUY:
                    keep = top_bid - LEVELS < at <= top_bid
                else:
                    keep = top_ask <= at < top_ask + LEVELS
                if not keep:
                    hbt.cancel(0, order.order_id, False)
        for i in range(LEVELS):
            order_id = uint64(2 * (top_bid - i))
            if order_id not in orders:
                hbt.submit_buy_order(0, order_id, (top_bid - i) * tick, lot, GTX, LIMIT, False)
                orders_sent += 1
            order_id = uint64(2 * (top_ask + i) + 1)
            if order_id not in orders:
                hbt.submit_sell_order(0, order_id, (top_ask + i) * tick, lot, GTX, LIMIT, False)
                orders_sent += 1
    return steps, float(orders_sent)


def asset(data: np.ndarray, order_by_order: bool) -> BacktestAsset:
    """Return one instrument with the models above; the price range is the data's, widened by a tenth."""
    tick, lot = (0.01, 1.0) if order_by_order else (0.1, 0.001)
    prices = data["px"][data["px"] > 0]
    built = (
        BacktestAsset()
        .data(data)
        .linear_asset(1.0)
        .constant_order_latency(LATENCY_NS, LATENCY_NS)
        .no_partial_fill_exchange()
        .trading_value_fee_model(-0.00005, 0.0007)
        .tick_size(tick)
        .lot_size(lot)
        .roi_lb(float(prices.min()) * 0.9)
        .roi_ub(float(prices.max()) * 1.1)
        .last_trades_capacity(0)
    )
    return built.l3_fifo_queue_model() if order_by_order else built.power_prob_queue_model(2.0)


def main() -> None:
    work, path, book = sys.argv[1:4]
    build = {"vector": ROIVectorMarketDepthBacktest, "hash": HashMapMarketDepthBacktest}[book]
    data = np.load(path)
    order_by_order = work.startswith("orders_")
    strategy = maker if "maker" in work else lean_maker if "lean" in work else noop
    step_ns = 10_000_000 if work.endswith("_10ms") else 100_000_000
    lot = 1.0 if order_by_order else 0.001
    if work in ("many_noop", "one_noop"):
        cut = len(data) // INSTRUMENTS
        parts = [data[i * cut : (i + 1) * cut] for i in range(INSTRUMENTS)]
        if work == "one_noop":
            parts = parts[:1]
    else:
        parts = [data]
    rows = sum(len(part) for part in parts)
    repeat = INSTRUMENTS if work == "one_noop" else 1

    seconds = []
    for run in range(RUNS + 1):
        spent = 0
        for _ in range(repeat):
            hbt = build([asset(part, order_by_order) for part in parts])
            start = time.process_time_ns()
            steps, seen = strategy(hbt, step_ns, lot)
            spent += time.process_time_ns() - start
            traded = float(hbt.state_values(0).num_trades)
            hbt.close()
        if run:
            seconds.append(spent / 1e9)
    value = rows * repeat / statistics.median(seconds)
    print(json.dumps({"value": value, "unit": "rows/s", "rows": rows, "steps": steps, "seen": seen, "fills": traded}))


if __name__ == "__main__":
    main()
