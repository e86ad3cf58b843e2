"""Order requests of a served Alpaca: what is asked, checked as Alpaca checks it, with its codes and words.

Checks come in this order: the body, the fields, the asset, the price, the client id, opposite orders of the same
account, then the desk's own (quantity available, buying power, the exchange).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from nanotick.core.records import OrderType, RejectReason
from nanotick.venues.alpaca.bodies import error
from nanotick.venues.desk import Desk
from nanotick.venues.desk_accounts import DeskAccount
from nanotick.venues.desk_orders import DeskOrder
from nanotick.venues.desk_terms import Listing, Refusal
from nanotick.wire.alpaca_trading import _TIF_OF, _TYPE_OF
from nanotick.wire.json_text import WireError, places, scaled
from nanotick.wire.requests import Entry, Response

MAX_CLIENT_ID = 128
_PENNY = 1  # dollars: from here on prices have two decimals, below four
_MARKET, _LIMIT = int(OrderType.MARKET), int(OrderType.LIMIT)
_STOP, _STOP_LIMIT = int(OrderType.STOP), int(OrderType.STOP_LIMIT)
_CLASSES = ("", "simple", "bracket", "oco", "oto")
_SIDES = {"buy": 1, "sell": -1}
ABSENT = msgspec.Raw(b"")  # known by identity: most fields of most orders are
_PLAIN = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")
_FIELD, _VALUE, _FORBIDDEN, _ABSENT = 40010001, 42210000, 40310000, 40410000


class Leg(msgspec.Struct):
    """Prices of a take profit or a stop loss."""

    limit_price: msgspec.Raw = ABSENT
    stop_price: msgspec.Raw = ABSENT


class Wanted(msgspec.Struct):
    """The body of POST /v2/orders."""

    symbol: str | None = None
    qty: msgspec.Raw = ABSENT
    notional: msgspec.Raw = ABSENT
    side: str | None = None
    type: str | None = None
    time_in_force: str | None = None
    limit_price: msgspec.Raw = ABSENT
    stop_price: msgspec.Raw = ABSENT
    trail_price: msgspec.Raw = ABSENT
    trail_percent: msgspec.Raw = ABSENT
    extended_hours: bool | None = None
    client_order_id: str | None = None
    order_class: str | None = None
    take_profit: Leg | None = None
    stop_loss: Leg | None = None


class Changes(msgspec.Struct):
    """The body of PATCH /v2/orders/{id}."""

    qty: msgspec.Raw = ABSENT
    limit_price: msgspec.Raw = ABSENT
    stop_price: msgspec.Raw = ABSENT
    trail: msgspec.Raw = ABSENT
    time_in_force: str | None = None
    client_order_id: str | None = None


_WANTED, _CHANGES = msgspec.json.Decoder(Wanted), msgspec.json.Decoder(Changes)


@dataclass(slots=True)
class Parsed:
    """A new order, checked as far as its fields go."""

    entry: Entry
    order_class: str
    extended: bool
    trail_price: str = ""
    trail_percent: str = ""
    profit: str = ""  # limit price of the take profit
    loss: str = ""  # stop price of the stop loss
    loss_limit: str = ""


class Refused(Exception):
    """An answer that ends the request."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def refuse(status: int, code: int, message: str, **more: Any) -> Refused:
    """What to raise."""
    return Refused(error(status, code, message, **more))


def number(value: msgspec.Raw, name: str) -> str:
    """Digits of a number that came as a JSON number or as text; empty where there is none, or null."""
    if value is ABSENT:
        return ""
    text = bytes(value)
    if text == b"null":
        return ""
    found = (text[1:-1] if text[:1] == b'"' else text).decode("ascii", "replace")
    if _PLAIN.fullmatch(found):
        return found
    try:
        places(found, name)
    except WireError:
        raise refuse(422, _FIELD, f"invalid {name}") from None
    return found


