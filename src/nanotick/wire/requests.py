"""What is asked of a venue: orders in decimal text, from COMMAND records and back, and the request that carries them.

    COMMAND + Instrument + client id text  ->  Entry, Cancel, Amend, CancelAll  ->  Request (REST) or bytes (WebSocket)

The venue's module does the second arrow (`encode`), its server twin the way back (`decode_request`). What a venue has
no words for is `Unsupported`, raised before anything is sent; the reason goes into a REJECTED report as if the venue
had said it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from nanotick.core.instruments import Instrument
from nanotick.core.records import CommandFlag, Kind, OrderType, RejectReason, TimeInForce

_COMMAND = struct.Struct("<6qBBHIIBBbB")
_POST_ONLY, _REDUCE_ONLY = int(CommandFlag.POST_ONLY), int(CommandFlag.REDUCE_ONLY)
_NEW, _CANCEL, _REPLACE, _CANCEL_ALL = int(Kind.NEW), int(Kind.CANCEL), int(Kind.REPLACE_ORDER), int(Kind.CANCEL_ALL)
_MARKET, _STOP, _STOP_LIMIT = int(OrderType.MARKET), int(OrderType.STOP), int(OrderType.STOP_LIMIT)
_NS = 1_000_000_000

AT_OPEN, AT_CLOSE = 5, 6  # time in force of auction orders, beyond TimeInForce
TYPE_NAMES = {int(t): t.name.lower().replace("_", " ") for t in OrderType}
TIF_NAMES = {int(t): t.name for t in TimeInForce} | {AT_OPEN: "AT_OPEN", AT_CLOSE: "AT_CLOSE"}


class Unsupported(Exception):
    """The venue has no such order; nothing was sent. `reason` is a RejectReason."""

    def __init__(self, text: str, reason: int = RejectReason.UNSUPPORTED) -> None:
        super().__init__(text)
        self.reason = int(reason)


class Request(NamedTuple):
    """An HTTP request; `path` includes the query."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def __repr__(self) -> str:
        # headers carry keys and signatures
        return f"Request({self.method} {self.path.partition('?')[0]}, {len(self.body)} bytes)"


class Response(NamedTuple):
    """An HTTP response."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Command(NamedTuple):
    """The fields of a COMMAND record."""

    ts: int
    stop_price: int
    seq: int
    price: int
    qty: int
    id: int
    order_type: int
    tif: int
    strategy: int
    expire_s: int
    instrument: int
    venue: int
    kind: int
    side: int
    flags: int

    @classmethod
    def of(cls, record: bytes | memoryview) -> Command:
        """From the 64 bytes of a record."""
        return cls._make(_COMMAND.unpack_from(record))

    def record(self) -> bytes:
        """The 64 bytes."""
        return _COMMAND.pack(*self)


@dataclass(slots=True)
class Entry:
    """A new order. Times are ns UTC; prices and quantities decimal text, empty where the type has none."""

    symbol: str
    client: str
    side: int
    qty: str
    price: str = ""
    stop: str = ""
    order_type: int = 0
    tif: int = 0
    expire_ns: int = 0
    post_only: bool = False
    reduce_only: bool = False


@dataclass(slots=True)
class Cancel:
    """Take an order off, by our id, or the venue's where the venue knows no other."""

    symbol: str
    client: str
    order: str = ""


@dataclass(slots=True)
class Amend:
    """Another price and total quantity for an order. `entry` is the order as it shall be, under its new client id."""

    client: str  # under which the venue knows the order now
    order: str
    entry: Entry
    filled: str = "0"  # of the old order, as far as known: venues that place a new order are asked for the rest only


@dataclass(slots=True)
class CancelAll:
    """Take off every order, of one symbol or (empty) of all."""

    symbol: str = ""


@dataclass(slots=True)
class Query:
    """Ask how an order stands."""

    symbol: str
    client: str
    order: str = ""


@dataclass(slots=True)
class Login:
    """Authentication of a stream. `proof` is a signature or token, `stamp` what was signed with it."""

    key: str = field(repr=False)
    secret: str = field(default="", repr=False)
    proof: str = field(default="", repr=False)
    stamp: str = ""


@dataclass(slots=True)
class Subscribe:
    """Wish for channels, as pairs of channel and symbol (`*` or empty: all); `on` False takes it back."""

    channels: tuple[tuple[str, str], ...]
    on: bool = True
    request: str = ""
    login: Login | None = None
    depth: int = 0


