"""Reports about orders: repeated, contradictory, late, unknown; and what the table holds together while they come."""

import random
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.records import EVENT, Kind, RejectReason
from nanotick.orders import OrderChange, OrderRequest, OrderState, ReportFlag
from nanotick.orders.records import SLOT_BITS, SLOT_MASK
from tests.orders.play import Played, event
from tests.orders.venue import PRICE, QTY, deliveries, expected_state, histories, script_of

CHANGE = OrderChange
TERMINAL = {OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED, OrderState.EXPIRED}


def new(qty=QTY, price=PRICE, **values):
    return event(Kind.NEW, qty=qty, price=price, **values)


def fill(seq, qty, **values):
    return event(Kind.FILL, seq=seq, qty=qty, price=PRICE, **values)


def after(*rows, played=None):
    steps = (played or Played(1 << 10, arena_size=1 << 24))(np.concatenate(rows))
    return steps[-1]


def test_ten_thousand_histories_with_repeated_reports_book_nothing_twice():
    rng = random.Random(5)
    pool = [v for length in (3, 4) for cancel in (0, 1) for r in (0, 5, 16) for v in histories(length, cancel, r, True)]
    lines, venues, ends = [], [], []
    while len(venues) < 10_000:
        venue = rng.choice(pool)
        script = script_of(rng.choice(deliveries(venue)))
        for _ in range(rng.randint(1, 4)):
            reports = [i for i, line in enumerate(script) if line[9] < Kind.NEW]
            repeated = rng.choice(reports)
            script.insert(rng.randint(repeated + 1, len(script)), script[repeated])
        lines += script
        ends.append(len(lines))
        venues.append(venue)
    kinds = np.array([line[9] for line in lines])
    steps = Played(quarantine_ns=1 << 60, quarantine_orders=1 << 20)(np.array(lines, EVENT))
    checked = 0
    for venue, first, last in zip(venues, [0, *ends[:-1]], ends, strict=True):
        mine, kind = steps[first:last], kinds[first:last]
        if (mine["result"][kind > Kind.NEW] != OrderRequest.OK).any():
            continue
        checked += 1
        end = mine[-1]
        context = (lines[first:last], mine)
        held = (end["filled_qty"], end["busted_qty"], end["leaves"])
        assert held == (venue.filled, venue.busted, venue.leaves), context
        assert end["state"] == expected_state(venue), context
        booked = mine["result"][kind < Kind.NEW] & int(CHANGE.FILL)
        assert np.count_nonzero(booked) == sum(k == Kind.FILL for k, _, _ in venue.reports)
    assert checked > 9_000


def test_the_same_execution_with_other_contents_is_a_break_and_is_not_booked():
    end = after(new(), fill(7, 4), fill(7, 5))
    assert CHANGE(int(end["result"])) == CHANGE.DUPLICATE | CHANGE.BREAK
    assert end["filled_qty"] == 4


def test_an_overfill_is_booked_and_flagged_and_leaves_are_never_negative():
    end = after(new(), fill(1, 9), fill(2, 9))
    assert CHANGE.BREAK in CHANGE(int(end["result"])) and CHANGE.FILL in CHANGE(int(end["result"]))
    assert (end["state"], end["filled_qty"], end["leaves"], end["open_qty"]) == (OrderState.FILLED, 18, 0, 0)


@pytest.mark.parametrize(
    ("row", "change"),
    [
        (fill(1, 0), CHANGE.BREAK),
        (fill(1, -3), CHANGE.BREAK),
        (fill(1, 3, instrument=1), CHANGE.BREAK),
        (fill(1, 3, side=-1), CHANGE.BREAK),
        (event(Kind.REPLACED, qty=-5, price=PRICE, ts_venue=1), CHANGE.BREAK),
        (event(Kind.TRADE, qty=5, price=PRICE), CHANGE.BREAK),
        (fill(1, 3, id=12345), CHANGE.BREAK | CHANGE.UNKNOWN_ORDER),
        (fill(1, 3, id=1 << 40), CHANGE.BREAK | CHANGE.UNKNOWN_ORDER),
        (fill(1, 3, id=1 << 62 | 1), CHANGE.BREAK | CHANGE.UNKNOWN_ORDER),
    ],
)
def test_what_cannot_be_true_changes_nothing(row, change):
    played = Played(1 << 10, arena_size=1 << 24)
    steps = played(np.concatenate([new(), row]))
    assert CHANGE(int(steps[1]["result"])) == change
    record = played.table.orders.view[int(steps[0]["id"]) & SLOT_MASK]
    assert (record["qty"], record["filled_qty"], record["state"]) == (QTY, 0, OrderState.PENDING_NEW)


