"""Binance spot: orders and the user's events over the WebSocket API, REST where there is no connection.

Orders are signed by `BinanceOrderWriter` on the hot path. A cancel goes by the venue's id, or ours while that is not
known; a replace is cancelReplace (`replacing`), and the new order has a fresh client id. Nothing is told again after a
reconnection: open orders and order states are asked for, and trades from the one after the last that was told. Every
fill counts once, by symbol and trade id.

What the balances of the account should be is `venues.spot_balances`. Source: binance-spot-api-docs, web-socket-api.md,
rest-api.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nanotick.core.records import CommandFlag, Kind, command_at
from nanotick.core.secret import Secret
from nanotick.venues.binance.replacing import Replacing
from nanotick.venues.binance.session import BinanceSession, Done
from nanotick.venues.clock import ClockWatch
from nanotick.venues.limits import limits_of
from nanotick.venues.outlet import Outlet
from nanotick.venues.spot_balances import SpotBalances, held_of
from nanotick.venues.working import Sent, TraderState, Working
from nanotick.venues.written import WritingTrader
from nanotick.wire import fields
from nanotick.wire.binance_orders import METHODS, encode, encode_rest, method_of, rest_request
from nanotick.wire.binance_reports import decode_reply, used_of_headers
from nanotick.wire.json_text import decode, epoch_ns
from nanotick.wire.order_text import BinanceOrderWriter, OrderWriter
from nanotick.wire.reports import Balance, OrderStatus, Outcome, Position, Private, Reply, Report, Used
from nanotick.wire.requests import Asked, Entry, Query, Response, Unsupported
from nanotick.wire.signing import BinanceEd25519, BinanceHmac, BinanceSigner

REST = "https://api.binance.com"
STREAM = "wss://ws-api.binance.com:443/ws-api/v3"
TEST_REST = "https://testnet.binance.vision"
TEST_STREAM = "wss://ws-api.testnet.binance.vision/ws-api/v3"
SELF_TRADE = ("", "NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT")
_PAGE = 1000
_STRANGE_KEPT = 4096
_S = 1_000_000_000
_FILL, _CANCEL = int(Kind.FILL), int(Kind.CANCEL)
_POST_ONLY = int(CommandFlag.POST_ONLY)
_CLOCK = "-1021"
_WEIGHTS = {"order.status": 4, "openOrders.status": 80, "myTrades": 20, "account.status": 20}


def signer_of(key: str, secret: Secret) -> BinanceSigner:
    """Signer of an account: Ed25519 when the secret is a private key in PEM, else HMAC."""
    if secret.reveal().lstrip().startswith("-----BEGIN"):
        return BinanceEd25519(key, secret)
    return BinanceHmac(key, secret)


class BinanceTrader(WritingTrader):
    """One Binance spot account; parameters as in `Trader`.

    Parameters
    ----------
    key : str
    secret : Secret
        Of an HMAC key, or the private key of an Ed25519 key in PEM.
    rest : str
    stream : str or sequence of str
        Addresses of the WebSocket API, tried in turn.
    recv_window_ms : int
        How old a request may be when the venue has it.
    self_trade : str
        Mode of self-trade prevention; empty: the symbol's own.

    Raises
    ------
    ValueError
        An unknown mode, or a window that Binance does not take.
    """

    name = "binance"
    TIME = "/api/v3/time"
    TIME_STEP_NS = 1_000_000
    renames = True
    answers_by_stream = True

    def __init__(
        self,
        *args: Any,
        key: str,
        secret: Secret,
        rest: str = REST,
        stream: str | Sequence[str] = STREAM,
        recv_window_ms: int = 5000,
        self_trade: str = "",
        **settings: Any,
    ) -> None:
        if settings.get("limiter") is None:
            settings["limiter"] = limits_of("binance")
        super().__init__(*args, rest=rest, **settings)
        if self_trade not in SELF_TRADE:
            raise ValueError(f"self_trade: expected one of {', '.join(SELF_TRADE[1:])}, found {self_trade!r}")
        if not 0 < recv_window_ms <= 60_000:
            raise ValueError(f"recv_window_ms: expected 1 to 60000, found {recv_window_ms}")
        self._signer = signer_of(key, secret)
        self._window, self._self_trade = recv_window_ms, self_trade
        streams = (stream,) if isinstance(stream, str) else tuple(stream)
        self.session = BinanceSession(self, streams, self._signer, recv_window_ms, self._timeout)
        self.stream = self.session.stream
        self._replacing = Replacing(self)
        self.clock = self.session.clock  # asked over the session's connection
        self.watch = ClockWatch(self.host, self.ask_time, self.clock, self._clock_changed)
        self._writer = self._order_writer()
        hmac = self._signer.record() if isinstance(self._signer, BinanceHmac) else None
        send = self.stream.send
        self.let_out(Outlet(self._writer, key=hmac), lambda data, answer: send(data))
        self._prepared: set[tuple[int, int, int, int, bool]] = set()
        self.used: dict[tuple[str, int], Used] = {}
        self._latest: dict[str, int] = {}  # symbol -> trade id up to which every fill has been told
        self._history: dict[str, set[int]] = {}  # trade ids that the venue has told of since, by symbol
        self._symbols: dict[str, str] = {}  # of orders in that history which are not known
        self.balances = SpotBalances(self.instruments, self.venue, self._position, self.config.holdings == "leave")

    def _order_writer(self) -> BinanceOrderWriter | OrderWriter:
        if not self.session.logs_on:
            return BinanceOrderWriter(self.instruments, self.ids, self._signer, self._window, self._self_trade)
        window, mode = self._window, self._self_trade
        return OrderWriter(
            self.instruments, self.ids, lambda entry, stamp: encode(entry, entry.client, stamp, None, window, mode)
        )

    # --- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """As `Trader.start`."""
        self._state(TraderState.CONNECTING)
        self.session.start()
        self.sweep()

    def stop(self) -> None:
        """As `Trader.stop`."""
        self._state(TraderState.DOWN, "stopped")
        self.session.stop()
        self.end_timers()

    def disconnected(self, why: str) -> None:
        """As `Trader.disconnected`."""
        self.session.lost()
        super().disconnected(why)

    def venue_time(self) -> int:
        """As `Trader.venue_time`."""
        return self.host.now() + self.session.clock.offset

    def clock_told(self) -> None:
        """The venue has said what time it is."""
        if self.outlet is not None:
            self.outlet.set_ahead(self.session.clock.offset)
        self.watch.look()

    def read_time(self, body: bytes) -> int:
        """As `RestTrader.read_time`."""
        return epoch_ns(fields.whole(fields.mapping(decode(body), "time"), "serverTime"))

    @property
    def unanswered(self) -> int:
        """Requests about orders that wait for their answers."""
        return len(self._sent)

    def expire(self, before: int) -> None:
        """Give up requests sent before a time."""
        for sent in [sent for sent in self._sent.values() if sent.ts_sent < before]:
            self.timed_out(sent)

    # --- requests -----------------------------------------------------------------------------------------------------

    def _transmit(self, asked: Asked, sent: Sent) -> None:
        if self._replacing.begin(asked, sent):
            return
        now = self.session.now_ms()
        frame = encode(asked, sent.request, now, self.session.signs, self._window, self._self_trade)  # type: ignore[arg-type]
        if not self.stream.send(frame):
            self.post(encode_rest(asked, now, self._signer, self._window, self._self_trade), sent)  # type: ignore[arg-type]

    def waits_for(self, request: str) -> bool:
        """Whether a request about an order has not been answered or given up."""
        return request in self._sent

    def place_instead(self, entry: Entry, sent: Sent) -> bool:
        """Send the second half of a replace, whose answer settles `sent`; False if it could not be sent."""
        request = self._request()
        frame = encode(entry, request, self.session.now_ms(), self.session.signs, self._window, self._self_trade)
        if not self.stream.send(frame):
            return False
        del self._sent[sent.request]
        sent.request, sent.ts_sent = request, self.host.now()
        self._sent[request] = sent
        return True

    def answer(self, sent: Sent, told: list[Private] | None) -> None:
        """As `Trader.answer`."""
        super().answer(sent, self._replacing.with_end(sent, told))

    def _transmit_written(self, address: int, sent: Sent) -> bool:
        now = self.session.now_ms()
        frame = self._writer.write(address, now)
        if frame is None:
            if not self._prepare(address):
                return False
            frame = self._writer.write(address, now)
        return frame is not None and self.stream.send(frame)  # type: ignore[arg-type]

    def _prepare(self, address: int) -> bool:
        command = command_at(address)
        post_only = command.flags & _POST_ONLY != 0
        kind = (command.instrument, command.side, command.order_type, command.tif, post_only)
        if kind in self._prepared:
            return False
        self._prepared.add(kind)
        try:
            self._writer.prepare(*kind)
        except Unsupported:
            return False
        return True

    def _call(self, method: str, params: dict[str, str], done: Done) -> None:
        """Send a request that only reads."""
        now = self.host.now()
        when = self.limiter.take(now, weight=_WEIGHTS[method])
        if when > now:
            self.host.at(when, lambda: self._call(method, params, done))
        elif not self.session.call(method, dict(params), done):
            request = rest_request(*METHODS[method], params, self.session.now_ms(), self._signer, self._window)
            self.host.ask(self.rest, request, lambda response: done(self.told_by(response)), 2 * self._timeout)

    def query(self, working: Working, client: str, done: Callable[[list[Private] | None], None]) -> None:
        """As `Trader.query`."""
        order = working.order if working.adopted else ""
        try:
            method, params = method_of(Query(working.symbol, client, order))
        except Unsupported:
            method, params = method_of(Query(working.symbol, "", working.order))
        self._call(method, params, done)

    def query_order(self, order: str, done: Callable[[list[Private] | None], None]) -> None:
        """As `Trader.query_order`."""
        symbol = self._symbols.get(order)
        if symbol is None:
            done([])
        else:
            self._call(*method_of(Query(symbol, "", order)), done)

    # --- answers ------------------------------------------------------------------------------------------------------

    def read(self, response: Response, request: str) -> list[Private]:
        """As `RestTrader.read`."""
        after = next((value for name, value in response.headers if name.lower() == "retry-after"), "")
        told = decode_reply(response.status, response.body, request, int(after) if after.isdigit() else 0)
        reply = told[0]
        if isinstance(reply, Reply):
            reply.used = used_of_headers(response.headers)
            if response.status == 403 and reply.code == "403":  # the firewall, not the exchange
                reply.outcome, reply.retry_ns = Outcome.LIMITED, 60 * _S
            sent = self._sent.get(request)
            self._heed(reply, sent)
        return told

    def told(self, items: Any, now: int) -> None:
        """As `Trader.told`: an event, or the answer to a request."""
        told: list[Private] = list(items)
        reply = told[0] if told else None
        if not isinstance(reply, Reply):
            super().told(told, now)
            return
        sent = self._sent.get(reply.request)
        self._heed(reply, sent)
        if sent is not None:
            self.answer(sent, told)
        elif self.session.take(reply.request, told) and reply.outcome == Outcome.LIMITED:
            self.limiter.blocked(reply.retry_ns if reply.retry_absolute else now + (reply.retry_ns or _S))

    def _heed(self, reply: Reply, sent: Sent | None) -> None:
        """What an answer says besides: rate limits used, a clock that is wrong."""
        for use in reply.used:
            self.used[use.kind, use.interval_s] = use
        if reply.used:
            self.limiter.told(reply.used, self.host.now())
        if reply.code == _CLOCK:
            self.note("warning", "the venue says that our clock is wrong", reason=reply.detail,
                      offset_ms=self.session.clock.offset // 1_000_000)  # fmt: skip
            self.session.set_clock()
            # certainly not done; a cancel is sent again once the clock is right
            again = sent is not None and sent.kind == _CANCEL
            reply.outcome = Outcome.LIMITED if again else Outcome.REFUSED
            reply.retry_ns = _S // 4 if again else 0

    def _note(self, report: Report, working: Working, now: int) -> None:
        super()._note(report, working, now)
        if report.kind != _FILL or not report.execution:
            return
        self.balances.count(report)
        if self.state == TraderState.READY and report.execution.isdigit() and not self.unknown:
            # at other times fills that were missed may lie between this one and the latest known
            self._history.pop(report.symbol, None)
            self._latest[report.symbol] = max(int(report.execution), self._latest.get(report.symbol, -1))

    # --- what the account has -----------------------------------------------------------------------------------------

    @staticmethod
    def _good(told: list[Private] | None) -> list[Private] | None:
        """What a good answer holds; None for any other."""
        if not told or not isinstance(told[0], Reply) or told[0].outcome != Outcome.DONE:
            return None
        return told[1:]

    def fetch_open(self, done: Callable[[list[OrderStatus] | None], None]) -> None:
        """As `Trader.fetch_open`."""

        def take(told: list[Private] | None) -> None:
            found = self._good(told)
            done(None if found is None else [item for item in found if isinstance(item, OrderStatus)])

        self._call("openOrders.status", {}, take)

    def fetch_fills(self, since: int, done: Callable[[list[Report] | None], None]) -> None:
        """As `Trader.fetch_fills`: of the symbols traded in this session, one after the other.

        After a reconnection from the trade after the last one told; at other times since a time.
        """
        symbols = {working.symbol for working in self._working.values()} | self._latest.keys()
        exact = self.state != TraderState.READY
        start = str(max(0, since) // 1_000_000)
        asked = []
        for symbol in sorted(symbols):
            known = self._known(symbol) if exact else -1
            asked.append((symbol, {"fromId": str(known + 1)} if known >= 0 else {"startTime": start}))
        self._fills_page(asked, [], done)

    def _fills_page(
        self,
        asked: list[tuple[str, dict[str, str]]],
        found: list[Report],
        done: Callable[[list[Report] | None], None],
    ) -> None:
        if not asked:
            done(found)
            return
        symbol, since = asked[0]

        def take(told: list[Private] | None) -> None:
            page = self._good(told)
            if page is None:
                done(None)
                return
            fills = [item for item in page if isinstance(item, Report)]
            found.extend(fills)
            for fill in fills:
                if fill.order not in self._by_order:
                    self._symbols[fill.order] = symbol
            while len(self._symbols) > _STRANGE_KEPT:
                del self._symbols[next(iter(self._symbols))]
            last = max((int(fill.execution) for fill in fills), default=-1)
            if self.state != TraderState.READY:
                self._history.setdefault(symbol, set()).update(int(fill.execution) for fill in fills)
            rest = [(symbol, {"fromId": str(last + 1)})] if len(fills) >= _PAGE else []
            self._fills_page(rest + asked[1:], found, done)

        self._call("myTrades", {"symbol": symbol, **since, "limit": str(_PAGE)}, take)

    def _known(self, symbol: str) -> int:
        """Trade id up to which every fill has been told; -1 if none."""
        latest, history = self._latest.get(symbol, -1), self._history.get(symbol, set())
        for number in sorted(history):
            if number > latest and not self.balances.counted(symbol, str(number)):
                break  # fetched for another order's sake, or of an order that is not known yet
            latest = max(latest, number)
            history.discard(number)
        if latest >= 0:
            self._latest[symbol] = latest
        return latest

    def fetch_holdings(self, done: Callable[[list[Position | Balance] | None], None]) -> None:
        """As `Trader.fetch_holdings`: balances as positions of the instruments that carry them."""

        def take(told: list[Private] | None) -> None:
            found = self._good(told)
            done(None if found is None else [*self.balances.positions(held_of(found), self._opened)])

        self._call("account.status", {}, take)

    def status(self) -> dict[str, Any]:
        """As `Trader.status`."""
        used = {f"{kind} {seconds}s": use.count for (kind, seconds), use in self.used.items()}
        return {**super().status(), **self.session.status(), "used": used}
