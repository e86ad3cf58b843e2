"""The life of a feed: back-off, failover, silence, renewal, gaps, over scripted links and virtual time."""

import json

import pytest

from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import Kind
from nanotick.venues.backoff import Backoff, BackoffLimits
from nanotick.venues.feed import Feed, Pace, State
from tests.venues.scripted import MS, Delivered, S, ScriptedHost

QUOTE, GAP = int(Kind.QUOTE), int(Kind.GAP)
TABLE = InstrumentTable([Instrument("AAPL", "ALPACA", 4, 0), Instrument("MSFT", "ALPACA", 4, 0),
                         Instrument("XBT", "KRAKEN", 4, 0)])  # fmt: skip


class Plain(Feed):
    """A venue that wants a login and says when all is well, in Polygon's words."""

    PROTOCOL = "polygon"
    PACE = Pace(ready_ns=5 * S, settled_ns=10 * S)

    def greet(self, talk):
        talk.send(b"login")

    def heard(self, talk, notice):
        if notice.status == "auth_success":
            self.authenticated(talk)
            talk.send(b"subscribe")
        elif notice.status == "auth_failed":
            self.fail(talk, notice.text, denied=True)
        elif notice.status == "success":
            self.live(talk)

    def ping(self, talk):
        talk.send(b"ping")


def notice(status, message=""):
    return json.dumps([{"ev": "status", "status": status, "message": message}])


def quote(symbol="AAPL", bid="161.87", q=7):
    return f'[{{"ev":"Q","sym":"{symbol}","bp":{bid},"bs":3,"ap":161.9,"as":1,"t":1651684192462,"q":{q}}}]'


def feed_of(host, got, endpoints=("wss://a", "wss://b"), **kwargs):
    return Plain(host, TABLE, "ALPACA", got, endpoints, **kwargs)


def bring_up(host, link=None):
    link = link or host.link
    link.accept()
    link.say(notice("auth_success"))
    link.say(notice("success"))
    return link


@pytest.fixture
def host():
    return ScriptedHost()


@pytest.fixture
def got():
    return Delivered()


def test_a_feed_goes_through_its_states_and_delivers(host, got):
    feed = feed_of(host, got)
    assert feed.state == State.DOWN
    feed.start()
    host.run()
    assert feed.state == State.CONNECTING
    host.link.accept()
    assert feed.state == State.AUTHENTICATING and host.link.sent == [b"login"]
    host.link.say(notice("auth_success"))
    assert feed.state == State.SYNCING and host.link.sent[-1] == b"subscribe"
    host.link.say(notice("success"))
    assert feed.state == State.LIVE
    host.link.say(quote())
    assert got.kinds() == [QUOTE]
    assert int(got.rows[0]["price"]) == 1_618_700 and int(got.rows[0]["ts_recv"]) == host.time
    status = feed.status()
    assert status["messages"] == 3 and status["bytes"] > 0 and status["last_message_ns"] == host.time


def test_a_lost_live_connection_is_one_gap_an_instrument_and_is_made_again(host, got):
    feed = feed_of(host, got)
    feed.start()
    host.run()
    bring_up(host)
    host.run(60 * S)
    host.link.drop("reset by peer")
    assert got.kinds() == [GAP, GAP]
    assert {int(row["instrument"]) for row in got.rows} == {0, 1}
    assert feed.state == State.DOWN and feed.error == "reset by peer"
    host.run(S)
    assert len(host.links) == 2 and host.link.url == "wss://a"  # it had lasted: the same endpoint again
    bring_up(host)
    assert feed.state == State.LIVE and feed.status()["reconnects"] == 1 and feed.error == ""


def test_a_connection_that_never_was_live_is_no_gap_and_the_next_endpoint_is_tried(host, got):
    feed = feed_of(host, got)
    feed.start()
    host.run()
    host.link.refuse("no route")
    host.run(S)
    assert [link.url for link in host.links] == ["wss://a", "wss://b"]
    host.link.accept()
    host.link.drop()
    host.run(S)
    assert host.link.url == "wss://a" and got.rows == []


def test_waits_grow_with_full_jitter_between_floor_and_cap(host, got):
    limits = BackoffLimits(floor_ns=100 * MS, base_ns=400 * MS, cap_ns=10 * S)
    feed = feed_of(host, got, pace=Pace(backoff=limits))
    host.draw = 0.999999
    feed.start()
    waits = []
    for _ in range(9):
        before = len(host.links)
        began = host.time
        while len(host.links) == before:
            host.run(MS)
        waits.append(host.time - began)
        host.link.refuse()
    assert waits[1:7] == [pytest.approx(x * 400 * MS, abs=2 * MS) for x in (1, 2, 4, 8, 16, 25)]
    assert waits[7] == waits[8] == pytest.approx(10 * S, abs=2 * MS)
    host.draw = 0.0
    host.run(10 * S)
    host.link.refuse()
    before, began = len(host.links), host.time
    while len(host.links) == before:
        host.run(MS)
    assert host.time - began == 100 * MS


def test_attempts_keep_within_the_venues_window(host, got):
    limits = BackoffLimits(floor_ns=MS, base_ns=MS, cap_ns=MS, attempts=5, window_ns=300 * S)
    feed = feed_of(host, got, pace=Pace(backoff=limits))
    feed.start()
    times = []
    for _ in range(20):
        before = len(host.links)
        while len(host.links) == before:
            host.run(10 * S)
        times.append(host.time)
        host.link.refuse()
    assert all(times[i + 5] - times[i] >= 300 * S - 20 * S for i in range(15))
    assert times[5] - times[0] < 320 * S


