"""What Binance says about our orders and account: user data events, replies of the WebSocket API, REST bodies.

A cancel's own client id is in `c` and the order's in `C`. Fills are told apart by the trade id `t`, unique in a symbol.
A replace arrives as CANCELED (of the old order, by a cancel whose id starts with `.`) and NEW (of the new one, whose id
has a revision); `UserEvents` makes REPLACED of the pair, its total being what the old order had filled plus the new
order's quantity. Source: binance-spot-api-docs, user-data-stream.md, web-socket-api.md, errors.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nanotick.core.records import CancelReason, Kind, OrderType, RejectReason, ReportFlag, TimeInForce
from nanotick.wire import fields
from nanotick.wire.binance_orders import REPLACING
from nanotick.wire.client_ids import WIDTH
from nanotick.wire.json_text import WireError, decode, epoch_ns, scaled
from nanotick.wire.messages import Other
from nanotick.wire.reports import (
    ALL_OF_IT,
    Balance,
    OrderStatus,
    Outcome,
    Private,
    Reply,
    Report,
    Used,
    cancel_reason,
    http_outcome,
)
from nanotick.wire.requests import number_text

_PLACES = 8
OPEN_STATES = frozenset(("NEW", "PENDING_NEW", "PARTIALLY_FILLED", "PENDING_CANCEL"))
_TYPES = {
    "LIMIT": OrderType.LIMIT, "LIMIT_MAKER": OrderType.LIMIT, "MARKET": OrderType.MARKET, "STOP_LOSS": OrderType.STOP,
    "STOP_LOSS_LIMIT": OrderType.STOP_LIMIT, "TAKE_PROFIT": OrderType.STOP, "TAKE_PROFIT_LIMIT": OrderType.STOP_LIMIT,
}  # fmt: skip
_TIFS = {"GTC": TimeInForce.GTC, "IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK}
_QUIET = frozenset(
    "listStatus balanceUpdate eventStreamTerminated externalLockUpdate serverShutdown listenKeyExpired".split()
)
_LIMITED = frozenset((-1003, -1008, -1015, -1034))
_UNKNOWN = frozenset((-1000, -1001, -1006, -1007))
_DENIED = frozenset((-1002, -1021, -1022, -2014, -2015))
_WORDS = (
    ("duplicate order", RejectReason.DUPLICATE_ID),
    ("immediately match", RejectReason.POST_ONLY_WOULD_CROSS),
    ("unknown order", RejectReason.UNKNOWN_ORDER),
    ("market is closed", RejectReason.MARKET_CLOSED),
    ("percent_price", RejectReason.INVALID_PRICE),
    ("price_filter", RejectReason.INVALID_PRICE),
    ("lot_size", RejectReason.INVALID_QUANTITY),
    ("notional", RejectReason.INVALID_QUANTITY),
    ("'price'", RejectReason.INVALID_PRICE),
    ("'stopprice'", RejectReason.INVALID_PRICE),
    ("'quantity'", RejectReason.INVALID_QUANTITY),
)


def refusal(code: int, text: str) -> tuple[Outcome, RejectReason]:
    """What an error code and its words mean for the request."""
    if code in _UNKNOWN:
        return Outcome.UNKNOWN, RejectReason.OTHER
    if code in _LIMITED:
        return Outcome.LIMITED, RejectReason.OTHER
    if code in _DENIED:
        return Outcome.DENIED, RejectReason.OTHER
    if code in (-2013, -2026):
        return Outcome.REFUSED, RejectReason.UNKNOWN_ORDER
    words = text.lower()
    for needle, reason in _WORDS:
        if needle in words:
            return Outcome.REFUSED, reason
    if code == -1112:
        return Outcome.REFUSED, RejectReason.NO_LIQUIDITY
    return Outcome.REFUSED, RejectReason.TOO_LATE if code == -2011 else RejectReason.OTHER


def code_of(item: dict[str, Any]) -> int:
    """The error code of a body, 0 if none."""
    value = item.get("code")
    return int(value) if isinstance(value, str) and value.lstrip("-").isdigit() and len(value) < 8 else 0


def _left(total: str, done: str) -> str:
    return number_text(max(0, scaled(total, _PLACES, "q") - scaled(done, _PLACES, "z")), _PLACES)


def _ended(kind: str, tif: str, order_type: str) -> tuple[int, int]:
    """Kind and reason of an order that ended: the venue's EXPIRED covers what may not rest, too."""
    if kind == "EXPIRED":
        if tif == "FOK" or tif == "IOC":
            return int(Kind.CANCELLED), cancel_reason(tif == "IOC", tif == "FOK")
        if order_type == "MARKET":
            return int(Kind.CANCELLED), int(CancelReason.NO_LIQUIDITY)
        return int(Kind.EXPIRED), 0
    return int(Kind.CANCELLED), int(CancelReason.SELF_TRADE if kind != "CANCELED" else CancelReason.USER)