def test_a_fill_after_the_cancel_was_acknowledged_in_full_is_booked_late():
    cancelled = (new(), event(Kind.CANCEL), event(Kind.CANCELLED, qty=10))
    end = after(*cancelled, fill(1, 4))
    assert CHANGE(int(end["result"])) == CHANGE.FILL | CHANGE.LATE
    assert (end["state"], end["filled_qty"], end["cancelled_qty"]) == (OrderState.CANCELLED, 4, 6)
    end = after(*cancelled, fill(1, 4), fill(2, 6))
    assert CHANGE(int(end["result"])) == CHANGE.FILL | CHANGE.LATE | CHANGE.STATE
    assert (end["state"], end["filled_qty"], end["cancelled_qty"]) == (OrderState.FILLED, 10, 0)


def test_a_bust_of_a_filled_order_takes_the_fill_back_and_the_quantity_stays_gone():
    end = after(new(), fill(1, 4, word=3), fill(2, 6), event(Kind.FILL_BUST, seq=1, qty=4, price=PRICE, word=3))
    assert CHANGE(int(end["result"])) == CHANGE.BUST | CHANGE.LATE | CHANGE.STATE
    assert (end["state"], end["filled_qty"], end["busted_qty"], end["leaves"]) == (OrderState.CANCELLED, 6, 4, 0)
    assert (end["fees"], end["filled_value"]) == (0, 6 * PRICE)


def test_a_bust_that_comes_before_its_fill_keeps_the_fill_from_being_booked():
    bust = event(Kind.FILL_BUST, seq=1, qty=4, price=PRICE)
    end = after(new(), bust, fill(1, 4))
    assert CHANGE(int(end["result"])) == CHANGE.DUPLICATE
    assert (end["filled_qty"], end["busted_qty"], end["leaves"]) == (0, 4, 6)


def test_the_rest_of_a_cancel_that_does_not_say_how_much_is_all_of_it():
    end = after(new(), fill(1, 4), event(Kind.CANCELLED, qty=-1))
    assert (end["state"], end["cancelled_qty"]) == (OrderState.CANCELLED, 6)


def test_an_expired_order_says_so():
    assert after(new(), event(Kind.EXPIRED, qty=10))["state"] == OrderState.EXPIRED


SETTLED = [
    (event(Kind.ACCEPTED), OrderState.WORKING, 10),
    (event(Kind.REJECTED), OrderState.REJECTED, 0),
    (event(Kind.CANCELLED, qty=10), OrderState.CANCELLED, 0),
    (fill(1, 4), OrderState.WORKING, 6),
    (event(Kind.CANCEL_REJECTED, word=int(RejectReason.UNKNOWN_ORDER)), OrderState.UNKNOWN, 10),
]


@pytest.mark.parametrize(("row", "state", "open_qty"), SETTLED)
def test_an_unknown_outcome_counts_in_full_until_the_venue_settles_it(row, state, open_qty):
    unknown = (new(), event(Kind.UNKNOWN))
    assert after(*unknown)["open_qty"] == 10
    end = after(*unknown, row)
    assert (end["state"], end["open_qty"]) == (state, open_qty)


def test_an_unknown_cancel_is_settled_by_asking_and_not_by_a_repeated_acknowledgement():
    rows = (new(), event(Kind.ACCEPTED), event(Kind.CANCEL), event(Kind.UNKNOWN))
    assert after(*rows, event(Kind.ACCEPTED))["state"] == OrderState.UNKNOWN
    end = after(*rows, event(Kind.ACCEPTED, flags=int(ReportFlag.STATUS)))
    assert (end["state"], end["open_qty"]) == (OrderState.WORKING, 10)


@pytest.mark.parametrize(
    ("reason", "state"),
    [(RejectReason.TOO_LATE, OrderState.WORKING), (RejectReason.UNKNOWN_ORDER, OrderState.UNKNOWN)],
)
def test_a_refused_cancel_settles_an_unknown_outcome_only_if_the_venue_knows_the_order(reason, state):
    rows = (new(), event(Kind.ACCEPTED), event(Kind.CANCEL), event(Kind.UNKNOWN))
    end = after(*rows, event(Kind.CANCEL_REJECTED, word=int(reason)))
    assert (end["state"], end["open_qty"]) == (state, 10)


def test_a_filled_and_rejected_order_is_unknown_and_a_break():
    end = after(new(), fill(1, 4), event(Kind.REJECTED))
    assert CHANGE.BREAK in CHANGE(int(end["result"]))
    assert (end["state"], end["open_qty"]) == (OrderState.UNKNOWN, 6)