@dataclass(slots=True)
class Ping:
    """A sign of life that wants an answer."""

    request: str = ""


Asked = Entry | Cancel | Amend | CancelAll | Query | Login | Subscribe | Ping


def number_text(value: int, decimals: int) -> str:
    """Decimal text of a scaled integer, without zeros at its end.

    >>> number_text(5200000, 2), number_text(-5, 3), number_text(1230, 3)
    ('52000', '-0.005', '1.23')
    """
    if decimals == 0:
        return str(value)
    digits = str(abs(value)).rjust(decimals + 1, "0")
    text = f"{digits[:-decimals]}.{digits[-decimals:]}".rstrip("0").rstrip(".")
    return "-" + text if value < 0 else text


def entry_of(command: Command, instrument: Instrument, client: str) -> Entry:
    """The order that a NEW or REPLACE_ORDER command wants."""
    order_type = command.order_type
    priced = order_type != _MARKET and order_type != _STOP
    stopped = order_type == _STOP or order_type == _STOP_LIMIT
    decimals = instrument.price_decimals
    return Entry(
        instrument.symbol,
        client,
        command.side,
        number_text(command.qty, instrument.qty_decimals),
        number_text(command.price, decimals) if priced else "",
        number_text(command.stop_price, decimals) if stopped else "",
        order_type,
        command.tif,
        command.expire_s * _NS,
        command.flags & _POST_ONLY != 0,
        command.flags & _REDUCE_ONLY != 0,
    )


def asked_of(
    command: Command, instrument: Instrument, client: str, order: str = "", renamed: str = ""
) -> Entry | Cancel | Amend | CancelAll:
    """What a command asks of a venue.

    Parameters
    ----------
    client : str
        Text of the client order id under which the venue knows (or shall know) the order.
    order : str
        The venue's own id, where its requests need it.
    renamed : str
        For a replace at a venue that demands a fresh client id: that id.

    Raises
    ------
    Unsupported
        The record is no command to a venue.
    """
    kind = command.kind
    if kind == _NEW:
        return entry_of(command, instrument, client)
    if kind == _CANCEL:
        return Cancel(instrument.symbol, client, order)
    if kind == _REPLACE:
        return Amend(client, order, entry_of(command, instrument, renamed or client))
    if kind == _CANCEL_ALL:
        return CancelAll(instrument.symbol)
    raise Unsupported(f"kind {kind} is no command to a venue")


def quantity_left(amend: Amend) -> str:
    """What is left to fill of an amended order.

    Raises
    ------
    Unsupported
        Nothing is.
    """
    left = Decimal(amend.entry.qty) - Decimal(amend.filled)
    if left <= 0:
        raise Unsupported(f"a total of {amend.entry.qty} is filled already", RejectReason.INVALID_QUANTITY)
    return f"{left:f}"


def type_name(entry: Entry) -> str:
    """Type and time in force, for a refusal."""
    return f"{TYPE_NAMES.get(entry.order_type, entry.order_type)} {TIF_NAMES.get(entry.tif, entry.tif)}"


def check_entry(
    entry: Entry, venue: str, pairs: frozenset[tuple[int, int]], post_only: bool, reduce_only: bool
) -> None:
    """Refuse what a venue has not.

    Parameters
    ----------
    pairs : frozenset of (OrderType, TimeInForce)
        What it has.
    post_only, reduce_only : bool
        Whether it has these flags.

    Raises
    ------
    Unsupported
    """
    if (entry.order_type, entry.tif) not in pairs:
        raise Unsupported(f"{venue} has no {type_name(entry)} orders")
    if entry.post_only and (not post_only or entry.order_type != OrderType.LIMIT):
        raise Unsupported(f"{venue} has no post-only {type_name(entry)} orders")
    if entry.reduce_only and not reduce_only:
        raise Unsupported(f"{venue} has no reduce-only orders")
    if entry.tif == TimeInForce.GTD and entry.expire_ns <= 0:
        raise Unsupported("a good-till-date order needs its date", RejectReason.OTHER)
    if not entry.qty.strip("0."):
        raise Unsupported("an order needs a quantity above 0", RejectReason.INVALID_QUANTITY)