class UserEvents:
    """Decoder of one account's events; remembers what replaced orders had filled."""

    def __init__(self) -> None:
        # by the client id without its revision: what each order that was replaced had filled, at 8 decimals
        self._filled: dict[str, dict[str, int]] = {}

    def decode_frame(self, data: bytes) -> list[Private]:
        """What a frame of the WebSocket API says: an event of the account, or the reply to a request.

        Raises
        ------
        WireError
        """
        return self.decode_message(fields.mapping(decode(data), "message"))

    def decode_message(self, message: dict[str, Any]) -> list[Private]:
        """As `decode_frame`, its JSON decoded already.

        Raises
        ------
        WireError
        """
        if "event" in message:
            return self.event(fields.mapping(message["event"], "event"))
        if "e" in message:
            return self.event(message)
        if "status" in message and "id" in message:
            return _stream_reply(message)
        raise WireError(f"no Binance user message has {fields.keys_of(message)}")

    def event(self, message: dict[str, Any]) -> list[Private]:
        """What an event says, its JSON decoded already.

        Raises
        ------
        WireError
        """
        kind = fields.text(message, "e")
        if kind == "executionReport":
            return [self._execution(message)]
        if kind == "outboundAccountPosition":
            stamp = epoch_ns(fields.whole(message, "u", fields.whole(message, "E")))
            rows = [fields.mapping(row, "B") for row in fields.sequence(message.get("B"), "B")]
            return [
                Balance(fields.text(row, "a"), fields.number(row, "f"), fields.number(row, "l"), stamp) for row in rows
            ]
        return [Other(kind if kind in _QUIET else "unknown")]

    def _execution(self, m: dict[str, Any]) -> Private:
        kind, state = fields.text(m, "x"), fields.text(m, "X")
        original, own = fields.optional_text(m, "C"), fields.optional_text(m, "c")
        report = Report(
            0, fields.text(m, "s"), epoch_ns(fields.whole(m, "T")), original or own,
            str(fields.whole(m, "i")), fields.side(m, "S"), told=kind,
        )  # fmt: skip
        if kind == "TRADE":
            if not scaled(fields.number(m, "l"), _PLACES, "l"):
                return Other("trade without quantity")
            report.client = own or original
            report.kind = int(Kind.FILL)
            report.price, report.qty = fields.number(m, "L"), fields.number(m, "l")
            report.execution = str(fields.whole(m, "t"))
            report.fee, report.fee_asset = fields.optional_number(m, "n"), fields.optional_text(m, "N")
            report.maker = m.get("m") is True
            if state == "FILLED":
                self._filled.pop(report.client[:WIDTH], None)
            return report
        total, done = fields.number(m, "q"), fields.number(m, "z")
        if kind == "NEW":
            if state == "PENDING_NEW":
                return Other("pending new")
            report.client = own or original
            report.price, report.qty = fields.number(m, "p"), total
            base = report.client[:WIDTH]
            if report.client[WIDTH : WIDTH + 1] == "r" and len(report.client) > WIDTH:
                report.kind = int(Kind.REPLACED)
                report.qty = number_text(
                    sum(self._filled.get(base, {}).values()) + scaled(total, _PLACES, "q"), _PLACES
                )
            else:
                report.kind = int(Kind.ACCEPTED)
            return report
        if kind == "REPLACED":
            report.kind, report.price, report.qty = int(Kind.REPLACED), fields.number(m, "p"), total
            return report
        if kind == "REJECTED":
            report.kind, report.client = int(Kind.REJECTED), own or original
            report.detail = fields.optional_text(m, "r")
            report.reason = int(refusal(0, report.detail.replace("_", " "))[1])
            return report
        if kind in ("CANCELED", "EXPIRED", "TRADE_PREVENTION"):
            if kind == "TRADE_PREVENTION" and state != "EXPIRED_IN_MATCH":
                report.kind = int(Kind.UNKNOWN)  # part of it was taken off: only asking tells how much is left
                return report
            if own.startswith(REPLACING) and own[1:] == original:
                self._filled.setdefault(original[:WIDTH], {})[original] = scaled(done, _PLACES, "z")
                return Other("cancel of a replace")
            self._filled.pop(report.client[:WIDTH], None)
            report.kind, report.reason = _ended(kind, fields.optional_text(m, "f"), fields.optional_text(m, "o"))
            report.qty = _left(total, done)
            return report
        return Other("unknown")


