"""A whole day: orders are collected, an auction opens, trading is continuous, an auction closes; bands pause it."""

import hashlib
import json
import os
import subprocess
import sys

import msgspec
import numpy as np
import pytest

from nanotick.core.mode import INTERPRET
from nanotick.core.records import Flag, Kind, TradingStatus
from nanotick.exchange.agents.description import description_from
from nanotick.exchange.agents.description_check import DescriptionError
from nanotick.exchange.agents.living import LivingMarket
from nanotick.exchange.agents.records import AgentKind
from nanotick.exchange.market import Phase
from tests.exchange.agents.test_world import small

MINUTES = 0.5 if INTERPRET else 20
SECOND = 1_000_000_000
_AUCTION = int(Flag.AUCTION)


def described(**more):
    values = msgspec.to_builtins(small())
    values["session"]["hours"] = MINUTES / 60
    values["auctions"] = {"pre_open_s": 90, "opening_s": 40, "closing_s": 30, "indicative_s": 2, "activity": 0.3}
    values["profiles"]["all"]["auction"] = [
        {"rate": 1.5, "close_rate": 1.0, "close_s": 30 * MINUTES, "noise": 8, "sizes": {"mean": 5, "sigma": 0.5}}
    ]
    return description_from({**values, **more})


def lived(seed=3, whole_day=True, **more):
    market = LivingMarket(described(**more), seed, whole_day=whole_day)
    return market, np.concatenate([part.copy() for part in market.run()])


@pytest.fixture(scope="module")
def day():
    return lived()


def of(events, kind, instrument):
    return events[(events["kind"] == int(kind)) & (events["instrument"] == instrument)]


def test_the_day_runs_through_its_phases(day) -> None:
    market, events = day
    opening, closing = market.description.start_ns, market.description.end_ns
    assert market.now >= closing + 30 * SECOND - 1_000_000
    for number, item in enumerate(market.instruments):
        status = of(events, Kind.STATUS, number)
        assert [TradingStatus(int(word)) for word in status["word"]] == [
            TradingStatus.AUCTION, TradingStatus.TRADING, TradingStatus.AUCTION, TradingStatus.CLOSED,
        ]  # fmt: skip
        due = np.array([opening - 40 * SECOND, opening, closing, closing + 30 * SECOND])
        assert (np.abs(status["ts_venue"] - due) < 1_000_000).all()
        exchange = market.exchanges[market.instruments.venues.index(item.venue)]
        assert exchange.market(number)["phase"] == Phase.CLOSED


def test_nothing_trades_outside_the_auctions_and_continuous_trading(day) -> None:
    market, events = day
    for number in range(len(market.instruments)):
        trades = of(events, Kind.EXECUTE, number)
        status = of(events, Kind.STATUS, number)["ts_venue"]
        ordinary = trades[trades["flags"] & _AUCTION == 0]["ts_venue"]
        called = trades[trades["flags"] & _AUCTION != 0]["ts_venue"]
        assert len(ordinary) > 10 and ordinary.min() > status[1] and ordinary.max() < status[2]
        assert np.isin(called, status[[1, 3]]).all()


def test_either_auction_trades_much_at_one_price_near_the_value(day) -> None:
    market, events = day
    for number in range(len(market.instruments)):
        status = of(events, Kind.STATUS, number)["ts_venue"]
        trades = of(events, Kind.TRADE, number)
        crossed = trades[trades["flags"] & _AUCTION != 0]
        assert list(crossed["ts_venue"]) == [status[1], status[3]]
        assert (crossed["qty"] >= 100).all()
        shown = of(events, Kind.EXECUTE, number)
        for price, ts in zip(crossed["price"], crossed["ts_venue"], strict=True):
            assert (shown["price"][(shown["ts_venue"] == ts) & (shown["flags"] & _AUCTION != 0)] == price).all()
        start = market.arena["world.states"].view[number]["start_value"]
        assert abs(crossed["price"][0] / start - 1) < 0.01


