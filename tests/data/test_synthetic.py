"""The synthetic day: a correct order book first, and a plausible market second."""

import hashlib
import os
import subprocess
import sys
from collections import Counter, defaultdict

import numpy as np
import pytest

from nanotick.core.records import BOTH_SIDES, Flag, Kind
from nanotick.data.synthetic import DEFAULT_SYMBOLS, synthetic_day

SHORT = 400.0
MARKERS = (Kind.STATUS, Kind.CLEAR)


def digest(events):
    return hashlib.blake2b(events.tobytes(), digest_size=8).hexdigest()


@pytest.fixture(scope="module")
def orders_day():
    return synthetic_day(seed=11, seconds=SHORT)


@pytest.fixture(scope="module")
def levels_day():
    return synthetic_day(seed=11, seconds=SHORT, form="levels")


class ReferenceBook:
    """Orders in a dictionary, queues as lists."""

    def __init__(self):
        self.orders = {}
        self.queues = {1: defaultdict(list), -1: defaultdict(list)}

    def best(self, side):
        prices = [p for p, queue in self.queues[side].items() if queue]
        return max(prices) if side > 0 else min(prices)

    def remove(self, order_id):
        side, price, _ = self.orders.pop(order_id)
        queue = self.queues[side][price]
        queue.remove(order_id)
        if not queue:
            del self.queues[side][price]

    def apply(self, row):
        kind, order_id = row["kind"], row["id"]
        if kind == Kind.ADD:
            assert order_id not in self.orders
            self.orders[order_id] = [row["side"], row["price"], row["qty"]]
            self.queues[row["side"]][row["price"]].append(order_id)
        elif kind == Kind.DELETE:
            self.remove(order_id)
        elif kind == Kind.REDUCE:
            self.orders[order_id][2] -= row["qty"]
            assert self.orders[order_id][2] > 0
        elif kind == Kind.REPLACE:
            side = self.orders[order_id][0]
            self.remove(order_id)
            self.orders[row["word"]] = [side, row["price"], row["qty"]]
            self.queues[side][row["price"]].append(row["word"])
        elif kind == Kind.EXECUTE:
            side, price, qty = self.orders[order_id]
            assert price == row["price"] == self.best(side), "executions happen at the best price"
            assert self.queues[side][price][0] == order_id, "executions take the front of the queue"
            assert 0 < row["qty"] <= qty
            self.orders[order_id][2] -= row["qty"]
            if qty == row["qty"]:
                self.remove(order_id)

    def levels(self):
        return {
            (side, price): (sum(self.orders[i][2] for i in queue), len(queue))
            for side in (1, -1)
            for price, queue in self.queues[side].items()
            if queue
        }


def rows_of(events, instrument):
    chosen = events[events["instrument"] == instrument]
    names = events.dtype.names
    return [dict(zip(names, row, strict=True)) for row in chosen.tolist()]


def test_every_reference_is_known_and_no_book_ever_crosses(orders_day):
    for instrument in range(len(orders_day.instruments)):
        book = ReferenceBook()
        for row in rows_of(orders_day.events, instrument):
            book.apply(row)
            if row["flags"] & Flag.LAST and row["kind"] not in MARKERS and all(book.queues.values()):
                assert book.best(1) < book.best(-1)
        assert len(book.orders) > 10


def test_price_level_rows_are_the_same_market_as_the_order_rows(orders_day, levels_day):
    for instrument in range(len(orders_day.instruments)):
        book, shown = ReferenceBook(), {}
        by_time = defaultdict(list)
        for row in rows_of(levels_day.events, instrument):
            by_time[row["ts_venue"]].append(row)
        order_rows = [r for r in rows_of(orders_day.events, instrument) if r["kind"] not in MARKERS]
        for i, row in enumerate(order_rows):
            book.apply(row)
            if i + 1 < len(order_rows) and order_rows[i + 1]["ts_venue"] == row["ts_venue"]:
                continue
            for level in by_time.pop(row["ts_venue"]):
                if level["kind"] == Kind.LEVEL:
                    key = level["side"], level["price"]
                    shown[key] = level["qty"], level["word"]
                    if not level["qty"]:
                        del shown[key]
            if i % 50 == 0 or i + 1 == len(order_rows):
                assert shown == book.levels()
        left = [r for rows in by_time.values() for r in rows]
        assert all(r["kind"] in MARKERS for r in left)


def test_traded_quantity_is_equal_in_both_forms(orders_day, levels_day):
    orders, levels = orders_day.events, levels_day.events
    executed = orders[np.isin(orders["kind"], (Kind.EXECUTE, Kind.TRADE))]
    traded = levels[levels["kind"] == Kind.TRADE]
    assert len(executed) == len(traded)
    for field in ("ts_venue", "price", "qty", "instrument"):
        np.testing.assert_array_equal(executed[field], traded[field])
    resting = executed["kind"] == Kind.EXECUTE
    np.testing.assert_array_equal(executed["side"][resting], -traded["side"][resting])


