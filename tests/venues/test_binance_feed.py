"""Binance market data over scripted links: snapshot and diffs, gaps, the 24 h cut, serverShutdown, many symbols."""

import gzip
import json

import numpy as np
import pytest

from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import Flag, Kind
from nanotick.venues.binance.feed import RESTS, STREAMS, BinanceFeed, feeds
from nanotick.venues.feed import State
from tests.venues.scripted import MS, Delivered, S, ScriptedHost

TABLE = InstrumentTable([Instrument("BTCUSDT", "BINANCE", 2, 8, "0.01", "0.00001", currency="USDT"),
                         Instrument("ETHUSDT", "BINANCE", 2, 8, "0.01", "0.00001", currency="USDT")])  # fmt: skip
GAP, CLEAR, LEVEL, QUOTE, TRADE = (int(k) for k in (Kind.GAP, Kind.CLEAR, Kind.LEVEL, Kind.QUOTE, Kind.TRADE))
E0 = 1_700_000_000_000_000


def diff(first, last, bids=(), asks=(), symbol="BTCUSDT"):
    data = {"e": "depthUpdate", "E": E0 + last, "s": symbol, "U": first, "u": last, "b": list(bids), "a": list(asks)}
    return json.dumps({"stream": f"{symbol.lower()}@depth@100ms", "data": data}, separators=(",", ":"))


def trade(number, symbol="BTCUSDT"):
    data = {"e": "trade", "E": E0 + number, "s": symbol, "t": number, "p": "100.5", "q": "1", "T": E0 + number,
            "m": True, "M": True}  # fmt: skip
    return json.dumps({"stream": f"{symbol.lower()}@trade", "data": data}, separators=(",", ":"))


def ticker(last, symbol="BTCUSDT"):
    data = {"u": last, "s": symbol, "b": "100.00", "B": "1.0", "a": "101.00", "A": "1.0"}
    return json.dumps({"stream": f"{symbol.lower()}@bookTicker", "data": data}, separators=(",", ":"))


def snapshot(last, bids=(("100.00", "1"),), asks=(("101.00", "1"),)):
    return json.dumps({"lastUpdateId": last, "bids": list(bids), "asks": list(asks)}).encode()


class Books(Delivered):
    """Books as told, and whether each may be traded on, by the rule of `book.gap`."""

    def __init__(self):
        super().__init__()
        self.levels = {}
        self.broken = {}

    def __call__(self, address, count):
        begin = len(self.rows)
        super().__call__(address, count)
        for row in self.rows[begin:]:
            number, kind, flags = int(row["instrument"]), int(row["kind"]), int(row["flags"])
            state = self.broken.get(number, 0)
            if kind == GAP:
                state = 1
            elif kind == CLEAR:
                self.levels[number] = {}
                state = 2 if flags & Flag.SNAPSHOT else 0
            elif kind == LEVEL:
                book, key = self.levels.setdefault(number, {}), (int(row["side"]), int(row["price"]))
                if row["qty"]:
                    book[key] = int(row["qty"])
                else:
                    book.pop(key, None)
                if state == 2 and flags & Flag.LAST:
                    state = 0
            self.broken[number] = state

    def price(self, side, price, number=0):
        return self.levels.get(number, {}).get((side, round(price * 100)), 0) / 10**8


@pytest.fixture
def host():
    return ScriptedHost()


@pytest.fixture
def got():
    return Books()


def feed_of(host, got, symbols=("BTCUSDT",), **settings):
    feed = BinanceFeed(host, TABLE, "BINANCE", got, symbols=symbols, **settings)
    feed.start()
    host.run()
    return feed


def confirm(link):
    """Confirm every subscription that has been sent."""
    for data in list(link.sent):
        link.say(json.dumps({"result": None, "id": json.loads(data)["id"]}))


def bring_up(host, last=10):
    host.link.accept()
    confirm(host.link)
    while host.asked:
        host.answer(200, snapshot(last))
    return host.link


def test_streams_are_subscribed_with_an_id_in_microseconds(host, got):
    feed_of(host, got)
    host.link.accept()
    assert host.link.url == f"{STREAMS[0]}/stream?timeUnit=MICROSECOND"
    (sent,) = map(json.loads, host.link.sent)
    assert sent == {"method": "SUBSCRIBE", "id": 1,
                    "params": ["btcusdt@depth@100ms", "btcusdt@bookTicker", "btcusdt@trade"]}  # fmt: skip
    assert host.asked == []  # the stream is open before the snapshot is asked for


