from dataclasses import replace

import pytest

from nanotick.cli.checklist import Point, checklist, refusals, venue_clocks
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.machine import OFF, ON, Setting
from nanotick.core.secret import Secret
from nanotick.engine.kill import ask_kill
from nanotick.engine.local import StrategySetup
from nanotick.risk.limits import RiskLimits
from nanotick.strategies import built_in
from nanotick.venues.live import AccountSpec, FeedSpec, LiveSettings
from nanotick.venues.registry import package
from nanotick.venues.sockets import Sockets
from nanotick.wire.json_text import rfc3339_text
from nanotick.wire.requests import Response
from tests.venues.live import PlainSite

KEYS = {"key": "KEY", "secret": Secret("SECRET-SECRET")}
CLOCK = [Setting("clock sync", ON, "0.1 ms from UTC", "")]


@pytest.fixture
def good(tmp_path):
    alpaca = package("alpaca")
    return LiveSettings(
        directory=tmp_path / "state", instruments=InstrumentTable([Instrument("SPY", "ALPACA", 4, 0)]),
        setups=[StrategySetup(built_in("glft")())], mode="live",
        feeds=[FeedSpec(alpaca, "ALPACA", ("wss://stream.data.alpaca.markets",))],
        accounts=[AccountSpec(alpaca, {"rest": "https://api.alpaca.markets"})],
    )  # fmt: skip


def failed(settings, machine=CLOCK):
    return {point.name for point in checklist(settings, machine) if not point.ok}


def test_a_careful_set_up_passes(good):
    assert failed(good) == set()


@pytest.mark.parametrize("limit", ["max_order_value", "max_daily_loss_share", "price_collar_share", "max_book_age_s"])
def test_a_limit_left_out_stops_it(good, limit):
    assert failed(replace(good, limits=RiskLimits(**{limit: "unlimited"}))) == {"limits of account"}
    own = [StrategySetup(built_in("glft")(), limits=RiskLimits(**{limit: "unlimited"}), name="mine")]
    assert failed(replace(good, setups=own)) == {"limits of mine"}


def test_trading_with_oneself_stops_it(good):
    assert failed(replace(good, limits=RiskLimits(self_trade="allow"))) == {"limits of account"}


def test_a_pulled_kill_switch_stops_it(good):
    good.directory.mkdir(mode=0o700)
    ask_kill(good.directory, "yesterday")
    assert failed(good) == {"kill switch"}


def test_a_state_directory_open_to_others_stops_it(good):
    good.directory.mkdir(mode=0o755)
    assert failed(good) == {"state directory"}


def test_plain_text_connections_stop_it(good):
    account = replace(good.accounts[0], endpoints={"rest": "http://api.alpaca.markets"})
    assert failed(replace(good, accounts=[account])) == {"encryption"}


@pytest.mark.parametrize(("clocks", "stops"), [((), True), ((True,), False), ((True, False), True)])
def test_a_clock_that_the_kernel_does_not_keep_stops_nothing_where_every_venue_finds_it_good(good, clocks, stops):
    told = [Point("clock of X", ok, "+0.1 ms", must=False) for ok in clocks]
    points = checklist(good, [Setting("clock sync", OFF, "not synchronised", "start chrony")], told)
    assert points[len(points) - len(told) :] == told and bool(refusals(points)) == stops


def test_a_clock_that_nobody_keeps_stops_it(good):
    assert failed(good, [Setting("clock sync", OFF, "not synchronised", "start chrony")]) == {"clock sync"}


@pytest.mark.parametrize(("ahead_ms", "right"), [(0, True), (2_000, False), (-2_000, False), (None, False)])
def test_a_clock_of_a_venue_that_is_off_is_warned_of_and_stops_nothing(right, tmp_path, ahead_ms):
    with Sockets() as host:

        def answer(asked, done):
            there = rfc3339_text(host.now() + (ahead_ms or 0) * 1_000_000)
            status = 200 if ahead_ms is not None and asked.path == "/v2/clock" else 404
            done(Response(status, (), b'{"timestamp":"' + there.encode() + b'","is_open":true}'))

        port = host.serve(PlainSite(answer))
        account = AccountSpec(package("alpaca"), {"rest": f"http://127.0.0.1:{port}"}, KEYS)
        asked = LiveSettings(
            directory=tmp_path / "state", instruments=InstrumentTable([Instrument("SPY", "ALPACA", 4, 0)]),
            setups=[], mode="live", feeds=[], accounts=[account],
        )  # fmt: skip
        (point,) = venue_clocks(asked, host)
    assert point.name == "clock of ALPACA" and not point.must and refusals([point]) == ""
    assert point.ok is right
    assert ("has not answered" in point.found) is (ahead_ms is None)


def test_live_is_refused_with_what_is_missing(good):
    points = checklist(replace(good, limits=RiskLimits(max_order_value="unlimited")), CLOCK)
    assert "limits of account: max_order_value unlimited" in refusals(points)
    assert refusals(checklist(good, CLOCK)) == ""
