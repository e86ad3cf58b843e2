"""Every order in which a venue's messages about one order may arrive, through codec, trader and engine: one outcome.

The small venue of the order table's own test writes each history of up to six reports (fills before the
acknowledgement, during a cancel, after its acknowledgement, across a replace; refusals after fills; busts), and every
delivery that causality allows. Here each report is a frame of `trade_updates`.
"""

from __future__ import annotations

import random

import pytest

from nanotick.core.records import Kind
from nanotick.orders.records import FILLED, OrderState, ReportFlag
from nanotick.wire.alpaca_server import encode_notice, encode_update
from nanotick.wire.messages import Notice
from nanotick.wire.reports import OrderStatus, Report
from tests.orders.venue import PRICE, QTY, Venue, deliveries, expected_state, histories
from tests.venues.scripted import START, ScriptedHost
from tests.venues.trading import Engine, Puppet, TraderState, alpaca

TEXT = "10.00"
assert PRICE == 1000


class Wire:
    """An engine and its trader over a scripted link; the test is the venue."""

    def __init__(self) -> None:
        self.host = ScriptedHost()
        self.engine = Engine(Puppet(), self.host)
        self.trader = alpaca(self.engine, self.host)
        self.engine.runner.start()
        self.host.run()
        self.host.link.accept()
        self.host.link.say(encode_notice(Notice("authorized", "auth")))
        self.host.link.say(encode_notice(Notice("listening", "trade_updates")))
        while self.host.asked:
            self.host.answer(200, b"[]")
        assert self.trader.state == TraderState.READY
        self.engine.quote(PRICE - 1, PRICE + 1)
        self.orders = 0

    def play(self, venue: Venue, lines: list[tuple]) -> tuple[int, bool]:
        """Play one delivery; the order's id, and whether everything that it supposes to be sent could be."""
        self.orders += 1
        frames = self.frames(venue)
        self.others = self.engine.exposure()[0]  # of orders whose story cannot be ended here
        sent, refused = len(self.engine.sent), self.trader.counts.refused
        number = self.engine.place(QTY, PRICE)
        requests = 0
        for kind, values in lines:
            if kind == Kind.CANCEL:
                requests += 1
                self.engine.cancel()
            elif kind == Kind.REPLACE_ORDER:
                requests += 1
                self.engine.replace(values, PRICE)
            else:
                self.host.link.say(frames[values["seq"], kind](number))
        possible = len(self.engine.sent) - sent == 1 + requests and self.trader.counts.refused == refused
        self.host.asked.clear()
        return number, possible

    def frames(self, venue: Venue) -> dict:
        """A frame for each report, by its number in the venue's own order."""
        out, renamed, filled, qty = {}, False, 0, QTY
        for kind, _, values in venue.reports:
            before, replaced = renamed, kind == Kind.REPLACED
            if replaced:
                renamed, qty = True, values["qty"]
            filled += values["qty"] if kind == Kind.FILL else -values["qty"] if kind == Kind.FILL_BUST else 0

            def frame(number, kind=kind, values=values, name=renamed, old=before, filled=filled, qty=qty) -> bytes:
                client = self.trader.ids.text(number, 1 if name else 0)
                order = f"order-{number}-{int(name)}"
                ended = kind in (Kind.CANCELLED, Kind.REJECTED)
                status = OrderStatus("AAPL", client, order, 1, 0, 0, TEXT, "", str(qty), str(filled), "x", not ended)
                # an old fill that is told again or undone has the stamp of the news
                stamp = START + values["ts_venue"]
                report = Report(
                    int(kind), "AAPL", stamp, client, order, 1, TEXT, str(values.get("qty", 0)),
                    f"{number}-{values['seq']}", flags=values.get("flags", 0),
                )  # fmt: skip
                return encode_update(report, status, f"order-{number}-{int(old)}" if kind == Kind.REPLACED else "")

            out[values["seq"], kind] = frame
        return out

    def check(self, venue: Venue, number: int) -> None:
        row = self.engine.order(number)
        found = {
            name: int(row[name]) for name in ("filled_qty", "busted_qty", "state", "qty", "cancelled_qty", "fills")
        }
        context = (venue, found)
        assert found["filled_qty"] == venue.filled and found["busted_qty"] == venue.busted, context
        assert found["state"] == expected_state(venue), context
        buys, sells = self.engine.exposure()
        assert (buys - self.others, sells) == (venue.leaves, 0), context
        if venue.gone:
            assert found["cancelled_qty"] == venue.cancelled, context
        elif venue.replace_qty and any(kind == Kind.REPLACED for kind, _, _ in venue.reports):
            assert found["qty"] == venue.replace_qty, context

    def end(self, number: int) -> None:
        """Take an order that is still open off, so that the next one is alone."""
        row = self.engine.order(number)
        if row is not None and int(row["state"]) < FILLED:
            client = self.trader.ids.text(number)
            left = int(row["qty"]) - int(row["filled_qty"])
            status = OrderStatus(
                "AAPL", client, f"order-{number}-0", 1, 0, 0, TEXT, "", str(left), "0", "canceled", False
            )
            report = Report(int(Kind.CANCELLED), "AAPL", START + 100, client, status.order)
            self.host.link.say(encode_update(report, status))
            row = self.engine.order(number)
            if int(row["state"]) < FILLED:
                self.engine.cancel()
            assert int(row["state"]) >= FILLED or int(row["state"]) == OrderState.PENDING_CANCEL