def test_diffs_before_the_snapshot_are_kept_and_those_in_it_dropped(host, got):
    feed = feed_of(host, got)
    link = host.link
    link.accept()
    confirm(link)
    assert feed.state == State.SYNCING
    ((base, request, _),) = host.asked
    assert base == RESTS[0] and request.path == "/api/v3/depth?symbol=BTCUSDT&limit=1000"
    link.say(diff(8, 10, bids=[("99.00", "7")]))
    link.say(diff(11, 12, bids=[("98.00", "8")]))
    link.say(ticker(12))
    assert got.rows == []
    host.answer(200, snapshot(10, bids=[("100.00", "1"), ("99.00", "2")]))
    assert feed.state == State.LIVE
    assert got.kinds() == [CLEAR, LEVEL, LEVEL, LEVEL, LEVEL]
    assert got.price(1, 99) == 2 and got.price(1, 98) == 8 and got.price(-1, 101) == 1
    stamps = [int(row["ts_venue"]) for row in got.rows]
    assert stamps == sorted(stamps)  # no level of the snapshot is newer than the diffs that follow
    link.say(diff(13, 13, bids=[("98.00", "0")]))
    link.say(ticker(13))
    assert got.price(1, 98) == 0 and got.kinds()[-1] == QUOTE


def test_a_clock_an_hour_ahead_does_not_make_diffs_older_than_the_snapshot(host, got):
    feed_of(host, got)
    host.time += 3600 * S
    host.link.accept()
    confirm(host.link)
    host.answer(200, snapshot(10), (("Date", "Tue, 14 Nov 2023 22:13:20 GMT"),))  # E0
    host.link.say(diff(11, 11, bids=[("99.00", "7")]))
    stamps = [int(row["ts_venue"]) for row in got.rows]
    assert stamps == sorted(stamps)


def test_a_best_quote_before_the_first_diff_does_not_take_the_time_of_a_clock_that_is_ahead(host, got):
    """Else the book would hold every diff of the next hour for older news of that price."""
    feed_of(host, got)
    host.time += 3600 * S
    host.link.accept()
    confirm(host.link)
    host.answer(200, snapshot(10), (("Date", "Tue, 14 Nov 2023 22:13:20 GMT"),))  # E0
    host.link.say(ticker(10))
    host.link.say(diff(11, 11, bids=[("100.00", "7")]))
    stamps = [int(row["ts_venue"]) for row in got.rows]
    assert QUOTE in [int(row["kind"]) for row in got.rows] and stamps == sorted(stamps)


def test_a_stale_snapshot_is_fetched_again(host, got):
    feed = feed_of(host, got)
    link = host.link
    link.accept()
    confirm(link)
    link.say(diff(20, 25, bids=[("99.00", "7")]))
    began = host.time
    host.answer(200, snapshot(18))
    assert got.rows == [] and feed.stale_snapshots == 1
    host.run(100 * MS)
    host.answer(200, snapshot(19))
    assert feed.state == State.LIVE and got.price(1, 99) == 7
    assert feed.longest_sync_ns == host.time - began == 100 * MS  # one wait, and no more than it


@pytest.mark.parametrize("first", [12, 11, 9])
def test_the_first_diff_after_the_snapshot_may_overlap_it_but_not_miss_any(host, got, first):
    feed_of(host, got)
    link = bring_up(host, last=10)
    link.say(diff(first, 12, bids=[("99.00", "7")]))
    assert (GAP in got.kinds()) == (first == 12)


def test_a_diff_that_ends_where_the_book_is_gives_nothing(host, got):
    feed_of(host, got)
    link = bring_up(host, last=10)
    count = len(got.rows)
    link.say(diff(9, 10, bids=[("99.00", "7")]))
    link.say(diff(8, 9, bids=[("99.00", "7")]))
    assert len(got.rows) == count


