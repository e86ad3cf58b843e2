"""Opening a served Polygon: one key, every symbol of the market."""

from __future__ import annotations

from nanotick.venues.desk import Desk
from nanotick.venues.desk_terms import Account, Money, VenueTerms
from nanotick.venues.host import Host
from nanotick.venues.paced_market import PacedMarket
from nanotick.venues.polygon.server import PolygonSite
from nanotick.venues.served import Customer, Opened, exchange_of


def open_site(host: Host, market: PacedMarket, customer: Customer) -> Opened:
    """See `venues.served`."""
    terms = VenueTerms(money=Money.MARGIN, fees=False)
    desk = Desk(
        host, market, exchange_of(market, "XNAS"), [Account(customer.key, "", balances={"USD": "0"})], terms=terms,
        seed=customer.seed,
    )  # fmt: skip
    addresses = (("stocks", "ws", "/stocks"), ("indices", "ws", "/indices"), ("past trades and quotes", "http", ""))
    return Opened(PolygonSite(desk), desk, addresses, (("POLYGON_API_KEY", customer.key),))
