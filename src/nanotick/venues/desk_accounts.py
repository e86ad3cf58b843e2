"""What a customer of a served venue owns, owes and has ordered. Integers of 1e-18 throughout.

`SpotLedger`: an amount of every asset, of which open orders lock a part. `MarginLedger`: cash and signed positions;
what may be ordered is

    buying power = multiplier * (cash + sum(position * mark)) - sum(|position| * mark) - locked by open orders,

orders that take off a position need none, and an order may take off no more than is held and not ordered away (a broker
does not let one order turn long into short). A mark is the last price.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from nanotick.core.fixed import to_scaled
from nanotick.core.records import OrderType, RejectReason
from nanotick.venues.desk_orders import DeskOrder, Fill
from nanotick.venues.desk_terms import (
    AMOUNT_DECIMALS,
    INSUFFICIENT,
    Account,
    FeeIn,
    Listing,
    Refusal,
    amount_of,
    amount_text,
)

RATE_UNIT = 1_000_000_000
STOP_MARGIN = 5  # percent above its stop price that a stop order to buy is expected to cost
SHORT_MARGIN = 3  # percent above the ask at which a short sale without a limit is valued
FILLS_KEPT = 1 << 20
FILLS = 64  # executions whose fees are rounded up that a market order is expected to have at most
_MARKET, _STOP = int(OrderType.MARKET), int(OrderType.STOP)
_BLOCKED = int(RejectReason.BLOCKED)

Follower = Callable[[Any, DeskOrder], None]
Cost = Callable[[Listing, int, int], int | None]  # listing, side, quantity units -> amount, None: no liquidity


class SpotLedger:
    """Free and locked amounts of assets."""

    def __init__(self, account: Account, fee_in: FeeIn, taker_rate: int, fee_decimals: int = AMOUNT_DECIMALS) -> None:
        self.free = {name: amount_of(text, name) for name, text in account.balances.items()}
        self.locked = dict.fromkeys(self.free, 0)
        self._fee_in, self._fee_step = fee_in, 10 ** (AMOUNT_DECIMALS - fee_decimals)
        self._reserve = max(0, taker_rate) if fee_in == FeeIn.QUOTE else 0

    def need(self, order: DeskOrder, cost: Cost) -> Refusal | None:
        """Set what a new order locks for a quantity unit; a refusal when that is not there."""
        listing, qty = order.listing, order.qty_units
        if order.side < 0:
            order.lock_unit = listing.qty_unit
            asset, wanted = listing.base, qty * listing.qty_unit
        else:
            asset = listing.quote
            if order.order_type == _MARKET:
                found = cost(listing, 1, qty)
                wanted = found + self._fee_of(found, listing) + FILLS * listing.value_unit if found is not None else 0
                order.lock_unit = 0
            else:
                order.lock_unit = self._unit(listing, buy_price(order))
                wanted = order.lock_unit * qty
        free = self.free.get(asset, 0)
        if wanted > free:
            return insufficient(asset, wanted, free)
        return None

    def _fee_of(self, amount: int, listing: Listing) -> int:
        """The largest fee of an amount in one execution: rounded up to the instrument's value scale."""
        unit = listing.value_unit
        return -(-amount * self._reserve // (RATE_UNIT * unit)) * unit

    def _unit(self, listing: Listing, price: int) -> int:
        """What one quantity unit may cost, each in an execution of its own."""
        amount = price * listing.value_unit
        return amount + self._fee_of(amount, listing)

    def more(self, order: DeskOrder, price: int, stop: int, qty: int) -> Refusal | None:
        """Whether an order may get another price and quantity."""
        unit = order.lock_unit
        if order.side > 0 and unit:
            unit = self._unit(order.listing, buy_price(order, price, stop))
        asset = order.listing.base if order.side < 0 else order.listing.quote
        wanted = unit * (qty - order.filled_units) - order.lock_unit * order.lock_qty
        free = self.free.get(asset, 0)
        return insufficient(asset, wanted, free) if wanted > free else None

    def lock(self, order: DeskOrder, qty: int) -> None:
        """Lock for so many quantity units; negative: give back."""
        asset = order.listing.base if order.side < 0 else order.listing.quote
        amount = order.lock_unit * qty
        order.lock_qty += qty
        self.free[asset] = self.free.get(asset, 0) - amount
        self.locked[asset] = self.locked.get(asset, 0) + amount

    def relock(self, order: DeskOrder) -> None:
        """Lock what an amended order now needs."""
        if order.side > 0 and order.lock_unit:
            order.lock_unit = self._unit(order.listing, buy_price(order))
        self.lock(order, order.left_units)

    def fill(self, order: DeskOrder, price: int, qty: int, fee_value: int) -> tuple[int, str, int]:
        """Book an execution; gives the fee, its asset, and 0.

        Parameters
        ----------
        fee_value : int
            Amount of the quote asset.
        """
        listing = order.listing
        base, quote = listing.base, listing.quote
        coins, money = qty * listing.qty_unit, price * qty * listing.value_unit
        fee, asset = fee_value, quote
        if order.side > 0 and self._fee_in == FeeIn.RECEIVED:
            worth = price * listing.value_unit  # of one quantity unit
            fee, asset = -(-fee_value * listing.qty_unit // worth) if worth else 0, base
        fee = -(-fee // self._fee_step) * self._fee_step
        self.free[base] = self.free.get(base, 0) + order.side * coins
        self.free[quote] = self.free.get(quote, 0) - order.side * money
        self.free[asset] -= fee
        return fee, asset, 0

    def undo(self, fill: Fill) -> None:
        """Take an execution back."""
        order, listing = fill.order, fill.order.listing
        self.free[listing.base] -= order.side * fill.qty * listing.qty_unit
        self.free[listing.quote] += order.side * fill.price * fill.qty * listing.value_unit
        self.free[fill.fee_asset] += fill.fee

    def power(self) -> int:
        """Not a figure of spot accounts."""
        return 0


class MarginLedger:
    """Cash and positions of a broker's account.

    Attributes
    ----------
    cash : int
    positions : dict of instrument number to [quantity units, cost amount]
        Without those that are flat.
    """

    def __init__(self, account: Account, listings: dict[str, Listing], mark: Callable[[int], int]) -> None:
        self.cash = amount_of(account.balances.get("USD", "0"), "USD")
        self._multiplier, self._shorting = account.multiplier, account.shorting
        self._mark = mark
        self._listing_of = {listing.number: listing for listing in listings.values()}
        self.positions: dict[int, list[int]] = {}
        self._ordered: dict[int, list[int]] = {}  # covering quantity by instrument: buys, sells
        self._locked = 0
        for symbol, text in account.positions.items():
            listing = listings[symbol]
            qty = to_scaled(text, listing.qty_decimals, symbol)
            self.positions[listing.number] = [qty, abs(qty) * mark(listing.number) * listing.value_unit]

    def held(self, number: int) -> int:
        """Shares held of an instrument, signed."""
        row = self.positions.get(number)
        return row[0] if row is not None else 0

    def available(self, number: int) -> int:
        """Of these, not ordered away; not negative."""
        held = self.held(number)
        ordered = self._ordered.get(number)
        if ordered is None:
            return abs(held)
        return max(0, abs(held) - ordered[1 if held > 0 else 0])

    def exposure(self) -> tuple[int, int]:
        """Market value of what is held long, and short (not negative)."""
        long = short = 0
        for number, (qty, _) in self.positions.items():
            value = qty * self._mark(number) * self._listing_of[number].value_unit
            if value >= 0:
                long += value
            else:
                short -= value
        return long, short

    def equity(self) -> int:
        """Cash and what is held."""
        long, short = self.exposure()
        return self.cash + long - short

    def power(self) -> int:
        """Buying power."""
        if not self.positions:
            return self.cash * self._multiplier - self._locked
        long, short = self.exposure()
        return self._multiplier * (self.cash + long - short) - long - short - self._locked

    def need(self, order: DeskOrder, cost: Cost) -> Refusal | None:
        """As `SpotLedger.need`."""
        listing, qty, side = order.listing, order.qty_units, order.side
        held = self.held(listing.number)
        order.lock_unit, order.covers = 0, False
        if held * side < 0:
            order.covers = True
            available = self.available(listing.number)
            if qty > available:
                return Refusal(
                    INSUFFICIENT,
                    f"insufficient qty available for order (requested: {listing.qty_text(qty)}, "
                    f"available: {listing.qty_text(available)})",
                    listing.qty_text(qty),
                    listing.qty_text(available),
                    listing.symbol,
                )
            return None
        if side < 0 and not self._shorting:
            return Refusal(_BLOCKED, "account is not allowed to short", asset=listing.symbol)
        if order.order_type == _MARKET or (side < 0 and order.order_type == _STOP):
            found = cost(listing, 1, qty)
            wanted = found if found is not None else qty * self._mark(listing.number) * listing.value_unit
            if side < 0:
                wanted += wanted * SHORT_MARGIN // 100
            order.lock_unit = 0 if order.order_type == _MARKET else -(-wanted // qty)
        else:
            order.lock_unit = buy_price(order) * listing.value_unit
            wanted = order.lock_unit * qty
        power = self.power()
        return insufficient("buying power", wanted, power) if wanted > power else None

    def more(self, order: DeskOrder, price: int, stop: int, qty: int) -> Refusal | None:
        """As `SpotLedger.more`."""
        listing = order.listing
        if order.covers:
            more, available = qty - order.filled_units - order.lock_qty, self.available(listing.number)
            if more > available:
                return Refusal(
                    INSUFFICIENT,
                    f"insufficient qty available for order (requested: {listing.qty_text(more)}, "
                    f"available: {listing.qty_text(available)})",
                    listing.qty_text(more),
                    listing.qty_text(available),
                    listing.symbol,
                )
            return None
        unit = buy_price(order, price, stop) * listing.value_unit
        wanted = unit * (qty - order.filled_units) - order.lock_unit * order.lock_qty
        power = self.power()
        return insufficient("buying power", wanted, power) if wanted > power else None

    def lock(self, order: DeskOrder, qty: int) -> None:
        """As `SpotLedger.lock`."""
        order.lock_qty += qty
        self._locked += order.lock_unit * qty
        if order.covers:
            row = self._ordered.setdefault(order.listing.number, [0, 0])
            row[0 if order.side > 0 else 1] += qty

    def relock(self, order: DeskOrder) -> None:
        """As `SpotLedger.relock`."""
        if not order.covers and order.lock_unit:
            order.lock_unit = buy_price(order) * order.listing.value_unit
        self.lock(order, order.left_units)

    def fill(self, order: DeskOrder, price: int, qty: int, fee_value: int) -> tuple[int, str, int]:
        """As `SpotLedger.fill`; the third value is the position after it."""
        listing = order.listing
        signed = order.side * qty
        value = price * qty * listing.value_unit
        self.cash -= order.side * value + fee_value
        row = self.positions.setdefault(listing.number, [0, 0])
        before = row[0]
        after = before + signed
        if before * signed >= 0:  # more of it
            row[1] += abs(value)
        elif after * before > 0:  # less of it: the rest keeps its mean price
            row[1] = row[1] * abs(after) // abs(before)
        else:  # through zero
            row[1] = abs(after) * price * listing.value_unit
        row[0] = after
        if after == 0:
            del self.positions[listing.number]
        return fee_value, listing.quote, after

    def undo(self, fill: Fill) -> None:
        """As `SpotLedger.undo`."""
        self.fill(fill.order, fill.price, -fill.qty, -fill.fee)


class DeskAccount:
    """A customer as the desk keeps it.

    Attributes
    ----------
    terms : Account
    number : str
        The venue's number of the account.
    ledger : SpotLedger or MarginLedger
    orders : dict of order id to DeskOrder
        All that are remembered, oldest first.
    clients : dict of client id to DeskOrder
        The latest with that id.
    open : dict of order id to DeskOrder
        Oldest first.
    open_by : dict of (symbol, side) to dict of order id to DeskOrder
        The same by symbol and side.
    fills : deque of Fill
        Oldest first.
    """

    def __init__(self, terms: Account, number: str, ledger: SpotLedger | MarginLedger) -> None:
        self.terms = terms
        self.number = number
        self.ledger = ledger
        self.participant = 0
        self.orders: dict[str, DeskOrder] = {}
        self.clients: dict[str, DeskOrder] = {}
        self.open: dict[str, DeskOrder] = {}
        self.open_by: dict[tuple[str, int], dict[str, DeskOrder]] = {}
        self.by_number: dict[int, DeskOrder] = {}  # open orders by their number at the exchange
        self.by_seq: dict[int, Fill] = {}
        self.fills: deque[Fill] = deque(maxlen=FILLS_KEPT)
        self.followers: list[Follower] = []
        self.last_number = 0

    @property
    def key(self) -> str:
        """Its API key."""
        return self.terms.key

    def add(self, order: DeskOrder) -> None:
        """A new open order."""
        self.orders[order.order] = self.open[order.order] = self.by_number[order.number] = order
        self.open_by.setdefault((order.symbol, order.side), {})[order.order] = order
        if order.client:
            self.clients[order.client] = order

    def ended(self, order: DeskOrder, keep: int) -> None:
        """An order is no longer open; the oldest of too many is forgotten."""
        self.open.pop(order.order, None)
        self.open_by[order.symbol, order.side].pop(order.order, None)
        self.by_number.pop(order.number, None)
        if len(self.orders) > keep:
            for old in self._oldest_ended():
                del self.orders[old.order]
                if self.clients.get(old.client) is old:
                    del self.clients[old.client]
                for fill in old.fills:
                    self.by_seq.pop(fill.seq, None)
                break

    def _oldest_ended(self) -> Iterable[DeskOrder]:
        return (order for order in self.orders.values() if not order.open)


def buy_price(order: DeskOrder, price: int = 0, stop: int = 0) -> int:
    """Price at which an order that rests or waits is valued."""
    price, stop = price or order.price_units, stop or order.stop_units
    if order.order_type == _STOP:
        return stop + -(-stop * STOP_MARGIN // 100)
    return price


def insufficient(asset: str, wanted: int, there: int) -> Refusal:
    """A refusal for want of an asset."""
    return Refusal(
        INSUFFICIENT,
        f"insufficient {asset}: {amount_text(wanted)} needed, {amount_text(there)} available",
        amount_text(wanted),
        amount_text(there),
        asset,
    )
