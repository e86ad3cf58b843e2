"""Queue models: the documented formulas by hand, the double-count guard, and a model of one's own."""

import math

import pytest

from nanotick.core.instruments import Instrument
from nanotick.core.kernel import python_body
from nanotick.core.records import FillReason, Kind
from nanotick.exchange import QueueModel, VenueConfig
from nanotick.exchange.queue import QueueKind, behind_probability, estimated_front
from tests.exchange.latent_day import ShareQueue
from tests.exchange.records_of import command, event, fills, level, trade, venue

FRONT, BACK = 30.0, 70.0


@pytest.mark.parametrize(
    ("kind", "power", "expected"),
    [
        (QueueKind.POWER, 1.0, 0.7),
        (QueueKind.POWER, 2.0, 4900 / 5800),
        (QueueKind.POWER2, 2.0, 0.49),
        (QueueKind.POWER2, 0.5, math.sqrt(0.7)),
        (QueueKind.POWER3, 2.0, 1 - 0.09),
        (QueueKind.POWER3, 3.0, 1 - 0.027),
        (QueueKind.LOG, 2.0, math.log(71) / (math.log(71) + math.log(31))),
        (QueueKind.LOG2, 2.0, math.log(71) / math.log(101)),
    ],
)
def test_probability_of_a_decrease_behind_us(kind, power, expected):
    assert python_body(behind_probability)(int(kind), power, FRONT, BACK) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", [k for k in QueueKind if k not in (QueueKind.RISK_AVERSE, QueueKind.CUSTOM)])
def test_probability_at_the_ends_of_the_queue(kind):
    probability = python_body(behind_probability)
    assert probability(int(kind), 2.0, 0.0, 50.0) == 1.0  # first: every decrease is behind us
    assert probability(int(kind), 2.0, 50.0, 0.0) == 0.0  # last: every decrease is ahead
    assert probability(int(kind), 2.0, 0.0, 0.0) == 1.0
    assert probability(int(kind), 2.0, -1.0, -1.0) == 1.0


def test_decrease_is_shared_between_ahead_and_behind():
    # front 30, back 70, f(x) = x: p = 0.7, so 20 that leave take 6 from ahead of us
    assert estimated_front(int(QueueKind.POWER), 1.0, 1.0, 30.0, 100, 80, 20) == pytest.approx(24.0)
    # 90 leave: 63 would be behind, and are; 27 ahead
    assert estimated_front(int(QueueKind.POWER), 1.0, 1.0, 30.0, 100, 10, 90) == pytest.approx(3.0)
    # power 2: p = 4900/5800; 80 leave: 67.6 behind, 12.4 ahead, and no more is ahead than is left
    assert estimated_front(int(QueueKind.POWER), 2.0, 1.0, 30.0, 100, 20, 80) == pytest.approx(30 - 80 * 900 / 5800)
    # what is behind cannot lose more than it has: the excess was ahead
    assert estimated_front(int(QueueKind.POWER3), 3.0, 1.0, 90.0, 100, 40, 60) == pytest.approx(
        min(40.0, 90 - 0.729 * 60 + (10 - 0.271 * 60))
    )


def joined(queue, power=1.0, qty=10, shown=30):
    place = venue(VenueConfig(queue=queue, queue_power=power))
    place.events(level(1, 1, 100, shown))
    place.events(level(2, -1, 105, 50))
    place.command(command(Kind.NEW, 1, 1, 100, qty), 3)
    place.reports()
    return place


def test_risk_averse_queue_advances_by_trades_only():
    place = joined("risk_averse")
    place.events(level(4, 1, 100, 45))  # joins behind us
    place.events(level(5, 1, 100, 35))  # leaves: behind us as far as we know
    assert place.ahead(1) == 30
    place.events(trade(6, -1, 100, 12))
    assert place.ahead(1) == 18
    place.events(level(7, 1, 100, 9))  # no more can be ahead than is there
    assert place.ahead(1) == 9
    place.events(trade(8, -1, 100, 14))
    assert fills(place.reports()) == [(1, 100, 5, FillReason.QUEUE_REACHED, True)]


def test_trade_and_the_level_change_that_follows_it_count_once():
    place = joined("power_prob")
    place.events(level(4, 1, 100, 100))  # front 30, back 70
    place.events(trade(5, -1, 100, 10))
    assert place.ahead(1) == 20
    place.events(level(6, 1, 100, 90))  # the same ten
    assert place.ahead(1) == 20
    place.events(level(7, 1, 100, 81))  # nine more, cancelled: 2 of 9 ahead of us
    assert place.ahead(1) == 18


