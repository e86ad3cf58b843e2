"""Coinbase Advanced Trade: orders over REST, the user channel for what becomes of them.

The user channel tells how much of an order is filled in all, not its fills. A fill is a change of that total, and is
named by the order and the total: told twice it is one fill. The history of fills tells them one by one under other
names, so what it holds is counted up for each order, and only what lies beyond the quantity the engine has booked is
told, under the same kind of name (`told_beyond`). Fills are so booked from the first one on without a gap: one that the
channel tells after another was missed waits for the history.

Orders go by the venue's id: a cancel waits for the answer that brings it, and an order whose answer is lost is looked
for by its client id among the orders since it was sent. A message of the channel that is missing ends the connection.
Source: docs.cdp.coinbase.com, Advanced Trade REST (orders, fills, accounts) and WebSocket (user, heartbeats).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from nanotick.core.records import Kind, RejectReason
from nanotick.core.secret import Secret
from nanotick.venues.backoff import BackoffLimits
from nanotick.venues.coinbase.tokens import Tokens
from nanotick.venues.feed import Conversation, Pace
from nanotick.venues.limiter import RateLimiter, SlidingWindow
from nanotick.venues.private import PrivateStream
from nanotick.venues.rest import RestTrader
from nanotick.venues.spot_balances import SpotBalances, held_of
from nanotick.venues.working import Sent, Working
from nanotick.wire import fields
from nanotick.wire.coinbase_trading import BASE, UserOrders, decode_reply, encode, encode_session
from nanotick.wire.json_text import WireError, decode, rfc3339_text
from nanotick.wire.messages import Notice, Sequence
from nanotick.wire.reports import Balance, OrderStatus, Outcome, Position, Private, Reply, Report, plain
from nanotick.wire.requests import Amend, Asked, Entry, Login, Request, Response, Subscribe

REST = "https://api.coinbase.com"
STREAM = "wss://advanced-trade-ws-user.coinbase.com"
REQUESTS_A_SECOND = 30
_S = 1_000_000_000
_NEW, _CANCEL, _FILL, _REPLACED = int(Kind.NEW), int(Kind.CANCEL), int(Kind.FILL), int(Kind.REPLACED)
_PAGE = 250
_CLOCK_NS = 2 * _S  # that our clock may differ from the venue's more than it did
_BEFORE_NS = 10 * _S  # orders are looked for from so long before they were sent
PACE = Pace(
    ready_ns=15 * _S, dead_ns=15 * _S,  # heartbeats come every second
    backoff=BackoffLimits(floor_ns=_S // 5, base_ns=_S // 2, cap_ns=30 * _S, attempts=60, window_ns=60 * _S),
)  # fmt: skip
Done = Callable[[list[Private] | None], None]


def told_beyond(fills: list[Report], booked: Decimal) -> list[Report]:
    """Fills of one order as the user channel would have told them, as far as they lie beyond what is booked.

    Parameters
    ----------
    fills : list of Report
        All fills of the order, from its first, oldest first.
    booked : Decimal
        Quantity that the engine has booked.
    """
    total, found = Decimal(0), []
    for fill in fills:
        qty = Decimal(fill.qty)
        total += qty
        new = min(qty, total - booked)
        if new <= 0:
            continue
        fee = Decimal(fill.fee or "0") * new / qty
        found.append(
            Report(
                _FILL, fill.symbol, fill.ts_venue, fill.client, fill.order, fill.side, fill.price, plain(new),
                f"{fill.order}:{plain(total)}", plain(fee.quantize(Decimal(1).scaleb(-12))), fill.fee_asset, fill.maker,
                told="fills",
            )
        )  # fmt: skip
    return found


class CoinbaseTrader(RestTrader):
    """One Coinbase account (portfolio) over Advanced Trade; parameters as in `Trader`.

    Parameters
    ----------
    key : str
        Name of the API key.
    secret : Secret
        Its private key in PEM (ES256).
    rest, stream : str
        Addresses.
    """

    name = "coinbase"
    needs_order = True
    TIME = f"{BASE}/time"
    TIME_STEP_NS = 1_000_000

    def __init__(
        self, *args: Any, key: str, secret: Secret, rest: str = REST, stream: str = STREAM, **settings: Any
    ) -> None:
        super().__init__(*args, rest=rest, **settings)
        if settings.get("limiter") is None:
            self.limiter = RateLimiter([SlidingWindow(REQUESTS_A_SECOND, _S, charge="requests")])
        self._tokens = Tokens(self.host, key, secret, self.venue_time)
        self._clock_moved = False  # by the last answer
        self.stream = PrivateStream(self, (stream,), self._decode, self._greet, self._heard, PACE)
        self.balances = SpotBalances(self.instruments, self.venue, self._position, self.config.holdings == "leave")
        self._user = UserOrders()
        self._expected = -1
        self._entries: dict[str, Entry] = {}  # of requests that have no answer
        self.sequence_gaps = 0

    def read_time(self, body: bytes) -> int:
        """As `RestTrader.read_time`."""
        return fields.whole(fields.mapping(decode(body), "time"), "epochMillis") * 1_000_000

    # --- the user channel ---------------------------------------------------------------------------------------------

    def _greet(self, talk: Conversation) -> None:
        self._expected = -1
        for channel in ("heartbeat", "user"):
            login = Login("", proof=self._tokens.token())
            for frame in encode_session(Subscribe(((channel, ""),), login=login)):
                talk.send(frame)

    def _decode(self, data: bytes) -> list[Private | Notice]:
        message = fields.mapping(decode(data), "message")
        if message.get("type") == "error":
            return [Notice("error", fields.optional_text(message, "message"))]
        if "sequence_num" in message:
            number, expected = fields.whole(message, "sequence_num"), self._expected
            if 0 <= expected and number != expected:
                return [Notice("lost", f"number {number} follows {expected - 1}")] if number > expected else []
            self._expected = number + 1
        if message.get("channel") != "user":
            return []
        found: list[Private | Notice] = [
            item for item in self._user.decode_frame(data) if not isinstance(item, Sequence)
        ]
        events = message.get("events")
        first = events[0] if isinstance(events, list) and events else {}
        if isinstance(first, dict) and first.get("type") == "snapshot":
            found.append(Notice("snapshot"))
        return found

    def _heard(self, talk: Conversation, notice: Notice) -> None:
        if notice.status == "lost":
            self.sequence_gaps += 1
            self.stream.fail(talk, f"messages of the user channel are missing: {notice.text}")
        elif notice.status == "error":
            if "auth" in notice.text.lower():
                self._unauthorized(talk, notice.text)
            else:
                self.stream.fail(talk, f"refused: {notice.text}")
        elif notice.status == "snapshot":
            self.stream.authenticated(talk)
            self.stream.live(talk)

    def _unauthorized(self, talk: Conversation, words: str) -> None:
        """Of a token of another time than the venue's it says the same; any answer's head tells which it was."""

        def take(response: Response) -> None:
            self._head(response)
            self.stream.fail(talk, f"refused: {words}", denied=not self._clock_moved)

        self.host.ask(self.rest, Request("GET", f"{BASE}/time"), take)

    def told(self, items: Any, now: int) -> None:
        """As `Trader.told`; of a fill only what the history has not told already."""
        for item in items:
            if isinstance(item, Report) and item.kind == _FILL:
                working = self._of(item)
                if working is not None:
                    self.named(working, item.order, item.client)
                total = Decimal(item.execution.rpartition(":")[2])
                new = total - self._booked(item.order)
                if new <= 0:
                    continue
                if working is not None and new > Decimal(item.qty):
                    # one before it has been missed: the history tells both in their order, for the total names them
                    self.inquire(working, _NEW, True)
                    continue
                new = min(Decimal(item.qty), new)
                item.qty = plain(new)
                if working is not None:  # the change of a rounded average is no price of the instrument's
                    decimals = self.instruments[working.instrument].price_decimals
                    item.price = plain(Decimal(item.price).quantize(Decimal(1).scaleb(-decimals)))
            super().told([item], now)

    # --- requests -----------------------------------------------------------------------------------------------------

    def _transmit(self, asked: Asked, sent: Sent) -> None:
        request = self._tokens.authorize(encode(asked))  # type: ignore[arg-type]
        if isinstance(asked, Entry):
            self._entries[sent.request] = asked
        self.post(request, sent)

    def _head(self, response: Response) -> None:
        before = self.clock_ahead
        super()._head(response)
        self._clock_moved = abs(self.clock_ahead - before) > _CLOCK_NS

    def read(self, response: Response, request: str) -> list[Private]:
        """As `RestTrader.read`; an accepted order's id is told as its state."""
        told = decode_reply(response.status, response.body, request)
        reply = told[0] if told else None
        sent = self._sent.get(request)
        if isinstance(reply, Reply) and reply.outcome == Outcome.DENIED and self._clock_moved:
            # the token was of another time than the venue's: certainly not done, and a cancel is sent again
            self.note("warning", "the venue says that our clock is wrong", ahead_ms=self.clock_ahead // 1_000_000)
            again = sent is not None and sent.kind == _CANCEL
            reply.outcome, reply.retry_ns = (Outcome.LIMITED, _S // 4) if again else (Outcome.REFUSED, 0)
        if isinstance(reply, Reply) and sent is not None:
            if reply.method == "cancel" and len(told) == 1:
                reply.request = request  # a batch names its orders, not the request
            working = sent.working
            entry = self._entries.pop(request, None)
            if reply.outcome == Outcome.DONE and reply.detail and working is not None and entry is not None:
                told.append(
                    OrderStatus(entry.symbol, entry.client, reply.detail, entry.side, entry.order_type, entry.tif,
                                entry.price, entry.stop, entry.qty, "0", "PENDING", True, self.venue_time())
                )  # fmt: skip
        return told

    def _replace_done(self, sent: Sent, told: list[Private], now: int) -> list[Report]:
        """An edit keeps the order; its good answer is all that is said of it."""
        asked, working = sent.amend, sent.working
        if not isinstance(asked, Amend) or working is None:
            return []
        return [
            Report(_REPLACED, working.symbol, self.venue_time(), working.client, working.order, working.side,
                   asked.entry.price, asked.entry.qty)
        ]  # fmt: skip

    def _list(self, path: str, params: dict[str, str], done: Done) -> None:
        """Everything that a list holds, page after page; None if one could not be read."""
        found: list[Private] = []

        def take(response: Response) -> None:
            told = self.told_by(response)
            reply = told[0] if told else None
            if not isinstance(reply, Reply) or reply.outcome != Outcome.DONE or told is None:
                done(None)
                return
            found.extend(told[1:])
            try:
                body = fields.mapping(decode(response.body), "body")
            except WireError:
                body = {}
            cursor = body.get("cursor")
            if isinstance(cursor, str) and cursor and body.get("has_next") is not False and len(told) > 1:
                ask(cursor)
            else:
                done(found)

        def ask(cursor: str) -> None:
            query = urlencode({**params, **({"cursor": cursor} if cursor else {})}, doseq=True)
            request = Request("GET", f"{BASE}{path}" + (f"?{query}" if query else ""))
            self.get(self._tokens.authorize(request), take)

        ask("")

    def query(self, working: Working, client: str, done: Done) -> None:
        """As `Trader.query`: by the venue's id, or looked for among the orders since it was sent."""
        if working.order:
            self.query_order(working.order, done)
            return

        def take(told: list[Private] | None) -> None:
            if told is None:
                done(None)
                return
            same = [item for item in told if isinstance(item, OrderStatus) and item.client == client]
            done([Reply(""), *same])

        since = rfc3339_text(max(0, working.since - _BEFORE_NS))
        self._list("/orders/historical/batch", {"start_date": since, "limit": str(_PAGE)}, take)

    def query_order(self, order: str, done: Done) -> None:
        """As `Trader.query_order`."""

        def take(response: Response) -> None:
            told = self.told_by(response)
            reply = told[0] if told else None
            if isinstance(reply, Reply) and response.status == 404:
                reply.reason = RejectReason.UNKNOWN_ORDER
            done(told)

        self.get(self._tokens.authorize(Request("GET", f"{BASE}/orders/historical/{order}")), take)

    # --- what the account has -----------------------------------------------------------------------------------------

    def fetch_open(self, done: Callable[[list[OrderStatus] | None], None]) -> None:
        """As `Trader.fetch_open`; the venue's filter leaves out orders that are not in the book yet."""

        def take(told: list[Private] | None) -> None:
            done(None if told is None else [item for item in told if isinstance(item, OrderStatus) and item.open])

        self._list("/orders/historical/batch", {"order_status": "OPEN", "limit": str(_PAGE)}, take)

    def fills(self, since: int, done: Callable[[list[Report] | None], None]) -> None:
        """As `Trader.fills`: of each order that has filled since, what is not booked.

        That is known only once all orders are: one that the venue's id does not name yet would be told from its start.
        """

        def take(found: list[Report] | None) -> None:
            if found is None:
                done(None)
                return
            by_order: dict[str, list[Report]] = {}
            for fill in found:
                by_order.setdefault(fill.order, []).append(fill)
            told = []
            for order, fills in by_order.items():
                working = self._by_order.get(order)
                if working is not None and self._engine_order(working.id) is None:
                    continue  # it ended, all of it booked, and the engine has used its place for another
                fills.sort(key=lambda fill: (fill.ts_venue, fill.execution))
                told += told_beyond(fills, self._booked(order))
            done(sorted(told, key=lambda fill: fill.ts_venue))

        super().fills(since, take)

    def fetch_fills(self, since: int, done: Callable[[list[Report] | None], None]) -> None:
        """As `Trader.fetch_fills`: all fills of each order that has filled since."""

        def take(told: list[Private] | None) -> None:
            if told is None:
                done(None)
                return
            orders = list(dict.fromkeys(item.order for item in told if isinstance(item, Report)))
            if not orders:
                done([])
            else:
                self._list("/orders/historical/fills", {"order_ids": orders, "limit": str(_PAGE)}, whole)  # type: ignore[dict-item]

        def whole(told: list[Private] | None) -> None:
            if told is None:
                done(None)
                return
            done([item for item in told if isinstance(item, Report)])

        start = rfc3339_text(max(0, since))
        self._list("/orders/historical/fills", {"start_sequence_timestamp": start, "limit": str(_PAGE)}, take)

    def _booked(self, order: str) -> Decimal:
        """What the engine has booked of an order of ours, by the venue's id."""
        working = self._by_order.get(order)
        row = self._engine_order(working.id) if working is not None else None
        if working is None or row is None:
            return Decimal(0)
        filled = int(row["filled_qty"]) + int(row["busted_qty"])
        return self.instruments[working.instrument].qty_decimal(filled)

    def fetch_holdings(self, done: Callable[[list[Position | Balance] | None], None]) -> None:
        """As `Trader.fetch_holdings`: balances as positions of the instruments that carry them."""

        def take(told: list[Private] | None) -> None:
            done(None if told is None else [*self.balances.positions(held_of(told), self._opened)])

        self._list("/accounts", {"limit": str(_PAGE)}, take)

    def _note(self, report: Report, working: Working, now: int) -> None:
        super()._note(report, working, now)
        if report.kind == _FILL and report.execution:
            self.balances.count(report)

    def status(self) -> dict[str, Any]:
        """As `Trader.status`."""
        return {**super().status(), "sequence_gaps": self.sequence_gaps, "stream": self.stream.state.name.lower()}
