"""Kraken spot: orders over the private WebSocket (v2), the executions channel, REST for what has to be asked.

    token (REST) ─▶ connect ─▶ subscribe executions ─▶ snapshot ─▶ LIVE ─▶ compare ─▶ READY

Every connection has a fresh token. New orders and amends carry a deadline: what reaches the engine later is certainly
not done. Messages of the executions channel are numbered; a missing one ends the connection, and the next one begins
with a comparison. While it trades, `cancel_all_orders_after` is renewed, so that a process or a line that dies leaves
no order behind. The engine's rate counter is kept by pair: a cancel or amend costs more the younger its order is.
Source: docs.kraken.com, WebSocket v2 (user trading, executions), "Trading rate limits", REST.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nanotick.core.records import Kind, RejectReason
from nanotick.core.secret import Secret
from nanotick.orders.records import Pending
from nanotick.venues.backoff import BackoffLimits
from nanotick.venues.clock import Told
from nanotick.venues.feed import Conversation, Pace
from nanotick.venues.host import Timer
from nanotick.venues.kraken.limits import THRESHOLDS, amend_cost, cancel_cost
from nanotick.venues.kraken.names import asset_of, symbols_of
from nanotick.venues.kraken.rest import PrivateRest
from nanotick.venues.limiter import Decaying, RateLimiter
from nanotick.venues.private import PrivateStream
from nanotick.venues.rest import RestTrader
from nanotick.venues.spot_balances import SpotBalances, held_of
from nanotick.venues.working import NotSent, Sent, Working
from nanotick.wire import fields
from nanotick.wire.json_text import decode, rfc3339_ns
from nanotick.wire.kraken_trading import Executions, decode_reply, encode, encode_dead_man, encode_session
from nanotick.wire.messages import Notice, Sequence
from nanotick.wire.reports import Balance, OrderStatus, Outcome, Position, Private, Reply, Report
from nanotick.wire.requests import Asked, Cancel, Command, Login, Ping, Response, Subscribe
from nanotick.wire.signing import KrakenSigner

REST = "https://api.kraken.com"
STREAM = "wss://ws-auth.kraken.com/v2"
_S = 1_000_000_000
_PAGE = 50
_SWEEP = _S // 4
_FILL, _NEW, _CANCEL = int(Kind.FILL), int(Kind.NEW), int(Kind.CANCEL)
_REPLACE, _REPLACED, _PENDING_REPLACE = int(Kind.REPLACE_ORDER), int(Kind.REPLACED), int(Pending.REPLACE)
_DEAD_MAN = "cancel_all_orders_after"
_SESSION = "ESession"
PACE = Pace(
    ready_ns=20 * _S, dead_ns=15 * _S,  # heartbeats come every second
    backoff=BackoffLimits(floor_ns=_S, base_ns=5 * _S, cap_ns=30 * _S, attempts=140, window_ns=600 * _S),
)  # fmt: skip


class KrakenTrader(RestTrader):
    """One Kraken spot account; parameters as in `Trader`.

    Parameters
    ----------
    key : str
    secret : Secret
        Base64, as Kraken gives it.
    rest, stream : str
        Addresses.
    deadline : float
        Seconds within which the engine must have an order, 0.5 to 60.
    dead_man : int
        Seconds after which the venue cancels everything when nothing is heard of us; 0: never. Concerns all orders of
        the account.
    tier : str
        `starter`, `intermediate` or `pro`: the account's rate limits, where no limiter is given.

    Raises
    ------
    ValueError
        A deadline, a timeout or a tier that Kraken has not.
    """

    name = "kraken"
    answers_by_stream = True
    TIME = "/0/public/Time"
    TIME_STEP_NS = _S

    def __init__(
        self,
        *args: Any,
        key: str,
        secret: Secret,
        rest: str = REST,
        stream: str = STREAM,
        deadline: float = 5.0,
        dead_man: int = 60,
        tier: str = "intermediate",
        **settings: Any,
    ) -> None:
        super().__init__(*args, rest=rest, **settings)
        if not 0.5 <= deadline <= 60:
            raise ValueError(f"deadline: expected 0.5 to 60 s, found {deadline}")
        if dead_man and not 5 <= dead_man <= 86_400:
            raise ValueError(f"dead_man: expected 0 or 5 to 86400 s, found {dead_man}")
        if tier not in THRESHOLDS:
            raise ValueError(f"tier: expected one of {', '.join(THRESHOLDS)}, found {tier!r}")
        symbols = [item.symbol for item in self.instruments if item.venue == self.venue]
        if settings.get("limiter") is None:
            limit, decay = THRESHOLDS[tier]
            self.limiter = RateLimiter([Decaying(limit, decay, key=symbol) for symbol in symbols])
        self._deadline, self._dead_man = int(deadline * 1e9), dead_man
        self.private = PrivateRest(self.host, rest, KrakenSigner(key, secret), tier)
        self.stream = PrivateStream(self, (stream,), self._decode, self._greet, self._heard, PACE)
        self.balances = SpotBalances(self.instruments, self.venue, self._position, self.config.holdings == "leave")
        self._symbols = symbols_of(symbols)
        self._executions = Executions()
        self._sequence = 0
        self._token = ""
        self._timers: dict[str, Timer] = {}
        self._pings: dict[int, tuple[int, Told]] = {}
        self.sequence_gaps = 0

    # --- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """As `Trader.start`."""
        super().start()
        self._expire()

    def stop(self) -> None:
        """As `Trader.stop`; the venue's timer is switched off unless orders are left for it to cancel."""
        if self._dead_man and not self.open_here():
            self.stream.send(encode_dead_man(0, int(self._request()), self._token))
        super().stop()
        for timer in self._timers.values():
            timer.cancel()

    def disconnected(self, why: str) -> None:
        """As `Trader.disconnected`."""
        if "dead man" in self._timers:
            self._timers.pop("dead man").cancel()
        super().disconnected(why)

    def _expire(self) -> None:
        """Give up requests that have not been answered in time."""
        now = self.host.now()
        for sent in [sent for sent in self._sent.values() if now - sent.ts_sent > self._timeout]:
            self.timed_out(sent)
        self._timers["expire"] = self.host.at(now + _SWEEP, self._expire)

    def read_time(self, body: bytes) -> int:
        """As `RestTrader.read_time`: whole seconds."""
        result = fields.mapping(fields.mapping(decode(body), "time").get("result"), "result")
        return fields.whole(result, "unixtime") * _S

    def ask_time(self, told: Told) -> None:
        """As `RestTrader.ask_time`: by a ping where the stream is LIVE, whose answer tells microseconds."""
        number = int(self._request())
        self._pings.clear()  # one at a time; the one before has not been answered
        if self.stream.send(encode_session(Ping(), number)[0]):
            self._pings[number] = (self.host.now(), told)
        else:
            super().ask_time(told)

    def _pong(self, data: bytes) -> bool:
        """Whether a message is the answer to a ping, which is then told."""
        message = fields.mapping(decode(data), "message")
        if message.get("method") != "pong" or "req_id" not in message:
            return False
        sent, told = self._pings.pop(fields.whole(message, "req_id"), (0, None))
        if told is not None:
            came, left = (rfc3339_ns(fields.text(message, name), name) for name in ("time_in", "time_out"))
            told(sent, (came + left) // 2, 1_000)
        return True

    # --- the private stream -------------------------------------------------------------------------------------------

    def _greet(self, talk: Conversation) -> None:
        self._executions, self._sequence = Executions(), 0

        def take(response: Response) -> None:
            if talk.over:
                return
            told = self._told_by(response)
            reply = told[0] if told else Reply("", Outcome.UNKNOWN)
            assert isinstance(reply, Reply)
            if reply.outcome != Outcome.DONE or not reply.detail:
                self.stream.fail(talk, f"no token: {reply.detail or reply.code}", reply.outcome == Outcome.DENIED)
                return
            self._token = reply.detail
            login = Login("", proof=self._token)
            for frame in encode_session(Subscribe((("user", ""),), login=login), int(self._request())):
                talk.send(frame)

        self.private.ask("GetWebSocketsToken", {}, take, urgent=True)

    def _decode(self, data: bytes) -> list[Private | Notice]:
        found: list[Private | Notice] = []
        if self._pings and b"pong" in data and self._pong(data):
            return found
        for item in self._executions.decode_frame(data):
            if isinstance(item, Sequence):
                if self._sequence and item.number != self._sequence + 1:
                    found.append(Notice("gap", f"{item.number} follows {self._sequence}"))
                elif not self._sequence:
                    found.append(Notice("snapshot"))
                self._sequence = item.number
            elif isinstance(item, Reply) and item.method == "subscribe":
                if item.outcome != Outcome.DONE:
                    found.append(Notice("error", item.detail, int(item.outcome)))
            else:
                found.append(item)
        return found

    def _heard(self, talk: Conversation, notice: Notice) -> None:
        if notice.status == "gap":
            self.sequence_gaps += 1
            self.stream.fail(talk, f"a message of the executions channel is missing: {notice.text}")
        elif notice.status == "error":
            self.stream.fail(talk, f"refused: {notice.text}", notice.code == Outcome.DENIED)
        elif notice.status == "snapshot":
            self.stream.authenticated(talk)
            self.stream.live(talk)
            self._arm()

    def _arm(self) -> None:
        """Renew the venue's own timer."""
        if self._dead_man and self.stream.send(encode_dead_man(self._dead_man, int(self._request()), self._token)):
            self._timers["dead man"] = self.host.at(self.host.now() + self._dead_man * _S // 3, self._arm)

    def told(self, items: Any, now: int) -> None:
        """As `Trader.told`."""
        ended = False
        news: list[Any] = []
        for item in items:
            if not isinstance(item, Report) or not self._of_an_earlier_amend(item):
                news.append(item)
            if not isinstance(item, Reply):
                continue
            if item.code == _SESSION:  # the token is no longer good: certainly not done, and a cancel goes out again
                ended = True
                sent = self._sent.get(item.request)
                again = sent is not None and sent.kind == _CANCEL
                item.outcome, item.retry_ns = (Outcome.LIMITED, _S) if again else (Outcome.REFUSED, 0)
            elif item.method == _DEAD_MAN and item.outcome != Outcome.DONE:
                self.note("error", "the venue takes no cancel_all_orders_after", reason=item.detail)
        super().told(news, now)
        if ended and self.stream.current is not None:
            self.stream.fail(self.stream.current, "the session is no longer valid; asking for a new token")

    def _of_an_earlier_amend(self, report: Report) -> bool:
        """Whether an amend is told late, while another one is on its way: then the order is asked for.

        The order keeps its id, so that nothing but what the amend made of it tells the two apart.
        """
        working = self._of(report) if report.kind == _REPLACED else None
        row = self.engine_order(working) if working is not None else None
        if working is None or row is None or not int(row["pending"]) & _PENDING_REPLACE:
            return False
        item = self.instruments[working.instrument]
        wanted = int(row["pending_price"]), int(row["pending_qty"])
        try:
            found = item.price(report.price), item.qty(report.qty)
        except ValueError:
            return False  # the row that is made of it says what is wrong
        if found == wanted:
            return False
        self.inquire(working, _REPLACE, True)
        return True

    # --- requests -----------------------------------------------------------------------------------------------------

    def _weight(self, command: Command, working: Working, now: int) -> int:
        if command.kind == _NEW:
            return 1
        age = now - working.ts_sent
        return cancel_cost(age) if command.kind == _CANCEL else amend_cost(age)

    def _transmit(self, asked: Asked, sent: Sent) -> None:
        deadline = self.venue_time() + self._deadline
        frame = encode(asked, int(sent.request), self._token, deadline)  # type: ignore[arg-type]
        if self.stream.send(frame):
            return
        if not isinstance(asked, Cancel):
            raise NotSent("no connection to the venue")
        params = {"txid": asked.order} if asked.order else {"cl_ord_id": asked.client}
        self.private.ask("CancelOrder", params, lambda response: self._posted(response, sent), urgent=True)

    def read(self, response: Response, request: str) -> list[Private]:
        """As `RestTrader.read`; pairs have the names of the table."""
        told = decode_reply(response.status, response.body, request)
        for item in told:
            if isinstance(item, Report | OrderStatus):
                item.symbol = self._symbols.get(item.symbol, item.symbol)
        return told

    def _told_by(self, response: Response) -> list[Private] | None:
        self._head(response)
        return self.told_by(response)

    def _ask_rest(self, name: str, params: dict[str, str], done: Callable[[list[Private] | None], None]) -> None:
        """Ask, and hand on what a good answer holds (its reply first); None for any other."""

        def take(response: Response) -> None:
            told = self._told_by(response)
            reply = told[0] if told else None
            done(told if isinstance(reply, Reply) and reply.outcome == Outcome.DONE else None)

        self.private.ask(name, params, take)

    def query(self, working: Working, client: str, done: Callable[[list[Private] | None], None]) -> None:
        """As `Trader.query`: by the venue's id, or ours among the open orders and then the closed ones."""
        if working.order:
            self.query_order(working.order, done)
            return

        def take_open(told: list[Private] | None) -> None:
            if told is None or any(isinstance(item, OrderStatus) for item in told):
                done(told)
            else:
                self._ask_rest("ClosedOrders", {"cl_ord_id": client}, done)

        self._ask_rest("OpenOrders", {"cl_ord_id": client}, take_open)

    def query_order(self, order: str, done: Callable[[list[Private] | None], None]) -> None:
        """As `Trader.query_order`."""

        def take(response: Response) -> None:
            told = self._told_by(response)
            reply = told[0] if told else None
            if isinstance(reply, Reply) and reply.outcome == Outcome.REFUSED and "nvalid order" in reply.detail:
                reply.reason = RejectReason.UNKNOWN_ORDER
            done(told)

        self.private.ask("QueryOrders", {"txid": order}, take)

    # --- what the account has -----------------------------------------------------------------------------------------

    def fetch_open(self, done: Callable[[list[OrderStatus] | None], None]) -> None:
        """As `Trader.fetch_open`."""

        def take(told: list[Private] | None) -> None:
            done(None if told is None else [item for item in told if isinstance(item, OrderStatus)])

        self._ask_rest("OpenOrders", {}, take)

    def fetch_fills(self, since: int, done: Callable[[list[Report] | None], None]) -> None:
        """As `Trader.fetch_fills`."""
        found: list[Report] = []
        start = str(max(0, since // _S - 1))

        def take(told: list[Private] | None) -> None:
            if told is None:
                done(None)
                return
            page = [item for item in told if isinstance(item, Report)]
            found.extend(page)
            if len(page) < _PAGE:
                done(sorted(found, key=lambda fill: fill.ts_venue))
            else:
                ask()

        def ask() -> None:
            self._ask_rest("TradesHistory", {"start": start, "ofs": str(len(found))}, take)

        ask()

    def fetch_holdings(self, done: Callable[[list[Position | Balance] | None], None]) -> None:
        """As `Trader.fetch_holdings`: balances as positions of the instruments that carry them."""

        def take(told: list[Private] | None) -> None:
            done(None if told is None else [*self.balances.positions(held_of(told, asset_of), self._opened)])

        self._ask_rest("Balance", {}, take)

    def _note(self, report: Report, working: Working, now: int) -> None:
        super()._note(report, working, now)
        if report.kind == _FILL and report.execution:
            self.balances.count(report)

    def status(self) -> dict[str, Any]:
        """As `Trader.status`."""
        return {**super().status(), "sequence_gaps": self.sequence_gaps, "stream": self.stream.state.name.lower()}