def every(length: int, busts: bool):
    for cancel in (False, True):
        for replace_qty in (0, 5, QTY, 16):
            for venue in histories(length, cancel, replace_qty, busts):
                for lines in deliveries(venue):
                    yield venue, lines


def play_all(cases) -> int:
    wire, checked, position = Wire(), 0, 0
    for venue, lines in cases:
        number, possible = wire.play(venue, lines)
        if possible:
            wire.check(venue, number)
            position += venue.filled
            checked += 1
        else:
            position += int(wire.engine.order(number)["filled_qty"])
        assert wire.engine.position() == position, (venue, lines)
        wire.end(number)
        if wire.orders == 1_000:
            wire, position = Wire(), 0
    return checked


@pytest.mark.parametrize("length", [1, 2, 3, 4])
@pytest.mark.parametrize("busts", [False, True])
def test_every_delivery_ends_in_the_venues_truth(length, busts):
    assert play_all(every(length, busts)) > length


def test_a_sample_of_the_deliveries_of_five_and_six_messages():
    source = random.Random(1)
    cases = [case for case in every(5, False) if source.random() < 0.3]
    cases += [case for case in every(6, False) if source.random() < 0.02]
    assert play_all(cases) > 500


@pytest.mark.nightly
@pytest.mark.parametrize("length", [5, 6])
@pytest.mark.parametrize("busts", [False, True])
def test_every_delivery_of_five_and_six_messages(length, busts):
    assert play_all(every(length, busts)) > 5_000


def test_reports_told_ten_thousand_times_over_book_each_fill_once():
    source = random.Random(3)
    wire, told, position = Wire(), 0, 0
    chosen = [case for case in every(4, False) if any(k == Kind.FILL for k, _, _ in case[0].reports)]
    while told < 10_000:
        venue, lines = source.choice(chosen)
        twice = [line for line in lines for _ in range(1 if isinstance(line[1], int) else source.randint(1, 4))]
        number, possible = wire.play(venue, twice)
        position += int(wire.engine.order(number)["filled_qty"])
        if possible:
            wire.check(venue, number)
        frames = wire.frames(venue)
        again = [frames[values["seq"], kind](number) for kind, _, values in venue.reports]
        for frame in source.choices(again, k=20):
            wire.host.link.say(frame)
            told += 1
        if possible:
            wire.check(venue, number)
        assert wire.engine.position() == position
        wire.end(number)
    assert told >= 10_000


def test_the_same_execution_with_other_contents_is_not_booked_and_is_a_break():
    wire = Wire()
    number = wire.engine.place(QTY, PRICE)
    client = wire.trader.ids.text(number)
    status = OrderStatus("AAPL", client, "o", 1, 0, 0, TEXT, "", "10", "4", "partially_filled", True)
    head = (int(Kind.FILL), "AAPL", START, client, "o", 1)
    wire.host.link.say(encode_update(Report(*head, TEXT, "4", "e1"), status))
    breaks = int(wire.engine.local.orders._root.view["breaks"][0])
    for price, qty in (("10.01", "4"), (TEXT, "5"), (TEXT, "3")):
        wire.host.link.say(encode_update(Report(*head, price, qty, "e1"), status))
    assert wire.engine.position() == 4 and int(wire.engine.order(number)["fills"]) == 1
    assert int(wire.engine.local.orders._root.view["breaks"][0]) == breaks + 3


def test_a_refused_replace_after_fills_leaves_the_old_order():
    wire = Wire()
    number = wire.engine.place(QTY, PRICE)
    client = wire.trader.ids.text(number)
    status = OrderStatus("AAPL", client, "o", 1, 0, 0, TEXT, "", "10", "4", "partially_filled", True)
    wire.host.link.say(encode_update(Report(int(Kind.ACCEPTED), "AAPL", START, client, "o", 1, TEXT, "10"), status))
    wire.engine.replace(20, PRICE)
    assert wire.engine.exposure() == (20, 0)
    wire.host.link.say(encode_update(Report(int(Kind.FILL), "AAPL", START, client, "o", 1, TEXT, "4", "e1"), status))
    refused = Report(int(Kind.CANCEL_REJECTED), "AAPL", START + 1, client, "o", flags=int(ReportFlag.OF_REPLACE))
    wire.host.link.say(encode_update(refused, status))
    assert wire.engine.state(number) == OrderState.WORKING and wire.engine.exposure() == (6, 0)
