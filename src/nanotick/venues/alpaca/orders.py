"""What a served Alpaca does with orders: submit, list, find, replace, cancel, close positions."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from nanotick.core.records import OrderType, TimeInForce
from nanotick.venues.alpaca.bodies import error, extra_of, good, identity, order_body
from nanotick.venues.alpaca.requests import (
    check_stop,
    check_wash,
    parse_changes,
    parse_order,
    refuse,
    refused_by_desk,
)
from nanotick.venues.desk_accounts import DeskAccount, MarginLedger
from nanotick.venues.desk_orders import DeskOrder
from nanotick.venues.desk_terms import Listing, Refusal
from nanotick.wire.json_text import WireError, rfc3339_ns
from nanotick.wire.requests import AT_OPEN, Entry, Response

if TYPE_CHECKING:
    from nanotick.venues.alpaca.server import AlpacaSite

LIST_DEFAULT, LIST_MOST = 50, 500
_MARKET, _STOP, _STOP_LIMIT = int(OrderType.MARKET), int(OrderType.STOP), int(OrderType.STOP_LIMIT)
_DAY = int(TimeInForce.DAY)


def submit(site: AlpacaSite, account: DeskAccount, body: bytes) -> Response:
    """POST /v2/orders. The answer shows the order as it was taken in; what became of it comes over the stream."""
    desk = site.desk
    parsed = parse_order(desk, body)
    entry = parsed.entry
    listing = desk.listings[entry.symbol]
    if not entry.client:
        entry.client = identity("client", account.number, account.last_number, len(account.orders))
    if account.terms.blocked:
        raise refuse(403, 40310000, "new orders are rejected by user request")
    if entry.tif == AT_OPEN and site.desk.market.is_open:
        raise refuse(403, 40310000, "opg orders are not accepted while the market is open")
    if parsed.order_class or parsed.trail_price or parsed.trail_percent:
        return site.advanced.submit(account, parsed)
    if entry.order_type in (_STOP, _STOP_LIMIT):
        check_stop(desk, listing, entry.side, entry.stop)
    check_wash(account, entry)
    taken = desk.enter(account, entry)
    if isinstance(taken, Refusal):
        return refused_by_desk(taken, account, listing)
    if parsed.extended:
        extra_of(taken).extended = True
    return good(as_taken(taken))


def as_taken(order: DeskOrder) -> dict[str, Any]:
    """An order before anything has come of it."""
    body = order_body(order)
    body["status"], body["filled_qty"], body["filled_avg_price"] = "pending_new", "0", None
    body["updated_at"] = body["created_at"]
    for name in ("filled_at", "canceled_at", "expired_at"):
        body[name] = None
    return body


def _find(account: DeskAccount, ident: str) -> DeskOrder:
    found = account.orders.get(ident)
    if found is None:
        raise refuse(404, 40410000, f"order not found for {ident[:64]}")
    return found


def one(site: AlpacaSite, account: DeskAccount, ident: str) -> Response:
    """GET /v2/orders/{id}."""
    held = site.advanced.held(account, ident)
    return good(order_body(_find(account, ident)) if held is None else held.body())


def by_client(site: AlpacaSite, account: DeskAccount, asked: dict[str, str]) -> Response:
    """GET /v2/orders:by_client_order_id."""
    client = asked.get("client_order_id", "")
    if not client:
        raise refuse(422, 40010001, "client_order_id is required")
    found = account.clients.get(client)
    if found is None:
        raise refuse(404, 40410000, f"order not found for {client[:64]}")
    return good(order_body(found))


def moment(text: str, name: str) -> int:
    """ns UTC of a time in a query: RFC 3339, or a date.

    Raises
    ------
    Refused
    """
    try:
        return rfc3339_ns(text, name)
    except WireError:
        pass
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise refuse(422, 40010001, f"invalid {name}") from None
    return int(Decimal(str(found.timestamp() if found.tzinfo else _utc(found))) * 10**9)


def _utc(found: datetime) -> float:
    return found.replace(tzinfo=UTC).timestamp()


def whole(asked: dict[str, str], name: str, default: int, most: int) -> int:
    """A count in a query."""
    text = asked.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or int(text[:9]) < 1:
        raise refuse(422, 40010001, f"invalid {name}")
    return min(int(text[:9]), most)


def listing(account: DeskAccount, asked: dict[str, str]) -> Response:
    """GET /v2/orders: status, limit, after and until (exclusive), direction, symbols, side, nested."""
    status = asked.get("status", "open")
    if status not in ("open", "closed", "all"):
        raise refuse(422, 40010001, "invalid status")
    direction = asked.get("direction", "desc")
    if direction not in ("asc", "desc"):
        raise refuse(422, 40010001, "invalid direction")
    limit = whole(asked, "limit", LIST_DEFAULT, LIST_MOST)
    after = moment(asked["after"], "after") if asked.get("after") else 0
    until = moment(asked["until"], "until") if asked.get("until") else 1 << 62
    symbols = set(asked["symbols"].upper().split(",")) if asked.get("symbols") else None
    side = {"buy": 1, "sell": -1}.get(asked.get("side", ""), 0)
    nested = asked.get("nested", "").lower() == "true"
    held = account.open if status == "open" else account.orders
    found = []
    for order in held.values() if direction == "asc" else reversed(held.values()):
        if status == "closed" and order.open:
            continue
        if not after < order.created_ns < until or (symbols is not None and order.symbol not in symbols):
            continue
        if side and order.side != side:
            continue
        if nested and order.tag is not None and order.tag.parent is not None:
            continue
        found.append(order_body(order, nested))
        if len(found) == limit:
            break
    return good(found)


def cancel(site: AlpacaSite, account: DeskAccount, ident: str) -> Response:
    """DELETE /v2/orders/{id}."""
    order = account.orders.get(ident)
    if order is None and site.advanced.cancel_held(account, ident):
        return Response(204)
    order = _find(account, ident)
    done = site.desk.cancel(account, ident)
    if isinstance(done, Refusal):
        return error(422, 42210000, f'order is already in "{order.state}" state')
    return Response(204)


def cancel_all(site: AlpacaSite, account: DeskAccount) -> Response:
    """DELETE /v2/orders: a status for each that was open."""
    done = []
    for ident in list(account.open):
        order = account.orders[ident]
        if not order.open:
            continue  # ended with another
        response = cancel(site, account, ident)
        status = 200 if response.status == 204 else 500
        done.append({"id": ident, "status": status, "body": order_body(order)})
    return good(done, 207)


def change(site: AlpacaSite, account: DeskAccount, ident: str, body: bytes) -> Response:
    """PATCH /v2/orders/{id}: another order takes its place."""
    order = _find(account, ident)
    qty, price, stop, trail, client = parse_changes(body, order)
    if not order.open:
        if order.replaced_by:
            raise refuse(422, 42210000, "order already replaced; cannot replace order again")
        raise refuse(422, 42210000, f"cannot replace order in {order.state} status")
    unchanged = (
        (not qty or Decimal(qty) == Decimal(order.qty))
        and (not price or Decimal(price) == Decimal(order.price))
        and (not stop or Decimal(stop) == Decimal(order.stop))
    )
    if unchanged and not trail:
        raise refuse(422, 42210000, "order parameters are not changed")
    if qty and Decimal(qty) <= Decimal(order.filled):
        raise refuse(422, 42210000, "qty must be > filled_qty")
    if stop:
        check_stop(site.desk, order.listing, order.side, stop)
    if trail:
        stop = site.advanced.trail_changed(order, trail)
    if not client:
        client = identity("client", account.number, "replace", order.order)
    done = site.desk.amend(account, ident, qty=qty, price=price, stop=stop, renew=True, new_client=client)
    if isinstance(done, Refusal):
        return refused_by_desk(done, account, order.listing)
    site.advanced.replaced(order, done)
    taken = as_taken(done)
    taken["filled_qty"] = order.filled
    return good(taken)


# --- closing positions ------------------------------------------------------------------------------------------------


def _position(site: AlpacaSite, account: DeskAccount, name: str) -> tuple[MarginLedger, Listing]:
    from nanotick.venues.alpaca.reading import listing_of

    ledger = account.ledger
    assert isinstance(ledger, MarginLedger)
    found = listing_of(site.desk, name)
    if found is None or not ledger.held(found.number):
        raise refuse(404, 40410000, "position does not exist")
    return ledger, found


def _close(site: AlpacaSite, account: DeskAccount, listing: Listing, side: int, qty: str) -> DeskOrder | Response:
    client = identity("close", account.number, listing.symbol, account.last_number)
    entry = Entry(listing.symbol, client, side, qty, order_type=_MARKET, tif=_DAY)
    done = site.desk.enter(account, entry)
    return refused_by_desk(done, account, listing) if isinstance(done, Refusal) else done


def close(site: AlpacaSite, account: DeskAccount, name: str, asked: dict[str, str]) -> Response:
    """DELETE /v2/positions/{symbol}: a market order against all of it, or `qty` or `percentage` of it."""
    ledger, listing = _position(site, account, name)
    held = ledger.held(listing.number)
    qty = listing.qty_text(abs(held))
    try:
        if asked.get("qty"):
            qty = f"{Decimal(asked['qty']):f}"
        elif asked.get("percentage"):
            share = Decimal(asked["percentage"])
            if not 0 < share <= 100:
                raise refuse(422, 40010001, "percentage must be between 0 and 100")
            qty = listing.qty_text(int(abs(held) * share / 100))
    except ArithmeticError:
        raise refuse(422, 40010001, "invalid qty or percentage") from None
    done = _close(site, account, listing, -1 if held > 0 else 1, qty)
    return done if isinstance(done, Response) else good(as_taken(done))


def close_all(site: AlpacaSite, account: DeskAccount, asked: dict[str, str]) -> Response:
    """DELETE /v2/positions, with `cancel_orders`."""
    if asked.get("cancel_orders", "").lower() == "true":
        cancel_all(site, account)
    ledger = account.ledger
    assert isinstance(ledger, MarginLedger)
    rows: list[dict[str, Any]] = []
    for number in list(ledger.positions):
        listing = site.desk.by_number[number]
        held = ledger.held(number)
        done = _close(site, account, listing, -1 if held > 0 else 1, listing.qty_text(abs(held)))
        if isinstance(done, Response):
            rows.append({"symbol": listing.symbol, "status": done.status, "body": msgspec.json.decode(done.body)})
        else:
            rows.append({"symbol": listing.symbol, "status": 200, "body": as_taken(done)})
    return good(rows, 207)
