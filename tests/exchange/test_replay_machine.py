"""The replay exchange against its plain reference: any events, any orders, the same reports, and nothing lost."""

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from nanotick.core.records import Kind, TradingStatus
from tests.exchange.paired import QUEUES, Pair

SIDES = st.sampled_from([1, -1])
QTYS = st.integers(1, 30)
OWN_QTYS = st.sampled_from([2, 4, 6, 10, 20, 40]) | st.sampled_from([0, 3])
PRICES = st.integers(97, 103)
LESS = [Kind.EXECUTE, Kind.EXECUTE, Kind.REDUCE, Kind.DELETE]


class ReplayMachine(RuleBasedStateMachine):
    """Both kinds of data, every kind of command."""

    exact = True
    by_order = False

    @initialize(
        queue=st.sampled_from(QUEUES),
        power=st.sampled_from([0.5, 1.0, 2.0, 3.0]),
        switches=st.tuples(*[st.booleans()] * 6),
        close=st.sampled_from([-1, 30, 90]),
    )
    def start(self, queue, power, switches, close):
        self.pair = Pair(self.exact, queue, power, *switches, close)
        self.ident = 0
        for step in range(4):
            for side in (1, -1):
                self._rest(side, 100 - side * (step + 1), 10)
        self.pair.check()

    def _rest(self, side, price, qty):
        if self.by_order:
            self.pair.add(side, price, qty)
        else:
            self.pair.level(side, price, qty)

    @rule(side=SIDES, behind=st.integers(0, 3), qty=OWN_QTYS, flags=st.sampled_from([0, 0, 1, 2]))
    def quote(self, side, behind, qty, flags):
        self.ident += 1
        self.pair.new(self.ident, side, 99 - behind if side > 0 else 101 + behind, qty, 0, 0, flags)
        self.pair.check()

    @rule(
        side=SIDES,
        price=PRICES,
        qty=OWN_QTYS,
        order_type=st.sampled_from([0, 0, 1, 2, 3]),
        tif=st.integers(0, 4),
        stop=PRICES,
        expire=st.sampled_from([0, 20, 60, 150]),
        repeat=st.sampled_from([False] * 9 + [True]),
    )
    def any_order(self, side, price, qty, order_type, tif, stop, expire, repeat):
        self.ident += not repeat
        self.pair.new(max(1, self.ident), side, price, qty, order_type, tif, 0, stop, expire, 1)
        self.pair.check()

    @rule(back=st.integers(0, 5), verb=st.integers(0, 4), price=PRICES, qty=OWN_QTYS, side=st.integers(-1, 1))
    def revise(self, back, verb, price, qty, side):
        ident = max(1, self.ident - back)
        if verb == 0:
            self.pair.cancel(ident)
        elif verb < 4:
            self.pair.replace(ident, price, qty, price)
        else:
            self.pair.cancel_all(side, 0xFFFF if back % 2 else back // 2, verb == 4)
        self.pair.check()

    @rule(side=st.integers(-1, 1), price=PRICES, qty=QTYS, hidden=st.booleans())
    def trade(self, side, price, qty, hidden):
        self.pair.trade(side, price, qty, hidden)
        self.pair.check()

    @rule(side=SIDES, behind=st.integers(-1, 4), qty=st.integers(0, 30))
    def rest(self, side, behind, qty):
        if qty or not self.by_order:
            self._rest(side, 99 - behind if side > 0 else 101 + behind, qty)
        self.pair.check()

    @precondition(lambda self: self.by_order and self.pair.reference.orders)
    @rule(data=st.data(), kind=st.sampled_from([*LESS, Kind.MODIFY, Kind.REPLACE]), qty=QTYS, price=st.integers(0, 3))
    def order_changes(self, data, kind, qty, price):
        ident = data.draw(st.sampled_from(sorted(self.pair.reference.orders)))
        if kind in LESS:
            self.pair.less(kind, ident, qty)
        else:
            side, _ = self.pair.reference.orders[ident]
            self.pair.change(kind, ident, price and 100 - side * price, qty)
        self.pair.check()

    @rule(seconds=st.sampled_from([0, 1, 7, 40]), tell=st.booleans(), event=st.integers(0, 12))
    def time_passes(self, seconds, tell, event):
        self.pair.wait(seconds, tell)
        if event == 12:
            self.pair.clear(seconds % 3 - 1)
        elif event > 8:
            self.pair.status((TradingStatus.HALTED, TradingStatus.TRADING, TradingStatus.CLOSED)[event - 9])
        self.pair.check()


class OrderByOrder(ReplayMachine):
    """Order-by-order data, exact queue."""

    by_order = True


class OrderByOrderAsLevels(ReplayMachine):
    """Order-by-order data read as price levels."""

    exact = False
    by_order = True


@pytest.mark.parametrize("machine", [ReplayMachine, OrderByOrder, OrderByOrderAsLevels])
def test_replay_exchange_agrees_with_the_reference(machine):
    run_state_machine_as_test(machine, settings=settings(max_examples=max(40, settings().max_examples // 10)))


def random_day(seed, by_order, exact, steps, pair=None):
    """A market that wanders around 100 with orders of ours in it; returns the pair and what was sent."""
    rng = random.Random(seed)
    if pair is None:
        switches = [rng.random() < 0.4 for _ in range(6)]
        pair = Pair(exact, rng.choice(QUEUES), rng.choice([0.5, 1.0, 2.0, 3.0]), *switches, rng.choice([-1, 45]))
    middle, ident = 100, 0
    for _ in range(steps):
        pick = rng.random()
        side = rng.choice([1, -1])
        if pick < 0.02:
            middle += rng.choice([-1, 1]) if 96 < middle < 104 else (100 - middle)
        elif pick < 0.45:
            price = middle - side * (1 + int(rng.expovariate(0.8)))
            orders = pair.reference.orders
            if not by_order:
                pair.level(side, price, rng.choice([0, rng.randint(1, 30), rng.randint(1, 30)]))
            elif not orders or rng.random() < 0.4:
                pair.add(side, price, rng.randint(1, 20))
            else:
                other = rng.choice(sorted(orders))
                if rng.random() < 0.75:
                    pair.less(rng.choice(LESS), other, rng.randint(1, 20))
                else:
                    near = middle - orders[other][0] * rng.randint(1, 3)
                    pair.change(
                        rng.choice([Kind.MODIFY, Kind.REPLACE]), other, rng.choice([0, near]), rng.randint(1, 20)
                    )
        elif pick < 0.62:
            pair.trade(rng.choice([side, side, 0]), middle + side * rng.choice([0, 1, 1, 1, 2]), rng.randint(1, 20),
                       rng.random() < 0.1)  # fmt: skip
        elif pick < 0.75:
            ident += 1
            pair.new(ident, side, middle - side * rng.randint(1, 3), 2 * rng.randint(1, 8), 0, rng.choice([0, 0, 1]),
                     rng.choice([0, 0, 1, 2]))  # fmt: skip
        elif pick < 0.84:
            ident += 1
            pair.new(ident, side, middle + side * rng.randint(-1, 3), rng.choice([2, 4, 10, 30, 60, 3]),
                     rng.choice([0, 0, 1, 2, 3]), rng.randint(0, 4), rng.choice([0, 0, 2]),
                     middle + side * rng.randint(-1, 3), int(pair.now // 10**9) + rng.randint(0, 30), 1)  # fmt: skip
        elif pick < 0.90:
            pair.replace(max(1, ident - rng.randint(0, 6)), middle - side * rng.randint(-1, 3), 2 * rng.randint(0, 8),
                         middle + side * rng.randint(1, 3))  # fmt: skip
        elif pick < 0.94:
            pair.cancel(max(1, ident - rng.randint(0, 6)))
        elif pick < 0.99:
            pair.wait(rng.choice([0, 1, 5]), rng.random() < 0.5)
        elif rng.random() < 0.5:
            halt = rng.choice([TradingStatus.HALTED, TradingStatus.PAUSED, TradingStatus.CLOSED])
            pair.status(halt)
            if rng.random() < 0.7:
                pair.status(TradingStatus.TRADING)
        elif rng.random() < 0.4:
            pair.clear(rng.choice([0, 1, -1]))
        else:
            pair.cancel_all(rng.choice([0, 1, -1]), rng.choice([0, 1, 0xFFFF]), rng.random() < 0.5)
        if rng.random() < 0.03 and pair.reference.blocked:
            pair.status(TradingStatus.TRADING)
        pair.check()
    return pair


@pytest.mark.parametrize(("by_order", "exact"), [(False, True), (True, True), (True, False)])
def test_random_days_agree_with_the_reference(by_order, exact):
    seen = set()
    for seed in range(40):
        pair = random_day(seed, by_order, exact, 250)
        for kind, _, _, _, _, _, word, flags, _ in pair.reference.reports:
            seen.add((kind, flags & 0x7F if kind == Kind.FILL else word if kind in (35, 39) else 0))
    reasons = {reason for kind, reason in seen if kind == Kind.FILL}
    expected = {1, 2, 3, 4, 6} if not (by_order and exact) else {1, 2, 3, 4, 5}
    assert expected <= reasons, "the days are too tame to prove anything"
    assert {0, 1, 2, 3, 4, 6, 7, 8} <= {word for kind, word in seen if kind in (Kind.CANCELLED, Kind.EXPIRED)}