def test_a_refusal_that_does_not_say_of_what_is_told_apart_by_what_it_repeats():
    both = (new(), event(Kind.REPLACE_ORDER, qty=16, price=PRICE), event(Kind.CANCEL))
    end = after(*both, event(Kind.CANCEL_REJECTED, qty=16, price=PRICE, ts_venue=1))
    assert (end["state"], end["leaves"]) == (OrderState.PENDING_CANCEL, 10)
    end = after(*both, event(Kind.CANCEL_REJECTED, ts_venue=1))
    assert (end["state"], end["leaves"]) == (OrderState.PENDING_REPLACE, 16)
    end = after(new(), both[1], event(Kind.CANCEL_REJECTED, ts_venue=1))
    assert (end["state"], end["leaves"]) == (OrderState.PENDING_NEW, 10)


def test_an_older_answer_to_a_replace_does_not_undo_a_newer_one():
    def amend(qty):
        return event(Kind.REPLACE_ORDER, qty=qty, price=PRICE)

    def amended(ts, qty):
        return event(Kind.REPLACED, ts_venue=ts, seq=ts, qty=qty, price=PRICE)

    both = (new(), amend(20), amended(5, 20), amend(8))
    for late in (amended(5, 20), amended(4, 30), event(Kind.CANCEL_REJECTED, ts_venue=4, seq=4)):
        end = after(*both, late)
        assert CHANGE(int(end["result"])) == CHANGE.DUPLICATE
        assert (end["state"], end["qty"], end["leaves"]) == (OrderState.PENDING_REPLACE, 20, 20)
        end = after(*both, amended(6, 8), late)
        assert (end["state"], end["qty"], end["leaves"]) == (OrderState.WORKING, 8, 8)


def test_requests_that_make_no_sense_are_refused():
    def request(*rows):
        return OrderRequest(after(*rows)["result"])

    cancel = event(Kind.CANCEL)
    assert request(new(), cancel, cancel) == OrderRequest.CANCEL_PENDING
    assert request(new(), fill(1, 10), cancel) == OrderRequest.NOT_OPEN
    assert request(new(), event(Kind.CANCEL, id=99)) == OrderRequest.UNKNOWN_ORDER
    amend = event(Kind.REPLACE_ORDER, qty=8, price=PRICE)
    assert request(new(), cancel, amend) == OrderRequest.CANCEL_PENDING
    assert request(new(), amend, amend) == OrderRequest.REPLACE_PENDING
    assert request(new(), fill(1, 8), amend) == OrderRequest.BAD_QUANTITY
    assert request(new(), event(Kind.UNKNOWN), amend) == OrderRequest.OUTCOME_UNKNOWN
    assert request(new(), amend, cancel) == OrderRequest.OK


def test_an_id_is_never_given_twice_and_an_ended_order_is_found_while_in_quarantine():
    played = Played(64, quarantine_ns=100, quarantine_orders=8, arena_size=1 << 24)
    seen = set()
    for round_ in range(200):
        steps = played(np.concatenate([new(ts_recv=round_), event(Kind.CANCELLED, qty=10, ts_recv=round_)]))
        seen.add(int(steps[0]["id"]))
        late = played(fill(1, 3, id=int(steps[0]["id"])))
        assert CHANGE(int(late[0]["result"])) == CHANGE.FILL | CHANGE.LATE
    assert len(seen) == 200
    assert len({i & SLOT_MASK for i in seen}) < 16
    gone = played(fill(1, 3, id=min(seen)))
    assert CHANGE(int(gone[0]["result"])) == CHANGE.UNKNOWN_ORDER | CHANGE.BREAK


def test_a_full_table_gives_id_zero_and_recovers_when_orders_end():
    played = Played(16, quarantine_ns=10, arena_size=1 << 24)
    steps = played(np.concatenate([new() for _ in range(16)]))
    assert (steps["id"][:15] > 0).all() and steps["id"][15] == 0
    played(event(Kind.CANCELLED, qty=10, id=int(steps["id"][0])))
    assert played(new(ts_recv=5))["id"][0] == 0  # still in quarantine
    again = int(played(new(ts_recv=10))["id"][0])
    assert again >> SLOT_BITS == 2


def test_executions_that_cannot_be_remembered_are_a_break_and_new_orders_stop_before():
    played = Played(16, executions=4, arena_size=1 << 24)
    first = int(played(new())["id"][0])
    steps = played(np.concatenate([fill(n, 1, id=first) for n in range(1, 6)]))
    assert CHANGE(int(steps[4]["result"])) == CHANGE.LOST | CHANGE.BREAK and steps[4]["filled_qty"] == 4
    assert played(new())["id"][0] == 0


