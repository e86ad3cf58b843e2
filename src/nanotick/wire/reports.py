"""What venues say about our own orders and account, in the venue's digits, and its way into private report EVENTs.

A codec gives `Report`, `Balance`, `Position`, `OrderStatus` and `Reply` values; `ReportRows` makes EVENT records of the
reports that are ours. What the order state machine (`orders/reports.py`) wants of them:

- `seq` of a FILL or FILL_BUST is the execution's id and must be the same whenever that fill is told again (stream,
  reply, history): a trade or execution id of the venue, hashed to 63 bits if it is no number;
- CANCELLED carries the quantity taken off, negative if the venue did not say; REPLACED the new price and total;
- `word` of a FILL is the fee at the instrument's value scale, negative for a rebate. A fee in a third asset (BNB) is
  what it was worth when the fill was first told, and stays that when the fill is told again or undone.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum

from nanotick.core.instruments import Instrument, InstrumentTable, assets_of
from nanotick.core.records import BOTH_SIDES, MAKER, CancelReason, Flag, Kind, RejectReason
from nanotick.wire.client_ids import ClientIds
from nanotick.wire.fields import ident
from nanotick.wire.json_text import WireError, places, rounded, scaled
from nanotick.wire.messages import Other

EVENT_STRUCT = struct.Struct("<7qIBBbB")
FEE_PLACES = 12  # decimals of a fee in an asset of its own
_FEES_KEPT = 1 << 16  # fills whose fee in a third asset is remembered
ALL_OF_IT = "-1"  # quantity of a CANCELLED whose venue does not say how much
_FILL, _BUST, _CANCELLED, _EXPIRED = int(Kind.FILL), int(Kind.FILL_BUST), int(Kind.CANCELLED), int(Kind.EXPIRED)
_ACCEPTED, _REPLACED = int(Kind.ACCEPTED), int(Kind.REPLACED)
_REASONED = frozenset(map(int, (Kind.REJECTED, Kind.CANCELLED, Kind.CANCEL_REJECTED)))


class Outcome(IntEnum):
    """What became of a request."""

    DONE = 0
    REFUSED = 1  # certainly not done
    UNKNOWN = 2  # may have been done: never repeat it, ask
    LIMITED = 3  # certainly not done, since there were too many requests: wait
    DENIED = 4  # key, signature, clock or permission: nothing will pass until that is mended


@dataclass(slots=True)
class Report:
    """Something that happened to an order of this account."""

    kind: int  # Kind, a private report
    symbol: str
    ts_venue: int
    client: str  # client order id as the venue has it, empty if none
    order: str = ""  # the venue's id
    side: int = 0
    price: str = "0"
    qty: str = "0"
    execution: str = ""  # what names a fill
    fee: str = "0"
    fee_asset: str = ""
    maker: bool = False
    reason: int = 0  # CancelReason or RejectReason, by kind
    flags: int = 0  # ReportFlag
    detail: str = ""  # the venue's words
    told: str = ""  # name of the venue's message


@dataclass(slots=True)
class Balance:
    """Money or coins of the account."""

    asset: str
    free: str
    locked: str
    ts_venue: int = 0


@dataclass(slots=True)
class Position:
    """What the account holds of a symbol; `qty` is signed."""

    symbol: str
    qty: str
    average_price: str = "0"


@dataclass(slots=True)
class OrderStatus:
    """An order as the venue has it: the answer to a query, a line of a list."""

    symbol: str
    client: str
    order: str
    side: int
    order_type: int
    tif: int
    price: str
    stop: str
    qty: str
    filled: str
    state: str  # in the venue's words
    open: bool
    ts_venue: int = 0
    average_price: str = "0"


@dataclass(slots=True)
class Account:
    """Figures of the account that risk limits use, as the venue states them."""

    number: str
    currency: str
    cash: str
    buying_power: str
    equity: str
    blocked: bool = False
    shorting: bool = True


@dataclass(slots=True)
class Used:
    """How much of a rate limit is used up."""

    kind: str
    interval_s: int
    limit: int
    count: int


@dataclass(slots=True)
class Reply:
    """Answer to one request, by the request's own id."""

    request: str
    outcome: int = Outcome.DONE
    reason: int = RejectReason.NONE
    code: str = ""
    detail: str = ""
    retry_ns: int = 0  # when to try again, ns UTC or ns from now, as `retry_absolute` says
    retry_absolute: bool = False
    method: str = ""
    used: tuple[Used, ...] = ()


