"""Coinbase market data over scripted links: numbers of messages, snapshots, and the order-by-order book of Exchange."""

import json
import random

import pytest

from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import Kind
from nanotick.venues.coinbase.exchange_feed import CoinbaseExchangeFeed
from nanotick.venues.coinbase.feed import CoinbaseFeed
from nanotick.venues.feed import State
from tests.venues.scripted import MS, Delivered, S, ScriptedHost

TABLE = InstrumentTable([Instrument("BTC-USD", "COINBASE", 2, 8, "0.01", "0.00000001"),
                         Instrument("ETH-USD", "COINBASE", 2, 8, "0.01", "0.00000001")])  # fmt: skip
CLEAR, LEVEL, TRADE, GAP, ADD, DELETE, EXECUTE, MODIFY = (
    int(k) for k in (Kind.CLEAR, Kind.LEVEL, Kind.TRADE, Kind.GAP, Kind.ADD, Kind.DELETE, Kind.EXECUTE, Kind.MODIFY)
)
STAMP = "2026-04-07T14:30:01.456789Z"


class Advanced:
    """A feed, and the venue's side of its newest link."""

    def __init__(self, symbols=("BTC-USD",)):
        self.host, self.got = ScriptedHost(), Delivered()
        self.feed = CoinbaseFeed(self.host, TABLE, "COINBASE", self.got, ("wss://c",), symbols=symbols)
        self.feed.start()
        self.host.run()
        self.open()

    def open(self):
        self.number = 0
        self.host.link.accept()
        self.host.run(S)

    def say(self, channel, *events, number=None):
        if number is None:
            number, self.number = self.number, self.number + 1
        body = {"channel": channel, "client_id": "", "timestamp": STAMP, "sequence_num": number, "events": events}
        self.host.link.say(json.dumps(body))

    def levels(self, *rows, kind="update", symbol="BTC-USD", number=None):
        updates = [{"side": side, "event_time": STAMP, "price_level": p, "new_quantity": q} for side, p, q in rows]
        self.say("l2_data", {"type": kind, "product_id": symbol, "updates": updates}, number=number)

    def confirm(self):
        names = {"level2": ["BTC-USD"], "market_trades": ["BTC-USD"], "heartbeats": ["heartbeats"]}
        self.say("subscriptions", {"subscriptions": names})

    def live(self):
        self.levels(("bid", "100.00", "1"), ("offer", "100.01", "2"), kind="snapshot")
        self.confirm()
        assert self.feed.state == State.LIVE
        self.got.rows.clear()
        return self


@pytest.fixture
def advanced():
    return Advanced().live()


def test_heartbeats_are_subscribed_first_and_it_is_live_after_every_snapshot():
    feed = Advanced(("BTC-USD", "ETH-USD"))
    assert [json.loads(d)["channel"] for d in feed.host.link.sent] == ["heartbeats", "level2", "market_trades"]
    feed.confirm()
    feed.levels(("bid", "100.00", "1"), kind="snapshot")
    feed.levels(("bid", "10.00", "1"), symbol="ETH-USD")  # before its snapshot: left out
    assert feed.feed.state == State.SYNCING and feed.got.kinds() == [CLEAR, LEVEL]
    feed.levels(("bid", "10.00", "1"), kind="snapshot", symbol="ETH-USD")
    assert feed.feed.state == State.LIVE


def test_updates_and_trades_become_records(advanced):
    advanced.levels(("bid", "99.99", "0.5"), ("offer", "100.01", "0"))
    trade = {"trade_id": "7", "product_id": "BTC-USD", "price": "100.01", "size": "0.1", "side": "SELL", "time": STAMP}
    advanced.say("market_trades", {"type": "update", "trades": [trade]})
    assert advanced.got.kinds() == [LEVEL, LEVEL, TRADE]
    assert int(advanced.got.rows[-1]["side"]) == 1  # the maker sold


def test_a_jump_in_the_numbers_is_a_gap_and_a_connection_from_the_beginning(advanced):
    advanced.levels(("bid", "99.99", "0.5"), number=advanced.number + 1)
    assert advanced.got.kinds() == [GAP] and advanced.feed.lost == 1 and advanced.feed.state == State.DOWN
    began = advanced.host.time
    while len(advanced.host.links) == 1:
        advanced.host.run(50 * MS)
    advanced.open()
    advanced.levels(("bid", "99.00", "1"), kind="snapshot")
    advanced.confirm()
    assert advanced.feed.state == State.LIVE and advanced.host.time - began < 2 * S
    assert advanced.got.kinds() == [GAP, CLEAR, LEVEL]


