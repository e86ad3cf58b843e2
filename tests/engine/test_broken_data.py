"""Gaps and broken trades in a recording, from the feed to orders, positions and results."""

from typing import Any

import numpy as np

from nanotick.core.instruments import InstrumentTable
from nanotick.core.records import BOTH_SIDES, EVENT, FillReason, Flag, Kind
from nanotick.research.results import BacktestResult
from nanotick.strategies import built_in
from tests.engine.conftest import both, run_of

Day = tuple[Any, InstrumentTable]


def inserted(events: Any, kind: Kind, ts: int, **fields: int) -> Any:
    row = np.zeros(1, EVENT)
    row["kind"], row["ts_venue"], row["ts_recv"] = int(kind), ts, ts
    row["flags"] = BOTH_SIDES | int(Flag.LAST)
    for name, value in fields.items():
        row[name] = value
    return np.insert(events, int(np.searchsorted(events["ts_recv"], ts, "right")), row[0])


def test_a_bust_flows_through_orders_portfolio_and_results(day: Day) -> None:
    events, table = day
    events = events.copy()
    executes = np.flatnonzero(events["kind"] == int(Kind.EXECUTE))
    events["word"][executes] = np.arange(1, len(executes) + 1)
    maker = [built_in("glft")(size=20, limit=5, k=1.5, gamma=0.05, sigma=0.5)]
    plain = run_of(events, table, maker).run()
    resting = plain.records[plain.records["kind"] == int(Kind.FILL)]
    resting = resting[np.isin(resting["flags"] & 0x7F, (FillReason.TRADED_THROUGH, FillReason.QUEUE_HEAD_EXECUTED))]
    by_trade = [
        (row, found)
        for row in resting
        for found in executes[(events["ts_venue"][executes] == row["ts_venue"])]
        if events["instrument"][found] == row["instrument"]
    ]
    fill, _ = by_trade[len(by_trade) // 2]
    broken, later = events, int(fill["ts_recv"]) + 10**9
    for row, at in by_trade:
        if row["seq"] == fill["seq"]:
            broken = inserted(broken, Kind.BREAK, later, id=int(events["word"][at]), instrument=int(fill["instrument"]))
    out = run_of(broken, table, maker).run()
    busts = out.records[out.records["kind"] == int(Kind.FILL_BUST)]
    assert int(fill["id"]) in busts["id"].tolist()
    fills = out.records[out.records["kind"] == int(Kind.FILL)]
    for n in range(len(table)):
        held = sum(int(r["side"]) * int(r["qty"]) for r in fills[fills["instrument"] == n])
        held -= sum(int(r["side"]) * int(r["qty"]) for r in busts[busts["instrument"] == n])
        final = out.positions[out.positions["instrument"] == n]
        assert (int(final["qty"][0]) if len(final) else 0) == held
    result = BacktestResult(out)
    assert len(result.fills) == len(fills) - len(busts)


def test_nothing_is_sent_for_an_instrument_whose_feed_has_a_gap(day: Day) -> None:
    events, table = day
    middle = int(events["ts_recv"][len(events) // 2])
    out = run_of(inserted(events, Kind.GAP, middle, instrument=0, word=5), table, both()).run()
    new = out.records[out.records["kind"] == int(Kind.NEW)]
    late = new["ts_venue"] > middle + 1_000_000  # a command's first field is when it was decided
    assert np.any((new["instrument"] == 0) & ~late)
    assert not np.any((new["instrument"] == 0) & late)
    assert np.any((new["instrument"] == 1) & late)
    fills = out.records[out.records["kind"] == int(Kind.FILL)]
    assert not np.any((fills["instrument"] == 0) & (fills["ts_venue"] > middle))


def test_a_gap_cancels_the_quotes_of_a_market_maker(day: Day) -> None:
    events, table = day
    maker = [built_in("glft")(size=20, limit=5, k=1.5, gamma=0.05, sigma=0.5)]
    middle = int(events["ts_recv"][len(events) // 2])
    run = run_of(inserted(events, Kind.GAP, middle, instrument=0, word=5), table, maker)
    run.run()
    orders = run.local.orders.orders.view
    assert not np.any((orders["instrument"] == 0) & np.isin(orders["state"], range(2, 7)))