Private = Report | Balance | Position | OrderStatus | Account | Reply | Other


def settled(reply: Reply, asked: int, symbol: str, client: str, now: int) -> Report | None:
    """The report that a refusing or lost reply amounts to; None when the reply is good.

    Parameters
    ----------
    asked : int
        Kind of the command that was sent (NEW, CANCEL, REPLACE_ORDER).
    now : int
        ns UTC, stamp of the report.
    """
    if reply.outcome == Outcome.DONE:
        return None
    if reply.outcome == Outcome.UNKNOWN:
        return Report(int(Kind.UNKNOWN), symbol, now, client, detail=reply.detail)
    reason = int(reply.reason) or int(RejectReason.OTHER)
    if asked == Kind.NEW:
        return Report(int(Kind.REJECTED), symbol, now, client, reason=reason, detail=reply.detail)
    flags = 1 if asked == Kind.REPLACE_ORDER else 0  # ReportFlag.OF_REPLACE
    return Report(int(Kind.CANCEL_REJECTED), symbol, now, client, reason=reason, flags=flags, detail=reply.detail)


def http_outcome(status: int) -> Outcome:
    """What an HTTP status says about an order request; 0 stands for no answer.

    4xx never reached the matching engine; 5xx and silence may have.
    """
    if 200 <= status < 300:
        return Outcome.DONE
    if status in (418, 429):
        return Outcome.LIMITED
    if status in (401, 403):
        return Outcome.DENIED
    return Outcome.REFUSED if 400 <= status < 500 else Outcome.UNKNOWN


Rate = Callable[[str, str], tuple[int, int] | None]


def no_rate(asset: str, currency: str) -> tuple[int, int] | None:
    """Nothing is known of any asset."""
    return None


def _converted(amount: int, rate: tuple[int, int], decimals: int) -> int:
    """An amount at 10^-FEE_PLACES times a rate (its denominator positive) at 10^-decimals, half away from zero."""
    over, under = amount * rate[0] * 10**decimals, rate[1] * 10**FEE_PLACES
    value = (2 * abs(over) + under) // (2 * under)
    if value >= 1 << 63:
        raise WireError(f"fee: {amount}e-{FEE_PLACES} at {rate[0]}/{rate[1]} does not fit 64 bits")
    return -value if over < 0 else value


class ReportRows:
    """EVENT records of the reports of one account at one venue.

    Parameters
    ----------
    instruments : InstrumentTable
    venue : str
        Name of the venue in the table.
    ids : ClientIds
    rate : callable
        `rate(asset, currency)`: what one unit of an asset is worth in a currency, as numerator and denominator; None
        if that is not known.

    Attributes
    ----------
    foreign : int
        Reports of orders that are not of this session.
    unlisted : int
        Reports of symbols that are not in the table.
    fees_unconverted : dict of str to int
        Fees in assets of which no price was known, by asset, at 10^-FEE_PLACES: the records of their fills say 0.
    """

    def __init__(self, instruments: InstrumentTable, venue: str, ids: ClientIds, rate: Rate = no_rate) -> None:
        self._symbols = {
            item.symbol: (n, item, assets_of(item)[0]) for n, item in enumerate(instruments) if item.venue == venue
        }
        self._venue = instruments.venues.index(venue)
        self._ids, self._rate = ids, rate
        self._booked: dict[tuple[str, str], int] = {}  # fees in third assets, by fill
        self.foreign = self.unlisted = 0
        self.fees_unconverted: dict[str, int] = {}

    def _fee(self, report: Report, item: Instrument, base: str, price: int) -> int:
        if not report.fee.strip("-0."):
            return 0
        asset = report.fee_asset
        if not asset or asset == item.currency:
            return rounded(report.fee, item.value_decimals, "fee")
        amount = rounded(report.fee, FEE_PLACES, "fee")  # integers from here on: no context of Decimal rounds before us
        if asset == base:
            return _converted(amount, (price, 10**item.price_decimals), item.value_decimals)
        name = report.symbol, report.execution
        if name not in self._booked:
            rate = self._rate(asset, item.currency)
            if rate is None:
                self.fees_unconverted[asset] = self.fees_unconverted.get(asset, 0) + amount
            self._booked[name] = 0 if rate is None else _converted(amount, rate, item.value_decimals)
            if len(self._booked) > _FEES_KEPT:
                del self._booked[next(iter(self._booked))]
        return self._booked[name]

    def row(self, report: Report, ts_recv: int) -> bytes | None:
        """The 64 bytes of the report's EVENT; None when it is not ours or of no symbol of ours.

        Raises
        ------
        WireError
            A number is finer than the instrument's scale, or none.
        """
        client = self._ids.decode(report.client)
        if client is None:
            self.foreign += 1
            return None
        found = self._symbols.get(report.symbol)
        if found is None:
            self.unlisted += 1
            return None
        number, item, base = found
        kind = report.kind
        price = scaled(report.price or "0", item.price_decimals, "price", signed=True)
        if report.qty == ALL_OF_IT:
            qty = -1
        else:
            qty = scaled(report.qty or "0", item.qty_decimals, "quantity")
        word = seq = 0
        flags = report.flags
        if kind == _FILL or kind == _BUST:
            if not report.execution:
                raise WireError("a fill, or one undone, without an execution id")
            seq = ident(report.execution)
            word = self._fee(report, item, base, price)
            flags = MAKER if report.maker else 0
        elif kind in _REASONED:
            word = report.reason
        elif kind in (_ACCEPTED, _REPLACED) and report.order:
            word = ident(report.order)
        ts_venue = report.ts_venue or ts_recv
        return EVENT_STRUCT.pack(
            ts_venue, ts_recv, seq, price, qty, client, word, number, self._venue, kind, report.side, flags
        )