def test_a_number_that_has_been_is_stale_and_changes_nothing(advanced):
    advanced.levels(("bid", "99.99", "0.5"))
    before = len(advanced.got.rows)
    advanced.levels(("bid", "99.99", "9"), number=advanced.number - 1)
    advanced.levels(("bid", "1.00", "9"), kind="snapshot", number=0)
    assert len(advanced.got.rows) == before and advanced.feed.lost == 0
    advanced.levels(("bid", "99.99", "0"))
    assert int(advanced.got.rows[-1]["qty"]) == 0 and advanced.feed.state == State.LIVE


def test_a_connection_lost_within_the_snapshots_begins_them_all_anew():
    feed = Advanced(("BTC-USD", "ETH-USD"))
    feed.levels(("bid", "100.00", "1"), kind="snapshot")
    feed.host.link.drop()
    feed.host.run(3 * S)
    feed.open()
    feed.levels(("bid", "10.00", "1"), kind="snapshot", symbol="ETH-USD")
    feed.levels(("bid", "101.00", "1"))  # of the book that has not been told again
    assert feed.feed.state == State.SYNCING
    feed.confirm()
    feed.levels(("bid", "102.00", "1"), kind="snapshot")
    assert feed.feed.state == State.LIVE
    prices = [int(row["price"]) for row in feed.got.rows if row["kind"] == LEVEL]
    assert prices == [10000, 1000, 10200]


def test_a_refusal_that_no_retry_mends_is_waited_out():
    feed = Advanced()
    feed.host.link.say('{"type":"error","message":"authentication failure"}')
    assert "authentication" in feed.feed.error
    feed.host.run(60 * S)
    assert len(feed.host.links) == 1


# --- Exchange -----------------------------------------------------------------------------------------------------


class Market:
    """An order-by-order market that tells what happens in the full channel's words."""

    def __init__(self, seed):
        self.draw, self.sequence, self.orders, self.made, self.log = random.Random(seed), 100, {}, 0, []

    def message(self, kind, **more):
        self.sequence += 1
        self.log.append(json.dumps({"type": kind, "time": STAMP, "product_id": "BTC-USD", "sequence": self.sequence,
                                    **more}))  # fmt: skip

    def step(self):
        draw = self.draw
        what = draw.random() if self.orders else 0.0
        if what < 0.5:
            self.made += 1
            name, side = f"{self.made:08d}-0000-4000-8000-000000000000", draw.choice(("buy", "sell"))
            price = f"{100 + draw.randrange(1, 20) * (-1 if side == 'buy' else 1) / 100:.2f}"
            size = draw.randrange(1, 10)
            self.orders[name] = [side, price, size]
            self.message("received", order_id=name, side=side, price=price, size=str(size), order_type="limit")
            self.message("open", order_id=name, side=side, price=price, remaining_size=str(size))
            return
        name = draw.choice(sorted(self.orders))
        side, price, size = self.orders[name]
        if what < 0.7:
            taken = draw.randrange(1, size + 1)
            self.message("match", trade_id=self.sequence, maker_order_id=name, taker_order_id="t", size=str(taken),
                         price=price, side=side)  # fmt: skip
            self.orders[name][2] -= taken
            if taken == size:
                del self.orders[name]
                self.message("done", order_id=name, side=side, price=price, remaining_size="0", reason="filled")
        elif what < 0.8 and size > 1:
            self.orders[name][2] = size - 1
            self.message("change", order_id=name, side=side, price=price, old_size=str(size), new_size=str(size - 1))
        else:
            del self.orders[name]
            self.message("done", order_id=name, side=side, price=price, remaining_size=str(size), reason="canceled")

    def book(self):
        sides = {"buy": [], "sell": []}
        for name, (side, price, size) in self.orders.items():
            sides[side].append([price, str(size), name])
        return json.dumps({"sequence": self.sequence, "bids": sides["buy"], "asks": sides["sell"]}).encode()

    def truth(self):
        found = {}
        for side, price, size in self.orders.values():
            key = (1 if side == "buy" else -1, round(float(price) * 100))
            found[key] = found.get(key, 0) + size * 10**8
        return found


