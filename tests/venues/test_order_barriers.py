"""What alone holds one danger off, and what is to be asked soon although a later comparison would find it, too."""

from __future__ import annotations

import pytest

from nanotick.core.records import Kind
from nanotick.orders.records import OrderState
from nanotick.venues.faulty import Faults
from nanotick.venues.virtual import SECOND
from nanotick.venues.virtual_link import TO_CLIENT
from nanotick.wire.alpaca_server import encode_reply
from nanotick.wire.reports import Report
from nanotick.wire.requests import Response
from tests.venues.test_orders_in_flight import MS, Floor, Strict
from tests.venues.trading import TraderState, alpaca

HOUR = 3600 * SECOND


def placed(**settings) -> tuple[Floor, int]:
    """An order of ten that the venue has."""
    floor = Floor(**settings)
    number = floor.engine.place(10)
    floor.run(5 * SECOND)
    assert floor.engine.state(number) == OrderState.WORKING
    return floor, number


def given_up(step_ns: int = 0) -> tuple[Floor, int]:
    """An order that the venue has and that was given up, for its answer was lost and no query showed it."""
    floor = Floor(start=False)
    floor.us.step_clock(step_ns)
    floor.engine.runner.start()
    floor.run(SECOND)
    floor.engine.quote()
    floor.trader.reconcile()
    floor.run(SECOND)
    floor.network.faults = Faults(answer_lost=1.0)
    floor.venue.quiet = True
    number = floor.engine.place(10)
    floor.venue.deaf.add(floor.trader.ids.text(number))
    floor.run(5 * SECOND)
    floor.network.faults = Faults()
    while floor.engine.state(number) != OrderState.REJECTED:
        floor.network.run(floor.network.time + SECOND)
    floor.venue.deaf.clear()
    return floor, number


@pytest.mark.parametrize("step_ns", [0, HOUR])
def test_an_order_given_up_that_has_filled_unseen_is_booked_by_the_next_comparison(step_ns):
    floor, _ = given_up(step_ns)
    floor.venue.fill(floor.venue.open_orders()[0], 10)
    floor.trader.reconcile()
    floor.network.run(floor.network.time + 2 * SECOND)
    assert floor.engine.position() == 10


def test_an_order_given_up_that_is_acknowledged_after_all_is_cancelled_at_once():
    floor, _ = given_up()
    floor.venue.quiet = False
    order = floor.venue.open_orders()[0]
    floor.venue._told(Report(int(Kind.ACCEPTED), "AAPL", order.ts_venue, order.client, order.order), order)
    floor.network.run(floor.network.time + SECOND)
    assert floor.venue.open_orders() == [] and floor.trader.counts.strays == 1


def test_an_older_name_that_is_heard_of_late_takes_no_cancel():
    floor, number = placed()
    floor.engine.replace(20)
    floor.run(SECOND)
    floor.trader.named(
        floor.trader._working[number], "61e69015-0000-4000-8000-000000000000", floor.trader.ids.text(number)
    )
    floor.engine.cancel()
    floor.run(SECOND)
    assert floor.engine.state(number) == OrderState.CANCELLED and floor.venue.open_orders() == []


def test_orders_at_rest_are_not_asked_about():
    floor, number = placed()
    floor.engine.replace(20)
    floor.run(SECOND)
    for _ in range(3):
        floor.trader.reconcile()
        floor.run(10 * SECOND)
    assert floor.trader.counts.settled == {} and floor.trader.unknown == 0
    assert floor.engine.state(number) == OrderState.WORKING


def test_an_order_that_a_list_cannot_show_yet_is_not_asked_about():
    floor = Floor()
    floor.network.run(floor.network.time + 10 * SECOND)
    floor.engine.place(10)
    floor.trader.reconcile()
    floor.run(300 * MS)
    assert floor.trader.counts.reconciled == 2 and floor.trader.unknown == 0 and floor.trader.counts.settled == {}


def test_a_cancel_that_came_too_late_finds_the_fill_that_was_missed():
    floor, number = placed()
    floor.venue.quiet = True
    floor.venue.fill(floor.venue.open_orders()[0], 10)
    floor.engine.cancel()
    floor.run(5 * SECOND)
    assert floor.engine.state(number) == OrderState.FILLED and floor.engine.position() == 10


@pytest.mark.parametrize("what", ["cancel", "replace"])
def test_a_request_with_a_good_answer_of_which_nothing_more_is_heard_is_asked_about_soon(what):
    floor, number = placed()
    floor.venue.quiet = True
    floor.engine.cancel() if what == "cancel" else floor.engine.replace(20)
    floor.run(10 * SECOND)
    if what == "cancel":
        assert floor.engine.state(number) == OrderState.CANCELLED and floor.engine.exposure() == (0, 0)
    else:
        assert floor.engine.state(number) == OrderState.WORKING and floor.engine.exposure() == (20, 0)
    assert floor.trader.counts.settled == {"found": 1}