class CumulativeFills:
    """Fills out of a venue that states how much of an order is filled in total and at what average (Coinbase user).

    The price of a fill is (new total value - old total value) / (new total - old total), rounded to the instrument's
    price scale because the venue rounds its averages. Its execution id is the order's id and the total, so the same
    state told twice gives the same fill once.
    """

    KEPT = 4096  # ended orders

    def __init__(self) -> None:
        self._ended: dict[str, None] = {}
        self._known: dict[str, tuple[Decimal, Decimal, Decimal]] = {}

    def next(
        self, order: str, total: str, average: str, fees: str, price_decimals: int = 8
    ) -> tuple[str, str, str, str] | None:
        """Quantity, price, fee and execution id of what was filled since the last state; None if nothing was.

        Raises
        ------
        WireError
            No numbers, or the total has shrunk.
        """
        quantity, mean, paid = (exact(text or "0", "fill") for text in (total, average, fees))
        before, value_before, paid_before = self._known.get(order, (Decimal(0), Decimal(0), Decimal(0)))
        if quantity <= before:
            if quantity < before:
                raise WireError(f"order {order[:40]}: {quantity} filled, after {before}")
            return None
        value = quantity * mean
        self._known[order] = (quantity, value, paid)
        price = ((value - value_before) / (quantity - before)).quantize(Decimal(1).scaleb(-price_decimals))
        return plain(quantity - before), plain(price), plain(paid - paid_before), f"{order}:{plain(quantity)}"

    def ended(self, order: str) -> str:
        """The order has ended: it is remembered a while, for its last state may be told again.

        Returns
        -------
        str
            An order that ended long before and is forgotten now, empty if none.
        """
        self._ended[order] = None
        if len(self._ended) <= self.KEPT:
            return ""
        oldest = next(iter(self._ended))
        del self._ended[oldest]
        self._known.pop(oldest, None)
        return oldest


def exact(text: str, what: str) -> Decimal:
    """The number that a text is, whatever its scale.

    Raises
    ------
    WireError
    """
    places(text, what)  # refuses what is no number
    return Decimal(text)


def plain(value: Decimal) -> str:
    """Decimal text without an exponent or trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def cancel_reason(tif_is_ioc: bool, tif_is_fok: bool, otherwise: int = CancelReason.VENUE) -> int:
    """Why an order that may not rest ended unfilled."""
    if tif_is_fok:
        return int(CancelReason.FOK_UNFILLED)
    return int(CancelReason.IOC_REST if tif_is_ioc else otherwise)


LAST_FLAGS = int(BOTH_SIDES) | int(Flag.LAST)
