"""Positions against a ledger in fractions: cash and quantity are conserved after every event, to the unit."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.arena import Arena
from nanotick.core.instruments import Contract, Instrument, InstrumentTable
from nanotick.portfolio import Portfolio
from tests.portfolio.calls import (
    portfolio_bust,
    portfolio_fill,
    portfolio_funding,
    portfolio_mark,
    position_average,
    position_unrealised,
    refresh,
    roll_day,
)

CASH = 50_000_000_000
LINEAR = Instrument("ABC")
FUTURE = Instrument("FUT", price_decimals=1, tick_size="0.1", multiplier="50")
INVERSE = Instrument(
    "XBTUSD", price_decimals=1, tick_size="0.5", multiplier="1", contract=Contract.INVERSE, currency="BTC"
)
INSTRUMENTS = (LINEAR, FUTURE, INVERSE)
STRATEGIES = 2
BTC_RATE = "61234.5"


def make(method: str, lots: int = 4096) -> tuple[Portfolio, InstrumentTable]:
    table = InstrumentTable(INSTRUMENTS)
    arena = Arena(1 << 26)
    cash = [CASH, 2 * CASH]
    return Portfolio(arena, STRATEGIES, table, cash, method, rates={"BTC": BTC_RATE}, lots=lots), table


@dataclass
class Reference:
    """One position, as an accountant would keep it: money is what was paid and received, cost is by lot or average."""

    instrument: Instrument
    fifo: bool
    qty: int = 0
    flow: int = 0
    realised: int = 0
    fees: int = 0
    funding: int = 0
    cost: int = 0
    lots: deque = field(default_factory=deque)

    def value(self, price: int, qty: int) -> int:
        """Signed value in value units; an inverse contract's is rounded down in size."""
        item = self.instrument
        if item.contract == Contract.LINEAR:
            return price * qty * int(item.multiplier)
        exact = Fraction(item.multiplier) * abs(qty) * 10 ** (item.value_decimals + item.price_decimals) / price
        return -floor(exact) if qty > 0 else floor(exact)

    def fill(self, side: int, price: int, qty: int, fee: int) -> None:
        total = self.value(price, side * qty)
        closing = min(abs(self.qty), qty) if self.qty * side < 0 else 0
        closed_value = self.value(price, side * closing) if 0 < closing < qty else (total if closing else 0)
        released = self.release(closing)
        self.realised += -closed_value - released
        self.cost -= released
        opening = qty - closing
        if opening:
            self.cost += total - closed_value
            self.lots.append([side * opening, total - closed_value, price])
        self.qty += side * qty
        self.flow -= total
        self.fees += fee

    def release(self, closing: int) -> int:
        if closing == 0:
            return 0
        if not self.fifo:
            self.lots.clear()
            return floor(Fraction(self.cost * closing, abs(self.qty)))
        released = 0
        while closing:
            lot = self.lots[0]
            part = min(abs(lot[0]), closing)
            share = floor(Fraction(lot[1] * part, abs(lot[0])))
            lot[1] -= share
            lot[0] -= part if lot[0] > 0 else -part
            released += share
            closing -= part
            if lot[0] == 0:
                assert lot[1] == 0
                self.lots.popleft()
        return released


prices = st.integers(1, 200_000)
fills = st.tuples(
    st.just("fill"), st.integers(0, STRATEGIES - 1), st.integers(0, 2), st.sampled_from([1, -1]), prices,
    st.integers(1, 500), st.integers(-50, 500),
)  # fmt: skip
funding = st.tuples(st.just("funding"), st.integers(0, 2), st.integers(-2_000_000, 2_000_000), prices)
marks = st.tuples(st.just("mark"), st.integers(0, 2), prices)


