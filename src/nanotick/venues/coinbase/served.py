"""Coinbase Advanced Trade as a served venue (`venues.served`)."""

from __future__ import annotations

import hashlib

from nanotick.venues.coinbase.server import TERMS, CoinbaseSite
from nanotick.venues.desk import Desk
from nanotick.venues.desk_terms import Account
from nanotick.venues.host import Host
from nanotick.venues.paced_market import PacedMarket
from nanotick.venues.served import Customer, Opened, exchange_of

BALANCES = {"USDT": "1000000", "USD": "1000000", "BTC": "10", "ETH": "100", "SOL": "1000"}
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256 (FIPS 186-5)


def private_key(text: str) -> str:
    """A private key in PEM: the text itself if it is one, else one that is made of it."""
    if text.lstrip().startswith("-----BEGIN"):
        return text
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    number = int.from_bytes(hashlib.sha512(text.encode()).digest(), "big") % (_ORDER - 1) + 1
    key = ec.derive_private_key(number, ec.SECP256R1())
    return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.TraditionalOpenSSL, form.NoEncryption()).decode()


def open_site(host: Host, market: PacedMarket, customer: Customer) -> Opened:
    """Serve Coinbase on a market. Of a secret that is no private key one is made: the same every time."""
    secret = private_key(customer.secret)
    account = Account(customer.key, secret, balances=customer.balances or BALANCES)
    desk = Desk(host, market, exchange_of(market, "COINBASE"), [account], seed=customer.seed, terms=TERMS)
    site = CoinbaseSite(desk, limits=customer.limits)
    return Opened(
        site, desk, (("REST", "http", ""), ("stream", "ws", "")),
        (("COINBASE_API_KEY", customer.key), ("COINBASE_API_SECRET", secret)),
    )  # fmt: skip