def test_partial_fills_take_what_reached_us_and_no_trade_fills_twice():
    place = joined("power_prob", qty=10, shown=4)
    place.events(trade(4, -1, 100, 7))
    assert fills(place.reports()) == [(1, 100, 3, FillReason.QUEUE_REACHED, True)]
    place.events(trade(5, -1, 100, 2))
    assert fills(place.reports()) == [(1, 100, 2, FillReason.QUEUE_REACHED, True)]
    place.events(trade(6, -1, 100, 50))
    assert fills(place.reports()) == [(1, 100, 5, FillReason.QUEUE_REACHED, True)]
    place.events(trade(7, -1, 100, 50))
    assert fills(place.reports()) == []


def test_one_trade_is_not_given_to_two_of_our_orders():
    place = joined("risk_averse", qty=10, shown=4)
    place.command(command(Kind.NEW, 2, 1, 100, 10), 4)
    place.events(trade(5, -1, 100, 17))
    assert fills(place.reports()) == [
        (1, 100, 10, FillReason.QUEUE_REACHED, True),
        (2, 100, 3, FillReason.QUEUE_REACHED, True),
    ]


def test_only_whole_lots_are_filled():
    instrument = Instrument("TEST", price_decimals=0, qty_decimals=1, tick_size="1", lot_size="0.5")
    place = venue(VenueConfig(), [instrument])
    place.events(level(1, 1, 100, 13))
    place.command(command(Kind.NEW, 1, 1, 100, 20), 2)
    place.events(trade(3, -1, 100, 21))
    assert fills(place.reports()) == [(1, 100, 5, FillReason.QUEUE_REACHED, True)]
    place.events(trade(4, -1, 100, 2))  # three tenths were left over from before
    assert fills(place.reports()) == [(1, 100, 5, FillReason.QUEUE_REACHED, True)]


def test_log_models_count_in_natural_units():
    instrument = Instrument("TEST", price_decimals=0, qty_decimals=3, tick_size="1", lot_size="0.001")
    place = venue(VenueConfig(queue="log_prob2"), [instrument])
    place.events(level(1, 1, 100, 2_000))
    place.command(command(Kind.NEW, 1, 1, 100, 500), 2)
    place.events(level(3, 1, 100, 5_000))  # 2 ahead, 3 behind
    place.events(level(4, 1, 100, 4_000))
    ahead = 2_000 - (1 - math.log(4) / math.log(6)) * 1_000
    assert place.ahead(1) == int(ahead)


def test_queue_behind_the_best_quote_is_unknown_until_it_is_shown():
    place = venue(VenueConfig())
    place.events(event(Kind.QUOTE, 1, 100, 30, ident=102, word=20))
    place.command(command(Kind.NEW, 1, 1, 99, 10), 2)
    assert place.ahead(1) == -1
    place.events(event(Kind.QUOTE, 3, 99, 25, ident=101, word=20))
    assert place.ahead(1) == 25
    place.events(event(Kind.QUOTE, 4, 100, 5, ident=101, word=20))  # our level is hidden again, not gone
    assert place.ahead(1) == 25
    place.events(trade(5, -1, 99, 27))
    assert fills(place.reports()) == [(1, 99, 2, FillReason.QUEUE_REACHED, True)]


def test_queue_model_of_ones_own():
    place = joined(ShareQueue(share=0.25))
    place.events(level(4, 1, 100, 60))
    place.events(level(5, 1, 100, 40))
    assert place.ahead(1) == 25  # a quarter of twenty
    place.events(trade(6, -1, 100, 10))
    place.events(level(7, 1, 100, 30))  # its guard: nothing left beyond the trade
    assert place.ahead(1) == 15
    place.events(trade(8, -1, 100, 19))
    assert fills(place.reports()) == [(1, 100, 4, FillReason.QUEUE_REACHED, True)]


def test_queue_model_that_lacks_a_verb_is_refused():
    with pytest.raises(TypeError, match="changed"):

        class Half(QueueModel):
            def joined(self, order, change):
                order.front = 0.0

            def traded(self, order, change):
                order.front -= change.reached


def test_unknown_parameter_of_a_model_is_refused():
    with pytest.raises(TypeError, match="no parameter 'part'; it has: share"):
        ShareQueue(part=1.0)
