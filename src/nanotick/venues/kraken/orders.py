"""Orders of a served Kraken, over REST and the WebSocket alike: place, amend, cancel, the dead-man switch.

Source: docs.kraken.com, REST trading (AddOrder, AmendOrder, CancelOrder, CancelAll, CancelAllOrdersAfter) and WebSocket
v2 user trading.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from nanotick.core.records import OrderType, TimeInForce
from nanotick.venues.desk import Desk
from nanotick.venues.desk_accounts import DeskAccount
from nanotick.venues.desk_orders import DeskOrder
from nanotick.venues.desk_terms import Listing, Refusal
from nanotick.venues.host import Timer
from nanotick.venues.kraken.bodies import Refused, least_qty, refusal
from nanotick.venues.kraken.limits import OPEN_ORDERS, THRESHOLDS, Counter, amend_cost, cancel_cost
from nanotick.wire.kraken_trading import TIF_NAMES, TYPE_NAMES
from nanotick.wire.requests import Entry

SYSTEMS = ("online", "post_only", "cancel_only", "maintenance")
MAX_CLIENT = 18
_S = 1_000_000_000
_DEADLINE_LEAST, _DEADLINE_MOST = _S // 2, 60 * _S
_MARKET, _LIMIT, _GTD = int(OrderType.MARKET), int(OrderType.LIMIT), int(TimeInForce.GTD)


def decimal_of(text: str, name: str) -> Decimal:
    """A number of a request.

    Raises
    ------
    Refused
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise Refused(f"EGeneral:Invalid arguments:{name}") from None
    if not value.is_finite() or value < 0 or value.adjusted() > 15 or len(text) > 40:
        raise Refused(f"EGeneral:Invalid arguments:{name}")
    return value


class Orders:
    """What can be done with orders.

    Parameters
    ----------
    tier : str
        Whose limits hold; empty: none.

    Attributes
    ----------
    system : str
        State of the venue: online, post_only, cancel_only, maintenance.
    """

    def __init__(self, desk: Desk, tier: str) -> None:
        self.desk, self.tier = desk, tier
        self.system = "online"
        self._counters: dict[tuple[str, str], Counter] = {}
        self._switches: dict[str, Timer] = {}

    # --- limits -------------------------------------------------------------------------------------------------------

    def counter(self, account: DeskAccount, symbol: str) -> Counter:
        """The engine's rate counter of an account in a pair."""
        key = account.key, symbol
        found = self._counters.get(key)
        if found is None:
            found = self._counters[key] = Counter(THRESHOLDS[self.tier or "pro"][1])
        return found

    def _charge(self, account: DeskAccount, symbol: str, cost: int) -> None:
        """Count what can be refused."""
        now = self.desk.host.now()
        if self.tier and self.counter(account, symbol).at(now) + cost > THRESHOLDS[self.tier][0]:
            raise Refused("EOrder:Rate limit exceeded")
        self.counter(account, symbol).add(now, cost)

    def _open_for(self, entry: Entry) -> None:
        if self.system == "maintenance":
            raise Refused("EService:Unavailable")
        if self.system == "cancel_only":
            raise Refused("EService:Market in cancel_only mode")
        if self.system == "post_only" and not entry.post_only:
            raise Refused("EService:Market in post_only mode")

    # --- placing ------------------------------------------------------------------------------------------------------

    def listing(self, symbol: str) -> Listing:
        """An instrument by its symbol.

        Raises
        ------
        Refused
        """
        found = self.desk.listings.get(symbol)
        if found is None:
            raise Refused("EQuery:Unknown asset pair")
        return found

    def timely(self, deadline: int) -> None:
        """Check a deadline, ns UTC, 0 for none.

        Raises
        ------
        Refused
        """
        if not deadline:
            return
        ahead = deadline - self.desk.host.now()
        if ahead <= 0:
            raise Refused("EService:Deadline elapsed")
        if ahead > _DEADLINE_MOST + _S:
            raise Refused("EGeneral:Invalid arguments:deadline")

    def check(self, entry: Entry) -> None:
        """Check an order against the pair's rules.

        Raises
        ------
        Refused
        """
        listing = self.listing(entry.symbol)
        qty = decimal_of(entry.qty, "volume")
        if qty < Decimal(least_qty(listing)):
            raise Refused("EOrder:Order minimum not met")
        if entry.client and len(entry.client) > MAX_CLIENT and len(entry.client) not in (32, 36):
            raise Refused("EGeneral:Invalid arguments:cl_ord_id")
        if entry.post_only and entry.order_type != _LIMIT:
            raise Refused("EGeneral:Invalid arguments:post_only")
        if (entry.order_type not in (_MARKET, int(OrderType.STOP))) and not entry.price:
            raise Refused("EGeneral:Invalid arguments:price")
        for text in (entry.price, entry.stop):
            if text:
                price = decimal_of(text, "price")
                exponent = price.normalize().as_tuple().exponent
                if isinstance(exponent, int) and -exponent > listing.price_decimals:
                    raise Refused(
                        f"EOrder:Invalid price:{listing.symbol} price can only be specified up to "
                        f"{listing.price_decimals} decimals."
                    )
                if not price:
                    raise Refused("EGeneral:Invalid arguments:price")
                if price % Decimal(listing.item.tick_size):
                    raise Refused("EOrder:Tick size check failed")

    def place(self, account: DeskAccount, entry: Entry, deadline: int = 0, validate: bool = False) -> DeskOrder | None:
        """Enter an order; None if it was only to be checked.

        Raises
        ------
        Refused
        """
        self.timely(deadline)
        self._open_for(entry)
        self.check(entry)
        if validate:
            return None
        held = sum(order.symbol == entry.symbol for order in account.open.values())
        if self.tier and held >= OPEN_ORDERS[self.tier]:
            raise Refused("EOrder:Orders limit exceeded")
        self._charge(account, entry.symbol, 1)
        found = self.desk.enter(account, entry)
        if isinstance(found, Refusal):
            raise refusal(found)
        return found

    def named(self, account: DeskAccount, order: str, client: str) -> DeskOrder:
        """The open order of an id, the venue's or the client's.

        Raises
        ------
        Refused
        """
        found = self.desk.order(account, order, client) if order or client else None
        if found is None or not found.open:
            raise Refused("EOrder:Unknown order")
        return found

    def amend(
        self,
        account: DeskAccount,
        order: DeskOrder,
        qty: str,
        price: str,
        stop: str = "",
        post_only: bool = False,
        deadline: int = 0,
    ) -> None:
        """Amend an order, which keeps its ids; no more than is filled cancels the rest.

        Raises
        ------
        Refused
        """
        self.timely(deadline)
        if self.system in ("maintenance", "cancel_only"):
            raise Refused("EService:Market in cancel_only mode")
        wanted = Entry(order.symbol, "", order.side, qty or order.qty, price or order.price, stop or order.stop,
                       order.order_type, order.tif)  # fmt: skip
        self.check(wanted)
        if post_only and price:
            quote = self.desk.quote(order.symbol)
            other = Decimal(quote.ask if order.side > 0 else quote.bid)
            if other and (Decimal(price) - other) * order.side >= 0:
                raise Refused("EOrder:Post only order")
        self._charge(account, order.symbol, amend_cost(self.desk.host.now() - order.created_ns))
        if qty and Decimal(qty) <= Decimal(order.filled):
            self._take_off(account, order)
            return
        found = self.desk.amend(account, order.order, qty=qty, price=price, stop=stop)
        if isinstance(found, Refusal):
            raise refusal(found)

    # --- cancelling ---------------------------------------------------------------------------------------------------

    def _take_off(self, account: DeskAccount, order: DeskOrder) -> None:
        found = self.desk.cancel(account, order.order)
        if isinstance(found, Refusal):
            raise refusal(found)

    def cancel(self, account: DeskAccount, order: str, client: str = "") -> DeskOrder:
        """Cancel an order; never refused for its rate.

        Raises
        ------
        Refused
        """
        if self.system == "maintenance":
            raise Refused("EService:Unavailable")
        found = self.named(account, order, client)
        now = self.desk.host.now()
        self.counter(account, found.symbol).add(now, cancel_cost(now - found.created_ns))
        self._take_off(account, found)
        return found

    def cancel_all(self, account: DeskAccount) -> int:
        """Cancel all orders of an account; how many they were."""
        return len(self.desk.cancel_all(account))

    def cancel_all_after(self, account: DeskAccount, timeout_s: int) -> int:
        """Set the dead-man switch, or with 0 switch it off; when it falls, ns UTC (0: never)."""
        timer = self._switches.pop(account.key, None)
        if timer is not None:
            timer.cancel()
        if not timeout_s:
            return 0
        when = self.desk.host.now() + timeout_s * _S

        def fall() -> None:
            self._switches.pop(account.key, None)
            self.cancel_all(account)

        self._switches[account.key] = self.desk.host.at(when, fall)
        return when


