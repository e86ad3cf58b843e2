"""One market, three ways: paper over sockets, replay of that session's journal, and a backtest of what it heard."""

import numpy as np

import nanotick as nt
from nanotick.core.journal_reader import JournalReader
from nanotick.core.records import BOTH_SIDES, EVENT, Kind
from nanotick.engine.journaling import SessionMark
from nanotick.engine.local import StrategySetup
from nanotick.engine.session_replay import replay
from nanotick.exchange.config import VenueConfig
from nanotick.risk.limits import RiskLimits
from nanotick.venues.live import AccountSpec, LiveSession
from nanotick.venues.registry import package
from tests.venues.live import until
from tests.venues.test_live import market, settings  # noqa: F401  the fixture, too
from tests.venues.test_paper import Flip

LATENCY = VenueConfig(entry_latency=3_000_137, response_latency=2_000_059)
LIMITS = RiskLimits(max_book_age_s="unlimited")


def records_of(directory):
    reader = JournalReader(directory)
    try:
        return np.concatenate([batch.copy() for batch in reader.batches()])
    finally:
        reader.close()


def commands_of(records):
    view = records[(records["kind"] >= Kind.NEW)]
    return [
        (int(r["ts_venue"]), int(r["kind"]), int(r["price"]), int(r["qty"]), int(r["id"]), int(r["side"])) for r in view
    ]


def reports_of(records):
    view = records[(records["kind"] >= Kind.ACCEPTED) & (records["kind"] <= Kind.FILL_BUST)]
    return [(int(r["kind"]), int(r["ts_recv"]), int(r["price"]), int(r["qty"]), int(r["side"])) for r in view]


def test_paper_replay_and_backtest_decide_alike(market, tmp_path):  # noqa: F811
    host, _, port = market
    asked = settings(tmp_path / "state", port, Flip(), duration=4.0)
    asked.limits, asked.accounts, asked.mode = LIMITS, [AccountSpec(package("alpaca"), paper=LATENCY)], "shadow"
    session = LiveSession(host, asked)
    session.start()
    until(host, lambda: session.over)
    session.close()
    assert not any(request for request in getattr(session.runner.accounts[0], "_sent", ()))
    again = replay(session.journal)
    assert again.difference is None and again.commands > 10
    records = records_of(session.journal)
    marks = records["kind"] == Kind.SESSION
    end = int(np.flatnonzero(marks & (records["word"] == SessionMark.STOP))[0])
    heard = records[:end][records["kind"][:end] < Kind.ACCEPTED]
    rows = np.zeros(len(heard), EVENT)
    rows.view(np.uint8)[:] = heard.view(np.uint8)
    rows["ts_venue"] = rows["ts_recv"]  # one clock, as the paper exchange has
    rows["flags"] |= int(BOTH_SIDES)
    started = records[marks & (records["word"] == SessionMark.START)]
    result = nt.backtest(
        (rows, session.local.instruments), StrategySetup(Flip(), cash=10**12), venue=LATENCY, limits=LIMITS,
        sample_interval=0, start=int(started[0]["ts_recv"]),
    )  # fmt: skip
    last = int(records[end]["ts_recv"])
    live = [c for c in commands_of(records[:end]) if c[0] < last]
    tested = [c for c in commands_of(result.output.records) if c[0] < last]
    assert len(live) > 10 and tested[: len(live)] == live
    told, expected = reports_of(records[:end]), reports_of(result.output.records)
    assert sum(kind == Kind.FILL for kind, *_ in told) > 3
    assert expected[: len(told)] == told