def check(portfolio: Portfolio, reference: dict, table: InstrumentTable, marks_now: dict) -> None:
    micro = {n: portfolio.holdings.view[n] for n in range(3)}
    accounts = portfolio.accounts.view
    assert portfolio.root["broken"] == 0
    for s in range(STRATEGIES):
        cash, value, gross, net = int(accounts[s]["initial_cash"]), 0, 0, 0
        for n in range(3):
            position = portfolio.positions.view[s * 3 + n]
            want = reference[s, n]
            for name in ("qty", "cost", "flow", "realised", "fees", "funding"):
                assert position[name] == getattr(want, name), (name, s, n)
            assert position["flow"] == position["realised"] - position["cost"]
            assert (position["held"] == 0) == (position["qty"] == 0)
            ratio = Fraction(int(micro[n]["numerator"]), int(micro[n]["denominator"]))
            cash += floor((want.flow - want.fees + want.funding) * ratio)
            if want.qty:
                worth = floor(want.value(marks_now[n], want.qty) * ratio)
                assert position_unrealised(portfolio.address, s, n) == want.value(marks_now[n], want.qty) - want.cost
                value += worth
                gross += abs(worth)
                net += abs(worth) if want.qty > 0 else -abs(worth)
            else:
                assert want.cost == 0 == position["cost"]
        row = accounts[s]
        assert (row["cash"], row["equity"]) == (cash, cash + value)
        assert (row["gross_exposure"], row["net_exposure"]) == (gross, net)
        assert row["held"] == sum(reference[s, n].qty != 0 for n in range(3))
        assert row["drawdown"] == row["peak_equity"] - row["equity"] >= 0
    for name in ("cash", "equity", "gross_exposure", "net_exposure"):
        assert accounts[STRATEGIES][name] == sum(accounts[s][name] for s in range(STRATEGIES))
    for n in range(3):
        assert portfolio.holdings.view[n]["qty"] == sum(reference[s, n].qty for s in range(STRATEGIES))
        assert portfolio.holdings.view[n]["holders"] == sum(reference[s, n].qty != 0 for s in range(STRATEGIES))


@pytest.mark.parametrize("method", ["average", "fifo"])
@given(events=st.lists(st.one_of(fills, fills, fills, funding, marks), max_size=40))
def test_every_event_leaves_the_ledger_of_an_accountant(method, events):
    portfolio, table = make(method)
    reference = {(s, n): Reference(INSTRUMENTS[n], method == "fifo") for s in range(STRATEGIES) for n in range(3)}
    marks_now: dict[int, int] = {}
    for ts, event in enumerate(events):
        if event[0] == "fill":
            _, s, n, side, price, qty, fee = event
            before = reference[s, n].realised
            marks_now.setdefault(n, price)
            reference[s, n].fill(side, price, qty, fee)
            got = portfolio_fill(portfolio.address, s, n, side, price, qty, fee, ts)
            assert got == reference[s, n].realised - before
        elif event[0] == "mark":
            _, n, price = event
            marks_now[n] = price
            portfolio_mark(portfolio.address, n, price)
        else:
            _, n, rate, price = event
            for s in range(STRATEGIES):
                want = reference[s, n]
                size = abs(want.value(price, want.qty)) if want.qty else 0
                pays = -1 if (want.qty > 0) == (rate > 0) else 1
                want.funding += floor(Fraction(pays * size * abs(rate), 10**9))
            portfolio_funding(portfolio.address, n, rate, price)
        check(portfolio, reference, table, marks_now)
    for s in range(STRATEGIES + 1):
        equity = int(portfolio.accounts.view[s]["equity"])
        assert refresh(portfolio.address, s) == equity


@pytest.mark.parametrize("method", ["average", "fifo"])
@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from([1, -1]),
            st.integers(9_000, 11_000),
            st.integers(1, 50),
            st.integers(0, 9),
        ),
        min_size=1,
        max_size=25,
    ),
    data=st.data(),
)
def test_a_bust_leaves_cash_quantity_and_total_profit_as_if_the_fill_had_never_been(method, rows, data):
    portfolio, _ = make(method)
    busted = data.draw(st.sets(st.integers(0, len(rows) - 1)))
    for ts, (n, side, price, qty, fee) in enumerate(rows):
        portfolio_fill(portfolio.address, 0, n, side, price, qty, fee, ts)
    for i in sorted(busted, reverse=data.draw(st.booleans())):
        n, side, price, qty, fee = rows[i]
        portfolio_bust(portfolio.address, 0, n, side, price, qty, fee, 100)
    for n in range(3):
        want = Reference(INSTRUMENTS[n], method == "fifo")
        left = [row for i, row in enumerate(rows) if i not in busted and row[0] == n]
        for _, side, price, qty, fee in left:
            want.fill(side, price, qty, fee)
        got = portfolio.positions.view[n]
        assert (got["qty"], got["flow"], got["fees"]) == (want.qty, want.flow, want.fees)
        assert got["flow"] == got["realised"] - got["cost"]
        assert got["trades"] == len(left) and got["traded_qty"] == sum(row[3] for row in left)
        if got["qty"] == 0:
            assert got["cost"] == 0 and got["realised"] == want.realised


