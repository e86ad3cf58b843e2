"""Binance spot as a served venue (`venues.served`)."""

from __future__ import annotations

from nanotick.venues.binance.limits import Limits
from nanotick.venues.binance.server import TERMS, BinanceSite
from nanotick.venues.desk import Desk
from nanotick.venues.desk_terms import Account
from nanotick.venues.host import Host
from nanotick.venues.paced_market import PacedMarket
from nanotick.venues.served import Customer, Opened, exchange_of

BALANCES = {"USDT": "1000000", "BTC": "10", "ETH": "100", "SOL": "1000", "BNB": "100"}
_FREE = Limits(weight=0, requests=0, orders_10s=0, orders_day=0, connections=0, messages=0)


def open_site(host: Host, market: PacedMarket, customer: Customer) -> Opened:
    """Serve Binance on a market."""
    account = Account(customer.key, customer.secret, balances=customer.balances or BALANCES)
    desk = Desk(host, market, exchange_of(market, "BINANCE"), [account], seed=customer.seed, terms=TERMS)
    site = BinanceSite(desk, limits=None if customer.limits else _FREE)
    host.at(host.now(), site.start)
    return Opened(
        site, desk,
        (("REST", "http", ""), ("streams", "ws", ""), ("WebSocket API", "ws", "/ws-api/v3")),
        (("BINANCE_API_KEY", customer.key), ("BINANCE_API_SECRET", customer.secret)),
    )  # fmt: skip
