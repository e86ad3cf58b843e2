"""Kraken spot as a served venue (`venues.served`)."""

from __future__ import annotations

from nanotick.venues.desk import Desk
from nanotick.venues.desk_terms import Account
from nanotick.venues.host import Host
from nanotick.venues.kraken.server import TERMS, KrakenSite, secret_of
from nanotick.venues.paced_market import PacedMarket
from nanotick.venues.served import Customer, Opened, exchange_of

BALANCES = {"USDT": "1000000", "USD": "1000000", "BTC": "10", "ETH": "100", "SOL": "1000"}


def open_site(host: Host, market: PacedMarket, customer: Customer) -> Opened:
    """Serve Kraken on a market. A secret that is not base64 is written in it, as Kraken's secrets are."""
    secret = secret_of(customer.secret)
    account = Account(customer.key, secret, balances=customer.balances or BALANCES)
    desk = Desk(host, market, exchange_of(market, "KRAKEN"), [account], seed=customer.seed, terms=TERMS)
    site = KrakenSite(desk, tier="intermediate" if customer.limits else "")
    return Opened(
        site, desk, (("REST", "http", ""), ("public stream", "ws", "/v2"), ("private stream", "ws", "/private/v2")),
        (("KRAKEN_API_KEY", customer.key), ("KRAKEN_API_SECRET", secret)),
    )  # fmt: skip
