"""The served Coinbase Exchange: our order-by-order feed at it, in virtual time, and what it answers."""

import ctypes
import random

import msgspec
import numpy as np
import pytest

from nanotick.book.apply import apply_events
from nanotick.book.store import BookStore
from nanotick.core.arena import Arena
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import EVENT, Kind
from nanotick.core.secret import Secret
from nanotick.exchange.agents.description import description_from
from nanotick.venues.coinbase.bodies import TERMS
from nanotick.venues.coinbase.exchange_feed import CoinbaseExchangeFeed
from nanotick.venues.coinbase.exchange_server import ExchangeSite
from nanotick.venues.desk import Desk
from nanotick.venues.desk_terms import Account
from nanotick.venues.faulty import Faults, Mischief
from nanotick.venues.feed import State
from nanotick.venues.paced_market import PacedMarket
from nanotick.venues.registry import package
from nanotick.venues.served import Customer, served_venue
from nanotick.venues.sockets import Sockets
from nanotick.venues.virtual import SECOND, VirtualNetwork
from nanotick.wire.coinbase_trading import encode_exchange_session
from nanotick.wire.requests import Entry, Request, Response, Subscribe
from nanotick.wire.signing import CoinbaseExchangeSigner
from tests.venues.ccxt_served import small_market
from tests.venues.live import until

SECRET = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
SYMBOLS = ("BTC-USDT", "ETH-USDT")
TABLE = InstrumentTable([Instrument("BTC-USDT", "COINBASE", 1, 4, tick_size="0.1"),
                         Instrument("ETH-USDT", "COINBASE", 2, 3, tick_size="0.01")])  # fmt: skip


def orders_of(book, number):
    """Slot, and side, price and quantity, of every order of a book, each queue from its head."""
    for side in (1, -1):
        for price in (int(row[0]) for row in book.depth(number, side, 1 << 14)):
            slot = book.level_head(number, side, price)
            while slot >= 0:
                yield slot, (side, price, book.order_qty(slot))
                slot = book.next_order(slot)


class Place:
    """A served Coinbase Exchange and a host beside it, with a clock that tests move."""

    def __init__(self, seed=1, faults=None, limits=False):
        self.network = VirtualNetwork(seed, faults=faults or Faults())
        there = self.network.host("venue")
        account = Account("KEY", SECRET, "phrase", balances={"USDT": "1000000", "BTC": "5"})
        market = description_from(small_market("COINBASE", "0.004", "0.006"))
        self.desk = Desk(there, market, "COINBASE", [account], seed=seed, terms=TERMS)
        self.site = ExchangeSite(self.desk, limits=limits)
        self.network.serve("exchange.test", self.site, there)
        self.site.start()
        self.host = self.network.host("us")
        self.rows = []

    def run(self, seconds):
        self.network.run(self.network.time + int(seconds * SECOND))

    def take(self, address, count):
        self.rows.append(np.frombuffer(ctypes.string_at(address, count * EVENT.itemsize), EVENT))

    def feed(self):
        feed = CoinbaseExchangeFeed(self.host, TABLE, "COINBASE", self.take, ("wss://exchange.test",),
                                    rest="https://exchange.test", symbols=SYMBOLS)  # fmt: skip
        feed.start()
        return feed

    def get(self, path) -> Response:
        found: list[Response] = []
        self.host.ask("https://exchange.test", Request("GET", path), found.append)
        self.run(1)
        return found[0]

    def truth(self, symbol):
        """Orders as the exchange has them: side, price and quantity by public number."""
        self.desk.market.publish()
        refs = self.desk.exchange.regions["orders"].view["ref"]
        number = self.desk.listings[symbol].number
        return {int(refs[slot]): held for slot, held in orders_of(self.desk.exchange.book, number)}

    def books(self):
        """Our books, made of what the feed has brought."""
        rows = np.ascontiguousarray(np.concatenate(self.rows))
        ticks = [1] * len(TABLE)
        store = BookStore(Arena(1 << 28), "book", len(TABLE), ticks, max_orders=1 << 14, max_levels=1 << 14)
        apply_events(store.address, rows.ctypes.data, len(rows), 0)
        return store

    def ours(self, number, store):
        return {store.order_id(slot): held for slot, held in orders_of(store, number)}

    def same(self):
        store = self.books()
        return all(
            list(self.ours(number, store).items()) == list(self.truth(symbol).items())  # queues too
            for number, symbol in enumerate(SYMBOLS)
        )