def positive(value: msgspec.Raw, name: str, words: str) -> str:
    """As `number`, above 0."""
    if value is ABSENT:
        return ""
    found = number(value, name)
    if found and (found.startswith("-") or not found.partition("e")[0].strip("0.")):
        raise refuse(422, _FIELD, f"{words} must be > 0")
    return found


def decode(data: bytes, decoder: Any) -> Any:
    """A body; the fields have the right JSON types."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as fault:
        raise refuse(422, _FIELD, f"invalid request body: {fault}") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise refuse(400, 40010000, "request body format is invalid") from None


def check_penny(price: str, name: str) -> None:
    """No price is finer than a cent, nor than a hundredth of one below a dollar (Reg NMS rule 612)."""
    if not price or "." not in price:
        return
    finest = 2 if Decimal(price) >= _PENNY else 4
    if places(price) > finest:
        raise refuse(
            422, _VALUE, f"invalid {name} {price}. sub-penny increment does not fulfill minimum pricing criteria"
        )


def parse_order(desk: Desk, data: bytes) -> Parsed:
    """What POST /v2/orders asks for.

    Raises
    ------
    Refused
    """
    wanted: Wanted = decode(data, _WANTED)
    if not wanted.symbol:
        raise refuse(422, _FIELD, "symbol is required")
    if not wanted.side:
        raise refuse(422, _FIELD, "side is required")
    side = _SIDES.get(wanted.side)
    if side is None:
        raise refuse(422, _FIELD, "invalid side")
    order_class = wanted.order_class or ""
    if order_class not in _CLASSES:
        raise refuse(422, _FIELD, "invalid order_class")
    kind = wanted.type or ("limit" if order_class == "oco" else "")
    if not kind:
        raise refuse(422, _FIELD, "type is required")
    trailing = kind == "trailing_stop"
    order_type = _STOP if trailing else _TYPE_OF.get(kind)
    if order_type is None:
        raise refuse(422, _FIELD, "invalid order type")
    tif = _TIF_OF.get(wanted.time_in_force or "")
    if tif is None:
        raise refuse(422, _FIELD, "invalid time_in_force" if wanted.time_in_force else "time_in_force is required")
    qty, notional = positive(wanted.qty, "qty", "qty"), positive(wanted.notional, "notional", "notional")
    if not qty and not notional:
        raise refuse(422, _FIELD, "qty or notional is required")
    if qty and notional:
        raise refuse(422, _FIELD, "only one of qty or notional is accepted")
    price = positive(wanted.limit_price, "limit_price", "limit price")
    stop = positive(wanted.stop_price, "stop_price", "stop price")
    trail_price = positive(wanted.trail_price, "trail_price", "trail price")
    trail_percent = positive(wanted.trail_percent, "trail_percent", "trail percent")
    profit = wanted.take_profit.limit_price if wanted.take_profit is not None else ABSENT
    loss = wanted.stop_loss if wanted.stop_loss is not None else Leg()
    parsed = Parsed(
        Entry(wanted.symbol, wanted.client_order_id or "", side, qty, price, stop, order_type, tif),
        "" if order_class == "simple" else order_class,
        wanted.extended_hours is True,
        trail_price,
        trail_percent,
        positive(profit, "take_profit.limit_price", "take_profit.limit_price"),
        positive(loss.stop_price, "stop_loss.stop_price", "stop_loss.stop_price"),
        positive(loss.limit_price, "stop_loss.limit_price", "stop_loss.limit_price"),
    )
    _check_prices(parsed, trailing)
    if len(parsed.entry.client) > MAX_CLIENT_ID:
        raise refuse(422, _FIELD, f"client_order_id must be no more than {MAX_CLIENT_ID} characters")
    listing = desk.listings.get(wanted.symbol)
    if listing is None:
        raise refuse(422, _VALUE, f'asset "{wanted.symbol[:32]}" not found')
    if notional or not _whole(qty, listing.qty_decimals):
        raise refuse(403, _FORBIDDEN, f'asset "{wanted.symbol}" is not fractionable')
    check_penny(price, "limit_price")
    check_penny(stop, "stop_price")
    if trail_price or parsed.order_class:
        check_penny(trail_price, "trail_price")
        check_penny(parsed.profit, "take_profit.limit_price")
        check_penny(parsed.loss, "stop_loss.stop_price")
        check_penny(parsed.loss_limit, "stop_loss.limit_price")
    return parsed


def _whole(qty: str, decimals: int) -> bool:
    """Whether a quantity has no more decimal places than its asset."""
    return qty.isdigit() or places(qty) <= decimals


def _check_prices(parsed: Parsed, trailing: bool) -> None:
    """Which prices a type needs and has not."""
    entry = parsed.entry
    kind, price, stop = entry.order_type, entry.price, entry.stop
    if kind == _LIMIT and not price and parsed.order_class != "oco":
        raise refuse(422, _FIELD, "limit orders require limit price")
    if kind == _LIMIT and stop:
        raise refuse(422, _FIELD, "limit orders require only limit price")
    if kind == _MARKET and (price or stop):
        raise refuse(422, _FIELD, "market orders require no stop or limit price")
    if kind == _STOP and not trailing and (not stop or price):
        raise refuse(
            422, _FIELD, "stop orders require stop price" if not stop else "stop orders require no limit price"
        )
    if kind == _STOP_LIMIT and (not stop or not price):
        raise refuse(422, _FIELD, "stop limit orders require both stop and limit price")
    if trailing and bool(parsed.trail_price) == bool(parsed.trail_percent):
        raise refuse(422, _FIELD, "trailing stop orders must specify one of trail_price or trail_percent")
    if trailing and (price or stop):
        raise refuse(422, _FIELD, "trailing stop orders must not specify limit_price or stop_price")
    if not trailing and (parsed.trail_price or parsed.trail_percent):
        raise refuse(422, _FIELD, "only trailing stop orders may specify trail_price or trail_percent")
    if kind in (_STOP, _STOP_LIMIT) and entry.tif not in (0, 1):
        raise refuse(422, _FIELD, "stop orders must be day or gtc")
    if parsed.extended and kind != _LIMIT:
        raise refuse(422, _FIELD, 'only type="limit" is allowed for extended hours orders')
    if parsed.extended and entry.tif not in (0, 1):
        raise refuse(422, _FIELD, "extended hours orders must be day or gtc")
    _check_class(parsed, trailing)


def _check_class(parsed: Parsed, trailing: bool) -> None:
    name, entry = parsed.order_class, parsed.entry
    if not name:
        if parsed.profit or parsed.loss:
            raise refuse(422, _FIELD, "take_profit and stop_loss require an order_class")
        return
    if entry.tif not in (0, 1):
        raise refuse(422, _FIELD, f"{name} orders must be day or gtc")
    if trailing or entry.order_type not in (_MARKET, _LIMIT):
        raise refuse(422, _FIELD, f"{name} orders must be entered with a market or limit order")
    if name in ("bracket", "oco") and not parsed.profit and not (name == "oco" and entry.price):
        raise refuse(422, _FIELD, f"{name} orders require take_profit.limit_price")
    if name in ("bracket", "oco") and not parsed.loss:
        raise refuse(422, _FIELD, f"{name} orders require stop_loss.stop_price")
    if name == "oto" and bool(parsed.profit) == bool(parsed.loss):
        raise refuse(422, _FIELD, "oto orders require one of take_profit or stop_loss")
    if name == "oco" and entry.order_type != _LIMIT:
        raise refuse(422, _FIELD, "oco orders must be limit orders")
    profit, loss = parsed.profit or (entry.price if name == "oco" else ""), parsed.loss
    exit_side = entry.side if name == "oco" else -entry.side
    if profit and loss and (Decimal(profit) - Decimal(loss)) * -exit_side <= 0:
        above = "higher" if exit_side < 0 else "lower"
        raise refuse(422, _FIELD, f"take_profit.limit_price must be {above} than stop_loss.stop_price")


def check_stop(desk: Desk, listing: Listing, side: int, stop: str) -> None:
    """A stop has to lie beyond the market."""
    now = desk.mark(listing.number)
    wanted = scaled(stop, listing.price_decimals, "stop_price")
    if (wanted - now) * side <= 0:
        way = "greater" if side > 0 else "less"
        raise refuse(
            422, _VALUE, f"stop price must be {way} than current price",
            market_price=listing.price_text(now), stop_price=stop,
        )  # fmt: skip


def check_wash(account: DeskAccount, entry: Entry) -> None:
    """No order that might trade with one of the same account (Alpaca's wash trade protection)."""
    others = account.open_by.get((entry.symbol, -entry.side))
    if not others:
        return
    for other in others.values():
        if other.order_type in (_MARKET, _STOP):
            kind = "market/stop"
        elif entry.order_type in (_MARKET, _STOP) or (Decimal(entry.price) - Decimal(other.price)) * entry.side >= 0:
            kind = "limit"
        else:
            continue
        raise refuse(
            403, _FORBIDDEN, "potential wash trade detected. use complex orders", existing_order_id=other.order,
            reject_reason=f"opposite side {kind} order exists",
        )  # fmt: skip


def refused_by_desk(refusal: Refusal, account: DeskAccount, listing: Listing | None) -> Response:
    """The desk's refusal of an order in Alpaca's words."""
    reason = refusal.reason
    if refusal.asset == "buying power":
        return error(
            403, _FORBIDDEN, "insufficient buying power", buying_power=refusal.available, cost_basis=refusal.needed
        )
    if reason == RejectReason.LIMIT_REACHED and listing is not None:
        ledger: Any = account.ledger
        held = abs(ledger.held(listing.number))
        away = held - ledger.available(listing.number)
        side = -1 if ledger.held(listing.number) > 0 else 1
        return error(
            403, _FORBIDDEN, refusal.words, symbol=listing.symbol, available=refusal.available,
            existing_qty=listing.qty_text(held), held_for_orders=listing.qty_text(away),
            related_orders=list(account.open_by.get((listing.symbol, side), ())),
        )  # fmt: skip
    if reason == RejectReason.BLOCKED:
        words = refusal.words if "short" in refusal.words else "new orders are rejected by user request"
        return error(403, _FORBIDDEN, words)
    if reason == RejectReason.DUPLICATE_ID:
        return error(422, _FIELD, "client_order_id must be unique")
    if reason in (RejectReason.MARKET_CLOSED, RejectReason.HALTED):
        return error(403, _FORBIDDEN, "market is not open")
    return error(422, _VALUE, refusal.words)


def parse_changes(data: bytes, order: DeskOrder) -> tuple[str, str, str, str, str]:
    """What PATCH asks for: quantity, limit price, stop price, trail, client id; empty what stays.

    Raises
    ------
    Refused
    """
    changes: Changes = decode(data, _CHANGES)
    qty = positive(changes.qty, "qty", "qty")
    price = positive(changes.limit_price, "limit_price", "limit price")
    stop = positive(changes.stop_price, "stop_price", "stop price")
    trail = positive(changes.trail, "trail", "trail")
    if price and order.order_type not in (_LIMIT, _STOP_LIMIT):
        raise refuse(422, _FIELD, "only limit and stop limit orders have a limit price")
    if stop and (order.order_type not in (_STOP, _STOP_LIMIT)):
        raise refuse(422, _FIELD, "only stop and stop limit orders have a stop price")
    if changes.time_in_force is not None and _TIF_OF.get(changes.time_in_force) != order.tif:
        raise refuse(422, _VALUE, "time_in_force of an order cannot be replaced here")
    check_penny(price, "limit_price")
    check_penny(stop, "stop_price")
    if qty and not _whole(qty, order.listing.qty_decimals):
        raise refuse(403, _FORBIDDEN, f'asset "{order.symbol}" is not fractionable')
    client = changes.client_order_id or ""
    if len(client) > MAX_CLIENT_ID:
        raise refuse(422, _FIELD, f"client_order_id must be no more than {MAX_CLIENT_ID} characters")
    return qty, price, stop, trail, client