# --- everything at once -----------------------------------------------------------------------------------------------


@dataclass
class Kept:
    """What a plain reader of the reports keeps of an order: no sums, no lists, no flags."""

    side: int
    pair: tuple
    executions: dict = field(default_factory=dict)


KINDS = [k for k in Kind if 32 <= k <= 41] + [Kind.FILL] * 4 + [Kind.CANCEL, Kind.REPLACE_ORDER]
operations = st.lists(
    st.one_of(
        st.tuples(
            st.just(Kind.NEW), st.integers(0, 1), st.integers(0, 1), st.sampled_from([1, -1]), st.integers(1, 20)
        ),
        st.tuples(st.sampled_from(KINDS), st.integers(0, 6), st.integers(1, 6), st.integers(-1, 20), st.integers(0, 3)),
    ),
    min_size=1,
    max_size=60,
)


def scan(played: Played) -> dict:
    """The sums and lists a table must have, worked out from its orders alone."""
    sums: dict = {}
    root = played.arena["orders.root"].view[0]
    for slot in range(1, int(root["used"])):
        order = played.table.orders.view[slot]
        if OrderState(order["state"]) in TERMINAL:
            continue
        total = max(order["qty"], order["pending_qty"]) if order["pending"] & 4 else order["qty"]
        left = max(0, int(total - order["filled_qty"] - order["cancelled_qty"] - order["busted_qty"]))
        for strategy in (int(order["strategy"]), 2):
            entry = sums.setdefault((strategy, int(order["instrument"])), {1: [0, 0, 0], -1: [0, 0, 0]})
            mine = entry[int(order["side"])]
            mine[0] += 1
            mine[1] += left
            mine[2] += left if order["pending"] else 0
    return sums


@given(operations)
def test_sums_lists_and_quantities_stay_together_under_any_reports(rows):
    played = Played(64, arena_size=1 << 22)
    kept: dict[int, Kept] = {}
    ids: list[int] = []
    states: dict[int, int] = {}
    clock = 0
    for operation in rows:
        clock += 1
        kind = operation[0]
        if kind == Kind.NEW:
            _, strategy, instrument, side, qty = operation
            row = new(qty=qty, seq=strategy, instrument=instrument, side=side)
        else:
            _, which, seq, qty, word = operation
            order_id = ids[which % len(ids)] if ids else 7
            row = event(kind, id=order_id, seq=seq, qty=qty, price=PRICE, word=word, ts_venue=clock, ts_recv=clock)
            row["instrument"] = kept[order_id].pair[1] if ids else 0
        step = played(row)[0]
        if kind == Kind.NEW:
            if step["id"] == 0:
                continue
            ids.append(int(step["id"]))
            kept[ids[-1]] = Kept(side, (strategy, instrument))
            states[ids[-1]] = int(step["state"])
        elif ids:
            change = CHANGE(int(step["result"])) if kind < Kind.NEW else CHANGE.NONE
            if CHANGE.FILL in change:
                assert seq not in kept[order_id].executions
                kept[order_id].executions[seq] = qty
            if CHANGE.BUST in change:
                assert kept[order_id].executions[seq] == qty > 0
                kept[order_id].executions[seq] = 0
            if states[order_id] in TERMINAL and step["state"] != states[order_id]:
                assert kind in (Kind.FILL, Kind.FILL_BUST) and step["state"] in TERMINAL
            states[order_id] = int(step["state"])
            assert step["filled_qty"] == sum(kept[order_id].executions.values())
            assert step["leaves"] >= 0
        check_table(played)


def check_table(played: Played) -> None:
    sums = scan(played)
    for strategy in range(3):
        for instrument in range(2):
            row = played.table.aggregates.view[strategy * 2 + instrument]
            want = sums.get((strategy, instrument), {1: [0, 0, 0], -1: [0, 0, 0]})
            assert [row["buys"], row["open_buy_qty"], row["pending_buy_qty"]] == want[1]
            assert [row["sells"], row["open_sell_qty"], row["pending_sell_qty"]] == want[-1]
            assert row["intent_buy_qty"] == row["intent_sell_qty"] == 0
            if strategy == 2:
                continue
            walked, before, slot = 0, 0, int(row["first"])
            while slot:
                order = played.table.orders.view[slot]
                assert order["prev"] == before and (order["strategy"], order["instrument"]) == (strategy, instrument)
                walked, before, slot = walked + 1, slot, int(order["next"])
            assert before == row["last"] and walked == want[1][0] + want[-1][0]
