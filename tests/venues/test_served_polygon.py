"""A served Polygon, asked directly and over sockets."""

from __future__ import annotations

import json

from nanotick.exchange.agents.description import description_from
from nanotick.venues.desk import Desk
from nanotick.venues.desk_terms import Account, Money, VenueTerms
from nanotick.venues.polygon.server import PolygonSite
from nanotick.wire.json_text import Digits
from nanotick.wire.messages import Bar, Mark, Quote, Trade
from nanotick.wire.polygon import decode_frame, decode_rest
from nanotick.wire.requests import Request, Response
from tests.venues.hosts import ScriptedHost
from tests.venues.test_served_alpaca import MARKET, Wire


class Venue:
    def __init__(self, seconds=0.5, **settings):
        self.host = ScriptedHost()
        accounts = [Account("key", balances={"USD": "0"})]
        terms = VenueTerms(money=Money.MARGIN)
        self.desk = Desk(self.host, description_from(MARKET), accounts=accounts, terms=terms, warm_up=0.1)
        self.desk.start()
        self.site = PolygonSite(self.desk, **settings)
        self.host.run(seconds)

    def open(self, cluster="stocks", key="key"):
        user = self.site.upgrade(f"/{cluster}", (), "test")
        assert not isinstance(user, Response)
        link = Wire()
        user.opened(link)

        def say(action, params):
            user.message(link, json.dumps({"action": action, "params": params}).encode(), self.host.now())

        if key:
            say("auth", key)
        return user, link, say

    def get(self, path, status=200, key="key"):
        found = []
        joint = "&" if "?" in path else "?"
        self.site.request(
            Request("GET", path + (f"{joint}apiKey={key}" if key else ""), (("Host", "here:1"),)), "test", found.append
        )
        assert found[0].status == status, found[0].body
        return found[0].body


def statuses(link):
    return [item["status"] for data in link.take() for item in json.loads(data)]


def messages(link):
    return [message for data in link.take() for message in decode_frame(data)]


def test_a_key_opens_the_stream_and_nothing_else_does():
    venue = Venue()
    _, link, say = venue.open(key="")
    say("subscribe", "T.*")
    assert statuses(link) == ["connected", "auth_failed"]
    say("auth", "wrong")
    assert statuses(link) == ["auth_failed"] and link.closed_with
    _late, waiting, _ = venue.open(key="")
    venue.host.run(11)
    assert statuses(waiting) == ["connected", "auth_timeout"] and waiting.closed_with
    assert venue.site.upgrade("/crypto", (), "test").status == 404


def test_trades_quotes_and_seconds_flow_as_subscribed():
    venue = Venue()
    _, link, say = venue.open()
    assert statuses(link) == ["connected", "auth_success"]
    say("subscribe", "T.AAA,Q.*,A.BBB")
    assert statuses(link) == ["success"] * 3
    venue.host.run(6)
    found = messages(link)
    assert {m.symbol for m in found if isinstance(m, Trade)} == {"AAA"}
    assert {m.symbol for m in found if isinstance(m, Quote)} == {"AAA", "BBB"}
    bars = [m for m in found if isinstance(m, Bar)]
    assert bars and {m.symbol for m in bars} == {"BBB"}
    last = next(m for m in reversed(found) if isinstance(m, Quote) and m.symbol == "AAA")
    now = venue.desk.quote("AAA")
    assert (last.bid, last.bid_qty, last.ask, last.ask_qty) == (now.bid, now.bid_qty, now.ask, now.ask_qty)
    numbers = [m.seq for m in found if isinstance(m, Trade)]
    assert numbers == sorted(set(numbers))
    say("unsubscribe", "T.AAA,Q.*,A.BBB")
    link.take()
    venue.host.run(2)
    assert link.take() == []


def test_indices_have_a_cluster_of_their_own():
    venue = Venue()
    _, link, say = venue.open("indices")
    say("subscribe", "V.*,T.AAA")
    assert statuses(link)[2:] == ["success", "error"]
    venue.host.run(3)
    found = messages(link)
    assert len(found) == 3 and all(isinstance(m, Mark) and m.symbol == "I:NTX" for m in found)
    assert 900 < float(found[-1].mark) < 1100


def test_one_connection_a_cluster_and_key():
    venue = Venue()
    user, first, _ = venue.open()
    _, second, _ = venue.open()
    assert statuses(second) == ["connected", "max_connections"] and second.closed_with
    _, other, _ = venue.open("indices")
    assert statuses(other) == ["connected", "auth_success"]
    user.closed(first, "gone")
    _, third, _ = venue.open()
    assert statuses(third) == ["connected", "auth_success"]


def test_a_slow_reader_is_cut_off():
    venue = Venue()
    _, link, say = venue.open()
    say("subscribe", "Q.*")
    link.take()
    link.waiting = 1 << 30
    venue.host.run(2)
    assert link.closed_with == (1008, "slow consumer") and statuses(link) == ["slow_consumer"]


def test_past_trades_and_quotes_come_page_by_page():
    venue = Venue(seconds=8)
    whole, following = decode_rest(venue.get("/v3/trades/AAA?order=asc&limit=50000"), "AAA")
    assert len(whole) > 8 and not following
    first, following = decode_rest(venue.get("/v3/trades/AAA?order=asc&limit=5"), "AAA")
    assert following.startswith("http://here:1/v3/trades/AAA?")
    second, _ = decode_rest(venue.get(following.removeprefix("http://here:1")), "AAA")
    assert first + second[: len(whole) - 5] == whole[: 5 + len(second)]
    since = whole[3].ts_venue
    later, _ = decode_rest(venue.get(f"/v3/trades/AAA?order=asc&timestamp.gt={since}&limit=50000"), "AAA")
    assert later == [m for m in whole if m.ts_venue > since]
    falling, _ = decode_rest(venue.get("/v3/trades/AAA?limit=50000"), "AAA")
    assert falling == whole[::-1]
    quotes, _ = decode_rest(venue.get("/v3/quotes/AAA?order=asc&limit=50000"), "AAA")
    assert all(isinstance(m, Quote) for m in quotes) and len(quotes) > 10


def test_rest_refuses_as_polygon_does():
    venue = Venue()
    assert b"API Key was not provided" in venue.get("/v3/trades/AAA", 401, key="")
    assert b"Unknown API Key" in venue.get("/v3/trades/AAA", 401, key="other")
    assert b"NOT_FOUND" in venue.get("/v3/trades/ZZZ", 404)
    venue.get("/v3/trades/AAA?limit=0", 400)
    venue.get("/v3/trades/AAA?timestamp.gte=soon", 400)
    venue.get("/v9/trades", 404)
    limited = Venue(rate_limit=2)
    limited.get("/v1/marketstatus/now")
    limited.get("/v1/marketstatus/now")
    limited.get("/v1/marketstatus/now", 429)


def test_tickers_and_the_last_of_everything():
    venue = Venue(seconds=5)
    tickers = json.loads(venue.get("/v3/reference/tickers"))
    assert [item["ticker"] for item in tickers["results"]] == ["AAA", "BBB"]
    assert json.loads(venue.get("/v3/reference/tickers/AAA"))["results"]["active"]
    last = json.loads(venue.get("/v2/last/nbbo/AAA"), parse_float=Digits, parse_int=Digits)["results"]
    now = venue.desk.quote("AAA")
    assert (last["p"], last["S"]) == (now.bid, now.ask_qty)
    assert json.loads(venue.get("/v2/last/trade/AAA"))["results"]["p"] > 0
    assert json.loads(venue.get("/v1/marketstatus/now"))["market"] == "open"