def test_our_feed_builds_the_venue_s_books_order_by_order():
    place = Place()
    feed = place.feed()
    place.run(20)
    place.desk.stop()
    place.run(1)
    assert feed.state == State.LIVE and feed.gaps == 0 and feed.status()["refused"] == 0
    kinds = set(np.concatenate(place.rows)["kind"].tolist())
    assert {Kind.CLEAR, Kind.ADD, Kind.DELETE} <= kinds and kinds & {Kind.EXECUTE, Kind.TRADE}
    assert place.same() and len(place.truth("BTC-USDT")) > 10


@pytest.mark.parametrize("seed", range(3))
def test_books_are_right_again_after_whatever_a_network_does(seed):
    faults = Faults(cuts=600.0, half_open=200.0, clogs=200.0, delay=0.02, delay_max_ns=SECOND, error_undone=0.1)
    place = Place(seed, faults)
    feed, mischief = place.feed(), Mischief(place.network, lambda: place.host)
    place.run(60)
    mischief.stop()
    place.network.heal()
    place.run(40)
    place.desk.stop()
    place.run(1)
    assert feed.state == State.LIVE and feed.reconnects > 0
    assert place.same()


def test_own_orders_are_seen_in_the_full_channel_and_leave_it():
    place = Place()
    place.feed()
    place.run(3)
    account = place.desk.accounts["KEY"]
    order = place.desk.enter(account, Entry("BTC-USDT", "mine", 1, "0.5", "50000.0"))
    place.run(0.2)
    prices = {held[1] for held in place.truth("BTC-USDT").values()}
    assert 500000 in prices and place.same()
    place.desk.cancel(account, order.order)
    place.run(0.2)
    assert 500000 not in {held[1] for held in place.truth("BTC-USDT").values()}


def test_levels_of_a_book_are_its_orders_added_up():
    place = Place()
    place.run(3)
    body = [msgspec.json.decode(place.get(f"/products/BTC-USDT/book?level={level}").body) for level in (1, 2, 3)]
    place.desk.stop()
    best, levels, orders = body
    assert all(set(b) >= {"bids", "asks", "sequence", "time"} for b in body)
    assert len(best["bids"]) == len(best["asks"]) == 1 and len(orders["bids"]) >= len(levels["bids"]) > 3
    last = msgspec.json.decode(place.get("/products/BTC-USDT/book?level=3").body)
    levels = msgspec.json.decode(place.get("/products/BTC-USDT/book?level=2").body)
    added = {}
    for price, qty, _ in last["asks"]:
        added[price] = added.get(price, 0) + round(float(qty) * 10_000)
    assert {price: round(float(qty) * 10_000) for price, qty, _ in levels["asks"]} == added
    prices = [float(row[0]) for row in levels["bids"]]
    assert prices == sorted(prices, reverse=True)


class Client:
    def __init__(self, place):
        self.heard, self.link, self.reason = [], None, ""
        place.host.connect("wss://exchange.test", self)
        place.run(0.1)

    def opened(self, link):
        self.link = link

    def message(self, link, data, now):
        self.heard.append(msgspec.json.decode(bytes(data)))

    def closed(self, link, reason):
        self.link, self.reason = None, reason

    def kinds(self):
        return {item["type"] for item in self.heard}


