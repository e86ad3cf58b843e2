"""The WebSocket API connection of an account: clock, log-on, the user's events, and requests with their answers.

    time ─▶ (session.logon, Ed25519 keys) ─▶ userDataStream.subscribe[.signature] ─▶ LIVE

Orders, queries and events share the connection. An Ed25519 key logs the connection on, and requests then carry no
signature; an HMAC key signs each. Source: binance-spot-api-docs, web-socket-api.md and user-data-stream.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nanotick.venues.backoff import BackoffLimits
from nanotick.venues.clock import VenueClock
from nanotick.venues.feed import Conversation, Pace, State
from nanotick.venues.host import Timer
from nanotick.venues.private import PrivateStream
from nanotick.wire import fields
from nanotick.wire.binance_orders import encode_method, encode_session
from nanotick.wire.binance_reports import UserEvents, code_of, refusal
from nanotick.wire.json_text import WireError, decode, epoch_ns
from nanotick.wire.messages import Notice, Other
from nanotick.wire.reports import Outcome, Private
from nanotick.wire.requests import Login, Subscribe
from nanotick.wire.signing import BinanceEd25519, BinanceSigner

if TYPE_CHECKING:
    from nanotick.venues.binance.trader import BinanceTrader

Done = Callable[[list[Private] | None], None]
_S, _MS = 1_000_000_000, 1_000_000
TIME_EVERY = 25 * _S  # the venue's time is asked for; its answer is a sign of life, too
_SWEEP = _S // 4
_RENEW_MOST = 2 * _S  # answers are waited for so long before a connection is dropped
_ENDINGS = frozenset(("serverShutdown", "eventStreamTerminated"))
PACE = Pace(
    ready_ns=15 * _S,
    quiet_ns=0,
    dead_ns=70 * _S,
    life_ns=(23 * 60 + 50) * 60 * _S,
    backoff=BackoffLimits(floor_ns=100 * _MS, base_ns=500 * _MS, cap_ns=30 * _S, attempts=250, window_ns=300 * _S),
)
Step = Callable[[Conversation, dict[str, Any]], None]


@dataclass(slots=True)
class _Call:
    done: Done
    sent_ns: int


class BinanceSession:
    """Connection of a trader to the WebSocket API.

    Parameters
    ----------
    trader : BinanceTrader
    endpoints : sequence of str
    signer : BinanceHmac or BinanceEd25519
    recv_window_ms : int
    timeout_ns : int
        After which a request without an answer is given up; its outcome is then unknown.

    Attributes
    ----------
    clock : VenueClock
    stream : PrivateStream
    """

    def __init__(
        self,
        trader: BinanceTrader,
        endpoints: Sequence[str],
        signer: BinanceSigner,
        recv_window_ms: int,
        timeout_ns: int,
    ) -> None:
        self._trader, self._signer, self._window, self._timeout = trader, signer, recv_window_ms, timeout_ns
        self.logs_on = isinstance(signer, BinanceEd25519)
        self.clock = VenueClock()
        self.stream = PrivateStream(trader, endpoints, self._decode, self._greet, self._heard, PACE)
        self._events = UserEvents()
        self._calls: dict[str, _Call] = {}
        self._steps: dict[str, Step] = {}
        self._messages: dict[str, dict[str, Any]] = {}
        self._requests = 0
        self._timers: dict[str, Timer] = {}

    # --- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Connect, and stay so until `stop`."""
        self.stream.start()
        self._sweep()
        self._ask_time()

    def stop(self) -> None:
        """Disconnect."""
        self.stream.stop()
        for timer in self._timers.values():
            timer.cancel()

    def lost(self) -> None:
        """The connection is gone: no answer comes any more."""
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.done(None)

    def _sweep(self) -> None:
        """Give up what has not been answered in time."""
        host = self._trader.host
        now = host.now()
        late = [request for request, call in self._calls.items() if now - call.sent_ns > self._timeout]
        for request in late:
            self._calls.pop(request).done(None)
        self._trader.expire(now - self._timeout)
        self._timers["sweep"] = host.at(now + _SWEEP, self._sweep)

    def _ask_time(self) -> None:
        host = self._trader.host
        talk = self.stream.current
        if talk is not None and talk.live_ns:
            self._ask(talk, b"time", self._time_told(host.now()))
        self._timers["time"] = host.at(host.now() + TIME_EVERY, self._ask_time)

    def set_clock(self) -> None:
        """The venue says that our time is wrong: ask for its own."""
        self.clock.forget()
        talk = self.stream.current
        if talk is not None and talk.live_ns:
            self._ask(talk, b"time", self._time_told(self._trader.host.now()))

    # --- greeting -----------------------------------------------------------------------------------------------------

    def _ask(self, talk: Conversation, method: bytes, step: Step) -> None:
        self._requests += 1
        request = f"s{self._requests}"
        self._steps[request] = step
        talk.send(b'{"id":"' + request.encode() + b'","method":"' + method + b'"}')

    def _greet(self, talk: Conversation) -> None:
        self._ask(talk, b"time", self._time_told(self._trader.host.now()))

    def _time_told(self, sent: int) -> Step:
        def take(talk: Conversation, message: dict[str, Any]) -> None:
            result = message.get("result")
            if isinstance(result, dict) and "serverTime" in result:
                server = epoch_ns(fields.whole(result, "serverTime"))
                self.clock.sample(sent, self._trader.host.now(), server)
                self._trader.clock_told()
            if talk.state == State.AUTHENTICATING:
                self._log_on(talk)

        return take

    def _log_on(self, talk: Conversation) -> None:
        if self.logs_on:
            self._session(talk, Login(self._signer.key), self._logged_on)
        else:
            self._session(talk, Subscribe((("user", ""),)), self._subscribed)

    def _session(self, talk: Conversation, asked: Login | Subscribe, step: Step) -> None:
        self._requests += 1
        request = f"s{self._requests}"
        self._steps[request] = step
        talk.send(encode_session(asked, request, self.now_ms(), self._signer))

    def _logged_on(self, talk: Conversation, message: dict[str, Any]) -> None:
        if self._good(talk, message, "session.logon"):
            self._ask(talk, b"userDataStream.subscribe", self._subscribed)

    def _subscribed(self, talk: Conversation, message: dict[str, Any]) -> None:
        if self._good(talk, message, "userDataStream.subscribe"):
            self.stream.authenticated(talk)
            self._ready(talk, self._trader.host.now() + _RENEW_MOST)

    def _good(self, talk: Conversation, message: dict[str, Any], what: str) -> bool:
        if message.get("status") == "200":
            return True
        error = message.get("error")
        error = error if isinstance(error, dict) else {}
        code, text = code_of(error), fields.optional_text(error, "msg")
        if code == -1021:
            self.clock.forget()
        denied = refusal(code, text)[0] == Outcome.DENIED and code != -1021
        self.stream.fail(talk, f"{what}: {code} {text}", denied=denied)
        return False

    def _ready(self, talk: Conversation, until: int) -> None:
        """Go on over this connection, once what the one before it was asked has been answered."""
        if talk.over:
            return
        now = self._trader.host.now()
        renewing = talk is self.stream.successor
        if renewing and now < until and (self._calls or self._trader.unanswered):
            self._trader.host.at(now + 20 * _MS, lambda: self._ready(talk, until))
            return
        self.stream.live(talk)
        if renewing:
            self.lost()
            self._trader.lost("the connection was renewed")

    # --- messages -----------------------------------------------------------------------------------------------------

    def _decode(self, data: bytes) -> list[Private | Notice]:
        message = fields.mapping(decode(data), "message")
        request = message.get("id")
        if isinstance(request, str) and request in self._steps:
            self._messages[request] = message
            return [Notice("answer", request)]
        return [
            Notice(item.kind) if isinstance(item, Other) and item.kind in _ENDINGS else item
            for item in self._events.decode_message(message)
        ]

    def _heard(self, talk: Conversation, notice: Notice) -> None:
        if notice.status == "answer":
            step, message = self._steps.pop(notice.text), self._messages.pop(notice.text)
            try:
                step(talk, message)
            except WireError as error:
                self.stream.fail(talk, f"an answer that cannot be read: {error}")
        elif notice.status == "serverShutdown" and talk is self.stream.current:
            self._trader.note("warning", "the venue shuts this connection's server down")
            self.stream.renew()
        else:
            self.stream.fail(talk, notice.status)

    def take(self, request: str, items: list[Private]) -> bool:
        """Hand the answer to a call over; False if it is no call's."""
        call = self._calls.pop(request, None)
        if call is not None:
            call.done(items)
        return call is not None

    # --- asking -------------------------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """The venue's time, ms UTC."""
        return (self._trader.host.now() + self.clock.offset) // _MS

    @property
    def signs(self) -> BinanceSigner | None:
        """Who signs requests on the present connection; None if it has logged on."""
        return None if self.logs_on else self._signer

    def call(self, method: str, params: dict[str, str], done: Done) -> bool:
        """Send a request that only reads; False if there is no live connection."""
        talk = self.stream.current
        if talk is None or not talk.live_ns:
            return False
        self._requests += 1
        request = f"c{self._requests}"
        self._calls[request] = _Call(done, self._trader.host.now())
        talk.send(encode_method(method, params, request, self.now_ms(), self.signs, self._window))
        return True

    def status(self) -> dict[str, Any]:
        """For people and programs."""
        return {"clock_offset_ns": self.clock.offset, "clock_error_ns": self.clock.error,
                "unanswered_calls": len(self._calls), "logged_on": self.logs_on}  # fmt: skip
