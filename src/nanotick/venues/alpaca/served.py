"""Opening a served Alpaca: a paper account with 100,000 dollars and double buying power."""

from __future__ import annotations

from nanotick.venues.alpaca.server import FREE_SYMBOLS, REQUESTS_A_MINUTE, TERMS, AlpacaSite
from nanotick.venues.desk import Desk
from nanotick.venues.desk_terms import Account
from nanotick.venues.host import Host
from nanotick.venues.paced_market import PacedMarket
from nanotick.venues.served import Customer, Opened, exchange_of

BALANCES = {"USD": "100000"}
MULTIPLIER = 2


def open_site(host: Host, market: PacedMarket, customer: Customer) -> Opened:
    """See `venues.served`."""
    account = Account(customer.key, customer.secret, balances=customer.balances or BALANCES, multiplier=MULTIPLIER)
    desk = Desk(host, market, exchange_of(market, "XNAS"), [account], seed=customer.seed, terms=TERMS)
    limits = (REQUESTS_A_MINUTE, FREE_SYMBOLS) if customer.limits else (0, 0)
    site = AlpacaSite(desk, rate_limit=limits[0], symbol_limit=limits[1])
    addresses = (
        ("trading API", "http", ""),
        ("trade updates", "ws", "/stream"),
        ("market data", "ws", "/v2/iex"),
        ("market data, all symbols", "ws", "/v2/sip"),
    )
    return Opened(
        site, desk, addresses, (("ALPACA_API_KEY", customer.key), ("ALPACA_SECRET_KEY", customer.secret))
    )  # fmt: skip
