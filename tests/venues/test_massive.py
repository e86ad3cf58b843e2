"""The served Polygon and its own client (`massive`, formerly polygon-api-client), over real sockets."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("massive", reason="the official client is not installed: pip install massive")

from massive import RESTClient, WebSocketClient
from massive.exceptions import AuthError, BadResponse
from massive.websocket.models import EquityAgg, EquityQuote, EquityTrade, IndexValue

from nanotick.exchange.agents.description import description_from
from nanotick.venues.desk import Desk
from nanotick.venues.desk_terms import Account, Money, VenueTerms
from nanotick.venues.polygon.server import PolygonSite
from tests.patience import PATIENCE_S, wait_until
from tests.venues.threaded import ThreadedVenue

MARKET = {
    "name": "small",
    "session": {"start": "2026-01-05T14:30:00Z", "hours": 6.5},
    "profiles": {"plain": {"flow": {"limit_rate": 12.0, "market_rate": 2.0, "lifetime": 5.0}}},
    "instruments": [
        {"symbol": name, "venue": "XNAS", "profile": "plain", "price": price, "size": 60}
        for name, price in (("AAPL", "230.00"), ("MSFT", "410.00"))
    ],
}


def made(host):
    terms = VenueTerms(money=Money.MARGIN)
    desk = Desk(host, description_from(MARKET), accounts=[Account("key")], terms=terms, warm_up=20.0)
    return PolygonSite(desk)


@pytest.fixture(scope="module")
def served():
    venue = ThreadedVenue(made)
    yield venue.address
    venue.close()


def heard(where, market, subscriptions, enough, key="key"):
    """Messages of the stream until there are enough."""
    found = []

    async def run():
        client = WebSocketClient(
            key, feed=where, market=market, subscriptions=subscriptions, secure=False, max_reconnects=0
        )

        async def take(messages):
            found.extend(messages)
            if enough(found):
                await client.close()

        await asyncio.wait_for(client.connect(take), PATIENCE_S)

    asyncio.run(run())
    return found


def test_the_stream_is_understood_by_the_official_client(served):
    def enough(found):
        kinds = {(type(m), m.symbol) for m in found}
        return {(EquityTrade, "AAPL"), (EquityQuote, "AAPL"), (EquityQuote, "MSFT"), (EquityAgg, "AAPL")} <= kinds

    found = heard(served, "stocks", ["T.AAPL", "Q.*", "A.AAPL"], enough)
    trade = next(m for m in found if isinstance(m, EquityTrade))
    quote = next(m for m in found if isinstance(m, EquityQuote) and m.symbol == "AAPL")
    assert trade.symbol == "AAPL" and abs(trade.price - 230) < 20 and trade.size > 0 and trade.timestamp > 1e12
    assert quote.bid_price < quote.ask_price and quote.bid_size > 0


def test_index_values_come_on_the_other_cluster(served):
    found = heard(served, "indices", ["V.I:NTX"], lambda found: len(found) >= 2)
    assert all(isinstance(m, IndexValue) and 500 < m.value < 2000 for m in found)


def test_a_wrong_key_is_refused(served):
    with pytest.raises(AuthError):
        heard(served, "stocks", ["T.*"], lambda found: True, key="wrong")
    with pytest.raises((BadResponse, AuthError)):
        RESTClient("wrong", base=f"http://{served}", retries=0).get_last_trade("AAPL")


def test_the_past_is_read_page_by_page(served):
    client = RESTClient("key", base=f"http://{served}")
    trades = []

    def many():
        trades[:] = client.list_trades("AAPL", order="asc", limit=5)
        return len(trades) > 10

    wait_until(many)
    assert [t.sip_timestamp for t in trades] == sorted(t.sip_timestamp for t in trades)
    assert len({t.sequence_number for t in trades}) == len(trades)
    later = list(client.list_trades("AAPL", order="asc", timestamp_gte=trades[5].sip_timestamp, limit=50_000))
    assert [t.id for t in later[:5]] == [t.id for t in trades if t.sip_timestamp >= trades[5].sip_timestamp][:5]
    quote = next(iter(client.list_quotes("MSFT", limit=1)))
    assert quote.bid_price > 0 and quote.ask_price > 0
    assert client.get_last_trade("AAPL").price > 0
    assert [t.ticker for t in client.list_tickers(market="stocks")] == ["AAPL", "MSFT"]
    assert client.get_market_status().market == "open"
