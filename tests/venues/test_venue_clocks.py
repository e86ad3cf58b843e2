"""Every trader watches its venue's clock, in the virtual network, where the venue's machine has a clock of its own."""

from __future__ import annotations

from typing import Any

import pytest

from nanotick.core.instruments import InstrumentTable
from nanotick.exchange.agents.description import description_from
from nanotick.terminal.screen import clock_words
from nanotick.venues.clock import ClockState
from nanotick.venues.paced_market import PacedMarket
from nanotick.venues.registry import package
from nanotick.venues.served import Customer, served_venue
from nanotick.venues.virtual import MS, SECOND, VirtualNetwork
from tests.venues.contract import KEY, SECRET, STOCK, Case, Place, coin

VENUES = [
    Case("alpaca", "AAPL", STOCK, []),
    coin("binance", "BTCUSDT", []),
    coin("coinbase", "BTC-USDT", []),
    coin("kraken", "BTC/USDT", []),
]


class Log:
    """What is said of clocks."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def _line(self, level: str, message: str, **fields: Any) -> None:
        if message == "the venue's clock":
            self.lines.append((level, fields))

    def __getattr__(self, level: str) -> Any:
        return lambda message, **fields: self._line(level, message, **fields)


class VirtualPlace(Place):
    """The served venue on a machine of its own."""

    def __init__(self, case: Case, ahead_ns: int = 0) -> None:
        self.network = VirtualNetwork(seed=5)
        self.there: Any = self.network.host("venue")
        self.there.step_clock(ahead_ns)
        self.case, self.package = case, package(case.name)
        self.host: Any = self.network.host("ours")
        market = PacedMarket(self.there, description_from({
            "name": "small", "session": {"start": "2026-01-05T14:30:00Z", "hours": 6.5},
            "profiles": {"plain": {"flow": {"limit_rate": 2.0, "market_rate": 0.3, "lifetime": 5.0}}},
            "instruments": [case.row],
        }), seed=3, warm_up=20.0, slice_ns=SECOND // 2)  # fmt: skip
        opened = served_venue(case.name).open(self.there, market, Customer(KEY, SECRET, limits=False))
        self.desk = opened.desk
        market.start()
        self.port = 80
        self.network.serve("127.0.0.1:80", opened.site, self.there)
        self.keys = dict(opened.keys)
        self._running: list[Any] = []
        self.table = InstrumentTable([self._instrument()])

    def until(self, condition: Any) -> None:
        for _ in range(20_000):
            if condition():
                return
            self.network.run(self.network.time + 10 * MS)
        raise AssertionError("it did not happen in 200 s of the network's time")


@pytest.mark.parametrize("case", VENUES, ids=repr)
@pytest.mark.parametrize("ahead_ms", [0, 2_000])
def test_how_far_a_clock_of_a_venue_is_ahead_is_known_shown_and_said(case, ahead_ms):
    place, log = VirtualPlace(case, ahead_ms * MS), Log()
    trader = place.started(log=log).trader
    wanted = ClockState.ALARM if ahead_ms else ClockState.GOOD
    place.until(lambda: trader.clock.state(place.host.now()) == wanted and trader.clock.error <= 50 * MS)
    told = trader.status()["clock"]
    assert told["state"] == wanted.name and 0 < told["error_ns"] <= 50 * MS
    assert abs(told["offset_ns"] - ahead_ms * MS) <= told["error_ns"]
    place.until(lambda: bool(log.lines) and log.lines[-1][1]["state"] == wanted.name)
    assert log.lines[-1][0] == ("error" if ahead_ms else "info")
    words, style = clock_words(told)
    assert words.startswith(("clock +2,00", "clock +1,99") if ahead_ms else "clock ") and style == (
        "red" if ahead_ms else ""
    )


@pytest.mark.parametrize("case", VENUES, ids=repr)
def test_a_clock_that_is_set_while_we_trade_is_noticed_and_good_again_once_ours_follows(case):
    place = VirtualPlace(case)
    trader = place.started().trader
    place.until(lambda: trader.clock.state(place.host.now()) == ClockState.GOOD)
    place.there.step_clock(400 * MS)
    place.until(lambda: trader.status()["clock"]["state"] == "ALARM")
    assert trader.status()["clock"]["steps"] == 1
    place.host.step_clock(400 * MS)
    place.until(lambda: trader.status()["clock"]["state"] == "GOOD")
    trader.stop()
    asked = trader.watch._asked
    place.network.run(place.network.time + 300 * SECOND)
    assert trader.watch._asked == asked


def test_nothing_is_shown_of_a_clock_that_nobody_knows_and_a_standing_one_is_said():
    assert clock_words(None) == clock_words({"state": "UNKNOWN"}) == ("", "")
    assert clock_words({"state": "STOPPED"}) == ("its clock stands", "red")