def test_a_gap_breaks_the_book_until_a_snapshot_mends_it(host, got):
    feed = feed_of(host, got)
    link = bring_up(host, last=10)
    link.say(diff(11, 12, bids=[("99.00", "7")]))
    assert got.broken[0] == 0
    began = host.time
    link.say(diff(15, 16, bids=[("97.00", "5")]))
    assert got.kinds()[-1] == GAP and int(got.rows[-1]["seq"]) == 13 and int(got.rows[-1]["word"]) == 2
    assert got.broken[0] == 1 and feed.state == State.LIVE and feed.status()["syncing"] == 1
    link.say(diff(17, 17, bids=[("96.00", "6")]))
    link.say(ticker(17))
    assert got.kinds()[-1] == GAP  # neither diffs nor quotes of a broken book
    link.say(trade(5))
    assert got.kinds()[-1] == TRADE  # trades say what they say
    host.run(200 * MS)
    host.answer(200, snapshot(13))  # older than the first diff after the gap
    assert got.broken[0] == 1
    host.run(100 * MS)
    host.answer(200, snapshot(16, bids=[("97.00", "5")]))
    assert got.broken[0] == 0 and host.time - began < 2 * S
    assert got.price(1, 97) == 5 and got.price(1, 96) == 6 and got.price(1, 99) == 0
    link.say(diff(18, 18, bids=[("96.00", "0")]))
    assert got.price(1, 96) == 0 and feed.status()["gaps"] == 1


def test_a_second_gap_while_the_snapshot_is_on_its_way_does_not_mix_books(host, got):
    feed_of(host, got)
    link = bring_up(host, last=10)
    link.say(diff(15, 16, bids=[("97.00", "5")]))
    link.say(diff(20, 21, bids=[("95.00", "4")]))
    host.answer(200, snapshot(17))  # between the gaps
    assert got.broken[0] == 1
    host.run(100 * MS)
    host.answer(200, snapshot(19))
    assert got.broken[0] == 0 and got.price(1, 97) == 0 and got.price(1, 95) == 4


def test_a_gap_of_one_symbol_is_no_gap_of_another(host, got):
    feed_of(host, got, symbols=("BTCUSDT", "ETHUSDT"))
    link = bring_up(host, last=10)
    link.say(diff(13, 13))
    link.say(diff(11, 12, bids=[("99.00", "7")], symbol="ETHUSDT"))
    assert got.broken == {0: 1, 1: 0} and got.price(1, 99, 1) == 7


def test_snapshots_fail_over_and_wait_as_told(host, got):
    feed_of(host, got)
    host.link.accept()
    confirm(host.link)
    host.answer(503)
    host.run(100 * MS)
    assert host.asked[0][0] == RESTS[1]
    host.answer(429, b"", (("Retry-After", "7"),))
    host.run(6_900 * MS)
    assert host.asked == []
    host.run(200 * MS)
    host.answer(200, snapshot(10))
    assert got.kinds()[0] == CLEAR


def test_the_next_endpoint_is_data_only_in_the_end(host, got):
    feed_of(host, got)
    for _ in STREAMS[1:]:
        host.link.refuse()
        host.run(2 * S)
    assert host.link.url.startswith("wss://data-stream.binance.vision/")


def take_over(host, old, overlap):
    """Let the newest link follow `old`: confirm, show it messages, wait until it has taken over."""
    link = host.link
    assert link is not old
    link.accept()
    confirm(link)
    for message in overlap:
        link.say(message)
    host.run(5 * S)
    return link


def test_server_shutdown_is_followed_at_once_and_without_a_gap(host, got):
    feed = feed_of(host, got)
    old = bring_up(host, last=10)
    old.say(diff(11, 12, bids=[("99.00", "7")]))
    host.run(S)
    old.say('{"e":"serverShutdown","E":1770123456789}')
    host.run()
    assert len(host.links) == 2 and not old.is_closed  # the new one is opened first
    link = host.link
    link.accept()
    old.say(trade(100))
    confirm(link)
    link.say(trade(100))
    old.say(diff(13, 14, bids=[("98.00", "8")]))
    link.say(diff(13, 14, bids=[("98.00", "8")]))
    link.say(diff(15, 16, bids=[("97.00", "9")]))  # ahead of the old one
    link.say(trade(101))
    assert got.price(1, 97) == 0
    host.run(2 * S)
    assert old.is_closed and feed.state == State.LIVE and feed.current.link is link
    assert GAP not in got.kinds() and host.asked == []  # the book goes on: no snapshot
    assert [got.price(1, p) for p in (99, 98, 97)] == [7, 8, 9]
    assert [int(row["id"]) for row in got.rows if row["kind"] == TRADE] == [100, 101]
    link.say(diff(17, 17, bids=[("97.00", "0")]))
    assert got.price(1, 97) == 0 and GAP not in got.kinds()