def ask(place, client, *channels, on=True, secret="", symbols=("BTC-USDT",)):
    signer = CoinbaseExchangeSigner("KEY", Secret(secret), Secret("phrase")) if secret else None
    wanted = Subscribe(tuple((channel, symbol) for channel in channels for symbol in symbols), on)
    client.link.send(encode_exchange_session(wanted, signer, str(place.host.now() // SECOND)))


def test_channels_bring_what_they_are_for_and_end_when_asked():
    place = Place()
    place.run(10)
    client = Client(place)
    ask(place, client, "trade", "heartbeat", "depth_batch")
    place.run(12)
    assert client.kinds() >= {"subscriptions", "last_match", "match", "heartbeat", "snapshot", "l2update"}
    assert client.kinds() & {"received", "open", "done"} == set()
    beats = [item["sequence"] for item in client.heard if item["type"] == "heartbeat"]
    assert len(beats) >= 6 and beats == sorted(beats) and beats[-1] > 0
    place.desk.stop()
    book = msgspec.json.decode(place.get("/products/BTC-USDT/book?level=2").body)
    levels = {}
    for item in client.heard:
        if item["type"] == "snapshot":
            levels = {("buy", p): q for p, q in item["bids"]} | {("sell", p): q for p, q in item["asks"]}
        elif item["type"] == "l2update":
            levels |= {(side, price): qty for side, price, qty in item["changes"]}
    there = {("buy", p): q for p, q, _ in book["bids"]} | {("sell", p): q for p, q, _ in book["asks"]}
    assert {key: qty for key, qty in levels.items() if qty.strip("0.")} == there
    ask(place, client, "trade", "heartbeat", "depth_batch", on=False)
    place.run(0.5)
    client.heard.clear()
    place.run(3)
    assert client.heard == []


def test_level2_wants_a_signature_and_a_wrong_one_is_refused():
    place = Place()
    client = Client(place)
    ask(place, client, "depth")
    ask(place, client, "depth", secret="d3Jvbmc=")
    ask(place, client, "trade", symbols=("DOGE-USDT",))
    place.run(0.2)
    words = [item["message"] for item in client.heard]
    assert {item["type"] for item in client.heard} == {"error"} and len(words) == 3
    assert "requires authentication" in words[0] and "Authentication Failed" in words[1] and "DOGE" in words[2]
    ask(place, client, "depth", secret=SECRET)
    place.run(1)
    assert {"snapshot", "l2update", "subscriptions"} <= client.kinds()


def test_who_subscribes_to_nothing_is_cut_and_rates_are_limited():
    place = Place(limits=True)
    client = Client(place)
    place.run(6)
    assert client.link is None
    found = []
    for _ in range(30):
        place.host.ask("https://exchange.test", Request("GET", "/products"), found.append)
    place.run(2)
    assert {response.status for response in found} == {200, 429}


@pytest.mark.parametrize(("path", "status"), [
    ("/time", 200), ("/products", 200), ("/products/BTC-USDT", 200), ("/products/NO-USDT/book", 404), ("/nothing", 404),
    ("/products/BTC-USDT/book?level=4", 400), ("/products/BTC-USDT/trades?limit=x", 400), ("/products/BTC-USDT/x", 404),
])  # fmt: skip
def test_requests_are_answered(path, status):
    place = Place()
    place.run(1)
    assert place.get(path).status == status


def test_past_trades_are_read_page_by_page():
    place = Place()
    place.run(30)
    place.desk.stop()
    seen, after = [], ""
    for _ in range(100):
        response = place.get(f"/products/BTC-USDT/trades?limit=5{after}")
        page = [trade["trade_id"] for trade in msgspec.json.decode(response.body)]
        seen += page
        after = next((f"&after={value}" for name, value in response.headers if name == "CB-AFTER"), "")
        if len(page) < 5:
            break
    assert len(seen) > 10 and seen == sorted(set(seen), reverse=True)


def test_arbitrary_bytes_are_refused_and_harm_nobody():
    place = Place()
    rng, client = random.Random(7), None
    feed = place.feed()
    for _ in range(200):
        if client is None or client.link is None:
            client = Client(place)
        data = rng.choice([
            rng.randbytes(rng.randrange(60)), b'{"type":"subscribe","channels":[{}],"product_ids":[1]}',
            b'{"type":"subscribe","channels":["full"],"product_ids":["BTC-USDT"],"signature":"x","key":"KEY"}',
            b'{"type":"unsubscribe","channels":["level2"]}', b"[]", b"{}",
        ])  # fmt: skip
        client.link.send(data)
        place.run(0.02)
    place.run(5)
    place.desk.stop()
    place.run(1)
    assert feed.state == State.LIVE and place.same()


def test_it_is_served_by_name_over_sockets():
    with Sockets() as host:
        market = PacedMarket(host, description_from(small_market("COINBASE", "0.004", "0.006")))
        opened = served_venue("coinbase-exchange").open(host, market, Customer("KEY", "any text"))
        market.start()
        port = host.serve(opened.site)
        rows = []
        deliver = lambda address, count: rows.append(count)  # noqa: E731
        feed = package("coinbase-exchange").load("feed")(host, TABLE, "COINBASE", deliver, (f"ws://127.0.0.1:{port}",))
        feed.start()
        until(host, lambda: feed.state == State.LIVE and sum(rows) > 500)
        feed.stop()
        market.stop()
    assert host.errors == 0 and dict(opened.keys)["COINBASE_EXCHANGE_SECRET"] == "YW55IHRleHQ="
