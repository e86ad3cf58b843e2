"""Orders of several parts at a served Alpaca: bracket, OCO, OTO, and trailing stops.

    bracket   an entry; when it has filled, a take profit and a stop loss of which one cancels the other
    oco       that pair for a position held
    oto       an entry; when it has filled, one of the two

Of a pair the take profit rests at the exchange and the stop loss is held here: the position covers only one of them.
When a trade reaches its stop price the take profit is cancelled and what it has left is sent. A trailing stop is a stop
order at the exchange whose stop price follows the best trade since it was entered.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import Any

import numpy.typing as npt

from nanotick.core.records import Kind, OrderType, TimeInForce
from nanotick.venues.alpaca.bodies import Extra, asset_id, extra_of, good, identity, order_body
from nanotick.venues.alpaca.requests import Parsed, check_wash, refuse, refused_by_desk
from nanotick.venues.alpaca.trading_stream import Updates
from nanotick.venues.desk import Desk
from nanotick.venues.desk_accounts import DeskAccount
from nanotick.venues.desk_orders import DeskOrder
from nanotick.venues.desk_terms import Listing, Refusal
from nanotick.venues.stamps import stamp
from nanotick.wire.alpaca_trading import TIFS
from nanotick.wire.json_text import scaled
from nanotick.wire.reports import Report
from nanotick.wire.requests import Entry, Response

_LIMIT, _MARKET, _STOP, _STOP_LIMIT = (
    int(OrderType.LIMIT), int(OrderType.MARKET), int(OrderType.STOP), int(OrderType.STOP_LIMIT)
)  # fmt: skip
_DAY = int(TimeInForce.DAY)
_TRADE, _FILL, _CANCELLED, _EXPIRED = int(Kind.TRADE), int(Kind.FILL), int(Kind.CANCELLED), int(Kind.EXPIRED)


class Held:
    """A leg that is not at the exchange (yet)."""

    def __init__(self, account: DeskAccount, listing: Listing, entry: Entry, now: int) -> None:
        self.account, self.listing, self.entry = account, listing, entry
        decimals, text = listing.price_decimals, listing.price_text
        entry.price = text(scaled(entry.price, decimals, "limit_price")) if entry.price else ""
        entry.stop = text(scaled(entry.stop, decimals, "stop_price")) if entry.stop else ""
        self.ident = identity("leg", account.number, entry.client, now)
        self.created, self.state = stamp(now), "held"
        self.order: DeskOrder | None = None
        self.stop_units = scaled(entry.stop, listing.price_decimals, "stop_price") if entry.stop else 0

    def body(self) -> dict[str, Any]:
        """As an order is shown."""
        if self.order is not None:
            return order_body(self.order)
        entry = self.entry
        kind = {_LIMIT: "limit", _STOP: "stop", _STOP_LIMIT: "stop_limit"}.get(entry.order_type, "market")
        ends = dict.fromkeys(("filled_at", "expired_at", "canceled_at", "failed_at", "replaced_at", "replaced_by"))
        return {
            "id": self.ident, "client_order_id": entry.client, "created_at": self.created, "updated_at": self.created,
            "submitted_at": self.created, **ends, "replaces": None, "asset_id": asset_id(entry.symbol),
            "symbol": entry.symbol, "asset_class": "us_equity", "notional": None, "qty": entry.qty, "filled_qty": "0",
            "filled_avg_price": None, "order_class": "", "order_type": kind, "type": kind,
            "side": "buy" if entry.side > 0 else "sell", "time_in_force": TIFS[entry.tif],
            "limit_price": entry.price or None, "stop_price": entry.stop or None, "status": self.state,
            "extended_hours": False, "legs": None, "trail_percent": None, "trail_price": None, "hwm": None,
            "subtag": None, "source": None,
        }  # fmt: skip


class Group:
    """An entry and its exits, or a pair of exits."""

    def __init__(self, parent: DeskOrder, profit: Held | None, loss: Held | None) -> None:
        self.parent, self.profit, self.loss = parent, profit, loss
        self.resting: DeskOrder | None = None  # take profit at the exchange


class Advanced:
    """All of them, of every account of a desk."""

    def __init__(self, desk: Desk, updates: Updates) -> None:
        self._desk, self._updates = desk, updates
        self._groups: dict[str, Group] = {}  # by the id of each order in it
        self._held: dict[str, Held] = {}
        self._watched: dict[int, list[Group]] = {}  # by instrument: stop losses held
        self._trailing: dict[int, list[DeskOrder]] = {}
        self._followed: set[str] = set()
        desk.watch(None, self._rows)

    def _later(self, call: Any, *arguments: Any) -> None:
        """Commands may not be given from within a report: give them next."""
        self._desk.host.at(self._desk.host.now(), lambda: call(*arguments))

    def held(self, account: DeskAccount, ident: str) -> Held | None:
        """A leg by its id."""
        found = self._held.get(ident)
        return found if found is not None and found.account is account else None

    # --- new --------------------------------------------------------------------------------------------------------

    def submit(self, account: DeskAccount, parsed: Parsed) -> Response:
        """A new order of such a kind."""
        from nanotick.venues.alpaca.orders import as_taken

        if account.key not in self._followed:
            self._followed.add(account.key)
            self._desk.follow(account, self._told)
        entry, listing = parsed.entry, self._desk.listings[parsed.entry.symbol]
        trailing = bool(parsed.trail_price or parsed.trail_percent)
        if trailing:
            entry.stop = self._trail_stop(listing, entry.side, parsed.trail_price, parsed.trail_percent)
        if parsed.order_class == "oco":
            entry.price = parsed.profit or entry.price
        check_wash(account, entry)
        order = self._desk.enter(account, entry)
        if isinstance(order, Refusal):
            return refused_by_desk(order, account, listing)
        extra = extra_of(order)
        extra.order_class, extra.extended = parsed.order_class, parsed.extended
        if trailing:
            extra.trail_price, extra.trail_percent = parsed.trail_price, parsed.trail_percent
            extra.hwm = listing.price_text(self._desk.mark(listing.number))
            if order.open:
                self._trailing.setdefault(listing.number, []).append(order)
        else:
            self._group(account, listing, order, parsed)
        return good(as_taken(order))

    def _group(self, account: DeskAccount, listing: Listing, order: DeskOrder, parsed: Parsed) -> None:
        pair = parsed.order_class == "oco"
        side, now = order.side if pair else -order.side, order.created_ns
        profit = loss = None

        def leg(kind: int, price: str, stop: str, name: str) -> Held:
            client = identity(name, account.number, order.order)
            made = Held(
                account, listing, Entry(order.symbol, client, side, order.qty, price, stop, kind, order.tif), now
            )  # fmt: skip
            self._held[made.ident] = made
            self._groups[made.ident] = group
            return made

        group = Group(order, None, None)
        if parsed.profit and not pair:
            profit = leg(_LIMIT, parsed.profit, "", "profit")
        if parsed.loss:
            loss = leg(_STOP_LIMIT if parsed.loss_limit else _STOP, parsed.loss_limit, parsed.loss, "loss")
        group.profit, group.loss = profit, loss
        self._groups[order.order] = group
        extra_of(order).legs = [made for made in (profit, loss) if made is not None]
        if pair:
            group.resting = order
            if order.open:
                self._watch(group)
            else:
                self._cancelled(loss)
        elif not order.open:
            self._later(self._parent_ended, group)

    # --- what happens -----------------------------------------------------------------------------------------------

    def _told(self, report: Report, order: DeskOrder) -> None:
        if order.open or report.kind not in (_FILL, _CANCELLED, _EXPIRED):
            return
        group = self._groups.get(order.order)
        if group is None:
            return
        if group.resting is order:
            self._unwatch(group)
            self._cancelled(group.loss)
        elif group.parent is order:
            self._later(self._parent_ended, group)

    def _parent_ended(self, group: Group) -> None:
        """An entry is over: what it has bought gets its exits."""
        filled = group.parent.filled_units
        if filled == 0:
            self._cancelled(group.profit)
            self._cancelled(group.loss)
            return
        qty = group.parent.listing.qty_text(filled)
        for held in (group.profit, group.loss):
            if held is not None:
                held.entry.qty = qty
        if group.profit is not None:
            group.resting = self._place(group.profit)
            if group.loss is not None:
                self._watch(group)
        elif group.loss is not None:
            self._place(group.loss)

    def _place(self, held: Held) -> DeskOrder | None:
        """A leg goes to the exchange under its id."""
        if held.state != "held":
            return None
        done = self._desk.enter(held.account, held.entry, ident=held.ident)
        if isinstance(done, Refusal):
            held.state = "rejected"
            return None
        held.order, held.state = done, "placed"
        group = self._groups[held.ident]
        extra_of(done).parent = group.parent
        return done

    def _cancelled(self, held: Held | None) -> None:
        if held is not None and held.state == "held":
            held.state = "canceled"

    def _watch(self, group: Group) -> None:
        self._watched.setdefault(group.parent.listing.number, []).append(group)

    def _unwatch(self, group: Group) -> None:
        groups = self._watched.get(group.parent.listing.number, [])
        if group in groups:
            groups.remove(group)

    def _rows(self, rows: npt.NDArray[Any]) -> None:
        if not self._watched and not self._trailing:
            return
        chosen = rows[rows["kind"] == _TRADE]
        for number, price in zip(chosen["instrument"].tolist(), chosen["price"].tolist(), strict=True):
            for group in tuple(self._watched.get(number, ())):
                loss = group.loss
                assert loss is not None
                if (price - loss.stop_units) * loss.entry.side >= 0:
                    self._unwatch(group)
                    self._later(self._stop_out, group)
            for order in tuple(self._trailing.get(number, ())):
                self._trail(number, order, price)

    def _stop_out(self, group: Group) -> None:
        """A stop loss has been reached: it takes the place of the take profit."""
        loss, resting = group.loss, group.resting
        if loss is None or loss.state != "held":
            return
        if resting is not None:
            group.resting = None  # its end is our doing
            left = resting.left
            if resting.open:
                self._desk.cancel(loss.account, resting.order)
                left = resting.left
            if not resting.left_units:
                self._cancelled(loss)
                return
            loss.entry.qty = left
        if loss.entry.order_type == _STOP:
            loss.entry.order_type, loss.entry.stop, loss.entry.tif = _MARKET, "", _DAY
        else:
            loss.entry.order_type, loss.entry.stop = _LIMIT, ""
        self._place(loss)

    # --- trailing ---------------------------------------------------------------------------------------------------

    def _trail_stop(self, listing: Listing, side: int, price: str, percent: str, best: int = 0) -> str:
        best = best or self._desk.mark(listing.number)
        if price:
            away = scaled(price, listing.price_decimals, "trail_price")
        else:
            away = int((best * Decimal(percent) / 100).to_integral_value(ROUND_DOWN))
        found = best + side * max(listing.tick, away)
        if found <= 0:
            raise refuse(422, 42210000, "trail price must be less than current price")
        return listing.price_text(found - found % listing.tick)

    def _trail(self, number: int, order: DeskOrder, price: int) -> None:
        if not order.open or order.triggered:
            self._trailing[number].remove(order)
            return
        extra, listing = extra_of(order), order.listing
        best = scaled(extra.hwm, listing.price_decimals, "hwm")
        if (best - price) * order.side > 0:
            extra.hwm = listing.price_text(price)
            self._later(self._move, order)

    def _move(self, order: DeskOrder) -> None:
        if not order.open or order.triggered:
            return
        extra, listing = extra_of(order), order.listing
        best = scaled(extra.hwm, listing.price_decimals, "hwm")
        stop = self._trail_stop(listing, order.side, extra.trail_price, extra.trail_percent, best)
        if stop != order.stop:
            self._desk.amend(order.account, order.order, stop=stop)

    def trail_changed(self, order: DeskOrder, trail: str) -> str:
        """PATCH of the trail; gives the stop price that follows from it."""
        extra = extra_of(order)
        if not extra.trail_price and not extra.trail_percent:
            raise refuse(422, 40010001, "only trailing stop orders have a trail")
        if extra.trail_price:
            extra.trail_price = trail
        else:
            extra.trail_percent = trail
        best = scaled(extra.hwm, order.listing.price_decimals, "hwm")
        return self._trail_stop(order.listing, order.side, extra.trail_price, extra.trail_percent, best)

    # --- changes from outside ---------------------------------------------------------------------------------------

    def replaced(self, old: DeskOrder, new: DeskOrder) -> None:
        """An order has been replaced: the new one stands where it stood."""
        group = self._groups.pop(old.order, None)
        if group is not None:
            self._groups[new.order] = group
            if group.parent is old:
                group.parent = new
            if group.resting is old:
                group.resting = new
            for held in (group.profit, group.loss):
                if held is not None and held.order is old:
                    held.order = new
        trailing = self._trailing.get(old.listing.number, [])
        if old in trailing:
            trailing[trailing.index(old)] = new

    def cancel_held(self, account: DeskAccount, ident: str) -> bool:
        """Cancel a leg that is held; the take profit beside it goes too. False when there is no such leg."""
        held = self.held(account, ident)
        if held is None or held.state != "held":
            return False
        group = self._groups[ident]
        held.state = "canceled"
        self._unwatch(group)
        if group.resting is not None and group.resting.open:
            self._desk.cancel(account, group.resting.order)
        return True


__all__ = ["Advanced", "Extra", "Held"]