def test_the_indicative_price_comes_to_the_auction_price(day) -> None:
    market, events = day
    for number in range(len(market.instruments)):
        told = of(events, Kind.IMBALANCE, number)
        status = of(events, Kind.STATUS, number)["ts_venue"]
        before = told[told["ts_venue"] < status[1]]
        crossed = of(events, Kind.TRADE, number)
        first = crossed[crossed["ts_venue"] == status[1]]
        assert len(before) >= 15 and before["qty"][-1] > before["qty"][0]
        # one second of orders is all that lies between the last indication and the auction
        assert abs(before["id"][-1] / first["price"][0] - 1) < 0.01
        assert 0.8 < before["qty"][-1] / first["qty"][0] < 1.1


def test_auction_traders_trade_in_auctions_alone_and_keep_no_order(day) -> None:
    market, _ = day
    agents = market.agents
    cells = market.arena["world.cells"].view
    callers = agents[agents["kind"] == AgentKind.AUCTION]
    assert (callers["fills"] > 5).all() and (callers["rejected"] == 0).all()
    for agent in callers:
        own = cells[agent["cell_first"] : agent["cell_first"] + agent["cell_count"]]
        assert (own["leaves"] == 0).all()
    for instrument in range(3):
        assert agents["position"][agents["instrument"] == instrument].sum() == 0
    assert agents["cash"].sum() == 0 and market.dropped == 0


def test_without_a_whole_day_a_description_of_auctions_changes_nothing() -> None:
    values = msgspec.to_builtins(small())
    values["session"]["hours"] = MINUTES / 60
    without = LivingMarket(description_from(values), 3)
    expected = b"".join(part.tobytes() for part in without.run())
    _, events = lived(whole_day=False)
    assert events.tobytes() == expected
    with pytest.raises(DescriptionError, match="auctions"):
        LivingMarket(description_from(values), 3, whole_day=True)


@pytest.mark.skipif(INTERPRET, reason="too slow to see a pause")
def test_a_market_at_its_band_pauses_and_an_auction_brings_it_back() -> None:
    market, events = lived(bands={"width": 0.004, "limit_s": 3, "pause_s": 25, "window_s": 60, "step": 0.0})
    pauses = 0
    for number in range(len(market.instruments)):
        status = of(events, Kind.STATUS, number)
        trades = of(events, Kind.EXECUTE, number)
        for place in np.flatnonzero(status["word"] == int(TradingStatus.PAUSED)):
            pauses += 1
            begin, end = status["ts_venue"][place], status["ts_venue"][place + 1]
            assert end - begin == 25 * SECOND or status["word"][place + 1] != int(TradingStatus.TRADING)
            during = trades[(trades["ts_venue"] > begin) & (trades["ts_venue"] < end)]
            assert len(during) == 0
    assert pauses >= 2
    callers = market.agents[market.agents["kind"] == AgentKind.AUCTION]
    assert callers["fills"].sum() > 0


def digest():
    short = {"pre_open_s": 6, "opening_s": 3, "closing_s": 3, "indicative_s": 1, "activity": 0.3}
    market, events = lived(auctions=short, bands={"width": 0.002, "limit_s": 1, "pause_s": 3, "step": 0.0})
    return [market.digest().hex(), hashlib.sha256(events.tobytes()).hexdigest(), market.commands]


@pytest.mark.skipif(INTERPRET, reason="compares with the interpreted run")
def test_interpreted_and_compiled_days_are_the_same() -> None:
    code = (
        "import json, tests.exchange.agents.test_day as t; t.MINUTES = 0.15;"
        "print(json.dumps(t.digest()))"
    )  # fmt: skip
    run = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", code],
                env={**os.environ, "NANOTICK_INTERPRET": mode, "PYTHONPATH": os.pathsep.join(sys.path)},
                capture_output=True, text=True, check=True,
            ).stdout
        )
        for mode in ("1", "0")
    ]  # fmt: skip
    assert run[0] == run[1] and run[0][2] > 100


def test_mistakes_in_a_day_are_named() -> None:
    for change, place in (
        ({"auctions": {"pre_open_s": 10, "opening_s": 20}}, "auctions: opening_s"),
        ({"bands": {"width": 1.5}}, "bands: width"),
        ({"auctions": {"closing": 5}}, "did you mean 'closing_s'"),
    ):
        with pytest.raises(DescriptionError, match=place):
            described(**change)