def test_an_old_connection_that_lags_is_waited_for(host, got):
    feed = feed_of(host, got)
    old = bring_up(host, last=10)
    old.say('{"e":"serverShutdown","E":1770123456789}')
    host.run()
    link = host.link
    link.accept()
    confirm(link)
    link.say(diff(13, 14, bids=[("98.00", "8")]))
    host.run(2 * S)
    assert not old.is_closed  # 11 and 12 are on their way over the old one
    old.say(diff(11, 12, bids=[("99.00", "7")]))
    host.run(S)
    assert old.is_closed and GAP not in got.kinds() and feed.current.link is link
    assert got.price(1, 99) == 7 and got.price(1, 98) == 8


def test_what_nobody_heard_between_two_connections_is_a_gap_and_fetched(host, got):
    feed_of(host, got)
    old = bring_up(host, last=10)
    old.say('{"e":"serverShutdown","E":1770123456789}')
    host.run()
    take_over(host, old, [diff(13, 14, bids=[("98.00", "8")])])
    host.run(5 * S)
    assert GAP in got.kinds() and got.broken[0] == 1
    host.answer(200, snapshot(14))
    assert got.broken[0] == 0


def test_an_old_connection_lost_during_the_overlap_is_no_gap_if_the_new_one_is_confirmed(host, got):
    feed = feed_of(host, got)
    old = bring_up(host, last=10)
    old.say('{"e":"serverShutdown","E":1770123456789}')
    host.run()
    link = host.link
    link.accept()
    confirm(link)
    link.say(diff(11, 12, bids=[("99.00", "7")]))
    old.drop("gone")
    assert feed.current.link is link and feed.state == State.LIVE
    assert got.price(1, 99) == 7 and GAP not in got.kinds()


def test_an_old_connection_lost_before_the_new_one_is_confirmed_is_a_gap_and_a_snapshot(host, got):
    feed = feed_of(host, got)
    old = bring_up(host, last=10)
    old.say('{"e":"serverShutdown","E":1770123456789}')
    host.run()
    link = host.link
    link.accept()
    old.drop("gone")
    assert got.broken[0] == 1
    confirm(link)
    link.say(diff(30, 31, bids=[("99.00", "7")]))
    host.answer(200, snapshot(30))
    assert got.broken[0] == 0 and feed.state == State.LIVE and got.price(1, 99) == 7


def test_a_connection_is_renewed_before_24_hours_and_a_cut_is_a_gap_and_a_resync(host, got):
    feed = feed_of(host, got)
    old = bring_up(host, last=10)
    last = 10
    while len(host.links) == 1 and host.time < 24 * 3600 * S + 1_700_000_000 * S:
        last += 1
        old.say(diff(last, last))
        host.run(5 * S)
    age = host.time - feed.current.live_ns
    assert 23 * 3600 * S < age < 24 * 3600 * S
    new = take_over(host, old, [diff(last + 1, last + 1, bids=[("90.00", "3")])])
    assert old.is_closed and feed.current.link is new and GAP not in got.kinds() and got.price(1, 90) == 3
    host.run(5 * S)
    new.drop("24 h")
    assert got.broken[0] == 1
    began = host.time
    host.run(S)
    bring_up(host, last=last + 50)
    assert got.broken[0] == 0 and host.time - began < 2 * S


def test_a_book_told_before_all_were_is_taken_back_when_the_connection_ends(host, got):
    feed_of(host, got, symbols=("BTCUSDT", "ETHUSDT"))
    host.link.accept()
    confirm(host.link)
    host.answer(200, snapshot(10))
    assert got.broken == {0: 0}
    host.link.drop()
    assert got.broken == {0: 1}