def test_a_good_answer_is_an_acknowledgement():
    floor = Floor()
    floor.venue.quiet = True
    number = floor.engine.place(10)
    floor.run(SECOND)
    assert floor.engine.state(number) == OrderState.WORKING


def test_a_second_replace_that_is_lost_leaves_the_first():
    floor, number = placed()
    floor.engine.replace(20)
    floor.run(SECOND)
    floor.network.faults = Faults(request_lost=1.0)
    floor.engine.replace(30)
    floor.run(6 * SECOND)
    floor.network.faults = Faults()
    floor.run(40 * SECOND)
    floor.agree()
    assert int(floor.engine.order(number)["qty"]) == 20


def test_a_state_is_not_believed_before_the_history_has_its_fills():
    floor, number = placed(lag_ns=3 * SECOND)
    floor.venue.quiet = True
    order = floor.venue.open_orders()[0]
    floor.venue.fill(order, 4)
    floor.trader.inquire(floor.trader._working[number], int(Kind.NEW), True)
    floor.run(2 * SECOND)
    assert floor.trader.unknown == 1 and floor.engine.position() == 0
    floor.run(10 * SECOND)
    assert floor.trader.unknown == 0 and floor.engine.position() == 4


class Uncancelling:
    """A site that fails every cancel."""

    def __init__(self, site):
        self.site = site

    def upgrade(self, path, headers, peer):
        return self.site.upgrade(path, headers, peer)

    def request(self, request, peer, answer):
        if request.method == "DELETE":
            answer(Response(503, (), b"Service Unavailable"))
        else:
            self.site.request(request, peer, answer)


def test_an_order_that_the_venue_shows_open_works_however_often_its_cancel_failed():
    floor, number = placed()
    floor.server.site = Uncancelling(floor.venue)
    floor.engine.cancel()
    floor.run(50 * SECOND)
    assert floor.trader._working[number].cancels == 5
    assert floor.engine.state(number) == OrderState.WORKING and floor.engine.exposure() == (10, 0)


def test_nothing_is_asked_before_the_time_that_a_refused_question_names():
    floor, _ = placed()
    floor.trader.watch.stop()  # else a question for the time would be under way at the same moment
    floor.run(SECOND)
    floor.server.site = strict = Strict(floor.venue, floor.network, 0)
    floor.trader.reconcile()
    floor.run(SECOND)
    floor.trader.watch.start()
    floor.run(8 * SECOND)
    assert strict.refused == 1 and strict.bans == 0


def test_an_account_whose_stream_is_lost_is_not_ready():
    floor, _ = placed()
    floor.cut()
    floor.run(SECOND)
    assert TraderState.CONNECTING in floor.states[floor.states.index(TraderState.READY) :]


def test_a_cancel_that_was_one_too_many_is_sent_again_at_the_time_that_the_venue_names():
    floor, number = placed()
    floor.server.site = strict = Strict(floor.venue, floor.network, 0)
    floor.engine.cancel()
    floor.run(SECOND)
    strict.limit = 100
    floor.run(10 * SECOND)
    assert floor.engine.state(number) == OrderState.CANCELLED
    assert len(strict.times) == 1 and floor.trader.counts.settled == {}  # the cancel alone, and no question


@pytest.mark.parametrize("filled", [False, True])
def test_an_order_replaced_as_our_process_died_is_found_under_the_name_that_we_did_not_know_it_had(filled):
    floor, number = placed()
    floor.path.clog(TO_CLIENT)
    floor.engine.replace(20)
    floor.network.run(floor.network.time + 100 * MS)
    if filled:
        floor.venue.fill(floor.venue.open_orders()[0], 20)
    floor.us.crash()
    floor.path.unclog(TO_CLIENT)
    again = alpaca(floor.engine, floor.network.host("us"))
    again.resume(floor.engine.open_orders(), floor.us.now())
    read, late = floor.venue._read, floor.network.time + 50 * SECOND
    floor.venue._read = lambda path, whole: (
        encode_reply([]) if path == "/v2/orders" and floor.network.time < late else read(path, whole)
    )  # the list lags
    again.start()
    floor.network.run(floor.network.time + 120 * SECOND)
    assert again.state == TraderState.READY and again.counts.strays == 0
    assert floor.engine.state(number) == (OrderState.FILLED if filled else OrderState.WORKING)
    assert floor.engine.position() == (20 if filled else 0)
    assert floor.engine.exposure() == ((0, 0) if filled else (20, 0))


def test_a_replace_refused_by_a_clock_that_is_ahead_makes_no_later_one_old():
    floor, number = placed()
    floor.us.step_clock(HOUR)
    floor.network.faults = Faults(limited=1.0)
    floor.engine.replace(20)
    floor.run(SECOND)
    floor.network.faults = Faults()
    floor.run(10 * SECOND)
    floor.engine.quote()
    floor.engine.replace(30)
    floor.run(SECOND)
    assert floor.engine.state(number) == OrderState.WORKING and floor.engine.exposure() == (30, 0)
