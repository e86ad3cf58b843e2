"""Positions against a ledger in fractions: cash and quantity are conserved after every event, to the unit."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.arena import Arena
from nanotick.core.instruments import Contract, Instrument, InstrumentTable
from nanotick.portfolio import (
    Portfolio,
    account_refresh,
    portfolio_fill,
    portfolio_funding,
    portfolio_mark,
    position_unrealised,
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
    for s in range(STRATEGIES):
        cash, value, gross, net = int(accounts[s]["initial_cash"]), 0, 0, 0
        for n in range(3):
            position = portfolio.positions.view[s * 3 + n]
            want = reference[s, n]
            for name in ("qty", "cost", "flow", "realised", "fees", "funding"):
                assert position[name] == getattr(want, name), (name, s, n)
            assert position["flow"] == position["realised"] - position["cost"]
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
        assert account_refresh(portfolio.address, s) == equity
