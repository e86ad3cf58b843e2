"""The market-making papers' order flow as participants of the matching exchange.

A maker of reference liquidity shows one lot far away on both sides of the mid and moves both with it, so that the mid
is what the strategy sees. In every step one order to buy and one to sell arrive, of one lot, immediate or cancel, with
a limit at a distance from the mid of

    d = ln(A dt / u) / k,   u uniform on (0, 1),   so that   P(d >= delta) = min(1, A dt exp(-k delta))

An order of the strategy that rests at delta is executed, at its own price, exactly when d >= delta.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nanotick.core.kernel import callback
from nanotick.core.memory import load_i64, store_i64
from nanotick.core.records import COMMAND, RECORD_SIZE, Kind, TimeInForce, command_at
from nanotick.engine import simulate
from nanotick.engine.local import Capacity, StrategySetup
from nanotick.engine.simulate import Simulation
from nanotick.exchange.agents.description import description_from
from nanotick.exchange.agents.living import LivingMarket
from nanotick.exchange.config import VenueConfig
from nanotick.exchange.market import exchange_command
from nanotick.exchange.market.records import exchange_at, participant_at
from nanotick.risk.limits import RiskLimits
from nanotick.strategy.base import Strategy

TICKS = 10_000  # price units in one unit of the papers' price: quotes are all but continuous
STEP_NS = 1_000_000  # market time of a step; the strategy decides at its start, orders arrive at its half
BASE = 2_000 * TICKS  # the papers' price 0 is put here: integer prices are positive
FAR = 500 * TICKS
NEVER = 1 << 62
CAPACITY = Capacity(book_orders=1 << 12, book_levels=1 << 14, orders=1 << 14, arena_bytes=8 << 30)
MAKER, ARRIVALS = 2, 3  # participants; 0 is the world's environment, 1 the strategy
NO_LATENCY = VenueConfig(entry_latency=0, response_latency=0, feed_latency=0, feed_from="venue")


def market(seconds: float, price: int = 2_100, tick: str = "0.0001", price_decimals: int = 4) -> Any:
    """A described market of one instrument in which nobody trades."""
    return description_from(
        {
            "name": "paper",
            "session": {"hours": (seconds + 60.0) / 3_600},
            "step_ms": 10_000_000,
            "profiles": {"nobody": {}},
            "instruments": [
                {
                    "symbol": "PAPER",
                    "profile": "nobody",
                    "price": price,
                    "tick": tick,
                    "price_decimals": price_decimals,
                    "volatility": 0,
                }
            ],
        }
    )


def _play(exchange: int, now: int) -> int:
    """Clock of an exchange whose participants follow a script: (commands, next, end) at participant 0's session."""
    root = exchange_at(exchange)
    script = participant_at(root.participants_address, 0).session
    number, end = load_i64(script + 8), load_i64(script + 16)
    while number < end and command_at(load_i64(script) + RECORD_SIZE * number).ts <= now:
        exchange_command(exchange, load_i64(script) + RECORD_SIZE * number, now)
        number += 1
    store_i64(script + 8, number)
    root.next_deadline = command_at(load_i64(script) + RECORD_SIZE * number).ts if number < end else NEVER
    return 0


def script(mids: npt.NDArray[np.float64], reach: npt.NDArray[np.float64], start: int, least: float) -> npt.NDArray[Any]:
    """COMMAND rows of steps: the maker moves, then an order to buy and one to sell arrive.

    Parameters
    ----------
    mids : ndarray, shape (steps + 1,)
        The mid at the start of each step and after the last; price units of the papers.
    reach : ndarray, shape (steps, 2)
        Distance from the mid that the order to buy reaches, and the order to sell.
    start : int
        ns UTC.
    least : float
        Orders that reach less are left out: nobody quotes there.
    """
    steps = len(reach)
    rows = np.zeros((steps, 4), COMMAND)
    at = np.rint(mids[:-1] * TICKS).astype(np.int64) + BASE
    times = start + np.arange(steps, dtype=np.int64) * STEP_NS
    for column, side in ((0, 1), (1, -1)):
        quote, taker = rows[:, column], rows[:, 2 + column]
        quote["kind"], quote["strategy"], quote["id"] = int(Kind.REPLACE_ORDER), MAKER, column + 1
        quote["kind"][0] = int(Kind.NEW)
        quote["side"], quote["price"], quote["ts"] = side, at - side * FAR, times
        distance = np.clip(np.rint(reach[:, column] * TICKS).astype(np.int64), -FAR + 1, FAR - 1)
        taker["kind"], taker["strategy"], taker["id"] = int(Kind.NEW), ARRIVALS, np.arange(steps) + 1
        taker["side"], taker["tif"], taker["price"] = side, int(TimeInForce.IOC), at + side * distance
        taker["ts"] = times + STEP_NS // 2 + column
    rows["qty"] = 1
    kept = np.ones((steps, 4), np.bool_)
    kept[:, 2:] = reach >= least
    return rows.reshape(-1)[kept.reshape(-1)]


def simulation(
    strategy: Strategy, limits: RiskLimits, seconds: float, clock: Any, memory: npt.NDArray[Any], **item: Any
) -> tuple[Simulation, Any]:
    """A run of the strategy in an empty exchange of its own clock, which finds `memory`; and the exchange's record.

    Participants 2 and 3 are the clock's: what it sends for them arrives at once, as does all that the strategy sends.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulate, "LivingMarket", lambda *args, **named: LivingMarket(*args, **named | {"outsiders": 3}))
        setup = StrategySetup(strategy, cash=10**17)
        made = Simulation(market(seconds, **item), [setup], seconds, NO_LATENCY, limits, 0, capacity=CAPACITY)
    (exchange,) = made.living.exchanges
    exchange.regions["participants"].view[0]["session"] = memory.ctypes.data
    key = f"{clock.__module__}.{clock.__name__} 1"
    made.arena["world.links"].view[0]["clock_function"] = callback(clock, key)
    return made, made.arena["market.SIM.exchange"].view[0]


def run(strategy: Strategy, limits: RiskLimits, mids: Any, reach: Any, least: float) -> tuple[Any, int]:
    """Records of a run of the strategy in the papers' order flow, and the start of its first step."""
    memory = np.zeros(3, np.int64)
    made, root = simulation(strategy, limits, len(reach) * STEP_NS * 1e-9 + 1.0, _play, memory)
    start = made.start_ts + STEP_NS
    commands = script(mids, reach, start, least)
    memory[:] = commands.ctypes.data, 0, len(commands)
    root["next_deadline"] = int(commands[0]["ts"])
    records = made.run().records
    assert memory[1] == len(commands)
    return records, start