def book_of(rows):
    """Levels that order records make."""
    orders = {}
    for row in rows:
        kind, order = int(row["kind"]), int(row["id"])
        if kind == CLEAR:
            orders = {}
        elif kind == ADD:
            orders[order] = [int(row["side"]), int(row["price"]), int(row["qty"])]
        elif kind == MODIFY:
            orders[order][2] = int(row["qty"])
        elif kind == DELETE:
            del orders[order]
        elif kind == EXECUTE:
            orders[order][2] -= int(row["qty"])
            if orders[order][2] == 0:
                del orders[order]
    found = {}
    for side, price, qty in orders.values():
        found[side, price] = found.get((side, price), 0) + qty
    return found


class Exchange:
    def __init__(self, seed=1):
        self.host, self.got, self.market = ScriptedHost(), Delivered(), Market(seed)
        self.feed = CoinbaseExchangeFeed(self.host, TABLE, "COINBASE", self.got, ("wss://x",), symbols=("BTC-USD",),
                                         rest="https://x")  # fmt: skip
        for _ in range(50):
            self.market.step()
        self.market.log.clear()
        self.feed.start()
        self.host.run()
        self.host.link.accept()
        self.host.link.say('{"type":"subscriptions","channels":[{"name":"full","product_ids":["BTC-USD"]}]}')

    def tell(self, steps=0):
        """What happened meanwhile, and so many steps more."""
        for _ in range(steps):
            self.market.step()
        for text in self.market.log:
            self.host.link.say(text)
        self.market.log.clear()

    def live(self):
        self.host.answer(200, self.market.book())
        assert self.feed.state == State.LIVE
        return self


@pytest.mark.parametrize("seed", range(5))
def test_exchange_books_are_the_snapshot_and_what_came_around_it(seed):
    exchange = Exchange(seed)
    exchange.tell(30)
    snapshot = exchange.market.book()
    exchange.tell(30)  # after the snapshot was made, before it is here
    assert exchange.got.rows == []
    exchange.host.answer(200, snapshot)
    assert exchange.feed.state == State.LIVE and book_of(exchange.got.rows) == exchange.market.truth()
    for _ in range(20):
        exchange.tell(10)
        assert book_of(exchange.got.rows) == exchange.market.truth()
    assert GAP not in exchange.got.kinds()


def test_a_snapshot_that_is_older_than_what_was_kept_is_asked_for_again():
    exchange = Exchange()
    old = exchange.market.book()
    exchange.market.step()
    exchange.market.log.clear()  # not told
    exchange.tell(5)
    exchange.host.answer(200, old)
    assert exchange.feed.state == State.SYNCING and exchange.feed.old_snapshots == 1
    exchange.host.run(S)
    exchange.live()
    assert book_of(exchange.got.rows) == exchange.market.truth()


def test_an_exchange_sequence_gap_is_told_and_the_book_built_anew():
    exchange = Exchange().live()
    exchange.tell(10)
    exchange.market.step()
    exchange.market.log.pop(0)
    exchange.tell(5)
    assert exchange.got.kinds().count(GAP) == 1 and exchange.feed.status()["syncing"] == 1
    at = len(exchange.got.rows)
    exchange.tell(5)
    assert len(exchange.got.rows) == at  # nothing of a book that is broken
    exchange.live()
    exchange.tell(20)
    assert book_of(exchange.got.rows) == exchange.market.truth() and exchange.feed.reconnects == 0


def test_old_exchange_messages_change_nothing_and_a_heartbeat_shows_what_is_missing():
    exchange = Exchange().live()
    exchange.market.step()
    again = list(exchange.market.log)
    exchange.tell()
    for text in again:
        exchange.host.link.say(text)
    assert book_of(exchange.got.rows) == exchange.market.truth()
    beat = {"type": "heartbeat", "product_id": "BTC-USD", "last_trade_id": 1, "time": STAMP}
    exchange.host.link.say(json.dumps(beat | {"sequence": exchange.market.sequence}))
    assert GAP not in exchange.got.kinds()
    exchange.market.step()
    exchange.market.log.clear()
    exchange.host.link.say(json.dumps(beat | {"sequence": exchange.market.sequence}))
    assert GAP in exchange.got.kinds()
    exchange.live()
    assert book_of(exchange.got.rows) == exchange.market.truth()
