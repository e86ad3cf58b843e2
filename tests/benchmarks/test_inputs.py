"""The generated inputs are what they claim: valid ITCH, uncrossed books, one market in two programs' records."""

from collections import Counter

import numpy as np
import pytest

from benchmarks import hft_format
from benchmarks.binance_raw import write_binance_raw
from benchmarks.itch_day import itch_day
from benchmarks.level_stream import as_events, as_hft, market_rows
from benchmarks.order_stream import order_by_order_market
from benchmarks.quote_stream import as_events as quote_events
from benchmarks.quote_stream import quotes
from nanotick.core.records import Kind

ITCH_SIZES = dict(zip("SRAFECXDUP", (12, 39, 36, 40, 31, 36, 23, 19, 35, 44), strict=True))


def walk(data: bytes):
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 2], "big")
        yield data[at + 2 : at + 2 + size]
        at += 2 + size


def big(message: bytes, at: int, size: int) -> int:
    return int.from_bytes(message[at : at + size], "big")


@pytest.fixture(scope="module")
def day():
    data, facts = itch_day(30_000, 20)
    return data.tobytes(), facts


def test_an_itch_day_holds_the_messages_it_counts_each_of_its_types_size(day):
    data, facts = day
    counts = Counter()
    for message in walk(data):
        kind = chr(message[0])
        counts[kind] += 1
        assert len(message) == ITCH_SIZES[kind]
    assert sum(counts.values()) == 30_000
    assert {kind: counts[kind] for kind in ITCH_SIZES} == {kind: facts[kind] for kind in ITCH_SIZES}


def test_an_itch_day_repeats_from_its_seed_and_differs_with_another(day):
    data, _ = day
    assert itch_day(30_000, 20)[0].tobytes() == data
    assert itch_day(30_000, 20, seed=1)[0].tobytes() != data


def test_books_of_an_itch_day_are_never_crossed_and_executions_take_the_front_of_the_best_queue(day):
    data, facts = day
    orders: dict[int, list] = {}  # reference -> [locate, side, price, shares]; insertion order is time priority
    peak = 0
    last_ts = 0
    last_reference = 0

    def side_of(locate, side):
        return [(order[2], ref) for ref, order in orders.items() if order[0] == locate and order[1] == side]

    for message in walk(data):
        kind = chr(message[0])
        locate, ts = big(message, 1, 2), big(message, 5, 6)
        assert ts >= last_ts
        last_ts = ts
        if kind in "SRP":
            continue
        reference = big(message, 11, 8)
        if kind in "AFU":
            if kind == "U":
                old = orders.pop(reference)
                reference = big(message, 19, 8)
                orders[reference] = [locate, old[1], big(message, 31, 4), big(message, 27, 4)]
            else:
                orders[reference] = [locate, chr(message[19]), big(message, 32, 4), big(message, 20, 4)]
            assert 1 <= reference - last_reference <= 2 or last_reference == 0
            last_reference = reference
            assert orders[reference][2] % 100 == 0 and orders[reference][3] > 0
            # Only the changed book can have become crossed.
            bids, asks = side_of(locate, "B"), side_of(locate, "S")
            assert not bids or not asks or max(bids)[0] < min(asks)[0]
        else:
            order = orders[reference]
            assert order[0] == locate
            if kind in "EC":
                queue = side_of(locate, order[1])
                touch = max(price for price, _ in queue) if order[1] == "B" else min(price for price, _ in queue)
                assert reference == next(ref for price, ref in queue if price == touch)
                if kind == "C":
                    assert big(message, 32, 4) == order[2]
            if kind == "D":
                order[3] = 0
            else:
                order[3] -= big(message, 19, 4)
            assert order[3] >= (1 if kind == "X" else 0)
            if order[3] == 0:
                del orders[reference]
        peak = max(peak, len(orders))
    assert peak == facts["live_peak"]


def test_a_day_too_short_for_its_directory_is_refused():
    with pytest.raises(ValueError, match="cannot hold the directory of 100 symbols"):
        itch_day(50, 100)