@pytest.mark.parametrize("method", ["average", "fifo"])
def test_a_bust_of_the_last_opening_fill_restores_cost_and_realised_exactly(method):
    portfolio, _ = make(method)
    portfolio_fill(portfolio.address, 0, 0, 1, 10_000, 10, 0, 1)
    portfolio_fill(portfolio.address, 0, 0, 1, 11_000, 10, 0, 2)
    assert portfolio_bust(portfolio.address, 0, 0, 1, 11_000, 10, 0, 3) == 0
    got = portfolio.positions.view[0]
    assert (got["qty"], got["cost"], got["realised"]) == (10, 100_000, 0)


def test_fifo_without_room_for_more_lots_still_conserves_every_unit():
    portfolio, _ = make("fifo", lots=2)
    reference = Reference(LINEAR, False)
    for ts, (side, price, qty) in enumerate(
        [(1, 100, 5), (1, 101, 5), (1, 102, 5), (1, 103, 5), (-1, 99, 12), (-1, 98, 20), (1, 97, 12)]
    ):
        reference.flow -= side * price * qty
        portfolio_fill(portfolio.address, 0, 0, side, price, qty, 0, ts)
        got = portfolio.positions.view[0]
        assert got["flow"] == got["realised"] - got["cost"] == reference.flow
    assert got["qty"] == 0 == got["cost"] and got["lots_merged"] > 0
    for s in (0, 1):  # another position finds no lot at all
        portfolio_fill(portfolio.address, s, 1, 1, 50, 3, 0, 9)
    portfolio_fill(portfolio.address, 1, 0, 1, 100, 3, 0, 10)
    portfolio_fill(portfolio.address, 1, 0, -1, 90, 2, 0, 11)
    portfolio_fill(portfolio.address, 1, 0, -1, 90, 1, 0, 12)
    got = portfolio.positions.view[3]
    assert (got["qty"], got["cost"], got["realised"]) == (0, 0, -30)


def test_money_that_does_not_fit_is_counted_as_broken_and_the_quantity_is_kept():
    portfolio, _ = make("average")
    portfolio_fill(portfolio.address, 0, 0, 1, 1 << 40, 1 << 40, 0, 1)
    assert portfolio.positions.view[0]["qty"] == 1 << 40
    assert portfolio.root["broken"] > 0
    assert portfolio.accounts.view[0]["cash"] == CASH


def test_average_price_of_linear_and_inverse_positions():
    portfolio, _ = make("average")
    for n, (first, second) in enumerate([(10_000, 10_100), (5_000, 5_100), (600_000, 300_000)]):
        assert math.isnan(position_average(portfolio.address, 0, n))
        portfolio_fill(portfolio.address, 0, n, -1, first, 10, 0, 1)
        portfolio_fill(portfolio.address, 0, n, -1, second, 10, 0, 2)
    assert position_average(portfolio.address, 0, 0) == 10_050
    assert position_average(portfolio.address, 0, 1) == 5_050
    assert position_average(portfolio.address, 0, 2) == pytest.approx(400_000, rel=1e-6)  # harmonic


def test_a_day_begins_at_its_offset():
    hour = 3_600_000_000_000
    table = InstrumentTable(INSTRUMENTS[:1])
    portfolio = Portfolio(Arena(1 << 24), 1, table, [CASH], day_offset_ns=5 * hour)
    day = 20_000 * 24 * hour
    assert not roll_day(portfolio.address, day + 4 * hour)
    portfolio_fill(portfolio.address, 0, 0, 1, 10_000, 10, 100, 1)
    portfolio_mark(portfolio.address, 0, 9_000)
    assert portfolio.accounts.view[0]["day_start_equity"] == CASH
    assert not roll_day(portfolio.address, day + 5 * hour - 1)
    assert roll_day(portfolio.address, day + 5 * hour)
    assert portfolio.accounts.view[0]["day_start_equity"] == CASH - 101_000_000
    assert portfolio.accounts.view[1]["max_drawdown"] == 101_000_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rates": {}}, "XBTUSD@SIM settles in BTC and the account is in USD"),
        ({"rates": {"BTC": "-1"}}, "positive rate of BTC"),
        ({"rates": {"BTC": "60000.00000000000000000001"}}, "too many digits"),
        ({"method": "lifo"}, "'average' or 'fifo', found 'lifo'"),
        ({"cash": [1]}, "the cash of each of 2 strategies, found 1"),
    ],
)
def test_a_portfolio_that_cannot_be_made_says_why(arguments, message):
    given_ = {"cash": [CASH, CASH], "rates": {"BTC": "60000"}, **arguments}
    with pytest.raises(ValueError, match=message):
        Portfolio(Arena(1 << 26), 2, InstrumentTable(INSTRUMENTS), **given_)
