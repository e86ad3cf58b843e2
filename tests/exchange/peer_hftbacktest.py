"""Runs in the peers' environment: scripted orders through hftbacktest, every change of an order written down.

    peer_hftbacktest.py DIRECTORY

Every DIRECTORY/NAME.in.npz is played and answered in NAME.out.npz, all in one process, which compiles once.
An input holds `events` (hftbacktest's records), `actions`, `latency` (rows, empty: constant) and `settings`: queue
model, its power, partial fills, by order, entry and response latency in ns.
"""

import json
import sys
from pathlib import Path

import numpy as np
from hftbacktest import LIMIT, MARKET, BacktestAsset, HashMapMarketDepthBacktest
from numba import njit

CHANGE = np.dtype([("id", "i8"), ("ts", "i8"), ("status", "i8"), ("leaves", "f8"), ("price", "i8"), ("maker", "i8")])


@njit
def note(orders, known, out, count):
    values = orders.values()
    while values.has_next():
        order = values.get()
        at = order.order_id
        seen = known[at]
        if seen.ts != order.exch_timestamp or seen.status != order.status or seen.leaves != order.leaves_qty:
            seen.ts, seen.status, seen.leaves = order.exch_timestamp, order.status, order.leaves_qty
            row = out[count]
            row.id, row.ts, row.status, row.leaves = at, order.exch_timestamp, order.status, order.leaves_qty
            row.price, row.maker = order.exec_price_tick, order.arr[0].maker
            count += 1
    return count


@njit
def play(hbt, actions, known, out):
    count = 0
    hbt.wait_next_feed(False, 1)  # before the first row the clock stands at its end
    for i in range(len(actions) + 1):
        until = actions[i].ts if i < len(actions) else np.int64(1) << 60
        while hbt.current_timestamp < until:
            result = hbt.wait_next_feed(True, until - hbt.current_timestamp)
            count = note(hbt.orders(0), known, out, count)
            if result == 1 or result > 3 or result < 0:  # the end of the data, or hftbacktest gave up
                return count, result
        if i == len(actions):
            return count, 1
        action = actions[i]
        if action.verb == 1:
            if action.id in hbt.orders(0):
                hbt.cancel(0, action.id, False)
        elif action.side == 1:
            hbt.submit_buy_order(0, action.id, action.price, action.qty, action.tif, action.type, False)
        else:
            hbt.submit_sell_order(0, action.id, action.price, action.qty, action.tif, action.type, False)
    return count, 1


def replay(source, target):
    given = np.load(source)
    settings = json.loads(str(given["settings"]))
    events, latency = given["events"], given["latency"]  # the asset keeps their addresses, not the arrays
    asset = BacktestAsset().data(events).linear_asset(1.0).tick_size(1.0).lot_size(1.0)
    asset = asset.trading_value_fee_model(-0.0001, 0.0005)
    if len(latency):
        asset = asset.intp_order_latency(latency)
    else:
        asset = asset.constant_order_latency(settings["entry"], settings["response"])
    queue, power = settings["queue"], settings["power"]
    if settings["by_order"]:
        asset = asset.l3_fifo_queue_model()
    elif queue == "risk_averse":
        asset = asset.risk_adverse_queue_model()
    elif queue.startswith("log"):
        asset = asset.log_prob_queue_model2() if queue.endswith("2") else asset.log_prob_queue_model()
    else:
        number = queue.removeprefix("power_prob")
        asset = getattr(asset, f"power_prob_queue_model{number}")(power)
    asset = asset.partial_fill_exchange() if settings["partial"] else asset.no_partial_fill_exchange()
    hbt = HashMapMarketDepthBacktest([asset])
    actions = given["actions"]
    known = np.zeros(int(actions["id"].max()) + 1, CHANGE)
    out = np.zeros(20 * len(actions) + 100, CHANGE)
    count, result = play(hbt, actions, known, out)
    state = hbt.state_values(0)
    np.savez(target, changes=out[:count], state=np.array([state.position, state.fee, state.trading_value, result]))
    hbt.close()


if __name__ == "__main__":
    assert (LIMIT, MARKET) == (0, 1)
    for source in sorted(Path(sys.argv[1]).glob("*.in.npz")):
        replay(source, source.with_name(source.name.replace(".in.", ".out.")))
