"""Our feeds at our served venues, over real sockets: what each side takes the protocol to be must be the same."""

import pytest

from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import Kind
from nanotick.core.secret import Secret
from nanotick.exchange.agents.description import description_from
from nanotick.venues.alpaca.feed import AlpacaFeed
from nanotick.venues.alpaca.server import TERMS, AlpacaSite
from nanotick.venues.desk import Desk
from nanotick.venues.desk_terms import Account
from nanotick.venues.feed import Pace, State
from nanotick.venues.polygon.feed import PolygonFeed
from nanotick.venues.polygon.server import PolygonSite
from nanotick.venues.sockets import Sockets
from tests.venues.live import until
from tests.venues.scripted import Delivered, S
from tests.venues.test_served_alpaca import MARKET

SYMBOLS = [item["symbol"] for item in MARKET["instruments"]]  # type: ignore[index]
TABLE = InstrumentTable([Instrument(symbol, "ALPACA", 4, 0) for symbol in SYMBOLS])
QUOTE, TRADE, GAP = int(Kind.QUOTE), int(Kind.TRADE), int(Kind.GAP)


@pytest.fixture
def venue():
    """A host, and a desk with an account on it."""
    with Sockets() as host:
        accounts = [Account("PKTEST", "secret", balances={"USD": "1000000"})]
        desk = Desk(host, description_from(MARKET), accounts=accounts, terms=TERMS, warm_up=0.1)
        host.at(0, desk.start)
        yield host, desk
        desk.stop()
    assert host.errors == 0


def polygon(host, port, got, key="PKTEST"):
    return PolygonFeed(host, TABLE, "ALPACA", got, (f"ws://127.0.0.1:{port}",), key=Secret(key))


def alpaca(host, port, got, key="PKTEST"):
    secret = Secret("secret")
    return AlpacaFeed(host, TABLE, "ALPACA", got, (f"ws://127.0.0.1:{port}",), key=key, secret=secret, stream="sip")


def brings_everything(feed, got, host):
    feed.start()
    until(host, lambda: feed.state == State.LIVE)
    kinds = {(kind, number) for kind in (QUOTE, TRADE) for number in range(len(SYMBOLS))}
    until(host, lambda: kinds <= {(int(r["kind"]), int(r["instrument"])) for r in got.rows})
    assert feed.status()["refused"] == 0 and all(int(r["ts_recv"]) > 0 for r in got.rows)


@pytest.mark.parametrize(("site", "make"), [(PolygonSite, polygon), (AlpacaSite, alpaca)])
def test_a_feed_brings_quotes_and_trades_of_every_symbol(venue, site, make):
    host, desk = venue
    got = Delivered()
    feed = make(host, host.serve(site(desk)), got)
    brings_everything(feed, got, host)
    for row in got.rows:
        if int(row["kind"]) == QUOTE and int(row["price"]) and int(row["id"]):
            assert int(row["price"]) < int(row["id"])  # bid below ask
    feed.stop()
    assert GAP in got.kinds()


@pytest.mark.parametrize(("site", "make"), [(PolygonSite, polygon), (AlpacaSite, alpaca)])
def test_a_wrong_key_is_denied_and_not_tried_again_and_again(venue, site, make):
    host, desk = venue
    feed = make(host, host.serve(site(desk)), Delivered(), key="WRONG-KEY")
    feed.start()
    until(host, lambda: feed.error)
    host.run(0.5)
    assert feed.state == State.DOWN and feed.attempts == 1


def test_a_second_connection_of_a_key_is_refused_and_tries_again_until_the_first_is_gone(venue):
    host, desk = venue
    port = host.serve(PolygonSite(desk))
    first, second = (polygon(host, port, Delivered()) for _ in range(2))
    first.start()
    until(host, lambda: first.state == State.LIVE)
    second.pace = Pace(ready_ns=5 * S)
    second.start()
    until(host, lambda: "max_connections" in second.error)
    first.stop()
    until(host, lambda: second.state == State.LIVE)
    second.stop()