def test_a_quantity_finer_than_the_scale_is_cut_in_a_snapshot_and_a_resync_in_a_diff(host, got):
    """Binance publishes such quantities now and then: 191.38900600 BTC on 2024-08-09, at a step of 0.00001."""
    table = InstrumentTable([Instrument("BTCUSDT", "BINANCE", 2, 5, "0.01", "0.00001", currency="USDT")])
    feed = BinanceFeed(host, table, "BINANCE", got, symbols=["BTCUSDT"])
    feed.start()
    host.run()
    link = bring_up(host, last=10)
    link.say(diff(11, 11, bids=[("99.00", "191.38900600")]))
    assert got.broken[0] == 0 and feed.current.frames.rows.refused
    link.say(diff(12, 12, bids=[("98.00", "1")]))
    assert got.broken[0] == 1
    host.answer(200, snapshot(12, bids=[("99.00", "191.38900600"), ("98.00", "1")]))
    assert got.broken[0] == 0 and got.levels[0][1, 9900] == 19_138_900


def test_many_symbols_take_several_connections_and_slow_subscriptions(host, got):
    table = InstrumentTable([Instrument(f"S{n}USDT", "BINANCE", 2, 5, currency="USDT") for n in range(700)])
    several = feeds(host, table, "BINANCE", got)
    assert [len(feed.symbols) for feed in several] == [341, 341, 18]
    one = several[0]
    one.start()
    host.run()
    host.link.accept()
    host.run(900 * MS)
    assert len(host.link.sent) <= 5  # a second's worth
    host.run(2 * S)
    streams = [name for data in host.link.sent for name in json.loads(data)["params"]]
    assert len(streams) == 1023 == len(set(streams))
    with pytest.raises(ValueError, match="a connection carries 1024"):
        BinanceFeed(host, table, "BINANCE", got)


def test_a_refused_subscription_says_why(host, got):
    feed = feed_of(host, got)
    host.link.accept()
    host.link.say('{"error":{"code":2,"msg":"Invalid request: unknown stream"},"id":1}')
    assert feed.state == State.DOWN and "unknown stream" in feed.error


def recorded(shared_data, name):
    """Depth and quotes of a recorded hour: (messages as sent, snapshot or None)."""
    with gzip.open(shared_data / "hftbacktest" / "spot" / name, "rt") as lines:
        for line in lines:
            yield line.split(" ", 1)[1].rstrip("\n")


@pytest.mark.parametrize("lost", [(), (500, 501), (100, 700, 1500)])
def test_a_recorded_chain_gives_the_book_of_its_diffs_whatever_is_lost(host, shared_data, lost):
    """Real diffs of 2024-08-09; snapshots are made of the diffs before them. A lost message is a resync."""
    got, truth, n, last = Books(), {}, 0, 0
    feed = feed_of(host, got)
    link = host.link
    link.accept()
    confirm(link)
    waiting = None
    for text in recorded(shared_data, "btcusdt_20240809.gz"):
        host.run(2 * MS)
        data = json.loads(text)["data"]
        if data.get("e") == "depthUpdate":
            n += 1
            for side, key in ((1, "b"), (-1, "a")):
                for price, qty in data[key]:
                    truth[side, round(float(price) * 100)] = round(float(qty) * 10**8)
            last = data["u"]
            if n in lost:
                continue
        link.say(text)
        if waiting is None and host.asked:
            waiting = host.time + 150 * MS
        if waiting is not None and host.time >= waiting and data.get("e") == "depthUpdate":
            sides = {1: [], -1: []}
            for (side, price), qty in truth.items():
                if qty:
                    sides[side].append((f"{price / 100:.2f}", f"{qty / 10**8:.8f}"))
            host.answer(200, snapshot(last, sides[1], sides[-1]))
            waiting = None
        if n > 1600:
            break
    assert feed.state == State.LIVE and got.broken[0] == 0
    assert got.levels[0] == {key: qty for key, qty in truth.items() if qty}
    assert feed.status()["gaps"] == len({number for number in lost if number - 1 not in lost})
    assert feed.longest_sync_ns < 2 * S
    stamps = np.array([int(row["ts_venue"]) for row in got.rows if row["kind"] == LEVEL and not row["flags"] & 2])
    assert (np.diff(stamps) >= 0).all()