def _used(message: dict[str, Any]) -> tuple[Used, ...]:
    seconds = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400}
    rows = message.get("rateLimits")
    found = []
    for row in rows if isinstance(rows, list) else []:
        row = fields.mapping(row, "rateLimits")
        interval = seconds.get(str(row.get("interval")), 1) * fields.whole(row, "intervalNum", 1)
        found.append(
            Used(
                fields.optional_text(row, "rateLimitType"),
                interval,
                fields.whole(row, "limit"),
                fields.whole(row, "count", 0),
            )
        )
    return tuple(found)


def used_of_headers(headers: Iterable[tuple[str, str]]) -> tuple[Used, ...]:
    """Rate limits used up, from the headers of a REST answer (`X-MBX-USED-WEIGHT-1M`, `X-MBX-ORDER-COUNT-10S`).

    Limits themselves are in exchangeInfo; they are 0 here.
    """
    seconds = {"S": 1, "M": 60, "H": 3600, "D": 86400}
    kinds = {"X-MBX-USED-WEIGHT-": "REQUEST_WEIGHT", "X-MBX-ORDER-COUNT-": "ORDERS"}
    found = []
    for name, value in headers:
        for prefix, kind in kinds.items():
            interval = name.upper().removeprefix(prefix)
            if interval == name.upper() or interval[-1:] not in seconds or not (interval[:-1] + value).isdigit():
                continue
            if 0 < len(interval) <= 4 and len(value) <= 12 and interval[:-1]:
                found.append(Used(kind, int(interval[:-1]) * seconds[interval[-1]], 0, int(value)))
    return tuple(found)


def _error_reply(request: str, item: dict[str, Any], status: int) -> list[Private]:
    code, text = code_of(item), fields.optional_text(item, "msg")
    outcome, reason = refusal(code, text)
    if status >= 500 or (code == 0 and status == 0):
        outcome = Outcome.UNKNOWN
    elif status in (418, 429):
        outcome = Outcome.LIMITED
    reply = Reply(request, outcome, reason, str(code), text)
    data = item.get("data")
    if isinstance(data, dict):
        if "retryAfter" in data:
            reply.retry_ns, reply.retry_absolute = epoch_ns(fields.whole(data, "retryAfter")), True
        if data.get("cancelResult") == "SUCCESS" and data.get("newOrderResult") == "FAILURE":
            return [reply, *_half_replaced(data)]
        if data.get("cancelResult") == "FAILURE":
            inner = data.get("cancelResponse")
            if isinstance(inner, dict):
                reply.outcome, reply.reason = refusal(code_of(inner), fields.optional_text(inner, "msg"))
    return [reply]


def _half_replaced(data: dict[str, Any]) -> list[Private]:
    """The old order is cancelled and the new one was refused: the replace failed and nothing is left."""
    cancelled = fields.mapping(data.get("cancelResponse"), "cancelResponse")
    reports = _order_result(cancelled)
    first = reports[0] if reports else None
    if not isinstance(first, Report):
        return reports
    refused = Report(int(Kind.CANCEL_REJECTED), first.symbol, first.ts_venue, first.client, first.order, first.side,
                     reason=int(RejectReason.OTHER), flags=int(ReportFlag.OF_REPLACE),
                     told="cancelReplace")  # fmt: skip
    return [refused, first]


def order_status(item: dict[str, Any]) -> OrderStatus:
    """An order as a query shows it.

    Raises
    ------
    WireError
    """
    state = fields.text(item, "status")
    return OrderStatus(
        fields.text(item, "symbol"),
        fields.optional_text(item, "clientOrderId"),
        str(fields.whole(item, "orderId")),
        fields.side(item),
        int(_TYPES.get(str(item.get("type")), -1)),
        int(_TIFS.get(str(item.get("timeInForce")), -1)),
        fields.optional_number(item, "price", ""),
        fields.optional_number(item, "stopPrice", ""),
        fields.number(item, "origQty"),
        fields.number(item, "executedQty"),
        state,
        state in OPEN_STATES,
        epoch_ns(fields.whole(item, "updateTime", fields.whole(item, "time", 0))),
    )