def test_backoff_never_allows_more_than_the_limit_in_any_window():
    backoff = Backoff(BackoffLimits(floor_ns=1, base_ns=1, cap_ns=1, attempts=3, window_ns=100))
    times, now = [], 0
    for step in range(50):
        now = backoff.next(now + step % 7, 0.3)
        backoff.started(now)
        backoff.failed()
        times.append(now)
    assert all(later - earlier >= 100 for earlier, later in zip(times, times[3:], strict=False))


def test_a_login_that_is_refused_waits_long(host, got):
    feed = feed_of(host, got)
    feed.start()
    host.run()
    host.link.accept()
    host.link.say(notice("auth_failed", "Your API Key is not valid."))
    host.run(299 * S)
    assert len(host.links) == 1 and feed.error == "Your API Key is not valid."
    host.run(2 * S)
    assert len(host.links) == 2


def test_a_connection_that_is_not_ready_in_time_is_given_up(host, got):
    feed = feed_of(host, got)
    feed.start()
    host.run()
    host.link.accept()
    host.run(4 * S)
    assert feed.state == State.AUTHENTICATING
    host.run(2 * S)
    assert host.links[0].is_closed and "not ready 5 s" in feed.status()["error"]
    assert len(host.links) == 2


def test_silence_is_stale_then_pinged_then_connected_anew(host, got):
    feed = feed_of(host, got, pace=Pace(quiet_ns=S, dead_ns=5 * S))
    feed.start()
    host.run()
    first = bring_up(host)
    host.run(1500 * MS)
    assert feed.state == State.STALE and first.sent[-1] == b"ping"
    first.say(quote())
    host.run(900 * MS)
    assert feed.state == State.LIVE
    host.run(5 * S)
    assert first.is_closed and got.kinds() == [QUOTE, GAP, GAP] and len(host.links) == 2


def test_what_comes_after_a_connection_was_given_up_is_ignored(host, got):
    feed = feed_of(host, got)
    feed.start()
    host.run()
    first = bring_up(host)
    feed.fail(feed.current, "enough")
    got.rows.clear()
    first.say(quote())
    host.run(S)
    assert got.rows == [] and len(host.links) == 2
    late = host.link
    feed.stop()
    late.accept()  # the handshake was under way when we stopped
    assert late.is_closed and feed.state == State.DOWN


def test_renewal_is_without_a_gap_and_the_old_link_counts_no_more(host, got):
    feed = feed_of(host, got, pace=Pace(life_ns=100 * S, ready_ns=5 * S))
    feed.start()
    host.run()
    old = bring_up(host)
    host.run(99 * S)
    assert len(host.links) == 1
    host.run(2 * S)
    assert len(host.links) == 2 and feed.status()["renewing"]
    new = host.link
    new.accept()
    new.say(notice("auth_success"))
    new.say(quote(q=8))  # not delivered: the old link still is the feed
    old.say(quote(q=8))
    new.say(notice("success"))
    assert old.is_closed and feed.state == State.LIVE and not feed.status()["renewing"]
    old.say(quote(q=9))
    new.say(quote(q=9))
    assert got.kinds() == [QUOTE, QUOTE] and [int(row["seq"]) for row in got.rows] == [8, 9]
    assert feed.status()["reconnects"] == 0 and feed.status()["gaps"] == 0
    host.run(98 * S)
    assert len(host.links) == 2


def test_a_renewal_that_fails_leaves_the_old_link_alone_and_is_tried_again(host, got):
    feed = feed_of(host, got, pace=Pace(life_ns=100 * S))
    feed.start()
    host.run()
    old = bring_up(host)
    host.run(105 * S)
    host.link.refuse()
    assert not old.is_closed and feed.state == State.LIVE
    host.run(10 * S)
    assert len(host.links) == 3
    bring_up(host)
    assert old.is_closed and got.rows == [] and feed.state == State.LIVE


def test_losing_the_old_link_while_renewing_makes_the_new_one_the_feed(host, got):
    feed = feed_of(host, got)
    feed.start()
    host.run()
    old = bring_up(host)
    host.run(30 * S)
    feed.renew()
    host.run(S)
    assert len(host.links) == 2
    old.drop()
    assert got.kinds() == [GAP, GAP] and feed.state == State.CONNECTING
    bring_up(host)
    host.link.say(quote())
    assert feed.state == State.LIVE and got.kinds()[-1] == QUOTE
    host.run(60 * S)
    assert len(host.links) == 2


def test_messages_that_cannot_be_read_are_counted_and_nothing_else_is_lost(host, got):
    feed = feed_of(host, got)
    feed.start()
    host.run()
    link = bring_up(host)
    for junk in (b"", b"\xff\xfe", b"[", b'[{"ev":"Q","sym":"AAPL","bp":NaN}]', b"[" * 5000):
        link.say(junk)
    link.say(quote())
    assert feed.state == State.LIVE and feed.status()["refused"] == 5 and got.kinds() == [QUOTE]


def test_stopping_tells_the_books_and_stays_down(host, got):
    feed = feed_of(host, got, symbols=["MSFT"])
    feed.start()
    host.run()
    link = bring_up(host)
    feed.stop()
    assert link.is_closed and [(int(r["kind"]), int(r["instrument"])) for r in got.rows] == [(GAP, 1)]
    host.run(1000 * S)
    assert len(host.links) == 1 and feed.state == State.DOWN
    feed.start()
    host.run(S)
    assert len(host.links) == 2


def test_settings_that_make_no_sense_are_refused_with_what_was_expected(host, got):
    with pytest.raises(ValueError, match="at least one endpoint"):
        feed_of(host, got, endpoints=())
    with pytest.raises(ValueError, match=r"no instrument 'XBT'.*AAPL, MSFT"):
        feed_of(host, got, symbols=["XBT"])
