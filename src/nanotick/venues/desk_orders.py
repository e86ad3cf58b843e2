"""Orders and fills as a desk keeps them: what the venue says of them, and the integers behind."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nanotick.venues.desk_terms import AMOUNT_DECIMALS, Listing
from nanotick.wire.reports import OrderStatus
from nanotick.wire.requests import number_text

if TYPE_CHECKING:
    from nanotick.venues.desk_accounts import DeskAccount

AVERAGE_PLACES = 8


@dataclass(slots=True)
class Fill:
    """One execution of one order.

    Attributes
    ----------
    trade : int
        The exchange's number of the trade: the same for both sides and in the public feed (`id` of a TRADE row).
    execution : str
        The venue's id of this side of it.
    seq : int
        Of the exchange's report.
    ts : int
        Host time, ns UTC.
    price, qty : int
        At the instrument's scales.
    fee : int
        Amount (1e-18) of `fee_asset`, negative: a rebate.
    position : int
        Margin accounts: shares held after it.
    filled : int
        Of the order, with it.
    busted : bool
        Undone since.
    """

    trade: int
    execution: str
    seq: int
    ts: int
    order: DeskOrder
    price: int
    qty: int
    fee: int
    fee_asset: str
    maker: bool
    position: int = 0
    filled: int = 0
    busted: bool = False

    @property
    def price_text(self) -> str:
        """Decimal text."""
        return self.order.listing.price_text(self.price)

    @property
    def qty_text(self) -> str:
        """Decimal text."""
        return self.order.listing.qty_text(self.qty)

    @property
    def fee_text(self) -> str:
        """Decimal text."""
        return number_text(self.fee, AMOUNT_DECIMALS)


@dataclass(slots=True)
class DeskOrder(OrderStatus):
    """An order: an `OrderStatus` in the venue's words, kept up to date, and what the venue may want to say besides.

    Attributes
    ----------
    account : DeskAccount
    listing : Listing
    number : int
        Client id at the exchange.
    entered : int
        Running number at the desk: the order in which orders came.
    price_units, stop_units, qty_units, filled_units : int
        Integers behind `price`, `stop`, `qty` and `filled`.
    value : int
        Amount (1e-18) traded so far.
    created_ns, updated_ns, ended_ns : int
        Host times; `ended_ns` 0 while it is open.
    expire_ns : int
        Host time of a good-till-date order's end, 0: none.
    flags : int
        CommandFlag.
    reason : int
        CancelReason of an order that ended unfilled.
    basic : str
        State before the venue's words: new, partially_filled, filled, canceled, expired, replaced.
    fills : list of Fill
    fees : dict
        Amount paid by asset.
    replaces, replaced_by : str
        Ids of the orders it took the place of, and that took its place.
    triggered : bool
        A stop that has become active.
    tag : object
        The served venue's own.
    """

    account: DeskAccount = None  # type: ignore[assignment]
    listing: Listing = None  # type: ignore[assignment]
    number: int = 0
    entered: int = 0
    price_units: int = 0
    stop_units: int = 0
    qty_units: int = 0
    filled_units: int = 0
    value: int = 0
    lock_unit: int = 0  # amount locked for one quantity unit
    lock_qty: int = 0  # quantity units locked for
    covers: bool = False  # margin accounts: takes off a position
    created_ns: int = 0
    updated_ns: int = 0
    ended_ns: int = 0
    expire_ns: int = 0
    flags: int = 0
    reason: int = -1
    basic: str = "new"
    fills: list[Fill] = field(default_factory=list)
    fees: dict[str, int] = field(default_factory=dict)
    replaces: str = ""
    replaced_by: str = ""
    triggered: bool = False
    tag: Any = None

    @property
    def left_units(self) -> int:
        """Quantity not filled yet."""
        return self.qty_units - self.filled_units

    @property
    def left(self) -> str:
        """Quantity not filled yet, decimal text."""
        return self.listing.qty_text(self.qty_units - self.filled_units)

    @property
    def value_text(self) -> str:
        """Amount traded, decimal text."""
        return number_text(self.value, AMOUNT_DECIMALS)

    def renewed(self, order: str, client: str, entered: int, now: int) -> DeskOrder:
        """The order that takes this one's place, with what is filled."""
        return replace(
            self, order=order, client=client, replaces=self.order, entered=entered, created_ns=now, updated_ns=now,
            ts_venue=now, fills=[], fees={}, lock_qty=0,
        )  # fmt: skip

    def book_fill(self, price: int, qty: int) -> None:
        """Count an execution (negative quantity: undo one) and bring the texts up to date."""
        listing = self.listing
        self.filled_units += qty
        self.value += price * qty * listing.value_unit
        self.filled = listing.qty_text(self.filled_units)
        self.average_price = self.average()

    def average(self) -> str:
        """Mean price, decimal text rounded half up; `0` when nothing is filled."""
        filled, listing = self.filled_units, self.listing
        if filled == 0:
            return "0"
        places = max(AVERAGE_PLACES, listing.price_decimals)
        one = filled * listing.value_unit * 10**listing.price_decimals
        return number_text((2 * self.value * 10**places + one) // (2 * one), places)
