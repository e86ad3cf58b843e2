"""Polygon, Alpaca and Finnhub: how a session opens, what is refused, and all of it over real sockets."""

import json

import pytest

from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import Kind
from nanotick.core.secret import Secret
from nanotick.venues.alpaca.feed import AlpacaFeed
from nanotick.venues.feed import State
from nanotick.venues.finnhub import feed as finnhub_feed
from nanotick.venues.finnhub.feed import FinnhubFeed
from nanotick.venues.polygon import feed as polygon_feed
from nanotick.venues.polygon.feed import PolygonFeed
from nanotick.venues.sockets import Sockets
from nanotick.wire import alpaca_server, finnhub, polygon_server
from nanotick.wire.messages import Mark, Notice, Quote, Trade
from nanotick.wire.requests import Login, Subscribe
from tests.venues.live import Kept, make_certificate, until
from tests.venues.scripted import Delivered, S, ScriptedHost

KEY, SECRET = Secret("polygon-key-123"), Secret("alpaca-secret-456")
TABLE = InstrumentTable(
    [Instrument("AAPL", "ALPACA", 4, 0), Instrument("MSFT", "ALPACA", 4, 0), Instrument("I:SPX", "ALPACA", 4, 0),
     Instrument("BTC/USD", "ALPACA", 4, 8)]
)  # fmt: skip
QUOTE, TRADE, GAP, MARK = (int(kind) for kind in (Kind.QUOTE, Kind.TRADE, Kind.GAP, Kind.MARK))
STAMP = 1_700_000_000_123_000_000


@pytest.fixture
def host():
    return ScriptedHost()


@pytest.fixture
def got():
    return Delivered()


def told(status, message=""):
    return polygon_server.encode_messages([Notice(status, message)])


def polygon(host, got, **settings):
    feed = PolygonFeed(host, TABLE, "ALPACA", got, key=KEY, symbols=["AAPL", "MSFT"], **settings)
    feed.start()
    host.run()
    host.link.accept()
    return feed


def test_polygon_logs_in_subscribes_and_is_live_when_all_is_confirmed(host, got):
    feed = polygon(host, got)
    assert host.link.url == "wss://socket.massive.com/stocks" and host.link.sent == []
    host.link.say(told("connected", "Connected Successfully"))
    assert polygon_server.decode_request(host.link.sent[0]) == Login(KEY.reveal())
    host.link.say(told("auth_success", "authenticated"))
    wish = polygon_server.decode_request(host.link.sent[1])
    assert set(wish.channels) == {(c, s) for c in ("trade", "quote") for s in ("AAPL", "MSFT")}
    for name in ("T.AAPL", "Q.AAPL", "T.MSFT"):
        host.link.say(told("success", f"subscribed to: {name}"))
        assert feed.state == State.SYNCING
    host.link.say(told("success", "subscribed to: Q.MSFT"))
    assert feed.state == State.LIVE
    host.link.say(polygon_server.encode_messages([Trade("AAPL", STAMP, "190.5", "100", 0, 7, seq=9)]))
    assert got.kinds() == [TRADE] and int(got.rows[0]["price"]) == 1_905_000


def test_polygons_sequence_has_holes_and_that_is_no_loss(host, got):
    feed = polygon(host, got)
    for message in (
        told("connected"),
        told("auth_success"),
        told("success", "subscribed to: T.AAPL,Q.AAPL,T.MSFT,Q.MSFT"),
    ):
        host.link.say(message)
    for seq in (5, 900, 3):
        host.link.say(polygon_server.encode_messages([Quote("AAPL", STAMP, "1.5", "1", "1.6", "1", seq)]))
    assert got.kinds() == [QUOTE] * 3 and feed.state == State.LIVE


@pytest.mark.parametrize(
    ("status", "wait_s"), [("auth_failed", 290), ("max_connections", 0), ("error", 290), ("auth_timeout", 0)]
)
def test_polygons_refusals(host, got, status, wait_s):
    feed = polygon(host, got)
    host.link.say(told("connected"))
    host.link.say(told(status, "no"))
    assert feed.state == State.DOWN and "no" in feed.error and host.links[0].is_closed
    host.run(wait_s * S)
    assert len(host.links) == 1
    host.run(20 * S)
    assert len(host.links) == 2 and host.link.url == "wss://socket.polygon.io/stocks"


