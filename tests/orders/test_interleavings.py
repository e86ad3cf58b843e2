"""Reports in every order: whatever the network does, the order ends as the venue says it did.

A small venue writes every history of up to six reports about one order (with a cancel and a replace on their way, fills
before and after them, busts). Each history is then delivered in every order that causality allows, so a fill may come
before the acknowledgement and after the cancel.
"""

import numpy as np
import pytest

from nanotick.core.records import EVENT, Kind
from nanotick.orders import OrderChange, OrderRequest
from tests.orders.play import Played
from tests.orders.venue import PRICE, QTY, Venue, deliveries, expected_state, histories, script_of

CASES = [
    (length, cancel, replace_qty, busts)
    for length in range(1, 7)
    for cancel in (False, True)
    for replace_qty in (0, 5, QTY, 16)
    for busts in (False, True)
]


def of_a_nightly_run(case) -> bool:
    length, cancel, replace_qty, busts = case
    return length == 6 and (busts or replace_qty == 5 or (cancel and replace_qty == QTY))


def test_every_delivery_of_up_to_six_reports_ends_in_the_venues_truth():
    assert sum(run_case(*case) for case in CASES if not of_a_nightly_run(case)) > 20_000


@pytest.mark.nightly
def test_every_delivery_of_the_remaining_histories_of_six_reports_too():
    assert sum(run_case(*case) for case in CASES if of_a_nightly_run(case)) > 20_000


def run_case(length: int, cancel: bool, replace_qty: int, busts: bool) -> int:
    venues, scripts, checked = [], [], 0
    for venue in histories(length, cancel, replace_qty, busts):
        for lines in deliveries(venue):
            venues.append(venue)
            scripts.append(script_of(lines))
    for start in range(0, len(scripts), 8_000):
        some = scripts[start : start + 8_000]
        played = Played(quarantine_ns=1 << 60, quarantine_orders=1 << 20)
        script = np.array([line for lines in some for line in lines], EVENT)
        kinds = script["kind"]
        steps = played(script)
        ends = np.cumsum([len(lines) for lines in some])
        for venue, first, last in zip(venues[start:], [0, *ends[:-1]], ends, strict=False):
            requests = steps["result"][first:last][kinds[first:last] > int(Kind.NEW)]
            if (requests == int(OrderRequest.OK)).all():  # else it was never sent, and the venue's answer never came
                check(venue, kinds[first:last], steps[first:last])
                checked += 1
    return checked


def check(venue: Venue, kinds: np.ndarray, steps: np.ndarray) -> None:
    end = steps[-1]
    fees = sum(v["word"] for k, _, v in venue.reports if k == Kind.FILL)
    fees -= sum(v["word"] for k, _, v in venue.reports if k == Kind.FILL_BUST)
    context = (venue.reports, steps)
    assert end["filled_qty"] == venue.filled, context
    assert end["busted_qty"] == venue.busted, context
    assert end["leaves"] == venue.leaves, context
    assert end["fees"] == fees, context
    assert end["filled_value"] == venue.filled * PRICE, context
    assert end["state"] == expected_state(venue), context
    if venue.gone:
        assert end["cancelled_qty"] == venue.cancelled, context
    # at every moment, what has been reported and what is counted as open cover all that was ever filled
    bought = steps["filled_qty"] + steps["busted_qty"] + steps["leaves"]
    assert (bought >= min(QTY, venue.filled + venue.busted)).all(), context
    if venue.replace != "none":
        bought = bought[int(np.argmax(kinds == int(Kind.REPLACE_ORDER))) :]
    assert (bought >= venue.filled + venue.busted).all(), context
    assert (steps["leaves"] >= 0).all()
    reports = steps["result"][kinds < int(Kind.NEW)]
    assert not (reports & int(OrderChange.BREAK)).any(), context