def _order_result(item: dict[str, Any]) -> list[Private]:
    """What the answer to placing or cancelling says of the order."""
    state = item.get("status", "NEW")
    client = fields.optional_text(item, "origClientOrderId") or fields.optional_text(item, "clientOrderId")
    order, symbol = str(fields.whole(item, "orderId")), fields.text(item, "symbol")
    stamp = epoch_ns(fields.whole(item, "transactTime"))
    side = fields.side(item) if "side" in item else 0
    if "origClientOrderId" in item or state in ("CANCELED", "EXPIRED", "EXPIRED_IN_MATCH"):
        if state in OPEN_STATES or state == "FILLED":
            return [Other("order")]
        kind, reason = _ended(str(state), str(item.get("timeInForce")), str(item.get("type")))
        qty = (
            _left(fields.number(item, "origQty"), fields.number(item, "executedQty"))
            if "origQty" in item
            else ALL_OF_IT
        )
        return [Report(kind, symbol, stamp, client, order, side, qty=qty, reason=reason, told="reply")]
    price, qty = fields.optional_number(item, "price"), fields.optional_number(item, "origQty")
    accepted = int(Kind.REJECTED if state == "REJECTED" else Kind.ACCEPTED)
    found: list[Private] = []
    if client[WIDTH : WIDTH + 1] != "r":  # a replaced order's acceptance is told by its event, with the right total
        found.append(Report(accepted, symbol, stamp, client, order, side, price, qty, told="reply"))
    for fill in fields.sequence(item.get("fills") or [], "fills"):
        fill = fields.mapping(fill, "fills")
        found.append(
            Report(
                int(Kind.FILL), symbol, stamp, client, order, side, fields.number(fill, "price"),
                fields.number(fill, "qty"), str(fields.whole(fill, "tradeId")), fields.optional_number(fill,
                    "commission"),
                fields.optional_text(fill, "commissionAsset"), told="reply",
            )
        )  # fmt: skip
    return found


def _body(item: Any) -> list[Private]:
    """What a good answer holds."""
    if isinstance(item, list):
        return [found for one in item for found in _body(one)]
    if not isinstance(item, dict):
        return []
    if "cancelResult" in item:
        return _body(item.get("newOrderResponse"))
    if "orderId" in item and "transactTime" in item:
        return _order_result(item)
    if "orderId" in item and "origQty" in item:
        return [order_status(item)]
    if "isBuyer" in item:
        side = 1 if item["isBuyer"] is True else -1
        return [
            Report(
                int(Kind.FILL), fields.text(item, "symbol"), epoch_ns(fields.whole(item, "time")), "",
                str(fields.whole(item, "orderId")), side, fields.number(item, "price"), fields.number(item, "qty"),
                str(fields.whole(item, "id")), fields.optional_number(item, "commission"),
                fields.optional_text(item, "commissionAsset"), item.get("isMaker") is True, told="myTrades",
            )
        ]  # fmt: skip
    if isinstance(item.get("balances"), list):
        rows = [fields.mapping(row, "balances") for row in item["balances"]]
        return [
            Balance(fields.text(row, "asset"), fields.number(row, "free"), fields.number(row, "locked")) for row in rows
        ]
    return [Other("reply")]


def _stream_reply(message: dict[str, Any]) -> list[Private]:
    request = fields.optional_text(message, "id")
    status = fields.whole(message, "status")
    if status != 200:
        found = _error_reply(request, fields.mapping(message.get("error") or {}, "error"), status)
    else:
        found = [Reply(request, Outcome.DONE, code="200"), *_body(message.get("result"))]
    reply = found[0]
    if isinstance(reply, Reply):
        reply.used = _used(message)
    return found


def decode_reply(status: int, body: bytes, request: str = "", retry_after_s: int = 0) -> list[Private]:
    """What a REST answer says: the reply itself, then what it holds.

    Raises
    ------
    WireError
        The body of a good answer is not what Binance sends.
    """
    if http_outcome(status) != Outcome.DONE:
        try:
            item = decode(body)
        except WireError:
            item = None  # a proxy's page
        if not isinstance(item, dict):
            return [Reply(request, http_outcome(status), code=str(status), retry_ns=retry_after_s * 10**9)]
        found = _error_reply(request, item, status)
        if isinstance(found[0], Reply) and retry_after_s:
            found[0].retry_ns = retry_after_s * 10**9
        return found
    return [Reply(request, Outcome.DONE, code=str(status)), *_body(decode(body) if body else None)]