def test_polygon_has_a_connection_for_stocks_and_one_for_indices(host, got):
    feeds = polygon_feed.feeds(host, TABLE, "ALPACA", got, key=KEY, delayed=True, symbols=["AAPL", "I:SPX"])
    for feed in feeds:
        feed.start()
    host.run()
    assert [link.url for link in host.links] == [
        "wss://delayed.massive.com/stocks",
        "wss://delayed.massive.com/indices",
    ]
    link = host.links[1]
    link.accept()
    for message in (told("connected"), told("auth_success"), told("success", "subscribed to: V.I:SPX")):
        link.say(message)
    assert polygon_server.decode_request(link.sent[1]).channels == (("value", "I:SPX"),)
    link.say(polygon_server.encode_messages([Mark("I:SPX", STAMP, "4500.25", "0", "0", "V")]))
    assert feeds[1].state == State.LIVE and got.kinds() == [MARK]
    assert not polygon_feed.feeds(host, TABLE, "ALPACA", got, key=KEY, symbols=[])


def alpaca(host, got, **settings):
    feed = AlpacaFeed(host, TABLE, "ALPACA", got, key="id", secret=SECRET, symbols=["AAPL", "MSFT"], **settings)
    feed.start()
    host.run()
    host.link.accept()
    return feed


def said(*messages):
    return alpaca_server.encode_messages(messages)


def test_alpaca_logs_in_subscribes_and_is_live_when_all_is_confirmed(host, got):
    feed = alpaca(host, got)
    assert host.link.url == "wss://stream.data.alpaca.markets/v2/iex"
    host.link.say(said(Notice("success", "connected")))
    assert alpaca_server.decode_stream_request(host.link.sent[0]) == Login("id", SECRET.reveal())
    host.link.say(said(Notice("success", "authenticated")))
    assert feed.state == State.SYNCING
    wish = alpaca_server.decode_stream_request(host.link.sent[1])
    assert set(wish.channels) == {(c, s) for c in ("trade", "quote", "status") for s in ("AAPL", "MSFT")}
    host.link.say(alpaca_server.encode_subscription((c, "AAPL") for c in ("trade", "quote", "status")))
    assert feed.state == State.SYNCING
    host.link.say(alpaca_server.encode_subscription(wish.channels))
    assert feed.state == State.LIVE
    host.link.say(said(Quote("MSFT", STAMP, "380.1", "2", "380.2", "3", kind="q")))
    assert got.kinds() == [QUOTE]


@pytest.mark.parametrize(
    ("code", "denied"),
    [(401, True), (402, True), (405, True), (409, True), (404, False), (406, False), (407, False), (500, False)],
)
def test_alpacas_errors_that_end_a_connection(host, got, code, denied):
    feed = alpaca(host, got)
    host.link.say(said(Notice("error", "words of the venue", code)))
    assert feed.state == State.DOWN and feed.error == f"{code} words of the venue"
    host.run(100 * S)
    assert (len(host.links) == 1) == denied


@pytest.mark.parametrize("code", [400, 403])
def test_alpacas_errors_that_do_not(host, got, code):
    feed = alpaca(host, got)
    host.link.say(said(Notice("success", "connected"), Notice("success", "authenticated"), Notice("error", "hm", code)))
    assert feed.state == State.SYNCING and feed.error == f"{code} hm"


def test_limits_and_names_are_checked_before_anything_is_sent(host, got):
    many = InstrumentTable([Instrument(f"S{n}", "ALPACA", 2, 0) for n in range(60)])
    with pytest.raises(ValueError, match="60 symbols; the stream 'iex' of Alpaca's free plan has 30"):
        AlpacaFeed(host, many, "ALPACA", got, key="id", secret=SECRET)
    AlpacaFeed(host, many, "ALPACA", got, key="id", secret=SECRET, symbol_limit=0)
    AlpacaFeed(host, many, "ALPACA", got, key="id", secret=SECRET, stream="sip")
    with pytest.raises(ValueError, match="60 symbols; Finnhub's free plan has 50"):
        FinnhubFeed(host, many, "ALPACA", got, key=KEY)
    with pytest.raises(ValueError, match="stream: expected iex, sip"):
        AlpacaFeed(host, TABLE, "ALPACA", got, key="id", secret=SECRET, stream="nyse")
    with pytest.raises(ValueError, match="channels: expected"):
        AlpacaFeed(host, TABLE, "ALPACA", got, key="id", secret=SECRET, channels=["orders"])
    with pytest.raises(ValueError, match="cluster: expected stocks or indices"):
        PolygonFeed(host, TABLE, "ALPACA", got, key=KEY, cluster="crypto")
    with pytest.raises(ValueError, match="channels: expected"):
        PolygonFeed(host, TABLE, "ALPACA", got, key=KEY, channels=["depth"])