def test_stamps_are_ordered_on_both_sides_and_rows_are_numbered(orders_day):
    events = orders_day.events
    assert (np.diff(events["ts_venue"]) >= 0).all()
    assert (np.diff(events["ts_recv"]) >= 0).all()
    latency = events["ts_recv"] - events["ts_venue"]
    assert latency.min() >= 35_000
    assert 40_000 < latency.mean() < 60_000
    np.testing.assert_array_equal(events["seq"], np.arange(1, len(events) + 1))
    assert (events["flags"] & BOTH_SIDES == BOTH_SIDES).all()
    boundary = events["ts_venue"][1:] != events["ts_venue"][:-1]
    assert (events["flags"][:-1][boundary] & Flag.LAST != 0).all()


def test_the_day_opens_and_closes_every_symbol(orders_day):
    status = orders_day.events[orders_day.events["kind"] == Kind.STATUS]
    assert Counter(status["instrument"].tolist()) == {0: 2, 1: 2, 2: 2}
    assert set(status["word"][:3].tolist()) == {1}
    assert set(status["word"][3:].tolist()) == {7}


def test_a_day_forgets_the_book_of_the_day_before(orders_day):
    for instrument in range(3):
        rows = orders_day.events[orders_day.events["instrument"] == instrument]
        assert rows["kind"][0] == Kind.CLEAR and rows["side"][0] == 0


def test_a_seed_gives_the_same_day_on_every_machine():
    day = synthetic_day(seed=5, seconds=60.0)
    assert digest(day.events) == digest(synthetic_day(seed=5, seconds=60.0).events)
    assert digest(day.events) == "d9ebbb318c5416f3"
    assert digest(day.events) != digest(synthetic_day(seed=6, seconds=60.0).events)


def test_interpreted_and_compiled_generate_the_same_rows():
    program = (
        "import hashlib\nfrom nanotick.data.synthetic import synthetic_day\n"
        "print(hashlib.blake2b(synthetic_day(seed=3, seconds=8.0).events.tobytes(), digest_size=8).hexdigest())"
    )
    environment = {**os.environ, "NANOTICK_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest(synthetic_day(seed=3, seconds=8.0).events)


def test_progress_reaches_the_end():
    calls = []
    synthetic_day(seed=1, seconds=30.0, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (30_000_000_000, 30_000_000_000)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"symbols": ()}, "at least one symbol"),
        ({"form": "bars"}, "'orders' or 'levels'"),
        ({"seconds": 0.0}, "positive"),
    ],
)
def test_nonsense_is_refused_by_name(arguments, problem):
    with pytest.raises(ValueError, match=problem):
        synthetic_day(**arguments)


# --- plausibility --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def quotes():
    """Best bid, best ask and their sizes of one symbol after each message of two hours."""
    day = synthetic_day(seed=7, symbols=DEFAULT_SYMBOLS[1:2], seconds=7_200.0, form="levels")
    best = {1: {}, -1: {}}
    rows = []
    for ts, price, qty, kind, side in day.events[["ts_venue", "price", "qty", "kind", "side"]].tolist():
        if kind != Kind.LEVEL:
            continue
        book = best[side]
        if qty:
            book[price] = qty
        else:
            book.pop(price, None)
        if best[1] and best[-1]:
            bid, ask = max(best[1]), min(best[-1])
            rows.append((ts, bid, ask, best[1][bid], best[-1][ask]))
    return day, np.array(rows)


def sampled(quotes, step_ns=1_000_000_000):
    rows = quotes[1]
    times = np.arange(rows[0, 0] + 10 * step_ns, rows[-1, 0], step_ns)
    return rows[np.searchsorted(rows[:, 0], times, "right") - 1]


def test_the_mean_spread_is_between_one_and_three_ticks(quotes):
    at = sampled(quotes)
    assert 1.0 <= (at[:, 2] - at[:, 1]).mean() <= 3.0


def test_queue_imbalance_predicts_the_next_second_a_little(quotes):
    at = sampled(quotes)
    mid = (at[:, 1] + at[:, 2]) / 2
    imbalance = (at[:, 3] - at[:, 4]) / (at[:, 3] + at[:, 4])
    assert 0.08 < np.corrcoef(imbalance[:-1], np.diff(mid))[0, 1] < 0.5


def test_returns_are_nearly_unpredictable_from_past_returns(quotes):
    at = sampled(quotes)
    step = np.diff((at[:, 1] + at[:, 2]) / 2)
    assert abs(np.corrcoef(step[1:], step[:-1])[0, 1]) < 0.15


def test_volatility_clusters(quotes):
    at = sampled(quotes)
    step = np.abs(np.diff((at[:, 1] + at[:, 2]) / 2))
    blocks = step[: len(step) // 30 * 30].reshape(-1, 30).mean(axis=1)
    assert np.corrcoef(blocks[1:], blocks[:-1])[0, 1] > 0.1


def test_trade_signs_come_in_runs(quotes):
    events = quotes[0].events
    trades = events[events["kind"] == Kind.TRADE]
    _, first = np.unique(trades["ts_venue"], return_index=True)
    sign = trades["side"][first].astype(float)
    assert 0.1 < np.corrcoef(sign[1:], sign[:-1])[0, 1] < 0.8


def test_activity_is_a_u_over_the_day():
    day = synthetic_day(seed=7, symbols=DEFAULT_SYMBOLS[2:], form="levels")
    share = np.histogram(day.events["ts_venue"], bins=5)[0] / len(day.events)
    assert share[0] > 1.15 * share[2]
    assert share[4] > 1.15 * share[2]
