"""The living market: deterministic to the byte, the same however sliced, the same interpreted and compiled."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from nanotick.core.kernel import python_body
from nanotick.core.mode import INTERPRET
from nanotick.core.records import Kind
from nanotick.exchange.agents.description import Sizes, description_from
from nanotick.exchange.agents.living import LivingMarket
from nanotick.exchange.agents.records import AgentKind
from nanotick.exchange.agents.tables import alias_table, size_table
from nanotick.exchange.market.resting import order_key

SECONDS = 20 if INTERPRET else 300


def small(**flow):
    excitation = {
        "decay": [10.0, 0.2],
        "same": [[[0.1, 0.01, 0.05], [0.2, 0.2, 0.1], [0.1, 0, 0.1]], [[0, 0, 0], [0.1, 0.1, 0], [0, 0, 0]]],
        "opposite": [[[0, 0, 0.05], [0.2, 0, 0.2], [0.05, 0, 0]], [[0, 0, 0], [0.1, 0, 0.1], [0, 0, 0]]],
    }
    return description_from(
        {
            "name": "small",
            "session": {"hours": 2.0, "open": 2.0, "close": 1.0},
            "factors": ["market"],
            "regimes": [{"name": "calm", "minutes": 2}, {"name": "busy", "volatility": 2, "activity": 2, "minutes": 1}],
            "news": {"per_day": 40},
            "clusters": {"size": 0.3, "minutes": 1},
            "profiles": {
                "all": {
                    "flow": {
                        "limit_rate": 4.0,
                        "market_rate": 0.3,
                        "lifetime": 6.0,
                        "limit_sizes": {"mean": 3, "sigma": 0.7},
                        "lean": 0.5,
                        "inside": 0.5,
                        "sweep": 0.3,
                        "excitation": excitation,
                        **flow,
                    },
                    "market_makers": [{"count": 2, "half_spread": 0.6}],
                    "momentum": [{"rate": 0.5, "threshold": 0.3}],
                    "mean_reversion": [{"rate": 0.5, "threshold": 0.3}],
                    "informed": [{"rate": 0.5}],
                    "noise": [{"rate": 0.3}],
                    "executions": [{"per_day": 400, "least": 10, "most": 60, "interval_s": 1.0}],
                }
            },
            "instruments": [
                {"symbol": "AAA", "profile": "all", "price": "42.00", "lot": 10, "loads": {"market": 0.6}},
                {"symbol": "BBB", "profile": "all", "price": "142.00", "lot": 10, "news_per_day": 30},
                {"symbol": "AAA", "venue": "TWO", "profile": "all", "price": "42.00", "lot": 10, "same_as": "AAA@SIM"},
            ],
        }
    )


def lived(seed=3, seconds=SECONDS, most=10_000):
    market = LivingMarket(small(), seed)
    events = [part.tobytes() for part in market.run(seconds=seconds, most=most)]
    return market, b"".join(events)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    first, events = lived()
    again, same = lived()
    assert events == same and first.digest() == again.digest()
    other, different = lived(seed=4)
    assert events != different and first.digest() != other.digest()


def test_slicing_changes_nothing() -> None:
    whole, events = lived()
    market = LivingMarket(small(), 3)
    end = market.now + SECONDS * 1_000_000_000
    rng, parts = np.random.default_rng(1), []
    while market.next <= end:
        until = min(end, market.now + int(rng.integers(1, 3_000_000_000)))
        market.step(until, int(rng.integers(1, 400)))
        parts.append([exchange.events() for exchange in market.exchanges])
    assert market.digest() == whole.digest()
    for number in range(2):
        sliced = np.concatenate([part[number] for part in parts])
        joined = np.frombuffer(events, sliced.dtype)
        assert sliced.tobytes() == joined[joined["venue"] == number].tobytes()


@pytest.mark.skipif(INTERPRET, reason="compares with the interpreted run")
def test_interpreted_and_compiled_worlds_are_the_same() -> None:
    code = (
        "import json, tests.exchange.agents.test_world as t; m, e = t.lived(seconds=20);"
        "import hashlib; print(json.dumps([m.digest().hex(), hashlib.sha256(e).hexdigest(), m.commands]))"
    )
    run = {
        mode: subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "NANOTICK_INTERPRET": mode, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True, text=True, check=True,
        ).stdout
        for mode in ("1", "0")
    }  # fmt: skip
    assert json.loads(run["1"]) == json.loads(run["0"])
    assert json.loads(run["0"])[2] > 300


def test_every_kind_of_agent_trades_and_what_they_gain_others_lose() -> None:
    market, _ = lived(seconds=60 if INTERPRET else 1_800)
    agents = market.agents
    elsewhere = {AgentKind.ENVIRONMENT, AgentKind.VALUE, AgentKind.AUCTION}  # not in this market: tests of their own
    for kind in set(AgentKind) - elsewhere:
        if not INTERPRET:
            assert agents["fills"][agents["kind"] == kind].sum() > 0, kind
    for venue in range(2):
        here = agents[agents["venue"] == venue]
        for instrument in np.unique(here["instrument"]):
            assert here["position"][here["instrument"] == instrument].sum() == 0
    assert agents["cash"].sum() == 0  # nobody pays fees here
    assert market.dropped == 0 and not market.status


def test_agents_know_exactly_their_own_orders() -> None:
    key_of = python_body(order_key)
    market, _ = lived()
    cells = market.arena["world.cells"].view
    for number, agent in enumerate(market.agents):
        own = cells[agent["cell_first"] : agent["cell_first"] + agent["cell_count"]]
        book = market.exchanges[int(agent["venue"])].book
        for cell in np.flatnonzero(own["leaves"]):
            slot = book.order_find(int(agent["instrument"]), key_of(number, (number << 12) | int(cell)))
            if slot < 0:  # only a quote on its way is held before it rests
                assert agent["pending"] > 0
                continue
            assert book.order_qty(slot) == own[cell]["leaves"]
            assert book.order_price(slot) == own[cell]["price"]


def test_a_book_rebuilt_from_the_feed_is_the_exchange_s() -> None:
    from nanotick.book import BookStore
    from nanotick.book.apply import apply_events
    from nanotick.core.arena import Arena

    market = LivingMarket(small(), 9)
    replica = BookStore(Arena(1 << 30), "replica", 3, 1)
    for events in market.run(seconds=SECONDS):
        apply_events(replica.address, events.ctypes.data, len(events), 0)
        assert set(np.unique(events["kind"])) <= {int(k) for k in (Kind.ADD, Kind.DELETE, Kind.EXECUTE, Kind.REDUCE)}
    for number, venue in ((0, 0), (1, 0), (2, 1)):
        for side in (1, -1):
            for level in range(5):
                exchange = market.exchanges[venue].book
                assert replica.depth_price(number, side, level) == exchange.depth_price(number, side, level)
                assert replica.depth_qty(number, side, level) == exchange.depth_qty(number, side, level)


def test_two_venues_follow_one_value() -> None:
    market, _ = lived(seconds=SECONDS)
    states = market.arena["world.states"].view
    assert states[2]["value"] == states[0]["value"] != states[1]["value"]


def test_sizes_keep_their_mean_and_aliases_their_weights() -> None:
    assert size_table(Sizes(mean=50, sigma=0.8)).mean() == pytest.approx(50, rel=0.03)
    assert list(np.unique(size_table(Sizes(quantiles=(100, 100, 100))))) == [100]
    weights = np.array([5.0, 1.0, 0.5, 3.0])
    chance, alias = alias_table(weights)
    drawn = chance.copy()
    for column, other in enumerate(alias):
        drawn[other] += 1 - chance[column]
    assert drawn / 4 == pytest.approx(weights / weights.sum())