def test_finnhub_is_live_once_it_has_asked_and_shows_its_token_to_nobody(host, got):
    token = Secret("finnhub token/789")
    feed = finnhub_feed.feeds(host, TABLE, "ALPACA", got, key=token, symbols=["AAPL", "MSFT"])[0]
    feed.start()
    host.run()
    assert host.link.url == "wss://ws.finnhub.io?token=finnhub%20token%2F789"
    host.link.accept()
    assert feed.state == State.LIVE
    assert [finnhub.decode_request(data).channels[0] for data in host.link.sent] == [
        ("trade", "AAPL"),
        ("trade", "MSFT"),
    ]
    host.link.say(finnhub.encode_messages([Trade("AAPL", STAMP, "129.58", "1", 0)]))
    host.link.say(b'{"type":"ping"}')
    assert got.kinds() == [TRADE] and feed.state == State.LIVE
    host.link.drop(f"lost {host.link.url}")
    assert "789" not in json.dumps(feed.status())


def test_finnhubs_errors(host, got):
    feed = FinnhubFeed(host, TABLE, "ALPACA", got, key=KEY, symbols=["AAPL"])
    feed.start()
    host.run()
    host.link.accept()
    host.link.say(b'{"type":"error","msg":"Invalid API key"}')
    assert feed.state == State.DOWN and feed.error == "refused: Invalid API key"


class Venue(Kept):
    """A venue of one connection: answers as Polygon or Alpaca do and then sends what it is given."""

    def __init__(self, protocol):
        super().__init__()
        self.protocol, self.logins = protocol, []

    def opened(self, link):
        super().opened(link)
        link.send(told("connected") if self.protocol == "polygon" else said(Notice("success", "connected")))

    def message(self, link, data, now):
        if self.protocol == "polygon":
            asked = polygon_server.decode_request(data)
            if isinstance(asked, Login):
                self.logins.append(asked)
                link.send(told("auth_success"))
            else:
                for channel, symbol in asked.channels:
                    link.send(told("success", f"subscribed to: {'T' if channel == 'trade' else 'Q'}.{symbol}"))
        else:
            asked = alpaca_server.decode_stream_request(data)
            if isinstance(asked, Login):
                self.logins.append(asked)
                link.send(said(Notice("success", "authenticated")))
            else:
                assert isinstance(asked, Subscribe)
                link.send(alpaca_server.encode_subscription(asked.channels))


class VenueSite:
    def __init__(self, protocol):
        self.protocol, self.venues, self.paths = protocol, [], []

    def request(self, request, peer, answer):
        raise AssertionError("nobody asks by HTTP")

    def upgrade(self, path, headers, peer):
        self.paths.append(path)
        self.venues.append(Venue(self.protocol))
        return self.venues[-1]


@pytest.mark.parametrize("protocol", ["polygon", "alpaca"])
@pytest.mark.parametrize("secure", [False, True])
def test_a_session_over_real_sockets_survives_a_lost_connection_and_junk(protocol, secure, tmp_path):
    certificate, key = make_certificate(tmp_path)
    with Sockets(ca_file=certificate) as host:
        site, got = VenueSite(protocol), Delivered()
        port = host.serve(site, certificate=certificate if secure else None, key=key)
        endpoints = (f"{'wss' if secure else 'ws'}://localhost:{port}",)
        if protocol == "polygon":
            feed = PolygonFeed(host, TABLE, "ALPACA", got, endpoints, key=KEY, symbols=["AAPL"])
        else:
            feed = AlpacaFeed(host, TABLE, "ALPACA", got, endpoints, key="id", secret=SECRET, symbols=["AAPL"])
        feed.start()
        until(host, lambda: feed.state == State.LIVE)
        assert site.paths == ["/stocks" if protocol == "polygon" else "/v2/iex"] and len(site.venues[0].logins) == 1
        encode = polygon_server.encode_messages if protocol == "polygon" else alpaca_server.encode_messages
        for number in range(1000):
            if number % 100 == 7:
                site.venues[0].link.send(b"\xff[{")
            kind = "Q" if protocol == "polygon" else "q"
            quote = Quote("AAPL", STAMP, f"{100 + number / 100:.2f}", "1", "200", "1", number, kind)
            site.venues[0].link.send(encode([quote]))
        until(host, lambda: len(got.rows) == 1000)
        assert [int(row["price"]) for row in got.rows] == [1_000_000 + 100 * n for n in range(1000)]
        assert feed.status()["refused"] == 10
        site.venues[0].link.cut()
        until(host, lambda: len(site.venues) == 2 and feed.state == State.LIVE)
        assert got.kinds()[1000:] == [GAP] and feed.status()["reconnects"] == 1
        site.venues[1].link.send(encode([Quote("AAPL", STAMP, "100", "1", "200", "1", 1, kind)]))
        until(host, lambda: len(got.rows) == 1002)
        feed.stop()
        assert host.errors == 0