def form_entry(params: dict[str, Any], symbol: str, now: int, worth: Callable[[str, int, Decimal], Decimal]) -> Entry:
    """The order that the parameters of AddOrder describe.

    Parameters
    ----------
    worth : callable
        `worth(symbol, side, money)`: quantity that so much money buys or sells (`viqc`).

    Raises
    ------
    Refused
    """
    side = {"buy": 1, "sell": -1}.get(str(params.get("type")))
    if side is None:
        raise Refused("EGeneral:Invalid arguments:type")
    name = str(params.get("ordertype"))
    kind = next((code for code, known in TYPE_NAMES.items() if known == name), None)
    if kind is None:
        raise Refused("EGeneral:Invalid arguments:ordertype")
    tif_name = str(params.get("timeinforce") or "gtc").lower()
    tif = next((code for code, known in TIF_NAMES.items() if known == tif_name), None)
    if tif is None or (kind == _MARKET and tif_name == "gtd"):
        raise Refused("EGeneral:Invalid arguments:timeinforce")
    expire = 0
    if tif == _GTD:
        text = str(params.get("expiretm") or "")
        if not text.lstrip("+").isdigit() or len(text) > 12:
            raise Refused("EGeneral:Invalid arguments:expiretm")
        expire = int(text) * _S if not text.startswith("+") else now + int(text[1:]) * _S
    flags = str(params.get("oflags") or "").split(",")
    qty = decimal_of(str(params.get("volume") or ""), "volume")
    if "viqc" in flags:
        if kind != _MARKET:
            raise Refused("EGeneral:Invalid arguments:viqc")
        qty = worth(symbol, side, qty)
    first, second = str(params.get("price") or ""), str(params.get("price2") or "")
    price, stop = (first, "") if kind == _LIMIT else (second, first) if "stop" in name else ("", "")
    if "stop" in name and not stop:
        raise Refused("EGeneral:Invalid arguments:price")
    for text in (price, stop):
        if text:
            decimal_of(text, "price")
    return Entry(
        symbol, str(params.get("cl_ord_id") or ""), side, f"{qty:f}", price, stop, kind, tif, expire, "post" in flags
    )
