"""Coinbase Exchange as a served venue (`venues.served`)."""

from __future__ import annotations

import base64
import binascii

from nanotick.venues.coinbase.bodies import TERMS
from nanotick.venues.coinbase.exchange_server import ExchangeSite
from nanotick.venues.coinbase.served import BALANCES
from nanotick.venues.desk import Desk
from nanotick.venues.desk_terms import Account
from nanotick.venues.host import Host
from nanotick.venues.paced_market import PacedMarket
from nanotick.venues.served import Customer, Opened, exchange_of


def api_secret(text: str) -> str:
    """A secret as the venue gives them: the text itself if it is base64, else it as base64."""
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error:
        return base64.b64encode(text.encode()).decode()
    return text


def open_site(host: Host, market: PacedMarket, customer: Customer) -> Opened:
    """Serve Coinbase Exchange on a market."""
    secret, phrase = api_secret(customer.secret), customer.passphrase or "nanotick"
    account = Account(customer.key, secret, phrase, balances=customer.balances or BALANCES)
    desk = Desk(host, market, exchange_of(market, "COINBASE"), [account], seed=customer.seed, terms=TERMS)
    return Opened(
        ExchangeSite(desk, limits=customer.limits), desk, (("REST", "http", ""), ("stream", "ws", "")),
        (
            ("COINBASE_EXCHANGE_KEY", customer.key), ("COINBASE_EXCHANGE_SECRET", secret),
            ("COINBASE_EXCHANGE_PASSPHRASE", phrase),
        ),
    )  # fmt: skip