@pytest.fixture(scope="module")
def levels():
    return market_rows(40_000)


def test_the_price_level_market_is_never_crossed_and_trades_take_no_more_than_the_best_level_shows(levels):
    book = {1: {}, -1: {}}
    taken: Counter = Counter()
    for row in levels:
        side, tick, lots = int(row["side"]), int(row["tick"]), int(row["lots"])
        if row["trade"]:
            taken[(-side, tick)] += lots
            assert lots > 0
            continue
        book[side][tick] = lots
        taken.pop((side, tick), None)
        if not lots:
            del book[side][tick]
        if row["last"]:
            assert max(book[1]) < min(book[-1])
    assert (np.diff(levels["ts_venue"]) >= 0).all() and (np.diff(levels["ts_recv"]) >= 0).all()
    assert (levels["ts_recv"] > levels["ts_venue"]).all()


def test_both_programs_records_say_the_same_market(levels):
    theirs, ours = as_hft(levels), as_events(levels, instrument=3)
    assert theirs.itemsize == ours.itemsize == 64
    assert (np.rint(theirs["px"] * 10) == ours["price"]).all() and (np.rint(theirs["qty"] * 1000) == ours["qty"]).all()
    assert (theirs["exch_ts"] == ours["ts_venue"]).all() and (theirs["local_ts"] == ours["ts_recv"]).all()
    assert ((theirs["ev"] & 0xFF == hft_format.TRADE) == (ours["kind"] == Kind.TRADE)).all()
    assert ((theirs["ev"] & hft_format.BUY > 0) == (ours["side"] == 1)).all()
    assert (ours["instrument"] == 3).all()


def test_order_by_order_records_of_both_programs_leave_the_same_orders():
    rows, events = order_by_order_market(20_000)
    theirs: dict[int, tuple[int, int]] = {}
    for row in rows:
        kind, order = int(row["ev"]) & 0xFF, int(row["order_id"])
        if kind in (hft_format.ADD_ORDER, hft_format.MODIFY_ORDER):
            assert (order in theirs) == (kind == hft_format.MODIFY_ORDER)
            theirs[order] = (round(float(row["px"]) * 100), int(row["qty"]))
        elif kind == hft_format.CANCEL_ORDER:
            del theirs[order]
        elif kind == hft_format.FILL:
            assert order in theirs
    ours: dict[int, tuple[int, int]] = {}
    for event in events:
        kind, order = int(event["kind"]), int(event["id"])
        if kind == Kind.ADD:
            ours[order] = (int(event["price"]), int(event["qty"]))
        elif kind == Kind.DELETE:
            del ours[order]
        elif kind == Kind.REPLACE:
            del ours[order]
            ours[int(event["word"])] = (int(event["price"]), int(event["qty"]))
        elif kind in (Kind.REDUCE, Kind.EXECUTE):
            price, qty = ours.pop(order)
            if qty > event["qty"]:
                ours[order] = (price, qty - int(event["qty"]))
    assert ours == theirs
    assert 300 < len(ours) <= 800


def test_quotes_are_one_tick_wide_and_carry_size_on_both_sides():
    stream = quotes(1_000)
    events = quote_events(stream)
    assert (events["id"] - events["price"] == 1).all()
    assert (events["qty"] > 0).all() and (events["word"] > 0).all()


def test_a_raw_binance_recording_holds_every_row_and_an_unbroken_chain_of_update_ids(tmp_path):
    import gzip
    import json

    path = tmp_path / "raw.gz"
    write_binance_raw(path, 5_000)
    rows = 0
    previous = None
    for line in gzip.open(path, "rt"):
        stamp, _, message = line.partition(" ")
        data = json.loads(message)["data"]
        assert int(stamp) // 1_000_000 >= data["E"]
        if data["e"] == "trade":
            rows += 1
            continue
        rows += len(data["b"]) + len(data["a"])
        assert previous is None or data["pu"] == previous
        assert data["U"] == data["pu"] + 1
        previous = data["u"]
    assert rows == 5_000
