"""What a venue's terms are towards its customers: accounts, ids, client ids, fees, words for states.

A served venue describes itself with a `VenueTerms`; the desk behind it does the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from fractions import Fraction

from nanotick.core.instruments import Instrument, assets_of
from nanotick.core.records import RejectReason
from nanotick.exchange.config import Fees
from nanotick.exchange.market import SelfTrade
from nanotick.wire.requests import number_text

AMOUNT_DECIMALS = 18  # money and coins are integers of 1e-18: exact at every scale an instrument can have
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

IdMaker = Callable[[int, int], str]  # seed, running number from 1 -> id


@dataclass(frozen=True)
class Account:
    """A customer of a venue.

    Parameters
    ----------
    key, secret, passphrase : str
        How it shows who it is. Two venues with one world have desks, and so accounts, of their own.
    balances : mapping of asset to decimal text
    positions : mapping of symbol to decimal text
        Shares held at the start (margin accounts).
    multiplier : int
        Margin accounts: buying power is so many times the equity, less what is held and ordered.
    shorting : bool
        Margin accounts: shares that are not there may be sold.
    blocked : bool
        New orders are refused.
    fees : Fees, optional
        Instead of the market description's.
    """

    key: str
    secret: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)
    balances: Mapping[str, str] = field(default_factory=lambda: {"USD": "100000"})
    positions: Mapping[str, str] = field(default_factory=dict)
    multiplier: int = 1
    shorting: bool = True
    blocked: bool = False
    fees: Fees | None = None


class Money(IntEnum):
    """How an account holds what it trades."""

    SPOT = 0  # an amount of every asset, locked by open orders
    MARGIN = 1  # cash and signed positions, limited by buying power


class ClientRule(IntEnum):
    """When a client id may be used again."""

    EVER = 0  # never (Alpaca)
    OPEN = 1  # when the order that has it is no longer open (Binance, Kraken)
    ANY = 2  # at any time


class FeeIn(IntEnum):
    """In which asset a fee is paid."""

    QUOTE = 0  # money
    RECEIVED = 1  # what the fill brings: coins when buying (Binance)


def _digest(seed: int, number: int, size: int) -> bytes:
    return hashlib.blake2b(b"%d.%d" % (seed, number), digest_size=size).digest()


def uuid_ids(seed: int, number: int) -> str:
    """Ids as UUIDs (version 4 by their bits), from seed and number.

    >>> uuid_ids(1, 1) == uuid_ids(1, 1), uuid_ids(1, 1)[14]
    (True, '4')
    """
    text = _digest(seed, number, 16).hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[int(text[16], 16) & 3]}{text[17:20]}-{text[20:]}"


def number_ids(seed: int, number: int) -> str:
    """Ids as rising numbers (Binance).

    >>> number_ids(1, 5)
    '1000005'
    """
    return str(seed * 1_000_000 + number)


def kraken_ids(seed: int, number: int) -> str:
    """Ids as Kraken's: `O` and 16 letters and digits in three groups.

    >>> len(kraken_ids(1, 5)), kraken_ids(1, 5)[0], kraken_ids(1, 5).count("-")
    (19, 'O', 2)
    """
    value = int.from_bytes(_digest(seed, number, 10), "big")
    text = "".join(_CROCKFORD[value >> 5 * i & 31] for i in range(16))
    return f"O{text[:5]}-{text[5:10]}-{text[10:16]}"


@dataclass(frozen=True)
class VenueTerms:
    """How a venue does business.

    Parameters
    ----------
    money : Money
    order_id, execution_id : IdMaker
        What orders and fills are called.
    client_ids : ClientRule
    fees : bool
        Fees of the market description (or the account) are charged.
    fee_in : FeeIn
    fee_decimals : int
        Fees are rounded up to so many decimals (spot accounts).
    self_trade : SelfTrade
        What happens when an order would meet one of the same account.
    states : mapping
        The venue's words for `new`, `partially_filled`, `filled`, `canceled`, `expired`, `replaced`; itself if absent.
    symbol : function of Instrument to str
        The venue's name of an instrument.
    """

    money: Money = Money.SPOT
    order_id: IdMaker = uuid_ids
    execution_id: IdMaker = uuid_ids
    client_ids: ClientRule = ClientRule.OPEN
    fees: bool = True
    fee_in: FeeIn = FeeIn.QUOTE
    fee_decimals: int = AMOUNT_DECIMALS
    self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST
    states: Mapping[str, str] = field(default_factory=dict)
    symbol: Callable[[Instrument], str] = lambda item: item.symbol


@dataclass(slots=True)
class Refusal:
    """Why something was not done.

    Parameters
    ----------
    reason : int
        RejectReason.
    words : str
        For a person.
    needed, available : str
        Amount or quantity the order needs and there is, where that is the reason; decimal text.
    asset : str
        Of which asset or symbol.
    """

    reason: int
    words: str
    needed: str = ""
    available: str = ""
    asset: str = ""


class Listing:
    """An instrument as the desk trades it.

    Attributes
    ----------
    number : int
        In the exchange.
    symbol : str
        The venue's name.
    item : Instrument
    base, quote : str
        Assets.
    tick, lot : int
    value_unit, qty_unit : int
        Amount (1e-18) of one price unit times one quantity unit, and of one quantity unit.
    """

    __slots__ = (
        "base", "item", "lot", "number", "price_decimals", "qty_decimals", "qty_unit", "quote", "symbol", "tick",
        "value_unit",
    )  # fmt: skip

    def __init__(self, number: int, symbol: str, item: Instrument) -> None:
        self.number, self.symbol, self.item = number, symbol, item
        self.base, self.quote = assets_of(item)
        self.price_decimals, self.qty_decimals = item.price_decimals, item.qty_decimals
        self.tick, self.lot = item.price(item.tick_size), item.qty(item.lot_size)
        multiplier = int(item.multiplier)
        self.value_unit = 10 ** (AMOUNT_DECIMALS - item.price_decimals - item.qty_decimals) * multiplier
        self.qty_unit = 10 ** (AMOUNT_DECIMALS - item.qty_decimals)

    def price_text(self, price: int) -> str:
        """Decimal text of a price."""
        return number_text(price, self.price_decimals)

    def qty_text(self, qty: int) -> str:
        """Decimal text of a quantity."""
        return number_text(qty, self.qty_decimals)


def amount_text(amount: int) -> str:
    """Decimal text of an amount.

    >>> amount_text(1_500_000_000_000_000_000)
    '1.5'
    """
    return number_text(amount, AMOUNT_DECIMALS)


def amount_of(text: str, what: str = "amount") -> int:
    """An amount of decimal text.

    Raises
    ------
    ValueError
        Not a number, or finer than 1e-18.
    """
    try:
        value = Fraction(text) * 10**AMOUNT_DECIMALS
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{what}: expected a decimal number, found {text!r}") from None
    if value.denominator != 1:
        raise ValueError(f"{what}: {text} has more than {AMOUNT_DECIMALS} decimal places")
    return int(value)


INSUFFICIENT = int(RejectReason.LIMIT_REACHED)
